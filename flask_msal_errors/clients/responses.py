"""Facts of an HTTP client's response or exception, whichever client it is of.

Known by duck typing: requests, httpx, urllib3, aiohttp, azure-core and Kiota are told
by their attributes and never imported. Knows nothing of what an answer means for us.
"""

from __future__ import annotations

import collections.abc as cabc
import re
import typing as t
from urllib.parse import urljoin
from urllib.parse import urlsplit

from ..navigation import origin_of
from ..protocol.secret import Secret

_BEARER = "bearer "
#: The host of a URL, without user and port (RFC 3986 §3.2).
_HOST = re.compile(r"https?://(?:[^/?#@]*@)?(\[[^\]/?#]*\]|[^:/?#]*)", re.IGNORECASE)
#: Methods that read all values of a header: of httpx, werkzeug, aiohttp (which raises
#: ``KeyError`` for none), and the standard library (``None``) and websockets.
_READERS = ("get_list", "getlist", "getall", "get_all")


#: The error for a response of :func:`is_from_cache` to a call with a user's token.
CACHED = (
    "A cache answered a call that carried a user's token. It does not tell users "
    "apart: one would get another's data. Call without a cache (in "
    "requests_cache.disabled(), by a client of its own), or keep what you fetched "
    "under a key of the user."
)


class Refusal(t.NamedTuple):
    """A 401 or 403 and what a decision about it needs."""

    status: int
    values: list[str]
    """Of ``WWW-Authenticate``."""
    token: str | None
    """The token that was refused, as :func:`sent_with` returns it."""
    host: str
    """The API's, as far as it is known."""


def refusal_of(response: t.Any) -> Refusal | None:
    """Return the refusal that a response is, of any HTTP client, or ``None``."""
    status = status_of(response)
    if status not in (401, 403):
        return None
    challenges = values_of(response, "WWW-Authenticate")
    return Refusal(status, challenges, *sent_with(response))


def status_of(response: t.Any) -> int | None:
    """The status of anything with ``status_code`` or ``status`` and headers."""
    status = getattr(response, "status_code", getattr(response, "status", None))
    has_headers = getattr(response, "headers", None) is not None
    return int(status) if isinstance(status, int) and has_headers else None


def values_of(response: t.Any, wanted: str) -> list[str]:
    """The values of a header of a response or a request; none if it has no headers."""
    headers = getattr(response, "headers", None)
    found: list[t.Any] = []
    for method in _READERS:
        read = getattr(headers, method, None)
        if callable(read):
            try:
                found = [*(read(wanted) or ())]
            except KeyError:
                found = []
            break
    else:
        # A plain dict knows names in one spelling only.
        items = headers.items() if isinstance(headers, cabc.Mapping) else ()
        for value in (v for name, v in items if str(name).lower() == wanted.lower()):
            found += value if isinstance(value, (list, tuple, set)) else [value]
    return [v.decode("latin-1") if isinstance(v, bytes) else str(v) for v in found]


class Inner(t.NamedTuple):
    """An answer inside a JSON batch; its request is not known."""

    status: int
    headers: cabc.Mapping[str, t.Any]


def answers_in_batch(value: t.Any) -> list[Inner]:
    """Return the answers of a JSON batch, or the one that ``value`` is.

    Of Microsoft Graph (https://learn.microsoft.com/graph/json-batching): the document
    ``{"responses": […]}`` and each of its members, as JSON or as objects of the SDK.
    """
    several = _member(value, "responses")
    several = several.values() if isinstance(several, cabc.Mapping) else several
    each = several if isinstance(several, (list, cabc.ValuesView)) else [value]
    found = [_inner(one) for one in each]
    return [one for one in found if one is not None]


def _inner(value: t.Any) -> Inner | None:
    # An HTTP client's response has these, too, but for the id.
    if not isinstance(value, cabc.Mapping) and not hasattr(value, "id"):
        return None
    status, headers = _member(value, "status"), _member(value, "headers")
    is_answer = isinstance(status, int) and not isinstance(status, bool)
    if not is_answer or not isinstance(headers, cabc.Mapping):
        return None
    return Inner(status, {str(name): each for name, each in headers.items()})


def _member(value: t.Any, name: str) -> t.Any:
    is_json = isinstance(value, cabc.Mapping)
    return value.get(name) if is_json else getattr(value, name, None)


def sent_with(response: t.Any) -> tuple[str | None, str]:
    """Return the bearer token of a response's request, and the host that it went to.

    :return: ``""`` for the token if the request went without one, ``None`` if it is not
        known.
    """
    try:
        request = getattr(response, "request", None)
    except RuntimeError:
        # httpx, of a response that was made by hand.
        request = None
    # aiohttp's name for it.
    request = getattr(response, "request_info", None) if request is None else request
    if not hasattr(getattr(request, "headers", None), "get"):
        return ("" if _left_its_host(response) else None), ""
    host = _HOST.match(str(getattr(request, "url", "")))
    sent = values_of(request, "Authorization")
    tokens = [v[len(_BEARER) :].strip() for v in sent if v.lower().startswith(_BEARER)]
    token = Secret(tokens[0]) if len(tokens) == 1 else ""
    return token, host[1].lower() if host else ""


def is_from_cache(response: t.Any) -> bool:
    """Whether a client's cache gave the response, and no server.

    requests-cache, CacheControl and httpx-cache mark it by an attribute, hishel by an
    extension of httpx's (its name differs between versions), or a header on requests.
    """
    if getattr(response, "from_cache", False) is True:
        return True
    given = getattr(response, "extensions", None)
    extensions = given if isinstance(given, cabc.Mapping) else {}
    status = extensions.get("caching")
    marks = {**extensions, **(status if isinstance(status, cabc.Mapping) else {})}
    if True in (marks.get("from_cache"), marks.get("hishel_from_cache")):
        return True
    return values_of(response, "X-Hishel-From-Cache") == ["true"]


def _left_its_host(response: t.Any) -> bool:
    """Whether urllib3 was redirected to another host, to which it takes no token.

    A pool of one host notes paths in place of URLs, and does not leave it.
    """
    history = getattr(getattr(response, "retries", None), "history", ())
    steps = history if isinstance(history, tuple) else ()
    ways = [(getattr(s, "url", ""), getattr(s, "redirect_location", "")) for s in steps]
    return any(way and _is_elsewhere(url or "", way) for url, way in ways)


def _is_elsewhere(url: str, way: str) -> bool:
    """Return whether a redirect leads to another origin than that of ``url``."""
    try:
        here, there = urlsplit(url), urlsplit(urljoin(url, way))
        return bool(here.netloc) and origin_of(here) != origin_of(there)
    except ValueError:
        return True


def responses_in(error: BaseException) -> tuple[t.Any, ...]:
    """Return the response that an HTTP client's exception carries, if it carries one.

    requests, httpx and azure-core carry the response; aiohttp's exception has status
    and headers itself; Kiota's has them under names of its own. An exception may copy
    status and headers of its response, which alone knows the request: it comes first.
    """
    found = getattr(error, "response", None), error, _KiotaResponse(error)
    return tuple(each for each in found if status_of(each) is not None)[:1]


def causes_of(
    error: BaseException, *, handled: bool = False
) -> cabc.Iterator[BaseException]:
    """An exception, those it was raised from, and the members of its groups.

    :param handled: also what was being handled when one of them was raised.
    """
    waiting, seen = [error], set[int]()
    while waiting:
        cause = waiting.pop(0)
        if id(cause) in seen:
            continue
        seen.add(id(cause))
        yield cause
        waiting.extend(members_of(cause))
        if cause.__cause__ is not None:
            waiting.append(cause.__cause__)
        elif handled and cause.__context__ and not cause.__suppress_context__:
            waiting.append(cause.__context__)


def members_of(error: BaseException) -> tuple[BaseException, ...]:
    """The members of an exception group; none of any other exception."""
    members = getattr(error, "exceptions", ())
    found = members if isinstance(members, tuple) else ()
    return tuple(each for each in found if isinstance(each, BaseException))


class _KiotaResponse:
    def __init__(self, error: BaseException) -> None:
        self.status_code = getattr(error, "response_status_code", None)
        self.headers = getattr(error, "response_headers", None)
