"""OpenID Connect: a token that Kubernetes, or whoever runs us, vouches with, becomes keys.

There are two ways: an identity provider of IAM gives a token, and that gives keys (IAM v3); or
STS takes on an agency that trusts the provider (v5).
"""

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from typing import Final

from ..iam import ASSUME_WITH_OIDC, ID_TOKENS, SECURITY_TOKENS, Iam
from ..signing import AccessKey
from .answers import parse_key, parse_unscoped_token

NAME: Final = "oidc"


@dataclass(frozen=True, slots=True, kw_only=True)
class Agency:
    """What STS needs to know; ``duration`` is in seconds, the policies narrow the agency's."""

    provider_urn: str
    agency_urn: str
    session_name: str
    duration: float
    policy: str | None = None
    policy_ids: Sequence[str] = ()


async def from_iam(
    iam: Iam, id_token: Callable[[], Awaitable[str]], *, idp_id: str, duration: float
) -> AccessKey:
    """Exchange the token for IAM's own, and that for keys that live for ``duration`` seconds."""
    given = await id_token()
    unscoped = await iam.post(
        ID_TOKENS,
        {"auth": {"id_token": {"id": given}}},
        parse_unscoped_token,
        headers={"X-Idp-Id": idp_id},
        secrets=(given,),
    )
    token = {"id": unscoped.value, "duration_seconds": int(duration)}
    return await iam.post(
        SECURITY_TOKENS,
        {"auth": {"identity": {"methods": ["token"], "token": token}}},
        parse_key,
        secrets=(given, unscoped.value),
    )


async def from_sts(
    sts: Iam, id_token: Callable[[], Awaitable[str]], *, agency: Agency
) -> AccessKey:
    """Take on the agency with the token."""
    given = await id_token()
    document = {
        "provider_urn": agency.provider_urn,
        "agency_urn": agency.agency_urn,
        "agency_session_name": agency.session_name,
        "id_token": given,
        "duration_seconds": int(agency.duration),
    }
    if agency.policy:
        document["policy"] = agency.policy
    if agency.policy_ids:
        document["policy_ids"] = list(agency.policy_ids)
    return await sts.post(ASSUME_WITH_OIDC, document, parse_key, secrets=(given,))
