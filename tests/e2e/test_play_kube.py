"""The Job of the examples in real containers: its mounts, users, rights and limits, in podman.

Podman knows no native sidecars: here it is a container like any other, and podman ends the pod.
"""

import re
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any
from uuid import uuid4

import yaml

from exporter.simulator import Simulator

from ..kubernetes.manifests import Object, containers, pods, render
from .conftest import Program
from .containers import ROOT, environment, podman
from .exporters import lasting, quiet
from .processes import eventually, fetch, running
from .test_sidecar import overlay, submitting
from .volumes import Volumes


def playable(pod: Object, volumes: Volumes, image: str, *command: str) -> dict[str, Any]:
    """Return a pod as podman takes it on the host network: no sidecars, no ports, no probes.

    The main container, with all else that it has, only runs a command of the exporter's image.
    """
    sidecar, main = (dict(each, image=image) for each in containers(pod))
    for name in ("restartPolicy", "startupProbe", "livenessProbe", "ports"):
        del sidecar[name]
    sidecar["env"] = [{"name": "DLI_EXPORTER_WEB__LISTEN_ADDRESS", "value": "127.0.0.1:0"}]
    main["command"] = list(command)
    main["env"] = [each for each in main["env"] if "value" in each]
    directories = [
        {"name": name, "hostPath": {"path": str(path), "type": "Directory"}}
        for name, path in volumes.directories.items()
    ]
    spec = {
        "hostNetwork": True,
        "restartPolicy": "Never",
        "securityContext": pod["spec"]["securityContext"],
        "containers": [sidecar, main],
        "volumes": directories,
    }
    name = f"dli-e2e-{uuid4().hex[:8]}"
    return {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": name}, "spec": spec}


@asynccontextmanager
async def played(pod: dict[str, Any], directory: Path) -> AsyncIterator[str]:
    """Let podman run a pod as long as the block lasts, and yield its name."""
    file = directory / "pod.yaml"
    file.write_text(yaml.safe_dump(pod), encoding="utf-8")
    name = str(pod["metadata"]["name"])
    try:
        await podman("play", "kube", "--network=host", str(file))
        yield name
    finally:
        await podman("pod", "rm", "--force", "--ignore", "--time=0", name)


async def log(container: str, pattern: str) -> re.Match[str]:
    """Wait for a line in what a container has written."""
    command = ("podman", "logs", "--follow", container)
    async with running(*command, cwd=ROOT, env=environment()) as process:
        return await process.shows(pattern)


async def status(port: str, job_id: str) -> str | None:
    _, text = await fetch(f"http://127.0.0.1:{port}/metrics")
    shown = re.search(rf'dli_job_status{{job_id="{job_id}",.*status="(\w+)"}} 1', text)
    return shown[1] if shown else None


async def test_podman_runs_the_pod(program: Program, image: str, tmp_path: Path) -> None:
    dli: Simulator = quiet()
    job_id = dli.add(lasting())
    async with submitting(dli) as url:
        root = overlay(tmp_path / "overlay", url, dli.projects[0], web={"linger": "0s"})
        objects = render(program("kubectl"), root)
        (pod,) = pods(objects)
        volumes = Volumes(pod["spec"], objects, tmp_path / "volumes", mounted=True)
        register = ("dli-exporter", "register", job_id, "--name=nightly")
        async with played(playable(pod, volumes, image, *register), tmp_path) as name:
            main, sidecar = f"{name}-etl", f"{name}-dli-exporter"
            assert (await podman("wait", main)).strip() == "0", await podman("logs", main)
            port = (await log(sidecar, r"msg=listening .*\bport=(\d+)"))[1]

            async def watched() -> bool:
                return await status(port, job_id) == "RUNNING"

            await eventually(watched, "the registered job is watched")
            template = "{{.HostConfig.ReadonlyRootfs}} {{.Config.User}} {{.HostConfig.Memory}}"
            facts = await podman("inspect", "--format", template, sidecar)
            assert facts.split() == ["true", "65532:65532", str(128 * 2**20)]
            await podman("stop", "--time=20", sidecar)
            code = await podman("inspect", "--format", "{{.State.ExitCode}}", sidecar)
            assert code.strip() == "0", await podman("logs", sidecar)
