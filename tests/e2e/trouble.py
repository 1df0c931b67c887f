"""A DLI in which everything goes wrong, and the settings of two exporters that watch it."""

import json
import time
from collections.abc import Callable, Iterator
from itertools import count, repeat
from pathlib import Path
from typing import Any, Final

from exporter.sharding import Shard
from exporter.simulator import Fault, Particulars, Simulator, Timeline, demo_project

from .exporters import lasting, project, timeline, write

PROJECTS: Final = tuple(
    demo_project(number, name)
    for number, name in enumerate(("good", "refused", "down", "tight", "files"))
)
BEHIND: Final = demo_project(9, "behind")
"""A project in a region whose clock is two minutes behind."""
HOUR: Final = 3600.0
SAME: Final = "insert into report select * from orders where day = '2026-11-23'"


def populate(dli: Simulator) -> None:
    """Add the jobs: one that is well, and one for each thing that can be wrong with one."""
    long_ago = time.time() - HOUR

    def add(job_id: str, made: Timeline, start: float | None = None, statement: str = "") -> None:
        about = Particulars(
            statement=statement or f"select {job_id}", queue_name="etl", tags={"jobName": job_id}
        )
        dli.add(made, job_id=job_id, start=start, particulars=about)

    add("well", lasting(subjobs=1))
    add("failed", timeline((0, "RUNNING"), (1, "FAILED")))
    add("waiting", lasting("LAUNCHING"))
    for job_id in ("stalled", "late", "failing", "killed"):
        add(job_id, lasting(subjobs=2))
    add("risky", lasting(subjobs=2), long_ago)
    for number in range(3):
        made = timeline((0, "RUNNING"), (20, "FINISHED"))
        add(f"run-{number}", made, time.time() - 600 + number, SAME)
    add("long", lasting(subjobs=2), long_ago, SAME)
    for of in PROJECTS[1:]:
        dli.add(lasting(), job_id="old", project=of.id)


def faults() -> tuple[Fault, ...]:
    """Break what is to be broken, some of it more with each answer."""
    _, _, down, tight, _ = PROJECTS

    def counting(field: str, tasks: Iterator[int]) -> Callable[[dict[str, Any]], object]:
        def change(answer: dict[str, Any]) -> object:
            answer["sub_jobs"][-1][field] = next(tasks)
            return answer

        return change

    return (
        Fault(project=down.id, status=503),
        Fault(project=tight.id, probability=0.5, status=429, code="APIGW.0308"),
        Fault(job_id="well", rewrite=counting("num_completed_indices", count())),
        Fault(job_id="failing", rewrite=counting("num_failed_tasks", repeat(40))),
        Fault(job_id="killed", rewrite=counting("num_killed_tasks", count(step=100))),
    )


def central(directory: Path, dli: Simulator, address: str, elsewhere: str) -> Path:
    """Write the settings of the exporter that watches all there is."""
    good, refused, down, tight, files = PROJECTS
    keys = directory / "keys"
    keys.mkdir()
    (keys / "ak").write_text(files.ak, encoding="utf-8")
    (keys / "sk").write_text(files.sk, encoding="utf-8")
    jobs = directory / "jobs"
    jobs.mkdir()
    for job_id, deadline in (("risky", time.time() + HOUR / 2), ("late", time.time() - HOUR)):
        wanted = {"job_id": job_id, "project": "good", "deadline": deadline}
        (jobs / f"{job_id}.json").write_text(json.dumps(wanted), encoding="utf-8")
    watched = {of.name: project(of, address, jobs=["old"]) for of in (refused, down, tight, files)}
    watched["refused"]["credentials"]["sk"] = "wrong"
    watched["files"]["credentials"] = {"provider": "file", "directory": str(keys)}
    watched["behind"] = project(BEHIND, elsewhere, jobs=["old"])
    found = {"enabled": True, "interval": "1s"}
    watched["good"] = project(good, address, discovery=found, jobs=list(dli.job_ids(good.id)))
    return write(directory / "central.yaml", watched, jobs_dir=str(jobs), tags={"name": "jobName"})


def small(directory: Path, address: str) -> Path:
    """Write the settings of one that has no room, and looks for two sisters in vain."""
    (good, *_) = PROJECTS
    return write(
        directory / "small.yaml",
        {"good": project(good, address, jobs=["well", "failed", "late"])},
        limits={"jobs": 1},
        total_shards=3,
        shard=Shard(0, 3).owner(address, good.id),
    )
