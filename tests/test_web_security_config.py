"""Web-config files, good and bad: the good ones arm a guard, the bad ones are told line by line.

What Debian's promtool says about the same files is in e2e/test_web_config.py.
"""

from pathlib import Path

import pytest

from exporter.server import guard
from exporter.settings import Settings, SettingsError
from exporter.web.security.bucket import RateLimit
from exporter.web.security.config import Pem, WebConfigError, parse

FILES = Path(__file__).parent / "web_config"
MARK = "# expect: "
HASH = "$2y$10$X0h1gDsPszWURQaxFh.zoubFi6DXncSjhoQNJgRrnGs7EsimhC7zG"
CERTIFICATE = {"cert_file": "a.pem", "key_file": "/keys/a.key"}


def armed(path: Path) -> None:
    assert guard(Settings.model_validate({"web": {"config": {"file": path}}})) is not None


@pytest.mark.parametrize("path", sorted(FILES.glob("good/*.yaml")), ids=lambda path: path.stem)
def test_a_good_file_is_taken(path: Path) -> None:
    armed(path)


@pytest.mark.parametrize("path", sorted(FILES.glob("bad/*.yaml")), ids=lambda path: path.stem)
def test_a_bad_file_is_refused_line_by_line(path: Path) -> None:
    with pytest.raises(SettingsError) as caught:
        armed(path)
    lines = path.read_text(encoding="utf-8").splitlines()
    expected = [line.removeprefix(MARK) for line in lines if line.startswith(MARK)]
    shown = [
        line.replace(str(path), "FILE").replace(str(path.parent), "DIR")
        for line in caught.value.lines
    ]
    assert shown == expected
    assert "canary" not in "\n".join(shown).lower()


def test_a_file_that_is_not_there_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "web.yaml"
    with pytest.raises(SettingsError) as caught:
        armed(path)
    assert caught.value.lines == (f"{path}: cannot be read: No such file or directory",)


def test_nothing_is_asked_for_by_an_empty_file() -> None:
    config = parse({}, Path("/etc"))
    assert (config.tls, config.rate, config.users, config.headers) == (None, None, {}, {})


def test_paths_begin_where_the_file_is() -> None:
    tls = parse({"tls_server_config": CERTIFICATE}, Path("/etc/dli")).tls
    assert tls is not None
    assert tls.files == (Path("/etc/dli/a.pem"), Path("/keys/a.key"))
    assert tls.client_needed is None
    assert (tls.minimum, tls.maximum) == ("TLS12", "TLS13")


def test_a_file_is_taken_before_what_is_written_out() -> None:
    both = {**CERTIFICATE, "cert": "INLINE", "key": "INLINE"}
    tls = parse({"tls_server_config": both}, Path("/")).tls
    assert tls is not None
    assert tls.cert == Pem("tls_server_config.cert_file", Path("/a.pem"))


def test_suites_of_tls_13_alone_leave_no_other_version() -> None:
    given = {**CERTIFICATE, "cipher_suites": ["TLS_AES_128_GCM_SHA256"]}
    tls = parse({"tls_server_config": given}, Path("/")).tls
    assert tls is not None
    assert (tls.minimum, tls.suites) == ("TLS13", None)


def test_blank_headers_are_not_sent() -> None:
    headers = {"Content-Security-Policy": "", "X-Frame-Options": "deny"}
    config = parse({"http_server_config": {"headers": headers}}, Path("/"))
    assert config.headers == {"X-Frame-Options": "deny"}


def test_a_rate_limit_is_seconds_and_requests() -> None:
    given = {"rate_limit": {"interval": "500ms", "burst": "7"}}
    assert parse(given, Path("/")).rate == RateLimit(0.5, 7)
    assert parse({"rate_limit": {"interval": "0", "burst": "7"}}, Path("/")).rate is None


def test_no_secret_is_in_a_representation() -> None:
    inline = {"cert": "CANARY", "key": "CANARY"}
    config = parse({"tls_server_config": inline, "basic_auth_users": {"a": HASH}}, Path("/"))
    assert "CANARY" not in repr(config)
    assert HASH not in repr(config)


def test_every_mistake_is_told_at_once() -> None:
    tree = {
        "tls_server_config": {"cert_file": "a", "client_ca_file": "b", "client_auth_type": "x"},
        "basic_auth_users": {"a": "b"},
        "rate_limit": {"interval": "1s"},
        "more": None,
    }
    with pytest.raises(WebConfigError) as caught:
        parse(tree, Path("/"))
    places = {line.partition(":")[0] for line in caught.value.lines}
    assert places == {
        "tls_server_config",
        "tls_server_config.client_auth_type",
        "basic_auth_users.a",
        "rate_limit.burst",
        "more",
    }
