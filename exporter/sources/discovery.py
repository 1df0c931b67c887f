"""Jobs found by the list API: who runs now, and who has ended since."""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from math import inf

from ..dli.client import DliClient
from ..dli.errors import DliError, PayloadTooLarge, Scope
from ..dli.queries import LARGEST_PAGE, JobsQuery
from ..dli.schema import JobsPage
from ..jobs.model import ListedJob
from .listing import BEYOND, LAST_PAGE, Filters, rows
from .rounds import LIVE, Gap, Reading, Round, State, merge, settle

__all__ = ["Discovery", "Round"]


@dataclass(slots=True)
class _Walk:
    """What was read of one listing, and what was not.

    ``first`` and ``last`` bound the starts that were read. ``full`` says that the last page
    allowed was a whole one, so that there may be more; ``broken`` that errors ended the
    reading, ``hopeless`` that the last one is about the whole project.
    """

    rows: list[ListedJob] = field(default_factory=list)
    others: dict[str, float] = field(default_factory=dict)
    pages: int = 0
    first: float = inf
    last: float = -inf
    full: bool = False
    broken: bool = False
    hopeless: bool = False
    missing: bool = False
    error: DliError | None = None
    _known: set[str] = field(default_factory=set)
    _hole: float = -inf
    _holes: list[Gap] = field(default_factory=list)

    def take(self, page: JobsPage, size: int, wants: Callable[[ListedJob], bool]) -> bool:
        """Add a page and tell whether it is the last: not a whole one, or nothing new in it."""
        starts = [job.details.start for job in page.jobs if job.details.start is not None]
        if self.missing:
            self._holes.append((self._hole, min(starts, default=inf)))
            self.missing = False
        self.first = min([self.first, *starts])
        self.last = max([self.last, *starts])
        for job in page.jobs:
            if wants(job):
                self.rows.append(job)
            else:
                self.others[job.job_id] = job.details.start or 0.0
        ids = {job.job_id for job in page.jobs}
        repeats = ids <= self._known
        self._known |= ids
        return repeats or rows(page) < size

    def miss(self, error: DliError) -> bool:
        """Note a page that could not be read and tell whether it is no use to go on."""
        again, self.missing = self.missing, True
        self.hopeless = error.scope is Scope.PROJECT
        self.error = self.error or error
        if not again:
            self._hole = self.last
        return again or self.hopeless

    def gaps(self) -> list[Gap]:
        """Give the starts between which jobs may be listed and were not read."""
        if self.missing or self.broken:
            return [*self._holes, (self._hole, inf)]
        return [*self._holes, (self.last, inf)] if self.full else self._holes


class Discovery:
    """One project's jobs by the list API, round by round; one round at a time.

    A round without much to tell is four calls: one for each live status, one for the newest
    jobs whatever their status. A list of n jobs takes n // page_size + 1 calls, at most 100.
    """

    def __init__(
        self,
        client: DliClient,
        filters: Filters,
        *,
        overlap: float = 600.0,
        page_size: int = LARGEST_PAGE,
    ) -> None:
        """Take ``overlap`` in seconds: so late a job may show in the list and not be missed."""
        self._client = client
        self._filters = filters
        self._overlap = overlap
        self._page_size = page_size
        self._state = State()

    async def round(self) -> Round:
        """Read the lists and tell what has changed; DliErrors are in the Round, never raised.

        An error of the whole project ends the reading, one about a single page leaves that out.
        Cancelled, it has changed nothing.
        """
        reading = await self._read()
        self._state, found = merge(self._state, reading, overlap=self._overlap)
        return found

    def settle(self, job_ids: Iterable[str]) -> None:
        """Note that the ends of these jobs are known: no round hands them over any more.

        Meant for jobs that are dropped or retired before a round has told of their end.
        """
        self._state = settle(self._state, job_ids)

    def has_ended(self, job_id: str) -> bool:
        """Tell whether a job's end has been handed over as a row, or settled.

        So a job that comes back from its end is told from a new one.
        """
        return job_id in self._state.ended

    async def _read(self) -> Reading:
        """Read the live lists, then the window: what happens meanwhile shows in that."""
        base = self._filters.query(self._page_size)
        walks: list[_Walk] = []
        for status in LIVE:
            listing = base._replace(status=status, order="start_time_asc")
            walks.append(await self._walk(listing))
            if walks[-1].hopeless:
                return self._reading(walks, _Walk(broken=True))
        return self._reading(walks, await self._window(base))

    async def _window(self, base: JobsQuery) -> _Walk:
        """Read the newest jobs, whatever their status.

        The first time the newest page alone says what was before the exporter watched. From
        then on new jobs only ever lengthen the end of what is read.
        """
        if self._state.since is None:
            return await self._walk(base._replace(order="start_time_desc"), pages=1)
        # Nothing started at 0: that is the window of all jobs there are.
        start = self._state.since or None
        return await self._walk(base._replace(start=start, order="start_time_asc"))

    async def _walk(self, query: JobsQuery, pages: int = LAST_PAGE) -> _Walk:
        """Read a listing page by page; a page that cannot be read is left out, two end it."""
        walk = _Walk()
        for number in range(1, pages + 1):
            walk.pages = number
            try:
                page = await self._client.jobs(query, number)
            except DliError as error:
                if isinstance(error, BEYOND) and number > 1 and not walk.missing:
                    return walk
                if walk.miss(error):
                    break
            else:
                if walk.take(page, query.page_size, self._filters.admit):
                    return walk
        walk.full, walk.broken = not walk.missing, walk.missing
        return walk

    def _reading(self, walks: Sequence[_Walk], window: _Walk) -> Reading:
        first = self._state.since is None
        every = (*walks, window)
        errors = [walk.error for walk in every if walk.error]
        if any(isinstance(error, PayloadTooLarge) for error in errors):
            self._page_size = max(1, self._page_size // 2)  # statements may be of any length
        gaps = [(-inf, inf)] * (len(LIVE) - len(walks))
        gaps += [gap for walk in walks for gap in walk.gaps()]
        return Reading(
            listed=[row for walk in walks for row in walk.rows],
            recent=window.rows,
            others=window.others,
            gaps=[*gaps, *self._window_gaps(window)],
            reached=self._reached(window),
            since=window.first if window.full and first and window.first < inf else 0.0,
            truncated=any(walk.full for walk in (walks if first else every)),
            pages=sum(walk.pages for walk in every),
            error=next(iter(errors), None),
        )

    def _reached(self, window: _Walk) -> float | None:
        """Say up to which start the window was read, or if cut, from where to read on.

        That is its first hole, so that a page that failed by chance is had again; once the hole
        is where the window begins, it is passed over.
        """
        since = self._state.since
        if window.broken:
            return None
        if since is None and window.full and window.first == inf:
            return None  # many jobs, and no word about when: there is nothing to begin with
        if since is None or not window.full:
            return inf
        return min((low for low, _ in window.gaps() if low > since), default=window.last)

    def _window_gaps(self, window: _Walk) -> list[Gap]:
        """Say whose end may be found in the window yet: only those who started in it."""
        since = self._state.since
        if since is None:
            return [(-inf, inf)] if window.broken else []
        return [(max(low, since), high) for low, high in window.gaps() if high >= since]
