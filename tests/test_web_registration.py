"""Registration over HTTP, on real sockets."""

import asyncio
import gzip
import json
from asyncio import StreamReader
from asyncio import StreamWriter as Writer
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

import pytest
from aiohttp import ClientSession, web
from aiohttp.test_utils import TestServer
from aiohttp.typedefs import Handler

from exporter.jobs.model import JobKey, Registration
from exporter.sources.registration import LARGEST, Reason, Rejection
from exporter.web.registry import Registry
from exporter.web.routes import add_registration

JSON = {"Content-Type": "application/json"}
KEY = JobKey("default", "a")


@dataclass
class Jobs:
    """What is registered in these tests."""

    enabled: bool = True
    refusal: str | None = None
    registered: dict[JobKey, Registration] = field(default_factory=dict)
    rejected: list[Rejection] = field(default_factory=list)

    def register(self, registration: Registration) -> str | None:
        if self.refusal is None:
            self.registered[JobKey(registration.project, registration.job_id)] = registration
        return self.refusal

    def withdraw(self, key: JobKey) -> bool:
        return self.registered.pop(key, None) is not None

    def registry(self) -> Registry:
        return Registry(
            enabled=lambda: self.enabled,
            projects=lambda: {"default", "prod"},
            known=self.registered.__contains__,
            register=self.register,
            withdraw=self.withdraw,
            rejected=self.rejected.append,
        )


@pytest.fixture
def jobs() -> Jobs:
    return Jobs()


@pytest.fixture
async def server(jobs: Jobs, request: pytest.FixtureRequest) -> AsyncIterator[TestServer]:
    app = web.Application()
    registry = jobs.registry()._replace(body_time=getattr(request, "param", 10.0))
    add_registration(app, registry)
    server = TestServer(app)
    async with server:
        yield server


@pytest.fixture
async def client(server: TestServer) -> AsyncIterator[ClientSession]:
    async with ClientSession(server.make_url("/")) as session:
        yield session


Answer = tuple[int, dict[str, Any]]


async def send(client: ClientSession, method: str, path: str, **options: Any) -> Answer:
    async with client.request(method, path, **options) as response:
        assert response.content_type == "application/json"
        return response.status, await response.json()


async def post(client: ClientSession, body: Any, **headers: str) -> Answer:
    data = body if isinstance(body, bytes) else json.dumps(body)
    return await send(client, "POST", "/api/v1/jobs", data=data, headers={**JSON, **headers})


def error(kind: str, message: str) -> dict[str, str]:
    return {"status": "error", "errorType": kind, "error": message}


SUCCESS = {"status": "success", "data": {"project": "default", "job_id": "a"}}


async def test_a_new_job_is_created_and_a_known_one_is_changed(
    client: ClientSession, jobs: Jobs
) -> None:
    assert await post(client, {"job_id": "a"}) == (201, SUCCESS)
    assert await post(client, {"job_id": "a", "name": "nightly"}) == (200, SUCCESS)
    assert jobs.registered == {KEY: Registration(job_id="a", name="nightly")}


async def test_a_charset_beside_the_type_does_no_harm(client: ClientSession) -> None:
    options = {"Content-Type": "application/json; charset=utf-8"}
    assert (await post(client, {"job_id": "a"}, **options))[0] == 201


async def test_the_largest_body_is_taken(client: ClientSession) -> None:
    body = b'{"job_id": "a"}'
    assert (await post(client, body + b" " * (LARGEST - len(body))))[0] == 201


async def test_a_body_in_chunks_is_taken(client: ClientSession, jobs: Jobs) -> None:
    async def chunks() -> AsyncIterator[bytes]:
        yield b'{"job_id"'
        yield b': "a"}'

    assert (await send(client, "POST", "/api/v1/jobs", data=chunks(), headers=JSON))[0] == 201
    assert KEY in jobs.registered


@pytest.mark.parametrize(
    ("body", "reason", "message"),
    [
        (b"", Reason.MALFORMED, "is not valid JSON"),
        (b"{", Reason.MALFORMED, "is not valid JSON"),
        (b"[]", Reason.MALFORMED, "must be a JSON object"),
        (b"{}", Reason.INVALID, "job_id: is missing"),
        (b'{"job_id": "../x"}', Reason.INVALID, "job_id: must be 1 to 64 letters, digits or -"),
        (
            b'{"job_id": "a", "project": "x"}',
            Reason.UNKNOWN_PROJECT,
            "project: is not in the settings; allowed: default, prod",
        ),
    ],
)
async def test_a_bad_registration_is_refused_and_counted(
    client: ClientSession, jobs: Jobs, body: bytes, reason: Reason, message: str
) -> None:
    assert await post(client, body) == (400, error("bad_data", message))
    assert jobs.rejected == [Rejection(reason, message)]
    assert jobs.registered == {}


async def test_the_exporter_may_refuse(client: ClientSession, jobs: Jobs) -> None:
    jobs.refusal = "the exporter is stopping"
    assert await post(client, {"job_id": "a"}) == (503, error("unavailable", jobs.refusal))
    assert jobs.rejected == [Rejection(Reason.REFUSED, jobs.refusal)]


@pytest.mark.parametrize(
    "content_type", ["text/plain", "application/x-www-form-urlencoded", "multipart/form-data", ""]
)
async def test_what_a_form_can_post_is_refused(
    client: ClientSession, jobs: Jobs, content_type: str
) -> None:
    answer = await post(client, {"job_id": "a"}, **{"Content-Type": content_type})
    assert answer == (415, error("bad_data", "Content-Type must be application/json"))
    assert jobs.registered == {}


async def test_a_browser_that_asks_first_is_told_no(client: ClientSession) -> None:
    headers = {"Origin": "http://evil.example", "Access-Control-Request-Method": "POST"}
    async with client.options("/api/v1/jobs", headers=headers) as response:
        assert response.status == 405
        assert not [name for name in response.headers if name.startswith("Access-Control")]


async def test_a_compressed_body_is_refused(client: ClientSession) -> None:
    answer = await post(client, gzip.compress(b'{"job_id": "a"}'), **{"Content-Encoding": "gzip"})
    assert answer == (415, error("bad_data", "the body must not be compressed"))


TOO_LARGE = (413, error("bad_data", "the body must be at most 65536 bytes"))


async def test_a_large_body_is_refused(client: ClientSession) -> None:
    assert await post(client, b" " * (LARGEST + 1)) == TOO_LARGE


async def test_a_large_body_of_unknown_length_is_refused(client: ClientSession) -> None:
    async def chunks() -> AsyncIterator[bytes]:
        for _ in range(LARGEST // 1024 + 1):
            yield b" " * 1024

    answer = await send(client, "POST", "/api/v1/jobs", data=chunks(), headers=JSON)
    assert answer == TOO_LARGE


@asynccontextmanager
async def posting(port: int | None, header: str) -> AsyncIterator[tuple[StreamReader, Writer]]:
    """Send the head of a request, and go on once the handler reads the body."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    lines = ("POST /api/v1/jobs HTTP/1.1", "Host: x", "Content-Type: application/json", header)
    writer.write("\r\n".join((*lines, "Expect: 100-continue", "", "")).encode())
    try:
        assert await reader.readuntil(b"\r\n\r\n") == b"HTTP/1.1 100 Continue\r\n\r\n"
        yield reader, writer
    finally:
        writer.close()
        await writer.wait_closed()


@pytest.mark.parametrize("server", [0.0], indirect=True)
async def test_a_body_that_does_not_come_is_not_waited_for(server: TestServer) -> None:
    async with posting(server.port, "Content-Length: 10") as (reader, _):
        answer = await reader.readuntil(b"}")
    assert answer.startswith(b"HTTP/1.1 408 ")
    assert b'"error": "no body within 0 s"' in answer


async def test_a_client_that_hangs_up_is_no_error_of_ours(jobs: Jobs) -> None:
    ended: asyncio.Future[int] = asyncio.get_running_loop().create_future()

    @web.middleware
    async def witness(request: web.Request, handler: Handler) -> web.StreamResponse:
        try:
            response = await handler(request)
        except BaseException as error:
            ended.set_exception(error)
            raise
        ended.set_result(response.status)
        return response

    app = web.Application(middlewares=[witness])
    add_registration(app, jobs.registry())
    runner = web.AppRunner(app)  # a TestServer would cancel the handler
    await runner.setup()
    try:
        await web.TCPSite(runner, "127.0.0.1", 0).start()
        async with posting(runner.addresses[0][1], "Content-Length: 10") as (_, writer):
            writer.write(b"{")
        assert await ended == 400
    finally:
        await runner.cleanup()
    assert jobs.registered == {}


@pytest.mark.parametrize(
    ("method", "path"), [("POST", "/api/v1/jobs"), ("DELETE", "/api/v1/jobs/a")]
)
async def test_it_is_off_unless_turned_on(
    client: ClientSession, jobs: Jobs, method: str, path: str
) -> None:
    jobs.enabled = False
    jobs.registered[KEY] = Registration(job_id="a")
    answer = await send(client, method, path)
    message = "registration over HTTP is off; web.enable_registration: true turns it on"
    assert answer == (403, error("forbidden", message))
    assert KEY in jobs.registered


async def test_a_job_is_withdrawn_once(client: ClientSession, jobs: Jobs) -> None:
    await post(client, {"job_id": "a"})
    assert await send(client, "DELETE", "/api/v1/jobs/a") == (200, SUCCESS)
    assert await send(client, "DELETE", "/api/v1/jobs/a") == (
        404,
        error("not_found", "job a was not registered over HTTP"),
    )


async def test_the_project_of_a_withdrawn_job_is_a_parameter(
    client: ClientSession, jobs: Jobs
) -> None:
    jobs.registered = {
        key: Registration(job_id="a", project=key.project) for key in (KEY, JobKey("prod", "a"))
    }
    status, _ = await send(client, "DELETE", "/api/v1/jobs/a", params={"project": "prod"})
    assert status == 200
    assert list(jobs.registered) == [KEY]


@pytest.mark.parametrize(
    ("path", "message"),
    [
        ("a?projet=prod", "unknown parameter; allowed: project, once"),
        ("a?project=prod&project=default", "unknown parameter; allowed: project, once"),
        ("a?job_id=b", "unknown parameter; allowed: project, once"),
        ("a?project=x", "project: is not in the settings; allowed: default, prod"),
        ("a?project=", "project: must be the name of a project in the settings"),
        ("a_b", "job_id: must be 1 to 64 letters, digits or -"),
        ("a%2F..%2Fb", "job_id: must be 1 to 64 letters, digits or -"),
    ],
)
async def test_a_withdrawal_that_is_wrong(
    client: ClientSession, jobs: Jobs, path: str, message: str
) -> None:
    jobs.registered[KEY] = Registration(job_id="a")
    answer = await send(client, "DELETE", f"/api/v1/jobs/{path}")
    assert answer == (400, error("bad_data", message))
    assert KEY in jobs.registered


async def test_a_withdrawal_takes_no_body(client: ClientSession, jobs: Jobs) -> None:
    jobs.registered[KEY] = Registration(job_id="a")
    status, _ = await send(client, "DELETE", "/api/v1/jobs/a", json={"project": "prod"})
    assert status == 400
    assert KEY in jobs.registered
