"""Where credentials come from, and what becomes of files that are bad or change."""

import asyncio
import os
from collections.abc import Callable
from functools import partial
from pathlib import Path

import pytest

from exporter.dli.credentials import (
    LARGEST_FILE,
    FileProvider,
    Provider,
    Static,
    read_directory,
    read_token,
)
from exporter.dli.credentials.files import read_line
from exporter.dli.errors import CredentialsUnavailable
from exporter.dli.signing import AccessKey, Credential, Token


def write(directory: Path, **files: str) -> Path:
    directory.mkdir(exist_ok=True)
    for name, content in files.items():
        (directory / name).write_text(content)
    return directory


class Clock:
    """A clock that stands still until it is moved."""

    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now


class Watched:
    """A provider on a directory, its clock, and what it complained about."""

    def __init__(self, read: Callable[[], Credential]) -> None:
        self.clock = Clock()
        self.errors: list[CredentialsUnavailable] = []
        self.good = 0
        self.provider = FileProvider(
            read,
            on_error=self.errors.append,
            on_good=self.looked,
            interval=5,
            monotonic=self.clock,
        )

    def looked(self) -> None:
        self.good += 1

    async def later(self) -> Credential:
        """Ask again when the interval is over."""
        self.clock.now += 5
        return await self.provider.credential()


async def test_a_static_credential_is_what_it_is_and_stays_so() -> None:
    provider: Provider = Static(AccessKey("ak", "sk", expires_at=5.0))
    provider.reject(await provider.credential())
    assert await provider.credential() == AccessKey("ak", "sk", expires_at=5.0)
    assert provider.present == AccessKey("ak", "sk", expires_at=5.0)
    assert provider.expires_at == 5.0


def test_a_directory_holds_a_pair_and_perhaps_a_security_token(tmp_path: Path) -> None:
    write(tmp_path, ak="AK1\n", sk=" SK1 \n")
    assert read_directory(tmp_path) == AccessKey("AK1", "SK1")
    write(tmp_path, security_token="ST1\n")
    assert read_directory(tmp_path) == AccessKey("AK1", "SK1", "ST1")


def test_a_token_file_holds_a_token(tmp_path: Path) -> None:
    write(tmp_path, token="MII.x-_=\n")
    assert read_token(tmp_path / "token") == Token("MII.x-_=")


@pytest.mark.parametrize(
    ("content", "problem"),
    [
        (b"", "is empty"),
        (b" \n\t\n", "is empty"),
        (b"canary canary", "more than one word"),
        (b"canary\ncanary", "more than one word"),
        (b"canary\0", "more than one word"),
        (b"canary\xff", "more than ASCII"),
        (b"canary" * LARGEST_FILE, "is larger than 65536 bytes"),
    ],
)
def test_a_bad_file_is_named_and_never_quoted(tmp_path: Path, content: bytes, problem: str) -> None:
    write(tmp_path, ak="ak")
    (tmp_path / "sk").write_bytes(content)
    with pytest.raises(CredentialsUnavailable, match=problem) as caught:
        read_directory(tmp_path)
    assert "/sk: " in str(caught.value)
    assert "canary" not in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    write(tmp_path, ak="ak")
    with pytest.raises(CredentialsUnavailable, match=r"/sk: No such file or directory"):
        read_directory(tmp_path)


def test_a_dangling_security_token_is_not_taken_for_none(tmp_path: Path) -> None:
    write(tmp_path, ak="ak", sk="sk")
    (tmp_path / "security_token").symlink_to(tmp_path / "gone")
    with pytest.raises(CredentialsUnavailable, match="security_token"):
        read_directory(tmp_path)


@pytest.mark.parametrize("make", [os.mkdir, os.mkfifo])
def test_only_regular_files_are_read_and_nothing_blocks(
    tmp_path: Path, make: Callable[[Path], None]
) -> None:
    write(tmp_path, ak="ak")
    make(tmp_path / "sk")
    with pytest.raises(CredentialsUnavailable, match="regular file"):
        read_directory(tmp_path)


def test_a_line_may_hold_more_than_a_word(tmp_path: Path) -> None:
    write(tmp_path, password="correct horse \N{EM DASH} staple \r\n")
    assert read_line(tmp_path / "password") == "correct horse \N{EM DASH} staple "


@pytest.mark.parametrize(
    ("content", "problem"),
    [
        (b"\n", "is empty"),
        (b"canary\ncanary", "more than one line"),
        (b"canary\0", "more than one line"),
        (b"canary\xff", "is not UTF-8"),
    ],
)
def test_a_bad_line_is_never_quoted(tmp_path: Path, content: bytes, problem: str) -> None:
    (tmp_path / "password").write_bytes(content)
    with pytest.raises(CredentialsUnavailable, match=problem) as caught:
        read_line(tmp_path / "password")
    assert "canary" not in str(caught.value)


async def test_files_are_read_again_after_the_interval(tmp_path: Path) -> None:
    watched = Watched(partial(read_directory, write(tmp_path, ak="ak", sk="one")))
    assert await watched.provider.credential() == AccessKey("ak", "one")
    write(tmp_path, sk="two")
    assert await watched.provider.credential() == AccessKey("ak", "one")
    assert await watched.later() == AccessKey("ak", "two")


async def test_a_secret_swapped_by_links_is_picked_up(tmp_path: Path) -> None:
    write(tmp_path / "v1", ak="ak1", sk="sk1", security_token="st1")
    write(tmp_path / "v2", ak="ak2", sk="sk2")
    mount = tmp_path / "mount"
    mount.mkdir()
    (mount / "..data").symlink_to(tmp_path / "v1")
    for name in ("ak", "sk", "security_token"):
        (mount / name).symlink_to(Path("..data") / name)
    watched = Watched(partial(read_directory, mount))
    assert await watched.provider.credential() == AccessKey("ak1", "sk1", "st1")
    (mount / "new").symlink_to(tmp_path / "v2")
    os.replace(mount / "new", mount / "..data")
    (mount / "security_token").unlink()
    assert await watched.later() == AccessKey("ak2", "sk2")
    assert watched.errors == []


@pytest.mark.parametrize("content", [None, "", "half \0 written"])
async def test_a_bad_change_keeps_the_old_one_and_is_reported(
    tmp_path: Path, content: str | None
) -> None:
    watched = Watched(partial(read_directory, write(tmp_path, ak="ak", sk="one")))
    before = await watched.provider.credential()
    (tmp_path / "sk").unlink() if content is None else write(tmp_path, sk=content)
    assert await watched.later() is before
    assert len(watched.errors) == 1
    assert "/sk: " in str(watched.errors[0])
    write(tmp_path, sk="two")
    assert await watched.later() == AccessKey("ak", "two")
    assert len(watched.errors) == 1
    assert watched.good == 2


async def test_without_any_credential_it_says_why_and_recovers(tmp_path: Path) -> None:
    watched = Watched(partial(read_token, tmp_path / "token"))
    for _ in range(3):
        with pytest.raises(CredentialsUnavailable, match="No such file"):
            await watched.provider.credential()
    assert len(watched.errors) == 1  # looked once, since the clock stands
    write(tmp_path, token="t")
    assert await watched.later() == Token("t")
    assert watched.provider.expires_at is None


async def test_nobody_waits_for_a_credential_that_was_read_a_moment_ago() -> None:
    watched = Watched(lambda: Token("one"))
    assert watched.provider.present is None
    assert await watched.provider.credential() == watched.provider.present == Token("one")
    watched.clock.now += 5
    assert watched.provider.present is None
    watched.provider.reject(await watched.provider.credential())
    assert watched.provider.present is None


async def test_a_refused_credential_is_looked_at_again_at_once(tmp_path: Path) -> None:
    watched = Watched(partial(read_token, write(tmp_path, token="one") / "token"))
    old = await watched.provider.credential()
    write(tmp_path, token="two")
    watched.provider.reject(old)
    assert await watched.provider.credential() == Token("two")
    write(tmp_path, token="three")
    watched.provider.reject(old)  # long known: no reason to look again
    assert await watched.provider.credential() == Token("two")


async def test_a_burst_of_refusals_reads_once(tmp_path: Path) -> None:
    reads: list[int] = []

    def read() -> Token:
        reads.append(1)
        return Token("one")

    watched = Watched(read)
    old = await watched.provider.credential()

    async def refused() -> Credential:
        watched.provider.reject(old)
        return await watched.provider.credential()

    reads.clear()
    await asyncio.gather(*(refused() for _ in range(100)))
    assert len(reads) == 2 * 1  # one look is two reads that agree


async def test_a_pair_that_is_replaced_while_read_is_never_mixed() -> None:
    pairs = iter([AccessKey("ak1", "sk2"), *[AccessKey("ak2", "sk2")] * 2])
    assert await Watched(lambda: next(pairs)).provider.credential() == AccessKey("ak2", "sk2")


async def test_files_that_never_hold_still_are_not_used() -> None:
    numbers = iter(range(100))
    watched = Watched(lambda: AccessKey("ak", f"sk{next(numbers)}"))
    with pytest.raises(CredentialsUnavailable, match="keep changing"):
        await watched.provider.credential()
