"""Settings: what is read from where, what wins, and what a mistake says."""

import copy
import os
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
from pydantic import TypeAdapter, ValidationError

from exporter.settings import (
    Discovery,
    Duration,
    FlagParser,
    ListenAddress,
    Settings,
    SettingsError,
    load,
    require_project,
)
from exporter.settings.values import Endpoint, Zone
from exporter.simulator import settings_text
from exporter.simulator.simulator import demo_project

BAD = Path(__file__).parent / "bad_settings"
CANARY = "CANARYabcdefghijklmnopqrstuvwxyz01234567"
JOB = "85798b38-ae44-48eb-bb90-7cf0dcdafe7b"
VENDOR = {
    "HUAWEICLOUD_SDK_AK": "vendor-ak",
    "HUAWEICLOUD_SDK_SK": "vendor-sk",
    "HUAWEICLOUD_SDK_PROJECT_ID": "f00d",
    "HUAWEICLOUD_SDK_REGION": "cn-north-4",
}
PROD = """\
projects:
  prod:
    region: ap-southeast-3
    project_id: 48cc2c48765f481480c7db940d6409d1
    credentials: {provider: file, directory: /run/secrets/dli}
"""


def from_file(directory: Path, text: str, environ: Mapping[str, str] | None = None) -> Settings:
    path = directory / "settings.yaml"
    path.write_text(text, encoding="utf-8")
    return load([f"--config.file={path}"], environ or {})


def expected_lines(text: str) -> list[str]:
    mark = "# expect: "
    return [line.removeprefix(mark) for line in text.splitlines() if line.startswith(mark)]


def content_lines(text: str) -> list[str]:
    return [line for line in text.splitlines() if not line.startswith("# expect: ")]


def mistakes(argv: list[str], environ: Mapping[str, str]) -> list[str]:
    with pytest.raises(SettingsError) as caught:
        load(argv, environ)
    return list(caught.value.lines)


# Mistakes


@pytest.mark.parametrize("path", sorted(BAD.glob("*.yaml")), ids=lambda path: path.stem)
def test_a_bad_file_is_refused_line_by_line(path: Path) -> None:
    lines = mistakes([f"--config.file={path}"], {})
    assert [line.replace(str(path), "FILE") for line in lines] == expected_lines(path.read_text())
    assert "canary" not in "\n".join(lines).lower()


@pytest.mark.parametrize("path", sorted(BAD.glob("*.env")), ids=lambda path: path.stem)
def test_a_bad_environment_is_refused_line_by_line(path: Path) -> None:
    environ = dict(line.split("=", 1) for line in content_lines(path.read_text()))
    lines = mistakes([], environ)
    assert lines == expected_lines(path.read_text())
    assert "canary" not in "\n".join(lines).lower()


@pytest.mark.parametrize("path", sorted(BAD.glob("*.args")), ids=lambda path: path.stem)
def test_bad_flags_are_refused_line_by_line(path: Path) -> None:
    lines = mistakes(content_lines(path.read_text()), {})
    assert lines == expected_lines(path.read_text())
    assert "canary" not in "\n".join(lines).lower()


@pytest.mark.parametrize(
    ("content", "wrong"),
    [
        (b"", "is empty; leave --config.file out to run without a file"),
        (b"\x7fELF\x02\x01\x01\x00\xff\xfe", "is not UTF-8 text"),
        (b"# " + b"x" * (1 << 20), "is too large; allowed: 1048576 bytes"),
        (b"jobs: " + b"[" * 100_000, "line 1: is nested too deeply"),
    ],
)
def test_a_file_that_cannot_be_settings_is_refused(
    tmp_path: Path, content: bytes, wrong: str
) -> None:
    path = tmp_path / "settings.yaml"
    path.write_bytes(content)
    assert mistakes([f"--config.file={path}"], {}) == [f"{path}: {wrong}"]


def test_a_directory_and_a_pipe_are_refused_at_once(tmp_path: Path) -> None:
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    for path in (tmp_path, pipe):
        assert mistakes([f"--config.file={path}"], {}) == [f"{path}: is not a file"]


def test_a_path_that_no_system_knows_is_refused() -> None:
    assert mistakes(["--config.file=a\0b"], {}) == ["a\0b: cannot be read: no such path"]


def leaves(value: Any, path: tuple[str, ...] = ()) -> list[tuple[str, ...]]:
    if not isinstance(value, dict):
        return [path]
    return [leaf for name, child in value.items() for leaf in leaves(child, (*path, name))]


SHAPE: dict[str, Any] = {
    "projects": {
        "p": {
            **dict.fromkeys(("region", "endpoint", "project_id", "requests_per_second"), ""),
            **dict.fromkeys(("ca_file", "jobs", "credentials"), ""),
            "discovery": dict.fromkeys(
                ("enabled", "interval", "queues", "owner", "tags", "job_types", "x"), ""
            ),
        },
        "static": {
            "credentials": {"provider": "", "ak": "", "sk": "", "security_token": "", "path": ""}
        },
    },
    **{name: {leaf: ""} for name, leaf in (("poll", "interval"), ("log", "level"), ("x", "y"))},
    "limits": {"jobs": ""},
    "retention": {"finished": ""},
    "web": {"linger": "", "enable_registration": "", "port": ""},
    **dict.fromkeys(("jobs", "zones", "simulator", "config", "unknown"), ""),
    **dict.fromkeys(("subjobs", "tags", "history"), ""),
}


@pytest.mark.parametrize("path", leaves(SHAPE), ids=".".join)
@pytest.mark.parametrize("form", ["{}", "[{}]", "{{{}: 1}}", '"{} \\n"', "https://{}@x", "!{} x"])
def test_a_secret_in_a_wrong_place_is_not_repeated(
    tmp_path: Path, path: tuple[str, ...], form: str
) -> None:
    text = "".join(f"{'  ' * depth}{name}:\n" for depth, name in enumerate(path))
    with pytest.raises(SettingsError) as caught:
        from_file(tmp_path, text[:-1] + " " + form.format(CANARY) + "\n")
    assert caught.value.lines
    assert CANARY.lower() not in str(caught.value).lower()


# What is read


def test_a_whole_file_is_read(tmp_path: Path) -> None:
    authority = tmp_path / "ca.pem"
    authority.touch()
    settings = from_file(
        tmp_path,
        f"""
        projects:
          prod:
            endpoint: https://DLI.example.com:8443/
            project_id: 12345678901234567890123456789012
            credentials: {{provider: token, path: /run/token}}
            requests_per_second: 2.5
            ca_file: {authority}
            jobs: [{JOB}, other, {JOB}]
          default:
            region: eu-west-101
            project_id: 0123
            credentials: {{provider: static, ak: 0777, sk: NO, security_token: null}}
        jobs: {JOB}
        poll: {{interval: 1h30m, timeout: 500ms, align_to_scrapes: no}}
        web: {{listen_address: "[::1]:9999"}}
        log: {{level: debug, format: json}}
        zones: {{CST: +10:00, brt: -03:30}}
        simulator: {{speed: 10, loop: no, seed: 7, fault_rate: 0.25}}
        """,
    )
    prod, default = settings.projects["prod"], settings.projects["default"]
    assert prod.endpoint == "https://dli.example.com:8443"
    assert prod.project_id == "12345678901234567890123456789012"
    assert prod.credentials.provider == "token"
    assert (prod.requests_per_second, prod.ca_file) == (2.5, authority)
    assert prod.jobs == (JOB, "other")
    assert default.endpoint == "https://dli.eu-west-101.myhuaweicloud.eu"
    assert default.project_id == "0123"
    assert default.credentials.provider == "static"
    assert default.credentials.ak.get_secret_value() == "0777"
    assert default.credentials.sk.get_secret_value() == "NO"
    assert default.jobs == (JOB,)
    assert (settings.poll.interval, settings.poll.timeout) == (5400.0, 0.5)
    assert not settings.poll.align_to_scrapes
    assert (settings.web.listen_address.host, settings.web.listen_address.port) == ("::1", 9999)
    assert (settings.log.level, settings.log.format) == ("debug", "json")
    assert settings.zones == {"CST": 36_000, "BRT": -12_600}
    assert (settings.simulator.speed, settings.simulator.loop) == (10, False)
    assert (settings.simulator.seed, settings.simulator.fault_rate) == (7, 0.25)


def test_nothing_given_leaves_the_defaults() -> None:
    settings = load([], {})
    assert settings == Settings()
    assert not settings.projects
    assert (str(settings.poll.interval), str(settings.web.listen_address)) == ("15s", ":10296")


def test_an_empty_section_or_value_is_as_good_as_none(tmp_path: Path) -> None:
    settings = from_file(tmp_path, "poll:\njobs: null\nlog: {level: ~, format: json}\n")
    assert settings.poll == Settings().poll
    assert (settings.log.level, settings.log.format) == ("info", "json")


def test_flags_win_over_the_environment_and_that_over_the_file(tmp_path: Path) -> None:
    path = tmp_path / "settings.yaml"
    path.write_text("poll: {interval: 1s, timeout: 1s}\nlog: {level: debug, format: json}\n")
    environ = {
        "DLI_EXPORTER_CONFIG__FILE": str(path),
        "DLI_EXPORTER_POLL__INTERVAL": "2s",
        "DLI_EXPORTER_POLL__TIMEOUT": "2s",
        "DLI_EXPORTER_LOG__FORMAT": "",
    }
    settings = load(["--poll.interval", "3s"], environ)
    assert (settings.poll.interval, settings.poll.timeout) == (3.0, 2.0)
    assert (settings.log.level, settings.log.format) == ("debug", "json")


def test_settings_made_by_hand_read_no_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DLI_EXPORTER_POLL__INTERVAL", "1s")
    monkeypatch.setenv("POLL", "1s")
    assert Settings().poll.interval == 15.0
    assert load([], {}).poll.interval == 15.0


def test_everything_about_jobs_that_come_and_go_is_read(tmp_path: Path) -> None:
    settings = from_file(
        tmp_path,
        """
        jobs_dir: /nonexistent/jobs
        subjobs: none
        retention: {finished: 0s, unscraped: 1h}
        limits: {jobs: 10, series: 20, subjobs_per_job: 30}
        tags: {name: dag id, deadline: due=by, labels: [cost-center, 团队, cost-center]}
        history: {enabled: no}
        web: {enable_registration: yes, enable_lifecycle: no, linger: 0s}
        """,
    )
    assert settings.jobs_dir == Path("/nonexistent/jobs")
    assert settings.subjobs == "none"
    assert (settings.retention.finished, settings.retention.unscraped) == (0.0, 3600.0)
    limits = settings.limits
    assert (limits.jobs, limits.series, limits.subjobs_per_job) == (10, 20, 30)
    assert (settings.tags.name, settings.tags.deadline) == ("dag id", "due=by")
    assert settings.tags.labels == ("cost-center", "团队")
    assert settings.history.enabled is False
    assert settings.web.enable_registration is True
    assert settings.web.enable_lifecycle is False
    assert settings.web.linger == 0.0


def test_jobs_that_come_and_go_have_defaults() -> None:
    settings = load([], {})
    assert (settings.jobs_dir, settings.subjobs) == (None, "all")
    assert (str(settings.retention.finished), str(settings.retention.unscraped)) == ("15m", "24h")
    limits = settings.limits
    assert (limits.jobs, limits.series, limits.subjobs_per_job) == (2_000, 200_000, 200)
    assert (settings.tags.name, settings.tags.deadline, settings.tags.labels) == (None, None, ())
    assert settings.history.enabled is True
    assert settings.web.enable_registration is False
    assert settings.web.enable_lifecycle is True
    assert str(settings.web.linger) == "90s"


def test_ended_jobs_may_leave_at_the_same_age_scraped_or_not(tmp_path: Path) -> None:
    retention = from_file(tmp_path, "retention: {finished: 60m, unscraped: 1h}\n").retention
    assert retention.finished == retention.unscraped


def test_flags_and_variables_name_what_is_outside_the_projects() -> None:
    environ = {
        "DLI_EXPORTER_JOBS_DIR": "/run/dli/jobs",
        "DLI_EXPORTER_SUBJOBS": "running",
        "DLI_EXPORTER_TAGS__LABELS": "team, stage",
        "DLI_EXPORTER_WEB__ENABLE_REGISTRATION": "true",
    }
    settings = load([], environ)
    assert (settings.jobs_dir, settings.subjobs) == (Path("/run/dli/jobs"), "running")
    assert settings.tags.labels == ("team", "stage")
    assert settings.web.enable_registration is True
    flags = ["--jobs-dir=/jobs", "--subjobs=all", "--tags.labels=a", "--tags.labels=b"]
    flags += ["--no-web.enable-registration", "--limits.subjobs-per-job=7"]
    settings = load(flags, environ)
    assert (settings.jobs_dir, settings.subjobs) == (Path("/jobs"), "all")
    assert settings.tags.labels == ("a", "b")
    assert settings.web.enable_registration is False
    assert settings.limits.subjobs_per_job == 7


def test_switches_and_repeated_flags() -> None:
    default = {**VENDOR, "DLI_EXPORTER_PROJECTS__DEFAULT__JOBS": "a"}
    settings = load(["--no-simulator.loop", "--jobs", "b", "--jobs=c, a"], default)
    assert settings.simulator.loop is False
    assert settings.jobs == ("b", "c", "a")
    assert settings.projects["default"].jobs == ("a", "b", "c")
    assert load(["--simulator.loop"], {"DLI_EXPORTER_SIMULATOR__LOOP": "false"}).simulator.loop


def test_a_project_may_come_from_variables_alone() -> None:
    prefix = "DLI_EXPORTER_PROJECTS__PROD__"
    settings = load(
        [],
        {
            f"{prefix}REGION": "af-south-1",
            f"{prefix}PROJECT_ID": "f00d",
            f"{prefix}CREDENTIALS__PROVIDER": "static",
            f"{prefix}CREDENTIALS__AK": "a",
            f"{prefix}CREDENTIALS__SK": "b",
            f"{prefix}JOBS": "x,y",
        },
    )
    assert list(settings.projects) == ["prod"]
    assert settings.projects["prod"].jobs == ("x", "y")


def test_a_variable_finds_the_project_of_the_file_whatever_its_case_and_dashes(
    tmp_path: Path,
) -> None:
    settings = from_file(
        tmp_path,
        PROD.replace("prod:", "EU-prod.1:"),
        {"DLI_EXPORTER_PROJECTS__EU_PROD_1__REQUESTS_PER_SECOND": "1"},
    )
    assert list(settings.projects) == ["EU-prod.1"]
    assert settings.projects["EU-prod.1"].requests_per_second == 1


def test_no_secret_is_in_what_settings_print(tmp_path: Path) -> None:
    settings = load([], {**VENDOR, "HUAWEICLOUD_SDK_SECURITY_TOKEN": "vendor-token"})
    for shown in (repr(settings), str(settings), settings.model_dump_json()):
        assert "f00d" in shown
        assert not re.search("vendor-(ak|sk|token)", shown)


def test_settings_never_change() -> None:
    settings = Settings()
    with pytest.raises(ValidationError, match="frozen"):
        settings.poll = settings.poll
    with pytest.raises(ValidationError, match="frozen"):
        settings.poll.interval = Duration("1s")


@pytest.mark.parametrize("token", ["", "sts"])
def test_what_the_simulator_prints_can_be_pasted(tmp_path: Path, token: str) -> None:
    project = demo_project()
    text = settings_text("http://127.0.0.1:10297", [project], {project.id: [JOB]})
    yaml, exports = re.split(r"^(?=export )", text, maxsplit=1, flags=re.MULTILINE)
    environ = dict(re.findall(r"^export (\w+)='?([^'\n]*)'?$", exports, re.MULTILINE))
    by_file, by_environment = from_file(tmp_path, yaml), load([], environ)
    assert by_file.projects == by_environment.projects
    assert by_file.projects["default"].jobs == (JOB,)
    assert by_file.projects["default"].project_id == project.id


@pytest.mark.parametrize(
    "name",
    [
        "SERVICE_HOST",
        "SERVICE_PORT",
        "SERVICE_PORT_HTTP_METRICS",
        "PORT",
        "PORT_10296_TCP",
        "PORT_10296_TCP_ADDR",
        "CENTRAL_SERVICE_HOST",
        "CENTRAL_PORT_443_TCP_PROTO",
    ],
)
def test_variables_of_a_kubernetes_service_of_our_name_are_not_settings(name: str) -> None:
    assert load([], {f"DLI_EXPORTER_{name}": "tcp://10.0.0.1:10296"}) == Settings()


def test_a_wrong_variable_that_only_looks_like_a_service_is_refused() -> None:
    for name in ("DLI_EXPORTER_WEB__PORT", "DLI_EXPORTER_PORTS", "DLI_EXPORTER_SERVICE"):
        assert mistakes([], {name: "1"})


# Discovery


def test_the_jobs_to_find_are_read(tmp_path: Path) -> None:
    longest = "q" * 128
    discovery = (
        from_file(
            tmp_path,
            PROD
            + f"""\
    discovery:
      enabled: true
      interval: 1m
      queues: [default, Etl_2, 2nd, {longest}, default]
      owner: Ana María
      tags: {{Cost Center: a=b, team: "0777"}}
      job_types: [query, RESTART_QUEUE, QUERY]
      database: tpch
      engine_types: [Spark, HETUENGINE]
""",
        )
        .projects["prod"]
        .discovery
    )
    assert (discovery.enabled, discovery.interval) == (True, 60.0)
    assert discovery.queues == ("default", "Etl_2", "2nd", longest)
    assert (discovery.owner, discovery.database) == ("Ana María", "tpch")
    assert discovery.tags == {"Cost Center": "a=b", "team": "0777"}
    assert discovery.job_types == ("QUERY", "RESTART_QUEUE")
    assert discovery.engine_types == ("spark", "hetuEngine")


def test_no_job_is_looked_for_unless_asked(tmp_path: Path) -> None:
    discovery = from_file(tmp_path, PROD).projects["prod"].discovery
    assert discovery == Discovery()
    assert (discovery.enabled, str(discovery.interval)) == (False, "30s")
    filters = discovery.model_dump(exclude={"enabled", "interval"})
    assert not any(filters.values())
    assert len(filters) == 6


def test_the_jobs_to_find_may_come_from_variables(tmp_path: Path) -> None:
    prefix = "DLI_EXPORTER_PROJECTS__PROD__DISCOVERY__"
    text = PROD + "    discovery: {interval: 5m, owner: ana, queues: [a], tags: {a: b}}\n"
    environ = {
        f"{prefix}ENABLED": "true",
        f"{prefix}QUEUES": "b, c",
        f"{prefix}JOB_TYPES": "INSERT,QUERY",
        f"{prefix}ENGINE_TYPES": "spark",
        f"{prefix}TAGS": "Team=etl, stage = prod=1",
    }
    discovery = from_file(tmp_path, text, environ).projects["prod"].discovery
    assert (discovery.enabled, discovery.interval, discovery.owner) == (True, 300.0, "ana")
    assert discovery.queues == ("b", "c")
    assert discovery.job_types == ("INSERT", "QUERY")
    assert discovery.engine_types == ("spark",)
    assert discovery.tags == {"Team": "etl", "stage": "prod=1"}


def test_a_variable_for_each_tag_adds_to_those_of_the_file(tmp_path: Path) -> None:
    text = PROD + "    discovery: {tags: {team: file, Stage: prod}}\n"
    environ = {"DLI_EXPORTER_PROJECTS__PROD__DISCOVERY__TAGS__TEAM": "etl"}
    discovery = from_file(tmp_path, text, environ).projects["prod"].discovery
    assert discovery.tags == {"team": "etl", "Stage": "prod"}


# What a reload compares


def test_a_project_equals_another_that_says_the_same(tmp_path: Path) -> None:
    keys = "credentials: {provider: static, ak: a, sk: b}"
    short = PROD.replace("credentials: {provider: file, directory: /run/secrets/dli}", keys)
    long = short + "    discovery: {interval: 30s, tags: {}}\n    requests_per_second: 5\n"
    tagged = [
        short + f"    discovery: {{tags: {{{tags}}}}}\n" for tags in ("a: b, c: d", "c: d, a: b")
    ]
    assert from_file(tmp_path, short).projects == from_file(tmp_path, long).projects
    assert from_file(tmp_path, tagged[0]).projects == from_file(tmp_path, tagged[1]).projects


@pytest.mark.parametrize(
    "change",
    [
        "jobs: [a]",
        "requests_per_second: 1",
        "discovery: {enabled: true}",
        "discovery: {tags: {a: b}}",
    ],
)
def test_a_project_differs_from_another_that_says_something_else(
    tmp_path: Path, change: str
) -> None:
    both = PROD + PROD.removeprefix("projects:\n").replace("prod:", "test:")
    before, after = from_file(tmp_path, both), from_file(tmp_path, f"{both}    {change}\n")
    assert before.projects["prod"] == after.projects["prod"]
    assert before.projects["test"] != after.projects["test"]


def test_another_secret_is_another_project() -> None:
    rotated = {**VENDOR, "HUAWEICLOUD_SDK_SK": "another"}
    assert load([], VENDOR).projects != load([], rotated).projects


# Without projects


def test_commands_without_projects_heed_nothing_that_is_said_about_them(tmp_path: Path) -> None:
    path = tmp_path / "settings.yaml"
    path.write_text("projects: {prod: {regoin: x}}\njobs: [a/b]\npoll: {interval: 1s}\n")
    environ = {
        "HUAWEICLOUD_SDK_AK": "only",
        "DLI_EXPORTER_CONFIG__FILE": str(path),
        "DLI_EXPORTER_JOBS": JOB,
        "DLI_EXPORTER_JOBS_DIR": "/run/dli/jobs",
        "DLI_EXPORTER_PROJECTS__DEFAULT__DISCOVERY__ENABLED": "true",
    }
    settings = load(["--simulator.speed=10"], environ, projects=False)
    assert (settings.projects, settings.jobs) == ({}, ())
    assert settings.jobs_dir == Path("/run/dli/jobs")
    assert (settings.poll.interval, settings.simulator.speed) == (1.0, 10)


def test_commands_without_projects_refuse_other_mistakes() -> None:
    for flags, environ in ((["--jobs", JOB], {}), ([], {"DLI_EXPORTER_LOG__LEVEL": "loud"})):
        with pytest.raises(SettingsError, match=r"^(--jobs|DLI_EXPORTER_LOG__LEVEL): "):
            load(flags, environ, projects=False)


# The vendor's variables


def test_the_vendors_variables_alone_make_up_the_default_project() -> None:
    default = load([], {**VENDOR, "HUAWEICLOUD_SDK_SECURITY_TOKEN": "t"}).projects["default"]
    assert default.endpoint == "https://dli.cn-north-4.myhuaweicloud.com"
    assert default.project_id == "f00d"
    assert default.credentials.provider == "static"
    assert default.credentials.security_token is not None
    assert default.credentials.security_token.get_secret_value() == "t"


def test_the_vendors_variables_leave_other_projects_alone(tmp_path: Path) -> None:
    for environ in (VENDOR, {"HUAWEICLOUD_SDK_AK": "only"}):
        assert list(from_file(tmp_path, PROD, environ).projects) == ["prod"]


def test_the_vendors_variables_leave_a_complete_default_alone(tmp_path: Path) -> None:
    complete = PROD.replace("prod", "default")
    assert from_file(tmp_path, complete, VENDOR) == from_file(tmp_path, complete)


def test_the_vendors_variables_complete_a_default_and_win_over_the_file(tmp_path: Path) -> None:
    text = "projects: {default: {project_id: file, requests_per_second: 1}}\n"
    default = from_file(tmp_path, text, VENDOR).projects["default"]
    assert (default.project_id, default.requests_per_second) == ("f00d", 1)


def test_the_vendors_variables_lose_to_our_own() -> None:
    ours = {
        "DLI_EXPORTER_PROJECTS__DEFAULT__PROJECT_ID": "0a0b",
        "DLI_EXPORTER_PROJECTS__DEFAULT__CREDENTIALS__AK": "ours",
    }
    default = load([], {**VENDOR, **ours}).projects["default"]
    assert default.project_id == "0a0b"
    assert default.credentials.provider == "static"
    assert default.credentials.ak.get_secret_value() == "ours"
    assert default.credentials.sk.get_secret_value() == "vendor-sk"


def test_top_level_jobs_ask_for_the_default_project_beside_others(tmp_path: Path) -> None:
    settings = from_file(tmp_path, PROD + f"jobs: [{JOB}]\n", VENDOR)
    assert set(settings.projects) == {"prod", "default"}
    assert settings.projects["default"].jobs == (JOB,)


DISCOVER_DEFAULT = {"DLI_EXPORTER_PROJECTS__DEFAULT__DISCOVERY__ENABLED": "true"}


def test_one_variable_finds_the_jobs_of_the_vendors_project() -> None:
    default = load([], {**VENDOR, **DISCOVER_DEFAULT}).projects["default"]
    assert default.discovery.enabled is True
    assert default.project_id == "f00d"


def test_looking_for_jobs_asks_for_the_default_project_beside_others(tmp_path: Path) -> None:
    settings = from_file(tmp_path, PROD, {**VENDOR, **DISCOVER_DEFAULT})
    assert set(settings.projects) == {"prod", "default"}
    assert settings.projects["default"].discovery.enabled is True
    assert settings.projects["prod"].discovery.enabled is False


def test_a_directory_of_jobs_is_content_with_any_project(tmp_path: Path) -> None:
    text = PROD + "jobs_dir: /run/dli/jobs\nweb: {enable_registration: true}\n"
    settings = from_file(tmp_path, text, VENDOR)
    assert list(settings.projects) == ["prod"]
    require_project(settings)
    with pytest.raises(SettingsError, match=r"^projects: is missing; needed: "):
        require_project(load(["--jobs-dir=/run/dli/jobs"], {}))


def test_the_vendors_keys_are_not_mixed_with_other_credentials(tmp_path: Path) -> None:
    text = "projects: {default: {credentials: {provider: token, path: /run/token}}}\n"
    default = from_file(tmp_path, text, VENDOR).projects["default"]
    assert default.credentials.provider == "token"
    assert default.project_id == "f00d"


def test_empty_vendor_variables_count_as_unset() -> None:
    assert load([], dict.fromkeys(VENDOR, "")).projects == {}


def test_serving_needs_a_project() -> None:
    require_project(load([], VENDOR))
    with pytest.raises(SettingsError, match=r"^projects: is missing; needed: "):
        require_project(load([], {}))


# Values


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("0", 0),
        ("0s", 0),
        ("500ms", 0.5),
        ("15s", 15),
        ("1m", 60),
        ("1h30m", 5400),
        ("1d", 86_400),
        ("2w", 1_209_600),
        ("1y2w3d4h5m6s7ms", 33_019_506.007),
    ],
)
def test_a_duration_is_seconds_and_keeps_its_words(text: str, seconds: float) -> None:
    duration = Duration(text)
    assert duration == pytest.approx(seconds)
    assert str(duration) == f"{duration}" == text
    assert str(copy.deepcopy(duration)) == text


@pytest.mark.parametrize(
    "text", ["", "s", "15", "-1s", "1s ", "1.5s", "1m1h", "1S", "१s", "1" * 99]
)
def test_what_is_no_duration_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match=r"^$"):
        Duration(text)


@pytest.mark.parametrize(
    ("text", "host", "port"),
    [
        (":10296", "", 10296),
        ("0.0.0.0:0", "0.0.0.0", 0),  # noqa: S104 - compared, not bound
        ("localhost:65535", "localhost", 65535),
        ("[::]:80", "::", 80),
        ("[fe80::1]:80", "fe80::1", 80),
    ],
)
def test_a_listen_address_has_a_host_and_a_port(text: str, host: str, port: int) -> None:
    address = TypeAdapter(ListenAddress).validate_python(text)
    assert (address.host, address.port, address) == (host, port, text)


@pytest.mark.parametrize(
    ("text", "endpoint"),
    [
        ("https://dli.cn-north-4.myhuaweicloud.com", None),
        ("https://dli.example.com:443/", "https://dli.example.com:443"),
        ("HTTPS://DLI.Example.Com", "https://dli.example.com"),
        ("https://[2001:db8::1]:8443", None),
        ("http://localhost:10297", None),
        ("http://127.1.2.3", None),
        ("http://[::1]:80", None),
    ],
)
def test_an_endpoint_is_a_scheme_a_host_and_a_port(text: str, endpoint: str | None) -> None:
    assert TypeAdapter(Endpoint).validate_python(text) == (endpoint or text)


@pytest.mark.parametrize(
    "text",
    [
        "http://10.0.0.1",
        "http://localhost.example.com",
        "http://127.0.0.1.example.com",
        "ftp://localhost",
        "dli.example.com",
        "https://",
        "https://user@example.com",
        "https://example.com/#x",
        "https://exa mple.com",
        "https://example.com:",
        "https://example.com\n",
    ],
)
def test_what_is_no_endpoint_is_refused(text: str) -> None:
    with pytest.raises(ValidationError, match="must "):
        TypeAdapter(Endpoint).validate_python(text)


@pytest.mark.parametrize(("text", "seconds"), [("+00:00", 0), ("-03:30", -12_600)])
def test_a_zone_is_seconds_east_of_utc(text: str, seconds: int) -> None:
    assert TypeAdapter(Zone).validate_python(text) == seconds


# Help


def test_help_names_every_flag_within_80_columns(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "80")
    text = FlagParser("dli-exporter").format_help()
    assert max(map(len, text.splitlines())) <= 80
    settings = Settings().model_dump()
    del settings["projects"], settings["zones"]
    for path in leaves(settings):
        assert f"--{'.'.join(path).replace('_', '-')}" in text
    for default in ("15s", ":10296", "127.0.0.1:10297", "logfmt"):
        assert f"(default: {default})" in re.sub(r"\s+", " ", text)
    assert "None" not in text
    for flag in ("--jobs ID", "--jobs-dir PATH", "--tags.labels KEY", "--simulator.spark URL"):
        assert re.search(rf"^  {flag}\s", text, re.MULTILINE)


def test_a_command_may_add_arguments_of_its_own() -> None:
    parser = FlagParser("dli-exporter wait")
    parser.add_argument("ids", nargs="+")
    parser.add_argument("--timeout", type=Duration)
    arguments = parser.parse(["--timeout", "2h", "a", "--log.level", "debug", "b"])
    assert (arguments.ids, arguments.timeout) == (["a", "b"], 7200)
    assert load(arguments, {}).log.level == "debug"


def test_a_commands_own_arguments_are_checked_too() -> None:
    parser = FlagParser("dli-exporter wait")
    parser.add_argument("ids", nargs="+", metavar="ID")
    parser.add_argument("--timeout", type=Duration)
    with pytest.raises(SettingsError, match=r"^--timeout: invalid Duration value$"):
        parser.parse(["--timeout", CANARY, "a"])
    with pytest.raises(SettingsError, match=r"required: ID$"):
        parser.parse([])
