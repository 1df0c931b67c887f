"""One call of an API: sent, read, told of, and rid of the secrets that an answer may echo."""

import json
import time
from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import Final, NamedTuple, TypeVar

import aiohttp

from .errors import ContentTypeRefused, DliError, RedirectRefused
from .refusals import parse_error, parse_retry_after
from .times import parse_http_date
from .transport import LARGEST_BODY, Reply, fetch

PLAIN: Final = {
    "Accept": "application/json",
    "Accept-Encoding": "gzip, deflate",
    "User-Agent": "dli-exporter",
    "X-Language": "en-us",  # the errors' texts tell more than their codes
}
"""What every request carries, unsigned."""

_SHORTEST_SECRET: Final = 16
_SHORTEST_ECHO: Final = 4

_T = TypeVar("_T")


class Call(NamedTuple):
    """One HTTP exchange, for the exporter's own metrics.

    ``endpoint`` is a template, one of a small set; ``skew`` this machine's clock minus the
    answer's Date header, in seconds, None if there was no such header.
    """

    endpoint: str
    seconds: float
    error: DliError | None = None
    skew: float | None = None


class Request(NamedTuple):
    """What goes out; ``endpoint`` is the template of ``url``'s path."""

    endpoint: str
    url: str
    method: str = "GET"
    headers: Mapping[str, str] = MappingProxyType({})
    body: bytes | None = None
    largest: int = LARGEST_BODY

    def __repr__(self) -> str:
        """Leave out what may be secret: headers and body."""
        return f"Request({self.method} {self.url})"


def require_good(reply: Reply, now: float, skew: float | None = None) -> None:
    """Raise what a redirect or an answer with an error status means."""
    if 300 <= reply.status < 400:
        raise RedirectRefused(f"HTTP {reply.status}: redirects are not followed")
    if reply.status >= 400:
        moment = now if skew is None else now - skew  # the sender's own clock, if it told
        retry_after = parse_retry_after(reply.headers.get("Retry-After"), moment)
        raise parse_error(reply.status, reply.body, retry_after=retry_after, skew=skew)


class Caller:
    """Makes calls, each within ``timeout`` seconds, and tells ``on_call`` of every one."""

    def __init__(
        self,
        session: aiohttp.ClientSession,
        *,
        timeout: float,
        on_call: Callable[[Call], None] = lambda call: None,
        now: Callable[[], float] = time.time,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        """Take time as arguments: ``now`` is Unix seconds."""
        self._session = session
        self._timeout = timeout
        self._on_call = on_call
        self._now = now
        self._monotonic = monotonic
        self._blotted: tuple[tuple[str, ...], tuple[bytes, ...]] = ((), ())

    async def call(
        self,
        request: Request,
        read: Callable[[Reply], _T],
        *,
        secrets: tuple[str, ...] = (),
        judge: Callable[[Reply, float, float | None], None] = require_good,
        settled: Callable[[DliError | None], None] = lambda error: None,
    ) -> _T:
        """Send a request and ``read`` its answer, if ``judge`` lets it pass; raise DliError if not.

        ``secrets`` are what the request carries, and no error's text may repeat. ``settled``
        hears how it ended, before ``on_call`` does.
        """
        started = self._monotonic()
        skew: float | None = None
        try:
            reply = await fetch(
                self._session,
                request.url,
                {**PLAIN, **request.headers},
                within=self._timeout,
                method=request.method,
                body=request.body,
                largest=request.largest,
            )
            now = self._now()
            skew = _skew(reply, now)
            reply = without_secrets(reply, self._forms(secrets))
            judge(reply, now, skew)
            answer = read(reply)
        except DliError as error:
            settled(error)
            self._on_call(Call(request.endpoint, self._monotonic() - started, error, skew))
            raise
        settled(None)
        self._on_call(Call(request.endpoint, self._monotonic() - started, None, skew))
        return answer

    def _forms(self, secrets: tuple[str, ...]) -> tuple[bytes, ...]:
        """Return the forms of secrets, which as a rule are those of the last call."""
        if self._blotted[0] != secrets:
            self._blotted = secrets, forms(secrets)
        return self._blotted[1]


def json_body(reply: Reply) -> bytes:
    """Give the body of an answer; ContentTypeRefused if it says that it is something else."""
    kind = reply.headers.get("Content-Type", "").partition(";")[0].strip().lower()
    if kind and not kind.endswith(("/json", "+json")):
        raise ContentTypeRefused(f"HTTP {reply.status} with {kind} instead of JSON")
    return reply.body


def without_secrets(reply: Reply, secrets: tuple[bytes, ...]) -> Reply:
    """Blot out what an answer may echo of the request.

    Of a good answer only what cannot be found inside of words: nobody repeats it in an error.
    """
    shortest = _SHORTEST_SECRET if reply.status < 300 else _SHORTEST_ECHO
    body = reply.body
    for form in secrets:
        if len(form) >= shortest:
            body = body.replace(form, b"...")
    return reply if body == reply.body else reply._replace(body=body)


def forms(secrets: tuple[str, ...]) -> tuple[bytes, ...]:
    """Return secrets as they may stand in an answer, each form once: plain, and in JSON."""
    written = (form for secret in secrets for form in (secret, json.dumps(secret)[1:-1]))
    return tuple(dict.fromkeys(form.encode() for form in written))


def _skew(reply: Reply, now: float) -> float | None:
    date = parse_http_date(reply.headers.get("Date"))
    return None if date is None else now - date
