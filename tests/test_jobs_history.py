"""What earlier runs say: tables of plain values."""

from collections.abc import Sequence

import pytest

from exporter.jobs.history import RUNS, Expectation, History, Run, expect
from exporter.jobs.model import Counts, Job, JobKey, JobStatus, Observation, SubJob, SubJobStatus
from exporter.jobs.profile import Trace, profile
from exporter.jobs.store import fold

KEY = JobKey("prod", "85798b38-ae44-48eb-bb90-7cf0dcdafe7b")
START = 1000.0


def run(number: int, duration: float = 100.0, *, trace: Trace | None = None) -> Run:
    went = profile(trace, start=0, end=duration) if trace else None
    return Run(job_id=f"job-{number}", ended=float(number), duration=duration, profile=went)


def lasting(*durations: float) -> list[Run]:
    return [run(number, duration) for number, duration in enumerate(durations)]


def job(
    done: int | None = None,
    *,
    tasks: int = 10,
    active: int | None = None,
    status: JobStatus = JobStatus.RUNNING,
) -> Job:
    counts = Counts(tasks=tasks, indices_completed=done, tasks_active=active)
    listed = () if done is None else (SubJob(id=0, status=SubJobStatus.RUNNING, counts=counts),)
    return fold(Job(key=KEY), Observation(status=status, subjobs=listed), now=START)


def after(elapsed: float, runs: Sequence[Run] = (), of: Job | None = None) -> Expectation:
    return expect(of or job(), runs, start=START, now=START + elapsed)


def test_nothing_is_known_of_a_statement_never_met() -> None:
    assert History().runs("a") == ()


def test_runs_are_kept_by_statement_in_the_order_of_their_ends() -> None:
    history = History()
    for name, number in (("a", 2), ("a", 1), ("b", 3)):
        history.record(name, run(number))
    assert history.runs("a") == (run(1), run(2))
    assert history.runs("b") == (run(3),)


def test_the_last_ten_runs_are_kept() -> None:
    history = History()
    for number in range(RUNS + 5):
        history.record("a", run(number))
    history.record("a", run(0))
    assert [known.ended for known in history.runs("a")] == [float(n) for n in range(5, 15)]


def test_a_run_told_again_is_one_run_and_keeps_its_profile() -> None:
    history = History()
    watched = run(1, trace=Trace.of(((0.0, 0.0), (90.0, 1.0))))
    assert watched.profile is not None
    history.record("a", watched)
    history.record("a", run(1, 101.0))
    assert history.runs("a") == (watched._replace(duration=101.0),)


def test_a_run_that_took_no_time_is_left_out() -> None:
    history = History()
    history.record("a", run(1, 0.0))
    assert history.runs("a") == ()


def test_the_statements_met_last_are_kept() -> None:
    history = History(statements=2)
    history.record("a", run(1))
    history.record("b", run(2))
    assert history.runs("a")
    history.record("c", run(3))
    assert (len(history), history.runs("b")) == (2, ())
    assert history.runs("a")
    assert history.runs("c")


@pytest.mark.parametrize(
    ("of", "start"),
    [
        pytest.param(Job(key=KEY), START, id="never answered"),
        pytest.param(job(), None, id="not started"),
        pytest.param(job(0), START, id="nothing done"),
        pytest.param(job(status=JobStatus.FAILED), START, id="failed"),
        pytest.param(job(status=JobStatus.FINISHED), START, id="finished"),
    ],
)
def test_nothing_is_expected_with_nothing_to_go_by(of: Job, start: float | None) -> None:
    assert expect(of, (), start=start, now=START + 10) == Expectation()


@pytest.mark.parametrize(
    ("of", "end"),
    [
        pytest.param(job(5), 120.0, id="half done in 60 s"),
        pytest.param(job(4, active=2), 120.0, id="tasks that run are half done"),
        pytest.param(job(0, active=10), 120.0, id="nothing complete, all running"),
        pytest.param(job(10), 60.0, id="all done: now"),
    ],
)
def test_without_history_the_own_speed_tells_the_end(of: Job, end: float) -> None:
    assert after(60, of=of) == Expectation(end=START + end)


@pytest.mark.parametrize(
    ("durations", "elapsed", "end", "ratio"),
    [
        pytest.param((100,), 0, 100, 0.0, id="at the start"),
        pytest.param((100,), 25, 100, 0.25, id="one run"),
        pytest.param((100, 120, 500), 30, 120, 0.25, id="the median"),
        pytest.param((100, 120), 55, 110, 0.5, id="of an even number"),
        pytest.param((100, 120, 500), 110, 310, 110 / 310, id="late: those that took longer"),
        pytest.param((100, 120), 130, 140, 130 / 140, id="latest: as late again"),
        pytest.param((100,), 100, 100, 0.99, id="never full while it runs"),
        pytest.param((100,), -5, 95, 0.0, id="a clock that was set back"),
    ],
)
def test_durations_tell_the_end(
    durations: tuple[float, ...], elapsed: float, end: float, ratio: float
) -> None:
    expected = after(elapsed, lasting(*durations))
    assert expected.end == START + end
    assert expected.ratio == pytest.approx(ratio)


def test_expected_duration_is_the_median_even_of_a_job_that_is_late() -> None:
    assert after(300, lasting(100, 120, 500)).duration == 120


def test_expected_duration_is_known_before_the_start() -> None:
    launching = job(status=JobStatus.LAUNCHING)
    expected = expect(launching, lasting(100), start=None, now=START)
    assert expected == Expectation(duration=100)


# Half of its ten tasks in the first tenth of its time, the rest in the last.
FAST_FIRST = Trace.of(((0.0, 0.0), (10.0, 0.5), (90.0, 0.6), (100.0, 1.0)))


@pytest.mark.parametrize(
    ("done", "elapsed", "low", "high"),
    [
        pytest.param(0, 0, 0, 0.05, id="start"),
        pytest.param(5, 10, 0.1, 0.4, id="half of the work, a tenth of the time"),
        pytest.param(5, 50, 0.45, 0.55, id="a long task: the clock"),
        pytest.param(5, 80, 0.6, 0.8, id="the clock, but not all the way"),
        pytest.param(6, 90, 0.88, 0.96, id="near the end"),
        pytest.param(6, 45, 0.85, 0.95, id="twice as fast as usual"),
        pytest.param(5, 200, 0.6, 0.8, id="late, but with much to do"),
        pytest.param(10, 500, 0.97, 0.99, id="all done and very late"),
    ],
)
def test_profiles_tell_the_share_of_time(
    done: int, elapsed: float, low: float, high: float
) -> None:
    expected = after(elapsed, [run(1, trace=FAST_FIRST)], job(done))
    assert expected.ratio is not None
    assert expected.end is not None
    assert low <= expected.ratio <= high
    assert expected.end >= START + elapsed
    assert expected.ratio == pytest.approx(min(elapsed / (expected.end - START), 0.99))


def test_one_watched_run_outweighs_durations_alone() -> None:
    runs = [*lasting(100, 100, 100), run(9, trace=FAST_FIRST)]
    assert after(50, runs, job(6)) != after(50, lasting(100, 100, 100, 100), job(6))


def test_a_finished_job_is_full_where_there_is_history() -> None:
    finished = job(status=JobStatus.FINISHED)
    assert after(90, lasting(100), finished) == Expectation(duration=100, ratio=1.0)


@pytest.mark.parametrize("status", [JobStatus.FAILED, JobStatus.CANCELLED])
def test_a_job_that_did_not_finish_keeps_its_share(status: JobStatus) -> None:
    stopped = job(status=status)._replace(expected_ratio=0.7)
    assert after(90, lasting(100), stopped) == Expectation(duration=100, ratio=0.7)
