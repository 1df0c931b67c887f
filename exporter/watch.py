"""One project under watch: its client, its poller and, if asked for, its finder."""

import asyncio
import time
from collections.abc import Callable, Mapping
from math import ceil
from typing import Final

from .connection import client, credentials, open_session
from .dli.client import ENDPOINTS, Call
from .dli.errors import REASONS
from .finder import Finder
from .historian import Historian
from .jobs.schedule import Expected
from .metrics.telemetry import Telemetry
from .poller import Poller
from .settings import Project
from .settings.model import Poll
from .sources.discovery import Discovery, Filters
from .tracker import Tracker
from .troubles import Troubles

_LONGEST_CALL: Final = 1.0
"""Seconds that a call takes when DLI is slow: so long may calls overlap."""


class Watch:
    """Everything that asks DLI on behalf of one project; StartError if it cannot be built."""

    def __init__(
        self,
        name: str,
        project: Project,
        *,
        poll: Poll,
        zones: Mapping[str, int],
        history: bool,
        expected: Callable[[float], Expected | None],
        tracker: Tracker,
        telemetry: Telemetry,
    ) -> None:
        self.name = name
        self.project = project
        self._telemetry = telemetry
        self._tracker = tracker
        self._session = open_session(project)
        self._provider = credentials(project, lambda error: telemetry.refresh_failed(name))
        self._client = client(
            project,
            self._session,
            provider=self._provider,
            timeout=poll.timeout,
            zones=zones,
            on_call=self._called,
        )
        troubles = Troubles(name, telemetry)
        self.poller = Poller(
            name,
            self._client,
            tracker=tracker,
            telemetry=telemetry,
            troubles=troubles,
            interval=poll.interval,
            concurrency=ceil(project.requests_per_second * _LONGEST_CALL) + 1,
            now=time.time,
            monotonic=time.monotonic,
            expected=expected if poll.align_to_scrapes else lambda now: None,
        )
        self._finder = self._find(troubles) if project.discovery.enabled else None
        self._historian = self._read(troubles) if history else None

    def attach(self) -> None:
        """Take over the jobs of the project, and show its counters from the start."""
        self._tracker.attach(self.name, self.poller)
        self._telemetry.expect(self.name, endpoints=ENDPOINTS, reasons=REASONS)
        self._telemetry.limited(self.name, self._client.requests_per_second_limit)

    async def run(self) -> None:
        """Ask for ever; whoever cancels this stops it."""
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(self.poller.run())
            if self._finder is not None:
                tasks.create_task(self._finder.run())
            if self._historian is not None:
                tasks.create_task(self._historian.run())

    async def once(self) -> None:
        """Look for jobs once, and ask once for every job whose end was not seen."""
        if self._finder is not None:
            await self._finder.once()
        await self.poller.once()

    async def close(self) -> None:
        """Close the connections."""
        await self._session.close()

    def discard(self) -> None:
        """Give up a watch that has never asked anything: there is no connection to close."""
        self._session.detach()

    def _find(self, troubles: Troubles) -> Finder:
        return Finder(
            self.name,
            Discovery(self._client, self._filters()),
            tracker=self._tracker,
            poller=self.poller,
            telemetry=self._telemetry,
            troubles=troubles,
            interval=self.project.discovery.interval,
            now=time.time,
        )

    def _read(self, troubles: Troubles) -> Historian:
        return Historian(
            self.name,
            self._client,
            self._filters(),
            forecast=self._tracker.forecast,
            troubles=troubles,
            requests_per_second=self.project.requests_per_second,
        )

    def _filters(self) -> Filters:
        wanted = self.project.discovery
        return Filters(
            queues=wanted.queues,
            owner=wanted.owner,
            tags=wanted.tags,
            job_types=wanted.job_types,
            database=wanted.database,
            engine_types=wanted.engine_types,
        )

    def _called(self, call: Call) -> None:
        telemetry, name = self._telemetry, self.name
        reason = call.error.reason if call.error else None
        telemetry.called(name, call.endpoint, call.seconds, reason)
        telemetry.limited(name, self._client.requests_per_second_limit)
        telemetry.expires(name, self._provider.expires_at)
        if call.skew is not None:
            telemetry.skewed(name, call.skew)
