"""The readiness of a cache in other pods, as the webhook sees it at its Service."""

from pathlib import Path

from nezha.kube.remote import RemoteCache
from tests.origin import Origin
from tests.running import running, web


async def test_it_is_ready_while_nezha_is(tmp_path: Path) -> None:
    async with Origin() as origin, running(tmp_path, web(origin)) as nezha:
        remote = RemoteCache(lambda: ("127.0.0.1",), nezha.port)
        seen = [remote.problem]
        for is_draining in (False, True):
            nezha.server.is_draining = is_draining
            await remote.look()
            seen.append(remote.problem)
    assert seen == ["not looked at yet", None, "127.0.0.1 is not ready"]


async def test_one_of_its_addresses_is_enough_and_none_says_why(tmp_path: Path) -> None:
    async with Origin() as origin, running(tmp_path, web(origin)) as nezha:
        remote = RemoteCache(lambda: ("127.0.0.2", "127.0.0.1"), nezha.port)
        await remote.look()
        assert remote.problem is None
    await remote.look()
    assert str(remote.problem).startswith("127.0.0.1 does not answer")
    await (unknown := RemoteCache(tuple, 80)).look()
    assert unknown.problem == "the address of its Service is not known"
