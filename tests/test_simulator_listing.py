"""The list API's parameters, filters, orders and pages."""

from typing import Any

import pytest

from exporter.simulator.answers import Refused
from exporter.simulator.listing import ListQuery, list_body, parse_query
from exporter.simulator.statements import Particulars
from exporter.simulator.workload import JobState

NOW = 1_700_000_100.0


def job(number: int, status: str = "RUNNING", **about: Any) -> JobState:
    given = {"statement": f"select {number}", **about}
    start = 1_700_000_000.0 + number
    end = start + 10 * (5 - number) if status == "FINISHED" else None
    return JobState(
        job_id=f"job-{number}",
        particulars=Particulars(**given),
        status=status,
        start=start,
        end=end,
    )


JOBS = (
    job(1, queue_name="etl", owner="ann", tags={"jobName": "orders_daily", "team": "sales"}),
    job(2, "FINISHED", job_type="INSERT", database_name="sales", table_name="orders"),
    job(3, "FAILED", engine_type="hetuEngine", statement="SELECT * FROM Sales.Orders"),
    job(4, "FINISHED", job_type="EXPORT", queue_name="etl", tags={"jobName": "orders_hourly"}),
    job(5, "LAUNCHING", owner="bob", job_type="UPDATE"),
)


def found(*pairs: tuple[str, str]) -> list[int]:
    query = parse_query([("order", "start_time_asc"), *pairs])
    body = list_body(query, JOBS, NOW)
    assert body["is_success"] is True
    assert body["job_count"] == len(body["jobs"])
    return [int(row["job_id"].removeprefix("job-")) for row in body["jobs"]]


@pytest.mark.parametrize(
    ("pairs", "numbers"),
    [
        ([], [1, 2, 3, 4, 5]),
        ([("job-status", "FINISHED")], [2, 4]),
        ([("job-status", "SCALING")], []),
        ([("job-status", "")], [1, 2, 3, 4, 5]),
        ([("start", "1700000003000")], [3, 4, 5]),
        ([("end", "1700000003000")], [1, 2, 3]),
        ([("start", "1700000002000"), ("end", "1700000004000")], [2, 3, 4]),
        ([("job-type", "QUERY")], [1, 3]),
        ([("job-type", "ALL")], [1, 2, 3, 4, 5]),
        ([("job_types", "INSERT"), ("job_types", "EXPORT")], [2, 4]),
        ([("job-type", "INSERT"), ("job_types", "INSERT"), ("job_types", "QUERY")], [2]),
        ([("job-type", "UPDATE"), ("job_types", "INSERT")], []),
        ([("job-type", "ALL"), ("job_types", "UPDATE")], [5]),
        ([("job-id", "job-4")], [4]),
        ([("job-id", "job-9")], []),
        ([("queue_name", "etl")], [1, 4]),
        ([("sql_pattern", "sales.ORDERS")], [3]),
        ([("sql_pattern", "select")], [1, 2, 3, 4, 5]),
        ([("engine-type", "hetuEngine")], [3]),
        ([("engine_type", "spark")], [1, 2, 4, 5]),
        ([("owner", "bob")], [5]),
        ([("tags", "jobName=orders")], [1, 4]),
        ([("tags", "jobName=daily,team=sal")], [1]),
        ([("tags", "team=marketing")], []),
        ([("tags", "nobody=x")], []),
        ([("db_name", "sales")], [2]),
        ([("table_name", "orders")], [2]),
        ([("X-unheard-of", "1")], [1, 2, 3, 4, 5]),
    ],
)
def test_a_filter_lets_through_what_it_names(
    pairs: list[tuple[str, str]], numbers: list[int]
) -> None:
    assert found(*pairs) == numbers


@pytest.mark.parametrize(
    ("order", "numbers"),
    [
        ("start_time_asc", [1, 2, 3, 4, 5]),
        ("start_time_desc", [5, 4, 3, 2, 1]),
        # Durations: 99 s, 30 s, 97 s, 10 s, and none while launching.
        ("duration_asc", [5, 4, 2, 3, 1]),
        ("duration_desc", [1, 3, 2, 4, 5]),
        ("", [5, 4, 3, 2, 1]),
    ],
)
def test_the_four_orders(order: str, numbers: list[int]) -> None:
    rows = list_body(parse_query([("order", order)]), JOBS, NOW)["jobs"]
    assert [row["job_id"] for row in rows] == [f"job-{number}" for number in numbers]


def test_pages_cut_the_list_without_gap_or_overlap() -> None:
    pages = [
        list_body(ListQuery(page_size=2, current_page=page, order="start_time_asc"), JOBS, NOW)
        for page in (1, 2, 3, 4)
    ]
    assert [[row["job_id"] for row in page["jobs"]] for page in pages] == [
        ["job-1", "job-2"],
        ["job-3", "job-4"],
        ["job-5"],
        [],
    ]
    assert {page["job_count"] for page in pages} == {5}


def test_fifty_jobs_make_a_page_unless_asked_otherwise() -> None:
    many = [job(number) for number in range(120)]
    assert len(list_body(parse_query([]), many, NOW)["jobs"]) == 50
    assert len(list_body(parse_query([("page-size", "100")]), many, NOW)["jobs"]) == 100


@pytest.mark.parametrize(
    ("name", "value", "rule"),
    [
        ("page-size", "0", r"within \[1, 100\]"),
        ("page-size", "101", r"within \[1, 100\]"),
        ("page-size", "ten", r"within \[1, 100\]"),
        ("page-size", "٣", r"within \[1, 100\]"),
        ("current-page", "0", r"within \[1, 100\]"),
        ("current-page", "101", r"within \[1, 100\]"),
        ("current-page", "-1", r"within \[1, 100\]"),
        ("start", "yesterday", r"within \[0, 9223372036854775807\]"),
        ("end", "9223372036854775808", r"within \[0, 9223372036854775807\]"),
        ("job-type", "SELECT", "one of ALL, DATA_MIGRATION, DCL"),
        ("job_types", "ALL", "of DATA_MIGRATION, DCL"),
        ("job-status", "RUNNING,LAUNCHING", "one of ACTIVE"),
        ("job-status", "running", "one of ACTIVE"),
        ("job-id", "a/b", "match"),
        ("job-id", "a" * 65, "match"),
        ("queue_name", "_etl", "match"),
        ("queue_name", "123", "match"),
        ("queue_name", "etl-nightly", "match"),
        ("sql_pattern", "x" * 1025, "match"),
        ("order", "start_time", "one of duration_asc"),
        ("engine-type", "flink", "one of hetuEngine, spark"),
        ("engine_type", "Spark", "one of hetuEngine, spark"),
        ("tags", "=x", "like k1=v1,k2=v2"),
    ],
)
def test_a_parameter_out_of_range_is_refused_by_name(name: str, value: str, rule: str) -> None:
    with pytest.raises(Refused, match=rf"{name} must (be )?({rule})") as caught:
        parse_query([(name, value)])
    assert (caught.value.refusal.status, caught.value.refusal.code) == (400, "DLI.0001")


def test_only_job_types_may_be_repeated() -> None:
    with pytest.raises(Refused, match="job-status may be given once"):
        parse_query([("job-status", "RUNNING"), ("job-status", "LAUNCHING")])
