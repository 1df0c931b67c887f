"""Credentials that end: obtained ahead of time, once for all who wait, and kept while they live."""

import asyncio
import random
import time
from collections.abc import Awaitable, Callable
from copy import copy
from typing import Final

from ..errors import AuthenticationFailed, CredentialsUnavailable, DliError
from ..signing import Credential
from .renewal import REFUSAL_PAUSE, Lease, lease, wait

_NEVER: Final = float("-inf")


class Renewing:
    """A credential that ``obtain`` gives, and gives anew before it ends.

    Nobody waits for another one while the present one lives and is not refused. A failure is
    told to ``on_error``, changes nothing, and is tried again after a pause; ``on_good`` hears of
    each success. The renewal is a task of its own, so that it does not end with the call that
    happened to be the first to want it.
    """

    def __init__(
        self,
        name: str,
        obtain: Callable[[], Awaitable[Credential]],
        *,
        guesses: bool = False,
        on_error: Callable[[CredentialsUnavailable], None] = lambda error: None,
        on_good: Callable[[], None] = lambda: None,
        now: Callable[[], float] = time.time,
        monotonic: Callable[[], float] = time.monotonic,
        jitter: Callable[[], float] = random.random,
    ) -> None:
        """Take what obtains one or raises DliError, and the ``name`` of the source for errors.

        ``guesses`` tells that a refusal counts as a wrong guess at a password.
        """
        self._name = name
        self._obtain = obtain
        self._guesses = guesses
        self._on_error = on_error
        self._on_good = on_good
        self._now = now
        self._monotonic = monotonic
        self._jitter = jitter
        self._renewal: asyncio.Task[None] | None = None
        self._credential: Credential | None = None
        self._lease = Lease(_NEVER, _NEVER)
        self._error = CredentialsUnavailable(f"{name} provider: no credential was obtained yet")
        self._failures = 0
        self._not_before = _NEVER
        self._refused = False
        self._heed_refusals_from = _NEVER

    @property
    def present(self) -> Credential | None:
        """The one there is, while it lives and need not be renewed."""
        idle = self._renewal is None and not self._is_due()
        return self._credential if idle and self._serves() else None

    async def credential(self) -> Credential:
        """Give one that lives, from memory as a rule."""
        self._begin_if_due()
        if self._renewal is not None and not self._serves():
            await asyncio.shield(self._renewal)
        if self._credential is None or self._now() >= self._lease.ends:
            raise copy(self._error)
        return self._credential

    def reject(self, credential: Credential) -> None:
        """Obtain another one, unless the present one has just come for the same reason."""
        if credential == self._credential and self._monotonic() >= self._heed_refusals_from:
            self._heed_refusals_from = self._monotonic() + REFUSAL_PAUSE
            self._refused = True

    @property
    def expires_at(self) -> float | None:
        """When the present one ends."""
        return self._credential.expires_at if self._credential else None

    async def close(self) -> None:
        """Give up a renewal that is under way."""
        if self._renewal is not None:
            self._renewal.cancel()
            await asyncio.wait({self._renewal})

    def _begin_if_due(self) -> None:
        if self._renewal is not None and self._renewal.done():
            renewal, self._renewal = self._renewal, None
            renewal.result()  # raises what nobody foresaw
        if self._renewal is None and self._is_due():
            self._renewal = asyncio.create_task(self._renew(), name=f"renew {self._name}")

    def _is_due(self) -> bool:
        wanted = self._refused or self._now() >= self._lease.renew_at
        return wanted and self._monotonic() >= self._not_before

    def _serves(self) -> bool:
        return not self._refused and self._now() < self._lease.ends

    async def _renew(self) -> None:
        try:
            credential = await self._obtain()
        except DliError as error:
            self._failed(error)
        else:
            self._credential = credential
            self._lease = lease(credential.expires_at, self._now(), self._jitter())
            self._failures = 0
            self._on_good()
        finally:
            self._refused = False

    def _failed(self, error: DliError) -> None:
        self._failures += 1
        refused = isinstance(error, AuthenticationFailed) and error.called
        self._not_before = self._monotonic() + wait(
            self._failures,
            self._jitter(),
            retry_after=error.retry_after,
            guess=self._guesses and refused,
        )
        self._error = CredentialsUnavailable(f"{self._name} provider: {error}")
        self._on_error(self._error)
