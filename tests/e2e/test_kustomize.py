"""The manifests as kustomize renders them: valid, restricted, and true about each other."""

import ast
import runpy
from collections.abc import Callable, Mapping
from functools import cache
from pathlib import Path
from typing import Any, Final

import pytest
import yaml

from exporter import __version__
from exporter.metrics.catalogue import FAMILIES
from exporter.settings import Settings, load

from ..kubernetes.manifests import (
    KUSTOMIZE,
    ROOT,
    Object,
    containers,
    only,
    pod,
    pods,
    render,
    sidecars,
    text,
)
from ..kubernetes.policy import quantities, restricted, words
from ..kubernetes.schemas import VERSIONS, mistakes
from .conftest import Program

WORKLOADS: Final = "../../tests/kubernetes/workloads"
KUSTOMIZATIONS: Final = (
    *("overlays/central", "overlays/sharded", "monitoring", WORKLOADS),
    *("examples/job", "examples/airflow", "examples/central"),
)
LAST_LOOK: Final = 10
"""Seconds that the exporter takes at most before it lingers."""
LARGEST: Final = 262_144
"""Bytes of an annotation, and so of an object that `kubectl apply` takes without --server-side."""

Render = Callable[[str], list[dict[str, Any]]]


@pytest.fixture(scope="session")
def rendered(program: Program) -> Render:
    """Render a kustomization, once."""
    kubectl = program("kubectl")
    return cache(lambda name: render(kubectl, KUSTOMIZE / name))


def test_every_kustomization_is_rendered_here() -> None:
    roots = {
        path.parent.relative_to(KUSTOMIZE).as_posix()
        for path in KUSTOMIZE.rglob("kustomization.yaml")
        if yaml.safe_load(path.read_text("utf-8"))["kind"] != "Component"
    }
    assert roots - {"base"} == set(KUSTOMIZATIONS) - {WORKLOADS}


@pytest.mark.parametrize("version", VERSIONS)
@pytest.mark.parametrize("name", KUSTOMIZATIONS)
def test_the_api_takes_every_object(rendered: Render, name: str, version: str) -> None:
    found = {each["kind"]: mistakes(each, version) for each in rendered(name)}
    assert found
    assert not any(found.values()), found


@pytest.mark.parametrize("name", KUSTOMIZATIONS)
def test_every_pod_is_restricted_and_its_resources_are_quantities(
    rendered: Render, name: str
) -> None:
    objects = rendered(name)
    assert [words(each) for each in objects if words(each)] == []
    for each in pods(objects):
        assert restricted(each) == []
        assert quantities(each) == []


# The sidecar


@pytest.mark.parametrize(
    ("name", "count"),
    [
        (WORKLOADS, 6),
        ("examples/job", 1),
        ("examples/airflow", 1),
        ("overlays/central", 0),
        ("overlays/sharded", 0),
        ("examples/central", 0),
    ],
)
def test_so_many_sidecars_are_put_in(rendered: Render, name: str, count: int) -> None:
    """Without its label a workload is left without one, and kustomize says nothing of it."""
    assert len(sidecars(rendered(name))) == count


def test_every_kind_of_workload_gets_the_same_sidecar(rendered: Render) -> None:
    objects = rendered(WORKLOADS)
    kinds = {each["kind"] for each in objects if sidecars([each])}
    assert kinds == {"Deployment", "StatefulSet", "DaemonSet", "Job", "CronJob", "Pod"}
    assert len(set(map(text, sidecars(objects)))) == 1


def test_a_workload_without_the_label_stays_as_it_is(rendered: Render) -> None:
    given = yaml.safe_load_all((ROOT / "tests/kubernetes/workloads/workloads.yaml").read_text())
    before = only(given, "Deployment", "unlabelled")
    assert only(rendered(WORKLOADS), "Deployment", "unlabelled") == before


@pytest.mark.parametrize(
    "kind", ["Deployment", "StatefulSet", "DaemonSet", "Job", "CronJob", "Pod"]
)
def test_the_sidecar_is_first_and_the_workload_keeps_what_it_had(
    rendered: Render, kind: str
) -> None:
    (found,) = (each for each in rendered(WORKLOADS) if each["kind"] == kind and sidecars([each]))
    inside = pod(found)
    assert inside is not None
    assert [each["name"] for each in containers(inside)] == ["dli-exporter", "migrate", "app"]
    volumes = {each["name"] for each in inside["spec"]["volumes"]}
    assert volumes == {"data", "dli-jobs", "dli-settings", "dli-credentials"}
    assert "dli-jobs" not in text(containers(inside)[1:])


def test_the_sidecar_neither_holds_up_nor_is_left_behind(rendered: Render) -> None:
    for each in pods(rendered(WORKLOADS))[:1]:
        (sidecar,) = (one for one in containers(each) if one["name"] == "dli-exporter")
        assert sidecar["restartPolicy"] == "Always"
        assert sidecar["startupProbe"]["httpGet"] == {"path": "/-/started", "port": "dli-metrics"}
        assert sidecar["livenessProbe"]["httpGet"] == {"path": "/-/healthy", "port": "dli-metrics"}
        assert "readinessProbe" not in sidecar
        assert "lifecycle" not in sidecar
        assert "cpu" not in sidecar["resources"]["limits"]


def test_the_sidecar_is_restricted_whatever_its_pod_says(rendered: Render) -> None:
    sidecar = sidecars(rendered(WORKLOADS))[0]
    assert restricted({"spec": {"containers": [sidecar]}}) == []
    assert sidecar["securityContext"]["readOnlyRootFilesystem"] is True


@pytest.mark.parametrize("name", [WORKLOADS, "overlays/central", "overlays/sharded"])
def test_lingering_fits_into_the_grace_period(rendered: Render, name: str) -> None:
    for each in pods(rendered(name)):
        if any(one["name"] == "dli-exporter" for one in containers(each)):
            grace = each["spec"]["terminationGracePeriodSeconds"]
            assert Settings().web.linger + LAST_LOOK + 5 < grace


def test_argo_gets_the_same_sidecar(rendered: Render) -> None:
    workflow = yaml.safe_load((KUSTOMIZE / "examples/argo/workflow.yaml").read_text("utf-8"))
    (template,) = workflow["spec"]["templates"]
    (wanted,) = {text(each): each for each in sidecars(rendered(WORKLOADS))}
    assert text(template["initContainers"][0]) == wanted
    wanted_volumes = pods(rendered("examples/airflow"))[0]["spec"]["volumes"]
    assert text(workflow["spec"]["volumes"]) == text(wanted_volumes)
    patch = yaml.safe_load(workflow["spec"]["podSpecPatch"])
    assert patch == {"terminationGracePeriodSeconds": 120}


# What is found by name


def selected(selector: Mapping[str, Any], labels: Mapping[str, str]) -> bool:
    assert selector.keys() == {"matchLabels"}
    return bool(selector["matchLabels"].items() <= labels.items())


@pytest.mark.parametrize("name", [WORKLOADS, "examples/job", "examples/airflow"])
def test_the_pod_monitor_finds_every_sidecar(rendered: Render, name: str) -> None:
    spec = only(rendered("monitoring"), "PodMonitor")["spec"]
    (endpoint,) = spec["podMetricsEndpoints"]
    for each in pods(rendered(name)):
        ports = [port["name"] for one in containers(each) for port in one.get("ports", ())]
        found = selected(spec["selector"], each["metadata"]["labels"])
        assert ports == ([endpoint["port"]] if found else [])


@pytest.mark.parametrize("name", ["overlays/central", "overlays/sharded", "examples/central"])
def test_scrapes_reach_the_central_exporter(rendered: Render, name: str) -> None:
    objects = rendered(name)
    (inside,) = pods(objects)
    labels = inside["metadata"]["labels"]
    service, monitor = only(objects, "Service"), only(objects, "ServiceMonitor")
    (port,), (endpoint,) = service["spec"]["ports"], monitor["spec"]["endpoints"]
    assert selected(monitor["spec"]["selector"], service["metadata"]["labels"])
    assert selected({"matchLabels": service["spec"]["selector"]}, labels)
    assert endpoint["port"] == port["name"]
    names = {each["name"] for each in inside["spec"]["containers"][0]["ports"]}
    assert port["targetPort"] in names
    policy = only(objects, "NetworkPolicy")["spec"]
    assert selected(policy["podSelector"], labels)
    assert policy["ingress"][0]["ports"][0]["port"] in names


@pytest.mark.parametrize("kind", ["PodMonitor", "ServiceMonitor"])
def test_a_scrape_of_all_that_is_allowed_is_not_refused(rendered: Render, kind: str) -> None:
    name = {"PodMonitor": "monitoring", "ServiceMonitor": "overlays/central"}[kind]
    spec = only(rendered(name), kind)["spec"]
    if kind == "ServiceMonitor":
        assert spec["sampleLimit"] > Settings().limits.series
    assert spec["labelLimit"] > max(len(family.labels) for family in FAMILIES) + 10 + 20
    (endpoint,) = spec["podMetricsEndpoints" if kind == "PodMonitor" else "endpoints"]
    seconds = {key: int(endpoint[key].removesuffix("s")) for key in ("interval", "scrapeTimeout")}
    assert seconds["scrapeTimeout"] < seconds["interval"]
    assert 3 * seconds["interval"] < Settings().web.linger


# The central exporter


def environment(of: Object) -> dict[str, str]:
    return {each["name"]: each.get("value", "1") for each in containers(of)[0].get("env", ())}


@pytest.mark.parametrize(
    "name", ["overlays/central", "overlays/sharded", "examples/central", "examples/job"]
)
def test_settings_are_read_without_a_mistake(rendered: Render, name: str, tmp_path: Path) -> None:
    objects = rendered(name)
    (inside,) = pods(objects)
    (found,) = (
        each["data"]
        for each in objects
        if each["kind"] == "ConfigMap" and "settings.yaml" in each["data"]
    )
    for key, content in found.items():
        (tmp_path / key).write_text(content, encoding="utf-8")
    exporter = containers(inside)[0]
    flags = [flag.replace("/etc/dli-exporter", str(tmp_path)) for flag in exporter["args"]]
    settings = load(flags, environment(inside))
    directories = {
        f"{each.credentials.directory}"  # type: ignore[union-attr] # the examples have files
        for each in settings.projects.values()
    }
    assert directories == mounted(inside, objects)


def mounted(inside: Object, objects: list[dict[str, Any]]) -> set[str]:
    """Return the directories of a pod in which there are an `ak` and an `sk`."""
    mounts = {each["name"]: each["mountPath"] for each in containers(inside)[0]["volumeMounts"]}
    found: set[str] = set()
    for volume in inside["spec"]["volumes"]:
        for source in volume.get("projected", {}).get("sources", ()):
            items = source["secret"].get("items", [{"path": "ak"}, {"path": "sk"}])
            paths = [Path(mounts[volume["name"]], item["path"]) for item in items]
            assert [path.name for path in paths] == ["ak", "sk"]
            found |= {str(path.parent) for path in paths}
    return found


def test_one_replica_is_replaced_without_a_gap(rendered: Render) -> None:
    objects = rendered("overlays/central")
    spec = only(objects, "Deployment")["spec"]
    assert spec["replicas"] == 1
    assert spec["strategy"]["rollingUpdate"] == {"maxSurge": 1, "maxUnavailable": 0}
    assert "PodDisruptionBudget" not in {each["kind"] for each in objects}


@pytest.mark.parametrize("name", ["overlays/central", "overlays/sharded"])
def test_the_exporter_has_no_token(rendered: Render, name: str) -> None:
    objects = rendered(name)
    assert only(objects, "ServiceAccount")["automountServiceAccountToken"] is False
    (inside,) = pods(objects)
    assert inside["spec"]["automountServiceAccountToken"] is False
    assert inside["spec"]["serviceAccountName"] == "dli-exporter"


def test_settings_and_keys_reach_a_running_exporter(rendered: Render) -> None:
    """What is mounted by subPath or named by a digest never changes in a pod."""
    objects = rendered("overlays/central")
    (inside,) = pods(objects)
    assert only(objects, "ConfigMap")["metadata"]["name"] == "dli-exporter"
    assert not any("subPath" in each for each in containers(inside)[0]["volumeMounts"])


def test_shards_are_as_many_as_replicas_and_numbered_by_the_pod(rendered: Render) -> None:
    objects = rendered("overlays/sharded")
    spec = only(objects, "StatefulSet")["spec"]
    assert spec["podManagementPolicy"] == "Parallel"
    assert "strategy" not in spec
    (inside,) = pods(objects)
    assert load([], environment(inside)).total_shards == spec["replicas"]
    (shard,) = (
        each for each in containers(inside)[0]["env"] if each["name"] == "DLI_EXPORTER_SHARD"
    )
    path = shard["valueFrom"]["fieldRef"]["fieldPath"]
    assert path == "metadata.labels['apps.kubernetes.io/pod-index']"
    service = only(objects, "Service")
    assert spec["serviceName"] == service["metadata"]["name"]
    assert service["spec"]["clusterIP"] == "None"
    assert only(objects, "PodDisruptionBudget")["spec"]["maxUnavailable"] == 1


def test_the_pod_is_the_same_alone_and_in_shards(rendered: Render) -> None:
    (one,), (other,) = (pods(rendered(f"overlays/{name}")) for name in ("central", "sharded"))
    given = dict(containers(other)[0])
    del given["env"]
    assert given == containers(one)[0]


def test_the_image_is_this_version(rendered: Render) -> None:
    images = {
        each["image"]
        for name in KUSTOMIZATIONS
        for inside in pods(rendered(name))
        for each in containers(inside)
        if each["name"] == "dli-exporter"
    }
    assert images == {f"dli-exporter:{__version__}"}


# What is made of other files


def test_the_rules_are_those_of_prometheus(rendered: Render) -> None:
    objects = [each for each in rendered("monitoring") if each["kind"] == "PrometheusRule"]
    made = {each["metadata"]["name"]: each["spec"] for each in objects}
    files = {
        f"dli-{path.stem}": yaml.safe_load(path.read_text("utf-8"))
        for path in (ROOT / "deploy/prometheus").glob("*.yml")
    }
    assert made == {name: content for name, content in files.items() if "groups" in content}
    assert "dli-alerts" in made


def test_the_rules_were_written_anew() -> None:
    """If this fails: `make manifests`."""
    written = runpy.run_path(str(KUSTOMIZE / "generate.py"))
    assert (KUSTOMIZE / "monitoring/prometheusrule.yaml").read_text("utf-8") == written[
        "manifests"
    ]()


def test_every_dashboard_is_a_config_map_that_grafana_finds(rendered: Render) -> None:
    made: dict[str, str] = {}
    for each in rendered("monitoring"):
        if each["kind"] == "ConfigMap":
            assert each["metadata"]["labels"]["grafana_dashboard"] == "1"
            assert len(text(each)) < LARGEST
            made |= each["data"]
    files = (ROOT / "grafana/dashboards").glob("*.json")
    assert made == {path.name: path.read_text("utf-8") for path in files}
    assert len(made) == 3


@pytest.mark.parametrize("path", sorted(KUSTOMIZE.rglob("*.py")), ids=lambda path: path.name)
def test_code_in_the_examples_is_python(path: Path) -> None:
    assert ast.get_docstring(ast.parse(path.read_text("utf-8")))
