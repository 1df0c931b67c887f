"""Finding the jobs of one project: discovery rounds, and the runs of the past."""

import asyncio
import logging
from collections.abc import Awaitable, Callable
from typing import Final

from .jobs.model import JobKey, ListedJob, Registration
from .logs import fields
from .metrics.telemetry import Telemetry
from .poller import Poller
from .sources.discovery import Discovery
from .tracker import Source, Tracker
from .troubles import Troubles

log = logging.getLogger(__name__)

_SUBJECT: Final = "discovery"
"""Whose troubles these are: the list may be forbidden, and progress not."""
_AT_ONCE: Final = 100
"""Rows that are taken up at once: thousands of them would hold up a scrape for seconds."""


class Finder:
    """Watches every job that the list API shows, one round each ``interval`` seconds."""

    def __init__(
        self,
        project: str,
        discovery: Discovery,
        *,
        tracker: Tracker,
        poller: Poller,
        telemetry: Telemetry,
        troubles: Troubles,
        interval: float,
        now: Callable[[], float],
        sleep: Callable[[float], Awaitable[object]] = asyncio.sleep,
    ) -> None:
        self._project = project
        self._discovery = discovery
        self._tracker = tracker
        self._poller = poller
        self._telemetry = telemetry
        self._troubles = troubles
        self._interval = interval
        self._now = now
        self._sleep = sleep
        self._truncated = False

    async def run(self) -> None:
        """Look for jobs for ever."""
        while True:
            await self.once()
            await self._sleep(self._interval)

    async def once(self) -> None:
        """Look for jobs once; what could not be read is made up for in the next rounds."""
        found = await self._discovery.round()
        if found.error is None:
            self._troubles.over(self._now(), _SUBJECT)
        else:
            self._troubles.failed(found.error, _SUBJECT)
        if found.truncated or found.error is None:  # else nobody knows how long the list is
            self._tell_truncated(found.truncated)
        ended = [row.job_id for row in found.ended]
        unseen = [key for key in map(self._key, (*found.left, *ended)) if self._runs(key)]
        for number, row in enumerate((*found.live, *found.ended), 1):
            self._watch(row)
            if number % _AT_ONCE == 0:
                await asyncio.sleep(0)
        self._poller.hasten(unseen)

    def _watch(self, row: ListedJob) -> None:
        registration = Registration(job_id=row.job_id, project=self._project)
        self._tracker.register(registration, Source.DISCOVERY, row)

    def _tell_truncated(self, truncated: bool) -> None:
        self._telemetry.truncated(self._project, truncated)
        if truncated and not self._truncated:
            log.warning(
                "the list of jobs is longer than can be read, so that some are not watched: narrow"
                " it by discovery.queues, owner, tags, job_types or database",
                extra=fields(project=self._project),
            )
        self._truncated = truncated

    def _runs(self, key: JobKey) -> bool:
        """Whether a job is watched and its end not seen: the progress API may tell more of it.

        Of a job that came and went between two rounds it has nothing to tell.
        """
        job = self._tracker.get(key)
        return job is not None and job.ended is None

    def _key(self, job_id: str) -> JobKey:
        return JobKey(self._project, job_id)
