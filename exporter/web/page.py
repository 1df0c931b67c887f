"""The status page: how the exporter is, and every job that it tracks."""

from collections.abc import Generator, Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Final

from ..jobs.model import Job
from .assets import BUILD, SCRIPT, STYLE
from .rows import STATUS_NAMES, harmless_address, heading, rows
from .selection import Query, Selection, select
from .state import Failure, Health, State
from .text import ago, clock, counted, harmless, moment

_DOCS: Final = "https://github.com/dli-exporter/dli-exporter"
_AT_ONCE: Final = 10
"""Rows that are written in one step, which takes about a millisecond."""
_ALWAYS: Final = ("RUNNING", "LAUNCHING", "FAILED", "CANCELLED", "FINISHED")
"""Statuses that have their place on the page even if no job has them."""
_ICON: Final = (
    "data:image/svg+xml,%3Csvg xmlns='http://www.w3.org/2000/svg' viewBox='0 0 16 16'%3E"
    "%3Ccircle cx='8' cy='8' r='6' fill='none' stroke='%238aa4c0' stroke-width='3'/%3E"
    "%3Cpath d='M8 2a6 6 0 1 1-6 6' fill='none' stroke='%230b63ce' stroke-width='3'/%3E"
    "%3C/svg%3E"
)


def status_page(
    jobs: Sequence[Job], state: State, query: Query
) -> Generator[None, None, Sequence[bytes]]:
    """Return the page as HTML; it is made in steps, so that nobody waits for it."""
    chosen = yield from select(jobs, query)
    parts = [_head(state, chosen), _projects(state, chosen), _tools(state, chosen, query)]
    if chosen.jobs:
        parts.append(f'<table role="table"><caption class="hidden">Jobs</caption>{heading(query)}')
        parts.append('<tbody role="rowgroup">')
        for start in range(0, len(chosen.jobs), _AT_ONCE):
            yield
            some = chosen.jobs[start : start + _AT_ONCE]
            parts.append(rows(some, now=state.now, stale=state.stale))
        parts.append("</tbody></table>")
    parts += [_nothing(chosen), _pages(chosen, query), _foot(state)]
    yield
    return tuple(part.encode() for part in parts)


def _head(state: State, chosen: Selection) -> str:
    return f"""<!doctype html>
<html lang="en" data-build="{BUILD}-{harmless(state.version)}">
<head><meta charset="utf-8"><title>{_title(state, chosen)}</title>
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="color-scheme" content="light dark">
<link rel="icon" href="{_ICON}">
<style>{STYLE}</style></head>
<body>
<a class="skip" href="#jobs">Skip to the jobs</a>
<header>
<h1>DLI exporter <small>{harmless(state.version)}</small></h1>
<nav id="links" data-live aria-label="Exporter"><ul>
<li><a href="metrics">Metrics</a></li>
<li><a href="api/v1/jobs">Jobs as JSON</a></li>
<li><a href="-/started">Started</a></li>
<li><a href="-/healthy"{_doubt(state.healthy)}>{_word(state.healthy, "healthy")}</a></li>
<li><a href="-/ready"{_doubt(state.ready)}>{_word(state.ready, "ready")}</a></li>
<li><a href="{_DOCS}" rel="noreferrer">Documentation</a></li>
</ul></nav>
<p class="updates"><span id="updated" data-live>As of {_time(state)} UTC</span>
<button type="button" id="pause" hidden>Pause updates</button>
<noscript><a href="">Reload</a></noscript></p>
</header>
<p id="notice" class="notice" role="status"></p>
<main>
"""


def _title(state: State, chosen: Selection) -> str:
    down = sum(health.up is False for health in state.projects)
    counts = chosen.by_status
    told = (
        f"{counted(down, 'project')} down" if down else "",
        f"{counts['RUNNING']:,} running" if counts.get("RUNNING") else "",
        f"{counts['FAILED']:,} failed" if counts.get("FAILED") else "",
        "DLI exporter",
    )
    return " · ".join(filter(None, told))


def _word(passed: bool, word: str) -> str:
    return word.capitalize() if passed else f"Not {word}"


def _doubt(passed: bool) -> str:
    return "" if passed else ' class="warn"'


def _time(state: State) -> str:
    return moment(state.now, f"{clock(state.now, state.now)}:{int(state.now % 60):02}")


def _projects(state: State, chosen: Selection) -> str:
    told = "".join(_project(health, chosen.by_project, state.now) for health in state.projects)
    return (
        f'<section id="projects" data-live aria-labelledby="projects-title">'
        f'<h2 id="projects-title" class="hidden">Projects</h2>'
        f'{_reload(state)}<ul class="projects">{told}</ul></section>\n'
    )


def _reload(state: State) -> str:
    if not state.reload.mistakes:
        return ""
    mistakes = "".join(f"<li>{harmless(mistake)}</li>" for mistake in state.reload.mistakes)
    return (
        f'<div class="notice"><b>Settings not reloaded</b> {ago(state.reload.at, state.now)}: '
        f"those of {clock(state.reload.in_force, state.now)} are in force.<ul>{mistakes}</ul></div>"
    )


def _project(health: Health, by_project: Mapping[str, int], now: float) -> str:
    name, look, word = harmless(health.project), *_looks(health)
    notes = [counted(by_project.get(health.project, 0), "job")]
    if health.last_success is not None:
        notes.append(f"last answer {ago(health.last_success, now)}")
    failures = "".join(_failure(failure, now) for failure in health.failures)
    return (
        f'<li data-key="{name}"><h3><bdi>{name}</bdi></h3> '
        f'<span class="mark {look}">{word}</span> <small>{", ".join(notes)}</small>'
        + (f'<ul class="failures">{failures}</ul>' if failures else "")
        + "</li>"
    )


def _looks(health: Health) -> tuple[str, str]:
    """Return the class and the word for how a project is."""
    if health.up is None:
        return "new", "Not asked yet"
    return ("up", "Up") if health.up else ("down", "Down")


def _failure(failure: Failure, now: float) -> str:
    look = "over" if failure.over else "failing"
    notes = ", ".join(_course(failure, now))
    return (
        f'<li class="{look}"><code>{harmless(failure.reason)}</code> '
        f"<span>{harmless(failure.message)}</span> <small>{notes}</small></li>"
    )


def _course(failure: Failure, now: float) -> Iterator[str]:
    """Tell whom a failure concerns, how often it came, and whether it still does."""
    yield from map(harmless, failure.of)
    if failure.jobs == 1:
        yield f"job {harmless(failure.job_id)}"
    elif failure.jobs:
        yield counted(failure.jobs, "job")
    yield counted(failure.count, "time")
    if failure.over:
        yield f"over, last {ago(failure.last, now)}"
    else:
        yield f"since {moment(failure.since, clock(failure.since, now))}"
        yield f"last {ago(failure.last, now)}"


def _tools(state: State, chosen: Selection, query: Query) -> str:
    return (
        '<section id="jobs" data-live aria-labelledby="jobs-title" tabindex="-1">'
        '<h2 id="jobs-title" class="hidden">Jobs</h2><div class="tools">'
        f'<ul class="statuses" aria-label="Filter by status">{_statuses(chosen, query)}</ul>'
        f"{_form(state, query)}</div>"
        f'<p id="count" role="status"{_usual(chosen, query)}>{_count(chosen, query)}</p>'
    )


def _statuses(chosen: Selection, query: Query) -> str:
    return "".join(
        f'<li><a href="{harmless_address(query.with_status(status))}"{current}'
        f' class="mark {status.lower() or "all"}{"" if count else " zero"}">'
        f"<span>{name}</span> <b>{count:,}</b></a></li>"
        for status, name, count in _counts(chosen.by_status)
        for current in [' aria-current="true"' if status == query.status else ""]
        if count or current or status in _ALWAYS
    )


def _counts(by_status: Mapping[str, int]) -> Iterator[tuple[str, str, int]]:
    yield "", "All", sum(by_status.values())
    for status, name in STATUS_NAMES.items():
        yield status, name, by_status.get(status, 0)


def _form(state: State, query: Query) -> str:
    kept = {"status": query.status, "sort": query.sorting}
    hidden = "".join(
        f'<input type="hidden" name="{name}" value="{value}">'
        for name, value in kept.items()
        if value
    )
    clear = '<a href="?">Clear</a>' if query != Query() else ""
    return (
        '<form id="filter" role="search" aria-label="Jobs">'
        '<label><span class="hidden">Search</span><input type="search" name="q"'
        f' value="{harmless(query.text)}" maxlength="256" placeholder="Name, id, queue or owner"'
        ' autocomplete="off" spellcheck="false"></label>'
        f"{_choice(state, query)}{hidden}<button>Filter</button>{clear}</form>"
    )


def _choice(state: State, query: Query) -> str:
    names = [health.project for health in state.projects]
    if query.project and query.project not in names:
        names.append(query.project)
    if len(names) < 2 and not query.project:
        return ""
    options = "".join(
        f'<option value="{harmless(name)}"{" selected" if name == query.project else ""}>'
        f"{harmless(name)}</option>"
        for name in names
    )
    return (
        '<label><span class="hidden">Project</span><select name="project">'
        f'<option value="">All projects</option>{options}</select></label>'
    )


def _count(chosen: Selection, query: Query) -> str:
    if query.narrowed:
        told = f"{chosen.matching:,} of {counted(chosen.total, 'job')}"
    else:
        told = counted(chosen.total, "job")
    last = chosen.first + len(chosen.jobs) - 1
    return told if chosen.pages == 1 else f"{told}, {chosen.first:,} to {last:,} shown"


def _usual(chosen: Selection, query: Query) -> str:
    """Hide the count where the first filter says the same; who hears the page is told changes."""
    return "" if query.narrowed or chosen.pages > 1 else ' class="hidden"'


def _nothing(chosen: Selection) -> str:
    """Say why there is no row, and what helps."""
    if chosen.jobs:
        return ""
    if chosen.total:
        return '<p class="empty">No job is as asked for. <a href="?">Show all</a></p>'
    return (
        '<p class="empty">No job is tracked. Jobs come from the settings, from discovery, from a'
        f' directory or over HTTP: <a href="{_DOCS}#where-jobs-come-from" rel="noreferrer">'
        "where jobs come from</a>.</p>"
    )


def _pages(chosen: Selection, query: Query) -> str:
    """Return the links to the other pages, and the end of the jobs."""
    links = [
        f'<a rel="{rel}" href="{harmless_address(replace(query, page=page))}">{text}</a>'
        for rel, text, page in (
            ("prev", "Previous", chosen.page - 1),
            ("next", "Next", chosen.page + 1),
        )
        if 1 <= page <= chosen.pages
    ]
    if not links:
        return "</section>"
    where = f"<span>Page {chosen.page} of {chosen.pages}</span>"
    return f'<nav class="pages" aria-label="Pages">{where}{"".join(links)}</nav></section>'


def _foot(state: State) -> str:
    return f"""
</main>
<footer id="foot" data-live>Times are UTC. Settings read {ago(state.reload.in_force, state.now)}\
 and in force.</footer>
<script>{SCRIPT}</script>
</body>
</html>
"""
