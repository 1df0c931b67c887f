"""What the schemas do not see: the *restricted* Pod Security level, quantities, enumerations.

Sources: kubernetes.io, Pod Security Standards (restricted) and the API reference of v1.
"""

import re
from collections.abc import Iterator, Mapping
from decimal import Decimal
from typing import Any, Final

from .manifests import Object, containers, walk

_VOLUMES: Final = frozenset(
    {
        *("configMap", "csi", "downwardAPI", "emptyDir", "ephemeral"),
        *("persistentVolumeClaim", "projected", "secret"),
    }
)
_SECCOMP: Final = ("RuntimeDefault", "Localhost")
_QUANTITY: Final = re.compile(r"(\d+(?:\.\d+)?)(Ki|Mi|Gi|Ti|m|k|M|G|T)?")
_FACTORS: Final[Mapping[str | None, Decimal]] = {
    None: Decimal(1),
    "m": Decimal("0.001"),
    **{unit: Decimal(1000) ** power for power, unit in enumerate("kMGT", 1)},
    **{unit: Decimal(1024) ** power for power, unit in enumerate(("Ki", "Mi", "Gi", "Ti"), 1)},
}
_WORDS: Final[Mapping[str, frozenset[str]]] = {
    "concurrencyPolicy": frozenset({"Allow", "Forbid", "Replace"}),
    "imagePullPolicy": frozenset({"Always", "IfNotPresent", "Never"}),
    "operator": frozenset({"In", "NotIn", "Exists", "DoesNotExist"}),
    "podManagementPolicy": frozenset({"OrderedReady", "Parallel"}),
    "policyTypes": frozenset({"Ingress", "Egress"}),
    "protocol": frozenset({"TCP", "UDP", "SCTP"}),
    "restartPolicy": frozenset({"Always", "OnFailure", "Never"}),
    "scheme": frozenset({"HTTP", "HTTPS"}),
}


def restricted(pod: Object) -> list[str]:
    """Say in what a pod does not meet the restricted level."""
    spec = pod["spec"]
    shared = [name for name in ("hostNetwork", "hostPID", "hostIPC") if spec.get(name)]
    kinds = {kind for volume in spec.get("volumes", ()) for kind in volume if kind != "name"}
    found = [f"{name} is on" for name in shared]
    found += [f"volume of type {kind}" for kind in sorted(kinds - _VOLUMES)]
    around = spec.get("securityContext", {})
    for each in containers(pod):
        found += [f"{each['name']}: {wrong}" for wrong in _container(each, around)]
    return found


def _container(container: Object, around: Mapping[str, Any]) -> Iterator[str]:
    own = container.get("securityContext", {})
    both = {**around, **own}
    capabilities = own.get("capabilities", {})
    if own.get("privileged"):
        yield "is privileged"
    if own.get("allowPrivilegeEscalation") is not False:
        yield "may escalate its privileges"
    if both.get("runAsNonRoot") is not True or both.get("runAsUser") == 0:
        yield "may run as root"
    if both.get("seccompProfile", {}).get("type") not in _SECCOMP:
        yield "has no seccomp profile"
    if capabilities.get("drop") != ["ALL"] or set(capabilities.get("add", ())) - {
        "NET_BIND_SERVICE"
    }:
        yield "has capabilities"
    if own.get("procMount", "Default") != "Default":
        yield "has an unmasked /proc"
    if any(port.get("hostPort") for port in container.get("ports", ())):
        yield "has a port of the host"


def quantity(written: object) -> Decimal:
    """Read a quantity; ValueError if it is none."""
    found = _QUANTITY.fullmatch(str(written))
    if found is None:
        raise ValueError(written)
    return Decimal(found[1]) * _FACTORS[found[2]]


def quantities(pod: Object) -> list[str]:
    """Say which resources of a pod are missing, none, or less as a limit than as a request."""
    found = []
    for container in containers(pod):
        given = container.get("resources", {})
        name = container["name"]
        try:
            asked, most = (
                {key: quantity(value) for key, value in given.get(part, {}).items()}
                for part in ("requests", "limits")
            )
        except ValueError as error:
            found.append(f"{name}: {error} is no quantity")
            continue
        found += [
            f"{name}: limits less {key} than it requests"
            for key in asked.keys() & most.keys()
            if most[key] < asked[key]
        ]
        found += [
            f"{name}: {key} in thousandths of a byte"
            for part in given.values()
            for key, value in part.items()
            if key != "cpu" and str(value).endswith("m")
        ]
    return found


def words(of: Object) -> list[str]:
    """Say which words of an object are none of those that the API knows."""
    return [
        f"{'.'.join(path)}: {value}"
        for path, value in walk(of)
        if path and isinstance(value, str) and value not in _WORDS.get(path[-1], {value})
    ]
