"""Recordings: reading them, and replaying them as another job."""

import gzip
import json
from pathlib import Path
from typing import Any

import pytest

import exporter.simulator
from exporter.simulator.javadate import parse_java_date
from exporter.simulator.timeline import (
    Timeline,
    TimelineError,
    parse_timeline,
    read_timelines,
    shipped_timelines,
)

OLD = "8b0b71d2-90e2-44c7-95aa-30592a1c1661"
NEW = "00000000-0000-4000-8000-000000000001"
SHIPPED = shipped_timelines()

shipped = pytest.mark.parametrize("timeline", SHIPPED, ids=lambda each: each.name)


def line(t: float, status: str = "RUNNING", **fields: Any) -> str:
    return json.dumps({"t": t, "response": {"job_id": OLD, "status": status, **fields}})


def write(path: Path, *lines: str) -> None:
    with gzip.open(path, "wt") as file:
        file.write("\n".join(lines))


def test_twelve_recordings_are_shipped_with_every_way_to_end() -> None:
    assert len(SHIPPED) == 12
    assert {timeline.outcome for timeline in SHIPPED} == {"FINISHED", "FAILED", "CANCELLED"}


@shipped
def test_a_recording_replays_in_full_at_its_own_times(timeline: Timeline) -> None:
    recordings = Path(exporter.simulator.__file__).parent / "recordings"
    path = recordings / f"{timeline.name}.jsonl.gz"
    with gzip.open(path, "rt") as file:
        entries = [json.loads(each) for each in file]
    assert [timeline.response_at(entry["t"]) for entry in entries] == [
        entry["response"] for entry in entries
    ]


@shipped
def test_between_two_answers_the_earlier_one_holds(timeline: Timeline) -> None:
    for earlier, later in zip(timeline.times, timeline.times[1:], strict=False):
        if earlier < later:
            middle = (earlier + later) / 2
            assert timeline.response_at(middle) is timeline.response_at(earlier)


@shipped
def test_a_recording_begins_launching_and_stays_at_its_end(timeline: Timeline) -> None:
    assert timeline.response_at(-1)["status"] == "LAUNCHING"
    assert timeline.response_at(timeline.duration + 1e9)["status"] == timeline.outcome


@shipped
def test_a_replay_at_the_recordings_own_clock_changes_nothing(timeline: Timeline) -> None:
    for index, response in enumerate(timeline.responses):
        # The origin is exact to a second at best, and so are the times.
        assert timeline.replay(index, timeline.job_id, timeline.origin, 1.0) == response


@shipped
@pytest.mark.parametrize("speed", [0.5, 1.0, 10.0])
def test_a_replays_times_are_never_in_its_future_nor_before_its_start(
    timeline: Timeline, speed: float
) -> None:
    start = 1_700_000_000.0
    for index, t in enumerate(timeline.times):
        for row in timeline.replay(index, NEW, start, speed).get("sub_jobs", ()):
            for key in row.keys() & {"submission_time", "completion_time"}:
                assert start - 1 <= parse_java_date(row[key]) <= start + t / speed


@shipped
def test_the_recorded_id_is_nowhere_in_a_replay(timeline: Timeline) -> None:
    for index in range(len(timeline.times)):
        replay = timeline.replay(index, NEW, 0.0, 1.0)
        assert replay["job_id"] == NEW
        assert timeline.job_id not in json.dumps(replay)


def test_a_replay_leaves_the_recording_as_it_was() -> None:
    before = json.dumps(SHIPPED[0].responses)
    for index in range(len(SHIPPED[0].times)):
        SHIPPED[0].replay(index, NEW, 0.0, 3.0)
    assert json.dumps(SHIPPED[0].responses) == before


def test_a_foreign_job_group_is_kept_and_kill_reasons_name_the_new_job() -> None:
    rows = [
        {"id": 0, "job_group": "broadcast"},
        {"id": 1, "job_group": OLD, "killed_tasks_summary": {f"cancelled job group {OLD}": 2}},
    ]
    timeline = parse_timeline("x", [line(0, sub_jobs=rows)])
    assert timeline.replay(0, NEW, 0.0, 1.0)["sub_jobs"] == [
        {"id": 0, "job_group": "broadcast"},
        {"id": 1, "job_group": NEW, "killed_tasks_summary": {f"cancelled job group {NEW}": 2}},
    ]


def test_null_sub_jobs_replay_as_none() -> None:
    assert parse_timeline("x", [line(0, sub_jobs=None)]).replay(0, NEW, 0, 1)["sub_jobs"] == []


def test_completed_tasks_are_summed_over_sub_jobs_that_vanish() -> None:
    timeline = parse_timeline(
        "x",
        [
            line(0, "LAUNCHING"),
            line(1, sub_jobs=[{"id": 0, "num_completed_tasks": 3}]),
            line(2, sub_jobs=[{"id": 1, "num_completed_tasks": 4}]),
        ],
    )
    assert timeline.completed == (0, 3, 7)


@pytest.mark.parametrize(
    ("lines", "message"),
    [
        ([], "bad: holds no line"),
        (["{"], "bad:1: not JSON: "),
        (["[]"], 'bad:1: not an object of "t" and "response"'),
        ([line(0), '{"t": 1}'], 'bad:2: not an object of "t" and "response"'),
        (['{"t": "0", "response": {}}'], "bad:1: t is '0', not a number of seconds"),
        (['{"t": NaN, "response": {}}'], "bad:1: t is nan, not a number of seconds"),
        ([line(2), line(1)], "bad:2: t is 1, before 2.0"),
        (['{"t": -1, "response": {}}'], "bad:1: t is -1, before 0.0"),
        (['{"t": 0, "response": []}'], "bad:1: response is not an object"),
        (['{"t": 0, "response": {"job_id": "a"}}'], "bad:1: response.status is None, not a text"),
        (['{"t": 0, "response": {"status": "a"}}'], "bad:1: response.job_id is None, not a text"),
        ([line(0, sub_jobs={"id": 1})], "bad:1: response.sub_jobs is not an array of objects"),
        ([line(0, sub_jobs=[{"submission_time": "noon"}])], "bad:1: 'noon' is not a date like"),
        ([line(0), line(1).replace(OLD, NEW)], f"bad:2: response.job_id {NEW!r} differs"),
    ],
)
def test_a_bad_line_is_named_with_its_mistake(lines: list[str], message: str) -> None:
    with pytest.raises(TimelineError) as caught:
        parse_timeline("x", lines, "bad")
    assert str(caught.value).startswith(message)
    assert "\n" not in str(caught.value)


def test_a_directory_is_read_by_name_and_only_its_timelines(tmp_path: Path) -> None:
    write(tmp_path / "b.jsonl.gz", line(0))
    write(tmp_path / "a.jsonl.gz", line(0), line(1))
    (tmp_path / "README.md").write_text("not a timeline")
    assert [each.name for each in read_timelines(tmp_path)] == ["a", "b"]


@pytest.mark.parametrize("name", ["missing", "empty"])
def test_a_directory_without_timelines_is_refused(tmp_path: Path, name: str) -> None:
    (tmp_path / "empty").mkdir()
    with pytest.raises(TimelineError, match=f"{name}: (not a directory|holds no timeline)"):
        read_timelines(tmp_path / name)


def test_a_damaged_file_is_named_with_the_line_that_cannot_be_read(tmp_path: Path) -> None:
    path = tmp_path / "cut.jsonl.gz"
    write(path, *(line(t, message=str(hash(str(t)))) for t in range(5000)))
    path.write_bytes(path.read_bytes()[:-4000])
    with pytest.raises(TimelineError, match=r"cut\.jsonl\.gz:\d{2,}: cannot be read as gzip: "):
        read_timelines(tmp_path)


def test_a_file_that_is_not_gzip_is_refused(tmp_path: Path) -> None:
    (tmp_path / "plain.jsonl.gz").write_text(line(0))
    with pytest.raises(TimelineError, match=r"plain\.jsonl\.gz:1: cannot be read as gzip"):
        read_timelines(tmp_path)
