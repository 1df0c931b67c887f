"""The dashboards as they are committed, taken apart for the tests that prove them."""

import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, TypeAlias

Json: TypeAlias = dict[str, Any]

GRAFANA: Final = Path(__file__).parent.parent / "grafana"
FILES: Final = sorted((GRAFANA / "dashboards").glob("*.json"))

RATE_INTERVAL: Final = "8869990ms"
"""What stands for ``$__rate_interval`` where an expression is only parsed: nobody writes that."""
BUILT_IN: Final[Mapping[str, str]] = {
    "__rate_interval": RATE_INTERVAL,
    "__interval": "61s",
    "__range": "3h",
}


@dataclass(frozen=True)
class Expression:
    """An expression of a dashboard: where it stands, and the texts that name its labels."""

    where: str
    promql: str
    templates: tuple[str, ...] = ()

    @property
    def named(self) -> set[str]:
        """The labels that the templates name."""
        return set(re.findall(r"\{\{\s*(\w+)\s*\}\}", " ".join(self.templates)))


def read(path: Path) -> Json:
    """Read a dashboard."""
    content: Json = json.loads(path.read_text(encoding="utf-8"))
    return content


DASHBOARDS: Final[Mapping[str, Json]] = {path.stem: read(path) for path in FILES}
"""All of them, by the names of their files."""


def panels(dashboard: Json) -> Iterator[Json]:
    """Yield the panels that show something: no headings."""
    return (panel for panel in dashboard["panels"] if panel["type"] != "row")


def variables(dashboard: Json) -> dict[str, Json]:
    """Return the variables by name."""
    return {each["name"]: each for each in dashboard["templating"]["list"]}


def query_variables(dashboard: Json) -> Iterator[Json]:
    """Yield the variables whose values Prometheus is asked for."""
    return (each for each in variables(dashboard).values() if each["type"] == "query")


def targets(dashboard: Json) -> Iterator[tuple[str, Json, Json]]:
    """Yield each query of each panel: where it stands, the panel, the query."""
    for panel in panels(dashboard):
        for target in panel.get("targets", ()):
            yield f"{panel['title']} {target['refId']}", panel, target


def asked(definition: str) -> tuple[str, str | None]:
    """Return what a variable's query selects, and the label that is wanted of it if it is one."""
    match = re.fullmatch(r"label_values\((.+),\s*(\w+)\)", definition)
    if match:
        return match[1], match[2]
    match = re.fullmatch(r"query_result\((.+)\)", definition)
    assert match is not None, definition
    return match[1], None


def expressions(dashboard: Json) -> Iterator[Expression]:
    """Yield every expression of a dashboard: of panels, variables and annotations."""
    for where, _, target in targets(dashboard):
        yield Expression(where, target["expr"], (target.get("legendFormat", ""),))
    for variable in query_variables(dashboard):
        selector, label = asked(variable["definition"])
        yield Expression(f"${variable['name']}", selector, (f"{{{{{label}}}}}",) if label else ())
    for annotation in dashboard["annotations"]["list"]:
        texts = (annotation["titleFormat"], annotation["textFormat"])
        tags = annotation["tagKeys"].replace(",", "}} {{")
        yield Expression(annotation["name"], annotation["expr"], (*texts, f"{{{{{tags}}}}}"))


def used_variables(dashboard: Json) -> set[str]:
    """Return the names of all variables that a dashboard uses anywhere, Grafana's own included."""
    text = json.dumps({**dashboard, "templating": [*map(_asking, query_variables(dashboard))]})
    return {short or long for short, long in re.findall(r"\$(?:([A-Za-z_]\w*)|\{(\w+))", text)}


def _asking(variable: Json) -> Json:
    return {"definition": variable["definition"], "datasource": variable["datasource"]}


def python_pattern(regex: str) -> str:
    """Write a variable's regular expression, which is JavaScript's, as Python's."""
    return regex.strip("/").replace("(?<", "(?P<")
