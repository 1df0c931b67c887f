"""Jobs as bars that keep up to date, in a terminal."""

from collections.abc import Mapping, Sequence
from types import TracebackType
from typing import Final, Self

from rich.console import Console
from rich.live import Live

from .fates import Fate, Look
from .fit import Row, ordered
from .pace import Pace
from .picture import Frame, picture
from .state import JobState


class Bars:
    """Draws all jobs again and again in the same place, and leaves the last picture."""

    lost: Final = False

    def __init__(self, console: Console, *, named: bool, errors: bool) -> None:
        """Take where to draw; jobs that were ``named`` stay in their order, and all are shown.

        With ``errors`` what comes on standard error is shown above the picture.
        """
        self._console = console
        self._named = named
        self._paces: Mapping[tuple[str, str], Pace] = {}
        self._live = Live(
            console=console, auto_refresh=False, redirect_stdout=False, redirect_stderr=errors
        )

    def __enter__(self) -> Self:
        self._live.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        """Leave the last picture, and the cursor below it."""
        self._live.stop()

    def show(self, fates: Sequence[Fate], look: Look, now: float) -> None:
        """Draw how it is at ``now`` (Unix seconds)."""
        self._draw(fates, look, now, self._console.size.height - 1)

    def close(self, fates: Sequence[Fate], look: Look, now: float, waited: float) -> None:
        """Draw for the last time: all that was named, even what did not fit."""
        self._draw(fates, look, now, None if self._named else self._console.size.height - 1)

    def _draw(self, fates: Sequence[Fate], look: Look, now: float, lines: int | None) -> None:
        frame = Frame(
            width=self._console.size.width,
            lines=lines,
            now=now,
            ascii=self._console.options.ascii_only,
        )
        drawn = picture(self._rows(fates), frame, look.troubles)
        self._live.update(drawn, refresh=lines is not None)

    def _rows(self, fates: Sequence[Fate]) -> list[Row]:
        jobs = {_key(job): job for job in map(_job, fates)}
        self._paces = {
            key: self._paces.get(key, Pace()).seen(job.last_update, job.indices_completed)
            for key, job in jobs.items()
        }
        lost = {_key(_job(fate)): fate.lost for fate in fates}
        shown = jobs.values() if self._named else ordered(jobs.values())
        return [Row(job, self._speed(job), lost[_key(job)]) for job in shown]

    def _speed(self, job: JobState) -> float | None:
        """Return the speed of the last minute; before there is one, that of what runs."""
        speed = self._paces[_key(job)].per_second
        return job.indices_per_second if speed is None else speed


def _job(fate: Fate) -> JobState:
    if fate.job is not None:
        return fate.job
    return JobState(project=fate.wanted.project or "default", job_id=fate.wanted.job_id)


def _key(job: JobState) -> tuple[str, str]:
    return job.project, job.job_id
