"""Tables of one query each, and how their cells look."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Final

from grafana_foundation_sdk.builders import common as build_common
from grafana_foundation_sdk.builders import table
from grafana_foundation_sdk.models import common
from grafana_foundation_sdk.models import dashboard as model

from .panels import base, color, instead, override, query, steps
from .queries import COLUMN

_NOT_KNOWN: Final = "-"
"""What a cell shows that has no value, or one that is not a number."""
_UNKNOWN: Final = instead(model.SpecialValueMatch.NULL_AND_NAN, _NOT_KNOWN)


def grid(
    title: str,
    about: str,
    expression: str,
    order: Sequence[str],
    renamed: Mapping[str, str],
    *,
    nothing: str,
    sort: Iterable[tuple[str, bool]],
    without: Sequence[str] = (),
) -> table.Panel:
    """Return a table of one query: a row for each set of labels, a column for each value.

    The label `COLUMN` of the expression says which column a value belongs in. One query can
    neither fail in part nor come back empty in part, which tables of several do not survive.
    ``sort`` has the columns to sort by, and whether from the greatest on; the labels of
    ``without`` are not shown.
    """
    return (
        base(table.Panel(), title, about, "short", nothing)
        .color_scheme(color(model.FieldColorModeId.THRESHOLDS))
        .thresholds(steps(((None, "text"),)))
        .with_target(query(expression, now=True))
        .transformations(_rows(order, renamed, without))
        .override_by_regexp("/.*/", [model.DynamicConfigValue(id_val="noValue", value=_NOT_KNOWN)])
        .cell_height(common.TableCellHeight.SM)
        .sort_by(
            [
                build_common.TableSortByFieldState().display_name(name).desc(desc)
                for name, desc in sort
            ]
        )
    )


def _rows(
    order: Sequence[str], renamed: Mapping[str, str], without: Sequence[str]
) -> list[model.DataTransformerConfig]:
    """Return what makes rows of series: one field for each label and column, then one frame."""
    return [
        model.DataTransformerConfig(
            id_val="labelsToFields", options={"mode": "columns", "valueLabel": COLUMN}
        ),
        model.DataTransformerConfig(id_val="merge", options={}),
        model.DataTransformerConfig(
            id_val="organize",
            options={
                "excludeByName": dict.fromkeys(("Time", *without), True),
                "indexByName": {name: index for index, name in enumerate(order)},
                "renameByName": dict(renamed),
            },
        ),
    ]


def state(panel: table.Panel, name: str, meanings: model.ValueMap) -> table.Panel:
    """Show a column's numbers as words on their colours."""
    look = {"type": "color-background", "mode": "basic"}
    panel = override(panel, name, mappings=[meanings], custom__cellOptions=look)
    return override(panel, name, custom__align="center", custom__width=110)


def ratio(panel: table.Panel, name: str) -> table.Panel:
    """Show a column as progress bars."""
    return override(
        panel,
        name,
        unit="percentunit",
        decimals=0,
        min=0,
        max=1,
        thresholds=_thresholds((None, "blue")),
        custom__cellOptions={"type": "gauge", "mode": "basic", "valueDisplayMode": "text"},
        custom__width=180,
    )


def moments(panel: table.Panel, *names: str) -> table.Panel:
    """Show columns of Unix milliseconds as the time from now."""
    for name in names:
        panel = override(
            panel, name, unit="dateTimeFromNow", mappings=[_UNKNOWN], custom__width=130
        )
    return panel


def trouble(panel: table.Panel, *names: str) -> table.Panel:
    """Show columns of counts that ought to be 0."""
    for name in names:
        panel = override(
            panel,
            name,
            thresholds=_thresholds((None, "text"), (1, "orange")),
            custom__cellOptions={"type": "color-text"},
            custom__width=110,
        )
    return panel


def linked(panel: table.Panel, link: dict[str, object], *names: str) -> table.Panel:
    """Let columns lead somewhere."""
    for name in names:
        panel = override(panel, name, links=[link])
    return panel


def wide(panel: table.Panel, widths: Mapping[str, int]) -> table.Panel:
    """Set the widths of columns, in pixels; the others share what is left."""
    for name, width in widths.items():
        panel = override(panel, name, custom__width=width)
    return panel


def _thresholds(*colors: tuple[float | None, str]) -> dict[str, object]:
    shown = [{"value": value, "color": color} for value, color in colors]
    return {"mode": "absolute", "steps": shown}
