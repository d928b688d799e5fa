"""How far policies reach, and requests at the edge of what is allowed."""

from __future__ import annotations

import email.utils
import logging
import os
import threading
import time
import urllib.parse

import pytest
import requests

from flask_msal_errors.testing import Emulator
from flask_msal_errors.testing import plugin
from flask_msal_errors.testing.browser.cookies import CookieJar
from flask_msal_errors.testing.browser.fetch import is_local
from support.msal_client import MsalClient
from support.waiting import PATIENCE

C1 = '{"access_token":{"acrs":{"essential":true,"value":"c1"}}}'


class TestReach:
    @pytest.mark.parametrize(
        ("scope", "user", "refused"),
        [
            ("Profile.Read", None, True),
            ("Mail.Read", None, False),
            (None, "ada", True),
            (None, "grace", False),
            ("Profile.Read", "grace", False),
        ],
    )
    def test_mfa(
        self, client: MsalClient, scope: str | None, user: str | None, refused: bool
    ) -> None:
        """A policy reaches its scope and its user, and nothing else."""
        client.sign_in("Profile.Read")
        client.entra.require_mfa(scope, user and client.entra.users[user])
        assert ("error" in client.silent("Profile.Read")) is refused

    def test_step_up_counts_as_mfa(self, client: MsalClient) -> None:
        """A user who proved an authentication context has done MFA."""
        client.sign_in("Profile.Read", claims_challenge=C1)
        client.entra.require_mfa()
        assert "access_token" in client.silent("Profile.Read")

    def test_one_user_revoked(self, client: MsalClient) -> None:
        """Revoking one user leaves another one's tokens alone."""
        result = client.sign_in("Profile.Read")
        client.entra.revoke("grace")
        assert client.call("/me", result).ok
        assert "access_token" in client.silent("Profile.Read")

    def test_old_token_stays_refused(self, client: MsalClient) -> None:
        """A new sign-in after a revocation does not revive the old token."""
        old = client.sign_in("Profile.Read")
        client.entra.revoke("ada")
        assert client.call("/me", client.sign_in("Profile.Read")).ok
        assert client.call("/me", old).status_code == 401

    def test_refused_refresh_spends_no_token(self, client: MsalClient) -> None:
        """A refused one-time refresh token is still good."""
        client.entra.one_time_refresh_tokens = True
        form = {
            "grant_type": "refresh_token",
            "refresh_token": client.sign_in("Profile.Read")["refresh_token"],
            "scope": client.entra.scope("Profile.Read"),
        }
        client.entra.block()
        assert client.token(**form).json()["error_codes"] == [53003]
        client.entra.clear_policies()
        assert client.token(**form).ok
        assert client.token(**form).json()["error_codes"] == [70008]

    def test_addresses_do_not_run_out(self, entra: Emulator) -> None:
        """However often a user moves, the address is one."""
        for _ in range(300):
            entra.change_ip("ada")
            last = int(entra.users["ada"].address.rpartition(".")[2])
            assert 1 <= last <= 254

    def test_unknown_user(self, entra: Emulator) -> None:
        """A user that does not exist is a ``LookupError`` that names who does."""
        with pytest.raises(LookupError, match="no user 'nobody', but ada, grace"):
            entra.revoke("nobody")

    def test_header_form_can_be_read(self, entra: Emulator) -> None:
        """The form in use can be read, and ``reset`` puts the default back."""
        entra.header_form = "arm"
        assert entra.header_form == "arm"
        entra.reset()
        assert entra.header_form == "graph_live"


class TestOddRequests:
    @pytest.mark.parametrize("target", ["http://[", "http://[::1", "//localhost", "x"])
    def test_malformed_addresses(self, client: MsalClient, target: str) -> None:
        """A malformed redirect URI is 50011; after sign-out it leads nowhere."""
        page = client.person.get(client.authorize_url(redirect_uri=target))
        assert (page.status_code, "AADSTS50011" in page.text) == (400, True)
        query = urllib.parse.urlencode({"post_logout_redirect_uri": target})
        url = f"{client.entra.pages_url}/common/oauth2/v2.0/logout?{query}"
        assert client.person.get(url).status_code == 200
        assert not is_local(target)

    @pytest.mark.parametrize("age", ["²", "-1", "soon", ""])
    def test_max_age_nonsense(self, client: MsalClient, age: str) -> None:
        """A ``max_age`` that is no number asks for nothing."""
        client.sign_in("Profile.Read")
        client.person.pages.clear()
        assert client.authorize(max_age=age).params["code"]
        assert client.person.pages == []

    def test_deep_claims(self, client: MsalClient) -> None:
        """Claims nested too deep to read are refused as any nonsense."""
        depth = 5000
        answer = client.token(
            grant_type="refresh_token",
            refresh_token=client.sign_in("Profile.Read")["refresh_token"],
            claims='{"a":' * depth + "1" + "}" * depth,
        )
        assert answer.status_code in (200, 400)
        nonsense = client.token(
            grant_type="refresh_token",
            refresh_token=client.sign_in("Profile.Read")["refresh_token"],
            claims="[" * 200_000,
        )
        assert nonsense.json()["error_codes"] == [90023]

    def test_numbers_on_the_explaining_page(self, client: MsalClient) -> None:
        """Digits of another script are no code."""
        page = client.http.get(f"{client.entra.pages_url}/error?code=²")
        assert "There is no such code." in page.text

    def test_revoked_while_on_a_page(self, client: MsalClient) -> None:
        """A proof for a sign-in that is gone leads back to the picker."""
        client.entra.require_mfa()
        page = client.person.visit(client.authorize_url(), stop_at="mfa")
        client.entra.revoke("ada")
        again = client.person.submit(page, "mfa", stop_at="pick")
        assert "Pick an account" in again.text

    def test_unknown_button(self, client: MsalClient) -> None:
        """A button that the page does not have changes nothing."""
        page = client.person.visit(client.authorize_url(), stop_at="consent")
        again = client.person.submit(page, "accept", stop_at="consent", action="x")
        assert "Permissions requested" in again.text

    def test_pages_that_are_not_there(self, client: MsalClient) -> None:
        """A page that the emulator does not have is 404, and the person stops."""
        page = client.person.visit(f"{client.entra.pages_url}/no/such/page")
        assert page.status_code == 404
        assert client.person.pages == ["failed"]

    def test_state_is_optional(self, client: MsalClient) -> None:
        """Without ``state`` nothing is echoed, on either way back."""
        assert "state" not in client.authorize(state=None).params
        client.person.cancel = True
        params = client.authorize(state=None, prompt="login").params
        assert params == {"error": "access_denied", "error_subcode": "cancel"}

    def test_prompt_none_with_a_hint(self, client: MsalClient) -> None:
        """With two sign-ins, a hint says which; a stranger's hint is 50058."""
        for name in ("ada", "grace"):
            client.person.name = name
            client.authorize(prompt="select_account")
        hint = {"prompt": "none", "login_hint": "grace@contoso.example"}
        assert client.authorize(**hint).params["code"]
        hint["login_hint"] = "stranger@contoso.example"
        assert "error" in client.authorize(**hint).params


class TestSignOut:
    def test_frames_then_back(self, client: MsalClient) -> None:
        """Front-channel sign-out comes first, then the way back to the app."""
        sid = client.sign_in("Profile.Read")["id_token_claims"]["sid"]
        entra = client.entra
        entra.frontchannel_logout_uri = f"{entra.pages_url}/error?code=50058"
        query = {"post_logout_redirect_uri": f"{entra.panel_url}?a=b"}
        base = f"{entra.pages_url}/{entra.tenant_id}/oauth2/v2.0/logout"
        client.person.visit(f"{base}?{urllib.parse.urlencode(query)}")
        assert client.person.history[-2:] == [
            f"{entra.frontchannel_logout_uri}&sid={sid}",
            f"{entra.panel_url}?a=b",
        ]

    def test_without_a_sign_in(self, client: MsalClient) -> None:
        """A user who is signed out already gets the same page, without frames."""
        entra = client.entra
        entra.frontchannel_logout_uri = entra.panel_url
        page = client.person.get(f"{entra.pages_url}/common/oauth2/v2.0/logout")
        assert "signed out" in page.text
        assert "iframe" not in page.text


class TestFaults:
    def test_dates(self, client: MsalClient) -> None:
        """The date form of Retry-After is the moment at which the outage ends."""
        client.entra.throttle(30, retry_after="date")
        date = client.token().headers["Retry-After"]
        left = email.utils.parsedate_to_datetime(date).timestamp() - time.time()
        assert 28 < left <= 31

    def test_plain_by_default(self, client: MsalClient) -> None:
        """Unavailable is JSON without Retry-After unless it is asked for."""
        client.entra.unavailable()
        reply = client.token()
        assert reply.json()["error_codes"] == [90033]
        assert "Retry-After" not in reply.headers

    def test_scripts_under_load(self, client: MsalClient) -> None:
        """Each scripted answer is given once, whoever comes first."""
        for number in range(20):
            client.entra.fail_next({"error": "scripted", "number": number})
        found: list[object] = []

        def ask() -> None:
            found.extend(client.token().json().get("number") for _ in range(5))

        threads = [threading.Thread(target=ask) for _ in range(6)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert sorted(n for n in found if isinstance(n, int)) == list(range(20))
        assert found.count(None) == 10

    def test_nan_on_the_panel(self, client: MsalClient) -> None:
        """Seconds that are no number are 30, whatever the switch."""
        form = {"do": "slow", "seconds": "nan", "target": "api"}
        page = client.person.visit(client.entra.panel_url, form)
        assert "api: slow, 30 s" in page.text

    @pytest.mark.parametrize(
        ("seconds", "shown"), [("1e9", "3600 s"), ("-5", "0 s"), ("inf", "3600 s")]
    )
    def test_far_off_numbers_on_the_panel(
        self, client: MsalClient, seconds: str, shown: str
    ) -> None:
        """Seconds stay between none and an hour."""
        form = {"do": "token_lifetime", "value": seconds}
        page = client.person.visit(client.entra.panel_url, form)
        assert f"Now {shown}." in page.text


class TestJar:
    @pytest.mark.parametrize(
        ("line", "path"),
        [("a=1", "/one/two"), ("a=1; Path=one", "/one/two"), ("a=1; Path=/", "/")],
    )
    def test_default_path(self, line: str, path: str) -> None:
        """A cookie without a path is for its page's folder (RFC 6265, 5.1.4)."""
        jar = CookieJar()
        jar.store("http://localhost/one/two/page", [line])
        sent = jar.header(f"http://localhost{path}/", "GET", None, False)
        assert sent == "a=1"
        away = jar.header("http://localhost/other", "GET", None, False)
        assert bool(away) is (path == "/")

    @pytest.mark.parametrize(
        "line",
        ["__Host-a=1; Secure", "__Host-a=1; Secure; Path=/; Domain=localhost"],
    )
    def test_host_prefix(self, line: str) -> None:
        """``__Host-`` needs ``Path=/`` in so many letters, and no ``Domain``."""
        jar = CookieJar()
        jar.store("https://localhost/", [line])
        assert jar.names("https://localhost/") == []

    @pytest.mark.parametrize("attribute", ["Max-Age=soon", "Expires=never"])
    def test_nonsense_expiry(self, attribute: str) -> None:
        """An expiry that cannot be read is none."""
        jar = CookieJar()
        jar.store("http://localhost/", [f"a=1; {attribute}"])
        assert jar.get("http://localhost/", "a") == "1"

    def test_expired_cookies_are_not_sent(
        self, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """A cookie whose time is over stays home."""
        jar = CookieJar()
        jar.store("http://localhost/", ["a=1; Max-Age=60"])
        later = time.time() + 61
        monkeypatch.setattr(time, "time", lambda: later)
        assert jar.header("http://localhost/", "GET", None, False) == ""


class TestPlugin:
    def test_proxies_and_bundles(
        self, monkeypatch: pytest.MonkeyPatch, request: pytest.FixtureRequest
    ) -> None:
        """The fixture keeps proxies and other CA bundles away from localhost."""
        monkeypatch.setenv("no_proxy", "example.com")
        monkeypatch.setenv("HTTPS_PROXY", "http://127.0.0.1:1")
        monkeypatch.setenv("REQUESTS_CA_BUNDLE", "/nowhere.pem")
        entra = request.getfixturevalue("entra")
        url = f"{entra.api_url}/me"
        answer = requests.get(url, verify=entra.ca_file, timeout=PATIENCE)
        assert answer.status_code == 401
        assert os.environ["no_proxy"] == "example.com,localhost"
        assert "REQUESTS_CA_BUNDLE" not in os.environ

    def test_fixtures(self) -> None:
        """The plugin offers the emulator for a test, and the one for the run."""
        assert callable(plugin.entra)
        assert callable(plugin.entra_server)


def test_no_secret_in_any_log(
    client: MsalClient, caplog: pytest.LogCaptureFixture
) -> None:
    """No logger of the emulator's shows a code, a token, a secret or a verifier."""
    with caplog.at_level(logging.DEBUG):
        flow = client.begin("Mail.Read")
        params = client.person.authorize(flow["auth_uri"]).params
        result = client.msal.acquire_token_by_auth_code_flow(flow, params)
        client.call("/mail", result)
        client.entra.revoke("ada")
        client.silent("Mail.Read")
    own = [r for r in caplog.records if r.name.startswith("flask_msal_errors.testing")]
    text = "\n".join(f"{r.getMessage()} {r.exc_text or ''}" for r in own)
    assert "POST" in text
    tokens = [result[name] for name in ("access_token", "refresh_token", "id_token")]
    secrets = [params["code"], flow["code_verifier"], flow["state"], flow["nonce"]]
    for secret in [*tokens, *secrets, client.entra.client_secret]:
        assert secret not in text
