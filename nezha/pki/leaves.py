"""TLS contexts with a live leaf: one for each configured name, made when it is first asked for.

A leaf is made in a thread, once however many connections wait for it, and made anew when two thirds of its life have
passed. All share one private key, which exists in this process only: it never touches a disk, and ends with it.
"""

import asyncio
import os
import ssl
import tempfile
import time
from collections.abc import Callable, Collection, Iterator, Sequence
from concurrent.futures import Executor
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec

from nezha.pki.authority import (
    AUTHORITY_LIFETIME,
    LEAF_LIFETIME,
    Authority,
    as_address,
    issue,
    load_or_create,
    normalize,
)

SHORTEST_SECONDS = 60.0
"""A leaf stays at least so long, else the last leaves of an expiring CA would be made ever more often."""


@dataclass(frozen=True, slots=True)
class _Leaf:
    context: ssl.SSLContext
    renew_at: float
    expires_at: float


class Leaves:
    """The contexts of one listener. Used from one event loop; all but the making of leaves happens on it."""

    def __init__(
        self,
        authority: Authority,
        names: Collection[str],
        *,
        lifetime: timedelta = LEAF_LIFETIME,
        now: Callable[[], float] = time.time,
        executor: Executor | None = None,
    ) -> None:
        self._authority = authority
        self._lifetime = lifetime
        self._now = now
        self._executor = executor
        self._key = ec.generate_private_key(ec.SECP256R1())
        hosts = {normalize(name) for name in names}
        # what is asked for -> the names on its leaf; this bounds how many leaves there can be
        self._names: dict[str | None, tuple[str, ...]] = {host: (host,) for host in hosts}
        addresses = tuple(sorted(host for host in hosts if as_address(host)))
        if addresses:
            self._names[None] = addresses  # a client that connects to an address sends no SNI (RFC 6066 3)
        self._made: dict[str | None, _Leaf] = {}
        self._making: dict[str | None, asyncio.Future[_Leaf]] = {}

    def peek(self, name: str | None) -> ssl.SSLContext | None:
        """What `context` would give, if it is at hand and fresh."""
        leaf = self._made.get(_spelled(name))
        return leaf.context if leaf and self._now() < leaf.renew_at else None

    async def context(self, name: str | None) -> ssl.SSLContext | None:
        """The context for the SNI `name` (None: the client sent none), or None where nothing is configured for it.

        Raises SettingsError when the CA has expired and OSError when the process is out of descriptors.
        """
        if (at_hand := self.peek(name)) is not None:
            return at_hand
        asked = _spelled(name)
        if asked not in self._names:
            return None
        making = self._making.get(asked) or self._start(asked)
        leaf = await asyncio.shield(making)  # a caller that leaves does not take the leaf from the others
        return leaf.context

    def expires_at(self) -> float | None:
        """When the first of the leaves made so far expires, in seconds since the epoch."""
        return min((leaf.expires_at for leaf in self._made.values()), default=None)

    def _start(self, asked: str | None) -> asyncio.Future[_Leaf]:
        loop = asyncio.get_running_loop()
        making = loop.run_in_executor(self._executor, self._make, self._names[asked])
        self._making[asked] = making

        def finish(made: asyncio.Future[_Leaf]) -> None:
            del self._making[asked]
            if not made.cancelled() and made.exception() is None:
                self._made[asked] = made.result()

        # Added before anyone awaits: whoever wakes after the making finds its leaf in place.
        making.add_done_callback(finish)
        return making

    def _make(self, names: Sequence[str]) -> _Leaf:
        now = self._now()
        certificate = issue(self._authority, names, self._key, self._lifetime, now=now)
        expires_at = certificate.not_valid_after_utc.timestamp()
        renew_at = now + max(SHORTEST_SECONDS, (expires_at - now) * 2 / 3)
        return _Leaf(server_context(certificate, self._key), renew_at, expires_at)


def admission_context(
    directory: Path, names: Collection[str], *, now: Callable[[], float] = time.time
) -> tuple[Authority, ssl.SSLContext]:
    """The context of the admission port for the Service's DNS `names` and this machine, and the CA to trust for it.

    Its CA is another one (`admission-ca.crt`): the pods' CA must not be able to sign for a Service, nor this one for
    an origin. The leaf lives as long as its CA: it has one client, the API server, and its key lives no longer
    than this process. Blocks and raises like `load_or_create`.
    """
    served = [*names, "localhost", "127.0.0.1"]
    authority = load_or_create(directory, served, "admission-ca", now)
    key = ec.generate_private_key(ec.SECP256R1())
    certificate = issue(authority, served, key, AUTHORITY_LIFETIME, now=now())
    return authority, server_context(certificate, key)


def _spelled(name: str | None) -> str | None:
    return None if name is None else normalize(name)


def server_context(certificate: x509.Certificate, key: ec.EllipticCurvePrivateKey) -> ssl.SSLContext:
    """What both ports speak: TLS 1.2 or later, HTTP/1.1 by ALPN, the leaf alone (its issuer is the client's root)."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.options |= ssl.OP_NO_COMPRESSION | ssl.OP_NO_RENEGOTIATION
    context.set_alpn_protocols(["http/1.1"])
    encoding, kind = serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8
    pem = key.private_bytes(encoding, kind, serialization.NoEncryption()) + certificate.public_bytes(encoding)
    with _as_path(pem) as path:
        context.load_cert_chain(path)
    return context


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
