"""Which jobs there are, and when."""

from collections import Counter
from dataclasses import replace
from random import Random
from typing import Any

import pytest

from exporter.simulator.statements import Particulars, particulars
from exporter.simulator.timeline import TERMINAL, Timeline, parse_timeline, shipped_timelines
from exporter.simulator.workload import DEMO, Job, Repeat, Scene, Workload, cast

OPENED = 1_700_000_000.0
SHIPPED = shipped_timelines()


def timeline(name: str = "short", outcome: str = "FINISHED", duration: float = 10) -> Timeline:
    moments = [(0, "LAUNCHING"), (2, "RUNNING"), (duration, outcome)]
    lines = [
        f'{{"t": {t}, "response": {{"job_id": "old", "status": "{status}"}}}}'
        for t, status in moments
    ]
    return parse_timeline(name, lines)


def workload(*timelines: Timeline, **scene: Any) -> Workload:
    given = {"stagger": 0.0, "rest": 5.0, **scene}
    return Workload(Scene(**given), timelines or (timeline(),), opened=OPENED)


def statuses(shown: Workload, t: float) -> list[str]:
    return [job.state(OPENED + t).status for job in shown.jobs(OPENED + t)]


def test_a_job_goes_through_its_recording() -> None:
    shown = workload(repeat=Repeat.ONCE)
    assert [statuses(shown, t) for t in (0, 1.9, 2, 9.9, 10, 800)] == [
        ["LAUNCHING"],
        ["LAUNCHING"],
        ["RUNNING"],
        ["RUNNING"],
        ["FINISHED"],
        ["FINISHED"],
    ]


def test_speed_shortens_everything_in_proportion() -> None:
    shown = workload(repeat=Repeat.ONCE, speed=10)
    assert [statuses(shown, t) for t in (0.19, 0.2, 0.99, 1.0)] == [
        ["LAUNCHING"],
        ["RUNNING"],
        ["RUNNING"],
        ["FINISHED"],
    ]


def test_an_ended_job_is_forgotten_after_its_retention() -> None:
    shown = workload(repeat=Repeat.ONCE, retention=60)
    (job,) = shown.jobs(OPENED)
    assert shown.job(job.id, OPENED + 69.9) == job
    assert shown.job(job.id, OPENED + 70) is None
    assert shown.jobs(OPENED + 70) == ()


def test_the_same_id_starts_anew_after_a_rest() -> None:
    shown = workload(repeat=Repeat.SAME_IDS)
    (job,) = shown.jobs(OPENED)
    assert [statuses(shown, t) for t in (0, 12, 14.9, 15, 17, 1_500_000)] == [
        ["LAUNCHING"],
        ["FINISHED"],
        ["FINISHED"],
        ["LAUNCHING"],
        ["RUNNING"],
        ["LAUNCHING"],
    ]
    assert shown.jobs(OPENED + 1_500_000) == (job,)
    assert job.state(OPENED + 31).start == OPENED + 30


def test_new_ids_come_while_old_ones_stay_for_their_retention() -> None:
    shown = workload(repeat=Repeat.NEW_IDS, retention=20)
    first, second = (shown.jobs(OPENED + t)[-1].id for t in (0, 15))
    assert first != second
    assert [job.id for job in shown.jobs(OPENED + 29)] == [first, second]
    assert [job.id for job in shown.jobs(OPENED + 30)][:1] == [second]


def test_what_was_not_asked_for_in_between_does_not_matter() -> None:
    often, once = (workload(*SHIPPED, repeat=Repeat.NEW_IDS, speed=10, spread=0.3) for _ in "ab")
    for t in range(600):
        often.jobs(OPENED + t)
    assert often.jobs(OPENED + 600) == once.jobs(OPENED + 600)


def test_the_seed_and_the_project_make_the_ids() -> None:
    def ids(seed: int, salt: str) -> set[str]:
        shown = Workload(Scene(seed=seed), SHIPPED, opened=OPENED, salt=salt)
        return {job.id for job in shown.jobs(OPENED)}

    assert ids(1, "a") == ids(1, "a")
    assert not ids(1, "a") & ids(2, "a")
    assert not ids(1, "a") & ids(1, "b")


def test_memory_is_bounded_however_many_jobs_have_been() -> None:
    shown = workload(repeat=Repeat.NEW_IDS, jobs=50, keep=120, retention=1e9)
    for t in range(0, 6000, 7):
        known = shown.jobs(OPENED + t)
        assert len(known) <= 120
    assert len(known) == 120


def test_a_running_job_is_not_forgotten_to_make_room() -> None:
    shown = workload(repeat=Repeat.ONCE, jobs=30, keep=5)
    assert len(shown.jobs(OPENED + 9)) == 30
    assert len(shown.jobs(OPENED + 10)) == 5


def test_the_pace_is_drawn_within_its_spread() -> None:
    shown = Workload(Scene(jobs=200, spread=0.2), SHIPPED, opened=OPENED)
    paces = [job.speed for job in shown.jobs(OPENED)]
    assert 0.8 <= min(paces) < 0.85
    assert 1.15 < max(paces) <= 1.2


def test_jobs_start_one_after_the_other() -> None:
    shown = workload(repeat=Repeat.ONCE, jobs=3, stagger=4.0)
    assert [len(shown.jobs(OPENED + t)) for t in (0, 3.9, 4, 8)] == [1, 1, 2, 3]


def test_jobs_that_run_once_are_seen_from_their_very_beginning() -> None:
    shown = Workload(Scene(repeat=Repeat.ONCE), SHIPPED, opened=OPENED)
    assert {job.state(OPENED).status for job in shown.jobs(OPENED)} == {"LAUNCHING"}
    assert {job.start for job in shown.jobs(OPENED)} == {OPENED}


def test_history_has_jobs_that_ended_before_the_start() -> None:
    shown = workload(repeat=Repeat.NEW_IDS, history=150.0)
    ended = [job for job in shown.jobs(OPENED) if job.end < OPENED]
    assert len(ended) == 10


@pytest.mark.parametrize("repeat", [Repeat.SAME_IDS, Repeat.NEW_IDS])
@pytest.mark.parametrize("speed", [1.0, 10.0])
def test_the_demo_shows_every_phase_at_any_time(repeat: Repeat, speed: float) -> None:
    shown = Workload(replace(DEMO, repeat=repeat, speed=speed), SHIPPED, opened=OPENED)
    for step in range(2000):
        now = OPENED + step / speed
        seen = Counter(job.state(now).status for job in shown.jobs(now))
        assert seen.keys() >= {"LAUNCHING", "RUNNING", "FINISHED", "FAILED", "CANCELLED"}, step


def test_an_end_from_outside_is_final() -> None:
    shown = workload(repeat=Repeat.SAME_IDS)
    (job,) = shown.jobs(OPENED)
    shown.end(job.id, "CANCELLED", OPENED + 5)
    state = shown.jobs(OPENED + 20)[0].state(OPENED + 20)
    assert (state.status, state.end) == ("CANCELLED", OPENED + 5)
    assert shown.jobs(OPENED + 20)[0].progress(OPENED + 20) == {
        "is_success": True,
        "message": "",
        "job_id": job.id,
        "status": "CANCELLED",
        "progress": 1,
    }
    assert shown.jobs(OPENED + 905) == ()


def test_a_forgotten_job_is_unknown() -> None:
    shown = workload()
    (job,) = shown.jobs(OPENED)
    shown.forget(job.id, OPENED)
    assert shown.jobs(OPENED) == ()
    with pytest.raises(KeyError):
        shown.forget(job.id, OPENED)


def test_a_job_is_unknown_before_its_start() -> None:
    shown = workload(jobs=0)
    about = Particulars(statement="select 1")
    shown.add(Job(id="later", timeline=timeline(), particulars=about, start=OPENED + 9))
    assert shown.job("later", OPENED + 8) is None
    assert shown.jobs(OPENED + 8) == ()
    assert shown.job("later", OPENED + 9) is not None


def test_a_job_added_again_outlives_the_first_ones_end() -> None:
    shown = workload(jobs=0, retention=10)
    about = Particulars(statement="select 1")
    for start in (OPENED, OPENED + 15):
        shown.add(Job(id="again", timeline=timeline(), particulars=about, start=start))
    assert shown.job("again", OPENED + 34) is not None
    assert shown.job("again", OPENED + 35) is None


def test_a_state_has_an_end_only_when_it_has_ended() -> None:
    shown = workload(repeat=Repeat.ONCE)
    (job,) = shown.jobs(OPENED)
    assert [
        (job.state(OPENED + t).end, job.state(OPENED + t).elapsed(OPENED + t)) for t in (1, 9, 99)
    ] == [
        (None, 0.0),
        (None, 9.0),
        (OPENED + 10, 10.0),
    ]


def test_bad_ends_are_cast_three_times_a_third_of_a_round_apart() -> None:
    phases = cast([timeline("good"), timeline("bad", "FAILED")], 5)
    assert [each.name for each, _ in phases] == ["good", "bad", "bad", "bad", "good"]
    assert [phase for _, phase in phases[1:4]] == pytest.approx([1 / 5, 8 / 15, 13 / 15])
    assert phases[4][1] - phases[0][1] == 0.5


def test_every_recording_plays_once_unless_more_is_asked_for() -> None:
    assert [each for each, _ in cast(SHIPPED, None)] == list(SHIPPED)


@pytest.mark.parametrize("jobs", [None, 0, 5])
def test_without_recordings_nothing_plays(jobs: int | None) -> None:
    assert cast([], jobs) == ()


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("speed", 0.0),
        ("spread", 1.0),
        ("rest", -1.0),
        ("jobs", -1),
        ("keep", -1),
        ("retention", -1),
    ],
)
def test_a_scene_that_cannot_be_played_is_refused(field: str, value: Any) -> None:
    with pytest.raises(ValueError, match=rf"^{field} is {value}, must "):
        Scene(**{field: value})


def test_runs_of_one_slot_differ_in_literals_alone() -> None:
    def skeleton(run: int) -> str:
        text = particulars(3, run, Random(run)).statement  # noqa: S311 - a seed, not a secret
        return "".join(letter for letter in text if not letter.isdigit())

    assert skeleton(0) == skeleton(1)
    texts = {particulars(3, run, Random(run)).statement for run in range(20)}  # noqa: S311 - as above
    assert len(texts) == 20


def test_no_two_slots_share_a_statement() -> None:
    texts = {particulars(slot, 0, Random(0)).statement for slot in range(500)}  # noqa: S311 - as above
    assert len(texts) == 500


def test_terminal_words_are_dlis() -> None:
    assert {"FINISHED", "FAILED", "CANCELLED"} == TERMINAL
