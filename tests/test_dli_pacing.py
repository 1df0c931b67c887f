"""Pacing: arithmetic on moments, without any waiting."""

import pytest

from exporter.dli.errors import KeyLocked, ServerFailed, SignatureRejected
from exporter.dli.pacing import Admission, Backoff, Breaker, Bucket

ERROR = SignatureRejected("HTTP 401")


def departures(bucket: Bucket, *, until: float, start: float = 0.0) -> list[float]:
    """Take as fast as the bucket lets, and give the moments at which it did."""
    now, taken = start, []
    while now < until:
        wait = bucket.take(now)
        if wait:
            now += wait
        else:
            taken.append(now)
    return taken


def test_calls_are_evenly_spaced() -> None:
    assert departures(Bucket(5), until=0.99) == pytest.approx([0, 0.2, 0.4, 0.6, 0.8])


def test_unused_rate_is_not_saved_up() -> None:
    bucket = Bucket(5)
    bucket.take(0.0)
    assert len(departures(bucket, start=1000.0, until=1000.99)) <= 6


def test_a_late_timer_costs_no_throughput() -> None:
    bucket, now, count = Bucket(100), 0.0, 0
    while now < 10:
        wait = bucket.take(now)
        count += not wait
        now += wait + 0.002 if wait else 0.0
    assert count >= 990


@pytest.mark.parametrize("rate", [0, -1])
def test_a_rate_of_nothing_is_refused(rate: float) -> None:
    with pytest.raises(ValueError, match="must be above 0"):
        Bucket(rate)


def test_a_refusal_pauses_and_cuts() -> None:
    bucket = Bucket(10)
    bucket.take(0.0)
    bucket.throttled(1.0, 7.0)
    assert bucket.take(7.9) == pytest.approx(0.1)
    assert bucket.take(8.0) == 0.0
    assert bucket.limit == pytest.approx(8.5)


def test_refusals_of_calls_that_were_out_together_cut_once() -> None:
    bucket = Bucket(10)
    for _ in range(20):
        bucket.throttled(1.0, 2.0)
    assert bucket.limit == pytest.approx(8.5)


def test_a_longer_pause_is_not_shortened() -> None:
    bucket = Bucket(10)
    bucket.throttled(0.0, 60.0)
    bucket.throttled(1.0, 1.0)
    assert bucket.paused_until == 60.0


def test_a_quota_named_by_the_gateway_is_taken_at_once() -> None:
    bucket = Bucket(10)
    bucket.throttled(0.0, 1.0, limit=1.0)
    assert bucket.limit == 1.0
    bucket.throttled(10.0, 1.0, limit=1e9)
    assert bucket.limit < 1.0


def test_refused_for_ever_calls_hardly_ever_and_never_stops() -> None:
    bucket, now, calls = Bucket(5), 0.0, 0
    while now < 3600:
        if wait := bucket.take(now):
            now += wait
        else:
            calls += 1
            bucket.throttled(now, 0.0)
    assert 60 <= calls <= 90


def test_successes_bring_the_setting_back_and_no_more() -> None:
    bucket = Bucket(10)
    bucket.throttled(0.0, 1.0)
    for _ in range(149):
        bucket.succeeded()
    assert bucket.limit == pytest.approx(9.99)
    for _ in range(5):
        bucket.succeeded()
    assert bucket.limit == 10


def test_half_of_what_was_possible_is_back_at_once_when_refusals_end() -> None:
    bucket, now = Bucket(10), 0.0
    for _ in range(100):
        bucket.throttled(now, 0.0)
        now += 61
    assert bucket.limit < 0.02
    for _ in range(10):
        bucket.succeeded()
    assert 5 <= bucket.limit < 5.1


def test_a_quota_named_by_the_gateway_is_approached_in_small_steps_only() -> None:
    bucket = Bucket(10)
    bucket.throttled(0.0, 1.0, limit=1.0)
    bucket.succeeded()
    assert bucket.limit == pytest.approx(1.01)


def test_a_pause_gives_no_credit() -> None:
    bucket = Bucket(5)
    bucket.take(0.0)
    assert departures(bucket, start=1.0, until=1.39) == pytest.approx([1.0, 1.2])


@pytest.mark.parametrize(
    ("attempt", "jitter", "delay"),
    [(0, 0.0, 0.0), (0, 0.5, 0.25), (1, 0.5, 0.5), (4, 1.0, 8.0), (5, 1.0, 10.0), (9**9, 1, 10)],
)
def test_backoff_doubles_to_its_cap_with_full_jitter(
    attempt: int, jitter: float, delay: float
) -> None:
    assert Backoff(base=0.5, cap=10).delay(attempt, jitter) == delay


def key() -> Breaker:
    return Breaker(strikes=4, pause=300, wary=True)


def sent(breaker: Breaker, now: float, callers: int) -> int:
    """Let as many of the callers go as the breaker admits at this moment."""
    count = 0
    for _ in range(callers):
        if breaker.admits(now) is Admission.GO:
            breaker.left()
            count += 1
    return count


@pytest.mark.parametrize("callers", [1, 2, 3, 4, 5, 100])
def test_a_wrong_key_fails_four_times_whatever_the_number_of_callers(callers: int) -> None:
    breaker, failures = key(), 0
    for now in range(299):
        out = sent(breaker, now, callers)
        for _ in range(out):
            breaker.failed(ERROR, now)
        failures += out
    assert failures == 4


def test_a_wary_breaker_makes_callers_wait_until_the_key_is_proven() -> None:
    breaker = key()
    assert sent(breaker, 0, 100) == 4
    assert breaker.admits(0) is Admission.WAIT
    breaker.succeeded()
    assert sent(breaker, 0, 100) == 100


def test_a_proven_key_that_fails_is_watched_again() -> None:
    breaker = key()
    sent(breaker, 0, 1)
    breaker.succeeded()
    sent(breaker, 0, 2)
    breaker.failed(ERROR, 0)
    assert sent(breaker, 0, 100) == 2  # one failed, one is still out
    assert breaker.admits(0) is Admission.WAIT


def test_one_trial_after_the_pause_and_then_another_pause() -> None:
    breaker = key()
    for _ in range(sent(breaker, 0, 4)):
        breaker.failed(ERROR, 0)
    assert breaker.cause == ERROR
    assert breaker.admits(299.9) is Admission.STOP
    assert sent(breaker, 300, 100) == 1
    breaker.failed(ERROR, 301)
    assert breaker.open_until == 601
    assert sent(breaker, 601, 100) == 1
    breaker.succeeded()
    assert not breaker.cause
    assert sent(breaker, 601, 100) == 100


def test_a_locked_key_stops_everything_at_once_and_its_trial_too() -> None:
    breaker = key()
    sent(breaker, 0, 1)
    breaker.failed(KeyLocked("HTTP 401"), 0, hopeless=True)
    assert breaker.admits(1) is Admission.STOP
    sent(breaker, 300, 1)
    breaker.failed(ERROR, 300)
    assert breaker.admits(301) is Admission.STOP


def test_a_trial_that_tells_nothing_may_be_repeated() -> None:
    breaker = key()
    sent(breaker, 0, 1)
    breaker.failed(ERROR, 0, hopeless=True)
    assert sent(breaker, 300, 5) == 1
    breaker.came_back()
    assert sent(breaker, 300, 5) == 1


def test_an_outage_costs_two_calls_a_minute_and_ends_with_the_first_success() -> None:
    breaker, calls = Breaker(strikes=5, pause=30), 0
    error = ServerFailed("HTTP 503")
    for now in range(1800):
        for _ in range(sent(breaker, now, 3)):
            calls += 1
            breaker.failed(error, now)
    assert calls <= 6 + 2 * 30
    assert sent(breaker, 1830, 3) == 1
    breaker.succeeded()
    assert sent(breaker, 1830, 3) == 3


def test_failures_that_are_not_in_a_row_open_nothing() -> None:
    breaker = Breaker(strikes=5, pause=30)
    for _ in range(50):
        sent(breaker, 0, 5)
        for _ in range(4):
            breaker.failed(ServerFailed("HTTP 503"), 0)
        breaker.succeeded()
    assert breaker.admits(0) is Admission.GO
