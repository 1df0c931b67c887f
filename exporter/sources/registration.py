"""What somebody registers, as a file or over HTTP: read without trusting it, and written."""

import json
import re
from collections.abc import Callable, Collection, Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from types import MappingProxyType
from typing import Any, Final

from ..jobs.model import JobKey, Registration

LARGEST: Final = 64 * 1024
"""Bytes that a file or an HTTP body may have."""
MOST_IDS: Final = 1_000
"""Jobs that one file may name."""
LONGEST_TEXT: Final = 128
"""Bytes that a name or the value of a label may have."""
MOST_LABELS: Final = 5

_JOB_ID: Final = re.compile("[A-Za-z0-9-]{1,64}")  # it becomes part of a URL's path
_LABEL: Final = re.compile("(?!__)[A-Za-z_][A-Za-z0-9_]{0,63}")
_RFC_3339: Final = re.compile(
    r"\d{4}-\d\d-\d\d[T ]\d\d:\d\d:\d\d(\.\d{1,9})?(Z|[+-]\d\d:\d\d)", re.ASCII
)
_NUMBER: Final = re.compile(r"\d{1,12}(\.\d{1,9})?", re.ASCII)
_DEADLINES: Final = (1_000_000_000, 253_402_300_799)
"""From 2001 to 9999: outside is a duration or milliseconds, taken for a moment by mistake."""
_SHOWN_KEY: Final = re.compile("[A-Za-z][A-Za-z0-9_-]{0,23}")
"""An unknown key that may be repeated; another may be a secret in a wrong place."""
_SHOWN_PROJECTS: Final = 10


class Reason(StrEnum):
    """Why a registration was rejected: ``reason`` of ``dli_exporter_registrations_rejected_total``.

    ``refused`` is for what was well said, but not wanted, such as a job beyond the limit.
    """

    UNREADABLE = "unreadable"
    NOT_REGULAR = "not_regular"
    TOO_LARGE = "too_large"
    TOO_MANY = "too_many"
    MALFORMED = "malformed"
    INVALID = "invalid"
    UNKNOWN_PROJECT = "unknown_project"
    REFUSED = "refused"


@dataclass(frozen=True, slots=True)
class Rejection:
    """Why something was not registered: one line for people, with nothing of the content."""

    reason: Reason
    message: str


class RegistrationError(Exception):
    """A registration that cannot be used; ``str()`` says what is wrong and what is allowed."""

    def __init__(self, reason: Reason, wrong: str) -> None:
        """Take the reason and the line."""
        super().__init__(wrong)
        self.reason = reason


@dataclass(frozen=True, slots=True)
class Parsed:
    """What a file says: the good entries count, whatever the others are.

    ``rejected`` holds one line for each reason, however many entries are wrong.
    """

    registrations: tuple[Registration, ...] = ()
    rejected: tuple[Rejection, ...] = ()


def parse_file(name: str, content: bytes, *, projects: Collection[str]) -> Parsed:
    """Read a file: a JSON object, a JSON array of such, or lines with a job id each.

    In lines, ``#`` begins a comment. ``projects`` are the names in the settings.
    """
    found: dict[JobKey, Registration] = {}
    wrong: dict[Reason, list[str]] = {}
    try:
        for number, (place, entry) in enumerate(_entries(content)):
            if number == MOST_IDS:
                too_many = f"names more than {MOST_IDS} jobs; the others are left out"
                wrong[Reason.TOO_MANY] = [too_many]
                break
            try:
                registration = build(entry, projects=projects)
            except RegistrationError as error:
                wrong.setdefault(error.reason, []).append(f"{place}{error}")
            else:
                found[JobKey(registration.project, registration.job_id)] = registration
    except RegistrationError as error:
        wrong[error.reason] = [str(error)]
    return Parsed(
        tuple(found.values()),
        tuple(_rejection(name, reason, lines) for reason, lines in wrong.items()),
    )


def parse_body(content: bytes, *, projects: Collection[str]) -> Registration | Rejection:
    """Read the body of an HTTP request: one JSON object."""
    try:
        return build(_json(_text(content)), projects=projects)
    except RegistrationError as error:
        return Rejection(error.reason, str(error))


def build(entry: object, *, projects: Collection[str] | None = None) -> Registration:
    """Make a registration of a decoded JSON value; raises RegistrationError.

    ``projects`` are the names in the settings; None where these are not known. A null is a value
    not given.
    """
    if not isinstance(entry, dict):
        raise RegistrationError(Reason.MALFORMED, "must be a JSON object")
    for key in entry:
        if key not in _CHECKS:
            raise _invalid(f"unknown key{_key(key)}; allowed: {', '.join(_CHECKS)}")
    given = {key: value for key, value in entry.items() if value is not None}
    if "job_id" not in given:
        raise _invalid("job_id: is missing")
    registration = Registration(**{key: _CHECKS[key](value) for key, value in given.items()})
    if projects is not None and registration.project not in projects:
        raise RegistrationError(Reason.UNKNOWN_PROJECT, unknown_project(projects))
    return registration


def unknown_project(projects: Collection[str]) -> str:
    """Say that a project is not in the settings, and which are."""
    some = sorted(projects)[:_SHOWN_PROJECTS]
    more = ", …" if len(projects) > len(some) else ""
    return f"project: is not in the settings; allowed: {', '.join(some)}{more}"


def file_content(registration: Registration) -> bytes:
    """Return a registration as the file that :func:`parse_file` reads, less what is default."""
    default = Registration(job_id=registration.job_id)
    given: dict[str, Any] = {"job_id": registration.job_id}
    for key in ("project", "name", "deadline"):
        if (value := getattr(registration, key)) != getattr(default, key):
            given[key] = value
    if registration.labels:
        given["labels"] = dict(registration.labels)
    return json.dumps(given, allow_nan=False).encode() + b"\n"


def shown(name: str) -> str:
    """Return a file's name as it may stand in a line: short, and nothing but printable."""
    text = name if name.isprintable() else ascii(name)
    return text if len(text) <= LONGEST_TEXT else f"{text[:LONGEST_TEXT]}…"


def _entries(content: bytes) -> Iterator[tuple[str, object]]:
    """Yield each entry and, where there may be several, its place."""
    text = _text(content)
    if not text:
        raise RegistrationError(Reason.MALFORMED, "is empty")
    if text.lstrip().startswith(("{", "[")):
        entries = _json(text)
        if not isinstance(entries, list):
            yield "", entries
            return
        yield from ((f"entry {place}: ", entry) for place, entry in enumerate(entries, 1))
        return
    for place, line in enumerate(text.splitlines(), 1):
        if job_id := line.partition("#")[0].strip():
            yield f"line {place}: ", {"job_id": job_id}


def _text(content: bytes) -> str:
    try:
        return content.decode("utf-8-sig")
    except UnicodeDecodeError:
        raise RegistrationError(Reason.MALFORMED, "is not UTF-8 text") from None


def _json(text: str) -> object:
    try:
        return json.loads(text)
    # ValueError: also a number with thousands of digits. RecursionError: brackets without end.
    except (ValueError, RecursionError):
        raise RegistrationError(Reason.MALFORMED, "is not valid JSON") from None


def _rejection(name: str, reason: Reason, lines: list[str]) -> Rejection:
    more = f" (and {len(lines) - 1} more like it)" if len(lines) > 1 else ""
    return Rejection(reason, f"{shown(name)}: {lines[0]}{more}")


def _invalid(wrong: str) -> RegistrationError:
    return RegistrationError(Reason.INVALID, wrong)


def _key(key: str) -> str:
    return f" {key}" if _SHOWN_KEY.fullmatch(key) else ""


def _job_id(value: object) -> str:
    if not isinstance(value, str) or not _JOB_ID.fullmatch(value):
        raise _invalid("job_id: must be 1 to 64 letters, digits or -")
    return value


def _project(value: object) -> str:
    if not isinstance(value, str) or not (1 <= len(value) <= 64 and value.isprintable()):
        raise _invalid("project: must be the name of a project in the settings")
    return value


def _name(value: object) -> str:
    return _short_text("name", value)


def tagged_deadline(text: str) -> float | None:
    """Read the deadline that a DLI tag holds, as Unix seconds; None if it is none."""
    try:
        return _deadline(float(text) if _NUMBER.fullmatch(text) else text)
    except RegistrationError:
        return None


def _deadline(value: object) -> float:
    moment = _moment(value) if isinstance(value, str) else value
    first, last = _DEADLINES
    if isinstance(moment, bool) or not isinstance(moment, int | float):
        moment = None
    if moment is None or not first <= moment <= last:
        raise _invalid("deadline: must be Unix seconds or RFC 3339, such as 2026-11-20T06:00:00Z")
    return float(moment)


def _moment(text: str) -> float | None:
    """Read RFC 3339, such as ``2026-11-20T06:00:00+08:00``, as Unix seconds; None if it is not."""
    written = text.upper()
    if not _RFC_3339.fullmatch(written):
        return None
    try:
        return datetime.fromisoformat(written).timestamp()
    except ValueError:  # such as a 30 February
        return None


def _labels(value: object) -> Mapping[str, str]:
    if not isinstance(value, dict):
        raise _invalid("labels: must be a JSON object")
    if len(value) > MOST_LABELS:
        raise _invalid(f"labels: must be no more than {MOST_LABELS}")
    if not all(_LABEL.fullmatch(name) for name in value):
        raise _invalid("labels: names must be letters, digits or _, with no digit or __ in front")
    return {name: _short_text("labels", text) for name, text in value.items()}


def _short_text(key: str, value: object) -> str:
    # What is printable holds no lone surrogate, so that it can be encoded.
    if not isinstance(value, str) or not value.isprintable() or len(value.encode()) > LONGEST_TEXT:
        raise _invalid(f"{key}: must be printable text of at most {LONGEST_TEXT} bytes")
    return value


_CHECKS: Final[Mapping[str, Callable[[object], Any]]] = MappingProxyType(
    {
        "job_id": _job_id,
        "project": _project,
        "name": _name,
        "deadline": _deadline,
        "labels": _labels,
    }
)
"""The keys of an entry, and what checks the value of each."""
