"""Where settings come from: flags, the environment and the vendor's own variables.

Each source gives a tree of plain values, named as the model names them.
"""

import argparse
import re
from collections.abc import Iterable, Mapping, Sequence
from functools import reduce
from typing import Any, Final, NoReturn

from .mistakes import Path, SettingsError, dotted
from .model import DEFAULT_PROJECT, Settings, explain

Tree = dict[str, Any]

_PREFIX: Final = "DLI_EXPORTER_"
_SERVICE_LINK: Final = re.compile(
    r"DLI_EXPORTER_(?:[A-Z0-9]+_)*"
    r"(?:SERVICE_HOST|SERVICE_PORT(?:_[A-Z0-9]+)*|PORT(?:_[0-9]+_[A-Z]+(?:_[A-Z]+)?)?)"
)
"""What Kubernetes puts into every pod beside a Service called ``dli-exporter`` or so."""

_VENDOR: Final[Mapping[tuple[str, ...], str]] = {
    ("credentials", "ak"): "HUAWEICLOUD_SDK_AK",
    ("credentials", "sk"): "HUAWEICLOUD_SDK_SK",
    ("credentials", "security_token"): "HUAWEICLOUD_SDK_SECURITY_TOKEN",
    ("project_id",): "HUAWEICLOUD_SDK_PROJECT_ID",
    ("region",): "HUAWEICLOUD_SDK_REGION",
    ("iam_endpoint",): "HUAWEICLOUD_SDK_IAM_ENDPOINT",
}
"""The variables of the vendor's SDK, and what of the project ``default`` each is."""

_METAVARS: Final = {
    "float": "NUMBER",
    "int": "NUMBER",
    "ListenAddress": "ADDRESS",
    "--jobs": "ID",
    "--simulator.spark": "URL",
    "--tags.name": "KEY",
    "--tags.deadline": "KEY",
    "--tags.labels": "KEY",
}
"""Types as pydantic-settings writes them, for people; text has a word for each flag."""

_NO_FLAGS: Final = ("--projects", "--zones")
"""What is too deep for a flag."""

_EPILOG: Final = """\
A flag wins over its environment variable, and that over the file. The variable
of --poll.interval is DLI_EXPORTER_POLL__INTERVAL. What a project sets has no
flags, but variables: DLI_EXPORTER_PROJECTS__PROD__REGION. HUAWEICLOUD_SDK_AK,
_SK, _SECURITY_TOKEN, _PROJECT_ID and _REGION make up the project `default`;
DLI_EXPORTER_PROJECTS__DEFAULT__DISCOVERY__ENABLED=true finds the jobs in it."""


class FlagParser(argparse.ArgumentParser):
    """A parser that knows a flag for each setting; commands may add arguments of their own."""

    def __init__(
        self, prog: str, description: str | None = None, usage: str = "%(prog)s [FLAG...]"
    ) -> None:
        """Take what stands around the flags in ``--help``."""
        super().__init__(
            prog=prog,
            description=description,
            usage=usage,
            epilog=_EPILOG,
            formatter_class=argparse.RawDescriptionHelpFormatter,
            allow_abbrev=False,
            exit_on_error=False,
        )
        explain()
        # Here: most containers have no flags, and it takes 15 ms and 1.6 MiB.
        from pydantic_settings import BaseSettings, CliSettingsSource, SettingsConfigDict

        class Flags(Settings, BaseSettings):
            __doc__ = Settings.__doc__
            model_config = SettingsConfigDict(
                # They hold plain words, never JSON: a list is separated by commas.
                enable_decoding=False,
                cli_avoid_json=True,
                cli_hide_none_type=True,
                cli_implicit_flags=True,
                cli_kebab_case=True,
                cli_use_class_docs_for_groups=True,
            )

        CliSettingsSource[Flags](
            Flags, cli_parse_args=False, root_parser=self, add_argument_method=_add_flag
        )

    def parse(self, argv: Sequence[str]) -> argparse.Namespace:
        """Parse *argv*; raises SettingsError, and ends the process after ``--help``."""
        try:
            found, rest = self.parse_known_intermixed_args(list(argv))
        except argparse.ArgumentError as error:
            raise SettingsError([_without_value(error)]) from None
        if rest:
            raise SettingsError(_unknown_flags(rest, self._shown_flags()))
        return found

    def _shown_flags(self) -> list[str]:
        """Return what ``--help`` lists; there is a flag for each section too, which it hides."""
        return [
            name
            for name, action in self._option_string_actions.items()
            if name.startswith("--") and action.help != argparse.SUPPRESS
        ]

    def error(self, message: str) -> NoReturn:
        """Raise what argparse would print: a positional argument that is missing, by name."""
        raise SettingsError([message])


def _add_flag(parser: Any, *names: str, **words: Any) -> None:
    """Add a flag as pydantic-settings makes it, with help that is for people."""
    if names[0] in _NO_FLAGS:
        return
    words["help"] = re.sub(r" \(default: (None|\(\))\)$", "", words["help"])
    metavar = str(words.get("metavar", "{"))
    if not metavar.startswith("{"):
        words["metavar"] = _METAVARS.get(names[0]) or _METAVARS.get(metavar, metavar.upper())
    parser.add_argument(*names, **words)


def _without_value(error: argparse.ArgumentError) -> str:
    """Put argparse's error into a line, less the value that some of its texts quote."""
    ignored = error.message.startswith("ignored explicit argument")
    wrong = "takes no value" if ignored else error.message.partition(":")[0]
    return f"{error.argument_name}: {wrong}" if error.argument_name else wrong


def _unknown_flags(rest: Sequence[str], known: Sequence[str]) -> list[str]:
    """Name the unknown flags; a word after one is taken for its value, which may be a secret."""
    flags = [word.partition("=")[0] for word in rest if word.startswith("--")]
    if not rest[0].startswith("--"):
        return ["unexpected argument; allowed: flags, as --help lists them"]
    from difflib import get_close_matches  # here: only mistakes need it

    return [
        f"{flag if re.fullmatch('--[a-z0-9._-]{1,48}', flag) else '--…'}: "
        + (f"unknown flag; did you mean {close[0]}?" if close else "unknown flag; see --help")
        for flag in flags
        for close in [get_close_matches(flag, known, n=1)]
    ]


def from_flags(arguments: argparse.Namespace) -> Tree:
    """Take the settings out of parsed arguments."""
    return _nest(
        (name.split("."), ",".join(value) if isinstance(value, list) else value)
        for name, value in vars(arguments).items()
        if name.partition(".")[0] in Settings.model_fields
    )


def from_environment(environ: Mapping[str, str], project_names: Iterable[str]) -> Tree:
    """Take every ``DLI_EXPORTER_`` variable but Kubernetes' own; an empty one is as good as none.

    Variables are upper-case and hold neither ``-`` nor ``.``, so a project's name is matched to
    *project_names* without regard to these: ``EU_PROD`` is ``eu-prod``.
    """
    given = {
        name: value
        for name, value in environ.items()
        if value and name.startswith(_PREFIX) and not _SERVICE_LINK.fullmatch(name)
    }
    clashes = [(a, b) for a in sorted(given) for b in given if a.startswith(f"{b}__")]
    if clashes:
        raise SettingsError(f"{a}: cannot be set beside {b}" for a, b in clashes)
    names = {_variable_part(name): name for name in project_names}
    tree = _nest(
        (name.removeprefix(_PREFIX).lower().split("__"), value) for name, value in given.items()
    )
    if isinstance(projects := tree.get("projects"), dict):
        tree["projects"] = {
            names.get(_variable_part(name), name): project for name, project in projects.items()
        }
    return tree


def from_vendor(environ: Mapping[str, str], configured: Tree) -> Tree:
    """Make up or complete the project ``default`` from the variables of the vendor's SDK.

    They are heeded when there is no project at all, or when ``default`` is begun (by a setting of
    its own, such as ``discovery.enabled``, or by top-level ``jobs``, but not by ``jobs_dir``: its
    files may name other projects) but lacks its id, its region or its credentials. A complete
    ``default`` and projects of other names are left alone, so that a shell which happens to have
    the variables set breaks nothing. Heeded, they count as environment: they win over the file,
    and lose to ``DLI_EXPORTER_`` variables and flags. Keys are not mixed with credentials of
    another provider.
    """
    given = {path: environ[name] for path, name in _VENDOR.items() if environ.get(name)}
    projects = _section(configured, "projects")
    default = _section(projects, DEFAULT_PROJECT)
    wanted = not projects or default or configured.get("jobs")
    if not given or not wanted or _is_complete(default):
        return {}
    credentials = default.get("credentials", {})
    if isinstance(credentials, dict) and credentials.get("provider", "static") == "static":
        given["credentials", "provider"] = "static"
    else:
        given = {path: value for path, value in given.items() if path[0] != "credentials"}
    return {"projects": {DEFAULT_PROJECT: _nest(given.items())}}


def _is_complete(default: Tree) -> bool:
    credentials = _section(default, "credentials")
    has_keys = credentials.get("provider") != "static" or {"ak", "sk"} <= credentials.keys()
    has_place = default.get("region") or default.get("endpoint")
    return bool(credentials and has_keys and has_place and default.get("project_id"))


def without_projects(tree: Tree) -> Tree:
    """Leave out the projects, and the jobs that belong to one."""
    return {name: value for name, value in tree.items() if name not in ("projects", "jobs")}


def _section(tree: Tree, name: str) -> Tree:
    """Take a section; nothing of what stands there instead of one, which validation will refuse."""
    section = tree.get(name)
    return section if isinstance(section, dict) else {}


def merge(*trees: Tree) -> Tree:
    """Lay each tree over the ones before it, section by section."""
    return reduce(_lay_over, trees, {})


def _lay_over(low: Tree, high: Tree) -> Tree:
    both = {
        name: _lay_over(low[name], high[name])
        for name in low.keys() & high.keys()
        if isinstance(low[name], dict) and isinstance(high[name], dict)
    }
    return {**low, **high, **both}


def _nest(values: Iterable[tuple[Sequence[str], Any]]) -> Tree:
    """Make a tree of paths and values."""
    tree: Tree = {}
    for (*parents, name), value in values:
        section = tree
        for parent in parents:
            section = section.setdefault(parent, {})
        section[name] = value
    return tree


def as_flag(path: Path) -> str:
    """Write *path* as a flag."""
    return "--" + dotted(_names(path)).replace("_", "-")


def as_variable(path: Path) -> str:
    """Write *path* as an environment variable."""
    return _PREFIX + "__".join(_variable_part(name).upper() for name in _names(path))


def as_vendor_variable(path: Path) -> str:
    """Write *path* as the vendor's variable, where there is one."""
    default = path[:2] == ("projects", DEFAULT_PROJECT)
    return (default and _VENDOR.get(_names(path[2:]))) or dotted(path)


def _names(path: Path) -> tuple[str, ...]:
    """Leave out places in a list: in flags and variables a list is one text."""
    return tuple(name for name in path if isinstance(name, str))


def _variable_part(name: str) -> str:
    return re.sub("[^a-z0-9_…]", "_", name.lower())
