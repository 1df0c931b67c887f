"""What is wrong with the settings: one line per mistake, and no secret in any of them."""

import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import reduce
from typing import Any, Final, NamedTuple, get_args, get_origin

from pydantic import BaseModel, ValidationError
from pydantic_core import ErrorDetails

Path = tuple[str | int, ...]
"""The names that lead to a setting; a number is a place in a list."""

_WORDS: Final[Mapping[str, str]] = {
    "bool_parsing": "must be true or false",
    "bool_type": "must be true or false",
    "dict_type": "must be a section: `name: value` lines",
    "finite_number": "must be a finite number",
    "float_parsing": "must be a number",
    "float_type": "must be a number",
    "int_parsing": "must be a whole number",
    "int_parsing_size": "must be a smaller number",
    "int_type": "must be a whole number",
    "model_type": "must be a section: `name: value` lines",
    "model_attributes_type": "must be a section: `name: value` lines",
    "path_not_directory": "must be a directory that exists",
    "path_not_file": "must be a file that exists",
    "path_type": "must be a path",
    "string_type": "must be text",
    "tuple_type": "must be a list",
}
"""Pydantic's kinds of error, for people."""

_PROVIDERS: Final = (
    *("static", "file", "token", "password", "pod_identity", "oidc", "metadata", "auto"),
)
_PROVIDER_WRONG: Final = f"must be one of {', '.join(_PROVIDERS)}"
_AUTO_FOUND_NONE: Final = (
    "auto found nothing; set HC_CONTAINER_CREDENTIALS_FULL_URI and "
    "HC_CONTAINER_AUTHORIZATION_TOKEN_FILE (pod_identity), HUAWEICLOUD_OIDC_PROVIDER_URN or "
    "HUAWEICLOUD_SDK_IDP_ID (oidc), directory (file), or HUAWEICLOUD_SDK_AK and _SK (static)"
)

_SHOWN_VALUE: Final = 12
"""Longest value to repeat in a message: no key, token or project id is as short."""

_SHOWN_NAME: Final = re.compile(r"[a-z][a-z0-9_./-]{0,31}")
"""A wrong name that may be repeated; another may be a secret in a wrong place."""


class SettingsError(Exception):
    """The settings cannot be used: ``lines`` says why, one line per mistake."""

    def __init__(self, lines: Iterable[str]) -> None:
        """Keep the lines."""
        self.lines = tuple(lines)
        super().__init__("\n".join(self.lines))


class Source(NamedTuple):
    """One place that settings came from, and how a path is written there."""

    tree: Mapping[str, Any]
    spell: Callable[[Path], str]

    def gives(self, path: Path) -> bool:
        """Whether this source has a value at *path*, or for a list that *path* points into."""
        value: Any = self.tree
        for name in path:
            if isinstance(name, int):
                return True
            if not isinstance(value, Mapping) or name not in value:
                return False
            value = value[name]
        return True


def dotted(path: Path) -> str:
    """Write *path* with dots: ``projects.prod.jobs.0``; a name that nobody can mean is ``…``."""
    names = (str(name) for name in path)
    return ".".join(name if name.isprintable() and len(name) <= 64 else "…" for name in names)


def describe(
    error: ValidationError, model: type[BaseModel], sources: Sequence[Source], unset: Source
) -> list[str]:
    """Put every mistake into a line.

    It begins with the path as the winning source writes it, or as *unset* would.
    """
    lines = []
    for mistake in _told(error.errors(include_url=False)):
        path = _path(mistake)
        source = next((source for source in sources if source.gives(path)), unset)
        if mistake["type"] == "extra_forbidden":
            path, wrong = _unknown(path, _section_at(model, mistake["loc"][:-1]))
        else:
            wrong = _wrong(mistake, model) + _got(mistake, path)
        lines.append(f"{source.spell(path) or 'settings'}: {wrong}")
    return list(dict.fromkeys(lines))


def _told(mistakes: Sequence[ErrorDetails]) -> Iterable[ErrorDetails]:
    """Leave out what stands under a name that is wrong itself."""
    bad_names = {mistake["loc"][:-1] for mistake in mistakes if "[key]" in mistake["loc"]}
    for mistake in mistakes:
        place = mistake["loc"]
        if "[key]" in place or not any(place[: len(name)] == name for name in bad_names):
            yield mistake


def _path(mistake: ErrorDetails) -> Path:
    """Drop from pydantic's path what no operator wrote, and add what it leaves out."""
    path = list(mistake["loc"])
    if "[key]" in path:
        name = str(path[-2])
        return (*path[:-2], name if _SHOWN_NAME.fullmatch(name.lower()) else "…")
    if _in_credentials(path):
        del path[3:4]  # the provider, which chose the model
    about_provider = mistake["type"] in ("union_tag_invalid", "union_tag_not_found")
    return (*path, "provider") if about_provider else tuple(path)


def _in_credentials(path: Sequence[str | int]) -> bool:
    return "credentials" in path[2:3]  # only a project lies so deep


def _wrong(mistake: ErrorDetails, model: type[BaseModel]) -> str:
    kind, context = mistake["type"], mistake.get("ctx", {})
    if kind == "missing":
        field = _section_at(model, mistake["loc"][:-1]).model_fields[str(mistake["loc"][-1])]
        return f"is missing; needed: {field.description}"
    if kind == "union_tag_not_found":
        return f"is missing; allowed: {', '.join(_PROVIDERS)}"
    if kind == "union_tag_invalid":
        return _AUTO_FOUND_NONE if context["tag"] == "auto" else _PROVIDER_WRONG
    return _WORDS.get(kind) or mistake["msg"].replace("Input should be", "must be")


def _section_at(model: type[BaseModel], path: Path) -> type[BaseModel]:
    """Follow pydantic's path down to the section that the last name stands in."""
    return reduce(_inside, path, model)


def _inside(kind: Any, name: str | int) -> Any:
    if isinstance(kind, type) and issubclass(kind, BaseModel):
        return kind.model_fields[str(name)].annotation
    if get_origin(kind) is dict:
        return get_args(kind)[1]
    return next(
        choice
        for choice in get_args(kind)
        if get_args(choice.model_fields["provider"].annotation) == (name,)
    )


def _got(mistake: ErrorDetails, path: Path) -> str:
    """Repeat a short wrong value, but nothing that stands where credentials or a section should."""
    value, section = mistake["input"], mistake["type"].startswith(("dict_", "model_"))
    if _in_credentials(path) or section or not isinstance(value, str):
        return ""
    return f" (got {value})" if value.isprintable() and 1 <= len(value) <= _SHOWN_VALUE else ""


def _unknown(path: Path, section: type[BaseModel]) -> tuple[Path, str]:
    """Say which setting was meant; a name that may be a secret is left out of the path."""
    from difflib import get_close_matches  # here: only mistakes need it

    name, allowed = str(path[-1]), sorted(section.model_fields)
    if close := get_close_matches(name.lower(), allowed, n=1):
        return path, f"unknown setting; did you mean {close[0]}?"
    harmless = not _in_credentials(path) and _SHOWN_NAME.fullmatch(name.lower())
    shown = path if harmless else (*path[:-1], "…")
    return shown, f"unknown setting; allowed: {', '.join(allowed)}"
