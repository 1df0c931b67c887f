"""The jobs that somebody waits for: which they are, what has become of them, the exit code."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from enum import IntEnum
from typing import Final

from ..jobs.model import JobStatus
from ..sources.registration import RegistrationError, build
from .state import JobState

_DETAILS: Final = 10.0
"""Seconds that an ended job is given until the list has told when it ended, too."""


class Outcome(IntEnum):
    """The exit code of ``wait``, and of ``watch`` with ids."""

    FINISHED = 0
    FAILED = 1
    TIMED_OUT = 2
    UNKNOWN = 3


class UnreadableId(Exception):
    """What was given is no job's id; ``str()`` is the one line to show."""


@dataclass(frozen=True, slots=True)
class Wanted:
    """A job as somebody names it; ``project`` is None where the id stands alone."""

    job_id: str
    project: str | None = None

    @classmethod
    def read(cls, text: str) -> "Wanted":
        """Read ``ID`` or ``project/ID``; UnreadableId, without repeating it, if it is neither."""
        project, slash, job_id = text.rpartition("/")
        try:
            build({"job_id": job_id, "project": project if slash else None})
        except RegistrationError as error:
            wrong = str(error).partition(": ")[2]
            raise UnreadableId(f"ID: {wrong}; or project/ID") from None
        return cls(job_id, project if slash else None)

    def means(self, job: JobState) -> bool:
        """Whether a job is the one; DLI's ids are the same in capitals."""
        same = job.job_id.lower() == self.job_id.lower()
        return same and self.project in (None, job.project)

    def __str__(self) -> str:
        return self.job_id if self.project in (None, "default") else f"{self.project}/{self.job_id}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Look:
    """What is known at a moment.

    ``lost`` says of wanted jobs why no more will be learnt of them, ``hopeless`` why nothing at
    all will be, and ``troubles`` in a line each what does not work at present.
    """

    jobs: tuple[JobState, ...] = ()
    lost: Mapping[Wanted, str] = field(default_factory=dict)
    hopeless: str | None = None
    troubles: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Fate:
    """What has become of a wanted job; it is kept when who tells of it forgets the job.

    ``lost`` is why no more will be learnt; ``ended`` when its end was first seen (monotonic
    seconds), and ``over`` that there is nothing more to wait for.
    """

    wanted: Wanted
    job: JobState | None = None
    lost: str | None = None
    ended: float | None = None
    over: bool = False

    @property
    def word(self) -> str:
        """The job's status; UNKNOWN while nobody knows it."""
        status = None if self.job is None else self.job.status
        return JobStatus.UNKNOWN if self.lost is not None or status is None else status

    @property
    def outcome(self) -> Outcome:
        """What one has to make of it, if nothing more is to come."""
        if self.job is not None and self.job.ended:
            good = self.job.status is JobStatus.FINISHED
            return Outcome.FINISHED if good else Outcome.FAILED
        return Outcome.TIMED_OUT if self.lost is None else Outcome.UNKNOWN


def follow(fates: Sequence[Fate], look: Look, now: float) -> tuple[Fate, ...]:
    """Return the fates after a look at ``now`` (monotonic seconds)."""
    known: dict[str, list[JobState]] = {}
    for job in look.jobs:
        known.setdefault(job.job_id.lower(), []).append(job)
    return tuple(_followed(fate, look, known, now) for fate in fates)


def everything(fates: Sequence[Fate], look: Look, now: float) -> tuple[Fate, ...]:
    """Return the fates of all jobs that a look at ``now`` (monotonic seconds) shows."""
    before = {fate.wanted: fate for fate in fates}
    shown = (Wanted(job.job_id, job.project) for job in look.jobs)
    return follow([before.get(each) or Fate(wanted=each) for each in shown], look, now)


def _followed(fate: Fate, look: Look, known: Mapping[str, Sequence[JobState]], now: float) -> Fate:
    """Hold on to an end that was seen, whatever the API or the exporter say afterwards."""
    same = known.get(fate.wanted.job_id.lower(), ())
    job = next(filter(fate.wanted.means, same), None)
    if job is None or (fate.ended is not None and not job.ended):
        job = fate.job
    if job is None or not job.ended:
        lost = look.lost.get(fate.wanted)
        return Fate(wanted=fate.wanted, job=job, lost=lost, over=lost is not None)
    ended = now if fate.ended is None else fate.ended
    over = job.end is not None or now - ended >= _DETAILS or fate.wanted in look.lost
    return Fate(wanted=fate.wanted, job=job, ended=ended, over=over)


_WORST_FIRST: Final = (Outcome.FAILED, Outcome.UNKNOWN, Outcome.TIMED_OUT)


def outcome(fates: Collection[Fate]) -> Outcome:
    """Return what one has to make of all of them.

    One that failed counts for all, then one that nobody can tell of, then one that runs still.
    """
    found = {fate.outcome for fate in fates}
    return next((each for each in _WORST_FIRST if each in found), Outcome.FINISHED)
