"""How a watched run went: at which share of its work which share of its time had passed."""

from bisect import bisect_left
from collections.abc import Iterable, Sequence
from itertools import pairwise
from operator import itemgetter
from struct import Struct
from typing import Final, NamedTuple, Self

from .model import Job
from .progress import subjob_ratio

CELLS: Final = 64
"""Equal shares of a run's work, of each of which its profile says when it was done."""
_PAIR: Final = Struct("dd")
_MOST_BYTES: Final = 2 * CELLS * _PAIR.size


def achieved(job: Job) -> float:
    """Return how many sub-jobs are done; each that runs counts with its ratio.

    This measures the work of runs against each other: the same statement runs in the same
    sub-jobs, while the number of their tasks follows the size of the data.
    """
    ratios = [subjob_ratio(sighting.subjob) or 0.0 for sighting in job.listed]
    return len(job.gone.subjobs) + sum(ratios)


class Trace(NamedTuple):
    """What a run has achieved by when: pairs of Unix seconds and sub-jobs done, rising.

    Packed, since each job has one: 128 pairs take 2 KiB so, and 13 KiB as tuples.
    """

    packed: bytes = b""

    @classmethod
    def of(cls, points: Iterable[tuple[float, float]]) -> Self:
        """Pack pairs."""
        return cls(b"".join(_PAIR.pack(*point) for point in points))

    @property
    def points(self) -> list[tuple[float, float]]:
        """The pairs, the oldest first."""
        return list(_PAIR.iter_unpack(self.packed))

    def seen(self, now: float, done: float) -> "Trace":
        """Return the trace after an answer of ``now``: the same one if no more is done.

        So it stays while the clock stands before its last point: it was set back.
        """
        if self.packed:
            last, before = _PAIR.unpack_from(self.packed, len(self.packed) - _PAIR.size)
            if now <= last or done <= before:
                return self
        trace = Trace(self.packed + _PAIR.pack(now, done))
        return trace if len(trace.packed) <= _MOST_BYTES else Trace.of(_thinned(trace.points))


def _thinned(points: Sequence[tuple[float, float]]) -> list[tuple[float, float]]:
    """Leave out points whose neighbours are close in time: about half of a full trace.

    The beginning and the end of a time without progress stay, and so do the trace's.
    """
    gap = 2 * (points[-1][0] - points[0][0]) / CELLS
    kept = [points[0]]
    for point, following in pairwise(points[1:]):
        if following[0] - kept[-1][0] >= gap:
            kept.append(point)
    return [*kept, points[-1]]


class Profile(NamedTuple):
    """A run's course: ``work`` is the sub-jobs done at its end.

    The nth byte of ``times`` is when the share n + 1 of CELLS of its work was done, in
    255ths of its duration.
    """

    work: float
    times: bytes

    def bounds(self, done: float) -> tuple[float, float]:
        """Return between which shares of its time the run had so many sub-jobs done."""
        cell = min(int(done / self.work * CELLS + 1e-6), CELLS)
        edges = (0, *self.times, 255)
        return edges[cell] / 255, edges[cell + 1] / 255


def profile(trace: Trace, *, start: float, end: float) -> Profile | None:
    """Return how a finished run went from ``start`` to ``end`` (Unix seconds).

    None of a run that nothing was seen of, or that had begun to work before it was watched.
    """
    duration = end - start
    points = trace.points
    if not points or duration <= 0:
        return None
    (first, before), (_, work) = points[0], points[-1]
    if work <= 0 or (before > 0 and first - start > duration / CELLS):
        return None
    times = bytes(
        round(255 * min(max(_when(points, work * cell / CELLS) - start, 0) / duration, 1))
        for cell in range(1, CELLS + 1)
    )
    return Profile(work, times)


def _when(points: Sequence[tuple[float, float]], done: float) -> float:
    """Return when so much had been done."""
    return points[bisect_left(points, done - 1e-9, key=itemgetter(1))][0]
