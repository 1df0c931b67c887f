"""What there is no room for, and what DLI does not know (any more)."""

from collections.abc import AsyncIterator, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import aiohttp
import pytest

from exporter.simulator import Endpoint, Fault, Simulator, serve
from exporter.simulator.answers import UNKNOWN_JOB, UNRELATED_JOB, Refusal

from .exporters import (
    HEADER,
    Exporter,
    Metrics,
    alone,
    asked,
    exporter,
    lasting,
    project,
    quiet,
    timeline,
    write,
)
from .processes import eventually

DROPPED = "dli_exporter_jobs_dropped_total"
EXPIRED = Refusal(400, "DLI.0100", "The job result has expired.")


async def post(watching: Exporter, job: str) -> int:
    """Register a job over HTTP."""
    async with (
        aiohttp.ClientSession() as session,
        session.post(f"{watching.url}/api/v1/jobs", json={"job_id": job}) as response,
    ):
        return response.status


async def delivered(scraper: aiohttp.ClientSession, watching: Exporter, jobs: int) -> Metrics:
    """Scrape until so many ends were seen."""

    async def seen() -> Metrics | None:
        async with scraper.get(f"{watching.url}/metrics", headers=HEADER) as response:
            await response.read()
        metrics = await watching.metrics()
        return metrics if metrics.value("dli_exporter_jobs", state="ended") == jobs else None

    found = await eventually(seen, f"{jobs} ends were seen")
    assert found is not None
    return found


async def test_running_jobs_stay_and_seen_ends_make_room(tmp_path: Path) -> None:
    dli = quiet()
    running, ending = dli.add(lasting()), dli.add(lasting())
    flags = ("--limits.jobs=2", "--web.enable-registration")
    async with (
        serve(dli) as address,
        exporter(alone(tmp_path, dli, address), *flags) as watching,
        aiohttp.ClientSession() as scraper,
    ):
        await watching.statuses({running: "RUNNING", ending: "RUNNING"})
        late = dli.add(lasting())
        assert await post(watching, late) == 503
        metrics = await watching.metrics()
        assert metrics.statuses() == {running: "RUNNING", ending: "RUNNING"}
        assert metrics.value(DROPPED, reason="job_limit") == 1

        dli.end(ending, "FAILED")
        await watching.statuses({ending: "FAILED"})
        assert await post(watching, late) == 503, "nobody has seen the end"
        await delivered(scraper, watching, 1)
        assert await post(watching, late) == 201
        metrics = await watching.statuses({running: "RUNNING", late: "RUNNING"})
        assert metrics.jobs == {running, late}
        assert metrics.value(DROPPED, reason="job_limit") == 1
        assert metrics.value("dli_exporter_jobs_retired_unscraped_total") == 0
    assert watching.process.err.count("no room for more jobs") == 1


async def test_found_jobs_beyond_the_limit_are_counted_once_and_come_later(tmp_path: Path) -> None:
    dli = quiet()
    for _ in range(4):
        dli.add(lasting())
    (only,) = dli.projects
    async with serve(dli) as address:
        found = {"enabled": True, "interval": "100ms"}
        projects = {"default": project(only, address, discovery=found)}
        settings = write(tmp_path / "dli.yaml", projects, limits={"jobs": 2})
        async with exporter(settings) as watching, aiohttp.ClientSession() as scraper:
            await watching.shows(DROPPED, 2, reason="job_limit")
            rounds = dli.requested(Endpoint.LIST)
            await asked(dli, lambda dli: dli.requested(Endpoint.LIST) > rounds + 12)
            metrics = await watching.metrics()
            assert metrics.value(DROPPED, reason="job_limit") == 2
            first = dict.fromkeys(metrics.jobs, "FINISHED")
            assert len(first) == 2
            for job in first:
                dli.end(job, "FINISHED")
            await watching.statuses(first)
            await eventually(partial(others, scraper, watching, first), "the others come")


async def others(scraper: aiohttp.ClientSession, watching: Exporter, first: Any) -> bool:
    async with scraper.get(f"{watching.url}/metrics", headers=HEADER) as response:
        await response.read()
    statuses = (await watching.metrics()).statuses()
    return len(statuses) == 2 and not statuses.keys() & first.keys()


async def test_listed_jobs_beyond_the_limit_come_when_there_is_room(tmp_path: Path) -> None:
    dli = quiet()
    first, second = (dli.add(lasting(), job_id=name) for name in ("first", "second"))
    async with (
        serve(dli) as address,
        exporter(alone(tmp_path, dli, address), "--limits.jobs=1") as watching,
        aiohttp.ClientSession() as scraper,
    ):
        await watching.statuses({first: "RUNNING"})
        assert (await watching.metrics()).value(DROPPED, reason="job_limit") == 1
        dli.end(first, "FINISHED")

        async def came() -> bool:
            async with scraper.get(f"{watching.url}/metrics", headers=HEADER) as response:
                await response.read()
            return (await watching.metrics()).statuses() == {second: "RUNNING"}

        await eventually(came, "the second job is watched")


async def test_series_are_bounded_and_running_jobs_stay(tmp_path: Path) -> None:
    dli = quiet()
    large = dli.add(lasting(subjobs=100))
    flags = ("--limits.series=1000", "--web.enable-registration")
    async with (
        serve(dli) as address,
        exporter(alone(tmp_path, dli, address), *flags) as watching,
    ):
        metrics = await watching.statuses({large: "RUNNING"})
        assert (metrics.value("dli_exporter_series") or 0) > 1000
        assert await post(watching, dli.add(lasting())) == 503
        metrics = await watching.metrics()
        assert metrics.value(DROPPED, reason="series_limit") == 1
        assert metrics.statuses() == {large: "RUNNING"}


@pytest.mark.parametrize(
    ("flags", "shown"),
    [
        ((), [str(each) for each in range(100)]),
        (("--subjobs=running",), ["49", "99"]),
        (("--subjobs=none",), []),
        (("--limits.subjobs-per-job=4",), ["49", "97", "98", "99"]),
        (("--subjobs=running", "--limits.subjobs-per-job=1"), ["99"]),
    ],
)
async def test_subjobs_have_series_as_the_settings_want(
    tmp_path: Path, flags: Sequence[str], shown: list[str]
) -> None:
    """The job's own sums are over all of them in any case."""
    dli = quiet()
    job = dli.add(lasting(subjobs=100))
    async with (
        serve(dli) as address,
        exporter(alone(tmp_path, dli, address), *flags) as watching,
    ):
        metrics = await watching.statuses({job: "RUNNING"})
    each = [labels["subjob_id"] for labels, _ in metrics.found("dli_subjob_info")]
    assert sorted(each, key=int) == shown
    assert metrics.value("dli_job_tasks", job_id=job) == 1000
    assert metrics.value("dli_job_subjobs", job_id=job, status="RUNNING") == 2
    others = {labels["subjob_id"] for labels, _ in metrics.found("dli_subjob_progress_ratio")}
    assert others == set(shown)


@pytest.fixture
async def running(tmp_path: Path) -> AsyncIterator[tuple[Simulator, str, Path]]:
    """Simulate a job that runs; the settings list another one that is not there."""
    dli = quiet()
    job = dli.add(lasting())
    async with serve(dli) as address:
        (only,) = dli.projects
        projects = {"default": project(only, address, jobs=[job, "unknown"])}
        settings = write(tmp_path / "dli.yaml", projects, history={"enabled": False})
        yield dli, job, settings


def calls(dli: Simulator, job: str) -> list[Endpoint]:
    """List the calls about a job."""
    return [each.endpoint for each in dli.requests if job in each.target]


@pytest.mark.parametrize(
    ("refusal", "reason"),
    [(UNKNOWN_JOB, "not_found"), (UNRELATED_JOB, "not_found"), (EXPIRED, "expired")],
    ids=lambda each: getattr(each, "code", each),
)
async def test_an_unknown_job_is_confirmed_by_the_list_and_dropped_once(
    running: tuple[Simulator, str, Path], refusal: Refusal, reason: str
) -> None:
    dli, job, settings = running
    dli.unknown_job = refusal
    async with exporter(settings) as watching:
        await watching.shows(DROPPED, 1, reason=reason)
        rounds = len(calls(dli, job))
        await asked(dli, lambda dli: len(calls(dli, job)) > rounds + 3)
        metrics = await watching.metrics()
        assert metrics.jobs == {job}
        assert metrics.total(DROPPED) == 1
        assert metrics.value("dli_up") == 1
    # Three times: it may have been submitted a moment ago.
    assert calls(dli, "unknown") == [Endpoint.PROGRESS, Endpoint.LIST] * 3
    lines = [line for line in watching.process.err.splitlines() if "job_id=unknown" in line]
    assert len(lines) == 1
    assert f'msg="job dropped" project=default job_id=unknown reason={reason}' in lines[0]


WRONG = {
    "a wrong endpoint": Fault(endpoint=Endpoint.PROGRESS, status=404, code="APIGW.0101"),
    "unknown, but listed": Fault(endpoint=Endpoint.PROGRESS, status=400, code="DLI.0002"),
}


@pytest.mark.parametrize("fault", WRONG.values(), ids=WRONG)
async def test_a_job_that_is_listed_is_not_dropped(
    running: tuple[Simulator, str, Path], fault: Fault
) -> None:
    dli, job, settings = running
    async with exporter(settings) as watching:
        await watching.statuses({job: "RUNNING"})
        await watching.shows(DROPPED, 1, reason="not_found")  # the unknown one
        dli.faults.add(fault)
        before = dli.requested(Endpoint.PROGRESS, fault.status)
        await asked(dli, lambda dli: dli.requested(Endpoint.PROGRESS, fault.status) > before + 3)
        metrics = await watching.metrics()
        assert metrics.statuses() == {job: "RUNNING"}
        assert metrics.total(DROPPED) == 1
        dli.faults.clear()
        dli.end(job, "FINISHED")
        await watching.shows("dli_jobs_ended_total", 1, status="FINISHED")
        await watching.shows("dli_up", 1)


async def test_a_wrong_endpoint_drops_no_job_however_unknown(
    running: tuple[Simulator, str, Path],
) -> None:
    dli, job, settings = running
    dli.faults.add(Fault(status=404, code="APIGW.0101"))
    async with exporter(settings) as watching:
        await watching.shows("dli_up", 0)
        await asked(dli, lambda dli: dli.requested() > 4)
        metrics = await watching.metrics()
        assert metrics.jobs == {job, "unknown"}
        assert metrics.total(DROPPED) == 0


async def test_without_the_list_no_job_is_dropped(running: tuple[Simulator, str, Path]) -> None:
    dli, job, settings = running
    dli.faults.add(Fault(endpoint=Endpoint.LIST, status=403, code="APIGW.0302", message="no"))
    async with exporter(settings) as watching:
        await watching.statuses({job: "RUNNING"})
        await asked(dli, lambda dli: calls(dli, "unknown").count(Endpoint.LIST) > 2)
        metrics = await watching.metrics()
        assert metrics.jobs == {job, "unknown"}
        assert metrics.total(DROPPED) == 0
        dli.faults.clear()
        await watching.shows(DROPPED, 1, reason="not_found")


async def test_an_end_outlives_the_record_of_the_job(tmp_path: Path) -> None:
    """DLI may forget a job before anybody has scraped how it ended."""
    dli = quiet()
    job = dli.add(timeline((0, "FAILED")))
    forgotten = '{"is_success": true, "job_count": 0, "jobs": []}'
    dli.faults.add(Fault(endpoint=Endpoint.PROGRESS, skip=1, status=400, code="DLI.0002"))
    dli.faults.add(Fault(endpoint=Endpoint.LIST, skip=1, body=forgotten))
    async with (
        serve(dli) as address,
        exporter(alone(tmp_path, dli, address, history={"enabled": False})) as watching,
    ):
        await asked(dli, lambda dli: dli.requested(Endpoint.LIST) == 2)
        metrics = await watching.statuses({job: "FAILED"})
        assert metrics.total(DROPPED) == 0
        assert metrics.total("dli_jobs_ended_total") == 1
