"""Metadata of an API (RFC 9728): where clients find out how to get tokens."""

from __future__ import annotations

import base64
import json
import typing as t

import pytest
import requests
from flask import Flask
from flask.testing import FlaskClient
from werkzeug.middleware.proxy_fix import ProxyFix
from werkzeug.test import TestResponse
from werkzeug.test import create_environ
from werkzeug.test import run_wsgi_app

from flask_msal_errors import MsalAuth
from flask_msal_errors.api import ApiAuth
from flask_msal_errors.errors import InteractionRequired
from flask_msal_errors.protocol import challenge
from flask_msal_errors.protocol.demand import Claims
from flask_msal_errors.protocol.demand import Demand
from flask_msal_errors.testing import Emulator
from support.apis import api_app
from support.waiting import PATIENCE

ORIGIN = "https://api.example.com"
WELL_KNOWN = "/.well-known/oauth-protected-resource"


def payroll(entra: Emulator, id_uri: str | None = ORIGIN, **config: t.Any) -> Flask:
    """An API that has this Application ID URI."""
    app, api = api_app(entra, MSAL_API_ID_URI=id_uri, **config)
    app.add_url_rule("/payroll", "payroll", api.token_required(lambda: "here"))
    return app


def named(answer: TestResponse) -> str:
    """The place of metadata that a challenge names, ``""`` for none."""
    (found,) = challenge.parse(answer.headers.getlist("WWW-Authenticate"))
    return found.params.get("resource_metadata", "")


def both(
    client: FlaskClient, base: str, path: str = WELL_KNOWN, **options: t.Any
) -> tuple[str, int]:
    """The place that a challenge names, and the status of the metadata there."""
    refused = client.get("/payroll", base_url=base, **options)
    assert refused.status_code == 401
    return named(refused), client.get(path, base_url=base, **options).status_code


@pytest.mark.parametrize("path", ["", "/payroll", "/v1/pay.roll-~_", "/..x"])
def test_document(path: str, entra: Emulator) -> None:
    """A client goes from a refusal to the metadata, and from there to Entra's."""
    id_uri = f"{ORIGIN}{path}"
    client = payroll(entra, id_uri).test_client()
    place = named(client.get("/payroll", base_url=ORIGIN))
    assert place == f"{ORIGIN}{WELL_KNOWN}{path}"
    answer = client.get(place.removeprefix(ORIGIN), base_url=ORIGIN)
    assert answer.status_code == 200 and answer.mimetype == "application/json"
    found: t.Any = answer.json
    (issuer,) = found.pop("authorization_servers")
    assert found == {
        "resource": id_uri,
        "scopes_supported": [f"{id_uri}/.default"],
        "bearer_methods_supported": ["header"],
    }
    published = requests.get(
        f"{issuer}/.well-known/openid-configuration",
        verify=entra.ca_file,
        timeout=PATIENCE,
    ).json()
    assert published["issuer"] == issuer


@pytest.mark.parametrize(
    "id_uri",
    [
        None,
        "api://payroll",
        "http://api.example.com",
        "https://user@api.example.com",
        "https://api.example.com/a?b=c",
        "https://api.example.com/a#b",
        "https://api.example.com/<path:x>",
        "https://api.example.com/a%20b",
        "https://api.example.com/a//b",
        "https://api.example.com/../b",
        "https://api.example.com/a/.",
        "https://api.example.com:port",
        "https://[::1",
        "https://ápi.example.com",
        "https://api.example.com/=",
    ],
)
def test_no_place(id_uri: str | None, entra: Emulator) -> None:
    """An Application ID URI that is no plain https URL has none, and does no harm."""
    app = payroll(entra, id_uri)
    assert not [rule for rule in app.url_map.iter_rules() if "known" in rule.rule]
    client = app.test_client()
    assert named(client.get("/payroll", base_url=ORIGIN)) == ""


@pytest.mark.parametrize(
    ("base", "is_here"),
    [
        (ORIGIN, True),
        ("https://API.example.com", True),
        ("https://api.example.com:443", True),
        ("http://api.example.com", False),
        ("http://api.example.com:443", False),
        ("https://api.example.com:8443", False),
        ("https://api.example.com.", False),
        ("https://evil.example", False),
        ("https://api.example.com.evil.example", False),
        (f"{ORIGIN}/mounted", False),
    ],
)
def test_origin(base: str, is_here: bool, entra: Emulator) -> None:
    """It is offered at its own origin alone, where it is at the root of the host."""
    found = both(payroll(entra).test_client(), base)
    assert found == ((f"{ORIGIN}{WELL_KNOWN}", 200) if is_here else ("", 404))


@pytest.mark.parametrize("id_uri", [f"{ORIGIN}:443", "HTTPS://API.Example.com", ORIGIN])
def test_written_in_another_way(id_uri: str, entra: Emulator) -> None:
    """Origins are compared as they are the same: by case and by the default port."""
    client = payroll(entra, id_uri).test_client()
    assert both(client, ORIGIN) == (f"{ORIGIN}{WELL_KNOWN}", 200)
    found: t.Any = client.get(WELL_KNOWN, base_url=ORIGIN).json
    assert found["resource"] == id_uri


@pytest.mark.parametrize(
    "host",
    [
        'x", resource_metadata="https://evil.example/',
        "api.example.com@evil.example",
        "api.example.com:99999",
        "api.example.com/..",
        "api.example.com\r\nX-Evil: 1",
        "[::",
        "",
        "\xff",
        "a" * 60,
    ],
)
def test_hostile_host(host: str, entra: Emulator) -> None:
    """No header of a request changes what is written, or makes a server error."""
    app = payroll(entra)
    given = {"HTTP_HOST": host, "HTTP_X_FORWARDED_HOST": "evil.example"}
    for path in ("/payroll", WELL_KNOWN):
        # Not by a test client, which reads the host itself.
        environ = {**create_environ(path, ORIGIN), **given}
        _, status, headers = run_wsgi_app(app, environ)
        # Some of these hosts are a bad request to some versions of Werkzeug.
        assert status[:3] in ("400", "404" if path == WELL_KNOWN else "401")
        assert "resource_metadata" not in headers.get("WWW-Authenticate", "")


def test_untrusted_host(entra: Emulator) -> None:
    """A host that the app does not trust is refused as everywhere in Flask."""
    app, api = api_app(entra, MSAL_API_ID_URI=ORIGIN)
    if "TRUSTED_HOSTS" not in app.config:
        pytest.skip("Flask 3.1 knows it")
    app.config["TRUSTED_HOSTS"] = ["api.example.com"]
    app.before_request(api.require_token)
    client = app.test_client()
    for path in (WELL_KNOWN, "/absent"):
        assert client.get(path, base_url="https://evil.example").status_code == 400
    assert client.get(WELL_KNOWN, base_url=ORIGIN).status_code == 200


def test_behind_a_proxy(entra: Emulator) -> None:
    """Scheme and host count as ``ProxyFix`` hands them on."""
    app = payroll(entra)
    headers = {"X-Forwarded-Proto": "https", "X-Forwarded-Host": "api.example.com"}
    client = app.test_client()
    assert both(client, "http://inside:8000", headers=headers) == ("", 404)
    app.wsgi_app = ProxyFix(app.wsgi_app, x_host=1)  # type: ignore[method-assign]
    found = both(client, "http://inside:8000", headers=headers)
    assert found == (f"{ORIGIN}{WELL_KNOWN}", 200)


@pytest.mark.parametrize("kind", ["host_matching", "subdomain_matching"])
def test_several_hosts(kind: str, entra: Emulator, tmp_path: t.Any) -> None:
    """An app that has several hosts offers it at the API's."""
    options: t.Any = {kind: True, "static_folder": None}
    app = Flask("hosts", instance_path=str(tmp_path), **options)
    is_host = kind == "host_matching"
    app.config.update(entra.config(), MSAL_API_ID_URI=ORIGIN)
    # Flask before 3.1 takes it for the host of each request.
    app.config["SERVER_NAME"] = None if is_host else "example.com"
    api = ApiAuth(app)
    place: t.Any = {"host": "<a>"} if is_host else {"subdomain": "<a>"}
    view = api.token_required(lambda a: "here")
    app.add_url_rule("/payroll", "payroll", view, **place)
    client = app.test_client()
    assert both(client, ORIGIN) == (f"{ORIGIN}{WELL_KNOWN}", 200)
    assert both(client, "https://other.example.com") == ("", 404)


@pytest.mark.parametrize("path", [WELL_KNOWN, "/absent"])
@pytest.mark.parametrize("is_called", [True, False])
def test_guard_of_the_app(path: str, is_called: bool, entra: Emulator) -> None:
    """A guard of the whole app lets clients without a token have it, and no more."""
    app, api = api_app(entra, MSAL_API_ID_URI=ORIGIN)
    guard = api.require_token(scopes=["Read"]) if is_called else api.require_token
    app.before_request(guard)
    client, is_open = app.test_client(), path == WELL_KNOWN
    for method, status in (("GET", 200), ("HEAD", 200), ("OPTIONS", 200)):
        answer = client.open(path, method=method, base_url=ORIGIN)
        assert answer.status_code == (status if is_open or method == "OPTIONS" else 401)
    assert client.post(path, base_url=ORIGIN).status_code == 401
    elsewhere = client.get(path, base_url="https://evil.example")
    assert elsewhere.status_code == (404 if is_open else 401)


@pytest.mark.parametrize("is_web_first", [True, False])
@pytest.mark.parametrize("has_login", [True, False])
def test_beside_a_web_app(
    is_web_first: bool, has_login: bool, entra: Emulator, tmp_path: t.Any
) -> None:
    """No session is loaded for it and no cookie set, whoever must sign in elsewhere."""
    app = Flask("both", instance_path=str(tmp_path))
    app.config.update(entra.config(), SECRET_KEY="k" * 32, MSAL_API_ID_URI=ORIGIN)
    auth, api = MsalAuth(), ApiAuth()
    for each in (auth, api) if is_web_first else (api, auth):
        each.init_app(app)
    if has_login:
        app.before_request(auth.require_login)
    app.add_url_rule("/page", "page", lambda: "SECRET")
    client = app.test_client()
    client.set_cookie("session", "x" * 43, domain="api.example.com")
    assert (client.get("/page", base_url=ORIGIN).status_code == 200) is not has_login
    # Whatever reads or writes a session from now on fails.
    app.session_interface.msal_backend = object()  # type: ignore[attr-defined]
    for base, status in ((ORIGIN, 200), ("https://evil.example", 404)):
        for method in ("GET", "HEAD"):
            answer = client.open(WELL_KNOWN, method=method, base_url=base)
            assert answer.status_code == status
            assert "Set-Cookie" not in answer.headers and "Vary" not in answer.headers


def test_several_tenants(entra: Emulator) -> None:
    """An API of several tenants names the place that all of them sign in at."""
    authority = entra.authority.replace(entra.tenant_id, "organizations")
    for written in (authority, f"{authority}/", f"{authority}/v2.0"):
        app = payroll(entra, MSAL_AUTHORITY=written, MSAL_ALLOWED_TENANTS="*")
        found: t.Any = app.test_client().get(WELL_KNOWN, base_url=ORIGIN).json
        assert found["authorization_servers"] == [f"{authority}/v2.0"]


def test_provider_is_down(entra: Emulator) -> None:
    """It is there while Entra is not, and asks nothing of it."""
    gone = "https://localhost:1/contoso"
    found = both(payroll(entra, MSAL_AUTHORITY=gone).test_client(), ORIGIN)
    assert found == (f"{ORIGIN}{WELL_KNOWN}", 200)


def test_beside_claims(entra: Emulator) -> None:
    """The challenge of claims names it too, and all parsers read both."""
    policies = pytest.importorskip("azure.core.pipeline.policies._authentication")
    wanted = {"access_token": {"acrs": {"essential": True, "value": "c1"}}}
    error = InteractionRequired(error="x", demand=Demand(claims=Claims(wanted)))
    app, api = api_app(entra, MSAL_API_ID_URI=f"{ORIGIN}/payroll")

    def view() -> str:
        raise error

    app.add_url_rule("/payroll", "payroll", api.token_required(view))
    headers = {"Authorization": f"Bearer {entra.access_token()}"}
    answer = app.test_client().get("/payroll", base_url=ORIGIN, headers=headers)
    header, place = answer.headers["WWW-Authenticate"], f"{ORIGIN}{WELL_KNOWN}/payroll"
    assert named(answer) == place
    read = policies.get_challenge_parameter
    assert read(answer.headers, "Bearer", "resource_metadata") == place
    found = read(answer.headers, "Bearer", "claims")
    assert json.loads(base64.b64decode(found)) == wanted
    demand = challenge.demand(401, header, scopes=["x/a"], had_token=True)
    assert demand is not None and demand.claims.members == wanted
    # Microsoft's samples in JavaScript split like this.
    pairs = [part.strip().split("=") for part in header.split(" ", 1)[1].split(",")]
    assert {name: value.strip('"') for name, value, *_ in pairs}[
        "resource_metadata"
    ] == place
