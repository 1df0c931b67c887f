"""The ways in which DLI, Spark and HTTP write a moment, read without regard to any locale."""

import re
from collections.abc import Mapping
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from functools import lru_cache
from types import MappingProxyType
from typing import Final

HOUR: Final = 3600
DEFAULT_ZONES: Final[Mapping[str, int]] = MappingProxyType(
    {
        "UTC": 0,
        "GMT": 0,
        "UT": 0,
        "Z": 0,
        "CST": 8 * HOUR,  # China; in the Americas it is UTC-6, hence a setting
        "HKT": 8 * HOUR,
        "SGT": 8 * HOUR,
        "MYT": 8 * HOUR,
        "ICT": 7 * HOUR,
        "WIB": 7 * HOUR,
        "GST": 4 * HOUR,
        "MSK": 3 * HOUR,
        "TRT": 3 * HOUR,
        "SAST": 2 * HOUR,
        "EET": 2 * HOUR,
        "EEST": 3 * HOUR,
        "CET": 1 * HOUR,
        "CEST": 2 * HOUR,
        "WET": 0,
        "WEST": 1 * HOUR,
        "BRT": -3 * HOUR,
        "CLT": -4 * HOUR,
        "CLST": -3 * HOUR,
    }
)
"""Zone names as Java prints them for DLI's regions: seconds east of UTC."""

_REMEMBERED: Final = 16_384
"""Texts whose moment is remembered: each answer repeats those of the last one."""
_NAMES: Final = ("Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec")
_MONTHS: Final = {name: number for number, name in enumerate(_NAMES, start=1)}
_JAVA: Final = re.compile(
    r"[A-Z][a-z]{2} (?P<month>[A-Z][a-z]{2}) +(?P<day>\d{1,2}) "
    r"(?P<hour>\d\d):(?P<minute>\d\d):(?P<second>\d\d) (?P<zone>\S+) (?P<year>\d{4})",
    re.ASCII,
)
_ISO: Final = re.compile(
    r"(?P<year>\d{4})-(?P<month>\d\d)-(?P<day>\d\d)[T ]"
    r"(?P<hour>\d\d):(?P<minute>\d\d):(?P<second>\d\d)(?P<fraction>\.\d{1,9})? ?(?P<zone>\S+)",
    re.ASCII,
)
_OFFSET: Final = re.compile(r"(?:GMT|UTC)?([+-])(\d\d?):?(\d\d)?", re.ASCII)


def parse_time(text: str, zones: Mapping[str, int] = DEFAULT_ZONES) -> float | None:
    """Read a moment as Unix seconds; None if it cannot be read without guessing.

    Known are ``Mon Jul 27 17:24:03 CST 2020`` (Java's ``Date.toString()``, the example of the
    progress page), ``2026-11-20T10:15:00.758GMT`` (Spark's REST API) and ISO 8601 with a zone.
    ``zones`` gives seconds east of UTC for zone names.
    """
    if (read := _read(text)) is None:
        return None
    moment, zone = read
    offset = _offset(zone, zones)
    return None if offset is None else moment - offset


def parse_http_date(text: str | None) -> float | None:
    """Read an HTTP header's date as Unix seconds; None if there is none or it is junk."""
    if not text:
        return None
    try:
        moment = parsedate_to_datetime(text)
        return (moment if moment.tzinfo else moment.replace(tzinfo=UTC)).timestamp()
    except (ValueError, TypeError, IndexError, OverflowError):
        return None


@lru_cache(_REMEMBERED)
def _read(text: str) -> tuple[float, str] | None:
    """Read a moment as if its zone were UTC, and the zone."""
    match = _JAVA.fullmatch(text) or _ISO.fullmatch(text)
    if not match:
        return None
    month = _MONTHS.get(match["month"]) or _number(match["month"])
    if month is None:
        return None
    year, day, hour, minute, second = (
        int(match[name]) for name in ("year", "day", "hour", "minute", "second")
    )
    try:
        moment = datetime(year, month, day, hour, minute, second, tzinfo=UTC)
    except ValueError:
        return None
    fraction = match.groupdict().get("fraction")
    return moment.timestamp() + float(fraction or 0), match["zone"]


def _offset(zone: str, zones: Mapping[str, int]) -> int | None:
    if zone in zones:
        return zones[zone]
    match = _OFFSET.fullmatch(zone)
    if not match:
        return None
    sign, hours, minutes = match.groups()
    seconds = int(hours) * HOUR + int(minutes or 0) * 60
    return seconds if sign == "+" else -seconds


def _number(text: str) -> int | None:
    return int(text) if text.isdecimal() else None
