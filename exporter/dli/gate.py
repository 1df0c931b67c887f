"""What lets a project's calls out: one line for all, the quota, the breakers, the credential."""

import asyncio
from collections import OrderedDict
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import Final, NamedTuple

from .credentials import Provider
from .errors import (
    CredentialsUnavailable,
    DliError,
    KeyLocked,
    KeyUnknown,
    Scope,
    Throttled,
)
from .pacing import (
    KEY_PAUSE,
    KEY_STRIKES,
    OUTAGE_PAUSE,
    OUTAGE_STRIKES,
    Admission,
    Backoff,
    Breaker,
    Bucket,
)
from .signing import Credential

_REMEMBERED: Final = 1_000
"""Credentials whose breakers are kept: temporary ones come and go."""


@dataclass(frozen=True, slots=True)
class KeyGuard:
    """The breaker against a key's lock, and the event that a call with the key has come back."""

    breaker: Breaker = field(
        default_factory=lambda: Breaker(strikes=KEY_STRIKES, pause=KEY_PAUSE, wary=True)
    )
    returned: asyncio.Event = field(default_factory=asyncio.Event)


class Keys:
    """The guards of all credentials in use: the gateway locks a key for all that share it.

    So do projects, and the same project before and after its settings were read again.
    """

    def __init__(self) -> None:
        self._guards: OrderedDict[Credential, KeyGuard] = OrderedDict()

    def guard(self, credential: Credential) -> KeyGuard:
        """Return the one guard of a credential; an unknown one starts with a clean slate."""
        guard = self._guards.setdefault(credential, KeyGuard())
        self._guards.move_to_end(credential)
        if len(self._guards) > _REMEMBERED:
            self._guards.popitem(last=False)
        return guard


class Suspension(NamedTuple):
    """Why calls fail without being made, and when (monotonic seconds) one may go out again."""

    error: DliError
    until: float


class Departure(NamedTuple):
    """What a call goes out with; breakers belong to a credential, so they travel with it."""

    credential: Credential
    key: KeyGuard
    service: Breaker


class Gate:
    """Every attempt of every call passes here, first come, first served."""

    def __init__(
        self,
        provider: Provider,
        *,
        bucket: Bucket,
        keys: Keys,
        patience: float,
        backoff: Backoff,
        monotonic: Callable[[], float],
        jitter: Callable[[], float],
        sleep: Callable[[float], Awaitable[object]],
    ) -> None:
        """Take the quota, and ``patience``: no call waits longer (seconds) for a pause to end.

        ``keys`` are those of every gate that may use the same credentials.
        """
        self._provider = provider
        self._patience = patience
        self._backoff = backoff
        self._monotonic = monotonic
        self._jitter = jitter
        self._sleep = sleep
        self._bucket = bucket
        self._throttled: Throttled | None = None
        self._credential: Credential | None = None
        self._keys = keys
        self._key, self._service = KeyGuard(), _service()
        self._line = asyncio.Lock()

    @property
    def limit(self) -> float:
        """The present limit in calls a second: the setting, or less after refusals."""
        return self._bucket.limit

    @property
    def suspension(self) -> Suspension | None:
        """Why calls are not made at present; None if they are."""
        for breaker in (self._key.breaker, self._service):
            if breaker.cause and breaker.open_until is not None:
                return Suspension(breaker.cause, breaker.open_until)
        pause = self._bucket.paused_until
        if self._throttled and pause is not None and pause > self._monotonic():
            return Suspension(self._throttled, pause)
        return None

    async def depart(self) -> Departure:
        """Wait in line until a call may go out; exactly one ``settle`` or ``abandon`` follows.

        While calls are suspended it raises why at once, as an error that is not ``called``.
        """
        async with self._line:
            credential = await self._present()
            while True:
                now = self._monotonic()
                self._refuse_if_suspended(now)
                if self._key.breaker.admits(now) is Admission.WAIT:
                    self._key.returned.clear()
                    await self._key.returned.wait()
                elif wait := self._bucket.take(now):
                    await self._sleep(wait)
                else:
                    self._key.breaker.left()
                    self._service.left()
                    return Departure(credential, self._key, self._service)

    def settle(self, departure: Departure, error: DliError | None) -> None:
        """Let the quota and the breakers learn from an exchange."""
        now = self._monotonic()
        if error is None:
            self._bucket.succeeded()
        elif isinstance(error, Throttled):
            self._throttled = error
            self._bucket.throttled(now, self._pause(error), error.limit)
        _judge_key(departure.key.breaker, error, now)
        if error is not None and error.outage:
            departure.service.failed(error, now)
        else:
            departure.service.succeeded()
        departure.key.returned.set()

    def abandon(self, departure: Departure) -> None:
        """Note that a call was given up, so that nobody learned anything."""
        departure.key.breaker.came_back()
        departure.service.came_back()
        departure.key.returned.set()

    async def retry(self, error: DliError, failures: int) -> bool:
        """Wait as long as a retry should; return false, at once, if there should be none."""
        if not error.retryable:
            return False
        if isinstance(error, Throttled):
            return True  # the quota is paused already, for everybody
        wait = max(self._backoff.delay(failures, self._jitter()), error.retry_after or 0.0)
        if wait > self._patience:
            return False
        await self._sleep(wait)
        return True

    async def credential(self) -> Credential:
        """Get the credential that a call would go out with."""
        return await self._ask_provider()

    async def renew(self, credential: Credential) -> bool:
        """Tell the provider about a refused credential; return whether it has another one."""
        self._provider.reject(credential)
        try:
            return await self._ask_provider() != credential
        except CredentialsUnavailable:
            return False

    async def _present(self) -> Credential:
        """Get the credential; with a new one the service has a clean slate."""
        credential = self._provider.present or await self._ask_provider()
        if credential is not self._credential and credential != self._credential:
            self._credential = credential
            self._key, self._service = self._keys.guard(credential), _service()
        return credential

    async def _ask_provider(self) -> Credential:
        try:
            async with asyncio.timeout(self._patience):
                return await self._provider.credential()
        except TimeoutError:
            raise CredentialsUnavailable("the credential provider does not answer") from None

    def _refuse_if_suspended(self, now: float) -> None:
        for breaker in (self._key.breaker, self._service):
            if breaker.cause and breaker.admits(now) is Admission.STOP:
                raise breaker.cause.uncalled()
        pause = (self._bucket.paused_until or now) - now
        if self._throttled and pause > self._patience:
            raise self._throttled.uncalled()

    def _pause(self, error: Throttled) -> float:
        if error.retry_after is not None:
            return error.retry_after
        return self._backoff.delay(0, self._jitter())


def _service() -> Breaker:
    """Make the breaker against calling into an outage."""
    return Breaker(strikes=OUTAGE_STRIKES, pause=OUTAGE_PAUSE)


def _judge_key(key: Breaker, error: DliError | None, now: float) -> None:
    """Only what DLI itself answered proves a key; a busy gateway may not have looked at it."""
    if error is None or error.scope is Scope.JOB:
        key.succeeded()
    elif error.counts_towards_lock:
        key.failed(error, now, hopeless=isinstance(error, KeyLocked | KeyUnknown))
    else:
        key.came_back()
