"""Reading the finished runs of a project, from which the ends of running jobs are estimated."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Final

from .dli.client import DliClient
from .dli.errors import DliError
from .jobs.forecast import Forecast
from .sources.listing import Filters, finished
from .troubles import Troubles

_SHARE: Final = 0.05
"""Share of the project's quota that the past may cost."""
_PAGES: Final = 20
"""Pages of a hundred runs that are read at the start."""
_AGAIN: Final = 600.0
"""Seconds until the newest page is read again: not every run is one that was watched."""
_SUBJECT: Final = "history"


class Historian:
    """Tells the forecast of a project's finished runs, the newest first, page by page."""

    def __init__(
        self,
        project: str,
        client: DliClient,
        filters: Filters,
        *,
        forecast: Forecast,
        troubles: Troubles,
        requests_per_second: float,
        sleep: Callable[[float], Awaitable[object]] = asyncio.sleep,
    ) -> None:
        self._project = project
        self._client = client
        self._filters = filters
        self._forecast = forecast
        self._troubles = troubles
        self._pause = 1 / (_SHARE * requests_per_second)
        self._sleep = sleep

    async def run(self) -> None:
        """Read the past, and then what has come to it, for ever."""
        pages = _PAGES
        while True:
            if await self.read(pages):
                pages = 1
            await self._sleep(_AGAIN)

    async def read(self, pages: int) -> bool:
        """Read some pages; return whether that succeeded. Estimates do without, if it did not."""
        try:
            async for page in finished(self._client, self._filters, pages=pages):
                for row in page:
                    self._forecast.learn(self._project, row)
                await self._sleep(self._pause)
        except DliError as error:
            self._troubles.limping(_SUBJECT, error)
            return False
        self._troubles.works(_SUBJECT)
        return True
