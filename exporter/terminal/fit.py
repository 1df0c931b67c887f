"""What of many jobs and sub-jobs fits on a screen, and in which order."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Final

from ..jobs.model import JobStatus
from .state import JobState, SubJobState

_MOST_SUBJOBS: Final = 10
"""Running sub-jobs that are shown of a job, however large the screen is."""
_ORDER: Final = (JobStatus.RUNNING, JobStatus.SCALING, JobStatus.LAUNCHING, None)


@dataclass(frozen=True, slots=True)
class Row:
    """A job to show, its ``speed`` (indices a second), and why nothing more is learnt of it."""

    job: JobState
    speed: float | None = None
    lost: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Shown:
    """A row that is shown with some of its sub-jobs; ``more`` run, too."""

    row: Row
    subjobs: tuple[SubJobState, ...] = ()
    more: int = 0


def ordered(jobs: Iterable[JobState]) -> list[JobState]:
    """Put first what runs, then what is to come, then what has ended, the last end first."""
    return sorted(jobs, key=_rank)


def _rank(job: JobState) -> tuple[int, float, str]:
    place = _ORDER.index(job.status) if job.status in _ORDER else len(_ORDER)
    when = -(job.end or job.last_update or 0.0) if job.ended else job.start or 0.0
    return place, when, job.job_id


def fitted(rows: Sequence[Row], lines: int | None, *, each: int = 1) -> tuple[list[Shown], int]:
    """Return what fits into so many lines, and how many jobs are left out.

    A job takes ``each`` lines and one for each sub-job. Jobs come before sub-jobs, of which
    all show as many as there is room for.
    """
    if lines is None:
        return [_shown(row, _MOST_SUBJOBS) for row in rows], 0
    if len(rows) * each > lines:
        lines -= 1  # which says how many are left out
    some = rows[: max(lines // each, 1)]
    for most in range(_MOST_SUBJOBS, 0, -1):
        shown = [_shown(row, most) for row in some]
        if sum(each + len(one.subjobs) + bool(one.more) for one in shown) <= lines:
            return shown, len(rows) - len(some)
    return [Shown(row=row) for row in some], len(rows) - len(some)


def _shown(row: Row, most: int) -> Shown:
    running = () if row.lost else row.job.running
    return Shown(row=row, subjobs=running[:most], more=max(len(running) - most, 0))
