"""P1 to P3, and the memory of P9: one scrape, beside others that serve the same samples."""

import http.client
import json
import re
import shutil
import subprocess
import sys
import time
import urllib.request
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from statistics import median
from typing import IO, Final
from urllib.parse import urlsplit

from exporter.metrics.exposition import Exposition

from .programs import cpu_seconds, line, resident_mib, started
from .table import Row
from .workload import SERIES, jobs

_HEADERS: Final = {
    "Accept": "application/openmetrics-text;version=1.0.0,text/plain;version=0.0.4;q=0.5",
    "Accept-Encoding": "gzip",
    "X-Prometheus-Scrape-Timeout-Seconds": "60",
}
"""What Prometheus asks for."""
_SLOW: Final = 0.02
"""Seconds of a scrape that is not measured again at once."""
_PUSHGATEWAY: Final = "prometheus-pushgateway"
_OURS: Final = "dli-exporter"
_CLIENT: Final = "prometheus_client"
_BARE: Final = "aiohttp answering two bytes"


class Server:
    """Somebody who serves /metrics, and a connection that is kept."""

    def __init__(self, pid: int, url: str) -> None:
        self.pid = pid
        self.url = url
        self._connection = http.client.HTTPConnection(urlsplit(url).netloc)

    def scrape(self, headers: Mapping[str, str] = _HEADERS) -> float:
        """Scrape, and return how many seconds that takes."""
        begin = time.perf_counter()
        self._connection.request("GET", "/metrics", headers=dict(headers))
        self._connection.getresponse().read()
        return time.perf_counter() - begin

    def cpu(self) -> float:
        """Return the CPU seconds that it has used."""
        return cpu_seconds(self.pid)


class Exposed(Server):
    """The exporter's scrape with jobs that move on command."""

    def __init__(self, pid: int, url: str, commands: IO[str], answers: IO[str]) -> None:
        super().__init__(pid, url)
        self._commands = commands
        self._answers = answers

    def do(self, command: str) -> float:
        """Give a command, and return what it answers."""
        print(command, file=self._commands, flush=True)
        return float(json.loads(line(self._answers)))

    def cpu(self) -> float:
        return self.do("cpu")


@dataclass(frozen=True, slots=True)
class Size:
    """How much is measured: jobs, repetitions, and the jobs that memory is compared at."""

    jobs: int
    repetitions: int
    grown: tuple[int, int]


FULL: Final = Size(920, 7, (1_000, 10_000))
SMALL: Final = Size(92, 3, (100, 1_000))


def rows(*, small: bool = False) -> list[Row]:
    """Measure, and return a row for each figure that a goal is about."""
    size = SMALL if small else FULL
    with ExitStack() as stack:
        ours = stack.enter_context(exposed(size.jobs))
        peers = {_CLIENT: stack.enter_context(_gauges(size.jobs))}
        if shutil.which(_PUSHGATEWAY):
            peers[_PUSHGATEWAY] = stack.enter_context(_pushgateway(size.jobs))
        else:
            print(f"no comparison with it: apt-get install {_PUSHGATEWAY}", file=sys.stderr)
        peers[_BARE] = stack.enter_context(_bare())
        return [
            *_unchanged(size, ours, peers),
            *_changed(size, ours, peers),
            *_stalls(size, ours),
            _memory(size),
        ]


def _unchanged(size: Size, ours: Server, peers: Mapping[str, Server]) -> Iterator[Row]:
    """P1: nothing has changed since the last scrape."""
    servers = {_OURS: ours, **peers}
    times = _interleaved(size, {name: _steady(each) for name, each in servers.items()})
    what = f"a scrape of {size.jobs * SERIES:,} series, nothing changed: {_ms(times[_OURS])}"
    what += f" ({_BARE}: {_ms(times[_BARE])})"
    for name, least in ((_CLIENT, 1000), (_PUSHGATEWAY, 250)):
        if name in times:
            yield _ratio("P1", what, least, "faster", name, times[name], times[_OURS], size)


def _steady(server: Server) -> Callable[[], float]:
    """Measure a server's scrape; ask a fast one again and again.

    After a second of somebody else's work the first answer shows how the processor wakes up.
    """

    def scrape() -> float:
        first = server.scrape()
        return first if first > _SLOW else median(server.scrape() for _ in range(50))

    return scrape


def _changed(size: Size, ours: Exposed, peers: Mapping[str, Server]) -> Iterator[Row]:
    """P2: every job has moved on; the CPU time of rendering, compressing and the scrape."""

    def work() -> float:
        ours.do("move")
        begin = ours.cpu()
        ours.do("put")
        ours.scrape()
        return ours.cpu() - begin

    def of(peer: Server) -> Callable[[], float]:
        def work() -> float:
            begin = peer.cpu()
            peer.scrape()
            return peer.cpu() - begin

        return work

    others = {name: of(peer) for name, peer in peers.items() if name != _BARE}
    times = _interleaved(size, {_OURS: work, **others})
    what = f"CPU of a scrape of {size.jobs * SERIES:,} series, every job changed: " + _ms(
        times[_OURS]
    )
    for name, least in ((_CLIENT, 15), (_PUSHGATEWAY, 4)):
        if name in times:
            yield _ratio("P2", what, least, "less CPU", name, times[name], times[_OURS], size)


def _stalls(size: Size, ours: Exposed) -> Iterator[Row]:
    """P3: how long the event loop does nothing else."""
    plain = {**_HEADERS, "Accept-Encoding": "identity"}

    def after(work: Callable[[], object]) -> Callable[[], float]:
        def stall() -> float:
            ours.do("move")
            ours.do("watch")
            work()
            return ours.do("stall")

        return stall

    def both() -> None:
        ours.do("put")
        ours.scrape()

    stalls = {
        "a gzip scrape": after(ours.scrape),
        "a plain scrape": after(lambda: ours.scrape(plain)),
        "rendering, compressing and a scrape": after(both),
    }
    for what, times in _interleaved(size, stalls).items():
        middle, longest = median(times), max(times)
        yield Row(
            "P3",
            f"stall of the event loop by {what}, {size.jobs * SERIES:,} series",
            "median 2 ms, longest 10 ms",
            f"median {middle * 1e3:.1f} ms, longest {longest * 1e3:.1f} ms",
            met=middle <= 0.002 and longest <= 0.01,
        )


def _memory(size: Size) -> Row:
    """P9: memory per job when there are ten times as many, each of them moved and scraped."""
    nothing = _occupied(0)
    few, many = ((_occupied(count) - nothing) / count * 1024 for count in size.grown)
    return Row(
        "P9",
        f"memory of a job at {size.grown[1]:,} jobs, with {size.grown[0]:,} it is {few:.1f} KiB",
        "the same within 20 %",
        f"{many:.1f} KiB, {many / few - 1:+.0%}",
        met=many <= 1.2 * few,
    )


def _occupied(count: int) -> float:
    """Return the MiB that so many jobs occupy after some rounds."""
    with exposed(count) as ours:
        for _ in range(3):
            ours.do("move")
            ours.do("put")
            ours.scrape()
        return resident_mib(ours.pid)


def _interleaved(size: Size, measures: Mapping[str, Callable[[], float]]) -> dict[str, list[float]]:
    """Take each measure in turn, again and again; the first time does not count."""
    times: dict[str, list[float]] = {name: [] for name in measures}
    for repetition in range(size.repetitions + 1):
        for name, measure in measures.items():
            taken = measure()
            if repetition:
                times[name].append(taken)
    return times


def _ratio(
    number: str,
    what: str,
    least: int,
    better: str,
    than: str,
    theirs: list[float],
    ours: list[float],
    size: Size,
) -> Row:
    ratio = median(theirs) / median(ours)
    # Most of a small scrape is what does not grow: the goal is about the full size.
    goal = f"{least:,}x {better} than {than}" + (" at 100,000 series" if size is SMALL else "")
    measured = f"{ratio:,.{0 if ratio > 100 else 1}f}x ({_ms(theirs)})"
    return Row(number, what, goal, measured, met=ratio >= least)


def _ms(times: list[float]) -> str:
    return f"{median(times) * 1e3:,.2f} ms"


@contextmanager
def exposed(count: int) -> Iterator[Exposed]:
    """Serve so many jobs as the exporter does."""
    command = (sys.executable, "-m", "tests.bench.exposed", str(count))
    pipe = subprocess.PIPE
    with subprocess.Popen(command, stdin=pipe, stdout=pipe, text=True) as process:
        try:
            assert process.stdin is not None
            assert process.stdout is not None
            url = f"http://127.0.0.1:{line(process.stdout)}"
            yield Exposed(process.pid, url, process.stdin, process.stdout)
        finally:
            process.terminate()


@contextmanager
def _gauges(count: int) -> Iterator[Server]:
    with started("-m", "tests.bench.prometheus_gauges", str(count)) as process:
        yield Server(process.pid, f"http://127.0.0.1:{line(process.stdout)}")


@contextmanager
def _bare() -> Iterator[Server]:
    with started("-m", "tests.bench.bare") as process:
        yield Server(process.pid, f"http://127.0.0.1:{line(process.stdout)}")


@contextmanager
def _pushgateway(count: int) -> Iterator[Server]:
    command = (_PUSHGATEWAY, "--web.listen-address=127.0.0.1:0")
    with subprocess.Popen(command, stderr=subprocess.PIPE, text=True) as process:
        try:
            while not (port := re.search(r"address=127\.0\.0\.1:(\d+)", line(process.stderr))):
                pass
            url = f"http://127.0.0.1:{port[1]}"
            exposition = Exposition()
            for job in jobs(count):
                exposition.put(job)
            text = b"".join(exposition.pieces())
            push = urllib.request.Request(f"{url}/metrics/job/dli", data=text, method="PUT")
            urllib.request.urlopen(push).close()
            yield Server(process.pid, url)
        finally:
            process.terminate()
