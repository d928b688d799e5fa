"""How codes come back by default: posted where browsers are on https, else by query."""

from __future__ import annotations

import typing as t
import urllib.parse
from pathlib import Path

import pytest
import requests
from werkzeug.middleware.proxy_fix import ProxyFix

from flask_msal_errors.testing import Emulator
from support.live_app import LiveApp
from support.live_app import Start
from support.waiting import PATIENCE

INSIDE, OUTSIDE = "http://app.example", "https://app.example"
TOLD = {"X-Forwarded-Proto": "https"}
URI = {"MSAL_REDIRECT_URI": f"{OUTSIDE}/auth/callback"}
PAGE = {"Accept": "text/html"}
OPENID = {"MSAL_AUTHORITY": None, "MSAL_INSTANCE_DISCOVERY": None}


class Case(t.NamedTuple):
    """The address of a browser's request, and how the app is set up."""

    arrives_at: str
    headers: dict[str, str] = {}
    config: dict[str, t.Any] = {}
    fixed: bool = False


CASES: dict[str, tuple[Case, str]] = {
    "http": (Case("http://localhost"), "query"),
    "https": (Case(OUTSIDE), "form_post"),
    "proxy that says nothing": (Case(INSIDE), "query"),
    "proxy without ProxyFix": (Case(INSIDE, TOLD), "query"),
    "proxy with ProxyFix": (Case(INSIDE, TOLD, fixed=True), "form_post"),
    "proxy with a redirect URI": (Case(INSIDE, TOLD, URI), "form_post"),
    "query": (Case(OUTSIDE, {}, {"MSAL_RESPONSE_MODE": "query"}), "query"),
    "posted to http": (
        Case("http://localhost", {}, {"MSAL_RESPONSE_MODE": "form_post"}),
        "form_post",
    ),
}


@pytest.mark.parametrize("name", CASES)
def test_mode(name: str, entra: Emulator, tmp_path: Path) -> None:
    """The request names a mode, and the flow's cookie goes with a post only then."""
    case, mode = CASES[name]
    live = LiveApp(entra, tmp_path, **case.config)
    if case.fixed:
        live.app.wsgi_app = ProxyFix(live.app.wsgi_app)  # type: ignore[method-assign]
    client = live.app.test_client()
    way = {"base_url": case.arrives_at, "headers": {**PAGE, **case.headers}}
    answer = client.get("/me", **way)
    assert asked(answer.headers["Location"]) == mode
    (line,) = answer.headers.getlist("Set-Cookie")
    same_site = "None" if mode == "form_post" else "Lax"
    assert line.endswith(f"SameSite={same_site}")
    is_https = mode == "form_post" or case.arrives_at == OUTSIDE
    assert ("Secure" in line) is is_https
    # Only where answers are posted is a post looked into.
    refused = 400 if is_https and name != "query" else 405
    assert client.post("/auth/callback", **way).status_code == refused


def asked(location: str) -> str:
    """Return the response mode of an authorization request."""
    query = urllib.parse.urlsplit(location).query
    return dict(urllib.parse.parse_qsl(query))["response_mode"]


@pytest.mark.parametrize(
    ("listed", "mode"),
    [
        (None, "query"),
        (["query", "fragment"], "query"),
        ("form_post", "query"),
        ({"form_post": True}, "query"),
        ([None, 5, {"form_post": 1}], "query"),
        (["query", "form_post"], "form_post"),
    ],
)
def test_other_providers(
    start: Start, entra: Emulator, listed: t.Any, mode: str
) -> None:
    """Another provider posts only if its metadata say so, and people get in."""
    config = {**entra.config("openid"), **OPENID}
    if listed is not None:
        place = f"{config['MSAL_OIDC_AUTHORITY']}/.well-known/openid-configuration"
        whole = requests.get(place, verify=entra.ca_file, timeout=PATIENCE).json()
        answer = {**whole, "response_modes_supported": listed}
        entra.fail_next(answer, "discovery", 200)
    live, person = start(tls=True, **config), entra.person()
    assert person.visit(live.url + "/me?a=b").url == live.url + "/me?a=b"
    (begun,) = [url for url in person.history if "response_mode=" in url]
    assert asked(begun) == mode
    assert (live.url + "/auth/callback" in person.history) is (mode == "form_post")


@pytest.mark.parametrize("kind", ["entra", "b2c", "custom_domain"])
def test_entra(start: Start, entra: Emulator, kind: str) -> None:
    """Entra, B2C and External ID post: no URL has a code, from sign-in to step-up."""
    config = entra.config(kind)
    live = start(tls=True, **{**dict.fromkeys(("MSAL_AUTHORITY",)), **config})
    person = entra.person()
    assert person.visit(live.url + "/me").text == "me ada@contoso.example"
    entra.revoke("ada")
    assert person.visit(live.url + "/profile").status_code == 200
    assert person.pages.count("form_post") == 2
    assert not [url for url in person.history if "code=" in url]
