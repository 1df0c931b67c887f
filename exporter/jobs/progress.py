"""The truth about progress: honest ratios, totals, speed, and whether anything moved."""

from collections import Counter
from collections.abc import Iterable, Mapping
from types import MappingProxyType
from typing import Final, TypeAlias

from .model import Counts, Gone, JobStatus, Sighting, SubJob, SubJobStatus, Work

_SUCCEEDED: Final = SubJobStatus.SUCCEEDED

Part: TypeAlias = tuple[SubJob, int, int | None]
"""A sub-job, the indices that it has completed, and those that it has to, if they are known."""


def add(counts: Iterable[Counts]) -> Counts:
    """Sum figure by figure; a figure that none of them has stays None."""
    columns = list(zip(*counts, strict=True))
    try:
        return Counts(*map(sum, columns))
    except TypeError:  # a figure is missing, which is rare
        return Counts(*map(_sum, columns))


def _sum(column: tuple[int | None, ...]) -> int | None:
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
    if subjob.status is _SUCCEEDED:
        return done(subjob)
    counts = subjob.counts
    if counts.tasks is None:
        return None
    return max(counts.tasks - (counts.tasks_skipped or 0), 0)


def subjob_ratio(subjob: SubJob) -> float | None:
    """Return the honest ratio of a sub-job, 0 to 1; None while its size is not known.

    Success is 1 whatever the counts say: sub-jobs were seen to succeed at 61 of 88. A
    failed one keeps the share that it had reached of all its tasks.
    """
    if subjob.status is _SUCCEEDED:
        return 1.0
    counts = subjob.counts
    if counts.tasks is None:
        return None
    size = counts.tasks - (counts.tasks_skipped or 0)
    return min(done(subjob) / size, 1.0) if size > 0 else 0.0


def parts(subjobs: Iterable[SubJob]) -> list[Part]:
    """Return what each sub-job has done and has to do, from which the job's work is known."""
    return [(subjob, done(subjob), work(subjob)) for subjob in subjobs]


def known_work(listed: Iterable[Part], gone: Gone) -> tuple[int, int] | None:
    """Return the indices completed and the indices to complete, over all sub-jobs seen.

    None while the size of no sub-job is known.
    """
    known, achieved, whole = bool(gone.subjobs), gone.done, gone.work
    for _, finished, size in listed:
        if size is not None:
            known = True
            achieved += min(finished, size)
            whole += size
    return (achieved, whole) if known else None


def expected_work(listed: Iterable[Part], gone: Gone) -> Work | None:
    """Return the indices completed and those to expect of the whole job.

    The known work is too much and too little. Too much, as the tasks that a running sub-job
    will skip are told only when it ends: of one with several stages, the share counts that
    such ones which ended really executed. Too little, as more sub-jobs may come: once there
    has been a second one, one more of the median size is expected. None while the size of no
    sub-job is known.
    """
    listed = tuple(listed)
    executed, told = _executed(listed)
    executed, told = executed + gone.executed, told + gone.told
    share = executed / told if told else 1.0
    achieved: float = gone.done
    sizes: dict[int, float] = {}
    for part in listed:
        if size := _expected_size(part, share):
            subjob, finished, _ = part
            sizes[subjob.id] = size
            achieved += min(finished, size)
    sizes |= gone.sizes
    return Work(achieved, sum(sizes.values()) + _unseen(sizes.values())) if sizes else None


def _executed(listed: Iterable[Part]) -> tuple[int, int]:
    """Return the tasks executed and announced by those of several stages that succeeded."""
    executed = told = 0
    for subjob, finished, _ in listed:
        if subjob.status is _SUCCEEDED and (tasks := subjob.counts.tasks) and _staged(subjob):
            executed += min(finished, tasks)
            told += tasks
    return executed, told


def _staged(subjob: SubJob) -> bool:
    """Whether a sub-job has several stages: a single one is never skipped."""
    return (subjob.counts.stages or 0) > 1


def _expected_size(part: Part, share: float) -> float | None:
    subjob, finished, size = part
    if share == 1.0 or size is None or subjob.status.ended or not _staged(subjob):
        return size
    return max(size * share, min(finished, size))


def _unseen(sizes: Iterable[float]) -> float:
    """Return the size of the sub-job that is expected to come: 0 while there was only one.

    The lower median: two small ones before the large one must not let expect another large.
    """
    rising = sorted(sizes)
    return rising[(len(rising) - 1) // 2] if len(rising) > 1 else 0


def job_ratio(status: JobStatus, work: Work | None, previous: float | None) -> float | None:
    """Return the honest ratio of a job, 0 to 1; None while nothing tells it.

    FINISHED is 1; FAILED and CANCELLED keep the last value; otherwise it is work done over
    work expected. More work may turn up than was expected, so the ratio may fall.
    """
    if status is JobStatus.FINISHED:
        return 1.0
    if status.terminal:
        return previous
    if work is not None:
        return work.done / work.expected
    # Nothing has run before the launch; later, nothing known is not the same as nothing done.
    return 0.0 if status is JobStatus.LAUNCHING else previous


def gone(subjobs: Mapping[int, SubJob]) -> Gone:
    """Sum up the sub-jobs that are listed no more.

    Nothing of them is active any longer. One last seen RUNNING ended unseen: its end is
    UNKNOWN, and its work what it was last seen to have done.
    """
    sizes = {number: _final_work(subjob) for number, subjob in subjobs.items()}
    executed, told = _executed(parts(subjobs.values()))
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


def advanced(before: SubJob | None, after: SubJob) -> bool:
    """Whether a sub-job moved between two sights: it is new, or its status another, or it grew."""
    if after is before:
        return False
    if before is None or before.status is not after.status:
        return True
    old, new = before.counts, after.counts
    return (
        (new.indices_completed or 0) > (old.indices_completed or 0)
        or (new.tasks_completed or 0) > (old.tasks_completed or 0)
        or (new.stages_completed or 0) > (old.stages_completed or 0)
    )


def sighted(subjob: SubJob, before: Sighting | None, now: float) -> Sighting:
    """Return what is known of a listed sub-job after seeing it at ``now`` (Unix seconds).

    That is the same value if nothing has changed.
    """
    first, first_done = (before.first, before.first_done) if before else (now, done(subjob))
    end = expected_end(subjob, first=first, first_done=first_done, now=now)
    if before and subjob is before.subjob and end == before.expected_end:
        return before
    return Sighting(subjob, first, first_done, end)


def expected_end(subjob: SubJob, *, first: float, first_done: int, now: float) -> float | None:
    """Return when a running sub-job ends at the speed seen so far (Unix seconds).

    None until it has completed an index under the exporter's eyes, and once it has ended.
    """
    if subjob.status.ended:
        return None
    size, finished = work(subjob), done(subjob)
    gained, elapsed = finished - first_done, now - first
    if size is None or gained <= 0 or elapsed <= 0:
        return None
    return now + max(size - finished, 0) * elapsed / gained
