"""Images built and containers run for a test, by podman and buildah."""

import hashlib
import os
import subprocess
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Final
from uuid import uuid4

from .processes import Process, running

ROOT: Final = Path(__file__).parents[2]
STANDIN: Final = ROOT / "deploy/image/standin"
PROGRAMS: Final = ("podman", "buildah", "mmdebstrap", "runc", "catatonit", "iptables")
"""What the images and containers of the tests need."""

IMAGE: Final = "localhost/dli-exporter:e2e"
BASE: Final = "localhost/dli-exporter-standin"
"""Instead of ``python:3.13-slim``; its tag is a digest of how it is made."""

_QUICKLY: Final = "0"


def environment() -> dict[str, str]:
    """Give the variables for podman and buildah: ours, and how to be content with little."""
    return {**os.environ, "CONTAINERS_CONF": str(ROOT / "deploy/image/containers.conf")}


def base() -> str:
    """Make the base image, unless an earlier run has made the same, and give its name."""
    tag = f"{BASE}:{hashlib.sha256(STANDIN.read_bytes()).hexdigest()[:12]}"
    known = subprocess.run(("podman", "image", "exists", tag), check=False, env=environment())
    if known.returncode:
        _done(str(STANDIN), tag)
    return tag


def image() -> str:
    """Build the image of this checkout, and give its name."""
    _done(str(ROOT / "deploy/image/build"), IMAGE, "--build-arg", f"BASE={base()}")
    return IMAGE


def build(tag: str, recipe: Path, context: Path) -> str:
    """Build an image that only a test needs, and give its name."""
    isolation = ("--isolation", "chroot", "--layers")
    _done("buildah", "bud", *isolation, "--file", str(recipe), "--tag", tag, str(context))
    return tag


@dataclass(frozen=True)
class Container:
    """A container that runs in the foreground of its process."""

    name: str
    process: Process

    async def inspect(self, template: str) -> str:
        """Ask podman about it, with a Go template."""
        return await podman("inspect", "--format", template, self.name)

    async def run(self, *command: str) -> str:
        """Run another program inside; give what it prints, fail if it fails."""
        return await podman("exec", self.name, *command)

    async def python(self, code: str) -> str:
        """Run Python code inside."""
        return await self.run("python", "-c", code)

    async def stop(self, patience: int) -> int:
        """Let podman end it, with force after so many seconds; give its exit code."""
        await podman("stop", "--time", str(patience), self.name)
        return await self.process.ended()


@asynccontextmanager
async def container(*arguments: str, cwd: Path) -> AsyncIterator[Container]:
    """Run ``podman run`` with these arguments as long as the block lasts."""
    name = _name()
    command = ("podman", "run", "--name", name, *arguments)
    async with running(*command, cwd=cwd, env=environment()) as process:
        try:
            yield Container(name, process)
        finally:
            await podman("rm", "--force", "--ignore", "--time", _QUICKLY, name)


async def answer(*arguments: str) -> str:
    """Run a command of podman that may fail, and give what it says in any way."""
    async with running("podman", *arguments, cwd=ROOT, env=environment()) as process:
        await process.ended()
        return process.out + process.err


@contextmanager
def detached(*arguments: str) -> Iterator[str]:
    """Run a container in the background as long as the block lasts, and give its name."""
    name = _name()
    try:
        _done("podman", "run", "--detach", "--name", name, *arguments)
        yield name
    finally:
        _done("podman", "rm", "--force", "--ignore", "--time", _QUICKLY, name)


async def podman(*arguments: str) -> str:
    """Run a command of podman and give what it prints; fail if it fails."""
    async with running("podman", *arguments, cwd=ROOT, env=environment()) as process:
        assert await process.ended() == 0, process.report()
        return process.out


def _name() -> str:
    return f"dli-exporter-e2e-{uuid4().hex[:12]}"


def _done(*command: str) -> None:
    """Run a command to its end, outside of any event loop; fail if it fails."""
    ended = subprocess.run(
        command, cwd=ROOT, env=environment(), capture_output=True, text=True, check=False
    )
    assert ended.returncode == 0, f"$ {' '.join(command)}\n{ended.stdout}{ended.stderr}"
