"""``flask msal check`` at real providers: their answers to a code that is none."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from flask import Flask

from flask_msal_errors import MsalAuth
from providers.conftest import Provider
from providers.serving import CLIENT
from providers.serving import SECRET


def checked(provider: Provider, folder: Path, client: str, secret: str) -> str:
    """Return the level of the credential, after its text was looked into."""
    app = Flask("site", instance_path=str(folder))
    app.config.update(
        SECRET_KEY="site " * 8,
        MSAL_CLIENT_ID=client,
        MSAL_CLIENT_CREDENTIAL=secret,
        MSAL_OIDC_AUTHORITY=provider.issuer,
        MSAL_VERIFY=str(provider.ca),
    )
    MsalAuth(app)
    done = app.test_cli_runner().invoke(args=["msal", "check", "--json"])
    assert secret not in done.output
    found = [
        r for r in json.loads(done.stdout)["results"] if r["about"] == "credential"
    ]
    # The first is of the setting alone.
    assert found[0]["level"] == "ok" and len(found) == 2
    return str(found[1]["level"])


@pytest.mark.parametrize(
    ("client", "secret", "level"),
    [(CLIENT, SECRET, "ok"), (CLIENT, "wrong", "fix"), ("nobody", SECRET, "fix")],
)
def test_credential(
    provider: Provider, tmp_path: Path, client: str, secret: str, level: str
) -> None:
    """A secret and a client that are wrong are told from good ones, without a user."""
    assert checked(provider, tmp_path, client, secret) == level
