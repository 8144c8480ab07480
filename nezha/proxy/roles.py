"""Whom a fill works with: who asks the origin for more of it."""

from typing import TYPE_CHECKING, Protocol

from nezha.model import Extent
from nezha.proxy.answer import Answer

if TYPE_CHECKING:
    from nezha.proxy.fill import Fill


class Ranger(Protocol):
    """Asks the origin for a slice with the credential of somebody who takes part in the fill."""

    async def ask(self, fill: "Fill", extent: Extent) -> Answer | None:
        """A verified 206 for exactly `extent` of the fill's version; None where parallelism has ended."""
