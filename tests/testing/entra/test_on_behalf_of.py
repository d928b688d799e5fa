"""The on-behalf-of flow of the emulator, as MSAL asks for it."""

from __future__ import annotations

import base64
import json
import typing as t

import jwt
import msal
import pytest
import requests
from cryptography.hazmat.primitives import serialization

from flask_msal_errors.testing import Emulator
from flask_msal_errors.testing.entra.keys import SigningKey
from flask_msal_errors.testing.entra.on_behalf_of import GRANT
from support.middle_tier import MiddleTier
from support.middle_tier import claims_of
from support.msal_client import REDIRECT_URI


def exchanged(
    entra: Emulator, assertion: str, scope: str = "", **options: t.Any
) -> dict[str, t.Any]:
    """MSAL's result of an exchange for one scope of the emulator's API."""
    app = msal.ConfidentialClientApplication(
        entra.client_id,
        client_credential=entra.client_secret,
        authority=entra.authority,
        instance_discovery=False,
        verify=entra.ca_file,
    )
    scopes = [scope or entra.scope("Mail.Read")]
    try:
        result = app.acquire_token_on_behalf_of(assertion, scopes, **options)
    finally:
        app.http_client.close()
    return t.cast("dict[str, t.Any]", result)


@pytest.mark.parametrize("version", [1, 2])
def test_token(version: int, entra: Emulator) -> None:
    """A caller's token is exchanged for one of the same user, for the further API."""
    entra.give_consent("ada", "Mail.Read")
    result = exchanged(entra, entra.access_token("ada", version=version))
    claims = jwt.decode(result["access_token"], options={"verify_signature": False})
    assert claims["oid"] == entra.tenant.user("ada").object_id
    assert (claims["aud"], claims["scp"]) == (entra.api_resource, "Mail.Read")
    assert claims["azp"] == entra.client_id


def test_refusals(entra: Emulator) -> None:
    """Consent, policies and revocation are refused as at a refresh, with claims."""
    assertion = entra.access_token("ada")
    refused = exchanged(entra, assertion)
    assert (refused["error"], refused["suberror"]) == (
        *("invalid_grant", "consent_required"),
    )
    entra.give_consent("ada", "Mail.Read")
    entra.require_mfa("Mail.Read")
    refused = exchanged(entra, assertion)
    assert refused["error_codes"] == [50076] and "polids" in refused["claims"]
    proven = entra.access_token("ada", amr=["pwd", "mfa"])
    assert "access_token" in exchanged(entra, proven)
    entra.revoke("ada")
    assert exchanged(entra, proven)["error_codes"] == [50173]


@pytest.mark.parametrize(
    ("user", "claims", "code"),
    [
        ("ada", {"aud": "https://graph.microsoft.com"}, 500131),
        ("ada", {"exp": 1}, 500133),
        (None, {}, 7000114),
    ],
)
def test_assertions(
    user: str | None, claims: dict[str, t.Any], code: int, entra: Emulator
) -> None:
    """An assertion is for this app, valid, and of a user."""
    result = exchanged(entra, entra.access_token(user, **claims))
    assert result["error_codes"] == [code]


@pytest.mark.parametrize(
    ("kind", "code", "error"),
    [
        ("garbage", 50027, "invalid_request"),
        ("forged", 50013, "invalid_grant"),
        ("unknown key", 50013, "invalid_grant"),
        ("of the first client", 500131, "invalid_grant"),
        ("for the further API", 500131, "invalid_grant"),
        ("ID token", 240002, "invalid_request"),
        ("of before a reset", 50173, "invalid_grant"),
    ],
)
def test_wrong_assertions(kind: str, code: int, error: str, tier: MiddleTier) -> None:
    """Each kind of wrong token has a code of its own."""
    entra = tier.entra
    token = tier.token()
    key = SigningKey()
    claims = jwt.decode(token, options={"verify_signature": False})
    headers = jwt.get_unverified_header(token)
    assertion = {
        "garbage": "garbage",
        "forged": jwt.encode(claims, key.private, "RS256", headers=headers),
        "unknown key": jwt.encode(claims, key.private, "RS256"),
        "of the first client": entra.access_token(),
        "for the further API": entra.access_token(registration="archive"),
        "ID token": tier.sign_in(client=tier.msal_of(tier.api))["id_token"],
        "of before a reset": token,
    }[kind]
    if kind == "of before a reset":
        entra.tenant.issued.clear()
    refused = tier.exchange(assertion)
    assert (refused["error_codes"], refused["error"]) == ([code], error)


def test_no_assertion(tier: MiddleTier, http: requests.Session) -> None:
    """A request without one is told which parameter is missing."""
    form = {
        "grant_type": GRANT,
        "requested_token_use": "on_behalf_of",
        "client_id": tier.api.client_id,
        "client_secret": tier.api.client_secret,
        "scope": "User.Read",
    }
    answer = http.post(f"{tier.entra.authority}/oauth2/v2.0/token", data=form)
    assert (answer.status_code, answer.json()["error_codes"]) == (400, [900144])


class TestConsent:
    def test_combined(self, tier: MiddleTier) -> None:
        """With ``.default`` the person consents for the API, too, in one page."""
        token = tier.token()
        assert tier.person.pages.count("consent") == 1
        result = tier.exchange(token)
        claims = claims_of(result)
        assert (claims["aud"], claims["scp"]) == (tier.archive.client_id, "Files.Read")
        assert claims["azp"] == tier.api.client_id
        assert result["scope"] == tier.archive.scope("Files.Read")
        assert "access_token" in tier.exchange(token, ["User.Read"])

    def test_page_names_both(self, tier: MiddleTier) -> None:
        """The consent page says what the API is to get for the user."""
        flow = tier.app.initiate_auth_code_flow(
            [tier.api.scope(".default")],
            redirect_uri=REDIRECT_URI,
            response_mode="form_post",
        )
        page = tier.person.visit(flow["auth_uri"], stop_at="consent").text
        assert f"Everything that {tier.api.id_uri} offers" in page
        assert "Let payroll act for you: Use Files.Read" in page

    def test_only_for_known_clients(self, entra: Emulator) -> None:
        """A client that the API does not know brings no consent for it."""
        tier = MiddleTier(entra, known_clients=[])
        refused = tier.exchange(tier.token())
        assert refused["error"] == "invalid_grant"
        assert refused["suberror"] == "consent_required"
        assert refused["error_codes"] == [65001]

    def test_only_with_default(self, tier: MiddleTier) -> None:
        """Single scopes of the API bring no consent for it, ``.default`` does later.

        As at Entra it shows the page only if that is asked for.
        """
        first = tier.sign_in(tier.api.scope("access_as_user"))["access_token"]
        assert tier.exchange(first)["error_codes"] == [65001]
        tier.person.pages.clear()
        assert tier.exchange(tier.token())["error_codes"] == [65001]
        assert "consent" not in tier.person.pages
        assert "access_token" in tier.exchange(tier.token(prompt="consent"))

    def test_withdrawn(self, tier: MiddleTier) -> None:
        """The API's own consent can be taken back; the client's stays."""
        token = tier.token()
        tier.entra.withdraw_consent("ada", app="payroll")
        assert tier.exchange(token)["error_codes"] == [65001]
        tier.person.pages.clear()
        assert "access_token" in tier.sign_in(tier.api.scope("access_as_user"))
        assert "consent" not in tier.person.pages
        tier.entra.give_consent("ada", "archive/Files.Read", app="payroll")
        assert "access_token" in tier.exchange(token)

    def test_of_an_administrator(self, entra: Emulator) -> None:
        """An administrator's consent is to what is registered, and nothing more."""
        tier = MiddleTier(entra, admin_consent=True, known_clients=[])
        assert "access_token" in tier.exchange(tier.token())
        refused = tier.exchange(tier.token(), [tier.archive.scope("Files.Write")])
        assert refused["error_codes"] == [65001]

    def test_preauthorized(self, entra: Emulator) -> None:
        """The further API can let a client in that nobody consented to."""
        tier = MiddleTier(entra, known_clients=[])
        entra.register("archive", scopes=["Files.Read"], preauthorized=["payroll"])
        assert "access_token" in tier.exchange(tier.token())
        assert "access_token" in tier.exchange(
            tier.token(), [tier.archive.scope(".default")]
        )


class TestPolicies:
    """The further API's policies count at the exchange, those of the API before."""

    @pytest.mark.parametrize(
        ("demand", "code", "error", "suberror", "claim", "page"),
        [
            (
                "require_mfa",
                *(50076, "invalid_grant", "basic_action", "polids", "mfa"),
            ),
            (
                "require_device",
                *(53000, "invalid_grant", "additional_action", "capolids", "device"),
            ),
        ],
    )
    @pytest.mark.parametrize("scope", ["Files.Read", "uri", None])
    def test_of_the_further_api(
        self,
        tier: MiddleTier,
        demand: str,
        code: int,
        error: str,
        suberror: str,
        claim: str,
        page: str,
        scope: str | None,
    ) -> None:
        """The refusal has claims, which a new sign-in at the web app meets."""
        token = tier.token()
        place = tier.archive.id_uri if scope == "uri" else scope
        getattr(tier.entra, demand)(place)
        refused = tier.exchange(token)
        assert (refused["error"], refused["suberror"]) == (error, suberror)
        assert refused["error_codes"] == [code]
        claims = refused["claims"]
        assert claim in json.loads(claims)["access_token"]
        tier.person.pages.clear()
        proven = tier.token(claims_challenge=claims)
        assert page in tier.person.pages
        assert "access_token" in tier.exchange(proven)
        assert tier.exchange(token)["error_codes"] == [code]

    def test_not_set_up(self, tier: MiddleTier) -> None:
        """Without a second factor it is 50079, until the person sets one up."""
        token = tier.token()
        tier.entra.remove_second_factor("ada")
        tier.entra.require_mfa(tier.archive.id_uri)
        refused = tier.exchange(token)
        assert (refused["error"], refused["error_codes"]) == (
            *("interaction_required", [50079]),
        )
        proven = tier.token(claims_challenge=refused["claims"])
        assert "access_token" in tier.exchange(proven)
        assert tier.exchange(token)["error_codes"] == [50076]

    def test_block(self, tier: MiddleTier) -> None:
        """A block of the further API lets people in to the API."""
        tier.entra.block(tier.archive.id_uri)
        refused = tier.exchange(tier.token())
        assert (refused["error_codes"], refused["suberror"]) == (
            *([53003], "message_only"),
        )

    def test_one_user(self, tier: MiddleTier) -> None:
        """A policy for another user lets Ada pass."""
        tier.entra.require_mfa(tier.archive.id_uri, user="grace")
        tier.entra.require_device(user="grace")
        assert "access_token" in tier.exchange(tier.token())

    def test_authentication_context(
        self, tier: MiddleTier, context_claims: str
    ) -> None:
        """A context that is asked for has to be proved; then it is in the token."""
        token = tier.token()
        refused = tier.exchange(token, claims=context_claims)
        assert refused["error_codes"] == [50076]
        proven = tier.token(claims_challenge=context_claims)
        result = tier.exchange(proven, claims=context_claims)
        assert claims_of(result)["acrs"] == ["c1"]
        assert claims_of({"access_token": proven})["acrs"] == ["c1"]


class TestUser:
    @pytest.mark.parametrize(
        ("event", "code"),
        [
            ("revoke", 50173),
            ("expire_frequency", 70043),
            ("expire_password", 50055),
            ("disable", 50057),
        ],
    )
    def test_events(self, tier: MiddleTier, event: str, code: int) -> None:
        """The end of a sign-in ends the exchange of tokens from before."""
        token = tier.token()
        getattr(tier.entra, event)("ada")
        assert tier.exchange(token)["error_codes"] == [code]
        if event != "disable":
            assert "access_token" in tier.exchange(tier.token())

    def test_sign_in_counts_not_the_token(self, tier: MiddleTier) -> None:
        """A token of a refresh is as old as its sign-in."""
        tier.sign_in()
        scopes = [tier.api.scope("access_as_user")]
        account = tier.app.get_accounts()[0]
        result = tier.app.acquire_token_silent(scopes, account, force_refresh=True)
        issued = tier.entra.tenant.issued[claims_of(result)["uti"]]
        assert issued.sign_in.at < issued.at
        assert "access_token" in tier.exchange(result["access_token"])

    def test_another_address(self, tier: MiddleTier, http: requests.Session) -> None:
        """The claims of an API that saw another address get a token for that one."""
        entra, token, graph = tier.entra, tier.token(), ["User.Read"]
        entra.change_ip("ada")

        def called(claims: str | None = None) -> requests.Response:
            held = tier.exchange(token, graph, claims)["access_token"]
            headers = {"Authorization": f"Bearer {held}"}
            return http.get(f"{entra.graph_url}/me", headers=headers)

        refused = called()
        header = refused.headers["WWW-Authenticate"]
        packed = header.partition('claims="')[2].partition('"')[0]
        claims = base64.b64decode(packed + "=" * (-len(packed) % 4)).decode()
        assert refused.status_code == 401 and "xms_rp_ipaddr" in claims
        assert called(claims).status_code == 200

    def test_throttled_alone(self, tier: MiddleTier, http: requests.Session) -> None:
        """One user's 429 at the exchange is not another's."""
        entra = tier.entra
        held = {}
        for name in ("ada", "grace"):
            entra.give_consent(name, "archive/Files.Read", app="payroll")
            held[name] = entra.access_token(name, registration="payroll")
        entra.throttle(40, user="ada")
        form = {
            "grant_type": GRANT,
            "requested_token_use": "on_behalf_of",
            "client_id": tier.api.client_id,
            "client_secret": tier.api.client_secret,
            "scope": tier.archive.scope("Files.Read"),
        }
        url = f"{entra.authority}/oauth2/v2.0/token"
        answer = http.post(url, data={**form, "assertion": held["ada"]})
        assert (answer.status_code, answer.text) == (429, "Too Many Requests")
        assert 30 < int(answer.headers["Retry-After"]) <= 40
        assert http.post(url, data={**form, "assertion": held["grace"]}).ok
        entra.clear_faults()
        assert http.post(url, data={**form, "assertion": held["ada"]}).ok


def test_certificate(tier: MiddleTier) -> None:
    """An API proves itself by its own certificate, which is no other client's."""
    key = SigningKey()
    public = key.certificate.public_bytes(serialization.Encoding.PEM)
    private = key.private.private_bytes(
        serialization.Encoding.PEM,
        serialization.PrivateFormat.PKCS8,
        serialization.NoEncryption(),
    )
    thumbprint = tier.entra.register_certificate(public, app="payroll")
    held = {"private_key": private.decode(), "thumbprint": thumbprint}
    token = tier.token()
    assert "access_token" in tier.exchange(token, client_credential=held)
    other = tier.msal_of("archive", client_credential=held)
    refused = other.acquire_token_for_client([tier.api.scope(".default")])
    assert refused["error_codes"] == [700027]


def test_refresh_token(tier: MiddleTier) -> None:
    """With offline_access the API gets a refresh token, which is its own."""
    api = tier.msal_of(tier.api)
    scopes = [tier.archive.scope("Files.Read")]
    held = tier.exchange(tier.token())["refresh_token"]
    assert "access_token" in api.acquire_token_by_refresh_token(held, scopes)
    refused = tier.app.acquire_token_by_refresh_token(held, scopes)
    assert refused["error_codes"] == [70000]
