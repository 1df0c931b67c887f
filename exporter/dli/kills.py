"""Why Spark killed tasks: its free text, mapped to a bounded set of reasons."""

import re
from typing import Final

from ..jobs.model import KillReason

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
