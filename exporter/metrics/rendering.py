"""The lines of one job: those of a family are made again only if a figure in them is another."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from enum import StrEnum
from functools import lru_cache
from itertools import compress, groupby
from operator import attrgetter, is_, is_not
from typing import Any, Final, Generic, NamedTuple, TypeAlias, TypeVar

from prometheus_client.utils import floatToGoString

from ..jobs.model import Job, Sighting, SubJobStatus
from .catalogue import (
    JOB,
    SUBJOB,
    Family,
    Figure,
    JobFamily,
    Row,
    Sample,
    Shown,
    SubJobFamily,
    figure_of,
    samples_of,
)

_Subject = TypeVar("_Subject")

_TOGETHER: Final = 16
"""Sub-jobs whose lines are made, and kept, together.

When one of them moves the others' lines are made again too. A job whose 4 sub-jobs all move
takes 42 us so, and 58 us when each is for itself; one of 200, of which one moves, 75 and 170.
"""
_REMEMBERED: Final = 4096
"""Label values remembered: words and queues come again and again."""
_EXPONENT: Final = 1_000_000
"""From here on Go prints an exponent."""
_OF_JOB, _OF_SUBJOB = (
    "{" + ",".join(f'{name}="%s"' for name in sorted(names)) + "} " for names in (JOB, SUBJOB)
)
"""What stands between name and number in a line without labels other than those that tell whose."""


class SubJobs(StrEnum):
    """Which sub-jobs have series of their own; a job's own sums are over all of them."""

    ALL = "all"
    RUNNING = "running"
    NONE = "none"


Identity: TypeAlias = tuple[str | int, ...]
"""The values of the labels that tell a job or a sub-job, escaped, sorted by the labels' names."""
Figures: TypeAlias = tuple[Any, ...]
"""What is known of a job or a sub-job, row by row."""


class Part(NamedTuple, Generic[_Subject]):
    """The lines of a job, or of some sub-jobs, row by row, and the figures that they show.

    ``ids`` are those of the sub-jobs; a job's own part has none.
    """

    subjects: tuple[_Subject, ...]
    ids: tuple[int, ...]
    figures: tuple[Figures, ...]
    lines: tuple[bytes, ...]
    series: int
    size: int


class Block(NamedTuple):
    """The lines of a job, and those of its sub-jobs that are shown; their number and bytes."""

    job: Job
    own: Part[Job]
    subjobs: tuple[Part[Sighting], ...]
    series: int
    size: int


class Place(NamedTuple):
    """Where the lines of a family are in a :class:`Block`: its own or its sub-jobs', which."""

    subjob: bool
    row: int

    def of(self, blocks: Iterable[Block]) -> list[bytes]:
        """Return the family's lines of some jobs."""
        row = self.row
        if self.subjob:
            return [part.lines[row] for block in blocks for part in block.subjobs]
        return [block.own.lines[row] for block in blocks]


class Renderer:
    """Makes the lines of jobs in these families.

    Every family is a gauge, so text 0.0.4 and OpenMetrics 1.0 print the same lines: one text
    serves both. Of each job at most ``most`` sub-jobs are shown, running ones first, then the
    newest. ``headers`` and ``places`` are in the order of the families.

    A job of 4 sub-jobs, 109 lines, takes 100 us; rendered again it takes 40 us if all of them
    have moved, which is 22 lines of 10 families, and 34 us if one has.
    """

    def __init__(self, families: tuple[Row, ...], subjobs: SubJobs, most: int) -> None:
        rows = list(enumerate(families))
        self._jobs = _Rows({n: row for n, row in rows if isinstance(row, JobFamily)})
        self._subjobs = _Rows({n: row for n, row in rows if isinstance(row, SubJobFamily)})
        self.headers: Final = tuple(header(row.family) for row in families)
        places = {n: Place(False, row) for row, n in enumerate(self._jobs.families)}
        places |= {n: Place(True, row) for row, n in enumerate(self._subjobs.families)}
        self.places: Final = tuple(places[n] for n, _ in rows)
        self._shown = subjobs
        self._most = most

    def render(self, job: Job, before: Block | None = None) -> tuple[Block, list[int]]:
        """Return the lines of a job, and the numbers of the families that have changed.

        ``before`` is how the same job was rendered last.
        """
        shown = _shown(job.listed, self._shown, self._most)
        named = job
        if self._shown is SubJobs.NONE or _names_hidden(job, shown):
            # What the API reports is that sub-job's, so it must not pass for the job's.
            named = job._replace(progress=None, subjob_id=None)
        identity = (_escaped(job.key.job_id), _escaped(job.key.project))
        own, families = self._jobs.render((named,), (), identity, before.own if before else None)
        changed, series, size = [*families], own.series, own.size
        earlier = before.subjobs if before else ()
        known = {part.ids[0] // _TOGETHER: part for part in earlier}
        parts = []
        for number, group in groupby(shown, _group):
            some = tuple(group)
            ids = tuple([one.subjob.id for one in some])
            part, families = self._subjobs.render(some, ids, identity, known.get(number))
            changed += families
            series, size = series + part.series, size + part.size
            parts.append(part)
        if [part.ids for part in parts] != [part.ids for part in earlier]:
            changed += self._subjobs.families
        return Block(job, own, tuple(parts), series, size), changed


class _Rows(Generic[_Subject]):
    """The rows about jobs, or those about sub-jobs; ``families`` are the numbers of theirs."""

    def __init__(self, rows: Mapping[int, tuple[Family, Figure[_Subject], Shown | None]]) -> None:
        # The fields first, as they are read.
        self.families: Final = tuple(sorted(rows, key=lambda number: callable(rows[number][1])))
        ordered = [rows[number] for number in self.families]
        self._figures = _reader([figure for _, figure, _ in ordered])
        self._templates = [(family.name, family.labels, shown) for family, _, shown in ordered]
        self._all = range(len(ordered))
        self._unknown: Figures = (None,) * len(ordered)
        self._no_lines = (b"",) * len(ordered)

    def render(
        self,
        subjects: tuple[_Subject, ...],
        ids: tuple[int, ...],
        identity: Identity,
        before: Part[_Subject] | None,
    ) -> tuple[Part[_Subject], Sequence[int]]:
        """Return the lines of subjects, and the numbers of the families that have changed.

        ``identity`` is that of the job, ``before`` what was rendered in their place last.
        """
        if before is not None and before.ids == ids:
            if all(map(is_, before.subjects, subjects)):
                return before, ()
            return self._again(subjects, identity, before)
        nothing = Part(subjects, ids, (self._unknown,) * len(subjects), self._no_lines, 0, 0)
        return self._again(subjects, identity, nothing)[0], self.families

    def _again(
        self, subjects: tuple[_Subject, ...], identity: Identity, before: Part[_Subject]
    ) -> tuple[Part[_Subject], list[int]]:
        """Return the lines of subjects, of which those of figures that are the same are taken."""
        _, ids, known, earlier, series, size = before
        figures, lines = tuple(map(self._figures, subjects)), list(earlier)
        whose = [_OF_SUBJOB % (*identity, number) for number in ids] or [_OF_JOB % identity]
        families, everyone = [], range(len(subjects))
        for row in self._moved(figures, known):
            name, labels, shown = self._templates[row]
            text = ""
            if shown is None:
                for each in everyone:
                    if (figure := figures[each][row]) is not None:
                        text += f"{name}{whose[each]}{_number(figure)}\n"
                        if known[each][row] is None:
                            series += 1
                    elif known[each][row] is not None:
                        series -= 1
            else:
                for each in everyone:
                    samples = samples_of(figures[each][row], shown)
                    text += _lines(name, labels, (*identity, *ids[each : each + 1]), samples)
                    series += len(samples) - len(samples_of(known[each][row], shown))
            # A lone surrogate, which JSON allows and UTF-8 does not, must not cost the scrape.
            line = text.encode("utf-8", "replace")
            if line != lines[row]:
                size += len(line) - len(lines[row])
                lines[row] = line
                families.append(self.families[row])
        return Part(subjects, ids, figures, tuple(lines), series, size), families

    def _moved(self, figures: tuple[Figures, ...], known: tuple[Figures, ...]) -> set[int]:
        """Return the rows in which a subject has another figure than was known."""
        moved: set[int] = set()
        for new, old in zip(figures, known):  # noqa: B905  # as many: strict takes 0.1 us
            for row in compress(self._all, map(is_not, new, old)):
                if row not in moved:
                    figure, earlier = new[row], old[row]
                    # 0.0 and -0.0 are equal, and are not printed alike.
                    if figure != earlier or (not figure and str(figure) != str(earlier)):
                        moved.add(row)
        return moved


def _reader(figures: Sequence[Figure[_Subject]]) -> Callable[[_Subject], Figures]:
    """Return what gets the figures of a subject, fields first.

    All 18 fields of a sub-job take 0.5 us at once, and 5 us one by one.
    """
    fields = [figure for figure in figures if isinstance(figure, str)]
    functions = [figure for figure in figures if not isinstance(figure, str)]

    def one_by_one(subject: _Subject) -> list[object]:
        return [figure_of(subject, field) for field in fields]

    several = attrgetter(*fields) if len(fields) > 1 else one_by_one

    def read(subject: _Subject) -> Figures:
        try:
            known = list(several(subject))
        except AttributeError:  # a field of what is not known, as the details of a job
            known = one_by_one(subject)
        for function in functions:
            known.append(function(subject))
        return tuple(known)

    return read


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


def _group(sighting: Sighting) -> int:
    """Return which sub-jobs one is rendered with: by its id, as those listed come and go."""
    return sighting.subjob.id // _TOGETHER


def _running(sighting: Sighting) -> bool:
    return sighting.subjob.status is SubJobStatus.RUNNING


def _names_hidden(job: Job, shown: tuple[Sighting, ...]) -> bool:
    """Whether the progress that the API reports is that of a listed sub-job not shown."""
    if shown is job.listed or job.subjob_id is None:
        return False
    return job.subjob_id in {one.subjob.id for one in job.listed} - {one.subjob.id for one in shown}


def _lines(
    name: str, labels: tuple[str, ...], identity: Identity, samples: tuple[Sample, ...]
) -> str:
    """Return the lines of samples with labels of their own."""
    return "".join(
        [_line(name, labels, own) % (*identity, _number(number)) for own, number in samples]
    )


@lru_cache(maxsize=_REMEMBERED)
def _line(name: str, labels: tuple[str, ...], own: tuple[str, ...]) -> str:
    """Return a line with ``%s`` for each value of the identity, and for the number.

    ``own`` are the values of the labels that are not of the identity.
    """
    values = ["%s"] * (len(labels) - len(own))
    values += [_escaped(value).replace("%", "%%") for value in own]
    pairs = sorted(zip(labels, values, strict=True))
    return name + "{" + ",".join(f'{label}="{value}"' for label, value in pairs) + "} %s\n"


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
    """Return a figure as Go prints it.

    Counts, ratios and times of this century, which move, take 0.1, 0.3 and 0.6 us; what
    floatToGoString does for the rest takes 1 us.
    """
    kind = type(value)
    if kind is int and 0 <= value < _EXPONENT:
        return f"{value}.0"
    if kind is float:
        if 0 < value < _EXPONENT:
            return repr(value)
        if 1e9 <= value < 1e10 and value % 1:
            # Ten digits, the point, and more that do not end with a zero.
            digits = repr(value)
            return f"{digits[0]}.{digits[1:10]}{digits[11:]}e+09"
    printed: str = floatToGoString(value)  # type: ignore[no-untyped-call]  # not annotated there
    return printed
