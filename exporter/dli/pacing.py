"""When the next call may go out: pure state machines that are told the time and never wait."""

from enum import Enum, auto
from typing import Final, NamedTuple

from .errors import DliError

KEY_STRIKES: Final = 4
"""So many AK/SK failures in a row at most; more than five lock the key (apig-faq-0003)."""
KEY_PAUSE: Final = 300.0
"""Seconds without calls after them; the gateway's lock lasts as long (apig-faq-0003)."""
OUTAGE_STRIKES: Final = 5
"""So many failures in a row make an outage."""
OUTAGE_PAUSE: Final = 30.0
"""Seconds between two trials during an outage."""

_SLACK: Final = 0.05  # seconds that a timer may be late without a loss of throughput
_CUT: Final = 0.85
_RECOVERY: Final = 0.001  # ten times as much has a refusal in every twentieth call
_LEAST: Final = 1 / 60
_LONGEST_PAUSE: Final = 60.0


class Backoff(NamedTuple):
    """How long to wait before a retry: exponential, with full jitter. Times are seconds."""

    base: float = 0.1
    cap: float = 10.0

    def delay(self, attempt: int, jitter: float) -> float:
        """Give the wait after failure ``attempt`` (from 0), ``jitter`` drawn from [0, 1)."""
        return jitter * min(self.cap, self.base * 2.0 ** min(attempt, 60))


def pause(failures: int, jitter: float, retry_after: float | None = None) -> float:
    """Give the seconds until something that failed ``failures`` times in a row is tried again.

    From a second or two up to a minute, and no less than the answer asked for; ``jitter`` is
    drawn from [0, 1).
    """
    longest = min(_LONGEST_PAUSE, 2.0 ** min(failures, 60))
    return max(longest * (1 + jitter) / 2, retry_after or 0.0)


class Bucket:
    """A project's quota: calls evenly spaced at ``limit`` a second, which adapts to refusals.

    A refusal pauses everything and cuts the limit; each success gives a thousandth of the
    setting back (additive increase, multiplicative decrease). Far below what was possible
    before the refusals, each doubles it, as TCP starts slowly (RFC 5681).
    """

    def __init__(self, rate: float) -> None:
        """Take the setting, in calls a second."""
        if rate <= 0:
            raise ValueError(f"a rate of {rate:g} calls a second: it must be above 0")
        self._rate = rate
        self._least = min(rate, _LEAST)
        self._next: float | None = None
        self._sustained = rate
        self._granted = True
        self.limit = rate
        self.paused_until: float | None = None

    def take(self, now: float) -> float:
        """Take one call and return 0, or take nothing and return the seconds to wait."""
        due = now if self._next is None or now > self._next + _SLACK else self._next
        if self.paused_until is not None and due < self.paused_until:
            due = self.paused_until
        if due > now:
            return due - now
        self._next = due + 1 / self.limit
        return 0.0

    def succeeded(self) -> None:
        """Raise the limit, up to the setting."""
        self._granted = True
        doubled = min(2 * self.limit, self._sustained / 2)
        self.limit = min(self._rate, max(doubled, self.limit + self._rate * _RECOVERY))

    def throttled(self, now: float, pause: float, limit: float | None = None) -> None:
        """Pause for ``pause`` seconds, and lower the limit, to ``limit`` if it is known.

        Of several refusals for calls that were out together only the first one cuts.
        """
        if self.paused_until is None or now >= self.paused_until:
            if self._granted:
                self._sustained, self._granted = self.limit, False
            self.limit = max(self._least, self.limit * _CUT)
        if limit is not None:
            self._sustained = min(self._sustained, limit)
            self.limit = max(self._least, min(self.limit, limit))
        self.paused_until = max(self.paused_until or now, now + max(pause, 1 / self.limit))


class Admission(Enum):
    """What a breaker says to a call that wants to go out."""

    GO = auto()
    WAIT = auto()
    """Not before another call has come back."""
    STOP = auto()
    """Not before ``open_until``, and then one trial only."""


class Breaker:
    """Stops calls after ``strikes`` failures in a row, then lets one trial out per ``pause``.

    A ``wary`` one counts calls that are out as failures to be, until one has succeeded: with
    any number of callers no more than ``strikes`` calls can fail in a row from the start. Once
    proven, calls are not held back; after a failure they are again. ``cause`` is the error
    that opened it.
    """

    def __init__(self, *, strikes: int, pause: float, wary: bool = False) -> None:
        """Take the number of failures that open it, and the seconds between trials."""
        self._strikes = strikes
        self._pause = pause
        self._wary = wary
        self._proven = False
        self._failures = 0
        self._out = 0
        self.open_until: float | None = None
        self.cause: DliError | None = None

    def admits(self, now: float) -> Admission:
        """Say whether a call may go out now; one that does is told by ``left``."""
        if self.open_until is not None:
            trial = now >= self.open_until and self._out == 0
            return Admission.GO if trial else Admission.STOP
        if self._wary and not self._proven and self._failures + self._out >= self._strikes:
            return Admission.WAIT
        return Admission.GO

    def left(self) -> None:
        """Note that a call went out; exactly one of the three below follows it."""
        self._out += 1

    def succeeded(self) -> None:
        """Note that a call came back well: all is forgiven."""
        self._out -= 1
        self._proven = True
        self._failures = 0
        self.open_until = None
        self.cause = None

    def failed(self, error: DliError, now: float, *, hopeless: bool = False) -> None:
        """Note a failure; a ``hopeless`` one opens the breaker whatever came before."""
        self._out -= 1
        self._proven = False
        self._failures += 1
        if hopeless or self.open_until is not None or self._failures >= self._strikes:
            self.open_until = now + self._pause
            self.cause = error

    def came_back(self) -> None:
        """Note that a call came back, or was given up, and tells nothing."""
        self._out -= 1
