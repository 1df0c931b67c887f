"""The Dockerfile as text: the linter's verdict, and what no linter knows."""

import json
import re
import subprocess
import sysconfig
from fnmatch import fnmatch
from pathlib import Path
from typing import Final

import pytest

from exporter import __version__

ROOT: Final = Path(__file__).parent.parent
DOCKERFILE: Final = ROOT / "deploy/Dockerfile"


def instructions() -> list[tuple[str, str]]:
    """Read the instructions as pairs of word and rest, without comments and line ends."""
    text = DOCKERFILE.read_text(encoding="utf-8")
    joined = re.sub(r"\\\n\s*", "", re.sub(r"^#.*\n", "", text, flags=re.MULTILINE))
    return [(word, rest) for word, _, rest in (line.partition(" ") for line in joined.split("\n"))]


def only(word: str) -> str:
    (found,) = (rest for each, rest in instructions() if each == word)
    return found


def copied() -> list[str]:
    """Name what is taken from the checkout."""
    found = [rest.split() for word, rest in instructions() if word == "COPY"]
    return [source for words in found if not words[0].startswith("--from") for source in words[:-1]]


def test_the_linter_has_nothing_to_say() -> None:
    linter = Path(sysconfig.get_path("scripts"), "hadolint")
    told = subprocess.run((linter, DOCKERFILE), capture_output=True, text=True, check=False)  # noqa: S603 - of this environment
    assert (told.returncode, told.stdout) == (0, "")


def test_it_runs_as_nobody_in_particular_and_as_process_1_itself() -> None:
    assert re.fullmatch(r"[1-9]\d*:[1-9]\d*", only("USER"))
    assert json.loads(only("ENTRYPOINT")) == ["dli-exporter"]
    assert only("STOPSIGNAL") == "SIGTERM"
    assert not [rest for word, rest in instructions() if word in ("CMD", "HEALTHCHECK")]


def test_what_is_installed_has_a_hash_or_was_built_here() -> None:
    steps = [step for word, rest in instructions() if word == "RUN" for step in rest.split(" && ")]
    installed = [step for step in steps if " install " in step]
    assert len(installed) == 3
    assert all("--require-hashes" in step or "--no-index" in step for step in installed)


def test_builders_of_old_can_read_it() -> None:
    assert "syntax=" not in DOCKERFILE.read_text(encoding="utf-8")
    text = "\n".join(f"{word} {rest}" for word, rest in instructions())
    assert not re.findall(r"<<|--link|--exclude|--network|--parents", text)


def test_it_says_the_version_that_it_is_built_of() -> None:
    assert f'org.opencontainers.image.version="{__version__}"' in only("LABEL")


def test_the_base_can_be_another() -> None:
    arguments = [rest for word, rest in instructions() if word == "ARG"]
    assert arguments[:2] == ["BASE=python:3.13-slim", "BUILD_BASE=${BASE}"]
    bases = [rest for word, rest in instructions() if word == "FROM"]
    assert bases == ["${BUILD_BASE} AS build", "${BASE}"]


@pytest.mark.parametrize("source", copied())
def test_what_is_copied_is_there_and_sent_to_the_builder(source: str) -> None:
    lines = DOCKERFILE.with_suffix(".dockerignore").read_text(encoding="utf-8").split("\n")
    sent = [line.removeprefix("!") for line in lines if line.startswith("!")]
    assert "*" in lines
    assert any(fnmatch(source, pattern) for pattern in sent)
    if source == "exporter" and not (ROOT / source).is_dir():
        pytest.skip("the installed wheel is tested, and the tree is not here")
    assert (ROOT / source).exists()
