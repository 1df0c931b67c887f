"""The table of jobs: what a row says, and that nothing in it can be more than text."""

import re
from html.parser import HTMLParser
from typing import Any, Final

import pytest

from exporter.jobs.model import (
    Counts,
    Details,
    Job,
    JobKey,
    JobStatus,
    Sighting,
    SubJob,
    SubJobStatus,
)
from exporter.web.rows import STATUS_NAMES, heading, row, rows
from exporter.web.selection import SORTS, STATUSES, Query

NOW: Final = 1_795_003_200.0
JOB: Final = Job(key=JobKey("prod", "85798b38"), name="nightly", status=JobStatus.RUNNING)
ENDED: Final = JOB._replace(status=JobStatus.FINISHED, ended=NOW - 60, ratio=1.0)


class _Text(HTMLParser):
    """What can be read in each column, and all tags with their attributes."""

    def __init__(self) -> None:
        super().__init__()
        self.columns: dict[str, str] = {}
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self._column = ""

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))
        if tag in ("th", "td"):
            self._column = dict(attrs)["class"] or ""
            self.columns[self._column] = ""

    def handle_data(self, data: str) -> None:
        self.columns[self._column] = " ".join(f"{self.columns[self._column]} {data}".split())


def parsed(job: Job, stale: float = 300.0) -> _Text:
    text = _Text()
    text.feed(row(job, now=NOW, stale=stale))
    text.close()
    return text


def column(shown: str, /, **changes: Any) -> str:
    return parsed(JOB._replace(**changes)).columns[shown]


def test_every_status_has_a_name_and_every_column_can_be_sorted() -> None:
    assert set(STATUS_NAMES) == set(STATUSES)
    assert re.findall(r"sort=([a-z]+)", heading(Query())) == list(SORTS)


def test_the_column_that_sorts_says_so_and_offers_the_other_way() -> None:
    rising, falling = (heading(Query(sort="name", descending=falls)) for falls in (False, True))
    assert rising.count("aria-sort") == 1
    assert 'class="name" aria-sort="ascending"><a href="?sort=-name">' in rising
    assert 'class="name" aria-sort="descending"><a href="?sort=name">' in falling
    assert "aria-sort" not in heading(Query())


def test_sorting_keeps_the_filter() -> None:
    assert 'href="?q=%22%3E&amp;sort=name"' in heading(Query(text='">'))


def test_a_job_has_its_name_and_id_or_only_its_id() -> None:
    assert column("name") == "nightly 85798b38"
    assert column("name", name="") == "85798b38"


def test_a_job_that_was_never_asked_for_shows_nothing_that_is_not_known() -> None:
    columns = parsed(Job(key=JobKey("prod", "1"))).columns
    assert columns == {
        "name": "1",
        "project": "prod",
        "queue": "",
        "status": "Not asked yet",
        "progress": "",
        "end": "",
        "failed": "",
        "updated": "",
    }


@pytest.mark.parametrize(
    ("changes", "shown"),
    [
        ({}, "unknown"),
        ({"ratio": 0.425}, "42% of work"),
        ({"ratio": 0.425, "progress": 0.9}, "42% of work"),
        ({"ratio": 0.425, "expected_ratio": 0.5}, "50% of time Details of nightly Work done 42%"),
        ({"ratio": 0.4, "last_progress": NOW - 1_800}, "40% of work"),
        ({"ratio": 0.4, "last_progress": NOW - 1_860}, "40% of work no progress for 31m"),
        ({"ratio": 0.4, "status": JobStatus.FAILED, "ended": NOW, "last_progress": 1.0}, "40%"),
    ],
)
def test_progress_says_of_what_it_is(changes: dict[str, Any], shown: str) -> None:
    assert column("progress", **changes) == shown


def test_a_bar_has_a_value_and_a_name() -> None:
    bars = [attrs for tag, attrs in parsed(JOB._replace(ratio=1.35)).tags if tag == "progress"]
    assert bars == [{"value": "1.000", "aria-label": "Progress of nightly"}]


def subjob(number: int, status: SubJobStatus = SubJobStatus.RUNNING, **changes: Any) -> Sighting:
    counts = Counts(tasks=36, indices_completed=12)
    given = {"id": number, "status": status, "name": f"collect {number}", "counts": counts}
    return Sighting(subjob=SubJob(**{**given, **changes}), first=0.0, first_done=0)


def test_running_sub_jobs_have_bars_and_ended_ones_none() -> None:
    listed = (
        subjob(1)._replace(expected_end=NOW + 65),
        subjob(2, SubJobStatus.SUCCEEDED),
        subjob(3, name="", counts=Counts()),
    )
    shown = column("progress", counts=Counts(tasks=72, tasks_completed=48), listed=listed)
    assert "2 sub-jobs running" in shown
    assert "collect 1 33% 12 of 36 tasks, ends in 1m 5s" in shown
    assert "collect 2" not in shown
    assert "sub-job 3" in shown


def test_hundreds_of_running_sub_jobs_are_cut_and_counted() -> None:
    listed = tuple(subjob(number) for number in range(50))
    shown = column("progress", counts=Counts(tasks=1), listed=listed)
    assert "50 sub-jobs running" in shown
    assert "collect 19" in shown
    assert "collect 20" not in shown
    assert "and 30 more" in shown


def test_details_tell_what_else_is_known() -> None:
    details = Details(
        start=NOW - 90, job_type="INSERT", engine_type="spark", database_name="crm", owner="mei"
    )
    counts = Counts(tasks=72, tasks_completed=48, tasks_active=5, tasks_failed=2, tasks_killed=0)
    shown = column("progress", details=details, counts=counts, expected_duration=300.0, ratio=0.5)
    for fact in (
        "Started 1m 30s ago , 11:58",
        "Usually takes 5m",
        "Tasks 48 of 72 completed, 5 active, 2 failed",
        "Type INSERT",
        "Engine spark",
        "Database crm",
        "Owner mei",
    ):
        assert fact in shown


@pytest.mark.parametrize(
    ("changes", "shown"),
    [
        ({}, "unknown"),
        ({"expected_end": NOW + 90}, "in 1m 30s 12:01"),
        ({"expected_end": NOW - 90}, "any moment 11:58"),
        ({"deadline": NOW + 60}, "unknown Deadline 12:01"),
        ({"deadline": NOW - 60}, "unknown Deadline missed, 1m ago"),
        ({"expected_end": NOW + 60, "deadline": NOW + 60}, "in 1m 12:01 Deadline 12:01"),
        (
            {"expected_end": NOW + 90, "deadline": NOW + 60},
            "in 1m 30s 12:01 30s after its deadline",
        ),
    ],
)
def test_the_end_of_a_running_job_and_its_deadline(changes: dict[str, Any], shown: str) -> None:
    assert column("end", **changes) == shown


@pytest.mark.parametrize(
    ("status", "deadline", "shown"),
    [
        (JobStatus.FINISHED, None, "1m ago 11:59"),
        (JobStatus.FINISHED, NOW - 60, "1m ago 11:59 Deadline met"),
        (JobStatus.FINISHED, NOW - 90, "1m ago 11:59 Deadline missed, 30s late"),
        (JobStatus.FAILED, NOW, "1m ago 11:59 Deadline 12:00"),
        (JobStatus.FAILED, NOW - 90, "1m ago 11:59 Deadline missed, 30s late"),
    ],
)
def test_the_end_of_an_ended_job_and_its_deadline(
    status: JobStatus, deadline: float | None, shown: str
) -> None:
    ended = ENDED._replace(status=status, deadline=deadline)
    assert parsed(ended).columns["end"] == shown


def test_failed_tasks_are_a_number_or_nothing() -> None:
    given = [None, 0, 1_234]
    shown = [column("failed", counts=Counts(tasks_failed=count)) for count in given]
    assert shown == ["", "0", "1,234"]


@pytest.mark.parametrize(("age", "warned"), [(300, False), (301, True)])
def test_old_data_are_pointed_at(age: float, warned: bool) -> None:
    text = row(JOB._replace(last_update=NOW - age), now=NOW, stale=300.0)
    assert ('class="warn"' in text) is warned
    assert parsed(JOB._replace(last_update=NOW - age)).columns["updated"].startswith("5m")


def test_data_of_an_ended_job_grow_no_older() -> None:
    assert parsed(ENDED._replace(last_update=1.0)).columns["updated"] == "final"


def described(text: str) -> Details:
    return Details(queue_name=text, job_type=text, engine_type=text, owner=text, database_name=text)


@pytest.mark.parametrize(
    "text", ["<script>alert(1)</script>", "\"' onclick=x ", "</td></table>", "\u202ea\x00"]
)
def test_no_text_is_more_than_text(text: str) -> None:
    hostile = JOB._replace(
        key=JobKey(text, text),
        name=text,
        ratio=0.5,
        counts=Counts(tasks=1),
        details=described(text),
        listed=(subjob(1, name=text),),
    )
    tame = hostile._replace(
        key=JobKey("a", "a"),
        name="a",
        details=described("a"),
        listed=(subjob(1, name="a"),),
    )

    def shape(job: Job) -> list[tuple[str, list[str]]]:
        return [(tag, sorted(attrs)) for tag, attrs in parsed(job).tags]

    assert shape(hostile) == shape(tame)
    assert not re.search("[\u202e\x00]", row(hostile, now=NOW, stale=1.0))


def test_nothing_stands_between_rows() -> None:
    one = row(JOB, now=NOW, stale=1.0)
    assert rows([JOB, JOB], now=NOW, stale=1.0) == one * 2
    assert "> <t" not in one
    assert "\n" not in one
