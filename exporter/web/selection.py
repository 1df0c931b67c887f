"""Which jobs the status page shows, and in which order: as its address says."""

from collections import Counter
from collections.abc import Callable, Generator, Mapping, Sequence
from dataclasses import dataclass, replace
from math import ceil
from operator import itemgetter
from typing import Final, TypeAlias
from urllib.parse import urlencode

from ..jobs.model import Job, JobStatus

ROWS: Final = 200
"""Jobs on one page: more than anybody reads, and little to fetch every few seconds."""
NOT_ASKED: Final = "NEW"
"""The status word of a job that no answer has told of as yet."""
STATUSES: Final = (*JobStatus, NOT_ASKED)

_AT_ONCE: Final = 200
"""Jobs that are looked at in one step, which takes about a millisecond."""
_LONGEST: Final = 256
"""Characters taken of a word in the address."""

_Value: TypeAlias = float | str | None


def status_word(job: Job) -> str:
    """Return a job's status, or that it has none as yet."""
    return NOT_ASKED if job.status is None else job.status


def shown_ratio(job: Job) -> float | None:
    """Return the progress to show: of the expected time if there is a history, else of work."""
    if job.expected_ratio is None or job.status is JobStatus.FINISHED:
        return job.ratio
    return job.expected_ratio


def end(job: Job) -> float | None:
    """Return when a job ended, or is expected to (Unix seconds)."""
    if job.ended is None:
        return job.expected_end
    told = job.details.end if job.details else None
    return job.ended if told is None else told


def label(job: Job) -> str:
    """Return what a job is called: its name, or else its id."""
    return job.name or job.key.job_id


def queue(job: Job) -> str:
    """Return a job's queue; empty while the list API has not told it."""
    return job.details.queue_name if job.details else ""


SORTS: Final[Mapping[str, Callable[[Job], _Value]]] = {
    "name": lambda job: label(job).casefold(),
    "project": lambda job: job.key.project,
    "queue": queue,
    "status": status_word,
    "progress": shown_ratio,
    "end": end,
    "failed": lambda job: job.counts.tasks_failed,
    "updated": lambda job: job.last_update,
}
"""What may be sorted by; a job without the value comes last in either direction."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Query:
    """What the address asks for; ``descending`` only means something with a ``sort``."""

    text: str = ""
    project: str = ""
    status: str = ""
    sort: str = ""
    descending: bool = False
    page: int = 1

    @classmethod
    def parse(cls, given: Mapping[str, str]) -> "Query":
        """Read the parameters of an address; what makes no sense is as if it were not there."""
        sort, page = given.get("sort", ""), given.get("page", "")
        column, status = sort.removeprefix("-"), given.get("status", "")
        return cls(
            text=given.get("q", "").strip()[:_LONGEST],
            project=given.get("project", "")[:_LONGEST],
            status=status if status in STATUSES else "",
            sort=column if column in SORTS else "",
            descending=column in SORTS and sort.startswith("-"),
            page=max(int(page), 1) if page.isdecimal() and len(page) < 6 else 1,
        )

    @property
    def narrowed(self) -> bool:
        """Whether anything is filtered."""
        return bool(self.text or self.project or self.status)

    @property
    def sorting(self) -> str:
        """The order as the address says it: a column, with ``-`` if it descends."""
        return f"-{self.sort}" if self.descending else self.sort

    @property
    def address(self) -> str:
        """The relative address of what is asked for: only what is not as usual."""
        words = {
            "q": self.text,
            "project": self.project,
            "status": self.status,
            "sort": self.sorting,
            "page": str(self.page) if self.page > 1 else "",
        }
        given = {name: value for name, value in words.items() if value}
        return f"?{urlencode(given, errors='replace')}"

    def with_status(self, status: str) -> "Query":
        """Return the same for another status, from its first page on."""
        return replace(self, status=status, page=1)

    def sorted_by(self, column: str) -> "Query":
        """Return the same in the order of a column; the other way round if it is that already."""
        again = column == self.sort and not self.descending
        return replace(self, sort=column, descending=again, page=1)


@dataclass(frozen=True, slots=True, kw_only=True)
class Selection:
    """The jobs of one page.

    ``total`` is how many are tracked, ``matching`` how many the query asks for, and
    ``by_status`` counts those that its text and project ask for. ``first`` numbers the
    first job here from 1; ``page`` is of so many ``pages``.
    """

    jobs: tuple[Job, ...]
    total: int
    matching: int
    by_status: Mapping[str, int]
    by_project: Mapping[str, int]
    first: int
    page: int
    pages: int


def select(jobs: Sequence[Job], query: Query) -> Generator[None, None, Selection]:
    """Choose and sort jobs in steps, so that thousands of them hold up nobody."""
    text = query.text.casefold()
    value = SORTS[query.sort] if query.sort else None
    matching: list[tuple[_Value, tuple[float, float, str, str], Job]] = []
    by_status: Counter[str] = Counter()
    by_project: Counter[str] = Counter()
    for number, job in enumerate(jobs, 1):
        by_project[job.key.project] += 1
        if query.project in ("", job.key.project) and (not text or _holds(job, text)):
            word = status_word(job)
            by_status[word] += 1
            if query.status in ("", word):
                matching.append((value(job) if value else None, _usual(job), job))
        if number % _AT_ONCE == 0:
            yield
    yield
    matching.sort(key=itemgetter(1))
    yield
    ordered = _ordered(matching, descending=query.descending)
    pages = max(ceil(len(ordered) / ROWS), 1)
    page = min(query.page, pages)
    first = (page - 1) * ROWS
    return Selection(
        jobs=tuple(ordered[first : first + ROWS]),
        total=len(jobs),
        matching=len(ordered),
        by_status=by_status,
        by_project=by_project,
        first=first + 1,
        page=page,
        pages=pages,
    )


def _holds(job: Job, text: str) -> bool:
    details = job.details
    words = (job.name, job.key.job_id, queue(job), details.owner if details else "")
    return any(text in word.casefold() for word in words)


def _usual(job: Job) -> tuple[float, float, str, str]:
    """Return the usual order: what runs, what waits, what has ended with the latest first.

    What runs stands by its name, so that no row moves while somebody reads it.
    """
    if job.ended is not None:
        return 2, -job.ended, label(job).casefold(), job.key.job_id
    waiting = job.status in (None, JobStatus.LAUNCHING)
    return int(waiting), 0.0, label(job).casefold(), job.key.job_id


def _ordered(matching: Sequence[tuple[_Value, object, Job]], *, descending: bool) -> Sequence[Job]:
    """Return the jobs by value, and those without one last; equal ones stay as they are."""
    with_value = [entry for entry in matching if entry[0] not in (None, "")]
    without = [job for given, _, job in matching if given in (None, "")]
    with_value.sort(key=itemgetter(0), reverse=descending)
    return [*(job for _, _, job in with_value), *without]
