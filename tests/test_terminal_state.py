"""What is read of the exporter's API is what is shown."""

import json
from typing import Any

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
from exporter.terminal.state import JobState, read_answer
from exporter.web.api import job_state

SUBJOB = SubJob(
    id=3,
    status=SubJobStatus.RUNNING,
    name="collect at a.py:1",
    counts=Counts(tasks=10, indices_completed=6, tasks_failed=1),
)
JOB = Job(
    key=JobKey("prod", "85798b38"),
    name="nightly",
    deadline=900.0,
    status=JobStatus.RUNNING,
    progress=1.35,
    ratio=0.4,
    expected_ratio=0.5,
    expected_duration=600.0,
    expected_end=800.0,
    counts=Counts(tasks_failed=2, indices_completed=6),
    last_update=130.0,
    listed=(Sighting(subjob=SUBJOB, first=100.0, first_done=0),),
    details=Details(queue_name="etl", start=50.0),
)


def read(job: Job) -> JobState:
    """Send a job the way it goes between two processes."""
    body = json.dumps({"status": "success", "data": {"jobs": [job_state(job)]}})
    (state,) = read_answer(body.encode())
    assert state == JobState.model_validate(job_state(job))
    return state


def test_the_api_tells_all_that_is_shown() -> None:
    state = read(JOB)
    assert (state.project, state.job_id, state.name) == ("prod", "85798b38", "nightly")
    assert (state.status, state.queue_name) == (JobStatus.RUNNING, "etl")
    assert (state.start, state.end, state.deadline) == (50, None, 900)
    assert (state.expected_end, state.last_update) == (800, 130)
    assert (state.tasks_failed, state.indices_completed) == (2, 6)
    (subjob,) = state.running
    assert (subjob.subjob_id, subjob.name, subjob.progress_ratio) == (3, "collect at a.py:1", 0.6)
    assert (subjob.tasks, subjob.indices_completed, subjob.tasks_failed) == (10, 6, 1)
    assert subjob.indices_per_second == state.indices_per_second == pytest.approx(0.2)


def test_expected_figures_are_in_the_api() -> None:
    told = job_state(JOB)
    assert (told["expected_progress_ratio"], told["expected_duration"]) == (0.5, 600)


def test_speeds_of_what_runs_add_up() -> None:
    ended = SUBJOB._replace(id=4, status=SubJobStatus.SUCCEEDED)
    sightings = [
        Sighting(subjob=SUBJOB, first=100.0, first_done=0),
        Sighting(subjob=SUBJOB._replace(id=5), first=120.0, first_done=3),
        Sighting(subjob=SUBJOB._replace(id=6), first=130.0, first_done=6),
        Sighting(subjob=ended, first=100.0, first_done=0),
    ]
    state = read(JOB._replace(listed=tuple(sightings)))
    assert state.indices_per_second == pytest.approx(0.5)
    assert [subjob.indices_per_second for subjob in state.subjobs][2:] == [None, None]
    assert read(JOB._replace(listed=tuple(sightings), ended=130.0)).indices_per_second is None


def test_nothing_known_is_nothing_shown() -> None:
    state = read(Job(key=JobKey("default", "a")))
    assert (state.status, state.ratio, state.took, state.running) == (None, None, None, ())
    assert state.indices_per_second is None


def test_an_older_exporter_tells_less() -> None:
    told = job_state(JOB)
    for name in ("queue_name", "start", "end", "deadline", "expected_progress_ratio"):
        del told[name]
    state = JobState.model_validate(told)
    assert (state.queue_name, state.start, state.ratio) == ("", None, 0.4)


def test_a_newer_exporter_may_tell_more() -> None:
    state = JobState.model_validate(job_state(JOB) | {"status": "PAUSED", "mood": "good"})
    assert state.status is JobStatus.UNKNOWN
    assert not state.ended


@pytest.mark.parametrize(
    ("changes", "ratio"),
    [
        ({}, 0.5),
        ({"expected_ratio": None}, 0.4),
        ({"expected_ratio": None, "ratio": None}, None),
        ({"status": JobStatus.FAILED}, 0.4),
        ({"status": JobStatus.FINISHED, "ratio": 1.0, "expected_ratio": 0.9}, 1.0),
        ({"expected_ratio": 1.7}, 1.0),
    ],
)
def test_the_way_is_shown_by_time_while_it_runs_and_never_as_reported(
    changes: dict[str, Any], ratio: float | None
) -> None:
    assert read(JOB._replace(**changes)).ratio == ratio


def test_a_job_took_as_long_as_the_list_says() -> None:
    ended = JOB._replace(status=JobStatus.FAILED, details=Details(start=50.0, end=80.0))
    assert read(ended).took == 30
    assert read(ended._replace(details=Details(start=50.0))).took is None
    assert read(ended._replace(status=JobStatus.RUNNING)).took is None


def test_nothing_runs_in_a_job_that_has_ended() -> None:
    assert read(JOB._replace(status=JobStatus.CANCELLED)).running == ()


def test_text_of_others_is_harmless_from_here_on() -> None:
    evil = "\x1b[2J\u202e\n"
    sighting = Sighting(subjob=SUBJOB._replace(name=evil), first=0.0, first_done=0)
    hostile = JOB._replace(name=evil, details=Details(queue_name=evil), listed=(sighting,))
    state = read(hostile)
    for text in (state.name, state.queue_name, state.subjobs[0].name):
        assert text.isprintable()


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"<html>",
        b"[]",
        b'{"status": "error"}',
        b'{"data": {"jobs": [{"job_id": "a"}]}}',
        b'{"data": {"jobs": [{"project": "p", "job_id": "a", "progress_ratio": NaN}]}}',
    ],
)
def test_what_no_exporter_answers_is_refused(body: bytes) -> None:
    with pytest.raises(ValueError, match="validation error"):
        read_answer(body)
