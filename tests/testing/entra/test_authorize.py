"""Signing in: discovery, authorize, the pages, the ways back to the app."""

from __future__ import annotations

import base64
import collections.abc as cabc
import json
import typing as t
import urllib.parse

import jwt
import pytest

from support.msal_client import MsalClient


def decode(token: str) -> dict[str, t.Any]:
    return jwt.decode(token, options={"verify_signature": False})


class TestHappyPath:
    def test_msal_signs_in(self, client: MsalClient) -> None:
        """MSAL over https gets tokens whose claims tell who signed in and for what."""
        result = client.sign_in("Mail.Read")
        claims = result["id_token_claims"]
        access = decode(result["access_token"])
        entra = client.entra
        assert client.person.pages == ["pick", "consent", "form_post"]
        assert result["scope"] == entra.scope("Mail.Read")
        assert claims["preferred_username"] == "ada@contoso.example"
        assert claims["iss"] == entra.issuer
        assert {"sid", "login_hint", "auth_time", "tid", "oid", "nonce"} <= set(claims)
        assert access["aud"] == entra.api_resource
        assert (access["scp"], access["xms_cc"]) == ("Mail.Read", ["cp1"])
        assert client.call("/mail", result).json()["value"][0]["subject"]

    def test_signatures_verify_against_the_jwks(self, client: MsalClient) -> None:
        """Both tokens verify with the published key; its entry names the issuer."""
        result = client.sign_in("Profile.Read")
        keys = client.http.get(f"{client.entra.authority}/discovery/v2.0/keys").json()
        kid = jwt.get_unverified_header(result["id_token"])["kid"]
        entry = next(key for key in keys["keys"] if key["kid"] == kid)
        key = jwt.PyJWK(entry)
        assert entry["issuer"] == client.entra.issuer
        for name, audience in (
            ("id_token", client.entra.client_id),
            ("access_token", client.entra.api_resource),
        ):
            jwt.decode(result[name], key, algorithms=["RS256"], audience=audience)

    def test_single_sign_on_goes_straight_back(self, client: MsalClient) -> None:
        """With a sign-in in the browser and nothing to ask, no page shows."""
        client.sign_in("Mail.Read")
        client.person.pages.clear()
        client.sign_in("Mail.Read", login_hint="ada@contoso.example")
        assert client.person.pages == ["form_post"]

    def test_graph_scopes_need_no_prefix(self, client: MsalClient) -> None:
        """User.Read belongs to Graph, whose answer repeats the short form."""
        flow = client.msal.initiate_auth_code_flow(
            ["User.Read"],
            redirect_uri="http://localhost/auth/callback",
            response_mode="form_post",
        )
        answer = client.person.authorize(flow["auth_uri"])
        result = client.msal.acquire_token_by_auth_code_flow(flow, answer.params)
        bearer = {"Authorization": f"Bearer {result['access_token']}"}
        me = client.http.get(f"{client.entra.graph_url}/me", headers=bearer)
        assert result["scope"] == "User.Read"
        assert me.json()["displayName"] == "Ada Lovelace"
        account = client.msal.get_accounts()[0]
        assert client.msal.acquire_token_silent(["User.Read"], account)

    def test_https_pages(self) -> None:
        """With ``https_pages`` the person visits https only."""
        from flask_msal_errors.testing import Emulator

        with Emulator(https_pages=True) as entra:
            page = entra.person().get(entra.panel_url)
            assert entra.pages_url.startswith("https://localhost:")
            assert page.status_code == 200


class TestDiscovery:
    def test_fields(self, client: MsalClient) -> None:
        """The token endpoint is on https, the pages are on http, as documented."""
        url = f"{client.entra.authority}/v2.0/.well-known/openid-configuration"
        found = client.http.get(url).json()
        assert found["issuer"] == client.entra.issuer
        assert found["token_endpoint"].startswith("https://")
        assert found["authorization_endpoint"].startswith("http://localhost:")
        assert found["end_session_endpoint"].startswith("http://localhost:")
        assert found["frontchannel_logout_supported"] is True
        assert found["subject_types_supported"] == ["pairwise"]

    @pytest.mark.parametrize("name", ["common", "organizations", "Common"])
    def test_any_tenant_has_an_issuer_template(
        self, client: MsalClient, name: str
    ) -> None:
        """For any tenant, issuer and keys carry Entra's ``{tenantid}`` template."""
        base = client.entra.authority.rpartition("/")[0]
        url = f"{base}/{name}/v2.0/.well-known/openid-configuration"
        found = client.http.get(url).json()
        keys = client.http.get(found["jwks_uri"]).json()["keys"]
        assert found["issuer"] == f"{base}/{{tenantid}}/v2.0"
        assert keys[0]["issuer"] == found["issuer"]

    def test_unknown_tenant(self, client: MsalClient) -> None:
        """A tenant that is not there is 400 invalid_tenant."""
        base = client.entra.authority.rpartition("/")[0]
        for path in (
            "v2.0/.well-known/openid-configuration",
            "discovery/v2.0/keys",
        ):
            answer = client.http.get(f"{base}/nowhere/{path}")
            assert (answer.status_code, answer.json()["error"]) == (
                400,
                "invalid_tenant",
            )


class TestWaysBack:
    def test_query(self, client: MsalClient) -> None:
        """By default the code comes in the query, with state and session_state."""
        answer = client.authorize(client_info="1")
        assert answer.method == "GET"
        assert answer.params["state"] == "the-state"
        assert set(answer.params) == {"code", "session_state", "state", "client_info"}

    def test_fragment(self, client: MsalClient) -> None:
        """A fragment keeps the code from the server."""
        answer = client.authorize(response_mode="fragment")
        assert "#code=" in answer.url

    def test_form_post_submits_itself_under_a_nonce(self, client: MsalClient) -> None:
        """The page holds the fields, a script that its policy allows, and a button."""
        url = client.authorize_url(response_mode="form_post")
        page = client.person.visit(url, stop_at="form_post")
        policy = page.headers["Content-Security-Policy"]
        nonce = policy.partition("'nonce-")[2].partition("'")[0]
        assert f'<script nonce="{nonce}">' in page.text
        assert "<noscript>" in page.text

    def test_a_redirect_uri_with_a_query_keeps_it(self, client: MsalClient) -> None:
        """The answer is added to a query that is there."""
        answer = client.authorize(redirect_uri="http://localhost/auth/callback?a=b")
        assert answer.params["a"] == "b"
        assert answer.params["code"]

    def test_cancel(self, client: MsalClient) -> None:
        """Cancel is access_denied with error_subcode and no description."""
        client.person.cancel = True
        assert client.authorize().params == {
            "error": "access_denied",
            "error_subcode": "cancel",
            "state": "the-state",
        }

    def test_declined_consent(self, client: MsalClient) -> None:
        """Declining is 65004, with description and error_uri."""
        client.person.decline_consent = True
        params = client.authorize().params
        assert params["error"] == "access_denied"
        assert params["error_description"].startswith("AADSTS65004: User declined")
        assert params["error_uri"].endswith("/error?code=65004")
        page = client.http.get(params["error_uri"])
        assert "AADSTS65004" in page.text


class TestPages:
    def test_consent_is_asked_once_and_for_what_is_new(
        self, client: MsalClient
    ) -> None:
        """A second app permission is asked for alone, in plain words."""
        client.sign_in("Profile.Read")
        url = client.authorize_url(scope=f"openid {client.entra.scope('Mail.Read')}")
        page = client.person.visit(url, stop_at="consent")
        assert "Read your mail" in page.text
        assert "Read your profile" not in page.text

    def test_prompt_consent_asks_again(self, client: MsalClient) -> None:
        """``prompt=consent`` shows what was granted already."""
        client.sign_in("Profile.Read")
        client.person.pages.clear()
        client.sign_in("Profile.Read", prompt="consent")
        assert client.person.pages == ["consent", "form_post"]

    @pytest.mark.parametrize(
        ("prompt", "newer"), [("login", True), ("select_account", False)]
    )
    def test_prompts(self, client: MsalClient, prompt: str, newer: bool) -> None:
        """Both show the picker; only ``login`` makes a new sign-in."""
        client.sign_in("Profile.Read")
        user = client.entra.users["ada"]
        before = [b.sign_ins["ada"] for b in client.entra.tenant.browsers.values()]
        client.person.pages.clear()
        client.sign_in("Profile.Read", prompt=prompt)
        after = [b.sign_ins["ada"] for b in client.entra.tenant.browsers.values()]
        assert client.person.pages[0] == "pick"
        assert (after[0].at > before[0].at) is newer
        assert after[0].user is user
        assert after[0].sid == before[0].sid

    def test_max_age_zero_signs_in_anew(self, client: MsalClient) -> None:
        """``max_age=0`` refuses every sign-in from before."""
        client.sign_in("Profile.Read")
        client.person.pages.clear()
        client.authorize(max_age="0")
        assert client.person.pages[0] == "pick"

    def test_another_account_than_the_hint(self, client: MsalClient) -> None:
        """A hint only sorts the picker: the person may be someone else."""
        client.person.name = "grace"
        claims = client.sign_in("Profile.Read", login_hint="ada@contoso.example")
        assert claims["id_token_claims"]["name"] == "Grace Hopper"

    def test_login_hint_claim_is_a_hint(self, client: MsalClient) -> None:
        """The opaque ``login_hint`` claim works as a hint too."""
        hint = client.sign_in("Profile.Read")["id_token_claims"]["login_hint"]
        client.person.pages.clear()
        client.authorize(login_hint=hint)
        assert client.person.pages == []

    def test_two_accounts_in_one_browser(self, client: MsalClient) -> None:
        """With two sign-ins and no hint, the picker asks which."""
        client.sign_in("Profile.Read")
        client.person.name = "grace"
        client.sign_in("Profile.Read", prompt="select_account")
        page = client.person.visit(client.authorize_url(), stop_at="pick")
        assert page.text.count("Signed in") == 2

    def test_unassigned_user_stays_at_entra(self, client: MsalClient) -> None:
        """50105 is Entra's own page; nothing goes back to the app."""
        client.person.name = "mallory"
        page = client.person.visit(client.authorize_url())
        assert "AADSTS50105" in page.text
        with pytest.raises(RuntimeError, match="unassigned"):
            client.authorize()

    def test_use_another_account(self, client: MsalClient) -> None:
        """From a dead end a button leads back to the picker."""
        client.person.name = "mallory"
        page = client.person.visit(client.authorize_url())
        client.person.name = "ada"
        picker = client.person.submit(page, "switch", stop_at="pick")
        assert "Pick an account" in picker.text

    def test_back_to_a_finished_sign_in(self, client: MsalClient) -> None:
        """Back leads to a page of it, which goes on to the app by single sign-on."""
        url = client.authorize_url()
        first = client.person.authorize(url)
        login = next(u for u in client.person.history if "/login" in u)
        again = client.person.get(login)
        assert again.status_code == 302
        way = urllib.parse.urlsplit(again.headers["Location"])
        fields = dict(urllib.parse.parse_qsl(way.query))
        assert fields["state"] == first.params["state"]
        assert fields["code"] != first.params["code"]

    def test_back_by_somebody_else(self, client: MsalClient) -> None:
        """A page of somebody's sign-in gives another browser no code."""
        client.person.authorize(client.authorize_url())
        login = next(u for u in client.person.history if "/login" in u)
        page = client.entra.person("grace").get(login)
        assert "Pick an account" in page.text

    def test_unknown_sign_in(self, client: MsalClient) -> None:
        """A page of a sign-in that the tenant forgot says so."""
        client.person.authorize(client.authorize_url())
        login = next(u for u in client.person.history if "/login" in u)
        client.entra.reset()
        page = client.person.get(login)
        assert (page.status_code, "This sign-in is over" in page.text) == (400, True)


class TestPromptNone:
    @pytest.mark.parametrize(
        ("change", "error", "code"),
        [
            (lambda client: None, "login_required", 50058),
            (lambda client: sign_in(client, "ada"), None, None),
            (
                lambda client: sign_in(client, "ada", "grace"),
                "interaction_required",
                16000,
            ),
            (lambda client: mfa_later(client), "interaction_required", 50076),
            (lambda client: unconsented(client), "interaction_required", 65001),
            (lambda client: sign_in(client, "mallory"), "interaction_required", 50105),
        ],
    )
    def test_answers(
        self,
        client: MsalClient,
        change: cabc.Callable[[MsalClient], object],
        error: str | None,
        code: int | None,
    ) -> None:
        """``prompt=none`` tells the app that a page would be needed."""
        change(client)
        params = client.authorize(prompt="none").params
        assert params.get("error") == error
        if code:
            assert params["error_description"].startswith(f"AADSTS{code}:")

    def test_sign_in_frequency(self, client: MsalClient) -> None:
        """A sign-in that is too old is 70044, if the hint names it."""
        sign_in(client, "ada")
        client.entra.expire_frequency("ada")
        params = client.authorize(
            prompt="none", login_hint="ada@contoso.example"
        ).params
        assert params["error_description"].startswith("AADSTS70044:")


def sign_in(client: MsalClient, *names: str) -> None:
    for name in names:
        client.person.name = name
        client.person.visit(
            client.authorize_url(prompt="select_account"), stop_at="form_post"
        ) if name == "mallory" else client.authorize(prompt="select_account")


def mfa_later(client: MsalClient) -> None:
    sign_in(client, "ada")
    client.entra.require_mfa()


def unconsented(client: MsalClient) -> None:
    sign_in(client, "ada")
    client.entra.withdraw_consent("ada")


class TestRefusedRequests:
    @pytest.mark.parametrize(
        ("params", "code"),
        [
            ({"client_id": "someone-else"}, 700016),
            ({"redirect_uri": "https://evil.example/auth/callback"}, 50011),
            ({"redirect_uri": "javascript://localhost/%0aalert(1)"}, 50011),
            ({"redirect_uri": None}, 50011),
        ],
    )
    def test_untrusted_requests_end_on_a_page(
        self, client: MsalClient, params: dict[str, t.Any], code: int
    ) -> None:
        """An unknown client or redirect URI gets a page and no redirect."""
        page = client.person.get(client.authorize_url(**params))
        assert page.status_code == 400
        assert f"AADSTS{code}" in page.text

    def test_registered_redirect_uris(self, client: MsalClient) -> None:
        """With a list, only what is on it is taken."""
        client.entra.redirect_uris = {"http://localhost/elsewhere"}
        assert client.person.get(client.authorize_url()).status_code == 400
        answer = client.authorize(redirect_uri="http://localhost/elsewhere")
        assert answer.params["code"]

    @pytest.mark.parametrize(
        ("more", "code"),
        [("&scope=openid", 9000411), ("&state=x", 9000411), ("&resource=x", 901002)],
    )
    def test_version_and_form(self, client: MsalClient, more: str, code: int) -> None:
        """A parameter that came twice, or version 1.0's, gets a page."""
        page = client.person.get(client.authorize_url() + more)
        assert page.status_code == 400
        assert f"AADSTS{code}" in page.text

    @pytest.mark.parametrize("prompt", ["consent select_account", "admin_consent"])
    def test_prompt_is_one_of_five(self, client: MsalClient, prompt: str) -> None:
        """A list of prompts, or another one, goes back as an error."""
        said = client.authorize(prompt=prompt).params
        assert said["error"] == "invalid_request"
        assert "AADSTS90023: Unsupported 'prompt' value." in said["error_description"]

    @pytest.mark.parametrize(
        ("params", "error"),
        [
            ({"response_type": "token"}, "unsupported_response_type"),
            ({"scope": ""}, "invalid_request"),
            ({"scope": "https://other.example/Read"}, "invalid_resource"),
            ({"claims": "no json"}, "invalid_request"),
            ({"claims": "[]"}, "invalid_request"),
        ],
    )
    def test_wrong_requests_go_back_as_errors(
        self, client: MsalClient, params: dict[str, str], error: str
    ) -> None:
        """The app's mistake is told at its redirect URI."""
        assert client.authorize(**params).params["error"] == error

    def test_response_type(self, client: MsalClient) -> None:
        """Another response type than a code is AADSTS70005."""
        params = client.authorize(response_type="token").params
        assert params["error_description"].startswith("AADSTS70005:")

    def test_unknown_scope(self, client: MsalClient) -> None:
        """A scope that the resource does not have is refused."""
        params = client.authorize(scope=client.entra.scope("Nothing.Write")).params
        assert params["error_description"].startswith("AADSTS650053:")

    @pytest.mark.parametrize(
        "scope",
        [
            "Mail.Read,User.Read",
            "Mail.Read;User.Read",
            "openid,",
            "*",
            "https://graph.microsoft.com/",
        ],
    )
    def test_no_name_of_graph(self, client: MsalClient, scope: str) -> None:
        """Several scopes in one, or none, are no permission of Graph."""
        params = client.authorize(scope=f"openid {scope}").params
        assert params["error_description"].startswith("AADSTS650053:")

    def test_default_beside_others(self, client: MsalClient) -> None:
        """.default goes alone, at the authorize page and the token endpoint."""
        flow = client.begin("Mail.Read", ".default")
        answer = client.person.authorize(flow["auth_uri"])
        assert "AADSTS70011" in answer.params["error_description"]
        client.sign_in("Mail.Read")
        refused = client.silent("Mail.Read", ".default")
        assert refused["error_codes"] == [70011]

    @pytest.mark.parametrize("code", ["1", "x", ""])
    def test_explanations(self, client: MsalClient, code: str) -> None:
        """A code that the emulator does not know has no explanation."""
        page = client.http.get(f"{client.entra.pages_url}/error?code={code}")
        assert "There is no such code." in page.text

    @pytest.mark.parametrize("page", ["authorize", "logout"])
    def test_unknown_tenant(self, client: MsalClient, page: str) -> None:
        """Another tenant's pages say that there is no such tenant."""
        url = client.authorize_url().replace(client.entra.tenant_id, "nowhere")
        answer = client.person.get(url.replace("/authorize?", f"/{page}?"))
        assert "AADSTS90002" in answer.text


class TestSignOut:
    def test_ends_single_sign_on_and_returns(self, client: MsalClient) -> None:
        """After sign-out the picker asks again; a local page may be next."""
        client.sign_in("Profile.Read")
        base = f"{client.entra.pages_url}/{client.entra.tenant_id}/oauth2/v2.0/logout"
        query = {"post_logout_redirect_uri": "http://localhost/bye", "state": "s"}
        gone = client.person.get(f"{base}?{urllib.parse.urlencode(query)}")
        assert gone.headers["Location"] == "http://localhost/bye?state=s"
        client.person.pages.clear()
        client.authorize()
        assert client.person.pages[0] == "pick"

    @pytest.mark.parametrize("is_registered", [True, False])
    def test_registered(self, client: MsalClient, is_registered: bool) -> None:
        """With a list of redirect URIs, only one of them is next."""
        bye = "http://localhost/bye"
        client.entra.redirect_uris = {bye} if is_registered else {f"{bye}/"}
        base = f"{client.entra.pages_url}/common/oauth2/v2.0/logout"
        query = urllib.parse.urlencode({"post_logout_redirect_uri": bye})
        page = client.person.get(f"{base}?{query}")
        assert page.headers.get("Location") == (bye if is_registered else None)
        assert is_registered or "signed out" in page.text

    @pytest.mark.parametrize(
        "target", ["https://evil.example/", "javascript:alert(1)", ""]
    )
    def test_never_leads_off_this_machine(
        self, client: MsalClient, target: str
    ) -> None:
        """Any other address is ignored: the page says that one is signed out."""
        base = f"{client.entra.pages_url}/common/oauth2/v2.0/logout"
        query = urllib.parse.urlencode({"post_logout_redirect_uri": target})
        page = client.person.get(f"{base}?{query}")
        assert (page.status_code, "signed out" in page.text) == (200, True)
        assert "evil" not in page.text

    def test_hint_ends_one_users_sign_in(self, client: MsalClient) -> None:
        """With a hint the browser's other sign-in stays."""
        client.sign_in("Profile.Read")
        client.person.name = "grace"
        client.sign_in("Profile.Read", prompt="select_account")
        base = f"{client.entra.pages_url}/common/oauth2/v2.0/logout"
        client.person.get(f"{base}?logout_hint=grace@contoso.example")
        client.person.pages.clear()
        assert client.authorize().params["code"]
        assert client.person.pages == []

    def test_front_channel_tells_the_app_the_sid(self, client: MsalClient) -> None:
        """The page loads the app's front-channel address with ``sid`` alone."""
        sid = client.sign_in("Profile.Read")["id_token_claims"]["sid"]
        client.entra.frontchannel_logout_uri = f"{client.entra.pages_url}/panel"
        client.person.visit(f"{client.entra.pages_url}/common/oauth2/v2.0/logout")
        assert client.person.history[-1] == f"{client.entra.panel_url}?sid={sid}"


class TestClaims:
    def test_context_is_proved_once(
        self, client: MsalClient, context_claims: str
    ) -> None:
        """A context that was asked for is proved on a page and in both tokens."""
        client.sign_in("Payroll.Read")
        result = client.sign_in("Payroll.Read", claims_challenge=context_claims)
        assert "context" in client.person.pages
        assert decode(result["access_token"])["acrs"] == ["c1"]
        assert result["id_token_claims"]["acrs"] == ["c1"]
        client.person.pages.clear()
        client.sign_in("Payroll.Read", claims_challenge=context_claims)
        assert client.person.pages == ["form_post"]

    def test_id_token_claims_ask_for_a_context(self, client: MsalClient) -> None:
        """The ID token's ``acrs`` is a demand like the access token's."""
        claims = {"id_token": {"acrs": {"essential": True, "value": "c2"}}}
        answer = client.authorize(claims=json.dumps(claims))
        assert answer.params["code"]
        assert "context" in client.person.pages

    def test_acr_values(self, client: MsalClient) -> None:
        """The preferred ``acr`` that the ID token is asked for is proved, and named."""
        claims = {"id_token": {"acr": {"essential": True, "values": ["c4", "c5"]}}}
        result = client.sign_in("Profile.Read", claims_challenge=json.dumps(claims))
        assert "context" in client.person.pages
        assert result["id_token_claims"]["acr"] == "c4"
        assert "acr" not in client.sign_in("Profile.Read")["id_token_claims"]

    def test_policy_claims_ask_for_mfa(self, client: MsalClient) -> None:
        """A policy named by ``polids`` is met by MFA, whatever the scope."""
        claims = {"access_token": {"polids": {"essential": True, "Values": ["p"]}}}
        client.authorize(claims=json.dumps(claims))
        assert "mfa" in client.person.pages

    def test_client_info_names_user_and_tenant(self, client: MsalClient) -> None:
        """MSAL's home account id is made of user and tenant."""
        info = client.sign_in("Profile.Read")["client_info"]
        data = json.loads(base64.urlsafe_b64decode(f"{info}=="))
        assert data == {
            "uid": client.entra.users["ada"].object_id,
            "utid": client.entra.tenant_id,
        }
