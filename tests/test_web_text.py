"""Text for a page: harmless, and read at a glance."""

import pytest

from exporter.web.text import ago, clock, counted, duration, harmless, moment, percent

NOON = 1_795_003_200.0  # 2026-11-18 12:00 UTC


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("orders_daily", "orders_daily"),
        ("", ""),
        ("<b a=\"1\" c='2'>&", "&lt;b a=&quot;1&quot; c=&#x27;2&#x27;&gt;&amp;"),
        ("注文 αβγ عربي", "注文 αβγ عربي"),
        ("a\u202etxt.exe", "a\ufffdtxt.exe"),
        ("\u2066a\u2069\u200f\u200e\u061c", "\ufffda\ufffd\ufffd\ufffd\ufffd"),
        ("a\x00\x1b[31m\x85\x7f", "a\ufffd\ufffd[31m \ufffd"),
        ("a\ud800", "a\ufffd"),
        ("a\nb\tc\u2028d\u3000e\xa0f", "a b c d e f"),
        ("\ufeff\u200b\U000e0041", "\ufffd\ufffd\ufffd"),
        ("👩\u200d💻", "👩\u200d💻"),
    ],
)
def test_foreign_text_can_do_nothing(text: str, shown: str) -> None:
    assert harmless(text) == shown


def test_foreign_text_is_bounded_before_it_is_escaped() -> None:
    assert harmless("<" * 256) == "&lt;" * 256
    assert harmless("<" * 10_000) == "&lt;" * 255 + "…"


@pytest.mark.parametrize(
    ("seconds", "shown"),
    [
        (-5, "0s"),
        (0.4, "0s"),
        (59.4, "59s"),
        (59.6, "1m"),
        (61, "1m 1s"),
        (3_599, "59m 59s"),
        (3_600, "1h"),
        (7_265, "2h 1m"),
        (86_400 + 59, "1d"),
        (90_000, "1d 1h"),
        (1e9, "11574d 1h"),
    ],
)
def test_a_length_of_time_has_two_units(seconds: float, shown: str) -> None:
    assert duration(seconds) == shown


@pytest.mark.parametrize(
    ("ratio", "shown"),
    [(0, "0%"), (0.425, "42%"), (0.999, "99%"), (1, "100%"), (1.35, "100%"), (-1, "0%")],
)
def test_what_is_not_complete_is_not_100_percent(ratio: float, shown: str) -> None:
    assert percent(ratio) == shown


def test_a_time_of_another_day_has_its_date() -> None:
    assert clock(NOON + 60, NOON) == "12:01"
    assert clock(NOON + 86_400, NOON) == "2026-11-19 12:00"


@pytest.mark.parametrize("when", [1e18, -1e18, float("inf"), float("-inf"), 253_402_300_799])
def test_a_moment_that_no_calendar_has_is_none_the_less_shown(when: float) -> None:
    assert clock(when, NOON)[4] == "-"
    assert moment(when, "then").startswith("<time datetime=")


def test_a_moment_can_be_read_by_machines() -> None:
    assert moment(NOON, "then") == '<time datetime="2026-11-18T12:00:00Z">then</time>'
    assert ago(NOON, NOON + 90) == '<time datetime="2026-11-18T12:00:00Z">1m 30s ago</time>'


@pytest.mark.parametrize(
    ("count", "shown"), [(0, "0 jobs"), (1, "1 job"), (2, "2 jobs"), (1_200, "1,200 jobs")]
)
def test_one_thing_is_not_several(count: int, shown: str) -> None:
    assert counted(count, "job") == shown
