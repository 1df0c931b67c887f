"""Java's dates, as DLI writes them."""

import pytest

from exporter.simulator.javadate import format_java_date, parse_java_date


@pytest.mark.parametrize(
    ("text", "moment"),
    [
        ("Mon Jul 27 17:24:03 CST 2020", 1595841843),
        ("Thu Jan 01 08:00:00 CST 1970", 0),
        ("Thu Feb 29 00:00:00 CST 2024", 1709136000),
    ],
)
def test_a_date_is_written_and_read_in_china_standard_time(text: str, moment: int) -> None:
    assert parse_java_date(text) == moment
    assert format_java_date(moment) == text


def test_fractions_of_a_second_are_cut_off() -> None:
    assert format_java_date(0.999) == "Thu Jan 01 08:00:00 CST 1970"


def test_other_zones_are_read() -> None:
    assert parse_java_date("Thu Jan 01 00:00:07 UTC 1970") == 7


@pytest.mark.parametrize(
    "text", ["", "2020-07-27T17:24:03", "Mon Jul 27 17:24:03 PST 2020", "Mon Foo 27 1:2:3 CST 2020"]
)
def test_anything_else_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="is not a date like"):
        parse_java_date(text)
