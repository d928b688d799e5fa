"""An API with one view, whose work each test sets, before the emulator's API."""

from __future__ import annotations

import base64
import collections.abc as cabc
import importlib
import json
import ssl
import typing as t
from pathlib import Path

import pytest
from flask import Blueprint
from flask import Flask
from werkzeug.test import TestResponse

from flask_msal_errors.api import ApiAuth
from flask_msal_errors.testing import Emulator
from support.apis import call
from support.on_behalf import GRANT
from support.on_behalf import claims_asked
from support.on_behalf import demanded

#: azure-core's parser.
_policies: t.Any = importlib.import_module(
    "azure.core.pipeline.policies._authentication"
)
_parameter = _policies.get_challenge_parameter

#: The work of a view in a test; a coroutine is awaited.
Work = cabc.Callable[[], t.Any]
#: A guard around the view, one in its blueprint, and one around a coroutine.
PATHS = ("/work", "/part/work", "/async")


class WorkingApi:
    """An API that calls the emulator's for Ada and Grace, who consented."""

    def __init__(self, entra: Emulator, folder: Path, **config: t.Any) -> None:
        self.entra = entra
        self.scopes = [entra.scope("Profile.Read")]
        self.work: Work = lambda: "nothing"
        self.app = Flask("working", instance_path=str(folder))
        self.app.config.update({**entra.config(), **config})
        self.auth = ApiAuth(self.app)
        self.tls = ssl.create_default_context(cafile=entra.ca_file)
        for person in ("ada", "grace"):
            entra.give_consent(person, "Profile.Read")
        self._add()

    def _add(self) -> None:
        def work() -> t.Any:
            return self.work()

        def work_of_part() -> t.Any:
            return self.work()

        async def waiting() -> t.Any:
            found = self.work()
            return await found if hasattr(found, "__await__") else found

        part = Blueprint("part", __name__, url_prefix="/part")
        part.before_request(self.auth.require_token)
        part.add_url_rule("/work", "work", work_of_part)
        self.app.register_blueprint(part)
        guarded = self.auth.token_required(app_roles=["Reports"])
        self.app.add_url_rule("/work", "work", guarded(work))
        self.app.add_url_rule("/async", "async", guarded(waiting))

    def run(
        self, work: Work, at: str = "/work", token: str | None = None
    ) -> TestResponse:
        """Return the answer to Ada, or whose token it is, of a view that does this."""
        self.work = work
        return call(self.app, token or self.entra.access_token("ada"), at)

    def url(self, path: str) -> str:
        return self.entra.api_url + path

    def bearer(self) -> dict[str, str]:
        """The header that a developer without adapter sends."""
        result = self.auth.on_behalf_of(self.scopes)
        return {"Authorization": f"Bearer {result['access_token']}"}

    @property
    def exchanges(self) -> int:
        """Token requests so far."""
        return self.entra.counters[GRANT]


@pytest.fixture
def working(entra: Emulator, tmp_path: Path) -> WorkingApi:
    return WorkingApi(entra, tmp_path)


def asked_of(answer: TestResponse) -> dict[str, t.Any]:
    """The claims that a challenge asks for, as our parser and azure-core read it."""
    assert answer.status_code == 401, answer.text
    assert demanded(answer)["error"] == "insufficient_claims"
    assert "scope" not in demanded(answer)
    header = "WWW-Authenticate"
    assert header in answer.headers["Access-Control-Expose-Headers"]
    found = _parameter(answer.headers, "Bearer", "claims")
    claims = claims_asked(answer)
    assert json.loads(base64.b64decode(str(found))) == {"access_token": claims}
    return claims


def scope_of(answer: TestResponse) -> str:
    """The scope that a challenge asks for, as our parser and azure-core read it."""
    assert answer.status_code == 403, answer.text
    found = demanded(answer)
    assert found["error"] == "insufficient_scope" and "claims" not in found
    assert _parameter(answer.headers, "Bearer", "scope") == found["scope"]
    return found["scope"]
