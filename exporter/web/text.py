"""Text for a page: made harmless, and figures as people read them."""

from datetime import UTC, datetime
from html import escape
from itertools import pairwise
from math import floor
from typing import Final

_LONGEST: Final = 256
"""Characters shown of a text that somebody else wrote; CSS cuts what is left to its place."""
_JOINERS: Final = "\u200c\u200d"
"""They shape Persian words and emoji, and can move nothing."""
_UNITS: Final = (("d", 86_400), ("h", 3_600), ("m", 60), ("s", 1))


def harmless(text: str) -> str:
    """Return foreign text for HTML or a quoted attribute: escaped, bounded, on one line.

    What has no shape of its own becomes the replacement character: controls, lone surrogates,
    and the marks that reverse what stands around them (Unicode's bidirectional ones).
    """
    if len(text) > _LONGEST:
        text = f"{text[: _LONGEST - 1]}…"
    return escape(text if text.isprintable() else "".join(map(_visible, text)))


def _visible(character: str) -> str:
    if character.isprintable() or character in _JOINERS:
        return character
    return " " if character.isspace() else "\N{REPLACEMENT CHARACTER}"


def duration(seconds: float) -> str:
    """Return a length of time in its two largest units, such as ``2h 5m``."""
    left = max(round(seconds), 0)
    for (large, size), (small, part) in pairwise(_UNITS):
        if left >= size:
            rest = left % size // part
            return f"{left // size}{large} {rest}{small}" if rest else f"{left // size}{large}"
    return f"{left}s"


def percent(ratio: float) -> str:
    """Return a ratio as a percentage that is 100 only when nothing is left."""
    return f"{floor(min(max(ratio, 0.0), 1.0) * 100)}%"


def clock(when: float, now: float) -> str:
    """Return a moment as UTC time of day, with its date if that is not the one of ``now``."""
    moment = _utc(when)
    day = "" if moment.date() == _utc(now).date() else f"{moment:%Y-%m-%d} "
    return f"{day}{moment:%H:%M}"


def moment(when: float, text: str) -> str:
    """Return HTML of a text that stands for a moment (Unix seconds)."""
    return f'<time datetime="{_utc(when):%Y-%m-%dT%H:%M:%SZ}">{text}</time>'


def ago(when: float, now: float) -> str:
    """Return HTML that tells how long ago a moment was."""
    return moment(when, f"{duration(now - when)} ago")


def counted(count: int, noun: str) -> str:
    """Return a count with its noun, such as ``1,200 jobs``."""
    return f"{count:,} {noun}" if count == 1 else f"{count:,} {noun}s"


_FIRST, _LAST = datetime(1, 1, 1, tzinfo=UTC), datetime(9999, 12, 31, tzinfo=UTC)


def _utc(when: float) -> datetime:
    """Return a moment; one that no calendar has becomes the nearest that it does have."""
    try:
        return datetime.fromtimestamp(when, UTC)
    except (OverflowError, ValueError, OSError):
        return _LAST if when > 0 else _FIRST
