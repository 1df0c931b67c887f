"""What has become of the jobs that somebody waits for, and the exit code."""

from typing import Any

import pytest

from exporter.terminal.fates import (
    Fate,
    Look,
    Outcome,
    UnreadableId,
    Wanted,
    everything,
    follow,
    outcome,
)
from exporter.terminal.state import JobState

A, B = Wanted("a"), Wanted("b")


def job(job_id: str = "a", status: str | None = "RUNNING", **more: Any) -> JobState:
    return JobState.model_validate(
        {"project": "default", "job_id": job_id, "status": status} | more
    )


def ended(job_id: str = "a", status: str = "FINISHED", **more: Any) -> JobState:
    return job(job_id, status, start=1.0, end=2.0, **more)


def after(*looks: Look, wanted: Wanted = A) -> Fate:
    """Follow one job through looks that are a second apart."""
    fates: tuple[Fate, ...] = (Fate(wanted=wanted),)
    for now, look in enumerate(looks):
        fates = follow(fates, look, now)
    return fates[0]


def showing(*jobs: JobState, **more: Any) -> Look:
    return Look(jobs=jobs, **more)


@pytest.mark.parametrize(
    ("text", "wanted"),
    [
        ("85798b38-ae44", Wanted("85798b38-ae44")),
        ("prod/85798b38", Wanted("85798b38", "prod")),
        ("a/b/c", Wanted("c", "a/b")),
    ],
)
def test_an_id_may_have_a_project(text: str, wanted: Wanted) -> None:
    assert Wanted.read(text) == wanted


@pytest.mark.parametrize("text", ["", "/a", "prod/", "a b", "ä", "x" * 65, "\x1b/a", "../../etc/%"])
def test_what_is_no_id_gets_a_line_that_does_not_repeat_it(text: str) -> None:
    with pytest.raises(UnreadableId, match=r"^ID: must be .*; or project/ID$"):
        Wanted.read(text)


def test_a_job_is_named_with_a_project_only_if_that_says_more() -> None:
    assert str(Wanted("a")) == str(Wanted("a", "default")) == "a"
    assert str(Wanted("a", "prod")) == "prod/a"


@pytest.mark.parametrize(
    ("wanted", "means"),
    [
        (Wanted("A"), True),
        (Wanted("a", "default"), True),
        (Wanted("a", "prod"), False),
        (Wanted("b"), False),
    ],
)
def test_which_job_is_meant(wanted: Wanted, means: bool) -> None:
    assert wanted.means(job()) is means


def test_a_running_job_is_not_over() -> None:
    fate = after(showing(job()))
    assert (fate.word, fate.over, fate.outcome) == ("RUNNING", False, Outcome.TIMED_OUT)


def test_a_job_nobody_has_asked_for_is_unknown_and_not_over() -> None:
    for fate in (after(Look()), after(showing(job(status=None)))):
        assert (fate.word, fate.over, fate.outcome) == ("UNKNOWN", False, Outcome.TIMED_OUT)


@pytest.mark.parametrize(
    ("status", "code"),
    [("FINISHED", Outcome.FINISHED), ("FAILED", Outcome.FAILED), ("CANCELLED", Outcome.FAILED)],
)
def test_an_ended_job_is_over(status: str, code: Outcome) -> None:
    fate = after(showing(ended(status=status)))
    assert (fate.word, fate.over, fate.outcome) == (status, True, code)


def test_a_word_that_is_not_known_is_no_end() -> None:
    assert not after(showing(job(status="PAUSED"))).over


def test_an_end_waits_a_while_for_its_time() -> None:
    end = showing(job(status="FINISHED"))
    assert not after(end).over
    assert after(end, showing(ended())).over
    assert not after(*[end] * 10).over
    assert after(*[end] * 11).over


def test_a_kept_end_is_certain() -> None:
    end = showing(ended())
    for later in (Look(), showing(job()), Look(lost={A: "gone"})):
        fate = after(end, later)
        assert (fate.word, fate.over, fate.outcome) == ("FINISHED", True, Outcome.FINISHED)


def test_a_job_that_nothing_will_be_learnt_of_is_over() -> None:
    fate = after(showing(job()), Look(lost={A: "DLI knows no such job"}))
    assert (fate.word, fate.over, fate.outcome) == ("UNKNOWN", True, Outcome.UNKNOWN)
    assert fate.job is not None


def test_a_lost_job_may_be_found_again() -> None:
    fate = after(Look(lost={A: "not shown"}), showing(job()))
    assert (fate.word, fate.over, fate.lost) == ("RUNNING", False, None)


def test_an_unfinished_end_is_over_if_nobody_will_tell_more() -> None:
    fate = after(showing(job(status="FAILED")), Look(lost={A: "no good answer"}))
    assert (fate.over, fate.outcome) == (True, Outcome.FAILED)


def test_projects_with_one_id_are_told_apart() -> None:
    shown = showing(ended(project="one"), job(project="two"))
    assert after(shown, wanted=Wanted("a", "two")).word == "RUNNING"
    assert after(shown, wanted=Wanted("a", "one")).word == "FINISHED"


OVER = {
    "finished": Fate(wanted=A, job=ended()),
    "failed": Fate(wanted=A, job=ended(status="FAILED")),
    "cancelled": Fate(wanted=A, job=ended(status="CANCELLED")),
    "running": Fate(wanted=A, job=job()),
    "lost": Fate(wanted=A, lost="gone"),
}


@pytest.mark.parametrize(
    ("fates", "code"),
    [
        ("finished", 0),
        ("finished finished", 0),
        ("finished failed", 1),
        ("cancelled", 1),
        ("running", 2),
        ("finished running", 2),
        ("lost", 3),
        ("finished lost", 3),
        ("running lost", 3),
        ("running failed", 1),
        ("lost failed running finished", 1),
    ],
)
def test_the_worst_counts(fates: str, code: int) -> None:
    assert outcome([OVER[name] for name in fates.split()]) == code


def test_without_ids_everything_that_is_shown_is_followed() -> None:
    first = everything((), showing(job("a"), job("b")), 0)
    assert [str(fate.wanted) for fate in first] == ["a", "b"]
    later = everything(first, showing(job("b", "FINISHED"), job("c")), 1)
    assert [(str(fate.wanted), fate.word) for fate in later] == [
        ("b", "FINISHED"),
        ("c", "RUNNING"),
    ]
    assert later[0].ended == 1
    assert everything(later, showing(job("b", "FINISHED")), 5)[0].ended == 1
