"""Who may come in: HTTP basic authentication against bcrypt hashes."""

import asyncio
import base64
import binascii
import hashlib
from collections.abc import Callable, Mapping
from typing import Final

Check = Callable[[bytes, bytes], bool]
"""Whether a password has a hash; it takes its time, by the hash's cost."""

_LONGEST: Final = 72
"""Bytes of a password that bcrypt looks at; a longer one is nobody's."""
_REMEMBERED: Final = 128
"""Verdicts of each kind that are remembered."""


def bcrypt_check(password: bytes, expected: bytes) -> bool:
    """Whether a password of at most 72 bytes has a bcrypt hash."""
    from bcrypt import checkpw  # here: most exporters have no users

    return checkpw(password, expected)


def credentials(header: str | None) -> tuple[str, bytes] | None:
    """Return user and password of an Authorization header; None if it is no basic one."""
    scheme, _, encoded = (header or "").partition(" ")
    if scheme.lower() != "basic":
        return None
    try:
        user, colon, password = base64.b64decode(encoded, validate=True).partition(b":")
        return (user.decode(), password) if colon else None
    except (binascii.Error, ValueError):  # ValueError: a user that is not UTF-8, or not ASCII
        return None


class Gatekeeper:
    """Checks passwords one at a time, and remembers verdicts by a digest that tells nothing.

    Verdicts of two kinds do not displace each other: nobody who guesses makes a scraper wait
    for bcrypt again. ``key`` is a secret of this process.
    """

    def __init__(self, key: bytes, check: Check = bcrypt_check) -> None:
        self._key = key
        self._check = check
        self._checking = asyncio.Lock()
        self._verdicts: dict[bool, dict[bytes, None]] = {True: {}, False: {}}

    async def admits(
        self, users: Mapping[str, str], header: str | None, gone: Callable[[], bool]
    ) -> bool:
        """Whether a header names one of ``users`` (hashes by name) with the right password.

        An unknown user costs as much as a known one. A client that has ``gone`` meanwhile is not
        checked any more.
        """
        given = credentials(header)
        if given is None:
            return False
        user, password = given
        known = user in users
        expected = users[user] if known else self._stand_in(users, user)
        digest = self._digest(user.encode(), expected.encode(), password)
        verdict = self._recall(digest)
        if verdict is None:
            async with self._checking:
                verdict = self._recall(digest)  # of who asked the same before
                if verdict is None and not gone():
                    matches = await asyncio.to_thread(
                        self._check, password[:_LONGEST], expected.encode()
                    )
                    verdict = known and matches and len(password) <= _LONGEST
                    self._remember(digest, verdict)
        return verdict is True

    def _stand_in(self, users: Mapping[str, str], user: str) -> str:
        """Choose the hash that an unknown user is checked against, always the same."""
        hashes = sorted(users.values())
        return hashes[int.from_bytes(self._digest(user.encode())) % len(hashes)]

    def _digest(self, *parts: bytes) -> bytes:
        hashed = hashlib.blake2b(key=self._key, digest_size=32)
        for part in parts:
            hashed.update(len(part).to_bytes(8) + part)
        return hashed.digest()

    def _recall(self, digest: bytes) -> bool | None:
        for verdict, digests in self._verdicts.items():
            if digest in digests:
                digests[digest] = digests.pop(digest)  # used last: forgotten last
                return verdict
        return None

    def _remember(self, digest: bytes, verdict: bool) -> None:
        digests = self._verdicts[verdict]
        digests[digest] = None
        if len(digests) > _REMEMBERED:
            del digests[next(iter(digests))]
