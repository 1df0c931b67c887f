"""The rules of Grafana's dashboard-linter, for panels of every type, and a few of our own.

The rules are named as https://github.com/grafana/dashboard-linter names them; that program
looks into graphs and figures only, and cannot be had without a Go tool chain.
"""

import re
from collections import Counter
from collections.abc import Iterator
from typing import Final, TypeAlias

import promql_parser as promql

from . import grafana
from .grafana import Json
from .promql import WrongPromql, expand, matched, metrics, parse, walk

Finding: TypeAlias = tuple[str, str]
"""The name of a rule, and where it is broken."""

CORE: Final = {"stat", "bargauge", "table", "timeseries", "state-timeline"}
SOURCE: Final = {"type": "prometheus", "uid": "${datasource}"}
UNITS: Final = {
    *("short", "percentunit", "bytes", "s", "dtdurations", "dateTimeFromNow", "reqps", "cps"),
}
"""Of the units that Grafana knows, those that are used."""
_OVER_TIME: Final = ("rate", "irate", "increase")


def lint(dashboard: Json) -> Iterator[Finding]:
    """Yield what is wrong with a dashboard."""
    yield from _whole(dashboard)
    for variable in dashboard["templating"]["list"]:
        yield from _variable(variable)
    yield from _scrape_variables(dashboard)
    for panel in grafana.panels(dashboard):
        yield from _panel(panel)
    for where, _, target in grafana.targets(dashboard):
        yield from _target(where, target)
    for annotation in dashboard["annotations"]["list"]:
        yield from _target(annotation["name"], annotation)


def _whole(dashboard: Json) -> Iterator[Finding]:
    if dashboard.get("editable") is not False:
        yield "uneditable-dashboard", "editable"
    for key in ("__inputs", "__requires", "id"):
        if key in dashboard:
            yield "no-export", key
    known = grafana.variables(dashboard)
    for name in grafana.used_variables(dashboard):
        if name not in known and not name.startswith("__"):
            yield "no-undefined-variable", name
    for name in known:
        if name not in grafana.used_variables(dashboard):
            yield "no-unused-variable", name
    for number, count in Counter(panel["id"] for panel in dashboard["panels"]).items():
        if count > 1:
            yield "unique-panel-id", str(number)
    titles = Counter((panel["type"], panel["title"]) for panel in dashboard["panels"])
    yield from (("unique-panel-title", str(title)) for title, count in titles.items() if count > 1)


def _variable(variable: Json) -> Iterator[Finding]:
    name = variable["name"]
    if variable["type"] != "query":
        return
    if variable["datasource"] != SOURCE:
        yield "template-datasource-rule", name
    if variable["refresh"] != 2:
        yield "template-on-time-change-reload-rule", name
    try:
        parse(expand(grafana.asked(variable["definition"])[0], grafana.BUILT_IN))
    except WrongPromql:
        yield "template-label-promql-rule", name


def _scrape_variables(dashboard: Json) -> Iterator[Finding]:
    found = grafana.variables(dashboard)
    source = found.get("datasource", {})
    if (source.get("type"), source.get("label")) != ("datasource", "Data source"):
        yield "template-datasource-rule", "datasource"
    for name in ("job", "instance"):
        wanted = {"type": "query", "label": name.title(), "multi": True, "allValue": ".+"}
        if not wanted.items() <= found.get(name, {}).items():
            yield f"template-{name}-rule", name


def _panel(panel: Json) -> Iterator[Finding]:
    title, defaults = panel.get("title"), panel["fieldConfig"]["defaults"]
    if not title or not panel.get("description"):
        yield "panel-title-description-rule", str(title)
    if panel.get("datasource") != SOURCE:
        yield "panel-datasource-rule", str(title)
    if panel["type"] not in CORE:
        yield "core-panels-only", str(title)
    if not panel.get("targets"):
        yield "panel-no-targets-rule", str(title)
    for unit in (defaults.get("unit"), *_units(panel)):
        if unit not in UNITS:
            yield "panel-units-rule", str(title)
    if not defaults.get("noValue"):
        yield "no-value-text", str(title)


def _units(panel: Json) -> Iterator[str]:
    for override in panel["fieldConfig"]["overrides"]:
        yield from (each["value"] for each in override["properties"] if each["id"] == "unit")


def _target(where: str, target: Json) -> Iterator[Finding]:
    if target["datasource"] != SOURCE:
        yield "panel-datasource-rule", where
    try:
        tree = parse(expand(target["expr"], grafana.BUILT_IN))
    except WrongPromql as error:
        yield "target-promql-rule", f"{where}: {error}"
        return
    for node, above in walk(tree):
        if isinstance(node, promql.VectorSelector):
            yield from _selector(where, node, above)
    if "$__rate_interval" not in target["expr"] and re.search(
        r"\b(?:i?rate|deriv)\(", target["expr"]
    ):
        yield "target-rate-interval-rule", where


def _selector(
    where: str, node: promql.VectorSelector, above: tuple[promql.Expr, ...]
) -> Iterator[Finding]:
    matchers = matched(node)
    for label in ("job", "instance"):
        if matchers.get(label) != f"${label}":
            yield f"target-{label}-rule", f"{where}: {node.name}"
    functions = [each.func.name for each in above if isinstance(each, promql.Call)]
    if str(node.name).endswith("_total") and not set(functions) & set(_OVER_TIME):
        yield "target-counter-agg-rule", f"{where}: {node.name}"
    if functions and functions[-1] in ("rate", "irate", "deriv"):
        span = above[-1].range.total_seconds() if hasattr(above[-1], "range") else 0
        if f"{round(span * 1000)}ms" != grafana.RATE_INTERVAL:
            yield "target-rate-interval-rule", where


def holes(dashboard: Json) -> Iterator[str]:
    """Yield the cells of the grid that no panel covers, or more than one."""
    places = [panel["gridPos"] for panel in dashboard["panels"]]
    covered = Counter(
        (x, y)
        for place in places
        for x in range(place["x"], place["x"] + place["w"])
        for y in range(place["y"], place["y"] + place["h"])
    )
    bottom = max(place["y"] + place["h"] for place in places)
    cells = {(x, y) for x in range(24) for y in range(bottom)}
    yield from (f"nothing at {cell}" for cell in sorted(cells - covered.keys()))
    yield from (f"outside: {cell}" for cell in sorted(covered.keys() - cells))
    yield from (f"{count} panels at {cell}" for cell, count in covered.items() if count > 1)


def reported_as_bar(dashboard: Json) -> Iterator[str]:
    """Yield where the progress that DLI reports would be taken for the truth."""
    for where, panel, target in grafana.targets(dashboard):
        names = metrics(expand(target["expr"], grafana.BUILT_IN))
        if any("reported" in name for name in names) and panel["type"] != "timeseries":
            yield where
