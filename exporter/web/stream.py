"""A large body made in steps and written in slices, so that nobody else waits for it."""

import asyncio
from collections.abc import Generator, Iterable, Sequence
from typing import NamedTuple

from aiohttp import web


class Sent(NamedTuple):
    """How many bytes of a body were begun, and whether all of it was taken in good time."""

    size: int
    complete: bool


async def send(
    request: web.Request,
    response: web.StreamResponse,
    parts: Iterable[bytes],
    *,
    patience: float,
) -> Sent:
    """Write a body; it is complete if the system took all of it within ``patience`` seconds.

    What lies in asyncio's buffer was not taken. A client that leaves or stalls is no error;
    its connection is aborted, or else the answer that was cut short could pass for a whole
    one.
    """
    transport = request.transport
    if transport is None:
        return Sent(0, complete=False)
    # Not 0: at that mark asyncio's TLS transport would pause for ever.
    transport.set_write_buffer_limits(high=1, low=0)
    size, last = 0, b""
    try:
        async with asyncio.timeout(patience):
            await response.prepare(request)
            for part in parts:
                await response.write(last)
                # A fast reader's writes never wait, and others want to be served.
                await asyncio.sleep(0)
                last, size = part, size + len(part)
            if transport.get_extra_info("sslcontext") is not None:
                # TLS passes a write on to a buffer of its own, but waits for it with the next one.
                await response.write(last[:-1])
                last = last[-1:]
            # With the end, because aiohttp waits for the buffer then.
            await response.write_eof(last)
    except (ConnectionError, TimeoutError):
        transport.abort()
    return Sent(size, complete=not transport.is_closing())


async def result(steps: Generator[None, None, Sequence[bytes]]) -> Sequence[bytes]:
    """Take steps of work, and let others have a turn after each."""
    while True:
        try:
            next(steps)
        except StopIteration as end:
            parts: Sequence[bytes] = end.value
            return parts
        await asyncio.sleep(0)
