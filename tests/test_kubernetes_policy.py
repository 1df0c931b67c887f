"""The judge of the manifests sees what is wrong with them."""

from copy import deepcopy
from typing import Any, Final

import pytest

from .kubernetes.policy import quantities, quantity, restricted, words
from .kubernetes.schemas import VERSIONS, mistakes

GOOD: Final[dict[str, Any]] = {
    "apiVersion": "v1",
    "kind": "Pod",
    "metadata": {"name": "good"},
    "spec": {
        "containers": [
            {
                "name": "app",
                "image": "app:1",
                "ports": [{"containerPort": 80, "protocol": "TCP"}],
                "resources": {
                    "requests": {"cpu": "10m", "memory": "64Mi"},
                    "limits": {"memory": "128Mi"},
                },
                "securityContext": {
                    "runAsNonRoot": True,
                    "runAsUser": 65532,
                    "allowPrivilegeEscalation": False,
                    "capabilities": {"drop": ["ALL"]},
                    "seccompProfile": {"type": "RuntimeDefault"},
                },
            }
        ],
        "volumes": [{"name": "tmp", "emptyDir": {}}],
    },
}
MONITOR: Final[dict[str, Any]] = {
    "apiVersion": "monitoring.coreos.com/v1",
    "kind": "PodMonitor",
    "metadata": {"name": "good"},
    "spec": {"selector": {}, "podMetricsEndpoints": [{"port": "http", "interval": "15s"}]},
}


def changed(of: dict[str, Any], path: str, value: object) -> dict[str, Any]:
    """Return an object with one value changed; None takes it away."""
    whole = deepcopy(of)
    *names, last = (int(name) if name.isdecimal() else name for name in path.split("."))
    inside: Any = whole
    for name in names:
        inside = inside[name]
    if value is None:
        del inside[last]
    else:
        inside[last] = value
    return whole


def test_what_is_right_is_not_refused() -> None:
    assert restricted(GOOD) == []
    assert quantities(GOOD) == []
    assert words(GOOD) == []
    for version in VERSIONS:
        assert mistakes(GOOD, version) == mistakes(MONITOR, version) == []


@pytest.mark.parametrize(
    ("path", "value"),
    [
        ("hostNetwork", True),
        ("volumes.0", {"name": "host", "hostPath": {"path": "/"}}),
        ("containers.0.securityContext", None),
        ("containers.0.securityContext.runAsNonRoot", None),
        ("containers.0.securityContext.runAsUser", 0),
        ("containers.0.securityContext.privileged", True),
        ("containers.0.securityContext.allowPrivilegeEscalation", None),
        ("containers.0.securityContext.capabilities.drop", ["NET_RAW"]),
        ("containers.0.securityContext.capabilities.add", ["SYS_ADMIN"]),
        ("containers.0.securityContext.seccompProfile.type", "Unconfined"),
        ("containers.0.securityContext.procMount", "Unmasked"),
        ("containers.0.ports.0.hostPort", 80),
        ("initContainers", [{"name": "bare"}]),
    ],
)
def test_what_is_not_restricted_is_found(path: str, value: object) -> None:
    assert restricted(changed(GOOD, f"spec.{path}", value))


@pytest.mark.parametrize(
    ("path", "value"),
    [
        ("requests.memory", "64MB"),
        ("requests.memory", "64 Mi"),
        ("requests.memory", "256Mi"),
        ("limits.memory", "128m"),
        ("limits.memory", "1e3"),
    ],
)
def test_a_wrong_quantity_is_found(path: str, value: object) -> None:
    assert quantities(changed(GOOD, f"spec.containers.0.resources.{path}", value))


def test_quantities_are_numbers() -> None:
    assert quantity("64Mi") == 64 * 2**20
    assert quantity("10m") * 100 == quantity(1)
    assert quantity("1.5G") == 15 * 10**8


@pytest.mark.parametrize(
    ("path", "value"), [("containers.0.ports.0.protocol", "tcp"), ("restartPolicy", "Forever")]
)
def test_a_word_that_no_api_knows_is_found(path: str, value: object) -> None:
    assert words(changed(GOOD, f"spec.{path}", value))


@pytest.mark.parametrize(
    ("of", "path", "value"),
    [
        (GOOD, "spec.containers.0.livenesProbe", {}),
        (GOOD, "spec.terminationGracePeriodSeconds", "120s"),
        (GOOD, "spec.containers", None),
        (MONITOR, "spec.podMetricsEndpoints.0.scrapeTimeOut", "10s"),
        (MONITOR, "spec.podMetricsEndpoints.0.interval", "30sec"),
        (MONITOR, "spec.bodySizeLimit", "32 megabytes"),
        (MONITOR, "spec.selector", None),
    ],
)
def test_what_a_schema_does_not_know_is_found(of: dict[str, Any], path: str, value: object) -> None:
    for version in VERSIONS:
        assert mistakes(changed(of, path, value), version)
