"""The endpoints over real sockets."""

import asyncio
import base64
import gzip
import hashlib
import json
import re
import socket
import tracemalloc
import zlib
from collections.abc import AsyncIterator, Generator, Iterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from random import Random
from typing import Any

import pytest
from aiohttp import ClientSession, TCPConnector, web
from yarl import URL

from exporter.jobs.model import Counts, Job, JobKey, JobStatus, Sighting, SubJob, SubJobStatus
from exporter.web.negotiation import Format
from exporter.web.routes import Scrape, Views, application
from exporter.web.scrapers import TIMEOUT_HEADER, Scrapers
from exporter.web.state import Reload, State

JOB = Job(
    key=JobKey("prod", "85798b38"),
    status=JobStatus.RUNNING,
    ratio=0.425,
    counts=Counts(tasks=10),
    listed=(
        Sighting(
            subjob=SubJob(id=0, status=SubJobStatus.RUNNING, name="<b>count</b>"),
            first=1.0,
            first_done=0,
        ),
    ),
)


STATE = State(
    now=1_790_000_000.0,
    version="1.2.3",
    healthy=True,
    ready=True,
    stale=300.0,
    reload=Reload(at=1_790_000_000.0, in_force=1_790_000_000.0),
)
PLAIN = {"Accept-Encoding": "identity"}
SCRAPER = {TIMEOUT_HEADER: "10", "User-Agent": "Prometheus/3.5.3"}
PIECE = Random(0).randbytes(1 << 16)  # noqa: S311  # any bytes that gzip cannot shorten
LARGE = (PIECE,) * 128
"""Much more than the sockets of these tests hold, 8 MiB."""


@dataclass(frozen=True)
class Text:
    """What is exposed in these tests."""

    pieces: Sequence[bytes]

    @property
    def size(self) -> int:
        return sum(map(len, self.pieces))

    def plain(self) -> Iterator[bytes]:
        yield from self.pieces

    def gzip(self) -> Generator[None, None, Sequence[bytes]]:
        compressor = zlib.compressobj(wbits=31)
        yield
        parts = [*map(compressor.compress, self.pieces), compressor.flush()]
        yield
        return parts


@dataclass
class Memory:
    """What the endpoints read and tell in these tests."""

    jobs: list[Job] = field(default_factory=lambda: [JOB])
    healthy: bool = True
    ready: bool = True
    pieces: Sequence[bytes] = (b"# TYPE a gauge\n", b"a 1.0\n")
    now: float = 7.0
    scrapers: Scrapers = field(default_factory=Scrapers)
    scrapes: asyncio.Queue[Scrape] = field(default_factory=asyncio.Queue)

    def exposition(self, chosen: Format) -> "Text":
        return Text((*self.pieces, *([b"# EOF\n"] if chosen is Format.OPENMETRICS else [])))

    def views(self) -> Views:
        return Views(
            exposition=self.exposition,
            monotonic=lambda: self.now,
            jobs=lambda: self.jobs,
            healthy=lambda: self.healthy,
            ready=lambda: self.ready,
            state=lambda: STATE,
            scrapers=self.scrapers,
            scraped=self.scrapes.put_nowait,
        )

    async def scraped(self) -> Scrape:
        """Wait for the end of a scrape."""
        return await asyncio.wait_for(self.scrapes.get(), 8)


@pytest.fixture
def memory() -> Memory:
    return Memory()


@asynccontextmanager
async def serving(memory: Memory, *, buffer: int) -> AsyncIterator[URL]:
    """Serve with so many bytes of send buffer."""
    # Not aiohttp's TestServer: it cancels handlers whose client leaves, a real one does not.
    runner = web.AppRunner(application(memory.views()), access_log=None, shutdown_timeout=1)
    await runner.setup()
    listener = socket.create_server(("127.0.0.1", 0))
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, buffer)
    await web.SockSite(runner, listener).start()
    try:
        yield URL.build(scheme="http", host="127.0.0.1", port=runner.addresses[0][1])
    finally:
        await runner.cleanup()


@pytest.fixture
async def server(memory: Memory) -> AsyncIterator[URL]:
    async with serving(memory, buffer=1 << 18) as url:
        yield url


@pytest.fixture
async def client(server: URL) -> AsyncIterator[ClientSession]:
    async with ClientSession(server, auto_decompress=False) as session:
        yield session


async def test_metrics_as_text(client: ClientSession, memory: Memory) -> None:
    async with client.get("/metrics", headers={"Accept-Encoding": "identity"}) as response:
        body = await response.read()
    assert response.status == 200
    assert response.headers["Content-Type"] == "text/plain; version=0.0.4; charset=utf-8"
    assert response.headers["Content-Length"] == str(len(body))
    assert "Content-Encoding" not in response.headers
    assert body == b"# TYPE a gauge\na 1.0\n"
    assert await memory.scraped() == Scrape(
        remote="127.0.0.1",
        snapshot=7.0,
        encoding="identity",
        size=len(body),
        complete=True,
        scraper=False,
    )


async def test_metrics_as_openmetrics_in_gzip(client: ClientSession, memory: Memory) -> None:
    headers = {"Accept": "application/openmetrics-text;version=1.0.0", "Accept-Encoding": "gzip"}
    async with client.get("/metrics", headers={**headers, **SCRAPER}) as response:
        body = await response.read()
    wanted = "application/openmetrics-text; version=1.0.0; charset=utf-8"
    assert response.headers["Content-Type"] == wanted
    assert response.headers["Content-Encoding"] == "gzip"
    assert response.headers["Content-Length"] == str(len(body))
    assert gzip.decompress(body) == b"# TYPE a gauge\na 1.0\n# EOF\n"
    assert await memory.scraped() == Scrape(
        remote="127.0.0.1",
        snapshot=7.0,
        encoding="gzip",
        size=len(body),
        complete=True,
        scraper=True,
    )


async def test_others_have_a_turn_between_the_steps_of_compression(
    client: ClientSession, memory: Memory
) -> None:
    turns: list[str] = []

    class Slow(Text):
        def gzip(self) -> Generator[None, None, Sequence[bytes]]:
            for step in range(3):
                asyncio.get_running_loop().call_soon(turns.append, "others")
                turns.append(f"step {step}")
                yield
            return (yield from super().gzip())

    views = memory.views()._replace(exposition=lambda _: Slow((b"a 1.0\n",)))
    runner = web.AppRunner(application(views), access_log=None)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    try:
        async with client.get(f"http://127.0.0.1:{runner.addresses[0][1]}/metrics") as response:
            assert gzip.decompress(await response.read()) == b"a 1.0\n"
    finally:
        await runner.cleanup()
    assert turns == ["step 0", "others", "step 1", "others", "step 2", "others"]


async def test_an_empty_exposition_is_a_whole_one(client: ClientSession, memory: Memory) -> None:
    memory.pieces = ()
    async with client.get("/metrics", headers={"Accept-Encoding": "identity"}) as response:
        assert await response.read() == b""
    assert (await memory.scraped()).complete


async def test_large_metrics_are_the_same_in_gzip_and_plain(
    client: ClientSession, memory: Memory
) -> None:
    memory.pieces = [b'dli_job_tasks{job_id="%d"} %d.0\n' % (n, n % 7) for n in range(200_000)]
    bodies = []
    for encoding in ("identity", "gzip"):
        async with client.get("/metrics", headers={"Accept-Encoding": encoding}) as response:
            bodies.append(await response.read())
    assert bodies[0] == b"".join(memory.pieces)
    assert gzip.decompress(bodies[1]) == bodies[0]
    assert [(await memory.scraped()).size for _ in bodies] == [len(body) for body in bodies]


@pytest.mark.parametrize(
    ("encoding", "length"), [("identity", str(len(LARGE) * len(PIECE))), ("gzip", None)]
)
async def test_head_gives_the_headers_and_is_no_scrape(
    client: ClientSession, memory: Memory, encoding: str, length: str | None
) -> None:
    memory.pieces = LARGE
    async with client.head("/metrics", headers={"Accept-Encoding": encoding, **SCRAPER}) as head:
        assert await head.read() == b""
    assert head.status == 200
    assert head.headers.get("Content-Length") == length
    assert head.headers.get("Content-Encoding", "identity") == encoding
    assert memory.scrapes.empty()
    assert memory.scrapers.pending(memory.now, memory.now) == ()


async def test_a_scrape_counts_once_it_is_written_and_a_look_never(
    client: ClientSession, memory: Memory
) -> None:
    async with client.get("/metrics") as response:
        await response.read()
    assert not memory.scrapers.delivered(7.0, 7.0)
    async with client.get("/metrics", headers=SCRAPER) as response:
        await response.read()
    assert memory.scrapers.delivered(7.0, 7.0)
    assert not memory.scrapers.delivered(7.5, 8.0)


async def scrape(session: ClientSession, memory: Memory, now: float) -> None:
    memory.now = now
    async with session.get("/metrics", headers=SCRAPER) as response:
        await response.read()
    assert (await memory.scraped()).complete


async def test_two_scrapers_at_one_address_are_two(server: URL, memory: Memory) -> None:
    async with ClientSession(server) as one, ClientSession(server) as other:
        await scrape(one, memory, 1.0)
        await scrape(other, memory, 2.0)
        await scrape(one, memory, 11.0)
        assert memory.scrapers.pending(10.0, 11.0) == ("127.0.0.1",)
        await scrape(other, memory, 12.0)
        assert memory.scrapers.delivered(10.0, 12.0)


async def test_a_scraper_without_keep_alive_is_one(server: URL, memory: Memory) -> None:
    connector = TCPConnector(force_close=True)
    async with ClientSession(server, connector=connector) as session:
        await scrape(session, memory, 1.0)
        await scrape(session, memory, 11.0)
    assert memory.scrapers.delivered(10.0, 11.0)


@asynccontextmanager
async def stalling(
    server: URL, *headers: str
) -> AsyncIterator[tuple[asyncio.StreamReader, asyncio.StreamWriter]]:
    """Scrape, read one byte of the answer and leave the others where they are."""
    line = socket.socket()
    line.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
    line.setblocking(False)
    await asyncio.get_running_loop().sock_connect(line, ("127.0.0.1", server.port))
    reader, writer = await asyncio.open_connection(sock=line, limit=1024)
    writer.write("\r\n".join(("GET /metrics HTTP/1.1", "Host: a", *headers, "", "")).encode())
    try:
        assert await reader.readexactly(1) == b"H"
        yield reader, writer
    finally:
        writer.transport.abort()


async def test_others_are_served_while_one_reads_slowly(
    server: URL, client: ClientSession, memory: Memory
) -> None:
    memory.pieces = LARGE
    async with stalling(server) as (reader, _):
        memory.pieces = (b"a 2.0\n",)
        await scrape(client, memory, 8.0)
        assert memory.scrapes.empty()
        await reader.readuntil(b"\r\n\r\n")
        body = await reader.readexactly(len(LARGE) * len(PIECE))
        slow = await memory.scraped()
    assert body == b"".join(LARGE)
    assert (slow.complete, slow.snapshot, slow.size) == (True, 7.0, len(body))


async def test_what_waits_in_the_exporter_has_not_been_seen(
    client: ClientSession, memory: Memory
) -> None:
    # More than the sockets hold, and less than asyncio buffers before it makes anybody wait.
    body = PIECE[: 48 * 1024]
    memory.pieces = (body,)
    async with (
        serving(memory, buffer=4096) as url,
        stalling(url, f"{TIMEOUT_HEADER}: 10") as (reader, _),
    ):
        async with client.get("/-/started") as response:
            await response.read()
        assert memory.scrapes.empty()
        assert not memory.scrapers.delivered(7.0, 7.0)
        await reader.readuntil(b"\r\n\r\n")
        assert await reader.readexactly(len(body)) == body
        assert (await memory.scraped()).complete
    assert memory.scrapers.delivered(7.0, 7.0)


async def test_slow_readers_hold_no_copies(
    server: URL, client: ClientSession, memory: Memory
) -> None:
    memory.pieces = LARGE
    tracemalloc.start()
    try:
        async with stalling(server), stalling(server), stalling(server), stalling(server):
            await scrape_large(client)
            size, _ = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert size < 4 * (1 << 20)


async def scrape_large(session: ClientSession) -> None:
    async with session.get("/metrics", headers={"Accept-Encoding": "identity"}) as response:
        async for _ in response.content.iter_any():
            pass


@pytest.mark.parametrize("encoding", ["identity", "gzip"])
async def test_a_scraper_that_leaves_in_the_middle_has_seen_nothing(
    server: URL, memory: Memory, encoding: str
) -> None:
    memory.pieces = LARGE
    headers = (f"Accept-Encoding: {encoding}", f"{TIMEOUT_HEADER}: 10")
    async with stalling(server, *headers):
        assert memory.scrapers.pending(memory.now, memory.now) == ("127.0.0.1",)
    broken = await memory.scraped()
    assert (broken.complete, broken.encoding) == (False, encoding)
    assert broken.size < len(LARGE) * len(PIECE)
    assert not memory.scrapers.delivered(memory.now, memory.now)


@pytest.mark.parametrize("encoding", ["identity", "gzip"])
async def test_who_stalls_longer_than_a_scrape_may_take_is_cut_off(
    server: URL, memory: Memory, encoding: str
) -> None:
    memory.pieces = LARGE
    headers = (f"Accept-Encoding: {encoding}", f"{TIMEOUT_HEADER}: 0.05")
    async with stalling(server, *headers) as (reader, _):
        assert not (await memory.scraped()).complete
        rest = await reader.read()
    assert len(rest) < len(LARGE) * len(PIECE)
    assert not rest.endswith(b"0\r\n\r\n")
    assert not memory.scrapers.delivered(memory.now, memory.now)


async def test_caches_are_told_what_the_answer_depends_on(client: ClientSession) -> None:
    async with client.get("/metrics") as response:
        assert response.headers["Vary"] == "Accept, Accept-Encoding"


@pytest.mark.parametrize(
    ("path", "flag", "status", "text"),
    [
        ("/-/started", "healthy", 200, "DLI exporter is started.\n"),
        ("/-/healthy", "healthy", 503, "DLI exporter is not healthy.\n"),
        ("/-/healthy", "ready", 200, "DLI exporter is healthy.\n"),
        ("/-/ready", "ready", 503, "DLI exporter is not ready.\n"),
        ("/-/ready", "healthy", 200, "DLI exporter is ready.\n"),
    ],
)
async def test_probes(
    client: ClientSession, memory: Memory, path: str, flag: str, status: int, text: str
) -> None:
    setattr(memory, flag, False)
    async with client.get(path) as response:
        assert (response.status, await response.text()) == (status, text)


async def jobs(client: ClientSession) -> list[dict[str, Any]]:
    async with client.get("/api/v1/jobs") as response:
        assert response.content_type == "application/json"
        answer: dict[str, Any] = json.loads(await response.read())
    assert answer["status"] == "success"
    listed: list[dict[str, Any]] = answer["data"]["jobs"]
    return listed


async def test_jobs_as_json(client: ClientSession) -> None:
    (job,) = await jobs(client)
    assert {name: job[name] for name in ("project", "job_id", "status", "progress_ratio")} == {
        "project": "prod",
        "job_id": "85798b38",
        "status": "RUNNING",
        "progress_ratio": 0.425,
    }
    assert (job["tasks"], job["tasks_failed"]) == (10, None)
    assert [subjob["subjob_id"] for subjob in job["subjobs"]] == [0]


async def test_json_survives_a_lone_surrogate(client: ClientSession, memory: Memory) -> None:
    memory.jobs = [JOB._replace(name="a\ud800")]
    assert (await jobs(client))[0]["name"] == "a\ud800"


async def test_status_page_shows_jobs_and_links(client: ClientSession) -> None:
    async with client.get("/", headers=PLAIN) as response:
        page = await response.text()
    assert response.content_type == "text/html"
    assert response.headers["Cache-Control"] == "no-store"
    assert "<small>1.2.3</small>" in page
    assert 'href="metrics"' in page
    assert "<b>42%</b>" in page


async def test_status_page_heeds_its_address(client: ClientSession, memory: Memory) -> None:
    memory.jobs = [JOB, JOB._replace(key=JobKey("prod", "other"), status=JobStatus.FAILED)]
    async with client.get("/?status=FAILED&q=OTH", headers=PLAIN) as response:
        page = await response.text()
    assert "1 of 2 jobs" in page
    assert "85798b38" not in page


async def test_status_page_in_gzip_is_the_same(client: ClientSession) -> None:
    bodies = {}
    for encoding in ("identity", "gzip"):
        async with client.get("/", headers={"Accept-Encoding": encoding}) as response:
            bodies[encoding] = await response.read()
            assert response.headers.get("Content-Encoding", "identity") == encoding
            assert response.headers["Vary"] == "Accept-Encoding"
    assert gzip.decompress(bodies["gzip"]) == bodies["identity"]


async def test_status_page_runs_its_own_script_and_style_and_no_other(
    client: ClientSession,
) -> None:
    async with client.get("/", headers=PLAIN) as response:
        policy = response.headers["Content-Security-Policy"]
        page = await response.text()
    for element, directive in (("script", "script-src"), ("style", "style-src")):
        (text,) = re.findall(f"<{element}>(.*?)</{element}>", page, re.DOTALL)
        digest = base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()
        assert f"{directive} 'sha256-{digest}';" in policy
    assert "unsafe" not in policy
    assert not re.search(r"\s(style|on[a-z]+)=", page)


@pytest.mark.parametrize("path", ["/", "/metrics", "/nowhere"])
async def test_browsers_are_told_to_trust_nothing(client: ClientSession, path: str) -> None:
    async with client.get(path) as response:
        assert response.headers["Content-Security-Policy"].startswith("default-src 'none'")
        assert response.headers["X-Content-Type-Options"] == "nosniff"


@pytest.mark.parametrize(
    ("method", "path", "status"),
    [("POST", "/metrics", 405), ("DELETE", "/api/v1/jobs", 405), ("GET", "/nowhere", 404)],
)
async def test_refusals(client: ClientSession, method: str, path: str, status: int) -> None:
    async with client.request(method, path) as response:
        assert response.status == status
