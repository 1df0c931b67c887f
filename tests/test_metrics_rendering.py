"""How the lines of one job are made, and which of them are taken over."""

from dataclasses import replace
from random import Random
from typing import TypeVar

import pytest
from prometheus_client.utils import floatToGoString

from exporter.jobs.model import (
    Counts,
    Details,
    Job,
    JobKey,
    JobStatus,
    KillReason,
    Observation,
    Sighting,
    SubJob,
    SubJobStatus,
)
from exporter.jobs.store import fold
from exporter.metrics.catalogue import JOBS, job_families
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


def rendered(job: Job, before: Block | None = None) -> Block:
    return RENDERER.render(job, before)[0]


def lines(family: str, *blocks: Block) -> str:
    return b"".join(RENDERER.places[FAMILIES.index(family)].of(blocks)).decode()


def texts(renderer: Renderer, block: Block) -> list[bytes]:
    """Return a block's lines, family by family."""
    return [b"".join(place.of([block])) for place in renderer.places]


def changed(before: Job, after: Job) -> set[str]:
    """Render one after the other, and name the families that have changed."""
    _, families = RENDERER.render(after, rendered(before))
    return {FAMILIES[each] for each in families}


def printed(number: float) -> str:
    """Return what prometheus_client prints."""
    text: str = floatToGoString(number)  # type: ignore[no-untyped-call]  # not annotated there
    return text


@pytest.mark.parametrize(
    "number",
    [
        *(0, 1, 7, 10, 64, 999_999, 1_000_000, 1_000_001, 123_456_789, 10**15, 2**53 + 1),
        *(0.0, -0.0, 1.0, 0.1, 1 / 3, 1e-5, 1e-300, 999_999.9, 1595841843.25, 1e21, 1.5e300),
        *(-1, -0.5, -1e9, True, False, float("inf"), float("-inf"), float("nan")),
    ],
)
def test_numbers_are_printed_as_prometheus_client_does(number: float) -> None:
    line = f'dli_job_progress_ratio{{job_id="a",project="prod"}} {printed(number)}\n'
    assert lines("dli_job_progress_ratio", rendered(JOB._replace(ratio=number))) == line


def numbers(chance: Random) -> list[float]:
    """Return one number of each kind."""
    time = chance.uniform(1e9, 1e10)
    return [
        *(time, round(time, 3), round(time, 1), float(round(time)), round(time)),
        *(chance.random(), chance.uniform(0, 2e6), chance.randrange(2_000_000)),
        *(chance.uniform(-2, 2) * 10 ** chance.randrange(-320, 300), chance.getrandbits(70)),
    ]


def test_any_number_is_printed_as_prometheus_client_does() -> None:
    chance = Random(7)  # noqa: S311  # chance in a test, not in cryptography
    block = rendered(JOB)
    for number in (each for _ in range(2_000) for each in numbers(chance)):
        block = rendered(JOB._replace(ratio=number), block)
        assert lines("dli_job_progress_ratio", block).endswith(f" {printed(number)}\n")


def test_zeros_are_not_mixed_up() -> None:
    before = rendered(JOB)
    for zero, text in ((0.0, "0.0"), (-0.0, "-0.0"), (0, "0.0"), (-0.0, "-0.0"), (0.0, "0.0")):
        for family, job in (
            ("dli_job_progress_ratio", JOB._replace(ratio=zero)),
            ("dli_subjob_reported_progress_ratio", JOB._replace(subjob_id=1, progress=zero)),
        ):
            before = rendered(job, before)
            assert lines(family, before).endswith(f" {text}\n")


@pytest.mark.parametrize(
    ("value", "text"),
    [
        ("100 %s %d%%", "100 %s %d%%"),
        ('a"b\\c\nd', r"a\"b\\c\nd"),
        ("{0} {}", "{0} {}"),
        ("a\0\nb", r"a" + "\0" + r"\nb"),
        ("数据", "数据"),
    ],
)
def test_any_value_of_a_label_is_kept(value: str, text: str) -> None:
    job = JOB._replace(
        key=JobKey(value, value),
        name=value,
        details=Details(queue_name=value),
        listed=(sighting(0)._replace(subjob=sighting(0).subjob._replace(name=value)),),
    )
    block = rendered(job)
    for label in ("name", "queue_name", "job_id", "project"):
        assert f'{label}="{text}"' in lines("dli_job_info", block)
    for label in ("name", "job_id", "project"):
        assert f'{label}="{text}"' in lines("dli_subjob_info", block)
    assert lines("dli_job_status", block).count(f'job_id="{text}"') == len(JobStatus)


def test_lines_of_an_unchanged_figure_are_taken_over() -> None:
    before = rendered(JOB)
    after = rendered(JOB._replace(listed=(sighting(0)._replace(), sighting(1, 20))), before)
    for family in FAMILIES:
        place = RENDERER.places[FAMILIES.index(family)]
        taken = [old is new for old, new in zip(place.of([before]), place.of([after]), strict=True)]
        assert taken == [family != "dli_subjob_tasks"]
    assert lines("dli_subjob_tasks", after).splitlines() == [
        'dli_subjob_tasks{job_id="a",project="prod",subjob_id="0"} 10.0',
        'dli_subjob_tasks{job_id="a",project="prod",subjob_id="1"} 20.0',
    ]


def test_unchanged_subjobs_cost_nothing_however_many_they_are() -> None:
    crowd = JOB._replace(listed=tuple(map(sighting, range(100))))
    before = rendered(crowd)
    moved = crowd._replace(listed=(*crowd.listed[:-1], sighting(99, 20)))
    after = rendered(moved, before)
    assert all(old is new for old, new in zip(before.subjobs[:-1], after.subjobs[:-1], strict=True))
    assert texts(RENDERER, after) == texts(RENDERER, rendered(moved))


def test_the_families_that_change_are_known() -> None:
    assert changed(JOB, JOB._replace()) == set()
    assert changed(JOB, JOB._replace(ratio=0.6)) == {"dli_job_progress_ratio"}
    assert changed(JOB, JOB._replace(ratio=None)) == {"dli_job_progress_ratio"}
    moved = JOB._replace(listed=(sighting(0), sighting(1, 20)))
    assert changed(JOB, moved) == {"dli_subjob_tasks"}
    turned = JOB._replace(listed=JOB.listed[::-1])
    assert {"dli_subjob_info", "dli_subjob_status", "dli_subjob_tasks"} <= changed(JOB, turned)


def test_a_subjob_that_comes_or_goes_changes_every_family_of_subjobs() -> None:
    for few, many in (((), JOB.listed), (JOB.listed, (*JOB.listed, sighting(2)))):
        for before, after in ((few, many), (many, few)):
            families = changed(JOB._replace(listed=before), JOB._replace(listed=after))
            assert {"dli_subjob_info", "dli_subjob_status", "dli_subjob_tasks"} <= families
            assert "dli_job_status" not in families


def test_a_block_counts_its_series_and_bytes() -> None:
    block = rendered(JOB)
    text = b"".join(texts(RENDERER, block))
    assert (block.series, block.size) == (text.count(b"\n"), len(text))


_T = TypeVar("_T")


class Fate:
    """What may become of a job, as it is decided by chance."""

    def __init__(self, seed: int) -> None:
        self.chance = Random(seed)  # noqa: S311  # chance in a test, not in cryptography

    def one(self, *values: _T) -> _T:
        return self.chance.choice(values)

    def figure(self) -> float | None:
        """Return a figure: all kinds of nothing are likely."""
        nan = float("nan")
        return self.one(None, 0.0, -0.0, nan, 0.5, self.chance.random(), 1.7e9 + self.one(0, 0.25))

    def counts(self) -> Counts:
        return Counts(*(self.one(None, 0, 3, self.chance.randrange(2_000_000)) for _ in range(12)))

    def subjob(self, number: int) -> SubJob:
        reasons = self.chance.sample(list(KillReason), self.one(0, 0, 1, 3))
        return SubJob(
            id=number,
            status=self.one(*SubJobStatus),
            name=self.one("", 'say "hi"', "数据", "100 %s"),
            counts=self.counts(),
            killed={reason: self.chance.randrange(3) for reason in reasons},
            submitted=self.figure(),
            completed=self.figure(),
        )

    def subjobs(self, earlier: tuple[SubJob, ...]) -> tuple[SubJob, ...]:
        """Return the sub-jobs of an answer: some are as before, and some have left."""
        known = {subjob.id: subjob for subjob in earlier if self.chance.random() < 0.95}
        for number in self.chance.sample(range(40), self.one(0, 1, 2, 5)):
            known[number] = self.subjob(number)
        return tuple(known[number] for number in sorted(known))

    def details(self) -> Details | None:
        listed = Details(
            queue_name=self.one("", "q"),
            tags=self.one({}, {"team": "bi"}),
            start=self.figure(),
            end=self.figure(),
            input_rows=7,
            cpu_core_seconds=self.figure(),
        )
        return self.one(None, listed, replace(listed, input_rows=None, output_bytes=10**10))

    def befall(self, job: Job, now: float) -> Job:
        """Return the job after an answer, or after something else."""
        if self.chance.random() < 0.7:
            subjobs = self.subjobs(tuple(sighting.subjob for sighting in job.listed))
            answer = Observation(
                status=self.one(*JobStatus),
                progress=self.figure(),
                subjob_id=self.one(None, *range(4)),
                subjobs=subjobs,
            )
            return fold(job, answer, now=now)
        return self.one(
            job._replace(name=self.one("", "nightly"), labels=self.one({}, {"team": "etl"})),
            job._replace(details=self.details()),
            job._replace(ratio=self.figure(), deadline=self.figure()),
            job._replace(expected_end=self.figure(), expected_ratio=self.figure()),
            job._replace(status=None, listed=(), gone=Job(key=job.key).gone),
            job._replace(),
        )


@pytest.mark.parametrize("most", [200, 3])
@pytest.mark.parametrize("shown", SubJobs)
def test_what_is_taken_over_is_what_would_be_made(shown: SubJobs, most: int) -> None:
    renderer, fate = Renderer(job_families(("team",)), shown, most), Fate(7)
    job = Job(key=JobKey("prod", "a"))
    block, _ = renderer.render(job)
    for turn in range(1_000):
        before, ids = texts(renderer, block), [part.ids for part in block.subjobs]
        job = fate.befall(job, 1.7e9 + turn / 8)
        block, families = renderer.render(job, block)
        after, anew = texts(renderer, block), renderer.render(job)[0]
        assert after == texts(renderer, anew)
        assert (block.series, block.size) == (anew.series, anew.size)
        assert len(b"".join(after)) == block.size
        assert b"".join(after).count(b"\n") == block.series
        differing = {n for n, _ in enumerate(after) if before[n] != after[n]}
        assert differing <= set(families)
        if ids == [part.ids for part in block.subjobs]:
            assert differing == set(families)


def test_a_subjob_that_leaves_costs_its_neighbours_alone() -> None:
    """Spark's list is bounded: in a long job the oldest leaves each time that one comes."""
    before, _ = RENDERER.render(JOB._replace(listed=tuple(map(sighting, range(64)))))
    after, changed = RENDERER.render(JOB._replace(listed=before.job.listed[1:]), before)
    assert after.subjobs[0].ids == tuple(range(1, 16))
    assert all(
        one is other
        for one, other in zip(after.subjobs, before.subjobs, strict=True)
        if one.ids[0] > 1
    )
    families = {number for number, place in enumerate(RENDERER.places) if place.subjob}
    assert families <= set(changed)


def test_groups_that_change_places_are_told() -> None:
    listed = tuple(map(sighting, range(32)))
    before, _ = RENDERER.render(JOB._replace(listed=listed))
    after, changed = RENDERER.render(JOB._replace(listed=listed[16:] + listed[:16]), before)
    assert after.subjobs == before.subjobs[::-1]
    assert {number for number, place in enumerate(RENDERER.places) if place.subjob} <= set(changed)
