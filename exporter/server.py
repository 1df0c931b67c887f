"""The web server as the settings ask for it: guarded, bounded, with probes beside it."""

import logging
import time
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path
from socket import socket
from typing import TYPE_CHECKING, Any, Final

from aiohttp import web

from .connection import StartError
from .logs import fields
from .settings import ListenAddress, Settings, SettingsError
from .web.listener import Bounds, bind, room, serving

if TYPE_CHECKING:
    from .web.security.guard import Guard

log = logging.getLogger(__name__)

FIXED: Final = ("listen_address", "probe_address", "max_connections", "config")
"""Settings of the web server that a reload does not change."""
_PROBES: Final = 32
"""Connections of those who look how the exporter is; a quarter of the others', if that is less."""


def guard(settings: Settings) -> "Guard | None":
    """Read the web-config file if there is one; SettingsError if it cannot be used."""
    file = settings.web.config.file
    if file is None:
        return None
    # Here: without a file nobody needs YAML, and few have users.
    from .settings.document import read
    from .web.security.config import WebConfigError
    from .web.security.guard import Guard

    def tree(path: Path) -> Mapping[str, Any]:
        try:
            return read(path, may_be_empty=True)
        except SettingsError as error:
            raise WebConfigError(*error.lines) from None

    try:
        return Guard(file, tree, time.monotonic)
    except WebConfigError as error:
        raise SettingsError(error.lines) from None


@asynccontextmanager
async def listening(
    settings: Settings, app: web.Application, probes: web.Application, guard: "Guard | None"
) -> AsyncIterator[int]:
    """Serve an application, and the probes beside it; yield the application's port.

    StartError if an address cannot be had.
    """
    given = settings.web
    if guard is not None:
        guard.protect(app)
    bounds = Bounds(room=room(given.max_connections))
    context = guard.context if guard else _plain
    async with AsyncExitStack() as stack:
        main = await _bound(given.listen_address, stack)
        beside = [] if given.probe_address is None else await _bound(given.probe_address, stack)
        await stack.enter_async_context(serving(main, app, bounds, context))
        if beside:
            few = Bounds(room=max(1, min(bounds.room // 4, _PROBES)))
            await stack.enter_async_context(serving(beside, probes, few, _plain))
            log.info("probes answered", extra=fields(port=_port(beside)))
        yield _port(main)


async def _bound(address: ListenAddress, stack: AsyncExitStack) -> list[socket]:
    """Open the sockets for an address; they are closed with the stack."""
    try:
        sockets = await bind(address.host, address.port)
    except OSError as error:
        raise StartError(f"cannot listen on {address}: {error.strerror}") from None
    for each in sockets:
        stack.callback(each.close)
    return sockets


def _port(sockets: Sequence[socket]) -> int:
    port: int = sockets[0].getsockname()[1]
    return port


def _plain() -> None:
    """Return the context of a connection that is not encrypted."""
