"""The values that the status page shows beside the jobs. Times are Unix seconds."""

from dataclasses import dataclass
from typing import NamedTuple


@dataclass(frozen=True, slots=True, kw_only=True)
class Failure:
    """Calls of a project that fail, or failed not long ago, for one reason.

    ``message`` is the last one's line, without secrets. They began at ``since``, and there
    were ``count`` up to ``last``; they are ``over`` once the last call for each subject
    succeeded. Until then ``jobs`` counts the jobs concerned, of which ``job_id`` is one, and
    ``of`` names what else fails.
    """

    reason: str
    message: str
    since: float
    last: float
    count: int
    over: bool
    jobs: int = 0
    job_id: str = ""
    of: tuple[str, ...] = ()


class Health(NamedTuple):
    """How a project's calls go; ``up`` is None before the first answer.

    ``failures`` begin with those that last, then the newest.
    """

    project: str
    up: bool | None = None
    last_success: float | None = None
    failures: tuple[Failure, ...] = ()


class Reload(NamedTuple):
    """When the settings were last read, what was wrong, and since when those in force are."""

    at: float
    in_force: float
    mistakes: tuple[str, ...] = ()


class State(NamedTuple):
    """Everything that the page tells beside the jobs, as of ``now``.

    Data of a running job that are older than ``stale`` seconds are pointed at.
    """

    now: float
    version: str
    healthy: bool
    ready: bool
    stale: float
    reload: Reload
    projects: tuple[Health, ...] = ()
