"""Jobs in memory: observations are folded in, and each change yields a new value."""

from collections.abc import Iterator
from dataclasses import replace
from typing import Any

from .model import Gone, Job, JobKey, ListedJob, Observation, Sighting, SubJob
from .progress import add, advanced, expected_work, filled, gone, job_ratio, known_work, sighted


class JobStore:
    """The jobs that somebody cares about, by key, in the order in which they came."""

    def __init__(self) -> None:
        self._jobs: dict[JobKey, Job] = {}

    def __iter__(self) -> Iterator[Job]:
        """Iterate over a snapshot: the store may change meanwhile."""
        return iter(tuple(self._jobs.values()))

    def __len__(self) -> int:
        return len(self._jobs)

    def __contains__(self, key: JobKey) -> bool:
        return key in self._jobs

    def __getitem__(self, key: JobKey) -> Job:
        return self._jobs[key]

    def get(self, key: JobKey) -> Job | None:
        """Return a job; None if it is not tracked."""
        return self._jobs.get(key)

    def put(self, job: Job) -> None:
        """Keep a job's new value; a new job comes last."""
        self._jobs[job.key] = job

    def remove(self, key: JobKey) -> None:
        """Forget a job."""
        self._jobs.pop(key, None)


def fold(job: Job, observation: Observation, *, now: float) -> Job:
    """Return the job after an observation made at ``now`` (Unix seconds).

    Fields that the answer gave in an unreadable form keep their last good value.
    Nothing is frozen by a terminal status: counters move late, and a job may come back.
    """
    listed, left = job.listed, job.gone
    if "sub_jobs" not in observation.malformed:
        listed = _listed(job, observation.subjobs, now)
        left = _gone(job, listed)
    status, subjobs = observation.status, [sighting.subjob for sighting in listed]
    known = known_work(subjobs, left)
    reported = job if observation.malformed & {"progress", "sub_job_id"} else observation
    return replace(
        job,
        status=status,
        progress=reported.progress,
        subjob_id=reported.subjob_id,
        listed=listed,
        gone=left,
        counts=add([left.counts, *(subjob.counts for subjob in subjobs)]),
        indices=known and known[1],
        ratio=job_ratio(status, expected_work(subjobs, left), job.ratio),
        last_progress=now if advanced(job, observation) else job.last_progress,
        last_update=now,
        ended=(job.ended or now) if status.terminal else None,
    )


def describe(job: Job, row: ListedJob, *, now: float) -> Job:
    """Return the job after the list API said this of it at ``now`` (Unix seconds).

    The progress API knows better how a job stands while it runs. The list's word counts for a
    job that was never observed, and for the end: the progress API may lag behind or be out of
    reach for a kind of job.
    """
    told = row.status if job.status is None or row.status.terminal else job.status
    if job.status is not None and job.status.terminal:
        told = job.status
    if told is job.status and row.details == job.details:
        return job
    news = told is not job.status
    return replace(
        job,
        details=row.details,
        status=told,
        ratio=job_ratio(told, None, job.ratio),
        last_progress=now if news else job.last_progress,
        last_update=now if news else job.last_update,
        ended=(job.ended or now) if told.terminal else None,
    )


def _listed(job: Job, subjobs: tuple[SubJob, ...], now: float) -> tuple[Sighting, ...]:
    before = {sighting.subjob.id: sighting for sighting in job.listed}

    def sight(subjob: SubJob) -> Sighting:
        sighting = before.get(subjob.id)
        earlier = sighting.subjob if sighting else job.gone.subjobs.get(subjob.id)
        return sighted(_completed(subjob, earlier), sighting, now)

    return tuple(map(sight, subjobs))


def _completed(subjob: SubJob, earlier: SubJob | None) -> SubJob:
    """Fill what an answer leaves out with what an earlier one gave."""
    if earlier is None:
        return subjob
    whole: dict[str, Any] = {
        "name": subjob.name or earlier.name,
        "counts": filled(subjob.counts, earlier.counts),
        "killed": subjob.killed or earlier.killed,
        "submitted": earlier.submitted if subjob.submitted is None else subjob.submitted,
        "completed": earlier.completed if subjob.completed is None else subjob.completed,
    }
    same = all(getattr(subjob, name) is value for name, value in whole.items())
    return subjob if same else subjob._replace(**whole)  # to copy costs more than to look


def _gone(job: Job, listed: tuple[Sighting, ...]) -> Gone:
    """Return the sub-jobs that are listed no more: the same value if none left or came back."""
    present = {sighting.subjob.id for sighting in listed}
    left = {s.subjob.id: s.subjob for s in job.listed if s.subjob.id not in present}
    if not left and present.isdisjoint(job.gone.subjobs):
        return job.gone
    return gone({i: s for i, s in job.gone.subjobs.items() if i not in present} | left)
