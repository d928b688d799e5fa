"""Probes of the session store, and of the identity provider over the network.

Returns results and prints nothing; changes nothing but an entry that it takes away
again.
"""

from __future__ import annotations

import collections.abc as cabc
import contextlib
import email.utils
import secrets
import socket
import ssl
import time
import typing as t
from datetime import timedelta
from urllib.parse import urlsplit

import requests
from cryptography import x509
from flask import Flask

from ..errors import MsalAuthError
from ..errors import ServiceUnavailable
from ..provider.application import Provider
from ..provider.application import ProviderConnection
from ..provider.clocks import LEEWAY
from ..provider.jwks import keys_in
from ..provider.replies import Reply
from ..provider.replies import json_object
from ..settings import Settings
from ..settings import key_of
from ..signin import b2c
from ..storage.base import Backend
from ..storage.base import Reach
from ..storage.codec import Codec
from ..storage.codec import Stored
from ..storage.store import Store
from . import deep
from . import offers
from . import proof
from .checks import FIX
from .checks import OK
from .checks import WARNING
from .checks import Result
from .checks import validity

_ENTRY_LIFETIME = timedelta(minutes=1)
#: Seconds to wait for the lock of an entry that nobody else knows.
_PATIENCE = 5.0
#: Seconds that clocks may differ before somebody should look at NTP.
_DRIFT = 30
#: A provider renews the certificate of its host by itself, mostly 30 days ahead.
_SOON = timedelta(days=7)


def session_store(
    app: Flask, settings: Settings, *, is_deep: bool = False
) -> cabc.Iterator[Result]:
    """Whether entries come back from the sessions' backend, and how far it reaches.

    :param is_deep: time it, and try its locks, see :mod:`.deep`.
    """
    store = Store(app, settings.registration.name)
    codec = Codec(settings.encryption_keys)
    try:
        round_trip(store, codec, "x" * 1000)
    except ServiceUnavailable as error:
        yield Result("sessions", FIX, str(error))
        return
    encrypted = "encrypted" if settings.encryption_keys else "not encrypted"
    interface: t.Any = app.session_interface
    backend: Backend = interface.msal_backend
    reach = backend.lock_reach.value.capitalize()
    yield Result(
        "sessions",
        OK,
        f"{backend_name(interface)} keeps entries, {encrypted}, for"
        f" {_hours(app)} hours. {reach} wait for one another's token requests.",
    )
    yield _sharing(backend)
    yield from _forms(store, codec, settings)
    if is_deep:
        yield from deep.session_store(store, lambda: round_trip(store, codec, "x"))


def of_provider(settings: Settings, *, is_deep: bool = False) -> cabc.Iterator[Result]:
    """Whether the identity provider answers, with keys, and tells the same time.

    :param is_deep: try what only more requests tell, see :mod:`.deep`.
    """
    with _connected(settings) as (results, connection):
        yield from results
        if connection is None:
            return
        yield from user_flows(settings)
        yield offers.client_authentication(connection)
        yield proof.credential(connection, settings)
        if is_deep:
            yield from deep.of_provider(connection, settings)
        yield from offers.answers(connection, settings)
        published = offers.scopes(connection, settings), offers.algorithms(connection)
        yield from filter(None, published)
        yield from _keys_and_clock(connection)
        yield offers.refresh(connection, settings)
        yield offers.sign_out(connection, settings)
        yield from filter(None, [offers.logout_elsewhere(connection, settings)])
    yield tls(connection.metadata["token_endpoint"], settings)


def user_flows(settings: Settings) -> cabc.Iterator[Result]:
    """Whether the user flows of Azure AD B2C answer that people come to later."""
    for name, own in b2c.settings_of_flows(settings).items():
        try:
            connection = Provider(own).connection()
        except MsalAuthError as error:
            yield Result("user flow", FIX, str(error))
            continue
        connection.transport.close()
        key = key_of(f"{name}_authority")
        yield Result("user flow", OK, f"{key} answers.")


def of_api(settings: Settings, *, is_deep: bool = False) -> cabc.Iterator[Result]:
    """Whether the provider answers an API, which checks tokens and signs nobody in.

    :param is_deep: get a token for the app itself, too.
    """
    with _connected(settings) as (results, connection):
        yield from results
        if connection is None:
            return
        if settings.client_credential is not None:
            yield proof.credential(connection, settings)
            if is_deep:
                yield deep.own_token(connection, settings)
        yield from _keys_and_clock(connection)
    yield tls(connection.metadata["token_endpoint"], settings)


@contextlib.contextmanager
def _connected(
    settings: Settings,
) -> cabc.Iterator[tuple[list[Result], ProviderConnection | None]]:
    """Yield first results, and the connection to the provider if it answers."""
    found: list[Result] = []
    if settings.verify is False:
        text = "MSAL_VERIFY is false: anybody in between can read secrets and tokens."
        found = [Result("TLS", FIX, f"{text} Point it to the CA's bundle instead.")]
    try:
        connection = Provider(settings).connection()
    except MsalAuthError as error:
        yield [*found, Result("authority", FIX, str(error))], None
        return
    with contextlib.closing(connection.transport):
        yield [*found, offers.kind(connection, settings)], connection


class _Probe(Stored, tag="probe-1"):
    text: str


def round_trip(store: Store, codec: Codec, text: str) -> None:
    """Write, lock, read and take an entry, as sign-ins and forms do."""
    key = f"check-{secrets.token_urlsafe(16)}"
    with store.lock(key, _PATIENCE):
        store.write(key, codec.encode(_Probe(text)), _ENTRY_LIFETIME)
        kept = store.read(key)
    taken = store.take(key)
    good = kept == taken and codec.decode(_Probe, kept) == _Probe(text)
    if not good or store.read(key) is not None:
        raise ServiceUnavailable(
            f"The session store lost or changed an entry of {len(text)} characters. See"
            " its limits of size and number.",
            error="session_store_unavailable",
        )


def _forms(store: Store, codec: Codec, settings: Settings) -> cabc.Iterator[Result]:
    """Whether the largest interrupted form fits: base64 makes 4 bytes of 3."""
    size = settings.replay_limit
    try:
        round_trip(store, codec, "x" * (size * 4 // 3))
    except ServiceUnavailable as error:
        text = f"An interrupted form of {size} bytes (MSAL_REPLAY_LIMIT) is not kept:"
        yield Result("sessions", WARNING, f"{text} {error}")


def backend_name(interface: t.Any) -> str:
    """The class that the guard is mixed into, and its cache."""
    name = type(interface).__bases__[-1].__name__.removesuffix("SessionInterface")
    cache = getattr(interface, "cache", None)
    return f"{name} ({type(cache).__name__})" if cache is not None else name


def _hours(app: Flask) -> str:
    return f"{app.permanent_session_lifetime / timedelta(hours=1):g}"


def _sharing(backend: Backend) -> Result:
    if backend.shared_by is Reach.PROCESS:
        text = "Entries are this process's: another worker does not know its sign-ins."
        return Result("sessions", WARNING, f"{text} Use a server, such as Redis.")
    if backend.shared_by is Reach.HOST:
        return Result("sessions", OK, "Entries are this host's: good for one host.")
    return Result("sessions", OK, "All hosts that use this backend share its entries.")


def _keys_and_clock(connection: ProviderConnection) -> cabc.Iterator[Result]:
    uri, asked = connection.metadata["jwks_uri"], time.time()
    try:
        reply = connection.transport.send("GET", uri, {})
        jwks = json_object(reply.text) or {}
        found = keys_in(jwks)
    except OSError as error:
        text = f"{uri} gives no keys ({type(error).__name__}): nobody can sign in."
        yield Result("signing keys", FIX, text)
        return
    yield from offers.distrusted(jwks)
    if reply.status_code != 200 or not found:
        text = f"{uri} answers {reply.status_code} without keys that sign ID tokens"
        yield Result("signing keys", FIX, f"{text}{offers.unfit(jwks)}.")
        return
    yield from offers.keys(connection, found)
    yield clock(reply, asked, time.time())


def clock(reply: Reply, asked: float, answered: float) -> Result:
    """Whether our clock is the provider's, by the ``Date`` of an answer.

    :param asked: Unix time when it was asked, by our clock.
    :param answered: Unix time when the answer was there.
    """
    try:
        date = email.utils.parsedate_to_datetime(reply.headers.get("date", ""))
    except (ValueError, TypeError):
        return Result("clock", WARNING, "The provider does not say what time it is.")
    age = reply.headers.get("age", "")
    theirs = date.timestamp() + (int(age) if age.isascii() and age.isdigit() else 0)
    # Date has whole seconds.
    off = max(asked - theirs - 1, theirs - answered, 0)
    if off <= _DRIFT:
        return Result("clock", OK, "It agrees with the identity provider's.")
    level = FIX if off > LEEWAY else WARNING
    side = "behind" if theirs > answered else "ahead of"
    text = f"It is {off:.0f} seconds {side} the identity provider's: set it by NTP."
    return Result(
        "clock", level, f"{text} ID tokens are refused past {LEEWAY} seconds."
    )


def tls(url: str, settings: Settings) -> Result:
    """Until when the certificate of a URL's host is good.

    It is read by a connection of our own, which checks nothing: whether it is trusted,
    discovery has shown.
    """
    host, port = str(urlsplit(url).hostname), urlsplit(url).port or 443
    proxies = requests.utils.get_environ_proxies(url)
    if settings.http_client or requests.utils.select_proxy(url, proxies):
        text = f"{host} is behind a proxy or MSAL_HTTP_CLIENT: certificate not seen."
        return Result("TLS", OK, text)
    try:
        found = _certificate_of(host, port, settings.http_timeout)
    except (OSError, ValueError) as error:
        text = f"The certificate of {host} cannot be seen ({type(error).__name__})."
        return Result("TLS", WARNING, text)
    return validity("TLS", found, f"The certificate of {host}", _SOON)


def _certificate_of(host: str, port: int, timeout: float) -> x509.Certificate:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    with (
        socket.create_connection((host, port), timeout) as connection,
        context.wrap_socket(connection, server_hostname=host) as secured,
    ):
        der = secured.getpeercert(binary_form=True)
    return x509.load_der_x509_certificate(der or b"")
