"""The dashboards as code: ``python -m grafana.generator`` writes them."""

from .files import DASHBOARDS, DIRECTORY, text

__all__ = ["DASHBOARDS", "DIRECTORY", "text"]
