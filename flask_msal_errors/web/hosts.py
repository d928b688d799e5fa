"""Our routes at each host of an app that has several.

Owns the part of their URLs that Flask's ``host_matching`` and ``subdomain_matching``
ask for: a sign-in begins, comes back and ends at the host of its page.
"""

from __future__ import annotations

import typing as t

from flask import Blueprint
from flask import Flask
from flask import abort
from flask import current_app
from flask import has_request_context
from flask import request

_HOST = "msal_host"
#: Werkzeug's name for the subdomain of a foreign host.
_INVALID = "<invalid>"


def places(app: Flask) -> list[dict[str, t.Any]]:
    """Return the options of rules that are at each host of the app."""
    if app.url_map.host_matching:
        return [{"host": f"<{_HOST}>"}]
    if app.subdomain_matching:
        return [{}, {"subdomain": f"<{_HOST}>"}]
    return []


def follow(app: Flask, own: Blueprint) -> None:
    """Let the blueprint's URLs be at the host of the request; no view knows of it."""
    if places(app):
        own.url_value_preprocessor(_take_out)
        own.url_defaults(_put_in)


def _take_out(endpoint: str | None, values: dict[str, t.Any] | None) -> None:
    if values and values.pop(_HOST, "") == _INVALID:
        abort(404)


def _put_in(endpoint: str, values: dict[str, t.Any]) -> None:
    if current_app.url_map.host_matching:
        outside = current_app.config["SERVER_NAME"] or "localhost"
        host = request.host.lower() if has_request_context() else outside
        values.setdefault(_HOST, host)
    elif has_request_context():
        adapter = current_app.create_url_adapter(request)
        subdomain = adapter.subdomain if adapter else None
        if subdomain and subdomain != _INVALID:
            values.setdefault(_HOST, subdomain)
