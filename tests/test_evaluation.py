"""The two figures that say how true the progress shown is: none may get worse."""

from collections.abc import Sequence
from functools import cache
from itertools import pairwise

import pytest

from .evaluation import (
    MOMENTS,
    REPEATED,
    SHIPPED,
    Case,
    Result,
    asked,
    cases,
    judged,
    mean_distance,
    mean_errors,
    report,
)


@cache
def found() -> tuple[Case, ...]:
    return tuple(cases([SHIPPED, REPEATED]))


@cache
def results(interval: float | None = None) -> tuple[Result, ...]:
    return tuple(judged(case, interval) for case in found())


def shipped(of: Sequence[Result]) -> list[Result]:
    return [result for result in of if "_r" not in result.name]


def test_every_recording_that_finished_is_judged() -> None:
    assert len(found()) == 14
    assert len(shipped(results())) == 10
    assert [len(case.earlier) for case in found() if "_r" in case.name] == [1, 1, 1, 1]


@pytest.mark.parametrize(
    ("figure", "mean"), [("reported", 0.257), ("spark ui", 0.243), ("known work", 0.129)]
)
def test_what_others_show_is_as_far_off_as_is_known(figure: str, mean: float) -> None:
    """These were measured elsewhere: they judge the judge."""
    assert mean_distance(shipped(results()), figure) == pytest.approx(mean, abs=0.0005)


def test_progress_without_history_is_nearer_to_the_truth_than_all_others() -> None:
    assert mean_distance(shipped(results()), "ours alone") < 0.116
    assert mean_distance(results(), "ours alone") < 0.126 < mean_distance(results(), "known work")


def test_progress_with_history_is_within_three_hundredths() -> None:
    assert mean_distance(shipped(results()), "ours + history") < 0.025
    assert mean_distance(results(), "ours + history") < 0.03


def test_it_holds_when_the_exporter_asks_now_and_then() -> None:
    """Half a second of these short runs is what 5 to 15 s are of a job of some minutes."""
    polled = results(0.5)
    assert mean_distance(polled, "ours alone") < 0.128 < mean_distance(polled, "known work")
    assert mean_distance(polled, "ours + history") < 0.02


@pytest.mark.parametrize("naive", ["elapsed ÷ reported", "running sub-job"])
@pytest.mark.parametrize("interval", [None, 0.5])
def test_expected_end_beats_the_naive_ways_at_every_point(
    naive: str, interval: float | None
) -> None:
    theirs = mean_errors(results(interval), naive)
    alone = mean_errors(results(interval), "ours alone")
    informed = mean_errors(results(interval), "ours + history")
    assert all(ours < other for ours, other in zip(alone, theirs, strict=True))
    assert all(ours < other for ours, other in zip(informed, alone, strict=True))
    assert max(informed) < 0.1


def test_a_recording_asked_now_and_then_starts_and_ends_as_it_did() -> None:
    recording = found()[0].recording
    seen = asked(recording, 5.0)
    assert (seen[0], seen[-1]) == (recording[0], recording[-1])
    assert {later - now for (now, _), (later, _) in pairwise(seen[:-1])} == {5}


def test_copies_differ_and_are_the_same_each_time() -> None:
    (case, again) = (next(cases([SHIPPED])) for _ in range(2))
    assert case == again
    lengths = [copy[-1][0] - copy[0][0] for copy in case.earlier]
    assert len(set(lengths)) == len(lengths) == 10
    whole = case.recording[-1][0] - case.recording[0][0]
    assert min(lengths) < 0.75 * whole < 1.4 * whole < max(lengths)


def test_report_has_a_line_for_each_recording_and_each_way() -> None:
    lines = list(report(results()))
    assert [line.split()[0] for line in lines[2:16]] == [case.name for case in found()]
    assert lines[16].split()[0] == "mean"
    assert len(lines) == 16 + 1 + 3 + 4
    assert all(len(line.split()) >= len(MOMENTS) for line in lines[-4:])
