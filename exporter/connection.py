"""A connection to DLI as a project's settings ask for it."""

import ssl
from collections.abc import Callable, Mapping
from functools import partial

from aiohttp import ClientSession

from .dli.client import Call, DliClient
from .dli.credentials import FileProvider, Provider, Static, read_directory, read_token
from .dli.errors import CredentialsUnavailable
from .dli.signing import AccessKey
from .dli.times import DEFAULT_ZONES
from .dli.transport import session
from .settings import Project
from .settings.model import FileCredentials, StaticCredentials


class StartError(Exception):
    """The exporter cannot start; ``str()`` is the one line to show."""


def credentials(
    project: Project, on_error: Callable[[CredentialsUnavailable], None] = lambda error: None
) -> Provider:
    """Return the provider that a project's settings name."""
    chosen = project.credentials
    if isinstance(chosen, StaticCredentials):
        token = chosen.security_token
        key = AccessKey(
            chosen.ak.get_secret_value(),
            chosen.sk.get_secret_value(),
            token.get_secret_value() if token else None,
        )
        return Static(key)
    if isinstance(chosen, FileCredentials):
        return FileProvider(partial(read_directory, chosen.directory), on_error=on_error)
    return FileProvider(partial(read_token, chosen.path), on_error=on_error)


def open_session(project: Project) -> ClientSession:
    """Open a session for a project; StartError if its CA file cannot be used."""
    try:
        return session(ca_file=str(project.ca_file) if project.ca_file else None)
    except (OSError, ssl.SSLError) as error:
        raise StartError(f"{project.ca_file}: holds no usable certificates: {error}") from None


def client(
    project: Project,
    opened: ClientSession,
    *,
    provider: Provider,
    timeout: float,
    zones: Mapping[str, int],
    on_call: Callable[[Call], None],
) -> DliClient:
    """Return a client for a project; ``zones`` stand beside or instead of the usual ones."""
    return DliClient(
        opened,
        project.endpoint,
        project_id=project.project_id,
        provider=provider,
        requests_per_second=project.requests_per_second,
        timeout=timeout,
        on_call=on_call,
        zones={**DEFAULT_ZONES, **zones},
    )
