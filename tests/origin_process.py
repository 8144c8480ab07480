"""`python -m tests.origin`: one object at one path in a process of its own, for benchmarks and black-box tests.

Prints one line of JSON when it accepts. `GET /_stats` tells {requests, bytes_sent, connections, conditional}; it
counts neither itself nor its bytes, only its connection.
"""

import argparse
import asyncio
import json
import signal
import ssl

from tests.faults import Fault
from tests.objects import Object, Pattern
from tests.origin import Origin


def main() -> None:
    """Runs until SIGTERM or SIGINT."""
    parser = argparse.ArgumentParser(prog="python -m tests.origin", description="a scripted origin")
    parser.add_argument("--host", default="127.0.0.1")
    parser.add_argument("--port", type=int, default=0)
    parser.add_argument("--path", default="/data")
    parser.add_argument("--size", type=int, default=1 << 20, help="bytes of the object: tests.objects.Pattern(size)")
    parser.add_argument("--rate", type=float, default=None, help="bytes per second and connection")
    parser.add_argument("--delay", type=float, default=0.0, help="seconds before each head")
    parser.add_argument("--tls-cert", default=None)
    parser.add_argument("--tls-key", default=None)
    asyncio.run(_run(parser.parse_args()))


async def _run(args: argparse.Namespace) -> None:
    tls = None
    if args.tls_cert is not None:
        tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        tls.load_cert_chain(args.tls_cert, args.tls_key)
        tls.set_alpn_protocols(["http/1.1"])
    stop = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, stop.set)
    async with Origin(tls=tls, host=args.host, port=args.port, is_recording=False) as origin:
        origin.stats_path = "/_stats"
        etag, modified = f'"{args.size}"', "Thu, 01 Jan 2026 00:00:00 GMT"
        origin.serve(args.path, Object(body=Pattern(args.size), etag=etag, last_modified=modified))
        origin.fault(args.path, Fault(rate=args.rate, delay_head=args.delay))
        print(json.dumps({"port": origin.port, "url": origin.url, "path": args.path, "size": args.size}), flush=True)
        await stop.wait()
