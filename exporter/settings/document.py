"""The settings file: YAML read as plain text values, strictly and within bounds."""

import re
from pathlib import Path
from typing import Any, Final

import yaml

from .mistakes import SettingsError

_MAX_BYTES: Final = 1 << 20
_MAX_DEPTH: Final = 16
_STANDARD_TAG: Final = re.compile(
    r"tag:yaml\.org,2002:(str|int|float|bool|null|timestamp|value|seq|map)"
)


def read(path: Path, *, may_be_empty: bool = False) -> dict[str, Any]:
    """Read the settings file; raises SettingsError with one line saying what is wrong with it."""
    try:
        return _tree(_text(path), may_be_empty)
    except _BadFileError as error:
        raise SettingsError([f"{path}: {error}"]) from None


class _BadFileError(Exception):
    """What is wrong with the file; its text quotes nothing of the file's values."""


def _text(path: Path) -> str:
    try:
        if path.exists() and not path.is_file():
            raise _BadFileError("is not a file")
        with path.open("rb") as file:
            data = file.read(_MAX_BYTES + 1)
    except (OSError, ValueError) as error:  # ValueError: a NUL in the path
        reason = error.strerror if isinstance(error, OSError) else "no such path"
        raise _BadFileError(f"cannot be read: {reason}") from None
    if len(data) > _MAX_BYTES:
        raise _BadFileError(f"is too large; allowed: {_MAX_BYTES} bytes")
    try:
        return data.decode("utf-8-sig")
    except UnicodeDecodeError:
        raise _BadFileError("is not UTF-8 text") from None


def _tree(text: str, may_be_empty: bool) -> dict[str, Any]:
    try:
        _refuse_growth(text)
        root = yaml.compose(text, yaml.SafeLoader)
        value = _value(root) if root else None
    except yaml.MarkedYAMLError as error:
        raise _at(error.problem_mark or error.context_mark, _problem(error)) from None
    except yaml.YAMLError:
        raise _BadFileError("is not YAML: it holds control characters") from None
    if value is None and may_be_empty:
        return {}
    if value is None:
        raise _BadFileError("is empty; leave --config.file out to run without a file")
    if not isinstance(value, dict):
        raise _BadFileError("must hold settings as `name: value` lines")
    return value


def _refuse_growth(text: str) -> None:
    """Refuse what makes a small file a large tree, before there is a tree."""
    depth = 0
    for event in yaml.parse(text, yaml.SafeLoader):
        depth += isinstance(event, yaml.CollectionStartEvent)
        depth -= isinstance(event, yaml.CollectionEndEvent)
        if depth > _MAX_DEPTH:
            raise _at(event.start_mark, "is nested too deeply")
        if isinstance(event, yaml.AliasEvent):
            raise _at(event.start_mark, "a YAML alias (*name) is not allowed; write it out")


def _problem(error: yaml.MarkedYAMLError) -> str:
    """Take the parser's words less the longer ones it quotes: they may be secret."""
    words = ", ".join(part for part in (error.context, error.problem) if part)
    return "is not YAML: " + re.sub(
        "'[^']*'", lambda quoted: quoted[0] if len(quoted[0]) <= 3 else "…", words
    )


def _at(mark: Any, wrong: str) -> _BadFileError:  # PyYAML has two kinds of mark
    return _BadFileError(f"line {mark.line + 1}: {wrong}" if mark else wrong)


def _value(node: yaml.Node) -> Any:
    """Take a node as text, lists and mappings.

    YAML's own guesses are left aside (``NO`` is false, ``+10:00`` is 600, ``0123`` is 83):
    a file then means what the same words mean in a flag or in the environment.
    """
    if not _STANDARD_TAG.fullmatch(node.tag):
        raise _at(node.start_mark, "a YAML tag (!name) is not allowed")
    if isinstance(node, yaml.SequenceNode):
        return [_value(item) for item in node.value]
    if isinstance(node, yaml.MappingNode):
        return _mapping(node)
    return None if node.tag.endswith(":null") else node.value


def _mapping(node: yaml.MappingNode) -> dict[str, Any]:
    values: dict[str, Any] = {}
    for key, value in node.value:
        if not isinstance(key, yaml.ScalarNode) or key.tag.endswith(":merge"):
            raise _at(key.start_mark, "a name must be plain text")
        if key.value in values:
            raise _at(key.start_mark, "the same name is set twice")
        values[key.value] = _value(value)
    return values
