"""The extensions that these tests stand beside; all carry the mark ``neighbours``."""

from __future__ import annotations

from pathlib import Path

import pytest

from support import needs

_NEIGHBOURS = (
    "anysqlite",
    "apiflask",
    "cachecontrol",
    "celery",
    "dash",
    "flask_admin",
    "flask_babel",
    "flask_caching",
    "flask_limiter",
    "flask_login",
    "flask_restful",
    "flask_restx",
    "flask_smorest",
    "flask_sock",
    "flask_socketio",
    "flask_talisman",
    "gevent",
    "hishel",
    "opentelemetry.instrumentation.httpx",
    "opentelemetry.instrumentation.requests",
    "opentelemetry.instrumentation.urllib3",
    "requests_cache",
)


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Mark all tests of this folder: they need extensions by others."""
    for item in items:
        if Path(__file__).parent in item.path.parents:
            item.add_marker("neighbours")


@pytest.fixture(scope="session", autouse=True)
def neighbours() -> None:
    """A test is skipped without its neighbours, except in CI."""
    needs.modules(_NEIGHBOURS, "neighbours")
