"""The arguments of watch and wait, and the line that a mistake gets."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

import pytest

from exporter.jobs.model import JobKey
from exporter.settings import SettingsError
from exporter.terminal.fates import Wanted
from exporter.terminal.order import Order, read

SECRET: Final = "a-secret-of-forty-characters-in-the-url!"
PROJECT: Final = {
    "region": "ap-southeast-3",
    "project_id": "48cc2c48765f481480c7db940d6409d1",
    "credentials": {"provider": "static", "ak": "AK", "sk": "SK"},
}
EXPORTER: Final = "--exporter=http://localhost:10296"


@pytest.fixture
def config(tmp_path: Path) -> Path:
    return tmp_path / "dli.yaml"


def order(word: str, *argv: str, environ: Mapping[str, str] | None = None) -> Order:
    return read(word, argv, environ or {})


def written(config: Path, projects: Mapping[str, Mapping[str, Any]], **more: Any) -> str:
    """Write settings; return the flag that names them."""
    given = {name: {**PROJECT, **changes} for name, changes in projects.items()}
    config.write_text(json.dumps({"projects": given, **more}), encoding="utf-8")
    return f"--config.file={config}"


def refusal(word: str, *argv: str, environ: Mapping[str, str] | None = None) -> str:
    with pytest.raises(SettingsError) as caught:
        order(word, *argv, environ=environ)
    (line,) = caught.value.lines
    return line


def test_everything_has_a_default(config: Path) -> None:
    flag = written(config, {"default": {}})
    waiting, watching = order("wait", "a", flag), order("watch", "a", flag)
    assert (waiting.waits, watching.waits) == (True, False)
    assert (str(waiting.interval), str(watching.interval)) == ("15s", "5s")
    assert (waiting.timeout, waiting.patience, waiting.quiet) == (None, 600, False)
    assert waiting.jobs == {Wanted("a"): JobKey("default", "a")}


def test_everything_can_be_said(config: Path) -> None:
    flags = ["--timeout=2h", "--interval", "1s", "--patience=5m", "--quiet"]
    found = order("wait", *flags, "a", written(config, {"default": {}}), "b", "a")
    assert found.wanted == (Wanted("a"), Wanted("b"))
    assert (found.timeout, found.patience, found.quiet) == (7200.0, 300.0, True)
    assert str(found.interval) == str(found.settings.poll.interval) == "1s"


def test_an_interval_in_the_settings_counts(config: Path) -> None:
    flag = written(config, {"default": {}}, poll={"interval": "40s"})
    assert str(order("wait", "a", flag).settings.poll.interval) == "40s"
    assert str(order("wait", "a", flag, "--interval=3s").settings.poll.interval) == "3s"


def test_only_what_is_wanted_is_asked_for(config: Path) -> None:
    discovering = {"jobs": ["old"], "discovery": {"enabled": True}}
    flag = written(config, {"one": discovering, "two": discovering}, shard=1, total_shards=7)
    settings = order("wait", "one/a", "one/b", flag).settings
    (project,) = settings.projects.values()
    assert set(settings.projects) == {"one"}
    assert (project.jobs, project.discovery.enabled) == (("a", "b"), False)
    assert (settings.shard, settings.total_shards) == (0, 1)


def test_without_ids_all_that_is_set_is_watched(config: Path) -> None:
    flag = written(config, {"one": {"jobs": ["a"]}, "two": {"discovery": {"enabled": True}}})
    found = order("watch", flag)
    assert (found.wanted, found.jobs) == ((), {})
    assert found.settings.projects["one"].jobs == ("a",)
    assert found.settings.projects["two"].discovery.enabled


def test_there_is_room_for_all_that_is_wanted(config: Path) -> None:
    flag = written(config, {"default": {}}, limits={"jobs": 2})
    assert order("wait", "a", "b", "c", flag).settings.limits.jobs == 3


def test_earlier_runs_are_read_for_who_looks_only(config: Path) -> None:
    flag = written(config, {"default": {}})
    assert order("watch", "a", flag).settings.history.enabled
    assert not order("wait", "a", flag).settings.history.enabled
    assert not order("watch", "a", flag, "--no-history.enabled").settings.history.enabled


@pytest.mark.parametrize(
    ("projects", "wanted", "project"),
    [
        ({"default": {}, "two": {}}, "a", "default"),
        ({"only": {}}, "a", "only"),
        ({"default": {}, "two": {}}, "two/a", "two"),
        ({"default": {}, "two": {"jobs": ["a"]}}, "a", "two"),
        ({"one": {"jobs": ["a"]}, "two": {"jobs": ["a"]}, "default": {}}, "a", "default"),
    ],
)
def test_which_project_a_job_is_in(
    config: Path, projects: dict[str, dict[str, Any]], wanted: str, project: str
) -> None:
    (key,) = order("wait", wanted, written(config, projects)).jobs.values()
    assert key == JobKey(project, "a")


def test_a_job_of_nobody_knows_which_project_gets_a_line(config: Path) -> None:
    flag = written(config, {"one": {}, "two": {}})
    assert refusal("wait", "a", flag) == ("a: which project? write PROJECT/ID; projects: one, two")
    assert refusal("wait", "three/a", flag) == ("three/a: no such project; allowed: one, two")


def test_an_exporter_needs_no_settings() -> None:
    found = order("wait", "a", EXPORTER, environ={"HUAWEICLOUD_SDK_AK": "no more than this"})
    assert found.exporter is not None
    assert (found.exporter.url, found.jobs) == ("http://localhost:10296", {})
    assert order("watch", EXPORTER).wanted == ()


def test_an_exporter_s_password_is_never_shown() -> None:
    found = order("wait", "a", f"--exporter=https://me:{SECRET}@h:1/p/", "--ca-file=ca.pem")
    assert found.exporter is not None
    assert (found.exporter.url, found.ca_file) == ("https://h:1/p", "ca.pem")
    assert SECRET not in repr(found)


LINES: Final = {
    "no id": (("wait",), "ID: is missing; needed: the id of each job to wait for"),
    "bad id": (("wait", f"../{SECRET}"), "ID: must be 1 to 64 letters, digits or -; or project/ID"),
    "no project": (("wait", "a"), "projects: is missing; needed: a project in the file"),
    "unknown flag": (("wait", "a", "--tiemout=1s"), "--tiemout: unknown flag; did you mean --ti"),
    "quiet": (("watch", "a", "--quiet"), "--quiet: unknown flag; see --help"),
    "no value": (("wait", "a", "--timeout"), "--timeout: expected one argument"),
    "no duration": (("wait", "a", "--timeout=3"), "--timeout: must be a duration such as 30s, "),
    "no time": (("wait", "a", "--interval=0s"), "--interval: must be a duration such as 30s, "),
    "patience": (("wait", "a", "--patience=-1s"), "--patience: must be a duration such as 30s"),
    "no url": (("wait", "a", f"--exporter={SECRET}"), "--exporter: must be http://HOST:PORT or "),
    "ca file": (("wait", "a", EXPORTER, "--ca-file=x"), "--ca-file: goes with --exporter https"),
    "ca alone": (("wait", "a", "--ca-file=x"), "--ca-file: goes with --exporter https"),
}


@pytest.mark.parametrize(("argv", "line"), LINES.values(), ids=LINES)
def test_a_mistake_gets_one_line(argv: tuple[str, ...], line: str) -> None:
    found = refusal(*argv)
    assert found.startswith(line)
    assert SECRET not in found


def test_watching_nothing_gets_a_line(config: Path) -> None:
    assert refusal("watch", written(config, {"default": {}})) == (
        "ID: is missing, and no project has jobs or discovery.enabled; needed: one of them"
    )


@pytest.mark.parametrize("word", ["watch", "wait"])
def test_help_tells_the_flags_and_the_exit_codes(
    word: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as ended:
        order(word, "--help")
    shown = capsys.readouterr().out
    assert ended.value.code == 0
    for part in ("--exporter URL", "--timeout DURATION", "--log.level", "2 time-out", "DLI_WATCH"):
        assert part in shown
    assert ("--quiet" in shown) is (word == "wait")
