"""Jobs as lines on standard output: for logs, and for whoever reads no control characters."""

import logging
import os
from collections.abc import Sequence
from types import TracebackType
from typing import Self, TextIO

from ..logs import fields
from .fates import Fate, Look, Wanted
from .lines import Told, last_line, news

log = logging.getLogger(__name__)


class Printout:
    """Prints a line for each change; ``lost`` is whether nobody can read it any more."""

    def __init__(self, stream: TextIO, *, quiet: bool = False) -> None:
        """Take where to print; a ``quiet`` one prints nothing."""
        self._stream = stream
        self._told: dict[Wanted, Told | None] = {}
        self._quiet = quiet
        self.lost = False

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        """Leave what was printed as it is."""

    def show(self, fates: Sequence[Fate], look: Look, now: float) -> None:
        """Print what is new at ``now`` (Unix seconds)."""
        told: dict[Wanted, Told | None] = {}
        for fate in fates:
            told[fate.wanted], line = news(fate, self._told.get(fate.wanted), now)
            if line is not None:
                self._print(line)
        self._told = told

    def close(self, fates: Sequence[Fate], look: Look, now: float, waited: float) -> None:
        """Sum up what has become of the jobs, after so many seconds."""
        if fates:
            self._print(last_line(fates, waited))

    def _print(self, line: str) -> None:
        """Print a line at once; if that fails the jobs' fate is still worth waiting for."""
        if self._quiet or self.lost:
            return
        try:
            print(line, file=self._stream, flush=True)
        except OSError as error:
            self.lost = True
            # What could not be written is tried again at the end of the process, in vain.
            os.dup2(os.open(os.devnull, os.O_WRONLY), self._stream.fileno())
            if not isinstance(error, BrokenPipeError):
                log.error("standard output", extra=fields(error=error.strerror))
