"""The documentation: its code, its tables, and what it says of the package's tests."""

from __future__ import annotations

import collections.abc as cabc
import contextlib
import importlib
import inspect
import re
import subprocess
import sys
import textwrap
import types
import typing as t
from http.cookies import SimpleCookie
from importlib.metadata import metadata
from importlib.metadata import requires
from pathlib import Path

import certifi
import pytest
import requests
from cachelib import FileSystemCache
from cachelib import SimpleCache
from flask import Flask
from packaging.requirements import Requirement

from flask_msal_errors import MsalAuth
from flask_msal_errors import errors
from flask_msal_errors.api import ApiAuth
from flask_msal_errors.testing import Emulator
from flask_msal_errors.testing import Person
from flask_msal_errors.testing.declaration import SWITCHES
from support.doc_examples import BLOCK
from support.live_app import LiveApp
from support.live_app import Start
from support.waiting import PATIENCE

ROOT = Path(__file__).parents[2]
DOCS = ROOT / "docs"


def text_of(name: str) -> str:
    return (DOCS / name).read_text("utf-8")


def named(path: Path) -> str:
    return path.relative_to(DOCS).as_posix()


class TestInstall:
    def test_extras(self) -> None:
        """The page names each extra of the package, and no other."""
        rows = re.findall(r"^``(\w+)`` +\S", text_of("install.rst"), re.M)
        extras = metadata("flask-msal-errors").get_all("Provides-Extra")
        assert sorted(rows) == sorted(extras or ())

    def test_versions(self) -> None:
        """It names the lowest versions that pip takes."""
        words = " ".join(text_of("install.rst").split())
        wanted = map(Requirement, requires("flask-msal-errors") or ())
        lowest = {each.name: str(each.specifier)[2:] for each in wanted}
        said = "Flask {flask}, Flask-Session {flask-session} and MSAL {msal} are"
        assert said.format_map(lowest) in words
        python = metadata("flask-msal-errors")["Requires-Python"]
        assert f"Python {python[2:]} to 3." in words


class TestNames:
    def test_no_key_by_hand(self) -> None:
        """The reference of keys is written by a directive, and by nothing else."""
        text = text_of("configuration.rst")
        assert ".. msal-keys::" in text
        assert ".. setting::" not in text


def create_app(config: dict[str, t.Any], folder: Path) -> Flask:
    """Make the sample's app: its page /mail calls the Graph at GRAPH_URL."""
    app = Flask("live", instance_path=str(folder))
    app.config.update(config)
    auth = MsalAuth(app)

    @app.get("/mail")
    @auth.login_required
    def mail() -> t.Any:
        with auth.requests_session(["Mail.Read"]) as graph:
            reply = graph.get(app.config["GRAPH_URL"] + "/me/messages")
        reply.raise_for_status()
        return reply.json()

    return app


def create_api(config: dict[str, t.Any]) -> Flask:
    """Make the API of the guide's samples."""
    app, api = Flask("api"), ApiAuth()
    app.config.update({"SESSION_TYPE": "cachelib", **config})
    app.config.setdefault("SESSION_CACHELIB", SimpleCache())
    api.init_app(app)

    @app.get("/payroll")
    @api.token_required(scopes=["Payroll.Read"], roles=["Accountant"])
    def payroll() -> dict[str, str]:
        return {"salaries": "of all"}

    @app.get("/profile")
    @api.token_required(scopes=["access_as_user"])
    def profile() -> t.Any:
        with api.requests_session(["User.Read"]) as graph:
            reply = graph.get(app.config["GRAPH_URL"] + "/me")
        reply.raise_for_status()
        return reply.json()

    return app


class TestTestKit:
    def test_sample(
        self, entra: Emulator, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """The sample test passes against an app that calls an API."""
        app = types.ModuleType("yourapp")
        monkeypatch.setitem(sys.modules, "yourapp", app)
        monkeypatch.setattr(
            app, "create_app", lambda config: create_app(config, tmp_path), False
        )
        block, _ = BLOCK.findall(text_of("testing.rst"))
        names: dict[str, t.Any] = {"__name__": "docs"}
        exec(compile(textwrap.dedent(block[1]), "testing.rst", "exec"), names)
        urls = names["url"].__wrapped__(entra, monkeypatch)
        names["test_revoked_session"](entra, next(urls))
        urls.close()

    def test_registrations(self, entra: Emulator) -> None:
        """The sample of several registrations runs, and names apps that exist."""
        _, block = BLOCK.findall(text_of("testing.rst"))
        names: dict[str, t.Any] = {"entra": entra}
        exec(compile(textwrap.dedent(block[1]), "testing.rst", "exec"), names)
        known = {one.client_id for one in entra.registrations.values()}
        for config in (names["api_config"], names["web_config"]):
            assert config["MSAL_CLIENT_ID"] in known

    def test_api(self, entra_in_process: Emulator, tmp_path: Path) -> None:
        """The samples of the API guide pass: an API alone, and one that calls Graph."""
        alone, behind = BLOCK.findall(text_of("guides/api.rst"))
        names: dict[str, t.Any] = {
            "pytest": pytest,
            "create_app": create_api,
            "FileSystemCache": FileSystemCache,
        }
        for block in (alone, behind):
            exec(compile(textwrap.dedent(block[1]), "api.rst", "exec"), names)
        app = create_api(entra_in_process.config_for("app"))
        names["test_payroll"](entra_in_process, app.test_client())
        client = names["client"].__wrapped__(entra_in_process, tmp_path)
        names["test_mfa"](entra_in_process, client)

    def test_switches(self, monkeypatch: pytest.MonkeyPatch) -> None:
        """The page has every switch, with its meaning, fields and values."""
        monkeypatch.syspath_prepend(DOCS / "_ext")
        written = importlib.import_module("switches").written().replace("\\", "")
        assert ".. msal-switches::" in text_of("testing.rst")
        for name, switch in SWITCHES.items():
            assert f"* - ``{name}``\n" in written and hasattr(Emulator, name)
            assert switch.sentence in written
            for field in switch.fields:
                assert f"``{field.name}``: {field.values.words}" in written


def classes() -> set[str]:
    """The classes of the tree of errors."""
    return {
        name
        for name, kind in vars(errors).items()
        if inspect.isclass(kind) and issubclass(kind, errors.MsalAuthError)
    }


class TestErrors:
    def test_remedies(self) -> None:
        """The developer is told about every class, once."""
        told = re.findall(r"^([A-Z]\w+)\n    \w", text_of("errors.rst"), re.M)
        assert sorted(told) == sorted(classes())

    def test_attributes(self) -> None:
        """The attributes of every class are shown."""
        shown = re.findall(r"autoexception:: (\w+)", text_of("errors.rst"))
        assert sorted(shown) == sorted(classes())

    def test_tree(self) -> None:
        """The tree is the one of the module's own docstring."""
        drawn = re.findall(r"[├└]── (\w+)", text_of("errors.rst"))
        assert drawn == re.findall(r"[├└]── (\w+)", str(errors.__doc__))
        assert {"MsalAuthError", *drawn} == classes()


class TestSecurity:
    def test_witnesses(self) -> None:
        """Every threat names a test as its witness."""
        threats = text_of("security.rst").partition("Headers of our")[0].split("~\n\n")
        assert len(threats) > 15
        assert all("``tests/" in threat for threat in threats[1:])

    def test_cookies(self, start: Start, entra: Emulator) -> None:
        """The table has the cookies that apps set, with their flags and lifetimes."""
        told = cookie_rows(text_of("security.rst"))
        seen: dict[str, t.Any] = {}
        live = start(lambda made: watch(made, seen), tls=True)
        person = entra.person()
        asks = {"Accept": "application/json"}
        requests.get(
            live.url + "/me", headers=asks, verify=entra.ca_file, timeout=PATIENCE
        )
        person.visit(live.url + "/me")
        entra.revoke("ada")
        person.visit(live.url + "/profile")
        entra.throttle(30)
        entra.person().visit(live.url + "/me")
        moving = start(
            lambda made: watch(made, seen),
            tls=True,
            MSAL_REDIRECT_URI="https://127.0.0.1/auth/callback",
        )
        entra.person().get(moving.url + "/me")
        app_state = live.app.extensions["flask_msal_errors"]
        app_state.client.provider.by_process = {}
        entra.unavailable(target="discovery")
        person = entra.person()
        person.submit(person.get(live.url + "/auth/logout"))
        assert {name: flags(name, seen[name]) for name in seen} == {
            name: row[:2] for name, row in told.items()
        }


def cookie_rows(text: str) -> dict[str, tuple[str, str]]:
    """By cookie: its flags, and the number its lifetime begins with, if it has one."""
    rows = re.findall(r"\* - ``(\S+)``\n +- (.*)\n +- (\d*)", text)
    return {name: (said, seconds) for name, said, seconds in rows}


def watch(live: LiveApp, seen: dict[str, t.Any]) -> None:
    """Note the attributes of each cookie that an app sets; the last ones count."""
    inner = live.app.wsgi_app

    def outer(environ: t.Any, start_response: t.Any) -> t.Any:
        def started(status: str, headers: t.Any, *rest: t.Any) -> t.Any:
            for name, value in headers:
                if name.lower() == "set-cookie":
                    note(value, seen)
            return start_response(status, headers, *rest)

        return inner(environ, started)

    live.app.wsgi_app = outer  # type: ignore[method-assign]


def note(header: str, seen: dict[str, t.Any]) -> None:
    for name, morsel in SimpleCookie(header).items():
        if morsel["max-age"] != "0":
            shown = re.sub("msal_[0-9a-f]{6}_", "msal_<app>_", name)
            seen[re.sub(r"(_flow_)\w+", r"\1…", shown)] = morsel


def flags(name: str, morsel: t.Any) -> tuple[str, str]:
    """A cookie's flags and lifetime, as the table has them."""
    said = ["HttpOnly"] * morsel["httponly"] + ["Secure"] * morsel["secure"]
    lifetime = "" if name.endswith("not_before") else morsel["max-age"]
    return ", ".join([*said, f"SameSite={morsel['samesite']}"]), lifetime


def shown_files(page: str) -> list[Path]:
    """The files that a page shows whole."""
    names = re.findall(r"literalinclude:: (\S+)\n(?!   :)", text_of(page))
    return [DOCS / name for name in names]


@pytest.mark.once
class TestQuickstart:
    def test_as_a_user_does(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """Its two files, pasted into a folder and run, greet, and survive a refusal."""
        monkeypatch.setenv("no_proxy", "localhost")
        for path in shown_files("quickstart.rst"):
            (tmp_path / path.name).write_bytes(path.read_bytes())
        assert "   python emulated.py\n" in text_of("quickstart.rst")
        with running("emulated.py", tmp_path) as process:
            assert process.stdout is not None
            url, panel = (process.stdout.readline().split()[-1] for _ in range(2))
            story(url, panel)
            _, log = process.communicate("\n", timeout=PATIENCE)
        assert process.returncode == 0
        told = text_of("quickstart.rst").partition(".. code-block:: text\n\n")[2]
        log = re.sub("correlation id [0-9a-f-]{36}", "correlation id …", log)
        assert log == textwrap.dedent(told.partition("\n\nThe app has")[0]) + "\n"


@contextlib.contextmanager
def running(script: str, folder: Path) -> cabc.Iterator[subprocess.Popen[str]]:
    """A script in a process of its own, which is gone in the end."""
    with subprocess.Popen(
        [sys.executable, script],
        cwd=folder,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    ) as process:
        try:
            yield process
        finally:
            process.kill()


def story(url: str, panel: str) -> None:
    """Sign in, revoke the session by the panel's button, and reload."""
    person = Person(panel.removesuffix("/panel"), certifi.where())
    assert "Hello Ada Lovelace" in person.visit(url).text
    assert "Revoke Ada’s sessions" in person.get(panel).text
    switch = {"do": "revoke", "user": "ada"}
    origin = {"Origin": panel.removesuffix("/panel")}
    reply = requests.post(panel, switch, headers=origin, timeout=PATIENCE)
    assert reply.ok
    assert "Hello Ada Lovelace" in person.visit(url).text
