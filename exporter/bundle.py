"""The command ``dashboards``: write dashboards, rules and what goes with them into a directory."""

import argparse
import os
import re
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from types import MappingProxyType
from typing import Final, NoReturn

_PROG: Final = "dli-exporter dashboards"
_PACKED: Final = "bundled"
"""The directory of the package in which a wheel has the files, as a checkout has them."""

FILES: Final[Mapping[str, str]] = MappingProxyType(
    {
        "dashboards/dli-jobs.json": "grafana/dashboards/dli-jobs.json",
        "dashboards/dli-job.json": "grafana/dashboards/dli-job.json",
        "dashboards/dli-exporter.json": "grafana/dashboards/dli-exporter.json",
        "mixin.libsonnet": "grafana/mixin.libsonnet",
        "prometheus/alerts.yml": "deploy/prometheus/alerts.yml",
        "prometheus/rules.yml": "deploy/prometheus/rules.yml",
        "provisioning/dashboards/dli.yml": "grafana/provisioning/dashboards/dli.yml",
        "provisioning/datasources/dli.yml": "grafana/provisioning/datasources/dli.yml",
        "runbooks.md": "deploy/prometheus/runbooks.md",
    }
)
"""What is written, and where a checkout has it."""

GRAFANA_URL: Final = "https://grafana.example.com"
"""Where the links of the alerts to dashboards lead unless somebody says otherwise."""
RUNBOOKS_URL: Final = (
    "https://github.com/dli-exporter/dli-exporter/blob/main/deploy/prometheus/runbooks.md"
)
"""Where the links of the alerts to runbooks lead unless somebody says otherwise."""

_URL: Final = re.compile(r"https?://[\w.~:/?@!$&*+,;=%-]+", re.ASCII)
"""What can stand in YAML without quotation marks, and in a template of Prometheus."""


class UsageError(Exception):
    """The command cannot do what it was called for; ``str()`` is the one line to show."""


class _Parser(argparse.ArgumentParser):
    def error(self, message: str) -> NoReturn:
        """Raise what argparse would print below the usage."""
        raise UsageError(message)


def main(argv: Sequence[str]) -> int:
    """Write the bundle that *argv* asks for, and return the exit code: 0, or 2 on mistakes.

    A mistake is one line on standard error; success is silent. Files that are there already
    are replaced, each at one moment; others are left alone.
    """
    try:
        arguments = _arguments(argv)
        write(
            Path(arguments.out),
            grafana_url=_url("--grafana.url", arguments.grafana_url),
            runbooks_url=_url("--runbooks.url", arguments.runbooks_url),
        )
    except UsageError as error:
        print(f"{_PROG}: {error}", file=sys.stderr)  # noqa: T201 - for whoever called it
        return 2
    return 0


def write(directory: Path, *, grafana_url: str, runbooks_url: str) -> None:
    """Write all files, with alerts that link to these addresses; UsageError if that fails."""
    for name, content in contents(grafana_url=grafana_url, runbooks_url=runbooks_url):
        try:
            _replace(directory / name, content)
        except OSError as error:
            raise UsageError(f"--out: cannot write {directory / name}: {error.strerror}") from None


def contents(*, grafana_url: str, runbooks_url: str) -> Iterator[tuple[str, str]]:
    """Yield the name of every file and what is in it; UsageError for a broken installation."""
    for name in FILES:
        try:
            text = _source(name).read_text(encoding="utf-8")
        except OSError:
            raise UsageError(f"{name} is missing in this installation") from None
        if name == "prometheus/alerts.yml":
            text = text.replace(GRAFANA_URL, grafana_url).replace(RUNBOOKS_URL, runbooks_url)
        yield name, text


def _source(name: str) -> Path:
    package = Path(__file__).parent
    packed = package / _PACKED
    return (packed if packed.is_dir() else package.parent) / FILES[name]


def _replace(path: Path, content: str) -> None:
    """Write a file at one moment, so that nobody who reads it meanwhile sees half of it."""
    path.parent.mkdir(parents=True, exist_ok=True)
    unfinished = path.with_name(f".{path.name}.{os.urandom(8).hex()}.tmp")
    try:
        unfinished.write_text(content, encoding="utf-8")
        unfinished.replace(path)
    finally:
        with suppress(OSError):
            unfinished.unlink()


def _url(flag: str, given: str) -> str:
    """Return an address without a slash at its end; UsageError if it is none."""
    # A path goes behind Grafana's address, so nothing that ends an address may be in it.
    if not _URL.fullmatch(given) or (flag == "--grafana.url" and "?" in given):
        raise UsageError(f"{flag}: must be an address such as {GRAFANA_URL}")
    return given.rstrip("/")


def _arguments(argv: Sequence[str]) -> argparse.Namespace:
    parser = _Parser(
        prog=_PROG,
        description="Write Grafana dashboards, Prometheus rules and their runbooks.",
        allow_abbrev=False,
    )
    parser.add_argument("--out", metavar="DIR", required=True, help="where to write them")
    parser.add_argument(
        "--grafana.url",
        metavar="URL",
        dest="grafana_url",
        default=GRAFANA_URL,
        help=f"where Grafana is, for the links in alerts (default: {GRAFANA_URL})",
    )
    parser.add_argument(
        "--runbooks.url",
        metavar="URL",
        dest="runbooks_url",
        default=RUNBOOKS_URL,
        help=f"where runbooks.md can be read (default: {RUNBOOKS_URL})",
    )
    found, rest = parser.parse_known_args(argv)
    if rest:
        raise UsageError("unexpected argument; see --help")
    return found
