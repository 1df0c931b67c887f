"""A DLI over HTTP, made of recorded timelines or of a live Spark, with faults.

It is written from DLI's documents alone and shares no wire model with the client: two readings
of one document can disagree, and tests between them then mean something. Only the request
signature is common, for the vendor's published vectors judge it.
"""

from .connection import settings_environment, settings_text, settings_yaml
from .faults import Cut, Endpoint, Fault
from .gateway import Project, Throttle
from .server import serve
from .simulator import Simulator, demo_project
from .statements import Particulars
from .timeline import Timeline, TimelineError, read_timeline, read_timelines, shipped_timelines
from .workload import DEMO, Repeat, Scene

__all__ = [
    "DEMO",
    "Cut",
    "Endpoint",
    "Fault",
    "Particulars",
    "Project",
    "Repeat",
    "Scene",
    "Simulator",
    "Throttle",
    "Timeline",
    "TimelineError",
    "demo_project",
    "read_timeline",
    "read_timelines",
    "serve",
    "settings_environment",
    "settings_text",
    "settings_yaml",
    "shipped_timelines",
]
