"""The colour of every status, the same wherever it is shown."""

from typing import Final

from .panels import words
from .queries import STATUSES, SUBJOB_STATUSES

COLORS: Final = {
    "UNKNOWN": "purple",
    "LAUNCHING": "yellow",
    "SCALING": "light-blue",
    "RUNNING": "blue",
    "CANCELLED": "orange",
    "FAILED": "red",
    "FINISHED": "green",
}
SUBJOB_COLORS: Final = {
    "UNKNOWN": "purple",
    "RUNNING": "blue",
    "FAILED": "red",
    "SUCCEEDED": "green",
}
MEANINGS: Final = words({str(code): (word, COLORS[word]) for code, word in enumerate(STATUSES, 1)})
SUBJOB_MEANINGS: Final = words(
    {str(code): (word, SUBJOB_COLORS[word]) for code, word in enumerate(SUBJOB_STATUSES, 1)}
)
