"""An SSL context as a web-config file asks for it."""

import os
import ssl
import stat
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from ipaddress import ip_address
from pathlib import Path
from typing import Any, Final, NoReturn

from .config import Pem, Tls, WebConfigError

_VERSIONS: Final = {"TLS12": ssl.TLSVersion.TLSv1_2, "TLS13": ssl.TLSVersion.TLSv1_3}
_OTHERS: Final = 0o004
"""The permission to read of those who are neither owner nor in the group."""


def context(tls: Tls) -> ssl.SSLContext:
    """Make a context; WebConfigError if certificates or keys cannot be used."""
    made = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    made.minimum_version, made.maximum_version = _VERSIONS[tls.minimum], _VERSIONS[tls.maximum]
    made.set_alpn_protocols(["http/1.1"])
    if not tls.prefer_server:
        made.options &= ~ssl.OP_CIPHER_SERVER_PREFERENCE
    _choose(made, tls)
    _load_certificate(made, tls)
    _verify_clients(made, tls)
    return made


def exposed(tls: Tls) -> Path | None:
    """Return the file of the private key if every user of the machine may read it."""
    file = tls.key.file
    try:
        return file if file is not None and file.stat().st_mode & _OTHERS else None
    except OSError:  # it has gone since it was loaded
        return None


def names(certificate: Mapping[str, Any] | None) -> Iterable[str]:
    """Return a certificate's alternative names as Go writes them: DNS, e-mail, IP, URI.

    ``certificate`` is what ``getpeercert`` returns; it is None without one.
    """
    for kind, value in (certificate or {}).get("subjectAltName", ()):
        if kind in ("DNS", "email", "URI"):
            yield value
        elif kind == "IP Address":
            yield str(ip_address(value.strip()))


def _choose(made: ssl.SSLContext, tls: Tls) -> None:
    """Choose suites and curve; a build of OpenSSL may have fewer of them than Go."""
    try:
        if tls.suites is not None:
            made.set_ciphers(":".join(tls.suites))
        if tls.curve is not None:
            made.set_ecdh_curve(tls.curve)
    except (ssl.SSLError, ValueError):
        wrong = "OpenSSL has none of the cipher suites, or not the curve"
        raise WebConfigError(f"tls_server_config: {wrong}") from None


def _load_certificate(made: ssl.SSLContext, tls: Tls) -> None:
    with _as_file(tls.cert) as cert, _as_file(tls.key) as key:
        try:
            # Without a callback OpenSSL asks on the terminal, and the exporter waits.
            made.load_cert_chain(cert, key, password=_refuse_encrypted)
        except ssl.SSLError as error:
            wrong = f"certificate and key cannot be used: {_reason(error)}"
            raise WebConfigError(f"tls_server_config: {wrong}") from None


def _refuse_encrypted() -> NoReturn:
    raise WebConfigError("tls_server_config: the key is encrypted; allowed: one without a password")


def _verify_clients(made: ssl.SSLContext, tls: Tls) -> None:
    if tls.client_needed is None:
        return
    made.verify_mode = ssl.CERT_REQUIRED if tls.client_needed else ssl.CERT_OPTIONAL
    # As Go does: whatever is in the file is trusted, a root or not.
    made.verify_flags |= ssl.VERIFY_X509_PARTIAL_CHAIN
    if tls.client_ca is None:
        made.load_default_certs(ssl.Purpose.CLIENT_AUTH)
        return
    with _as_file(tls.client_ca) as file:
        try:
            made.load_verify_locations(file)
        except ssl.SSLError as error:
            wrong = f"holds no certificate that can be used: {_reason(error)}"
            raise WebConfigError(f"{tls.client_ca.place}: {wrong}") from None


@contextmanager
def _as_file(pem: Pem) -> Iterator[str]:
    """Give the path of a file that can be read; what is written out goes into memory."""
    if pem.file is not None:
        if wrong := _unreadable(pem.file):
            raise WebConfigError(f"{pem.place}: {pem.file} {wrong}")
        yield str(pem.file)
        return
    if not hasattr(os, "memfd_create"):
        raise WebConfigError(f"{pem.place}: needs Linux; use {pem.place}_file")
    memory = os.memfd_create("pem")
    try:
        os.write(memory, pem.content.encode())
        yield f"/proc/self/fd/{memory}"
    finally:
        os.close(memory)


def _unreadable(path: Path) -> str | None:
    """Say why a file cannot be read, as OpenSSL does not; a pipe would hold everybody up."""
    try:
        file = os.open(path, os.O_RDONLY | os.O_NONBLOCK)
    except OSError as error:
        return f"cannot be read: {error.strerror}"
    try:
        return None if stat.S_ISREG(os.fstat(file).st_mode) else "is not a file"
    finally:
        os.close(file)


def _reason(error: ssl.SSLError) -> str:
    """Put OpenSSL's reason into words; it quotes nothing of what it read."""
    return (error.reason or "it is no PEM").lower().replace("_", " ")
