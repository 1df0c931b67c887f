"""The dashboards as people see them, in four scenes, drawn by Grafana's own components."""

import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Final

import pytest
import pytest_asyncio

from ..night import BUSY, DOWN, IDLE, ONE, Night
from .browser import Browser, browser
from .conftest import Program
from .gallery import Gallery, Picture, build, hung, night_stored, titles

JOBS, JOB, EXPORTER = "dli-jobs", "dli-job", "dli-exporter"
ALL: Final = (JOBS, JOB, EXPORTER)
COLUMNS: Final = {
    *("Job", "Queue", "Status", "Progress", "Started", "Expected end", "Deadline"),
    *("Failed tasks", "Project"),
}
PICTURES: Final = os.environ.get("PICTURES")
"""A directory to leave the pictures in."""

pytestmark = pytest.mark.asyncio(loop_scope="module")


class Studio:
    """The page and the browser, and a way to hang the dashboards over a night."""

    def __init__(self, page: str, looking: Browser, program: Program, directory: Path) -> None:
        self._page = page
        self._browser = looking
        self._programs = {name: program(name) for name in ("promtool", "prometheus")}
        self._directory = directory

    @asynccontextmanager
    async def night(self, name: str, night: Night) -> AsyncIterator["Wall"]:
        directory = self._directory / name
        directory.mkdir()
        async with night_stored(self._programs, directory, night) as prometheus:
            gallery = Gallery(self._page, prometheus, self._browser, night)
            yield Wall(gallery, Path(PICTURES) if PICTURES else directory, name)


class Wall:
    """The dashboards over one night."""

    def __init__(self, gallery: Gallery, directory: Path, scene: str) -> None:
        self.gallery = gallery
        self._directory = directory
        self._scene = scene

    async def picture(self, dashboard: str, **variables: str) -> Picture:
        """Draw a dashboard, and look for what is wrong in any scene."""
        file = self._directory / f"{dashboard}-{self._scene}.png"
        drawn = await self.gallery.draw(dashboard, file, **variables)
        assert drawn.errors == []
        assert [title for title in titles(dashboard) if title not in drawn.text] == []
        for wrong in ("NaN", "undefined", "Infinity", "[object", "Invalid"):
            assert wrong not in drawn.text
        return drawn

    async def one(self, promql: str) -> dict[str, str]:
        """Give the labels of the first series that an expression finds at the end."""
        found = await self.gallery.prometheus.query(promql, self.gallery.night.end)
        return dict(sorted(found, key=lambda series: series.labels["job_id"])[0].labels)


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def studio(
    program: Program, node_modules: None, tmp_path_factory: pytest.TempPathFactory
) -> AsyncIterator[Studio]:
    directory = tmp_path_factory.mktemp("studio")
    page = directory / "page"
    await build(program("node"), page)
    async with (
        hung(page) as address,
        browser(program("chromium"), program("chromedriver"), directory) as looking,
    ):
        yield Studio(address, looking, program, directory)


async def test_busy(studio: Studio) -> None:
    """Two projects with a dozen recurring jobs each."""
    async with studio.night("busy", BUSY) as wall:
        jobs = await wall.picture(JOBS)
        assert jobs.panels["Running"] != {"{}": ["0"]}
        names = list(jobs.panels["Progress of running jobs"])
        assert len(names) > 10
        assert [name for name in names if name not in jobs.text] == []
        table = jobs.panels["All jobs"]
        assert set(table) >= COLUMNS
        assert {"RUNNING", "FINISHED", "LAUNCHING"} <= set(table["Status"])
        assert jobs.panels["Failed"] != {"{}": ["0"]}
        assert all(text.endswith("%") for text in table["Progress"])
        assert any(text.startswith("in ") for text in table["Expected end"])
        assert min(jobs.annotations.values()) > 0
        watched = await wall.one(
            'dli_job_status{status="RUNNING"} == 1'
            " and on (job_id) dli_job_deadline_timestamp_seconds"
            " and on (job_id) dli_job_tasks_failed > 0 and on (job_id) dli_job_progress_ratio > 0.2"
        )
        job = await wall.picture(JOB, job_id=watched["job_id"], project=watched["project"])
        assert "RUNNING" in job.text
        assert {"work done", "expected time passed", "reported by DLI"} <= set(
            job.panels["Progress"]
        )
        exporter = await wall.picture(EXPORTER)
        assert {"throttled", "timeout", "backend"} <= set(exporter.panels["Errors by reason"])
        assert {"prod", "analytics"} <= set(exporter.panels["Throttled"])


async def test_one_job(studio: Studio) -> None:
    """One recurring job, at its second run."""
    async with studio.night("one", ONE) as wall:
        jobs = await wall.picture(JOBS)
        assert len(jobs.panels["All jobs"]["Status"]) == 1
        watched = await wall.one('dli_job_status{status=~"LAUNCHING|RUNNING"} == 1')
        job = await wall.picture(JOB, job_id=watched["job_id"], project=watched["project"])
        assert len(job.panels["Last runs"]["Status"]) > 1


async def test_idle(studio: Studio) -> None:
    """An exporter that watches a project without jobs."""
    async with studio.night("idle", IDLE) as wall:
        jobs = await wall.picture(JOBS)
        for panel in ("Running", "Waiting", "Failed"):
            assert jobs.panels[panel] == {"{}": ["0"]}
        assert "no job" in jobs.text
        assert jobs.variables["project"] == ["prod"]
        assert "no job" in (await wall.picture(JOB)).text
        assert (await wall.picture(EXPORTER)).panels["Up"] == {"{}": ["1"]}


async def test_exporter_down(studio: Studio) -> None:
    """An exporter that has not answered for twelve minutes: its jobs are over the edge."""
    async with studio.night("down", DOWN) as wall:
        jobs = await wall.picture(JOBS)
        assert "no exporter" in jobs.text
        assert jobs.panels["Failed"] != {"{}": ["0"]}
        watched = await wall.one('last_over_time(dli_job_status{status="RUNNING"}[1h]) == 1')
        await wall.picture(JOB, job_id=watched["job_id"], project=watched["project"])
        exporter = await wall.picture(EXPORTER)
        assert exporter.panels["Down"] == {"{}": ["1"]}
