"""The jobs that are watched: how they come, change, end and leave."""

import logging
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from math import inf
from typing import Final, NamedTuple, Protocol

from .jobs.forecast import Forecast
from .jobs.model import Job, JobKey, ListedJob, Observation, Registration
from .jobs.retention import Retention, evictable, leaving
from .jobs.store import JobStore, describe, fold
from .logs import fields
from .metrics.exposition import Exposition
from .metrics.telemetry import DropReason, Telemetry

log = logging.getLogger(__name__)

_REMEMBERED: Final = 20_000
"""Jobs refused or gone that are remembered, so that each is counted once."""


class Source(StrEnum):
    """Who wants a job watched."""

    LISTED = "listed"
    DIRECTORY = "directory"
    HTTP = "http"
    DISCOVERY = "discovery"


_NAMING: Final = frozenset({Source.LISTED, Source.DIRECTORY})
"""Sources that go on naming a job after its end: they must not bring it back."""


class Watcher(Protocol):
    """Who asks for the jobs of a project."""

    def begin(self, key: JobKey) -> None:
        """Ask for a job from now on, and at once."""

    def cease(self, key: JobKey) -> None:
        """Ask for a job no more."""


class Tags(NamedTuple):
    """The keys of the DLI tags that hold a job's name and its deadline; None for no such tag."""

    name: str | None = None
    deadline: str | None = None


class Limits(NamedTuple):
    """How much may be watched at a time."""

    jobs: int
    series: int


@dataclass(slots=True)
class _Entry:
    """What is known of a watched job beside the job itself.

    ``told`` says that the list API has told of its end, ``counted`` that the end is counted.
    """

    sources: set[Source] = field(default_factory=set)
    changed: float = 0.0
    told: bool = False
    counted: bool = False


class Tracker:
    """Keeps jobs, their text and the counters about them in step.

    ``delivered`` tells whether every scraper has seen what was exposed at a moment of the
    ``monotonic`` clock; ``now`` is the wall clock (Unix seconds).
    """

    def __init__(
        self,
        *,
        exposition: Exposition,
        telemetry: Telemetry,
        retention: Retention,
        limits: Limits,
        tags: Tags,
        delivered: Callable[[float], bool],
        now: Callable[[], float],
        monotonic: Callable[[], float],
    ) -> None:
        self._exposition = exposition
        self._telemetry = telemetry
        self.retention = retention
        self.limits = limits
        self._tags = tags
        self._delivered = delivered
        self._now = now
        self._monotonic = monotonic
        self.forecast = Forecast()
        self._store = JobStore()
        self._entries: dict[JobKey, _Entry] = {}
        self._retired: dict[JobKey, set[Source]] = {}
        self._gone: dict[JobKey, None] = {}
        self._refused: dict[JobKey, None] = {}
        self._watchers: dict[str, Watcher] = {}
        self._unseen = -inf

    def __iter__(self) -> Iterator[Job]:
        """Iterate over a snapshot of the jobs."""
        return iter(self._store)

    def __contains__(self, key: JobKey) -> bool:
        return key in self._store

    def get(self, key: JobKey) -> Job | None:
        """Return a job; None if it is not watched."""
        return self._store.get(key)

    def attach(self, project: str, watcher: Watcher) -> None:
        """Let a watcher ask for the jobs of a project, those that are watched already included."""
        self._watchers[project] = watcher
        for job in self._store:
            if job.key.project == project:
                watcher.begin(job.key)

    def register(
        self, registration: Registration, source: Source, row: ListedJob | None = None
    ) -> DropReason | None:
        """Watch a job, or learn that one more source wants it; return why not.

        ``row`` is what the list API says of it. A job that has ended and left does not come
        back while the same source names it still, nor one whose project is gone.
        """
        key = JobKey(registration.project, registration.job_id)
        if key.project not in self._watchers or self._has_left(key, source, row):
            return None
        job = self._store.get(key)
        if job is None:
            if (reason := self._room()) is not None:
                self._refuse(key, reason)
                if row is not None and row.status.terminal:
                    self._count_unwatched(key, row)
                return reason
            job = Job(key=key)
            self._entries[key] = _Entry(counted=key in self._gone)
        self._entries[key].sources.add(source)
        self._refused.pop(key, None)
        self._put(_registered(job, registration))
        if row is not None:
            self.describe(key, row)
        self._watchers[key.project].begin(key)
        return None

    def _has_left(self, key: JobKey, source: Source, row: ListedJob | None) -> bool:
        if key in self._retired and source in _NAMING:
            self._retired[key].add(source)
            return True
        return key in self._gone and row is not None and row.status.terminal

    def withdraw(self, key: JobKey, source: Source) -> bool:
        """Hear that a source wants a job no more; return whether it had wanted it.

        Who withdraws a job explicitly is obeyed at once. A file of a directory may vanish with
        its writer, long before the end of the job has been seen: that is no withdrawal.
        """
        self._forget_retired(key, source)
        entry = self._entries.get(key)
        if entry is None or source not in entry.sources:
            return False
        entry.sources.discard(source)
        if not entry.sources and source is not Source.DIRECTORY:
            self._remove(key)
        return True

    def abandon(self, project: str) -> None:
        """Let go of a project and its jobs: nobody asks for them any more."""
        self._watchers.pop(project, None)
        for job in self._store:
            if job.key.project == project:
                self._remove(job.key)
        for key in [key for key in self._retired if key.project == project]:
            del self._retired[key]

    def observe(self, key: JobKey, observation: Observation) -> Job | None:
        """Fold an answer of the progress API in; None if the job is watched no more."""
        job = self._store.get(key)
        if job is None:
            return None
        now = self._now()
        return self._changed(job, self.forecast.follow(fold(job, observation, now=now), now=now))

    def describe(self, key: JobKey, row: ListedJob) -> Job | None:
        """Fold in what the list API says; None if the job is watched no more."""
        job = self._store.get(key)
        if job is None:
            return None
        entry, over = self._entries[key], row.status.terminal
        if entry.told and not over and job.ended is not None:
            return job  # an older picture, read before the end and handed over after it
        entry.told = entry.told or over
        self.forecast.identify(key, row)
        now = self._now()
        described = describe(job, row, now=now)
        if described is not job:
            described = self.forecast.follow(described, now=now)
        return self._changed(job, _tagged(described, row.details.tags, self._tags))

    def settled(self, key: JobKey) -> bool:
        """Whether all that there is to learn of a job's end is known, and it is counted."""
        return self._entries[key].counted

    def settle(self, key: JobKey) -> None:
        """Hear that nothing more will be learnt of an ended job."""
        job = self._store.get(key)
        if job is not None and job.ended is not None:
            self._count(job)

    def drop(self, key: JobKey, reason: DropReason) -> None:
        """Give up a job that the API does not know; one that has ended stays for its time."""
        job = self._store.get(key)
        if job is None or job.ended is not None:
            self.settle(key)
            return
        self._leave(key)
        self._telemetry.dropped(key.project, reason)
        log.warning("job dropped", extra=fields(**identity(key), reason=reason))

    def retire(self) -> bool:
        """Let go of the jobs whose end was seen long enough, and by every scraper.

        Return whether that made room.
        """
        gone = leaving(
            self._store, delivered=self._final, retention=self.retention, now=self._now()
        )
        for job in gone:
            self._retire(job.key, unscraped=job.unscraped)
        return bool(gone)

    def delivered(self, job: Job) -> bool:
        """Whether every scraper has seen a job as it is now."""
        return self._delivered(self._entries[job.key].changed)

    def _final(self, job: Job) -> bool:
        """Whether nothing more is to come of a job's end, and every scraper has seen it."""
        return self.settled(job.key) and self.delivered(job)

    def _changed(self, before: Job, job: Job) -> Job:
        self._put(job)
        if job.details is not None and before.details is None:
            self._telemetry.queue(job.key.project, job.details.queue_name, job.details.job_type)
        if job.ended is not None:
            if before.ended is None:
                log.info("job ended", extra=fields(**identity(job.key), status=job.status))
            if self._entries[job.key].told:
                self._count(job)
        return job

    def _count(self, job: Job) -> None:
        """Count an end once, even of a job that ends again after it had come back.

        Where the list has not told of the end, the duration that it gave is not the last one.
        """
        entry = self._entries[job.key]
        if entry.counted or job.status is None:
            return
        entry.counted = True
        entry.changed = self._monotonic()  # the counters are a part of what is to be seen
        self.forecast.finish(job)
        details = job.details
        self._telemetry.ended(
            job.key.project,
            queue_name=details.queue_name if details else "",
            job_type=details.job_type if details else "",
            status=job.status,
            duration=details.duration if details and entry.told else None,
        )

    def _count_unwatched(self, key: JobKey, row: ListedJob) -> None:
        """Count the end of a job that there was no room for: it is no less one that was seen."""
        _remember(self._gone, key)
        self._telemetry.ended(
            key.project,
            queue_name=row.details.queue_name,
            job_type=row.details.job_type,
            status=row.status,
            duration=row.details.duration,
        )

    def _put(self, job: Job) -> None:
        self._store.put(job)
        if self._exposition.put(job):
            self._entries[job.key].changed = self._monotonic()

    def _remove(self, key: JobKey) -> None:
        if self._store[key].ended is not None:
            self.settle(key)
            _remember(self._gone, key)
        self._store.remove(key)
        self._exposition.drop(key)
        self.forecast.forget(key)
        del self._entries[key]
        if (watcher := self._watchers.get(key.project)) is not None:
            watcher.cease(key)

    def _retire(self, key: JobKey, *, unscraped: bool) -> None:
        self._leave(key)
        self._telemetry.retired(key.project, unscraped=unscraped)

    def _leave(self, key: JobKey) -> None:
        """Let go of a job for good, whoever goes on naming it."""
        if naming := self._entries[key].sources & _NAMING:
            self._retired[key] = naming
        self._remove(key)

    def _forget_retired(self, key: JobKey, source: Source) -> None:
        if key in self._retired:
            self._retired[key].discard(source)
            if not self._retired[key]:
                del self._retired[key]

    def _room(self) -> DropReason | None:
        """Make room for one more job by letting a seen end go early; return why that fails."""
        crowded = len(self._store) >= self.limits.jobs
        if not crowded and self._exposition.series < self.limits.series:
            return None
        if self._delivered(self._unseen):
            for key in evictable(self._store, delivered=self._final):
                self._retire(key, unscraped=False)
                return None
            self._unseen = self._earliest_end()
        return DropReason.JOB_LIMIT if crowded else DropReason.SERIES_LIMIT

    def _earliest_end(self) -> float:
        """Return since when there is an end that may be seen next.

        Until then nobody can leave, and to refuse thousands of jobs in a row costs little.
        """
        ends = (entry.changed for entry in self._entries.values() if entry.counted)
        return min(ends, default=self._monotonic())

    def _refuse(self, key: JobKey, reason: DropReason) -> None:
        """Count a refused job once, however often it is found, and log the first of many."""
        if key in self._refused:
            return
        if not self._refused:
            log.warning(
                "no room for more jobs: raise limits.jobs or limits.series, or narrow the"
                " discovery filter",
                extra=fields(**identity(key), reason=reason),
            )
        _remember(self._refused, key)
        self._telemetry.dropped(key.project, reason)


def _remember(keys: dict[JobKey, None], key: JobKey) -> None:
    keys[key] = None
    if len(keys) > _REMEMBERED:
        del keys[next(iter(keys))]


def _registered(job: Job, registration: Registration) -> Job:
    """Return the job with what a registration adds; what it leaves out stays."""
    name = registration.name or job.name
    deadline = job.deadline if registration.deadline is None else registration.deadline
    labels = registration.labels or job.labels
    if (name, deadline, labels) == (job.name, job.deadline, job.labels):
        return job
    return job._replace(name=name, deadline=deadline, labels=labels)


def _tagged(job: Job, tags: Mapping[str, str], keys: Tags) -> Job:
    """Return the job with the name and the deadline that its tags hold, unless it has some."""
    name = job.name or (tags.get(keys.name, "") if keys.name else "")
    deadline = job.deadline
    if deadline is None and keys.deadline and keys.deadline in tags:
        from .sources.registration import tagged_deadline  # here: few have such a tag

        deadline = tagged_deadline(tags[keys.deadline])
    if (name, deadline) == (job.name, job.deadline):
        return job
    return job._replace(name=name, deadline=deadline)


def identity(key: JobKey) -> dict[str, str]:
    """Return a job's identity as fields of a log line."""
    return {"project": key.project, "job_id": key.job_id}
