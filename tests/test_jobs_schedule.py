"""Whom to ask next."""

import pytest

from exporter.jobs.model import JobKey
from exporter.jobs.schedule import Plan, Turn, plan

A, B, C = (JobKey("prod", name) for name in "abc")


def test_the_longest_waiting_job_comes_first() -> None:
    turns = [Turn(A, asked=20.0), Turn(B), Turn(C, asked=10.0)]
    assert plan(turns, now=40.0, interval=15.0) == Plan((B, C, A), 15.0)


def test_the_wait_ends_when_the_next_job_is_due() -> None:
    assert plan([Turn(A, asked=20.0), Turn(B, asked=22.0)], now=30.0, interval=15.0).wait == 5.0


def test_nothing_to_ask_waits_an_interval() -> None:
    assert plan([], now=30.0, interval=15.0) == Plan((), 15.0)


@pytest.mark.parametrize(
    ("now", "due"),
    [
        pytest.param(24.0, (), id="not at once"),
        pytest.param(25.0, (A,), id="once more after an interval"),
    ],
)
def test_an_ended_job_is_asked_once_more(now: float, due: tuple[JobKey, ...]) -> None:
    assert plan([Turn(A, asked=10.0, ended=10.5)], now=now, interval=15.0).due == due


def test_an_ended_job_that_was_asked_again_is_left_alone() -> None:
    assert plan([Turn(A, asked=25.0, ended=10.5)], now=99.0, interval=15.0).due == ()
