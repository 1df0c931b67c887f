"""The lowest mean age at the scrape that any way of asking reaches, with quota to spare."""

from dataclasses import dataclass
from statistics import fmean
from typing import Final

from .virtual import Project

_STEPS: Final = 20
"""Durations of a call that stand for all."""


@dataclass(frozen=True, slots=True)
class Best:
    """A way of asking that knows the moment of the scrape and has 1.2 calls for each job.

    A job is asked once, and at once again if that fails; a fifth of the jobs are asked twice at
    the same moment, which no other way of spending these calls beats: who is asked twice is
    not known to need it, for a failure shows no earlier than an answer. In its favour, second
    calls take nobody's place in the quota, and a repetition never fails.

    With failures in one call of a hundred and 15 seconds between scrapes, those that are not
    repeated in time cost 0.15 seconds of mean age; to wait for the repetition costs a call's
    time and more. If the limit (a round and one call) is less than both, it is out of reach.
    """

    project: Project
    period: float

    @property
    def age(self) -> float:
        """The mean age in seconds."""
        return 0.8 * self._lowest(twice=False) + 0.2 * self._lowest(twice=True)

    def _lowest(self, *, twice: bool) -> float:
        """Try moments for the last of a round of calls, 1 / quota seconds apart."""
        project = self.project
        gaps = [number / project.quota for number in range(project.jobs)]
        leads = [project.latency * number / _STEPS for number in range(_STEPS // 2, 4 * _STEPS)]
        way = self._twice if twice else self._once
        return min(fmean(way(lead + gap) for gap in gaps) for lead in leads)

    def _once(self, lead: float) -> float:
        """Give the age from a call that departs so long before the scrape."""
        fails, lates = self.project.errors, self._lates()
        again = fmean(self._seen(lead - late, other) for late in lates for other in lates)
        return (1 - fails) * self._good(lead) + fails * again

    def _twice(self, lead: float) -> float:
        fails, lates = self.project.errors, self._lates()
        both = fmean(
            min(self._seen(lead, late), self._seen(lead, other))
            for late in lates
            for other in lates
        )
        one = self._good(lead)
        return (1 - fails) ** 2 * both + 2 * fails * (1 - fails) * one + fails**2 * self.period

    def _good(self, lead: float) -> float:
        return fmean(self._seen(lead, late) for late in self._lates())

    def _seen(self, lead: float, late: float) -> float:
        """Give the age at the scrape if a call takes ``late`` seconds, and does not fail."""
        return lead - late / 2 if late <= lead else self.period

    def _lates(self) -> list[float]:
        """Give durations of calls: evenly from half of the latency to one and a half."""
        return [self.project.latency * (0.5 + (n + 0.5) / _STEPS) for n in range(_STEPS)]
