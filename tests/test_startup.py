"""What a sidecar pays for at its start: nothing that it does not use."""

import os
import re
import subprocess
import sys
from http.client import HTTPConnection

import pytest

UNUSED = (
    *("exporter.check", "exporter.demo", "exporter.register", "exporter.simulator", "yaml"),
    *("exporter.providers", "exporter.dli.iam", "exporter.dli.credentials.renewing"),
    *("bcrypt", "exporter.web.security.guard"),
    # What is for those who look, register a job, or let jobs be found.
    *("exporter.web.looks", "exporter.web.page", "exporter.web.rows", "exporter.web.selection"),
    *("exporter.web.assets", "exporter.web.registration", "exporter.sources.registration"),
    *("exporter.finder", "exporter.sources.discovery", "exporter.sources.rounds"),
    # What libraries would bring along.
    *("pydantic_settings", "statistics", "difflib"),
)
SETTINGS = {
    "HUAWEICLOUD_SDK_AK": "A" * 20,
    "HUAWEICLOUD_SDK_SK": "S" * 40,
    "HUAWEICLOUD_SDK_PROJECT_ID": "0123456789abcdef",
    "DLI_EXPORTER_PROJECTS__DEFAULT__ENDPOINT": "http://127.0.0.1:9",
    "DLI_EXPORTER_JOBS": "00000000-0000-0000-0000-000000000000",
    "DLI_EXPORTER_WEB__LISTEN_ADDRESS": "127.0.0.1:0",
    "DLI_EXPORTER_WEB__LINGER": "0s",
}


@pytest.fixture(scope="module")
def imported() -> frozenset[str]:
    """Name the modules that a sidecar has imported when it has answered its first scrape."""
    kept = {name: os.environ[name] for name in ("PATH", "PYTHONPATH") if name in os.environ}
    program = (sys.executable, "-X", "importtime", "-m", "exporter")
    with subprocess.Popen(program, stderr=subprocess.PIPE, text=True, env=kept | SETTINGS) as run:  # noqa: S603 - our own code
        assert run.stderr is not None
        names = []
        for line in run.stderr:
            names += re.findall(r"^import time:.*\| +(\S+)$", line)
            if found := re.search(r"\bport=(\d+)", line):
                scrape(int(found[1]))
                run.terminate()
    return frozenset(names)


def scrape(port: int) -> None:
    connection = HTTPConnection("127.0.0.1", port)
    connection.request("GET", "/metrics")
    assert b"dli_exporter_build_info" in connection.getresponse().read()
    connection.close()


@pytest.mark.parametrize("module", UNUSED)
def test_what_a_sidecar_does_not_use_is_not_imported(imported: frozenset[str], module: str) -> None:
    assert "exporter.app" in imported
    assert module not in imported
