"""Which jobs leave, and when."""

import pytest

from exporter.jobs.model import Job, JobKey, JobStatus
from exporter.jobs.retention import Leaving, Retention, State, evictable, leaving, state

RETENTION = Retention(finished=900.0, unscraped=3600.0)


def job(name: str, ended: float | None) -> Job:
    status = JobStatus.RUNNING if ended is None else JobStatus.FAILED
    return Job(key=JobKey("prod", name), status=status, ended=ended)


def seen(_: Job) -> bool:
    return True


def unseen(_: Job) -> bool:
    return False


def test_states() -> None:
    assert state(job("a", None), delivered=seen) is State.RUNNING
    assert state(job("a", 1.0), delivered=unseen) is State.ENDED_UNSCRAPED
    assert state(job("a", 1.0), delivered=seen) is State.ENDED


def gone(one: Job, *, delivered: bool, now: float) -> tuple[bool, ...]:
    """Return whether the job leaves, and if it does, whether unscraped."""
    left = leaving([one], delivered=lambda _: delivered, retention=RETENTION, now=now)
    assert {leaver.key for leaver in left} <= {one.key}
    return tuple(leaver.unscraped for leaver in left)


@pytest.mark.parametrize(
    ("delivered", "age", "left"),
    [
        (True, 899.0, ()),
        (True, 900.0, (False,)),
        (False, 900.0, ()),
        (False, 3599.0, ()),
        (False, 3600.0, (True,)),
        (True, 3600.0, (False,)),
    ],
)
def test_an_ended_job_leaves_when_it_was_seen_or_at_the_hard_maximum(
    delivered: bool, age: float, left: tuple[bool, ...]
) -> None:
    assert gone(job("a", 1000.0), delivered=delivered, now=1000.0 + age) == left


def test_a_running_job_never_leaves() -> None:
    assert gone(job("a", None), delivered=True, now=1e12) == ()


def test_a_hard_maximum_below_the_retention_is_the_end_all_the_same() -> None:
    short = Retention(finished=900.0, unscraped=60.0)
    left = leaving([job("a", 0.0)], delivered=seen, retention=short, now=60.0)
    assert left == (Leaving(JobKey("prod", "a"), unscraped=False),)


def test_nobody_is_asked_about_jobs_whose_time_has_not_come() -> None:
    asked: list[Job] = []

    def delivered(one: Job) -> bool:
        asked.append(one)
        return True

    old = job("old", 0.0)
    leaving([job("new", 500.0), old], delivered=delivered, retention=RETENTION, now=1000.0)
    assert asked == [old]


def test_room_is_made_by_seen_ends_oldest_first_and_by_nothing_else() -> None:
    jobs = [job("running", None), job("late", 9.0), job("unseen", 1.0), job("early", 3.0)]
    keys = evictable(jobs, delivered=lambda one: one.key.job_id != "unseen")
    assert [key.job_id for key in keys] == ["early", "late"]
