"""Settings: what an operator may set, in a YAML file, the environment and flags."""

from .load import load, require_project
from .mistakes import SettingsError
from .model import Discovery, Project, Settings, Simulator
from .sources import FlagParser
from .values import Duration, ListenAddress

__all__ = [
    "Discovery",
    "Duration",
    "FlagParser",
    "ListenAddress",
    "Project",
    "Settings",
    "SettingsError",
    "Simulator",
    "load",
    "require_project",
]
