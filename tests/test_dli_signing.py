"""The request signature against the vendor's own vectors."""

import json
from pathlib import Path
from typing import Any

import pytest

from exporter.dli import signing

VECTORS: list[dict[str, Any]] = json.loads(
    (Path(__file__).parent / "data" / "signing-vectors.json").read_text()
)["vectors"]


def query(vector: dict[str, Any]) -> list[tuple[str, str]]:
    return [(name, str(value)) for name, value in vector["request"]["query"]]


def signed(vector: dict[str, Any]) -> dict[str, str]:
    request = vector["request"]
    headers = dict(request["headers"])
    return signing.sign(
        signing.AccessKey(vector["ak"], vector["sk"]),
        request["method"],
        request["host"],
        request["path"],
        date=headers.pop("X-Sdk-Date"),
        query=query(vector),
        headers=headers,
        body=request["body"].encode(),
    )


def test_there_are_sixteen_vectors() -> None:
    assert len(VECTORS) == 16


@pytest.mark.parametrize("vector", VECTORS, ids=lambda vector: vector["name"])
def test_signs_as_the_vendors_sdk_does(vector: dict[str, Any]) -> None:
    headers = signed(vector)
    assert headers["Authorization"] == vector["expected"]["authorization"]
    if published := vector["published_expected_signature"]:
        assert headers["Authorization"].endswith(published)


@pytest.mark.parametrize("vector", VECTORS, ids=lambda vector: vector["name"])
def test_the_wire_carries_what_was_signed(vector: dict[str, Any]) -> None:
    target = signing.request_target(vector["request"]["path"], query(vector))
    assert target == vector["expected"]["request_target"]


@pytest.mark.parametrize("vector", VECTORS, ids=lambda vector: vector["name"])
def test_a_server_can_verify_with_the_parts(vector: dict[str, Any]) -> None:
    request, expected = vector["request"], vector["expected"]
    content_type = request["headers"].get("Content-Type", "application/json")
    hashed = signing.payload_hash(request["body"].encode(), content_type)
    headers = {**request["headers"], "host": request["host"]}
    if hashed == signing.UNSIGNED_PAYLOAD:
        headers["x-sdk-content-sha256"] = hashed
    canonical = signing.canonical_request(
        request["method"],
        request["path"],
        query(vector),
        headers,
        expected["signed_headers"],
        hashed,
    )
    assert canonical == expected["canonical_request"]
    date = request["headers"]["X-Sdk-Date"]
    assert signing.signature(vector["sk"], date, canonical) == expected["signature"]


def test_a_security_token_is_sent_and_signed_as_an_ordinary_header() -> None:
    vector = next(v for v in VECTORS if v["name"] == "dli-progress-temporary-credential")
    request = vector["request"]
    headers = dict(request["headers"])
    token, date = headers.pop("X-Security-Token"), headers.pop("X-Sdk-Date")
    key = signing.AccessKey(vector["ak"], vector["sk"], token)
    added = signing.sign(
        key, request["method"], request["host"], request["path"], date=date, headers=headers
    )
    assert added["X-Security-Token"] == token
    assert added["Authorization"] == vector["expected"]["authorization"]


def test_a_signed_header_that_is_not_there_is_named() -> None:
    with pytest.raises(KeyError, match="x-missing"):
        signing.canonical_request("GET", "/", (), {"Host": "h"}, ("host", "x-missing"), "")


def test_the_date_is_utc_in_whole_seconds() -> None:
    assert signing.sdk_date(1795169700.9) == "20261120T101500Z"


@pytest.mark.parametrize(
    "credential",
    [
        signing.AccessKey("AKCANARY", "sk-canary", "token-canary"),
        signing.Token("token-canary"),
    ],
)
def test_secrets_stay_out_of_reprs(credential: signing.Credential) -> None:
    assert "canary" not in repr(credential)


@pytest.mark.parametrize("bad", ["", "two words", "line\nbreak", "käse", "nul\0"])
def test_what_no_header_can_carry_is_refused_without_showing_it(bad: str) -> None:
    for build in (
        lambda: signing.AccessKey(bad, "sk"),
        lambda: signing.AccessKey("ak", bad),
        lambda: signing.AccessKey("ak", "sk", bad),
        lambda: signing.Token(bad),
    ):
        with pytest.raises(ValueError, match="must be one word") as caught:
            build()
        assert not bad or bad not in str(caught.value)
