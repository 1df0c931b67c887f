"""The truth about progress: honest ratios, totals, speed, and whether anything moved."""

from collections import Counter
from collections.abc import Iterable, Mapping
from operator import attrgetter
from types import MappingProxyType
from typing import Final

from .model import Counts, Gone, Job, JobStatus, Observation, Sighting, SubJob, SubJobStatus

_advancing: Final = attrgetter("tasks_completed", "indices_completed", "stages_completed")


def add(counts: Iterable[Counts]) -> Counts:
    """Sum figure by figure; a figure that none of them has stays None."""
    return Counts(*map(_sum, zip(*counts, strict=True)))


def _sum(column: tuple[int | None, ...]) -> int | None:
    if None not in column:  # as a rule
        return sum(column) if column else None  # type: ignore[arg-type]  # None is not in it
    given = [figure for figure in column if figure is not None]
    return sum(given) if given else None


def filled(counts: Counts, earlier: Counts) -> Counts:
    """Return ``counts`` with the figures that it lacks taken from an ``earlier`` sight."""
    if None not in counts:
        return counts
    return Counts(*(old if new is None else new for new, old in zip(counts, earlier, strict=True)))


def done(subjob: SubJob) -> int:
    """Return the indices completed; tasks completed where the API gives no indices."""
    counts = subjob.counts
    if counts.indices_completed is not None:
        return counts.indices_completed
    return counts.tasks_completed or 0


def running(subjob: SubJob) -> int:
    """Return the tasks that run, as far as there are any left to complete."""
    counts = subjob.counts
    if subjob.status.ended or counts.tasks is None:
        return 0
    return min(counts.tasks_active or 0, max(counts.tasks - done(subjob), 0))


def work(subjob: SubJob) -> int | None:
    """Return how many indices the sub-job has to complete, as far as is known.

    Skipped tasks are reported only when a sub-job ends, so the work of one that succeeded is
    what it really executed. What a failed one left undone stays undone: else a failed job
    would read as complete. None while the API gives no number of tasks.
    """
    if subjob.status is SubJobStatus.SUCCEEDED:
        return done(subjob)
    if subjob.counts.tasks is None:
        return None
    return max(subjob.counts.tasks - (subjob.counts.tasks_skipped or 0), 0)


def subjob_ratio(subjob: SubJob) -> float | None:
    """Return the honest ratio of a sub-job, 0 to 1; None while its size is not known.

    Success is 1 whatever the counts say: sub-jobs were seen to succeed at 61 of 88. A
    failed one keeps the share that it had reached of all its tasks.
    """
    if subjob.status is SubJobStatus.SUCCEEDED:
        return 1.0
    if subjob.counts.tasks is None:
        return None
    size = subjob.counts.tasks - (subjob.counts.tasks_skipped or 0)
    return min(done(subjob) / size, 1.0) if size > 0 else 0.0


def known_work(listed: Iterable[SubJob], gone: Gone) -> tuple[int, int] | None:
    """Return the indices completed and the indices to complete, over all sub-jobs seen.

    None while the size of no sub-job is known.
    """
    sizes = [(done(subjob), size) for subjob in listed if (size := work(subjob)) is not None]
    if not sizes and not gone.subjobs:
        return None
    achieved = sum(min(finished, size) for finished, size in sizes)
    return gone.done + achieved, gone.work + sum(size for _, size in sizes)


def expected_work(listed: Iterable[SubJob], gone: Gone) -> tuple[float, float] | None:
    """Return the indices completed and those to expect of the whole job.

    The known work is too much and too little. Too much, as the tasks that a running sub-job
    will skip are told only when it ends: of one with several stages, the share counts that
    such ones which ended really executed. Too little, as more sub-jobs may come: once there
    has been a second one, one more of the median size is expected. None while the size of no
    sub-job is known.
    """
    subjobs = tuple(listed)
    executed, told = _executed(subjobs)
    executed, told = executed + gone.executed, told + gone.told
    share = executed / told if told else 1
    sizes = {s.id: size for s in subjobs if (size := _expected_size(s, share))}
    achieved = gone.done + sum(min(done(s), sizes.get(s.id, 0)) for s in subjobs)
    sizes |= gone.sizes
    return (achieved, sum(sizes.values()) + _unseen(sizes.values())) if sizes else None


def _executed(subjobs: Iterable[SubJob]) -> tuple[int, int]:
    """Return the tasks executed and announced by those of several stages that succeeded."""
    pairs = [
        (min(done(subjob), subjob.counts.tasks), subjob.counts.tasks)
        for subjob in subjobs
        if subjob.status is SubJobStatus.SUCCEEDED and subjob.counts.tasks and _staged(subjob)
    ]
    return sum(executed for executed, _ in pairs), sum(told for _, told in pairs)


def _staged(subjob: SubJob) -> bool:
    """Whether a sub-job has several stages: a single one is never skipped."""
    return (subjob.counts.stages or 0) > 1


def _expected_size(subjob: SubJob, share: float) -> float | None:
    size = work(subjob)
    if size is None or subjob.status.ended or not _staged(subjob):
        return size
    return max(size * share, min(done(subjob), size))


def _unseen(sizes: Iterable[float]) -> float:
    """Return the size of the sub-job that is expected to come: 0 while there was only one.

    The lower median: two small ones before the large one must not let expect another large.
    """
    rising = sorted(sizes)
    return rising[(len(rising) - 1) // 2] if len(rising) > 1 else 0


def job_ratio(
    status: JobStatus, expected: tuple[float, float] | None, previous: float | None
) -> float | None:
    """Return the honest ratio of a job, 0 to 1; None while nothing tells it.

    FINISHED is 1; FAILED and CANCELLED keep the last value; otherwise it is work done over
    work expected. More work may turn up than was expected, so the ratio may fall.
    """
    if status is JobStatus.FINISHED:
        return 1.0
    if status.terminal:
        return previous
    if expected is not None:
        return expected[0] / expected[1]
    # Nothing has run before the launch; later, nothing known is not the same as nothing done.
    return 0.0 if status is JobStatus.LAUNCHING else previous


def gone(subjobs: Mapping[int, SubJob]) -> Gone:
    """Sum up the sub-jobs that are listed no more.

    Nothing of them is active any longer. One last seen RUNNING ended unseen: its end is
    UNKNOWN, and its work what it was last seen to have done.
    """
    sizes = {number: _final_work(subjob) for number, subjob in subjobs.items()}
    executed, told = _executed(subjobs.values())
    return Gone(
        subjobs=MappingProxyType(subjobs),
        statuses=MappingProxyType(Counter(map(_final_status, subjobs.values()))),
        counts=add(map(_at_rest, subjobs.values())),
        done=sum(map(done, subjobs.values())),
        work=sum(sizes.values()),
        sizes=MappingProxyType({number: size for number, size in sizes.items() if size}),
        executed=executed,
        told=told,
    )


def _final_status(subjob: SubJob) -> SubJobStatus:
    return subjob.status if subjob.status.ended else SubJobStatus.UNKNOWN


def _final_work(subjob: SubJob) -> int:
    return max(work(subjob) or 0, done(subjob)) if subjob.status.ended else done(subjob)


def _at_rest(subjob: SubJob) -> Counts:
    counts = subjob.counts
    return counts._replace(
        tasks_active=None if counts.tasks_active is None else 0,
        stages_active=None if counts.stages_active is None else 0,
    )


def advanced(job: Job, observation: Observation) -> bool:
    """Whether an answer shows movement since the last one.

    That is a changed status, a new sub-job, a sub-job's changed status or any completed
    count that grew.
    """
    if job.status is not observation.status:
        return True
    known = {sighting.subjob.id: sighting.subjob for sighting in job.listed}
    return any(
        _moved(known.get(subjob.id) or job.gone.subjobs.get(subjob.id), subjob)
        for subjob in observation.subjobs
    )


def _moved(before: SubJob | None, after: SubJob) -> bool:
    if before is None or before.status is not after.status:
        return True
    pairs = zip(_advancing(before.counts), _advancing(after.counts), strict=True)
    return any(new is not None and new > (old or 0) for old, new in pairs)


def sighted(subjob: SubJob, before: Sighting | None, now: float) -> Sighting:
    """Return what is known of a listed sub-job after seeing it at ``now`` (Unix seconds)."""
    first, first_done = (before.first, before.first_done) if before else (now, done(subjob))
    return Sighting(
        subjob=subjob,
        first=first,
        first_done=first_done,
        expected_end=expected_end(subjob, first=first, first_done=first_done, now=now),
    )


def expected_end(subjob: SubJob, *, first: float, first_done: int, now: float) -> float | None:
    """Return when a running sub-job ends at the speed seen so far (Unix seconds).

    None until it has completed an index under the exporter's eyes, and once it has ended.
    """
    size, gained, elapsed = work(subjob), done(subjob) - first_done, now - first
    if subjob.status.ended or size is None or gained <= 0 or elapsed <= 0:
        return None
    return now + max(size - done(subjob), 0) * elapsed / gained
