"""What finished runs of the same statement say about this one."""

from collections import OrderedDict
from collections.abc import Iterable, Sequence
from typing import Final, NamedTuple

from .model import Job, JobStatus
from .profile import Profile, achieved
from .progress import running

RUNS: Final = 10
"""Runs of a statement that are remembered: the last ones."""
STATEMENTS: Final = 10_000
"""Statements that are remembered: those met last."""
_ALMOST: Final = 0.99
"""What a running job shows at most: a full bar means that it has ended."""


class Run(NamedTuple):
    """A finished run: its end (Unix seconds), its duration (seconds), and how it went.

    ``profile`` is None of a run that was not watched from its start.
    """

    job_id: str
    ended: float
    duration: float
    profile: Profile | None = None


class Expectation(NamedTuple):
    """What to expect of a job; None is not known.

    ``duration`` is in seconds, ``end`` in Unix seconds and never in the past, ``ratio`` the
    share of the expected time that has passed, below 1 while the job runs.
    """

    duration: float | None = None
    end: float | None = None
    ratio: float | None = None


class History:
    """The last runs of the statements met last, by fingerprint."""

    def __init__(self, *, statements: int = STATEMENTS) -> None:
        self._statements = statements
        self._runs: OrderedDict[str, tuple[Run, ...]] = OrderedDict()

    def __len__(self) -> int:
        return len(self._runs)

    def record(self, fingerprint: str, run: Run) -> None:
        """Remember a run. One that is told again is the same run, and keeps its profile.

        A run that took no time teaches nothing and is left out.
        """
        if run.duration <= 0:
            return
        known = {before.job_id: before for before in self._runs.get(fingerprint, ())}
        before = known.get(run.job_id)
        if before and run.profile is None:
            run = run._replace(profile=before.profile)
        known[run.job_id] = run
        last = sorted(known.values(), key=lambda run: run.ended)[-RUNS:]
        self._runs[fingerprint] = tuple(last)
        self._runs.move_to_end(fingerprint)
        if len(self._runs) > self._statements:
            self._runs.popitem(last=False)

    def runs(self, fingerprint: str) -> tuple[Run, ...]:
        """Return the last runs of a statement, the newest last."""
        if fingerprint not in self._runs:
            return ()
        self._runs.move_to_end(fingerprint)
        return self._runs[fingerprint]


def expect(job: Job, runs: Sequence[Run], *, start: float | None, now: float) -> Expectation:
    """Return what to expect at ``now`` of a job that has run since ``start`` (Unix seconds).

    The best there is counts: how earlier runs went, else how long they took, else the speed
    of the work so far. ``duration`` is the median of the earlier runs.
    """
    duration = _median(run.duration for run in runs) if runs else None
    if job.status is None or job.status.terminal:
        return Expectation(duration=duration, ratio=_final_ratio(job, runs))
    if start is None:
        return Expectation(duration=duration)
    elapsed = max(now - start, 0.0)
    if duration is None:
        return Expectation(end=_at_own_speed(job, elapsed, now))
    remaining = _remaining(job, runs, elapsed, duration)
    whole = elapsed + remaining
    ratio = min(elapsed / whole, _ALMOST) if whole else 0.0
    return Expectation(duration=duration, end=now + remaining, ratio=ratio)


def _median(values: Iterable[float]) -> float:
    from statistics import median  # here: 0.2 MiB, and a job may never run again

    return median(values)


def _final_ratio(job: Job, runs: Sequence[Run]) -> float | None:
    """Return 1 for what has finished; what has not keeps the share that it had reached."""
    return 1.0 if job.status is JobStatus.FINISHED and runs else job.expected_ratio


def _at_own_speed(job: Job, elapsed: float, now: float) -> float | None:
    """Return when the job ends if it goes on as it did; None before anything is done.

    A task that runs is on average half done.
    """
    if job.work is None:
        return None
    done = job.work.done + sum([running(sighting.subjob) for sighting in job.listed]) / 2
    return now + elapsed * max(job.work.expected - done, 0.0) / done if done else None


def _remaining(job: Job, runs: Sequence[Run], elapsed: float, duration: float) -> float:
    """Return the seconds to go.

    Where earlier runs were watched, the share of time that is left by their profiles is left
    of the usual duration; the further this run is, the more its own pace counts.
    """
    whole = _whole([run.duration for run in runs], elapsed)
    profiles = [run.profile for run in runs if run.profile]
    if not profiles:
        return whole - elapsed
    done, clock = achieved(job), elapsed / whole
    left = 1 - _median(_passed(clock, *profile.bounds(done)) for profile in profiles)
    return left * (left * duration + elapsed)


def _whole(durations: Sequence[float], elapsed: float) -> float:
    """Return how long a run takes that has taken so long already: as the longer ones did.

    One that is later than all others is expected to get as late again.
    """
    longer = [duration for duration in durations if duration > elapsed]
    return _median(longer) if longer else 2 * elapsed - max(durations)


def _passed(clock: float, low: float, high: float) -> float:
    """Return the share of time that has passed in a run that did this work from low to high.

    That is the middle of the two guesses: half way between them, and what the clock says as
    far as they allow. A long task does not show in the work, and the clock is not always on
    time.
    """
    return (min(max(clock, low), high) + (low + high) / 2) / 2
