"""What registrations over HTTP are handed to."""

from collections.abc import Callable, Collection
from typing import TYPE_CHECKING, NamedTuple

from ..jobs.model import JobKey, Registration

if TYPE_CHECKING:
    from ..sources.registration import Rejection


class Registry(NamedTuple):
    """What registers jobs.

    ``projects`` are the names in the settings. ``register`` returns None, or why the exporter
    takes the job not now. ``withdraw`` returns whether the job had been registered this way.
    ``rejected`` is told of every registration that was read and turned away. A body may take
    ``body_time`` seconds to arrive.
    """

    enabled: Callable[[], bool]
    projects: Callable[[], Collection[str]]
    known: Callable[[JobKey], bool]
    register: Callable[[Registration], str | None]
    withdraw: Callable[[JobKey], bool]
    rejected: "Callable[[Rejection], None]"
    body_time: float = 10.0
