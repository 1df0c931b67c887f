"""Rules are proved by promtool, and find what they are about in what real exporters show.

The troubled scene has all that can go wrong within seconds; the idle one has no job at all.
Patience cannot be had in seconds: what promtool proves of ``for`` and of long times is not asked
here again, but whether an expression finds the series that it speaks of.
"""

import asyncio
import re
import signal
import time
from asyncio.subprocess import PIPE, STDOUT
from collections.abc import AsyncIterator, Mapping
from contextlib import AsyncExitStack
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, Final

import pytest
import pytest_asyncio

from exporter.simulator import serve

from ..promql import selectors
from .alertmanager import SHIPPED
from .conftest import Program
from .exporters import Exporter, crashing, exporter, lasting, project, quiet, scraping, write
from .processes import eventually
from .prometheus import Prometheus, Series, prometheus
from .rules import ALERTS, DIRECTORY, FILES, loaded, rules
from .trouble import BEHIND, PROJECTS, central, faults, populate, small

SOON: Final[Mapping[str, tuple[str, str]]] = {
    "DLIJobStalled": ("> 1800", "> 5"),
    "DLIJobStuckLaunching": ("> 900", "> 5"),
    "DLIDataStale": ("> 600", "> 0"),
}
"""What an expression waits for that takes longer than a test, and what it waits for here."""
LATER: Final = {"DLIExporterDown", "DLIJobsLost"}
"""What happens when an exporter dies, which happens last."""
ABSENT: Final = {
    # Permanent keys do not end.
    "DLICredentialsExpiring",
    # Nobody makes up the 10,000 jobs that this takes.
    "DLIDiscoveryTruncated",
    # It takes another Prometheus, which is there and does not listen.
    "DLIFinalStateUnscraped",
}
"""What does not happen here: only that its series exist is proved."""
PERMANENT: Final = {"dli_exporter_credentials_expiry_timestamp_seconds"}
AFFECTED: Final[Mapping[str, set[str]]] = {
    "DLIJobFailed": {"failed"},
    "DLIJobStalled": {"stalled", "risky", "late", "long", "old", "failing", "killed"},
    "DLIJobDeadlineAtRisk": {"risky"},
    "DLIJobDeadlineMissed": {"late"},
    "DLIJobRunningLong": {"long"},
    "DLIJobTaskFailuresHigh": {"failing"},
    "DLIJobKillsSurging": {"killed"},
    "DLIJobStuckLaunching": {"waiting"},
}
"""The jobs that an alert is about; in a test of seconds nothing moves, so most are stalled."""
TROUBLED: Final[Mapping[str, set[str]]] = {
    "DLIProjectUnreachable": {"down", "refused"},
    "DLICredentialsFailing": {"refused"},
    "DLICredentialsNotRefreshed": {"files"},
    "DLIThrottled": {"tight"},
    "DLIClockSkewed": {"behind"},
    "DLIJobsNotWatched": {"good"},
}
"""The projects that an alert is about."""


@dataclass(frozen=True)
class Seen:
    """What Prometheus has of a scene, and the exporters in it."""

    server: Prometheus
    exporters: Mapping[str, Exporter]

    async def alarming(self, alert: str) -> list[Series]:
        """Evaluate an alert's expression."""
        expression = ALERTS[alert]["expr"]
        long, soon = SOON.get(alert, ("", ""))
        assert long in expression
        return await self.server.query(expression.replace(long, soon))


async def run(*command: str, cwd: Path = DIRECTORY) -> tuple[int | None, str]:
    """Run a program to its end: its exit code, and all that it writes."""
    process = await asyncio.create_subprocess_exec(*command, stdout=PIPE, stderr=STDOUT, cwd=cwd)
    out, _ = await process.communicate()
    return process.returncode, out.decode()


async def test_promtool_finds_nothing_wrong_with_the_rules(program: Program) -> None:
    files = [str(file) for file in FILES]
    code, said = await run(
        program("promtool"), "check", "rules", "--lint=all", "--lint-fatal", *files
    )
    assert code == 0, said
    assert said.count("SUCCESS") == len(FILES)


@pytest.mark.parametrize("proof", sorted(DIRECTORY.glob("tests/*.yml")), ids=lambda file: file.stem)
async def test_promtool_proves(program: Program, proof: Path) -> None:
    code, said = await run(program("promtool"), "test", "rules", str(proof))
    assert code == 0, said
    assert "SUCCESS" in said


async def test_amtool_finds_nothing_wrong_with_the_routes(program: Program) -> None:
    code, said = await run(program("amtool"), "check-config", str(SHIPPED))
    assert code == 0, said


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def idle(program: Program, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Seen]:
    """Watch a DLI that has nothing to do."""
    directory = tmp_path_factory.mktemp("idle")
    dli = quiet()
    async with serve(dli) as address:
        (only,) = dli.projects
        found = {"enabled": True, "interval": "1s"}
        settings = write(
            directory / "dli.yaml", {"default": project(only, address, discovery=found)}
        )
        async with (
            exporter(settings) as watching,
            prometheus(
                program("prometheus"), directory, [scraping(watching, "1s")], **loaded()
            ) as server,
        ):
            await eventually(
                lambda: server.value("count_over_time(dli_up[1m]) > 2 and dli_up == 1"),
                "Prometheus has seen the exporter do well",
            )
            yield Seen(server, {"idle": watching})


@pytest.mark.asyncio(loop_scope="module")
@pytest.mark.parametrize("alert", ALERTS)
async def test_nothing_is_wrong_where_nothing_happens(idle: Seen, alert: str) -> None:
    assert await idle.alarming(alert) == []


@pytest.mark.asyncio(loop_scope="module")
async def test_prometheus_evaluates_every_rule(idle: Seen) -> None:
    assert await health(idle.server) == {rule.get("alert") or rule["record"] for rule in rules()}


async def health(server: Prometheus) -> set[str]:
    """Wait until every rule was evaluated, and give the names of those without an error."""

    async def evaluated() -> list[dict[str, Any]] | None:
        groups = (await server.get("rules"))["groups"]
        found = [rule for group in groups for rule in group["rules"]]
        return found if all(rule["health"] != "unknown" for rule in found) else None

    found = await eventually(evaluated, "every rule was evaluated")
    assert found is not None
    return {
        rule["name"] for rule in found if (rule["health"], rule.get("lastError")) == ("ok", None)
    }


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def troubled(
    program: Program, tmp_path_factory: pytest.TempPathFactory
) -> AsyncIterator[Seen]:
    """Watch a DLI in which everything goes wrong, with one exporter that does well and one not."""
    directory = tmp_path_factory.mktemp("troubled")
    dli = quiet(*PROJECTS)
    populate(dli)
    behind = quiet(BEHIND, now=lambda: time.time() - 120)
    behind.add(lasting(), job_id="old")
    async with serve(dli) as address, serve(behind) as elsewhere, AsyncExitStack() as stack:
        settings = central(directory, dli, address, elsewhere)
        good = await stack.enter_async_context(crashing(settings))
        poor = await stack.enter_async_context(crashing(small(directory, address)))
        for fault in faults():
            dli.faults.add(fault)
        configs = [
            {**scraping(good, "500ms"), "job_name": "central"},
            {**scraping(poor, "500ms"), "job_name": "small"},
        ]
        server = await stack.enter_async_context(
            prometheus(program("prometheus"), directory, configs, **loaded())
        )
        await eventually(lambda: server.value("count(dli_up)"), "Prometheus has seen something")
        (directory / "keys" / "sk").unlink()
        (directory / "small.yaml").write_text("projects: [", encoding="utf-8")
        poor.process.signal(signal.SIGHUP)
        yield Seen(server, {"central": good, "small": poor})


@pytest.mark.asyncio(loop_scope="module")
@pytest.mark.parametrize("alert", [each for each in ALERTS if each not in LATER | ABSENT])
async def test_an_alert_finds_what_it_is_about(troubled: Seen, alert: str) -> None:
    found = await eventually(partial(troubled.alarming, alert), f"{alert} finds something")
    if alert in AFFECTED:
        jobs = [(each.labels["project"], each.labels["job_id"]) for each in found]
        assert {job for _, job in jobs} <= AFFECTED[alert]
        assert len(set(jobs)) == len(jobs)


@pytest.mark.asyncio(loop_scope="module")
@pytest.mark.parametrize("alert", TROUBLED)
async def test_an_alert_finds_the_projects_that_it_is_about(troubled: Seen, alert: str) -> None:
    async def all_of_them() -> bool:
        found = await troubled.alarming(alert)
        return {each.labels["project"] for each in found} == TROUBLED[alert]

    await eventually(all_of_them, f"{alert} finds {TROUBLED[alert]}")


@pytest.mark.asyncio(loop_scope="module")
@pytest.mark.parametrize(
    "rule", rules(), ids=lambda rule: str(rule.get("alert", rule.get("record")))
)
async def test_every_series_that_a_rule_selects_is_there(troubled: Seen, rule: Any) -> None:
    """Regular expressions need only one of their words."""
    for selector in selectors(rule["expr"]):
        if selector.name in PERMANENT:
            continue
        plain = re.sub(r" offset .*| @ .*", "", selector.prettify())
        seen = f"last_over_time({plain}[10m])"
        await eventually(partial(troubled.server.query, seen), seen)


@pytest.mark.asyncio(loop_scope="module")
async def test_rules_have_no_trouble_with_trouble(troubled: Seen) -> None:
    assert await health(troubled.server) == {
        rule.get("alert") or rule["record"] for rule in rules()
    }


@pytest.mark.asyncio(loop_scope="module")
async def test_the_death_of_an_exporter_is_found_and_what_it_takes_along(troubled: Seen) -> None:
    assert await troubled.alarming("DLIExporterDown") == []
    assert await troubled.alarming("DLIJobsLost") == []
    for each in troubled.exporters.values():
        each.process.signal(signal.SIGKILL)
    for alert in LATER:
        await eventually(partial(troubled.alarming, alert), f"{alert} finds something")
