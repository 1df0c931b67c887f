"""The catalogue's text: rendered when a job changes, joined when it is scraped."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

from prometheus_client.utils import floatToGoString

from ..jobs.model import Job, JobKey
from .catalogue import JOBS, Family, JobFamily


class Exposition:
    """The text of all jobs, kept by job and family.

    Every family is a gauge, so text 0.0.4 and OpenMetrics 1.0 print the same lines: one
    text serves both.
    """

    def __init__(self, families: tuple[JobFamily, ...] = JOBS) -> None:
        self._templates = tuple(map(_template, families))
        self._blocks: dict[JobKey, _Block] = {}
        self.series = 0

    def put(self, job: Job) -> None:
        """Render a job that is new or has changed; one rendered already costs nothing."""
        block = self._blocks.get(job.key)
        if block is not None and block.job is job:
            return
        lines = tuple(_render(template, job) for template in self._templates)
        series = sum(text.count(b"\n") for text in lines)
        self.series += series - (block.series if block else 0)
        self._blocks[job.key] = _Block(job, lines, series)

    def drop(self, key: JobKey) -> None:
        """Forget a job."""
        block = self._blocks.pop(key, None)
        self.series -= block.series if block else 0

    def pieces(self) -> Iterator[bytes]:
        """Yield the exposition in order: each family's header, then its lines of every job."""
        blocks = tuple(self._blocks.values())
        for index, template in enumerate(self._templates):
            yield template.header
            yield b"".join([block.lines[index] for block in blocks])


@dataclass(frozen=True, slots=True)
class _Block:
    job: Job
    lines: tuple[bytes, ...]
    series: int


@dataclass(frozen=True, slots=True)
class _Template:
    """A family's constant text; ``order`` puts label values into the order of the line."""

    row: JobFamily
    header: bytes
    line: str
    order: tuple[int, ...]


def header(family: Family) -> bytes:
    """Return the HELP and TYPE lines, which are the same in both formats for a gauge.

    The formats escape different characters in HELP; the catalogue uses none of them.
    """
    return f"# HELP {family.name} {family.help}\n# TYPE {family.name} {family.type}\n".encode()


def _template(row: JobFamily) -> _Template:
    labels = row.family.labels
    order = tuple(sorted(range(len(labels)), key=labels.__getitem__))
    names = ",".join(f'{labels[index]}="%s"' for index in order)
    return _Template(row, header(row.family), f"{row.family.name}{{{names}}} %s\n", order)


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
