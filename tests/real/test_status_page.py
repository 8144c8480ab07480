"""The status page in a real browser: live, complete without JavaScript, readable on a phone, all its own."""

from pathlib import Path

import pytest

from tests.objects import Object
from tests.origin import Origin
from tests.real.browser import browser
from tests.running import Running, running, web

pytestmark = [pytest.mark.real]

RATIO = "document.querySelector('.card b').textContent"


def url(nezha: Running) -> str:
    return f"http://127.0.0.1:{nezha.port}/"


async def read(nezha: Running, times: int) -> None:
    for _ in range(times):
        assert (await nezha.get("/train.tar")).status == 200


@pytest.fixture
async def origin() -> Origin:
    origin = Origin()
    origin.serve("/train.tar", Object(body=b"x" * 300_000, cache_control="max-age=60"))
    return origin


async def test_it_follows_what_happens_and_nothing_is_refused_by_its_own_policy(tmp_path: Path, origin: Origin) -> None:
    async with origin, running(tmp_path, web(origin)) as nezha, browser(tmp_path) as tab:
        await read(nezha, 2)
        await tab.open(url(nezha))
        assert await tab.value(RATIO) == "50.0%"
        await read(nezha, 2)
        await tab.until(RATIO, lambda text: text == "75.0%")  # by itself
        assert set(tab.requested()) <= {url(nezha), "data:,"}
        assert len(tab.requested()) >= 2
        assert tab.complaints() == []
        colour = await tab.value("getComputedStyle(document.querySelector('.good')).color")
        assert colour != await tab.value("getComputedStyle(document.body).color")  # the style was not refused


async def test_without_javascript_it_shows_the_same_and_loads_itself_anew(tmp_path: Path, origin: Origin) -> None:
    async with origin, running(tmp_path, web(origin)) as nezha, browser(tmp_path) as tab:
        await tab.tell("Emulation.setScriptExecutionDisabled", value=True)
        await read(nezha, 2)
        await tab.open(url(nezha))
        assert await tab.value(RATIO) == "50.0%"
        await read(nezha, 2)
        await tab.event("Page.loadEventFired", len(tab.events))
        assert await tab.value(RATIO) == "75.0%"
        assert tab.complaints() == []


async def test_on_a_phone_nothing_is_wider_than_the_screen(tmp_path: Path, origin: Origin) -> None:
    async with origin, running(tmp_path, web(origin)) as nezha, browser(tmp_path, width=360, height=740) as tab:
        await read(nezha, 3)
        await tab.open(url(nezha))
        assert await tab.value("document.documentElement.scrollWidth") <= 360
        assert await tab.value("parseFloat(getComputedStyle(document.body).fontSize)") >= 14


async def test_when_nezha_is_gone_the_page_says_so(tmp_path: Path, origin: Origin) -> None:
    async with browser(tmp_path) as tab:
        async with origin, running(tmp_path, web(origin)) as nezha:
            await tab.open(url(nezha))
        await tab.until("document.body.className", lambda name: name == "silent")
