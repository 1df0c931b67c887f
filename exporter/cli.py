"""The command line."""

import asyncio
import logging
import os
import signal
import sys
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from typing import Final

from . import app, demo
from .check import check
from .logs import fields, setup
from .metrics.catalogue import table
from .settings import FlagParser, Settings, SettingsError, load, require_project

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Command:
    """What a word on the command line does; ``run`` returns the exit code."""

    about: str
    run: Callable[[Settings], Awaitable[int]]
    needs_project: bool = False


async def _serve(settings: Settings) -> int:
    await app.serve(settings, _stopped(), _announced(settings))
    return 0


async def _demo(settings: Settings) -> int:
    stop = _stopped()
    async with demo.simulated(settings.simulator) as (address, dli):
        print(demo.connection(address, dli), flush=True)  # noqa: T201 - it is what they ask for
        connected = demo.connected_to(settings, address, dli)
        await app.serve(connected, stop, _announced(settings))
    return 0


async def _simulate(settings: Settings) -> int:
    stop = _stopped()
    async with demo.simulated(settings.simulator) as (address, dli):
        print(demo.connection(address, dli), flush=True)  # noqa: T201
        await stop.wait()
    return 0


async def _check(settings: Settings) -> int:
    verdicts = await check(settings)
    print(*verdicts, sep="\n")  # noqa: T201
    return 1 if any(verdict.error for verdict in verdicts) else 0


async def _once(settings: Settings) -> int:
    sys.stdout.buffer.write(await app.once(settings))
    return 0


async def _metrics(_: Settings) -> int:
    print(table())  # noqa: T201
    return 0


COMMANDS: Final = {
    "serve": Command("poll the jobs and serve their metrics (the default)", _serve, True),
    "demo": Command("the same against a simulated DLI: no account needed", _demo),
    "simulate": Command("only the simulated DLI", _simulate),
    "check": Command("ask each project once, say what works; exit 1 if one fails", _check, True),
    "once": Command("ask for every job once and print the metrics", _once, True),
    "metrics": Command("print the catalogue of metrics", _metrics),
}

_USAGE: Final = "%(prog)s [COMMAND] [FLAG...]\n\ncommands:\n" + "\n".join(
    f"  {word:<10} {command.about}" for word, command in COMMANDS.items()
)


def main(argv: Sequence[str] | None = None) -> None:
    """Run a command and end the process with its exit code."""
    sys.exit(run(sys.argv[1:] if argv is None else argv))


def run(argv: Sequence[str]) -> int:
    """Run a command and return its exit code; every mistake is a line on standard error."""
    word, flags = _command(argv)
    if word not in COMMANDS:
        return _refuse(f"{word!r}: unknown command; allowed: {', '.join(COMMANDS)}")
    command = COMMANDS[word]
    parser = FlagParser("dli-exporter", "Prometheus exporter for DLI job progress.", _USAGE)
    try:
        settings = load(parser.parse(flags), os.environ)
        if command.needs_project:
            require_project(settings)
        setup(settings.log.level, settings.log.format, sys.stderr)
        return asyncio.run(_finished(command.run(settings)))
    except SettingsError as error:
        return _refuse(*error.lines)
    except app.StartError as error:
        return _refuse(str(error))
    except KeyboardInterrupt:
        return 130


def _command(argv: Sequence[str]) -> tuple[str, Sequence[str]]:
    if argv and not argv[0].startswith("-"):
        return argv[0], argv[1:]
    return "serve", argv


def _refuse(*lines: str) -> int:
    print(*(f"dli-exporter: {line}" for line in lines), sep="\n", file=sys.stderr)  # noqa: T201
    return 2


async def _finished(command: Awaitable[int]) -> int:
    """Run a command; of an error in a task group the error itself is what counts."""
    try:
        return await command
    except* app.StartError as errors:
        raise errors.exceptions[0] from None


def _stopped() -> asyncio.Event:
    """Return an event that SIGTERM and SIGINT set."""
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop.set)
    return stop


def _announced(settings: Settings) -> Callable[[int], None]:
    def announce(port: int) -> None:
        log.info("listening", extra=fields(address=settings.web.listen_address, port=port))

    return announce
