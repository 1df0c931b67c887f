"""Why Spark killed tasks: its free text, mapped to a bounded set of reasons."""

import re
from collections.abc import Mapping
from functools import lru_cache
from types import MappingProxyType
from typing import Final

from ..jobs.model import KillReason

_REMEMBERED: Final = 512
"""Summaries whose sums are remembered: of few texts and small figures, they come again."""
_LONGEST_REMEMBERED: Final = 256
"""Longer texts, in characters, are not remembered: above all stack traces."""
_NOBODY: Final[Mapping[KillReason, int]] = MappingProxyType({})

# Spark's texts for killed tasks (TaskSetManager, DAGScheduler, YarnAllocator, recordings
# of Spark 3.3 to 4.3). Anything else, above all a stack trace, is "other".
_KILL_REASONS: Final = (
    (re.compile(r"another attempt succeeded", re.IGNORECASE), KillReason.SPECULATION),
    (re.compile(r"stage finished", re.IGNORECASE), KillReason.STAGE_FINISHED),
    (re.compile(r"preempt", re.IGNORECASE), KillReason.PREEMPTED),
    (
        re.compile(
            r"(executor|worker|slave|host) ?(lost|decommission)|lost executor", re.IGNORECASE
        ),
        KillReason.EXECUTOR_LOST,
    ),
    (
        re.compile(r"job (\S+ )?cancelled|SPARK_JOB_CANCELLED|cancelled job group", re.IGNORECASE),
        KillReason.JOB_CANCELLED,
    ),
    (re.compile(r"stage (\S+ )?cancelled", re.IGNORECASE), KillReason.STAGE_CANCELLED),
)


def kill_reason(text: str) -> KillReason:
    """Map Spark's free text to the reason that it stands for."""
    if "\n" in text.strip():
        return KillReason.OTHER
    return next((kind for known, kind in _KILL_REASONS if known.search(text)), KillReason.OTHER)


def by_reason(summary: Mapping[str, int]) -> Mapping[KillReason, int]:
    """Sum up how many were killed by the reasons that the texts stand for."""
    if not summary:
        return _NOBODY
    items = tuple(summary.items())
    return (_remembered if sum(map(len, summary)) <= _LONGEST_REMEMBERED else _by_reason)(items)


def _by_reason(items: tuple[tuple[str, int], ...]) -> Mapping[KillReason, int]:
    counted: dict[KillReason, int] = {}
    for text, count in items:
        reason = kill_reason(text)
        counted[reason] = counted.get(reason, 0) + count
    return MappingProxyType(counted)


_remembered: Final = lru_cache(_REMEMBERED)(_by_reason)
