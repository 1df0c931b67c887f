"""The command ``register``: write a file that tells an exporter beside us which job to watch.

It runs in other people's containers, once per job: it imports little, and starts fast.
"""

import argparse
import re
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Final, NoReturn

from .jobs.model import Registration
from .sources.files import WriteError, write_registration
from .sources.registration import RegistrationError, build

_PROG: Final = "dli-exporter register"
_VARIABLES: Final = ("DLI_EXPORTER_JOBS_DIR", "DLI_JOBS_DIR")
_UNITS: Final = {"y": 31_536_000, "w": 604_800, "d": 86_400, "h": 3_600, "m": 60, "s": 1}
_DURATION: Final = re.compile("".join(f"(?:([0-9]{{1,9}}){unit})?" for unit in _UNITS))


class UsageError(Exception):
    """The command was called in a wrong way; ``str()`` is the one line to show."""


class _Parser(argparse.ArgumentParser):
    def error(self, message: str) -> NoReturn:
        """Raise what argparse would print below the usage."""
        raise UsageError(message)


def main(argv: Sequence[str], environ: Mapping[str, str], now: float) -> int:
    """Write the registration that *argv* asks for, and return the exit code: 0, or 2 on mistakes.

    ``now`` is in Unix seconds. A mistake is one line on standard error; success is silent.
    """
    try:
        arguments = _arguments(argv)
        registration = _registration(arguments, now)
        write_registration(_directory(arguments.jobs_dir, environ), registration)
    except (UsageError, WriteError) as error:
        print(f"{_PROG}: {error}", file=sys.stderr)  # noqa: T201 - for whoever called it
        return 2
    return 0


def deadline(text: str, now: float) -> float | str:
    """Read a duration from now such as ``2h``, or Unix seconds; other text is given back."""
    if re.fullmatch("[0-9]{1,18}", text):
        return float(text)
    found = _DURATION.fullmatch(text)
    if not found or not text:
        return text
    numbers = zip(found.groups(default="0"), _UNITS.values(), strict=True)
    return now + sum(int(number) * seconds for number, seconds in numbers)


def _arguments(argv: Sequence[str]) -> argparse.Namespace:
    parser = _Parser(
        prog=_PROG,
        description="Tell an exporter that reads the same directory which job to watch.",
        allow_abbrev=False,
    )
    parser.add_argument("job_id", metavar="JOB_ID", help="the id that DLI gave the job")
    parser.add_argument("--name", help="what to call the job: the label `name`")
    parser.add_argument(
        "--deadline",
        metavar="WHEN",
        help="when it has to have ended: 2h from now, 2026-11-20T06:00:00Z, or Unix seconds",
    )
    parser.add_argument("--project", help="the project's name in the exporter's settings")
    parser.add_argument(
        "--jobs-dir",
        metavar="DIR",
        help=f"the directory; else what {' or '.join(_VARIABLES)} says",
    )
    found, rest = parser.parse_known_args(argv)
    if rest:
        raise UsageError("unexpected argument; see --help")
    return found


def _registration(arguments: argparse.Namespace, now: float) -> Registration:
    given: dict[str, Any] = {
        key: getattr(arguments, key) for key in ("job_id", "name", "deadline", "project")
    }
    if arguments.deadline is not None:
        given["deadline"] = deadline(arguments.deadline, now)
    try:
        return build(given)
    except RegistrationError as error:
        raise UsageError(_as_argument(str(error))) from None


def _as_argument(line: str) -> str:
    key, _, wrong = line.partition(": ")
    if key == "deadline":
        wrong = "must be a duration such as 2h, Unix seconds, or such as 2026-11-20T06:00:00Z"
    return f"{'JOB_ID' if key == 'job_id' else f'--{key}'}: {wrong}"


def _directory(flag: str | None, environ: Mapping[str, str]) -> Path:
    for given in (flag, *map(environ.get, _VARIABLES)):
        if given:
            return Path(given)
    raise UsageError(f"no directory to write in; give --jobs-dir, or set {_VARIABLES[-1]}")
