"""Nothing of a secret leaves when credentials are obtained, either, whatever goes wrong."""

import asyncio
import json
from collections.abc import Callable, Iterator, Mapping
from contextlib import AsyncExitStack
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Final

import pytest

from exporter.settings import Settings
from exporter.simulator import Fault, Project, Scene, Simulator
from exporter.simulator import serve as simulate

from .cloud import (
    ASSUME,
    ID_TOKENS,
    KINDS,
    METADATA_KEYS,
    NAMED,
    POD,
    REACHABLE,
    REGION,
    SECURITY_TOKENS,
    TOKENS,
    Cloud,
    keep,
    moment,
    provider,
    serving,
)
from .test_secrets import Canaries, Outputs, canary, logged, look

JOB: Final = "85798b38-ae44-48eb-bb90-7cf0dcdafe7b"
LAST: Final = {
    "pod_identity": POD,
    "metadata": METADATA_KEYS,
    "oidc-iam": SECURITY_TOKENS,
    "oidc-sts": ASSUME,
    "password": TOKENS,
}
"""What hands the credential out in the end."""
FIRST: Final = {**LAST, "oidc-iam": ID_TOKENS}


@dataclass(frozen=True)
class Known(Canaries):
    """The secrets that one project exchanges for others, and these."""

    @property
    def offered(self) -> str:
        """What is sent: the pod's token, the ID token, the metadata token or the password."""
        return canary(self.name, "offered")

    def leaks(self, text: str) -> list[str]:
        low = text.lower()
        parts = {self.offered[first : first + 10] for first in range(len(self.offered) - 9)}
        return super().leaks(text) + [part for part in parts if part in low]

    def document(self) -> dict[str, Any]:
        """Write credentials with nothing right but the secrets."""
        keys = {"access": self.ak, "secret": self.sk, "securitytoken": self.security_token}
        return {**keys, "expires_at": self.sk}


Failure = Callable[[Cloud, str, Known], None]


@dataclass(frozen=True)
class Mode:
    """One way to fail, of the service (``kind``), of DLI or of the settings."""

    kind: str
    failure: Failure | None = None
    fault: Fault | None = None
    project: Mapping[str, Any] = field(default_factory=dict)
    credentials: Mapping[str, Any] = field(default_factory=dict)


def echo(cloud: Cloud, kind: str, known: Known) -> None:
    """Tell what was sent, as Keystone tells what is wrong."""
    error = {"code": 401, "message": f"{known.offered} is wrong", "title": known.offered}
    cloud.fail(FIRST[kind], status=401, body=json.dumps({"error": error}))


def echo_code(cloud: Cloud, kind: str, known: Known) -> None:
    body = {"error_code": "IAM.0001", "error_msg": f"password: {known.offered}"}
    cloud.fail(FIRST[kind], status=403, body=json.dumps(body))


def page(cloud: Cloud, kind: str, known: Known) -> None:
    cloud.fail(FIRST[kind], status=502, body=f"<html>{known.offered} {known.bare()}</html>")


def junk(cloud: Cloud, kind: str, known: Known) -> None:
    """Hand the secrets out in something that is not JSON."""
    cloud.fail(LAST[kind], status=200, body=f"{known.bare()} {known.offered}")


def other_types(cloud: Cloud, kind: str, known: Known) -> None:
    body = {"credential": [known.sk], "credentials": known.bare(), "token": {known.sk: 1}}
    cloud.fail(LAST[kind], status=201, body=json.dumps(body), X_Subject_Token=known.token)


def no_end(cloud: Cloud, kind: str, known: Known) -> None:
    token = {"expires_at": known.token, "project": {"id": known.sk}}
    body = {"credential": known.document(), "token": token}
    cloud.fail(LAST[kind], status=201, body=json.dumps(body), X_Subject_Token=known.token)


def two_words(cloud: Cloud, kind: str, known: Known) -> None:
    """Hand out what can stand in no header."""
    words = {**known.document(), "access": known.bare(), "expires_at": moment(cloud.now() + 900)}
    token = {"expires_at": moment(cloud.now() + 900), "project": {"id": known.bare()}}
    body = {"credential": words, "token": token}
    cloud.fail(LAST[kind], status=201, body=json.dumps(body), X_Subject_Token=known.token)


def redirect(cloud: Cloud, kind: str, known: Known) -> None:
    cloud.fail(FIRST[kind], status=307, Location=f"https://{known.sk}.example.com/{known.offered}")


def hang(cloud: Cloud, kind: str, known: Known) -> None:
    cloud.open.clear()


FAILURES: Final[tuple[Failure, ...]] = (
    *(echo, echo_code, page, junk, other_types, no_end, two_words, redirect, hang),
)


def modes() -> Iterator[tuple[str, Mode]]:
    for kind in KINDS:
        for failure in FAILURES:
            yield f"{kind}-{failure.__name__}", Mode(kind, failure)
        name = f"{kind}-refused-by-dli"
        yield (
            name,
            Mode(kind, fault=Fault(status=401, message=Known(name).echo(), code="APIGW.0301")),
        )
    name = "refused-bare"
    yield name, Mode("oidc-sts", fault=Fault(status=403, message=Known(name).bare(), code="X.1"))
    yield "lookup-echo", Mode("pod_identity", echo_lookup, project={"project_id": None})
    yield "lookup-secret-names", Mode("metadata", secret_names, project={"project_id": None})
    yield "no-file", Mode("pod_identity", credentials={"token_file": "/nonexistent/token"})
    yield "no-service", Mode("metadata", credentials={"endpoint": "http://127.0.0.1:1"})


def echo_lookup(cloud: Cloud, kind: str, known: Known) -> None:
    cloud.fail(REACHABLE, status=403, body=json.dumps({"message": known.echo()}))
    cloud.fail(NAMED, status=401, body=json.dumps({"message": known.bare()}))


def secret_names(cloud: Cloud, kind: str, known: Known) -> None:
    cloud.projects = [cloud.row(known.bare(), known.bare()), cloud.row("p", f"{known.sk}!")]


MODES: Final = dict(modes())


@pytest.fixture(scope="module")
def outputs(tmp_path_factory: pytest.TempPathFactory) -> Outputs:
    """Let one exporter meet every failure at once."""
    found = Outputs()
    with logged(found):
        asyncio.run(failing(tmp_path_factory.mktemp("credentials"), found))
    return found


async def failing(directory: Path, found: Outputs) -> None:
    simulator = Simulator(
        projects=[Project(id=name, ak=f"own-{name}", sk="own") for name in MODES],
        scene=Scene(jobs=0),
    )
    for name, mode in MODES.items():
        simulator.add("sql_aqe", project=name, job_id=JOB, start=simulator.now() - 60)
        if mode.fault:
            simulator.faults.add(replace(mode.fault, project=name))
    async with AsyncExitStack() as stack:
        address = await stack.enter_async_context(simulate(simulator))
        projects = {}
        for name, mode in MODES.items():
            cloud = await stack.enter_async_context(serving(service(name, simulator)))
            if mode.failure:
                mode.failure(cloud, mode.kind, Known(name))
            projects[name] = project(name, mode, address, cloud, directory / name)
        given = {
            "projects": projects,
            "poll": {"interval": "1h", "timeout": "300ms"},
            "web": {"listen_address": "127.0.0.1:0", "linger": "0s"},
        }
        await look(Settings.model_validate(given), found)


def service(name: str, simulator: Simulator) -> Cloud:
    """Make a cloud that issues the canaries of one project for those that it is offered."""
    known = Known(name)
    keys = {each: getattr(known, each) for each in ("ak", "sk", "security_token", "token")}
    return Cloud(
        simulator.gateway.projects[name],
        simulator.gateway,
        make=lambda project, number: replace(project, **keys),
        pod_token=known.offered,
        id_token=known.offered,
        password=known.offered,
        metadata_token=known.offered,
    )


def project(name: str, mode: Mode, address: str, cloud: Cloud, directory: Path) -> dict[str, Any]:
    directory.mkdir()
    return {
        "endpoint": address,
        "region": REGION,
        "iam_endpoint": cloud.address,
        "project_id": name,
        "requests_per_second": 1000,
        "credentials": {**provider(mode.kind, cloud, directory), **mode.credentials},
        "jobs": [JOB],
        **mode.project,
    }


def test_there_are_more_than_twenty_ways_to_fail() -> None:
    assert len(MODES) > 20


@pytest.mark.parametrize("name", MODES)
def test_the_failure_happens(outputs: Outputs, name: str) -> None:
    """Or the other tests would prove nothing."""
    lines = [line for line in outputs.logs["logfmt"].splitlines() if f"project={name} " in line]
    assert any('msg="calls fail"' in line for line in lines), lines
    (line,) = [line for line in outputs.checks.splitlines() if line.startswith(f"{name}: ")]
    assert line.startswith(f"{name}: failed (")


@pytest.mark.parametrize("name", MODES)
def test_no_page_shows_a_secret(outputs: Outputs, name: str) -> None:
    for path, text in outputs.pages.items():
        assert Known(name).leaks(text) == [], path


@pytest.mark.parametrize("name", MODES)
@pytest.mark.parametrize("form", ["logfmt", "json"])
def test_no_log_line_shows_a_secret(outputs: Outputs, form: str, name: str) -> None:
    for line in outputs.logs[form].splitlines():
        assert Known(name).leaks(line) == [], line


@pytest.mark.parametrize("name", MODES)
def test_no_exception_shows_a_secret(outputs: Outputs, name: str) -> None:
    for line in outputs.errors[name].splitlines():
        assert Known(name).leaks(line) == [], line


@pytest.mark.parametrize("name", MODES)
def test_check_shows_no_secret(outputs: Outputs, name: str) -> None:
    assert Known(name).leaks(outputs.checks) == []


def test_canaries_are_found_where_they_leak(tmp_path: Path) -> None:
    known = Known("any")
    for text in (known.ak, known.sk[5:25], known.token[:12], known.offered[3:14].upper()):
        assert known.leaks(f"… {text} …")
    assert known.leaks(keep(tmp_path, "harmless", known.offered)) == []
