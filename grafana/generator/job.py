"""Dashboard 2: all about one job."""

from grafana_foundation_sdk.builders import dashboard as build
from grafana_foundation_sdk.builders import stat, statetimeline, timeseries
from grafana_foundation_sdk.models import dashboard as model

from . import frame, job_runs, job_spark
from .frame import band, section
from .links import JOB
from .panels import colored, dashed, figure, graph, timeline
from .queries import (
    LIVE,
    ON_JOB,
    ON_PROJECT,
    QUEUE,
    ended,
    has_status,
    per_job,
    per_subjob,
    progress,
    status,
    titles,
)
from .statuses import MEANINGS

_RANGE = "[$__range]"
_GONE = "no job to show"
_START = per_job("dli_job_start_timestamp_seconds", ON_JOB)
_BEGAN = per_job("dli_job_start_timestamp_seconds", ON_JOB, _RANGE)
"""The same of a job that no exporter shows any more."""
_DEADLINE = per_job("dli_job_deadline_timestamp_seconds", ON_JOB)
_EXPECTED_END = per_job("dli_job_expected_end_timestamp_seconds", ON_JOB)


def dashboard() -> model.Dashboard:
    """Return the dashboard."""
    return frame.dashboard(
        JOB,
        "DLI / Job",
        "One SQL job of Huawei Cloud DLI: how far it is, when it will end, and what it does.",
        (frame.job(), frame.instance(), frame.project(), frame.queue(), _job_id()),
        (
            section(
                "",
                band(
                    4,
                    *(_status(), _progress(), _elapsed()),
                    *(_expected_end(), _spare(), _stalled()),
                ),
                band(4, _history()),
                band(9, _ratios(), _durations()),
            ),
            *job_spark.sections(),
            job_runs.section(),
        ),
        frame.annotations(ON_JOB),
    )


def _job_id() -> build.QueryVariable:
    """Choose one of the jobs of the range, by name; the first part of the id tells runs apart."""
    names = titles(f"{ON_PROJECT}, {QUEUE}", _RANGE)
    short = f'label_replace({names}, "short", "$1", "job_id", "([^-]*).*")'
    titled = f'label_join({short}, "title", " · ", "name", "short")'
    definition = f"query_result(max by (job_id, title) ({titled}))"
    return frame.variable("job_id", "DLI job", " ".join(definition.split())).regex(
        '/job_id="(?<value>[^"]+)",title="(?<text>[^"]+)"/'
    )


def _status() -> stat.Panel:
    return figure(
        "Status",
        "The job's status, as DLI last told it.",
        status(ON_JOB, _RANGE),
        "short",
        nothing=_GONE,
        missing="#555555",
        meanings=(MEANINGS,),
        background=True,
    )


def _progress() -> stat.Panel:
    return figure(
        "Progress",
        "The share of the expected time that has passed where earlier runs of the statement "
        "are known, else the work done over the work expected.",
        progress(ON_JOB, _RANGE),
        "percentunit",
        nothing="not known",
        colors=((None, "blue"),),
    ).decimals(0)


def _elapsed() -> stat.Panel:
    return figure(
        "Runs for",
        "The time since the job started, up to its end.",
        f"({ended(ON_JOB, _RANGE)}\n    or 0 * {_BEGAN} + time())\n- {_BEGAN}",
        "dtdurations",
        nothing="not known",
    ).decimals(0)


def _expected_end() -> stat.Panel:
    return figure(
        "Expected end",
        "When the job is expected to end, by the best estimate that there is.",
        f"1000 * {_EXPECTED_END}",
        "dateTimeFromNow",
        nothing="not known",
    )


def _spare() -> stat.Panel:
    due = per_job("dli_job_deadline_timestamp_seconds", ON_JOB, _RANGE)
    expected = f"{_EXPECTED_END} > time()"
    end = f"({ended(ON_JOB, _RANGE)}\n    or {expected}\n    or 0 * {due} + time())"
    return figure(
        "Spare time",
        "The time between the end, or the expected end, and the deadline. Below 0 it is missed.",
        f"{due}\n- {end}",
        "dtdurations",
        nothing="no deadline",
        colors=((None, "red"), (0, "orange"), (300, "green")),
    ).decimals(0)


def _stalled() -> stat.Panel:
    last = per_job("dli_job_last_progress_timestamp_seconds", ON_JOB)
    return figure(
        "Nothing new for",
        "The time since a count of the running job last grew, or a status changed.",
        f"time() - {last}\nand {has_status(LIVE, ON_JOB)}",
        "dtdurations",
        nothing="does not run",
        colors=((None, "text"), (600, "orange"), (1800, "red")),
    ).decimals(0)


def _history() -> statetimeline.Panel:
    return timeline(
        "Status over time",
        "The job's status, as DLI told it.",
        status(ON_JOB),
        "status",
        MEANINGS,
        nothing=_GONE,
    )


def _ratios() -> timeseries.Panel:
    named = per_subjob("dli_subjob_reported_progress_ratio", ON_JOB)
    lines = {
        "expected time passed": per_job("dli_job_expected_progress_ratio", ON_JOB),
        "work done": per_job("dli_job_progress_ratio", ON_JOB),
        "reported by DLI": f"{per_job('dli_job_reported_progress_ratio', ON_JOB)}\n"
        f"or max by (project, job_id) ({named})",
    }
    panel = graph(
        "Progress",
        "The share of the expected time that has passed, where earlier runs are known; the "
        "work done over the work expected; and what DLI reports, which is about the running "
        "sub-job only: it starts again with each, may exceed 100 % and may end below it.",
        lines,
        "percentunit",
        nothing=_GONE,
    )
    panel = panel.axis_soft_max(1)
    colors = {"expected time passed": "blue", "work done": "green", "reported by DLI": "text"}
    return dashed(colored(panel, colors), "reported by DLI")


def _durations() -> timeseries.Panel:
    lines = {
        "elapsed": f"({ended(ON_JOB)}\n    or 0 * {_START} + time())\n- {_START}",
        "expected in all": f"{_EXPECTED_END} - {_START}",
        "median of the last runs": per_job("dli_job_expected_duration_seconds", ON_JOB),
        "up to the deadline": f"{_DEADLINE} - {_START}",
    }
    panel = graph(
        "Expected end, deadline and last runs",
        "Times since the start: now, at the expected end, at the deadline, and the median "
        "duration of the last ten runs of the statement. The job is late if what is expected "
        "is above the deadline.",
        lines,
        "s",
        nothing="start not known",
    )
    colors = {
        "elapsed": "text",
        "expected in all": "blue",
        "median of the last runs": "green",
        "up to the deadline": "red",
    }
    return dashed(colored(panel, colors), "median of the last runs", "up to the deadline")
