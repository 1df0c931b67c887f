"""The exporter's own metrics."""

from collections.abc import Callable

import pytest
from prometheus_client.parser import text_string_to_metric_families

from exporter.jobs.model import Job, JobKey, JobStatus
from exporter.jobs.retention import State
from exporter.metrics.catalogue import EXPORTER, Type
from exporter.metrics.telemetry import DropReason, Telemetry

RUNNING = Job(key=JobKey("prod", "a"), status=JobStatus.RUNNING, last_update=90.0)
ENDED = Job(key=JobKey("prod", "b"), status=JobStatus.FAILED, last_update=10.0, ended=10.0)


def telemetry(*jobs: Job, now: float = 100.0, series: int = 0) -> Telemetry:
    own = Telemetry(
        jobs=lambda: jobs, delivered=lambda _: True, series=lambda: series, now=lambda: now
    )
    own.expect("prod", endpoints=["/jobs"], reasons=["timeout", "dns"])
    return own


def values(own: Telemetry, name: str) -> dict[tuple[str, ...], float]:
    """Return the samples of that name by their label values, in the order of the names."""
    return {
        tuple(value for _, value in sorted(sample.labels.items())): sample.value
        for family in text_string_to_metric_families(own.text().decode())
        for sample in family.samples
        if sample.name == name
    }


def test_every_row_of_the_catalogue_is_there_with_its_text() -> None:
    own = telemetry()
    text = own.text().decode()
    for family in EXPORTER:
        assert f"# HELP {family.name} {family.help}\n# TYPE {family.name} {family.type}\n" in text


def test_nothing_else_is_there_but_prometheus_clients_own() -> None:
    names = {
        line.split()[2] for line in telemetry().text().decode().splitlines() if line[:6] == "# HELP"
    }
    others = names - {family.name for family in EXPORTER}
    assert all(name.startswith(("process_", "python_info")) for name in others)


def test_no_created_series() -> None:
    own = telemetry()
    own.called("prod", "/jobs", 0.2, None)
    assert b"_created" not in own.text() + own.openmetrics()


def test_openmetrics_ends_with_its_mark() -> None:
    assert telemetry().openmetrics().endswith(b"# EOF\n")


def test_counters_are_present_before_the_first_event() -> None:
    own = telemetry()
    errors = values(own, "dli_exporter_api_request_errors_total")
    assert errors == {("/jobs", "prod", "dns"): 0, ("/jobs", "prod", "timeout"): 0}
    assert values(own, "dli_exporter_api_requests_total") == {("/jobs", "prod"): 0}
    assert values(own, "dli_exporter_credentials_refresh_errors_total") == {("prod",): 0}


def test_a_failed_call_counts_as_request_and_error() -> None:
    own = telemetry()
    own.called("prod", "/jobs", 0.2, None)
    own.called("prod", "/jobs", 7.0, "timeout")
    assert values(own, "dli_exporter_api_requests_total") == {("/jobs", "prod"): 2}
    assert values(own, "dli_exporter_api_request_errors_total")["/jobs", "prod", "timeout"] == 1
    assert values(own, "dli_exporter_api_request_duration_seconds_sum") == {("/jobs", "prod"): 7.2}


def test_unknown_is_absent() -> None:
    own = telemetry()
    for family in ("dli_up", "dli_exporter_clock_skew_seconds", "dli_exporter_job_age_seconds"):
        assert values(own, family) == {}


def test_project_without_jobs_has_none() -> None:
    assert values(telemetry(), "dli_exporter_jobs") == {("prod", state): 0 for state in State}


def test_jobs_by_state() -> None:
    jobs = values(telemetry(RUNNING, ENDED, RUNNING._replace()), "dli_exporter_jobs")
    assert jobs == {("prod", "running"): 2, ("prod", "ended"): 1, ("prod", "ended_unscraped"): 0}


def test_ends_are_shown_from_the_first_job_of_a_queue() -> None:
    own = telemetry()
    own.queue("prod", "etl", "QUERY")
    ends = values(own, "dli_jobs_ended_total")
    assert ends == {("QUERY", "prod", "etl", end): 0 for end in ("FINISHED", "FAILED", "CANCELLED")}


@pytest.mark.parametrize("duration", [90.0, None])
def test_an_end_is_counted_and_its_duration_if_it_is_known(duration: float | None) -> None:
    own = telemetry()
    own.ended(
        "prod", queue_name="etl", job_type="QUERY", status=JobStatus.FAILED, duration=duration
    )
    labels = ("QUERY", "prod", "etl", "FAILED")
    assert values(own, "dli_jobs_ended_total")[labels] == 1
    sums = values(own, "dli_job_duration_seconds_sum")
    assert sums == ({} if duration is None else {labels: duration})


def test_retired_and_dropped_jobs_are_counted() -> None:
    own = telemetry()
    assert values(own, "dli_exporter_jobs_retired_total") == {("prod",): 0}
    own.retired("prod", unscraped=False)
    own.retired("prod", unscraped=True)
    own.dropped("prod", DropReason.NOT_FOUND)
    assert values(own, "dli_exporter_jobs_retired_total") == {("prod",): 2}
    assert values(own, "dli_exporter_jobs_retired_unscraped_total") == {("prod",): 1}
    assert values(own, "dli_exporter_jobs_dropped_total")["prod", "not_found"] == 1
    assert values(own, "dli_exporter_jobs_dropped_total")["prod", "job_limit"] == 0


def test_a_failed_reload_keeps_the_time_of_the_last_good_one() -> None:
    own = telemetry()
    own.reloaded(True, 50.0)
    own.reloaded(False, 60.0)
    assert values(own, "dli_exporter_config_last_reload_successful") == {(): 0}
    assert values(own, "dli_exporter_config_last_reload_success_timestamp_seconds") == {(): 50}


@pytest.mark.parametrize(
    ("updates", "quantiles"),
    [
        pytest.param([90.0], {"0.5": 10, "0.99": 10, "1": 10}, id="one"),
        pytest.param([99.0, 97.0, 60.0], {"0.5": 3, "0.99": 40, "1": 40}, id="three"),
        pytest.param(
            [100.0 - n for n in range(1, 101)], {"0.5": 50, "0.99": 99, "1": 100}, id="100"
        ),
        pytest.param([103.0], {"0.5": 0, "0.99": 0, "1": 0}, id="a clock that was set back"),
    ],
)
def test_age_of_running_jobs(updates: list[float], quantiles: dict[str, float]) -> None:
    jobs = [RUNNING._replace(last_update=update) for update in updates]
    ages = values(telemetry(*jobs, ENDED), "dli_exporter_job_age_seconds")
    assert ages == {("prod", quantile): age for quantile, age in quantiles.items()}


def test_job_that_was_never_answered_has_no_age() -> None:
    assert (
        values(telemetry(RUNNING._replace(last_update=None)), "dli_exporter_job_age_seconds") == {}
    )


def test_permanent_keys_have_no_expiry() -> None:
    own = telemetry()
    own.expires("prod", 500.0)
    assert values(own, "dli_exporter_credentials_expiry_timestamp_seconds") == {("prod",): 500}
    own.expires("prod", None)
    own.expires("prod", None)
    assert values(own, "dli_exporter_credentials_expiry_timestamp_seconds") == {}
    own.expires("prod", 500.0)
    assert values(own, "dli_exporter_credentials_expiry_timestamp_seconds") == {("prod",): 500}


def test_misread_fields_are_counted() -> None:
    own = telemetry()
    own.misread(unreadable=["progress", "progress"], out_of_range=["num_active_tasks"])
    assert values(own, "dli_exporter_parse_errors_total") == {("progress",): 2}
    assert values(own, "dli_exporter_out_of_range_values_total") == {("num_active_tasks",): 1}


def test_types_are_what_the_catalogue_says() -> None:
    kinds = {f.name: f.type for f in text_string_to_metric_families(telemetry().text().decode())}
    for family in EXPORTER:
        name = family.name.removesuffix("_total") if family.type is Type.COUNTER else family.name
        assert kinds[name] == family.type


CHANGES: list[Callable[[Telemetry], None]] = [
    lambda own: own.build(version="1", revision="2", python_version="3"),
    lambda own: own.expect("new", endpoints=["/x"], reasons=["dns"]),
    lambda own: own.forget("prod"),
    lambda own: own.called("prod", "/jobs", 0.3, None),
    lambda own: own.called("prod", "/jobs", 0.3, "timeout"),
    lambda own: own.up("prod", False),
    lambda own: own.succeeded("prod", 7.0),
    lambda own: own.limited("prod", 7.0),
    lambda own: own.skewed("prod", 7.0),
    lambda own: own.expires("prod", 7.0),
    lambda own: own.expires("prod", None),
    lambda own: own.refresh_failed("prod"),
    lambda own: own.queue("prod", "other", "QUERY"),
    lambda own: own.ended(
        "prod", queue_name="etl", job_type="QUERY", status=JobStatus.FAILED, duration=5.0
    ),
    lambda own: own.retired("prod", unscraped=True),
    lambda own: own.dropped("prod", DropReason.EXPIRED),
    lambda own: own.truncated("prod", True),
    lambda own: own.rejected("odd"),
    lambda own: own.reloaded(True, 9.0),
    lambda own: own.reloaded(False, 9.0),
    lambda own: own.misread(unreadable=["a"], out_of_range=["b"]),
    lambda own: own.scraped("gzip", 9),
    lambda own: own.sharded(1, 3),
]


def without_process(text: bytes) -> list[bytes]:
    """Leave out what is another figure each time that one looks."""
    return [line for line in text.splitlines() if b"process_" not in line]


@pytest.mark.parametrize("change", CHANGES)
def test_text_that_is_kept_is_never_an_old_one(change: Callable[[Telemetry], None]) -> None:
    own, other = telemetry(RUNNING), telemetry(RUNNING)
    for each in (own, other):
        for before in CHANGES:
            before(each)
    assert own.text()
    assert own.openmetrics()
    change(own)
    change(other)
    assert without_process(own.text()) == without_process(other.text())
    assert without_process(own.openmetrics()) == without_process(other.openmetrics())


def test_every_way_to_change_it_is_tried() -> None:
    names = {name for change in CHANGES for name in change.__code__.co_names}
    readers = {"text", "openmetrics"}
    methods = {name for name in vars(Telemetry) if not name.startswith("_")}
    assert methods - readers <= names


def test_series_are_asked_for_at_each_scrape() -> None:
    series = iter((5, 5, 0, 7))
    own = Telemetry(jobs=tuple, series=lambda: next(series), now=lambda: 0.0)
    shown = [values(own, "dli_exporter_series")[()] for _ in range(4)]
    assert shown == [5, 5, 0, 7]


def test_jobs_are_looked_at_again_when_one_has_changed() -> None:
    jobs, revision = [RUNNING], 1
    own = Telemetry(
        jobs=lambda: jobs, revision=lambda: revision, series=lambda: 0, now=lambda: 100.0
    )
    own.expect("prod", endpoints=[], reasons=[])
    ages = "dli_exporter_job_age_seconds"
    assert values(own, ages)["prod", "1"] == 10
    jobs[0] = RUNNING._replace(last_update=95.0)
    revision = 2
    assert values(own, ages)["prod", "1"] == 5


def test_whether_an_end_was_seen_is_asked_at_each_scrape() -> None:
    seen = False
    own = Telemetry(
        jobs=lambda: [ENDED],
        revision=lambda: 1,
        delivered=lambda _: seen,
        series=lambda: 0,
        now=lambda: 100.0,
    )
    own.expect("prod", endpoints=[], reasons=[])
    tracked = "dli_exporter_jobs"
    assert values(own, tracked)["prod", "ended_unscraped"] == 1
    seen = True
    assert values(own, tracked)["prod", "ended_unscraped"] == 0
    assert values(own, tracked)["prod", "ended"] == 1
