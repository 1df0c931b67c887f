"""What the bench prints: a row for each goal, from its number to the verdict."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Row:
    """A goal (``P1``), what it is about, what it asks for, and what was measured.

    One goal may have several rows.
    """

    number: str
    what: str
    goal: str
    measured: str
    met: bool

    @property
    def cells(self) -> tuple[str, ...]:
        """The row as it is printed."""
        return self.number, self.what, self.goal, self.measured, "met" if self.met else "not met"


_HEAD = ("#", "what", "goal", "measured", "")


def table(rows: Iterable[Row]) -> Iterator[str]:
    """Give the lines of a table in columns."""
    cells = [_HEAD, *(row.cells for row in rows)]
    widths = [max(map(len, column)) for column in zip(*cells, strict=True)]
    for line in cells:
        padded = (cell.ljust(width) for cell, width in zip(line, widths, strict=True))
        yield "  ".join(padded).rstrip()
