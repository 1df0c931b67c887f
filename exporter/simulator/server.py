"""The simulator on a port: DLI's three calls, the gateway's headers, and what faults do."""

import asyncio
import json
import socket
import struct
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import replace
from email.utils import formatdate
from itertools import count
from typing import Final
from urllib.parse import unquote

from aiohttp import ClientSession, web

from .answers import UNKNOWN_API, Answer, Refused, dump
from .control import control_routes
from .faults import Cut, Endpoint, Fault
from .gateway import SignedRequest
from .simulator import Request, Simulator
from .spark import SparkFront

PATHS: Final = {
    Endpoint.PROGRESS: "/v1/{project_id}/jobs/{job_id}/progress",
    Endpoint.LIST: "/v1.0/{project_id}/jobs",
    Endpoint.STATUS: "/v1.0/{project_id}/jobs/{job_id}/status",
}
"""Only progress is under ``/v1``: the documents and the vendor's SDK agree on that."""

_STOP: Final = 0.5
"""Seconds that requests in flight get when the simulator stops."""
_HANG_UP: Final = struct.pack("ii", 1, 0)
"""``struct linger`` that makes closing a socket reset its connection."""

Wait = Callable[[float], Awaitable[None]]
Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]


@asynccontextmanager
async def serve(
    simulator: Simulator,
    host: str = "127.0.0.1",
    port: int = 0,
    *,
    spark: str | None = None,
    wait: Wait = asyncio.sleep,
) -> AsyncIterator[str]:
    """Serve on a port (0: any free one) and yield the address, such as ``http://127.0.0.1:80``.

    ``spark`` is the address of a live Spark UI to front; ``wait`` spends the seconds that
    faults take. OSError when the port cannot be had.
    """
    runner = web.AppRunner(
        application(simulator, wait),
        access_log=None,
        handler_cancellation=True,
        shutdown_timeout=_STOP,
    )
    async with ClientSession(trust_env=False) as session:
        simulator.spark = SparkFront(spark, session) if spark else None
        try:
            await runner.setup()
            await web.TCPSite(runner, host or None, port).start()
            yield _address(runner.addresses)
        finally:
            await runner.cleanup()
            simulator.spark = None


def application(simulator: Simulator, wait: Wait = asyncio.sleep) -> web.Application:
    """Make the aiohttp application; it can be mounted in a server of any kind."""
    app = web.Application()
    numbers = count(1)

    def request_id() -> str:
        return f"{next(numbers):032x}"

    async def sign_off(_request: web.Request, response: web.StreamResponse) -> None:
        response.headers.setdefault("X-Request-Id", request_id())
        # The simulated clock's date, not the machine's: clients measure their skew by it.
        response.headers["Date"] = formatdate(simulator.now(), usegmt=True)

    def handler(endpoint: Endpoint) -> Handler:
        async def handle(request: web.Request) -> web.StreamResponse:
            return await _handle(simulator, wait, endpoint, request, request_id())

        return handle

    app.on_response_prepare.append(sign_off)
    app.add_routes(control_routes(simulator))
    for endpoint, path in PATHS.items():
        app.router.add_get(path, handler(endpoint), allow_head=False)
    app.router.add_route("*", "/{path:.*}", handler(Endpoint.UNKNOWN))
    return app


async def _handle(
    simulator: Simulator, wait: Wait, endpoint: Endpoint, request: web.Request, request_id: str
) -> web.StreamResponse:
    """Answer one request. A fault stands in front of everything else, as a proxy would."""
    project = request.match_info.get("project_id", "")
    job_id = request.match_info.get("job_id", "")
    fault = simulator.faults.strike(endpoint, project, job_id)
    if fault and fault.delay:
        await wait(fault.delay)
    answer = fault.answer(request_id) if fault else None
    if answer is None and not (fault and fault.cut is Cut.BEFORE):
        answer = await _true_answer(simulator, endpoint, request, request_id)
        if fault and fault.rewrite and answer.status == 200:
            answer = replace(answer, body=dump(fault.rewrite(json.loads(answer.body))))
    lost = fault is not None and fault.cut is Cut.BEFORE
    simulator.record(
        Request(
            at=simulator.now(),
            method=request.method,
            target=request.raw_path,
            endpoint=endpoint,
            project=project,
            job_id=job_id,
            status=0 if lost or answer is None else answer.status,
            fault=fault is not None,
        )
    )
    return await _send(request, answer, request_id, fault or Fault(), wait)


async def _true_answer(
    simulator: Simulator, endpoint: Endpoint, request: web.Request, request_id: str
) -> Answer:
    if endpoint is Endpoint.UNKNOWN:
        return UNKNOWN_API.answer(request_id)
    path, _, query = request.raw_path.partition("?")
    signed = SignedRequest(
        method=request.method,
        path=path,
        query=_pairs(query),
        headers=request.headers,
        body=await request.read(),
    )
    match = request.match_info
    try:
        return await simulator.answer(
            endpoint, signed, match["project_id"], match.get("job_id", "")
        )
    except Refused as refused:
        return refused.refusal.answer(request_id)


async def _send(
    request: web.Request, answer: Answer | None, request_id: str, fault: Fault, wait: Wait
) -> web.StreamResponse:
    """Send an answer whole, or as a fault wants it."""
    if answer is None or fault.cut is Cut.BEFORE:
        _hang_up(request)
        return web.Response()
    headers = {**answer.headers, "Content-Type": answer.content_type, "X-Request-Id": request_id}
    if not fault.cut and not fault.trickle:
        return web.Response(status=answer.status, body=answer.body, headers=headers)
    response = web.StreamResponse(status=answer.status, headers=headers)
    response.content_length = len(answer.body)
    await response.prepare(request)
    if fault.cut is Cut.IN_BODY:
        await response.write(answer.body[: len(answer.body) // 2])
        _hang_up(request)
        return response
    await _write(response, answer.body, fault.trickle, wait)
    await response.write_eof()
    if fault.cut is Cut.AFTER and request.transport:
        request.transport.close()
    return response


async def _write(response: web.StreamResponse, body: bytes, rate: float | None, wait: Wait) -> None:
    if rate is None:
        await response.write(body)
        return
    size = max(1, int(rate))
    for first in range(0, len(body), size):
        piece = body[first : first + size]
        await response.write(piece)
        await wait(len(piece) / rate)


def _hang_up(request: web.Request) -> None:
    """Reset the connection (RST), dropping what has not left yet."""
    if request.transport is None:
        return
    request.transport.get_extra_info("socket").setsockopt(
        socket.SOL_SOCKET, socket.SO_LINGER, _HANG_UP
    )
    request.transport.abort()


def _pairs(query: str) -> list[tuple[str, str]]:
    """Decode a query as the signature sees it: a ``+`` is a plus sign, never a space."""
    parts = (part.partition("=") for part in query.split("&") if part)
    return [(unquote(name), unquote(value)) for name, _, value in parts]


def _address(bound: Sequence[tuple[str, int]]) -> str:
    """Write the address that a client on this machine can use."""
    # A name or "all interfaces" has a socket for each family, and with port 0 a port for each.
    name, port = next((each for each in bound if ":" not in each[0]), bound[0])[:2]
    name = {"0.0.0.0": "127.0.0.1", "::": "::1"}.get(name, name)  # noqa: S104 - looked up only
    return f"http://[{name}]:{port}" if ":" in name else f"http://{name}:{port}"
