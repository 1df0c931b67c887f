"""Which request a fault strikes, and how faults are written."""

import json
from typing import Any

import pytest

from exporter.simulator.faults import (
    Cut,
    Endpoint,
    Fault,
    FaultRules,
    fault_as_json,
    fault_from_json,
)


def strikes(rules: FaultRules, times: int, job_id: str = "a") -> list[bool]:
    return [rules.strike(Endpoint.PROGRESS, "p", job_id) is not None for _ in range(times)]


def test_without_rules_nothing_is_struck() -> None:
    assert strikes(FaultRules(), 3) == [False] * 3


@pytest.mark.parametrize(
    ("fault", "struck"),
    [
        (Fault(), True),
        (Fault(endpoint=Endpoint.PROGRESS, project="p", job_id="a"), True),
        (Fault(endpoint=Endpoint.LIST), False),
        (Fault(project="q"), False),
        (Fault(job_id="b"), False),
    ],
)
def test_a_fault_strikes_what_it_names(fault: Fault, struck: bool) -> None:
    rules = FaultRules()
    rules.add(fault)
    assert strikes(rules, 1) == [struck]


def test_a_fault_skips_the_first_and_stops_after_its_count() -> None:
    rules = FaultRules()
    number = rules.add(Fault(skip=2, count=3))
    assert strikes(rules, 8) == [False, False, True, True, True, False, False, False]
    assert rules.struck(number) == 3


def test_requests_of_another_kind_are_not_counted() -> None:
    rules = FaultRules()
    rules.add(Fault(job_id="a", skip=1))
    assert strikes(rules, 2, job_id="b") == [False, False]
    assert strikes(rules, 2, job_id="a") == [False, True]


def test_the_first_rule_that_strikes_wins_and_the_next_takes_over_when_it_is_used_up() -> None:
    rules = FaultRules()
    first, second = Fault(count=1, status=500), Fault(status=503)
    rules.add(first)
    rules.add(second)
    assert [rules.strike(Endpoint.LIST, "p", "") for _ in range(2)] == [first, second]


def test_a_rule_is_taken_back() -> None:
    rules = FaultRules()
    number = rules.add(Fault())
    rules.remove(number)
    assert strikes(rules, 1) == [False]
    with pytest.raises(KeyError):
        rules.remove(number)
    rules.add(Fault())
    rules.clear()
    assert strikes(rules, 1) == [False]


def test_chance_is_repeatable_by_seed_and_near_its_probability() -> None:
    def series(seed: int) -> list[bool]:
        rules = FaultRules(seed)
        rules.add(Fault(probability=0.3))
        return strikes(rules, 2000)

    assert series(1) == series(1)
    assert series(1) != series(2)
    assert 500 < sum(series(1)) < 700


def test_probability_zero_never_strikes() -> None:
    rules = FaultRules()
    rules.add(Fault(probability=0))
    assert not any(strikes(rules, 1000))


def test_a_status_alone_answers_in_dlis_shape() -> None:
    answer = Fault(status=503).answer("abc")
    assert answer is not None
    assert answer.status == 503
    assert json.loads(answer.body).keys() == {"error_code", "error_msg"}


def test_a_body_goes_out_as_it_is_with_status_200_unless_given() -> None:
    html = Fault(body="<html>", content_type="text/html").answer("abc")
    assert html is not None
    assert (html.status, html.body, html.content_type) == (200, b"<html>", "text/html")
    failed = Fault(body="", status=502).answer("abc")
    assert failed is not None
    assert (failed.status, failed.body) == (502, b"")


def test_a_delay_or_a_cut_alone_leaves_the_true_answer() -> None:
    assert Fault(delay=1.0, cut=Cut.IN_BODY).answer("abc") is None


FAULT = Fault(
    endpoint=Endpoint.PROGRESS,
    job_id="a",
    probability=0.5,
    count=3,
    status=429,
    code="APIGW.0308",
    headers={"Retry-After": "7"},
    cut=Cut.AFTER,
)


def test_a_fault_survives_json() -> None:
    text = json.dumps(fault_as_json(FAULT))
    assert json.loads(text).keys() == {
        *("endpoint", "job_id", "probability", "count"),
        *("status", "code", "headers", "cut"),
    }
    assert fault_from_json(json.loads(text)) == FAULT


@pytest.mark.parametrize(
    ("data", "message"),
    [
        ([], "a fault is an object"),
        ({"satus": 500}, "fault: 'satus' must be one of endpoint, "),
        ({"rewrite": "x"}, "fault: 'rewrite' must be one of endpoint, "),
        ({"status": "500"}, "fault: status must be of type int"),
        ({"status": True}, "fault: status must be of type int"),
        ({"status": 99}, r"fault: status must be within \[200, 599\]"),
        ({"probability": 2}, r"fault: probability must be within \[0, 1\]"),
        ({"count": 0}, "fault: count must be 1 or more"),
        ({"skip": -1}, "fault: skip must be 0 or more"),
        ({"delay": -1}, r"fault: delay must be within \[0, 86400\) seconds"),
        ({"trickle": 0}, "fault: trickle must be above 0 bytes a second"),
        ({"endpoint": "submit"}, "fault: endpoint must be one of progress, list, status, unknown"),
        ({"cut": "often"}, "fault: cut must be one of before, in_body, after"),
        ({"headers": {"Retry-After": 7}}, "fault: headers must be texts"),
    ],
)
def test_a_mistake_in_a_fault_is_one_line_that_says_what_is_allowed(
    data: Any, message: str
) -> None:
    with pytest.raises(ValueError, match=f"^{message}") as caught:
        fault_from_json(data)
    assert "\n" not in str(caught.value)
