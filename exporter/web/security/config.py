"""What stands in a web-config file, read from the tree that YAML makes of it."""

import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from difflib import get_close_matches
from pathlib import Path
from types import MappingProxyType
from typing import Any, Final

from .bucket import RateLimit
from .names import POLICIES, SUITES, VERSIONS
from .values import (
    Wrong,
    curve,
    duration,
    flag,
    header,
    number,
    password_hash,
    policy,
    suites,
    text,
    texts,
    version,
)

_HEADERS: Final[Mapping[str, tuple[str, ...]]] = {
    "Content-Security-Policy": (),
    "Strict-Transport-Security": (),
    "X-Content-Type-Options": ("nosniff",),
    "X-Frame-Options": ("deny", "sameorigin"),
    "X-XSS-Protection": (),
}
"""The headers that may be set, and their values if they are a choice (exporter-toolkit's list)."""
_SHOWN_NAME: Final = re.compile(r"[A-Za-z][A-Za-z0-9_.-]{0,31}")
"""A name that may be repeated; another may be a secret in a wrong place."""


class WebConfigError(Exception):
    """A web-config file cannot be used: ``lines`` says why, one line a mistake, no secret."""

    def __init__(self, *lines: str) -> None:
        """Keep the lines."""
        self.lines = lines
        super().__init__("\n".join(lines))


@dataclass(frozen=True, slots=True)
class Pem:
    """A certificate or a key: in a file, or written out; ``place`` is the field's name."""

    place: str
    file: Path | None = None
    content: str = field(default="", repr=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class Tls:
    """How connections are encrypted.

    ``client_needed`` is None where clients are not asked for a certificate, False where it may
    be missing. ``client_ca`` None is the system's authorities. ``allowed_sans`` None lets every
    verified client in. ``suites`` are OpenSSL's names for TLS 1.2, None for its own choice.
    ``curve`` is OpenSSL's name.
    """

    cert: Pem
    key: Pem
    client_ca: Pem | None
    client_needed: bool | None
    allowed_sans: frozenset[str] | None
    minimum: str
    maximum: str
    suites: tuple[str, ...] | None
    curve: str | None
    prefer_server: bool

    @property
    def files(self) -> tuple[Path, ...]:
        """The files that certificates and keys are read from."""
        given = (self.cert, self.key, self.client_ca)
        return tuple(pem.file for pem in given if pem is not None and pem.file is not None)


@dataclass(frozen=True, slots=True, kw_only=True)
class WebConfig:
    """A web-config file. ``users`` are bcrypt hashes by user name; none lets everybody in."""

    tls: Tls | None = None
    headers: Mapping[str, str] = field(default_factory=lambda: MappingProxyType({}))
    users: Mapping[str, str] = field(default_factory=lambda: MappingProxyType({}), repr=False)
    rate: RateLimit | None = None


def parse(tree: Mapping[str, Any], directory: Path) -> WebConfig:
    """Read a file's tree; paths in it begin at its ``directory``. Raises WebConfigError."""
    wrong: list[str] = []
    given = _section(tree, "", dict.fromkeys(_SECTIONS, _as_it_is), wrong)
    parts = {
        name: _section(given.get(name, {}), name, fields, wrong)
        for name, fields in _SECTIONS.items()
        if fields
    }
    headers = _section(parts["http_server_config"].get("headers", {}), _HEADERS_AT, _HEADER, wrong)
    users = _users(given.get("basic_auth_users", {}), wrong)
    tls = _tls(parts["tls_server_config"], directory, wrong)
    rate = _rate(parts["rate_limit"], wrong)
    if wrong:
        raise WebConfigError(*wrong)
    headers = {name: value for name, value in headers.items() if value}
    return WebConfig(tls=tls, headers=headers, users=users, rate=rate)


def _as_it_is(value: Any) -> Any:
    return value


Read = Callable[[Any], Any]

_TLS: Final[Mapping[str, Read]] = {
    **dict.fromkeys(("cert", "key", "client_ca", "cert_file", "key_file", "client_ca_file"), text),
    "client_auth_type": policy,
    "client_allowed_sans": texts,
    "min_version": version,
    "max_version": version,
    "cipher_suites": suites,
    "prefer_server_cipher_suites": flag,
    "curve_preferences": curve,
}
_SECTIONS: Final[Mapping[str, Mapping[str, Read]]] = {
    "tls_server_config": _TLS,
    "http_server_config": {"http2": flag, "headers": _as_it_is},
    "rate_limit": {"interval": duration, "burst": number},
    "basic_auth_users": {},
}
_HEADERS_AT: Final = "http_server_config.headers"
_HEADER: Final = {name: header(allowed) for name, allowed in _HEADERS.items()}


def _section(
    given: Any, place: str, fields: Mapping[str, Read], wrong: list[str]
) -> dict[str, Any]:
    """Read the values that are set; those that cannot be are None, and noted in ``wrong``."""
    values: dict[str, Any] = {}
    if not isinstance(given, Mapping):
        wrong.append(f"{place}: must be a section: `name: value` lines")
        return values
    for name, value in given.items():
        if name not in fields:
            wrong.append(f"{_at(place, name)}: {_unknown(name, fields)}")
        elif value is not None:
            try:
                values[name] = fields[name](value)
            except Wrong as error:
                values[name] = None
                wrong.append(f"{_at(place, name)}: {error}")
    return values


def _at(place: str, name: str) -> str:
    shown = name if _SHOWN_NAME.fullmatch(name) else "…"
    return f"{place}.{shown}" if place else shown


def _unknown(name: str, fields: Mapping[str, Read]) -> str:
    close = get_close_matches(name, fields, n=1)
    meant = f"did you mean {close[0]}?" if close else f"allowed: {', '.join(fields)}"
    return f"unknown field; {meant}"


def _users(given: Any, wrong: list[str]) -> dict[str, str]:
    if not isinstance(given, Mapping):
        wrong.append("basic_auth_users: must be a section: `user: bcrypt hash` lines")
        return {}
    users: dict[str, str] = {}
    for name, value in given.items():
        try:
            users[name] = password_hash(value)
        except Wrong as error:
            wrong.append(f"{_at('basic_auth_users', name)}: {error}")
    return users


def _rate(given: Mapping[str, Any], wrong: list[str]) -> RateLimit | None:
    interval, burst = given.get("interval", 0.0), given.get("burst", 0)
    if not interval or burst is None:
        return None
    if burst < 1:
        wrong.append("rate_limit.burst: must be at least 1: with 0 no request is answered")
    return RateLimit(interval, burst)


def _tls(given: Mapping[str, Any], directory: Path, wrong: list[str]) -> Tls | None:
    """Put the fields together, and note what they are wrong about only together."""
    if not any(value or value is None for value in given.values()):
        return None
    wrong += _missing(given)
    wrong += _idle(given)
    if wrong:
        return None
    cert, key, ca = (_pem(given, name, directory) for name in ("cert", "key", "client_ca"))
    minimum, maximum, ciphers = _protocol(given)
    assert cert is not None and key is not None  # noqa: S101, PT018 - for mypy: neither is missing
    if minimum > maximum:
        wrong.append("tls_server_config: no version of TLS is left by the versions and suites")
        return None
    sans = given.get("client_allowed_sans")
    return Tls(
        cert=cert,
        key=key,
        client_ca=ca,
        client_needed=_needed(given),
        allowed_sans=None if sans is None else frozenset(sans),
        minimum=minimum,
        maximum=maximum,
        suites=ciphers,
        curve=given.get("curve_preferences"),
        prefer_server=given.get("prefer_server_cipher_suites", True),
    )


def _missing(given: Mapping[str, Any]) -> Iterator[str]:
    for name in ("cert", "key"):
        fields = (f"{name}_file", name)
        # One that is wrong is not missing.
        if not any(given.get(field, "") != "" for field in fields):
            yield f"tls_server_config: is missing {' or '.join(fields)}"


def _idle(given: Mapping[str, Any]) -> Iterator[str]:
    """Tell what looks like protection and is none."""
    wrong_policy = given.get("client_auth_type", "") is None
    for name in ("client_ca", "client_ca_file", "client_allowed_sans"):
        if given.get(name) and _needed(given) is None and not wrong_policy:
            yield f"tls_server_config.{name}: {_IDLE}"


def _needed(given: Mapping[str, Any]) -> bool | None:
    return POLICIES[given.get("client_auth_type") or "NoClientCert"]


def _protocol(given: Mapping[str, Any]) -> tuple[str, str, tuple[str, ...] | None]:
    """Return the lowest and the highest version, and the suites of TLS 1.2 by OpenSSL's names."""
    minimum, maximum = given.get("min_version", VERSIONS[0]), given.get("max_version", VERSIONS[-1])
    chosen = given.get("cipher_suites")
    if not chosen:
        return minimum, maximum, None
    ciphers = tuple(SUITES[each] for each in chosen if each in SUITES)
    # If all of them are TLS 1.3's it is the only version left.
    return (minimum, maximum, ciphers) if ciphers else (VERSIONS[-1], maximum, None)


_IDLE: Final = (
    "does nothing while clients are not asked for a certificate; "
    "set client_auth_type: RequireAndVerifyClientCert"
)


def _pem(given: Mapping[str, Any], name: str, directory: Path) -> Pem | None:
    """Take a file before what is written out, as exporter-toolkit does."""
    if file := given.get(f"{name}_file"):
        return Pem(f"tls_server_config.{name}_file", directory / file)
    if content := given.get(name):
        return Pem(f"tls_server_config.{name}", content=content)
    return None
