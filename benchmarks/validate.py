"""The cost of an API's callers: their tokens validated, against PyJWT alone."""

from __future__ import annotations

import collections.abc as cabc
import time
import typing as t

import jwt
import requests
from flask import Flask
from flask import request

from flask_msal_errors.api import ApiAuth

from .harness import Harness
from .measure import Call
from .measure import Figure
from .measure import alternate
from .measure import as_ratio

#: Times the cost of PyJWT alone, in a view that does nothing else.
_TARGET = 1.5


def measure(harness: Harness) -> cabc.Iterator[Figure]:
    """A view behind a token, guarded by us and by PyJWT alone, which trusts one key."""
    token = harness.entra.ask("access_token")
    called = {
        "guarded": Call(_ours(harness), "/", says="here", token=token),
        "PyJWT": Call(_bare(harness, token), "/", says="here", token=token),
        "none": Call(_open(), "/", says="here", token=token),
    }
    rounds, calls = (3, 5) if harness.quick else (60, 50)
    taken = alternate(called, rounds=rounds, calls=calls, clock=time.thread_time_ns)
    value, unit, low, high = as_ratio(taken, "guarded", "PyJWT")
    target = None if harness.quick else _TARGET
    yield Figure("validate", "view behind a token", value, unit, low, high, target)
    for name in ("guarded", "PyJWT"):
        value, unit, low, high = as_ratio(taken, name, "none")
        yield Figure("validate", f"{name}, against no guard", value, unit, low, high)
    before = sum(harness.entra.counted("discovery", "jwks"))
    for _ in range(20):
        called["guarded"]()
    made = sum(harness.entra.counted("discovery", "jwks")) - before
    yield Figure("validate", "calls of the provider for 20 tokens", made, "", target=0)


def _ours(harness: Harness) -> Flask:
    app = Flask("ours")
    app.config.update(harness.config(MSAL_CLIENT_CREDENTIAL=None))
    api = ApiAuth(app)
    app.add_url_rule("/", view_func=api.token_required(lambda: "here"))
    return app


def _bare(harness: Harness, token: str) -> Flask:
    """An app whose view checks signature, audience, issuer and times, as PyJWT does."""
    app, authority = Flask("bare"), harness.entra.authority
    document = _fetched(f"{authority}/v2.0/.well-known/openid-configuration", harness)
    keys = jwt.PyJWKSet.from_dict(_fetched(document["jwks_uri"], harness))
    key = keys[jwt.get_unverified_header(token)["kid"]]

    @app.get("/")
    def here() -> str:
        claims = jwt.decode(
            request.headers["Authorization"].removeprefix("Bearer "),
            key,
            algorithms=["RS256"],
            audience=harness.entra.config["MSAL_CLIENT_ID"],
            issuer=document["issuer"],
            leeway=120,
        )
        return "here" if claims["scp"] else ""

    return app


def _open() -> Flask:
    app = Flask("open")
    app.add_url_rule("/", view_func=lambda: "here")
    return app


def _fetched(url: str, harness: Harness) -> dict[str, t.Any]:
    answer = requests.get(url, verify=harness.bundle, timeout=30)
    answer.raise_for_status()
    found: dict[str, t.Any] = answer.json()
    return found
