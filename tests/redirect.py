"""`python -m tests.redirect ADDRESS:PORT SCRIPT ...`: runs a Python client whose names all lead to one port.

What hostAliases do to a pod, without root and with the port besides: the client goes on signing, and asking TLS for,
the names it knows. Only `socket.getaddrinfo` is replaced, which is where Python's clients come by.
"""

import runpy
import socket
import sys
from collections.abc import Callable
from typing import Any

Found = list[tuple[Any, ...]]


def redirected(resolve: Callable[..., Found], address: str, port: int) -> Callable[..., Found]:
    """`resolve` (a `getaddrinfo`), but every name and port is found at `address` and `port`."""

    def find(host: object, service: object, *args: Any, **kwargs: Any) -> Found:
        return resolve(address, port, *args, **kwargs)

    return find


def main() -> None:
    address, _, port = sys.argv[1].rpartition(":")
    socket.getaddrinfo = redirected(socket.getaddrinfo, address, int(port))
    del sys.argv[:2]
    runpy.run_path(sys.argv[0], run_name="__main__")


if __name__ == "__main__":
    main()
