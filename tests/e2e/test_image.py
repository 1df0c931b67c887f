"""The image: it runs with no rights at all, and ends when it is told to."""

import json
import re
import sys
import time
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import pytest

from exporter.simulator import Simulator, serve

from .containers import Container, container, podman
from .exporters import HEADER, Exporter, lasting, project, quiet, write
from .processes import fetch, listening

MEMORY: Final = 128 * 2**20
HARDENED: Final = (
    "--read-only",
    "--read-only-tmpfs=false",
    "--cap-drop=ALL",
    "--security-opt=no-new-privileges",
    f"--memory={MEMORY}",
    "--pids-limit=64",
)
SHELLS: Final = ("/usr/bin/dash", "/usr/bin/bash")
FLAGS: Final = ("--config.file=/etc/dli-exporter.yaml", "--web.listen-address=127.0.0.1:0")
ANYBODY: Final = 65532


@dataclass(frozen=True)
class Watching:
    """An exporter in a container, and the simulator that it asks."""

    dli: Simulator
    container: Container
    exporter: Exporter


def settings(directory: Path, dli: Simulator, address: str) -> tuple[str, ...]:
    """Write settings and key as files, and give the flags that mount them."""
    (only,) = dli.projects
    keys = directory / "keys"
    keys.mkdir()
    (keys / "ak").write_text(only.ak, encoding="utf-8")
    (keys / "sk").write_text(only.sk, encoding="utf-8")
    credentials = {"provider": "file", "directory": "/run/secrets/dli"}
    watched = project(only, address, jobs=dli.job_ids(), credentials=credentials)
    file = write(directory / "dli.yaml", {"default": watched})
    mounted = {file: "/etc/dli-exporter.yaml", keys: "/run/secrets/dli"}
    return tuple(f"--volume={source}:{target}:ro" for source, target in mounted.items())


@pytest.fixture
async def watching(image: str, tmp_path: Path) -> AsyncIterator[Watching]:
    """Run the image as read-only and powerless as an operator can, and without any shell."""
    dli = quiet()
    dli.add(lasting())
    async with serve(dli) as address:
        mounts = settings(tmp_path, dli, address)
        without = [f"--volume=/dev/null:{shell}:ro" for shell in SHELLS]
        command = ("--network=host", *HARDENED, *mounts, *without, image, *FLAGS)
        async with container(*command, cwd=tmp_path) as box:
            yield Watching(dli, box, Exporter(box.process, await listening(box.process)))


async def test_polls_with_keys_from_files_and_serves_without_a_shell(watching: Watching) -> None:
    (job,) = watching.dli.job_ids()
    metrics = await watching.exporter.statuses({job: "RUNNING"})
    assert metrics.value("dli_up", project="default") == 1
    with pytest.raises(AssertionError, match="ermission denied"):
        await watching.container.run("/bin/sh", "-c", "true")


async def test_has_no_rights_at_all(watching: Watching) -> None:
    status = await watching.container.python("print(open('/proc/1/status').read())")
    facts = dict(re.findall(r"^(\w+):\s*(.*)$", status, re.MULTILINE))
    assert facts["Uid"].split() == facts["Gid"].split() == [str(ANYBODY)] * 4
    assert {facts[name] for name in facts if name.startswith("Cap")} == {"0" * 16}
    assert (facts["NoNewPrivs"], facts["Seccomp"]) == ("1", "2")


async def test_writes_nothing_and_stays_within_its_memory(watching: Watching) -> None:
    code = "print([open(path).read() for path in {} if os.path.exists(path)])"
    limits = ("/sys/fs/cgroup/memory.max", "/sys/fs/cgroup/memory/memory.limit_in_bytes")
    limit = await watching.container.python(f"import os; {code.format(limits)}")
    assert json.loads(limit.replace("'", '"').replace("\\n", "")) == [str(MEMORY)]
    for path in ("/tmp/file", "/opt/dli-exporter/file", "/file"):  # noqa: S108 - must not be there
        with pytest.raises(AssertionError, match=r"Read-only|Permission denied"):
            await watching.container.python(f"open({path!r}, 'w')")


async def test_ends_within_a_second_once_the_end_of_its_job_was_scraped(
    watching: Watching,
) -> None:
    (job,) = watching.dli.job_ids()
    watching.dli.end(job, "FINISHED")
    await watching.exporter.statuses({job: "FINISHED"})
    await watching.exporter.metrics(**HEADER)
    assert await watching.container.stop(1) == 0
    assert "web.linger is over" not in watching.container.process.err


async def test_ends_within_a_second_if_there_is_no_job(image: str, tmp_path: Path) -> None:
    dli = quiet()
    async with serve(dli) as address:
        mounts = settings(tmp_path, dli, address)
        async with container("--network=host", *mounts, image, *FLAGS, cwd=tmp_path) as box:
            await listening(box.process)
            assert await box.stop(1) == 0


async def test_a_mistake_is_a_line_and_exit_code_2(image: str, tmp_path: Path) -> None:
    async with container(image, "--web.linger=soon", cwd=tmp_path) as box:
        assert await box.process.ended() == 2
        assert box.process.err.startswith("dli-exporter: ")
        assert "Traceback" not in box.process.err


LEFT: Final = """
import importlib.util, pathlib, sys, sysconfig
packages = pathlib.Path(sysconfig.get_path("purelib"))
sources = [each for each in packages.rglob("*.py")]
compiled = [pathlib.Path(importlib.util.cache_from_source(str(each))) for each in sources]
flags = {each.read_bytes()[4:8] for each in compiled if each.exists()}
tools = [name for name in ("hatchling", "pip", "setuptools") if importlib.util.find_spec(name)]
writable = [str(each) for each in pathlib.Path(sys.prefix).rglob("*")
            if not each.is_symlink() and each.stat().st_mode & 0o022]
print(len(sources), len([each for each in compiled if each.exists()]), flags, tools, writable)
"""
UNCHECKED: Final = (1).to_bytes(4, "little")
"""The flags of bytecode that is taken as it is (PEP 552)."""


async def test_holds_what_runs_compiled_and_nothing_that_builds(image: str, tmp_path: Path) -> None:
    command = ("--entrypoint=python", image, "-c", LEFT)
    async with container(*command, cwd=tmp_path) as box:
        assert await box.process.ended() == 0, box.process.report()
        sources, compiled, *rest = box.process.out.strip().split(" ", 2)
    assert int(sources) == int(compiled) > 100
    assert rest == [f"{{{UNCHECKED!r}}} [] []"]


async def test_says_of_what_it_was_made(watching: Watching) -> None:
    labels = json.loads(await watching.container.inspect("{{json .Config.Labels}}"))
    revision = labels["org.opencontainers.image.revision"]
    metrics = await watching.exporter.metrics()
    built = metrics.found("dli_exporter_build_info", revision=revision)
    assert [info["version"] for info, _ in built] == [labels["org.opencontainers.image.version"]]
    assert re.fullmatch(r"[0-9a-f]{40}(-dirty)?|unknown", revision)  # unknown outside of git


async def test_size_and_start_are_figures_to_look_at(
    image: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    size = int(await podman("image", "inspect", "--format", "{{.Size}}", image))
    dli = quiet()
    async with serve(dli) as address:
        mounts = settings(tmp_path, dli, address)
        begun = time.monotonic()
        async with container("--network=host", *mounts, image, *FLAGS, cwd=tmp_path) as box:
            assert (await fetch(f"{await listening(box.process)}/metrics"))[0] == 200
            took = time.monotonic() - begun
    with capsys.disabled():
        sys.stdout.write(f"\nimage: {size / 1e6:.0f} MB, {took:.2f} s from run to /metrics\n")
