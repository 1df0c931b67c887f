"""The status page in a real Chromium, which must not complain of it."""

import json
import re
import signal
import time
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Final

import pytest
import pytest_asyncio
from aiohttp import web
from selenium.webdriver.common.keys import Keys

from exporter.jobs.model import (
    Counts,
    Details,
    Job,
    JobKey,
    JobStatus,
    Sighting,
    SubJob,
    SubJobStatus,
)
from exporter.simulator import Particulars, serve
from exporter.web.routes import Views, application
from exporter.web.scrapers import Scrapers
from exporter.web.state import Failure, Health, Reload, State

from .browser import PHONE, WIDE, Browser, browser
from .conftest import Program
from .exporters import Exporter, alone, exporter, lasting, project, quiet, write
from .processes import eventually, fetch

NOW: Final = 1_795_000_000.0
LONG: Final = "long_" * 2048
BIDI: Final = "abc\u202etxt.exe\u2066\u200f\u0007"
SCRIPT: Final = (
    "<script>document.title='owned'</script><img src=x onerror=\"document.title='owned'\">"
)
BREAK: Final = "\"'><style>*{display:none}</style></td></table></title></script>&lt;"
AGAIN: Final = "window.dispatchEvent(new Event('popstate'))"
"""What makes the page update itself now rather than in some seconds."""

pytestmark = pytest.mark.asyncio(loop_scope="module")


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def chrome(
    program: Program, tmp_path_factory: pytest.TempPathFactory
) -> AsyncIterator[Browser]:
    directory = tmp_path_factory.mktemp("browser")
    async with browser(program("chromium"), program("chromedriver"), directory) as started:
        yield started


@pytest_asyncio.fixture(loop_scope="module")
async def page(chrome: Browser) -> AsyncIterator[Browser]:
    """Give the browser as new, and let nothing pass that it complained of."""
    await chrome.scripting(True)
    await chrome.size(WIDE)
    yield chrome
    complaints = await chrome.complaints()
    await chrome.open("about:blank")
    assert complaints == []


# What a real exporter shows


@asynccontextmanager
async def watching(directory: Path, *names: str) -> AsyncIterator[tuple[Exporter, Any]]:
    """Run an exporter that discovers running jobs of these names."""
    dli = quiet()
    (of,) = dli.projects
    for number, name in enumerate(names):
        particulars = Particulars(
            statement=f"select {number}", queue_name=f"queue_{number % 3}", tags={"jobName": name}
        )
        dli.add(lasting(subjobs=50), job_id=f"job-{number:04}", particulars=particulars)
    async with serve(dli) as address:
        found = project(of, address, discovery={"enabled": True, "interval": "1s"})
        path = write(directory / "dli.yaml", {"prod": found}, tags={"name": "jobName"})
        async with exporter(path) as running:
            await tracked(running, len(names))
            yield running, dli


async def tracked(running: Exporter, count: int) -> None:
    async def all_there() -> bool:
        return (
            len(json.loads((await fetch(f"{running.url}/api/v1/jobs"))[1])["data"]["jobs"]) == count
        )

    await eventually(all_there, f"{count} jobs are tracked")


async def test_a_job_is_followed_to_its_end_and_nothing_else_moves(
    page: Browser, tmp_path: Path
) -> None:
    async with watching(tmp_path, "nightly") as (running, dli):
        await page.open(running.url)
        await page.until("document.querySelector('td.progress progress')")
        assert await page.texts("tbody th bdi") == ["nightly"]
        assert await page.texts("tbody td.status") == ["Running"]
        assert await page.texts(".projects .mark") == ["Up"]
        await page.click("summary")
        assert await page.texts("details li bdi") == ["collect at made_up.py:1"]
        await page.run("document.querySelector('tbody tr').mine = true")
        dli.end("job-0000", "FINISHED")
        # By itself: nobody asks for it here.
        await page.until("document.querySelector('tbody .mark').textContent === 'Finished'")
        assert await page.texts("td.progress > .bar b") == ["100%"]
        assert await page.texts("td.updated") == ["final"]
        assert await page.run("return document.querySelector('tbody tr').mine")
        assert await page.run("return document.querySelector('details').open")
        assert await page.run("return document.activeElement.localName") == "summary"
        dli.add(lasting(), job_id="job-9")
        await page.until("document.querySelectorAll('tbody tr').length === 2")
        assert await page.run("return document.querySelector('[data-key$=job-0000]').mine")
        assert await page.run("return document.activeElement.localName") == "summary"


@pytest.mark.parametrize("count", [200, 2000])
async def test_many_jobs_are_shown_sorted_and_filtered(
    page: Browser, tmp_path: Path, count: int
) -> None:
    async with watching(tmp_path, *(f"name {number:04}" for number in range(count))) as (
        running,
        _,
    ):
        began = time.perf_counter()
        await page.open(running.url)
        assert len(await page.texts("tbody tr")) == 200
        assert time.perf_counter() - began < 5
        assert (await page.texts(".statuses [aria-current]"))[0] == f"All {count:,}"
        if count > 200:
            assert await page.texts("#count") == [f"{count:,} jobs, 1 to 200 shown"]
            await page.click(".pages a[rel=next]")
            await page.until("document.querySelector('#count').innerText.includes('201 to 400')")
            assert (await page.texts("tbody th bdi"))[0] == "name 0200"
        await page.click("thead th.name a")
        await page.until("document.querySelector('th[aria-sort=ascending]')")
        await page.click("thead th.name a")
        await page.until("document.querySelector('th[aria-sort=descending]')")
        assert (await page.texts("tbody th bdi"))[0] == f"name {count - 1:04}"
        await page.type("input[name=q]", "NAME 0007")
        await page.until("document.querySelectorAll('tbody tr').length === 1")
        assert await page.texts("#count") == [f"1 of {count:,} jobs"]
        address = await page.run("return location.search")
        assert address == "?q=NAME+0007&sort=-name"
        await page.open(f"{running.url}/{address}")
        assert await page.texts("tbody th bdi") == ["name 0007"]
        await page.run("history.back()")
        await page.until("document.querySelectorAll('tbody tr').length === 200")


async def test_hostile_names_are_only_text(page: Browser, tmp_path: Path) -> None:
    names = (SCRIPT, BIDI, LONG, BREAK)
    async with watching(tmp_path, *names) as (running, _):
        for size in (WIDE, PHONE):
            await page.size(size)
            await page.open(running.url)
            await page.run(AGAIN)
            await page.until("performance.getEntriesByType('resource').length")
            shown = await page.texts("tbody th bdi")
            assert len(shown) == len(names)
            assert SCRIPT in shown
            assert BREAK in shown
            assert "abc\ufffdtxt.exe\ufffd\ufffd\ufffd" in shown
            assert "owned" not in await page.run("return document.title")
            assert (
                await page.run("return document.querySelectorAll('main script, img').length") == 0
            )
            heights = "return [...document.querySelectorAll('tbody th')].map(e => e.offsetHeight)"
            assert max(await page.run(heights)) < 80
            assert await sideways(page) == 0


async def test_who_loses_the_api_says_so_and_keeps_what_it_knew(
    page: Browser, tmp_path: Path
) -> None:
    dli = quiet()
    dli.add(lasting(subjobs=50), job_id="job-0000")
    async with AsyncExitStack() as cloud:
        address = await cloud.enter_async_context(serve(dli))
        async with exporter(alone(tmp_path, dli, address)) as running:
            await running.statuses({"job-0000": "RUNNING"})
            await page.open(running.url)
            assert await page.texts(".projects .mark") == ["Up"]
            await cloud.aclose()
            await page.until("document.querySelector('.projects .mark').innerText === 'Down'")
            assert await page.texts(".failures .failing code") == ["connection"]
            assert "since" in (await page.texts(".failures small"))[0]
            assert await page.texts("tbody td.status") == ["Running"]
            assert "1 project down" in await page.run("return document.title")


async def test_settings_that_cannot_be_read_are_told_until_they_can(
    page: Browser, tmp_path: Path
) -> None:
    dli = quiet()
    async with serve(dli) as address:
        path = alone(tmp_path, dli, address)
        good = path.read_text()
        async with exporter(path) as running:
            await page.open(running.url)
            assert await page.texts("main .notice") == []
            path.write_text(good.replace('"interval"', '"intervall"'))
            running.process.signal(signal.SIGHUP)
            await page.until("document.querySelector('main .notice')")
            assert "poll.intervall" in (await page.texts("main .notice li"))[0]
            path.write_text(good)
            running.process.signal(signal.SIGHUP)
            await page.until("!document.querySelector('main .notice')")


async def test_an_exporter_that_is_gone_is_missed(page: Browser, tmp_path: Path) -> None:
    dli = quiet()
    dli.add(lasting(), job_id="job-0000")
    async with serve(dli) as address, exporter(alone(tmp_path, dli, address)) as running:
        await running.statuses({"job-0000": "RUNNING"})
        await page.open(running.url)
        assert await page.texts("#notice") == [""]
        await running.process.stop()
        notice = await page.until("document.querySelector('#notice').innerText")
        assert "cannot be reached since" in notice
        assert re.search(r"is as of \d\d:\d\d:\d\d UTC\.", notice)
        assert await page.texts("tbody td.status") == ["Running"]
        complaints = await page.complaints()
        # Of a refused connection the browser itself tells; nothing else may be amiss.
        assert all("ERR_CONNECTION_REFUSED" in complaint for complaint in complaints), complaints


# What any exporter might show


def job(number: int = 0, **changes: Any) -> Job:
    running = SubJob(
        id=3,
        status=SubJobStatus.RUNNING,
        name="insertInto at Command.scala:180",
        counts=Counts(tasks=100, indices_completed=40),
    )
    usual = Job(
        key=JobKey("prod", f"85798b38-ae44-48eb-bb90-{number:012}"),
        name=f"job {number:02}",
        status=JobStatus.RUNNING,
        ratio=number / 100,
        expected_ratio=number / 50 if number % 2 else None,
        expected_end=NOW + 60 * number if number % 3 else None,
        deadline=NOW + 600 - 300 * (number % 4) if number % 5 else None,
        last_update=NOW - number,
        last_progress=NOW - 100 * number,
        counts=Counts(tasks=200, tasks_failed=number % 3),
        details=Details(queue_name="etl", owner="mei", start=NOW - 900),
        listed=(Sighting(subjob=running, first=NOW, first_done=0, expected_end=NOW + 30),),
    )
    return usual._replace(**changes)


JOBS: Final = (
    *map(job, range(30)),
    job(30, status=None, name=""),
    job(31, status=JobStatus.LAUNCHING, listed=()),
    job(32, status=JobStatus.FAILED, ended=NOW - 60),
    job(33, status=JobStatus.FINISHED, ended=NOW - 60, ratio=1.0),
    job(34, status=JobStatus.CANCELLED, ended=NOW - 60, listed=()),
    job(35, status=JobStatus.UNKNOWN, name=LONG),
    job(36, name=SCRIPT, key=JobKey("test", BREAK), details=Details(queue_name=LONG, owner=BIDI)),
)
FAILING: Final = Failure(
    reason="forbidden",
    message=f"no {SCRIPT}",
    since=NOW - 99,
    last=NOW,
    count=9,
    over=False,
    jobs=3,
)
STATE: Final = State(
    now=NOW,
    version="1.2.3",
    healthy=False,
    ready=True,
    stale=10.0,
    reload=Reload(at=NOW - 5, in_force=NOW - 50, mistakes=("poll.interval: must be above 0",)),
    projects=(
        Health(project="prod", up=True, last_success=NOW),
        Health(project="test", up=False, failures=(FAILING, replace(FAILING, over=True))),
        Health(project=LONG),
    ),
)


@dataclass
class Site:
    """What is served, and how often it was asked for."""

    url: str = ""
    jobs: tuple[Job, ...] = JOBS
    state: State = STATE
    asked: int = 0

    def state_now(self) -> State:
        self.asked += 1
        return self.state


@pytest_asyncio.fixture(loop_scope="module")
async def site() -> AsyncIterator[Site]:
    site = Site()
    views = Views(
        exposition=lambda _: pytest.fail("nobody scrapes"),
        monotonic=time.monotonic,
        jobs=lambda: site.jobs,
        healthy=lambda: True,
        ready=lambda: True,
        state=site.state_now,
        scrapers=Scrapers(),
        scraped=lambda _: None,
    )
    runner = web.AppRunner(application(views), access_log=None, shutdown_timeout=1)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    site.url = f"http://127.0.0.1:{runner.addresses[0][1]}/"
    yield site
    await runner.cleanup()


async def sideways(page: Browser) -> int:
    """Give by how many pixels the page is wider than its window."""
    root = "document.documentElement"
    pixels: int = await page.run(f"return {root}.scrollWidth - {root}.clientWidth")
    return pixels


@pytest.mark.parametrize("dark", [False, True])
@pytest.mark.parametrize("width", [320, 360, 700, 961, 1280, 1920])
async def test_nothing_is_wider_than_the_screen_and_all_can_be_read(
    page: Browser, site: Site, width: int, dark: bool
) -> None:
    await page.size((width, 900), dark=dark)
    await page.open(site.url)
    await page.run("document.querySelectorAll('details').forEach(each => { each.open = true; })")
    assert await sideways(page) == 0
    assert await page.run(FAINT) == []
    dim = "getComputedStyle(document.body).backgroundColor"
    assert (await page.run(f"return {dim}") == "rgb(13, 17, 23)") is dark


FAINT: Final = """
  // Texts with less contrast than WCAG 2 AA asks for, 4.5 to 1, and bars with less than 3 to 1.
  const rgb = text => (text.match(/[\\d.]+/g) || [0, 0, 0, 0]).map(Number);
  const light = ([r, g, b]) => [r, g, b].map(c => c / 255)
    .map(c => c <= 0.04045 ? c / 12.92 : ((c + 0.055) / 1.055) ** 2.4)
    .reduce((sum, c, i) => sum + c * [0.2126, 0.7152, 0.0722][i], 0);
  const ratio = (a, b) => (Math.max(a, b) + 0.05) / (Math.min(a, b) + 0.05);
  const behind = element => {
    for (let each = element; each; each = each.parentElement) {
      const color = rgb(getComputedStyle(each).backgroundColor);
      if (color.length < 4 || color[3] === 1) return color;
    }
    return [255, 255, 255];
  };
  const faint = [];
  const check = (element, what, least) => {
    const found = ratio(light(rgb(getComputedStyle(element).color)), light(behind(element)));
    if (found < least) faint.push([what, found]);
  };
  const texts = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
  let seen = 0;
  while (texts.nextNode()) {
    const element = texts.currentNode.parentElement;
    const text = texts.currentNode.data.trim();
    if (!text || ["SCRIPT", "NOSCRIPT"].includes(element.tagName)) continue;
    seen += 1;
    check(element, text, 4.5);
  }
  document.querySelectorAll("progress").forEach(each => check(each, "progress", 3));
  return seen > 100 ? faint : ["nothing was there"];
"""


async def test_without_script_links_and_form_do_the_same(page: Browser, site: Site) -> None:
    await page.scripting(False)
    await page.open(site.url)
    assert await page.run("return document.querySelector('#pause').offsetParent") is None
    assert await page.texts("noscript a") == ["Reload"]
    await page.click("thead th.progress a")
    await page.click("thead th.progress a")
    await page.until("location.search === '?sort=-progress'")
    assert (await page.texts("tbody td.progress > .bar b"))[0] == "100%"
    await page.type("input[name=q]", "job 1")
    await page.type("input[name=q]", Keys.ENTER)
    await page.until("location.search.includes('q=job')")
    assert (await page.texts("tbody th bdi"))[0] == "job 19"
    assert await page.texts("#count") == ["10 of 37 jobs"]
    await page.click(".statuses a.finished")
    await page.until("location.search.includes('FINISHED')")
    assert await page.texts("main .empty") == ["No job is as asked for. Show all"]
    await page.click(".empty a")
    await page.until("location.search === ''")
    assert len(await page.texts("tbody tr")) == len(JOBS)


async def test_everything_is_reached_by_keys_and_seen(page: Browser, site: Site) -> None:
    await page.open(site.url)
    focused = "document.activeElement"
    await page.type("body", Keys.TAB)
    assert await page.run(f"return {focused}.textContent") == "Skip to the jobs"
    assert await page.run(f"return {focused}.getBoundingClientRect().top") >= 0
    await page.type(".skip", Keys.ENTER)
    await page.until(f"{focused}.id === 'jobs'")
    met: list[str] = []
    while "sort=updated" not in (met[-1] if met else ""):
        await page.do(lambda driver: driver.switch_to.active_element.send_keys(Keys.TAB))
        met.append(await page.run(f"return {focused}.getAttribute('href') || {focused}.name || ''"))
        outline = await page.run(f"return getComputedStyle({focused}).outlineStyle")
        assert outline == "solid", met
    assert {"?status=FAILED", "q", "project", "?sort=name"} <= set(met)
    await page.do(lambda driver: driver.switch_to.active_element.send_keys(Keys.ENTER))
    await page.until("document.querySelector('th.updated[aria-sort=ascending]')")
    assert await page.run(f"return {focused}.closest('th').className") == "updated"


@pytest.mark.parametrize("size", [WIDE, PHONE])
async def test_a_screen_reader_is_told_of_a_table_and_what_each_bar_is(
    page: Browser, site: Site, size: tuple[int, int]
) -> None:
    await page.size(size)
    await page.open(site.url)
    tree = (await page.command("Accessibility.getFullAXTree"))["nodes"]
    nodes = [
        (node["role"]["value"], node.get("name", {}).get("value", ""))
        for node in tree
        if not node["ignored"]
    ]
    roles = [role for role, _ in nodes]
    assert {"banner", "main", "contentinfo", "navigation", "search", "table"} <= set(roles)
    assert roles.count("row") == len(JOBS) + 1
    assert roles.count("columnheader") == 8
    assert roles.count("rowheader") == len(JOBS)
    bars = [name for role, name in nodes if role == "progressIndicator" or role == "progressbar"]
    assert len(bars) >= 30
    assert all(name.startswith("Progress of ") for name in bars)
    assert ("table", "Jobs") in nodes
    assert [name for role, name in nodes if role in ("searchbox", "searchBox")] == ["Search"]


async def test_a_hidden_or_paused_page_asks_no_more(page: Browser, site: Site) -> None:
    # The page's own timers, seen from outside: what is not pending will not come.
    added = await page.command("Page.addScriptToEvaluateOnNewDocument", source=TIMERS)
    try:
        await page.open(site.url)
        assert await page.run("return pending.size") == 1
        await page.run(HIDE, True)
        assert await page.run("return pending.size") == 0
        asked = site.asked
        await page.run(HIDE, False)
        await page.until("pending.size === 1")
        assert site.asked == asked + 1
        await page.click("#pause")
        assert await page.texts("#pause") == ["Resume updates"]
        assert await page.run("return pending.size") == 0
        await page.click("thead th.queue a")
        await page.until("document.querySelector('th.queue[aria-sort]')")
        assert await page.run("return pending.size") == 0
        await page.click("#pause")
        await page.until("pending.size === 1")
    finally:
        await page.command("Page.removeScriptToEvaluateOnNewDocument", **added)


TIMERS: Final = """
  window.pending = new Set();
  const set = window.setTimeout, clear = window.clearTimeout;
  window.setTimeout = (act, delay) => {
    const id = set(() => { pending.delete(id); act(); }, delay);
    pending.add(id);
    return id;
  };
  window.clearTimeout = id => { pending.delete(id); clear(id); };
"""
HIDE: Final = """
  Object.defineProperty(document, "hidden", { value: arguments[0], configurable: true });
  document.dispatchEvent(new Event("visibilitychange"));
"""


async def test_what_somebody_types_selects_or_reads_stays_as_it_is(
    page: Browser, site: Site
) -> None:
    await page.open(site.url)
    await page.type("input[name=q]", "job")
    await page.until("location.search === '?q=job'")
    await page.run(
        "getSelection().selectAllChildren(document.querySelector('tbody tr td.project'))"
    )
    await page.run("scrollTo(0, 300)")
    site.jobs = tuple(each._replace(ratio=0.99) for each in JOBS[1:])
    asked = site.asked
    await page.run(AGAIN)
    await page.until("document.querySelectorAll('tbody tr')[0].innerText.includes('job 01')")
    assert site.asked > asked
    assert await page.run("return document.querySelector('input[name=q]').value") == "job"
    assert await page.run("return document.activeElement.name") == "q"
    assert await page.run("return scrollY") > 200
    await page.run("history.pushState(null, '', '?')")
    await page.run("document.activeElement.blur()")
    await page.run(AGAIN)
    await page.until("document.querySelector('input[name=q]').value === ''")


async def test_another_version_is_loaded_as_a_whole(page: Browser, site: Site) -> None:
    await page.open(site.url)
    await page.run("window.mine = true")
    site.state = STATE._replace(version="1.2.4")
    await page.run(AGAIN)
    await page.until("window.mine === undefined && document.querySelector('h1')")
    assert await page.texts("h1 small") == ["1.2.4"]


async def test_an_exporter_without_jobs_says_where_they_come_from(
    page: Browser, site: Site
) -> None:
    site.jobs = ()
    await page.open(site.url)
    assert "No job is tracked" in (await page.texts(".empty"))[0]
    assert await page.texts("table") == []


async def test_an_answer_of_somebody_else_is_no_news(page: Browser, site: Site) -> None:
    await page.open(site.url)
    await page.run("history.replaceState(null, '', '/-/healthy')")
    await page.run(AGAIN)
    notice = await page.until("document.querySelector('#notice').innerText")
    assert "something else answers" in notice
    assert len(await page.texts("tbody tr")) == len(JOBS)
    await page.run("history.replaceState(null, '', '/')")
    await page.run(AGAIN)
    await page.until("!document.querySelector('#notice').innerText")


@pytest.mark.parametrize("path", ["metrics", "api/v1/jobs", "-/ready"])
async def test_what_the_links_lead_to_is_shown_without_complaints(
    page: Browser, site: Site, path: str, tmp_path: Path
) -> None:
    async with watching(tmp_path, "nightly") as (running, _):
        await page.open(f"{running.url}/{path}")
        assert len((await page.texts("body"))[0]) > 5
