"""The exchange of tokens by azure-identity is for APIs; what a web app uses instead."""

from __future__ import annotations

import importlib
import typing as t
import urllib.parse

import pytest
from azure.core import PipelineClient
from azure.core.exceptions import ClientAuthenticationError
from azure.core.pipeline.policies import BearerTokenCredentialPolicy
from azure.core.rest import HttpRequest

from support.callers import Caller
from support.callers import caller as caller


def on_behalf(caller: Caller) -> t.Any:
    config, place = caller.entra.config(), urllib.parse.urlsplit(caller.entra.authority)
    kind: t.Any = importlib.import_module("azure.identity").OnBehalfOfCredential
    return kind(
        place.path.strip("/"),
        config["MSAL_CLIENT_ID"],
        client_secret=config["MSAL_CLIENT_CREDENTIAL"],
        user_assertion=caller.token(),
        authority=f"https://{place.netloc}",
        disable_instance_discovery=True,
        connection_verify=caller.entra.ca_file,
    )


def test_web_app(caller: Caller) -> None:
    """A web app has no token for itself to exchange; the user's credential serves."""

    def work() -> str:
        with on_behalf(caller) as exchanging:
            with pytest.raises(ClientAuthenticationError):
                exchanging.get_token(caller.scopes[0])
        policy = BearerTokenCredentialPolicy(caller.auth.credential(), caller.scopes[0])
        made: t.Any = PipelineClient(caller.url(""), policies=[policy])
        with made as client:
            request = HttpRequest("GET", caller.url("/me"))
            options = {"connection_verify": caller.entra.ca_file}
            return str(client.send_request(request, **options).text())

    assert "Ada Lovelace" in caller.run(work).text
