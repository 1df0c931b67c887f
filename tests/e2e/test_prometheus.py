"""A real Prometheus scrapes the exporter, which polls a simulator that replays recordings."""

import asyncio
import gzip
import json
import time
from bisect import bisect_right
from collections.abc import AsyncIterator, Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import takewhile
from operator import itemgetter
from pathlib import Path
from typing import Any, Final

import aiohttp
import pytest
import pytest_asyncio
from prometheus_client.openmetrics.parser import (
    text_string_to_metric_families as parse_openmetrics,
)
from prometheus_client.parser import text_string_to_metric_families as parse_text

import exporter
from exporter.simulator import Endpoint, Scene, Simulator, serve

from .conftest import Program
from .processes import PATIENCE, dli_exporter, eventually, listening
from .prometheus import Prometheus, prometheus
from .promtool import lint

RECORDINGS: Final = Path(exporter.__file__).parent / "simulator" / "recordings"
LENGTH: Final = 60.0
"""Simulated seconds that every job takes: each recording gets the speed that this needs."""
STEPS: Final = 30
TERMINAL: Final = {"FINISHED", "FAILED", "CANCELLED"}
TOTALS: Final = {
    "dli_job_tasks": "num_tasks",
    "dli_job_tasks_completed": "num_completed_tasks",
    "dli_job_tasks_skipped": "num_skipped_tasks",
    "dli_job_tasks_failed": "num_failed_tasks",
    "dli_job_tasks_killed": "num_killed_tasks",
    "dli_job_indices_completed": "num_completed_indices",
}
TEXT: Final = "text/plain; version=0.0.4; charset=utf-8"
OPENMETRICS: Final = "application/openmetrics-text; version=1.0.0; charset=utf-8"

# One Prometheus has seen everything when the tests begin: they only ask.
pytestmark = pytest.mark.asyncio(loop_scope="module")


@dataclass(frozen=True)
class Recording:
    """A recording as the file has it: seconds since the launch, and the answers."""

    name: str
    times: Sequence[float]
    answers: Sequence[Mapping[str, Any]]

    @property
    def speed(self) -> float:
        """How fast it is replayed."""
        return self.times[-1] / LENGTH

    @property
    def last_running(self) -> float:
        """When the last answer before the end begins to hold, in simulated seconds."""
        return self.times[-2] / self.speed

    @property
    def peak(self) -> tuple[float, float]:
        """When, in simulated seconds, a sub-job's reported progress is highest, and how high."""
        named = (
            (time / self.speed, float(answer["progress"]))
            for time, answer in zip(self.times, self.answers, strict=True)
            if "sub_job_id" in answer
        )
        return max(named, key=itemgetter(1))

    def at(self, moment: float) -> Mapping[str, Any]:
        """Give the answer that holds at a simulated moment; files have milliseconds."""
        return self.answers[max(0, bisect_right(self.times, round(moment * self.speed, 3)) - 1)]

    def last_sights(self, moments: Iterable[float]) -> Mapping[int, Mapping[str, Any]]:
        """Give every sub-job at its last sight, for somebody who looks at these moments."""
        seen: dict[int, Mapping[str, Any]] = {}
        for moment in moments:
            seen |= {row["id"]: row for row in self.at(moment).get("sub_jobs", [])}
        return seen


def read(path: Path) -> Recording:
    with gzip.open(path, "rt", encoding="utf-8") as file:
        lines = [json.loads(line) for line in file]
    times = [line["t"] for line in lines]
    return Recording(path.name.partition(".")[0], times, [line["response"] for line in lines])


@dataclass
class Replay:
    """What was replayed, when it was looked at, and who has seen it."""

    recordings: Mapping[str, Recording]
    moments: Sequence[float]
    prometheus: Prometheus
    exporter: str
    promtool: str
    midway: bytes = b""

    def final(self, job_id: str) -> Mapping[str, Any]:
        """Give a job's last answer."""
        return self.recordings[job_id].answers[-1]

    def sights(self, job_id: str) -> Mapping[int, Mapping[str, Any]]:
        """Give a job's sub-jobs at their last sight."""
        return self.recordings[job_id].last_sights(self.moments)


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def replay(
    program: Program, tmp_path_factory: pytest.TempPathFactory
) -> AsyncIterator[Replay]:
    """Replay every recording once, at a speed that lets nobody miss a moment.

    The simulated clock goes on when the exporter has asked for every job that runs, and where
    a job's progress is highest it waits for Prometheus.
    """
    server_program, promtool = program("prometheus"), program("promtool")
    directory = tmp_path_factory.mktemp("prometheus")
    start = time.time()
    clock = [start]
    simulator = Simulator(scene=Scene(jobs=0), now=lambda: clock[0])
    recordings = {
        simulator.add(each.name, speed=each.speed): each
        for each in map(read, sorted(RECORDINGS.glob("*.jsonl.gz")))
    }
    moments = sorted(
        {LENGTH * step / STEPS for step in range(STEPS + 1)}
        | {each.last_running for each in recordings.values()}
        | {each.peak[0] for each in recordings.values()}
    )
    async with (
        serve(simulator) as address,
        dli_exporter(
            "--poll.interval=200ms",
            "--web.listen-address=127.0.0.1:0",
            cwd=directory,
            env=settings(simulator, address, recordings),
        ) as process,
    ):
        url = await listening(process)
        scraped = {
            "job_name": "dli",
            "scrape_interval": "1s",
            "scrape_timeout": "1s",
            "static_configs": [{"targets": [url.removeprefix("http://")]}],
        }
        async with prometheus(server_program, directory, [scraped]) as server:
            seen = Replay(recordings, moments, server, url, promtool)
            await play(seen, simulator, clock)
            yield seen


async def play(replay: Replay, simulator: Simulator, clock: list[float]) -> None:
    start, running = clock[0], set(replay.recordings)
    for moment in replay.moments:
        clock[0] = start + moment
        await until_asked(simulator, running)
        for job_id in running:
            when, height = replay.recordings[job_id].peak
            if moment == when:
                await scraped(replay.prometheus, job_id, height)
                replay.midway = await scrape(replay.exporter, TEXT, "identity")
        running = {
            job_id
            for job_id in running
            if replay.recordings[job_id].at(moment)["status"] not in TERMINAL
        }
    assert not running

    async def ended() -> bool:
        found = await replay.prometheus.query('dli_exporter_jobs{state="running"} == 0')
        return bool(found)

    await eventually(ended, "Prometheus has seen every job's end")


async def until_asked(simulator: Simulator, jobs: Iterable[str]) -> None:
    """Wait until each of these jobs was asked for at the simulated moment that it is."""
    wanted = frozenset(jobs)
    async with asyncio.timeout(PATIENCE):
        await simulator.until(lambda simulator: wanted <= asked(simulator))


def asked(simulator: Simulator) -> set[str]:
    """Tell which jobs were asked for at the present moment of the simulated clock."""
    now = simulator.now()
    latest = takewhile(lambda request: request.at == now, reversed(simulator.requests))
    return {each.job_id for each in latest if each.endpoint is Endpoint.PROGRESS}


async def scraped(server: Prometheus, job_id: str, progress: float) -> None:
    """Wait until Prometheus has the progress that the API reports for a sub-job now."""
    series = f'dli_subjob_reported_progress_ratio{{job_id="{job_id}"}}'

    async def shown() -> bool:
        return await server.value(series) == progress

    await eventually(shown, f"{series} is {progress}")


def settings(simulator: Simulator, address: str, jobs: Iterable[str]) -> dict[str, str]:
    (project,) = simulator.projects
    return {
        "HUAWEICLOUD_SDK_AK": project.ak,
        "HUAWEICLOUD_SDK_SK": project.sk,
        "HUAWEICLOUD_SDK_PROJECT_ID": project.id,
        "DLI_EXPORTER_PROJECTS__DEFAULT__ENDPOINT": address,
        "DLI_EXPORTER_PROJECTS__DEFAULT__REQUESTS_PER_SECOND": "500",
        "DLI_EXPORTER_JOBS": ",".join(jobs),
    }


async def test_every_job_has_the_status_it_ended_with(replay: Replay) -> None:
    found = await replay.prometheus.query("dli_job_status == 1")
    assert {each.labels["job_id"]: each.labels["status"] for each in found} == {
        job_id: replay.final(job_id)["status"] for job_id in replay.recordings
    }
    assert {each.labels["status"] for each in found} == TERMINAL


async def test_a_ratio_is_1_for_success_alone(replay: Replay) -> None:
    ratios = await replay.prometheus.by_job("dli_job_progress_ratio")
    assert ratios.keys() == replay.recordings.keys()
    for job_id, ratio in ratios.items():
        if replay.final(job_id)["status"] == "FINISHED":
            assert ratio == 1
        else:
            assert 0 < ratio < 1


async def test_the_work_is_what_was_done_and_what_failed_to_be(replay: Replay) -> None:
    """A sub-job that failed had to do all but what it skipped; the others did what they had to."""

    def work(row: Mapping[str, Any]) -> int:
        done: int = row["num_completed_indices"]
        left: int = row["num_tasks"] - row["num_skipped_tasks"] - done
        return done + left if row["status"] == "FAILED" else done

    assert await replay.prometheus.by_job("dli_job_indices") == {
        job_id: sum(map(work, replay.sights(job_id).values())) for job_id in replay.recordings
    }


@pytest.mark.parametrize("name", TOTALS)
async def test_totals_add_up_every_subjob_ever_seen(replay: Replay, name: str) -> None:
    assert await replay.prometheus.by_job(name) == {
        job_id: sum(row[TOTALS[name]] for row in replay.sights(job_id).values())
        for job_id in replay.recordings
    }


async def test_subjobs_are_counted_after_they_have_left_the_list(replay: Replay) -> None:
    assert await replay.prometheus.by_job("sum by (job_id) (dli_job_subjobs)") == {
        job_id: len(replay.sights(job_id)) for job_id in replay.recordings
    }
    assert max(len(replay.sights(job_id)) for job_id in replay.recordings) > 20
    assert await replay.prometheus.query("dli_subjob_info") == []


async def test_reported_progress_was_kept_as_the_api_gave_it(replay: Replay) -> None:
    window = f"[{int(LENGTH) * 10}s]"
    most = await replay.prometheus.by_job(
        f"max by (job_id) (max_over_time(dli_subjob_reported_progress_ratio{window}))"
    )
    assert most == {job_id: each.peak[1] for job_id, each in replay.recordings.items()}
    (over,) = (job for job, each in replay.recordings.items() if each.name == "fetch_failure")
    assert most[over] > 1.3
    honest = await replay.prometheus.by_job(f"max_over_time(dli_job_progress_ratio{window})")
    assert all(0 < value <= 1 for value in honest.values())
    assert await replay.prometheus.value(
        'dli_exporter_out_of_range_values_total{field="progress"} > 0'
    )


async def test_the_project_is_up_and_no_call_failed(replay: Replay) -> None:
    assert await replay.prometheus.value("dli_up") == 1
    assert await replay.prometheus.value("sum(dli_exporter_api_request_errors_total)") == 0
    asked = await replay.prometheus.value("sum(dli_exporter_api_requests_total)")
    assert asked is not None
    assert asked >= len(replay.recordings) * STEPS


async def test_prometheus_finds_nothing_wrong_with_its_target(replay: Replay) -> None:
    (target,) = (await replay.prometheus.get("targets"))["activeTargets"]
    assert (target["health"], target["lastError"]) == ("up", "")
    labels = await replay.prometheus.get("labels")
    assert {"project", "job_id"} <= set(labels)
    assert [label for label in labels if label.startswith("exported_")] == []


async def test_the_series_of_jobs_are_counted(replay: Replay) -> None:
    counted = await replay.prometheus.value(
        "dli_exporter_series"
        ' + scalar(count({job="dli", job_id="", __name__!~"up|scrape_.+"}))'
        " == scrape_samples_scraped"
    )
    assert counted is not None


async def test_promtool_is_silent_while_jobs_run(replay: Replay) -> None:
    assert b"\ndli_subjob_progress_ratio{" in replay.midway
    assert await lint(replay.promtool, replay.midway) == (0, "")


@pytest.mark.parametrize("encoding", ["identity", "gzip"])
@pytest.mark.parametrize("accept", [TEXT, OPENMETRICS], ids=["text", "openmetrics"])
async def test_promtool_is_silent(replay: Replay, accept: str, encoding: str) -> None:
    """`promtool` reads the text format alone; OpenMetrics has a parser that is as strict."""
    body = await scrape(replay.exporter, accept, encoding)
    if accept == OPENMETRICS:
        assert body.endswith(b"\n# EOF\n")
        families = parse_openmetrics(body.decode())  # type: ignore[no-untyped-call] # it has no types
        text = (await scrape(replay.exporter, TEXT, "identity")).decode()
        assert {each.name for each in families} == {each.name for each in parse_text(text)}
    else:
        assert await lint(replay.promtool, body) == (0, "")


async def scrape(url: str, accept: str, encoding: str) -> bytes:
    """Get an exposition, and take its encoding off by hand."""
    async with (
        aiohttp.ClientSession(auto_decompress=False) as session,
        session.get(
            f"{url}/metrics", headers={"Accept": accept, "Accept-Encoding": encoding}
        ) as response,
    ):
        assert response.status == 200
        assert response.headers["Content-Type"] == accept
        assert response.headers.get("Content-Encoding", "identity") == encoding
        body = await response.read()
    return gzip.decompress(body) if encoding == "gzip" else body
