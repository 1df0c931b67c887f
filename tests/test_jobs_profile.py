"""How watched runs are remembered."""

from itertools import pairwise

import pytest

from exporter.jobs.model import Counts, Job, JobKey, JobStatus, Observation, SubJob, SubJobStatus
from exporter.jobs.profile import CELLS, Profile, Trace, achieved, profile
from exporter.jobs.store import fold

KEY = JobKey("prod", "85798b38-ae44-48eb-bb90-7cf0dcdafe7b")


def traced(*points: tuple[float, float]) -> Trace:
    trace = Trace()
    for now, done in points:
        trace = trace.seen(now, done)
    return trace


def subjob(id_: int, status: SubJobStatus, tasks: int = 10, indices: int = 5) -> SubJob:
    return SubJob(id=id_, status=status, counts=Counts(tasks=tasks, indices_completed=indices))


def observed(*answers: tuple[SubJob, ...]) -> Job:
    job = Job(key=KEY)
    for subjobs in answers:
        job = fold(job, Observation(status=JobStatus.RUNNING, subjobs=subjobs), now=1.0)
    return job


def test_subjobs_count_when_done_and_in_part_while_they_run() -> None:
    first, second = subjob(0, SubJobStatus.SUCCEEDED), subjob(1, SubJobStatus.RUNNING)
    assert achieved(observed()) == 0
    assert achieved(observed((first, second))) == 1.5


def test_a_subjob_of_unknown_size_counts_when_it_is_done() -> None:
    unknown = SubJob(id=0, status=SubJobStatus.RUNNING)
    assert achieved(observed((unknown,))) == 0


def test_a_subjob_listed_no_more_is_done() -> None:
    assert achieved(observed((subjob(0, SubJobStatus.RUNNING),), ())) == 1


def test_trace_keeps_when_more_was_done() -> None:
    trace = traced((10, 0), (12, 1))
    assert trace.points == [(10, 0), (12, 1)]
    assert trace.seen(14, 1) is trace
    assert trace.seen(14, 0.5) is trace
    assert trace.seen(12, 2) is trace.seen(11, 2) is trace


def test_trace_is_bounded_and_keeps_its_ends() -> None:
    trace = traced(*((float(second), float(second)) for second in range(10_000)))
    assert CELLS / 2 < len(trace.points) <= 2 * CELLS
    assert (trace.points[0], trace.points[-1]) == ((0, 0), (9999, 9999))
    assert trace.points == sorted(trace.points)


def test_a_full_trace_keeps_where_nothing_was_done_for_long() -> None:
    busy = ((second / 10, second / 10) for second in range(1, 100))
    late = ((90 + second / 10, 10 + second / 10) for second in range(1, 100))
    trace = traced((0, 0), *busy, (10, 10), *late)
    assert len(trace.points) < 200
    pauses = [after[0] - before[0] for before, after in pairwise(trace.points)]
    assert max(pauses) == pytest.approx(80.1, abs=0.2)


def test_a_long_steady_run_is_remembered_as_steady() -> None:
    trace = traced(*((float(second), second / 100) for second in range(10_001)))
    went = profile(trace, start=0, end=10_000)
    assert went is not None
    for tenth in range(1, 10):
        low, high = went.bounds(tenth * 10)
        assert low - 0.05 <= tenth / 10 <= high + 0.05


def test_profile_tells_between_which_shares_of_time_work_stood_so() -> None:
    went = profile(traced((100, 0), (110, 1), (190, 2), (200, 4)), start=100, end=200)
    assert went is not None
    assert went.bounds(0) == pytest.approx((0, 0.1), abs=1 / 255)
    assert went.bounds(1) == pytest.approx((0.1, 0.9), abs=1 / 255)
    assert went.bounds(2) == pytest.approx((0.9, 1), abs=1 / 255)
    assert went.bounds(4) == (1, 1)


def test_more_work_than_the_run_had_is_its_end() -> None:
    went = profile(traced((0, 0), (50, 2)), start=0, end=100)
    assert went is not None
    assert went.bounds(3) == went.bounds(2) == pytest.approx((0.5, 1), abs=1 / 255)


@pytest.mark.parametrize(
    ("trace", "start", "end"),
    [
        pytest.param(Trace(), 0, 100, id="nothing seen"),
        pytest.param(traced((0, 0)), 0, 100, id="nothing done"),
        pytest.param(traced((0, 0), (1, 1)), 100, 100, id="no duration"),
        pytest.param(traced((50, 3), (90, 5)), 0, 100, id="watched from half way"),
    ],
)
def test_no_profile(trace: Trace, start: float, end: float) -> None:
    assert profile(trace, start=start, end=end) is None


def test_a_run_met_at_once_counts_as_watched_from_its_start() -> None:
    assert profile(traced((101, 0.5), (190, 2)), start=100, end=200)
    assert profile(traced((150, 0), (190, 2)), start=100, end=200)


def test_times_outside_of_the_run_are_its_ends() -> None:
    """The list API's clock is not the exporter's."""
    went = profile(traced((90, 0), (95, 1), (230, 2)), start=100, end=200)
    assert went is not None
    assert (went.times[0], went.times[-1]) == (0, 255)


def test_a_profile_is_a_few_bytes() -> None:
    went = profile(traced((0, 0), (50, 2)), start=0, end=100)
    assert isinstance(went, Profile)
    assert len(went.times) == CELLS == 64
