"""Faults to inject: which request is struck, and what happens to it instead of an answer."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, fields
from enum import StrEnum
from random import Random
from types import MappingProxyType
from typing import Any, Final

from .answers import JSON_TYPE, Answer, Refusal


class Endpoint(StrEnum):
    """The calls that a fault or a counter can name."""

    PROGRESS = "progress"
    LIST = "list"
    STATUS = "status"
    UNKNOWN = "unknown"


class Cut(StrEnum):
    """Where the connection is cut."""

    BEFORE = "before"
    """Reset before a byte of the answer."""
    IN_BODY = "in_body"
    """Reset after half of the body; Content-Length promised all of it."""
    AFTER = "after"
    """Closed after a whole answer, without a word of warning to a client that keeps it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Fault:
    """A rule: which requests are struck, and what happens to them.

    Struck are those of ``endpoint``, ``project`` (id) and ``job_id``, where given, with
    ``probability``, after the first ``skip``, at most ``count`` times.

    What happens: after ``delay`` seconds, an answer made of ``status`` (200 for a ``body``
    alone) and either ``body`` as it is or an error of ``code`` and ``message``, with
    ``headers``; or, when none of these is given, the true answer, which ``rewrite`` may
    change (within one process only). The answer then goes out whole, or cut as ``cut`` says,
    or at ``trickle`` bytes a second.
    """

    endpoint: Endpoint | None = None
    project: str | None = None
    job_id: str | None = None
    probability: float = 1.0
    skip: int = 0
    count: int | None = None
    delay: float = 0.0
    status: int | None = None
    code: str = "DLI.0999"
    message: str = "The queue backend version is too old or the queue is busy."
    body: str | None = None
    content_type: str = JSON_TYPE
    headers: Mapping[str, str] = field(default_factory=dict)
    rewrite: Callable[[dict[str, Any]], object] | None = None
    cut: Cut | None = None
    trickle: float | None = None

    def __post_init__(self) -> None:
        """Refuse, in one line, a rule that cannot be followed."""
        _require(0 <= self.probability <= 1, "probability", "within [0, 1]")
        _require(self.status is None or 200 <= self.status <= 599, "status", "within [200, 599]")
        _require(0 <= self.delay < 86_400, "delay", "within [0, 86400) seconds")
        _require(self.skip >= 0, "skip", "0 or more")
        _require(self.count is None or self.count >= 1, "count", "1 or more")
        _require(self.trickle is None or self.trickle > 0, "trickle", "above 0 bytes a second")

    def covers(self, endpoint: Endpoint, project: str, job_id: str) -> bool:
        """Tell whether a request is of the kind that the rule is about."""
        return (
            self.endpoint in (None, endpoint)
            and self.project in (None, project)
            and self.job_id in (None, job_id)
        )

    def answer(self, request_id: str) -> Answer | None:
        """Give the answer that stands in for the true one, if the rule has one."""
        if self.body is not None:
            status = 200 if self.status is None else self.status
            return Answer(status, self.body.encode(), self.content_type, self.headers)
        if self.status is not None:
            return Refusal(self.status, self.code, self.message, self.headers).answer(request_id)
        return None


_JSON_FIELDS: Final[Mapping[str, tuple[type, ...]]] = MappingProxyType(
    {
        **dict.fromkeys(("endpoint", "project", "job_id", "code", "message", "body"), (str,)),
        **dict.fromkeys(("content_type", "cut"), (str,)),
        **dict.fromkeys(("skip", "count", "status"), (int,)),
        **dict.fromkeys(("probability", "delay", "trickle"), (int, float)),
        "headers": (dict,),
    }
)


def fault_from_json(data: object) -> Fault:
    """Read a rule; ValueError says in one line which key is wrong and what is allowed."""
    if not isinstance(data, dict):
        raise ValueError("a fault is an object")
    for key, value in data.items():
        allowed = _JSON_FIELDS.get(key)
        _require(allowed is not None, repr(key), f"one of {', '.join(_JSON_FIELDS)}")
        fits = isinstance(value, allowed or ()) and not isinstance(value, bool)
        names = " or ".join(kind.__name__ for kind in allowed or ())
        _require(fits, key, f"of type {names}")
    headers = data.get("headers", {})
    _require(all(isinstance(value, str) for value in headers.values()), "headers", "texts")
    words = {"endpoint": _member(Endpoint, data, "endpoint"), "cut": _member(Cut, data, "cut")}
    return Fault(**{**data, **words})


def fault_as_json(fault: Fault) -> dict[str, Any]:
    """Write the rule's fields that differ from their defaults."""
    values = {each.name: getattr(fault, each.name) for each in fields(fault)}
    default = Fault()
    return {
        name: dict(value) if name == "headers" else value
        for name, value in values.items()
        if name != "rewrite" and value != getattr(default, name)
    }


@dataclass(slots=True)
class _Rule:
    fault: Fault
    chance: Random
    seen: int = 0
    struck: int = 0

    def strikes(self) -> bool:
        self.seen += 1
        if self.seen <= self.fault.skip or self.exhausted:
            return False
        if self.fault.probability < 1 and self.chance.random() >= self.fault.probability:
            return False
        self.struck += 1
        return True

    @property
    def exhausted(self) -> bool:
        return self.fault.count is not None and self.struck >= self.fault.count


@dataclass(slots=True)
class FaultRules:
    """The rules in force. Of several that strike, the one added first does."""

    seed: int = 0
    _rules: dict[int, _Rule] = field(default_factory=dict)
    _added: int = 0

    def add(self, fault: Fault) -> int:
        """Put a rule in force; the number takes it back."""
        self._added += 1
        chance = Random(f"{self.seed}/{self._added}")  # noqa: S311 - must be repeatable
        self._rules[self._added] = _Rule(fault, chance)
        return self._added

    def remove(self, number: int) -> None:
        """Take a rule back; KeyError when there is none of that number."""
        del self._rules[number]

    def clear(self) -> None:
        """Take every rule back."""
        self._rules.clear()

    def strike(self, endpoint: Endpoint, project: str, job_id: str) -> Fault | None:
        """Find the fault that strikes a request, and count it."""
        for rule in self._rules.values():
            if rule.fault.covers(endpoint, project, job_id) and rule.strikes():
                return rule.fault
        return None

    def struck(self, number: int) -> int:
        """Tell how often a rule has struck."""
        return self._rules[number].struck

    def as_json(self) -> Sequence[dict[str, Any]]:
        """List the rules with their numbers and how often each has struck."""
        return [
            {"id": number, "struck": rule.struck, **fault_as_json(rule.fault)}
            for number, rule in self._rules.items()
        ]


def _member(kind: type[Endpoint] | type[Cut], data: Mapping[str, Any], key: str) -> Any:
    word = data.get(key)
    _require(word is None or word in list(kind), key, f"one of {', '.join(kind)}")
    return None if word is None else kind(word)


def _require(condition: bool, name: str, rule: str) -> None:
    if not condition:
        raise ValueError(f"fault: {name} must be {rule}")
