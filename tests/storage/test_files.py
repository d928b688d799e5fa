"""Files of cachelib, which returns its failures."""

from __future__ import annotations

import errno
import typing as t
from datetime import timedelta
from pathlib import Path

import pytest
from cachelib import FileSystemCache

from flask_msal_errors.errors import ServiceUnavailable
from flask_msal_errors.storage.setup import prepare
from flask_msal_errors.storage.store import Store
from support import session_apps


class TestFiles:
    """cachelib, whose failures are return values."""

    @pytest.mark.parametrize("is_own", [True, False])
    def test_a_file_that_cannot_be_opened(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, is_own: bool
    ) -> None:
        """It is an outage, and no session that is missing: nobody is signed out."""
        cache = FileSystemCache(str(tmp_path / "cache"), threshold=0)
        keys = {"SESSION_TYPE": "cachelib", "SESSION_CACHELIB": cache} if is_own else {}
        app = session_apps.bare_app(tmp_path, **keys)
        prepare(app)
        store = Store(app)
        store.write("a", {"a": 1}, timedelta(hours=1))

        def full(*_: object) -> t.NoReturn:
            raise OSError(errno.EMFILE, "Too many open files")

        monkeypatch.setattr(FileSystemCache, "_run_safely", full)
        with pytest.raises(ServiceUnavailable):
            store.read("a")
        monkeypatch.undo()
        assert store.read("a") == {"a": 1} and store.read("b") is None

    def test_a_cache_that_reads_in_its_own_way(self, tmp_path: Path) -> None:
        """An app's own kind of file cache goes on to do so."""

        class Own(FileSystemCache):
            def get(self, key: str) -> t.Any:
                return super().get(f"own-{key}")

            def set(self, key: str, *args: t.Any, **options: t.Any) -> bool:
                return bool(super().set(f"own-{key}", *args, **options))

        cache = Own(str(tmp_path / "cache"), threshold=0)
        app = session_apps.bare_app(
            tmp_path, SESSION_TYPE="cachelib", SESSION_CACHELIB=cache
        )
        prepare(app)
        store = Store(app)
        store.write("a", {"a": 1}, timedelta(hours=1))
        assert store.read("a") == {"a": 1}

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
