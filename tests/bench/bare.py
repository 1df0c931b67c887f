"""The least that the exporter could be made of: its two libraries, imported, and one answer."""

import asyncio

import pydantic_settings  # noqa: F401 - imported for what it costs
from aiohttp import ClientSession, web


async def main() -> None:
    """Serve until the process is ended."""
    app = web.Application()

    async def answer(_: web.Request) -> web.Response:
        return web.Response(text="ok")

    app.router.add_get("/metrics", answer)
    runner = web.AppRunner(app, access_log=None)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    async with ClientSession():
        print(runner.addresses[0][1], flush=True)
        await asyncio.Event().wait()


if __name__ == "__main__":
    asyncio.run(main())
