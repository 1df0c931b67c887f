"""Which scrapers there are, what each of them has seen, and when the next one comes."""

from collections.abc import Iterable
from dataclasses import dataclass, field
from math import inf
from typing import Final, NamedTuple, Protocol

from ..jobs.schedule import Expected
from .rhythm import Rhythm

TIMEOUT_HEADER: Final = "X-Prometheus-Scrape-Timeout-Seconds"
"""What Prometheus, and whoever scrapes in its place, sends and no browser does."""

WINDOW: Final = 300.0
"""Seconds after which a scraper that is heard of no more is not waited for."""

_PATIENCE: Final = 60.0
"""Seconds that a client gets that does not say how long it waits."""
_REMEMBERED: Final = 256
"""Scrapers remembered at most: those heard of longest ago are forgotten."""


class Connection(Protocol):
    """What is asked of a connection (asyncio's transports have it)."""

    def is_closing(self) -> bool:
        """Whether it is closed, or about to be."""


class Caller(NamedTuple):
    """Who sent a scrape, as far as one request tells.

    ``forwarded`` is what a proxy says of whom it speaks for (X-Forwarded-For).
    """

    address: str
    connection: Connection
    agent: str = ""
    forwarded: str = ""

    @property
    def origin(self) -> tuple[str, str, str]:
        """What stays the same when a scraper connects anew."""
        return self.address, self.agent, self.forwarded


@dataclass(slots=True)
class _Scraper:
    """A scraper: its last request, the newest snapshot that it got whole, and its rhythm."""

    caller: Caller
    heard: float
    received: float = -inf
    rhythm: Rhythm = field(default_factory=Rhythm)


class Scrapers:
    """The scrapers that were heard of, those heard of last at the end.

    Two of them may share an address: behind one NAT, or on one machine. Each keeps its
    connection, so that one connection is one scraper; a new connection continues the record
    of a closed one of the same origin. If several are closed it is the one heard of longest
    ago, since scrapers of one rhythm take turns. Behind a proxy that names whom it speaks
    for, connections are the proxy's and say nothing.

    Where scrapers cannot be told apart (a proxy that mixes them on one connection and names
    nobody; one address, no keep-alive) they count as one. Where one looks like two (a proxy
    with several connections) its other self is waited for, at most :data:`WINDOW`: rather
    too long than not long enough. All times are seconds of one monotonic clock.
    """

    def __init__(self) -> None:
        self._scrapers: list[_Scraper] = []

    def heard(self, caller: Caller, now: float) -> None:
        """Note that a scrape has begun: from now on this scraper counts."""
        scraper = self._recognise(caller)
        if scraper is None:
            scraper = _Scraper(caller, now)
        else:
            self._scrapers.remove(scraper)
            scraper.caller, scraper.heard = caller, now
        scraper.rhythm.note(now)
        self._scrapers.append(scraper)
        del self._scrapers[:-_REMEMBERED]

    def received(self, caller: Caller, snapshot: float) -> None:
        """Note that a scraper has got all that was exposed at the time ``snapshot``."""
        scraper = self._current(caller)
        if scraper is not None:
            scraper.received = max(scraper.received, snapshot)

    def delivered(self, since: float, now: float) -> bool:
        """Whether every scraper has got a snapshot taken at ``since`` or later.

        True if there is a scraper that has, and none heard of in the last :data:`WINDOW`
        that has not.
        """
        return since <= self.horizon(now)

    def horizon(self, now: float) -> float:
        """Return until when all that was exposed is delivered; minus infinity if nothing is."""
        present = self._present(now)
        if present:
            return min(scraper.received for scraper in present)
        return max((scraper.received for scraper in self._scrapers), default=-inf)

    def pending(self, since: float, now: float) -> tuple[str, ...]:
        """Return the addresses of the scrapers that are still waited for."""
        late = (scraper for scraper in self._present(now) if scraper.received < since)
        return tuple(scraper.caller.address for scraper in late)

    def next_expected(self, now: float) -> Expected | None:
        """Return the first scrape expected after ``now``; None if no scraper has a rhythm.

        Its period is that of the scraper that comes most often.
        """
        rhythms = [scraper.rhythm.next(now) for scraper in self._scrapers]
        known = [expected for expected in rhythms if expected is not None]
        if not known:
            return None
        return Expected(min(each.at for each in known), min(each.period for each in known))

    def _present(self, now: float) -> list[_Scraper]:
        return [scraper for scraper in self._scrapers if now - scraper.heard <= WINDOW]

    def _recognise(self, caller: Caller) -> _Scraper | None:
        return self._current(caller) or _first(
            scraper
            for scraper in self._scrapers
            if scraper.caller.origin == caller.origin and scraper.caller.connection.is_closing()
        )

    def _current(self, caller: Caller) -> _Scraper | None:
        return _first(scraper for scraper in self._scrapers if _same(scraper.caller, caller))


def _first(scrapers: Iterable[_Scraper]) -> _Scraper | None:
    return next(iter(scrapers), None)


def _same(known: Caller, caller: Caller) -> bool:
    if known.origin != caller.origin:
        return False
    return bool(caller.forwarded) or known.connection is caller.connection


def patience(timeout: str | None) -> float:
    """Return for how many seconds a client waits for its answer, by its time-out header.

    Prometheus drops what comes later, so that it was not delivered however well it was sent.
    """
    try:
        seconds = float(timeout or "")
    except ValueError:
        return _PATIENCE
    return min(seconds, WINDOW) if seconds > 0 else _PATIENCE
