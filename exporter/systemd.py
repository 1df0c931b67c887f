"""What systemd is told of the exporter: that it serves, reloads, stops and lives (sd_notify(3))."""

import asyncio
import logging
import socket
from collections.abc import Callable, Mapping
from typing import Final, NamedTuple

from .logs import fields

log = logging.getLogger(__name__)

_PINGS: Final = 3
"""Signs of life in the time in which systemd wants one: a late one may be missed."""
_MICROSECONDS: Final = 1_000_000


class ServiceManager(NamedTuple):
    """The service manager that started the exporter, or nobody: then nothing is sent.

    A message that does not arrive is a warning in the log and no more: systemd acts on its own
    if it hears nothing.
    """

    address: str | None = None
    """Path of the datagram socket where it listens; ``@`` begins an abstract name."""
    watchdog: float | None = None
    """Seconds within which it wants a sign of life; None if it does not."""

    def ready(self, status: str) -> None:
        """Tell that a start or a reload is over; ``status`` is a line for people."""
        self._notify("READY=1", f"STATUS={status}")

    def reloading(self, monotonic: float) -> None:
        """Tell that a reload begins now, by CLOCK_MONOTONIC: ``Type=notify-reload`` compares."""
        self._notify("RELOADING=1", f"MONOTONIC_USEC={monotonic * _MICROSECONDS:.0f}")

    def stopping(self, status: str) -> None:
        """Tell that the end begins; ``status`` is a line for people."""
        self._notify("STOPPING=1", f"STATUS={status}")

    async def watch(self, healthy: Callable[[], bool]) -> None:
        """Give signs of life while ``healthy``, until cancelled; return if none is wanted."""
        if self.watchdog is None:
            return
        while True:
            if healthy():
                self._notify("WATCHDOG=1")
            await asyncio.sleep(self.watchdog / _PINGS)

    def _notify(self, *assignments: str) -> None:
        if self.address is None:
            return
        abstract = self.address.startswith("@")
        try:
            with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as sender:
                sender.setblocking(False)  # nobody may hold up the event loop
                sender.connect(f"\0{self.address[1:]}" if abstract else self.address)
                sender.send("\n".join(assignments).encode())
        except OSError as error:
            log.warning("systemd not told", extra=fields(error=error))


NOBODY: Final = ServiceManager()
"""For an exporter that a shell or a container engine has started."""


def service_manager(variables: Mapping[str, str], pid: int) -> ServiceManager:
    """Find the service manager by the variables that it sets for the process ``pid``."""
    watched = variables.get("WATCHDOG_PID", str(pid)) == str(pid)
    interval = variables.get("WATCHDOG_USEC", "") if watched else ""
    return ServiceManager(
        variables.get("NOTIFY_SOCKET") or None,
        int(interval) / _MICROSECONDS if interval.isdecimal() and int(interval) else None,
    )
