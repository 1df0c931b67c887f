"""Which dashboards there are, and how one is written: the same bytes every time."""

from collections.abc import Callable, Mapping
from pathlib import Path
from types import MappingProxyType
from typing import Final

from grafana_foundation_sdk.cog.encoder import JSONEncoder
from grafana_foundation_sdk.models.dashboard import Dashboard

from . import exporter, job, jobs
from .links import EXPORTER, JOB, JOBS

DIRECTORY: Final = Path(__file__).parent.parent / "dashboards"
"""Where the files are committed."""
DASHBOARDS: Final[Mapping[str, Callable[[], Dashboard]]] = MappingProxyType(
    {JOBS: jobs.dashboard, JOB: job.dashboard, EXPORTER: exporter.dashboard}
)
"""What builds each dashboard, by its uid, which is the name of its file too."""


def text(dashboard: Dashboard) -> str:
    """Return the classic JSON of a dashboard."""
    return JSONEncoder(sort_keys=True, indent=2, ensure_ascii=False).encode(dashboard) + "\n"
