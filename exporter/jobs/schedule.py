"""Whom to ask next, and how long to wait until then."""

from collections.abc import Iterable
from dataclasses import dataclass
from math import inf
from operator import itemgetter

from .model import JobKey


@dataclass(frozen=True, slots=True)
class Turn:
    """When a job was last asked and last seen to end, in seconds of one monotonic clock.

    ``asked`` is None for a job that was never asked, ``ended`` for one that runs.
    """

    key: JobKey
    asked: float | None = None
    ended: float | None = None


@dataclass(frozen=True, slots=True)
class Plan:
    """The jobs to ask now, the longest waiting first, and the seconds until the next is due."""

    due: tuple[JobKey, ...]
    wait: float


def plan(turns: Iterable[Turn], *, now: float, interval: float) -> Plan:
    """Ask every running job once in ``interval`` seconds, and an ended one once more.

    The last question to an ended job takes up counters that move late: Spark reports kills
    after a sub-job's end.
    """
    times = sorted(
        ((time, turn.key) for turn in turns if (time := _due(turn, interval)) is not None),
        key=itemgetter(0),
    )
    due = tuple(key for time, key in times if time <= now)
    later = (time - now for time, _ in times if time > now)
    return Plan(due, min(next(later, interval), interval))


def _due(turn: Turn, interval: float) -> float | None:
    if turn.asked is None:
        return -inf
    if turn.ended is not None and turn.asked > turn.ended:
        return None
    return turn.asked + interval
