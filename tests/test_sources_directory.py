"""A watched directory: what is said of its changes, and that nothing in it holds up the loop."""

import asyncio
import os
import threading
from collections.abc import Collection, Iterator
from pathlib import Path

import pytest

from exporter.jobs.model import JobKey, Registration
from exporter.sources.directory import Change, Directory
from exporter.sources.files import Scan, read_directory, write_registration
from exporter.sources.registration import Reason, Rejection

A = Registration(job_id="a")
KEY_A = JobKey("default", "a")


@pytest.fixture
def path(tmp_path: Path) -> Path:
    jobs = tmp_path / "jobs"
    jobs.mkdir()
    return jobs


@pytest.fixture
def directory(path: Path) -> Directory:
    return Directory(path, projects=lambda: {"default"})


class Disk:
    """A file system that hangs until it is let go."""

    def __init__(self) -> None:
        self.answers = threading.Event()
        self.reads = 0
        self.threads: set[threading.Thread] = set()

    def __call__(self, path: Path, *, projects: Collection[str], before: Scan) -> Scan:
        self.reads += 1
        self.threads.add(threading.current_thread())
        self.answers.wait()
        return read_directory(path, projects=projects, before=before)


@pytest.fixture
def disk() -> Iterator[Disk]:
    disk = Disk()
    yield disk
    disk.answers.set()
    for thread in disk.threads:
        thread.join()


async def test_a_registration_is_said_once(path: Path, directory: Directory) -> None:
    assert await directory.scan() == Change()
    write_registration(path, A)
    assert await directory.scan() == Change(added=(A,))
    assert await directory.scan() == Change()


async def test_other_words_about_a_job_are_said(path: Path, directory: Directory) -> None:
    write_registration(path, A)
    await directory.scan()
    later = Registration(job_id="a", deadline=1.8e9)
    write_registration(path, later)
    assert await directory.scan() == Change(added=(later,))


async def test_a_rewritten_file_that_says_the_same_is_no_change(
    path: Path, directory: Directory
) -> None:
    write_registration(path, A)
    await directory.scan()
    write_registration(path, A)
    assert await directory.scan() == Change()


async def test_a_job_is_gone_when_the_last_file_that_names_it_is(
    path: Path, directory: Directory
) -> None:
    write_registration(path, A)
    (path / "again").write_text("a\n")
    await directory.scan()
    (path / "a.json").unlink()
    assert await directory.scan() == Change()
    (path / "again").unlink()
    assert await directory.scan() == Change(gone=(KEY_A,))


async def test_a_half_written_file_counts_when_it_is_complete(
    path: Path, directory: Directory
) -> None:
    (path / "job").write_text('{"job_id": ')
    wanted = Rejection(Reason.MALFORMED, "job: is not valid JSON")
    assert await directory.scan() == Change(rejected=(wanted,))
    (path / "job").write_text('{"job_id": "a"}')
    assert await directory.scan() == Change(added=(A,))


async def test_a_bad_file_is_said_once_until_it_changes(path: Path, directory: Directory) -> None:
    (path / "job").write_text("no id")
    assert len((await directory.scan()).rejected) == 1
    assert await directory.scan() == Change()
    (path / "job").write_text("none either")
    assert len((await directory.scan()).rejected) == 1


async def test_a_named_pipe_holds_up_nothing(path: Path, directory: Directory) -> None:
    os.mkfifo(path / "pipe")
    write_registration(path, A)
    found = await directory.scan()
    assert found.added == (A,)
    assert [rejection.reason for rejection in found.rejected] == [Reason.NOT_REGULAR]


async def test_too_many_files_are_said_once(path: Path, directory: Directory) -> None:
    for number in range(1_001):
        (path / str(number)).write_text(str(number))
    found = await directory.scan()
    assert len(found.added) == 1_000
    assert [rejection.reason for rejection in found.rejected] == [Reason.TOO_MANY]
    assert await directory.scan() == Change()


async def test_a_vanished_directory_withdraws_nothing_and_is_said_once(
    path: Path, directory: Directory
) -> None:
    write_registration(path, A)
    await directory.scan()
    away = path.with_name("away")
    os.rename(path, away)
    assert await directory.scan() == Change(error=f"{path}: No such file or directory")
    assert await directory.scan() == Change()
    os.rename(away, path)
    assert await directory.scan() == Change()
    os.rename(path, away)
    assert await directory.scan() == Change(error=f"{path}: No such file or directory")
    os.mkfifo(path)
    assert await directory.scan() == Change(error=f"{path}: Not a directory")


async def test_projects_are_those_of_now(path: Path) -> None:
    projects = {"default"}
    directory = Directory(path, projects=lambda: projects)
    other = Registration(job_id="a", project="prod")
    write_registration(path, other)
    assert (await directory.scan()).added == ()
    projects.add("prod")
    assert await directory.scan() == Change(added=(other,))


async def test_a_file_system_that_hangs_costs_one_thread(path: Path, disk: Disk) -> None:
    write_registration(path, A)
    directory = Directory(path, projects=lambda: {"default"}, patience=0, read=disk)
    assert await directory.scan() == Change(error=f"{path}: no answer within 0 s")
    assert await directory.scan() == Change()
    assert disk.reads == 1
    disk.answers.set()
    (thread,) = disk.threads
    await asyncio.to_thread(thread.join)
    assert await directory.scan() == Change(added=(A,))


async def test_a_cancelled_scan_loses_nothing(path: Path, disk: Disk) -> None:
    write_registration(path, A)
    directory = Directory(path, projects=lambda: {"default"}, read=disk)
    scanning = asyncio.create_task(directory.scan())
    await asyncio.sleep(0)
    scanning.cancel()
    await asyncio.wait({scanning})
    assert scanning.cancelled()
    disk.answers.set()
    assert await directory.scan() == Change(added=(A,))
    assert disk.reads == 1


async def test_a_file_system_that_hangs_does_not_keep_the_process_from_ending(
    path: Path, disk: Disk
) -> None:
    directory = Directory(path, projects=lambda: {"default"}, patience=0, read=disk)
    await directory.scan()
    assert all(thread.daemon for thread in disk.threads)


async def test_what_nobody_foresaw_is_raised_and_does_not_stick(path: Path) -> None:
    broken = [True]

    def read(path: Path, *, projects: Collection[str], before: Scan) -> Scan:
        if broken.pop():
            raise ZeroDivisionError
        raise AssertionError

    directory = Directory(path, projects=lambda: {"default"}, read=read)
    with pytest.raises(ZeroDivisionError):
        await directory.scan()
    with pytest.raises(IndexError):
        await directory.scan()
