"""Panels about what Spark does for one job: sub-jobs, stages, tasks."""

from collections.abc import Sequence

from grafana_foundation_sdk.builders import statetimeline, table, timeseries

from .frame import Section, band, section
from .panels import colored, dashed, graph, stacked, timeline
from .queries import (
    ON_JOB,
    columns,
    or_unknown,
    per_job,
    per_subjob,
    subjob_status,
    titled_subjobs,
)
from .statuses import SUBJOB_MEANINGS
from .tables import grid, moments, ratio, state, trouble, wide

_GONE = "no job to show"


def sections() -> Sequence[Section]:
    """Return the sections."""
    return (
        section("Sub-jobs", band(10, _subjob_history(), _subjobs())),
        section("Tasks and stages", band(9, _tasks(), _stages()), band(9, _speed(), _failures())),
    )


def _subjob_history() -> statetimeline.Panel:
    return timeline(
        "Sub-jobs over time",
        "The status of every sub-job while DLI lists it: it forgets ended ones.",
        titled_subjobs(subjob_status(ON_JOB), ON_JOB),
        "{{subjob_id}} {{name}}",
        SUBJOB_MEANINGS,
        nothing="no sub-job",
    ).per_page(20)


def _subjobs() -> table.Panel:
    every = per_subjob("dli_subjob_info", ON_JOB)

    def moment(metric: str) -> str:
        return f"1000 * {or_unknown(per_subjob(metric, ON_JOB), every)}"

    cells = columns(
        {
            "Status": subjob_status(ON_JOB),
            "Progress": per_subjob("dli_subjob_progress_ratio", ON_JOB),
            "Tasks": per_subjob("dli_subjob_tasks", ON_JOB),
            "Failed": per_subjob("dli_subjob_tasks_failed", ON_JOB),
            "Killed": per_subjob("dli_subjob_tasks_killed", ON_JOB),
            "Submitted": moment("dli_subjob_submission_timestamp_seconds"),
            "Expected end": moment("dli_subjob_expected_end_timestamp_seconds"),
        }
    )
    values = ("Status", "Progress", "Tasks", "Failed", "Killed", "Submitted", "Expected end")
    panel = grid(
        "Sub-jobs",
        "The sub-jobs that DLI lists now: Spark's jobs, one for each action.",
        titled_subjobs(cells, ON_JOB),
        ("subjob_id", "name", *values),
        {"subjob_id": "Id", "name": "Call site"},
        nothing="no sub-job",
        sort=(("Status", False), ("Submitted", True)),
        without=("project", "job_id"),
    )
    panel = state(panel, "Status", SUBJOB_MEANINGS)
    panel = ratio(panel, "Progress")
    panel = moments(panel, "Submitted", "Expected end")
    panel = trouble(panel, "Failed", "Killed")
    return wide(panel, {"Id": 60, "Progress": 140, "Tasks": 80, "Failed": 80, "Killed": 80})


def _tasks() -> timeseries.Panel:
    def of(state: str) -> str:
        return per_job(f"dli_job_tasks_{state}", ON_JOB)

    done = f"({of('completed')} + {of('skipped')} + {of('active')})"
    lines = {
        "completed": of("completed"),
        "skipped": of("skipped"),
        "active": of("active"),
        "waiting": f"clamp_min({per_job('dli_job_tasks', ON_JOB)} - {done}, 0)",
    }
    panel = graph(
        "Tasks by state",
        "Tasks of all sub-jobs seen so far, at the last sight of each. Spark tells only when a "
        "sub-job ends which of its tasks were skipped; until then they seem to wait.",
        lines,
        "short",
        nothing=_GONE,
    ).decimals(0)
    colors = {"completed": "green", "skipped": "purple", "active": "blue", "waiting": "text"}
    return colored(stacked(panel), colors)


def _stages() -> timeseries.Panel:
    lines = {
        state: per_job(f"dli_job_stages_{state}", ON_JOB)
        for state in ("completed", "skipped", "active", "failed")
    }
    panel = graph(
        "Stages by state",
        "Stages of all sub-jobs seen so far. Completed ones go back when a stage has to run "
        "again, as after a lost executor.",
        lines | {"all": per_job("dli_job_stages", ON_JOB)},
        "short",
        nothing=_GONE,
    ).decimals(0)
    colors = {
        "completed": "green",
        "skipped": "purple",
        "active": "blue",
        "failed": "red",
        "all": "text",
    }
    return dashed(colored(panel, colors), "all")


def _speed() -> timeseries.Panel:
    def speed(metric: str) -> str:
        grown = f"deriv({metric}{{{ON_JOB}}}[$__rate_interval])"
        return f"clamp_min(max by (project, job_id) ({grown}), 0)"

    lines = {
        "tasks": speed("dli_job_indices_completed"),
        "attempts that failed": speed("dli_job_tasks_failed"),
    }
    panel = graph(
        "Speed",
        "Tasks completed a second, each counted once, and attempts that failed.",
        lines,
        "cps",
        nothing=_GONE,
    )
    return colored(panel, {"tasks": "blue", "attempts that failed": "red"})


def _failures() -> timeseries.Panel:
    reasons = f"dli_subjob_tasks_killed_by_reason{{{ON_JOB}}}"
    killed = f"max by (project, job_id, subjob_id, reason) ({reasons})"
    lines = {
        "failed": per_job("dli_job_tasks_failed", ON_JOB),
        "killed": per_job("dli_job_tasks_killed", ON_JOB),
        "killed: {{reason}}": f"sum by (reason) ({killed})",
    }
    panel = graph(
        "Failures and kills by reason",
        "Attempts of tasks that failed or were killed so far; Spark tries a task again. The "
        "reasons are those of the sub-jobs that DLI lists still.",
        lines,
        "short",
        nothing=_GONE,
    ).decimals(0)
    panel = dashed(colored(panel, {"failed": "red", "killed": "orange"}), "killed")
    return panel.axis_soft_max(10)
