"""The catalogue's text: rendered when a job changes, joined when it is scraped."""

from dataclasses import dataclass, replace
from enum import StrEnum
from typing import Final

from prometheus_client.utils import floatToGoString

from ..jobs.model import Job, JobKey, Sighting, SubJobStatus
from .catalogue import JOBS, SUBJOB, Family, JobFamily


class SubJobs(StrEnum):
    """Which sub-jobs have series of their own; a job's own sums are over all of them."""

    ALL = "all"
    RUNNING = "running"
    NONE = "none"


class Exposition:
    """The text of all jobs, kept by job and family.

    Every family is a gauge, so text 0.0.4 and OpenMetrics 1.0 print the same lines: one
    text serves both. Of each job at most ``subjobs_per_job`` sub-jobs are shown, running
    ones first, then the newest.
    """

    def __init__(
        self,
        families: tuple[JobFamily, ...] = JOBS,
        *,
        subjobs: SubJobs = SubJobs.ALL,
        subjobs_per_job: int = 200,
    ) -> None:
        self._templates = tuple(map(_template, families))
        self._subjobs = subjobs
        self._subjobs_per_job = subjobs_per_job
        self._blocks: dict[JobKey, _Block] = {}
        self.series = 0

    def put(self, job: Job) -> bool:
        """Render a job that is new or has changed; return whether its text is another now.

        A job rendered already costs nothing.
        """
        before = self._blocks.get(job.key)
        if before is not None and before.job is job:
            return False
        shown = _collapsed(job, self._subjobs, self._subjobs_per_job)
        lines = tuple(
            _render(template, shown if template.subjob else job) for template in self._templates
        )
        series = sum(text.count(b"\n") for text in lines)
        self.series += series - (before.series if before else 0)
        self._blocks[job.key] = _Block(job, lines, series)
        return before is None or before.lines != lines

    def drop(self, key: JobKey) -> None:
        """Forget a job."""
        block = self._blocks.pop(key, None)
        self.series -= block.series if block else 0

    def pieces(self) -> list[bytes]:
        """Return the exposition as it is now: each family's header, then its lines of every job.

        The pieces are the kept text itself: whoever holds the list holds no copy.
        """
        blocks = tuple(self._blocks.values())
        pieces: list[bytes] = []
        for index, template in enumerate(self._templates):
            pieces.append(template.header)
            pieces += [text for block in blocks if (text := block.lines[index])]
        return pieces


@dataclass(frozen=True, slots=True)
class _Block:
    job: Job
    lines: tuple[bytes, ...]
    series: int


@dataclass(frozen=True, slots=True)
class _Template:
    """A family's constant text; ``order`` puts label values into the order of the line."""

    row: JobFamily
    subjob: bool
    header: bytes
    line: str
    order: tuple[int, ...]


def _collapsed(job: Job, subjobs: SubJobs, most: int) -> Job:
    """Return the job with those sub-jobs only that have series of their own."""
    if subjobs is SubJobs.NONE:
        return replace(job, listed=(), subjob_id=None)
    if subjobs is SubJobs.ALL and len(job.listed) <= most:
        return job
    wanted = (one for one in job.listed if subjobs is SubJobs.ALL or _running(one))
    first = sorted(wanted, key=lambda one: (not _running(one), -one.subjob.id))[:most]
    chosen = {one.subjob.id for one in first}
    hidden = {one.subjob.id for one in job.listed} - chosen
    return replace(
        job,
        listed=tuple(one for one in job.listed if one.subjob.id in chosen),
        subjob_id=None if job.subjob_id in hidden else job.subjob_id,
    )


def _running(sighting: Sighting) -> bool:
    return sighting.subjob.status is SubJobStatus.RUNNING


def header(family: Family) -> bytes:
    """Return the HELP and TYPE lines, which are the same in both formats for a gauge.

    The formats escape different characters in HELP; the catalogue uses none of them.
    """
    return f"# HELP {family.name} {family.help}\n# TYPE {family.name} {family.type}\n".encode()


def _template(row: JobFamily) -> _Template:
    labels = row.family.labels
    order = tuple(sorted(range(len(labels)), key=labels.__getitem__))
    names = ",".join(f'{labels[index]}="%s"' for index in order)
    return _Template(
        row,
        subjob=labels[: len(SUBJOB)] == SUBJOB,
        header=header(row.family),
        line=f"{row.family.name}{{{names}}} %s\n",
        order=order,
    )


def _render(template: _Template, job: Job) -> bytes:
    identity = (job.key.project, job.key.job_id)
    lines = [
        template.line % (*_ordered((*identity, *values), template.order), _number(value))
        for values, value in template.row.samples(job)
    ]
    # A lone surrogate, which JSON allows and UTF-8 does not, must not cost the whole scrape.
    return "".join(lines).encode("utf-8", "replace")


def _ordered(values: tuple[str, ...], order: tuple[int, ...]) -> list[str]:
    return [values[index].translate(_ESCAPES) for index in order]


_ESCAPES: Final = str.maketrans({"\\": r"\\", "\n": r"\n", '"': r"\""})


def _number(value: float) -> str:
    number: str = floatToGoString(value)  # type: ignore[no-untyped-call]  # not annotated there
    return number
