"""A browser that is only its cookies, and a clock that only a test moves."""

from __future__ import annotations

import time
import types
import typing as t
import uuid
from datetime import timedelta
from http.cookies import SimpleCookie
from urllib.parse import urlencode

import pytest
from flask import Flask
from itsdangerous import TimestampSigner
from werkzeug.datastructures import Headers
from werkzeug.test import EnvironBuilder
from werkzeug.utils import redirect
from werkzeug.wrappers import Request
from werkzeug.wrappers import Response

from flask_msal_errors.settings import Settings
from flask_msal_errors.signin import cookies
from flask_msal_errors.signin import flow_cookies
from flask_msal_errors.signin import limits
from flask_msal_errors.signin.completed import CompletedFlows
from flask_msal_errors.signin.cookies import Cookies
from flask_msal_errors.signin.cookies import Signer
from flask_msal_errors.signin.flow_cookies import Flow
from flask_msal_errors.signin.flow_cookies import FlowCookies
from flask_msal_errors.signin.form_post import FormPost
from flask_msal_errors.signin.limits import Loops
from flask_msal_errors.signin.limits import Pauses

ENTRA = "https://login.microsoftonline.com/organizations/oauth2/v2.0/authorize"


class Entries:
    """A store of entries that are forgotten with the test."""

    def __init__(self) -> None:
        self.entries: dict[str, dict[str, t.Any]] = {}
        self.lifetimes: dict[str, timedelta] = {}

    def read(self, key: str) -> dict[str, t.Any] | None:
        return self.entries.get(key)

    def write(self, key: str, value: dict[str, t.Any], lifetime: timedelta) -> None:
        self.entries[key] = value
        self.lifetimes[key] = lifetime

    def delete(self, key: str) -> None:
        self.entries.pop(key, None)

    remove = delete


class Browser:
    """Cookies that go from response to request, for one origin."""

    def __init__(self, base: str = "https://app.example", **config: t.Any) -> None:
        app = Flask("flows")
        app.secret_key = "0123456789abcdef"
        self.signer = Signer(app)
        self.store = Entries()
        self.settings = settings = Settings.from_mapping(
            {
                "MSAL_CLIENT_ID": "app",
                "MSAL_CLIENT_CREDENTIAL": "secret",
                "MSAL_AUTHORITY": "https://login.microsoftonline.com/contoso.example",
                **config,
            }
        )
        store: t.Any = self.store
        records: t.Any = types.SimpleNamespace(keep=self._keep)
        self.records = records
        jar = Cookies(self.signer)
        completed = CompletedFlows(settings, self.signer, store)
        self.flows = FlowCookies(settings, jar, store, records, completed)
        self.form_post = FormPost(settings, jar, store, self.flows)
        self.loops = Loops(settings, jar)
        self.pauses = Pauses(jar, records)
        self.base = base
        self.kept: dict[str, str] = {}
        self.lines: list[str] = []

    def _keep(
        self, handle: str, key: str, value: t.Any, lifetime: timedelta, most: int
    ) -> bool:
        """Store an entry as :meth:`.Records.keep` does, for a session of any handle."""
        self.store.write(key, value, lifetime)
        return True

    def request(self) -> Request:
        header = "; ".join(f"{name}={value}" for name, value in self.kept.items())
        headers = Headers({"Cookie": header} if header else {})
        return Request(
            EnvironBuilder("/", base_url=self.base, headers=headers).get_environ()
        )

    def take(self, response: Response) -> None:
        self.lines = response.headers.getlist("Set-Cookie")
        for line in self.lines:
            for name, morsel in SimpleCookie(line).items():
                self.kept.pop(name, None)
                if morsel["max-age"] != "0":
                    self.kept[name] = morsel.coded_value

    def do(self, act: t.Callable[[Request, Response], object]) -> None:
        response = Response()
        act(self.request(), response)
        self.take(response)

    def keep(self, flow: Flow, handle: str | None = None) -> None:
        """Begin a flow, whose answer leads to Entra."""
        posted = self.settings.response_mode == "form_post"
        asked = {"client_id": uuid.UUID(int=0), "code_challenge": "c" * 43, **flow.msal}
        asked.pop("code_verifier", None)
        response = redirect(f"{ENTRA}?{urlencode(asked, doseq=True)}")
        self.flows.keep(self.request(), response, flow, handle, cross_site=posted)
        self.take(response)

    def find(self, flow: Flow) -> Flow:
        return self.flows.find(self.request(), flow.msal["state"])

    def names(self) -> list[str]:
        return [name for name in self.kept if "msal_flow_" in name]

    def size(self) -> int:
        return len("; ".join(f"{name}={value}" for name, value in self.kept.items()))


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> t.Callable[[float], None]:
    """Lets time pass."""
    start = time.time()
    passed = [0.0]

    class Clock:
        @staticmethod
        def time() -> float:
            return start + passed[0]

    monkeypatch.setattr(cookies, "time", Clock)
    monkeypatch.setattr(flow_cookies, "time", Clock)
    monkeypatch.setattr(limits, "time", Clock)
    monkeypatch.setattr(
        TimestampSigner, "get_timestamp", lambda self: int(Clock.time())
    )

    def wait(seconds: float) -> None:
        passed[0] += seconds

    return wait
