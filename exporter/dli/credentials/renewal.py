"""When to obtain the next credential: decided from times and chance alone."""

from dataclasses import dataclass
from typing import Final

from ..pacing import pause

AHEAD: Final = 300.0
"""Seconds before its end that a credential is renewed at the latest; with chance up to twice.

Not 40 minutes, as the vendor's SDK has it: of a key that lives an hour it asks for another at
every request then. The metadata service has a new one ten minutes before the old one's end.
"""
SHARE: Final = 0.2
"""Of a short life only this share is left over, or with chance up to twice."""
SHORTEST_USE: Final = 10.0
"""Seconds for which a new credential is used whatever it says: clocks differ."""
REFUSAL_PAUSE: Final = 60.0
"""Seconds for which the API's word against a new credential is not taken for its end."""
GUESS_PAUSE: Final = 300.0
"""Seconds after IAM refused a password: too many wrong ones lock the user for everybody."""


@dataclass(frozen=True, slots=True)
class Lease:
    """How long a credential is used (Unix seconds).

    From ``renew_at`` on another one is wanted; until ``ends`` it does.
    """

    renew_at: float
    ends: float


def lease(expires_at: float | None, now: float, jitter: float) -> Lease:
    """Say how long to use a credential that was obtained ``now``; ``jitter`` is from [0, 1).

    It spreads those that many exporters obtained at one moment. None never ends.
    """
    if expires_at is None:
        return Lease(float("inf"), float("inf"))
    ahead = min(AHEAD, SHARE * max(expires_at - now, 0.0)) * (1 + jitter)
    soonest = now + SHORTEST_USE
    return Lease(max(expires_at - ahead, soonest), max(expires_at, soonest))


def wait(failures: int, jitter: float, *, retry_after: float | None, guess: bool) -> float:
    """Give the seconds until a failed renewal is tried again, after so many in a row."""
    least = GUESS_PAUSE * (1 + jitter / 2) if guess else 0.0
    return max(pause(failures, jitter, retry_after), least)
