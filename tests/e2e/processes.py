"""Programs started for a test: their output as it comes, and their end."""

import asyncio
import os
import re
import shlex
import signal
import sys
from asyncio.subprocess import PIPE
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Final, Self, TypeVar

import aiohttp

_T = TypeVar("_T")

PATIENCE: Final = 30.0
"""Seconds until a wait counts as failed; how fast something is, is not tested with it."""
_PAUSE: Final = 0.1
_LONGEST_LINE: Final = 2**22
_SHOWN: Final = 8_000
_NOT_WAITING: Final = {"DLI_EXPORTER_WEB__LINGER": "0s"}
"""What lets an exporter end without a last scrape."""


class Process:
    """A program under way, with everything that it has written so far."""

    def __init__(self, command: tuple[str, ...], process: asyncio.subprocess.Process) -> None:
        """Begin to read; `start` is what to call."""
        self._command = command
        self._process = process
        self._out: list[str] = []
        self._err: list[str] = []
        self._news = asyncio.Event()
        self._readers = [
            asyncio.create_task(self._read(process.stdout, self._out)),
            asyncio.create_task(self._read(process.stderr, self._err)),
        ]

    @classmethod
    async def start(cls, *command: str, cwd: Path, env: Mapping[str, str]) -> Self:
        """Start a program with these variables and no others but the most necessary."""
        process = await asyncio.create_subprocess_exec(
            *command,
            cwd=cwd,
            env={**_surroundings(cwd), **env},
            stdin=PIPE,
            stdout=PIPE,
            stderr=PIPE,
            limit=_LONGEST_LINE,
        )
        return cls(command, process)

    @property
    def pid(self) -> int:
        """The process id."""
        return self._process.pid

    @property
    def out(self) -> str:
        """What came on standard output so far."""
        return "".join(self._out)

    @property
    def err(self) -> str:
        """What came on standard error so far."""
        return "".join(self._err)

    async def shows(self, pattern: str, within: float = PATIENCE) -> re.Match[str]:
        """Wait for output that holds a pattern (``^`` and ``$`` are a line's); it may be there."""
        try:
            async with asyncio.timeout(within):
                return await self._match(re.compile(pattern, re.MULTILINE))
        except TimeoutError:
            raise AssertionError(f"no {pattern!r} within {within} s\n{self.report()}") from None

    async def say(self, line: str) -> None:
        """Write a line to standard input."""
        assert self._process.stdin is not None
        self._process.stdin.write(f"{line}\n".encode())
        await self._process.stdin.drain()

    def signal(self, number: signal.Signals) -> None:
        """Send a signal, to this process alone."""
        self._process.send_signal(number)

    async def ended(self, within: float = PATIENCE) -> int:
        """Wait for the end, and give the exit code."""
        try:
            async with asyncio.timeout(within):
                await asyncio.wait(self._readers)
                return await self._process.wait()
        except TimeoutError:
            raise AssertionError(f"not ended within {within} s\n{self.report()}") from None

    async def stop(self) -> int:
        """End it if it runs still, with force if need be, and give the exit code."""
        if self._process.stdin is not None:
            self._process.stdin.close()
        if self._process.returncode is None:
            self._process.terminate()
        try:
            async with asyncio.timeout(PATIENCE):
                return await self._process.wait()
        except TimeoutError:
            self._process.kill()
            return await self._process.wait()
        finally:
            await asyncio.wait(self._readers)

    def report(self) -> str:
        """Tell all that is known of it, for whoever reads about a failed test."""
        return (
            f"$ {shlex.join(self._command)}\nexit code: {self._process.returncode}\n"
            f"--- stdout\n{_end_of(self.out)}--- stderr\n{_end_of(self.err)}"
        )

    async def _match(self, pattern: re.Pattern[str]) -> re.Match[str]:
        while True:
            self._news.clear()
            over = all(reader.done() for reader in self._readers)
            if match := pattern.search(self.out) or pattern.search(self.err):
                return match
            if over:
                raise AssertionError(f"it ended without {pattern.pattern!r}\n{self.report()}")
            await self._news.wait()

    async def _read(self, stream: asyncio.StreamReader | None, lines: list[str]) -> None:
        assert stream is not None
        try:
            while line := await stream.readline():
                lines.append(line.decode())
                self._news.set()
        finally:
            # Whoever waits for a line sees the reader done only after this step.
            asyncio.get_running_loop().call_soon(self._news.set)


@asynccontextmanager
async def running(
    *command: str, cwd: Path, env: Mapping[str, str] | None = None
) -> AsyncIterator[Process]:
    """Run a program as long as the block lasts."""
    process = await Process.start(*command, cwd=cwd, env=env or {})
    try:
        yield process
    finally:
        await process.stop()
        sys.stdout.write(process.report())  # pytest shows it if the test fails


@asynccontextmanager
async def dli_exporter(
    *arguments: str, cwd: Path, env: Mapping[str, str] | None = None
) -> AsyncIterator[Process]:
    """Run a command of the exporter; after a block that went well SIGTERM must end it well."""
    command, variables = (
        (sys.executable, "-m", "exporter", *arguments),
        {**_NOT_WAITING, **(env or {})},
    )
    async with running(*command, cwd=cwd, env=variables) as process:
        yield process
        assert await process.stop() == 0, process.report()
        assert "Traceback" not in process.err, process.err


async def completed(
    *arguments: str, cwd: Path, env: Mapping[str, str] | None = None
) -> tuple[int, str, str]:
    """Run a command of the exporter to its end: exit code, standard output, standard error."""
    async with running(sys.executable, "-m", "exporter", *arguments, cwd=cwd, env=env) as process:
        code = await process.ended()
        return code, process.out, process.err


async def listening(process: Process) -> str:
    """Wait until an exporter listens, and give its address."""
    match = await process.shows(r"msg=listening .*\bport=(\d+)")
    return f"http://127.0.0.1:{match[1]}"


async def pasted(process: Process) -> dict[str, str]:
    """Wait for the settings that a simulator prints, and take them as a shell would."""
    block = await process.shows(r"(^export .*\n)+(?=\n)")
    words = shlex.split(block[0])
    return dict(word.split("=", 1) for word in words if word != "export")


async def fetch(url: str, **headers: str) -> tuple[int, str]:
    """Get a page: its status and text."""
    async with aiohttp.ClientSession() as session, session.get(url, headers=headers) as response:
        return response.status, await response.text()


async def eventually(
    condition: Callable[[], Awaitable[_T]], what: str, within: float = PATIENCE
) -> _T:
    """Ask a program that tells nobody when its state changes, until the answer is truthy.

    This is the one place where tests wait by asking again.
    """
    value: _T | None = None
    try:
        async with asyncio.timeout(within):
            while not (value := await condition()):  # noqa: ASYNC110 - no event crosses processes
                await asyncio.sleep(_PAUSE)
            return value
    except TimeoutError:
        raise AssertionError(f"{what}: not within {within} s; at last {value!r}") from None


def _end_of(text: str) -> str:
    return text if len(text) <= _SHOWN else f"…{text[-_SHOWN:]}"


def _surroundings(home: Path) -> dict[str, str]:
    names = ("PATH", "PYTHONPATH", "JAVA_HOME")
    return {"HOME": str(home), **{name: os.environ[name] for name in names if name in os.environ}}
