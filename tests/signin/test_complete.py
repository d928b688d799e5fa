"""Completing a sign-in, over real sockets."""

from __future__ import annotations

import typing as t
import urllib.parse

import pytest
from flask import session

from flask_msal_errors.testing import Emulator
from flask_msal_errors.testing import Person
from support import session_apps
from support.browsing import authorize_query
from support.browsing import links_of
from support.browsing import paused_at_callback
from support.browsing import query
from support.live_app import LiveApp


def _port(url: str) -> int | None:
    return urllib.parse.urlsplit(url).port


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
        stay = links_of(page)[0]
        assert urllib.parse.urljoin(page.url, stay) == live.url + "/mail"

    def test_button_starts_afresh(self, live: LiveApp, entra: Emulator) -> None:
        """The page's button signs in the other account, with nothing of the old one."""
        person, page = self.returned_as_grace(live, entra)
        before = live.session_id(person)
        shown = person.visit(urllib.parse.urljoin(page.url, links_of(page)[1]))
        assert shown.text == "hello grace@contoso.example"
        assert authorize_query(entra)["login_hint"] == "grace@contoso.example"
        assert person.get(live.url + "/basket/new").text == "new"
        person.cookies.store(live.url, [f"session={before}; Path=/"])
        assert person.get(live.url + "/").text == "hello nobody"

    def test_button_is_this_sessions(self, live: LiveApp, entra: Emulator) -> None:
        """In another session the button's link ends no session."""
        _, page = self.returned_as_grace(live, entra)
        link = urllib.parse.urljoin(page.url, links_of(page)[1])
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
        shown = person.visit(urllib.parse.urljoin(page.url, links_of(page)[0]))
        assert shown.text == "hello grace@contoso.example"


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
        again = urllib.parse.urljoin(page.url, links_of(page)[0])
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

    def test_no_code(self, live: LiveApp, entra: Emulator) -> None:
        """A worker died with the code: its sign-in ended, and leads to the page."""
        person = entra.person()
        answer = paused_at_callback(person, live.url + "/me?a=b")
        state = urllib.parse.urlencode({"state": query(answer)["state"]})
        page = person.get(f"{live.url}/auth/callback?{state}")
        assert (page.status_code, entra.counters["token"]) == (400, 0)
        assert "This sign-in has ended" in page.text
        again = urllib.parse.urljoin(live.url, links_of(page)[0])
        assert person.visit(again).url == live.url + "/me?a=b"

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
