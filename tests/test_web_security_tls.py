"""SSL contexts as web-config files ask for them, by what a client can agree on with them."""

import shutil
import ssl
from pathlib import Path
from typing import Any

import pytest

from exporter.web.security.config import Tls, WebConfigError, parse
from exporter.web.security.tls import context, exposed, names

CERTS = Path(__file__).parent / "web_config" / "certs"
AUTHORITY: dict[str, Any] = {
    "client_auth_type": "RequireAndVerifyClientCert",
    "client_ca_file": "ca.pem",
}
ECDSA = "TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384"


def tls(directory: Path = CERTS, **changes: Any) -> Tls:
    given = {"cert_file": "server.pem", "key_file": "server.key", **changes}
    read = parse({"tls_server_config": given}, directory).tls
    assert read is not None
    return read


def client(name: str | None = None) -> ssl.SSLContext:
    made = ssl.create_default_context(cafile=CERTS / "ca.pem")
    if name is not None:
        made.load_cert_chain(CERTS / f"{name}.pem", CERTS / f"{name}.key")
    return made


def agree(server: ssl.SSLContext, client: ssl.SSLContext) -> tuple[ssl.SSLObject, ssl.SSLObject]:
    """Shake hands in memory; SSLError if one of them does not want to."""
    to_server, to_client = ssl.MemoryBIO(), ssl.MemoryBIO()
    sides = (
        client.wrap_bio(to_client, to_server, server_hostname="localhost"),
        server.wrap_bio(to_server, to_client, server_side=True),
    )
    waiting = set(sides)
    for _ in range(10):
        for side in tuple(waiting):
            try:
                side.do_handshake()
                waiting.discard(side)
            except ssl.SSLWantReadError:
                pass
    assert not waiting
    return sides


def serial(side: ssl.SSLObject) -> str:
    certificate = side.getpeercert()
    assert certificate is not None
    return str(certificate["serialNumber"])


def test_the_certificate_is_served() -> None:
    reader, _ = agree(context(tls()), client())
    assert int(serial(reader), 16) == 1001
    assert reader.version() == "TLSv1.3"


def test_what_is_written_out_serves_like_a_file() -> None:
    inline: dict[str, Any] = {
        name: (CERTS / f"server2.{end}").read_text()
        for name, end in (("cert", "pem"), ("key", "key"))
    }
    given = tls(cert_file="", key_file="", **inline)
    assert int(serial(agree(context(given), client())[0]), 16) == 1002


def test_versions_bound_both_sides() -> None:
    old, new = client(), client()
    old.maximum_version = ssl.TLSVersion.TLSv1_2
    new.minimum_version = ssl.TLSVersion.TLSv1_3
    assert agree(context(tls(max_version="TLS12")), client())[0].version() == "TLSv1.2"
    for given, other in ((tls(min_version="TLS13"), old), (tls(max_version="TLS12"), new)):
        with pytest.raises(ssl.SSLError):
            agree(context(given), other)


def test_nothing_older_than_tls_12_is_served() -> None:
    assert context(tls()).minimum_version == ssl.TLSVersion.TLSv1_2


def test_suites_and_their_order_are_the_server_s() -> None:
    other = "TLS_ECDHE_ECDSA_WITH_CHACHA20_POLY1305_SHA256"
    for suites, chosen in (
        ([ECDSA, other], "ECDHE-ECDSA-AES256-GCM-SHA384"),
        ([other, ECDSA], "ECDHE-ECDSA-CHACHA20-POLY1305"),
    ):
        made = context(tls(max_version="TLS12", cipher_suites=suites))
        cipher = agree(made, client())[0].cipher()
        assert cipher is not None
        assert cipher[0] == chosen


def test_the_client_s_order_counts_if_it_shall() -> None:
    suites = [ECDSA, "TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256"]
    asking = client()
    asking.set_ciphers("ECDHE-ECDSA-AES128-GCM-SHA256:ECDHE-ECDSA-AES256-GCM-SHA384")
    for word, bits in (("true", 256), ("false", 128)):
        given = tls(max_version="TLS12", cipher_suites=suites, prefer_server_cipher_suites=word)
        cipher = agree(context(given), asking)[0].cipher()
        assert cipher is not None
        assert cipher[2] == bits


def test_the_curve_is_the_one_asked_for() -> None:
    asking = client()
    asking.set_ecdh_curve("secp384r1")
    agree(context(tls(curve_preferences=["CurveP384"])), asking)
    with pytest.raises(ssl.SSLError):
        agree(context(tls(curve_preferences=["X25519"])), asking)


@pytest.mark.parametrize("name", [None, "stranger"])
def test_a_client_without_a_good_certificate_is_refused(name: str | None) -> None:
    with pytest.raises(ssl.SSLError):
        agree(context(tls(**AUTHORITY)), client(name))


def test_a_client_with_a_good_certificate_is_known_by_its_names() -> None:
    _, server = agree(context(tls(**AUTHORITY)), client("client"))
    assert set(names(server.getpeercert())) == {
        "prometheus.example",
        "192.0.2.7",
        "2001:db8::1",
        "prom@example.org",
        "spiffe://example.org/prometheus",
    }


def test_a_certificate_that_may_be_missing_must_be_good_if_it_is_there() -> None:
    made = context(tls(**{**AUTHORITY, "client_auth_type": "VerifyClientCertIfGiven"}))
    _, server = agree(made, client())
    assert list(names(server.getpeercert())) == []
    agree(made, client("client"))
    with pytest.raises(ssl.SSLError):
        agree(made, client("stranger"))


def test_an_authority_may_be_the_client_itself_as_with_go() -> None:
    made = context(tls(**{**AUTHORITY, "client_ca_file": "client.pem"}))
    agree(made, client("client"))
    with pytest.raises(ssl.SSLError):
        agree(made, client("other_client"))


def test_an_authority_may_be_written_out() -> None:
    given = tls(
        client_auth_type=AUTHORITY["client_auth_type"], client_ca=(CERTS / "ca.pem").read_text()
    )
    agree(context(given), client("client"))


def test_without_an_authority_the_system_s_are_asked() -> None:
    made = context(tls(client_auth_type=AUTHORITY["client_auth_type"]))
    assert made.verify_mode == ssl.CERT_REQUIRED
    with pytest.raises(ssl.SSLError):
        agree(made, client("client"))


def test_http_11_is_what_alpn_agrees_on() -> None:
    asking = client()
    asking.set_alpn_protocols(["h2", "http/1.1"])
    assert agree(context(tls()), asking)[0].selected_alpn_protocol() == "http/1.1"


def test_an_encrypted_key_is_refused_without_asking_anybody() -> None:
    with pytest.raises(WebConfigError, match="the key is encrypted"):
        context(tls(key_file="encrypted.key"))


def test_a_key_that_everybody_can_read_is_told(tmp_path: Path) -> None:
    key = tmp_path / "server.key"
    for name in ("server.pem", "server.key"):
        shutil.copy(CERTS / name, tmp_path)
    for mode, found in ((0o600, None), (0o640, None), (0o644, key)):
        key.chmod(mode)
        assert exposed(tls(tmp_path)) == found
    key.unlink()
    assert exposed(tls(tmp_path)) is None
