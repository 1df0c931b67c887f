"""The finder of one project with its poller, against a simulated DLI and a driven clock."""

import asyncio
import logging
from collections import Counter
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, replace
from random import Random
from typing import Any, Final

import pytest
from prometheus_client.parser import text_string_to_metric_families

from exporter.dli.client import DliClient
from exporter.dli.credentials import Static
from exporter.dli.pacing import Bucket
from exporter.dli.signing import AccessKey
from exporter.dli.transport import session
from exporter.finder import Finder
from exporter.jobs.model import Job, JobKey, JobStatus, Registration
from exporter.jobs.retention import Retention
from exporter.metrics.exposition import Exposition
from exporter.metrics.telemetry import Telemetry
from exporter.poller import Poller
from exporter.simulator import (
    Endpoint,
    Fault,
    Particulars,
    Scene,
    Simulator,
    Timeline,
    demo_project,
    serve,
)
from exporter.sources.discovery import Discovery
from exporter.sources.listing import Filters
from exporter.tracker import Limits, Source, Tags, Tracker
from exporter.troubles import Troubles

PROJECT: Final = demo_project(1)
INTERVAL: Final = 30.0
NOT_ALLOWED: Final = Fault(endpoint=Endpoint.LIST, status=403, code="APIGW.0302")


def timeline(*moments: tuple[float, str]) -> Timeline:
    """Make a recording of statuses alone."""
    return Timeline(
        name="made up",
        times=tuple(at for at, _ in moments),
        responses=tuple(
            {"job_id": "recorded", "status": status, "progress": 0.25} for _, status in moments
        ),
        origin=0.0,
        completed=(0,) * len(moments),
    )


LONG: Final = timeline((0, "LAUNCHING"), (20, "RUNNING"), (1e7, "FINISHED"))
SHORT: Final = timeline((0, "RUNNING"), (5, "FAILED"))


@dataclass
class Clock:
    """A clock that goes on only when somebody waits for it, or sets it forward."""

    now: float = 1_790_000_000.0

    def __call__(self) -> float:
        """Tell the time."""
        return self.now

    async def sleep(self, seconds: float) -> None:
        """Let time pass, and others come to their turn."""
        self.now += seconds
        await asyncio.sleep(0)


class Done(Exception):
    """Raised to end a loop that has no end."""


@dataclass
class World:
    """A finder with all that it works on."""

    simulator: Simulator
    clock: Clock
    finder: Finder
    poller: Poller
    tracker: Tracker
    telemetry: Telemetry
    exposition: Exposition
    waits: list[float]

    def submit(self, recording: Timeline = LONG, **about: Any) -> str:
        given = Particulars(**{"statement": "select 1", **about})
        return self.simulator.add(recording, speed=1.0, particulars=given)

    async def round(self, later: float = INTERVAL) -> None:
        """Let time go on, and look for jobs."""
        self.clock.now += later
        await self.finder.once()

    @property
    def jobs(self) -> set[str]:
        return {job.key.job_id for job in self.tracker}

    @property
    def ended(self) -> dict[str, str]:
        """The jobs that are shown as ended, with their status."""
        return {job.key.job_id: str(job.status) for job in self.tracker if job.ended is not None}

    def job(self, job_id: str) -> Job:
        job = self.tracker.get(JobKey("prod", job_id))
        assert job is not None
        return job

    def metric(self, name: str, **labels: str) -> float | None:
        """Read one of the exporter's own metrics; None if it is absent."""
        families = text_string_to_metric_families(self.telemetry.text().decode())
        wanted = {"project": "prod", **labels}
        samples = (sample for family in families for sample in family.samples)
        return next(
            (each.value for each in samples if each.name == name and each.labels == wanted), None
        )

    def ends(self, status: str, queue: str = "default") -> float | None:
        labels = {"queue_name": queue, "job_type": "QUERY", "status": status}
        return self.metric("dli_jobs_ended_total", **labels)

    async def until(self, condition: Callable[[], bool]) -> None:
        """Let others come to their turn until something is so."""
        async with asyncio.timeout(10):
            while not condition():  # noqa: ASYNC110 - what is waited for has no event
                await asyncio.sleep(0)

    def asked(self, job_id: str) -> int:
        """Count the questions after the progress of a job."""
        return sum(
            request.endpoint is Endpoint.PROGRESS and request.job_id == job_id
            for request in self.simulator.requests
        )

    @asynccontextmanager
    async def polling(self) -> AsyncIterator[None]:
        """Let the poller run in the background."""
        task = asyncio.create_task(self.poller.run())
        try:
            async with asyncio.timeout(10):
                yield
        finally:
            task.cancel()
            with suppress(asyncio.CancelledError):
                await task


@asynccontextmanager
async def world(*, page_size: int = 100, jobs: int = 1000, rounds: int = 3) -> AsyncIterator[World]:
    """Connect a finder to a simulator without jobs; ``run`` ends after so many ``rounds``."""
    clock = Clock()
    waits: list[float] = []
    scene = Scene(jobs=0, retention=1e9, keep=10**6)
    simulator = Simulator(projects=[PROJECT], timelines=[], scene=scene, now=clock)
    exposition = Exposition()
    telemetry = Telemetry(jobs=tuple, series=lambda: exposition.series, now=clock)
    tracker = Tracker(
        exposition=exposition,
        telemetry=telemetry,
        retention=Retention(900, 86_400),
        limits=Limits(jobs, 100_000),
        tags=Tags("jobName"),
        delivered=lambda _: True,
        now=clock,
        monotonic=clock,
    )

    async def sleep(seconds: float) -> None:
        waits.append(seconds)
        if len(waits) == rounds:
            raise Done

    async with serve(simulator) as address, session() as opened:
        client = DliClient(
            opened,
            address,
            project_id=PROJECT.id,
            provider=Static(AccessKey(PROJECT.ak, PROJECT.sk)),
            quota=Bucket(1000),
            timeout=10,
            now=clock,
            monotonic=clock,
            jitter=lambda: 0.0,
            sleep=clock.sleep,
        )
        troubles = Troubles("prod", telemetry)
        poller = Poller(
            "prod",
            client,
            tracker=tracker,
            telemetry=telemetry,
            troubles=troubles,
            interval=10_000,
            concurrency=8,
            now=clock,
            monotonic=clock,
        )
        finder = Finder(
            "prod",
            Discovery(client, Filters(), page_size=page_size),
            tracker=tracker,
            poller=poller,
            telemetry=telemetry,
            troubles=troubles,
            interval=INTERVAL,
            now=clock,
            sleep=sleep,
        )
        tracker.attach("prod", poller)
        yield World(simulator, clock, finder, poller, tracker, telemetry, exposition, waits)


def lines(caplog: pytest.LogCaptureFixture, about: str = "") -> list[dict[str, Any]]:
    """Give the fields of the warnings whose message holds some words."""
    return [
        getattr(record, "fields", {})
        for record in caplog.records
        if about in record.message and record.levelno >= logging.WARNING
    ]


async def test_jobs_that_run_are_watched_with_all_that_the_list_tells() -> None:
    async with world() as each:
        began = each.clock()
        job_id = each.submit(queue_name="etl", owner="mei", tags={"jobName": "orders"})
        await each.round(5)
        job = each.job(job_id)
        assert job.details is not None
        assert (job.status, job.name) == (JobStatus.LAUNCHING, "orders")
        assert (job.details.queue_name, job.details.owner) == ("etl", "mei")
        assert job.details.start == began
        assert each.ends("FINISHED", "etl") == 0
        assert each.metric("dli_up") == 1
        assert each.metric("dli_exporter_last_success_timestamp_seconds") == each.clock()


async def test_a_job_that_was_found_is_polled_at_once_and_not_looked_up() -> None:
    async with world() as each, each.polling():
        job_id = each.submit()
        await each.finder.once()
        await each.simulator.until(lambda _: each.asked(job_id) == 1)
        calls = each.simulator.requested(Endpoint.LIST)
        assert calls == 4  # of the round
        await each.round()
        assert each.simulator.requested(Endpoint.LIST) == calls + 4


async def test_a_round_without_news_changes_nothing() -> None:
    async with world() as each:
        job_id = each.submit()
        await each.round()
        before = each.job(job_id)
        await each.round()
        assert each.job(job_id) is before


async def test_a_job_that_was_listed_in_the_settings_too_is_one_job() -> None:
    async with world() as each:
        job_id = each.submit()
        about = Registration(job_id=job_id, project="prod", name="nightly")
        each.tracker.register(about, Source.LISTED)
        await each.round()
        assert each.jobs == {job_id}
        assert each.job(job_id).name == "nightly"


async def test_a_job_that_came_and_went_between_two_rounds_is_shown_and_counted_once() -> None:
    async with world() as each:
        await each.round()
        job_id = each.submit(SHORT, queue_name="etl")
        over = each.clock() + 5
        for _ in range(3):
            await each.round()
        job = each.job(job_id)
        assert job.details is not None
        assert job.status is JobStatus.FAILED
        assert job.details.end == pytest.approx(over, abs=0.001)  # the list has milliseconds
        assert each.ends("FAILED", "etl") == 1
        about = {"queue_name": "etl", "job_type": "QUERY", "status": "FAILED"}
        assert each.metric("dli_job_duration_seconds_sum", **about) == 5
        await each.poller.once()
        assert each.asked(job_id) == 0  # progress has nothing to tell of it


async def test_what_ended_before_the_first_round_is_none_of_ours() -> None:
    async with world() as each:
        each.submit(SHORT)
        await each.round()
        await each.round()
        assert each.jobs == set()


async def test_a_job_that_left_the_lists_of_live_jobs_is_asked_once_more_at_once() -> None:
    async with world() as each, each.polling():
        job_id = each.submit()
        await each.finder.once()
        await each.until(lambda: each.job(job_id).progress is not None)
        each.simulator.end(job_id, "CANCELLED")
        await each.round()
        await each.until(lambda: each.job(job_id).progress == 1)
        assert each.job(job_id).status is JobStatus.CANCELLED
        assert each.asked(job_id) == 2
        assert each.ends("CANCELLED") == 1


async def test_a_job_whose_end_progress_has_told_is_not_asked_again_for_the_round() -> None:
    async with world() as each, each.polling():
        job_id = each.submit()
        await each.finder.once()
        await each.until(lambda: each.job(job_id).progress is not None)
        each.simulator.end(job_id, "FINISHED")
        each.poller.hasten([JobKey("prod", job_id)])
        await each.until(lambda: each.ends("FINISHED") == 1)
        await each.round()
        other = each.submit()  # who comes now stands behind those that the round has hastened
        each.tracker.register(Registration(job_id=other, project="prod"), Source.HTTP)
        await each.until(lambda: each.job(other).progress is not None)
        assert each.asked(job_id) == 2
        assert each.ends("FINISHED") == 1


async def test_a_job_that_vanished_is_confirmed_through_the_list_and_dropped(
    caplog: pytest.LogCaptureFixture,
) -> None:
    async with world() as each:
        job_id = each.submit()
        await each.round()
        each.simulator.forget(job_id)
        await each.round()
        await each.poller.once()
        assert each.jobs == set()
        assert each.metric("dli_exporter_jobs_dropped_total", reason="not_found") == 1
        (line,) = lines(caplog, "job dropped")
        assert line == {"project": "prod", "job_id": job_id, "reason": "not_found"}


async def test_a_wrong_endpoint_drops_no_job() -> None:
    async with world() as each:
        job_id = each.submit()
        await each.round()
        each.simulator.faults.add(Fault(status=404, code="APIGW.0101"))
        for _ in range(3):
            await each.round()
            await each.poller.once()
        assert each.jobs == {job_id}
        assert each.metric("dli_up") == 0


async def test_what_was_read_before_an_error_is_used(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)
    async with world() as each:
        running = each.submit()
        each.clock.now += 25
        launching = each.submit()
        for _ in range(3):
            each.simulator.faults.clear()
            each.simulator.faults.add(replace(NOT_ALLOWED, skip=1))
            await each.round(0)
        assert each.jobs == {launching}
        assert each.metric("dli_up") == 0
        (line,) = lines(caplog)
        assert (line["of"], line["reason"]) == ("discovery", "forbidden")
        each.simulator.faults.clear()
        await each.round(0)
        assert each.jobs == {launching, running}
        assert each.metric("dli_up") == 1
    assert [record.message for record in caplog.records] == ["calls fail", "calls succeed again"]


async def test_a_page_that_cannot_be_read_costs_no_job_and_the_api_is_up() -> None:
    async with world() as each:
        first = each.submit()
        await each.round()
        second = each.submit()
        each.clock.now += 25
        each.simulator.faults.add(Fault(endpoint=Endpoint.LIST, body="[]", skip=1, count=1))
        await each.round()
        assert each.jobs == {first, second}
        assert each.metric("dli_up") == 1


async def test_progress_goes_on_while_the_list_is_forbidden_and_it_is_one_line(
    caplog: pytest.LogCaptureFixture,
) -> None:
    caplog.set_level(logging.INFO)
    async with world() as each:
        job_id = each.submit()
        await each.round()
        each.simulator.faults.add(NOT_ALLOWED)
        for _ in range(4):
            await each.round()
            await each.poller.once()
        assert each.job(job_id).last_update == each.clock()
        assert [line["reason"] for line in lines(caplog)] == ["forbidden"]


async def test_a_throttled_round_leaves_the_project_up(caplog: pytest.LogCaptureFixture) -> None:
    async with world() as each:
        await each.round()
        each.simulator.faults.add(
            Fault(endpoint=Endpoint.LIST, status=429, code="APIGW.0308", message="slower")
        )
        await each.round()
        assert each.metric("dli_up") == 1
        assert [line["reason"] for line in lines(caplog)] == ["throttled"]


async def test_a_list_that_is_too_long_is_told_once_each_time(
    caplog: pytest.LogCaptureFixture,
) -> None:
    async with world(page_size=1) as each:
        jobs = []
        for _ in range(103):
            jobs.append(each.submit())
            each.clock.now += 1
        for _ in range(2):
            await each.round()
            assert each.metric("dli_exporter_discovery_truncated") == 1
            assert each.jobs == {*jobs[:100], jobs[-1]}  # the oldest, and what is new
        (line,) = lines(caplog, "longer than can be read")
        assert line == {"project": "prod"}
        assert "discovery.queues" in caplog.text
        for job_id in jobs[:50]:
            each.simulator.end(job_id, "FINISHED")
        for _ in range(2):
            await each.round()
        assert each.metric("dli_exporter_discovery_truncated") == 0
        assert each.jobs == set(jobs)


async def test_a_round_that_broke_off_does_not_say_that_the_list_is_short(
    caplog: pytest.LogCaptureFixture,
) -> None:
    async with world(page_size=1) as each:
        for _ in range(101):
            each.submit()
        for fault in (None, NOT_ALLOWED, None):
            each.simulator.faults.clear()
            if fault:
                each.simulator.faults.add(fault)
            await each.round()
            assert each.metric("dli_exporter_discovery_truncated") == 1
        assert len(lines(caplog, "longer than can be read")) == 1


async def test_rounds_follow_each_other_at_the_interval_whatever_comes_of_them() -> None:
    async with world(rounds=3) as each:
        each.simulator.faults.add(NOT_ALLOWED)
        with pytest.raises(Done):
            await each.finder.run()
        assert each.waits == [INTERVAL] * 3
        assert each.simulator.requested(Endpoint.LIST) == 3


async def test_beyond_the_limit_jobs_are_refused_once_and_their_ends_counted_all_the_same(
    caplog: pytest.LogCaptureFixture,
) -> None:
    async with world(jobs=2) as each:
        jobs = [each.submit() for _ in range(5)]
        for _ in range(3):
            await each.round()
        assert len(each.jobs) == 2
        assert each.metric("dli_exporter_jobs_dropped_total", reason="job_limit") == 3
        assert len(lines(caplog, "no room")) == 1
        for job_id in jobs:
            each.simulator.end(job_id, "FINISHED")
        for _ in range(3):
            await each.round()
        assert each.ends("FINISHED") == 5


@pytest.mark.parametrize("seed", range(2))
async def test_every_end_of_jobs_that_come_and_go_is_shown_and_counted_once(seed: int) -> None:
    """A random walk of jobs that start, end and fail, between rounds and while one reads."""
    random = Random(seed)  # noqa: S311 - a walk that can be repeated
    async with world(page_size=random.choice([10, 100])) as each:
        running: list[str] = []
        ends: Counter[str] = Counter()
        shown: dict[str, str] = {}

        def act() -> None:
            for _ in range(random.randrange(3)):
                running.append(each.submit())
                if random.random() < 0.3:
                    each.submit(SHORT)
                    ends["FAILED"] += 1
                if random.random() < 0.8:
                    status = random.choice(["FINISHED", "FAILED", "CANCELLED"])
                    each.simulator.end(running.pop(random.randrange(len(running))), status)
                    ends[status] += 1

        await each.round()
        for _ in range(40):
            act()
            each.simulator.faults.clear()
            each.simulator.faults.add(acting(act, random.randrange(6)))
            await each.round(random.uniform(1, 60))
            await each.poller.once()
            each.tracker.retire()
            shown |= each.ended
        each.simulator.faults.clear()
        for _ in range(3):
            await each.round(900)
            await each.poller.once()
            shown |= each.ended
            each.tracker.retire()
        each.clock.now += 900
        each.tracker.retire()
        assert each.jobs == set(running)
        assert Counter(shown.values()) == ends
        assert {status: each.ends(status) for status in ends} == ends
        assert each.metric("dli_exporter_jobs_retired_total") == ends.total()
        text = b"".join(each.exposition.pieces()).decode()
        assert not [job_id for job_id in shown if job_id in text]


def acting(act: Callable[[], None], skip: int) -> Fault:
    """Make something happen while a round reads its pages."""

    def rewrite(body: dict[str, Any]) -> object:
        act()
        return body

    return Fault(endpoint=Endpoint.LIST, rewrite=rewrite, skip=skip, count=2)
