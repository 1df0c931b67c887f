"""Registration over HTTP: ``POST /api/v1/jobs`` and ``DELETE /api/v1/jobs/{job_id}``.

Answers are JSON as Prometheus' own API writes them. Browsers cannot be made to send any of this
from another site: there is no CORS, and a form can post no JSON.
"""

import asyncio
from collections.abc import Collection
from typing import Any, Final

from aiohttp import web

from ..jobs.model import JobKey
from ..sources.registration import (
    LARGEST,
    Reason,
    RegistrationError,
    Rejection,
    build,
    parse_body,
)
from .registry import Registry

_OFF: Final = "registration over HTTP is off; web.enable_registration: true turns it on"


class _Refusal(Exception):
    """An answer other than success; ``kind`` is Prometheus' ``errorType``."""

    def __init__(self, status: int, kind: str, wrong: str) -> None:
        super().__init__(wrong)
        self.status = status
        self.kind = kind


async def register(request: web.Request, registry: Registry) -> web.Response:
    """Register the job that the body describes."""
    try:
        _require_enabled(registry)
        return _registered(registry, await _body(request, registry.body_time))
    except _Refusal as refusal:
        return _error(refusal)


async def withdraw(request: web.Request, registry: Registry) -> web.Response:
    """Take back the registration of the job that the path names."""
    try:
        _require_enabled(registry)
        return _withdrawn(registry, _wanted(request, registry.projects()))
    except _Refusal as refusal:
        return _error(refusal)


def _registered(registry: Registry, content: bytes) -> web.Response:
    parsed = parse_body(content, projects=registry.projects())
    if isinstance(parsed, Rejection):
        registry.rejected(parsed)
        raise _bad_data(parsed.message)
    key = JobKey(parsed.project, parsed.job_id)
    known = registry.known(key)
    if refused := registry.register(parsed):
        registry.rejected(Rejection(Reason.REFUSED, refused))
        raise _Refusal(503, "unavailable", refused)
    return _success(key, 200 if known else 201)


def _withdrawn(registry: Registry, key: JobKey) -> web.Response:
    if not registry.withdraw(key):
        raise _Refusal(404, "not_found", f"job {key.job_id} was not registered over HTTP")
    return _success(key, 200)


def _require_enabled(registry: Registry) -> None:
    if not registry.enabled():
        raise _Refusal(403, "forbidden", _OFF)


def _wanted(request: web.Request, projects: Collection[str]) -> JobKey:
    """Read which job a DELETE names: the id in the path, the project as a parameter."""
    if request.body_exists:
        raise _bad_data("DELETE takes no body; a project is named by the parameter project")
    if len(request.query) > 1 or request.query.keys() - {"project"}:
        raise _bad_data("unknown parameter; allowed: project, once")
    try:
        given = build({"job_id": request.match_info["job_id"], **request.query}, projects=projects)
    except RegistrationError as error:
        raise _bad_data(str(error)) from None
    return JobKey(given.project, given.job_id)


async def _body(request: web.Request, body_time: float) -> bytes:
    if request.content_type != "application/json":
        raise _bad_data("Content-Type must be application/json", status=415)
    if request.headers.get("Content-Encoding", "identity") != "identity":
        raise _bad_data("the body must not be compressed", status=415)
    try:
        async with asyncio.timeout(body_time):
            return await _read(request)
    except TimeoutError:
        raise _Refusal(408, "timeout", f"no body within {body_time:g} s") from None
    except (ConnectionError, web.RequestPayloadError):
        # Nobody may be there to read it; raised further, it would be logged as our own mistake.
        raise _bad_data("the body is cut or badly encoded") from None


async def _read(request: web.Request) -> bytes:
    """Read a body that may not say how long it is, up to the limit."""
    content = bytearray()
    async for chunk in request.content.iter_any():
        content += chunk
        if len(content) > LARGEST:
            raise _bad_data(f"the body must be at most {LARGEST} bytes", status=413)
    return bytes(content)


def _bad_data(wrong: str, *, status: int = 400) -> _Refusal:
    return _Refusal(status, "bad_data", wrong)


def _success(key: JobKey, status: int) -> web.Response:
    data = {"project": key.project, "job_id": key.job_id}
    return web.json_response({"status": "success", "data": data}, status=status)


def _error(refusal: _Refusal) -> web.Response:
    answer: dict[str, Any] = {
        "status": "error",
        "errorType": refusal.kind,
        "error": str(refusal),
    }
    return web.json_response(answer, status=refusal.status)
