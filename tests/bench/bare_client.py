"""The least that a poll could cost with aiohttp: the answers are read, and that is all.

``python -m tests.bench.bare_client ENDPOINT JOBS``: all jobs at once, over and over.
"""

import asyncio
import sys

from aiohttp import ClientSession


async def main(endpoint: str, jobs: int) -> None:
    """Ask until the process is ended."""
    async with ClientSession() as session:

        async def ask(number: int) -> None:
            job_id = f"{number:08x}-0000-0000-0000-000000000000"
            async with session.get(f"{endpoint}/v1/0/jobs/{job_id}/progress") as answer:
                await answer.read()

        while True:
            await asyncio.gather(*map(ask, range(jobs)))


if __name__ == "__main__":
    print(0, flush=True)  # where others of these programs say where they listen
    asyncio.run(main(sys.argv[1], int(sys.argv[2])))
