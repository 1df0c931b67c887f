"""What DLI may answer, documented or not, and what is made of it."""

import json
import locale
import random
from pathlib import Path
from typing import Any

import pytest

from exporter.dli import errors, schema
from exporter.dli.errors import DliError
from exporter.dli.fields import cut
from exporter.dli.kills import kill_reason
from exporter.dli.refusals import parse_error, parse_quota, parse_retry_after
from exporter.dli.schema import Answer, JobsPage, parse_jobs, parse_progress
from exporter.dli.times import DEFAULT_ZONES, parse_http_date, parse_time
from exporter.jobs.model import JobStatus, KillReason, Observation, SubJobStatus

DATA = Path(__file__).parent / "data" / "dli"
JOB = "85798b38-ae44-48eb-bb90-7cf0dcdafe7b"


def example(name: str) -> tuple[int, bytes]:
    """Give an example's HTTP status (200 for a request body) and its body."""
    document = json.loads((DATA / f"{name}.json").read_text())
    status = document["_meta"]["http_status"] or 200
    if "raw_body" in document:
        return status, document["raw_body"].encode()
    return status, json.dumps(document["body"]).encode()


def progress_of(**fields: object) -> Answer:
    return parse_progress(json.dumps({"is_success": True, "status": "RUNNING", **fields}).encode())


def refusal(parse: Any, body: bytes) -> DliError:
    with pytest.raises(DliError) as caught:
        parse(body)
    return caught.value


# Every file of the examples has a row in exactly one of the three tables below.

PROGRESS: dict[str, tuple[JobStatus, float | None, int | None, int]] = {
    # name: status, progress, sub-job id, number of sub-jobs
    "job_status": (JobStatus.FINISHED, None, None, 0),
    "job_status_message_error_2021": (JobStatus.FINISHED, None, None, 0),
    "progress_bad_types": (JobStatus.RUNNING, None, None, 0),
    "progress_camel_case": (JobStatus.RUNNING, 0.5, 3, 1),
    "progress_cancelled": (JobStatus.CANCELLED, None, None, 0),
    "progress_failed": (JobStatus.FAILED, 1, None, 0),
    "progress_finished": (JobStatus.FINISHED, 1, None, 0),
    "progress_launching": (JobStatus.LAUNCHING, 0, None, 0),
    "progress_null_subjobs": (JobStatus.RUNNING, None, None, 0),
    "progress_over_one": (JobStatus.RUNNING, 1.05, 1, 1),
    "progress_running": (JobStatus.RUNNING, 0, 0, 1),
    "progress_running_multi_subjobs": (JobStatus.RUNNING, 0.625, 2, 3),
    "progress_running_no_subjob": (JobStatus.RUNNING, 0, None, 0),
    "progress_scaling": (JobStatus.SCALING, 0, None, 0),
    "progress_string_bool": (JobStatus.RUNNING, 0.5, None, 0),
    "progress_unknown_status": (JobStatus.UNKNOWN, 0.3, None, 0),
}
LISTS: dict[str, tuple[int, int]] = {
    # name: jobs on the page, jobs claimed
    "list_jobs": (1, 1),
    "list_jobs_empty": (0, 0),
    "list_jobs_finished_costs": (2, 2),
    "list_jobs_null": (0, 0),
    "list_jobs_running_full": (3, 3),
}
REFUSED: dict[str, type[DliError]] = {
    "cancel_job": errors.ParseError,
    "elastic_pools": errors.ParseError,
    "error_200_html": errors.ParseError,
    "error_401_clock_skew": errors.ClockSkewed,
    "error_401_token_expired_apigw_0307": errors.TokenRejected,
    "error_403_apigw_0302": errors.Forbidden,
    "error_404_apigw_0101": errors.EndpointNotFound,
    "error_429_apigw_0308": errors.Throttled,
    "error_429_retry_after": errors.Throttled,
    "error_500_dli_style": errors.BackendFailed,
    "error_502_apigw_0201": errors.ServerFailed,
    "error_502_html": errors.ServerFailed,
    "error_503_apigw_0613": errors.ServerFailed,
    "error_apig_0301_ak_locked": errors.KeyLocked,
    "error_apig_0301_ak_not_exist": errors.KeyUnknown,
    "error_apigw_0301_decrypt": errors.TokenRejected,
    "error_apigw_0301_no_token": errors.TokenRejected,
    "error_apigw_0301_signature": errors.SignatureRejected,
    "error_apigw_0301_token_expired": errors.TokenRejected,
    "error_camel_case": errors.QueueBusy,
    "error_dli_0001": errors.RequestRejected,
    "error_dli_0002_queue": errors.JobNotFound,
    "error_dli_0008_queue_2021": errors.RequestRejected,
    "error_flink_array": errors.RequestRejected,
    "flink_list": errors.ParseError,
    "flink_metrics": errors.ParseError,
    "iam_error_401_keystone": errors.Unauthorized,
    "iam_error_code_style": errors.RequestRejected,
    "iam_projects": errors.ParseError,
    "iam_projects_none": errors.ParseError,
    "iam_securitytoken": errors.ParseError,
    "iam_token": errors.ParseError,
    "iam_token_request": errors.ParseError,
    "job_detail_export": errors.ParseError,
    "job_detail_import": errors.ParseError,
    "list_jobs_page_beyond": errors.RequestRejected,
    "metadata_no_agency_401": errors.Unauthorized,
    "metadata_securitykey": errors.ParseError,
    "metadata_token": errors.ParseError,
    "progress_dli0999_busy": errors.QueueBusy,
    "progress_is_success_false_200": errors.Unsuccessful,
    "progress_unknown_job_dli0002": errors.JobNotFound,
    "progress_unknown_job_dli0023": errors.JobNotFound,
    "queue_detail": errors.ParseError,
    "queues_list": errors.ParseError,
    "spark_batches": errors.ParseError,
    "spark_state": errors.ParseError,
    "submit_job": errors.ParseError,
}


def test_every_example_is_a_case() -> None:
    assert sorted([*PROGRESS, *LISTS, *REFUSED]) == sorted(p.stem for p in DATA.glob("*.json"))


@pytest.mark.parametrize("name", PROGRESS)
def test_reads_progress_example(name: str) -> None:
    _, body = example(name)
    seen = parse_progress(body).observation
    assert (seen.status, seen.progress, seen.subjob_id, len(seen.subjobs)) == PROGRESS[name]


@pytest.mark.parametrize("name", LISTS)
def test_reads_list_example(name: str) -> None:
    _, body = example(name)
    page = parse_jobs(body)
    assert (len(page.jobs), page.count) == LISTS[name]
    assert page.unreadable == page.out_of_range == ()
    assert page.dropped == 0


@pytest.mark.parametrize("name", REFUSED)
def test_refuses_example_as_what_it_is(name: str) -> None:
    status, body = example(name)
    if status >= 400:
        assert type(parse_error(status, body)) is REFUSED[name]
    else:
        assert type(refusal(parse_progress, body)) is REFUSED[name]
        assert type(refusal(parse_jobs, body)) is REFUSED[name]


@pytest.mark.parametrize("name", [*PROGRESS, *LISTS])
def test_one_api_is_not_taken_for_the_other(name: str) -> None:
    _, body = example(name)
    wrong = parse_jobs if name in PROGRESS else parse_progress
    assert isinstance(refusal(wrong, body), errors.ParseError | errors.QueueBusy)


def test_reads_the_documented_example_to_the_last_field() -> None:
    answer = parse_progress(example("progress_running")[1], job_id=JOB)
    (subjob,) = answer.observation.subjobs
    assert answer.status_word == "RUNNING"
    assert answer.unreadable == answer.out_of_range == ()
    assert (subjob.id, subjob.status) == (0, SubJobStatus.RUNNING)
    assert subjob.name == "runJob at FileFormatWriter.scala:266"
    assert subjob.submitted == 1595841843  # 2020-07-27 09:24:03 UTC
    assert subjob.completed is None
    counts = subjob.counts
    assert (counts.tasks, counts.tasks_active, counts.tasks_completed) == (1, 1, 0)
    assert (counts.stages, counts.stages_active, counts.indices_completed) == (1, 1, 0)


def test_reads_camel_case_like_snake_case() -> None:
    (subjob,) = parse_progress(example("progress_camel_case")[1]).observation.subjobs
    assert subjob.counts.tasks == 10
    assert subjob.counts.tasks_failed is None
    assert subjob.counts.stages == 1
    assert subjob.submitted == 1795169700.758


def test_bad_types_are_named_and_the_status_is_kept() -> None:
    answer = parse_progress(example("progress_bad_types")[1])
    assert answer.unreadable == ("progress", "sub_job_id", "sub_jobs")
    assert answer.observation == Observation(
        status=JobStatus.RUNNING, malformed=frozenset({"progress", "sub_job_id", "sub_jobs"})
    )


def test_there_is_one_zero() -> None:
    """Two that are equal are printed alike, or what was printed before could not be kept."""
    assert [str(progress_of(progress=zero).observation.progress) for zero in (0.0, -0.0, "-0")] == [
        "0.0"
    ] * 3


def test_progress_over_one_stays_as_it_is_and_is_counted() -> None:
    answer = parse_progress(example("progress_over_one")[1])
    assert answer.observation.progress == 1.05
    assert answer.out_of_range == ("progress",)
    assert answer.observation.malformed == frozenset()


@pytest.mark.parametrize(
    ("value", "progress", "unreadable", "out_of_range"),
    [
        (0, 0.0, False, False),
        ("0.25", 0.25, False, False),
        (" 1 ", 1.0, False, False),
        ("2.5e-1", 0.25, False, False),
        (-0.5, -0.5, False, True),
        (57, 57.0, False, True),
        ("57%", None, True, False),
        ("", None, True, False),
        ("NaN", None, True, False),
        ("inf", None, True, False),
        ("1_0", None, True, False),
        (True, None, True, False),
        ([0.5], None, True, False),
        (10**40, None, True, False),
        (None, None, False, False),
    ],
)
def test_progress_values(
    value: object, progress: float | None, unreadable: bool, out_of_range: bool
) -> None:
    answer = progress_of(progress=value)
    assert answer.observation.progress == progress
    assert ("progress" in answer.unreadable) is unreadable
    assert ("progress" in answer.observation.malformed) is unreadable
    assert ("progress" in answer.out_of_range) is out_of_range


@pytest.mark.parametrize(
    ("value", "number", "unreadable"),
    [
        (0, 0, False),
        ("7", 7, False),
        (7.0, 7, False),
        (7.5, None, True),
        ("", None, True),
        (False, None, True),
        ({}, None, True),
        (2**63, None, True),
        (-1, None, False),
        (None, None, False),
    ],
)
def test_subjob_id_values(value: object, number: int | None, unreadable: bool) -> None:
    answer = progress_of(sub_job_id=value)
    assert answer.observation.subjob_id == number
    assert ("sub_job_id" in answer.unreadable) is unreadable


@pytest.mark.parametrize(
    ("word", "status"),
    [
        ("RUNNING", JobStatus.RUNNING),
        ("finished", JobStatus.FINISHED),
        (" Cancelled\n", JobStatus.CANCELLED),
        ("SUSPENDED", JobStatus.UNKNOWN),
        ("FINISH", JobStatus.UNKNOWN),
        ("UNKNOWN", JobStatus.UNKNOWN),
    ],
)
def test_status_words_are_an_open_enum(word: str, status: JobStatus) -> None:
    answer = progress_of(status=word)
    assert answer.observation.status is status
    assert answer.status_word == word.strip()


def test_a_status_word_is_fit_for_a_log() -> None:
    assert progress_of(status="A\r\nB\x1b" + "x" * 1000).status_word == "AB" + "x" * 62


@pytest.mark.parametrize("status", [None, "", " ", 3, True, ["RUNNING"], {}])
def test_no_status_is_an_error_and_never_a_default(status: object) -> None:
    error = refusal(lambda body: progress_of(status=status), b"")
    assert isinstance(error, errors.ParseError)
    assert error.field == "status"


@pytest.mark.parametrize("job_id", ["another", 5, "85798b38"])
def test_another_jobs_answer_is_refused(job_id: object) -> None:
    body = json.dumps({"status": "RUNNING", "job_id": job_id}).encode()
    error = refusal(lambda body: parse_progress(body, job_id=JOB), body)
    assert isinstance(error, errors.ParseError)
    assert error.field == "job_id"


@pytest.mark.parametrize("job_id", [JOB, JOB.upper(), "", None])
def test_the_asked_jobs_answer_is_taken(job_id: object) -> None:
    body = json.dumps({"status": "RUNNING", "job_id": job_id}).encode()
    assert parse_progress(body, job_id=JOB).observation.status is JobStatus.RUNNING


def test_one_bad_subjob_does_not_spoil_the_others() -> None:
    entries = [5, None, {"name": "no id"}, {"id": "x"}, {"id": -1}, {"id": True}, {"id": "2"}]
    answer = progress_of(sub_jobs=[*entries, {"id": 1, "status": "SUCCEEDED"}])
    assert [subjob.id for subjob in answer.observation.subjobs] == [1, 2]
    assert answer.unreadable == ("sub_jobs.id",)
    assert answer.observation.malformed == frozenset()


def test_of_two_subjobs_with_one_id_the_last_stands() -> None:
    answer = progress_of(sub_jobs=[{"id": 1, "num_tasks": 5}, {"id": 1, "num_tasks": 6}])
    assert [subjob.counts.tasks for subjob in answer.observation.subjobs] == [6]


def test_the_order_of_the_list_means_nothing() -> None:
    entries = [{"id": number} for number in (9, 1, 5)]
    assert progress_of(sub_jobs=entries) == progress_of(sub_jobs=entries[::-1])


def test_negative_counts_are_zero_and_counted() -> None:
    answer = progress_of(sub_jobs=[{"id": 1, "num_active_tasks": -5, "num_active_stages": -4}])
    (subjob,) = answer.observation.subjobs
    assert (subjob.counts.tasks_active, subjob.counts.stages_active) == (0, 0)
    assert answer.out_of_range == ("sub_jobs.num_active_stages", "sub_jobs.num_active_tasks")


def test_unreadable_counts_are_absent_and_named_once() -> None:
    bad = [True, "many", 1.5, [], 2**70]
    answer = progress_of(sub_jobs=[{"id": n, "num_tasks": value} for n, value in enumerate(bad)])
    assert {subjob.counts.tasks for subjob in answer.observation.subjobs} == {None}
    assert answer.unreadable == ("sub_jobs.num_tasks",)


@pytest.mark.parametrize(("value", "stages"), [([3, 1, 2], 3), ([], 0), (None, None), ("1", None)])
def test_stages_are_the_number_of_stage_ids(value: object, stages: int | None) -> None:
    answer = progress_of(sub_jobs=[{"id": 1, "stage_ids": value}])
    assert answer.observation.subjobs[0].counts.stages == stages
    assert (answer.unreadable == ("sub_jobs.stage_ids",)) is (value == "1")


def test_names_are_cut_between_characters_and_rid_of_lone_surrogates() -> None:
    body = '{"status": "RUNNING", "sub_jobs": [{"id": 1, "name": "\\ud800%s"}]}' % ("漢" * 100)
    name = parse_progress(body.encode()).observation.subjobs[0].name
    assert name == "?" + "漢" * 42
    assert len(name.encode()) <= 128


def test_cutting_keeps_what_fits() -> None:
    assert cut("abc", 3) == "abc"
    assert cut("aé", 2) == "a"


def test_kill_reasons_are_summed_under_their_names() -> None:
    summary = {
        "another attempt succeeded": 2,
        "Stage finished": "3",
        "Stage cancelled: Job 1 cancelled part of cancelled job group x": 4,
        "Stage cancelled: [SPARK_JOB_CANCELLED] Job 1 cancelled ": 1,
        "whatever": -1,
        "bad": None,
        "worse": "x",
    }
    answer = progress_of(sub_jobs=[{"id": 1, "killed_tasks_summary": summary}])
    assert answer.observation.subjobs[0].killed == {
        KillReason.SPECULATION: 2,
        KillReason.STAGE_FINISHED: 3,
        KillReason.JOB_CANCELLED: 5,
        KillReason.OTHER: 0,
    }
    assert answer.unreadable == ("sub_jobs.killed_tasks_summary",)
    assert answer.out_of_range == ("sub_jobs.killed_tasks_summary",)


@pytest.mark.parametrize("summary", [[], "x", 3])
def test_a_kill_summary_that_is_no_object_is_unreadable(summary: object) -> None:
    answer = progress_of(sub_jobs=[{"id": 1, "killed_tasks_summary": summary}])
    assert answer.observation.subjobs[0].killed == {}
    assert answer.unreadable == ("sub_jobs.killed_tasks_summary",)


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("another attempt succeeded", KillReason.SPECULATION),
        ("Stage finished", KillReason.STAGE_FINISHED),
        ("Stage cancelled", KillReason.STAGE_CANCELLED),
        ("Stage cancelled: Job aborted due to stage failure", KillReason.STAGE_CANCELLED),
        ("Stage cancelled: Job 7 cancelled ", KillReason.JOB_CANCELLED),
        ("Stage cancelled: Job aborted:\n at org.apache.spark.X\n at Y", KillReason.OTHER),
        ("Container container_1 on host: h was preempted.", KillReason.PREEMPTED),
        ("ExecutorLostFailure (executor 3 exited)", KillReason.EXECUTOR_LOST),
        ("Executor lost", KillReason.EXECUTOR_LOST),
        ("worker lost", KillReason.EXECUTOR_LOST),
        ("", KillReason.OTHER),
        ("killed by the moon", KillReason.OTHER),
    ],
)
def test_kill_reasons(text: str, reason: KillReason) -> None:
    assert kill_reason(text) is reason


@pytest.mark.parametrize(
    ("text", "moment"),
    [
        ("Mon Jul 27 17:24:03 CST 2020", 1595841843),
        ("Mon Jul 27 09:24:03 UTC 2020", 1595841843),
        ("Mon Jul 27 17:24:03 GMT+08:00 2020", 1595841843),
        ("Fri Nov 20 10:15:00 UTC 2026", 1795169700),
        ("Fri Jul  3 00:00:00 CEST 2026", 1783029600),
        ("2026-11-20T10:15:00.758GMT", 1795169700.758),
        ("2026-11-20T10:15:00Z", 1795169700),
        ("2026-11-20 18:15:00+08:00", 1795169700),
        ("2026-11-20T02:15:00.0-0800", 1795169700),
        ("Mon Jul 27 17:24:03 XYZ 2020", None),
        ("Mon Jul 32 17:24:03 CST 2020", None),
        ("Mon Jux 27 17:24:03 CST 2020", None),
        ("2026-13-20T10:15:00Z", None),
        ("2026-11-20T10:15:00", None),
        ("lundi 27 juillet", None),
        ("1595841843", None),
    ],
)
def test_times(text: str, moment: float | None) -> None:
    assert parse_time(text) == (None if moment is None else pytest.approx(moment))


def test_a_zone_is_what_the_settings_say() -> None:
    text = "Mon Jul 27 17:24:03 CST 2020"
    assert parse_time(text, {**DEFAULT_ZONES, "CST": -6 * 3600}) == 1595841843 + 14 * 3600


def test_times_do_not_depend_on_the_locale() -> None:
    before = locale.setlocale(locale.LC_TIME)
    others = ("de_DE.UTF-8", "fr_FR.UTF-8", "zh_CN.UTF-8", "C")
    try:
        for name in others:
            try:
                locale.setlocale(locale.LC_TIME, name)
            except locale.Error:
                continue
            assert parse_time("Tue Dec 01 00:00:00 UTC 2026") == 1796083200
    finally:
        locale.setlocale(locale.LC_TIME, before)


@pytest.mark.parametrize("value", ["soon", 1595841843000, {}, "Mon Jul 27 17:24:03 ABC 2020"])
def test_an_unreadable_time_is_absent_and_named(value: object) -> None:
    answer = progress_of(sub_jobs=[{"id": 1, "submission_time": value, "completion_time": ""}])
    assert answer.observation.subjobs[0].submitted is None
    assert answer.unreadable == ("sub_jobs.submission_time",)


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"null",
        b"[]",
        b'"x"',
        b"{}",
        b"3",
        b"<html>",
        b'{"status": "RUNN',
        b'{"status": "RUNNING", "progress": NaN}',
        b'{"status": "RUNNING", "progress": -Infinity}',
        b"[" * 200_000,
        b'{"a":' * 200_000,
        b'{"status": "RUNNING", "progress": ' + b"9" * 5000 + b"}",
        b"\xff\xfe\xfd",
        b'"\xe9"',
    ],
    ids=lambda body: repr(body[:24]),
)
def test_what_is_no_answer_ends_in_a_parse_error(body: bytes) -> None:
    for parse in (parse_progress, parse_jobs):
        error = refusal(parse, body)
        assert isinstance(error, errors.ParseError)
        assert len(str(error)) < 100


def test_infinity_by_size_is_unreadable() -> None:
    answer = parse_progress(b'{"status": "RUNNING", "progress": 1e999, "sub_job_id": 1e999}')
    assert answer.unreadable == ("progress", "sub_job_id")


def test_a_parse_error_does_not_quote_the_body() -> None:
    error = refusal(parse_progress, b'{"canary": canary}')
    assert "canary" not in str(error)


@pytest.mark.parametrize("flag", [False, "false", "False"])
def test_is_success_false_is_an_error_whatever_else_is_there(flag: object) -> None:
    error = refusal(lambda body: progress_of(is_success=flag, progress=1, message="why"), b"")
    assert isinstance(error, errors.Unsuccessful)
    assert "why" in str(error)


@pytest.mark.parametrize("flag", [True, "true", None, 1, "yes"])
def test_anything_but_false_is_no_failure(flag: object) -> None:
    answer = progress_of(is_success=flag)
    assert ("is_success" in answer.unreadable) is (flag in (1, "yes") and flag is not True)


def test_an_error_object_in_a_200_is_that_error() -> None:
    assert type(refusal(parse_progress, b'[{"error_code": "DLI.0999"}]')) is errors.QueueBusy
    assert type(refusal(parse_progress, b'{"errorCode": "DLI.0002"}')) is errors.JobNotFound
    inner = json.dumps({"is_success": False, "message": '{"error_code":"DLI.0023"}'}).encode()
    assert type(refusal(parse_jobs, inner)) is errors.JobNotFound


def test_list_values_get_their_units() -> None:
    page = parse_jobs(example("list_jobs_finished_costs")[1])
    first, second = (job.details for job in page.jobs)
    assert (first.start, first.end, first.duration) == (1795168511.0, 1795168571.0, 60.0)
    assert (first.cpu_core_seconds, first.output_bytes) == (15.376, 35)
    assert (second.cpu_core_seconds, second.output_bytes) == (None, None)
    assert page.jobs[1].status is JobStatus.FAILED


def test_list_labels_and_tags_are_read() -> None:
    page = parse_jobs(example("list_jobs_running_full")[1])
    first, _, third = (job.details for job in page.jobs)
    assert first.tags == {"workspace": "space1", "jobName": "name1"}
    assert (first.queue_name, first.job_type, first.owner) == ("queue1", "QUERY", "tenant1")
    assert (third.tags, third.engine_type) == ({}, "hetuEngine")


def test_a_statement_stays_out_of_the_repr_and_is_bounded() -> None:
    row = {"job_id": "a", "status": "RUNNING", "statement": "canary" * 100_000}
    (job,) = parse_jobs(json.dumps({"jobs": [row]}).encode()).jobs
    assert "canary" not in repr(job)
    assert len(job.statement) == schema.LONGEST_STATEMENT


def test_rows_that_cannot_be_told_are_dropped_and_said() -> None:
    rows = [
        5,
        {"status": "RUNNING"},
        {"job_id": "../x", "status": "RUNNING"},
        {"job_id": "b"},
        {"job_id": "c", "status": "NEW", "duration": -1, "tags": [{"key": 1}], "start_time": "x"},
    ]
    page = parse_jobs(json.dumps({"job_count": 9, "jobs": rows}).encode())
    assert [(job.job_id, job.status) for job in page.jobs] == [("c", JobStatus.UNKNOWN)]
    assert page.dropped == 4
    assert page.jobs[0].details.duration == 0
    assert page.unreadable == (
        "jobs",
        "jobs.job_id",
        "jobs.start_time",
        "jobs.status",
        "jobs.tags",
    )
    assert page.out_of_range == ("jobs.duration",)


@pytest.mark.parametrize("body", [b'{"jobs": {}}', b'{"jobs": "x"}', b'{"job_count": 3}'])
def test_an_odd_page_is_not_an_empty_one(body: bytes) -> None:
    error = refusal(parse_jobs, body)
    assert isinstance(error, errors.ParseError)
    assert error.field == "jobs"


@pytest.mark.parametrize("body", [b'{"jobs": null}', b'{"jobs": []}', b'{"job_count": 0}'])
def test_an_empty_page_is_one(body: bytes) -> None:
    assert parse_jobs(body).jobs == ()


@pytest.mark.parametrize(
    ("status", "body", "kind"),
    [
        (400, '{"code": "DLI.0999", "message": "busy"}', errors.QueueBusy),
        (400, '{"error_code": "DLI.0012"}', errors.QueueBusy),
        (400, '{"error_code": "DLI.0019"}', errors.QueueBusy),
        (400, '[{"error_code": "DLI.0999"}]', errors.QueueBusy),
        (400, '{"error_code": "DLI.0100"}', errors.JobExpired),
        (400, '{"error_code": "dli.0002"}', errors.JobNotFound),
        (400, '{"error_code": "DLI.0015"}', errors.TokenRejected),
        (401, '{"error_code": "DLI.0013"}', errors.TokenRejected),
        (400, '{"is_success": false, "message": "no"}', errors.RequestRejected),
        (400, '{"message": "{\\"error_code\\":\\"DLI.0999\\"}"}', errors.QueueBusy),
        (400, '{"error_code": "400"}', errors.RequestRejected),
        (400, "", errors.RequestRejected),
        (401, "", errors.Unauthorized),
        (403, "<html>", errors.Forbidden),
        (404, "", errors.EndpointNotFound),
        (404, '{"error_code": "APIC.0101"}', errors.EndpointNotFound),
        (404, '{"error_code": "DLI.0999"}', errors.QueueBusy),
        (404, '{"error_code": "DLI.4711"}', errors.RequestRejected),
        (405, '{"error_code": "APIGW.0501"}', errors.RequestRejected),
        (408, "", errors.ServerFailed),
        (413, '{"error_code": "APIGW.0201"}', errors.RequestRejected),
        (429, "", errors.Throttled),
        (400, '{"error_code": "APIG.0308"}', errors.Throttled),
        (500, '{"error_code": "APIGW.0605"}', errors.ServerFailed),
        (503, '{"error_code": "DLI.0999"}', errors.ServerFailed),
        (504, "null", errors.ServerFailed),
        (599, "[]", errors.ServerFailed),
    ],
)
def test_refusals_by_code_and_status(status: int, body: str, kind: type[DliError]) -> None:
    assert type(parse_error(status, body.encode())) is kind


def test_the_gateways_echo_of_the_request_is_not_repeated() -> None:
    error = parse_error(*example("error_apigw_0301_signature"))
    assert str(error) == (
        "HTTP 401 APIGW.0301: Incorrect IAM authentication information: verify aksk signature fail"
    )


@pytest.mark.parametrize(("skew", "kind"), [(3600, "clock_skew"), (5, "signature"), (None, "sig")])
def test_a_rejected_signature_is_a_skewed_clock_if_the_date_says_so(
    skew: float | None, kind: str
) -> None:
    error = parse_error(*example("error_apigw_0301_signature"), skew=skew)
    assert error.reason.startswith(kind)
    assert ("+3600 s" in str(error)) is (skew == 3600)


def test_the_quota_is_read_out_of_the_text() -> None:
    error = parse_error(*example("error_429_apigw_0308"), retry_after=7.0)
    assert isinstance(error, errors.Throttled)
    assert (error.limit, error.retry_after) == (1.0, 7.0)


@pytest.mark.parametrize(
    ("text", "quota"),
    [
        ("x,limit:200,time:1 second", 200.0),
        ("limit:10,time:10 second", 1.0),
        ("limit:7200,time:2 hour", 1.0),
        ("limit:0,time:1 minute", None),
        ("limit:5,time:0 minute", None),
        ("limit:many", None),
    ],
)
def test_quotas(text: str, quota: float | None) -> None:
    assert parse_quota(text) == quota


@pytest.mark.parametrize(
    ("value", "seconds"),
    [
        (None, None),
        ("7", 7.0),
        (" 7 ", 7.0),
        ("1.5", 1.5),
        ("0", 0.0),
        ("-5", None),
        ("abc", None),
        ("", None),
        ("1000000000", 300.0),
        ("9" * 5000, 300.0),
        ("Fri, 20 Nov 2026 10:15:30 GMT", 30.0),
        ("Fri, 20 Nov 2026 10:14:00 GMT", 0.0),
        ("Fri, 20 Nov 2029 10:14:00 GMT", 300.0),
        ("Fri, 99 Nov 2026 10:15:30 GMT", None),
    ],
)
def test_retry_after(value: str | None, seconds: float | None) -> None:
    assert parse_retry_after(value, now=1795169700.0) == seconds


@pytest.mark.parametrize("junk", [None, "", "x", "0", "Fri, 20 Nov", "a b c d e f", "," * 99])
def test_junk_for_a_date_is_none(junk: str | None) -> None:
    assert parse_http_date(junk) is None


RECORDED = {
    "is_success": True,
    "message": "",
    "job_id": JOB,
    "status": "RUNNING",
    "sub_job_id": 1,
    "progress": 0.5,
    "sub_jobs": [
        {
            "id": 1,
            "name": "n",
            "status": "RUNNING",
            "stage_ids": [1],
            "submission_time": "Mon Jul 27 17:24:03 CST 2020",
            "killed_tasks_summary": {"x": 1},
            **dict.fromkeys(("num_tasks", "num_active_tasks", "num_completed_tasks"), 1),
        }
    ],
}
LISTED = json.loads((DATA / "list_jobs_running_full.json").read_text())["body"]
JUNK: tuple[object, ...] = (
    *(None, True, False, 0, -1, 1.5, 2**63, 10**300, -(10**30), "", "x", "5", "\ud800", "\0\n"),
    *([], [[]], [None], {}, {"a": {}}, [{"id": 1}] * 3, "true", "NaN", [{"key": "a"}]),
)


def mutated(value: Any, chance: random.Random) -> Any:
    """Give the document with some of its parts replaced by junk."""
    if chance.random() < 0.12:
        return chance.choice(JUNK)
    if isinstance(value, dict):
        return {k: mutated(v, chance) for k, v in value.items() if chance.random() > 0.05}
    if isinstance(value, list):
        return [mutated(item, chance) for item in value]
    return value


@pytest.mark.parametrize("seed", range(10))
def test_whatever_comes_is_read_or_refused_with_known_names(seed: int) -> None:
    chance = random.Random(seed)  # noqa: S311 - a seeded fuzz, no secret
    for _ in range(200):
        for document, parse in ((RECORDED, parse_progress), (LISTED, parse_jobs)):
            body = json.dumps(mutated(document, chance)).encode()
            try:
                read: Answer | JobsPage = parse(body)
            except errors.ParseError as error:
                named = {error.field}
            except DliError:
                continue
            else:
                named = {*read.unreadable, *read.out_of_range}
                repr(read).encode()  # no lone surrogate is left in any text
            assert named <= set(schema.FIELDS)
