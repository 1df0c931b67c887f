"""A real Prometheus, for as long as a test needs it."""

import json
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import aiohttp

from .processes import eventually, running


@dataclass(frozen=True)
class Series:
    """One series of a query's answer at one moment."""

    labels: Mapping[str, str]
    value: float


class Prometheus:
    """The HTTP API of a Prometheus."""

    def __init__(self, address: str, session: aiohttp.ClientSession) -> None:
        self.address = address
        self._session = session

    async def ready(self) -> bool:
        """Tell whether it takes queries already."""
        async with self._session.get(f"{self.address}/-/ready") as response:
            return response.status == 200

    async def query(self, promql: str, time: float | None = None) -> list[Series]:
        """Evaluate an expression, now or at a time (Unix seconds)."""
        at = {} if time is None else {"time": str(time)}
        data = await self.get("query", query=promql, **at)
        return [Series(each["metric"], float(each["value"][1])) for each in data["result"]]

    async def value(self, promql: str) -> float | None:
        """Evaluate an expression of at most one series; None if it has none."""
        found = await self.query(promql)
        assert len(found) <= 1, found
        return found[0].value if found else None

    async def by_job(self, promql: str) -> dict[str, float]:
        """Evaluate an expression with one series for each DLI job."""
        found = await self.query(promql)
        values = {each.labels["job_id"]: each.value for each in found}
        assert len(values) == len(found), found
        return values

    async def get(self, path: str, **parameters: str) -> Any:
        """Call the API, and give the data of its answer."""
        async with self._session.get(
            f"{self.address}/api/v1/{path}", params=parameters
        ) as response:
            answer = await response.json()
        assert answer["status"] == "success", answer
        return answer["data"]


@asynccontextmanager
async def prometheus(
    program: str, directory: Path, scrape_configs: list[dict[str, Any]], **sections: Any
) -> AsyncIterator[Prometheus]:
    """Run Prometheus on any free port, with its files in a directory, until it is ready.

    ``sections`` of its configuration stand beside the scrape configs.
    """
    config = directory / "prometheus.yml"
    # JSON is YAML.
    config.write_text(json.dumps({"scrape_configs": scrape_configs, **sections}), encoding="utf-8")
    command = (
        program,
        f"--config.file={config}",
        f"--storage.tsdb.path={directory / 'tsdb'}",
        "--web.listen-address=127.0.0.1:0",
    )
    async with running(*command, cwd=directory) as process, aiohttp.ClientSession() as session:
        match = await process.shows(r'msg="Listening on" address=(\S+)')
        server = Prometheus(f"http://{match[1]}", session)
        await eventually(server.ready, "Prometheus is ready")
        yield server
