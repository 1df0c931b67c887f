"""Who passes the gateway, and what the others are told."""

from dataclasses import replace
from typing import Any

import pytest

from exporter.dli.signing import AccessKey, sdk_date, sign
from exporter.simulator.answers import Refused
from exporter.simulator.gateway import Gateway, Project, SignedRequest, Throttle

NOW = 1_700_000_000.0
HOST = "127.0.0.1:10297"
PATH = "/v1.0/p1/jobs"
ONE = Project(id="p1", ak="AK1", sk="secret-one", token="token-one")
TWO = Project(id="p2", ak="AK2", sk="secret-two", name="two")
TEMPORARY = replace(ONE, security_token="temporary/token==")


def key(project: Project, **other: Any) -> AccessKey:
    return replace(AccessKey(project.ak, project.sk, project.security_token), **other)


def signed(
    by: AccessKey = key(ONE),  # noqa: B008 - frozen
    *,
    at: float = NOW,
    path: str = PATH,
    query: tuple[tuple[str, str], ...] = (),
    body: bytes = b"",
    **headers: str,
) -> SignedRequest:
    given = {name.replace("_", "-"): value for name, value in headers.items()}
    added = sign(by, "GET", HOST, path, date=sdk_date(at), query=query, headers=given, body=body)
    everything = {"Host": HOST, **given, **added}
    return SignedRequest(method="GET", path=path, query=query, headers=everything, body=body)


def refusal(gateway: Gateway, request: SignedRequest, project: str = "p1", now: float = NOW) -> str:
    with pytest.raises(Refused) as caught:
        gateway.admit(request, project, now)
    return f"{caught.value.refusal.status} {caught.value.refusal.code} {caught.value}"


def with_headers(request: SignedRequest, **headers: str | None) -> SignedRequest:
    changed = {**request.headers, **{k.replace("_", "-"): v for k, v in headers.items()}}
    kept = {name: value for name, value in changed.items() if value is not None}
    return replace(request, headers=kept)


@pytest.mark.parametrize(
    "request_",
    [
        signed(),
        signed(query=(("tags", "a=b,c=d e+f/~"), ("job_types", "QUERY"), ("job_types", "DDL"))),
        signed(X_Project_Id="p1", Content_Type="application/json"),
        signed(body=b'{"a": 1}', Content_Type="application/json"),
        signed(body=b"text", Content_Type="text/plain"),
        signed(at=NOW - 900),
        signed(at=NOW + 900),
    ],
    ids=["plain", "query", "more headers", "body", "unsigned body", "late", "early"],
)
def test_a_good_signature_passes(request_: SignedRequest) -> None:
    Gateway([ONE]).admit(request_, "p1", NOW)


@pytest.mark.parametrize("path", ["/v1.0/p1/queues/q%20%E4%BD%A0~a", "/v1.0/p1/queues/q 你~a"])
def test_an_escaped_path_is_signed_decoded_or_not(path: str) -> None:
    Gateway([ONE]).admit(signed(path=path), "p1", NOW)


def test_unsigned_headers_do_not_matter() -> None:
    Gateway([ONE]).admit(with_headers(signed(), Accept="*/*"), "p1", NOW)


@pytest.mark.parametrize(
    "request_",
    [
        signed(key(ONE, sk="wrong")),
        replace(signed(), method="POST"),
        replace(signed(), path="/v1.0/p1/jobs/x"),
        replace(signed(), query=(("page-size", "1"),)),
        replace(signed(), body=b"x"),
        with_headers(signed(), Host="elsewhere"),
        with_headers(signed(X_Project_Id="p1"), X_Project_Id="p2"),
    ],
    ids=["secret", "method", "path", "query", "body", "host", "signed header"],
)
def test_whatever_differs_from_what_was_signed_is_refused(request_: SignedRequest) -> None:
    told = refusal(Gateway([ONE]), request_)
    assert told.startswith(
        "401 APIGW.0301 Incorrect IAM authentication information: "
        "verify aksk signature fail,canonicalRequest:"
    )
    assert ONE.sk not in told


def test_a_header_that_is_signed_but_missing_is_refused() -> None:
    request = with_headers(signed(X_Project_Id="p1"), X_Project_Id=None)
    assert "verify aksk signature fail" in refusal(Gateway([ONE]), request)


@pytest.mark.parametrize("name", ["host", "x-sdk-date"])
def test_host_and_date_must_be_signed(name: str) -> None:
    request = signed()
    less = request.headers["Authorization"].replace(name, "").replace("=;", "=").replace(";,", ",")
    told = refusal(Gateway([ONE]), with_headers(request, Authorization=less))
    assert "verify aksk signature fail" in told


@pytest.mark.parametrize("at", [NOW - 901, NOW + 901])
def test_a_clock_more_than_fifteen_minutes_off_is_refused(at: float) -> None:
    assert refusal(Gateway([ONE]), signed(at=at)).endswith(
        "verify aksk signature fail, calc ak sk signature fail:signature expired"
    )


@pytest.mark.parametrize("date", ["", "2023-11-14T22:13:20Z", None])
def test_a_date_that_cannot_be_read_is_refused(date: str | None) -> None:
    assert "401 APIGW.0301" in refusal(
        Gateway([ONE]), with_headers(signed(), **{"X-Sdk-Date": date})
    )


@pytest.mark.parametrize("authorization", [None, "", "Basic eDp5", "SDK-HMAC-SHA256 Access=AK1"])
def test_without_credentials_the_gateway_misses_the_token(authorization: str | None) -> None:
    told = refusal(Gateway([ONE]), with_headers(signed(), Authorization=authorization))
    assert told.endswith("Incorrect IAM authentication information: x-auth-token not found")


def test_an_unknown_key_is_named() -> None:
    told = refusal(Gateway([ONE]), signed(AccessKey("NOBODY", "x")))
    assert told.startswith("401 APIG.0301")
    assert told.endswith("Get secretKey failed,ak:NOBODY,err:ak not exist")


@pytest.mark.parametrize("project", ["p2", "unheard-of"])
def test_a_key_does_not_open_another_project(project: str) -> None:
    assert refusal(Gateway([ONE, TWO]), signed(), project).startswith("403 APIGW.0302")


def test_one_key_opens_every_project_that_shares_it() -> None:
    gateway = Gateway([ONE, replace(TWO, ak=ONE.ak, sk=ONE.sk)])
    gateway.admit(signed(), "p1", NOW)
    gateway.admit(signed(), "p2", NOW)


def test_projects_that_disagree_about_a_key_are_refused() -> None:
    with pytest.raises(ValueError, match="projects p1 and p2: one AK, two secrets"):
        Gateway([ONE, replace(TWO, ak=ONE.ak)])


def test_temporary_keys_pass_with_their_token_only() -> None:
    gateway = Gateway([TEMPORARY])
    gateway.admit(signed(key(TEMPORARY)), "p1", NOW)
    assert "ak not exist" in refusal(gateway, signed(key(TEMPORARY, security_token=None)))
    assert "decrypt token fail" in refusal(gateway, signed(key(TEMPORARY, security_token="old")))


def test_lent_keys_open_a_project_beside_its_own_until_they_end_or_are_taken_back() -> None:
    gateway = Gateway([ONE])
    lent = replace(TEMPORARY, ak="LENT", sk="secret-lent", token="token-lent")
    gateway.lend(lent, until=NOW + 60)
    gateway.admit(signed(key(lent)), "p1", NOW)
    gateway.admit(signed(key(ONE)), "p1", NOW)
    gateway.admit(with_headers(signed(), X_Auth_Token="token-lent"), "p1", NOW)
    assert "ak not exist" in refusal(gateway, signed(key(lent), at=NOW + 60), now=NOW + 60)
    gateway.revoke("LENT")
    assert "ak not exist" in refusal(gateway, signed(key(lent)))
    with pytest.raises(KeyError):
        gateway.revoke("LENT")


def test_a_security_token_must_be_signed() -> None:
    request = with_headers(
        signed(key(TEMPORARY, security_token=None)), **{"X-Security-Token": "temporary/token=="}
    )
    assert "verify aksk signature fail" in refusal(Gateway([TEMPORARY]), request)


def test_a_security_token_with_a_permanent_key_is_refused() -> None:
    told = refusal(Gateway([ONE]), signed(key(ONE, security_token="x")))
    assert "decrypt token fail" in told


def with_token(token: str) -> SignedRequest:
    return SignedRequest(method="GET", path=PATH, query=(), headers={"X-Auth-Token": token})


def test_a_token_opens_its_project_alone() -> None:
    gateway = Gateway([ONE, TWO])
    gateway.admit(with_token("token-one"), "p1", NOW)
    assert refusal(gateway, with_token("token-one"), "p2").startswith("403 APIGW.0302")
    assert refusal(gateway, with_token("token-two")).endswith("decrypt token fail")


def test_an_outdated_token_must_be_updated() -> None:
    gateway = Gateway([replace(ONE, token_expires=NOW + 60)])
    gateway.admit(with_token("token-one"), "p1", NOW + 59)
    told = refusal(gateway, with_token("token-one"), now=NOW + 60)
    assert told == "401 APIGW.0307 The token must be updated."


def fail(gateway: Gateway, times: int, now: float = NOW) -> list[str]:
    return [refusal(gateway, signed(key(ONE, sk="wrong"), at=now), now=now) for _ in range(times)]


def test_more_than_five_failures_in_a_row_lock_the_key_for_five_minutes() -> None:
    gateway = Gateway([ONE, TWO])
    assert all("canonicalRequest" in told for told in fail(gateway, 6))
    assert refusal(gateway, signed()).endswith("AK access failed to reach the limit,forbidden.")
    assert "forbidden" in refusal(gateway, signed(at=NOW + 299), now=NOW + 299)
    gateway.admit(signed(at=NOW + 300), "p1", NOW + 300)
    gateway.admit(signed(key(TWO)), "p2", NOW)


def test_five_failures_do_not_lock_and_a_success_starts_the_count_again() -> None:
    gateway = Gateway([ONE])
    for _ in range(3):
        fail(gateway, 5)
        gateway.admit(signed(), "p1", NOW)


def test_requests_during_a_lock_do_not_prolong_it() -> None:
    gateway = Gateway([ONE])
    fail(gateway, 6)
    fail(gateway, 20, NOW + 200)
    gateway.admit(signed(at=NOW + 300), "p1", NOW + 300)


def test_new_credentials_lift_the_lock() -> None:
    gateway = Gateway([ONE])
    fail(gateway, 6)
    gateway.put(replace(ONE, sk="fresh"))
    gateway.admit(signed(key(ONE, sk="fresh")), "p1", NOW)


def passed(gateway: Gateway, now: float, project: Project = ONE) -> bool:
    try:
        gateway.admit(signed(key(project), at=now), project.id, now)
    except Refused as refused:
        if refused.refusal.code != "APIGW.0308":
            raise
        return False
    return True


def test_a_full_bucket_is_a_burst_and_refills_evenly() -> None:
    gateway = Gateway([ONE], Throttle(4))
    assert [passed(gateway, NOW) for _ in range(6)] == [True] * 4 + [False] * 2
    assert [passed(gateway, NOW + 0.2), passed(gateway, NOW + 0.25)] == [False, True]
    assert [passed(gateway, NOW + 60) for _ in range(5)] == [True] * 4 + [False]


def test_an_even_pace_at_the_limit_is_never_refused() -> None:
    gateway = Gateway([ONE], Throttle(10))
    assert all(passed(gateway, NOW + number / 10) for number in range(600))


def test_each_project_has_its_own_bucket() -> None:
    gateway = Gateway([ONE, TWO], Throttle(1))
    assert [passed(gateway, NOW), passed(gateway, NOW)] == [True, False]
    assert passed(gateway, NOW, TWO)


@pytest.mark.parametrize(
    ("throttle", "tail"),
    [
        (Throttle(1), "limit:1,time:1 second"),
        (Throttle(1, 60), "limit:1,time:1 minute"),
        (Throttle(1, 10), "limit:1,time:10 second"),
    ],
)
def test_a_refusal_tells_the_limit(throttle: Throttle, tail: str) -> None:
    gateway = Gateway([ONE], throttle)
    gateway.admit(signed(), "p1", NOW)
    told = refusal(gateway, signed())
    assert told.endswith(f"policy user over ratelimit,{tail}")


def test_retry_after_is_whole_seconds_and_only_on_request() -> None:
    for retry_after, headers in ((True, {"Retry-After": "15"}), (False, {})):
        gateway = Gateway([ONE], Throttle(4, 60, retry_after))
        for _ in range(4):
            gateway.admit(signed(), "p1", NOW)
        with pytest.raises(Refused) as caught:
            gateway.admit(signed(), "p1", NOW)
        assert caught.value.refusal.headers == headers


def test_a_request_that_fails_to_authenticate_spends_no_quota() -> None:
    gateway = Gateway([ONE], Throttle(1))
    fail(gateway, 3)
    assert passed(gateway, NOW)


def test_unlock_forgets_failures_and_quota() -> None:
    gateway = Gateway([ONE], Throttle(1))
    assert passed(gateway, NOW)
    fail(gateway, 6)
    gateway.unlock()
    assert passed(gateway, NOW)


@pytest.mark.parametrize(("limit", "period"), [(0, 1.0), (1, 0.0)])
def test_a_throttle_that_lets_nothing_through_is_refused(limit: int, period: float) -> None:
    with pytest.raises(ValueError, match="lets nothing through"):
        Throttle(limit, period)


def test_secrets_are_in_no_representation() -> None:
    shown = repr(TEMPORARY)
    assert not [each for each in ("secret-one", "temporary", "token-one") if each in shown]
