"""What a running exporter tells, and what becomes of it when that one is silent."""

import asyncio
import json
import logging
import ssl
from base64 import b64encode
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

import pytest
from aiohttp import web

from exporter.connection import StartError
from exporter.terminal.fates import Look, Wanted
from exporter.terminal.remote import Address, BadAddress, Remote, remote

TLS: Final = Path(__file__).parent / "data" / "tls"
A: Final = Wanted("a")
SECRET: Final = "a-secret-of-forty-characters-in-the-url!"
AUTHORIZATION: Final = f"Basic {b64encode(f'me:{SECRET}'.encode()).decode()}"
JOBS: Final = [{"project": "default", "job_id": "a", "status": "RUNNING"}]


@dataclass
class Server:
    """Somebody who answers as told, and what was asked of them."""

    url: str = ""
    status: int = 200
    body: str = field(default_factory=lambda: json.dumps({"data": {"jobs": JOBS}}))
    asked: list[web.Request] = field(default_factory=list)

    async def answer(self, request: web.Request) -> web.Response:
        self.asked.append(request)
        headers = {"Location": "/elsewhere"} if 300 <= self.status < 400 else {}
        return web.Response(
            status=self.status, text=self.body, headers=headers, content_type="application/json"
        )


@asynccontextmanager
async def answering(certificate: str | None = None) -> AsyncIterator[Server]:
    server, tls = Server(), None
    if certificate is not None:
        tls = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
        tls.load_cert_chain(TLS / certificate, TLS / "server.key")
    app = web.Application()
    app.router.add_get("/{path:.*}", server.answer)
    runner = web.AppRunner(app, access_log=None, shutdown_timeout=1)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0, ssl_context=tls).start()
    scheme = "http" if tls is None else "https"
    server.url = f"{scheme}://127.0.0.1:{runner.addresses[0][1]}"
    yield server
    await runner.cleanup()


@pytest.fixture
async def server() -> AsyncIterator[Server]:
    async with answering() as server:
        yield server


@asynccontextmanager
async def asking(
    url: str, *wanted: Wanted, patience: float = 600, ca_file: str | None = None
) -> AsyncIterator[Remote]:
    address = Address.read(url, {})
    async with remote(
        address, wanted, ca_file=ca_file, interval=3600, within=10, patience=patience
    ) as feed:
        yield feed


async def look(feed: Remote, condition: Callable[[Look], object], now: float = 1e9) -> Look:
    """Look until something is so; others come to their turn meanwhile."""
    async with asyncio.timeout(10):
        while not condition(found := feed.look(now)):  # noqa: ASYNC110 - it has no event
            await asyncio.sleep(0)
        return found


@pytest.mark.parametrize(
    ("text", "url", "asked"),
    [
        ("http://h:1", "http://h:1", "http://h:1"),
        ("https://h/", "https://h", "https://h"),
        ("http://[::1]:1/dli/", "http://[::1]:1/dli", "http://[::1]:1/dli"),
        ("https://me:pass@h:1/x", "https://h:1/x", "https://h:1/x"),
    ],
)
def test_an_address_may_have_a_path_and_a_user(text: str, url: str, asked: str) -> None:
    assert Address.read(text, {}).url == url


@pytest.mark.parametrize(
    ("text", "environ"),
    [
        (f"http://me:{SECRET}@h", {}),
        (f"http://me:{SECRET}@h", {"DLI_WATCH_USER": "you", "DLI_WATCH_PASSWORD": "other"}),
        (f"http://m%65:{SECRET}@h", {}),
        ("http://h", {"DLI_WATCH_USER": "me", "DLI_WATCH_PASSWORD": SECRET}),
    ],
)
def test_user_and_password_come_from_the_url_or_the_environment(
    text: str, environ: dict[str, str]
) -> None:
    address = Address.read(text, environ)
    assert address.headers == {"Authorization": AUTHORIZATION}
    assert SECRET not in repr(address)


def test_without_a_user_there_is_no_password() -> None:
    assert Address.read("http://h", {"DLI_WATCH_PASSWORD": SECRET}).headers == {}


@pytest.mark.parametrize(
    "text",
    [
        *("", "h:1", "ftp://h", "http://", "http://h:99999", "http://h:0", "http://h:x"),
        *("http://h/?a=b", "http://h/#a", "http://h\n", "http://h/a b", "http://hé", "http://[::1"),
        f"{SECRET}@h",
    ],
)
def test_a_bad_address_gets_a_line_that_does_not_repeat_it(text: str) -> None:
    with pytest.raises(BadAddress, match=r"^must be http://HOST:PORT or https://HOST:PORT"):
        Address.read(text, {})


def test_a_user_with_a_colon_is_refused() -> None:
    with pytest.raises(BadAddress, match="colon"):
        Address.read("http://h", {"DLI_WATCH_USER": "a:b"})


async def test_jobs_are_those_of_the_exporter(server: Server) -> None:
    async with asking(server.url + "/dli") as feed:
        found = await look(feed, lambda look: look.jobs)
    assert [job.job_id for job in found.jobs] == ["a"]
    assert (found.lost, found.hopeless, found.troubles) == ({}, None, ())
    assert [request.path for request in server.asked] == ["/dli/api/v1/jobs"]
    assert "Authorization" not in server.asked[0].headers


async def test_it_says_who_asks(server: Server) -> None:
    async with asking(server.url.replace("//", f"//me:{SECRET}@")) as feed:
        await look(feed, lambda look: look.jobs)
    assert server.asked[0].headers["Authorization"] == AUTHORIZATION


@pytest.mark.parametrize(
    ("status", "body", "reason"),
    [
        (401, "", "unauthorized"),
        (403, "", "forbidden"),
        (404, "", "endpoint"),
        (302, "", "redirect"),
        (500, "", "server"),
        (503, "", "server"),
        (200, "<html>", "content_type"),
        (200, '{"data": 5}', "content_type"),
    ],
)
async def test_whatever_is_no_answer_is_told(
    server: Server, status: int, body: str, reason: str
) -> None:
    server.status, server.body = status, body
    async with asking(server.url) as feed:
        (trouble,) = (await look(feed, lambda look: look.troubles)).troubles
    assert trouble.startswith("no good answer from the exporter for ")
    assert trouble.endswith(f": {reason}")
    assert len(server.asked) == 1


async def test_what_was_known_stays_while_the_exporter_is_away(
    server: Server, caplog: pytest.LogCaptureFixture
) -> None:
    async with asking(server.url, A) as feed:
        known = await look(feed, lambda look: look.jobs)
        server.status = 503
        await feed.ask()
        await feed.ask()
        away = feed.look(asyncio.get_running_loop().time())
        assert (away.jobs, away.lost, away.hopeless) == (known.jobs, {}, None)
        server.status = 200
        await feed.ask()
        assert feed.look(1e9).troubles == ()
    assert [record.getMessage() for record in caplog.records] == [
        "the exporter does not answer",
        "the exporter answers again",
    ]


async def test_an_exporter_that_is_away_too_long_is_given_up(server: Server) -> None:
    server.status = 503
    async with asking(server.url, A, Wanted("b"), patience=60) as feed:
        await look(feed, lambda look: look.troubles)
        found = feed.look(1e9)
    assert found.hopeless is not None
    assert found.lost == {A: found.hopeless, Wanted("b"): found.hopeless}


async def test_a_job_that_is_not_shown_is_given_up_after_a_while(server: Server) -> None:
    missing = Wanted("missing")
    async with asking(server.url, A, missing) as feed:
        await look(feed, lambda look: look.jobs)
        now = asyncio.get_running_loop().time()
        assert feed.look(now + 50).lost == {}
        assert feed.look(now + 70).lost == {missing: "the exporter shows no such job"}
        server.status = 503
        await feed.ask()
        assert feed.look(now + 70).lost == {}
        server.status = 200
        await feed.ask()
        assert feed.look(now + 70).lost.keys() == {missing}
        shown: list[dict[str, Any]] = [{**JOBS[0], "job_id": "missing"}, *JOBS]
        server.body = json.dumps({"data": {"jobs": shown}})
        await feed.ask()
        assert feed.look(now + 70).lost == {}


async def test_a_password_is_in_no_log(server: Server, caplog: pytest.LogCaptureFixture) -> None:
    server.status = 401
    with caplog.at_level(logging.DEBUG):
        async with asking(server.url.replace("//", f"//me:{SECRET}@")) as feed:
            found = await look(feed, lambda look: look.troubles)
    shown = "".join(str(vars(record)) for record in caplog.records) + str(found)
    assert caplog.records
    assert SECRET not in shown
    assert AUTHORIZATION not in shown


async def test_tls_is_trusted_by_the_ca_file() -> None:
    async with answering("good.pem") as server:
        async with asking(server.url, ca_file=str(TLS / "ca.pem")) as feed:
            assert (await look(feed, lambda look: look.jobs)).troubles == ()
        async with asking(server.url) as feed:
            (trouble,) = (await look(feed, lambda look: look.troubles)).troubles
    assert trouble.endswith(": tls")


async def test_a_ca_file_that_cannot_be_used_gets_a_line(tmp_path: Path) -> None:
    empty = tmp_path / "ca.pem"
    empty.write_text("", encoding="utf-8")
    about = {"interval": 1.0, "within": 1.0, "patience": 1.0}
    for path in (empty, tmp_path / "none"):
        with pytest.raises(StartError, match=r"^--ca-file: "):
            async with remote(Address.read("https://h", {}), (), ca_file=str(path), **about):
                pass
