"""The README is true."""

import re
from pathlib import Path

import pytest
import yaml

from exporter.cli import COMMANDS
from exporter.metrics.catalogue import FAMILIES, table
from exporter.settings import load

ROOT = Path(__file__).parent.parent
README = (ROOT / "README.md").read_text(encoding="utf-8")


def blocks(language: str) -> list[str]:
    return re.findall(rf"^```{language}\n(.*?)^```", README, re.DOTALL | re.MULTILINE)


def test_metric_table_is_the_catalogue() -> None:
    shown = re.search(r"<!-- catalogue.*?-->\n(.*?)\n<!-- end", README, re.DOTALL)
    assert shown is not None
    assert shown[1].strip() == table()


def test_every_metric_named_is_in_the_catalogue() -> None:
    names = set(re.findall(r"\bdli_[a-z_]+[a-z]\b(?!_)", README))
    assert names <= {family.name for family in FAMILIES}


def test_every_command_is_in_the_table() -> None:
    commands = set(re.findall(r"`dli-exporter ([a-z]+)(?: ID| --out DIR)?` \|", README))
    commands |= set(re.findall(r"or `dli-exporter ([a-z]+)` \|", README))
    assert commands == {*COMMANDS, "register", "dashboards"}


def test_settings_shown_are_settings(tmp_path: Path) -> None:
    (shown,) = (block for block in blocks("yaml") if "projects:" in block)
    file = tmp_path / "settings.yaml"
    file.write_text(shown, encoding="utf-8")
    settings = load(["--config.file", str(file)], {})
    assert settings.projects["prod"].discovery.enabled
    assert set(yaml.safe_load(shown)) <= set(type(settings).model_fields)


def test_layout_is_the_tree() -> None:
    (shown,) = (block for block in blocks("text") if block.startswith("exporter/"))
    named = set(re.findall(r"^  ([a-z_]+(?:\.py|/))", shown, re.MULTILINE))
    package = ROOT / "exporter"
    if not package.is_dir():
        pytest.skip("the installed wheel is tested, and the tree is not here")
    there = {path.name for path in package.glob("*.py")} - {"__init__.py"}
    there |= {f"{path.parent.name}/" for path in package.glob("*/__init__.py")}
    assert named == there
