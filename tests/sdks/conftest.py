"""The SDKs that these tests drive; all of them carry the mark ``sdks``."""

from __future__ import annotations

from pathlib import Path

import pytest

from support import needs
from support.callers import caller as caller

_SDKS = (
    "aiohttp",
    "azure.keyvault.secrets",
    "azure.mgmt.resource.resources",
    "azure.storage.blob",
    "msgraph",
)


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Mark all tests of this folder: they need SDKs that are large."""
    for item in items:
        if Path(__file__).parent in item.path.parents:
            item.add_marker("sdks")


@pytest.fixture(scope="session", autouse=True)
def sdks() -> None:
    """A test is skipped without its SDKs, except in CI."""
    needs.modules(_SDKS, "sdks")
