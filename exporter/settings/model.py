"""What an operator may set: one model, whose field texts are the help."""

import ast
import inspect
import re
import sys
from itertools import pairwise
from pathlib import Path
from typing import Annotated, Any, Final, Literal, Self, TypeVar, get_args

from pydantic import (
    BaseModel,
    ConfigDict,
    Field,
    FilePath,
    GetCoreSchemaHandler,
    NonNegativeInt,
    PositiveInt,
    SecretStr,
    ValidationInfo,
    field_validator,
    model_validator,
)
from pydantic.types import DirectoryPath
from pydantic_core import core_schema

from ..dli.endpoints import dli_endpoint, iam_endpoint, regions, sts_endpoint
from .values import (
    AnyPath,
    Duration,
    Endpoint,
    EngineType,
    InsideAddress,
    InsideUri,
    JobId,
    JobType,
    KeyDuration,
    ListenAddress,
    Name,
    Password,
    Policy,
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

    model_config = ConfigDict(
        extra="forbid",
        frozen=True,
        hide_input_in_errors=True,
        defer_build=True,  # when first used, as few are
    )

    @classmethod
    def unset(cls) -> Self:
        """Return it with nothing set, which ``cls()`` would build a validator for, 1 ms each."""
        return cls.model_construct()

    @model_validator(mode="before")
    @classmethod
    def _null_is_unset(cls, given: Any) -> Any:
        if not isinstance(given, dict):
            return given
        known = cls.model_fields
        return {
            name: value for name, value in given.items() if not (value is None and name in known)
        }


class _WhenSet:
    """Lets pydantic build the validator of a section when one is set, as few are in a sidecar.

    To build all of them took 3 ms more of its start, and 0.2 MiB.
    """

    def __get_pydantic_core_schema__(
        self, source: Any, handler: GetCoreSchemaHandler
    ) -> core_schema.CoreSchema:
        """Read what *source* is; of several kinds the one that ``provider`` names."""
        if kinds := get_args(source):
            choices = {
                get_args(kind.model_fields["provider"].annotation)[0]: _by(kind) for kind in kinds
            }
            return core_schema.tagged_union_schema(choices, discriminator="provider")
        return _by(source)


def _by(section: type[Section]) -> core_schema.CoreSchema:
    # Not the method itself: to take it from the class would build the validator now.
    return core_schema.no_info_plain_validator_function(lambda given: section.model_validate(given))


S = TypeVar("S")
Part = Annotated[S, _WhenSet()]
"""A section, or one of several, within another."""


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


class PasswordCredentials(Section):
    """An IAM user's password, exchanged for a token of the project."""

    provider: Literal["password"]
    """Kind of credentials."""
    domain: Name
    """name of the account that the user belongs to"""
    username: Name
    """name of the IAM user"""
    password: Password | None = None
    """the user's password"""
    password_file: AnyPath | None = Field(default=None, validate_default=True)
    """file with the user's password, instead of the password itself"""

    @field_validator("password_file")
    @classmethod
    def _one_password(cls, path: Path | None, others: ValidationInfo) -> Path | None:
        known = "password" in others.data  # or it is wrong itself
        if known and (path is None) == (others.data["password"] is None):
            raise bad("needed: password_file or password, and not both")
        return path


class PodIdentityCredentials(Section):
    """Temporary keys of the agency that CCE binds to the pod's service account."""

    provider: Literal["pod_identity"]
    """Kind of credentials."""
    uri: InsideUri
    """where CCE hands out keys; it puts HC_CONTAINER_CREDENTIALS_FULL_URI into the pod"""
    token_file: AnyPath
    """file with the pod's own token; CCE puts HC_CONTAINER_AUTHORIZATION_TOKEN_FILE into the pod"""


class OidcCredentials(Section):
    """Temporary keys for a token of an OpenID Connect provider, such as a Kubernetes cluster.

    By an identity provider of IAM (`idp_id`), or by an agency that STS gives (the URNs).
    """

    provider: Literal["oidc"]
    """Kind of credentials."""
    token_file: AnyPath | None = None
    """file with the ID token, read again for each renewal"""
    id_token: Secret | None = Field(default=None, validate_default=True)
    """the ID token itself, which lives hardly longer than its first keys"""
    idp_id: Name | None = None
    """id of the identity provider in IAM"""
    provider_urn: Name | None = None
    """URN of the identity provider"""
    agency_urn: Name | None = Field(default=None, validate_default=True)
    """URN of the agency to take on"""
    session_name: Name = "dli-exporter"
    """name of the session in the audit trail"""
    duration: KeyDuration | None = None
    """how long keys live, 15m to 24h"""
    policy: Policy | None = None
    """policy that narrows the agency's, as JSON"""
    policy_ids: Several[Name] = ()
    """ids of policies that narrow the agency's"""
    sts_endpoint: Endpoint | None = None
    """address of STS, unless the region gives it"""

    @field_validator("id_token")
    @classmethod
    def _one_token(cls, token: SecretStr | None, others: ValidationInfo) -> SecretStr | None:
        known = "token_file" in others.data  # or it is wrong itself
        if known and (token is None) == (others.data["token_file"] is None):
            raise bad("needed: token_file or id_token, and not both")
        return token

    @field_validator("agency_urn")
    @classmethod
    def _one_way(cls, agency: str | None, others: ValidationInfo) -> str | None:
        urns = (agency, others.data.get("provider_urn"))
        if not {"idp_id", "provider_urn"} <= others.data.keys():
            return agency  # wrong themselves
        if any(urns) == bool(others.data.get("idp_id")) or any(urns) != all(urns):
            raise bad("needed: either idp_id, or provider_urn and agency_urn")
        return agency


class MetadataCredentials(Section):
    """Temporary keys of the agency that an ECS server has, from its metadata service."""

    provider: Literal["metadata"]
    """Kind of credentials."""
    endpoint: InsideAddress = "http://169.254.169.254"
    """address of the metadata service"""


Credentials = Part[
    StaticCredentials
    | FileCredentials
    | TokenCredentials
    | PasswordCredentials
    | PodIdentityCredentials
    | OidcCredentials
    | MetadataCredentials
]
"""What :mod:`.providers` makes of `auto` is one of these, too."""


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
    project_id: ProjectId | None = Field(default=None, validate_default=True)
    """id of the project, as "My Credentials" in the console shows it; looked up by the region's
    name unless set"""
    credentials: Credentials
    """section with provider: static, file, token, password, pod_identity, oidc, metadata, auto"""
    iam_endpoint: Endpoint | None = Field(default=None, validate_default=True)
    """address of IAM, unless the region gives it; needed by some providers, and to look up the
    project"""
    requests_per_second: PositiveNumber = 5
    """this project's share of the account's API quota"""
    ca_file: FilePath | None = None
    """PEM file with the certificate authorities of a private endpoint"""
    jobs: Several[JobId] = ()
    """ids of the jobs to watch"""
    discovery: Part[Discovery] = Discovery.unset()
    """section about the jobs to find in DLI's list"""

    @model_validator(mode="before")
    @classmethod
    def _region_gives_endpoints(cls, given: Any) -> Any:
        if not isinstance(given, dict) or not isinstance(region := given.get("region"), str):
            return given
        found = {"endpoint": dli_endpoint(region), "iam_endpoint": iam_endpoint(region)}
        wanted = {name for name in found if given.get(name) is None}
        return {**given, **{name: found[name] for name in wanted if found[name]}}

    @field_validator("region")
    @classmethod
    def _endpoint_is_known(cls, region: str | None, others: ValidationInfo) -> str | None:
        if others.data.get("endpoint", "given, but wrong"):
            return region
        if region is None:
            raise bad("is missing; needed: a region, or an endpoint")
        raise bad(f"unknown region; set endpoint too, or one of: {', '.join(regions())}")

    @field_validator("project_id")
    @classmethod
    def _can_be_found(cls, project_id: str | None, others: ValidationInfo) -> str | None:
        if project_id is None and others.data.get("region", "given, but wrong") is None:
            raise bad("is missing; needed: id of the project, or its region to look it up by")
        return project_id

    @field_validator("credentials")
    @classmethod
    def _sts_is_known(cls, given: Credentials, others: ValidationInfo) -> Credentials:
        by_sts = isinstance(given, OidcCredentials) and given.agency_urn and not given.sts_endpoint
        if by_sts and sts_endpoint(others.data.get("region") or "") is None:
            raise bad("needs sts_endpoint: it is not known for this region")
        return given

    @field_validator("iam_endpoint")
    @classmethod
    def _iam_is_known(cls, endpoint: str | None, others: ValidationInfo) -> str | None:
        credentials = others.data.get("credentials")
        if endpoint or credentials is None or not {"region", "project_id"} <= others.data.keys():
            return endpoint
        if isinstance(credentials, PasswordCredentials) or getattr(credentials, "idp_id", None):
            raise bad("is missing; needed: address of IAM for these credentials, or a known region")
        if others.data["project_id"] is None:
            raise bad("is missing; needed: address of IAM to look up the project, or a project_id")
        return endpoint


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


class WebConfigFile(Section):
    """Who may come in over HTTP, and whether it is encrypted."""

    file: AnyPath | None = None
    """File as exporter-toolkit's, with TLS, users, headers and a rate limit."""


class Web(Section):
    """The exporter's own HTTP server."""

    listen_address: ListenAddress = ListenAddress(":10296")
    """Where to serve /metrics."""
    probe_address: ListenAddress | None = None
    """Where to serve /-/started, /-/healthy and /-/ready alone, without TLS and users."""
    config: Part[WebConfigFile] = WebConfigFile.unset()
    max_connections: PositiveInt = 128
    """Connections at a time; one more takes the place of the one that is idle for longest."""
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


class Settings(Section):
    """Everything an operator may set; :func:`load` fills it."""

    config: Part[ConfigFile] = ConfigFile.unset()
    projects: dict[ProjectName, Project] = {}
    """Projects by name; the name is the `project` label."""
    jobs: Several[JobId] = ()
    """Id of a job to watch in the project `default`; may be repeated."""
    jobs_dir: AnyPath | None = None
    """Directory with a file for each job to watch, which may come to be later. A job that names no
    project is in `default`."""
    subjobs: Literal["all", "running", "none"] = "all"
    """Sub-jobs that have series of their own."""
    poll: Part[Poll] = Poll.unset()
    retention: Part[Retention] = Retention.unset()
    limits: Part[Limits] = Limits.unset()
    tags: Part[Tags] = Tags.unset()
    history: Part[History] = History.unset()
    web: Part[Web] = Web.unset()
    log: Part[Log] = Log.unset()
    total_shards: PositiveInt = 1
    """Replicas that share the projects among them."""
    shard: NonNegativeInt = 0
    """Which of them this is, counted from 0."""
    zones: dict[ZoneName, Zone] = {}
    """What time zone abbreviations in DLI's answers mean, beside or instead of the usual."""
    simulator: Part[Simulator] = Simulator.unset()

    @field_validator("jobs")
    @classmethod
    def _default_exists(cls, jobs: tuple[str, ...], others: ValidationInfo) -> tuple[str, ...]:
        if jobs and DEFAULT_PROJECT not in others.data.get("projects", {DEFAULT_PROJECT}):
            raise bad("belongs to the project `default`, which is not set; set projects.default")
        return jobs

    @field_validator("shard")
    @classmethod
    def _is_one_of_them(cls, shard: int, others: ValidationInfo) -> int:
        total = others.data.get("total_shards")  # None: is wrong itself
        if total is not None and shard >= total:
            raise bad(f"must be less than total_shards, which is {total}")
        return shard

    @model_validator(mode="after")
    def _default_gets_jobs(self) -> Self:
        if self.jobs:
            default = self.projects[DEFAULT_PROJECT]
            jobs = once((*default.jobs, *self.jobs))
            self.projects[DEFAULT_PROJECT] = default.model_copy(update={"jobs": jobs})
        return self


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
