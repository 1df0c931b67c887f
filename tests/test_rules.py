"""Alerts and rules are well-formed, name only what there is, and are each tested and explained."""

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final
from urllib.parse import parse_qs, urlsplit

import pytest
import yaml

from exporter.dli.errors import AuthenticationFailed, Forbidden, leaves

from .grafana import DASHBOARDS, variables
from .promql import KNOWN, Known, labels, matched, selectors

DIRECTORY: Final = Path(__file__).parent.parent / "deploy" / "prometheus"
RUNBOOKS: Final = (DIRECTORY / "runbooks.md").read_text(encoding="utf-8")
RUNBOOK_URL: Final = (
    "https://github.com/dli-exporter/dli-exporter/blob/main/deploy/prometheus/runbooks.md"
)
SHARDS: Final = ("dli_exporter_shard_ordinal", "dli_exporter_total_shards")
Rule = dict[str, Any]


def rules(file: str) -> list[Rule]:
    """Read the rules of a file, in their order."""
    groups = yaml.safe_load((DIRECTORY / file).read_text(encoding="utf-8"))["groups"]
    return [rule for group in groups for rule in group["rules"]]


FILES: Final = {file: rules(file) for file in ("alerts.yml", "rules.yml")}
ALERTS: Final = {rule["alert"]: rule for rule in FILES["alerts.yml"] if "alert" in rule}
RECORDED: Final = [rule for file in FILES.values() for rule in file if "record" in rule]
PARTS: Final = ("Means", "Look", "Do")


def known(rules: list[Rule]) -> Known:
    """Return the catalogue and what these rules record.

    Shards run in Kubernetes, where a target may have a namespace.
    """
    found = {**KNOWN, **{name: KNOWN[name] | {"namespace"} for name in SHARDS}}
    for rule in rules:
        if "record" in rule:
            found[rule["record"]] = labels(rule["expr"], found)
    return found


def section(alert: str) -> str:
    """Return what the runbooks say of an alert."""
    found = re.search(rf"^## {alert}\n(.*?)(?=^## |\Z)", RUNBOOKS, re.DOTALL | re.MULTILINE)
    assert found is not None, f"runbooks.md has no section {alert}"
    return found[1]


def templated(alert: str) -> set[str]:
    """Return the labels that the texts of an alert name."""
    return set(re.findall(r"\$labels\.(\w+)", " ".join(ALERTS[alert]["annotations"].values())))


def proofs() -> Iterator[tuple[str, bool]]:
    """Yield for each proof of promtool which alert it is about, and whether it must fire."""
    for file in DIRECTORY.glob("tests/*.yml"):
        for test in yaml.safe_load(file.read_text(encoding="utf-8"))["tests"]:
            for proof in test.get("alert_rule_test", ()):
                yield proof["alertname"], bool(proof["exp_alerts"])


@pytest.mark.parametrize("file", FILES)
def test_expressions_name_what_there_is_and_need_no_other_file(file: str) -> None:
    for rule in FILES[file]:
        assert labels(rule["expr"], known(FILES[file])) >= set()


def test_no_two_rules_have_one_name() -> None:
    names = [*ALERTS, *(rule["record"] for rule in RECORDED)]
    assert len(names) == len(set(names)) == sum(map(len, FILES.values()))


@pytest.mark.parametrize("rule", RECORDED, ids=lambda rule: str(rule["record"]))
def test_recorded_series_are_named_by_level_metric_and_operation(rule: Rule) -> None:
    level, metric, operation = rule["record"].split(":")
    assert operation
    assert re.fullmatch(r"dli_[a-z_]+", metric)
    given = labels(rule["expr"], known(FILES["alerts.yml"]))
    assert any(level == "_".join(some) for some in starts(level, given)), given


def starts(level: str, given: frozenset[str]) -> Iterator[tuple[str, ...]]:
    """Yield the ways to begin a level with labels that there are."""
    yield ()
    for label in given:
        if level == label or level.startswith(f"{label}_"):
            rest = level[len(label) + 1 :]
            yield from ((label, *others) for others in starts(rest, given - {label}))


@pytest.mark.parametrize("alert", ALERTS)
def test_an_alert_says_how_bad_it_is_and_where_to_go_on(alert: str) -> None:
    rule = ALERTS[alert]
    assert re.fullmatch(r"DLI([A-Z][a-z]+)+", alert)
    assert set(rule["labels"]) == {"severity"}
    assert rule["labels"]["severity"] in ("critical", "warning", "info")
    wanted = {"summary", "description", "runbook_url", "dashboard_url"}
    assert set(rule["annotations"]) == wanted
    assert re.fullmatch(r"[A-Z][^{}]+\.", rule["annotations"]["summary"])
    assert rule["annotations"]["description"].endswith((".", "{{ end }}."))


@pytest.mark.parametrize("alert", ALERTS)
def test_the_texts_of_an_alert_name_labels_that_it_has(alert: str) -> None:
    given = labels(ALERTS[alert]["expr"], known(FILES["alerts.yml"]))
    assert templated(alert)
    assert templated(alert) <= given


@pytest.mark.parametrize("alert", ALERTS)
def test_a_dashboard_that_exists_shows_what_an_alert_is_about(alert: str) -> None:
    url = urlsplit(re.sub(r"\{\{.*?\}\}", "x", ALERTS[alert]["annotations"]["dashboard_url"]))
    assert (url.scheme, url.netloc) == ("https", "grafana.example.com")
    dashboard = DASHBOARDS[url.path.removeprefix("/d/")]
    chosen = {name.removeprefix("var-") for name in parse_qs(url.query, strict_parsing=True)}
    assert chosen <= set(variables(dashboard))


@pytest.mark.parametrize("alert", ALERTS)
def test_a_runbook_explains_an_alert(alert: str) -> None:
    assert ALERTS[alert]["annotations"]["runbook_url"] == f"{RUNBOOK_URL}#{alert.lower()}"
    assert tuple(re.findall(r"^\*\*(\w+)\.\*\*", section(alert), re.MULTILINE)) == PARTS


def test_no_runbook_is_left_over() -> None:
    assert re.findall(r"^## (.+)", RUNBOOKS, re.MULTILINE) == [*ALERTS]


def test_queries_of_runbooks_name_what_there_is() -> None:
    there = known(FILES["alerts.yml"] + FILES["rules.yml"])
    blocks = re.findall(r"^```promql\n(.*?)^```", RUNBOOKS, re.DOTALL | re.MULTILINE)
    queries = [line for block in blocks for line in block.splitlines()]
    assert len(queries) > 10
    for query in queries:
        labels(query, there)
    named = set(re.findall(r"\b(?:project\w*:)?dli_[a-z_:0-9]+[a-z]\b", RUNBOOKS))
    assert named <= set(there)


@pytest.mark.parametrize("fires", [True, False], ids=["fires", "is silent"])
@pytest.mark.parametrize("alert", ALERTS)
def test_promtool_proves_that_an_alert(alert: str, fires: bool) -> None:
    assert (alert, fires) in set(proofs())


def test_no_proof_is_about_an_alert_that_is_gone() -> None:
    assert {alert for alert, _ in proofs()} == set(ALERTS)


@pytest.mark.parametrize("alert", [alert for alert in ALERTS if alert.startswith("DLIJob")])
def test_an_alert_about_jobs_is_one_whoever_shows_them(alert: str) -> None:
    """Of all, only the one about jobs that an exporter turns away is about that exporter."""
    given = labels(ALERTS[alert]["expr"], known(FILES["alerts.yml"]))
    assert ("instance" in given) == (alert == "DLIJobsNotWatched")


def test_every_reason_that_a_credential_is_refused_for_is_one_of_failing_credentials() -> None:
    (reasons,) = {
        matched(each)["reason"]
        for each in selectors(ALERTS["DLICredentialsFailing"]["expr"])
        if "reason" in matched(each)
    }
    refusals = {leaf.reason for leaf in leaves(AuthenticationFailed)} | {Forbidden.reason}
    assert set(reasons.split("|")) == refusals


def test_no_alert_needs_the_scrape_job_to_have_some_name() -> None:
    for rule in [*ALERTS.values(), *RECORDED]:
        for selector in selectors(rule["expr"]):
            assert not {"job", "instance"} & set(matched(selector)), rule
