"""Registrations as files in a directory: read as another's, written so that none is half-done."""

import os
import stat
from collections.abc import Collection, Iterable, Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from itertools import chain, islice
from pathlib import Path
from typing import Final

from ..jobs.model import JobKey, Registration
from .registration import (
    LARGEST,
    Parsed,
    Reason,
    RegistrationError,
    Rejection,
    file_content,
    parse_file,
    shown,
)

MOST_FILES: Final = 1_000
"""Files of a directory that are read: the newest."""
MOST_JOBS: Final = 10_000
"""Jobs after which no further file is read: a bound for memory."""
MOST_NAMES: Final = 10_000
"""Names of a directory that are looked at, so that a flooded one costs no more."""

_TOO_MANY: Final = Rejection(
    Reason.TOO_MANY,
    f"more than {MOST_FILES} files or {MOST_JOBS} jobs: only the newest files are read",
)
# Following no link, which may lead to our own secrets; and not blocking, as a named pipe would
# until somebody writes.
_FLAGS: Final = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC


@dataclass(frozen=True, slots=True, kw_only=True)
class File:
    """What one file says; ``identity`` changes whenever its content does.

    ``settled`` is false where reading failed: that may pass without a change of the file.
    """

    identity: tuple[int, ...]
    registrations: tuple[Registration, ...] = ()
    rejected: tuple[Rejection, ...] = ()
    settled: bool = True


@dataclass(frozen=True, slots=True, kw_only=True)
class Scan:
    """What a directory says; ``files`` of an unchanged file is the same object as before.

    Of two files that name the same job the newer counts. ``rejected`` is about the directory as
    a whole; what is wrong with a file stands there.
    """

    files: Mapping[str, File] = field(default_factory=dict)
    registrations: Mapping[JobKey, Registration] = field(default_factory=dict)
    rejected: tuple[Rejection, ...] = ()
    projects: frozenset[str] = frozenset()


NOTHING_READ: Final = Scan()


class WriteError(Exception):
    """A registration could not be written; ``str()`` is the one line to show."""


def read_directory(path: Path, *, projects: Collection[str], before: Scan = NOTHING_READ) -> Scan:
    """Read every file that has changed since the scan *before*; OSError if there is no directory.

    Names that begin with a dot or end with ``.tmp`` are files being written. A file that becomes
    unreadable or wrong as a whole still says what it said: only its end withdraws a job.
    """
    known = frozenset(projects)
    handle = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        found, cut = _newest(handle, before.files)
        files: dict[str, File] = {}
        jobs: dict[JobKey, Registration] = {}
        for name, status in found:
            if len(jobs) >= MOST_JOBS:
                cut = True
                break
            with suppress(FileNotFoundError):
                files[name] = _file(handle, name, status, known, before)
                for one in files[name].registrations:
                    jobs.setdefault(JobKey(one.project, one.job_id), one)
    finally:
        os.close(handle)
    rejected = (_TOO_MANY,) if cut else ()
    return Scan(files=files, registrations=jobs, rejected=rejected, projects=known)


def read_content(handle: int, name: str, status: os.stat_result) -> bytes:
    """Read what the file *name* in the directory *handle* holds, whatever it may be by now.

    ``status`` is what it was when listed. RegistrationError if it is no small regular file,
    FileNotFoundError if it is gone.
    """
    _require_regular(status)  # before opening too: opening a device may do something
    try:
        with open(name, "rb", opener=lambda path, _: os.open(path, _FLAGS, dir_fd=handle)) as file:
            _require_regular(os.fstat(file.fileno()))
            content = file.read(LARGEST + 1)
    except FileNotFoundError:
        raise
    except OSError as error:
        raise RegistrationError(Reason.UNREADABLE, error.strerror or "cannot be read") from None
    if len(content) > LARGEST:
        raise RegistrationError(Reason.TOO_LARGE, f"is larger than {LARGEST} bytes")
    return content


def write_registration(directory: Path, registration: Registration) -> Path:
    """Write a registration where :func:`read_directory` finds it; WriteError if that fails.

    It takes the place of an earlier one of the same job, at one moment.
    """
    path = directory / f"{registration.job_id}.json"
    unfinished = directory / f".{registration.job_id}.{os.urandom(8).hex()}.tmp"
    try:
        _write(unfinished, file_content(registration))
        unfinished.replace(path)
    except OSError as error:
        raise WriteError(f"cannot write in {directory}: {error.strerror}") from None
    finally:
        with suppress(OSError):
            unfinished.unlink()
    return path


def _write(path: Path, content: bytes) -> None:
    with open(path, "xb") as file:
        # The exporter has another user id, and whoever registers perhaps a narrow umask.
        os.fchmod(file.fileno(), 0o644)
        file.write(content)
        file.flush()
        os.fsync(file.fileno())  # or a crash may leave the name without the content


def _newest(handle: int, known: Iterable[str]) -> tuple[list[tuple[str, os.stat_result]], bool]:
    """Return the newest files, newest first, and whether others are left out."""
    with os.scandir(handle) as entries:
        names = [entry.name for entry in islice(entries, MOST_NAMES + 1)]
    # The known ones by name, since a cut list may hold others each time.
    found = sorted(
        _statuses(handle, dict.fromkeys(chain(known, names[:MOST_NAMES]))),
        key=lambda file: (file[1].st_mtime_ns, file[0]),
        reverse=True,
    )
    return found[:MOST_FILES], len(names) > MOST_NAMES or len(found) > MOST_FILES


def _statuses(handle: int, names: Iterable[str]) -> Iterator[tuple[str, os.stat_result]]:
    for name in names:
        if not name.startswith(".") and not name.endswith(".tmp"):
            with suppress(FileNotFoundError):
                yield name, os.stat(name, dir_fd=handle, follow_symlinks=False)


def _file(
    handle: int, name: str, status: os.stat_result, projects: frozenset[str], scan: Scan
) -> File:
    """Read a file, unless the last *scan* did and what it says cannot have changed since."""
    before = scan.files.get(name)
    # The time of the last change of any kind (ctime) too, which no writer can set back.
    identity = (status.st_ino, status.st_mtime_ns, status.st_ctime_ns, status.st_size)
    unchanged = before and before.identity == identity and projects == scan.projects
    if before and before.settled and unchanged:
        return before
    parsed = _parsed(handle, name, status, projects)
    file = File(
        identity=identity,
        registrations=parsed.registrations or _kept(before, parsed, projects),
        rejected=parsed.rejected,
        settled=all(one.reason is not Reason.UNREADABLE for one in parsed.rejected),
    )
    return before if before and before == file else file


def _kept(
    before: File | None, parsed: Parsed, projects: frozenset[str]
) -> tuple[Registration, ...]:
    if before is None or not parsed.rejected:
        return ()
    return tuple(one for one in before.registrations if one.project in projects)


def _parsed(handle: int, name: str, status: os.stat_result, projects: frozenset[str]) -> Parsed:
    try:
        return parse_file(name, read_content(handle, name, status), projects=projects)
    except RegistrationError as error:
        return Parsed(rejected=(Rejection(error.reason, f"{shown(name)}: {error}"),))


def _require_regular(status: os.stat_result) -> None:
    if not stat.S_ISREG(status.st_mode):
        wrong = "is not a regular file; links are not followed"
        raise RegistrationError(Reason.NOT_REGULAR, wrong)
