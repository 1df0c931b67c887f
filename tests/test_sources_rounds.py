"""What a round means: tables of readings, and what each brings and leaves behind."""

from collections.abc import Sequence
from dataclasses import replace
from math import inf

import pytest

from exporter.dli.errors import TimedOut
from exporter.jobs.model import Details, JobStatus, ListedJob
from exporter.sources import rounds
from exporter.sources.rounds import Reading, Round, State, merge, settle

T = 1_700_000_000.0
OVERLAP = 600.0


def row(job: str, status: str = "RUNNING", start: float | None = 0.0) -> ListedJob:
    """Make a row of a job that started ``start`` seconds after T."""
    moment = None if start is None else T + start
    return ListedJob(job_id=job, status=JobStatus(status), details=Details(start=moment))


def reading(listed: Sequence[ListedJob] = (), recent: Sequence[ListedJob] = ()) -> Reading:
    return Reading(listed=listed, recent=recent)


def play(*readings: Reading, state: State | None = None) -> tuple[State, list[Round]]:
    state, found = state or State(), []
    for each in readings:
        state, result = merge(state, each, overlap=OVERLAP)
        found.append(result)
    return state, found


def ids(rows: Sequence[ListedJob]) -> list[str]:
    return [each.job_id for each in rows]


NOTHING = reading()
A, A_OVER = row("a"), row("a", "FINISHED")


@pytest.mark.parametrize(
    ("listed", "recent", "live", "ended"),
    [
        pytest.param([A], [], ["a RUNNING"], [], id="listed"),
        pytest.param([], [A], ["a RUNNING"], [], id="in the window only"),
        pytest.param([A, A], [A], ["a RUNNING"], [], id="repeated"),
        pytest.param([row("a", "LAUNCHING"), A], [], ["a RUNNING"], [], id="moved on"),
        pytest.param([A, row("a", "SCALING")], [A], ["a RUNNING"], [], id="scaled"),
        pytest.param([A], [A_OVER], [], ["a FINISHED"], id="ended while being read"),
        pytest.param([], [A_OVER, A], [], ["a FINISHED"], id="older picture on a later page"),
        pytest.param([], [A_OVER, row("a", "UNKNOWN")], [], ["a FINISHED"], id="odd after the end"),
        pytest.param([A_OVER], [], [], [], id="ended in a list of live jobs"),
        pytest.param([], [row("a", "UNKNOWN")], [], [], id="odd status"),
        pytest.param([], [row("a", "FAILED", None)], [], ["a FAILED"], id="no start"),
    ],
)
def test_the_last_row_of_a_job_is_true_and_an_end_is_final(
    listed: list[ListedJob], recent: list[ListedJob], live: list[str], ended: list[str]
) -> None:
    _, (_, found) = play(NOTHING, reading(listed, recent))
    assert [f"{each.job_id} {each.status}" for each in found.live] == live
    assert [f"{each.job_id} {each.status}" for each in found.ended] == ended
    assert found.left == ()


def test_ends_from_before_the_first_round_are_remembered_and_not_handed_over() -> None:
    first = reading([A], [A, row("old", "FAILED", -50)])
    _, found = play(first, reading([A], [row("old", "FAILED", -50), A]))
    assert [ids(each.live) for each in found] == [["a"], ["a"]]
    assert [each.ended for each in found] == [(), ()]


def test_a_job_that_ends_during_the_first_round_was_watched() -> None:
    _, (found,) = play(reading([A], [A_OVER]))
    assert (ids(found.ended), found.live) == (["a"], ())


def test_a_job_that_starts_and_ends_between_two_rounds_is_handed_over_once() -> None:
    short = row("short", "CANCELLED", 10)
    _, found = play(reading(recent=[A_OVER]), *[reading(recent=[A_OVER, short])] * 3)
    assert [ids(each.ended) for each in found] == [[], ["short"], [], []]


def test_a_known_job_that_is_not_listed_any_more_left_once() -> None:
    _, found = play(reading([A]), NOTHING, NOTHING)
    assert [each.left for each in found] == [(), ("a",), ()]


def test_a_job_that_slipped_through_the_pages_is_live_again_and_its_end_is_handed_over() -> None:
    _, found = play(NOTHING, reading([A]), NOTHING, reading([A]), reading([], [A_OVER]), NOTHING)
    assert [each.left for each in found] == [(), (), ("a",), (), (), ()]
    assert [ids(each.ended) for each in found] == [[], [], [], [], ["a"], []]


def test_an_end_handed_over_as_left_does_not_come_as_a_row_too() -> None:
    _, found = play(NOTHING, reading([A]), NOTHING, *[reading([], [A_OVER])] * 2)
    assert [each.left for each in found] == [(), (), ("a",), (), ()]
    assert [each.ended for each in found] == [()] * 5


def test_a_job_that_comes_back_from_its_end_is_live_and_ends_only_as_left() -> None:
    """Who asks for it once more is told by ``ended`` that this end is not to be counted."""
    over = reading([], [A_OVER])
    state, found = play(NOTHING, reading([A]), over, reading([A], [A]), over, over)
    assert [ids(each.live) for each in found] == [[], ["a"], [], ["a"], [], []]
    assert [ids(each.ended) for each in found] == [[], [], ["a"], [], [], []]
    assert [each.left for each in found] == [(), (), (), (), ("a",), ()]
    assert "a" in state.ended


def test_a_known_job_with_an_odd_status_is_asked_once_more() -> None:
    _, found = play(reading([A]), reading([], [row("a", "UNKNOWN")]))
    assert found[1].left == ("a",)


@pytest.mark.parametrize(
    ("gaps", "left"),
    [
        ([], ["early", "late"]),
        ([(-inf, inf)], []),
        ([(T + 50, inf)], ["early"]),
        ([(-inf, T + 50)], ["late"]),
        ([(T + 200, inf), (T - 9, T - 1)], ["early", "late"]),
    ],
)
def test_nobody_leaves_whose_place_in_the_lists_was_not_read(
    gaps: list[tuple[float, float]], left: list[str]
) -> None:
    known = reading([row("early", start=0), row("late", start=100)])
    state, (_, found) = play(known, replace(NOTHING, gaps=gaps))
    assert list(found.left) == left
    _, (later,) = play(NOTHING, state=state)
    assert {*later.left, *left} == {"early", "late"}


def test_a_job_is_gone_for_certain_when_its_end_shows_whatever_was_not_read() -> None:
    broken = Reading(recent=[A_OVER], gaps=[(-inf, inf)], reached=None, error=TimedOut("late"))
    state, (_, found) = play(reading([A]), broken)
    assert (ids(found.ended), found.left, found.error) == (["a"], (), broken.error)
    assert not state.live


def test_a_second_end_that_shows_is_left_for_certain_too() -> None:
    over = reading([], [A_OVER])
    state, _ = play(NOTHING, reading([A]), over, reading([A]))
    _, (found,) = play(replace(over, gaps=[(-inf, inf)]), state=state)
    assert (found.ended, found.left) == ((), ("a",))


def test_a_round_that_read_nothing_forgets_nothing() -> None:
    before, _ = play(reading([A], [row("b", "FINISHED", 10)]), reading([A], [row("c", start=20)]))
    nothing = Reading(gaps=[(-inf, inf)], reached=None, error=TimedOut("late"))
    after, (found,) = play(nothing, state=before)
    assert after == before
    assert found == Round((), (), (), truncated=False, pages=0, error=nothing.error)


def test_watching_begins_with_the_first_window_that_was_read() -> None:
    unread = Reading(listed=[A], reached=None)
    state, _ = play(unread, unread)
    assert state.since is None
    _, found = play(reading([A], [row("old", "FINISHED", -9)]), state=state)
    assert found[0].ended == ()


def windows(*readings: Reading) -> list[float]:
    """Give where the window after each reading begins, in seconds after T."""
    state, begins = State(), []
    for each in readings:
        state, _ = merge(state, each, overlap=OVERLAP)
        assert state.since is not None
        begins.append(state.since - T)
    return begins


def new(*starts: float, since: float = -9000) -> Reading:
    """Make a reading with new jobs that started so many seconds after T."""
    return Reading(recent=[row(f"job-{at}", "FINISHED", at) for at in starts], since=T + since)


def test_the_window_follows_the_new_jobs_by_overlap_and_one_round() -> None:
    assert windows(new(0), new(30), new(60, 55), new(), new(60), new(90)) == [
        *(-9000, -600, -570),
        *(-570, -570, -540),
    ]


def test_the_window_never_begins_before_what_was_there_at_first() -> None:
    assert windows(new(0, since=-100), new(30), new(700), new(701), new(-50), new(702))[-2:] == [
        *(-100, -100),
    ]


def test_one_start_in_the_far_future_does_not_move_the_window() -> None:
    far = 1e9
    assert windows(new(0), new(30), new(far), new(60), new(90)) == [-9000, -600, -570, -540, -540]
    assert windows(new(far), new(30), new(60)) == [-9000, -570, -570]


def test_the_window_follows_a_clock_that_is_set_back() -> None:
    """Jobs started in DLI's wrong hour; then one that runs shows in the live lists."""
    wrong = [new(3600), new(3630), new(3660)]
    right = reading([row("running", start=90)])
    assert windows(new(0), new(30), *wrong, right, new(100), new(120))[-4:] == [
        *(3030, -510, -510, -500),
    ]


def test_jobs_that_are_not_wanted_move_the_window_too_and_once() -> None:
    other = replace(NOTHING, others={"x": T + 1000})
    assert windows(new(0), new(30), other, other, new(1030)) == [-9000, -600, -570, -570, 400]


def test_a_window_that_was_cut_goes_on_where_it_was_cut() -> None:
    cut = replace(new(10, 20), reached=T + 20, truncated=True)
    live = replace(cut, listed=[row("now", start=9000)])
    assert windows(new(0), live, new(30), new(9030)) == [-9000, 20, -580, -570]


def test_a_window_that_broke_off_is_read_again() -> None:
    broken = replace(new(900), listed=[row("now", start=1000)], reached=None)
    assert windows(new(0), new(30), broken, broken) == [-9000, -600, -600, -600]


def test_memory_is_bounded_and_what_is_forgotten_is_not_handed_over_again() -> None:
    many = rounds.REMEMBERED + 1
    short = [row(f"job-{n}", "FINISHED", n) for n in range(many)]
    state, found = play(NOTHING, reading(recent=short))
    assert len(found[1].ended) == many
    assert len(state.ended) == rounds.REMEMBERED // 2
    _, (again,) = play(reading(recent=short), state=state)
    assert again.ended == ()
    assert state.since is not None
    assert state.since >= T + many - rounds.REMEMBERED // 2 - 1


def test_an_end_handed_over_as_left_does_not_come_as_a_row_when_that_is_forgotten() -> None:
    left = {f"job-{n}": T + n for n in range(rounds.REMEMBERED + 1)}
    over = reading(recent=[row(job_id, "FINISHED", start - T) for job_id, start in left.items()])
    state, (_, found) = play(NOTHING, over, state=State(left=left, since=T))
    assert len(state.left) == rounds.REMEMBERED // 2
    assert found.ended == ()


def test_live_and_unwanted_ids_are_bounded_even_if_no_list_can_be_read_whole() -> None:
    size = rounds.REMEMBERED // 2
    state = State()
    for part in range(4):
        some = [row(f"{part}-{n}", start=part * size + n) for n in range(size)]
        others = {f"x{part}-{n}": T + n for n in range(size)}
        each = replace(reading(some), others=others, gaps=[(-inf, inf)])
        state, found = merge(state, each, overlap=OVERLAP)
        assert len(found.live) == size
    assert max(len(state.live), len(state.others)) <= rounds.REMEMBERED


def test_a_settled_end_is_not_handed_over_in_any_way() -> None:
    state, _ = play(NOTHING, reading([A, row("b"), row("c")]), reading([row("b"), row("c")]))
    state = settle(state, ["a", "b", "elsewhere"])
    over = [A_OVER, row("b", "FAILED"), row("elsewhere", "FINISHED", 40), row("c")]
    state, (found, later) = play(reading([row("c")], over), NOTHING, state=state)
    assert (found.ended, found.left) == ((), ())
    assert later.left == ("c",)
    assert {"a", "b", "elsewhere"} <= state.ended.keys()


def test_settling_keeps_the_start_that_is_known() -> None:
    state, _ = play(NOTHING, reading([row("a", start=5)], [row("b", "FINISHED", 7)]))
    assert settle(state, ["a", "b"]).ended == {"a": T + 5, "b": T + 7}
