"""Whom to ask next, and when."""

import random
from collections.abc import Iterator

import pytest

from exporter.jobs.model import JobKey
from exporter.jobs.schedule import Durations, Expected, Schedule, Stage

A, B, C, D = (JobKey("prod", name) for name in "abcd")
INTERVAL = 15.0


class Asked:
    """A schedule, and what is the same in every call of a test."""

    def __init__(self, *jobs: JobKey, limit: float = 10.0) -> None:
        self.schedule = Schedule(INTERVAL)
        self.limit = limit
        self.expected: Expected | None = None
        for job in jobs:
            self.schedule.add(job)

    def take(self, now: float) -> JobKey | None:
        return self.schedule.take(now, limit=self.limit, expected=self.expected)

    def all(self, now: float) -> list[JobKey]:
        """Take everybody who is due at a moment."""
        return list(self._due(now))

    def _due(self, now: float) -> Iterator[JobKey]:
        while (key := self.take(now)) is not None:
            yield key

    def wait(self, now: float) -> float:
        return self.schedule.wait(now, limit=self.limit, expected=self.expected)

    def answer(self, now: float, *keys: JobKey, stage: Stage = Stage.RUNNING) -> None:
        """Let jobs be asked and answer, one after the other in no time."""
        for _ in keys:
            assert self.take(now) in keys
        for key in keys:
            self.schedule.answered(key, now, stage)


def running(*ages: tuple[JobKey, float], limit: float = 10.0) -> Asked:
    """Make a schedule of running jobs that answered at these moments."""
    asked = Asked(limit=limit)
    for key, answered in sorted(ages, key=lambda pair: pair[1]):
        asked.schedule.add(key)
        asked.answer(answered, key)
    return asked


def test_new_jobs_are_asked_at_once_in_the_order_they_came() -> None:
    asked = Asked(C, A, B)
    assert asked.wait(0.0) == 0.0
    assert asked.all(0.0) == [C, A, B]


def test_a_job_being_asked_is_nobodys_turn() -> None:
    asked = Asked(A)
    assert asked.take(0.0) == A
    assert asked.all(1000.0) == []


@pytest.mark.parametrize(("now", "due"), [(24.9, []), (25.0, [B]), (27.0, [B, A]), (99.0, [B, A])])
def test_without_a_scraper_each_is_asked_once_an_interval_the_oldest_answer_first(
    now: float, due: list[JobKey]
) -> None:
    assert running((A, 12.0), (B, 10.0)).all(now) == due


def test_the_wait_ends_when_the_next_is_due() -> None:
    assert running((A, 12.0), (B, 10.0)).wait(20.0) == pytest.approx(5.0)


def test_nobody_waits_longer_than_an_interval() -> None:
    asked = Asked()
    assert asked.wait(0.0) == INTERVAL
    asked.expected = Expected(300.0, 300.0)
    assert asked.wait(0.0) == INTERVAL


# Three running jobs at ten calls a second: 0.22 seconds from the first call to the last, that
# one takes 0.2, and so 0.42 seconds before the scrape.
@pytest.mark.parametrize(
    ("now", "due"),
    [
        pytest.param(99.0, [], id="not long before"),
        pytest.param(99.59, [A, B, C], id="shortly before"),
        pytest.param(99.99, [A, B, C], id="late is better than never"),
    ],
)
def test_everybody_is_asked_shortly_before_the_scrape(now: float, due: list[JobKey]) -> None:
    asked = running((A, 10.0), (B, 11.0), (C, 12.0))
    asked.schedule.lasted(0.2)
    asked.expected = Expected(100.0, 90.0)
    assert asked.all(now) == due
    assert asked.wait(99.0) == (pytest.approx(0.58) if not due else asked.wait(99.0))


def test_nobody_is_asked_twice_for_one_scrape() -> None:
    asked = running((A, 10.0))
    asked.expected = Expected(100.0, 15.0)
    asked.answer(99.8, A)
    assert asked.all(99.99) == []
    assert asked.wait(99.9) == pytest.approx(0.1)
    asked.expected = Expected(115.0, 15.0)
    assert asked.all(100.1) == []
    assert asked.all(114.9) == [A]


def test_with_more_jobs_than_quota_there_is_no_pause() -> None:
    asked = running(*((JobKey("prod", str(number)), number / 100) for number in range(200)))
    asked.expected, asked.limit = Expected(34.0, 15.0), 10.0
    assert asked.take(20.0) == JobKey("prod", "0")
    assert asked.take(33.9) == JobKey("prod", "1")
    assert asked.wait(33.9) == 0.0


def test_a_slow_answer_counts_from_when_it_came() -> None:
    asked = Asked(A, B)
    assert asked.all(0.0) == [A, B]
    asked.schedule.answered(B, 1.0, Stage.RUNNING)
    asked.schedule.answered(A, 9.0, Stage.RUNNING)
    assert asked.all(99.0) == [B, A]


def test_a_failed_job_is_asked_again_soon_and_then_waits_its_turn() -> None:
    asked = running((A, 0.0), (B, 1.0))
    assert asked.take(15.0) == A
    asked.schedule.failed(A, 15.0)
    assert asked.wait(15.0) == pytest.approx(1.0)
    assert asked.take(16.0) == A
    asked.schedule.failed(A, 16.0)
    assert asked.all(30.9) == [B]
    assert asked.all(31.0) == [A]


def test_jobs_that_always_fail_starve_nobody() -> None:
    bad = [JobKey("prod", f"bad{number}") for number in range(50)]
    good = [JobKey("prod", f"good{number}") for number in range(50)]
    asked, answers = Asked(*bad, *good, limit=1.0), 0
    asked.expected = Expected(1e9, 15.0)
    for now in range(1000, 2000):
        asked.expected = Expected(now + 5.0, 15.0)
        key = asked.take(now)
        if key in good:
            answers += 1
            asked.schedule.answered(key, now, Stage.RUNNING)
        elif key is not None:
            asked.schedule.failed(key, now)
    assert answers >= 400


@pytest.mark.parametrize("stage", [Stage.LAUNCHING, Stage.RUNNING])
def test_launching_jobs_come_before_running_ones(stage: Stage) -> None:
    asked = Asked(A, B)
    asked.answer(0.0, A)
    asked.answer(1.0, B, stage=stage)
    assert asked.all(20.0) == ([B, A] if stage is Stage.LAUNCHING else [A, B])


def test_urgent_jobs_get_four_of_five_calls_at_most() -> None:
    asked = running((A, 0.0), (B, 1.0))
    for number in range(9):
        asked.schedule.add(JobKey("prod", str(number)))
    assert "".join(key.job_id for key in asked.all(20.0)) == "0123a4567b8"


def test_calls_that_fail_at_once_are_not_repeated_without_a_pause() -> None:
    keys = [JobKey("prod", str(number)) for number in range(200)]
    asked, calls = Asked(*keys), 0
    for tick in range(161):
        asked.expected = Expected(now := tick / 10, 15.0)
        while (key := asked.take(now)) is not None:
            calls += 1
            asked.schedule.failed(key, now)
    assert calls == 3 * len(keys)


def test_a_launching_job_is_not_asked_all_the_time_when_the_quota_is_short() -> None:
    keys = [JobKey("prod", str(number)) for number in range(200)]
    asked = Asked(*keys)
    for key in keys:
        asked.take(0.0)
        asked.schedule.answered(key, 0.0, Stage.LAUNCHING if key == keys[0] else Stage.RUNNING)
    taken = []
    for tick in range(300):
        now = 100.0 + tick / 10
        asked.expected = Expected(130.0 if now >= 115.0 else 115.0, 15.0)
        turn = asked.take(now)
        assert turn is not None
        taken.append(turn)
        asked.schedule.answered(turn, now, Stage.LAUNCHING if turn == keys[0] else Stage.RUNNING)
    assert taken.count(keys[0]) == 2


@pytest.mark.parametrize("way", ["answered", "failed"])
def test_an_ended_job_is_asked_once_more_and_costs_nothing_then(way: str) -> None:
    asked = Asked(A)
    asked.answer(10.0, A, stage=Stage.ENDED)
    assert not asked.schedule.over(A)
    assert asked.all(24.9) == []
    assert asked.all(25.0) == [A]
    if way == "answered":
        asked.schedule.answered(A, 25.1, Stage.ENDED)
    else:
        asked.schedule.failed(A, 25.1)
    assert asked.schedule.over(A)
    assert asked.schedule.pending() == ()
    assert asked.all(1e6) == []
    assert asked.wait(1e6) == INTERVAL


def test_a_job_that_runs_again_is_asked_again() -> None:
    asked = Asked(A)
    asked.answer(10.0, A, stage=Stage.ENDED)
    asked.answer(25.0, A, stage=Stage.RUNNING)
    assert not asked.schedule.over(A)
    assert asked.all(40.0) == [A]


def test_a_job_that_has_told_all_is_not_asked_unless_it_is_hastened() -> None:
    asked = Asked()
    asked.schedule.add(A, over=True)
    assert asked.schedule.over(A)
    assert asked.all(99.0) == []
    asked.schedule.hasten(A)
    assert asked.all(99.0) == [A]


def test_a_hastened_job_is_asked_at_once_and_once() -> None:
    asked = running((A, 10.0), (B, 10.5))
    asked.schedule.hasten(B)
    assert asked.all(11.0) == [B]
    asked.schedule.hasten(B)
    assert asked.all(11.0) == []


def test_a_job_that_left_is_asked_no_more_and_its_answer_harms_nobody() -> None:
    asked = running((A, 10.0), (B, 11.0))
    asked.schedule.remove(A)
    asked.schedule.answered(A, 12.0, Stage.RUNNING)
    asked.schedule.failed(A, 12.0)
    assert A not in asked.schedule
    assert asked.all(99.0) == [B]
    assert asked.schedule.over(A)


def test_a_job_that_comes_twice_is_one_job() -> None:
    asked = Asked(A, A)
    assert (asked.all(0.0), len(asked.schedule)) == ([A], 1)


def lasting(*seconds: float) -> Durations:
    durations = Durations()
    for each in seconds:
        durations.add(each)
    return durations


def test_a_call_that_is_often_slow_is_waited_for() -> None:
    assert lasting(*[0.1] * 50, *[0.9] * 10).patience(15.0) == 0.9


def test_a_rare_slow_call_may_miss_its_scrape_if_waiting_costs_more() -> None:
    # One call in a hundred: to miss it costs 15 / 101 = 0.15 seconds on the average.
    assert lasting(*[0.1] * 99, 0.2).patience(15.0) == 0.2
    assert lasting(*[0.1] * 99, 0.3).patience(15.0) == 0.1


def test_the_longer_the_period_the_more_a_missed_scrape_costs() -> None:
    assert lasting(*[0.1] * 99, 0.3).patience(60.0) == 0.3


def test_a_slow_call_is_not_waited_for_if_few_of_a_round_depart_so_late() -> None:
    calls = lasting(*[0.1] * 90, *[0.5] * 10)
    assert calls.patience(15.0, 0.5) == 0.5
    # One in ten takes 0.4 seconds more and misses if among the last 4 % of a round.
    assert calls.patience(15.0, 10.0) == 0.1


def misses(seconds: float, kept: float, spread: float) -> float:
    """Give the share of a round's calls that miss the scrape if they take so long."""
    late = max(0.0, seconds - kept)
    return float(late > 0) if not spread else min(1.0, late / spread)


@pytest.mark.parametrize("spread", [0.0, 0.01, 0.1, 0.5, 2.0, 5.0, 14.0])
@pytest.mark.parametrize("period", [1.0, 15.0, 60.0])
def test_no_other_patience_has_a_lower_mean_age(period: float, spread: float) -> None:
    chance = random.Random(f"{period} {spread}")  # noqa: S311 - no secret
    for _ in range(50):
        usual = [chance.uniform(0.1, 0.3) for _ in range(chance.randint(1, 60))]
        seconds = usual + [chance.uniform(0.3, 3.0) for _ in range(chance.randint(0, 5))]

        def cost(kept: float, each: list[float] = seconds) -> float:
            missed = sum(misses(late, kept, spread) for late in each)
            return kept + missed * period / (len(each) + 1)

        kept = lasting(*seconds).patience(period, spread)
        assert cost(kept) == pytest.approx(min(cost(each) for each in seconds))


def test_what_is_kept_for_the_last_call_is_weighed_anew_for_each_scrape() -> None:
    asked = running((A, 10.0))
    for _ in range(16):
        asked.schedule.lasted(0.2)
    asked.expected = Expected(100.0, 90.0)
    assert asked.wait(99.0) == pytest.approx(0.8)
    asked.schedule.lasted(0.5)
    assert asked.wait(99.0) == pytest.approx(0.8)
    asked.expected = Expected(190.0, 90.0)
    assert asked.wait(189.0) == pytest.approx(0.5)


def test_the_first_calls_are_heeded_at_once() -> None:
    asked = running((A, 10.0))
    asked.expected = Expected(100.0, 90.0)
    for seconds in (0.2, 0.5):
        asked.schedule.lasted(seconds)
        assert asked.wait(99.0) == pytest.approx(1 - seconds)


def test_old_calls_are_forgotten() -> None:
    assert lasting(5.0, 4.0, *[0.1] * 600).patience(15.0) == 0.1
