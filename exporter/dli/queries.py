"""What may be asked of the list API, in DLI's own spelling."""

from collections.abc import Mapping
from types import MappingProxyType
from typing import Final, NamedTuple

from ..jobs.model import JobStatus

LARGEST_PAGE: Final = 100
"""Jobs on a page at most, and pages at most (dli_02_0025): 10,000 jobs for one filter."""


class JobsQuery(NamedTuple):
    """A filter for the list API; what is None or empty is not sent.

    ``start`` and ``end`` are Unix seconds and speak of the jobs' start. ``status`` takes one
    value, since no form for several is documented. The engine cannot be asked for: editions
    differ in how it is spelt.
    """

    status: JobStatus | None = None
    start: float | None = None
    end: float | None = None
    order: str | None = None
    page_size: int = LARGEST_PAGE
    job_id: str | None = None
    queue_name: str | None = None
    owner: str | None = None
    db_name: str | None = None
    tags: Mapping[str, str] = MappingProxyType({})
    job_types: tuple[str, ...] = ()

    def pairs(self, page: int) -> list[tuple[str, str]]:
        """Give the query string's pairs for a page, counted from 1."""
        single = {
            "page-size": str(self.page_size),
            "current-page": str(page),
            "job-status": self.status,
            "start": _milliseconds(self.start),
            "end": _milliseconds(self.end),
            "order": self.order,
            "job-id": self.job_id,
            # Underscores from here on: DLI mixes both.
            "queue_name": self.queue_name,
            "owner": self.owner,
            "db_name": self.db_name,
            "tags": ",".join(f"{key}={value}" for key, value in self.tags.items()),
        }
        pairs = [(name, str(value)) for name, value in single.items() if value]
        return pairs + [("job_types", job_type) for job_type in self.job_types]


def _milliseconds(seconds: float | None) -> str | None:
    return None if seconds is None else str(round(seconds * 1000))
