"""Deadlines of calls: for one answer as a whole, and for several calls together.

Owns the connections that keep to them. Knows nothing of what is called.
"""

from __future__ import annotations

import collections.abc as cabc
import contextlib
import contextvars
import http.client
import io
import math
import time
import typing as t

import requests.adapters

_ends = contextvars.ContextVar("flask_msal_errors_deadline", default=math.inf)


@contextlib.contextmanager
def within(seconds: float) -> cabc.Iterator[None]:
    """All calls in here together take ``seconds`` at most."""
    token = _ends.set(time.monotonic() + left(seconds))
    try:
        yield
    finally:
        _ends.reset(token)


def left(seconds: float) -> float:
    """``seconds``, or what is left of them until the deadline; it may be negative."""
    return min(seconds, _ends.get() - time.monotonic())


class _Timed(io.RawIOBase):
    """A socket's bytes, until a deadline that no further byte puts off."""

    def __init__(self, raw: io.RawIOBase, sock: t.Any) -> None:
        self._raw = raw
        self._sock = sock
        self._deadline = time.monotonic() + left(sock.gettimeout())

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: t.Any) -> int | None:
        left = self._deadline - time.monotonic()
        if left <= 0:
            raise TimeoutError("the answer dripped past the deadline")
        self._sock.settimeout(left)
        return self._raw.readinto(buffer)

    def close(self) -> None:
        self._raw.close()
        super().close()


class _TimedResponse(http.client.HTTPResponse):
    """An answer whose status line, headers and body share one deadline.

    A timeout of requests is one of each read: a byte a second never meets it.
    """

    def __init__(self, sock: t.Any, *args: t.Any, **kwargs: t.Any) -> None:
        super().__init__(sock, *args, **kwargs)
        plain: t.Any = self.fp
        self.fp = io.BufferedReader(_Timed(plain.detach(), sock))


class TimedAdapter(requests.adapters.HTTPAdapter):
    """Makes connections whose answers have a deadline."""

    def get_connection_with_tls_context(self, *args: t.Any, **kwargs: t.Any) -> t.Any:
        pool: t.Any = super().get_connection_with_tls_context(*args, **kwargs)
        base = pool.ConnectionCls
        if base.response_class is not _TimedResponse:
            members = {"response_class": _TimedResponse}
            pool.ConnectionCls = type(f"Timed{base.__name__}", (base,), members)
        return pool
