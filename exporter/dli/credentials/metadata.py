"""The ECS metadata service: temporary keys of the agency that the server has.

Every pod on a CCE node may ask for them, so nobody should get them without having asked.
"""

from typing import Final

from ..calls import Caller, Request, require_good
from ..errors import AuthenticationFailed, CredentialsUnavailable, ParseError
from ..signing import AccessKey, Token
from ..transport import Reply
from .answers import LARGEST_ANSWER, parse_key

NAME: Final = "metadata"
TIMEOUT: Final = 3.0
"""Seconds for one call, as in the vendor's SDK (auth/internal.py)."""

_TOKEN: Final = "/meta-data/latest/api/token"  # noqa: S105 - a path
_KEYS: Final = "/openstack/latest/securitykey"
_TTL: Final = {"X-Metadata-Token-Ttl-Seconds": "21600"}
_NO_AGENCY: Final = b"Please configure Cloud Service Agency first"
_TOKENLESS: Final = (404, 405, 503)
"""What servers without tokens answer to the question for one."""


async def obtain(caller: Caller, origin: str) -> AccessKey:
    """Ask for the keys; once more, with another token, if the token was refused."""
    try:
        return await _ask(caller, origin)
    except CredentialsUnavailable:
        raise
    except AuthenticationFailed:
        return await _ask(caller, origin)


async def _ask(caller: Caller, origin: str) -> AccessKey:
    request = Request(
        endpoint=NAME, url=origin + _TOKEN, method="PUT", headers=_TTL, largest=LARGEST_ANSWER
    )
    token = await caller.call(request, _read_token, judge=_may_be_tokenless)
    request = Request(
        endpoint=NAME,
        url=origin + _KEYS,
        headers={"X-Metadata-Token": token} if token else {},
        largest=LARGEST_ANSWER,
    )
    return await caller.call(
        request, parse_key, judge=_must_have_agency, secrets=(token,) if token else ()
    )


def _read_token(reply: Reply) -> str | None:
    if reply.status in _TOKENLESS:
        return None
    try:
        return Token(reply.body.decode("ascii").strip()).value
    except ValueError:  # a UnicodeDecodeError is one
        raise ParseError("the metadata token is not one word") from None


def _may_be_tokenless(reply: Reply, now: float, skew: float | None) -> None:
    if reply.status not in _TOKENLESS:
        require_good(reply, now, skew)


def _must_have_agency(reply: Reply, now: float, skew: float | None) -> None:
    if reply.status == 401 and _NO_AGENCY in reply.body:
        raise CredentialsUnavailable("no agency is set for this server: choose one in the console")
    require_good(reply, now, skew)
