"""The simulator over real sockets: routes, headers, clients' mistakes, and every fault."""

import asyncio
import json
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from email.utils import parsedate_to_datetime
from typing import Any
from urllib.parse import quote, urlsplit

import aiohttp
import pytest
from yarl import URL

from exporter.dli.signing import AccessKey, request_target, sdk_date, sign
from exporter.simulator import (
    Cut,
    Endpoint,
    Fault,
    Particulars,
    Project,
    Repeat,
    Scene,
    Simulator,
    Throttle,
    demo_project,
    serve,
)
from exporter.simulator.answers import UNRELATED_JOB
from exporter.simulator.timeline import Timeline, shipped_timelines

SHIPPED = shipped_timelines()
ONE = demo_project(1)
TWO = demo_project(1, "two")


@dataclass
class Clock:
    """A clock that stands still until it is set."""

    now: float = 1_700_000_000.0

    def __call__(self) -> float:
        """Tell the time."""
        return self.now


class Client:
    """A client of one project that authenticates by token."""

    def __init__(self, session: aiohttp.ClientSession, address: str, project: Project) -> None:
        self.session = session
        self.address = address
        self.project = project

    async def get(self, path: str, **query: str) -> tuple[int, Any]:
        """Get a path of the API and give the status with the JSON."""
        return await self.send("GET", self.url(path), params=query)

    async def send(self, method: str, url: str, **options: Any) -> tuple[int, Any]:
        headers = {"X-Auth-Token": self.project.token or ""}
        async with self.session.request(method, url, headers=headers, **options) as response:
            assert response.headers["X-Request-Id"]
            return response.status, await response.json()

    def url(self, path: str) -> str:
        return self.address + path.format(p=self.project.id)

    async def progress(self, job_id: str) -> tuple[int, Any]:
        return await self.get(f"/v1/{{p}}/jobs/{job_id}/progress")


@dataclass
class World:
    """A simulator on a port, its clock, and a client."""

    simulator: Simulator
    clock: Clock
    client: Client


@asynccontextmanager
async def world(
    scene: Scene | None = None,
    *,
    projects: Sequence[Project] = (ONE,),
    timelines: Sequence[Timeline] = SHIPPED,
    wait: Callable[[float], Awaitable[None]] = asyncio.sleep,
    **options: Any,
) -> AsyncIterator[World]:
    clock = Clock()
    simulator = Simulator(
        projects=projects,
        timelines=timelines,
        scene=scene or Scene(jobs=0),
        now=clock,
        **options,
    )
    async with serve(simulator, wait=wait) as address, aiohttp.ClientSession() as session:
        yield World(simulator, clock, Client(session, address, projects[0]))


@pytest.fixture
async def empty() -> AsyncIterator[World]:
    """Serve no jobs but those that a test adds."""
    async with world() as shown:
        yield shown


@pytest.mark.parametrize("timeline", SHIPPED, ids=lambda each: each.name)
async def test_a_recording_is_replayed_in_full_at_its_own_times(timeline: Timeline) -> None:
    async with world() as shown:
        job_id = shown.simulator.add(timeline, start=shown.clock.now)
        start = shown.clock.now
        # As when polled every five seconds, and at the end.
        for t in [*(5.0 * n for n in range(int(timeline.duration / 5))), timeline.duration]:
            shown.clock.now = start + t
            status, body = await shown.client.progress(job_id)
            assert status == 200
            assert body == timeline.replay(timeline.index_at(t), job_id, start, 1.0)
        assert (body["status"], body["progress"]) == (timeline.outcome, 1)


async def test_the_list_shows_jobs_and_takes_filters(empty: World) -> None:
    about = Particulars(statement="select 1", queue_name="etl", tags={"jobName": "a b+c/d"})
    job_id = empty.simulator.add("single", particulars=about)
    empty.simulator.add("fail", particulars=Particulars(statement="select 2"))
    status, body = await empty.client.get("/v1.0/{p}/jobs")
    assert (status, body["is_success"], body["job_count"]) == (200, True, 2)
    status, body = await empty.client.get("/v1.0/{p}/jobs", tags="jobName=b+c/d", queue_name="etl")
    # aiohttp's client writes a space as a plus sign, but a plus sign as %2B.
    assert [row["job_id"] for row in body["jobs"]] == [job_id]


async def test_a_plus_sign_in_a_query_is_no_space(empty: World) -> None:
    about = Particulars(statement="select 1", tags={"jobName": "a+b"})
    empty.simulator.add("single", particulars=about)
    url = URL(empty.client.url("/v1.0/{p}/jobs?tags=jobName=a+b"), encoded=True)
    status, body = await empty.client.send("GET", url)  # type: ignore[arg-type] # a URL that yarl must not touch
    assert (status, body["job_count"]) == (200, 1)


async def test_a_page_out_of_range_is_a_parameter_error(empty: World) -> None:
    status, body = await empty.client.get("/v1.0/{p}/jobs", **{"current-page": "101"})
    assert (status, body["error_code"]) == (400, "DLI.0001")


async def test_the_status_api_tells_of_one_job(empty: World) -> None:
    job_id = empty.simulator.add("cancel")
    empty.clock.now += 39
    status, body = await empty.client.get(f"/v1.0/{{p}}/jobs/{job_id}/status")
    assert (status, body["status"], body["job_id"]) == (200, "CANCELLED", job_id)


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("GET", "/v1.0/{p}/jobs/x/progress"),
        ("GET", "/v1/{p}/jobs"),
        ("GET", "/v1/{p}/jobs/x/status"),
        ("GET", "/v1.0/{p}/jobs/x"),
        ("GET", "/v1.0/{p}/jobs/"),
        ("GET", "/"),
        ("GET", "/_simulator"),
        ("GET", "/_simulator/nothing"),
        ("POST", "/v1.0/{p}/jobs"),
        ("DELETE", "/v1.0/{p}/jobs/x"),
    ],
)
async def test_every_other_path_and_method_is_unknown_to_the_gateway(
    empty: World, method: str, path: str
) -> None:
    status, body = await empty.client.send(method, empty.client.url(path))
    assert (status, body["error_code"]) == (404, "APIGW.0101")
    assert len(body["request_id"]) == 32


async def test_the_gateways_errors_name_the_request_as_the_header_does(empty: World) -> None:
    async with empty.client.session.get(empty.client.url("/v1.0/{p}/jobs")) as response:
        body = await response.json()
    assert (response.status, body["error_code"]) == (401, "APIGW.0301")
    assert body["request_id"] == response.headers["X-Request-Id"]


async def test_an_unknown_job_does_not_exist(empty: World) -> None:
    status, body = await empty.client.progress("00000000-0000-4000-8000-000000000000")
    assert (status, body) == (
        400,
        {"error_msg": "The object does not exist.", "error_code": "DLI.0002"},
    )


async def test_an_unknown_job_can_be_not_found_instead() -> None:
    async with world(unknown_job=UNRELATED_JOB) as shown:
        status, body = await shown.client.progress("x")
        assert (status, body["error_code"]) == (404, "DLI.0023")


async def test_projects_keep_to_themselves() -> None:
    async with world(projects=(ONE, TWO)) as shown:
        job_id = shown.simulator.add("single", project=TWO.id)
        assert (await shown.client.progress(job_id))[0] == 400
        other = Client(shown.client.session, shown.client.address, TWO)
        assert (await other.progress(job_id))[0] == 200
        status, body = await other.send("GET", shown.client.url("/v1.0/{p}/jobs"))
        assert (status, body["error_code"]) == (403, "APIGW.0302")


async def test_the_date_is_the_simulated_clocks(empty: World) -> None:
    async with empty.client.session.get(empty.client.url("/v1.0/{p}/jobs")) as response:
        date = parsedate_to_datetime(response.headers["Date"])
    assert date.timestamp() == empty.clock.now


async def test_a_signed_request_passes_exactly_as_it_travels(empty: World) -> None:
    path = f"/v1.0/{ONE.id}/jobs"
    query = [("tags", "jobName=a b+c/d,k=é~*"), ("job_types", "QUERY"), ("job_types", "DDL")]
    headers = sign(
        AccessKey(ONE.ak, ONE.sk),
        "GET",
        urlsplit(empty.client.address).netloc,
        path,
        date=sdk_date(empty.clock.now),
        query=query,
    )
    target = empty.client.address + request_target(path, query)
    async with empty.client.session.get(URL(target, encoded=True), headers=headers) as response:
        assert response.status == 200, await response.text()
    spoilt = target.replace("%20", "+")
    async with empty.client.session.get(URL(spoilt, encoded=True), headers=headers) as response:
        assert response.status == 401


async def test_throttling_follows_the_clock() -> None:
    async with world(throttle=Throttle(2)) as shown:
        answers = [await shown.client.get("/v1.0/{p}/jobs") for _ in range(3)]
        assert [status for status, _ in answers] == [200, 200, 429]
        assert answers[2][1]["error_code"] == "APIGW.0308"
        shown.clock.now += 0.5
        answers = [await shown.client.get("/v1.0/{p}/jobs") for _ in range(2)]
        assert [status for status, _ in answers] == [200, 429]


async def test_a_fault_answers_with_a_status_and_headers(empty: World) -> None:
    empty.simulator.faults.add(
        Fault(status=429, code="APIGW.0308", headers={"Retry-After": "abc"}, count=1)
    )
    async with empty.client.session.get(empty.client.url("/v1.0/{p}/jobs")) as response:
        assert (response.status, response.headers["Retry-After"]) == (429, "abc")
        assert (await response.json())["error_code"] == "APIGW.0308"
    assert (await empty.client.get("/v1.0/{p}/jobs"))[0] == 200


async def test_a_fault_answers_with_a_body_of_any_kind(empty: World) -> None:
    empty.simulator.faults.add(Fault(body="<html>proxy</html>", content_type="text/html"))
    async with empty.client.session.get(empty.client.url("/")) as response:
        assert (response.status, response.content_type) == (200, "text/html")
        assert await response.text() == "<html>proxy</html>"


async def test_a_fault_for_one_job_leaves_the_others_alone(empty: World) -> None:
    struck, spared = (empty.simulator.add("single") for _ in "ab")
    empty.simulator.faults.add(Fault(job_id=struck, endpoint=Endpoint.PROGRESS, status=500))
    assert [(await empty.client.progress(each))[0] for each in (struck, spared)] == [500, 200]
    assert (await empty.client.get(f"/v1.0/{{p}}/jobs/{struck}/status"))[0] == 200


async def test_a_fault_rewrites_a_true_answer(empty: World) -> None:
    empty.simulator.add("single")
    empty.simulator.faults.add(Fault(rewrite=lambda body: {**body, "job_count": 99}))
    body = (await empty.client.get("/v1.0/{p}/jobs"))[1]
    assert (body["job_count"], len(body["jobs"])) == (99, 1)
    assert (await empty.client.progress("unknown"))[1]["error_code"] == "DLI.0002"


async def test_a_delay_waits_before_the_answer() -> None:
    waited: list[float] = []
    release = asyncio.Event()

    async def wait(seconds: float) -> None:
        waited.append(seconds)
        await release.wait()

    async with world(wait=wait) as shown:
        shown.simulator.faults.add(Fault(delay=30.0))
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(shown.client.get("/v1.0/{p}/jobs"), 0.05)
        release.set()
        assert (await shown.client.get("/v1.0/{p}/jobs"))[0] == 200
        assert waited == [30.0, 30.0]


async def test_a_trickle_comes_in_pieces_and_whole_in_the_end() -> None:
    waited: list[float] = []

    async def wait(seconds: float) -> None:
        waited.append(seconds)

    async with world(wait=wait) as shown:
        shown.simulator.faults.add(Fault(trickle=10.0))
        status, body = await shown.client.get("/v1.0/{p}/jobs")
        assert (status, body["job_count"]) == (200, 0)
        size = len('{"is_success":true,"message":"","job_count":0,"jobs":[]}')
        assert sum(waited) == pytest.approx(size / 10)
        assert len(waited) == 6


async def test_a_cut_before_the_answer_resets_the_connection(empty: World) -> None:
    empty.simulator.faults.add(Fault(cut=Cut.BEFORE))
    with pytest.raises(aiohttp.ClientConnectionError):
        await empty.client.get("/v1.0/{p}/jobs")
    assert empty.simulator.requested(Endpoint.LIST, 0) >= 1


async def test_a_cut_in_the_body_breaks_a_promise_of_length(empty: World) -> None:
    empty.simulator.faults.add(Fault(body='{"job_count":' + " " * 100_000 + "1}", cut=Cut.IN_BODY))
    with pytest.raises(aiohttp.ClientError):
        await empty.client.get("/v1.0/{p}/jobs")


async def raw(address: str, path: str, token: str) -> tuple[bytes, bytes]:
    """Ask on a connection of its own; give the answer up to the end of the connection."""
    parts = urlsplit(address)
    reader, writer = await asyncio.open_connection(parts.hostname, parts.port)
    request = f"GET {path} HTTP/1.1\r\nHost: {parts.netloc}\r\nX-Auth-Token: {token}\r\n\r\n"
    writer.write(request.encode())
    head, _, body = (await asyncio.wait_for(reader.read(), 5)).partition(b"\r\n\r\n")
    writer.close()
    await writer.wait_closed()
    return head, body


async def test_a_cut_after_the_answer_closes_a_connection_meant_to_be_kept(empty: World) -> None:
    empty.simulator.faults.add(Fault(cut=Cut.AFTER))
    head, body = await raw(empty.client.address, f"/v1.0/{ONE.id}/jobs", ONE.token or "")
    assert json.loads(body)["job_count"] == 0
    assert b"connection: close" not in head.lower()


async def test_faults_at_random_repeat_with_the_seed() -> None:
    async def series(seed: int) -> list[int]:
        async with world(Scene(jobs=0, seed=seed)) as shown:
            shown.simulator.faults.add(Fault(status=503, probability=0.5))
            return [(await shown.client.get("/v1.0/{p}/jobs"))[0] for _ in range(30)]

    first = await series(1)
    assert first == await series(1)
    assert first != await series(2)
    assert set(first) == {200, 503}


async def test_requests_are_logged_and_counted(empty: World) -> None:
    job_id = empty.simulator.add("single")
    await empty.client.progress(job_id)
    await empty.client.get("/v1.0/{p}/jobs", order="start_time_asc")
    await empty.client.get("/nowhere")
    seen = [(each.endpoint, each.job_id, each.status) for each in empty.simulator.requests]
    assert seen == [("progress", job_id, 200), ("list", "", 200), ("unknown", "", 404)]
    assert empty.simulator.requests[1].target == f"/v1.0/{ONE.id}/jobs?order=start_time_asc"
    assert empty.simulator.requested() == 3
    assert empty.simulator.requested(Endpoint.PROGRESS) == 1
    assert empty.simulator.requested(status=404) == 1


async def test_a_test_can_wait_for_a_request(empty: World) -> None:
    waiting = asyncio.create_task(
        empty.simulator.until(lambda each: each.requested(Endpoint.PROGRESS) == 2)
    )
    for _ in range(2):
        assert not waiting.done()
        await empty.client.progress("x")
    await asyncio.wait_for(waiting, 5)


async def test_the_same_ids_are_listed_for_ever() -> None:
    async with world(Scene(repeat=Repeat.SAME_IDS, seed=3)) as shown:
        ids = shown.simulator.job_ids()
        assert len(ids) == len(SHIPPED)
        shown.clock.now += 1e6
        assert shown.simulator.job_ids() == ids
        assert [(await shown.client.progress(each))[0] for each in ids] == [200] * len(ids)


async def test_five_hundred_jobs_come_and_go_and_every_page_agrees() -> None:
    scene = Scene(jobs=500, repeat=Repeat.NEW_IDS, speed=10, spread=0.3, retention=10, seed=5)
    async with world(scene) as shown:
        seen: set[str] = set()
        for _ in range(3):
            shown.clock.now += 30
            pages: list[str] = []
            for page in range(1, 101):
                query = {"page-size": "100", "current-page": str(page), "order": "start_time_asc"}
                body = (await shown.client.get("/v1.0/{p}/jobs", **query))[1]
                pages += [row["job_id"] for row in body["jobs"]]
                if len(pages) >= body["job_count"]:
                    break
            assert len(pages) == len(set(pages)) == body["job_count"]
            assert set(pages) == set(shown.simulator.job_ids())
            seen.update(pages)
        assert len(seen) > 2000
        assert len(shown.simulator.job_ids()) < 1500


async def test_the_address_is_one_that_a_client_can_use() -> None:
    async with serve(Simulator(scene=Scene(jobs=0)), "") as address:
        assert address.startswith("http://127.0.0.1:")
        async with aiohttp.ClientSession() as session, session.get(address) as response:
            assert response.status == 404


async def test_a_port_in_use_is_an_error_at_the_start() -> None:
    async with serve(Simulator(scene=Scene(jobs=0))) as address:
        with pytest.raises(OSError, match="in use"):
            async with serve(Simulator(scene=Scene(jobs=0)), port=urlsplit(address).port or 0):
                pass


async def test_stopping_does_not_wait_for_a_request_that_hangs() -> None:
    started, never = asyncio.Event(), asyncio.Event()

    async def wait(_seconds: float) -> None:
        started.set()
        await never.wait()

    async with aiohttp.ClientSession() as session:
        async with asyncio.timeout(10):
            async with serve(simulator := Simulator(scene=Scene(jobs=0)), wait=wait) as address:
                simulator.faults.add(Fault(delay=1.0))
                hanging = asyncio.create_task(session.get(address).__aenter__())
                await started.wait()
        with pytest.raises(aiohttp.ClientConnectionError):
            await hanging


async def test_odd_job_ids_are_unknown_and_break_nothing(empty: World) -> None:
    for odd in ("a%2Fb", quote("你好"), "%00", "x" * 3000):
        url = URL(empty.client.url(f"/v1/{{p}}/jobs/{odd}/progress"), encoded=True)
        status, body = await empty.client.send("GET", url)  # type: ignore[arg-type] # a URL that yarl must not touch
        assert (status, body["error_code"]) == (400, "DLI.0002")


async def test_credentials_can_change_while_serving(empty: World) -> None:
    empty.simulator.gateway.put(replace(ONE, token="new"))
    assert (await empty.client.get("/v1.0/{p}/jobs"))[0] == 401
    empty.client.project = replace(ONE, token="new")
    assert (await empty.client.get("/v1.0/{p}/jobs"))[0] == 200
