"""Deadlines: of one answer, and of several calls together."""

from __future__ import annotations

import io
import socket
import threading
import time
import typing as t

import pytest
import requests

from flask_msal_errors.provider.deadline import TimedAdapter
from flask_msal_errors.provider.deadline import _Timed
from flask_msal_errors.provider.deadline import left
from flask_msal_errors.provider.deadline import within
from flask_msal_errors.provider.transport import Transport
from flask_msal_errors.testing import Emulator
from support import clock
from support import sign_ins
from support import waiting
from support.waiting import PATIENCE


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
        sender = Transport(sign_ins.settings(entra, MSAL_HTTP_TIMEOUT=30))
        entra.slow(0.4)
        started, calls = time.monotonic(), 0
        with pytest.raises(requests.RequestException) as caught, within(1):
            while True:
                sender.post(f"{entra.authority}/oauth2/v2.0/token", data={})
                calls += 1
        assert time.monotonic() - started < 10
        assert calls < 3
        sender.close()
        begun = calls + (not isinstance(caught.value, requests.ConnectTimeout))
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
            ours.settimeout(30)
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
