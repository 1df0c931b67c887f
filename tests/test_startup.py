"""What a sidecar pays for at its start: nothing that it does not use."""

import subprocess
import sys

import pytest

UNUSED = (
    *("exporter.check", "exporter.demo", "exporter.register", "exporter.simulator", "yaml"),
    *("exporter.providers", "exporter.dli.iam", "exporter.dli.credentials.renewing"),
    *("bcrypt", "exporter.web.security.guard"),
)


@pytest.fixture(scope="module")
def imported() -> frozenset[str]:
    """Name the modules that the program has imported when it begins to read its settings."""
    code = "import sys, exporter.cli; print(*sys.modules)"
    shown = subprocess.run((sys.executable, "-c", code), check=True, capture_output=True, text=True)  # noqa: S603 - our own code
    return frozenset(shown.stdout.split())


@pytest.mark.parametrize("module", UNUSED)
def test_what_only_other_commands_need_is_not_imported(
    imported: frozenset[str], module: str
) -> None:
    assert "exporter.app" in imported
    assert module not in imported
