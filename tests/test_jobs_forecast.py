"""Following runs and learning from those that finished."""

from dataclasses import replace

from exporter.jobs.forecast import Forecast
from exporter.jobs.model import (
    Counts,
    Details,
    Job,
    JobKey,
    JobStatus,
    ListedJob,
    Observation,
    SubJob,
    SubJobStatus,
)
from exporter.jobs.store import fold

QUEUE = "etl"
SQL = "insert into daily select * from orders where day = '2026-11-{:02}'"


def row(
    job_id: str,
    *,
    status: JobStatus = JobStatus.FINISHED,
    start: float | None = 0.0,
    end: float | None = None,
    duration: float | None = None,
    queue: str = QUEUE,
    statement: str = SQL.format(1),
) -> ListedJob:
    details = Details(queue_name=queue, start=start, end=end, duration=duration)
    return ListedJob(job_id=job_id, status=status, details=details, statement=statement)


def running(job_id: str, *, start: float | None, done: int = 0, now: float = 0.0) -> Job:
    counts = Counts(tasks=100, indices_completed=done, stages=1)
    subjob = SubJob(id=0, status=SubJobStatus.RUNNING, counts=counts)
    job = Job(key=JobKey("prod", job_id), details=Details(queue_name=QUEUE, start=start))
    return fold(job, Observation(status=JobStatus.RUNNING, subjobs=(subjob,)), now=now)


def identified(forecast: Forecast, job: Job, *, queue: str = QUEUE) -> Job:
    told = row(job.key.job_id, status=JobStatus.RUNNING, queue=queue, statement=SQL.format(23))
    forecast.identify(job.key, told)
    return job


def taught(*durations: float) -> Forecast:
    forecast = Forecast()
    for number, duration in enumerate(durations):
        start = 1000.0 * number
        told = row(f"past-{number}", start=start, end=start + duration)
        forecast.learn("prod", replace(told, statement=SQL.format(number + 1)))
    return forecast


def test_runs_of_the_same_statement_tell_how_long_this_one_takes() -> None:
    forecast = taught(100.0, 120.0, 400.0)
    job = identified(forecast, running("new", start=5000.0))
    job = forecast.follow(job, now=5060.0)
    assert job.expected_duration == 120.0
    assert job.expected_end == 5120.0
    assert job.expected_ratio == 0.5


def test_a_run_without_an_end_is_told_by_its_duration() -> None:
    forecast = Forecast()
    forecast.learn("prod", row("past", start=0.0, duration=80.0))
    job = forecast.follow(identified(forecast, running("new", start=0.0)), now=10.0)
    assert job.expected_duration == 80.0


def test_what_did_not_finish_and_what_has_no_times_teaches_nothing() -> None:
    forecast = Forecast()
    forecast.learn("prod", row("failed", status=JobStatus.FAILED, end=80.0))
    forecast.learn("prod", row("timeless", start=None, end=80.0))
    forecast.learn("prod", row("endless"))
    forecast.learn("prod", row("backwards", start=90.0, end=80.0))
    job = forecast.follow(identified(forecast, running("new", start=0.0)), now=10.0)
    assert job.expected_duration is None


def test_projects_and_queues_are_kept_apart() -> None:
    forecast = taught(100.0)
    elsewhere = running("new", start=0.0)._replace(key=JobKey("test", "new"))
    assert forecast.follow(identified(forecast, elsewhere), now=1.0).expected_duration is None
    other = identified(forecast, running("other", start=0.0), queue="adhoc")
    assert forecast.follow(other, now=1.0).expected_duration is None


def test_without_history_the_work_goes_on_at_its_own_speed() -> None:
    job = Forecast().follow(running("new", start=100.0, done=25), now=150.0)
    assert job.expected_end == 300.0
    assert job.expected_ratio is None
    assert job.expected_duration is None


def test_a_start_that_nobody_told_is_when_the_job_was_first_seen_to_run() -> None:
    forecast = Forecast()
    forecast.follow(running("new", start=None), now=100.0)
    job = forecast.follow(running("new", start=None, done=50, now=110.0), now=110.0)
    assert job.expected_end == 120.0


def test_a_watched_run_teaches_how_it_went() -> None:
    """Half of its time went by before anything was done."""
    forecast = Forecast()
    for second in range(101):
        now, done = float(second), max(2 * (second - 50), 0)
        job = running("past", start=0.0, done=done, now=now)
        job = forecast.follow(identified(forecast, job), now=now)
    ended = job._replace(status=JobStatus.FINISHED, details=Details(start=0.0, end=100.0))
    forecast.finish(ended)
    job = identified(forecast, running("new", start=1000.0, done=50, now=1075.0))
    job = forecast.follow(job, now=1075.0)
    assert job.expected_ratio is not None
    assert abs(job.expected_ratio - 0.75) < 0.03


def test_an_end_that_was_no_success_teaches_nothing() -> None:
    forecast = Forecast()
    job = forecast.follow(identified(forecast, running("past", start=0.0)), now=10.0)
    details = Details(start=0.0, end=100.0)
    forecast.finish(job._replace(status=JobStatus.CANCELLED, details=details))
    job = forecast.follow(identified(forecast, running("new", start=0.0)), now=10.0)
    assert job.expected_duration is None


def test_nothing_new_leaves_the_value_as_it_is() -> None:
    forecast = Forecast()
    job = Job(key=JobKey("prod", "new"))
    assert forecast.follow(job, now=1.0) is job


def test_a_forgotten_course_does_not_take_its_lessons_along() -> None:
    forecast = taught(100.0)
    job = identified(forecast, running("new", start=0.0))
    forecast.follow(job, now=1.0)
    forecast.forget(job.key)
    assert forecast.follow(job, now=1.0).expected_duration is None
    assert forecast.follow(identified(forecast, job), now=1.0).expected_duration == 100.0


def test_a_run_that_was_found_in_the_middle_does_not_teach_how_it_went() -> None:
    """The list tells of it before it is asked for: that nothing is done is not known then."""
    forecast = Forecast()
    unasked = Job(key=JobKey("prod", "past"), status=JobStatus.RUNNING, details=Details(start=0.0))
    forecast.follow(identified(forecast, unasked), now=50.0)
    forecast.follow(running("past", start=0.0, done=90, now=51.0), now=51.0)
    ended = running("past", start=0.0, done=100, now=100.0)
    forecast.follow(ended, now=100.0)
    forecast.finish(
        ended._replace(status=JobStatus.FINISHED, details=Details(start=0.0, end=100.0))
    )
    job = identified(forecast, running("new", start=1000.0, done=50, now=1025.0))
    assert forecast.follow(job, now=1025.0).expected_ratio == 0.25


def test_a_run_that_was_watched_from_its_launch_teaches_how_it_went() -> None:
    forecast = Forecast()
    launching = Job(key=JobKey("prod", "past"), status=JobStatus.LAUNCHING)
    forecast.follow(identified(forecast, launching), now=1.0)
    forecast.follow(running("past", start=0.0, done=90, now=51.0), now=51.0)
    ended = running("past", start=0.0, done=100, now=100.0)
    forecast.follow(ended, now=100.0)
    forecast.finish(
        ended._replace(status=JobStatus.FINISHED, details=Details(start=0.0, end=100.0))
    )
    job = identified(forecast, running("new", start=1000.0, done=95, now=1060.0))
    assert forecast.follow(job, now=1060.0).expected_ratio != 0.6
