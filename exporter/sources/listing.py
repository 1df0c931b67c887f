"""The jobs that DLI's list shows: which of them are wanted, and those that have finished."""

from collections.abc import AsyncIterator, Mapping
from types import MappingProxyType
from typing import Final, NamedTuple

from ..dli.client import DliClient
from ..dli.errors import JobNotFound, RequestRejected
from ..dli.queries import LARGEST_PAGE, JobsQuery
from ..dli.schema import JobsPage
from ..jobs.model import JobStatus, ListedJob

LAST_PAGE: Final = LARGEST_PAGE
"""``current-page`` ends here (dli_02_0025)."""
BEYOND: Final = (RequestRejected, JobNotFound)
"""What DLI may answer to a page beyond the last; an empty page is the other way."""

_DEFAULT_ENGINE: Final = "spark"


class Filters(NamedTuple):
    """Which jobs are wanted; what is empty or None admits all.

    A job must fit in each respect, and within one any of several values will do, but for
    ``tags``, all of which it must carry. Queues, databases, job types and engines are compared
    without regard to case, as DLI does.
    """

    queues: tuple[str, ...] = ()
    owner: str | None = None
    tags: Mapping[str, str] = MappingProxyType({})
    job_types: tuple[str, ...] = ()
    database: str | None = None
    engine_types: tuple[str, ...] = ()

    def query(self, page_size: int = LARGEST_PAGE) -> JobsQuery:
        """Ask for no more than needed: a part of the filter that the API can apply.

        It takes one queue. Several are chosen here, since all jobs of a project on common
        pages are fewer calls than pages of each queue, until those jobs are many hundreds.
        """
        return JobsQuery(
            page_size=page_size,
            queue_name=self.queues[0] if len(self.queues) == 1 else None,
            owner=self.owner,
            db_name=self.database,
            # Its pairs have no way to quote what parts them; tags are compared here, too.
            tags={key: value for key, value in self.tags.items() if not set(",=") & {*key, *value}},
            job_types=tuple(word.upper() for word in self.job_types),
        )

    def admit(self, job: ListedJob) -> bool:
        """Tell whether a row is of a wanted job: the API's own filters are fuzzy or ignored.

        Rows name a database for imports and exports only, so that of the others DLI's own
        filter (``db_name``) is believed. Where they name no engine, there is only Spark.
        """
        about = job.details
        databases = (self.database,) if self.database else ()
        return (
            _one_of(about.queue_name, self.queues)
            and self.owner in (None, about.owner)
            and all(about.tags.get(key) == value for key, value in self.tags.items())
            and _one_of(about.job_type, self.job_types)
            and (not about.database_name or _one_of(about.database_name, databases))
            and _one_of(about.engine_type or _DEFAULT_ENGINE, self.engine_types)
        )


async def finished(
    client: DliClient, filters: Filters, *, pages: int, page_size: int = LARGEST_PAGE
) -> AsyncIterator[tuple[ListedJob, ...]]:
    """Yield jobs that FINISHED, the newest first, a page at a time, at most ``pages`` of them.

    Each page is one call, made when it is asked for; one may hold no wanted job. A job is
    yielded once, though new ones push it from page to page. DliError if a page cannot be read.
    """
    query = filters.query(page_size)._replace(status=JobStatus.FINISHED, order="start_time_desc")
    known: set[str] = set()
    for number in range(1, min(pages, LAST_PAGE) + 1):
        try:
            page = await client.jobs(query, number)
        except BEYOND:
            if number == 1:
                raise
            return
        fresh = {job.job_id: job for job in page.jobs if job.job_id not in known}
        yield tuple(
            job for job in fresh.values() if job.status is query.status and filters.admit(job)
        )
        known |= fresh.keys()
        if not fresh or rows(page) < page_size:
            return


def rows(page: JobsPage) -> int:
    """Count the rows as they came: the page's own claim of a total may be anything."""
    return len(page.jobs) + page.dropped


def _one_of(word: str, allowed: tuple[str, ...]) -> bool:
    return not allowed or word.casefold() in {each.casefold() for each in allowed}
