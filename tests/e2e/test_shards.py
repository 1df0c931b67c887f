"""Replicas that share the projects of one settings file: each job is watched by one of them."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import aiohttp
import pytest

from exporter.simulator import demo_project, serve

from .exporters import Exporter, Metrics, exporter, lasting, project, quiet, write

NAMES: Final = [f"p{number}" for number in range(8)]
TOTAL: Final = 3


@dataclass
class Shards:
    """All replicas, and the job that runs in each project."""

    replicas: list[Exporter]
    jobs: dict[str, str]
    directory: Path

    async def all(self) -> list[Metrics]:
        return await asyncio.gather(*(each.metrics() for each in self.replicas))

    async def shares(self) -> list[set[str]]:
        """Tell which projects each replica watches."""
        return [
            {labels["project"] for labels, _ in metrics.found("dli_exporter_jobs")}
            for metrics in await self.all()
        ]

    async def owner(self, name: str) -> int:
        """Tell which replica watches a project."""
        return next(n for n, share in enumerate(await self.shares()) if name in share)


@pytest.fixture
async def shards(tmp_path: Path) -> AsyncIterator[Shards]:
    projects = [demo_project(number, name) for number, name in enumerate(NAMES, 1)]
    dli = quiet(*projects)
    jobs = {each.name: dli.add(lasting(), project=each.id) for each in projects}
    directory = tmp_path / "jobs"
    directory.mkdir()
    async with serve(dli) as address, AsyncExitStack() as stack:
        given = {each.name: project(each, address) for each in projects}
        settings = write(
            tmp_path / "settings.yaml",
            given,
            total_shards=TOTAL,
            jobs_dir=str(directory),
            web={"enable_registration": True},
        )
        replicas = [
            await stack.enter_async_context(exporter(settings, f"--shard={ordinal}"))
            for ordinal in range(TOTAL)
        ]
        yield Shards(replicas, jobs, directory)


async def test_every_project_is_watched_by_exactly_one_replica(shards: Shards) -> None:
    shares = await shards.shares()
    assert sorted(name for share in shares for name in share) == NAMES
    for ordinal, metrics in enumerate(await shards.all()):
        assert metrics.value("dli_exporter_shard_ordinal") == ordinal
        assert metrics.value("dli_exporter_total_shards") == TOTAL


async def test_a_registration_is_taken_by_its_shard_and_refused_by_the_others(
    shards: Shards,
) -> None:
    (name, job_id), *_ = shards.jobs.items()
    owner = await shards.owner(name)
    async with aiohttp.ClientSession() as session:
        for ordinal, replica in enumerate(shards.replicas):
            wanted = {"job_id": job_id, "project": name}
            async with session.post(f"{replica.url}/api/v1/jobs", json=wanted) as response:
                answer = await response.json()
            if ordinal == owner:
                assert response.status == 201
                await replica.statuses({job_id: "RUNNING"})
            else:
                assert response.status == 503
                assert answer["error"] == (
                    f"project: {name} is in the share of shard {owner}; "
                    f"this is shard {ordinal} of {TOTAL}"
                )


async def test_a_file_in_a_shared_directory_is_one_replicas(shards: Shards) -> None:
    (name, job_id), *_ = shards.jobs.items()
    owner = await shards.owner(name)
    (shards.directory / "job.json").write_text(f'{{"job_id": "{job_id}", "project": "{name}"}}')
    for ordinal, replica in enumerate(shards.replicas):
        if ordinal == owner:
            await replica.statuses({job_id: "RUNNING"})
        else:
            await replica.process.shows(
                f'msg="registration rejected".*is in the share of shard {owner};'
            )
    for ordinal, metrics in enumerate(await shards.all()):
        assert (job_id in metrics.jobs) == (ordinal == owner)
