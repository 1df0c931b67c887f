"""``/metrics`` in the open: exporter-toolkit's web-config file, with promtool and Prometheus.

promtool judges the same files as test_web_security_config.py; a file says so where it differs.
"""

import asyncio
import json
import re
import shutil
import signal
import ssl
import sys
from asyncio.subprocess import PIPE, STDOUT
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import aiohttp
import bcrypt
import pytest

from exporter.simulator import Simulator, serve

from .conftest import Program
from .exporters import SOON, Exporter, Metrics, alone, lasting, quiet, scraping
from .processes import completed, eventually, listening, running
from .prometheus import Prometheus, prometheus

FILES = Path(__file__).parent.parent / "web_config"
CERTS = FILES / "certs"
VERSION = re.compile(rb"version (\d+)\.")
NOT_WAITING = {"DLI_EXPORTER_WEB__LINGER": "0s"}
USER, PASSWORD = "prometheus", "open sesame"


@pytest.mark.parametrize("kind", ["good", "bad"])
async def test_promtool_says_the_same_about_every_file(program: Program, kind: str) -> None:
    promtool = program("promtool")
    files = sorted((FILES / kind).glob("*.yaml"))
    assert len(files) > 30
    version = await asyncio.create_subprocess_exec(promtool, "--version", stdout=PIPE)
    match = VERSION.search((await version.communicate())[0])
    assert match is not None
    # Some fields came after Debian 12: a file says which version differs if not all do.
    differing = re.compile(
        rf"^# promtool(?: {int(match[1])})? (accepts|refuses) it: ", re.MULTILINE
    )
    limit = asyncio.Semaphore(4)

    async def accepts(file: Path) -> bool:
        async with limit:
            process = await asyncio.create_subprocess_exec(
                *(promtool, "check", "web-config", str(file)), stdout=PIPE, stderr=STDOUT
            )
            await process.communicate()
        return process.returncode == 0

    said = await asyncio.gather(*map(accepts, files))
    for file, accepted in zip(files, said, strict=True):
        differs = differing.search(file.read_text(encoding="utf-8"))
        expected = (kind == "good") if differs is None else differs[1] == "accepts"
        assert accepted is expected, file.name
        assert differs is None or expected is (kind == "bad"), f"{file.name} does not differ"


@dataclass
class Open:
    """An exporter with a web-config file, which watches one job."""

    dli: Simulator
    job: str
    directory: Path
    watching: Exporter
    probes: str

    @property
    def url(self) -> str:
        return self.watching.url.replace("http://", "https://")

    def write(self, **changes: Any) -> None:
        write(self.directory, **changes)

    async def status(
        self,
        path: str = "/metrics",
        *,
        cert: str | None = "client",
        password: str = PASSWORD,
        method: str = "GET",
    ) -> int | None:
        """Ask for a page on a new connection: its status, or None if there is no connection."""
        context = ssl.create_default_context(cafile=CERTS / "ca.pem")
        if cert is not None:
            context.load_cert_chain(CERTS / f"{cert}.pem", CERTS / f"{cert}.key")
        headers = {"Authorization": aiohttp.encode_basic_auth(USER, password)}
        try:
            async with (
                aiohttp.ClientSession(headers=headers) as session,
                session.request(method, self.url + path, ssl=context) as response,
            ):
                await response.read()
                return response.status
        except aiohttp.ClientError:
            return None

    async def metrics(self) -> Metrics:
        context = ssl.create_default_context(cafile=CERTS / "ca.pem")
        context.load_cert_chain(CERTS / "client.pem", CERTS / "client.key")
        headers = {"Authorization": aiohttp.encode_basic_auth(USER, PASSWORD)}
        async with (
            aiohttp.ClientSession(headers=headers) as session,
            session.get(f"{self.url}/metrics", ssl=context) as response,
        ):
            assert response.status == 200
            return Metrics.parse(await response.text())


def write(directory: Path, *, password: str = PASSWORD, **changes: Any) -> Path:
    """Write a web-config file with mTLS and one user; JSON is YAML."""
    tls = {
        "cert_file": "tls.pem",
        "key_file": "tls.key",
        "client_auth_type": "RequireAndVerifyClientCert",
        "client_ca_file": str(CERTS / "ca.pem"),
        # Debian's promtool does not know them as yet.
        "client_allowed_sans": ["prometheus.example"],
    }
    users = {USER: bcrypt.hashpw(password.encode(), bcrypt.gensalt(5)).decode()}
    tree = {"tls_server_config": tls, "basic_auth_users": users, **changes}
    path = directory / "web.yaml"
    fresh = directory / "web.new"
    fresh.write_text(json.dumps(tree), encoding="utf-8")
    fresh.rename(path)
    return path


def put(directory: Path, source: str) -> None:
    """Put a server's certificate and key in place, as a rotation does."""
    for end in ("key", "pem"):
        fresh = directory / f"fresh.{end}"
        shutil.copy(CERTS / f"{source}.{end}", fresh)
        fresh.chmod(0o600)
        fresh.rename(directory / f"tls.{end}")


@asynccontextmanager
async def opened(
    directory: Path, *flags: str, files: int = 1024, **settings: Any
) -> AsyncIterator[Open]:
    """Run an exporter behind mTLS and a user, which may open so many files."""
    put(directory, "server")
    file = write(directory)
    dli = quiet()
    job = dli.add(lasting())
    async with serve(dli) as address:
        about = alone(directory, dli, address, history={"enabled": False}, **settings)
        given = (f"--web.config.file={file}", "--web.probe-address=127.0.0.1:0", *flags)
        # A shell of its own: the limit of this process has to stay.
        limited = ("sh", "-c", f'ulimit -n {files} && exec "$@"', "sh")
        given = (f"--config.file={about}", "--web.listen-address=127.0.0.1:0", *given)
        command = (*limited, sys.executable, "-m", "exporter", *given)
        async with running(*command, cwd=directory, env=NOT_WAITING) as process:
            match = await process.shows(r'msg="probes answered" port=(\d+)')
            watching = Exporter(process, await listening(process))
            yield Open(dli, job, directory, watching, f"http://127.0.0.1:{match[1]}")
            assert await process.stop() == 0
            assert "Traceback" not in process.err


def scrape_config(site: Open, interval: str = "1s", **changes: Any) -> dict[str, Any]:
    """Write a scrape config with everything that the exporter asks for."""
    return {
        **scraping(site.watching, interval),
        "scheme": "https",
        "basic_auth": {"username": USER, "password": PASSWORD},
        "tls_config": tls_config("client"),
        **changes,
    }


def tls_config(client: str | None) -> Mapping[str, str]:
    mine = {"ca_file": str(CERTS / "ca.pem"), "server_name": "localhost"}
    if client is None:
        return mine
    return {
        **mine,
        "cert_file": str(CERTS / f"{client}.pem"),
        "key_file": str(CERTS / f"{client}.key"),
    }


async def health(server: Prometheus) -> dict[str, str]:
    """Tell by job how the last scrape went; a job that was not scraped is missing."""
    targets = (await server.get("targets"))["activeTargets"]
    return {
        each["labels"]["job"]: each["lastError"] or "up"
        for each in targets
        if each["health"] != "unknown"
    }


async def test_prometheus_comes_in_with_all_it_needs_and_with_no_less(
    program: Program, tmp_path: Path
) -> None:
    wrong: dict[str, dict[str, Any]] = {
        "no certificate": {"tls_config": tls_config(None)},
        "a stranger's": {"tls_config": tls_config("stranger")},
        "another name": {"tls_config": tls_config("other_client")},
        "no user": {"basic_auth": None},
        "wrong password": {"basic_auth": {"username": USER, "password": "x"}},
        "unknown user": {"basic_auth": {"username": "x", "password": PASSWORD}},
        "clear text": {"scheme": "http", "tls_config": None},
    }
    async with opened(tmp_path) as site:
        configs = [scrape_config(site) | {"job_name": "right"}]
        configs += [
            scrape_config(site, **each) | {"job_name": name} for name, each in wrong.items()
        ]
        async with prometheus(program("prometheus"), tmp_path, configs) as server:

            async def all_scraped() -> dict[str, str] | None:
                found = await health(server)
                return found if len(found) == len(configs) else None

            found = await eventually(all_scraped, "every scrape was tried")
            assert found is not None
            assert await server.value('up{job="right"}') == 1
            assert await server.query('dli_job_status{job="right"} == 1')
    assert [name for name, error in found.items() if error == "up"] == ["right"]
    assert "403" in found["another name"]
    for name in ("no user", "wrong password", "unknown user"):
        assert "401" in found[name]
    for secret in (PASSWORD, "$2b$", "BEGIN"):
        assert secret not in site.watching.process.err


async def test_the_final_state_reaches_prometheus_over_tls(
    program: Program, tmp_path: Path
) -> None:
    async with (
        opened(tmp_path, "--web.linger=60s", poll={"interval": "1h"}) as site,
        prometheus(program("prometheus"), tmp_path, [scrape_config(site)]) as server,
    ):
        first = partial(server.query, 'dli_job_status{status="RUNNING"} == 1')
        await eventually(first, "a first scrape")
        site.dli.end(site.job, "FAILED")
        site.watching.process.signal(signal.SIGTERM)
        assert await site.watching.process.ended(20) == 0
        (status,) = await server.query("last_over_time(dli_job_status[10m]) == 1")
        assert status.labels["status"] == "FAILED"
    assert "web.linger is over" not in site.watching.process.err


async def test_every_page_honours_users_and_probes_have_an_address_of_their_own(
    tmp_path: Path,
) -> None:
    pages = ("/", "/metrics", "/api/v1/jobs", "/-/started", "/-/healthy", "/-/ready")
    posts = ("/api/v1/jobs", "/-/reload")
    async with (
        opened(tmp_path, "--web.enable-registration") as site,
        aiohttp.ClientSession() as kubelet,
    ):
        for page in pages:
            assert await site.status(page, password="wrong") == 401
            assert await site.status(page) == 200
        for page in posts:
            assert await site.status(page, method="POST", password="wrong") == 401
        assert await site.status("/api/v1/jobs", method="POST") == 415
        assert await site.status("/-/reload", method="POST") == 200
        for path in (*pages, *posts):
            async with kubelet.get(site.probes + path) as response:
                assert response.status == (200 if path in pages[3:] else 404)
            async with kubelet.post(site.probes + path) as response:
                assert response.status == (405 if path in pages[3:] else 404)


async def test_passwords_and_certificates_change_without_a_restart(tmp_path: Path) -> None:
    async with opened(tmp_path) as site:
        assert await site.status() == 200
        site.write(password="new")
        assert await site.status() == 401
        assert await site.status(password="new") == 200
        put(tmp_path, "stranger")  # an authority that nobody here trusts
        assert await site.status(password="new") is None
        put(tmp_path, "server2")
        assert await site.status(password="new") == 200
        site.write(tls_server_config={})
        assert await site.status(password="new") == 200, "what is broken changes nothing"
    assert site.watching.process.err.count("web config not reloaded") == 1


async def test_a_reload_with_a_broken_file_is_told_and_changes_nothing(tmp_path: Path) -> None:
    reloaded = "dli_exporter_config_last_reload_successful"
    async with opened(tmp_path) as site:
        site.write(basic_auth_users={USER: "canary"})
        site.watching.process.signal(signal.SIGHUP)
        await site.watching.process.shows('msg="settings not reloaded".*basic_auth_users')
        assert (await site.metrics()).value(reloaded) == 0
        site.write()
        site.watching.process.signal(signal.SIGHUP)
        await site.watching.process.shows('msg="settings reloaded"')
        assert (await site.metrics()).value(reloaded) == 1
    assert "canary" not in site.watching.process.err


async def test_what_a_reload_cannot_change_is_said(tmp_path: Path) -> None:
    async with opened(tmp_path) as site:
        about = tmp_path / "dli.yaml"
        changed = json.loads(about.read_text(encoding="utf-8")) | {"web": {"max_connections": 5}}
        about.write_text(json.dumps(changed), encoding="utf-8")
        site.watching.process.signal(signal.SIGHUP)
        await site.watching.process.shows("needs_restart=web.max_connections$")


async def test_a_broken_file_ends_the_start_with_a_line_for_each_mistake(tmp_path: Path) -> None:
    dli = quiet()
    file = tmp_path / "web.yaml"
    file.write_text("basic_auth_users: {a: canary}\ntls_server_config: {cert_file: b}\n")
    async with serve(dli) as address:
        about = alone(tmp_path, dli, address)
        flags = (f"--config.file={about}", f"--web.config.file={file}")
        code, _, err = await completed(*flags, "--web.listen-address=127.0.0.1:0", cwd=tmp_path)
    assert code == 2
    told = [line for line in err.splitlines() if line.startswith("dli-exporter: ")]
    assert [line.partition(f"{file}: ")[2].partition(":")[0] for line in told] == [
        "basic_auth_users.a",
        "tls_server_config",
    ]
    assert "canary" not in err
    assert "Traceback" not in err


@pytest.mark.parametrize("half", [b"", b"\x16\x03\x01", b"GET /-/healthy HTTP/1.1\r\nHost: x\r\n"])
async def test_200_half_open_connections_and_few_files_keep_nobody_out(
    tmp_path: Path, half: bytes
) -> None:
    """With 64 files half of them are for connections, and the rest still reaches DLI."""
    async with opened(tmp_path, files=64) as site:
        ports = [int(address.rpartition(":")[2]) for address in (site.url, site.probes)]
        crowd = [await half_open(port, half) for _ in range(200) for port in ports]
        try:
            for _ in range(3):
                async with asyncio.timeout(SOON):
                    assert await site.status() == 200
                    assert await probe(site) == 200
            site.dli.end(site.job, "FINISHED")
            await eventually(partial(ended, site), "DLI is asked still")
        finally:
            for writer in crowd:
                writer.transport.abort()
            await asyncio.gather(*(each.wait_closed() for each in crowd), return_exceptions=True)
    err = site.watching.process.err
    assert "fewer connections than web.max_connections" in err
    assert err.count("too many connections") <= 4, "it is not told each time"


async def half_open(port: int, half: bytes) -> asyncio.StreamWriter:
    """Open a connection, send what is no request as yet, and keep it."""
    _, writer = await asyncio.open_connection("127.0.0.1", port)
    writer.write(half)
    return writer


async def probe(site: Open) -> int:
    async with (
        aiohttp.ClientSession() as kubelet,
        kubelet.get(f"{site.probes}/-/healthy") as response,
    ):
        return response.status


async def ended(site: Open) -> bool:
    return (await site.metrics()).statuses() == {site.job: "FINISHED"}
