"""What every test runs under: no blocking call on the event loop, both event loops that Nezha supports."""

import asyncio
import os
from collections.abc import Callable, Iterator

import pytest
import uvloop
from blockbuster import BlockBuster, blockbuster_ctx
from hypothesis import settings

settings.register_profile("any machine", deadline=None)  # nothing here is timed: a machine may be busy
settings.load_profile("any machine")


@pytest.fixture(scope="session", autouse=True)
def blockbuster() -> Iterator[BlockBuster]:
    """A blocking call on the event loop fails the test."""
    with blockbuster_ctx() as active:
        # what pytest prints of a subtest, it prints on the loop
        active.functions["io.BufferedWriter.write"].can_block_in("_pytest/terminal.py", "pytest_runtest_logreport")
        yield active


def pytest_asyncio_loop_factories() -> dict[str, Callable[[], asyncio.AbstractEventLoop]]:
    """Asynchronous tests run on the loop that the product runs on; `NEZHA_TEST_LOOP=asyncio` runs them on the other."""
    name = os.environ.get("NEZHA_TEST_LOOP", "uvloop")
    return {name: {"uvloop": uvloop.new_event_loop, "asyncio": asyncio.new_event_loop}[name]}
