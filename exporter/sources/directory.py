"""A directory that jobs are registered in, watched without ever holding up the event loop."""

import asyncio
import threading
from collections.abc import Callable, Collection
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Final, Protocol

from ..jobs.model import JobKey, Registration
from .files import NOTHING_READ, Scan, read_directory
from .registration import Rejection

PATIENCE: Final = 10.0
"""Seconds that a file system may take to answer before it counts as an error."""


class Reader(Protocol):
    """What reads the directory, in a thread: :func:`read_directory`."""

    def __call__(self, path: Path, *, projects: Collection[str], before: Scan) -> Scan:
        """Read what has changed since the scan *before*; OSError if there is no directory."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Change:
    """What is new since the last look.

    ``added`` are jobs that are new, or of which something else is said than before. ``gone`` are
    those that no file names any more. ``rejected`` names what is wrong once, until the file
    changes. ``error`` is why the directory cannot be read, once until that changes.
    """

    added: tuple[Registration, ...] = ()
    gone: tuple[JobKey, ...] = ()
    rejected: tuple[Rejection, ...] = ()
    error: str | None = None


class Directory:
    """A directory with a file for each job, and what was last found there.

    A directory that vanishes or cannot be read withdraws no job. A file system that hangs costs
    one thread, no more, and does not keep the process from ending.
    """

    def __init__(
        self,
        path: Path,
        *,
        projects: Callable[[], Collection[str]],
        patience: float = PATIENCE,
        read: Reader = read_directory,
    ) -> None:
        """Take the directory; ``projects`` gives the names that are in the settings now."""
        self._path = path
        self._projects = projects
        self._patience = patience
        self._read = read
        self._scan = NOTHING_READ
        self._error: str | None = None
        self._reading: asyncio.Future[Scan | str] | None = None

    async def scan(self) -> Change:
        """Look once and say what has changed; what was said is not said again."""
        reading = self._reading = self._reading or self._start()
        await asyncio.wait({reading}, timeout=self._patience)
        if not reading.done():
            return self._failed(f"{self._path}: no answer within {self._patience:g} s")
        self._reading = None
        found = reading.result()
        if isinstance(found, str):
            return self._failed(found)
        before, self._scan, self._error = self._scan, found, None
        return change(before, found)

    def _start(self) -> asyncio.Future[Scan | str]:
        # What was known when reading began, also for a reading that ends late.
        path, projects, before = self._path, frozenset(self._projects()), self._scan

        def attempt() -> Scan | str:
            try:
                return self._read(path, projects=projects, before=before)
            except OSError as error:
                return f"{path}: {error.strerror}"

        return _in_thread(attempt)

    def _failed(self, error: str) -> Change:
        known, self._error = self._error, error
        return Change(error=None if error == known else error)


def change(before: Scan, after: Scan) -> Change:
    """Compare two scans: what a file object says that was there before is not said again."""
    return Change(
        added=tuple(
            registration
            for key, registration in after.registrations.items()
            if before.registrations.get(key) != registration
        ),
        gone=tuple(key for key in before.registrations if key not in after.registrations),
        rejected=tuple(
            rejection
            for name, file in after.files.items()
            if before.files.get(name) is not file
            for rejection in file.rejected
        )
        + (after.rejected if after.rejected != before.rejected else ()),
    )


def _in_thread(work: Callable[[], Scan | str]) -> asyncio.Future[Scan | str]:
    """Run *work* in a thread of its own.

    ``asyncio.to_thread`` would take one of a few shared threads, and wait for it at exit.
    """
    loop = asyncio.get_running_loop()
    future: asyncio.Future[Scan | str] = loop.create_future()

    def run() -> None:
        try:
            settle = partial(future.set_result, work())
        except Exception as error:
            settle = partial(future.set_exception, error)
        with suppress(RuntimeError):  # the loop is closed: nobody waits any more
            loop.call_soon_threadsafe(settle)

    threading.Thread(target=run, name="jobs-dir", daemon=True).start()
    return future
