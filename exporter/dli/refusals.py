"""What the API's error answers mean, in all the shapes that DLI, its gateway and IAM use."""

import re
from typing import Final

from .errors import (
    BackendFailed,
    ClockSkewed,
    DliError,
    EndpointNotFound,
    Forbidden,
    JobExpired,
    JobNotFound,
    KeyLocked,
    KeyUnknown,
    ParseError,
    QueueBusy,
    RequestRejected,
    ServerFailed,
    SignatureRejected,
    Throttled,
    TokenRejected,
    Unauthorized,
    Unsuccessful,
)
from .fields import load
from .times import parse_http_date

LONGEST_WAIT: Final = 300.0
"""No Retry-After is believed beyond this many seconds."""
TOLERATED_SKEW: Final = 15 * 60.0
"""A signature's date may be this many seconds off (api-sign-0001)."""

# dli_02_0056 for DLI.*, api-sign-errorcode for APIGW.*; what is missing goes by HTTP status.
_BY_CODE: Final[dict[str, type[DliError]]] = {
    **dict.fromkeys(("DLI.0002", "DLI.0023", "DLI.12004"), JobNotFound),
    "DLI.0100": JobExpired,
    **dict.fromkeys(("DLI.0012", "DLI.0019", "DLI.0999"), QueueBusy),
    **dict.fromkeys(("DLI.0013", "DLI.0014", "DLI.0015", "DLI.0016"), TokenRejected),
    **dict.fromkeys(("APIGW.0101", "APIGW.0103"), EndpointNotFound),
    **dict.fromkeys(
        (
            *("APIGW.0302", "APIGW.0303", "APIGW.0304", "APIGW.0305", "APIGW.0306"),
            *("APIGW.0310", "APIGW.0311", "APIGW.0401", "APIGW.0402", "APIGW.0404"),
            *("APIGW.0801", "APIGW.0802"),
        ),
        Forbidden,
    ),
    "APIGW.0307": TokenRejected,
    "APIGW.0308": Throttled,
}
_BY_STATUS: Final[dict[int, type[DliError]]] = {
    401: Unauthorized,
    403: Forbidden,
    404: EndpointNotFound,
    408: ServerFailed,
    429: Throttled,
}
# APIGW.0301 has one code for everything that can be wrong with a caller (ocr_01_0063,
# apig-faq-0003): only its text tells. The first that matches counts.
_BY_TEXT: Final[tuple[tuple[re.Pattern[str], type[DliError]], ...]] = (
    (re.compile(r"reach the limit|locked", re.IGNORECASE), KeyLocked),
    (re.compile(r"signature expired", re.IGNORECASE), ClockSkewed),
    (re.compile(r"not exist|Get secretKey failed", re.IGNORECASE), KeyUnknown),
    (re.compile(r"sign|aksk", re.IGNORECASE), SignatureRejected),
    (re.compile(r"token", re.IGNORECASE), TokenRejected),
)
_CODE: Final = re.compile(r"[A-Za-z]{2,16}\.[0-9A-Za-z]{1,8}")
_PREFIX: Final = re.compile(r"^API[GC]\.")
_QUOTA: Final = re.compile(r"limit:\s*(\d{1,9})\s*,\s*time:\s*(\d{1,9})\s*(second|minute|hour|day)")
_UNITS: Final = {"second": 1, "minute": 60, "hour": 3600, "day": 86400}
_SECONDS: Final = re.compile(r"\d+(?:\.\d+)?", re.ASCII)
_SHAPES: Final = (("error_code", "error_msg"), ("errorCode", "errorMsg"), ("code", "message"))


def parse_error(
    status: int, body: bytes, *, retry_after: float | None = None, skew: float | None = None
) -> DliError:
    """Read an answer with an error status.

    ``retry_after`` is what ``parse_retry_after`` made of the header; ``skew`` this machine's
    clock minus the answer's Date header, in seconds.
    """
    try:
        document = load(body)
    except ParseError:
        document = None
    code, message = code_and_message(document)
    return classify(status, code, message, retry_after=retry_after, skew=skew)


def code_and_message(document: object) -> tuple[str, str]:
    """Find an error's code, with the gateway's prefix made uniform, and its text.

    Either may be empty. Known shapes: ``error_code``/``error_msg``, the same inside a list,
    ``errorCode``/``errorMsg``, ``code``/``message``, Keystone's ``error`` object, and an
    error object as a string inside ``message``.
    """
    if isinstance(document, list) and document:
        document = document[0]
    if not isinstance(document, dict):
        return "", ""
    if isinstance(inner := document.get("error"), dict):
        document = inner
    for code_name, message_name in _SHAPES:
        if code := _code(document.get(code_name)):
            return code, _text(document.get(message_name))
    messages = (_text(document.get(name)) for _, name in _SHAPES)
    return _embedded(next(filter(None, messages), ""))


def classify(
    status: int,
    code: str,
    message: str,
    *,
    retry_after: float | None = None,
    skew: float | None = None,
) -> DliError:
    """Turn an error answer's parts into the error that they mean (dli_02_0056, dli_02_0012)."""
    kind = _kind(status, code, message)
    text = f"HTTP {status} {code}".rstrip() + (f": {message}" if message else "")
    if kind is Throttled:
        return Throttled(text, retry_after=retry_after, limit=parse_quota(message))
    if skew is not None and (kind is ClockSkewed or _explains(skew, kind)):
        return ClockSkewed(f"this clock is {skew:+.0f} s off the gateway's: {text}")
    return kind(text, retry_after=retry_after)


def parse_retry_after(value: str | None, now: float) -> float | None:
    """Read a Retry-After header as seconds from ``now``, at most ``LONGEST_WAIT``.

    It holds seconds or an HTTP date; anything else, and what is negative, is ignored.
    """
    if value is None:
        return None
    if _SECONDS.fullmatch(value.strip()):
        return min(float(value), LONGEST_WAIT)
    moment = parse_http_date(value)
    return None if moment is None else min(max(moment - now, 0.0), LONGEST_WAIT)


def parse_quota(message: str) -> float | None:
    """Read the quota out of a throttling text, in requests a second (ocr_01_0041).

    The text ends in ``limit:60,time:1 minute``.
    """
    match = _QUOTA.search(message)
    if not match:
        return None
    seconds = int(match[2]) * _UNITS[match[3]]
    return int(match[1]) / seconds or None if seconds else None


def _kind(status: int, code: str, message: str) -> type[DliError]:
    if status >= 500:
        return BackendFailed if status == 500 and code.startswith("DLI.") else ServerFailed
    if status == 429:
        return Throttled
    if code == "APIGW.0301":
        return next((kind for text, kind in _BY_TEXT if text.search(message)), Unauthorized)
    if code in _BY_CODE:
        return _BY_CODE[code]
    if status == 404 and code.startswith("DLI."):
        return RequestRejected
    return _BY_STATUS.get(status, Unsuccessful if status < 300 else RequestRejected)


def _explains(skew: float, kind: type[DliError]) -> bool:
    return kind is SignatureRejected and abs(skew) > TOLERATED_SKEW


def _code(value: object) -> str:
    if not isinstance(value, str) or not _CODE.fullmatch(value):
        return ""
    return _PREFIX.sub("APIGW.", value.upper())


def _text(value: object) -> str:
    return value if isinstance(value, str) else ""


def _embedded(message: str) -> tuple[str, str]:
    """Look into a message that is an error object itself (status example of 2021)."""
    if not message.lstrip().startswith("{"):
        return "", message
    try:
        document = load(message.encode("utf-8", "replace"))
    except ParseError:
        return "", message
    if isinstance(document, dict) and (code := _code(document.get("error_code"))):
        return code, _text(document.get("error_msg"))
    return "", message
