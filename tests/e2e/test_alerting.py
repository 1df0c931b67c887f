"""A job fails, and somebody is told: exporter, Prometheus, Alertmanager and a webhook, all real."""

from functools import partial
from pathlib import Path
from typing import Final

from exporter.simulator import Particulars, serve

from .alertmanager import Notice, Told, alertmanager, post, telling
from .conftest import Program
from .exporters import exporter, lasting, project, quiet, scraping, timeline, write
from .processes import eventually
from .prometheus import Prometheus, prometheus
from .rules import DIRECTORY, loaded

SHOWN: Final = "8s"
"""How long an ended job is remembered here; as shipped it is a quarter of an hour."""
NIGHTLY: Final = Particulars(
    statement="select 1", queue_name="etl_nightly", tags={"jobName": "nightly"}
)
ACTIVE: Final = 'ALERTS{alertname="DLIJobFailed", alertstate="firing"}'


async def test_a_failure_is_told_outlives_the_exporter_and_is_over_in_the_end(
    program: Program, tmp_path: Path
) -> None:
    alerts = (DIRECTORY / "alerts.yml").read_text(encoding="utf-8")
    sooner = tmp_path / "alerts.yml"
    sooner.write_text(alerts.replace("[15m]", f"[{SHOWN}]"), encoding="utf-8")
    dli = quiet()
    dli.add(lasting(), job_id="runs", particulars=NIGHTLY)
    dli.add(timeline((0, "RUNNING"), (3, "FAILED")), job_id="fails", particulars=NIGHTLY)
    dli.add(timeline((0, "RUNNING"), (3, "FINISHED")), job_id="finishes", particulars=NIGHTLY)
    async with (
        serve(dli) as api,
        telling() as told,
        alertmanager(program("prometheus-alertmanager"), tmp_path, told) as manager,
    ):
        (only,) = dli.projects
        settings = write(
            tmp_path / "dli.yaml",
            {"default": project(only, api, jobs=dli.job_ids())},
            tags={"name": "jobName"},
        )
        target = {"targets": [manager.removeprefix("http://")]}
        async with exporter(settings) as watching:
            server = prometheus(
                program("prometheus"),
                tmp_path,
                [scraping(watching, "1s")],
                alerting={"alertmanagers": [{"static_configs": [target]}]},
                **loaded(sooner),
            )
            async with server as asked:
                await fired(told)
                await watching.process.stop()
                await vanished(asked)
                assert await asked.value(ACTIVE) == 1
                await told.until(lambda notice: not notice.firing)
                assert await asked.value(ACTIVE) is None
    assert {(each.name, each.alert["labels"]["job_id"]) for each in told.notices} == {
        ("DLIJobFailed", "fails")
    }


async def fired(told: Told) -> None:
    """Wait for the alert, and look at all that a person is told."""
    notice = await told.until(lambda notice: notice.firing)
    assert notice.receiver == "team"
    assert notice.alert["labels"] == {
        "alertname": "DLIJobFailed",
        "severity": "warning",
        "project": "default",
        "job_id": "fails",
        "name": "nightly",
        "queue_name": "etl_nightly",
    }
    texts = notice.alert["annotations"]
    assert texts["description"] == (
        "Job nightly fails of project default, queue etl_nightly, has FAILED."
    )
    assert texts["dashboard_url"].endswith("/d/dli-job?var-project=default&var-job_id=fails")
    assert texts["runbook_url"].endswith("/runbooks.md#dlijobfailed")


async def vanished(server: Prometheus) -> None:
    """Wait until Prometheus knows that the exporter, and all that it showed, is gone."""

    async def gone() -> bool:
        return await server.value("up == 0 unless on () dli_job_status") == 0

    await eventually(gone, "the exporter's series are gone")


def is_about(labels: dict[str, str], notice: Notice) -> bool:
    """Tell whether a notice is about the alert with these labels."""
    return bool(notice.alert["labels"] == labels)


async def test_the_cause_is_told_and_to_whom_it_concerns(program: Program, tmp_path: Path) -> None:
    def alert(name: str, severity: str, **labels: str) -> dict[str, str]:
        return {"alertname": name, "severity": severity, **labels}

    here = {"job": "dli", "instance": "e:1", "project": "prod"}
    there = {**here, "instance": "e:2"}
    job = {"project": "prod", "job_id": "j1"}
    told_of = [
        alert("DLICredentialsFailing", "critical", **here),
        alert("DLIDataStale", "warning", **there),
        alert("DLIJobFailed", "warning", **job),
        alert("DLIJobStalled", "warning", **{**job, "job_id": "j2"}),
        alert("DLIJobRunningLong", "info", **{**job, "job_id": "j2"}),
        alert("DLIExporterDown", "critical", job="dli", instance="e:3"),
    ]
    follows = [
        alert("DLIProjectUnreachable", "critical", **here),
        alert("DLIDataStale", "warning", **here),
        alert("DLIJobStalled", "warning", **job),
        alert("DLIShardsWrong", "critical", job="dli"),
    ]
    async with (
        telling() as told,
        alertmanager(program("prometheus-alertmanager"), tmp_path, told) as manager,
    ):
        await post(manager, *told_of, *follows)
        for wanted in told_of:
            await told.until(partial(is_about, wanted))
    to_whom = {"critical": "on-call", "warning": "team", "info": "quiet"}
    for notice in told.notices:
        assert notice.alert["labels"] in told_of
        assert notice.receiver == to_whom[notice.alert["labels"]["severity"]]
