"""The shapes of DLI's and its gateway's answers, written from their documents alone."""

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final

from .workload import JobState

JSON_TYPE: Final = "application/json;charset=UTF-8"


@dataclass(frozen=True, slots=True)
class Answer:
    """What goes out: status, body, and headers beyond those that every answer has."""

    status: int
    body: bytes = field(repr=False)
    content_type: str = JSON_TYPE
    headers: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Refusal:
    """An error answer: an HTTP status with ``error_code`` and ``error_msg`` (dli_02_0056).

    The gateway's own errors (``APIG…``) carry a ``request_id`` beside them.
    """

    status: int
    code: str
    message: str
    headers: Mapping[str, str] = field(default_factory=dict)

    def answer(self, request_id: str) -> Answer:
        """Write it in the shape of whoever refuses: the gateway or DLI behind it."""
        body = {"error_msg": self.message, "error_code": self.code}
        if self.code.startswith("APIG"):
            body["request_id"] = request_id
        return Answer(self.status, dump(body), headers=self.headers)


class Refused(Exception):
    """Raised where a request goes no further; carries the answer it gets."""

    def __init__(self, refusal: Refusal) -> None:
        """Refuse with ``refusal``."""
        super().__init__(refusal.message)
        self.refusal = refusal


UNKNOWN_API: Final = Refusal(
    404, "APIGW.0101", "The API does not exist or has not been published in the environment."
)
UNKNOWN_JOB: Final = Refusal(400, "DLI.0002", "The object does not exist.")
UNRELATED_JOB: Final = Refusal(404, "DLI.0023", "No related resources were found.")


def dump(body: object) -> bytes:
    """Write JSON as compactly as DLI does."""
    return json.dumps(body, separators=(",", ":"), ensure_ascii=False).encode()


def list_row(state: JobState, now: float) -> dict[str, Any]:
    """Write one entry of ``jobs`` (dli_02_0025, SDK ``SqlJob``)."""
    about = state.particulars
    row = _common(state, now) | {
        "input_row_count": _input_rows(state),
        "bad_row_count": 0,
        "message": about.message if state.status == "FAILED" else "",
        "with_column_header": False,
        "engine_type": about.engine_type,
    }
    if state.end is None:
        return row
    return row | {
        "end_time": _milliseconds(state.end),
        "cpu_cost": str(int(state.elapsed(now) * 1000 * about.cores * 0.8)),
        "output_byte": str(_result_rows(state) * about.row_bytes),
        "result_format": "csv",
        "result_path": f"obs://dli-results/jobs/result/{state.job_id}",
        "execution_details_path": f"obs://dli-results/jobs/execution_details/{state.job_id}",
    }


def status_body(state: JobState, now: float) -> dict[str, Any]:
    """Write the answer of the status API (dli_02_0021): no end, no costs."""
    body = {"is_success": True, "message": "", "job_mode": "async", "user_conf": "{}"}
    if state.status == "FAILED":
        body["message"] = state.particulars.message
    rows = {"input_row_count": _input_rows(state), "bad_row_count": 0}
    return body | _common(state, now) | rows


def _common(state: JobState, now: float) -> dict[str, Any]:
    about = state.particulars
    start = _milliseconds(state.start)
    over = state.end is not None
    fields = {
        "job_id": state.job_id,
        "job_type": about.job_type,
        "queue_name": about.queue_name,
        "owner": about.owner,
        "start_time": start,
        "duration": _milliseconds(state.start + state.elapsed(now)) - start,
        "status": state.status,
        "input_size": _input_rows(state) * about.row_bytes,
        "result_count": _result_rows(state) if over else 0,
        "database_name": about.database_name,
        "table_name": about.table_name,
        "detail": _columns() if over and about.job_type == "QUERY" else "",
        "statement": about.statement,
    }
    if about.tags:
        fields["tags"] = [{"key": key, "value": value} for key, value in about.tags.items()]
    return fields


def _milliseconds(seconds: float) -> int:
    return round(seconds * 1000)


def _input_rows(state: JobState) -> int:
    return state.completed * state.particulars.task_rows


def _result_rows(state: JobState) -> int:
    """Guess at what comes out: a query returns few rows, everything else writes many."""
    if state.status != "FINISHED":
        return 0
    return _input_rows(state) // (1000 if state.particulars.job_type == "QUERY" else 4)


def _columns() -> str:
    """Describe a result's columns: JSON inside a JSON string, as in the documented example."""
    column = {"name": "name", "type": "string", "nullable": True, "metadata": {}}
    return json.dumps({"type": "struct", "fields": [column]}, separators=(",", ":"))
