"""Words for people, and text of others that can do no harm."""

from datetime import UTC, timedelta, timezone

import pytest

from exporter.terminal.words import clock, duration, moment, plain, share, speed

NOW = 1_795_154_400.0  # 2026-11-20T06:00:00Z


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (0, "0s"),
        (-5, "0s"),
        (0.4, "0s"),
        (45, "45s"),
        (59.6, "1m"),
        (250, "4m 10s"),
        (3600, "1h"),
        (7500, "2h 5m"),
        (7205, "2h"),
        (90_061, "1d 1h"),
    ],
)
def test_durations_have_their_two_largest_units(seconds: float, text: str) -> None:
    assert duration(seconds) == text


@pytest.mark.parametrize(
    ("ratio", "text"),
    [(0, "0 %"), (0.29, "29 %"), (0.425, "42 %"), (0.9999, "99 %"), (1, "100 %")],
)
def test_shares_are_rounded_down(ratio: float, text: str) -> None:
    assert share(ratio) == text


@pytest.mark.parametrize(
    ("per_second", "text"),
    [
        (0, "0/s"),
        (0.04, "2.4/min"),
        (0.5, "0.5/s"),
        (17.234, "17.2/s"),
        (143.2, "143/s"),
        (12_345, "12.3k/s"),
        (2.5e6, "2.5M/s"),
    ],
)
def test_speeds_are_short(per_second: float, text: str) -> None:
    assert speed(per_second) == text


def test_moments_are_those_of_the_log() -> None:
    assert moment(NOW + 0.9) == "2026-11-20T06:00:00Z"


def test_a_clock_shows_the_day_only_if_it_is_another() -> None:
    zone = timezone(timedelta(hours=8))
    assert clock(NOW + 3600, now=NOW, zone=UTC) == "07:00"
    assert clock(NOW + 3600, now=NOW, zone=zone) == "15:00"
    assert clock(NOW + 18 * 3600, now=NOW, zone=UTC) == "11-21 00:00"


@pytest.mark.parametrize(
    ("text", "line"),
    [
        ("nightly sales", "nightly sales"),
        ("a\nb\tc\r\n", "a b c"),
        ("\x1b[31mred\x1b[0m", "�[31mred�[0m"),
        ("\x9b2J", "�2J"),
        ("\x1b]0;title\x07", "�]0;title�"),
        ("abc\u202edef\u2066", "abc�def�"),
        ("zero\u200bwidth\ufeff", "zero�width�"),
        ("lone\ud800", "lone�"),
        ("[bold red]x[/]", "[bold red]x[/]"),
        ("日本語 наказ", "日本語 наказ"),
    ],
)
def test_foreign_text_becomes_one_harmless_line(text: str, line: str) -> None:
    assert plain(text) == line
    assert plain(text).isprintable()


def test_foreign_text_is_bounded() -> None:
    assert len(plain("x" * 10_000)) == 128


def test_a_moment_beyond_all_calendars_is_shown_as_far_away() -> None:
    assert moment(1e12) == "9999-01-01T00:00:00Z"
    assert clock(1e15, now=NOW, zone=UTC) == "01-01 00:00"
