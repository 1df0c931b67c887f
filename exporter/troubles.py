"""What does not work with a project: told when it begins and when it is over, not each time."""

import logging
import time
from collections import defaultdict
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Final, NamedTuple

from .dli.errors import DliError, Scope, Throttled
from .jobs.model import JobKey
from .logs import fields
from .metrics.telemetry import Telemetry
from .web.state import Failure, Health

log = logging.getLogger(__name__)

_QUIET: Final = 600.0
"""Seconds without a failure after which the next one of its reason begins anew."""
_REMEMBERED: Final = 86_400.0
"""Seconds for which a failure is shown that is over: who comes in the morning asks of the night."""

Subject = JobKey | str | None
"""On whose behalf calls are made: a job, something that has a name, or nobody in particular."""


class _Trouble(NamedTuple):
    """Why the calls for a subject fail; a ``whole`` one is that of every call."""

    reason: str
    whole: bool


class Troubles:
    """The troubles of one project, and whether the API is up for it.

    Calls for one subject may fail while those for another succeed, even for a reason that is
    the whole project's: an account may be allowed to ask for progress, but not for the list.
    So each subject keeps its own, and what several share is told once for all of them.
    ``now`` (Unix seconds) dates them.
    """

    def __init__(
        self, project: str, telemetry: Telemetry, *, now: Callable[[], float] = time.time
    ) -> None:
        self._project = project
        self._telemetry = telemetry
        self._now = now
        self._troubles: dict[Subject, _Trouble] = {}
        self._failures: dict[str, Failure] = {}
        self._up: bool | None = None
        self._last_success: float | None = None

    def health(self) -> Health:
        """Return how the calls go, with the last failure of each reason."""
        subjects: defaultdict[str, list[Subject]] = defaultdict(list)
        for subject, trouble in self._troubles.items():
            subjects[trouble.reason].append(subject)
        failures = [_concerning(each, subjects[each.reason]) for each in self._failures.values()]
        oldest = self._now() - _REMEMBERED
        told = [failure for failure in failures if not failure.over or failure.last >= oldest]
        return Health(
            project=self._project,
            up=self._up,
            last_success=self._last_success,
            failures=tuple(sorted(told, key=lambda failure: (failure.over, -failure.last))),
        )

    def failed(self, error: DliError, subject: Subject = None) -> None:
        """Hear that a call for a subject failed."""
        whole = error.scope is Scope.PROJECT
        # A throttled call was answered, and nobody said that it was not authorised.
        if not isinstance(error, Throttled):
            self._tell(not whole)
        self._begin(subject, error, whole=whole)

    def over(self, now: float, subject: Subject = None) -> None:
        """Hear that a call for a subject succeeded at ``now`` (Unix seconds)."""
        self._tell(True)
        self._last_success = now
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

    def _tell(self, up: bool) -> None:
        self._up = up
        self._telemetry.up(self._project, up)

    def _begin(self, subject: Subject, error: DliError, *, whole: bool) -> None:
        self._note(error)
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

    def _note(self, error: DliError) -> None:
        """Remember a failure for those who look: the last line of each reason, and how often."""
        now, before = self._now(), self._failures.get(error.reason)
        if before is None or (now - before.last > _QUIET and not self._lasting(error.reason)):
            before = Failure(
                reason=error.reason, message="", since=now, last=now, count=0, over=True
            )
        self._failures[error.reason] = replace(
            before, message=str(error), last=now, count=before.count + 1
        )

    def _lasting(self, reason: str) -> bool:
        return any(trouble.reason == reason for trouble in self._troubles.values())


def _concerning(failure: Failure, subjects: Sequence[Subject]) -> Failure:
    """Return a failure with those for whom the last call failed so."""
    jobs = [subject.job_id for subject in subjects if isinstance(subject, JobKey)]
    return replace(
        failure,
        over=not subjects,
        jobs=len(jobs),
        job_id=jobs[0] if jobs else "",
        of=tuple(sorted(subject for subject in subjects if isinstance(subject, str))),
    )
