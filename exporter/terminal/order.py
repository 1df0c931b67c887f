"""What somebody at a terminal asks for: the arguments of ``watch`` and ``wait``."""

import argparse
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from ..jobs.model import JobKey
from ..settings import Duration, FlagParser, Settings, SettingsError, load, require_project
from .direct import keys, narrowed
from .fates import UnreadableId, Wanted
from .remote import Address, BadAddress

WAIT: Final = "wait"
ABOUT: Final = {
    "watch": "show how jobs get on; with IDs until they have ended",
    WAIT: "wait until jobs have ended; the exit code tells how",
}
"""The commands, and what each does."""

_EXIT_CODES: Final = """\
Exit codes: 0 all FINISHED; 1 one FAILED or was CANCELLED; 2 time-out; 3 nobody
could tell; 64 a mistake in flags or settings; 128 + N ended by signal N."""
_INTERVALS: Final = {"watch": Duration("5s"), WAIT: Duration("15s")}
"""Who looks at a screen wants to see something; who waits in a script shares the quota."""
_PATIENCE: Final = Duration("10m")
_DURATIONS: Final = ("interval", "timeout", "patience")


@dataclass(frozen=True, slots=True, kw_only=True)
class Order:
    """Which jobs somebody asks for, of whom, how often and for how long.

    ``exporter`` is None to ask DLI, where ``jobs`` says in which project each wanted job is.
    ``timeout`` (seconds) is None for ever; ``patience`` (seconds) is how long it is borne that
    nobody answers. Who ``waits`` gets lines and stays whether anybody reads them or not.
    """

    wanted: tuple[Wanted, ...]
    settings: Settings
    exporter: Address | None
    jobs: Mapping[Wanted, JobKey]
    ca_file: str | None
    interval: Duration
    timeout: float | None
    patience: float
    waits: bool
    quiet: bool


def read(word: str, argv: Sequence[str], environ: Mapping[str, str]) -> Order:
    """Read the arguments of a command; SettingsError with a line for each mistake."""
    given = _parser(word).parse(argv)
    try:
        wanted = tuple(dict.fromkeys(map(Wanted.read, given.ids)))
        address = Address.read(given.exporter, environ) if given.exporter is not None else None
    except UnreadableId as error:
        raise SettingsError([str(error)]) from None
    except BadAddress as error:
        raise SettingsError([f"--exporter: {error}"]) from None
    if word == WAIT and not wanted:
        raise SettingsError(["ID: is missing; needed: the id of each job to wait for"])
    ca_file = _ca_file(given, address)
    asked, timeout, patience = (_duration(given, name) for name in _DURATIONS)
    settings = load(given, environ, projects=address is None)
    interval = asked or _interval(word, settings)
    jobs: Mapping[Wanted, JobKey] = {}
    if address is None:
        jobs = _of_dli(settings, wanted)
        settings = narrowed(settings, jobs.values(), interval=interval, history=word != WAIT)
    return Order(
        wanted=wanted,
        settings=settings,
        exporter=address,
        jobs=jobs,
        ca_file=ca_file,
        interval=interval,
        timeout=timeout,
        patience=patience or _PATIENCE,
        waits=word == WAIT,
        quiet=word == WAIT and given.quiet,
    )


def _parser(word: str) -> FlagParser:
    ids, quiet = ("ID...", " [--quiet]") if word == WAIT else ("[ID...]", "")
    own = f"[--exporter URL [--ca-file FILE]] [--timeout DURATION]{quiet}"
    usage = f"%(prog)s {ids} {own}\n       [--interval DURATION] [--patience DURATION] [FLAG...]"
    parser = FlagParser(f"dli-exporter {word}", _description(word), usage)
    parser.epilog = f"{_EXIT_CODES}\n\n{parser.epilog}"
    parser.add_argument("ids", nargs="*", metavar="ID", help="a job's id, or PROJECT/ID")
    for name, (metavar, text) in _flags(word).items():
        parser.add_argument(f"--{name}", metavar=metavar, help=text)
    if word == WAIT:
        parser.add_argument("--quiet", action="store_true", help="Print nothing but troubles.")
    return parser


def _flags(word: str) -> Mapping[str, tuple[str, str]]:
    """Return the flags with a value that are no settings: what stands for it, and the help."""
    return {
        "exporter": (
            "URL",
            "Ask a running exporter instead of DLI. User and password for it may be in the URL,"
            " or in DLI_WATCH_USER and DLI_WATCH_PASSWORD.",
        ),
        "ca-file": ("FILE", "PEM file with the certificate authorities of the exporter."),
        "timeout": ("DURATION", "How long to wait at most."),
        "interval": (
            "DURATION",
            "How often to ask about each job. (default: poll.interval if that is set, else"
            f" {_INTERVALS[word]})",
        ),
        "patience": (
            "DURATION",
            f"How long to bear that nobody answers. (default: {_PATIENCE})",
        ),
    }


def _description(word: str) -> str:
    return f"{ABOUT[word][0].upper()}{ABOUT[word][1:]}."


def _of_dli(settings: Settings, wanted: Sequence[Wanted]) -> Mapping[Wanted, JobKey]:
    """Find out which jobs to ask DLI for; SettingsError if there are none."""
    require_project(settings)
    if wanted:
        return keys(wanted, settings.projects)
    if not any(each.jobs or each.discovery.enabled for each in settings.projects.values()):
        wrong = "ID: is missing, and no project has jobs or discovery.enabled"
        raise SettingsError([f"{wrong}; needed: one of them"])
    return {}


def _interval(word: str, settings: Settings) -> Duration:
    is_set = "interval" in settings.poll.model_fields_set
    return settings.poll.interval if is_set else _INTERVALS[word]


def _ca_file(given: argparse.Namespace, address: Address | None) -> str | None:
    if given.ca_file is not None and (address is None or not address.url.startswith("https:")):
        wrong = "goes with --exporter https://…; DLI's is ca_file of a project"
        raise SettingsError([f"--ca-file: {wrong}"])
    path: str | None = given.ca_file
    return path


def _duration(given: argparse.Namespace, name: str) -> Duration | None:
    text = getattr(given, name)
    if text is None:
        return None
    try:
        duration = Duration(text)
    except ValueError:
        duration = None
    if not duration:
        raise SettingsError([f"--{name}: must be a duration such as 30s, 10m or 1h30m, above 0s"])
    return duration
