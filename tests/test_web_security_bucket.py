"""How many requests may come."""

from exporter.web.security.bucket import Bucket, RateLimit


def taken(bucket: Bucket, now: float) -> int:
    """Take all there is."""
    count = 0
    while bucket.take(now):
        count += 1
    return count


def test_a_burst_may_come_at_once_and_no_more() -> None:
    assert taken(Bucket(RateLimit(1, 3), now=100), 100) == 3


def test_a_token_comes_every_interval_up_to_the_burst() -> None:
    bucket = Bucket(RateLimit(2, 3), now=0)
    assert taken(bucket, 0) == 3
    assert taken(bucket, 1.9) == 0
    assert taken(bucket, 2) == 1
    assert taken(bucket, 6) == 2
    assert taken(bucket, 1000) == 3


def test_a_clock_that_goes_back_gives_nothing() -> None:
    bucket = Bucket(RateLimit(1, 1), now=10)
    assert taken(bucket, 10) == 1
    assert taken(bucket, 5) == 0
    assert taken(bucket, 6) == 1
