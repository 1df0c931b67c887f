"""How true the progress shown is, and how true the expected end, over recorded runs.

``python -m tests.evaluation [--interval SECONDS] [DIRECTORY ...]`` prints two figures over the
recordings that end FINISHED (without a directory those of the simulator, and the repeated runs
in ``tests/data/runs``):

* the distance between the progress shown and the share of the run's time that had really
  passed, each answer's judged in the middle of the time until the next, weighted by that time,
  from the first RUNNING answer to the end;
* the error of the expected end as a share of the run, by the last answer at 10, 25, 50, 75 and
  90 % of it. A run more wrong than its own length counts as 1, and so does no estimate.

With ``--interval`` the exporter asks every so many seconds, instead of seeing every change.

The earlier runs of a repeated run are its repetitions. Those of any other recording are ten
changed copies of it: durations and task counts drawn at up to 20 % more or less, of the whole
and again of each stretch between two sub-jobs; one copy has half the size and one the double.
"""

import argparse
import gzip
import json
import random
from bisect import bisect_right
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from statistics import fmean
from typing import Final, TypeAlias

import exporter
from exporter.dli.schema import parse_progress
from exporter.jobs.history import Expectation, Run, expect
from exporter.jobs.model import Job, JobKey, JobStatus, Observation, SubJob, SubJobStatus
from exporter.jobs.profile import Trace, achieved, profile
from exporter.jobs.progress import known_work, parts, subjob_ratio
from exporter.jobs.store import fold

SHIPPED: Final = Path(exporter.__file__).parent / "simulator" / "recordings"
REPEATED: Final = Path(__file__).parent / "data" / "runs"
MOMENTS: Final = (0.10, 0.25, 0.50, 0.75, 0.90)
SPREAD: Final = 0.2
SEED: Final = 20261101

Recording: TypeAlias = tuple[tuple[float, Observation], ...]
"""The answers, each with the second in which it was given."""


@dataclass(frozen=True, slots=True)
class Moment:
    """The job as an answer left it, and what to expect without and with history."""

    time: float
    job: Job
    alone: Expectation
    informed: Expectation


@dataclass(frozen=True, slots=True)
class Case:
    """A finished recording by its name, with the earlier runs that it is judged with."""

    name: str
    recording: Recording
    earlier: tuple[Recording, ...]


Figure: TypeAlias = Callable[[Moment], float | None]


def read(path: Path) -> Recording:
    """Read a recording: a JSON object a line, with the second and the answer's body."""
    with gzip.open(path, "rt", encoding="utf-8") as lines:
        records = [json.loads(line) for line in lines]
    return tuple(
        (record["t"], parse_progress(json.dumps(record["response"]).encode()).observation)
        for record in records
    )


def asked(recording: Recording, interval: float) -> Recording:
    """Return what is seen of a recording when it is asked for at an interval (seconds)."""
    times = [time for time, _ in recording]
    answers = []
    time = times[0]
    while time < times[-1]:
        answers.append((time, recording[bisect_right(times, time) - 1][1]))
        time += interval
    return (*answers, recording[-1])


def finished(recording: Recording) -> bool:
    statuses = [observation.status for _, observation in recording]
    return statuses[-1] is JobStatus.FINISHED and JobStatus.RUNNING in statuses


def began(recording: Recording) -> float:
    """Return when the first RUNNING answer was given."""
    return next(time for time, seen in recording if seen.status is JobStatus.RUNNING)


def replay(recording: Recording, runs: Sequence[Run]) -> Iterator[Moment]:
    start, job = began(recording), Job(key=JobKey("evaluation", "job"))
    for now, observation in recording:
        job = fold(job, observation, now=now)
        since = start if now >= start else None
        yield Moment(
            now,
            job,
            expect(job, (), start=since, now=now),
            expect(job, runs, start=since, now=now),
        )


def remembered(recording: Recording, number: int) -> Run:
    """Return what the exporter remembers of a run that it watched."""
    start, trace = began(recording), Trace()
    for moment in replay(recording, ()):
        if moment.time >= start:
            trace = trace.seen(moment.time, achieved(moment.job))
    end = recording[-1][0]
    return Run(
        job_id=str(number),
        ended=float(number),
        duration=end - start,
        profile=profile(trace, start=start, end=end),
    )


def changed(
    recording: Recording, chance: random.Random, *, size: float = 1.0, spread: float = SPREAD
) -> Recording:
    """Return a copy of another length, with other numbers of tasks and another rhythm."""

    def drawn() -> float:
        return chance.uniform(1 - spread, 1 + spread)

    slower, larger, pace = size * drawn(), size * drawn(), drawn()
    time, copy = recording[0][0], []
    for (before, seen), (now, observation) in pairwise((recording[0], *recording)):
        if _members(seen) != _members(observation):
            pace = drawn()
        time += (now - before) * slower * pace
        subjobs = tuple(_scaled(subjob, larger) for subjob in observation.subjobs)
        copy.append((time, observation._replace(subjobs=subjobs)))
    return tuple(copy)


def _members(observation: Observation) -> set[tuple[int, SubJobStatus]]:
    return {(subjob.id, subjob.status) for subjob in observation.subjobs}


def _scaled(subjob: SubJob, factor: float) -> SubJob:
    tasks = {
        name: max(round(figure * factor), 1)
        for name, figure in subjob.counts._asdict().items()
        if figure and not name.startswith("stages")
    }
    return subjob._replace(counts=subjob.counts._replace(**tasks))


def copies(recording: Recording, seed: object) -> tuple[Recording, ...]:
    """Return ten changed copies, one of half the size and one of the double."""
    chance = random.Random(f"{SEED} {seed}")  # noqa: S311 - no secret: the same copies each time
    sizes = (*(1.0 for _ in range(8)), 0.5, 2.0)
    return tuple(changed(recording, chance, size=size) for size in sizes)


def cases(directories: Iterable[Path]) -> Iterator[Case]:
    """Yield the finished recordings; ``name_r1`` and ``name_r2`` are runs of one statement."""
    paths = sorted(path for directory in directories for path in directory.glob("*.jsonl.gz"))
    read_all = {path.name.removesuffix(".jsonl.gz"): read(path) for path in paths}
    recordings = {name: recording for name, recording in read_all.items() if finished(recording)}
    for name, recording in recordings.items():
        statement, repeated, _ = name.rpartition("_r")
        earlier = tuple(
            other
            for other_name, other in recordings.items()
            if repeated and other_name != name and other_name.startswith(f"{statement}_r")
        )
        yield Case(name, recording, earlier or copies(recording, name))


def reported(moment: Moment) -> float | None:
    return None if moment.job.progress is None else min(moment.job.progress, 1.0)


def spark_ui(moment: Moment) -> float | None:
    """Return the fullest bar that Spark's own page shows of the running sub-jobs."""
    running = [
        subjob_ratio(sighting.subjob)
        for sighting in moment.job.listed
        if sighting.subjob.status is SubJobStatus.RUNNING
    ]
    return max((ratio for ratio in running if ratio is not None), default=None)


def known(moment: Moment) -> float | None:
    subjobs = [sighting.subjob for sighting in moment.job.listed]
    work = known_work(parts(subjobs), moment.job.gone)
    return work[0] / work[1] if work and work[1] else None


SHOWN: Final[dict[str, Figure]] = {
    "reported": reported,
    "spark ui": spark_ui,
    "known work": known,
    "ours alone": lambda moment: moment.job.ratio,
    "ours + history": lambda moment: moment.informed.ratio,
}


def by_reported_progress(moment: Moment, start: float) -> float | None:
    progress = reported(moment)
    return start + (moment.time - start) / progress if progress else None


def by_running_subjob(moment: Moment, start: float) -> float | None:
    """Return when the running sub-jobs end at their own rate."""
    ends = [s.expected_end for s in moment.job.listed if s.expected_end is not None]
    return max(ends, default=None)


ENDS: Final[dict[str, Callable[[Moment, float], float | None]]] = {
    "elapsed ÷ reported": by_reported_progress,
    "running sub-job": by_running_subjob,
    "ours alone": lambda moment, _: moment.alone.end,
    "ours + history": lambda moment, _: moment.informed.end,
}


def distance(moments: Sequence[Moment], figure: Figure, *, start: float, end: float) -> float:
    """Return the mean distance between what is shown and the share of time passed.

    Nothing shown counts as 0.
    """
    total = 0.0
    for moment, following in pairwise(moments):
        since = max(moment.time, start)
        passed = ((since + following.time) / 2 - start) / (end - start)
        weight = max(following.time - since, 0.0) / (end - start)
        total += abs((figure(moment) or 0.0) - passed) * weight
    return total


def error(
    moments: Sequence[Moment],
    way: Callable[[Moment, float], float | None],
    share: float,
    *,
    start: float,
    end: float,
) -> float:
    """Return how far off the end is expected when this share of the run has passed."""
    at = start + share * (end - start)
    moment = [moment for moment in moments if moment.time <= at][-1]
    expected = way(moment, start)
    return 1.0 if expected is None else min(abs(expected - end) / (end - start), 1.0)


@dataclass(frozen=True, slots=True)
class Result:
    """What came out for one case: by figure the distance, by way the errors at MOMENTS."""

    name: str
    distances: dict[str, float]
    errors: dict[str, tuple[float, ...]]


def judged(case: Case, interval: float | None = None) -> Result:
    """Replay a case and measure what is shown."""
    start, end = began(case.recording), case.recording[-1][0]
    seen = [asked(r, interval) if interval else r for r in (*case.earlier, case.recording)]
    runs = [remembered(recording, number) for number, recording in enumerate(seen[:-1])]
    moments = list(replay(seen[-1], runs))
    span = {"start": start, "end": end}
    return Result(
        case.name,
        {name: distance(moments, figure, **span) for name, figure in SHOWN.items()},
        {
            name: tuple(error(moments, way, share, **span) for share in MOMENTS)
            for name, way in ENDS.items()
        },
    )


def mean_distance(results: Sequence[Result], figure: str) -> float:
    return fmean(result.distances[figure] for result in results)


def mean_errors(results: Sequence[Result], way: str) -> tuple[float, ...]:
    columns = zip(*(result.errors[way] for result in results), strict=True)
    return tuple(map(fmean, columns))


def report(results: Sequence[Result]) -> Iterator[str]:
    """Yield the lines of the two tables."""
    yield "Mean distance between the progress shown and the share of time passed"
    yield "  ".join((f"{'':20}", *(f"{name:>14}" for name in SHOWN)))
    for result in results:
        figures = (f"{result.distances[name]:14.3f}" for name in SHOWN)
        yield "  ".join((f"{result.name:20}", *figures))
    means = (f"{mean_distance(results, name):14.3f}" for name in SHOWN)
    yield "  ".join((f"{'mean':20}", *means))
    yield ""
    yield "Mean error of the expected end, as a share of the run"
    yield "  ".join((f"{'':20}", *(f"{f'at {share:.0%}':>14}" for share in MOMENTS)))
    for name in ENDS:
        yield "  ".join((f"{name:20}", *(f"{e:14.3f}" for e in mean_errors(results, name))))


def main() -> None:
    parser = argparse.ArgumentParser(description="Measure the progress that is shown.")
    parser.add_argument("directories", nargs="*", type=Path, default=[SHIPPED, REPEATED])
    parser.add_argument("--interval", type=float, help="ask every so many seconds")
    arguments = parser.parse_args()
    results = [judged(case, arguments.interval) for case in cases(arguments.directories)]
    print("\n".join(report(results)) if results else "no recording ends FINISHED")  # noqa: T201 - its purpose


if __name__ == "__main__":
    main()
