"""What the status page brings along, so that it fetches nothing: its style and its script."""

from base64 import b64encode
from hashlib import sha256
from pkgutil import get_data
from typing import Final


def _read(name: str) -> str:
    # Not by importlib.resources, which imports zipfile and more: 7 ms for who asks first.
    data = get_data(__package__, name)
    assert data is not None  # noqa: S101 - for mypy: every loader of files has it
    return data.decode()


def _hash(text: str) -> str:
    return f"'sha256-{b64encode(sha256(text.encode()).digest()).decode()}'"


STYLE: Final = _read("page.css")
SCRIPT: Final = _read("page.js")
BUILD: Final = sha256(f"{STYLE}{SCRIPT}".encode()).hexdigest()[:12]
"""Tells a page of another version of the exporter, which has to be loaded as a whole."""
POLICY: Final = "; ".join(
    (
        "default-src 'none'",
        f"script-src {_hash(SCRIPT)}",
        f"style-src {_hash(STYLE)}",
        "img-src data:",
        "connect-src 'self'",
        "form-action 'self'",
        "base-uri 'none'",
        "frame-ancestors 'none'",
    )
)
"""The page's Content-Security-Policy: just this style and this script, and no other address."""
