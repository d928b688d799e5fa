"""The token endpoint: grants, PKCE, the app's own proof, headers and envelope."""

from __future__ import annotations

import datetime
import hashlib
import time
import typing as t
import uuid

import jwt
import pytest
import requests
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.x509.oid import NameOID

from flask_msal_errors.testing.entra.model import GRAPH
from support.msal_client import MsalClient

REDIRECT_URI = "http://localhost:5000/auth/callback"
JWT_BEARER = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer"


def redeem(client: MsalClient, issued: str, **form: t.Any) -> requests.Response:
    given = {
        "grant_type": "authorization_code",
        "code": issued,
        "redirect_uri": REDIRECT_URI,
    }
    return client.token(**{**given, **form})


class TestCodes:
    def test_a_code_works_once(self, client: MsalClient) -> None:
        """The second redemption is 54005."""
        code = client.authorize().params["code"]
        assert redeem(client, code).ok
        assert redeem(client, code).json()["error_codes"] == [54005]

    def test_a_code_lives_ten_minutes(self, client: MsalClient) -> None:
        """After that it is 70008."""
        code = client.authorize().params["code"]
        client.entra.tenant.codes[code].at -= 601
        assert redeem(client, code).json()["error_codes"] == [70008]

    @pytest.mark.parametrize(
        ("form", "status", "code"),
        [
            ({"code": "nonsense"}, 400, 9002313),
            ({"redirect_uri": "http://localhost/other"}, 400, 500112),
            ({"code_verifier": "not asked for"}, 400, 501481),
            ({"scope": "https://other.example/Read"}, 400, 500011),
            ({"grant_type": "password"}, 400, 70003),
            ({"claims": "{"}, 400, 90023),
            ({"scope": ["openid", "openid"]}, 400, 9000411),
            ({"client_id": str(uuid.uuid4())}, 400, 700016),
        ],
    )
    def test_refusals(
        self, client: MsalClient, form: dict[str, t.Any], status: int, code: int
    ) -> None:
        """A field that does not fit the authorize request is refused with its code."""
        answer = redeem(client, client.authorize().params["code"], **form)
        assert (answer.status_code, answer.json()["error_codes"]) == (status, [code])

    @pytest.mark.parametrize(
        ("verifier", "good"), [("v" * 43, True), ("w" * 43, False), ("", False)]
    )
    def test_pkce(self, client: MsalClient, verifier: str, good: bool) -> None:
        """Only the verifier of the challenge redeems the code."""
        challenge = jwt.utils.base64url_encode(hashlib.sha256(b"v" * 43).digest())
        code = client.authorize(
            code_challenge=challenge.decode(), code_challenge_method="S256"
        ).params["code"]
        answer = redeem(client, code, code_verifier=verifier)
        assert answer.ok is good
        if not good:
            assert answer.json()["error_codes"] == [501481]

    def test_optional_members(self, client: MsalClient) -> None:
        """No refresh token without offline_access, no ID token without openid."""
        code = client.authorize(scope=client.entra.scope("Mail.Read")).params["code"]
        body = redeem(client, code).json()
        assert not {"refresh_token", "id_token", "client_info"} & set(body)
        assert body["token_type"] == "Bearer"

    def test_one_resource_a_token(self, client: MsalClient) -> None:
        """Scopes of a second resource are left out of the token."""
        scope = f"openid {client.entra.scope('Mail.Read')} User.Read"
        body = redeem(client, client.authorize(scope=scope).params["code"]).json()
        assert body["scope"] == client.entra.scope("Mail.Read")

    def test_two_resources_named(self, client: MsalClient) -> None:
        """A token request that names scopes of two resources is 28000."""
        scope = f"openid {client.entra.scope('Mail.Read')} User.Read"
        answer = redeem(client, client.authorize().params["code"], scope=scope)
        assert answer.json()["error_codes"] == [28000]

    def test_oidc_scopes_alone(self, client: MsalClient) -> None:
        """With OIDC scopes alone the token is for Graph."""
        code = client.authorize(scope="openid profile").params["code"]
        body = redeem(client, code).json()
        assert body["scope"] == "openid profile"

    def test_default_scope(self, client: MsalClient) -> None:
        """``.default`` stands for all that was consented to."""
        scope = f"{client.entra.api_resource}/.default"
        body = redeem(client, client.authorize(scope=scope).params["code"]).json()
        assert len(body["scope"].split()) == 5
        assert body["scope"].split()[-1] == scope
        assert client.call("/busy", body).ok

    @pytest.mark.parametrize(
        ("asked", "as_registered", "as_asked"),
        [
            ("user.read", "User.Read", "user.read"),
            (f"{GRAPH}/User.Read", "User.Read", f"{GRAPH}/User.Read"),
            (f"{GRAPH}//user.read", "User.Read", f"{GRAPH}//user.read"),
            ("Some.Thing", "Some.Thing", "Some.Thing"),
            ("files.readwrite", "Files.ReadWrite.All", None),
            (f"{GRAPH}//.default", f"{GRAPH}/.default", None),
        ],
    )
    def test_spelling(
        self, client: MsalClient, asked: str, as_registered: str, as_asked: str | None
    ) -> None:
        """Answers name scopes as they are registered, unless that is switched off."""
        ada = client.entra.users["ada"]
        ada.consents |= {f"{GRAPH}/{n}" for n in ("User.Read", "Files.ReadWrite.All")}
        scope = f"openid {asked}"
        for switch, expected in ((True, as_registered), (False, as_asked)):
            client.entra.registered_spelling = switch
            body = redeem(client, client.authorize(scope=scope).params["code"]).json()
            assert expected is None or expected in body["scope"].split()

    def test_own_api(self, client: MsalClient) -> None:
        """Neither case nor a second slash makes another scope of the company's API."""
        scope = f"openid {client.entra.api_resource.upper()}//mail.READ"
        body = redeem(client, client.authorize(scope=scope).params["code"]).json()
        assert body["scope"] == client.entra.scope("Mail.Read")
        assert client.call("/mail", body).ok

    def test_unknown_tenant(self, client: MsalClient) -> None:
        """Another tenant's token endpoint is 400 invalid_tenant."""
        base = client.entra.authority.rpartition("/")[0]
        answer = client.http.post(f"{base}/nowhere/oauth2/v2.0/token")
        assert answer.json()["error"] == "invalid_tenant"


class TestRefresh:
    def test_unknown_token(self, client: MsalClient) -> None:
        """A refresh token that nobody issued is malformed."""
        answer = client.token(grant_type="refresh_token", refresh_token="x")
        assert answer.json()["error_codes"] == [9002313]

    def test_for_another_scope(self, client: MsalClient) -> None:
        """One refresh token serves other scopes once there is consent."""
        client.sign_in("Mail.Read")
        assert client.silent("Busy.Read")["error_codes"] == [65001]
        client.sign_in("Mail.Read", "Busy.Read")
        assert client.silent("Busy.Read")["scope"] == client.entra.scope("Busy.Read")


class TestEnvelope:
    def test_error_body_and_headers(self, client: MsalClient) -> None:
        """Every error has Entra's members, headers and cookies."""
        correlation = str(uuid.uuid4())
        answer = client.http.post(
            f"{client.entra.authority}/oauth2/v2.0/token",
            headers={"client-request-id": correlation},
        )
        body = answer.json()
        assert body["correlation_id"] == correlation
        assert body["error_description"].startswith("AADSTS700016: ")
        assert f"Trace ID: {body['trace_id']} Correlation" in body["error_description"]
        assert body["timestamp"].endswith("Z")
        assert answer.headers["x-ms-request-id"] == body["trace_id"]
        assert answer.headers["x-ms-clitelem"] == "1,700016,0,,"
        assert answer.headers["Cache-Control"] == "no-store, no-cache"
        assert answer.headers["Content-Type"] == "application/json; charset=utf-8"
        assert "fpc=" in answer.headers["Set-Cookie"]

    def test_success_headers(self, client: MsalClient) -> None:
        """Success has the same headers, and the cookies too."""
        answer = redeem(client, client.authorize().params["code"])
        assert answer.headers["x-ms-clitelem"] == "1,0,0,,"
        assert "stsservicecookie=estsfd" in answer.headers["Set-Cookie"]


@pytest.fixture(scope="module")
def certificate() -> tuple[str, str]:
    """A private key and its certificate, as PEM."""
    key = rsa.generate_private_key(public_exponent=65537, key_size=2048)
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "app")])
    now = datetime.datetime.now(datetime.timezone.utc)
    made = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(1)
        .not_valid_before(now)
        .not_valid_after(now + datetime.timedelta(days=1))
        .sign(key, hashes.SHA256())
    )
    private = key.private_bytes(
        serialization.Encoding.PEM,
        serialization.PrivateFormat.PKCS8,
        serialization.NoEncryption(),
    )
    return private.decode(), made.public_bytes(serialization.Encoding.PEM).decode()


class TestClientProof:
    def test_basic_header(self, client: MsalClient) -> None:
        """The secret may come in the Authorization header."""
        answer = client.http.post(
            f"{client.entra.authority}/oauth2/v2.0/token",
            auth=(client.entra.client_id, client.entra.client_secret),
            data={"grant_type": "refresh_token"},
        )
        assert answer.json()["error_codes"] == [9002313]

    def test_missing(self, client: MsalClient) -> None:
        """No proof at all is 401 7000218."""
        url = f"{client.entra.authority}/oauth2/v2.0/token"
        answer = client.http.post(url, data={"client_id": client.entra.client_id})
        assert answer.status_code == 401
        assert answer.json()["error_codes"] == [7000218]

    @pytest.mark.parametrize("sha1", [True, False])
    def test_certificate(
        self, client: MsalClient, certificate: tuple[str, str], sha1: bool
    ) -> None:
        """MSAL signs in with a registered certificate, known by either thumbprint."""
        private, public = certificate
        thumbprint = client.entra.register_certificate(public)
        credential = {"private_key": private, "public_certificate": public}
        if sha1:
            credential = {"private_key": private, "thumbprint": thumbprint}
        client.msal = client.new_msal(client_credential=credential)
        assert "access_token" in client.sign_in("Profile.Read")

    def test_unregistered_certificate(
        self, client: MsalClient, certificate: tuple[str, str]
    ) -> None:
        """A certificate that the app does not have is 700027."""
        private, public = certificate
        credential = {"private_key": private, "public_certificate": public}
        client.msal = client.new_msal(client_credential=credential)
        result = client.sign_in("Profile.Read")
        assert (result["error"], result["error_codes"]) == ("invalid_client", [700027])

    @pytest.mark.parametrize(
        "changes",
        [
            {"aud": "https://elsewhere.example/"},
            {"sub": "another"},
            {"exp": 1},
        ],
    )
    def test_wrong_assertions(
        self,
        client: MsalClient,
        certificate: tuple[str, str],
        changes: dict[str, t.Any],
    ) -> None:
        """An assertion for others, by others or too late is 50013."""
        private, public = certificate
        thumbprint = client.entra.register_certificate(public.encode())
        mark = jwt.utils.base64url_encode(bytes.fromhex(thumbprint)).decode()
        claims = {
            "aud": f"{client.entra.authority}/oauth2/v2.0/token",
            "iss": client.entra.client_id,
            "sub": client.entra.client_id,
            "exp": int(time.time()) + 60,
        }
        assertion = jwt.encode(
            {**claims, **changes}, private, algorithm="RS256", headers={"x5t": mark}
        )
        form = {"client_assertion": assertion, "client_assertion_type": JWT_BEARER}
        assert client.token(**form).json()["error_codes"] == [50013]

    @pytest.mark.parametrize(
        ("kind", "code"), [(JWT_BEARER, 50013), ("something", 90023)]
    )
    def test_garbage(self, client: MsalClient, kind: str, code: int) -> None:
        """An assertion that is no JWT, or of no known type, is refused."""
        form = {"client_assertion": "garbage", "client_assertion_type": kind}
        assert client.token(**form).json()["error_codes"] == [code]
