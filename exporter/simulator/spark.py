"""A live Spark application in DLI's clothes: one DLI job per job group.

Spark does not tell when a job group ends. A group counts as RUNNING until its application is
completed, replaced by another, or cannot be connected to; then its last sub-job decides: FAILED
if that one failed, FINISHED otherwise. `SparkFront.end` ends a group by hand. LAUNCHING and
CANCELLED are never seen.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from types import MappingProxyType
from typing import Any, Final

import aiohttp

from .javadate import format_java_date
from .statements import Particulars
from .workload import JobState, ended_progress

_FIELDS: Final[Mapping[str, str]] = MappingProxyType(
    {
        "jobId": "id",
        "name": "name",
        "description": "description",
        "submissionTime": "submission_time",
        "completionTime": "completion_time",
        "stageIds": "stage_ids",
        "jobGroup": "job_group",
        "status": "status",
        "numTasks": "num_tasks",
        "numActiveTasks": "num_active_tasks",
        "numCompletedTasks": "num_completed_tasks",
        "numSkippedTasks": "num_skipped_tasks",
        "numFailedTasks": "num_failed_tasks",
        "numKilledTasks": "num_killed_tasks",
        "numCompletedIndices": "num_completed_indices",
        "numActiveStages": "num_active_stages",
        "numCompletedStages": "num_completed_stages",
        "numSkippedStages": "num_skipped_stages",
        "numFailedStages": "num_failed_stages",
        "killedTasksSummary": "killed_tasks_summary",
    }
)
"""Spark's ``JobData`` (camelCase) to DLI's ``sub_jobs`` (dli_02_0296)."""

Json = Mapping[str, Any]


@dataclass(frozen=True, slots=True, kw_only=True)
class SparkJob:
    """A job group at its last sight; ``rows`` are Spark's own ``JobData``, newest first.

    ``start`` and ``completed`` remember sub-jobs that Spark has forgotten since: the first
    submission (Unix seconds), and the last count of completed tasks by sub-job.
    """

    id: str
    rows: Sequence[Json] = field(default=(), repr=False)
    user: str = "spark"
    start: float = math.inf
    completed: Mapping[int, int] = field(default_factory=dict)
    ending: tuple[float, str] | None = None

    def state(self, _now: float) -> JobState:
        """Tell what the list says of the group."""
        about = Particulars(
            statement=_text(self.rows, "description") or _text(self.rows, "name"),
            owner=self.user,
            queue_name="spark",
        )
        return JobState(
            job_id=self.id,
            particulars=about,
            status=self.ending[1] if self.ending else "RUNNING",
            start=self.start,
            end=self.ending[0] if self.ending else None,
            completed=sum(self.completed.values()),
        )

    def progress(self, _now: float) -> dict[str, Any]:
        """Give the body of the progress API."""
        if self.ending:
            return ended_progress(self.id, self.ending[1])
        return {
            "is_success": True,
            "message": "",
            "job_id": self.id,
            "status": "RUNNING",
            **_current(self.rows),
            "sub_jobs": [sub_job(row) for row in self.rows],
        }

    def seen(self, rows: Sequence[Json]) -> "SparkJob":
        """Replace the sub-jobs by those that Spark shows now."""
        counts = {int(row["jobId"]): int(row["numCompletedTasks"]) for row in rows}
        starts = [_epoch(row["submissionTime"]) for row in rows if row.get("submissionTime")]
        return replace(
            self,
            rows=rows,
            start=min([self.start, *starts]),
            completed={**self.completed, **counts},
        )

    def ended(self, now: float) -> "SparkJob":
        """End with the application, unless it has ended before."""
        if self.ending:
            return self
        last = max(self.rows, key=lambda row: int(row["jobId"]))
        outcome = "FAILED" if last.get("status") == "FAILED" else "FINISHED"
        return replace(self, ending=(now, outcome))


class _Gone(Exception):
    """Nobody listens at the address any more."""


class SparkFront:
    """The job groups of the first application that a Spark UI or history server lists."""

    def __init__(self, url: str, session: aiohttp.ClientSession, *, timeout: float = 5.0) -> None:
        """Ask ``url`` (``http://driver:4040``), each time for ``timeout`` seconds at most."""
        self._base = url.rstrip("/") + "/api/v1/applications"
        self._session = session
        self._timeout = aiohttp.ClientTimeout(total=timeout)
        self._application: str | None = None
        self._jobs: dict[str, SparkJob] = {}

    @property
    def jobs(self) -> Mapping[str, SparkJob]:
        """Every group seen so far, by id."""
        return self._jobs

    async def refresh(self, now: float) -> None:
        """Look at the application; one that is gone, completed or replaced ends its groups."""
        try:
            application = await self._first_application()
            if application is None:
                return
            if application["id"] != self._application:
                self._end_all(now)
            self._application = application["id"]
            rows = await self._get(f"{self._base}/{self._application}/jobs")
        except _Gone:
            self._end_all(now)
            return
        if isinstance(rows, list):
            self._take(rows, _user(application))
        if _completed(application):
            self._end_all(now)

    def end(self, job_id: str, status: str, now: float) -> None:
        """End a group by hand; KeyError for one that was never seen."""
        self._jobs[job_id] = replace(self._jobs[job_id], ending=(now, status))

    def forget(self, job_id: str) -> None:
        """Lose a group; KeyError for one that was never seen. It returns if Spark shows it."""
        del self._jobs[job_id]

    def _take(self, rows: Sequence[Json], user: str) -> None:
        for group, members in jobs_by_group(rows).items():
            known = self._jobs.get(group) or SparkJob(id=group, user=user)
            self._jobs[group] = known.seen(members)

    def _end_all(self, now: float) -> None:
        self._jobs = {group: job.ended(now) for group, job in self._jobs.items()}

    async def _first_application(self) -> Json | None:
        found = await self._get(self._base)
        if isinstance(found, list) and found and isinstance(found[0], dict) and "id" in found[0]:
            return found[0]
        return None

    async def _get(self, url: str) -> Any:
        """Give the JSON at ``url``; None when the answer is no good, which ends nothing."""
        try:
            async with self._session.get(url, timeout=self._timeout) as response:
                return await response.json() if response.status == 200 else None
        except aiohttp.ClientConnectorError:
            raise _Gone from None
        except (aiohttp.ClientError, TimeoutError, ValueError):
            return None


def jobs_by_group(rows: Sequence[Json]) -> dict[str, list[Json]]:
    """Sort Spark's jobs by group, in Spark's order; those without a group are left out."""
    groups: dict[str, list[Json]] = {}
    for row in rows:
        if group := row.get("jobGroup"):
            groups.setdefault(str(group), []).append(row)
    return groups


def sub_job(row: Json) -> dict[str, Any]:
    """Write one ``JobData`` as DLI's ``sub_jobs`` has it; empty fields are left out."""
    body = {
        name: row[key] for key, name in _FIELDS.items() if row.get(key) not in (None, "", [], {})
    }
    for name in ("submission_time", "completion_time"):
        if name in body:
            body[name] = format_java_date(_epoch(body[name]))
    return body


def _epoch(text: str) -> float:
    """Read Spark's own time, ``2023-10-15T10:17:00.758GMT``, as Unix seconds."""
    return datetime.fromisoformat(text.replace("GMT", "+00:00")).timestamp()


def _current(rows: Sequence[Json]) -> dict[str, Any]:
    """Name the running sub-job of the highest id and its progress, unrounded and unclamped."""
    running = [row for row in rows if row.get("status") == "RUNNING"]
    if not running:
        return {"progress": 0}
    row = max(running, key=lambda each: int(each["jobId"]))
    return {
        "sub_job_id": row["jobId"],
        "progress": row["numCompletedTasks"] / max(1, row["numTasks"]),
    }


def _text(rows: Sequence[Json], key: str) -> str:
    """Find the oldest sub-job's text."""
    return next((str(row[key]) for row in reversed(rows) if row.get(key)), "")


def _attempt(application: Json) -> Json:
    attempts = application.get("attempts") or [{}]
    return attempts[0] if isinstance(attempts[0], dict) else {}


def _user(application: Json) -> str:
    return str(_attempt(application).get("sparkUser") or "spark")


def _completed(application: Json) -> bool:
    return _attempt(application).get("completed") is True
