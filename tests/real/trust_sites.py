"""Sites that show a certificate for each name they are asked for, and note who asked and who then trusted them."""

import socket
import ssl
import threading
from collections import Counter
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field

_ANSWER = b'HTTP/1.1 200 OK\r\nContent-Length: 2\r\nETag: "1"\r\nConnection: close\r\n\r\nok'


@dataclass
class Sites:
    """`asked`: ClientHellos by name. `trusted`: connections on which a request came, which no client sends before."""

    address: str
    asked: Counter[str] = field(default_factory=Counter)
    trusted: Counter[str] = field(default_factory=Counter)


@contextmanager
def sites(address: str, contexts: Mapping[str, ssl.SSLContext]) -> Iterator[Sites]:
    """Serves on port 443 of a loopback address; a name without a context is refused."""
    found = Sites(address)
    front = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    front.set_alpn_protocols(["http/1.1", "h2"])
    names: dict[ssl.SSLSocket, str] = {}

    def choose(connection: ssl.SSLSocket, name: str | None, _: ssl.SSLContext) -> int | None:
        asked = name or address  # a client that asks for an address sends no name
        if asked not in contexts:
            return ssl.ALERT_DESCRIPTION_UNRECOGNIZED_NAME
        found.asked[asked] += 1
        names[connection] = asked
        connection.context = contexts[asked]
        return None

    front.sni_callback = choose  # type: ignore[assignment]

    def serve(raw: socket.socket) -> None:
        raw.settimeout(20)
        with suppress(OSError), front.wrap_socket(raw, server_side=True) as connection:
            if not connection.recv(65_536):
                return
            found.trusted[names[connection]] += 1
            connection.sendall(_ANSWER)

    with socket.create_server((address, 443), backlog=64) as listening:

        def accept() -> None:
            with suppress(OSError):
                while True:
                    raw, _ = listening.accept()
                    threading.Thread(target=serve, args=(raw,), daemon=True).start()

        accepting = threading.Thread(target=accept, daemon=True)
        accepting.start()
        yield found
        listening.shutdown(socket.SHUT_RDWR)
        accepting.join()
