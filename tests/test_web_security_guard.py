"""A web-config file in force, over real sockets, and what happens when it changes."""

import asyncio
import json
import os
import shutil
import ssl
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import bcrypt
import pytest
from aiohttp import ClientError, ClientResponse, ClientSession, TCPConnector, encode_basic_auth, web

from exporter.web.listener import Bounds, bind, serving
from exporter.web.scrapers import Caller, Scrapers
from exporter.web.security.config import WebConfigError
from exporter.web.security.guard import Guard

CERTS = Path(__file__).parent / "web_config" / "certs"
PASSWORD = "open sesame"
MUTUAL = {"client_auth_type": "RequireAndVerifyClientCert", "client_ca_file": "ca.pem"}
RIGHT = ("prometheus", PASSWORD)


def hashed(password: str) -> str:
    return bcrypt.hashpw(password.encode(), bcrypt.gensalt(4)).decode()


USERS = {"basic_auth_users": {"prometheus": hashed(PASSWORD)}}


def read(path: Path) -> Mapping[str, Any]:
    """Read JSON, which is YAML enough: the guard does not care."""
    try:
        tree: dict[str, Any] = json.loads(path.read_text())
    except (OSError, ValueError):
        raise WebConfigError(f"{path}: is broken") from None
    return tree


class Clock:
    """A clock that a test sets."""

    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now


class Place:
    """A directory with a web-config file and what it names."""

    def __init__(self, directory: Path) -> None:
        self.file = directory / "web.yaml"
        self._directory = directory
        self._age = 0
        self.put("ca", "ca.pem")
        self.serve("server")

    def write(self, tree: Mapping[str, Any] | str) -> None:
        """Write the file; each time it looks a second younger, however fast the test is."""
        self.file.write_text(tree if isinstance(tree, str) else json.dumps(tree))
        self._touch(self.file)

    def put(self, source: str, name: str) -> None:
        """Put one of the certificates or keys of the tests there."""
        end = Path(name).suffix
        shutil.copy(CERTS / f"{source}{end}", self._directory / name)
        self._touch(self._directory / name)

    def serve(self, source: str) -> None:
        """Put a certificate and its key there."""
        self.put(source, "tls.key")
        (self._directory / "tls.key").chmod(0o600)
        self.put(source, "tls.pem")

    def tls(self, **more: Any) -> dict[str, Any]:
        return {"tls_server_config": {"cert_file": "tls.pem", "key_file": "tls.key", **more}}

    def _touch(self, path: Path) -> None:
        self._age += 1
        os.utime(path, (self._age, self._age))


@pytest.fixture
def place(tmp_path: Path) -> Place:
    return Place(tmp_path)


class Site:
    """A guarded server, as its visitors see it."""

    def __init__(self, port: int, guard: Guard) -> None:
        self._port = port
        self.guard = guard

    @asynccontextmanager
    async def get(
        self,
        *,
        cert: str | None = None,
        scheme: str = "https",
        auth: tuple[str, str] | None = None,
    ) -> AsyncIterator[ClientResponse]:
        """Get the page on a new connection."""
        context = ssl.create_default_context(cafile=CERTS / "ca.pem")
        if cert is not None:
            context.load_cert_chain(CERTS / f"{cert}.pem", CERTS / f"{cert}.key")
        headers = {} if auth is None else {"Authorization": encode_basic_auth(*auth)}
        async with (
            ClientSession(connector=TCPConnector(ssl=context), headers=headers) as session,
            session.get(f"{scheme}://127.0.0.1:{self._port}/") as response,
        ):
            yield response

    async def status(self, **how: Any) -> int:
        async with self.get(**how) as response:
            return response.status

    async def clear(self, **how: Any) -> int:
        return await self.status(scheme="http", **how)

    async def serial(self) -> int:
        """Tell which certificate is served."""
        context = ssl.create_default_context(cafile=CERTS / "ca.pem")
        _, writer = await asyncio.open_connection("127.0.0.1", self._port, ssl=context)
        certificate = writer.get_extra_info("peercert")
        writer.close()
        await writer.wait_closed()
        return int(certificate["serialNumber"], 16)


@asynccontextmanager
async def guarded(
    place: Place, tree: Mapping[str, Any], now: Clock | None = None
) -> AsyncIterator[Site]:
    place.write(tree)
    guard = Guard(place.file, read, now or Clock())
    sockets = await bind("127.0.0.1", 0)

    async def page(_: web.Request) -> web.Response:
        return web.Response(text="page")

    app = web.Application()
    app.router.add_get("/", page)
    guard.protect(app)
    async with asyncio.timeout(60), serving(sockets, app, Bounds(room=50), guard.context):
        yield Site(sockets[0].getsockname()[1], guard)


async def test_without_anything_everybody_comes_in(place: Place) -> None:
    async with guarded(place, {}) as site:
        assert await site.clear() == 200


async def test_only_users_come_in(place: Place) -> None:
    async with guarded(place, USERS) as site:
        async with site.get(scheme="http") as response:
            assert response.status == 401
            assert response.headers["WWW-Authenticate"].startswith("Basic realm=")
        assert await site.clear(auth=("prometheus", "wrong")) == 401
        assert await site.clear(auth=("nobody", PASSWORD)) == 401
        assert await site.clear(auth=("prometheus", "x" * 100)) == 401
        assert await site.clear(auth=RIGHT) == 200


async def test_a_client_needs_its_certificate_and_a_name_in_it(place: Place) -> None:
    named = place.tls(**MUTUAL, client_allowed_sans=["spiffe://example.org/prometheus"])
    async with guarded(place, named) as site:
        assert await site.status(cert="client") == 200
        assert await site.status(cert="other_client") == 403
        for cert in (None, "stranger"):
            with pytest.raises(ClientError):
                await site.status(cert=cert)


async def test_where_names_are_asked_for_none_is_not_enough(place: Place) -> None:
    optional = {**MUTUAL, "client_auth_type": "VerifyClientCertIfGiven"}
    async with guarded(place, place.tls(**optional)) as site:
        assert await site.status() == 200
        place.write(place.tls(**optional, client_allowed_sans=["prometheus.example"]))
        assert await site.status() == 403
        assert await site.status(cert="client") == 200


async def test_headers_are_on_every_answer_and_win(place: Place) -> None:
    headers = {"X-Frame-Options": "deny", "Content-Security-Policy": "default-src 'self'"}
    async with guarded(place, {**USERS, "http_server_config": {"headers": headers}}) as site:
        for auth in (None, RIGHT):
            async with site.get(scheme="http", auth=auth) as response:
                assert headers.items() <= dict(response.headers).items()


async def test_requests_beyond_the_rate_are_told_so(place: Place) -> None:
    clock = Clock()
    async with guarded(place, {"rate_limit": {"interval": "1s", "burst": "2"}}, clock) as site:
        assert [await site.clear() for _ in range(3)] == [200, 200, 429]
        clock.now = 1.0
        assert [await site.clear() for _ in range(2)] == [200, 429]
        place.write({"rate_limit": {"interval": "1s", "burst": "3"}})
        assert [await site.clear() for _ in range(4)] == [200, 200, 200, 429]
        place.write({})
        assert await site.clear() == 200


async def test_users_and_headers_change_without_a_restart(place: Place) -> None:
    async with guarded(place, USERS) as site:
        assert await site.clear(auth=RIGHT) == 200
        headers = {"headers": {"X-Frame-Options": "sameorigin"}}
        place.write({"basic_auth_users": {"new": hashed("new")}, "http_server_config": headers})
        assert await site.clear(auth=RIGHT) == 401
        async with site.get(scheme="http", auth=("new", "new")) as response:
            assert response.status == 200
            assert response.headers["X-Frame-Options"] == "sameorigin"


async def test_a_new_certificate_is_served_at_once(place: Place) -> None:
    async with guarded(place, place.tls()) as site:
        assert await site.serial() == 1001
        place.serve("server2")
        assert await site.serial() == 1002


async def test_versions_and_authorities_change_without_a_restart(place: Place) -> None:
    async with guarded(place, place.tls()) as site:
        assert await site.status() == 200
        place.write(place.tls(**MUTUAL))
        with pytest.raises(ClientError):
            await site.status()
        assert await site.status(cert="client") == 200
        place.put("other_ca", "ca.pem")
        with pytest.raises(ClientError):
            await site.status(cert="client")
        assert await site.status(cert="stranger") == 200


async def test_a_broken_certificate_keeps_the_old_one_and_is_told_once(
    place: Place, caplog: pytest.LogCaptureFixture
) -> None:
    async with guarded(place, place.tls()) as site:
        place.put("junk", "tls.pem")
        for _ in range(3):
            assert await site.serial() == 1001
            assert await site.status() == 200
        (told,) = [record for record in caplog.records if record.levelname == "ERROR"]
        assert told.getMessage() == "web config not reloaded"
        place.serve("server2")
        assert await site.serial() == 1002


@pytest.mark.parametrize("broken", ["{", '{"basic_auth_users": {"prometheus": "canary"}}'])
async def test_a_broken_file_keeps_the_old_one_and_is_told_once(
    place: Place, caplog: pytest.LogCaptureFixture, broken: str
) -> None:
    async with guarded(place, USERS) as site:
        place.write(broken)
        for _ in range(3):
            assert await site.clear() == 401
            assert await site.clear(auth=RIGHT) == 200
        assert [record.levelname for record in caplog.records].count("ERROR") == 1
        assert "canary" not in caplog.text
        place.file.unlink()
        assert await site.clear() == 401
        place.write({})
        assert await site.clear() == 200


async def test_a_file_that_waits_for_a_certificate_counts_when_that_comes(place: Place) -> None:
    async with guarded(place, place.tls()) as site:
        late = {"cert_file": "late.pem", "key_file": "late.key"}
        place.write({"tls_server_config": late})
        assert await site.serial() == 1001
        place.put("server2", "late.key")
        place.put("server2", "late.pem")
        assert await site.serial() == 1002


async def test_encryption_neither_comes_nor_goes_while_it_runs(place: Place) -> None:
    async with guarded(place, place.tls()) as site:
        place.write({})
        (line,) = site.guard.reload()
        assert line.startswith(f"{place.file}: tls_server_config: cannot come or go")
        assert await site.status() == 200


async def test_a_reload_tells_every_mistake(place: Place) -> None:
    async with guarded(place, USERS) as site:
        place.write({"basic_auth_users": {"a": "b"}, "rate_limit": {"interval": "x"}})
        lines = site.guard.reload()
        assert len(lines) == 2
        assert all(line.startswith(f"{place.file}: ") for line in lines)
        assert await site.clear(auth=RIGHT) == 200
        place.write({})
        assert site.guard.reload() == ()


def test_a_key_that_everybody_can_read_is_told_once(
    place: Place, caplog: pytest.LogCaptureFixture
) -> None:
    place.write(place.tls())
    (place.file.parent / "tls.key").chmod(0o644)
    guard = Guard(place.file, read, Clock())
    assert guard.context() is not None
    assert caplog.text.count("every user of this machine can read a private key") == 1


def test_a_mistake_at_the_start_names_the_file(place: Place) -> None:
    place.write({"tls_server": {}})
    with pytest.raises(WebConfigError) as caught:
        Guard(place.file, read, Clock())
    assert caught.value.lines == (
        f"{place.file}: tls_server: unknown field; did you mean tls_server_config?",
    )


async def test_a_scraper_that_connects_anew_over_tls_is_the_same_one(place: Place) -> None:
    """Else the exporter would wait in vain for the one that has gone, before it ends."""
    scrapers = Scrapers()

    async def scrape(request: web.Request) -> web.Response:
        assert request.transport is not None
        caller = Caller(address=request.remote or "", connection=request.transport)
        moment = asyncio.get_running_loop().time()
        scrapers.heard(caller, moment)
        if request.query:
            scrapers.received(caller, moment)
        else:
            closing.append(request.transport)
        return web.Response(text="metrics")

    closing: list[asyncio.Transport] = []
    app = web.Application()
    app.router.add_get("/", scrape)
    place.write(place.tls())
    guard = Guard(place.file, read, Clock())
    guard.protect(app)
    sockets = await bind("127.0.0.1", 0)
    async with asyncio.timeout(60), serving(sockets, app, Bounds(room=50), guard.context):
        port = sockets[0].getsockname()[1]
        context = ssl.create_default_context(cafile=CERTS / "ca.pem")
        for path in ("/", "/?whole"):
            reader, writer = await asyncio.open_connection("127.0.0.1", port, ssl=context)
            writer.write(b"GET %b HTTP/1.1\r\nHost: x\r\n\r\n" % path.encode())
            await reader.readuntil(b"metrics")
            writer.close()
            await writer.wait_closed()
            while not closing[0].is_closing():  # noqa: ASYNC110 - aiohttp tells nobody else
                await asyncio.sleep(0)
        now = asyncio.get_running_loop().time()
        assert scrapers.pending(now - 60, now) == ()
