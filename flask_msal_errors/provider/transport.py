"""HTTP to the identity provider: deadlines, one retry, no cookies, honest errors.

Owns the connection pool and the deadlines that its connections keep, of one answer and
of several calls together.
"""

from __future__ import annotations

import collections.abc as cabc
import contextlib
import contextvars
import functools
import http.client
import http.cookiejar
import io
import json
import math
import ssl
import time
import typing as t

import msgspec
import requests
import requests.adapters
import urllib3
import urllib3.util.ssl_

from .. import signals
from ..errors import ConfigurationError
from ..protocol.demand import printable
from ..session import msal_caches
from ..settings import Settings
from .replies import USUAL
from .replies import Reply
from .replies import refusal
from .replies import representable

#: After a token request that got no answer, tokens in hand are used for so long.
RECENTLY = 30
_MOST_BYTES = 4 * 1024 * 1024
_CHUNK = 64 * 1024
_ends = contextvars.ContextVar("flask_msal_errors_deadline", default=math.inf)


class LeftHttps(requests.RequestException):
    """A redirect led from https to something else."""


class NoAnswer(requests.RequestException):
    """There is none that can be used; its text says why, and holds no secret."""


class Transport:
    """Calls of the identity provider. Safe for use by many threads.

    ``MSAL_HTTP_TIMEOUT`` is what all attempts to connect may take, and then what the
    whole answer may take; less where :func:`within` says so.
    """

    def __init__(self, settings: Settings) -> None:
        attempts = settings.http_retries + 1
        self._timeouts = (settings.http_timeout / attempts, settings.http_timeout)
        self._own = settings.http_client is None
        self._verify = settings.verify
        self._client: t.Any = settings.http_client or _session(settings)
        self._environment = functools.lru_cache(maxsize=32)(self._read_environment)
        self.failed_until = float("-inf")
        """Until when (of the monotonic clock) a failure of the token endpoint counts as
        recent."""
        self.sender: cabc.Callable[[str, str, dict[str, t.Any]], Reply] = self.send
        """Sends token requests, see :class:`.SecretSender`."""

    def post(self, url: str, **kwargs: t.Any) -> Reply:
        """Post a token request, unless this session was asked to wait.

        A live 429 (or 5xx with its pause) of any scope answers for all of them: the
        token endpoint throttles the client and user, and MSAL would only hold back the
        very same request.

        :return: what MSAL can take: it raises ``JSONDecodeError`` on Entra's usual
            plain-text 429, logs the body of an unreadable answer, and takes no
            ``Retry-After`` that is a date.
        """
        wait, status = msal_caches.current().pause()
        if wait:
            said = msal_caches.current().failure()
            return refusal(status, {"retry-after": str(wait)}, said)
        began, status = time.monotonic(), 0
        try:
            reply = self.sender("POST", url, kwargs)
            status = reply.status_code
        except OSError:
            self.failed_until = time.monotonic() + RECENTLY
            raise
        finally:
            if signals.token_requested.receivers:
                grant = (kwargs.get("data") or {}).get("grant_type", "")
                signals.time_request(grant, status, time.monotonic() - began)
        self.failed_until = float("-inf")
        with contextlib.suppress(ValueError, msgspec.MsgspecError, RecursionError):
            json.loads(reply.text)
            usual = USUAL.decode(reply.text)
            is_whole = usual.error or usual.access_token or usual.id_token
            if is_whole and reply.status_code == (400 if usual.error else 200):
                return reply
        return representable(reply)

    def send(self, method: str, url: str, kwargs: dict[str, t.Any]) -> Reply:
        """Send a request by our own connections, or by the app's client.

        :raises OSError: there is no answer, or none in time.
        """
        connect, answer = map(left, self._timeouts)
        # A secret goes to nobody else.
        follows = method == "GET" and "Authorization" not in (
            kwargs.get("headers") or ()
        )
        if not self._own:
            return _sent_by(self._client, method, url, answer, follows, kwargs)
        if connect <= 0:
            raise requests.ConnectTimeout("no time is left for this call")
        headers = {**self._client.headers, **(kwargs.get("headers") or {})}
        request = requests.PreparedRequest()
        request.prepare(method, url, **{**kwargs, "headers": headers})
        with self._client.send(
            request,
            timeout=(connect, answer),
            stream=True,
            allow_redirects=follows,
            **self._environment(url),
        ) as response:
            place = _stay_on_https(url, response) if method == "GET" else ""
            text = _read(response).decode("utf-8-sig", "replace")
        headers = {name.lower(): value for name, value in response.headers.items()}
        return Reply(response.status_code, text, headers, place)

    def _read_environment(self, url: str) -> dict[str, t.Any]:
        """Return proxies and trusted certificates for a URL, as requests takes them.

        It would read them anew at each call, and passwords out of ``~/.netrc``.
        """
        # REQUESTS_CA_BUNDLE wins over a session's verify, but not over a call's.
        merge = self._client.merge_environment_settings
        found = merge(url, {}, None, self._verify, None)
        return {name: found[name] for name in ("proxies", "verify", "cert")}

    def close(self) -> None:
        """Close the connections, but not those of the app's own client."""
        if self._own:
            self._client.close()


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

    def build_response(self, req: t.Any, resp: t.Any) -> requests.Response:
        # requests would parse cookies that nobody keeps, and twice. They stay in the
        # headers of the response, which are a copy.
        del resp._original_response.msg["Set-Cookie"]
        return super().build_response(req, resp)


def _sent_by(
    client: t.Any,
    method: str,
    url: str,
    timeout: float,
    follows: bool,
    kwargs: dict[str, t.Any],
) -> Reply:
    """Send by the app's own client (MSAL_HTTP_CLIENT), whose errors may be any.

    :param timeout: seconds, for a session of requests, which has none of its own, and
        posts secrets on to where an answer points.
    """
    if isinstance(client, requests.Session):
        kwargs = {"timeout": timeout, "allow_redirects": follows, **kwargs}
    try:
        reply = getattr(client, method.lower())(url, **kwargs)
        place = _stay_on_https(url, reply)
        headers = {name.lower(): value for name, value in reply.headers.items()}
        text = reply.text.removeprefix("\ufeff")
        return Reply(reply.status_code, text, headers, place)
    except OSError:
        raise
    except Exception as error:
        raise NoAnswer(type(error).__name__) from error


def _session(settings: Settings) -> requests.Session:
    _check_patched_in_time()
    session = requests.Session()
    # The provider's cookies (fpc, x-ms-gateway-slice) would be shared by all users.
    session.cookies.set_policy(http.cookiejar.DefaultCookiePolicy(allowed_domains=[]))
    # A read that failed may have spent a one-time code or refresh token. What is left
    # out here, such as a refused certificate, urllib3 would repeat without end.
    retries = urllib3.Retry(
        total=None,
        connect=settings.http_retries,
        read=0,
        redirect=None,
        status=0,
        other=0,
    )
    adapter = TimedAdapter(max_retries=retries, pool_maxsize=32)
    session.mount("https://", adapter)
    session.mount("http://", adapter)
    return session


def _check_patched_in_time() -> None:
    """See that gevent, if there is any, patched ``ssl`` before urllib3 imported it.

    :raises ConfigurationError: it did later. Each property of a context would call
        itself without end (https://github.com/gevent/gevent/issues/1016).
    """
    taken: t.Any = urllib3.util.ssl_.SSLContext
    if ssl.SSLContext is not taken and issubclass(ssl.SSLContext, taken):
        raise ConfigurationError(
            "gevent or eventlet patched ssl after urllib3 had been imported: each call "
            "by https would end in a RecursionError. Patch before the app is imported: "
            "with gunicorn, gunicorn.conf.py begins with 'from gevent import monkey; "
            "monkey.patch_all()'."
        )


def _stay_on_https(url: str, reply: t.Any) -> str:
    """See that redirects led from https to nothing else: a document is to be trusted.

    :param reply: of any client; it may say where they led.
    :return: that place; empty without redirects.
    """
    steps = (*(getattr(reply, "history", None) or ()), reply)
    places = [str(getattr(step, "url", "") or url) for step in steps]
    for place in places:
        if url.startswith("https:") and not place.startswith("https:"):
            raise LeftHttps(f"a redirect left https, to {without_query(place)}")
    return places[-1] if len(places) > 1 else ""


def without_query(url: str) -> str:
    """Return a URL as it may be shown: its query can hold what is secret."""
    return printable(url.partition("?")[0].partition("#")[0])


def _read(response: requests.Response) -> bytes:
    body = bytearray()
    for chunk in response.iter_content(_CHUNK):
        body += chunk
        if len(body) > _MOST_BYTES:
            raise NoAnswer("the answer is too long")
    return bytes(body)
