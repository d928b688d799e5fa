"""The files of the guide *Run it in production*, with gunicorn, nginx and Redis."""

from __future__ import annotations

import collections.abc as cabc
import contextlib
import dataclasses
import json
import sys
import typing as t
from pathlib import Path

import pytest
import requests

from flask_msal_errors.testing import Emulator
from flask_msal_errors.testing import Person
from support import hosts
from support.cluster import LINUX
from support.cluster import Server
from support.doc_examples import EXAMPLES
from support.nginx import Nginx
from support.waiting import PATIENCE
from support.waiting import until

pytestmark = [pytest.mark.once, LINUX]


class Gunicorn(Server):
    """gunicorn as its file says, but for the port."""

    def __init__(self, folder: Path, environment: dict[str, str]) -> None:
        super().__init__(folder, "gunicorn")
        self._environment = environment
        self.listen()

    def start(self) -> None:
        file = EXAMPLES / "production" / "gunicorn.conf.py"
        command = [sys.executable, "-m", "gunicorn", "--config", str(file)]
        # No file of the checkout is written to.
        command += ["--pythonpath", str(EXAMPLES), "--chdir", str(self.folder)]
        command += ["--bind", f"fd://{self._inherited[0]}"]
        self._spawn(command, XDG_RUNTIME_DIR=str(self.folder), **self._environment)

    def _answers(self) -> bool:
        with contextlib.suppress(OSError):
            return requests.get(f"{self.url}/health/live", timeout=5).ok
        return False


@dataclasses.dataclass(frozen=True)
class Site:
    url: str
    app: Gunicorn
    entra: Emulator

    def person(self) -> Person:
        self.entra.redirect_uris = {f"{self.url}/auth/callback"}
        pages = self.entra.tenant.pages_url
        return Person(pages, self.entra.ca_file, http=hosts.session())

    def lines(self) -> list[dict[str, t.Any]]:
        found = self.app.log.read_text("utf-8").splitlines()
        return [json.loads(line) for line in found if line.startswith("{")]


@pytest.fixture
def site(
    entra: Emulator, tmp_path: Path, nginx_executable: str, redis_server: str
) -> cabc.Iterator[Site]:
    """The app behind nginx, at a path."""
    config = {"SECRET_KEY": "production " * 8, **entra.config()}
    environment = {f"FLASK_{k}": json.dumps(v) for k, v in config.items()}
    environment["REDIS_URL"] = redis_server
    file = EXAMPLES / "production" / "nginx.conf"
    locations = file.read_text("utf-8").replace("http://127.0.0.1:8000", "{app}")
    app = Gunicorn(tmp_path, environment)
    nginx = Nginx(tmp_path, nginx_executable, entra, locations)
    with contextlib.closing(app), contextlib.closing(nginx):
        app.start()
        nginx.serve(f"http://127.0.0.1:{app.port}")
        yield Site(f"https://shop.example:{nginx.port}/portal", app, entra)


def test_as_it_says(site: Site) -> None:
    """A visitor signs in below the path; health and metrics are not for them."""
    person = site.person()
    page = person.visit(f"{site.url}/")
    assert (page.text, page.url) == ("hello Ada Lovelace", f"{site.url}/")
    person.submit(person.get(f"{site.url}/auth/logout"))
    assert person.get(f"{site.url}/").status_code == 302
    until(lambda: [line for line in site.lines() if "msal_event" in line][2:])
    told = [line["msal_event"] for line in site.lines() if "msal_event" in line]
    assert told[:3] == ["sign_in_begun", "signed_in", "signed_out"]
    for path in ("/health/ready", "/metrics"):
        hidden = person.get(site.url + path)
        assert (hidden.status_code, "nginx" in hidden.text) == (404, True)
    answer = requests.get(f"{site.app.url}/health/ready", timeout=PATIENCE)
    assert (answer.text, answer.cookies.get_dict()) == ("ready", {})
