"""Costs of an API's guard, in ratios: machines differ."""

from __future__ import annotations

import collections.abc as cabc
import statistics
import time

import jwt

from flask_msal_errors.provider.access_token import AccessTokens
from flask_msal_errors.provider.application import Provider
from flask_msal_errors.settings import Settings
from flask_msal_errors.testing import Emulator
from support.apis import api_app
from support.apis import call


def seconds(work: cabc.Callable[[], object]) -> float:
    """Processor time of twenty calls."""
    start = time.thread_time()
    for _ in range(20):
        work()
    return time.thread_time() - start


def test_validation(entra: Emulator) -> None:
    """Validation takes no more than one and a half times what PyJWT alone takes."""
    settings = Settings.from_mapping(entra.config(), for_api=True)
    provider = Provider(settings)
    tokens = AccessTokens(settings, provider)
    token, key = entra.access_token(), entra.tenant.keys.current.public
    assert tokens.validate(token)["oid"]

    def alone() -> object:
        return jwt.decode(
            token,
            key,
            algorithms=["RS256"],
            audience=entra.client_id,
            issuer=entra.issuer,
            leeway=120,
        )

    ratios = [
        seconds(lambda: tokens.validate(token)) / seconds(alone) for _ in range(25)
    ]
    provider.connection().transport.close()
    assert statistics.median(ratios) < 1.5


def test_no_calls(entra: Emulator) -> None:
    """Once the keys are there, a token costs no call of the provider."""
    app, api = api_app(entra)
    app.add_url_rule("/payroll", view_func=api.token_required(lambda: ""))
    assert call(app, entra.access_token()).status_code == 200
    before = entra.counters.total()
    for _ in range(9):
        assert call(app, entra.access_token()).status_code == 200
    assert entra.counters.total() == before
