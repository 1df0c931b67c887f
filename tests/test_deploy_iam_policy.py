"""The policy that an IAM user or agency of the exporter needs, and no more."""

import json
from pathlib import Path
from typing import Any, Final

import pytest

from exporter.dli.client import ENDPOINTS, JOBS, PROGRESS

FILE: Final = Path(__file__).parent.parent / "deploy" / "iam-policy.json"
ACTIONS: Final = {PROGRESS: "dli:jobs:get", JOBS: "dli:jobs:list"}
"""What the pages of the APIs name; to list the projects that one can reach needs none."""


@pytest.fixture
def policy() -> Any:
    if not FILE.is_file():
        pytest.skip("the installed wheel is tested, and the tree is not here")
    return json.loads(FILE.read_text(encoding="utf-8"))


def test_what_is_allowed_is_what_is_asked(policy: Any) -> None:
    (statement,) = policy["Statement"]
    assert statement["Effect"] == "Allow"
    assert sorted(statement["Action"]) == sorted(ACTIONS[endpoint] for endpoint in ENDPOINTS)


def test_nothing_else_is_in_it(policy: Any) -> None:
    assert policy.keys() == {"Version", "Statement"}
    assert policy["Statement"][0].keys() == {"Effect", "Action"}
