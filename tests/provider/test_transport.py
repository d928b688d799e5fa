"""Calls of the identity provider, against sockets that misbehave."""

from __future__ import annotations

import email.utils
import io
import json
import socket
import threading
import time
import typing as t
from pathlib import Path

import pytest
import requests
import requests.adapters
import urllib3
from flask import Flask

from flask_msal_errors import signals
from flask_msal_errors.provider.documents import Documents
from flask_msal_errors.provider.replies import Reply
from flask_msal_errors.provider.transport import TimedAdapter
from flask_msal_errors.provider.transport import Transport
from flask_msal_errors.provider.transport import _Timed
from flask_msal_errors.provider.transport import left
from flask_msal_errors.provider.transport import within
from flask_msal_errors.session.msal_caches import Caches
from flask_msal_errors.session.msal_caches import bound
from flask_msal_errors.testing import Emulator
from support import clock
from support import sign_ins
from support import waiting
from support.sockets import Unreachable
from support.sockets import answering
from support.sockets import dripping
from support.sockets import peer as peer
from support.sockets import saying
from support.sockets import transport
from support.waiting import PATIENCE


class TestTimes:
    """Trap 9: MSAL has no timeouts, and those of requests are of each read."""

    def test_silent(self, peer: t.Any) -> None:
        """A server that says nothing is given up on."""
        release = threading.Event()
        server = peer(lambda _: release.wait(PATIENCE))
        with pytest.raises(requests.ReadTimeout):
            transport(MSAL_HTTP_TIMEOUT=0.2).post(server.url, data={})
        release.set()

    @pytest.mark.parametrize(
        "answer",
        [
            dripping(b"", b"H"),
            dripping(b"HTTP/1.1 200 OK\r\nX-Drip: ", b"x"),
            dripping(b"HTTP/1.1 200 OK\r\n", b"A: b\r\n"),
            dripping(b"HTTP/1.1 200 OK\r\nContent-Length: 9999\r\n\r\n", b" "),
            dripping(
                b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n", b"1\r\n \r\n"
            ),
            dripping(b"HTTP/1.1 200 OK\r\n\r\n", b" "),
        ],
        ids=["status", "header", "headers", "body", "chunks", "until closed"],
    )
    def test_trap_9_drip(self, peer: t.Any, answer: t.Any) -> None:
        """Bytes that keep coming do not put the deadline off, wherever they drip."""
        server, start = peer(answer), time.monotonic()
        with pytest.raises(requests.RequestException) as caught:
            transport(MSAL_HTTP_TIMEOUT=0.4).post(server.url, data={})
        assert 0.3 < time.monotonic() - start < 15
        assert not isinstance(caught.value, requests.exceptions.SSLError)
        waiting.until(lambda: server.connections)
        assert server.connections == 1

    def test_next_answer(self, peer: t.Any, monkeypatch: pytest.MonkeyPatch) -> None:
        """A connection that stays open gives each answer a deadline of its own."""
        body = answering(200, '{"access_token": "x"}', Connection="keep-alive")

        def twice(connection: socket.socket) -> None:
            connection.sendall(body)
            connection.recv(65536)
            connection.sendall(body)

        server = peer(twice)
        sender = transport(MSAL_HTTP_TIMEOUT=PATIENCE)
        assert sender.post(server.url, data={}).status_code == 200
        clock.put_forward(monkeypatch, PATIENCE)
        assert sender.post(server.url, data={}).status_code == 200
        assert server.connections == 1
        sender.close()

    def test_slow_token_endpoint(self, entra: Emulator) -> None:
        """The emulator's slow and dripping answers end as timeouts, over TLS too."""
        sender = transport(MSAL_VERIFY=entra.ca_file)
        url = f"{entra.authority}/oauth2/v2.0/token"
        for drip in (False, True):
            # So that there is a connection, which takes no time.
            assert sender.post(url, data={}).status_code == 400
            entra.slow(2, drip=drip)
            with pytest.raises(requests.RequestException), within(0.5):
                sender.post(url, data={})
            entra.clear_faults()
        sender.close()
        waiting.until(lambda: entra.counters["token"] == 4)

    def test_too_long(self, peer: t.Any) -> None:
        """An answer without end is cut off."""
        head = b"HTTP/1.1 200 OK\r\n\r\n"
        server = peer(saying(head + b" " * 5 * 1024 * 1024))
        with pytest.raises(requests.RequestException, match="too long"):
            transport().post(server.url, data={})


class TestSignal:
    def test_requests(self, peer: t.Any) -> None:
        """Each request is told of, also one without an answer; nothing secret is."""
        told: list[tuple[t.Any, ...]] = []

        def listen(app: Flask, **about: t.Any) -> None:
            told.append((app, about.pop("seconds") >= 0, about))

        app, form = Flask("metrics"), {"grant_type": "refresh_token", "code": "secret"}
        server = peer(saying(answering(400, '{"error": "invalid_grant"}')))
        with signals.token_requested.connected_to(listen), app.app_context():
            transport().post(server.url, data=form)
            with pytest.raises(requests.ConnectionError):
                transport().post("http://127.0.0.1:1", data=form)
        with signals.token_requested.connected_to(listen):
            transport().post(server.url, data=form)
        about = {"grant": "refresh_token"}
        assert told == [
            (app, True, {**about, "status": 400}),
            (app, True, {**about, "status": None}),
        ]


class TestRetries:
    """Requests that are sent again, and those that never are."""

    @staticmethod
    def attempts(monkeypatch: pytest.MonkeyPatch) -> list[str]:
        """Return a list that gets each host that is connected to."""
        made: list[str] = []
        connect = urllib3.util.connection.create_connection

        def note(address: tuple[str, int], *args: t.Any, **kwargs: t.Any) -> t.Any:
            made.append(address[0])
            return connect(address, *args, **kwargs)

        monkeypatch.setattr(urllib3.util.connection, "create_connection", note)
        return made

    @pytest.mark.parametrize("retries", [0, 1, 2])
    def test_connect(self, monkeypatch: pytest.MonkeyPatch, retries: int) -> None:
        """A failed connect is repeated as often as the setting says."""
        made = self.attempts(monkeypatch)
        with socket.socket() as taken, pytest.raises(requests.ConnectionError):
            # Bound, but nobody listens.
            taken.bind(("127.0.0.1", 0))
            url = f"http://127.0.0.1:{taken.getsockname()[1]}/"
            transport(MSAL_HTTP_RETRIES=retries).post(url, data={})
        assert len(made) == retries + 1

    @pytest.mark.parametrize(
        "answer",
        [
            lambda _: None,
            saying(b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\n{"),
            saying(b"nonsense\r\n\r\n"),
            saying(answering(200, "no such thing", Content_Encoding="gzip")),
        ],
        ids=["closed", "cut off", "no HTTP", "no gzip"],
    )
    def test_read(self, peer: t.Any, answer: t.Any) -> None:
        """A request that was sent is never sent again: it may have spent a token."""
        server = peer(answer)
        with pytest.raises(requests.RequestException):
            transport().post(server.url, data={})
        assert server.connections == 1

    @pytest.mark.parametrize("status", [500, 503, 429])
    def test_status(self, peer: t.Any, status: int) -> None:
        """No status is a reason to ask again."""
        server = peer(saying(answering(status, "")))
        assert transport().post(server.url, data={}).status_code == status
        assert server.connections == 1

    def test_certificate(self, entra: Emulator) -> None:
        """A refused certificate is refused once; urllib3 would repeat it for ever."""
        with pytest.raises(requests.exceptions.SSLError):
            Documents(transport()).fetch(entra.authority)
        assert entra.counters["tls"] == 0

    @pytest.mark.parametrize("own_client", [False, True])
    def test_redirect(self, peer: t.Any, own_client: bool) -> None:
        """Secrets are not posted on to where an answer points."""
        target = peer(saying(answering(200, "{}")))
        server = peer(saying(answering(307, "", Location=target.url)))
        with requests.Session() as session:
            own = {"MSAL_HTTP_CLIENT": session} if own_client else {}
            reply = transport(**own).post(server.url, data={"code": "secret"})
        assert json.loads(reply.text)["error"] == "invalid_response"
        assert target.connections == 0


class TestPost:
    """Answers of the token endpoint, as MSAL can take them."""

    @staticmethod
    def reply(peer: t.Any, *args: t.Any, **headers: t.Any) -> Reply:
        server = peer(saying(answering(*args, **headers)))
        return transport().post(server.url, data={})

    def test_success(self, peer: t.Any) -> None:
        """A good answer passes as it is, with names in lower case."""
        reply = self.reply(peer, 200, '{"access_token": "x"}', X_Name="v")
        assert json.loads(reply.text) == {"access_token": "x"}
        assert reply.headers["x-name"] == "v"

    @pytest.mark.parametrize(
        ("said", "kept"),
        [
            ("300", 300),
            ('"300"', 300),
            ("300.9", 300),
            ('"300.0"', 300),
            *((nothing, None) for nothing in ("null", '""')),
            *((odd, json.loads(odd)) for odd in ('"soon"', "[]", "{}")),
            ("1e999", 366 * 24 * 3600),
            ("-1e999", 0),
            ("NaN", 0),
        ],
    )
    def test_seconds(self, peer: t.Any, said: str, kept: t.Any) -> None:
        """Seconds in any form reach MSAL as whole numbers; what is none, as it is."""
        body = f'{{"access_token": "x", "expires_in": {said}, "refresh_in": {said}}}'
        found = json.loads(self.reply(peer, 200, body).text)
        assert (found.get("expires_in"), found.get("refresh_in")) == (kept, kept)
        assert found["access_token"] == "x"

    @pytest.mark.parametrize(
        ("said", "kept"),
        [
            ('"id_token": null, "refresh_token": "", "error": null', {}),
            ('"scope": ["openid", "a"]', {"scope": "openid a"}),
            ('"scope": null, "error": ""', {}),
            (f'"expires_in": {10**30}', {"expires_in": 366 * 24 * 3600}),
            ('"error": "\\u5931\\n"', {"error": "??"}),
            ('"error": 5', {}),
        ],
    )
    def test_odd_members(self, peer: t.Any, said: str, kept: dict[str, t.Any]) -> None:
        """Members without a value count as left out; errors are plain words."""
        reply = self.reply(peer, 200, f'{{"access_token": "x", {said}}}')
        assert json.loads(reply.text) == {"access_token": "x", **kept}

    @pytest.mark.parametrize("body", ["", "<html>", "{}", '{"error": {"code": 1}}'])
    def test_refused_without_a_word(self, peer: t.Any, body: str) -> None:
        """A 400 without an error is one of the request, and not of the answer."""
        reply = self.reply(peer, 400, body)
        assert json.loads(reply.text)["error"] == "invalid_request"
        assert (reply.status_code, reply.headers) == (400, {"retry-after": "0"})

    @pytest.mark.parametrize("status", [302, 401, 403, 404, 405])
    @pytest.mark.parametrize(
        ("body", "kind", "words"),
        [
            ("<html>", "text/html; charset=x", " with text/html, which is no JSON"),
            ("", "", " with something, which is no JSON object."),
            ('[{"error": "invalid_grant"}]', "a/b", " with a/b, which is no JSON"),
            ('{"message": "no"}', "application/json", ", and not why."),
        ],
    )
    def test_refused_in_other_words(
        self, peer: t.Any, status: int, body: str, kind: str, words: str
    ) -> None:
        """A refusal that is no OAuth error tells its status, and what it is instead."""
        reply = self.reply(peer, status, body, Content_Type=kind)
        told = json.loads(reply.text)
        assert told["error"] == "invalid_response"
        assert f"HTTP {status}{words}" in told["error_description"]

    def test_byte_order_mark(self, peer: t.Any) -> None:
        """JSON may begin with a mark that RFC 8259 §8.1 lets readers ignore."""
        reply = self.reply(peer, 200, '\ufeff{"access_token": "x"}')
        assert reply.text == '{"access_token": "x"}'

    def test_error(self, peer: t.Any) -> None:
        """So does an OAuth error."""
        reply = self.reply(peer, 400, '{"error": "invalid_grant"}')
        assert (reply.status_code, reply.text) == (400, '{"error": "invalid_grant"}')

    @pytest.mark.parametrize("status", [429, 500, 503])
    @pytest.mark.parametrize("body", ["Too Many Requests", "", "[]", '{"error": 5}'])
    def test_trap_3_plain_text(self, peer: t.Any, status: int, body: str) -> None:
        """A refusal that is no OAuth error becomes one, for MSAL parses JSON."""
        reply = self.reply(peer, status, body, Retry_After="30")
        assert reply.status_code == status
        assert json.loads(reply.text)["error"] == "temporarily_unavailable"
        assert reply.headers["retry-after"] == "30"

    def test_trap_3_json(self, peer: t.Any) -> None:
        """A refusal that is one keeps its fields."""
        body = '{"error": "x", "correlation_id": "c"}'
        assert json.loads(self.reply(peer, 429, body).text)["correlation_id"] == "c"

    def test_trap_3_date(self, peer: t.Any) -> None:
        """A Retry-After that is a date reaches MSAL in seconds."""
        date = email.utils.formatdate(time.time() + 30, usegmt=True)
        reply = self.reply(peer, 429, "", Retry_After=date)
        assert 25 <= int(reply.headers["retry-after"]) <= 31

    @pytest.mark.parametrize("said", ["0", "-5", "Wed, 21 Oct 2015 07:28:00 GMT"])
    def test_pause_of_before(self, peer: t.Any, said: str) -> None:
        """A pause that is over (clocks differ) lasts a second: MSAL keeps no less."""
        reply = self.reply(peer, 429, "", Retry_After=said)
        assert reply.headers["retry-after"] == "1"

    def test_meaningless_pause(self, peer: t.Any) -> None:
        """A Retry-After that says nothing is left out: MSAL assumes five seconds."""
        assert (
            "retry-after" not in self.reply(peer, 429, "", Retry_After="soon").headers
        )

    @pytest.mark.parametrize(
        "body", ["<html>", "", "[]", "null", '"x"', "[" * 100_000, '{"a":']
    )
    def test_unreadable(self, peer: t.Any, body: str) -> None:
        """An answer that is no JSON object is an error, neither logged nor kept."""
        reply = self.reply(peer, 200, body)
        assert json.loads(reply.text)["error"] == "invalid_response"
        assert (reply.status_code, reply.headers) == (400, {"retry-after": "0"})

    @pytest.mark.parametrize("status", [200, 401, 418])
    @pytest.mark.parametrize(
        "body",
        [
            "{}",
            '{"token_type": "Bearer", "expires_in": 9}',
            *(f'{{"access_token": {said}}}' for said in ('""', "null", "{}", "[1]")),
            *(f'{{"access_token": {said}}}' for said in ("5", '"\\ud800"')),
        ],
    )
    def test_tokenless(self, peer: t.Any, body: str, status: int) -> None:
        """So is one with neither an error nor a token that a header can carry."""
        reply = self.reply(peer, status, body)
        assert json.loads(reply.text)["error"] == "invalid_response"
        assert (reply.status_code, reply.headers) == (400, {"retry-after": "0"})

    @pytest.mark.parametrize("value", ["5", "{}", "[]", "true"])
    @pytest.mark.parametrize("name", ["refresh_token", "token_type"])
    def test_no_string(self, peer: t.Any, name: str, value: str) -> None:
        """A member that makes a token cache unreadable counts as left out."""
        body = f'{{"access_token": "AT", "scope": "a", "{name}": {value}}}'
        reply = self.reply(peer, 200, body)
        assert json.loads(reply.text) == {"access_token": "AT", "scope": "a"}

    def test_shows_no_token(self) -> None:
        """An answer in a traceback or log does not show what it brought."""
        reply = Reply(200, "very-secret", {"set-cookie": "very-secret"})
        assert "very-secret" not in repr(reply)

    def test_paused(self, peer: t.Any) -> None:
        """While a pause lives, no request is sent."""
        server = peer(saying(answering(200, "{}")))
        now = int(time.time())
        caches = Caches(http={"other scope": (429, "", {}, now + 30, now)})
        with bound(caches):
            reply = transport().post(server.url, data={})
        assert (reply.status_code, server.connections) == (429, 0)
        assert 28 <= int(reply.headers["retry-after"]) <= 30


class TestTls:
    """Certificates that are believed."""

    @pytest.mark.parametrize("name", ["REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE"])
    def test_setting_beats_environment(
        self, entra: Emulator, monkeypatch: pytest.MonkeyPatch, name: str
    ) -> None:
        """MSAL_VERIFY wins over the environment's bundle; requests has it reversed."""
        monkeypatch.setenv(name, "/nonexistent/bundle.pem")
        sender = transport(MSAL_VERIFY=entra.ca_file)
        assert Documents(sender).fetch(f"{entra.authority}/discovery/v2.0/keys")
        sender.close()

    def test_environment(
        self, entra: Emulator, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """Without the setting the environment's bundle counts."""
        monkeypatch.setenv("REQUESTS_CA_BUNDLE", entra.ca_file)
        sender = transport()
        assert Documents(sender).fetch(f"{entra.authority}/discovery/v2.0/keys")
        sender.close()


class TestEnvironment:
    """Settings that requests takes from the environment, at each call of its own."""

    def test_proxy(self, peer: t.Any, monkeypatch: pytest.MonkeyPatch) -> None:
        """A proxy of the environment is used."""
        proxy = peer(saying(answering(200, '{"access_token": "x"}')))
        for name in ("NO_PROXY", "no_proxy"):
            monkeypatch.setenv(name, "")
        for name in ("HTTP_PROXY", "http_proxy"):
            monkeypatch.setenv(name, proxy.url.removesuffix("/token"))
        reply = transport().post("http://provider.invalid/token", data={})
        assert (reply.status_code, proxy.connections) == (200, 1)

    def test_read_once(self, entra: Emulator, monkeypatch: pytest.MonkeyPatch) -> None:
        """It is read once for a URL: it takes longer than all that we add to a call."""
        reads: list[str] = []
        read = requests.sessions.get_environ_proxies

        def noted(url: str, **options: t.Any) -> t.Any:
            reads.append(url)
            return read(url, **options)

        monkeypatch.setattr(requests.sessions, "get_environ_proxies", noted)
        sender = transport(MSAL_VERIFY=entra.ca_file)
        url = f"{entra.authority}/oauth2/v2.0/token"
        for _ in range(3):
            sender.post(url, data={"client_id": "x"})
        assert reads == [url] and entra.counters["token"] == 3
        sender.close()

    def test_netrc(
        self, entra: Emulator, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
    ) -> None:
        """No password of ``~/.netrc`` takes the place of the app's credential."""
        passwords = tmp_path / "netrc"
        passwords.write_text("default login ada password secret\n")
        monkeypatch.setenv("NETRC", str(passwords))
        sender = transport(MSAL_VERIFY=entra.ca_file)
        sender.post(f"{entra.authority}/oauth2/v2.0/token", data={"client_id": "x"})
        assert [c.headers.get("Authorization") for c in entra.calls] == [None]
        sender.close()


class TestCookies:
    """Trap 14: cookies of the identity provider are shared by all users."""

    def test_trap_14(self, entra: Emulator) -> None:
        """None is kept, none sent."""
        sender = transport(MSAL_VERIFY=entra.ca_file)
        url = f"{entra.authority}/oauth2/v2.0/token"
        for _ in range(2):
            assert "set-cookie" in sender.post(url, data={"client_id": "x"}).headers
        assert [c for c in entra.calls if "Cookie" in c.headers] == []
        assert entra.counters["token"] == 2 and not sender._client.cookies
        sender.close()


def has_failed(sender: Transport) -> bool:
    return time.monotonic() < sender.failed_until


class TestRecentlyFailed:
    """A token endpoint that does not answer is known for half a minute."""

    def test_times(self, monkeypatch: pytest.MonkeyPatch) -> None:
        """From a failed call until the time is over, or a call succeeds."""
        clock = [1000.0]
        monkeypatch.setattr(time, "monotonic", lambda: clock[0])
        client: t.Any = Unreachable()
        sender = transport(MSAL_HTTP_CLIENT=client)
        assert not has_failed(sender)
        with pytest.raises(requests.ConnectionError):
            sender.post("https://x", data={})
        for at, failed in ((29, True), (31, False)):
            clock[0] = 1000.0 + at
            assert has_failed(sender) is failed
        with pytest.raises(requests.ConnectionError):
            sender.post("https://x", data={})
        client.post = lambda url, **_: Reply(200, "{}", {})
        assert has_failed(sender)
        sender.post("https://x", data={})
        assert not has_failed(sender)

    def test_document(self) -> None:
        """Documents do not count: discovery may be down alone."""
        sender = transport(MSAL_HTTP_CLIENT=Unreachable())
        with pytest.raises(requests.ConnectionError):
            Documents(sender).fetch("https://x")
        assert not has_failed(sender)


class OwnClient:
    """An app's own HTTP client: MSAL's interface and no more."""

    def __init__(self, error: Exception | None = None) -> None:
        self.asked: list[tuple[str, dict[str, t.Any]]] = []
        self._error = error

    def get(self, url: str, **kwargs: t.Any) -> t.Any:
        return self._answer('{"keys": []}', url, kwargs)

    def post(self, url: str, **kwargs: t.Any) -> t.Any:
        return self._answer('{"access_token": "x"}', url, kwargs)

    def _answer(self, text: str, url: str, kwargs: dict[str, t.Any]) -> Reply:
        self.asked.append((url, kwargs))
        if self._error:
            raise self._error
        return Reply(200, text, {"X-Name": "v"})


class TestOwnClient:
    """MSAL_HTTP_CLIENT: the app's own."""

    def test_session_of_requests(self) -> None:
        """One of requests, which has no timeouts of its own, is given ours."""
        asked: list[object] = []

        class Session(requests.Session):
            def request(self, *args: t.Any, **kwargs: t.Any) -> t.NoReturn:
                asked.append(kwargs.get("timeout"))
                raise requests.ConnectionError

        sender = transport(MSAL_HTTP_CLIENT=Session(), MSAL_HTTP_TIMEOUT=3)
        with pytest.raises(requests.ConnectionError):
            sender.post("https://login.example/token", data={})
        with pytest.raises(requests.ConnectionError), within(1):
            Documents(sender).fetch("https://login.example/keys")
        assert asked[0] == 3
        assert 0 < t.cast(float, asked[1]) <= 1

    def test_used(self) -> None:
        """It is called as MSAL calls it, without our timeouts, and stays open."""
        client = OwnClient()
        sender = transport(MSAL_HTTP_CLIENT=client)
        assert Documents(sender).fetch("https://x/keys") == {"keys": []}
        assert sender.post("https://x/token", data={"a": 1}).headers == {"x-name": "v"}
        assert client.asked == [
            ("https://x/keys", {}),
            ("https://x/token", {"data": {"a": 1}}),
        ]
        sender.close()

    @pytest.mark.parametrize("error", [RuntimeError("secret"), OSError("secret")])
    def test_its_errors(self, error: Exception) -> None:
        """Any exception of it is a network failure."""
        sender = transport(MSAL_HTTP_CLIENT=OwnClient(error))
        with pytest.raises(OSError):
            Documents(sender).fetch("https://x/keys")


@pytest.fixture(autouse=True)
def _no_proxies(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("NO_PROXY", "*")


def test_settings_of_the_emulator_work(entra: Emulator) -> None:
    """The emulator's own settings make a transport that reaches it."""
    sender = Transport(sign_ins.settings(entra))
    assert Documents(sender).fetch(f"{entra.authority}/discovery/v2.0/keys")["keys"]
    sender.close()


class TestWithin:
    def test_least_counts(self) -> None:
        """Of two deadlines the earlier one counts; after it the other is back."""
        assert left(5000) == 5000
        with within(3000):
            with within(60_000):
                assert 2000 < left(5000) <= 3000
            with within(1000):
                assert left(5000) <= 1000
            assert 2000 < left(5000) <= 3000
        assert left(5000) == 5000

    def test_of_its_thread(self) -> None:
        """Other requests have their own time."""
        found: list[float] = []
        with within(0):
            thread = threading.Thread(target=lambda: found.append(left(5)))
            thread.start()
            thread.join(PATIENCE)
        assert found == [5]

    def test_several_calls(self, entra: Emulator) -> None:
        """Calls that are quick enough each are cut off by what they take together."""
        sender = Transport(sign_ins.settings(entra, MSAL_HTTP_TIMEOUT=PATIENCE))
        url = f"{entra.authority}/oauth2/v2.0/token"
        sender.post(url, data={})
        entra.slow(0.4)
        calls = 0
        with pytest.raises(requests.RequestException) as caught, within(1):
            while True:
                sender.post(url, data={})
                calls += 1
        assert calls < 3
        sender.close()
        begun = 1 + calls + (not isinstance(caught.value, requests.ConnectTimeout))
        waiting.until(lambda: entra.counters["token"] == begun)

    def test_nothing_left(self, entra: Emulator) -> None:
        """After the deadline no call is begun."""
        sender = Transport(sign_ins.settings(entra))
        with pytest.raises(requests.ConnectTimeout, match="no time"), within(0):
            sender.post(f"{entra.authority}/oauth2/v2.0/token", data={})
        assert entra.counters["token"] == 0


class TestAnswers:
    def test_within(self) -> None:
        """An answer ends with the deadline of all calls, if that is earlier."""
        ours, theirs = socket.socketpair()
        with ours, theirs, within(0.05):
            ours.settimeout(PATIENCE)
            plain: t.Any = ours.makefile("rb", buffering=0)
            timed = io.BufferedReader(_Timed(plain, ours), 1)
            with pytest.raises(TimeoutError):
                timed.read(1)
            timed.close()

    def test_deadline_with_data_waiting(self, monkeypatch: pytest.MonkeyPatch) -> None:
        """Bytes that are there already do not count after the deadline either."""
        ours, theirs = socket.socketpair()
        with ours, theirs:
            ours.settimeout(PATIENCE)
            plain: t.Any = ours.makefile("rb", buffering=0)
            timed = io.BufferedReader(_Timed(plain, ours), 1)
            theirs.sendall(b"xx")
            assert timed.read(1) == b"x"
            clock.put_forward(monkeypatch, PATIENCE)
            with pytest.raises(TimeoutError):
                timed.read(1)
            timed.close()


class TestUrllib3:
    """The names of requests, urllib3 and http.client that the deadline relies on."""

    def test_every_connection_is_timed(self) -> None:
        """The adapter's hook is requests' own, and what it makes has the deadline."""
        name = "get_connection_with_tls_context"
        assert callable(getattr(requests.adapters.HTTPAdapter, name))
        adapter = TimedAdapter()
        for url, proxies in [
            ("https://x/", {}),
            ("http://x/", {}),
            ("https://x/", {"https": "http://proxy:1"}),
        ]:
            request = requests.Request("GET", url).prepare()
            pool = adapter.get_connection_with_tls_context(request, True, proxies)
            again = adapter.get_connection_with_tls_context(request, True, proxies)
            assert again is pool
            assert pool.ConnectionCls.response_class.__name__ == "_TimedResponse"
            assert pool.ConnectionCls.__name__.count("Timed") == 1
