"""What dashboards look at: exporters, a real Prometheus, and a DLI that is busy or idle.

In the busy scene two exporters watch the same jobs, which have earlier runs, deadlines,
failures and kills, and come to each of their ends; one job runs on until it is told to end.
"""

import json
import math
import time
from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from exporter.simulator import Endpoint, Fault, Particulars, Repeat, Scene, Simulator, serve

from ..cloud import Cloud, provider, serving
from .exporters import Exporter, exporter, lasting, project, quiet, scraping, write
from .processes import eventually
from .prometheus import Prometheus, prometheus

NAMED: Final = "runs on and on"
"""The job that does not end by itself."""
RATE_INTERVAL: Final = 4
"""Seconds; eight scrapes."""
_SCRAPED: Final = "500ms"
_LIVELY: Final = Scene(jobs=17, speed=4, repeat=Repeat.NEW_IDS, history=1800, spread=0.15)


@dataclass(frozen=True)
class Seen:
    """What Prometheus has of a scene, and who was scraped."""

    server: Prometheus
    simulator: Simulator
    exporters: Sequence[Exporter]
    began: float
    job_id: str = ""

    async def at(self, promql: str, now: float) -> list[dict[str, Any]]:
        """Evaluate an expression at a moment (Unix seconds)."""
        data = await self.server.get("query", query=promql, time=str(now))
        found: list[dict[str, Any]] = data["result"]
        return found

    async def over(self, promql: str, now: float) -> list[dict[str, Any]]:
        """Evaluate an expression at every second of the scene."""
        span = {"start": str(math.floor(self.began)), "end": str(now), "step": "1"}
        data = await self.server.get("query_range", query=promql, **span)
        found: list[dict[str, Any]] = data["result"]
        return found


@asynccontextmanager
async def busy(program: str, directory: Path) -> AsyncIterator[Seen]:
    """Watch a busy DLI; ``program`` is Prometheus."""
    dli = Simulator(scene=_LIVELY)
    particulars = Particulars(statement="select 1", queue_name="etl", tags={"jobName": NAMED})
    job_id = dli.add(lasting(subjobs=2), particulars=particulars, speed=1)
    for fault in _faults():
        dli.faults.add(fault)
    jobs = directory / "jobs"
    _register(jobs, dli)
    async with serve(dli) as address, AsyncExitStack() as stack:
        cloud = await stack.enter_async_context(serving(Cloud(dli.projects[0], dli.gateway)))
        credentials = provider("pod_identity", cloud, directory)
        settings = [
            _discovering(directory / "first.yaml", dli, address, jobs_dir=str(jobs)),
            _discovering(directory / "second.yaml", dli, address, credentials=credentials),
        ]
        watching = [await stack.enter_async_context(exporter(each)) for each in settings]
        server = await stack.enter_async_context(_scraped(program, directory, watching))
        yield Seen(server, dli, watching, time.time(), job_id)


@asynccontextmanager
async def idle(program: str, directory: Path) -> AsyncIterator[Seen]:
    """Watch a DLI that has nothing to do; ``program`` is Prometheus."""
    dli = quiet()
    async with (
        serve(dli) as address,
        exporter(_discovering(directory / "dli.yaml", dli, address)) as watching,
        _scraped(program, directory, [watching]) as server,
    ):
        began = time.time()

        async def often() -> bool:
            return await server.value("min(count_over_time(dli_up[1m])) > 8") is not None

        await eventually(often, "Prometheus has scraped often enough for a rate")
        yield Seen(server, dli, [watching], began)


def _faults() -> Iterator[Fault]:
    """Let DLI throttle, fail, and talk nonsense, some of the time."""
    progress = Endpoint.PROGRESS
    yield Fault(endpoint=progress, skip=20, probability=0.02, status=429, code="APIGW.0308")
    yield Fault(endpoint=Endpoint.LIST, skip=2, count=3, status=500)
    yield Fault(endpoint=progress, probability=0.02, rewrite=_nonsense)


def _nonsense(answer: dict[str, Any]) -> dict[str, Any]:
    """Say what cannot be."""
    answer["progress"] = "a lot"
    for row in answer.get("sub_jobs") or ():
        row["num_active_tasks"] = -1
    return answer


def _register(directory: Path, dli: Simulator) -> None:
    """Give the jobs that run deadlines that they miss, and register one that cannot be."""
    directory.mkdir()
    for job_id in dli.job_ids():
        state = dli.state(job_id)
        if state and state.end is None:
            registration = {"job_id": job_id, "deadline": time.time() + 5}
            (directory / f"{job_id}.json").write_text(json.dumps(registration), encoding="utf-8")
    (directory / "bad.json").write_text("{", encoding="utf-8")


def _discovering(
    file: Path,
    dli: Simulator,
    address: str,
    *,
    credentials: dict[str, Any] | None = None,
    **changes: str,
) -> Path:
    """Write settings that find every job."""
    (only,) = dli.projects
    found = project(only, address, discovery={"enabled": True, "interval": "1s"})
    if credentials:
        found["credentials"] = credentials
    return write(file, {"default": found}, tags={"name": "jobName"}, **changes)


@asynccontextmanager
async def _scraped(
    program: str, directory: Path, watching: Sequence[Exporter]
) -> AsyncIterator[Prometheus]:
    """Scrape several exporters, as targets of one scrape job."""
    configs = [scraping(each, _SCRAPED) for each in watching]
    targets = [static for config in configs for static in config["static_configs"]]
    async with prometheus(
        program, directory, [{**configs[0], "static_configs": targets}]
    ) as server:
        yield server
