"""Reading finished runs from the list API."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from prometheus_client.parser import text_string_to_metric_families

from exporter.dli.client import DliClient
from exporter.dli.credentials import Static
from exporter.dli.pacing import Bucket
from exporter.dli.signing import AccessKey
from exporter.dli.transport import session
from exporter.historian import Historian
from exporter.jobs.forecast import Forecast
from exporter.jobs.model import Details, Job, JobKey, JobStatus, ListedJob
from exporter.metrics.telemetry import Telemetry
from exporter.simulator import Endpoint, Fault, Particulars, Scene, Simulator, serve
from exporter.sources.listing import Filters
from exporter.troubles import Troubles

SQL = "select * from orders where day = '2026-11-{:02}'"


class Reader:
    """A historian in front of a simulator with finished runs, and what came of its work."""

    def __init__(self, dli: Simulator, client: DliClient) -> None:
        self.dli = dli
        self.forecast = Forecast()
        self.telemetry = Telemetry(jobs=lambda: (), series=lambda: 0, now=lambda: 0.0)
        self.waits: list[float] = []
        self.historian = Historian(
            "prod",
            client,
            Filters(),
            forecast=self.forecast,
            troubles=Troubles("prod", self.telemetry),
            requests_per_second=5.0,
            sleep=self._wait,
        )

    async def _wait(self, seconds: float) -> None:
        self.waits.append(seconds)

    def expected_duration(self) -> float | None:
        key, details = JobKey("prod", "new"), Details(queue_name="etl", start=0.0)
        row = ListedJob(
            job_id="new", status=JobStatus.RUNNING, details=details, statement=SQL.format(23)
        )
        self.forecast.identify(key, row)
        job = Job(key=key, status=JobStatus.RUNNING, details=details)
        return self.forecast.follow(job, now=1.0).expected_duration


@asynccontextmanager
async def reading(runs: int) -> AsyncIterator[Reader]:
    clock = [1_795_000_000.0]
    dli = Simulator(scene=Scene(jobs=0), now=lambda: clock[0])
    for number in range(runs):
        particulars = Particulars(statement=SQL.format(number % 28 + 1), queue_name="etl")
        dli.add("single", start=clock[0] - 500.0, particulars=particulars)
    (project,) = dli.projects
    async with serve(dli) as address, session() as opened:
        client = DliClient(
            opened,
            address,
            project_id=project.id,
            provider=Static(AccessKey(project.ak, project.sk)),
            quota=Bucket(1000.0),
            timeout=5.0,
            now=lambda: clock[0],
        )
        yield Reader(dli, client)


async def test_finished_runs_of_the_statement_are_learnt() -> None:
    async with reading(3) as reader:
        assert await reader.historian.read(20)
        duration = reader.expected_duration()
    assert duration is not None
    assert 20 < duration < 40


async def test_pages_are_paced_at_a_small_share_of_the_quota() -> None:
    async with reading(250) as reader:
        assert await reader.historian.read(20)
        assert reader.dli.requested(Endpoint.LIST) == 3
    assert reader.waits == [4.0, 4.0, 4.0]


async def test_no_more_pages_are_read_than_wanted() -> None:
    async with reading(250) as reader:
        assert await reader.historian.read(1)
        assert reader.dli.requested(Endpoint.LIST) == 1


async def test_a_list_that_cannot_be_read_does_not_bring_the_project_down() -> None:
    async with reading(1) as reader:
        reader.dli.faults.add(Fault(status=403, code="APIGW.0302", message="no"))
        assert not await reader.historian.read(20)
        reader.dli.faults.clear()
        assert await reader.historian.read(20)
        text = reader.telemetry.text().decode()
    samples = {s.name for f in text_string_to_metric_families(text) for s in f.samples}
    assert "dli_up" not in samples
