"""TLS contexts with a live leaf: one for each configured name, made when it is first asked for.

A leaf is made in a thread, once however many connections wait for it, and made anew when two thirds of its life have
passed, or when another CA signs; connections that stand keep theirs. All share one private key, which exists in this
process only: it never touches a disk, and ends with it.
"""

import asyncio
import ssl
import time
from collections.abc import Callable, Collection, Sequence
from concurrent.futures import Executor
from dataclasses import dataclass
from datetime import timedelta

from cryptography.hazmat.primitives.asymmetric import ec

from nezha.pki.authority import LEAF_LIFETIME, Authority, issue
from nezha.pki.contexts import server_context
from nezha.pki.names import as_address, normalize

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

    def adopt(self, authority: Authority) -> None:
        """Leaves are signed by `authority` from now on."""
        self._authority = authority
        # Other dictionaries: a leaf that is being made still finds the old ones, and is not found in these.
        self._made, self._making = {}, {}

    def expires_at(self) -> float | None:
        """When the first of the leaves made so far expires, in seconds since the epoch."""
        return min((leaf.expires_at for leaf in self._made.values()), default=None)

    def _start(self, asked: str | None) -> asyncio.Future[_Leaf]:
        loop = asyncio.get_running_loop()
        making = loop.run_in_executor(self._executor, self._make, self._authority, self._names[asked])
        all_made, all_making = self._made, self._making
        all_making[asked] = making

        def finish(made: asyncio.Future[_Leaf]) -> None:
            del all_making[asked]
            if not made.cancelled() and made.exception() is None:
                all_made[asked] = made.result()

        # Added before anyone awaits: whoever wakes after the making finds its leaf in place.
        making.add_done_callback(finish)
        return making

    def _make(self, authority: Authority, names: Sequence[str]) -> _Leaf:
        now = self._now()
        certificate = issue(authority, names, self._key, self._lifetime, now=now)
        expires_at = certificate.not_valid_after_utc.timestamp()
        return _Leaf(server_context(certificate, self._key), renewal(now, expires_at), expires_at)


def renewal(now: float, expires_at: float) -> float:
    """When a leaf that was made `now` is made anew."""
    return now + max(SHORTEST_SECONDS, (expires_at - now) * 2 / 3)


def _spelled(name: str | None) -> str | None:
    return None if name is None else normalize(name)
