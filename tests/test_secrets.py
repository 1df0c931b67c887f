"""Nothing of a secret leaves, whatever goes wrong: tried with canaries in place of secrets."""

import asyncio
import json
import logging
import traceback
from collections.abc import Iterator, Mapping
from contextlib import AsyncExitStack, contextmanager
from dataclasses import dataclass, field, replace
from hashlib import sha256
from io import StringIO
from pathlib import Path
from typing import Any, Final

import pytest
from aiohttp import ClientSession

from exporter.app import Orders, serve
from exporter.check import check
from exporter.cli import run
from exporter.connection import connect
from exporter.dli.errors import DliError
from exporter.dli.listener import Listener
from exporter.dli.queries import JobsQuery
from exporter.logs import JsonFormatter, LogfmtFormatter
from exporter.settings import Settings
from exporter.simulator import Cut, Fault, Project, Scene, Simulator
from exporter.simulator import serve as simulate

_WINDOW: Final = 10
"""So many characters of a canary in a row are a leak."""
PAGES: Final = ("/metrics", "/api/v1/jobs", "/", "/-/ready", "/-/healthy", "/nowhere")


def canary(*parts: str) -> str:
    """Make up a secret that is found nowhere else: the same one for the same words."""
    return sha256("/".join(parts).encode()).hexdigest()


@dataclass(frozen=True)
class Canaries:
    """The secrets of one project."""

    name: str

    @property
    def ak(self) -> str:
        return canary(self.name, "ak")[:20].upper()

    @property
    def sk(self) -> str:
        return canary(self.name, "sk")[:40]

    @property
    def security_token(self) -> str:
        return canary(self.name, "security token") + "+/=="

    @property
    def token(self) -> str:
        return canary(self.name, "token") + canary(self.name, "more of the token")

    def leaks(self, text: str) -> list[str]:
        """Find parts of the secrets in a text."""
        secrets = (self.ak, self.sk, self.security_token, self.token)
        parts = {
            secret[first : first + _WINDOW]
            for secret in secrets
            for first in range(len(secret) - _WINDOW + 1)
        }
        low = text.lower()
        return [part for part in parts if part.lower() in low]

    def echo(self) -> str:
        """Write what a gateway may tell about a request, headers and all."""
        return (
            "verify aksk signature fail,canonicalRequest:GET|/v1/p/jobs/j/progress/||"
            f"host:dli.example.com|x-sdk-date:20261120T101500Z|x-security-token:"
            f"{self.security_token}||Authorization: SDK-HMAC-SHA256 Access={self.ak},"
            f" SignedHeaders=host;x-sdk-date, Signature={self.sk}; X-Auth-Token: {self.token}"
        )

    def bare(self) -> str:
        """Write the secrets of a key without a word that tells what they are."""
        return f"{self.sk} {self.security_token}"


@dataclass(frozen=True)
class Mode:
    """One way to fail: what a project's settings or answers are like, and what is counted."""

    reason: str
    fault: Fault | None = None
    project: Mapping[str, Any] = field(default_factory=dict)
    wrong: str = ""
    """Which of the simulator's secrets is another one than the exporter's."""
    files: Mapping[str, bytes] | None = None
    """The files of a directory of credentials; a token file is `token`."""


def error(name: str, status: int, code: str, *, bare: bool = False) -> Fault:
    known = Canaries(name)
    message = known.bare() if bare else known.echo()
    return Fault(status=status, code=code, message=message)


def page(name: str, status: int) -> Fault:
    body = f"<html><pre>{Canaries(name).echo()}</pre></html>"
    return Fault(status=status, body=body, content_type="text/html")


def body(name: str, **fields: object) -> Fault:
    return Fault(body=json.dumps({"is_success": True, **fields}))


def modes() -> Iterator[tuple[str, Mode]]:
    """Go through the ways to fail; a mode's canaries are made of its name."""
    yield "signature-refused", Mode("signature", wrong="sk")
    yield "key-unknown", Mode("key_unknown", wrong="ak")
    yield "security-token-refused", Mode("token", wrong="security_token")
    yield "token-refused", Mode("token", wrong="token", project=BY_TOKEN)
    yield "echo-401", Mode("signature", error("echo-401", 401, "APIGW.0301"))
    yield "echo-401-bare", Mode("unauthorized", error("echo-401-bare", 401, "X.1", bare=True))
    yield "echo-400", Mode("request", error("echo-400", 400, "DLI.0001"))
    yield "echo-400-bare", Mode("request", error("echo-400-bare", 400, "DLI.0001", bare=True))
    yield "echo-403", Mode("forbidden", error("echo-403", 403, "APIGW.0302", bare=True))
    yield "echo-404", Mode("endpoint", error("echo-404", 404, "APIGW.0101", bare=True))
    yield "echo-429", Mode("throttled", error("echo-429", 429, "APIGW.0308", bare=True))
    yield "echo-500", Mode("backend", error("echo-500", 500, "DLI.0005", bare=True))
    yield "echo-503", Mode("server", error("echo-503", 503, "APIGW.0202", bare=True))
    yield "echo-page-502", Mode("server", page("echo-page-502", 502))
    yield "echo-page-200", Mode("content_type", page("echo-page-200", 200))
    known = Canaries("echo-by-token")
    answer = {"error_code": "APIGW.0301", "error_msg": f"decrypt token fail: {known.token}"}
    yield (
        "echo-by-token",
        Mode("token", Fault(status=401, body=json.dumps(answer)), project=BY_TOKEN),
    )
    for name, text in {
        "list-of-errors": [
            {"errorCode": "DLI.0001", "errorMsg": Canaries("list-of-errors").echo()}
        ],
        "error-in-error": {
            "message": json.dumps(
                {"error_code": "DLI.0001", "error_msg": Canaries("error-in-error").echo()}
            )
        },
    }.items():
        yield name, Mode("request", Fault(status=400, body=json.dumps(text)))
    known = Canaries("not-a-success")
    yield "not-a-success", Mode("unsuccessful", body("", is_success=False, message=known.bare()))
    known = Canaries("no-json")
    yield "no-json", Mode("parse", Fault(body=f'{{"status": "{known.bare()}'))
    known = Canaries("wrong-types")
    yield "wrong-types", Mode("parse", body("", status={known.sk: known.security_token}))
    known = Canaries("another-job")
    yield "another-job", Mode("parse", body("", status="RUNNING", job_id=known.bare()))
    known = Canaries("strange-words")
    strange = {"id": 1, "name": known.bare(), "status": known.sk, "submission_time": known.sk}
    yield (
        "strange-words",
        Mode("", body("", status=known.sk, progress=known.sk, sub_jobs=[strange, known.bare()])),
    )
    known = Canaries("redirect")
    location = f"https://{known.sk}.example.com/?token={known.token}"
    yield "redirect", Mode("redirect", Fault(status=302, headers={"Location": location}))
    known = Canaries("odd-headers")
    headers = {"Retry-After": known.sk, "Content-Encoding": known.sk, "X-Echo": known.bare()}
    yield "odd-headers", Mode("server", Fault(status=503, headers=headers))
    yield "cut", Mode("connection", Fault(cut=Cut.BEFORE))
    yield (
        "cut-in-the-body",
        Mode("connection", replace(page("cut-in-the-body", 200), cut=Cut.IN_BODY)),
    )
    yield "too-late", Mode("timeout", Fault(delay=3600))
    yield "no-tls", Mode("tls", project={"endpoint": "https"})
    yield "nobody-there", Mode("connection", project={"endpoint": "http://127.0.0.1:1"})
    yield "no-such-host", Mode("dns", project={"endpoint": "https://dli.nowhere.invalid"})
    known = Canaries("two-words")
    keys = {"ak": known.ak.encode(), "sk": known.bare().encode()}
    yield "two-words", Mode("credentials", files=keys)
    known = Canaries("no-ascii")
    yield "no-ascii", Mode("credentials", files={"ak": b"x", "sk": f"{known.sk}é".encode()})
    known = Canaries("half-a-pair")
    yield "half-a-pair", Mode("credentials", files={"sk": known.sk.encode()})
    known = Canaries("token-of-lines")
    yield (
        "token-of-lines",
        Mode("credentials", files={"token": f"{known.token}\n{known.sk}".encode()}),
    )
    known = Canaries("too-large")
    yield "too-large", Mode("credentials", files={"token": known.token.encode() * 1000})


BY_TOKEN: Final = {"credentials": {"provider": "token"}}
MODES: Final = dict(modes())
JOB: Final = "85798b38-ae44-48eb-bb90-7cf0dcdafe7b"


@dataclass
class Outputs:
    """Everything that came out, by place."""

    pages: dict[str, str] = field(default_factory=dict)
    logs: dict[str, str] = field(default_factory=dict)
    errors: dict[str, str] = field(default_factory=dict)
    checks: str = ""


@contextmanager
def logged(found: Outputs) -> Iterator[None]:
    """Keep all that is logged as long as the block lasts, at the most talkative level."""
    streams = {"logfmt": StringIO(), "json": StringIO()}
    root = logging.getLogger()
    level, handlers = root.level, []
    for formatter, stream in zip(
        (LogfmtFormatter(), JsonFormatter()), streams.values(), strict=True
    ):
        handlers.append(logging.StreamHandler(stream))
        handlers[-1].setFormatter(formatter)
        root.addHandler(handlers[-1])
    root.setLevel(logging.DEBUG)
    try:
        yield
    finally:
        root.setLevel(level)
        for handler in handlers:
            root.removeHandler(handler)
        found.logs = {name: stream.getvalue() for name, stream in streams.items()}


@pytest.fixture(scope="module")
def outputs(tmp_path_factory: pytest.TempPathFactory) -> Outputs:
    """Let one exporter meet every failure at once."""
    found = Outputs()
    with logged(found):
        asyncio.run(failing(tmp_path_factory.mktemp("credentials"), found))
    return found


async def failing(directory: Path, found: Outputs) -> None:
    simulator = Simulator(projects=[simulated(name) for name in MODES], scene=Scene(jobs=0))
    for name, mode in MODES.items():
        simulator.add("sql_aqe", project=name, job_id=JOB, start=simulator.now() - 60)
        if mode.fault:
            simulator.faults.add(replace(mode.fault, project=name))

    async def never(_: float) -> None:
        await asyncio.Event().wait()

    async with simulate(simulator, wait=never) as address:
        await look(settings(address, directory), found)


async def look(given: Settings, found: Outputs) -> None:
    """Take down everything that these settings make the exporter tell."""
    found.pages, found.errors = await pages(given), await errors(given)
    found.checks = "\n".join(str(verdict) for verdict in await check(given))


def simulated(name: str) -> Project:
    known, wrong = Canaries(name), MODES[name].wrong
    secrets = {
        each: getattr(Canaries("another one" if each == wrong else name), each)
        for each in ("ak", "sk", "token")
    }
    security_token = (
        Canaries("another one").security_token
        if wrong == "security_token"
        else (known.security_token)
    )
    return Project(id=name, name=name, security_token=security_token, **secrets)


def settings(address: str, directory: Path) -> Settings:
    return Settings.model_validate(
        {
            "projects": {name: project(name, address, directory) for name in MODES},
            "poll": {"interval": "1h", "timeout": "300ms"},
            "web": {"listen_address": "127.0.0.1:0", "linger": "0s"},
        }
    )


def project(name: str, address: str, directory: Path) -> dict[str, Any]:
    known, mode = Canaries(name), MODES[name]
    keys = {"ak": known.ak, "sk": known.sk, "security_token": known.security_token}
    given = {
        "endpoint": address,
        "project_id": name,
        "credentials": {"provider": "static", **keys},
        "jobs": [JOB],
        **mode.project,
    }
    if given["endpoint"] == "https":
        given["endpoint"] = address.replace("http:", "https:")
    if mode.project == BY_TOKEN or mode.files is not None:
        given["credentials"] = in_files(
            directory / name, mode.files or {"token": known.token.encode()}
        )
    return given


def in_files(directory: Path, files: Mapping[str, bytes]) -> dict[str, str]:
    directory.mkdir()
    for name, content in files.items():
        (directory / name).write_bytes(content)
    if "token" in files:
        return {"provider": "token", "path": str(directory / "token")}
    return {"provider": "file", "directory": str(directory)}


async def pages(given: Settings) -> dict[str, str]:
    """Serve until every project was asked, and look at everything that is served."""
    port: asyncio.Future[int] = asyncio.get_running_loop().create_future()
    orders = Orders()
    task = asyncio.create_task(serve(given, lambda: given, orders, port.set_result))
    async with asyncio.timeout(30), ClientSession() as session:
        address = f"http://127.0.0.1:{await port}"
        while (await get(session, f"{address}/-/ready"))[0] != 200:
            pass
        found = {path: (await get(session, address + path))[1] for path in PAGES}
        openmetrics = {"Accept": "application/openmetrics-text"}
        found["openmetrics"] = (await get(session, f"{address}/metrics", **openmetrics))[1]
        orders.stop.set()
        await task
    return found


async def get(session: ClientSession, url: str, **headers: str) -> tuple[int, str]:
    async with session.get(url, headers=headers) as response:
        return response.status, f"{dict(response.headers)}\n{await response.text()}"


async def errors(given: Settings) -> dict[str, str]:
    """Ask in every project, and keep all that its exceptions tell."""
    texts = await asyncio.gather(*(error_texts(given, name) for name in given.projects))
    return dict(zip(given.projects, texts, strict=True))


async def error_texts(given: Settings, name: str) -> str:
    project = given.projects[name]
    texts = [repr(project), str(project)]
    listener = Listener(
        called=lambda call: texts.append(repr(call)),
        failed=lambda error: texts.append(f"{error} {error!r}"),
    )
    connection = connect(project, timeout=given.poll.timeout, zones=given.zones, listener=listener)
    async with AsyncExitStack() as stack:
        stack.push_async_callback(connection.close)
        texts += [repr(connection), repr(connection.provider)]
        asked = connection.client
        for call in (asked.progress(JOB), asked.jobs(JobsQuery())):
            try:
                texts.append(repr(await call))
            except DliError as error:
                texts += [
                    str(error),
                    repr(error),
                    repr(vars(error)),
                    *traceback.format_exception(error),
                ]
    return "\n".join(texts)


def test_there_are_more_than_twenty_ways_to_fail() -> None:
    assert len(MODES) > 20


@pytest.mark.parametrize("name", MODES)
def test_the_failure_happens(outputs: Outputs, name: str) -> None:
    """Or the other tests would prove nothing."""
    reason = MODES[name].reason
    if reason in ("", "credentials"):
        lines = [
            line for line in outputs.logs["json"].splitlines() if f'"project": "{name}"' in line
        ]
        assert lines
        return
    counted = [
        line
        for line in outputs.pages["/metrics"].splitlines()
        if line.startswith("dli_exporter_api_request_errors_total{")
        and f'project="{name}",reason="{reason}"' in line
        and not line.endswith(" 0.0")
    ]
    assert counted, [line for line in outputs.logs["logfmt"].splitlines() if name in line]


@pytest.mark.parametrize("name", MODES)
def test_no_page_shows_a_secret(outputs: Outputs, name: str) -> None:
    for path, text in outputs.pages.items():
        assert Canaries(name).leaks(text) == [], path


@pytest.mark.parametrize("name", MODES)
@pytest.mark.parametrize("form", ["logfmt", "json"])
def test_no_log_line_shows_a_secret(outputs: Outputs, form: str, name: str) -> None:
    for line in outputs.logs[form].splitlines():
        assert Canaries(name).leaks(line) == [], line


@pytest.mark.parametrize("name", MODES)
def test_no_exception_shows_a_secret(outputs: Outputs, name: str) -> None:
    for line in outputs.errors[name].splitlines():
        assert Canaries(name).leaks(line) == [], line


@pytest.mark.parametrize("name", MODES)
def test_check_shows_no_secret(outputs: Outputs, name: str) -> None:
    (line,) = [line for line in outputs.checks.splitlines() if line.startswith(f"{name}: ")]
    assert Canaries(name).leaks(line) == []


BAD: Final = Canaries("bad settings")
VENDOR: Final = {
    "HUAWEICLOUD_SDK_AK": BAD.ak,
    "HUAWEICLOUD_SDK_SK": BAD.sk,
    "HUAWEICLOUD_SDK_SECURITY_TOKEN": BAD.security_token,
    "HUAWEICLOUD_SDK_PROJECT_ID": "p",
    "HUAWEICLOUD_SDK_REGION": "ap-southeast-3",
}


@dataclass(frozen=True)
class Mistake:
    """A start that must fail; every ``…`` in the file stands for the secret key."""

    flags: tuple[str, ...] = ()
    environment: Mapping[str, str] = field(default_factory=dict)
    file: str | None = None


MISTAKES: Final = {
    "a key with a line end": Mistake(environment={**VENDOR, "HUAWEICLOUD_SDK_SK": f"{BAD.sk}\n"}),
    "a secret as the project id": Mistake(
        environment={**VENDOR, "HUAWEICLOUD_SDK_PROJECT_ID": f"{BAD.sk}/"}
    ),
    "a secret as the region": Mistake(environment={**VENDOR, "HUAWEICLOUD_SDK_REGION": BAD.sk}),
    "a secret in the name of a variable": Mistake(
        environment={**VENDOR, f"DLI_EXPORTER_{BAD.sk.upper()}": "1"}
    ),
    "a secret in the endpoint": Mistake(
        environment={
            **VENDOR,
            "DLI_EXPORTER_PROJECTS__DEFAULT__ENDPOINT": f"https://{BAD.ak}:{BAD.sk}@example.com",
        }
    ),
    "a secret as a job": Mistake(("--jobs", BAD.bare()), VENDOR),
    "a secret behind an unknown flag": Mistake(("--projects.default.sk", BAD.sk), VENDOR),
    "a secret behind a switch": Mistake((f"--web.enable-registration={BAD.sk}",), VENDOR),
    "a secret as an argument": Mistake(("serve", BAD.sk), VENDOR),
    "a secret as a command": Mistake((BAD.sk,), VENDOR),
    "a secret as a value": Mistake(("--log.level", BAD.sk), VENDOR),
    "a secret as an address": Mistake(("--web.listen-address", BAD.sk), VENDOR),
    "a file that is a key": Mistake(file="…"),
    "a file that is no YAML": Mistake(file="projects:\n  p: {sk: …\n  q: ]"),
    "a secret as a key": Mistake(file="projects:\n  p:\n    …: 1"),
    "a secret as a project": Mistake(file="projects:\n  p: …"),
    "a secret as credentials": Mistake(file="projects:\n  p:\n    credentials: …"),
    "a secret as a provider": Mistake(file="projects:\n  p:\n    credentials: {provider: …}"),
    "a secret twice": Mistake(file="projects:\n  p:\n    credentials: {sk: …, sk: …}"),
    "a secret as an authority file": Mistake(
        file="projects:\n  p: {region: ap-southeast-3, project_id: p, ca_file: …,\n"
        "    credentials: {provider: static, ak: a, sk: b}}"
    ),
}


@pytest.mark.parametrize("mistake", MISTAKES.values(), ids=MISTAKES)
def test_no_refused_start_shows_a_secret(
    mistake: Mistake,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    for name, value in mistake.environment.items():
        monkeypatch.setenv(name, value)
    flags = mistake.flags
    if mistake.file is not None:
        file = tmp_path / "dli.yaml"
        file.write_text(mistake.file.replace("…", BAD.sk), encoding="utf-8")
        flags = (*flags, f"--config.file={file}")
    assert run(flags) == 2
    out, err = capsys.readouterr()
    assert out == ""
    assert err.startswith("dli-exporter: ")
    assert "Traceback" not in err
    assert BAD.leaks(err) == []


def test_canaries_are_found_where_they_leak() -> None:
    """Or the other tests would prove nothing."""
    known = Canaries("any")
    for text in (known.ak, known.sk[5:25], known.security_token.upper(), known.token[:12]):
        assert known.leaks(f"… {text} …")
    assert known.leaks(known.name) == []
