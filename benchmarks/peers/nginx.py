"""nginx from Debian's package, with nginx.conf beside this file and everything it writes in a folder of its own."""

import contextlib
import getpass
import itertools
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

from benchmarks.peers import HOSTS, SCHEMES, Way
from benchmarks.peers.origin import Origin
from benchmarks.processes import accepts, free_ports, install, running, until

TEMPLATE = Path(__file__).with_name("nginx.conf")
SERVERS = {"cache": "nginx", "cache_nopush_off": "nginx, tcp_nopush off", "slice": "nginx, slice 4m"}


def executable() -> str:
    """Where it is, after its installation if need be. Raises Failed."""
    for attempt in range(2):
        for path in (None, "/usr/sbin:/usr/local/sbin"):
            if found := shutil.which("nginx", path=path):
                return found
        if attempt == 0:
            install("nginx", "nginx is what Nezha is compared with")
    raise FileNotFoundError("nginx was installed and is not there")


def version(program: str) -> str:
    """For example `1.22.1`."""
    done = subprocess.run([program, "-v"], capture_output=True, text=True, check=True)
    return done.stderr.strip().rpartition("/")[2]


@contextlib.contextmanager
def nginx(folder: Path, origin: Origin, certificate: tuple[Path, Path], size: str) -> Iterator[dict[str, Way]]:
    """Runs it with one worker and an empty cache of at most `size` (nginx writes `8g`): one way per server."""
    (folder / "temporary").mkdir(parents=True)
    numbers = iter(free_ports(2 * len(SERVERS)))
    ports = {(server, scheme): next(numbers) for server, scheme in itertools.product(SERVERS, SCHEMES)}
    values = {f"{server}_{scheme}".upper(): str(port) for (server, scheme), port in ports.items()}
    values |= {"USER": getpass.getuser(), "SIZE": size, "CERTIFICATE": str(certificate[0]), "KEY": str(certificate[1])}
    values |= {"ORIGIN": str(origin.port), "ORIGIN_LIMITED": str(origin.limited_port)}
    text = TEMPLATE.read_text()
    for name, value in values.items():
        text = text.replace(f"@{name}@", value)
    configuration, log = folder / "nginx.conf", folder / "nginx.log"
    configuration.write_text(text)
    places = ["-p", str(folder), "-c", str(configuration), "-e", str(folder / "error.log")]
    command = [executable(), *places, "-g", "daemon off;"]
    with running(command, log) as process:
        until(lambda: all(accepts(port) for port in ports.values()), process, log)
        yield {
            name: Way(
                name,
                {(host, scheme): ports[server, scheme] for host in HOSTS for scheme in SCHEMES},
                certificate[0],
                process.pid,
            )
            for server, name in SERVERS.items()
        }
