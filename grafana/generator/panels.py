"""What the panels of all dashboards have in common, and how they are laid out."""

from collections.abc import Mapping, Sequence
from typing import Final, Protocol, Self, TypeAlias, TypeVar

from grafana_foundation_sdk.builders import bargauge, stat, statetimeline, timeseries
from grafana_foundation_sdk.builders import common as build_common
from grafana_foundation_sdk.builders import dashboard as build
from grafana_foundation_sdk.builders.prometheus import Dataquery
from grafana_foundation_sdk.cog import variants
from grafana_foundation_sdk.cog.builder import Builder
from grafana_foundation_sdk.models import common
from grafana_foundation_sdk.models import dashboard as model
from grafana_foundation_sdk.models.prometheus import PromQueryFormat

SOURCE: Final = common.DataSourceRef(type_val="prometheus", uid="${datasource}")
DASHES: Final = {"fill": "dash", "dash": [10, 6]}
WIDTH: Final = 24
"""Columns of Grafana's grid."""

Steps: TypeAlias = Sequence[tuple[float | None, str]]
"""Colours by the value from which they hold; None is the least."""


class _Panel(Protocol):
    """What the builders of all types of panel can do."""

    def title(self, title: str) -> Self: ...
    def description(self, description: str) -> Self: ...
    def datasource(self, datasource: common.DataSourceRef) -> Self: ...
    def unit(self, unit: str) -> Self: ...
    def no_value(self, no_value: str) -> Self: ...
    def color_scheme(self, color: Builder[model.FieldColor]) -> Self: ...
    def thresholds(self, thresholds: Builder[model.ThresholdsConfig]) -> Self: ...
    def mappings(self, mappings: list[model.ValueMapping]) -> Self: ...
    def override_by_name(self, name: str, properties: list[model.DynamicConfigValue]) -> Self: ...
    def build(self) -> model.Panel: ...


P = TypeVar("P", bound=_Panel)


def query(expression: str, legend: str = "", ref: str = "A", *, now: bool = False) -> Dataquery:
    """Return a query over the range, or of its end only; ``legend`` names each series."""
    target = Dataquery().datasource(SOURCE).expr(expression).ref_id(ref)
    target = target.format(PromQueryFormat.TIME_SERIES).legend_format(legend or "__auto")
    return target.instant() if now else target.range()


def queries(lines: Mapping[str, str], *, now: bool = False) -> list[Builder[variants.Dataquery]]:
    """Return several queries, by their legends."""
    return [
        query(expression, legend, chr(ord("A") + number), now=now)
        for number, (legend, expression) in enumerate(lines.items())
    ]


def steps(colors: Steps) -> build.ThresholdsConfig:
    """Return absolute thresholds."""
    thresholds = [model.Threshold(value=value, color=color) for value, color in colors]
    return build.ThresholdsConfig().mode(model.ThresholdsMode.ABSOLUTE).steps(thresholds)


def words(meanings: Mapping[str, tuple[str, str]]) -> model.ValueMap:
    """Map numbers to a text and a colour, in this order."""
    return model.ValueMap(
        options={
            value: model.ValueMappingResult(text=text, color=color, index=index)
            for index, (value, (text, color)) in enumerate(meanings.items())
        }
    )


def instead(
    match: model.SpecialValueMatch, text: str, shade: str = "text"
) -> model.SpecialValueMap:
    """Map what is no value to a text."""
    result = model.ValueMappingResult(text=text, color=shade, index=99)
    options = model.DashboardSpecialValueMapOptions(match=match, result=result)
    return model.SpecialValueMap(options=options)


def color(mode: model.FieldColorModeId, fixed: str = "") -> build.FieldColor:
    """Return how a panel chooses its colours."""
    scheme = build.FieldColor().mode(mode)
    return scheme.fixed_color(fixed) if fixed else scheme


def override(panel: P, name: str, **properties: object) -> P:
    """Set properties of one field; ``__`` in their names stands for a dot."""
    values = [
        model.DynamicConfigValue(id_val=key.replace("__", "."), value=value)
        for key, value in properties.items()
    ]
    return panel.override_by_name(name, values)


def colored(panel: P, colors: Mapping[str, str]) -> P:
    """Give each line of a graph its own colour."""
    for name, fixed in colors.items():
        panel = override(panel, name, color={"mode": "fixed", "fixedColor": fixed})
    return panel


def base(panel: P, title: str, about: str, unit: str, nothing: str) -> P:
    """Set what every panel has: a title, what it shows, a unit, and words for nothing."""
    return panel.title(title).description(about).datasource(SOURCE).unit(unit).no_value(nothing)


def figure(
    title: str,
    about: str,
    expression: str,
    unit: str,
    *,
    nothing: str,
    colors: Steps = ((None, "text"),),
    missing: str = "text",
    meanings: Sequence[model.ValueMapping] = (),
    background: bool = False,
) -> stat.Panel:
    """Return one large figure, as it is at the end of the range.

    Where there is none, the words for that would have the colour of the least value, which may
    look well; they have the colour ``missing``.
    """
    none = instead(model.SpecialValueMatch.NULL, nothing, missing)
    mode = common.BigValueColorMode.BACKGROUND if background else common.BigValueColorMode.VALUE
    panel = base(stat.Panel(), title, about, unit, nothing)
    return (
        panel.color_mode(mode)
        .graph_mode(common.BigValueGraphMode.NONE)
        .reduce_options(_last())
        .thresholds(steps(colors))
        .color_scheme(color(model.FieldColorModeId.THRESHOLDS))
        .mappings([*meanings, none])
        .with_target(query(expression, now=True))
    )


def figures(
    title: str, about: str, expressions: Mapping[str, str], unit: str, *, nothing: str
) -> stat.Panel:
    """Return several figures with their names."""
    return (
        base(stat.Panel(), title, about, unit, nothing)
        .color_mode(common.BigValueColorMode.NONE)
        .graph_mode(common.BigValueGraphMode.NONE)
        .text_mode(common.BigValueTextMode.VALUE_AND_NAME)
        .reduce_options(_last())
        .text(build_common.VizTextDisplayOptions().title_size(14).value_size(28))
        .targets(queries(expressions, now=True))
    )


def bars(title: str, about: str, expression: str, legend: str, *, nothing: str) -> bargauge.Panel:
    """Return one progress bar for each series, with its name before it."""
    return (
        base(bargauge.Panel(), title, about, "percentunit", nothing)
        .min(0)
        .max(1)
        .decimals(0)
        .orientation(common.VizOrientation.HORIZONTAL)
        .display_mode(common.BarGaugeDisplayMode.BASIC)
        .value_mode(common.BarGaugeValueMode.TEXT)
        .name_placement(common.BarGaugeNamePlacement.LEFT)
        .show_unfilled(True)
        .sizing(common.BarGaugeSizing.MANUAL)
        .min_viz_height(20)
        .max_viz_height(28)
        .text(build_common.VizTextDisplayOptions().title_size(13).value_size(14))
        .reduce_options(_last())
        .thresholds(steps(((None, "blue"),)))
        .color_scheme(color(model.FieldColorModeId.THRESHOLDS))
        .with_target(query(expression, legend, now=True))
    )


def graph(
    title: str, about: str, lines: Mapping[str, str], unit: str, *, nothing: str = "No data"
) -> timeseries.Panel:
    """Return a graph of one or more expressions by their legends, from 0 on."""
    return (
        base(timeseries.Panel(), title, about, unit, nothing)
        .min(0)
        .line_width(2)
        .fill_opacity(8)
        .line_interpolation(common.LineInterpolation.STEP_AFTER)
        .show_points(common.VisibilityMode.NEVER)
        .color_scheme(color(model.FieldColorModeId.PALETTE_CLASSIC))
        .legend(_legend())
        .tooltip(
            build_common.VizTooltipOptions()
            .mode(common.TooltipDisplayMode.MULTI)
            .sort(common.SortOrder.DESCENDING)
        )
        .targets(queries(lines))
    )


def stacked(panel: timeseries.Panel) -> timeseries.Panel:
    """Stack the lines of a graph."""
    stacking = build_common.StackingConfig().mode(common.StackingMode.NORMAL).group("A")
    return panel.stacking(stacking).fill_opacity(50).line_width(1)


def dashed(panel: timeseries.Panel, *names: str) -> timeseries.Panel:
    """Draw lines to compare with: dashed, and not filled."""
    for name in names:
        panel = override(
            panel,
            name,
            custom__lineStyle=DASHES,
            custom__fillOpacity=0,
        )
    return panel


def timeline(
    title: str,
    about: str,
    expression: str,
    legend: str,
    meanings: model.ValueMap,
    *,
    nothing: str,
) -> statetimeline.Panel:
    """Return a row of states for each series."""
    return (
        base(statetimeline.Panel(), title, about, "short", nothing)
        .mappings([meanings])
        .fill_opacity(80)
        .line_width(0)
        .row_height(0.8)
        .show_value(common.VisibilityMode.AUTO)
        .merge_values(True)
        .color_scheme(color(model.FieldColorModeId.THRESHOLDS))
        .thresholds(steps(((None, "text"),)))
        .legend(_legend())
        .with_target(query(expression, legend))
    )


def _last() -> build_common.ReduceDataOptions:
    return build_common.ReduceDataOptions().calcs(["lastNotNull"])


def _legend() -> build_common.VizLegendOptions:
    return (
        build_common.VizLegendOptions()
        .display_mode(common.LegendDisplayMode.LIST)
        .placement(common.LegendPlacement.BOTTOM)
        .show_legend(True)
        .calcs([])
    )
