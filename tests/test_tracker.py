"""Jobs that come, change, end and leave, with two clocks and a scraper that the tests drive."""

import logging
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Final

import pytest
from prometheus_client.parser import text_string_to_metric_families

from exporter.jobs.model import Details, JobKey, JobStatus, ListedJob, Observation, Registration
from exporter.jobs.retention import Retention
from exporter.metrics.exposition import Exposition
from exporter.metrics.telemetry import DropReason, Telemetry
from exporter.tracker import Limits, Source, Tags, Tracker

NOW: Final = 1_790_000_000.0
KEEP: Final = 900.0
LONGEST: Final = 86_400.0
KEY: Final = JobKey("prod", "a")
RUNNING, FINISHED, FAILED = JobStatus.RUNNING, JobStatus.FINISHED, JobStatus.FAILED


@dataclass
class Asked:
    """A watcher that notes whom it is to ask for."""

    begun: list[str] = field(default_factory=list)
    keys: set[JobKey] = field(default_factory=set)

    def begin(self, key: JobKey) -> None:
        self.begun.append(key.job_id)
        self.keys.add(key)

    def cease(self, key: JobKey) -> None:
        self.keys.remove(key)


class World:
    """A tracker, its clocks, and one scraper: ``scrape`` lets it see what is exposed."""

    def __init__(self, limits: Limits = Limits(1000, 100_000), tags: Tags = Tags()) -> None:  # noqa: B008 - frozen values
        self.now = NOW
        self.monotonic = 0.0
        self.seen = -1.0
        self.asked = Asked()
        self.exposition = Exposition()
        self.telemetry = Telemetry(
            jobs=tuple, series=lambda: self.exposition.series, now=lambda: self.now
        )
        self.telemetry.expect("prod", endpoints=(), reasons=())
        self.tracker = Tracker(
            exposition=self.exposition,
            telemetry=self.telemetry,
            retention=Retention(KEEP, LONGEST),
            limits=limits,
            tags=tags,
            delivered=lambda since: since <= self.seen,
            now=lambda: self.now,
            monotonic=lambda: self.monotonic,
        )
        self.tracker.attach("prod", self.asked)

    def register(
        self, source: Source, job_id: str = "a", *, row: ListedJob | None = None, **about: Any
    ) -> DropReason | None:
        registration = Registration(job_id=job_id, project="prod", **about)
        return self.tracker.register(registration, source, row)

    def withdraw(self, source: Source, job_id: str = "a") -> bool:
        return self.tracker.withdraw(JobKey("prod", job_id), source)

    def observe(self, status: JobStatus, job_id: str = "a") -> None:
        self.tracker.observe(JobKey("prod", job_id), Observation(status=status))

    def end(self, job_id: str = "a") -> None:
        """Let progress tell of an end, and of nothing more after it."""
        self.observe(FINISHED, job_id)
        self.tracker.settle(JobKey("prod", job_id))

    def describe(self, status: JobStatus, **details: Any) -> None:
        self.tracker.describe(KEY, row(status, **details))

    def advance(self, seconds: float) -> None:
        self.now += seconds
        self.monotonic += seconds

    def scrape(self) -> None:
        self.seen = self.monotonic

    def pass_away(self) -> None:
        """Let the time of all that have ended be over."""
        self.scrape()
        self.advance(KEEP)
        self.tracker.retire()

    @property
    def jobs(self) -> list[str]:
        """The jobs that are watched, which are those asked for and those exposed."""
        jobs = [job.key for job in self.tracker]
        assert set(jobs) == self.asked.keys
        text = b"".join(self.exposition.pieces()).decode()
        families = text_string_to_metric_families(text)
        shown = {sample.labels["job_id"] for family in families for sample in family.samples}
        assert shown == {key.job_id for key in jobs}
        return [key.job_id for key in jobs]

    def metric(self, name: str) -> dict[tuple[str, ...], float]:
        """Read the exporter's own samples by their labels but project, in the order of names."""
        return {
            tuple(value for key, value in sorted(sample.labels.items()) if key != "project"): (
                sample.value
            )
            for family in text_string_to_metric_families(self.telemetry.text().decode())
            for sample in family.samples
            if sample.name == name
        }

    def ends(self) -> dict[str, float]:
        """Give the ends counted by status, over all queues."""
        ends: dict[str, float] = {}
        for (_type, _queue, status), count in self.metric("dli_jobs_ended_total").items():
            if count:
                ends[status] = ends.get(status, 0) + count
        return ends


def row(status: JobStatus, job_id: str = "a", **details: Any) -> ListedJob:
    return ListedJob(job_id=job_id, status=status, details=Details(**details))


def over(status: JobStatus = FINISHED, job_id: str = "a") -> ListedJob:
    return row(status, job_id, queue_name="etl", start=NOW - 90, end=NOW, duration=90.0)


def events(caplog: pytest.LogCaptureFixture) -> list[tuple[str, Mapping[str, Any]]]:
    """Give the log lines as message and fields."""
    return [(record.message, getattr(record, "fields", {})) for record in caplog.records]


# Sources


def test_a_job_known_from_several_sources_is_one_job() -> None:
    world = World()
    world.register(Source.DIRECTORY, name="nightly", deadline=NOW + 60, labels={"team": "x"})
    for source in Source:
        assert world.register(source) is None
    assert world.jobs == ["a"]
    job = world.tracker.get(KEY)
    assert job is not None
    assert (job.name, job.deadline, job.labels) == ("nightly", NOW + 60, {"team": "x"})


def test_a_later_registration_adds_to_what_was_said() -> None:
    world = World()
    world.register(Source.LISTED)
    world.register(Source.HTTP, name="nightly")
    world.register(Source.DIRECTORY, deadline=NOW)
    job = world.tracker.get(KEY)
    assert job is not None
    assert (job.name, job.deadline) == ("nightly", NOW)


@pytest.mark.parametrize("last", [Source.LISTED, Source.HTTP])
def test_a_job_stays_until_the_last_source_withdraws_it(last: Source) -> None:
    world = World()
    others = [source for source in Source if source is not last]
    for source in Source:
        world.register(source)
    for source in others:
        assert world.withdraw(source)
        assert world.jobs == ["a"]
    assert world.withdraw(last)
    assert world.jobs == []


def test_who_never_wanted_a_job_cannot_withdraw_it() -> None:
    world = World()
    assert not world.withdraw(Source.HTTP)
    world.register(Source.LISTED)
    assert not world.withdraw(Source.HTTP)
    assert world.withdraw(Source.LISTED)
    assert not world.withdraw(Source.LISTED)


def test_a_job_whose_file_is_gone_stays_until_its_end_was_seen() -> None:
    world = World()
    world.register(Source.DIRECTORY)
    world.observe(RUNNING)
    assert world.withdraw(Source.DIRECTORY)
    world.advance(LONGEST * 2)
    world.tracker.retire()
    assert world.jobs == ["a"]
    world.end()
    world.tracker.retire()
    assert world.jobs == ["a"]
    world.pass_away()
    assert world.jobs == []


def test_jobs_of_one_id_in_two_projects_are_two() -> None:
    world = World()
    world.tracker.attach("test", Asked())
    world.register(Source.LISTED)
    world.tracker.register(Registration(job_id="a", project="test"), Source.LISTED)
    assert [job.key.project for job in world.tracker] == ["prod", "test"]
    world.withdraw(Source.LISTED)
    assert [job.key.project for job in world.tracker] == ["test"]


# Watchers and projects


def test_a_new_watcher_takes_over_the_jobs_of_its_project_alone() -> None:
    world = World()
    world.register(Source.LISTED)
    world.observe(RUNNING)
    before = world.tracker.get(KEY)
    other, again = Asked(), Asked()
    world.tracker.attach("test", other)
    world.tracker.attach("prod", again)
    assert (other.begun, again.begun) == ([], ["a"])
    assert world.tracker.get(KEY) is before


def test_a_project_that_is_gone_takes_its_jobs_along() -> None:
    world = World()
    for job_id in ("a", "b"):
        world.register(Source.LISTED, job_id)
    world.tracker.attach("test", Asked())
    world.tracker.register(Registration(job_id="c", project="test"), Source.LISTED)
    world.tracker.abandon("prod")
    assert [job.key.job_id for job in world.tracker] == ["c"]
    assert b'"prod"' not in b"".join(world.exposition.pieces())


@pytest.mark.parametrize("source", Source)
def test_nothing_is_registered_for_a_project_that_is_gone(source: Source) -> None:
    world = World()
    world.tracker.abandon("prod")
    assert world.register(source) is None
    assert list(world.tracker) == []


def test_a_project_that_comes_back_has_its_jobs_again_but_no_end_is_counted_twice() -> None:
    world = World()
    world.register(Source.LISTED)
    world.tracker.describe(KEY, over())
    world.pass_away()
    world.tracker.abandon("prod")
    world.tracker.attach("prod", world.asked)
    world.register(Source.LISTED)
    assert world.jobs == ["a"]
    world.tracker.describe(KEY, over())
    assert world.ends() == {"FINISHED": 1}


def test_what_is_heard_of_a_job_that_is_not_watched_is_of_no_use() -> None:
    world = World()
    assert world.tracker.observe(KEY, Observation(status=FINISHED)) is None
    assert world.tracker.describe(KEY, over()) is None
    world.tracker.settle(KEY)
    world.tracker.drop(KEY, DropReason.NOT_FOUND)
    assert world.ends() == {}
    assert world.metric("dli_exporter_jobs_dropped_total")["not_found",] == 0


# The end


Step = Callable[[World], object]


def told(status: JobStatus, **details: Any) -> Step:
    return lambda world: world.describe(status, **details)


def seen(status: JobStatus) -> Step:
    return lambda world: world.observe(status)


def known_to_end(world: World) -> object:
    return world.tracker.describe(KEY, over())


def settled(world: World) -> None:
    world.tracker.settle(KEY)


def retired(world: World) -> None:
    world.pass_away()


def given_up(world: World) -> None:
    world.advance(LONGEST)
    world.tracker.retire()


def found_ended(world: World) -> object:
    return world.register(Source.DISCOVERY, row=over())


def wanted_again(world: World) -> object:
    return world.register(Source.HTTP)


WAYS: Final[Mapping[str, tuple[Step, ...]]] = {
    "progress, then the list": (seen(RUNNING), seen(FINISHED), known_to_end),
    "the list, then progress": (seen(RUNNING), known_to_end, seen(FINISHED)),
    "the list before progress knows": (seen(RUNNING), known_to_end, seen(RUNNING), seen(FINISHED)),
    "progress again and again": (seen(FINISHED), known_to_end, seen(FINISHED), known_to_end),
    "it came back": (seen(FINISHED), known_to_end, seen(RUNNING), seen(FAILED), known_to_end),
    "it came back before the list knew": (seen(FAILED), seen(RUNNING), seen(FINISHED), settled),
    "never described": (seen(RUNNING), seen(FINISHED), settled, settled),
    "never settled either": (seen(RUNNING), seen(FINISHED), given_up),
    "described as running only": (told(RUNNING, queue_name="etl"), seen(FINISHED), settled),
    "settled, then described": (seen(FINISHED), settled, known_to_end),
    "no end given with the row": (told(FINISHED, queue_name="etl"), settled),
    "found already ended": (found_ended, found_ended, retired, found_ended),
    "found again by others": (found_ended, wanted_again, seen(FINISHED), retired),
    "wanted anew when it had left": (
        *(found_ended, retired, wanted_again, seen(FINISHED), known_to_end, settled),
    ),
    "withdrawn after its end": (
        *(seen(FINISHED), lambda world: world.withdraw(Source.LISTED), found_ended),
    ),
    "its project is gone": (seen(FINISHED), lambda world: world.tracker.abandon("prod")),
}


@pytest.mark.parametrize("way", WAYS.values(), ids=WAYS)
def test_an_end_is_counted_once(way: tuple[Step, ...]) -> None:
    world = World()
    if way[0] is not found_ended:
        world.register(Source.LISTED)
    for step in way:
        step(world)
        world.advance(1)
    assert sum(world.ends().values()) == 1


def test_a_job_that_runs_is_not_counted() -> None:
    world = World()
    world.register(Source.LISTED)
    for status in (JobStatus.LAUNCHING, RUNNING, JobStatus.SCALING, JobStatus.UNKNOWN):
        world.observe(status)
        world.describe(status, queue_name="etl", duration=5.0)
        world.tracker.settle(KEY)
    world.withdraw(Source.LISTED)
    assert world.ends() == {}


def test_an_end_is_logged_once_with_its_status(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)
    world = World()
    world.register(Source.LISTED)
    world.observe(FAILED)
    world.tracker.describe(KEY, over(FAILED))
    world.observe(FAILED)
    fields = {"project": "prod", "job_id": "a", "status": "FAILED"}
    assert events(caplog) == [("job ended", fields)]


def test_an_end_is_counted_with_queue_type_status_and_duration() -> None:
    world = World()
    world.register(Source.LISTED)
    about = {"queue_name": "etl", "job_type": "INSERT", "end": NOW, "duration": 90.0}
    world.describe(JobStatus.CANCELLED, **about)
    ends = world.metric("dli_jobs_ended_total")
    assert ends == {
        ("INSERT", "etl", "FINISHED"): 0,
        ("INSERT", "etl", "FAILED"): 0,
        ("INSERT", "etl", "CANCELLED"): 1,
    }
    labels = ("INSERT", "etl", "CANCELLED")
    assert world.metric("dli_job_duration_seconds_sum") == {labels: 90.0}
    assert world.metric("dli_job_duration_seconds_count") == {labels: 1}


def test_a_duration_from_before_the_end_is_none() -> None:
    world = World()
    world.register(Source.LISTED)
    world.describe(RUNNING, queue_name="etl", duration=5.0)
    world.observe(FINISHED)
    world.tracker.settle(KEY)
    assert world.ends() == {"FINISHED": 1}
    assert world.metric("dli_job_duration_seconds_count") == {}


def test_the_counters_of_a_queue_are_there_from_its_first_job_on() -> None:
    world = World()
    world.register(Source.LISTED)
    assert world.metric("dli_jobs_ended_total") == {}
    world.describe(RUNNING, queue_name="etl", job_type="QUERY")
    assert world.metric("dli_jobs_ended_total") == {
        ("QUERY", "etl", status): 0 for status in ("FINISHED", "FAILED", "CANCELLED")
    }


def test_an_older_picture_of_the_list_does_not_unsay_the_end() -> None:
    world = World()
    world.register(Source.LISTED)
    world.tracker.describe(KEY, over())
    world.describe(RUNNING, queue_name="etl", start=NOW - 90)
    job = world.tracker.get(KEY)
    assert job is not None
    assert job.details is not None
    assert (job.status, job.details.end) == (FINISHED, NOW)


def test_a_job_that_came_back_is_described_anew() -> None:
    world = World()
    world.register(Source.LISTED)
    world.tracker.describe(KEY, over())
    world.observe(RUNNING)
    world.describe(RUNNING, queue_name="etl", start=NOW)
    job = world.tracker.get(KEY)
    assert job is not None
    assert job.details is not None
    assert (job.status, job.details.start, job.details.end) == (RUNNING, NOW, None)


# Leaving


@pytest.mark.parametrize("source", Source)
def test_an_ended_job_stays_until_it_was_seen_and_its_time_is_over(source: Source) -> None:
    world = World()
    world.register(source)
    world.end()
    for scraped, after in ((False, KEEP - 1), (False, 1), (False, LONGEST - KEEP - 1)):
        world.advance(after)
        world.tracker.retire()
        assert world.jobs == ["a"], (scraped, after)
    world.scrape()
    world.tracker.retire()
    assert world.jobs == []
    assert world.metric("dli_exporter_jobs_retired_total") == {(): 1}
    assert world.metric("dli_exporter_jobs_retired_unscraped_total") == {(): 0}


def test_a_job_stays_while_there_is_more_to_learn_of_its_end() -> None:
    world = World()
    world.register(Source.LISTED)
    world.observe(FINISHED)
    world.pass_away()
    assert world.jobs == ["a"]
    world.tracker.settle(KEY)
    world.tracker.retire()
    assert world.jobs == ["a"]  # the counters have to be seen, too
    world.scrape()
    world.tracker.retire()
    assert world.jobs == []


def test_a_job_that_was_seen_at_once_stays_for_its_time_all_the_same() -> None:
    world = World()
    world.register(Source.LISTED)
    world.end()
    world.scrape()
    world.advance(KEEP - 1)
    world.tracker.retire()
    assert world.jobs == ["a"]
    world.advance(1)
    world.tracker.retire()
    assert world.jobs == []


def test_after_the_hard_maximum_a_job_leaves_unseen_and_is_counted_as_that() -> None:
    world = World()
    world.register(Source.LISTED)
    world.scrape()  # of a running job, which is not its end
    world.advance(1)
    world.end()
    world.advance(LONGEST)
    world.tracker.retire()
    assert world.jobs == []
    assert world.metric("dli_exporter_jobs_retired_total") == {(): 1}
    assert world.metric("dli_exporter_jobs_retired_unscraped_total") == {(): 1}


def test_a_late_movement_has_to_be_seen_too() -> None:
    world = World()
    world.register(Source.LISTED)
    world.end()
    world.scrape()
    world.advance(5)
    world.tracker.observe(KEY, Observation(status=FINISHED, progress=1.0))
    world.advance(KEEP)
    world.tracker.retire()
    assert world.jobs == ["a"]
    world.scrape()
    world.tracker.retire()
    assert world.jobs == []


def test_a_row_without_news_has_not_to_be_seen() -> None:
    world = World()
    world.register(Source.LISTED, row=over())
    world.scrape()
    world.advance(KEEP)
    world.tracker.describe(KEY, over())
    world.tracker.retire()
    assert world.jobs == []


def test_retention_follows_the_settings() -> None:
    world = World()
    world.register(Source.LISTED)
    world.end()
    world.scrape()
    world.tracker.retention = Retention(0, 10)
    world.tracker.retire()
    assert world.jobs == []


def gone(source: Source) -> World:
    """Let a job of that source end and leave."""
    world = World()
    world.register(source)
    world.end()
    world.pass_away()
    assert world.jobs == []
    return world


@pytest.mark.parametrize("source", [Source.LISTED, Source.DIRECTORY])
def test_a_job_that_has_left_stays_away_while_it_is_named_still(source: Source) -> None:
    world = gone(source)
    for _ in range(3):
        assert world.register(source) is None
        assert world.jobs == []


@pytest.mark.parametrize("source", [Source.LISTED, Source.DIRECTORY])
def test_a_job_that_is_named_anew_comes_back(source: Source) -> None:
    world = gone(source)
    world.withdraw(source)
    world.register(source)
    assert world.jobs == ["a"]


def test_a_second_name_holds_a_job_away_as_well_as_the_first() -> None:
    world = gone(Source.LISTED)
    world.register(Source.DIRECTORY)
    world.withdraw(Source.LISTED)
    world.register(Source.DIRECTORY)
    assert world.jobs == []


@pytest.mark.parametrize("source", Source)
def test_a_job_that_has_left_comes_back_when_it_is_registered_anew(source: Source) -> None:
    world = gone(source)
    assert world.register(Source.HTTP) is None
    assert world.jobs == ["a"]
    world.end()
    world.pass_away()
    assert world.jobs == []
    if source in (Source.LISTED, Source.DIRECTORY):
        world.register(source)
        assert world.jobs == []


@pytest.mark.parametrize("source", Source)
def test_discovery_does_not_bring_an_end_back_that_was_shown(source: Source) -> None:
    world = gone(source)
    world.register(Source.DISCOVERY, row=over())
    assert world.jobs == []


def test_discovery_brings_a_job_back_that_runs_again() -> None:
    world = gone(Source.DISCOVERY)
    world.register(Source.DISCOVERY, row=row(RUNNING))
    assert world.jobs == ["a"]


# Dropped


@pytest.mark.parametrize("reason", [DropReason.NOT_FOUND, DropReason.EXPIRED])
@pytest.mark.parametrize("source", Source)
def test_a_dropped_job_is_counted_and_said(
    source: Source, reason: DropReason, caplog: pytest.LogCaptureFixture
) -> None:
    world = World()
    world.register(source)
    world.tracker.drop(KEY, reason)
    world.tracker.drop(KEY, reason)
    assert world.jobs == []
    assert world.metric("dli_exporter_jobs_dropped_total")[reason,] == 1
    fields = {"project": "prod", "job_id": "a", "reason": reason}
    assert events(caplog) == [("job dropped", fields)]


@pytest.mark.parametrize("source", [Source.LISTED, Source.DIRECTORY])
def test_a_dropped_job_stays_away_while_it_is_named_still(source: Source) -> None:
    world = World()
    world.register(source)
    world.tracker.drop(KEY, DropReason.NOT_FOUND)
    world.register(source)
    assert world.jobs == []
    world.register(Source.HTTP)
    assert world.jobs == ["a"]


@pytest.mark.parametrize("source", [Source.LISTED, Source.DIRECTORY])
def test_a_dropped_job_may_be_named_by_who_did_not_name_it_before(source: Source) -> None:
    world = World()
    world.register(Source.HTTP)
    world.tracker.drop(KEY, DropReason.NOT_FOUND)
    world.register(source)
    assert world.jobs == ["a"]


def test_a_job_whose_end_was_seen_is_not_dropped_when_dli_forgets_it() -> None:
    world = World()
    world.register(Source.LISTED)
    world.observe(FINISHED)
    world.tracker.drop(KEY, DropReason.EXPIRED)
    assert world.jobs == ["a"]
    assert world.ends() == {"FINISHED": 1}
    assert world.metric("dli_exporter_jobs_dropped_total")["expired",] == 0
    world.pass_away()
    assert world.jobs == []


# Limits


def test_an_end_that_was_seen_makes_room_the_first_one_first() -> None:
    world = World(Limits(3, 100_000))
    for job_id in ("a", "b", "c"):
        world.register(Source.LISTED, job_id)
    for job_id in ("b", "a"):
        world.end(job_id)
        world.advance(1)
    world.scrape()
    for new, left in (("d", ["a", "c", "d"]), ("e", ["c", "d", "e"])):
        assert world.register(Source.LISTED, new) is None
        assert world.jobs == left
    assert world.metric("dli_exporter_jobs_retired_total") == {(): 2}
    assert world.metric("dli_exporter_jobs_retired_unscraped_total") == {(): 0}
    assert world.ends() == {"FINISHED": 2}


def test_neither_a_running_job_nor_an_end_that_was_not_seen_makes_room() -> None:
    world = World(Limits(2, 100_000))
    world.register(Source.LISTED, "a")
    world.register(Source.LISTED, "b")
    world.scrape()
    world.advance(1)
    world.end("b")
    assert world.register(Source.LISTED, "c") is DropReason.JOB_LIMIT
    assert world.jobs == ["a", "b"]


def test_the_limit_of_series_holds_too() -> None:
    world = World(Limits(1000, 10))
    assert world.register(Source.LISTED, "a") is None
    world.observe(RUNNING)
    assert world.exposition.series >= 10
    assert world.register(Source.LISTED, "b") is DropReason.SERIES_LIMIT
    world.end()
    world.scrape()
    assert world.register(Source.LISTED, "b") is None
    assert world.jobs == ["b"]


def test_a_job_that_is_watched_already_needs_no_room() -> None:
    world = World(Limits(1, 1))
    world.register(Source.LISTED)
    world.observe(RUNNING)
    assert world.register(Source.HTTP, name="nightly") is None
    assert world.jobs == ["a"]


def test_a_refusal_is_counted_once_for_a_job_and_said_once_for_all(
    caplog: pytest.LogCaptureFixture,
) -> None:
    world = World(Limits(1, 100_000))
    world.register(Source.LISTED, "a")
    for _ in range(5):
        for job_id in ("b", "c", "d"):
            found = world.register(Source.DISCOVERY, job_id, row=row(RUNNING, job_id))
            assert found is DropReason.JOB_LIMIT
    assert world.metric("dli_exporter_jobs_dropped_total")["job_limit",] == 3
    ((message, fields),) = events(caplog)
    assert message.startswith("no room for more jobs: raise limits.jobs")
    assert fields == {"project": "prod", "job_id": "b", "reason": "job_limit"}


def test_a_refused_job_comes_as_soon_as_there_is_room() -> None:
    world = World(Limits(1, 100_000))
    world.register(Source.LISTED, "a")
    world.register(Source.DISCOVERY, "b", row=row(RUNNING, "b"))
    world.tracker.limits = Limits(2, 100_000)
    assert world.register(Source.DISCOVERY, "b", row=row(RUNNING, "b")) is None
    assert world.jobs == ["a", "b"]


def test_lack_of_room_is_said_again_when_there_was_some_meanwhile(
    caplog: pytest.LogCaptureFixture,
) -> None:
    world = World(Limits(1, 100_000))
    world.register(Source.LISTED, "a")
    for _ in range(2):
        world.register(Source.HTTP, "b")
        world.tracker.limits = Limits(2, 100_000)
        world.register(Source.HTTP, "b")
        world.withdraw(Source.HTTP, "b")
        world.tracker.limits = Limits(1, 100_000)
    assert len(events(caplog)) == 2
    assert world.metric("dli_exporter_jobs_dropped_total")["job_limit",] == 2


def test_the_end_of_a_job_that_there_is_no_room_for_is_counted_once() -> None:
    world = World(Limits(1, 100_000))
    world.register(Source.LISTED, "b")
    world.register(Source.DISCOVERY, row=row(RUNNING))
    for _ in range(2):
        world.register(Source.DISCOVERY, row=over(FAILED))
    assert world.ends() == {"FAILED": 1}
    assert world.metric("dli_job_duration_seconds_sum") == {("", "etl", "FAILED"): 90.0}
    world.tracker.limits = Limits(2, 100_000)
    world.register(Source.HTTP)
    world.tracker.describe(KEY, over(FAILED))
    assert world.ends() == {"FAILED": 1}


# Names and deadlines


TAGS: Final = Tags("jobName", "sla")


def described(tags: Mapping[str, str], keys: Tags = TAGS, **about: Any) -> tuple[str, float | None]:
    """Give name and deadline of a job that was registered, described, and registered again."""
    world = World(tags=keys)
    world.register(Source.LISTED, **about)
    world.describe(RUNNING, tags=tags)
    world.register(Source.DISCOVERY, row=row(RUNNING, tags=tags))
    job = world.tracker.get(KEY)
    assert job is not None
    return job.name, job.deadline


def test_name_and_deadline_come_from_the_tags_of_the_configured_keys() -> None:
    tags = {"jobName": "orders", "sla": "2026-11-20T06:00:00+08:00", "other": "x"}
    assert described(tags) == ("orders", 1_795_125_600.0)
    assert described({"sla": "1795125600"}) == ("", 1_795_125_600.0)
    assert described(tags, Tags()) == ("", None)


def test_what_a_registration_says_wins_over_the_tags() -> None:
    tags = {"jobName": "orders", "sla": "1795125600"}
    assert described(tags, name="nightly") == ("nightly", 1_795_125_600.0)
    assert described(tags, deadline=NOW) == ("orders", NOW)


def test_a_registration_that_comes_after_the_tags_wins_too() -> None:
    world = World(tags=TAGS)
    world.register(
        Source.DISCOVERY, row=row(RUNNING, tags={"jobName": "orders", "sla": "1795125600"})
    )
    world.register(Source.HTTP, name="nightly", deadline=NOW)
    world.describe(RUNNING, tags={"jobName": "orders", "sla": "1795125600"})
    job = world.tracker.get(KEY)
    assert job is not None
    assert (job.name, job.deadline) == ("nightly", NOW)


@pytest.mark.parametrize("text", ["", "tomorrow", "90", "1795125600000", "nan"])
def test_a_tag_that_is_no_deadline_is_none(text: str) -> None:
    assert described({"sla": text}) == ("", None)
