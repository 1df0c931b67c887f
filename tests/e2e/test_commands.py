"""Every command as a process: what it prints, its exit code, and how it ends."""

import asyncio
import re
import signal
import socket
import sys
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Final

import pytest

from exporter.simulator import Endpoint, Fault, Scene, Simulator, serve

from .conftest import Program
from .processes import (
    Process,
    completed,
    dli_exporter,
    eventually,
    fetch,
    listening,
    pasted,
    running,
)
from .promtool import lint

JOB: Final = "85798b38-ae44-48eb-bb90-7cf0dcdafe7b"
SOON: Final = 5.0
"""Seconds that count as at once, on a busy machine."""


def simulator(now: Callable[[], float] = time.time) -> Simulator:
    """Simulate a project with one job, which runs for a while yet."""
    simulator = Simulator(scene=Scene(jobs=0), now=now)
    simulator.add("single", job_id=JOB, start=now() - 20)
    return simulator


def settings(simulator: Simulator, address: str, **changes: str) -> Mapping[str, str]:
    """Write a simulator's settings as environment variables; those of changes win."""
    (project,) = simulator.projects
    return {
        "HUAWEICLOUD_SDK_AK": project.ak,
        "HUAWEICLOUD_SDK_SK": project.sk,
        "HUAWEICLOUD_SDK_PROJECT_ID": project.id,
        "DLI_EXPORTER_PROJECTS__DEFAULT__ENDPOINT": address,
        "DLI_EXPORTER_JOBS": JOB,
        **changes,
    }


async def test_check_says_what_works(tmp_path: Path) -> None:
    dli = simulator()
    async with serve(dli) as address:
        result = await completed("check", cwd=tmp_path, env=settings(dli, address))
    line = (
        f"default: ok: {address} accepts the credentials (static); 1 jobs in the project's list;"
        f" job {JOB} is RUNNING"
    )
    assert result == (0, f"{line}\n", "")


async def test_check_finds_a_wrong_secret(tmp_path: Path) -> None:
    dli = simulator()
    async with serve(dli) as address:
        env = settings(dli, address, HUAWEICLOUD_SDK_SK="wrong")
        result = await completed("check", cwd=tmp_path, env=env)
    line = (
        "default: failed (signature): HTTP 401 APIGW.0301: Incorrect IAM authentication"
        " information: verify aksk signature fail"
    )
    assert result == (1, f"{line}\n", "")
    assert dli.requested() == 1


async def test_check_finds_a_wrong_project_id(tmp_path: Path) -> None:
    dli = simulator()
    async with serve(dli) as address:
        env = settings(dli, address, HUAWEICLOUD_SDK_PROJECT_ID="0" * 32)
        result = await completed("check", cwd=tmp_path, env=env)
    line = (
        "default: failed (forbidden): HTTP 403 APIGW.0302: The IAM user is not authorized to"
        " access the API."
    )
    assert result == (1, f"{line}\n", "")


@pytest.mark.parametrize(("ahead", "sign", "word"), [(3600, "+", "ahead"), (-3600, "-", "behind")])
async def test_check_finds_clocks_apart(tmp_path: Path, ahead: int, sign: str, word: str) -> None:
    dli = simulator(now=lambda: time.time() - ahead)
    async with serve(dli) as address:
        code, out, err = await completed("check", cwd=tmp_path, env=settings(dli, address))
    # A Date header has whole seconds.
    out = re.sub(r"\b(3599|3601)\b", "3600", out)
    line = (
        f"default: failed (clock_skew): this clock is {sign}3600 s off the gateway's: HTTP 401"
        " APIGW.0301: Incorrect IAM authentication information: verify aksk signature fail, calc"
        f" ak sk signature fail:signature expired; the clock here is 3600 s {word}"
    )
    assert (code, out, err) == (1, f"{line}\n", "")


async def test_check_finds_an_unknown_host(tmp_path: Path) -> None:
    env = settings(simulator(), "https://dli.nowhere.invalid")
    code, out, err = await completed("check", cwd=tmp_path, env=env)
    assert (code, err) == (1, "")
    # What follows is the resolver's own reason.
    assert re.fullmatch(r"default: failed \(dns\): cannot resolve dli\.nowhere\.invalid.*\n", out)


async def test_check_tells_the_projects_apart(tmp_path: Path) -> None:
    dli = simulator()
    (project,) = dli.projects
    async with serve(dli) as address:
        config = tmp_path / "dli.yaml"
        config.write_text(
            "projects:\n"
            + "".join(
                f"  {name}:\n    endpoint: {address}\n    project_id: {project.id}\n"
                f"    credentials: {{provider: static, ak: {project.ak}, sk: {secret}}}\n"
                for name, secret in (("good", project.sk), ("bad", "wrong"))
            ),
            encoding="utf-8",
        )
        code, out, err = await completed("check", f"--config.file={config}", cwd=tmp_path)
    good, bad = out.splitlines()
    assert (code, err) == (1, "")
    assert good.startswith("good: ok: ")
    assert bad.startswith("bad: failed (signature): ")


async def test_once_prints_an_exposition(program: Program, tmp_path: Path) -> None:
    promtool = program("promtool")
    dli = simulator()
    async with serve(dli) as address:
        code, out, err = await completed("once", cwd=tmp_path, env=settings(dli, address))
    assert (code, err) == (0, "")
    assert f'dli_job_status{{job_id="{JOB}",project="default",status="RUNNING"}} 1.0\n' in out
    assert 'dli_up{project="default"} 1.0\n' in out
    assert await lint(promtool, out.encode()) == (0, "")
    assert dli.requested(Endpoint.PROGRESS) == 1


async def test_once_prints_what_it_could_not_learn_as_absent(tmp_path: Path) -> None:
    dli = simulator()
    dli.faults.add(Fault(status=403, code="APIGW.0302", message="no"))
    async with serve(dli) as address:
        code, out, err = await completed("once", cwd=tmp_path, env=settings(dli, address))
    assert code == 0
    assert "dli_job_status{" not in out
    assert 'dli_up{project="default"} 0.0\n' in out
    assert len(err.splitlines()) == 1
    assert "reason=forbidden" in err


async def test_metrics_prints_the_catalogue(tmp_path: Path) -> None:
    code, out, err = await completed("metrics", cwd=tmp_path)
    assert (code, err) == (0, "")
    assert out.startswith("| name | type | labels | help |\n| --- | --- | --- | --- |\n")
    assert "\n| `dli_job_progress_ratio` | gauge | `project`, `job_id` | " in out


async def test_demo_shows_jobs_at_once_and_ends_at_once(tmp_path: Path) -> None:
    flags = ("--web.listen-address=127.0.0.1:0", "--simulator.listen-address=127.0.0.1:0")
    async with dli_exporter("demo", "--simulator.speed=10", *flags, cwd=tmp_path) as process:
        jobs = (await pasted(process))["DLI_EXPORTER_PROJECTS__DEFAULT__JOBS"].split(",")
        url = await listening(process)

        async def first() -> str:
            _, text = await fetch(f"{url}/metrics")
            return text if "\ndli_job_status{" in text else ""

        text = await eventually(first, "a sample of a job")
        assert any(job in text for job in jobs)
        await ends_at_once(process)


async def test_printed_settings_connect_an_exporter_to_the_simulator(tmp_path: Path) -> None:
    async with dli_exporter(
        "simulate", "--simulator.listen-address=127.0.0.1:0", cwd=tmp_path
    ) as simulator:
        environment = await pasted(simulator)
        yaml = simulator.out.partition("\nexport ")[0]
        config = tmp_path / "dli.yaml"
        config.write_text(yaml, encoding="utf-8")
        by_variables = await completed("check", cwd=tmp_path, env=environment)
        by_file = await completed("check", f"--config.file={config}", cwd=tmp_path)
        assert by_variables[0] == by_file[0] == 0
        assert by_variables[1].startswith("default: ok: ")
    assert simulator.err == ""


MISTAKES: Final = {
    "unknown command": (("surve",), "surve: unknown command; allowed: serve, "),
    "unknown flag": (("serve", "--pol.interval=1s"), "--pol.interval: unknown flag; did you mean"),
    "bad value": (("serve", "--poll.interval=soon"), "--poll.interval: must be a duration"),
    "missing project": (("serve",), "projects: is missing; needed: a project in the file"),
    "missing file": (("serve", "--config.file=none.yaml"), "none.yaml: cannot be read: "),
    "no timelines": (
        ("simulate", "--simulator.timelines=."),
        ".: holds no timeline, a file named *.jsonl.gz",
    ),
}


@pytest.mark.parametrize(("arguments", "line"), MISTAKES.values(), ids=MISTAKES)
async def test_a_mistake_gets_one_line(
    tmp_path: Path, arguments: tuple[str, ...], line: str
) -> None:
    code, out, err = await completed(*arguments, cwd=tmp_path)
    assert (code, out) == (2, "")
    assert err.startswith(f"dli-exporter: {line}")
    assert len(err.splitlines()) == 1


@pytest.mark.parametrize("command", ["serve", "simulate", "demo"])
async def test_a_port_in_use_gets_one_line(tmp_path: Path, command: str) -> None:
    dli = simulator()
    async with serve(dli) as address:
        with socket.create_server(("127.0.0.1", 0)) as taken:
            used = f"127.0.0.1:{taken.getsockname()[1]}"
            web = f"--web.listen-address={used if command != 'simulate' else '127.0.0.1:0'}"
            other = f"--simulator.listen-address={used if command == 'simulate' else '127.0.0.1:0'}"
            code, _, err = await completed(
                command, web, other, cwd=tmp_path, env=settings(dli, address)
            )
    assert code == 2
    assert len(err.splitlines()) == 1
    assert re.fullmatch(
        f"dli-exporter: cannot listen on {used}: .*address already in use.*\n", err, re.I
    )


@pytest.mark.parametrize("command", ["metrics", "once", "check"])
async def test_output_that_nobody_can_read_gets_one_line(tmp_path: Path, command: str) -> None:
    dli = simulator()
    async with serve(dli) as address:
        shell = ("sh", "-c", f'exec "{sys.executable}" -m exporter {command} > /dev/full')
        async with running(*shell, cwd=tmp_path, env=settings(dli, address)) as process:
            assert await process.ended() != 0
    assert process.err == "dli-exporter: standard output: No space left on device\n"


async def test_sigterm_during_the_start_is_obeyed(tmp_path: Path) -> None:
    """Python tells of each import, so that the signal comes in the midst of them."""
    command = (sys.executable, "-X", "importtime", "-m", "exporter", "serve")
    async with running(*command, cwd=tmp_path) as process:
        await process.shows(r"\| +multidict$")
        process.signal(signal.SIGTERM)
        assert await process.ended(SOON) == 0
    assert "Traceback" not in process.err


async def test_sigterm_in_the_middle_of_polls_ends_at_once(tmp_path: Path) -> None:
    dli = simulator()
    dli.faults.add(Fault(delay=3600))
    asked = asyncio.Event()

    async def never(_: float) -> None:
        asked.set()
        await asyncio.Event().wait()

    async with (
        serve(dli, wait=never) as address,
        dli_exporter(
            "--web.listen-address=127.0.0.1:0", cwd=tmp_path, env=settings(dli, address)
        ) as process,
    ):
        await asyncio.wait_for(asked.wait(), 30)
        await ends_at_once(process)


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
async def test_a_signal_to_an_idle_exporter_ends_it_at_once(
    tmp_path: Path, number: signal.Signals
) -> None:
    dli = simulator()
    async with (
        serve(dli) as address,
        dli_exporter(
            "--web.listen-address=127.0.0.1:0", cwd=tmp_path, env=settings(dli, address)
        ) as process,
    ):
        await listening(process)
        await dli.until(lambda dli: dli.requested() > 0)
        await ends_at_once(process, number)


async def ends_at_once(process: Process, number: signal.Signals = signal.SIGTERM) -> None:
    process.signal(number)
    assert await process.ended(SOON) == 0
