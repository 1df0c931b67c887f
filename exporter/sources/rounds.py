"""What a round of the list API means after those before it: which jobs run, ended, left."""

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from math import inf
from typing import Final, TypeVar

from ..dli.errors import DliError
from ..jobs.model import JobStatus, ListedJob

LIVE: Final = (JobStatus.LAUNCHING, JobStatus.RUNNING, JobStatus.SCALING)
"""The statuses of jobs that have not ended, in the order in which a job takes them."""
REMEMBERED: Final = 40_000
"""Ids kept of one kind at most; four times what one listing can show (dli_02_0025)."""

_T = TypeVar("_T")

Gap = tuple[float, float]
"""Start times (Unix seconds) between which a listing could not be read."""


@dataclass(frozen=True, slots=True)
class Round:
    """What a round of discovery found.

    ``live`` are the jobs read as not ended. ``ended`` are ends not handed over before, and
    ``left`` the ids that were live in an earlier round, are no more, and whose end is not
    handed over here: they may have ended, or only slipped through the pages, so they are to be
    asked once more. Every end is handed over once in the lifetime of a Discovery, in ``ended``,
    or in ``left`` if its row cannot be had. ``truncated`` tells of a listing longer than its
    last page, ``pages`` how many were asked for. ``error`` is the first reason why not all
    could be read; what was read stands, and the next rounds cover the rest.
    """

    live: tuple[ListedJob, ...]
    ended: tuple[ListedJob, ...]
    left: tuple[str, ...]
    truncated: bool
    pages: int
    error: DliError | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Reading:
    """What was read in a round, rows in the order of reading.

    ``listed`` are the wanted rows of the lists of live jobs, ``recent`` those of the window,
    which is read last; ``others`` the starts of the window's unwanted rows, by id. ``gaps``
    tell what was left out. ``reached`` is the start up to which the window was read: infinite
    for all of it, None if an error broke it off. ``since`` is where the first window began,
    0 if it showed all jobs there are.
    """

    listed: Sequence[ListedJob] = ()
    recent: Sequence[ListedJob] = ()
    others: Mapping[str, float] = field(default_factory=dict)
    gaps: Sequence[Gap] = ()
    reached: float | None = inf
    since: float = 0.0
    truncated: bool = False
    pages: int = 0
    error: DliError | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class State:
    """What discovery remembers: ids with their starts (Unix seconds, the server's clock).

    ``live`` as of the last round; ``ended`` whose end was handed over, or lies before the
    first round; ``left`` handed over as that, and not back since; ``others`` unwanted ones.
    The next window begins at ``since``, None until a first one was read. No end is handed over
    as a row of a job that started at ``floor`` or before: what is known of those is forgotten.
    ``newest`` is the latest start among the jobs that were new when jobs last were.
    """

    live: Mapping[str, float] = field(default_factory=dict)
    ended: Mapping[str, float] = field(default_factory=dict)
    left: Mapping[str, float] = field(default_factory=dict)
    others: Mapping[str, float] = field(default_factory=dict)
    since: float | None = None
    floor: float = 0.0
    newest: float = 0.0


def merge(state: State, reading: Reading, *, overlap: float) -> tuple[State, Round]:
    """Return the state after a reading, and what the reading has brought.

    ``overlap`` is in seconds: so much earlier than the newest job the next window begins.
    """
    sight = _sight(reading)
    state = replace(state, left=_without(state.left, sight.alive))
    ended = _ended(state, sight)
    gone = _gone(state, sight, ended, reading.gaps)
    found = Round(
        live=tuple(sight.live.values()),
        ended=tuple(ended.values()),
        left=tuple(gone),
        truncated=reading.truncated,
        pages=reading.pages,
        error=reading.error,
    )
    starts = _starts(sight.rows, state.newest)
    since, newest = _next_window(state, reading, {**reading.others, **starts}, overlap)
    after = State(
        live={**_without(state.live, ended.keys() | gone.keys()), **_of(starts, sight.live)},
        ended={**state.ended, **_of(starts, sight.over.keys() - state.left.keys())},
        left={**state.left, **gone},
        others={**state.others, **reading.others, **_of(starts, sight.odd)},
        since=since,
        floor=max(state.floor, reading.since),
        newest=newest,
    )
    return _bounded(after), found


def settle(state: State, job_ids: Iterable[str]) -> State:
    """Return the state in which the ends of some jobs count as handed over."""
    starts = {**state.left, **state.live, **state.ended}
    settled = {job_id: starts.get(job_id, state.newest) for job_id in job_ids}
    return _bounded(
        replace(
            state,
            live=_without(state.live, settled),
            left=_without(state.left, settled),
            ended={**state.ended, **settled},
        )
    )


@dataclass(frozen=True, slots=True)
class _Sight:
    """The jobs of a reading by what is true of them at its end.

    ``rows`` has one for each; ``odd`` are the ids of those that are neither live nor over, and
    ``alive`` those with any live row.
    """

    rows: dict[str, ListedJob]
    live: dict[str, ListedJob]
    over: dict[str, ListedJob]
    odd: Collection[str]
    alive: frozenset[str]


def _sight(reading: Reading) -> _Sight:
    """Of several rows of a job the last one read is true, but an end is final.

    DLI has no way back from an end, so that a live row beside it is an older picture. The
    lists of live jobs are believed about those only.
    """
    listed = [row for row in reading.listed if row.status in LIVE]
    rows: dict[str, ListedJob] = {}
    for row in (*listed, *reading.recent):
        if row.job_id not in rows or not rows[row.job_id].status.terminal:
            rows[row.job_id] = row
    return _Sight(
        rows=rows,
        live={key: row for key, row in rows.items() if row.status in LIVE},
        over={key: row for key, row in rows.items() if row.status.terminal},
        odd=[key for key, row in rows.items() if row.status is JobStatus.UNKNOWN],
        alive=frozenset(row.job_id for row in (*listed, *reading.recent) if row.status in LIVE),
    )


def _ended(state: State, sight: _Sight) -> dict[str, ListedJob]:
    """Choose the ends to hand over: not handed over before, and not from before the watch."""
    watched = state.live.keys() | sight.alive
    return {
        key: row
        for key, row in sight.over.items()
        if key not in state.ended
        and key not in state.left
        and (key in watched or _began_later(row, state))
    }


def _began_later(row: ListedJob, state: State) -> bool:
    start = row.details.start
    return state.since is not None and (start is None or start > state.floor)


def _gone(
    state: State, sight: _Sight, ended: Mapping[str, object], gaps: Sequence[Gap]
) -> dict[str, float]:
    """Find who was live and is no more; one whose place could not be read may still be there."""
    return {
        key: start
        for key, start in state.live.items()
        if key not in sight.live
        and key not in ended
        and (key in sight.rows or not any(low <= start <= high for low, high in gaps))
    }


def _next_window(
    state: State, reading: Reading, starts: Mapping[str, float], overlap: float
) -> tuple[float | None, float]:
    """Choose where the next window begins, and note the newest of the jobs that are new.

    A start counts once new jobs have come in another round, too: a single one in the far
    future, or a jump of DLI's clock that is taken back, would hide what follows. Since new
    jobs decide, and not the latest start ever, the window also follows a clock that was set
    back, as soon as a job shows in the live lists.
    """
    if reading.reached is None:
        return state.since, state.newest
    known = (state.live, state.ended, state.left, state.others)
    new = [start for key, start in starts.items() if not any(key in ids for ids in known)]
    if state.since is None:
        return reading.since, max(new, default=reading.since)
    if reading.reached < inf:  # the window goes on where it was cut
        reached = max(state.since, reading.reached)
        return reached, reached
    if not new:
        return state.since, state.newest
    return min(state.newest, max(new)) - overlap, max(new)


def _starts(rows: Mapping[str, ListedJob], unknown: float) -> dict[str, float]:
    return {
        key: unknown if row.details.start is None else row.details.start
        for key, row in rows.items()
    }


def _of(starts: Mapping[str, float], ids: Iterable[str]) -> dict[str, float]:
    return {key: starts[key] for key in ids}


def _without(ids: Mapping[str, _T], dropped: Collection[str]) -> dict[str, _T]:
    return {key: value for key, value in ids.items() if key not in dropped}


def _bounded(state: State) -> State:
    """Forget the oldest ids of what is too much, and do not look at what is forgotten again."""
    ended, ended_floor = _latest_half(state.ended)
    left, left_floor = _latest_half(state.left)
    floor = max(state.floor, ended_floor, left_floor)
    return replace(
        state,
        live=_latest_half(state.live)[0],
        ended=ended,
        left=left,
        others=_latest_half(state.others)[0],
        since=None if state.since is None else max(state.since, floor),
        floor=floor,
    )


def _latest_half(ids: Mapping[str, float]) -> tuple[Mapping[str, float], float]:
    """Give the ids that started last, and the latest start of those that are left out."""
    if len(ids) <= REMEMBERED:
        return ids, 0.0
    order = sorted(ids, key=ids.__getitem__)
    out, kept = order[: -REMEMBERED // 2], order[-REMEMBERED // 2 :]
    return {key: ids[key] for key in kept}, ids[out[-1]]
