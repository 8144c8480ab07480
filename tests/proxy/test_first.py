from pathlib import Path
from tests.origin import Object, Origin, Pattern, pattern
from tests.running import running

async def test_a_second_read_comes_from_the_store(tmp_path: Path) -> None:
    async with Origin() as origin:
        origin.serve("/a", Object(body=Pattern(5_000_000, 1), cache_control="max-age=60"))
        async with running(tmp_path, {"name": "web", "dialect": "http", "hosts": ["web.test"], "connect": origin.url}) as nezha:
            for name in (None, "web.test"):
                for _ in range(2):
                    async with await nezha.client(name=name) as client:
                        response = await client.get("/a", "web.test")
                        print(response.status, response.headers, len(response.body))
                        assert response.body == pattern(5_000_000, 1)
            assert origin.count() == 1
            print(nezha.metric("nezha_requests_total", outcome="hit"))
