"""The gateway's request signature, SDK-HMAC-SHA256, and the credentials it is made with."""

import hashlib
import hmac
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from functools import lru_cache
from typing import Final
from urllib.parse import quote, unquote

ALGORITHM: Final = "SDK-HMAC-SHA256"
EMPTY_PAYLOAD_HASH: Final = hashlib.sha256(b"").hexdigest()
UNSIGNED_PAYLOAD: Final = "UNSIGNED-PAYLOAD"

_WORD: Final = re.compile(r"[!-~]+")
_PLAIN: Final = re.compile(r"[A-Za-z0-9_.~/-]*")
"""A path that is encoded already, because nothing in it has to be."""


@dataclass(frozen=True, slots=True)
class AccessKey:
    """An AK/SK pair; temporary ones come with a security token and an end (Unix seconds)."""

    ak: str
    sk: str = field(repr=False)
    security_token: str | None = field(default=None, repr=False)
    expires_at: float | None = None

    def __post_init__(self) -> None:
        """Refuse what no header can carry; the ValueError does not show it."""
        _require_word("the access key", self.ak)
        _require_word("the secret key", self.sk)
        if self.security_token is not None:
            _require_word("the security token", self.security_token)


@dataclass(frozen=True, slots=True)
class Token:
    """A project-scoped IAM token, sent as ``X-Auth-Token``; ``expires_at`` is Unix seconds.

    ``project_id`` is the project that it is for, where whoever issued it has told.
    """

    value: str = field(repr=False)
    expires_at: float | None = None
    project_id: str | None = None

    def __post_init__(self) -> None:
        """Refuse what no header can carry; the ValueError does not show it."""
        _require_word("the token", self.value)


Credential = AccessKey | Token


def sdk_date(now: float) -> str:
    """Give the moment ``now`` (Unix seconds) as ``X-Sdk-Date`` wants it: UTC, whole seconds."""
    return _sdk_date(int(now))


@lru_cache(maxsize=1)  # many calls go out in a second
def _sdk_date(second: int) -> str:
    return datetime.fromtimestamp(second, UTC).strftime("%Y%m%dT%H%M%SZ")


def request_target(path: str, query: Sequence[tuple[str, str]] = ()) -> str:
    """Encode path and query once, exactly as signed and as they must travel on the wire."""
    encoded = _encode_path(path)
    return f"{encoded}?{_encode_query(query)}" if query else encoded


def payload_hash(body: bytes = b"", content_type: str = "application/json") -> str:
    """Hash a body for the canonical request; the vendor's SDK signs only JSON and BSON bodies."""
    if not content_type.startswith(("application/json", "application/bson")):
        return UNSIGNED_PAYLOAD
    return hashlib.sha256(body).hexdigest() if body else EMPTY_PAYLOAD_HASH


def canonical_request(
    method: str,
    path: str,
    query: Sequence[tuple[str, str]],
    headers: Mapping[str, str],
    signed: Sequence[str],
    payload_hash: str,
) -> str:
    """Write a request in the one form that both sides sign.

    ``path`` may be percent-encoded or not, ``query`` holds decoded pairs, ``headers`` may be
    in any case and hold more than is signed, ``signed`` lists the signed names in lower case
    and in order. A KeyError names a signed header that is not there.
    """
    values = {name.lower(): value.strip() for name, value in headers.items()}
    encoded = _encode_path(path)
    return "\n".join(
        (
            method.upper(),
            # Only here, never on the wire, a path ends with a slash.
            encoded if encoded.endswith("/") else f"{encoded}/",
            _encode_query(query),
            *(f"{name}:{values[name]}" for name in signed),
            "",
            ";".join(signed),
            payload_hash,
        )
    )


def signature(sk: str, date: str, canonical: str) -> str:
    """Sign a canonical request with the secret key; ``date`` is the value of ``X-Sdk-Date``."""
    digest = hashlib.sha256(canonical.encode()).hexdigest()
    text = f"{ALGORITHM}\n{date}\n{digest}"
    return hmac.digest(sk.encode(), text.encode(), "sha256").hex()


def sign(
    key: AccessKey,
    method: str,
    host: str,
    path: str,
    *,
    date: str,
    query: Sequence[tuple[str, str]] = (),
    headers: Mapping[str, str] | None = None,
    body: bytes = b"",
) -> dict[str, str]:
    """Give the headers that a request needs beside its own ``headers`` to be accepted.

    Every header given is signed, except names with an underscore, which the gateway does not
    see. ``host`` is the Host header, with the port unless it is the scheme's own.
    """
    headers = headers or {}
    hashed = payload_hash(body, headers.get("Content-Type", "application/json"))
    added = {"X-Sdk-Date": date}
    if key.security_token:
        added["X-Security-Token"] = key.security_token
    if hashed == UNSIGNED_PAYLOAD:
        added["X-Sdk-Content-Sha256"] = hashed
    everything = {**headers, "Host": host, **added}
    signed = sorted(name.lower() for name in everything if "_" not in name)
    canonical = canonical_request(method, path, query, everything, signed, hashed)
    added["Authorization"] = (
        f"{ALGORITHM} Access={key.ak}, SignedHeaders={';'.join(signed)}, "
        f"Signature={signature(key.sk, date, canonical)}"
    )
    return added


def _require_word(what: str, text: str) -> None:
    if not _WORD.fullmatch(text):
        raise ValueError(f"{what} must be one word of printable ASCII characters")


def _encode_path(path: str) -> str:
    return path if _PLAIN.fullmatch(path) else quote(unquote(path), safe="/")


def _encode_query(query: Sequence[tuple[str, str]]) -> str:
    return "&".join(f"{_encode(name)}={_encode(value)}" for name, value in sorted(query))


def _encode(text: str) -> str:
    return quote(text, safe="")
