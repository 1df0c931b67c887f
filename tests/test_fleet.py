"""A fleet of projects against one simulated DLI: started, changed while it runs, and stopped."""

import asyncio
import gc
import sys
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

import pytest
from prometheus_client.parser import text_string_to_metric_families
from pydantic import SecretStr

from exporter.connection import StartError
from exporter.fleet import Fleet
from exporter.jobs.model import Job, JobKey, JobStatus, Registration
from exporter.jobs.retention import Retention
from exporter.metrics.exposition import Exposition
from exporter.metrics.telemetry import Telemetry
from exporter.settings import Duration, Project, Settings
from exporter.settings.model import Poll, StaticCredentials
from exporter.sharding import Shard
from exporter.simulator import Endpoint, Fault, Scene, Simulator, Timeline, demo_project, serve
from exporter.tracker import Limits, Source, Tags, Tracker

ONE: Final = demo_project(1, "one")
TWO: Final = demo_project(1, "two")
JOBS: Final = {name: tuple(f"{name}-{number}" for number in range(4)) for name in ("one", "two")}
INTERVAL: Final = Duration("20ms")
LONG: Final = Timeline(
    name="made up",
    times=(0.0,),
    responses=({"job_id": "recorded", "status": "RUNNING", "progress": 0.5},),
    origin=0.0,
    completed=(0,),
)
"""A recording of a job that runs until somebody ends it."""


class Door:
    """What holds up every request that a fault delays, until it is opened."""

    def __init__(self) -> None:
        self.reached = asyncio.Event()
        self.open = asyncio.Event()

    async def __call__(self, _: float) -> None:
        """Stand at the door until it opens."""
        self.reached.set()
        await self.open.wait()


@dataclass
class World:
    """A simulated DLI with two projects, and what a fleet works on."""

    simulator: Simulator
    address: str
    door: Door
    telemetry: Telemetry
    tracker: Tracker
    group: asyncio.TaskGroup
    fleets: list[Fleet] = field(default_factory=list)

    def project(self, name: str, listed: int = 1, **changes: Any) -> Project:
        """Write the settings of a project that lists its first jobs."""
        account = {"one": ONE, "two": TWO}[name]
        keys = StaticCredentials(
            provider="static", ak=SecretStr(account.ak), sk=SecretStr(account.sk)
        )
        about = {
            "endpoint": self.address,
            "project_id": account.id,
            "credentials": keys,
            "requests_per_second": 1000,
            "jobs": JOBS[name][:listed],
        }
        return Project(**{**about, **changes})

    def start(self, settings: Settings) -> Fleet:
        fleet = Fleet(settings, tracker=self.tracker, telemetry=self.telemetry)
        self.fleets.append(fleet)
        fleet.attach()
        fleet.start(self.group)
        return fleet

    @property
    def jobs(self) -> set[str]:
        return {job.key.job_id for job in self.tracker}

    def job(self, name: str, number: int = 0) -> Job:
        job = self.tracker.get(JobKey(name, JOBS[name][number]))
        assert job is not None
        return job

    async def asked(self, name: str, number: int = 0, *, more: int = 1) -> None:
        """Wait until a job was asked for some more times."""
        job_id = JOBS[name][number]

        def count() -> int:
            return sum(request.job_id == job_id for request in self.simulator.requests)

        target = count() + more
        async with asyncio.timeout(10):
            await self.simulator.until(lambda _: count() >= target)

    async def until(self, condition: Callable[[], bool]) -> None:
        """Let others come to their turn until something is so."""
        async with asyncio.timeout(10):
            while not condition():  # noqa: ASYNC110 - what is waited for has no event
                await asyncio.sleep(0)

    async def answered(self, name: str, number: int = 0) -> Job:
        """Wait until a job has told something, and return it."""
        await self.until(lambda: self.job(name, number).last_update is not None)
        return self.job(name, number)

    def metric(self, name: str, project: str) -> float | None:
        """Read one of the exporter's own metrics of a project; None if it is absent."""
        families = text_string_to_metric_families(self.telemetry.text().decode())
        wanted = {"project": project}
        samples = (sample for family in families for sample in family.samples)
        return next(
            (each.value for each in samples if each.name == name and each.labels == wanted), None
        )


@asynccontextmanager
async def world() -> AsyncIterator[World]:
    door = Door()
    simulator = Simulator(projects=[ONE, TWO], timelines=[], scene=Scene(jobs=0))
    for account in (ONE, TWO):
        for job_id in JOBS[account.name]:
            simulator.add(LONG, project=account.id, job_id=job_id)
    exposition = Exposition()
    telemetry = Telemetry(jobs=tuple, series=lambda: exposition.series, now=time.time)
    tracker = Tracker(
        exposition=exposition,
        telemetry=telemetry,
        retention=Retention(0, 86_400),
        limits=Limits(1000, 100_000),
        tags=Tags(),
        delivered=lambda _: True,
        now=time.time,
        monotonic=time.monotonic,
    )
    async with serve(simulator, wait=door) as address, asyncio.TaskGroup() as group:
        shown = World(simulator, address, door, telemetry, tracker, group)
        try:
            yield shown
        finally:
            for fleet in shown.fleets:
                await fleet.stop()
                await fleet.close()


def settings(interval: Duration = INTERVAL, **projects: Project) -> Settings:
    return Settings(projects=projects, poll=Poll(interval=interval))


def bad_ca(tmp_path: Path) -> Path:
    path = tmp_path / "ca.pem"
    path.write_text("no certificate")
    return path


async def test_a_fleet_watches_the_listed_jobs_of_every_project() -> None:
    async with world() as each:
        fleet = each.start(settings(one=each.project("one", 2), two=each.project("two", 1)))
        assert fleet.projects == {"one", "two"}
        assert "one" in fleet
        assert "three" not in fleet
        assert each.jobs == {*JOBS["one"][:2], *JOBS["two"][:1]}
        await each.answered("one", 1)
        await each.answered("two")


async def test_a_broken_project_leaves_the_other_undisturbed() -> None:
    async with world() as each:
        keys = StaticCredentials(
            provider="static", ak=SecretStr("nobody"), sk=SecretStr("wrong-secret-000000")
        )
        broken = each.project("one", credentials=keys)
        each.start(settings(one=broken, two=each.project("two")))
        for _ in range(3):
            await each.asked("two")
        assert (await each.answered("two")).status is not None
        assert each.job("one").status is None
        assert (each.metric("dli_up", "one"), each.metric("dli_up", "two")) == (0, 1)


async def test_a_new_project_joins_and_the_others_go_on_as_the_same() -> None:
    async with world() as each:
        fleet = each.start(settings(one=each.project("one")))
        (before,) = fleet
        await fleet.adopt(settings(one=each.project("one"), two=each.project("two")), each.group)
        assert [watch.name for watch in fleet] == ["one", "two"]
        assert next(iter(fleet)) is before
        await each.answered("two")
        await each.asked("one")
        assert each.metric("dli_exporter_jobs_retired_total", "two") == 0


async def test_a_call_under_way_is_not_disturbed_by_a_change_elsewhere() -> None:
    async with world() as each:
        fleet = each.start(settings(one=each.project("one"), two=each.project("two")))
        before = await each.answered("one")
        each.simulator.faults.add(Fault(delay=1, project=ONE.id))
        async with asyncio.timeout(10):
            await each.door.reached.wait()
        await fleet.adopt(settings(one=each.project("one")), each.group)
        assert each.job("one").last_update == before.last_update
        each.simulator.faults.clear()
        each.door.open.set()
        # A call that is given up leaves no trace there.
        await each.simulator.until(lambda dli: any(request.fault for request in dli.requests))
        await each.until(lambda: each.job("one").last_update != before.last_update)
        assert each.metric("dli_up", "one") == 1


async def test_a_project_that_is_gone_takes_its_jobs_and_calls_along() -> None:
    async with world() as each:
        fleet = each.start(settings(one=each.project("one"), two=each.project("two")))
        await each.answered("two")
        await fleet.adopt(settings(one=each.project("one")), each.group)
        assert fleet.projects == {"one"}
        assert each.jobs == {JOBS["one"][0]}
        each.simulator.requests.clear()
        for _ in range(5):
            await each.asked("one")
        assert {request.project for request in each.simulator.requests} == {ONE.id}


@pytest.mark.parametrize("name", ["dli_up", "dli_exporter_last_success_timestamp_seconds"])
async def test_nothing_is_told_of_how_a_project_is_that_is_gone(name: str) -> None:
    async with world() as each:
        fleet = each.start(settings(one=each.project("one"), two=each.project("two")))
        await each.answered("one")
        await each.answered("two")
        await fleet.adopt(settings(one=each.project("one")), each.group)
        assert each.metric(name, "two") is None
        assert each.metric(name, "one") is not None


async def test_a_project_that_comes_back_is_watched_again() -> None:
    async with world() as each:
        both = settings(one=each.project("one"), two=each.project("two"))
        fleet = each.start(both)
        await each.answered("two")
        await fleet.adopt(settings(one=each.project("one")), each.group)
        await fleet.adopt(both, each.group)
        await each.answered("two")
        assert each.metric("dli_up", "two") == 1


async def test_jobs_stay_as_they_are_when_their_project_changes() -> None:
    async with world() as each:
        fleet = each.start(settings(one=each.project("one", requests_per_second=500)))
        (old,) = fleet
        each.tracker.register(Registration(job_id=JOBS["one"][1], project="one"), Source.HTTP)
        await each.answered("one", 1)
        await each.answered("one")
        each.simulator.faults.add(Fault(status=403, code="APIGW.0302"))
        await each.until(lambda: each.metric("dli_up", "one") == 0)
        before = [each.job("one", 0), each.job("one", 1)]
        await fleet.adopt(settings(one=each.project("one", requests_per_second=900)), each.group)
        (new,) = fleet
        assert new is not old
        assert [each.job("one", 0), each.job("one", 1)] == before
        each.simulator.faults.clear()
        await each.asked("one", 1, more=2)
        assert each.job("one", 1).last_update != before[1].last_update
        assert each.metric("dli_exporter_api_requests_per_second_limit", "one") == 900


async def test_other_keys_of_a_project_are_used_at_once() -> None:
    async with world() as each:
        wrong = StaticCredentials(
            provider="static", ak=SecretStr(ONE.ak), sk=SecretStr("wrong-secret-000000")
        )
        fleet = each.start(settings(one=each.project("one", credentials=wrong)))
        await each.asked("one")
        await fleet.adopt(settings(one=each.project("one")), each.group)
        await each.answered("one")
        assert each.metric("dli_up", "one") == 1


async def test_another_interval_is_heeded_by_every_watch() -> None:
    async with world() as each:
        projects = {"one": each.project("one"), "two": each.project("two")}
        fleet = each.start(settings(Duration("1h"), **projects))
        await each.answered("one")
        before = list(fleet)
        await fleet.adopt(settings(INTERVAL, **projects), each.group)
        assert not set(before) & set(fleet)
        await each.asked("one", more=3)
        await each.asked("two", more=3)


async def test_other_listed_jobs_change_the_jobs_and_not_the_watch() -> None:
    async with world() as each:
        fleet = each.start(settings(one=each.project("one", 3)))
        (before,) = fleet
        kept = Registration(job_id=JOBS["one"][1], project="one")
        each.tracker.register(kept, Source.HTTP)
        first = await each.answered("one")
        only = (JOBS["one"][0], JOBS["one"][3])
        await fleet.adopt(settings(one=each.project("one", jobs=only)), each.group)
        assert list(fleet) == [before]
        assert each.jobs == {*only, kept.job_id}
        assert each.job("one").details is first.details
        await each.answered("one", 3)


async def test_jobs_that_are_listed_no_more_leave_when_their_project_changes_too() -> None:
    async with world() as each:
        fleet = each.start(settings(one=each.project("one", 2)))
        changed = each.project("one", 1, requests_per_second=500)
        await fleet.adopt(settings(one=changed), each.group)
        assert each.jobs == {JOBS["one"][0]}
        await each.answered("one")


async def test_a_job_that_has_left_stays_away_when_the_settings_are_read_again() -> None:
    async with world() as each:
        same = settings(one=each.project("one", 2))
        fleet = each.start(same)
        await each.answered("one")
        each.simulator.end(JOBS["one"][0], "FINISHED", project=ONE.id)
        await each.until(lambda: each.job("one").status is JobStatus.FINISHED)
        each.tracker.retire()
        assert each.jobs == {JOBS["one"][1]}
        await fleet.adopt(same, each.group)
        assert each.jobs == {JOBS["one"][1]}


async def test_a_new_project_that_fails_leaves_everything_as_it_was(tmp_path: Path) -> None:
    async with world() as each:
        fleet = each.start(settings(one=each.project("one", 2)))
        (before,) = fleet
        await each.answered("one")
        wanted = settings(
            Duration("1h"),
            one=each.project("one", 4, requests_per_second=500),
            two=each.project("two", ca_file=bad_ca(tmp_path)),
        )
        with pytest.raises(StartError, match=r"ca\.pem: holds no usable certificates"):
            await fleet.adopt(wanted, each.group)
        assert list(fleet) == [before]
        assert each.jobs == set(JOBS["one"][:2])
        await each.asked("one", more=3)
        gc.collect()  # an unclosed session would complain, which is an error in tests
        await fleet.adopt(settings(one=each.project("one", 1)), each.group)
        assert list(fleet) == [before]
        assert each.jobs == set(JOBS["one"][:1])


async def test_a_fleet_that_cannot_be_opened_leaves_nothing_open(tmp_path: Path) -> None:
    async with world() as each:
        good, bad = each.project("one"), each.project("two", ca_file=bad_ca(tmp_path))
        with pytest.raises(StartError, match=r"ca\.pem"):
            Fleet(settings(one=good, two=bad), tracker=each.tracker, telemetry=each.telemetry)
        gc.collect()  # as above


@pytest.mark.parametrize(
    ("module", "changes"),
    [
        ("exporter.finder", {"discovery": {"enabled": True}}),
        (
            "exporter.providers",
            {"credentials": {"provider": "metadata"}},
        ),
    ],
)
async def test_a_part_of_the_program_that_is_gone_leaves_nothing_open(
    module: str, changes: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    """An upgrade has removed what only the new settings need."""
    async with world() as each:
        plain = each.project("one").model_dump()
        project = Project.model_validate({**plain, **changes})
        monkeypatch.setitem(sys.modules, module, None)
        with pytest.raises(ImportError, match=module):
            Fleet(settings(one=project), tracker=each.tracker, telemetry=each.telemetry)
        gc.collect()  # as above


async def test_a_stopped_fleet_asks_no_more_of_itself_but_can_have_a_last_look() -> None:
    async with world() as each:
        fleet = each.start(settings(one=each.project("one")))
        await each.answered("one")
        await fleet.stop()
        each.simulator.end(JOBS["one"][0], "FAILED", project=ONE.id)
        calls = each.simulator.requested(Endpoint.PROGRESS)
        (watch,) = fleet
        await watch.poller.once()
        assert each.simulator.requested(Endpoint.PROGRESS) == calls + 1
        assert each.job("one").status is JobStatus.FAILED


async def test_no_project_at_all_can_be_adopted() -> None:
    async with world() as each:
        fleet = each.start(settings(one=each.project("one")))
        await fleet.adopt(Settings(), each.group)
        assert (list(fleet), each.jobs) == ([], set())


def parting(projects: dict[str, Project]) -> int:
    """Return a number of shards among which two projects come to different ones."""

    def owners(total: int) -> set[int]:
        shard = Shard(0, total)
        return {shard.owner(each.endpoint, str(each.project_id)) for each in projects.values()}

    return next(total for total in range(2, 100) if len(owners(total)) == len(projects))


async def test_each_shard_watches_its_own_projects_alone() -> None:
    async with world() as each:
        projects = {"one": each.project("one"), "two": each.project("two")}
        total = parting(projects)
        fleets = [
            each.start(Settings(projects=projects, shard=shard, total_shards=total))
            for shard in range(total)
        ]
        watched = [watch.name for fleet in fleets for watch in fleet]
        assert sorted(watched) == ["one", "two"]
        for fleet in fleets:
            assert fleet.projects == {"one", "two"}
            assert {name for name in projects if fleet.elsewhere(name) is None} == {
                watch.name for watch in fleet
            }


async def test_a_shard_says_which_one_watches_a_project() -> None:
    async with world() as each:
        projects = {"one": each.project("one"), "two": each.project("two")}
        total = parting(projects)
        owner = Shard(0, total).owner(each.address, ONE.id)
        ours = Shard(0, total).owner(each.address, TWO.id)
        fleet = each.start(Settings(projects=projects, shard=ours, total_shards=total))
        assert fleet.elsewhere("one") == (
            f"project: one is in the share of shard {owner}; this is shard {ours} of {total}"
        )
        assert fleet.elsewhere("nobody's") is None


async def test_a_reload_keeps_to_the_share() -> None:
    async with world() as each:
        projects = {"one": each.project("one"), "two": each.project("two")}
        total = parting(projects)
        ours = Shard(0, total).owner(each.address, TWO.id)
        fleet = each.start(Settings(projects=projects, shard=ours, total_shards=total))
        await each.answered("two")
        changed = {**projects, "two": each.project("two", 2, requests_per_second=900)}
        await fleet.adopt(Settings(projects=changed), each.group)
        assert [watch.name for watch in fleet] == ["two"]
        await each.answered("two", 1)
        await fleet.adopt(Settings(projects={"one": projects["one"]}), each.group)
        assert list(fleet) == []
        assert each.jobs == set()
