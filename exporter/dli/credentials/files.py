"""Credentials in files, which are read again: they may change at any time."""

import asyncio
import os
import stat
import time
from collections.abc import Callable
from copy import copy
from pathlib import Path
from typing import Final

from ..errors import CredentialsUnavailable
from ..signing import AccessKey, Credential, Token

LARGEST_FILE: Final = 64 * 1024
"""Bytes; a token is some kilobytes, a key 40 characters."""
REREAD_INTERVAL: Final = 5.0
"""Seconds between two looks at the files; Kubernetes itself needs up to a minute or two."""

_LOOKS: Final = 3


class FileProvider:
    """A credential in files, read again every few seconds, and at once when refused.

    Files that cannot be read do no harm while there is a credential from before: it stays,
    and ``on_error`` is told; ``on_good`` hears of each good look. Reading happens in a thread,
    one at a time: a slow file system does not hold up the event loop.
    """

    def __init__(
        self,
        read: Callable[[], Credential],
        *,
        on_error: Callable[[CredentialsUnavailable], None] = lambda error: None,
        on_good: Callable[[], None] = lambda: None,
        interval: float = REREAD_INTERVAL,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        """Take what reads the files (``read_directory`` or ``read_token`` on some path)."""
        self._read = read
        self._on_error = on_error
        self._on_good = on_good
        self._interval = interval
        self._monotonic = monotonic
        self._reading = asyncio.Lock()
        self._credential: Credential | None = None
        self._error = CredentialsUnavailable("the credential files were not read yet")
        self._fresh_until: float | None = None

    @property
    def present(self) -> Credential | None:
        """What the files said last, unless it is time for another look."""
        return self._credential if self._fresh else None

    async def credential(self) -> Credential:
        """Give what the files said last, after another look if it is time for one."""
        async with self._reading:
            if not self._fresh:
                await self._look()
        if self._credential is None:
            raise copy(self._error)
        return self._credential

    def reject(self, credential: Credential) -> None:
        """Look at the files again, unless they have been found changed since."""
        if credential == self._credential:
            self._fresh_until = None

    @property
    def expires_at(self) -> float | None:
        """Not known: files do not tell."""
        return None

    async def close(self) -> None:
        """Do nothing: nothing is under way."""

    @property
    def _fresh(self) -> bool:
        return self._fresh_until is not None and self._monotonic() < self._fresh_until

    async def _look(self) -> None:
        try:
            self._credential = await asyncio.to_thread(self._read_still)
        except CredentialsUnavailable as error:
            self._error = error
            self._on_error(error)
        else:
            self._on_good()
        self._fresh_until = self._monotonic() + self._interval

    def _read_still(self) -> Credential:
        """Read until it holds still: the files of a pair are not replaced at one moment."""
        before = self._read()
        for _ in range(_LOOKS):
            if (after := self._read()) == before:
                return after
            before = after
        raise CredentialsUnavailable("the credential files keep changing while they are read")


def read_directory(directory: Path) -> AccessKey:
    """Read an AK/SK pair from the files ``ak``, ``sk`` and, if it is there, ``security_token``.

    Links are followed, since Kubernetes mounts Secrets as links. CredentialsUnavailable names
    the file and what is wrong with it, never its content.
    """
    token = directory / "security_token"
    return AccessKey(
        read_word(directory / "ak"),
        read_word(directory / "sk"),
        # A dangling link is there, and wrong: a key without its token would be refused.
        read_word(token) if os.path.lexists(token) else None,
    )


def read_token(path: Path) -> Token:
    """Read an IAM token from a file; CredentialsUnavailable as for a directory."""
    return Token(read_word(path))


def read_word(path: Path) -> str:
    """Read what can stand in an HTTP header; CredentialsUnavailable as for a directory."""
    try:
        word = _read_file(path).decode("ascii").strip()
    except UnicodeDecodeError:
        raise CredentialsUnavailable(f"{path}: holds more than ASCII text") from None
    if not word:
        raise CredentialsUnavailable(f"{path}: is empty")
    if not word.isprintable() or " " in word:
        raise CredentialsUnavailable(f"{path}: holds more than one word")
    return word


def read_line(path: Path) -> str:
    """Read a line of text, such as a password; CredentialsUnavailable as for a directory."""
    try:
        line = _read_file(path).decode().rstrip("\r\n")
    except UnicodeDecodeError:
        raise CredentialsUnavailable(f"{path}: is not UTF-8 text") from None
    if not line:
        raise CredentialsUnavailable(f"{path}: is empty")
    if not line.isprintable():
        raise CredentialsUnavailable(f"{path}: holds more than one line of text")
    return line


def _read_file(path: Path) -> bytes:
    try:
        return _read_bytes(path)
    except OSError as error:
        raise CredentialsUnavailable(f"{path}: {error.strerror}") from None


def _read_bytes(path: Path) -> bytes:
    # Not blocking, or a named pipe would hold the thread until somebody writes.
    handle = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    try:
        if not stat.S_ISREG(os.fstat(handle).st_mode):
            raise CredentialsUnavailable(f"{path}: is not a regular file")
        content = os.read(handle, LARGEST_FILE + 1)
    finally:
        os.close(handle)
    if len(content) > LARGEST_FILE:
        raise CredentialsUnavailable(f"{path}: is larger than {LARGEST_FILE} bytes")
    return content
