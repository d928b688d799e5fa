"""Ending a sign-in, over real sockets."""

from __future__ import annotations

import urllib.parse

import pytest
from flask import session

from flask_msal_errors import signals
from flask_msal_errors.testing import Emulator
from flask_msal_errors.testing import Person
from support.browsing import logout_token
from support.browsing import query
from support.live_app import LiveApp
from support.live_app import Start


class TestEnd:
    def logout_link(self, live: LiveApp, person: Person) -> str:
        page = person.get(live.url + "/links")
        return urllib.parse.urljoin(live.url, page.text)

    @pytest.fixture
    def live(self, start: Start) -> LiveApp:
        def add(live: LiveApp) -> None:
            live.app.add_url_rule("/links", "links", lambda: live.auth.logout_url())

        return start(add)

    def test_ends_session_and_record(self, live: LiveApp, entra: Emulator) -> None:
        """Signing out deletes session and record, here and at the provider."""
        person = entra.person()
        before = live.records()
        person.visit(live.url + "/profile")
        session_id = live.session_id(person)
        assert live.records() != before
        shown = person.visit(self.logout_link(live, person))
        assert shown.url == live.url + "/auth/signed-out"
        assert "You are signed out" in shown.text
        assert shown.headers["Cache-Control"] == "no-store"
        person.cookies.store(live.url, [f"session={session_id}; Path=/"])
        assert person.get(live.url + "/").text == "hello nobody"
        person.visit(live.url + "/me")
        assert person.pages[-1] != "done" and "pick" in person.pages[1:]

    def test_what_the_provider_is_told(self, live: LiveApp, entra: Emulator) -> None:
        """The provider gets client, way back and a hint, and no ID token."""
        person = entra.person()
        person.visit(live.url + "/me")
        answer = person.get(self.logout_link(live, person))
        assert answer.status_code == 303
        assert answer.headers["Cache-Control"] == "no-store"
        assert query(answer.headers["Location"]) == {
            "client_id": entra.client_id,
            "post_logout_redirect_uri": live.url + "/auth/signed-out",
            "logout_hint": entra.users["ada"].hint,
        }

    @pytest.mark.parametrize(
        ("setting", "back"),
        [("/bye?a=b", "{url}/bye?a=b"), ("https://x.example/", "https://x.example/")],
    )
    def test_post_logout(
        self, start: Start, entra: Emulator, setting: str, back: str
    ) -> None:
        """MSAL_POST_LOGOUT, a path or a URL, is where the provider sends people."""
        live = start(MSAL_POST_LOGOUT=setting)
        person = entra.person()
        page = person.get(live.url + "/auth/logout")
        answer = person.post(
            live.url + "/auth/logout", {"token": logout_token(page), "a": "b"}
        )
        told = query(answer.headers["Refresh"].removeprefix("0; url="))
        assert told["post_logout_redirect_uri"] == back.format(url=live.url)
        assert "logout_hint" not in told

    def test_without_token_there_is_a_button(
        self, live: LiveApp, entra: Emulator
    ) -> None:
        """A bare link signs nobody out; the page's button does."""
        person = entra.person()
        person.visit(live.url + "/me")
        page = person.get(live.url + "/auth/logout")
        assert page.status_code == 200
        assert "ada@contoso.example" in page.text
        assert person.get(live.url + "/").text == "hello ada@contoso.example"
        person.visit(live.url + "/auth/logout", {"token": logout_token(page)})
        assert person.get(live.url + "/").text == "hello nobody"

    @pytest.mark.parametrize("token", ["", "garbage", "{other}", "{anonymous}"])
    def test_token_is_the_sessions(
        self, live: LiveApp, entra: Emulator, token: str
    ) -> None:
        """Another session's token, or a made-up one, signs nobody out."""
        other, nobody, person = entra.person("linus"), entra.person(), entra.person()
        other.visit(live.url + "/me")
        person.visit(live.url + "/me")
        tokens = {
            "other": query(self.logout_link(live, other))["token"],
            "anonymous": query(self.logout_link(live, nobody))["token"],
        }
        tried = {"token": token.format(**tokens)}
        assert person.get(f"{live.url}/auth/logout?{urllib.parse.urlencode(tried)}").ok
        assert person.post(live.url + "/auth/logout", tried).status_code == 200
        assert person.get(live.url + "/").text == "hello ada@contoso.example"

    def test_made_up_token_of_a_visitor(self, live: LiveApp, entra: Emulator) -> None:
        """For a visitor too, a made-up token asks first."""
        answer = entra.person().get(live.url + "/auth/logout?token=garbage")
        assert answer.status_code == 200
        assert "Nobody is signed in" in answer.text

    def test_cross_site_post(self, live: LiveApp, entra: Emulator) -> None:
        """Another site's form signs nobody out, not even with a stolen token."""
        person = entra.person()
        person.visit(live.url + "/me")
        token = query(self.logout_link(live, person))["token"]
        for origin in ("https://evil.example/", "http://localhost:1/"):
            answer = person.post(
                live.url + "/auth/logout", {"token": token}, chain=(origin,)
            )
            assert answer.status_code == 200
        assert person.get(live.url + "/").text == "hello ada@contoso.example"

    def test_provider_is_down(
        self, start: Start, entra: Emulator, caplog: pytest.LogCaptureFixture
    ) -> None:
        """With an unreachable provider the user is signed out here all the same."""
        person = entra.person()
        live = start()
        person.visit(live.url + "/me")
        session_id = live.session_id(person)
        client = live.app.extensions["flask_msal_errors"].client
        entra.unavailable(target="discovery")
        client.provider.by_process = {}
        page = person.get(live.url + "/auth/logout")
        shown = person.visit(live.url + "/auth/logout", {"token": logout_token(page)})
        assert shown.url == live.url + "/auth/signed-out"
        assert "Signed out here only" in caplog.text
        person.cookies.store(live.url, [f"session={session_id}; Path=/"])
        assert person.get(live.url + "/").text == "hello nobody"

    def test_provider_without_sign_out(
        self, live: LiveApp, entra: Emulator, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """A provider that has no such place is not gone to."""
        client = live.app.extensions["flask_msal_errors"].client
        monkeypatch.setattr(client, "end_session_endpoint", lambda: None)
        person = entra.person()
        person.visit(live.url + "/me")
        answer = person.get(self.logout_link(live, person))
        assert answer.headers["Location"] == live.url + "/auth/signed-out"

    def test_id_is_abandoned(self, start: Start, entra: Emulator) -> None:
        """A value that a signal handler puts in the session goes into a new one."""

        def leave_word(app: object, user: object) -> None:
            session["word"] = f"bye {getattr(user, 'username', '')}"

        def add(live: LiveApp) -> None:
            live.app.add_url_rule("/word", "word", lambda: session.get("word", ""))

        live = start(add)
        person = entra.person()
        person.visit(live.url + "/me")
        before = live.session_id(person)
        page = person.get(live.url + "/auth/logout")
        with signals.signed_out.connected_to(leave_word, live.app):
            person.visit(live.url + "/auth/logout", {"token": logout_token(page)})
        assert person.get(live.url + "/word").text == "bye ada@contoso.example"
        assert live.session_id(person) != before

    def test_resets_the_loop_counter(self, live: LiveApp, entra: Emulator) -> None:
        """Signing out and in, again and again, is no loop."""
        person = entra.person()
        for _ in range(6):
            assert person.visit(live.url + "/me").status_code == 200
            person.visit(self.logout_link(live, person))
