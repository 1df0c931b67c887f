"""The lines of one job: what is constant in them is made once, and only what changed again."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from enum import StrEnum
from functools import lru_cache
from itertools import compress
from operator import ne
from typing import Final, Generic, TypeAlias, TypeVar

from prometheus_client.utils import floatToGoString

from ..jobs.model import Job, Sighting, SubJobStatus
from .catalogue import JOB, SUBJOB, Family, JobFamily, Row, Sample, SubJobFamily

_Subject = TypeVar("_Subject")

_REMEMBERED: Final = 4096
"""Numbers and label values remembered: words, queues and times come again and again."""
_HOLE: Final = "%s\n"
"""Where the number stands in a line."""
_EXPONENT: Final = 1_000_000
"""From here on Go prints an exponent."""
_LABELS: Final = {
    len(names): ",".join(f'{name}="%s"' for name in sorted(names)) for names in (JOB, SUBJOB)
}
"""The labels that tell a job, and those that tell a sub-job, by their number."""
_BETWEEN: Final = "\0\n"
"""What no family's lines contain: a line ends with its number, and labels hold no newline."""


class SubJobs(StrEnum):
    """Which sub-jobs have series of their own; a job's own sums are over all of them."""

    ALL = "all"
    RUNNING = "running"
    NONE = "none"


Lines: TypeAlias = tuple[bytes, ...]
"""The lines of one job or sub-job, family by family; there may be none in a family."""


@dataclass(frozen=True, slots=True)
class SubJobBlock:
    """The lines of a sub-job that is shown, and the value that they were made of."""

    sighting: Sighting
    lines: Lines
    series: int
    size: int


@dataclass(frozen=True, slots=True)
class Block:
    """The lines of a job, and the value that they were made of; those of its sub-jobs apart.

    ``series`` and ``size`` (bytes) are of all of them together.
    """

    job: Job
    lines: Lines
    subjobs: tuple[SubJobBlock, ...]
    series: int
    size: int


@dataclass(frozen=True, slots=True)
class Place:
    """Where the lines of a family are in a :class:`Block`: its own or its sub-jobs', which."""

    subjob: bool
    index: int

    def of(self, blocks: Iterable[Block]) -> list[bytes]:
        """Return the family's lines of some jobs."""
        index = self.index
        if self.subjob:
            return [one.lines[index] for block in blocks for one in block.subjobs]
        return [block.lines[index] for block in blocks]


@dataclass(frozen=True, slots=True, eq=False)
class _Template(Generic[_Subject]):
    """A family's row, and how many of its labels are the subject's identity."""

    family: Family
    identity: int
    value: Callable[[_Subject], float | None] | None
    samples: Callable[[_Subject], Iterable[Sample]]
    opening: str


class Renderer:
    """Makes the lines of jobs in these families.

    Every family is a gauge, so text 0.0.4 and OpenMetrics 1.0 print the same lines: one text
    serves both. Of each job at most ``most`` sub-jobs are shown, running ones first, then the
    newest. ``headers`` and ``places`` are in the order of the families.

    A job of 4 sub-jobs, 109 lines, takes 60 us, and 30 us if three of them are as before;
    with a ``%`` and floatToGoString for each line it was 330 us.
    """

    def __init__(self, families: tuple[Row, ...], subjobs: SubJobs, most: int) -> None:
        of_jobs = [row for row in families if isinstance(row, JobFamily)]
        of_subjobs = [row for row in families if isinstance(row, SubJobFamily)]
        self.headers: Final = tuple(header(row.family) for row in families)
        self.places: Final = tuple(
            Place(False, of_jobs.index(row))
            if isinstance(row, JobFamily)
            else Place(True, of_subjobs.index(row))
            for row in families
        )
        self._of_jobs = tuple(map(families.index, of_jobs))
        self._of_subjobs = tuple(map(families.index, of_subjobs))
        self._jobs = tuple(
            _Template(row.family, len(JOB), row.value, row.samples, f"{row.family.name}{{")
            for row in of_jobs
        )
        self._subjobs = tuple(
            _Template(row.family, len(SUBJOB), row.value, row.each, f"{row.family.name}{{")
            for row in of_subjobs
        )
        self._shown = subjobs
        self._most = most

    def render(self, job: Job, before: Block | None = None) -> Block:
        """Return the lines of a job.

        Those of a sub-job that is as it was ``before``, most of all one that has ended, are
        taken over.
        """
        identity = (_escaped(job.key.job_id), _escaped(job.key.project))
        shown = _shown(job.listed, self._shown, self._most)
        named = job
        if self._shown is SubJobs.NONE or _names_hidden(job, shown):
            # What the API reports is that sub-job's, so it must not pass for the job's.
            named = job._replace(progress=None, subjob_id=None)
        known = {one.sighting.subjob.id: one for one in before.subjobs} if before else {}
        subjobs = tuple(
            one
            if (one := known.get(sighting.subjob.id)) and one.sighting == sighting
            else self._subjob(sighting, identity)
            for sighting in shown
        )
        lines, series, size = _render(self._jobs, named, identity)
        for one in subjobs:
            series, size = series + one.series, size + one.size
        return Block(job, lines, subjobs, series, size)

    def changed(self, before: Block, after: Block) -> set[int]:
        """Return the numbers of the families whose lines of a job are not what they were."""
        families = _differing(self._of_jobs, before.lines, after.lines)
        if len(before.subjobs) != len(after.subjobs):
            return families.union(self._of_subjobs)
        for old, new in zip(before.subjobs, after.subjobs, strict=True):
            if old is not new:
                families |= _differing(self._of_subjobs, old.lines, new.lines)
        return families

    def _subjob(self, sighting: Sighting, identity: tuple[str, ...]) -> SubJobBlock:
        identity = (*identity, str(sighting.subjob.id))
        return SubJobBlock(sighting, *_render(self._subjobs, sighting, identity))


def _differing(families: tuple[int, ...], before: Lines, after: Lines) -> set[int]:
    return set(compress(families, map(ne, before, after)))


def _shown(listed: tuple[Sighting, ...], which: SubJobs, most: int) -> tuple[Sighting, ...]:
    """Return the sub-jobs that have series of their own."""
    if which is SubJobs.NONE:
        return ()
    if which is SubJobs.ALL and len(listed) <= most:
        return listed
    wanted = (one for one in listed if which is SubJobs.ALL or _running(one))
    first = sorted(wanted, key=lambda one: (not _running(one), -one.subjob.id))[:most]
    chosen = {one.subjob.id for one in first}
    return tuple(one for one in listed if one.subjob.id in chosen)


def _running(sighting: Sighting) -> bool:
    return sighting.subjob.status is SubJobStatus.RUNNING


def _names_hidden(job: Job, shown: tuple[Sighting, ...]) -> bool:
    """Whether the progress that the API reports is that of a listed sub-job not shown."""
    if shown is job.listed or job.subjob_id is None:
        return False
    return job.subjob_id in {one.subjob.id for one in job.listed} - {one.subjob.id for one in shown}


def _render(
    templates: tuple[_Template[_Subject], ...],
    subject: _Subject,
    identity: tuple[str, ...],
) -> tuple[Lines, int, int]:
    """Render what is known of a subject, and count the series and the bytes.

    Its identity are escaped values, sorted by name.
    """
    labels = _LABELS[len(identity)] % identity
    texts: list[str] = []
    for template in templates:
        if (value := template.value) is None:
            texts.append(_text(template, subject, identity))
        elif (number := value(subject)) is None:
            texts.append("")
        else:
            texts.append(f"{template.opening}{labels}}} {_number(number)}\n")
    # Encoded together: one by one takes a tenth longer. A lone surrogate, which JSON allows
    # and UTF-8 does not, must not cost the whole scrape.
    joined = _BETWEEN.join(texts).encode("utf-8", "replace")
    lines = tuple(joined.split(_BETWEEN.encode()))
    between = len(lines) - 1
    return lines, joined.count(b"\n") - between, len(joined) - between * len(_BETWEEN)


def _text(template: _Template[_Subject], subject: _Subject, identity: tuple[str, ...]) -> str:
    samples = template.samples(subject)
    if isinstance(samples, tuple):
        return _page(template, samples) % (identity * len(samples))
    lines = [_line(template, values) % (*identity, _number(value)) for values, value in samples]
    return "".join(lines)


@lru_cache(maxsize=_REMEMBERED)
def _page(template: _Template[_Subject], samples: tuple[Sample, ...]) -> str:
    """Return lines with ``%s`` for the values of the identity: 7 for a status, in one go."""
    lines = ((_line(template, values), _number(value)) for values, value in samples)
    return "".join(f"{line.removesuffix(_HOLE)}{number}\n" for line, number in lines)


@lru_cache(maxsize=_REMEMBERED)
def _line(template: _Template[_Subject], values: tuple[str, ...]) -> str:
    """Return a line with ``%s`` for the values of the identity and for the number."""
    names, length = template.family.labels, template.identity
    own = [_escaped(value).replace("%", "%%") for value in values]
    pairs = sorted(zip(names, ["%s"] * length + own, strict=True))
    labels = ",".join(map('{}="{}"'.format, *zip(*pairs, strict=True)))
    return f"{template.opening}{labels}}} {_HOLE}"


def header(family: Family) -> bytes:
    """Return the HELP and TYPE lines, which are the same in both formats for a gauge.

    The formats escape different characters in HELP; the catalogue uses none of them.
    """
    return f"# HELP {family.name} {family.help}\n# TYPE {family.name} {family.type}\n".encode()


_ESCAPES: Final = str.maketrans({"\\": r"\\", "\n": r"\n", '"': r"\""})


@lru_cache(maxsize=_REMEMBERED)
def _escaped(value: str) -> str:
    return value.translate(_ESCAPES)


def _number(value: float) -> str:
    """Return a figure as Go prints it, without a call of floatToGoString (0.6 us) if possible.

    Counts are many and move: they would drive the rest out of what is remembered.
    """
    if not value:
        # Not looked up: 0.0 and -0.0 are one key, and the only equal figures that differ.
        return "0.0" if isinstance(value, int) else _printed(value)
    count = type(value) is int and 0 < value < _EXPONENT
    return f"{value}.0" if count else _looked_up(value)


def _printed(value: float) -> str:
    number: str = floatToGoString(value)  # type: ignore[no-untyped-call]  # not annotated there
    return number


_looked_up: Final = lru_cache(maxsize=_REMEMBERED)(_printed)
