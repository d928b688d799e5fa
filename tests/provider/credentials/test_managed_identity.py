"""A managed identity as the app's credential, by the endpoints of two kinds of host."""

from __future__ import annotations

import json

import msal
import pytest

from flask_msal_errors.errors import ConfigurationError
from flask_msal_errors.errors import ServiceUnavailable
from flask_msal_errors.provider.client import Client
from flask_msal_errors.provider.credentials import managed_identity
from flask_msal_errors.provider.credentials.managed_identity import FromManagedIdentity
from flask_msal_errors.testing import Emulator
from support import sign_ins
from support import sockets
from support.sockets import unused_port as unused_port

SYSTEM = {"ManagedIdentityIdType": "SystemAssigned", "Id": None}
FORMS = {
    "dict": SYSTEM,
    "object": msal.SystemAssignedManagedIdentity(),
    "environment": json.dumps(SYSTEM),
    "client id": msal.UserAssignedManagedIdentity(client_id="own"),
    "resource id": {"ManagedIdentityIdType": "ResourceId", "Id": "/subscriptions/x"},
}


@pytest.fixture(params=["app_service", "vm"], autouse=True)
def host(
    request: pytest.FixtureRequest, entra: Emulator, monkeypatch: pytest.MonkeyPatch
) -> str:
    """This process, as if on a host with a managed identity."""
    for name in ("IDENTITY_ENDPOINT", "IDENTITY_HEADER"):
        monkeypatch.delenv(name, raising=False)
    for name, value in entra.managed_environment(request.param).items():
        monkeypatch.setenv(name, value)
    return str(request.param)


def asked(entra: Emulator) -> list[dict[str, str]]:
    return [call.query for call in entra.calls if call.kind == "managed"]


def assertion(authority: str = "https://login.microsoftonline.com/x") -> str:
    return FromManagedIdentity(SYSTEM, lambda: authority)()


@pytest.mark.parametrize("form", FORMS)
def test_journey(entra: Emulator, form: str) -> None:
    """Sign-in and refreshes need no secret; the endpoint is asked once."""
    client = Client(sign_ins.settings(entra, MSAL_CLIENT_CREDENTIAL=FORMS[form]))
    user = sign_ins.signed_in(entra, client)
    for _ in range(3):
        client.silent(user, [entra.scope("Profile.Read")], force_refresh=True)
    (query,) = asked(entra)
    assert query["resource"] == "api://AzureADTokenExchange"
    named = {"client id": "own", "resource id": "/subscriptions/x"}.get(form)
    assert (named in query.values()) is (named is not None)
    sent = [call.form for call in entra.calls if call.kind == "token"]
    assert not any("client_secret" in fields for fields in sent)


@pytest.mark.parametrize(
    ("domain", "cloud"),
    [
        ("login.microsoftonline.us", "USGov"),
        ("login.usgovcloudapi.net", "USGov"),
        ("login.partner.microsoftonline.cn", "China"),
        ("login.chinacloudapi.cn", "China"),
        ("login.microsoftonline.com", ""),
        ("contoso.ciamlogin.com", ""),
    ],
)
def test_clouds(entra: Emulator, domain: str, cloud: str) -> None:
    """Each sovereign cloud has an audience of its own."""
    assert assertion(f"https://{domain}/tenant/oauth2/v2.0/token")
    assert asked(entra)[0]["resource"] == f"api://AzureADTokenExchange{cloud}"


def test_no_identity(entra: Emulator) -> None:
    """A host without the identity is the developer's to mend."""
    entra.managed_identity = False
    client = Client(sign_ins.settings(entra, MSAL_CLIENT_CREDENTIAL=SYSTEM))
    with pytest.raises(ConfigurationError, match="managed identity gave no token"):
        sign_ins.sign_in(entra, client)


@pytest.mark.parametrize("text", ["no JSON: very secret", "[]", "{}", '"x"'])
def test_odd_answer(
    entra: Emulator, host: str, text: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An endpoint that talks nonsense is named, and not quoted."""
    import flask

    odd = flask.Flask("odd")
    for path in ("/msi/token", "/metadata/identity/oauth2/token"):
        odd.add_url_rule(path, path, lambda: flask.Response(text))
    with entra.serve(odd) as url:
        _point(monkeypatch, host, url)
        with pytest.raises(
            ConfigurationError, match="MSAL_CLIENT_CREDENTIAL"
        ) as caught:
            assertion()
    assert "very secret" not in str(caught.value)


@pytest.mark.parametrize("status", [404, 410, 429, 500, 503])
@pytest.mark.parametrize("text", ["", '{"error": "x", "statusCode": 5}'])
def test_passing(
    entra: Emulator,
    host: str,
    text: str,
    status: int,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """An endpoint that is busy or being updated is no fault of the settings."""
    import flask

    busy = flask.Flask("busy")
    for path in ("/msi/token", "/metadata/identity/oauth2/token"):
        busy.add_url_rule(path, path, lambda: flask.Response(text, status))
    with entra.serve(busy) as url:
        _point(monkeypatch, host, url)
        with pytest.raises(ServiceUnavailable, match=f"HTTP {status}"):
            assertion()
        with pytest.raises(ServiceUnavailable, match=f"HTTP {status}"):
            assertion()


def test_unreachable(
    host: str, unused_port: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """No endpoint there: a passing failure, which says where to look."""
    _point(monkeypatch, host, f"http://localhost:{unused_port}")
    with pytest.raises(ServiceUnavailable, match="does not answer"):
        assertion()


def test_silent(entra: Emulator, host: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """An endpoint that never answers holds up nobody for longer than told."""
    monkeypatch.setattr(managed_identity, "_TIMEOUT", 0.3)
    with sockets.silent_listener() as url:
        _point(monkeypatch, host, url)
        with pytest.raises(ServiceUnavailable, match="does not answer"):
            assertion()


def test_no_proxy(entra: Emulator, monkeypatch: pytest.MonkeyPatch) -> None:
    """The endpoint is this machine's: no proxy of the environment is asked."""
    for name in ("http_proxy", "https_proxy", "all_proxy"):
        monkeypatch.setenv(name, "http://127.0.0.1:9")
    monkeypatch.setenv("no_proxy", "")
    assert assertion()


def _point(monkeypatch: pytest.MonkeyPatch, host: str, url: str) -> None:
    if host == "vm":
        monkeypatch.setenv("AZURE_POD_IDENTITY_AUTHORITY_HOST", url)
    else:
        monkeypatch.setenv("IDENTITY_ENDPOINT", f"{url}/msi/token")
