"""A probe of the app's credential: does the provider take it?

Redeems a code that nobody issued, in one token request as a sign-in makes it. A
provider authenticates the client first (RFC 6749 §3.2.1, §5.2): ``invalid_client``
blames the credential, ``invalid_grant`` the code alone. No user takes part.
"""

from __future__ import annotations

import collections.abc as cabc
import re
import typing as t

import msal
from msal.exceptions import MsalServiceError

from ..entra import codes
from ..entra.classify import from_result
from ..errors import ConfigurationError
from ..errors import MsalAuthError
from ..errors import codes_of
from ..errors import field
from ..protocol.demand import printable
from ..provider.application import ProviderConnection
from ..provider.client_auth import SecretSender
from ..provider.malformed import MALFORMED
from ..provider.replies import Reply
from ..provider.replies import json_object
from ..provider.transport import within
from ..session import msal_caches
from ..session.msal_caches import Caches
from ..settings import Settings
from .checks import FIX
from .checks import OK
from .checks import WARNING
from .checks import Result

#: A code that no provider has issued; one that logs codes shows who asked.
_CODE = "flask-msal-check"
#: Errors that blame the client; Keycloak has the second for a wrong secret.
_OF_CLIENT = ("invalid_client", "unauthorized_client")
#: B2C's numbers for the same, which stand in its descriptions alone
#: (https://learn.microsoft.com/azure/active-directory-b2c/error-codes).
_OF_B2C = re.compile("AADB2C(90018|90079|90081|90084):")
#: Entra's for a malformed code, with the error ``invalid_request``.
_MALFORMED_CODE = 90023


def credential(connection: ProviderConnection, settings: Settings) -> Result:
    """Tell whether the provider takes the app's credential.

    Sends it once; twice if the secret is refused and a second way of sending is listed.
    A redirect is not followed.
    """
    before = connection.transport.sender
    first = before.methods[0] if isinstance(before, SecretSender) else ""
    reply = answered(connection, settings, _redeem)
    if isinstance(reply, Result):
        return reply
    found = _judged(reply)
    by_secret = isinstance(connection.credential.value, str)
    return _with_way(found, before, first) if by_secret else found


def answered(
    connection: ProviderConnection,
    settings: Settings,
    ask: cabc.Callable[[msal.ConfidentialClientApplication, Settings], t.Any],
) -> Reply | Result:
    """Return the token endpoint's answer to a request of MSAL's, or why there is none.

    Nothing of the answer is stored.

    :param ask: makes the request.
    """
    if settings.verify is False:
        return _unknown("MSAL_VERIFY is false: the credential is not sent for a try.")
    transport, before = connection.transport, connection.transport.sender
    sent = _Kept(before)
    transport.sender = sent
    try:
        with msal_caches.bound(Caches()), within(settings.http_timeout):
            ask(connection.app, settings)
    except ConfigurationError as error:
        return Result("credential", FIX, str(error))
    except MsalAuthError as error:
        return _unknown(str(error))
    except (OSError, MsalServiceError, *MALFORMED) as error:
        # MSAL on an answer that it cannot read: that one is looked at here.
        if sent.reply is None:
            kind = type(error).__name__
            return _unknown(f"The token endpoint does not answer ({kind}).")
    finally:
        transport.sender = before
    return t.cast(Reply, sent.reply)


class _Kept:
    """Sends token requests, and keeps the last answer as it came."""

    def __init__(self, send: t.Any) -> None:
        self._send = send
        self.reply: Reply | None = None

    def __call__(self, verb: str, url: str, kwargs: dict[str, t.Any]) -> Reply:
        self.reply = self._send(verb, url, kwargs)
        return t.cast(Reply, self.reply)


def _redeem(app: msal.ConfidentialClientApplication, settings: Settings) -> None:
    uri = settings.redirect_uri or f"https://localhost{settings.url_prefix}/callback"
    # MSAL warns of any other mode; nobody visits the address.
    flow = app.initiate_auth_code_flow([], redirect_uri=uri, response_mode="form_post")
    answer = {"state": flow["state"], "code": _CODE}
    app.acquire_token_by_auth_code_flow(flow, answer)


def _judged(reply: Reply) -> Result:
    """Return what an answer of the token endpoint says of the credential."""
    body, status = json_object(reply.text), reply.status_code
    if status == 429 or not (status < 300 or 400 <= status < 500):
        return _unknown(f"The token endpoint answered HTTP {status}.")
    if body is None:
        hint = " Often that is a refused credential." if status == 401 else ""
        text = f"The token endpoint answered HTTP {status} without a JSON object."
        return _unknown(text + hint)
    error = field(body, "error")
    if not error and status >= 400:
        return _unknown(f"The token endpoint answered HTTP {status}, and not why.")
    if not error:
        text = "The token endpoint took a code that nobody issued"
        return _unknown(f"{text}: let no such provider sign people in.")
    if blames_client(body, status):
        return Result("credential", FIX, f"{remedy(body)}.")
    if error == "invalid_grant" or _is_about_code(body):
        text = f"The provider refused a code that check made up ({printable(error)})"
        return Result("credential", OK, f"{text}, and nothing of the credential.")
    return _unknown(f"To a made-up code, the token endpoint said {printable(error)}.")


def blames_client(body: dict[str, t.Any], status: int) -> bool:
    """Tell whether an error is about the client.

    A provider may say so by the status alone (RFC 6749 §5.2), as Auth0 does, whose word
    is ``access_denied``.
    """
    error = field(body, "error")
    if error in _OF_CLIENT or (status == 401 and error != "invalid_grant"):
        return True
    return _OF_B2C.match(field(body, "error_description")) is not None


def _is_about_code(body: dict[str, t.Any]) -> bool:
    """Tell whether Entra's number is one for codes, whatever word is beside it."""
    rows = [codes.find(number) for number in codes_of(body)]
    return any(
        row and (row.who == "user" or row.number == _MALFORMED_CODE) for row in rows
    )


def remedy(body: dict[str, t.Any]) -> str:
    """Return what to do, without its full stop.

    Only Entra's numbers tell more than that the credential or the client is refused.
    """
    told = from_result(body)
    if codes_of(body) and isinstance(told, ConfigurationError):
        return str(told)
    number = _OF_B2C.match(field(body, "error_description"))
    word = number[0][:-1] if number else printable(field(body, "error"))
    return f"{codes.REMEDIES['invalid_client'].rstrip('.')} ({word})"


def _unknown(why: str) -> Result:
    text = f"{why} Whether the credential is taken cannot be told."
    return Result("credential", WARNING, text)


def _with_way(result: Result, sender: t.Any, first: str) -> Result:
    """Return the result with the way of sending that it is about, if there are more."""
    if not isinstance(sender, SecretSender) or result.level == WARNING:
        return result
    taken, *others = sender.methods
    if result.level == OK and taken != first:
        setting = taken.removeprefix("client_secret_")
        text = f"It takes the secret as {taken}, not as {first}: with MSAL_CLIENT_AUTH"
        more = f"{text} set to {setting}, each process is spared a refused request."
    elif result.level == FIX and others:
        more = f"It was sent as {taken}, and then as {others[0]}."
    elif result.level == FIX:
        more = f"It was sent as {taken}; MSAL_CLIENT_AUTH can say another way."
    else:
        return result
    return Result(result.about, result.level, f"{result.text} {more}")
