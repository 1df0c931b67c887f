"""Exporters with a settings file, jobs made for a test, and what /metrics says about them."""

import asyncio
import json
import sys
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import aiohttp
from prometheus_client.parser import text_string_to_metric_families

from exporter.simulator import Project, Scene, Simulator, Timeline

from .processes import PATIENCE, Process, dli_exporter, eventually, listening, running

SOON: Final = 5.0
"""Seconds that count as at once, on a busy machine."""
HEADER: Final = {"X-Prometheus-Scrape-Timeout-Seconds": "10"}
"""What Prometheus sends and no browser does."""


@dataclass(frozen=True)
class Metrics:
    """One exposition, by name and labels."""

    samples: Mapping[tuple[str, frozenset[tuple[str, str]]], float]

    @classmethod
    def parse(cls, text: str) -> "Metrics":
        """Read text format 0.0.4."""
        return cls(
            {
                (sample.name, frozenset(sample.labels.items())): sample.value
                for family in text_string_to_metric_families(text)
                for sample in family.samples
            }
        )

    def found(self, name: str, /, **labels: str) -> list[tuple[Mapping[str, str], float]]:
        """List the samples of a name that have these labels, whatever else they have."""
        return [
            (dict(given), value)
            for (each, given), value in self.samples.items()
            if each == name and labels.items() <= dict(given).items()
        ]

    def value(self, name: str, /, **labels: str) -> float | None:
        """Give the value of at most one sample; None if there is none."""
        found = self.found(name, **labels)
        assert len(found) <= 1, found
        return found[0][1] if found else None

    def total(self, name: str, /, **labels: str) -> float:
        """Sum up samples."""
        return sum(value for _, value in self.found(name, **labels))

    def statuses(self, **labels: str) -> dict[str, str]:
        """Give the status of every job that has one, by id."""
        shown = self.found("dli_job_status", **labels)
        return {each["job_id"]: each["status"] for each, value in shown if value}

    @property
    def jobs(self) -> set[str]:
        """The ids of all jobs that are shown in any way."""
        ids = (dict(labels).get("job_id") for _, labels in self.samples)
        return {job_id for job_id in ids if job_id}


@dataclass(frozen=True)
class Exporter:
    """An exporter that listens."""

    process: Process
    url: str

    async def metrics(self, **headers: str) -> Metrics:
        """Look at /metrics, as a person does."""
        async with (
            aiohttp.ClientSession(headers=headers) as session,
            session.get(f"{self.url}/metrics") as response,
        ):
            assert response.status == 200
            return Metrics.parse(await response.text())

    async def statuses(self, wanted: Mapping[str, str]) -> Metrics:
        """Wait until these jobs, and maybe others, have these statuses."""

        async def shown() -> Metrics | None:
            metrics = await self.metrics()
            return metrics if wanted.items() <= metrics.statuses().items() else None

        found = await eventually(shown, f"{wanted}")
        assert found is not None
        return found

    async def shows(self, name: str, value: float | None, /, **labels: str) -> Metrics:
        """Wait until a series has a value; None is no series."""

        async def shown() -> Metrics | None:
            metrics = await self.metrics()
            return metrics if metrics.value(name, **labels) == value else None

        found = await eventually(shown, f"{name}{labels} is {value}")
        assert found is not None
        return found


@asynccontextmanager
async def exporter(settings: Path, *flags: str) -> AsyncIterator[Exporter]:
    """Run an exporter on any free port; SIGTERM must end it well."""
    async with dli_exporter(*_flags(settings), *flags, cwd=settings.parent) as process:
        yield Exporter(process, await listening(process))


@asynccontextmanager
async def crashing(settings: Path) -> AsyncIterator[Exporter]:
    """Run an exporter on any free port, which may end as it likes."""
    command = (sys.executable, "-m", "exporter", *_flags(settings))
    async with running(*command, cwd=settings.parent) as process:
        yield Exporter(process, await listening(process))


def _flags(settings: Path) -> tuple[str, ...]:
    return f"--config.file={settings}", "--web.listen-address=127.0.0.1:0"


async def asked(
    dli: Simulator, condition: Callable[[Simulator], bool], within: float = PATIENCE
) -> None:
    """Wait until what was asked of a simulator fulfils a condition."""
    async with asyncio.timeout(within):
        await dli.until(condition)


def quiet(*projects: Project, **changes: Any) -> Simulator:
    """Simulate projects without any job."""
    return Simulator(projects=projects or None, scene=Scene(jobs=0), **changes)


def project(of: Project, address: str, **changes: Any) -> dict[str, Any]:
    """Write a project as the settings file has it."""
    keys = {"provider": "static", "ak": of.ak, "sk": of.sk}
    return {
        "endpoint": address,
        "project_id": of.id,
        "credentials": keys,
        "requests_per_second": 200,
        **changes,
    }


def write(path: Path, projects: Mapping[str, Any], **changes: Any) -> Path:
    """Write a settings file; JSON is YAML."""
    settings = {"poll": {"interval": "200ms"}, "projects": projects, **changes}
    path.write_text(json.dumps(settings), encoding="utf-8")
    return path


def alone(directory: Path, dli: Simulator, address: str, **changes: Any) -> Path:
    """Write the settings for the one project of a simulator, and for its jobs of now."""
    (only,) = dli.projects
    return write(
        directory / "dli.yaml",
        {"default": project(only, address, jobs=dli.job_ids())},
        **changes,
    )


def scraping(exporter: Exporter, interval: str, **labels: str) -> dict[str, Any]:
    """Write a scrape config for an exporter."""
    return {
        "job_name": "dli",
        "scrape_interval": interval,
        "scrape_timeout": interval,
        "static_configs": [{"targets": [exporter.url.removeprefix("http://")], "labels": labels}],
    }


def timeline(*moments: tuple[float, str], subjobs: int = 0) -> Timeline:
    """Make a job that has a status from each moment on, and so many sub-jobs while it runs."""
    return Timeline(
        name="made up",
        times=tuple(at for at, _ in moments),
        responses=tuple(_response(status, subjobs) for _, status in moments),
        origin=0.0,
        completed=(0,) * len(moments),
    )


def lasting(status: str = "RUNNING", subjobs: int = 0) -> Timeline:
    """Make a job that ends when it is told to."""
    return timeline((0, status), (1e7, "FINISHED"), subjobs=subjobs)


def _response(status: str, subjobs: int) -> dict[str, Any]:
    response = {"is_success": True, "job_id": "recorded", "status": status, "progress": 0}
    if status != "RUNNING" or not subjobs:
        return response
    return response | {"sub_job_id": subjobs - 1, "sub_jobs": list(map(_subjob, range(subjobs)))}


def _subjob(number: int) -> dict[str, Any]:
    """Make a sub-job: only the last one runs."""
    counts = ("active", "failed", "killed", "skipped")
    return {
        "id": number,
        "name": "collect at made_up.py:1",
        "status": "SUCCEEDED",
        "num_tasks": 10,
        "num_completed_tasks": 5,
        "num_completed_indices": 5,
        **{f"num_{word}_tasks": 0 for word in counts},
        "stage_ids": [number],
        "num_completed_stages": 0,
        **{f"num_{word}_stages": 0 for word in counts if word != "killed"},
        "killed_tasks_summary": {},
    } | ({"status": "RUNNING"} if number % 50 == 49 else {})
