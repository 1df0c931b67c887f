"""The programs under comparison, started and ended, and what the kernel tells of them."""

import json
import os
import re
import subprocess
import sys
import tempfile
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Final

_TICKS: Final = os.sysconf("SC_CLK_TCK")
_ROOT: Final = Path(__file__).parents[2]


@dataclass(frozen=True, slots=True)
class Exporter:
    """An exporter that listens."""

    pid: int
    url: str


@contextmanager
def started(*arguments: str) -> Iterator[subprocess.Popen[str]]:
    """Run Python with these arguments, in a home of its own, as long as the block lasts."""
    with tempfile.TemporaryDirectory() as home:
        kept = {name: os.environ[name] for name in ("PATH", "PYTHONPATH") if name in os.environ}
        process = subprocess.Popen(
            (sys.executable, *arguments),
            cwd=_ROOT,
            env={**kept, "HOME": home},
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        try:
            yield process
        finally:
            process.terminate()
            process.communicate()


def cpu_seconds(pid: int) -> float:
    """Give the CPU time that a process has used, in user and in kernel mode."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / _TICKS


def resident_mib(pid: int) -> float:
    """Give the memory that a process occupies."""
    pages = int(Path(f"/proc/{pid}/statm").read_text().split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE") / 2**20


@contextmanager
def dli() -> Iterator[str]:
    """Run the DLI that costs next to nothing, and give its address."""
    with started("-m", "tests.bench.dli") as process:
        yield f"http://127.0.0.1:{line(process.stdout)}"


@contextmanager
def exporter(
    address: str, *, jobs: int, requests_per_second: float, interval: str
) -> Iterator[Exporter]:
    """Run the exporter on so many jobs of a DLI."""
    project = {
        "endpoint": address,
        "project_id": "0123456789abcdef",
        "credentials": {"provider": "static", "ak": "A" * 20, "sk": "S" * 40},
        "requests_per_second": requests_per_second,
        "jobs": [job_id(number) for number in range(jobs)],
    }
    settings = {
        "poll": {"interval": interval},
        "limits": {"jobs": 2 * jobs, "series": 200 * jobs},
        "web": {"listen_address": "127.0.0.1:0", "linger": "0s"},
        "projects": {"default": project},
    }
    with tempfile.NamedTemporaryFile("w", suffix=".yaml") as file:
        json.dump(settings, file)
        file.flush()
        with started("-m", "exporter", f"--config.file={file.name}") as process:
            port = re.search(r"\bport=(\d+)", line(process.stderr))
            assert port is not None
            yield Exporter(process.pid, f"http://127.0.0.1:{port[1]}")


def job_id(number: int) -> str:
    """Give the id of a job."""
    return f"{number:08x}-0000-0000-0000-000000000000"


def fetch(url: str, **headers: str) -> bytes:
    """Get a page."""
    with urllib.request.urlopen(urllib.request.Request(url, headers=headers)) as answer:
        body: bytes = answer.read()
        return body


def asked(address: str) -> int:
    """Tell how many questions about progress a DLI has answered."""
    return int(fetch(f"{address}/asked"))


def line(stream: IO[str] | None) -> str:
    """Wait for a line that a program prints."""
    assert stream is not None
    if not (text := stream.readline()):
        raise RuntimeError("a program ended before it was ready")
    return text.strip()
