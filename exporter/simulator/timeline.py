"""Recorded jobs: what the progress API would have answered, moment by moment.

A file holds one JSON object a line, gzip: ``{"t": seconds since the launch, "response": body}``.
"""

import gzip
import json
import math
import zlib
from bisect import bisect_right
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from importlib import resources
from pathlib import Path
from typing import Any, Final

from .javadate import format_java_date, parse_java_date

SUFFIX: Final = ".jsonl.gz"
TERMINAL: Final = frozenset({"FINISHED", "FAILED", "CANCELLED"})
_TIMES: Final = ("submission_time", "completion_time")

Json = Mapping[str, Any]


class TimelineError(ValueError):
    """A timeline that cannot be replayed; the message is one line: where, and what is wrong."""


@dataclass(frozen=True, slots=True, eq=False)
class Timeline:
    """A recording, ready to be replayed.

    ``times`` are seconds since the job's launch and belong to ``responses``, pairwise;
    ``origin`` is the launch on the recording's own clock (Unix seconds), found from the
    sub-jobs' times; ``completed`` counts the tasks completed so far in all sub-jobs.
    """

    name: str
    times: tuple[float, ...] = field(repr=False)
    responses: tuple[Json, ...] = field(repr=False)
    origin: float
    completed: tuple[int, ...] = field(repr=False)

    @property
    def job_id(self) -> str:
        """The id that the job had when it was recorded."""
        return str(self.responses[0]["job_id"])

    @property
    def duration(self) -> float:
        """Seconds from the launch to the last recorded answer."""
        return self.times[-1]

    @property
    def outcome(self) -> str:
        """The status that the recording ends with."""
        return str(self.responses[-1]["status"])

    def index_at(self, t: float) -> int:
        """Which answer holds ``t`` seconds after the launch; the first one before it."""
        return max(0, bisect_right(self.times, t) - 1)

    def response_at(self, t: float) -> Json:
        """Give the answer ``t`` seconds after the launch, as it was recorded."""
        return self.responses[self.index_at(t)]

    def replay(self, index: int, job_id: str, start: float, speed: float) -> dict[str, Any]:
        """Rewrite an answer for a job ``job_id`` launched at ``start``, at ``speed``.

        The recorded id is replaced wherever it stands, and every time is moved to where the
        replay's clock was when the same thing happened again.
        """
        response = dict(self.responses[index])
        response["job_id"] = job_id

        def moved(moment: str) -> str:
            shifted = start + max(0.0, parse_java_date(moment) - self.origin) / speed
            return format_java_date(shifted)

        if "sub_jobs" in response:
            rows = response["sub_jobs"] or ()
            response["sub_jobs"] = [_rewritten(row, self.job_id, job_id, moved) for row in rows]
        return response


def read_timelines(directory: Path) -> tuple[Timeline, ...]:
    """Read every ``*.jsonl.gz`` of a directory, by name.

    TimelineError names the file, the line and the mistake, or the directory that holds none.
    """
    if not directory.is_dir():
        raise TimelineError(f"{directory}: not a directory")
    paths = sorted(path for path in directory.iterdir() if path.name.endswith(SUFFIX))
    if not paths:
        raise TimelineError(f"{directory}: holds no timeline, a file named *{SUFFIX}")
    return tuple(read_timeline(path) for path in paths)


def shipped_timelines() -> tuple[Timeline, ...]:
    """Read the recordings of real Spark applications that come with the package."""
    with resources.as_file(resources.files(__package__).joinpath("recordings")) as directory:
        return read_timelines(directory)


def read_timeline(path: Path) -> Timeline:
    """Read one file; TimelineError names it, the line and the mistake."""
    return parse_timeline(path.name.removesuffix(SUFFIX), _lines(path), str(path))


def parse_timeline(name: str, lines: Iterable[str], where: str = "timeline") -> Timeline:
    """Make a timeline of JSON lines; TimelineError names ``where``, the line and the mistake."""
    times: list[float] = []
    responses: list[Json] = []
    bounds: list[float] = []
    for number, line in enumerate(lines, 1):
        try:
            t, response = _moment(line, times[-1] if times else 0.0)
            if responses and response["job_id"] != responses[0]["job_id"]:
                raise ValueError(f"response.job_id {response['job_id']!r} differs from line 1's")
            bounds += [parse_java_date(text) - t for text in _moments(response)]
        except ValueError as error:
            raise TimelineError(f"{where}:{number}: {error}") from None
        times.append(t)
        responses.append(response)
    if not responses:
        raise TimelineError(f"{where}: holds no line")
    # What happened at S was seen at t at the latest, so the launch was no earlier than S - t.
    return Timeline(
        name, tuple(times), tuple(responses), max(bounds, default=0.0), _work(responses)
    )


def _lines(path: Path) -> Iterator[str]:
    """Yield a file's lines, and turn what breaks on the way into a TimelineError."""
    number = 0
    try:
        with gzip.open(path, "rt", encoding="utf-8") as file:
            for number, line in enumerate(file, 1):  # noqa: B007 - the error's line is the next
                yield line
    except (OSError, EOFError, zlib.error, UnicodeDecodeError) as error:
        raise TimelineError(f"{path}:{number + 1}: cannot be read as gzip: {error}") from None


def _moment(line: str, previous: float) -> tuple[float, Json]:
    try:
        entry = json.loads(line)
    except ValueError as error:
        raise ValueError(f"not JSON: {error}") from None
    if not isinstance(entry, dict) or entry.keys() != {"t", "response"}:
        raise ValueError('not an object of "t" and "response"')
    return _time(entry["t"], previous), _response(entry["response"])


def _time(t: object, previous: float) -> float:
    if isinstance(t, bool) or not isinstance(t, int | float) or not math.isfinite(t):
        raise ValueError(f"t is {t!r}, not a number of seconds")
    if t < previous:
        raise ValueError(f"t is {t}, before {previous}")
    return float(t)


def _response(response: object) -> Json:
    if not isinstance(response, dict):
        raise ValueError("response is not an object")
    for key in ("job_id", "status"):
        if not isinstance(response.get(key), str) or not response[key]:
            raise ValueError(f"response.{key} is {response.get(key)!r}, not a text")
    rows = response.get("sub_jobs") or []
    if not isinstance(rows, list) or not all(isinstance(row, dict) for row in rows):
        raise ValueError("response.sub_jobs is not an array of objects")
    return response


def _moments(response: Json) -> Iterator[str]:
    for row in response.get("sub_jobs") or ():
        yield from (str(row[key]) for key in _TIMES if row.get(key))


def _work(responses: Iterable[Json]) -> tuple[int, ...]:
    """Sum the completed tasks up to each answer, over all sub-jobs at their last sight."""
    seen: dict[object, int] = {}
    totals = []
    for response in responses:
        for row in response.get("sub_jobs") or ():
            count = row.get("num_completed_tasks")
            seen[row.get("id")] = count if isinstance(count, int) else 0
        totals.append(sum(seen.values()))
    return tuple(totals)


def _rewritten(row: Json, old: str, new: str, moved: Callable[[str], str]) -> dict[str, Any]:
    copy = dict(row)
    if copy.get("job_group") == old:  # other groups exist: Spark 3.3 runs broadcasts in their own
        copy["job_group"] = new
    copy.update((key, moved(copy[key])) for key in _TIMES if copy.get(key))
    if reasons := copy.get("killed_tasks_summary"):
        copy["killed_tasks_summary"] = {key.replace(old, new): n for key, n in reasons.items()}
    return copy
