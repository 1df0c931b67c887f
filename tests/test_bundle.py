"""The command ``dashboards``: what it writes, and what it refuses."""

import json
import re
from pathlib import Path
from typing import Any

import _jsonnet as jsonnet  # type: ignore[import-untyped]  # no types come with it
import pytest
import yaml

from exporter.bundle import FILES, GRAFANA_URL, RUNBOOKS_URL
from exporter.cli import run

from .grafana import DASHBOARDS

ROOT = Path(__file__).parent.parent


def written(directory: Path) -> dict[str, str]:
    """Read everything under a directory, by its path in it."""
    return {
        str(path.relative_to(directory)): path.read_text(encoding="utf-8")
        for path in directory.rglob("*")
        if path.is_file()
    }


def write(directory: Path, *flags: str) -> dict[str, str]:
    assert run(["dashboards", "--out", str(directory), *flags]) == 0
    return written(directory)


def test_everything_is_written_as_the_checkout_has_it(tmp_path: Path) -> None:
    found = write(tmp_path / "deep" / "down")
    there = {name: (ROOT / source).read_text(encoding="utf-8") for name, source in FILES.items()}
    assert found == there


def test_every_dashboard_is_written(tmp_path: Path) -> None:
    names = {f"dashboards/{name}.json" for name in DASHBOARDS}
    assert {name for name in write(tmp_path) if name.startswith("dashboards/")} == names


def test_files_are_replaced_and_others_left_alone(tmp_path: Path) -> None:
    first = write(tmp_path)
    (tmp_path / "runbooks.md").write_text("mine", encoding="utf-8")
    (tmp_path / "dashboards" / "mine.json").write_text("{}", encoding="utf-8")
    assert write(tmp_path) == {**first, "dashboards/mine.json": "{}"}


def links(alerts: str, key: str) -> set[str]:
    rules = [rule for group in yaml.safe_load(alerts)["groups"] for rule in group["rules"]]
    found = {rule["annotations"][key] for rule in rules if "alert" in rule}
    assert found
    return found


def test_links_of_alerts_lead_where_they_are_told_to(tmp_path: Path) -> None:
    flags = ("--grafana.url=https://g.example/base/", "--runbooks.url=http://wiki:8080/dli")
    alerts = write(tmp_path, *flags)["prometheus/alerts.yml"]
    assert all(
        each.startswith("https://g.example/base/d/dli-") for each in links(alerts, "dashboard_url")
    )
    assert all(each.startswith("http://wiki:8080/dli#") for each in links(alerts, "runbook_url"))
    assert GRAFANA_URL not in alerts
    assert RUNBOOKS_URL not in alerts


def test_links_of_alerts_lead_to_dashboards_and_runbooks_that_are_written(tmp_path: Path) -> None:
    found = write(tmp_path)
    alerts, runbooks = found["prometheus/alerts.yml"], found["runbooks.md"]
    headings = {title.lower() for title in re.findall(r"^#+ (\w+)$", runbooks, re.MULTILINE)}
    for link in links(alerts, "runbook_url"):
        assert link.startswith(f"{RUNBOOKS_URL}#")
        assert link.removeprefix(f"{RUNBOOKS_URL}#") in headings
    for link in links(alerts, "dashboard_url"):
        match = re.match(rf"{re.escape(GRAFANA_URL)}/d/([\w-]+)(?:\?|$)", link)
        assert match is not None, link
        assert match[1] in DASHBOARDS


@pytest.mark.parametrize(
    ("flags", "line"),
    [
        ((), "the following arguments are required: --out"),
        (("--out",), "argument --out: expected one argument"),
        (("--out", "{dir}", "more"), "unexpected argument; see --help"),
        (("--out", "{dir}", "--grafana", "x"), "unexpected argument; see --help"),
        (
            ("--out", "{dir}", "--grafana.url", "https://grafana.example.com/?orgId=1"),
            "--grafana.url: must be an address such as https://grafana.example.com",
        ),
        (
            ("--out", "{dir}", "--grafana.url", "grafana"),
            "--grafana.url: must be an address such as https://grafana.example.com",
        ),
        (
            ("--out", "{dir}", "--runbooks.url", "https://x/{{ $labels.job }}"),
            "--runbooks.url: must be an address such as https://grafana.example.com",
        ),
        (("--out", "{dir}/file"), "--out: cannot write {dir}/file/dashboards/dli-jobs.json: "),
    ],
)
def test_a_mistake_is_one_line(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], flags: tuple[str, ...], line: str
) -> None:
    (tmp_path / "file").write_text("")
    here = str(tmp_path)
    assert run(["dashboards", *(flag.replace("{dir}", here) for flag in flags)]) == 2
    out, err = capsys.readouterr()
    assert out == ""
    assert err.startswith(f"dli-exporter dashboards: {line.replace('{dir}', here)}")
    assert err.count("\n") == 1
    assert written(tmp_path) == {"file": ""}


def test_a_file_that_cannot_take_its_place_leaves_no_half_of_it(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "mixin.libsonnet").mkdir()
    assert run(["dashboards", "--out", str(tmp_path)]) == 2
    assert "mixin.libsonnet: Is a directory" in capsys.readouterr().err
    assert not [name for name in written(tmp_path) if name.endswith(".tmp")]


def test_the_mixin_has_what_is_written(tmp_path: Path) -> None:
    found = write(tmp_path)
    fields = "{d: m.grafanaDashboards, a: m.prometheusAlerts, r: m.prometheusRules}"
    snippet = f"local m = import 'mixin.libsonnet'; {fields}"
    mixed = json.loads(jsonnet.evaluate_snippet("test", snippet, jpathdir=str(tmp_path)))
    assert mixed["d"] == {f"{name}.json": dashboard for name, dashboard in DASHBOARDS.items()}
    assert mixed["a"] == yaml.safe_load(found["prometheus/alerts.yml"])
    assert mixed["r"] == yaml.safe_load(found["prometheus/rules.yml"])
    assert mixed["a"]["groups"]
    assert mixed["r"]["groups"]


def test_a_mixin_shows_nothing_by_itself(tmp_path: Path) -> None:
    """As jsonnet users expect: everything is hidden until it is asked for."""
    write(tmp_path)
    whole = jsonnet.evaluate_snippet("test", "import 'mixin.libsonnet'", jpathdir=str(tmp_path))
    assert json.loads(whole) == {}


def provisioning(tmp_path: Path, name: str) -> Any:
    return yaml.safe_load(write(tmp_path)[f"provisioning/{name}/dli.yml"])


def test_grafana_is_told_to_read_the_dashboards_and_not_to_change_them(tmp_path: Path) -> None:
    (provider,) = provisioning(tmp_path, "dashboards")["providers"]
    assert (provider["type"], provider["allowUiUpdates"]) == ("file", False)
    assert provider["options"]["path"].startswith("/")


def test_grafana_is_told_where_prometheus_is(tmp_path: Path) -> None:
    (source,) = provisioning(tmp_path, "datasources")["datasources"]
    assert (source["type"], source["uid"], source["isDefault"]) == (
        "prometheus",
        "prometheus",
        True,
    )
