"""Which jobs a project has at a given moment: deterministic by seed, bounded in memory."""

import hashlib
import heapq
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from enum import StrEnum
from random import Random
from typing import Any, Final
from uuid import UUID

from .statements import Particulars, particulars
from .timeline import TERMINAL, Timeline

_FAR: Final = float("inf")


class Repeat(StrEnum):
    """What happens after a job's recording has ended."""

    ONCE = "once"
    """Nothing: every job runs once, and is forgotten when its retention is over."""
    SAME_IDS = "same-ids"
    """The same job ids go back to LAUNCHING, for ever: a list of ids stays good."""
    NEW_IDS = "new-ids"
    """The recurring job runs again as a new job: jobs come and go, as in a real project."""


def _require(condition: bool, message: str) -> None:
    if not condition:
        raise ValueError(message)


@dataclass(frozen=True, slots=True, kw_only=True)
class Scene:
    """What to play. Durations are seconds; ``rest`` counts at the recordings' own pace.

    ``jobs`` run side by side (None: one for every recording). ``stagger`` is the time
    between two starts; None spreads the jobs evenly over their recordings, so that some are
    launching, running and ended from the first moment, or starts those that run once together.
    ``rest`` is how long an ended job stays so before it runs again. ``spread`` draws each
    run's pace within 1 ± spread. An ended job that will not run again is forgotten after
    ``retention``, sooner while more than ``keep`` jobs are known. ``history`` lets the
    recurring jobs have been running for that long before the simulator started.
    """

    speed: float = 1.0
    repeat: Repeat = Repeat.SAME_IDS
    seed: int = 0
    jobs: int | None = None
    stagger: float | None = None
    rest: float = 30.0
    spread: float = 0.0
    retention: float = 900.0
    keep: int = 10_000
    history: float = 0.0

    def __post_init__(self) -> None:
        """Refuse, in one line, what cannot be played."""
        _require(self.speed > 0, f"speed is {self.speed}, must be above 0")
        _require(0 <= self.spread < 1, f"spread is {self.spread}, must be within [0, 1)")
        for name in ("rest", "retention", "history", "keep"):
            _require(getattr(self, name) >= 0, f"{name} is {getattr(self, name)}, must not be < 0")
        _require(self.jobs is None or self.jobs >= 0, f"jobs is {self.jobs}, must not be < 0")


DEMO: Final = Scene(jobs=17)
"""With the shipped recordings, every status is there at any time, under ids that stay good."""


@dataclass(frozen=True, slots=True, kw_only=True)
class JobState:
    """A job at one moment; ``completed`` tasks so far, times in Unix seconds."""

    job_id: str
    particulars: Particulars
    status: str
    start: float
    end: float | None = None
    completed: int = 0

    def elapsed(self, now: float) -> float:
        """Give the seconds since the start, up to the end; none while LAUNCHING."""
        if self.status == "LAUNCHING":
            return 0.0
        return max(0.0, (now if self.end is None else self.end) - self.start)


@dataclass(frozen=True, slots=True, kw_only=True)
class Job:
    """A timeline played under a job id from ``start`` on, ``period`` seconds a round.

    ``ending`` is an end from outside: when, and with which status.
    """

    id: str
    timeline: Timeline = field(repr=False)
    particulars: Particulars = field(repr=False)
    start: float
    speed: float = 1.0
    period: float = _FAR
    ending: tuple[float, str] | None = None

    def __post_init__(self) -> None:
        """Refuse a speed at which nothing would ever happen."""
        _require(self.speed > 0, f"speed is {self.speed}, must be above 0")

    @property
    def end(self) -> float:
        """When it ends for good; infinite when it is played again and again."""
        if self.ending:
            return self.ending[0]
        return self.start + self._length if self.period == _FAR else _FAR

    @property
    def _length(self) -> float:
        return self.timeline.duration / self.speed

    def _began(self, now: float) -> float:
        """Give the start of the round that is on at ``now``."""
        if self.period == _FAR:
            return self.start
        return self.start + max(0.0, (now - self.start) // self.period) * self.period

    def _index(self, now: float) -> int:
        """Find the recorded answer that is on at ``now``.

        Recordings have milliseconds, Unix time as a float little more than microseconds:
        rounding lets what is due at this very moment happen.
        """
        return self.timeline.index_at(round((now - self._began(now)) * self.speed, 3))

    def state(self, now: float) -> JobState:
        """Tell what the list says of the job at ``now``."""
        moment = min(now, self.ending[0]) if self.ending else now
        began = self._began(moment)
        index = self._index(moment)
        status = self.ending[1] if self.ending else self.timeline.responses[index]["status"]
        over = self.ending[0] if self.ending else began + self._length
        return JobState(
            job_id=self.id,
            particulars=self.particulars,
            status=status,
            start=began,
            end=over if status in TERMINAL else None,
            completed=self.timeline.completed[index],
        )

    def progress(self, now: float) -> dict[str, Any]:
        """Give the body of the progress API at ``now``."""
        if self.ending:
            return ended_progress(self.id, self.ending[1])
        return self.timeline.replay(self._index(now), self.id, self._began(now), self.speed)


def ended_progress(job_id: str, status: str) -> dict[str, Any]:
    """Give the progress of a job that has ended: 1, without sub-jobs (dli_02_0296)."""
    return {"is_success": True, "message": "", "job_id": job_id, "status": status, "progress": 1}


class Workload:
    """The jobs of one project. Time only goes on: an earlier ``now`` changes nothing."""

    def __init__(
        self, scene: Scene, timelines: Sequence[Timeline], *, opened: float, salt: str = ""
    ) -> None:
        """Open the scene at ``opened`` (Unix seconds); ``salt`` tells projects apart."""
        self._scene = scene
        self._salt = salt
        self._parts = cast(timelines, scene.jobs)
        self._jobs: dict[str, Job] = {}
        self._starts: list[tuple[float, int, int]] = []  # heap: when, slot, run
        self._ends: list[tuple[float, str]] = []  # heap: when, job id
        for slot, (_, phase) in enumerate(self._parts):
            self._starts.append((opened + self._offset(slot, phase), slot, 0))
        heapq.heapify(self._starts)
        self.advance(opened)

    def advance(self, now: float) -> None:
        """Start what is due, and forget what has ended long enough ago."""
        while self._starts and self._starts[0][0] <= now:
            start, slot, run = heapq.heappop(self._starts)
            self._start(start, slot, run)
        while self._ends and self._ends[0][0] <= now - self._scene.retention:
            self._forget_ended(*heapq.heappop(self._ends))
        while len(self._ends) > self._scene.keep and self._ends[0][0] <= now:
            self._forget_ended(*heapq.heappop(self._ends))

    def jobs(self, now: float) -> tuple[Job, ...]:
        """Every job known at ``now``, in the order in which they came."""
        self.advance(now)
        return tuple(job for job in self._jobs.values() if job.start <= now)

    def job(self, job_id: str, now: float) -> Job | None:
        """Find a job known at ``now``."""
        self.advance(now)
        job = self._jobs.get(job_id)
        return job if job and job.start <= now else None

    def add(self, job: Job) -> None:
        """Add a job, in the place of one with the same id; it is unknown before its start."""
        self._jobs[job.id] = job
        if job.end < _FAR:
            heapq.heappush(self._ends, (job.end, job.id))

    def end(self, job_id: str, status: str, now: float) -> None:
        """End a job now, once and for all; KeyError for an unknown id."""
        self.advance(now)
        self.add(replace(self._jobs[job_id], ending=(now, status)))

    def forget(self, job_id: str, now: float) -> None:
        """Lose a job, as if its record had expired; KeyError for an unknown id."""
        self.advance(now)
        del self._jobs[job_id]

    def _forget_ended(self, end: float, job_id: str) -> None:
        job = self._jobs.get(job_id)
        if job and job.end == end:  # not replaced or ended at another moment since
            del self._jobs[job_id]

    def _offset(self, slot: int, phase: float) -> float:
        if self._scene.stagger is not None:
            return slot * self._scene.stagger - self._scene.history
        if self._scene.repeat is Repeat.ONCE:
            return -self._scene.history
        return -phase * self._period(slot, self._pace(slot, 0)) - self._scene.history

    def _period(self, slot: int, pace: float) -> float:
        timeline, _ = self._parts[slot]
        return (timeline.duration + self._scene.rest) / pace

    def _pace(self, slot: int, run: int) -> float:
        spread = self._scene.spread
        return self._scene.speed * self._random("pace", slot, run).uniform(1 - spread, 1 + spread)

    def _start(self, start: float, slot: int, run: int) -> None:
        pace = self._pace(slot, run)
        period = self._period(slot, pace)
        self.add(
            Job(
                id=self._job_id(slot, run),
                timeline=self._parts[slot][0],
                particulars=particulars(slot, run, self._random("sql", slot, run)),
                start=start,
                speed=pace,
                period=period if self._scene.repeat is Repeat.SAME_IDS else _FAR,
            )
        )
        if self._scene.repeat is Repeat.NEW_IDS:
            heapq.heappush(self._starts, (start + period, slot, run + 1))

    def _digest(self, *parts: object) -> bytes:
        text = "/".join(map(str, (self._scene.seed, self._salt, *parts)))
        return hashlib.sha256(text.encode()).digest()

    def _random(self, *parts: object) -> Random:
        return Random(self._digest(*parts))  # noqa: S311 - scenery, and must be repeatable

    def _job_id(self, slot: int, run: int) -> str:
        return str(UUID(bytes=self._digest("job", slot, run)[:16], version=4))


def cast(timelines: Sequence[Timeline], jobs: int | None) -> tuple[tuple[Timeline, float], ...]:
    """Choose a recording and a phase (share of a round already gone) for every slot.

    The recordings take turns, each once at first. Those that end badly come three times as
    often, for there are few of them, and the shortest of the others twice. The slots of one
    recording are spread evenly over its round: with three, one is always in any phase that
    takes a third of it.
    """
    bad = [each for each in timelines if each.outcome != "FINISHED"]
    good = [each for each in timelines if each.outcome == "FINISHED"]
    shortest = sorted(good, key=lambda each: each.duration)[:1]
    order = [*timelines, *bad, *bad, *shortest]
    count = len(timelines) if jobs is None or not timelines else jobs
    chosen = [order[slot % len(order)] for slot in range(count)]
    return tuple(_spread_out(chosen, {each: i / len(order) for i, each in enumerate(timelines)}))


def _spread_out(
    chosen: Iterable[Timeline], base: dict[Timeline, float]
) -> Iterator[tuple[Timeline, float]]:
    chosen = list(chosen)
    totals, seen = Counter(chosen), Counter[Timeline]()
    for timeline in chosen:
        yield timeline, (base[timeline] + seen[timeline] / totals[timeline]) % 1
        seen[timeline] += 1
