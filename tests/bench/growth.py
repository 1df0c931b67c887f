"""P7 and P9: what a job costs in memory and its poll in CPU time, as the jobs grow tenfold."""

from collections.abc import Iterator
from contextlib import ExitStack
from itertools import pairwise
from typing import Final

from .poll import cpu_per_poll
from .programs import Program, dli, exporter, resident_mib
from .table import Row

_MEMORY_GOAL: Final = 40.0
"""MiB for 1,000 jobs of 4 sub-jobs."""
_GROWTH_GOAL: Final = 1.20


def rows(*, small: bool) -> Iterator[Row]:
    """Run exporters of three sizes, and measure them in turns."""
    sizes = (10, 100, 1_000) if small else (100, 1_000, 10_000)
    seconds, rounds = (0.5, 2) if small else (3.0, 5)
    with ExitStack() as stack:
        address = stack.enter_context(dli())
        # All the time busy, whatever their size.
        programs = {
            str(size): stack.enter_context(exporter(address, jobs=size, interval="10ms"))
            for size in sizes
        }
        cpu = cpu_per_poll(address, programs, jobs=max(sizes), seconds=seconds, rounds=rounds)
        kib = _kib_per_job({size: programs[str(size)] for size in sizes})
    thousand = kib[0] * 1_000 / 1_024
    yield Row(
        "P7",
        "memory per 1,000 jobs of 4 sub-jobs",
        f"<= {_MEMORY_GOAL:.0f} MiB",
        f"{thousand:.0f} MiB",
        thousand <= _MEMORY_GOAL,
    )
    jobs = " -> ".join(f"{size:,}" for size in sizes)
    yield _row(f"CPU of one poll, jobs {jobs}", list(cpu.values()), "µs")
    yield _row(f"memory of one job, jobs {jobs}", kib, "KiB")


def _kib_per_job(programs: dict[int, Program]) -> list[float]:
    """Give the memory that each further job takes, from one size to the next."""
    mib = {size: resident_mib(program.pid) for size, program in programs.items()}
    return [(mib[more] - mib[less]) * 1_024 / (more - less) for less, more in pairwise(mib)]


def _row(what: str, figures: list[float], unit: str) -> Row:
    growth = max(figures) / min(figures)
    return Row(
        "P9",
        what,
        f"within {_GROWTH_GOAL - 1:.0%}",
        f"{growth - 1:.0%}: {', '.join(f'{figure:.3g}' for figure in figures)} {unit}",
        growth <= _GROWTH_GOAL,
    )
