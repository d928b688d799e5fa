"""Bodies of requests: read before the app for a signed-in user, within its limit."""

from __future__ import annotations

import collections.abc as cabc
import contextlib
import io
import socket
import typing as t
import urllib.parse

import pytest
from flask import Flask
from flask import Response
from flask import request

from flask_msal_errors.testing import Emulator
from support.callers import others as others
from support.live_app import LiveApp
from support.live_app import Start
from support.waiting import PATIENCE

pytestmark = pytest.mark.once

KINDS = {
    "form": "application/x-www-form-urlencoded",
    "files": "multipart/form-data; boundary=x",
}
TICKET = b"_msal_resume=x.y.z"


def answer_to(url: str, path: str, length: int, **headers: str) -> int:
    """The status that a POST gets whose body does not come."""
    parts = urllib.parse.urlsplit(url)
    lines = [
        f"POST {path} HTTP/1.1",
        f"Host: {parts.netloc}",
        f"Content-Length: {length}",
        *(f"{name.replace('_', '-')}: {value}" for name, value in headers.items()),
    ]
    where = (parts.hostname or "", parts.port or 0)
    with contextlib.closing(socket.create_connection(where, PATIENCE)) as peer:
        peer.sendall("\r\n".join([*lines, "", ""]).encode())
        return int(peer.recv(4096).split()[1])


Serve = cabc.Callable[..., tuple[LiveApp, str]]


@pytest.fixture
def serve(start: Start, others: cabc.Callable[[t.Any], str]) -> Serve:
    """Serve an app as production servers do: the body is the app's to read."""

    def add(live: LiveApp) -> None:
        @live.app.before_request
        def gate() -> Response | None:
            closed = request.path in ("/closed", "/form")
            if closed and "X-Pass" not in request.headers:
                return Response("not you", 403)
            return None

        @live.app.post("/closed")
        def closed() -> str:
            return "never"

        @live.app.post("/desk")
        @live.auth.login_required(acrs="c1")
        def desk() -> str:
            return request.form["a"]

        @live.app.post("/open")
        def open_to_all() -> bytes | str:
            return request.get_data() if "raw" in request.args else request.form["a"]

    def serve(**config: t.Any) -> tuple[LiveApp, str]:
        live = start(add, **config)
        return live, others(live.app).replace("127.0.0.1", "localhost")

    return serve


class TestBodies:
    """T17: a body is read for a session of ours only, and within the app's limit."""

    @pytest.mark.parametrize("kind", KINDS)
    @pytest.mark.parametrize("who", ["nobody", "a visitor", "a made-up id"])
    def test_stranger(self, serve: Serve, entra: Emulator, kind: str, who: str) -> None:
        """The app's own gate answers a stranger before a byte of the body came."""
        _, url = serve()
        cookie = "session=abc" if who == "a made-up id" else ""
        if who == "a visitor":
            person = entra.person()
            person.get(url + "/basket/apple")
            cookie = f"session={person.cookies.get(url, 'session')}"
        more = {"Cookie": cookie} if cookie else {}
        for path in ("/closed", "/form"):
            assert answer_to(url, path, 100, Content_Type=KINDS[kind], **more) == 403

    @pytest.mark.parametrize("kind", KINDS)
    def test_past_the_limit(self, serve: Serve, entra: Emulator, kind: str) -> None:
        """Nor is more read than the app's MAX_CONTENT_LENGTH of anybody's body."""
        live, url = serve(MAX_CONTENT_LENGTH=1000)
        person = entra.person()
        person.visit(live.url + "/me")
        cookie = f"session={person.cookies.get(url, 'session')}"
        headers = {"Cookie": cookie, "Content_Type": KINDS[kind]}
        assert answer_to(url, "/closed", 1001, **headers) in (403, 413)

    def test_own_form(self, serve: Serve, entra: Emulator) -> None:
        """A signed-in user's form within the limit is kept and resumed, as ever."""
        live, _ = serve(MAX_CONTENT_LENGTH=1000)
        person = entra.person()
        person.visit(live.url + "/me")
        assert person.visit(live.url + "/desk", {"a": "kept"}).text == "kept"

    def test_form_past_the_limit(self, serve: Serve, entra: Emulator) -> None:
        """A form that the app would not take is not kept, and the page says why."""
        live, _ = serve(MAX_CONTENT_LENGTH=1000)
        person = entra.person()
        person.visit(live.url + "/me")
        page = person.post(live.url + "/desk", {"a": "x" * 1000})
        assert page.status_code == 401
        assert "larger than 1000 bytes" in page.text

    @pytest.mark.parametrize("kind", [*KINDS.values(), "text/plain", "x", ""])
    def test_whole_for_the_app(self, serve: Serve, entra: Emulator, kind: str) -> None:
        """A stranger's body reaches the app as it was sent, also in pieces."""
        live, url = serve()
        for body in (b"", b"a", b"a=b&_msal_resume=1", b"_msal_", b"\0" * 9000):
            sent = entra.person().post(
                url + "/open?raw=1", body, headers={"Content-Type": kind}
            )
            assert (sent.status_code, sent.content) == (200, body)
        assert entra.person().post(live.url + "/open", {"a": "é&="}).text == "é&="


class Slow(io.BytesIO):
    """A body that comes byte by byte."""

    def readinto(self, buffer: t.Any) -> int:
        byte = self.read(1)
        buffer[: len(byte)] = byte
        return len(byte)


class TestTickets:
    """A ticket of nobody's is found by whoever reads it."""

    @pytest.fixture
    def app(self, start: Start) -> Flask:
        return start(self._add).app

    def _add(self, live: LiveApp) -> None:
        @live.app.post("/open")
        def open_to_all() -> str:
            return f"carried out {request.form.to_dict()}"

        @live.app.post("/pieces")
        def pieces() -> str:
            return f"carried out {list(iter(lambda: request.stream.read(5), b''))}"

        @live.app.post("/caught")
        @live.auth.catch_challenges
        def caught() -> str:
            return f"carried out {request.get_data()!r}"

    @pytest.mark.parametrize("terminated", [False, True])
    @pytest.mark.parametrize("path", ["/open", "/pieces", "/caught"])
    @pytest.mark.parametrize("stream", [io.BytesIO, Slow])
    def test_nobody(
        self, app: Flask, path: str, stream: type[io.BytesIO], terminated: bool
    ) -> None:
        """Without a session it is no field of a form, however it is read."""
        answer = app.test_client().post(
            path,
            input_stream=stream(TICKET),
            content_length=len(TICKET),
            content_type=KINDS["form"],
            environ_overrides={"wsgi.input_terminated": True} if terminated else {},
        )
        assert answer.status_code == 410
        assert "Nobody is signed in" in answer.text


class Endless(io.RawIOBase):
    """A body without an end, and how much of it was read."""

    taken = 0

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: t.Any) -> int:
        buffer[:] = b"x" * len(buffer)
        self.taken += len(buffer)
        return len(buffer)


class TestOwnRoutes:
    """Routes of ours that anybody may post to."""

    @pytest.mark.parametrize("path", ["/auth/callback", "/auth/logout", "/auth/x"])
    @pytest.mark.parametrize("kind", KINDS)
    def test_long(self, serve: Serve, path: str, kind: str) -> None:
        """A long body is refused before it comes."""
        _, url = serve(MSAL_RESPONSE_MODE="form_post")
        status = answer_to(url, path, 10_000_000, Content_Type=KINDS[kind])
        assert status == (404 if path == "/auth/x" else 413)

    @pytest.mark.parametrize("kind", KINDS)
    def test_without_length(self, serve: Serve, kind: str) -> None:
        """Of a body of unknown length so much is read as an answer can have."""
        live, _ = serve(MSAL_RESPONSE_MODE="form_post")
        body = Endless()
        environ = {
            "wsgi.input": body,
            "wsgi.input_terminated": True,
            "HTTP_TRANSFER_ENCODING": "chunked",
        }
        answer = live.app.test_client().post(
            "/auth/callback", content_type=KINDS[kind], environ_overrides=environ
        )
        assert answer.status_code in (400, 413)
        assert body.taken <= 256 * 1024
