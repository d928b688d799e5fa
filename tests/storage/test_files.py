"""Files of cachelib, which returns its failures."""

from __future__ import annotations

import typing as t
from pathlib import Path

import pytest

from support import session_apps


class TestFiles:
    """cachelib, whose failures are return values."""

    def test_a_deletion_that_fails(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """A sign-out whose session stays in the cache is a failure, and made up for."""
        app = session_apps.session_app(tmp_path, "files")
        interface: t.Any = app.session_interface
        browser = app.test_client()
        browser.get("/set/1")
        monkeypatch.setattr(interface.cache, "delete", lambda key: False)
        assert browser.get("/out").status_code == 503
        key = f"session:{session_apps.session_id(browser)}"
        assert interface.msal_backend.read(key) is not None
        monkeypatch.undo()
        assert browser.get("/get").text == "None"
        assert interface.msal_backend.read(key) is None
