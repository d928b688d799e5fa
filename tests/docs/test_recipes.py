"""The recipes for providers: their settings are accepted, and each has its sources."""

from __future__ import annotations

import re
import textwrap
import time
import types
import typing as t
from pathlib import Path

import jwt
import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec

from flask_msal_errors import Settings
from flask_msal_errors.testing import Emulator
from support.doc_examples import BLOCK
from support.doc_examples import EXAMPLES
from support.visits import Visitor
from support.visits import signing_out
from support.visits import tokens

PAGE = (EXAMPLES.parent / "guides" / "openid-providers.rst").read_text("utf-8")
NAMES = ["Keycloak", "Okta", "Auth0", "Google", "Amazon Cognito", "GitLab", "AD FS"]
NAMES += ["PingFederate", "Apple", "authentik"]
_PARTS = re.split(r"^(.+)\n-{3,}\n", PAGE, flags=re.MULTILINE)[1:]
RECIPES = dict(zip(_PARTS[2::2], _PARTS[3::2], strict=True))


def settings_of(name: str) -> dict[str, str]:
    """Return the variables of a recipe."""
    return dict(re.findall(r"^    (MSAL_\w+)=(.+)$", RECIPES[name], re.MULTILINE))


def test_all() -> None:
    """The ten providers have one recipe each."""
    assert list(RECIPES) == NAMES


@pytest.mark.parametrize("name", NAMES)
class TestRecipe:
    def test_settings(self, name: str) -> None:
        """An app with these variables in its environment starts."""
        both = {"MSAL_CLIENT_ID": "app", "MSAL_CLIENT_CREDENTIAL": "secret"}
        given = {**both, **settings_of(name)}
        settings = Settings.from_mapping(given)
        assert settings.oidc_authority == given["MSAL_OIDC_AUTHORITY"]

    def test_sources(self, name: str) -> None:
        """Several pages are named, all on https."""
        urls = re.findall(r"<(\w+://[^>]+)>`__", RECIPES[name])
        assert len(urls) > 1 and all(url.startswith("https://") for url in urls)


#: Switches that make the emulator what the sources of a recipe say of the provider.
LISTED: dict[str, t.Any] = {
    "openid_client_scopes": {"openid", "profile", "email", "offline_access"},
    "openid_client_auth": "both",
    "openid_kid": True,
    "openid_key_alg": True,
    "openid_required_parameters": set[str](),
}
ALWAYS: dict[str, t.Any] = {
    **LISTED,
    "openid_client_scopes": {"openid", "profile", "email"},
    "openid_offline": "always",
}
PROVIDERS: dict[str, dict[str, t.Any]] = {
    "Keycloak": {**ALWAYS, "openid_logout": "asks_without_hint"},
    "Okta": {**LISTED, "openid_lifetime": 3600},
    "Auth0": {
        **LISTED,
        "openid_required_parameters": {"audience"},
        "openid_refresh_scope": "silently_ignored",
    },
    "Google": {
        **ALWAYS,
        "openid_required_parameters": {"access_type"},
        "openid_sign_out": False,
        "discovery.scopes_supported": ["openid", "email", "profile"],
    },
    "Amazon Cognito": {**ALWAYS, "openid_logout": "logout_uri"},
    "GitLab": {**ALWAYS, "openid_lifetime": 7200, "openid_sign_out": False},
    "AD FS": {
        **ALWAYS,
        "openid_client_scopes": {"openid", "profile", "email", "allatclaims"},
        "openid_required_parameters": {"resource"},
        "openid_claims": "id_token",
    },
    "PingFederate": {
        **LISTED,
        "openid_client_auth": "basic",
        "openid_lists_all_auth": True,
        "openid_logout": "asks_without_hint",
    },
    "Apple": {
        **ALWAYS,
        "openid_client_scopes": {"openid", "email"},
        "openid_client_auth": "post",
        "openid_alg": "RS256",
        "openid_claims": "id_token",
        "openid_refresh_error": "invalid_request",
        "openid_sign_out": False,
    },
    "authentik": {**LISTED, "openid_other_scopes": "narrow"},
}
#: Keys whose values are the provider's own; the emulator's take their place.
OWN = {"MSAL_OIDC_AUTHORITY", "MSAL_CLIENT_ID", "MSAL_SCOPES", "MSAL_LOGOUT_URL"}


@pytest.mark.parametrize("name", NAMES)
def test_run(
    name: str, entra: Emulator, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The recipe's settings do where the emulator behaves as the provider."""
    given = settings_of(name)
    settings: dict[str, t.Any] = {"MSAL_AUTHORIZATION_PARAMETERS": {}}
    settings.update({key: given[key] for key in given.keys() - OWN})
    if "MSAL_LOGOUT_URL" in given:
        query = given["MSAL_LOGOUT_URL"].partition("?")[2]
        settings["MSAL_LOGOUT_URL"] = f"{entra.pages_url}/openid/logout?{query}"
    switches = dict(PROVIDERS[name])
    api = {entra.scope("Mail.Read"), entra.scope("Profile.Read")}
    switches["openid_client_scopes"] = switches["openid_client_scopes"] | api
    with entra.in_process():
        visitor = Visitor(entra, tmp_path / "app", switches, settings, monkeypatch)
        ended = PROVIDERS[name].get("openid_sign_out", True)
        out = "signed out" if ended else "signed in"
        assert signing_out(visitor) == (out, "the app")
        assert tokens(visitor) == ("a refresh", "a sign-in")


def test_secret_of_apple(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The function makes a JWT as Apple wants it."""
    monkeypatch.chdir(tmp_path)
    key = ec.generate_private_key(ec.SECP256R1())
    pem = key.private_bytes(
        serialization.Encoding.PEM,
        serialization.PrivateFormat.PKCS8,
        serialization.NoEncryption(),
    )
    Path("AuthKey_KEY1234567.p8").write_bytes(pem)
    ((_, code),) = BLOCK.findall(RECIPES["Apple"])
    config: dict[str, t.Any] = {"MSAL_CLIENT_ID": "com.example.web"}
    app = types.SimpleNamespace(config=config)
    names = {"app": app, "time": time, "jwt": jwt, "Path": Path}
    exec(compile(textwrap.dedent(code), "apple", "exec"), names)
    token = config["MSAL_CLIENT_CREDENTIAL"]()
    issuer = "https://appleid.apple.com"
    claims = jwt.decode(token, key.public_key(), ["ES256"], audience=issuer)
    assert claims["sub"] == "com.example.web"
    assert claims["exp"] - claims["iat"] <= 15_777_000
    assert jwt.get_unverified_header(token)["kid"] == "KEY1234567"
