"""The table of jobs on the status page, row by row."""

from collections.abc import Iterator, Sequence
from typing import Final

from ..jobs.model import Job, JobStatus, Sighting, SubJobStatus
from ..jobs.progress import done, subjob_ratio, work
from .selection import Query, end, label, queue, shown_ratio, status_word
from .text import ago, clock, counted, duration, harmless, moment, percent

STATUS_NAMES: Final = {
    "RUNNING": "Running",
    "SCALING": "Scaling",
    "LAUNCHING": "Launching",
    "NEW": "Not asked yet",
    "UNKNOWN": "Unknown",
    "FAILED": "Failed",
    "CANCELLED": "Cancelled",
    "FINISHED": "Finished",
}
"""What people read, in the order in which they are told."""

_COLUMNS: Final = (
    ("name", "Job"),
    ("project", "Project"),
    ("queue", "Queue"),
    ("status", "Status"),
    ("progress", "Progress"),
    ("end", "End"),
    ("failed", "Failed tasks"),
    ("updated", "Data age"),
)
_STALLED: Final = 1_800.0
"""Seconds without any progress that are worth a word."""
_SUBJOBS: Final = 20
"""Running sub-jobs shown of one job."""
_UNKNOWN: Final = '<span class="none">unknown</span>'


def heading(query: Query) -> str:
    """Return the head of the table, each column a link that sorts by it.

    The roles here and in the rows say again what the elements are: narrow screens show them
    as cards, and browsers take their meaning from their looks.
    """
    return f'<thead role="rowgroup"><tr role="row">{"".join(_headings(query))}</tr></thead>'


def _headings(query: Query) -> Iterator[str]:
    for column, title in _COLUMNS:
        order = "descending" if query.descending else "ascending"
        sort = f' aria-sort="{order}"' if column == query.sort else ""
        address = harmless_address(query.sorted_by(column))
        yield (
            f'<th role="columnheader" scope="col" class="{column}"{sort}>'
            f'<a href="{address}">{title}</a></th>'
        )


def harmless_address(query: Query) -> str:
    """Return a query's address for an attribute; what is encoded has no other characters."""
    return query.address.replace("&", "&amp;")


def row(job: Job, *, now: float, stale: float) -> str:
    """Return the row of a job."""
    project, word = harmless(job.key.project), status_word(job)
    cells = (
        ("project", f"<bdi>{project}</bdi>"),
        ("queue", f"<bdi>{harmless(queue(job))}</bdi>"),
        ("status", f'<span class="mark {word.lower()}">{STATUS_NAMES[word]}</span>'),
        ("progress", f"{_progress(job, now)}{_details(job, now)}"),
        ("end", f"{_end(job, now)}{_deadline(job, now)}"),
        ("failed", _failed(job.counts.tasks_failed)),
        ("updated", _age(job, now, stale)),
    )
    return (
        f'<tr role="row" data-key="{project}/{harmless(job.key.job_id)}" class="{word.lower()}">'
        f'<th role="rowheader" scope="row" class="name">{_name(job)}</th>'
        + "".join(
            f'<td role="cell" class="{column}" data-label="{title}">{cell}</td>'
            for (column, cell), (_, title) in zip(cells, _COLUMNS[1:], strict=True)
        )
        + "</tr>"
    )


def _name(job: Job) -> str:
    name, job_id = harmless(label(job)), harmless(job.key.job_id)
    if not job.name:
        return f'<code title="{name}">{name}</code>'
    return f'<bdi title="{name}">{name}</bdi><code>{job_id}</code>'


def _progress(job: Job, now: float) -> str:
    ratio = shown_ratio(job)
    if ratio is None:
        return "" if job.status is None else _UNKNOWN
    of = "time" if job.expected_ratio is not None else "work"
    basis = f"<small>{'' if job.ended is not None else f'of {of}'}</small>"
    return f'<div class="bar">{_bar(ratio, label(job))}<b>{percent(ratio)}</b>{basis}</div>' + (
        _stalled(job, now)
    )


def _bar(ratio: float, of: str) -> str:
    name = harmless(f"Progress of {of}")
    return f'<progress value="{min(max(ratio, 0.0), 1.0):.3f}" aria-label="{name}"></progress>'


def _stalled(job: Job, now: float) -> str:
    if job.status is not JobStatus.RUNNING or job.last_progress is None:
        return ""
    still = now - job.last_progress
    return f'<p class="warn">no progress for {duration(still)}</p>' if still > _STALLED else ""


def _details(job: Job, now: float) -> str:
    facts = "".join(f"<div><dt>{term}</dt><dd>{fact}</dd></div>" for term, fact in _facts(job, now))
    if not facts:
        return ""
    running = [each for each in job.listed if each.subjob.status is SubJobStatus.RUNNING]
    shown, more = running[:_SUBJOBS], len(running) - _SUBJOBS
    subjobs = "".join(_subjob(sighting, now) for sighting in shown)
    if more > 0:
        subjobs += f"<li>and {more} more</li>"
    summary = f"{counted(len(running), 'sub-job')} running" if running else "Details"
    of = f'<span class="hidden"> of {harmless(label(job))}</span>'
    return (
        f"<details><summary>{summary}{of}</summary>"
        + (f"<ul>{subjobs}</ul>" if subjobs else "")
        + f"<dl>{facts}</dl></details>"
    )


def _subjob(sighting: Sighting, now: float) -> str:
    subjob = sighting.subjob
    ratio, size = subjob_ratio(subjob), work(subjob)
    called = subjob.name or f"sub-job {subjob.id}"
    name = harmless(called)
    bar = "" if ratio is None else f"{_bar(ratio, called)}<b>{percent(ratio)}</b>"
    notes = [] if size is None else [f"{done(subjob):,} of {counted(size, 'task')}"]
    if sighting.expected_end is not None:
        notes.append(f"ends {_in(sighting.expected_end, now)}")
    return (
        f'<li><bdi title="{name}">{name}</bdi><div class="bar">{bar}</div>'
        f"<small>{', '.join(notes)}</small></li>"
    )


def _facts(job: Job, now: float) -> Iterator[tuple[str, str]]:
    """Go through what else is known of a job."""
    details, counts = job.details, job.counts
    if details is not None and details.start is not None:
        yield "Started", f"{ago(details.start, now)}, {clock(details.start, now)}"
    if job.expected_duration is not None:
        yield "Usually takes", duration(job.expected_duration)
    if job.expected_ratio is not None and job.ratio is not None and job.ended is None:
        yield "Work done", percent(job.ratio)
    if counts.tasks is not None:
        yield "Tasks", ", ".join(_tasks(job))
    if details is not None:
        words = (details.job_type, details.engine_type, details.database_name, details.owner)
        for term, word in zip(("Type", "Engine", "Database", "Owner"), words, strict=True):
            if word:
                yield term, f"<bdi>{harmless(word)}</bdi>"


def _tasks(job: Job) -> Iterator[str]:
    counts = job.counts
    yield f"{counts.tasks_completed or 0:,} of {counts.tasks or 0:,} completed"
    others = (
        ("active", counts.tasks_active),
        ("skipped", counts.tasks_skipped),
        ("failed", counts.tasks_failed),
        ("killed", counts.tasks_killed),
    )
    yield from (f"{count:,} {word}" for word, count in others if count)


def _end(job: Job, now: float) -> str:
    when = end(job)
    if when is None:
        return "" if job.status is None else _UNKNOWN
    told = ago(when, now) if job.ended is not None else _in(when, now)
    return f"{told} <small>{clock(when, now)}</small>"


def _in(when: float, now: float) -> str:
    return moment(when, f"in {duration(when - now)}" if when > now else "any moment")


def _deadline(job: Job, now: float) -> str:
    """Return whether a job has missed its deadline, or is expected to."""
    if job.deadline is None:
        return ""
    when = end(job)
    late = (now if job.ended is None or when is None else when) - job.deadline
    if late > 0:
        told = moment(job.deadline, duration(late))
        return (
            f'<p class="bad">Deadline missed, {told} {"ago" if job.ended is None else "late"}</p>'
        )
    if job.status is JobStatus.FINISHED:
        return "<p>Deadline met</p>"
    if job.ended is None and when is not None and when > job.deadline:
        late = when - job.deadline
        return f'<p class="warn">{moment(job.deadline, f"{duration(late)} after its deadline")}</p>'
    return f"<p>Deadline {moment(job.deadline, clock(job.deadline, now))}</p>"


def _failed(count: int | None) -> str:
    if count is None:
        return ""
    return f'<b class="bad">{count:,}</b>' if count else '<span class="none">0</span>'


def _age(job: Job, now: float, stale: float) -> str:
    if job.ended is not None:
        return '<span class="none">final</span>'
    if job.last_update is None:
        return ""
    age = now - job.last_update
    told = moment(job.last_update, duration(age))
    return f'<b class="warn">{told}</b>' if age > stale else told


def rows(jobs: Sequence[Job], *, now: float, stale: float) -> str:
    """Return the rows of some jobs; there is no space between them, which would be text."""
    return "".join(row(job, now=now, stale=stale) for job in jobs)
