"""An app with the package identity, written as its documentation says."""

from __future__ import annotations

import importlib.util
import typing as t

from flask import Flask
from flask import session

#: Whether the package is installed; without it, comparisons with it are left out.
INSTALLED = importlib.util.find_spec("identity") is not None


def app(harness: t.Any, store: t.Any, **changes: t.Any) -> Flask:
    """An app whose views do what those of :func:`benchmarks.apps.ours` do.

    It trusts the bundle that ``REQUESTS_CA_BUNDLE`` names: it has no setting for it.
    """
    from identity.flask import Auth

    made = Flask("identity")
    config = harness.config(SESSION_TYPE="redis", SESSION_REDIS=store, **changes)
    made.config.update(config)
    auth = Auth(
        made,
        client_id=config["MSAL_CLIENT_ID"],
        client_credential=config["MSAL_CLIENT_CREDENTIAL"],
        oidc_authority=f"{harness.entra.authority}/v2.0",
        redirect_uri="http://localhost/redirect",
    )

    @made.get("/user")
    @auth.login_required
    def user(*, context: dict[str, t.Any]) -> str:
        return str(context["user"]["name"])

    @made.get("/token")
    @auth.login_required(scopes=[harness.entra.scope("Profile.Read")])
    def token(*, context: dict[str, t.Any]) -> str:
        return f"{context['user']['name']} {len(context['access_token'])}"

    @made.get("/size")
    def size() -> str:
        return str(len(session))

    return made
