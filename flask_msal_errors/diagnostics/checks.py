"""Checks of an app's settings without network: redirect URI, cookies, credential.

Returns results and prints nothing. Asks nobody; what is tried for real is in
``probes``.
"""

from __future__ import annotations

import collections.abc as cabc
import dataclasses
import datetime
import difflib
import inspect
import re
import typing as t
from datetime import timedelta
from urllib.parse import urlsplit

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from flask import Flask
from msal import SystemAssignedManagedIdentity

from ..entra.spelling import as_registered
from ..errors import ConfigurationError
from ..navigation import HOST_PREFIX
from ..parsers import GUID
from ..provider.credentials import certificate
from ..provider.credentials.loading import load
from ..provider.metadata import PERSONAL
from ..settings import Settings
from ..signin import addresses
from ..state import led_past
from ..storage.session_cookie import covers
from ..storage.session_cookie import may_be_prefixed
from ..storage.session_cookie import on_https
from .reached import Reached
from .reached import reached

OK, WARNING, FIX = "ok", "warning", "fix"

#: Bytes of SECRET_KEY: below the first it can be guessed, the second is recommended.
_LEAST_KEY, _GOOD_KEY = 16, 32
#: A client certificate is renewed by hand.
_SOON = timedelta(days=30)


@dataclasses.dataclass(frozen=True, slots=True)
class Result:
    """A thing that was looked at, how it is, and what to do.

    ``level``: :data:`OK`, :data:`WARNING` or :data:`FIX`. ``text`` holds no secret.
    """

    about: str
    level: str
    text: str


def of_app(app: Flask, settings: Settings) -> cabc.Iterator[Result]:
    """All checks of this module, one after the other."""
    yield redirect_uri(app, settings)
    yield from origins(app, settings)
    yield from cookies(app, settings)
    yield from credential(settings)
    yield from tenants(settings)
    yield from scopes(settings)
    yield from public_endpoints(app, settings)
    yield from sockets(app)


def sockets(app: Flask) -> cabc.Iterator[Result]:
    """Tell of handlers of Flask-SocketIO that run without their guard, or never."""
    server = getattr(app.extensions.get("socketio"), "server", None)
    found = [
        (place, event, getattr(handler, "__wrapped__", handler))
        for place, handlers in getattr(server, "handlers", {}).items()
        for event, handler in handlers.items()
    ]
    found += [
        (place, name.removeprefix("on_"), getattr(methods, name))
        for place, methods in getattr(server, "namespace_handlers", {}).items()
        for name in dir(methods)
        if name.startswith("on_")
    ]
    for place, event, view in found:
        runs = getattr(view, "runs_in_events", False)
        if inspect.iscoroutinefunction(view) and not runs:
            yield _never_runs(event, place)
        for name, _ in led_past(app, view):
            text = f"{name} is above the handler of {event!r} in {place!r}, which runs"
            remedy = "without it: put it below socketio.on, on the handler itself."
            yield Result("Socket.IO", FIX, f"{text} {remedy}")


def _never_runs(event: str, namespace: str) -> Result:
    text = f"The handler of {event!r} in {namespace!r} is async: Flask-SocketIO never"
    cause = "awaits it, no guard in it runs, and its 'connect' lets everybody in."
    remedy = "Put a decorator of this package outermost, or write it with def."
    return Result("Socket.IO", FIX, f"{text} {cause} {remedy}")


def tenants(settings: Settings) -> cabc.Iterator[Result]:
    """Tell whether the allowed tenants leave out the one that the authority is of."""
    allowed, name = settings.allowed_tenants, settings.tenant.lower()
    own = PERSONAL if settings.authority and name == "consumers" else name
    if (
        allowed
        and "*" not in allowed
        and re.fullmatch(GUID, own)
        and own not in allowed
    ):
        key = "MSAL_AUTHORITY" if settings.authority else "MSAL_OIDC_AUTHORITY"
        text = f"{key} is of the tenant {own}, which MSAL_ALLOWED_TENANTS leaves out:"
        remedy = "nobody can sign in. Add it, or leave the list out for one tenant."
        yield Result("tenants", FIX, f"{text} {remedy}")


def scopes(settings: Settings) -> cabc.Iterator[Result]:
    """Tell whether Entra writes the scopes of ``MSAL_SCOPES`` in another way."""
    if settings.oidc_authority:
        return
    for scope in settings.scopes:
        written = as_registered(scope)
        if written != scope:
            text = f"MSAL_SCOPES has {scope}, which is registered as {written}."
            remedy = "Both work. Write it so, here and in the views, and logs agree."
            yield Result("scopes", WARNING, f"{text} {remedy}")


def public_endpoints(app: Flask, settings: Settings) -> cabc.Iterator[Result]:
    """Tell of endpoints in ``MSAL_PUBLIC_ENDPOINTS`` that the app does not have."""
    for name in settings.public_endpoints:
        place = name[:-1] if name.endswith(".*") else ""
        inside = place and any(e.startswith(place) for e in app.view_functions)
        if not inside and name not in app.view_functions:
            near = difflib.get_close_matches(name, app.view_functions, n=1)
            hint = f" Did you mean {near[0]}?" if near else " See flask routes."
            text = f"MSAL_PUBLIC_ENDPOINTS has {name}, which the app does not have."
            yield Result("public endpoints", FIX, text + hint)


def redirect_uri(app: Flask, settings: Settings) -> Result:
    """Tell whether the redirect URI leads to the callback, and what to register."""
    path = f"{settings.url_prefix}/callback"
    way, uri = reached(app, path), settings.redirect_uri
    if uri is None:
        fixed = None if app.url_map.host_matching else app.config.get("SERVER_NAME")
        return _from_requests(way, path, fixed or "<host>")
    about, outside = "redirect URI", urlsplit(uri).path
    if not outside.endswith(path):
        text = f"MSAL_REDIRECT_URI is {uri}, but the callback is at {way.prefix}{path}:"
        remedy = "nobody would come back. Correct it, or MSAL_URL_PREFIX."
        return Result(about, FIX, f"{text} {remedy}")
    if not outside.endswith(way.prefix + path):
        text = f"MSAL_REDIRECT_URI is {uri}, but the app is mounted at {way.prefix}."
        remedy = f"The callback is at {way.prefix}{path}, unless a proxy changes paths."
        return Result(about, WARNING, f"{text} {remedy}")
    place = "" if settings.oidc_authority else ", under the platform 'Web'"
    return Result(about, OK, f"Exactly {uri} must be registered{place}.")


def _from_requests(way: Reached, path: str, host: str) -> Result:
    """Return the result for a redirect URI that is taken from each request."""
    prefix = "<prefix>" if way.forwarded else ""
    register = f"Register https://{host}{prefix}{way.prefix}{path}"
    taken = "MSAL_REDIRECT_URI is not set: it is taken from each request"
    if way.https:
        text = f"{taken}, as the proxy forwards it. {register}."
        return Result("redirect URI", OK, text)
    text = f"{taken}, so behind a proxy the app needs werkzeug's ProxyFix (x_proto=1)."
    text = f"{text} {register}, or set MSAL_REDIRECT_URI."
    return Result("redirect URI", WARNING, text)


def origins(app: Flask, settings: Settings) -> cabc.Iterator[Result]:
    """Tell whether the redirect URI's host and path are those of the app's pages."""
    for text in addresses.untrusted(app, settings):
        yield Result("origin", FIX, text)
    for text in (*addresses.elsewhere(app, settings), *_unknown_prefix(app, settings)):
        yield Result("origin", WARNING, text)


def _unknown_prefix(app: Flask, settings: Settings) -> cabc.Iterator[str]:
    """Yield what is wrong if only the redirect URI knows a path above the app."""
    path = f"{settings.url_prefix}/callback"
    way, outside = reached(app, path), urlsplit(settings.redirect_uri or "").path
    prefix = outside.removesuffix(path)
    if prefix in ("", outside) or way.prefix or way.forwarded:
        return
    text = f"MSAL_REDIRECT_URI is {settings.redirect_uri}, but nothing here tells the"
    cause = f"app that it is below {prefix}: it has its callback at {path}."
    remedy = "Let the proxy send X-Forwarded-Prefix, and use ProxyFix with x_prefix=1."
    yield f"{text} {cause} {remedy}"


def cookies(app: Flask, settings: Settings) -> cabc.Iterator[Result]:
    """The session cookie's attributes, and the key that our own are signed with."""
    config: dict[str, t.Any] = {**app.config}
    is_https = (
        settings.is_https or reached(app, f"{settings.url_prefix}/callback").https
    )
    if is_https:
        config.update(on_https(config))
    if not config["SESSION_COOKIE_SECURE"]:
        text = "SESSION_COOKIE_SECURE is off: the session goes over plain http, too."
        yield Result("cookies", WARNING, f"{text} Set it to true.")
    if not config["SESSION_COOKIE_HTTPONLY"]:
        text = "SESSION_COOKIE_HTTPONLY is off: scripts can read it. Leave it out."
        yield Result("cookies", FIX, text)
    yield from _name(config, is_https)
    yield from _path(app, settings)
    yield from _same_site(config)
    keys = [app.secret_key or b"", *(config.get("SECRET_KEY_FALLBACKS") or ())]
    size = min(len(key.encode() if isinstance(key, str) else key) for key in keys)
    if size < _GOOD_KEY:
        text = f"SECRET_KEY has {size} bytes. Take {_GOOD_KEY}: secrets.token_hex()."
        yield Result("cookies", FIX if size < _LEAST_KEY else WARNING, text)
    else:
        yield Result("cookies", OK, "SECRET_KEY is long enough.")


def _name(config: cabc.Mapping[str, t.Any], is_https: bool) -> cabc.Iterator[Result]:
    name, needs = config["SESSION_COOKIE_NAME"], "path '/', no SESSION_COOKIE_DOMAIN"
    prefixed = str(name).startswith(HOST_PREFIX)
    if prefixed and not may_be_prefixed(config):
        text = f"SESSION_COOKIE_NAME is {name}: browsers take it only with {needs}."
        yield Result("cookies", FIX, f"{text} Leave these settings out.")
    elif is_https and not prefixed:
        text = f"SESSION_COOKIE_NAME is not {HOST_PREFIX}session or alike: other hosts"
        remedy = f"of the domain can set the cookie. Set it ({needs})."
        yield Result("cookies", WARNING, f"{text} {remedy}")


def _path(app: Flask, settings: Settings) -> cabc.Iterator[Result]:
    path = app.config["SESSION_COOKIE_PATH"]
    callback = f"{settings.url_prefix}/callback"
    way = reached(app, callback) if path else None
    if way is None or way.forwarded:
        return
    seen = urlsplit(settings.redirect_uri or "").path or way.prefix + callback
    if not covers(path, seen):
        text = (
            f"SESSION_COOKIE_PATH is {path}: unless the app is mounted there, browsers"
        )
        remedy = f"send no session to {seen} and the sign-out. Leave it out."
        yield Result("cookies", WARNING, f"{text} {remedy}")


def _same_site(config: cabc.Mapping[str, t.Any]) -> cabc.Iterator[Result]:
    same_site = str(config["SESSION_COOKIE_SAMESITE"] or "").lower()
    if same_site == "none" and not config["SESSION_COOKIE_SECURE"]:
        text = "SESSION_COOKIE_SAMESITE is None without SESSION_COOKIE_SECURE: browsers"
        yield Result("cookies", FIX, f"{text} drop the cookie. Set it to 'Lax'.")
    elif same_site != "lax":
        text = "SESSION_COOKIE_SAMESITE is not 'Lax': other sites' requests may carry"
        yield Result("cookies", WARNING, f"{text} the session. Set it to 'Lax'.")


def credential(settings: Settings) -> cabc.Iterator[Result]:
    """Check the app's credential, and how long it is valid, as far as can be seen."""
    about = "credential"
    try:
        value: t.Any = load(settings.client_credential).value
        if isinstance(value, str):
            yield _secret(value, settings)
        elif SystemAssignedManagedIdentity.is_managed_identity(value):
            yield Result(about, OK, "A managed identity: nothing here expires.")
        elif value.get("client_assertion"):
            yield Result(about, OK, "An assertion of the app's own.")
        else:
            key, found = certificate.loaded(value)
            yield from _certificate(key, found, value.get("thumbprint"))
    except ConfigurationError as error:
        yield Result(about, FIX, str(error))


def _secret(value: str, settings: Settings) -> Result:
    text = "A client secret. When it expires cannot be seen from here: look"
    if settings.oidc_authority:
        # Keycloak made GUIDs (https://github.com/keycloak/keycloak/issues/11897).
        return Result("credential", OK, f"{text} at the app's registration there.")
    if re.fullmatch(GUID, value, re.IGNORECASE):
        text = "MSAL_CLIENT_CREDENTIAL looks like the ID of a secret: set its value."
        return Result("credential", FIX, text)
    text = f"{text} under 'Certificates & secrets' of the app registration."
    return Result("credential", OK, text)


def _certificate(
    key: t.Any, found: list[x509.Certificate], thumbprint: str | None
) -> cabc.Iterator[Result]:
    about = "credential"
    if not found:
        text = (
            "A key with a thumbprint; without public_certificate its end is not seen."
        )
        yield Result(about, WARNING, text)
        return
    own = found[0]
    if own.public_key() != key.public_key():
        text = (
            "The private key is not the certificate's: Entra would refuse it (700027)."
        )
        yield Result(about, FIX, text)
    print_ = own.fingerprint(hashes.SHA1()).hex()
    if thumbprint and thumbprint.replace(":", "").lower() != print_:
        text = f"thumbprint is not the certificate's, which is {print_}. Correct it."
        yield Result(about, FIX, text)
    yield validity(about, own, f"The certificate {print_[:8]}…", _SOON)


def validity(about: str, found: x509.Certificate, name: str, soon: timedelta) -> Result:
    """Whether a certificate is good now, and for longer than ``soon``."""
    now = datetime.datetime.now(datetime.timezone.utc)
    start, end = found.not_valid_before_utc, found.not_valid_after_utc
    if not start <= now <= end:
        text = f"{name} is good from {start:%Y-%m-%d} to {end:%Y-%m-%d} only: renew it."
        return Result(about, FIX, text)
    level = OK if end - now > soon else WARNING
    text = f"{name} is good until {end:%Y-%m-%d}, {(end - now).days} days."
    return Result(about, level, text)
