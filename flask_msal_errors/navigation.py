"""Kinds of requests, and the places that a browser may be sent to.

Owns the same-origin rules for redirect targets and posts, and what of a request is
believed: its scheme, its cookies' names. Knows werkzeug's request, nothing of sign-ins.
"""

from __future__ import annotations

import dataclasses
import enum
import re
from urllib.parse import SplitResult
from urllib.parse import quote
from urllib.parse import urlsplit

from werkzeug.urls import iri_to_uri
from werkzeug.wrappers import Request
from werkzeug.wrappers import Response

from .protocol.programs import FEEDS
from .protocol.programs import OFFICE
from .protocol.programs import OUTLOOK
from .protocol.programs import ROBOT
from .state import of_request

#: Browsers take a cookie of such a name from this very host only, on https
#: (https://datatracker.ietf.org/doc/html/draft-ietf-httpbis-rfc6265bis).
HOST_PREFIX = "__Host-"
#: Characters that stay as they are in a path and a query (RFC 3986 §3.3).
_SAFE = "/!$&'()*+,:;=@~"
#: Characters of a URL that browsers leave out or replace.
_REPAIRED = re.compile(r"[\x00-\x20\\\x7f]")
_PURPOSES = ("Sec-Purpose", "X-Sec-Purpose", "Purpose", "X-Purpose", "X-Moz")
_SPECULATIVE = re.compile("prefetch|prerender|preview")
_DEST = "Sec-Fetch-Dest"
#: Its values for what is shown in another page
#: (https://www.w3.org/TR/fetch-metadata/#sec-fetch-dest-header).
_FRAMES = ("iframe", "frame", "object", "embed", "fencedframe")


@dataclasses.dataclass
class Outside:
    """Facts of a request that a proxy in front of it often keeps to itself."""

    is_https: bool = False
    prefix: str = ""
    """Beginning of the path that browsers see, and the proxy takes away."""


class Kind(enum.Enum):
    """The one who shows the answer to a request."""

    AHEAD = "a browser, perhaps later"
    OFFICE = "an Office program, which then opens a browser"
    PROGRAM = "a link preview, or a reader of feeds or calendars"
    CONNECT = "a client of Socket.IO, which waits to be let in"
    EVENT = "a client of Socket.IO, to which handlers answer by events"
    FRAME = "a browser, in a frame of another page"
    SCRIPT = "a script"
    PAGE = "a browser, as a page"


#: Kinds that nobody sees a response of.
EVENTS = frozenset({Kind.CONNECT, Kind.EVENT})
#: Kinds whose requests begin no sign-in.
UNATTENDED = frozenset({Kind.AHEAD, Kind.OFFICE, Kind.PROGRAM})


def is_https(request: Request) -> bool:
    """Return whether browsers reach the app by https.

    The request says so, or the redirect URI does.
    """
    return request.is_secure or of_request(Outside, request).is_https


def origin(request: Request) -> str:
    """Return the origin of this request, as a browser writes it."""
    # request.host_url is an IRI, where browsers send punycode.
    scheme = "https" if is_https(request) else request.scheme
    return f"{scheme}://{request.host}"


def sent_cookies(request: Request) -> dict[str, list[str]]:
    """Return the values of each cookie of the ``Cookie`` header, by its very name.

    Werkzeug cuts off more blanks than browsers do: before 3.1.9 a name that no browser
    guards became one with a prefix. And it shows one value of several.
    """
    found: dict[str, list[str]] = {}
    for pair in request.environ.get("HTTP_COOKIE", "").split(";"):
        name, _, value = pair.partition("=")
        found.setdefault(name.strip(" \t"), []).append(value.strip(" \t"))
    return found


def safe_path(target: str | None) -> str | None:
    """``target`` if every browser resolves it to a path of this very origin.

    :param target: a path with optional query, as it came from outside.
    :return: the target untouched, or ``None`` for anything that could leave the
        origin: other schemes and hosts, protocol-relative forms, and the backslashes
        and control characters that browsers repair
        (https://url.spec.whatwg.org/#concept-basic-url-parser).
    """
    if not target or not target.startswith("/") or target.startswith("//"):
        return None
    return None if _REPAIRED.search(target) else target


def same_origin_path(url: str | None, request: Request) -> str | None:
    """The path and query of an absolute ``url`` of this origin (such as a Referer)."""
    try:
        parts = urlsplit(url or "")
    except ValueError:
        return None
    if f"{parts.scheme}://{parts.netloc}" != origin(request):
        return None
    return safe_path(parts.path + (f"?{parts.query}" if parts.query else ""))


def path_below(prefix: str, path: str) -> str | None:
    """Return what follows a prefix in a path with query; ``None`` outside of it.

    Pages of another app may have paths that begin with the same letters: what follows
    is no path then, and may name another site.
    """
    if not path.startswith(prefix):
        return None
    rest = path[len(prefix) :]
    if prefix and rest[:1] not in ("", "/", "?"):
        return None
    return safe_path(rest if rest.startswith("/") else f"/{rest}")


def own_path(url: str | None, request: Request) -> str | None:
    """Return the path and query of a URL of this app, absolute or not; else ``None``.

    An absolute one has the request's host and port, and the scheme that the request
    came by, or browsers do.
    """
    try:
        if url == request.url:
            # An IRI, in which %25 and %2F would have become other URLs.
            return current_target(request)
        parts = urlsplit(iri_to_uri(url or ""))
        ours = (f"{request.scheme}://{request.host}", origin(request))
        # Werkzeug before 3.1 drops a password without a name.
        is_ours = "@" not in urlsplit(url or "").netloc and origin_of(parts) in [
            origin_of(urlsplit(one)) for one in ours
        ]
    except ValueError:
        return None
    if not is_ours or _REPAIRED.search(url or ""):
        return safe_path(url)
    query = f"?{parts.query}" if parts.query else ""
    return safe_path(f"{parts.path or '/'}{query}")


def origin_of(parts: SplitResult) -> tuple[object, ...]:
    """Return a URL's scheme, host and port, which make its origin (RFC 6454 §4)."""
    port = parts.port or {"http": 80, "https": 443}.get(parts.scheme)
    return parts.scheme, parts.hostname, port


def home(request: Request) -> str:
    """The app's start page, also where the app is mounted below a path."""
    return f"{request.root_path.rstrip('/')}/"


def current_target(request: Request) -> str:
    """The very URL of this request as a path with query; unsafe, the start page."""
    # request.url is an IRI: in it %25 and %2F have become other URLs.
    path = quote(request.root_path.rstrip("/") + request.path, safe=_SAFE)
    query = quote(request.query_string, safe=_SAFE + "?%")
    return safe_path(path + (f"?{query}" if query else "")) or home(request)


def wants_html(request: Request) -> bool:
    """Whether the ``Accept`` header prefers a page to JSON (``*/*`` does not).

    In a frame, people see whatever comes.
    """
    return request.headers.get(_DEST) in _FRAMES or (
        request.accept_mimetypes.best_match(["application/json", "text/html"])
        == "text/html"
    )


def is_navigation(request: Request) -> bool:
    """Return whether a browser shows the answer as a page, so that a redirect helps."""
    return kind_of(request) in (Kind.PAGE, Kind.FRAME)


def is_boosted(request: Request) -> bool:
    """Return whether htmx made this request of a link or form, to show it as a page.

    https://htmx.org/attributes/hx-boost/
    """
    return "HX-Boosted" in request.headers


def is_speculative(request: Request) -> bool:
    """Return whether nobody asked for the page yet: a prefetch, prerender or preview.

    ``Sec-Purpose`` is the standard's, ``X-Sec-Purpose`` Turbo's, ``HX-Preloaded``
    htmx's; older browsers send the others
    (https://fetch.spec.whatwg.org/#sec-purpose-header).
    """
    headers = request.headers
    said = " ".join(headers.get(name, "") for name in _PURPOSES).lower()
    return "HX-Preloaded" in headers or bool(_SPECULATIVE.search(said))


def kind_of(request: Request) -> Kind:
    """Return who shows the answer to a request.

    ``Sec-Fetch-*`` tell of a browser (https://www.w3.org/TR/fetch-metadata/), also
    of one inside an Office program. Where it is missing, as on plain http, XHR and HTMX
    markers and the ``Accept`` header do.
    """
    # Flask-SocketIO's word on the request that opened a socket, of which it makes one
    # for each event (https://flask-socketio.readthedocs.io, "Access to Flask's Context
    # Globals").
    own = vars(request)
    event = own.get("event")
    if isinstance(event, dict) and "message" in event and "namespace" in own:
        return Kind.CONNECT if event["message"] == "connect" else Kind.EVENT
    headers, asks = request.headers, request.method in ("GET", "HEAD")
    agent, mode = headers.get("User-Agent", ""), headers.get("Sec-Fetch-Mode")
    # Android's WebView puts its package's name there, in navigations too.
    scripted = headers.get("X-Requested-With") == "XMLHttpRequest"
    scripted = scripted or "HX-Request" in headers
    if asks and is_speculative(request):
        return Kind.AHEAD
    if ROBOT.search(agent):
        return Kind.PROGRAM
    is_browser = mode or _DEST in headers
    if not is_browser and OFFICE.search(agent) and not _shows_pages(request, agent):
        return Kind.OFFICE if asks else Kind.PROGRAM
    if not (is_browser or scripted) and FEEDS.search(headers.get("Accept", "").lower()):
        return Kind.PROGRAM
    if headers.get(_DEST) in _FRAMES:
        return Kind.FRAME
    if mode != "navigate" if mode else scripted or not wants_html(request):
        return Kind.SCRIPT
    return Kind.PAGE


def _shows_pages(request: Request, agent: str) -> bool:
    """Return whether an Office program shows pages, so that it followed our refresh."""
    before = same_origin_path(request.headers.get("Referer"), request)
    before = before and path_below(of_request(Outside, request).prefix, before)
    paths = [url.partition("?")[0] for url in (before or "", current_target(request))]
    return paths[0] == paths[1] or bool(OUTLOOK.search(agent))


def is_same_origin(request: Request) -> bool:
    """Whether a post is proven to come from a page of this origin.

    ``Sec-Fetch-Site: same-origin`` proves it; without that header a matching
    ``Origin`` does. Neither header is under a page's control.
    """
    site = request.headers.get("Sec-Fetch-Site")
    if site:
        return site == "same-origin"
    return request.headers.get("Origin", "") == origin(request)


def no_store(response: Response) -> Response:
    """The response, kept by nobody on its way: it is one person's, once."""
    response.headers["Cache-Control"] = "no-store"
    return response
