"""DLI's API for one project, and the only place that calls it: pacing, retries and breakers."""

import asyncio
import random
import re
import time
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import Final, TypeVar
from urllib.parse import urlsplit

import aiohttp

from ..jobs.model import ListedJob
from .credentials import Provider
from .errors import (
    AuthenticationFailed,
    ContentTypeRefused,
    DliError,
    ParseError,
    RedirectRefused,
    RequestRejected,
)
from .gate import Departure, Gate, Suspension
from .pacing import Backoff
from .queries import JobsQuery
from .refusals import parse_error, parse_retry_after
from .schema import Answer, JobsPage, is_job_id, parse_jobs, parse_progress
from .signing import AccessKey, Credential, Token, request_target, sdk_date, sign
from .times import DEFAULT_ZONES, parse_http_date
from .transport import Reply, fetch

# Two versions in the paths, and no slip: every edition of the documents has them so.
PROGRESS: Final = "/v1/{project_id}/jobs/{job_id}/progress"
JOBS: Final = "/v1.0/{project_id}/jobs"
ENDPOINTS: Final = (PROGRESS, JOBS)
"""Every value of the metric label ``endpoint``."""
RETRIES: Final = 2
"""So often at most one call is tried again."""

_PROJECT_ID: Final = re.compile(r"[A-Za-z0-9_-]{1,64}")
_DEFAULT_PORTS: Final = {"http": ":80", "https": ":443"}
_SHORTEST_SECRET: Final = 16
_ENDPOINT_RULE: Final = "endpoint: must be https://HOST or https://HOST:PORT, and no more"
_UNSIGNED: Final = {
    "Accept": "application/json",
    "Accept-Encoding": "gzip, deflate",
    "User-Agent": "dli-exporter",
    "X-Language": "en-us",  # the errors' texts tell more than their codes
}

_T = TypeVar("_T")


@dataclass(frozen=True, slots=True)
class Call:
    """One HTTP exchange, for the exporter's own metrics.

    ``endpoint`` is a template, one of ``ENDPOINTS``; ``skew`` this machine's clock minus the
    answer's Date header, in seconds, None if there was no such header.
    """

    endpoint: str
    seconds: float
    error: DliError | None = None
    skew: float | None = None


class DliClient:
    """DLI for one project: every method raises DliError and nothing else.

    All calls, retries included, spend from one quota and wait in one line, first come, first
    served. While a breaker is open calls fail at once, with an error whose ``called`` is false.
    Any number of tasks may call at the same time.
    """

    def __init__(
        self,
        session: aiohttp.ClientSession,
        endpoint: str,
        *,
        project_id: str,
        provider: Provider,
        requests_per_second: float,
        timeout: float,
        on_call: Callable[[Call], None] = lambda call: None,
        zones: Mapping[str, int] = DEFAULT_ZONES,
        backoff: Backoff = Backoff(),  # noqa: B008 - a frozen value
        now: Callable[[], float] = time.time,
        monotonic: Callable[[], float] = time.monotonic,
        jitter: Callable[[], float] = random.random,
        sleep: Callable[[float], Awaitable[object]] = asyncio.sleep,
    ) -> None:
        """Take the project's settings, and time and chance; ValueError for a bad setting.

        ``endpoint`` is a URL of scheme, host and port; ``timeout`` is in seconds and bounds
        one exchange; ``zones`` gives seconds east of UTC for the zone names in DLI's times.
        """
        if not _PROJECT_ID.fullmatch(project_id):
            raise ValueError("project_id: 1 to 64 letters, digits, '_' and '-' are allowed")
        self._session = session
        self._origin, self._host = _origin(endpoint)
        self._project_id = project_id
        self._provider = provider
        self._timeout = timeout
        self._on_call = on_call
        self._zones = zones
        self._now = now
        self._monotonic = monotonic
        self._gate = Gate(
            provider,
            requests_per_second=requests_per_second,
            patience=timeout,
            backoff=backoff,
            monotonic=monotonic,
            jitter=jitter,
            sleep=sleep,
        )

    async def progress(self, job_id: str, departed: Callable[[], None] = lambda: None) -> Answer:
        """Ask how far a job is (dli_02_0296); ``departed`` hears that the quota let the call out.

        It hears of the first attempt alone; of none if the call is not made.
        """
        _require_job_id(job_id)
        path = PROGRESS.format(project_id=self._project_id, job_id=job_id)
        parse = partial(parse_progress, job_id=job_id, zones=self._zones)
        return await self._call(PROGRESS, path, (), parse, departed)

    async def jobs(self, query: JobsQuery, page: int = 1) -> JobsPage:
        """List one page of the project's jobs (dli_02_0025), counted from 1."""
        path = JOBS.format(project_id=self._project_id)
        return await self._call(JOBS, path, query.pairs(page), parse_jobs)

    async def job(self, job_id: str) -> ListedJob | None:
        """Look one job up in the list; None only if the list says that there is no such job."""
        _require_job_id(job_id)
        page = await self.jobs(JobsQuery(job_id=job_id))
        for job in page.jobs:
            if job.job_id.lower() == job_id.lower():
                return job
        if page.jobs or page.dropped or page.count:
            raise ParseError("the list was asked for one job and shows others", field="jobs")
        return None

    @property
    def requests_per_second_limit(self) -> float:
        """The present limit: the setting, or less after refusals."""
        return self._gate.limit

    @property
    def suspension(self) -> Suspension | None:
        """Why calls are not made at present; None if they are."""
        return self._gate.suspension

    async def _call(
        self,
        endpoint: str,
        path: str,
        query: Sequence[tuple[str, str]],
        parse: Callable[[bytes], _T],
        departed: Callable[[], None] = lambda: None,
    ) -> _T:
        """Make a call, and again if that is worth it: twice for bad luck, once for a new key."""
        failures, renewed = 0, False
        while True:
            departure = await self._gate.depart()
            if not failures and not renewed:
                departed()
            try:
                return await self._exchange(departure, endpoint, path, query, parse)
            except AuthenticationFailed:
                if renewed or not await self._gate.renew(departure.credential):
                    raise
                renewed = True
            except DliError as error:
                if failures == RETRIES or not await self._gate.retry(error, failures):
                    raise
                failures += 1

    async def _exchange(
        self,
        departure: Departure,
        endpoint: str,
        path: str,
        query: Sequence[tuple[str, str]],
        parse: Callable[[bytes], _T],
    ) -> _T:
        """Send one request and report what came of it, to the breakers and to ``on_call``."""
        started = self._monotonic()
        skew: float | None = None
        try:
            reply = await fetch(
                self._session,
                self._origin + request_target(path, query),
                self._headers(departure.credential, path, query),
                within=self._timeout,
            )
            now = self._now()
            skew = _skew(reply, now)
            answer = parse(_good_body(_without_secrets(reply, departure.credential), now, skew))
        except DliError as error:
            self._gate.settle(departure, error)
            self._on_call(Call(endpoint, self._monotonic() - started, error, skew))
            raise
        except BaseException:  # cancelled, most likely: nobody learned anything
            self._gate.abandon(departure)
            raise
        self._gate.settle(departure, None)
        self._on_call(Call(endpoint, self._monotonic() - started, None, skew))
        return answer

    def _headers(
        self, credential: Credential, path: str, query: Sequence[tuple[str, str]]
    ) -> dict[str, str]:
        headers = {"X-Project-Id": self._project_id}
        if isinstance(credential, Token):
            headers["X-Auth-Token"] = credential.value
        else:
            date = sdk_date(self._now())
            headers |= sign(
                credential, "GET", self._host, path, date=date, query=query, headers=headers
            )
        return {**_UNSIGNED, **headers, "Host": self._host}


def _good_body(reply: Reply, now: float, skew: float | None) -> bytes:
    """Give the body of a good JSON answer; raise what any other answer means."""
    if 300 <= reply.status < 400:
        raise RedirectRefused(f"HTTP {reply.status}: redirects are not followed")
    if reply.status >= 400:
        moment = now if skew is None else now - skew  # the sender's own clock, if it told
        retry_after = parse_retry_after(reply.headers.get("Retry-After"), moment)
        raise parse_error(reply.status, reply.body, retry_after=retry_after, skew=skew)
    kind = reply.headers.get("Content-Type", "").partition(";")[0].strip().lower()
    if kind and not kind.endswith(("/json", "+json")):
        raise ContentTypeRefused(f"HTTP {reply.status} with {kind} instead of JSON")
    return reply.body


def _skew(reply: Reply, now: float) -> float | None:
    date = parse_http_date(reply.headers.get("Date"))
    return None if date is None else now - date


def _without_secrets(reply: Reply, credential: Credential) -> Reply:
    """Blot out what an answer may echo of the request."""
    body = reply.body
    for secret in _secrets(credential):
        # Shorter ones are no real secrets, and would be found inside of words.
        if len(secret) >= _SHORTEST_SECRET:
            body = body.replace(secret.encode(), b"...")
    return reply if body == reply.body else replace(reply, body=body)


def _secrets(credential: Credential) -> tuple[str, ...]:
    if isinstance(credential, AccessKey):
        return tuple(filter(None, (credential.sk, credential.security_token)))
    return (credential.value,)


def _require_job_id(job_id: str) -> None:
    if not is_job_id(job_id):
        raise RequestRejected("a job id has 1 to 64 letters, digits and hyphens").uncalled()


def _origin(endpoint: str) -> tuple[str, str]:
    """Split an endpoint into what comes before the path, and the Host header."""
    try:
        parts = urlsplit(endpoint)
        _ = parts.port  # raises for a port that is none
    except ValueError:
        raise ValueError(_ENDPOINT_RULE) from None
    plain = f"{parts.scheme}://{parts.netloc}"
    if parts.scheme not in _DEFAULT_PORTS or not parts.hostname or "@" in parts.netloc:
        raise ValueError(_ENDPOINT_RULE)
    if endpoint.removesuffix("/") != plain or not plain.isascii():
        raise ValueError(_ENDPOINT_RULE)
    host = parts.netloc.lower()
    return f"{parts.scheme}://{host}", host.removesuffix(_DEFAULT_PORTS[parts.scheme])
