"""What DLI tells itself: asked with the exporter's own parts, with no web server before them."""

import asyncio
import time
from collections.abc import AsyncIterator, Iterable, Iterator, Mapping
from contextlib import asynccontextmanager
from typing import Final

from ..fleet import Fleet
from ..jobs.model import Job, JobKey
from ..jobs.retention import Retention
from ..metrics.exposition import Exposition
from ..metrics.rendering import SubJobs
from ..metrics.telemetry import Telemetry
from ..settings import Discovery, Duration, Project, Settings, SettingsError
from ..settings.model import DEFAULT_PROJECT
from ..tracker import Limits, Tags, Tracker
from ..watch import Watch
from ..web.api import job_state
from .fates import Look, Wanted
from .silence import Silence
from .state import JobState

_NO_SUCH_JOB: Final = "DLI knows no such job"
_RECENT: Final = 60.0
"""Seconds for which a failure is shown at least."""
_ALONE: Final = {"shard": 0, "total_shards": 1}
"""Who sits at a terminal shares the projects with nobody."""


def keys(wanted: Iterable[Wanted], projects: Mapping[str, Project]) -> dict[Wanted, JobKey]:
    """Say which job of which project is meant; SettingsError where nobody can tell.

    An id alone belongs to the project that lists it, else to ``default``, else to the only one.
    """
    return {each: JobKey(_project(each, projects), each.job_id) for each in wanted}


def _project(wanted: Wanted, projects: Mapping[str, Project]) -> str:
    allowed = ", ".join(sorted(projects))
    if wanted.project is not None:
        if wanted.project not in projects:
            raise SettingsError([f"{wanted}: no such project; allowed: {allowed}"])
        return wanted.project
    listing = [name for name, project in projects.items() if wanted.job_id in project.jobs]
    if len(listing) == 1:
        return listing[0]
    if DEFAULT_PROJECT in projects:
        return DEFAULT_PROJECT
    if len(projects) > 1:
        raise SettingsError([f"{wanted}: which project? write PROJECT/ID; projects: {allowed}"])
    return next(iter(projects))


def narrowed(
    settings: Settings, jobs: Iterable[JobKey], *, interval: Duration, history: bool
) -> Settings:
    """Return settings that ask for these jobs alone; for all that are set if there are none.

    Earlier runs are read only if their ``history`` is wanted.
    """
    changes: dict[str, object] = {
        **_ALONE,
        "poll": settings.poll.model_copy(update={"interval": interval}),
        "history": settings.history.model_copy(
            update={"enabled": settings.history.enabled and history}
        ),
    }
    if named := _named(jobs):
        changes["limits"] = settings.limits.model_copy(
            update={"jobs": max(settings.limits.jobs, sum(map(len, named.values())))}
        )
        changes["projects"] = {
            name: settings.projects[name].model_copy(
                update={"jobs": tuple(job_ids), "discovery": Discovery()}
            )
            for name, job_ids in named.items()
        }
    return settings.model_copy(update=changes)


def _named(jobs: Iterable[JobKey]) -> dict[str, list[str]]:
    named: dict[str, list[str]] = {}
    for key in jobs:
        named.setdefault(key.project, []).append(key.job_id)
    return named


class Direct:
    """Looks at the jobs that an exporter without a web server keeps up to date."""

    def __init__(
        self,
        fleet: Fleet,
        tracker: Tracker,
        jobs: Mapping[Wanted, JobKey],
        *,
        interval: float,
        patience: float,
    ) -> None:
        """Take what asks, what it keeps, and which jobs somebody waits for, if any.

        Each job is asked for once in an ``interval``; an API that gives no good answer is borne
        for ``patience``. Both are seconds.
        """
        self._fleet = fleet
        self._tracker = tracker
        self._jobs = jobs
        self._interval = interval
        self._patience = patience
        self._silences: dict[str, Silence] = {}
        self._states: dict[JobKey, tuple[Job, JobState]] = {}

    def look(self, now: float) -> Look:
        """Return what is known at ``now`` (monotonic seconds)."""
        if not self._jobs and self._tracker.retire():
            self._fleet.list_again()
        self._silences = {watch.name: self._heard(watch, now) for watch in self._fleet}
        self._states = {job.key: (job, self._state(job)) for job in self._tracker}
        silent = {
            name: f"{silence.told('DLI', now)}"
            for name, silence in self._silences.items()
            if silence.too_long(now, self._patience)
        }
        lost = {wanted: self._lost(key, silent) for wanted, key in self._jobs.items()}
        return Look(
            jobs=tuple(state for _, state in self._states.values()),
            lost={wanted: why for wanted, why in lost.items() if why is not None},
            hopeless=next(iter(silent.values()))
            if silent.keys() == self._silences.keys()
            else None,
            troubles=tuple(self._troubles()),
        )

    def _heard(self, watch: Watch, now: float) -> Silence:
        """Return how a project's API answers; before a first answer there is nothing to say."""
        before, health = self._silences.get(watch.name, Silence()), watch.troubles.health()
        if health.up is None:
            return before
        if health.up:
            return before.broken()
        lasting = [failure.reason for failure in health.failures if not failure.over]
        return before.lasting(now, next(iter(lasting), ""))

    def _state(self, job: Job) -> JobState:
        """Return what is shown of a job; a job that has not changed is the same object."""
        before = self._states.get(job.key)
        if before is not None and before[0] is job:
            return before[1]
        return JobState.model_validate(job_state(job))

    def _lost(self, key: JobKey, silent: Mapping[str, str]) -> str | None:
        """Say why nothing more will be learnt of a job: it was dropped, or nobody answers."""
        return silent.get(key.project) if key in self._tracker else _NO_SUCH_JOB

    def _troubles(self) -> Iterator[str]:
        """Tell what fails; what was not tried again for a while may well work by now."""
        oldest = time.time() - max(_RECENT, 2 * self._interval)
        for watch in self._fleet:
            for failure in watch.troubles.health().failures:
                if not failure.over and failure.last >= oldest:
                    yield f"{watch.name}: {failure.message} ({failure.reason})"


@asynccontextmanager
async def direct(
    settings: Settings, jobs: Mapping[Wanted, JobKey], *, patience: float
) -> AsyncIterator[Direct]:
    """Ask DLI as long as the block lasts; StartError if a connection cannot be opened."""
    # Nobody scrapes: no family is rendered, and every end counts as seen.
    exposition = Exposition((), subjobs=SubJobs.NONE)
    telemetry = Telemetry(jobs=tuple, series=lambda: 0, now=time.time)
    tracker = Tracker(
        exposition=exposition,
        telemetry=telemetry,
        retention=Retention(settings.retention.finished, settings.retention.unscraped),
        limits=Limits(settings.limits.jobs, settings.limits.series),
        tags=Tags(settings.tags.name, settings.tags.deadline),
        delivered=lambda since: True,
        now=time.time,
        monotonic=time.monotonic,
    )
    fleet = Fleet(settings, tracker=tracker, telemetry=telemetry)
    try:
        fleet.attach()
        async with asyncio.TaskGroup() as group:
            fleet.start(group)
            interval = settings.poll.interval
            yield Direct(fleet, tracker, jobs, interval=interval, patience=patience)
            await fleet.stop()
    finally:
        await fleet.close()
