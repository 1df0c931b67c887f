"""Registrations as files: what hostile directories do to reading, and what writing leaves."""

import os
import resource
import socket
import stat
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest

from exporter.jobs.model import JobKey, Registration
from exporter.sources.files import (
    MOST_FILES,
    MOST_NAMES,
    NOTHING_READ,
    Scan,
    WriteError,
    read_content,
    read_directory,
    write_registration,
)
from exporter.sources.registration import LARGEST, Reason, RegistrationError, Rejection

CANARY = "CANARYsk0Fm3Zq"


def read(directory: Path, before: Scan = NOTHING_READ, *more_projects: str) -> Scan:
    return read_directory(directory, projects={"default", *more_projects}, before=before)


def ids(scan: Scan) -> set[str]:
    return {key.job_id for key in scan.registrations}


def rejections(scan: Scan) -> list[Rejection]:
    return [rejection for file in scan.files.values() for rejection in file.rejected]


def touch(path: Path, mtime: float) -> None:
    os.utime(path, (mtime, mtime))


@contextmanager
def nobody() -> Iterator[Path]:
    """Give up root's rights for a while, and have a directory that anybody may use."""
    root = os.geteuid() == 0
    with TemporaryDirectory() as directory:
        os.chmod(directory, 0o777)  # noqa: S103 - it is what an emptyDir has
        if root:
            os.seteuid(65534)
        try:
            yield Path(directory)
        finally:
            if root:
                os.seteuid(0)


def test_every_file_counts(tmp_path: Path) -> None:
    (tmp_path / "a.json").write_text('{"job_id": "a", "name": "nightly"}')
    (tmp_path / "others").write_text("b\nc\n")
    scan = read(tmp_path)
    assert ids(scan) == {"a", "b", "c"}
    assert scan.registrations[JobKey("default", "a")] == Registration(job_id="a", name="nightly")
    assert rejections(scan) == []


@pytest.mark.parametrize("name", [".a.json", "a.tmp", ".x.tmp"])
def test_files_being_written_are_left_alone(tmp_path: Path, name: str) -> None:
    (tmp_path / name).write_text('{"job_')
    assert read(tmp_path).files == {}


def test_of_two_files_for_one_job_the_newer_counts(tmp_path: Path) -> None:
    for name, mtime in (("a", 2), ("b", 3), ("c", 1)):
        (tmp_path / name).write_text(f'{{"job_id": "x", "name": "{name}"}}')
        touch(tmp_path / name, mtime)
    (registration,) = read(tmp_path).registrations.values()
    assert registration.name == "b"


def test_what_has_not_changed_is_not_read_again(tmp_path: Path) -> None:
    (tmp_path / "good").write_text("a")
    (tmp_path / "bad").write_text("{")
    before = read(tmp_path)
    after = read(tmp_path, before)
    assert all(after.files[name] is before.files[name] for name in ("good", "bad"))


def test_same_size_and_time_do_not_hide_a_change(tmp_path: Path) -> None:
    path = tmp_path / "jobs"
    path.write_text("a")
    touch(path, 1)
    before = read(tmp_path)
    path.write_text("b")
    touch(path, 1)
    assert ids(read(tmp_path, before)) == {"b"}


def test_a_replaced_file_is_read(tmp_path: Path) -> None:
    (tmp_path / "jobs").write_text("a")
    before = read(tmp_path)
    (tmp_path / ".jobs.tmp").write_text("b")
    (tmp_path / ".jobs.tmp").rename(tmp_path / "jobs")
    assert ids(read(tmp_path, before)) == {"b"}


def test_a_deleted_file_is_forgotten(tmp_path: Path) -> None:
    (tmp_path / "jobs").write_text("a")
    before = read(tmp_path)
    (tmp_path / "jobs").unlink()
    assert read(tmp_path, before).files == {}


@pytest.mark.parametrize("content", ["", '{"job_id": "b"', "no id"])
def test_a_file_that_goes_bad_still_says_what_it_said(tmp_path: Path, content: str) -> None:
    (tmp_path / "jobs").write_text("a")
    before = read(tmp_path)
    (tmp_path / "jobs").write_text(content)
    bad = read(tmp_path, before)
    assert ids(bad) == {"a"}
    assert len(rejections(bad)) == 1
    (tmp_path / "jobs").write_text("# none\n")
    assert ids(read(tmp_path, bad)) == set()


def test_projects_that_come_and_go_are_heeded_without_a_change_of_the_file(tmp_path: Path) -> None:
    (tmp_path / "job").write_text('{"job_id": "a", "project": "prod"}')
    first = read(tmp_path)
    second = read(tmp_path, first, "prod")
    third = read(tmp_path, second)
    assert [ids(scan) for scan in (first, second, third)] == [set(), {"a"}, set()]
    assert [rejection.reason for rejection in rejections(third)] == [Reason.UNKNOWN_PROJECT]


def test_a_link_is_not_followed(tmp_path: Path) -> None:
    secret = tmp_path / "sk"
    secret.write_text(CANARY)  # it would pass for a job id
    jobs = tmp_path / "jobs"
    jobs.mkdir()
    (jobs / "job").symlink_to(secret)
    scan = read(jobs)
    wanted = "job: is not a regular file; links are not followed"
    assert rejections(scan) == [Rejection(Reason.NOT_REGULAR, wanted)]
    assert CANARY not in repr(scan)


@pytest.mark.parametrize("kind", ["fifo", "directory", "socket", "loop", "device"])
def test_only_regular_files_are_read(tmp_path: Path, kind: str) -> None:
    path = tmp_path / "job"
    with socket.socket(socket.AF_UNIX) as listener:
        match kind:
            case "fifo":
                os.mkfifo(path)
            case "directory":
                path.mkdir()
            case "socket":
                listener.bind(str(path))
            case "loop":
                path.symlink_to("job")
            case "device":
                path.symlink_to("/dev/zero")
        scan = read(tmp_path)
    assert [rejection.reason for rejection in rejections(scan)] == [Reason.NOT_REGULAR]


@pytest.mark.parametrize("kind", ["link", "fifo", "directory"])
def test_a_file_that_turns_into_something_else_between_look_and_open(
    tmp_path: Path, kind: str
) -> None:
    path = tmp_path / "job"
    path.write_text("a")
    status = path.lstat()
    path.unlink()
    match kind:
        case "link":
            (tmp_path / "sk").write_text(CANARY)
            path.symlink_to(tmp_path / "sk")
        case "fifo":
            os.mkfifo(path)
        case "directory":
            path.mkdir()
    handle = os.open(tmp_path, os.O_RDONLY)
    try:
        with pytest.raises(RegistrationError) as caught:
            read_content(handle, "job", status)
    finally:
        os.close(handle)
    assert caught.value.reason in (Reason.NOT_REGULAR, Reason.UNREADABLE)


def test_a_huge_file_is_not_read(tmp_path: Path) -> None:
    with open(tmp_path / "job", "wb") as file:
        file.truncate(1 << 30)
    wanted = Rejection(Reason.TOO_LARGE, "job: is larger than 65536 bytes")
    assert rejections(read(tmp_path)) == [wanted]


def test_the_largest_file(tmp_path: Path) -> None:
    (tmp_path / "job").write_text("a#" + "x" * (LARGEST - 2))
    assert ids(read(tmp_path)) == {"a"}


def test_an_unreadable_file_is_tried_again_without_a_change() -> None:
    with nobody() as directory:
        path = directory / "job"
        path.write_text("a")
        readable = read(directory)
        path.chmod(0)
        first = read(directory, readable)
        second = read(directory, first)
        assert rejections(first) == [Rejection(Reason.UNREADABLE, "job: Permission denied")]
        assert not first.files["job"].settled
        assert second.files["job"] is first.files["job"]  # the same trouble is nothing new
        assert ids(second) == {"a"}
        path.chmod(stat.S_IRUSR)
        assert rejections(read(directory, second)) == []


def test_of_many_files_the_newest_are_read_and_it_is_said(tmp_path: Path) -> None:
    for number in range(1_500):
        path = tmp_path / f"job{number}"
        path.write_text(str(number))
        touch(path, 1_500 - number)
    scan = read(tmp_path)
    assert ids(scan) == {str(number) for number in range(MOST_FILES)}
    wanted = "more than 1000 files or 10000 jobs: only the newest files are read"
    assert scan.rejected == (Rejection(Reason.TOO_MANY, wanted),)
    (tmp_path / "new").write_text("new")
    assert "new" in ids(read(tmp_path, scan))


def test_many_jobs_in_few_files_are_bounded(tmp_path: Path) -> None:
    for number in range(12):
        lines = (f"{number}-{line}" for line in range(1_000))
        (tmp_path / f"job{number:02}").write_text("\n".join(lines))
        touch(tmp_path / f"job{number:02}", 12 - number)
    scan = read(tmp_path)
    assert len(scan.registrations) == 10_000
    assert len(scan.files) == 10
    assert [rejection.reason for rejection in scan.rejected] == [Reason.TOO_MANY]


def test_a_flooded_directory_does_not_hide_known_files(tmp_path: Path) -> None:
    for number in range(20):
        (tmp_path / f"job{number}").write_text(str(number))
    before = read(tmp_path)
    source = tmp_path / ".source"
    source.touch()
    for number in range(2 * MOST_NAMES):
        os.link(source, tmp_path / f".{number}")  # names that are looked at, but never read
    after = read(tmp_path, before)
    assert ids(after) == ids(before)
    assert [rejection.reason for rejection in after.rejected] == [Reason.TOO_MANY]


@pytest.mark.parametrize("name", ["missing", "file", "fifo"])
def test_what_is_no_directory_is_an_error(tmp_path: Path, name: str) -> None:
    (tmp_path / "file").touch()
    os.mkfifo(tmp_path / "fifo")
    with pytest.raises(OSError, match=r"No such file|Not a directory"):
        read(tmp_path / name)


def test_a_directory_that_may_not_be_searched_is_an_error() -> None:
    with nobody() as base:
        (base / "jobs").mkdir()
        (base / "jobs" / "job").write_text("a")
        (base / "jobs").chmod(stat.S_IRUSR)
        with pytest.raises(PermissionError):
            read(base / "jobs")
        (base / "jobs").chmod(stat.S_IRWXU)


def test_no_descriptor_is_left_open(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "fifo")
    (tmp_path / "good").write_text("a")
    (tmp_path / "large").write_bytes(bytes(LARGEST + 1))
    before = os.listdir("/proc/self/fd")
    read(tmp_path)
    assert os.listdir("/proc/self/fd") == before


def test_a_written_registration_is_read_by_anybody(tmp_path: Path) -> None:
    old = os.umask(0o077)
    try:
        path = write_registration(tmp_path, Registration(job_id="a", name="nightly"))
    finally:
        os.umask(old)
    assert path == tmp_path / "a.json"
    assert stat.S_IMODE(path.stat().st_mode) == 0o644
    assert list(tmp_path.iterdir()) == [path]
    (registration,) = read(tmp_path).registrations.values()
    assert registration == Registration(job_id="a", name="nightly")


def test_a_second_registration_takes_the_place_of_the_first(tmp_path: Path) -> None:
    write_registration(tmp_path, Registration(job_id="a"))
    before = read(tmp_path)
    write_registration(tmp_path, Registration(job_id="a", deadline=1.8e9))
    (registration,) = read(tmp_path, before).registrations.values()
    assert registration.deadline == 1.8e9


def test_writing_follows_no_link_that_lies_in_the_way(tmp_path: Path) -> None:
    (tmp_path / "target").write_text("untouched")
    (tmp_path / "a.json").symlink_to("target")
    write_registration(tmp_path, Registration(job_id="a"))
    assert not (tmp_path / "a.json").is_symlink()
    assert (tmp_path / "target").read_text() == "untouched"


def test_writing_into_no_directory(tmp_path: Path) -> None:
    missing = tmp_path / "missing"
    with pytest.raises(WriteError) as caught:
        write_registration(missing, Registration(job_id="a"))
    assert str(caught.value) == f"cannot write in {missing}: No such file or directory"


def test_writing_where_one_may_not() -> None:
    with nobody() as directory:
        directory = directory / "jobs"
        directory.mkdir(mode=0o555)
        with pytest.raises(WriteError, match=f"^cannot write in {directory}: Permission denied$"):
            write_registration(directory, Registration(job_id="a"))


def test_writing_that_finds_no_room_leaves_nothing_behind(tmp_path: Path) -> None:
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (0, hard))  # as good as a full disk
    try:
        with pytest.raises(WriteError, match=r"File too large$"):
            write_registration(tmp_path, Registration(job_id="a"))
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert list(tmp_path.iterdir()) == []
