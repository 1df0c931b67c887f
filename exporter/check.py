"""Whether the settings work: one look at each project, in words."""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import Final

from .connection import Connection, StartError, connect
from .dli.calls import Call
from .dli.errors import DliError
from .dli.listener import Listener
from .dli.queries import JobsQuery
from .jobs.model import JobStatus
from .settings import Project, Settings

_NOTABLE_SKEW: Final = 60.0
"""Seconds; the gateway refuses signatures that are 15 minutes off."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Verdict:
    """What was learnt about a project; ``error`` is what does not work, None if all does.

    ``expires_at`` (Unix seconds) is when the credential ends, if it does; ``found`` the project's
    id, if it had to be looked up. ``job`` was asked for last, if any was, and has that ``status``.
    ``skew`` is how many seconds the clock here is ahead of the API's.
    """

    project: str
    endpoint: str
    provider: str
    expires_at: float | None = None
    found: str | None = None
    jobs: int | None = None
    job: str | None = None
    status: JobStatus | None = None
    skew: float | None = None
    error: DliError | StartError | None = None

    def __str__(self) -> str:
        """Say it in one line."""
        if isinstance(self.error, DliError):
            about = "" if self.job is None else f"job {self.job}: "
            return (
                f"{self.project}: failed ({self.error.reason}): {about}{self.error}{self._clock()}"
            )
        if self.error is not None:
            return f"{self.project}: failed: {self.error}"
        return f"{self.project}: ok: {'; '.join(self._facts())}{self._clock()}"

    def _facts(self) -> Iterator[str]:
        yield f"{self.endpoint} accepts the credentials ({self.provider}{self._until()})"
        if self.found is not None:
            yield f"the project is {self.found}"
        yield f"{'some' if self.jobs is None else self.jobs} jobs in the project's list"
        if self.job is not None:
            yield f"job {self.job} is {self.status}"

    def _until(self) -> str:
        if self.expires_at is None:
            return ""
        end = datetime.fromtimestamp(self.expires_at, UTC)
        return f", until {end:%Y-%m-%dT%H:%M:%SZ}"

    def _clock(self) -> str:
        if self.skew is None or abs(self.skew) < _NOTABLE_SKEW:
            return ""
        return (
            f"; the clock here is {abs(self.skew):.0f} s {'ahead' if self.skew > 0 else 'behind'}"
        )


async def check(settings: Settings) -> list[Verdict]:
    """List one job of each project and ask for the progress of the first one configured."""
    return [await _look(name, project, settings) for name, project in settings.projects.items()]


async def _look(name: str, project: Project, settings: Settings) -> Verdict:
    calls: list[Call] = []
    verdict = Verdict(
        project=name, endpoint=project.endpoint, provider=project.credentials.provider
    )
    try:
        connection = connect(
            project,
            timeout=settings.poll.timeout,
            zones=settings.zones,
            listener=Listener(called=calls.append),
        )
    except StartError as error:
        return replace(verdict, error=error)
    try:
        verdict = await _ask(verdict, project, connection)
    finally:
        await connection.close()
    skews = [call.skew for call in calls if call.skew is not None]
    return replace(
        verdict,
        expires_at=connection.provider.expires_at,
        skew=skews[-1] if skews else None,
    )


async def _ask(verdict: Verdict, project: Project, connection: Connection) -> Verdict:
    client = connection.client
    try:
        if project.project_id is None:
            verdict = replace(verdict, found=await client.project_id())
        page = await client.jobs(JobsQuery(page_size=1))
        verdict = replace(verdict, jobs=page.count)
        for job_id in project.jobs[:1]:
            verdict = replace(verdict, job=job_id)
            answer = await client.progress(job_id)
            verdict = replace(verdict, status=answer.observation.status)
    except DliError as error:
        verdict = replace(verdict, error=error)
    return verdict
