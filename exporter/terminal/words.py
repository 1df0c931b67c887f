"""Durations, moments, shares and speeds in words, and foreign text that can do no harm."""

from datetime import UTC, datetime, tzinfo
from math import floor
from typing import Final

_UNITS: Final = (("d", 86_400), ("h", 3_600), ("m", 60), ("s", 1))
_LONGEST: Final = 128
_REPLACED: Final = "\N{REPLACEMENT CHARACTER}"
_THOUSANDS: Final = (("G", 1e9), ("M", 1e6), ("k", 1e3))
_ROUNDING: Final = 1e-9


def plain(text: str) -> str:
    """Return text of others in one line, bounded, with nothing that acts on a terminal.

    White space becomes a space; what else cannot be printed (control characters, and those that
    turn the direction of writing or are not seen) becomes U+FFFD.
    """
    line = " ".join(text.split())[:_LONGEST]
    return "".join(char if char.isprintable() else _REPLACED for char in line)


def duration(seconds: float) -> str:
    """Write a duration with its two largest units: ``45s``, ``4m 10s``, ``2h 5m``."""
    left, parts = max(round(seconds), 0), []
    for unit, size in _UNITS:
        count, left = divmod(left, size)
        parts.append((count, unit))
    first = next((place for place, (count, _) in enumerate(parts) if count), len(parts) - 1)
    shown = [f"{count}{unit}" for count, unit in parts[first : first + 2] if count]
    return " ".join(shown) or "0s"


_FARTHEST: Final = datetime(9999, 1, 1, tzinfo=UTC).timestamp()


def share(ratio: float) -> str:
    """Write a ratio in per cent, rounded down: 100 % is what has been reached, nothing less."""
    return f"{floor(ratio * 100 + _ROUNDING)} %"


def speed(per_second: float) -> str:
    """Write how many there are in a second, or in a minute if that is less than one in ten."""
    if 0 < per_second < 0.1:
        return f"{per_second * 60:.2g}/min"
    for letter, size in _THOUSANDS:
        if per_second >= size:
            return f"{per_second / size:.3g}{letter}/s"
    return f"{per_second:.3g}/s"


def moment(at: float) -> str:
    """Write Unix seconds as UTC, as the log lines have it, to the second."""
    return _dated(at, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def clock(at: float, *, now: float, zone: tzinfo | None = None) -> str:
    """Write Unix seconds as a clock shows them in a zone (the local one); the day if not today."""
    there, here = _dated(at, zone), _dated(now, zone)
    return there.strftime("%H:%M" if there.date() == here.date() else "%m-%d %H:%M")


def _dated(at: float, zone: tzinfo | None) -> datetime:
    """Return a moment; one that no calendar has is as far away as a calendar goes."""
    try:
        return datetime.fromtimestamp(at, zone)
    except (OverflowError, ValueError, OSError):
        return datetime.fromtimestamp(_FARTHEST if at > 0 else 0.0, zone)
