"""The simulated cloud: projects with their jobs, faults in force, and a log of requests."""

import asyncio
import time
from collections import Counter, deque
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from hashlib import sha256
from itertools import chain
from typing import Final, Protocol
from uuid import UUID

from .answers import UNKNOWN_JOB, Answer, Refusal, Refused, dump, list_row, status_body
from .faults import Endpoint, FaultRules
from .gateway import Gateway, Project, SignedRequest, Throttle
from .listing import list_body, parse_query
from .spark import SparkFront
from .statements import Particulars
from .timeline import TERMINAL, Timeline, shipped_timelines
from .workload import Job, JobState, Scene, Workload

_LOGGED: Final = 10_000


class _Shown(Protocol):
    """A job, recorded or live."""

    @property
    def id(self) -> str: ...
    def state(self, now: float, /) -> JobState: ...
    def progress(self, now: float, /) -> Mapping[str, object]: ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Request:
    """One request that was answered; ``status`` 0 is a connection cut before the answer."""

    at: float
    method: str
    target: str
    endpoint: Endpoint
    project: str
    job_id: str
    status: int
    fault: bool


class Simulator:
    """A DLI of its own, without a network: `server.serve` puts it on a port.

    Everything that tests and demos may change at run time is here: jobs come by `add` and
    go by `end` and `forget`, `faults` and `gateway` have their own methods, `restart` begins
    the scene anew, and `requests`, `counts` and `until` tell what was asked.
    """

    def __init__(
        self,
        *,
        projects: Sequence[Project] | None = None,
        timelines: Sequence[Timeline] | None = None,
        scene: Scene | None = None,
        throttle: Throttle | None = None,
        unknown_job: Refusal = UNKNOWN_JOB,
        now: Callable[[], float] = time.time,
    ) -> None:
        """Play ``scene`` in each of ``projects``, with the shipped recordings unless given."""
        self.now = now
        self.scene = scene or Scene()
        shown = shipped_timelines() if timelines is None else timelines
        self.timelines = {timeline.name: timeline for timeline in shown}
        self.gateway = Gateway(projects or [demo_project(self.scene.seed)], throttle)
        self.faults = FaultRules(self.scene.seed)
        self.unknown_job = unknown_job
        self.spark: SparkFront | None = None
        self.requests: deque[Request] = deque(maxlen=_LOGGED)
        self.counts: Counter[tuple[Endpoint, int]] = Counter()
        self._workloads: dict[str, Workload] = {}
        self._added = 0
        self._answered = asyncio.Event()
        self.restart()

    @property
    def projects(self) -> tuple[Project, ...]:
        """The projects, as they are now."""
        return tuple(self.gateway.projects.values())

    def restart(self) -> None:
        """Begin the scene anew at this moment; locks and throttling are forgotten, too."""
        now = self.now()
        self.gateway.unlock()
        self._workloads = {
            project.id: Workload(
                self.scene, tuple(self.timelines.values()), opened=now, salt=project.id
            )
            for project in self.projects
        }

    def job_ids(self, project: str | None = None) -> tuple[str, ...]:
        """List the ids that a project (the first unless given) knows now."""
        return tuple(job.id for job in self.jobs(self._project(project)))

    def jobs(self, project: str) -> Iterator[_Shown]:
        """Go through the jobs of a project; those of a live Spark belong to the first one."""
        now = self.now()
        live = self.spark.jobs.values() if self.spark and project == self._project(None) else ()
        return chain(self._workload(project).jobs(now), live)

    def add(
        self,
        timeline: Timeline | str,
        *,
        project: str | None = None,
        job_id: str | None = None,
        start: float | None = None,
        speed: float | None = None,
        particulars: Particulars | None = None,
    ) -> str:
        """Let a job run once from now (or ``start``, Unix seconds) on, and give its id.

        KeyError names a project or a recording that is not there.
        """
        self._added += 1
        job = Job(
            id=job_id or _uuid(self.scene.seed, "added", self._added),
            timeline=self.timelines[timeline] if isinstance(timeline, str) else timeline,
            particulars=particulars or Particulars(statement="select 1"),
            start=self.now() if start is None else start,
            speed=self.scene.speed if speed is None else speed,
        )
        self._workload(self._project(project)).add(job)
        return job.id

    def end(self, job_id: str, status: str, *, project: str | None = None) -> None:
        """End a job now with a terminal status; KeyError for an unknown job."""
        if status not in TERMINAL:
            raise ValueError(f"status is {status!r}, must be one of {', '.join(sorted(TERMINAL))}")
        if self.spark and job_id in self.spark.jobs:
            self.spark.end(job_id, status, self.now())
        else:
            self._workload(self._project(project)).end(job_id, status, self.now())

    def forget(self, job_id: str, *, project: str | None = None) -> None:
        """Make a job unknown, as if its record had expired; KeyError if it is already."""
        self._workload(self._project(project)).forget(job_id, self.now())

    def state(self, job_id: str, *, project: str | None = None) -> JobState | None:
        """Tell how a job stands now; None for an unknown one."""
        found = self._find(self._project(project), job_id)
        return found.state(self.now()) if found else None

    def requested(self, endpoint: Endpoint | None = None, status: int | None = None) -> int:
        """Count the requests answered so far, of one endpoint or status where given."""
        return sum(
            count
            for (each, code), count in self.counts.items()
            if endpoint in (None, each) and status in (None, code)
        )

    async def until(self, condition: Callable[["Simulator"], bool]) -> None:
        """Wait until ``condition`` holds; it is looked at after every answer."""
        while not condition(self):
            await self._answered.wait()

    def record(self, request: Request) -> None:
        """Log a request as answered."""
        self.requests.append(request)
        self.counts[request.endpoint, request.status] += 1
        self._answered.set()
        self._answered = asyncio.Event()

    async def answer(
        self, endpoint: Endpoint, request: SignedRequest, project: str, job_id: str
    ) -> Answer:
        """Give the true answer to a request on a known path; Refused otherwise."""
        now = self.now()
        self.gateway.admit(request, project, now)
        if self.spark:
            await self.spark.refresh(now)
        if endpoint is Endpoint.LIST:
            query = parse_query(request.query)
            states = (job.state(now) for job in self.jobs(project))
            return Answer(200, dump(list_body(query, states, now)))
        job = self._find(project, job_id)
        if job is None:
            raise Refused(self.unknown_job)
        if endpoint is Endpoint.STATUS:
            return Answer(200, dump(status_body(job.state(now), now)))
        return Answer(200, dump(job.progress(now)))

    def snapshot(self) -> dict[str, object]:
        """Describe everything but secrets, as JSON can hold it."""
        now = self.now()
        return {
            "now": now,
            "timelines": sorted(self.timelines),
            "projects": {
                project.id: {
                    "name": project.name,
                    "jobs": [list_row(job.state(now), now) for job in self.jobs(project.id)],
                }
                for project in self.projects
            },
            "faults": self.faults.as_json(),
            "requests": [
                {"endpoint": endpoint, "status": status, "count": count}
                for (endpoint, status), count in sorted(self.counts.items())
            ],
        }

    def _project(self, project: str | None) -> str:
        return next(iter(self.gateway.projects)) if project is None else project

    def _workload(self, project: str) -> Workload:
        return self._workloads[project]

    def _find(self, project: str, job_id: str) -> _Shown | None:
        if self.spark and project == self._project(None) and job_id in self.spark.jobs:
            return self.spark.jobs[job_id]
        return self._workload(project).job(job_id, self.now())


def demo_project(seed: int = 0, name: str = "default") -> Project:
    """Make up a project, its keys and its token, the same ones for the same seed."""
    return Project(
        name=name,
        id=_hex(seed, name, "project")[:32],
        ak="SIM" + _hex(seed, name, "ak")[:17].upper(),
        sk=_hex(seed, name, "sk")[:40],
        token=_hex(seed, name, "token"),
    )


def _hex(*parts: object) -> str:
    return sha256("/".join(map(str, parts)).encode()).hexdigest()


def _uuid(*parts: object) -> str:
    return str(UUID(_hex(*parts)[:32], version=4))
