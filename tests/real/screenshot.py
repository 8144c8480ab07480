"""Takes docs/status-page.png anew: `python -m tests.real.screenshot docs/status-page.png`, about a minute."""

import asyncio
import random
import sys
import tempfile
from pathlib import Path

from tests.objects import Object, pattern
from tests.origin import Origin
from tests.real.browser import browser
from tests.running import Running, running, web

SECONDS = 60
HOSTS = {"imagenet": "imagenet.test", "toronto": "www.cs.toronto.edu"}


async def job(nezha: Running, host: str, seconds: float) -> None:
    """Reads shards at random, faster and faster: after a while most have been read before."""
    rng = random.Random(host)
    loop = asyncio.get_running_loop()
    end = loop.time() + seconds
    while (left := end - loop.time()) > 0:
        shard = rng.randrange(60)
        await nezha.get(f"/shard-{shard:03}.tar" if rng.random() > 0.02 else f"/?list={shard}", host=host)
        await asyncio.sleep(rng.uniform(0, 0.2) * (0.1 + left / seconds))


async def main(path: Path) -> None:
    with tempfile.TemporaryDirectory(prefix="nezha-screenshot-") as name:
        directory = Path(name)
        async with Origin() as origin:
            for shard in range(60):
                body = pattern(1_500_000 + 9_000 * shard, shard)
                origin.serve(f"/shard-{shard:03}.tar", Object(body=body, etag=f'"{shard}"', cache_control="max-age=20"))
            origin.serve("*", Object(body=b"listing", cache_control="no-store"))
            routes = [web(origin, name=name, hosts=[host]) for name, host in HOSTS.items()]
            async with running(directory, *routes) as nezha:
                async with asyncio.TaskGroup() as jobs:
                    for host in HOSTS.values():
                        jobs.create_task(job(nezha, host, SECONDS))
                async with browser(directory, width=1000, height=1120) as tab:
                    await tab.open(f"http://127.0.0.1:{nezha.port}/")
                    path.write_bytes(await tab.screenshot())


if __name__ == "__main__":
    asyncio.run(main(Path(sys.argv[1])))
