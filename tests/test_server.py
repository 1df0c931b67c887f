"""The web server as the settings ask for it."""

import asyncio
import logging
import shutil
import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
from aiohttp import ClientSession, web

from exporter.connection import StartError
from exporter.server import guard, listening
from exporter.settings import Settings, SettingsError

CERTS = Path(__file__).parent / "web_config" / "certs"
NOBODY = "basic_auth_users: {a: $2y$04$ABCDEFGHIJKLMNOPQRSTUuABCDEFGHIJKLMNOPQRSTUVWXYZabcde}\n"


def settings(**given: Any) -> Settings:
    return Settings.model_validate({"web": {"listen_address": "127.0.0.1:0", **given}})


def page(text: str) -> web.Application:
    async def answer(_: web.Request) -> web.Response:
        return web.Response(text=text)

    app = web.Application()
    app.router.add_get("/", answer)
    return app


@asynccontextmanager
async def server(given: Settings) -> AsyncIterator[int]:
    protection = guard(given)
    async with (
        asyncio.timeout(30),
        listening(given, page("exporter"), page("probes"), protection) as port,
    ):
        yield port


async def status(address: str, context: ssl.SSLContext | bool = True) -> int:
    async with ClientSession() as session, session.get(address, ssl=context) as response:
        return response.status


async def text(port: int) -> str:
    async with ClientSession() as session, session.get(f"http://127.0.0.1:{port}/") as response:
        return await response.text()


def probe_port(caplog: pytest.LogCaptureFixture) -> int:
    (told,) = [each for each in caplog.records if each.getMessage() == "probes answered"]
    fields: dict[str, Any] = told.__dict__["fields"]
    return int(fields["port"])


async def test_without_a_file_everybody_is_served() -> None:
    assert guard(settings()) is None
    async with server(settings()) as port:
        assert await text(port) == "exporter"


async def test_probes_need_neither_tls_nor_user(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    for name in ("server.pem", "server.key"):
        shutil.copy(CERTS / name, tmp_path)
    file = tmp_path / "web.yaml"
    tls = "tls_server_config: {cert_file: server.pem, key_file: server.key}\n"
    file.write_text(tls + NOBODY)
    given = settings(config={"file": file}, probe_address="127.0.0.1:0")
    trusting = ssl.create_default_context(cafile=CERTS / "ca.pem")
    async with server(given) as port:
        assert await text(probe_port(caplog)) == "probes"
        assert await status(f"https://127.0.0.1:{port}/", trusting) == 401


async def test_an_empty_file_asks_for_nothing(tmp_path: Path) -> None:
    file = tmp_path / "web.yaml"
    file.write_text("")
    async with server(settings(config={"file": file})) as port:
        assert await text(port) == "exporter"


@pytest.mark.parametrize("which", ["listen_address", "probe_address"])
async def test_an_address_that_cannot_be_had_is_told(which: str) -> None:
    async with server(settings()) as port:
        taken = f"127.0.0.1:{port}"
        with pytest.raises(StartError, match=f"cannot listen on {taken}"):
            async with server(settings(**{which: taken})):
                pass


def test_a_file_that_cannot_be_used_is_a_mistake_in_the_settings(tmp_path: Path) -> None:
    file = tmp_path / "web.yaml"
    for content in ("basic_auth_users: [a]\n", "a: &b c\nd: *b\n"):
        file.write_text(content)
        with pytest.raises(SettingsError) as caught:
            guard(settings(config={"file": file}))
        (line,) = caught.value.lines
        assert line.startswith(f"{file}: ")
