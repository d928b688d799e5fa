"""The recent events in plain words: the extension's signals, kept in the session.

A story is about one page: what was refused, what was done about it, how it ended.
Stories are few and short, and hold no token, code or claim value but a context's name.
"""

from __future__ import annotations

import json
import secrets
import typing as t

from flask import Flask
from flask import request
from flask import session

from flask_msal_errors import signals
from flask_msal_errors.errors import AccessDenied
from flask_msal_errors.errors import InteractionRequired
from flask_msal_errors.errors import MsalAuthError
from flask_msal_errors.errors import RoleRequired
from flask_msal_errors.errors import ServiceUnavailable
from flask_msal_errors.errors import Throttled
from flask_msal_errors.errors import TokenError
from flask_msal_errors.user import User

from . import words

KEY = "example_trace"
MOST_STORIES = 3
MOST_STEPS = 10
LONGEST_TEXT = 200

#: A claims challenge's words about the token that an API refuses.
_API_CLAIMS = {
    "xms_rp_ipaddr": "it was issued to another IP address",
    "acrs": "it does not prove the authentication context {}",
    "nbf": "it was issued before your session was revoked",
    "polids": "a policy asks for more proof of who you are",
}
_CAME_BACK = {
    "challenge": "You gave what was missing and came back.",
    "basic_action": "You gave the proof and came back.",
    "consent_required": "You gave your consent and came back.",
    "step_up": "You gave the proof and came back.",
}
#: Routes that are on the way to a page, and what a story is called that begins there.
_OWN_PAGES = {
    "msal.callback": "Sign-in",
    "msal.login": "Sign-in",
    "msal.logout": "Sign-out",
    "msal.resume": "Interrupted form",
}


def watch(app: Flask) -> None:
    """Record what happens to the users of ``app``."""
    signals.sign_in_begun.connect(_begun, app)
    signals.signed_in.connect(_signed_in, app)
    signals.signed_out.connect(_signed_out, app)
    signals.reauthenticated.connect(_reauthenticated, app)
    signals.request_resumed.connect(_resumed, app)
    signals.challenge_received.connect(_challenged, app)
    signals.throttled.connect(_throttled, app)
    signals.sign_in_failed.connect(_sign_in_failed, app)
    signals.refused.connect(_refused, app)


def client() -> str:
    """The id by which APIs find the calls of this session in their logs."""
    return str(session.setdefault("example_client", secrets.token_hex(16)))


def stories() -> list[dict[str, t.Any]]:
    """Return the stories, latest first."""
    return list(reversed(session.get(KEY, [])))


def answered() -> None:
    """The API answered: the story of this page, if there is one, ends well."""
    told = session.get(KEY)
    if told and told[-1]["open"] and _belongs(told[-1]):
        last = told[-1]["steps"][-1]["mark"]
        again = "call was repeated" if last == "silent" else "page was opened again"
        _tell("done", f"The {again}, and the API answered.", ends=True)


def failed(status: int | None) -> None:
    """The API answered with another error, or not at all (``None``)."""
    how = f"answered with the status {status}" if status else "did not answer"
    _tell("no", f"The API {how}. No sign-in helps, so you are not asked.", ends=True)


def _begun(app: Flask, *, reason: str, **_: t.Any) -> None:
    if reason == "step_up":
        form = " It kept your form." if request.method == "POST" else ""
        _tell("no", f"This page needs more proof, so the app sent you to Entra.{form}")


def _signed_in(app: Flask, *, user: User, **_: t.Any) -> None:
    _close()
    _tell("done", "You signed in.", ends=True)


def _signed_out(app: Flask, *, user: User | None) -> None:
    _close()
    _tell("done", "You signed out.", ends=True)


def _reauthenticated(app: Flask, *, user: User, reason: str) -> None:
    _tell("you", _CAME_BACK.get(reason, "You signed in again and came back."))


def _resumed(app: Flask, *, url: str) -> None:
    _tell("done", "Your form was sent, once.", ends=True)


def _throttled(app: Flask, *, error: Throttled) -> None:
    _tell("no", "Entra asked the app to wait (429). It makes no call until then.")


def _sign_in_failed(app: Flask, *, error: MsalAuthError) -> None:
    if isinstance(error, AccessDenied) and error.is_choice:
        text = "You said no at Entra, so the app got no token. You can try again."
    else:
        text = f"The sign-in failed: {words.why(error)}{words.evidence(error)}."
    _tell("no", text, ends=True)


def _refused(app: Flask, *, error: MsalAuthError, **_: t.Any) -> None:
    if isinstance(error, RoleRequired):
        names = ", ".join(error.roles)
        text = f"This page needs the role {names}, and you lack it."
    elif isinstance(error, TokenError) or words.known(error):
        text = f"Entra gave no token: {words.why(error)}{words.evidence(error)}."
    else:
        text = f"{error.title}{words.evidence(error)}."
    _tell("no", text, ends=not isinstance(error, ServiceUnavailable))


def _challenged(app: Flask, *, error: InteractionRequired, silent: bool) -> None:
    because = _api_said(error)
    if because:
        _tell("no", f"The API refused the token: {because}.")
    elif error.demand.error == "insufficient_scope":
        _tell("no", "The API lacks your consent (403, insufficient_scope).")
    elif error.reason == "challenge":
        _tell("no", f"The API refused the token ({error.error}).")
    if silent:
        _tell("silent", "The app asked for a new token without you, and got it.")
    elif error.reason != "challenge":
        _tell("no", _entra_said(error, "without you" if because else ""))


def _api_said(error: InteractionRequired) -> str:
    """Why an API refused a token, by the names of its claims; else nothing."""
    demands = json.loads(error.claims or "{}").get("access_token")
    for name, because in _API_CLAIMS.items():
        if isinstance(demands, dict) and name in demands:
            demand = demands[name] if isinstance(demands[name], dict) else {}
            value = demand.get("value", "")
            return f"{because.format(value)} (claims challenge: {name})"
    return ""


def _entra_said(error: InteractionRequired, how: str) -> str:
    """Why the token endpoint gave no token."""
    names = ", ".join(scope.rpartition("/")[2] for scope in error.scopes)
    what = "a new token" if how else f"a token for {names}" if names else "a token"
    why = words.known(error)
    because = f": {why}" if why else ""
    asked = f"The app asked for {what}{f' {how}' if how else ''}"
    return f"{asked}. Entra refused{because}{words.evidence(error)}."


def _tell(mark: str, text: str, *, ends: bool = False) -> None:
    """Add a step to the story of this page, or begin one.

    :param mark: ``no``, ``silent``, ``you`` or ``done``.
    """
    told = list(session.get(KEY, []))
    page = _OWN_PAGES.get(request.endpoint or "", request.path)
    if not told or not told[-1]["open"] or not _belongs(told[-1]):
        told.append({"page": page, "open": True, "steps": []})
    story = told[-1]
    story["page"] = story["page"] if page in _OWN_PAGES.values() else page
    story["open"] = not ends
    _add(story["steps"], {"mark": mark, "text": text[:LONGEST_TEXT], "times": 1})
    session[KEY] = told[-MOST_STORIES:]


def _belongs(story: dict[str, t.Any]) -> bool:
    """Whether a story is this page's, or of a sign-in that led here."""
    pages = {request.path, *_OWN_PAGES.values()}
    return request.endpoint in _OWN_PAGES or story["page"] in pages


def _add(steps: list[dict[str, t.Any]], step: dict[str, t.Any]) -> None:
    if steps and steps[-1]["text"] == step["text"]:
        steps[-1]["times"] += 1
    else:
        steps.append(step)
        del steps[:-MOST_STEPS]


def _close() -> None:
    """End every story that is going on."""
    for story in session.get(KEY, []):
        story["open"] = False
