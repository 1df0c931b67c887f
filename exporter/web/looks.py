"""What people look at: the status page, and the jobs as JSON."""

import json
from collections.abc import Iterable, Sequence

from aiohttp import web

from ..jobs.model import Job
from .api import job_state
from .assets import POLICY
from .negotiation import accepts_gzip
from .page import status_page
from .selection import Query
from .state import State
from .stream import result


async def status(request: web.Request, jobs: Sequence[Job], state: State) -> web.Response:
    """Return the status page, as its address wants it."""
    parts = await result(status_page(jobs, state, Query.parse(request.query)))
    response = web.Response(
        body=b"".join(parts),
        content_type="text/html",
        charset="utf-8",
        headers={
            "Content-Security-Policy": POLICY,
            "Cache-Control": "no-store",
            "Vary": "Accept-Encoding",
        },
    )
    if accepts_gzip(request.headers.get("Accept-Encoding", "")):
        response.enable_compression(web.ContentCoding.gzip)  # in a thread, for its size
    return response


def jobs(tracked: Iterable[Job]) -> web.Response:
    """Return the state of the jobs."""
    data = {"jobs": [job_state(job) for job in tracked]}
    return web.json_response({"status": "success", "data": data}, dumps=_dumps)


def _dumps(data: object) -> str:
    """Print JSON that any reader takes: a lone surrogate in a name is escaped, NaN refused."""
    return json.dumps(data, allow_nan=False)
