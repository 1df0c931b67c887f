"""The compose file as data: what it promises of every container, and that all files fit."""

import json
import re
from pathlib import Path
from typing import Any, Final

import pytest
import yaml

from exporter import simulator
from exporter.settings import load

ROOT: Final = Path(__file__).parent.parent
COMPOSE: Final = ROOT / "deploy/compose"
GRAFANA: Final = ROOT / "grafana"


def parsed(path: Path) -> Any:
    return yaml.safe_load(path.read_text(encoding="utf-8"))


SERVICES: Final[dict[str, dict[str, Any]]] = parsed(COMPOSE / "compose.yaml")["services"]
every_service = pytest.mark.parametrize("service", SERVICES.values(), ids=SERVICES)


def mounts(service: dict[str, Any]) -> dict[str, Path]:
    """Give the files and directories that are mounted, by where."""
    pairs = [each.split(":") for each in service.get("volumes", [])]
    return {
        target: (COMPOSE / source).resolve() for source, target, *_ in pairs if source[0] == "."
    }


@every_service
def test_a_container_can_do_no_more_than_it_has_to(service: dict[str, Any]) -> None:
    assert service["read_only"] is True
    assert service["cap_drop"] == ["ALL"]
    assert service["security_opt"] == ["no-new-privileges"]
    assert re.fullmatch(r"\d+m", service["mem_limit"])
    assert all(port.startswith("127.0.0.1:") for port in service.get("ports", []))


@every_service
def test_an_image_is_of_one_version_and_can_be_another(service: dict[str, Any]) -> None:
    assert re.fullmatch(r"\$\{[A-Z_]+_IMAGE:-[a-z./-]+:(?!latest)[a-z0-9.-]+\}", service["image"])


@every_service
def test_a_container_says_whether_it_is_well(service: dict[str, Any]) -> None:
    assert service["healthcheck"]["test"][0] == "CMD"


@every_service
def test_what_is_mounted_is_there_and_cannot_be_changed(service: dict[str, Any]) -> None:
    assert all(source.exists() for source in mounts(service).values())
    assert all(each.endswith(":ro") for each in service.get("volumes", []) if each[0] == ".")


def test_the_exporter_knows_the_simulators_project_and_key() -> None:
    project = simulator.demo_project(load([], {}).simulator.seed, "default")
    mounted = mounts(SERVICES["exporter"])
    watched = load([f"--config.file={COMPOSE / 'dli-exporter.yaml'}"], {}).projects["default"]
    keys = mounted[watched.credentials.model_dump(mode="json")["directory"]]
    assert watched.project_id == project.id
    for name, secret in {"ak": project.ak, "sk": project.sk}.items():
        assert (keys / name).read_text(encoding="utf-8").strip() == secret


def test_prometheus_reads_the_rules_and_scrapes_what_there_is() -> None:
    config = parsed(COMPOSE / "prometheus.yml")
    mounted = mounts(SERVICES["prometheus"])
    assert {f"/etc/prometheus/{name}" for name in config["rule_files"]} < set(mounted)
    groups = [job["static_configs"] for job in config["scrape_configs"]]
    groups += [each["static_configs"] for each in config["alerting"]["alertmanagers"]]
    targets = {target for group in groups for each in group for target in each["targets"]}
    named = {target.partition(":")[0] for target in targets}
    assert named - {"localhost"} == {"exporter", "alertmanager"}


def test_grafana_finds_its_dashboards_and_prometheus() -> None:
    grafana = SERVICES["grafana"]
    mounted = mounts(grafana)
    (provider,) = parsed(GRAFANA / "provisioning/dashboards/dli.yml")["providers"]
    (source,) = parsed(GRAFANA / "provisioning/datasources/dli.yml")["datasources"]
    assert mounted["/etc/grafana/provisioning"] == GRAFANA / "provisioning"
    directory = mounted[provider["options"]["path"]]
    assert {json.loads(file.read_text())["uid"] for file in directory.glob("*.json")} == {
        "dli-exporter",
        "dli-job",
        "dli-jobs",
    }
    home = Path(grafana["environment"]["GF_DASHBOARDS_DEFAULT_HOME_DASHBOARD_PATH"])
    assert str(home.parent) == provider["options"]["path"]
    assert (directory / home.name).is_file()
    assert source["url"] == "http://prometheus:9090"
