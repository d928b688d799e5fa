"""The origin that a sign-in has to begin at: that of the redirect URI.

Owns what happens elsewhere: the browser goes there first, or the log says why not.
"""

from __future__ import annotations

import itertools
import logging
import re
import time
from urllib.parse import urlencode
from urllib.parse import urlsplit

from flask import after_this_request
from flask import current_app
from flask import redirect
from flask import request as current_request
from flask import url_for
from werkzeug.exceptions import HTTPException
from werkzeug.exceptions import SecurityError
from werkzeug.urls import iri_to_uri
from werkzeug.wrappers import Request
from werkzeug.wrappers import Response

from ..navigation import Kind
from ..navigation import Outside
from ..navigation import current_target
from ..navigation import kind_of
from ..navigation import no_store
from ..navigation import origin_of
from ..protocol.demand import printable
from ..protocol.loopback import is_this_machine
from ..state import of_request
from .limits import page_name

logger = logging.getLogger("flask_msal_errors")

#: The cookie of a browser that is on its way. Plain, as http and https both get it.
MARK = "msal_moved"
#: Seconds: a browser follows a redirect at once, and a person comes back later.
_MARKED = 5
#: Redirects of one client to one page within that time: it keeps no cookies.
_OFTEN = 5
_MOST_CLIENTS = 1000
#: Different pairs of origins that the log tells; anybody can invent hosts.
_MOST_TOLD = 50
_MOVED = (
    "A browser at %s goes to %s before it signs in, because the redirect URI is there."
)
_HIDDEN = (
    "Requests arrive as %s, but their browsers are at %s: a proxy keeps scheme or host"
    " to itself. Let it forward them, and use werkzeug's ProxyFix."
)
_ELSEWHERE = (
    "A sign-in begins at %s, but its redirect URI is at %s. Unless a proxy only hides"
    " that browsers are there (then use werkzeug's ProxyFix), they do not send its"
    " cookie there, and it fails. Let people use one address, and let"
    " MSAL_REDIRECT_URI and SERVER_NAME have it."
)
_STRIPPED = (
    "The redirect URI is %s, but requests for it arrive at %s: a proxy changes paths."
    " Sign-ins come back below its path, links of the app do not. Let the proxy send"
    " X-Forwarded-Prefix, and use werkzeug's ProxyFix with x_prefix=1."
)
_UNUSED = (
    "Sign-ins come back to %s, but a proxy says that browsers are below %s"
    " (X-Forwarded-Prefix). Use werkzeug's ProxyFix with x_prefix=1."
)
_NO_CALLBACK = (
    "The redirect URI is %s, but the callback is at %s: nobody comes back, unless a"
    " proxy leads from one to the other. Correct MSAL_REDIRECT_URI, and register it,"
    " or set MSAL_URL_PREFIX."
)


class Origins:
    """Sees that browsers sign in at the redirect URI's origin."""

    def __init__(self) -> None:
        self._told: set[tuple[str, str, str]] = set()
        self._sent: dict[tuple[str, ...], list[float]] = {}

    def check(
        self, request: Request, redirect_uri: str, *, is_set: bool = False
    ) -> Response | None:
        """Return a redirect to the same page at the redirect URI's origin, if needed.

        It happens once: a proxy may hide that the browser is there. Where it cannot
        help, the log says so, once for the same two origins.

        :param is_set: a setting says what the redirect URI is, and not the request.
        :raises SecurityError: (400) nobody says which host this is.
        """
        parts = urlsplit(iri_to_uri(redirect_uri))
        if not parts.netloc:
            # Without MSAL_REDIRECT_URI or SERVER_NAME it is the request's.
            raise SecurityError("The request names no host.")
        right = f"{parts.scheme}://{parts.netloc}"
        came = f"{request.scheme}://{request.host}"
        here = _hidden_prefix(redirect_uri) + _here(request)
        self._check_path(request, redirect_uri)
        marked = request.cookies.get(MARK)
        if marked:
            after_this_request(_unmarked)
        if _same(came, right) or current_request.endpoint == "msal.callback":
            if not is_set:
                self._check_headers(request, came)
            return None
        if any(_same(seen, right) for seen in _outside(request)):
            self._tell(logging.WARNING, _HIDDEN, came, right)
            return None
        is_back = marked == page_name(here)
        if is_back or not _may_go(request, right) or self._often(request, here):
            self._tell(logging.WARNING, _ELSEWHERE, came, right)
            return None
        self._tell(logging.INFO, _MOVED, came, right)
        return _marked(request, redirect(right + here), here)

    def _check_headers(self, request: Request, came: str) -> None:
        """Tell where the browser is, if headers know better than the app."""
        scheme, host = request.scheme, request.host
        if "https" in _listed(request, "X-Forwarded-Proto") or _is_fetched(request):
            scheme = "https"
        hosts = [name for name in _listed(request, "X-Forwarded-Host") if name]
        names = {name.partition(":")[0].lower() for name in hosts}
        if hosts and host.partition(":")[0].lower() not in names:
            host = hosts[0]
        if (scheme, host) != (request.scheme, request.host):
            self._tell(logging.WARNING, _HIDDEN, came, f"{scheme}://{host}")

    def _often(self, request: Request, here: str) -> bool:
        """Count a redirect of a client; tell whether it just had too many.

        A client without cookies has no mark, and would be sent again for ever.
        """
        headers, now = request.headers, time.monotonic()
        said = [
            headers.get(name, "")[:500] for name in ("X-Forwarded-For", "User-Agent")
        ]
        key = (request.host[:300], request.remote_addr or "", page_name(here), *said)
        times = [at for at in self._sent.pop(key, []) if now - at < _MARKED]
        self._sent[key] = [*times, now][-_OFTEN:]
        for oldest in list(self._sent)[:-_MOST_CLIENTS]:
            self._sent.pop(oldest, None)
        return len(times) >= _OFTEN

    def _check_path(self, request: Request, redirect_uri: str) -> None:
        seen = urlsplit(url_for("msal.callback")).path
        path = urlsplit(redirect_uri).path or "/"
        (*_, told) = _listed(request, "X-Forwarded-Prefix")
        came = f"{request.scheme}://{request.host}{seen}"
        if seen != path:
            is_part = path.endswith(seen) or seen.endswith(path)
            text = _STRIPPED if is_part else _NO_CALLBACK
            self._tell(logging.WARNING, text, redirect_uri, came)
        elif told.strip("/") and not path.startswith(told):
            self._tell(logging.WARNING, _UNUSED, came, told)

    def _tell(self, level: int, text: str, came: str, right: str) -> None:
        told = (text, came, right)
        if told not in self._told and len(self._told) < _MOST_TOLD:
            self._told.add(told)
            logger.log(level, text, printable(came), printable(right))


def _hidden_prefix(redirect_uri: str) -> str:
    """Return the beginning of the redirect URI's path that requests come without."""
    seen, path = url_for("msal.callback"), urlsplit(redirect_uri).path
    return path.removesuffix(seen) if path.endswith(seen) else ""


def note_prefix(redirect_uri: str, app: object, **_: object) -> None:
    """Note the path that a proxy takes away, at the start of a request."""
    of_request(Outside).prefix = _hidden_prefix(redirect_uri)


def lead_back(redirect_uri: str, response: Response) -> Response:
    """Let a redirect of our routes stay below the path that a proxy takes away.

    The whole URL is given: proxies that put the path back do so with paths only.
    """
    way = response.headers.get("Location", "")
    if way.startswith("/") and as_seen(way) != way:
        place = urlsplit(redirect_uri)
        response.headers["Location"] = f"{place.scheme}://{place.netloc}{as_seen(way)}"
    return response


def as_seen(way: str) -> str:
    """Return a path of this app with the part that a proxy takes away, once."""
    hidden, path = of_request(Outside).prefix, way.partition("?")[0]
    return way if f"{path}/".startswith(f"{hidden}/") else hidden + way


def _marked(request: Request, response: Response, here: str) -> Response:
    """Let a response mark the browser as one that was sent from this page."""
    response.set_cookie(
        MARK,
        page_name(here),
        max_age=_MARKED,
        path="/",
        httponly=True,
        secure=request.is_secure,
        samesite="Lax",
    )
    return no_store(response)


def _unmarked(response: Response) -> Response:
    response.delete_cookie(MARK, path="/", httponly=True)
    return response


def _here(request: Request) -> str:
    """Return the path and query of a request, also of our routes, which hide it."""
    target = current_target(request)
    if request.args and "?" not in target:
        return f"{target}?{urlencode([*request.args.items(multi=True)])}"
    return target


def _same(one: str, other: str) -> bool:
    try:
        return origin_of(urlsplit(one)) == origin_of(urlsplit(other))
    except ValueError:
        # A Host header may be anything.
        return False


def _outside(request: Request) -> list[str]:
    """Return the origins at which the browser may be, as its headers or a proxy's say.

    Believed only as far as they say that nothing has to be done.
    """
    schemes = [request.scheme, *_listed(request, "X-Forwarded-Proto")]
    # One port, unless it is a scheme's own, does not serve both schemes.
    if _is_fetched(request) or re.search(r":\d+$", request.host):
        schemes.append("https")
    hosts = [request.host, *_listed(request, "X-Forwarded-Host")]
    return [f"{scheme}://{host}" for scheme, host in itertools.product(schemes, hosts)]


def _is_fetched(request: Request) -> bool:
    """Tell whether headers are there that browsers send to https alone.

    And to this very machine (https://www.w3.org/TR/fetch-metadata/).
    """
    return "Sec-Fetch-Mode" in request.headers and not _is_here(request.host)


def _is_here(netloc: str) -> bool:
    return is_this_machine(re.sub(r":\d*$", "", netloc).strip("[]"))


def _listed(request: Request, name: str) -> list[str]:
    return [part.strip() for part in request.headers.get(name, "").split(",")[:8]]


def _may_go(request: Request, right: str) -> bool:
    """Return whether a browser may be sent to the same page at an origin."""
    # Not a frame: its cookies may be blocked, and the mark with them.
    if request.method not in ("GET", "HEAD") or kind_of(request) is not Kind.PAGE:
        return False
    there = urlsplit(right)
    if request.is_secure and there.scheme == "http":
        return False
    # nginx's default Host is the app's address, behind whichever name; and nobody else
    # is at home on this machine.
    if _is_here(request.host) is not _is_here(there.netloc):
        return False
    changed = {"HTTP_HOST": there.netloc, "wsgi.url_scheme": there.scheme}
    return _page(request) == _page(request, **changed)


def _page(request: Request, **changed: str) -> object:
    """Return the page that the app has at a request's URL, or at another host's."""
    app = current_app
    asked = app.request_class({**request.environ, **changed}, populate_request=False)
    try:
        adapter = app.create_url_adapter(asked)
        return adapter and adapter.match()
    except HTTPException:
        return None
