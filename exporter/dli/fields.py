"""Reading single fields out of JSON that may hold anything: nothing here raises but ``load``."""

import json
import re
from collections.abc import Iterable, Mapping, Sequence
from math import isfinite
from typing import Final, NoReturn, TypeGuard

from .errors import ParseError
from .times import parse_time

_INTEGER: Final = re.compile(r"[+-]?\d{1,19}", re.ASCII)
_NUMBER: Final = re.compile(r"[+-]?(?:\d+\.?\d*|\.\d+)(?:[eE][+-]?\d{1,3})?", re.ASCII)
_CAPITAL: Final = re.compile(r"(?<=[a-z])[A-Z]")
LARGEST: Final = 2**63 - 1
"""The largest figure that is believed."""
_NONE: Final[frozenset[str]] = frozenset()


def load(body: bytes) -> object:
    """Parse a JSON body, strictly; ParseError for whatever Python's parser stumbles over.

    Python accepts NaN and Infinity, which are no JSON; deep nesting and integers of thousands
    of digits end in a RecursionError and a ValueError.
    """
    try:
        # As json.loads does it, which would make a decoder anew: that is a tenth of its time.
        document: object = _DECODER.decode(body.decode(json.detect_encoding(body), "surrogatepass"))
        return document
    except json.JSONDecodeError as error:
        raise ParseError(f"the answer is not JSON: {error.msg} at {error.pos}") from None
    except UnicodeDecodeError:
        raise ParseError("the answer is not JSON: it is not in UTF-8") from None
    except ValueError:
        raise ParseError("the answer is not JSON: it holds a number that is none") from None
    except RecursionError:
        raise ParseError("the answer is nested too deeply") from None


def cut(text: str, size: int) -> str:
    """Make text fit for a label: at most ``size`` bytes of UTF-8, and no lone surrogates."""
    if len(text) <= size and text.isascii():  # as a rule
        return text
    return text.encode("utf-8", "replace")[:size].decode("utf-8", "ignore")


def is_count(value: object) -> TypeGuard[int]:
    """Whether a value is a count as it should be, which needs no closer look."""
    return type(value) is int and 0 <= value <= LARGEST


def are_plain(names: Iterable[str], documented: frozenset[str]) -> bool:
    """Whether all names are in snake_case: that is the rule, and soon seen of documented ones."""
    return documented.issuperset(names) or "".join(names).islower()


class Notes:
    """The names of the fields that could not be taken as they came: a small, fixed set."""

    __slots__ = ("out_of_range", "unreadable")

    def __init__(self) -> None:
        """Start with nothing to complain about."""
        self.unreadable: set[str] = set()
        self.out_of_range: set[str] = set()


class Record:
    """One JSON object of an answer, read field by field.

    A field that is missing or null gives None (or an empty text); one that cannot be read
    gives the same and is noted under ``prefix + name``. Names may come in camelCase, as some
    of DLI's APIs have it.
    """

    __slots__ = ("_fields", "_notes", "_prefix")

    def __init__(
        self,
        fields: Mapping[str, object],
        notes: Notes,
        prefix: str = "",
        documented: frozenset[str] = _NONE,
    ) -> None:
        """Take the object's fields, and where to note what is wrong with them.

        If all names are among the ``documented`` ones, which are in snake_case, that is soon seen.
        """
        plain = are_plain(fields, documented)
        self._fields = fields if plain else {_snake(name): value for name, value in fields.items()}
        self._notes = notes
        self._prefix = prefix

    def __contains__(self, name: str) -> bool:
        """Tell whether the field was given at all, if only as null."""
        return name in self._fields

    def raw(self, name: str) -> object:
        """Give the field as it came; None if it is missing or null."""
        return self._fields.get(name)

    def number(self, name: str, *, blank: bool = False) -> float | None:
        """Read a finite number or a numeric string; with ``blank`` an empty string is none."""
        value = self._fields.get(name)
        if value is None or (blank and value == ""):
            return None
        if (number := _number(value)) is None:
            self.unreadable(name)
        return number

    def integer(self, name: str, *, blank: bool = False) -> int | None:
        """Read a whole number of 64 bits, which may come as 5.0 or as a string."""
        value = self._fields.get(name)
        if value is None or (blank and value == ""):
            return None
        if (number := _integer(value)) is None:
            self.unreadable(name)
        return number

    def count(self, name: str, *, blank: bool = False) -> int | None:
        """Read a count; a negative one (Spark has bugs) is noted and becomes 0."""
        number = self.integer(name, blank=blank)
        if number is not None and number < 0:
            self.out_of_range(name)
            return 0
        return number

    def counts(self, names: Iterable[str]) -> list[int | None]:
        """Read several counts; a sub-job has a dozen."""
        get = self._fields.get
        return [value if is_count(value := get(name)) else self.count(name) for name in names]

    def seconds(self, name: str) -> float | None:
        """Read a duration in milliseconds; a negative one is noted and becomes 0."""
        milliseconds = self.count(name)
        return None if milliseconds is None else milliseconds / 1000

    def moment(self, name: str) -> float | None:
        """Read epoch milliseconds as Unix seconds; 0 means "not yet"."""
        return self.seconds(name) or None

    def time(self, name: str, zones: Mapping[str, int]) -> float | None:
        """Read a time that is written out; an empty one is none."""
        value = self._fields.get(name)
        if value is None or value == "":
            return None
        moment = parse_time(value, zones) if isinstance(value, str) else None
        if moment is None:
            self.unreadable(name)
        return moment

    def text(self, name: str, size: int = 256) -> str:
        """Read a text that may become a label, cut at ``size`` bytes."""
        value = self._fields.get(name)
        if value is None:
            return ""
        if not isinstance(value, str):
            self.unreadable(name)
            return ""
        return cut(value, size)

    def flag(self, name: str) -> bool | None:
        """Read a boolean, which DLI's own samples also give as a string."""
        value = self._fields.get(name)
        if isinstance(value, str) and value.lower() in ("true", "false"):
            return value.lower() == "true"
        if value is not None and not isinstance(value, bool):
            self.unreadable(name)
            return None
        return value

    def items(self, name: str) -> Sequence[object] | None:
        """Read a list; None, noted, for anything else that is not null."""
        value = self._fields.get(name)
        if value is None:
            return ()
        if not isinstance(value, list):
            self.unreadable(name)
            return None
        return value

    def unreadable(self, name: str) -> None:
        """Note that a field could not be read."""
        self._notes.unreadable.add(self._prefix + name)

    def out_of_range(self, name: str) -> None:
        """Note that a field has a value that it cannot have."""
        self._notes.out_of_range.add(self._prefix + name)


def _refuse(constant: str) -> NoReturn:
    raise ValueError(constant)


_DECODER: Final = json.JSONDecoder(parse_constant=_refuse)


def _snake(name: str) -> str:
    return name if name.islower() else _CAPITAL.sub(lambda match: f"_{match[0]}", name).lower()


def _number(value: object) -> float | None:
    if isinstance(value, str):
        value = float(value) if _NUMBER.fullmatch(value.strip()) else None
    if isinstance(value, bool) or not isinstance(value, int | float):
        return None
    if isinstance(value, int):
        return float(value) if abs(value) <= LARGEST else None
    return value + 0.0 if isfinite(value) else None  # -0.0 becomes 0.0: they are equal


def _integer(value: object) -> int | None:
    if isinstance(value, str):
        value = int(value) if _INTEGER.fullmatch(value.strip()) else None
    if isinstance(value, float) and value.is_integer():
        value = int(value)
    if isinstance(value, bool) or not isinstance(value, int):
        return None
    return value if abs(value) <= LARGEST else None
