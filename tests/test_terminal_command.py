"""What the commands cost those who do not use them, and mistakes before anything is asked."""

import subprocess
import sys

import pytest

from exporter.cli import run
from exporter.terminal.command import main


def imported(code: str) -> set[str]:
    """Run a program and name the modules that it has imported by then."""
    program = f"import sys\n{code}\nprint(*sys.modules)"
    shown = subprocess.run(  # noqa: S603 - this interpreter
        (sys.executable, "-c", program), check=True, capture_output=True, text=True
    )
    return set(shown.stdout.splitlines()[-1].split())


def test_a_sidecar_pays_for_nothing_of_it() -> None:
    modules = imported("import exporter.cli")
    assert "exporter.app" in modules
    assert not any(name.startswith(("exporter.terminal", "rich")) for name in modules)


def test_who_waits_pays_for_no_bars() -> None:
    modules = imported(
        "from exporter.terminal.command import main\n"
        "flags = ['a', '--exporter=http://127.0.0.1:1', '--timeout=1ms']\n"
        "assert main('wait', flags, {}) == 2"
    )
    assert "exporter.terminal.printout" in modules
    assert not any(name.startswith("rich") for name in modules)


@pytest.mark.parametrize("start", [run, lambda argv: main(argv[0], argv[1:], {})])
def test_a_mistake_is_64_and_a_line(start: object, capsys: pytest.CaptureFixture[str]) -> None:
    assert callable(start)
    assert start(["wait", "--timeout=1s"]) == 64
    line = "dli-exporter: ID: is missing; needed: the id of each job to wait for\n"
    assert capsys.readouterr() == ("", line)


def test_a_ca_file_that_cannot_be_read_is_64(capsys: pytest.CaptureFixture[str]) -> None:
    assert main("wait", ["a", "--exporter=https://h", "--ca-file=/nowhere"], {}) == 64
    shown = capsys.readouterr()
    assert shown.err.startswith("dli-exporter: --ca-file: holds no usable certificates: ")
    assert len(shown.err.splitlines()) == 1
