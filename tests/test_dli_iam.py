"""Calls to IAM: each waits for the project's quota, and what it carries is never repeated."""

import asyncio
import time
from collections.abc import AsyncIterator

import aiohttp
import pytest

from exporter.dli.calls import Caller
from exporter.dli.errors import DliError, Unauthorized
from exporter.dli.iam import TOKENS, Iam
from exporter.dli.pacing import Bucket
from exporter.dli.transport import session
from exporter.simulator import demo_project

from .cloud import Cloud, serving


class Time:
    """A clock that moves only when somebody sleeps."""

    def __init__(self) -> None:
        self.now = 1000.0
        self.slept: list[float] = []

    def __call__(self) -> float:
        return self.now

    async def sleep(self, seconds: float) -> None:
        self.slept.append(seconds)
        self.now += seconds
        await asyncio.sleep(0)


@pytest.fixture
async def opened() -> AsyncIterator[aiohttp.ClientSession]:
    async with session() as each:
        yield each


async def test_a_call_waits_for_the_quota_that_others_spend_from_as_well(
    opened: aiohttp.ClientSession,
) -> None:
    clock, bucket = Time(), Bucket(0.5)
    async with serving(Cloud(demo_project(1))) as cloud:
        cloud.fail(status=201)
        iam = Iam(
            cloud.address, Caller(opened, timeout=10), bucket, monotonic=clock, sleep=clock.sleep
        )
        assert bucket.take(clock()) == 0.0
        await iam.post(TOKENS, {}, lambda reply: reply.status, secrets=())
        await iam.post(TOKENS, {}, lambda reply: reply.status, secrets=())
        assert clock.slept == [2.0, 2.0]
        assert bucket.take(clock()) == 2.0


@pytest.mark.parametrize("secret", ["hunt", 'pass"word', "Passwörter", "canary-canary-canary"])
async def test_an_error_does_not_repeat_what_was_sent(
    opened: aiohttp.ClientSession, secret: str
) -> None:
    async with serving(Cloud(demo_project(1))) as cloud:
        caller = Caller(opened, timeout=10)
        iam = Iam(cloud.address, caller, Bucket(1000), monotonic=time.monotonic)

        async def told(body: str) -> DliError:
            cloud.fail(status=401, body=body)
            with pytest.raises(Unauthorized) as caught:
                await iam.post(TOKENS, {}, lambda reply: reply, secrets=(secret,))
            return caught.value

        escaped = secret.replace('"', '\\"')
        for written in (escaped, escaped.encode("ascii", "backslashreplace").decode()):
            body = f'{{"error": {{"code": 401, "message": "no user has {written} here"}}}}'
            assert (
                str(await told(body.replace("\\xf6", "\\u00f6")))
                == "HTTP 401: no user has ... here"
            )


@pytest.mark.parametrize("endpoint", ["", "iam.example.com", "https://u:p@h", "https://h/path"])
async def test_an_address_of_more_than_a_host_is_refused(
    opened: aiohttp.ClientSession, endpoint: str
) -> None:
    with pytest.raises(ValueError, match="endpoint: must be https://HOST"):
        Iam(endpoint, Caller(opened, timeout=1), Bucket(1), monotonic=lambda: 0.0)
