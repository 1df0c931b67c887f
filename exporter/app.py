"""The composition root: builds everything from the settings, starts it and stops it."""

import asyncio
import logging
import os
import platform
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING, Final

from . import __version__
from .connection import StartError
from .fleet import Fleet
from .jobs.model import JobKey, Registration
from .jobs.retention import Retention
from .logs import fields
from .metrics.catalogue import job_families
from .metrics.exposition import Exposition, Snapshot
from .metrics.rendering import SubJobs
from .metrics.telemetry import Telemetry
from .server import FIXED, guard, listening
from .settings import Settings, SettingsError, require_project
from .systemd import NOBODY, ServiceManager
from .tracker import Limits, Source, Tags, Tracker
from .web.lifecycle import Lifecycle, add_lifecycle
from .web.negotiation import Format
from .web.registry import Registry
from .web.routes import Scrape, Views, add_registration, application, probes
from .web.scrapers import Scrapers
from .web.state import Reload, State

if TYPE_CHECKING:
    from .sources.directory import Directory
    from .sources.registration import Rejection
    from .web.security.guard import Guard

log = logging.getLogger(__name__)

_HUNG: Final = 3
"""A poller that has not gone round for so many intervals hangs."""
_STALE: Final = 300.0
"""Age in seconds from which data are called old, however short the interval is."""
_LAST_POLL: Final = 10.0
"""Seconds for the last look at every running job."""
_SCAN_INTERVAL: Final = 2.0
"""Seconds between two looks at the directory of registrations."""
_RETIRE_INTERVAL: Final = 1.0
"""Seconds between two looks for jobs that may leave."""
_FIXED: Final = ("jobs_dir", "subjobs", "tags", "shard", "total_shards", "log")
"""Settings that a reload does not change, beside those of the web server."""
_STOPPING: Final = "the exporter is stopping"
"""Why nothing new is taken on any more."""


class Orders:
    """What the operator asks for, by signals.

    ``stop`` is to end once every scraper has the final picture, ``quit`` to end at once,
    ``reload`` to read the settings again.
    """

    def __init__(self) -> None:
        self.stop = asyncio.Event()
        self.quit = asyncio.Event()
        self.reload = asyncio.Event()


class Exporter:
    """All parts of an exporter, connected with each other."""

    def __init__(
        self,
        settings: Settings,
        load: Callable[[], Settings],
        manager: ServiceManager = NOBODY,
    ) -> None:
        """Build everything; ``load`` reads the settings again or raises SettingsError.

        StartError if a connection cannot be opened. Whoever builds an exporter closes it.
        ``manager`` hears how it is.
        """
        self._settings = settings
        self._load = load
        self._manager = manager
        self._scrapers = Scrapers()
        self._scraped = asyncio.Event()
        self._ripe = asyncio.Event()
        self._reloading = asyncio.Lock()
        self._stopping = False
        self._guard: Guard | None = None
        self._exposition = Exposition(
            job_families(settings.tags.labels),
            subjobs=SubJobs(settings.subjobs),
            subjobs_per_job=settings.limits.subjobs_per_job,
            ripe=self._ripe.set,
        )
        self._telemetry = Telemetry(
            jobs=lambda: self._tracker,
            revision=lambda: self._exposition.revision,
            delivered=lambda job: self._tracker.delivered(job),
            series=lambda: self._exposition.series,
            now=time.time,
        )
        self._telemetry.build(
            version=__version__,
            # The image is built with it; a wheel does not know its commit.
            revision=os.environ.get("GIT_REVISION", "unknown"),
            python_version=platform.python_version(),
        )
        self._telemetry.sharded(settings.shard, settings.total_shards)
        self._telemetry.reloaded(True, time.time())
        self._reloaded = Reload(at=time.time(), in_force=time.time())
        self._tracker = Tracker(
            exposition=self._exposition,
            telemetry=self._telemetry,
            retention=_retention(settings),
            limits=_limits(settings),
            tags=Tags(settings.tags.name, settings.tags.deadline),
            delivered=lambda since: self._scrapers.delivered(since, time.monotonic()),
            now=time.time,
            monotonic=time.monotonic,
        )
        self._fleet = Fleet(
            settings,
            tracker=self._tracker,
            telemetry=self._telemetry,
            expected=self._scrapers.next_expected,
        )
        self._directory = (
            self._watched(settings.jobs_dir) if settings.jobs_dir is not None else None
        )
        self._waiting: dict[JobKey, Registration] = {}

    async def close(self) -> None:
        """Close the connections."""
        await self._fleet.close()

    async def run(self, orders: Orders, started: Callable[[int], None]) -> None:
        """Serve and poll until told to stop; ``started`` is told the port.

        A part that fails unexpectedly ends all others and raises.
        """
        async with asyncio.TaskGroup() as group, self._listening(group) as port:
            self._fleet.attach()
            self._fleet.start(group)
            aside = [
                group.create_task(self._reload_when_told(orders, group)),
                group.create_task(self._retire()),
                group.create_task(self._compress()),
            ]
            if self._directory is not None:
                aside.append(group.create_task(self._scan(self._directory)))
            started(port)
            self._manager.ready("serving")
            alive = group.create_task(self._manager.watch(self._healthy))
            await orders.stop.wait()
            self._stopping = True
            self._manager.stopping("waiting for scrapes of the final picture")
            # A reload under way comes to its end first: half of one leaves projects unwatched,
            # or watched by tasks that nobody ends.
            async with self._reloading:
                for task in aside:
                    task.cancel()
                await self._fleet.stop()
            await self._linger(orders)
            alive.cancel()

    async def once(self) -> None:
        """Look for jobs once, and ask for each of them once."""
        self._fleet.attach()
        async with asyncio.TaskGroup() as group:
            for watch in self._fleet:
                group.create_task(watch.once())

    def exposition(self, chosen: Format) -> Snapshot:
        """Return everything that is exposed now."""
        openmetrics = chosen is Format.OPENMETRICS
        own = self._telemetry.openmetrics() if openmetrics else self._telemetry.text()
        return self._exposition.snapshot(own)

    async def _linger(self, orders: Orders) -> None:
        """Stay until every scraper has seen the final picture, for so long as is allowed."""
        seen = asyncio.create_task(self._final_picture_seen())
        quitting = asyncio.create_task(orders.quit.wait())
        await asyncio.wait(
            {seen, quitting},
            timeout=self._settings.web.linger,
            return_when=asyncio.FIRST_COMPLETED,
        )
        if not seen.done() and not quitting.done():
            log.warning("not every scraper has seen the final picture: web.linger is over")
        for task in (seen, quitting):
            task.cancel()
        await asyncio.wait({seen, quitting})
        if not seen.cancelled():
            seen.result()  # raises what nobody foresaw

    async def _final_picture_seen(self) -> None:
        """Ask once more for what is not final, and wait for the scrapes that show it."""
        with suppress(TimeoutError):
            async with asyncio.timeout(_LAST_POLL):
                await self._last_look()
        for job in self._tracker:
            self._tracker.settle(job.key)
        while not all(map(self._tracker.delivered, self._tracker)):
            self._scraped.clear()
            await self._scraped.wait()

    def _watched(self, directory: Path) -> "Directory":
        from .sources.directory import Directory  # here: most have none

        return Directory(directory, projects=lambda: self._fleet.projects)

    async def _last_look(self) -> None:
        """Take up the jobs registered a moment ago, and ask once for all that are not final."""
        if self._directory is not None:
            # Twice: a look may have been under way when the last file came.
            await self._look_into(self._directory)
            await self._look_into(self._directory)
        async with asyncio.TaskGroup() as group:
            for watch in self._fleet:
                group.create_task(watch.poller.once())

    async def _scan(self, directory: "Directory") -> None:
        """Take up what is registered in the directory, for ever."""
        while True:
            await self._look_into(directory)
            await asyncio.sleep(_SCAN_INTERVAL)

    async def _look_into(self, directory: "Directory") -> None:
        """Take up what is registered in the directory now."""
        from .sources.registration import Reason, Rejection  # here: as the directory itself

        found = await directory.scan()
        for key in found.gone:
            self._waiting.pop(key, None)
            self._tracker.withdraw(key, Source.DIRECTORY)
        for registration in found.added:
            self._waiting[JobKey(registration.project, registration.job_id)] = registration
            if (elsewhere := self._fleet.elsewhere(registration.project)) is not None:
                self._reject(Rejection(Reason.REFUSED, elsewhere))
        # What there is no room for waits: a file is said to be new only once.
        self._waiting = {
            key: registration
            for key, registration in self._waiting.items()
            if self._fleet.elsewhere(key.project) is not None
            or self._tracker.register(registration, Source.DIRECTORY) is not None
        }
        for rejection in found.rejected:
            self._reject(rejection)
        if found.error is not None:
            self._reject(Rejection(Reason.UNREADABLE, found.error))

    async def _retire(self) -> None:
        """Let go of jobs whose time is over, and take on those that waited for room."""
        while True:
            self._tracker.retire()
            self._fleet.list_again()
            await asyncio.sleep(_RETIRE_INTERVAL)

    async def _compress(self) -> None:
        """Compress what has changed before somebody scrapes it."""
        while True:
            await self._ripe.wait()
            self._ripe.clear()
            for _ in self._exposition.compress():
                await asyncio.sleep(0)

    async def _reload_when_told(self, orders: Orders, group: asyncio.TaskGroup) -> None:
        while True:
            await orders.reload.wait()
            orders.reload.clear()
            await self._reload(group)

    async def _reload(self, group: asyncio.TaskGroup) -> tuple[str, ...]:
        """Read the settings again; return what is wrong with them, a line a mistake."""
        try:
            async with self._reloading:
                if self._stopping:
                    return (_STOPPING,)
                self._manager.reloading(time.monotonic())
                settings = self._load()
                require_project(settings)
                if self._guard is not None and (wrong := self._guard.reload()):
                    raise SettingsError(wrong)
                await self._fleet.adopt(settings, group)
        except SettingsError as error:
            mistakes = tuple(error.lines)
        except StartError as error:
            mistakes = (str(error),)
        except (ImportError, OSError) as error:
            # What only the new settings need is imported now: an upgrade may have removed it.
            mistakes = (f"restart the exporter: {error}",)
        else:
            mistakes = ()
            self._adopt(settings)
        self._telemetry.reloaded(not mistakes, time.time())
        in_force = self._reloaded.in_force if mistakes else time.time()
        self._reloaded = Reload(at=time.time(), in_force=in_force, mistakes=mistakes)
        for mistake in mistakes:
            log.error("settings not reloaded", extra=fields(error=mistake))
        self._manager.ready("settings not reloaded, see the log" if mistakes else "serving")
        return mistakes

    def _adopt(self, settings: Settings) -> None:
        before, self._settings = self._settings, settings
        self._tracker.retention = _retention(settings)
        self._tracker.limits = _limits(settings)
        fixed = [name for name in _FIXED if getattr(before, name) != getattr(settings, name)]
        fixed += [
            f"web.{name}"
            for name in FIXED
            if getattr(before.web, name) != getattr(settings.web, name)
        ]
        if before.limits.subjobs_per_job != settings.limits.subjobs_per_job:
            fixed.append("limits.subjobs_per_job")
        log.info("settings reloaded", extra=fields(needs_restart=",".join(fixed) or None))

    @asynccontextmanager
    async def _listening(self, group: asyncio.TaskGroup) -> AsyncIterator[int]:
        """Serve the web endpoints and yield the port; StartError if it cannot be had."""
        views = self._views()
        app = application(views)
        add_registration(app, self._registry())
        add_lifecycle(app, self._lifecycle(group))
        self._guard = guard(self._settings)
        async with listening(self._settings, app, probes(views), self._guard) as port:
            yield port

    def _views(self) -> Views:
        return Views(
            exposition=self.exposition,
            monotonic=time.monotonic,
            jobs=lambda: self._tracker,
            healthy=self._healthy,
            ready=self._ready,
            state=self._state,
            scrapers=self._scrapers,
            scraped=self._was_scraped,
        )

    def _state(self) -> State:
        return State(
            now=time.time(),
            version=__version__,
            healthy=self._healthy(),
            ready=self._ready(),
            stale=max(_HUNG * self._settings.poll.interval, _STALE),
            reload=self._reloaded,
            projects=tuple(watch.troubles.health() for watch in self._fleet),
        )

    def _registry(self) -> Registry:
        return Registry(
            enabled=lambda: self._settings.web.enable_registration,
            projects=lambda: self._fleet.projects,
            known=lambda key: key in self._tracker,
            register=self._register,
            withdraw=lambda key: self._tracker.withdraw(key, Source.HTTP),
            rejected=self._reject,
        )

    def _register(self, registration: Registration) -> str | None:
        if self._stopping:  # nobody would ask for it any more
            return _STOPPING
        elsewhere = self._fleet.elsewhere(registration.project)
        return elsewhere or self._tracker.register(registration, Source.HTTP)

    def _lifecycle(self, group: asyncio.TaskGroup) -> Lifecycle:
        return Lifecycle(
            enabled=lambda: self._settings.web.enable_lifecycle,
            reload=lambda: self._reload(group),
        )

    def _ready(self) -> bool:
        return all(watch.poller.ready for watch in self._fleet)

    def _healthy(self) -> bool:
        """Whether no poller hangs; in the end, waiting for the last scrape, none runs."""
        oldest = time.monotonic() - _HUNG * self._settings.poll.interval
        return self._stopping or all(watch.poller.beat > oldest for watch in self._fleet)

    def _was_scraped(self, scrape: Scrape) -> None:
        if scrape.complete:
            self._telemetry.scraped(scrape.encoding, scrape.size)
        self._scraped.set()

    def _reject(self, rejection: "Rejection") -> None:
        self._telemetry.rejected(rejection.reason)
        log.warning("registration rejected", extra=fields(error=rejection.message))


def _retention(settings: Settings) -> Retention:
    return Retention(settings.retention.finished, settings.retention.unscraped)


def _limits(settings: Settings) -> Limits:
    return Limits(settings.limits.jobs, settings.limits.series)


async def serve(
    settings: Settings,
    load: Callable[[], Settings],
    orders: Orders,
    started: Callable[[int], None],
    manager: ServiceManager = NOBODY,
) -> None:
    """Run an exporter until ``orders`` say to stop; ``started`` is told the port it listens on."""
    exporter = Exporter(settings, load, manager)
    try:
        await exporter.run(orders, started)
    finally:
        await exporter.close()


async def once(settings: Settings) -> bytes:
    """Ask for every job once and return the exposition as text."""
    exporter = Exporter(settings, lambda: settings)
    try:
        await exporter.once()
    finally:
        await exporter.close()
    return b"".join(exporter.exposition(Format.TEXT).plain())
