"""The exporter's scrape without its polls: as many jobs as wanted, which move on command.

``python -m tests.bench.exposed JOBS`` prints its port, and then a line of JSON for each line
that it reads: ``move`` prepares what the next polls answer, ``put`` renders that job by job as
the polls would, ``cpu`` tells the CPU seconds used so far, and ``stall`` the longest stall of
the event loop since it was asked before.
"""

import asyncio
import gc
import json
import sys
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Final

from aiohttp import web

from exporter.metrics.exposition import Exposition, Snapshot
from exporter.metrics.telemetry import Telemetry
from exporter.web.negotiation import Format
from exporter.web.routes import Views, application
from exporter.web.scrapers import Scrapers
from exporter.web.state import Health, Reload, State

from .workload import jobs, moved

_AT_ONCE: Final = 8
"""Answers that come in one turn of the event loop."""
_REASONS: Final = tuple(f"reason_{number}" for number in range(15))
_ENDPOINTS: Final = ("/v1.0/{project_id}/jobs/{job_id}/progress", "/v1.0/{project_id}/jobs")


class Exposed:
    """Jobs, their text and the exporter's own metrics, as the exporter connects them."""

    def __init__(self, count: int) -> None:
        self._ripe = asyncio.Event()
        self._exposition = Exposition(ripe=self._ripe.set)
        self._jobs = list(jobs(count))
        self._news = self._jobs.copy()
        self._turn = 0
        self._longest = 0.0
        self._telemetry = Telemetry(
            jobs=lambda: self._jobs,
            revision=lambda: self._exposition.revision,
            series=lambda: self._exposition.series,
            now=time.time,
        )
        self._telemetry.expect("prod", endpoints=_ENDPOINTS, reasons=_REASONS)

    @property
    def series(self) -> int:
        """How many series of jobs there are."""
        return self._exposition.series

    def exposition(self, chosen: Format) -> Snapshot:
        """Return what is exposed now."""
        openmetrics = chosen is Format.OPENMETRICS
        own = self._telemetry.openmetrics() if openmetrics else self._telemetry.text()
        return self._exposition.snapshot(own)

    @asynccontextmanager
    async def serving(self) -> AsyncIterator[int]:
        """Serve, and compress in the background; give the port."""
        views = Views(
            exposition=self.exposition,
            monotonic=time.monotonic,
            jobs=lambda: self._jobs,
            healthy=lambda: True,
            ready=lambda: True,
            state=self._state,
            scrapers=Scrapers(),
            scraped=lambda scrape: self._telemetry.scraped(scrape.encoding, scrape.size),
        )
        runner = web.AppRunner(application(views), access_log=None)
        await runner.setup()
        await web.TCPSite(runner, "127.0.0.1", 0).start()
        compressing = asyncio.create_task(self._compress())
        try:
            yield runner.addresses[0][1]
        finally:
            compressing.cancel()
            await runner.cleanup()

    def _state(self) -> State:
        now = time.time()
        return State(
            now=now,
            version="bench",
            healthy=True,
            ready=True,
            stale=300.0,
            reload=Reload(at=now, in_force=now),
            projects=(Health(project="prod", up=True, last_success=now),),
        )

    def move(self) -> None:
        """Prepare what the next polls answer."""
        self._turn += 1
        self._news = [moved(job, n, self._turn) for n, job in enumerate(self._jobs)]

    async def put(self) -> None:
        """Take the answers, one by one."""
        self._telemetry.called("prod", _ENDPOINTS[0], 0.05, None)
        for number, job in enumerate(self._news):
            self._exposition.put(job)
            self._jobs[number] = job
            if number % _AT_ONCE == 0:
                await asyncio.sleep(0)

    async def watch(self) -> None:
        """Take the time from turn to turn of the loop, by the CPU time of its thread.

        What the machine gives to other processes meanwhile is nobody's stall.
        """
        last = time.thread_time()
        while True:
            await asyncio.sleep(0)
            now = time.thread_time()
            self._longest = max(self._longest, now - last)
            last = now

    def stall(self) -> float:
        """Return the longest stall in seconds since the last call."""
        longest, self._longest = self._longest, 0.0
        return longest

    async def _compress(self) -> None:
        while True:
            await self._ripe.wait()
            self._ripe.clear()
            for _ in self._exposition.compress():
                await asyncio.sleep(0)


async def main() -> None:
    """Serve until the input ends."""
    gc.set_threshold(10_000)  # as the exporter does
    gc.freeze()  # as above
    exposed = Exposed(int(sys.argv[1]))
    await exposed.put()
    async with exposed.serving() as port:
        print(port, flush=True)
        watching: asyncio.Task[None] | None = None
        while command := (await asyncio.to_thread(sys.stdin.readline)).strip():
            answer: float = 0
            if command == "move":
                exposed.move()
            elif command == "put":
                await exposed.put()
            elif command == "cpu":
                answer = time.process_time()
            elif command == "watch":
                watching = watching or asyncio.create_task(exposed.watch())
                exposed.stall()
            elif command == "stall":
                answer = exposed.stall()
            print(json.dumps(answer), flush=True)
        if watching is not None:
            watching.cancel()


if __name__ == "__main__":
    asyncio.run(main())
