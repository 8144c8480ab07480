"""Everything that a benchmark needs, running: the programs, the origin, Nezha and nginx in one folder on disk."""

import contextlib
import os
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from benchmarks import load
from benchmarks.load import Load, Reading
from benchmarks.native import build
from benchmarks.peers import Way
from benchmarks.peers.certificate import make
from benchmarks.peers.nezha import NOT_HOT, nezha
from benchmarks.peers.nginx import nginx
from benchmarks.peers.origin import Origin, origin
from benchmarks.processes import Failed, end_on_signals

CACHE_GIB = 20  # of each cache: nothing is evicted during a run


@dataclass(frozen=True, slots=True)
class Scene:
    """What runs. `ways` are by name: direct, those of nezha, and those of nginx."""

    folder: Path
    client: Path
    certificate: tuple[Path, Path]
    origin: Origin
    ways: dict[str, Way]

    def read(self, way: str, wanted: Load) -> Reading:
        """Runs a load by a way."""
        return load.run(self.client, self.ways[way], wanted)

    def read_beside(self, way: str, streams: Load, wanted: Load) -> tuple[Reading, Reading]:
        """Runs a load while streams run by the same way: (streams, load)."""
        return load.run_beside(self.client, self.ways[way], streams, wanted)

    def read_counted(self, way: str, wanted: Load) -> tuple[Reading, int]:
        """Runs a load; also how many bytes the origin sent for it."""
        before = self.origin.bytes_sent()
        reading = self.read(way, wanted)
        return reading, self.origin.bytes_sent() - before

    def warm(self, way: str, wanted: Load) -> None:
        """Reads a path twice, the second time as a hit. Raises Failed where the origin was asked for bytes again."""
        self.read(way, wanted)
        _, sent = self.read_counted(way, wanted)
        if sent:
            raise Failed(f"{way} asked the origin again for {wanted.path}, which it had just read")


@contextlib.contextmanager
def scene(*, with_proxies: bool = True) -> Iterator[Scene]:
    """Starts everything, and stops and removes it. Raises Failed."""
    end_on_signals()
    # Not /tmp, which is memory on some machines: the caches are to be on disk.
    parent = os.environ.get("TMPDIR", "/var/tmp")
    with contextlib.ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="nezha-bench-", dir=parent)))
        programs = build(folder)
        certificate = make(folder)
        source = stack.enter_context(origin(programs, folder, certificate))
        ways = {source.way.name: source.way}
        if with_proxies:
            for name in ("nezha", NOT_HOT):
                ways[name] = stack.enter_context(nezha(folder / name, source, f"{CACHE_GIB}GiB", name))
            ways |= stack.enter_context(nginx(folder / "nginx", source, certificate, f"{CACHE_GIB}g"))
        yield Scene(folder, programs.client, certificate, source, ways)
