"""What the proofs need of the machine."""

import os
import shutil
from collections.abc import Callable
from importlib.util import find_spec
from typing import Final, NoReturn

import pytest

PACKAGES: Final = {
    "curl": "curl",
    "java": "openjdk-17-jre-headless",
    "prometheus": "prometheus",
    "promtool": "prometheus",
}
"""Debian's packages by program."""

Program = Callable[[str], str]


@pytest.fixture(scope="session")
def program() -> Program:
    """Find a program's path; where it is missing the test is skipped, or fails in CI."""

    def find(name: str) -> str:
        return shutil.which(name) or _missing(f"needs {name}: apt-get install {PACKAGES[name]}")

    return find


@pytest.fixture(scope="session")
def pyspark() -> None:
    """Require PySpark, as `program` does a program."""
    if find_spec("pyspark") is None:
        _missing("needs PySpark: .venv/bin/pip install -r tests/spark.lock")


def _missing(line: str) -> NoReturn:
    if os.environ.get("E2E_REQUIRE") == "1":
        pytest.fail(line, pytrace=False)
    pytest.skip(line)
