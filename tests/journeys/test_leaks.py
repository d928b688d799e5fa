"""No token, code, secret or session id is in any log, page, URL or exception text."""

from __future__ import annotations

import base64
import collections.abc as cabc
import functools
import io
import logging
import typing as t
import urllib.parse

import pytest
import requests
from flask import Response

from flask_msal_errors import ConfigurationError
from flask_msal_errors.provider.client import Client
from flask_msal_errors.session.records import Records
from flask_msal_errors.testing import Emulator
from flask_msal_errors.testing import Person
from flask_msal_errors.testing.entra import tokens
from flask_msal_errors.web import pages
from support.live_app import LiveApp
from support.live_app import Start
from support.waiting import PATIENCE


class WithExtras(logging.Formatter):
    """Lines with the fields that a JSON logger would write."""

    def format(self, record: logging.LogRecord) -> str:
        extras = {k: v for k, v in vars(record).items() if k.startswith("msal_")}
        return f"{super().format(record)} {extras or ''}"


class Witness:
    """Sees all that is secret, and all that others get to see."""

    def __init__(self, entra: Emulator, monkeypatch: pytest.MonkeyPatch) -> None:
        self.entra = entra
        self.monkeypatch = monkeypatch
        self.secrets: dict[str, str] = {entra.client_secret: "client secret"}
        self.log = io.StringIO()
        self.bodies: list[str] = []
        self.errors: list[str] = []
        self.kinds: set[str] = set()
        self._watch(monkeypatch)

    def learn(self, secret: t.Any, kind: str) -> None:
        if secret:
            self.secrets[str(secret)] = kind

    def _watch(self, monkeypatch: pytest.MonkeyPatch) -> None:
        sign, begin, create = tokens.sign, Client.begin, Records.create
        answer = pages.error

        def signing(*args: t.Any) -> str:
            token = sign(*args)
            self.learn(token, "token")
            return token

        def beginning(client: Client, *args: t.Any, **kwargs: t.Any) -> t.Any:
            flow = begin(client, *args, **kwargs)
            self.learn(flow["nonce"], "nonce")
            self.learn(flow["code_verifier"], "PKCE verifier")
            return flow

        def creating(records: Records, *args: t.Any) -> str:
            handle = create(records, *args)
            self.learn(handle, "handle")
            return handle

        def answering(error: t.Any) -> t.Any:
            self.kinds.add(type(error).__name__)
            self.errors.append(f"{error} {error!r} {vars(error)}")
            return answer(error)

        monkeypatch.setattr(tokens, "sign", signing)
        monkeypatch.setattr(Client, "begin", beginning)
        monkeypatch.setattr(Records, "create", creating)
        monkeypatch.setattr(pages, "error", answering)

    def watch_app(self, live: LiveApp) -> None:
        """See every answer of the app, but for the cookies, which are the browser's."""

        @live.app.after_request
        def see(response: Response) -> Response:
            headers = [f"{k}: {v}" for k, v in response.headers if k != "Set-Cookie"]
            text = response.get_data(as_text=True) if response.is_sequence else ""
            self.bodies.append("\n".join([*headers, text]))
            return response

    def watch_person(self, person: Person, url: str) -> None:
        """Know the ids of this browser's sessions."""
        store = person.cookies.store

        def storing(from_url: str, lines: t.Iterable[str]) -> None:
            store(from_url, lines)
            self.learn(person.cookies.get(url, "session"), "session id")

        self.monkeypatch.setattr(person.cookies, "store", storing)

    def all_secrets(self) -> dict[str, str]:
        for code in self.entra.tenant.codes:
            self.learn(code, "code")
        for token in self.entra.tenant.refresh_tokens:
            self.learn(token, "refresh token")
        found = dict(self.secrets)
        for secret, kind in self.secrets.items():
            found[urllib.parse.quote(secret, safe="")] = kind
            found[base64.b64encode(secret.encode()).decode().rstrip("=")] = kind
        return found


@pytest.fixture
def witness(entra: Emulator, monkeypatch: pytest.MonkeyPatch) -> cabc.Iterator[Witness]:
    made = Witness(entra, monkeypatch)
    handler = logging.StreamHandler(made.log)
    handler.setFormatter(WithExtras())
    root = logging.getLogger()
    level = root.level
    root.addHandler(handler)
    root.setLevel(logging.DEBUG)
    yield made
    root.setLevel(level)
    root.removeHandler(handler)


def pause(plain: bool, request: object) -> Response:
    """A 429 of the token endpoint whose pause is short."""
    text = "Too Many Requests" if plain else '{"error": "temporarily_unavailable"}'
    kind = "text/plain" if plain else "application/json"
    return Response(text, 429, {"Retry-After": "1"}, mimetype=kind)


def tell_the_story(live: LiveApp, entra: Emulator, person: Person) -> None:
    """Everything that can happen to a sign-in."""
    page = person.visit(live.url + "/profile?a=b")
    assert page.status_code == 200
    assert person.visit(live.url + "/mail").status_code == 200
    entra.require_mfa("Payroll.Read")
    assert person.visit(live.url + "/payroll").status_code == 200
    assert person.visit(live.url + "/vault").status_code == 200
    entra.revoke("ada")
    assert person.visit(live.url + "/profile").status_code == 200
    entra.change_ip("ada")
    assert person.visit(live.url + "/profile").status_code == 200
    script = person.get(live.url + "/raise", headers={"Sec-Fetch-Mode": "cors"})
    assert script.status_code == 401
    assert person.visit(live.url + "/form", {"a": "b"}).status_code == 200
    entra.revoke("ada")
    for plain in (True, False):
        entra.change_ip("ada")
        entra.fail_next(functools.partial(pause, plain))
        assert person.visit(live.url + "/busy").status_code == 429
        entra.clear_faults()
        person.visit(live.url + "/auth/login")


def have_bad_luck(live: LiveApp, entra: Emulator, person: Person) -> None:
    """Everything that can go wrong at a sign-in."""
    for forgery in ({"alg": "none"}, {"alg": "HS256"}, {"nonce": "x"}, {"aud": "x"}):
        entra.forge(**forgery)
        assert person.visit(live.url + "/me").status_code == 400
        entra.clear_faults()
    entra.broken()
    assert person.visit(live.url + "/me").status_code == 502
    entra.clear_faults()
    entra.fail_next({"error": "invalid_client", "error_codes": [7000215]}, status=401)
    assert person.visit(live.url + "/me").status_code == 500
    person.decline_consent = True
    entra.withdraw_consent(person.name)
    assert person.visit(live.url + "/me").status_code == 403
    person.decline_consent = False
    answer = person.authorize(person.get(live.url + "/me").headers["Location"])
    posted = answer.params if answer.method == "POST" else None
    for _ in range(2):
        replay = person.visit(answer.url, posted)
    assert replay.status_code == 200
    unknown = answer.url.replace("state=", "state=x")
    bogus = {**posted, "state": "x"} if posted else None
    assert person.visit(unknown, bogus).status_code == 400


class TestNoLeak:
    @pytest.mark.parametrize("mode", ["form_post", "query"])
    def test_of_the_main_story(
        self, start: Start, entra: Emulator, witness: Witness, mode: str
    ) -> None:
        """Logs at DEBUG, pages, URLs and errors of the main story hold no secret."""

        def add(live: LiveApp) -> None:
            witness.watch_app(live)
            live.app.add_url_rule(
                "/raise",
                "raising",
                live.auth.catch_challenges(lambda: self.refuse(entra, live)),
            )
            live.app.add_url_rule(
                "/busy", "busy", live.auth.login_required(lambda: self.busy(live))
            )

        live = start(add, MSAL_RESPONSE_MODE=mode)
        people = [entra.person("ada"), entra.person("grace")]
        for person in people:
            witness.watch_person(person, live.url)
        tell_the_story(live, entra, people[0])
        have_bad_luck(live, entra, people[1])

        secrets = witness.all_secrets()
        assert {*secrets.values()} == {
            *("token", "code", "refresh token", "client secret", "PKCE verifier"),
            *("nonce", "session id", "handle"),
        }
        assert {"InvalidIdToken", "Throttled", "AccessDenied", "TokenError"} <= (
            witness.kinds
        )
        history = [url for person in people for url in person.history]
        lines = witness.log.getvalue().splitlines()
        if mode == "query":
            # The provider's own redirect, and the log of urllib3, which stands for the
            # browser that follows it.
            history = [url for url in history if "/auth/callback?" not in url]
            lines = [line for line in lines if '"GET /auth/callback?' not in line]
        assert len(lines) > 100
        assert "'msal_user': '" in witness.log.getvalue()
        places = {
            "log": "\n".join(lines),
            "pages": "\n".join(witness.bodies),
            "URLs": "\n".join(history),
            "errors": "\n".join(witness.errors),
        }
        found = [
            (kind, place)
            for place, text in places.items()
            for secret, kind in secrets.items()
            if secret in text
        ]
        assert found == []

    def refuse(self, entra: Emulator, live: LiveApp) -> t.Any:
        entra.revoke("ada")
        token = live.auth.acquire_token([entra.scope("Profile.Read")])
        headers = {"Authorization": f"Bearer {token['access_token']}"}
        url = entra.api_url + "/me"
        requests.get(
            url, headers=headers, verify=entra.ca_file, timeout=PATIENCE
        ).raise_for_status()

    def busy(self, live: LiveApp) -> t.Any:
        return live.auth.acquire_token(
            [live.entra.scope("Profile.Read")], force_refresh=True
        )["token_type"]

    def test_wrong_secret(
        self, start: Start, entra: Emulator, witness: Witness
    ) -> None:
        """A wrong client secret is told by key and remedy, never by value."""
        secret = "wrong-secret-marker"
        live = start(witness.watch_app, MSAL_CLIENT_CREDENTIAL=secret)
        page = entra.person().visit(live.url + "/me")
        assert page.status_code == 500
        assert "MSAL_CLIENT_CREDENTIAL" in witness.log.getvalue()
        everything = witness.log.getvalue() + "".join(witness.bodies + witness.errors)
        assert secret not in everything

    def test_wrong_ca(self, start: Start, entra: Emulator, witness: Witness) -> None:
        """An untrusted certificate is told by key and host."""
        live = start(witness.watch_app, MSAL_VERIFY=True)
        page = entra.person().visit(live.url + "/me")
        assert page.status_code == 500
        assert "MSAL_VERIFY" in witness.log.getvalue()
        assert entra.client_secret not in witness.log.getvalue()

    def test_settings(self, start: Start, entra: Emulator) -> None:
        """A bad setting is refused without its value."""
        with pytest.raises(ConfigurationError) as caught:
            start(MSAL_CLIENT_CREDENTIAL={"secret-marker": "secret-marker"})
        assert "secret-marker" not in str(caught.value)
