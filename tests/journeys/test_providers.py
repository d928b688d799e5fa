"""Providers that are not Microsoft's, as they differ from one another."""

from __future__ import annotations

import typing as t
from urllib.parse import parse_qs
from urllib.parse import urlencode
from urllib.parse import urlsplit

import jwt
import pytest
from cryptography.hazmat.primitives.asymmetric import rsa
from flask import Response

from flask_msal_errors.testing import Emulator
from flask_msal_errors.testing.entra import openid
from flask_msal_errors.testing.entra.keys import PLAIN_KEYS
from support.live_app import LiveApp
from support.live_app import Start

pytestmark = pytest.mark.once


def config(entra: Emulator, **more: t.Any) -> dict[str, t.Any]:
    """Settings for the provider that is not Microsoft's."""
    absent = {"MSAL_AUTHORITY": None, "MSAL_INSTANCE_DISCOVERY": None}
    return {**entra.config("openid"), **absent, **more}


def views(live: LiveApp) -> None:
    @live.app.get("/sub")
    @live.auth.login_required
    def sub() -> str:
        assert live.auth.user is not None
        return live.auth.user.subject

    @live.app.get("/<any(name, claims, acr):what>")
    @live.auth.login_required
    def show(what: str) -> str:
        user = live.auth.user
        assert user is not None
        shown = {"name": user.name, "claims": " ".join(user.claims)}
        return shown.get(what) or str(user.claims[what])

    @live.app.get("/renewed")
    @live.auth.login_required
    def renewed() -> str:
        scopes = [live.entra.scope("Profile.Read")]
        result = live.auth.acquire_token(scopes, force_refresh=True)
        return "renewed" if result["access_token"] else "not"


class TestAnswers:
    @pytest.mark.parametrize("form", ["string", "float", "null", "absent"])
    def test_lifetimes(self, start: Start, entra: Emulator, form: str) -> None:
        """A lifetime in any form, or none, makes tokens that can be used."""
        entra.openid_expires_in = form
        live = start(views, **config(entra))
        person = entra.person()
        assert "Ada Lovelace" in person.visit(live.url + "/profile").text
        assert person.visit(live.url + "/renewed").status_code == 200
        assert entra.counters["token"] == 2

    def test_page_instead_of_a_document(
        self, start: Start, entra: Emulator, caplog: pytest.LogCaptureFixture
    ) -> None:
        """A provider that answers with a page is told by the URL that it was asked."""
        entra.fail_next(lambda _: "<html>", "discovery", 200)
        live = start(**config(entra))
        assert entra.person().visit(live.url + "/me").status_code == 503
        assert "/.well-known/openid-configuration answered 200 with " in caplog.text

    def late(self, live: LiveApp, away: str) -> str:
        """Return the answer of Keycloak to a form that was sent too late."""
        said = {
            "error": "temporarily_unavailable",
            "error_description": "authentication_expired",
            "state": parse_qs(urlsplit(away).query)["state"][0],
        }
        return f"{live.url}/auth/callback?{urlencode(said)}"

    def test_sent_too_late(self, start: Start, entra: Emulator) -> None:
        """A page of the provider that was open too long leads on: it is asked anew."""
        live, person = start(**config(entra)), entra.person()
        away = person.get(live.url + "/me?a=1").headers["Location"]
        assert person.visit(live.url + "/profile").status_code == 200
        page = person.visit(self.late(live, away))
        assert page.text == "me ada@contoso.example"
        assert page.url == live.url + "/me?a=1"

    def test_always_too_late(self, start: Start, entra: Emulator) -> None:
        """A provider that never says another thing is not asked without end."""
        live, person = start(**config(entra)), entra.person()
        answer = person.get(live.url + "/me")
        for _ in range(4):
            answer = person.get(self.late(live, answer.headers["Location"]))
        assert answer.status_code == 400
        assert "Signing in again did not help" in answer.text


class TestSubjects:
    @pytest.mark.parametrize("subject", ["用户", "jörg\n"])
    def test_letters(self, start: Start, entra: Emulator, subject: str) -> None:
        """A subject of any letters can refresh: MSAL repeats it in a header."""
        live, person = start(views, **config(entra)), entra.person()
        entra.forge(sub=subject)
        assert person.visit(live.url + "/sub").text == subject
        assert person.visit(live.url + "/profile").status_code == 200
        assert person.visit(live.url + "/renewed").text == "renewed"


class TestNames:
    def test_userinfo(self, start: Start, entra: Emulator) -> None:
        """Names that ID tokens lack come from the userinfo endpoint, once a sign-in."""
        live = start(views, **config(entra))
        person = entra.person()
        assert person.visit(live.url + "/name").text == "Ada Lovelace"
        assert person.visit(live.url + "/me").text == "me ada@contoso.example"
        assert person.visit(live.url + "/renewed").text == "renewed"
        assert entra.counters["userinfo"] == 1
        entra.openid_claims = "id_token"
        assert entra.person().visit(live.url + "/name").text == "Ada Lovelace"
        assert entra.counters["userinfo"] == 1
        entra.forge(drop=["preferred_username", "email"])
        page = entra.person().visit(live.url + "/me")
        assert page.text == "me ada@contoso.example" and entra.counters["userinfo"] == 2

    @pytest.mark.parametrize(
        ("answer", "status", "words"),
        [
            ({"sub": "another", "name": "Mallory"}, 200, "another subject"),
            ({"name": "Mallory"}, 200, "another subject"),
            ({"error": "invalid_token"}, 401, "(401)"),
            ({}, 503, "(503)"),
        ],
    )
    def test_no_names(
        self,
        start: Start,
        entra: Emulator,
        caplog: pytest.LogCaptureFixture,
        answer: dict[str, str],
        status: int,
        words: str,
    ) -> None:
        """The names of another subject count for nobody; without any people get in."""
        entra.fail_next(answer, "userinfo", status)
        live = start(views, **config(entra))
        person = entra.person()
        subject = person.visit(live.url + "/sub").text
        assert person.visit(live.url + "/name").text == subject
        assert words in caplog.text and "Bearer" not in caplog.text

    def signed(self, entra: Emulator, **changes: t.Any) -> None:
        """Have the userinfo endpoint sign what it says."""
        key: t.Any = entra.tenant.keys.current

        def answer(_: t.Any) -> Response:
            said = {
                "sub": openid.subject(entra.tenant, entra.tenant.users["ada"]),
                "iss": entra.config("openid")["MSAL_OIDC_AUTHORITY"],
                "aud": entra.client_id,
                "name": "Ada of the JWT",
                **changes,
            }
            own = said.pop("key", key.private)
            body = jwt.encode(said, own, "RS256")
            return Response(body, 200, mimetype="application/jwt")

        entra.fail_next(answer, "userinfo", 200, times=9)

    def test_signed(self, start: Start, entra: Emulator) -> None:
        """A signed answer tells names, too (OpenID Connect Core §5.3.2)."""
        self.signed(entra)
        live = start(views, **config(entra))
        assert entra.person().visit(live.url + "/name").text == "Ada of the JWT"

    @pytest.mark.parametrize(
        ("changes", "words"),
        [
            ({"iss": "https://evil.example"}, "of another issuer"),
            ({"aud": "another app"}, "refused: InvalidAudienceError"),
            ({"exp": 1}, "refused: ExpiredSignatureError"),
            ({"sub": "mallory"}, "another subject"),
            ({"key": "theirs"}, "refused: InvalidSignatureError"),
        ],
    )
    def test_signed_for_others(
        self,
        start: Start,
        entra: Emulator,
        caplog: pytest.LogCaptureFixture,
        changes: dict[str, t.Any],
        words: str,
    ) -> None:
        """An answer that another signed, or for another app or user, tells nothing."""
        if "key" in changes:
            changes = {"key": rsa.generate_private_key(65537, 2048)}
        self.signed(entra, **changes)
        live = start(views, **config(entra))
        person = entra.person()
        subject = person.visit(live.url + "/sub").text
        assert person.visit(live.url + "/name").text == subject
        assert words in caplog.text

    def test_claims_that_decide(self, start: Start, entra: Emulator) -> None:
        """Of that endpoint nothing counts that decides who somebody is, or may."""
        live = start(views, **config(entra))
        person = entra.person()
        subject = person.visit(live.url + "/sub").text
        forged = {
            "roles": ["admin"],
            "acr": "c1",
            "acrs": ["c1"],
            "tid": "t",
            "oid": "o",
        }
        entra.fail_next({"sub": subject, "name": "Ada", **forged}, "userinfo", 200)
        other = entra.person()
        found = set(other.visit(live.url + "/claims").text.split())
        assert "name" in found and not (forged.keys() - {"acr"}) & found
        assert other.visit(live.url + "/acr").text == "0"


class TestCustomDomain:
    def test_journey(self, start: Start, entra: Emulator) -> None:
        """Entra behind a custom domain signs in, renews, and asks again."""
        absent = {"MSAL_AUTHORITY": None, "MSAL_INSTANCE_DISCOVERY": None}
        live = start(views, **{**entra.config("custom_domain"), **absent})
        person = entra.person()
        assert "Ada Lovelace" in person.visit(live.url + "/profile").text
        assert person.visit(live.url + "/renewed").text == "renewed"
        entra.revoke("ada")
        assert person.visit(live.url + "/renewed").text == "renewed"
        assert entra.counters["token.authorization_code"] == 2


class TestTokens:
    def test_algorithms(self, start: Start, entra: Emulator) -> None:
        """Each algorithm signs in, with and without names of keys; HS256 never does."""
        for alg in PLAIN_KEYS:
            live = start(**config(entra))
            for named in (True, False):
                entra.openid_alg = alg
                entra.openid_key_alg = entra.openid_kid = named
                person = entra.person()
                page = person.visit(live.url + "/me")
                good = alg != "HS256"
                assert (page.status_code == 200) is good, (alg, named, page.text)
                assert (person.get(live.url + "/").text == "hello nobody") is not good

    def test_rotation(
        self, start: Start, entra: Emulator, caplog: pytest.LogCaptureFixture
    ) -> None:
        """Keys are renewed again and again, with and without ids."""
        live = start(**config(entra))
        for named in (True, False, True):
            entra.openid_kid = named
            entra.rotate_keys(keep_old=False)
            assert entra.person().visit(live.url + "/me").status_code == 200
        entra.openid_alg = "HS256"
        assert entra.person().visit(live.url + "/me").status_code == 400
        assert "signed with HS256" in caplog.text

    def test_number_as_subject(self, start: Start, entra: Emulator) -> None:
        """A subject that is a number is the same string in every answer."""
        entra.openid_sub = "number"
        live = start(views, **config(entra))
        person = entra.person()
        shown = person.visit(live.url + "/sub").text
        assert shown.isdecimal()
        assert "Ada Lovelace" in person.visit(live.url + "/profile").text
        assert person.visit(live.url + "/renewed").status_code == 200
        entra.revoke("ada")
        assert person.visit(live.url + "/renewed").status_code == 200
        assert person.visit(live.url + "/sub").text == shown
