"""Pictures of the bundled dashboards, drawn by Grafana's own components in a browser.

A Grafana server is not to be had everywhere; its libraries are. What they do not hold, the state
timeline and the surroundings of the panels, the page in ``tests/render`` draws itself.
"""

import json
import shutil
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final
from urllib.parse import urlencode

from aiohttp import web

from ..night import Night, openmetrics
from .browser import Browser
from .processes import PATIENCE, running
from .prometheus import Prometheus, prometheus

RENDER: Final = Path(__file__).parent.parent / "render"
DASHBOARDS: Final = Path(__file__).parents[2] / "grafana" / "dashboards"
WIDTH: Final = 1600
HOURS: Final = 3
_LONG: Final = 4 * PATIENCE
"""Seconds for what works hard: promtool, esbuild, and a browser that draws thousands of lines."""


@dataclass(frozen=True)
class Picture:
    """A dashboard as it was drawn.

    ``panels`` holds, by title, the texts that each column or series shows; ``text`` is all that
    can be read on the page; ``variables`` are the choices that each variable offers, and
    ``annotations`` says how often each is marked.
    """

    title: str
    text: str
    errors: list[str]
    panels: Mapping[str, Mapping[str, list[str]]]
    variables: Mapping[str, list[str]]
    annotations: Mapping[str, int]


@dataclass(frozen=True)
class Gallery:
    """Where the dashboards hang: a page, a Prometheus with a night in it, and a browser."""

    page: str
    prometheus: Prometheus
    browser: Browser
    night: Night

    async def draw(
        self, dashboard: str, file: Path, *, theme: str = "dark", **variables: str
    ) -> Picture:
        """Draw a dashboard into a PNG file."""
        query = {
            "dashboard": f"{self.page}/dashboards/{dashboard}.json",
            "prometheus": self.prometheus.address,
            "from": str(int(self.night.end) - HOURS * 3600),
            "to": str(int(self.night.end)),
            "width": str(WIDTH),
            "theme": theme,
            **{f"var-{name}": value for name, value in variables.items()},
        }
        address = f"{self.page}/index.html?{urlencode(query)}"
        browser = self.browser
        await browser.size((WIDTH, WIDTH))
        await browser.open(address)
        await browser.until("document.title === 'done'", within=_LONG)
        report: dict[str, Any] = await browser.run("return window.report")
        await browser.size((WIDTH, report.get("height", WIDTH)))
        await browser.run("return new Promise(requestAnimationFrame)")
        await browser.picture(file)
        return Picture(
            title=report.get("title", ""),
            text=report["text"],
            errors=report["errors"],
            panels={panel["title"]: panel["fields"] for panel in report.get("panels", ())},
            variables=report.get("variables", {}),
            annotations=report.get("annotations", {}),
        )


async def build(node: str, directory: Path) -> None:
    """Bundle the page into a directory."""
    async with running(node, "build.mjs", str(directory), cwd=RENDER) as process:
        assert await process.ended(_LONG) == 0, process.report()


@asynccontextmanager
async def night_stored(
    programs: Mapping[str, str], directory: Path, night: Night
) -> AsyncIterator[Prometheus]:
    """Run a Prometheus that has stored a night."""
    text = directory / "night.txt"
    with text.open("w", encoding="utf-8") as file:
        file.writelines(openmetrics(night))
    blocks = (*("tsdb", "create-blocks-from", "openmetrics"), str(text), str(directory / "tsdb"))
    async with running(programs["promtool"], *blocks, cwd=directory) as process:
        assert await process.ended(_LONG) == 0, process.report()
    text.unlink()
    async with prometheus(programs["prometheus"], directory, []) as server:
        yield server


@asynccontextmanager
async def hung(directory: Path) -> AsyncIterator[str]:
    """Serve the page in a directory and the dashboards, and yield the address."""
    shutil.copytree(DASHBOARDS, directory / "dashboards", dirs_exist_ok=True)
    application = web.Application()
    application.router.add_static("/", directory)
    runner = web.AppRunner(application, access_log=None, shutdown_timeout=0.5)
    await runner.setup()
    try:
        await web.TCPSite(runner, "127.0.0.1", 0).start()
        yield f"http://127.0.0.1:{runner.addresses[0][1]}"
    finally:
        await runner.cleanup()


def titles(dashboard: str) -> list[str]:
    """Return the titles of a dashboard's panels, those in rows included."""
    document = json.loads((DASHBOARDS / f"{dashboard}.json").read_text(encoding="utf-8"))
    panels = [
        each for panel in document["panels"] for each in (panel, *(panel.get("panels") or ()))
    ]
    return [panel["title"] for panel in panels]
