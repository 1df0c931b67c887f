"""A night of an imaginary company, as a Prometheus would have stored it, made on virtual time.

The exporter's own parts (parsing, folding, history, text) are given what the simulator says at
each scrape of some hours; only the network and the waiting between are left out.
"""

import json
import random
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Final

from exporter.dli.client import ENDPOINTS, JOBS, PROGRESS
from exporter.dli.errors import REASONS
from exporter.dli.schema import parse_jobs, parse_progress
from exporter.jobs.model import JobKey, ListedJob, Registration
from exporter.jobs.retention import Retention
from exporter.metrics.catalogue import job_families
from exporter.metrics.exposition import Exposition
from exporter.metrics.rendering import SubJobs
from exporter.metrics.telemetry import Telemetry
from exporter.simulator import Scene, shipped_timelines
from exporter.simulator.answers import list_row
from exporter.simulator.workload import Repeat, Workload
from exporter.tracker import Limits, Source, Tags, Tracker

MORNING: Final = datetime(2026, 11, 23, 5, tzinfo=UTC).timestamp()
"""The moment at which the pictures look back, in Unix seconds."""
STEP: Final = 30.0
"""Seconds between two scrapes."""
_EARLIER: Final = 1.5
"""Seconds before each scrape at which the exporter asks."""

_LATENCY: Final = (0.05, 0.4)
_SLOWLY: Final = 1 / 40
"""The recordings take a minute: so played, they take most of an hour."""
_MARGIN: Final = 1.2
"""A deadline is so many times the time that a job may take."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Night:
    """What happens: ``jobs`` recurring ones in each project, seen by exporters.

    ``begin`` and ``end`` are Unix seconds; after ``down`` nobody answers a scrape. The shares
    of calls that fail for a reason are ``faults``.
    """

    projects: Sequence[str] = ("prod",)
    jobs: int = 12
    begin: float = MORNING - 4 * 3600
    end: float = MORNING
    down: float = MORNING + STEP
    faults: dict[str, float] = field(default_factory=dict)
    speed: float = _SLOWLY
    seed: int = 7


BUSY: Final = Night(
    projects=("prod", "analytics"), faults={"throttled": 0.01, "timeout": 0.004, "backend": 0.002}
)
ONE: Final = Night(jobs=1, speed=1 / 150)
IDLE: Final = Night(jobs=0)
DOWN: Final = Night(down=MORNING - 12 * 60)


class _Clock:
    """The time, as whoever moves it says."""

    def __init__(self, now: float) -> None:
        self.now = now

    def __call__(self) -> float:
        return self.now


class _Nobody:
    """Who need not be told which jobs to ask for: all are."""

    def begin(self, key: JobKey) -> None:
        """Do nothing."""

    def cease(self, key: JobKey) -> None:
        """Do nothing."""


class _Watched:
    """The exporter's parts on a clock."""

    def __init__(self, night: Night, clock: Callable[[], float]) -> None:
        self._night = night
        self._clock = clock
        self._chance = random.Random(night.seed)  # noqa: S311 - scenery, and must be repeatable
        self._exposition = Exposition(
            job_families(()), subjobs=SubJobs.ALL, subjobs_per_job=200, ripe=lambda: None
        )
        self._telemetry = Telemetry(
            jobs=lambda: self._tracker,
            revision=lambda: self._exposition.revision,
            delivered=lambda job: self._tracker.delivered(job),
            series=lambda: self._exposition.series,
            now=clock,
        )
        self._telemetry.build(version="1.0.0", revision="unknown", python_version="3.13.5")
        self._telemetry.reloaded(True, clock())
        self._tracker = Tracker(
            exposition=self._exposition,
            telemetry=self._telemetry,
            retention=Retention(900.0, 86_400.0),
            limits=Limits(2_000, 200_000),
            tags=Tags("jobName", None),
            delivered=lambda since: since < clock(),
            now=clock,
            monotonic=clock,
        )
        for project in night.projects:
            self._tracker.attach(project, _Nobody())
            self._telemetry.expect(project, endpoints=ENDPOINTS, reasons=REASONS)
            self._telemetry.limited(project, 5.0)

    def look(self, project: str, workload: Workload) -> None:
        """List the jobs of a project, and ask for each that runs."""
        now = self._clock()
        jobs = {job.id: job for job in workload.jobs(now)}
        rows = [list_row(job.state(now), now) for job in jobs.values()]
        if self._called(project, JOBS):
            body = {"is_success": True, "job_count": len(rows), "jobs": rows}
            for row in parse_jobs(json.dumps(body).encode()).jobs:
                self._found(project, row)
        for job in list(self._tracker):
            if job.key.project == project and job.ended is None and self._called(project, PROGRESS):
                body = jobs[job.key.job_id].progress(now)
                answer = parse_progress(json.dumps(body).encode())
                self._tracker.observe(job.key, answer.observation)

    def scrape(self) -> str:
        """Let go of what is over, and show the rest."""
        self._tracker.retire()
        body = self._exposition.snapshot(self._telemetry.openmetrics())
        self._telemetry.scraped("gzip", body.size // 12)
        return b"".join(body.plain()).decode()

    def _found(self, project: str, row: ListedJob) -> None:
        key = JobKey(project, row.job_id)
        if key in self._tracker:
            self._tracker.describe(key, row)
            return
        start = row.details.start or self._clock()
        if row.status.terminal and start < self._night.begin:
            self._tracker.forecast.learn(project, row)
            return
        due = start + _MARGIN * 60 / self._night.speed * self._chance.uniform(0.4, 2.0)
        deadline = due if self._chance.random() < 1 / 2 else None
        registration = Registration(job_id=row.job_id, project=project, deadline=deadline)
        self._tracker.register(registration, Source.DISCOVERY, row)

    def _called(self, project: str, endpoint: str) -> bool:
        """Make a call, and tell whether it succeeded."""
        draw, reason = self._chance.random(), None
        for each, share in self._night.faults.items():
            draw -= share
            if draw < 0:
                reason = each
                break
        seconds = self._chance.uniform(*_LATENCY)
        self._telemetry.called(project, endpoint, seconds, reason)
        self._telemetry.limited(project, 5.0 if reason is None else 4.25)
        self._telemetry.skewed(project, self._chance.uniform(-0.2, 0.2))
        if reason is None:
            self._telemetry.succeeded(project, self._clock())
        self._telemetry.up(project, True)
        return reason is None


def scrapes(night: Night) -> Iterator[tuple[float, str]]:
    """Yield the text of each scrape that was answered, with its time."""
    scene = Scene(
        speed=night.speed,
        jobs=night.jobs,
        repeat=Repeat.NEW_IDS,
        seed=night.seed,
        spread=0.15,
        rest=20.0,
        retention=7_200.0,
        history=6 * 3600.0,
    )
    clock = _Clock(night.begin)
    timelines = shipped_timelines()
    workloads = {
        project: Workload(scene, timelines, opened=night.begin, salt=project)
        for project in night.projects
    }
    watched = _Watched(night, clock)
    while clock.now <= min(night.end, night.down):
        clock.now -= _EARLIER
        for project, workload in workloads.items():
            watched.look(project, workload)
        clock.now += _EARLIER
        yield clock.now, watched.scrape()
        clock.now += STEP


def openmetrics(
    night: Night, *, job: str = "dli", instances: Sequence[str] = ("dli-exporter:10296",)
) -> Iterator[str]:
    """Yield the night as lines that promtool makes blocks from, as several exporters saw it."""
    targets = [f'job="{job}",instance="{instance}"' for instance in instances]
    for time, text in scrapes(night):
        samples = [line for line in text.splitlines() if not line.startswith("#")]
        for target in targets:
            yield from (_sample(line, target, time) for line in samples)
            yield f"up{{{target}}} 1 {time}\n"
            yield f"scrape_duration_seconds{{{target}}} {len(text) / 1e8:.4f} {time}\n"
    time = max(night.begin, night.down + STEP)
    while time <= night.end:
        yield from (f"up{{{target}}} 0 {time}\n" for target in targets)
        time += STEP
    yield "# EOF\n"


def _sample(line: str, target: str, time: float) -> str:
    """Return a sample with the labels of its target and a time."""
    series, _, value = line.rpartition(" ")
    name, brace, labels = series.partition("{")
    inner = f"{target},{labels}" if brace and labels != "}" else f"{target}}}"
    return f"{name}{{{inner} {value} {time}\n"
