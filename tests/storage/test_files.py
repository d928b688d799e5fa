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
        """A sign-out whose session stays in the cache is a failure, not a success."""
        app = session_apps.session_app(tmp_path, "files")
        interface: t.Any = app.session_interface
        browser = app.test_client()
        browser.get("/set/1")
        monkeypatch.setattr(interface.cache, "delete", lambda key: False)
        assert browser.get("/out").status_code == 503
        monkeypatch.undo()
        assert browser.get("/get").text == "1"
        assert browser.get("/out").status_code == 200
