"""Whom a fill works with: who asks for more of it, and who reads it."""

from typing import TYPE_CHECKING, Protocol

from nezha.model import Extent
from nezha.proxy.answer import Answer

if TYPE_CHECKING:
    from nezha.proxy.fill import Fill


class Ranger(Protocol):
    """Asks the origin for a slice with the credential of somebody who takes part in the fill."""

    async def ask(self, fill: "Fill", extent: Extent) -> Answer | None:
        """A verified 206 for exactly `extent` of the fill's version; None where parallelism has ended."""


class Follower(Protocol):
    """Somebody who reads from a fill."""

    position: int

    def needs(self, extent: Extent) -> bool:
        """Whether bytes of `extent` are still ahead of it."""
