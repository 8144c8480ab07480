"""The names of a bucket: all are one bucket, each has its leaf, and those with dots are reached at their store."""

import ssl
import subprocess
from pathlib import Path

import pytest
import yaml

from nezha.dialects.s3 import S3
from nezha.settings import OriginSettings
from tests.objects import Object, Pattern, pattern
from tests.origin import Origin
from tests.rawclient import RawClient
from tests.running import running
from tests.serving import command

SIZE = 200_000
BUCKETS = ("models", "my.data")
SETTINGS = {"name": "s3", "dialect": "s3", "buckets": list(BUCKETS), "regions": ["us-east-1", "eu-west-1"]}
PLACES = S3().places(OriginSettings.model_validate(SETTINGS))


async def test_every_name_of_a_bucket_is_one_bucket_by_https_and_http(tmp_path: Path) -> None:
    async with Origin() as origin:
        origin.serve("*", Object(body=Pattern(SIZE)))
        async with running(tmp_path, {**SETTINGS, "connect": origin.url}) as nezha:
            for host, place in PLACES.items():
                for bucket in [place.bucket] if place.bucket else BUCKETS:
                    target = "/k" if place.bucket else f"/{bucket}/k"
                    for name in (host, None):
                        async with await nezha.client(name=name) as client:
                            answer = await client.get(target, host)
                            assert (answer.status, answer.body) == (200, pattern(SIZE)), host
            assert nezha.metric("nezha_store_objects") == len(BUCKETS)
            assert nezha.metric("nezha_origin_bytes_total") == len(BUCKETS) * SIZE


async def test_a_name_that_only_looks_like_one_of_a_bucket_is_nobodys(tmp_path: Path) -> None:
    async with Origin() as origin, running(tmp_path, {**SETTINGS, "connect": origin.url}) as nezha:
        for host in (
            "s3.us-west-2.amazonaws.com",
            "other.s3.amazonaws.com",
            "x.models.s3.amazonaws.com",
            "amazonaws.com",
        ):
            assert (await nezha.get("/models/k", host=host)).status == 421
            with pytest.raises(ssl.SSLError):
                await RawClient.open("127.0.0.1", nezha.port, tls=nezha.trust(), server_hostname=host)
        assert origin.requests == []


def test_check_config_shows_what_is_served_and_aliased(tmp_path: Path) -> None:

    (tmp_path / "nezha.yaml").write_text(yaml.safe_dump({"origins": [SETTINGS]}))
    said = subprocess.run(command("check-config", tmp_path / "nezha.yaml"), capture_output=True, text=True, check=True)
    lines = said.stdout.splitlines()
    assert {line.strip() for line in lines if line.startswith("  ")} == set(PLACES)
    assert set(lines[-1].rpartition("auto: ")[2].split(", ")) == set(PLACES)
