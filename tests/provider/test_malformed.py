"""Faults of our own inside MSAL's calls: shown as such, without their secrets."""

from __future__ import annotations

import logging
import traceback
import typing as t

import pytest

from flask_msal_errors.errors import TokenError
from flask_msal_errors.provider.client import Client
from flask_msal_errors.provider.malformed import OwnFault
from flask_msal_errors.provider.transport import Transport
from flask_msal_errors.session.msal_caches import BoundTokenCache
from flask_msal_errors.testing import Emulator
from support import sign_ins
from support.live_app import LiveApp
from support.sign_ins import client as client

SECRET = "hidden " * 3


def faulty(name: str, kind: type[Exception]) -> t.Any:
    """A function of the package that raises; it is compiled as one of its modules."""
    source = f"def {name}(*args, **kwargs):\n    raise kind(secret)\n"
    names: dict[str, t.Any] = {
        **{"kind": kind, "secret": SECRET},
        "__name__": "flask_msal_errors.session.msal_caches",
    }
    exec(compile(source, "<msal_caches>", "exec"), names)
    return names[name]


@pytest.mark.parametrize("kind", [ValueError, KeyError, TypeError, RuntimeError])
@pytest.mark.parametrize(
    ("owner", "name"), [(BoundTokenCache, "add"), (Transport, "post")]
)
def test_is_no_answers_fault(
    entra: Emulator,
    client: Client,
    monkeypatch: pytest.MonkeyPatch,
    owner: type,
    name: str,
    kind: type[Exception],
) -> None:
    """An exception of our cache or transport stays what it is, with a traceback."""
    user = sign_ins.signed_in(entra, client)
    connection = client.provider.connection()
    if owner is Transport:
        monkeypatch.setattr(connection.documents, name, faulty(name, kind))
    else:
        monkeypatch.setattr(owner, name, faulty(name, kind))
    with pytest.raises(OwnFault, match=kind.__name__) as caught:
        client.silent(user, [entra.scope("Profile.Read")], force_refresh=True)
    shown = "".join(traceback.format_exception(caught.value))
    assert f"in {name}" in shown and SECRET not in shown


def test_discovery(
    entra: Emulator, client: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A fault of ours while the provider is looked for is no wrong setting."""
    monkeypatch.setattr(Transport, "send", faulty("send", KeyError))
    with pytest.raises(OwnFault, match="KeyError"):
        client.provider.connection()


def test_answer(entra: Emulator, client: Client) -> None:
    """An answer that MSAL cannot read is still the provider's fault."""
    user = sign_ins.signed_in(entra, client)
    entra.fail_next({"access_token": "AT", "expires_in": "soon"}, "token", 200)
    with pytest.raises(TokenError, match="invalid_response"):
        client.silent(user, [entra.scope("Profile.Read")], force_refresh=True)


def test_page(
    live: LiveApp,
    entra: Emulator,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    """It is a 500, and the log has the traceback without the message."""
    person = entra.person()
    person.visit(live.url + "/me")
    monkeypatch.setattr(BoundTokenCache, "add", faulty("add", ValueError))
    entra.users["ada"].consents.add(entra.scope("Mail.Read"))
    with caplog.at_level(logging.ERROR):
        assert person.visit(live.url + "/mail").status_code == 500
    assert "OwnFault: ValueError in flask_msal_errors" in caplog.text
    assert "in add" in caplog.text and SECRET not in caplog.text
