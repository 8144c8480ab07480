"""One CA while a process runs: it looks at its shelf now and then, and tells whoever uses the CA of every change."""

import asyncio
from collections.abc import Callable

from nezha import log
from nezha.errors import NezhaError
from nezha.pki.keeper import Keeper, Kept
from nezha.pki.rotation import Rotation

Tell = Callable[[Rotation], None]


class Live:
    """The rotation of one CA as it is now. Used from one event loop.

    `leads`: whether this process is the one that does what time asks for; the others follow what is on the shelf.
    """

    def __init__(self, keeper: Keeper, kept: Kept, leads: Callable[[], bool] = lambda: True) -> None:
        self._keeper = keeper
        self._kept = kept
        self._leads = leads
        self._tells: list[Tell] = []
        self._trouble = ""

    @property
    def rotation(self) -> Rotation:
        return self._kept.rotation

    def subscribe(self, tell: Tell) -> None:
        """Calls `tell` on the event loop with each new rotation."""
        self._tells.append(tell)

    async def look(self) -> None:
        """Takes over what has changed. What cannot be used is reported once, and the last good state stays."""
        try:
            kept = await asyncio.to_thread(self._keeper.look, self._kept, may_write=self._leads())
        except NezhaError as error:
            if str(error) != self._trouble:
                log.warn("ca_unusable", message=str(error), still=self.rotation.signing.id)
            self._trouble = str(error)
            return
        self._trouble = ""
        if kept is self._kept:
            return
        self._kept = kept
        waiting = self.rotation.next
        log.event(
            "ca_changed",
            ca=self._keeper.stem,
            signing=self.rotation.signing.id,
            next=waiting and waiting.authority.id,
            retired=[old.id for old in self.rotation.retired],
        )
        for tell in self._tells:
            tell(self.rotation)
