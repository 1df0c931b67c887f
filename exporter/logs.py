"""Log lines as logfmt or JSON: one line per record, whatever is in it."""

import json
import logging
import math
from collections.abc import Iterable, Mapping
from datetime import UTC, datetime
from typing import Final, Literal, TextIO

Value = str | int | float | bool | None

_RESERVED: Final = frozenset({"ts", "level", "logger", "msg", "exception", "stack"})


def fields(**values: object) -> dict[str, Mapping[str, object]]:
    """Make the ``extra`` of a log call: ``log.info("job ended", extra=fields(job=job_id))``.

    What is neither text, number nor bool is shown as ``str`` shows it, an exception with its
    class in front; None is left out. A name that each line has of its own gets ``_`` behind it.
    """
    return {
        "fields": {
            f"{name}_" if name in _RESERVED else name: value
            for name, value in values.items()
            if value is not None
        }
    }


def setup(
    level: Literal["debug", "info", "warning", "error"],
    format: Literal["logfmt", "json"],
    stream: TextIO,
) -> None:
    """Send every log record and Python warning of at least *level* to *stream*."""
    handler = logging.StreamHandler(stream)
    handler.setFormatter(JsonFormatter() if format == "json" else LogfmtFormatter())
    logging.basicConfig(level=level.upper(), handlers=[handler], force=True)
    logging.captureWarnings(capture=True)


class LogfmtFormatter(logging.Formatter):
    """``ts=2026-01-02T03:04:05.678Z level=info logger=exporter.poller msg="job ended" job=…``."""

    def format(self, record: logging.LogRecord) -> str:
        """Write *record* in one line."""
        return " ".join(f"{_key(name)}={_quoted(value)}" for name, value in _pairs(self, record))


class JsonFormatter(logging.Formatter):
    """The same pairs as one JSON object."""

    def format(self, record: logging.LogRecord) -> str:
        """Write *record* in one line; JSON has no NaN, so that becomes text."""
        pairs = {
            name: str(value) if isinstance(value, float) and not math.isfinite(value) else value
            for name, value in _pairs(self, record)
        }
        return _one_line(json.dumps(pairs, ensure_ascii=False))


def _pairs(formatter: logging.Formatter, record: logging.LogRecord) -> Iterable[tuple[str, Value]]:
    moment = datetime.fromtimestamp(record.created, UTC)
    yield "ts", moment.isoformat(timespec="milliseconds").replace("+00:00", "Z")
    yield "level", record.levelname.lower()
    yield "logger", record.name
    yield "msg", _message(record)
    extra: Mapping[str, object] = getattr(record, "fields", {})
    for name, value in extra.items():
        yield name, _plain(value)
    if record.exc_info:
        yield "exception", formatter.formatException(record.exc_info)
    if record.stack_info:
        yield "stack", formatter.formatStack(record.stack_info)


def _message(record: logging.LogRecord) -> str:
    """Put the message together; a wrong call must cost neither the line nor the process."""
    try:
        return record.getMessage()
    except (TypeError, ValueError, KeyError):
        return str(record.msg)


def _plain(value: object) -> Value:
    """Show an exception by ``str``, never by ``repr``, which holds headers in aiohttp's."""
    if isinstance(value, BaseException):
        text = str(value)
        return f"{type(value).__name__}: {text}" if text else type(value).__name__
    # An enum's member or a text's subclass is shown as it shows itself.
    return value if type(value) in (str, int, float, bool) else str(value)  # type: ignore[return-value]


def _key(name: str) -> str:
    return "".join(char if char.isalnum() or char in "_.-" else "_" for char in name)


def _quoted(value: Value) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    text = str(value)
    plain = text and text.isprintable() and not any(char in ' "=\\' for char in text)
    return text if plain else _one_line(json.dumps(text, ensure_ascii=False))


def _one_line(text: str) -> str:
    """Escape what JSON leaves alone but terminals, log shippers or UTF-8 do not."""
    return text if text.isprintable() else "".join(map(_escaped, text))


def _escaped(char: str) -> str:
    return char if char.isprintable() else json.dumps(char)[1:-1]
