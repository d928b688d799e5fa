"""Session content from before a sign-in: a visitor's is kept, another account's goes.

As Django's login does. A secret that the visitor's session held is renewed.
"""

from __future__ import annotations

import copy
import typing as t

import pytest
from flask import session
from flask_wtf import CSRFProtect
from flask_wtf.csrf import generate_csrf

from flask_msal_errors import signals
from flask_msal_errors.testing import Emulator
from flask_msal_errors.testing import Person
from support import session_apps
from support.browsing import heir
from support.live_app import LiveApp
from support.live_app import Start


def add_views(live: LiveApp) -> None:
    """A form that Flask-WTF protects, and a way to change the session's own content."""
    CSRFProtect(live.app)

    @live.app.get("/token")
    def token() -> str:
        return str(generate_csrf())

    @live.app.post("/order")
    def order() -> str:
        return "ordered"

    @live.app.get("/expired")
    def expired() -> str:
        key = session_apps.own_key()
        session[key] = {**session[key], "since": 1}
        return "expired"

    @live.app.get("/moved")
    def moved() -> str:
        session["_msal_0123456789ab"] = session.pop(session_apps.own_key())
        return "as the app left it before it got another client id"


def ordered(live: LiveApp, person: Person, token: str) -> int:
    """The status of an order with a token of Flask-WTF's."""
    name = live.app.config["WTF_CSRF_FIELD_NAME"]
    return person.post(f"{live.url}/order", {name: token}).status_code


class TestAnonymous:
    """A visitor who signs in."""

    def test_basket(self, start: Start, entra: Emulator) -> None:
        """The content of their basket is still there."""
        live, ada = start(add_views), entra.person()
        ada.get(live.url + "/basket/pear")
        assert ada.visit(live.url + "/me").text == "me ada@contoso.example"
        assert ada.get(live.url + "/basket/apple").text == "pear apple"

    @pytest.mark.parametrize("name", ["csrf_token", "own_name"])
    def test_csrf_secret(self, start: Start, entra: Emulator, name: str) -> None:
        """A token that was good before is not any more; a new one is."""
        live, ada = start(add_views, WTF_CSRF_FIELD_NAME=name), entra.person()
        token = ada.get(live.url + "/token").text
        assert ordered(live, ada, token) == 200
        ada.visit(live.url + "/me")
        assert ordered(live, ada, token) == 400
        assert ordered(live, ada, ada.get(live.url + "/token").text) == 200

    def test_planted(self, start: Start, entra: Emulator) -> None:
        """The owner of a planted session knows neither its new id nor its secret."""
        live, mallory, ada = start(add_views), entra.person("grace"), entra.person()
        token = mallory.get(live.url + "/token").text
        ada.cookies = copy.deepcopy(mallory.cookies)
        assert ordered(live, ada, token) == 200
        ada.visit(live.url + "/me")
        assert ordered(live, ada, token) == 400
        assert mallory.get(live.url + "/").text == "hello nobody"

    def test_signal(self, start: Start, entra: Emulator) -> None:
        """Receivers of ``signed_in`` can renew what other extensions keep."""
        live, ada = start(add_views), entra.person()

        def renew(sender: t.Any, **extra: t.Any) -> None:
            session["basket"] = ["renewed"]

        ada.get(live.url + "/basket/pear")
        with signals.signed_in.connected_to(renew, live.app):
            ada.visit(live.url + "/me")
        assert ada.get(live.url + "/basket/apple").text == "renewed apple"


class TestUser:
    """Somebody who was signed in, and signs in again."""

    @pytest.mark.parametrize("path", ["/vault", "/auth/login?next=/vault"])
    def test_again(self, start: Start, entra: Emulator, path: str) -> None:
        """All stays for a user who is still signed in, a form's token too."""
        live, ada = start(add_views), entra.person()
        ada.visit(live.url + "/me")
        ada.get(live.url + "/basket/pear")
        token = ada.get(live.url + "/token").text
        assert ada.visit(live.url + path).text == "the vault"
        assert ordered(live, ada, token) == 200
        assert ada.get(live.url + "/basket/apple").text == "pear apple"

    def test_same_after_its_end(self, start: Start, entra: Emulator) -> None:
        """The session of a user whose sign-in is too old is still theirs."""
        live, ada = start(add_views, MSAL_SESSION_MAX_AGE=3600), entra.person()
        ada.visit(live.url + "/me")
        ada.get(live.url + "/basket/pear")
        token = ada.get(live.url + "/token").text
        ada.get(live.url + "/expired")
        assert ada.get(live.url + "/").text == "hello nobody"
        ada.visit(live.url + "/me")
        assert ordered(live, ada, token) == 200
        assert ada.get(live.url + "/basket/apple").text == "pear apple"

    @pytest.mark.parametrize("end", ["/expired", "/moved"])
    def test_another_after_its_end(
        self, start: Start, entra: Emulator, end: str
    ) -> None:
        """Another account finds nothing of the one before, the secret included."""
        live, ada = start(add_views, MSAL_SESSION_MAX_AGE=3600), entra.person()
        ada.visit(live.url + "/me")
        ada.get(live.url + "/basket/pear")
        token = ada.get(live.url + "/token").text
        ada.get(live.url + end)
        grace = heir(entra, ada)
        assert grace.get(live.url + "/").text == "hello nobody"
        assert grace.visit(live.url + "/me").text == "me grace@contoso.example"
        assert grace.get(live.url + "/basket/apple").text == "apple"
        assert ordered(live, grace, token) == 400
