"""What is expected of the jobs that are watched: each run is followed, and learnt from."""

from dataclasses import dataclass, field

from .history import History, Run, expect
from .model import Details, Job, JobKey, JobStatus, ListedJob
from .profile import Trace, achieved, profile


@dataclass(slots=True)
class _Course:
    """How a watched job has run so far, and which statement it runs."""

    statement: str = ""
    began: float | None = None
    trace: Trace = field(default_factory=Trace)


class Forecast:
    """Follows jobs, and remembers how those went that finished.

    Statements are kept as fingerprints alone, apart for each project and queue.
    """

    def __init__(self) -> None:
        self._history = History()
        self._courses: dict[JobKey, _Course] = {}

    def identify(self, key: JobKey, row: ListedJob) -> None:
        """Learn which statement a job runs."""
        course = self._course(key)
        if row.statement and not course.statement:
            course.statement = _statement(key.project, row)

    def follow(self, job: Job, *, now: float) -> Job:
        """Return a job with what is expected of it after an answer of ``now`` (Unix seconds)."""
        course = self._course(job.key)
        if course.began is None and job.status is JobStatus.RUNNING:
            course.began = now
        if _told(job):
            course.trace = course.trace.seen(now, achieved(job))
        runs = self._history.runs(course.statement) if course.statement else ()
        duration, end, ratio = expected = expect(job, runs, start=_start(job, course), now=now)
        if expected == (job.expected_duration, job.expected_end, job.expected_ratio):
            return job
        return job._replace(expected_duration=duration, expected_end=end, expected_ratio=ratio)

    def finish(self, job: Job) -> None:
        """Remember a run that is over, if it finished and its statement and times are known."""
        course, details = self._courses.get(job.key), job.details
        if course is None or not course.statement or job.status is not JobStatus.FINISHED:
            return
        if details is not None and (times := _times(details)) is not None:
            start, end = times
            run = Run(
                job_id=job.key.job_id,
                ended=end,
                duration=end - start,
                profile=profile(course.trace, start=start, end=end),
            )
            self._history.record(course.statement, run)

    def learn(self, project: str, row: ListedJob) -> None:
        """Remember a finished run that the list API tells of."""
        times = _times(row.details)
        if row.status is JobStatus.FINISHED and row.statement and times is not None:
            start, end = times
            run = Run(job_id=row.job_id, ended=end, duration=end - start)
            self._history.record(_statement(project, row), run)

    def _course(self, key: JobKey) -> _Course:
        if (course := self._courses.get(key)) is None:
            course = self._courses[key] = _Course()
        return course

    def forget(self, key: JobKey) -> None:
        """Forget the course of a job that is watched no more; what it taught stays."""
        self._courses.pop(key, None)


def _told(job: Job) -> bool:
    """Whether it is known how much has been done.

    Not of a job found running before it was first asked for: it would seem to have begun now.
    """
    return job.status is JobStatus.LAUNCHING or job.progress is not None or bool(job.listed)


def _statement(project: str, row: ListedJob) -> str:
    from .fingerprint import fingerprint  # here: 3 ms that no start has to wait for

    return fingerprint(row.statement, f"{project}/{row.details.queue_name}")


def _start(job: Job, course: _Course) -> float | None:
    """Return when a job started, as the list API tells it, else since when it was seen to run."""
    if job.details is not None and job.details.start is not None:
        return job.details.start
    return course.began


def _times(details: Details) -> tuple[float, float] | None:
    """Return start and end of a run that is over; None if they are not known."""
    start, end = details.start, details.end
    if start is None:
        return None
    if end is None and details.duration is not None:
        end = start + details.duration
    return None if end is None or end <= start else (start, end)
