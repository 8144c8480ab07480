"""What the store does not take goes to its client all the same, however early it came."""

from pathlib import Path

from tests.origin import Object, Origin
from tests.running import running, web


async def test_a_body_too_large_to_be_stored_is_whole_though_it_came_before_its_reader(tmp_path: Path) -> None:
    async with Origin() as origin, running(tmp_path, web(origin, max_object="5")) as nezha:
        origin.serve("/a", Object(body=b"0123456789", etag=None, framing="chunked", cache_control="max-age=60"))
        for _ in range(20):
            assert (await nezha.get("/a")).body == b"0123456789"
        assert len(origin.requests) == 20
