"""The poller of one project against a simulated DLI: real sockets, and a clock of its own."""

import asyncio
import logging
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, replace
from typing import Any, Final

import pytest
from aiohttp import ClientSession
from prometheus_client.parser import text_string_to_metric_families

from exporter.dli.client import DliClient
from exporter.dli.credentials import Static
from exporter.dli.pacing import Bucket
from exporter.dli.signing import AccessKey
from exporter.dli.transport import session
from exporter.jobs.model import Job, JobKey, JobStatus, Registration
from exporter.jobs.retention import Retention
from exporter.jobs.schedule import Expected
from exporter.metrics.exposition import Exposition
from exporter.metrics.telemetry import Telemetry
from exporter.poller import Poller
from exporter.simulator import Cut, Endpoint, Fault, Scene, Simulator, demo_project, serve
from exporter.tracker import Limits, Source, Tags, Tracker
from exporter.troubles import Troubles

INTERVAL: Final = 15.0
NOW: Final = 1_790_000_000.0
PROJECT: Final = demo_project(1)
NOT_ALLOWED: Final = Fault(status=403, code="APIGW.0302", message="no")


@dataclass
class Clock:
    """A clock that goes on only when somebody waits for it, or sets it forward."""

    now: float = NOW

    def __call__(self) -> float:
        """Tell the time."""
        return self.now

    async def sleep(self, seconds: float) -> None:
        """Let time pass, and others come to their turn."""
        self.now += seconds
        await asyncio.sleep(0)


@dataclass
class World:
    """A poller with all that it works on."""

    address: str
    simulator: Simulator
    clock: Clock
    poller: Poller
    tracker: Tracker
    telemetry: Telemetry

    def submit(self, timeline: str = "single", ago: float = 20.0) -> str:
        """Let a job run in the simulator, begun some seconds ago, and watch it."""
        job_id = self.simulator.add(timeline, start=self.clock() - ago)
        self.watch(job_id)
        return job_id

    def watch(self, job_id: str) -> None:
        self.tracker.register(Registration(job_id=job_id, project="prod"), Source.LISTED)

    def withdraw(self, job_id: str) -> None:
        self.tracker.withdraw(JobKey("prod", job_id), Source.LISTED)

    def job(self, job_id: str) -> Job:
        job = self.tracker.get(JobKey("prod", job_id))
        assert job is not None
        return job

    def metric(self, name: str, **labels: str) -> float | None:
        """Read one of the exporter's own metrics; None if it is absent."""
        families = text_string_to_metric_families(self.telemetry.text().decode())
        wanted = {"project": "prod", **labels}
        return next(
            (
                sample.value
                for family in families
                for sample in family.samples
                if sample.name == name and sample.labels == wanted
            ),
            None,
        )

    def asked(self, job_id: str | None = None) -> int:
        """Count the questions after progress that were answered."""
        return sum(
            request.endpoint is Endpoint.PROGRESS and job_id in (None, request.job_id)
            for request in self.simulator.requests
        )

    async def until_asked(self, job_id: str, times: int) -> None:
        async with asyncio.timeout(10):
            await self.simulator.until(lambda _: self.asked(job_id) >= times)

    async def quiet(self) -> None:
        """Wait until the poller has done what was due.

        A job that comes now makes it look who is due, and whoever comes after that stands in
        line behind those.
        """
        for _ in range(2):
            await self.until_asked(self.submit("sql_aqe"), 1)

    @asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        """Let the poller run in the background."""
        task = asyncio.create_task(self.poller.run())
        try:
            yield
        finally:
            task.cancel()
            over, _ = await asyncio.wait({task}, timeout=10)
            assert over, "it does not hear that it is cancelled"

    async def round_trip(self) -> None:
        """Go to the simulator and back: what was on its way there before has arrived."""
        async with (
            ClientSession() as client,
            client.get(f"{self.address}/_simulator/state") as answer,
        ):
            assert answer.status == 200


Wait = Callable[[float], Awaitable[None]]


@asynccontextmanager
async def world(
    *,
    secret: str = PROJECT.sk,
    concurrency: int = 4,
    wait: Wait = asyncio.sleep,
    now: Callable[[], float] | None = None,
    expected: Callable[[float], Expected | None] = lambda _: None,
) -> AsyncIterator[World]:
    """Connect a poller to a simulator without jobs.

    ``wait`` spends the delays of faults; ``now`` is the poller's wall clock if not everybody's.
    ``expected`` tells the next scrape.
    """
    clock = Clock()
    simulator = Simulator(projects=[PROJECT], scene=Scene(jobs=0), now=clock)
    exposition = Exposition()
    telemetry = Telemetry(jobs=tuple, series=lambda: exposition.series, now=clock)
    tracker = Tracker(
        exposition=exposition,
        telemetry=telemetry,
        retention=Retention(900, 86_400),
        limits=Limits(1000, 100_000),
        tags=Tags(None, None),
        delivered=lambda _: False,
        now=clock,
        monotonic=clock,
    )
    async with serve(simulator, wait=wait) as address, session() as opened:
        client = DliClient(
            opened,
            address,
            project_id=PROJECT.id,
            provider=Static(AccessKey(PROJECT.ak, secret)),
            quota=Bucket(1000),
            timeout=10,
            now=clock,
            monotonic=clock,
            sleep=clock.sleep,
        )
        poller = Poller(
            "prod",
            client,
            tracker=tracker,
            telemetry=telemetry,
            troubles=Troubles("prod", telemetry),
            interval=INTERVAL,
            concurrency=concurrency,
            now=now or clock,
            monotonic=clock,
            expected=expected,
        )
        tracker.attach("prod", poller)
        yield World(address, simulator, clock, poller, tracker, telemetry)


def lines(caplog: pytest.LogCaptureFixture, level: int = logging.WARNING) -> list[dict[str, Any]]:
    """Give the fields of the log lines of at least a level."""
    return [getattr(record, "fields", {}) for record in caplog.records if record.levelno >= level]


async def test_a_good_answer_is_shown() -> None:
    async with world() as each:
        job_id = each.submit()
        await each.poller.once()
        job = each.job(job_id)
        assert (job.status, job.last_update) == (JobStatus.RUNNING, NOW)
        assert 0 < (job.ratio or 0) < 1
        assert each.metric("dli_up") == 1
        assert each.metric("dli_exporter_last_success_timestamp_seconds") == NOW


BROKEN: Final = {
    "a cut body": Fault(cut=Cut.IN_BODY),
    "a lost connection": Fault(cut=Cut.BEFORE),
    "no JSON": Fault(body="<html>"),
    "a page": Fault(body="<html>", content_type="text/html"),
    "another job": Fault(rewrite=lambda body: {**body, "job_id": "another"}),
    "an empty object": Fault(body="{}"),
    "null": Fault(body="null"),
    "a failure in words": Fault(rewrite=lambda body: {**body, "is_success": False}),
    "an error of DLI": Fault(status=400, code="DLI.0009"),
    "an error of the server": Fault(status=500, code="DLI.0005"),
    "an outage": Fault(status=503, code="APIGW.0202"),
    "a quota": Fault(status=429, code="APIGW.0308"),
    "a closed door": NOT_ALLOWED,
    "another place": Fault(status=302, headers={"Location": "https://example.com/"}),
    "no such API": Fault(status=404, code="APIGW.0101"),
}


@pytest.mark.parametrize("fault", BROKEN.values(), ids=BROKEN)
async def test_a_failed_call_overwrites_nothing(fault: Fault) -> None:
    async with world() as each:
        job_id = each.submit()
        await each.poller.once()
        good = each.job(job_id)
        each.simulator.faults.add(replace(fault, endpoint=Endpoint.PROGRESS))
        each.clock.now += INTERVAL
        await each.poller.once()
        assert each.job(job_id) is good
        each.simulator.faults.clear()
        each.clock.now += 400  # beyond every pause
        await each.poller.once()
        assert (each.job(job_id).last_update or 0) > each.clock() - 1


async def test_unreadable_fields_keep_their_values_and_are_counted() -> None:
    async with world() as each:
        job_id = each.submit()
        await each.poller.once()
        good = each.job(job_id)
        each.simulator.faults.add(Fault(rewrite=lambda body: {**body, "sub_jobs": "none"}))
        await each.poller.once()
        assert each.job(job_id).listed == good.listed
        telemetry = each.telemetry.text().decode()
        assert 'dli_exporter_parse_errors_total{field="sub_jobs"} 1.0\n' in telemetry


async def test_a_trouble_is_logged_when_it_begins_and_when_it_ends(
    caplog: pytest.LogCaptureFixture,
) -> None:
    caplog.set_level(logging.INFO)
    async with world() as each:
        job_id = each.submit()
        await each.poller.once()
        number = each.simulator.faults.add(Fault(body="{}", job_id=job_id))
        for _ in range(3):
            await each.poller.once()
        each.simulator.faults.remove(number)
        for _ in range(3):
            await each.poller.once()
    (begin, end) = lines(caplog, logging.INFO)
    assert (begin["project"], begin["job_id"], begin["reason"]) == ("prod", job_id, "parse")
    assert (end["project"], end["job_id"], end["after"]) == ("prod", job_id, "parse")


async def test_another_trouble_is_logged_too(caplog: pytest.LogCaptureFixture) -> None:
    async with world() as each:
        job_id = each.submit()
        for body in ("{}", "{}", '{"is_success": false}', '{"is_success": false}'):
            number = each.simulator.faults.add(Fault(body=body, job_id=job_id))
            await each.poller.once()
            each.simulator.faults.remove(number)
    assert [line["reason"] for line in lines(caplog)] == ["parse", "unsuccessful"]


async def test_a_trouble_of_the_whole_project_is_one_line(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)
    async with world() as each:
        for _ in range(5):
            each.submit()
        each.simulator.faults.add(NOT_ALLOWED)
        for _ in range(3):
            await each.poller.once()
        assert each.metric("dli_up") == 0
        each.simulator.faults.clear()
        await each.poller.once()
        assert each.metric("dli_up") == 1
    begin, end = lines(caplog, logging.INFO)
    assert (begin["reason"], end["after"]) == ("forbidden", "forbidden")
    assert "job_id" not in {**begin, **end}


async def test_a_trouble_of_one_job_leaves_the_project_up() -> None:
    async with world() as each:
        good, bad = each.submit(), each.submit()
        each.simulator.faults.add(Fault(body="{}", job_id=bad))
        await each.poller.once()
        assert each.metric("dli_up") == 1
        assert each.job(good).status is JobStatus.RUNNING
        assert each.job(bad).status is None


async def test_a_quota_says_nothing_about_whether_the_api_is_up() -> None:
    async with world() as each:
        each.submit()
        each.simulator.faults.add(Fault(status=429, code="APIGW.0308"))
        await each.poller.once()
        assert each.metric("dli_up") is None


async def test_a_wrong_key_stops_calls_before_it_is_locked_and_is_one_line(
    caplog: pytest.LogCaptureFixture,
) -> None:
    async with world(secret="wrong") as each:
        for _ in range(10):
            each.submit()
        for _ in range(5):
            await each.poller.once()
        assert each.simulator.requested(status=401) == 4
        assert each.metric("dli_up") == 0
        assert [line["reason"] for line in lines(caplog)] == ["signature"]


async def test_a_wrong_key_is_tried_again_after_five_minutes() -> None:
    async with world(secret="wrong") as each:
        for _ in range(10):
            each.submit()
        await each.poller.once()
        each.clock.now += 299
        await each.poller.once()
        assert each.simulator.requested(status=401) == 4
        each.clock.now += 2
        each.simulator.gateway.put(replace(PROJECT, sk="wrong"))
        await each.poller.once()
        assert each.metric("dli_up") == 1


async def test_an_unknown_status_word_is_logged_once(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)
    async with world() as each:
        first, second = each.submit(), each.submit()
        each.simulator.faults.add(
            Fault(endpoint=Endpoint.PROGRESS, rewrite=lambda body: {**body, "status": "PAUSED"})
        )
        for _ in range(3):
            await each.poller.once()
        assert {each.job(job_id).status for job_id in (first, second)} == {JobStatus.UNKNOWN}
    assert [line["word"] for line in lines(caplog, logging.INFO)] == ["PAUSED"]


async def test_a_new_job_is_asked_at_once() -> None:
    async with world() as each, each.running():
        await each.until_asked(each.submit(), 1)
        before = each.clock()
        await each.until_asked(each.submit(), 1)
        assert each.clock() - before < INTERVAL


async def test_a_running_job_is_asked_once_an_interval() -> None:
    async with world() as each, each.running():
        job_id = each.submit()
        await each.until_asked(job_id, 1)
        for times in range(2, 5):
            await each.quiet()
            assert each.asked(job_id) == times - 1
            each.clock.now += INTERVAL
            await each.quiet()
            await each.until_asked(job_id, times)


async def test_a_running_job_is_asked_shortly_before_the_scrape_that_is_expected() -> None:
    scrape = NOW + 1000
    async with world(expected=lambda _: Expected(scrape, 60.0)) as each:
        job_id = each.submit()
        await each.poller.once()
        async with each.running():
            each.clock.now += 10 * INTERVAL
            await each.quiet()
            assert each.asked(job_id) == 1
            scrape = each.clock.now
            await each.quiet()
            await each.until_asked(job_id, 2)


async def test_an_ended_job_is_asked_once_more_and_no_more(
    caplog: pytest.LogCaptureFixture,
) -> None:
    caplog.set_level(logging.INFO)
    async with world() as each, each.running():
        job_id = each.submit(ago=100)
        await each.until_asked(job_id, 1)
        await each.quiet()
        each.clock.now += INTERVAL
        await each.quiet()
        await each.until_asked(job_id, 2)
        for _ in range(3):
            await each.quiet()
            each.clock.now += INTERVAL
            await each.quiet()
        assert each.asked(job_id) == 2
        assert each.job(job_id).status is JobStatus.FINISHED
    ends = [record for record in caplog.records if record.message == "job ended"]
    assert [end.fields["job_id"] for end in ends] == [job_id]  # type: ignore[attr-defined] # logs.fields sets it


async def test_a_job_that_was_withdrawn_is_asked_no_more() -> None:
    async with world() as each, each.running():
        job_id = each.submit()
        await each.until_asked(job_id, 1)
        await each.quiet()
        each.withdraw(job_id)
        each.clock.now += INTERVAL
        await each.quiet()
        await each.quiet()
        assert each.asked(job_id) == 1


class Door:
    """What holds up every request that comes, and counts how many stand there at most."""

    def __init__(self) -> None:
        self.inside = self.most = 0
        self.crowd = asyncio.Condition()
        self.open = asyncio.Event()

    async def __call__(self, _: float) -> None:
        """Stand at the door until it opens."""
        async with self.crowd:
            self.inside += 1
            self.most = max(self.most, self.inside)
            self.crowd.notify_all()
        await self.open.wait()
        self.inside -= 1

    async def holds(self, number: int) -> None:
        """Wait until so many stand there."""
        async with asyncio.timeout(10), self.crowd:
            await self.crowd.wait_for(lambda: self.inside >= number)


@pytest.mark.parametrize("way", ["run", "once"])
async def test_no_more_than_so_many_jobs_are_asked_at_a_time(way: str) -> None:
    door = Door()
    async with world(concurrency=3, wait=door) as each:
        each.submit()
        await each.poller.once()  # a key that is proven holds no call back
        jobs = [each.submit() for _ in range(12)]
        each.simulator.faults.add(Fault(delay=1))
        polling = asyncio.create_task(getattr(each.poller, way)())
        await door.holds(3)
        await each.round_trip()
        door.open.set()
        for job_id in jobs:
            await each.until_asked(job_id, 1)
        assert door.most == 3
        polling.cancel()
        with suppress(asyncio.CancelledError):
            await polling


async def test_a_job_may_be_withdrawn_while_it_stands_in_line() -> None:
    door = Door()
    async with world(concurrency=1, wait=door) as each:
        first, second = each.submit(), each.submit()
        each.simulator.faults.add(Fault(delay=1))
        polling = asyncio.create_task(each.poller.once())
        await door.holds(1)
        each.withdraw(first)
        each.withdraw(second)
        door.open.set()
        await polling
        assert each.asked(second) == 0


async def test_a_poller_ends_at_once_when_it_is_cancelled_in_the_middle_of_calls() -> None:
    door = Door()
    async with world(wait=door) as each:
        each.submit()
        each.simulator.faults.add(Fault(delay=1))
        polling = asyncio.create_task(each.poller.run())
        await door.holds(1)
        polling.cancel()
        async with asyncio.timeout(10):
            with pytest.raises(asyncio.CancelledError):
                await polling


async def test_a_poller_can_be_cancelled_at_the_moment_of_news() -> None:
    """Waiting for an event and for a time at once must not lose a cancellation."""
    async with world() as each:
        polling = asyncio.create_task(each.poller.run())
        await each.until_asked(each.submit(), 1)
        await each.quiet()
        each.submit()
        polling.cancel()
        async with asyncio.timeout(10):
            with pytest.raises(asyncio.CancelledError):
                await polling


async def test_what_nobody_foresaw_ends_the_poller() -> None:
    def stopped() -> float:
        raise RuntimeError("the clock has stopped")

    async with world(now=stopped) as each:
        each.submit()
        async with asyncio.timeout(10):
            with pytest.raises(ExceptionGroup) as ended:
                await each.poller.run()
        assert ended.group_contains(RuntimeError, match="the clock has stopped")


async def test_readiness_is_a_first_answer_whatever_it_is() -> None:
    async with world() as each:
        assert each.poller.ready
        each.submit()
        assert not each.poller.ready
        each.simulator.faults.add(NOT_ALLOWED)
        await each.poller.once()
        assert each.poller.ready


async def test_the_beat_tells_when_the_loop_last_went_round() -> None:
    async with world() as each:
        assert each.poller.beat == NOW
        each.clock.now += 100
        assert each.poller.beat == NOW
        async with each.running():
            await each.quiet()
            assert each.poller.beat >= NOW + 100


async def test_a_job_of_which_no_progress_is_to_be_had_ends_by_the_list() -> None:
    async with world() as each:
        job_id = each.submit()
        each.simulator.faults.add(
            Fault(endpoint=Endpoint.PROGRESS, status=400, code="DLI.0999", message="too old")
        )
        await each.poller.once()
        assert each.job(job_id).status is JobStatus.RUNNING
        each.clock.now += 60.0
        await each.poller.once()
        assert each.job(job_id).status is JobStatus.FINISHED


async def test_a_job_that_was_submitted_a_moment_ago_has_three_chances() -> None:
    async with world() as each:
        each.watch("85798b38-ae44-48eb-bb90-7cf0dcdafe7b")
        for _ in range(2):
            await each.poller.once()
            assert len(list(each.tracker)) == 1
        await each.poller.once()
        assert not list(each.tracker)
        assert each.metric("dli_exporter_jobs_dropped_total", reason="not_found") == 1


async def test_a_job_that_was_seen_and_is_denied_is_dropped_at_once() -> None:
    async with world() as each:
        job_id = each.submit()
        await each.poller.once()
        each.simulator.forget(job_id)
        await each.poller.once()
        assert not list(each.tracker)
