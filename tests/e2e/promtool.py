"""What promtool says about an exposition."""

import asyncio
from asyncio.subprocess import PIPE, STDOUT


async def lint(promtool: str, exposition: bytes) -> tuple[int | None, str]:
    """Run ``promtool check metrics``: its exit code, and all that it writes."""
    process = await asyncio.create_subprocess_exec(
        *(promtool, "check", "metrics"), stdin=PIPE, stdout=PIPE, stderr=STDOUT
    )
    out, _ = await process.communicate(exposition)
    return process.returncode, out.decode()
