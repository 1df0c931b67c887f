"""P7 and P8: memory and start of an idle sidecar, beside its two libraries alone."""

import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from statistics import median
from typing import Final

from .programs import Program, dli, fetch, listening, resident_mib, sidecar
from .table import Row

_MEMORY_GOAL: Final = 1.10
_START_GOAL: Final = 1.20
_IDLE: Final = 0.5
"""Seconds from the first answer until a program counts as idle."""


def rows(*, small: bool) -> Iterator[Row]:
    """Start both in turns, and compare medians."""
    with dli() as address:
        programs: dict[str, Callable[[], AbstractContextManager[Program]]] = {
            "bare": lambda: listening("-m", "tests.bench.bare"),
            "sidecar": lambda: sidecar(address),
        }
        measured: dict[str, list[tuple[float, float]]] = {name: [] for name in programs}
        for _ in range(3 if small else 15):
            for name, program in programs.items():
                measured[name].append(_measured(program))
    seconds = {name: median(start for start, _ in each) for name, each in measured.items()}
    memory = {name: median(mib for _, mib in each) for name, each in measured.items()}
    yield _row("P7", "memory of an idle sidecar, of aiohttp and", memory, _MEMORY_GOAL, "MiB")
    yield _row("P8", "start to the first scrape, of aiohttp and", seconds, _START_GOAL, "s")


def _measured(program: Callable[[], AbstractContextManager[Program]]) -> tuple[float, float]:
    """Give the seconds to the first answer, and the MiB when all is quiet."""
    begin = time.monotonic()
    with program() as running:
        fetch(f"{running.url}/metrics")
        start = time.monotonic() - begin
        time.sleep(_IDLE)
        return start, resident_mib(running.pid)


def _row(number: str, what: str, figures: dict[str, float], goal: float, unit: str) -> Row:
    ratio = figures["sidecar"] / figures["bare"]
    return Row(
        number,
        f"{what} pydantic-settings alone",
        f"<= {goal:.0%}",
        f"{ratio:.0%}: {figures['sidecar']:.3g} of {figures['bare']:.3g} {unit}",
        ratio <= goal,
    )
