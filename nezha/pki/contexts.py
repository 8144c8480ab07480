"""Servers' TLS contexts, and how one is changed while it is in use."""

import os
import ssl
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager

from cryptography import x509
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec

from nezha.pki.pem import key_bytes


def server_context(certificate: x509.Certificate, key: ec.EllipticCurvePrivateKey) -> ssl.SSLContext:
    """A context with the leaf alone: its issuer is the client's root."""
    return context_of(key_bytes(key) + certificate.public_bytes(serialization.Encoding.PEM))


def context_of(pem: bytes) -> ssl.SSLContext:
    """What both ports speak: TLS 1.2 or later, HTTP/1.1 by ALPN. `pem` is the key and the chain, the leaf first.

    Raises ssl.SSLError where they do not belong together.
    """
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.options |= ssl.OP_NO_COMPRESSION | ssl.OP_NO_RENEGOTIATION
    context.set_alpn_protocols(["http/1.1"])
    with _as_path(pem) as path:
        context.load_cert_chain(path)
    return context


class Front:
    """The one context that a server is given for good; each handshake is led to the one that counts then.

    Connections that stand are not touched: a session keeps what it was made with.
    """

    def __init__(self, first: ssl.SSLContext) -> None:
        self.context = first
        self._current = first
        first.sni_callback = self._choose  # it is called without SNI, too

    def replace(self, context: ssl.SSLContext) -> None:
        """The next handshakes are made with `context`, which is as `context_of` makes them."""
        self._current = context

    def _choose(self, connection: ssl.SSLSocket | ssl.SSLObject, _: str | None, __: ssl.SSLContext) -> None:
        connection.context = self._current


@contextmanager
def _as_path(content: bytes) -> Iterator[str]:
    """A path that reads as `content`, for OpenSSL takes nothing else: in memory, or a short-lived 0600 file."""
    in_memory = hasattr(os, "memfd_create")
    if in_memory:
        descriptor = os.memfd_create("leaf")  # closed on exec
        path = f"/proc/self/fd/{descriptor}"
    else:
        descriptor, path = tempfile.mkstemp(prefix="nezha-leaf-")
    try:
        with open(descriptor, "wb", closefd=False) as file:
            file.write(content)
        yield path
    finally:
        os.close(descriptor)
        if not in_memory:
            os.unlink(path)
