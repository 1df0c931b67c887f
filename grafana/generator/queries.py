"""The PromQL that the dashboards share: pure functions from selectors to expressions.

Several exporters may show one job: whatever is about a job is folded to one series for each
``project`` and ``job_id`` before anything is counted or joined.
"""

from collections.abc import Iterable, Mapping
from typing import Final

ON_EXPORTER: Final = 'job=~"$job", instance=~"$instance"'
ON_PROJECT: Final = f'{ON_EXPORTER}, project=~"$project"'
ON_JOB: Final = f'{ON_PROJECT}, job_id=~"$job_id"'
QUEUE: Final = 'queue_name=~"$queue"'

BY_JOB: Final = "by (project, job_id)"
SAME_JOB: Final = "on (project, job_id)"
BY_SUBJOB: Final = "by (project, job_id, subjob_id)"
SAME_SUBJOB: Final = "on (project, job_id, subjob_id)"
SAME_TARGET: Final = "on (job, instance)"

RUNNING: Final = "RUNNING|SCALING"
LIVE: Final = "LAUNCHING|RUNNING|SCALING"
ENDED: Final = "FINISHED|FAILED|CANCELLED"

STATUSES: Final = (
    "UNKNOWN",
    "LAUNCHING",
    "SCALING",
    "RUNNING",
    "CANCELLED",
    "FAILED",
    "FINISHED",
)
"""A job's statuses, the later the further: where exporters differ, the furthest counts."""
SUBJOB_STATUSES: Final = ("UNKNOWN", "RUNNING", "FAILED", "SUCCEEDED")

_NO_VALUE: Final = "NaN"
"""What makes a cell that says that nothing is known; an absent one may take away its column."""


def per_job(metric: str, on: str, over: str = "") -> str:
    """Return a metric about jobs, folded over the exporters that show, or showed, them."""
    selector = f"{metric}{{{on}}}"
    return f"max {BY_JOB} ({f'last_over_time({selector}{over})' if over else selector})"


def per_subjob(metric: str, on: str) -> str:
    """Return a metric about sub-jobs, folded over the exporters that show them."""
    return f"max {BY_SUBJOB} ({metric}{{{on}}})"


def has_status(statuses: str, on: str, over: str = "") -> str:
    """Return the jobs that have one of the statuses, or had it at some time of ``over``.

    Of a job that exporters differ about the furthest status is the one that it has: who has
    lost the API goes on showing an old one.
    """

    def having(some: str) -> str:
        selector = f'dli_job_status{{{on}, status=~"{some}"}}'
        state = f"max_over_time({selector}{over})" if over else selector
        return f"max {BY_JOB} ({state}) == 1"

    later = STATUSES[max(map(STATUSES.index, statuses.split("|"))) + 1 :]
    if over or not later:
        return having(statuses)
    return f"({having(statuses)} unless {SAME_JOB} {having('|'.join(later))})"


def in_queue(on: str, over: str = "") -> str:
    """Return the jobs in the chosen queues; one whose queue is not known shows under All."""
    selector = f"dli_job_info{{{on}, {QUEUE}}}"
    return f"last_over_time({selector}{over})" if over else selector


def progress(on: str, over: str = "") -> str:
    """Return the share of the expected time where history gives one, else the honest ratio."""
    expected = per_job("dli_job_expected_progress_ratio", on, over)
    return f"({expected}\n    or {per_job('dli_job_progress_ratio', on, over)})"


def ended(on: str, over: str = "") -> str:
    """Return when jobs ended: without the list API, when an ended one last changed."""
    last = per_job("dli_job_last_progress_timestamp_seconds", on, over)
    told = per_job("dli_job_end_timestamp_seconds", on, over)
    return f"{told}\n    or ({last} and {has_status(ENDED, on, over)})"


def _code(metric: str, statuses: Iterable[str], by: str, on: str, over: str) -> str:
    def those(status: str) -> str:
        selector = f'{metric}{{{on}, status="{status}"}}'
        return f"(last_over_time({selector}{over}) == 1)" if over else f"({selector} == 1)"

    coded = (f"{code} * {those(status)}" for code, status in enumerate(statuses, 1))
    return f"max {by} (\n    " + "\n    or ".join(coded) + "\n  )"


def status(on: str, over: str = "") -> str:
    """Return each job's status as its number in `STATUSES`, from 1 on."""
    return _code("dli_job_status", STATUSES, BY_JOB, on, over)


def subjob_status(on: str) -> str:
    """Return each listed sub-job's status as its number in `SUBJOB_STATUSES`, from 1 on."""
    return _code("dli_subjob_status", SUBJOB_STATUSES, BY_SUBJOB, on, "")


def titles(on: str, over: str = "") -> str:
    """Return one series for each job, with ``name`` (the id where there is none) and queue.

    Exporters may know different names and queues of a job, or none: the most is taken, and of
    one job one only, or a join would fail.
    """

    def info(*known: str) -> str:
        selector = f"dli_job_info{{{', '.join((on, *known))}}}"
        return f"last_over_time({selector}{over})" if over else selector

    return f"""topk {BY_JOB} (1,
    max by (project, job_id, name, queue_name) (
      {info('name!=""', 'queue_name!=""')}
      or {SAME_JOB} {info('name!=""')}
      or {SAME_JOB} label_replace({info('name=""')}, "name", "$1", "job_id", "(.+)")
    )
  )"""


def subjob_titles(on: str) -> str:
    """Return one series for each listed sub-job, with its ``name``."""
    return f"""topk {BY_SUBJOB} (1,
    max by (project, job_id, subjob_id, name) (dli_subjob_info{{{on}}})
  )"""


def titled(value: str, on: str, over: str = "") -> str:
    """Return a value of each job, with the job's ``name`` and ``queue_name``."""
    return f"{value}\n* {SAME_JOB} group_left (name, queue_name)\n  {titles(on, over)}"


def titled_subjobs(value: str, on: str) -> str:
    """Return a value of each sub-job, with its ``name``."""
    return f"{value}\n* {SAME_SUBJOB} group_left (name)\n  {subjob_titles(on)}"


COLUMN: Final = "column"
"""The label that says in which column of a table a value belongs."""


def columns(values: Mapping[str, str]) -> str:
    """Return one expression with all the values of a table, by the columns' titles."""
    cells = (
        f'label_replace(\n  {value},\n  "{COLUMN}", "{title}", "", "")'
        for title, value in values.items()
    )
    return "(\n" + "\nor ".join(cells) + "\n)"


def or_unknown(value: str, everything: str) -> str:
    """Return a value for each series of ``everything``, not a number where there is none."""
    return f"({value}\n    or {_NO_VALUE} * {everything})"


def or_zero(count: str, over: str = "") -> str:
    """Return a count that is 0 while an exporter is there, and nothing while none is."""
    selector = f"dli_exporter_build_info{{{ON_EXPORTER}}}"
    there = f"max_over_time({selector}{over})" if over else selector
    return f"{count}\nor 0 * max({there})"


def of_exporters(value: str, over: str = "") -> str:
    """Return a value that every target has, for those that are, or were, exporters."""
    selector = f"dli_exporter_build_info{{{ON_EXPORTER}}}"
    there = f"last_over_time({selector}{over})" if over else selector
    return f"{value}\nand {SAME_TARGET} {there}"
