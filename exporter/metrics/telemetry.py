"""What the exporter tells about itself: kept and printed by prometheus_client."""

from collections.abc import Callable, Iterable, Iterator
from math import ceil
from typing import Final

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
from prometheus_client.core import GaugeMetricFamily
from prometheus_client.openmetrics.exposition import generate_latest as generate_openmetrics
from prometheus_client.registry import Collector

from ..jobs.model import Job
from .catalogue import (
    API_RATE_LIMIT,
    API_REQUEST_DURATION,
    API_REQUEST_ERRORS,
    API_REQUESTS,
    BUILD_INFO,
    CLOCK_SKEW,
    CREDENTIALS_EXPIRY,
    CREDENTIALS_REFRESH_ERRORS,
    JOB_AGE,
    JOBS_TRACKED,
    LAST_SUCCESS,
    OUT_OF_RANGE,
    PARSE_ERRORS,
    SCRAPE_BYTES,
    SERIES,
    UP,
    Family,
)

# A call takes tens of milliseconds in a region and ends at the latest with its time-out.
_SECONDS: Final = (0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10)
_QUANTILES: Final = (0.5, 0.99, 1.0)


class Telemetry:
    """The exporter's own metrics, in a registry of their own.

    ``jobs`` and ``series`` are asked at each scrape, and ``now`` (Unix seconds) for the age
    of the jobs' data: the one age there is, since it is what the exporter promises.
    """

    def __init__(
        self,
        *,
        jobs: Callable[[], Iterable[Job]],
        series: Callable[[], int],
        now: Callable[[], float],
    ) -> None:
        disable_created_metrics()  # type: ignore[no-untyped-call]  # not annotated there
        self._registry = registry = CollectorRegistry()
        self._up = _gauge(UP, registry)
        self._build = _gauge(BUILD_INFO, registry)
        self._requests = _counter(API_REQUESTS, registry)
        self._errors = _counter(API_REQUEST_ERRORS, registry)
        self._seconds = Histogram(
            API_REQUEST_DURATION.name,
            API_REQUEST_DURATION.help,
            API_REQUEST_DURATION.labels,
            registry=registry,
            buckets=_SECONDS,
        )
        self._limit = _gauge(API_RATE_LIMIT, registry)
        self._success = _gauge(LAST_SUCCESS, registry)
        self._jobs = _Jobs(jobs, now)
        registry.register(self._jobs)
        self._unreadable = _counter(PARSE_ERRORS, registry)
        self._out_of_range = _counter(OUT_OF_RANGE, registry)
        _gauge(SERIES, registry).set_function(series)
        self._scrape_bytes = _gauge(SCRAPE_BYTES, registry)
        self._expiry = _gauge(CREDENTIALS_EXPIRY, registry)
        self._refresh_errors = _counter(CREDENTIALS_REFRESH_ERRORS, registry)
        self._skew = _gauge(CLOCK_SKEW, registry)
        PlatformCollector(registry=registry)
        ProcessCollector(registry=registry)

    def build(self, *, version: str, revision: str, python_version: str) -> None:
        """Tell which program runs."""
        self._build.labels(version, revision, python_version).set(1)

    def expect(self, project: str, *, endpoints: Iterable[str], reasons: Iterable[str]) -> None:
        """Show every counter of a project from the start, so that rates miss no first event."""
        reasons = tuple(reasons)
        self._jobs.projects.append(project)
        self._refresh_errors.labels(project)
        for endpoint in endpoints:
            self._requests.labels(project, endpoint)
            self._seconds.labels(project, endpoint)
            for reason in reasons:
                self._errors.labels(project, endpoint, reason)

    def called(self, project: str, endpoint: str, seconds: float, reason: str | None) -> None:
        """Count a request to the API that took ``seconds``; ``reason`` if it failed."""
        self._requests.labels(project, endpoint).inc()
        self._seconds.labels(project, endpoint).observe(seconds)
        if reason is not None:
            self._errors.labels(project, endpoint, reason).inc()

    def up(self, project: str, up: bool) -> None:
        """Tell whether the API answers and authorises a project's calls."""
        self._up.labels(project).set(up)

    def succeeded(self, project: str, now: float) -> None:
        """Tell when (Unix seconds) the API last gave a good answer."""
        self._success.labels(project).set(now)

    def limited(self, project: str, requests_per_second: float) -> None:
        """Tell the present limit of a project's calls."""
        self._limit.labels(project).set(requests_per_second)

    def skewed(self, project: str, seconds: float) -> None:
        """Tell by how many seconds the exporter's clock is ahead of the API's."""
        self._skew.labels(project).set(seconds)

    def expires(self, project: str, when: float | None) -> None:
        """Tell when (Unix seconds) the credential in use ends; None for permanent keys."""
        if when is None:
            self._expiry.remove_by_labels({"project": project})
        else:
            self._expiry.labels(project).set(when)

    def refresh_failed(self, project: str) -> None:
        """Count a failed attempt to obtain a credential."""
        self._refresh_errors.labels(project).inc()

    def misread(self, *, unreadable: Iterable[str], out_of_range: Iterable[str]) -> None:
        """Count the fields of an answer that could not be read or cannot be."""
        for field in unreadable:
            self._unreadable.labels(field).inc()
        for field in out_of_range:
            self._out_of_range.labels(field).inc()

    def scraped(self, encoding: str, size: int) -> None:
        """Tell the size in bytes of an answer to a scrape."""
        self._scrape_bytes.labels(encoding).set(size)

    def text(self) -> bytes:
        """Return the metrics in text format 0.0.4."""
        return generate_latest(self._registry)

    def openmetrics(self) -> bytes:
        """Return the metrics as the end of an OpenMetrics 1.0 exposition."""
        text: bytes = generate_openmetrics(self._registry)  # type: ignore[no-untyped-call]  # not annotated there
        return text


class _Jobs(Collector):
    """How many jobs are tracked and how old their data are, at the time of a scrape."""

    def __init__(self, jobs: Callable[[], Iterable[Job]], now: Callable[[], float]) -> None:
        self._jobs = jobs
        self._now = now
        self.projects: list[str] = []

    def collect(self) -> Iterator[GaugeMetricFamily]:
        now = self._now()
        running: dict[str, list[Job]] = {project: [] for project in self.projects}
        ended = dict.fromkeys(self.projects, 0)
        for job in self._jobs():
            if job.ended is None:
                running[job.key.project].append(job)
            else:
                ended[job.key.project] += 1
        counts = [((project, "running"), float(len(jobs))) for project, jobs in running.items()]
        counts += [((project, "ended"), float(number)) for project, number in ended.items()]
        yield _family(JOBS_TRACKED, counts)
        yield _family(JOB_AGE, (row for p, jobs in running.items() for row in _ages(p, jobs, now)))


def _ages(project: str, jobs: list[Job], now: float) -> Iterator[tuple[tuple[str, ...], float]]:
    ages = sorted(max(now - job.last_update, 0.0) for job in jobs if job.last_update is not None)
    for quantile in _QUANTILES if ages else ():
        yield (project, f"{quantile:g}"), ages[ceil(quantile * len(ages)) - 1]


def _family(family: Family, rows: Iterable[tuple[tuple[str, ...], float]]) -> GaugeMetricFamily:
    gauge = GaugeMetricFamily(family.name, family.help, labels=family.labels)
    for labels, value in rows:
        gauge.add_metric(labels, value)
    return gauge


def _gauge(family: Family, registry: CollectorRegistry) -> Gauge:
    return Gauge(family.name, family.help, family.labels, registry=registry)


def _counter(family: Family, registry: CollectorRegistry) -> Counter:
    return Counter(family.name, family.help, family.labels, registry=registry)
