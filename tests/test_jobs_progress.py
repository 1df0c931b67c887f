"""Honest ratios, totals, speed and movement, as tables of plain values."""

import pytest

from exporter.jobs.model import Counts, Gone, JobStatus, SubJob, SubJobStatus, Work
from exporter.jobs.progress import (
    add,
    advanced,
    done,
    expected_end,
    expected_work,
    filled,
    gone,
    job_ratio,
    known_work,
    parts,
    running,
    sighted,
    subjob_ratio,
    work,
)


def subjob(
    id_: int = 0,
    status: SubJobStatus = SubJobStatus.RUNNING,
    *,
    tasks: int | None = 100,
    indices: int | None = 0,
    completed: int | None = None,
    skipped: int | None = 0,
    stages: int | None = 1,
    staged: int | None = None,
    active: int | None = None,
) -> SubJob:
    counts = Counts(
        tasks=tasks,
        tasks_active=active,
        indices_completed=indices,
        tasks_completed=completed,
        tasks_skipped=skipped,
        stages=stages,
        stages_completed=staged,
    )
    return SubJob(id=id_, status=status, counts=counts)


def test_sum_adds_figure_by_figure() -> None:
    assert add([Counts(tasks=1, stages=2), Counts(tasks=3)]) == Counts(tasks=4, stages=2)


def test_sum_of_nothing_is_not_known_rather_than_zero() -> None:
    assert add([]) == Counts()


def test_figure_that_an_answer_lacks_is_taken_from_the_earlier_sight() -> None:
    assert filled(Counts(tasks=5), Counts(tasks=4, stages=2)) == Counts(tasks=5, stages=2)


def test_a_figure_of_zero_is_a_figure() -> None:
    assert filled(Counts(tasks=0), Counts(tasks=4)) == Counts(tasks=0)


@pytest.mark.parametrize(
    ("value", "ratio"),
    [
        pytest.param(subjob(indices=25), 0.25, id="indices over tasks"),
        pytest.param(subjob(indices=25, skipped=50), 0.5, id="skipped tasks are no work"),
        pytest.param(subjob(indices=94, completed=140), 0.94, id="repeated tasks do not count"),
        pytest.param(subjob(indices=None, completed=30), 0.3, id="tasks where no indices"),
        pytest.param(subjob(indices=140), 1.0, id="never above 1"),
        pytest.param(subjob(tasks=0), 0.0, id="no tasks: 0 until it succeeds"),
        pytest.param(subjob(tasks=5, skipped=5), 0.0, id="all skipped: 0 until it succeeds"),
        pytest.param(
            subjob(status=SubJobStatus.SUCCEEDED, tasks=88, indices=61), 1.0, id="success is 1"
        ),
        pytest.param(
            subjob(status=SubJobStatus.SUCCEEDED, tasks=0), 1.0, id="success without tasks is 1"
        ),
        pytest.param(
            subjob(status=SubJobStatus.FAILED, tasks=96, indices=89, skipped=6),
            89 / 90,
            id="failure keeps its share",
        ),
        pytest.param(subjob(tasks=None, indices=7), None, id="size not known"),
    ],
)
def test_subjob_ratio(value: SubJob, ratio: float | None) -> None:
    assert subjob_ratio(value) == ratio


@pytest.mark.parametrize(
    ("value", "size"),
    [
        pytest.param(subjob(tasks=100, skipped=10), 90, id="running: all but the skipped"),
        pytest.param(subjob(status=SubJobStatus.SUCCEEDED, indices=4), 4, id="success: executed"),
        pytest.param(
            subjob(status=SubJobStatus.FAILED, tasks=96, indices=89, skipped=6), 90, id="failure"
        ),
        pytest.param(subjob(tasks=None), None, id="not known"),
        pytest.param(subjob(tasks=1, skipped=3), 0, id="never negative"),
    ],
)
def test_work(value: SubJob, size: int | None) -> None:
    assert work(value) == size


def test_known_work_counts_what_ended_with_what_it_executed() -> None:
    listed = [
        subjob(0, SubJobStatus.SUCCEEDED, tasks=200, indices=10),
        subjob(1, tasks=30, indices=20),
    ]
    assert known_work(parts(listed), Gone()) == (30, 40)


def test_known_work_counts_a_subjob_listed_no_more_as_ended() -> None:
    assert known_work(parts([subjob(2, tasks=10)]), gone({1: subjob(1, indices=90)})) == (90, 100)


def test_a_failure_stays_undone_when_it_is_listed_no_more() -> None:
    failed = subjob(1, SubJobStatus.FAILED, indices=90)
    assert (
        known_work(parts([failed]), Gone()) == known_work(parts([]), gone({1: failed})) == (90, 100)
    )


def test_work_is_not_known_before_any_subjob() -> None:
    assert known_work(parts([]), Gone()) is expected_work(parts([]), Gone()) is None


def ended(id_: int, tasks: int, executed: int, *, stages: int = 2) -> SubJob:
    status = SubJobStatus.SUCCEEDED
    skipped = tasks - executed
    return subjob(id_, status, tasks=tasks, indices=executed, skipped=skipped, stages=stages)


@pytest.mark.parametrize(
    ("listed", "work"),
    [
        pytest.param([subjob(indices=239, tasks=240)], (239, 240), id="one: what is known"),
        pytest.param([subjob(indices=5, stages=3)], (5, 100), id="one of several stages: the same"),
        pytest.param([subjob(tasks=None)], None, id="size not known"),
        pytest.param([subjob(tasks=0)], None, id="no tasks"),
        pytest.param(
            [ended(0, 30, 30), subjob(1, tasks=20, indices=5)],
            (35, 70),
            id="one more of the lower median",
        ),
        pytest.param(
            [subjob(0, tasks=30), subjob(1, tasks=20), subjob(2, tasks=10)],
            (0, 80),
            id="one more of the median size",
        ),
        pytest.param(
            [subjob(0, tasks=30), subjob(1, tasks=0)], (0, 30), id="one without tasks is none"
        ),
        pytest.param(
            [ended(0, 2, 2), ended(1, 2, 2), subjob(2, tasks=100)],
            (4, 106),
            id="a large one after small ones is the last large one",
        ),
        pytest.param(
            [ended(0, 20, 5), subjob(1, tasks=40, indices=4, stages=2)],
            (9, 20),
            id="a quarter executed, a quarter expected, and one more",
        ),
        pytest.param(
            [ended(0, 20, 5), subjob(1, tasks=40, indices=4, stages=1)],
            (9, 50),
            id="a single stage is never skipped",
        ),
        pytest.param(
            [ended(0, 20, 20, stages=1), subjob(1, tasks=40, stages=2)],
            (20, 80),
            id="single stages teach nothing about skipping",
        ),
        pytest.param(
            [ended(0, 20, 5), subjob(1, tasks=40, indices=15, stages=2)],
            (20, 25),
            id="never less than what is done",
        ),
        pytest.param(
            [ended(0, 20, 5), subjob(1, SubJobStatus.FAILED, tasks=40, indices=4, stages=2)],
            (9, 50),
            id="a failure leaves the rest undone",
        ),
    ],
)
def test_expected_work(listed: list[SubJob], work: tuple[float, float] | None) -> None:
    assert expected_work(parts(listed), Gone()) == work


def test_subjobs_listed_no_more_count_and_teach_as_before() -> None:
    seen = [ended(0, 20, 5), ended(1, 30, 10), subjob(2, tasks=40, indices=4, stages=2)]
    left = gone({0: seen[0], 1: seen[1]})
    assert expected_work(parts(seen[2:]), left) == expected_work(parts(seen), Gone()) == (19, 37)
    assert expected_work(parts([]), left) == (15, 20)


@pytest.mark.parametrize(
    ("value", "tasks"),
    [
        pytest.param(subjob(active=4), 4, id="those active"),
        pytest.param(subjob(active=4, indices=98), 2, id="no more than are left"),
        pytest.param(subjob(active=4, indices=120), 0, id="none left"),
        pytest.param(subjob(active=None), 0, id="not told"),
        pytest.param(subjob(active=4, tasks=None), 0, id="size not known"),
        pytest.param(subjob(active=4, status=SubJobStatus.SUCCEEDED), 0, id="ended"),
    ],
)
def test_running_tasks(value: SubJob, tasks: int) -> None:
    assert running(value) == tasks


@pytest.mark.parametrize(
    ("status", "work", "previous", "ratio"),
    [
        pytest.param(JobStatus.RUNNING, (30, 40), None, 0.75, id="work done over work expected"),
        pytest.param(JobStatus.RUNNING, (30, 80), 0.75, 0.375, id="falls when work grows"),
        pytest.param(JobStatus.FINISHED, (30, 40), 0.75, 1.0, id="finished is 1"),
        pytest.param(JobStatus.FINISHED, None, None, 1.0, id="finished unseen is 1"),
        pytest.param(JobStatus.FAILED, (40, 40), 0.75, 0.75, id="failed keeps the last"),
        pytest.param(JobStatus.CANCELLED, None, None, None, id="cancelled unseen is unknown"),
        pytest.param(JobStatus.LAUNCHING, None, None, 0.0, id="launching: nothing has run"),
        pytest.param(JobStatus.RUNNING, None, None, None, id="running, nothing known"),
        pytest.param(JobStatus.RUNNING, None, 0.0, 0.0, id="running after a seen launch"),
        pytest.param(JobStatus.UNKNOWN, (1, 2), None, 0.5, id="unknown words go on"),
    ],
)
def test_job_ratio(
    status: JobStatus, work: tuple[float, float] | None, previous: float | None, ratio: float | None
) -> None:
    assert job_ratio(status, work and Work(*work), previous) == ratio


def test_nothing_of_a_subjob_listed_no_more_is_active() -> None:
    left = subjob()._replace(counts=Counts(tasks=9, tasks_active=2, stages_active=1))
    assert gone({0: left}).counts == Counts(tasks=9, tasks_active=0, stages_active=0)


def test_subjob_that_left_unended_has_an_unknown_end() -> None:
    left = {0: subjob(0), 1: subjob(1, SubJobStatus.FAILED), 2: subjob(2, SubJobStatus.SUCCEEDED)}
    assert gone(left).statuses == {
        SubJobStatus.UNKNOWN: 1,
        SubJobStatus.FAILED: 1,
        SubJobStatus.SUCCEEDED: 1,
    }


@pytest.mark.parametrize(
    ("before", "after", "moved"),
    [
        pytest.param(subjob(), subjob(), False, id="the same"),
        pytest.param(None, subjob(), True, id="new"),
        pytest.param(subjob(), subjob(indices=1), True, id="an index"),
        pytest.param(subjob(), subjob(completed=1), True, id="a task"),
        pytest.param(subjob(), subjob(staged=1), True, id="a stage"),
        pytest.param(subjob(indices=None), subjob(indices=0), False, id="none, now told"),
        pytest.param(subjob(indices=2), subjob(indices=1), False, id="backwards"),
        pytest.param(subjob(indices=2), subjob(indices=None), False, id="no more told"),
        pytest.param(subjob(), subjob(skipped=5, active=3), False, id="nothing completed"),
        pytest.param(subjob(), subjob(status=SubJobStatus.FAILED), True, id="status"),
    ],
)
def test_movement(before: SubJob | None, after: SubJob, moved: bool) -> None:
    assert advanced(before, after) is moved


@pytest.mark.parametrize(
    ("value", "end"),
    [
        pytest.param(subjob(indices=50), 200.0, id="40 in 80 s: 50 more take 100 s"),
        pytest.param(subjob(indices=10), None, id="nothing gained"),
        pytest.param(subjob(indices=140), 100.0, id="more done than there is: now"),
        pytest.param(subjob(status=SubJobStatus.SUCCEEDED, indices=50), None, id="ended"),
        pytest.param(subjob(tasks=None, indices=50), None, id="size not known"),
    ],
)
def test_expected_end_of_a_subjob(value: SubJob, end: float | None) -> None:
    assert expected_end(value, first=20.0, first_done=10, now=100.0) == end


def test_speed_is_measured_from_the_first_sight() -> None:
    first = sighted(subjob(indices=10), None, 20.0)
    second = sighted(subjob(indices=50), first, 100.0)
    assert (first.expected_end, second.first, second.expected_end) == (None, 20.0, 200.0)


def test_done_prefers_indices_and_falls_back_to_tasks() -> None:
    assert (done(subjob(indices=3, completed=9)), done(subjob(indices=None, completed=9))) == (3, 9)
    assert done(subjob(indices=None)) == 0
