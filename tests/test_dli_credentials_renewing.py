"""Credentials that end, on a clock that stands until it is moved."""

import asyncio

import pytest

from exporter.dli.credentials.provider import Provider
from exporter.dli.credentials.renewing import Renewing
from exporter.dli.errors import (
    ConnectionFailed,
    CredentialsUnavailable,
    DliError,
    ServerFailed,
    Unauthorized,
)
from exporter.dli.signing import AccessKey, Credential

NOW = 1_795_169_700.0
HOUR = 3600.0


class Clock:
    """The wall clock and the monotonic one, moved together or apart."""

    def __init__(self) -> None:
        self.wall = NOW
        self.running = 0.0

    def pass_(self, seconds: float) -> None:
        self.wall += seconds
        self.running += seconds


class Source:
    """Where credentials come from: it may fail, and it may be slow."""

    def __init__(self, life: float = HOUR, *, guesses: bool = False) -> None:
        self.clock = Clock()
        self.life = life
        self.error: Exception | None = None
        self.asked = 0
        self.open = asyncio.Event()
        self.open.set()
        self.reached = asyncio.Event()
        self.told: list[CredentialsUnavailable] = []
        self.renewed = 0
        self.provider = Renewing(
            "source",
            self.obtain,
            guesses=guesses,
            on_error=self.told.append,
            on_good=self.good,
            now=lambda: self.clock.wall,
            monotonic=lambda: self.clock.running,
            jitter=lambda: 0.0,
        )

    async def obtain(self) -> Credential:
        self.asked += 1
        number = self.asked
        self.reached.set()
        await self.open.wait()
        if self.error is not None:
            raise self.error
        return AccessKey(f"ak{number}", f"sk{number}", "st", self.clock.wall + self.life)

    def good(self) -> None:
        self.renewed += 1

    async def ak(self) -> str:
        credential = await self.provider.credential()
        assert isinstance(credential, AccessKey)
        return credential.ak

    async def settled(self, count: int) -> None:
        """Let a renewal in the background come to its end."""
        async with asyncio.timeout(10):
            while self.renewed + len(self.told) < count:  # noqa: ASYNC110 - nobody is told of it
                await asyncio.sleep(0)


async def refused(source: Source) -> str:
    with pytest.raises(CredentialsUnavailable) as caught:
        await source.provider.credential()
    return str(caught.value)


async def test_it_is_a_provider_and_tells_the_end() -> None:
    source = Source()
    provider: Provider = source.provider
    assert provider.expires_at is None
    assert await source.ak() == "ak1"
    assert provider.expires_at == NOW + HOUR


async def test_one_is_present_while_it_lives_and_is_not_due() -> None:
    source = Source()
    provider = source.provider
    assert provider.present is None
    await source.ak()
    assert await provider.credential() == provider.present
    source.clock.pass_(HOUR - 300)
    assert provider.present is None
    await source.ak()  # which begins to renew it
    assert provider.present is None
    await source.settled(2)
    await source.ak()
    renewed = AccessKey("ak2", "sk2", "st", source.clock.wall + HOUR)
    assert provider.present == renewed
    provider.reject(renewed)
    assert provider.present is None
    source.error = ConnectionFailed("no")
    source.clock.pass_(2 * HOUR)
    await refused(source)
    assert provider.present is None


async def test_many_calls_in_a_life_ask_once() -> None:
    source = Source()
    for _ in range(100):
        await source.ak()
        source.clock.pass_(30)
    assert source.asked == 1


async def test_it_is_renewed_ahead_of_its_end_and_nobody_waits_for_that() -> None:
    source = Source()
    await source.ak()
    source.clock.pass_(HOUR - 300)
    source.open.clear()
    source.reached.clear()
    assert [await source.ak() for _ in range(10)] == ["ak1"] * 10
    await source.reached.wait()
    assert source.asked == 2
    source.open.set()
    await source.settled(2)
    assert await source.ak() == "ak2"
    assert source.provider.expires_at == source.clock.wall + HOUR


async def test_many_who_wait_make_one_renewal() -> None:
    source = Source()
    found = await asyncio.gather(*(source.ak() for _ in range(100)))
    assert found == ["ak1"] * 100
    assert source.asked == 1


async def test_a_renewal_does_not_end_with_the_call_that_was_the_first_to_wait() -> None:
    source = Source()
    source.open.clear()
    first = asyncio.create_task(source.ak())
    await source.reached.wait()
    others = [asyncio.create_task(source.ak()) for _ in range(10)]
    first.cancel()
    await asyncio.wait({first})
    source.open.set()
    assert await asyncio.gather(*others) == ["ak1"] * 10
    assert first.cancelled()
    assert source.asked == 1


async def test_a_renewal_goes_on_when_nobody_waits_any_more() -> None:
    source = Source()
    source.open.clear()
    only = asyncio.create_task(source.ak())
    await source.reached.wait()
    only.cancel()
    await asyncio.wait({only})
    source.open.set()
    assert await source.ak() == "ak1"
    assert source.asked == 1


async def test_the_old_one_serves_while_it_lives_and_renewal_fails() -> None:
    source = Source()
    await source.ak()
    source.clock.pass_(HOUR - 300)
    source.error = ConnectionFailed("no connection to iam")
    for _ in range(299):
        assert await source.ak() == "ak1"
        await source.settled(source.asked)
        await asyncio.sleep(0)
        source.clock.pass_(1)
    assert 10 < source.asked < 20  # tried again, ever more slowly
    assert len(source.told) == source.asked - 1
    source.clock.pass_(1)
    assert await refused(source) == "source provider: no connection to iam"


async def test_after_its_end_a_failure_is_remembered_until_it_is_time_to_try_again() -> None:
    source = Source()
    source.error = ServerFailed("HTTP 503")
    for _ in range(10):
        assert await refused(source) == "source provider: HTTP 503"
    assert source.asked == 1
    source.clock.pass_(1)
    assert await refused(source) == "source provider: HTTP 503"
    assert source.asked == 2
    source.error = None
    source.clock.pass_(2)
    assert await source.ak() == "ak3"
    assert len(source.told) == 2
    assert source.renewed == 1


async def test_every_error_is_a_copy_that_says_that_no_call_was_made() -> None:
    source = Source()
    source.error = ServerFailed("HTTP 503")
    errors = [pytest.raises(CredentialsUnavailable) for _ in range(2)]
    for each in errors:
        with each:
            await source.provider.credential()
    with pytest.raises(CredentialsUnavailable) as caught:
        await source.provider.credential()
    assert not caught.value.called
    assert caught.value is not source.told[0]


async def test_the_source_says_how_long_to_wait() -> None:
    source = Source()
    source.error = ServerFailed("HTTP 503", retry_after=100)
    await refused(source)
    source.clock.pass_(99)
    await refused(source)
    assert source.asked == 1
    source.clock.pass_(1)
    await refused(source)
    assert source.asked == 2


@pytest.mark.parametrize(
    ("error", "pause"),
    [
        (Unauthorized("HTTP 401"), 300),
        (ServerFailed("HTTP 503"), 1),
        (CredentialsUnavailable("/p: is empty"), 1),
    ],
)
async def test_only_a_wrong_password_is_tried_slowly(error: DliError, pause: float) -> None:
    source = Source(guesses=True)
    source.error = error
    await refused(source)
    source.clock.pass_(pause - 0.5)
    await refused(source)
    assert source.asked == 1
    source.clock.pass_(0.5)
    await refused(source)
    assert source.asked == 2


async def test_a_refused_one_is_replaced_at_once() -> None:
    source = Source()
    old = await source.provider.credential()
    source.provider.reject(old)
    assert await source.ak() == "ak2"


async def test_a_burst_of_refusals_makes_one_renewal() -> None:
    source = Source()
    old = await source.provider.credential()

    async def reject() -> str:
        source.provider.reject(old)
        return await source.ak()

    assert await asyncio.gather(*(reject() for _ in range(100))) == ["ak2"] * 100
    assert source.asked == 2


async def test_an_api_that_refuses_every_credential_does_not_wear_out_the_source() -> None:
    source = Source()
    for _ in range(60):
        source.provider.reject(await source.provider.credential())
        source.clock.pass_(1)
    assert source.asked == 2
    source.provider.reject(await source.provider.credential())
    assert await source.ak() == "ak3"


async def test_a_refused_one_stays_while_no_other_can_be_had() -> None:
    source = Source()
    old = await source.provider.credential()
    source.error = ServerFailed("HTTP 503")
    source.provider.reject(old)
    assert await source.ak() == "ak1"
    assert source.asked == 2


async def test_a_machine_that_slept_does_not_use_what_has_ended() -> None:
    source = Source()
    await source.ak()
    source.clock.wall += 2 * HOUR  # the monotonic clock stood
    assert await source.ak() == "ak2"


async def test_a_clock_that_is_set_back_does_not_put_off_the_next_try() -> None:
    source = Source()
    source.error = ServerFailed("HTTP 503")
    await refused(source)
    source.clock.wall -= 24 * HOUR
    source.clock.running += 1
    source.error = None
    assert await source.ak() == "ak2"


async def test_what_is_over_when_it_comes_is_used_and_not_asked_for_at_each_call() -> None:
    """By a clock that is too fast; whether it is, DLI will tell."""
    source = Source(life=-HOUR)
    for _ in range(10):
        assert await source.ak() == "ak1"
    source.clock.pass_(10)
    assert await source.ak() == "ak2"


async def test_a_failure_that_nobody_foresaw_is_raised() -> None:
    source = Source()
    source.error = RuntimeError("a bug")
    with pytest.raises(RuntimeError, match="a bug"):
        await source.provider.credential()


async def test_a_failure_that_nobody_foresaw_in_the_background_is_raised_to_the_next() -> None:
    source = Source()
    await source.ak()
    source.clock.pass_(HOUR - 300)
    source.error = RuntimeError("a bug")
    source.reached.clear()
    assert await source.ak() == "ak1"
    await source.reached.wait()
    await asyncio.sleep(0)
    with pytest.raises(RuntimeError, match="a bug"):
        await source.provider.credential()


async def test_closing_ends_a_renewal_that_is_under_way() -> None:
    source = Source()
    source.open.clear()
    waiting = asyncio.create_task(source.ak())
    await source.reached.wait()
    await source.provider.close()
    with pytest.raises(asyncio.CancelledError):
        await waiting
    assert source.told == []


async def test_closing_twice_or_unused_does_no_harm() -> None:
    source = Source()
    await source.provider.close()
    await source.ak()
    await source.provider.close()
    await source.provider.close()
