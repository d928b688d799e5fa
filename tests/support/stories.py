"""Requests of an app, traced: which functions of the package each of them enters.

``python tests/support/stories.py`` prints them module by module; the names of stories,
such as ``refusal``, narrow it to these.
"""

from __future__ import annotations

import collections.abc as cabc
import sys
import tempfile
import types
import typing as t
from pathlib import Path

from flask import Flask
from flask.testing import FlaskClient

import flask_msal_errors
from flask_msal_errors import MsalAuth
from flask_msal_errors.testing import Emulator

_PACKAGE = f"{Path(flask_msal_errors.__file__).parent}/"
#: Headers that a browser sends with the form of a page.
_FORM = {"Origin": "http://localhost", "Sec-Fetch-Mode": "navigate"}


class Trace:
    """The functions of the package that this thread enters within a ``with``.

    A function counts once, by its module and name. Lambdas and comprehensions, which
    later versions of Python inline, do not count; nor does the emulator.
    """

    def __init__(self) -> None:
        self.functions: dict[str, dict[str, int]] = {}
        """Of each module, in the order of entry: functions, and how often."""
        self.claims: list[str] = []
        """The functions that had JSON text of claims parsed."""

    def __enter__(self) -> Trace:
        self._before = sys.getprofile()
        sys.setprofile(self._note)
        return self

    def __exit__(self, *_: object) -> None:
        sys.setprofile(self._before)

    @property
    def modules(self) -> list[str]:
        return list(self.functions)

    @property
    def packages(self) -> set[str]:
        """The folders of these modules; what is at the top is in none."""
        names = [name for name in self.functions if name.endswith(".py")]
        return {name.rpartition("/")[0] for name in names if "/" in name}

    @property
    def count(self) -> int:
        return sum(map(len, self.functions.values()))

    def _note(self, frame: types.FrameType, event: str, _: object) -> None:
        if event != "call":
            return
        code = frame.f_code
        if code.co_name == "raw_decode" and _is_claims(frame.f_locals.get("s")):
            self.claims += _callers(frame)
        elif _is_ours(code) and not code.co_name.startswith("<"):
            module = code.co_filename.removeprefix(_PACKAGE)
            names = self.functions.setdefault(module, {})
            names[code.co_name] = names.get(code.co_name, 0) + 1

    def __str__(self) -> str:
        lines = [
            f"  {module}: " + ", ".join(f"{name} {n}" for name, n in names.items())
            for module, names in self.functions.items()
        ]
        lines.append(f"  claims are parsed in: {', '.join(self.claims) or 'none'}")
        figures = f"{len(self.packages)} packages, {len(self.modules)} modules"
        return "\n".join([f"{figures}, {self.count} functions", *lines])


def _is_ours(code: types.CodeType) -> bool:
    name = code.co_filename
    return name.startswith(_PACKAGE) and not name.startswith(f"{_PACKAGE}testing/")


def _is_claims(text: object) -> bool:
    return isinstance(text, str) and text.lstrip().startswith('{"access_token":{')


def _callers(frame: types.FrameType | None) -> list[str]:
    """The function that called the json module, if it is one of ours."""
    while frame is not None and frame.f_globals["__name__"].startswith("json"):
        frame = frame.f_back
    return [frame.f_code.co_name] if frame and _is_ours(frame.f_code) else []


class Stage:
    """An app on the emulator, and browsers that open its pages in this thread."""

    def __init__(self, entra: Emulator, folder: str) -> None:
        self.entra = entra
        self.scopes = [entra.scope("Payroll.Read")]
        self.app = Flask("stories", instance_path=folder)
        config = entra.config(MSAL_SCOPES=self.scopes)
        self.app.config.update(SECRET_KEY="stories " * 8, **config)
        self._add_views(MsalAuth(self.app))

    def _add_views(self, auth: MsalAuth) -> None:
        app, api = self.app, f"{self.entra.api_url}/payroll"

        @app.get("/page")
        @auth.login_required
        def page() -> str:
            return "page"

        @app.get("/token")
        @auth.login_required
        def token() -> str:
            return str(auth.acquire_token(self.scopes)["token_source"])

        @app.get("/renewal")
        def renewal() -> str:
            result = auth.acquire_token(self.scopes, force_refresh=True)
            return str(result["token_source"])

        @app.get("/payroll")
        @auth.catch_challenges
        def payroll() -> t.Any:
            with auth.requests_session(self.scopes) as session:
                session.verify = self.entra.ca_file
                reply = session.get(api)
            reply.raise_for_status()
            return reply.json()

        @app.post("/form")
        @auth.login_required(acrs="c1")
        def form() -> str:
            return "form"

    def visitor(self) -> FlaskClient:
        """A browser without a session."""
        browser = self.app.test_client()
        browser.environ_base["HTTP_ACCEPT"] = "text/html"
        return browser

    def user(self) -> FlaskClient:
        """A browser whose user is signed in."""
        browser = self.visitor()
        browser.get("/auth/callback", query_string=self.answer(browser))
        assert browser.get("/page").text == "page"
        return browser

    def answer(self, browser: FlaskClient) -> dict[str, str]:
        """Entra's answer to the sign-in that a page sends a visitor to."""
        sign_in = browser.get("/page").headers["Location"]
        return self.entra.person("ada").authorize(sign_in).params


def page(stage: Stage) -> Trace:
    """A page for signed-in users."""
    browser = stage.user()
    with Trace() as trace:
        answer = browser.get("/page")
    assert answer.text == "page"
    return trace


def cached_token(stage: Stage) -> Trace:
    """A view that gets a token which is kept."""
    browser = stage.user()
    with Trace() as trace:
        answer = browser.get("/token")
    assert answer.text == "cache"
    return trace


def refresh(stage: Stage) -> Trace:
    """A view that has its token renewed."""
    browser = stage.user()
    with Trace() as trace:
        answer = browser.get("/renewal")
    assert answer.text == "identity_provider"
    return trace


def refusal(stage: Stage) -> Trace:
    """A call that the API refuses with claims, until the redirect to Entra."""
    browser = stage.user()
    with Trace() as trace:
        answer = browser.get("/payroll")
    assert "/oauth2/v2.0/authorize?" in answer.location, answer.text
    return trace


def callback(stage: Stage) -> Trace:
    """A first sign-in's answer, until its tokens are kept."""
    browser = stage.visitor()
    params = stage.answer(browser)
    with Trace() as trace:
        answer = browser.get("/auth/callback", query_string=params)
    assert answer.location == "/page"
    return trace


def form(stage: Stage) -> Trace:
    """A form that needs more than its user proved, until the sign-in."""
    browser = stage.user()
    with Trace() as trace:
        answer = browser.post("/form", data={"name": "value"}, headers=_FORM)
    assert "/oauth2/v2.0/authorize?" in answer.headers["Refresh"]
    return trace


STORIES: dict[str, cabc.Callable[[Stage], Trace]] = {
    "page": page,
    "cached_token": cached_token,
    "refresh": refresh,
    "refusal": refusal,
    "callback": callback,
    "form": form,
}


def traced(name: str, entra: Emulator) -> Trace:
    """Return the trace of a story's third time, when all that is lazy is built.

    The second time is the first one that finds entries of an earlier sign-in.
    """
    with tempfile.TemporaryDirectory() as folder:
        stage = Stage(entra, folder)
        STORIES[name](stage)
        STORIES[name](stage)
        return STORIES[name](stage)


def main(names: cabc.Sequence[str]) -> None:
    with Emulator() as entra:
        for name in names or STORIES:
            entra.reset()
            print(f"{name}: {traced(name, entra)}\n")


if __name__ == "__main__":
    main(sys.argv[1:])
