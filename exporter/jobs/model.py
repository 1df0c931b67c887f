"""The values that jobs are made of: frozen, and replaced when something changes.

What each poll makes anew, and looks up, are tuples: that saves it 20 us.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from types import MappingProxyType
from typing import Final, NamedTuple


class JobStatus(StrEnum):
    """A DLI job's status; any word outside DLI's documented list reads as UNKNOWN."""

    LAUNCHING = "LAUNCHING"
    RUNNING = "RUNNING"
    SCALING = "SCALING"
    FINISHED = "FINISHED"
    FAILED = "FAILED"
    CANCELLED = "CANCELLED"
    UNKNOWN = "UNKNOWN"

    @property
    def terminal(self) -> bool:
        """Whether a job with this status has ended for good."""
        return self in _TERMINAL


# A tuple is searched by identity, and naming a member costs 0.1 us (CPython 3.11).
_TERMINAL: Final = (JobStatus.FINISHED, JobStatus.FAILED, JobStatus.CANCELLED)


class SubJobStatus(StrEnum):
    """A sub-job's status: Spark's vocabulary (``JobExecutionStatus``), not DLI's."""

    RUNNING = "RUNNING"
    SUCCEEDED = "SUCCEEDED"
    FAILED = "FAILED"
    UNKNOWN = "UNKNOWN"

    @property
    def ended(self) -> bool:
        """Whether a sub-job with this status has ended; its counters may still move."""
        return self in _ENDED


_ENDED: Final = (SubJobStatus.SUCCEEDED, SubJobStatus.FAILED)


class KillReason(StrEnum):
    """Why Spark killed tasks: the bounded set that its free text is mapped to."""

    SPECULATION = "speculation"
    STAGE_FINISHED = "stage_finished"
    STAGE_CANCELLED = "stage_cancelled"
    JOB_CANCELLED = "job_cancelled"
    PREEMPTED = "preempted"
    EXECUTOR_LOST = "executor_lost"
    OTHER = "other"


class JobKey(NamedTuple):
    """Which job: the project's name in the settings, and DLI's job id."""

    project: str
    job_id: str


class Registration(NamedTuple):
    """That somebody wants a job watched, and what they say of it.

    ``project`` is a name in the settings, ``deadline`` in Unix seconds; ``labels`` show where
    they are allow-listed, as a job's tags do.
    """

    job_id: str
    project: str = "default"
    name: str = ""
    deadline: float | None = None
    labels: Mapping[str, str] = MappingProxyType({})


class Counts(NamedTuple):
    """Spark's counters, of one sub-job or summed over several; None where never given.

    ``tasks`` is not the sum of the others: retried tasks complete more than once, and
    skipped ones are known only when the sub-job ends. ``indices_completed`` counts
    distinct task indices. Negative figures (Spark bugs) have become 0 at the border.
    """

    tasks: int | None = None
    tasks_active: int | None = None
    tasks_completed: int | None = None
    tasks_skipped: int | None = None
    tasks_failed: int | None = None
    tasks_killed: int | None = None
    indices_completed: int | None = None
    stages: int | None = None
    stages_active: int | None = None
    stages_completed: int | None = None
    stages_skipped: int | None = None
    stages_failed: int | None = None


class SubJob(NamedTuple):
    """One Spark job inside a DLI job, as one answer showed it. Times are Unix seconds."""

    id: int
    status: SubJobStatus
    name: str = ""
    counts: Counts = Counts()
    killed: Mapping[KillReason, int] = MappingProxyType({})
    submitted: float | None = None
    completed: float | None = None


class Observation(NamedTuple):
    """One good answer of the progress API about one job.

    ``malformed`` names the job-level fields that were given but could not be read
    (``progress``, ``sub_job_id``, ``sub_jobs``): of these the last good value stands.
    """

    status: JobStatus
    progress: float | None = None
    subjob_id: int | None = None
    subjobs: tuple[SubJob, ...] = ()
    malformed: frozenset[str] = frozenset()


class Sighting(NamedTuple):
    """A listed sub-job, and what has been seen of it: the base of its own speed.

    ``first`` is when it was first seen (Unix seconds) and ``first_done`` how many indices
    it had completed by then; ``expected_end`` is as of the last answer.
    """

    subjob: SubJob
    first: float
    first_done: int
    expected_end: float | None = None


class Gone(NamedTuple):
    """The last sight of the sub-jobs that the engine lists no more, and its sums.

    Spark keeps a bounded list, so sub-jobs leave it while their job runs. ``done`` is the
    number of indices that they completed, ``work`` of those that they had to, and ``sizes``
    is that by sub-job, where there was any. ``executed`` and ``told`` are the tasks that those
    of several stages which succeeded really had, and those that they had announced.
    """

    subjobs: Mapping[int, SubJob] = MappingProxyType({})
    statuses: Mapping[SubJobStatus, int] = MappingProxyType({})
    counts: Counts = Counts()
    done: int = 0
    work: int = 0
    sizes: Mapping[int, int] = MappingProxyType({})
    executed: int = 0
    told: int = 0


class Work(NamedTuple):
    """The indices that a job has completed, and those to expect of it all in all."""

    done: float
    expected: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Details:
    """What only the list API knows of a job. Times are Unix seconds, sizes bytes.

    ``duration`` counts on while a job runs, so it makes no difference between two values.
    """

    queue_name: str = ""
    job_type: str = ""
    engine_type: str = ""
    owner: str = ""
    database_name: str = ""
    tags: Mapping[str, str] = field(default_factory=dict)
    start: float | None = None
    end: float | None = None
    duration: float | None = field(default=None, compare=False)
    input_bytes: int | None = None
    input_rows: int | None = None
    bad_rows: int | None = None
    result_rows: int | None = None
    output_bytes: int | None = None
    cpu_core_seconds: float | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class ListedJob:
    """One row of the list API. ``statement`` is SQL: it never leaves memory."""

    job_id: str
    status: JobStatus
    details: Details
    statement: str = field(default="", repr=False)


class Job(NamedTuple):
    """Everything known about one job. Times are Unix seconds; None is not known.

    ``progress`` and ``subjob_id`` are as the API reports them; ``ratio`` is the honest
    progress, 0 to 1, ``indices`` the work known so far and ``work`` that expected. ``listed``
    are the sub-jobs of the last answer; ``counts`` sums over them and over ``gone``.
    ``ended`` is when a terminal status was first seen. The expected duration (seconds), end
    and ratio come from earlier runs of the same statement.
    """

    key: JobKey
    name: str = ""
    deadline: float | None = None
    labels: Mapping[str, str] = MappingProxyType({})
    status: JobStatus | None = None
    progress: float | None = None
    subjob_id: int | None = None
    listed: tuple[Sighting, ...] = ()
    gone: Gone = Gone()
    counts: Counts = Counts()
    indices: int | None = None
    work: Work | None = None
    ratio: float | None = None
    last_progress: float | None = None
    last_update: float | None = None
    ended: float | None = None
    expected_duration: float | None = None
    expected_end: float | None = None
    expected_ratio: float | None = None
    details: Details | None = None
