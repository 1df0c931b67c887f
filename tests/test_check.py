"""What ``check`` finds out about each project, and how it says it."""

import re
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Final

import pytest

from exporter.check import Verdict, check
from exporter.settings import Settings
from exporter.simulator import Cut, Fault, Scene, Simulator, Timeline, demo_project, serve

from .cloud import KINDS, REGION, Cloud, provider, serving

ACCOUNT: Final = demo_project(1)
JOB: Final = "85798b38-ae44-48eb-bb90-7cf0dcdafe7b"
UNKNOWN: Final = "00000000-0000-4000-8000-000000000000"
LONG: Final = Timeline(
    name="made up",
    times=(0.0,),
    responses=({"job_id": "recorded", "status": "RUNNING"},),
    origin=0.0,
    completed=(0,),
)


@dataclass
class World:
    """A simulated DLI with one project and one job."""

    simulator: Simulator
    address: str

    def project(self, **changes: object) -> dict[str, object]:
        """Write a project as a file gives it, with keys that fit unless changed."""
        keys = {"provider": "static", "ak": ACCOUNT.ak, "sk": ACCOUNT.sk}
        about = {"endpoint": self.address, "project_id": ACCOUNT.id, "credentials": keys}
        return {**about, "requests_per_second": 1000, **changes}

    async def verdicts(self, within: str = "10s", **projects: object) -> list[Verdict]:
        return await check(
            Settings.model_validate({"projects": projects, "poll": {"timeout": within}})
        )

    async def line(self, **changes: object) -> str:
        """Check one project and give the line, with HOST for where the simulator is."""
        (verdict,) = await self.verdicts(prod=self.project(**changes))
        return str(verdict).replace(self.address, "HOST")


@asynccontextmanager
async def world(ahead: float = 0.0) -> AsyncIterator[World]:
    """Serve it; the clock here is some seconds ``ahead`` of the simulator's."""
    simulator = Simulator(
        projects=[ACCOUNT], timelines=[], scene=Scene(jobs=0), now=lambda: time.time() - ahead
    )
    simulator.add(LONG, job_id=JOB)
    async with serve(simulator) as address:
        yield World(simulator, address)


GOOD: Final = "prod: ok: HOST accepts the credentials (static); 1 jobs in the project's list"


async def test_a_project_that_works() -> None:
    async with world() as each:
        assert await each.line() == GOOD
        assert each.simulator.requested() == 1


async def test_the_first_listed_job_is_asked_for_as_well() -> None:
    async with world() as each:
        assert await each.line(jobs=(JOB, UNKNOWN)) == f"{GOOD}; job {JOB} is RUNNING"
        assert each.simulator.requested() == 2


async def test_a_list_that_does_not_tell_its_length() -> None:
    async with world() as each:
        each.simulator.faults.add(Fault(rewrite=lambda body: body.pop("job_count") and body))
        assert await each.line() == GOOD.replace("1 jobs", "some jobs")


async def test_a_job_that_is_not_known_is_named() -> None:
    async with world() as each:
        line = await each.line(jobs=(UNKNOWN,))
    assert line == (
        f"prod: failed (not_found): job {UNKNOWN}: HTTP 400 DLI.0002: The object does not exist."
    )


def found_at(cloud: Cloud, **changes: object) -> dict[str, object]:
    """Write what has to be changed for a project to be looked up."""
    return {"project_id": None, "region": REGION, "iam_endpoint": cloud.address, **changes}


async def test_the_project_that_was_found_is_named() -> None:
    async with world() as each, serving(Cloud(ACCOUNT, each.simulator.gateway)) as cloud:
        line = await each.line(**found_at(cloud))
        assert line == GOOD.replace("(static)", f"(static); the project is {ACCOUNT.id}")


@pytest.mark.parametrize("kind", KINDS)
async def test_the_provider_is_named_and_until_when_its_credential_lives(
    kind: str, tmp_path: Path
) -> None:
    async with world() as each, serving(Cloud(ACCOUNT, each.simulator.gateway)) as cloud:
        line = await each.line(**found_at(cloud, credentials=provider(kind, cloud, tmp_path)))
    name = kind.partition("-")[0]
    assert re.fullmatch(
        rf"prod: ok: HOST accepts the credentials \({name}, until "
        rf"20\d\d-\d\d-\d\dT\d\d:\d\d:\d\dZ\); the project is {ACCOUNT.id}; 1 jobs in the "
        "project's list",
        line,
    )


@pytest.mark.parametrize(
    ("names", "line"),
    [
        ((), "IAM shows these credentials no project of ap-southeast-3"),
        (("x", "y"), "no project is ap-southeast-3, but ap-southeast-3_x, ap-southeast-3_y"),
    ],
)
async def test_a_project_that_is_not_found_is_one_line(names: tuple[str, ...], line: str) -> None:
    async with world() as each, serving(Cloud(ACCOUNT, each.simulator.gateway)) as cloud:
        rows = [cloud.row(f"id-{name}", f"{REGION}_{name}") for name in names]
        cloud.projects = rows or [cloud.row("other", "cn-north-4")]
        shown = await each.line(**found_at(cloud))
    assert shown == f"prod: failed (project): set project_id: {line}"


async def test_a_provider_that_fails_is_named(tmp_path: Path) -> None:
    async with world() as each, serving(Cloud(ACCOUNT)) as cloud:
        cloud.fail(status=403, body='{"error_code": "STS5.1", "error_msg": "no such agency"}')
        line = await each.line(credentials=provider("oidc-sts", cloud, tmp_path))
    assert line == "prod: failed (credentials): oidc provider: HTTP 403: no such agency"


WRONG_KEYS: Final = {
    "a wrong secret": (
        {"provider": "static", "ak": ACCOUNT.ak, "sk": "wrong-secret-000000"},
        "prod: failed (signature): HTTP 401 APIGW.0301: Incorrect IAM authentication information:"
        " verify aksk signature fail",
    ),
    "an unknown key": (
        {"provider": "static", "ak": "nobody", "sk": "wrong-secret-000000"},
        "prod: failed (key_unknown): HTTP 401 APIGW.0301: Incorrect IAM authentication"
        " information: Get secretKey failed,ak:…,err:ak not exist",
    ),
    "no such directory": (
        {"provider": "file", "directory": "/nonexistent"},
        "prod: failed (credentials): /nonexistent/ak: No such file or directory",
    ),
    "no such token": (
        {"provider": "token", "path": "/nonexistent"},
        "prod: failed (credentials): /nonexistent: No such file or directory",
    ),
}


@pytest.mark.parametrize(("keys", "line"), WRONG_KEYS.values(), ids=WRONG_KEYS)
async def test_wrong_credentials_cost_one_call_at_most(keys: object, line: str) -> None:
    async with world() as each:
        assert await each.line(credentials=keys) == line
        assert each.simulator.requested() <= 1  # a few more would lock the key


async def test_a_token_that_has_expired(tmp_path: Path) -> None:
    (tmp_path / "token").write_text("a-token-of-yesterday")
    keys = {"provider": "token", "path": str(tmp_path / "token")}
    async with world() as each:
        account = replace(ACCOUNT, token="a-token-of-yesterday", token_expires=0.0)
        each.simulator.gateway.put(account)
        line = await each.line(credentials=keys)
    assert line == "prod: failed (token): HTTP 401 APIGW.0307: The token must be updated."


async def test_a_project_id_of_somebody_else() -> None:
    async with world() as each:
        assert await each.line(project_id="0" * 32) == (
            "prod: failed (forbidden): HTTP 403 APIGW.0302: The IAM user is not authorized to"
            " access the API."
        )


async def test_an_address_where_nobody_is() -> None:
    async with world() as each:
        line = await each.line(endpoint="http://127.0.0.1:1")
    assert line == "prod: failed (connection): no connection to 127.0.0.1: Connection refused"


async def test_an_address_without_tls() -> None:
    async with world() as each:
        line = await each.line(endpoint=each.address.replace("http:", "https:"))
    assert line.startswith("prod: failed (tls): no trustworthy TLS connection to 127.0.0.1")


FAULTS: Final = {
    "no such API": (
        Fault(status=404, code="APIGW.0101", message="The API does not exist"),
        "prod: failed (endpoint): HTTP 404 APIGW.0101: The API does not exist",
    ),
    "a redirect": (
        Fault(status=302, headers={"Location": "https://example.com/"}),
        "prod: failed (redirect): HTTP 302: redirects are not followed",
    ),
    "a page": (
        Fault(body="<html>log in</html>", content_type="text/html"),
        "prod: failed (content_type): HTTP 200 with text/html instead of JSON",
    ),
    "something else": (
        Fault(body="[]"),
        "prod: failed (parse): the answer is a list instead of an object",
    ),
    "a closed door": (
        Fault(status=403, code="APIGW.0302", message="no"),
        "prod: failed (forbidden): HTTP 403 APIGW.0302: no",
    ),
    "an outage": (
        Fault(status=503, code="APIGW.0202", message="Backend unavailable"),
        "prod: failed (server): HTTP 503 APIGW.0202: Backend unavailable",
    ),
    "a quota": (
        Fault(status=429, code="APIGW.0308", message="slower"),
        "prod: failed (throttled): HTTP 429 APIGW.0308: slower",
    ),
    "a lost connection": (
        Fault(cut=Cut.BEFORE),
        "prod: failed (connection): no connection to 127.0.0.1: Connection reset by peer",
    ),
}


@pytest.mark.parametrize(("fault", "line"), FAULTS.values(), ids=FAULTS)
async def test_what_dli_or_something_before_it_answers(fault: Fault, line: str) -> None:
    async with world() as each:
        each.simulator.faults.add(fault)
        assert await each.line() == line


async def test_no_answer_in_time() -> None:
    async with world() as each:
        each.simulator.faults.add(Fault(delay=60))
        (verdict,) = await each.verdicts("10ms", prod=each.project())
    assert str(verdict) == "prod: failed (timeout): no answer in time from 127.0.0.1"


@pytest.mark.parametrize(("ahead", "word"), [(300, "ahead"), (-300, "behind")])
async def test_clocks_that_are_notably_apart(ahead: int, word: str) -> None:
    async with world(ahead) as each:
        line = await each.line()
    # The Date header, which tells, has whole seconds.
    assert re.fullmatch(rf"{re.escape(GOOD)}; the clock here is (299|300|301) s {word}", line)


@pytest.mark.parametrize(("ahead", "word"), [(3600, "ahead"), (-3600, "behind")])
async def test_clocks_that_are_too_far_apart(ahead: int, word: str) -> None:
    async with world(ahead) as each:
        line = await each.line()
    assert line.startswith("prod: failed (clock_skew): ")
    assert re.search(rf"; the clock here is (3599|3600|3601) s {word}$", line)


async def test_a_ca_file_that_is_none_is_said_of_its_project_alone(tmp_path: Path) -> None:
    bad = tmp_path / "ca.pem"
    bad.write_text("no certificate")
    async with world() as each:
        first, second = await each.verdicts(one=each.project(ca_file=str(bad)), two=each.project())
    assert str(first).startswith(f"one: failed: {bad}: holds no usable certificates: ")
    assert str(second).startswith("two: ok: ")
    assert first.error
    assert second.error is None


async def test_every_project_has_its_line_in_the_order_of_the_settings() -> None:
    async with world() as each:
        verdicts = await each.verdicts(
            c=each.project(), a=each.project(project_id="0" * 32), b=each.project(jobs=(JOB,))
        )
    assert [str(verdict)[:10] for verdict in verdicts] == ["c: ok: htt", "a: failed ", "b: ok: htt"]
    assert [verdict.error is None for verdict in verdicts] == [True, False, True]


@pytest.mark.parametrize("fault", [fault for fault, _ in FAULTS.values()], ids=FAULTS)
async def test_no_line_holds_a_secret_or_a_line_break(fault: Fault) -> None:
    keys = {
        "provider": "static",
        "ak": ACCOUNT.ak,
        "sk": "sk-canary-0000000000",
        "security_token": "token-canary-0000000000",
    }
    async with world() as each:

        def echo(body: dict[str, Any]) -> object:
            return {"is_success": False, "message": f"{keys['security_token']}\n{keys['sk']}"}

        lines = [await each.line(credentials=keys)]
        each.simulator.gateway.put(
            replace(ACCOUNT, sk=keys["sk"], security_token=keys["security_token"])
        )
        number = each.simulator.faults.add(fault)
        lines.append(await each.line(credentials=keys))
        each.simulator.faults.remove(number)
        each.simulator.faults.add(Fault(rewrite=echo))
        lines.append(await each.line(credentials=keys))
    assert all(line.startswith("prod: failed (") for line in lines)
    assert "canary" not in "".join(lines)
    assert "\n" not in "".join(lines)
