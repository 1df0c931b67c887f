"""The web-config file in force: read again when it or a certificate changes."""

import logging
import os
import secrets
import ssl
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from aiohttp import web
from aiohttp.typedefs import Handler

from ...logs import fields
from .bucket import Bucket
from .config import WebConfig, WebConfigError, parse
from .passwords import Gatekeeper
from .tls import context, exposed, names

log = logging.getLogger(__name__)

_CHALLENGE: Final = {"WWW-Authenticate": 'Basic realm="dli-exporter", charset="UTF-8"'}
_FIXED: Final = "tls_server_config: cannot come or go while the exporter runs; restart it"

Stamp = tuple[int, int, int] | None
"""What changes with a file; None if there is none."""


@dataclass(frozen=True, slots=True)
class _Armed:
    """What is in force, and who checks it."""

    config: WebConfig
    context: ssl.SSLContext | None


class Guard:
    """Lets requests in as a web-config file says.

    A file that cannot be used when it changes leaves all as it was, and is told in the log once.
    """

    def __init__(
        self,
        path: Path,
        read: Callable[[Path], Mapping[str, Any]],
        now: Callable[[], float],
    ) -> None:
        """Read the file, with ``read`` for its YAML; WebConfigError if it cannot be used.

        ``now`` is a monotonic clock.
        """
        self._path = path
        self._read = read
        self._now = now
        self._gatekeeper = Gatekeeper(secrets.token_bytes(32))
        self._bucket: Bucket | None = None
        self._files: tuple[Path, ...] = ()
        self._seen: tuple[Stamp, ...] = ()
        self._adopt(self._load())

    def context(self) -> ssl.SSLContext | None:
        """Return the context of a connection that comes now; None if it is not encrypted."""
        return self._current().context

    def protect(self, app: web.Application) -> None:
        """Let no request reach an application's handlers that may not."""

        @web.middleware
        async def admit(request: web.Request, handler: Handler) -> web.StreamResponse:
            return await self._refusal(request) or await handler(request)

        async def add_headers(_: web.Request, response: web.StreamResponse) -> None:
            response.headers.update(self._armed.config.headers)

        app.middlewares.append(admit)
        app.on_response_prepare.append(add_headers)

    def reload(self) -> tuple[str, ...]:
        """Read everything again; return what is wrong, a line a mistake."""
        try:
            armed = self._load()
            if (armed.context is None) != (self._armed.context is None):
                raise WebConfigError(f"{self._path}: {_FIXED}")
        except WebConfigError as error:
            return error.lines
        self._adopt(armed)
        return ()

    async def _refusal(self, request: web.Request) -> web.Response | None:
        """Answer a request that is not let in; None if it is."""
        config = self._current().config
        if self._bucket is not None and not self._bucket.take(self._now()):
            return web.Response(status=429, text="too many requests\n")
        if config.tls is not None and not _welcome(request, config.tls.allowed_sans):
            return web.Response(status=403, text="not with this client certificate\n")
        header = request.headers.get("Authorization")
        if config.users and not await self._gatekeeper.admits(
            config.users, header, lambda: request.transport is None
        ):
            return web.Response(status=401, text="user and password, please\n", headers=_CHALLENGE)
        return None

    def _current(self) -> _Armed:
        if self._seen != _stamps((self._path, *self._files)):
            mistakes = self.reload()
            for mistake in mistakes:
                log.error("web config not reloaded", extra=fields(error=mistake))
            if not mistakes:
                log.info("web config reloaded", extra=fields(file=self._path))
        return self._armed

    def _load(self) -> _Armed:
        """Read the files, and remember how they were before that: a later change is seen."""
        self._seen = _stamps((self._path, *self._files))
        try:
            config = parse(self._read(self._path), self._path.parent)
            self._files = () if config.tls is None else config.tls.files
            self._seen = (*self._seen[:1], *_stamps(self._files))
            return _Armed(config, None if config.tls is None else context(config.tls))
        except WebConfigError as error:
            raise WebConfigError(*(self._placed(line) for line in error.lines)) from None

    def _placed(self, line: str) -> str:
        place = f"{self._path}: "
        return line if line.startswith(place) else place + line

    def _adopt(self, armed: _Armed) -> None:
        self._armed = armed
        rate = armed.config.rate
        if rate is None:
            self._bucket = None
        elif self._bucket is None or self._bucket.limit != rate:
            self._bucket = Bucket(rate, self._now())
        if armed.config.tls is not None and (key := exposed(armed.config.tls)) is not None:
            log.warning("every user of this machine can read a private key", extra=fields(file=key))


def _welcome(request: web.Request, allowed: frozenset[str] | None) -> bool:
    """Whether the client's certificate has one of the allowed names."""
    if allowed is None:
        return True
    transport = request.transport
    certificate = None if transport is None else transport.get_extra_info("peercert")
    return not allowed.isdisjoint(names(certificate))


def _stamps(paths: tuple[Path, ...]) -> tuple[Stamp, ...]:
    return tuple(map(_stamp, paths))


def _stamp(path: Path) -> Stamp:
    try:
        status = os.stat(path)
    except OSError:
        return None
    return status.st_mtime_ns, status.st_ino, status.st_size
