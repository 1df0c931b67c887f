"""What the exporter tells about itself: kept and printed by prometheus_client."""

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from enum import StrEnum
from itertools import count
from math import ceil
from typing import Final, Generic, Protocol, TypeAlias, TypeVar

from prometheus_client import (
    CollectorRegistry,
    Counter,
    Gauge,
    Histogram,
    PlatformCollector,
    ProcessCollector,
    disable_created_metrics,
    generate_latest,
)
from prometheus_client.metrics import MetricWrapperBase
from prometheus_client.metrics_core import Metric
from prometheus_client.openmetrics.exposition import generate_latest as generate_openmetrics
from prometheus_client.registry import Collector

from ..jobs.model import Job, JobStatus
from ..jobs.retention import State, state
from .catalogue import (
    API_RATE_LIMIT,
    API_REQUEST_DURATION,
    API_REQUEST_ERRORS,
    API_REQUESTS,
    BUILD_INFO,
    CLOCK_SKEW,
    CONFIG_RELOAD_SUCCESS,
    CONFIG_RELOAD_SUCCESSFUL,
    CREDENTIALS_EXPIRY,
    CREDENTIALS_REFRESH_ERRORS,
    DISCOVERY_TRUNCATED,
    JOB_AGE,
    JOB_DURATION,
    JOBS_DROPPED,
    JOBS_ENDED,
    JOBS_RETIRED,
    JOBS_RETIRED_UNSCRAPED,
    JOBS_TRACKED,
    LAST_SUCCESS,
    OUT_OF_RANGE,
    PARSE_ERRORS,
    REGISTRATIONS_REJECTED,
    SCRAPE_BYTES,
    SERIES,
    SHARD_ORDINAL,
    TOTAL_SHARDS,
    UP,
    Family,
)

# A call takes tens of milliseconds in a region and ends at the latest with its time-out.
_SECONDS: Final = (0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10)
# A job takes from a second to a day.
_JOB_SECONDS: Final = (
    *(1, 5, 15, 30, 60, 120, 300, 600, 1200, 1800),
    *(3600, 7200, 14400, 28800, 43200, 86400),
)
_QUANTILES: Final = (0.5, 0.99, 1.0)


_ENDS: Final = tuple(status for status in JobStatus if status.terminal)


class DropReason(StrEnum):
    """Why a job is not exposed although somebody asked for it, or no longer."""

    JOB_LIMIT = "job_limit"
    SERIES_LIMIT = "series_limit"
    NOT_FOUND = "not_found"
    EXPIRED = "expired"


class Telemetry:
    """The exporter's own metrics, each in a registry of its own.

    ``jobs``, whether every scraper has seen one as it is (``delivered``) and ``series`` are
    asked at each scrape, and ``now`` (Unix seconds) for the age of the jobs' data: the one age
    that is exported, since it is what the exporter promises. While ``revision`` is the same,
    no job has changed.

    Each family's text is kept until it changes: of one project all of them take 2 ms, which
    is twice as long as all the rest of a scrape of 100,000 series.
    """

    def __init__(
        self,
        *,
        jobs: Callable[[], Iterable[Job]],
        revision: Callable[[], int] | None = None,
        delivered: Callable[[Job], bool] = lambda _: False,
        series: Callable[[], int],
        now: Callable[[], float],
    ) -> None:
        disable_created_metrics()  # type: ignore[no-untyped-call]  # not annotated there
        self._series = series
        self._ended = _counter(JOBS_ENDED)
        self._durations = _histogram(JOB_DURATION, _JOB_SECONDS)
        self._up = _gauge(UP)
        self._build = _gauge(BUILD_INFO)
        self._requests = _counter(API_REQUESTS)
        self._errors = _counter(API_REQUEST_ERRORS)
        self._seconds = _histogram(API_REQUEST_DURATION, _SECONDS)
        self._limit = _gauge(API_RATE_LIMIT)
        self._success = _gauge(LAST_SUCCESS)
        self._jobs = _Jobs(jobs, revision or count().__next__, delivered, now)
        self._retired = _counter(JOBS_RETIRED)
        self._retired_unscraped = _counter(JOBS_RETIRED_UNSCRAPED)
        self._dropped = _counter(JOBS_DROPPED)
        self._truncated = _gauge(DISCOVERY_TRUNCATED)
        self._rejected = _counter(REGISTRATIONS_REJECTED)
        self._reload_successful = _gauge(CONFIG_RELOAD_SUCCESSFUL)
        self._reload_success = _gauge(CONFIG_RELOAD_SUCCESS)
        self._unreadable = _counter(PARSE_ERRORS)
        self._out_of_range = _counter(OUT_OF_RANGE)
        self._exposed = _gauge(SERIES)
        self._scrape_bytes = _gauge(SCRAPE_BYTES)
        self._expiry = _gauge(CREDENTIALS_EXPIRY)
        self._refresh_errors = _counter(CREDENTIALS_REFRESH_ERRORS)
        self._skew = _gauge(CLOCK_SKEW)
        self._shard_ordinal = _gauge(SHARD_ORDINAL)
        self._total_shards = _gauge(TOTAL_SHARDS)
        self._printed: tuple[_Printed, ...] = (
            *(self._ended, self._durations, self._up, self._build, self._requests, self._errors),
            *(self._seconds, self._limit, self._success, _Current(self._jobs), self._retired),
            *(self._retired_unscraped, self._dropped, self._truncated, self._rejected),
            *(self._reload_successful, self._reload_success, self._unreadable),
            *(self._out_of_range, self._exposed, self._scrape_bytes, self._expiry),
            *(self._refresh_errors, self._skew, self._shard_ordinal, self._total_shards),
            _Constant(PlatformCollector(registry=None)),
            _Current(ProcessCollector(registry=None)),
        )

    def build(self, *, version: str, revision: str, python_version: str) -> None:
        """Tell which program runs."""
        self._build.tell(1, version, revision, python_version)

    def sharded(self, ordinal: int, total: int) -> None:
        """Tell which replica this is (from 0) of how many that share the projects."""
        self._shard_ordinal.tell(ordinal)
        self._total_shards.tell(total)

    def expect(self, project: str, *, endpoints: Iterable[str], reasons: Iterable[str]) -> None:
        """Show every counter of a project from the start, so that rates miss no first event."""
        reasons = tuple(reasons)
        self._jobs.projects.add(project)
        self._refresh_errors(project)
        self._retired(project)
        self._retired_unscraped(project)
        for why in DropReason:
            self._dropped(project, why)
        for endpoint in endpoints:
            self._requests(project, endpoint)
            self._seconds(project, endpoint)
            for reason in reasons:
                self._errors(project, endpoint, reason)

    def forget(self, project: str) -> None:
        """Tell nothing more of how a project is, which is gone; its counters stay."""
        self._jobs.projects.discard(project)
        state = (self._up, self._limit, self._success, self._truncated, self._expiry, self._skew)
        for gauge in state:
            gauge.forget(project)

    def called(self, project: str, endpoint: str, seconds: float, reason: str | None) -> None:
        """Count a request to the API that took ``seconds``; ``reason`` if it failed."""
        self._requests(project, endpoint).inc()
        self._seconds(project, endpoint).observe(seconds)
        if reason is not None:
            self._errors(project, endpoint, reason).inc()

    def up(self, project: str, up: bool) -> None:
        """Tell whether the API answers and authorises a project's calls."""
        self._up.tell(up, project)

    def succeeded(self, project: str, now: float) -> None:
        """Tell when (Unix seconds) the API last gave a good answer."""
        self._success.tell(now, project)

    def limited(self, project: str, requests_per_second: float) -> None:
        """Tell the present limit of a project's calls."""
        self._limit.tell(requests_per_second, project)

    def skewed(self, project: str, seconds: float) -> None:
        """Tell by how many seconds the exporter's clock is ahead of the API's."""
        self._skew.tell(seconds, project)

    def expires(self, project: str, when: float | None) -> None:
        """Tell when (Unix seconds) the credential in use ends; None for permanent keys."""
        if when is None:
            self._expiry.forget(project)
        else:
            self._expiry.tell(when, project)

    def refresh_failed(self, project: str) -> None:
        """Count a failed attempt to obtain a credential."""
        self._refresh_errors(project).inc()

    def queue(self, project: str, queue_name: str, job_type: str) -> None:
        """Show the ends of a queue's jobs from its first job on, so that rates miss none."""
        for status in _ENDS:
            self._ended(project, queue_name, job_type, status)

    def ended(
        self,
        project: str,
        *,
        queue_name: str,
        job_type: str,
        status: JobStatus,
        duration: float | None,
    ) -> None:
        """Count the end of a job; ``duration`` is seconds, None if the API does not tell it."""
        self.queue(project, queue_name, job_type)
        self._ended(project, queue_name, job_type, status).inc()
        if duration is not None:
            self._durations(project, queue_name, job_type, status).observe(duration)

    def retired(self, project: str, *, unscraped: bool) -> None:
        """Count an ended job that left, ``unscraped`` if some scraper missed its end."""
        self._retired(project).inc()
        if unscraped:
            self._retired_unscraped(project).inc()

    def dropped(self, project: str, reason: DropReason) -> None:
        """Count a job that is not exposed, or no longer."""
        self._dropped(project, reason).inc()

    def truncated(self, project: str, truncated: bool) -> None:
        """Tell whether the list of jobs is longer than can be read."""
        self._truncated.tell(truncated, project)

    def rejected(self, reason: str) -> None:
        """Count a registration that was not accepted."""
        self._rejected(reason).inc()

    def reloaded(self, successful: bool, now: float) -> None:
        """Tell whether the settings could be read at ``now`` (Unix seconds)."""
        self._reload_successful.tell(successful)
        if successful:
            self._reload_success.tell(now)

    def misread(self, *, unreadable: Iterable[str], out_of_range: Iterable[str]) -> None:
        """Count the fields of an answer that could not be read or cannot be."""
        for field in unreadable:
            self._unreadable(field).inc()
        for field in out_of_range:
            self._out_of_range(field).inc()

    def scraped(self, encoding: str, size: int) -> None:
        """Tell the size in bytes of an answer to a scrape."""
        self._scrape_bytes.tell(size, encoding)

    def text(self) -> bytes:
        """Return the metrics in text format 0.0.4."""
        return self._print(generate_latest)

    def openmetrics(self) -> bytes:
        """Return the metrics as the end of an OpenMetrics 1.0 exposition."""
        return self._print(_openmetrics) + _END

    def _print(self, printer: "_Printer") -> bytes:
        self._exposed.tell(self._series())
        return b"".join(each.print(printer) for each in self._printed)


_Printer: TypeAlias = Callable[[CollectorRegistry], bytes]
_END: Final = b"# EOF\n"


def _openmetrics(registry: CollectorRegistry) -> bytes:
    text: bytes = generate_openmetrics(registry)  # type: ignore[no-untyped-call]  # not annotated there
    return text.removesuffix(_END)


class _Printed(Protocol):
    """What has a text in each format."""

    def print(self, printer: _Printer) -> bytes:
        """Return it in the printer's format."""


class _Current:
    """A collector whose figures change without being told."""

    def __init__(self, collector: Collector) -> None:
        self._registry = CollectorRegistry()
        self._registry.register(collector)

    def print(self, printer: _Printer) -> bytes:
        return printer(self._registry)


class _Constant(_Current):
    """A collector whose text is kept."""

    def __init__(self, collector: Collector) -> None:
        super().__init__(collector)
        self._texts: dict[_Printer, bytes] = {}

    def print(self, printer: _Printer) -> bytes:
        if (text := self._texts.get(printer)) is None:
            text = self._texts[printer] = super().print(printer)
        return text


_Kind = TypeVar("_Kind", bound=MetricWrapperBase)


class _Kept(_Constant, Generic[_Kind]):
    """A metric whose text is kept; call this with values of its labels to change what they name.

    What they name is kept as well: prometheus_client takes five times as long to find it.
    """

    def __init__(self, metric: _Kind) -> None:
        super().__init__(metric)
        self._metric = metric
        self._named: dict[tuple[str, ...], _Kind] = {}

    def __call__(self, *values: str) -> _Kind:
        self._texts.clear()
        if (named := self._named.get(values)) is None:
            named = self._named[values] = self._metric.labels(*values) if values else self._metric
        return named


class _Told(_Kept[Gauge]):
    """A gauge that is told what may not have changed: as a rule it has not."""

    def __init__(self, metric: Gauge) -> None:
        super().__init__(metric)
        self._told: dict[tuple[str, ...], float] = {}

    def tell(self, value: float, *values: str) -> None:
        """Show a value with these values of the labels."""
        if self._told.get(values) != value:
            self._told[values] = value
            self(*values).set(value)

    def forget(self, *values: str) -> None:
        """Show nothing more with these values of the labels."""
        if self._told.pop(values, None) is not None:
            self._texts.clear()
            del self._named[values]
            self._metric.remove(*values)


class _Jobs(Collector):
    """How many jobs are tracked and how old their data are, at the time of a scrape."""

    def __init__(
        self,
        jobs: Callable[[], Iterable[Job]],
        revision: Callable[[], int],
        delivered: Callable[[Job], bool],
        now: Callable[[], float],
    ) -> None:
        self._jobs = jobs
        self._revision = revision
        self._delivered = delivered
        self._now = now
        self._sorted: int | None = None
        self._running: dict[str, _Running] = {}
        self._ended: list[Job] = []
        self.projects: set[str] = set()

    def collect(self) -> Iterator[Metric]:
        if self._sorted != (revision := self._revision()):
            self._sort(tuple(self._jobs()))
            self._sorted = revision
        now = self._now()
        counts = {(project, state): 0 for project in sorted(self.projects) for state in State}
        for project, running in self._running.items():
            counts[project, State.RUNNING] = running.count
        for job in self._ended:
            counts[job.key.project, state(job, delivered=self._delivered)] += 1
        yield _family(JOBS_TRACKED, counts.items())
        ages = ((p, running.updates) for p, running in self._running.items())
        yield _family(JOB_AGE, (row for p, updates in ages for row in _ages(p, updates, now)))

    def _sort(self, jobs: tuple[Job, ...]) -> None:
        """Sort all jobs, which takes longer than all the rest, when one has changed.

        No running one is kept: to let go of all their old values here would take 3 ms.
        """
        self._ended = [job for job in jobs if job.ended is not None]
        running: dict[str, list[Job]] = {}
        for job in jobs:
            if job.ended is None:
                running.setdefault(job.key.project, []).append(job)
        self._running = {project: _Running.of(each) for project, each in running.items()}


@dataclass(frozen=True, slots=True)
class _Running:
    """How many jobs of a project run, and the times of their last updates, the newest first."""

    count: int
    updates: list[float]

    @classmethod
    def of(cls, jobs: list[Job]) -> "_Running":
        updates = [job.last_update for job in jobs if job.last_update is not None]
        return cls(len(jobs), sorted(updates, reverse=True))


def _ages(
    project: str, updates: list[float], now: float
) -> Iterator[tuple[tuple[str, ...], float]]:
    for quantile in _QUANTILES if updates else ():
        age = now - updates[ceil(quantile * len(updates)) - 1]
        yield (project, f"{quantile:g}"), max(age, 0.0)


def _family(family: Family, rows: Iterable[tuple[tuple[str, ...], float]]) -> Metric:
    metric = Metric(family.name, family.help, family.type)
    for values, value in rows:
        metric.add_sample(family.name, dict(zip(family.labels, values, strict=True)), value)
    return metric


def _gauge(family: Family) -> _Told:
    return _Told(Gauge(family.name, family.help, family.labels, registry=None))


def _counter(family: Family) -> _Kept[Counter]:
    return _Kept(Counter(family.name, family.help, family.labels, registry=None))


def _histogram(family: Family, buckets: Sequence[float]) -> _Kept[Histogram]:
    return _Kept(Histogram(family.name, family.help, family.labels, registry=None, buckets=buckets))
