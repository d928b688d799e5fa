"""The metadata and keys of a provider, compared with the needs of the app.

Pure: reads what is there already.
"""

from __future__ import annotations

import collections.abc as cabc
import typing as t
from urllib.parse import urlsplit

from ..protocol.demand import printable
from ..protocol.scopes import RESERVED
from ..protocol.scopes import WORLD_GRAPH
from ..protocol.scopes import of_graph
from ..protocol.scopes import resource
from ..provider.application import MODES
from ..provider.application import ProviderConnection
from ..provider.application import left_out
from ..provider.client_auth import BASIC
from ..provider.client_auth import METHODS
from ..provider.client_auth import POST
from ..provider.client_auth import SecretSender
from ..provider.credentials import certificate
from ..provider.jwks import ALGORITHMS
from ..provider.jwks import SigningKey
from ..provider.jwks import entries_in
from ..provider.jwks import faults_in
from ..provider.metadata import is_b2c
from ..settings import AUTO
from ..settings import QUERY
from ..settings import Settings
from .checks import FIX
from .checks import OK
from .checks import WARNING
from .checks import Result

_ASSERTION = "private_key_jwt"


def kind(connection: ProviderConnection, settings: Settings) -> Result:
    """Tell who answers, and whether that is Microsoft behind a domain of its own."""
    metadata = connection.metadata
    text = f"It answers, as the issuer {metadata['issuer']}."
    if connection.is_entra and settings.oidc_authority:
        if urlsplit(metadata["token_endpoint"]).path.endswith("/oauth2/token"):
            text += " That is version 1.0 of Entra, which knows no scopes: let"
            remedy = "MSAL_OIDC_AUTHORITY end in /v2.0, or set MSAL_AUTHORITY instead."
            return Result("authority", FIX, f"{text} {remedy}")
        name = "Azure AD B2C" if is_b2c(metadata) else "Microsoft Entra"
        text += f" It is {name}, and is treated as with MSAL_AUTHORITY."
    return Result("authority", OK, text)


def client_authentication(connection: ProviderConnection) -> Result:
    """Tell how the app proves itself, and whether the provider lists that method."""
    about, listed = "client authentication", connection.metadata.get(METHODS)
    if isinstance(listed, list):
        why = "which the provider lists"
    else:
        listed, why = [BASIC], "the default where a provider lists no method"
    taken = printable(" ".join(map(str, listed)))
    if not isinstance(connection.credential.value, str):
        if _ASSERTION not in listed and not connection.is_entra:
            text = f"The app sends an assertion, but the provider lists only: {taken}."
            return Result(about, WARNING, f"{text} See its registration there.")
        return _assertion(about, connection)
    sender = connection.transport.sender
    first, *others = sender.methods if isinstance(sender, SecretSender) else [POST]
    text = f"The secret is sent as {first}"
    if first not in listed:
        text += f", but the provider takes only: {taken}. Unset MSAL_CLIENT_AUTH, or"
        text += " set another kind of MSAL_CLIENT_CREDENTIAL."
        return Result(about, FIX, text)
    second = f" If that is refused, as {others[0]}." if others else ""
    return Result(about, OK, f"{text}, {why}.{second}")


def _assertion(about: str, connection: ProviderConnection) -> Result:
    """Tell whether the provider takes the algorithm of a certificate's assertion."""
    value: t.Any = connection.credential.value
    if not {"private_key", "private_key_pfx_path"}.intersection(value):
        return Result(about, OK, f"The app sends an assertion ({_ASSERTION}).")
    alg = certificate.algorithm(value)
    listed = _words(connection, "token_endpoint_auth_signing_alg_values_supported")
    if listed is not None and alg not in listed:
        text = f"The app signs its assertion by {alg}, but the provider lists only:"
        text = f"{text} {printable(' '.join(listed))}. RS256 needs a thumbprint in"
        return Result(about, WARNING, f"{text} MSAL_CLIENT_CREDENTIAL.")
    text = f"The app sends an assertion ({_ASSERTION}), signed by {alg}."
    return Result(about, OK, text)


def scopes(connection: ProviderConnection, settings: Settings) -> Result | None:
    """Tell which scopes of the app another provider than Entra does not list.

    Entra lists none of any API; others need not list all (Discovery 1.0 §3).
    """
    listed = _words(connection, "scopes_supported")
    if connection.is_entra:
        return _of_cloud(str(connection.metadata.get("msgraph_host")), settings)
    if listed is None:
        return None
    own = [scope for scope in settings.scopes if scope not in RESERVED]
    for key, names in ("MSAL_SCOPES", own), ("MSAL_BASE_SCOPES", settings.base_scopes):
        unlisted = [name for name in names or () if name not in listed]
        if unlisted:
            text = f"{key} has {' '.join(unlisted)}, which the provider does not list."
            remedy = "It may grant that all the same; else a sign-in is refused:"
            return Result("scopes", WARNING, f"{text} {remedy} correct it.")
    return Result("scopes", OK, "The provider lists all scopes of MSAL_SCOPES.")


def _of_cloud(host: str, settings: Settings) -> Result | None:
    """Tell which scope of Graph is not written as the tenant's cloud has it.

    :param host: of Graph in that cloud, as the provider's metadata name it.
    """
    if resource(f"https://{host}/"):
        return None
    for scope in settings.scopes:
        if scope in RESERVED or resource(scope):
            continue
        # The id of Graph's app may stand there, too, which is the same in all clouds.
        place = urlsplit(scope).netloc.lower() if "/" in scope else WORLD_GRAPH
        if place not in ("", host):
            written = of_graph(scope.rpartition("/")[2], host)
            text = f"MSAL_SCOPES has {scope}, but Graph of this cloud is {host}."
            remedy = f"Write {written}, here and in the views."
            return Result("scopes", WARNING, f"{text} {remedy}")
    return None


def refresh(connection: ProviderConnection, settings: Settings) -> Result:
    """Tell what is known of refresh tokens, and of what they can be used for."""
    about = "refresh tokens"
    if connection.is_entra:
        text = "One serves all scopes that are consented to, whatever was asked first."
        return Result(about, OK, text)
    grants = _words(connection, "grant_types_supported")
    end = "if none comes, each expiry of an access token is a sign-in."
    if grants is not None and "refresh_token" not in grants:
        text = "The provider does not list the grant type refresh_token"
        return Result(about, WARNING, f"{text}: {end}")
    if "offline_access" in left_out(settings.base_scopes, connection.metadata):
        if settings.base_scopes:
            return Result(about, OK, f"MSAL_BASE_SCOPES has no offline_access: {end}")
        text = "The provider does not list offline_access, so it is not asked for"
        remedy = "If it knows that scope, MSAL_BASE_SCOPES can ask for it."
        return Result(about, WARNING, f"{text}: {end} {remedy}")
    text = "One is bound to what was granted (RFC 6749 §6), so a page that needs more"
    text = f"{text} leads to a sign-in. Some providers give one with"
    return Result(about, OK, f"{text} MSAL_PROMPT=consent only.")


def answers(
    connection: ProviderConnection, settings: Settings
) -> cabc.Iterator[Result]:
    """Tell in which way no answer of a sign-in would come, as far as it is listed."""
    about = "sign-in"
    for name, needed in (
        ("response_types_supported", "code"),
        ("grant_types_supported", "authorization_code"),
    ):
        listed = _words(connection, name)
        if listed is not None and needed not in listed:
            text = f"The provider's {name} has no {needed}, by which people sign in."
            yield Result(about, FIX, f"{text} Enable it there for this app.")
    yield _response_mode(connection, settings)


def _response_mode(connection: ProviderConnection, settings: Settings) -> Result:
    """Tell how codes come back, and whether the provider lists that."""
    about, listed = "response mode", _words(connection, MODES)
    uri, modes = settings.redirect_uri, connection.response_modes
    scheme = urlsplit(uri).scheme if uri else "https"
    mode = modes[scheme]
    if listed is not None and mode not in listed:
        text = f"Codes come back by {mode}, which the provider does not list."
        remedy = f"It lists {printable(' '.join(listed))}: see MSAL_RESPONSE_MODE."
        return Result(about, WARNING, f"{text} {remedy}")
    text = f"Codes come back by {mode}"
    if settings.response_mode != AUTO:
        return Result(about, OK, f"{text}, as MSAL_RESPONSE_MODE says.")
    if modes["https"] == QUERY:
        why = "the provider does not list form_post, which keeps them out of URLs"
    elif uri:
        why = f"the redirect URI is on {scheme}"
    else:
        why = "where people come by https, and by query on plain http"
        return Result(about, OK, f"{text} {why}.")
    return Result(about, OK, f"{text}, because {why}.")


def algorithms(connection: ProviderConnection) -> Result | None:
    """Tell whether ID tokens are signed by an algorithm that is accepted."""
    listed = _words(connection, "id_token_signing_alg_values_supported")
    if listed is None:
        return None
    about, good = "signing algorithms", [name for name in listed if name in ALGORITHMS]
    by_secret = [name for name in listed if name.startswith("HS")]
    remedy = "have this app's signed by RS256 there (id_token_signed_response_alg)."
    if not good:
        names = printable(" ".join(listed)) or "nothing"
        why = " It is keyed with the secret, which proves no provider." * bool(
            by_secret
        )
        text = f"ID tokens are signed by {names}, which is refused.{why} If it can be,"
        return Result(about, FIX, f"{text} {remedy}")
    text = f"ID tokens may be signed by {' '.join(good)}."
    if by_secret:
        text += f" {by_secret[0]} is listed, too, and is refused: if a sign-in says so,"
        text += f" {remedy}"
    return Result(about, OK, text)


def keys(
    connection: ProviderConnection, found: cabc.Sequence[SigningKey]
) -> cabc.Iterator[Result]:
    """Tell how many keys there are, and whether they fit the algorithms.

    :param found: at least one, once for each of its algorithms.
    """
    about, count = "signing keys", len({id(key.entry) for key in found})
    listed = _words(connection, "id_token_signing_alg_values_supported")
    good = {name for name in listed or () if name in ALGORITHMS}
    if good.isdisjoint(key.alg for key in found) and good:
        names = " ".join(sorted(good))
        text = f"None of the provider's keys can sign by {names}, as it says it does."
        yield Result(about, WARNING, f"{text} Let it publish such a key.")
    text = f"Keys that can sign ID tokens: {count}."
    yield Result(about, OK, text)


def distrusted(jwks: dict[str, t.Any]) -> cabc.Iterator[Result]:
    """Tell which keys are weak, or known to everybody."""
    for text in faults_in(jwks):
        remedy = "Let the provider sign by another one."
        yield Result("signing keys", WARNING, f"{text} {remedy}")


def unfit(jwks: dict[str, t.Any]) -> str:
    """Return what the keys are that sign no ID tokens, to end a sentence."""
    kinds = {
        f"{entry.get('kty')} for {entry.get('alg') or entry.get('use') or 'nothing'}"
        for entry in entries_in(jwks)
        if isinstance(entry, dict)
    }
    return printable(f", but {', '.join(sorted(kinds))}", 200) if kinds else ""


def sign_out(connection: ProviderConnection, settings: Settings) -> Result:
    """Tell whether a sign-out can end the session and refresh token at the provider."""
    revokes = isinstance(connection.metadata.get("revocation_endpoint"), str)
    more = " It revokes the refresh token (revocation_endpoint)." * revokes
    if settings.logout_url:
        text = "It ends the session at the provider, too, at MSAL_LOGOUT_URL."
        return Result("sign-out", OK, text + more)
    if isinstance(connection.metadata.get("end_session_endpoint"), str):
        text = "It ends the session at the provider, too (end_session_endpoint)."
        return Result("sign-out", OK, text + more)
    text = "The provider has no end_session_endpoint: a sign-out ends the session here"
    text = f"{text} only, and the next sign-in may ask for no password. If it has such"
    text = f"{text} a page all the same: MSAL_LOGOUT_URL.{more}"
    return Result("sign-out", WARNING, text)


def logout_elsewhere(
    connection: ProviderConnection, settings: Settings
) -> Result | None:
    """Tell what the provider can be given, to end sessions here by itself."""
    known = connection.metadata
    if known.get("backchannel_logout_supported") is not True:
        return None
    text = "The provider can end sessions here (back-channel logout): register"
    text = f"{text} {settings.url_prefix}/back-channel-logout of this app there, as"
    text = f"{text} backchannel_logout_uri."
    if known.get("backchannel_logout_session_supported") is not True:
        text += " It names no session (sid), so all sessions of the person end."
    return Result("sign-out elsewhere", OK, text)


def _words(connection: ProviderConnection, name: str) -> list[str] | None:
    """Return a list of the metadata, if it is there, without what is no string."""
    value = connection.metadata.get(name)
    if not isinstance(value, list):
        return None
    return [item for item in value if isinstance(item, str)]
