"""Who may read what until when. Memory only: a credential is never kept, only a hash keyed by this process."""

import asyncio
import hashlib
import secrets
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass

from nezha.dialects import Credential
from nezha.model import Entry, Extent

_MOST = 200_000
_STEP = 5_000


@dataclass(frozen=True, slots=True)
class _Grant:
    until: float
    extent: Extent | None  # None: the whole object
    is_get: bool
    key: str


class Grants:
    """Grants by holder, version and form, bounded in number: the least recently used is forgotten first."""

    def __init__(self) -> None:
        self._key = secrets.token_bytes(32)
        self._grants: OrderedDict[tuple[bytes, str, str], _Grant] = OrderedDict()

    def __len__(self) -> int:
        return len(self._grants)

    def holder(self, credential: Credential, client: str = "") -> bytes:
        """The keyed hash that stands for a credential, for one client address where `client` is given."""
        text = f"{credential.kind.value}\n{client}\n{credential.identity if client else credential.material}"
        return hashlib.blake2b(text.encode("latin-1", "replace"), key=self._key, digest_size=32).digest()

    def record(self, holder: bytes, entry: Entry, method: str, extent: Extent | None, until: float) -> None:
        """Remembers a right that the origin has confirmed. GET implies HEAD; a wider right is not narrowed."""
        named = holder, entry.version, entry.form
        old = self._grants.get(named)
        new = _Grant(until, extent, method == "GET", entry.key)
        if old is not None and old.is_get and not new.is_get and old.until >= until:
            return
        self._grants[named] = new
        self._grants.move_to_end(named)
        if len(self._grants) > _MOST:
            self._grants.popitem(last=False)

    def allow(self, holder: bytes, entry: Entry, method: str, extent: Extent | None, at: float) -> bool:
        """Whether a grant covers this read at the time `at`, in seconds since the epoch."""
        grant = self._grants.get((holder, entry.version, entry.form))
        if grant is None or at >= grant.until or (method == "GET" and not grant.is_get):
            return False
        if grant.extent is None or extent is None:
            return grant.extent is None or method == "HEAD"
        return grant.extent.start <= extent.start and extent.stop <= grant.extent.stop

    async def end(self, is_named: Callable[[str], bool]) -> int:
        """Forgets the grants for objects by their keys; how many. In steps, so that the loop does not wait."""
        ended = 0
        for number, (name, grant) in enumerate(list(self._grants.items()), 1):
            if is_named(grant.key):
                ended += self._grants.pop(name, None) is not None
            if number % _STEP == 0:
                await asyncio.sleep(0)
        return ended
