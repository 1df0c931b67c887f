"""Troubles: what is said of them, how often, and what they do to ``dli_up``."""

import logging
from dataclasses import dataclass, replace
from typing import Any, Final

import pytest
from prometheus_client.parser import text_string_to_metric_families

from exporter.dli import errors
from exporter.dli.errors import DliError, Scope
from exporter.jobs.model import JobKey
from exporter.metrics.telemetry import Telemetry
from exporter.troubles import Troubles
from exporter.web.state import Failure, Health

NOW: Final = 1_790_000_000.0
ONE: Final = JobKey("prod", "one")
TWO: Final = JobKey("prod", "two")
OF_JOB: Final = [leaf for leaf in errors.leaves() if leaf.scope is Scope.JOB]
OF_ALL: Final = [leaf for leaf in errors.leaves() if leaf.scope is Scope.PROJECT]


@dataclass
class Clock:
    """The wall clock of these tests."""

    now: float = NOW

    def __call__(self) -> float:
        return self.now


class World:
    """The troubles of a project, what was logged of them, and ``dli_up``."""

    def __init__(self, caplog: pytest.LogCaptureFixture) -> None:
        caplog.set_level(logging.INFO)
        self.telemetry = Telemetry(jobs=tuple, series=lambda: 0, now=lambda: NOW)
        self.clock = Clock()
        self.troubles = Troubles("prod", self.telemetry, now=self.clock)
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


def failure(**changes: Any) -> Failure:
    usual = Failure(reason="parse", message="no JSON", since=NOW, last=NOW, count=1, over=False)
    return replace(usual, **changes)


def test_health_begins_with_nothing(world: World) -> None:
    assert world.troubles.health() == Health(project="prod")


def test_health_tells_what_fails_for_whom_since_when_and_how_often(world: World) -> None:
    world.troubles.over(NOW - 5, TWO)
    for job in (ONE, TWO, ONE):
        world.troubles.failed(errors.ParseError("no JSON"), job)
        world.clock.now += 10
    wanted = failure(last=NOW + 20, count=3, jobs=2, job_id="one")
    assert world.troubles.health() == Health(
        project="prod", up=True, last_success=NOW - 5, failures=(wanted,)
    )


def test_health_tells_the_last_line_of_a_reason_and_what_else_fails(world: World) -> None:
    world.troubles.failed(errors.Forbidden("no"), "discovery")
    world.troubles.limping("history", errors.Forbidden("never"))
    health = world.troubles.health()
    assert health.up is False
    (forbidden,) = health.failures
    assert (forbidden.message, forbidden.of) == ("never", ("discovery", "history"))


def test_a_failure_that_is_over_is_shown_for_a_day(world: World) -> None:
    world.troubles.failed(errors.ParseError("no JSON"), ONE)
    world.troubles.over(NOW, ONE)
    assert world.troubles.health().failures == (failure(over=True),)
    world.clock.now += 86_400
    assert len(world.troubles.health().failures) == 1
    world.clock.now += 1
    assert world.troubles.health().failures == ()


def test_what_lasts_stands_above_what_is_over_and_is_shown_for_ever(world: World) -> None:
    world.troubles.failed(errors.Forbidden("no"), ONE)
    world.clock.now += 1
    world.troubles.failed(errors.ParseError("no JSON"), TWO)
    world.troubles.over(NOW, TWO)
    assert [each.reason for each in world.troubles.health().failures] == ["forbidden", "parse"]
    world.clock.now += 100_000
    assert [each.reason for each in world.troubles.health().failures] == ["forbidden"]


@pytest.mark.parametrize(("quiet", "count"), [(600, 2), (601, 1)])
def test_after_a_while_without_failures_they_are_counted_anew(
    world: World, quiet: float, count: int
) -> None:
    world.troubles.failed(errors.ParseError("no JSON"), ONE)
    world.troubles.over(NOW, ONE)
    world.clock.now += quiet
    world.troubles.failed(errors.ParseError("no JSON"), ONE)
    assert [each.count for each in world.troubles.health().failures] == [count]


def test_what_never_worked_between_two_rare_calls_has_lasted(world: World) -> None:
    world.troubles.failed(errors.ParseError("no JSON"), ONE)
    world.clock.now += 3_600
    world.troubles.failed(errors.ParseError("no JSON"), ONE)
    (lasting,) = world.troubles.health().failures
    assert (lasting.since, lasting.count) == (NOW, 2)


def test_a_job_that_left_is_concerned_no_more(world: World) -> None:
    world.troubles.failed(errors.ParseError("no JSON"), ONE)
    world.troubles.forget(ONE)
    assert [(each.over, each.jobs) for each in world.troubles.health().failures] == [(True, 0)]


def test_health_holds_no_secret(world: World) -> None:
    world.troubles.failed(errors.SignatureRejected("bad: Authorization: SDK-HMAC-SHA256 abc"), ONE)
    assert "abc" not in repr(world.troubles.health())
