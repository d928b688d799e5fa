"""Beginning, completing and ending a sign-in, over real sockets."""

from __future__ import annotations

import json
import logging
import re
import typing as t
import urllib.parse

import pytest
import requests
from flask import session

from flask_msal_errors import signals
from flask_msal_errors.testing import Emulator
from flask_msal_errors.testing import Person
from support import session_apps
from support.live_app import LiveApp
from support.live_app import Start


def location(response: requests.Response) -> urllib.parse.SplitResult:
    return urllib.parse.urlsplit(response.headers["Location"])


def query(url: str) -> dict[str, str]:
    return dict(urllib.parse.parse_qsl(urllib.parse.urlsplit(url).query))


def callback_of(person: Person) -> str:
    """The URL with the code that the identity provider sent this browser to."""
    return next(url for url in reversed(person.history) if "/auth/callback?" in url)


def paused_at_callback(person: Person, url: str) -> str:
    """Go as far as the identity provider's answer; returns where it leads."""
    return person.authorize(person.get(url).headers["Location"]).url


def authorize_query(entra: Emulator) -> dict[str, str]:
    return next(c.query for c in reversed(entra.calls) if c.kind == "authorize")


def token_form(entra: Emulator) -> dict[str, str]:
    return next(c.form for c in reversed(entra.calls) if c.kind == "token")


class TestReturn:
    @pytest.mark.parametrize(
        "path",
        [
            "/me",
            "/me?a=b%26c&d=%2F&e=a+b&f=%E2%82%AC",
            "/me?next=//evil.example",
            "/me?a=1&a=2&=&b",
            "/me?" + "q=x%20y&" * 400,
        ],
    )
    def test_to_the_very_url(self, live: LiveApp, entra: Emulator, path: str) -> None:
        """A visitor comes back to the page they asked for, with its query."""
        person = entra.person("ada")
        shown = person.visit(live.url + path)
        assert shown.text == "me ada@contoso.example"
        assert shown.url == live.url + path
        assert entra.counters["token"] == 1

    @pytest.mark.parametrize(
        ("next_", "lands"),
        [
            ("/basket/apple?a=b", "/basket/apple?a=b"),
            ("//evil.example/", "/"),
            ("https://evil.example/", "/"),
            ("/\\evil.example", "/"),
            ("javascript:alert(1)", "/"),
            ("", "/"),
        ],
    )
    def test_next_is_guarded(
        self, live: LiveApp, entra: Emulator, next_: str, lands: str
    ) -> None:
        """An unsigned login link leads to a path of this app and nowhere else."""
        person = entra.person()
        login = f"{live.url}/auth/login?{urllib.parse.urlencode({'next': next_})}"
        assert person.visit(login).url == live.url + lands

    def test_next_in_full(self, live: LiveApp, entra: Emulator) -> None:
        """A login link with the app's own URL, host included, leads to its path."""
        full = f"{live.url}/basket/apple?a=b%26c"
        login = f"{live.url}/auth/login?{urllib.parse.urlencode({'next': full})}"
        assert entra.person().visit(login).url == full

    def test_unsigned_login_takes_only_next(
        self, live: LiveApp, entra: Emulator
    ) -> None:
        """Nobody can make a login link that asks for claims, scopes or an account."""
        wish = "claims={}&scopes=Mail.Read&prompt=consent&login_hint=eve&acrs=c9"
        entra.person().visit(f"{live.url}/auth/login?{wish}&max_age=0&reason=x")
        sent = authorize_query(entra)
        assert set(sent["scope"].split()) == {
            *("openid", "profile", "offline_access", entra.scope("Profile.Read"))
        }
        assert not {"prompt", "login_hint", "max_age"} & sent.keys()
        assert json.loads(sent["claims"]) == {
            "access_token": {"xms_cc": {"values": ["CP1"]}}
        }


class TestProtocol:
    def test_pkce_state_and_nonce(self, live: LiveApp, entra: Emulator) -> None:
        """Each attempt has its own state, nonce and S256 challenge."""
        seen: list[dict[str, str]] = []
        for _ in range(2):
            entra.person().visit(live.url + "/me")
            seen.append(authorize_query(entra))
            assert token_form(entra)["code_verifier"]
        for name in ("state", "nonce", "code_challenge"):
            assert len({each[name] for each in seen}) == 2
        assert seen[0]["code_challenge_method"] == "S256"
        assert seen[0]["response_type"] == "code"

    def test_cp1_and_claims_reach_both_ends(
        self, live: LiveApp, entra: Emulator
    ) -> None:
        """Claims go to the authorize page and to the redemption, with CP1."""
        entra.person().visit(live.url + "/vault")
        wanted = {
            "access_token": {"xms_cc": {"values": ["CP1"]}},
            "id_token": {"acrs": {"essential": True, "value": "c1"}},
        }
        assert json.loads(authorize_query(entra)["claims"]) == wanted
        assert json.loads(token_form(entra)["claims"]) == wanted

    def test_claims_of_a_challenge(self, live: LiveApp, entra: Emulator) -> None:
        """An API's claims reach authorize page and redemption just the same."""
        person = entra.person()
        person.visit(live.url + "/profile")
        entra.revoke("ada")
        assert person.visit(live.url + "/profile").status_code == 200
        claims = json.loads(authorize_query(entra)["claims"])
        assert claims["access_token"]["nbf"]["essential"] is True
        assert claims["access_token"]["xms_cc"] == {"values": ["CP1"]}
        redeemed = [
            c.form
            for c in entra.calls
            if c.form.get("grant_type") == "authorization_code"
        ]
        assert json.loads(redeemed[-1]["claims"]) == claims

    def test_consent_is_incremental(self, live: LiveApp, entra: Emulator) -> None:
        """A view's scopes are asked for when it is visited, and consented to once."""
        person = entra.person()
        person.visit(live.url + "/profile")
        assert "Mail.Read" not in authorize_query(entra)["scope"]
        assert person.visit(live.url + "/mail").status_code == 200
        assert entra.scope("Mail.Read") in authorize_query(entra)["scope"]
        assert person.pages.count("consent") == 2
        sign_ins = entra.counters["authorize"]
        assert person.visit(live.url + "/mail").status_code == 200
        assert person.visit(live.url + "/profile").status_code == 200
        assert entra.counters["authorize"] == sign_ins

    def test_prompt_only_at_first(self, start: Start, entra: Emulator) -> None:
        """MSAL_PROMPT and the domain hint are for a first sign-in only."""
        live = start(MSAL_PROMPT="select_account", MSAL_DOMAIN_HINT="contoso.example")
        person = entra.person()
        person.visit(live.url + "/me")
        first = authorize_query(entra)
        assert first["prompt"] == "select_account"
        assert first["domain_hint"] == "contoso.example"
        assert "login_hint" not in first
        person.visit(live.url + "/mail")
        again = authorize_query(entra)
        assert again["login_hint"] == entra.users["ada"].hint
        assert not {"prompt", "domain_hint"} & again.keys()

    def test_hint_without_the_optional_claim(
        self, live: LiveApp, entra: Emulator
    ) -> None:
        """Without ``login_hint`` in the ID token the user name is the hint."""
        entra.forge(drop=["login_hint"])
        person = entra.person()
        person.visit(live.url + "/me")
        person.visit(live.url + "/mail")
        assert authorize_query(entra)["login_hint"] == "ada@contoso.example"

    def test_answers_are_not_stored(self, live: LiveApp, entra: Emulator) -> None:
        """No cache keeps a redirect with a state or a page about a sign-in."""
        person = entra.person()
        assert person.get(live.url + "/me").headers["Cache-Control"] == "no-store"
        answer = paused_at_callback(person, live.url + "/me")
        assert person.get(answer).headers["Cache-Control"] == "no-store"
        assert person.get(answer).headers["Cache-Control"] == "no-store"


class TestSession:
    def test_new_id_and_old_content(self, live: LiveApp, entra: Emulator) -> None:
        """Signing in changes the session's id and keeps what a visitor put there."""
        person = entra.person()
        person.get(live.url + "/basket/apple")
        before = live.session_id(person)
        person.visit(live.url + "/me")
        after = live.session_id(person)
        assert before and after and before != after
        assert person.get(live.url + "/basket/pear").text == "apple pear"

    def test_planted_id_is_worth_nothing(self, live: LiveApp, entra: Emulator) -> None:
        """A planted session id does not become signed in by the victim's sign-in."""
        attacker, victim = entra.person("linus"), entra.person("ada")
        attacker.get(live.url + "/basket/bait")
        planted = live.session_id(attacker)
        victim.cookies.store(live.url, [f"session={planted}; Path=/"])
        assert victim.visit(live.url + "/me").text == "me ada@contoso.example"
        assert attacker.get(live.url + "/").text == "hello nobody"
        assert live.session_id(victim) != planted

    def test_id_is_new_at_reauthentication(
        self, live: LiveApp, entra: Emulator
    ) -> None:
        """Each sign-in abandons the id before; the one before is worth nothing."""
        person = entra.person()
        person.visit(live.url + "/me")
        before = live.session_id(person)
        person.visit(live.url + "/mail")
        assert live.session_id(person) != before
        person.cookies.store(live.url, [f"session={before}; Path=/"])
        assert person.get(live.url + "/").text == "hello nobody"

    def test_a_lost_record_is_made_anew(self, live: LiveApp, entra: Emulator) -> None:
        """A store that lost the tokens costs one sign-in, not an endless loop."""
        person = entra.person()
        person.visit(live.url + "/profile")
        with live.app.test_request_context(headers={"Cookie": live.cookie(person)}):
            handle = session[session_apps.own_key()]["handle"]
            live.app.extensions["flask_msal_errors"].records.delete(handle)
        sign_ins = entra.counters["authorize"]
        for _ in range(3):
            assert person.visit(live.url + "/profile").status_code == 200
        assert entra.counters["authorize"] == sign_ins + 1

    def test_a_visitor_costs_no_state(self, live: LiveApp, entra: Emulator) -> None:
        """Beginning sign-ins leaves nothing on the server."""
        person = entra.person()
        before = live.records()
        for _ in range(10):
            assert person.get(live.url + "/me").status_code == 302
        assert live.records() == before

    def test_tabs(self, live: LiveApp, entra: Emulator) -> None:
        """Two sign-ins side by side both end where they began."""
        person = entra.person()
        one = paused_at_callback(person, live.url + "/me?tab=1")
        other = paused_at_callback(person, live.url + "/me?tab=2")
        assert person.visit(one).url == live.url + "/me?tab=1"
        assert person.visit(other).url == live.url + "/me?tab=2"


class TestOtherAccount:
    def returned_as_grace(self, live: LiveApp, entra: Emulator) -> tuple[Person, t.Any]:
        person = entra.person("ada")
        person.visit(live.url + "/me")
        person.get(live.url + "/basket/adas")
        person.cookies.clear(entra.pages_url, f"ESTSAUTH{_port(entra.pages_url)}")
        person.name = "grace"
        return person, person.visit(live.url + "/mail")

    def test_page_names_both(self, live: LiveApp, entra: Emulator) -> None:
        """Coming back as somebody else changes nothing, and a page says who is who."""
        person, page = self.returned_as_grace(live, entra)
        assert page.status_code == 400
        assert "ada@contoso.example" in page.text
        assert "grace@contoso.example" in page.text
        assert person.get(live.url + "/").text == "hello ada@contoso.example"
        stay = _links(page)[0]
        assert urllib.parse.urljoin(page.url, stay) == live.url + "/mail"

    def test_button_starts_afresh(self, live: LiveApp, entra: Emulator) -> None:
        """The page's button signs in the other account, with nothing of the old one."""
        person, page = self.returned_as_grace(live, entra)
        before = live.session_id(person)
        shown = person.visit(urllib.parse.urljoin(page.url, _links(page)[1]))
        assert shown.text == "hello grace@contoso.example"
        assert authorize_query(entra)["login_hint"] == "grace@contoso.example"
        assert person.get(live.url + "/basket/new").text == "new"
        person.cookies.store(live.url, [f"session={before}; Path=/"])
        assert person.get(live.url + "/").text == "hello nobody"

    def test_button_is_this_sessions(self, live: LiveApp, entra: Emulator) -> None:
        """In another session the button's link ends no session."""
        _, page = self.returned_as_grace(live, entra)
        link = urllib.parse.urljoin(page.url, _links(page)[1])
        linus = entra.person("linus")
        linus.visit(live.url + "/me")
        assert linus.visit(link).text == "hello linus@contoso.example"

    def test_with_the_session_lost(self, live: LiveApp, entra: Emulator) -> None:
        """A re-authentication stays one, also when the session went meanwhile."""
        person = entra.person("ada")
        person.visit(live.url + "/me")
        begun = person.get(live.url + "/mail")
        person.cookies.clear(live.url, "session")
        person.cookies.clear(entra.pages_url, f"ESTSAUTH{_port(entra.pages_url)}")
        person.name = "grace"
        page = person.visit(begun.headers["Location"])
        assert page.status_code == 400
        assert "grace@contoso.example" in page.text
        assert "ada" not in page.text
        assert person.get(live.url + "/").text == "hello nobody"
        shown = person.visit(urllib.parse.urljoin(page.url, _links(page)[0]))
        assert shown.text == "hello grace@contoso.example"


def _port(url: str) -> int | None:
    return urllib.parse.urlsplit(url).port


def _links(page: requests.Response) -> list[str]:
    actions = page.text.partition('class="actions"')[2]
    return [
        link.replace("&amp;", "&") for link in re.findall('href="([^"]+)"', actions)
    ]


class TestRefused:
    def test_forged_at_first(self, live: LiveApp, entra: Emulator) -> None:
        """A forged ID token signs nobody in; only a mark that it came is left."""
        entra.forge(alg="none")
        person = entra.person()
        assert live.records() == []
        page = person.visit(live.url + "/me")
        assert page.status_code == 400
        assert "could not be trusted" in page.text
        assert len(live.records()) == 1
        assert person.get(live.url + "/").text == "hello nobody"
        entra.clear_faults()
        again = urllib.parse.urljoin(page.url, _links(page)[0])
        assert person.visit(again).url == live.url + "/me"

    def test_forged_later(self, live: LiveApp, entra: Emulator) -> None:
        """At a re-authentication a forged ID token changes neither user nor tokens."""
        person = entra.person()
        person.visit(live.url + "/profile")
        session_id = live.session_id(person)
        entra.forge(sub="somebody else", name="Eve")
        entra.forge(alg="HS256")
        assert person.visit(live.url + "/mail").status_code == 400
        assert live.session_id(person) == session_id
        assert person.get(live.url + "/").text == "hello ada@contoso.example"
        asked = entra.counters["token"]
        assert person.get(live.url + "/profile").status_code == 200
        assert entra.counters["token"] == asked
        # The tokens that came with the forged one were not kept.
        assert person.get(live.url + "/mail").status_code == 302

    def test_nonce_of_another_attempt(self, live: LiveApp, entra: Emulator) -> None:
        """An ID token for another attempt is refused."""
        entra.forge(nonce="another")
        person = entra.person()
        assert person.visit(live.url + "/me").status_code == 400
        assert person.get(live.url + "/").text == "hello nobody"

    def test_code_of_another_attempt(self, live: LiveApp, entra: Emulator) -> None:
        """PKCE: a code that was stolen from another browser cannot be redeemed."""
        victim, attacker = entra.person("ada"), entra.person("linus")
        code = query(paused_at_callback(victim, live.url + "/me"))["code"]
        own = paused_at_callback(attacker, live.url + "/me")
        swapped = own.replace(query(own)["code"], code)
        assert attacker.visit(swapped).status_code == 401
        assert attacker.get(live.url + "/").text == "hello nobody"

    def test_answer_in_another_browser(self, live: LiveApp, entra: Emulator) -> None:
        """Login CSRF: an answer belongs to the browser that began."""
        attacker, victim = entra.person("linus"), entra.person("ada")
        answer = paused_at_callback(attacker, live.url + "/me")
        page = victim.visit(answer)
        assert page.status_code == 400
        assert query(answer)["state"] not in page.text
        assert victim.get(live.url + "/").text == "hello nobody"
        assert entra.counters["token"] == 0

    def test_auth_time_missing(
        self, live: LiveApp, entra: Emulator, caplog: pytest.LogCaptureFixture
    ) -> None:
        """Without ``auth_time`` the log names the optional claim to switch on."""
        entra.forge(drop=["auth_time"])
        page = entra.person().visit(live.url + "/fresh")
        assert page.status_code == 500
        assert "auth_time" not in page.text
        assert "auth_time" in caplog.text
        assert "optional claims" in caplog.text


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
            live.url + "/auth/logout", {"token": _token(page), "a": "b"}
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
        person.visit(live.url + "/auth/logout", {"token": _token(page)})
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
        client._provider._built = None
        page = person.get(live.url + "/auth/logout")
        shown = person.visit(live.url + "/auth/logout", {"token": _token(page)})
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
            person.visit(live.url + "/auth/logout", {"token": _token(page)})
        assert person.get(live.url + "/word").text == "bye ada@contoso.example"
        assert live.session_id(person) != before

    def test_resets_the_loop_counter(self, live: LiveApp, entra: Emulator) -> None:
        """Signing out and in, again and again, is no loop."""
        person = entra.person()
        for _ in range(6):
            assert person.visit(live.url + "/me").status_code == 200
            person.visit(self.logout_link(live, person))


def _token(page: requests.Response) -> str:
    found = re.search('name="token" value="([^"]+)"', page.text)
    assert found is not None
    return found[1]


class TestPause:
    def test_redemption_throttled(
        self, live: LiveApp, entra: Emulator, caplog: pytest.LogCaptureFixture
    ) -> None:
        """A 429 at sign-in is one token call, however often the person reloads."""
        entra.throttle(30)
        person = entra.person()
        page = person.visit(live.url + "/me")
        assert page.status_code == 429
        assert 28 <= int(page.headers["Retry-After"]) <= 30
        for _ in range(10):
            again = person.visit(live.url + "/me")
            assert again.status_code == 429
        assert 1 <= int(again.headers["Retry-After"]) <= 30
        assert entra.counters["token"] == 1
        assert entra.counters["authorize"] == 1

    def test_second_tab(self, live: LiveApp, entra: Emulator) -> None:
        """A sign-in that was under way waits, too."""
        person = entra.person()
        waiting = paused_at_callback(person, live.url + "/me")
        entra.throttle(30)
        assert person.visit(live.url + "/me").status_code == 429
        assert person.visit(waiting).status_code == 429
        assert entra.counters["token"] == 1

    def test_other_people_sign_in(self, live: LiveApp, entra: Emulator) -> None:
        """One browser's 429 locks nobody else out."""
        entra.fail_next({"error": "x"}, status=429, headers={"Retry-After": "30"})
        assert entra.person("ada").visit(live.url + "/me").status_code == 429
        assert entra.person("grace").visit(live.url + "/me").status_code == 200

    def test_service_unavailable(self, live: LiveApp, entra: Emulator) -> None:
        """A 503 is a pause too: as long as it says, or MSAL's five seconds."""
        person, other = entra.person("ada"), entra.person("grace")
        entra.unavailable(30)
        page = person.visit(live.url + "/me")
        assert page.status_code == 503
        assert int(page.headers["Retry-After"]) <= 5
        entra.unavailable(30, retry_after="seconds")
        assert other.visit(live.url + "/me").status_code == 503
        entra.clear_faults()
        again = other.visit(live.url + "/me")
        assert again.status_code == 503
        assert int(again.headers["Retry-After"]) > 5


class TestSignals:
    def test_are_sent(self, live: LiveApp, entra: Emulator) -> None:
        """Each thing that happens to a sign-in is told to who listens."""
        told: list[tuple[str, dict[str, t.Any]]] = []
        listeners = {
            name: getattr(signals, name)
            for name in ("signed_in", "reauthenticated", "signed_out", "sign_in_failed")
        }
        for name, signal in listeners.items():
            signal.connect(
                lambda app, _name=name, **data: told.append((_name, data)),
                live.app,
                weak=False,
            )
        person = entra.person(decline_consent=True)
        person.visit(live.url + "/me")
        person.decline_consent = False
        person.visit(live.url + "/me")
        person.visit(live.url + "/mail")
        page = person.get(live.url + "/auth/logout")
        person.visit(live.url + "/auth/logout", {"token": _token(page)})
        assert [name for name, _ in told] == [
            *("sign_in_failed", "signed_in", "reauthenticated", "signed_out")
        ]
        assert told[0][1]["error"].codes == (65004,)
        assert told[2][1]["reason"] == "consent_required"
        assert all(data["user"].username.startswith("ada") for _, data in told[1:])

    def test_log_tells_the_story(
        self, live: LiveApp, entra: Emulator, caplog: pytest.LogCaptureFixture
    ) -> None:
        """The log says what began, what was completed, and what failed."""
        with caplog.at_level(logging.INFO, "flask_msal_errors"):
            entra.person().visit(live.url + "/me")
            entra.person("linus", cancel=True).visit(live.url + "/me")
        assert "A sign-in begins (not_signed_in)." in caplog.text
        assert "A sign-in was completed (not_signed_in)." in caplog.text
        assert "A sign-in failed: access_denied / cancel" in caplog.text
