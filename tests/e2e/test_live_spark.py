"""A live Spark application: the simulator fronts it, the exporter shows it, and both agree."""

import json
import sys
from collections import Counter, defaultdict
from collections.abc import Awaitable, Callable, Mapping
from functools import partial
from pathlib import Path
from typing import Any, Final
from uuid import uuid4

from prometheus_client.parser import text_string_to_metric_families

from .conftest import Program
from .processes import dli_exporter, eventually, fetch, listening, pasted, running

WORKLOAD: Final = Path(__file__).parent / "spark_workload.py"
START: Final = 90.0
"""Seconds that a JVM and its first job may take on a busy machine."""
TOTALS: Final = {
    "dli_job_tasks": "numTasks",
    "dli_job_tasks_completed": "numCompletedTasks",
    "dli_job_tasks_skipped": "numSkippedTasks",
    "dli_job_tasks_failed": "numFailedTasks",
    "dli_job_tasks_killed": "numKilledTasks",
    "dli_job_indices_completed": "numCompletedIndices",
    "dli_job_stages_completed": "numCompletedStages",
    "dli_job_stages_skipped": "numSkippedStages",
    "dli_job_stages_failed": "numFailedStages",
}

QUOTA: Final = {"DLI_EXPORTER_PROJECTS__DEFAULT__REQUESTS_PER_SECOND": "50"}

Figures = Mapping[str, float]
Show = Callable[[str], Awaitable[Figures]]


async def test_what_is_shown_agrees_with_sparks_own_figures(
    program: Program, pyspark: None, tmp_path: Path
) -> None:
    program("java")
    good, bad = str(uuid4()), str(uuid4())
    environment = {"SPARK_LOCAL_IP": "127.0.0.1", "PYSPARK_PYTHON": sys.executable}
    command = (sys.executable, str(WORKLOAD), good, bad)
    async with running(*command, cwd=tmp_path, env=environment) as spark:
        ui = (await spark.shows(r"^ui (\S+)$", START))[1]
        await spark.shows("^held$", START)
        async with (
            dli_exporter(
                *("simulate", f"--simulator.spark={ui}", "--simulator.listen-address=127.0.0.1:0"),
                cwd=tmp_path,
            ) as simulator,
            dli_exporter(
                *("serve", f"--jobs={good},{bad}", "--poll.interval=200ms"),
                "--web.listen-address=127.0.0.1:0",
                cwd=tmp_path,
                env={**await pasted(simulator), **QUOTA},
            ) as exporter,
        ):
            show = partial(shown, await listening(exporter))
            await holds_while_running(show, good)
            await spark.say("go on")
            await spark.shows("^done$", START)
            then = await eventually(partial(agreed, ui, show), "the exporter agrees with Spark")
            holds_when_done(then[good], then[bad])
            await spark.say("end")
            assert await spark.ended(START) == 0
            await holds_after_the_end(show, good, "FINISHED", then[good])
            await holds_after_the_end(show, bad, "FAILED", then[bad])


async def holds_while_running(show: Show, job_id: str) -> None:
    """Look at the good job while two of the last four tasks run."""
    figures = await showing(show, job_id, dli_job_tasks_active=2)
    assert figures['dli_job_status{status="RUNNING"}'] == 1
    assert figures['dli_job_subjobs{status="RUNNING"}'] == 1
    assert figures['dli_job_subjobs{status="SUCCEEDED"}'] == 3
    assert figures["dli_job_indices_completed"] == 12 + 4 + 6
    assert figures["dli_job_indices"] == 12 + 4 + 6 + 4
    assert 0 < figures["dli_job_progress_ratio"] < 1
    assert (figures["dli_job_tasks_failed"], figures["dli_job_tasks_skipped"]) == (2, 8)


def holds_when_done(good: Figures, bad: Figures) -> None:
    """Look at figures that agree with Spark's: they must be those of the workload, too."""
    assert good["dli_job_tasks"] == 12 + 12 + 6 + 4
    assert good["dli_job_tasks_completed"] == 12 + 4 + 6 + 4
    assert good["dli_job_tasks_failed"] == 2
    assert bad["dli_job_tasks_failed"] == 4
    assert bad['dli_job_subjobs{status="FAILED"}'] == 1


async def holds_after_the_end(show: Show, job_id: str, status: str, then: Figures) -> None:
    """Look at a job of an application that is gone: the last figures stand."""
    now = await showing(show, job_id, **{f'dli_job_status{{status="{status}"}}': 1})
    assert {name: now[name] for name in TOTALS} == {name: then[name] for name in TOTALS}
    if status == "FINISHED":
        assert now["dli_job_progress_ratio"] == 1
    else:
        assert now["dli_job_progress_ratio"] == then["dli_job_progress_ratio"] < 1


async def showing(show: Show, job_id: str, **wanted: float) -> Figures:
    """Wait until a job's figures are as wanted, and give all of them."""

    async def met() -> Figures:
        figures = await show(job_id)
        return figures if wanted.items() <= figures.items() else {}

    return await eventually(met, str(wanted))


async def shown(url: str, job_id: str) -> Figures:
    """Read what the exporter shows about a job, without its identity."""
    _, text = await fetch(f"{url}/metrics")
    return {
        sample.name + spelt(sample.labels): sample.value
        for family in text_string_to_metric_families(text)
        for sample in family.samples
        if sample.name.startswith("dli_job_") and sample.labels.get("job_id") == job_id
    }


def spelt(labels: Mapping[str, str]) -> str:
    own = [f'{name}="{labels[name]}"' for name in labels if name not in ("project", "job_id")]
    return f"{{{','.join(own)}}}" if own else ""


async def agreed(ui: str, show: Show) -> Mapping[str, Figures]:
    """Give what is shown of every job, once it is what Spark itself says."""
    groups = await spark_totals(ui)
    figures = {job_id: await show(job_id) for job_id in groups}
    same = all(groups[job_id].items() <= figures[job_id].items() for job_id in groups)
    return figures if same else {}


async def spark_totals(ui: str) -> Mapping[str, Figures]:
    """Sum up what Spark's own REST API says about each job group."""
    _, listed = await fetch(f"{ui}/api/v1/applications")
    (application,) = json.loads(listed)
    _, jobs = await fetch(f"{ui}/api/v1/applications/{application['id']}/jobs")
    groups: dict[str, list[Any]] = defaultdict(list)
    for row in json.loads(jobs):
        groups[row["jobGroup"]].append(row)
    assert len(groups) == 2
    return {group: totals(rows) for group, rows in groups.items()}


def totals(rows: list[Any]) -> Figures:
    statuses = Counter(row["status"] for row in rows)
    return {
        **{name: sum(row[field] for row in rows) for name, field in TOTALS.items()},
        "dli_job_stages": sum(len(row["stageIds"]) for row in rows),
        **{f'dli_job_subjobs{{status="{status}"}}': count for status, count in statuses.items()},
    }
