"""Bars that keep up to date in a terminal."""

import io
import re
from typing import Any, Final

import pytest
from rich.console import Console

from exporter.terminal.bars import Bars
from exporter.terminal.fates import Fate, Look, Wanted
from exporter.terminal.state import JobState

NOW: Final = 1_795_154_400.0
HIDE, SHOW = "\x1b[?25l", "\x1b[?25h"


def fate(job_id: str = "a", **more: Any) -> Fate:
    about = {"project": "default", "job_id": job_id, "status": "RUNNING"}
    return Fate(wanted=Wanted(job_id), job=JobState.model_validate(about | more))


def console(height: int = 24) -> Console:
    return Console(
        file=io.StringIO(), force_terminal=True, width=120, height=height, color_system=None
    )


def written(screen: Console) -> str:
    assert isinstance(screen.file, io.StringIO)
    text = screen.file.getvalue()
    screen.file.truncate(0)
    screen.file.seek(0)
    return text


def lines(screen: Console) -> list[str]:
    """Return the lines drawn since the last call, without what moves the cursor."""
    text = re.sub(r"\x1b\[[0-9;?]*[A-Za-z]", "", written(screen)).replace("\r", "")
    return [line.rstrip() for line in text.splitlines() if line.strip()]


def test_a_picture_is_drawn_in_the_place_of_the_last_one() -> None:
    screen = console()
    with Bars(screen, named=True, errors=False) as bars:
        assert HIDE in written(screen)
        bars.show([fate(progress_ratio=0.1)], Look(), NOW)
        assert "10 %" in written(screen)
        bars.show([fate(progress_ratio=0.2)], Look(), NOW)
        again = written(screen)
        assert again.count("\x1b[1A") == 2
        assert "20 %" in again
    assert SHOW in written(screen)


def test_the_cursor_comes_back_after_a_mistake() -> None:
    screen = console()
    with pytest.raises(RuntimeError), Bars(screen, named=True, errors=False):
        raise RuntimeError
    assert SHOW in written(screen)


def test_the_speed_is_that_of_the_last_minute_once_there_is_one() -> None:
    screen = console()
    with Bars(screen, named=True, errors=False) as bars:
        first = fate(last_update=100.0, indices_completed=10, indices_per_second=7.5)
        bars.show([first], Look(), NOW)
        assert "7.5/s" in written(screen)
        second = fate(last_update=110.0, indices_completed=40, indices_per_second=7.5)
        bars.show([second], Look(), NOW)
        assert "3/s" in written(screen)


@pytest.mark.parametrize(("named", "order"), [(True, ["b", "a"]), (False, ["a", "b"])])
def test_named_jobs_stay_in_their_order(named: bool, order: list[str]) -> None:
    screen = console()
    with Bars(screen, named=named, errors=False) as bars:
        written(screen)
        bars.show([fate("b", status="FINISHED"), fate("a")], Look(), NOW)
        assert [line.split()[0] for line in lines(screen)[1:3]] == order


@pytest.mark.parametrize(("named", "shown"), [(True, 30), (False, 6)])
def test_at_the_end_all_that_was_named_is_shown(named: bool, shown: int) -> None:
    screen = console(height=10)
    fates = [fate(f"job-{number}") for number in range(30)]
    bars = Bars(screen, named=named, errors=False)
    with bars:
        written(screen)
        bars.show(fates, Look(), NOW)
        assert len(lines(screen)) <= 10
        bars.close(fates, Look(), NOW, 60)
        written(screen)
    assert sum(line.startswith("job-") for line in lines(screen)) == shown


def test_a_job_nobody_knows_is_shown_by_its_id() -> None:
    screen = console()
    with Bars(screen, named=True, errors=False) as bars:
        lost = Fate(wanted=Wanted("a", "prod"), lost="DLI knows no such job", over=True)
        bars.show([lost], Look(troubles=("prod: no",)), NOW)
        shown = "\n".join(lines(screen))
    assert "prod/a" in shown
    assert "a: DLI knows no such job" in shown
    assert "prod: no" in shown
