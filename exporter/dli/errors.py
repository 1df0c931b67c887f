"""What can go wrong between the exporter and DLI: one tree, and each leaf decides by its type.

::

    DliError
    ├── NoAnswer                   nothing usable came over the wire
    │   ├── ConnectionFailed       connection      refused, reset, closed, not HTTP
    │   ├── DnsFailed              dns
    │   ├── TlsFailed              tls             never an insecure fallback
    │   ├── TimedOut               timeout
    │   └── RedirectRefused        redirect        a credential must not travel on
    ├── UnreadableAnswer           something came, and it is not what DLI says
    │   ├── PayloadCut             payload         shorter than announced
    │   ├── PayloadTooLarge        payload
    │   ├── ContentTypeRefused     content_type    a gateway's or portal's page
    │   └── ParseError             parse
    ├── Refusal                    DLI, or the gateway before it, said no
    │   ├── Unsuccessful           unsuccessful    HTTP 200 with is_success false
    │   ├── RequestRejected        request
    │   ├── JobNotFound            not_found
    │   ├── JobExpired             expired
    │   ├── EndpointNotFound       endpoint        a mistake in the settings, never "job gone"
    │   ├── QueueBusy              busy
    │   ├── Throttled              throttled
    │   ├── BackendFailed          backend         HTTP 500 from behind the gateway
    │   ├── ServerFailed           server          any other 5xx, and 408
    │   └── Forbidden              forbidden
    ├── ProjectUnknown             project         IAM does not show the project that is meant
    └── AuthenticationFailed       who asked could not be told, or not be asked for
        ├── SignatureRejected      signature
        ├── KeyUnknown             key_unknown
        ├── KeyLocked              key_locked
        ├── ClockSkewed            clock_skew
        ├── TokenRejected          token
        ├── Unauthorized           unauthorized    an HTTP 401 that says no more
        └── CredentialsUnavailable credentials     nothing to sign with: no call was made
"""

import re
from collections.abc import Iterator
from copy import copy
from enum import StrEnum
from typing import ClassVar, Final

_LENGTH: Final = 200
# The gateway answers a bad signature with the canonical request, headers and all.
_ECHO: Final = re.compile(r"[\s,;:]*canonical.?request.*", re.IGNORECASE | re.DOTALL)
# Not after a slash: "/etc/dli/sk: is empty" names a file.
_HEADER: Final = re.compile(
    r"(?<![\w/])"
    r"(authorization|x-(?:auth|security|subject|metadata)-token|security_?token|id_?token"
    r"|signature|password|secret|access|ak|sk)"
    r"([\"']?\s*[:=]\s*[\"']?)(?:SDK-HMAC-SHA256\s+)?[^\s,;|\"']+",
    re.IGNORECASE,
)


class Scope(StrEnum):
    """Whose problem an error is: only this job's, or that of every call of the project."""

    JOB = "job"
    PROJECT = "project"


def redact(text: str) -> str:
    """Make foreign text fit for logs: one printable line, bounded, without header values."""
    text = _HEADER.sub(r"\1\2…", _ECHO.sub("", text))
    line = " ".join("".join(c if c.isprintable() else " " for c in text).split())
    return line if len(line) <= _LENGTH else f"{line[: _LENGTH - 1]}…"


class DliError(Exception):
    """Any failure to learn something from DLI; ``str()`` is one clear line without secrets.

    ``reason`` is the metric's label; ``retryable`` says whether the same call may work in a
    moment; ``scope`` whose problem it is; ``outage`` whether it tells that the whole service
    is out of reach, so that asking for other jobs is idle; ``counts_towards_lock`` whether the
    gateway counts it (more than five in a row lock the key for five minutes, apig-faq-0003).

    ``called`` is false if no HTTP call was made for it, so it is news about no job.
    ``retry_after`` is the wait that the answer asked for, in seconds.
    """

    reason: ClassVar[str]
    retryable: ClassVar[bool] = False
    scope: ClassVar[Scope] = Scope.PROJECT
    outage: ClassVar[bool] = False
    counts_towards_lock: ClassVar[bool] = False

    def __init__(self, message: str, *, retry_after: float | None = None) -> None:
        """Keep the message's presentable part."""
        super().__init__(redact(message))
        self.called = True
        self.retry_after = retry_after

    def uncalled(self) -> "DliError":
        """Give the same error for a call that was not made because of it."""
        again = copy(self)
        again.called = False
        return again


class NoAnswer(DliError):
    """Nothing usable came over the wire."""

    outage = True


class ConnectionFailed(NoAnswer):
    """The connection was refused, reset or closed, or its other end does not speak HTTP."""

    reason = "connection"
    retryable = True


class DnsFailed(NoAnswer):
    """The endpoint's name could not be resolved."""

    reason = "dns"
    retryable = True


class TlsFailed(NoAnswer):
    """No trustworthy TLS connection: expired, self-signed, or another host's certificate."""

    reason = "tls"


class TimedOut(NoAnswer):
    """No connection, or no whole answer, in time."""

    reason = "timeout"
    retryable = True


class RedirectRefused(NoAnswer):
    """The answer points elsewhere; it is not followed, since the credential would travel too."""

    reason = "redirect"


class UnreadableAnswer(DliError):
    """An answer came, but not one that DLI gives."""

    scope = Scope.JOB


class PayloadCut(UnreadableAnswer):
    """The body ended before its announced end, or could not be decompressed."""

    reason = "payload"
    retryable = True


class PayloadTooLarge(UnreadableAnswer):
    """The body is larger than any answer that makes sense."""

    reason = "payload"


class ContentTypeRefused(UnreadableAnswer):
    """A page instead of JSON: something between here and DLI answers in its place."""

    reason = "content_type"
    scope = Scope.PROJECT
    outage = True


class ParseError(UnreadableAnswer):
    """The body is no JSON or has not the shape that was asked for; ``field`` says where."""

    reason = "parse"

    def __init__(
        self, message: str, *, field: str = "body", retry_after: float | None = None
    ) -> None:
        """Take the name of the field that could not be read."""
        super().__init__(message, retry_after=retry_after)
        self.field = field


class Refusal(DliError):
    """DLI, or the gateway before it, answered that it will not."""


class Unsuccessful(Refusal):
    """HTTP 200 with ``is_success`` false and no code."""

    reason = "unsuccessful"
    scope = Scope.JOB


class RequestRejected(Refusal):
    """A request that will not work later either."""

    reason = "request"
    scope = Scope.JOB


class JobNotFound(Refusal):
    """DLI says that there is no such object; the list API can confirm it."""

    reason = "not_found"
    scope = Scope.JOB


class JobExpired(Refusal):
    """DLI has forgotten the job's result."""

    reason = "expired"
    scope = Scope.JOB


class EndpointNotFound(Refusal):
    """The API is not there: a wrong endpoint or region, and no word about any job."""

    reason = "endpoint"
    outage = True


class QueueBusy(Refusal):
    """The job's queue is busy, or too old to tell progress; the code does not say which."""

    reason = "busy"
    retryable = True
    scope = Scope.JOB


class Throttled(Refusal):
    """Too many requests; ``limit`` is the quota in requests a second, where the text tells it."""

    reason = "throttled"
    retryable = True

    def __init__(
        self, message: str, *, limit: float | None = None, retry_after: float | None = None
    ) -> None:
        """Take the quota that the answer's text names, in requests a second."""
        super().__init__(message, retry_after=retry_after)
        self.limit = limit


class BackendFailed(Refusal):
    """HTTP 500 with one of DLI's own codes: about this job, as the gateway let it through."""

    reason = "backend"
    retryable = True
    scope = Scope.JOB


class ServerFailed(Refusal):
    """The service is out of order: 5xx or 408."""

    reason = "server"
    retryable = True
    outage = True


class Forbidden(Refusal):
    """Known, but not allowed."""

    reason = "forbidden"


class ProjectUnknown(DliError):
    """The project's id was not given, and IAM does not show exactly one that can be meant."""

    reason = "project"


class AuthenticationFailed(DliError):
    """The caller could not be told."""


class SignatureRejected(AuthenticationFailed):
    """The signature does not fit: a wrong secret key, or a proxy that rewrites requests."""

    reason = "signature"
    counts_towards_lock = True


class KeyUnknown(AuthenticationFailed):
    """The access key does not exist (any more)."""

    reason = "key_unknown"
    counts_towards_lock = True


class KeyLocked(AuthenticationFailed):
    """Too many failures in a row, by anybody who uses the key: locked for five minutes."""

    reason = "key_locked"
    counts_towards_lock = True


class ClockSkewed(AuthenticationFailed):
    """The clocks of this machine and of the gateway are more than 15 minutes apart."""

    reason = "clock_skew"
    counts_towards_lock = True


class TokenRejected(AuthenticationFailed):
    """The token is missing, unreadable or expired."""

    reason = "token"
    outage = True


class Unauthorized(AuthenticationFailed):
    """An HTTP 401 that says no more; it may well count towards the key's lock."""

    reason = "unauthorized"
    outage = True
    counts_towards_lock = True


class CredentialsUnavailable(AuthenticationFailed):
    """There is no credential to call with: the line says which source, and what is wrong."""

    reason = "credentials"

    def __init__(self, message: str, *, retry_after: float | None = None) -> None:
        """Note that no call was made."""
        super().__init__(message, retry_after=retry_after)
        self.called = False


def leaves(error: type[DliError] = DliError) -> Iterator[type[DliError]]:
    """Walk over the errors that are really raised."""
    subclasses = error.__subclasses__()
    if not subclasses:
        yield error
    for subclass in subclasses:
        yield from leaves(subclass)


REASONS: Final = tuple(sorted({leaf.reason for leaf in leaves()}))
"""Every value of the metric label ``reason``."""
