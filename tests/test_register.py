"""The command ``register``: what it writes, and the one line that a mistake gets."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

from exporter.jobs.model import Registration
from exporter.register import deadline, main
from exporter.settings.values import Duration
from exporter.sources.files import read_directory

NOW = 1_795_154_400.0


def written(directory: Path) -> Registration:
    scan = read_directory(directory, projects={"default", "prod"})
    (registration,) = scan.registrations.values()
    return registration


def test_an_id_is_enough(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    assert main(["85798b38-ae44", "--jobs-dir", str(tmp_path)], {}, NOW) == 0
    assert written(tmp_path) == Registration(job_id="85798b38-ae44")
    assert capfd.readouterr() == ("", "")


def test_everything_is_written(tmp_path: Path) -> None:
    flags = ["--name", "nightly", "--deadline=2h", "--project=prod", f"--jobs-dir={tmp_path}"]
    assert main(["a", *flags], {}, NOW) == 0
    assert written(tmp_path) == Registration(
        job_id="a", project="prod", name="nightly", deadline=NOW + 7200
    )


@pytest.mark.parametrize(
    ("text", "moment"),
    [
        ("2h", NOW + 7200),
        ("1h30m", NOW + 5400),
        ("1d", NOW + 86400),
        ("1795158000", 1_795_158_000),
        ("2026-11-20T08:00:00+01:00", NOW + 3600),
    ],
)
def test_a_deadline_may_be_given_in_three_ways(tmp_path: Path, text: str, moment: float) -> None:
    assert main(["a", "--deadline", text, "--jobs-dir", str(tmp_path)], {}, NOW) == 0
    assert written(tmp_path).deadline == moment


@pytest.mark.parametrize("text", ["1y", "2w", "3d", "4h", "5m", "6s", "1y2w3d4h5m6s", "0s"])
def test_durations_are_those_of_the_settings(text: str) -> None:
    assert deadline(text, NOW) == NOW + Duration(text)


@pytest.mark.parametrize(
    ("variables", "used"),
    [
        ({"DLI_JOBS_DIR": "plain"}, "plain"),
        ({"DLI_EXPORTER_JOBS_DIR": "setting", "DLI_JOBS_DIR": "plain"}, "setting"),
        ({"DLI_EXPORTER_JOBS_DIR": "", "DLI_JOBS_DIR": "plain"}, "plain"),
    ],
)
def test_the_environment_may_name_the_directory(
    tmp_path: Path, variables: dict[str, str], used: str
) -> None:
    for name in ("setting", "plain"):
        (tmp_path / name).mkdir()
    environ = {name: str(tmp_path / value) if value else "" for name, value in variables.items()}
    assert main(["a"], environ, NOW) == 0
    assert [path.parent.name for path in tmp_path.glob("*/*")] == [used]


def test_the_flag_wins_over_the_environment(tmp_path: Path) -> None:
    environ = {"DLI_JOBS_DIR": str(tmp_path / "missing")}
    assert main(["a", "--jobs-dir", str(tmp_path)], environ, NOW) == 0


@pytest.mark.parametrize(
    ("arguments", "line"),
    [
        ([], "the following arguments are required: JOB_ID"),
        (["a", "b"], "unexpected argument; see --help"),
        (["a", "--nam", "b"], "unexpected argument; see --help"),
        (["a", "--name"], "argument --name: expected one argument"),
        (["a/b"], "JOB_ID: must be 1 to 64 letters, digits or -"),
        (["a", "--name", "a\nb"], "--name: must be printable text of at most 128 bytes"),
        (["a", "--project", ""], "--project: must be the name of a project in the settings"),
        *(
            (
                ["a", "--deadline", text],
                "--deadline: must be a duration such as 2h, Unix seconds, "
                "or such as 2026-11-20T06:00:00Z",
            )
            for text in ("", "soon", "3600", "2h ", "2026-11-20T06:00:00", "9" * 18, "99999y")
        ),
    ],
)
def test_a_mistake_gets_one_line(
    tmp_path: Path, capfd: pytest.CaptureFixture[str], arguments: list[str], line: str
) -> None:
    assert main(arguments, {"DLI_JOBS_DIR": str(tmp_path)}, NOW) == 2
    assert capfd.readouterr() == ("", f"dli-exporter register: {line}\n")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("environ", "line"),
    [
        ({}, "no directory to write in; give --jobs-dir, or set DLI_JOBS_DIR"),
        ({"DLI_JOBS_DIR": "/nowhere"}, "cannot write in /nowhere: No such file or directory"),
        ({"DLI_JOBS_DIR": "/dev/null"}, "cannot write in /dev/null: Not a directory"),
    ],
)
def test_a_directory_that_cannot_be_used_gets_one_line(
    capfd: pytest.CaptureFixture[str], environ: dict[str, str], line: str
) -> None:
    assert main(["a"], environ, NOW) == 2
    assert capfd.readouterr() == ("", f"dli-exporter register: {line}\n")


def test_help_tells_the_flags(capfd: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        main(["--help"], {}, NOW)
    assert ended.value.code == 0
    assert "--deadline WHEN" in capfd.readouterr().out


def test_in_a_process_of_its_own_it_loads_little(tmp_path: Path) -> None:
    program = """\
import sys
from exporter.register import main
code = main(sys.argv[1:], {}, 0.0)
print(*sorted({name.partition('.')[0] for name in sys.modules}))
sys.exit(code)
"""
    arguments = ["a", "--name", "b", "--jobs-dir", str(tmp_path)]
    ended = subprocess.run(  # noqa: S603 - this interpreter
        [sys.executable, "-c", program, *arguments], capture_output=True, text=True, check=True
    )
    loaded = set(ended.stdout.split())
    assert loaded.isdisjoint({"aiohttp", "asyncio", "pydantic", "prometheus_client", "yaml"})
    assert json.loads((tmp_path / "a.json").read_text()) == {"job_id": "a", "name": "b"}
