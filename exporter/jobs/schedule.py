"""Whom to ask next under a quota, and how long to wait until somebody is due."""

from bisect import bisect_left, insort
from collections import deque
from dataclasses import dataclass
from enum import Enum, auto
from heapq import heappop, heappush
from itertools import count
from math import inf, nextafter
from typing import Final, NamedTuple

from .model import JobKey

_RESERVE: Final = 1.1
"""A round is begun so much earlier than its calls need: others spend from the quota too."""
_PATIENCE: Final = 0.4
"""Seconds kept for the last call of a round before one has come back."""
_FAVOURS: Final = 4
"""So many calls in a row go to new jobs and the like while others wait."""
_SOON: Final = 1.0
"""Seconds after which a job is asked again that gave no answer, for the first time in a row."""
_MEMORY: Final = 512
"""Calls from which is learnt how long the next ones may take: five of them, if one in a hundred
fails and is repeated. The more, the less is the mean age up to chance (by 0.01 seconds against
256, for one job), and the longer it takes one job to notice that calls have become slow."""

_FEW: Final = 16
"""Calls until which each one is heeded at once."""


class Stage(Enum):
    """Where a job is in its life, as far as asking goes."""

    LAUNCHING = auto()
    RUNNING = auto()
    ENDED = auto()


class Expected(NamedTuple):
    """The next scrape: the earliest moment it may come.

    ``period`` is the seconds between two scrapes of the scraper that comes most often.
    """

    at: float
    period: float


@dataclass(slots=True)
class _Turn:
    """A job's place: ``seat`` is its ticket in one of the queues, 0 while it stands in none."""

    key: JobKey
    stage: Stage = Stage.LAUNCHING
    seat: int = 0
    over: bool = False
    failures: int = 0


class _Queue:
    """Turns by time, the earliest first; who takes a seat elsewhere has left this one."""

    def __init__(self) -> None:
        self._heap: list[tuple[float, int, _Turn]] = []

    def push(self, time: float, seat: int, turn: _Turn) -> None:
        turn.seat = seat
        heappush(self._heap, (time, seat, turn))

    def first(self) -> float:
        """Return the earliest time; infinity if nobody waits."""
        while self._heap and self._heap[0][2].seat != self._heap[0][1]:
            heappop(self._heap)
        return self._heap[0][0] if self._heap else inf

    def pop(self) -> _Turn:
        """Take the turn out that ``first`` told of."""
        turn = heappop(self._heap)[2]
        turn.seat = 0
        return turn


class Durations:
    """How long the last calls took, and so how long before a scrape to send the last one."""

    def __init__(self) -> None:
        self._last: deque[float] = deque()
        self._sorted: list[float] = []

    def add(self, seconds: float) -> None:
        """Remember a call, and forget the oldest."""
        self._last.append(seconds)
        insort(self._sorted, seconds)
        if len(self._last) > _MEMORY:
            del self._sorted[bisect_left(self._sorted, self._last.popleft())]

    @property
    def few(self) -> bool:
        """Whether the next call may teach much."""
        return len(self._last) < _FEW

    def patience(self, period: float, spread: float = 0.0) -> float:
        """Return the seconds to keep for the last call for the lowest mean age at the scrape.

        A second more makes all data a second older at each scrape. A call that takes longer
        misses its scrape, and the data of its job is a ``period`` older then. So an outlier is
        waited for only if that costs less than to miss it as often as it comes. The other calls
        of a round depart up to ``spread`` seconds before the last one, evenly: one that takes a
        little longer than what is kept misses the scrape only if it is among the last.
        """
        if not self._last:
            return _PATIENCE
        miss = period / (len(self._last) + 1)
        slower = self._sorted[::-1]
        best = lowest = slower[0]
        always, some = 0, 0.0  # who misses wherever in the round, and the others' seconds
        for number, seconds in enumerate(slower):
            while always < number and slower[always] - seconds >= spread:
                some -= slower[always]
                always += 1
            missed = float(always)
            if always < number:
                missed += (some - (number - always) * seconds) / spread
            if missed * miss >= lowest:
                break
            if (cost := seconds + missed * miss) < lowest:
                best, lowest = seconds, cost
            some += seconds
        return best


class Schedule:
    """The jobs of one project and who is asked next: the one whose answer is oldest.

    Where a scrape is expected, each job is asked once shortly before it, so early that the
    quota suffices for all of them; if it does not, that is all the time. Where none is
    expected, each is asked once an ``interval``. New and launching jobs, and those whose end
    was just seen, come before the others, with four of five calls at most. An ended job is asked
    once more, an interval later: Spark reports kills after a sub-job's end.

    A decision costs O(log jobs). All times are seconds of one monotonic clock; ``limit`` is the
    present quota in calls a second.
    """

    def __init__(self, interval: float) -> None:
        """Take the seconds between two questions to a job where nobody scrapes."""
        self._interval = interval
        self._turns: dict[JobKey, _Turn] = {}
        self._urgent, self._regular, self._later = _Queue(), _Queue(), _Queue()
        self._seats = count(1)
        self._live = 0
        self._favours = 0
        self._durations = Durations()
        self._patience, self._foreseen = _PATIENCE, -inf

    def __contains__(self, key: JobKey) -> bool:
        return key in self._turns

    def __len__(self) -> int:
        return len(self._turns)

    def pending(self) -> tuple[JobKey, ...]:
        """Return the jobs that have not told all."""
        return tuple(key for key, turn in self._turns.items() if not turn.over)

    def add(self, key: JobKey, *, over: bool = False) -> None:
        """Ask for a job from now on, and at once; of one that is ``over`` all is known."""
        if key in self._turns:
            return
        turn = self._turns[key] = _Turn(key)
        if over:
            turn.stage, turn.over = Stage.ENDED, True
        else:
            self._live += 1
            self._seat(self._urgent, -inf, turn)

    def remove(self, key: JobKey) -> None:
        """Ask for a job no more."""
        turn = self._turns.pop(key, None)
        if turn is not None:
            self._live -= turn.stage is not Stage.ENDED
            turn.seat = 0

    def hasten(self, key: JobKey) -> None:
        """Ask for a job at once, unless it is being asked."""
        turn = self._turns.get(key)
        if turn is not None and (turn.seat or turn.over):
            turn.over = False
            self._seat(self._urgent, -inf, turn)

    def take(self, now: float, *, limit: float, expected: Expected | None) -> JobKey | None:
        """Return the job to ask now, which ``answered`` or ``failed`` follows; None if not yet."""
        self._recall(now)
        lead = self._lead(limit, expected)
        urgent = self._urgent.first() <= self._stale(now, expected, lead)
        bound = expected is not None and self._round(limit) >= expected.period
        regular = self._regular.first() <= (now if bound else self._stale(now, expected, lead))
        if not urgent and not regular:
            return None
        favour = urgent and not (regular and self._favours >= _FAVOURS)
        # An urgent one that nobody else waits beside takes nobody's call.
        self._favours = self._favours + 1 if favour and regular else 0
        return (self._urgent if favour else self._regular).pop().key

    def wait(self, now: float, *, limit: float, expected: Expected | None) -> float:
        """Return the seconds until ``take`` may find somebody, an interval at most."""
        lead = self._lead(limit, expected)
        moments = (
            self._later.first(),
            self._due(self._urgent.first(), now, expected, lead),
            self._due(self._regular.first(), now, expected, lead),
        )
        return min(max(0.0, min(moments) - now), self._interval)

    def answered(self, key: JobKey, now: float, stage: Stage) -> None:
        """Note that a job has answered, and where it is in its life."""
        turn = self._turns.get(key)
        if turn is None:
            return
        self._live += (turn.stage is Stage.ENDED) - (stage is Stage.ENDED)
        before, turn.stage, turn.failures = turn.stage, stage, 0
        if stage is Stage.LAUNCHING:
            self._seat(self._urgent, now, turn)
        elif stage is Stage.RUNNING:
            self._seat(self._regular, now, turn)
        elif before is Stage.ENDED:
            turn.over, turn.seat = True, 0
        else:
            self._seat(self._later, now + self._interval, turn)

    def failed(self, key: JobKey, now: float) -> None:
        """Note that a job gave no answer: it is asked again soon, and if that fails in its turn.

        That is not before an interval is over: while calls are suspended they fail at once.
        """
        turn = self._turns.get(key)
        if turn is None:
            return
        if turn.stage is Stage.ENDED:
            turn.over, turn.seat = True, 0
            return
        turn.failures += 1
        pause = self._interval if turn.failures > 1 else min(_SOON, self._interval)
        self._seat(self._later, now + pause, turn)

    def lasted(self, seconds: float) -> None:
        """Learn how long one call took, its repetitions included."""
        self._durations.add(seconds)

    def over(self, key: JobKey) -> bool:
        """Whether nothing more is asked of a job: it has left, or told all after its end."""
        turn = self._turns.get(key)
        return turn is None or turn.over

    def _recall(self, now: float) -> None:
        """Let those in line whose pause is over."""
        while (time := self._later.first()) <= now:
            turn = self._later.pop()
            if turn.failures > 1:
                self._seat(self._regular, time - self._interval, turn)
            else:
                self._seat(self._urgent, -inf, turn)

    def _seat(self, queue: _Queue, time: float, turn: _Turn) -> None:
        turn.over = False
        queue.push(time, next(self._seats), turn)

    def _round(self, limit: float) -> float:
        """Return the seconds from the first call to the last when every job is asked once."""
        return max(0, self._live - 1) / limit * _RESERVE

    def _lead(self, limit: float, expected: Expected | None) -> float:
        """Return how long before a scrape to begin: all calls, and patience with the last.

        It is never more than a period, so that no job is asked twice for one scrape.
        """
        if expected is None:
            return inf
        spread = self._round(limit)
        if expected.at != self._foreseen or self._durations.few:  # it takes up to 0.1 ms
            self._foreseen = expected.at
            self._patience = self._durations.patience(expected.period, spread)
        return min(spread + self._patience, expected.period)

    def _stale(self, now: float, expected: Expected | None, lead: float) -> float:
        """Return the time of the newest answer that is too old at present."""
        if expected is None:
            return now - self._interval
        opens = expected.at - lead
        # Who answers at the very moment of the opening has answered for this scrape.
        return nextafter(opens, -inf) if now >= opens else -inf

    def _due(self, answered: float, now: float, expected: Expected | None, lead: float) -> float:
        """Return when an answer will be too old, by what is expected at present."""
        if expected is None:
            return answered + self._interval
        opens = expected.at - lead
        return opens if answered < opens or opens > now else expected.at
