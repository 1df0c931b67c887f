"""Lines on standard output, and what happens if nobody can read them."""

import io
import logging
import os

import pytest

from exporter.terminal.fates import Fate, Look, Wanted
from exporter.terminal.printout import Printout
from exporter.terminal.state import JobState

NOW = 1_795_154_400.0


def fate(status: str) -> Fate:
    job = JobState.model_validate({"project": "default", "job_id": "a", "status": status})
    return Fate(wanted=Wanted("a"), job=job, ended=NOW if job.ended else None, over=job.ended)


def test_each_change_is_a_line() -> None:
    stream = io.StringIO()
    with Printout(stream) as printout:
        for status in ("RUNNING", "RUNNING", "FINISHED"):
            printout.show([fate(status)], Look(), NOW)
        printout.close([fate("FINISHED")], Look(), NOW, 60)
    assert stream.getvalue().splitlines() == [
        "2026-11-20T06:00:00Z a: RUNNING",
        "2026-11-20T06:00:00Z a: FINISHED",
        "FINISHED: a, waited 1m",
    ]


def test_a_quiet_one_prints_nothing() -> None:
    stream = io.StringIO()
    printout = Printout(stream, quiet=True)
    printout.show([fate("FINISHED")], Look(), NOW)
    printout.close([fate("FINISHED")], Look(), NOW, 60)
    assert stream.getvalue() == ""


def test_without_jobs_there_is_nothing_to_sum_up() -> None:
    stream = io.StringIO()
    Printout(stream).close([], Look(), NOW, 60)
    assert stream.getvalue() == ""


def test_what_is_shown_no_more_is_forgotten() -> None:
    stream = io.StringIO()
    printout = Printout(stream)
    for fates in ([fate("RUNNING")], [], [fate("RUNNING")]):
        printout.show(fates, Look(), NOW)
    assert len(stream.getvalue().splitlines()) == 2


def test_a_reader_that_has_left_is_no_trouble(caplog: pytest.LogCaptureFixture) -> None:
    ours, theirs = os.pipe()
    os.close(ours)
    with os.fdopen(theirs, "w") as stream:
        printout = Printout(stream)
        for status in ("RUNNING", "FINISHED"):
            printout.show([fate(status)], Look(), NOW)
        assert printout.lost
    assert caplog.records == []


def test_a_full_disk_is_told_once(caplog: pytest.LogCaptureFixture) -> None:
    with open("/dev/full", "w", encoding="utf-8") as stream:
        printout = Printout(stream)
        with caplog.at_level(logging.ERROR):
            for status in ("RUNNING", "FINISHED"):
                printout.show([fate(status)], Look(), NOW)
        assert printout.lost
    assert [record.getMessage() for record in caplog.records] == ["standard output"]
