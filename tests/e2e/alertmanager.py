"""A real Alertmanager, configured as shipped, and somebody whom it tells."""

import asyncio
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import aiohttp
import yaml
from aiohttp import web

from .processes import PATIENCE, eventually, running

SHIPPED: Final = (
    Path(__file__).parent.parent.parent
    / "deploy"
    / "prometheus"
    / "alertmanager"
    / "alertmanager.yml"
)


@dataclass(frozen=True)
class Notice:
    """What one notification says of one alert, and which receiver it was for."""

    receiver: str
    alert: dict[str, Any]

    @property
    def name(self) -> str:
        """The alert's name."""
        return str(self.alert["labels"]["alertname"])

    @property
    def firing(self) -> bool:
        """Whether it fires, or is over."""
        return bool(self.alert["status"] == "firing")


class Told:
    """Whoever the webhook belongs to, and all that came."""

    def __init__(self) -> None:
        """Nothing came yet; `telling` is what to call."""
        self.url = ""
        self.notices: list[Notice] = []
        self._news = asyncio.Event()

    async def receive(self, request: web.Request) -> web.Response:
        """Take a notification."""
        body = await request.json()
        self.notices += [Notice(body["receiver"], alert) for alert in body["alerts"]]
        self._news.set()
        return web.Response()

    def find(self, condition: Callable[[Notice], bool]) -> Iterator[Notice]:
        """Go through what came and fulfils a condition."""
        return filter(condition, self.notices)

    async def until(self, condition: Callable[[Notice], bool]) -> Notice:
        """Wait for a notice; it may have come already."""
        async with asyncio.timeout(PATIENCE):
            while True:
                self._news.clear()
                for notice in self.find(condition):
                    return notice
                await self._news.wait()


@asynccontextmanager
async def telling() -> AsyncIterator[Told]:
    """Listen on any free port for as long as the block lasts."""
    told = Told()
    app = web.Application()
    app.router.add_post("/", told.receive)
    runner = web.AppRunner(app, access_log=None)
    await runner.setup()
    try:
        site = web.TCPSite(runner, "127.0.0.1", 0)
        await site.start()
        host, port = runner.addresses[0][:2]
        told.url = f"http://{host}:{port}/"
        yield told
    finally:
        await runner.cleanup()


def configured(url: str) -> dict[str, Any]:
    """Give the configuration as shipped, but with one who hears of everything, and at once."""
    config: dict[str, Any] = yaml.safe_load(SHIPPED.read_text(encoding="utf-8"))
    config["route"] |= {"group_wait": "1s", "group_interval": "1s"}
    for receiver in config["receivers"]:
        receiver["webhook_configs"] = [{"url": url}]
    return config


@asynccontextmanager
async def alertmanager(program: str, directory: Path, told: Told) -> AsyncIterator[str]:
    """Run Alertmanager on any free port until it is ready, and give its address."""
    config = directory / "alertmanager.yml"
    config.write_text(yaml.safe_dump(configured(told.url)), encoding="utf-8")
    command = (
        program,
        f"--config.file={config}",
        f"--storage.path={directory / 'alertmanager'}",
        "--web.listen-address=127.0.0.1:0",
        "--cluster.listen-address=",
    )
    async with running(*command, cwd=directory) as process, aiohttp.ClientSession() as session:
        match = await process.shows(r'msg="Listening on" address=(\S+)')
        address = f"http://{match[1]}"

        async def ready() -> bool:
            async with session.get(f"{address}/-/ready") as response:
                return response.status == 200

        await eventually(ready, "Alertmanager is ready")
        yield address


async def post(address: str, *labels: dict[str, str]) -> None:
    """Tell Alertmanager of alerts, as Prometheus does."""
    alerts = [{"labels": each} for each in labels]
    async with (
        aiohttp.ClientSession() as session,
        session.post(f"{address}/api/v2/alerts", json=alerts) as response,
    ):
        assert response.status == 200, await response.text()
