"""The dashboards keep the rules, and name only what is there."""

import copy
import re
from collections.abc import Callable
from typing import Any

import pytest

from exporter.metrics.catalogue import FAMILIES

from . import grafana
from .grafana import DASHBOARDS, Json
from .grafana_lint import holes, lint, reported_as_bar
from .promql import expand, labels, metrics

every_dashboard = pytest.mark.parametrize("name", DASHBOARDS)
COLUMN = "column"


@every_dashboard
def test_the_rules_of_grafanas_linter_hold(name: str) -> None:
    assert list(lint(DASHBOARDS[name])) == []


@every_dashboard
def test_the_grid_has_neither_holes_nor_overlaps(name: str) -> None:
    assert list(holes(DASHBOARDS[name])) == []


@every_dashboard
def test_every_metric_and_label_is_in_the_catalogue(name: str) -> None:
    for each in grafana.expressions(DASHBOARDS[name]):
        result = labels(expand(each.promql, grafana.BUILT_IN))
        assert each.named <= result, (each.where, each.named - result)


@every_dashboard
def test_tables_show_labels_and_columns_that_are_there(name: str) -> None:
    for where, panel, target in grafana.targets(DASHBOARDS[name]):
        if panel["type"] != "table":
            continue
        result = labels(expand(target["expr"], grafana.BUILT_IN))
        columns = set(re.findall(rf'"{COLUMN}", "([^"]+)"', target["expr"]))
        fields = (result - {COLUMN}) | columns
        (organize,) = (each for each in panel["transformations"] if each["id"] == "organize")
        options = organize["options"]
        shown = fields - set(options["excludeByName"])
        assert set(options["excludeByName"]) <= fields | {"Time"}, where
        assert set(options["indexByName"]) == shown, where
        assert set(options["renameByName"]) <= shown, where
        titles = {options["renameByName"].get(field, field) for field in shown}
        matchers = [override["matcher"] for override in panel["fieldConfig"]["overrides"]]
        named = {each["options"] for each in matchers if each["id"] == "byName"}
        assert named <= titles, where
        assert {each["displayName"] for each in panel["options"]["sortBy"]} <= titles, where


@every_dashboard
def test_colours_are_those_of_series_that_are_there(name: str) -> None:
    """An override by name is one of a legend, or of a status that a legend may become."""
    statuses = {"UNKNOWN", "LAUNCHING", "SCALING", "RUNNING", "CANCELLED", "FAILED", "FINISHED"}
    known = statuses | {"running", "ended", "ended_unscraped"}
    for panel in grafana.panels(DASHBOARDS[name]):
        legends = {target.get("legendFormat") for target in panel["targets"]}
        for override in panel["fieldConfig"]["overrides"]:
            if panel["type"] != "table" and override["matcher"]["id"] == "byName":
                assert override["matcher"]["options"] in legends | known, panel["title"]


@every_dashboard
def test_every_dashboard_leads_to_the_others(name: str) -> None:
    dashboard = DASHBOARDS[name]
    assert (dashboard["uid"], dashboard["tags"]) == (name, ["dli"])
    (link,) = dashboard["links"]
    assert (link["type"], link["tags"], link["asDropdown"]) == ("dashboards", ["dli"], True)
    assert link["includeVars"]
    assert link["keepTime"]


def data_links(value: Any) -> list[Json]:
    if isinstance(value, dict):
        own = [value] if "url" in value and "title" in value and "asDropdown" not in value else []
        return own + [link for part in value.values() for link in data_links(part)]
    return [link for part in value for link in data_links(part)] if isinstance(value, list) else []


def test_links_lead_to_dashboards_and_set_variables_that_are_there() -> None:
    links = [link for each in DASHBOARDS.values() for link in data_links(each["panels"])]
    assert links
    for link in links:
        match = re.fullmatch(r"/d/([\w-]+)\?(.+)", link["url"])
        assert match is not None, link
        known = {f"var-{name}" for name in grafana.variables(DASHBOARDS[match[1]])}
        assert set(re.findall(r"(var-\w+)=", match[2])) <= known
        assert "var-job_id" in match[2]


def test_rows_and_bars_of_all_jobs_lead_to_one_job() -> None:
    linked = {
        panel["title"] for panel in grafana.panels(DASHBOARDS["dli-jobs"]) if data_links(panel)
    }
    assert linked == {"All jobs", "Progress of running jobs"}


@every_dashboard
def test_what_dli_reports_is_never_shown_as_the_progress(name: str) -> None:
    assert list(reported_as_bar(DASHBOARDS[name])) == []
    for where, panel, _ in grafana.targets(DASHBOARDS[name]):
        reported = [t for t in panel["targets"] if "reported_progress" in t["expr"]]
        honest = [t for t in panel["targets"] if re.search(r"dli_job_progress_ratio", t["expr"])]
        assert bool(reported) <= bool(honest), where


@every_dashboard
def test_nothing_about_jobs_is_shown_once_for_each_exporter(name: str) -> None:
    gauges = {each.name for each in FAMILIES if {"project", "job_id"} <= set(each.labels)}
    for each in grafana.expressions(DASHBOARDS[name]):
        result = labels(expand(each.promql, grafana.BUILT_IN))
        if (
            not each.where.startswith("$")
            and metrics(expand(each.promql, grafana.BUILT_IN)) & gauges
        ):
            assert not result & {"job", "instance"}, each.where


Change = Callable[[Json], object]


def _first(dashboard: Json, kind: str) -> Json:
    found: Json = next(panel for panel in grafana.panels(dashboard) if panel["type"] == kind)
    return found


def _query(dashboard: Json, kind: str, promql: str) -> None:
    _first(dashboard, kind)["targets"][0]["expr"] = promql


ON = '{job=~"$job", instance=~"$instance"}'
BROKEN: dict[str, Change] = {
    "uneditable-dashboard": lambda it: it.update(editable=True),
    "no-export": lambda it: it.update(__inputs=[]),
    "no-undefined-variable": lambda it: it.update(description="$nobody"),
    "no-unused-variable": lambda it: it["templating"]["list"].append(
        {"name": "spare", "type": "custom"}
    ),
    "unique-panel-id": lambda it: _first(it, "stat").update(id=2),
    "unique-panel-title": lambda it: _first(it, "stat").update(title="Waiting"),
    "template-datasource-rule": lambda it: it["templating"]["list"].pop(0),
    "template-job-rule": lambda it: it["templating"]["list"][1].update(multi=False),
    "template-instance-rule": lambda it: it["templating"]["list"][2].update(allValue=".*"),
    "template-on-time-change-reload-rule": lambda it: it["templating"]["list"][1].update(refresh=1),
    "template-label-promql-rule": lambda it: it["templating"]["list"][1].update(
        definition="label_values(dli_up{, job)"
    ),
    "panel-title-description-rule": lambda it: _first(it, "table").update(description=""),
    "panel-datasource-rule": lambda it: _first(it, "table").update(datasource=None),
    "core-panels-only": lambda it: _first(it, "table").update(type="polystat-panel"),
    "panel-no-targets-rule": lambda it: _first(it, "table").update(targets=[]),
    "panel-units-rule": lambda it: _first(it, "table")["fieldConfig"]["defaults"].update(unit="no"),
    "no-value-text": lambda it: _first(it, "table")["fieldConfig"]["defaults"].pop("noValue"),
    "target-promql-rule": lambda it: _query(it, "table", "sum("),
    "target-job-rule": lambda it: _query(it, "table", 'dli_up{instance=~"$instance"}'),
    "target-instance-rule": lambda it: _query(it, "table", 'dli_up{job=~"$job"}'),
    "target-rate-interval-rule": lambda it: _query(it, "table", f"irate(dli_up{ON}[5m])"),
    "target-counter-agg-rule": lambda it: _query(it, "table", f"sum(dli_jobs_ended_total{ON})"),
}


@pytest.mark.parametrize("rule", BROKEN)
def test_the_lint_finds_what_breaks_a_rule(rule: str) -> None:
    dashboard = copy.deepcopy(DASHBOARDS["dli-jobs"])
    BROKEN[rule](dashboard)
    assert rule in {found for found, _ in lint(dashboard)}


def test_holes_overlaps_and_what_hangs_over_are_found() -> None:
    dashboard = copy.deepcopy(DASHBOARDS["dli-jobs"])
    dashboard["panels"][0]["gridPos"]["x"] += 1
    found = " ".join(holes(dashboard))
    assert "nothing at (0, 0)" in found
    assert "2 panels at (4, 0)" in found
    dashboard["panels"][-1]["gridPos"]["x"] += 1
    assert "outside: (24," in " ".join(holes(dashboard))


def test_a_bar_of_what_dli_reports_is_found() -> None:
    dashboard = copy.deepcopy(DASHBOARDS["dli-jobs"])
    _query(dashboard, "bargauge", f"dli_job_reported_progress_ratio{ON}")
    assert list(reported_as_bar(dashboard)) == ["Progress of running jobs A"]
