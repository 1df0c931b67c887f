"""What Go calls the suites, versions, curves and policies of TLS, and what they are in OpenSSL.

Go's names are those of its package crypto/tls (``CipherSuites``, ``ClientAuthType``), which
exporter-toolkit's file uses. What Python's ssl cannot do is listed with the reason.
"""

from collections.abc import Mapping
from typing import Final

_KEY_EXCHANGES: Final = ("ECDHE_ECDSA", "ECDHE_RSA")
_CIPHERS: Final = {
    "AES_128_GCM_SHA256": "AES128-GCM-SHA256",
    "AES_256_GCM_SHA384": "AES256-GCM-SHA384",
    "CHACHA20_POLY1305_SHA256": "CHACHA20-POLY1305",
    "AES_128_CBC_SHA": "AES128-SHA",
    "AES_256_CBC_SHA": "AES256-SHA",
}

SUITES: Final[Mapping[str, str]] = {
    f"TLS_{exchange}_WITH_{cipher}": f"{exchange.replace('_', '-')}-{name}"
    for cipher, name in _CIPHERS.items()
    for exchange in _KEY_EXCHANGES
}
"""OpenSSL's names of the suites of TLS 1.2 by Go's."""

SUITES_13: Final = frozenset(
    {"TLS_AES_128_GCM_SHA256", "TLS_AES_256_GCM_SHA384", "TLS_CHACHA20_POLY1305_SHA256"}
)
"""The suites of TLS 1.3: neither Go nor Python lets anybody choose among them."""

SUITES_WITHOUT_SECRECY: Final = frozenset(
    f"TLS_RSA_WITH_{cipher}" for cipher in _CIPHERS if not cipher.startswith("CHACHA20")
)
"""Suites without forward secrecy, which Go took off its list in 1.22."""

CURVES: Final[Mapping[str, str]] = {
    "X25519": "X25519",
    "CurveP256": "prime256v1",
    "CurveP384": "secp384r1",
    "CurveP521": "secp521r1",
}
"""OpenSSL's names of the curves by Go's."""

VERSIONS: Final = ("TLS12", "TLS13")
"""Versions of TLS that are served, in order."""

OLD_VERSIONS: Final = ("TLS10", "TLS11")
"""Versions that RFC 8996 forbids and OpenSSL 3 serves no more."""

POLICIES: Final[Mapping[str, bool | None]] = {
    "NoClientCert": None,
    "VerifyClientCertIfGiven": False,
    "RequireAndVerifyClientCert": True,
}
"""Whether a client needs a certificate, by Go's name for the policy; None is not asked for one."""

UNVERIFIED_POLICIES: Final = ("RequestClientCert", "RequireAnyClientCert", "RequireClientCert")
"""Policies that ask for a certificate and believe any: ssl verifies whatever it has asked for."""
