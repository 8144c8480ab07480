"""Who is measured: Nezha, nginx, and the origin itself for comparison. Each is started here with its configuration."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

Scheme = Literal["http", "https"]
SCHEMES: tuple[Scheme, ...] = ("http", "https")
FAST = "data.test"  # the origin sends as fast as it can
LIMITED = "limited.test"  # 20 MB/s a connection, 20 ms a request
PRIVATE = "private.test"  # the limited origin as an object store, whose every answer is asked for
PUBLIC = "public.test"  # the same, where a reader that nobody asks about is asked for once
HOSTS = (FAST, LIMITED, PRIVATE, PUBLIC)
LIMITED_BYTES_PER_SECOND = 20_000_000
LIMITED_DELAY_MS = 20


@dataclass(frozen=True, slots=True)
class Way:
    """A way to the bytes: where to connect for a host and scheme, whom to trust, whose CPU time counts."""

    name: str
    ports: Mapping[tuple[str, Scheme], int]
    ca: Path
    pid: int | None
    admission: tuple[int, Path] | None = None  # the port of the webhook, and whom to trust there
