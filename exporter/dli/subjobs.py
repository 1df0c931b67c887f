"""The sub-jobs of an answer (Spark's JobData in snake_case, dli_02_0296), read leniently."""

from collections.abc import Mapping
from functools import reduce
from operator import itemgetter, or_
from typing import Final

from ..jobs.model import Counts, KillReason, SubJob, SubJobStatus
from .fields import LARGEST, Notes, Record, are_plain, cut, is_count
from .kills import by_reason
from .times import parse_time

LONGEST_NAME: Final = 128
"""Sub-job names are cut at this many bytes."""

# In the order of Counts, where the number of stages has its place between the two.
_TASKS: Final = (
    "num_tasks",
    "num_active_tasks",
    "num_completed_tasks",
    "num_skipped_tasks",
    "num_failed_tasks",
    "num_killed_tasks",
    "num_completed_indices",
)
_STAGES: Final = (
    "num_active_stages",
    "num_completed_stages",
    "num_skipped_stages",
    "num_failed_stages",
)
FIELDS: Final = (
    *("id", "name", "status", "submission_time", "completion_time", "stage_ids"),
    *(*_TASKS, *_STAGES),
    "killed_tasks_summary",
)
"""The fields of a sub-job that are read."""

_DOCUMENTED: Final = frozenset({*FIELDS, "description", "job_group"})
_STATUSES: Final[Mapping[str, SubJobStatus]] = {status.value: status for status in SubJobStatus}
_UNKNOWN: Final = SubJobStatus.UNKNOWN

_VALUES: Final = itemgetter(
    *("id", *_TASKS, *_STAGES), *("stage_ids", "name", "status", "submission_time")
)
"""What every sub-job of a recording, and of the documentation, has: figures, and the rest."""
_FIGURES: Final = 1 + len(_TASKS) + len(_STAGES)
_TYPES: Final = (*(int for _ in range(_FIGURES)), list, str, str, str)


def read_subjobs(record: Record, notes: Notes, zones: Mapping[str, int]) -> tuple[SubJob, ...]:
    """Read the sub-jobs, ordered by id; of two with one id the one listed last stands."""
    found: dict[int, SubJob] = {}
    dropped = False
    for entry in record.items("sub_jobs") or ():
        subjob = read_plain(entry, zones) or read_leniently(entry, notes, zones)
        if subjob is None:
            dropped = True
        else:
            found[subjob.id] = subjob
    if dropped:
        record.unreadable("sub_jobs.id")
    return tuple(map(found.__getitem__, sorted(found)))


def read_plain(entry: object, zones: Mapping[str, int]) -> SubJob | None:
    """Read a sub-job of which nothing is odd; None of any other.

    It says what :func:`read_leniently` does, in half the time (3 us), by looking at all
    fields at once.
    """
    if not isinstance(entry, dict) or not are_plain(entry, _DOCUMENTED):
        return None
    try:
        values = _VALUES(entry)
    except KeyError:
        return None
    # An "or" of all bits is negative if one figure is, and too large if one is.
    if tuple(map(type, values)) != _TYPES or not 0 <= reduce(or_, values[:_FIGURES]) <= LARGEST:
        return None
    number, *counts, stages, name, word, begun = values
    killed = _plainly_killed(entry.get("killed_tasks_summary"))
    submitted, ended = parse_time(begun, zones), entry.get("completion_time")
    completed = parse_time(ended, zones) if type(ended) is str else None
    if killed is None or submitted is None or (completed is None and ended is not None):
        return None
    counts.insert(len(_TASKS), len(stages))
    status = _STATUSES.get(word.upper(), _UNKNOWN)
    name = cut(name, LONGEST_NAME)
    return SubJob(number, status, name, Counts._make(counts), killed, submitted, completed)


def _plainly_killed(summary: object) -> Mapping[KillReason, int] | None:
    if summary is None:
        return by_reason({})
    if isinstance(summary, dict) and all(map(is_count, summary.values())):
        return by_reason(summary)
    return None


def read_leniently(entry: object, notes: Notes, zones: Mapping[str, int]) -> SubJob | None:
    """Read a sub-job field by field; None if it cannot be told which one it is."""
    if not isinstance(entry, dict):
        return None
    record = Record(entry, notes, "sub_jobs.", _DOCUMENTED)
    number = record.integer("id")
    if number is None or number < 0:
        return None
    counts = (*record.counts(_TASKS), _stages(record), *record.counts(_STAGES))
    return SubJob(
        id=number,
        status=_STATUSES.get(record.text("status").upper(), _UNKNOWN),
        name=record.text("name", LONGEST_NAME),
        counts=Counts._make(counts),
        killed=_killed(record),
        submitted=record.time("submission_time", zones),
        completed=record.time("completion_time", zones),
    )


def _stages(record: Record) -> int | None:
    if record.raw("stage_ids") is None:
        return None
    stages = record.items("stage_ids")
    return None if stages is None else len(stages)


def _killed(record: Record) -> Mapping[KillReason, int]:
    summary = record.raw("killed_tasks_summary")
    if not isinstance(summary, dict):
        if summary is not None:
            record.unreadable("killed_tasks_summary")
        return by_reason({})
    notes = Notes()
    counts = {text: Record({"count": n}, notes).count("count") for text, n in summary.items()}
    if notes.unreadable:
        record.unreadable("killed_tasks_summary")
    if notes.out_of_range:
        record.out_of_range("killed_tasks_summary")
    return by_reason({text: count for text, count in counts.items() if count is not None})
