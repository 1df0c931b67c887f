"""Credentials that have to be obtained and renewed, as a project's settings ask for them."""

import asyncio
import time
from collections.abc import Awaitable, Callable
from functools import partial
from pathlib import Path
from typing import Final

from aiohttp import ClientSession
from pydantic import SecretStr

from .dli.calls import Caller
from .dli.credentials import Provider
from .dli.credentials.files import read_line, read_word
from .dli.credentials.renewing import Renewing
from .dli.endpoints import sts_endpoint
from .dli.iam import ASSUME_WITH_OIDC, ID_TOKENS, SECURITY_TOKENS, TOKENS, Iam
from .dli.listener import Listener
from .dli.pacing import Bucket
from .dli.signing import Credential
from .settings import Project
from .settings.model import (
    MetadataCredentials,
    OidcCredentials,
    PasswordCredentials,
    PodIdentityCredentials,
)

Obtain = Callable[[], Awaitable[Credential]]
Obtained = PasswordCredentials | PodIdentityCredentials | OidcCredentials | MetadataCredentials

_IAM_DURATION: Final = 6 * 3600.0
_STS_DURATION: Final = 3600.0
"""Seconds for which the vendor's SDK asks keys (auth/internal.py)."""


def obtained(
    project: Project,
    chosen: Obtained,
    session: ClientSession,
    quota: Bucket,
    timeout: float,
    listener: Listener,
) -> tuple[Provider, tuple[str, ...]]:
    """Return the provider of credentials that end, and what it asks of IAM or STS."""
    caller = Caller(session, timeout=timeout, on_call=listener.called)
    obtain: Obtain
    endpoints: tuple[str, ...]
    if isinstance(chosen, PodIdentityCredentials):
        obtain, endpoints = _pod_identity(chosen, session), ()
    elif isinstance(chosen, MetadataCredentials):
        obtain, endpoints = _metadata(chosen, session), ()
    elif isinstance(chosen, OidcCredentials):
        obtain, endpoints = _oidc(project, chosen, caller, quota)
    else:
        obtain, endpoints = _password(project, chosen, caller, quota)
    provider = Renewing(
        chosen.provider,
        obtain,
        guesses=isinstance(chosen, PasswordCredentials),
        on_error=listener.failed,
        on_good=listener.renewed,
    )
    return provider, endpoints


def _pod_identity(chosen: PodIdentityCredentials, session: ClientSession) -> Obtain:
    from .dli.credentials import pod_identity  # here, as below: of the four one is used

    # Not the project's quota, and no call of its: CCE answers on the node.
    caller = Caller(session, timeout=pod_identity.TIMEOUT)
    return partial(pod_identity.obtain, caller, chosen.uri, chosen.token_file)


def _metadata(chosen: MetadataCredentials, session: ClientSession) -> Obtain:
    from .dli.credentials import metadata

    caller = Caller(session, timeout=metadata.TIMEOUT)  # as above
    return partial(metadata.obtain, caller, chosen.endpoint)


def _oidc(
    project: Project, chosen: OidcCredentials, caller: Caller, quota: Bucket
) -> tuple[Obtain, tuple[str, ...]]:
    from .dli.credentials import oidc

    id_token = _reader(chosen.id_token, chosen.token_file, read_word)
    if chosen.idp_id is not None:
        iam = _iam(project.iam_endpoint, caller, quota)
        duration = chosen.duration or _IAM_DURATION
        by_iam = partial(oidc.from_iam, iam, id_token, idp_id=chosen.idp_id, duration=duration)
        return by_iam, (ID_TOKENS, SECURITY_TOKENS)
    agency = oidc.Agency(
        provider_urn=chosen.provider_urn or "",
        agency_urn=chosen.agency_urn or "",
        session_name=chosen.session_name,
        duration=chosen.duration or _STS_DURATION,
        policy=chosen.policy,
        policy_ids=chosen.policy_ids,
    )
    address = chosen.sts_endpoint or sts_endpoint(project.region or "")
    sts = _iam(address, caller, quota)
    return partial(oidc.from_sts, sts, id_token, agency=agency), (ASSUME_WITH_OIDC,)


def _password(
    project: Project, chosen: PasswordCredentials, caller: Caller, quota: Bucket
) -> tuple[Obtain, tuple[str, ...]]:
    from .dli.credentials import password

    obtain = partial(
        password.obtain,
        _iam(project.iam_endpoint, caller, quota),
        _reader(chosen.password, chosen.password_file, read_line),
        domain=chosen.domain,
        username=chosen.username,
        project_id=project.project_id,
        region=project.region,
    )
    return obtain, (TOKENS,)


def _iam(endpoint: str | None, caller: Caller, quota: Bucket) -> Iam:
    return Iam(endpoint or "", caller, quota, monotonic=time.monotonic)


def _reader(
    secret: SecretStr | None, path: Path | None, read: Callable[[Path], str]
) -> Callable[[], Awaitable[str]]:
    """Return what gives a secret: the one that is set, or what its file holds at that time."""

    async def given() -> str:
        if secret is None and path is not None:
            return await asyncio.to_thread(read, path)
        return secret.get_secret_value() if secret else ""

    return given
