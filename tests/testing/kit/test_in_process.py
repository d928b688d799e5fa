"""The emulator without sockets: the same answers, for everybody who uses requests."""

from __future__ import annotations

import io
import socket
import typing as t
from pathlib import Path

import pytest
import requests
from flask import Flask
from werkzeug.test import Client

from flask_msal_errors import MsalAuth
from flask_msal_errors.testing import Emulator
from flask_msal_errors.testing.kit.in_process import InProcess
from support.waiting import PATIENCE


@pytest.fixture
def no_sockets(monkeypatch: pytest.MonkeyPatch) -> None:
    """Any connection fails the test."""

    def refuse(*_: object) -> t.Any:
        pytest.fail("something used a socket")

    monkeypatch.setattr(socket.socket, "connect", refuse)


class TestInProcess:
    @pytest.mark.usefixtures("no_sockets")
    def test_whole_story(self, entra_in_process: Emulator, tmp_path: Path) -> None:
        """Sign-in, API calls, a refusal and the way back take no socket."""
        entra = entra_in_process
        app = Flask("story", instance_path=str(tmp_path))
        app.config.update(SECRET_KEY="story", **entra.config())
        auth = MsalAuth(app)
        scopes = [entra.scope("Mail.Read")]

        @app.get("/mail")
        @auth.login_required
        def mail() -> t.Any:
            with auth.requests_session(scopes) as api:
                reply = api.get(f"{entra.api_url}/mail")
            reply.raise_for_status()
            return reply.json()

        client = app.test_client()
        entra.sign_in(client, scopes=scopes)
        assert len(client.get("/mail").get_json()["value"]) == 3
        entra.change_ip("ada")
        assert client.get("/mail").status_code == 200
        entra.revoke("ada")
        assert client.get("/mail").status_code == 401
        assert entra.visit(client, "/mail").status_code == 200
        assert entra.counters["api.401"] == 2

    @pytest.mark.usefixtures("no_sockets")
    def test_any_name(self, entra_in_process: Emulator, tmp_path: Path) -> None:
        """An app that goes by a name of the internet is signed in to here."""
        app = Flask("named", instance_path=str(tmp_path))
        config = entra_in_process.config(SERVER_NAME="app.example")
        app.config.update(SECRET_KEY="named", **config)
        MsalAuth(app)
        entra_in_process.sign_in(app.test_client())

    @pytest.mark.parametrize("mode", ["sockets", "in process"])
    def test_same_answers(
        self, entra: Emulator, mode: str, request: pytest.FixtureRequest
    ) -> None:
        """Both ways give the same answer to any request and method."""
        if mode == "in process":
            request.getfixturevalue("entra_in_process")
        url, verify = entra.api_url, entra.ca_file
        entra.fail_next(lambda r: {"said": r.get_data(as_text=True)}, times=4)
        token = f"{entra.authority}/oauth2/v2.0/token"
        bodies: list[t.Any] = ["täxt", b"bytes", io.BytesIO(b"file"), {"a": "b c"}]
        texts = [
            requests.post(token, body, verify=verify, timeout=PATIENCE).json()["said"]
            for body in bodies
        ]
        assert texts == ["täxt", "bytes", "file", "a=b+c"]
        reply = requests.get(f"{url}/me?x=%20", verify=verify, timeout=PATIENCE)
        assert (reply.status_code, reply.reason) == (401, "UNAUTHORIZED")
        assert reply.url == f"{url}/me?x=%20"
        assert "Bearer" in reply.headers["www-authenticate"]
        assert [c.path for c in entra.calls if c.kind == "api"] == ["/api/me"]
        head = requests.head(entra.panel_url, timeout=PATIENCE)
        assert (head.status_code, head.text) == (200, "")

    def test_other_hosts(self, entra_in_process: Emulator) -> None:
        """Other hosts are asked as ever, and the emulator afterwards, too."""
        with entra_in_process.serve(Flask("other")) as url:
            assert requests.get(url, timeout=PATIENCE).status_code == 404

    def test_ends(self, entra: Emulator) -> None:
        """Out of the with statement a certificate is checked again."""
        url = f"{entra.api_url}/me"
        with entra.in_process():
            assert requests.get(url, timeout=PATIENCE).status_code == 401
        with pytest.raises(requests.exceptions.SSLError):
            requests.get(url, timeout=PATIENCE)

    @pytest.mark.parametrize("timeout", [0.05, (9, 0.05)])
    def test_timeouts(self, entra_in_process: Emulator, timeout: t.Any) -> None:
        """An answer that comes too late is a timeout."""
        entra_in_process.slow(0.2, "discovery")
        url = f"{entra_in_process.authority}/v2.0/.well-known/openid-configuration"
        with pytest.raises(requests.ReadTimeout):
            requests.get(url, timeout=timeout)
        assert requests.get(url, timeout=(0.05, 60)).ok
        assert requests.get(url, timeout=None).ok

    @pytest.mark.parametrize(
        ("url", "seen"),
        [
            ("http://app/root/a%20b?c=%C3%A9", "/root /a b c=%C3%A9"),
            ("http://app/root", "/root / "),
            ("http://app/rootless", "/root /rootless "),
        ],
    )
    def test_paths(self, url: str, seen: str) -> None:
        """Below its root an application gets the rest of the path."""

        def app(environ: dict[str, t.Any], start: t.Any) -> list[bytes]:
            start("200 OK", [])
            names = ("SCRIPT_NAME", "PATH_INFO", "QUERY_STRING")
            return [" ".join(environ[name] for name in names).encode()]

        with requests.Session() as session:
            session.mount("http://app", InProcess(Client(app), "/root"))
            assert session.get(url).text == seen
