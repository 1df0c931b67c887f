"""Jobs as bars, drawn at widths from a telephone's to a wall's."""

import io
from datetime import UTC
from typing import Any, Final

import pytest
from rich.cells import cell_len
from rich.console import Console

from exporter.terminal.fit import Row
from exporter.terminal.picture import Frame, picture
from exporter.terminal.state import JobState

NOW: Final = 1_795_154_400.0  # 2026-11-20T06:00:00Z
WIDTHS: Final = (20, 40, 63, 64, 80, 109, 110, 149, 150, 200)


def job(status: str | None = "RUNNING", **more: Any) -> JobState:
    about = {"project": "default", "job_id": "85798b38-ae44-48eb-bb90-7cf0dcdafe7b"}
    return JobState.model_validate(about | {"status": status, "last_update": NOW} | more)


def subjob(number: int = 7, **more: Any) -> dict[str, Any]:
    about = {"subjob_id": number, "name": "collect at a.py:1", "status": "RUNNING"}
    figures = {"progress_ratio": 0.25, "tasks": 8, "indices_completed": 2}
    return {**about, **figures, **more}


BUSY: Final = [
    Row(
        job(
            name="nightly sales",
            queue_name="etl",
            expected_progress_ratio=0.5,
            progress_ratio=0.4,
            expected_end=NOW + 3660,
            tasks_failed=3,
            subjobs=[subjob(indices_per_second=0.5, expected_end=NOW + 12)],
        ),
        speed=143.2,
    ),
    Row(job("FAILED", project="prod", progress_ratio=0.61, start=NOW - 700, end=NOW - 60)),
]


def drawn(
    rows: list[Row],
    width: int = 120,
    lines: int | None = 40,
    troubles: tuple[str, ...] = (),
    *,
    encoding: str = "utf-8",
    **console: Any,
) -> list[str]:
    """Draw without colours; return the lines less the blanks at their ends."""
    file = io.TextIOWrapper(io.BytesIO(), encoding=encoding, errors="replace")
    about = {"width": width, "color_system": None, "markup": False, **console}
    screen = Console(file=file, **about)
    frame = Frame(width=width, lines=lines, now=NOW, zone=UTC, ascii=encoding != "utf-8")
    screen.print(picture(rows, frame, troubles))
    file.flush()
    assert isinstance(file.buffer, io.BytesIO)
    shown = file.buffer.getvalue().decode(encoding).splitlines()
    assert all(cell_len(line) <= width for line in shown)
    return [line.rstrip() for line in shown]


def words(line: str) -> list[str]:
    """Return what stands in a line, by column."""
    return [word.strip() for word in line.split("  ") if word.strip()]


def test_a_wide_picture_shows_everything() -> None:
    header, running, below, failed, summary = drawn(BUSY, 160)
    assert words(header) == [
        *("JOB", "QUEUE", "STATUS", "PROGRESS"),
        *("SPEED", "END", "FAILURES"),
    ]
    assert words(running)[0] == "nightly sales 85798b38-ae44-48eb-bb90-7cf0dcdafe7b"
    assert words(running)[1:3] == ["etl", "RUNNING"]
    assert words(running)[4:] == ["~50 %", "143/s", "07:01, in 1h 1m", "3"]
    assert words(below)[:2] == ["7 collect at a.py:1", "2 of 8"]
    assert words(below)[3:] == ["25 %", "0.5/s", "06:00, in 12s"]
    assert words(failed)[0] == "prod/85798b38-ae44-48eb-bb90-7cf0dcdafe7b"
    assert (words(failed)[1], words(failed)[3:]) == ("FAILED", ["61 %", "took 10m 40s"])
    assert words(summary) == ["2 jobs, 1 failed, 1 running", "06:00:00"]
    assert "━" * 20 in running


def test_a_middling_picture_leaves_out_what_matters_less() -> None:
    header, running, *_ = drawn(BUSY, 80)
    assert words(header) == ["JOB", "STATUS", "PROGRESS", "END", "FAILURES"]
    assert words(running)[0] == "nightly sales"
    assert words(running)[3:] == ["~50 %", "in 1h 1m", "3"]


def test_a_narrow_picture_has_two_lines_for_each_job() -> None:
    first, second, below, *_, summary = drawn(BUSY, 40)
    assert words(first) == ["nightly sales", "3 failed", "RUNNING"]
    assert words(second)[:2] == ["in 1h 1m", "~50 %"]
    assert words(below)[:2] == ["7 collect at a.py…", "25 %"]
    assert summary == "2 jobs, 1 failed, 1 running"
    assert len(drawn(BUSY, 40)) == 6


@pytest.mark.parametrize("width", WIDTHS)
@pytest.mark.parametrize("encoding", ["utf-8", "ascii"])
def test_no_line_is_longer_than_the_screen(width: int, encoding: str) -> None:
    long = job(name="日本語" * 40, queue_name="q" * 99, subjobs=[subjob(name="x" * 128)])
    late = job(expected_end=NOW + 1e6, deadline=NOW + 9, tasks_failed=10**9, last_update=NOW - 999)
    assert drawn([*BUSY, Row(long, 1e9), Row(late)], width, None, ("t" * 300,), encoding=encoding)


def test_columns_without_anything_to_tell_are_left_out() -> None:
    header, *_ = drawn([Row(job(progress_ratio=0.5))], 160)
    assert words(header) == ["JOB", "STATUS", "PROGRESS", "END"][:3]


@pytest.mark.parametrize(("ratio", "full"), [(0.0, 0), (0.5, 5), (0.99, 9), (1.0, 10), (None, 0)])
def test_a_bar_is_as_long_as_its_share(ratio: float | None, full: int) -> None:
    name = "n" * 200  # leaves the bar its least width
    row = Row(job(name=name, progress_ratio=ratio, tasks_failed=1))
    assert drawn([row], 80)[1].count("━") == full


def test_only_the_finished_have_a_full_share() -> None:
    almost, finished = job(progress_ratio=0.9999), job("FINISHED", progress_ratio=1.0)
    _, first, second, _ = drawn([Row(almost), Row(finished)])
    assert (words(first)[-1], words(second)[-1]) == ("99 %", "100 %")


def test_only_what_time_tells_has_a_tilde() -> None:
    by_time = job(progress_ratio=0.4, expected_progress_ratio=0.5)
    by_work = job(progress_ratio=0.4)
    ended = job("FAILED", progress_ratio=0.4, expected_progress_ratio=0.5)
    _, *shown, _ = drawn([Row(by_time), Row(by_work), Row(ended)])
    assert [words(line)[-1] for line in shown] == ["~50 %", "40 %", "40 %"]


@pytest.mark.parametrize(
    ("about", "end"),
    [
        ({"expected_end": NOW + 3660}, "07:01, in 1h 1m"),
        ({"expected_end": NOW - 5}, "any moment"),
        ({"start": NOW - 65}, "for 1m 5s"),
        ({"expected_end": NOW + 3660, "deadline": NOW + 3660}, "07:01, in 1h 1m"),
        ({"expected_end": NOW + 3660, "deadline": NOW + 60}, "07:01, in 1h 1m, 1h late"),
        ({"start": NOW - 65, "deadline": NOW - 60}, "for 1m 5s, 1m late"),
        ({"deadline": NOW - 60}, "1m late"),
        ({"status": "FINISHED", "start": NOW - 65, "end": NOW}, "took 1m 5s"),
        (
            {"status": "FAILED", "start": NOW - 65, "end": NOW, "deadline": NOW - 5},
            "took 1m 5s, 5s late",
        ),
    ],
)
def test_the_end_is_told_in_time_and_against_the_deadline(about: dict[str, Any], end: str) -> None:
    known: dict[str, Any] = {"progress_ratio": 0.5, **about}
    assert words(drawn([Row(job(**known))])[1])[-1] == end


def test_old_news_is_pointed_at() -> None:
    running, ended = job(last_update=NOW - 250), job("FINISHED", last_update=NOW - 250)
    _, first, second, _ = drawn([Row(running), Row(ended)])
    assert "RUNNING 4m 10s ago" in first
    assert "ago" not in second


def test_a_job_not_asked_for_as_yet_says_so() -> None:
    assert "not asked yet" in drawn([Row(job(None, last_update=None))])[1]


def test_why_a_job_is_lost_stands_below() -> None:
    lost = Row(job(None, job_id="nothing-here"), lost="DLI knows no such job")
    _, row, *told, summary = drawn([lost])
    assert words(row)[:2] == ["nothing-here", "UNKNOWN"]
    assert told == ["nothing-here: DLI knows no such job"]
    assert words(summary)[0] == "1 job, 1 unknown"


def test_troubles_stand_below_three_at_most() -> None:
    shown = drawn(BUSY, troubles=("one", "two", "three", "four"))
    assert shown[-4:-1] == ["one", "two", "three"]


@pytest.mark.parametrize("width", [40, 100])
@pytest.mark.parametrize("lines", [8, 12, 24])
def test_many_jobs_fit_on_the_screen(width: int, lines: int) -> None:
    many = [Row(job(job_id=str(n), subjobs=[subjob()] * 3)) for n in range(40)]
    shown = drawn(many, width, lines, ("a trouble",))
    assert len(shown) <= lines
    assert any(line.startswith("and ") and line.endswith(" more jobs") for line in shown)


def test_sub_jobs_that_do_not_fit_are_counted() -> None:
    row = Row(job(subjobs=[subjob(number) for number in range(14)]))
    assert drawn([row])[-2] == "  and 4 more running"
    assert drawn([row], 40)[-2] == "  and 4 more running"


@pytest.mark.parametrize("width", [40, 120])
def test_no_jobs_are_a_summary(width: int) -> None:
    assert words(drawn([], width)[-1])[0] == "0 jobs"
    assert len(drawn([], width)) == 1


def test_terminals_without_utf_8_get_ascii() -> None:
    name = "n" * 200
    shown = drawn([Row(job(name=name, progress_ratio=0.5))], 80, encoding="ascii")
    assert "\n".join(shown).isascii()
    assert "-----" in shown[1]
    assert "?" not in shown[1]


def test_markup_in_a_name_is_text() -> None:
    assert "[bold red]x[/]" in drawn([Row(job(name="[bold red]x[/]"))])[1]


def test_statuses_have_colours() -> None:
    file = io.StringIO()
    screen = Console(file=file, width=120, color_system="standard", force_terminal=True)
    screen.print(picture(BUSY, Frame(width=120, now=NOW, zone=UTC)))
    assert "\x1b[36mRUNNING" in file.getvalue()
    assert "\x1b[1;31mFAILED" in file.getvalue()
    screen.no_color = True
    file.truncate(0)
    screen.print(picture(BUSY, Frame(width=120, now=NOW, zone=UTC)))
    assert "\x1b[3" not in file.getvalue()
