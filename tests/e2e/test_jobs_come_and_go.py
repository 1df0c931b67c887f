"""Hundreds of jobs come and go under a quota: each end is seen and counted once, none stays."""

import time
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from random import Random
from typing import Any, Final

from exporter.simulator import (
    Endpoint,
    Fault,
    Particulars,
    Simulator,
    Throttle,
    demo_project,
    serve,
)

from .conftest import Program
from .exporters import (
    asked,
    exporter,
    lasting,
    project,
    quiet,
    scraping,
    timeline,
    write,
)
from .processes import eventually
from .prometheus import Prometheus, prometheus

JOBS: Final = 500
LOST: Final = 25
"""Jobs that vanish for ever; as many do that come back."""
SPAN: Final = 15.0
"""Seconds within which they all start."""
QUEUES: Final = (("etl", "INSERT"), ("etl", "QUERY"), ("bi", "QUERY"))
TOGETHER: Final = 'sum by (queue_name, job_type, status) ({name}{{project="default"}})'
Group = tuple[str, str, str]


@dataclass
class Life:
    """What happens to the jobs: some end by themselves, the others whenever a list is read.

    So pages shift between two calls, and whoever reads them meets jobs that are not there any
    more, or again.
    """

    dli: Simulator
    random: Random
    begun: float
    ends: dict[str, str] = field(default_factory=dict)
    queues: dict[str, tuple[str, str]] = field(default_factory=dict)
    doomed: dict[str, float] = field(default_factory=dict)
    vanishing: dict[str, float] = field(default_factory=dict)
    gone: list[str] = field(default_factory=list)
    returning: int = JOBS // 10 - LOST

    def populate(self) -> None:
        """Add the jobs, of every kind by turns; most of them start in a while only."""
        for number in range(JOBS):
            job = f"job-{number:04}"
            self.queues[job] = self.random.choice(QUEUES)
            match number % 10:
                case 0 | 1 | 2:  # between two looks
                    self.add(job, self.random.uniform(0.05, 0.6), "FINISHED")
                case 3 | 4 | 5 | 6:
                    status = self.random.choice(("FINISHED", "FINISHED", "FAILED"))
                    self.add(job, self.random.uniform(2, 12), status)
                case 7 | 8:
                    self.add(job)
                    self.doomed[job] = self.begun
                case _:
                    self.add(job)
                    self.vanishing[job] = self.begun

    def add(self, job: str, seconds: float = 0.0, status: str = "") -> None:
        queue, job_type = self.queues[job]
        launch = min(0.5, seconds / 4)
        made = timeline((0, "LAUNCHING"), (launch, "RUNNING"), (seconds, status))
        start = self.begun + self.random.uniform(0, SPAN)
        about = Particulars(statement="select 1", queue_name=queue, job_type=job_type)
        self.dli.add(made if status else lasting(), job_id=job, start=start, particulars=about)
        if status:
            self.ends[job] = status

    def while_read(self, body: dict[str, Any]) -> object:
        """Change something after each page has been made, and lie about how many there are."""
        for job in self.known(self.doomed, 2):
            del self.doomed[job]
            self.ends[job] = self.random.choice(("FAILED", "CANCELLED", "FINISHED"))
            self.dli.end(job, self.ends[job])
        for job in self.known(self.vanishing, 1):
            del self.vanishing[job]
            self.dli.forget(job)
            self.gone.append(job)
        if self.returning and len(self.gone) > LOST:
            self.returning -= 1
            self.come_back(self.gone.pop(0))
        # Not of an empty list: that is how the end of a job is confirmed that vanished.
        return {**body, "job_count": self.random.randrange(1000)} if body["jobs"] else body

    def come_back(self, job: str) -> None:
        """List a vanished job again; its end has to wait until it was asked for again."""
        self.add(job)
        self.doomed[job] = self.dli.now()

    def known(self, jobs: Mapping[str, float], count: int) -> list[str]:
        """Choose running jobs that the exporter knows, the oldest ones: their pages come first."""
        last = {
            each.job_id: each.at
            for each in self.dli.requests
            if each.endpoint is Endpoint.PROGRESS and each.status == 200
        }
        return [job for job, since in jobs.items() if last.get(job, 0.0) > since][:count]

    @property
    def over(self) -> bool:
        """Whether all has happened that will."""
        return not (self.doomed or self.vanishing or self.returning)

    def ended(self) -> Mapping[Group, int]:
        """Count the ends by queue, type and status."""
        return Counter((*self.queues[job], status) for job, status in self.ends.items())


async def test_five_hundred_jobs_come_and_go(program: Program, tmp_path: Path) -> None:
    """The gateway lets fewer calls through than the settings claim, so that some are refused."""
    server_program = program("prometheus")
    dli = quiet(throttle=Throttle(90))
    life = Life(dli, Random(7), time.time() + 4)  # noqa: S311 - a walk that can be repeated
    async with serve(dli) as address:
        found = {"enabled": True, "interval": "500ms"}
        (only,) = dli.projects
        settings = write(
            tmp_path / "dli.yaml",
            {"default": project(only, address, discovery=found, requests_per_second=120)},
            poll={"interval": "1s"},
            retention={"finished": "2s"},
        )
        async with (
            exporter(settings) as watching,
            prometheus(server_program, tmp_path, [scraping(watching, "1s")]) as server,
        ):
            await asked(dli, lambda dli: dli.requested(Endpoint.LIST) >= 4)
            life.populate()
            dli.faults.add(Fault(endpoint=Endpoint.LIST, rewrite=life.while_read))
            await asked(dli, lambda _: life.over, within=60)
            dli.faults.clear()

            async def left() -> bool:
                return await server.value("sum(dli_exporter_jobs)") == 0

            await eventually(left, "every job has left", 60)
            await all_was_seen(server, life)
            assert dli.requested(status=429) > 0


async def all_was_seen(server: Prometheus, life: Life) -> None:
    expected = life.ended()
    assert sum(expected.values()) + len(life.gone) == JOBS
    assert len(life.gone) == LOST
    for name in ("dli_jobs_ended_total", "dli_job_duration_seconds_count"):
        assert {
            group: value
            for group, value in groups(await server.query(TOGETHER.format(name=name)))
            if value
        } == expected, name
    last = await server.query("last_over_time(dli_job_status[10m]) == 1")
    assert {
        each.labels["job_id"]: each.labels["status"]
        for each in last
        if each.labels["job_id"] not in life.gone
    } == life.ends
    assert await server.query('{job_id!=""}') == []
    assert await server.value("sum(dli_exporter_jobs_retired_unscraped_total)") == 0
    assert await server.value("sum(dli_exporter_jobs_retired_total)") == len(life.ends)
    dropped = await server.value('sum(dli_exporter_jobs_dropped_total{reason="not_found"})')
    # More, if a row that was read before is handed over after: the job is dropped once more.
    assert dropped is not None
    assert LOST <= dropped < 4 * LOST


def groups(found: Any) -> Iterator[tuple[Group, float]]:
    for each in found:
        labels = each.labels
        yield (labels["queue_name"], labels["job_type"], labels["status"]), each.value


async def test_a_broken_project_does_not_disturb_another(tmp_path: Path) -> None:
    """More than five bad signatures in a row would lock the key for everybody who uses it."""
    good, bad = demo_project(1, "good"), demo_project(2, "bad")
    dli = quiet(good, bad)
    jobs = {"good": ["one", "two", "three"], "bad": ["four", "five", "six", "seven", "eight"]}
    made = timeline((0, "RUNNING"), (3, "FINISHED"))
    for of in (good, bad):
        for job in jobs[of.name]:
            dli.add(made, project=of.id, job_id=job)
    found = {"enabled": True, "interval": "200ms"}
    async with serve(dli) as address:
        projects = {
            of.name: project(of, address, jobs=jobs[of.name], discovery=found) for of in (good, bad)
        }
        projects["bad"]["credentials"]["sk"] = "wrong"
        async with exporter(write(tmp_path / "dli.yaml", projects)) as watching:
            ended = "dli_jobs_ended_total"
            await watching.statuses(dict.fromkeys(jobs["good"], "FINISHED"))
            metrics = await watching.shows(ended, 3, project="good", status="FINISHED")
            assert metrics.statuses().keys() == set(jobs["good"])
            assert (
                metrics.value("dli_up", project="good"),
                metrics.value("dli_up", project="bad"),
            ) == (1, 0)
            errors = "dli_exporter_api_request_errors_total"
            assert metrics.total(errors, project="good") == 0
            assert metrics.total(errors, project="bad", reason="signature") == 4
            assert metrics.total(ended, project="bad") == 0
    assert sum(each.project == bad.id for each in dli.requests) == 4
    (line,) = [each for each in watching.process.err.splitlines() if "calls fail" in each]
    assert "project=bad" in line
    assert "reason=signature" in line
    assert bad.sk not in watching.process.err


async def test_a_job_known_from_several_sources_is_one_job(tmp_path: Path) -> None:
    dli = quiet()
    job = dli.add(timeline((0, "RUNNING"), (2, "FAILED")))
    directory = tmp_path / "jobs"
    directory.mkdir()
    (directory / "job").write_text(f"{job}\n")
    async with serve(dli) as address:
        (only,) = dli.projects
        found = {"enabled": True, "interval": "1s"}
        projects = {"default": project(only, address, jobs=[job], discovery=found)}
        settings = write(tmp_path / "dli.yaml", projects, jobs_dir=str(directory))
        async with exporter(settings) as watching:
            await watching.statuses({job: "FAILED"})
            metrics = await watching.shows("dli_jobs_ended_total", 1, status="FAILED")
            assert metrics.total("dli_exporter_jobs") == 1
            assert metrics.total("dli_jobs_ended_total") == 1
