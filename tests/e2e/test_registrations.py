"""Jobs that are registered while the exporter runs: by files, by the command, over HTTP."""

import json
import os
import signal
import time
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import aiohttp
import pytest

from exporter.simulator import Endpoint, Simulator, serve

from .exporters import HEADER, Exporter, alone, crashing, exporter, lasting, quiet, timeline
from .processes import completed, eventually

REJECTED = "dli_exporter_registrations_rejected_total"


@dataclass
class Cell:
    """What a main container and the exporter beside it share."""

    dli: Simulator
    directory: Path
    settings: Path

    async def register(self, *arguments: str) -> None:
        """Run the command where the main container would."""
        env = {"DLI_JOBS_DIR": str(self.directory)}
        result = await completed("register", *arguments, cwd=self.directory.parent, env=env)
        assert result == (0, "", "")

    def put(self, name: str, content: str) -> None:
        """Write a file by another name first, as the two shell lines of the README do."""
        unfinished = self.directory / f"{name}.tmp"
        unfinished.write_text(content, encoding="utf-8")
        unfinished.rename(self.directory / name)


@pytest.fixture
async def cell(tmp_path: Path) -> AsyncIterator[Cell]:
    dli = quiet()
    directory = tmp_path / "jobs"
    directory.mkdir()
    async with serve(dli) as address:
        yield Cell(dli, directory, alone(tmp_path, dli, address, jobs_dir=str(directory)))


async def test_registered_jobs_come_back_after_a_crash(cell: Cell) -> None:
    running, ending = cell.dli.add(lasting()), cell.dli.add(lasting())
    await cell.register(running, "--name=nightly load", "--deadline=2h")
    cell.put("other", f"# submitted by hand\n{ending}\n")
    both = dict.fromkeys((running, ending), "RUNNING")
    async with crashing(cell.settings) as first:
        await first.statuses(both)
        first.process.signal(signal.SIGKILL)
        assert await first.process.ended() == -signal.SIGKILL
    cell.dli.end(ending, "FAILED")
    async with exporter(cell.settings) as second:
        metrics = await second.statuses({running: "RUNNING", ending: "FAILED"})
        assert metrics.value("dli_job_info", job_id=running, name="nightly load") == 1
        deadline = metrics.value("dli_job_deadline_timestamp_seconds", job_id=running)
        assert deadline == pytest.approx(time.time() + 7200, abs=60)
        assert metrics.value("dli_job_info", job_id=ending, name="") == 1
        await second.shows("dli_jobs_ended_total", 1, status="FAILED")


async def test_a_file_counts_from_the_moment_of_its_rename(cell: Cell) -> None:
    first, second, hidden = (cell.dli.add(lasting()) for _ in range(3))
    (cell.directory / "one.tmp").write_text(first, encoding="utf-8")
    (cell.directory / ".hidden").write_text(hidden, encoding="utf-8")
    cell.put("two", second)
    async with exporter(cell.settings) as watching:
        assert (await watching.statuses({second: "RUNNING"})).jobs == {second}
        (cell.directory / "one.tmp").rename(cell.directory / "one")
        assert (await watching.statuses({first: "RUNNING"})).jobs == {first, second}
        cell.put("two", json.dumps({"job_id": second, "name": "renamed"}))
        metrics = await watching.shows("dli_job_info", 1, job_id=second, name="renamed")
        assert metrics.jobs == {first, second}


async def test_a_job_whose_file_vanishes_stays_until_its_end_was_seen(cell: Cell) -> None:
    """A main container may clean up when it is done, long before the next scrape."""
    job, other = cell.dli.add(lasting()), cell.dli.add(lasting())
    cell.put("job", job)
    async with exporter(cell.settings) as watching:
        await watching.statuses({job: "RUNNING"})
        (cell.directory / "job").unlink()
        cell.put("other", other)  # when this is seen, so is that the file is gone
        await watching.statuses({other: "RUNNING"})
        cell.dli.end(job, "FINISHED")
        await watching.statuses({job: "FINISHED", other: "RUNNING"})


async def test_a_file_that_stays_does_not_bring_its_job_back(cell: Cell) -> None:
    job, later = cell.dli.add(timeline((0, "FINISHED"))), cell.dli.add(lasting())
    cell.put("job", job)
    async with exporter(cell.settings, "--retention.finished=0s") as watching:
        await watching.statuses({job: "FINISHED"})

        async def left() -> bool:
            return (await watching.metrics(**HEADER)).jobs == set()

        await eventually(left, "the job has left")
        cell.put("later", later)
        metrics = await watching.statuses({later: "RUNNING"})
        assert metrics.jobs == {later}
        assert metrics.total("dli_jobs_ended_total") == 1


async def test_bad_files_are_counted_and_said_once_without_their_content(cell: Cell) -> None:
    job = cell.dli.add(lasting())
    secret = "AKIAsecretsecret"
    os.symlink("/etc/passwd", cell.directory / "link")
    os.mkfifo(cell.directory / "pipe")
    (cell.directory / "folder").mkdir()
    (cell.directory / "large").write_text("x" * 100_000)
    (cell.directory / "text").write_text(f"{secret}/../../x")
    (cell.directory / "foreign").write_text(json.dumps({"job_id": "a", "project": "foreign"}))
    (cell.directory / "broken").write_text('{"job_id": ')
    cell.put("good", job)
    async with exporter(cell.settings) as watching:
        await watching.statuses({job: "RUNNING"})
        cell.put("later", "later")  # once it is seen, the others were looked at twice
        metrics = await watching.shows("dli_exporter_jobs_dropped_total", 1, reason="not_found")
        rejected = {each["reason"]: value for each, value in metrics.found(REJECTED)}
        assert rejected == {
            "not_regular": 3,
            "too_large": 1,
            "invalid": 1,
            "unknown_project": 1,
            "malformed": 1,
        }
    lines = [line for line in watching.process.err.splitlines() if "rejected" in line]
    assert len(lines) == 7
    assert secret not in watching.process.err
    assert "root:" not in watching.process.err


async def call(
    watching: Exporter, method: str, path: str, body: Any = None
) -> tuple[int, dict[str, Any]]:
    async with (
        aiohttp.ClientSession() as session,
        session.request(method, f"{watching.url}{path}", json=body) as response,
    ):
        return response.status, await response.json()


async def test_jobs_are_registered_and_withdrawn_over_http(cell: Cell) -> None:
    job = cell.dli.add(lasting())
    known = {"job_id": job, "name": "by hand", "deadline": 1_900_000_000}
    async with exporter(cell.settings, "--web.enable-registration") as watching:
        status, answer = await call(watching, "POST", "/api/v1/jobs", known)
        assert (status, answer["data"]) == (201, {"project": "default", "job_id": job})
        metrics = await watching.statuses({job: "RUNNING"})
        assert metrics.value("dli_job_info", job_id=job, name="by hand") == 1
        deadline = metrics.value("dli_job_deadline_timestamp_seconds", job_id=job)
        assert deadline == 1_900_000_000
        assert (await call(watching, "POST", "/api/v1/jobs", known))[0] == 200
        assert (await call(watching, "POST", "/api/v1/jobs", {"job_id": "../x"}))[0] == 400
        assert (await call(watching, "DELETE", f"/api/v1/jobs/{job}"))[0] == 200
        metrics = await watching.metrics()
        assert metrics.jobs == set()
        assert metrics.value(REJECTED, reason="invalid") == 1
        assert (await call(watching, "DELETE", f"/api/v1/jobs/{job}"))[0] == 404


async def test_registration_over_http_is_off_unless_it_is_turned_on(cell: Cell) -> None:
    job = cell.dli.add(lasting())
    async with exporter(cell.settings) as watching:
        status, answer = await call(watching, "POST", "/api/v1/jobs", {"job_id": job})
        assert (status, answer["errorType"]) == (403, "forbidden")
        assert (await call(watching, "DELETE", f"/api/v1/jobs/{job}"))[0] == 403
        assert (await watching.metrics()).jobs == set()
    assert cell.dli.requested(Endpoint.PROGRESS) == 0
