"""What an operator may set: one model, whose field texts are the help."""

import ast
import inspect
import re
import sys
from itertools import pairwise
from pathlib import Path
from typing import Annotated, Any, Final, Literal, Self

from pydantic import (
    BaseModel,
    ConfigDict,
    Field,
    FilePath,
    PositiveInt,
    ValidationInfo,
    field_validator,
    model_validator,
)
from pydantic.types import DirectoryPath
from pydantic_settings import BaseSettings, PydanticBaseSettingsSource, SettingsConfigDict

from ..dli.endpoints import dli_endpoint, regions
from .values import (
    AnyPath,
    Duration,
    Endpoint,
    EngineType,
    JobId,
    JobType,
    ListenAddress,
    Name,
    PositiveDuration,
    PositiveNumber,
    ProjectId,
    ProjectName,
    QueueName,
    Secret,
    Several,
    TagFilter,
    TagKey,
    WebAddress,
    Zone,
    ZoneName,
    bad,
    once,
)

DEFAULT_PROJECT: Final = "default"
"""The project of top-level ``jobs``, of registrations and of the vendor's environment variables."""

_MOST_TAG_LABELS: Final = 10
"""Each is a label of every job's ``dli_job_info``."""


class Section(BaseModel):
    """A part of the settings: it refuses what it does not know, and never changes."""

    model_config = ConfigDict(extra="forbid", frozen=True, hide_input_in_errors=True)

    @model_validator(mode="before")
    @classmethod
    def _null_is_unset(cls, given: Any) -> Any:
        if not isinstance(given, dict):
            return given
        known = cls.model_fields
        return {
            name: value for name, value in given.items() if not (value is None and name in known)
        }


class ConfigFile(Section):
    """Where the settings are read from."""

    file: Path | None = None
    """YAML file with the settings; flags and the environment win over it."""


class StaticCredentials(Section):
    """An access key written into the settings."""

    provider: Literal["static"]
    """Kind of credentials."""
    ak: Secret
    """access key id"""
    sk: Secret
    """secret access key"""
    security_token: Secret | None = None
    """security token, for temporary access keys only"""


class FileCredentials(Section):
    """An access key in files, read again when they change."""

    provider: Literal["file"]
    """Kind of credentials."""
    directory: Path
    """directory with the files `ak`, `sk` and, for temporary keys, `security_token`"""


class TokenCredentials(Section):
    """An IAM token in a file, read again when it changes."""

    provider: Literal["token"]
    """Kind of credentials."""
    path: Path
    """file with an IAM token"""


Credentials = Annotated[
    StaticCredentials | FileCredentials | TokenCredentials, Field(discriminator="provider")
]


class Discovery(Section):
    """Which jobs of a project to find in DLI's list; a filter that is not set lets all pass."""

    enabled: bool = False
    """Find jobs, beside those that are named or registered."""
    interval: PositiveDuration = Duration("30s")
    """How often to read the list."""
    queues: Several[QueueName] = ()
    """Jobs in any of these queues."""
    owner: Name | None = None
    """Jobs that this user submitted."""
    tags: TagFilter = {}
    """Jobs that have all these tags."""
    job_types: Several[JobType] = ()
    """Jobs of any of these types, in capitals as DLI writes them."""
    database: Name | None = None
    """Jobs in this database."""
    engine_types: Several[EngineType] = ()
    """Jobs that any of these engines runs: `spark`, `hetuEngine`. DLI may write another case."""


class Project(Section):
    """A DLI project and the jobs in it that somebody cares about."""

    endpoint: Endpoint = ""
    """address of the DLI API; never empty once read"""
    region: str | None = Field(default=None, validate_default=True)
    """region, such as ap-southeast-3: it gives the endpoint"""
    project_id: ProjectId
    """id of the project, as "My Credentials" in the console shows it"""
    credentials: Credentials
    """section with a `provider`: static, file or token"""
    requests_per_second: PositiveNumber = 5
    """this project's share of the account's API quota"""
    ca_file: FilePath | None = None
    """PEM file with the certificate authorities of a private endpoint"""
    jobs: Several[JobId] = ()
    """ids of the jobs to watch"""
    discovery: Discovery = Discovery()
    """section about the jobs to find in DLI's list"""

    @model_validator(mode="before")
    @classmethod
    def _region_gives_endpoint(cls, given: Any) -> Any:
        if not isinstance(given, dict) or given.get("endpoint") is not None:
            return given
        region = given.get("region")
        found = dli_endpoint(region) if isinstance(region, str) else None
        return {**given, "endpoint": found} if found else given

    @field_validator("region")
    @classmethod
    def _endpoint_is_known(cls, region: str | None, others: ValidationInfo) -> str | None:
        if others.data.get("endpoint", "given, but wrong"):
            return region
        if region is None:
            raise bad("is missing; needed: a region, or an endpoint")
        raise bad(f"unknown region; set endpoint too, or one of: {', '.join(regions())}")


class Poll(Section):
    """How DLI is asked about jobs."""

    interval: PositiveDuration = Duration("15s")
    """How often to ask about each running job, if scrapes do not tell when."""
    align_to_scrapes: bool = True
    """Ask about each running job shortly before the scrape that the last ones let expect."""
    timeout: PositiveDuration = Duration("10s")
    """How long one answer may take."""


class Retention(Section):
    """How long a job that has ended stays in /metrics."""

    finished: Duration = Duration("15m")
    """How long it stays, and longer if no scrape has seen its end."""
    unscraped: PositiveDuration = Field(default=Duration("24h"), validate_default=True)
    """When it leaves even if no scrape has seen its end."""

    @field_validator("unscraped")
    @classmethod
    def _is_the_longer(cls, unscraped: Duration, others: ValidationInfo) -> Duration:
        finished = others.data.get("finished", unscraped)
        if unscraped < finished:
            raise bad(f"must not be shorter than retention.finished, which is {finished}")
        return unscraped


class Limits(Section):
    """How much is kept at most; ended jobs make room first, running ones never."""

    jobs: PositiveInt = 2_000
    """Jobs at a time."""
    series: PositiveInt = 200_000
    """Series about jobs at a time."""
    subjobs_per_job: PositiveInt = 200
    """Sub-jobs of a job at a time."""


class Tags(Section):
    """What the tags of a DLI job say about it."""

    name: TagKey | None = None
    """Tag with the job's name."""
    deadline: TagKey | None = None
    """Tag with the job's deadline, in RFC 3339 or as Unix seconds."""
    labels: Several[TagKey] = ()
    """Tag to show as the label tag_<key> of dli_job_info; may be repeated, up to 10 times."""

    @field_validator("labels")
    @classmethod
    def _labels_differ(cls, keys: tuple[str, ...]) -> tuple[str, ...]:
        if len(keys) > _MOST_TAG_LABELS:
            raise bad(f"must be at most {_MOST_TAG_LABELS} keys")
        if len({re.sub("[^a-zA-Z0-9_]", "_", key) for key in keys}) < len(keys):
            raise bad("must stay different with _ for every character but ASCII letters and digits")
        return keys


class History(Section):
    """What is learnt from runs of the past."""

    enabled: bool = True
    """Read finished runs from DLI's list, to tell when a job will end."""


class Web(Section):
    """The exporter's own HTTP server."""

    listen_address: ListenAddress = ListenAddress(":10296")
    """Where to serve /metrics."""
    enable_registration: bool = False
    """Let POST and DELETE on /api/v1/jobs add and remove jobs."""
    enable_lifecycle: bool = True
    """Let POST on /-/reload read the settings again."""
    linger: Duration = Duration("90s")
    """How long to stay after SIGTERM, at most, for the last states to be scraped."""


class Log(Section):
    """What is logged, on standard error."""

    level: Literal["debug", "info", "warning", "error"] = "info"
    """Least severe level to log."""
    format: Literal["logfmt", "json"] = "logfmt"
    """How log lines are written."""


class Simulator(Section):
    """The DLI simulator of `demo` and `simulate`."""

    listen_address: ListenAddress = ListenAddress("127.0.0.1:10297")
    """Where to serve the simulated DLI API."""
    timelines: DirectoryPath | None = None
    """Directory with recorded jobs to replay instead of the ones built in."""
    spark: WebAddress | None = None
    """URL of a live Spark application's UI to show instead of recordings."""
    speed: PositiveNumber = 1
    """How many times faster than recorded to replay."""
    loop: bool = True
    """Start the recordings again when they are over."""
    seed: int = 1
    """Seed of everything that happens at random."""
    requests_per_second: PositiveNumber | None = None
    """Throttle callers above this rate, as the API gateway does."""
    fault_rate: float = Field(default=0, ge=0, le=1)
    """Share of the answers that fail, from 0 to 1."""
    fault_status: int = Field(default=503, ge=400, le=599)
    """HTTP status of the answers that fail."""
    fault_delay: Duration = Duration("0s")
    """How long every answer is held back."""


class Settings(Section, BaseSettings):
    """Everything an operator may set; :func:`load` fills it.

    Made by hand it takes its arguments and defaults alone: no environment, no file.
    """

    model_config = SettingsConfigDict(
        # Flags and variables hold plain words, never JSON: a list is separated by commas.
        enable_decoding=False,
        cli_avoid_json=True,
        cli_hide_none_type=True,
        cli_implicit_flags=True,
        cli_kebab_case=True,
        cli_use_class_docs_for_groups=True,
    )

    config: ConfigFile = ConfigFile()
    projects: dict[ProjectName, Project] = {}
    """Projects by name; the name is the `project` label."""
    jobs: Several[JobId] = ()
    """Id of a job to watch in the project `default`; may be repeated."""
    jobs_dir: AnyPath | None = None
    """Directory with a file for each job to watch, which may come to be later. A job that names no
    project is in `default`."""
    subjobs: Literal["all", "running", "none"] = "all"
    """Sub-jobs that have series of their own."""
    poll: Poll = Poll()
    retention: Retention = Retention()
    limits: Limits = Limits()
    tags: Tags = Tags()
    history: History = History()
    web: Web = Web()
    log: Log = Log()
    zones: dict[ZoneName, Zone] = {}
    """What time zone abbreviations in DLI's answers mean, beside or instead of the usual."""
    simulator: Simulator = Simulator()

    @field_validator("jobs")
    @classmethod
    def _default_exists(cls, jobs: tuple[str, ...], others: ValidationInfo) -> tuple[str, ...]:
        if jobs and DEFAULT_PROJECT not in others.data.get("projects", {DEFAULT_PROJECT}):
            raise bad("belongs to the project `default`, which is not set; set projects.default")
        return jobs

    @model_validator(mode="after")
    def _default_gets_jobs(self) -> Self:
        if self.jobs:
            default = self.projects[DEFAULT_PROJECT]
            jobs = once((*default.jobs, *self.jobs))
            self.projects[DEFAULT_PROJECT] = default.model_copy(update={"jobs": jobs})
        return self

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],
        init_settings: PydanticBaseSettingsSource,
        *_: PydanticBaseSettingsSource,
        **__: PydanticBaseSettingsSource,
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        """Read nothing behind the caller's back: :func:`load` says what comes from where."""
        return (init_settings,)


def explain() -> None:
    """Make the text below each field its description, for ``--help`` and for mistakes.

    Pydantic's ``use_attribute_docstrings`` would do it at every start, for 30 ms.
    """
    classes = ast.parse(inspect.getsource(sys.modules[__name__])).body
    for model in (statement for statement in classes if isinstance(statement, ast.ClassDef)):
        for field, below in pairwise(model.body):
            match field, below:
                case ast.AnnAssign(target=ast.Name(name)), ast.Expr(ast.Constant(str(text))):
                    globals()[model.name].model_fields[name].description = inspect.cleandoc(text)
