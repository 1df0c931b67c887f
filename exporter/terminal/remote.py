"""What a running exporter tells, by its ``/api/v1/jobs``."""

import asyncio
import logging
import ssl
import time
from collections.abc import AsyncIterator, Collection, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Final
from urllib.parse import SplitResult, unquote, urlsplit

from aiohttp import ClientSession, encode_basic_auth

from ..connection import StartError
from ..dli.errors import (
    ContentTypeRefused,
    DliError,
    EndpointNotFound,
    Forbidden,
    RedirectRefused,
    ServerFailed,
    Unauthorized,
)
from ..dli.transport import Reply, fetch, session
from ..logs import fields
from .fates import Look, Wanted
from .silence import Silence
from .state import JobState, read_answer

log = logging.getLogger(__name__)

_PATH: Final = "/api/v1/jobs"
_LARGEST: Final = 256 * 1024 * 1024
"""Bytes of an answer: 2,000 jobs of 200 sub-jobs each."""
_UNSEEN: Final = 60.0
"""Seconds that the exporter is given to find a job: discovery looks every half minute."""
_USER, _PASSWORD = "DLI_WATCH_USER", "DLI_WATCH_PASSWORD"
_RULE: Final = "must be http://HOST:PORT or https://HOST:PORT, with a path if need be"


class BadAddress(Exception):
    """An exporter's address that cannot be used; ``str()`` says what is allowed, and no more."""


@dataclass(frozen=True, slots=True)
class Address:
    """Where an exporter is; what it wants to know of its callers is never shown."""

    url: str
    headers: Mapping[str, str] = field(default_factory=dict, repr=False)

    @classmethod
    def read(cls, text: str, environ: Mapping[str, str]) -> "Address":
        """Read a URL, with user and password in it or in the environment; BadAddress otherwise."""
        try:
            parts = urlsplit(text)
            port = parts.port  # raises for a port that is none
        except ValueError:
            raise BadAddress(_RULE) from None
        clean = text.isascii() and text.isprintable() and " " not in text
        if parts.scheme not in ("http", "https") or not parts.hostname or not clean:
            raise BadAddress(_RULE)
        if parts.query or parts.fragment or port == 0:
            raise BadAddress(_RULE)
        place = parts.netloc.rpartition("@")[2]
        return cls(f"{parts.scheme}://{place}{parts.path.rstrip('/')}", _login(parts, environ))


def _login(parts: SplitResult, environ: Mapping[str, str]) -> dict[str, str]:
    user, password = unquote(parts.username or ""), unquote(parts.password or "")
    if not user:
        user, password = environ.get(_USER, ""), environ.get(_PASSWORD, "")
    if not user:
        return {}
    if ":" in user:
        raise BadAddress("a user name for HTTP Basic authentication holds no colon")
    return {"Authorization": encode_basic_auth(user, password)}


class Remote:
    """Asks an exporter again and again, and keeps what it answered last."""

    def __init__(
        self,
        opened: ClientSession,
        address: Address,
        wanted: Collection[Wanted],
        *,
        interval: float,
        within: float,
        patience: float,
    ) -> None:
        """Take whom to ask, and how often.

        All are seconds: an answer may take ``within``, and ``patience`` is for an exporter that
        is out of reach.
        """
        self._session = opened
        self._address = address
        self._wanted = wanted
        self._interval = interval
        self._within = within
        self._patience = patience
        self._silence = Silence()
        self._jobs: tuple[JobState, ...] = ()
        self._unseen: dict[Wanted, float] = {}

    async def run(self) -> None:
        """Ask for ever; whoever cancels this stops it."""
        while True:
            await self.ask()
            await asyncio.sleep(self._interval)

    async def ask(self) -> None:
        """Ask once; what was known stays if that fails."""
        try:
            reply = await fetch(
                self._session,
                self._address.url + _PATH,
                {"Accept": "application/json", **self._address.headers},
                within=self._within,
                largest=_LARGEST,
            )
            self._take(_jobs(reply), time.monotonic())
        except DliError as error:
            if self._silence.since is None or self._silence.reason != error.reason:
                log.warning("the exporter does not answer", extra=fields(error=error))
            self._silence = self._silence.lasting(time.monotonic(), error.reason)

    def _take(self, jobs: tuple[JobState, ...], now: float) -> None:
        if self._silence.since is not None:
            log.warning("the exporter answers again")
        self._silence = self._silence.broken()
        self._jobs = jobs
        self._unseen = {
            wanted: self._unseen.get(wanted, now)
            for wanted in self._wanted
            if not any(map(wanted.means, jobs))
        }

    def look(self, now: float) -> Look:
        """Return what is known at ``now`` (monotonic seconds)."""
        told = self._silence.told("the exporter", now)
        hopeless = told if self._silence.too_long(now, self._patience) else None
        # While it does not answer nobody knows what it would show.
        unseen = {} if told else self._unseen
        patience = min(_UNSEEN, self._patience)
        lost = {
            wanted: "the exporter shows no such job"
            for wanted, since in unseen.items()
            if now - since >= patience
        }
        return Look(
            jobs=self._jobs,
            lost=dict.fromkeys(self._wanted, hopeless) if hopeless else lost,
            hopeless=hopeless,
            troubles=(told,) if told else (),
        )


def _jobs(reply: Reply) -> tuple[JobState, ...]:
    """Read an answer; DliError for one that is not what an exporter says to those it knows."""
    status = reply.status
    if status == 200:
        try:
            return read_answer(reply.body)
        except ValueError:
            raise ContentTypeRefused("this is not what an exporter answers") from None
    refusal = {401: Unauthorized, 403: Forbidden, 404: EndpointNotFound}.get(status)
    if refusal is not None:
        raise refusal(f"HTTP {status} from the exporter")
    raise (RedirectRefused if 300 <= status < 400 else ServerFailed)(
        f"HTTP {status} from the exporter"
    )


@asynccontextmanager
async def remote(
    address: Address,
    wanted: Collection[Wanted],
    *,
    ca_file: str | None,
    interval: float,
    within: float,
    patience: float,
) -> AsyncIterator[Remote]:
    """Ask an exporter as long as the block lasts; StartError if the CA file cannot be used."""
    try:
        opened = session(ca_file=ca_file)
    except (OSError, ssl.SSLError) as error:
        raise StartError(f"--ca-file: holds no usable certificates: {error}") from None
    async with opened, asyncio.TaskGroup() as group:
        feed = Remote(opened, address, wanted, interval=interval, within=within, patience=patience)
        asking = group.create_task(feed.run())
        yield feed
        asking.cancel()
