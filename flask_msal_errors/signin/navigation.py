"""Kinds of requests, and the places that a browser may be sent to.

Owns the same-origin rules for redirect targets and posts. Knows werkzeug's request,
nothing of sign-ins.
"""

from __future__ import annotations

import re
from urllib.parse import quote
from urllib.parse import urlsplit

from werkzeug.wrappers import Request
from werkzeug.wrappers import Response

#: What stays as it is in a path and a query (RFC 3986 §3.3).
_SAFE = "/!$&'()*+,:;=@~"
_PURPOSES = ("Sec-Purpose", "X-Sec-Purpose", "Purpose", "X-Purpose", "X-Moz")
_SPECULATIVE = re.compile("prefetch|prerender|preview")


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
    unsafe = any(char <= " " or char in "\\\x7f" for char in target)
    return None if unsafe else target


def same_origin_path(url: str | None, request: Request) -> str | None:
    """The path and query of an absolute ``url`` of this origin (such as a Referer)."""
    try:
        parts = urlsplit(url or "")
    except ValueError:
        return None
    if f"{parts.scheme}://{parts.netloc}" != _origin(request):
        return None
    return safe_path(parts.path + (f"?{parts.query}" if parts.query else ""))


def home(request: Request) -> str:
    """The app's start page, also where the app is mounted below a path."""
    return f"{request.root_path.rstrip('/')}/"


def current_target(request: Request) -> str:
    """The very URL of this request as a path with query; unsafe, the start page."""
    # request.url is an IRI: in it %25 and %2F have become other URLs.
    path = quote(home(request) + request.path[1:], safe=_SAFE)
    query = quote(request.query_string, safe=_SAFE + "?%")
    return safe_path(path + (f"?{query}" if query else "")) or home(request)


def wants_html(request: Request) -> bool:
    """Whether the ``Accept`` header prefers a page to JSON (``*/*`` does not)."""
    return (
        request.accept_mimetypes.best_match(["application/json", "text/html"])
        == "text/html"
    )


def is_navigation(request: Request) -> bool:
    """Whether a browser will show the answer as a page, so that a redirect helps.

    ``Sec-Fetch-Mode`` tells (https://www.w3.org/TR/fetch-metadata/); where it is
    missing, as on plain http, XHR and HTMX markers and the ``Accept`` header do.
    """
    headers = request.headers
    mode = headers.get("Sec-Fetch-Mode")
    if mode:
        return mode == "navigate"
    # Android's WebView puts its package's name there, in navigations too.
    scripted = headers.get("X-Requested-With") == "XMLHttpRequest"
    return not scripted and "HX-Request" not in headers and wants_html(request)


def is_speculative(request: Request) -> bool:
    """Return whether nobody asked for the page yet: a prefetch, prerender or preview.

    ``Sec-Purpose`` is the standard's, ``X-Sec-Purpose`` Turbo's, ``HX-Preloaded``
    htmx's; older browsers send the others
    (https://fetch.spec.whatwg.org/#sec-purpose-header).
    """
    headers = request.headers
    said = " ".join(headers.get(name, "") for name in _PURPOSES).lower()
    return "HX-Preloaded" in headers or bool(_SPECULATIVE.search(said))


def is_same_origin(request: Request) -> bool:
    """Whether a post is proven to come from a page of this origin.

    ``Sec-Fetch-Site: same-origin`` proves it; without that header a matching
    ``Origin`` does. Neither header is under a page's control.
    """
    site = request.headers.get("Sec-Fetch-Site")
    if site:
        return site == "same-origin"
    return request.headers.get("Origin", "") == _origin(request)


def _origin(request: Request) -> str:
    # request.host_url is an IRI, where browsers send punycode.
    return f"{request.scheme}://{request.host}"


def no_store(response: Response) -> Response:
    """The response, kept by nobody on its way: it is one person's, once."""
    response.headers["Cache-Control"] = "no-store"
    return response
