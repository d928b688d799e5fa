"""The signed-in user, out of a session that may hold anything."""

from __future__ import annotations

import math
import time
import typing as t
from pathlib import Path

import pytest
from flask import Flask
from flask import session

from flask_msal_errors.user import User
from flask_msal_errors.user import doubted
from flask_msal_errors.user import remember
from flask_msal_errors.user import renew_id
from flask_msal_errors.user import signed_in
from support import session_apps

CLAIMS = {"iss": "https://issuer", "sub": "subject"}


@pytest.fixture
def request_context() -> t.Iterator[None]:
    app = session_apps.registered(Flask("user"))
    app.secret_key = "secret"
    with app.test_request_context():
        yield


@pytest.mark.usefixtures("request_context")
class TestSignedIn:
    """The one key of the session that is ours."""

    def test_remembered(self) -> None:
        """Handle and claims come back, without those of no use to an app."""
        remember("handle", {**CLAIMS, "nonce": "n", "aio": "x", "name": "Ada"}, 100)
        person = signed_in()
        assert person is not None and person.handle == "handle"
        assert person.user.claims == {**CLAIMS, "name": "Ada"}
        assert person.renew_at == pytest.approx(time.time() + 50, abs=5)
        assert set(session) == {session_apps.own_key()}

    def test_nobody(self) -> None:
        """An empty session is nobody's."""
        assert signed_in() is None

    def test_renewed_id(self, tmp_path: Path) -> None:
        """A sign-in changes the session id: a planted one is worth nothing."""
        app = session_apps.session_app(tmp_path, "memory")
        session_apps.registered(app)

        @app.get("/sign-in")
        def sign_in() -> str:
            remember("handle", CLAIMS, 100)
            renew_id()
            return "in"

        browser = app.test_client()
        browser.get("/set/1")
        planted = session_apps.session_id(browser)
        browser.get("/sign-in")
        assert session_apps.session_id(browser) not in ("", planted)
        assert browser.get("/get").text == "1"
        other = app.test_client()
        other.set_cookie("session", planted)
        assert other.get("/get").text == "None"

    @pytest.mark.parametrize(
        "kept",
        [
            *(None, 1, "text", [], {}, {"handle": "h"}),
            {"handle": 1, "claims": CLAIMS, "renew_at": 1, "since": 1},
            {"handle": "h", "claims": CLAIMS},
            {"handle": "h", "claims": CLAIMS, "renew_at": "soon", "since": 1},
            {"handle": "h", "claims": CLAIMS, "renew_at": 1},
            {"handle": "h", "claims": CLAIMS, "renew_at": 1, "since": "then"},
            {"handle": "h", "claims": [], "renew_at": 1, "since": 1},
            {"handle": "h", "claims": {"sub": "s"}, "renew_at": 1, "since": 1},
            {"handle": "h", "claims": {"iss": "i"}, "renew_at": 1, "since": 1},
        ],
    )
    def test_malformed(self, kept: t.Any) -> None:
        """Anything malformed under our key is nobody, not an error."""
        session[session_apps.own_key()] = kept
        assert signed_in() is None

    @pytest.mark.parametrize(
        ("times", "asked_at"),
        [
            ({}, 0),
            ({"vouched_at": 1000}, 1000),
            ({"vouched_at": 1000.5, "tried_at": 2000}, 2000),
            ({"vouched_at": 3000, "tried_at": 2000}, 3000),
            ({"vouched_at": 1000, "doubted_at": 2000}, 0),
            ({"vouched_at": 1000, "tried_at": 3000, "doubted_at": 2000}, 0),
            ({"vouched_at": 2000, "doubted_at": 1000}, 2000),
            ({"vouched_at": "then", "tried_at": None, "doubted_at": []}, 0),
            ({"vouched_at": {}, "tried_at": [[]], "doubted_at": "1e9"}, 0),
        ],
    )
    def test_asked(self, times: dict[str, t.Any], asked_at: float) -> None:
        """Without a time, or with a doubt, the provider has to be asked again."""
        remember("handle", CLAIMS, 100)
        key = session_apps.own_key()
        session[key] = {**session[key], "vouched_at": 0, **times}
        person = signed_in()
        assert person is not None
        assert person.asked_at == asked_at
        assert person.recheck_at == math.inf

    def test_doubted(self) -> None:
        """A session is doubted by its handle; anything else stays as it is."""
        kept = {"handle": "h", "claims": CLAIMS, "vouched_at": 1}
        changed = doubted(kept, "h")
        assert changed is not None
        assert changed.pop("doubted_at") == pytest.approx(time.time(), abs=5)
        assert changed == kept
        others: list[t.Any] = [None, [], "h", {}, {"handle": ["h"]}, {"handle": "x"}]
        for other in others:
            assert doubted(other, "h") is None


class TestUser:
    """A user by the claims of their ID token."""

    @pytest.mark.parametrize(
        ("claims", "username", "name"),
        [
            ({"preferred_username": "p", "upn": "u", "name": "Ada"}, "p", "Ada"),
            ({"upn": "u", "email": "e"}, "u", "u"),
            ({"email": "e"}, "e", "e"),
            ({"emails": ["first", "second"]}, "first", "first"),
            ({"emails": []}, "", "subject"),
            ({}, "", "subject"),
        ],
    )
    def test_names(self, claims: dict[str, str], username: str, name: str) -> None:
        """The first claim that says it; the subject is a name of last resort."""
        user = User({**CLAIMS, **claims})
        assert (user.username, user.name) == (username, name)

    def test_identity(self) -> None:
        """Issuer and subject are the account; oid and tid may be missing."""
        user = User({**CLAIMS, "oid": "o", "tid": "t"})
        assert user.account == ("https://issuer", "subject")
        assert (user.object_id, user.tenant_id, user.subject) == ("o", "t", "subject")
        assert (User(CLAIMS).object_id, User(CLAIMS).tenant_id) == (None, None)
        assert len({User(CLAIMS), User({**CLAIMS}), User({**CLAIMS, "sub": "b"})}) == 2

    def test_digest(self) -> None:
        """An account's short name tells accounts apart and says nothing of them."""
        names = {
            User({"iss": issuer, "sub": subject}).digest
            for issuer in ("i", "j")
            for subject in ("s", "u")
        }
        assert len(names) == 4 and {len(name) for name in names} == {16}
        assert User({**CLAIMS, "name": "A"}).digest == User(CLAIMS).digest

    @pytest.mark.parametrize(
        ("value", "seconds"),
        [
            *((5, 5), (5.9, 5), ("5", 5), ("x", None), (None, None), ("²", None)),
            *((-1, None), (1_800_000_000_000, None), ("1800000000000", None)),
            *((float("inf"), None), (float("nan"), None), ("9" * 5000, None)),
        ],
    )
    def test_auth_time(self, value: t.Any, seconds: int | None) -> None:
        """A number of seconds, or unknown: milliseconds are none."""
        assert User({**CLAIMS, "auth_time": value}).auth_time == seconds

    @pytest.mark.parametrize(
        ("age", "is_fresh"), [(700, True), (800, False), (-100, True), (-200, False)]
    )
    def test_authenticated_within(self, age: int, is_fresh: bool) -> None:
        """A time in the future is no proof, apart from what clocks differ by."""
        user = User({**CLAIMS, "auth_time": time.time() - age})
        assert user.authenticated_within(600, 120) is is_fresh
