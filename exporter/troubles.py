"""What does not work with a project: told when it begins and when it is over, not each time."""

import logging

from .dli.errors import DliError, Scope, Throttled
from .jobs.model import JobKey
from .logs import fields
from .metrics.telemetry import Telemetry

log = logging.getLogger(__name__)


class Troubles:
    """The troubles of one project, and whether the API is up for it.

    A trouble is that of one job or of every call; its subject is the job, or None.
    """

    def __init__(self, project: str, telemetry: Telemetry) -> None:
        self._project = project
        self._telemetry = telemetry
        self._reasons: dict[JobKey | str | None, str] = {}

    def failed(self, error: DliError, job: JobKey | None = None) -> None:
        """Hear that a call failed, on behalf of a job if it was for one."""
        whole = error.scope is Scope.PROJECT
        # A throttled call was answered, and nobody said that it was not authorised.
        if not isinstance(error, Throttled):
            self._telemetry.up(self._project, not whole)
        self._begin(None if whole else job, error)

    def over(self, now: float, job: JobKey | None = None) -> None:
        """Hear that a call succeeded at ``now`` (Unix seconds)."""
        self._telemetry.up(self._project, True)
        self._telemetry.succeeded(self._project, now)
        for subject in {None, job}:
            self._end(subject)

    def limping(self, what: str, error: DliError) -> None:
        """Hear that something failed that the exporter can do without."""
        self._begin(what, error)

    def works(self, what: str) -> None:
        """Hear that it does not fail, or no longer."""
        self._end(what)

    def forget(self, job: JobKey) -> None:
        """Forget the trouble of a job that is watched no more."""
        self._reasons.pop(job, None)

    def _begin(self, subject: JobKey | str | None, error: DliError) -> None:
        if self._reasons.get(subject) != error.reason:
            self._reasons[subject] = error.reason
            log.warning(
                "calls fail", extra=fields(**self._of(subject), reason=error.reason, error=error)
            )

    def _end(self, subject: JobKey | str | None) -> None:
        if reason := self._reasons.pop(subject, None):
            log.info("calls succeed again", extra=fields(**self._of(subject), after=reason))

    def _of(self, subject: JobKey | str | None) -> dict[str, str]:
        identity = {"project": self._project}
        if isinstance(subject, JobKey):
            return identity | {"job_id": subject.job_id}
        return identity if subject is None else identity | {"of": subject}
