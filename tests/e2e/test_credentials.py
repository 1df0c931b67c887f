"""An exporter whose credentials rotate, end, cannot be renewed for a while, and are taken back."""

import time
from collections.abc import AsyncIterator, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any, Final

from exporter.simulator import Endpoint, Project, Simulator, demo_project, serve

from ..cloud import KINDS, POD, REACHABLE, REGION, Cloud, numbered, provider, serving
from .exporters import Exporter, asked, exporter, lasting, quiet, write
from .processes import completed, dli_exporter, fetch, listening

ACCOUNT: Final = demo_project(1)
EXPIRY: Final = "dli_exporter_credentials_expiry_timestamp_seconds"
ERRORS: Final = "dli_exporter_credentials_refresh_errors_total"


@dataclass
class Place:
    """A simulated DLI that only issued keys open, and what issues them."""

    dli: Simulator
    address: str
    cloud: Cloud
    directory: Path

    def settings(self, credentials: Mapping[str, Any], **changes: Any) -> Path:
        about = {
            "region": REGION,
            "endpoint": self.address,
            "iam_endpoint": self.cloud.address,
            "requests_per_second": 200,
            "credentials": credentials,
            "jobs": self.dli.job_ids(),
        }
        return write(self.directory / "dli.yaml", {"prod": {**about, **changes}})

    async def asked_again(self, times: int = 3) -> None:
        """Wait for some more good answers about progress."""
        enough = self.dli.requested(Endpoint.PROGRESS, 200) + times
        await asked(self.dli, lambda dli: dli.requested(Endpoint.PROGRESS, 200) >= enough)


@asynccontextmanager
async def place(directory: Path, **about: Any) -> AsyncIterator[Place]:
    dli = quiet(ACCOUNT)
    dli.add(lasting())
    cloud = Cloud(ACCOUNT, dli.gateway, **about)
    async with serve(dli) as address, serving(cloud):
        yield Place(dli, address, cloud, directory)


async def up(watching: Exporter, value: int = 1) -> None:
    await watching.shows("dli_up", value, project="prod")


async def test_short_lived_keys_of_every_provider_rotate_without_a_gap(tmp_path: Path) -> None:
    """Each of the signatures is checked, and keys that have ended open nothing."""
    dli = quiet(*(demo_project(1, kind) for kind in KINDS))
    async with AsyncExitStack() as stack:
        address = await stack.enter_async_context(serve(dli))
        clouds, projects = {}, {}
        for of in dli.projects:
            cloud = Cloud(of, dli.gateway, life=12.0, make=partial(named, of.name))
            clouds[of.name] = await stack.enter_async_context(serving(cloud))
            projects[of.name] = {
                "region": REGION,
                "endpoint": address,
                "iam_endpoint": cloud.address,
                "requests_per_second": 50,
                "credentials": provider(of.name, cloud, tmp_path),
                "jobs": [dli.add(lasting(), project=of.id)],
            }
        async with exporter(write(tmp_path / "dli.yaml", projects)) as watching:
            for cloud in clouds.values():
                await cloud.issues(2)
            enough = dli.requested(Endpoint.PROGRESS, 200) + 5 * len(projects)
            await asked(dli, lambda dli: dli.requested(Endpoint.PROGRESS, 200) >= enough)
            metrics = await watching.metrics()
    assert dli.requested(status=401) == 0
    for kind, cloud in clouds.items():
        assert metrics.value("dli_up", project=kind) == 1
        assert metrics.value(ERRORS, project=kind) == 0
        expiry = metrics.value(EXPIRY, project=kind)
        assert expiry is not None
        assert expiry > time.time() - 12
        assert cloud.asked(REACHABLE) == (kind != "password")  # whose token tells the project


def named(kind: str, project: Project, number: int) -> Project:
    """Make up keys that no other cloud issues."""
    keys = numbered(project, number)
    return replace(keys, ak=f"{kind}-{keys.ak}", token=f"{kind}-{keys.token}")


async def test_keys_that_are_taken_back_are_replaced_at_once(tmp_path: Path) -> None:
    async with place(tmp_path) as there:
        settings = there.settings(provider("pod_identity", there.cloud, tmp_path))
        async with exporter(settings) as watching:
            await up(watching)
            there.cloud.revoke()
            await asked(there.dli, lambda dli: dli.requested(status=401) >= 1)
            await there.asked_again()
            assert len(there.cloud.issued) == 2
            assert there.dli.requested(status=401) == 1
            await up(watching)


async def test_an_exporter_starts_and_answers_while_iam_is_down(tmp_path: Path) -> None:
    async with place(tmp_path) as there:
        there.cloud.open.clear()  # it hangs
        settings = there.settings(provider("oidc-iam", there.cloud, tmp_path))
        async with exporter(settings) as watching:
            for probe in ("started", "healthy"):
                assert (await fetch(f"{watching.url}/-/{probe}"))[0] == 200
            there.cloud.fail()
            there.cloud.open.set()
            await up(watching, 0)
            assert (await fetch(f"{watching.url}/-/healthy"))[0] == 200
            assert (await watching.metrics()).total(ERRORS) >= 1
            there.cloud.recover()
            await up(watching)
            await watching.process.shows(rf"project found.*project_id={ACCOUNT.id}")


async def test_a_service_that_fails_does_no_harm_while_the_key_lives(tmp_path: Path) -> None:
    async with place(tmp_path, life=15.0) as there:
        settings = there.settings(
            provider("pod_identity", there.cloud, tmp_path), project_id=ACCOUNT.id
        )
        async with exporter(settings) as watching:
            await up(watching)
            there.cloud.fail()
            await there.cloud.until(lambda: there.cloud.asked(POD) >= 2)
            await there.asked_again()
            await watching.process.shows("calls fail.*of=credentials")
            assert (await watching.metrics()).value("dli_up", project="prod") == 1
            there.cloud.recover()
            await there.cloud.issues(2)
            await watching.process.shows("calls succeed again.*of=credentials")
        assert there.dli.requested(status=401) == 0


async def test_a_pod_needs_nothing_but_the_platforms_variables(tmp_path: Path) -> None:
    async with place(tmp_path) as there:
        given = provider("pod_identity", there.cloud, tmp_path)
        environment = {
            "HUAWEICLOUD_SDK_REGION": REGION,
            "HUAWEICLOUD_SDK_IAM_ENDPOINT": there.cloud.address,
            "HC_CONTAINER_CREDENTIALS_FULL_URI": given["uri"],
            "HC_CONTAINER_AUTHORIZATION_TOKEN_FILE": given["token_file"],
            "DLI_EXPORTER_PROJECTS__DEFAULT__CREDENTIALS__PROVIDER": "auto",
            "DLI_EXPORTER_PROJECTS__DEFAULT__ENDPOINT": there.address,
            "DLI_EXPORTER_JOBS": ",".join(there.dli.job_ids()),
        }
        address = "--web.listen-address=127.0.0.1:0"
        async with dli_exporter(address, cwd=tmp_path, env=environment) as process:
            watching = Exporter(process, await listening(process))
            await watching.shows("dli_up", 1, project="default")
        code, out, err = await completed("check", cwd=tmp_path, env=environment)
    assert (code, err) == (0, "")
    assert "accepts the credentials (pod_identity, until 20" in out
    assert f"; the project is {ACCOUNT.id}; " in out


async def test_no_secret_is_in_the_output(tmp_path: Path) -> None:
    async with place(tmp_path) as there:
        settings = there.settings(provider("password", there.cloud, tmp_path))
        async with exporter(settings, "--log.level=debug") as watching:
            await up(watching)
            there.cloud.fail(status=401, body=there.cloud.password)
            there.cloud.revoke()
            await watching.shows("dli_up", 0, project="prod")
            shown = watching.process.out + watching.process.err
            for path in ("/metrics", "/", "/api/v1/jobs"):
                shown += (await fetch(watching.url + path))[1]
        for secret in (there.cloud.password, there.cloud.issued[0].token or ""):
            assert secret not in shown
