"""The check of PromQL against the catalogue finds what cannot be true."""

import pytest

from .promql import KNOWN, WrongPromql, expand, labels, matched, metrics, selectors

JOB = {"project", "job_id"}
TARGET = {"job", "instance"}
STATUS = JOB | TARGET | {"status"}
ENDED = {"project", "queue_name", "job_type", "status"}


@pytest.mark.parametrize(
    ("expression", "found"),
    [
        ("dli_job_progress_ratio", JOB | TARGET),
        ('dli_job_status{status="FAILED"} offset 5m', STATUS),
        ("max by (project, job_id) (dli_job_status)", JOB),
        ("max without (instance, job) (dli_job_status)", JOB | {"status"}),
        ("sum(dli_jobs_ended_total)", set()),
        ("topk by (project) (3, dli_job_tasks)", JOB | TARGET),
        ("topk(3, max by (job_id) (dli_job_tasks))", {"job_id"}),
        ("time() - dli_job_start_timestamp_seconds", JOB | TARGET),
        ("1 + 2", set()),
        ("up * on (job) group_left (project) dli_up", TARGET | {"project"}),
        ("dli_job_tasks * ignoring (status) group_right () dli_job_status", STATUS),
        ("dli_job_tasks / on (job_id) dli_job_stages", {"job_id"}),
        ("dli_job_tasks and on (job_id) dli_job_info", JOB | TARGET),
        ("max by (job_id) (dli_job_tasks) or max by (project) (dli_up)", JOB),
        ('label_replace(dli_up, "column", "A", "", "")', TARGET | {"project", "column"}),
        ('label_join(dli_job_info, "both", "/", "name", "owner")', {"both"}),
        ("rate(dli_jobs_ended_total[5m])", TARGET | ENDED),
        ("max_over_time(dli_up[1h:1m])", TARGET | {"project"}),
        ("histogram_quantile(0.9, sum by (le) (dli_job_duration_seconds_bucket))", set()),
        ("dli_exporter_job_age_seconds_count", TARGET | {"project"}),
        ("absent(dli_up)", set()),
        ("-up", TARGET),
    ],
)
def test_the_labels_of_a_result(expression: str, found: set[str]) -> None:
    result = labels(expression)
    assert result >= found if "both" in found else result == found


@pytest.mark.parametrize(
    ("expression", "complaint"),
    [
        ("dli_job_progress", "no such metric: dli_job_progress"),
        ('{job="x"}', "no such metric"),
        ("dli_jobs_ended", "no such metric"),
        ("dli_job_duration_seconds", "no such metric"),
        ('dli_job_tasks{queue_name="x"}', "no label queue_name"),
        ("max by (name) (dli_job_tasks)", "no label name"),
        ("max without (name) (dli_job_tasks)", "no label name"),
        ("dli_job_tasks * on (job_id) group_left (names) dli_job_info", "no label names"),
        ("dli_job_tasks and on (queue_name) dli_job_info", "no label queue_name"),
        ("dli_job_tasks * ignoring (nothing) dli_job_stages", "no label nothing"),
        ("dli_job_tasks * dli_job_info", "on one side only"),
        ('label_replace(dli_up, "a", "$1", "jobs", "(.*)")', "no label jobs"),
        ('label_join(dli_up, "a", "/", "jobs")', "no label jobs"),
        ("histogram_quantile(0.9, dli_up)", "no label le"),
        ("rate(dli_up)", "expected"),
        ("max by (job_id (dli_up)", "max by"),
    ],
)
def test_what_cannot_be_true_is_refused(expression: str, complaint: str) -> None:
    with pytest.raises(WrongPromql) as wrong:
        labels(expression)
    assert complaint in str(wrong.value)


def test_series_of_others_can_be_added() -> None:
    known = {**KNOWN, "job_id:tasks:sum": frozenset({"job_id"})}
    assert labels("job_id:tasks:sum > 1", known) == {"job_id"}
    with pytest.raises(WrongPromql):
        labels("job_id:tasks:sum > 1")


def test_what_an_expression_selects() -> None:
    expression = 'sum(rate(dli_jobs_ended_total{status="FAILED"}[5m])) / scalar(up{job=~"$job"})'
    assert metrics(expression) == {"dli_jobs_ended_total", "up"}
    assert [matched(each) for each in selectors(expression)] == [
        {"status": "FAILED"},
        {"job": "$job"},
    ]


def test_variables_are_replaced_and_references_of_regexes_stay() -> None:
    text = 'a[$__range] b="$job" c="${job:regex}" d="$1" e=$unknown'
    assert expand(text, {"__range": "3h", "job": "x"}) == 'a[3h] b="x" c="x" d="$1" e=$unknown'
