"""Objects against the API's schemas, and those of the operator's custom resources.

``operator.json`` has the fields of prometheus-operator's custom resources (its models, 6.0.0) as
far down as the manifests go; what is deeper may be anything.
"""

import json
from functools import cache
from pathlib import Path
from typing import Any, Final

import jsonschema
import kubernetes_validate  # type: ignore[import-untyped] # has no types

from .manifests import Object

VERSIONS: Final = ("1.33", "1.35", "1.37")
"""From the first with stable native sidecars on."""
OPERATOR: Final = "monitoring.coreos.com/v1"


def mistakes(of: Object, version: str) -> list[str]:
    """Say what a version of the API would refuse."""
    if of["apiVersion"] == OPERATOR:
        return _custom(of)
    try:
        kubernetes_validate.validate(dict(of), version, strict=True)
    except kubernetes_validate.ValidationError as error:
        return [f"{'.'.join(map(str, error.path))}: {error.message}"]
    return []


def _custom(of: Object) -> list[str]:
    validator = jsonschema.Draft202012Validator(_operator()[of["kind"]])
    return [
        f"spec.{error.json_path}: {error.message}" for error in validator.iter_errors(of["spec"])
    ]


@cache
def _operator() -> dict[str, Any]:
    schemas: dict[str, Any] = json.loads(
        Path(__file__).with_name("operator.json").read_text("utf-8")
    )
    return schemas
