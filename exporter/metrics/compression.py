"""One gzip member, stitched from pieces that were compressed before."""

import zlib
from collections.abc import Callable, Generator, Iterable, Iterator
from functools import cache
from typing import Final, NamedTuple, Protocol, TypeVar

STEP: Final = 128 * 1024
"""Bytes of text that are copied or compressed at a time: about a millisecond's work at most."""

_WRITE: Final = 256 * 1024
"""Bytes of a gzip member that are joined, and later written, at a time: they only are copied."""

_LEVEL: Final = 1
"""zlib's level 6 takes more than twice as long for 8 % less; ISA-L's 1 makes less than that 6."""
_RAW: Final = -15
"""zlib's name for deflate without header and trailer, and the largest window."""
_HEADER: Final = bytes((0x1F, 0x8B, 8, 0, 0, 0, 0, 0, 0, 0xFF))
"""Of a gzip member without name and time (RFC 1952, 2.3)."""


class Compressor(Protocol):
    """What zlib.compressobj makes."""

    def compress(self, data: bytes, /) -> bytes:
        """Take more text; return what is compressed so far."""

    def flush(self, mode: int = ..., /) -> bytes:
        """Return the rest."""


class Library(NamedTuple):
    """What makes raw deflate and CRCs; ``crc32_combine`` is described below."""

    name: str
    compressor: Callable[[], Compressor]
    crc32: Callable[[bytes, int], int]
    crc32_combine: Callable[[int, int, int], int]


class Piece(NamedTuple):
    """A compressed text that any other can follow or precede, with its size and its CRC."""

    data: bytes
    size: int
    crc: int


class Stitched(NamedTuple):
    """The beginning of a gzip member in parts; the size and the CRC of the text in it."""

    parts: tuple[bytes, ...]
    size: int
    crc: int


EMPTY: Final = Stitched((_HEADER,), 0, 0)

_Result = TypeVar("_Result")


def paced(steps: Generator[int, None, _Result]) -> Generator[None, None, _Result]:
    """Take steps that yield their size together, up to :data:`STEP`."""
    done = 0
    while True:
        try:
            done += next(steps)
        except StopIteration as end:
            result: _Result = end.value
            return result
        if done >= STEP:
            yield
            done = 0


def finished(steps: Generator[object, None, _Result]) -> _Result:
    """Take all steps, and return their result."""
    while True:
        try:
            next(steps)
        except StopIteration as end:
            result: _Result = end.value
            return result


def compress(library: Library, text: bytes) -> Generator[int, None, Piece]:
    """Compress a text into one piece, step by step; yield the size of each step."""
    compressor, data, crc = library.compressor(), list[bytes](), 0
    for part in slices([text]):
        data.append(compressor.compress(part))
        crc = library.crc32(part, crc)
        yield len(part)
    # It ends the block on a byte. Each compressor begins anew, so that nothing refers to what
    # comes before its own text.
    data.append(compressor.flush(zlib.Z_SYNC_FLUSH))
    return Piece(b"".join(data), len(text), crc)


def stitch(library: Library, pieces: Iterable[Piece]) -> Generator[int, None, Stitched]:
    """Join pieces, step by step; yield the size of each step."""
    combine, size, crc = library.crc32_combine, 0, 0
    parts, batch, joined = [_HEADER], list[bytes](), 0
    for piece in pieces:
        crc = combine(crc, piece.crc, piece.size)
        size += piece.size
        batch.append(piece.data)
        joined += len(piece.data)
        if joined >= _WRITE:
            parts.append(b"".join(batch))
            yield joined
            batch, joined = [], 0
    return Stitched((*parts, b"".join(batch)), size, crc)


def member(library: Library, stitched: Stitched, tail: bytes) -> tuple[bytes, ...]:
    """Return the whole gzip member, with a tail that is compressed now.

    One member and not one for each piece: curl (7.88) and httpx (0.28) stop after the first.
    """
    compressor = library.compressor()
    data = compressor.compress(tail) + compressor.flush()  # with the closing block
    crc = library.crc32_combine(stitched.crc, library.crc32(tail, 0), len(tail))
    size = (stitched.size + len(tail)) % 2**32
    trailer = crc.to_bytes(4, "little") + size.to_bytes(4, "little")
    return (*stitched.parts, data + trailer)


def slices(texts: Iterable[bytes]) -> Iterator[bytes]:
    """Join small texts and cut large ones: each slice is a system call, and a turn for others."""
    batch: list[bytes] = []
    size = 0
    for text in texts:
        batch.append(text)
        size += len(text)
        if size >= STEP:
            yield from _cut(b"".join(batch))
            batch, size = [], 0
    if size:
        yield b"".join(batch)


def _cut(text: bytes) -> Iterator[bytes]:
    if len(text) < 2 * STEP:
        yield text
    else:
        yield from (text[start : start + STEP] for start in range(0, len(text), STEP))


_ZEROS: Final = memoryview(bytes(STEP))
_ONES: Final = 0xFFFFFFFF


def crc32_combine(first: int, second: int, size: int) -> int:
    """Return the CRC-32 of two texts from theirs; ``size`` is how long the second is.

    As many zeros move the first one on, without the inversions at both ends of a CRC. That
    takes 3 us for 15 kB, and 170 us when done with fewer steps in Python. zlib can do it too,
    but Python's module shows that from 3.15 on only.
    """
    moved = first ^ _ONES
    while size > 0:
        moved = zlib.crc32(_ZEROS[:size], moved)
        size -= STEP
    return moved ^ _ONES ^ second


ZLIB: Final = Library(
    "zlib",
    lambda: zlib.compressobj(_LEVEL, wbits=_RAW),
    zlib.crc32,
    getattr(zlib, "crc32_combine", crc32_combine),
)


@cache
def isal() -> Library | None:
    """Return Intel's ISA-L, unless it is missing: it is made for x86-64 and ARM64 only.

    100,000 series take it 12 ms, and zlib 32 ms and a tenth more bytes. It costs 0.6 MiB, so
    only who needs it imports it.
    """
    try:
        from isal import isal_zlib
    except (ImportError, OSError):  # of a late import: files may be gone, or too many open
        return None
    return Library(
        "isal",
        lambda: isal_zlib.compressobj(_LEVEL, wbits=_RAW),
        isal_zlib.crc32,
        isal_zlib.crc32_combine,
    )


def best() -> Library:
    """Return the fastest library that there is."""
    return isal() or ZLIB
