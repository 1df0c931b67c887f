"""IAM and STS, asked for credentials: each call spends from the quota of the project it is for."""

import asyncio
import json
from collections.abc import Awaitable, Callable, Mapping
from typing import Final, TypeVar

from .calls import Caller, Request
from .endpoints import origin
from .pacing import Bucket
from .transport import Reply

TOKENS: Final = "/v3/auth/tokens"
ID_TOKENS: Final = "/v3.0/OS-AUTH/id-token/tokens"
SECURITY_TOKENS: Final = "/v3.0/OS-CREDENTIAL/securitytokens"
ASSUME_WITH_OIDC: Final = "/v5/agencies/assume-with-oidc"

_LARGEST_ANSWER: Final = 256 * 1024
_JSON: Final = "application/json;charset=utf8"

_T = TypeVar("_T")


class Iam:
    """One IAM or STS endpoint, on behalf of one project.

    It does not wait in the project's line of calls, whose first may be waiting for the answer.
    """

    def __init__(
        self,
        endpoint: str,
        caller: Caller,
        bucket: Bucket,
        *,
        monotonic: Callable[[], float],
        sleep: Callable[[float], Awaitable[object]] = asyncio.sleep,
    ) -> None:
        """Take the address, and what to call with; ValueError for a bad address."""
        self._origin, _ = origin(endpoint)
        self._caller = caller
        self._bucket = bucket
        self._monotonic = monotonic
        self._sleep = sleep

    async def post(
        self,
        path: str,
        document: object,
        read: Callable[[Reply], _T],
        *,
        query: str = "",
        headers: Mapping[str, str] | None = None,
        secrets: tuple[str, ...],
    ) -> _T:
        """Post JSON, of which ``secrets`` are never repeated, and ``read`` the answer."""
        while pause := self._bucket.take(self._monotonic()):
            await self._sleep(pause)
        request = Request(
            endpoint=path,
            url=f"{self._origin}{path}{query}",
            method="POST",
            headers={"Content-Type": _JSON, **(headers or {})},
            body=json.dumps(document).encode(),
            largest=_LARGEST_ANSWER,
        )
        return await self._caller.call(request, read, secrets=secrets)
