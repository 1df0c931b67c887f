"""Log lines: one per record, escaped, with fields."""

import json
import logging
import sys
import warnings
from collections.abc import Iterator
from enum import StrEnum
from io import StringIO
from typing import Literal

import pytest
from aiohttp import ClientResponseError, RequestInfo
from multidict import CIMultiDict, CIMultiDictProxy
from yarl import URL

from exporter.logs import JsonFormatter, LogfmtFormatter, fields, setup

FORMATTERS = [LogfmtFormatter(), JsonFormatter()]
NASTY = [
    "a\nb",
    "a\r\nb",
    "a\u2028b\u2029c\x85d\x0b\x0c\x1c",
    "\x1b[31mred",
    "\x00",
    "\ud800",
    "\t",
]


class Colour(StrEnum):
    RED = "red"


def record(message: str, *args: object, **values: object) -> logging.LogRecord:
    made = logging.LogRecord("exporter.x", logging.INFO, __file__, 1, message, args, None)
    made.created = 1_767_323_045.678
    made.__dict__.update(fields(**values))
    return made


def with_traceback(error: BaseException) -> logging.LogRecord:
    made = record("failed")
    try:
        raise error
    except type(error):
        made.exc_info = sys.exc_info()
    return made


def test_logfmt_has_time_level_logger_message_and_fields() -> None:
    line = LogfmtFormatter().format(
        record("job %s", "ended", job="85798b38", status=Colour.RED, seconds=1.5, ok=True, n=0)
    )
    assert line == (
        'ts=2026-01-02T03:04:05.678Z level=info logger=exporter.x msg="job ended" '
        "job=85798b38 status=red seconds=1.5 ok=true n=0"
    )


def test_json_has_the_same_pairs_with_their_types() -> None:
    line = JsonFormatter().format(record("job ended", job="é", seconds=1.5, ok=True, n=0))
    assert "é" in line
    assert json.loads(line) == {
        "ts": "2026-01-02T03:04:05.678Z",
        "level": "info",
        "logger": "exporter.x",
        "msg": "job ended",
        "job": "é",
        "seconds": 1.5,
        "ok": True,
        "n": 0,
    }


@pytest.mark.parametrize(
    ("value", "shown"),
    [
        ("plain", "plain"),
        ("two words", '"two words"'),
        ("", '""'),
        ("a=b", '"a=b"'),
        ('say "hi"', r'"say \"hi\""'),
        ("back\\slash", r'"back\\slash"'),
        ("é漢", "é漢"),
        ("a\nb", r'"a\nb"'),
        ("\u2028", r'"\u2028"'),
        ("\x7f", r'"\u007f"'),
        (float("nan"), "nan"),
    ],
)
def test_logfmt_quotes_only_what_needs_it(value: object, shown: str) -> None:
    assert LogfmtFormatter().format(record("m", value=value)).endswith(f" value={shown}")


def test_logfmt_keys_hold_no_separator() -> None:
    assert LogfmtFormatter().format(record("m", **{'a b="c\n': 1})).endswith(" a_b__c_=1")


@pytest.mark.parametrize("formatter", FORMATTERS, ids=["logfmt", "json"])
@pytest.mark.parametrize("text", NASTY, ids=ascii)
def test_a_record_is_one_printable_line_that_utf8_can_carry(
    formatter: logging.Formatter, text: str
) -> None:
    line = formatter.format(record(text, value=text))
    assert line.isprintable()
    line.encode()


@pytest.mark.parametrize("formatter", FORMATTERS, ids=["logfmt", "json"])
def test_a_traceback_is_a_field_of_its_line(formatter: logging.Formatter) -> None:
    line = formatter.format(with_traceback(ValueError("two\nlines")))
    assert line.isprintable()
    assert "Traceback (most recent call last):" in line
    assert r"ValueError: two\nlines" in line


@pytest.mark.parametrize("formatter", FORMATTERS, ids=["logfmt", "json"])
def test_a_stack_is_a_field_of_its_line(formatter: logging.Formatter) -> None:
    made = record("here")
    made.stack_info = "Stack (most recent call last):\n  File x"
    line = formatter.format(made)
    assert line.isprintable()
    assert r"(most recent call last):\n  File x" in line


def response_error() -> ClientResponseError:
    headers = CIMultiDictProxy(CIMultiDict({"X-Auth-Token": "CANARY"}))
    url = URL("https://dli.example.com/v1")
    return ClientResponseError(
        RequestInfo(url, "GET", headers, url), (), status=403, headers=headers
    )


@pytest.mark.parametrize("formatter", FORMATTERS, ids=["logfmt", "json"])
def test_an_exception_shows_no_request_headers(formatter: logging.Formatter) -> None:
    error = response_error()
    assert "CANARY" in repr(error)
    for line in (
        formatter.format(record("m", error=error)),
        formatter.format(with_traceback(error)),
    ):
        assert "ClientResponseError: 403" in line
        assert "CANARY" not in line


@pytest.mark.parametrize("formatter", FORMATTERS, ids=["logfmt", "json"])
def test_a_call_with_wrong_arguments_still_makes_a_line(formatter: logging.Formatter) -> None:
    assert "%s and %s" in formatter.format(record("%s and %s", 1))


def test_a_field_cannot_pass_for_one_of_the_lines_own() -> None:
    line = JsonFormatter().format(record("m", level="fatal", msg="x"))
    assert json.loads(line)["level"] == "info"
    assert json.loads(line)["level_"] == "fatal"


def test_json_is_valid_whatever_the_number() -> None:
    line = JsonFormatter().format(record("m", a=float("nan"), b=float("-inf")))
    assert json.loads(line, parse_constant=pytest.fail)["b"] == "-inf"


def test_a_field_that_is_none_is_left_out() -> None:
    assert LogfmtFormatter().format(record("m", a=None, b=1)).endswith("msg=m b=1")


@pytest.fixture
def untouched_root() -> Iterator[logging.Logger]:
    root = logging.getLogger()
    before = root.level, root.handlers[:]
    root.handlers.clear()
    yield root
    logging.captureWarnings(capture=False)
    root.setLevel(before[0])
    root.handlers[:] = before[1]


@pytest.mark.parametrize(("format_", "start"), [("logfmt", "ts="), ("json", '{"ts"')])
def test_setup_sends_records_of_the_level_to_the_stream(
    untouched_root: logging.Logger, format_: Literal["logfmt", "json"], start: str
) -> None:
    stream = StringIO()
    setup("warning", format_, StringIO())
    setup("info", format_, stream)
    log = logging.getLogger("exporter.test")
    log.debug("no")
    log.info("yes", extra=fields(n=1))
    assert len(untouched_root.handlers) == 1
    assert stream.getvalue().startswith(start)
    assert stream.getvalue().count("\n") == 1


def test_setup_makes_a_python_warning_a_line(untouched_root: logging.Logger) -> None:
    stream = StringIO()
    with warnings.catch_warnings():
        warnings.simplefilter("always")
        setup("info", "logfmt", stream)
        warnings.warn("mind\nthis", stacklevel=1)
    assert stream.getvalue().count("\n") == 1
    assert "level=warning logger=py.warnings" in stream.getvalue()
