"""Which statements are one statement run again: Spark SQL without all that varies."""

import re
from collections.abc import Iterable, Iterator
from hashlib import blake2b
from typing import Final

# Spark's SqlBaseLexer.g4. Quantifiers are possessive and what is never closed reaches to the
# end (a long statement comes cut), so no text is read again and again. A doubled quote reads
# as two literals side by side.
_COMMENT: Final = r"--(?:\\\n|[^\r\n])*+"
_STRING: Final = (
    r"""(?:r'[^']*+(?:'|\Z)|r"[^"]*+(?:"|\Z)"""
    r"""|x?'(?:[^'\\]|\\.)*+(?:'|\\?\Z)|"(?:[^"\\]|\\.)*+(?:"|\\?\Z))++"""
)
_NUMBER: Final = r"[-+]?+\s*+(?:\d++(?:\.\d*+)?+|\.\d++)(?:e[-+]?+\d++)?+(?:bd|[lsydf])?+(?!\w)"
_LITERAL: Final = (
    rf"(?:(?:(?:date|timestamp)(?:_ntz|_ltz)?+\s*+)?+{_STRING}|{_NUMBER}|(?:null|true|false)\b)"
)
_GAP: Final = rf"(?:\s|{_COMMENT})*+"
_TOKEN: Final = re.compile(
    rf"(?P<gap>\s++|;|{_COMMENT})"
    r"|(?P<comment>/\*(?!\+))"
    rf"|(?P<literal>{_LITERAL}(?:{_GAP},{_GAP}{_LITERAL})*+)"
    r"|(?P<word>\w++)"
    r"|(?P<name>`(?:[^`]|``)*+(?:`|\Z))"
    r"|(?P<sign>.)",
    re.IGNORECASE | re.DOTALL,
)
_COMMENT_EDGE: Final = re.compile(r"/\*|\*/")
# What schedulers put into the names of tables: a UUID, or a date or another number of four
# digits and more (t_20261101, t_2026_11_01, tmp_1793491200). Short numbers tell names apart.
_SUFFIX: Final = re.compile(
    r"[0-9a-f]{8}[-_]?(?:[0-9a-f]{4}[-_]?){3}[0-9a-f]{12}|\d{4,}+(?:[-_]\d{1,2}(?!\d))*+"
)
_ANY: Final = "?"


def fingerprint(statement: str, queue_name: str) -> str:
    """Return a digest that all runs of one statement on one queue share.

    Literals and the length of their lists, the rows of VALUES, comments, whitespace, letter
    case, and dates and UUIDs in names make no difference; hints do. Takes time in proportion
    to the statement's length, whatever it holds.
    """
    text = "\0".join((queue_name, *_unlisted(_rowless(_tokens(statement)))))
    return blake2b(text.encode(errors="surrogatepass"), digest_size=16).hexdigest()


def _tokens(statement: str) -> Iterator[str]:
    position = 0
    while match := _TOKEN.match(statement, position):
        position = match.end()
        kind = match.lastgroup
        if kind == "comment":
            position = _comment_end(statement, position)
        elif kind == "literal":
            yield _ANY
        elif kind == "sign":
            yield match[0]
        elif kind != "gap":
            yield _SUFFIX.sub("0", match[0].strip("`").lower())


def _comment_end(statement: str, start: int) -> int:
    """Return where a bracketed comment ends: they nest."""
    depth = 1
    for edge in _COMMENT_EDGE.finditer(statement, start):
        depth += 1 if edge[0] == "/*" else -1
        if not depth:
            return edge.end()
    return len(statement)


def _rowless(parts: Iterable[str]) -> Iterator[str]:
    """Leave out what VALUES lists: it is data, however many rows there are."""
    rows, depth = False, 0
    for part in parts:
        if rows and (depth or part in "(,"):
            depth += (part == "(") - (part == ")")
        else:
            rows = part == "values"
            yield part


def _unlisted(parts: Iterable[str]) -> Iterator[str]:
    """Shorten each list of literals to one, as in ``IN (1, 2, 3)``."""
    literal, comma = False, False
    for part in parts:
        if literal and part == ",":
            comma = True
        elif comma and part == _ANY:
            comma = False
        else:
            if comma:
                yield ","
            literal, comma = part == _ANY, False
            yield part
