"""What does not work with a project: told when it begins and when it is over, not each time."""

import logging
from dataclasses import dataclass

from .dli.errors import DliError, Scope, Throttled
from .jobs.model import JobKey
from .logs import fields
from .metrics.telemetry import Telemetry

log = logging.getLogger(__name__)

Subject = JobKey | str | None
"""On whose behalf calls are made: a job, something that has a name, or nobody in particular."""


@dataclass(frozen=True, slots=True)
class _Trouble:
    """Why the calls for a subject fail; a ``whole`` one is that of every call."""

    reason: str
    whole: bool


class Troubles:
    """The troubles of one project, and whether the API is up for it.

    Calls for one subject may fail while those for another succeed, even for a reason that is
    the whole project's: an account may be allowed to ask for progress, but not for the list.
    So each subject keeps its own, and what several share is told once for all of them.
    """

    def __init__(self, project: str, telemetry: Telemetry) -> None:
        self._project = project
        self._telemetry = telemetry
        self._troubles: dict[Subject, _Trouble] = {}

    def failed(self, error: DliError, subject: Subject = None) -> None:
        """Hear that a call for a subject failed."""
        whole = error.scope is Scope.PROJECT
        # A throttled call was answered, and nobody said that it was not authorised.
        if not isinstance(error, Throttled):
            self._telemetry.up(self._project, not whole)
        self._begin(subject, error, whole=whole)

    def over(self, now: float, subject: Subject = None) -> None:
        """Hear that a call for a subject succeeded at ``now`` (Unix seconds)."""
        self._telemetry.up(self._project, True)
        self._telemetry.succeeded(self._project, now)
        self._end(subject)

    def limping(self, what: str, error: DliError) -> None:
        """Hear that something failed that the exporter can do without."""
        self._begin(what, error, whole=error.scope is Scope.PROJECT)

    def works(self, what: str) -> None:
        """Hear that it does not fail, or no longer."""
        self._end(what)

    def forget(self, subject: Subject) -> None:
        """Forget the trouble of a subject that is asked for no more."""
        self._troubles.pop(subject, None)

    def _begin(self, subject: Subject, error: DliError, *, whole: bool) -> None:
        trouble = _Trouble(error.reason, whole)
        known = self._shared(trouble) if whole else self._troubles.get(subject) == trouble
        self._troubles[subject] = trouble
        if not known:
            about = self._about(subject, trouble)
            log.warning("calls fail", extra=fields(**about, reason=error.reason, error=error))

    def _end(self, subject: Subject) -> None:
        trouble = self._troubles.pop(subject, None)
        if trouble is not None and not (trouble.whole and self._shared(trouble)):
            about = self._about(subject, trouble)
            log.info("calls succeed again", extra=fields(**about, after=trouble.reason))

    def _shared(self, trouble: _Trouble) -> bool:
        return trouble in self._troubles.values()

    def _about(self, subject: Subject, trouble: _Trouble) -> dict[str, str]:
        project = {"project": self._project}
        if isinstance(subject, str):
            return project | {"of": subject}
        if subject is None or trouble.whole:
            return project
        return project | {"job_id": subject.job_id}
