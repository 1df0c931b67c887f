"""DLI's API for one project, and the only place that calls it: pacing, retries and breakers."""

import asyncio
import random
import time
from collections.abc import Awaitable, Callable, Mapping, Sequence
from functools import partial
from typing import Final, NamedTuple, TypeVar

import aiohttp

from ..jobs.model import ListedJob
from .calls import Call, Caller, Request, json_body
from .credentials import Provider
from .endpoints import origin
from .errors import (
    AuthenticationFailed,
    DliError,
    ParseError,
    Refusal,
    RequestRejected,
    Unauthorized,
)
from .gate import Departure, Gate, Keys, Suspension
from .pacing import Backoff, Bucket
from .projects import Lookup, ProjectId, choose, parse_projects
from .queries import JobsQuery
from .schema import Answer, JobsPage, is_job_id, parse_jobs, parse_progress
from .signing import AccessKey, Credential, Token, request_target, sdk_date, sign
from .times import DEFAULT_ZONES
from .transport import Reply

# Two versions in the paths, and no slip: every edition of the documents has them so.
PROGRESS: Final = "/v1/{project_id}/jobs/{job_id}/progress"
JOBS: Final = "/v1.0/{project_id}/jobs"
ENDPOINTS: Final = (PROGRESS, JOBS)
"""What every project asks: values of the metric label ``endpoint``."""
REACHABLE_PROJECTS: Final = "/v3/auth/projects"
"""Needs no permission (iam_06_0003); that it takes access keys, too, is not documented."""
NAMED_PROJECTS: Final = "/v3/projects"
"""What the vendor's SDK asks; an IAM user needs a permission for it."""
LOOKUP_ENDPOINTS: Final = (REACHABLE_PROJECTS, NAMED_PROJECTS)
"""What is asked besides where the project's id has to be looked up."""
RETRIES: Final = 2
"""So often at most one call is tried again."""

_PROJECT_ID: Final = "{project_id}"

_T = TypeVar("_T")


class _Question(NamedTuple):
    """A GET for ``path`` at ``origin``; ``endpoint`` is the path's template."""

    endpoint: str
    origin: str
    host: str
    path: str
    query: Sequence[tuple[str, str]] = ()
    project_id: str | None = None


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
        project_id: str | Lookup,
        provider: Provider,
        quota: Bucket,
        timeout: float,
        keys: Keys | None = None,
        on_call: Callable[[Call], None] = lambda call: None,
        zones: Mapping[str, int] = DEFAULT_ZONES,
        backoff: Backoff = Backoff(),  # noqa: B008 - a frozen value
        now: Callable[[], float] = time.time,
        monotonic: Callable[[], float] = time.monotonic,
        jitter: Callable[[], float] = random.random,
        sleep: Callable[[float], Awaitable[object]] = asyncio.sleep,
    ) -> None:
        """Take the project's settings, and time and chance; ValueError for a bad setting.

        ``endpoint`` is a URL of scheme, host and port; whoever else calls on the project's behalf
        spends from the same ``quota``; ``timeout`` is in seconds and bounds one exchange; ``keys``
        are shared by clients that may use the same credentials; ``zones`` gives seconds east of UTC
        for the zone names in DLI's times.
        """
        self._origin, self._host = origin(endpoint)
        self._project = ProjectId(project_id, self._look_up, monotonic=monotonic, jitter=jitter)
        self._caller = Caller(
            session, timeout=timeout, on_call=on_call, now=now, monotonic=monotonic
        )
        self._zones = zones
        self._now = now
        self._gate = Gate(
            provider,
            bucket=quota,
            keys=keys or Keys(),
            patience=timeout,
            backoff=backoff,
            monotonic=monotonic,
            jitter=jitter,
            sleep=sleep,
        )

    async def project_id(self) -> str:
        """Give the project's id, after a look at IAM if it was not given and not found yet."""
        return await self._project.get()

    async def progress(self, job_id: str, departed: Callable[[], None] = lambda: None) -> Answer:
        """Ask how far a job is (dli_02_0296); ``departed`` hears that the quota let the call out.

        It hears of the first attempt alone; of none if the call is not made.
        """
        _require_job_id(job_id)
        parse = partial(parse_progress, job_id=job_id, zones=self._zones)
        question = await self._about(PROGRESS, PROGRESS.replace("{job_id}", job_id))
        return await self._call(question, lambda reply: parse(json_body(reply)), departed)

    async def jobs(self, query: JobsQuery, page: int = 1) -> JobsPage:
        """List one page of the project's jobs (dli_02_0025), counted from 1."""
        question = await self._about(JOBS, JOBS, query.pairs(page))
        return await self._call(question, lambda reply: parse_jobs(json_body(reply)))

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

    async def _about(
        self, endpoint: str, path: str, query: Sequence[tuple[str, str]] = ()
    ) -> _Question:
        project_id = await self._project.get()
        path = path.replace(_PROJECT_ID, project_id)
        return _Question(endpoint, self._origin, self._host, path, query, project_id)

    async def _look_up(self, lookup: Lookup) -> str:
        """Find the project's id in its token, or in IAM's list of what the caller can reach."""
        credential = await self._gate.credential()
        if isinstance(credential, Token) and credential.project_id:
            return credential.project_id
        address = origin(lookup.endpoint)

        def read(reply: Reply) -> str:
            return choose(parse_projects(json_body(reply)), lookup.region)

        try:
            reachable = _Question(REACHABLE_PROJECTS, *address, REACHABLE_PROJECTS)
            return await self._call(reachable, read)
        except (Refusal, Unauthorized) as error:
            if error.retryable or not error.called:
                raise
        query = (("name", lookup.region),)
        named = _Question(NAMED_PROJECTS, *address, NAMED_PROJECTS, query)
        return await self._call(named, read)

    async def _call(
        self,
        question: _Question,
        read: Callable[[Reply], _T],
        departed: Callable[[], None] = lambda: None,
    ) -> _T:
        """Make a call, and again if that is worth it: twice for bad luck, once for a new key."""
        failures, renewed = 0, False
        while True:
            departure = await self._gate.depart()
            if not failures and not renewed:
                departed()
            try:
                return await self._exchange(departure, question, read)
            except AuthenticationFailed:
                if renewed or not await self._gate.renew(departure.credential):
                    raise
                renewed = True
            except DliError as error:
                if failures == RETRIES or not await self._gate.retry(error, failures):
                    raise
                failures += 1

    async def _exchange(
        self, departure: Departure, question: _Question, read: Callable[[Reply], _T]
    ) -> _T:
        """Send one request; the breakers hear what came of it."""
        request = Request(
            endpoint=question.endpoint,
            url=question.origin + request_target(question.path, question.query),
            headers=self._headers(departure.credential, question),
        )
        try:
            return await self._caller.call(
                request,
                read,
                secrets=_secrets(departure.credential),
                settled=partial(self._gate.settle, departure),
            )
        except DliError:
            raise
        except BaseException:  # cancelled, most likely: nobody learned anything
            self._gate.abandon(departure)
            raise

    def _headers(self, credential: Credential, question: _Question) -> dict[str, str]:
        headers = {"X-Project-Id": question.project_id} if question.project_id else {}
        if isinstance(credential, Token):
            headers["X-Auth-Token"] = credential.value
        else:
            headers |= sign(
                credential,
                "GET",
                question.host,
                question.path,
                date=sdk_date(self._now()),
                query=question.query,
                headers=headers,
            )
        return {**headers, "Host": question.host}


def _secrets(credential: Credential) -> tuple[str, ...]:
    if isinstance(credential, AccessKey):
        return tuple(filter(None, (credential.sk, credential.security_token)))
    return (credential.value,)


def _require_job_id(job_id: str) -> None:
    if not is_job_id(job_id):
        raise RequestRejected("a job id has 1 to 64 letters, digits and hyphens").uncalled()
