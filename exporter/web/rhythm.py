"""When a scraper comes again, learnt from when it came."""

from itertools import accumulate, pairwise
from typing import Final

from ..jobs.schedule import Expected

_REMEMBERED: Final = 32
"""Scrapes that a rhythm is learnt from."""
_JUDGES: Final = 3
"""Newest gaps that say what the period is: most of them, so that one missed scrape is outvoted."""
_TOLERANCE: Final = 0.1
"""By this share of a period a scrape may be off the beat."""
_LONGEST_GAP: Final = 4
"""Periods after which a scraper that was not heard again has no rhythm any more."""
_EARLY: Final = 0.005
"""Seconds that a scrape may come before the earliest one on record."""


class Rhythm:
    """The scrapes of one scraper, as moments of one monotonic clock.

    It is known once the two newest gaps agree, be it that a scrape between them was missed.
    A scraper that restarts may come at quite another time of its period: what came before
    counts no more, and the rhythm is known again after two gaps.
    """

    def __init__(self) -> None:
        self._times: tuple[float, ...] = ()
        self._ahead: Expected | None = None

    def note(self, now: float) -> None:
        """Note a scrape."""
        self._times = (*self._times, now)[-_REMEMBERED:]
        self._ahead = _expected(self._times)

    def next(self, now: float) -> Expected | None:
        """Return the first scrape expected after ``now``; None without a rhythm."""
        ahead = self._ahead
        if ahead is None or now - self._times[-1] > _LONGEST_GAP * ahead.period:
            return None
        missed = max(0.0, (now - ahead.at) // ahead.period + 1)
        return Expected(ahead.at + missed * ahead.period, ahead.period)


def _expected(times: tuple[float, ...]) -> Expected | None:
    """Return the scrape after these, and the exact period, if the newest gaps agree."""
    gaps = [after - before for before, after in pairwise(times)]
    if len(gaps) < 2:
        return None
    judges = sorted(gaps[-_JUDGES:])
    rough = judges[(len(judges) - 1) // 2]  # the lower median; `statistics` takes 150 KiB
    beats = _beats(gaps, rough)
    if len(beats) < 2:
        return None
    scrapes = [*zip(accumulate(beats, initial=0), times[-len(beats) - 1 :], strict=True)]
    period = _slope(scrapes)
    to_come = scrapes[-1][0] + 1
    moments = sorted(time + (to_come - number) * period for number, time in scrapes)
    # To expect it a second earlier makes all data a second older, and to miss a scrape, a period:
    # so one far too early is heeded only if that costs less than to miss it as often as it comes.
    share = period / len(moments)
    at = max((moment - missed * share, moment) for missed, moment in enumerate(moments))[1]
    return Expected(at - _EARLY, period)


def _slope(points: list[tuple[int, float]]) -> float:
    """Return how steep the line is that most points are close to (Theil's incomplete method).

    Each point is paired with the one a third of them later, and the median taken: so that one far
    off the beat has no say, which it would have in a line of least squares, and neither has a
    step, which no more than half of the pairs straddle.
    """
    pairs = zip(points, points[max(1, len(points) // 3) :], strict=False)
    slopes = sorted((time - past) / (number - before) for (before, past), (number, time) in pairs)
    return slopes[(len(slopes) - 1) // 2]


def _beats(gaps: list[float], period: float) -> list[int]:
    """Return how many periods each gap is, from the last one that is none on."""
    beats: list[int] = []
    for gap in reversed(gaps):
        count = round(gap / period) if period > 0 else 0
        if not 1 <= count <= _LONGEST_GAP or abs(gap / period - count) > _TOLERANCE:
            break
        beats.insert(0, count)
    return beats
