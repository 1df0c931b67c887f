"""A scrape of 100,000 series, read by Go, by curl and by gzip while the jobs go on changing."""

import asyncio
import gzip
import subprocess
from collections.abc import AsyncIterator
from dataclasses import dataclass
from typing import Final

import pytest
import pytest_asyncio

from exporter.simulator import serve

from .conftest import Program
from .exporters import Exporter, alone, exporter, lasting, quiet, scraping
from .processes import eventually
from .prometheus import Prometheus, prometheus

JOBS: Final = 450
SUBJOBS: Final = 14
TASKS: Final = 10
"""Tasks of each made-up sub-job."""
SERIES: Final = 100_000

# One Prometheus has seen everything when the tests begin: they only ask.
pytestmark = pytest.mark.asyncio(loop_scope="module")


@dataclass
class Site:
    """An exporter with many jobs, and a Prometheus that has seen all of them."""

    exporter: Exporter
    prometheus: Prometheus

    async def fetched(self, *command: str) -> bytes:
        """Let a program get /metrics, and give what it writes."""
        process = await asyncio.create_subprocess_exec(
            *command, f"{self.exporter.url}/metrics", stdout=asyncio.subprocess.PIPE
        )
        out, _ = await process.communicate()
        assert process.returncode == 0
        return out


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def site(program: Program, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Site]:
    directory = tmp_path_factory.mktemp("large")
    dli = quiet()
    for _ in range(JOBS):
        dli.add(lasting(subjobs=SUBJOBS))
    async with (
        serve(dli) as address,
        exporter(alone(directory, dli, address)) as watching,
        prometheus(program("prometheus"), directory, [scraping(watching, "5s")]) as server,
    ):
        await eventually(lambda: all_seen(server), "Prometheus has seen every job run")
        yield Site(watching, server)


async def all_seen(server: Prometheus) -> bool:
    """Tell whether every job is there, and most have been asked for again since."""
    running = await server.value('count(dli_job_status{status="RUNNING"} == 1)')
    asked = await server.value("sum(dli_exporter_api_requests_total)") or 0
    return running == JOBS and asked > 3 * JOBS


def consistent(text: bytes) -> bool:
    """Whether an exposition has as many series of jobs as it says, and they are enough."""
    lines = text.splitlines()
    of_jobs = sum(line.startswith((b"dli_job_", b"dli_subjob_")) for line in lines)
    # What outlives the jobs begins likewise.
    of_jobs -= sum(line.startswith(b"dli_job_duration_seconds") for line in lines)
    (told,) = (line for line in lines if line.startswith(b"dli_exporter_series "))
    assert of_jobs == float(told.split()[1])
    return of_jobs >= SERIES


async def test_prometheus_has_every_series(site: Site) -> None:
    """All scrapes of it, those in which jobs changed as well."""
    server = site.prometheus
    assert await server.value("min_over_time(up[1h])") == 1
    scraped = await server.value("max_over_time(scrape_samples_scraped[1h])")
    assert scraped is not None
    assert scraped > SERIES
    counted = await server.value(
        "dli_exporter_series"
        ' + scalar(count({job="dli", job_id="", __name__!~"up|scrape_.+"}))'
        " == scrape_samples_scraped"
    )
    assert counted is not None


async def test_prometheus_has_the_right_values(site: Site) -> None:
    server = site.prometheus
    assert await server.value("sum(dli_subjob_tasks)") == JOBS * SUBJOBS * TASKS
    assert await server.value("count(dli_subjob_info)") == JOBS * SUBJOBS
    by_job = await server.by_job("dli_job_tasks")
    assert len(by_job) == JOBS
    assert set(by_job.values()) == {SUBJOBS * TASKS}
    different = "count(count by (subjob_id) (dli_subjob_status))"
    assert await server.value(different) == SUBJOBS


@pytest.mark.parametrize("accept", ["text/plain", "application/openmetrics-text"])
async def test_curl_reads_all_of_it(site: Site, program: Program, accept: str) -> None:
    """It stops after the first member where there are several."""
    curl = (program("curl"), "--silent", "--fail", "--header", f"Accept: {accept}")
    assert consistent(await site.fetched(*curl, "--compressed"))
    assert consistent(await site.fetched(*curl))


async def test_gzip_and_python_read_all_of_it(site: Site, program: Program) -> None:
    curl = (program("curl"), "--silent", "--fail", "--header", "Accept-Encoding: gzip")
    body = await site.fetched(*curl)
    assert len(body) < 2_000_000
    assert consistent(gzip.decompress(body))
    unzipped = subprocess.run(("gzip", "-dc"), input=body, capture_output=True, check=True)  # noqa: ASYNC221 - it reads memory
    assert unzipped.stdout == gzip.decompress(body)
    assert unzipped.stderr == b""
