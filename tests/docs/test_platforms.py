"""Platforms in the guide *Run it in production*: each row's line fits its headers."""

from __future__ import annotations

import re
import typing as t
import urllib.parse
from pathlib import Path

import pytest
from flask import Flask
from werkzeug.middleware.proxy_fix import ProxyFix

from flask_msal_errors import MsalAuth
from flask_msal_errors.testing import Emulator
from support.doc_examples import EXAMPLES

PAGE = (EXAMPLES.parent / "guides" / "run.rst").read_text("utf-8")
PUBLIC = "app.example"
HTTPS = {"X-Forwarded-Proto": "https", "X-Forwarded-For": "203.0.113.7:50000"}
#: Requests as the platforms' documentation describes them; the first words of the row.
SENT: dict[str, dict[str, str]] = {
    "Azure App Service": {"Host": PUBLIC, **HTTPS},
    "Azure Container Apps": {"Host": PUBLIC, **HTTPS},
    "Kubernetes": {
        **{"Host": PUBLIC, "X-Forwarded-Host": PUBLIC, "X-Forwarded-Port": "443"},
        **HTTPS,
    },
}


def line_of(platform: str) -> dict[str, t.Any]:
    """Return the arguments of ProxyFix in a row."""
    row = PAGE.split(f"   * - {platform}")[1].split("   * - ")[0]
    (call,) = re.findall(r"ProxyFix\(app\.wsgi_app, ([^)]+)\)", row)
    return {name: int(number) for name, number in re.findall(r"(\w+)=(\d)", call)}


@pytest.mark.parametrize("platform", SENT)
class TestPlatform:
    def uri(self, entra: Emulator, folder: Path, platform: str, **headers: str) -> str:
        """Return the redirect URI that a sign-in behind the platform begins with."""
        app = Flask("app", instance_path=str(folder))
        app.config.update(SECRET_KEY="x" * 20, **entra.config())
        app.wsgi_app = ProxyFix(app.wsgi_app, **line_of(platform))  # type: ignore[method-assign]
        auth = MsalAuth(app)
        app.add_url_rule("/", "home", auth.login_required(lambda: "home"))
        sent = {**SENT[platform], "Accept": "text/html", **headers}
        way = app.test_client().get("/", headers=sent).location
        query = urllib.parse.parse_qs(urllib.parse.urlsplit(way).query)
        return query["redirect_uri"][0]

    def test_address(self, entra: Emulator, tmp_path: Path, platform: str) -> None:
        """The redirect URI is the address that browsers use."""
        found = self.uri(entra, tmp_path, platform)
        assert found == f"https://{PUBLIC}/auth/callback"

    def test_forged(self, entra: Emulator, tmp_path: Path, platform: str) -> None:
        """A header that the platform does not set changes nothing."""
        forged = {"X-Forwarded-Prefix": "/evil"}
        if "X-Forwarded-Host" not in SENT[platform]:
            forged["X-Forwarded-Host"] = "evil.example"
        found = self.uri(entra, tmp_path, platform, **forged)
        assert found == f"https://{PUBLIC}/auth/callback"
