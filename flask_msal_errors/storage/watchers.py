"""Sentry, OpenTelemetry and access logs, which report the requests that they watch.

Owns that no answer of the identity provider, no ticket and no signed link is reported.
None of these packages is imported: where they watch, they are loaded already.
"""

from __future__ import annotations

import collections.abc as cabc
import functools
import sys
import typing as t

from werkzeug.wrappers import Request

#: The parts of Sentry's description of a request that hold what was sent.
_SENT = frozenset({"query_string", "data", "cookies"})
#: Whole URLs that servers put into the environ.
_URLS = frozenset({"RAW_URI", "REQUEST_URI"})


def hide(request: Request, place: str, *secret: str) -> None:
    """Let a request be reported without what was sent; its ``args`` stay.

    Those who watch have taken it down already, at its start.

    :param place: the start of its path, which may be shown.
    :param secret: what is secret beside the query.
    """
    sentry: t.Any = sys.modules.get("sentry_sdk")
    if hasattr(sentry, "get_isolation_scope") and sentry.get_client().is_active():
        scope, bare = sentry.get_isolation_scope(), _without_what_was_sent(place)
        # Where nothing forks the scope for each request, it lives on.
        if bare not in getattr(scope, "_event_processors", ()):
            scope.add_event_processor(bare)
    tracing: t.Any = sys.modules.get("opentelemetry.trace")
    span = tracing and tracing.get_current_span()
    if getattr(span, "attributes", None):
        _hide_in(span, request.query_string.decode("latin-1"), *secret)
    if request.args:
        # Its repr has the URL, and so has what servers log at the end.
        environ = request.environ
        cut = {name: environ[name].partition("?")[0] for name in environ.keys() & _URLS}
        environ.update(cut, QUERY_STRING="")
        vars(request).pop("url", None)
        vars(request).pop("full_path", None)
        request.query_string = b""


@functools.lru_cache(maxsize=64)
def _without_what_was_sent(place: str) -> cabc.Callable[..., t.Any]:
    """Return a processor of Sentry's events, the same for the same place."""

    def bare(event: dict[str, t.Any], hint: object) -> dict[str, t.Any]:
        told = event.get("request", {})
        before, found, _ = str(told.get("url", "")).partition(place)
        kept = {name: told[name] for name in told.keys() - _SENT}
        shown = {**event, "request": {**kept, "url": before + found}}
        return shown if found else event

    return bare


def _hide_in(span: t.Any, *secrets: str) -> None:
    for name, value in dict(span.attributes).items():
        for secret in filter(None, secrets):
            if isinstance(value, str) and secret in value:
                value = value.replace(secret, "***")
                span.set_attribute(name, value)
