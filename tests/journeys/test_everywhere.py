"""All sessions of a person: shown in each of them, and ended from one of them."""

from __future__ import annotations

import collections.abc as cabc
import dataclasses
import threading
import typing as t
from datetime import datetime
from datetime import timezone

import pytest
import requests
from flask import Flask
from flask import current_app
from flask import jsonify
from flask import session
from flask_sqlalchemy import SQLAlchemy

from flask_msal_errors import UserSession
from flask_msal_errors import signals
from flask_msal_errors.session.session_index import SessionIndex
from flask_msal_errors.session.session_index import names_of
from flask_msal_errors.testing import Emulator
from flask_msal_errors.testing import Person
from support import live_app
from support import session_apps
from support.live_app import LiveApp
from support.live_app import Start
from support.on_its_way import check_on_its_way
from support.parallel import in_threads
from support.waiting import PATIENCE

NOBODY = "hello nobody"


def add_views(live: LiveApp) -> None:
    app, auth = live.app, live.auth
    app.config["GATES"] = threading.Event(), threading.Event()

    @app.get("/sessions")
    @auth.login_required
    def sessions() -> t.Any:
        found = auth.sessions()
        assert all(isinstance(each, UserSession) for each in found)
        app.config["FOUND"] = found
        return jsonify([[each.browser, each.is_current] for each in found])

    @app.post("/everywhere")
    def everywhere() -> t.Any:
        return auth.sign_out_everywhere()

    @app.get("/slow/<how>")
    @auth.login_required
    def slow(how: str) -> str:
        entered, go_on = app.config["GATES"]
        session["x"] = "written late"
        entered.set()
        assert go_on.wait(PATIENCE)
        if how == "new-id":
            interface: t.Any = current_app.session_interface
            interface.regenerate(session)
        return "slow"


def as_browser(live: LiveApp, header: str) -> None:
    """Let every browser say from now on that it is this one."""
    plain = type(live.app).wsgi_app

    def wsgi_app(environ: t.Any, start: t.Any) -> t.Any:
        return plain(live.app, {**environ, "HTTP_USER_AGENT": header}, start)

    vars(live.app)["wsgi_app"] = wsgi_app


def index_of(live: LiveApp) -> SessionIndex:
    return t.cast(SessionIndex, live.app.extensions["flask_msal_errors"].session_index)


def signed_in(live: LiveApp, name: str = "ada") -> Person:
    person = live.entra.person(name)
    assert person.visit(live.url + "/mail").status_code == 200
    return person


def everywhere(live: LiveApp, person: Person) -> requests.Response:
    return person.visit(live.url + "/everywhere", {"any": "field"})


@pytest.fixture
def live(start: Start) -> LiveApp:
    return start(add_views)


class TestSessions:
    def test_all_of_the_user(self, live: LiveApp) -> None:
        """Each browser shows all sessions of its user, and which is its own."""
        as_browser(live, "Mozilla/5.0 (Windows NT 10.0; Win64; x64) Firefox/140.0")
        first = signed_in(live)
        as_browser(live, "Mozilla/5.0 (iPhone; CPU iPhone OS 18_5 like Mac OS X)")
        second = signed_in(live)
        signed_in(live, "grace")
        words = {"Firefox on Windows", "Browser on iPhone"}
        for person, own in (
            (first, "Firefox on Windows"),
            (second, "Browser on iPhone"),
        ):
            shown = person.get(live.url + "/sessions").json()
            assert {browser for browser, _ in shown} == words and len(shown) == 2
            assert [b for b, is_current in shown if is_current] == [own]
        assert live.entra.person().visit(live.url + "/sessions").json() != []

    def test_of_nobody(self, live: LiveApp) -> None:
        """A visitor has none."""
        with live.app.test_request_context("/"):
            assert live.auth.sessions() == []

    def test_values(self, live: LiveApp) -> None:
        """They tell times in UTC and the browser, and nothing by which to act."""
        began = datetime.now(timezone.utc)
        others = [signed_in(live) for _ in range(2)]
        person = signed_in(live)
        person.get(live.url + "/sessions")
        found: list[UserSession] = live.app.config["FOUND"]
        names = [field.name for field in dataclasses.fields(UserSession)]
        assert names == ["begun", "last_seen", "browser", "is_current"]
        for each in found:
            assert began <= each.begun <= each.last_seen <= datetime.now(timezone.utc)
        assert [each.is_current for each in found] == [True, False, False]
        assert found == sorted(found, key=lambda each: each.last_seen, reverse=True)
        for browser in (person, *others):
            assert live.session_id(browser) not in repr(found)
        with pytest.raises(dataclasses.FrozenInstanceError):
            found[0].is_current = False  # type: ignore[misc]

    def test_ended_ones(self, live: LiveApp) -> None:
        """One that ended without the index is shown no more, and leaves it."""
        gone, lost, person = signed_in(live), signed_in(live), signed_in(live)
        state = live.app.extensions["flask_msal_errors"]
        with live.app.test_request_context(headers={"Cookie": live.cookie(gone)}):
            handle = session[state.registration.session_key]["handle"]
        state.records.delete(handle)
        state.store.end_session(live.session_id(lost))
        assert len(person.get(live.url + "/sessions").json()) == 1
        with live.app.test_request_context(headers={"Cookie": live.cookie(person)}):
            assert live.auth.user is not None
            account = live.auth.user.account
        # Only a record that is gone proves that a session is.
        places = index_of(live).find(*names_of(account=account))
        assert {at.session_id for at in places} == {
            live.session_id(each) for each in (lost, person)
        }

    def test_too_old(self, start: Start) -> None:
        """One that MSAL_SESSION_MAX_AGE ended is shown no more, while it is stored."""
        live = start(add_views, MSAL_SESSION_MAX_AGE=3600)
        old, person = signed_in(live), signed_in(live)
        state = live.app.extensions["flask_msal_errors"]
        place = live.session_id(old), state.registration.session_key
        with live.app.app_context():
            state.store.change_session(
                *place, lambda kept: {**kept, "since": kept["since"] - 3601}
            )
        assert old.get(live.url + "/").text == NOBODY
        assert len(person.get(live.url + "/sessions").json()) == 1

    @pytest.mark.parametrize(
        "kept",
        [
            {"since": None, "vouched_at": "now", "renew_at": "soon"},
            {"since": True, "vouched_at": [], "renew_at": None},
            {"since": 1e400, "vouched_at": -1e400, "renew_at": float("nan")},
            {"since": 10**30},
            {},
        ],
    )
    def test_absurd_times(self, live: LiveApp, kept: dict[str, t.Any]) -> None:
        """Times that are none do not break the page of another session."""
        lifetime = live.app.permanent_session_lifetime
        value = UserSession.of(kept, lifetime, "Firefox", is_current=False)
        assert value.begun <= value.last_seen <= datetime.now(timezone.utc)


class TestEverywhere:
    def test_all_end(self, live: LiveApp) -> None:
        """All sessions of the person end, with their records; nobody else's does."""
        people, grace = [signed_in(live) for _ in range(3)], signed_in(live, "grace")
        told: list[t.Any] = []
        before = [live.cookie(person) for person in people]
        with signals.signed_out.connected_to(lambda _, user: told.append(user.name)):
            shown = everywhere(live, people[1])
        assert "You are signed out" in shown.text
        assert told == ["Ada Lovelace"] * 3
        for person, cookie in zip(people, before, strict=True):
            assert person.get(live.url + "/").text == NOBODY
            with live.app.test_request_context(headers={"Cookie": cookie}):
                assert not session
        assert grace.get(live.url + "/").text == "hello grace@contoso.example"
        # A fresh sign-in is not one of those that were ended.
        assert people[0].visit(live.url + "/me").status_code == 200
        assert len(people[0].get(live.url + "/sessions").json()) == 1

    def test_failing_receiver(self, live: LiveApp) -> None:
        """A receiver that raises leaves no other browser signed in."""
        person, *others = [signed_in(live) for _ in range(4)]

        def fails(app: Flask, **_: t.Any) -> None:
            raise RuntimeError

        with signals.signed_out.connected_to(fails, live.app):
            assert person.post(f"{live.url}/everywhere").status_code == 500
        assert {other.get(live.url + "/").text for other in others} == {NOBODY}

    def test_dead_ones(self, live: LiveApp) -> None:
        """A place in the index whose session is gone is no sign-out."""
        gone, person = signed_in(live), signed_in(live)
        state = live.app.extensions["flask_msal_errors"]
        with live.app.test_request_context(headers={"Cookie": live.cookie(gone)}):
            handle = session[state.registration.session_key]["handle"]
        state.records.delete(handle)
        state.store.end_session(live.session_id(gone))
        told: list[t.Any] = []
        with signals.signed_out.connected_to(lambda _, user: told.append(user.name)):
            everywhere(live, person)
        assert told == ["Ada Lovelace"]

    def test_at_the_provider(self, live: LiveApp) -> None:
        """This browser is signed out at the provider, too; others are not."""
        person, other = signed_in(live), signed_in(live)
        everywhere(live, person)
        call = next(c for c in reversed(live.entra.calls) if c.kind == "logout")
        assert call.query["logout_hint"] == live.entra.users["ada"].hint
        for browser, asked in ((person, True), (other, False)):
            browser.pages.clear()
            browser.visit(live.url + "/me")
            assert ("pick" in browser.pages) is asked

    def test_by_nobody(self, live: LiveApp) -> None:
        """A visitor's is an ordinary sign-out: nobody's session ends."""
        person = signed_in(live)
        shown = everywhere(live, live.entra.person())
        assert "You are signed out" in shown.text
        assert person.get(live.url + "/").text == "hello ada@contoso.example"

    def test_sign_in_on_its_way(
        self, live: LiveApp, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """A sign-in whose code was redeemed before ends with the others."""
        person = signed_in(live)
        check_on_its_way(live, monkeypatch, lambda: everywhere(live, person))

    def test_from_two_at_once(self, live: LiveApp) -> None:
        """Two browsers that ask at the same time hinder each other in nothing."""
        people = [signed_in(live) for _ in range(4)]
        in_threads(2, lambda number: everywhere(live, people[number]))
        assert {person.get(live.url + "/").text for person in people} == {NOBODY}

    def test_store_fails(self, live: LiveApp, monkeypatch: pytest.MonkeyPatch) -> None:
        """A store that fails is an error, and the user can try again from here."""
        people = [signed_in(live) for _ in range(3)]
        backend: t.Any = live.app.session_interface
        bury, count = backend.msal_backend.bury, iter(range(100))

        def fails(key: str) -> None:
            if next(count) == 2:
                raise OSError("no disk")
            bury(key)

        monkeypatch.setattr(backend.msal_backend, "bury", fails)
        answer = people[0].post(live.url + "/everywhere")
        assert answer.status_code == 503
        assert people[0].get(live.url + "/").text == "hello ada@contoso.example"
        everywhere(live, people[0])
        assert {person.get(live.url + "/").text for person in people} == {NOBODY}

    def test_other_provider(self, start: Start, entra: Emulator) -> None:
        """The refresh tokens of all sessions are revoked, where a provider does it."""
        absent = {"MSAL_AUTHORITY": None, "MSAL_INSTANCE_DISCOVERY": None}
        live = start(add_views, **{**entra.config("openid"), **absent})
        people = [signed_in(live) for _ in range(3)]
        assert len(entra.tenant.refresh_tokens) == 3
        everywhere(live, people[0])
        assert not entra.tenant.refresh_tokens
        assert entra.counters["revocation.200"] == 3
        assert {person.get(live.url + "/").text for person in people} == {NOBODY}


class WithDatabase(Flask):
    """An app with a database, which its sessions can be kept in."""

    def __init__(self, *args: t.Any, **kwargs: t.Any) -> None:
        super().__init__(*args, **kwargs)
        place = f"sqlite:///{self.instance_path}/sessions.sqlite"
        self.config["SQLALCHEMY_DATABASE_URI"] = place
        self.config["SESSION_SQLALCHEMY"] = SQLAlchemy(self)


@pytest.fixture(params=["files", "redis", "sql"])
def stored(request: pytest.FixtureRequest, start: Start) -> cabc.Iterator[LiveApp]:
    """An app whose sessions are on one of the backends."""
    if request.param == "redis":
        client = request.getfixturevalue("redis_client")
        yield start(add_views, SESSION_TYPE="redis", SESSION_REDIS=client)
    elif request.param == "sql":
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(live_app, "Flask", WithDatabase)
            live = start(add_views, SESSION_TYPE="sqlalchemy")
        yield live
        session_apps.close_database(live.app)
    else:
        yield start(add_views)


class TestSlowRequest:
    @pytest.mark.parametrize("how", ["write", "new-id"])
    def test_cannot_undo_it(self, stored: LiveApp, how: str) -> None:
        """A view that still runs in another browser brings its session not back."""
        live = stored
        person, other = signed_in(live), signed_in(live)
        entered, go_on = live.app.config["GATES"]
        before = live.cookie(other)
        running = threading.Thread(
            target=lambda: other.get(f"{live.url}/slow/{how}"), daemon=True
        )
        running.start()
        assert entered.wait(PATIENCE)
        everywhere(live, person)
        go_on.set()
        running.join(PATIENCE)
        assert other.get(live.url + "/").text == NOBODY
        with live.app.test_request_context(headers={"Cookie": before}):
            assert not session
