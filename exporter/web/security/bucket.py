"""A token bucket: how many requests may come."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class RateLimit:
    """One request every ``interval`` seconds, and ``burst`` of them at once."""

    interval: float
    burst: int


class Bucket:
    """Full at first, it gains a token every ``interval`` seconds; each request takes one."""

    def __init__(self, limit: RateLimit, now: float) -> None:
        self.limit = limit
        self._tokens = float(limit.burst)
        self._at = now

    def take(self, now: float) -> bool:
        """Take a token; False if there is none. ``now`` is a monotonic clock's, in seconds."""
        gained = max(0.0, now - self._at) / self.limit.interval
        self._tokens, self._at = min(self.limit.burst, self._tokens + gained), now
        if self._tokens < 1:
            return False
        self._tokens -= 1
        return True
