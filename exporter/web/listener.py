"""A web server that slow and half-open clients cannot exhaust.

aiohttp bounds neither the number of connections nor the time in which a head arrives or an
answer is read, and asyncio's own server accepts whatever comes. So the sockets are accepted
here, one by one, and each connection is watched.
"""

import asyncio
import errno
import logging
import resource
import ssl
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from socket import SO_RCVBUF, SOL_SOCKET, socket
from typing import Final, NamedTuple

from aiohttp import web
from aiohttp.typedefs import Handler, Middleware

from ..logs import fields
from .connections import Connection, victim

log = logging.getLogger(__name__)

_KEEPALIVE: Final = 600.0
"""Seconds that an idle connection stays open: longer than any scrape interval."""
_STOP: Final = 5.0
"""Seconds that requests under way get when the server stops."""
_BACKLOG: Final = 128
_PAUSE: Final = 0.01
"""Seconds until a socket is accepted again if the process had no file left for it."""
_NO_FILE: Final = frozenset({errno.EMFILE, errno.ENFILE, errno.ENOBUFS, errno.ENOMEM})
_SMALL: Final = 1 << 16
"""Bytes of an answer that the system takes whole even for a slow reader, or nearly so."""
_HELD: Final = 32 << 20
"""Bytes of answers that wait for slow readers at most."""
_RECEIVED: Final = 1 << 15
"""Bytes that the system receives before they are read: requests are small, and may be many."""
_TOLD: Final = 60.0
"""Seconds between two lines about there being too many connections."""


class Bounds(NamedTuple):
    """How much a listener bears.

    ``room`` is for so many connections at a time; one more takes the place of another. A head
    has ``head`` seconds to come, with TLS' handshake; an answer has ``answer`` seconds to be
    read, unless its handler has a bound of its own.
    """

    room: int
    head: float = 10.0
    answer: float = 30.0


def room(wanted: int) -> int:
    """Return for how many connections there is room: half the files that may be open."""
    files, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    if files == resource.RLIM_INFINITY or wanted <= files // 2:
        return wanted
    log.warning(
        "fewer connections than web.max_connections: the limit of open files (ulimit -n) is low",
        extra=fields(connections=files // 2, files=files),
    )
    return files // 2


async def bind(host: str, port: int) -> list[socket]:
    """Open the sockets to listen on; an empty host is every address. Raises OSError."""
    loop = asyncio.get_running_loop()
    # asyncio resolves and binds, for IPv4 and IPv6; it must not accept.
    server = await loop.create_server(asyncio.Protocol, host or None, port, start_serving=False)
    sockets = [each.dup() for each in server.sockets]
    server.close()
    for each in sockets:
        each.setsockopt(SOL_SOCKET, SO_RCVBUF, _RECEIVED)  # for every connection that it accepts
        each.listen(_BACKLOG)
    return sockets


@asynccontextmanager
async def serving(
    sockets: Sequence[socket],
    app: web.Application,
    bounds: Bounds,
    context: Callable[[], ssl.SSLContext | None],
) -> AsyncIterator[None]:
    """Serve an application on sockets, which are closed in the end.

    ``context`` is asked for every connection: it may change.
    """
    doorkeeper = _Doorkeeper(bounds, context)
    app.middlewares.insert(0, doorkeeper.watch())
    runner = web.AppRunner(
        app,
        access_log=None,
        keepalive_timeout=_KEEPALIVE,
        shutdown_timeout=_STOP,
    )
    await runner.setup()
    assert runner.server is not None  # noqa: S101 - for mypy: setup has just made it
    try:
        async with asyncio.TaskGroup() as group:
            accepting = [
                group.create_task(doorkeeper.accept(listening, runner.server, group))
                for listening in sockets
            ]
            yield
            for task in accepting:
                task.cancel()
            doorkeeper.close_unintroduced()
    finally:
        for listening in sockets:
            listening.close()
        await runner.cleanup()


class _Doorkeeper:
    """Accepts connections, and closes those that must give way."""

    def __init__(self, bounds: Bounds, context: Callable[[], ssl.SSLContext | None]) -> None:
        self._bounds = bounds
        self._context = context
        self._connections: dict[asyncio.Protocol, Connection] = {}
        self._told = float("-inf")

    async def accept(self, listening: socket, server: web.Server, group: asyncio.TaskGroup) -> None:
        """Accept connections for ever."""
        loop = asyncio.get_running_loop()
        while True:
            try:
                accepted, peer = await loop.sock_accept(listening)
            except OSError as error:
                if error.errno in _NO_FILE:
                    self._make_room(0)
                    await asyncio.sleep(_PAUSE)
                continue  # others concern only the one who wanted to connect
            self._make_room(self._bounds.room)
            connection = Connection(
                server(), peer[0], patience=self._bounds.head, lost=self._forget
            )
            self._connections[connection.inner] = connection
            group.create_task(self._introduce(connection, accepted))
            await asyncio.sleep(0)  # others want to be served even while many connect

    def watch(self) -> Middleware:
        """Make the outermost middleware: it notes when requests begin and end."""

        @web.middleware
        async def watch(request: web.Request, handler: Handler) -> web.StreamResponse:
            connection = self._connections.get(request.protocol)
            if connection is None:  # it has ended already
                return await handler(request)
            with connection.answer():
                response = await handler(request)
                if not response.prepared:
                    await self._send(connection, request, response)
                return response

        return watch

    def close_unintroduced(self) -> None:
        """Close what is in a handshake; aiohttp closes the rest."""
        for connection in list(self._connections.values()):
            if not connection.introduced:
                connection.abort()

    async def _introduce(self, connection: Connection, accepted: socket) -> None:
        """Shake hands, and let HTTP be spoken."""
        loop = asyncio.get_running_loop()
        transport: asyncio.Transport | None
        try:
            transport, _ = await loop.connect_accepted_socket(lambda: connection, accepted)
            context = self._context()
            if context is not None and not transport.is_closing():
                # What lies in this buffer would look sent to those who write into TLS'.
                transport.set_write_buffer_limits(high=0)
                transport = await loop.start_tls(transport, connection, context, server_side=True)
            if transport is not None:  # else it was closed while hands were shaken
                connection.introduce(transport)
                transport.resume_reading()
                return
        except OSError as error:
            reason = getattr(error, "reason", None) or error
            log.debug("no connection", extra=fields(client=connection.address, error=reason))
        except Exception:  # whatever a client has brought about must not end the exporter
            log.exception("no connection", extra=fields(client=connection.address))
        connection.abort()
        self._forget(connection)

    async def _send(
        self, connection: Connection, request: web.Request, response: web.StreamResponse
    ) -> None:
        """Send an answer that is ready; a client that is too slow for it is dropped."""
        body = response.body if isinstance(response, web.Response) else None
        if isinstance(body, bytes) and len(body) > _SMALL:
            connection.holds = len(body)
            self._bound_memory()
        try:
            async with asyncio.timeout(self._bounds.answer):
                await response.prepare(request)
                await response.write_eof()
                await connection.flushed()
        except (ConnectionError, TimeoutError):
            connection.abort()

    def _bound_memory(self) -> None:
        """Drop the slowest readers if too much waits to be read."""
        holding = [each for each in self._connections.values() if each.holds]
        holding.sort(key=lambda each: each.since)
        while len(holding) > 1 and sum(each.holds for each in holding) > _HELD:
            self._drop(holding.pop(0))

    def _make_room(self, room: int) -> None:
        """Leave room for one more connection; with no room at all one is closed."""
        if self._connections and len(self._connections) >= room:
            self._tell()
        while self._connections and len(self._connections) >= room:
            self._drop(victim(self._connections.values()))
            if not room:
                break

    def _drop(self, connection: Connection) -> None:
        connection.abort()
        self._forget(connection)

    def _forget(self, connection: Connection) -> None:
        self._connections.pop(connection.inner, None)

    def _tell(self) -> None:
        now = asyncio.get_running_loop().time()
        if now - self._told > _TOLD:
            self._told = now
            log.warning(
                "too many connections: the oldest idle ones give way",
                extra=fields(connections=len(self._connections)),
            )
