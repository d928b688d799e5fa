"""Flask-Login beside us, in an app that signs in its own users by it, too."""

from __future__ import annotations

import typing as t

import pytest
from flask import session

from flask_msal_errors import signals
from flask_msal_errors.testing import Emulator
from flask_msal_errors.testing import Person
from support import session_apps
from support.browsing import heir
from support.live_app import LiveApp
from support.live_app import Start

pytestmark = [
    # Flask-Login 0.6.3 sets its cookie so, on Python 3.12 or later.
    pytest.mark.filterwarnings("ignore:datetime.datetime.utcnow:DeprecationWarning"),
]


class Member:
    """A user as Flask-Login takes them."""

    is_authenticated = is_active = True

    def __init__(self, id: str) -> None:
        self.id = id

    def get_id(self) -> str:
        return self.id


def remembering(live: LiveApp) -> None:
    """Flask-Login, which remembers whoever signs in."""
    import flask_login

    manager = flask_login.LoginManager(live.app)
    manager.user_loader(Member)

    def remember(app: t.Any, user: t.Any, **_: t.Any) -> None:
        flask_login.login_user(Member(user.username), remember=True)

    live.app.extensions["receiver"] = remember
    signals.signed_in.connect(remember, live.app)

    @live.app.get("/expired")
    def expired() -> str:
        key = session_apps.own_key()
        session[key] = {**session[key], "since": 1}
        return "as if the sign-in were long ago"

    @live.app.get("/current")
    def current() -> str:
        return str(flask_login.current_user.get_id())


@pytest.fixture
def person(entra: Emulator) -> Person:
    return entra.person()


@pytest.fixture
def live(start: Start, person: Person) -> LiveApp:
    """An app where Flask-Login remembers Ada, whatever her session is."""
    live = start(remembering, MSAL_SESSION_MAX_AGE=3600)
    person.visit(live.url + "/me")
    person.cookies.clear(live.url, "session")
    assert person.get(live.url + "/current").text == "ada@contoso.example"
    person.visit(live.url + "/me")
    return live


def test_sign_out(live: LiveApp, person: Person) -> None:
    """Our sign-out ends Flask-Login's, too, cookie included."""
    person.submit(person.get(live.url + "/auth/logout"))
    assert person.cookies.get(live.url, "remember_token") is None
    assert person.get(live.url + "/current").text == "None"


def test_next_person(live: LiveApp, person: Person, entra: Emulator) -> None:
    """Nor is anybody remembered when another account signs in after the end of one."""
    signals.signed_in.disconnect(live.app.extensions["receiver"], live.app)
    person.get(live.url + "/expired")
    grace = heir(entra, person)
    assert grace.visit(live.url + "/me").text == "me grace@contoso.example"
    assert grace.cookies.get(live.url, "remember_token") is None
    assert grace.get(live.url + "/current").text == "None"


def test_deleted_row(start: Start, person: Person, entra: Emulator) -> None:
    """A row that is gone sends who is signed in to sign in, five times and no more."""

    def add(live: LiveApp) -> None:
        import flask_login

        manager = flask_login.LoginManager(live.app)
        manager.login_view = "msal.login"
        manager.user_loader(lambda id: None)
        view = flask_login.login_required(lambda: "the desk")
        live.app.add_url_rule("/desk", "desk", view)

    live = start(add)
    person.visit(live.url + "/me")
    page = person.visit(live.url + "/desk")
    assert (page.status_code, page.url.startswith(live.url + "/auth/login")) == (400, 1)
    assert "sends you to sign in although you are signed in" in page.text
    assert entra.counters["authorize"] == 1 + 5
