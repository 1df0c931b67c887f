"""Discovery against the simulator over real sockets, with a clock that the tests drive."""

from collections import Counter
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field, replace
from random import Random
from typing import Any
from urllib.parse import parse_qsl, urlsplit

import pytest

from exporter.dli import errors
from exporter.dli.client import DliClient
from exporter.dli.credentials import Static
from exporter.dli.signing import AccessKey
from exporter.dli.transport import session
from exporter.jobs.model import Details, JobStatus, ListedJob
from exporter.simulator import (
    Cut,
    Fault,
    Particulars,
    Project,
    Scene,
    Simulator,
    Timeline,
    demo_project,
    serve,
)
from exporter.sources.discovery import Discovery, Filters, Round, finished

ONE = demo_project(1)
TWO = demo_project(1, "two")
ALL = Filters()
SCENE = Scene(jobs=0, retention=1e9, keep=10**6)

Rewrite = Callable[[dict[str, Any]], object]


def timeline(*moments: tuple[float, str]) -> Timeline:
    """Make a recording of statuses alone."""
    return Timeline(
        name="made up",
        times=tuple(at for at, _ in moments),
        responses=tuple({"job_id": "recorded", "status": status} for _, status in moments),
        origin=0.0,
        completed=(0,) * len(moments),
    )


LONG = timeline((0, "LAUNCHING"), (20, "RUNNING"), (200, "SCALING"), (260, "RUNNING"), (1e7, "FAILED"))
SHORT = timeline((0, "RUNNING"), (5, "FINISHED"))


@dataclass
class Clock:
    """Wall clock and monotonic clock, which stand still unless told; waiting moves one."""

    now: float = 1_700_000_000.0
    monotonic: float = 0.0

    def __call__(self) -> float:
        return self.now

    def advance(self, seconds: float) -> None:
        self.now += seconds
        self.monotonic += seconds

    async def sleep(self, seconds: float) -> None:
        self.monotonic += seconds


@dataclass
class World:
    """A simulator on a port, and a client for each of its projects."""

    simulator: Simulator
    clock: Clock
    clients: Mapping[Project, DliClient] = field(default_factory=dict)

    @property
    def client(self) -> DliClient:
        return self.clients[ONE]

    def add(self, recording: Timeline = LONG, *, project: Project = ONE, **about: Any) -> str:
        given = Particulars(**{"statement": "select 1", **about})
        return self.simulator.add(recording, project=project.id, speed=1.0, particulars=given)

    def end(self, job_id: str, status: str = "FINISHED", *, project: Project = ONE) -> None:
        self.simulator.end(job_id, status, project=project.id)

    def rewrite(self, change: Rewrite, **which: Any) -> int:
        """Let every list answer go through ``change``."""
        return self.simulator.faults.add(Fault(rewrite=change, **which))

    def asked(self) -> list[dict[str, str]]:
        """Give the queries since the last time, oldest first."""
        queries = [dict(parse_qsl(urlsplit(each.target).query)) for each in self.simulator.requests]
        self.simulator.requests.clear()
        return queries


@pytest.fixture
async def world() -> AsyncIterator[World]:
    """Serve no jobs but those that a test adds."""
    async with opened() as shown:
        yield shown


@asynccontextmanager
async def opened() -> AsyncIterator[World]:
    clock = Clock()
    simulator = Simulator(projects=[ONE, TWO], timelines=[], scene=SCENE, now=clock)
    async with AsyncExitStack() as stack:
        address = await stack.enter_async_context(serve(simulator))
        connections = await stack.enter_async_context(session())
        clients = {
            project: DliClient(
                connections,
                address,
                project_id=project.id,
                provider=Static(AccessKey(project.ak, project.sk)),
                requests_per_second=1000,
                timeout=10,
                now=clock,
                monotonic=lambda: clock.monotonic,
                jitter=lambda: 0.0,
                sleep=clock.sleep,
            )
            for project in (ONE, TWO)
        }
        yield World(simulator, clock, clients)


def ids(jobs: Sequence[ListedJob]) -> set[str]:
    assert len({job.job_id for job in jobs}) == len(jobs)
    return {job.job_id for job in jobs}


def changes(found: Round) -> tuple[set[str], set[str], set[str]]:
    return ids(found.live), ids(found.ended), set(found.left)


async def test_a_job_is_found_followed_through_its_live_statuses_and_ends_once(
    world: World,
) -> None:
    discovery = Discovery(world.client, ALL)
    await discovery.round()
    job = world.add(queue_name="etl")
    seen = []
    for _ in range(4):
        found = await discovery.round()
        assert changes(found) == ({job}, set(), set())
        seen.append(str(found.live[0].status))
        world.clock.advance(90)
    assert seen == ["LAUNCHING", "RUNNING", "RUNNING", "RUNNING"]
    world.end(job, "CANCELLED")
    found = await discovery.round()
    assert changes(found) == (set(), {job}, set())
    assert (found.ended[0].status, found.ended[0].details.queue_name) == ("CANCELLED", "etl")
    assert changes(await discovery.round()) == (set(), set(), set())


async def test_a_job_that_lives_and_dies_between_two_rounds_is_not_missed(world: World) -> None:
    world.add(SHORT)
    world.clock.advance(30)
    discovery = Discovery(world.client, ALL)
    assert changes(await discovery.round()) == (set(), set(), set())
    for _ in range(3):
        job = world.add(SHORT)
        world.clock.advance(30)
        assert changes(await discovery.round()) == (set(), {job}, set())


async def test_an_idle_round_is_four_calls(world: World) -> None:
    discovery = Discovery(world.client, ALL)
    for _ in range(2):
        assert (await discovery.round()).pages == 4
        statuses = [each.get("job-status") for each in world.asked()]
        assert statuses == ["LAUNCHING", "RUNNING", "SCALING", None]


@pytest.mark.parametrize(("jobs", "calls"), [(0, 1), (9, 1), (10, 2), (11, 2), (20, 3)])
async def test_a_list_of_n_jobs_takes_n_div_size_and_one_calls(
    world: World, jobs: int, calls: int
) -> None:
    for _ in range(jobs):
        world.add()
    world.clock.advance(20)
    found = await Discovery(world.client, ALL, page_size=10).round()
    assert Counter(each.get("job-status") for each in world.asked())["RUNNING"] == calls
    assert (len(found.live), found.pages) == (jobs, calls + 3)


async def test_a_long_job_that_ends_leaves_and_is_not_searched_for_in_all_history(
    world: World,
) -> None:
    old = [world.add(SHORT) for _ in range(9)]
    job = world.add()
    discovery = Discovery(world.client, ALL)
    await discovery.round()
    for _ in range(60):
        world.clock.advance(30)
        world.add(SHORT)
        await discovery.round()
    world.end(job)
    world.asked()
    found = await discovery.round()
    assert found.left == (job,)
    window = world.asked()[-1]
    # The overlap, and the round before the last.
    assert float(window["start"]) / 1000 == world.clock.now - 600 - 30
    assert not ids(found.live) & set(old)


async def test_filters_are_sent_where_the_api_has_them(world: World) -> None:
    filters = Filters(
        queues=("etl",),
        owner="ann",
        tags={"team": "sales", "odd": "a,b=c"},
        job_types=("query", "INSERT"),
        database="sales",
        engine_types=("spark",),
    )
    await Discovery(world.client, filters).round()
    for request in world.simulator.requests:
        pairs = dict(parse_qsl(urlsplit(request.target).query))
        assert request.target.count("job_types=") == 2
        wanted = {"queue_name": "etl", "owner": "ann", "tags": "team=sales", "db_name": "sales"}
        assert pairs.items() >= {**wanted, "page-size": "100"}.items()
        assert not any("engine" in name for name in pairs)


async def test_several_queues_are_chosen_here_at_no_more_calls(world: World) -> None:
    one, two, _ = (world.add(queue_name=queue) for queue in ("etl", "BI", "other"))
    found = await Discovery(world.client, Filters(queues=("etl", "bi"))).round()
    assert (ids(found.live), found.pages) == ({one, two}, 4)
    assert not any("queue_name" in query for query in world.asked())


WANTED: Mapping[str, Any] = {
    "queue_name": "etl",
    "owner": "ann",
    "tags": {"team": "sales", "more": "x"},
    "job_type": "IMPORT",
    "database_name": "sales",
    "engine_type": "hetuEngine",
}
FILTERS = Filters(
    queues=("etl", "other"),
    owner="ann",
    tags={"team": "sales"},
    job_types=("IMPORT", "EXPORT"),
    database="sales",
    engine_types=("hetuEngine",),
)


@pytest.mark.parametrize(
    "differs",
    [
        {"queue_name": "etl2"},
        {"owner": "Ann"},
        {"tags": {"team": "sales-eu"}},
        {"tags": {"team": "eu"}},
        {"tags": {}},
        {"job_type": "QUERY"},
        {"database_name": "crm"},
        {"engine_type": "spark"},
        {"engine_type": ""},
    ],
    ids=str,
)
async def test_rows_that_do_not_match_are_left_out_even_if_the_api_lists_them(
    world: World, differs: dict[str, Any]
) -> None:
    everything: list[dict[str, Any]] = []

    def all_of_them(body: dict[str, Any]) -> object:
        return {**body, "jobs": everything}

    wanted = world.add(**WANTED)
    ended = world.add(**WANTED)
    world.add(**{**WANTED, **differs})
    world.end(world.add(**{**WANTED, **differs}))
    discovery = Discovery(world.client, FILTERS)
    await discovery.round()
    world.end(ended)
    snapshot: Any = world.simulator.snapshot()
    everything += snapshot["projects"][ONE.id]["jobs"]
    world.rewrite(all_of_them)
    assert changes(await discovery.round()) == ({wanted}, {ended}, set())
    assert changes(await discovery.round()) == ({wanted}, set(), set())


def listed(**about: Any) -> ListedJob:
    return ListedJob(job_id="a", status=JobStatus.RUNNING, details=Details(**about))


@pytest.mark.parametrize(
    ("filters", "about", "admitted"),
    [
        (ALL, {}, True),
        (Filters(database="sales"), {}, True),
        (Filters(database="sales"), {"database_name": "Sales"}, True),
        (Filters(database="sales"), {"database_name": "sales2"}, False),
        (Filters(engine_types=("spark",)), {}, True),
        (Filters(engine_types=("Spark", "x")), {"engine_type": "spark"}, True),
        (Filters(engine_types=("hetuengine",)), {"engine_type": "hetuEngine"}, True),
        (Filters(engine_types=("hetuEngine",)), {}, False),
        (Filters(queues=("Etl",)), {"queue_name": "etl"}, True),
        (Filters(queues=("etl",)), {}, False),
        (Filters(owner="ann"), {}, False),
        (Filters(tags={"a": ""}), {}, False),
        (Filters(tags={"a": ""}), {"tags": {"a": ""}}, True),
    ],
)
def test_what_a_row_does_not_say_is_judged_by_what_the_documents_promise(
    filters: Filters, about: dict[str, Any], admitted: bool
) -> None:
    assert filters.admit(listed(**about)) is admitted


@pytest.mark.parametrize("claim", [0, 1, 10**9, -3, None, "many"])
async def test_a_total_that_lies_neither_stops_nor_prolongs_the_reading(
    world: World, claim: object
) -> None:
    jobs = {world.add() for _ in range(25)}
    world.rewrite(lambda body: {**body, "job_count": claim})
    found = await Discovery(world.client, ALL, page_size=10).round()
    assert (ids(found.live), found.pages) == (jobs, 6)
    assert not found.truncated


async def test_rows_that_cannot_be_read_count_towards_a_whole_page(world: World) -> None:
    def spoil(body: dict[str, Any]) -> object:
        for row in body["jobs"][:3]:
            row["job_id"] = None
        return body

    for _ in range(25):
        world.add()
    world.rewrite(spoil)
    found = await Discovery(world.client, ALL, page_size=10).round()
    # The lists are of 25 jobs in 3 pages; the newest ten are read last.
    assert len(found.live) == 25 - 3 * 3 + 3
    assert found.error is None


async def test_a_page_that_repeats_ends_the_reading(world: World) -> None:
    first: dict[str, object] = {}
    for _ in range(10):
        world.add()
    world.rewrite(lambda body: first.setdefault("page", body))
    found = await Discovery(world.client, ALL, page_size=5).round()
    assert (len(found.live), found.pages) == (5, 2 + 2 + 2 + 1)


async def test_pages_that_shift_hide_jobs_for_a_round_and_end_none(world: World) -> None:
    jobs = [world.add() for _ in range(30)]
    discovery = Discovery(world.client, ALL, page_size=10)
    assert ids((await discovery.round()).live) == set(jobs)
    dying = jobs[:4]

    def shift(body: dict[str, Any]) -> object:
        """Let the oldest jobs end as soon as their page has left."""
        for job in dying:
            world.end(job)
        dying.clear()
        return body

    world.rewrite(shift, count=1)
    # 1000 s later the window shows the newest alone, and cannot make up for the shift.
    world.clock.advance(1000)
    newest = world.add(SHORT)
    hidden = set(jobs[10:14])
    await settle_window(world, discovery)
    found = await discovery.round()
    assert found.error is None
    assert ids(found.live) | set(found.left) | {newest} >= set(jobs) - hidden
