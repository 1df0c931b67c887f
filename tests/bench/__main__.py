"""``python -m tests.bench [--small]``: every goal but those of freshness, in one table.

It never fails on time: a figure is for people to look at, on a machine that they know.
"""

import argparse
import os
import platform
import sys
from collections.abc import Iterator
from operator import attrgetter

from . import footprint, growth, poll, scrape
from .table import Row, table


def main() -> None:
    """Measure everything and print the table."""
    parser = argparse.ArgumentParser(prog="python -m tests.bench", description="Measure the goals.")
    parser.add_argument("--small", action="store_true", help="take seconds: figures mean little")
    small = parser.parse_args().small
    print(f"{platform.python_implementation()} {platform.python_version()}, {os.cpu_count()} CPUs")
    for line in table(sorted(_rows(small), key=attrgetter("number"))):
        print(line)


def _rows(small: bool) -> Iterator[Row]:
    for topic in (scrape, poll, footprint, growth):
        print(f"measuring: {topic.__name__.rpartition('.')[2]}", file=sys.stderr, flush=True)
        yield from topic.rows(small=small)


if __name__ == "__main__":
    main()
