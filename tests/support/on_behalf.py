"""An API that calls a further one on behalf of its callers, with a Redis of its own."""

from __future__ import annotations

import base64
import json
import typing as t

import redis
from flask import Flask
from flask import request
from werkzeug.test import TestResponse

from flask_msal_errors.api import ApiAuth
from flask_msal_errors.protocol import challenge
from flask_msal_errors.testing import Emulator
from support.apis import call

PEOPLE = ("ada", "grace", "linus")
GRANT = "token.urn:ietf:params:oauth:grant-type:jwt-bearer"


class Middle:
    """An API whose view returns the claims of a token for the emulator's API.

    Each of its people consented to ``Mail.Read`` there.
    """

    def __init__(
        self, entra: Emulator, client: redis.Redis | None = None, **config: t.Any
    ) -> None:
        self.entra = entra
        self.scope = entra.scope("Mail.Read")
        self.app = Flask("middle")
        sessions = {"SESSION_TYPE": "redis", "SESSION_REDIS": client} if client else {}
        self.app.config.update({**entra.config(), **sessions, **config})
        self.api = ApiAuth(self.app)
        for person in PEOPLE:
            entra.give_consent(person, "Mail.Read")
        self.add("/further")
        self.add("/context", acrs="c1")
        self.add("/apps", app_roles=["Reports"])

    def add(self, path: str, **rule: t.Any) -> None:
        def view() -> dict[str, t.Any]:
            given = request.args.to_dict()
            scopes = given.pop("scopes", self.scope).split()
            options: dict[str, t.Any] = {}
            if "claims" in given:
                options["claims"] = given["claims"]
            if "force" in given:
                options["force_refresh"] = True
            return self.api.on_behalf_of(scopes, **options)

        guarded = self.api.token_required(**rule)(view)
        self.app.add_url_rule(path, path[1:], guarded)

    @property
    def asked(self) -> int:
        """Token requests so far."""
        return self.entra.counters[GRANT]

    def get(self, token: str | None, path: str = "/further") -> TestResponse:
        return call(self.app, token, path)


def claims_of(answer: TestResponse) -> dict[str, t.Any]:
    """The claims of the token that an answer has."""
    assert answer.status_code == 200, answer.text
    payload = t.cast("dict[str, str]", answer.json)["access_token"].split(".")[1]
    padding = "=" * (-len(payload) % 4)
    return t.cast(
        "dict[str, t.Any]", json.loads(base64.urlsafe_b64decode(payload + padding))
    )


def demanded(answer: TestResponse) -> dict[str, str]:
    """The parameters of an answer's challenge."""
    (found,) = challenge.parse(answer.headers.getlist("WWW-Authenticate"))
    return dict(found.params)


def claims_asked(answer: TestResponse) -> dict[str, t.Any]:
    """The claims that an answer's challenge asks of the access token."""
    text = base64.b64decode(demanded(answer)["claims"], validate=True)
    asked: dict[str, t.Any] = json.loads(text)
    assert asked.keys() == {"access_token"}
    return t.cast("dict[str, t.Any]", asked["access_token"])
