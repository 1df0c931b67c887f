"""The endpoints: they only read memory, so that no scrape ever waits for the cloud."""

import asyncio
import gzip
import json
from collections.abc import Awaitable, Callable, Iterable
from dataclasses import dataclass
from typing import Final

from aiohttp import web

from ..jobs.model import Job
from .api import job_state
from .negotiation import Format, accepts_gzip, choose_format
from .page import landing_page

_POLICY: Final = "default-src 'none'; style-src 'unsafe-inline'; frame-ancestors 'none'"
_HEADERS: Final = {
    "Content-Security-Policy": _POLICY,
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Views:
    """What the endpoints read.

    ``exposition`` yields the text in a format; ``healthy`` is false when the exporter itself
    hangs, ``ready`` true once every project was asked (whatever the answer); ``scraped`` is
    told the encoding and size of every answer to a scrape.
    """

    version: str
    exposition: Callable[[Format], Iterable[bytes]]
    jobs: Callable[[], Iterable[Job]]
    healthy: Callable[[], bool]
    ready: Callable[[], bool]
    scraped: Callable[[str, int], None]


def application(views: Views) -> web.Application:
    """Return the web application over some views."""

    async def metrics(request: web.Request) -> web.Response:
        chosen = choose_format(request.headers.get("Accept", ""))
        body = b"".join(views.exposition(chosen))
        headers = {"Content-Type": chosen, "Vary": "Accept, Accept-Encoding"}
        encoding = "identity"
        if accepts_gzip(request.headers.get("Accept-Encoding", "")):
            encoding = headers["Content-Encoding"] = "gzip"
            # In a thread, since zlib lets other threads run: 13 MB take 100 ms.
            body = await asyncio.to_thread(gzip.compress, body, 1, mtime=0)
        views.scraped(encoding, len(body))
        return web.Response(body=body, headers=headers)

    async def jobs(_: web.Request) -> web.Response:
        data = {"jobs": [job_state(job) for job in views.jobs()]}
        return web.json_response({"status": "success", "data": data}, dumps=_dumps)

    async def landing(_: web.Request) -> web.Response:
        page = landing_page(views.jobs(), version=views.version)
        return web.Response(text=page, content_type="text/html")

    async def started(_: web.Request) -> web.Response:
        return _probe(True, "started")

    async def healthy(_: web.Request) -> web.Response:
        return _probe(views.healthy(), "healthy")

    async def ready(_: web.Request) -> web.Response:
        return _probe(views.ready(), "ready")

    app = web.Application(middlewares=[_secure])
    app.router.add_get("/", landing)
    app.router.add_get("/metrics", metrics)
    app.router.add_get("/api/v1/jobs", jobs)
    app.router.add_get("/-/started", started)
    app.router.add_get("/-/healthy", healthy)
    app.router.add_get("/-/ready", ready)
    return app


@web.middleware
async def _secure(
    request: web.Request, handler: Callable[[web.Request], Awaitable[web.StreamResponse]]
) -> web.StreamResponse:
    try:
        response = await handler(request)
    except web.HTTPException as refusal:
        refusal.headers.update(_HEADERS)
        raise
    response.headers.update(_HEADERS)
    return response


def _probe(passed: bool, word: str) -> web.Response:
    text = f"DLI exporter is {'' if passed else 'not '}{word}.\n"
    return web.Response(text=text, status=200 if passed else 503)


def _dumps(data: object) -> str:
    """Print JSON that any reader takes: a lone surrogate in a name is escaped, NaN refused."""
    return json.dumps(data, allow_nan=False)
