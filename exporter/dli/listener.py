"""Who hears how calls and renewals go, for the exporter's own metrics and log."""

from collections.abc import Callable
from typing import NamedTuple

from .calls import Call
from .errors import CredentialsUnavailable


class Listener(NamedTuple):
    """Hears of every call, of credentials that could not be obtained, and of those that were."""

    called: Callable[[Call], None] = lambda call: None
    failed: Callable[[CredentialsUnavailable], None] = lambda error: None
    renewed: Callable[[], None] = lambda: None
