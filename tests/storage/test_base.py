"""Sessions on every kind of backend, and what the guard changes about them."""

from __future__ import annotations

import sys
import threading
import typing as t
from datetime import timedelta
from pathlib import Path

import pytest
from flask import Flask
from flask import session

from flask_msal_errors.storage.interface import is_stored
from flask_msal_errors.storage.store import Store
from support import parallel
from support import session_apps
from support.waiting import PATIENCE

HOUR = timedelta(hours=1)


@pytest.fixture(
    params=(*session_apps.BACKENDS, pytest.param("dynamodb", marks=pytest.mark.once))
)
def app(request: pytest.FixtureRequest, tmp_path: Path) -> Flask:
    """An app with guarded sessions, once on each backend."""
    return session_apps.app_on_backend(request, tmp_path)


@pytest.fixture
def store(app: Flask) -> Store:
    return Store(app)


def kept(app: Flask, sid: str) -> t.Any:
    """Return the backend's entry under a session's id."""
    interface: t.Any = app.session_interface
    return interface._retrieve_session_data(interface._get_store_id(sid))


class TestSessions:
    """The guard's changes to sessions, and all that it leaves as it is."""

    def test_ordinary_life(self, app: Flask) -> None:
        """Sessions are made, read, changed and deleted as without the guard."""
        client = app.test_client()
        assert client.get("/set/1").headers["Set-Cookie"]
        assert client.get("/get").text == "1"
        client.get("/set/2")
        assert client.get("/get").text == "2"
        sid = session_apps.session_id(client)
        client.get("/out")
        assert kept(app, sid) is None and not session_apps.session_id(client)
        assert client.get("/get").text == "None"

    def test_a_new_id_counts_as_new(self, app: Flask) -> None:
        """A loaded session whose id was changed is written, and the old one is gone."""
        client = app.test_client()
        client.get("/set/1")
        old = session_apps.session_id(client)
        client.get("/new-id")
        assert session_apps.session_id(client) != old
        assert client.get("/get").text == "1" and kept(app, old) is None

    def test_an_id_that_was_given_up(self, app: Flask) -> None:
        """A late request with the old id gets no cookie, which would replace the new.

        Unless it signs in itself, and so changes the id once more.
        """

        @app.get("/set-and-new-id")
        def set_and_new_id() -> str:
            session["value"] = "signed in"
            interface: t.Any = app.session_interface
            interface.regenerate(session)
            return "new"

        browser = app.test_client()
        browser.get("/set/1")
        late = app.test_client()
        late.set_cookie("session", session_apps.session_id(browser))
        browser.get("/new-id")
        assert "Set-Cookie" not in late.get("/set/2").headers
        assert browser.get("/get").text == "1"
        assert "Set-Cookie" in late.get("/set-and-new-id").headers
        assert late.get("/get").text == "signed in"

    def test_an_unknown_id(self, app: Flask) -> None:
        """An id that expired or never was is no reason to withhold a cookie."""
        browser = app.test_client()
        browser.set_cookie("session", "unknown")
        assert "Set-Cookie" in browser.get("/set/1").headers
        assert session_apps.session_id(browser) != "unknown"

    def test_lives(self, app: Flask) -> None:
        """A request can tell whether its session was ended meanwhile."""
        browser = app.test_client()
        browser.get("/set/1")
        cookie = {"Cookie": f"session={session_apps.session_id(browser)}"}
        with app.test_request_context(headers=cookie):
            assert session["value"] == "1" and is_stored(app, session)
            browser.get("/out")
            assert not is_stored(app, session)

    @pytest.mark.parametrize("path", ["/wait-and-read", "/wait-and-write"])
    def test_deleted_meanwhile(self, app: Flask, path: str) -> None:
        """A loaded session that was deleted is not written again, and no cookie set."""
        loaded, ended = threading.Event(), threading.Event()

        @app.get("/wait-and-read", defaults={"write": False})
        @app.get("/wait-and-write", endpoint="write", defaults={"write": True})
        def wait(write: bool) -> str:
            assert session["value"] == "1"
            loaded.set()
            assert ended.wait(PATIENCE)
            if write:
                session["value"] = "stale"
            return "done"

        browser = app.test_client()
        browser.get("/set/1")
        sid = session_apps.session_id(browser)
        slow = app.test_client()
        slow.set_cookie("session", sid)
        answers: list[t.Any] = []
        thread = threading.Thread(target=lambda: answers.append(slow.get(path)))
        thread.start()
        assert loaded.wait(PATIENCE)
        browser.get("/out")
        ended.set()
        thread.join(PATIENCE)
        assert answers[0].text == "done"
        assert "Set-Cookie" not in answers[0].headers
        assert kept(app, sid) is None

    @pytest.mark.once
    def test_trap_10_and_15_hammered(self, app: Flask) -> None:
        """100 sign-outs against 4 threads of slow views each: none comes back."""
        together = threading.Barrier(5)

        @app.get("/slow")
        def slow() -> str:
            session["value"] = "stale"
            together.wait(PATIENCE)
            return "slow"

        @app.get("/out-now")
        def out_now() -> str:
            together.wait(PATIENCE)
            session.clear()
            return "out"

        resurrected = 0
        interval = sys.getswitchinterval()
        sys.setswitchinterval(1e-5)
        try:
            for _ in range(100):
                browser = app.test_client()
                browser.get("/set/1")
                sid = session_apps.session_id(browser)

                def visit(number: int, sid: str = sid) -> None:
                    client = app.test_client()
                    client.set_cookie("session", sid)
                    answer = client.get("/slow" if number else "/out-now")
                    assert answer.status_code == 200

                parallel.in_threads(5, visit)
                resurrected += kept(app, sid) is not None
        finally:
            sys.setswitchinterval(interval)
        assert resurrected == 0

    @pytest.mark.parametrize("prefix", ["", "msal-entry:", "../", "session:msal-"])
    def test_a_cookie_that_names_an_entry(
        self, app: Flask, store: Store, prefix: str
    ) -> None:
        """No session cookie loads one of our entries as if it were a session."""
        store.write("handle", {"value": "an entry's"}, HOUR)
        browser = app.test_client()
        browser.set_cookie("session", f"{prefix}handle")
        assert browser.get("/get").text == "None"
        assert store.read("handle") == {"value": "an entry's"}

    @pytest.mark.parametrize(
        "sid",
        [
            *("", "é", "\udcff", "a b", "%00", "*", "a" * 240, "a" * 5000),
            # Cookies may have octal escapes.
            *(r'"\000"', r'"\012\001"'),
        ],
    )
    def test_an_odd_cookie(self, app: Flask, sid: str) -> None:
        """A session cookie that nobody was given is an empty session to write to."""
        header = f"session={sid}".encode("utf-8", "surrogateescape").decode("latin-1")
        # A client that keeps cookies drops a header of our own.
        browser = app.test_client(use_cookies=False)
        assert browser.get("/get", headers={"Cookie": header}).text == "None"
        assert browser.get("/set/1", headers={"Cookie": header}).text == "1"
