"""Beginning a sign-in, over real sockets."""

from __future__ import annotations

import json

from flask_msal_errors.testing import Emulator
from support.browsing import authorize_query
from support.browsing import paused_at_callback
from support.browsing import token_form
from support.live_app import LiveApp
from support.live_app import Start


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
