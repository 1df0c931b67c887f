"""The command line."""

import argparse
import asyncio
import logging
import os
import signal
import sys
import time
from collections.abc import Awaitable, Callable, Sequence
from typing import Final, NamedTuple

from . import app
from .app import Orders
from .connection import StartError
from .logs import fields, setup
from .metrics.catalogue import table
from .settings import FlagParser, Settings, SettingsError, load, require_project
from .systemd import service_manager

log = logging.getLogger(__name__)

Load = Callable[[], Settings]


class Command(NamedTuple):
    """What a word on the command line does; ``run`` returns the exit code.

    A command that makes up its own project heeds none that the environment happens to hold.
    One that lasts until it is told to stop ends well when it is; another one was cut short.
    """

    about: str
    run: Callable[[Settings, Load], Awaitable[int]]
    simulated: bool = False
    lasting: bool = False


async def _serve(settings: Settings, again: Load) -> int:
    require_project(settings)
    manager = service_manager(os.environ, os.getpid())
    await app.serve(settings, again, _orders(), _started, manager)
    return 0


async def _demo(settings: Settings, again: Load) -> int:
    from . import demo  # here: a sidecar must not pay for the simulator

    orders = _orders()
    async with demo.simulated(settings.simulator) as (address, dli):
        _show(demo.connection(address, dli))

        def connected() -> Settings:
            return demo.connected_to(again(), address, dli)

        await app.serve(connected(), connected, orders, _started)
    return 0


async def _simulate(settings: Settings, _: Load) -> int:
    from . import demo  # here, as above

    orders = _orders()
    async with demo.simulated(settings.simulator) as (address, dli):
        _show(demo.connection(address, dli))
        await orders.stop.wait()
    return 0


async def _check(settings: Settings, _: Load) -> int:
    from .check import check  # here, as above

    require_project(settings)
    verdicts = await check(settings)
    _show("\n".join(map(str, verdicts)))
    return 1 if any(verdict.error for verdict in verdicts) else 0


async def _once(settings: Settings, _: Load) -> int:
    require_project(settings)
    _show((await app.once(settings)).decode().rstrip("\n"))
    return 0


async def _metrics(_settings: Settings, _: Load) -> int:
    _show(table())
    return 0


COMMANDS: Final = {
    "serve": Command("poll the jobs and serve their metrics (the default)", _serve, lasting=True),
    "demo": Command("the same against a simulated DLI: no account needed", _demo, True, True),
    "simulate": Command("only the simulated DLI", _simulate, True, True),
    "check": Command("ask each project once, say what works; exit 1 if one fails", _check),
    "once": Command("ask for every job once and print the metrics", _once),
    "metrics": Command("print the catalogue of metrics", _metrics, simulated=True),
}
_REGISTER: Final = "register"
"""A command without settings: it runs where the jobs are submitted, and starts fast."""
_DASHBOARDS: Final = "dashboards"
"""A command without settings: it writes what comes with the exporter."""
_TERMINAL: Final = {
    "watch": "show how jobs get on, in bars; with IDs until they have ended",
    "wait": "wait until jobs have ended; the exit code tells how",
}
"""Commands with arguments and exit codes of their own: a mistake must not look like a time-out."""

_LONGEST_WORD: Final = 12
"""An unknown command that may be repeated; what is longer may be a secret in a wrong place."""

_USAGE: Final = "%(prog)s [COMMAND] [FLAG...]\n\ncommands:\n" + "\n".join(
    [f"  {word:<10} {command.about}" for word, command in COMMANDS.items()]
    + [f"  {_REGISTER:<10} write a file that asks an exporter to watch a job"]
    + [f"  {_DASHBOARDS:<10} write dashboards, alerts and recording rules"]
    + [f"  {word:<10} {about}" for word, about in _TERMINAL.items()]
)


def main(argv: Sequence[str] | None = None) -> None:
    """Run a command and end the process with its exit code."""
    sys.exit(run(sys.argv[1:] if argv is None else argv))


def run(argv: Sequence[str]) -> int:
    """Run a command and return its exit code; every mistake is a line on standard error."""
    word, flags = _command(argv)
    if word not in COMMANDS or not COMMANDS[word].lasting:
        signal.signal(signal.SIGTERM, signal.SIG_DFL)
    if word == _REGISTER:
        from . import register  # here, as above

        return register.main(flags, os.environ, time.time())
    if word == _DASHBOARDS:
        from . import bundle  # here, as above

        return bundle.main(flags)
    if word in _TERMINAL:
        from .terminal import command as terminal  # here, as above

        return terminal.main(word, flags, os.environ)
    if word not in COMMANDS:
        allowed = ", ".join((*COMMANDS, _REGISTER, _DASHBOARDS, *_TERMINAL))
        shown = word if word.isalpha() and len(word) <= _LONGEST_WORD else "…"
        return _refuse(f"{shown}: unknown command; allowed: {allowed}")
    command = COMMANDS[word]

    def again() -> Settings:
        return load(flags_given, os.environ, projects=not command.simulated)

    try:
        flags_given = _parsed(flags)
        settings = again()
        setup(settings.log.level, settings.log.format, sys.stderr)
        return asyncio.run(_alone(command.run(settings, again)))
    except SettingsError as error:
        return _refuse(*error.lines)
    except StartError as error:
        return _refuse(str(error))
    except KeyboardInterrupt:
        return 128 + signal.SIGINT


def _command(argv: Sequence[str]) -> tuple[str, Sequence[str]]:
    if argv and not argv[0].startswith("-"):
        return argv[0], argv[1:]
    return "serve", argv


def _parsed(flags: Sequence[str]) -> argparse.Namespace:
    if not flags:  # as in most containers: making the parser takes 10 ms
        return argparse.Namespace()
    about = "Prometheus exporter for DLI job progress."
    return FlagParser("dli-exporter", about, _USAGE).parse(flags)


def _refuse(*lines: str) -> int:
    print(*(f"dli-exporter: {line}" for line in lines), sep="\n", file=sys.stderr)  # noqa: T201 - where a shell user looks
    return 2


def _show(text: str) -> None:
    """Print what a command is for, in UTF-8 as the formats want it; StartError if that fails."""
    try:
        sys.stdout.buffer.write(f"{text}\n".encode())
        sys.stdout.flush()
    except OSError as error:
        # What could not be written is tried again at the end of the process, in vain and loudly.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        raise StartError(f"standard output: {error.strerror}") from None


async def _alone(running: Awaitable[int]) -> int:
    """Wait for a command; what ends a group of tasks is raised as if there were no group."""
    try:
        return await running
    except* (StartError, SettingsError) as errors:
        raise errors.exceptions[0] from None


def _orders() -> Orders:
    """Return the orders that signals give: a second SIGTERM, or SIGINT, does not wait."""
    orders = Orders()
    loop = asyncio.get_running_loop()

    def terminate() -> None:
        (orders.quit if orders.stop.is_set() else orders.stop).set()

    def interrupt() -> None:
        orders.stop.set()
        orders.quit.set()

    loop.add_signal_handler(signal.SIGTERM, terminate)
    loop.add_signal_handler(signal.SIGINT, interrupt)
    loop.add_signal_handler(signal.SIGHUP, orders.reload.set)
    return orders


def _started(port: int) -> None:
    log.info("listening", extra=fields(port=port))
