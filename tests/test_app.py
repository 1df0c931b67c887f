"""The composition: everything connected, against a simulated DLI, over real sockets."""

import asyncio
import gzip
import json
import logging
import socket
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any, Final

import pytest
from aiohttp import ClientSession
from prometheus_client.parser import text_string_to_metric_families

from exporter.app import Exporter, Orders, once, serve
from exporter.connection import StartError
from exporter.metrics.compression import STEP
from exporter.settings import Settings
from exporter.simulator import Endpoint, Fault, Project, Scene, Simulator, demo_project
from exporter.simulator import serve as simulate
from exporter.web.negotiation import Format

ONE: Final = demo_project(1, "one")
TWO: Final = demo_project(1, "two")


def settings(
    address: str, *projects: Project, jobs: tuple[str, ...] = (), rate: float = 5, **more: Any
) -> Settings:
    """Write the settings of an exporter that watches these jobs in each project."""
    given = {
        "projects": {
            project.name: {
                "endpoint": address,
                "project_id": project.id,
                "credentials": {"provider": "static", "ak": project.ak, "sk": project.sk},
                "jobs": list(jobs),
                "requests_per_second": rate,
            }
            for project in projects
        },
        "web": {"listen_address": "127.0.0.1:0", "linger": "0s"},
        "poll": {"interval": "15s"},
        **more,
    }
    return Settings.model_validate(given)


class Site:
    """A running exporter, as its visitors see it."""

    def __init__(self, address: str, session: ClientSession) -> None:
        self.address = address
        self._session = session

    async def get(self, path: str, **headers: str) -> tuple[int, str]:
        """Get a page: its status and text."""
        async with self._session.get(self.address + path, headers=headers) as response:
            return response.status, await response.text()

    async def metrics(self) -> dict[tuple[str, frozenset[tuple[str, str]]], float]:
        _, text = await self.get("/metrics")
        return {
            (sample.name, frozenset(sample.labels.items())): sample.value
            for family in text_string_to_metric_families(text)
            for sample in family.samples
        }

    async def metric(self, name: str, **labels: str) -> float | None:
        return (await self.metrics()).get((name, frozenset(labels.items())))

    async def until(self, path: str, status: int) -> None:
        """Ask until the answer has a status: each question gives everybody else a turn."""
        async with asyncio.timeout(10):
            while (await self.get(path))[0] != status:
                pass


Wait = Callable[[float], Awaitable[None]]


@asynccontextmanager
async def exporting(
    simulator: Simulator, *jobs: str, wait: Wait = asyncio.sleep
) -> AsyncIterator[Site]:
    """Run an exporter of all projects of a simulator; it must end well.

    ``wait`` spends the delays of the simulator's faults.
    """
    port: asyncio.Future[int] = asyncio.get_running_loop().create_future()
    orders = Orders()
    async with simulate(simulator, wait=wait) as address, ClientSession() as session:
        given = settings(address, *simulator.projects, jobs=jobs)
        task = asyncio.create_task(serve(given, lambda: given, orders, port.set_result))
        try:
            async with asyncio.timeout(10):
                yield Site(f"http://127.0.0.1:{await port}", session)
        finally:
            orders.stop.set()
            async with asyncio.timeout(10):
                await task


def world(*projects: Project) -> Simulator:
    """Simulate projects without jobs."""
    return Simulator(projects=projects or [ONE], scene=Scene(jobs=0))


def running(simulator: Simulator, job_id: str, project: Project = ONE) -> str:
    """Let a job run that will go on for minutes."""
    start = simulator.now() - 60
    return simulator.add("sql_aqe", project=project.id, job_id=job_id, start=start)


def door() -> tuple[Wait, asyncio.Event]:
    """Make something that holds every request up until an event."""
    opened = asyncio.Event()

    async def wait(_: float) -> None:
        await opened.wait()

    return wait, opened


async def test_once_asks_for_every_job_and_gives_the_exposition() -> None:
    simulator = world()
    jobs = tuple(running(simulator, name) for name in ("a", "b", "c"))
    async with simulate(simulator) as address:
        text = (await once(settings(address, ONE, jobs=jobs))).decode()
    for job_id in jobs:
        line = f'dli_job_status{{job_id="{job_id}",project="one",status="RUNNING"}} 1.0\n'
        assert line in text
    assert simulator.requested(Endpoint.PROGRESS) == len(jobs)


async def test_what_has_changed_is_compressed_before_anybody_scrapes() -> None:
    listed = tuple(f"job-{number}" for number in range(3_000))
    nobody = "http://127.0.0.1:1"  # so that the jobs change once, as they are listed
    given = settings(nobody, ONE, jobs=listed, limits={"jobs": 3_000})
    orders = Orders()
    exporter = Exporter(given, lambda: given)
    task = asyncio.create_task(exporter.run(orders, lambda port: None))
    for _ in range(1_000):  # many more turns than it takes
        await asyncio.sleep(0)
    now = exporter.exposition(Format.OPENMETRICS)
    orders.quit.set()
    orders.stop.set()
    await task
    await exporter.close()
    assert now.size > 2 * STEP
    assert next(now.gzip(), "nothing is left") == "nothing is left"


async def test_every_page_shows_a_job_that_was_asked_for() -> None:
    simulator = world()
    running(simulator, "a")
    async with exporting(simulator, "a") as site:
        await site.until("/-/ready", 200)
        assert await site.metric("dli_job_status", project="one", job_id="a", status="RUNNING")
        _, listed = await site.get("/api/v1/jobs")
        (job,) = json.loads(listed)["data"]["jobs"]
        assert (job["project"], job["job_id"], job["status"]) == ("one", "a", "RUNNING")
        status, page = await site.get("/")
        assert status == 200
        assert "RUNNING" in page


async def test_a_scrape_never_waits_for_dli() -> None:
    simulator = world()
    running(simulator, "a")
    simulator.faults.add(Fault(delay=1))
    wait, opened = door()
    async with exporting(simulator, "a", wait=wait) as site:
        status, text = await site.get("/metrics")
        assert status == 200
        assert 'dli_job_info{database_name="",' in text
        assert "\ndli_job_status{" not in text
        opened.set()


async def test_it_is_ready_once_every_project_has_had_an_answer() -> None:
    simulator = world(ONE, TWO)
    for project in (ONE, TWO):
        running(simulator, "a", project)
    simulator.faults.add(Fault(delay=1, project=TWO.id))
    wait, opened = door()
    async with exporting(simulator, "a", wait=wait) as site:
        assert (await site.get("/-/started"))[0] == 200
        await simulator.until(lambda each: each.requested(Endpoint.PROGRESS) > 0)
        assert (await site.get("/-/ready"))[0] == 503
        opened.set()
        await site.until("/-/ready", 200)


async def test_it_is_ready_when_dli_refuses_everything() -> None:
    simulator = world()
    simulator.faults.add(Fault(status=403, code="APIGW.0302", message="no"))
    async with exporting(simulator, "a") as site:
        await site.until("/-/ready", 200)
        assert await site.metric("dli_up", project="one") == 0


async def test_it_is_ready_without_a_job_to_ask_for() -> None:
    async with exporting(world()) as site:
        assert (await site.get("/-/ready"))[0] == 200


async def test_it_is_healthy_while_dli_is_not() -> None:
    simulator = world()
    simulator.faults.add(Fault(status=503, code="APIGW.0202"))
    async with exporting(simulator, "a") as site:
        await site.until("/-/ready", 200)
        assert (await site.get("/-/healthy"))[0] == 200


async def test_a_broken_project_does_not_disturb_another() -> None:
    simulator = world(ONE, TWO)
    for project in (ONE, TWO):
        running(simulator, "a", project)
    simulator.faults.add(Fault(status=401, code="APIGW.0301", project=ONE.id, message="decrypt"))
    async with exporting(simulator, "a") as site:
        await site.until("/-/ready", 200)
        assert await site.metric("dli_up", project="one") == 0
        assert await site.metric("dli_up", project="two") == 1
        assert await site.metric("dli_job_status", project="two", job_id="a", status="RUNNING")


async def test_errors_are_counted_by_reason_from_zero_on() -> None:
    simulator = world()
    running(simulator, "a")
    async with exporting(simulator, "a") as site:
        await site.until("/-/ready", 200)
        labels = {"project": "one", "endpoint": "/v1/{project_id}/jobs/{job_id}/progress"}
        name = "dli_exporter_api_request_errors_total"
        assert await site.metric(name, reason="timeout", **labels) == 0
        assert await site.metric("dli_exporter_api_requests_total", **labels) == 1
        skew = await site.metric("dli_exporter_clock_skew_seconds", project="one")
        assert skew is not None
        assert abs(skew) < 60


async def test_the_size_of_a_scrape_is_the_size_on_the_wire() -> None:
    async with exporting(world()) as site:
        async with ClientSession(auto_decompress=False) as plain:
            headers = {"Accept-Encoding": "gzip"}
            async with plain.get(f"{site.address}/metrics", headers=headers) as response:
                body = await response.read()
        assert gzip.decompress(body).startswith(b"# HELP dli_job_info ")
        assert await site.metric("dli_exporter_scrape_bytes", encoding="gzip") == len(body)


async def test_a_poller_that_dies_ends_the_exporter_with_its_error() -> None:
    """An interval that is no number is a mistake that no settings file can make."""
    simulator = world()
    running(simulator, "a")
    async with simulate(simulator) as address:
        given = settings(address, ONE, jobs=("a",))
        broken = given.model_copy(
            update={"poll": given.poll.model_copy(update={"interval": "soon"})}
        )
        async with asyncio.timeout(10):
            with pytest.raises(ExceptionGroup) as ended:
                await serve(broken, lambda: broken, Orders(), lambda _: None)
    assert ended.group_contains(TypeError)


async def test_an_error_in_what_is_told_the_port_ends_everything() -> None:
    def started(_: int) -> None:
        raise RuntimeError("nobody wants to know")

    async with simulate(world()) as address:
        given = settings(address, ONE)
        async with asyncio.timeout(10):
            with pytest.raises(ExceptionGroup) as ended:
                await serve(given, lambda: given, Orders(), started)
    assert ended.group_contains(RuntimeError)


async def test_a_port_in_use_is_a_start_error() -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        given = settings("http://127.0.0.1:1", ONE, web={"listen_address": f"127.0.0.1:{port}"})
        with pytest.raises((StartError, ExceptionGroup)) as refused:
            await serve(given, lambda: given, Orders(), lambda _: None)
    (error,) = getattr(refused.value, "exceptions", (refused.value,))
    assert isinstance(error, StartError)
    assert str(error).startswith(f"cannot listen on 127.0.0.1:{port}: ")


async def test_an_authority_file_without_certificates_is_a_start_error(tmp_path: Path) -> None:
    file = tmp_path / "ca.pem"
    file.write_text("no certificate", encoding="ascii")
    given = settings("https://dli.example.com", ONE)
    project = given.projects["one"].model_copy(update={"ca_file": file})
    broken = given.model_copy(update={"projects": {"one": project}})
    with pytest.raises(StartError, match=r"^/.*/ca\.pem: "):
        await serve(broken, lambda: broken, Orders(), lambda _: None)


async def test_a_stop_in_the_middle_of_calls_is_obeyed_at_once() -> None:
    simulator = world()
    running(simulator, "a")
    simulator.faults.add(Fault(delay=1))
    asked = asyncio.Event()

    async def never(_: float) -> None:
        asked.set()
        await asyncio.Event().wait()

    async with exporting(simulator, "a", wait=never):
        await asked.wait()


async def test_a_stop_in_the_middle_of_a_reload_is_obeyed_too() -> None:
    simulator = world()
    running(simulator, "a")
    orders, port = Orders(), asyncio.get_running_loop().create_future()
    async with simulate(simulator) as address, ClientSession() as session:

        def load() -> Settings:
            orders.stop.set()
            return settings(address, ONE, jobs=("a",), poll={"interval": "20s"})

        given = settings(address, ONE, jobs=("a",))
        task = asyncio.create_task(serve(given, load, orders, port.set_result))
        async with asyncio.timeout(10):
            async with session.post(f"http://127.0.0.1:{await port}/-/reload") as answer:
                assert answer.status == 200
            await task


async def test_a_reload_for_which_the_program_is_gone_changes_nothing() -> None:
    """An upgrade may have removed what only the new settings need."""
    simulator = world()
    running(simulator, "a")
    orders, port = Orders(), asyncio.get_running_loop().create_future()

    def load() -> Settings:
        raise ModuleNotFoundError("No module named 'exporter.finder'")

    async with simulate(simulator) as address, ClientSession() as session:
        given = settings(address, ONE, jobs=("a",))
        task = asyncio.create_task(serve(given, load, orders, port.set_result))
        async with asyncio.timeout(10):
            site = Site(f"http://127.0.0.1:{await port}", session)
            async with session.post(f"{site.address}/-/reload") as answer:
                assert answer.status == 500
                assert "restart the exporter: No module named" in await answer.text()
            assert await site.metric("dli_exporter_config_last_reload_successful") == 0
            orders.stop.set()
            await task


async def test_projects_with_one_key_are_refused_no_more_often_than_one() -> None:
    """The gateway locks a key for everybody after more than five refusals in a row."""
    two = replace(TWO, ak=ONE.ak, sk=ONE.sk)
    simulator = world(ONE, two)
    orders, port = Orders(), asyncio.get_running_loop().create_future()
    async with simulate(simulator) as address, ClientSession() as session:
        wrong = [replace(project, sk="wrong" * 8) for project in (ONE, two)]
        given = settings(address, *wrong, jobs=("a", "b", "c"))
        task = asyncio.create_task(serve(given, lambda: given, orders, port.set_result))
        async with asyncio.timeout(10):
            site = Site(f"http://127.0.0.1:{await port}", session)
            await simulator.until(lambda dli: dli.requested(status=401) >= 4)
            await site.until("/-/ready", 200)
            orders.stop.set()
            await task
    assert simulator.requested() == 4


async def test_nothing_is_logged_about_a_day_on_which_all_goes_well(
    caplog: pytest.LogCaptureFixture,
) -> None:
    caplog.set_level(logging.INFO)
    simulator = world()
    running(simulator, "a")
    async with exporting(simulator, "a") as site:
        await site.until("/-/ready", 200)
        await site.get("/metrics")
        assert [record.message for record in caplog.records] == []
