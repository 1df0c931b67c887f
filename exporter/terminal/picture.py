"""Jobs and their running sub-jobs as bars, for any width, drawn by rich."""

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, tzinfo
from typing import Final, TypeAlias

from rich.console import Group, RenderableType
from rich.progress_bar import ProgressBar
from rich.table import Table
from rich.text import Text

from ..jobs.model import JobStatus
from .fit import Row, Shown, fitted
from .state import JobState, SubJobState
from .words import clock, duration, share, speed

_ROOMY: Final = 150
_WIDE: Final = 110
_NARROW: Final = 64
_TROUBLES: Final = 3
_OLD: Final = 60.0
"""Seconds after which it is said how old the picture of a running job is."""
_FAINT: Final = "dim"
"""Not a grey by name: in some palettes that is the background's."""
_REST: Final = "bright_black"
_STYLES: Final = {
    JobStatus.LAUNCHING: "yellow",
    JobStatus.RUNNING: "cyan",
    JobStatus.SCALING: "cyan",
    JobStatus.FINISHED: "green",
    JobStatus.FAILED: "bold red",
    JobStatus.CANCELLED: "magenta",
    JobStatus.UNKNOWN: "yellow",
}
"""Colours by name, so that each terminal shows its own; the word stands beside them."""

_SHORT_BAR: Final = 12
_SHORTEST_BAR: Final = 10
_LONGEST_BAR: Final = 60
_LONGEST_QUEUE: Final = 20
_GAP: Final = 2
_SHARE: Final = " "
"""The column beside the bars: it needs no name."""
_COLUMNS: Final = ("JOB", "STATUS", "PROGRESS", _SHARE, "END", "FAILURES")
_WIDE_COLUMNS: Final = (
    *("JOB", "QUEUE", "STATUS", "PROGRESS"),
    *(_SHARE, "SPEED", "END", "FAILURES"),
)
_RIGHT: Final = (_SHARE, "SPEED", "FAILURES")
_ALWAYS: Final = ("JOB", "STATUS", "PROGRESS", _SHARE)

_WORST_FIRST: Final = (
    *(JobStatus.FAILED, JobStatus.CANCELLED, JobStatus.UNKNOWN),
    *(JobStatus.RUNNING, JobStatus.SCALING, JobStatus.LAUNCHING, JobStatus.FINISHED),
)

Cell: TypeAlias = Text | ProgressBar
Cells: TypeAlias = Mapping[str, Cell]
"""What stands in a line of the table, by column."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Frame:
    """Where a picture is drawn: ``width`` and ``lines`` (None: as many as it takes).

    ``now`` is in Unix seconds; clock times are those of ``zone``, the local one unless given.
    ``ascii`` is for terminals that know no other characters.
    """

    width: int
    lines: int | None = None
    now: float
    zone: tzinfo | None = None
    ascii: bool = False

    def text(self, text: str, style: str = "") -> Text:
        """Return a line that is cut where there is no room for it; no markup counts in it."""
        overflow = "crop" if self.ascii else "ellipsis"
        return Text(text, style=style, no_wrap=True, overflow=overflow)  # type: ignore[arg-type]  # one of the two


def picture(rows: Sequence[Row], frame: Frame, troubles: Sequence[str] = ()) -> RenderableType:
    """Draw jobs in this order, below them what does not work, and how many there are."""
    narrow = frame.width < _NARROW
    lost = [f"{_title(row.job)}: {row.lost}" for row in rows if row.lost]
    told = [frame.text(line, "yellow") for line in (*troubles, *lost)[:_TROUBLES]]
    lines = None if frame.lines is None else frame.lines - len(told) - (1 if narrow else 2)
    shown, hidden = fitted(rows, lines, each=2 if narrow else 1)
    body = _narrow(shown, frame) if narrow else _table(shown, frame)
    more = [frame.text(f"and {_jobs(hidden, 'more ')}", _FAINT)] if hidden else []
    return Group(*(body if shown else ()), *more, *told, _summary(rows, frame))


def _table(shown: Sequence[Shown], frame: Frame) -> Iterator[RenderableType]:
    """Draw a line for each job and sub-job; a column without anything to tell is left out."""
    columns = _WIDE_COLUMNS if frame.width >= _WIDE else _COLUMNS
    rows = [cells for one in shown for cells in _rows(one, frame)]
    told = [name for name in columns if name in _ALWAYS or any(cells.get(name) for cells in rows)]
    table = Table(box=None, pad_edge=False, padding=(0, _GAP, 0, 0), header_style=_FAINT)
    for name, width in _widths(told, rows, frame.width).items():
        right = name in _RIGHT
        table.add_column(
            name.strip(), no_wrap=True, width=width, justify="right" if right else "left"
        )
    for cells in rows:
        table.add_row(*(cells.get(name, "") for name in told))
    yield table


def _widths(told: Sequence[str], rows: Sequence[Cells], width: int) -> dict[str, int]:
    """Share the width out: names come first, the bars take what all others leave."""
    widths = {
        name: max([len(name), *(_length(cells.get(name)) for cells in rows)]) for name in told
    }
    if "QUEUE" in widths:
        widths["QUEUE"] = min(widths["QUEUE"], _LONGEST_QUEUE)
    gaps = _GAP * (len(told) - 1)
    left = width - gaps - sum(widths[name] for name in told if name not in ("JOB", "PROGRESS"))
    widths["PROGRESS"] = min(max(left - widths["JOB"], _SHORTEST_BAR), _LONGEST_BAR)
    widths["JOB"] = max(min(widths["JOB"], left - widths["PROGRESS"]), _SHORTEST_BAR)
    return widths


def _length(cell: Cell | None) -> int:
    return cell.cell_len if isinstance(cell, Text) else 0


def _rows(shown: Shown, frame: Frame) -> Iterator[Cells]:
    """Yield the cells of a job and of its sub-jobs."""
    row, job = shown.row, shown.row.job
    yield {
        "JOB": _name(job, frame),
        "QUEUE": frame.text(job.queue_name, _FAINT),
        "STATUS": _status(row, frame),
        "PROGRESS": _bar(job),
        _SHARE: frame.text(_share(job)),
        "SPEED": frame.text("" if row.speed is None or job.ended else speed(row.speed)),
        "END": _end(job, frame),
        "FAILURES": _failed(job.tasks_failed),
    }
    for subjob in shown.subjobs:
        yield {
            "JOB": _subjob_name(subjob, frame),
            "STATUS": frame.text(_indices(subjob), _FAINT),
            "PROGRESS": _subjob_bar(subjob),
            _SHARE: frame.text(_subjob_share(subjob), _FAINT),
            "SPEED": frame.text(_subjob_speed(subjob), _FAINT),
            "END": frame.text(_until(subjob.expected_end, frame), _FAINT),
            "FAILURES": _failed(subjob.tasks_failed),
        }
    if shown.more:
        yield {"JOB": _more(shown, frame)}


def _narrow(shown: Sequence[Shown], frame: Frame) -> Iterator[RenderableType]:
    """Draw two lines for each job, and one for each sub-job."""
    for one in shown:
        row, job = one.row, one.row.job
        failed = frame.text(f"{job.tasks_failed} failed" if job.tasks_failed else "", "red")
        yield _line(_name(job, frame), failed, _status(row, frame))
        yield _line(_end(job, frame), frame.text(_share(job)), _bar(job, _SHORT_BAR))
        for subjob in one.subjobs:
            share_done = frame.text(_subjob_share(subjob), _FAINT)
            yield _line(_subjob_name(subjob, frame), share_done, _subjob_bar(subjob, _SHORT_BAR))
        if one.more:
            yield _more(one, frame)


def _subjob_name(subjob: SubJobState, frame: Frame) -> Text:
    return frame.text(f"  {subjob.subjob_id} {subjob.name}", _FAINT)


def _line(first: RenderableType, *others: RenderableType) -> Table:
    """Put things side by side, those that are empty left out: the first takes what is left."""
    others = tuple(filter(None, others))
    line = Table.grid(expand=True, padding=(0, _GAP, 0, 0), pad_edge=False)
    line.add_column(ratio=1, no_wrap=True)
    for _ in others:
        line.add_column(no_wrap=True, justify="right")
    line.add_row(first, *others)
    return line


def _name(job: JobState, frame: Frame) -> Text:
    """Name a job: by its name, where it has one, and by its id, where there is room for both."""
    text = frame.text("")
    if job.project != "default":
        text.append(f"{job.project}/", _FAINT)
    text.append(_title(job), "bold")
    if job.name and frame.width >= _ROOMY:
        text.append(f" {job.job_id}", _FAINT)
    return text


def _status(row: Row, frame: Frame) -> Text:
    job = row.job
    if row.lost:
        return frame.text("UNKNOWN", _STYLES[JobStatus.UNKNOWN])
    if job.status is None:
        return frame.text("not asked yet", _FAINT)
    text = frame.text(job.status, _STYLES[job.status])
    age = 0.0 if job.last_update is None else frame.now - job.last_update
    if age >= _OLD and not job.ended:
        text.append(f" {duration(age)} ago", "yellow")
    return text


def _title(job: JobState) -> str:
    return job.name or job.job_id


def _bar(job: JobState, width: int | None = None) -> ProgressBar:
    style = _STYLES[job.status] if job.status is not None else _REST
    return _progress(job.ratio, style.removeprefix("bold "), width)


def _subjob_bar(subjob: SubJobState, width: int | None = None) -> ProgressBar:
    return _progress(subjob.progress_ratio, "dim cyan", width)


def _progress(ratio: float | None, style: str, width: int | None = None) -> ProgressBar:
    return ProgressBar(
        total=1.0,
        completed=ratio or 0.0,
        width=width,
        style=_REST,
        complete_style=style,
        finished_style=style,
    )


def _share(job: JobState) -> str:
    """Write how far a job is; a tilde says that it is meant by the time of earlier runs."""
    if job.ratio is None:
        return ""
    by_time = job.expected_progress_ratio is not None and not job.ended
    return f"{'~' if by_time else ''}{share(job.ratio)}"


def _subjob_share(subjob: SubJobState) -> str:
    return "" if subjob.progress_ratio is None else share(subjob.progress_ratio)


def _subjob_speed(subjob: SubJobState) -> str:
    return "" if subjob.indices_per_second is None else speed(subjob.indices_per_second)


def _indices(subjob: SubJobState) -> str:
    if subjob.tasks is None or subjob.indices_completed is None:
        return ""
    return f"{subjob.indices_completed} of {subjob.tasks}"


def _end(job: JobState, frame: Frame) -> Text:
    """Say when a job ends, or how long it took; in red if that is after its deadline."""
    if job.ended:
        text = "" if job.took is None else f"took {duration(job.took)}"
        return _late(text, job.end, job, frame)
    if job.expected_end is not None:
        return _late(_until(job.expected_end, frame), job.expected_end, job, frame)
    since = "" if job.start is None else f"for {duration(frame.now - job.start)}"
    return _late(since, frame.now, job, frame)


def _until(end: float | None, frame: Frame) -> str:
    if end is None:
        return ""
    if end <= frame.now:
        return "any moment"
    left = f"in {duration(end - frame.now)}"
    return f"{clock(end, now=frame.now, zone=frame.zone)}, {left}" if frame.width >= _WIDE else left


def _late(text: str, end: float | None, job: JobState, frame: Frame) -> Text:
    if job.deadline is None or end is None or end <= job.deadline:
        return frame.text(text)
    late = f"{duration(end - job.deadline)} late"
    return frame.text(f"{text}, {late}" if text and frame.width >= _WIDE else late, "red")


def _failed(count: int | None) -> Text:
    return Text(str(count), style="red") if count else Text()


def _more(shown: Shown, frame: Frame) -> Text:
    return frame.text(f"  and {shown.more} more running", _FAINT)


def _summary(rows: Sequence[Row], frame: Frame) -> RenderableType:
    """Count the jobs by status, and show when that was."""
    text = frame.text(_jobs(len(rows)))
    for status, count in _counts(rows):
        text.append(", ")
        text.append(f"{count} {status.lower()}", _STYLES[status])
    if frame.width < _NARROW:
        return text
    at = datetime.fromtimestamp(frame.now, frame.zone).strftime("%H:%M:%S")
    return _line(text, frame.text(at, _FAINT))


def _counts(rows: Iterable[Row]) -> Iterator[tuple[JobStatus, int]]:
    counts = Counter(JobStatus.UNKNOWN if row.lost else row.job.status for row in rows)
    return ((status, counts[status]) for status in _WORST_FIRST if counts[status])


def _jobs(count: int, more: str = "") -> str:
    return f"{count} {more}job{'' if count == 1 else 's'}"
