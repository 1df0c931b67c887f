"""A connection to DLI as a project's settings ask for it."""

import ssl
from collections.abc import Callable, Mapping
from functools import partial
from typing import NamedTuple

from aiohttp import ClientSession

from .dli.client import ENDPOINTS, LOOKUP_ENDPOINTS, DliClient
from .dli.credentials import FileProvider, Provider, Static, read_directory, read_token
from .dli.gate import Keys
from .dli.listener import Listener
from .dli.pacing import Bucket
from .dli.projects import Lookup
from .dli.signing import AccessKey, Credential
from .dli.times import DEFAULT_ZONES
from .dli.transport import session
from .settings import Project
from .settings.model import FileCredentials, StaticCredentials, TokenCredentials


class StartError(Exception):
    """The exporter cannot start; ``str()`` is the one line to show."""


class Connection(NamedTuple):
    """What a project's calls are made with; ``endpoints`` are the templates of their paths."""

    session: ClientSession
    provider: Provider
    client: DliClient
    endpoints: tuple[str, ...]

    async def close(self) -> None:
        """Give up what is under way, and close the connections."""
        await self.provider.close()
        await self.session.close()

    def discard(self) -> None:
        """Give up what has never been used: there is no connection to close."""
        self.session.detach()


def connect(
    project: Project,
    *,
    timeout: float,
    zones: Mapping[str, int],
    listener: Listener,
    keys: Keys | None = None,
) -> Connection:
    """Make a connection for a project; StartError if its CA file cannot be used.

    ``timeout`` is in seconds; ``zones`` stand beside or instead of the usual ones; ``keys`` are
    shared by all projects, which may use the same credentials.
    """
    opened = _open_session(project)
    quota = Bucket(project.requests_per_second)
    try:
        provider, endpoints = _provider(project, opened, quota, timeout, listener)
    except BaseException:  # what it needs cannot be imported any more
        opened.detach()
        raise
    client = DliClient(
        opened,
        project.endpoint,
        project_id=project.project_id or Lookup(project.iam_endpoint or "", project.region or ""),
        provider=provider,
        quota=quota,
        timeout=timeout,
        keys=keys,
        on_call=listener.called,
        zones={**DEFAULT_ZONES, **zones},
    )
    looks_up = project.project_id is None and project.credentials.provider != "password"
    asked = (*ENDPOINTS, *endpoints, *(LOOKUP_ENDPOINTS if looks_up else ()))
    return Connection(opened, provider, client, asked)


def _open_session(project: Project) -> ClientSession:
    try:
        return session(ca_file=str(project.ca_file) if project.ca_file else None)
    except (OSError, ssl.SSLError) as error:
        raise StartError(f"{project.ca_file}: holds no usable certificates: {error}") from None


def _provider(
    project: Project, opened: ClientSession, quota: Bucket, timeout: float, listener: Listener
) -> tuple[Provider, tuple[str, ...]]:
    """Return the provider that a project's settings name, and what it asks of IAM or STS."""
    chosen = project.credentials
    if isinstance(chosen, StaticCredentials):
        token = chosen.security_token
        key = AccessKey(
            chosen.ak.get_secret_value(),
            chosen.sk.get_secret_value(),
            token.get_secret_value() if token else None,
        )
        return Static(key), ()
    if isinstance(chosen, FileCredentials):
        return _files(partial(read_directory, chosen.directory), listener), ()
    if isinstance(chosen, TokenCredentials):
        return _files(partial(read_token, chosen.path), listener), ()
    from .providers import obtained  # here: most need no more than keys or files

    return obtained(project, chosen, opened, quota, timeout, listener)


def _files(read: Callable[[], Credential], listener: Listener) -> FileProvider:
    return FileProvider(read, on_error=listener.failed, on_good=listener.renewed)
