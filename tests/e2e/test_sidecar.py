"""The Job of the examples, as rendered: from its first container to its last sample."""

import asyncio
import os
import signal
import sys
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, Final

import pytest
import yaml
from aiohttp import web

from exporter import __version__
from exporter.simulator import Endpoint, Fault, Project, Simulator
from exporter.simulator.server import application

from ..kubernetes.manifests import KUSTOMIZE, only, pods, render
from .conftest import Program
from .exporters import lasting, quiet
from .kubelet import Images, Pod, running_pod
from .processes import PATIENCE, eventually
from .prometheus import Prometheus, prometheus

IMAGES: Final[Images] = {
    f"dli-exporter:{__version__}": (sys.executable, "-m", "exporter"),
    "registry.example.com/etl:1.0": (),
}
SIDECAR: Final = "dli-exporter"


@asynccontextmanager
async def submitting(dli: Simulator) -> AsyncIterator[str]:
    """Serve a simulator that takes SQL as well: each statement becomes a job that runs on."""

    @web.middleware
    async def submit(
        request: web.Request, handler: Callable[[web.Request], Awaitable[web.StreamResponse]]
    ) -> web.StreamResponse:
        if request.method != "POST" or not request.path.endswith("/jobs/submit-job"):
            return await handler(request)
        assert (await request.json())["sql"]
        job_id = dli.add(lasting())
        return web.json_response({"is_success": True, "message": "", "job_id": job_id})

    app = application(dli)
    app.middlewares.append(submit)
    runner = web.AppRunner(app, access_log=None, shutdown_timeout=0.5)
    await runner.setup()
    try:
        site = web.TCPSite(runner, "127.0.0.1", 0)
        await site.start()
        yield f"http://127.0.0.1:{runner.addresses[0][1]}"
    finally:
        await runner.cleanup()


def overlay(directory: Path, address: str, project: Project, **settings: Any) -> Path:
    """Write a kustomization over the example, as whoever uses it would."""
    directory.mkdir()
    keys = {"ak": project.ak, "sk": project.sk}
    given = {
        "endpoint": address,
        "project_id": project.id,
        "credentials": {"provider": "file", "directory": "/run/secrets/dli"},
        "requests_per_second": 100,
    }
    about = {"projects": {"default": given}, "poll": {"interval": "200ms"}, **settings}
    (directory / "settings.yaml").write_text(yaml.safe_dump(about), encoding="utf-8")
    env = {
        "DLI_ENDPOINT": address,
        "HUAWEICLOUD_SDK_PROJECT_ID": project.id,
        "POLL_SECONDS": "0.1",
    }
    etl = {"name": "etl", "env": [{"name": key, "value": value} for key, value in env.items()]}
    job = {
        "apiVersion": "batch/v1",
        "kind": "Job",
        "metadata": {"name": "nightly"},
        "spec": {"template": {"spec": {"containers": [etl]}}},
    }
    secret = [{"op": "replace", "path": "/stringData", "value": keys}]
    whole = {
        "resources": [os.path.relpath(KUSTOMIZE / "examples/job", directory.resolve())],
        "configMapGenerator": [
            {"name": "dli-exporter", "behavior": "replace", "files": ["settings.yaml"]}
        ],
        "patches": [
            {"patch": yaml.safe_dump(job)},
            {"patch": yaml.safe_dump(secret), "target": {"kind": "Secret"}},
        ],
    }
    (directory / "kustomization.yaml").write_text(yaml.safe_dump(whole), encoding="utf-8")
    return directory


@dataclass
class Cluster:
    """A simulated DLI, and what it takes to run the example's pod beside it."""

    dli: Simulator
    address: str
    kubectl: str
    directory: Path
    stack: AsyncExitStack
    pod: Pod | None = None

    async def start(self, grace: int | None = None, **settings: Any) -> asyncio.Task[str]:
        """Render the example and run its pod; the task gives the pod's phase."""
        project = self.dli.projects[0]
        root = overlay(self.directory / "overlay", self.address, project, **settings)
        objects = render(self.kubectl, root)
        (template,) = pods(objects)
        if grace is not None:
            template["spec"]["terminationGracePeriodSeconds"] = grace
        made = running_pod(template, objects, self.directory, IMAGES)
        self.pod, phase = await self.stack.enter_async_context(made)
        return phase

    @property
    def events(self) -> list[str]:
        assert self.pod is not None
        return self.pod.events

    async def job(self) -> str:
        """Wait until the main container has submitted its job, and return the id."""

        async def submitted() -> str | None:
            return next(iter(self.dli.job_ids()), None)

        found = await eventually(submitted, "a job is submitted")
        assert found is not None
        return found

    async def scraping(self, program: Program) -> Prometheus:
        """Run a Prometheus that finds the pod, with the limits of our PodMonitor."""
        assert self.pod is not None
        monitor = only(render(self.kubectl, KUSTOMIZE / "monitoring"), "PodMonitor")["spec"]
        config = {
            "job_name": "monitoring/dli-exporter-sidecars",
            "scrape_interval": "1s",
            "scrape_timeout": "1s",
            "sample_limit": monitor["sampleLimit"],
            "body_size_limit": monitor["bodySizeLimit"],
            "label_limit": monitor["labelLimit"],
            "label_name_length_limit": monitor["labelNameLengthLimit"],
            "label_value_length_limit": monitor["labelValueLengthLimit"],
            "file_sd_configs": [{"files": [str(self.pod.discovery)], "refresh_interval": "1s"}],
        }
        directory = self.directory / "prometheus"
        directory.mkdir()
        run = prometheus(program("prometheus"), directory, [config])
        return await self.stack.enter_async_context(run)


@pytest.fixture
async def cluster(program: Program, tmp_path: Path) -> AsyncIterator[Cluster]:
    dli = quiet()
    async with submitting(dli) as address, AsyncExitStack() as stack:
        yield Cluster(dli, address, program("kubectl"), tmp_path, stack)


async def shows(server: Prometheus, job_id: str, status: str) -> bool:
    """Tell whether a Prometheus has ever seen a job in a status."""
    query = f'last_over_time(dli_job_status{{job_id="{job_id}", status="{status}"}}[10m]) == 1'
    return bool(await server.query(query))


async def phase_of(pod: asyncio.Task[str]) -> str:
    async with asyncio.timeout(PATIENCE):
        return await pod


@pytest.mark.parametrize(
    ("status", "phase", "code"), [("FINISHED", "Succeeded", 0), ("FAILED", "Failed", 1)]
)
async def test_the_end_of_the_job_is_stored_and_the_pod_ends(
    program: Program, cluster: Cluster, status: str, phase: str, code: int
) -> None:
    pod = await cluster.start()
    server = await cluster.scraping(program)
    job_id = await cluster.job()
    await eventually(partial(shows, server, job_id, "RUNNING"), "the job is scraped")
    assert cluster.pod is not None
    assert await cluster.pod.probe(SIDECAR, "livenessProbe")
    cluster.dli.end(job_id, status)
    assert await phase_of(pod) == phase
    assert await shows(server, job_id, status)
    assert cluster.events == [
        *(f"start {SIDECAR}", f"started {SIDECAR}", "start etl", f"exit etl {code}"),
        *(f"SIGTERM {SIDECAR}", f"exit {SIDECAR} 0"),
    ]
    name = await server.query(f'last_over_time(dli_job_info{{job_id="{job_id}"}}[10m])')
    assert {each.labels["name"] for each in name} == {"nightly"}
    assert "web.linger is over" not in cluster.pod.container(SIDECAR).process.err


async def test_a_job_that_is_over_before_anybody_looked_is_stored(
    program: Program, cluster: Cluster
) -> None:
    """The main container leaves at once: the exporter is told to end before its next look."""
    pod = await cluster.start()
    server = await cluster.scraping(program)
    job_id = await cluster.job()
    cluster.dli.end(job_id, "FINISHED")
    assert await phase_of(pod) == "Succeeded"
    assert await shows(server, job_id, "FINISHED")


async def test_a_pod_that_is_deleted_shows_how_far_the_job_was(
    program: Program, cluster: Cluster
) -> None:
    pod = await cluster.start()
    server = await cluster.scraping(program)
    job_id = await cluster.job()
    await eventually(partial(shows, server, job_id, "RUNNING"), "the job is scraped")
    assert cluster.pod is not None
    cluster.pod.delete()
    assert await phase_of(pod) == "Failed"
    assert cluster.events[-4:] == [
        *("SIGTERM etl", "exit etl 143", f"SIGTERM {SIDECAR}", f"exit {SIDECAR} 0"),
    ]


async def test_an_api_that_is_down_at_the_end_holds_up_nothing(
    program: Program, cluster: Cluster
) -> None:
    pod = await cluster.start()
    server = await cluster.scraping(program)
    job_id = await cluster.job()
    await eventually(partial(shows, server, job_id, "RUNNING"), "the job is scraped")
    cluster.dli.faults.add(Fault(status=503))
    assert await phase_of(pod) == "Failed"
    assert cluster.events[-3:] == ["exit etl 1", f"SIGTERM {SIDECAR}", f"exit {SIDECAR} 0"]
    assert any(each.fault and each.endpoint is Endpoint.PROGRESS for each in cluster.dli.requests)
    assert await shows(server, job_id, "RUNNING")


async def test_without_a_scraper_the_pod_ends_when_the_linger_is_over(cluster: Cluster) -> None:
    pod = await cluster.start(web={"linger": "1s"})
    cluster.dli.end(await cluster.job(), "FINISHED")
    assert await phase_of(pod) == "Succeeded"
    assert cluster.events[-1] == f"exit {SIDECAR} 0"
    assert cluster.pod is not None
    assert "web.linger is over" in cluster.pod.container(SIDECAR).process.err


async def test_a_linger_beyond_the_grace_period_is_cut_short(cluster: Cluster) -> None:
    """This is what the grace period of the component is for."""
    pod = await cluster.start(grace=1, web={"linger": "90s"})
    cluster.dli.end(await cluster.job(), "FINISHED")
    assert await phase_of(pod) == "Succeeded"
    assert cluster.events[-3:] == [f"SIGTERM {SIDECAR}", f"SIGKILL {SIDECAR}", f"exit {SIDECAR} -9"]


async def test_a_sidecar_that_was_killed_comes_back_and_finds_the_job_again(
    program: Program, cluster: Cluster
) -> None:
    pod = await cluster.start()
    server = await cluster.scraping(program)
    job_id = await cluster.job()
    await eventually(partial(shows, server, job_id, "RUNNING"), "the job is scraped")
    assert cluster.pod is not None
    cluster.pod.container(SIDECAR).process.signal(signal.SIGKILL)
    await eventually(lambda: restarted(server), "the new process is scraped")
    cluster.dli.end(job_id, "FINISHED")
    assert await phase_of(pod) == "Succeeded"
    assert cluster.events.count(f"start {SIDECAR}") == 2
    assert await shows(server, job_id, "FINISHED")


async def restarted(server: Prometheus) -> bool:
    series = "count(count_over_time(process_start_time_seconds[10m]))"
    return (await server.value(series) or 0) > 1


async def test_the_pod_starts_while_the_api_is_down(cluster: Cluster) -> None:
    """Whether the main container may start is no matter of DLI's, nor of a key's."""
    cluster.dli.faults.add(Fault(status=503))
    pod = await cluster.start(web={"linger": "1s"})
    assert await phase_of(pod) == "Failed"
    assert cluster.events == [
        *(f"start {SIDECAR}", f"started {SIDECAR}", "start etl", "exit etl 1"),
        *(f"SIGTERM {SIDECAR}", f"exit {SIDECAR} 0"),
    ]
