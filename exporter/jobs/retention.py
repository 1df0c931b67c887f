"""How long a job that has ended is kept, and which ones go first when there are too many."""

from collections.abc import Callable, Iterable
from enum import StrEnum
from typing import NamedTuple

from .model import Job, JobKey


class State(StrEnum):
    """What is known of a tracked job's end: that it has none, and whether it was seen."""

    RUNNING = "running"
    ENDED_UNSCRAPED = "ended_unscraped"
    ENDED = "ended"


class Retention(NamedTuple):
    """Seconds from a job's end: how long it stays, and how long at most for want of scrapes."""

    finished: float
    unscraped: float


class Leaving(NamedTuple):
    """A job to let go, ``unscraped`` if somebody has not seen its end."""

    key: JobKey
    unscraped: bool


def state(job: Job, *, delivered: Callable[[Job], bool]) -> State:
    """Return a job's state; ``delivered`` tells whether every scraper has seen it as it is."""
    if job.ended is None:
        return State.RUNNING
    return State.ENDED if delivered(job) else State.ENDED_UNSCRAPED


def leaving(
    jobs: Iterable[Job],
    *,
    delivered: Callable[[Job], bool],
    retention: Retention,
    now: float,
) -> tuple[Leaving, ...]:
    """Return the jobs whose time is over at ``now`` (Unix seconds).

    That is ``finished`` seconds after its end for a job whose end every scraper has seen,
    and ``unscraped`` seconds after it for any job. A running job never leaves.
    """
    shortest = min(retention.finished, retention.unscraped)
    aged = ((job, now - job.ended) for job in jobs if job.ended is not None)
    over = ((job.key, age, delivered(job)) for job, age in aged if age >= shortest)
    return tuple(
        Leaving(key, unscraped=not seen)
        for key, age, seen in over
        if seen or age >= retention.unscraped
    )


def evictable(jobs: Iterable[Job], *, delivered: Callable[[Job], bool]) -> tuple[JobKey, ...]:
    """Return the jobs that may leave early to make room, those that ended first in front.

    Only jobs whose end every scraper has seen: a new job has to wait rather than an end go
    unseen, and the hard maximum sees to it that it does not wait for ever.
    """
    ended = ((job.ended, job) for job in jobs if job.ended is not None)
    oldest = sorted(ended, key=lambda pair: pair[0])
    return tuple(job.key for _, job in oldest if delivered(job))
