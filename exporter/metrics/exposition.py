"""The exposition of all jobs: rendered and compressed when they change, joined when scraped."""

from collections.abc import Callable, Generator, Iterable, Iterator
from dataclasses import dataclass
from functools import cached_property
from itertools import chain, pairwise
from typing import Final, NamedTuple

from ..jobs.model import Job, JobKey
from .catalogue import JOBS, Row
from .compression import (
    EMPTY,
    STEP,
    ZLIB,
    Library,
    Piece,
    Stitched,
    best,
    compress,
    finished,
    member,
    paced,
    slices,
    stitch,
)
from .rendering import Block, Place, Renderer, SubJobs

_GROUP: Final = 128
"""Jobs in a group at most; two neighbours have more than that together.

Pieces of 128, 64 or 32 jobs compress 9.5, 9.3 and 8.9 : 1, and single jobs 3.3 : 1; but the
larger they are, the more has to be compressed again for one job that has changed.
"""


_SMALL: Final = STEP
"""Bytes of text that are compressed at each scrape, in one step: 10 jobs of 4 sub-jobs.

By zlib, in less than a millisecond: who is so small has no need of another library.
"""


class Exposition:
    """The text of all jobs by job and family, and its gzip by group of jobs and family.

    Of each job at most ``subjobs_per_job`` sub-jobs are shown, those chosen by ``subjobs``.
    ``ripe`` is called when it is time to :meth:`compress` what has changed: so that a scrape
    finds nothing to do, and yet nothing is compressed at each change of one job in a hundred.
    """

    def __init__(
        self,
        families: tuple[Row, ...] = JOBS,
        *,
        subjobs: SubJobs = SubJobs.ALL,
        subjobs_per_job: int = 200,
        library: Library | None = None,
        ripe: Callable[[], None] = lambda: None,
    ) -> None:
        self._renderer = Renderer(families, subjobs, subjobs_per_job)
        self._press = _Press(library, self._renderer.headers, self._renderer.places)
        self._ripe = ripe
        self._groups: list[_Group] = []
        self._members: dict[JobKey, _Group] = {}
        self._size = sum(map(len, self._renderer.headers))
        self.revision = 1
        """Counts the changes of jobs: as long as it is the same nothing has changed."""
        self.series = 0

    def put(self, job: Job) -> bool:
        """Render a job that is new or has changed; return whether its text is another now.

        A job rendered already costs nothing.
        """
        group, before = self._members.get(job.key), None
        if group is not None:
            before = group.blocks[job.key]
            if before.job is job:
                return False
        block, changed = self._renderer.render(job, before)
        if group is None:
            group = self._members[job.key] = self._open_group()
        if before is not None:
            self._count(before, -1)
        self._count(block, 1)
        group.put(block, before, changed)
        if group.ripe and self._size > _SMALL:
            self._ripe()
        return bool(changed)

    def drop(self, key: JobKey) -> None:
        """Forget a job."""
        group = self._members.pop(key, None)
        if group is not None:
            self._count(group.drop(key), -1)
            self._close_ranks(self._groups.index(group))

    def snapshot(self, tail: bytes = b"") -> "Snapshot":
        """Return the exposition as it is now, followed by a text: no copy, and made at once."""
        frames = tuple(group.frame() for group in self._groups)
        return Snapshot(self._press, self.revision, frames, tail, self._size + len(tail))

    def pieces(self) -> Iterator[bytes]:
        """Return the text as it is now, in slices."""
        return self.snapshot().plain()

    def compress(self) -> Iterator[None]:
        """Compress the groups that are ripe, in steps of less than a millisecond."""
        return self._press.complete([group.frame() for group in self._groups if group.ripe])

    def _count(self, block: Block, sign: int) -> None:
        self.revision += 1
        self.series += sign * block.series
        self._size += sign * block.size

    def _open_group(self) -> "_Group":
        """Return the last group, or a new one if that is full."""
        if not self._groups or len(self._groups[-1].blocks) >= _GROUP:
            self._groups.append(_Group(len(self._press.headers)))
        return self._groups[-1]

    def _close_ranks(self, index: int) -> None:
        """Unite the group that a job has left with a neighbour, if that makes one group."""
        if not self._groups[index].blocks:
            del self._groups[index]
            return
        for left, right in pairwise(self._groups[max(index - 1, 0) : index + 2]):
            if len(left.blocks) + len(right.blocks) <= _GROUP:
                left.unite(right)
                self._members.update(dict.fromkeys(right.blocks, left))
                self._groups.remove(right)
                return


class Snapshot(NamedTuple):
    """What was exposed at one moment, in both encodings; ``size`` is that of the text.

    It refers to the text that the exposition keeps, so it holds what has changed since only.
    """

    press: "_Press"
    revision: int
    frames: "tuple[_Frame, ...]"
    tail: bytes
    size: int

    def plain(self) -> Iterator[bytes]:
        """Return the text in slices."""
        return slices(chain(self.press.texts(self.frames), [self.tail]))

    def gzip(self) -> Generator[None, None, tuple[bytes, ...]]:
        """Return one gzip member in parts; what is missing is done in steps, as `compress`."""
        if self.size <= _SMALL:
            return member(self.press.small, EMPTY, b"".join(self.plain()))
        whole = yield from self.press.whole(self.revision, self.frames)
        return member(self.press.codec, whole, self.tail)


@dataclass(slots=True, eq=False)
class _Frame:
    """The jobs of a group at one moment, and what of them is compressed, family by family."""

    blocks: tuple[Block, ...]
    pieces: list[Piece | None]


class _Group:
    """Neighbours, whose lines of a family are compressed together."""

    def __init__(self, families: int) -> None:
        self.blocks: dict[JobKey, Block] = {}
        self._pieces: list[Piece | None] = [None] * families
        self._frame: _Frame | None = None
        self._waiting: set[JobKey] = set()
        self._running = 0

    @property
    def ripe(self) -> bool:
        """Whether all jobs that run may have changed since the group was last compressed.

        So a job's part in it is compressed about once for each time that it is asked for.
        """
        return len(self._waiting) >= max(self._running, 1)

    def frame(self) -> _Frame:
        """Return the group as it is now: the same value until it changes."""
        if self._frame is None:
            self._frame = _Frame(tuple(self.blocks.values()), self._pieces)
            self._waiting.clear()
        return self._frame

    def put(self, block: Block, before: Block | None, changed: Iterable[int]) -> None:
        """Take a job's block, which changes these families, in the place of another."""
        self._running += _runs(block) - (_runs(before) if before else 0)
        self.blocks[block.job.key] = block
        self._waiting.add(block.job.key)
        self._outdate(changed)

    def drop(self, key: JobKey) -> Block:
        """Let a job go, and return its block."""
        block = self.blocks.pop(key)
        self._running -= _runs(block)
        self._waiting.discard(key)
        self._outdate(range(len(self._pieces)))
        return block

    def unite(self, other: "_Group") -> None:
        """Take all jobs of the group that follows."""
        self.blocks |= other.blocks
        self._running += other._running
        self._waiting |= other._waiting
        self._outdate(range(len(self._pieces)))

    def _outdate(self, families: Iterable[int]) -> None:
        if self._frame is not None:
            # Whoever has the frame goes on with it.
            self._frame, self._pieces = None, list(self._pieces)
        for family in families:
            self._pieces[family] = None


def _runs(block: Block) -> bool:
    return block.job.ended is None


class _Press:
    """Makes text and gzip of frames: each family's header, then its lines of every job."""

    def __init__(
        self, library: Library | None, headers: tuple[bytes, ...], places: tuple[Place, ...]
    ) -> None:
        self._given = library
        self.small: Final = library or ZLIB
        self.headers = headers
        self._places = places
        self._kept = (0, EMPTY)

    @cached_property
    def codec(self) -> Library:
        """The library given, else the best one, and not imported before it is needed."""
        return self._given or best()

    @cached_property
    def _headers(self) -> list[Piece]:
        return [finished(compress(self.codec, header)) for header in self.headers]

    def texts(self, frames: Iterable[_Frame]) -> Iterator[bytes]:
        """Yield the text."""
        for header, place in zip(self.headers, self._places, strict=True):
            yield header
            for frame in frames:
                yield b"".join(place.of(frame.blocks))

    def whole(self, revision: int, frames: tuple[_Frame, ...]) -> Generator[None, None, Stitched]:
        """Return all frames of a revision of the exposition stitched, and keep that."""
        kept, whole = self._kept
        if kept != revision:
            yield from self.complete(frames)
            whole = yield from paced(stitch(self.codec, self._pieces(frames)))
            self._kept = revision, whole
        return whole

    def complete(self, frames: Iterable[_Frame]) -> Generator[None, None, None]:
        """Compress what is missing in frames, in steps of less than a millisecond."""
        return paced(self._complete(frames))

    def _complete(self, frames: Iterable[_Frame]) -> Generator[int, None, None]:
        for frame in frames:
            for family, place in enumerate(self._places):
                if frame.pieces[family] is None:
                    text = b"".join(place.of(frame.blocks))
                    frame.pieces[family] = yield from compress(self.codec, text)

    def _pieces(self, frames: Iterable[_Frame]) -> Iterator[Piece]:
        for family, header in enumerate(self._headers):
            yield header
            for frame in frames:
                piece = frame.pieces[family]
                assert piece is not None  # noqa: S101  # complete() was before
                yield piece
