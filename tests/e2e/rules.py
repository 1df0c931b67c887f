"""The rule files as they are shipped, and as a Prometheus of a test takes them."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

import yaml

DIRECTORY: Final = Path(__file__).parent.parent.parent / "deploy" / "prometheus"
FILES: Final = (DIRECTORY / "alerts.yml", DIRECTORY / "rules.yml")
Rule = dict[str, Any]


def rules() -> list[Rule]:
    """Read all rules, in their order."""
    contents = [yaml.safe_load(file.read_text(encoding="utf-8")) for file in FILES]
    return [rule for content in contents for group in content["groups"] for rule in group["rules"]]


ALERTS: Final[Mapping[str, Rule]] = {rule["alert"]: rule for rule in rules() if "alert" in rule}


def loaded(*files: Path, interval: str = "1s") -> dict[str, Any]:
    """Give the sections of Prometheus' configuration that evaluate rule files this often."""
    return {
        "global": {"evaluation_interval": interval},
        "rule_files": [str(file) for file in files or FILES],
    }
