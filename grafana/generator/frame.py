"""What surrounds the panels: variables, annotations, links, and the grid."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final, TypeAlias

from grafana_foundation_sdk.builders import dashboard as build
from grafana_foundation_sdk.cog.builder import Builder
from grafana_foundation_sdk.models import dashboard as model

from .links import TAG, siblings
from .panels import SOURCE, WIDTH
from .queries import ON_EXPORTER, ON_PROJECT, QUEUE, RUNNING, SAME_JOB, has_status, titled

Panels: TypeAlias = Sequence[Builder[model.Panel]]


@dataclass(frozen=True, slots=True)
class Band:
    """Panels of one height side by side, which share the width of the grid equally."""

    height: int
    panels: Panels


@dataclass(frozen=True, slots=True)
class Section:
    """Bands under a heading, or without one."""

    heading: str
    bands: Sequence[Band]


def band(height: int, *panels: Builder[model.Panel]) -> Band:
    """Put panels side by side; ValueError if they leave a hole."""
    if WIDTH % len(panels):
        raise ValueError(f"{len(panels)} panels do not share {WIDTH} columns equally")
    return Band(height, panels)


def section(heading: str, *bands: Band) -> Section:
    """Put bands under a heading."""
    return Section(heading, bands)


def laid_out(sections: Sequence[Section]) -> list[model.Panel | model.RowPanel]:
    """Give the panels numbers and places, from the top down."""
    panels: list[model.Panel | model.RowPanel] = []
    top = 0
    for part in sections:
        if part.heading:
            panels.append(_heading(part.heading, len(panels) + 1, top))
            top += 1
        for each in part.bands:
            width = WIDTH // len(each.panels)
            for place, builder in enumerate(each.panels):
                position = model.GridPos(h=each.height, w=width, x=place * width, y=top)
                panels.append(_placed(builder, len(panels) + 1, position))
            top += each.height
    return panels


def _placed(builder: Builder[model.Panel], number: int, position: model.GridPos) -> model.Panel:
    panel = builder.build()
    panel.id_val, panel.grid_pos = number, position
    return panel


def _heading(title: str, number: int, top: int) -> model.RowPanel:
    row = build.Row(title).id(number).build()
    row.grid_pos = model.GridPos(h=1, w=WIDTH, x=0, y=top)
    return row


def dashboard(
    uid: str,
    title: str,
    about: str,
    variables: Sequence[Builder[model.VariableModel]],
    sections: Sequence[Section],
    annotations: Sequence[Builder[model.AnnotationQuery]] = (),
) -> model.Dashboard:
    """Return a whole dashboard, which is changed here and not in Grafana."""
    builder = (
        build.Dashboard(title)
        .uid(uid)
        .description(about)
        .tags([TAG])
        .readonly()
        .refresh("30s")
        .time("now-3h", "now")
        .timezone("browser")
        .tooltip(model.DashboardCursorSync.CROSSHAIR)
        .link(siblings())
        .variables([_data_source(), *variables])
        .annotations(list(annotations))
    )
    built = builder.build()
    built.panels = laid_out(sections)
    return built


def _data_source() -> build.DatasourceVariable:
    return (
        build.DatasourceVariable("datasource")
        .label("Data source")
        .type("prometheus")
        .current(model.VariableOption(selected=False, text="default", value="default"))
    )


def variable(name: str, label: str, definition: str) -> build.QueryVariable:
    """Return a variable that Prometheus is asked for whenever the range changes."""
    return (
        build.QueryVariable(name)
        .label(label)
        .datasource(SOURCE)
        .query({"query": definition, "refId": f"Prometheus-{name}"})
        .definition(definition)
        .refresh(model.VariableRefresh.ON_TIME_RANGE_CHANGED)
        .sort(model.VariableSort.ALPHABETICAL_ASC)
    )


def _choice(name: str, label: str, definition: str, everything: str) -> build.QueryVariable:
    return (
        variable(name, label, definition)
        .multi(True)
        .include_all(True)
        .all_value(everything)
        .current(model.VariableOption(selected=True, text="All", value="$__all"))
    )


def job() -> build.QueryVariable:
    """Choose scrape jobs, whatever they are called."""
    return _choice("job", "Job", "label_values(dli_exporter_build_info, job)", ".+")


def instance() -> build.QueryVariable:
    """Choose exporters."""
    definition = 'label_values(dli_exporter_build_info{job=~"$job"}, instance)'
    return _choice("instance", "Instance", definition, ".+")


def project() -> build.QueryVariable:
    """Choose projects."""
    return _choice("project", "Project", f"label_values(dli_up{{{ON_EXPORTER}}}, project)", ".+")


def queue() -> build.QueryVariable:
    """Choose queues; every job is in one, known or not."""
    definition = f"label_values(dli_job_info{{{ON_PROJECT}}}, queue_name)"
    return _choice("queue", "Queue", definition, ".*")


_BEFORE: Final = " offset $__interval"
"""One step earlier: the step of an annotation's query is what Grafana puts in its place."""


def annotations(on: str) -> Sequence[build.AnnotationQuery]:
    """Mark once each when jobs started, ended and failed."""
    return (
        _mark("Started jobs", on, RUNNING, "blue", "{{name}} started"),
        _mark("Ended jobs", on, "FINISHED|CANCELLED", "green", "{{name}} ended"),
        _mark("Failed jobs", on, "FAILED", "red", "{{name}} failed"),
    )


def _mark(name: str, on: str, statuses: str, color: str, title: str) -> build.AnnotationQuery:
    """Mark the first step at which a job has a status.

    The window is longer than a step, so that no short job falls between two, and has a scrape
    or more, so that there is no gap after which a job would be marked again.
    """
    window = "[$__rate_interval]"
    began = (
        f"({has_status(statuses, on, window)}\n"
        f"  unless {SAME_JOB} {has_status(statuses, on, window + _BEFORE)})"
    )
    return (
        build.AnnotationQuery()
        .name(name)
        .datasource(SOURCE)
        .enable(True)
        .icon_color(color)
        .expr(titled(began, f"{on}, {QUEUE}", window))
        .step("1m")
        .title_format(title)
        .text_format("{{job_id}} {{queue_name}}")
        .tag_keys("project,queue_name")
    )
