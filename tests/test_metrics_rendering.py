"""How the lines of one job are made, and which of them are taken over."""

import pytest
from prometheus_client.utils import floatToGoString

from exporter.jobs.model import (
    Counts,
    Details,
    Job,
    JobKey,
    JobStatus,
    Sighting,
    SubJob,
    SubJobStatus,
)
from exporter.metrics.catalogue import JOBS
from exporter.metrics.rendering import Block, Renderer, SubJobs

RENDERER = Renderer(JOBS, SubJobs.ALL, 200)
FAMILIES = [row.family.name for row in JOBS]


def sighting(number: int, tasks: int = 10) -> Sighting:
    subjob = SubJob(id=number, status=SubJobStatus.RUNNING, counts=Counts(tasks=tasks))
    return Sighting(subjob=subjob, first=1.0, first_done=0)


JOB = Job(
    key=JobKey("prod", "a"),
    status=JobStatus.RUNNING,
    listed=(sighting(0), sighting(1)),
    ratio=0.5,
)


def lines(family: str, *blocks: Block) -> str:
    return b"".join(RENDERER.places[FAMILIES.index(family)].of(blocks)).decode()


def changed(before: Job, after: Job) -> set[str]:
    """Render one after the other, and name the families that differ."""
    old = RENDERER.render(before)
    return {FAMILIES[each] for each in RENDERER.changed(old, RENDERER.render(after, old))}


@pytest.mark.parametrize(
    "number",
    [
        *(0, 1, 7, 10, 64, 999_999, 1_000_000, 1_000_001, 123_456_789, 10**15, 2**53 + 1),
        *(0.0, -0.0, 1.0, 0.1, 1 / 3, 1e-5, 1e-300, 999_999.9, 1595841843.25, 1e21, 1.5e300),
        *(-1, -0.5, -1e9, True, False, float("inf"), float("-inf"), float("nan")),
    ],
)
def test_numbers_are_printed_as_prometheus_client_does(number: float) -> None:
    printed: str = floatToGoString(number)  # type: ignore[no-untyped-call]  # not annotated there
    for _ in range(2):  # made, and then remembered
        block = RENDERER.render(JOB._replace(ratio=number))
        line = f'dli_job_progress_ratio{{job_id="a",project="prod"}} {printed}\n'
        assert lines("dli_job_progress_ratio", block) == line


def test_zeros_are_not_mixed_up() -> None:
    for zero, printed in ((0.0, "0.0"), (-0.0, "-0.0"), (0, "0.0"), (-0.0, "-0.0"), (0.0, "0.0")):
        for family, job in (
            ("dli_job_progress_ratio", JOB._replace(ratio=zero)),
            ("dli_subjob_reported_progress_ratio", JOB._replace(subjob_id=1, progress=zero)),
        ):
            assert lines(family, RENDERER.render(job)).endswith(f" {printed}\n")


@pytest.mark.parametrize(
    ("value", "printed"),
    [
        ("100 %s %d%%", "100 %s %d%%"),
        ('a"b\\c\nd', r"a\"b\\c\nd"),
        ("{0} {}", "{0} {}"),
        ("a\0\nb", r"a" + "\0" + r"\nb"),
        ("数据", "数据"),
    ],
)
def test_any_value_of_a_label_is_kept(value: str, printed: str) -> None:
    job = JOB._replace(
        key=JobKey(value, value),
        name=value,
        details=Details(queue_name=value),
        listed=(sighting(0)._replace(subjob=sighting(0).subjob._replace(name=value)),),
    )
    block = RENDERER.render(job)
    for label in ("name", "queue_name", "job_id", "project"):
        assert f'{label}="{printed}"' in lines("dli_job_info", block)
    for label in ("name", "job_id", "project"):
        assert f'{label}="{printed}"' in lines("dli_subjob_info", block)
    assert lines("dli_job_status", block).count(f'job_id="{printed}"') == len(JobStatus)


def test_an_unchanged_subjob_is_taken_over() -> None:
    before = RENDERER.render(JOB)
    same = sighting(0)._replace()
    assert same is not JOB.listed[0]
    after = RENDERER.render(JOB._replace(listed=(same, sighting(1, 20), sighting(2))), before)
    assert after.subjobs[0] is before.subjobs[0]
    assert after.subjobs[1] is not before.subjobs[1]
    assert lines("dli_subjob_tasks", after).splitlines() == [
        'dli_subjob_tasks{job_id="a",project="prod",subjob_id="0"} 10.0',
        'dli_subjob_tasks{job_id="a",project="prod",subjob_id="1"} 20.0',
        'dli_subjob_tasks{job_id="a",project="prod",subjob_id="2"} 10.0',
    ]


def test_subjobs_are_known_again_wherever_they_stand() -> None:
    before = RENDERER.render(JOB)
    after = RENDERER.render(JOB._replace(listed=JOB.listed[::-1]), before)
    assert after.subjobs == before.subjobs[::-1]
    assert all(one is other for one, other in zip(after.subjobs, before.subjobs[::-1], strict=True))


def test_the_families_that_change_are_known() -> None:
    assert changed(JOB, JOB._replace()) == set()
    assert changed(JOB, JOB._replace(ratio=0.6)) == {"dli_job_progress_ratio"}
    assert changed(JOB, JOB._replace(ratio=None)) == {"dli_job_progress_ratio"}
    moved = JOB._replace(listed=(sighting(0), sighting(1, 20)))
    assert changed(JOB, moved) == {"dli_subjob_tasks"}
    turned = JOB._replace(listed=JOB.listed[::-1])
    assert {"dli_subjob_info", "dli_subjob_status", "dli_subjob_tasks"} <= changed(JOB, turned)


def test_another_subjob_changes_every_family_of_subjobs() -> None:
    more = changed(JOB, JOB._replace(listed=(*JOB.listed, sighting(2))))
    assert {"dli_subjob_info", "dli_subjob_status", "dli_subjob_tasks"} <= more
    assert "dli_job_status" not in more


def test_a_block_counts_its_series_and_bytes() -> None:
    block = RENDERER.render(JOB)
    text = b"".join(text for place in RENDERER.places for text in place.of([block]))
    assert (block.series, block.size) == (text.count(b"\n"), len(text))
