"""What systemd hears: real datagrams on a real socket; and the unit that it reads."""

import asyncio
import configparser
import os
import socket
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import pytest

from exporter.app import Orders, serve
from exporter.settings import Settings, SettingsError, load
from exporter.simulator import Project, Scene, Simulator, demo_project
from exporter.simulator import serve as simulate
from exporter.systemd import NOBODY, ServiceManager, service_manager

UNIT: Final = Path(__file__).parent.parent / "deploy/systemd/dli-exporter.service"
SOON: Final = 10.0
OFTEN: Final = 0.01
"""Seconds of a watchdog that tests can wait for."""


@dataclass(frozen=True)
class Systemd:
    """The service manager's end of the socket."""

    listener: socket.socket
    manager: ServiceManager

    async def hears(self) -> dict[str, str]:
        """Wait for the next message, as assignments by name."""
        async with asyncio.timeout(SOON):
            message = await asyncio.get_running_loop().sock_recv(self.listener, 4096)
        return dict(line.split("=", 1) for line in message.decode().split("\n"))

    async def hears_no_ping(self) -> dict[str, str]:
        """Wait for the next message that is more than a sign of life."""
        while "WATCHDOG" in (message := await self.hears()):
            pass
        return message


@pytest.fixture(params=["a path", "an abstract name"])
def systemd(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Systemd]:
    """Listen as systemd does."""
    path = str(tmp_path / "notify")
    abstract = request.param != "a path"
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as listener:
        listener.setblocking(False)
        listener.bind(f"\0{path}" if abstract else path)
        yield Systemd(listener, ServiceManager(f"@{path}" if abstract else path))


async def test_each_moment_has_its_message(systemd: Systemd) -> None:
    systemd.manager.ready("serving")
    assert await systemd.hears() == {"READY": "1", "STATUS": "serving"}
    systemd.manager.reloading(12.5)
    assert await systemd.hears() == {"RELOADING": "1", "MONOTONIC_USEC": "12500000"}
    systemd.manager.stopping("waiting")
    assert await systemd.hears() == {"STOPPING": "1", "STATUS": "waiting"}


async def test_signs_of_life_come_only_in_health(systemd: Systemd) -> None:
    asked = 0

    def healthy() -> bool:
        nonlocal asked
        asked += 1
        return asked > 3

    watching = asyncio.create_task(systemd.manager._replace(watchdog=OFTEN).watch(healthy))
    assert await systemd.hears() == {"WATCHDOG": "1"}
    assert asked == 4
    assert await systemd.hears() == {"WATCHDOG": "1"}
    watching.cancel()


async def test_signs_of_life_come_more_often_than_wanted(systemd: Systemd) -> None:
    wanted = 0.6
    begun = time.monotonic()
    manager = systemd.manager._replace(watchdog=wanted)
    watching = asyncio.create_task(manager.watch(lambda: True))
    for _ in range(3):
        assert await systemd.hears() == {"WATCHDOG": "1"}
    watching.cancel()
    assert 0.5 * wanted < time.monotonic() - begun < wanted


async def test_nobody_is_told_nothing_and_wants_no_sign_of_life() -> None:
    NOBODY.ready("serving")
    await NOBODY.watch(lambda: pytest.fail("nobody asks"))


def test_a_socket_that_is_gone_is_a_line_in_the_log(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    ServiceManager(str(tmp_path / "gone")).ready("serving")
    assert caplog.messages == ["systemd not told"]


def test_a_socket_that_is_full_does_not_hold_anybody_up(
    systemd: Systemd, caplog: pytest.LogCaptureFixture
) -> None:
    while not caplog.messages:
        systemd.manager.ready("serving")
    assert caplog.messages == ["systemd not told"]


PID: Final = os.getpid()


@pytest.mark.parametrize(
    ("variables", "expected"),
    [
        ({}, NOBODY),
        ({"NOTIFY_SOCKET": ""}, NOBODY),
        ({"NOTIFY_SOCKET": "/run/n"}, ServiceManager("/run/n")),
        ({"NOTIFY_SOCKET": "@n", "WATCHDOG_USEC": "60000000"}, ServiceManager("@n", 60.0)),
        (
            {"NOTIFY_SOCKET": "@n", "WATCHDOG_USEC": "500000", "WATCHDOG_PID": str(PID)},
            ServiceManager("@n", 0.5),
        ),
        (
            {"NOTIFY_SOCKET": "@n", "WATCHDOG_USEC": "500000", "WATCHDOG_PID": str(PID + 1)},
            ServiceManager("@n"),
        ),
        ({"NOTIFY_SOCKET": "@n", "WATCHDOG_USEC": "0"}, ServiceManager("@n")),
        ({"NOTIFY_SOCKET": "@n", "WATCHDOG_USEC": "soon"}, ServiceManager("@n")),
    ],
)
def test_the_manager_is_found_by_its_variables(
    variables: dict[str, str], expected: ServiceManager
) -> None:
    assert service_manager(variables, PID) == expected


@dataclass
class Service:
    """An exporter that systemd has started."""

    systemd: Systemd
    orders: Orders
    settings: Settings
    mistake: bool = False

    def load(self) -> Settings:
        if self.mistake:
            raise SettingsError(["projects: is wrong"])
        return self.settings


def settings(address: str, project: Project, **poll: Any) -> Settings:
    keys = {"provider": "static", "ak": project.ak, "sk": project.sk}
    watched = {"endpoint": address, "project_id": project.id, "credentials": keys}
    return Settings.model_validate(
        {
            "projects": {"default": watched},
            "web": {"listen_address": "127.0.0.1:0", "linger": "0s"},
            "poll": poll,
        }
    )


@asynccontextmanager
async def started(systemd: Systemd, **poll: Any) -> AsyncIterator[Service]:
    """Run an exporter under a watchdog; it must end well."""
    project = demo_project(1, "default")
    dli = Simulator(projects=[project], scene=Scene(jobs=0))
    async with simulate(dli) as address:
        service = Service(systemd, Orders(), settings(address, project, **poll))
        manager = systemd.manager._replace(watchdog=OFTEN)
        task = asyncio.create_task(
            serve(service.settings, service.load, service.orders, lambda port: None, manager)
        )
        try:
            yield service
        finally:
            service.orders.stop.set()
            async with asyncio.timeout(SOON):
                await task


async def test_systemd_hears_of_start_reloads_and_stop(systemd: Systemd) -> None:
    async with started(systemd) as service:
        assert await systemd.hears() == {"READY": "1", "STATUS": "serving"}
        assert await systemd.hears() == {"WATCHDOG": "1"}
        service.mistake = True
        service.orders.reload.set()
        assert "RELOADING" in await systemd.hears_no_ping()
        status = "settings not reloaded, see the log"
        assert await systemd.hears_no_ping() == {"READY": "1", "STATUS": status}
        service.mistake = False
        service.orders.reload.set()
        begun = await systemd.hears_no_ping()
        assert int(begun["MONOTONIC_USEC"]) <= time.monotonic() * 1e6
        assert await systemd.hears_no_ping() == {"READY": "1", "STATUS": "serving"}
        service.orders.stop.set()
        assert "STOPPING" in await systemd.hears_no_ping()


def unit() -> configparser.ConfigParser:
    """Read the unit; of a name that comes several times only the last value."""
    parser = configparser.ConfigParser(strict=False, interpolation=None, delimiters=["="])
    parser.optionxform = str  # type: ignore[method-assign,assignment] # as Python's manual says
    parser.read(UNIT, encoding="utf-8")
    return parser


def test_the_settings_beside_the_unit_name_the_directory_of_its_credentials() -> None:
    file = UNIT.with_suffix(".yaml")
    project = load([f"--config.file={file}"], {}).projects["default"]
    assert project.credentials.model_dump(mode="json") == {
        "provider": "file",
        "directory": f"/run/credentials/{UNIT.name}",
    }
    assert unit()["Service"]["ExecStart"].endswith(f"=/etc/dli-exporter/{file.name}")


def test_the_unit_waits_longer_for_the_end_than_the_exporter_for_the_last_scrape() -> None:
    linger = load([f"--config.file={UNIT.with_suffix('.yaml')}"], {}).web.linger
    assert float(unit()["Service"]["TimeoutStopSec"].removesuffix("s")) > linger + 20
