"""The user's token on requests: bodies, redirects, sessions and their pool."""

from __future__ import annotations

import collections.abc as cabc
import io
import os
import socket
import typing as t

import certifi
import pytest
import requests
import urllib3.connection
from flask import Response

from flask_msal_errors import InteractionRequired
from flask_msal_errors.clients.requests import _shared_adapter
from flask_msal_errors.testing import Emulator
from support.callers import STALE
from support.callers import Caller
from support.callers import OtherApi
from support.callers import by_requests
from support.callers import caller as caller
from support.callers import others as others
from support.live_app import LiveApp
from support.waiting import PATIENCE

Call = cabc.Callable[[requests.Session], t.Any]


def run(caller: Caller, call: Call, **how: t.Any) -> requests.Response:
    """Return the user's answer from a view that does this with their session."""

    def work() -> t.Any:
        with caller.auth.requests_session(caller.scopes) as api:
            api.verify = caller.entra.ca_file
            return call(api)

    return caller.run(work, **how)


def get(caller: Caller, path: str) -> requests.Response:
    return caller.run(lambda: by_requests(caller, "GET", path))


def stream() -> cabc.Iterator[bytes]:
    yield b"streamed"


class Pipe(io.RawIOBase):
    """A file that cannot go back."""

    def __init__(self) -> None:
        self._left = [b"piped", b""]

    def readable(self) -> bool:
        return True

    def read(self, size: int = -1) -> bytes:
        return self._left.pop(0) if self._left else b""

    def __iter__(self) -> t.Any:
        return iter([b"piped"])


class ToldPipe(Pipe):
    """A file that knows where it is, and cannot go back."""

    def tell(self) -> int:
        return 0

    def seek(self, offset: int, whence: int = 0) -> int:
        raise io.UnsupportedOperation


class TestBodies:
    @pytest.mark.parametrize(
        ("body", "arrived"),
        [
            (lambda: {"data": {"a": "b"}}, {"form": {"a": "b"}}),
            (lambda: {"json": {"a": 1}}, {"json": {"a": 1}}),
            (lambda: {"data": "text"}, {"size": 4}),
            (lambda: {"data": b"bytes"}, {"size": 5}),
            (lambda: {"data": io.BytesIO(b"a file")}, {"size": 6}),
            (
                lambda: {"files": {"f": io.BytesIO(b"x" * 999)}, "data": {"a": "b"}},
                {"files": {"f": 999}, "form": {"a": "b"}},
            ),
            (lambda: {}, {"size": 0}),
        ],
        ids=["form", "json", "text", "bytes", "file", "multipart", "none"],
    )
    def test_sent_again(
        self,
        caller: Caller,
        entra: Emulator,
        body: cabc.Callable[[], dict[str, t.Any]],
        arrived: dict[str, t.Any],
    ) -> None:
        """The repeated call has the whole body once more."""
        entra.change_ip("ada")
        before = entra.counters.copy()

        def work(api: requests.Session) -> t.Any:
            return api.post(entra.api_url + "/echo?q=1", **body()).json()

        echoed = run(caller, work).json()
        assert entra.counters["api"] - before["api"] == 2
        assert echoed["method"] == "POST"
        assert echoed["query"] == {"q": "1"}
        for name, value in arrived.items():
            assert echoed[name] == value

    def test_from_where_the_file_stood(self, caller: Caller, entra: Emulator) -> None:
        """A file that was half read is repeated from there."""
        entra.change_ip("ada")

        def work(api: requests.Session) -> t.Any:
            file = io.BytesIO(b"read already, to send")
            file.seek(14)
            return api.post(entra.api_url + "/echo", data=file).json()

        assert run(caller, work).json()["size"] == 7

    @pytest.mark.parametrize("body", [stream, Pipe, ToldPipe])
    def test_stream_is_not_sent_again(
        self, caller: Caller, entra: Emulator, body: cabc.Callable[[], t.Any]
    ) -> None:
        """A body that cannot be rewound is not sent half; the view runs again."""
        entra.change_ip("ada")
        before = entra.counters.copy()

        def work(api: requests.Session) -> t.Any:
            return api.post(entra.api_url + "/echo", data=body()).json()

        answer = run(caller, work)
        assert answer.status_code == 302
        assert entra.counters["api"] - before["api"] == 1

    def test_stale_stream(self, caller: Caller, entra: Emulator) -> None:
        """Without claims, the 401 to a stream passes through: no user can help."""
        entra.fail_next(
            lambda request: Response("no", 401, {"WWW-Authenticate": STALE}), "api"
        )

        def work(api: requests.Session) -> t.Any:
            return api.post(entra.api_url + "/echo", data=stream()).text

        assert run(caller, work).text == "no"


class TestRedirects:
    def test_other_host_gets_no_token(
        self, caller: Caller, entra: Emulator, others: cabc.Callable[[t.Any], str]
    ) -> None:
        """A redirect to another host carries no token, and its 401 is not judged."""
        other = OtherApi()
        url = others(other)
        entra.fail_next(
            lambda request: Response("", 302, {"Location": url + "/x"}), "api"
        )
        before = entra.counters.copy()
        assert get(caller, "/me").text == "other"
        assert other.tokens == [""]
        assert entra.counters["token"] == before["token"]

    def test_same_host_after_a_challenge(self, caller: Caller, entra: Emulator) -> None:
        """A redirect after the repeated call is still answered for."""
        entra.change_ip("ada")
        entra.fail_next(lambda r: None, "api")
        to = entra.api_url + "/me"
        entra.fail_next(lambda r: Response("", 302, {"Location": to}), "api")
        before = entra.counters.copy()
        assert "ada@contoso.example" in get(caller, "/echo").text
        assert entra.counters["token"] - before["token"] == 1


class TestSession:
    def test_timeouts(self, caller: Caller, monkeypatch: pytest.MonkeyPatch) -> None:
        """A call has timeouts unless it brings its own."""
        used: list[t.Any] = []
        send = requests.Session.send

        def note(self: t.Any, prepared: t.Any, **kwargs: t.Any) -> t.Any:
            used.append(kwargs["timeout"])
            return send(self, prepared, **kwargs)

        monkeypatch.setattr(requests.Session, "send", note)

        def work(api: requests.Session) -> str:
            api.get(caller.entra.api_url + "/me")
            api.get(caller.entra.api_url + "/me", timeout=PATIENCE)
            return "done"

        assert run(caller, work).text == "done"
        assert [each for each in used if each != 30] == [(10.0, 60.0), PATIENCE]

    def test_repeat_keeps_the_calls_options(
        self, caller: Caller, entra: Emulator
    ) -> None:
        """The first answer is in the repeated one's history."""
        entra.change_ip("ada")

        def work(api: requests.Session) -> t.Any:
            reply = api.get(entra.api_url + "/me")
            return [reply.status_code, [each.status_code for each in reply.history]]

        assert run(caller, work).json() == [200, [401]]

    def test_own_ca_wins(self, caller: Caller, monkeypatch: pytest.MonkeyPatch) -> None:
        """``session.verify`` counts though REQUESTS_CA_BUNDLE is set."""
        monkeypatch.setenv("REQUESTS_CA_BUNDLE", certifi.where())
        assert get(caller, "/me").status_code == 200

    def test_environments_ca_counts(
        self, caller: Caller, entra: Emulator, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """Without a CA of its own the session takes the environment's."""
        monkeypatch.setenv("REQUESTS_CA_BUNDLE", entra.ca_file)

        def work(api: requests.Session) -> t.Any:
            api.verify = True
            return api.get(entra.api_url + "/me").json()

        assert run(caller, work).status_code == 200

    def test_nobody_signed_in(self, live: LiveApp) -> None:
        """A visitor's call is an InteractionRequired, before anything is sent."""
        with live.app.test_request_context("/"):
            with live.auth.requests_session(["Mail.Read"]) as api:
                with pytest.raises(InteractionRequired) as caught:
                    api.get("https://localhost:1/")
        assert caught.value.reason == "not_signed_in"
        assert caught.value.scopes == ("Mail.Read",)

    def test_sent_without_repeat_for_a_pause(
        self, caller: Caller, entra: Emulator
    ) -> None:
        """A 429 comes back at once with its Retry-After: no worker sleeps on it."""
        entra.throttle(3000, target="api")
        before = entra.counters.copy()
        answer = run(
            caller,
            lambda api: dict(api.get(entra.api_url + "/me").headers),
        )
        assert answer.json()["Retry-After"].isdecimal()
        assert entra.counters["api"] - before["api"] == 1


class TestPool:
    def test_one_connection_for_all_sessions(
        self, caller: Caller, entra: Emulator
    ) -> None:
        """Sessions of any user go by connections that are open already."""
        assert get(caller, "/me").status_code == 200
        before = entra.counters["tls"]
        for name in ("ada", "grace"):
            caller.person = entra.person(name)
            caller.work = lambda: by_requests(caller, "GET", "/me")
            answer = caller.person.visit(caller.live.url + "/work")
            assert f"{name}@contoso.example" in answer.text
        tokens = entra.counters["token"]
        assert tokens
        assert entra.counters["tls"] == before

    def test_nothing_else_is_shared(self, caller: Caller, entra: Emulator) -> None:
        """A cookie, a header and a token of one session are not in the next."""
        cookie = Response("", headers={"Set-Cookie": "secret=1; Path=/"})
        entra.fail_next(lambda request: cookie, "api")

        def work(api: requests.Session) -> t.Any:
            api.headers["X-Mine"] = "1"
            api.get(entra.api_url + "/me")
            return dict(api.cookies)

        assert run(caller, work).json() == {"secret": "1"}
        assert get(caller, "/me").status_code == 200
        sent = [call for call in entra.calls if call.kind == "api"][-1].headers
        assert not {"Cookie", "X-Mine"} & sent.keys()

    def test_idle_connections_are_kept_alive(
        self,
        caller: Caller,
        monkeypatch: pytest.MonkeyPatch,
        others: cabc.Callable[[t.Any], str],
    ) -> None:
        """A connection that is kept open notices that the other end is gone."""
        made: list[t.Any] = []
        connect = urllib3.connection.HTTPConnection.connect

        def note(self: t.Any) -> None:
            connect(self)
            made.append(self.sock.getsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE))

        monkeypatch.setattr(urllib3.connection.HTTPConnection, "connect", note)

        def other(environ: t.Any, answer: t.Any) -> list[bytes]:
            answer("200 OK", [])
            return [b"other"]

        url = others(other)
        assert run(caller, lambda api: api.get(url).text).text == "other"
        assert made == [1]

    def test_a_fork_opens_its_own(self) -> None:
        """Another process has another pool."""
        assert _shared_adapter(os.getpid()) is _shared_adapter(os.getpid())
        assert _shared_adapter(-1) is not _shared_adapter(os.getpid())
