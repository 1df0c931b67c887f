"""What DLI tells, asked with the exporter's own parts."""

import asyncio
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any, Final

import pytest
from pydantic import SecretStr

from exporter.jobs.model import JobKey
from exporter.settings import Discovery, Duration, Project, Settings
from exporter.settings.model import Retention, StaticCredentials
from exporter.simulator import Endpoint, Fault, Scene, Simulator, demo_project, serve
from exporter.terminal.direct import Direct, direct, keys, narrowed
from exporter.terminal.fates import Look, Wanted

ONE: Final = demo_project(1, "one")
TWO: Final = demo_project(1, "two")
INTERVAL: Final = Duration("20ms")


@dataclass
class World:
    """A simulated DLI with two projects."""

    dli: Simulator
    address: str
    listed: dict[str, tuple[str, ...]] = field(default_factory=dict)

    def settings(self, **changes: Any) -> Settings:
        return Settings(
            projects={account.name: self._project(account.name) for account in (ONE, TWO)},
            **changes,
        )

    def _project(self, name: str, **changes: Any) -> Project:
        account = {"one": ONE, "two": TWO}[name]
        keys = StaticCredentials(
            provider="static", ak=SecretStr(account.ak), sk=SecretStr(account.sk)
        )
        return Project(
            endpoint=self.address,
            region="ap-southeast-3",
            project_id=account.id,
            credentials=keys,
            requests_per_second=1000,
            jobs=self.listed.get(name, ()),
            **changes,
        )

    @asynccontextmanager
    async def watching(self, *wanted: str, patience: float = 600) -> AsyncIterator[Direct]:
        settings = self.settings()
        named = keys(map(Wanted.read, wanted), settings.projects)
        settings = narrowed(settings, named.values(), interval=INTERVAL, history=False)
        async with direct(settings, named, patience=patience) as feed:
            yield feed


@pytest.fixture
async def world() -> AsyncIterator[World]:
    dli = Simulator(projects=[ONE, TWO], scene=Scene(jobs=0))
    async with serve(dli) as address:
        yield World(dli, address)


async def look(feed: Direct, condition: Callable[[Look], object], *, later: float = 0.0) -> Look:
    """Look until something is so; others come to their turn meanwhile."""
    async with asyncio.timeout(30):
        while not condition(found := feed.look(time.monotonic() + later)):  # noqa: ASYNC110 - it has no event
            await asyncio.sleep(0)
        return found


def statuses(found: Look) -> dict[str, str | None]:
    return {f"{job.project}/{job.job_id}": job.status for job in found.jobs}


async def test_wanted_jobs_are_looked_at_and_no_others(world: World) -> None:
    for account in (ONE, TWO):
        for job in ("a", "b"):
            world.dli.add("single", project=account.id, job_id=job, start=time.time() - 20)
    world.listed = {"one": ("b",), "two": ("b",)}
    async with world.watching("one/a", "two/b") as feed:
        running = {"one/a": "RUNNING", "two/b": "RUNNING"}
        found = await look(feed, lambda look: statuses(look) == running)
    assert found.troubles == ()
    assert {request.job_id for request in world.dli.requests if request.job_id} == {"a", "b"}
    assert world.dli.requested(Endpoint.LIST) == 2


async def test_the_end_comes_with_its_time(world: World) -> None:
    world.dli.add("single", project=ONE.id, job_id="a", start=time.time() - 20)
    async with world.watching("one/a") as feed:
        await look(feed, lambda look: statuses(look) == {"one/a": "RUNNING"})
        world.dli.end("a", "FAILED", project=ONE.id)
        (job,) = (await look(feed, lambda look: look.jobs and look.jobs[0].end)).jobs
    assert job.status == "FAILED"
    assert job.took == pytest.approx(20, abs=10)


async def test_without_ids_all_that_is_listed_is_watched_until_it_retires(world: World) -> None:
    world.listed = {"one": ("a",), "two": ("b",)}
    world.dli.add("single", project=ONE.id, job_id="a", start=time.time() - 20)
    world.dli.add("single", project=TWO.id, job_id="b", start=time.time() - 20)
    settings = world.settings(retention=Retention(finished=Duration("0s")))
    settings = narrowed(settings, (), interval=INTERVAL, history=False)
    async with direct(settings, {}, patience=600) as feed:
        await look(feed, lambda look: len(statuses(look)) == 2)
        world.dli.end("a", "FINISHED", project=ONE.id)
        await look(feed, lambda look: statuses(look) == {"two/b": "RUNNING"})


async def test_without_ids_jobs_are_discovered(world: World) -> None:
    world.dli.add("single", project=ONE.id, job_id="a", start=time.time() - 20)
    settings = world.settings()
    found = settings.projects["one"].model_copy(update={"discovery": Discovery(enabled=True)})
    settings = settings.model_copy(update={"projects": {"one": found}})
    async with direct(settings, {}, patience=600) as feed:
        await look(feed, lambda look: statuses(look) == {"one/a": "RUNNING"})


async def test_a_job_that_has_not_changed_is_the_same_object(world: World) -> None:
    world.dli.add("single", project=ONE.id, job_id="a", start=time.time() - 20)
    async with world.watching("one/a") as feed:
        first, second = feed.look(0.0), feed.look(0.0)
        assert first.jobs[0] is second.jobs[0]
        later = await look(feed, lambda look: look.jobs[0].status)
        assert later.jobs[0] is not first.jobs[0]


async def test_a_job_that_dli_does_not_know_is_lost(world: World) -> None:
    wanted = Wanted("missing", "one")
    async with world.watching("one/missing") as feed:
        assert feed.look(0.0).lost == {}
        found = await look(feed, lambda look: look.lost)
    assert found.lost == {wanted: "DLI knows no such job"}
    assert found.hopeless is None


async def test_a_refusal_from_the_start_is_soon_believed(world: World) -> None:
    world.dli.add("single", project=TWO.id, job_id="b", start=time.time() - 20)
    world.dli.faults.add(Fault(project=ONE.id, status=403, code="APIGW.0302", message="not you"))
    async with world.watching("one/a", "two/b") as feed:
        found = await look(feed, lambda look: look.troubles)
        assert found.lost == {}
        assert "not you (forbidden)" in found.troubles[0]
        found = await look(feed, lambda look: look.lost, later=60)
        assert found.lost.keys() == {Wanted("a", "one")}
        assert "forbidden" in found.lost[Wanted("a", "one")]
        assert found.hopeless is None


async def test_an_outage_is_borne_and_then_is_over(world: World) -> None:
    world.dli.add("single", project=ONE.id, job_id="a", start=time.time() - 20)
    async with world.watching("one/a") as feed:
        await look(feed, lambda look: look.jobs[0].status)
        number = world.dli.faults.add(Fault(status=403, code="APIGW.0302", message="not you"))
        await world.dli.until(lambda dli: dli.requested(Endpoint.PROGRESS, 403) > 1)
        assert feed.look(time.monotonic()).troubles
        assert feed.look(time.monotonic() + 500).lost == {}
        assert feed.look(time.monotonic() + 700).lost.keys() == {Wanted("a", "one")}
        assert feed.look(time.monotonic() + 700).hopeless is not None
        world.dli.faults.remove(number)
        await look(feed, lambda look: not look.lost, later=700)


async def test_keys_say_which_job_of_which_project(world: World) -> None:
    wanted = (Wanted("a", "one"), Wanted("b", "two"))
    assert keys(wanted, world.settings().projects) == {
        wanted[0]: JobKey("one", "a"),
        wanted[1]: JobKey("two", "b"),
    }
