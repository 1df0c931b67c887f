"""The metric catalogue: one row for each family, from which code, README and tests are made."""

import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from enum import StrEnum
from operator import attrgetter
from typing import Any, Final, NamedTuple, TypeAlias, TypeVar

from ..jobs.model import Details, Job, JobStatus, KillReason, Sighting, SubJobStatus
from ..jobs.progress import subjob_ratio

Sample: TypeAlias = tuple[tuple[str, ...], float]
"""The values of a family's own labels, in the order of its row, and the figure."""


class Type(StrEnum):
    """The metric types of the exposition formats that are used here."""

    GAUGE = "gauge"
    COUNTER = "counter"
    HISTOGRAM = "histogram"
    SUMMARY = "summary"


class Family(NamedTuple):
    """One row; ``labels`` are all of its labels, those of identity first."""

    name: str
    help: str
    labels: tuple[str, ...] = ()
    type: Type = Type.GAUGE


_Subject = TypeVar("_Subject")

Figure: TypeAlias = str | Callable[[_Subject], object]
"""What a row shows of a job or a sub-job: a field, or what a pure function returns.

None is what is not known: that is no sample, neither 0 nor NaN. Equal figures are shown alike,
so that nothing is shown anew while they are; of numbers 0.0 and -0.0 may differ all the same.
"""
Shown: TypeAlias = Callable[[Any], tuple[Sample, ...]]
"""The samples of a figure that is known."""


def figure_of(subject: _Subject, figure: Figure[_Subject]) -> object:
    """Return a row's figure of a subject; a field of what is not known is not known either."""
    if callable(figure):
        return figure(subject)
    value: object = subject
    for name in figure.split("."):
        value = None if value is None else getattr(value, name)
    return value


def samples_of(figure: Any, shown: Shown | None) -> tuple[Sample, ...]:
    """Return the samples of a row's figure, which is a number if nothing else is said."""
    if figure is None:
        return ()
    return (((), figure),) if shown is None else shown(figure)


class JobFamily(NamedTuple):
    """A row about a job.

    Its labels are ``project`` and ``job_id`` and then those that ``shown`` gives values for; if
    there are none of these, its figure is a number.
    """

    family: Family
    figure: Figure[Job]
    shown: Shown | None = None

    def samples(self, job: Job) -> tuple[Sample, ...]:
        """Return the samples of a job."""
        return samples_of(figure_of(job, self.figure), self.shown)


class SubJobFamily(NamedTuple):
    """A row about a listed sub-job.

    Its labels are ``project``, ``job_id`` and ``subjob_id`` and then those that ``shown`` gives
    values for; what is said of a :class:`JobFamily` holds here too.
    """

    family: Family
    figure: Figure[Sighting]
    shown: Shown | None = None

    def samples(self, job: Job) -> Iterator[Sample]:
        """Yield the samples of all listed sub-jobs, as a :class:`JobFamily` does."""
        for sighting in job.listed:
            for values, number in samples_of(figure_of(sighting, self.figure), self.shown):
                yield (str(sighting.subjob.id), *values), number


Row: TypeAlias = JobFamily | SubJobFamily


JOB: Final = ("project", "job_id")
SUBJOB: Final = (*JOB, "subjob_id")
INFO: Final = ("name", "queue_name", "job_type", "engine_type", "owner", "database_name")
_SUBJOB_STATUSES: Final = tuple(SubJobStatus)
CACHED: Final = "Cached: as of dli_job_last_update_timestamp_seconds."


def _row(
    name: str,
    description: str,
    figure: Figure[Job],
    shown: Shown | None = None,
    *labels: str,
) -> JobFamily:
    """Make a row about a job."""
    family = Family(f"dli_job_{name}", f"{description} {CACHED}", (*JOB, *labels))
    return JobFamily(family, figure, shown)


def _subjob_row(
    name: str,
    description: str,
    figure: Figure[Sighting],
    shown: Shown | None = None,
    *labels: str,
) -> SubJobFamily:
    """Make a row about the sub-jobs that the API lists."""
    family = Family(f"dli_subjob_{name}", description, (*SUBJOB, *labels))
    return SubJobFamily(family, figure, shown)


def tag_labels(tags: Iterable[str]) -> dict[str, str]:
    """Return the key of a tag by its label; a key whose label is taken gets another ``_``."""
    labels: dict[str, str] = {}
    for key in dict.fromkeys(tags):
        label = "tag_" + re.sub("[^a-zA-Z0-9_]", "_", key)
        while label in labels:
            label += "_"
        labels[label] = key
    return labels


_info: Final = attrgetter("name", "labels", "details")


def _labelled(keys: tuple[str, ...]) -> Shown:
    """Return how what is known of a job is shown, and its tags with these keys."""

    def shown(info: tuple[str, Mapping[str, str], Details | None]) -> tuple[Sample, ...]:
        name, labels, details = info
        known = details or Details()
        tags = (labels.get(key) or known.tags.get(key, "") for key in keys)
        own = (
            *(name, known.queue_name, known.job_type),
            *(known.engine_type, known.owner, known.database_name),
        )
        return (((*own, *tags), 1),)

    return shown


def _one_of(words: Iterable[str]) -> Shown:
    """Return how a word is shown: 1 for it, and 0 for the others."""
    words = tuple(words)
    samples = {word: tuple(((each,), int(each == word)) for each in words) for word in words}
    return samples.__getitem__


def _reported(job: Job) -> float | None:
    return job.progress if job.subjob_id is None else None


def _end(job: Job) -> float | None:
    ended = job.status is not None and job.status.terminal
    return job.details.end if job.details and ended else None


def _subjobs(job: Job) -> tuple[int, ...] | None:
    """Return how many sub-jobs have each status."""
    if job.status is None:
        return None
    listed = [sighting.subjob.status for sighting in job.listed]
    numbers, gone = tuple(map(listed.count, _SUBJOB_STATUSES)), job.gone.statuses
    if not gone:
        return numbers
    pairs = zip(_SUBJOB_STATUSES, numbers, strict=True)
    return tuple([number + gone.get(status, 0) for status, number in pairs])


def _by_subjob_status(numbers: tuple[int, ...]) -> tuple[Sample, ...]:
    pairs = zip(_SUBJOB_STATUSES, numbers, strict=True)
    return tuple([((status,), number) for status, number in pairs])


def _subjob_reported(job: Job) -> tuple[str, str] | None:
    """Return the sub-job and its progress, as text: 0.0 and -0.0 differ in nothing else."""
    if job.subjob_id is None or job.progress is None:
        return None
    return str(job.subjob_id), str(float(job.progress))


def _by_subjob(reported: tuple[str, str]) -> tuple[Sample, ...]:
    subjob_id, progress = reported
    return (((subjob_id,), float(progress)),)


def _named(name: str) -> tuple[Sample, ...]:
    return (((name,), 1),)


def _by_reason(killed: Mapping[KillReason, int]) -> tuple[Sample, ...]:
    return tuple([((reason,), tasks) for reason, tasks in sorted(killed.items())])


# What Spark counts: the field of Counts, and its meaning in one sub-job.
_COUNTS: Final = (
    ("tasks", "Tasks, those that will be skipped included."),
    ("tasks_active", "Tasks running now."),
    ("tasks_completed", "Tasks completed; one that ran again counts again."),
    ("tasks_skipped", "Tasks skipped; Spark tells only when a sub-job ends."),
    ("tasks_failed", "Task attempts that failed; Spark tries a task again."),
    ("tasks_killed", "Task attempts that were killed."),
    ("indices_completed", "Distinct task indices completed: the numerator of the ratio."),
    ("stages", "Stages."),
    ("stages_active", "Stages running now."),
    ("stages_completed", "Stages completed; goes back when a stage has to run again."),
    ("stages_skipped", "Stages skipped."),
    ("stages_failed", "Stages that failed."),
)
_SUMMED: Final = "Sum over all sub-jobs seen so far, at the last sight of each."

_FIXED: Final[tuple[Row, ...]] = (
    _row(
        "status",
        "1 for the status that the job has, 0 for the others.",
        "status",
        _one_of(JobStatus),
        "status",
    ),
    _row(
        "progress_ratio",
        "Work done over work expected, 0 to 1; falls when more turns up, 1 once FINISHED.",
        "ratio",
    ),
    _row(
        "reported_progress_ratio",
        "The progress that the API reports while it speaks of the whole job, as it is.",
        _reported,
    ),
    _row(
        "indices",
        "Task indices to complete as far as is known; the ratio counts on those to come as well.",
        "indices",
    ),
    *(_row(field, f"{meaning} {_SUMMED}", f"counts.{field}") for field, meaning in _COUNTS),
    _row(
        "subjobs",
        "Sub-jobs seen so far by status; UNKNOWN where the end was not seen.",
        _subjobs,
        _by_subjob_status,
        "status",
    ),
    _row("start_timestamp_seconds", "When the job started.", "details.start"),
    _row("end_timestamp_seconds", "When the job ended.", _end),
    _row(
        "last_progress_timestamp_seconds",
        "When a completed count last grew, or a status or the set of sub-jobs changed.",
        "last_progress",
    ),
    _row(
        "last_update_timestamp_seconds",
        "When the API last gave a good answer about the job.",
        "last_update",
    ),
    _row(
        "expected_duration_seconds",
        "Median duration of the last finished runs of the same statement.",
        "expected_duration",
    ),
    _row(
        "expected_end_timestamp_seconds",
        "When the job is expected to end, by the best estimate that there is.",
        "expected_end",
    ),
    _row(
        "expected_progress_ratio",
        "Share of the expected time that has passed, 0 to 1; absent without history.",
        "expected_ratio",
    ),
    _row(
        "deadline_timestamp_seconds",
        "When the job has to have ended, as its registration says.",
        "deadline",
    ),
    _row("input_bytes", "Bytes scanned.", "details.input_bytes"),
    _row("input_rows", "Rows read by an INSERT.", "details.input_rows"),
    _row("bad_rows", "Rows that an INSERT could not read.", "details.bad_rows"),
    _row("result_rows", "Rows returned or inserted.", "details.result_rows"),
    _row("output_bytes", "Bytes written.", "details.output_bytes"),
    _row("cpu_core_seconds", "CPU time used, in core-seconds.", "details.cpu_core_seconds"),
    _subjob_row(
        "info",
        "A sub-job that the API lists; name is its call site.",
        "subjob.name",
        _named,
        "name",
    ),
    _subjob_row(
        "status",
        "1 for the status that the sub-job has, 0 for the others.",
        "subjob.status",
        _one_of(SubJobStatus),
        "status",
    ),
    _subjob_row(
        "progress_ratio",
        "Indices completed over tasks not skipped, 0 to 1; 1 once SUCCEEDED.",
        lambda sighting: subjob_ratio(sighting.subjob),
    ),
    # The sub-job that it names need not be listed, so this is a row about the job.
    JobFamily(
        Family(
            "dli_subjob_reported_progress_ratio",
            "The progress that the API reports for the sub-job that it names, as it is: may"
            " exceed 1.",
            SUBJOB,
        ),
        _subjob_reported,
        _by_subjob,
    ),
    *(_subjob_row(field, meaning, f"subjob.counts.{field}") for field, meaning in _COUNTS),
    _subjob_row(
        "tasks_killed_by_reason",
        "Task attempts that were killed, by the reason that Spark gives.",
        "subjob.killed",
        _by_reason,
        "reason",
    ),
    _subjob_row(
        "submission_timestamp_seconds",
        "When Spark submitted the sub-job.",
        "subjob.submitted",
    ),
    _subjob_row(
        "completion_timestamp_seconds",
        "When the sub-job ended.",
        "subjob.completed",
    ),
    _subjob_row(
        "expected_end_timestamp_seconds",
        "When the sub-job is expected to end at the speed seen so far.",
        "expected_end",
    ),
)


def job_families(tags: tuple[str, ...] = ()) -> tuple[Row, ...]:
    """Return the rows about jobs and sub-jobs; dli_job_info shows the tags with these keys.

    What a registration says of a tag counts before what the list API says.
    """
    shown = tag_labels(tags)
    info = _row(
        "info",
        "A job that is tracked; a label not known as yet is empty.",
        _info,
        _labelled(tuple(shown.values())),
        *INFO,
        *shown,
    )
    return (info, *_FIXED)


JOBS: Final = job_families()

JOBS_ENDED: Final = Family(
    "dli_jobs_ended_total",
    "Jobs seen to end, each once.",
    ("project", "queue_name", "job_type", "status"),
    Type.COUNTER,
)
JOB_DURATION: Final = Family(
    "dli_job_duration_seconds",
    "Durations of the jobs seen to end, as the API tells them.",
    ("project", "queue_name", "job_type", "status"),
    Type.HISTOGRAM,
)
UP: Final = Family(
    "dli_up", "1 if the last call that mattered was answered and authorised.", ("project",)
)
BUILD_INFO: Final = Family(
    "dli_exporter_build_info",
    "The exporter's version.",
    ("version", "revision", "python_version"),
)
API_REQUESTS: Final = Family(
    "dli_exporter_api_requests_total",
    "Requests sent to the API, repeated ones included.",
    ("project", "endpoint"),
    Type.COUNTER,
)
API_REQUEST_ERRORS: Final = Family(
    "dli_exporter_api_request_errors_total",
    "Requests to the API that did not get a good answer.",
    ("project", "endpoint", "reason"),
    Type.COUNTER,
)
API_REQUEST_DURATION: Final = Family(
    "dli_exporter_api_request_duration_seconds",
    "Time from sending a request to the end of its answer or its failure.",
    ("project", "endpoint"),
    Type.HISTOGRAM,
)
API_RATE_LIMIT: Final = Family(
    "dli_exporter_api_requests_per_second_limit",
    "Requests a second that the exporter allows itself at present.",
    ("project",),
)
LAST_SUCCESS: Final = Family(
    "dli_exporter_last_success_timestamp_seconds",
    "When the API last gave a good answer.",
    ("project",),
)
JOB_AGE: Final = Family(
    "dli_exporter_job_age_seconds",
    "Age of the data of running jobs at this scrape.",
    ("project", "quantile"),
    Type.SUMMARY,
)
JOBS_TRACKED: Final = Family(
    "dli_exporter_jobs", "Jobs tracked, by what is known of them.", ("project", "state")
)
JOBS_RETIRED: Final = Family(
    "dli_exporter_jobs_retired_total",
    "Ended jobs that left the exposition.",
    ("project",),
    Type.COUNTER,
)
JOBS_RETIRED_UNSCRAPED: Final = Family(
    "dli_exporter_jobs_retired_unscraped_total",
    "Ended jobs that left the exposition before every scraper had seen their end.",
    ("project",),
    Type.COUNTER,
)
JOBS_DROPPED: Final = Family(
    "dli_exporter_jobs_dropped_total",
    "Jobs that are not exposed although somebody asked for them, or no longer.",
    ("project", "reason"),
    Type.COUNTER,
)
DISCOVERY_TRUNCATED: Final = Family(
    "dli_exporter_discovery_truncated",
    "1 if the list of jobs is longer than can be read.",
    ("project",),
)
REGISTRATIONS_REJECTED: Final = Family(
    "dli_exporter_registrations_rejected_total",
    "Registrations of jobs that were not accepted.",
    ("reason",),
    Type.COUNTER,
)
CONFIG_RELOAD_SUCCESSFUL: Final = Family(
    "dli_exporter_config_last_reload_successful",
    "1 if the settings could be read when they were last read.",
)
CONFIG_RELOAD_SUCCESS: Final = Family(
    "dli_exporter_config_last_reload_success_timestamp_seconds",
    "When the settings were last read successfully.",
)
PARSE_ERRORS: Final = Family(
    "dli_exporter_parse_errors_total",
    "Fields of answers that could not be read.",
    ("field",),
    Type.COUNTER,
)
OUT_OF_RANGE: Final = Family(
    "dli_exporter_out_of_range_values_total",
    "Figures in answers that cannot be: negative counts, progress outside of 0 to 1.",
    ("field",),
    Type.COUNTER,
)
SERIES: Final = Family("dli_exporter_series", "Series of jobs and sub-jobs exposed at present.")
SCRAPE_BYTES: Final = Family(
    "dli_exporter_scrape_bytes", "Size of the last answer to a scrape.", ("encoding",)
)
CREDENTIALS_EXPIRY: Final = Family(
    "dli_exporter_credentials_expiry_timestamp_seconds",
    "When the credential in use ends; absent for permanent keys.",
    ("project",),
)
CREDENTIALS_REFRESH_ERRORS: Final = Family(
    "dli_exporter_credentials_refresh_errors_total",
    "Failed attempts to obtain a credential.",
    ("project",),
    Type.COUNTER,
)
CLOCK_SKEW: Final = Family(
    "dli_exporter_clock_skew_seconds",
    "The exporter's clock less the API's, from the Date of its last answer.",
    ("project",),
)
SHARD_ORDINAL: Final = Family(
    "dli_exporter_shard_ordinal", "Which of the replicas this is that share the projects, from 0."
)
TOTAL_SHARDS: Final = Family(
    "dli_exporter_total_shards", "Replicas that are to share the projects, by the settings."
)

EXPORTER: Final[tuple[Family, ...]] = (
    JOBS_ENDED,
    JOB_DURATION,
    UP,
    BUILD_INFO,
    API_REQUESTS,
    API_REQUEST_ERRORS,
    API_REQUEST_DURATION,
    API_RATE_LIMIT,
    LAST_SUCCESS,
    JOB_AGE,
    JOBS_TRACKED,
    JOBS_RETIRED,
    JOBS_RETIRED_UNSCRAPED,
    JOBS_DROPPED,
    DISCOVERY_TRUNCATED,
    REGISTRATIONS_REJECTED,
    CONFIG_RELOAD_SUCCESSFUL,
    CONFIG_RELOAD_SUCCESS,
    PARSE_ERRORS,
    OUT_OF_RANGE,
    SERIES,
    SCRAPE_BYTES,
    CREDENTIALS_EXPIRY,
    CREDENTIALS_REFRESH_ERRORS,
    CLOCK_SKEW,
    SHARD_ORDINAL,
    TOTAL_SHARDS,
)

FAMILIES: Final[tuple[Family, ...]] = (*(row.family for row in JOBS), *EXPORTER)


def table() -> str:
    """Return the whole catalogue as a Markdown table, as README shows it."""
    rows = (
        f"| `{family.name}` | {family.type} | {_names(family.labels)} | {family.help} |"
        for family in FAMILIES
    )
    return "\n".join(("| name | type | labels | help |", "| --- | --- | --- | --- |", *rows))


def _names(labels: tuple[str, ...]) -> str:
    return ", ".join(f"`{label}`" for label in labels)
