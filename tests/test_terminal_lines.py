"""What is new about a job, in lines."""

from typing import Any

import pytest

from exporter.terminal.fates import Fate, Wanted
from exporter.terminal.lines import Told, label, last_line, news
from exporter.terminal.state import JobState

NOW = 1_795_154_400.0
STAMP = "2026-11-20T06:00:00Z"


def fate(status: str | None = "RUNNING", job_id: str = "a", **more: Any) -> Fate:
    job = JobState.model_validate({"project": "default", "job_id": job_id, "status": status} | more)
    ended = NOW if job.ended else None
    return Fate(wanted=Wanted(job_id), job=job, ended=ended, over=job.ended)


def told(*fates: Fate) -> list[str]:
    """Tell one fate after the other; return the lines without their time."""
    before: Told | None = None
    lines = []
    for each in fates:
        before, line = news(each, before, NOW)
        if line is not None:
            assert line.startswith(f"{STAMP} ")
            lines.append(line.removeprefix(f"{STAMP} "))
    return lines


def test_each_status_is_told_once() -> None:
    launching = fate("LAUNCHING", progress_ratio=0.0)
    running, finished = fate(progress_ratio=0.0), fate("FINISHED", start=10.0, end=141.0)
    assert told(launching, launching, running, running, finished, finished) == [
        "a: LAUNCHING",
        "a: RUNNING, 0 %",
        "a: FINISHED after 2m 11s",
    ]


def test_each_tenth_of_the_way_is_told_once() -> None:
    ratios = [0.02, 0.09, 0.1, 0.19, 0.35, 0.22, 0.31, 0.4]
    lines = told(*(fate(progress_ratio=ratio) for ratio in ratios))
    assert lines == [f"a: RUNNING, {percent} %" for percent in (2, 10, 35, 40)]


def test_failed_tasks_are_told_when_there_are_more() -> None:
    lines = told(*(fate(tasks_failed=count) for count in (0, 0, 1, 1, 7, 3)))
    assert lines == [
        "a: RUNNING",
        "a: RUNNING, 1 task failed",
        "a: RUNNING, 7 tasks failed",
    ]


def test_the_expected_end_is_told_while_it_is_to_come() -> None:
    assert told(fate(progress_ratio=0.5, expected_end=NOW + 60)) == [
        "a: RUNNING, 50 %, ends about 2026-11-20T06:01:00Z"
    ]
    assert told(fate(expected_end=NOW - 1)) == ["a: RUNNING"]


def test_nothing_is_told_of_a_job_that_was_not_asked_for() -> None:
    assert told(Fate(wanted=Wanted("a")), fate(None)) == []


def test_an_end_is_told_once_its_time_is_known() -> None:
    early = Fate(wanted=Wanted("a"), job=fate("FAILED").job, ended=NOW)
    assert told(fate(), early, fate("FAILED", start=1.0, end=6.0)) == [
        "a: RUNNING",
        "a: FAILED after 5s",
    ]


def test_an_end_without_its_time_is_told_too() -> None:
    assert told(fate("CANCELLED", tasks_failed=2)) == ["a: CANCELLED, 2 tasks failed"]


def test_why_a_job_is_lost_is_told() -> None:
    lost = Fate(wanted=Wanted("a", "prod"), lost="DLI knows no such job", over=True)
    assert told(lost, lost) == ["prod/a: UNKNOWN, DLI knows no such job"]


def test_a_job_has_its_project_and_its_name() -> None:
    assert label(fate(project="prod", name="nightly")) == "prod/a (nightly)"
    assert label(fate()) == "a"


@pytest.mark.parametrize(
    ("fates", "line"),
    [
        ([fate("FINISHED", start=10.0, end=141.0)], "FINISHED: a after 2m 11s, waited 2m 13s"),
        ([fate("CANCELLED")], "CANCELLED: a, waited 2m 13s"),
        ([fate()], "TIMED OUT: a, waited 2m 13s"),
        ([Fate(wanted=Wanted("a"), lost="x")], "UNKNOWN: a, waited 2m 13s"),
        ([fate("FINISHED"), fate("FINISHED")], "FINISHED: 2 FINISHED, waited 2m 13s"),
        (
            [fate("FINISHED"), fate("CANCELLED"), fate()],
            "FAILED: 1 CANCELLED, 1 FINISHED, 1 RUNNING, waited 2m 13s",
        ),
        ([fate("FINISHED"), fate()], "TIMED OUT: 1 FINISHED, 1 RUNNING, waited 2m 13s"),
    ],
)
def test_the_last_line_begins_with_the_fate(fates: list[Fate], line: str) -> None:
    assert last_line(fates, 133) == line


def test_no_line_holds_anything_that_acts_on_a_terminal() -> None:
    evil = fate(name="\x1b[2Jx\u202e\nnext", project="p\x07")
    (line,) = told(evil)
    assert line.isprintable()
