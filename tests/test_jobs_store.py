"""Folding answers into jobs."""

from typing import Any

import pytest

from exporter.jobs.model import (
    Counts,
    Details,
    Job,
    JobKey,
    JobStatus,
    KillReason,
    ListedJob,
    Observation,
    SubJob,
    SubJobStatus,
)
from exporter.jobs.store import JobStore, describe, fold

KEY = JobKey("prod", "85798b38-ae44-48eb-bb90-7cf0dcdafe7b")
RUNNING = SubJob(
    id=0,
    status=SubJobStatus.RUNNING,
    name="count",
    counts=Counts(tasks=10, tasks_active=2, indices_completed=4, tasks_completed=4),
    submitted=7.0,
)


def observed(*subjobs: SubJob, status: JobStatus = JobStatus.RUNNING) -> Observation:
    return Observation(status=status, subjobs=subjobs)


def after(*observations: Observation) -> Job:
    job = Job(key=KEY)
    for second, observation in enumerate(observations, start=1):
        job = fold(job, observation, now=float(second))
    return job


def with_counts(subjob: SubJob, status: SubJobStatus, **counts: int) -> SubJob:
    return subjob._replace(status=status, counts=subjob.counts._replace(**counts))


def test_the_store_keeps_the_newest_value_in_the_first_place() -> None:
    store, other = JobStore(), Job(key=JobKey("prod", "other"))
    store.put(Job(key=KEY))
    store.put(other)
    job = after(observed(RUNNING))
    store.put(job)
    assert list(store) == [job, other]
    assert (store.get(KEY), store[KEY], len(store)) == (job, job, 2)


def test_a_removed_job_is_not_there() -> None:
    store = JobStore()
    store.put(Job(key=KEY))
    store.remove(KEY)
    store.remove(KEY)
    assert KEY not in store
    assert store.get(KEY) is None


def test_totals_keep_the_last_sight_of_a_subjob_that_left() -> None:
    job = after(observed(RUNNING), observed(RUNNING._replace(id=1)))
    assert job.counts.indices_completed == 8
    assert job.counts.tasks == 20
    assert job.counts.tasks_active == 2
    assert [sighting.subjob.id for sighting in job.listed] == [1]


def test_a_subjob_that_comes_back_counts_once() -> None:
    job = after(observed(RUNNING), observed(), observed(RUNNING))
    assert job.counts == RUNNING.counts
    assert not job.gone.subjobs


def test_late_movement_after_the_end_is_taken_up() -> None:
    ended = with_counts(RUNNING, SubJobStatus.FAILED, tasks_killed=0)
    late = with_counts(RUNNING, SubJobStatus.FAILED, tasks_killed=3)
    job = after(observed(ended, status=JobStatus.FAILED), observed(late, status=JobStatus.FAILED))
    assert job.counts.tasks_killed == 3


def test_the_end_is_when_it_was_first_seen() -> None:
    finished = observed(status=JobStatus.FINISHED)
    assert after(observed(RUNNING), finished, finished).ended == 2.0


def test_a_job_may_come_back_from_its_end() -> None:
    job = after(observed(status=JobStatus.FAILED), observed(RUNNING))
    assert (job.status, job.ended) == (JobStatus.RUNNING, None)


def test_a_failed_job_keeps_its_last_ratio() -> None:
    assert after(observed(RUNNING), observed(status=JobStatus.FAILED)).ratio == 0.4


def test_a_finished_job_is_complete() -> None:
    assert after(observed(RUNNING), observed(status=JobStatus.FINISHED)).ratio == 1.0


def test_known_work_is_the_denominator_of_a_single_subjob() -> None:
    job = after(observed(RUNNING))
    assert (job.indices, job.ratio) == (10, 0.4)


def test_one_subjob_more_than_known_is_expected_of_several() -> None:
    job = after(observed(RUNNING, RUNNING._replace(id=1)))
    assert (job.indices, job.ratio) == (20, 8 / 30)


def test_unreadable_fields_keep_their_last_good_value() -> None:
    good = observed(RUNNING)._replace(progress=0.4, subjob_id=0)
    bad = Observation(
        status=JobStatus.RUNNING, malformed=frozenset({"progress", "sub_job_id", "sub_jobs"})
    )
    job = after(good, bad)
    assert (job.progress, job.subjob_id) == (0.4, 0)
    assert job.counts == RUNNING.counts
    assert [sighting.subjob for sighting in job.listed] == [RUNNING]


def test_a_missing_figure_keeps_its_last_sight() -> None:
    killed = RUNNING._replace(killed={KillReason.SPECULATION: 1})
    bare = SubJob(id=0, status=SubJobStatus.RUNNING, counts=Counts(tasks_completed=5))
    seen = after(observed(killed), observed(bare)).listed[0].subjob
    assert seen == with_counts(killed, SubJobStatus.RUNNING, tasks_completed=5)


def test_progress_is_dated_by_movement_and_update_by_answers() -> None:
    job = after(observed(RUNNING), observed(RUNNING), observed(RUNNING))
    assert (job.last_progress, job.last_update) == (1.0, 3.0)


@pytest.mark.parametrize(
    ("answers", "moved"),
    [
        pytest.param([observed(), observed()], False, id="nothing and nothing"),
        pytest.param([observed(), observed(status=JobStatus.SCALING)], True, id="status"),
        pytest.param([observed(), observed(RUNNING)], True, id="a new sub-job"),
        pytest.param([observed(RUNNING), observed()], False, id="one that leaves the list"),
        pytest.param([observed(RUNNING), observed(), observed(RUNNING)], False, id="comes back"),
    ],
)
def test_what_is_progress_of_a_job(answers: list[Observation], moved: bool) -> None:
    assert (after(*answers).last_progress == len(answers)) is moved


def test_what_has_not_changed_is_the_same_value() -> None:
    ended = with_counts(RUNNING, SubJobStatus.SUCCEEDED)._replace(id=1)
    first = after(observed(RUNNING, ended))
    again = fold(first, observed(RUNNING._replace(name=""), SubJob(*ended)), now=9.0)
    assert again.listed is first.listed
    assert again == first._replace(last_update=9.0)
    faster = with_counts(RUNNING, SubJobStatus.RUNNING, indices_completed=7)
    later = fold(again, observed(faster, SubJob(*ended)), now=10.0)
    assert later.listed[0] is not first.listed[0]
    assert later.listed[1] is first.listed[1]


def test_the_work_expected_is_that_of_the_listed_and_of_those_that_left() -> None:
    job = after(observed(RUNNING), observed(RUNNING._replace(id=1)))
    assert job.work == (8, 18)
    assert job.ratio == 8 / 18


def test_a_subjob_has_the_expected_end_of_its_own_speed() -> None:
    faster = with_counts(RUNNING, SubJobStatus.RUNNING, indices_completed=7)
    assert after(observed(RUNNING), observed(faster)).listed[0].expected_end == 3.0


def row(status: JobStatus, **details: Any) -> ListedJob:
    return ListedJob(job_id=KEY.job_id, status=status, details=Details(**details))


def test_the_list_tells_how_a_job_stands_that_was_never_observed() -> None:
    job = describe(Job(key=KEY), row(JobStatus.LAUNCHING, queue_name="etl"), now=5.0)
    assert (job.status, job.ratio, job.last_update) == (JobStatus.LAUNCHING, 0.0, 5.0)
    assert job.details is not None
    assert job.details.queue_name == "etl"


def test_the_progress_api_knows_better_while_a_job_runs() -> None:
    job = describe(after(observed(RUNNING)), row(JobStatus.LAUNCHING), now=5.0)
    assert (job.status, job.ratio, job.last_update) == (JobStatus.RUNNING, 0.4, 1.0)


def test_the_list_tells_of_an_end() -> None:
    job = describe(after(observed(RUNNING)), row(JobStatus.FINISHED, end=4.5), now=5.0)
    assert (job.status, job.ratio, job.ended) == (JobStatus.FINISHED, 1.0, 5.0)
    assert (job.last_progress, job.last_update) == (5.0, 5.0)


def test_a_list_that_lags_behind_does_not_revive_a_job() -> None:
    ended = after(observed(RUNNING), observed(status=JobStatus.FAILED))
    for status in (JobStatus.RUNNING, JobStatus.FINISHED):
        job = describe(ended, row(status), now=5.0)
        assert (job.status, job.ended, job.last_update) == (JobStatus.FAILED, 2.0, 2.0)


def test_a_row_without_news_leaves_the_value_as_it_is() -> None:
    job = describe(after(observed(RUNNING)), row(JobStatus.RUNNING, duration=1.0), now=5.0)
    assert describe(job, row(JobStatus.RUNNING, duration=9.0), now=9.0) is job
