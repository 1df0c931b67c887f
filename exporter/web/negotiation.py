"""Which format and encoding a scraper asks for."""

from collections.abc import Iterator
from enum import StrEnum


class Format(StrEnum):
    """The exposition formats served; the value is the Content-Type."""

    TEXT = "text/plain; version=0.0.4; charset=utf-8"
    OPENMETRICS = "application/openmetrics-text; version=1.0.0; charset=utf-8"


def choose_format(accept: str) -> Format:
    """Return the format for an Accept header: text unless OpenMetrics 1.0 is liked better."""
    openmetrics = text = 0.0
    for media, parameters in _ranges(accept):
        quality = _quality(parameters)
        if media == "application/openmetrics-text":
            if parameters.get("version", "1.0.0") == "1.0.0":
                openmetrics = max(openmetrics, quality)
        elif media in ("text/plain", "text/*", "*/*"):
            text = max(text, quality)
    return Format.OPENMETRICS if openmetrics and openmetrics >= text else Format.TEXT


def accepts_gzip(accept_encoding: str) -> bool:
    """Whether an Accept-Encoding header allows gzip."""
    qualities = {coding: _quality(parameters) for coding, parameters in _ranges(accept_encoding)}
    return qualities.get("gzip", qualities.get("*", 0.0)) > 0


def _ranges(header: str) -> Iterator[tuple[str, dict[str, str]]]:
    for item in header.lower().split(","):
        value, *parameters = (part.strip() for part in item.split(";"))
        yield (
            value,
            {name.strip(): v.strip() for name, _, v in (p.partition("=") for p in parameters)},
        )


def _quality(parameters: dict[str, str]) -> float:
    try:
        return float(parameters.get("q", "1"))
    except ValueError:
        return 0.0
