"""A live Spark application, as a fake of its REST API shows it."""

from collections.abc import AsyncIterator
from typing import Any

import aiohttp
import pytest
from aiohttp import web

from exporter.simulator import Scene, Simulator, demo_project, serve
from exporter.simulator.spark import jobs_by_group, sub_job

ONE = demo_project(1)
GROUP = "85798b38-ae44-48eb-bb90-7cf0dcdafe7b"
NOW = 1_700_000_000.0


def spark_job(number: int, status: str = "RUNNING", **fields: Any) -> dict[str, Any]:
    """Write a job as Spark 3.5's ``/jobs`` does."""
    given = {
        "jobId": number,
        "name": f"count at a.py:{number}",
        "submissionTime": f"2023-11-14T22:13:{10 + number}.758GMT",
        "stageIds": [number, 7],
        "jobGroup": GROUP,
        "jobTags": [],
        "status": status,
        "numTasks": 3,
        "numActiveTasks": 2,
        "numCompletedTasks": 1,
        "numSkippedTasks": 0,
        "numFailedTasks": 0,
        "numKilledTasks": 0,
        "numCompletedIndices": 1,
        "numActiveStages": 1,
        "numCompletedStages": 0,
        "numSkippedStages": 0,
        "numFailedStages": 0,
        "killedTasksSummary": {},
    }
    return given | fields


class Spark:
    """A Spark UI whose answers can be set."""

    def __init__(self) -> None:
        self.id = "local-1"
        self.completed = False
        self.jobs: Any = []
        self.status = 200
        self.address = ""

    async def start(self) -> web.AppRunner:
        """Serve on a port."""
        app = web.Application()
        app.router.add_get("/api/v1/applications", self._applications)
        app.router.add_get("/api/v1/applications/{id}/jobs", self._jobs)
        runner = web.AppRunner(app)
        await runner.setup()
        await web.TCPSite(runner, "127.0.0.1", 0).start()
        self.address = f"http://127.0.0.1:{runner.addresses[0][1]}"
        return runner

    async def _applications(self, _request: web.Request) -> web.Response:
        attempt = {"completed": self.completed, "sparkUser": "ann"}
        found = [{"id": self.id, "name": "demo", "attempts": [attempt]}]
        return web.json_response(found, status=self.status)

    async def _jobs(self, request: web.Request) -> web.Response:
        if request.match_info["id"] != self.id:
            return web.Response(status=404, text="unknown app")
        return web.json_response(self.jobs, status=self.status)


class Stage:
    """The fake Spark, the simulator before it, and a client of that."""

    def __init__(self, spark: Spark, runner: web.AppRunner, simulator: Simulator) -> None:
        self.spark = spark
        self.runner = runner
        self.simulator = simulator
        self.session: aiohttp.ClientSession
        self.address = ""

    async def get(self, path: str) -> tuple[int, Any]:
        """Ask the simulator."""
        headers = {"X-Auth-Token": ONE.token or ""}
        url = self.address + path.format(p=ONE.id)
        async with self.session.get(url, headers=headers) as response:
            return response.status, await response.json()

    async def progress(self, job_id: str = GROUP) -> Any:
        return (await self.get(f"/v1/{{p}}/jobs/{job_id}/progress"))[1]


@pytest.fixture
async def stage() -> AsyncIterator[Stage]:
    """Put a simulator before a fake Spark."""
    spark = Spark()
    runner = await spark.start()
    simulator = Simulator(projects=[ONE], scene=Scene(jobs=0), now=lambda: NOW)
    shown = Stage(spark, runner, simulator)
    async with (
        serve(simulator, spark=spark.address + "/") as shown.address,
        aiohttp.ClientSession() as shown.session,
    ):
        yield shown
    await runner.cleanup()


def test_a_spark_job_becomes_a_sub_job_without_empty_fields() -> None:
    row = spark_job(
        3,
        "FAILED",
        description="select 1",
        completionTime="2023-11-14T22:13:20.999GMT",
        numKilledTasks=2,
        killedTasksSummary={"Stage cancelled": 2},
    )
    assert sub_job(row) == {
        "id": 3,
        "name": "count at a.py:3",
        "description": "select 1",
        "submission_time": "Wed Nov 15 06:13:13 CST 2023",
        "completion_time": "Wed Nov 15 06:13:20 CST 2023",
        "stage_ids": [3, 7],
        "job_group": GROUP,
        "status": "FAILED",
        "num_tasks": 3,
        "num_active_tasks": 2,
        "num_completed_tasks": 1,
        "num_skipped_tasks": 0,
        "num_failed_tasks": 0,
        "num_killed_tasks": 2,
        "num_completed_indices": 1,
        "num_active_stages": 1,
        "num_completed_stages": 0,
        "num_skipped_stages": 0,
        "num_failed_stages": 0,
        "killed_tasks_summary": {"Stage cancelled": 2},
    }
    bare = sub_job(spark_job(0, name="", stageIds=[]))
    assert bare["id"] == 0
    assert not bare.keys() & {"name", "description", "completion_time", "stage_ids"}
    assert not bare.keys() & {"killed_tasks_summary"}


def test_jobs_without_a_group_are_nobodys() -> None:
    rows = [spark_job(2), spark_job(1, jobGroup="b"), spark_job(0, jobGroup=None)]
    assert {group: len(found) for group, found in jobs_by_group(rows).items()} == {GROUP: 1, "b": 1}


async def test_the_highest_running_sub_job_gives_the_progress(stage: Stage) -> None:
    stage.spark.jobs = [spark_job(2, "SUCCEEDED"), spark_job(1), spark_job(0, numCompletedTasks=9)]
    body = await stage.progress()
    assert (body["status"], body["sub_job_id"], body["progress"]) == ("RUNNING", 1, 1 / 3)
    assert [row["id"] for row in body["sub_jobs"]] == [2, 1, 0]


async def test_between_two_sub_jobs_the_progress_is_zero(stage: Stage) -> None:
    stage.spark.jobs = [spark_job(0, "SUCCEEDED")]
    body = await stage.progress()
    assert (body["status"], body["progress"]) == ("RUNNING", 0)
    assert "sub_job_id" not in body


async def test_a_sub_job_without_tasks_has_no_progress(stage: Stage) -> None:
    stage.spark.jobs = [spark_job(0, numTasks=0, numCompletedTasks=0)]
    assert (await stage.progress())["progress"] == 0


async def test_a_group_that_spark_does_not_show_is_unknown(stage: Stage) -> None:
    assert (await stage.progress())["error_code"] == "DLI.0002"


async def test_the_list_shows_every_group(stage: Stage) -> None:
    stage.spark.jobs = [
        spark_job(2, jobGroup="b"),
        spark_job(1, description="select 2"),
        spark_job(0, description="select 1"),
    ]
    status, body = await stage.get("/v1.0/{p}/jobs?order=start_time_asc")
    assert (status, body["job_count"]) == (200, 2)
    first = body["jobs"][0]
    assert (first["job_id"], first["statement"], first["owner"]) == (GROUP, "select 1", "ann")
    assert first["start_time"] == 1_699_999_990_758
    assert first["status"] == "RUNNING"


@pytest.mark.parametrize(("last", "outcome"), [("SUCCEEDED", "FINISHED"), ("FAILED", "FAILED")])
@pytest.mark.parametrize("ending", ["completed", "gone", "replaced"])
async def test_the_applications_end_ends_its_groups(
    stage: Stage, ending: str, last: str, outcome: str
) -> None:
    other = {"SUCCEEDED": "FAILED", "FAILED": "SUCCEEDED"}[last]
    stage.spark.jobs = [spark_job(1, last), spark_job(0, other)]
    assert (await stage.progress())["status"] == "RUNNING"
    if ending == "gone":
        await stage.runner.cleanup()
    elif ending == "completed":
        stage.spark.completed = True
    else:
        stage.spark.id, stage.spark.jobs = "local-2", []
    body = await stage.progress()
    assert (body["status"], body["progress"]) == (outcome, 1)
    assert not body.keys() & {"sub_jobs", "sub_job_id"}
    row = (await stage.get("/v1.0/{p}/jobs"))[1]["jobs"][0]
    assert (row["status"], row["end_time"]) == (outcome, int(NOW * 1000))


async def test_a_bad_answer_ends_nothing(stage: Stage) -> None:
    stage.spark.jobs = [spark_job(0)]
    before = await stage.progress()
    stage.spark.status = 503
    assert await stage.progress() == before


async def test_a_group_is_ended_by_hand_and_stays_so(stage: Stage) -> None:
    stage.spark.jobs = [spark_job(0)]
    await stage.progress()
    stage.simulator.end(GROUP, "CANCELLED")
    assert (await stage.progress())["status"] == "CANCELLED"
    await stage.runner.cleanup()
    assert (await stage.progress())["status"] == "CANCELLED"


async def test_a_first_submission_and_counts_outlive_sparks_memory(stage: Stage) -> None:
    stage.spark.jobs = [spark_job(0, "SUCCEEDED", numCompletedTasks=5)]
    await stage.progress()
    stage.spark.jobs = [spark_job(9, numCompletedTasks=2)]
    row = (await stage.get("/v1.0/{p}/jobs"))[1]["jobs"][0]
    assert (row["start_time"], row["input_row_count"]) == (1_699_999_990_758, 7 * 50_000)


async def test_recorded_jobs_may_run_beside_the_live_ones(stage: Stage) -> None:
    stage.spark.jobs = [spark_job(0)]
    recorded = stage.simulator.add("single")
    assert (await stage.progress(recorded))["status"] == "LAUNCHING"
    assert (await stage.get("/v1.0/{p}/jobs"))[1]["job_count"] == 2
