"""The compose file, with podman-compose: one command, and alerts about simulated jobs arrive.

Images of others cannot be had everywhere: Prometheus and Alertmanager are Debian's, in the same
place. Grafana is only looked at as data, in `tests/test_compose.py`.
"""

import json
import re
import socket
import sys
from collections.abc import AsyncIterator
from contextlib import ExitStack, asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final
from uuid import uuid4

import aiohttp
import pytest
import yaml

from . import containers
from .conftest import Program
from .containers import ROOT, answer, podman
from .processes import eventually, running
from .prometheus import Prometheus

COMPOSE: Final = ROOT / "deploy/compose/compose.yaml"
SERVICES: Final = ("simulator", "exporter", "prometheus", "alertmanager")
PORTS: Final = ("DLI_EXPORTER_PORT", "PROMETHEUS_PORT", "ALERTMANAGER_PORT")
RECIPES: Final = {
    "PROMETHEUS_IMAGE": """
FROM {base}
COPY bin/prometheus bin/promtool /usr/bin/
RUN install --directory --owner=65534 --group=65534 /prometheus
USER 65534:65534
ENTRYPOINT ["prometheus"]
""",
    "ALERTMANAGER_IMAGE": """
FROM {base}
COPY bin/prometheus-alertmanager /usr/bin/alertmanager
COPY bin/amtool /usr/bin/
COPY share/prometheus/alertmanager /usr/share/prometheus/alertmanager
RUN install --directory --owner=65534 --group=65534 /alertmanager
USER 65534:65534
ENTRYPOINT ["alertmanager"]
""",
}


@pytest.fixture(scope="module")
def images(program: Program, image: str, tmp_path_factory: pytest.TempPathFactory) -> Any:
    """Build what stands in for the images of others; give all as variables of the compose file."""
    for each in ("prometheus", "promtool", "prometheus-alertmanager", "amtool"):
        program(each)
    named = {"DLI_EXPORTER_IMAGE": image}
    for variable, recipe in RECIPES.items():
        file = tmp_path_factory.mktemp("recipe") / "Dockerfile"
        file.write_text(recipe.format(base=containers.base()), encoding="utf-8")
        tag = f"localhost/{variable.lower().removesuffix('_image')}-standin:e2e"
        named[variable] = containers.build(tag, file, Path("/usr"))
    return named


def free_ports() -> dict[str, str]:
    """Find a free port for each service that has one."""
    with ExitStack() as open_sockets:
        sockets = {name: open_sockets.enter_context(socket.socket()) for name in PORTS}
        for each in sockets.values():
            each.bind(("127.0.0.1", 0))
        return {name: str(each.getsockname()[1]) for name, each in sockets.items()}


@dataclass(frozen=True)
class Stack:
    """Everything that the compose file has started."""

    project: str
    ports: dict[str, str]
    session: aiohttp.ClientSession

    @property
    def prometheus(self) -> Prometheus:
        return Prometheus(f"http://127.0.0.1:{self.ports['PROMETHEUS_PORT']}", self.session)

    async def alerts(self) -> set[str]:
        """Name the alerts that Alertmanager has."""
        address = f"http://127.0.0.1:{self.ports['ALERTMANAGER_PORT']}/api/v2/alerts"
        async with self.session.get(address) as response:
            return {alert["labels"]["alertname"] for alert in await response.json()}


@asynccontextmanager
async def up(images: dict[str, str], directory: Path) -> AsyncIterator[Stack]:
    """Start the compose file, as long as the block lasts."""
    project = f"e2e{uuid4().hex[:12]}"
    ports = free_ports()
    env = {**containers.environment(), **images, **ports}

    async def compose(*words: str) -> None:
        command = (sys.executable, "-m", "podman_compose", "-f", str(COMPOSE), "-p", project)
        async with running(*command, *words, cwd=directory, env=env) as process:
            assert await process.ended() == 0, process.report()

    async def healthy() -> bool:
        name = f"{project}_{SERVICES[0]}_1"
        return not (await answer("healthcheck", "run", name)).strip()

    try:
        # In two steps, since podman before 4.6 leaves service_healthy out of account.
        await compose("up", "--detach", "--no-build", SERVICES[0])
        await eventually(healthy, "the simulator is there")
        await compose("up", "--detach", "--no-build", *SERVICES)
        async with aiohttp.ClientSession() as session:
            yield Stack(project, ports, session)
    finally:
        await podman("pod", "rm", "--force", "--ignore", "--time", "0", f"pod_{project}")
        await compose("down", "--volumes", "--timeout", "0")


async def test_one_command_shows_simulated_jobs_and_raises_alerts_about_them(
    images: dict[str, str], tmp_path: Path
) -> None:
    async with up(images, tmp_path) as stack:
        await eventually(lambda: ready(stack), "Prometheus is ready")
        await eventually(lambda: seen(stack, "dli_job_status == 1"), "jobs in Prometheus")
        await eventually(lambda: seen(stack, 'ALERTS{alertname="DLIJobFailed"}'), "an alert")
        await eventually(stack.alerts, "an alert in Alertmanager")
        assert "DLIJobFailed" in await stack.alerts()
        await every_rule_works(stack)
        for service in SERVICES:
            await is_hardened(stack, service)
            await podman("healthcheck", "run", f"{stack.project}_{service}_1")


async def ready(stack: Stack) -> bool:
    try:
        return await stack.prometheus.ready()
    except aiohttp.ClientError:
        return False


async def seen(stack: Stack, promql: str) -> bool:
    return bool(await stack.prometheus.query(promql))


async def every_rule_works(stack: Stack) -> None:
    """Require every rule of the files in Prometheus, and evaluated."""
    files = [ROOT / "deploy/prometheus" / name for name in ("alerts.yml", "rules.yml")]
    groups = [group for file in files for group in yaml.safe_load(file.read_text())["groups"]]
    expected = {group["name"]: len(group["rules"]) for group in groups}

    async def evaluated() -> bool:
        loaded = (await stack.prometheus.get("rules"))["groups"]
        assert {group["name"]: len(group["rules"]) for group in loaded} == expected
        return {rule["health"] for group in loaded for rule in group["rules"]} == {"ok"}

    await eventually(evaluated, "every rule evaluated")


async def is_hardened(stack: Stack, service: str) -> None:
    """Require of the running container what the compose file says."""
    (facts,) = json.loads(await podman("inspect", f"{stack.project}_{service}_1"))
    promised = yaml.safe_load(COMPOSE.read_text(encoding="utf-8"))["services"][service]
    assert facts["HostConfig"]["ReadonlyRootfs"]
    assert not facts["EffectiveCaps"]
    assert facts["HostConfig"]["SecurityOpt"] == ["no-new-privileges"]
    megabytes = re.fullmatch(r"(\d+)m", promised["mem_limit"])
    assert megabytes is not None
    assert facts["HostConfig"]["Memory"] == int(megabytes[1]) * 2**20
