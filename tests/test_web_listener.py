"""A web server that slow and half-open clients cannot exhaust, over real sockets."""

import asyncio
import resource
import ssl
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from aiohttp import ClientSession, TCPConnector, web

from exporter.web.listener import Bounds, bind, room, serving
from exporter.web.stream import Sent, send

CERTS = Path(__file__).parent / "web_config" / "certs"
LARGE = 8 << 20
"""Bytes that no system takes for a reader who does not read."""
SOON = 10.0


@dataclass
class Site:
    """A server, and what its handlers saw."""

    port: int
    context: ssl.SSLContext | None
    opened: asyncio.Event = field(default_factory=asyncio.Event)
    begun: "asyncio.Queue[str]" = field(default_factory=asyncio.Queue)
    sent: "asyncio.Queue[Sent]" = field(default_factory=asyncio.Queue)
    writers: list[asyncio.StreamWriter] = field(default_factory=list)
    transports: list[asyncio.Transport] = field(default_factory=list)

    async def connect(
        self, source: str = "127.0.0.1"
    ) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        """Open a connection, without TLS' handshake, from one of this machine's addresses."""
        return await self._keep(local_addr=(source, 0))

    async def speak(self) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        """Open a connection, with TLS' handshake if there is one."""
        return await self._keep(ssl=self.context)

    async def _keep(self, **how: Any) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        reader, writer = await asyncio.open_connection("127.0.0.1", self.port, **how)
        self.writers.append(writer)
        return reader, writer

    async def close(self) -> None:
        """Close every connection."""
        for writer in self.writers:
            writer.transport.abort()
        await asyncio.gather(*(each.wait_closed() for each in self.writers), return_exceptions=True)


def trusting() -> ssl.SSLContext:
    return ssl.create_default_context(cafile=CERTS / "ca.pem")


def server_side() -> ssl.SSLContext:
    made = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    made.load_cert_chain(CERTS / "server.pem", CERTS / "server.key")
    return made


@asynccontextmanager
async def site(
    bounds: Bounds, *, tls: bool, context: Callable[[], ssl.SSLContext | None] | None = None
) -> AsyncIterator[Site]:
    """Serve some pages, and let nobody wait in the end."""
    encrypted = server_side() if tls else None
    sockets = await bind("127.0.0.1", 0)
    here = Site(sockets[0].getsockname()[1], trusting() if tls else None)

    async def page(request: web.Request) -> web.Response:
        here.begun.put_nowait(request.query.get("who", ""))
        return web.Response(text="page")

    async def held(request: web.Request) -> web.Response:
        here.begun.put_nowait(request.query.get("who", ""))
        await here.opened.wait()
        return web.Response(text="held")

    async def large(request: web.Request) -> web.Response:
        assert request.transport is not None
        here.transports.append(request.transport)
        here.begun.put_nowait(request.query.get("who", ""))
        return web.Response(body=bytes(LARGE))

    async def scrape(request: web.Request) -> web.StreamResponse:
        response = web.StreamResponse()
        response.content_length = LARGE
        here.begun.put_nowait("")
        here.sent.put_nowait(await send(request, response, [bytes(LARGE)], patience=60))
        return response

    app = web.Application()
    for path, handler in (("/", page), ("/held", held), ("/large", large), ("/metrics", scrape)):
        app.router.add_get(path, handler)
    async with asyncio.timeout(60), serving(sockets, app, bounds, context or (lambda: encrypted)):
        try:
            yield here
        finally:
            here.opened.set()
            await here.close()


@pytest.fixture(params=[False, True], ids=["plain", "tls"])
def tls(request: pytest.FixtureRequest) -> bool:
    return bool(request.param)


async def gone(reader: asyncio.StreamReader) -> bytes:
    """Wait until the other side has closed a connection, and give what it wrote."""
    async with asyncio.timeout(SOON):
        try:
            return await reader.read()
        except ConnectionError:
            return b""


async def get(here: Site, path: str = "/") -> str:
    """Ask as Prometheus does, on a connection of its own."""
    scheme = "http" if here.context is None else "https"
    connector = TCPConnector(ssl=here.context or True)
    async with (
        ClientSession(connector=connector) as session,
        session.get(f"{scheme}://127.0.0.1:{here.port}{path}") as response,
    ):
        return await response.text()


async def test_pages_are_served(tls: bool) -> None:
    async with site(Bounds(room=10), tls=tls) as here:
        assert await get(here) == "page"


async def test_one_connection_serves_many_requests(tls: bool) -> None:
    async with site(Bounds(room=10), tls=tls) as here:
        reader, writer = await here.speak()
        for _ in range(3):
            writer.write(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n")
            head = await reader.readuntil(b"\r\n\r\n")
            assert head.startswith(b"HTTP/1.1 200")
            assert await reader.readexactly(4) == b"page"


async def test_200_half_open_connections_do_not_keep_prometheus_out(tls: bool) -> None:
    async with site(Bounds(room=20), tls=tls) as here:
        crowd = [await here.connect() for _ in range(200)]
        for _, writer in crowd:
            writer.write(b"GET / HT" if not tls else b"\x16\x03\x01")
        assert await get(here) == "page"
        closed = await asyncio.gather(*(gone(reader) for reader, _ in crowd[:-20]))
        assert len(closed) == 180


async def test_a_scraper_of_another_address_stays_when_many_come(tls: bool) -> None:
    async with site(Bounds(room=10), tls=tls) as here:
        reader, writer = await here.speak()
        writer.write(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n")
        await reader.readuntil(b"page")
        crowd = [await here.connect("127.0.0.2") for _ in range(40)]
        await asyncio.gather(*(gone(other) for other, _ in crowd[:-10]))
        writer.write(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n")
        assert await reader.readuntil(b"page")


async def test_a_request_that_is_answered_outlives_idle_connections(tls: bool) -> None:
    async with site(Bounds(room=5), tls=tls) as here:
        async with asyncio.TaskGroup() as group:
            answer = group.create_task(get(here, "/held?who=prometheus"))
            assert await here.begun.get() == "prometheus"
            crowd = [await here.connect() for _ in range(30)]
            await asyncio.gather(*(gone(reader) for reader, _ in crowd[:-5]))
            here.opened.set()
        assert answer.result() == "held"


@pytest.mark.parametrize("begun", [b"", b"GET /metr", b"GET / HTTP/1.1\r\nHost: x\r\nA: b\r\n"])
async def test_a_head_that_does_not_come_ends_the_connection(tls: bool, begun: bytes) -> None:
    async with site(Bounds(room=10, head=0.5), tls=tls) as here:
        reader, writer = await here.speak()
        writer.write(begun)
        assert await gone(reader) == b""


async def test_a_handshake_that_does_not_come_ends_the_connection() -> None:
    async with site(Bounds(room=10, head=0.05), tls=True) as here:
        reader, writer = await here.connect()
        writer.write(b"\x16\x03\x01")
        assert await gone(reader) == b""


async def test_clear_text_for_tls_ends_the_connection_and_nothing_else() -> None:
    async with site(Bounds(room=10), tls=True) as here:
        reader, writer = await here.connect()
        writer.write(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n")
        assert b"page" not in await gone(reader)
        assert await get(here) == "page"


async def test_the_next_request_has_to_come_whole_in_time_too(tls: bool) -> None:
    async with site(Bounds(room=10, head=0.5), tls=tls) as here:
        reader, writer = await here.speak()
        writer.write(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n")
        await reader.readuntil(b"page")
        writer.write(b"GET / HT")
        assert await gone(reader) == b""


async def test_a_head_without_bounds_is_refused(tls: bool) -> None:
    async with site(Bounds(room=10), tls=tls) as here:
        for line in (b"A: " + b"x" * 9000 + b"\r\n", b"A: x\r\n" * 200):
            reader, writer = await here.speak()
            writer.write(b"GET / HTTP/1.1\r\nHost: x\r\n" + line + b"\r\n")
            assert (await reader.readline()).startswith(b"HTTP/1.0 400")


async def test_a_head_that_never_ends_is_cut_off(tls: bool) -> None:
    async with site(Bounds(room=10), tls=tls) as here:
        reader, writer = await here.speak()
        line = b"A: " + b"x" * 8000 + b"\r\n"
        writer.write(b"GET / HTTP/1.1\r\nHost: x\r\n" + 100 * line)
        assert await gone(reader) == b""


async def dropped(here: Site, which: int) -> None:
    """Wait until the server has closed a connection on which it sends a large page.

    Its client cannot tell before it reads, and must not read. Each page gives others a turn.
    """
    async with asyncio.timeout(SOON):
        while not here.transports[which].is_closing():
            assert await get(here) == "page"


async def test_who_does_not_read_a_large_page_is_dropped(tls: bool) -> None:
    async with site(Bounds(room=10, answer=0.2), tls=tls) as here:
        reader, writer = await here.speak()
        writer.write(b"GET /large HTTP/1.1\r\nHost: x\r\n\r\n")
        await here.begun.get()
        await dropped(here, 0)
        assert len(await gone(reader)) < LARGE


async def test_pages_that_nobody_reads_do_not_fill_the_memory(tls: bool) -> None:
    """Four of them are what is held at most: a fifth takes the place of the first."""
    async with site(Bounds(room=10), tls=tls) as here:
        crowd = []
        for who in range(5):
            reader, writer = await here.speak()
            writer.write(b"GET /large?who=%d HTTP/1.1\r\nHost: x\r\n\r\n" % who)
            assert await here.begun.get() == str(who)
            crowd.append(reader)
        await dropped(here, 0)
        assert not any(transport.is_closing() for transport in here.transports[1:])
        await crowd[4].readuntil(b"\r\n\r\n")
        assert len(await crowd[4].readexactly(LARGE)) == LARGE


async def test_a_scrape_counts_as_taken_when_the_system_took_the_last_byte(tls: bool) -> None:
    async with site(Bounds(room=10), tls=tls) as here:
        reader, writer = await here.speak()
        writer.write(b"GET /metrics HTTP/1.1\r\nHost: x\r\n\r\n")
        await here.begun.get()
        assert await get(here) == "page", "a slow reader holds nobody up"
        assert here.sent.empty()
        await reader.readuntil(b"\r\n\r\n")
        await reader.readexactly(LARGE)
        assert await here.sent.get() == Sent(LARGE, complete=True)


async def test_the_context_is_asked_for_every_connection() -> None:
    """A certificate that changes is served at once, on connections that come later."""
    contexts = [server_side(), server_side()]
    contexts[1].load_cert_chain(CERTS / "server2.pem", CERTS / "server2.key")
    numbers = []
    async with site(Bounds(room=10), tls=True, context=lambda: contexts.pop(0)) as here:
        for _ in range(2):
            _, writer = await here.speak()
            certificate = writer.get_extra_info("peercert")
            numbers.append(int(certificate["serialNumber"], 16))
    assert numbers == [1001, 1002]


async def test_an_unexpected_error_ends_a_connection_and_nothing_else() -> None:
    raising = [True]

    def context() -> None:
        if raising:
            raise ValueError(raising.pop())

    async with site(Bounds(room=10), tls=False, context=context) as here:
        reader, _ = await here.connect()
        assert await gone(reader) == b""
        assert await get(here) == "page"


async def test_what_is_in_a_handshake_does_not_delay_the_end() -> None:
    async with site(Bounds(room=10), tls=True) as here:
        reader, writer = await here.connect()
        writer.write(b"\x16\x03\x01")
        assert await get(here) == "page"
        begun = asyncio.get_running_loop().time()
    assert asyncio.get_running_loop().time() - begun < SOON
    assert await gone(reader) == b""


async def test_every_address_of_the_machine_has_a_socket() -> None:
    sockets = await bind("", 0)
    try:
        assert {each.getsockname()[0] for each in sockets} >= {"0.0.0.0"}  # noqa: S104 - meant
    finally:
        for each in sockets:
            each.close()


async def test_an_address_that_is_taken_is_refused() -> None:
    (taken,) = await bind("127.0.0.1", 0)
    taken.listen()
    try:
        with pytest.raises(OSError, match="in use"):
            await bind("127.0.0.1", taken.getsockname()[1])
    finally:
        taken.close()


def test_half_the_files_are_for_other_things(caplog: pytest.LogCaptureFixture) -> None:
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (128, hard))
    try:
        assert room(10) == 10
        assert caplog.text == ""
        assert room(1000) == 64
        assert "ulimit" in caplog.text
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
