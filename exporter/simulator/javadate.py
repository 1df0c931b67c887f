"""Times as DLI's sub-jobs carry them: ``java.util.Date.toString()``, zone UTC+8."""

from calendar import timegm
from time import gmtime
from typing import Final

_DAYS: Final = ("Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun")
_MONTHS: Final = (
    *("Jan", "Feb", "Mar", "Apr", "May", "Jun"),
    *("Jul", "Aug", "Sep", "Oct", "Nov", "Dec"),
)
_ZONES: Final = {"CST": 8 * 3600, "UTC": 0, "GMT": 0}
"""Offsets in seconds; ``CST`` is China's in every answer of DLI, not Chicago's."""


def format_java_date(moment: float) -> str:
    """Write Unix seconds as ``Mon Jul 27 17:24:03 CST 2020``; fractions are cut off."""
    t = gmtime(moment + _ZONES["CST"])
    clock = f"{t.tm_hour:02}:{t.tm_min:02}:{t.tm_sec:02}"
    day = f"{_DAYS[t.tm_wday]} {_MONTHS[t.tm_mon - 1]} {t.tm_mday:02}"
    return f"{day} {clock} CST {t.tm_year}"


def parse_java_date(text: str) -> int:
    """Read such a date as Unix seconds; ValueError for any other form or zone."""
    try:
        _, month, day, clock, zone, year = text.split()
        hours, minutes, seconds = map(int, clock.split(":"))
        date = (int(year), _MONTHS.index(month) + 1, int(day), hours, minutes, seconds)
        return timegm(date) - _ZONES[zone]
    except (ValueError, KeyError):
        raise ValueError(f"{text!r} is not a date like 'Mon Jul 27 17:24:03 CST 2020'") from None
