"""The client against a server that shows what was on the wire and answers as it is told."""

import asyncio
import gzip
import json
import socket
import ssl
import struct
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass, field
from email.utils import formatdate
from pathlib import Path
from typing import Any

import aiohttp
import pytest
from aiohttp.abc import AbstractResolver, ResolveResult

from exporter.dli import calls, errors, signing, transport
from exporter.dli.calls import Call
from exporter.dli.client import (
    ENDPOINTS,
    JOBS,
    NAMED_PROJECTS,
    PROGRESS,
    REACHABLE_PROJECTS,
    DliClient,
)
from exporter.dli.credentials import Provider, Static
from exporter.dli.errors import DliError
from exporter.dli.pacing import Backoff, Bucket
from exporter.dli.projects import Lookup
from exporter.dli.queries import JobsQuery
from exporter.dli.signing import AccessKey, Credential, Token
from exporter.jobs.model import JobStatus

JOB = "85798b38-ae44-48eb-bb90-7cf0dcdafe7b"
PROJECT = "48cc2c48765f481480c7db940d6409d1"
KEY = AccessKey("AKCANARY000000000001", "sk-canary-0000000000000000000000000001")
NOW = 1795169700.0  # 2026-11-20 10:15:00 UTC
TLS = Path(__file__).parent / "data" / "tls"
RUNNING = {"is_success": True, "job_id": JOB, "status": "RUNNING", "progress": 0.5}

Answer = bytes | Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]


def reply(
    status: int = 200, body: object = RUNNING, headers: dict[str, str] | None = None
) -> bytes:
    """Write an HTTP answer; a body that is not bytes becomes JSON."""
    content = body if isinstance(body, bytes) else json.dumps(body).encode()
    fields = {
        "Content-Type": "application/json;charset=UTF-8",
        "Content-Length": str(len(content)),
        **(headers or {}),
    }
    lines = "".join(f"{name}: {value}\r\n" for name, value in fields.items() if value)
    return f"HTTP/1.1 {status} Told\r\n{lines}\r\n".encode() + content


def refused(status: int, code: str, text: str = "", **headers: str) -> bytes:
    fields = {name.replace("_", "-"): value for name, value in headers.items()}
    return reply(status, {"error_code": code, "error_msg": text}, fields)


@dataclass
class Request:
    """What arrived: the raw target and the headers as they were spelt."""

    target: str
    headers: dict[str, str]
    raw: bytes

    def verify(self, key: AccessKey) -> bool:
        """Check the signature from nothing but what arrived."""
        fields = self.headers["Authorization"].removeprefix("SDK-HMAC-SHA256 ").split(", ")
        given = dict(entry.split("=", 1) for entry in fields)
        path, _, query = self.target.partition("?")
        canonical = "\n".join(
            (
                "GET",
                f"{path}/",
                query,
                *(
                    f"{name}:{value}"
                    for name, value in sorted((k.lower(), v) for k, v in self.headers.items())
                    if name in given["SignedHeaders"].split(";")
                ),
                "",
                given["SignedHeaders"],
                signing.EMPTY_PAYLOAD_HASH,
            )
        )
        date = self.headers["X-Sdk-Date"]
        return given["Signature"] == signing.signature(key.sk, date, canonical)


@dataclass
class Wire:
    """A server: the last answer is given for ever, those before it once each."""

    answers: list[Answer] = field(default_factory=lambda: [reply()])
    requests: list[Request] = field(default_factory=list)
    connections: int = 0
    arrived: asyncio.Event = field(default_factory=asyncio.Event)
    release: asyncio.Event = field(default_factory=asyncio.Event)
    port: int = 0
    decide: Callable[[Request], Answer] | None = None

    @property
    def endpoint(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    async def held(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Answer only when the test says so."""
        await self.release.wait()
        writer.write(reply())

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.connections += 1
        try:
            while True:
                raw = await reader.readuntil(b"\r\n\r\n")
                await self._answer(raw, reader, writer)
                await writer.drain()
        except (asyncio.IncompleteReadError, ConnectionError, ssl.SSLError):
            pass
        finally:
            writer.close()

    async def _answer(
        self, raw: bytes, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> None:
        first, *lines = raw.decode("latin-1").strip().split("\r\n")
        headers = dict(line.split(": ", 1) for line in lines)
        request = Request(first.split(" ")[1], headers, raw)
        self.requests.append(request)
        self.arrived.set()
        if self.decide:
            answer = self.decide(request)
        else:
            answer = self.answers.pop(0) if len(self.answers) > 1 else self.answers[0]
        if isinstance(answer, bytes):
            writer.write(answer)
        else:
            await answer(reader, writer)


class Time:
    """A clock that moves only when somebody sleeps."""

    def __init__(self) -> None:
        self.now = 1000.0
        self.slept: list[float] = []

    def __call__(self) -> float:
        return self.now

    async def sleep(self, seconds: float) -> None:
        self.slept.append(seconds)
        self.now += seconds
        await asyncio.sleep(0)


class Client(DliClient):
    """The client with everything that a test wants to look at."""

    def __init__(
        self,
        session: aiohttp.ClientSession,
        endpoint: str,
        *,
        provider: Provider | Credential = KEY,
        rate: float = 1000.0,
        timeout: float = 10.0,
        backoff: Backoff = Backoff(base=0),  # noqa: B008 - a frozen value
        now: float = NOW,
        project_id: str | Lookup = PROJECT,
    ) -> None:
        self.calls: list[Call] = []
        self.time = Time()
        super().__init__(
            session,
            endpoint,
            project_id=project_id,
            provider=Static(provider) if isinstance(provider, AccessKey | Token) else provider,
            quota=Bucket(rate),
            timeout=timeout,
            on_call=self.calls.append,
            backoff=backoff,
            now=lambda: now,
            monotonic=self.time,
            jitter=lambda: 0.5,
            sleep=self.time.sleep,
        )

    async def fails(self, job_id: str = JOB) -> DliError:
        with pytest.raises(DliError) as caught:
            await self.progress(job_id)
        return caught.value

    @property
    def reasons(self) -> list[str | None]:
        return [call.error.reason if call.error else None for call in self.calls]


@pytest.fixture
async def wire() -> AsyncIterator[Wire]:
    wire = Wire()
    server = await asyncio.start_server(wire.serve, "127.0.0.1", 0)
    wire.port = server.sockets[0].getsockname()[1]
    yield wire
    wire.release.set()
    server.close()


@pytest.fixture
async def session() -> AsyncIterator[aiohttp.ClientSession]:
    async with transport.session() as session:
        yield session


@pytest.fixture
def client(session: aiohttp.ClientSession, wire: Wire) -> Client:
    return Client(session, wire.endpoint)


# What goes out


async def test_progress_goes_out_exactly_as_signed(client: Client, wire: Wire) -> None:
    answer = await client.progress(JOB)
    assert answer.observation.status is JobStatus.RUNNING
    assert answer.observation.progress == 0.5
    (request,) = wire.requests
    assert request.target == f"/v1/{PROJECT}/jobs/{JOB}/progress"
    assert request.headers["Host"] == f"127.0.0.1:{wire.port}"
    assert request.headers["X-Sdk-Date"] == "20261120T101500Z"
    assert request.headers["X-Project-Id"] == PROJECT
    assert request.raw.startswith(b"GET /")
    assert "SignedHeaders=host;x-project-id;x-sdk-date," in request.headers["Authorization"]
    assert request.verify(KEY)
    assert not request.verify(AccessKey(KEY.ak, "another"))
    assert not {"Content-Length", "Cookie", "X-Security-Token"} & set(request.headers)


async def test_a_list_query_is_not_rewritten_on_its_way(client: Client, wire: Wire) -> None:
    wire.answers = [reply(body={"jobs": [], "job_count": 0})]
    query = JobsQuery(
        status=JobStatus.RUNNING,
        start=1795000000.0004,
        end=1795086400,
        order="start_time_asc",
        queue_name="etl_queue",
        owner="a b",
        tags={"k1": "v1", "k2": "x/y:z@~+"},
        job_types=("QUERY", "DDL"),
        db_name="db",
        job_id=JOB,
    )
    await client.jobs(query, page=3)
    (request,) = wire.requests
    assert request.target == (
        f"/v1.0/{PROJECT}/jobs?current-page=3&db_name=db&end=1795086400000&job-id={JOB}"
        "&job-status=RUNNING&job_types=DDL&job_types=QUERY&order=start_time_asc&owner=a%20b"
        "&page-size=100&queue_name=etl_queue&start=1795000000000"
        "&tags=k1%3Dv1%2Ck2%3Dx%2Fy%3Az%40~%2B"
    )
    assert request.verify(KEY)


async def test_what_is_not_asked_for_is_not_sent(client: Client, wire: Wire) -> None:
    wire.answers = [reply(body={"jobs": [], "job_count": 0})]
    await client.jobs(JobsQuery(page_size=5))
    assert wire.requests[0].target == f"/v1.0/{PROJECT}/jobs?current-page=1&page-size=5"


async def test_a_security_token_is_sent_and_signed(
    session: aiohttp.ClientSession, wire: Wire
) -> None:
    key = AccessKey("AK", "SK", "token-canary-value")
    await Client(session, wire.endpoint, provider=key).progress(JOB)
    (request,) = wire.requests
    assert request.headers["X-Security-Token"] == "token-canary-value"
    assert "x-security-token," in request.headers["Authorization"]
    assert request.verify(key)


async def test_a_token_goes_out_as_it_is_and_nothing_is_signed(
    session: aiohttp.ClientSession, wire: Wire
) -> None:
    await Client(session, wire.endpoint, provider=Token("MIIcanary")).progress(JOB)
    (request,) = wire.requests
    assert request.headers["X-Auth-Token"] == "MIIcanary"
    assert "Authorization" not in request.headers


@pytest.mark.parametrize("job_id", ["", "a" * 65, "../x", "a b", "a%2Fb", "é"])
async def test_what_is_no_job_id_reaches_no_url(client: Client, wire: Wire, job_id: str) -> None:
    error = await client.fails(job_id)
    assert isinstance(error, errors.RequestRejected)
    assert not error.called
    assert wire.requests == []
    assert client.calls == []


@pytest.mark.parametrize(
    "endpoint",
    [
        "",
        "dli.example",
        "ftp://dli.example",
        "https://",
        "https://user:canary@dli.example",
        "https://dli.example/path",
        "https://dli.example?x=1",
        "https://dli.example#f",
        "https://dli.example:99999",
        "https://[::1",
        "https://dlí.example",
    ],
)
async def test_a_bad_endpoint_is_refused_in_one_line(
    session: aiohttp.ClientSession, endpoint: str
) -> None:
    with pytest.raises(ValueError, match="endpoint: must be https://HOST") as caught:
        Client(session, endpoint)
    assert "canary" not in str(caught.value)


@pytest.mark.parametrize("project_id", ["", "a/b", "x" * 65])
async def test_a_bad_project_id_is_refused(session: aiohttp.ClientSession, project_id: str) -> None:
    with pytest.raises(ValueError, match="project_id: 1 to 64"):
        DliClient(
            session,
            "https://dli.example",
            project_id=project_id,
            provider=Static(KEY),
            quota=Bucket(1),
            timeout=1,
        )


async def test_nothing_is_taken_from_the_surroundings(
    session: aiohttp.ClientSession, wire: Wire, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("http_proxy", "HTTP_PROXY", "https_proxy", "all_proxy", "ALL_PROXY"):
        monkeypatch.setenv(name, "http://127.0.0.1:1")
    (tmp_path / "netrc").write_text("machine 127.0.0.1 login canary password canary\n")
    monkeypatch.setenv("NETRC", str(tmp_path / "netrc"))
    wire.answers = [reply(headers={"Set-Cookie": "a=b"})]
    # By name: no cookie jar would keep a cookie from an address.
    client = Client(session, f"http://localhost:{wire.port}", provider=Token("MIIcanary"))
    await client.progress(JOB)
    await client.progress(JOB)
    assert not {"Cookie", "Authorization"} & set(wire.requests[1].headers)


# What comes back


async def test_every_exchange_is_reported(client: Client, wire: Wire) -> None:
    date = formatdate(NOW - 90, usegmt=True)
    wire.answers = [reply(headers={"Date": date}), refused(400, "DLI.0002", Date=date)]
    await client.progress(JOB)
    error = await client.fails()
    first, second = client.calls
    assert (first.endpoint, first.error, first.skew) == (PROGRESS, None, 90)
    assert second.error is error
    assert second.skew == 90
    assert {PROGRESS, JOBS} == set(ENDPOINTS)


async def test_without_a_date_the_skew_is_unknown(client: Client, wire: Wire) -> None:
    await client.progress(JOB)
    assert client.calls[0].skew is None


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308, 304])
async def test_redirects_are_not_followed(client: Client, wire: Wire, status: int) -> None:
    other = Wire()
    server = await asyncio.start_server(other.serve, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    wire.answers = [reply(status, b"", {"Location": f"http://127.0.0.1:{port}/canary"})]
    error = await client.fails()
    server.close()
    assert isinstance(error, errors.RedirectRefused)
    assert "canary" not in str(error)
    assert len(wire.requests) == 1
    assert other.requests == []


@pytest.mark.parametrize(
    ("answer", "kind"),
    [
        (reply(body=b"<html>login</html>", headers={"Content-Type": "text/html"}), "content_type"),
        (reply(body=b"{}", headers={"Content-Type": "text/plain"}), "content_type"),
        (reply(body=b""), "parse"),
        (reply(body=b"null"), "parse"),
        (reply(body=b"[" * 100_000), "parse"),
        (reply(body=b'{"status": "RUNN'), "parse"),
        (reply(body={**RUNNING, "job_id": "another"}), "parse"),
        (reply(body={"is_success": False, "message": "no"}), "unsuccessful"),
        (reply(204, b""), "parse"),
        (refused(400, "DLI.0001"), "request"),
        (refused(400, "DLI.0002"), "not_found"),
        (refused(404, "DLI.0023"), "not_found"),
        (refused(404, "APIGW.0101"), "endpoint"),
        (refused(403, "APIGW.0302"), "forbidden"),
        (reply(headers={"Content-Length": str(9 << 20)}), "payload"),
        (
            reply(body=gzip.compress(b"0" * (9 << 20)), headers={"Content-Encoding": "gzip"}),
            "payload",
        ),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
async def test_bad_answers_that_are_not_worth_a_retry(
    client: Client, wire: Wire, answer: bytes, kind: str
) -> None:
    wire.answers = [answer, reply()]
    error = await client.fails()
    assert error.reason == kind
    assert error.called
    assert client.reasons == [kind]
    await client.progress(JOB)  # and nothing is left behind


async def test_a_missing_content_type_is_no_obstacle(client: Client, wire: Wire) -> None:
    wire.answers = [reply(headers={"Content-Type": ""})]
    assert (await client.progress(JOB)).observation.progress == 0.5


async def test_a_compressed_answer_is_read(client: Client, wire: Wire) -> None:
    body = gzip.compress(json.dumps(RUNNING).encode())
    wire.answers = [reply(body=body, headers={"Content-Encoding": "gzip"})]
    assert (await client.progress(JOB)).observation.progress == 0.5


@pytest.mark.parametrize(
    ("answer", "kind"),
    [
        (refused(400, "DLI.0999"), "busy"),
        (refused(400, "DLI.0012"), "busy"),
        (refused(400, "DLI.0019"), "busy"),
        (refused(500, "DLI.0999"), "backend"),
        (reply(500, b""), "server"),
        (reply(502, b"<html>", {"Content-Type": "text/html"}), "server"),
        (reply(503, gzip.compress(b"0" * (9 << 20)), {"Content-Encoding": "gzip"}), "server"),
        (refused(504, "APIGW.0201"), "server"),
        (reply(headers={"Content-Encoding": "gzip"}), "payload"),
        (b"SSH-2.0-OpenSSH_9\r\n\r\n", "connection"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
async def test_one_bad_answer_that_may_be_bad_luck_costs_one_retry(
    client: Client, wire: Wire, answer: bytes, kind: str
) -> None:
    wire.answers = [answer, reply()]
    assert (await client.progress(JOB)).observation.progress == 0.5
    assert client.reasons == [kind, None]


async def test_it_is_told_once_that_a_call_departs_however_often_it_is_tried(
    client: Client, wire: Wire
) -> None:
    wire.answers, departures = [reply(503), reply()], list[int]()
    await client.progress(JOB, lambda: departures.append(len(wire.requests)))
    assert (departures, len(wire.requests)) == ([0], 2)


async def test_there_are_two_retries_at_most_and_they_wait_longer_each_time(
    session: aiohttp.ClientSession, wire: Wire
) -> None:
    client = Client(session, wire.endpoint, backoff=Backoff(base=1.0))
    wire.answers = [refused(400, "DLI.0999")]
    error = await client.fails()
    assert error.reason == "busy"
    assert client.reasons == ["busy"] * 3
    assert [wait for wait in client.time.slept if wait >= 0.5] == [0.5, 1.0]


async def test_a_retry_after_is_honoured_for_any_error(client: Client, wire: Wire) -> None:
    wire.answers = [refused(503, "", Retry_After="3"), reply()]
    await client.progress(JOB)
    assert 3.0 in client.time.slept


async def test_a_retry_after_beyond_patience_is_left_to_the_next_poll(
    client: Client, wire: Wire
) -> None:
    wire.answers = [refused(503, "", Retry_After="200"), reply()]
    assert (await client.fails()).reason == "server"
    assert client.reasons == ["server"]


async def test_a_connection_cut_in_mid_body_is_retried(client: Client, wire: Wire) -> None:
    async def cut(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(reply()[:-5])
        await writer.drain()
        writer.close()

    wire.answers = [cut, reply()]
    await client.progress(JOB)
    assert client.reasons == ["payload", None]


def reset(writer: asyncio.StreamWriter) -> None:
    """Close with a reset instead of a goodbye."""
    connection: socket.socket = writer.get_extra_info("socket")
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    writer.transport.abort()


@pytest.mark.parametrize("sent", [0, 60, -5], ids=["before", "in the head", "in the body"])
async def test_a_reset_is_a_matter_of_the_connection(client: Client, wire: Wire, sent: int) -> None:
    async def cut(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(reply()[:sent])
        await writer.drain()
        reset(writer)

    wire.answers = [cut]
    error = await client.fails()
    assert error.reason == "connection"
    wire.answers = [reply()]
    await client.progress(JOB)


async def test_a_connection_closed_between_polls_goes_unnoticed(client: Client, wire: Wire) -> None:
    async def closing(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(reply())
        await writer.drain()
        writer.close()

    wire.answers = [closing]
    for _ in range(3):
        await client.progress(JOB)
    assert wire.connections == 3


async def test_connections_are_kept(client: Client, wire: Wire) -> None:
    for _ in range(5):
        await client.progress(JOB)
    assert wire.connections == 1


async def test_a_dripping_body_runs_into_the_total_timeout(
    session: aiohttp.ClientSession, wire: Wire
) -> None:
    async def drip(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(reply(headers={"Content-Length": "100000"}))
        await writer.drain()
        await wire.release.wait()

    wire.answers = [drip]
    client = Client(session, wire.endpoint, timeout=0.05)
    assert (await client.fails()).reason == "timeout"
    assert client.reasons == ["timeout"] * 3


async def test_an_endless_body_is_left_at_eight_mebibytes(client: Client, wire: Wire) -> None:
    sent = 0

    async def endless(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        nonlocal sent
        writer.write(
            b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\n"
            b"Transfer-Encoding: chunked\r\n\r\n"
        )
        while True:
            writer.write(b"10000\r\n" + b" " * 65536 + b"\r\n")
            sent += 65536
            await writer.drain()

    wire.answers = [endless]
    assert isinstance(await client.fails(), errors.PayloadTooLarge)
    assert sent < 3 * transport.LARGEST_BODY


async def test_nobody_listening(session: aiohttp.ClientSession) -> None:
    with socket.socket() as bound:
        bound.bind(("127.0.0.1", 0))
        client = Client(session, f"http://127.0.0.1:{bound.getsockname()[1]}")
        error = await client.fails()
    assert str(error) == "no connection to 127.0.0.1: Connection refused"
    assert client.reasons == ["connection"] * 3


class NoNames(AbstractResolver):
    """A resolver in a network without name servers."""

    async def resolve(
        self, host: str, port: int = 0, family: socket.AddressFamily = socket.AF_INET
    ) -> list[ResolveResult]:
        raise OSError(None, "Temporary failure in name resolution")

    async def close(self) -> None:
        """Hold nothing."""


async def test_a_name_that_cannot_be_resolved() -> None:
    connector = aiohttp.TCPConnector(resolver=NoNames())
    async with aiohttp.ClientSession(connector=connector) as session:
        client = Client(session, "https://dli.example")
        error = await client.fails()
    assert str(error) == "cannot resolve dli.example: Temporary failure in name resolution"
    assert client.reasons == ["dns"] * 3


@pytest.mark.parametrize(
    ("certificate", "problem"),
    [
        ("good", None),
        ("expired", "certificate has expired"),
        ("wrong_host", "IP address mismatch"),
        ("self_signed", "self-signed certificate"),
    ],
)
async def test_tls_fails_closed(wire: Wire, certificate: str, problem: str | None) -> None:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(TLS / f"{certificate}.pem", TLS / "server.key")
    server = await asyncio.start_server(wire.serve, "127.0.0.1", 0, ssl=context)
    endpoint = f"https://127.0.0.1:{server.sockets[0].getsockname()[1]}"
    async with transport.session(ca_file=str(TLS / "ca.pem")) as session:
        client = Client(session, endpoint)
        if problem is None:
            await client.progress(JOB)
        else:
            error = await client.fails()
            assert isinstance(error, errors.TlsFailed)
            assert problem in str(error)
            assert wire.requests == []
    server.close()


async def test_a_private_authority_is_not_trusted_unless_given(wire: Wire) -> None:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(TLS / "good.pem", TLS / "server.key")
    server = await asyncio.start_server(wire.serve, "127.0.0.1", 0, ssl=context)
    endpoint = f"https://127.0.0.1:{server.sockets[0].getsockname()[1]}"
    async with transport.session() as session:
        assert (await Client(session, endpoint).fails()).reason == "tls"
    server.close()


def test_an_authority_file_that_cannot_be_used_is_an_error(tmp_path: Path) -> None:
    (tmp_path / "empty.pem").write_text("")
    for name in ("missing.pem", "empty.pem"):
        with pytest.raises(OSError):  # noqa: PT011 - ssl.SSLError is one, too
            transport.session(ca_file=str(tmp_path / name))


async def test_no_secret_that_is_echoed_gets_into_an_error(
    session: aiohttp.ClientSession, wire: Wire
) -> None:
    key = AccessKey("AK", "sk-canary-000000000000", "st-canary-00000000000")

    def echo(request: Request) -> bytes:
        text = f"no: {key.sk} {key.security_token} {request.raw.decode()}"
        return refused(400, "DLI.0001", text)

    wire.decide = echo
    error = await Client(session, wire.endpoint, provider=key).fails()
    assert "canary" not in str(error) + repr(error)
    assert error.__cause__ is None


def test_neither_a_request_nor_a_reply_shows_what_it_carries() -> None:
    secret = {"X-Auth-Token": "canary"}
    shown = repr(calls.Request("/x", "http://h/x", headers=secret, body=b"canary"))
    assert shown + repr(transport.Reply(201, secret, b"canary")) == (
        "Request(GET http://h/x)Reply(201)"
    )


def test_a_secret_is_found_in_each_form_that_it_may_have() -> None:
    secret = 'sixteen-or-more"\\'
    reply = transport.Reply(200, {}, f"{secret} {json.dumps(secret)} other".encode())
    assert calls.without_secrets(reply, calls.forms((secret,))).body == b'... "..." other'


async def test_a_foreign_exception_is_not_chained(client: Client, wire: Wire) -> None:
    wire.answers = [b"nonsense\r\n\r\n"]
    error = await client.fails()
    assert error.__cause__ is None
    assert error.__suppress_context__


# Looking one job up


LISTED: dict[str, Any] = {"job_id": JOB, "status": "FINISHED", "queue_name": "q"}


async def test_one_job_is_looked_up_in_the_list(client: Client, wire: Wire) -> None:
    wire.answers = [reply(body={"job_count": 1, "jobs": [LISTED]})]
    job = await client.job(JOB)
    assert job is not None
    assert (job.status, job.details.queue_name) == (JobStatus.FINISHED, "q")
    assert f"job-id={JOB}" in wire.requests[0].target


async def test_a_job_that_the_list_does_not_know_is_none(client: Client, wire: Wire) -> None:
    wire.answers = [reply(body={"job_count": 0, "jobs": []})]
    assert await client.job(JOB) is None


@pytest.mark.parametrize(
    "body",
    [
        {"job_count": 1, "jobs": [{**LISTED, "job_id": "another"}]},
        {"job_count": 1, "jobs": [{"job_id": JOB}]},
        {"job_count": 1, "jobs": []},
    ],
)
async def test_a_list_that_ignores_the_filter_proves_nothing(
    client: Client, wire: Wire, body: object
) -> None:
    wire.answers = [reply(body=body)]
    with pytest.raises(errors.ParseError):
        await client.job(JOB)


# Quota


async def test_calls_are_spaced_whoever_makes_them(
    session: aiohttp.ClientSession, wire: Wire
) -> None:
    client = Client(session, wire.endpoint, rate=10)
    await asyncio.gather(*(client.progress(JOB) for _ in range(11)))
    assert client.time.now - 1000 == pytest.approx(1.0)


async def test_retries_spend_from_the_same_quota(
    session: aiohttp.ClientSession, wire: Wire
) -> None:
    client = Client(session, wire.endpoint, rate=1)
    wire.answers = [refused(400, "DLI.0999")]
    await client.fails()
    assert client.time.now - 1000 == pytest.approx(2.0)


async def test_throttled_nobody_calls_before_it_is_over(
    session: aiohttp.ClientSession, wire: Wire
) -> None:
    client = Client(session, wire.endpoint, rate=100)
    wire.answers = [refused(429, "APIGW.0308", Retry_After="7"), reply()]
    await asyncio.gather(*(client.progress(JOB) for _ in range(3)))
    assert client.time.now >= 1007
    assert client.requests_per_second_limit < 90


async def test_throttled_for_long_calls_fail_without_being_made(client: Client, wire: Wire) -> None:
    wire.answers = [refused(429, "APIGW.0308", Retry_After="1000000000"), reply()]
    error = await client.fails()
    assert isinstance(error, errors.Throttled)
    assert not error.called
    assert client.suspension is not None
    assert client.suspension.error.reason == "throttled"
    assert client.suspension.until == client.time.now + 300
    for _ in range(5):
        await client.fails()
    assert len(wire.requests) == 1
    client.time.now += 300
    assert client.suspension is None
    await client.progress(JOB)


async def test_the_gateways_own_figure_becomes_the_limit(client: Client, wire: Wire) -> None:
    text = "policy user over ratelimit,limit:60,time:1 minute"
    wire.answers = [refused(429, "APIGW.0308", text), reply()]
    await client.progress(JOB)
    assert client.requests_per_second_limit < 20


# Keys


WRONG = refused(401, "APIGW.0301", "Incorrect: verify aksk signature fail")


@pytest.mark.parametrize("callers", [1, 5, 50])
async def test_a_wrong_key_never_fails_five_times_in_a_row(
    client: Client, wire: Wire, callers: int
) -> None:
    wire.answers = [WRONG]
    found: list[DliError] = []
    for _ in range(10):
        found += await asyncio.gather(*(client.fails() for _ in range(callers)))
    assert len(wire.requests) == 4
    assert {error.reason for error in found} == {"signature"}
    assert sum(error.called for error in found) == 4
    assert client.suspension is not None
    assert client.suspension.until - client.time.now == pytest.approx(300, abs=1)


async def test_what_dli_itself_refuses_was_signed_well(client: Client, wire: Wire) -> None:
    wire.answers = [*[WRONG] * 3, refused(400, "DLI.0002"), *[WRONG] * 3, reply()]
    assert [(await client.fails()).reason for _ in range(7)].count("signature") == 6
    await client.progress(JOB)


async def test_calls_that_are_out_count_as_failures_to_be(client: Client, wire: Wire) -> None:
    """No matter how slowly a gateway answers, the fifth wrong signature never leaves."""

    async def late(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await wire.release.wait()
        writer.write(WRONG)

    wire.answers = [late]
    calls = [asyncio.create_task(client.fails()) for _ in range(50)]
    while len(wire.requests) < 4:
        wire.arrived.clear()
        await wire.arrived.wait()
    wire.release.set()
    await asyncio.gather(*calls)
    assert len(wire.requests) == 4


async def test_after_five_minutes_there_is_one_trial_and_success_ends_it(
    client: Client, wire: Wire
) -> None:
    wire.answers = [WRONG]
    await asyncio.gather(*(client.fails() for _ in range(10)))
    client.time.now += 299
    await client.fails()
    assert len(wire.requests) == 4
    client.time.now += 2
    await asyncio.gather(*(client.fails() for _ in range(10)))
    assert len(wire.requests) == 5
    client.time.now += 301
    wire.answers = [reply()]
    await client.progress(JOB)
    assert client.suspension is None
    await asyncio.gather(*(client.progress(JOB) for _ in range(10)))


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("AK access failed to reach the limit,forbidden.", "key_locked"),
        ("Get secretKey failed,ak:x,err:ak not exist", "key_unknown"),
    ],
)
async def test_a_locked_or_unknown_key_stops_at_once(
    client: Client, wire: Wire, text: str, reason: str
) -> None:
    wire.answers = [refused(401, "APIG.0301", text)]
    for _ in range(5):
        assert (await client.fails()).reason == reason
    assert len(wire.requests) == 1


async def test_a_skewed_clock_is_told_from_the_date_header(
    session: aiohttp.ClientSession, wire: Wire
) -> None:
    client = Client(session, wire.endpoint, now=NOW + 3600)
    wire.answers = [
        refused(401, "APIGW.0301", "verify aksk signature fail", Date=formatdate(NOW, usegmt=True))
    ]
    error = await client.fails()
    assert isinstance(error, errors.ClockSkewed)
    assert "+3600 s" in str(error)
    assert client.calls[0].skew == 3600


class Renewing:
    """A provider that yields the next credential when one is refused."""

    present = None

    def __init__(self, *credentials: Credential) -> None:
        self.credentials = list(credentials)
        self.rejected: list[Credential] = []

    async def credential(self) -> Credential:
        await asyncio.sleep(0)
        return self.credentials[0]

    def reject(self, credential: Credential) -> None:
        self.rejected.append(credential)
        if credential == self.credentials[0] and len(self.credentials) > 1:
            del self.credentials[0]

    @property
    def expires_at(self) -> float | None:
        return None

    async def close(self) -> None:
        pass


EXPIRED = refused(401, "APIGW.0307", "The token must be updated.")


async def test_an_expired_token_is_renewed_once_for_a_burst_of_calls(
    session: aiohttp.ClientSession, wire: Wire
) -> None:
    def decide(request: Request) -> bytes:
        return EXPIRED if request.headers["X-Auth-Token"] == "old" else reply()

    wire.decide = decide
    provider = Renewing(Token("old"), Token("new"))
    client = Client(session, wire.endpoint, provider=provider)
    await asyncio.gather(*(client.progress(JOB) for _ in range(100)))
    assert len(wire.requests) <= 200
    assert client.reasons.count(None) == 100
    assert client.suspension is None


async def test_a_renewed_token_that_is_refused_as_well_is_given_up(
    session: aiohttp.ClientSession, wire: Wire
) -> None:
    wire.answers = [EXPIRED]
    client = Client(session, wire.endpoint, provider=Renewing(*map(Token, "abcdef")))
    assert (await client.fails()).reason == "token"
    assert len(wire.requests) == 2


async def test_a_token_that_cannot_be_renewed_is_not_tried_again(
    session: aiohttp.ClientSession, wire: Wire
) -> None:
    wire.answers = [EXPIRED]
    client = Client(session, wire.endpoint, provider=Token("only"))
    assert (await client.fails()).reason == "token"
    assert len(wire.requests) == 1


async def test_a_new_key_starts_with_a_clean_slate(
    session: aiohttp.ClientSession, wire: Wire
) -> None:
    provider = Renewing(AccessKey("AK1", "wrong"))
    wire.answers = [WRONG]
    client = Client(session, wire.endpoint, provider=provider)
    await asyncio.gather(*(client.fails() for _ in range(10)))
    assert client.suspension is not None
    provider.credentials = [AccessKey("AK1", "right")]
    wire.answers = [reply()]
    await client.progress(JOB)
    assert client.suspension is None


class Broken(Renewing):
    """A provider that has nothing."""

    async def credential(self) -> Credential:
        raise errors.CredentialsUnavailable("/run/secrets/sk: is empty")


async def test_without_credentials_no_call_is_made(
    session: aiohttp.ClientSession, wire: Wire
) -> None:
    client = Client(session, wire.endpoint, provider=Broken())
    error = await client.fails()
    assert (error.reason, error.called) == ("credentials", False)
    assert str(error) == "/run/secrets/sk: is empty"
    assert wire.requests == []
    assert client.calls == []


class Hanging(Renewing):
    """A provider that never comes back."""

    async def credential(self) -> Credential:
        await asyncio.Event().wait()
        raise AssertionError


async def test_a_provider_that_hangs_holds_nobody_up(
    session: aiohttp.ClientSession, wire: Wire
) -> None:
    client = Client(session, wire.endpoint, provider=Hanging(), timeout=0.01)
    assert (await client.fails()).reason == "credentials"


# Outages


async def test_an_outage_of_half_an_hour_costs_two_calls_a_minute(
    client: Client, wire: Wire
) -> None:
    wire.answers = [reply(503, b"")]
    began = client.time.now
    while client.time.now < began + 1800:
        assert (await client.fails()).reason == "server"
        client.time.now += 1
    assert len(wire.requests) <= 5 + 60
    assert client.suspension is not None
    client.time.now += 30
    wire.answers = [reply()]
    await client.progress(JOB)
    assert client.suspension is None
    await asyncio.gather(*(client.progress(JOB) for _ in range(20)))


async def test_one_sick_job_stops_no_other(client: Client, wire: Wire) -> None:
    wire.answers = [refused(500, "DLI.0999")]
    for _ in range(10):
        assert (await client.fails()).reason == "backend"
    wire.answers = [reply()]
    await client.progress(JOB)
    assert client.suspension is None


# Cancellation


async def test_cancelled_calls_leave_their_places_to_others(client: Client, wire: Wire) -> None:
    wire.answers = [wire.held]
    calls = [asyncio.create_task(client.progress(JOB)) for _ in range(20)]
    while len(wire.requests) < 4:
        wire.arrived.clear()
        await wire.arrived.wait()
    for call in calls:
        call.cancel()
    await asyncio.gather(*calls, return_exceptions=True)
    assert client.calls == []
    wire.answers = [reply()]
    await asyncio.gather(*(client.progress(JOB) for _ in range(10)))


# Foreign exceptions


def public_client_errors() -> list[type[Exception]]:
    found = (getattr(aiohttp, name) for name in dir(aiohttp))
    return [
        kind
        for kind in found
        if isinstance(kind, type)
        and issubclass(kind, aiohttp.ClientError)
        and kind is not aiohttp.ClientError
    ]


# These come with uploads and web sockets only.
NEVER_MET = {"UploadAbortedError"}


@pytest.mark.parametrize("foreign", public_client_errors(), ids=lambda kind: kind.__name__)
def test_every_exception_of_aiohttp_means_something(foreign: type[Exception]) -> None:
    known = next(known for known, _, _ in transport.MEANINGS if issubclass(foreign, known))
    assert known is not aiohttp.ClientError or foreign.__name__ in NEVER_MET


def test_special_meanings_stand_above_general_ones() -> None:
    rows = [known for known, _, _ in transport.MEANINGS]
    for place, known in enumerate(rows):
        assert not any(issubclass(known, above) for above in rows[:place])


@pytest.mark.parametrize(
    ("foreign", "reason"),
    [
        (TimeoutError(), "timeout"),
        (socket.gaierror(-3, "Temporary failure"), "dns"),
        (ssl.SSLError(1, "WRONG_VERSION_NUMBER"), "tls"),
        (ConnectionResetError(104, "Connection reset by peer"), "connection"),
        (OSError(24, "Too many open files"), "connection"),
        (aiohttp.ServerTimeoutError("canary"), "timeout"),
        (aiohttp.ClientPayloadError("canary"), "payload"),
        (aiohttp.ServerDisconnectedError("canary"), "connection"),
        (aiohttp.InvalidURL("http://canary"), "endpoint"),
        (aiohttp.ClientError("canary"), "connection"),
    ],
)
def test_foreign_exceptions_become_ours_without_their_words(
    foreign: Exception, reason: str
) -> None:
    error = transport.translate(foreign, "dli.example")
    assert error.reason == reason
    assert "dli.example" in str(error)
    assert "canary" not in str(error)


# The project's id


REGION = "ap-southeast-3"
PROJECTS = {"projects": [{"id": PROJECT, "name": REGION}, {"id": "0", "name": f"{REGION}_x"}]}


def finding(
    session: aiohttp.ClientSession, wire: Wire, provider: Provider | Credential = KEY
) -> Client:
    """Give a client that knows the region alone; IAM is where DLI is."""
    lookup = Lookup(wire.endpoint, REGION)
    return Client(session, wire.endpoint, provider=provider, project_id=lookup)


async def test_the_id_is_looked_up_once_and_signed_for(
    session: aiohttp.ClientSession, wire: Wire
) -> None:
    wire.answers = [reply(body=PROJECTS), reply()]
    client = finding(session, wire)
    await asyncio.gather(*(client.progress(JOB) for _ in range(5)))
    assert await client.project_id() == PROJECT
    first, second = wire.requests[:2]
    assert first.target == REACHABLE_PROJECTS
    assert first.verify(KEY)
    assert "X-Project-Id" not in first.headers
    assert second.target == f"/v1/{PROJECT}/jobs/{JOB}/progress"
    assert second.headers["X-Project-Id"] == PROJECT
    assert second.verify(KEY)
    assert len(wire.requests) == 6
    assert client.calls[0].endpoint == REACHABLE_PROJECTS


async def test_the_id_is_looked_up_with_a_token(session: aiohttp.ClientSession, wire: Wire) -> None:
    wire.answers = [reply(body=PROJECTS)]
    client = finding(session, wire, Token("MIIcanary"))
    assert await client.project_id() == PROJECT
    assert wire.requests[0].headers["X-Auth-Token"] == "MIIcanary"


async def test_a_token_that_tells_its_project_needs_no_look(
    session: aiohttp.ClientSession, wire: Wire
) -> None:
    client = finding(session, wire, Token("MIIcanary", project_id="its-own"))
    assert await client.project_id() == "its-own"
    assert wire.requests == []


@pytest.mark.parametrize(
    "refusal",
    [
        refused(403, "APIGW.0302"),
        refused(404, "APIGW.0101"),
        reply(401, {"error": {"code": 401, "message": "needs a token", "title": "Unauthorized"}}),
    ],
)
async def test_where_the_list_of_all_is_refused_the_one_by_name_is_asked_for(
    session: aiohttp.ClientSession, wire: Wire, refusal: bytes
) -> None:
    wire.answers = [refusal, reply(body=PROJECTS)]
    client = finding(session, wire)
    assert await client.project_id() == PROJECT
    assert wire.requests[1].target == f"{NAMED_PROJECTS}?name={REGION}"
    assert wire.requests[1].verify(KEY)


async def test_a_bad_signature_is_not_sent_to_the_other_list(
    session: aiohttp.ClientSession, wire: Wire
) -> None:
    """More than five of them lock the key for everybody."""
    wire.answers = [refused(401, "APIGW.0301", "verify aksk signature fail")]
    client = finding(session, wire)
    assert (await client.fails()).reason == "signature"
    assert len(wire.requests) == 1


async def test_an_unknown_project_is_told_and_not_asked_for_at_each_call(
    session: aiohttp.ClientSession, wire: Wire
) -> None:
    wire.answers = [reply(body={"projects": []}), reply(body=PROJECTS)]
    client = finding(session, wire)
    first = await client.fails()
    assert (first.reason, first.called) == ("project", True)
    again = await client.fails()
    assert (again.reason, again.called) == ("project", False)
    assert len(wire.requests) == 1
    client.time.now += 60
    assert await client.project_id() == PROJECT
