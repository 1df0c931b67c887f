"""How long to bear that nobody answers, and when a refusal is for good."""

from dataclasses import dataclass
from typing import Final

from ..dli.errors import Scope, leaves
from .words import duration

_REFUSED: Final = 20.0
"""Seconds after which to believe who has refused from the start, and never answered well."""

REFUSALS: Final = frozenset(
    leaf.reason for leaf in leaves() if leaf.scope is Scope.PROJECT and not leaf.retryable
)
"""Reasons that tell of a mistake rather than of bad luck: the same call will not work later."""


@dataclass(frozen=True, slots=True)
class Silence:
    """How somebody answers: ``since`` when not (monotonic seconds), None if they do, and why.

    ``answered`` is whether there ever was a good answer. A ``reason`` is that of a DliError.
    """

    since: float | None = None
    reason: str = ""
    answered: bool = False

    def broken(self) -> "Silence":
        """Return it after a good answer."""
        return Silence(answered=True)

    def lasting(self, now: float, reason: str) -> "Silence":
        """Return it after one more failure."""
        return Silence(now if self.since is None else self.since, reason, self.answered)

    def too_long(self, now: float, patience: float) -> bool:
        """Whether to give up, having so many seconds of patience."""
        if self.since is None:
            return False
        mistaken = self.reason in REFUSALS and not self.answered
        return now - self.since >= (min(_REFUSED, patience) if mistaken else patience)

    def told(self, who: str, now: float) -> str:
        """Say it in a line; empty if there is nothing to say."""
        if self.since is None:
            return ""
        because = f": {self.reason}" if self.reason else ""
        return f"no good answer from {who} for {duration(now - self.since)}{because}"
