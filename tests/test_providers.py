"""Each provider, as the settings ask for it, against a double of the service that it asks."""

import asyncio
import subprocess
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

import pytest
from aiohttp import web

from exporter.connection import Connection, connect
from exporter.dli.calls import Call
from exporter.dli.errors import CredentialsUnavailable
from exporter.dli.listener import Listener
from exporter.dli.queries import JobsQuery
from exporter.dli.signing import AccessKey, Token
from exporter.settings import Settings
from exporter.simulator import demo_project

from .cloud import (
    ASSUME,
    ID_TOKENS,
    KINDS,
    METADATA_KEYS,
    METADATA_TOKEN,
    POD,
    REGION,
    SECURITY_TOKENS,
    TOKENS,
    Cloud,
    keep,
    moment,
    provider,
    serving,
)

ACCOUNT: Final = demo_project(1)
PATHS: Final = {
    "pod_identity": (POD,),
    "metadata": (METADATA_TOKEN, METADATA_KEYS),
    "oidc-iam": (ID_TOKENS, SECURITY_TOKENS),
    "oidc-sts": (ASSUME,),
    "password": (TOKENS,),
}
IAM: Final = ("oidc-iam", "oidc-sts", "password")
"""Those that ask what is on the project's quota."""


@dataclass
class World:
    """The services, and a connection's provider."""

    cloud: Cloud
    connection: Connection
    directory: Path
    calls: list[Call] = field(default_factory=list)
    told: list[CredentialsUnavailable] = field(default_factory=list)
    renewals: list[int] = field(default_factory=list)

    async def obtain(self) -> AccessKey | Token:
        return await self.connection.provider.credential()

    async def refused(self) -> str:
        with pytest.raises(CredentialsUnavailable) as caught:
            await self.obtain()
        return str(caught.value)


@asynccontextmanager
async def world(
    kind: str,
    directory: Path,
    *,
    within: float = 10,
    requests_per_second: float = 1000,
    project_id: str | None = ACCOUNT.id,
    cloud: Cloud | None = None,
    credentials: dict[str, Any] | None = None,
) -> AsyncIterator[World]:
    """Connect to the services; ``credentials`` are changes of their settings."""
    async with serving(cloud or Cloud(ACCOUNT)) as cloud:
        project = {
            "region": REGION,
            "endpoint": "http://127.0.0.1:1",
            "iam_endpoint": cloud.address,
            "project_id": project_id,
            "requests_per_second": requests_per_second,
            "credentials": {**provider(kind, cloud, directory), **(credentials or {})},
        }
        given = Settings.model_validate({"projects": {"prod": project}}).projects["prod"]
        calls: list[Call] = []
        told: list[CredentialsUnavailable] = []
        renewals: list[int] = []
        listener = Listener(
            called=calls.append, failed=told.append, renewed=lambda: renewals.append(1)
        )
        connection = connect(given, timeout=within, zones={}, listener=listener)
        try:
            yield World(cloud, connection, directory, calls, told, renewals)
        finally:
            await connection.close()


@pytest.mark.parametrize("kind", KINDS)
async def test_a_credential_comes_with_its_end(kind: str, tmp_path: Path) -> None:
    async with world(kind, tmp_path) as each:
        credential = await each.obtain()
        (issued,) = each.cloud.issued
        end = credential.expires_at
        assert end is not None
        assert abs(end - each.cloud.now() - each.cloud.life) < 60
        assert each.connection.provider.expires_at == end
        if kind == "password":
            assert credential == Token(issued.token or "", end, ACCOUNT.id)
        else:
            assert credential == AccessKey(issued.ak, issued.sk, issued.security_token, end)
        assert each.renewals == [1]


@pytest.mark.parametrize("kind", KINDS)
async def test_many_calls_ask_once(kind: str, tmp_path: Path) -> None:
    async with world(kind, tmp_path) as each:
        found = await asyncio.gather(*(each.obtain() for _ in range(50)))
        assert len(set(found)) == 1
        assert [asked.path for asked in each.cloud.requests] == list(PATHS[kind])


@pytest.mark.parametrize("kind", KINDS)
async def test_a_refused_credential_is_exchanged_for_another(kind: str, tmp_path: Path) -> None:
    async with world(kind, tmp_path) as each:
        old = await each.obtain()
        each.connection.provider.reject(old)
        assert await each.obtain() != old
        assert len(each.cloud.issued) == 2


@pytest.mark.parametrize("kind", KINDS)
async def test_a_service_that_fails_is_named_and_the_failure_told(
    kind: str, tmp_path: Path
) -> None:
    async with world(kind, tmp_path) as each:
        each.cloud.fail(status=503, body="out of order", Retry_After="7")
        assert await each.refused() == f"{kind.partition('-')[0]} provider: HTTP 503"
        assert len(each.told) == 1
        assert each.renewals == []


@pytest.mark.parametrize("kind", KINDS)
async def test_a_service_that_fails_does_not_take_the_credential_away(
    kind: str, tmp_path: Path
) -> None:
    async with world(kind, tmp_path) as each:
        old = await each.obtain()
        each.cloud.fail()
        each.connection.provider.reject(old)
        assert await each.obtain() == old
        assert len(each.told) == 1


@pytest.mark.parametrize("kind", KINDS)
async def test_a_service_that_does_not_answer_is_given_up(kind: str, tmp_path: Path) -> None:
    async with world(kind, tmp_path, within=0.05) as each:
        each.cloud.open.clear()
        waiting = asyncio.create_task(each.refused())
        if kind in IAM:
            assert "no answer in time from 127.0.0.1" in await waiting
        else:  # after seconds of their own, for which no test waits
            await each.cloud.until(lambda: each.cloud.asked() > 0)
            waiting.cancel()


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize(
    ("answer", "wrong"),
    [
        ((200, "{", {}), "not JSON"),
        ((200, "[]", {}), "the answer's body is no object"),
        ((200, "x" * 300_000, {}), "an answer of 300000 bytes"),
        ((302, "", {"Location": "http://127.0.0.1:1/"}), "redirects are not followed"),
        ((200, '{"credential": {"access": "a b", "secret": 1}}', {}), "the answer"),
        ((404, "<html>", {}), "HTTP 404"),
    ],
)
async def test_an_odd_answer_gives_no_credential(
    kind: str, answer: tuple[int, str, dict[str, str]], wrong: str, tmp_path: Path
) -> None:
    status, body, headers = answer
    async with world(kind, tmp_path) as each:
        each.cloud.fail(PATHS[kind][-1], status=status, body=body, **headers)
        assert wrong in await each.refused()
        assert len(each.cloud.requests) == len(PATHS[kind])  # nothing was followed


@pytest.mark.parametrize("kind", IAM)
async def test_calls_to_iam_are_counted(kind: str, tmp_path: Path) -> None:
    async with world(kind, tmp_path) as each:
        await each.obtain()
        assert tuple(call.endpoint for call in each.calls) == PATHS[kind]
        assert each.connection.endpoints[2:] == PATHS[kind]


@pytest.mark.parametrize("kind", IAM)
async def test_calls_to_iam_spend_from_the_projects_quota(kind: str, tmp_path: Path) -> None:
    """Of one call in a quarter of an hour none is left for a second one."""
    async with world(kind, tmp_path, requests_per_second=0.001) as each:
        first = asyncio.create_task(each.obtain())
        await each.cloud.until(lambda: each.cloud.asked() == 1)
        if kind != "oidc-iam":  # which takes two calls
            await first
        asked = asyncio.create_task(each.connection.client.jobs(JobsQuery()))
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(asyncio.shield(asked), 0.1)
        asked.cancel()
        first.cancel()
        await asyncio.wait({first, asked})
        assert [call.endpoint for call in each.calls] == [PATHS[kind][0]]


@pytest.mark.parametrize("kind", ["pod_identity", "metadata"])
async def test_calls_on_the_node_spend_nothing(kind: str, tmp_path: Path) -> None:
    async with world(kind, tmp_path, requests_per_second=0.001) as each:
        async with asyncio.timeout(10):
            for _ in range(3):
                each.connection.provider.reject(await each.obtain())
        assert each.calls == []


@pytest.mark.parametrize("kind", KINDS)
async def test_proxies_of_the_environment_are_not_heeded(
    kind: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("http_proxy", "HTTP_PROXY", "https_proxy", "all_proxy"):
        monkeypatch.setenv(name, "http://127.0.0.1:1")
    async with world(kind, tmp_path) as each:
        await each.obtain()


# Pod Identity


async def test_the_pods_token_is_read_again_for_each_renewal(tmp_path: Path) -> None:
    async with world("pod_identity", tmp_path) as each:
        old = await each.obtain()
        each.cloud.pod_token = "another-token-of-the-pod"
        keep(tmp_path, "pod", each.cloud.pod_token + "\n")
        each.connection.provider.reject(old)
        assert await each.obtain() != old
        assert each.cloud.last.headers["Authorization"] == "another-token-of-the-pod"


async def test_a_missing_token_of_the_pod_is_named(tmp_path: Path) -> None:
    async with world(
        "pod_identity", tmp_path, credentials={"token_file": str(tmp_path / "no")}
    ) as each:
        assert await each.refused() == (
            f"pod_identity provider: {tmp_path}/no: No such file or directory"
        )
        assert each.cloud.requests == []


# Metadata


async def test_a_server_without_tokens_is_asked_without_one(tmp_path: Path) -> None:
    async with world("metadata", tmp_path, cloud=Cloud(ACCOUNT, metadata_token=None)) as each:
        await each.obtain()
        assert "X-Metadata-Token" not in each.cloud.last.headers


@pytest.mark.parametrize("status", [404, 405, 503])
async def test_what_servers_without_tokens_answer(status: int, tmp_path: Path) -> None:
    async with world("metadata", tmp_path, cloud=Cloud(ACCOUNT, metadata_token=None)) as each:
        each.cloud.fail(METADATA_TOKEN, status=status)
        await each.obtain()


async def test_a_server_without_an_agency_is_not_asked_again_for_a_token(tmp_path: Path) -> None:
    async with world("metadata", tmp_path, cloud=Cloud(ACCOUNT, agency=False)) as each:
        assert "no agency is set for this server" in await each.refused()
        assert each.cloud.asked(METADATA_TOKEN) == 1


async def test_a_token_that_ended_is_replaced_once(tmp_path: Path) -> None:
    async with world("metadata", tmp_path) as each:
        refusals = [web.Response(status=401, text="token?")]

        def once() -> web.Response:
            if len(refusals) == 1:
                each.cloud.failures.clear()
            return refusals.pop()

        each.cloud.failures[METADATA_KEYS] = once
        await each.obtain()
        assert each.cloud.asked(METADATA_TOKEN) == 2
        each.cloud.fail(METADATA_KEYS, status=401)
        each.connection.provider.reject(await each.obtain())
        await each.obtain()
        assert each.cloud.asked(METADATA_TOKEN) == 4


# OpenID Connect


async def test_iam_gives_keys_for_six_hours_or_as_long_as_is_set(tmp_path: Path) -> None:
    for changes, seconds in ({}, 21600), ({"duration": "30m"}, 1800):
        async with world("oidc-iam", tmp_path, credentials=changes) as each:
            await each.obtain()
            identity = each.cloud.last.body["auth"]["identity"]
            assert identity["token"]["duration_seconds"] == seconds


async def test_sts_is_told_of_the_agency(tmp_path: Path) -> None:
    changes = {
        "policy": '{"Version": "5.0"}',
        "policy_ids": ["p1", "p2"],
        "session_name": "me",
        "duration": "15m",
    }
    async with world("oidc-sts", tmp_path, credentials=changes) as each:
        await each.obtain()
        assert each.cloud.last.body == {
            "provider_urn": "iam::d:provider",
            "agency_urn": "iam::d:agency",
            "agency_session_name": "me",
            "id_token": each.cloud.id_token,
            "duration_seconds": 900,
            "policy": '{"Version": "5.0"}',
            "policy_ids": ["p1", "p2"],
        }


async def test_an_id_token_may_be_in_the_settings_itself(tmp_path: Path) -> None:
    token = {"token_file": None, "id_token": Cloud(ACCOUNT).id_token}
    async with world("oidc-iam", tmp_path, credentials=token) as each:
        await each.obtain()


# Passwords


@pytest.mark.parametrize("project_id", [None, ACCOUNT.id])
async def test_a_token_is_asked_for_the_project_by_id_or_region(
    project_id: str | None, tmp_path: Path
) -> None:
    async with world("password", tmp_path, project_id=project_id) as each:
        await each.obtain()
        scope = each.cloud.last.body["auth"]["scope"]
        assert scope == {"project": {"id": ACCOUNT.id} if project_id else {"name": REGION}}
        user = each.cloud.last.body["auth"]["identity"]["password"]["user"]
        assert (user["name"], user["domain"]) == ("exporter", {"name": "my-domain"})


async def test_a_password_may_be_in_a_file(tmp_path: Path) -> None:
    path = keep(tmp_path, "password", "12345678\n")
    changes = {"password": None, "password_file": path}
    async with world("password", tmp_path, credentials=changes) as each:
        assert "HTTP 401: The username or password is wrong." in await each.refused()
    keep(tmp_path, "password", Cloud(ACCOUNT).password + "\n")
    async with world("password", tmp_path, credentials=changes) as each:
        await each.obtain()


async def test_a_token_for_no_project_is_not_used(tmp_path: Path) -> None:
    async with world("password", tmp_path) as each:
        body = f'{{"token": {{"expires_at": "{moment(each.cloud.now())}"}}}}'
        each.cloud.fail(TOKENS, status=201, body=body, X_Subject_Token="MII")
        assert "the answer's project is no object" in await each.refused()


# What it costs


def test_keys_in_the_settings_need_no_code_of_other_providers() -> None:
    code = """
import asyncio, sys
from exporter.connection import connect
from exporter.dli.listener import Listener
from exporter.dli.queries import JobsQuery
from exporter.settings import Settings
keys = {"provider": "static", "ak": "a", "sk": "b"}
given = {"region": "ap-southeast-3", "project_id": "p", "credentials": keys}
settings = Settings.model_validate({"projects": {"p": given}})
async def main():
    await connect(settings.projects["p"], timeout=1, zones={}, listener=Listener()).close()
asyncio.run(main())
print(*sys.modules)
"""
    shown = subprocess.run((sys.executable, "-c", code), check=True, capture_output=True, text=True)  # noqa: S603 - our own code
    imported = set(shown.stdout.split())
    names = ("pod_identity", "metadata", "oidc", "password", "renewing")
    assert "exporter.dli.credentials.files" in imported
    assert not imported & {f"exporter.dli.credentials.{name}" for name in names}
    assert not imported & {"exporter.providers", "exporter.dli.iam"}
