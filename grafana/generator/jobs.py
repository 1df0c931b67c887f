"""Dashboard 1: all jobs."""

from grafana_foundation_sdk.builders import bargauge, stat, table, timeseries
from grafana_foundation_sdk.models import dashboard as model

from . import frame
from .frame import band, section
from .links import JOBS, to_job
from .panels import (
    bars,
    colored,
    figure,
    graph,
    stacked,
    words,
)
from .queries import (
    LIVE,
    ON_EXPORTER,
    ON_PROJECT,
    QUEUE,
    RUNNING,
    SAME_JOB,
    STATUSES,
    columns,
    has_status,
    in_queue,
    or_unknown,
    or_zero,
    per_job,
    progress,
    status,
    titled,
)
from .statuses import COLORS, MEANINGS
from .tables import grid, linked, moments, ratio, state, trouble, wide

_RANGE = "[$__range]"
_MOST_BARS = 50
_NOBODY = "no exporter"


def dashboard() -> model.Dashboard:
    """Return the dashboard."""
    return frame.dashboard(
        JOBS,
        "DLI / Jobs",
        "How far the SQL jobs of Huawei Cloud DLI are, and which of them need somebody.",
        (frame.job(), frame.instance(), frame.project(), frame.queue()),
        (
            section(
                "",
                band(4, _running(), _waiting(), _late(), _failed(), _finished(), _age()),
                band(10, _progress(), _by_status()),
                band(13, _table()),
            ),
        ),
        frame.annotations(ON_PROJECT),
    )


def _count(statuses: str, over: str = "") -> str:
    jobs = (
        f"count(\n  {has_status(statuses, ON_PROJECT, over)}\n"
        f"  and {SAME_JOB} {in_queue(ON_PROJECT, over)}\n)"
    )
    return or_zero(jobs, over)


def _running() -> stat.Panel:
    return figure(
        "Running",
        "Jobs that run now, those that are scaling included.",
        _count(RUNNING),
        "short",
        nothing=_NOBODY,
        colors=((None, "blue"),),
    )


def _waiting() -> stat.Panel:
    return figure(
        "Waiting",
        "Jobs that are launching: they wait for a place in their queue.",
        _count("LAUNCHING"),
        "short",
        nothing=_NOBODY,
        colors=((None, "text"), (1, "yellow")),
    )


def _late() -> stat.Panel:
    deadline = per_job("dli_job_deadline_timestamp_seconds", ON_PROJECT)
    end = per_job("dli_job_expected_end_timestamp_seconds", ON_PROJECT)
    late = (
        f"count(\n  ({deadline} < time()\n    or {deadline} < {end})\n"
        f"  and {has_status(LIVE, ON_PROJECT)}\n"
        f"  and {SAME_JOB} {in_queue(ON_PROJECT)}\n)"
    )
    return figure(
        "Late",
        "Jobs that have not ended and have missed their deadline, or are expected to miss it.",
        or_zero(late),
        "short",
        nothing=_NOBODY,
        colors=((None, "green"), (1, "orange")),
    )


def _failed() -> stat.Panel:
    return figure(
        "Failed",
        "Jobs that were seen to have failed in the chosen range.",
        _count("FAILED", _RANGE),
        "short",
        nothing=_NOBODY,
        colors=((None, "green"), (1, "red")),
    )


def _finished() -> stat.Panel:
    return figure(
        "Finished",
        "Jobs that were seen to have finished well in the chosen range.",
        _count("FINISHED", _RANGE),
        "short",
        nothing=_NOBODY,
        colors=((None, "text"), (1, "green")),
    )


def _age() -> stat.Panel:
    updated = per_job("dli_job_last_update_timestamp_seconds", ON_PROJECT)
    oldest = (
        f"max(\n  time() - {updated}\n  and {has_status(LIVE, ON_PROJECT)}\n"
        f"  and {SAME_JOB} {in_queue(ON_PROJECT)}\n)"
    )
    return figure(
        "Age of the data",
        "How long ago DLI last answered about a job that has not ended; the oldest of them all. "
        "If this is high, the rest of this page is as old.",
        f"{oldest}\nor -1 * max(dli_exporter_build_info{{{ON_EXPORTER}}})",
        "s",
        nothing=_NOBODY,
        colors=((None, "green"), (120, "orange"), (300, "red")),
        meanings=(words({"-1": ("no job", "text")}),),
    ).decimals(0)


def _progress() -> bargauge.Panel:
    running = f"({progress(ON_PROJECT)}\n  and {has_status(RUNNING, ON_PROJECT)})"
    panel = bars(
        "Progress of running jobs",
        "The share of the expected time that has passed where earlier runs of the statement "
        "are known, else the work done over the work expected, which falls when more turns up. "
        f"The {_MOST_BARS} jobs that are furthest.",
        f"topk({_MOST_BARS},\n{titled(running, f'{ON_PROJECT}, {QUEUE}')}\n)",
        "{{name}}",
        nothing="no job runs",
    )
    link = to_job("Open ${__field.labels.name}", "__field.labels.project", "__field.labels.job_id")
    return panel.override_by_field_type(
        "number", [model.DynamicConfigValue(id_val="links", value=[link])]
    )


def _by_status() -> timeseries.Panel:
    def count(status: str) -> str:
        jobs = f"{has_status(status, ON_PROJECT)}\n  and {SAME_JOB} {in_queue(ON_PROJECT)}"
        return f'label_replace(count(\n  {jobs}\n), "status", "{status}", "", "")'

    panel = graph(
        "Jobs by status",
        "Every job that an exporter shows: an ended one stays until its retention is over and "
        "each Prometheus has seen its end.",
        {"{{status}}": "\nor ".join(map(count, STATUSES))},
        "short",
        nothing="no job",
    ).decimals(0)
    return colored(stacked(panel), COLORS)


def _table() -> table.Panel:
    every = per_job("dli_job_info", ON_PROJECT)

    def moment(metric: str) -> str:
        return f"1000 * {or_unknown(per_job(metric, ON_PROJECT), every)}"

    cells = columns(
        {
            "Status": status(ON_PROJECT),
            "Progress": progress(ON_PROJECT),
            "Started": moment("dli_job_start_timestamp_seconds"),
            "Expected end": moment("dli_job_expected_end_timestamp_seconds"),
            "Deadline": moment("dli_job_deadline_timestamp_seconds"),
            "Failed tasks": per_job("dli_job_tasks_failed", ON_PROJECT),
        }
    )
    names = {"name": "Job", "queue_name": "Queue", "project": "Project", "job_id": "Id"}
    values = ("Status", "Progress", "Started", "Expected end", "Deadline", "Failed tasks")
    panel = grid(
        "All jobs",
        "Every job that an exporter shows; click on one to see all about it.",
        titled(cells, f"{ON_PROJECT}, {QUEUE}"),
        ("name", "queue_name", *values, "project", "job_id"),
        names,
        nothing="no job",
        sort=(("Status", False), ("Started", True)),
    )
    link = to_job("Open ${__value.text}", "__data.fields.Project", "__data.fields.Id")
    panel = linked(panel, link, "Job", "Id")
    panel = state(panel, "Status", MEANINGS)
    panel = ratio(panel, "Progress")
    panel = moments(panel, "Started", "Expected end", "Deadline")
    panel = trouble(panel, "Failed tasks")
    return wide(panel, {"Queue": 130, "Project": 100, "Id": 330})
