"""What all tests share: programs from Debian, and where the example is found."""

from __future__ import annotations

import collections.abc as cabc
import os
import sys
import typing as t
from pathlib import Path

import hypothesis
import pytest
from liveapp import live as live
from liveapp import start as start

import provision

if t.TYPE_CHECKING:
    import playwright.sync_api
    import redis

ROOT = Path(__file__).parent.parent

# At the end: what is tested is the installed package, not the checkout beside it.
sys.path.append(str(ROOT))

hypothesis.settings.register_profile(
    "tests", deadline=None, derandomize="CI" in os.environ
)
hypothesis.settings.load_profile("tests")


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Whatever uses Chromium carries the mark ``browser``."""
    for item in items:
        if "chromium_executable" in getattr(item, "fixturenames", ()):
            item.add_marker("browser")


def _find(program: str) -> str:
    try:
        return provision.find(program)
    except provision.Missing as missing:
        reason = str(missing)
    if os.environ.get("CI"):
        pytest.fail(reason)
    pytest.skip(reason)


@pytest.fixture(scope="session")
def chromium_executable() -> str:
    """Path of a Chromium that runs."""
    return _find("chromium")


@pytest.fixture
def chromium(
    chromium_executable: str,
) -> cabc.Iterator[playwright.sync_api.Browser]:
    """A running headless Chromium; ``chromium.new_context()`` is a fresh profile.

    For one test: while it runs, its thread has an event loop, which async views refuse.
    """
    from playwright.sync_api import sync_playwright

    with sync_playwright() as driver:
        browser = driver.chromium.launch(executable_path=chromium_executable)
        yield browser
        browser.close()


@pytest.fixture(scope="session")
def nginx_executable() -> str:
    """Path of an nginx that runs."""
    return _find("nginx")


@pytest.fixture(scope="session")
def redis_server() -> cabc.Iterator[str]:
    """URL of a Redis server that only this test process uses."""
    with provision.running_redis(_find("redis-server")) as url:
        yield url


@pytest.fixture
def redis_client(redis_server: str) -> cabc.Iterator[redis.Redis]:
    """A client of our own Redis server, whose database is empty."""
    from redis import Redis

    with Redis.from_url(redis_server) as client:
        client.flushdb()
        yield client
