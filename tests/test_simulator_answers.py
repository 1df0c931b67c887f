"""The shapes of answers, beside the documented ones."""

import json
from typing import Any

import pytest

from exporter.simulator.answers import Refusal, list_row, status_body
from exporter.simulator.statements import Particulars
from exporter.simulator.workload import JobState

NOW = 1_700_000_060.0
ABOUT = Particulars(
    statement="select 1",
    queue_name="queue1",
    owner="tenant1",
    database_name="db",
    table_name="t",
    tags={"workspace": "space1"},
    row_bytes=10,
    task_rows=1000,
    cores=4,
)


def state(status: str, **fields: Any) -> JobState:
    given = {"particulars": ABOUT, "start": 1_700_000_000.5, "completed": 7, **fields}
    return JobState(job_id="job-1", status=status, **given)


def test_a_running_job_counts_its_duration_and_has_no_end() -> None:
    assert list_row(state("RUNNING"), NOW) == {
        "job_id": "job-1",
        "job_type": "QUERY",
        "queue_name": "queue1",
        "owner": "tenant1",
        "start_time": 1_700_000_000_500,
        "duration": 59_500,
        "status": "RUNNING",
        "input_size": 70_000,
        "result_count": 0,
        "database_name": "db",
        "table_name": "t",
        "detail": "",
        "statement": "select 1",
        "tags": [{"key": "workspace", "value": "space1"}],
        "input_row_count": 7000,
        "bad_row_count": 0,
        "message": "",
        "with_column_header": False,
        "engine_type": "spark",
    }


def test_a_launching_job_has_no_duration_yet() -> None:
    assert list_row(state("LAUNCHING"), NOW)["duration"] == 0


def test_a_finished_job_has_its_end_results_and_costs_as_texts() -> None:
    row = list_row(state("FINISHED", end=1_700_000_040.5), NOW)
    assert (row["end_time"], row["duration"]) == (1_700_000_040_500, 40_000)
    assert row["end_time"] - row["start_time"] == row["duration"]
    assert (row["cpu_cost"], row["output_byte"], row["result_count"]) == ("128000", "70", 7)
    assert json.loads(row["detail"])["type"] == "struct"
    assert row["result_path"].startswith("obs://")


def test_a_failed_job_says_why_and_returned_nothing() -> None:
    row = list_row(state("FAILED", end=NOW), NOW)
    assert row["message"].startswith("Job aborted")
    assert (row["result_count"], row["output_byte"]) == (0, "0")
    assert status_body(state("FAILED", end=NOW), NOW)["message"].startswith("Job aborted")


def test_the_status_api_knows_neither_end_nor_costs() -> None:
    body = status_body(state("FINISHED", end=NOW), NOW)
    assert not body.keys() & {"end_time", "cpu_cost", "output_byte", "engine_type"}
    assert (body["is_success"], body["job_mode"], body["status"]) == (True, "async", "FINISHED")


def test_a_job_without_tags_has_no_such_field() -> None:
    bare = state("RUNNING", particulars=Particulars(statement="select 1"))
    assert "tags" not in list_row(bare, NOW)


@pytest.mark.parametrize(("code", "named"), [("APIGW.0101", True), ("DLI.0002", False)])
def test_only_the_gateway_names_the_request_in_its_errors(code: str, named: bool) -> None:
    body = json.loads(Refusal(400, code, "no").answer("abc").body)
    expected = {"error_code": code, "error_msg": "no"}
    assert body == (expected | {"request_id": "abc"} if named else expected)
