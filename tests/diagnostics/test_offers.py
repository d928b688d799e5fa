"""The metadata and keys of a provider, and the meaning of each for the app."""

from __future__ import annotations

import typing as t

import pytest
import requests
from cryptography.hazmat.primitives.asymmetric import rsa

from flask_msal_errors.diagnostics import offers
from flask_msal_errors.diagnostics.checks import FIX
from flask_msal_errors.diagnostics.checks import OK
from flask_msal_errors.diagnostics.checks import WARNING
from flask_msal_errors.diagnostics.checks import Result
from flask_msal_errors.provider.application import Provider
from flask_msal_errors.provider.application import ProviderConnection
from flask_msal_errors.provider.jwks import keys_in
from flask_msal_errors.settings import Settings
from flask_msal_errors.testing import Emulator
from flask_msal_errors.testing.entra.keys import SigningKey
from support.identity import Identity
from support.visits import WELL_KNOWN
from support.waiting import PATIENCE

US, WORLD = "graph.microsoft.us", "https://graph.microsoft.com"
HTTPS, HTTP = "https://app.example/auth/callback", "http://localhost/auth/callback"
ASSERTION = {"client_assertion": "never sent"}


def settings_of(entra: Emulator, kind: str = "openid", **changes: t.Any) -> Settings:
    return Settings.from_mapping({**entra.config(kind), **changes})


def found_by(settings: Settings, **metadata: t.Any) -> ProviderConnection:
    """Return a connection whose provider publishes this, too; None is left out."""
    connection = Provider(settings).connection()
    connection.transport.close()
    whole = {**connection.metadata, **metadata}
    kept = {name: value for name, value in whole.items() if value is not None}
    return connection._replace(metadata=kept)


def told(result: Result | None, level: str, *words: str) -> None:
    """See that a result has a level and some words."""
    assert result is not None
    assert result.level == level and all(w in result.text for w in words), result


def test_kind(entra: Emulator) -> None:
    """Microsoft behind a domain of its own is called by its name."""
    for kind, name in (("entra", ""), ("openid", ""), ("custom_domain", "Entra,")):
        settings = settings_of(entra, kind)
        result = offers.kind(found_by(settings), settings)
        told(result, OK, "as the issuer", name)
        assert ("as with MSAL_AUTHORITY" in result.text) == bool(name)


def test_version_1(entra: Emulator) -> None:
    """Entra's endpoints without scopes, at an issuer of version 1.0, are told."""
    old = "https://login.microsoftonline.com/t/oauth2/token"
    for kind, level in (("custom_domain", FIX), ("openid", OK), ("entra", OK)):
        settings = settings_of(entra, kind)
        result = offers.kind(found_by(settings, token_endpoint=old), settings)
        told(result, level)
        assert ("version 1.0 of Entra" in result.text) == (level == FIX)


class TestClientAuthentication:
    @pytest.mark.parametrize(
        ("taken", "lists_all", "setting", "level", "words"),
        [
            ("basic", False, "auto", OK, "client_secret_basic, the default where"),
            ("basic", False, "post", FIX, "takes only: client_secret_basic. Unset"),
            ("post", False, "auto", OK, "client_secret_post, which the provider lists"),
            ("post", False, "basic", FIX, "takes only: client_secret_post private_"),
            ("post", True, "auto", OK, "If that is refused, as client_secret_post."),
        ],
    )
    def test_secret(
        self,
        entra: Emulator,
        taken: str,
        lists_all: bool,
        setting: str,
        level: str,
        words: str,
    ) -> None:
        """Tells how the secret is sent, and whether the provider takes it so."""
        entra.openid_client_auth, entra.openid_lists_all_auth = taken, lists_all
        found = found_by(settings_of(entra, MSAL_CLIENT_AUTH=setting))
        told(offers.client_authentication(found), level, words)

    def test_assertion(self, entra: Emulator) -> None:
        """An assertion is told, and a provider that does not list them."""
        own = settings_of(entra, MSAL_CLIENT_CREDENTIAL=ASSERTION)
        lacks = offers.client_authentication(found_by(own))
        told(lacks, WARNING, "lists only: client_secret_basic.")
        entra.openid_client_auth = "both"
        told(offers.client_authentication(found_by(own)), OK, "private_key_jwt")
        own = settings_of(entra, "entra", MSAL_CLIENT_CREDENTIAL=ASSERTION)
        told(offers.client_authentication(found_by(own)), OK, "private_key_jwt")

    def test_certificate(self, entra: Emulator) -> None:
        """The algorithm of a certificate's assertion is compared with the list."""
        identity, name = Identity(), "token_endpoint_auth_signing_alg_values_supported"
        pair = (identity.private_pem(), identity.public_pem())
        own = dict(zip(("private_key", "public_certificate"), pair, strict=True))
        entra.openid_client_auth = "both"
        found = found_by(settings_of(entra, MSAL_CLIENT_CREDENTIAL=own))
        told(offers.client_authentication(found), OK, "signed by PS256.")
        listed = {**found.metadata, name: ["RS256"]}
        found = found._replace(metadata=listed)
        told(offers.client_authentication(found), WARNING, "PS256", "only: RS256.")
        old = {**own, "thumbprint": "ab" * 20}
        found = found_by(settings_of(entra, MSAL_CLIENT_CREDENTIAL=old))
        found = found._replace(metadata=listed)
        told(offers.client_authentication(found), OK, "signed by RS256.")


class TestScopes:
    def test_listed(self, entra: Emulator) -> None:
        """A scope of the app that the provider does not list is named."""
        own = settings_of(entra, MSAL_SCOPES="email orders.read")
        told(offers.scopes(found_by(own), own), WARNING, "MSAL_SCOPES has orders.read,")
        known = found_by(own, scopes_supported=["openid", "orders.read"])
        told(offers.scopes(known, own), OK)
        base = settings_of(entra, MSAL_SCOPES="", MSAL_BASE_SCOPES="openid groups")
        told(offers.scopes(known, base), WARNING, "MSAL_BASE_SCOPES has groups,")

    @pytest.mark.parametrize("listed", [None, "openid", {}])
    def test_not_listed(self, entra: Emulator, listed: t.Any) -> None:
        """Without a list there is nothing to compare; so it is with Entra."""
        own = settings_of(entra)
        assert offers.scopes(found_by(own, scopes_supported=listed), own) is None
        own = settings_of(entra, "entra")
        assert offers.scopes(found_by(own), own) is None

    @pytest.mark.parametrize(
        ("host", "scope", "written"),
        [
            (US, "User.Read", f"https://{US}/User.Read"),
            (US, f"{WORLD}/User.Read", f"https://{US}/User.Read"),
            (US, f"https://{US}/User.Read", None),
            (US, f"HTTPS://{US.upper()}/User.Read", None),
            (US, "https://dod-graph.microsoft.us/.default", f"https://{US}/.default"),
            (US, "00000003-0000-0000-c000-000000000000/User.Read", None),
            (US, "email", None),
            (US, "api://a/Read", None),
            (US, "https://[a/Read", None),
            ("graph.microsoft.com", "User.Read", None),
            ("graph.microsoft.com", f"{WORLD}/User.Read", None),
            ("graph.microsoft.com", f"https://{US}/User.Read", "User.Read"),
            (None, "User.Read", None),
            (7, f"https://{US}/User.Read", None),
        ],
    )
    def test_of_cloud(
        self, entra: Emulator, host: t.Any, scope: str, written: str | None
    ) -> None:
        """A scope of another cloud's Graph is named, with the one to write."""
        own = settings_of(entra, "entra", MSAL_SCOPES=scope)
        result = offers.scopes(found_by(own, msgraph_host=host), own)
        if written is None:
            assert result is None
        else:
            told(result, WARNING, f"MSAL_SCOPES has {scope},", f"Write {written},")


class TestRefresh:
    @pytest.mark.parametrize(
        ("kind", "metadata", "level", "words"),
        [
            ("entra", {}, OK, "serves all scopes"),
            ("custom_domain", {}, OK, "serves all scopes"),
            ("openid", {}, OK, "bound to what was granted (RFC 6749 §6)"),
            ("openid", {"scopes_supported": None}, OK, "MSAL_PROMPT=consent"),
            ("openid", {"scopes_supported": ["openid"]}, WARNING, "offline_access, so"),
            (
                "openid",
                {"grant_types_supported": ["authorization_code"]},
                WARNING,
                "grant type",
            ),
            ("openid", {"grant_types_supported": ["refresh_token"]}, OK, "§6"),
        ],
    )
    def test_told(
        self,
        entra: Emulator,
        kind: str,
        metadata: dict[str, t.Any],
        level: str,
        words: str,
    ) -> None:
        """Entra's serve all scopes; those of others are bound, or may not come."""
        own = settings_of(entra, kind)
        result = offers.refresh(found_by(own, **metadata), own)
        told(result, level, words)
        assert ("each expiry" in result.text) == (level == WARNING)

    def test_base_scopes(self, entra: Emulator) -> None:
        """The app's own list of scopes counts more than the provider's."""
        for base, words in (("openid offline_access", "§6"), ("openid", "each expiry")):
            own = settings_of(entra, MSAL_BASE_SCOPES=base)
            known = found_by(own, scopes_supported=["openid", "profile"])
            told(offers.refresh(known, own), OK, words)


class TestAlgorithms:
    @pytest.mark.parametrize(
        ("listed", "level", "words"),
        [
            (["RS256", "ES256"], OK, "signed by RS256 ES256."),
            (["HS256", "RS256"], OK, "HS256 is listed, too"),
            (["HS256"], FIX, "keyed with the secret"),
            (["none"], FIX, "id_token_signed_response_alg"),
            ([5], FIX, "signed by nothing"),
        ],
    )
    def test_listed(
        self, entra: Emulator, listed: t.Any, level: str, words: str
    ) -> None:
        """Algorithms with a secret key are refused, and it is told what to do."""
        name = "id_token_signing_alg_values_supported"
        result = offers.algorithms(found_by(settings_of(entra), **{name: listed}))
        told(result, level, words)

    def test_not_listed(self, entra: Emulator) -> None:
        """Without a list nothing is said."""
        name = "id_token_signing_alg_values_supported"
        assert offers.algorithms(found_by(settings_of(entra), **{name: None})) is None

    def test_keys(self, entra: Emulator) -> None:
        """Keys of other kinds than the algorithms, and short ones, are told."""
        key = SigningKey()
        jwks = {"keys": [key.jwk("")]}
        own = settings_of(entra)
        (only,) = offers.keys(found_by(own), keys_in(jwks))
        told(only, OK, "tokens: 1")
        name = "id_token_signing_alg_values_supported"
        other = found_by(own, **{name: ["ES256", "HS256"]})
        first, last = offers.keys(other, keys_in(jwks))
        told(first, WARNING, "can sign by ES256,")
        told(last, OK)
        key.public = rsa.generate_private_key(65537, 1024).public_key()
        jwks = {"keys": [key.jwk("")]}
        (only,) = offers.distrusted(jwks)
        told(only, WARNING, "1024 bits")
        assert not keys_in(jwks)


def test_answers(entra: Emulator) -> None:
    """A thing that a sign-in needs and the provider does not list is told."""
    own = settings_of(entra)
    found = found_by(
        own,
        response_types_supported=["id_token"],
        grant_types_supported=["implicit"],
    )
    first, second, third = offers.answers(found, own)
    told(first, FIX, "response_types_supported has no code")
    told(second, FIX, "grant_types_supported has no authorization_code")
    told(third, OK)


@pytest.mark.parametrize(
    ("kind", "changes", "level", "words"),
    [
        ("entra", {}, OK, "by form_post where people come by https, and by query on"),
        (
            "entra",
            {"uri": HTTPS},
            OK,
            "form_post, because the redirect URI is on https",
        ),
        ("entra", {"uri": HTTP}, OK, "by query, because the redirect URI is on http."),
        ("entra", {"mode": "query"}, OK, "by query, as MSAL_RESPONSE_MODE says."),
        ("openid", {}, OK, "by query, because the provider does not list form_post"),
        ("openid", {"lists": ["query"], "uri": HTTPS}, OK, "does not list form_post"),
        (
            "openid",
            {"lists": ["form_post"]},
            OK,
            "form_post where people come by https",
        ),
        ("openid", {"lists": ["form_post"], "uri": HTTP}, WARNING, "by query, which"),
        ("openid", {"lists": None, "mode": "form_post"}, OK, "by form_post, as"),
        (
            "openid",
            {"lists": ["query", "fragment"], "mode": "form_post"},
            WARNING,
            "by form_post, which the provider does not list. It lists query fragment:",
        ),
    ],
)
def test_response_mode(
    entra: Emulator, kind: str, changes: dict[str, t.Any], level: str, words: str
) -> None:
    """How codes come back is told, and why, and what the provider says of it."""
    keys = {"uri": "MSAL_REDIRECT_URI", "mode": "MSAL_RESPONSE_MODE"}
    more = {keys[name]: value for name, value in changes.items() if name in keys}
    own = settings_of(entra, kind, **more)
    if lists := changes.get("lists"):
        place = f"{own.oidc_authority}/{WELL_KNOWN}"
        document = requests.get(place, verify=entra.ca_file, timeout=PATIENCE).json()
        document["response_modes_supported"] = lists
        entra.fail_next(document, "discovery", 200)
    (result,) = offers.answers(found_by(own), own)
    told(result, level, words)


def test_logout_elsewhere(entra: Emulator) -> None:
    """The address to register is told if the provider posts logout tokens."""
    own = settings_of(entra)
    assert offers.logout_elsewhere(found_by(own), own) is None
    can = {"backchannel_logout_supported": True}
    named = {**can, "backchannel_logout_session_supported": True}
    for members, words in (can, "all sessions"), (named, "backchannel_logout_uri"):
        result = offers.logout_elsewhere(found_by(own, **members), own)
        told(result, OK, "/auth/back-channel-logout", words)
    assert result is not None and "all sessions" not in result.text


def test_sign_out(entra: Emulator) -> None:
    """A provider that has no address for it keeps its session."""
    own = settings_of(entra)
    told(offers.sign_out(found_by(own), own), OK, "end_session_endpoint", "revokes")
    found = found_by(own, end_session_endpoint=None, revocation_endpoint=None)
    assert "revokes" not in offers.sign_out(found, own).text
    told(offers.sign_out(found, own), WARNING, "here only")
    own = settings_of(entra, MSAL_LOGOUT_URL="https://id.example/logout")
    told(offers.sign_out(found, own), OK, "MSAL_LOGOUT_URL")
