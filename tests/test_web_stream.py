"""Bodies written in parts, over a real socket."""

import asyncio
from collections.abc import AsyncIterator, Iterable, Iterator
from contextlib import asynccontextmanager

import pytest
from aiohttp import ClientPayloadError, ClientSession, web

from exporter.web.stream import Sent, send


@asynccontextmanager
async def answering(
    parts: Iterable[bytes], length: int | None = None
) -> AsyncIterator[tuple[str, "asyncio.Queue[Sent]"]]:
    """Answer every request with these parts; give the address, and what became of each."""
    sent: asyncio.Queue[Sent] = asyncio.Queue()

    async def answer(request: web.Request) -> web.StreamResponse:
        response = web.StreamResponse()
        response.content_length = length
        sent.put_nowait(await send(request, response, parts, patience=10))
        return response

    app = web.Application()
    app.router.add_get("/", answer)
    runner = web.AppRunner(app, access_log=None)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    try:
        yield f"http://127.0.0.1:{runner.addresses[0][1]}", sent
    finally:
        await runner.cleanup()


@pytest.mark.parametrize("length", [None, 6])
async def test_parts_arrive_in_order_and_empty_ones_do_no_harm(length: int | None) -> None:
    parts = (b"", b"ab", b"", b"cd", b"ef", b"")
    async with answering(parts, length) as (url, sent), ClientSession() as session:
        async with session.get(url) as response:
            assert await response.read() == b"abcdef"
        assert await sent.get() == Sent(6, complete=True)


async def test_no_parts_are_an_empty_body() -> None:
    async with answering(()) as (url, sent), ClientSession() as session:
        async with session.get(url) as response:
            assert await response.read() == b""
        assert await sent.get() == Sent(0, complete=True)


async def test_the_next_part_is_made_when_the_last_is_written() -> None:
    """Not all at once: others have their turn in between."""
    turns: list[str] = []

    def parts() -> Iterator[bytes]:
        for number in range(3):
            asyncio.get_running_loop().call_soon(turns.append, "others")
            turns.append(f"part {number}")
            yield b"x"

    async with answering(parts()) as (url, sent), ClientSession() as session:
        async with session.get(url) as response:
            await response.read()
        await sent.get()
    assert turns == ["part 0", "others", "part 1", "others", "part 2", "others"]


async def test_a_body_that_cannot_be_finished_does_not_pass_for_a_whole_one() -> None:
    def parts() -> Iterator[bytes]:
        yield b"begun"
        raise ConnectionError

    async with answering(parts()) as (url, sent), ClientSession() as session:
        with pytest.raises(ClientPayloadError):
            async with session.get(url) as response:
                await response.read()
        assert await sent.get() == Sent(5, complete=False)
