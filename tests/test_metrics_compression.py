"""One gzip member out of many pieces, judged by those who read gzip."""

import gzip
import subprocess
import sys
import zlib
from collections.abc import Generator
from random import Random

import pytest

from exporter.metrics.compression import (
    EMPTY,
    STEP,
    ZLIB,
    Library,
    best,
    compress,
    crc32_combine,
    finished,
    isal,
    member,
    paced,
    slices,
    stitch,
)

SIZES = (0, 1, 100, 15_000, STEP - 1, STEP, STEP + 1, 2 * STEP, 3 * STEP + 7, 40, 0)


@pytest.fixture(params=["isal", "zlib"])
def library(request: pytest.FixtureRequest) -> Library:
    if request.param == "zlib":
        return ZLIB
    if (found := isal()) is None:
        pytest.skip("isal has no wheel for this machine")
    return found


def texts() -> list[bytes]:
    """Make texts that partly repeat what came before, as lines of metrics do."""
    chance = Random(1)  # noqa: S311  # any bytes
    word = chance.randbytes(97)
    return [(word + chance.randbytes(3)) * (size // 100) + word[: size % 100] for size in SIZES]


def gzipped(library: Library, parts: list[bytes], tail: bytes) -> bytes:
    pieces = [finished(compress(library, part)) for part in parts]
    return b"".join(member(library, finished(stitch(library, pieces)), tail))


@pytest.mark.parametrize("tail", [b"", b"the end\n"])
def test_a_stitched_member_reads_back(library: Library, tail: bytes) -> None:
    assert gzip.decompress(gzipped(library, texts(), tail)) == b"".join(texts()) + tail


def test_it_is_one_member_with_nothing_behind_it(library: Library) -> None:
    """For curl and httpx stop after the first."""
    reader = zlib.decompressobj(wbits=31)
    assert reader.decompress(gzipped(library, texts(), b"tail")) == b"".join(texts()) + b"tail"
    assert reader.eof
    assert reader.unused_data == b""


def test_the_gzip_program_finds_it_whole(library: Library) -> None:
    whole = gzipped(library, texts(), b"tail")
    done = subprocess.run(["gzip", "-t"], input=whole, capture_output=True, check=False)  # noqa: S607  # as an operator's shell finds it
    assert (done.returncode, done.stderr) == (0, b"")


def test_pieces_can_stand_in_any_order(library: Library) -> None:
    """Each forgets what was before it: so one can be made anew without the others."""
    pieces = [finished(compress(library, text)) for text in texts()]
    mixed = b"".join(member(library, finished(stitch(library, pieces[::-1])), b""))
    assert gzip.decompress(mixed) == b"".join(texts()[::-1])


def test_nothing_at_all_is_a_member_too(library: Library) -> None:
    assert gzip.decompress(b"".join(member(library, EMPTY, b""))) == b""


def test_pieces_are_joined_in_steps(library: Library) -> None:
    chance = Random(1)  # noqa: S311  # bytes that gzip cannot shorten
    noise = [chance.randbytes(50_000) for _ in range(40)]
    pieces = [finished(compress(library, part)) for part in noise]
    steps = list(stitch(library, pieces))
    assert len(steps) == len(b"".join(noise)) // (6 * 50_000)
    parts = finished(stitch(library, pieces)).parts
    assert max(map(len, parts)) < 2**18 + 60_000


def test_a_large_text_is_compressed_in_steps(library: Library) -> None:
    steps = list(compress(library, bytes(10 * STEP + 1)))
    assert sum(steps) == 10 * STEP + 1
    assert max(steps) <= STEP


@pytest.mark.parametrize("second", SIZES)
def test_checksums_combine(library: Library, second: int) -> None:
    """Plain Python's way and the library's."""
    one, other = b"some text", Random(second).randbytes(second)  # noqa: S311  # any bytes
    for combine in (crc32_combine, library.crc32_combine):
        whole = combine(zlib.crc32(one), zlib.crc32(other), len(other))
        assert whole == zlib.crc32(one + other)


def test_slices_are_neither_small_nor_large() -> None:
    parts = [bytes([number % 251]) * size for number, size in enumerate(SIZES * 20)]
    cut = list(slices([*parts, bytes(5 * STEP)]))
    assert b"".join(cut) == b"".join([*parts, bytes(5 * STEP)])
    assert max(map(len, cut)) < 2 * STEP
    assert len(cut) < sum(map(len, cut)) / STEP * 2


def test_a_small_text_is_not_copied() -> None:
    text = bytes(STEP + 5)
    assert next(slices([text])) is text


def test_nothing_has_no_slices() -> None:
    assert list(slices([])) == list(slices([b"", b""])) == []


def test_small_steps_are_taken_together() -> None:
    taken: list[int] = []

    def steps() -> Generator[int, None, str]:
        for _ in range(100):
            taken.append(STEP // 10)
            yield STEP // 10
        return "done"

    turns = paced(steps())
    assert [len(taken) for _ in turns] == [11, 22, 33, 44, 55, 66, 77, 88, 99]
    assert finished(paced(steps())) == "done"


def test_zlib_does_it_where_isal_is_missing() -> None:
    code = (
        "import sys; sys.modules['isal'] = None\n"
        "from exporter.metrics.compression import best, isal\n"
        "print(best().name, isal())"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)  # noqa: S603  # the program is this Python
    assert done.stdout == "zlib None\n"


def test_isal_is_preferred() -> None:
    assert best() is (isal() or ZLIB)


def test_isal_is_not_imported_before_it_is_needed() -> None:
    code = (
        "import sys; from exporter.metrics.exposition import Exposition\n"
        "print(*Exposition().snapshot().gzip(), 'isal' in sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)  # noqa: S603  # the program is this Python
    assert done.stdout == "False\n"
