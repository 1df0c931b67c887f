"""What the proofs need of the machine."""

import os
import shutil
from collections.abc import Callable
from importlib.util import find_spec
from typing import Final, NoReturn

import pytest

from . import containers
from .gallery import RENDER

PACKAGES: Final = {
    "amtool": "prometheus-alertmanager",
    "buildah": "buildah",
    "catatonit": "catatonit",
    "chromedriver": "chromium-driver",
    "chromium": "chromium",
    "curl": "curl",
    "iptables": "iptables",
    "java": "openjdk-17-jre-headless",
    "kubectl": "kubernetes-client",
    "mmdebstrap": "mmdebstrap",
    "node": "nodejs",
    "podman": "podman",
    "prometheus": "prometheus",
    "prometheus-alertmanager": "prometheus-alertmanager",
    "promtool": "prometheus",
    "runc": "runc",
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


@pytest.fixture(scope="session")
def node_modules() -> None:
    """Require what draws the dashboards."""
    if not (RENDER / "node_modules").is_dir():
        _missing("needs Grafana's components: npm ci --prefix tests/render")


@pytest.fixture(scope="session")
def image(program: Program) -> str:
    """Build the image of this checkout once, for every test that runs it."""
    for each in containers.PROGRAMS:
        program(each)
    return containers.image()


def _missing(line: str) -> NoReturn:
    if os.environ.get("E2E_REQUIRE") == "1":
        pytest.fail(line, pytrace=False)
    pytest.skip(line)
