"""The API gateway in front of DLI: signatures, tokens, the lock on bad keys, throttling."""

import hashlib
import hmac
import math
import re
from calendar import timegm
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from time import strptime
from types import MappingProxyType
from typing import Final

from ..dli.signing import canonical_request, signature
from .answers import Refusal, Refused

CLOCK_SKEW: Final = 15 * 60.0
"""Seconds by which a request's date may differ from the gateway's (api-sign-0001)."""
FAILURES_BEFORE_LOCK: Final = 5
"""An access key is locked after more consecutive failures than this (apig-faq-0003)."""
LOCK: Final = 5 * 60.0
"""Seconds for which it is."""

_NOT_AUTHORIZED: Final = Refusal(
    403, "APIGW.0302", "The IAM user is not authorized to access the API."
)
_OUTDATED_TOKEN: Final = Refusal(401, "APIGW.0307", "The token must be updated.")
_AUTHORIZATION: Final = re.compile(
    r"SDK-HMAC-SHA256 Access=([^,\s]+), ?SignedHeaders=([^,\s]+), ?Signature=([0-9a-f]{64})"
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Project:
    """A project and the credentials that open it.

    Temporary keys have a ``security_token``; ``token`` is good for ``X-Auth-Token`` until
    ``token_expires`` (Unix seconds). Projects may share one access key, as those of one IAM
    user do. ``name`` is what the settings call the project.
    """

    id: str
    ak: str
    sk: str = field(repr=False)
    name: str = "default"
    security_token: str | None = field(default=None, repr=False)
    token: str | None = field(default=None, repr=False)
    token_expires: float = math.inf


@dataclass(frozen=True, slots=True)
class Throttle:
    """At most ``limit`` requests per project in ``period`` seconds, refilled evenly.

    ``retry_after`` tells whether a refusal says when to come back; the real gateway is not
    known to.
    """

    limit: int
    period: float = 1.0
    retry_after: bool = False

    def __post_init__(self) -> None:
        """Refuse what would let nothing through."""
        if self.limit < 1 or self.period <= 0:
            raise ValueError(f"throttle: {self.limit} per {self.period} s lets nothing through")


@dataclass(frozen=True, slots=True, kw_only=True)
class SignedRequest:
    """What a signature covers: ``path`` as it came, ``query`` decoded, ``body_hash`` SHA-256."""

    method: str
    path: str
    query: Sequence[tuple[str, str]]
    headers: Mapping[str, str]
    body: bytes = field(default=b"", repr=False)


@dataclass(frozen=True, slots=True)
class _Lent:
    """Credentials that end."""

    project: Project
    until: float


@dataclass(slots=True)
class _Lock:
    """Consecutive failures of one access key."""

    failures: int = 0
    until: float = -math.inf


@dataclass(slots=True)
class _Bucket:
    """Tokens left for one project, as of ``updated``."""

    tokens: float
    updated: float


class Gateway:
    """Decides who passes; keeps count of failed keys and of requests."""

    def __init__(self, projects: Iterable[Project], throttle: Throttle | None = None) -> None:
        """Serve ``projects``; ValueError when two of them disagree about one access key."""
        self.throttle = throttle
        self._projects: Mapping[str, Project] = MappingProxyType({})
        self._lent: dict[str, _Lent] = {}
        self._locks: dict[str, _Lock] = {}
        self._buckets: dict[str, _Bucket] = {}
        for project in projects:
            self.put(project)

    @property
    def projects(self) -> Mapping[str, Project]:
        """The projects by id."""
        return self._projects

    def put(self, project: Project) -> None:
        """Add a project, or change one's credentials; its key's failures are forgotten."""
        for other in self._projects.values():
            if other.ak == project.ak and other.id != project.id and other.sk != project.sk:
                raise ValueError(f"projects {other.id} and {project.id}: one AK, two secrets")
        self._projects = MappingProxyType({**self._projects, project.id: project})
        self._locks.pop(project.ak, None)

    def lend(self, project: Project, until: float = math.inf) -> None:
        """Open a project to temporary keys or a token beside its own, until then (Unix seconds).

        ``project`` has its id and the other credentials, of which the access key is the name.
        """
        self._lent[project.ak] = _Lent(project, until)

    def revoke(self, ak: str) -> None:
        """Take credentials back before their time; KeyError if they were not lent."""
        del self._lent[ak]

    def admit(self, request: SignedRequest, project_id: str, now: float) -> None:
        """Let a request pass, or raise Refused with what the real gateway would answer."""
        opened = self._authenticate(request, now)
        if project_id not in {project.id for project in opened}:
            raise Refused(_NOT_AUTHORIZED)
        self._spend(project_id, now)

    def unlock(self) -> None:
        """Forget every failure and every request counted."""
        self._locks.clear()
        self._buckets.clear()

    def _authenticate(self, request: SignedRequest, now: float) -> Sequence[Project]:
        if token := request.headers.get("X-Auth-Token"):
            return self._by_token(token, now)
        match = _AUTHORIZATION.fullmatch(request.headers.get("Authorization", ""))
        if not match:
            raise _unauthorized("x-auth-token not found")
        ak, signed, given = match.groups()
        opened = [project for project in self._known(now) if project.ak == ak]
        if not opened:
            raise _unauthorized(f"Get secretKey failed,ak:{ak},err:ak not exist", "APIG.0301")
        self._try_key(request, opened[0], signed, given, now)
        return opened

    def _known(self, now: float) -> Iterator[Project]:
        """Go through the projects, once for each set of credentials that opens one."""
        yield from self._projects.values()
        yield from (each.project for each in self._lent.values() if now < each.until)

    def _by_token(self, token: str, now: float) -> Sequence[Project]:
        opened = [each for each in self._known(now) if _same(each.token, token)]
        if not opened:
            raise _unauthorized("decrypt token fail")
        valid = [each for each in opened if now < each.token_expires]
        if not valid:
            raise Refused(_OUTDATED_TOKEN)
        return valid

    def _try_key(
        self, request: SignedRequest, project: Project, signed: str, given: str, now: float
    ) -> None:
        """Check a signature, and lock the key after too many bad ones in a row."""
        lock = self._locks.setdefault(project.ak, _Lock())
        if now < lock.until:
            raise _unauthorized("AK access failed to reach the limit,forbidden.", "APIG.0301")
        try:
            _verify(request, project, signed.split(";"), given, now)
        except Refused:
            lock.failures += 1
            if lock.failures > FAILURES_BEFORE_LOCK:
                lock.failures, lock.until = 0, now + LOCK
            raise
        lock.failures = 0

    def _spend(self, project_id: str, now: float) -> None:
        throttle = self.throttle
        if throttle is None:
            return
        bucket = self._buckets.setdefault(project_id, _Bucket(throttle.limit, now))
        refilled = max(0.0, now - bucket.updated) * throttle.limit / throttle.period
        bucket.tokens = min(throttle.limit, bucket.tokens + refilled)
        bucket.updated = now
        # A nanotoken of slack: ten refills of a tenth must make up a whole.
        if bucket.tokens < 1 - 1e-9:
            raise _throttled(throttle, (1 - bucket.tokens) * throttle.period / throttle.limit)
        bucket.tokens -= 1


def _verify(
    request: SignedRequest, project: Project, signed: Sequence[str], given: str, now: float
) -> None:
    headers = {name.lower(): value for name, value in request.headers.items()}
    date = headers.get("x-sdk-date", "")
    _check_date(date, now)
    _check_security_token(headers.get("x-security-token"), project)
    required = {"host", "x-sdk-date"} | ({"x-security-token"} & headers.keys())
    if not required <= set(signed) <= headers.keys():
        raise _unauthorized("verify aksk signature fail,headers not signed or missing")
    canonical = canonical_request(
        request.method, request.path, request.query, headers, signed, _body_hash(request, headers)
    )
    if not hmac.compare_digest(signature(project.sk, date, canonical), given):
        # The real gateway echoes what it signed, secrets included, with | for line breaks.
        echo = canonical.replace("\n", "|")
        raise _unauthorized(f"verify aksk signature fail,canonicalRequest:{echo}")


def _check_date(date: str, now: float) -> None:
    try:
        moment = timegm(strptime(date, "%Y%m%dT%H%M%SZ"))
    except ValueError:
        raise _unauthorized("verify aksk signature fail,x-sdk-date not found") from None
    if abs(now - moment) > CLOCK_SKEW:
        raise _unauthorized(
            "verify aksk signature fail, calc ak sk signature fail:signature expired"
        )


def _check_security_token(given: str | None, project: Project) -> None:
    if given is None and project.security_token is not None:
        message = f"Get secretKey failed,ak:{project.ak},err:ak not exist"
        raise _unauthorized(message, "APIG.0301")
    if given is not None and not _same(project.security_token, given):
        raise _unauthorized("decrypt token fail")


def _body_hash(request: SignedRequest, headers: Mapping[str, str]) -> str:
    """Hash the body; a header takes the hash's place, but only beside a body (SDK Signer)."""
    declared = headers.get("x-sdk-content-sha256")
    if declared and request.body:
        return declared
    return hashlib.sha256(request.body).hexdigest()


def _same(known: str | None, given: str) -> bool:
    return known is not None and hmac.compare_digest(known.encode(), given.encode())


def _unauthorized(reason: str, code: str = "APIGW.0301") -> Refused:
    return Refused(Refusal(401, code, f"Incorrect IAM authentication information: {reason}"))


def _throttled(throttle: Throttle, wait: float) -> Refused:
    unit = "1 second" if throttle.period == 1 else f"{throttle.period:g} second"
    if throttle.period == 60:
        unit = "1 minute"
    tail = f"policy user over ratelimit,limit:{throttle.limit},time:{unit}"
    headers = {"Retry-After": str(math.ceil(wait))} if throttle.retry_after else {}
    message = f"The throttling threshold has been reached: {tail}"
    return Refused(Refusal(429, "APIGW.0308", message, headers))
