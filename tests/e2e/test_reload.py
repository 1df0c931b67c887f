"""The settings are read again: what has changed changes, and nothing else is disturbed."""

import json
import signal
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import aiohttp
import pytest

from exporter.simulator import Endpoint, Simulator, demo_project, serve

from .exporters import Exporter, asked, exporter, lasting, project, quiet, write

GOOD = "dli_exporter_config_last_reload_successful"
PROJECTS = (demo_project(1, "one"), demo_project(2, "two"))


@dataclass
class Place:
    """Two projects that may be in the settings, and the file with these."""

    dli: Simulator
    address: str
    file: Path
    projects: dict[str, Any] = field(default_factory=dict)

    def add(self, name: str, **changes: Any) -> str:
        """Put a project into the settings, with a new job that runs."""
        of = {each.name: each for each in PROJECTS}[name]
        job = self.dli.add(lasting(), project=of.id)
        self.projects[name] = project(of, self.address, jobs=[job], **changes)
        return job

    def more(self, name: str) -> str:
        """List one more job that runs."""
        of = {each.name: each for each in PROJECTS}[name]
        job = self.dli.add(lasting(), project=of.id)
        self.projects[name]["jobs"].append(job)
        return job

    def write(self, **changes: Any) -> Path:
        return write(self.file, self.projects, **changes)

    def asked(self, job: str) -> int:
        """Count the calls about a job's progress."""
        return sum(
            each.job_id == job and each.endpoint is Endpoint.PROGRESS for each in self.dli.requests
        )

    async def asked_again(self, job: str, times: int = 3) -> None:
        """Wait until a job was asked for some more times."""
        enough = self.asked(job) + times
        await asked(self.dli, lambda _: self.asked(job) >= enough)


@pytest.fixture
async def place(tmp_path: Path) -> AsyncIterator[Place]:
    dli = quiet(*PROJECTS)
    async with serve(dli) as address:
        yield Place(dli, address, tmp_path / "dli.yaml")


async def reload(watching: Exporter) -> tuple[int, str]:
    async with (
        aiohttp.ClientSession() as session,
        session.post(f"{watching.url}/-/reload") as response,
    ):
        return response.status, await response.text()


async def test_jobs_come_and_go_with_the_file(place: Place) -> None:
    kept = place.add("one")
    removed = place.more("one")
    async with exporter(place.write()) as watching:
        await watching.statuses({kept: "RUNNING", removed: "RUNNING"})
        place.projects["one"]["jobs"].remove(removed)
        added = place.more("one")
        place.write()
        assert await reload(watching) == (200, "settings reloaded\n")
        metrics = await watching.statuses({kept: "RUNNING", added: "RUNNING"})
        assert metrics.jobs == {kept, added}
        before = place.asked(removed)
        await place.asked_again(kept)
        assert place.asked(removed) == before
        place.projects["one"]["jobs"] = [removed]
        place.write()
        watching.process.signal(signal.SIGHUP)
        metrics = await watching.statuses({removed: "RUNNING"})
        assert metrics.jobs == {removed}
        assert metrics.value(GOOD) == 1


BAD = {
    "no YAML": "projects: [",
    "a wrong value": json.dumps({"poll": {"interval": "soon"}}),
    "an unknown key": json.dumps({"polling": {}}),
    "no project": "{}",
    "a certificate that is none": "",
}


@pytest.mark.parametrize("content", BAD.values(), ids=BAD)
async def test_a_bad_file_leaves_everything_as_it_was(place: Place, content: str) -> None:
    job = place.add("one")
    (one,) = (each for each in PROJECTS if each.name == "one")
    async with exporter(place.write()) as watching:
        await watching.statuses({job: "RUNNING"})
        if content:
            place.file.write_text(content, encoding="utf-8")
        else:
            broken = place.file.with_suffix(".pem")
            broken.write_text(one.sk, encoding="utf-8")
            place.projects = {"one": {**place.projects["one"], "jobs": [], "ca_file": str(broken)}}
            place.write()
        status, text = await reload(watching)
        assert (status, text.splitlines()[0]) == (500, "settings not reloaded:")
        metrics = await watching.metrics()
        assert metrics.value(GOOD) == 0
        assert metrics.statuses() == {job: "RUNNING"}
        await place.asked_again(job)
        (line,) = [each for each in watching.process.err.splitlines() if "not reloaded" in each]
        assert "level=error" in line
        assert one.sk not in watching.process.err + text
        place.projects = {}
        job = place.add("one")
        place.write()
        assert (await reload(watching))[0] == 200
        assert (await watching.statuses({job: "RUNNING"})).value(GOOD) == 1


async def test_a_project_comes_changes_and_goes_while_another_is_undisturbed(place: Place) -> None:
    steady = place.add("one")
    async with exporter(place.write()) as watching:
        await watching.statuses({steady: "RUNNING"})
        coming = place.add("two")
        place.write()
        assert (await reload(watching))[0] == 200
        await watching.statuses({steady: "RUNNING", coming: "RUNNING"})

        place.projects["two"]["requests_per_second"] = 7
        place.write()
        assert (await reload(watching))[0] == 200
        limit = "dli_exporter_api_requests_per_second_limit"
        metrics = await watching.shows(limit, 7, project="two")
        assert metrics.statuses() == {steady: "RUNNING", coming: "RUNNING"}
        await place.asked_again(coming)

        gone = place.projects.pop("two")
        place.write()
        assert (await reload(watching))[0] == 200
        metrics = await watching.metrics()
        assert metrics.jobs == {steady}
        assert metrics.value("dli_up", project="two") is None
        assert metrics.value(limit, project="two") is None
        asked = place.asked(coming)
        await place.asked_again(steady)
        assert place.asked(coming) == asked

        place.projects["two"] = gone
        place.write()
        assert (await reload(watching))[0] == 200
        metrics = await watching.statuses({steady: "RUNNING", coming: "RUNNING"})
        assert metrics.value("dli_up", project="two") == 1
        assert metrics.total("dli_exporter_api_request_errors_total") == 0
        assert "calls fail" not in watching.process.err


async def test_a_wrong_secret_can_be_put_right_by_a_reload(place: Place) -> None:
    job = place.add("one")
    right = place.projects["one"]["credentials"]
    place.projects["one"]["credentials"] = {**right, "sk": "wrong"}
    async with exporter(place.write()) as watching:
        await watching.shows("dli_up", 0, project="one")
        place.projects["one"]["credentials"] = right
        place.write()
        assert (await reload(watching))[0] == 200
        assert (await watching.statuses({job: "RUNNING"})).value("dli_up", project="one") == 1


async def test_a_reload_goes_on_with_a_jobs_picture(place: Place) -> None:
    """What was learnt of a running job is kept, though its project gets a new connection."""
    job = place.add("one")
    async with exporter(place.write()) as watching:
        name = "dli_job_start_timestamp_seconds"
        started = place.dli.state(job, project=PROJECTS[0].id)
        assert started is not None
        start = round(started.start, 3)  # the list has milliseconds
        await watching.shows(name, start, job_id=job)
        place.projects["one"]["requests_per_second"] = 50
        place.write(retention={"finished": "1s"})
        assert (await reload(watching))[0] == 200
        metrics = await watching.metrics()
        assert metrics.value(name, job_id=job) == start
        place.dli.end(job, "FINISHED", project=PROJECTS[0].id)
        await watching.statuses({job: "FINISHED"})


async def test_reload_over_http_can_be_turned_off(place: Place) -> None:
    place.add("one")
    async with exporter(place.write(web={"enable_lifecycle": False})) as watching:
        assert (await reload(watching))[0] == 403
