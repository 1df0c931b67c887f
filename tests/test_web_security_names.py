"""Go's names are ones that OpenSSL can do something with."""

import ssl

import pytest

from exporter.web.security.names import CURVES, SUITES, SUITES_13


@pytest.mark.parametrize("go", SUITES)
def test_every_suite_is_one_of_openssl_s(go: str) -> None:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.set_ciphers(SUITES[go])
    (chosen,) = (each for each in context.get_ciphers() if each["name"] not in SUITES_13)
    assert chosen["name"] == SUITES[go]
    assert ("ECDSA" in go) == ("ECDSA" in chosen["name"])


@pytest.mark.parametrize("go", CURVES)
def test_every_curve_is_one_of_openssl_s(go: str) -> None:
    ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER).set_ecdh_curve(CURVES[go])
