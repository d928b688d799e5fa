"""The emulator's B2C tenant and its provider that is not Microsoft's."""

from __future__ import annotations

import collections.abc as cabc
import json
import typing as t
import urllib.parse

import jwt
import pytest
import requests

from flask_msal_errors.testing import Emulator
from flask_msal_errors.testing.entra.keys import PLAIN_KEYS
from flask_msal_errors.testing.entra.model import OIDC_SCOPES

REDIRECT_URI = "http://localhost:5000/auth/callback"
MICROSOFT = ("tid", "oid", "preferred_username", "ver", "sid", "uti", "login_hint")


class App:
    """An app that speaks OpenID Connect by hand."""

    def __init__(
        self, entra: Emulator, http: requests.Session, authority: str, **config: t.Any
    ) -> None:
        self.entra = entra
        self.http = http
        self.person = entra.person()
        whole = "openid" in authority or authority.endswith("/v2.0")
        url = authority if whole else f"{authority}/v2.0"
        self.place = f"{url}/.well-known/openid-configuration"
        self.document = http.get(self.place).json()

    def authorize(self, **params: t.Any) -> str:
        given = {
            "client_id": self.entra.client_id,
            "response_type": "code",
            "redirect_uri": REDIRECT_URI,
            "scope": "openid offline_access",
            "state": "the-state",
            "client_info": "1",
        }
        if any(self.entra.api_resource in word for word in params.values()):
            given["audience"] = self.entra.api_resource
        query = urllib.parse.urlencode({**given, **params})
        return f"{self.document['authorization_endpoint']}?{query}"

    def answer(self, **params: t.Any) -> dict[str, str]:
        return self.person.authorize(self.authorize(**params)).params

    def token(self, basic: str = "", **form: str) -> requests.Response:
        """Ask the token endpoint, with the secret in the body, or one by HTTP Basic."""
        given = {
            "client_id": self.entra.client_id,
            "redirect_uri": REDIRECT_URI,
            "client_info": "1",
        }
        if not basic:
            given["client_secret"] = self.entra.client_secret
        return self.http.post(
            self.document["token_endpoint"],
            data={**given, **form},
            auth=(self.entra.client_id, basic) if basic else None,
        )

    def redeemed(self, **params: t.Any) -> t.Any:
        code = self.answer(**params)["code"]
        return self.token(grant_type="authorization_code", code=code).json()

    def refreshed(self, body: t.Any, scope: str | None = None, **form: str) -> t.Any:
        given = {"scope": scope} if scope else {}
        held = body["refresh_token"]
        return self.token(
            grant_type="refresh_token", refresh_token=held, **given, **form
        ).json()

    def again(self) -> t.Any:
        """The discovery document as it is now."""
        return self.http.get(self.place).json()

    def claims(self, token: str) -> t.Any:
        keys = self.http.get(self.document["jwks_uri"]).json()["keys"]
        (alg,) = self.again()["id_token_signing_alg_values_supported"]
        key = jwt.PyJWK.from_dict(keys[-1], "EdDSA" if alg == "Ed25519" else alg)
        key.algorithm_name = alg
        return jwt.decode(
            token,
            key,
            algorithms=[alg],
            audience=self.entra.client_id,
            issuer=self.document["issuer"],
        )


def forgeries(entra: Emulator, plain: App) -> cabc.Iterator[str]:
    """ID tokens of this person that are another app's or another issuer's."""
    for name in ("aud", "iss"):
        entra.id_token_hook = lambda claims, _, name=name: {**claims, name: "another"}
        yield plain.redeemed()["id_token"]
    entra.id_token_hook = None


def scopes_in(body: t.Any) -> set[str]:
    """The short names of the scopes of an access token."""
    return set(unchecked(body["access_token"])["scp"].split())


def unchecked(token: str) -> t.Any:
    """The claims of a token."""
    return jwt.decode(token, options={"verify_signature": False, "verify_sub": False})


@pytest.fixture
def b2c(entra: Emulator, http: requests.Session) -> App:
    return App(entra, http, entra.config("b2c")["MSAL_AUTHORITY"])


@pytest.fixture
def plain(entra: Emulator, http: requests.Session) -> App:
    entra.openid_client_auth = "both"
    return App(entra, http, entra.config("openid")["MSAL_OIDC_AUTHORITY"])


class TestB2C:
    def test_document(self, entra: Emulator, b2c: App) -> None:
        """A policy has endpoints of its own, and the tenant's issuer, with a slash."""
        path = f"/{entra.tenant_id}/B2C_1_signin/"
        for name in ("token_endpoint", "jwks_uri", "authorization_endpoint"):
            assert path in b2c.document[name]
        issuer = b2c.document["issuer"]
        assert issuer.endswith(f"/{entra.tenant_id}/v2.0/")

    def test_no_access_token_without_an_api(self, entra: Emulator, b2c: App) -> None:
        """OpenID scopes alone make an ID token alone."""
        assert "access_token" not in b2c.redeemed()
        with_api = b2c.redeemed(scope=f"openid {entra.scope('Mail.Read')}")
        assert "access_token" in with_api

    @pytest.mark.parametrize(
        ("name", "value"), [("tfp", "B2C_1_signin"), ("acr", "b2c_1_signin")]
    )
    def test_claims(self, entra: Emulator, b2c: App, name: str, value: str) -> None:
        """The policy is in one of two claims, and addresses in a list."""
        entra.policy_claim = name
        claims = b2c.claims(b2c.redeemed()["id_token"])
        assert claims[name] == value and claims["emails"] == ["ada@contoso.example"]
        assert not {"preferred_username", "tid", "sid"} & set(claims)

    @pytest.mark.parametrize(
        ("button", "code"), [("cancel", "AADB2C90091"), ("forgot", "AADB2C90118")]
    )
    def test_errors(self, b2c: App, button: str, code: str) -> None:
        """The code is in the description alone."""
        page = b2c.person.visit(b2c.authorize(), stop_at="pick")
        ctx = page.text.partition('name="ctx" value="')[2].partition('"')[0]
        url = f"{b2c.entra.pages_url}/login"
        reply = b2c.person.post(url, {"ctx": ctx, "action": button})
        query = urllib.parse.urlsplit(reply.headers["Location"]).query
        fields = dict(urllib.parse.parse_qsl(query))
        assert fields.pop("error_description").startswith(f"{code}: The user has ")
        assert fields == {"error": "access_denied", "state": "the-state"}

    def test_code_of_another_policy(
        self, entra: Emulator, http: requests.Session, b2c: App
    ) -> None:
        """Codes and refresh tokens are of their policy."""
        authority = entra.config("b2c")["MSAL_RESET_PASSWORD_AUTHORITY"]
        other = App(entra, http, authority)
        code = b2c.answer()["code"]
        reply = other.token(grant_type="authorization_code", code=code)
        assert reply.status_code == 400 and "error_codes" not in reply.json()
        held = b2c.redeemed()["refresh_token"]
        reply = other.token(grant_type="refresh_token", refresh_token=held)
        assert reply.json()["error_description"].startswith("AADB2C90080")

    def test_no_session(self, b2c: App) -> None:
        """prompt=none without a session."""
        fields = b2c.answer(prompt="none")
        assert fields["error"] == "interaction_required"
        assert fields["error_description"].startswith("AADB2C90077")

    def test_unknown_policy(self, entra: Emulator, http: requests.Session) -> None:
        """A policy that the tenant does not have."""
        url = f"{entra.authority}/B2C_1_other/v2.0/.well-known/openid-configuration"
        assert http.get(url).status_code == 400


class TestPlain:
    def test_nothing_of_microsofts(self, entra: Emulator, plain: App) -> None:
        """Not in the document, the answer, the tokens or the token response."""
        answer = plain.answer()
        assert set(answer) == {"code", "state"}
        body = plain.token(grant_type="authorization_code", code=answer["code"]).json()
        assert set(body) == {
            *("token_type", "expires_in", "access_token"),
            *("refresh_token", "id_token"),
        }
        assert not set(MICROSOFT) & set(plain.claims(body["id_token"]))
        assert not [name for name in plain.document if "ms" in name.split("_")]
        assert set(plain.document["scopes_supported"]) <= set(OIDC_SCOPES)

    def test_refresh(self, plain: App) -> None:
        """A refresh brings no ID token and no scope."""
        held = plain.redeemed()["refresh_token"]
        body = plain.token(
            grant_type="refresh_token", refresh_token=held, scope="openid"
        ).json()
        assert set(body) == {
            *("token_type", "expires_in"),
            *("access_token", "refresh_token"),
        }

    @pytest.mark.parametrize(
        ("form", "held", "told"),
        [
            ("bound", None, None),
            ("ignored", "Profile.Read", "Profile.Read"),
            ("silently_ignored", "Profile.Read", None),
            ("free", "Profile.Read Mail.Read", None),
        ],
    )
    def test_wider_refresh(
        self, entra: Emulator, plain: App, form: str, held: str, told: str | None
    ) -> None:
        """It is refused, or brings a narrower token, or a wider one."""
        entra.openid_refresh_scope = form
        asked = " ".join(map(entra.scope, ("Profile.Read", "Mail.Read")))
        entra.give_consent("ada", "Mail.Read")
        first = entra.scope("Profile.Read")
        body = plain.redeemed(scope=f"openid offline_access {first}")
        assert scopes_in(body) == {"openid", "offline_access", "Profile.Read"}
        wider = plain.refreshed(body, asked)
        if held is None:
            assert wider["error"] == "invalid_scope"
        else:
            assert scopes_in(wider) == set(held.split())
            assert wider.get("scope") == (told and entra.scope(told))
        assert "access_token" in plain.refreshed(body, first)
        again = plain.refreshed(plain.refreshed(body, first))
        assert scopes_in(again) == {"openid", "offline_access", "Profile.Read"}

    @pytest.mark.parametrize("word", ["invalid_request", "not_allowed", None])
    def test_error_word(self, entra: Emulator, plain: App, word: str | None) -> None:
        """A refused refresh may have any word; what is about the client has its own."""
        entra.openid_refresh_error = word
        body = plain.redeemed()
        entra.revoke("ada")
        assert plain.refreshed(body)["error"] == (word or "invalid_grant")
        refused = plain.refreshed(body, client_secret="wrong")
        assert refused["error"] == "invalid_client"

    @pytest.mark.parametrize(
        ("taken", "listed"), [("basic", None), ("post", "post"), ("both", "basic")]
    )
    def test_client_auth(
        self, entra: Emulator, plain: App, taken: str, listed: str | None
    ) -> None:
        """The secret belongs in one place, or in either; metadata say so."""
        entra.openid_client_auth = taken
        told = plain.again().get("token_endpoint_auth_methods_supported")
        assert (told and told[0]) == (listed and f"client_secret_{listed}")
        ways = {"basic": entra.client_secret, "post": ""}
        for way, secret in ways.items():
            reply = plain.token(secret, grant_type="refresh_token", refresh_token="x")
            fits = taken in (way, "both")
            assert reply.json()["error"] == "invalid_" + ("grant" if fits else "client")
            assert ("WWW-Authenticate" in reply.headers) is not fits
        twice = plain.token(
            entra.client_secret,
            client_secret=entra.client_secret,
            grant_type="refresh_token",
        )
        assert twice.json()["error"] == "invalid_request"

    def test_errors(self, entra: Emulator, plain: App) -> None:
        """Two members, and no more."""
        body = plain.token(grant_type="refresh_token", refresh_token="x").json()
        assert set(body) == {"error", "error_description"}
        assert "AADSTS" not in body["error_description"]
        fields = plain.answer(prompt="none")
        assert fields["error"] == "login_required"
        assert "AADSTS" not in fields["error_description"]

    @pytest.mark.parametrize("levels", ["c1", "c1 c2"])
    def test_acr(self, plain: App, levels: str) -> None:
        """The first of acr_values is reached, and told."""
        token = plain.redeemed(acr_values=levels)["id_token"]
        assert plain.claims(token)["acr"] == "c1"
        assert plain.claims(plain.redeemed()["id_token"])["acr"] == "0"

    def test_no_claims(self, plain: App) -> None:
        """A claims parameter is refused."""
        assert plain.answer(claims="{}")["error"] == "invalid_request"

    def test_switches(
        self, entra: Emulator, http: requests.Session, plain: App
    ) -> None:
        """No refresh tokens, no sign-out, no path: the document says so."""
        entra.openid_offline, entra.openid_sign_out = "no", False
        entra.openid_at_root = True
        root = entra.config("openid")["MSAL_OIDC_AUTHORITY"]
        assert urllib.parse.urlsplit(root).path == ""
        found = http.get(f"{root}/.well-known/openid-configuration").json()
        assert "offline_access" not in found["scopes_supported"]
        assert "end_session_endpoint" not in found and found["issuer"] == root
        old = http.get(f"{root}/openid/.well-known/openid-configuration")
        assert old.status_code == 404
        assert plain.answer()["error"] == "invalid_scope"

    @pytest.mark.parametrize(
        ("form", "params", "error", "comes"),
        [
            ("yes", {}, None, True),
            ("unlisted", {}, None, True),
            ("no", {}, "invalid_scope", False),
            ("dropped_without_consent", {}, None, False),
            ("dropped_without_consent", {"prompt": "consent"}, None, True),
            ("refused_without_consent", {}, "invalid_request", False),
            ("refused_without_consent", {"prompt": "consent"}, None, True),
            ("always", {"scope": "openid"}, None, True),
        ],
    )
    def test_offline(
        self,
        entra: Emulator,
        plain: App,
        form: str,
        params: dict[str, str],
        error: str | None,
        comes: bool,
    ) -> None:
        """Refresh tokens come for offline_access, with prompt=consent, or always."""
        entra.openid_offline = form
        answer = plain.answer(**params)
        assert answer.get("error") == error
        if error is None:
            form_ = {"grant_type": "authorization_code", "code": answer["code"]}
            assert ("refresh_token" in plain.token(**form_).json()) is comes
        listed = plain.again().get("scopes_supported")
        assert (listed is None) is (form == "always")
        hidden = form in ("no", "unlisted", "always")
        assert ("offline_access" in (listed or ())) is not hidden

    def test_grant_without_offline_access(self, entra: Emulator, plain: App) -> None:
        """A refresh token may come of a grant that lacks the scope for it."""
        entra.openid_offline, entra.openid_refresh_scope = "always", "bound"
        body = plain.redeemed()
        assert body["scope"] == "openid"
        wider = plain.refreshed(body, "openid offline_access")
        assert wider["error"] == "invalid_scope"
        assert "refresh_token" in plain.refreshed(body)

    def test_scopes_of_the_app(self, entra: Emulator, plain: App) -> None:
        """Scopes that an app may not have are refused, or left out and so told."""
        asked = f"openid profile {entra.scope('Mail.Read')}"
        entra.openid_client_scopes = {"openid", entra.scope("Mail.Read")}
        assert plain.answer(scope=asked)["error"] == "invalid_scope"
        entra.openid_other_scopes = "narrow"
        body = plain.redeemed(scope=asked)
        assert body["scope"] == f"openid {entra.scope('Mail.Read')}"
        assert scopes_in(body) == {"openid", "Mail.Read"}

    def test_aliases(self, entra: Emulator, plain: App) -> None:
        """A scope may be asked for by two names, and is told by one."""
        alias = "https://www.id.example/auth/userinfo.email"
        entra.openid_scope_aliases = {"email": alias}
        entra.openid_refresh_scope = "bound"
        body = plain.redeemed(scope="openid email offline_access")
        assert set(body["scope"].split()) == {"openid", alias, "offline_access"}
        for name in ("email", alias):
            again = plain.refreshed(body, f"openid {name}")
            assert scopes_in(again) == {"openid", "email"}

    def test_required_parameters(self, entra: Emulator, plain: App) -> None:
        """For scopes of an API, a provider may want parameters of its own."""
        more = entra.config("openid")["MSAL_AUTHORIZATION_PARAMETERS"]
        assert more == {"audience": entra.api_resource}
        added = entra.config("openid", MSAL_AUTHORIZATION_PARAMETERS={"hd": "x"})
        assert added["MSAL_AUTHORIZATION_PARAMETERS"] == {**more, "hd": "x"}
        assert "code" in plain.answer()
        asked = {"scope": f"openid {entra.scope('Profile.Read')}"}
        assert "code" in plain.answer(**asked)
        entra.openid_required_parameters = {"audience", "tier"}
        assert plain.answer(**asked)["error"] == "invalid_request"
        assert "code" in plain.answer(**asked, tier="1")
        entra.openid_required_parameters = None
        assert "MSAL_AUTHORIZATION_PARAMETERS" not in entra.config("openid")

    def test_unlisted_scopes(self, entra: Emulator, plain: App) -> None:
        """Metadata may list less than the provider grants."""
        entra.openid_unlisted_scopes = {"profile", "email"}
        assert plain.again()["scopes_supported"] == ["openid", "offline_access"]
        assert scopes_in(plain.redeemed(scope="openid profile")) == {
            "openid",
            "profile",
        }

    @pytest.mark.parametrize(
        ("form", "expected"),
        [
            ("number", "299"),
            ("string", '"299"'),
            ("float", "299.0"),
            ("null", "null"),
            ("absent", None),
        ],
    )
    def test_lifetime(
        self, entra: Emulator, plain: App, form: str, expected: str | None
    ) -> None:
        """Access tokens are short-lived, and answers tell it in many forms."""
        entra.openid_lifetime, entra.openid_expires_in = 300, form
        body = plain.redeemed()
        found = json.dumps(body["expires_in"]) if "expires_in" in body else None
        assert found == expected
        times = unchecked(body["access_token"])
        assert times["exp"] - times["iat"] == 300

    @pytest.mark.parametrize("form", ["string", "number"])
    def test_userinfo(self, entra: Emulator, plain: App, form: str) -> None:
        """Names and addresses are told there, by the scopes of the token."""
        entra.openid_sub = form
        place = plain.document["userinfo_endpoint"]
        asked = {"openid": set(), "openid profile email": {"name", "email"}}
        for scope, names in asked.items():
            body = plain.redeemed(scope=scope)
            bearer = {"Authorization": f"Bearer {body['access_token']}"}
            about = plain.http.get(place, headers=bearer).json()
            assert names <= set(about) and ("name" in about) is bool(names)
            claims = unchecked(body["id_token"])
            assert about["sub"] == claims["sub"] and "name" not in claims
            assert isinstance(about["sub"], int) is (form == "number")
        entra.openid_claims = "id_token"
        claims = unchecked(plain.redeemed()["id_token"])
        assert claims["name"] == "Ada Lovelace" and claims["email"]
        refused = plain.http.get(place, headers={"Authorization": "Bearer x"})
        assert refused.status_code == 401

    def test_logout(self, entra: Emulator, plain: App) -> None:
        """Signing out may need a hint, a click, or a parameter of another name."""
        entra.token_lifetime = 0
        hint = plain.redeemed()["id_token"]
        entra.token_lifetime = 3600
        known, home = {"id_token_hint": hint}, entra.pages_url + "/health"
        asked = {"post_logout_redirect_uri": home}
        own = {"client_id": entra.client_id, "logout_uri": home}
        away = {"post_logout_redirect_uri": home + "?a"}
        entra.openid_logout_uris = {home}
        forged = ["x", hint[:-9] + "AAAAAAAAA", *forgeries(entra, plain)]
        forms: dict[str, list[tuple[dict[str, str], int, list[str]]]] = {
            "plain": [(asked, 200, [])],
            "hint_required": [
                (asked, 400, ["error"]),
                *(({**asked, "id_token_hint": x}, 400, ["error"]) for x in forged),
                ({**asked, **known, "client_id": "x"}, 400, ["error"]),
                ({**asked, **known, **away}, 400, ["error"]),
                ({**asked, **known}, 200, []),
            ],
            "asks_without_hint": [
                (asked, 200, ["leave"]),
                ({**asked, **known}, 200, []),
            ],
            "logout_uri": [(asked, 400, ["error"]), ({**asked, **own}, 200, [])],
        }
        for form, cases in forms.items():
            entra.openid_logout = form
            for sent, status, pages in cases:
                plain.redeemed()
                plain.person.pages.clear()
                query = urllib.parse.urlencode(sent)
                place = f"{plain.document['end_session_endpoint']}?{query}"
                reply = plain.person.visit(place)
                assert (reply.status_code, plain.person.pages[:1]) == (status, pages)
                assert reply.url.startswith(home) is (status == 200)
                ended = plain.answer(prompt="none").get("error") == "login_required"
                assert ended is (status == 200)

    @pytest.mark.parametrize("alg", [a for a in PLAIN_KEYS if a != "HS256"])
    @pytest.mark.parametrize("named", [True, False])
    def test_keys(self, entra: Emulator, plain: App, alg: str, named: bool) -> None:
        """Keys and tokens name their ids and algorithms, or do not."""
        entra.openid_alg, entra.openid_key_alg, entra.openid_kid = alg, named, named
        token = plain.redeemed()["id_token"]
        key = plain.http.get(plain.document["jwks_uri"]).json()["keys"][-1]
        header = jwt.get_unverified_header(token)
        assert header["alg"] == alg and plain.claims(token)["sub"]
        assert (key.get("alg"), key.get("kid")) == (
            (alg, header["kid"]) if named else (None, None)
        )
        entra.rotate_keys(keep_old=False)
        with pytest.raises(jwt.InvalidSignatureError):
            plain.claims(token)
        plain.claims(plain.redeemed()["id_token"])

    def test_code_of_entra(
        self, entra: Emulator, http: requests.Session, plain: App
    ) -> None:
        """A code of the one provider is nothing to the other."""
        tenant = App(entra, http, entra.authority)
        code = tenant.answer()["code"]
        reply = plain.token(grant_type="authorization_code", code=code)
        assert reply.json()["error"] == "invalid_grant"


class TestCustomDomain:
    def test_entra_behind_another_name(
        self, entra: Emulator, http: requests.Session
    ) -> None:
        """External ID keeps its issuer and Entra's ways, whatever its domain."""
        own = App(entra, http, entra.config("custom_domain")["MSAL_OIDC_AUTHORITY"])
        tenant = urllib.parse.urlsplit(own.place).path.split("/")[1]
        issuer = f"https://{tenant}.ciamlogin.com/{tenant}/v2.0"
        assert own.document["issuer"] == issuer and "msgraph_host" in own.document
        scopes = [entra.scope("Mail.Read"), "https://graph.microsoft.com/User.Read"]
        asked = " ".join(["openid offline_access", *scopes])
        code = own.answer(scope=asked)["code"]
        form = {"grant_type": "authorization_code", "code": code}
        refused = own.token(**form, scope=asked).json()
        assert refused["error_codes"] == [28000]
        body = own.redeemed(scope=f"openid offline_access {scopes[0]}")
        claims = own.claims(body["id_token"])
        assert (claims["iss"], claims["tid"]) == (issuer, tenant)
        assert scopes_in(own.refreshed(body, scopes[1])) == {"User.Read"}
        entra.revoke("ada")
        assert own.refreshed(body)["error_codes"] == [50173]


class TestHosts:
    @pytest.mark.parametrize(
        ("host", "issuer"),
        [
            ("login.microsoftonline.us", "https://login.microsoftonline.us/{0}/v2.0"),
            ("contoso.ciamlogin.com", "https://{0}.ciamlogin.com/{0}/v2.0"),
            (None, None),
        ],
    )
    def test_goes_by(
        self,
        entra: Emulator,
        http: requests.Session,
        host: str | None,
        issuer: str | None,
    ) -> None:
        """The tenant's documents and tokens name the host that it plays."""
        url = f"{entra.authority}/v2.0/.well-known/openid-configuration"
        home = entra.tenant.https_url
        entra.host = host
        found = http.get(url).json()
        expected = issuer.format(entra.tenant_id) if issuer else entra.issuer
        assert found["issuer"] == entra.issuer == expected
        base = f"https://{host}" if host else home
        assert found["token_endpoint"].startswith(f"{base}/")
        assert found["authorization_endpoint"].startswith(entra.pages_url)


@pytest.mark.parametrize("kind", ["B2C", "b2b", "", "ciam"])
def test_no_such_authority(entra: Emulator, kind: str) -> None:
    """A kind that is misspelt is not taken for Entra."""
    with pytest.raises(ValueError, match="entra, b2c, openid, custom_domain"):
        entra.config(kind)
