"""The composition root: builds everything from the settings, starts it and stops it."""

import asyncio
import os
import platform
import ssl
import time
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import AsyncExitStack, asynccontextmanager
from importlib.metadata import version
from math import ceil
from typing import Final

from aiohttp import web

from .dli.client import ENDPOINTS, Call, DliClient
from .dli.credentials import FileProvider, Provider, Static, read_directory, read_token
from .dli.errors import REASONS, CredentialsUnavailable
from .dli.signing import AccessKey
from .dli.times import DEFAULT_ZONES
from .dli.transport import session
from .jobs.store import JobStore
from .metrics.exposition import Exposition
from .metrics.telemetry import Telemetry
from .poller import Poller
from .settings import ListenAddress, Project, Settings
from .settings.model import FileCredentials, StaticCredentials
from .web.negotiation import Format
from .web.routes import Views, application

VERSION: Final = version("dli-exporter")

_LONGEST_CALL: Final = 1.0
"""Seconds that a call takes when DLI is slow: so long may calls overlap."""
_HUNG: Final = 3
"""A poller that has not gone round for so many intervals hangs."""
_STOP: Final = 5.0
"""Seconds that scrapes under way get when the exporter stops."""


class StartError(Exception):
    """The exporter cannot start; ``str()`` is the one line to show."""


class Exporter:
    """All parts of an exporter, connected with each other."""

    def __init__(self, settings: Settings) -> None:
        """Build what needs no event loop."""
        self._settings = settings
        self._store = store = JobStore()
        self._exposition = exposition = Exposition()
        self._telemetry = Telemetry(
            jobs=lambda: store, series=lambda: exposition.series, now=time.time
        )
        self._pollers: list[Poller] = []
        self._telemetry.build(
            version=VERSION,
            # The image is built with it; a wheel does not know its commit.
            revision=os.environ.get("GIT_REVISION", "unknown"),
            python_version=platform.python_version(),
        )

    @asynccontextmanager
    async def connected(self) -> AsyncIterator[None]:
        """Make a client and a poller for each project, and close the connections in the end."""
        async with AsyncExitStack() as stack:
            for name, project in self._settings.projects.items():
                client = await stack.enter_async_context(self._client(name, project))
                self._pollers.append(self._poller(name, project, client))
            yield

    async def poll(self) -> None:
        """Poll for ever; a poller that fails unexpectedly ends the others and raises."""
        async with asyncio.TaskGroup() as tasks:
            for poller in self._pollers:
                tasks.create_task(poller.run())

    async def poll_once(self) -> None:
        """Ask for every job once."""
        async with asyncio.TaskGroup() as tasks:
            for poller in self._pollers:
                tasks.create_task(poller.once())

    def exposition(self, chosen: Format) -> Iterator[bytes]:
        """Yield everything that is exposed."""
        yield from self._exposition.pieces()
        openmetrics = chosen is Format.OPENMETRICS
        yield self._telemetry.openmetrics() if openmetrics else self._telemetry.text()

    def views(self) -> Views:
        """Return what the web side reads."""
        return Views(
            version=VERSION,
            exposition=self.exposition,
            jobs=lambda: self._store,
            healthy=self._healthy,
            ready=lambda: all(poller.ready for poller in self._pollers),
            scraped=self._telemetry.scraped,
        )

    def _healthy(self) -> bool:
        oldest = time.monotonic() - _HUNG * self._settings.poll.interval
        return all(poller.beat > oldest for poller in self._pollers)

    @asynccontextmanager
    async def _client(self, name: str, project: Project) -> AsyncIterator[DliClient]:
        telemetry = self._telemetry
        telemetry.expect(name, endpoints=ENDPOINTS, reasons=REASONS)
        provider = credentials(project, on_error=lambda _: telemetry.refresh_failed(name))

        def called(call: Call) -> None:
            telemetry.called(
                name, call.endpoint, call.seconds, call.error.reason if call.error else None
            )
            telemetry.limited(name, client.requests_per_second_limit)
            telemetry.expires(name, provider.expires_at)
            if call.skew is not None:
                telemetry.skewed(name, call.skew)

        async with client_for(project, self._settings, provider, called) as client:
            telemetry.limited(name, client.requests_per_second_limit)
            yield client

    def _poller(self, name: str, project: Project, client: DliClient) -> Poller:
        poller = Poller(
            name,
            client,
            store=self._store,
            exposition=self._exposition,
            telemetry=self._telemetry,
            interval=self._settings.poll.interval,
            concurrency=ceil(project.requests_per_second * _LONGEST_CALL) + 1,
            now=time.time,
            monotonic=time.monotonic,
        )
        for job_id in project.jobs:
            poller.track(job_id)
        return poller


def credentials(
    project: Project, *, on_error: Callable[[CredentialsUnavailable], None]
) -> Provider:
    """Return the provider that a project's settings ask for."""
    chosen = project.credentials
    if isinstance(chosen, StaticCredentials):
        token = chosen.security_token
        key = AccessKey(
            chosen.ak.get_secret_value(),
            chosen.sk.get_secret_value(),
            token.get_secret_value() if token else None,
        )
        return Static(key)
    if isinstance(chosen, FileCredentials):
        directory = chosen.directory
        return FileProvider(lambda: read_directory(directory), on_error=on_error)
    path = chosen.path
    return FileProvider(lambda: read_token(path), on_error=on_error)


@asynccontextmanager
async def client_for(
    project: Project,
    settings: Settings,
    provider: Provider,
    on_call: Callable[[Call], None],
) -> AsyncIterator[DliClient]:
    """Connect to DLI for one project; StartError if its CA file cannot be used."""
    try:
        opened = session(ca_file=str(project.ca_file) if project.ca_file else None)
    except (OSError, ssl.SSLError) as error:
        raise StartError(f"{project.ca_file}: no PEM file with certificates: {error}") from None
    async with opened:
        yield DliClient(
            opened,
            project.endpoint,
            project_id=project.project_id,
            provider=provider,
            requests_per_second=project.requests_per_second,
            timeout=settings.poll.timeout,
            on_call=on_call,
            zones={**DEFAULT_ZONES, **settings.zones},
        )


@asynccontextmanager
async def listening(views: Views, address: ListenAddress) -> AsyncIterator[int]:
    """Serve the web endpoints and yield the port; StartError if the address cannot be had."""
    runner = web.AppRunner(application(views), access_log=None, shutdown_timeout=_STOP)
    await runner.setup()
    try:
        try:
            await web.TCPSite(runner, address.host or None, address.port).start()
        except OSError as error:
            raise StartError(f"cannot listen on {address}: {error.strerror}") from None
        yield runner.addresses[0][1]
    finally:
        await runner.cleanup()


async def serve(settings: Settings, stop: asyncio.Event, started: Callable[[int], None]) -> None:
    """Run the exporter until ``stop`` is set; ``started`` is told the port it listens on."""
    exporter = Exporter(settings)
    async with (
        exporter.connected(),
        listening(exporter.views(), settings.web.listen_address) as port,
        asyncio.TaskGroup() as tasks,
    ):
        polling = tasks.create_task(exporter.poll())
        started(port)
        await stop.wait()
        polling.cancel()


async def once(settings: Settings) -> bytes:
    """Ask for every job once and return the exposition as text."""
    exporter = Exporter(settings)
    async with exporter.connected():
        await exporter.poll_once()
    return b"".join(exporter.exposition(Format.TEXT))
