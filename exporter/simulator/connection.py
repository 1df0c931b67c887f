"""How to connect to a simulator, as settings that can be pasted."""

import json
import shlex
from collections.abc import Mapping, Sequence

from .gateway import Project


def settings_text(
    address: str, projects: Sequence[Project], jobs: Mapping[str, Sequence[str]]
) -> str:
    """Write the settings of every project as YAML and, for a single one, as a shell's variables.

    ``jobs`` are ids to watch by project id. The secrets are made up and meant to be shown.
    """
    blocks = [settings_yaml(address, projects, jobs)]
    if len(projects) == 1:
        blocks.append(settings_environment(address, projects[0], jobs.get(projects[0].id, ())))
    return "\n".join(blocks)


def settings_environment(address: str, project: Project, jobs: Sequence[str]) -> str:
    """Write one project's settings as lines for a shell."""
    variables = {
        "HUAWEICLOUD_SDK_AK": project.ak,
        "HUAWEICLOUD_SDK_SK": project.sk,
        "HUAWEICLOUD_SDK_SECURITY_TOKEN": project.security_token,
        "HUAWEICLOUD_SDK_PROJECT_ID": project.id,
        "DLI_EXPORTER_PROJECTS__DEFAULT__ENDPOINT": address,
        "DLI_EXPORTER_PROJECTS__DEFAULT__JOBS": ",".join(jobs),
    }
    return "".join(
        f"export {name}={shlex.quote(value)}\n" for name, value in variables.items() if value
    )


def settings_yaml(
    address: str, projects: Sequence[Project], jobs: Mapping[str, Sequence[str]]
) -> str:
    """Write the ``projects`` of a settings file."""
    lines = ["projects:"]
    for project in projects:
        lines += [f"  {each}" for each in _block(address, project, jobs.get(project.id, ()))]
    return "\n".join(lines) + "\n"


def _block(address: str, project: Project, jobs: Sequence[str]) -> list[str]:
    keys = {"provider": "static", "ak": project.ak, "sk": project.sk}
    if project.security_token:
        keys["security_token"] = project.security_token
    # JSON is YAML: quoted, an id of digits alone stays a text.
    lines = [
        f"{json.dumps(project.name)}:",
        f"  endpoint: {json.dumps(address)}",
        f"  project_id: {json.dumps(project.id)}",
        f"  credentials: {json.dumps(keys)}",
    ]
    if jobs:
        lines += ["  jobs:", *(f"    - {json.dumps(job)}" for job in jobs)]
    return lines
