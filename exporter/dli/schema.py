"""DLI's good answers, read leniently: open enums, missing and wrong-typed fields, odd numbers."""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Final, NamedTuple

from ..jobs.model import Details, JobStatus, ListedJob, Observation
from .errors import ParseError
from .fields import Notes, Record, cut, load
from .refusals import classify, code_and_message
from .subjobs import FIELDS as SUBJOB_FIELDS
from .subjobs import read_subjobs
from .times import DEFAULT_ZONES

LONGEST_STATEMENT: Final = 65_536
"""Statements are cut at this many bytes: some hold a megabyte of values."""

_JOB_ID: Final = re.compile(r"[A-Za-z0-9-]{1,64}")
_LONGEST_WORD: Final = 64
_STATUSES: Final[Mapping[str, JobStatus]] = {status.value: status for status in JobStatus}
_UNKNOWN: Final = JobStatus.UNKNOWN
_JOB_FIELDS: Final = ("job_id", "is_success", "status", "progress", "sub_job_id", "sub_jobs")
_KEPT: Final = frozenset({"progress", "sub_job_id", "sub_jobs"})
_DOCUMENTED: Final = frozenset({*_JOB_FIELDS, "message"})
_ROW_FIELDS: Final = (
    *("job_id", "status", "queue_name", "job_type", "engine_type", "owner", "database_name"),
    *("tags", "start_time", "end_time", "duration", "input_size", "input_row_count"),
    *("bad_row_count", "result_count", "output_byte", "cpu_cost", "statement"),
)
FIELDS: Final = (
    "body",
    *_JOB_FIELDS,
    *(f"sub_jobs.{name}" for name in SUBJOB_FIELDS),
    *("job_count", "jobs"),
    *(f"jobs.{name}" for name in _ROW_FIELDS),
)
"""Every field that an answer's ``unreadable`` and ``out_of_range``, or a ParseError, can name."""


class Answer(NamedTuple):
    """What the progress API said about one job.

    ``unreadable`` and ``out_of_range`` name, once each, the fields that could not be read and
    those whose value cannot be; ``status_word`` is the status as it came, cut and printable.
    """

    observation: Observation
    unreadable: tuple[str, ...] = ()
    out_of_range: tuple[str, ...] = ()
    status_word: str = ""


@dataclass(frozen=True, slots=True)
class JobsPage:
    """One page of the list API; ``count`` is its claim of the total over all pages.

    ``dropped`` is the number of rows that could not be told apart or had no status, so that
    a page which seems to miss a job is not taken for proof.
    """

    jobs: tuple[ListedJob, ...]
    count: int | None = None
    unreadable: tuple[str, ...] = ()
    out_of_range: tuple[str, ...] = ()
    dropped: int = 0


def is_job_id(text: str) -> bool:
    """Tell whether a text may be a job id: it goes into URLs, labels and file names."""
    return _JOB_ID.fullmatch(text) is not None


def parse_progress(
    body: bytes, *, job_id: str | None = None, zones: Mapping[str, int] = DEFAULT_ZONES
) -> Answer:
    """Read the answer of the progress API (dli_02_0296).

    ParseError if it is no such answer, has no status, or speaks of another job than
    ``job_id``; another DliError if it says itself that it failed.
    """
    notes = Notes()
    record = _answer(body, notes, expected="status")
    _refuse_other_job(record, job_id)
    word = _word(record, "status")
    observation = Observation(
        status=_status(word),
        progress=_progress(record),
        subjob_id=_subjob_id(record),
        subjobs=read_subjobs(record, notes, zones),
        malformed=_KEPT & notes.unreadable,
    )
    return Answer(observation, *_sorted(notes), word)


def parse_jobs(body: bytes) -> JobsPage:
    """Read a page of the list API (dli_02_0025).

    ParseError if it is no such page: an odd answer must not pass for an empty list. Another
    DliError if it says itself that it failed.
    """
    notes = Notes()
    record = _answer(body, notes, expected="jobs")
    count = record.count("job_count")
    if "jobs" not in record and count != 0:
        raise ParseError("the answer has no jobs", field="jobs")
    rows = record.items("jobs")
    if rows is None:
        raise ParseError("the answer's jobs are not a list", field="jobs")
    read = [_row(row, notes) for row in rows]
    jobs = tuple(job for job in read if job)
    return JobsPage(jobs, count, *_sorted(notes), dropped=len(read) - len(jobs))


def _answer(body: bytes, notes: Notes, *, expected: str) -> Record:
    """Take the answer apart, or raise what it says went wrong."""
    document = load(body)
    if not isinstance(document, dict):
        code, message = code_and_message(document)
        if code:
            raise classify(200, code, message)
        raise ParseError(f"the answer is {_described(document)} instead of an object")
    record = Record(document, notes, documented=_DOCUMENTED)
    failed = record.flag("is_success") is False
    # A code beside a good answer is an odd note, not an error (status example of 2021).
    if failed or expected not in record:
        code, message = code_and_message(document)
        if failed or code:
            raise classify(200, code, message or ("" if code else "is_success is false"))
    return record


def _refuse_other_job(record: Record, job_id: str | None) -> None:
    given = record.raw("job_id")
    if job_id is None or given is None or given == "":
        return
    if not isinstance(given, str) or given.lower() != job_id.lower():
        raise ParseError("the answer is about another job", field="job_id")


def _word(record: Record, name: str) -> str:
    value = record.raw(name)
    text = value if isinstance(value, str) else ""
    word = (text if text.isprintable() else "".join(filter(str.isprintable, text))).strip()
    if not word:
        raise ParseError(f"the answer has no {name}", field=name)
    return word[:_LONGEST_WORD]


def _status(word: str) -> JobStatus:
    return _STATUSES.get(word.upper(), _UNKNOWN)


def _progress(record: Record) -> float | None:
    progress = record.number("progress")
    if progress is not None and not 0 <= progress <= 1:
        record.out_of_range("progress")
    return progress


def _subjob_id(record: Record) -> int | None:
    number = record.integer("sub_job_id")
    if number is not None and number < 0:
        record.out_of_range("sub_job_id")
        return None
    return number


def _row(row: object, notes: Notes) -> ListedJob | None:
    """Read one listed job; None if it has no proper id or no status."""
    if not isinstance(row, dict):
        notes.unreadable.add("jobs")
        return None
    record = Record(row, notes, "jobs.")
    job_id = record.text("job_id")
    if not is_job_id(job_id):
        record.unreadable("job_id")
        return None
    if not (word := record.text("status").strip()):
        record.unreadable("status")
        return None
    return ListedJob(
        job_id=job_id,
        status=_status(word),
        details=_details(record),
        statement=record.text("statement", LONGEST_STATEMENT),
    )


def _details(record: Record) -> Details:
    # Core-milliseconds in a string, empty where there is no figure (SDK sql_job.py).
    cost = record.number("cpu_cost", blank=True)
    return Details(
        queue_name=record.text("queue_name"),
        job_type=record.text("job_type"),
        engine_type=record.text("engine_type"),
        owner=record.text("owner"),
        database_name=record.text("database_name"),
        tags=_tags(record),
        start=record.moment("start_time"),
        end=record.moment("end_time"),
        duration=record.seconds("duration"),
        input_bytes=record.count("input_size"),
        input_rows=record.count("input_row_count"),
        bad_rows=record.count("bad_row_count"),
        result_rows=record.count("result_count"),
        output_bytes=record.count("output_byte", blank=True),
        cpu_core_seconds=None if cost is None else cost / 1000,
    )


def _tags(record: Record) -> Mapping[str, str]:
    tags: dict[str, str] = {}
    for tag in record.items("tags") or ():
        key, value = (tag.get("key"), tag.get("value")) if isinstance(tag, dict) else (None, None)
        if isinstance(key, str) and isinstance(value, str | None):
            tags[cut(key, 256)] = cut(value or "", 256)
        else:
            record.unreadable("tags")
    return MappingProxyType(tags)


def _described(document: object) -> str:
    return "null" if document is None else f"a {type(document).__name__}"


def _sorted(notes: Notes) -> tuple[tuple[str, ...], tuple[str, ...]]:
    return tuple(sorted(notes.unreadable)), tuple(sorted(notes.out_of_range))
