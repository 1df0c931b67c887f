"""The programs under comparison: started, paused and ended, and what the kernel tells of them."""

import json
import os
import re
import signal
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Final

_ROOT: Final = Path(__file__).parents[2]
_TICKS: Final = os.sysconf("SC_CLK_TCK")
_PAGE: Final = os.sysconf("SC_PAGE_SIZE")
_KEY: Final = {"ak": "A" * 20, "sk": "S" * 40}
_PROJECT_ID: Final = "0123456789abcdef"
_UNHURRIED: Final = "1h"
"""A time-out for programs that are paused in the middle of a call."""


@dataclass(frozen=True, slots=True)
class Program:
    """A program that listens."""

    pid: int
    url: str

    def pause(self) -> None:
        """Let it stand still, so that it takes nothing from the others."""
        os.kill(self.pid, signal.SIGSTOP)

    def go_on(self) -> None:
        """Let it run again."""
        os.kill(self.pid, signal.SIGCONT)


@contextmanager
def started(
    *arguments: str, env: Mapping[str, str] | None = None
) -> Iterator[subprocess.Popen[str]]:
    """Run Python with these arguments, in a home of its own, as long as the block lasts."""
    kept = {name: os.environ[name] for name in ("PATH", "PYTHONPATH") if name in os.environ}
    with tempfile.TemporaryDirectory() as home:
        process = subprocess.Popen(
            (sys.executable, *arguments),
            cwd=_ROOT,
            env={**kept, "HOME": home, **(env or {})},
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        try:
            yield process
        finally:
            process.send_signal(signal.SIGCONT)
            process.terminate()
            process.communicate()


@contextmanager
def listening(*arguments: str) -> Iterator[Program]:
    """Run Python with these arguments; the program prints its port."""
    with started(*arguments) as process:
        yield Program(process.pid, f"http://127.0.0.1:{line(process.stdout)}")


@contextmanager
def dli() -> Iterator[str]:
    """Run the DLI that costs next to nothing, and give its address."""
    with listening("-m", "tests.bench.dli") as program:
        yield program.url


@contextmanager
def exporter(address: str, *, jobs: int, interval: str) -> Iterator[Program]:
    """Run the exporter on so many jobs of a DLI, with all the quota that it can use."""
    settings = {
        "poll": {"interval": interval, "timeout": _UNHURRIED},
        "limits": {"jobs": 2 * jobs, "series": 200 * jobs},
        "web": {"listen_address": "127.0.0.1:0", "linger": "0s"},
        "projects": {
            "default": {
                "endpoint": address,
                "project_id": _PROJECT_ID,
                "credentials": {"provider": "static", **_KEY},
                "requests_per_second": 100_000,
                "jobs": [_job_id(number) for number in range(jobs)],
            }
        },
    }
    with tempfile.NamedTemporaryFile("w", suffix=".yaml") as file:
        json.dump(settings, file)
        file.flush()
        with started("-m", "exporter", f"--config.file={file.name}") as process:
            yield _logged(process)


@contextmanager
def sidecar(address: str) -> Iterator[Program]:
    """Run the exporter as a sidecar: one job, and all settings from the environment."""
    env = {
        "HUAWEICLOUD_SDK_AK": _KEY["ak"],
        "HUAWEICLOUD_SDK_SK": _KEY["sk"],
        "HUAWEICLOUD_SDK_PROJECT_ID": _PROJECT_ID,
        "HUAWEICLOUD_SDK_REGION": "ap-southeast-3",
        "DLI_EXPORTER_PROJECTS__DEFAULT__ENDPOINT": address,
        "DLI_EXPORTER_JOBS": _job_id(0),
        "DLI_EXPORTER_WEB__LISTEN_ADDRESS": "127.0.0.1:0",
        "DLI_EXPORTER_WEB__LINGER": "0s",
    }
    with started("-m", "exporter", env=env) as process:
        yield _logged(process)


def cpu_seconds(pid: int) -> float:
    """Give the CPU time that a process has used, in user and in kernel mode."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / _TICKS


def resident_mib(pid: int) -> float:
    """Give the memory that a process occupies."""
    return int(Path(f"/proc/{pid}/statm").read_text().split()[1]) * _PAGE / 2**20


def asked(address: str) -> int:
    """Tell how many questions about progress a DLI has answered."""
    return int(fetch(f"{address}/asked"))


def wait_until_asked(address: str, count: int) -> None:
    """Wait until a DLI has answered so many questions about progress."""
    while asked(address) < count:
        time.sleep(0.2)


def fetch(url: str) -> bytes:
    """Get a page."""
    with urllib.request.urlopen(url) as answer:
        body: bytes = answer.read()
        return body


def _job_id(number: int) -> str:
    return f"{number:08x}-0000-0000-0000-000000000000"


def line(stream: IO[str] | None) -> str:
    """Wait for a line that a program prints."""
    assert stream is not None
    if not (text := stream.readline()):
        raise RuntimeError("a program ended before it was ready")
    return text.strip()


def _logged(process: subprocess.Popen[str]) -> Program:
    """Wait until an exporter says where it listens."""
    port = re.search(r"\bport=(\d+)", line(process.stderr))
    assert port is not None
    return Program(process.pid, f"http://127.0.0.1:{port[1]}")
