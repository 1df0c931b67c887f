"""The endpoints over real sockets."""

import gzip
import json
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass, field, replace
from typing import Any

import pytest
from aiohttp import ClientSession
from aiohttp.test_utils import TestServer

from exporter.jobs.model import Counts, Job, JobKey, JobStatus, Sighting, SubJob, SubJobStatus
from exporter.web.negotiation import Format
from exporter.web.routes import Views, application

JOB = Job(
    key=JobKey("prod", "85798b38"),
    status=JobStatus.RUNNING,
    ratio=0.425,
    counts=Counts(tasks=10),
    listed=(
        Sighting(
            subjob=SubJob(id=0, status=SubJobStatus.RUNNING, name="<b>count</b>"),
            first=1.0,
            first_done=0,
        ),
    ),
)


@dataclass
class Memory:
    """What the endpoints read in these tests."""

    jobs: list[Job] = field(default_factory=lambda: [JOB])
    healthy: bool = True
    ready: bool = True
    scrapes: list[tuple[str, int]] = field(default_factory=list)

    def exposition(self, chosen: Format) -> Iterator[bytes]:
        yield b"# TYPE a gauge\n"
        yield b"a 1.0\n"
        if chosen is Format.OPENMETRICS:
            yield b"# EOF\n"

    def views(self) -> Views:
        return Views(
            version="1.2.3",
            exposition=self.exposition,
            jobs=lambda: self.jobs,
            healthy=lambda: self.healthy,
            ready=lambda: self.ready,
            scraped=lambda encoding, size: self.scrapes.append((encoding, size)),
        )


@pytest.fixture
def memory() -> Memory:
    return Memory()


@pytest.fixture
async def client(memory: Memory) -> AsyncIterator[ClientSession]:
    async with (
        TestServer(application(memory.views())) as server,
        ClientSession(server.make_url("/"), auto_decompress=False) as session,
    ):
        yield session


async def test_metrics_as_text(client: ClientSession, memory: Memory) -> None:
    async with client.get("/metrics", headers={"Accept-Encoding": "identity"}) as response:
        body = await response.read()
    assert response.status == 200
    assert response.headers["Content-Type"] == "text/plain; version=0.0.4; charset=utf-8"
    assert "Content-Encoding" not in response.headers
    assert body == b"# TYPE a gauge\na 1.0\n"
    assert memory.scrapes == [("identity", len(body))]


async def test_metrics_as_openmetrics_in_gzip(client: ClientSession, memory: Memory) -> None:
    headers = {"Accept": "application/openmetrics-text;version=1.0.0", "Accept-Encoding": "gzip"}
    async with client.get("/metrics", headers=headers) as response:
        body = await response.read()
    wanted = "application/openmetrics-text; version=1.0.0; charset=utf-8"
    assert response.headers["Content-Type"] == wanted
    assert response.headers["Content-Encoding"] == "gzip"
    assert gzip.decompress(body) == b"# TYPE a gauge\na 1.0\n# EOF\n"
    assert memory.scrapes == [("gzip", len(body))]


async def test_caches_are_told_what_the_answer_depends_on(client: ClientSession) -> None:
    async with client.get("/metrics") as response:
        assert response.headers["Vary"] == "Accept, Accept-Encoding"


@pytest.mark.parametrize(
    ("path", "flag", "status", "text"),
    [
        ("/-/started", "healthy", 200, "DLI exporter is started.\n"),
        ("/-/healthy", "healthy", 503, "DLI exporter is not healthy.\n"),
        ("/-/healthy", "ready", 200, "DLI exporter is healthy.\n"),
        ("/-/ready", "ready", 503, "DLI exporter is not ready.\n"),
        ("/-/ready", "healthy", 200, "DLI exporter is ready.\n"),
    ],
)
async def test_probes(
    client: ClientSession, memory: Memory, path: str, flag: str, status: int, text: str
) -> None:
    setattr(memory, flag, False)
    async with client.get(path) as response:
        assert (response.status, await response.text()) == (status, text)


async def jobs(client: ClientSession) -> list[dict[str, Any]]:
    async with client.get("/api/v1/jobs") as response:
        assert response.content_type == "application/json"
        answer: dict[str, Any] = json.loads(await response.read())
    assert answer["status"] == "success"
    listed: list[dict[str, Any]] = answer["data"]["jobs"]
    return listed


async def test_jobs_as_json(client: ClientSession) -> None:
    (job,) = await jobs(client)
    assert {name: job[name] for name in ("project", "job_id", "status", "progress_ratio")} == {
        "project": "prod",
        "job_id": "85798b38",
        "status": "RUNNING",
        "progress_ratio": 0.425,
    }
    assert (job["tasks"], job["tasks_failed"]) == (10, None)
    assert [subjob["subjob_id"] for subjob in job["subjobs"]] == [0]


async def test_json_survives_a_lone_surrogate(client: ClientSession, memory: Memory) -> None:
    memory.jobs = [replace(JOB, name="a\ud800")]
    assert (await jobs(client))[0]["name"] == "a\ud800"


async def test_landing_page_shows_jobs_and_links(client: ClientSession) -> None:
    async with client.get("/") as response:
        page = await response.text()
    assert response.content_type == "text/html"
    assert "version 1.2.3" in page
    assert 'href="metrics"' in page
    assert "<td>prod</td><td>85798b38</td><td>RUNNING</td><td>42%</td>" in page


async def test_landing_page_escapes_text(client: ClientSession, memory: Memory) -> None:
    memory.jobs = [replace(JOB, key=JobKey("<script>", "x"), status=None, ratio=None)]
    async with client.get("/") as response:
        page = await response.text()
    assert "<script>" not in page
    assert "<td>&lt;script&gt;</td><td>x</td><td>not asked yet</td><td></td>" in page


@pytest.mark.parametrize("path", ["/", "/metrics", "/nowhere"])
async def test_browsers_are_told_to_trust_nothing(client: ClientSession, path: str) -> None:
    async with client.get(path) as response:
        assert response.headers["Content-Security-Policy"].startswith("default-src 'none'")
        assert response.headers["X-Content-Type-Options"] == "nosniff"


@pytest.mark.parametrize(
    ("method", "path", "status"),
    [("POST", "/metrics", 405), ("DELETE", "/api/v1/jobs", 405), ("GET", "/nowhere", 404)],
)
async def test_refusals(client: ClientSession, method: str, path: str, status: int) -> None:
    async with client.request(method, path) as response:
        assert response.status == status
