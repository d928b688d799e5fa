"""Probes of ``flask msal check --deep``: more requests, and a busy session store.

Returns results and prints nothing. No user takes part, nobody is signed in, and a token
that comes is dropped unread.
"""

from __future__ import annotations

import collections.abc as cabc
import concurrent.futures
import dataclasses
import re
import secrets
import statistics
import time
from urllib.parse import parse_qsl
from urllib.parse import urlsplit

import msal

from ..entra import codes
from ..errors import ServiceUnavailable
from ..errors import codes_of
from ..errors import field
from ..protocol.demand import printable
from ..protocol.scopes import WORLD_GRAPH
from ..provider.application import ProviderConnection
from ..provider.metadata import is_b2c
from ..provider.replies import Reply
from ..provider.replies import json_object
from ..settings import Settings
from ..storage.store import Store
from . import proof
from .checks import FIX
from .checks import OK
from .checks import WARNING
from .checks import Result

#: Round trips that are timed, and the milliseconds that one should take at most.
_TRIPS, _SLOW = 20, 50.0
#: Seconds that a second thread waits for a lock that is taken.
_WAIT = 0.2
#: Authorities that name no tenant: none has an app of its own there
#: (https://learn.microsoft.com/entra/identity-platform/v2-protocols).
_SHARED = ("common", "organizations", "consumers")
_GRAPHS = re.compile(r"[a-z0-9.-]*graph[a-z0-9.-]*")
#: Errors at the redirect URI that are due where nobody is signed in
#: (OpenID Connect Core 1.0 §3.1.2.6).
_DUE = {
    *("login_required", "interaction_required", "consent_required"),
    "account_selection_required",
}


def of_provider(
    connection: ProviderConnection, settings: Settings
) -> cabc.Iterator[Result]:
    """Yield what more requests tell: a token for the app itself, the redirect URI."""
    if settings.authority and not is_b2c(connection.metadata):
        yield own_token(connection, settings)
    yield redirect_uri(connection, settings)


def own_token(connection: ProviderConnection, settings: Settings) -> Result:
    """Tell whether Entra gives the app a token for itself, which proves its credential.

    Entra may look at a code before it looks at the client: a made-up code does not
    prove a secret there. The token is for Microsoft Graph, with the permissions that
    the app has without a user, which are none for most.
    """
    about, authority = "own token", urlsplit(str(settings.authority))
    tenant = authority.path.strip("/").partition("/")[0]
    if tenant.lower() in _SHARED:
        text = f"Not asked for: MSAL_AUTHORITY is for several tenants ({tenant})."
        remedy = "Check with the authority of the app's own tenant to try it."
        return Result(about, WARNING, f"{text} {remedy}")
    host = str(connection.metadata.get("msgraph_host", ""))
    scope = f"https://{host if _GRAPHS.fullmatch(host) else WORLD_GRAPH}/.default"

    def ask(app: msal.ConfidentialClientApplication, _: Settings) -> None:
        app.acquire_token_for_client([scope])

    reply = proof.answered(connection, settings, ask)
    if isinstance(reply, Result):
        return dataclasses.replace(reply, about=about)
    return _judged_token(reply)


def _judged_token(reply: Reply) -> Result:
    about, body = "own token", json_object(reply.text) or {}
    if reply.status_code == 200 and isinstance(body.get("access_token"), str):
        text = "Entra gave the app a token without a user, which was dropped: the"
        return Result(about, OK, f"{text} credential is right.")
    if proof.blames_client(body, reply.status_code):
        return Result(about, FIX, f"{proof.remedy(body)}.")
    error = printable(field(body, "error")) or f"HTTP {reply.status_code}"
    number = next(iter(codes_of(body)), None)
    hint = f"flask msal explain {number}" if number else "the sign-in log"
    text = f"Entra gave the app no token without a user ({error}). That proves nothing"
    return Result(about, WARNING, f"{text} of the credential; see {hint}.")


def redirect_uri(connection: ProviderConnection, settings: Settings) -> Result:
    """Tell whether the redirect URI is registered, by a sign-in that shows no page.

    It is asked for with ``prompt=none``: a provider sends its error to a registered
    redirect URI, and to no other (OpenID Connect Core 1.0 §3.1.2.6, RFC 6749
    §4.1.2.1). The redirect is not followed.
    """
    about, uri = "redirect URI", settings.redirect_uri
    if uri is None:
        text = "MSAL_REDIRECT_URI is not set, so nobody was asked whether it is"
        return Result(about, WARNING, f"{text} registered. Set it, and check again.")
    place, params = _sign_in(connection, settings, uri)
    try:
        # A GET would be redirected on.
        reply = connection.transport.send("POST", place, {"data": params})
    except OSError as error:
        text = f"{place} does not answer ({type(error).__name__}): nobody can sign in."
        return Result(about, FIX, f"{text} Look at what is in between.")
    return _judged_answer(reply, uri)


def _sign_in(
    connection: ProviderConnection, settings: Settings, uri: str
) -> tuple[str, dict[str, str]]:
    """Return where a sign-in begins, and its parameters, for an answer by redirect."""
    flow = connection.app.initiate_auth_code_flow(
        # MSAL warns of any other mode.
        list(settings.scopes),
        redirect_uri=uri,
        response_mode="form_post",
    )
    place, _, query = flow["auth_uri"].partition("?")
    more = {"prompt": "none", "response_mode": "query"}
    return place, {
        **dict(parse_qsl(query)),
        **(settings.authorization_parameters or {}),
        **more,
    }


def _judged_answer(reply: Reply, uri: str) -> Result:
    location = reply.headers.get("location", "")
    if 300 <= reply.status_code < 400 and location.partition("?")[0] == uri:
        return _judged_error(dict(parse_qsl(urlsplit(location).query)))
    about, found = "redirect URI", re.search(r"AADSTS([0-9]{4,9})\b", reply.text)
    known = codes.find(int(found[1])) if found else None
    if known and known.who == "developer":
        return Result(about, FIX, f"AADSTS{known.number}: {known.remedy}")
    if reply.status_code == 400 and "redirect" in reply.text.lower():
        text = "The provider refuses a sign-in to it: register exactly"
        return Result(about, FIX, f"{text} {uri}.")
    said = f"AADSTS{found[1]}" if found else f"HTTP {reply.status_code}"
    text = f"Whether it is registered cannot be told: the provider answered {said}"
    return Result(
        about, WARNING, f"{text}, and no redirect to it. Sign in once to try."
    )


def _judged_error(answer: cabc.Mapping[str, str]) -> Result:
    """Return what an answer at the redirect URI says of the registration."""
    about, error = "redirect URI", printable(answer.get("error", ""))
    if error in _DUE or not error:
        text = "It is registered: the provider sends its answer there"
        return Result(about, OK, f"{text} ({error or 'a code, which was dropped'}).")
    text = f"It is registered, but the provider refuses the sign-in ({error})."
    return Result(about, FIX, f"{text} See flask msal explain {error}.")


def session_store(store: Store, trip: cabc.Callable[[], None]) -> cabc.Iterator[Result]:
    """Yield how long the session store takes, and whether its locks keep others out.

    :param trip: writes, locks, reads and takes an entry.
    """
    try:
        yield _timed(trip)
        yield _locked(store)
    except ServiceUnavailable as error:
        yield Result("sessions", FIX, str(error))


def _timed(trip: cabc.Callable[[], None]) -> Result:
    taken = []
    for _ in range(_TRIPS):
        begun = time.perf_counter()
        trip()
        taken.append(1000 * (time.perf_counter() - begun))
    middle, most = statistics.median(taken), max(taken)
    text = f"A sign-in's entry is locked, written, read and taken in {middle:.1f} ms"
    text = f"{text} (median of {_TRIPS}; the slowest took {most:.1f} ms)."
    if middle <= _SLOW:
        return Result("sessions", OK, text)
    remedy = "Each page waits for a part of that: move the store near the app."
    return Result("sessions", WARNING, f"{text} {remedy}")


def _locked(store: Store) -> Result:
    """Tell whether a second thread is kept out while the first one holds a lock."""
    key = f"check-{secrets.token_urlsafe(16)}"
    with store.lock(key, 5), concurrent.futures.ThreadPoolExecutor(1) as pool:
        both = pool.submit(_enters, store, key).result()
    if both:
        text = "Two threads held one lock at once: users may be signed out at random,"
        remedy = "where refresh tokens work once. Look at what SESSION_TYPE names."
        return Result("sessions", FIX, f"{text} {remedy}")
    return Result("sessions", OK, "Its locks keep a second thread out.")


def _enters(store: Store, key: str) -> bool:
    try:
        with store.lock(key, 5, _WAIT):
            return True
    except ServiceUnavailable as error:
        if error.error != "session_busy":
            raise
        return False
