"""The error tree: what each error decides by its type, and what its text never shows."""

import re

import pytest

from exporter.dli import errors
from exporter.dli.errors import DliError, Scope

LEAVES = tuple(errors.leaves())


def test_the_drawn_tree_is_the_real_one() -> None:
    drawing = (errors.__doc__ or "").split("::", 1)[1]
    drawn: list[tuple[str, str]] = []
    above: dict[int, str] = {}
    for line in drawing.splitlines():
        if not (match := re.match(r"([\s│├└─]*)([A-Z]\w+)(.*)", line)):
            continue
        depth = (len(match[1]) - 4) // 4
        above[depth] = match[2]
        if depth:
            drawn.append((above[depth - 1], match[2]))
        kind = getattr(errors, match[2])
        if kind in LEAVES:
            assert match[3].split()[0] == kind.reason

    def edges(kind: type[DliError]) -> list[tuple[str, str]]:
        return [
            edge
            for child in kind.__subclasses__()
            for edge in [(kind.__name__, child.__name__), *edges(child)]
        ]

    assert drawn == edges(DliError)


@pytest.mark.parametrize("kind", LEAVES, ids=lambda kind: kind.__name__)
def test_every_leaf_decides_everything(kind: type[DliError]) -> None:
    assert re.fullmatch(r"[a-z][a-z_]*", kind.reason)
    assert kind.reason in errors.REASONS
    assert kind.scope in Scope
    # An outage is everybody's, and a refused key is never asked again by itself.
    assert not (kind.outage and kind.scope is Scope.JOB)
    assert not (kind.counts_towards_lock and kind.retryable)


def test_reasons_are_those_of_the_leaves_each_once() -> None:
    assert sorted({leaf.reason for leaf in LEAVES}) == list(errors.REASONS)


def test_only_rejected_keys_count_towards_the_lock() -> None:
    assert {leaf.reason for leaf in LEAVES if leaf.counts_towards_lock} == {
        "signature",
        "key_unknown",
        "key_locked",
        "clock_skew",
        "unauthorized",
    }


def test_a_missing_endpoint_is_not_a_missing_job() -> None:
    assert errors.EndpointNotFound.scope is Scope.PROJECT
    assert errors.JobNotFound.scope is Scope.JOB


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("a\r\nb\tc\x00d\x1b[31m", "a b c d [31m"),
        ("lone \ud800 surrogate, \u202e turned", "lone surrogate, turned"),
        ("verify aksk signature fail,canonicalRequest:GET|/v1||x:y", "verify aksk signature fail"),
        ("err: x-auth-token not found", "err: x-auth-token not found"),
        ("X-Security-Token: canary next", "X-Security-Token: … next"),
        ("Authorization: SDK-HMAC-SHA256 Access=canary, Signature=canary", "…, Signature=…"),
        ('{"X-Auth-Token":"canary","a":1}', '{"X-Auth-Token":"…","a":1}'),
        ("/run/secrets/sk: is empty", "/run/secrets/sk: is empty"),
        ("Get secretKey failed,ak:canary,err:ak not exist", "ak:…,err:ak not exist"),
    ],
)
def test_messages_are_one_line_without_header_values(text: str, expected: str) -> None:
    message = str(errors.RequestRejected(text))
    assert message.endswith(expected)
    assert "canary" not in message


def test_messages_are_bounded() -> None:
    message = str(errors.RequestRejected("x" * 100_000))
    assert len(message) == 200
    assert message.endswith("…")


def test_an_error_for_a_call_that_was_not_made_is_the_same_but_for_that() -> None:
    error = errors.Throttled("HTTP 429", limit=2.0, retry_after=7.0)
    again = error.uncalled()
    assert error.called
    assert not again.called
    assert isinstance(again, errors.Throttled)
    assert (str(again), again.limit, again.retry_after) == ("HTTP 429", 2.0, 7.0)


def test_no_call_is_made_without_credentials() -> None:
    assert not errors.CredentialsUnavailable("no file").called
