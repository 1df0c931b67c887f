"""Prometheus exporter for the progress of Huawei Cloud DLI SQL jobs."""

__version__ = "0.1.0"
"""The package takes its version from here: to look it up in there costs 2 ms and 0.3 MiB."""
