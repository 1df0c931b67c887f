"""Panels about the calls to DLI: how many, how they end, what they may cost."""

from grafana_foundation_sdk.builders import timeseries
from grafana_foundation_sdk.models import dashboard as model

from . import frame
from .panels import DASHES, graph
from .queries import ON_PROJECT

REQUESTS = "dli_exporter_api_requests_total"
ERRORS = "dli_exporter_api_request_errors_total"
_RATE = "[$__rate_interval]"
_NOBODY = "no exporter"


def section() -> frame.Section:
    """Return the section."""
    return frame.section(
        "DLI's API",
        frame.band(8, _calls(), _errors(), _throttled()),
        frame.band(8, _latency(), _quota()),
    )


def _calls() -> timeseries.Panel:
    return graph(
        "Calls to DLI",
        "Requests by endpoint, repeated ones included.",
        {"{{endpoint}}": f"sum by (endpoint) (rate({REQUESTS}{{{ON_PROJECT}}}{_RATE}))"},
        "reqps",
        nothing=_NOBODY,
    )


def _errors() -> timeseries.Panel:
    return graph(
        "Errors by reason",
        "Requests without a good answer.",
        {"{{reason}}": f"sum by (reason) (rate({ERRORS}{{{ON_PROJECT}}}{_RATE})) > 0"},
        "reqps",
        nothing="no error",
    )


def _latency() -> timeseries.Panel:
    buckets = f"dli_exporter_api_request_duration_seconds_bucket{{{ON_PROJECT}}}"

    def quantile(share: float) -> str:
        return f"histogram_quantile({share}, sum by (le, endpoint) (rate({buckets}{_RATE})))"

    return graph(
        "Time to answer",
        "How long DLI takes to answer, by endpoint: half of the calls and 99 % of them.",
        {"50 % {{endpoint}}": quantile(0.5), "99 % {{endpoint}}": quantile(0.99)},
        "s",
        nothing="no call",
    )


def _quota() -> timeseries.Panel:
    used = f"sum by (project) (rate({REQUESTS}{{{ON_PROJECT}}}{_RATE}))"
    limit = f"sum by (project) (dli_exporter_api_requests_per_second_limit{{{ON_PROJECT}}})"
    panel = graph(
        "Quota in use",
        "Requests a second, and how many the exporter allows itself at present: less after "
        "DLI has throttled it.",
        {"{{project}} in use": used, "{{project}} allowed": limit},
        "reqps",
        nothing=_NOBODY,
    )
    return panel.override_by_regexp(
        "/ allowed$/",
        [
            model.DynamicConfigValue(id_val="custom.lineStyle", value=DASHES),
            model.DynamicConfigValue(id_val="custom.fillOpacity", value=0),
        ],
    )


def _throttled() -> timeseries.Panel:
    throttled = f'{ERRORS}{{{ON_PROJECT}, reason="throttled"}}'
    return graph(
        "Throttled",
        "Requests that DLI refused because there were too many, by anybody in the account.",
        {"{{project}}": f"sum by (project) (rate({throttled}{_RATE}))"},
        "reqps",
        nothing=_NOBODY,
    ).axis_soft_max(1)
