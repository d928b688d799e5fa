"""Back-channel logout by another implementation: oidc-provider, which npm installs."""

from __future__ import annotations

import collections.abc as cabc
import contextlib
import os
import re
import shutil
import subprocess
import typing as t
import urllib.parse
from pathlib import Path

import pytest
import requests
from flask import Flask

from flask_msal_errors import MsalAuth
from flask_msal_errors.diagnostics import offers
from flask_msal_errors.testing import Person
from flask_msal_errors.testing.kit.certificates import ServerFiles
from flask_msal_errors.testing.kit.certificates import write_server_files
from flask_msal_errors.testing.kit.server import Server
from providers.serving import CLIENT
from providers.serving import SECRET
from support import provision

pytestmark = pytest.mark.xdist_group("oidc_provider")
_PACKAGE = "oidc-provider@9"
_PROGRAM = Path(__file__).with_name("oidc_provider.mjs")


class Site:
    """An app whose provider is a process of node."""

    def __init__(self, files: ServerFiles, process: subprocess.Popen[str]) -> None:
        self.ca, self._process = str(files.ca), process
        self.issuer = self.line()
        self.app = Flask("site", instance_path=str(files.ca.parent / "instance"))
        self.app.config.update(
            SECRET_KEY="site " * 8,
            MSAL_CLIENT_ID=CLIENT,
            MSAL_CLIENT_CREDENTIAL=SECRET,
            MSAL_OIDC_AUTHORITY=self.issuer,
            MSAL_VERIFY=self.ca,
        )
        self.auth = MsalAuth(self.app)
        self.app.add_url_rule("/", "home", lambda: str(len(self.auth.sessions())))
        me = self.auth.login_required(lambda: "me")
        self.app.add_url_rule("/me", "me", me)
        self.server = Server(self.app, 0)
        self.url = f"http://localhost:{self.server.port}"

    def line(self) -> str:
        """The next line that the provider prints."""
        assert self._process.stdout is not None
        return self._process.stdout.readline().strip()

    def begin(self) -> None:
        """Tell the provider where the app is."""
        assert self._process.stdin is not None
        print(self.url, file=self._process.stdin, flush=True)
        assert self.line() == "ready"

    def sign_in(self) -> Person:
        """Return a browser whose person signed in, by the provider's own pages."""
        browser = Person("https://nowhere.test", self.ca)
        page = browser.visit(self.url + "/me")
        while page.url.startswith(self.issuer):
            known = {"login": "ada", "password": "any"} if "login" in page.text else {}
            page = browser.submit(page, **known)
        assert page.text == "me"
        return browser

    def leave(self, browser: Person, page: requests.Response) -> None:
        """Press the button of the provider's sign-out page, which is in no form."""
        found = re.search(r'action="([^"]+)".*?name="xsrf" value="([^"]+)"', page.text)
        assert found is not None, page.text
        form = {"xsrf": found[2], "logout": "yes"}
        browser.visit(urllib.parse.urljoin(page.url, found[1]), form)


def installed(folder: Path) -> Path:
    """Return the folder with the provider, which the first one installs."""
    import fcntl

    home = folder / "oidc_provider"
    home.mkdir(exist_ok=True)
    with (home / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not (home / "installed").exists():
            provision.npm_install(home, _PACKAGE)
            (home / "installed").touch()
    # Node finds packages beside the program that imports them.
    shutil.copy(_PROGRAM, home)
    return home


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> cabc.Iterator[Site]:
    base = tmp_path_factory.getbasetemp()
    common = base.parent if "PYTEST_XDIST_WORKER" in os.environ else base
    home = installed(Path(os.environ.get("TOX_ENV_DIR") or common))
    files = write_server_files(tmp_path_factory.mktemp("oidc_provider"))
    program = [provision.find("node"), str(home / _PROGRAM.name)]
    with (files.ca.parent / "log").open("w") as log, contextlib.ExitStack() as stack:
        process = subprocess.Popen(
            [*program, str(files.certificate), str(files.key)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=log,
            text=True,
        )
        stack.enter_context(process)
        stack.callback(process.kill)
        made = Site(files, process)
        made.server.start()
        stack.callback(made.server.stop)
        made.begin()
        yield made


def test_signs_out_here(site: Site) -> None:
    """Its real token ends the session that it names, and no other of the person."""
    here, there = site.sign_in(), site.sign_in()
    assert here.get(site.url).text == "2"
    site.leave(here, here.get(f"{site.issuer}/session/end"))
    assert site.line() == "backchannel.success"
    assert here.get(site.url).text == "0"
    assert there.get(site.url).text == "1"


def test_own_sign_out(site: Site) -> None:
    """A sign-out that begins in the app goes there, and its token finds nothing."""
    browser = site.sign_in()
    page = browser.get(site.url + "/auth/logout")
    token = re.search(r'name="token" value="([^"]+)"', page.text)
    assert token is not None
    shown = browser.visit(site.url + "/auth/logout", {"token": token[1]})
    site.leave(browser, shown)
    assert site.line() == "backchannel.success"
    assert browser.get(site.url).text == "0"


def test_check(site: Site) -> None:
    """The check finds what its metadata promise."""
    with site.app.app_context():
        state: t.Any = site.app.extensions["flask_msal_errors"]
        found = offers.logout_elsewhere(
            state.client.provider.connection(), state.settings
        )
    assert found is not None and "all sessions" not in found.text
