"""Every query of the dashboards has something to say: real exporters, and a real Prometheus."""

import re
import time
from collections import Counter
from collections.abc import AsyncIterator, Iterator, Mapping
from pathlib import Path
from typing import Any, Final

import pytest
import pytest_asyncio

from .. import grafana
from ..grafana import DASHBOARDS, Json
from ..promql import expand
from . import scenes
from .conftest import Program
from .processes import eventually
from .scenes import Seen

pytestmark = pytest.mark.asyncio(loop_scope="module")

LONG: Final = 90.0
BUILT_IN: Final = {
    "__rate_interval": f"{scenes.RATE_INTERVAL}s",
    "__interval": "1s",
    "__range": "10m",
}
SAYS_NOTHING_IDLE: Final[Mapping[str, set[str]]] = {
    "dli-jobs": {
        *("Progress of running jobs", "Jobs by status", "All jobs"),
        *("Started jobs", "Ended jobs", "Failed jobs"),
    },
    "dli-exporter": {
        *("Credentials last", "Errors by reason", "Age of the data at the scrape"),
    },
}
"""What has nothing to show while there is no job, no error and no key that ends."""


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def busy(program: Program, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Seen]:
    async with scenes.busy(program("prometheus"), tmp_path_factory.mktemp("busy")) as seen:
        yield seen


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def idle(program: Program, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Seen]:
    async with scenes.idle(program("prometheus"), tmp_path_factory.mktemp("idle")) as seen:
        yield seen


def promql(expression: str, **variables: str) -> str:
    """Give every variable a value: all of it, unless said otherwise."""
    everything = {
        variable["name"]: variable.get("allValue") or ".+"
        for dashboard in DASHBOARDS.values()
        for variable in grafana.query_variables(dashboard)
    }
    return expand(expression, {**everything, **BUILT_IN, **variables})


async def ask(seen: Seen, target: Json, now: float, **variables: str) -> list[Json]:
    """Ask as Grafana would, at a moment or up to it: the series that have a number."""
    wanted = promql(target["expr"], **variables)
    found = await (seen.at if target.get("instant") else seen.over)(wanted, now)
    return [each for each in found if any(value != "NaN" for value in numbers(each))]


def numbers(series: Json) -> list[str]:
    return [value for _, value in series.get("values") or [series["value"]]]


def columns(expression: str) -> set[str]:
    """Return the columns of a table."""
    return set(re.findall(r'"column", "([^"]+)"', expression))


def queries(name: str) -> Iterator[tuple[str, str, Json]]:
    """Yield every query of a dashboard, its annotations included: panel, where, query."""
    for where, panel, target in grafana.targets(DASHBOARDS[name]):
        yield panel["title"], where, target
    for annotation in DASHBOARDS[name]["annotations"]["list"]:
        yield annotation["name"], annotation["name"], annotation


def expression(name: str, title: str, number: int = 0) -> str:
    """Find a panel's query."""
    (panel,) = (each for each in grafana.panels(DASHBOARDS[name]) if each["title"] == title)
    found: str = panel["targets"][number]["expr"]
    return found


@pytest.mark.parametrize("name", DASHBOARDS)
async def test_every_query_has_data_when_there_is_something_to_see(busy: Seen, name: str) -> None:
    for _, where, target in queries(name):
        wanted = columns(target["expr"])

        async def shown(target: Json = target, wanted: set[str] = wanted) -> bool:
            found = await ask(busy, target, time.time())
            return bool(found) and wanted <= {each["metric"].get("column") for each in found}

        await eventually(shown, f"{where} has data {sorted(wanted)}", within=LONG)


@pytest.mark.parametrize("name", DASHBOARDS)
async def test_every_variable_has_values_when_there_is_something_to_see(
    busy: Seen, name: str
) -> None:
    for variable in grafana.query_variables(DASHBOARDS[name]):

        async def offered(variable: Json = variable) -> list[Any]:
            return await options(busy, variable)

        assert await eventually(offered, f"${variable['name']} has values")


async def options(seen: Seen, variable: Json) -> list[Any]:
    """Return what a variable offers; of one with two names for each value, both."""
    selector, label = grafana.asked(variable["definition"])
    if label is None:
        found = await seen.at(promql(selector), time.time())
        lines = (",".join(f'{k}="{v}"' for k, v in each["metric"].items()) for each in found)
        pattern = grafana.python_pattern(variable["regex"])
        return [match.groupdict() for line in lines if (match := re.search(pattern, line))]
    values: list[Any] = await seen.server.get(
        f"label/{label}/values", **{"match[]": promql(selector)}
    )
    return values


async def test_a_job_can_be_chosen_by_its_name(busy: Seen) -> None:
    variable = grafana.variables(DASHBOARDS["dli-job"])["job_id"]

    async def offered() -> bool:
        title = f"{scenes.NAMED} · {busy.job_id[:8]}"
        return {"value": busy.job_id, "text": title} in await options(busy, variable)

    assert await eventually(offered, "the job is offered")


async def test_a_job_of_two_exporters_is_shown_once(busy: Seen) -> None:
    running = 'dli_job_status{status=~"RUNNING|SCALING"} == 1'

    async def twice() -> float | None:
        now = time.time()
        seen, there = [
            await busy.server.query(query, time=now)
            for query in (f"count({running})", f"count(count by (job_id) ({running}))")
        ]
        (shown,) = await busy.server.query(promql(expression("dli-jobs", "Running")), time=now)
        assert shown.value == there[0].value
        return seen[0].value > there[0].value

    assert await eventually(twice, "both exporters show a job that runs")
    rows = await busy.at(promql(expression("dli-jobs", "All jobs")), time.time())
    cells = Counter((each["metric"]["job_id"], each["metric"]["column"]) for each in rows)
    assert set(cells.values()) == {1}
    bars = await busy.at(promql(expression("dli-jobs", "Progress of running jobs")), time.time())
    assert set(Counter(each["metric"]["job_id"] for each in bars).values()) == {1}
    assert scenes.NAMED in {each["metric"]["name"] for each in bars}


async def test_ends_and_failures_are_marked_once_each(busy: Seen) -> None:
    """Of every job whose end Prometheus saw coming, and not within the last seconds."""
    marks = {each["name"]: each for each in DASHBOARDS["dli-jobs"]["annotations"]["list"]}
    statuses = {"Ended jobs": "FINISHED|CANCELLED", "Failed jobs": "FAILED"}

    async def ended(status: str, now: float) -> set[str]:
        before = 'max by (job_id) (max_over_time(dli_job_status{status="RUNNING"}[10m])) == 1'
        began = f'{before} and on (job_id) (dli_job_status{{status=~"{status}"}} offset 10s == 1)'
        return {each.labels["job_id"] for each in await busy.server.query(began, time=now)}

    for name, status in statuses.items():

        async def some(status: str = status) -> set[str]:
            return await ended(status, time.time())

        await eventually(some, f"a job is {status}", within=LONG)
        now = time.time()
        marked = await ask(busy, marks[name], now)
        counts = {each["metric"]["job_id"]: len(numbers(each)) for each in marked}
        there = await ended(status, now)
        assert {job_id: counts.get(job_id) for job_id in there} == dict.fromkeys(there, 1)
        assert set(counts.values()) == {1}


async def test_one_job_is_all_that_the_dashboard_about_it_shows(busy: Seen) -> None:
    async def status() -> list[Json]:
        wanted = promql(expression("dli-job", "Status"), job_id=busy.job_id)
        return await busy.at(wanted, time.time())

    (found,) = await eventually(status, "the job is there")
    assert found["metric"]["job_id"] == busy.job_id
    for _, where, target in queries("dli-job"):
        for each in await ask(busy, target, time.time(), job_id=busy.job_id):
            assert each["metric"].get("job_id", busy.job_id) == busy.job_id, where


@pytest.mark.parametrize("name", DASHBOARDS)
async def test_without_jobs_only_what_is_about_jobs_is_empty(idle: Seen, name: str) -> None:
    """No query fails, or `Prometheus.get` would."""
    empty = {
        title for title, _, target in queries(name) if not await ask(idle, target, time.time())
    }
    everything = {title for title, _, _ in queries(name)}
    assert empty == SAYS_NOTHING_IDLE.get(name, everything)


async def test_without_jobs_the_counts_are_zero(idle: Seen) -> None:
    for title in ("Running", "Waiting", "Late", "Failed", "Finished"):
        assert await idle.server.value(promql(expression("dli-jobs", title))) == 0, title
    assert await idle.server.value(promql(expression("dli-jobs", "Age of the data"))) == -1


async def test_without_an_exporter_nothing_looks_well(program: Program, tmp_path: Path) -> None:
    async with scenes.idle(program("prometheus"), tmp_path) as seen:
        (only,) = seen.exporters
        assert await only.process.stop() == 0

        async def down() -> bool:
            return await seen.server.value("up") == 0

        await eventually(down, "Prometheus has missed the exporter")
        assert await seen.server.value(promql(expression("dli-exporter", "Down"))) == 1
        assert await seen.server.value(promql(expression("dli-exporter", "Up"))) is None
        for title in ("Running", "Waiting", "Late", "Age of the data"):
            assert await seen.server.value(promql(expression("dli-jobs", title))) is None, title
