"""Events of a sign-in: signals (https://blinker.readthedocs.io) and log lines.

Each signal is sent with the Flask app as its sender. No argument holds a token. Later
versions may send more: a receiver takes ``**extra``.

Each also has a line in the log ``flask_msal_errors``, with fields for JSON loggers
(``extra``), which are empty if there is nothing to tell:

* ``msal_event``: the name of the signal, ``sign_in_begun`` or
  ``session_store_failed``;
* ``msal_error``: Entra's ``error``, or the name of our class;
* ``msal_codes``, ``msal_correlation_id``, ``msal_reason``: as the error has them; the
  reason of a ``StateMismatch`` is ``other_key``, ``other_origin``, ``expired`` or
  ``unknown``;
* ``msal_user``: a digest of the account, which names nobody.
"""

from __future__ import annotations

import logging
import typing as t

from blinker import NamedSignal
from blinker import Namespace
from flask import current_app
from flask import has_app_context

from .errors import AccessDenied
from .errors import MsalAuthError
from .errors import Throttled
from .protocol.demand import printable
from .user import User

logger = logging.getLogger("flask_msal_errors")

_signals = Namespace()

#: ``user``, ``reason``: somebody signed in, in a session where nobody was. It still
#: holds what the visitor put there. Flask-WTF's secret is renewed; a receiver can renew
#: what else must not be known from before.
signed_in = _signals.signal("signed_in")
#: ``user``, ``reason``: the signed-in user signed in again for what was missing.
reauthenticated = _signals.signal("reauthenticated")
#: ``user``: who signed out, or ``None``.
signed_out = _signals.signal("signed_out")
#: ``session``: its id was changed, by a sign-in, a sign-out or the app.
session_id_changed = _signals.signal("session_id_changed")
#: ``error``: an :exc:`InteractionRequired`, of an API or the token endpoint;
#: ``silent``: whether a new token met it, or the user has to.
challenge_received = _signals.signal("challenge_received")
#: ``url``: the view at this path begins, with a form that was kept; a request that is
#: stopped before its view sends nothing.
request_resumed = _signals.signal("request_resumed")
#: ``error``: a :exc:`Throttled` that is raised, with its ``retry_after`` in seconds;
#: once, whoever answers it.
throttled = _signals.signal("throttled")
#: ``error``: why a sign-in was not completed.
sign_in_failed = _signals.signal("sign_in_failed")

#: Event → level and words of its line.
LINES = {
    "sign_in_begun": (logging.INFO, "A sign-in begins"),
    "signed_in": (logging.INFO, "A sign-in was completed"),
    "reauthenticated": (logging.INFO, "A sign-in was completed"),
    "signed_out": (logging.INFO, "A user signed out"),
    "challenge_received": (logging.INFO, "A token was refused"),
    "request_resumed": (logging.INFO, "An interrupted form goes on"),
    "throttled": (logging.WARNING, "A pause is asked for"),
    "sign_in_failed": (logging.WARNING, "A sign-in failed"),
    "session_store_failed": (logging.ERROR, "A request has no session store"),
}
#: Events whose line has the error's own words.
_FAILURES = frozenset({"sign_in_failed", "session_store_failed"})


def emit(signal: NamedSignal, **data: t.Any) -> None:
    """Send a signal of the current app, and log it."""
    signal.send(current_app._get_current_object(), **data)  # type: ignore[attr-defined]
    if signal.name in LINES:
        log(signal.name, **data)


def announce(error: MsalAuthError) -> None:
    """Emit :data:`throttled` for an error that asks for a pause, once."""
    if isinstance(error, Throttled) and not error.announced and has_app_context():
        error.announced = True
        emit(throttled, error=error)


def fail(error: MsalAuthError) -> None:
    """Emit :data:`sign_in_failed` for an error, once."""
    if not error.failed:
        error.failed = True
        emit(sign_in_failed, error=error)


def log(event: str, **data: t.Any) -> None:
    """Log the line of an event."""
    level, line = LINES[event]
    error = data.get("error")
    if isinstance(error, AccessDenied) and error.is_choice:
        level = logging.INFO
    fields = _fields(event, **data)
    codes = [f"AADSTS{code}" for code in fields["msal_codes"]]
    id_ = fields["msal_correlation_id"]
    told = [fields["msal_error"], fields["msal_reason"], *codes]
    told += [f"correlation id {id_}"] if id_ else []
    if event in _FAILURES:
        line, told = f"{line}: {data['error']}", []
    about = ", ".join(dict.fromkeys(filter(None, told)))
    logger.log(level, "%s", f"{line} ({about})." if about else line, extra=fields)


def _fields(
    event: str,
    error: MsalAuthError | None = None,
    user: User | None = None,
    reason: str = "",
    **_: t.Any,
) -> dict[str, t.Any]:
    named = getattr(error, "error", "") or type(error).__name__
    return {
        "msal_event": event,
        "msal_error": printable(named) if error else "",
        "msal_codes": list(error.codes) if error else [],
        "msal_correlation_id": printable(error.correlation_id) if error else "",
        "msal_reason": reason or getattr(error, "reason", ""),
        "msal_user": user.digest if user else "",
    }
