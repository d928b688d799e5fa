"""The HTTP client that MSAL is given: deadlines, one retry, no cookies, honest errors.

Owns the connection pool to the identity provider and its public documents. Answers of
the token endpoint are turned into what MSAL can represent: an OAuth error as JSON.
"""

from __future__ import annotations

import collections.abc as cabc
import dataclasses
import http.cookiejar
import json
import time
import typing as t

import requests
import urllib3

from ..errors import parse_retry_after
from ..session import msal_caches
from ..settings import Settings
from . import deadline

#: The identity provider's public documents change rarely; MSAL keeps them as long.
_DOCUMENT_LIFETIME = 24 * 3600
#: After a token request that got no answer, tokens in hand are used for so long.
_UNWELL = 30
#: A path that leads nowhere (RFC 3986 §3.3), and is left out on the way.
CURRENT = "/."
_MOST_BYTES = 4 * 1024 * 1024
_CHUNK = 64 * 1024


@dataclasses.dataclass(frozen=True)
class Reply:
    """An answer in the shape of MSAL's http interface."""

    status_code: int
    text: str = dataclasses.field(repr=False)
    headers: dict[str, str] = dataclasses.field(repr=False)

    def raise_for_status(self) -> None:
        """Raise ``requests.HTTPError`` for a 4xx or 5xx."""
        if self.status_code >= 400:
            raise requests.HTTPError(f"HTTP {self.status_code}", response=None)


class UnreadableDocument(requests.RequestException):
    """A discovery document that is no JSON object, or an answer 429 or 5xx to it."""

    def __init__(self, url: str, reply: Reply) -> None:
        super().__init__(f"{url} answered {reply.status_code} without a document")
        self.retry_after = parse_retry_after(reply.headers.get("retry-after"))


class Transport:
    """Posts to the token endpoint, gets documents. Safe for use by many threads.

    ``MSAL_HTTP_TIMEOUT`` is what all attempts to connect may take, and then what the
    whole answer may take; less where :func:`deadline.within` says so.
    """

    def __init__(self, settings: Settings) -> None:
        attempts = settings.http_retries + 1
        self._timeouts = (settings.http_timeout / attempts, settings.http_timeout)
        self._own = settings.http_client is None
        # REQUESTS_CA_BUNDLE wins over a session's verify, but not over a call's.
        self._tls = {} if settings.verify is True else {"verify": settings.verify}
        self._client: t.Any = settings.http_client or _session(settings)
        self._documents: dict[str, tuple[float, Reply]] = {}
        self._unwell_until = float("-inf")

    @property
    def unwell(self) -> bool:
        """Whether the token endpoint gave no answer a moment ago."""
        return time.monotonic() < self._unwell_until

    def post(self, url: str, **kwargs: t.Any) -> Reply:
        """Post a token request, unless this session was asked to wait.

        A live 429 (or 5xx with its pause) of any scope answers for all of them: the
        token endpoint throttles the client and user, and MSAL would only hold back the
        very same request.
        """
        wait, _ = msal_caches.current().pause()
        if wait:
            return _refusal(429, {"retry-after": str(wait)})
        try:
            reply = self._send("POST", url, kwargs)
        except OSError:
            self._unwell_until = time.monotonic() + _UNWELL
            raise
        self._unwell_until = float("-inf")
        return _as_oauth(reply)

    def get(self, url: str, **kwargs: t.Any) -> Reply:
        """A JSON document for MSAL, kept for a day, and longer if it cannot be had.

        :raises UnreadableDocument: nothing that could be kept; ask again later.
        """
        url = url.replace(f"{CURRENT}/", "/", 1)
        if _asks_for_aliases(url, kwargs):
            return _NO_ALIASES
        key = url + json.dumps(kwargs.get("params"), sort_keys=True)
        expires, kept = self._documents.get(key, (0.0, None))
        if kept is not None and expires > time.monotonic():
            return kept
        try:
            reply = self._asked_document(url, kwargs)
        except OSError:
            if kept is None:
                raise
            return kept
        if reply.status_code == 200:
            self._documents[key] = (time.monotonic() + _DOCUMENT_LIFETIME, reply)
        return reply

    def _asked_document(self, url: str, kwargs: dict[str, t.Any]) -> Reply:
        reply = self._send("GET", url, kwargs)
        good = reply.status_code != 200 or json_object(reply.text) is not None
        if not good or reply.status_code == 429 or reply.status_code >= 500:
            raise UnreadableDocument(url, reply)
        return reply

    def document(self, url: str) -> dict[str, t.Any]:
        """The JSON object at ``url``, now.

        :raises requests.RequestException: it cannot be had.
        """
        reply = self._send("GET", url, {})
        found = json_object(reply.text) if reply.status_code == 200 else None
        if found is None:
            raise UnreadableDocument(url, reply)
        return found

    def metadata(self, token_endpoint: str) -> dict[str, t.Any]:
        """The discovery document that MSAL took ``token_endpoint`` from.

        :raises LookupError: MSAL took it from nowhere.
        """
        for _, reply in list(self._documents.values()):
            found = json_object(reply.text) or {}
            if found.get("token_endpoint") == token_endpoint:
                return found
        raise LookupError("no discovery document names this token endpoint")

    def close(self) -> None:
        """Close the connections, but not those of the app's own client."""
        if self._own:
            self._client.close()

    def _send(self, method: str, url: str, kwargs: dict[str, t.Any]) -> Reply:
        connect, answer = map(deadline.left, self._timeouts)
        if isinstance(self._client, requests.Session) and not self._own:
            kwargs = {"timeout": answer, **kwargs}
        if not self._own:
            return _asked(getattr(self._client, method.lower()), url, kwargs)
        if connect <= 0:
            raise requests.ConnectTimeout("no time is left for this call")
        with self._client.request(
            method,
            url,
            timeout=(connect, answer),
            stream=True,
            allow_redirects=method == "GET",
            **self._tls,
            **kwargs,
        ) as response:
            text = _read(response).decode("utf-8", "replace")
        return Reply(response.status_code, text, _lower(response.headers))


#: Before MSAL reports a refused refresh, it asks Microsoft's host for other names of
#: the authority's host, under which it might find refresh tokens (msal 1.39,
#: ``ClientApplication._get_authority_aliases``). A record has those of one host only,
#: and a refusal must not wait for, or be hidden by, one more host.
_NO_ALIASES = Reply(200, '{"metadata": []}', {})


def _asks_for_aliases(url: str, kwargs: dict[str, t.Any]) -> bool:
    # Version 1.0 of the same document vouches for an authority.
    version = (kwargs.get("params") or {}).get("api-version")
    return url.endswith("/common/discovery/instance") and version == "1.1"


def _asked(verb: t.Any, url: str, kwargs: dict[str, t.Any]) -> Reply:
    """Ask by the app's own client (MSAL_HTTP_CLIENT), whose errors may be any."""
    try:
        reply = verb(url, **kwargs)
        return Reply(reply.status_code, reply.text, _lower(reply.headers))
    except OSError:
        raise
    except Exception as error:
        raise requests.RequestException(type(error).__name__) from error


def _lower(headers: cabc.Mapping[str, str]) -> dict[str, str]:
    return {name.lower(): value for name, value in headers.items()}


def _session(settings: Settings) -> requests.Session:
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
    adapter = deadline.TimedAdapter(max_retries=retries, pool_maxsize=32)
    session.mount("https://", adapter)
    session.mount("http://", adapter)
    return session


def _read(response: requests.Response) -> bytes:
    body = bytearray()
    for chunk in response.iter_content(_CHUNK):
        body += chunk
        if len(body) > _MOST_BYTES:
            raise requests.RequestException("the answer is too long")
    return bytes(body)


def json_object(text: str) -> dict[str, t.Any] | None:
    """The JSON object that a text holds, or ``None``."""
    try:
        value = json.loads(text)
    except (ValueError, RecursionError):
        return None
    return value if isinstance(value, dict) else None


def _as_oauth(reply: Reply) -> Reply:
    """The answer of a token endpoint as MSAL can take it.

    MSAL raises ``JSONDecodeError`` on Entra's usual plain-text 429, logs the body of an
    unreadable answer, and takes no ``Retry-After`` that is a date.
    """
    if reply.status_code == 429 or reply.status_code >= 500:
        return _refusal(reply.status_code, reply.headers, json_object(reply.text))
    if json_object(reply.text) is None:
        return _refusal(400, {"retry-after": "0"}, _UNREADABLE)
    return reply


_UNREADABLE = {
    "error": "invalid_response",
    "error_description": "The token endpoint answered with something that is not JSON.",
}


def _refusal(
    status: int, headers: dict[str, str], body: dict[str, t.Any] | None = None
) -> Reply:
    seconds = parse_retry_after(headers.get("retry-after"))
    kept = dict(headers)
    kept.pop("retry-after", None)
    if seconds is not None:
        kept["retry-after"] = str(seconds)
    error = {
        "error": "temporarily_unavailable",
        "error_description": f"The token endpoint answered HTTP {status}.",
    }
    if body and isinstance(body.get("error"), str):
        error = body
    return Reply(status, json.dumps(error), kept)
