"""The commands ``watch`` and ``wait``: ask, show, and end with what has become of the jobs."""

import asyncio
import logging
import os
import signal
import sys
import time
from collections.abc import Mapping, Sequence
from contextlib import AbstractAsyncContextManager, ExitStack, suppress
from typing import Final, Literal, Protocol

from ..connection import StartError
from ..logs import setup
from ..settings import Settings, SettingsError
from .direct import direct
from .fates import Fate, Look, Outcome, everything, follow, outcome
from .order import Order, read
from .printout import Printout
from .remote import remote

_TICK: Final = 0.5
"""Seconds between two looks at what is known: that costs neither quota nor traffic."""
_DUMB: Final = ("", "dumb", "unknown")
"""Terminals that cannot draw a picture twice in the same place."""
_SIGNALS: Final = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


class Feed(Protocol):
    """Who knows about jobs."""

    def look(self, now: float) -> Look:
        """Return what is known at ``now`` (monotonic seconds)."""


class Screen(Protocol):
    """Where it is shown."""

    @property
    def lost(self) -> bool:
        """Whether nobody can see it any more."""

    def show(self, fates: Sequence[Fate], look: Look, now: float) -> None:
        """Show how it is at ``now`` (Unix seconds)."""

    def close(self, fates: Sequence[Fate], look: Look, now: float, waited: float) -> None:
        """Show how it ends, after so many seconds."""


def main(word: str, argv: Sequence[str], environ: Mapping[str, str]) -> int:
    """Run a command and return its exit code; every mistake is a line on standard error."""
    try:
        return asyncio.run(_alone(read(word, argv, environ)))
    except SettingsError as error:
        return _refuse(*error.lines)
    except StartError as error:
        return _refuse(str(error))
    except KeyboardInterrupt:  # before anybody listens to it
        return 128 + signal.SIGINT
    except Exception:
        # Else Python would exit with 1, and a script would believe that the job had failed.
        logging.getLogger(__name__).exception("dli-exporter: a mistake of its own")
        return Outcome.UNKNOWN


def _refuse(*lines: str) -> int:
    print(*(f"dli-exporter: {line}" for line in lines), sep="\n", file=sys.stderr)  # noqa: T201 - where a shell user looks
    return os.EX_USAGE


async def _alone(order: Order) -> int:
    """Carry an order out; what ends a group of tasks is raised as if there were no group."""
    try:
        return await _carry_out(order)
    except* StartError as errors:
        raise errors.exceptions[0] from None


async def _carry_out(order: Order) -> int:
    stop = _stop()
    async with _feed(order) as feed:
        with ExitStack() as stack:
            screen = _screen(order, stack)
            # Only now: above bars there is another standard error.
            setup(_level(order.settings), order.settings.log.format, sys.stderr)
            return await _follow(order, feed, screen, stop)


def _stop() -> asyncio.Future[int]:
    """Return what will hold the exit code once a signal says that it is enough."""
    loop = asyncio.get_running_loop()
    stop: asyncio.Future[int] = loop.create_future()

    def told(number: int) -> None:
        if not stop.done():
            stop.set_result(128 + number)

    for number in _SIGNALS:
        loop.add_signal_handler(number, told, number)
    return stop


def _feed(order: Order) -> AbstractAsyncContextManager[Feed]:
    if order.exporter is None:
        return direct(order.settings, order.jobs, patience=order.patience)
    return remote(
        order.exporter,
        order.wanted,
        ca_file=order.ca_file,
        interval=order.interval,
        within=order.settings.poll.timeout,
        patience=order.patience,
    )


def _screen(order: Order, stack: ExitStack) -> Screen:
    """Open bars where a terminal can draw them, else lines that any reader takes."""
    draws = sys.stdout.isatty() and os.environ.get("TERM", "") not in _DUMB
    if order.waits or not draws:
        sys.stdout.reconfigure(errors="backslashreplace")  # type: ignore[union-attr]  # it is a text file
        return Printout(sys.stdout, quiet=order.quiet)
    from rich.console import Console  # here: nobody else needs it, and it takes 50 ms

    from .bars import Bars

    sys.stdout.reconfigure(errors="replace")  # type: ignore[union-attr]  # as above
    console = Console(file=sys.stdout, markup=False, emoji=False, highlight=False)
    return stack.enter_context(Bars(console, named=bool(order.wanted), errors=sys.stderr.isatty()))


def _level(settings: Settings) -> Literal["debug", "info", "warning", "error"]:
    """Log troubles only, unless a level is asked for: what happens to the jobs is shown."""
    return settings.log.level if "level" in settings.log.model_fields_set else "warning"


async def _follow(order: Order, feed: Feed, screen: Screen, stop: asyncio.Future[int]) -> int:
    """Look and show until all is over, time is up, or it is told to stop."""
    begun = time.monotonic()
    fates = tuple(Fate(wanted=wanted) for wanted in order.wanted)
    while True:
        now = time.monotonic()
        look = feed.look(now)
        fates = (follow if order.wanted else everything)(fates, look, now)
        screen.show(fates, look, time.time())
        code = _code(order, fates, look, now - begun)
        if code is not None:
            screen.close(fates, look, time.time(), now - begun)
            return code
        if screen.lost and not order.waits:
            return 128 + signal.SIGPIPE
        await _pause(stop, _rest(order, now - begun))
        if stop.done():
            return stop.result()


def _code(order: Order, fates: Sequence[Fate], look: Look, waited: float) -> int | None:
    """Return the exit code; None while there is something to wait for."""
    late = order.timeout is not None and waited >= order.timeout
    if order.wanted:
        return outcome(fates) if late or all(fate.over for fate in fates) else None
    if look.hopeless is not None:
        return Outcome.UNKNOWN
    return Outcome.TIMED_OUT if late else None


def _rest(order: Order, waited: float) -> float:
    return _TICK if order.timeout is None else min(_TICK, max(order.timeout - waited, 0.0))


async def _pause(stop: asyncio.Future[int], seconds: float) -> None:
    with suppress(TimeoutError):
        async with asyncio.timeout(seconds):
            await asyncio.shield(stop)
