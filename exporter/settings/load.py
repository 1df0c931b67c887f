"""Reading the settings: flags win over the environment, and that over the file."""

import argparse
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from . import sources
from .mistakes import SettingsError, Source, describe, dotted
from .model import Settings, explain
from .providers import complete


def load(
    flags: Sequence[str] | argparse.Namespace,
    environ: Mapping[str, str],
    *,
    projects: bool = True,
) -> Settings:
    """Read the settings from *flags* (or what ``FlagParser.parse`` made of them) and *environ*.

    Raises SettingsError with one line per mistake. ``HUAWEICLOUD_SDK_`` variables are explained at
    :func:`.sources.from_vendor`. Without *projects* those of file and environment are left aside,
    whatever they say, and so are top-level ``jobs``: for commands that do not ask the user's DLI.
    """
    if not flags:
        flags = argparse.Namespace()  # most containers have none, and the parser takes 10 ms
    elif not isinstance(flags, argparse.Namespace):
        flags = sources.FlagParser("dli-exporter").parse(flags)
    given = sources.from_flags(flags)
    file = _file(sources.merge(sources.from_environment(environ, ()), given))
    variables = sources.from_environment(environ, _project_names(file))
    vendor = sources.from_vendor(environ, sources.merge(file, variables, given))
    if not projects:
        file, variables, vendor = map(sources.without_projects, (file, variables, vendor))
    platform = complete(sources.merge(file, vendor, variables, given), environ)
    try:
        return _settings(platform.tree)
    except ValidationError as error:
        explain()
        from_file, from_vendor = Source(file, dotted), Source(vendor, sources.as_vendor_variable)
        raise SettingsError(
            describe(
                error,
                Settings,
                [
                    Source(given, sources.as_flag),
                    Source(variables, sources.as_variable),
                    from_vendor,
                    from_file,
                    Source(platform.added, platform.spell),
                ],
                unset=from_vendor if vendor else from_file,
            )
        ) from None


def require_project(settings: Settings) -> None:
    """Raise SettingsError unless there is a project to ask about.

    Any will do for ``jobs_dir`` and ``web.enable_registration`` too: a registration may name its
    project, and one that needs ``default`` where there is none is rejected by itself.
    """
    if not settings.projects:
        raise SettingsError(
            [
                "projects: is missing; needed: a project in the file (--config.file), or "
                "HUAWEICLOUD_SDK_AK, _SK, _PROJECT_ID and _REGION in the environment"
            ]
        )


def _file(configured: sources.Tree) -> sources.Tree:
    """Read the file that flags or environment name, if they do."""
    section = configured.get("config")
    path = section.get("file") if isinstance(section, dict) else None
    if not isinstance(path, str):
        return {}
    from . import document  # here: without a file nobody needs YAML

    tree = document.read(Path(path))
    if "config" in tree:
        raise SettingsError([f"{path}: config: cannot be set in the file; use --config.file"])
    return tree


def _project_names(file: sources.Tree) -> list[str]:
    projects = file.get("projects")
    return list(projects) if isinstance(projects, dict) else []


def _settings(tree: sources.Tree) -> Settings:
    values: dict[str, Any] = tree
    return Settings(**values)
