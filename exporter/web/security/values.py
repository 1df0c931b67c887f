"""What single values in a web-config file may be; each raises Wrong with what is allowed.

A value is a text, a list or a mapping: a YAML reader that guesses no types has read it.
"""

import re
from collections.abc import Callable, Iterable
from typing import Any, Final

from .names import (
    CURVES,
    OLD_VERSIONS,
    POLICIES,
    SUITES,
    SUITES_13,
    SUITES_WITHOUT_SECRECY,
    UNVERIFIED_POLICIES,
    VERSIONS,
)

_TRUE: Final = ("y", "yes", "true", "on")
_FALSE: Final = ("n", "no", "false", "off")
"""YAML 1.1's words, which exporter-toolkit's reader takes; each may be in capitals, too."""

_UNITS: Final = {"ns": 1e-9, "us": 1e-6, "µs": 1e-6, "ms": 1e-3, "s": 1.0, "m": 60.0, "h": 3600.0}
_PIECE: Final = re.compile(r"([0-9]{1,9}(?:\.[0-9]{0,9})?)(ns|us|µs|ms|s|m|h)")
_BCRYPT: Final = re.compile(r"\$2[abxy]\$(?:0[4-9]|[12][0-9]|3[01])\$[./A-Za-z0-9]{53}")
_MOST_SHOWN: Final = 12
"""Longest value to repeat in a message: no key or password is as short."""


class Wrong(Exception):
    """What is wrong with a value, and what is allowed; it quotes nothing that may be secret."""


def text(value: Any) -> str:
    """Read a text."""
    if not isinstance(value, str):
        raise Wrong("must be text")
    return value


def texts(value: Any) -> tuple[str, ...]:
    """Read a list of texts."""
    if not isinstance(value, list) or not all(isinstance(each, str) for each in value):
        raise Wrong("must be a list of texts")
    return tuple(value)


def flag(value: Any) -> bool:
    """Read a switch."""
    word = value if isinstance(value, str) else ""
    usual = word in (word.lower(), word.upper(), word.capitalize())
    if not usual or word.lower() not in _TRUE + _FALSE:
        raise Wrong("must be true or false")
    return word.lower() in _TRUE


def number(value: Any) -> int:
    """Read a whole number that is not negative."""
    if not isinstance(value, str) or not re.fullmatch(r"[0-9]{1,9}", value):
        raise Wrong("must be a whole number from 0 to 999999999")
    return int(value)


def duration(value: Any) -> float:
    """Read a duration as Go writes it, in seconds; 0 needs no unit."""
    given = value if isinstance(value, str) else ""
    pieces = _PIECE.findall(given)
    if given == "0":
        return 0.0
    if not pieces or "".join(map("".join, pieces)) != given:
        raise Wrong("must be a duration such as 500ms, 1.5s or 1m30s, or 0")
    return sum(float(amount) * _UNITS[unit] for amount, unit in pieces)


def version(value: Any) -> str:
    """Read a version of TLS."""
    if value in OLD_VERSIONS:
        raise Wrong(f"{value} is broken and OpenSSL serves it no more; {_allowed(VERSIONS)}")
    return _one_of(value, VERSIONS, "TLS version")


def policy(value: Any) -> str:
    """Read what is asked of clients; an empty one is NoClientCert."""
    if value in UNVERIFIED_POLICIES:
        raise Wrong(f"{value} trusts any certificate, which Python cannot; {_allowed(POLICIES)}")
    return _one_of(value or "NoClientCert", POLICIES, "policy")


def suites(value: Any) -> tuple[str, ...]:
    """Read cipher suites."""
    known = SUITES.keys() | SUITES_13
    return tuple(_suite(each, known) for each in texts(value))


def _suite(name: str, known: Iterable[str]) -> str:
    if name in SUITES_WITHOUT_SECRECY:
        raise Wrong(f"{name} has no forward secrecy, and Go took it off its list, too")
    return _one_of(name, known, "cipher suite")


def curve(value: Any) -> str | None:
    """Read the curve, OpenSSL's name for it; None if the list is empty."""
    names = [_one_of(each, CURVES, "curve") for each in texts(value)]
    if len(names) > 1:
        raise Wrong(f"Python can set only one curve, not several; {_allowed(CURVES)}")
    return CURVES[names[0]] if names else None


def password_hash(value: Any) -> str:
    """Read a bcrypt hash."""
    if not isinstance(value, str) or not _BCRYPT.fullmatch(value):
        raise Wrong("must be a bcrypt hash: $2y$, a cost from 04 to 31, $ and 53 characters")
    return value


def header(allowed: tuple[str, ...]) -> Callable[[Any], str]:
    """Make a reader of a header's value, which is one of those allowed if there are any."""

    def read(value: Any) -> str:
        if allowed:
            return _one_of(value, allowed, "value")
        if not text(value).isprintable():
            raise Wrong("must be one line of printable characters")
        return str(value)

    return read


def _one_of(value: Any, known: Iterable[str], kind: str) -> str:
    allowed = sorted(known)
    if value in allowed:
        return str(value)
    shown = value if isinstance(value, str) and len(value) <= _MOST_SHOWN else ""
    got = f" {shown}" if shown and shown.isprintable() else ""
    raise Wrong(f"unknown {kind}{got}; {_allowed(allowed)}")


def _allowed(words: Iterable[str]) -> str:
    return f"allowed: {', '.join(words)}"
