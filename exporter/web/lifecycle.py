"""``POST /-/reload``: read the settings again, as SIGHUP does."""

from collections.abc import Awaitable, Callable
from typing import Final, NamedTuple

from aiohttp import web

_OFF: Final = "lifecycle endpoints are off; web.enable_lifecycle: true turns them on\n"


class Lifecycle(NamedTuple):
    """What acts on the exporter: ``reload`` returns what is wrong, a line a mistake."""

    enabled: Callable[[], bool]
    reload: Callable[[], Awaitable[tuple[str, ...]]]


def add_lifecycle(app: web.Application, lifecycle: Lifecycle) -> None:
    """Add the endpoint to an application."""

    async def reload(_: web.Request) -> web.Response:
        if not lifecycle.enabled():
            return web.Response(status=403, text=_OFF)
        mistakes = await lifecycle.reload()
        if mistakes:
            # The mistakes name settings, never their values.
            lines = "".join(f"{mistake}\n" for mistake in mistakes)
            return web.Response(status=500, text=f"settings not reloaded:\n{lines}")
        return web.Response(text="settings reloaded\n")

    app.router.add_post("/-/reload", reload)
