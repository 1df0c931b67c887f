"""The end of the exporter: nobody who scrapes misses how a job ended."""

import signal
import time
from collections.abc import AsyncIterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Final

import aiohttp
import pytest

from exporter.simulator import Fault, Simulator, serve

from .conftest import Program
from .exporters import (
    HEADER,
    SOON,
    Exporter,
    Metrics,
    alone,
    exporter,
    lasting,
    quiet,
    scraping,
)
from .processes import eventually, fetch
from .prometheus import Prometheus, prometheus

LINGER: Final = 60
SELDOM: Final = {"interval": "1h"}
"""Polls that cannot tell of an end in time: only the last one can."""


@dataclass
class Clock:
    """A clock that may jump ahead."""

    ahead: float = 0.0

    def now(self) -> float:
        return time.time() + self.ahead


@dataclass
class Ending:
    """What an exporter watches: one job, which a test ends."""

    dli: Simulator
    clock: Clock
    job: str
    settings: Path


@pytest.fixture
async def ending(tmp_path: Path) -> AsyncIterator[Ending]:
    clock = Clock()
    dli = quiet(now=clock.now)
    job = dli.add(lasting())
    async with serve(dli) as address:
        yield Ending(dli, clock, job, alone(tmp_path, dli, address, poll=SELDOM))


async def test_a_job_that_ends_just_before_sigterm_is_in_every_prometheus(
    program: Program, tmp_path: Path, ending: Ending
) -> None:
    """One server scrapes often, the other seldom: the exporter has to wait for both."""
    server = program("prometheus")
    often, seldom = tmp_path / "often", tmp_path / "seldom"
    often.mkdir()
    seldom.mkdir()
    async with (
        exporter(ending.settings, f"--web.linger={LINGER}s") as watching,
        prometheus(server, often, [scraping(watching, "1s")]) as one,
        prometheus(server, seldom, [scraping(watching, "7s")]) as two,
    ):
        for each in (one, two):
            await eventually(partial(is_there, each), "a first scrape")
        ending.dli.end(ending.job, "FAILED")
        ended = ending.dli.now()
        ending.clock.ahead += 1
        watching.process.signal(signal.SIGTERM)
        begun = time.monotonic()
        assert await watching.process.ended(LINGER / 2) == 0
        assert time.monotonic() - begun < 7 + SOON
        moments = [await seen(each, ended) for each in (one, two)]
    assert abs(moments[0] - moments[1]) > 0.001
    assert "web.linger is over" not in watching.process.err


async def is_there(server: Prometheus) -> bool:
    return bool(await server.query('dli_job_status{status="RUNNING"} == 1'))


async def seen(server: Prometheus, ended: float) -> float:
    """Require the job's end in a Prometheus, and tell when it was scraped."""
    (status,) = await server.query("last_over_time(dli_job_status[10m]) == 1")
    assert status.labels["status"] == "FAILED"
    end = await server.value("last_over_time(dli_job_end_timestamp_seconds[10m])")
    assert end == pytest.approx(ended, abs=0.01)
    total = 'last_over_time(dli_jobs_ended_total{status="FAILED"}[10m])'
    assert await server.value(total) == 1
    data = await server.get("query", query='dli_job_status{status="FAILED"}[10m]')
    ((moment, _),) = [each for each in data["result"][0]["values"] if each[1] == "1"][:1]
    return float(moment)


async def scrape(session: aiohttp.ClientSession, watching: Exporter) -> Metrics:
    async with session.get(f"{watching.url}/metrics", headers=HEADER) as response:
        return Metrics.parse(await response.text())


async def test_a_look_with_a_browser_does_not_count(ending: Ending) -> None:
    async with (
        exporter(ending.settings, f"--web.linger={LINGER}s") as watching,
        aiohttp.ClientSession() as scraper,
    ):
        await watching.statuses({ending.job: "RUNNING"})
        await scrape(scraper, watching)
        ending.dli.end(ending.job, "FINISHED")
        watching.process.signal(signal.SIGTERM)
        await watching.statuses({ending.job: "FINISHED"})
        for _ in range(3):
            await watching.metrics()
        assert (await fetch(f"{watching.url}/-/healthy"))[0] == 200
        final = await scrape(scraper, watching)
        assert final.statuses() == {ending.job: "FINISHED"}
        assert await watching.process.ended(SOON) == 0


async def test_each_of_two_scrapers_is_waited_for(ending: Ending) -> None:
    async with (
        exporter(ending.settings, f"--web.linger={LINGER}s") as watching,
        aiohttp.ClientSession() as one,
        aiohttp.ClientSession() as two,
    ):
        await watching.statuses({ending.job: "RUNNING"})
        await scrape(one, watching)
        await scrape(two, watching)
        ending.dli.end(ending.job, "FINISHED")
        watching.process.signal(signal.SIGTERM)
        await watching.statuses({ending.job: "FINISHED"})
        for _ in range(3):
            await scrape(one, watching)
        assert (await scrape(two, watching)).statuses() == {ending.job: "FINISHED"}
        assert await watching.process.ended(SOON) == 0


async def test_a_second_sigterm_ends_at_once(ending: Ending) -> None:
    async with exporter(ending.settings, f"--web.linger={LINGER}s") as watching:
        await watching.statuses({ending.job: "RUNNING"})
        ending.dli.end(ending.job, "FINISHED")
        watching.process.signal(signal.SIGTERM)
        await watching.statuses({ending.job: "FINISHED"})
        watching.process.signal(signal.SIGTERM)
        assert await watching.process.ended(SOON) == 0


async def test_with_nothing_pending_it_ends_at_once(ending: Ending) -> None:
    ending.dli.end(ending.job, "FINISHED")
    async with (
        exporter(ending.settings, f"--web.linger={LINGER}s") as watching,
        aiohttp.ClientSession() as scraper,
    ):
        await watching.statuses({ending.job: "FINISHED"})
        await eventually(partial(all_was_seen, scraper, watching), "the end is delivered")
        watching.process.signal(signal.SIGTERM)
        assert await watching.process.ended(SOON) == 0


async def all_was_seen(scraper: aiohttp.ClientSession, watching: Exporter) -> bool:
    await scrape(scraper, watching)
    return (await watching.metrics()).value("dli_exporter_jobs", state="ended") == 1


async def test_without_any_job_it_ends_at_once(tmp_path: Path) -> None:
    dli = quiet()
    async with (
        serve(dli) as address,
        exporter(alone(tmp_path, dli, address), f"--web.linger={LINGER}s") as watching,
    ):
        watching.process.signal(signal.SIGTERM)
        assert await watching.process.ended(SOON) == 0


async def test_when_the_linger_is_over_it_ends_well_and_says_so(ending: Ending) -> None:
    async with exporter(ending.settings, "--web.linger=500ms") as watching:
        await watching.statuses({ending.job: "RUNNING"})
        watching.process.signal(signal.SIGTERM)
        assert await watching.process.ended(SOON) == 0
    (line,) = [each for each in watching.process.err.splitlines() if "level=warning" in each]
    assert "web.linger is over" in line


async def test_nothing_new_is_taken_on_while_it_ends(tmp_path: Path, ending: Ending) -> None:
    """A late registration or reload could keep the exporter from ending, and is polled no more."""
    flags = (f"--web.linger={LINGER}s", "--web.enable-registration")
    async with (
        exporter(ending.settings, *flags) as watching,
        aiohttp.ClientSession() as session,
    ):
        await watching.statuses({ending.job: "RUNNING"})
        await scrape(session, watching)
        ending.dli.end(ending.job, "FINISHED")
        watching.process.signal(signal.SIGTERM)
        await watching.statuses({ending.job: "FINISHED"})
        late = {"job_id": "late"}
        async with session.post(f"{watching.url}/api/v1/jobs", json=late) as response:
            assert response.status == 503
            assert "stopping" in (await response.json())["error"]
        config = ending.settings.read_text("utf-8")
        ending.settings.write_text(config.replace('"default"', '"renamed"'), encoding="utf-8")
        async with session.post(f"{watching.url}/-/reload") as response:
            assert response.status == 500
            assert "stopping" in await response.text()
        final = await scrape(session, watching)
        assert final.jobs == {ending.job}
        assert await watching.process.ended(SOON) == 0


async def test_an_api_that_does_not_answer_does_not_hold_up_the_end(ending: Ending) -> None:
    async with exporter(ending.settings, "--web.linger=500ms") as watching:
        await watching.statuses({ending.job: "RUNNING"})
        ending.dli.faults.add(Fault(delay=3600))
        watching.process.signal(signal.SIGTERM)
        assert await watching.process.ended(SOON) == 0
