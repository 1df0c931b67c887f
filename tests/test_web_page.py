"""The status page as a whole, beside its rows."""

import re
from collections.abc import Sequence
from dataclasses import replace
from typing import Any, Final

import pytest

from exporter.jobs.model import Job, JobKey, JobStatus
from exporter.web.page import status_page
from exporter.web.selection import Query
from exporter.web.state import Failure, Health, Reload, State

NOW: Final = 1_795_003_200.0
HOSTILE: Final = "\"'><script>\u202e\x00"
STATE: Final = State(
    now=NOW,
    version="1.2.3",
    healthy=True,
    ready=True,
    stale=300.0,
    reload=Reload(at=NOW - 60, in_force=NOW - 60),
    projects=(Health(project="prod", up=True, last_success=NOW - 3),),
)
FAILURE: Final = Failure(
    reason="forbidden", message="no", since=NOW - 600, last=NOW - 5, count=9, over=False
)


def jobs(count: int) -> list[Job]:
    running = JobStatus.RUNNING
    return [Job(key=JobKey("prod", f"{each:04}"), status=running) for each in range(count)]


def made(tracked: Sequence[Job], state: State = STATE, **query: str) -> tuple[str, int]:
    """Make the page; give it, and in how many steps it was made."""
    steps, count = status_page(tracked, state, Query.parse(query)), 0
    while True:
        try:
            next(steps)
        except StopIteration as stop:
            return b"".join(stop.value).decode(), count
        count += 1


def page(tracked: Sequence[Job] = (), state: State = STATE, **query: str) -> str:
    return made(tracked, state, **query)[0]


def text(html: str) -> str:
    """Give what can be read, without style and script."""
    html = re.sub(r"<(style|script)>.*?</\1>", "", html, flags=re.DOTALL)
    return " ".join(re.sub("<[^>]*>", " ", html).split())


def test_everything_is_linked_relative_to_the_page() -> None:
    links = re.findall(r'<a href="([^"]*)"', page())
    for wanted in ("metrics", "api/v1/jobs", "-/started", "-/healthy", "-/ready"):
        assert wanted in links
    assert "https://github.com/dli-exporter/dli-exporter" in links
    assert not [link for link in links if link.startswith("/")]


def test_nothing_is_fetched_from_elsewhere() -> None:
    html = page(jobs(3))
    assert not re.search(r"(src|srcset|action)=|url\(|@import", html)
    assert re.findall(r'<link[^>]*href="([a-z]+:)', html) == ["data:"]


@pytest.mark.parametrize(
    ("passed", "shown"), [(True, "Healthy Ready"), (False, "Not healthy Not ready")]
)
def test_the_probes_answers_are_told(passed: bool, shown: str) -> None:
    assert shown in text(page(state=STATE._replace(healthy=passed, ready=passed)))


def test_the_title_tells_what_matters_from_afar() -> None:
    failed = Job(key=JobKey("prod", "x"), status=JobStatus.FAILED, ended=NOW)
    down = STATE._replace(projects=(Health(project="prod", up=False),))
    html = page([*jobs(2), failed], down)
    assert "<title>1 project down · 2 running · 1 failed · DLI exporter</title>" in html
    assert "<title>DLI exporter</title>" in page()


@pytest.mark.parametrize(
    ("health", "shown"),
    [
        (Health(project="prod"), "prod Not asked yet 2 jobs"),
        (
            Health(project="prod", up=True, last_success=NOW - 3),
            "prod Up 2 jobs, last answer 3s ago",
        ),
        (Health(project="prod", up=False), "prod Down 2 jobs"),
    ],
)
def test_each_project_is_up_or_down(health: Health, shown: str) -> None:
    assert shown in text(page(jobs(2), STATE._replace(projects=(health,))))


@pytest.mark.parametrize(
    ("changes", "shown"),
    [
        ({}, "9 times, since 11:50 , last 5s ago"),
        ({"of": ("discovery", "history"), "jobs": 3}, "discovery, history, 3 jobs, 9 times"),
        ({"jobs": 1, "job_id": "85798b38"}, "job 85798b38, 9 times"),
        ({"over": True, "count": 1}, "1 time, over, last 5s ago"),
    ],
)
def test_failures_tell_whom_since_when_and_how_often(changes: dict[str, Any], shown: str) -> None:
    health = Health(project="prod", up=False, failures=(replace(FAILURE, **changes),))
    assert f"forbidden no {shown}" in text(page(state=STATE._replace(projects=(health,))))


def test_settings_that_could_not_be_read_are_told_and_which_are_in_force() -> None:
    mistakes = ("poll.interval: must be above 0", HOSTILE)
    wrong = Reload(at=NOW - 5, in_force=NOW - 3_600, mistakes=mistakes)
    shown = text(page(state=STATE._replace(reload=wrong)))
    assert "Settings not reloaded 5s ago : those of 11:00 are in force." in shown
    assert "poll.interval: must be above 0" in shown
    assert "Settings not reloaded" not in text(page())
    assert "Settings read 1m ago and in force." in text(page())


def test_statuses_are_filters_with_counts() -> None:
    html = page(jobs(1_200), status="RUNNING")
    assert '<a href="?status=RUNNING" aria-current="true" class="mark running">' in html
    assert '<a href="?status=FAILED" class="mark failed zero">' in html
    assert "status=UNKNOWN" not in html
    assert "status=UNKNOWN" in page(status="UNKNOWN")
    assert "Running 1,200" in text(html)


def test_the_form_keeps_what_it_does_not_ask() -> None:
    html = page(jobs(1), q="a", status="FAILED", sort="-name")
    assert re.findall(r'<input type="hidden" name="(\w+)" value="([^"]*)"', html) == [
        ("status", "FAILED"),
        ("sort", "-name"),
    ]
    assert '<a href="?">Clear</a>' in html
    assert "hidden" not in re.findall(r"<input[^>]*>", page())[0]
    assert "Clear" not in page()


def test_a_project_is_chosen_where_there_is_a_choice() -> None:
    both = STATE._replace(projects=(Health(project="prod"), Health(project="test")))
    assert "<select" not in page()
    assert '<option value="test" selected>test</option>' in page(state=both, project="test")
    assert '<option value="gone" selected>gone</option>' in page(project="gone")


@pytest.mark.parametrize(
    ("count", "query", "shown"),
    [
        (1, {}, "1 job"),
        (1_000, {}, "1,000 jobs, 1 to 200 shown"),
        (1_000, {"page": "5"}, "1,000 jobs, 801 to 1,000 shown"),
        (1_000, {"q": "0007"}, "1 of 1,000 jobs"),
        (1_000, {"q": "nothing"}, "0 of 1,000 jobs"),
    ],
)
def test_it_says_how_many_there_are(count: int, query: dict[str, str], shown: str) -> None:
    html = page(jobs(count), STATE, **query)
    told = re.findall(r'<p id="count"[^>]*>([^<]*)</p>', html)
    assert told == [shown]


def test_pages_lead_on_and_back() -> None:
    assert "Page 1 of 5" in text(page(jobs(1_000)))
    middle = page(jobs(1_000), page="2", sort="name")
    assert '<a rel="prev" href="?sort=name">Previous</a>' in middle
    assert '<a rel="next" href="?sort=name&amp;page=3">Next</a>' in middle
    assert 'rel="next"' not in page(jobs(1_000), page="5")
    assert "Page" not in text(page(jobs(200)))


def test_no_job_and_no_match_are_told_apart() -> None:
    assert "No job is tracked." in text(page())
    assert "No job is as asked for. Show all" in text(page(jobs(1), q="nothing"))
    assert "<table" not in page()


def test_no_text_is_more_than_text() -> None:
    health = Health(
        project=HOSTILE,
        failures=(replace(FAILURE, message=HOSTILE, reason=HOSTILE, job_id=HOSTILE, jobs=1),),
    )
    hostile = STATE._replace(
        version=HOSTILE,
        projects=(health, health._replace(failures=())),
        reload=Reload(at=1.0, in_force=1.0, mistakes=(HOSTILE,)),
    )
    html = page(jobs(1), hostile, q=HOSTILE, project=HOSTILE)
    assert html.count("<script>") == 1
    assert "\u202e" not in html
    assert "\x00" not in html
    assert html.count("&quot;&#x27;&gt;&lt;script&gt;\ufffd\ufffd") >= 8


def test_others_have_turns_while_it_is_made() -> None:
    assert made(jobs(200))[1] >= made(jobs(10))[1] + 19


def test_a_page_of_another_version_or_style_is_another_build() -> None:
    builds = [
        re.findall(r'data-build="([^"]*)"', page(state=STATE._replace(version=version)))
        for version in ("1.2.3", "1.2.4")
    ]
    assert builds[0] != builds[1]
