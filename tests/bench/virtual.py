"""A project with a quota, its jobs and its scrapers, on virtual time: hours pass in seconds."""

import heapq
import random
from collections import deque
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from math import ceil, inf
from typing import Protocol

from exporter.dli.pacing import Backoff, Bucket
from exporter.jobs.model import JobKey
from exporter.jobs.schedule import Schedule, Stage
from exporter.web.scrapers import Caller, Scrapers

RETRIES = 2
LONGEST_CALL = 1.0


@dataclass(frozen=True, slots=True)
class Scraping:
    """A scraper that comes every ``period`` seconds, ``jitter`` seconds early or late at most."""

    period: float = 15.0
    offset: float = 7.5
    jitter: float = 0.01
    missed: float = 0.0
    """Share of its scrapes that do not come."""
    moves: float = inf
    """When it restarts, and comes at another time of its period from then on."""

    def times(self, chance: random.Random, until: float) -> Iterator[float]:
        """Give the moments at which it comes."""
        beat = self.offset
        while beat < until:
            moved = 0.4 * self.period if beat >= self.moves else 0.0
            if chance.random() >= self.missed:
                yield beat + moved + chance.uniform(-self.jitter, self.jitter)
            beat += self.period


@dataclass(frozen=True, slots=True, kw_only=True)
class Project:
    """So many running jobs behind a gateway that lets ``quota`` calls a second pass.

    A call takes ``latency`` seconds, half more or less, and fails with chance ``errors``.
    The exporter is told ``setting`` calls a second; the quota falls to ``later`` at ``drop``.
    """

    jobs: int
    quota: float
    latency: float
    errors: float = 0.01
    setting: float | None = None
    drop: float = inf
    later: float = inf
    window: float = 1.0
    """Seconds of quota that a caller may spend at once."""
    tells: bool = False
    """Whether a refusal states the quota."""
    scrapers: tuple[Scraping, ...] = (Scraping(),)
    seed: int = 1


class Gateway:
    """A token bucket, as the API gateway's quota seems to be."""

    def __init__(self, project: Project) -> None:
        self._project = project
        self._tokens = project.quota * project.window
        self._updated = 0.0

    def quota(self, now: float) -> float:
        """Return the quota at a moment."""
        project = self._project
        return min(project.quota, project.later) if now >= project.drop else project.quota

    def admits(self, now: float) -> bool:
        """Spend one call, if there is one left."""
        quota = self.quota(now)
        most = max(1.0, quota * self._project.window)
        self._tokens = min(most, self._tokens + (now - self._updated) * quota)
        self._updated = now
        if self._tokens < 1 - 1e-9:
            return False
        self._tokens -= 1
        return True


class Strategy(Protocol):
    """Who decides whom to ask next."""

    paced: bool
    retries: int

    def take(self, now: float, limit: float) -> int | None: ...
    def wait(self, now: float, limit: float) -> float: ...
    def answered(self, job: int, now: float, took: float) -> None: ...
    def failed(self, job: int, now: float) -> None: ...
    def scraped(self, scraper: int, now: float) -> None: ...


class _Line:
    """What a scraper's connection is to the exporter."""

    def is_closing(self) -> bool:
        return False


class Exporter:
    """The exporter's own schedule and its own picture of the scrapers."""

    paced = True
    retries = RETRIES

    def __init__(self, project: Project) -> None:
        self._keys = [JobKey("project", str(job)) for job in range(project.jobs)]
        self._schedule = Schedule(15.0)
        for key in self._keys:
            self._schedule.add(key)
        self._scrapers = Scrapers()
        self._callers = [
            Caller(address=str(number), connection=_Line())
            for number in range(len(project.scrapers))
        ]

    def take(self, now: float, limit: float) -> int | None:
        expected = self._scrapers.next_expected(now)
        key = self._schedule.take(now, limit=limit, expected=expected)
        return None if key is None else int(key.job_id)

    def wait(self, now: float, limit: float) -> float:
        expected = self._scrapers.next_expected(now)
        return self._schedule.wait(now, limit=limit, expected=expected)

    def answered(self, job: int, now: float, took: float) -> None:
        self._schedule.lasted(took)
        self._schedule.answered(self._keys[job], now, Stage.RUNNING)

    def failed(self, job: int, now: float) -> None:
        self._schedule.failed(self._keys[job], now)

    def scraped(self, scraper: int, now: float) -> None:
        self._scrapers.heard(self._callers[scraper], now)


class RoundRobin:
    """One after the other as fast as the quota allows; who fails waits for the next round."""

    paced = True
    retries = 0

    def __init__(self, project: Project) -> None:
        self._line = deque(range(project.jobs))

    def take(self, now: float, limit: float) -> int | None:
        return self._line.popleft() if self._line else None

    def wait(self, now: float, limit: float) -> float:
        return inf

    def answered(self, job: int, now: float, took: float) -> None:
        self._line.append(job)

    def failed(self, job: int, now: float) -> None:
        self._line.append(job)

    def scraped(self, scraper: int, now: float) -> None:
        pass


class FixedInterval:
    """Each job every fifteen seconds, or as soon after that as the quota allows."""

    paced = True
    retries = 0
    interval = 15.0

    def __init__(self, project: Project) -> None:
        self._due = [(0.0, job) for job in range(project.jobs)]
        self._asked = [0.0] * project.jobs

    def take(self, now: float, limit: float) -> int | None:
        if not self._due or self._due[0][0] > now:
            return None
        job = heapq.heappop(self._due)[1]
        self._asked[job] = now
        return job

    def wait(self, now: float, limit: float) -> float:
        return self._due[0][0] - now if self._due else inf

    def answered(self, job: int, now: float, took: float) -> None:
        heapq.heappush(self._due, (self._asked[job] + self.interval, job))

    def failed(self, job: int, now: float) -> None:
        self.answered(job, now, 0.0)

    def scraped(self, scraper: int, now: float) -> None:
        pass


class Burst(FixedInterval):
    """All at once every fifteen seconds, whatever the quota, as most exporters do."""

    paced = False

    def __init__(self, project: Project) -> None:
        super().__init__(project)
        self._chance = random.Random(project.seed)

    def answered(self, job: int, now: float, took: float) -> None:
        # Who of them reaches the gateway first is chance.
        due = self._asked[job] // self.interval * self.interval + self.interval
        heapq.heappush(self._due, (due + self._chance.uniform(0, 1e-3), job))


@dataclass(slots=True)
class _Call:
    job: int
    departed: float = 0.0
    attempts: int = 0


@dataclass(slots=True)
class Outcome:
    """What was measured, in seconds, of the scrapes after the start was over."""

    ages: int = 0
    total: float = 0.0
    longest: float = 0.0
    least: float = 0.0
    """What ``longest`` had been if the same calls had gone to the jobs in the best order."""
    sample: list[float] = field(default_factory=list)
    scrapes: int = 0
    calls: int = 0
    good: int = 0
    refused: int = 0

    @property
    def mean(self) -> float:
        return self.total / self.ages if self.ages else inf

    @property
    def p99(self) -> float:
        return sorted(self.sample)[int(0.99 * len(self.sample))] if self.sample else inf


class World:
    """A run of one strategy against one project."""

    def __init__(self, project: Project, make: Callable[[Project], Strategy]) -> None:
        self.project = project
        self.strategy = make(project)
        self.bucket = Bucket(project.setting or project.quota)
        self.outcome = Outcome()
        self._gateway = Gateway(project)
        self._chance = random.Random(project.seed)
        self._backoff = Backoff()
        self._most = ceil((project.setting or project.quota) * LONGEST_CALL) + 1
        self._line: deque[_Call] = deque()
        self._boarding: _Call | None = None
        self._out = 0
        self._shown = [0.0] * project.jobs
        self._newest = deque([0.0] * project.jobs, maxlen=2 * project.jobs)
        self._events: list[tuple[float, int, Callable[[float], None]]] = []
        self._number = 0
        self._woken = inf
        self._since = inf
        self._every = 1

    def run(self, *, since: float, until: float) -> Outcome:
        """Let time pass; measure from ``since`` on."""
        self._since = since
        chance = random.Random(self.project.seed + 1)
        moments: list[tuple[float, int]] = []
        for number, scraper in enumerate(self.project.scrapers):
            moments += [(time, number) for time in scraper.times(chance, until) if time > 0]
        # Every job at every scrape would be most of the work: some hundred scrapes tell enough.
        measured = sum(time >= since for time, _ in moments)
        self._every = max(1, measured * self.project.jobs // 1_000_000)
        for time, number in moments:
            self._at(time, self._scrape(number))
        self._pump(0.0)
        while self._events and self._events[0][0] < until:
            time, _, event = heapq.heappop(self._events)
            event(time)
            self._pump(time)
        return self.outcome

    def _at(self, time: float, event: Callable[[float], None]) -> None:
        self._number += 1
        heapq.heappush(self._events, (time, self._number, event))

    def _pump(self, now: float) -> None:
        """Let out what may go out now, and see to it that the next moment is not missed."""
        while True:
            wait = inf
            free = self._boarding is None and self._out < self._most
            if free or not self.strategy.paced:
                limit = self.bucket.limit
                job = self.strategy.take(now, limit)
                if job is not None:
                    self._boarding = _Call(job)
                    self._out += 1
                    self._line.append(self._boarding)
                else:
                    wait = self.strategy.wait(now, limit)
            if self._line:
                wait = self.bucket.take(now) if self.strategy.paced else 0.0
                if not wait:
                    self._depart(self._line.popleft(), now)
                    continue
            break
        wait = max(wait, 1e-6)  # less than a float of this size can tell
        if now + wait < self._woken or self._woken <= now:
            self._woken = now + wait
            if wait < inf:
                self._at(self._woken, lambda _: None)

    def _depart(self, call: _Call, now: float) -> None:
        if call is self._boarding:
            self._boarding = None
        latency = self.project.latency * self._chance.uniform(0.5, 1.5)
        call.departed = now if not call.attempts else call.departed
        admitted = self._gateway.admits(now)
        good = admitted and self._chance.random() >= self.project.errors
        if now >= self._since:
            self.outcome.calls += 1
            self.outcome.good += good
            self.outcome.refused += not admitted
        data = now + latency / 2

        def returned(time: float) -> None:
            if good:
                self._out -= 1
                self.bucket.succeeded()
                self._shown[call.job] = max(self._shown[call.job], data)
                self._newest.append(data)
                self.strategy.answered(call.job, time, time - call.departed)
            else:
                self._failed(call, time, throttled=not admitted)

        self._at(now + latency, returned)

    def _failed(self, call: _Call, now: float, *, throttled: bool) -> None:
        if throttled and self.strategy.paced:
            stated = self._gateway.quota(now) if self.project.tells else None
            pause = self._backoff.delay(0, self._chance.random())
            self.bucket.throttled(now, pause, stated)
        if call.attempts >= self.strategy.retries:
            self._out -= 1
            self.strategy.failed(call.job, now)
            return
        wait = 0.0 if throttled else self._backoff.delay(call.attempts, self._chance.random())
        call.attempts += 1
        self._at(now + wait, lambda _: self._line.append(call))

    def _scrape(self, scraper: int) -> Callable[[float], None]:
        def scraped(now: float) -> None:
            self.strategy.scraped(scraper, now)
            if now >= self._since:
                self.outcome.scrapes += 1
                if self.outcome.scrapes % self._every == 0:
                    self._measure(now)

        return scraped

    def _measure(self, now: float) -> None:
        ages = [now - shown for shown in self._shown if shown > -inf]
        if not ages:
            return
        # At best the newest answers, so many as there are jobs, are those of different jobs.
        self.outcome.least = max(self.outcome.least, now - sorted(self._newest)[-len(ages)])
        self.outcome.ages += len(ages)
        self.outcome.total += sum(ages)
        self.outcome.longest = (
            max(self.outcome.longest, *ages)
            if len(ages) > 1
            else max(self.outcome.longest, ages[0])
        )
        self.outcome.sample += ages if len(ages) < 200 else sorted(ages)[:: len(ages) // 200]
