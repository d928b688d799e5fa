"""An app's addresses, as its settings name them: sign-ins begin where they come back.

Light, as every app looks at its start; ``flask msal check`` looks again.
"""

from __future__ import annotations

import collections.abc as cabc
from urllib.parse import SplitResult
from urllib.parse import urlsplit

from flask import Flask
from werkzeug.sansio.utils import host_is_trusted
from werkzeug.urls import iri_to_uri

from ..navigation import origin_of
from ..settings import Settings

_SAME = "A sign-in has to begin where it comes back to: make them the same."
_EACH = (
    "A sign-in that begins there does not come back. Without MSAL_REDIRECT_URI each"
    " host has its own; register all of them."
)


def untrusted(app: Flask, settings: Settings) -> cabc.Iterator[str]:
    """Yield what is wrong if the app refuses the redirect URI's host."""
    uri, trusted = _uri(settings), app.config.get("TRUSTED_HOSTS")
    if uri and trusted and not host_is_trusted(uri.netloc, trusted):
        text = f"{uri.netloc}, the host of MSAL_REDIRECT_URI, is not in TRUSTED_HOSTS:"
        yield f"{text} nobody could come back. Add it."


def elsewhere(app: Flask, settings: Settings) -> cabc.Iterator[str]:
    """Yield what is wrong if pages are at other hosts than the redirect URI's."""
    uri, name = _uri(settings), app.config.get("SERVER_NAME")
    if uri is None:
        return
    if name and origin_of(urlsplit(f"{uri.scheme}://{name}")) != origin_of(uri):
        text = f"SERVER_NAME is {name}, but MSAL_REDIRECT_URI leads to {uri.netloc}."
        yield f"{text} {_SAME}"
    others = sorted(_hosts(app) - {uri.netloc.lower(), ""})
    if others:
        text = f"Pages are at {', '.join(others[:3])}, but MSAL_REDIRECT_URI leads to"
        yield f"{text} {uri.netloc}. {_EACH}"


def _uri(settings: Settings) -> SplitResult | None:
    uri = settings.redirect_uri
    return urlsplit(iri_to_uri(uri)) if uri else None


def _hosts(app: Flask) -> set[str]:
    """Return the hosts, or their patterns, that pages of the app have rules for."""
    rules = [rule for rule in app.url_map.iter_rules() if _is_page(rule.endpoint)]
    if app.url_map.host_matching:
        return {str(rule.host or "").lower() for rule in rules}
    name = str(app.config.get("SERVER_NAME") or "").lower()
    found = {rule.subdomain for rule in rules} if app.subdomain_matching else set()
    return {f"{subdomain}.{name}".lower() for subdomain in found if subdomain}


def _is_page(endpoint: str) -> bool:
    return not endpoint.startswith("msal.") and endpoint != "static"
