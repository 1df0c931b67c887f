"""Real Spark recordings: what the exporter shows at their decisive moments."""

import gzip
import json
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from functools import cache, cached_property
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
from prometheus_client.parser import text_string_to_metric_families

import exporter
from exporter.dli.schema import Answer, parse_progress
from exporter.jobs.model import Job, JobKey, SubJobStatus
from exporter.jobs.store import fold
from exporter.metrics.exposition import Exposition

SHIPPED = Path(exporter.__file__).parent / "simulator" / "recordings"
RUNS = Path(__file__).parent / "data" / "runs"
RECORDINGS = sorted([*SHIPPED.glob("*.jsonl.gz"), *RUNS.glob("*.jsonl.gz")])


Samples = dict[tuple[str, frozenset[tuple[str, str]]], float]


@dataclass(frozen=True)
class Moment:
    """An answer of a recording, and the job after it. Time is seconds since the launch."""

    time: float
    body: dict[str, Any]
    answer: Answer
    job: Job

    def text(self) -> str:
        """Return what is exposed at this moment."""
        exposition = Exposition()
        exposition.put(self.job)
        return b"".join(exposition.pieces()).decode()

    @cached_property
    def _samples(self) -> Samples:
        identity = {("project", self.job.key.project), ("job_id", self.job.key.job_id)}
        return {
            (sample.name, frozenset(sample.labels.items() - identity)): sample.value
            for family in text_string_to_metric_families(self.text())
            for sample in family.samples
        }

    def job_shows(self, name: str, **labels: str) -> float | None:
        """Return a sample about the job; None if it is absent."""
        return self._samples.get((f"dli_job_{name}", frozenset(labels.items())))

    def subjob_shows(self, id_: int, name: str, **labels: str) -> float | None:
        """Return a sample about a sub-job; None if it is absent."""
        wanted = frozenset({"subjob_id": str(id_), **labels}.items())
        return self._samples.get((f"dli_subjob_{name}", wanted))


def moments(path: Path) -> Iterator[Moment]:
    with gzip.open(path, "rt", encoding="utf-8") as lines:
        records = [json.loads(line) for line in lines]
    job = Job(key=JobKey("prod", records[0]["response"]["job_id"]))
    for record in records:
        answer = parse_progress(json.dumps(record["response"]).encode(), job_id=job.key.job_id)
        job = fold(job, answer.observation, now=record["t"])
        yield Moment(record["t"], record["response"], answer, job)


@cache
def replay(name: str) -> tuple[Moment, ...]:
    (path,) = (path for path in RECORDINGS if path.name == f"{name}.jsonl.gz")
    return tuple(moments(path))


def running(name: str) -> list[Moment]:
    return [moment for moment in replay(name) if moment.body["status"] == "RUNNING"]


def falls(values: Iterable[float | None]) -> int:
    """Count how often a value is less than the one before it."""
    given = [value for value in values if value is not None]
    return sum(after < before for before, after in pairwise(given))


NAMES = [path.name.removesuffix(".jsonl.gz") for path in RECORDINGS]


def test_all_recordings_are_here() -> None:
    assert len(NAMES) == 16


@pytest.mark.parametrize("name", NAMES)
def test_every_answer_is_read_whole(name: str) -> None:
    for moment in replay(name):
        assert moment.answer.unreadable == ()
        assert len(moment.job.listed) == len(moment.body.get("sub_jobs", []))


@pytest.mark.parametrize("name", NAMES)
def test_honest_ratio_stays_between_0_and_1_and_is_1_only_for_success(name: str) -> None:
    ratios = [moment.job.ratio for moment in replay(name)]
    assert ratios[0] == 0.0
    assert all(ratio is not None and 0 <= ratio <= 1 for ratio in ratios)
    assert (ratios[-1] == 1.0) is (replay(name)[-1].body["status"] == "FINISHED")


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("figure", ["tasks", "tasks_failed", "tasks_killed", "indices_completed"])
def test_totals_never_fall_when_subjobs_leave_the_list(name: str, figure: str) -> None:
    assert falls(getattr(moment.job.counts, figure) for moment in replay(name)) == 0


@pytest.mark.parametrize("name", NAMES)
def test_end_shows_totals_but_no_subjob_and_nothing_active(name: str) -> None:
    end = replay(name)[-1]
    assert end.job_shows("status", status=end.body["status"]) == 1
    assert end.job_shows("tasks_active") == end.job_shows("stages_active") == 0
    assert end.job_shows("subjobs", status="RUNNING") == 0
    assert "\ndli_subjob_" not in end.text()


@pytest.mark.parametrize("name", NAMES)
def test_movement_is_dated_by_the_last_change(name: str) -> None:
    """Every recorded answer differs from the last, but some only in what is active."""
    dates = [moment.job.last_progress for moment in replay(name)]
    assert dates == sorted(date for date in dates if date is not None)
    assert dates[-1] == replay(name)[-1].time


def test_sql_shows_nowhere() -> None:
    for moment in replay("thrift_2"):
        text = moment.text()
        for subjob in moment.body.get("sub_jobs", []):
            assert subjob["description"] not in text


def test_single_is_complete_only_when_it_has_finished() -> None:
    launch, last, end = replay("single")[0], running("single")[-1], replay("single")[-1]
    assert (launch.job_shows("status", status="LAUNCHING"), launch.job_shows("tasks")) == (1, None)
    assert last.subjob_shows(0, "progress_ratio") == last.job_shows("progress_ratio") == 239 / 240
    assert last.job_shows("reported_progress_ratio") is None
    assert last.subjob_shows(0, "reported_progress_ratio") == 239 / 240
    assert (end.job_shows("progress_ratio"), end.job_shows("indices_completed")) == (1, 239)
    assert end.job_shows("subjobs", status="UNKNOWN") == 1


def test_sql_aqe_counts_skipped_work_as_none() -> None:
    last, end = running("sql_aqe")[-1], replay("sql_aqe")[-1]
    assert max(moment.body.get("progress", 0) for moment in running("sql_aqe")) <= 0.75
    assert max(m.job_shows("subjobs", status="RUNNING") or 0 for m in running("sql_aqe")) == 5
    assert (last.subjob_shows(20, "indices_completed"), last.subjob_shows(20, "tasks")) == (1, 9)
    assert last.subjob_shows(20, "progress_ratio") == 1
    assert last.job_shows("subjobs", status="SUCCEEDED") == 15
    assert (end.job_shows("indices"), end.job_shows("tasks")) == (50, 171)


def test_concurrent_reports_a_sawtooth_and_shows_the_whole() -> None:
    reported = [moment.body.get("progress") for moment in running("concurrent")]
    named = [moment.job.subjob_id for moment in running("concurrent")]
    assert (falls(reported), falls(named)) == (12, 6)
    end = replay("concurrent")[-1]
    assert (end.job_shows("tasks"), end.job_shows("indices_completed")) == (439, 436)


def test_retry_counts_failed_tasks_of_a_job_that_succeeds() -> None:
    failed = [moment.job_shows("tasks_failed") for moment in running("retry")]
    assert 19 in failed
    end = replay("retry")[-1]
    assert (end.job_shows("tasks_failed"), end.job_shows("progress_ratio")) == (49, 1)
    assert end.job_shows("status", status="FINISHED") == 1


def test_fail_never_reads_as_complete() -> None:
    last, end = running("fail")[-1], replay("fail")[-1]
    assert last.subjob_shows(1, "status", status="FAILED") == 1
    assert (last.subjob_shows(1, "tasks"), last.subjob_shows(1, "tasks_skipped")) == (96, 6)
    assert last.subjob_shows(1, "progress_ratio") == 89 / 90
    assert end.job_shows("reported_progress_ratio") == 1
    assert end.job_shows("progress_ratio") == 129 / (40 + 90 + 40)
    assert end.job_shows("subjobs", status="FAILED") == 1


def test_cancel_keeps_what_was_reached() -> None:
    end = replay("cancel")[-1]
    assert end.job_shows("status", status="CANCELLED") == 1
    assert end.job_shows("reported_progress_ratio") == 1
    assert end.job_shows("progress_ratio") == 36 / (20 + 120 + 50 + 50)


def test_speculation_is_told_and_its_late_kill_taken_up() -> None:
    ended = [m for m in running("speculation") if m.subjob_shows(0, "status", status="SUCCEEDED")]
    killed = [m.subjob_shows(0, "tasks_killed_by_reason", reason="speculation") for m in ended]
    assert (killed[0], killed[-1]) == (2, 3)
    assert replay("speculation")[-1].job_shows("tasks_killed") == 3


def test_fetch_failure_is_reported_above_1_and_shown_below() -> None:
    over = [moment for moment in running("fetch_failure") if moment.body["progress"] > 1]
    assert len(over) == 28
    assert all(moment.answer.out_of_range == ("progress",) for moment in over)
    assert max(moment.subjob_shows(0, "reported_progress_ratio") or 0 for moment in over) > 1.3
    last = running("fetch_failure")[-1]
    assert (last.subjob_shows(0, "tasks_completed"), last.subjob_shows(0, "tasks")) == (140, 104)
    assert last.subjob_shows(0, "indices_completed") == 94
    assert falls(m.job_shows("stages_completed") for m in running("fetch_failure")) == 1


def test_huge_is_20000_tasks_in_one_subjob() -> None:
    end = replay("huge")[-1]
    assert (end.job_shows("tasks"), end.job_shows("indices_completed")) == (20000, 20000)


def test_retention_sums_over_subjobs_that_the_engine_forgot() -> None:
    last, end = running("retention")[-1], replay("retention")[-1]
    assert (len(last.job.listed), len(last.job.gone.subjobs)) == (8, 53)
    assert sum(end.job_shows("subjobs", status=status) or 0 for status in SubJobStatus) == 61
    assert (end.job_shows("tasks"), end.job_shows("indices_completed")) == (304, 301)


def test_cache_learns_of_skipped_tasks_when_a_subjob_ends() -> None:
    skipped = {
        (subjob.counts.tasks_skipped, subjob.counts.tasks)
        for sighting in running("cache")[-1].job.listed
        if (subjob := sighting.subjob).counts.tasks_skipped
    }
    assert {(40, 50), (44, 84)} <= skipped
    for moment in running("cache"):
        for sighting in moment.job.listed:
            if sighting.subjob.status is SubJobStatus.RUNNING:
                assert not sighting.subjob.counts.tasks_skipped


def test_thrift_2_is_a_job_like_any_other() -> None:
    end = replay("thrift_2")[-1]
    assert (end.job_shows("tasks"), end.job_shows("tasks_skipped")) == (20, 9)
    assert end.job_shows("subjobs", status="SUCCEEDED") == 6


def test_repeated_runs_do_the_same_work() -> None:
    for first, second in (("cache_r1", "cache_r2"), ("sql_aqe_r1", "sql_aqe_r2")):
        tasks = [replay(name)[-1].job_shows("tasks") for name in (first, second)]
        assert tasks[0] == tasks[1]
