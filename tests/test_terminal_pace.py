"""How fast a job advances at present."""

from exporter.terminal.pace import Pace


def paced(*sights: tuple[float | None, int | None]) -> Pace:
    pace = Pace()
    for at, done in sights:
        pace = pace.seen(at, done)
    return pace


def test_one_sight_tells_no_speed() -> None:
    assert paced().per_second is None
    assert paced((100, 5)).per_second is None


def test_the_same_sight_again_changes_nothing() -> None:
    assert paced((100, 5), (100, 5)).per_second is None
    assert paced((100, 5), (110, 25), (110, 25)).per_second == 2


def test_what_is_not_known_changes_nothing() -> None:
    assert paced((100, 5), (None, None), (110, None), (110, 25)).per_second == 2


def test_standing_still_is_a_speed_of_zero() -> None:
    assert paced((100, 5), (110, 5)).per_second == 0


def test_only_the_last_minute_counts() -> None:
    fast_before = [(float(at), at * 100) for at in range(0, 100, 10)]
    slow_now = [(float(at), 9_000 + at) for at in range(100, 200, 10)]
    assert paced(*fast_before, *slow_now).per_second == 1


def test_seldom_sights_still_tell_a_speed() -> None:
    assert paced((0, 0), (300, 300), (600, 1200)).per_second == 3


def test_a_count_that_falls_begins_anew() -> None:
    assert paced((0, 0), (10, 100), (20, 60)).per_second is None
    assert paced((0, 0), (10, 100), (20, 60), (30, 70)).per_second == 1
