"""What a project's settings make of a connection: provider, session, client."""

import asyncio
import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, Final

import pytest

from exporter.connection import Connection, StartError, connect
from exporter.dli.calls import Call
from exporter.dli.client import ENDPOINTS, DliClient
from exporter.dli.credentials import Provider, Static
from exporter.dli.errors import CredentialsUnavailable, DliError, KeyUnknown, TimedOut
from exporter.dli.listener import Listener
from exporter.dli.queries import JobsQuery
from exporter.dli.signing import AccessKey, Token
from exporter.settings import Project, Settings
from exporter.simulator import Endpoint, Fault, Scene, Simulator, Timeline, demo_project, serve

ACCOUNT: Final = demo_project(1)
JOB: Final = "85798b38-ae44-48eb-bb90-7cf0dcdafe7b"
CA: Final = Path(__file__).parent / "data" / "tls" / "ca.pem"
LONG: Final = Timeline(
    name="made up",
    times=(0.0,),
    responses=(
        {
            "job_id": "recorded",
            "status": "RUNNING",
            "sub_jobs": [{"id": 0, "status": "RUNNING", "num_tasks": 4}],
        },
    ),
    origin=0.0,
    completed=(0,),
)


def project(credentials: dict[str, object], **changes: Any) -> Project:
    """Read a project's settings as a file gives them."""
    about = {"endpoint": "http://127.0.0.1:1", "project_id": ACCOUNT.id, "credentials": credentials}
    return Settings.model_validate({"projects": {"prod": {**about, **changes}}}).projects["prod"]


def static(**changes: object) -> dict[str, object]:
    return {"provider": "static", "ak": ACCOUNT.ak, "sk": ACCOUNT.sk, **changes}


def write_keys(directory: Path, sk: str = ACCOUNT.sk) -> dict[str, object]:
    (directory / "ak").write_text(ACCOUNT.ak)
    (directory / "sk").write_text(sk)
    return {"provider": "file", "directory": str(directory)}


@asynccontextmanager
async def connected(
    given: Project,
    listener: Listener = Listener(),  # noqa: B008 - a frozen value
    *,
    within: float = 10,
    zones: dict[str, int] | None = None,
) -> AsyncIterator[Connection]:
    """Connect as long as the block lasts."""
    connection = connect(given, timeout=within, zones=zones or {}, listener=listener)
    try:
        yield connection
    finally:
        await connection.close()


@asynccontextmanager
async def credentials(
    given: Project,
    listener: Listener = Listener(),  # noqa: B008 - a frozen value
) -> AsyncIterator[Provider]:
    async with connected(given, listener) as connection:
        yield connection.provider


async def test_static_keys_are_those_of_the_settings() -> None:
    async with credentials(project(static(security_token="t"))) as provider:
        assert isinstance(provider, Static)
        assert await provider.credential() == AccessKey(ACCOUNT.ak, ACCOUNT.sk, "t")
    async with credentials(project(static())) as provider:
        assert await provider.credential() == AccessKey(ACCOUNT.ak, ACCOUNT.sk)


async def test_keys_in_a_directory_are_read_from_it(tmp_path: Path) -> None:
    async with credentials(project(write_keys(tmp_path))) as provider:
        assert await provider.credential() == AccessKey(ACCOUNT.ak, ACCOUNT.sk)


async def test_a_token_is_read_from_its_file(tmp_path: Path) -> None:
    (tmp_path / "token").write_text("MIIE-token\n")
    given = project({"provider": "token", "path": str(tmp_path / "token")})
    async with credentials(given) as provider:
        assert await provider.credential() == Token("MIIE-token")


@pytest.mark.parametrize("kind", ["file", "token"])
async def test_credentials_that_cannot_be_read_are_told(kind: str, tmp_path: Path) -> None:
    told: list[CredentialsUnavailable] = []
    good: list[bool] = []
    nothing = str(tmp_path / "nothing")
    keys = {"file": {"directory": nothing}, "token": {"path": nothing}}[kind]
    listener = Listener(failed=told.append, renewed=lambda: good.append(True))
    async with credentials(project({"provider": kind, **keys}), listener) as provider:
        with pytest.raises(CredentialsUnavailable, match="nothing"):
            await provider.credential()
    assert [nothing in str(error) for error in told] == [True]
    assert good == []


async def test_a_plain_project_asks_for_jobs_alone() -> None:
    async with connected(project(static())) as connection:
        assert connection.endpoints == ENDPOINTS


async def test_a_session_knows_the_certificates_of_the_ca_file() -> None:
    async with connected(project(static(), ca_file=str(CA))) as connection:
        assert not connection.session.closed
    assert connection.session.closed


@pytest.mark.parametrize(
    "content", [b"", b"no certificate", b"-----BEGIN CERTIFICATE-----\nAAAA\n", b"\xff\x00"]
)
async def test_a_ca_file_without_certificates_is_one_line(content: bytes, tmp_path: Path) -> None:
    path = tmp_path / "ca.pem"
    path.write_bytes(content)
    with pytest.raises(StartError) as wrong:
        connect(project(static(), ca_file=str(path)), timeout=1, zones={}, listener=Listener())
    assert str(wrong.value).startswith(f"{path}: holds no usable certificates: ")
    assert "\n" not in str(wrong.value)


async def test_a_ca_file_that_has_gone_since_is_one_line(tmp_path: Path) -> None:
    path = tmp_path / "ca.pem"
    path.write_bytes(CA.read_bytes())
    given = project(static(), ca_file=str(path))
    path.unlink()
    with pytest.raises(StartError, match=r"ca\.pem: holds no usable certificates"):
        connect(given, timeout=1, zones={}, listener=Listener())


class Asked:
    """A simulated DLI with one job, and what a client of it tells of its calls."""

    def __init__(self) -> None:
        self.simulator = Simulator(projects=[ACCOUNT], timelines=[], scene=Scene(jobs=0))
        self.simulator.add(LONG, job_id=JOB)
        self.calls: list[Call] = []

    @asynccontextmanager
    async def client(
        self, given: Project, *, within: float = 10, zones: dict[str, int] | None = None
    ) -> AsyncIterator[DliClient]:
        listener = Listener(called=self.calls.append)
        async with connected(given, listener, within=within, zones=zones) as connection:
            yield connection.client


async def test_a_client_asks_the_projects_endpoint_with_its_keys() -> None:
    asked = Asked()
    async with serve(asked.simulator) as address:
        given = project(static(), endpoint=address, requests_per_second=7)
        async with asked.client(given) as dli:
            answer = await dli.progress(JOB)
            assert answer.observation.status == "RUNNING"
            assert (await dli.jobs(JobsQuery())).count == 1
            assert dli.requests_per_second_limit == 7
    assert [call.error for call in asked.calls] == [None, None]


async def test_a_client_uses_keys_that_change_under_way(tmp_path: Path) -> None:
    asked = Asked()
    keys = write_keys(tmp_path, sk="wrong-secret-000000")
    async with (
        serve(asked.simulator) as address,
        asked.client(project(keys, endpoint=address)) as dli,
    ):
        with pytest.raises(DliError) as refused:
            await dli.progress(JOB)
        assert refused.value.reason == "signature"
        write_keys(tmp_path)
        os.utime(tmp_path / "sk", (1, 1))  # another time for sure, however fast this is
        await dli.progress(JOB)


async def test_a_client_waits_no_longer_than_the_settings_say() -> None:
    asked = Asked()
    async with serve(asked.simulator) as address:
        asked.simulator.faults.add(Fault(delay=60, endpoint=Endpoint.PROGRESS))
        given = project(static(), endpoint=address, requests_per_second=1000)
        async with asyncio.timeout(8), asked.client(given, within=0.01) as dli:
            with pytest.raises(TimedOut):
                await dli.progress(JOB)


@pytest.mark.parametrize(
    ("zones", "hours"), [({}, 8), ({"CST": -6 * 3600}, -6), ({"XYZ": 3600}, 8)]
)
async def test_zones_of_the_settings_stand_beside_or_instead_of_the_usual(
    zones: dict[str, int], hours: int
) -> None:
    asked = Asked()

    def submitted(body: Any) -> object:
        body["sub_jobs"][0]["submission_time"] = "Mon Jul 27 17:24:03 CST 2020"
        return body

    asked.simulator.faults.add(Fault(rewrite=submitted))
    async with (
        serve(asked.simulator) as address,
        asked.client(project(static(), endpoint=address), zones=zones) as dli,
    ):
        (subjob,) = (await dli.progress(JOB)).observation.subjobs
    assert subjob.submitted == 1_595_870_643 - hours * 3600


async def test_nobody_knows_a_key_that_is_not_there() -> None:
    asked = Asked()
    async with (
        serve(asked.simulator) as address,
        asked.client(project(static(ak="nobody"), endpoint=address)) as dli,
    ):
        with pytest.raises(KeyUnknown) as unknown:
            await dli.progress(JOB)
    assert ACCOUNT.sk not in str(unknown.value)
    assert [call.error for call in asked.calls] == [unknown.value]
