"""Sessions and sign-ins under way, as the code of one version stored them.

``python -m support.golden NAME``, in the folder ``tests``, runs a story at the
emulator, by the package that is installed, and writes all that it stored to
``session/golden/NAME.json``. Tests let today's code read these files.
"""

from __future__ import annotations

import base64
import collections.abc as cabc
import contextlib
import dataclasses
import json
import math
import os
import secrets
import sys
import tempfile
import time
import typing as t
from pathlib import Path
from unittest import mock
from urllib.parse import urlsplit

import msgspec
import requests
from cryptography.fernet import Fernet
from flask import Flask
from flask import request
from werkzeug.wrappers import Request
from werkzeug.wrappers import Response

from flask_msal_errors import InteractionRequired
from flask_msal_errors import MsalAuth
from flask_msal_errors.api.on_behalf_of import _Exchanged
from flask_msal_errors.api.on_behalf_of import _Pauses
from flask_msal_errors.clients.groups import _Pause
from flask_msal_errors.diagnostics.probes import _Probe
from flask_msal_errors.session.records import Token
from flask_msal_errors.signin.form_post import _LongAnswer
from flask_msal_errors.storage.codec import Codec
from flask_msal_errors.testing import Emulator
from flask_msal_errors.testing import Person
from flask_msal_errors.testing.kit.in_process import redirected
from flask_msal_errors.web.forms import FIELD
from support.session_apps import DictInterface

FOLDER = Path(__file__).parents[1] / "session" / "golden"
#: Claims that are too long for a cookie, compressed too.
_LONG = json.dumps({"access_token": {"nonsense": {"value": secrets.token_hex(1500)}}})
FORM = {"reason": "a & b = ü"}
#: Headers of a browser that asks for a page, or posts a form of the same origin.
_PAGE = {
    "Accept": "text/html",
    "Sec-Fetch-Mode": "navigate",
    "Sec-Fetch-Site": "same-origin",
}


def app_of(config: dict[str, t.Any], folder: str) -> Flask:
    """Return the app of the story, whose views read all that is stored."""
    app = Flask("golden", instance_path=folder)
    app.config.update(config)
    app.session_interface = DictInterface(app)
    auth = MsalAuth(app)
    mail = app.config["GOLDEN_MAIL"]

    @app.get("/")
    def home() -> str:
        return f"hello {auth.user.username if auth.user else 'nobody'}"

    @app.get("/token")
    @auth.login_required(scopes=[mail])
    def token() -> t.Any:
        return auth.acquire_token([mail])

    @app.get("/groups")
    @auth.login_required
    def groups() -> str:
        return str(len(auth.user.groups)) if auth.user else ""

    @app.route("/desk", methods=["GET", "POST"])
    @auth.login_required(acrs="c1")
    def desk() -> str:
        return f"sent {request.form['reason']}"

    @app.get("/far")
    @auth.catch_challenges
    def far() -> str:
        raise InteractionRequired(claims=_LONG)

    @app.get("/sessions")
    @auth.login_required
    def sessions() -> str:
        return str(len(auth.sessions()))

    @app.post("/everywhere")
    @auth.login_required
    def everywhere() -> t.Any:
        return auth.sign_out_everywhere()

    return app


@dataclasses.dataclass
class Golden:
    """One story: when it was, its app, what was stored, and what browsers had."""

    at: float
    origin: str
    config: dict[str, t.Any]
    entries: dict[str, str]
    """Bytes of the store by their keys, in base64."""
    cookies: dict[str, str]
    """The ``Cookie`` header of each browser."""
    urls: dict[str, str]
    """Paths that a browser was about to open, and the ticket of a form."""
    metadata: dict[str, t.Any]
    """The provider's discovery document, the only thing it answers any more."""
    others: list[tuple[dict[str, str], list[t.Any]]]
    """Entries of the kinds that no session has, and their members."""

    @contextlib.contextmanager
    def just_then(self) -> cabc.Iterator[None]:
        """Let it be some seconds after the story, and the provider be busy."""
        real, start = time.time, time.time()
        text = json.dumps(self.metadata)

        @Request.application
        def provider(asked: Request) -> Response:
            known = asked.path.endswith("/openid-configuration")
            return Response(text if known else "", 200 if known else 503)

        parts = urlsplit(self.config["MSAL_AUTHORITY"])
        base = f"{parts.scheme}://{parts.netloc}"

        def now() -> float:
            return self.at + 5 + real() - start

        with mock.patch("time.time", now), redirected({base: provider}):
            yield

    def app(self, folder: Path) -> Flask:
        """Return the app with all that is stored."""
        app = app_of(self.config, str(folder))
        self.plant(app)
        return app

    def plant(self, app: Flask) -> None:
        """Let this be all that is stored."""
        kept = t.cast(DictInterface, app.session_interface).kept
        kept.clear()
        for key, data in self.entries.items():
            kept[key] = (base64.b64decode(data), math.inf)

    def open(self, app: Flask, browser: str, path: str, **more: t.Any) -> t.Any:
        """Return the answer that a browser gets."""
        client = app.test_client(use_cookies=False)
        headers = {**_PAGE, "Cookie": self.cookies[browser]}
        return client.open(path, base_url=self.origin, headers=headers, **more)


def kept(name: str) -> dict[str, Golden]:
    """Return the stories of a file, without encryption keys and with them."""
    told = json.loads((FOLDER / f"{name}.json").read_text("utf-8"))
    return {kind: Golden(**story) for kind, story in told.items()}


class _Story:
    """People at the app, who leave everything that a store can have."""

    def __init__(self, entra: Emulator, app: Flask, url: str) -> None:
        self.entra, self.url = entra, url
        self.store: t.Any = app.session_interface
        self.urls: dict[str, str] = {}

    def tell(self) -> dict[str, str]:
        """Return the cookies of all."""
        ada, stranger = self.entra.person("ada"), self.entra.person("linus")
        self.entra.add_to_group("ada", "Finance")
        self.entra.group_overage = True
        opened = ada.authorize(ada.get(f"{self.url}/token").headers["Location"]).url
        ada.visit(opened)
        self.urls["completed"] = opened.removeprefix(self.url)
        page = ada.visit(f"{self.url}/desk", FORM, stop_at="resume").text
        self.urls["ticket"] = page.split(f'name="{FIELD}" value="')[1].split('"')[0]
        assert ada.visit(f"{self.url}/groups").text == "1"
        self.urls["long"] = self._declined(ada, "/far")
        self.urls["short"] = self._declined(stranger, "/sessions?a=b")
        people = {"ada": ada, "stranger": stranger}
        return {**self.cookies(people), **self._ended()}

    def _ended(self) -> dict[str, str]:
        """Return the cookies that people had who signed out, one everywhere."""
        people = {name: self.entra.person("grace") for name in ("out", "one", "other")}
        for person in people.values():
            assert person.visit(f"{self.url}/token").status_code == 200
        cookies = self.cookies(people)
        people["out"].submit(people["out"].get(f"{self.url}/auth/logout"))
        people["one"].visit(f"{self.url}/everywhere", {})
        return cookies

    def cookies(self, people: dict[str, Person]) -> dict[str, str]:
        """Return the header that each browser sends now."""
        return {
            name: person.cookies.header(self.url, "GET", None, False)
            for name, person in people.items()
        }

    def _declined(self, person: Person, path: str) -> str:
        """Begin a sign-in, and return how the provider would answer a cancel."""
        begun = person.get(self.url + path)
        state = begun.headers["Location"].split("state=")[1].split("&")[0]
        return f"/auth/callback?error=access_denied&state={state}"


def told(keys: list[str]) -> Golden:
    """Run the story, and return what it left."""
    with Emulator() as entra, tempfile.TemporaryDirectory() as folder:
        os.environ["SSL_CERT_FILE"] = os.environ["REQUESTS_CA_BUNDLE"] = entra.ca_file
        config = {
            **entra.config(),
            "SECRET_KEY": "golden " * 8,
            "MSAL_ENCRYPTION_KEYS": keys,
            "GOLDEN_MAIL": entra.scope("Mail.Read"),
        }
        app = app_of(config, folder)
        with entra.serve(app) as url:
            story = _Story(entra, app, url)
            cookies = story.tell()
        document = f"{config['MSAL_AUTHORITY']}/v2.0/.well-known/openid-configuration"
        metadata = requests.get(document, verify=entra.ca_file, timeout=60).json()
        entries = {
            key: base64.b64encode(data).decode()
            for key, (data, end) in story.store.kept.items()
            if end > time.time()
        }
    config["MSAL_VERIFY"] = True
    more = cookies, story.urls, metadata, others(keys)
    return Golden(time.time(), url, config, entries, *more)


def others(keys: list[str]) -> list[tuple[dict[str, str], list[t.Any]]]:
    """Return an entry of each kind that no session has, beside its members."""
    codec, token = Codec(keys), Token("secret", "Bearer", "Files.Read", 3600, 1800)
    values = [
        *(_Probe("x"), _LongAnswer({"code": "c", "state": "s"})),
        _Exchanged("exchanged-key", [token]),
        _Pauses({"POST x": (429, "", {"retry-after": "3"}, 13, 10)}),
        _Pause(13.5, 429, "throttled", "graph.microsoft.com"),
    ]
    return [(dict(codec.encode(one)), msgspec.to_builtins(one)) for one in values]


def main(name: str) -> None:
    """Write the file of a version."""
    stories = {"plain": told([]), "encrypted": told([Fernet.generate_key().decode()])}
    text = json.dumps(
        {kind: dataclasses.asdict(story) for kind, story in stories.items()}, indent=1
    )
    FOLDER.mkdir(exist_ok=True)
    (FOLDER / f"{name}.json").write_text(text + "\n", "utf-8")


if __name__ == "__main__":
    main(sys.argv[1])
