"""Which connection gives way, and when one is too slow."""

import asyncio
from dataclasses import dataclass

import pytest

from exporter.web.connections import Connection, victim


@dataclass(frozen=True)
class Guest:
    """A connection as the choice sees it."""

    address: str
    since: float
    answering: bool = False


def test_the_one_that_does_nothing_for_longest_gives_way() -> None:
    assert victim([Guest("a", 3), Guest("b", 1), Guest("c", 2)]) == Guest("b", 1)


def test_one_that_is_answered_is_spared() -> None:
    assert victim([Guest("a", 1, answering=True), Guest("b", 2)]) == Guest("b", 2)


def test_of_those_that_are_answered_the_slowest_gives_way() -> None:
    slow, fast = Guest("a", 1, answering=True), Guest("b", 2, answering=True)
    assert victim([fast, slow]) == slow


def test_who_has_most_connections_displaces_nobody_else() -> None:
    scraper = Guest("prometheus", 0)
    flood = [Guest("flood", at, answering=True) for at in (5, 4, 6)]
    assert victim([scraper, *flood]) == Guest("flood", 4, answering=True)


class Inner(asyncio.Protocol):
    """Writes down what it is told."""

    def __init__(self) -> None:
        self.told: list[object] = []

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.told.append("made")

    def data_received(self, data: bytes) -> None:
        self.told.append(data)

    def eof_received(self) -> bool | None:
        self.told.append("eof")
        return True

    def pause_writing(self) -> None:
        self.told.append("pause")

    def resume_writing(self) -> None:
        self.told.append("resume")

    def connection_lost(self, exc: Exception | None) -> None:
        self.told.append("lost")


class Wire(asyncio.Transport):
    """A transport without a socket."""

    def __init__(self) -> None:
        super().__init__()
        self.closed = asyncio.Event()

    def abort(self) -> None:
        self.closed.set()

    def is_closing(self) -> bool:
        return self.closed.is_set()

    def pause_reading(self) -> None:
        pass


def connection(patience: float = 1e6) -> tuple[Connection, Inner, list[Connection]]:
    inner, lost = Inner(), list[Connection]()
    return Connection(inner, "a", patience=patience, lost=lost.append), inner, lost


async def test_everything_is_passed_on_once_introduced() -> None:
    between, inner, lost = connection()
    wire = Wire()
    between.connection_made(wire)
    assert inner.told == []
    between.introduce(wire)
    between.data_received(b"x")
    between.pause_writing()
    between.resume_writing()
    assert between.eof_received() is True
    between.connection_lost(None)
    assert inner.told == ["made", b"x", "pause", "resume", "eof", "lost"]
    assert lost == [between]


async def test_what_comes_before_the_introduction_is_kept() -> None:
    between, inner, _ = connection()
    between.connection_made(Wire())
    between.data_received(b"a")
    between.data_received(b"b")
    between.introduce(Wire())
    assert inner.told == ["made", b"ab"]
    between.abort()


async def test_who_is_lost_while_shaking_hands_is_never_introduced() -> None:
    between, inner, lost = connection()
    wire = Wire()
    between.connection_made(wire)
    wire.abort()
    between.connection_lost(None)
    between.introduce(wire)
    between.pause_writing()
    assert between.eof_received() is None
    assert inner.told == []
    assert lost == [between]


async def test_an_abort_counts_even_before_there_is_a_transport() -> None:
    between, _, _ = connection()
    between.abort()
    wire = Wire()
    between.connection_made(wire)
    assert wire.is_closing()


@pytest.mark.parametrize("introduced", [False, True])
async def test_without_a_head_it_is_closed(introduced: bool) -> None:
    between, _, _ = connection(patience=0.01)
    wire = Wire()
    between.connection_made(wire)
    if introduced:
        between.introduce(wire)
        between.data_received(b"GET /metr")
    async with asyncio.timeout(10):
        await wire.closed.wait()


async def test_between_requests_it_may_do_nothing_but_not_begin_one_for_ever() -> None:
    between, _, _ = connection(patience=0.01)
    wire = Wire()
    between.connection_made(wire)
    between.introduce(wire)
    with between.answer():
        between.data_received(b"a body that takes its time")
        assert between.answering
    assert not between.answering
    # A timer of a later deadline comes later: had there been one, it would have come before.
    reached = asyncio.Event()
    asyncio.get_running_loop().call_later(0.05, reached.set)
    await reached.wait()
    assert not wire.is_closing()
    between.data_received(b"G")
    async with asyncio.timeout(10):
        await wire.closed.wait()
