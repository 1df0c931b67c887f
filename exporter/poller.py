"""The loop that keeps the jobs of one project up to date."""

import asyncio
import logging
from collections.abc import Callable
from contextlib import suppress
from dataclasses import replace

from .dli.client import DliClient
from .dli.errors import DliError, Scope, Throttled
from .dli.schema import Answer
from .jobs.model import JobKey, JobStatus
from .jobs.schedule import Plan, Turn, plan
from .jobs.store import JobStore
from .logs import fields
from .metrics.exposition import Exposition
from .metrics.telemetry import Telemetry

log = logging.getLogger(__name__)


class Poller:
    """Asks for the progress of a project's jobs and folds the answers in.

    It owns the requests under way: whoever ends ``run`` ends them. ``now`` is the wall clock
    (Unix seconds), ``monotonic`` the clock that waiting is measured with.
    """

    def __init__(
        self,
        project: str,
        client: DliClient,
        *,
        store: JobStore,
        exposition: Exposition,
        telemetry: Telemetry,
        interval: float,
        concurrency: int,
        now: Callable[[], float],
        monotonic: Callable[[], float],
    ) -> None:
        self._project = project
        self._client = client
        self._store = store
        self._exposition = exposition
        self._telemetry = telemetry
        self._interval = interval
        self._concurrency = concurrency
        self._now = now
        self._monotonic = monotonic
        self._turns: dict[JobKey, Turn] = {}
        self._asking: set[JobKey] = set()
        self._woken = asyncio.Event()
        self._troubles: dict[JobKey | None, str] = {}
        self._words: set[str] = set()
        self._beat = monotonic()
        self._finished_polls = 0

    @property
    def ready(self) -> bool:
        """Whether a first poll has finished, well or not; with no job there is none to wait for."""
        return self._finished_polls > 0 or not self._turns

    @property
    def beat(self) -> float:
        """When the loop last went round, on the monotonic clock."""
        return self._beat

    def track(self, job_id: str) -> None:
        """Ask for a job from now on."""
        key = JobKey(self._project, job_id)
        self._turns.setdefault(key, Turn(key))
        self._exposition.put(self._store.track(key))
        self._woken.set()

    async def run(self) -> None:
        """Poll for ever."""
        async with asyncio.TaskGroup() as polls:
            while True:
                self._woken.clear()
                self._beat = self._monotonic()
                scheduled = self._plan()
                for key in scheduled.due[: self._concurrency - len(self._asking)]:
                    self._asking.add(key)
                    polls.create_task(self._poll(key))
                with suppress(TimeoutError):
                    await asyncio.wait_for(self._woken.wait(), scheduled.wait)

    async def once(self) -> None:
        """Ask for every job once."""
        slots = asyncio.Semaphore(self._concurrency)

        async def poll(key: JobKey) -> None:
            async with slots:
                await self._poll(key)

        async with asyncio.TaskGroup() as polls:
            for key in self._turns:
                polls.create_task(poll(key))

    def _plan(self) -> Plan:
        idle = (turn for key, turn in self._turns.items() if key not in self._asking)
        return plan(idle, now=self._monotonic(), interval=self._interval)

    async def _poll(self, key: JobKey) -> None:
        self._turns[key] = replace(self._turns[key], asked=self._monotonic())
        try:
            answer = await self._client.progress(key.job_id)
        except DliError as error:
            self._failed(key, error)
        else:
            self._answered(key, answer)
        finally:
            self._finished_polls += 1
            self._asking.discard(key)
            self._woken.set()

    def _answered(self, key: JobKey, answer: Answer) -> None:
        now = self._now()
        before = self._store[key]
        job = self._store.observe(key, answer.observation, now=now)
        self._exposition.put(job)
        self._telemetry.succeeded(self._project, now)
        self._telemetry.misread(unreadable=answer.unreadable, out_of_range=answer.out_of_range)
        self._recovered(key)
        self._meet(answer.status_word, job.status)
        if job.ended is None:
            self._turns[key] = replace(self._turns[key], ended=None)
        elif before.ended is None:
            self._turns[key] = replace(self._turns[key], ended=self._monotonic())
            log.info("job ended", extra=fields(**_identity(key), status=job.status))

    def _meet(self, word: str, status: JobStatus | None) -> None:
        """Log a status word that is not DLI's, once: it shows as UNKNOWN."""
        if status is JobStatus.UNKNOWN and word not in self._words:
            self._words.add(word)
            log.info("unknown job status", extra=fields(project=self._project, word=word))

    def _failed(self, key: JobKey, error: DliError) -> None:
        """Log a trouble when it begins, not each time: of a job, or of the whole project."""
        whole = error.scope is Scope.PROJECT
        if whole and not isinstance(error, Throttled):
            self._telemetry.up(self._project, False)
        elif not whole:
            self._telemetry.up(self._project, True)
        subject = None if whole else key
        if self._troubles.get(subject) != error.reason:
            self._troubles[subject] = error.reason
            identity = {"project": self._project} if whole else _identity(key)
            log.warning("call failed", extra=fields(**identity, reason=error.reason, error=error))

    def _recovered(self, key: JobKey) -> None:
        self._telemetry.up(self._project, True)
        for subject in (None, key):
            if reason := self._troubles.pop(subject, None):
                identity = {"project": self._project} if subject is None else _identity(key)
                log.info("call succeeds again", extra=fields(**identity, after=reason))


def _identity(key: JobKey) -> dict[str, str]:
    return {"project": key.project, "job_id": key.job_id}
