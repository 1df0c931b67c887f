"""Settings that can be pasted."""

import shlex
from dataclasses import replace

import yaml

from exporter.simulator import demo_project, settings_environment, settings_text, settings_yaml

ADDRESS = "http://127.0.0.1:10297"
ONE = demo_project(1)
JOBS = ("85798b38-ae44-48eb-bb90-7cf0dcdafe7b", "00000000-0000-4000-8000-000000000000")


def variables(text: str) -> dict[str, str]:
    """Read ``export`` lines as a shell does."""
    words = (shlex.split(line) for line in text.splitlines())
    return dict(word.split("=", 1) for export, word in words if export == "export")


def test_a_project_as_variables_of_a_shell() -> None:
    assert variables(settings_environment(ADDRESS, ONE, JOBS)) == {
        "HUAWEICLOUD_SDK_AK": ONE.ak,
        "HUAWEICLOUD_SDK_SK": ONE.sk,
        "HUAWEICLOUD_SDK_PROJECT_ID": ONE.id,
        "DLI_EXPORTER_PROJECTS__DEFAULT__ENDPOINT": ADDRESS,
        "DLI_EXPORTER_PROJECTS__DEFAULT__JOBS": ",".join(JOBS),
    }


def test_a_security_token_is_a_variable_too() -> None:
    temporary = replace(ONE, security_token="a b'c")
    found = variables(settings_environment(ADDRESS, temporary, ()))
    assert found.pop("HUAWEICLOUD_SDK_SECURITY_TOKEN") == temporary.security_token
    assert "DLI_EXPORTER_PROJECTS__DEFAULT__JOBS" not in found


def test_projects_as_a_settings_file() -> None:
    two = replace(demo_project(1, "two"), id="0" * 32, security_token="t")
    assert yaml.safe_load(settings_yaml(ADDRESS, [ONE, two], {ONE.id: JOBS})) == {
        "projects": {
            "default": {
                "endpoint": ADDRESS,
                "project_id": ONE.id,
                "credentials": {"provider": "static", "ak": ONE.ak, "sk": ONE.sk},
                "jobs": list(JOBS),
            },
            "two": {
                "endpoint": ADDRESS,
                "project_id": "0" * 32,
                "credentials": {
                    "provider": "static",
                    "ak": two.ak,
                    "sk": two.sk,
                    "security_token": "t",
                },
            },
        }
    }


def test_only_a_single_project_is_shown_both_ways() -> None:
    text = settings_text(ADDRESS, [ONE], {ONE.id: JOBS})
    assert text.startswith("projects:\n")
    assert "\nexport HUAWEICLOUD_SDK_AK=" in text
    assert "export" not in settings_text(ADDRESS, [ONE, demo_project(1, "two")], {})


def test_a_seed_makes_up_the_same_credentials_each_time() -> None:
    assert demo_project(1) == ONE
    assert demo_project(2).sk != ONE.sk
    assert demo_project(1, "two").id != ONE.id
