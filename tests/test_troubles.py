"""Troubles: what is said of them, how often, and what they do to ``dli_up``."""

import logging
from typing import Any, Final

import pytest
from prometheus_client.parser import text_string_to_metric_families

from exporter.dli import errors
from exporter.dli.errors import DliError, Scope
from exporter.jobs.model import JobKey
from exporter.metrics.telemetry import Telemetry
from exporter.troubles import Troubles

NOW: Final = 1_790_000_000.0
ONE: Final = JobKey("prod", "one")
TWO: Final = JobKey("prod", "two")
OF_JOB: Final = [leaf for leaf in errors.leaves() if leaf.scope is Scope.JOB]
OF_ALL: Final = [leaf for leaf in errors.leaves() if leaf.scope is Scope.PROJECT]


class World:
    """The troubles of a project, what was logged of them, and ``dli_up``."""

    def __init__(self, caplog: pytest.LogCaptureFixture) -> None:
        caplog.set_level(logging.INFO)
        self.telemetry = Telemetry(jobs=tuple, series=lambda: 0, now=lambda: NOW)
        self.troubles = Troubles("prod", self.telemetry)
        self._caplog = caplog

    @property
    def up(self) -> float | None:
        return self.metric("dli_up")

    def metric(self, name: str) -> float | None:
        families = text_string_to_metric_families(self.telemetry.text().decode())
        samples = (sample for family in families for sample in family.samples)
        return next((sample.value for sample in samples if sample.name == name), None)

    def lines(self) -> list[dict[str, Any]]:
        """Give what was logged since the last time: ``begin`` and ``end``, and the fields."""
        words = {"calls fail": "begin", "calls succeed again": "end"}
        lines = []
        for record in self._caplog.records:
            fields = dict(getattr(record, "fields", {}))
            fields.pop("error", None)
            lines.append({"is": words[record.message], **fields})
        self._caplog.clear()
        return lines


@pytest.fixture
def world(caplog: pytest.LogCaptureFixture) -> World:
    return World(caplog)


def test_a_trouble_of_a_job_is_told_when_it_begins_and_when_it_is_over(world: World) -> None:
    for _ in range(3):
        world.troubles.failed(errors.ParseError("no JSON"), ONE)
    of_it = {"project": "prod", "job_id": "one"}
    assert world.lines() == [{"is": "begin", **of_it, "reason": "parse"}]
    for _ in range(3):
        world.troubles.over(NOW, ONE)
    assert world.lines() == [{"is": "end", **of_it, "after": "parse"}]


def test_a_line_says_what_is_wrong(caplog: pytest.LogCaptureFixture) -> None:
    world = World(caplog)
    world.troubles.failed(errors.ParseError("no JSON"), ONE)
    (record,) = caplog.records
    assert record.levelno == logging.WARNING
    assert str(getattr(record, "fields", {})["error"]) == "no JSON"


def test_another_reason_is_told_too(world: World) -> None:
    for error in (errors.ParseError("a"), errors.QueueBusy("b"), errors.QueueBusy("c")):
        world.troubles.failed(error, ONE)
    assert [line["reason"] for line in world.lines()] == ["parse", "busy"]
    world.troubles.over(NOW, ONE)
    assert [line["after"] for line in world.lines()] == ["busy"]


def test_each_job_has_its_own_trouble(world: World) -> None:
    for job in (ONE, TWO, ONE, TWO):
        world.troubles.failed(errors.ParseError("a"), job)
    assert [line["job_id"] for line in world.lines()] == ["one", "two"]
    world.troubles.over(NOW, ONE)
    assert [line["job_id"] for line in world.lines()] == ["one"]


def test_a_trouble_of_the_whole_project_is_told_once_for_all(world: World) -> None:
    for subject in (ONE, TWO, "discovery", None, ONE):
        world.troubles.failed(errors.Forbidden("no"), subject)
    assert world.lines() == [{"is": "begin", "project": "prod", "reason": "forbidden"}]
    for subject in (ONE, TWO, None):
        world.troubles.over(NOW, subject)
    assert world.lines() == []
    world.troubles.over(NOW, "discovery")
    (line,) = world.lines()
    assert (line["is"], line["after"]) == ("end", "forbidden")
    assert "job_id" not in line


def test_what_fails_for_one_and_works_for_another_is_no_storm_of_lines(world: World) -> None:
    for _ in range(5):
        world.troubles.failed(errors.Forbidden("list"), "discovery")
        world.troubles.over(NOW, ONE)
    begin = {"is": "begin", "project": "prod", "of": "discovery", "reason": "forbidden"}
    assert world.lines() == [begin]


def test_calls_may_succeed_that_never_failed(world: World) -> None:
    world.troubles.over(NOW, ONE)
    world.troubles.works("list API")
    assert world.lines() == []


def test_a_job_that_left_keeps_no_trouble_open(world: World) -> None:
    world.troubles.failed(errors.Forbidden("no"), ONE)
    world.troubles.failed(errors.Forbidden("no"), TWO)
    world.troubles.forget(ONE)
    world.troubles.forget(ONE)
    world.troubles.over(NOW, TWO)
    assert [line["is"] for line in world.lines()] == ["begin", "end"]


@pytest.mark.parametrize("kind", OF_JOB)
def test_an_error_about_a_job_is_an_answer_of_an_api_that_is_up(
    kind: type[DliError], world: World
) -> None:
    world.troubles.failed(kind("it is so"), ONE)
    assert world.up == 1


@pytest.mark.parametrize("kind", [kind for kind in OF_ALL if kind is not errors.Throttled])
def test_an_error_about_the_project_lowers_it(kind: type[DliError], world: World) -> None:
    world.troubles.over(NOW, ONE)
    world.troubles.failed(kind("it is so"), ONE)
    assert world.up == 0
    world.troubles.over(NOW, ONE)
    assert world.up == 1


@pytest.mark.parametrize("before", [0, 1])
def test_a_throttled_call_says_nothing_about_it_but_is_told(before: int, world: World) -> None:
    world.troubles.over(NOW, TWO)
    if not before:
        world.troubles.failed(errors.Forbidden("no"), TWO)
    world.lines()
    world.troubles.failed(errors.Throttled("slower"), ONE)
    assert world.up == before
    assert [line["reason"] for line in world.lines()] == ["throttled"]


@pytest.mark.parametrize("kind", [errors.Forbidden, errors.ServerFailed, errors.ParseError])
def test_what_can_be_done_without_is_told_and_lowers_nothing(
    kind: type[DliError], world: World
) -> None:
    world.troubles.over(NOW, ONE)
    for _ in range(3):
        world.troubles.limping("list API", kind("no"))
        world.troubles.over(NOW, ONE)
    assert world.up == 1
    begin = {"is": "begin", "project": "prod", "of": "list API", "reason": kind.reason}
    assert world.lines() == [begin]
    world.troubles.works("list API")
    assert [line["is"] for line in world.lines()] == ["end"]


def test_a_good_answer_is_dated(world: World) -> None:
    world.troubles.failed(errors.ServerFailed("no"), ONE)
    assert world.metric("dli_exporter_last_success_timestamp_seconds") is None
    world.troubles.over(NOW, ONE)
    assert world.metric("dli_exporter_last_success_timestamp_seconds") == NOW


def test_nothing_is_known_before_the_first_call(world: World) -> None:
    assert world.up is None
