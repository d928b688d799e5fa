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
from support.doc_examples import BLOCK
from support.doc_examples import EXAMPLES

PAGE = (EXAMPLES.parent / "guides" / "openid-providers.rst").read_text("utf-8")
NAMES = ["Keycloak", "Okta", "Auth0", "Google", "Amazon Cognito", "GitLab", "AD FS"]
NAMES += ["PingFederate", "Apple", "authentik"]
_PARTS = re.split(r"^(.+)\n-{3,}\n", PAGE, flags=re.MULTILINE)[1:]
RECIPES = dict(zip(_PARTS[2::2], _PARTS[3::2], strict=True))


def test_all() -> None:
    """The ten providers have one recipe each."""
    assert list(RECIPES) == NAMES


@pytest.mark.parametrize("name", NAMES)
class TestRecipe:
    def test_settings(self, name: str) -> None:
        """An app with these variables in its environment starts."""
        lines = re.findall(r"^    (MSAL_\w+)=(.+)$", RECIPES[name], re.MULTILINE)
        both = {"MSAL_CLIENT_ID": "app", "MSAL_CLIENT_CREDENTIAL": "secret"}
        settings = Settings.from_mapping({**both, **dict(lines)})
        assert (
            len(lines) > 1
            and settings.oidc_authority == dict(lines)["MSAL_OIDC_AUTHORITY"]
        )

    def test_sources(self, name: str) -> None:
        """Several pages are named, all on https."""
        urls = re.findall(r"<(\w+://[^>]+)>`__", RECIPES[name])
        assert len(urls) > 1 and all(url.startswith("https://") for url in urls)


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
