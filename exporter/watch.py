"""One project under watch: its client, its poller and, if asked for, its finder."""

import asyncio
import logging
import time
from collections.abc import Callable, Mapping
from math import ceil
from typing import TYPE_CHECKING, Final

from .connection import connect
from .dli.calls import Call
from .dli.errors import REASONS, CredentialsUnavailable, DliError
from .dli.gate import Keys
from .dli.listener import Listener
from .dli.transport import CONNECTIONS
from .historian import Historian
from .jobs.schedule import Expected
from .logs import fields
from .metrics.telemetry import Telemetry
from .poller import Poller
from .settings import Project
from .settings.model import Poll
from .sources.listing import Filters
from .tracker import Tracker
from .troubles import Troubles

if TYPE_CHECKING:
    from .finder import Finder

log = logging.getLogger(__name__)

_LONGEST_CALL: Final = 1.0
"""Seconds that a call takes when DLI is slow: so long may calls overlap."""
_OTHERS: Final = 4
"""Connections that stay for calls which are no polls."""
_LOOKUP: Final = "project id"
_CREDENTIALS: Final = "credentials"
"""Whose troubles these are: calls may go well while these are not renewed."""
_AGAIN: Final = 1.0
"""Seconds after which to ask again for the id; the client knows how often to look it up."""


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
        keys: Keys | None = None,
    ) -> None:
        self.name = name
        self.project = project
        self._telemetry = telemetry
        self._tracker = tracker
        listener = Listener(called=self._called, failed=self._not_renewed, renewed=self._renewed)
        self._connection = connect(
            project, timeout=poll.timeout, zones=zones, listener=listener, keys=keys
        )
        self._client = self._connection.client
        self.troubles = troubles = Troubles(name, telemetry)
        self.poller = Poller(
            name,
            self._client,
            tracker=tracker,
            telemetry=telemetry,
            troubles=troubles,
            interval=poll.interval,
            concurrency=_concurrency(project.requests_per_second),
            now=time.time,
            monotonic=time.monotonic,
            expected=expected if poll.align_to_scrapes else lambda now: None,
        )
        try:
            self._finder = self._find(troubles) if project.discovery.enabled else None
        except BaseException:  # what it needs cannot be imported any more
            self.discard()
            raise
        self._historian = self._read(troubles) if history else None

    def attach(self) -> None:
        """Take over the jobs of the project, and show its counters from the start."""
        self._tracker.attach(self.name, self.poller)
        self._telemetry.expect(self.name, endpoints=self._connection.endpoints, reasons=REASONS)
        self._telemetry.limited(self.name, self._client.requests_per_second_limit)

    async def run(self) -> None:
        """Ask for ever; whoever cancels this stops it."""
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(self.poller.run())
            if self.project.project_id is None:
                tasks.create_task(self._find_project())
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
        await self._connection.close()

    def discard(self) -> None:
        """Give up a watch that has never asked anything: there is no connection to close."""
        self._connection.discard()

    def _find(self, troubles: Troubles) -> "Finder":
        # Here: most sidecars are told their jobs, and save 4 ms and 0.3 MiB.
        from .finder import Finder
        from .sources.discovery import Discovery

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

    async def _find_project(self) -> None:
        """Look the project's id up before anybody needs it, so that a mistake shows early."""
        while True:
            try:
                project_id = await self._client.project_id()
            except DliError as error:
                self.troubles.limping(_LOOKUP, error)
                await asyncio.sleep(_AGAIN)
            else:
                self.troubles.works(_LOOKUP)
                log.info("project found", extra=fields(project=self.name, project_id=project_id))
                return

    def _not_renewed(self, error: CredentialsUnavailable) -> None:
        self._telemetry.refresh_failed(self.name)
        self.troubles.limping(_CREDENTIALS, error)

    def _renewed(self) -> None:
        self.troubles.works(_CREDENTIALS)

    def _called(self, call: Call) -> None:
        telemetry, name = self._telemetry, self.name
        reason = call.error.reason if call.error else None
        telemetry.called(name, call.endpoint, call.seconds, reason)
        telemetry.limited(name, self._client.requests_per_second_limit)
        telemetry.expires(name, self._connection.provider.expires_at)
        if call.skew is not None:
            telemetry.skewed(name, call.skew)


def _concurrency(requests_per_second: float) -> int:
    """Return how many polls may be out: one more would only wait for a connection."""
    return min(ceil(requests_per_second * _LONGEST_CALL) + 1, CONNECTIONS - _OTHERS)
