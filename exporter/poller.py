"""The loop that keeps the jobs of one project up to date."""

import asyncio
import logging
from collections.abc import Callable, Iterable
from contextlib import suppress
from dataclasses import replace
from typing import Final

from .dli.client import DliClient
from .dli.errors import DliError, JobExpired, JobNotFound
from .dli.schema import Answer
from .jobs.model import Job, JobKey, JobStatus
from .jobs.schedule import Plan, Turn, plan
from .logs import fields
from .metrics.telemetry import DropReason, Telemetry
from .tracker import Tracker
from .troubles import Troubles

log = logging.getLogger(__name__)


_WORDS: Final = 100
"""Unknown status words that are logged at most."""


class Poller:
    """Asks for the progress of a project's jobs, and once for what only the list API knows.

    It owns the requests under way: whoever ends ``run`` ends them. ``now`` is the wall clock
    (Unix seconds), ``monotonic`` the clock that waiting is measured with. At most
    ``concurrency`` jobs are asked for at a time, each once in ``interval`` seconds.
    """

    def __init__(
        self,
        project: str,
        client: DliClient,
        *,
        tracker: Tracker,
        telemetry: Telemetry,
        troubles: Troubles,
        interval: float,
        concurrency: int,
        now: Callable[[], float],
        monotonic: Callable[[], float],
    ) -> None:
        self._project = project
        self._client = client
        self._tracker = tracker
        self._telemetry = telemetry
        self._troubles = troubles
        self._interval = interval
        self._concurrency = concurrency
        self._now = now
        self._monotonic = monotonic
        self._turns: dict[JobKey, Turn] = {}
        self._asking: set[JobKey] = set()
        self._looked_up: set[JobKey] = set()
        self._words: set[str] = set()
        self._woken = asyncio.Event()
        self._beat = monotonic()
        self._polls = 0

    @property
    def ready(self) -> bool:
        """Whether a first poll has finished, well or not; with no job there is none to wait for."""
        return self._polls > 0 or not self._turns

    @property
    def beat(self) -> float:
        """When the loop last went round, on the monotonic clock."""
        return self._beat

    def begin(self, key: JobKey) -> None:
        """Ask for a job from now on, and at once; one that has ended already has told all."""
        if key not in self._turns:
            job = self._tracker.get(key)
            over = job is not None and job.ended is not None
            now = self._monotonic()
            self._turns[key] = Turn(key, asked=now, ended=now - 1) if over else Turn(key)
            self._woken.set()

    def cease(self, key: JobKey) -> None:
        """Ask for a job no more."""
        self._turns.pop(key, None)
        self._looked_up.discard(key)
        self._troubles.forget(key)

    def hasten(self, keys: Iterable[JobKey]) -> None:
        """Ask for jobs at once: they seem to have ended."""
        for key in keys:
            if key in self._turns:
                self._turns[key] = Turn(key)
                self._woken.set()

    async def run(self) -> None:
        """Poll for ever."""
        async with asyncio.TaskGroup() as polls:
            while True:
                self._woken.clear()
                self._beat = self._monotonic()
                self._tracker.retire()
                scheduled = self._plan()
                for key in scheduled.due[: self._concurrency - len(self._asking)]:
                    self._asking.add(key)
                    polls.create_task(self._poll(key))
                with suppress(TimeoutError):
                    # Not wait_for: Python 3.11's loses a cancellation that comes with the event.
                    async with asyncio.timeout(scheduled.wait):
                        await self._woken.wait()

    async def once(self) -> None:
        """Ask once for every job whose end has not been seen."""
        slots = asyncio.Semaphore(self._concurrency)

        async def poll(key: JobKey) -> None:
            async with slots:
                await self._poll(key)

        async with asyncio.TaskGroup() as polls:
            for key, turn in self._turns.items():
                if turn.ended is None:
                    polls.create_task(poll(key))

    def _plan(self) -> Plan:
        idle = (turn for key, turn in self._turns.items() if key not in self._asking)
        return plan(idle, now=self._monotonic(), interval=self._interval)

    async def _poll(self, key: JobKey) -> None:
        self._turns[key] = replace(self._turns[key], asked=self._monotonic())
        try:
            await self._ask(key)
        except DliError as error:
            self._troubles.failed(error, key)
        finally:
            self._polls += 1
            self._asking.discard(key)
            self._woken.set()

    async def _ask(self, key: JobKey) -> None:
        try:
            answer = await self._client.progress(key.job_id)
        except (JobNotFound, JobExpired) as error:
            await self._confirm(key, error)
            return
        job = self._answered(key, answer)
        if job is not None and self._lacks_details(job):
            self._looked_up.add(key)
            await self._look_up(key)
        turn = self._turns.get(key)
        if turn and turn.ended is not None and turn.asked is not None and turn.asked > turn.ended:
            self._tracker.settle(key)

    def _answered(self, key: JobKey, answer: Answer) -> Job | None:
        self._troubles.over(self._now(), key)
        self._telemetry.misread(unreadable=answer.unreadable, out_of_range=answer.out_of_range)
        job = self._tracker.observe(key, answer.observation)
        if job is None:
            return None
        self._meet(answer.status_word, job.status)
        if job.ended is None:
            self._end(key, None)
        elif self._turns[key].ended is None:
            self._end(key, self._monotonic())
        return job

    def _lacks_details(self, job: Job) -> bool:
        """Whether a call to the list API is due: when a job is first seen, and at its end."""
        if job.ended is not None:
            return job.details is None or job.details.end is None
        return job.details is None and job.key not in self._looked_up

    async def _look_up(self, key: JobKey) -> None:
        """Ask the list API for a job's details; progress goes on without them."""
        try:
            row = await self._client.job(key.job_id)
        except DliError as error:
            self._troubles.limping("list API", error)
            return
        self._troubles.works("list API")
        if row is not None:
            self._tracker.describe(key, row)

    async def _confirm(self, key: JobKey, error: DliError) -> None:
        """Drop a job that the list does not know either; a wrong endpoint is another error."""
        row = await self._client.job(key.job_id)
        if row is None:
            expired = isinstance(error, JobExpired)
            self._tracker.drop(key, DropReason.EXPIRED if expired else DropReason.NOT_FOUND)
        else:
            self._tracker.describe(key, row)
            self._troubles.failed(error, key)

    def _end(self, key: JobKey, ended: float | None) -> None:
        """Note when a job was seen to end, unless it left while it was asked for."""
        if key in self._turns:
            self._turns[key] = replace(self._turns[key], ended=ended)

    def _meet(self, word: str, status: JobStatus | None) -> None:
        """Log a status word that is not DLI's, once: it shows as UNKNOWN."""
        new = word not in self._words and len(self._words) < _WORDS
        if status is JobStatus.UNKNOWN and new:
            self._words.add(word)
            log.info("unknown job status", extra=fields(project=self._project, word=word))
