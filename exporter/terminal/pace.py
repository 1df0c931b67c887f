"""How fast a job advances at present, from what was seen of it in the last minute."""

from dataclasses import dataclass
from typing import Final

_WINDOW: Final = 60.0
"""Seconds that the speed is taken over: sub-jobs come and go, the mean of a minute stays."""


@dataclass(frozen=True, slots=True)
class Pace:
    """When (Unix seconds) a job was seen, and how many indices it had completed by then."""

    sights: tuple[tuple[float, int], ...] = ()

    def seen(self, at: float | None, done: int | None) -> "Pace":
        """Return the pace after one more sight, which may be the last one again."""
        if at is None or done is None or (self.sights and at <= self.sights[-1][0]):
            return self
        if self.sights and done < self.sights[-1][1]:
            return Pace(((at, done),))  # what ran twice was taken back: begin anew
        recent = [sight for sight in self.sights[:-1] if sight[0] >= at - _WINDOW]
        return Pace((*recent, *self.sights[-1:], (at, done)))

    @property
    def per_second(self) -> float | None:
        """Indices completed in a second; None before the second sight."""
        if len(self.sights) < 2:
            return None
        (began, before), *_, (at, done) = self.sights
        return (done - before) / (at - began)
