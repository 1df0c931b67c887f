"""P4: what one poll costs, all in, beside the script that a user would write."""

import time
from collections.abc import Iterator, Mapping
from contextlib import ExitStack
from statistics import median
from typing import Final

from .programs import (
    Program,
    asked,
    cpu_seconds,
    dli,
    exporter,
    listening,
    wait_until_asked,
)
from .table import Row

_GOAL: Final = 0.20
_SETTLING: Final = 0.5
"""Seconds after a pause until a program runs as before."""


def rows(*, small: bool) -> Iterator[Row]:
    """Compare the CPU time of a poll."""
    jobs, seconds, rounds = (50, 0.5, 2) if small else (1_000, 2.0, 5)
    with ExitStack() as stack:
        address = stack.enter_context(dli())
        script = listening("tests/bench/user_script.py", address, str(jobs), "0")
        bare = listening("-m", "tests.bench.bare_client", address, str(jobs))
        programs = {
            "script": stack.enter_context(script),
            "bare": stack.enter_context(bare),
            "exporter": stack.enter_context(exporter(address, jobs=jobs, interval="10ms")),
        }
        cost = cpu_per_poll(address, programs, jobs=jobs, seconds=seconds, rounds=rounds)
    ratio = cost["exporter"] / cost["script"]
    yield Row(
        "P4",
        "CPU of one poll, all in, of the script's",
        f"<= {_GOAL:.0%}",
        f"{ratio:.0%}: {cost['exporter']:.0f} of {cost['script']:.0f} µs"
        f" (bare aiohttp: {cost['bare']:.0f})",
        ratio <= _GOAL,
    )


def cpu_per_poll(
    address: str, programs: Mapping[str, Program], *, jobs: int, seconds: float, rounds: int
) -> dict[str, float]:
    """Measure programs in turns, each alone; give the median microseconds of CPU a poll.

    ``jobs`` is the largest number of jobs of one of them: before it counts, each has been
    asked about all of its jobs often enough to have settled.
    """
    costs: dict[str, list[float]] = {name: [] for name in programs}
    for program in programs.values():
        program.pause()
    for program in programs.values():
        program.go_on()
        wait_until_asked(address, asked(address) + 2 * jobs)
        program.pause()
    for _ in range(rounds):
        for name, program in programs.items():
            program.go_on()
            time.sleep(_SETTLING)
            before, cpu = asked(address), cpu_seconds(program.pid)
            time.sleep(seconds)
            polls = asked(address) - before
            costs[name].append((cpu_seconds(program.pid) - cpu) / polls * 1e6)
            program.pause()
    return {name: median(measured) for name, measured in costs.items()}
