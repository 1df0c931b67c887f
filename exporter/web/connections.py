"""The connections of a listener: which of them are slow, and which gives way to a new one."""

import asyncio
from collections import Counter
from collections.abc import Callable, Collection, Iterator
from contextlib import contextmanager
from typing import Final, Protocol, TypeVar

_LOOK: Final = 0.05
"""Seconds between two looks whether a slow reader has read."""
_LONGEST: Final = 1 << 17
"""Bytes until a request is answered: its head, and as much of a body as may have come with it."""


class Guest(Protocol):
    """What decides whether a connection gives way.

    ``answering`` a request is the one thing worth to be kept for; ``since`` is when that, or
    doing nothing, began (monotonic clock).
    """

    @property
    def address(self) -> str:
        """Who has connected."""

    @property
    def answering(self) -> bool:
        """Whether a request was read and its answer is not sent as yet."""

    @property
    def since(self) -> float:
        """Since when it has been answering, or not."""


_G = TypeVar("_G", bound=Guest)


def victim(guests: Collection[_G]) -> _G:
    """Choose the connection that gives way: of the address with the most of them.

    One that is being answered is spared if there is another; of the rest it is the one for which
    nothing has happened for longest. So one host cannot displace another, and who has just come
    is served before those who only hold on.
    """
    crowd = Counter(guest.address for guest in guests)
    return min(guests, key=lambda guest: (-crowd[guest.address], guest.answering, guest.since))


class Connection(asyncio.Protocol):
    """One connection: it stands between a transport and the protocol that speaks HTTP.

    It is closed unless a request's head has come within ``patience`` seconds, counted from
    connecting and so with TLS' handshake, or from the first byte of a later request. A head
    that is far too long ends it, too.
    """

    def __init__(
        self,
        inner: asyncio.Protocol,
        address: str,
        *,
        patience: float,
        lost: Callable[["Connection"], None],
    ) -> None:
        """Begin to wait; ``lost`` is called once when the connection has ended."""
        self.inner = inner
        self.address = address
        self.answering = False
        self.holds = 0
        """Bytes of an answer that wait for a slow reader."""
        self._loop = asyncio.get_running_loop()
        self.since = self._loop.time()
        self._patience = patience
        self._lost = lost
        self._raw: asyncio.Transport | None = None
        self._aborted = False
        self.introduced = False
        self._early = bytearray()
        self._head = 0
        self._deadline: asyncio.TimerHandle | None = None
        self._expect_head()

    def introduce(self, transport: asyncio.Transport) -> None:
        """Let the inner protocol speak over a transport: this one's, or TLS upon it."""
        if transport.is_closing():
            return
        self.introduced = True
        self.inner.connection_made(transport)
        if self._early:
            early, self._early = bytes(self._early), bytearray()
            self.data_received(early)

    @contextmanager
    def answer(self) -> Iterator[None]:
        """Count as answering while a request is."""
        self._head_came()
        self._head = 0
        self._turn(answering=True)
        try:
            yield
        finally:
            self.holds = 0
            self._turn(answering=False)

    async def flushed(self) -> None:
        """Wait until the system has taken all that was written, which TLS may think it had."""
        while self._raw is not None and self._raw.get_write_buffer_size():  # noqa: ASYNC110 - asyncio tells TLS, and nobody else
            await asyncio.sleep(_LOOK)

    def abort(self) -> None:
        """Close at once, whatever was to be sent."""
        self._aborted = True
        self._head_came()
        if self._raw is not None:
            self._raw.abort()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Take the socket's transport; nothing is read until somebody is introduced."""
        assert isinstance(transport, asyncio.Transport)  # noqa: S101 - for mypy: it is a socket's
        self._raw = transport
        transport.pause_reading()
        if self._aborted:
            transport.abort()

    def data_received(self, data: bytes) -> None:
        """Pass on what came; TLS may have something before it is said to be there."""
        if not self.introduced:
            self._early += data
            return
        if not self.answering:
            self._head += len(data)
            if self._deadline is None:
                self._expect_head()
            if self._head > _LONGEST:
                self.abort()
                return
        self.inner.data_received(data)

    def eof_received(self) -> bool | None:
        """Pass on that no more will come."""
        return self.inner.eof_received() if self.introduced else None

    def connection_lost(self, exc: Exception | None) -> None:
        """Pass on that it is over."""
        self._head_came()
        self._raw = None
        self._lost(self)
        if self.introduced:
            self.introduced = False
            self.inner.connection_lost(exc)

    def pause_writing(self) -> None:
        """Pass on that the reader is slow."""
        if self.introduced:
            self.inner.pause_writing()

    def resume_writing(self) -> None:
        """Pass on that the reader has caught up."""
        if self.introduced:
            self.inner.resume_writing()

    def _turn(self, *, answering: bool) -> None:
        self.answering, self.since = answering, self._loop.time()

    def _expect_head(self) -> None:
        self._deadline = self._loop.call_later(self._patience, self.abort)

    def _head_came(self) -> None:
        if self._deadline is not None:
            self._deadline.cancel()
            self._deadline = None
