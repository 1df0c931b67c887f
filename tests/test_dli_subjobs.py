"""Sub-jobs read at once say what the same ones say that are read field by field."""

import gzip
import json
import random
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

import exporter
from exporter.dli.fields import LARGEST, Notes
from exporter.dli.subjobs import FIELDS, read_leniently, read_plain
from exporter.dli.times import DEFAULT_ZONES
from exporter.jobs.model import KillReason, SubJob, SubJobStatus

RECORDINGS = [
    *(Path(exporter.__file__).parent / "simulator" / "recordings").glob("*.jsonl.gz"),
    *(Path(__file__).parent / "data" / "runs").glob("*.jsonl.gz"),
]
SUBJOB: dict[str, Any] = {
    "id": 7,
    "name": "count at Sales.scala:12",
    "status": "RUNNING",
    "submission_time": "Thu Nov 19 02:14:07 CST 2026",
    "completion_time": None,
    "stage_ids": [3, 4],
    "num_tasks": 100,
    "num_active_tasks": 8,
    "num_completed_tasks": 41,
    "num_skipped_tasks": 0,
    "num_failed_tasks": 1,
    "num_killed_tasks": 2,
    "num_completed_indices": 40,
    "num_active_stages": 1,
    "num_completed_stages": 1,
    "num_skipped_stages": 0,
    "num_failed_stages": 0,
    "killed_tasks_summary": {"another attempt succeeded": 2},
}
ODD: tuple[object, ...] = (
    *(None, True, False, 0, 7, -1, 1.0, 1.5, LARGEST, LARGEST + 1, -(2**63), 10**300),
    *("", "5", "x", "succeeded", "Failed", "SUSPENDED", "Thu Nov 19 02:14:07 CST 2026"),
    *("Thu Nov 19 02:14:07 ABC 2026", "2026-11-19T02:14:07Z", "é" * 200, "x" * 300, "\ud800"),
    *([], [1], [None], {}, {"x": 1}, {"x": True}, {"x": -1}, {"x": "3"}, {"x": None}),
    *({"Stage finished": 2, "stage finished": LARGEST}, {"x" * 300: 1, "y\nat z": 2}),
)


def leniently(entry: object) -> tuple[SubJob | None, set[str]]:
    notes = Notes()
    subjob = read_leniently(entry, notes, DEFAULT_ZONES)
    return subjob, notes.unreadable | notes.out_of_range


def changed(chance: random.Random) -> dict[str, Any]:
    """Return the sub-job with some fields left out, replaced, renamed or added."""
    entry = dict(SUBJOB)
    for name in chance.sample(FIELDS, chance.choice((0, 1, 1, 2, 5))):
        if chance.random() < 0.8:
            entry[name] = chance.choice(ODD)
        else:
            entry.pop(name)
    if chance.random() < 0.2:
        entry[chance.choice(("numTasks", "completionTime", "NAME", "new_field", "job_group"))] = 5
    return entry


def recorded(path: Path) -> Iterator[dict[str, Any]]:
    with gzip.open(path, "rt", encoding="utf-8") as lines:
        for line in lines:
            yield from json.loads(line)["response"].get("sub_jobs") or ()


@pytest.mark.parametrize("path", RECORDINGS, ids=lambda path: path.name.split(".")[0])
def test_every_recorded_subjob_is_plain_and_read_alike(path: Path) -> None:
    for entry in recorded(path):
        assert (read_plain(entry, DEFAULT_ZONES), set()) == leniently(entry)


@pytest.mark.parametrize("seed", range(10))
def test_what_is_read_plainly_is_read_alike_and_nothing_is_noted(seed: int) -> None:
    chance = random.Random(seed)  # noqa: S311 - seeded test data, no secret
    plain = 0
    for _ in range(1000):
        entry = changed(chance)
        subjob = read_plain(entry, DEFAULT_ZONES)
        if subjob is not None:
            plain += 1
            again, noted = leniently(entry)
            assert (repr(subjob), noted) == (repr(again), set()), entry  # True is not 1 here
    assert 150 < plain < 850


@pytest.mark.parametrize("name", FIELDS)
@pytest.mark.parametrize("value", [True, -1, 1.5, LARGEST + 1, {"x": True}, {"x": -1}, [()]])
def test_what_has_to_be_noted_is_not_read_plainly(name: str, value: object) -> None:
    entry = {**SUBJOB, name: value}
    subjob, noted = leniently(entry)
    if noted or subjob is None:
        assert read_plain(entry, DEFAULT_ZONES) is None


@pytest.mark.parametrize("entry", [None, 5, "x", [], {}, {"id": 1}])
def test_what_is_no_whole_subjob_is_not_read_plainly(entry: object) -> None:
    assert read_plain(entry, DEFAULT_ZONES) is None


def test_a_field_that_is_not_documented_yet_leaves_a_subjob_plain() -> None:
    subjob = read_plain({**SUBJOB, "new_field": {}}, DEFAULT_ZONES)
    assert subjob is not None
    assert (subjob.id, subjob.status) == (7, SubJobStatus.RUNNING)
    assert (subjob.counts.tasks, subjob.counts.stages, subjob.counts.stages_active) == (100, 2, 1)


def test_equal_summaries_of_kills_are_one_value() -> None:
    first, second = (read_plain(dict(SUBJOB), DEFAULT_ZONES) for _ in range(2))
    assert first is not None
    assert second is not None
    assert first.killed == {KillReason.SPECULATION: 2}
    assert first.killed is second.killed
