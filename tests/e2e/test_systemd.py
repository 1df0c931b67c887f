"""The unit, in a systemd that has really booted: it starts, is hardened, and comes back."""

import json
import re
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import pytest

from exporter.simulator import Project, demo_project

from . import containers
from .containers import ROOT, answer, podman
from .exporters import Metrics
from .processes import eventually

UNIT: Final = "dli-exporter.service"
MOST_EXPOSED: Final = 2.0
TENTHS: Final = 10
DYNAMIC_USERS: Final = range(61184, 65520)
"""What systemd chooses from for DynamicUser= (systemd.exec(5))."""
BOOT: Final = (
    "--systemd=always",
    "--network=none",
    # All that a machine's own systemd has, apart from the machine's devices.
    "--cap-add=all",
    "--security-opt=seccomp=unconfined",
    "--security-opt=apparmor=unconfined",
    "--security-opt=unmask=ALL",
)
# The machine's own kernel is nothing that a test may set. What is mounted for a service has to
# be seen by it, hence rshared.
RECIPE: Final = """
FROM {base}
RUN apt-get update \
    && apt-get install -y --no-install-recommends dbus procps systemd systemd-sysv \
    && systemctl mask systemd-modules-load systemd-sysctl systemd-udevd
COPY --from={image} /opt/dli-exporter /opt/dli-exporter
COPY etc /etc
RUN chmod 0700 /etc/dli-exporter/credentials && systemctl enable simulator
CMD ["sh", "-c", "mount --make-rshared / && exec /sbin/init"]
"""
SIMULATOR: Final = """
[Service]
ExecStart=/opt/dli-exporter/bin/dli-exporter simulate
[Install]
WantedBy=multi-user.target
"""
IMPATIENT: Final = """
[Service]
WatchdogSec=2s
RestartSec=100ms
"""
RELOAD_THAT_WAITS: Final = """
[Service]
Type=notify-reload
ExecReload=
"""
FETCH: Final = """
import urllib.request
print(urllib.request.urlopen("http://127.0.0.1:10296/metrics", timeout=10).read().decode())
"""


def settings(project: Project) -> str:
    watched = {
        "endpoint": "http://127.0.0.1:10297",
        "project_id": project.id,
        "credentials": {"provider": "file", "directory": f"/run/credentials/{UNIT}"},
        "discovery": {"enabled": True},
    }
    given = {"projects": {"default": watched}, "poll": {"interval": "1s"}, "web": {"linger": "0s"}}
    return json.dumps(given)


def etc(directory: Path) -> None:
    """Write what an operator and a test put under /etc."""
    project = demo_project(1, "default")
    files = {
        f"systemd/system/{UNIT}": (ROOT / "deploy/systemd" / UNIT).read_text(encoding="utf-8"),
        f"systemd/system/{UNIT}.d/impatient.conf": IMPATIENT,
        "systemd/system/simulator.service": SIMULATOR,
        "dli-exporter/dli-exporter.yaml": settings(project),
        "dli-exporter/credentials/ak": f"{project.ak}\n",
        "dli-exporter/credentials/sk": f"{project.sk}\n",
    }
    for name, content in files.items():
        file = directory / "etc" / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(content, encoding="utf-8")


@pytest.fixture(scope="module")
def machine(image: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """Boot systemd in a container, once for all of these tests."""
    context = tmp_path_factory.mktemp("systemd")
    etc(context)
    recipe = context / "Dockerfile"
    recipe.write_text(RECIPE.format(base=containers.base(), image=image), encoding="utf-8")
    built = containers.build("localhost/dli-exporter-systemd:e2e", recipe, context)
    with containers.detached(*BOOT, built) as name:
        yield name


@dataclass(frozen=True)
class Service:
    """The exporter as systemd's service."""

    machine: str

    async def run(self, *command: str) -> str:
        """Run a program on the machine; fail if it fails."""
        return await podman("exec", self.machine, *command)

    async def systemctl(self, word: str) -> str:
        return await self.run("systemctl", word, UNIT)

    async def shows(self, name: str) -> str:
        """Give a property of the service."""
        return (await self.run("systemctl", "show", "--value", f"--property={name}", UNIT)).strip()

    async def metrics(self) -> Metrics:
        """Scrape it, without waiting for anything."""
        python = "/opt/dli-exporter/bin/python"
        return Metrics.parse(await self.run(python, "-c", FETCH))

    async def restarted(self) -> None:
        """Wait until systemd has started it again by itself."""

        async def again() -> bool:
            values = [await self.shows(name) for name in ("NRestarts", "ActiveState")]
            return values == ["1", "active"]

        await eventually(again, "a restart")
        assert (await self.metrics()).found("dli_exporter_build_info")

    async def write(self, path: str, content: str) -> None:
        """Write a file on the machine."""
        await self.run("python3", "-c", f"open({path!r}, 'w').write({content!r})")


@pytest.fixture
async def service(machine: str) -> AsyncIterator[Service]:
    """Start the service afresh; leave its settings as they were."""

    async def booted() -> bool:
        return (await answer("exec", machine, "systemctl", "is-system-running")) == "running\n"

    await eventually(booted, "systemd is running")
    service = Service(machine)
    await service.systemctl("restart")
    yield service
    await service.write("/etc/dli-exporter/dli-exporter.yaml", settings(demo_project(1, "default")))


async def test_it_has_started_once_its_port_is_open(service: Service) -> None:
    assert (await service.metrics()).found("dli_exporter_build_info")
    assert await service.shows("StatusText") == "serving"


async def test_the_unit_is_faultless_and_little_exposed(service: Service) -> None:
    path = f"/etc/systemd/system/{UNIT}"
    assert await service.run("systemd-analyze", "verify", path) == ""
    threshold = f"--threshold={MOST_EXPOSED * TENTHS:.0f}"
    shown = await service.run(
        "systemd-analyze", "security", "--offline=true", "--no-pager", threshold, path
    )
    exposure = re.search(r"exposure level for \S+: ([0-9.]+)", shown)
    assert exposure is not None
    assert float(exposure[1]) <= MOST_EXPOSED


async def test_it_has_the_key_and_nothing_else(service: Service) -> None:
    pid = await service.shows("MainPID")
    status = await service.run("cat", f"/proc/{pid}/status")
    facts = dict(re.findall(r"^(\w+):\s*(.*)$", status, re.MULTILINE))
    assert int(facts["Uid"].split()[0]) in DYNAMIC_USERS
    assert {facts[name] for name in facts if name.startswith("Cap")} == {"0" * 16}
    assert (facts["NoNewPrivs"], facts["Seccomp"]) == ("1", "2")

    async def asked() -> bool:
        return (await service.metrics()).value("dli_up", project="default") == 1

    await eventually(asked, "an answer to a signed request")
    assert (await service.metrics()).value("process_resident_memory_bytes")
    other = "setpriv --reuid=1000 --regid=1000 --clear-groups"
    said = await answer(
        "exec", service.machine, *other.split(), "cat", f"/run/credentials/{UNIT}/sk"
    )
    assert "Permission denied" in said


async def test_a_reload_reads_the_settings_and_people_see_how_it_went(service: Service) -> None:
    await service.write("/etc/dli-exporter/dli-exporter.yaml", "projects: wrong")
    pid = await service.shows("MainPID")
    await service.systemctl("reload")

    async def told() -> bool:
        return await service.shows("StatusText") == "settings not reloaded, see the log"

    await eventually(told, "a status")
    assert (await service.metrics()).value("dli_exporter_config_last_reload_successful") == 0
    assert await service.shows("MainPID") == pid


async def test_a_reload_may_wait_until_it_is_over(service: Service) -> None:
    directory = f"/run/systemd/system/{UNIT}.d"
    await service.run("mkdir", "-p", directory)
    await service.write(f"{directory}/reload.conf", RELOAD_THAT_WAITS)
    await service.run("systemctl", "daemon-reload")
    try:
        await service.systemctl("restart")
        await service.write("/etc/dli-exporter/dli-exporter.yaml", "projects: wrong")
        await service.systemctl("reload")
        assert (await service.metrics()).value("dli_exporter_config_last_reload_successful") == 0
    finally:
        await service.run("rm", f"{directory}/reload.conf")
        await service.run("systemctl", "daemon-reload")


async def test_it_comes_back_when_it_was_killed(service: Service) -> None:
    await service.run("systemctl", "kill", "--signal=KILL", UNIT)
    await service.restarted()


async def test_it_comes_back_when_it_hangs(service: Service) -> None:
    await service.run("systemctl", "kill", "--signal=STOP", UNIT)
    await service.restarted()
    log = await service.run("journalctl", "--no-pager", "--unit", UNIT, "--lines=30")
    assert "Failed with result 'watchdog'" in log


async def test_it_ends_well(service: Service) -> None:
    await service.systemctl("stop")
    values = [await service.shows(name) for name in ("Result", "ExecMainStatus", "NRestarts")]
    assert values == ["success", "0", "0"]


async def test_wrong_settings_are_not_tried_again(service: Service) -> None:
    await service.systemctl("stop")
    await service.write("/etc/dli-exporter/dli-exporter.yaml", "projects: wrong")
    said = await answer("exec", service.machine, "systemctl", "start", UNIT)
    assert "failed" in said
    values = [await service.shows(name) for name in ("ActiveState", "ExecMainStatus", "NRestarts")]
    assert values == ["failed", "2", "0"]
