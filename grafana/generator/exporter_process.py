"""Panels about the exporter as a process: what it serves, and what it uses."""

from grafana_foundation_sdk.builders import timeseries

from . import frame
from .panels import graph
from .queries import ON_EXPORTER, ON_PROJECT, of_exporters

_RATE = "[$__rate_interval]"
_NOBODY = "no exporter"


def section() -> frame.Section:
    """Return the section."""
    return frame.section(
        "Process",
        frame.band(8, _series(), _memory(), _cpu()),
        frame.band(8, _size(), _scrape(), _skew()),
    )


def _series() -> timeseries.Panel:
    return graph(
        "Series",
        "Series of jobs and sub-jobs that each exporter shows.",
        {"{{instance}}": f"dli_exporter_series{{{ON_EXPORTER}}}"},
        "short",
        nothing=_NOBODY,
    ).decimals(0)


def _memory() -> timeseries.Panel:
    return graph(
        "Memory",
        "Resident memory of each exporter.",
        {"{{instance}}": of_exporters(f"process_resident_memory_bytes{{{ON_EXPORTER}}}")},
        "bytes",
        nothing=_NOBODY,
    )


def _cpu() -> timeseries.Panel:
    used = f"rate(process_cpu_seconds_total{{{ON_EXPORTER}}}{_RATE})"
    return graph(
        "CPU",
        "The share of a core that each exporter uses.",
        {"{{instance}}": of_exporters(used)},
        "percentunit",
        nothing=_NOBODY,
    )


def _size() -> timeseries.Panel:
    return graph(
        "Size of a scrape",
        "The last answer to a scrape, as it went over the wire.",
        {"{{instance}} {{encoding}}": f"dli_exporter_scrape_bytes{{{ON_EXPORTER}}} > 0"},
        "bytes",
        nothing=_NOBODY,
    )


def _scrape() -> timeseries.Panel:
    return graph(
        "Duration of a scrape",
        "How long Prometheus takes to get everything.",
        {"{{instance}}": of_exporters(f"scrape_duration_seconds{{{ON_EXPORTER}}}")},
        "s",
        nothing=_NOBODY,
    )


def _skew() -> timeseries.Panel:
    return graph(
        "Clock skew",
        "How far the exporter's clock is from DLI's; DLI refuses what is signed at another time.",
        {"{{project}}": f"max by (project) (abs(dli_exporter_clock_skew_seconds{{{ON_PROJECT}}}))"},
        "s",
        nothing="no answer yet",
    )
