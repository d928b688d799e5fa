"""What kind of request this is, and where a browser may be sent.

Owns the same-origin rules for redirect targets and posts. Knows werkzeug's request,
nothing of sign-ins.
"""

from __future__ import annotations

from urllib.parse import urlsplit

from werkzeug.wrappers import Request


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
    if any(char <= " " or char in "\\\x7f" for char in target):
        return None
    parts = _split(target)
    return target if parts is not None and not any(parts[:2]) else None


def same_origin_path(url: str | None, request: Request) -> str | None:
    """The path and query of an absolute ``url`` of this origin (such as a Referer)."""
    parts = _split(url or "")
    if parts is None or f"{parts[0]}://{parts[1]}/" != request.host_url:
        return None
    return safe_path(parts[2] + (f"?{parts[3]}" if parts[3] else ""))


def _split(url: str) -> tuple[str, str, str, str] | None:
    try:
        return urlsplit(url)[:4]
    except ValueError:
        return None


def current_target(request: Request) -> str:
    """The very URL of this request as a path with query, or ``/`` if it is unsafe."""
    parts = urlsplit(request.url)
    query = f"?{parts.query}" if parts.query else ""
    return safe_path(parts.path + query) or "/"


def wants_html(request: Request) -> bool:
    """Whether the ``Accept`` header prefers a page to JSON (``*/*`` does not)."""
    return (
        request.accept_mimetypes.best_match(["application/json", "text/html"])
        == "text/html"
    )


def is_navigation(request: Request) -> bool:
    """Whether a browser will show the answer as a page, so that a redirect helps.

    ``Sec-Fetch-Mode`` tells (https://www.w3.org/TR/fetch-metadata/); where it is
    missing, XHR and HTMX markers and the ``Accept`` header do.
    """
    headers = request.headers
    if "HX-Request" in headers or "X-Requested-With" in headers:
        return False
    mode = headers.get("Sec-Fetch-Mode")
    return mode == "navigate" if mode else wants_html(request)


def is_same_origin(request: Request) -> bool:
    """Whether a post is proven to come from a page of this origin.

    ``Sec-Fetch-Site: same-origin`` proves it; without that header a matching
    ``Origin`` does. Neither header is under a page's control.
    """
    site = request.headers.get("Sec-Fetch-Site")
    if site:
        return site == "same-origin"
    return request.headers.get("Origin", "") + "/" == request.host_url
