"""One project under watch, as its settings ask for it, against a simulated DLI."""

import asyncio
import time
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final
from urllib.parse import parse_qsl, urlsplit

import pytest
from prometheus_client.parser import text_string_to_metric_families

from exporter.connection import StartError
from exporter.dli.client import ENDPOINTS, JOBS, LOOKUP_ENDPOINTS, PROGRESS
from exporter.dli.errors import REASONS
from exporter.jobs.model import Job, JobKey, JobStatus, Registration
from exporter.jobs.retention import Retention
from exporter.metrics.exposition import Exposition
from exporter.metrics.telemetry import Telemetry
from exporter.settings import Project, Settings
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
from exporter.tracker import Limits, Source, Tags, Tracker
from exporter.watch import Watch

from .cloud import NAMED, REACHABLE, REGION, Cloud, provider, serving

ACCOUNT: Final = demo_project(1)
LONG: Final = Timeline(
    name="made up",
    times=(0.0,),
    responses=({"job_id": "recorded", "status": "RUNNING", "progress": 0.5},),
    origin=0.0,
    completed=(0,),
)
"""A recording of a job that runs until somebody ends it."""


@dataclass
class World:
    """A simulated DLI, and what watches of its project work on."""

    simulator: Simulator
    address: str
    telemetry: Telemetry
    tracker: Tracker
    stack: AsyncExitStack

    def submit(self, **about: Any) -> str:
        return self.simulator.add(
            LONG, particulars=Particulars(**{"statement": "select 1", **about})
        )

    def settings(self, poll: dict[str, object] | None = None, **changes: object) -> Settings:
        keys = {"provider": "static", "ak": ACCOUNT.ak, "sk": ACCOUNT.sk}
        about = {"endpoint": self.address, "project_id": ACCOUNT.id, "credentials": keys}
        project = {**about, "requests_per_second": 1000, **changes}
        given = {"interval": "20ms", **(poll or {})}
        return Settings.model_validate({"projects": {"prod": project}, "poll": given})

    def watch(
        self, poll: dict[str, object] | None = None, *, history: bool = False, **changes: object
    ) -> Watch:
        """Open a watch of the project with some of its settings changed, and attach it."""
        settings = self.settings(poll, **changes)
        watch = Watch(
            "prod",
            settings.projects["prod"],
            poll=settings.poll,
            zones=settings.zones,
            history=history,
            expected=lambda now: None,
            tracker=self.tracker,
            telemetry=self.telemetry,
        )
        self.stack.push_async_callback(watch.close)
        watch.attach()
        return watch

    def register(self, job_id: str) -> None:
        self.tracker.register(Registration(job_id=job_id, project="prod"), Source.HTTP)

    def job(self, job_id: str) -> Job:
        job = self.tracker.get(JobKey("prod", job_id))
        assert job is not None
        return job

    @property
    def jobs(self) -> set[str]:
        return {job.key.job_id for job in self.tracker}

    def queries(self) -> list[list[tuple[str, str]]]:
        """Give the queries of the list calls so far."""
        asked = (each for each in self.simulator.requests if each.endpoint is Endpoint.LIST)
        return [parse_qsl(urlsplit(each.target).query) for each in asked]

    async def until(self, condition: Callable[[], bool]) -> None:
        """Let others come to their turn until something is so."""
        async with asyncio.timeout(10):
            while not condition():  # noqa: ASYNC110 - what is waited for has no event
                await asyncio.sleep(0)

    def metric(self, name: str, **labels: str) -> float | None:
        """Read one of the exporter's own metrics; None if it is absent."""
        families = text_string_to_metric_families(self.telemetry.text().decode())
        wanted = {"project": "prod", **labels}
        samples = (sample for family in families for sample in family.samples)
        return next(
            (each.value for each in samples if each.name == name and each.labels == wanted), None
        )


@asynccontextmanager
async def world(
    *, ahead: float = 0.0, now: Callable[[], float] = time.time
) -> AsyncIterator[World]:
    """Serve no jobs; the clock here is ``ahead`` of the simulator's, and ``now`` the tracker's."""
    simulator = Simulator(
        projects=[ACCOUNT], timelines=[], scene=Scene(jobs=0), now=lambda: time.time() - ahead
    )
    exposition = Exposition()
    telemetry = Telemetry(jobs=tuple, series=lambda: exposition.series, now=time.time)
    tracker = Tracker(
        exposition=exposition,
        telemetry=telemetry,
        retention=Retention(900, 86_400),
        limits=Limits(1000, 100_000),
        tags=Tags(),
        delivered=lambda _: True,
        now=now,
        monotonic=time.monotonic,
    )
    async with AsyncExitStack() as stack:
        address = await stack.enter_async_context(serve(simulator))
        yield World(simulator, address, telemetry, tracker, stack)


async def test_every_counter_is_there_before_the_first_call() -> None:
    async with world() as each:
        each.watch(requests_per_second=7)
        for endpoint in ENDPOINTS:
            assert each.metric("dli_exporter_api_requests_total", endpoint=endpoint) == 0
            for reason in REASONS:
                about = {"endpoint": endpoint, "reason": reason}
                assert each.metric("dli_exporter_api_request_errors_total", **about) == 0
        assert each.metric("dli_exporter_credentials_refresh_errors_total") == 0
        assert each.metric("dli_exporter_api_requests_per_second_limit") == 7
        assert each.metric("dli_up") is None
        assert each.simulator.requested() == 0


async def test_a_watch_takes_over_the_jobs_that_another_one_had() -> None:
    async with world() as each:
        job_id = each.submit()
        first = each.watch()
        each.register(job_id)
        await first.once()
        before = each.job(job_id)
        await first.close()
        second = each.watch()
        assert each.job(job_id) is before
        await second.once()
        assert each.job(job_id).last_update != before.last_update


async def test_one_look_asks_for_each_job_once() -> None:
    async with world() as each:
        jobs = [each.submit() for _ in range(3)]
        watch = each.watch()
        for job_id in jobs:
            each.register(job_id)
        await watch.once()
        assert each.simulator.requested(Endpoint.PROGRESS) == 3
        assert {each.job(job_id).status for job_id in jobs} == {JobStatus.RUNNING}
        # Without discovery the list tells of single jobs only.
        assert sorted(dict(query)["job-id"] for query in each.queries()) == sorted(jobs)


async def test_one_look_finds_jobs_first_where_that_is_wanted() -> None:
    async with world() as each:
        job_id = each.submit()
        watch = each.watch(discovery={"enabled": True})
        await watch.once()
        assert each.jobs == {job_id}
        assert each.job(job_id).progress == 0.5


async def test_no_job_is_found_where_it_is_not_wanted() -> None:
    async with world() as each:
        each.submit()
        watch = each.watch(discovery={"enabled": False, "queues": ["etl"]})
        await watch.once()
        assert each.jobs == set()
        assert each.simulator.requested() == 0


FILTERS: Final[dict[str, tuple[dict[str, object], dict[str, object], set[tuple[str, str]]]]] = {
    "queues": ({"queues": ["etl"]}, {"queue_name": "etl"}, {("queue_name", "etl")}),
    "several queues": ({"queues": ["etl", "adhoc"]}, {"queue_name": "adhoc"}, set()),
    "owner": ({"owner": "mei"}, {"owner": "mei"}, {("owner", "mei")}),
    "tags": ({"tags": {"team": "x"}}, {"tags": {"team": "x"}}, {("tags", "team=x")}),
    "job types": ({"job_types": ["INSERT"]}, {"job_type": "INSERT"}, {("job_types", "INSERT")}),
    "database": ({"database": "sales"}, {"database_name": "sales"}, {("db_name", "sales")}),
    "engines": ({"engine_types": ["hetuEngine"]}, {"engine_type": "hetuEngine"}, set()),
}


@pytest.mark.parametrize(("discovery", "about", "asked"), FILTERS.values(), ids=FILTERS)
async def test_the_filters_of_the_settings_choose_the_jobs(
    discovery: dict[str, object], about: dict[str, object], asked: set[tuple[str, str]]
) -> None:
    async with world() as each:
        each.submit(queue_name="other")
        wanted = each.submit(**about)
        await each.watch(discovery={"enabled": True, **discovery}).once()
        assert each.jobs == {wanted}
        rounds = [query for query in each.queries() if "job-id" not in dict(query)]
        assert len(rounds) == 4
        assert all(asked <= set(query) for query in rounds)


async def test_calls_are_counted_with_their_reasons() -> None:
    async with world() as each:
        job_id = each.submit()
        watch = each.watch()
        each.register(job_id)
        await watch.once()
        for endpoint in (PROGRESS, JOBS):
            assert each.metric("dli_exporter_api_requests_total", endpoint=endpoint) == 1
            name = "dli_exporter_api_request_duration_seconds_count"
            assert each.metric(name, endpoint=endpoint) == 1
        each.simulator.faults.add(Fault(body="[]", count=1))
        await watch.once()
        assert each.metric("dli_exporter_api_requests_total", endpoint=PROGRESS) == 2
        about = {"endpoint": PROGRESS, "reason": "parse"}
        assert each.metric("dli_exporter_api_request_errors_total", **about) == 1


async def test_a_call_that_was_tried_again_counts_as_often_as_it_was_made() -> None:
    async with world() as each:
        watch = each.watch()
        each.register(each.submit())
        each.simulator.faults.add(Fault(status=429, code="APIGW.0308", count=1))
        await watch.once()
        about = {"endpoint": PROGRESS, "reason": "throttled"}
        assert each.metric("dli_exporter_api_request_errors_total", **about) == 1
        assert each.metric("dli_exporter_api_requests_total", endpoint=PROGRESS) == 2
        assert (each.metric("dli_exporter_api_requests_per_second_limit") or 0) < 1000
        assert each.metric("dli_up") == 1


@pytest.mark.parametrize("ahead", [0, 120, -120])
async def test_the_skew_of_the_clock_is_that_of_the_last_answer(ahead: float) -> None:
    async with world(ahead=ahead) as each:
        watch = each.watch()
        each.register(each.submit())
        await watch.once()
        # A Date header has whole seconds.
        assert each.metric("dli_exporter_clock_skew_seconds") == pytest.approx(ahead, abs=1.1)


async def test_permanent_keys_have_no_expiry() -> None:
    async with world() as each:
        watch = each.watch()
        each.register(each.submit())
        await watch.once()
        assert each.metric("dli_exporter_credentials_expiry_timestamp_seconds") is None


async def test_credentials_that_cannot_be_read_are_counted_and_lower_the_project(
    tmp_path: Path,
) -> None:
    async with world() as each:
        keys = {"provider": "file", "directory": str(tmp_path / "nothing")}
        watch = each.watch(credentials=keys)
        each.register(each.submit())
        await watch.once()
        assert each.metric("dli_exporter_credentials_refresh_errors_total") == 1
        assert each.metric("dli_up") == 0
        assert each.simulator.requested() == 0


async def test_a_watch_asks_and_looks_until_it_is_cancelled() -> None:
    async with world() as each:
        first = each.submit()
        watch = each.watch(discovery={"enabled": True, "interval": "20ms"}, history=True)
        running = asyncio.create_task(watch.run())
        await each.until(lambda: first in each.jobs)
        second = each.submit()
        await each.until(lambda: second in each.jobs)
        for job_id in (first, second):
            await each.until(lambda job_id=job_id: each.job(job_id).progress == 0.5)  # type: ignore[misc] # mypy cannot infer a default
        each.simulator.end(first, "CANCELLED")
        await each.until(lambda: each.job(first).status is JobStatus.CANCELLED)
        assert ("job-status", "FINISHED") in {pair for query in each.queries() for pair in query}
        running.cancel()
        async with asyncio.timeout(10):
            await asyncio.wait({running})
        assert running.cancelled()


async def test_history_is_not_read_where_it_is_not_wanted() -> None:
    async with world() as each:
        job_id = each.submit()
        watch = each.watch(discovery={"enabled": True}, history=False)
        running = asyncio.create_task(watch.run())
        await each.until(lambda: job_id in each.jobs and each.job(job_id).progress == 0.5)
        running.cancel()
        await asyncio.wait({running})
        pairs = {pair for query in each.queries() for pair in query}
        assert ("job-status", "FINISHED") not in pairs


async def test_a_part_that_dies_ends_the_watch() -> None:
    def stopped() -> float:
        raise RuntimeError("the clock has stopped")

    async with world(now=stopped) as each:
        each.submit()
        watch = each.watch(discovery={"enabled": True})
        async with asyncio.timeout(10):
            with pytest.raises(ExceptionGroup) as ended:
                await watch.run()
        assert ended.group_contains(RuntimeError, match="the clock has stopped")


async def test_no_more_calls_are_under_way_than_the_quota_allows_in_a_second() -> None:
    entered = most = 0

    async def wait(_: float) -> None:
        nonlocal entered, most
        entered += 1
        most = max(most, entered)
        if entered > 20:
            release.set()
        async with asyncio.timeout(5):
            await release.wait()
        entered -= 1

    release = asyncio.Event()
    async with world() as each, serve(each.simulator, wait=wait) as address:
        watch = each.watch(endpoint=address, requests_per_second=20)
        each.register(each.submit())
        await watch.once()  # before the first good answer the key is not risked in many calls
        for _ in range(30):
            each.register(each.submit())
        each.simulator.faults.add(Fault(delay=1, endpoint=Endpoint.PROGRESS))
        await watch.once()
    assert most == 21


async def test_a_ca_file_that_is_none_cannot_be_watched_with(tmp_path: Path) -> None:
    bad = tmp_path / "ca.pem"
    bad.write_text("no certificate")
    async with world() as each:
        with pytest.raises(StartError, match=r"ca\.pem: holds no usable certificates"):
            each.watch(ca_file=str(bad))


async def test_the_project_is_that_of_the_settings() -> None:
    async with world() as each:
        watch = each.watch()
        assert watch.name == "prod"
        assert isinstance(watch.project, Project)
        assert watch.project.project_id == ACCOUNT.id


# Credentials that end, and projects that are looked up


@asynccontextmanager
async def running(watch: Watch) -> AsyncIterator[None]:
    """Let a watch run as long as the block lasts."""
    task = asyncio.create_task(watch.run())
    try:
        yield
    finally:
        task.cancel()
        await asyncio.wait({task})


async def test_the_end_of_the_credential_is_shown_and_failures_to_renew_it_counted(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("INFO")
    async with world() as each, serving(Cloud(ACCOUNT, each.simulator.gateway)) as cloud:
        watch = each.watch(credentials=provider("pod_identity", cloud, tmp_path))
        each.register(each.submit())
        cloud.fail()
        await watch.once()
        assert each.metric("dli_up") == 0
        assert each.metric("dli_exporter_credentials_refresh_errors_total") == 1
        assert each.metric("dli_exporter_credentials_expiry_timestamp_seconds") is None
        assert each.simulator.requested() == 0
        assert [record.message for record in caplog.records] == ["calls fail"]
        cloud.recover()
        async with running(watch):
            await each.until(lambda: each.metric("dli_up") == 1)
        end = each.metric("dli_exporter_credentials_expiry_timestamp_seconds")
        assert end is not None
        assert abs(end - time.time() - cloud.life) < 60
        assert caplog.records[-1].message == "calls succeed again"


async def test_keys_that_are_taken_back_are_renewed_within_the_call(tmp_path: Path) -> None:
    async with world() as each, serving(Cloud(ACCOUNT, each.simulator.gateway)) as cloud:
        watch = each.watch(
            credentials=provider("oidc-iam", cloud, tmp_path), iam_endpoint=cloud.address
        )
        job_id = each.submit()
        each.register(job_id)
        await watch.once()
        before = each.job(job_id).last_update
        cloud.revoke()
        await watch.once()
        after = each.job(job_id).last_update
        assert before is not None
        assert after is not None
        assert after > before
        assert len(cloud.issued) == 2
        assert each.simulator.requested(status=401) == 1


async def test_a_project_is_looked_up_in_the_background(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level("INFO")
    async with world() as each, serving(Cloud(ACCOUNT, each.simulator.gateway)) as cloud:
        cloud.open.clear()  # IAM hangs
        watch = each.watch(project_id=None, region=REGION, iam_endpoint=cloud.address)
        assert watch.poller.ready
        async with running(watch):
            await cloud.until(lambda: cloud.asked(REACHABLE) == 1)
            assert watch.poller.ready
            cloud.open.set()
            await each.until(lambda: "project found" in caplog.messages)
        assert cloud.asked(NAMED) == 0
        for endpoint in (*ENDPOINTS, *LOOKUP_ENDPOINTS):
            asked = each.metric("dli_exporter_api_requests_total", endpoint=endpoint)
            assert asked == (endpoint == REACHABLE)


async def test_a_project_that_is_not_found_yet_is_looked_up_again(
    caplog: pytest.LogCaptureFixture,
) -> None:
    async with world() as each, serving(Cloud(ACCOUNT, each.simulator.gateway)) as cloud:
        cloud.fail()
        watch = each.watch(project_id=None, region=REGION, iam_endpoint=cloud.address)
        job_id = each.submit()
        each.register(job_id)
        async with running(watch):
            await each.until(lambda: watch.poller.ready and "calls fail" in caplog.messages)
            assert each.metric("dli_up") == 0
            cloud.recover()
            await each.until(lambda: each.job(job_id).status is JobStatus.RUNNING)
            assert each.metric("dli_up") == 1
