"""What is new about a job in a line that suits logs: plain text, and nothing but what changed."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from math import floor
from typing import Final

from ..jobs.model import JobStatus
from .fates import Fate, Outcome, Wanted, outcome
from .state import JobState
from .words import duration, moment, share


@dataclass(frozen=True, slots=True)
class Told:
    """What was said of a job already: ``tenths`` of its way, and task attempts that failed."""

    word: str
    tenths: int = 0
    failed: int = 0


def news(fate: Fate, told: Told | None, now: float) -> tuple[Told | None, str | None]:
    """Return what has been told after ``now`` (Unix seconds), and the line that tells it.

    A status is news, and so is each tenth of the way, and tasks that failed. A job that was not
    asked for as yet is none.
    """
    if fate.lost is None and (fate.job is None or fate.job.status is None):
        return told, None
    if fate.ended is not None and not fate.over:
        return told, None  # in a moment the list will tell when it ended
    telling = _telling(fate, told)
    if telling == told:
        return told, None
    return telling, f"{moment(now)} {label(fate)}: {_about(fate, now)}"


def label(fate: Fate) -> str:
    """Name a job: its id, with its project if that is not the default one, and its name."""
    if fate.job is None:
        return str(fate.wanted)
    shown = str(Wanted(fate.job.job_id, fate.job.project))
    return f"{shown} ({fate.job.name})" if fate.job.name else shown


def last_line(fates: Sequence[Fate], waited: float) -> str:
    """Sum up how it went after so many seconds; the first word is for programs."""
    word = _WORDS[outcome(fates)]
    if len(fates) == 1:
        (fate,) = fates
        word = fate.word if fate.job is not None and fate.job.ended else word
        return f"{word}: {label(fate)}{_after(fate)}, waited {duration(waited)}"
    counts = sorted(Counter(fate.word for fate in fates).items())
    summed = ", ".join(f"{count} {status}" for status, count in counts)
    return f"{word}: {summed}, waited {duration(waited)}"


_WORDS: Final = {
    Outcome.FINISHED: "FINISHED",
    Outcome.FAILED: "FAILED",
    Outcome.TIMED_OUT: "TIMED OUT",
    Outcome.UNKNOWN: "UNKNOWN",
}


def _telling(fate: Fate, told: Told | None) -> Told:
    """Return what will have been told; a way that got longer again is told no second time."""
    job, before = fate.job, told or Told("")
    ratio = (job and job.ratio) or 0.0
    failed = (job and job.tasks_failed) or 0
    return Told(fate.word, max(floor(ratio * 10), before.tenths), max(failed, before.failed))


def _about(fate: Fate, now: float) -> str:
    if fate.lost is not None:
        return f"{fate.word}, {fate.lost}"
    assert fate.job is not None  # noqa: S101 - news has looked
    if fate.job.ended:
        return fate.word + _after(fate) + _failures(fate.job)
    facts = [fate.word]
    if fate.job.ratio is not None and fate.job.status is not JobStatus.LAUNCHING:
        facts.append(share(fate.job.ratio))
    if fate.job.expected_end is not None and fate.job.expected_end > now:
        facts.append(f"ends about {moment(fate.job.expected_end)}")
    return ", ".join(facts) + _failures(fate.job)


def _after(fate: Fate) -> str:
    took = fate.job.took if fate.job is not None else None
    return "" if took is None else f" after {duration(took)}"


def _failures(job: JobState) -> str:
    if not job.tasks_failed:
        return ""
    return f", {job.tasks_failed} task{'s' if job.tasks_failed > 1 else ''} failed"
