"""The guides' examples that need an SDK, against the emulator."""

from __future__ import annotations

import functools
import gc
import typing as t

import pytest
from flask import Request
from flask import Response

from flask_msal_errors.testing import Emulator
from support.callers import CHALLENGE
from support.doc_examples import Examples
from support.doc_examples import examples as examples

pytestmark = [
    # Kiota's packages warn of each other.
    pytest.mark.filterwarnings("ignore::DeprecationWarning"),
    # Microsoft Graph's client cannot be closed: the garbage collection does it.
    pytest.mark.filterwarnings("ignore::ResourceWarning"),
    pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning"),
]


def test_key_vault(
    examples: Examples, entra: Emulator, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A secret is read as the user, also after their session was revoked."""
    module = examples.load("key_vault", VAULT=f"{entra.tenant.https_url}/vault")
    client = functools.partial(module.SecretClient, verify_challenge_resource=False)
    monkeypatch.setattr(module, "SecretClient", client)
    url = examples.serve(module.create_app())
    person = entra.person()
    assert person.visit(url + "/salary").text == "salary of ada@contoso.example"
    entra.revoke("ada")
    assert person.visit(url + "/salary").text == "salary of ada@contoso.example"


def moved(module: t.Any, entra: Emulator, monkeypatch: pytest.MonkeyPatch) -> t.Any:
    """The example, whose client of Graph calls the emulator."""
    kind = module.GraphServiceClient

    def at_the_emulator(*args: t.Any, **kwargs: t.Any) -> t.Any:
        made = kind(*args, **kwargs)
        made.request_adapter.base_url = entra.graph_url
        return made

    monkeypatch.setattr(module, "GraphServiceClient", at_the_emulator)
    return module


def test_graph_sdk(
    examples: Examples, entra: Emulator, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Microsoft Graph answers for the user, also after their session was revoked."""
    module = moved(examples.load("graph_sdk"), entra, monkeypatch)
    url = examples.serve(module.create_app())
    person = entra.person()
    assert person.visit(url + "/me").text == "Ada Lovelace"
    entra.revoke("ada")
    assert person.visit(url + "/me").text == "Ada Lovelace"
    gc.collect()


def test_graph_sdk_batch(
    examples: Examples, entra: Emulator, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A refusal inside of a batch is met by the user."""
    module = moved(examples.load("graph_sdk_batch"), entra, monkeypatch)
    url = examples.serve(module.create_app())
    person = entra.person()
    assert person.visit(url + "/desk").json() == {"me": 200}
    before = entra.counters["authorize"]

    def refuse(received: Request) -> Response | None:
        if received.path.endswith("$batch"):
            return None
        return Response("{}", 401, {"WWW-Authenticate": CHALLENGE})

    entra.fail_next(refuse, "api", times=2)
    assert person.visit(url + "/desk").json() == {"me": 200}
    assert entra.counters["authorize"] - before == 1
    gc.collect()
