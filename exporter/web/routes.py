"""The endpoints: they only read memory, so that no scrape ever waits for the cloud."""

from collections.abc import Callable, Generator, Iterable, Iterator, Sequence
from typing import Final, NamedTuple, Protocol

from aiohttp import web

from ..jobs.model import Job
from .negotiation import Format, accepts_gzip, choose_format
from .registry import Registry
from .scrapers import TIMEOUT_HEADER, Caller, Scrapers, patience
from .state import State
from .stream import result, send

_HEADERS: Final = {
    "Content-Security-Policy": "default-src 'none'; frame-ancestors 'none'",
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
}
_VARY: Final = "Accept, Accept-Encoding"
_LONGEST: Final = 256
"""Characters kept of a header that tells scrapers apart."""


class Scrape(NamedTuple):
    """How one request for /metrics went, a browser's included.

    ``snapshot`` is when what it shows was current (monotonic clock), ``size`` the bytes of
    its body as encoded. Only a ``complete`` one was sent to the end in good time;
    ``scraper`` tells a scraper's from one that somebody looked at.
    """

    remote: str
    snapshot: float
    encoding: str
    size: int
    complete: bool
    scraper: bool


class Body(Protocol):
    """A text of ``size`` bytes as of one moment, in two encodings.

    Each comes in parts, and a part or a step takes about a millisecond.
    """

    @property
    def size(self) -> int:
        """Bytes of the plain text."""

    def plain(self) -> Iterator[bytes]:
        """Return the text as it is."""

    def gzip(self) -> Generator[None, None, Sequence[bytes]]:
        """Return one gzip member in parts, which takes some steps of work."""


class Views(NamedTuple):
    """What the endpoints read.

    ``exposition`` gives the text in a format, ``monotonic`` is the clock of its snapshots;
    ``healthy`` is false when the exporter itself hangs, ``ready`` true once every project was
    asked (whatever the answer). ``state`` is what people want to know beside the jobs.
    ``scrapers`` learn who has seen what; then ``scraped`` is told how every GET of /metrics
    went.
    """

    exposition: Callable[[Format], Body]
    monotonic: Callable[[], float]
    jobs: Callable[[], Iterable[Job]]
    healthy: Callable[[], bool]
    ready: Callable[[], bool]
    state: Callable[[], State]
    scrapers: Scrapers
    scraped: Callable[[Scrape], None]


def application(views: Views) -> web.Application:
    """Return the web application over some views."""

    async def metrics(request: web.Request) -> web.StreamResponse:
        return await _metrics(request, views)

    # What people look at is imported when somebody does, in 3 ms: most sidecars are only scraped,
    # and need 0.3 MiB less.
    async def jobs(_: web.Request) -> web.Response:
        from .looks import jobs

        return jobs(views.jobs())

    async def status(request: web.Request) -> web.Response:
        from .looks import status

        return await status(request, tuple(views.jobs()), views.state())

    app = probes(views)
    app.router.add_get("/", status)
    app.router.add_get("/metrics", metrics)
    app.router.add_get("/api/v1/jobs", jobs)
    return app


def add_registration(app: web.Application, registry: Registry) -> None:
    """Add the endpoints that register jobs to an application."""

    # Imported by the first who registers one, in 2 ms: most sidecars are told their jobs.
    async def register(request: web.Request) -> web.Response:
        from .registration import register

        return await register(request, registry)

    async def withdraw(request: web.Request) -> web.Response:
        from .registration import withdraw

        return await withdraw(request, registry)

    app.router.add_post("/api/v1/jobs", register)
    app.router.add_delete("/api/v1/jobs/{job_id}", withdraw)


def probes(views: Views) -> web.Application:
    """Return a web application that tells how the exporter is, and no more."""

    async def started(_: web.Request) -> web.Response:
        return _probe(True, "started")

    async def healthy(_: web.Request) -> web.Response:
        return _probe(views.healthy(), "healthy")

    async def ready(_: web.Request) -> web.Response:
        return _probe(views.ready(), "ready")

    app = web.Application()
    app.on_response_prepare.append(_secure)
    app.router.add_get("/-/started", started)
    app.router.add_get("/-/healthy", healthy)
    app.router.add_get("/-/ready", ready)
    return app


async def _metrics(request: web.Request, views: Views) -> web.StreamResponse:
    chosen = choose_format(request.headers.get("Accept", ""))
    gzip = accepts_gzip(request.headers.get("Accept-Encoding", ""))
    snapshot = views.monotonic()
    # At once, before anything can change: a scrape is never half old, half new.
    body = views.exposition(chosen)
    response = web.StreamResponse(headers={"Content-Type": chosen, "Vary": _VARY})
    if gzip:
        response.headers["Content-Encoding"] = "gzip"
    else:
        response.content_length = body.size
    if request.method == "HEAD":
        return response
    caller = _caller(request)
    if caller is not None:
        views.scrapers.heard(caller, snapshot)
    parts: Iterable[bytes] = body.plain()
    if gzip:
        parts = compressed = await result(body.gzip())
        response.content_length = sum(map(len, compressed))
    sent = await send(
        request,
        response,
        parts,
        patience=patience(request.headers.get(TIMEOUT_HEADER)),
    )
    if caller is not None and sent.complete:
        views.scrapers.received(caller, snapshot)
    views.scraped(
        Scrape(
            remote=request.remote or "",
            snapshot=snapshot,
            encoding="gzip" if gzip else "identity",
            size=sent.size,
            complete=sent.complete,
            scraper=caller is not None,
        )
    )
    return response


def _caller(request: web.Request) -> Caller | None:
    """Return who scrapes; None if it is somebody who only looks, or who has left already."""
    if TIMEOUT_HEADER not in request.headers or request.transport is None:
        return None
    return Caller(
        address=request.remote or "",
        connection=request.transport,
        agent=request.headers.get("User-Agent", "")[:_LONGEST],
        forwarded=request.headers.get("X-Forwarded-For", "")[:_LONGEST],
    )


async def _secure(_: web.Request, response: web.StreamResponse) -> None:
    """Add the headers to every response before it starts: a streamed one has no later."""
    for name, value in _HEADERS.items():
        response.headers.setdefault(name, value)


def _probe(passed: bool, word: str) -> web.Response:
    text = f"DLI exporter is {'' if passed else 'not '}{word}.\n"
    return web.Response(text=text, status=200 if passed else 503)
