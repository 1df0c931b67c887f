"""One HTTP exchange: bounded, no redirects, nothing ambient, and every failure one of ours."""

import errno
import os
import socket
import ssl
from collections.abc import Mapping
from functools import lru_cache
from typing import Final, Literal, NamedTuple

import aiohttp
import yarl

from .errors import (
    ConnectionFailed,
    ContentTypeRefused,
    DliError,
    DnsFailed,
    EndpointNotFound,
    PayloadCut,
    PayloadTooLarge,
    RedirectRefused,
    TimedOut,
    TlsFailed,
)

LARGEST_BODY: Final = 8 * 1024 * 1024
"""Bytes after decompression; 150 sub-jobs take about 100 kB."""
CONNECTIONS: Final = 100
"""Connections of a session at most: further calls would wait for one of them."""
CONNECT_TIMEOUT: Final = 5.0
"""Seconds for one TCP connection."""

_LARGEST_ERROR: Final = 64 * 1024
_KEEPALIVE: Final = 60.0  # seconds: longer than most poll intervals

# The first row that fits counts, so what is special stands above what is general.
MEANINGS: Final[tuple[tuple[type[Exception], type[DliError], str], ...]] = (
    (aiohttp.ClientConnectorDNSError, DnsFailed, "cannot resolve"),
    (socket.gaierror, DnsFailed, "cannot resolve"),
    (aiohttp.ClientSSLError, TlsFailed, "no trustworthy TLS connection to"),
    (aiohttp.ServerFingerprintMismatch, TlsFailed, "no trustworthy TLS connection to"),
    (ssl.SSLError, TlsFailed, "no trustworthy TLS connection to"),
    (TimeoutError, TimedOut, "no answer in time from"),
    (aiohttp.ClientPayloadError, PayloadCut, "a damaged answer from"),
    (aiohttp.ContentTypeError, ContentTypeRefused, "no JSON from"),
    (aiohttp.TooManyRedirects, RedirectRefused, "a redirect from"),
    (aiohttp.RedirectClientError, RedirectRefused, "a redirect from"),
    (aiohttp.ClientResponseError, ConnectionFailed, "no HTTP from"),
    (aiohttp.InvalidURL, EndpointNotFound, "cannot make a URL for"),
    (aiohttp.NonHttpUrlClientError, EndpointNotFound, "cannot make a URL for"),
    (aiohttp.ServerDisconnectedError, ConnectionFailed, "no answer before the end from"),
    (aiohttp.ClientConnectionError, ConnectionFailed, "no connection to"),
    (OSError, ConnectionFailed, "no connection to"),
    (aiohttp.ClientError, ConnectionFailed, "no exchange with"),
)
"""What the exceptions of aiohttp and of the standard library mean."""


class Reply(NamedTuple):
    """An HTTP answer, whole; of an error page only the beginning."""

    status: int
    headers: Mapping[str, str]
    body: bytes

    def __repr__(self) -> str:
        """Leave out what may be secret: IAM answers with a token in a header."""
        return f"Reply({self.status})"


def session(*, ca_file: str | None = None) -> aiohttp.ClientSession:
    """Open a session that takes nothing from its surroundings: no proxy, netrc or cookies.

    TLS is always verified, with the system's authorities and those of ``ca_file``; an OSError
    or ssl.SSLError tells that this file cannot be used. Whoever calls this closes it.
    """
    return aiohttp.ClientSession(
        connector=aiohttp.TCPConnector(
            limit=CONNECTIONS, keepalive_timeout=_KEEPALIVE, ssl=_verifying(ca_file)
        ),
        cookie_jar=aiohttp.DummyCookieJar(),
        trust_env=False,
    )


def _verifying(ca_file: str | None) -> ssl.SSLContext | Literal[True]:
    """Give a context that verifies; True is aiohttp's own, which it has made already.

    Another one with all of the system's authorities takes 20 ms and a megabyte.
    """
    if ca_file is None:
        return True
    context = ssl.create_default_context()
    context.load_verify_locations(ca_file)
    return context


async def fetch(
    session: aiohttp.ClientSession,
    url: str,
    headers: Mapping[str, str],
    *,
    within: float,
    method: str = "GET",
    body: bytes | None = None,
    largest: int = LARGEST_BODY,
) -> Reply:
    """Send a request for exactly this URL and read the whole answer ``within`` seconds.

    Raises nothing but DliError, for a good answer of more than ``largest`` bytes, too; redirects
    come back as they are.
    """
    target = yarl.URL(url, encoded=True)  # or yarl would rewrite escapes that are signed
    try:
        async with session.request(
            method,
            target,
            headers=headers,
            data=body,
            allow_redirects=False,
            timeout=_limits(within),
        ) as response:
            return Reply(response.status, response.headers, await _read(response, largest))
    except (aiohttp.ClientError, OSError) as error:
        # Not chained: aiohttp's exceptions carry the request's headers, credential included.
        raise translate(error, target.host or url) from None


@lru_cache(maxsize=4)  # as a rule all calls have the same
def _limits(within: float) -> aiohttp.ClientTimeout:
    return aiohttp.ClientTimeout(total=within, sock_connect=min(CONNECT_TIMEOUT, within))


def translate(error: Exception, host: str) -> DliError:
    """Say in our terms what an exception of aiohttp or of the standard library means."""
    if isinstance(error, aiohttp.ClientPayloadError) and "ConnectionResetError" in str(error):
        error = ConnectionResetError(errno.ECONNRESET, "")  # aiohttp keeps it as text only
    kind, text = next((kind, text) for known, kind, text in MEANINGS if isinstance(error, known))
    detail = _detail(error)
    return kind(f"{text} {host}: {detail}" if detail else f"{text} {host}")


def _detail(error: Exception) -> str:
    """Find a plain reason; never an exception's own text, which may quote headers."""
    inner = getattr(error, "certificate_error", None) or getattr(error, "os_error", None) or error
    if isinstance(inner, ssl.SSLError):
        return getattr(inner, "verify_message", None) or getattr(inner, "reason", None) or ""
    if not isinstance(inner, OSError):
        return ""
    # Asyncio writes addresses into strerror; resolvers have numbers of their own, below 0.
    number = inner.errno or 0
    return os.strerror(number) if number > 0 else inner.strerror or ""


async def _read(response: aiohttp.ClientResponse, largest: int) -> bytes:
    good = response.status < 300
    limit = largest if good else min(largest, _LARGEST_ERROR)
    if good and (response.content_length or 0) > limit:
        raise PayloadTooLarge(f"an answer of {response.content_length} bytes")
    chunks = [await response.content.readany()]  # as a rule that is all
    size = len(chunks[0])
    while size <= limit and not response.content.at_eof():
        chunks.append(await response.content.readany())
        size += len(chunks[-1])
    if good and size > limit:
        raise PayloadTooLarge(f"an answer of more than {limit} bytes")
    return b"".join(chunks)[:limit]
