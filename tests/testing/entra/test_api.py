"""The API: whom it lets in, and how it refuses."""

from __future__ import annotations

import typing as t

import jwt
import pytest

from support.msal_client import MsalClient


class TestTokens:
    @pytest.mark.parametrize("token", ["", "garbage", "a.b.c"])
    def test_garbage(self, client: MsalClient, token: str) -> None:
        """No token, or none that is one, is invalid_token without claims."""
        refused = client.call("/me", {"access_token": token})
        header = refused.headers["WWW-Authenticate"]
        assert refused.status_code == 401
        assert 'error="invalid_token"' in header
        assert "claims=" not in header
        assert refused.json()["error"]["code"] == "InvalidAuthenticationToken"

    @pytest.mark.parametrize(
        "changes", [{"aud": "https://graph.microsoft.com"}, {"iss": "x"}, {"exp": 1}]
    )
    def test_wrong_claims(self, client: MsalClient, changes: dict[str, t.Any]) -> None:
        """A token for another API, of another issuer, or too old is refused."""
        result = client.sign_in("Profile.Read")
        key = client.entra.tenant.keys.current
        claims = jwt.decode(result["access_token"], options={"verify_signature": False})
        other = jwt.encode(
            {**claims, **changes},
            key.private,
            algorithm="RS256",
            headers={"kid": key.kid},
        )
        assert client.call("/me", {"access_token": other}).status_code == 401

    def test_expiry(self, client: MsalClient) -> None:
        """A token ends when its lifetime does."""
        client.entra.token_lifetime = 0
        result = client.sign_in("Profile.Read")
        header = client.call("/me", result).headers["WWW-Authenticate"]
        assert "Lifetime" in header

    def test_scope(self, client: MsalClient) -> None:
        """A missing scope is RFC 6750's insufficient_scope, with its full name."""
        result = client.sign_in("Profile.Read")
        refused = client.call("/mail", result)
        assert refused.status_code == 403
        scope = client.entra.scope("Mail.Read")
        assert refused.headers["WWW-Authenticate"] == (
            f'Bearer error="insufficient_scope", scope="{scope}"'
        )


class TestAnswers:
    @pytest.mark.parametrize(
        ("path", "scope", "member"),
        [
            ("/me", "Profile.Read", "displayName"),
            ("/mail", "Mail.Read", "value"),
            ("/busy", "Busy.Read", "value"),
        ],
    )
    def test_content(
        self, client: MsalClient, path: str, scope: str, member: str
    ) -> None:
        """Each resource answers to its scope."""
        assert client.call(path, client.sign_in(scope)).json()[member]

    def test_resource_groups(self, client: MsalClient) -> None:
        """Resource Manager answers with the user's own group."""
        result = client.sign_in("Profile.Read")
        answer = client.call("/../arm/subscriptions/1/resourcegroups", result)
        assert answer.json()["value"][0]["name"] == "ada"

    def test_vault(self, client: MsalClient) -> None:
        """Key Vault says whom to ask for a token, and answers to one."""
        url = f"{client.entra.authority.rpartition('/')[0]}/vault/secrets/a/"
        refused = client.http.get(url)
        assert refused.status_code == 401
        assert client.entra.tenant_id in refused.headers["WWW-Authenticate"]
        assert client.entra.api_resource in refused.headers["WWW-Authenticate"]
        token = client.sign_in("Profile.Read")["access_token"]
        bearer = {"Authorization": f"Bearer {token}"}
        answer = client.http.get(url, headers=bearer)
        assert answer.json()["value"] == "a of ada@contoso.example"

    def test_graph_messages(self, client: MsalClient) -> None:
        """The Graph paths answer to Graph tokens only."""
        result = client.sign_in("Mail.Read")
        bearer = {"Authorization": f"Bearer {result['access_token']}"}
        url = f"{client.entra.graph_url}/me/messages"
        assert client.http.get(url, headers=bearer).status_code == 401
        scope = "openid https://graph.microsoft.com/Mail.Read"
        code = client.authorize(scope=scope).params["code"]
        body = client.token(
            grant_type="authorization_code",
            code=code,
            redirect_uri="http://localhost:5000/auth/callback",
        ).json()
        bearer = {"Authorization": f"Bearer {body['access_token']}"}
        assert body["scope"] == "Mail.Read"
        assert client.http.get(url, headers=bearer).ok

    def test_echo(self, client: MsalClient) -> None:
        """The echo says what arrived: form, files, JSON, user."""
        result = client.sign_in("Profile.Read")
        bearer = {"Authorization": f"Bearer {result['access_token']}"}
        url = f"{client.entra.api_url}/echo?a=b"
        form = client.http.post(
            url,
            data={"x": "1"},
            files={"f": ("f.bin", b"\x00" * 300_000)},
            headers=bearer,
        ).json()
        assert (form["form"], form["files"]) == ({"x": "1"}, {"f": 300_000})
        assert form["query"] == {"a": "b"}
        sent = client.http.put(url, json={"k": [1]}, headers=bearer).json()
        assert (sent["method"], sent["json"]) == ("PUT", {"k": [1]})
        assert sent["user"] == "ada@contoso.example"

    def test_chunked_body(self, client: MsalClient) -> None:
        """A body without a length arrives whole, and the connection stays usable."""
        result = client.sign_in("Profile.Read")
        bearer = {"Authorization": f"Bearer {result['access_token']}"}
        url = f"{client.entra.api_url}/echo"
        headers = {**bearer, "Content-Type": "application/json"}
        sent = client.http.post(url, data=iter([b'{"a"', b":1}"]), headers=headers)
        assert sent.json()["json"] == {"a": 1}
        assert client.call("/me", result).ok

    def test_nothing_here(self, client: MsalClient) -> None:
        """Other paths are 404."""
        assert client.call("/nothing", {}).status_code == 404
