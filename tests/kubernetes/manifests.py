"""Kubernetes objects, rendered by kustomize, and the pods that are in them."""

import json
import subprocess
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any, Final

import yaml

Object = Mapping[str, Any]

ROOT: Final = Path(__file__).parents[2]
KUSTOMIZE: Final = ROOT / "deploy/kustomize"
SIDECAR: Final = "dli-exporter"


def render(kubectl: str, directory: Path) -> list[dict[str, Any]]:
    """Return the objects that a kustomization makes; fail as kustomize does."""
    command = (kubectl, "kustomize", str(directory))
    done = subprocess.run(command, capture_output=True, text=True, check=False)  # noqa: S603 - the program under test
    assert done.returncode == 0, done.stderr
    assert not done.stderr, done.stderr
    return [each for each in yaml.safe_load_all(done.stdout) if each]


def only(objects: Iterable[Object], kind: str, name: str | None = None) -> dict[str, Any]:
    """Return the one object of a kind, and of a name if it is given."""
    (found,) = [
        each
        for each in objects
        if each["kind"] == kind and name in (None, each["metadata"]["name"])
    ]
    return dict(found)


def pod(of: Object) -> Object | None:
    """Return the pod (``metadata`` and ``spec``) that an object makes; None if it makes none."""
    within: Any = of
    if of["kind"] == "CronJob":
        within = of["spec"]["jobTemplate"]
    if of["kind"] != "Pod":
        within = within.get("spec", {}).get("template")
    return within if within and "containers" in within.get("spec", {}) else None


def pods(objects: Iterable[Object]) -> list[Object]:
    """Return the pods that objects make."""
    return [found for each in objects if (found := pod(each)) is not None]


def containers(of: Object) -> list[Object]:
    """Return all containers of a pod, in the order in which they start."""
    return [*of["spec"].get("initContainers", ()), *of["spec"]["containers"]]


def sidecars(objects: Iterable[Object]) -> list[Object]:
    """Return the exporters that were put into pods."""
    return [
        each
        for found in pods(objects)
        for each in found["spec"].get("initContainers", ())
        if each["name"] == SIDECAR
    ]


def text(value: object) -> str:
    """Write an object in one way, to compare it."""
    return json.dumps(value, sort_keys=True)


def walk(value: Any, path: tuple[str, ...] = ()) -> Iterator[tuple[tuple[str, ...], Any]]:
    """Yield every mapping, list and scalar of an object with the names that lead to it."""
    yield path, value
    if isinstance(value, Mapping):
        for key, each in value.items():
            yield from walk(each, (*path, str(key)))
    elif isinstance(value, list):
        for each in value:
            yield from walk(each, path)
