"""The loop that keeps the jobs of one project up to date."""

import asyncio
import logging
from collections import deque
from collections.abc import Callable, Iterable
from contextlib import suppress
from dataclasses import replace
from typing import Final

from .dli.client import DliClient
from .dli.errors import DliError, JobExpired, JobNotFound
from .dli.schema import Answer
from .jobs.model import Job, JobKey, JobStatus
from .jobs.schedule import Turn, plan
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
        self._due: deque[JobKey] = deque()
        self._unplanned = True
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
            over = job is not None and job.ended is not None and self._tracker.settled(key)
            now = self._monotonic()
            self._turns[key] = Turn(key, asked=now, ended=now - 1) if over else Turn(key)
            self._replan()

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
                self._replan()

    def _replan(self) -> None:
        self._unplanned = True
        self._woken.set()

    async def run(self) -> None:
        """Poll for ever."""
        async with asyncio.TaskGroup() as polls:
            while True:
                self._woken.clear()
                self._beat = self._monotonic()
                wait = self._plan()
                while self._due and len(self._asking) < self._concurrency:
                    key = self._due.popleft()
                    if key in self._turns:
                        self._asking.add(key)
                        polls.create_task(self._poll(key))
                with suppress(TimeoutError):
                    # Not wait_for: Python 3.11's loses a cancellation that comes with the event.
                    async with asyncio.timeout(wait):
                        await self._woken.wait()

    async def once(self) -> None:
        """Ask once for every job that has not told all of its end."""
        slots = asyncio.Semaphore(self._concurrency)

        async def poll(key: JobKey) -> None:
            async with slots:
                await self._poll(key)

        async with asyncio.TaskGroup() as polls:
            for key in self._turns:
                if not self._done(key):
                    polls.create_task(poll(key))

    def _plan(self) -> float:
        """See to it that the due jobs are in line, and return how long to wait for more.

        A line that stands is kept, or every answer would cost a look at all jobs.
        """
        if self._due and not self._unplanned:
            return self._interval
        idle = (turn for key, turn in self._turns.items() if key not in self._asking)
        scheduled = plan(idle, now=self._monotonic(), interval=self._interval)
        self._due, self._unplanned = deque(scheduled.due), False
        return scheduled.wait

    async def _poll(self, key: JobKey) -> None:
        try:
            if key in self._turns:  # it may have left while it stood in line
                self._turns[key] = replace(self._turns[key], asked=self._monotonic())
                await self._ask(key)
        except DliError as error:
            self._troubles.failed(error, key)
        finally:
            self._polls += 1
            self._asking.discard(key)
            self._woken.set()
        if self._done(key):
            self._tracker.settle(key)
            self._troubles.forget(key)

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

    def _answered(self, key: JobKey, answer: Answer) -> Job | None:
        self._troubles.over(self._now(), key)
        self._telemetry.misread(unreadable=answer.unreadable, out_of_range=answer.out_of_range)
        job = self._tracker.observe(key, answer.observation)
        if job is None:
            return None
        self._meet(answer.status_word, job.status)
        self._note(job)
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
        try:
            row = await self._client.job(key.job_id)
        except DliError as unconfirmed:
            self._troubles.limping("list API", unconfirmed)
            raise error from None
        self._troubles.works("list API")
        if row is None:
            expired = isinstance(error, JobExpired)
            self._tracker.drop(key, DropReason.EXPIRED if expired else DropReason.NOT_FOUND)
        else:
            if (job := self._tracker.describe(key, row)) is not None:
                self._note(job)
            self._troubles.failed(error, key)

    def _note(self, job: Job) -> None:
        """Note when a job was seen to end, or that it runs, unless it has left meanwhile."""
        turn = self._turns.get(job.key)
        if turn is not None and (turn.ended is None) is not (job.ended is None):
            ended = None if job.ended is None else self._monotonic()
            self._turns[job.key] = replace(turn, ended=ended)

    def _done(self, key: JobKey) -> bool:
        """Whether nothing more is asked of a job: it has left, or told all after its end."""
        turn = self._turns.get(key)
        if turn is None:
            return True
        return turn.ended is not None and turn.asked is not None and turn.asked > turn.ended

    def _meet(self, word: str, status: JobStatus | None) -> None:
        """Log a status word that is not DLI's, once: it shows as UNKNOWN."""
        new = word not in self._words and len(self._words) < _WORDS
        if status is JobStatus.UNKNOWN and new:
            self._words.add(word)
            log.info("unknown job status", extra=fields(project=self._project, word=word))
