"""What of many jobs fits on a screen, and in which order."""

from typing import Any

import pytest

from exporter.terminal.fit import Row, fitted, ordered
from exporter.terminal.state import JobState


def job(
    job_id: str = "a", status: str | None = "RUNNING", subjobs: int = 0, **more: Any
) -> JobState:
    running = [{"subjob_id": number, "status": "RUNNING"} for number in range(subjobs)]
    about = {"project": "default", "job_id": job_id, "status": status, "subjobs": running}
    return JobState.model_validate(about | more)


def rows(*subjobs: int) -> list[Row]:
    return [Row(job(str(place), subjobs=count)) for place, count in enumerate(subjobs)]


def fit(given: list[Row], lines: int | None, each: int = 1) -> tuple[list[tuple[int, int]], int]:
    """Return how many sub-jobs are shown and not, job by job, and how many jobs are left out."""
    shown, hidden = fitted(given, lines, each=each)
    used = sum(each + len(one.subjobs) + bool(one.more and one.subjobs) for one in shown)
    assert lines is None or used + bool(hidden) <= max(lines, each + bool(hidden))
    return [(len(one.subjobs), one.more) for one in shown], hidden


def test_all_is_shown_where_there_is_room() -> None:
    assert fit(rows(2, 0, 1), 6) == ([(2, 0), (0, 0), (1, 0)], 0)


def test_jobs_come_before_sub_jobs() -> None:
    assert fit(rows(3, 3), 2) == ([(0, 0), (0, 0)], 0)
    assert fit(rows(3, 3), 6) == ([(1, 2), (1, 2)], 0)


def test_no_job_shows_more_than_ten() -> None:
    assert fit(rows(50), 100) == ([(10, 40)], 0)
    assert fit(rows(50), None) == ([(10, 40)], 0)


def test_a_line_is_kept_for_the_jobs_that_are_left_out() -> None:
    assert fit(rows(*[0] * 30), 10) == ([(0, 0)] * 9, 21)
    assert fit(rows(*[0] * 10), 10) == ([(0, 0)] * 10, 0)
    assert fit(rows(*[0] * 3, *[1] * 20), 5) == ([(0, 0)] * 3 + [(0, 0)], 19)
    assert fit(rows(1, 1, 1, 1), 3, each=2) == ([(0, 0)], 3)


def test_a_job_may_take_several_lines() -> None:
    assert fit(rows(*[0] * 30), 10, each=2) == ([(0, 0)] * 4, 26)
    assert fit(rows(1, 1), 6, each=2) == ([(1, 0), (1, 0)], 0)


@pytest.mark.parametrize("lines", [-3, 0, 1])
def test_one_job_is_shown_on_the_smallest_screen(lines: int) -> None:
    shown, hidden = fitted(rows(2, 2), lines)
    assert (len(shown), hidden) == (1, 1)


def test_a_lost_job_has_no_running_sub_jobs() -> None:
    shown, _ = fitted([Row(job(subjobs=3), lost="gone")], 10)
    assert shown[0].subjobs == ()


def test_what_runs_comes_first_and_what_ended_last_comes_before_what_ended_early() -> None:
    jobs = [
        job("early", "FAILED", end=1.0),
        job("new", None),
        job("late", "FINISHED", end=2.0),
        job("launching", "LAUNCHING"),
        job("second", start=20.0),
        job("first", start=10.0),
        job("scaling", "SCALING"),
    ]
    assert [each.job_id for each in ordered(jobs)] == [
        *("first", "second", "scaling", "launching", "new", "late", "early"),
    ]
