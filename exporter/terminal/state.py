"""What is shown of a job: the state that the exporter's API tells, in this process or another."""

from typing import Annotated, Any

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, FiniteFloat

from ..jobs.model import JobStatus, SubJobStatus
from .words import plain

PlainText = Annotated[str, AfterValidator(plain)]
"""Text of others, harmless from here on."""


def _status(word: Any) -> Any:
    """Read a status that a newer exporter may know and this one does not."""
    known = word is None or word in JobStatus.__members__
    return word if known else JobStatus.UNKNOWN


class _State(BaseModel):
    """What an exporter tells beyond this is left aside; what an older one does not is None."""

    model_config = ConfigDict(frozen=True, extra="ignore", hide_input_in_errors=True)


class SubJobState(_State):
    """A sub-job that the API lists; times are Unix seconds, None is not known."""

    subjob_id: int
    name: PlainText = ""
    status: PlainText
    progress_ratio: FiniteFloat | None = None
    tasks: int | None = None
    tasks_failed: int | None = None
    indices_completed: int | None = None
    indices_per_second: FiniteFloat | None = None
    expected_end: FiniteFloat | None = None

    @property
    def runs(self) -> bool:
        """Whether the sub-job runs."""
        return self.status == SubJobStatus.RUNNING


class JobState(_State):
    """A job; times are Unix seconds, None is not known."""

    project: PlainText
    job_id: PlainText
    name: PlainText = ""
    status: Annotated[JobStatus | None, BeforeValidator(_status)] = None
    queue_name: PlainText = ""
    progress_ratio: FiniteFloat | None = None
    expected_progress_ratio: FiniteFloat | None = None
    indices_completed: int | None = None
    indices_per_second: FiniteFloat | None = None
    tasks_failed: int | None = None
    start: FiniteFloat | None = None
    end: FiniteFloat | None = None
    deadline: FiniteFloat | None = None
    expected_end: FiniteFloat | None = None
    last_update: FiniteFloat | None = None
    subjobs: tuple[SubJobState, ...] = ()

    @property
    def ended(self) -> bool:
        """Whether the job has ended for good."""
        return self.status is not None and self.status.terminal

    @property
    def ratio(self) -> float | None:
        """How far the job is, 0 to 1: by the time that earlier runs took, else by its work.

        Never what the API reports: that speaks of one sub-job after the other. One that has not
        finished keeps what it had done, whatever was expected of it.
        """
        by_time = self.expected_progress_ratio
        ratio = self.progress_ratio if by_time is None or self.ended else by_time
        return None if ratio is None else min(max(ratio, 0.0), 1.0)

    @property
    def took(self) -> float | None:
        """How long the job ran, in seconds; None if it did not end, or nobody told when."""
        if self.start is None or self.end is None or not self.ended:
            return None
        return max(self.end - self.start, 0.0)

    @property
    def running(self) -> tuple[SubJobState, ...]:
        """The sub-jobs that run, unless the job has ended: then nothing runs."""
        return () if self.ended else tuple(subjob for subjob in self.subjobs if subjob.runs)


class _Data(_State):
    jobs: tuple[JobState, ...]


class _Answer(_State):
    data: _Data


def read_answer(body: bytes) -> tuple[JobState, ...]:
    """Read what ``/api/v1/jobs`` answers; ValueError if an exporter does not answer so."""
    return _Answer.model_validate_json(body).data.jobs
