"""The cached text of jobs, judged by prometheus_client."""

import gzip
import zlib
from collections.abc import Generator, Iterator
from dataclasses import replace
from pathlib import Path
from random import Random

import pytest
from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.core import GaugeMetricFamily
from prometheus_client.openmetrics.exposition import generate_latest as generate_openmetrics
from prometheus_client.parser import text_string_to_metric_families
from prometheus_client.registry import Collector

from exporter.jobs.model import (
    Counts,
    Details,
    Job,
    JobKey,
    JobStatus,
    KillReason,
    Observation,
    SubJob,
    SubJobStatus,
)
from exporter.jobs.store import fold
from exporter.metrics.catalogue import JOBS, Row, job_families
from exporter.metrics.compression import STEP, ZLIB, Compressor, Library, finished, isal
from exporter.metrics.exposition import Exposition, Snapshot
from exporter.metrics.rendering import SubJobs

GOLDEN = Path(__file__).parent / "golden"

COUNTS = Counts(
    tasks=200,
    tasks_active=5,
    tasks_completed=120,
    tasks_skipped=0,
    tasks_failed=2,
    tasks_killed=3,
    indices_completed=118,
    stages=3,
    stages_active=1,
    stages_completed=1,
    stages_skipped=0,
    stages_failed=1,
)
RUNNING = SubJob(
    id=0,
    status=SubJobStatus.RUNNING,
    name='runJob at "FileFormat\\Writer".scala:266\nin two lines',
    counts=COUNTS,
    killed={KillReason.SPECULATION: 2, KillReason.OTHER: 1},
    submitted=1595841843.0,
)
ENDED = SubJob(
    id=1,
    status=SubJobStatus.SUCCEEDED,
    name="save at Übersicht.scala:7 数据",
    counts=COUNTS._replace(tasks_active=0),
    submitted=1595841840.0,
    completed=1595841842.758,
)
DETAILS = Details(
    queue_name="etl",
    job_type="INSERT",
    engine_type="spark",
    owner="tenant1",
    database_name="sales",
    start=1595841800.25,
    end=1595842000.5,
    input_bytes=734003200,
    input_rows=1200000,
    bad_rows=0,
    result_rows=12,
    output_bytes=35,
    cpu_core_seconds=15.376,
)


def running() -> Job:
    """Return a job with two sub-jobs of which nothing is unknown."""
    job = Job(
        key=JobKey("prod", "85798b38-ae44-48eb-bb90-7cf0dcdafe7b"),
        name="nightly",
        deadline=1595850000.0,
        expected_duration=3600.0,
        expected_end=1595845400.0,
        expected_ratio=0.0125,
        details=DETAILS,
    )
    before = RUNNING._replace(counts=COUNTS._replace(indices_completed=18))
    for now, subjob, progress in ((1595841850.0, before, 0.1), (1595841860.0, RUNNING, 0.6)):
        observation = Observation(
            status=JobStatus.RUNNING, progress=progress, subjob_id=0, subjobs=(subjob, ENDED)
        )
        job = fold(job, observation, now=now)
    return job


def ended() -> Job:
    """Return the same job after its end."""
    finished = Observation(status=JobStatus.FINISHED, progress=1.0)
    return fold(running(), finished, now=1595842001.0)


def unasked() -> Job:
    """Return a job of which nothing is known but its id."""
    return Job(key=JobKey('quo"ted\\project', "00000000-0000-4000-8000-000000000011"))


class Judge(Collector):
    """The same jobs as prometheus_client's own families."""

    def __init__(self, *jobs: Job, families: tuple[Row, ...] = JOBS) -> None:
        self.jobs = jobs
        self.families = families

    def collect(self) -> Iterator[GaugeMetricFamily]:
        for row in self.families:
            family = GaugeMetricFamily(row.family.name, row.family.help, labels=row.family.labels)
            for job in self.jobs:
                for labels, value in row.samples(job):
                    family.add_metric([job.key.project, job.key.job_id, *labels], value)
            yield family


def exposition(*jobs: Job) -> Exposition:
    text = Exposition()
    for job in jobs:
        text.put(job)
    return text


def printed(text: Exposition) -> str:
    return b"".join(text.pieces()).decode()


def judged(*jobs: Job, families: tuple[Row, ...] = JOBS) -> str:
    """Return what prometheus_client prints, which is the same in both formats."""
    registry = CollectorRegistry()
    registry.register(Judge(*jobs, families=families))
    text = generate_latest(registry).decode()
    openmetrics: bytes = generate_openmetrics(registry)  # type: ignore[no-untyped-call]  # not annotated there
    assert openmetrics.decode() == f"{text}# EOF\n"
    return text


@pytest.mark.parametrize(
    "jobs",
    [(), (unasked(),), (running(),), (ended(), unasked())],
    ids=["none", "unasked", "running", "two"],
)
def test_text_is_byte_for_byte_that_of_prometheus_client(jobs: tuple[Job, ...]) -> None:
    assert printed(exposition(*jobs)) == judged(*jobs)


def test_rendering_again_gives_what_rendering_afresh_gives() -> None:
    text = exposition(running())
    text.put(ended())
    assert printed(text) == printed(exposition(ended()))


def test_putting_tells_whether_the_text_is_another() -> None:
    text, job = Exposition(), running()
    assert text.put(job)
    assert not text.put(job)
    assert not text.put(job._replace())
    assert text.put(job._replace(ratio=0.9))


def test_a_snapshot_is_as_of_one_moment() -> None:
    text = exposition(running())
    before = text.snapshot()
    text.put(ended())
    text.put(unasked())
    assert b"".join(before.plain()).decode() == printed(exposition(running()))
    assert unzipped(before) == b"".join(before.plain())


def test_a_changed_job_keeps_its_place() -> None:
    text = exposition(running(), unasked())
    text.put(ended())
    assert printed(text) == printed(exposition(ended(), unasked()))


def test_a_dropped_job_leaves_nothing() -> None:
    text = exposition(running())
    text.drop(running().key)
    assert printed(text) == printed(exposition())
    assert text.series == 0


def test_series_are_counted_as_they_are_printed() -> None:
    text = exposition(running(), unasked())
    text.put(ended())
    samples = [line for line in printed(text).splitlines() if not line.startswith("#")]
    assert text.series == len(samples)


def test_lone_surrogate_does_not_cost_the_scrape() -> None:
    odd = unasked()._replace(name="a\ud800b")
    assert 'name="a?b"' in printed(exposition(odd))


def test_the_text_reads_back() -> None:
    families = {f.name: f for f in text_string_to_metric_families(printed(exposition(running())))}
    assert len(families) == len(JOBS)
    info = families["dli_subjob_info"].samples[0]
    assert info.labels["name"] == RUNNING.name


def crowd() -> Job:
    """Return a job with the sub-jobs 0 to 5, of which 1 and 4 run; the API speaks of 4."""
    job = Job(key=JobKey("prod", "a"))
    subjobs = tuple((RUNNING if i in (1, 4) else ENDED)._replace(id=i) for i in range(6))
    observation = Observation(status=JobStatus.RUNNING, progress=0.5, subjob_id=4, subjobs=subjobs)
    return fold(job, observation, now=1595841850.0)


def shown(subjobs: SubJobs, most: int) -> str:
    text = Exposition(subjobs=subjobs, subjobs_per_job=most)
    text.put(crowd())
    return printed(text)


@pytest.mark.parametrize(
    ("subjobs", "most", "ids"),
    [
        (SubJobs.ALL, 200, [0, 1, 2, 3, 4, 5]),
        (SubJobs.ALL, 6, [0, 1, 2, 3, 4, 5]),
        (SubJobs.ALL, 4, [1, 3, 4, 5]),
        (SubJobs.ALL, 1, [4]),
        (SubJobs.ALL, 0, []),
        (SubJobs.RUNNING, 200, [1, 4]),
        (SubJobs.RUNNING, 1, [4]),
        (SubJobs.NONE, 200, []),
    ],
)
def test_running_subjobs_are_shown_first_and_then_the_newest(
    subjobs: SubJobs, most: int, ids: list[int]
) -> None:
    kept = crowd()._replace(
        listed=tuple(sight for sight in crowd().listed if sight.subjob.id in ids),
        subjob_id=4 if 4 in ids else None,
    )
    rows = {row.family.name for row in JOBS if "subjob_id" in row.family.labels}
    of_subjobs = tuple(row for row in JOBS if row.family.name in rows)
    of_jobs = tuple(row for row in JOBS if row.family.name not in rows)
    assert (*of_jobs, *of_subjobs) == JOBS
    wanted = judged(crowd(), families=of_jobs) + judged(kept, families=of_subjobs)
    assert shown(subjobs, most) == wanted


def test_what_the_api_reports_of_a_subjob_it_does_not_list_is_shown_unless_none_are() -> None:
    odd = crowd()._replace(subjob_id=99)
    for subjobs in SubJobs:
        text = Exposition(subjobs=subjobs, subjobs_per_job=1)
        text.put(odd)
        sample = 'dli_subjob_reported_progress_ratio{job_id="a",project="prod",subjob_id="99"} 0.5'
        assert (sample in printed(text)) is (subjobs is not SubJobs.NONE)


def test_the_reported_progress_of_a_hidden_subjob_does_not_pass_for_the_jobs() -> None:
    assert "dli_job_reported_progress_ratio{" not in shown(SubJobs.NONE, 200)


TAGS = ("team", "cost-center", "cost_center", "部门", "team", "unknown")


def tagged() -> Job:
    tags = {"team": "bi", "cost-center": 'a"b', "cost_center": "c", "部门": "数据", "other": "x"}
    return running()._replace(labels={"team": "etl"}, details=replace(DETAILS, tags=tags))


def test_allow_listed_tags_are_labels_and_a_registration_wins() -> None:
    text = Exposition(job_families(TAGS))
    text.put(tagged())
    families = {f.name: f for f in text_string_to_metric_families(printed(text))}
    (sample,) = families["dli_job_info"].samples
    assert {name: value for name, value in sample.labels.items() if name.startswith("tag")} == {
        "tag_team": "etl",
        "tag_cost_center": 'a"b',
        "tag_cost_center_": "c",
        "tag___": "数据",
        "tag_unknown": "",
    }


def test_text_with_tags_is_that_of_prometheus_client_too() -> None:
    families = job_families(TAGS)
    text = Exposition(families)
    for job in (tagged(), unasked()):
        text.put(job)
    assert printed(text) == judged(tagged(), unasked(), families=families)


def many(count: int) -> Iterator[Job]:
    """Return as many jobs: more than a group, and larger than what is compressed at once."""
    for number in range(count):
        yield running()._replace(key=JobKey("prod", f"{number:05}"), ratio=number / count)


@pytest.fixture(params=[isal(), ZLIB], ids=["isal", "zlib"])
def library(request: pytest.FixtureRequest) -> Library:
    if request.param is None:
        pytest.skip("isal has no wheel for this machine")
    chosen: Library = request.param
    return chosen


def unzipped(shot: Snapshot) -> bytes:
    return gzip.decompress(b"".join(finished(shot.gzip())))


@pytest.mark.parametrize("count", [0, 1, 5, 40, 128, 129, 300])
def test_gzip_is_the_same_text_for_any_number_of_jobs(library: Library, count: int) -> None:
    text = Exposition(library=library)
    for job in many(count):
        text.put(job)
    shot = text.snapshot(b"the tail\n")
    assert unzipped(shot) == b"".join(shot.plain())
    assert b"".join(shot.plain()).decode() == f"{judged(*many(count))}the tail\n"
    assert shot.size == len(b"".join(shot.plain()))


def test_jobs_come_change_and_go_in_any_order(library: Library) -> None:
    """Whatever is kept is what would be made afresh."""
    chance = Random(7)  # noqa: S311  # chance in a test, not in cryptography
    text = Exposition(library=library)
    jobs: dict[JobKey, Job] = {}
    fresh = many(2_000)
    for step in range(2_000):
        # First more come than go, then more go.
        if chance.random() < (0.7 if step < 900 else 0.2) or not jobs:
            job = next(fresh)
        elif chance.random() < 0.5:
            job = chance.choice(list(jobs.values()))._replace(ratio=chance.random())
        else:
            key = chance.choice(list(jobs))
            del jobs[key]
            text.drop(key)
            continue
        jobs[job.key] = job
        text.put(job)
        if step % 97 == 0:
            for _ in text.compress():
                pass
        if step % 401 == 0:
            shot = text.snapshot()
            assert unzipped(shot).decode() == printed(exposition(*jobs.values()))
    shot = text.snapshot()
    assert unzipped(shot) == b"".join(shot.plain())
    assert b"".join(shot.plain()).decode() == judged(*jobs.values())
    for key in jobs:
        text.drop(key)
    assert printed(text) == printed(exposition())
    assert text.series == 0


def test_a_scrape_is_of_one_moment_even_if_it_takes_its_time(library: Library) -> None:
    """Others change the jobs and scrape in between its steps."""
    text = Exposition(library=library)
    jobs = list(many(150))
    for job in jobs:
        text.put(job)
    shots, texts = [], []
    steps: list[Generator[None, None, tuple[bytes, ...]]] = []
    for turn in range(3):
        shots.append(text.snapshot(b"%d\n" % turn))
        texts.append(b"".join(shots[-1].plain()))
        steps.append(shots[-1].gzip())
        next(steps[-1])
        for job in jobs[turn::40]:
            text.put(job._replace(ratio=turn + 1.0))
        text.drop(jobs[-1 - turn].key)
        for _ in text.compress():
            pass
    # The last one first, so that what is kept is newer than what the others need.
    for shot, whole, begun in reversed(list(zip(shots, texts, steps, strict=True))):
        assert gzip.decompress(b"".join(finished(begun))) == whole
        assert b"".join(shot.plain()) == whole
    assert len(set(texts)) == 3


class Counting:
    """zlib that counts what it compresses."""

    def __init__(self) -> None:
        self.texts = 0

    def compressor(self) -> Compressor:
        self.texts += 1
        return ZLIB.compressor()

    def count(self, steps: Generator[None, None, object] | Iterator[None]) -> int:
        """Tell how many texts are compressed in these steps."""
        before = self.texts
        for _ in steps:
            pass
        return self.texts - before


def test_only_what_has_changed_is_compressed_again() -> None:
    counting = Counting()
    text = Exposition(library=ZLIB._replace(compressor=counting.compressor))
    jobs = list(many(300))
    for job in jobs:
        text.put(job)
    # The headers, three groups, and the tail, which each scrape has for itself.
    assert counting.count(text.snapshot().gzip()) == (1 + 3) * len(JOBS) + 1
    assert counting.count(text.snapshot().gzip()) == 1
    text.put(jobs[200]._replace(ratio=0.99))
    assert counting.count(text.snapshot().gzip()) == 1 + 1
    text.put(jobs[0]._replace())
    assert counting.count(text.snapshot().gzip()) == 1
    text.drop(jobs[0].key)
    assert counting.count(text.snapshot().gzip()) == len(JOBS) + 1


def test_a_group_is_ripe_when_every_job_that_runs_has_had_its_turn() -> None:
    counting = Counting()
    told: list[None] = []
    text = Exposition(
        library=ZLIB._replace(compressor=counting.compressor), ripe=lambda: told.append(None)
    )
    jobs = list(many(100))
    for number, job in enumerate(jobs):
        text.put(job._replace(ended=1.0) if number >= 30 else job)
    for _ in text.snapshot().gzip():
        pass
    told.clear()
    for job in jobs[:29]:
        text.put(job._replace(ratio=0.5))
    assert not told
    assert counting.count(text.compress()) == 0
    text.put(jobs[29]._replace(ratio=0.5))
    assert told
    assert counting.count(text.compress()) == 1
    # The scrape finds it done.
    assert counting.count(text.snapshot().gzip()) == 1
    assert counting.count(text.compress()) == 0


def test_who_has_left_or_ended_is_not_waited_for() -> None:
    told: list[None] = []
    text = Exposition(ripe=lambda: told.append(None))
    jobs = list(many(100))
    for job in jobs:
        text.put(job)
    for job in jobs[10:60]:
        text.drop(job.key)
    for job in jobs[60:]:
        text.put(job._replace(ended=1.0))
    finished(text.snapshot().gzip())
    told.clear()
    for job in jobs[:9]:
        text.put(job._replace(ratio=0.5))
    assert not told
    text.put(jobs[9]._replace(ratio=0.5))
    assert told


def test_a_small_exposition_is_compressed_as_a_whole() -> None:
    """One job's lines apart from another's would take several times as many bytes."""
    counting, told = Counting(), list[None]()
    text = Exposition(
        library=ZLIB._replace(compressor=counting.compressor), ripe=lambda: told.append(None)
    )
    text.put(running())
    assert counting.count(text.snapshot().gzip()) == 1
    assert not told


def test_groups_that_shrink_are_united() -> None:
    """Or else a thousand jobs would in the end be a thousand groups of one."""
    counting = Counting()
    text = Exposition(library=ZLIB._replace(compressor=counting.compressor))
    jobs = list(many(1_280))
    for job in jobs:
        text.put(job)
    for number, job in enumerate(jobs):
        if number % 10:
            text.drop(job.key)
    assert counting.count(text.snapshot().gzip()) <= 2 * len(JOBS) + 1
    assert printed(text) == printed(exposition(*jobs[::10]))


def test_every_step_is_small(library: Library) -> None:
    """However many series one family has: a step is measured in bytes of text."""
    sizes: list[int] = []

    class Measured:
        def __init__(self) -> None:
            self._own = library.compressor()

        def compress(self, data: bytes, /) -> bytes:
            sizes.append(len(data))
            return self._own.compress(data)

        def flush(self, mode: int = zlib.Z_FINISH, /) -> bytes:
            return self._own.flush(mode)

    subjobs = tuple(RUNNING._replace(id=number, name="x" * 128) for number in range(200))
    observation = Observation(status=JobStatus.RUNNING, subjobs=subjobs)
    text = Exposition(library=library._replace(compressor=Measured))
    for job in many(60):
        text.put(fold(job, observation, now=1595841870.0))
    sizes.clear()
    shot = text.snapshot()
    assert unzipped(shot) == b"".join(shot.plain())
    assert max(sizes) < 2 * STEP
    assert max(map(len, shot.plain())) < 2 * STEP


@pytest.mark.parametrize(("name", "job"), [("running", running()), ("ended", ended())])
def test_golden(name: str, job: Job) -> None:
    assert printed(exposition(job)) == (GOLDEN / f"{name}.txt").read_text(encoding="utf-8")
