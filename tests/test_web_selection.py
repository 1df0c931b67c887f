"""Which jobs the status page shows, and in which order."""

from collections.abc import Generator, Sequence
from typing import Any, Final, TypeVar
from urllib.parse import parse_qsl

import pytest

from exporter.jobs.model import Counts, Details, Job, JobKey, JobStatus
from exporter.web.selection import (
    ROWS,
    SORTS,
    Query,
    Selection,
    end,
    label,
    select,
    shown_ratio,
)

_T = TypeVar("_T")
NOW: Final = 1_795_003_200.0


def job(job_id: str, project: str = "prod", **changes: Any) -> Job:
    return Job(key=JobKey(project, job_id), **{"status": JobStatus.RUNNING, **changes})


def result(steps: Generator[None, None, _T]) -> tuple[_T, int]:
    """Take all steps; give the result and how many there were."""
    count = 0
    while True:
        try:
            next(steps)
        except StopIteration as stop:
            value: _T = stop.value
            return value, count
        count += 1


def selected(jobs: Sequence[Job], **query: str) -> Selection:
    return result(select(jobs, Query.parse(query)))[0]


def ids(jobs: Sequence[Job], **query: str) -> list[str]:
    return [each.key.job_id for each in selected(jobs, **query).jobs]


@pytest.mark.parametrize(
    "address",
    [
        "?",
        "?q=a+%26+b",
        "?project=prod&status=FAILED&sort=-progress&page=3",
        "?sort=name",
        "?q=%3Cscript%3E",
    ],
)
def test_a_query_is_its_address(address: str) -> None:
    assert Query.parse(dict(parse_qsl(address[1:]))).address == address


@pytest.mark.parametrize(
    "given",
    [
        {"sort": "nothing"},
        {"sort": "-"},
        {"sort": "--name"},
        {"status": "running"},
        {"status": "<script>"},
        {"page": "0"},
        {"page": "-1"},
        {"page": "x"},
        {"page": "1e3"},
        {"page": "9" * 5_000},
        {"q": "   "},
        {"other": "1"},
    ],
)
def test_what_makes_no_sense_is_as_if_not_there(given: dict[str, str]) -> None:
    assert Query.parse(given) == Query()


def test_a_lone_surrogate_has_an_address() -> None:
    assert Query.parse({"q": "a\ud800"}).address == "?q=a%3F"


def test_long_words_are_cut() -> None:
    query = Query.parse({"q": "a" * 10_000, "project": "b" * 10_000})
    assert (len(query.text), len(query.project)) == (256, 256)


def test_a_column_is_sorted_one_way_and_then_the_other() -> None:
    query = Query(page=3).sorted_by("name")
    assert query.address == "?sort=name"
    assert query.sorted_by("name").address == "?sort=-name"
    assert query.sorted_by("name").sorted_by("name").address == "?sort=name"
    assert query.sorted_by("name").sorted_by("queue").address == "?sort=queue"


def test_another_status_begins_with_its_first_page() -> None:
    assert Query(text="a", page=3).with_status("FAILED").address == "?q=a&status=FAILED"


@pytest.mark.parametrize("text", ["NIGHT", "b-2", "etl_", "mei"])
def test_a_text_is_sought_in_name_id_queue_and_owner(text: str) -> None:
    found = job("job-2", name="nightly", details=Details(queue_name="etl_1", owner="Mei Tan"))
    assert ids([job("job-1"), found], q=text) == ["job-2"]


def test_filters_hold_together_and_each_status_is_counted_without_its_own() -> None:
    jobs = [
        job("1", name="a"),
        job("2", name="a", status=JobStatus.FAILED, ended=NOW),
        job("3", name="b", status=JobStatus.FAILED, ended=NOW),
        job("4", "test", name="a", status=None),
        job("5", "test", name="a", status=JobStatus.FAILED, ended=NOW),
    ]
    chosen = selected(jobs, q="a", project="prod", status="FAILED")
    assert [each.key.job_id for each in chosen.jobs] == ["2"]
    assert (chosen.total, chosen.matching) == (5, 1)
    assert chosen.by_status == {"RUNNING": 1, "FAILED": 1}
    assert chosen.by_project == {"prod": 3, "test": 2}
    assert ids(jobs, status="NEW") == ["4"]


def test_usually_what_runs_comes_first_by_name_and_what_ended_last_before_the_others() -> None:
    jobs = [
        job("old", status=JobStatus.FINISHED, ended=NOW - 60),
        job("new", status=JobStatus.FAILED, ended=NOW),
        job("waits", status=JobStatus.LAUNCHING),
        job("unasked", status=None),
        job("B"),
        job("x", name="a"),
    ]
    assert ids(jobs) == ["x", "B", "unasked", "waits", "new", "old"]


VALUES: Final[dict[str, tuple[dict[str, Any], dict[str, Any], dict[str, Any] | None]]] = {
    "name": ({"name": "a"}, {"name": "B"}, None),
    "queue": ({"details": Details(queue_name="a")}, {"details": Details(queue_name="b")}, {}),
    "status": ({"status": JobStatus.FAILED}, {"status": JobStatus.RUNNING}, None),
    "progress": ({"ratio": 0.2}, {"expected_ratio": 0.3, "ratio": 0.1}, {}),
    "end": ({"expected_end": NOW}, {"ended": NOW + 1}, {}),
    "failed": ({"counts": Counts(tasks_failed=0)}, {"counts": Counts(tasks_failed=1)}, {}),
    "updated": ({"last_update": 1.0}, {"last_update": 2.0}, {}),
}


@pytest.mark.parametrize("column", VALUES)
def test_columns_sort_either_way_and_what_is_unknown_comes_last(column: str) -> None:
    low, high, without = VALUES[column]
    jobs = [job("2", **high), job("1", **low)]
    if without is not None:
        jobs.insert(0, job("0", **without))
    last = ["0"] if without is not None else []
    assert ids(jobs, sort=column) == ["1", "2", *last]
    assert ids(jobs, sort=f"-{column}") == ["2", "1", *last]


def test_projects_sort_too() -> None:
    jobs = [job("1", "b"), job("2", "a")]
    assert ids(jobs, sort="project") == ["2", "1"]
    assert {*VALUES, "project"} == set(SORTS)


def test_equal_ones_stand_as_usual_in_either_direction() -> None:
    jobs = [job("c"), job("a"), job("b")]
    assert ids(jobs, sort="status") == ids(jobs, sort="-status") == ["a", "b", "c"]


def test_many_jobs_come_page_by_page() -> None:
    jobs = [job(f"{number:04}") for number in range(2 * ROWS + 1)]
    assert ids(jobs)[-1] == f"{ROWS - 1:04}"
    last = selected(jobs, page="3")
    assert [each.key.job_id for each in last.jobs] == [f"{2 * ROWS:04}"]
    assert (last.first, last.page, last.pages) == (2 * ROWS + 1, 3, 3)
    assert selected(jobs, page="99") == last


def test_no_job_is_one_empty_page() -> None:
    nothing = selected([])
    assert (nothing.jobs, nothing.matching, nothing.page, nothing.pages) == ((), 0, 1, 1)


def test_others_have_turns_while_thousands_are_looked_at() -> None:
    few, many = ([job(str(n)) for n in range(count)] for count in (10, 2_000))
    assert result(select(many, Query()))[1] >= result(select(few, Query()))[1] + 10


def test_the_progress_shown_is_that_of_time_where_history_gives_one() -> None:
    assert shown_ratio(job("1", ratio=0.2)) == 0.2
    assert shown_ratio(job("1", ratio=0.2, expected_ratio=0.4)) == 0.4
    assert shown_ratio(job("1", ratio=0.2, progress=0.9)) == 0.2
    over = job("1", status=JobStatus.FINISHED, ratio=1.0, expected_ratio=0.4)
    assert shown_ratio(over) == 1.0


def test_the_end_is_the_told_one_then_the_seen_one_then_the_expected_one() -> None:
    expected = job("1", expected_end=NOW)
    seen = expected._replace(ended=NOW - 5)
    told = seen._replace(details=Details(end=NOW - 7))
    assert [end(each) for each in (job("1"), expected, seen, told)] == [
        None,
        NOW,
        NOW - 5,
        NOW - 7,
    ]


def test_a_job_without_a_name_is_called_by_its_id() -> None:
    assert [label(job("1")), label(job("1", name="a"))] == ["1", "a"]
