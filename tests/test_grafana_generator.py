"""The generator, and that the committed dashboards are what it makes."""

import json

import pytest
from grafana_foundation_sdk.cog.plugins import register_default_plugins
from grafana_foundation_sdk.models.dashboard import Dashboard

from grafana.generator import DASHBOARDS, DIRECTORY, text
from grafana.generator.frame import band
from grafana.generator.panels import figure

from . import grafana


def test_the_committed_dashboards_are_all_that_there_are() -> None:
    assert sorted(DASHBOARDS) == sorted(grafana.DASHBOARDS)


@pytest.mark.parametrize("name", DASHBOARDS)
def test_the_committed_dashboard_is_what_the_generator_makes(name: str) -> None:
    committed = (DIRECTORY / f"{name}.json").read_text(encoding="utf-8")
    assert text(DASHBOARDS[name]()) == committed, "run: python -m grafana.generator"


@pytest.mark.parametrize("name", DASHBOARDS)
def test_the_same_dashboard_is_the_same_text(name: str) -> None:
    assert text(DASHBOARDS[name]()) == text(DASHBOARDS[name]())


@pytest.mark.parametrize("name", DASHBOARDS)
def test_the_schema_has_every_field_that_is_used(name: str) -> None:
    """What the SDK does not know, it would lose."""
    register_default_plugins()
    written = text(DASHBOARDS[name]())
    assert json.loads(text(Dashboard.from_json(json.loads(written)))) == json.loads(written)


def test_panels_that_would_leave_a_hole_are_refused() -> None:
    panels = [figure("a", "b", "up", "short", nothing="") for _ in range(5)]
    with pytest.raises(ValueError, match="5 panels do not share 24 columns"):
        band(4, *panels)
