"""When a credential is renewed: ahead of its end, spread, and never at every request."""

import pytest

from exporter.dli.credentials.renewal import GUESS_PAUSE, Lease, lease, wait

NOW = 1_795_169_700.0
HOUR = 3600.0


@pytest.mark.parametrize(
    ("life", "earliest", "latest"),
    [
        (24 * HOUR, 600, 300),
        (HOUR, 600, 300),
        (1500, 600, 300),
        (900, 360, 180),
        (60, 24, 12),
    ],
)
def test_a_credential_is_renewed_five_to_ten_minutes_or_a_fifth_of_its_life_ahead(
    life: float, earliest: float, latest: float
) -> None:
    assert lease(NOW + life, NOW, 1.0).renew_at == pytest.approx(NOW + life - earliest)
    assert lease(NOW + life, NOW, 0.0).renew_at == pytest.approx(NOW + life - latest)
    assert lease(NOW + life, NOW, 0.5).ends == NOW + life


def test_what_never_ends_is_never_renewed() -> None:
    assert lease(None, NOW, 0.5) == Lease(float("inf"), float("inf"))


@pytest.mark.parametrize("life", [-HOUR, 0, 1, 9])
def test_a_credential_that_is_over_by_our_clock_is_used_for_some_seconds(life: float) -> None:
    """Or each request would ask for another one."""
    given = lease(NOW + life, NOW, 0.9)
    assert given == Lease(NOW + 10, NOW + 10)


def test_one_source_that_gives_the_same_key_again_is_not_asked_all_the_time() -> None:
    now, asked = NOW, 0
    while (at := lease(NOW + HOUR, now, 0.5).renew_at) < NOW + HOUR:
        now, asked = at, asked + 1
    assert asked < 12


def test_the_wait_after_failures_grows_to_a_minute() -> None:
    waits = [wait(n, 0.0, retry_after=None, guess=False) for n in range(1, 9)]
    assert waits == [1, 2, 4, 8, 16, 30, 30, 30]
    assert wait(8, 0.99, retry_after=None, guess=False) == pytest.approx(59.7)
    assert wait(10_000, 0.0, retry_after=None, guess=False) == 30


def test_the_wait_is_no_shorter_than_the_answer_asked_for() -> None:
    assert wait(1, 0.0, retry_after=120, guess=False) == 120
    assert wait(8, 0.5, retry_after=1, guess=False) == 45


def test_a_wrong_password_is_tried_less_often_than_locks_the_user() -> None:
    """IAM locks who is wrong five times in a quarter of an hour."""
    assert wait(1, 0.0, retry_after=None, guess=True) == GUESS_PAUSE
    assert 15 * 60 / GUESS_PAUSE < 5
