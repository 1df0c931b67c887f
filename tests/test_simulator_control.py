"""Steering the simulator from another process."""

from collections.abc import AsyncIterator
from typing import Any

import aiohttp
import pytest

from exporter.simulator import Endpoint, Scene, Simulator, demo_project, serve

ONE = demo_project(1)
TWO = demo_project(1, "two")
NOW = 1_700_000_000.0


class Control:
    """A simulator and its control API."""

    def __init__(self, simulator: Simulator, session: aiohttp.ClientSession, address: str) -> None:
        self.simulator = simulator
        self._session = session
        self._address = address

    async def send(self, method: str, path: str, data: Any = None) -> tuple[int, Any]:
        """Send JSON (or raw bytes) and give the status with the JSON answered."""
        content = {"data": data} if isinstance(data, bytes) else {"json": data}
        url = self._address + path
        async with self._session.request(method, url, **content) as response:
            assert response.headers["X-Request-Id"]
            return response.status, await response.json()


@pytest.fixture
async def control() -> AsyncIterator[Control]:
    """Serve two empty projects."""
    simulator = Simulator(projects=[ONE, TWO], scene=Scene(jobs=0), now=lambda: NOW)
    async with serve(simulator) as address, aiohttp.ClientSession() as session:
        yield Control(simulator, session, address)


async def test_faults_are_added_listed_and_taken_back(control: Control) -> None:
    fault = {"endpoint": "progress", "status": 503, "count": 2}
    assert await control.send("POST", "/_simulator/faults", fault) == (200, {"id": 1})
    assert await control.send("GET", f"/v1/{ONE.id}/jobs/x/progress") == (
        503,
        {
            "error_msg": "The queue backend version is too old or the queue is busy.",
            "error_code": "DLI.0999",
        },
    )
    listed = await control.send("GET", "/_simulator/faults")
    assert listed == (200, [{"id": 1, "struck": 1, **fault}])
    assert await control.send("DELETE", "/_simulator/faults/1") == (200, {})
    assert await control.send("GET", "/_simulator/faults") == (200, [])
    assert (await control.send("DELETE", "/_simulator/faults/1"))[0] == 404


async def test_all_faults_are_taken_back_at_once(control: Control) -> None:
    for _ in range(2):
        await control.send("POST", "/_simulator/faults", {"status": 500})
    await control.send("DELETE", "/_simulator/faults")
    assert control.simulator.faults.as_json() == []


async def test_faults_do_not_strike_the_control_api(control: Control) -> None:
    await control.send("POST", "/_simulator/faults", {"status": 500})
    assert (await control.send("GET", "/_simulator/state"))[0] == 200
    assert control.simulator.requested() == 0


async def test_jobs_are_added_ended_and_forgotten(control: Control) -> None:
    data = {"timeline": "single", "project": TWO.id, "job_id": "mine", "speed": 2}
    assert await control.send("POST", "/_simulator/jobs", data) == (200, {"job_id": "mine"})
    assert control.simulator.job_ids(TWO.id) == ("mine",)
    ending = {"status": "CANCELLED", "project": TWO.id}
    assert await control.send("POST", "/_simulator/jobs/mine/end", ending) == (200, {})
    state = control.simulator.state("mine", project=TWO.id)
    assert state is not None
    assert state.status == "CANCELLED"
    path = f"/_simulator/jobs/mine?project={TWO.id}"
    assert await control.send("DELETE", path) == (200, {})
    assert control.simulator.job_ids(TWO.id) == ()


async def test_the_state_tells_everything_but_secrets(control: Control) -> None:
    control.simulator.add("single", job_id="mine")
    await control.send("GET", "/nowhere")
    status, state = await control.send("GET", "/_simulator/state")
    assert (status, state["now"]) == (200, NOW)
    assert [row["job_id"] for row in state["projects"][ONE.id]["jobs"]] == ["mine"]
    assert state["requests"] == [{"endpoint": "unknown", "status": 404, "count": 1}]
    assert not [secret for secret in (ONE.sk, ONE.token, TWO.sk) if str(secret) in str(state)]


async def test_the_log_of_requests(control: Control) -> None:
    await control.send("GET", f"/v1.0/{ONE.id}/jobs")
    (entry,) = (await control.send("GET", "/_simulator/requests"))[1]
    assert (entry["endpoint"], entry["status"], entry["at"]) == (Endpoint.LIST, 401, NOW)


async def test_restart_begins_the_scene_anew(control: Control) -> None:
    control.simulator.add("single")
    assert await control.send("POST", "/_simulator/restart") == (200, {})
    assert control.simulator.job_ids() == ()


@pytest.mark.parametrize(
    ("method", "path", "data", "status", "error"),
    [
        ("POST", "/faults", {"status": 1}, 400, "fault: status must be within [200, 599]"),
        ("POST", "/faults", b"{", 400, "Expecting property name"),
        ("POST", "/jobs", {}, 400, "timeline is missing"),
        ("POST", "/jobs", [], 400, "the body must be an object"),
        ("POST", "/jobs", {"timeline": 1}, 400, "timeline must be of type str"),
        ("POST", "/jobs", {"name": "x"}, 400, "'name' is unknown, must be one of timeline"),
        ("POST", "/jobs", {"timeline": "x"}, 404, "there is no 'x'"),
        ("POST", "/jobs", {"timeline": "fail", "project": "p"}, 404, "there is no 'p'"),
        ("POST", "/jobs", {"timeline": "fail", "speed": 0}, 400, "speed is 0, must be above 0"),
        ("POST", "/jobs/x/end", {"status": "FAILED"}, 404, "there is no 'x'"),
        ("POST", "/jobs/x/end", {"status": "GONE"}, 400, "status is 'GONE', must be one of"),
        ("POST", "/jobs/x/end", {}, 400, "status is '', must be one of CANCELLED"),
        ("DELETE", "/jobs/x", None, 404, "there is no 'x'"),
    ],
)
async def test_a_mistake_is_answered_with_what_is_wrong(
    control: Control, method: str, path: str, data: Any, status: int, error: str
) -> None:
    answered, body = await control.send(method, f"/_simulator{path}", data)
    assert answered == status
    assert body["error"].startswith(error)
