"""Which scrapers there are, and what each of them has seen."""

import random
from dataclasses import dataclass
from math import inf

import pytest

from exporter.web.scrapers import WINDOW, Caller, Scrapers, patience


@dataclass(eq=False)
class Line:
    """A connection that a scraper may close."""

    closed: bool = False

    def is_closing(self) -> bool:
        return self.closed


def caller(
    line: Line | None = None, address: str = "10.0.0.1", *, agent: str = "", forwarded: str = ""
) -> Caller:
    return Caller(address=address, connection=line or Line(), agent=agent, forwarded=forwarded)


def scrape(scrapers: Scrapers, who: Caller, now: float) -> None:
    """Scrape to the end, all in one moment."""
    scrapers.heard(who, now)
    scrapers.received(who, now)


def test_nothing_is_delivered_without_a_scraper() -> None:
    assert not Scrapers().delivered(0.0, 1.0)


def test_a_scrape_delivers_what_was_exposed_before_it_and_at_its_moment() -> None:
    scrapers = Scrapers()
    scrape(scrapers, caller(), 10.0)
    assert scrapers.delivered(9.0, 11.0)
    assert scrapers.delivered(10.0, 11.0)
    assert not scrapers.delivered(10.5, 11.0)


def test_a_scrape_that_has_only_begun_delivers_nothing() -> None:
    scrapers = Scrapers()
    scrapers.heard(caller(), 10.0)
    assert not scrapers.delivered(9.0, 11.0)


def test_both_of_a_pair_must_have_got_it() -> None:
    scrapers, first, second = Scrapers(), caller(), caller(address="10.0.0.2")
    scrape(scrapers, first, 1.0)
    scrape(scrapers, second, 2.0)
    scrape(scrapers, first, 11.0)
    assert not scrapers.delivered(10.0, 11.0)
    assert scrapers.pending(10.0, 11.0) == ("10.0.0.2",)
    scrape(scrapers, second, 12.0)
    assert scrapers.delivered(10.0, 12.0)
    assert scrapers.pending(10.0, 12.0) == ()


def test_a_scraper_in_its_first_scrape_is_waited_for() -> None:
    scrapers = Scrapers()
    scrapers.heard(caller(address="10.0.0.2"), 10.5)
    scrape(scrapers, caller(), 11.0)
    assert not scrapers.delivered(10.0, 11.0)


def test_a_later_scrape_that_breaks_off_takes_nothing_back() -> None:
    scrapers, one = Scrapers(), caller()
    scrape(scrapers, one, 10.0)
    scrapers.heard(one, 25.0)
    assert scrapers.delivered(10.0, 25.0)


def test_a_scraper_never_heard_again_is_waited_for_five_minutes() -> None:
    scrapers, lost, other = Scrapers(), caller(), caller(address="10.0.0.2")
    scrape(scrapers, lost, 0.0)
    scrape(scrapers, other, WINDOW)
    assert not scrapers.delivered(10.0, WINDOW)
    assert scrapers.delivered(10.0, WINDOW + 1)


def test_what_was_delivered_stays_so_when_nobody_scrapes_any_more() -> None:
    scrapers = Scrapers()
    scrape(scrapers, caller(), 10.0)
    assert scrapers.delivered(9.0, 10.0 + 2 * WINDOW)
    assert not scrapers.delivered(11.0, 10.0 + 2 * WINDOW)


def test_two_at_one_address_are_told_apart_by_their_connections() -> None:
    scrapers, first, second = Scrapers(), caller(Line()), caller(Line())
    scrape(scrapers, first, 1.0)
    scrape(scrapers, second, 2.0)
    scrape(scrapers, first, 11.0)
    assert scrapers.pending(10.0, 11.0) == ("10.0.0.1",)


def test_a_scraper_that_connects_anew_leaves_no_old_self_behind() -> None:
    scrapers, line = Scrapers(), Line()
    scrape(scrapers, caller(line), 1.0)
    line.closed = True
    scrape(scrapers, caller(Line()), 11.0)
    assert scrapers.delivered(10.0, 11.0)


def test_without_keep_alive_every_scrape_continues_the_last() -> None:
    scrapers = Scrapers()
    for now in range(100):
        line = Line()
        scrape(scrapers, caller(line), float(now))
        line.closed = True
    assert scrapers.delivered(99.0, 99.0)


def test_two_at_one_address_that_connect_anew_keep_their_turns() -> None:
    scrapers, lines = Scrapers(), (Line(), Line())
    for line in lines:
        scrape(scrapers, caller(line), 1.0)
    for line in lines:
        line.closed = True
    for now in (15.0, 16.0):
        assert not scrapers.delivered(15.0, now)
        line = Line()
        scrape(scrapers, caller(line), now)
        line.closed = True
    assert scrapers.delivered(15.0, 16.0)


@pytest.mark.parametrize(
    "other",
    [caller(address="10.0.0.2"), caller(agent="Prometheus/3.5.3")],
    ids=["address", "agent"],
)
def test_a_closed_connection_is_continued_by_its_like_only(other: Caller) -> None:
    scrapers = Scrapers()
    scrape(scrapers, caller(Line(closed=True)), 1.0)
    scrape(scrapers, other, 11.0)
    assert not scrapers.delivered(10.0, 11.0)


def test_behind_a_proxy_the_one_it_speaks_for_counts_and_not_its_connections() -> None:
    scrapers, shared = Scrapers(), Line()
    scrape(scrapers, caller(shared, forwarded="192.0.2.1"), 1.0)
    scrape(scrapers, caller(shared, forwarded="192.0.2.2"), 2.0)
    scrape(scrapers, caller(Line(), forwarded="192.0.2.1"), 11.0)
    assert not scrapers.delivered(10.0, 11.0)
    scrape(scrapers, caller(Line(), forwarded="192.0.2.2"), 12.0)
    assert scrapers.delivered(10.0, 12.0)


def test_scrapes_that_overtake_each_other_take_nothing_back() -> None:
    scrapers, one = Scrapers(), caller(forwarded="192.0.2.1")
    scrapers.heard(one, 1.0)
    scrape(scrapers, one, 2.0)
    scrapers.received(one, 1.0)
    assert scrapers.delivered(2.0, 3.0)


def test_a_flood_of_scrapers_takes_no_memory_and_leaves_the_latest() -> None:
    scrapers = Scrapers()
    for number in range(1000):
        scrapers.heard(caller(address=f"10.0.{number >> 8}.{number & 255}"), float(number))
    waited = scrapers.pending(inf, 1000.0)
    assert len(waited) == 256
    assert waited[-1] == "10.0.3.231"


def test_a_forgotten_scraper_that_gets_its_answer_harms_nobody() -> None:
    scrapers = Scrapers()
    scrapers.received(caller(), 1.0)
    assert not scrapers.delivered(0.0, 1.0)


@pytest.mark.parametrize(
    ("header", "seconds"),
    [
        ("10", 10.0),
        ("0.5", 0.5),
        ("86400", WINDOW),
        ("inf", WINDOW),
        (None, 60.0),
        ("", 60.0),
        ("soon", 60.0),
        ("0", 60.0),
        ("-1", 60.0),
        ("nan", 60.0),
    ],
)
def test_patience(header: str | None, seconds: float) -> None:
    assert patience(header) == seconds


def expected_at(scrapers: Scrapers, now: float) -> float | None:
    expected = scrapers.next_expected(now)
    return None if expected is None else expected.at


# What is expected may be a little early: a scrape that comes before its data is worse.
RHYTHMS: dict[str, tuple[list[float], float | None]] = {
    "nobody": ([], None),
    "one scrape tells nothing": ([0.0], None),
    "nor do two": ([0.0, 15.0], None),
    "three do": ([0.0, 15.0, 30.0], 45.0),
    "jitter": ([0.0, 15.1, 29.9, 45.05, 60.0, 75.0], 90.0),
    "a missed scrape": ([0.0, 15.0, 30.0, 60.0], 75.0),
    "two in a row": ([0.0, 15.0, 30.0, 75.0], 90.0),
    "a restart at another time": ([0.0, 15.0, 30.0, 37.0], None),
    "and two gaps later": ([0.0, 15.0, 30.0, 37.0, 52.0, 67.0], 82.0),
    "another interval": ([0.0, 15.0, 30.0, 45.0, 75.0, 105.0, 135.0], 165.0),
    "a shorter one": ([0.0, 30.0, 60.0, 75.0, 90.0, 105.0], 120.0),
    "no rhythm at all": ([0.0, 3.0, 20.0, 24.0, 51.0, 58.0], None),
    "two at one moment": ([0.0, 15.0, 30.0, 30.0], None),
}


@pytest.mark.parametrize(("times", "then"), RHYTHMS.values(), ids=RHYTHMS)
def test_the_next_scrape_is_learnt_from_the_last(times: list[float], then: float | None) -> None:
    scrapers, one = Scrapers(), caller()
    for time in times:
        scrape(scrapers, one, time)
    at = expected_at(scrapers, times[-1] if times else 0.0)
    if then is None:
        assert at is None
    else:
        assert at is not None
        assert then - 0.5 <= at < then


def test_a_steady_scraper_is_foreseen_to_some_milliseconds() -> None:
    scrapers, one = Scrapers(), caller()
    for beat in range(20):
        scrape(scrapers, one, 15.0 * beat)
    assert expected_at(scrapers, 285.0) == pytest.approx(300.0, abs=0.006)


@pytest.mark.parametrize(("jitter", "before"), [(0.01, 0.005), (0.2, 0.06)])
def test_few_scrapes_come_before_they_are_expected_and_none_is_expected_much_too_early(
    jitter: float, before: float
) -> None:
    chance, scrapers, one = random.Random(1), Scrapers(), caller()  # noqa: S311 - no secret
    early = []
    for beat in range(1000):
        now = 15.0 * beat + chance.uniform(-jitter, jitter)
        if beat >= 40:
            at = expected_at(scrapers, now - 5.0)
            assert at is not None
            early.append(now - at)
        scrape(scrapers, one, now)
    assert sum(each < 0 for each in early) < before * len(early)
    assert sum(early) / len(early) < 1.2 * jitter + 0.005


@pytest.mark.parametrize("off", [1.4, -1.4])
def test_one_scrape_off_the_beat_moves_no_other(off: float) -> None:
    scrapers, one = Scrapers(), caller()
    for beat in range(80):
        now = 15.0 * beat + (off if beat == 40 else 0.0)
        if beat >= 40:
            assert expected_at(scrapers, now - 5.0) == pytest.approx(15.0 * beat, abs=0.006)
        scrape(scrapers, one, now)


@pytest.mark.parametrize("shift", [0.075, 0.3, 1.05])
def test_after_a_step_no_scrape_is_expected_too_late(shift: float) -> None:
    scrapers, one = Scrapers(), caller()
    for beat in range(100):
        now = 15.0 * beat + (shift if beat >= 40 else 0.0)
        if beat >= 4:
            at = expected_at(scrapers, now - 5.0)
            assert at is not None
            assert at <= now
        scrape(scrapers, one, now)


def test_of_two_scrapers_out_of_step_the_next_one_counts() -> None:
    scrapers, first, second = Scrapers(), caller(), caller(address="10.0.0.2")
    for beat in range(4):
        scrape(scrapers, first, 15.0 * beat)
        scrape(scrapers, second, 15.0 * beat + 6.0)
    assert expected_at(scrapers, 51.1) == pytest.approx(60.0, abs=0.1)
    assert expected_at(scrapers, 60.1) == pytest.approx(66.0, abs=0.1)


def test_a_scrape_that_does_not_come_is_expected_a_period_later() -> None:
    scrapers, one = Scrapers(), caller()
    for beat in range(4):
        scrape(scrapers, one, 15.0 * beat)
    assert expected_at(scrapers, 61.0) == pytest.approx(75.0, abs=0.1)


def test_a_scraper_that_stays_away_is_not_expected_for_ever() -> None:
    scrapers, one = Scrapers(), caller()
    for beat in range(4):
        scrape(scrapers, one, 15.0 * beat)
    assert expected_at(scrapers, 104.0) is not None
    assert expected_at(scrapers, 106.0) is None
