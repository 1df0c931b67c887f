"""The project of a region: what IAM's list of projects says, and which one is meant."""

import asyncio
import re
from collections.abc import Awaitable, Callable
from typing import Final, NamedTuple

from .errors import DliError, ParseError, ProjectUnknown
from .fields import load
from .pacing import pause

_WORD: Final = re.compile(r"[A-Za-z0-9_-]{1,64}")
_SHOWN: Final = 4
_RULE: Final = "project_id: 1 to 64 letters, digits, '_' and '-' are allowed"


class Project(NamedTuple):
    """A project that the caller can reach; of a region's own the name is the region's."""

    id: str
    name: str


class Lookup(NamedTuple):
    """How to find a project's id: IAM's ``endpoint``, and the ``region`` whose project it is."""

    endpoint: str
    region: str


class ProjectId:
    """A project's id: given, or found once by whoever needs it first.

    After a failure nobody tries again before a pause is over, but is told why at once.
    """

    def __init__(
        self,
        given: str | Lookup,
        find: Callable[[Lookup], Awaitable[str]],
        *,
        monotonic: Callable[[], float],
        jitter: Callable[[], float],
    ) -> None:
        """Take the id or how to ``find`` it; ValueError for an id that may not stand in a URL."""
        self._known = given if isinstance(given, Lookup) else require_project_id(given)
        self._find = find
        self._monotonic = monotonic
        self._jitter = jitter
        self._looking = asyncio.Lock()
        self._failures = 0
        self._error: DliError | None = None
        self._again = 0.0

    async def get(self) -> str:
        """Give the id; DliError if it is not known."""
        if not isinstance(self._known, Lookup):
            return self._known
        async with self._looking:
            if isinstance(self._known, Lookup):  # or somebody was faster
                self._known = require_project_id(await self._once(self._known))
            return self._known

    async def _once(self, lookup: Lookup) -> str:
        if self._error is not None and self._monotonic() < self._again:
            raise self._error.uncalled()
        try:
            return await self._find(lookup)
        except DliError as error:
            self._failures += 1
            wait = pause(self._failures, self._jitter(), error.retry_after)
            self._again = self._monotonic() + wait
            self._error = error
            raise


def require_project_id(project_id: str) -> str:
    """Give the id back; ValueError for what may not stand in a URL."""
    if not _WORD.fullmatch(project_id):
        raise ValueError(_RULE)
    return project_id


def parse_projects(body: bytes) -> tuple[Project, ...]:
    """Read a list of projects (iam_06_0001, iam_06_0003), without those that are disabled."""
    document = load(body)
    rows = document.get("projects") if isinstance(document, dict) else None
    if not isinstance(rows, list):
        raise ParseError("the answer holds no list of projects", field="projects")
    return tuple(
        Project(row["id"], row["name"])
        for row in rows
        if isinstance(row, dict)
        and _fits(row.get("id"))
        and _fits(row.get("name"))
        and row.get("enabled") is not False
    )


def choose(projects: tuple[Project, ...], region: str) -> str:
    """Give the id of the region's own project; ProjectUnknown names what there is instead.

    The region's own project has its name, others in it are called ``<region>_<suffix>``: which
    of these is meant nobody can guess.
    """
    own = [project.id for project in projects if project.name == region]
    if len(own) == 1:
        return own[0]
    if own:
        raise ProjectUnknown(f"set project_id: {len(own)} projects are {region}: {_some(own)}")
    others = [project.name for project in projects if project.name.startswith(f"{region}_")]
    if others:
        raise ProjectUnknown(f"set project_id: no project is {region}, but {_some(others)}")
    raise ProjectUnknown(f"set project_id: IAM shows these credentials no project of {region}")


def _fits(value: object) -> bool:
    return isinstance(value, str) and _WORD.fullmatch(value) is not None


def _some(words: list[str]) -> str:
    more = len(words) - _SHOWN
    return ", ".join(words[:_SHOWN]) + (f" and {more} more" if more > 0 else "")
