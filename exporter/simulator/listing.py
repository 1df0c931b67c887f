"""The list API's query (dli_02_0025): its parameters, their ranges, filters, order and pages."""

import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any, Final

from .answers import Refusal, Refused, list_row
from .workload import JobState

_STATUSES: Final = frozenset(
    {"LAUNCHING", "RUNNING", "SCALING", "FINISHED", "FAILED", "CANCELLED"}
    | {"COMPUTED", "SUSPENDED", "ACTIVE", "DELETED", "CREATING"}
)
_TYPES: Final = frozenset(
    {"DDL", "DCL", "IMPORT", "EXPORT", "QUERY", "INSERT", "DATA_MIGRATION", "UPDATE", "DELETE"}
    | {"RESTART_QUEUE", "SCALE_QUEUE"}
)
_ENGINES: Final = frozenset({"spark", "hetuEngine"})
_QUEUE: Final = re.compile(r"(?!_)(?![0-9]+$)[A-Za-z0-9_]{1,128}")
_JOB_ID: Final = re.compile(r"[A-Za-z0-9-]{1,64}")
_LARGEST_LONG: Final = 2**63 - 1

Order = tuple[Callable[[JobState, float], float], bool]
_ORDERS: Final[Mapping[str, Order]] = MappingProxyType(
    {
        "start_time_desc": (lambda state, now: state.start, True),
        "start_time_asc": (lambda state, now: state.start, False),
        "duration_desc": (lambda state, now: state.elapsed(now), True),
        "duration_asc": (lambda state, now: state.elapsed(now), False),
    }
)


@dataclass(frozen=True, slots=True, kw_only=True)
class ListQuery:
    """What is asked for; ``start`` and ``end`` bound the start time, in milliseconds."""

    page_size: int = 50
    current_page: int = 1
    order: str = "start_time_desc"
    start: int = 0
    end: int = _LARGEST_LONG
    job_types: frozenset[str] | None = None
    status: str | None = None
    job_id: str | None = None
    queue_name: str | None = None
    sql_pattern: str = ""
    engine_type: str | None = None
    owner: str | None = None
    tags: tuple[tuple[str, str], ...] = ()
    db_name: str | None = None
    table_name: str | None = None

    def matches(self, state: JobState) -> bool:
        """Tell whether a job passes every filter."""
        about = state.particulars
        return (
            _equal(self.status, state.status)
            and _equal(self.job_id, state.job_id)
            and self.start <= state.start * 1000 <= self.end
            and (self.job_types is None or about.job_type in self.job_types)
            and _equal(self.queue_name, about.queue_name)
            and _equal(self.engine_type, about.engine_type)
            and _equal(self.owner, about.owner)
            and _equal(self.db_name, about.database_name)
            and _equal(self.table_name, about.table_name)
            and self.sql_pattern.lower() in about.statement.lower()
            # Tags match fuzzily only: there is no way to ask for a whole value.
            and all(value in about.tags.get(key, "\0") for key, value in self.tags)
        )


def parse_query(pairs: Sequence[tuple[str, str]]) -> ListQuery:
    """Read the parameters; Refused (400 DLI.0001) names the one that is out of range.

    Parameters that the documents do not know are ignored.
    """
    given: dict[str, str] = {}
    for name, value in pairs:
        if name in given and name != "job_types":
            raise _refused(name, "may be given once")
        given[name] = value
    several = [value for name, value in pairs if name == "job_types"]
    return ListQuery(
        page_size=_integer(given, "page-size", 50, 1, 100),
        current_page=_integer(given, "current-page", 1, 1, 100),
        order=_word(given, "order", _ORDERS) or "start_time_desc",
        start=_integer(given, "start", 0, 0, _LARGEST_LONG),
        end=_integer(given, "end", _LARGEST_LONG, 0, _LARGEST_LONG),
        job_types=_job_types(_word(given, "job-type", _TYPES | {"ALL"}), several),
        status=_word(given, "job-status", _STATUSES),
        job_id=_text(given, "job-id", _JOB_ID),
        queue_name=_text(given, "queue_name", _QUEUE),
        sql_pattern=_text(given, "sql_pattern", re.compile(r"(?s).{0,1024}")) or "",
        # The spelling differs between the editions of the documents; both mean the same.
        engine_type=_word(given, "engine-type", _ENGINES) or _word(given, "engine_type", _ENGINES),
        owner=given.get("owner") or None,
        tags=_tags(given.get("tags", "")),
        db_name=given.get("db_name") or None,
        table_name=given.get("table_name") or None,
    )


def list_body(query: ListQuery, states: Iterable[JobState], now: float) -> dict[str, Any]:
    """Write the answer: one page of the jobs that match, and how many match in all."""
    found = [state for state in states if query.matches(state)]
    figure, descending = _ORDERS[query.order]
    found.sort(key=lambda state: (figure(state, now), state.job_id), reverse=descending)
    first = (query.current_page - 1) * query.page_size
    rows = [list_row(state, now) for state in found[first : first + query.page_size]]
    return {"is_success": True, "message": "", "job_count": len(found), "jobs": rows}


def _equal(wanted: str | None, value: str) -> bool:
    return wanted is None or wanted == value


def _job_types(one: str | None, several: Sequence[str]) -> frozenset[str] | None:
    """``job-type`` and ``job_types`` intersect; ALL is no filter."""
    allowed = None if one in (None, "ALL") else {one}
    for value in several:
        if value not in _TYPES:
            raise _refused("job_types", f"must be of {', '.join(sorted(_TYPES))}")
    if several:
        allowed = set(several) if allowed is None else allowed & set(several)
    return None if allowed is None else frozenset(str(word) for word in allowed)


def _tags(text: str) -> tuple[tuple[str, str], ...]:
    parts = [part.partition("=") for part in text.split(",") if part]
    if any(not key for key, _, _ in parts):
        raise _refused("tags", "must be like k1=v1,k2=v2")
    return tuple((key, value) for key, _, value in parts)


def _integer(given: Mapping[str, str], name: str, default: int, low: int, high: int) -> int:
    text = given.get(name, "")
    if not text:
        return default
    if not re.fullmatch(r"[0-9]{1,19}", text) or not low <= int(text) <= high:
        raise _refused(name, f"must be within [{low}, {high}]")
    return int(text)


def _word(given: Mapping[str, str], name: str, allowed: Iterable[str]) -> str | None:
    text = given.get(name, "")
    if text and text not in allowed:
        raise _refused(name, f"must be one of {', '.join(sorted(allowed))}")
    return text or None


def _text(given: Mapping[str, str], name: str, form: re.Pattern[str]) -> str | None:
    text = given.get(name, "")
    if text and not form.fullmatch(text):
        raise _refused(name, f"must match {form.pattern}")
    return text or None


def _refused(name: str, rule: str) -> Refused:
    return Refused(Refusal(400, "DLI.0001", f"Parameter check errors occur: {name} {rule}."))
