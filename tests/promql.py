"""What a PromQL expression names, and whether the catalogue has it: metrics and labels.

An expression is checked as a compiler checks types: every selector has the labels of its
metric, every operator and function takes and gives labels, and nobody may name one that is not
there. No server is asked.
"""

import re
from collections.abc import Callable, Iterator, Mapping
from types import MappingProxyType
from typing import Final, TypeAlias

import promql_parser as promql

from exporter.metrics.catalogue import FAMILIES, Family, Type

Known: TypeAlias = Mapping[str, frozenset[str]]
"""The labels of every series that may be named, by the name that a selector has."""

TARGET: Final = frozenset({"job", "instance"})
"""The labels that Prometheus gives to all that it scrapes."""
_SCRAPED: Final = (
    *("up", "scrape_duration_seconds", "scrape_samples_scraped", "scrape_series_added"),
    *("process_resident_memory_bytes", "process_cpu_seconds_total", "process_start_time_seconds"),
    *("process_virtual_memory_bytes", "process_open_fds", "process_max_fds"),
)
"""What every Prometheus and every process of prometheus_client has besides."""


class WrongPromql(ValueError):
    """An expression that cannot be true: ``str()`` says in one line what is wrong."""


def series(family: Family) -> Iterator[tuple[str, frozenset[str]]]:
    """Yield the names under which a family is stored, with the labels of each."""
    labels = frozenset(family.labels) | TARGET
    if family.type is Type.HISTOGRAM:
        yield f"{family.name}_bucket", labels | {"le"}
    if family.type in (Type.HISTOGRAM, Type.SUMMARY):
        plain = labels - {"quantile"}
        yield f"{family.name}_sum", plain
        yield f"{family.name}_count", plain
    if family.type is not Type.HISTOGRAM:
        yield family.name, labels


def _known() -> Known:
    found = {name: labels for family in FAMILIES for name, labels in series(family)}
    return MappingProxyType(found | dict.fromkeys(_SCRAPED, TARGET))


KNOWN: Final = _known()
"""The catalogue, and what every scrape and process has besides."""


def expand(text: str, values: Mapping[str, str]) -> str:
    """Replace ``$name``, ``${name}`` and ``${name:format}``; what has no value stays."""

    def value(match: re.Match[str]) -> str:
        return values.get(match[1] or match[2], match[0])

    return re.sub(r"\$(?:(\w+)|\{(\w+)(?::\w+)?\})", value, text)


def parse(expression: str) -> promql.Expr:
    """Parse an expression; WrongPromql if it is none."""
    try:
        return promql.parse(expression)
    except ValueError as error:
        raise WrongPromql(f"{error}: {expression}") from None


def selectors(expression: str) -> Iterator[promql.VectorSelector]:
    """Yield every selector of an expression."""
    return (node for node, _ in walk(parse(expression)) if isinstance(node, promql.VectorSelector))


def metrics(expression: str) -> set[str]:
    """Return the names of all series that an expression selects."""
    return {selector.name or "" for selector in selectors(expression)}


def matched(selector: promql.VectorSelector) -> dict[str, str]:
    """Return the matchers of a selector, by label; of several for one the last."""
    return {matcher.name: matcher.value for matcher in selector.matchers.matchers}


def walk(
    node: promql.Expr, above: tuple[promql.Expr, ...] = ()
) -> Iterator[tuple[promql.Expr, tuple[promql.Expr, ...]]]:
    """Yield every node of a parsed expression, with the nodes that it is part of."""
    yield node, above
    for part in _parts(node):
        yield from walk(part, (*above, node))


def _parts(node: promql.Expr) -> Iterator[promql.Expr]:
    for name in ("lhs", "rhs", "param", "expr", "vector_selector"):
        part = getattr(node, name, None)
        if part is not None:
            yield part
    yield from getattr(node, "args", ())


def labels(expression: str, known: Known = KNOWN) -> frozenset[str]:
    """Return the labels that the result of an expression may have.

    WrongPromql if it cannot be parsed, or names a metric or a label that does not exist where
    it is named.
    """
    return _Checker(known).labels(parse(expression))


class _Checker:
    """Follows labels through an expression."""

    def __init__(self, known: Known) -> None:
        self._known = known

    def labels(self, node: promql.Expr) -> frozenset[str]:
        for kind, follow in self._rules().items():
            if isinstance(node, kind):
                return follow(node)
        raise WrongPromql(f"{type(node).__name__} is not understood")

    def _rules(self) -> Mapping[type, Callable[..., frozenset[str]]]:
        inner: Callable[..., frozenset[str]] = lambda node: self.labels(node.expr)  # noqa: E731 - three rows of one table
        return {
            promql.VectorSelector: self._selector,
            promql.MatrixSelector: lambda node: self.labels(node.vector_selector),
            promql.SubqueryExpr: inner,
            promql.ParenExpr: inner,
            promql.UnaryExpr: inner,
            promql.NumberLiteral: lambda _: frozenset(),
            promql.StringLiteral: lambda _: frozenset(),
            promql.AggregateExpr: self._aggregate,
            promql.BinaryExpr: self._binary,
            promql.Call: self._call,
        }

    def _selector(self, node: promql.VectorSelector) -> frozenset[str]:
        if node.name is None or node.name not in self._known:
            raise WrongPromql(f"no such metric: {node.prettify()}")
        there = self._known[node.name]
        _require(matched(node), there, node)
        return there

    def _aggregate(self, node: promql.AggregateExpr) -> frozenset[str]:
        there = self.labels(node.expr)
        if node.param is not None:
            self.labels(node.param)
        keeping = str(node.op) in ("topk", "bottomk", "limitk", "limit_ratio")
        if node.modifier is None:
            return there if keeping else frozenset()
        named = _require(node.modifier.labels, there, node)
        if keeping:
            return there
        by = node.modifier.type == promql.AggModifierType.By
        return named if by else there - named

    def _binary(self, node: promql.BinaryExpr) -> frozenset[str]:
        left, right = self.labels(node.lhs), self.labels(node.rhs)
        scalars = [_scalar(node.lhs), _scalar(node.rhs)]
        if any(scalars):
            return right if scalars[0] else left
        matching = node.modifier.matching if node.modifier else None
        named = frozenset(matching.labels) if matching else frozenset()
        on = matching is not None and matching.type == promql.LabelModifierType.Include
        if matching:
            _require(named, left & right if on else left | right, node)
        elif left != right and str(node.op) != "or":
            raise WrongPromql(
                f"{sorted(left ^ right)} on one side only, so nothing matches: {node.prettify()}"
            )
        if str(node.op) in ("and", "or", "unless"):
            return left | right if str(node.op) == "or" else left
        return self._joined(node, left, right, named, on=on)

    def _joined(
        self,
        node: promql.BinaryExpr,
        left: frozenset[str],
        right: frozenset[str],
        named: frozenset[str],
        *,
        on: bool,
    ) -> frozenset[str]:
        card = node.modifier.card if node.modifier else None
        taken = frozenset(node.modifier.group_labels or ()) if node.modifier else frozenset()
        if card == promql.VectorMatchCardinality.ManyToOne:
            return left | _require(taken, right, node)
        if card == promql.VectorMatchCardinality.OneToMany:
            return right | _require(taken, left, node)
        return named if on else left - named

    def _call(self, node: promql.Call) -> frozenset[str]:
        name, args = node.func.name, list(node.args)
        given = [self.labels(arg) for arg in args]
        there = frozenset[str]().union(*given)
        words = [arg.val for arg in args if isinstance(arg, promql.StringLiteral)]
        if name == "label_replace":
            _require([word for word in words[2:3] if word], there, node)
            return there | {words[0]}
        if name == "label_join":
            _require(words[2:], there, node)
            return there | {words[0]}
        if name == "histogram_quantile":
            return there - _require(["le"], there, node)
        return frozenset() if name in ("scalar", "absent", "absent_over_time") else there


def _scalar(node: promql.Expr) -> bool:
    """Tell whether an expression is a number, which matches every series."""
    if isinstance(node, promql.ParenExpr | promql.UnaryExpr):
        return _scalar(node.expr)
    if isinstance(node, promql.BinaryExpr):
        return _scalar(node.lhs) and _scalar(node.rhs)
    if isinstance(node, promql.Call):
        return bool(node.func.name in ("scalar", "time", "pi"))
    return isinstance(node, promql.NumberLiteral)


def _require(
    named: Mapping[str, str] | frozenset[str] | list[str],
    there: frozenset[str],
    node: promql.Expr,
) -> frozenset[str]:
    missing = sorted(set(named) - there)
    if missing:
        raise WrongPromql(f"no label {', '.join(missing)} in {node.prettify()}")
    return frozenset(named)
