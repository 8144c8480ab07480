"""A job that asks hosts by https with one client after the other: whom does its TLS stack trust, as it is set up?

`trust_probe.py STACK HOST ...`; no client is told what to trust. Out: JSON, {host: "ok" or why not}. What an answer
says is no matter, so an error of a client that has its answer is told apart by the server, not here.
"""

# ruff: noqa: PLC0415  # each client is imported only where it is asked

import asyncio
import json
import subprocess
import sys
import urllib.request
from collections.abc import Callable

Probe = Callable[[str], object]
ACCESS, SECRET, REGION = "AKIATEST0001", "secretsecret123", "us-east-1"


def with_urllib(host: str) -> None:
    urllib.request.urlopen(f"https://{host}/probe", timeout=10).read()


def with_urllib3(host: str) -> None:
    import urllib3

    urllib3.PoolManager(retries=False, timeout=10).request("GET", f"https://{host}/probe")


def with_requests(host: str) -> None:
    import requests

    requests.get(f"https://{host}/probe", timeout=10)


def with_httpx(host: str) -> None:
    import httpx

    httpx.get(f"https://{host}/probe", timeout=10)


def with_aiohttp(host: str) -> None:
    import aiohttp

    async def get() -> None:
        timeout = aiohttp.ClientTimeout(10)
        async with aiohttp.ClientSession(timeout=timeout) as session, session.get(f"https://{host}/probe") as answer:
            await answer.read()

    asyncio.run(get())


def with_boto3(host: str) -> None:
    import boto3
    from botocore.config import Config

    config = Config(retries={"total_max_attempts": 1}, s3={"addressing_style": "path"}, connect_timeout=10)
    client = boto3.client(
        "s3", endpoint_url=f"https://{host}", region_name=REGION, config=config,
        aws_access_key_id=ACCESS, aws_secret_access_key=SECRET,
    )  # fmt: skip
    client.get_object(Bucket="bucket", Key="probe")["Body"].read()


def with_awscrt(host: str) -> None:
    from awscrt.http import HttpClientConnection, HttpRequest
    from awscrt.io import ClientBootstrap, ClientTlsContext, DefaultHostResolver, EventLoopGroup, TlsContextOptions

    group = EventLoopGroup(1)
    bootstrap = ClientBootstrap(group, DefaultHostResolver(group))
    tls = ClientTlsContext(TlsContextOptions()).new_connection_options()
    tls.set_server_name(host)
    # s2n lets a peer that it refuses wait for 10 to 30 s before it says so
    connection = HttpClientConnection.new(host, 443, bootstrap, tls_connection_options=tls).result(3)
    request = HttpRequest("GET", "/probe")
    request.headers.add("Host", host)
    stream = connection.request(request)
    stream.activate()
    stream.completion_future.result(10)


def with_pyarrow_s3(host: str) -> None:
    from pyarrow import fs

    store = fs.S3FileSystem(
        endpoint_override=host, access_key=ACCESS, secret_key=SECRET, region=REGION, connect_timeout=5,
        request_timeout=5, retry_strategy=fs.AwsStandardS3RetryStrategy(max_attempts=1),
    )  # fmt: skip
    store.open_input_stream("bucket/probe").read()


def with_pyarrow_gcs(host: str) -> None:
    from datetime import timedelta

    from pyarrow import fs

    store = fs.GcsFileSystem(
        anonymous=True, endpoint_override=host, scheme="https", retry_time_limit=timedelta(seconds=1)
    )
    store.open_input_stream("bucket/probe").read()


def with_obstore(host: str) -> None:
    from datetime import timedelta

    from obstore.store import S3Store

    retry = {"max_retries": 0, "retry_timeout": timedelta(seconds=5)}
    store = S3Store(
        "bucket", endpoint=f"https://{host}", region=REGION, access_key_id=ACCESS, secret_access_key=SECRET,
        retry_config=retry,
    )  # fmt: skip
    store.get("probe").bytes()


def _aws(host: str) -> dict[str, str]:
    return {
        "aws_endpoint_url": f"https://{host}",
        "aws_access_key_id": ACCESS,
        "aws_secret_access_key": SECRET,
        "aws_region": REGION,
    }


def with_polars(host: str) -> None:
    import polars

    polars.scan_csv("s3://bucket/probe.csv", storage_options={**_aws(host), "max_retries": 0}).collect()


def with_deltalake(host: str) -> None:
    import deltalake

    deltalake.DeltaTable("s3://bucket/probe", storage_options={**_aws(host), "max_retries": "0"})


def with_minio(host: str) -> None:
    import minio
    import urllib3

    client = minio.Minio(host, ACCESS, SECRET, region=REGION)
    client._http.connection_pool_kw["retries"] = urllib3.Retry(0)
    client.get_object("bucket", "probe").read()


def with_grpc(host: str) -> None:
    import grpc

    with grpc.secure_channel(f"{host}:443", grpc.ssl_channel_credentials()) as channel:
        channel.unary_unary("/probe.Probe/Probe")(b"", timeout=5)


def _command(*words: str) -> Probe:
    def run(host: str) -> None:
        command = [word.replace("HOST", host) for word in words]
        done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=20)
        if done.returncode:
            raise RuntimeError(f"{done.returncode}: {done.stderr[-300:]}")

    return run


_NODE = "fetch('https://HOST/probe').then(a => a.text(), e => { console.error(e.cause ?? e); process.exit(1) })"
ONE_BY_ONE: dict[str, Probe] = {
    "curl": _command("curl", "--silent", "--show-error", "--max-time", "10", "https://HOST/probe"),
    "wget": _command("wget", "--quiet", "--tries=1", "--timeout=10", "--output-document=-", "https://HOST/probe"),
    "git": _command("git", "ls-remote", "https://HOST/probe.git"),
    "node": _command("node", "--eval", _NODE),
    **{name.removeprefix("with_"): probe for name, probe in globals().items() if name.startswith("with_")},
}


def one_by_one(probe: Probe, hosts: list[str]) -> dict[str, str]:
    found = {}
    for host in hosts:
        try:
            probe(host)
            found[host] = "ok"
        except Exception as error:  # noqa: BLE001  # each client has its own; what it says is for the reader
            found[host] = f"{type(error).__name__}: {error}"[-600:]
    return found


def at_once(program: str, hosts: list[str]) -> dict[str, str]:
    """A program that takes all hosts and prints a line for each."""
    done = subprocess.run([program, *hosts], capture_output=True, text=True, check=True, timeout=60)
    return dict(zip(hosts, done.stdout.splitlines(), strict=True))


if __name__ == "__main__":
    stack, *names = sys.argv[1:]
    json.dump(one_by_one(ONE_BY_ONE[stack], names) if stack in ONE_BY_ONE else at_once(stack, names), sys.stdout)
