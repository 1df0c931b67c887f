"""Panels about a job as a whole: its earlier runs, and its data."""

from grafana_foundation_sdk.builders import stat, table

from . import frame
from .links import to_job
from .panels import figures, override
from .queries import (
    ON_JOB,
    ON_PROJECT,
    columns,
    per_job,
    status,
    titles,
)
from .statuses import MEANINGS
from .tables import grid, linked, moments, state, trouble, wide

_RANGE = "[$__range]"


def section() -> frame.Section:
    """Return the section."""
    return frame.section("Runs and data", frame.band(8, _runs()), frame.band(4, _data()))


def _runs() -> table.Panel:
    def last(metric: str) -> str:
        return f"max by (project, job_id) (last_over_time({metric}{{{ON_PROJECT}}}{_RANGE}))"

    start = last("dli_job_start_timestamp_seconds")
    seen = last("dli_job_last_update_timestamp_seconds")
    end = f"({last('dli_job_end_timestamp_seconds')}\n    or {seen})"
    cells = columns(
        {
            "Status": status(ON_PROJECT, _RANGE),
            "Started": f"1000 * {start}",
            "Duration": f"{end} - {start}",
            "Failed tasks": last("dli_job_tasks_failed"),
        }
    )
    named = f'last_over_time(dli_job_info{{{ON_JOB}, name!=""}}{_RANGE})'
    expression = (
        f"{cells}\n* on (project, job_id) group_left (name, queue_name)\n"
        f"  ({titles(ON_PROJECT, _RANGE)}\n  and on (project, name) {named})"
    )
    panel = grid(
        "Last runs",
        "The jobs of the chosen range that had the same name. Widen the range to see more.",
        expression,
        ("job_id", "Status", "Started", "Duration", "Failed tasks", "queue_name", "project"),
        {"queue_name": "Queue", "job_id": "Id", "project": "Project"},
        nothing="no run by that name",
        sort=(("Started", True),),
        without=("name",),
    )
    link = to_job("Open ${__value.text}", "__data.fields.Project", "__data.fields.Id")
    panel = linked(panel, link, "Id")
    panel = state(panel, "Status", MEANINGS)
    panel = moments(panel, "Started")
    panel = override(panel, "Duration", unit="dtdurations", decimals=0)
    return wide(trouble(panel, "Failed tasks"), {"Id": 330, "Duration": 130, "Queue": 160})


def _data() -> stat.Panel:
    def of(metric: str) -> str:
        return per_job(f"dli_job_{metric}", ON_JOB, "[$__range]")

    lines = {
        "read": of("input_bytes"),
        "rows read": of("input_rows"),
        "bad rows": of("bad_rows"),
        "rows returned or inserted": of("result_rows"),
        "written": of("output_bytes"),
        "CPU time": of("cpu_core_seconds"),
    }
    panel = figures(
        "Data and CPU",
        "What the job read, wrote and used, as far as DLI tells.",
        lines,
        "short",
        nothing="not told",
    )
    panel = override(panel, "read", unit="bytes")
    panel = override(panel, "written", unit="bytes")
    return override(panel, "CPU time", unit="dtdurations", decimals=0)
