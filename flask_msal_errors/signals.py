"""Events of a sign-in: signals (https://blinker.readthedocs.io) and log lines.

Each signal is sent with the Flask app as its sender. No argument holds a token. Later
versions may send more: a receiver takes ``**extra``.

Whatever refuses a person is told once, when it is answered, by whomever: with one line
of the log ``flask_msal_errors`` and one signal. The one of a :exc:`Throttled` is
:data:`throttled`, of an :exc:`InteractionRequired` :data:`challenge_received`; if a
sign-in failed by it, it is :data:`sign_in_failed`; of any other, :data:`refused`.

A line has fields for JSON loggers (``extra``), which are empty if there is nothing to
tell:

* ``msal_event``: the name of the signal, ``session_store_failed``, ``recheck_failed``
  for a session that goes on though the provider could not be asked, or ``passed_over``
  for code of the app that failed, and without which our routes and pages went on;
* ``msal_error``: Entra's ``error``, or the name of our class;
* ``msal_codes``: the numbers of Entra's AADSTS codes;
* ``msal_correlation_id``: for the sign-in log of the tenant;
* ``msal_reason``: why a sign-in was needed; of a ``StateMismatch``, ``other_key``,
  ``other_origin``, ``expired`` or ``unknown``;
* ``msal_path``: the path of the refused request, without its query;
* ``msal_scopes``: the scopes that a token was wanted for;
* ``msal_api_host``: the host of the API that refused, if it was an API;
* ``msal_retry_after``: the seconds to wait, or ``None``;
* ``msal_user``: a digest of the account, which names nobody.

E-mail addresses in what a provider says are left out of the log.
"""

from __future__ import annotations

import contextlib
import copy
import dataclasses
import functools
import itertools
import logging
import re
import typing as t

from blinker import NamedSignal
from blinker import Namespace
from flask import current_app
from flask import has_app_context
from flask import has_request_context
from flask import request

from .errors import ConfigurationError
from .errors import InteractionRequired
from .errors import MsalAuthError
from .errors import ServiceUnavailable
from .errors import Throttled
from .protocol.demand import printable
from .state import of_request
from .user import User
from .user import last_seen
from .user import signed_in as current_person

logger = logging.getLogger("flask_msal_errors")

_signals = Namespace()

#: ``reason``: somebody is sent to sign in, for what a view demands or by a link. If it
#: is for a refusal, :data:`challenge_received` is sent in its place.
sign_in_begun = _signals.signal("sign_in_begun")
#: ``user``, ``reason``: somebody signed in, in a session where nobody was. It still
#: holds what the visitor put there. Flask-WTF's secret is renewed; a receiver can renew
#: what else must not be known from before. One that raises keeps the user out.
signed_in = _signals.signal("signed_in")
#: ``user``, ``reason``: the signed-in user signed in again for what was missing. A
#: receiver that raises ends the session.
reauthenticated = _signals.signal("reauthenticated")
#: ``user``, ``before``: the provider said again who the signed-in user is, and who they
#: were until then: their name, roles and groups may differ. See ``MSAL_RECHECK``.
user_rechecked = _signals.signal("user_rechecked")
#: ``user``: who signed out; ``None`` if that was nobody, or the provider ended the
#: session. A sign-out of all browsers sends it for each session that lived.
signed_out = _signals.signal("signed_out")
#: ``session``: its id was changed, by a sign-in, a sign-out or the app. One that the
#: request itself began has no old id, and sends nothing.
session_id_changed = _signals.signal("session_id_changed")
#: ``error``: an :exc:`InteractionRequired`, of an API or the token endpoint, or of a
#: guard in the answer to a program; ``silent``: whether a new token met it, or the user
#: has to, who is sent to sign in or gets a link to that.
challenge_received = _signals.signal("challenge_received")
#: ``url``: the view at this path begins, with a form that was kept; a request that is
#: stopped before its view sends nothing.
request_resumed = _signals.signal("request_resumed")
#: ``error``: a :exc:`Throttled` that is raised, with its ``retry_after`` in seconds;
#: once, whoever answers it.
throttled = _signals.signal("throttled")
#: ``error``: why a sign-in could not begin, or was not completed.
sign_in_failed = _signals.signal("sign_in_failed")
#: ``error``: any other that a request is answered with, by our page or by a handler of
#: the app.
refused = _signals.signal("refused")

#: ``grant``: the OAuth grant of a request to the token endpoint (RFC 6749), such as
#: ``"refresh_token"``; ``status``: of its answer, or ``None`` if there was none;
#: ``seconds``: how long it took. For metrics: nothing is logged.
token_requested = _signals.signal("token_requested")

#: Event → level and words of its line.
LINES = {
    "sign_in_begun": (logging.INFO, "A sign-in begins"),
    "signed_in": (logging.INFO, "A sign-in was completed"),
    "reauthenticated": (logging.INFO, "A sign-in was completed"),
    "user_rechecked": (logging.INFO, "A user was rechecked"),
    "recheck_failed": (logging.WARNING, "A session goes on without a recheck"),
    "signed_out": (logging.INFO, "A user signed out"),
    "challenge_received": (logging.INFO, "A token was refused"),
    "request_resumed": (logging.INFO, "An interrupted form goes on"),
    "throttled": (logging.WARNING, "A pause is asked for"),
    "sign_in_failed": (logging.WARNING, "A sign-in failed"),
    "refused": (logging.WARNING, "A request was refused"),
    "session_store_failed": (logging.ERROR, "A request has no session store"),
}
#: Events whose line has the error's own words.
_FAILURES = frozenset(
    {"sign_in_failed", "refused", "recheck_failed", "session_store_failed"}
)
#: Errors that say what a person did, or that a page goes on by itself.
_EXPECTED = frozenset({"sign_in_busy"})
#: Fields that stand in each line that has them, and the words before them.
_PLACE = (
    ("msal_path", "at"),
    ("msal_api_host", "API"),
    ("msal_retry_after", "seconds:"),
)
_EMAIL = re.compile(r"[^\s'\"<>(),;:/=]+@[^\s'\"<>(),;:/]+")
_unnamed = functools.partial(_EMAIL.sub, "…@…")


@dataclasses.dataclass
class _Outage:
    """Whether this request told of a session store that fails."""

    is_logged: bool = False
    is_told: bool = False


@dataclasses.dataclass
class _PassedOver:
    """Names of code of the app that failed in this request."""

    names: set[str] = dataclasses.field(default_factory=set)


@dataclasses.dataclass
class _Number:
    """A number that no other request of this process has."""

    value: int = dataclasses.field(
        default_factory=functools.partial(next, itertools.count(1))
    )


def emit(signal: NamedSignal, **data: t.Any) -> None:
    """Send a signal of the current app, and log it.

    A refusal is logged before: a receiver may fail. One that keeps somebody out by
    raising leaves no line of what did not happen.
    """
    error, app = data.get("error"), current_app._get_current_object()  # type: ignore[attr-defined]
    is_logged = signal.name in LINES and not getattr(error, "logged", False)
    if is_logged and error is not None:
        log(signal.name, **data)
    signal.send(app, **data)
    if is_logged and error is None:
        log(signal.name, **data)


def tell(error: MsalAuthError, signal: NamedSignal = refused) -> None:
    """Emit the event of an error that a request is answered with, once.

    :param signal: of an error that has none by its class.
    """
    here = of_request(_Number).value if has_request_context() else -1
    # An app may raise one object in many requests.
    if error.told == here or not has_app_context():
        return
    error.told = here
    if error.logged and has_request_context():
        # However often the store fails in a request, it is one outage.
        outage = of_request(_Outage)
        if outage.is_told:
            return
        outage.is_told = True
    if isinstance(error, InteractionRequired) and signal is refused:
        emit(challenge_received, error=error, silent=False)
    else:
        emit(throttled if isinstance(error, Throttled) else signal, error=error)


def time_request(grant: str, status: int, seconds: float) -> None:
    """Emit :data:`token_requested`, where there is an app."""
    if has_app_context():
        emit(token_requested, grant=grant, status=status or None, seconds=seconds)


def fail(error: MsalAuthError) -> None:
    """Emit :data:`sign_in_failed` for an error, once."""
    tell(error, sign_in_failed)


def pass_over(error: Exception, failed: str) -> None:
    """Log an error of code of the app, without which we go on.

    Once a request, and not if a line told of the error before.

    :param failed: the name of the code.
    """
    state = of_request(_PassedOver) if has_request_context() else _PassedOver()
    here = of_request(_Number).value if has_request_context() else -1
    if failed in state.names or getattr(error, "told", 0) == here:
        return
    state.names.add(failed)
    level = logging.ERROR
    if isinstance(error, MsalAuthError):
        error.told, level = here, logging.WARNING
    path, digest = _place("passed_over")
    line = "%s failed at %s, which goes on without it"
    extra = {**_fields("passed_over"), "msal_path": path, "msal_user": digest}
    place = path or "the end of a request"
    logger.log(level, line, failed, place, exc_info=_shown(error), extra=extra)


def lose_store(error: ServiceUnavailable) -> None:
    """Log that the session store failed, once a request: others may swallow it."""
    outage = of_request(_Outage) if has_request_context() else _Outage()
    error.logged = True
    if not outage.is_logged:
        outage.is_logged = True
        log("session_store_failed", error=error)


def warn(line: str, error: MsalAuthError) -> None:
    """Warn of an error in spite of which we go on, unless it has a line already."""
    if not error.logged:
        logger.warning(f"{line}: %s", in_line(error))


def in_line(said: object) -> str:
    """Return what a line of the log may say of an error, or of what somebody sent.

    It is one line, without e-mail addresses and what a terminal would obey.
    """
    return _unnamed(printable(str(said), 2000))


def log(event: str, **data: t.Any) -> None:
    """Log the line of an event.

    A fault of the app's is at ERROR, unless only a browser says so: any visitor could
    fill the log with errors.
    """
    error, (level, line) = data.get("error"), LINES[event]
    fields = _fields(event, **data)
    told = [fields["msal_error"], fields["msal_reason"]]
    told += [f"AADSTS{code}" for code in fields["msal_codes"]]
    id_ = fields["msal_correlation_id"]
    told += [id_ and f"correlation id {id_}"]
    if isinstance(error, ConfigurationError) and error.by_browser:
        line += ", as the browser says"
    elif isinstance(error, ConfigurationError):
        level = logging.ERROR
    elif getattr(error, "is_choice", fields["msal_error"] in _EXPECTED):
        level = logging.INFO
    if event in _FAILURES:
        line, told = f"{line}: {in_line(error)}", []
    told += [f"{words} {fields[name]}" for name, words in _PLACE if fields[name]]
    about = ", ".join(dict.fromkeys(filter(None, told)))
    end = "" if event in _FAILURES else "."
    logger.log(level, "%s", f"{line} ({about}){end}" if about else line, extra=fields)


def _shown(error: Exception) -> Exception:
    """Return an error whose traceback may be logged: one of ours in such words."""
    if not isinstance(error, MsalAuthError):
        return error
    shown = copy.copy(error).with_traceback(error.__traceback__)
    shown.args = (in_line(error),)
    shown.__cause__, shown.__context__ = error.__cause__, error.__context__
    shown.__suppress_context__ = error.__suppress_context__
    return shown


def _fields(
    event: str,
    error: MsalAuthError | None = None,
    user: User | None = None,
    reason: str = "",
    **_: t.Any,
) -> dict[str, t.Any]:
    named = getattr(error, "error", "") or type(error).__name__
    path, digest = _place(event) if error else ("", "")
    asked = getattr(error, "demand", error)
    id_ = error.correlation_id if error else ""
    wanted = getattr(asked, "scopes", ()) or getattr(error, "wanted", ())
    return {
        "msal_event": event,
        "msal_error": _unnamed(printable(named)) if error else "",
        "msal_codes": list(error.codes) if error else [],
        "msal_correlation_id": _unnamed(printable(id_)) if id_ else "",
        "msal_reason": reason or getattr(asked, "reason", ""),
        "msal_path": path,
        "msal_scopes": list(wanted),
        "msal_api_host": printable(error.api_host) if error else "",
        "msal_retry_after": getattr(error, "retry_after", None),
        "msal_user": user.digest if user else digest,
    }


def _place(event: str) -> tuple[str, str]:
    """Return the path of this request, and the digest of who is signed in.

    Without the ticket of a kept form. What is not known, or would take a store that
    fails, is empty.
    """
    if not has_request_context():
        return "", ""
    path, ours = request.path, current_app.blueprints.get("msal")
    forms = f"{ours.url_prefix or ''}/resume/" if ours else ""
    if forms and path.startswith(forms):
        path = f"{forms}…"
    person = None
    # Where apps share a session, the store is asked.
    with contextlib.suppress(ServiceUnavailable):
        is_outage = event == "session_store_failed"
        person = last_seen() if is_outage else current_person()
    path = _unnamed(printable(request.root_path.rstrip("/") + path))
    return path, person.user.digest if person else ""
