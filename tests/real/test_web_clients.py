"""What jobs read with requests, curl and wget from a plain web server, by public URLs, through Nezha, as in a pod."""

import hashlib
import os
from pathlib import Path

import pytest

from tests.objects import pattern
from tests.real import servers
from tests.real.conftest import WEB_HOST
from tests.real.pod import Pod
from tests.real.servers import BIG_BYTES, Nezha

pytestmark = [pytest.mark.real, pytest.mark.timeout(300)]


def publish(root: Path, sizes: dict[str, int], seed: int) -> dict[str, str]:
    """Writes the files anew, a minute after the last time (nginx makes ETags of time and size); their digests."""
    digests = {}
    for name, size in sizes.items():
        body = pattern(size, seed)
        (root / name).write_bytes(body)
        os.utime(root / name, (seed * 60, seed * 60))
        digests[name] = hashlib.sha256(body).hexdigest()
    return digests


@pytest.mark.parametrize("how", ["requests", "curl", "wget"])
@pytest.mark.parametrize("base", [f"https://{WEB_HOST}", f"http://{WEB_HOST}:443"], ids=["https", "http"])
def test_a_public_file_is_read_cold_warm_and_anew(pod: Pod, nezha: Nezha, web_root: Path, how: str, base: str) -> None:
    if how != "requests":
        servers.program(how)
    sizes = {"cifar-100-python.tar.gz": BIG_BYTES, "labels.txt": 3_000}
    urls = {name: f"{base}/{name}" for name in sizes}
    moved = []
    for seed in (1, 2):
        digests = publish(web_root, sizes, seed)
        for _ in ("cold", "warm"):
            assert pod.run("url_reads", how, {"urls": urls}) == digests
            nezha.settle()
            moved.append(nezha.metric("nezha_origin_bytes_total", origin="toronto"))
    total = sum(sizes.values())
    assert total <= moved[0] <= 1.05 * total
    assert moved[1] == moved[0]
    assert total <= moved[2] - moved[1] <= 1.05 * total
    assert moved[3] == moved[2]
    assert nezha.metric("nezha_requests_total", origin="toronto", outcome="revalidated") == 2 * len(sizes)
