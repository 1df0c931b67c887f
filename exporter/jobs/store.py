"""Jobs in memory: observations are folded in, and each change yields a new value."""

from collections.abc import Iterable, Iterator

from .model import Counts, Gone, Job, JobKey, ListedJob, Observation, Sighting, SubJob, Work
from .progress import (
    add,
    advanced,
    expected_work,
    filled,
    gone,
    job_ratio,
    known_work,
    parts,
    sighted,
)


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
    status, listed, left, moved = observation.status, job.listed, job.gone, False
    if "sub_jobs" not in observation.malformed:
        listed, left, moved = _sighted(job, observation.subjobs, now)
    counts, indices, work = _sums(job, listed, left)
    reported = job if observation.malformed & {"progress", "sub_job_id"} else observation
    return job._replace(
        status=status,
        progress=reported.progress,
        subjob_id=reported.subjob_id,
        listed=listed,
        gone=left,
        counts=counts,
        indices=indices,
        work=work,
        ratio=job_ratio(status, work, job.ratio),
        last_progress=now if moved or status is not job.status else job.last_progress,
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
    return job._replace(
        details=row.details,
        status=told,
        ratio=job_ratio(told, None, job.ratio),
        last_progress=now if news else job.last_progress,
        last_update=now if news else job.last_update,
        ended=(job.ended or now) if told.terminal else None,
    )


def _sighted(
    job: Job, subjobs: Iterable[SubJob], now: float
) -> tuple[tuple[Sighting, ...], Gone, bool]:
    """Return the sub-jobs that are listed, those that are no more, and whether any moved."""
    before = {sighting.subjob.id: sighting for sighting in job.listed}
    sightings, moved = [], False
    for told in subjobs:
        sighting = before.pop(told.id, None)
        earlier = sighting.subjob if sighting else job.gone.subjobs.get(told.id)
        subjob = _completed(told, earlier)
        moved = moved or advanced(earlier, subjob)
        sightings.append(sighted(subjob, sighting, now))
    listed = tuple(sightings)
    left = {number: sighting.subjob for number, sighting in before.items()}
    return job.listed if listed == job.listed else listed, _gone(job, listed, left), moved


def _completed(subjob: SubJob, earlier: SubJob | None) -> SubJob:
    """Fill what an answer leaves out with what an earlier one gave; the same value if it can be."""
    if earlier is None:
        return subjob
    whole = SubJob(
        subjob.id,
        subjob.status,
        subjob.name or earlier.name,
        filled(subjob.counts, earlier.counts),
        subjob.killed or earlier.killed,
        earlier.submitted if subjob.submitted is None else subjob.submitted,
        earlier.completed if subjob.completed is None else subjob.completed,
    )
    return earlier if whole == earlier else whole


def _gone(job: Job, listed: Iterable[Sighting], left: dict[int, SubJob]) -> Gone:
    """Return the sub-jobs that are listed no more: the same value if none left or came back."""
    earlier = job.gone.subjobs
    if not left and not earlier:
        return job.gone
    present = {sighting.subjob.id for sighting in listed}
    if not left and present.isdisjoint(earlier):
        return job.gone
    return gone({i: subjob for i, subjob in earlier.items() if i not in present} | left)


def _sums(
    job: Job, listed: tuple[Sighting, ...], left: Gone
) -> tuple[Counts, int | None, Work | None]:
    """Return the counts over all sub-jobs, and the work known and expected."""
    if listed is job.listed and left is job.gone:
        return job.counts, job.indices, job.work
    subjobs = [sighting.subjob for sighting in listed]
    counts = [subjob.counts for subjob in subjobs]
    if left.subjobs:
        counts.append(left.counts)
    work = parts(subjobs)
    known = known_work(work, left)
    return add(counts), known and known[1], expected_work(work, left)
