"""The dashboards' uids, which are stable, and how one leads to another."""

from typing import Final

from grafana_foundation_sdk.builders import dashboard as build
from grafana_foundation_sdk.models import dashboard as model

JOBS: Final = "dli-jobs"
JOB: Final = "dli-job"
EXPORTER: Final = "dli-exporter"
TAG: Final = "dli"
"""What all three dashboards are tagged with, and no others need be."""


def siblings() -> build.DashboardLink:
    """Return the menu of all dashboards with the tag."""
    return (
        build.DashboardLink("DLI")
        .type(model.DashboardLinkType.DASHBOARDS)
        .tags([TAG])
        .as_dropdown(True)
        .include_vars(True)
        .keep_time(True)
    )


def to_job(title: str, project: str, job_id: str) -> dict[str, object]:
    """Return a link to one job; ``project`` and ``job_id`` are Grafana's names of the values.

    Grafana puts its own base address before a path, and writes neither ``?`` nor ``&`` itself.
    """
    url = (
        f"/d/{JOB}?${{__url_time_range}}&var-datasource=${{datasource}}"
        "&${job:queryparam}&${instance:queryparam}"
        f"&var-project=${{{project}}}&var-job_id=${{{job_id}}}"
    )
    return {"title": title, "url": url, "targetBlank": False}
