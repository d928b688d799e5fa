"""Codes that are refused for claims: the browser goes once more, with these."""

from __future__ import annotations

import collections.abc as cabc
import itertools
import json
import logging
import secrets
import typing as t
import urllib.parse

import pytest
import requests
from flask import request

from flask_msal_errors import signals
from flask_msal_errors.testing import Emulator
from flask_msal_errors.testing import Person
from support.browsing import authorize_query
from support.browsing import paused_at_callback
from support.live_app import LiveApp
from support.live_app import Start

pytestmark = pytest.mark.once

POLIDS = {"polids": {"essential": True, "values": ["9ab03e19"]}}
CAPOLIDS = {"capolids": {"essential": True, "values": ["01234567"]}}


@pytest.fixture(params=["query", "form_post"])
def live(start: Start, request: pytest.FixtureRequest) -> LiveApp:
    """A running app, in both ways in which answers come back."""
    return start(MSAL_RESPONSE_MODE=request.param)


def refusing(claims: t.Any, /, **more: t.Any) -> dict[str, t.Any]:
    """An answer of the token endpoint that demands claims, as Entra writes it."""
    text = claims if isinstance(claims, str) else json.dumps({"access_token": claims})
    return {
        "error": "interaction_required",
        "suberror": "basic_action",
        "error_codes": [50076],
        "claims": text,
        **more,
    }


def for_codes(
    answers: cabc.Iterator[dict[str, t.Any]],
) -> cabc.Callable[[t.Any], dict[str, t.Any] | None]:
    """A scripted answer for each redemption; other token requests pass."""
    return lambda asked: (
        next(answers, None) if asked.form.get("code") is not None else None
    )


def claims_asked(entra: Emulator) -> list[dict[str, t.Any]]:
    """The claims of each authorization request, without CP1."""
    found = []
    for call in entra.calls:
        if call.kind == "authorize":
            claims = json.loads(call.query.get("claims", "{}"))
            claims.get("access_token", {}).pop("xms_cc", None)
            found.append({k: v for k, v in claims.items() if v})
    return found


def forget_sso(person: Person, entra: Emulator) -> None:
    """End a browser's session at Entra."""
    port = urllib.parse.urlsplit(entra.pages_url).port
    person.cookies.clear(entra.pages_url, f"ESTSAUTH{port}")


def was_refused(page: requests.Response) -> bool:
    return page.status_code != 200 and "/auth/callback" in str(page.url)


class TestPolicies:
    def test_first_sign_in(self, live: LiveApp, entra: Emulator) -> None:
        """MFA that the token endpoint demands costs no click in the app."""
        entra.policies_at_redemption = True
        entra.require_mfa()
        person = entra.person()
        page = person.visit(live.url + "/me?day=1")
        assert page.text == "me ada@contoso.example"
        assert page.url == live.url + "/me?day=1"
        assert person.pages.count("mfa") == person.pages.count("pick") == 1
        assert len(claims_asked(entra)) == 2
        assert list(claims_asked(entra)[1]["access_token"]) == ["polids"]

    def test_block(self, live: LiveApp, entra: Emulator) -> None:
        """Entra shows why it blocks: the second try ends on its own page."""
        entra.policies_at_redemption = True
        entra.block()
        person = entra.person()
        person.visit(live.url + "/me")
        assert (person.pages[-1], len(claims_asked(entra))) == ("blocked", 2)

    def test_reauthentication(self, live: LiveApp, entra: Emulator) -> None:
        """A signed-in user's sign-in keeps its hint, scopes and claims."""
        person = entra.person()
        person.visit(live.url + "/mail")
        entra.revoke("ada")
        entra.policies_at_redemption = True
        entra.require_mfa()
        assert person.visit(live.url + "/mail").status_code == 200
        once, again = [c.query for c in entra.calls if c.kind == "authorize"][-2:]
        for name in ("scope", "login_hint", "redirect_uri"):
            assert once[name] == again[name]
        asked = claims_asked(entra)[-1]["access_token"]
        assert set(asked) == {"nbf", "polids"}

    def test_demands_of_the_page(self, live: LiveApp, entra: Emulator) -> None:
        """An authentication context, or the age of the sign-in, is asked for again."""
        for path in ("/vault", "/fresh"):
            entra.fail_next(for_codes(iter([refusing(POLIDS)])), times=1)
            assert entra.person().visit(live.url + path).status_code == 200
        vault, fresh = [c.query for c in entra.calls if c.kind == "authorize"][1::2][:2]
        claims = json.loads(vault["claims"])
        assert claims["id_token"]["acrs"]["value"] == "c1"
        assert claims["access_token"]["polids"] == POLIDS["polids"]
        assert fresh["max_age"] == "600"


class TestForm:
    def test_comes_through(self, live: LiveApp, entra: Emulator) -> None:
        """A kept form is posted once, after both trips."""
        seen: list[str] = []

        @live.app.post("/order")
        @live.auth.login_required
        def order() -> str:
            live.call("/me", "Profile.Read")
            seen.append(request.form["what"])
            return "ordered"

        person = entra.person()
        person.visit(live.url + "/profile")
        entra.revoke("ada")
        entra.fail_next(for_codes(iter([refusing(POLIDS)])), times=2)
        page = person.visit(live.url + "/order", data={"what": "tea"})
        assert (page.text, seen) == ("ordered", ["tea"])


class TestSize:
    LONG: t.ClassVar = {"x": {"values": [secrets.token_urlsafe(2900)]}}

    def test_long_page_and_claims(self, live: LiveApp, entra: Emulator) -> None:
        """A visitor's long link comes through with claims of a usual length."""
        entra.fail_next(refusing(POLIDS))
        url = f"{live.url}/me?q={secrets.token_hex(500)}"
        assert entra.person().visit(url).url == url

    def test_too_long(self, live: LiveApp, entra: Emulator) -> None:
        """Claims that fit no cookie of a visitor end on the page of the refusal."""
        entra.fail_next(refusing(self.LONG))
        assert was_refused(entra.person().visit(live.url + "/me"))

    def test_too_long_together(self, live: LiveApp, entra: Emulator) -> None:
        """Claims of several refusals stay within the limit of one."""
        person = entra.person()
        person.visit(live.url + "/profile")
        entra.revoke("ada")
        parts = ({n: {"value": secrets.token_hex(750)}} for n in "abc")
        entra.fail_next(for_codes(refusing(part) for part in parts), times=5)
        assert was_refused(person.visit(live.url + "/profile"))
        longest = max(len(json.dumps(claims)) for claims in claims_asked(entra))
        assert 3000 < longest < 4096 + 100


class TestPrompt:
    def test_is_for_the_first_trip(self, start: Start, entra: Emulator) -> None:
        """An account is not chosen twice; the domain hint stays."""
        live = start(MSAL_PROMPT="select_account", MSAL_DOMAIN_HINT="contoso.example")
        entra.policies_at_redemption = True
        entra.require_mfa()
        person = entra.person()
        assert person.visit(live.url + "/me").status_code == 200
        once, again = [c.query for c in entra.calls if c.kind == "authorize"]
        assert (once["prompt"], again.get("prompt")) == ("select_account", None)
        assert once["domain_hint"] == again["domain_hint"] == "contoso.example"
        assert person.pages.count("pick") == 1


class TestAccount:
    def test_another_comes_back(self, live: LiveApp, entra: Emulator) -> None:
        """Both trips wait for the account that is signed in."""
        person = entra.person()
        person.visit(live.url + "/profile")
        entra.revoke("ada")
        entra.fail_next(for_codes(iter([refusing(POLIDS)])), times=2)
        person.name = "grace"
        forget_sso(person, entra)
        page = person.visit(live.url + "/profile")
        assert page.status_code == 400 and "grace@contoso.example" in page.text

    def test_session_is_lost(self, live: LiveApp, entra: Emulator) -> None:
        """The account is still known where the session ends between both trips."""
        person = entra.person()
        person.visit(live.url + "/profile")
        entra.revoke("ada")
        entra.fail_next(for_codes(iter([refusing(POLIDS)])), times=2)
        begun = person.get(live.url + "/profile").headers["Location"]
        person.cookies.clear(live.url, "session")
        forget_sso(person, entra)
        person.name = "grace"
        page = person.visit(begun)
        assert page.status_code == 400 and "grace@contoso.example" in page.text


NOT_FOLLOWED = {
    "no claims": refusing(None, claims=""),
    "null": refusing(None, claims="null"),
    "null member": refusing(None),
    "list": refusing([1]),
    "another token's": refusing(None, claims='{"id_token":{"sub":{"value":"x"}}}'),
    "too long": refusing({"a": {"value": "x" * 4100}}),
    "too deep": refusing("[" * 40 + "]" * 40),
    "no JSON": refusing("e30="),
    "no string": {**refusing(POLIDS), "claims": {"access_token": POLIDS}},
    "not assigned": refusing(POLIDS, error="invalid_grant", error_codes=[50105]),
    "loop": refusing(POLIDS, error="invalid_grant", error_codes=[50196]),
    "denied": refusing(POLIDS, error="access_denied", error_codes=[]),
    "secret": refusing(POLIDS, error="invalid_client", error_codes=[7000215]),
    "other client": refusing(
        POLIDS, error="invalid_grant", suberror="client_mismatch", error_codes=[]
    ),
    "app protection": refusing(
        POLIDS,
        error="unauthorized_client",
        suberror="protection_policy_required",
        error_codes=[],
    ),
    "unknown": refusing(POLIDS, error="strange", suberror="", error_codes=[]),
}


class TestNotFollowed:
    @pytest.mark.parametrize("answer", NOT_FOLLOWED.values(), ids=NOT_FOLLOWED)
    def test_table(
        self, live: LiveApp, entra: Emulator, answer: dict[str, t.Any]
    ) -> None:
        """Claims that are none, or cannot help, end on the page of the error."""
        entra.fail_next(answer)
        page = entra.person().visit(live.url + "/me")
        assert was_refused(page)
        assert len(claims_asked(entra)) == 1

    @pytest.mark.parametrize("status", [429, 503])
    def test_pauses(self, live: LiveApp, entra: Emulator, status: int) -> None:
        """A pause is a pause, whatever else the answer says."""
        entra.fail_next(refusing(POLIDS), status=status)
        assert was_refused(entra.person().visit(live.url + "/me"))
        assert len(claims_asked(entra)) == 1

    def test_same_again(self, live: LiveApp, entra: Emulator) -> None:
        """Claims that were sent are not sent a second time; the page has a button."""
        entra.fail_next(for_codes(itertools.repeat(refusing(POLIDS))), times=9)
        person = entra.person()
        page = person.visit(live.url + "/me")
        assert was_refused(page) and "Sign in again" in page.text
        assert [set(c.get("access_token", {})) for c in claims_asked(entra)] == [
            set(),
            {"polids"},
        ]
        assert person.get(live.url + "/").text == "hello nobody"

    def test_part_of_what_was_sent(self, live: LiveApp, entra: Emulator) -> None:
        """So it is with a part of them."""
        answers = [refusing({**POLIDS, **CAPOLIDS}), refusing(CAPOLIDS)]
        entra.fail_next(for_codes(iter(answers)), times=2)
        assert was_refused(entra.person().visit(live.url + "/me"))
        assert len(claims_asked(entra)) == 2

    def test_of_the_url(self, live: LiveApp, entra: Emulator) -> None:
        """Claims beside an error at the redirect URI are anybody's words."""
        person = entra.person()
        way = person.get(live.url + "/me").headers["Location"]
        answer = person.authorize(way)
        claims = json.dumps({"access_token": POLIDS})
        said = {"error": "interaction_required", "claims": claims}
        said["state"] = answer.params["state"]
        url = answer.url.partition("?")[0]
        if answer.method == "POST":
            page = person.visit(url, data=said)
        else:
            page = person.visit(f"{url}?{urllib.parse.urlencode(said)}")
        assert was_refused(page)
        assert len(claims_asked(entra)) == 1


class TestLoops:
    def test_other_names_are_followed(self, live: LiveApp, entra: Emulator) -> None:
        """A second policy may demand more; all is asked for together."""
        answers = [refusing(POLIDS), refusing(CAPOLIDS)]
        entra.fail_next(for_codes(iter(answers)), times=2)
        assert entra.person().visit(live.url + "/me").status_code == 200
        assert set(claims_asked(entra)[-1]["access_token"]) == {"polids", "capolids"}

    def test_new_values_end(self, live: LiveApp, entra: Emulator) -> None:
        """Claims whose values change with each refusal end at the loop guard."""
        entra.fail_next(
            for_codes(refusing({"nbf": {"value": str(n)}}) for n in itertools.count(1)),
            times=50,
        )
        page = entra.person().visit(live.url + "/me")
        assert "Signing in again did not help" in page.text
        assert "The sign-in service still refuses." in page.text
        assert "50076" in page.text
        assert len(claims_asked(entra)) == 1 + 3

    def test_new_names_end(self, live: LiveApp, entra: Emulator) -> None:
        """Claims whose names change with each refusal end at the page's own limit."""
        entra.fail_next(
            for_codes(refusing({f"n{n}": {"value": "x"}}) for n in itertools.count(1)),
            times=50,
        )
        page = entra.person().visit(live.url + "/me")
        assert "Signing in again did not help" in page.text
        assert len(claims_asked(entra)) == 1 + 6

    def test_message_only(self, live: LiveApp, entra: Emulator) -> None:
        """A block that only shows a message is followed once; then the page says no."""
        blocked = refusing(CAPOLIDS, error="invalid_grant", suberror="message_only")
        entra.fail_next(
            for_codes(itertools.repeat({**blocked, "error_codes": [53003]})), times=50
        )
        person = entra.person()
        assert was_refused(person.visit(live.url + "/me"))
        page = person.visit(live.url + "/me")
        assert page.status_code == 403
        assert len(claims_asked(entra)) == 2 + 1

    def test_is_settled_by_its_page(self, live: LiveApp, entra: Emulator) -> None:
        """A page that is served ends the count, however often this happens."""
        entra.policies_at_redemption = True
        entra.require_mfa()
        for _ in range(5):
            person = entra.person()
            for _ in range(3):
                person.cookies.clear(live.url, "session")
                forget_sso(person, entra)
                assert person.visit(live.url + "/me").status_code == 200


class TestLog:
    def test_way_on(
        self, live: LiveApp, entra: Emulator, caplog: pytest.LogCaptureFixture
    ) -> None:
        """A refusal that is followed is no failure: one signal, and INFO."""
        challenges: list[t.Any] = []
        failures: list[t.Any] = []
        entra.fail_next(for_codes(iter([refusing(POLIDS)])), times=1)
        with (
            signals.challenge_received.connected_to(
                lambda _, error, silent, **more: challenges.append((error, silent))
            ),
            signals.sign_in_failed.connected_to(
                lambda _, error, **more: failures.append(error)
            ),
            caplog.at_level(logging.INFO, "flask_msal_errors"),
        ):
            assert entra.person().visit(live.url + "/me").status_code == 200
        ((error, silent),) = challenges
        assert (error.codes, silent, failures) == ((50076,), False, [])
        own = [r for r in caplog.records if r.name == "flask_msal_errors"]
        assert {record.levelname for record in own} == {"INFO"}
        assert "9ab03e19" not in caplog.text

    def test_end(
        self, live: LiveApp, entra: Emulator, caplog: pytest.LogCaptureFixture
    ) -> None:
        """The refusal that ends it has one line and one signal."""
        failures: list[t.Any] = []
        entra.fail_next(for_codes(itertools.repeat(refusing(POLIDS))), times=9)
        with signals.sign_in_failed.connected_to(
            lambda _, error, **more: failures.append(error)
        ):
            entra.person().visit(live.url + "/me")
        lines = [
            r
            for r in caplog.records
            if getattr(r, "msal_event", "") == "sign_in_failed"
        ]
        assert (len(failures), len(lines)) == (1, 1)


class TestUsedUp:
    def test_answer_is_not_taken_again(self, start: Start, entra: Emulator) -> None:
        """The answer whose code was refused is used up: Back does not go in circles."""
        live = start(MSAL_RESPONSE_MODE="query")
        person: Person = entra.person()
        entra.fail_next(for_codes(iter([refusing(POLIDS)])), times=1)
        at = paused_at_callback(person, live.url + "/me")
        assert person.visit(at).status_code == 200
        before = len(claims_asked(entra))
        person.visit(at)
        assert len(claims_asked(entra)) == before


def test_provider_without_claims(start: Start, entra: Emulator) -> None:
    """A provider that is sent no claims is not asked for them either."""
    live = start(**{"MSAL_AUTHORITY": None, **entra.config("openid")})
    entra.fail_next(for_codes(iter([refusing(POLIDS)])), times=1)
    page = entra.person().visit(live.url + "/me")
    assert was_refused(page)
    assert "claims" not in authorize_query(entra)
    assert entra.counters["authorize"] == 1
