"""The loop that keeps the jobs of one project up to date."""

import asyncio
import logging
from collections.abc import Callable, Iterable
from typing import Final

from .dli.client import DliClient
from .dli.errors import DliError, JobExpired, JobNotFound, QueueBusy
from .dli.schema import Answer
from .jobs.model import Job, JobKey, JobStatus
from .jobs.schedule import Expected, Schedule, Stage
from .logs import fields
from .metrics.telemetry import DropReason, Telemetry
from .tracker import Tracker
from .troubles import Troubles

log = logging.getLogger(__name__)


_DENIALS: Final = 3
"""So often in a row a job that was never seen must be unknown to DLI to be dropped."""
_WORDS: Final = 100
"""Unknown status words that are logged at most."""


class Poller:
    """Asks for the progress of a project's jobs, and once for what only the list API knows.

    It owns the requests under way: whoever ends ``run`` ends them. ``now`` is the wall clock
    (Unix seconds), ``monotonic`` the clock that waiting is measured with. At most
    ``concurrency`` jobs are asked for at a time, each once before the scrape that ``expected``
    tells of (at a moment of ``monotonic``), or once in ``interval`` seconds if it knows of none.
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
        expected: Callable[[float], Expected | None] = lambda now: None,
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
        self._expected = expected
        self._schedule = Schedule(interval)
        self._boarding: JobKey | None = None
        self._out = 0
        self._looked_up: set[JobKey] = set()
        self._denials: dict[JobKey, int] = {}
        self._words: set[str] = set()
        self._woken = asyncio.Event()
        self._group: asyncio.TaskGroup | None = None
        self._alarm: asyncio.TimerHandle | None = None
        self._beat = monotonic()
        self._polls = 0

    @property
    def ready(self) -> bool:
        """Whether a first poll has finished, well or not; with no job there is none to wait for."""
        return self._polls > 0 or not len(self._schedule)

    @property
    def beat(self) -> float:
        """When the loop last went round, on the monotonic clock."""
        return self._beat

    def begin(self, key: JobKey) -> None:
        """Ask for a job from now on, and at once; one that has ended already has told all."""
        self._schedule.add(key, over=self._has_told_all(key))
        self._woken.set()

    def cease(self, key: JobKey) -> None:
        """Ask for a job no more."""
        self._schedule.remove(key)
        self._looked_up.discard(key)
        self._denials.pop(key, None)
        self._troubles.forget(key)

    def hasten(self, keys: Iterable[JobKey]) -> None:
        """Ask for jobs at once: they seem to have ended."""
        for key in keys:
            self._schedule.hasten(key)
            self._woken.set()

    async def run(self) -> None:
        """Poll for ever."""
        async with asyncio.TaskGroup() as polls:
            self._group = polls
            try:
                while True:
                    self._advance()
                    await self._woken.wait()
                    self._woken.clear()
            finally:
                self._group = None
                self._unset_alarm()

    async def once(self) -> None:
        """Ask once for every job that has not told all of its end."""
        slots = asyncio.Semaphore(self._concurrency)

        async def poll(key: JobKey) -> None:
            async with slots:
                await self._poll(key)

        async with asyncio.TaskGroup() as polls:
            for key in self._schedule.pending():
                if not self._has_told_all(key):
                    polls.create_task(poll(key))

    def _has_told_all(self, key: JobKey) -> bool:
        job = self._tracker.get(key)
        return job is not None and job.ended is not None and self._tracker.settled(key)

    def _advance(self) -> None:
        """Begin to ask the next job, if one is due, and let the loop do so when another is.

        Whoever changes what is due next calls it: to wake the loop each time costs 10 us a poll.
        """
        if self._group is None:  # not running: each job is asked once, and that is all
            return
        self._beat = self._monotonic()
        wait = self._next(self._group)
        # An alarm rings an interval from now at the latest; too early does no harm.
        if self._alarm is None or wait < self._interval:
            self._set_alarm(asyncio.get_running_loop().time() + wait)

    def _set_alarm(self, when: float) -> None:
        """Wake the loop at ``when`` (of its clock) at the latest."""
        if self._alarm is not None and self._alarm.when() <= when:
            return
        self._unset_alarm()
        self._alarm = asyncio.get_running_loop().call_at(when, self._ring)

    def _unset_alarm(self) -> None:
        if self._alarm is not None:
            self._alarm.cancel()
            self._alarm = None

    def _ring(self) -> None:
        self._alarm = None
        self._woken.set()

    def _next(self, polls: asyncio.TaskGroup) -> float:
        """Begin to ask the next job, if one is due; return how long to wait for another.

        Only one at a time stands in line for the quota: who is asked is decided late, when new
        jobs and failures are known.
        """
        if self._boarding is not None or self._out >= self._concurrency:
            return self._interval
        now = self._monotonic()
        limit, expected = self._client.requests_per_second_limit, self._expected(now)
        self._boarding = self._schedule.take(now, limit=limit, expected=expected)
        if self._boarding is None:
            return self._schedule.wait(now, limit=limit, expected=expected)
        polls.create_task(self._poll(self._boarding))
        return self._interval

    async def _poll(self, key: JobKey) -> None:
        self._out += 1
        try:
            if key in self._schedule:  # it may have left while it stood in line
                await self._ask(key)
        except DliError as error:
            self._unanswered(key)
            self._troubles.failed(error, key)
        finally:
            self._out -= 1
            self._polls += 1
            if self._boarding == key:
                self._boarding = None
        if self._schedule.over(key):
            self._tracker.settle(key)
            self._troubles.forget(key)
        self._advance()

    async def _ask(self, key: JobKey) -> None:
        left = self._monotonic()

        def departed() -> None:
            nonlocal left
            left = self._monotonic()
            self._boarding = None
            self._advance()

        try:
            answer = await self._client.progress(key.job_id, departed)
        except (JobNotFound, JobExpired) as error:
            await self._confirm(key, error)
            return
        except QueueBusy:
            # Or too old to tell progress at all: then only the list knows of the job's end.
            await self._look_up(key)
            raise
        self._denials.pop(key, None)
        self._schedule.lasted(self._monotonic() - left)
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
        self._schedule.answered(key, self._monotonic(), _stage(job))
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
        if row is not None:
            self._tracker.describe(key, row)
            self._troubles.failed(error, key)
        elif self._denied(key):
            expired = isinstance(error, JobExpired)
            self._tracker.drop(key, DropReason.EXPIRED if expired else DropReason.NOT_FOUND)
        self._unanswered(key)

    def _denied(self, key: JobKey) -> bool:
        """Whether to believe that there is no such job.

        One that was never seen may have been submitted a moment ago: it has three chances.
        """
        job = self._tracker.get(key)
        self._denials[key] = self._denials.get(key, 0) + 1
        seen = job is not None and job.last_update is not None
        return seen or self._denials[key] >= _DENIALS

    def _unanswered(self, key: JobKey) -> None:
        """Note that progress gave no answer, though the list may have told of the end."""
        job = self._tracker.get(key)
        if job is not None and job.ended is not None:
            self._schedule.answered(key, self._monotonic(), Stage.ENDED)
        else:
            self._schedule.failed(key, self._monotonic())

    def _meet(self, word: str, status: JobStatus | None) -> None:
        """Log a status word that is not DLI's, once: it shows as UNKNOWN."""
        new = word not in self._words and len(self._words) < _WORDS
        if status is JobStatus.UNKNOWN and new:
            self._words.add(word)
            log.info("unknown job status", extra=fields(project=self._project, word=word))


def _stage(job: Job) -> Stage:
    if job.ended is not None:
        return Stage.ENDED
    return Stage.LAUNCHING if job.status is JobStatus.LAUNCHING else Stage.RUNNING
