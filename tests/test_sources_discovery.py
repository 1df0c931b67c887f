"""Discovery against the simulator over real sockets, with a clock that the tests drive."""

from collections import Counter
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field, replace
from random import Random
from typing import Any
from urllib.parse import parse_qsl, urlsplit

import pytest
from aiohttp import ClientSession

from exporter.dli import errors
from exporter.dli.client import DliClient
from exporter.dli.credentials import Static
from exporter.dli.pacing import Bucket
from exporter.dli.signing import AccessKey
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
from exporter.sources.discovery import Discovery, Round
from exporter.sources.listing import Filters, finished

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


LONG = timeline(
    (0, "LAUNCHING"), (20, "RUNNING"), (200, "SCALING"), (260, "RUNNING"), (1e7, "FAILED")
)
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
        connections = await stack.enter_async_context(ClientSession())
        clients = {
            project: DliClient(
                connections,
                address,
                project_id=project.id,
                provider=Static(AccessKey(project.ak, project.sk)),
                quota=Bucket(1000),
                timeout=10,
                now=clock,
                monotonic=lambda: clock.monotonic,
                jitter=lambda: 0.0,
                sleep=clock.sleep,
            )
            for project in (ONE, TWO)
        }
        yield World(simulator, clock, clients)


async def move_on(world: World, discovery: Discovery) -> None:
    """Let jobs come and go until the window begins later than all that is there now."""
    left: set[str] = set()
    for _ in range(3):
        world.clock.advance(1000)
        world.add(SHORT)
        world.clock.advance(5)
        left.update((await discovery.round()).left)
    assert not left


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
    # Of the 9 rows spoilt on 3 pages, the page of the newest shows 2 in another place.
    assert (len(found.live), found.pages, found.error) == (25 - 9 + 2, 6, None)


async def test_a_page_that_repeats_ends_the_reading(world: World) -> None:
    first: dict[str, object] = {}
    for _ in range(10):
        world.add()
    world.rewrite(lambda body: first.setdefault("page", body))
    found = await Discovery(world.client, ALL, page_size=5).round()
    assert (len(found.live), found.pages) == (5, 2 + 2 + 2 + 1)


async def test_pages_that_shift_hide_jobs_for_a_round_and_end_none(world: World) -> None:
    jobs = sorted(world.add() for _ in range(30))  # in the order of the list: all start at once
    discovery = Discovery(world.client, ALL, page_size=10)
    await discovery.round()
    await move_on(world, discovery)
    dying, hidden = jobs[:4], jobs[10:14]

    def shift(body: dict[str, Any]) -> object:
        while dying and body["jobs"]:
            world.end(dying.pop())
        return body

    world.rewrite(shift)
    assert changes(await discovery.round()) == (set(jobs) - set(hidden), set(), set(hidden))
    assert changes(await discovery.round()) == (set(jobs[4:]), set(), set(jobs[:4]))


async def test_a_listing_beyond_its_last_page_keeps_the_oldest_and_says_so(world: World) -> None:
    jobs = []
    for _ in range(103):
        jobs.append(world.add())
        world.clock.advance(1)
    world.clock.advance(20)
    discovery = Discovery(world.client, ALL, page_size=1)
    first = await discovery.round()
    assert first.truncated
    assert first.pages == 1 + 100 + 1 + 1
    assert ids(first.live) == {*jobs[:100], jobs[-1]}
    world.end(jobs[0])
    second = await discovery.round()
    assert second.truncated
    assert second.left == (jobs[0],)  # and none of those that could not be read
    assert ids(second.live) == {*jobs[1:101], jobs[-1]}
    await move_on(world, discovery)  # so that the last one shows nowhere any more
    third = await discovery.round()
    assert (third.left, ids(third.live)) == ((), set(jobs[1:101]))


async def test_a_window_longer_than_its_last_page_is_caught_up_with_round_by_round(
    world: World,
) -> None:
    discovery = Discovery(world.client, ALL, page_size=1, overlap=60)
    await discovery.round()
    short = set()
    for _ in range(230):
        short.add(world.add(SHORT))
        world.clock.advance(7)
    rounds = [await discovery.round() for _ in range(4)]
    assert [found.truncated for found in rounds] == [True, True, False, False]
    counted = Counter(job.job_id for found in rounds for job in found.ended)
    assert counted == Counter(short)


@pytest.mark.parametrize("times", [1, None])
async def test_a_page_that_fails_while_catching_up_is_tried_again_and_then_passed_over(
    world: World, times: int | None
) -> None:
    discovery = Discovery(world.client, ALL, page_size=1, overlap=60)
    await discovery.round()
    short = []
    for _ in range(150):
        short.append(world.add(SHORT))
        world.clock.advance(7)
    failures = 0

    def fail(body: dict[str, Any]) -> object:
        nonlocal failures
        if [row["job_id"] for row in body["jobs"]] != [short[40]] or failures == times:
            return body
        failures += 1
        return []

    world.rewrite(fail)
    counted: Counter[str] = Counter()
    for _ in range(5):
        counted.update(ids((await discovery.round()).ended))
    assert counted == Counter(short if times else [*short[:40], *short[41:]])


@pytest.mark.parametrize("code", ["DLI.0001", "DLI.0023"])
async def test_a_refusal_beyond_the_last_page_is_its_end(world: World, code: str) -> None:
    jobs = {world.add() for _ in range(10)}
    for skip in (1, 2, 3):  # the second page of LAUNCHING, and no other call
        world.simulator.faults.clear()
        world.simulator.faults.add(Fault(skip=skip, count=1, status=400, code=code))
        found = await Discovery(world.client, ALL, page_size=10).round()
        assert ids(found.live) == jobs
        assert (found.error is None) == (skip == 1)


BROKEN = (
    Fault(status=503, code="APIGW.0613"),
    Fault(status=502, body="<html>bad gateway</html>", content_type="text/html"),
    Fault(cut=Cut.BEFORE),
    Fault(cut=Cut.IN_BODY),
    Fault(body="{"),
    Fault(body="null"),
    Fault(body="<html>log in</html>", content_type="text/html"),
    Fault(body='{"is_success": false, "message": "maintenance"}'),
    Fault(status=403, code="APIGW.0302"),
    Fault(status=500, code="DLI.0999"),
)


@pytest.mark.parametrize("fault", BROKEN, ids=range(len(BROKEN)))
@pytest.mark.parametrize("call", range(6))
async def test_an_error_at_any_call_forgets_nothing_and_the_next_round_makes_up_for_it(
    world: World, fault: Fault, call: int
) -> None:
    """Two pages of running jobs make six calls; a short job comes and goes meanwhile."""
    jobs = [world.add() for _ in range(10)]
    discovery = Discovery(world.client, ALL, page_size=10)
    await discovery.round()
    world.clock.advance(60)
    ended, fresh, short = jobs.pop(), world.add(), world.add(SHORT)
    world.end(ended)
    jobs.append(world.add())
    world.clock.advance(25)
    reports: Counter[str] = Counter()
    world.simulator.faults.add(replace(fault, skip=call))
    rounds = []
    for _ in range(3):
        rounds.append(await discovery.round())
        reports.update(ids(rounds[-1].ended))
        world.simulator.faults.clear()
        world.clock.advance(60)
    assert [found.error is None for found in rounds] == [False, True, True]
    assert not any(found.left for found in rounds)
    assert ids(rounds[-1].live) == {*jobs, fresh}
    assert reports == Counter([ended, short])


async def test_a_refused_query_leaves_the_others_alone(world: World) -> None:
    """As by an edition that does not know one of the statuses."""
    await (discovery := Discovery(world.client, ALL)).round()
    job = world.add()
    world.clock.advance(30)
    world.simulator.faults.add(Fault(status=400, code="DLI.0001", count=2))
    found = await discovery.round()
    assert isinstance(found.error, errors.RequestRejected)
    assert (ids(found.live), found.pages) == ({job}, 5)


async def test_an_outage_ends_the_round_at_once_and_reports_what_was_read(world: World) -> None:
    job = world.add()
    world.simulator.faults.add(Fault(status=403, code="APIGW.0302", skip=1))
    found = await Discovery(world.client, ALL).round()
    assert ids(found.live) == {job}
    assert found.pages == 2
    assert isinstance(found.error, errors.Forbidden)


async def test_a_page_that_cannot_be_read_hides_its_own_jobs_only(world: World) -> None:
    jobs = []
    for _ in range(35):
        jobs.append(world.add())
        world.clock.advance(30)
    world.clock.advance(3000)
    discovery = Discovery(world.client, ALL, page_size=10)
    await discovery.round()
    gone = [jobs[5], jobs[15], jobs[20]]
    for job in gone:
        world.end(job)
    # Calls: LAUNCHING, and the first page of RUNNING; then this page of jobs 11 to 22.
    world.simulator.faults.add(Fault(body="[]", skip=2, count=1))
    found = await discovery.round()
    assert isinstance(found.error, errors.ParseError)
    assert found.left == (jobs[5],)
    assert ids(found.live) == {*jobs[:11], *jobs[23:]} - {jobs[5]}
    found = await discovery.round()
    assert (found.error, set(found.left)) == (None, {jobs[15], jobs[20]})
    assert ids(found.live) == set(jobs) - set(gone)


async def test_a_window_that_cannot_be_read_hides_none_but_its_own_jobs(world: World) -> None:
    old = [world.add() for _ in range(3)]
    discovery = Discovery(world.client, ALL)
    await discovery.round()
    await move_on(world, discovery)
    young, short = world.add(), world.add(SHORT)
    await discovery.round()
    world.end(old[0])
    world.end(young)
    left: list[str] = []
    for _ in range(3):  # longer than the overlap, and with new jobs in the live lists
        world.clock.advance(1000)
        world.add()
        number = world.simulator.faults.add(Fault(status=400, code="DLI.0001", skip=3, count=2))
        found = await discovery.round()
        world.simulator.faults.remove(number)
        assert isinstance(found.error, errors.RequestRejected)
        assert not found.ended
        left += found.left
    assert left == [old[0]]
    assert {young, short} <= ids((await discovery.round()).ended)


async def test_a_first_round_that_fails_is_made_up_for_and_its_jobs_are_watched(
    world: World,
) -> None:
    discovery = Discovery(world.client, ALL)
    job = world.add()
    for ends in (True, False):
        number = world.simulator.faults.add(Fault(body="{", skip=3))
        found = await discovery.round()
        assert (found.error is None, found.left, found.ended) == (False, (), ())
        world.simulator.faults.remove(number)
        if ends:
            world.end(job)
    assert changes(await discovery.round()) == (set(), {job}, set())


async def test_watching_begins_when_the_list_tells_when_jobs_started(world: World) -> None:
    def timeless(body: dict[str, Any]) -> object:
        return {**body, "jobs": [{**row, "start_time": 0} for row in body["jobs"]]}

    for _ in range(20):
        world.add(SHORT)
    world.clock.advance(30)
    running = world.add()
    world.rewrite(timeless)
    discovery = Discovery(world.client, ALL, page_size=10)
    for _ in range(3):
        assert changes(await discovery.round()) == ({running}, set(), set())
    world.simulator.faults.clear()
    await discovery.round()
    world.end(running)
    assert changes(await discovery.round()) == (set(), {running}, set())


async def test_lists_that_an_outage_left_unread_hide_their_jobs(world: World) -> None:
    scaling = world.add(timeline((0, "SCALING"), (1e7, "FAILED")))
    world.clock.advance(10)
    jobs = {world.add() for _ in range(15)}
    discovery = Discovery(world.client, ALL, page_size=10)
    await discovery.round()
    await move_on(world, discovery)
    world.simulator.faults.add(Fault(status=403, code="APIGW.0302", skip=2))
    found = await discovery.round()
    assert (len(found.live), found.left, found.pages) == (10, (), 3)
    world.simulator.faults.clear()
    assert ids((await discovery.round()).live) == {*jobs, scaling}


async def test_pages_too_large_to_read_are_asked_for_smaller(world: World) -> None:
    jobs = {world.add(statement="x" * 1_000_000) for _ in range(20)}
    discovery = Discovery(world.client, ALL)
    found = await discovery.round()
    assert isinstance(found.error, errors.PayloadTooLarge)
    for _ in range(4):
        found = await discovery.round()
    assert (ids(found.live), found.error) == (jobs, None)


async def test_a_restart_of_the_api_in_mid_round_ends_no_job(world: World) -> None:
    jobs = [world.add() for _ in range(25)]
    discovery = Discovery(world.client, ALL, page_size=10)
    await discovery.round()

    def restart(body: dict[str, Any]) -> object:
        if body["jobs"]:
            world.simulator.faults.clear()
            world.simulator.restart()
        return body

    world.rewrite(restart)
    found = await discovery.round()
    assert (ids(found.live), found.ended) == (set(sorted(jobs)[:10]), ())
    assert set(found.left) == set(jobs) - ids(found.live)
    world.clock.advance(30)
    again = {jobs[3], world.add()}
    world.simulator.add(LONG, job_id=jobs[3], start=world.clock.now - 30)
    short = world.add(SHORT)
    world.clock.advance(30)
    assert changes(await discovery.round())[:2] == (again, {short})


@pytest.mark.parametrize("jump", [-3600.0, 3600.0])
async def test_the_servers_clock_may_jump_and_jump_back(world: World, jump: float) -> None:
    """What runs then tells of the jump; jobs too short to be seen before that may be missed."""
    discovery = Discovery(world.client, ALL, overlap=60)
    counted: Counter[str] = Counter()
    await discovery.round()
    for sudden in (jump, -jump):
        for number in range(8):
            short = {world.add(SHORT)}
            world.clock.advance(30)
            counted.update(ids((await discovery.round()).ended))
            assert short <= counted.keys() or number == 0
            if number == 0:
                world.add()
                assert (await discovery.round()).live
                counted.update(ids((await discovery.round()).ended))
                assert short <= counted.keys()
        world.clock.advance(sudden)
    assert set(counted.values()) == {1}
    assert len(counted) == 16


async def test_a_job_that_comes_back_from_its_end_is_not_counted_twice(world: World) -> None:
    discovery = Discovery(world.client, ALL)
    await discovery.round()
    job = world.add()
    await discovery.round()
    world.end(job)
    assert changes(await discovery.round()) == (set(), {job}, set())
    world.simulator.add(LONG, job_id=job)
    assert changes(await discovery.round()) == ({job}, set(), set())
    assert discovery.has_ended(job)
    world.end(job)
    assert changes(await discovery.round()) == (set(), set(), {job})
    assert changes(await discovery.round()) == (set(), set(), set())


async def test_a_settled_job_is_not_spoken_of_again(world: World) -> None:
    discovery = Discovery(world.client, ALL)
    await discovery.round()
    job = world.add()
    await discovery.round()
    assert not discovery.has_ended(job)
    discovery.settle([job])
    world.end(job)
    assert changes(await discovery.round()) == (set(), set(), set())
    assert discovery.has_ended(job)


async def test_projects_know_nothing_of_each_other_even_with_the_same_ids(world: World) -> None:
    one, two = (Discovery(world.clients[each], ALL) for each in (ONE, TWO))
    await one.round(), await two.round()
    for project in (ONE, TWO):
        world.simulator.add(LONG, project=project.id, job_id="same")
    only = world.add(project=TWO)
    assert changes(await one.round()) == ({"same"}, set(), set())
    world.end("same")
    world.simulator.faults.add(Fault(project=ONE.id, status=403, code="APIGW.0302"))
    assert (await one.round()).error
    assert changes(await two.round()) == ({"same", only}, set(), set())
    world.simulator.faults.clear()
    world.end("same", "FAILED", project=TWO)
    assert changes(await one.round()) == (set(), {"same"}, set())
    assert changes(await two.round()) == ({only}, {"same"}, set())


async def test_finished_jobs_are_read_newest_first_and_only_as_far_as_asked(world: World) -> None:
    jobs = []
    for number in range(25):
        jobs.append(world.add(SHORT, queue_name="ab"[number % 2]))
        world.clock.advance(30)
    world.end(world.add(), "FAILED")
    world.add()
    pages = [page async for page in finished(world.client, ALL, pages=2, page_size=10)]
    assert [[job.job_id for job in page] for page in pages] == [jobs[:14:-1], jobs[14:4:-1]]
    assert [len(page) async for page in finished(world.client, ALL, pages=9, page_size=10)] == [
        *(10, 10, 5)
    ]
    ours = Filters(queues=("a", "c"))
    pages = [page async for page in finished(world.client, ours, pages=9, page_size=10)]
    assert [job.job_id for page in pages for job in page] == jobs[::-2]


async def test_finished_jobs_come_once_while_new_ones_push_them_on(world: World) -> None:
    jobs = [world.add(SHORT) for _ in range(25)]
    world.clock.advance(10)
    fresh: list[str] = []
    found: list[ListedJob] = []
    async for page in finished(world.client, ALL, pages=9, page_size=10):
        found += page
        fresh += [world.add(SHORT) for _ in range(3 if len(fresh) < 6 else 0)]
        world.clock.advance(10)
    assert ids(found) == set(jobs)


async def test_the_history_is_of_finished_jobs_whatever_else_is_listed(world: World) -> None:
    def claim(body: dict[str, Any]) -> object:
        first, *rest = body["jobs"]
        return {**body, "jobs": [{**first, "status": "FAILED"}, *rest]}

    for _ in range(5):
        world.add(SHORT)
    world.clock.advance(10)
    world.rewrite(claim)
    assert [len(page) async for page in finished(world.client, ALL, pages=9)] == [4]


async def test_a_page_that_repeats_ends_the_history(world: World) -> None:
    first: dict[str, object] = {}
    for _ in range(10):
        world.add(SHORT)
    world.clock.advance(10)
    world.rewrite(lambda body: first.setdefault("page", body))
    assert [len(page) async for page in finished(world.client, ALL, pages=9, page_size=5)] == [5, 0]


async def test_the_callers_pace_is_the_calls_pace_when_reading_finished_jobs(world: World) -> None:
    for _ in range(25):
        world.add(SHORT)
    world.clock.advance(10)
    pages = finished(world.client, ALL, pages=9, page_size=10)
    for calls in (1, 2):
        await anext(pages)
        assert world.simulator.requested() == calls
    world.simulator.faults.add(Fault(status=403, code="APIGW.0302"))
    with pytest.raises(errors.Forbidden):
        await anext(pages)


@pytest.mark.parametrize(("code", "beyond"), [("DLI.0001", 10), ("DLI.0023", 10), ("DLI.0001", 5)])
async def test_a_refused_page_ends_the_history_but_for_the_first(
    world: World, code: str, beyond: int
) -> None:
    for _ in range(10):
        world.add(SHORT)
    world.clock.advance(10)
    world.simulator.faults.add(Fault(status=400, code=code, skip=1))
    pages = [page async for page in finished(world.client, ALL, pages=9, page_size=beyond)]
    assert [len(page) for page in pages] == [beyond]
    with pytest.raises(errors.DliError):
        await anext(finished(world.client, ALL, pages=9))


@dataclass
class Ledger:
    """What a consumer makes of the rounds: how each job's end was handed over, once."""

    live: set[str] = field(default_factory=set)
    rows: Counter[str] = field(default_factory=Counter)
    left: set[str] = field(default_factory=set)

    def take(self, found: Round) -> None:
        self.live = ids(found.live)
        assert not self.live & self.rows.keys()
        self.left -= self.live
        for job in found.left:
            assert job not in self.left
            assert job not in self.rows
            self.left.add(job)
        for row in found.ended:
            assert row.status.terminal
            assert row.job_id not in self.left
            self.rows[row.job_id] += 1


@dataclass
class Life:
    """Jobs that start, end and vanish at random, and what became of them."""

    world: World
    random: Random
    running: list[str] = field(default_factory=list)
    over: set[str] = field(default_factory=set)
    vanished: set[str] = field(default_factory=set)

    def go_on(self, chance: float) -> None:
        for _ in range(self.random.randrange(4)):
            if self.random.random() < chance:
                self.running.append(self.world.add())
            if self.random.random() < chance / 2:
                self.over.add(self.world.add(SHORT))
            if self.running and self.random.random() < chance:
                self.over.add(job := self.any())
                self.world.end(job, self.random.choice(["FINISHED", "FAILED", "CANCELLED"]))
            if self.running and self.random.random() < chance / 20:
                self.vanished.add(job := self.any())
                self.world.simulator.forget(job)

    def any(self) -> str:
        return self.running.pop(self.random.randrange(len(self.running)))

    def while_read(self, body: dict[str, Any]) -> object:
        """Shift the pages that are still to be read, and lie about the total."""
        self.go_on(0.2)
        self.world.clock.advance(0.05)
        return {**body, "job_count": self.random.randrange(1000)}

    def trouble(self) -> Fault:
        return replace(self.random.choice(BROKEN), skip=self.random.randrange(12), count=4)


@pytest.mark.parametrize("seed", range(3))
async def test_five_hundred_jobs_come_and_go_and_each_end_is_handed_over_once(
    world: World, seed: int
) -> None:
    random = Random(seed)  # noqa: S311 - a walk that can be repeated
    life, ledger = Life(world, random), Ledger()
    size = (2, 7, 50)[seed]  # the first makes lists longer than their last page
    discovery = Discovery(world.client, ALL, page_size=size, overlap=120)
    before = {world.add(SHORT) for _ in range(30)}
    life.running += [world.add() for _ in range(10)]
    world.clock.advance(60)
    ledger.take(await discovery.round())
    while len(life.over) < 500:
        world.simulator.faults.clear()
        if random.random() < 0.5:
            world.simulator.faults.add(life.trouble())
        world.rewrite(life.while_read)
        ledger.take(await discovery.round())
        world.clock.advance(random.uniform(1, 60))
        life.go_on(0.9)
    world.simulator.faults.clear()
    for _ in range(3):
        world.clock.advance(60)
        ledger.take(await discovery.round())
    handed = ledger.rows.keys() | ledger.left
    assert ledger.live == set(life.running)
    assert set(ledger.rows.values()) == {1}
    assert life.over <= handed <= life.over | life.vanished
    assert not handed & before
