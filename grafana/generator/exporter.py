"""Dashboard 3: how the exporter itself is."""

from grafana_foundation_sdk.builders import stat, statetimeline, timeseries
from grafana_foundation_sdk.models import dashboard as model

from . import exporter_api as api
from . import exporter_process as process
from . import frame
from .frame import band, section
from .links import EXPORTER
from .panels import colored, figure, graph, stacked, timeline, words
from .queries import ON_EXPORTER, ON_PROJECT, of_exporters, or_zero

_RANGE = "[$__range]"
_RATE = "[$__rate_interval]"
_NOBODY = "no exporter"
_UP = f"up{{{ON_EXPORTER}}}"


def dashboard() -> model.Dashboard:
    """Return the dashboard."""
    return frame.dashboard(
        EXPORTER,
        "DLI / Exporter",
        "Whether the exporter reaches DLI, how old its data are, and what it costs.",
        (frame.job(), frame.instance(), frame.project()),
        (
            section(
                "",
                band(
                    4,
                    *(_up(), _down(), _unreachable(), _oldest()),
                    *(_failing(), _truncated(), _credentials(), _reload()),
                ),
                band(6, _targets(), _projects()),
            ),
            api.section(),
            section("Jobs", band(8, _ages(), _jobs(), _losses())),
            process.section(),
        ),
    )


def _up() -> stat.Panel:
    return figure(
        "Up",
        "Exporters that Prometheus reaches.",
        f"count(\n{of_exporters(f'{_UP} == 1')}\n)",
        "short",
        nothing="0",
        missing="red",
        colors=((None, "green"),),
    )


def _down() -> stat.Panel:
    down = of_exporters(f"{_UP} == 0", _RANGE)
    seen = f"max_over_time(dli_exporter_build_info{{{ON_EXPORTER}}}{_RANGE})"
    return figure(
        "Down",
        "Exporters that Prometheus does not reach, of those that it reached in the chosen range.",
        f"count(\n{down}\n)\nor 0 * max({seen})",
        "short",
        nothing=_NOBODY,
        colors=((None, "green"), (1, "red")),
    )


def _unreachable() -> stat.Panel:
    return figure(
        "Projects failing",
        "Projects whose last call was not answered, or not authorised.",
        or_zero(f"count(min by (project) (dli_up{{{ON_PROJECT}}}) == 0)"),
        "short",
        nothing=_NOBODY,
        colors=((None, "green"), (1, "red")),
    )


def _oldest() -> stat.Panel:
    oldest = f'max(dli_exporter_job_age_seconds{{{ON_PROJECT}, quantile="1"}})'
    return figure(
        "Oldest data",
        "The age of the oldest answer about a running job, as of the last scrape.",
        f"{oldest}\nor -1 * max(dli_exporter_build_info{{{ON_EXPORTER}}})",
        "s",
        nothing=_NOBODY,
        colors=((None, "green"), (120, "orange"), (300, "red")),
        meanings=(words({"-1": ("no job", "text")}),),
    ).decimals(0)


def _failing() -> stat.Panel:
    def calls(metric: str) -> str:
        return f"sum(increase({metric}{{{ON_PROJECT}}}{_RANGE}))"

    return figure(
        "Calls failed",
        "The share of calls to DLI in the chosen range that did not get a good answer.",
        f"{calls(api.ERRORS)}\n/ ({calls(api.REQUESTS)} > 0)",
        "percentunit",
        nothing="no call",
        colors=((None, "green"), (0.01, "orange"), (0.1, "red")),
    ).decimals(1)


def _truncated() -> stat.Panel:
    return figure(
        "List of jobs",
        "Whether discovery could read the whole list of jobs, in every project.",
        or_zero(f"max(dli_exporter_discovery_truncated{{{ON_PROJECT}}})"),
        "short",
        nothing=_NOBODY,
        meanings=(words({"0": ("whole", "green"), "1": ("truncated", "red")}),),
    )


def _credentials() -> stat.Panel:
    ends = f"dli_exporter_credentials_expiry_timestamp_seconds{{{ON_PROJECT}}}"
    return figure(
        "Credentials last",
        "The time until the first credential in use ends.",
        f"min({ends}) - time()",
        "dtdurations",
        nothing="no end",
        colors=((None, "red"), (3600, "orange"), (86400, "green")),
    ).decimals(0)


def _reload() -> stat.Panel:
    return figure(
        "Settings",
        "Whether every exporter could read its settings when it last tried.",
        f"min(dli_exporter_config_last_reload_successful{{{ON_EXPORTER}}})",
        "short",
        nothing=_NOBODY,
        meanings=(words({"0": ("not loaded", "red"), "1": ("loaded", "green")}),),
    )


def _targets() -> statetimeline.Panel:
    return timeline(
        "Exporters",
        "Whether Prometheus reached each exporter.",
        of_exporters(_UP, _RANGE),
        "{{job}} {{instance}}",
        words({"0": ("down", "red"), "1": ("up", "green")}),
        nothing=_NOBODY,
    )


def _projects() -> statetimeline.Panel:
    return timeline(
        "Projects",
        "Whether DLI answered and authorised the last call that mattered, for every exporter.",
        f"min by (project) (dli_up{{{ON_PROJECT}}})",
        "{{project}}",
        words({"0": ("failing", "red"), "1": ("reachable", "green")}),
        nothing=_NOBODY,
    )


def _ages() -> timeseries.Panel:
    def age(quantile: str) -> str:
        return f'max(dli_exporter_job_age_seconds{{{ON_PROJECT}, quantile="{quantile}"}})'

    panel = graph(
        "Age of the data at the scrape",
        "How old the last answers about running jobs were: half of them, 99 %, and all.",
        {"50 %": age("0.5"), "99 %": age("0.99"), "oldest": age("1")},
        "s",
        nothing="no job runs",
    )
    return colored(panel, {"50 %": "green", "99 %": "orange", "oldest": "red"})


def _jobs() -> timeseries.Panel:
    panel = graph(
        "Jobs by state",
        "Jobs that the exporters track: running, ended, and ended but not seen by every "
        "Prometheus yet. A job that two of them watch counts twice.",
        {"{{state}}": f"sum by (state) (dli_exporter_jobs{{{ON_PROJECT}}})"},
        "short",
        nothing=_NOBODY,
    ).decimals(0)
    colors = {"running": "blue", "ended": "green", "ended_unscraped": "orange"}
    return colored(stacked(panel), colors)


def _losses() -> timeseries.Panel:
    def lost(metric: str, on: str) -> str:
        return or_zero(f"sum(increase({metric}{{{on}}}{_RATE}))")

    lines = {
        "jobs dropped": lost("dli_exporter_jobs_dropped_total", ON_PROJECT),
        "ends not seen": lost("dli_exporter_jobs_retired_unscraped_total", ON_PROJECT),
        "registrations refused": lost("dli_exporter_registrations_rejected_total", ON_EXPORTER),
        "fields not understood": lost("dli_exporter_parse_errors_total", ON_EXPORTER),
        "impossible figures": lost("dli_exporter_out_of_range_values_total", ON_EXPORTER),
    }
    return graph(
        "What was lost or refused",
        "Jobs that are not shown although somebody asked for them, ended jobs that left before "
        "every Prometheus had seen their end, registrations that were not accepted, and parts "
        "of answers that could not be used.",
        lines,
        "short",
        nothing=_NOBODY,
    ).axis_soft_max(1)
