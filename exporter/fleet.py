"""The projects under watch, as the settings name them: opened, started, changed and closed."""

import asyncio
from collections.abc import Callable, Iterable, Iterator

from .dli.gate import Keys
from .jobs.model import JobKey, Registration
from .jobs.schedule import Expected
from .metrics.telemetry import Telemetry
from .settings import Project, Settings
from .sharding import Shard
from .tracker import Source, Tracker
from .watch import Watch


class Fleet:
    """A watch for each project in this shard's share; it owns their tasks and connections.

    Which shard it is does not change: other settings are shared out as the first ones were.
    """

    def __init__(
        self,
        settings: Settings,
        *,
        tracker: Tracker,
        telemetry: Telemetry,
        expected: Callable[[float], Expected | None] = lambda now: None,
    ) -> None:
        """Open the connections that the settings ask for; StartError if that fails.

        ``expected`` tells which scrape comes next after a moment of the monotonic clock.
        """
        self._expected = expected
        self._tracker = tracker
        self._telemetry = telemetry
        self._keys = Keys()
        self._shard = Shard(settings.shard, settings.total_shards)
        self._every = settings.projects
        self._settings = self._share(settings)
        self._tasks: dict[str, asyncio.Task[None]] = {}
        self._watches: dict[str, Watch] = {}
        self._watches = self._opened(self._settings)

    def __iter__(self) -> Iterator[Watch]:
        """Iterate over the watches."""
        return iter(self._watches.values())

    def __contains__(self, project: str) -> bool:
        return project in self._watches

    @property
    def projects(self) -> frozenset[str]:
        """The names of all projects, whichever shard watches them.

        One that is changed at the moment is one of them.
        """
        return frozenset(self._every)

    def elsewhere(self, project: str) -> str | None:
        """Say in a line which other shard watches a project; None if none of them does."""
        if project in self._settings.projects or project not in self._every:
            return None
        owner = self._shard.owner(*_quota(project, self._every[project]))
        ours = f"{self._shard.ordinal} of {self._shard.total}"
        return f"project: {project} is in the share of shard {owner}; this is shard {ours}"

    def attach(self) -> None:
        """Register the jobs that the settings list."""
        for watch in self:
            watch.attach()
            self._list(watch.name, watch.project.jobs)

    def start(self, group: asyncio.TaskGroup) -> None:
        """Let every watch run in a task of the group."""
        for watch in self:
            self._tasks[watch.name] = group.create_task(watch.run())

    def list_again(self) -> None:
        """Register the listed jobs for which there was no room, as far as there is some now."""
        for watch in self:
            for job_id in self._settings.projects[watch.name].jobs:
                known = JobKey(watch.name, job_id) in self._tracker
                if not known and not self._list_one(watch.name, job_id):
                    return

    async def adopt(self, settings: Settings, group: asyncio.TaskGroup) -> None:
        """Change to other settings; StartError, and nothing has changed, if that fails.

        A project that stays as it is goes on undisturbed, and so do the jobs of one whose
        settings change. Those of a project that is gone go with it.
        """
        every, settings = settings.projects, self._share(settings)
        opened = self._opened(settings)
        gone = self._watches.keys() - settings.projects.keys()
        await self._halt(opened.keys() | gone)
        for name in gone:
            self._tracker.abandon(name)
            self._telemetry.forget(name)
        before, self._settings, self._every = self._settings, settings, every
        for name, watch in opened.items():
            self._watches[name] = watch
            watch.attach()
            self._tasks[name] = group.create_task(watch.run())
        for name, project in settings.projects.items():
            listed = before.projects[name].jobs if name in before.projects else ()
            for job_id in set(listed) - set(project.jobs):
                self._tracker.withdraw(JobKey(name, job_id), Source.LISTED)
            self._list(name, project.jobs)

    async def stop(self) -> None:
        """Stop asking; the connections stay open for a last look."""
        for task in self._tasks.values():
            task.cancel()
        await asyncio.gather(*self._tasks.values(), return_exceptions=True)

    async def close(self) -> None:
        """Close the connections."""
        for watch in self:
            await watch.close()

    def _share(self, settings: Settings) -> Settings:
        """Return the settings with this shard's projects alone."""
        own = {
            name: project
            for name, project in settings.projects.items()
            if self._shard.owns(*_quota(name, project))
        }
        return settings.model_copy(update={"projects": own})

    def _open(self, settings: Settings, name: str) -> Watch:
        return Watch(
            name,
            settings.projects[name],
            poll=settings.poll,
            zones=settings.zones,
            history=settings.history.enabled,
            keys=self._keys,
            expected=self._expected,
            tracker=self._tracker,
            telemetry=self._telemetry,
        )

    def _opened(self, settings: Settings) -> dict[str, Watch]:
        """Open what is new or has changed in more than its jobs; all of it or nothing."""
        opened: dict[str, Watch] = {}
        try:
            for name in settings.projects:
                if name not in self._watches or self._differs(settings, name):
                    opened[name] = self._open(settings, name)
        except BaseException:
            for watch in opened.values():
                watch.discard()
            raise
        return opened

    def _differs(self, settings: Settings, name: str) -> bool:
        unlisted = {"jobs": ()}
        before = self._settings.projects[name].model_copy(update=unlisted)
        after = settings.projects[name].model_copy(update=unlisted)
        common = _common(self._settings) == _common(settings)
        return before != after or not common

    async def _halt(self, names: Iterable[str]) -> None:
        for name in names:
            if (task := self._tasks.pop(name, None)) is not None:
                task.cancel()
                await asyncio.wait({task})
            if (watch := self._watches.pop(name, None)) is not None:
                await watch.close()

    def _list(self, project: str, job_ids: Iterable[str]) -> None:
        for job_id in job_ids:
            self._list_one(project, job_id)

    def _list_one(self, project: str, job_id: str) -> bool:
        registration = Registration(job_id=job_id, project=project)
        return self._tracker.register(registration, Source.LISTED) is None


def _quota(name: str, project: Project) -> tuple[str, str]:
    """Return what names a project's quota: its region, by the endpoint, and its id in there.

    An id that has to be looked up is not known as yet: the name in the settings stands for it.
    """
    return project.endpoint, project.project_id or name


def _common(settings: Settings) -> tuple[object, ...]:
    """Return the settings that every watch is built from, beside its project."""
    return settings.poll, settings.zones, settings.history
