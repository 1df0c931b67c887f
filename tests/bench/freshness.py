"""How old the data is at the scrape, on virtual time: ``make bench-freshness``."""

import argparse
import sys
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass

from .best import Best
from .table import Row, table
from .virtual import (
    Burst,
    Exporter,
    FixedInterval,
    Outcome,
    Project,
    RoundRobin,
    Scraping,
    Strategy,
    World,
)

PERIOD = 15.0
SUCCESS = 0.99
STRATEGIES: dict[str, Callable[[Project], Strategy]] = {
    "dli-exporter": Exporter,
    "round robin": RoundRobin,
    "fixed interval": FixedInterval,
    "burst": Burst,
}


@dataclass(frozen=True, slots=True)
class Result:
    """A project, and what one strategy made of it."""

    project: Project
    strategy: str
    outcome: Outcome

    @property
    def bound(self) -> bool:
        """Whether there are more jobs than can be asked between two scrapes."""
        return self.project.jobs / self.project.quota >= PERIOD

    @property
    def limits(self) -> tuple[float, float]:
        """The mean and the longest age that no schedule can beat when the quota is short.

        With quota to spare: one round of calls and the last one's answer, for both.
        """
        each, latency = self.project.jobs / self.project.quota, self.project.latency
        if self.bound:
            return each / SUCCESS / 2 + latency / 2, each / SUCCESS + latency / 2
        return each + latency, each + latency

    @property
    def ratios(self) -> tuple[float, float, float]:
        """Mean, 99th percentile and longest age over their limits."""
        (mean, longest), outcome = self.limits, self.outcome
        return outcome.mean / mean, outcome.p99 / longest, outcome.longest / longest

    @property
    def calls(self) -> float:
        """Calls per job and scrape."""
        return self.outcome.calls / self.outcome.scrapes / self.project.jobs


def measured(project: Project, strategy: str, *, since: float, until: float) -> Result:
    """Run one strategy against a project."""
    world = World(project, STRATEGIES[strategy])
    return Result(project, strategy, world.run(since=since, until=until))


def steady(project: Project, strategy: str) -> Result:
    """Run until all is learnt, then measure some rounds and many scrapes."""
    turn = project.jobs / project.quota
    ours = strategy == "dli-exporter"
    # One call in a hundred fails, and makes most of the mean age of one job: many scrapes tell.
    scrapes = 20 if not ours else max(100, 20_000 // project.jobs)
    since, lasts = max(2.2 * turn, 10 * PERIOD), max(2.5 * turn, scrapes * PERIOD)
    if strategy == "burst":  # it calls all the time: fewer scrapes must do
        since, lasts = 10 * PERIOD, min(lasts, max(8.0, 40_000 / project.jobs) * PERIOD)
    return measured(project, strategy, since=since, until=since + lasts)


def grid(small: bool) -> Iterator[Project]:
    """Give the projects: 1 to 10,000 jobs, 1 to 100 calls a second, calls of 50 to 500 ms."""
    for jobs in (1, 10, 100, 1000) if small else (1, 10, 100, 1000, 10_000):
        for quota in (1, 20) if small else (1, 5, 20, 100):
            for latency in (0.2,) if small else (0.05, 0.2, 0.5):
                yield Project(jobs=jobs, quota=quota, latency=latency)


def dropped(*, tells: bool) -> Result:
    """Halve the quota in the middle, and measure from when the old answers are gone."""
    project = Project(
        jobs=1000, quota=20.0, latency=0.2, drop=200.0, later=10.0, tells=tells, window=1.0
    )
    result = measured(project, "dli-exporter", since=320.0, until=800.0)
    after = Project(jobs=1000, quota=10.0, latency=0.2, tells=tells)
    return Result(after, result.strategy, result.outcome)


RHYTHMS: dict[str, tuple[Scraping, ...]] = {
    "two scrapers out of step": (Scraping(), Scraping(offset=13.5)),
    "every 15 s and every 60 s": (Scraping(), Scraping(period=60.0, offset=4.0)),
    "jitter of 200 ms": (Scraping(jitter=0.2),),
    "a tenth of the scrapes missed": (Scraping(missed=0.1),),
    "a restart at another time": (Scraping(moves=900.0),),
}
"""With quota to spare: what scrapers may do."""


def rhythms() -> Iterator[tuple[str, Result]]:
    """Run the exporter with scrapers of several rhythms, with and without quota to spare."""
    for name, scrapers in RHYTHMS.items():
        for jobs in (10, 200):
            project = Project(jobs=jobs, quota=5.0, latency=0.2, scrapers=scrapers)
            yield name, measured(project, "dli-exporter", since=300.0, until=3300.0)


def goals(results: Iterable[Result], drops: Iterable[Result], least: Result) -> Iterator[Row]:
    """Compare the exporter's results with the goals."""
    ours = [result for result in results if result.strategy == "dli-exporter"]
    bound = [result for result in ours if result.bound]
    spare = [result for result in ours if not result.bound]
    quick = [result for result in bound if result.project.latency <= 0.2]
    slow = [result for result in bound if result.project.latency > 0.2]
    yield _age("quota-bound, latency up to 0.2 s", quick)
    if slow:
        yield _age("quota-bound, latency 0.5 s", slow)
    yield _age("quota halved in the middle", list(drops))
    yield _age("15 jobs at 1 call/s", [least])
    some = [result for result in spare if _long(result.project)]
    few = [result for result in spare if not _long(result.project)]
    yield _round("all of the grid", spare)
    yield _round("10 jobs or more, a round longer than two calls", some)
    yield _round("fewer jobs or a shorter round", few)
    for result in spare:
        if result.ratios[0] > 1:
            yield _cell(result)


def _age(what: str, results: list[Result]) -> Row:
    mean = max(result.ratios[0] for result in results)
    longest = max(result.ratios[2] for result in results)
    met = mean <= 1.03 and longest <= 1.10
    least = max(result.outcome.least / result.limits[1] for result in results)
    return Row(
        "P5",
        f"age over its limit, {what}",
        "mean 1.03, max 1.10",
        f"worst of {len(results)}: mean {mean:.2f}, max {longest:.2f}"
        + ("" if met else f" ({least:.2f} in the best order of these calls)"),
        met,
    )


def _long(project: Project) -> bool:
    """Whether a call that fails near the end of a round delays few of its jobs.

    Else what it costs (one call in a hundred fails, and the data of its job is a period older
    at the scrape) or what its repetition costs (a call's time, for all) is more than a round.
    """
    return project.jobs >= 10 and project.jobs / project.quota > 2 * project.latency


def _round(what: str, cells: list[Result]) -> Row:
    mean = max(result.ratios[0] for result in cells)
    calls = max(result.calls for result in cells)
    kept = sum(result.ratios[0] <= 1 for result in cells)
    return Row(
        "P6",
        f"mean age over a round and a call, quota to spare, {what}",
        "1, 1.2 calls",
        f"worst of {len(cells)}: {mean:.2f}, {calls:.2f} calls ({kept} within)",
        mean <= 1 and calls <= 1.2,
    )


def _cell(result: Result) -> Row:
    """Tell of one that is not met what is possible there."""
    project, mean = result.project, result.outcome.mean
    jobs = "1 job" if project.jobs == 1 else f"{project.jobs} jobs"
    possible = Best(project, PERIOD).age
    return Row(
        "P6",
        f"mean age, {jobs} at {project.quota:g} calls/s, calls of {project.latency:g} s",
        f"{result.limits[0]:.3f} s, 1.2 calls",
        f"{mean:.3f} s, {result.calls:.2f} calls (best possible: {possible:.3f} s)",
        mean <= result.limits[0] and result.calls <= 1.2,
    )


def line(result: Result, name: str = "") -> str:
    """Write a result in columns."""
    project, outcome = result.project, result.outcome
    mean, p99, longest = result.ratios
    refused = outcome.refused / max(1, outcome.calls)
    return (
        f"{project.jobs:6} {project.quota:4g} {project.latency:5.2f}"
        f" {'bound' if result.bound else 'spare'}  {name or result.strategy:30}"
        f" {outcome.mean:9.2f} s {mean:6.2f}x {p99:6.2f}x {longest:6.2f}x"
        f" {result.calls:7.2f} {refused:7.1%}"
    )


HEAD = (
    "  jobs    Q  late quota  schedule                         mean age   mean    p99     max"
    "  calls/j refused"
)


def main() -> None:
    """Print all results, and the goals."""
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("--small", action="store_true", help="some seconds instead of a minute")
    small = options.parse_args().small
    show = sys.stdout.write
    show(f"{HEAD}\n")
    results = []
    for project in grid(small):
        for strategy in STRATEGIES:
            results.append(steady(project, strategy))
            show(f"{line(results[-1])}\n")
    drops = [dropped(tells=tells) for tells in (False, True)]
    for tells, result in zip(("unsaid", "stated"), drops, strict=True):
        show(f"{line(result, f'quota halved, {tells}')}\n")
    for name, result in rhythms():
        show(f"{line(result, name)}\n")
    least = steady(Project(jobs=15, quota=1.0, latency=0.2), "dli-exporter")
    show(f"{line(least)}\n")
    for text in table(goals(results, drops, least)):
        show(f"{text}\n")


if __name__ == "__main__":
    main()
