"""The signed-in user, as the Flask session holds them.

Owns one key of the Flask session for each app registration: the record's handle and
validated claims, no token. Apps whose browsers have one session each see their own.
"""

from __future__ import annotations

import collections.abc as cabc
import dataclasses
import hashlib
import re
import time
import typing as t

from flask import Flask
from flask import current_app
from flask import has_request_context
from flask import request
from flask import session

from .protocol.registration import Registration
from .state import EXTENSION
from .state import FromStore
from .state import of_app
from .state import of_request

#: Before the registration's name, in the keys of a session.
_KEYS = "_msal_"

#: Claims of the protocol, of no use to an app and of new value at every sign-in.
_NOISE = frozenset({"nonce", "aio", "rh", "uti", "at_hash", "c_hash", "nbf", "xms_cc"})

#: Times in a session (epoch seconds), which a session of before may lack: when the
#: provider vouched for the user, when it was asked last in vain, when another session
#: of theirs was refused, and when it was first asked in vain.
_CHECKS = ("vouched_at", "tried_at", "doubted_at", "failing_at")

#: Epoch seconds in the year 2286: what is not before it is no time.
LATEST = 10**10

#: Seconds by which the hosts of an app may differ in their clocks. A try that was later
#: was noted while a clock was wrong: nobody would be asked again until then.
SKEW = 120


@dataclasses.dataclass(frozen=True)
class User:
    """The signed-in user, by the validated claims of their ID token.

    Another provider's userinfo endpoint adds names, where that token has none.
    """

    claims: dict[str, t.Any]

    def __hash__(self) -> int:
        return hash(self.account)

    @property
    def name(self) -> str:
        """Name to call them by: their name, else their user name, else ``sub``."""
        return str(self.claims.get("name") or self.username or self.subject)

    @property
    def username(self) -> str:
        """A sign-in name for people to read. It can change: never a key."""
        claims = self.claims
        return str(
            claims.get("preferred_username")
            or claims.get("upn")
            or claims.get("email")
            or _first(claims.get("emails"))
        )

    @property
    def object_id(self) -> str | None:
        """``oid``: the user in their tenant, the same for every app."""
        return t.cast("str | None", self.claims.get("oid"))

    @property
    def tenant_id(self) -> str | None:
        """``tid``: the tenant that the user signed in to."""
        return t.cast("str | None", self.claims.get("tid"))

    @property
    def roles(self) -> frozenset[str]:
        """``roles``: of the app, by the values in its registration; letters count.

        Empty if the claim is no list of strings.
        https://learn.microsoft.com/entra/identity-platform/howto-add-app-roles-in-apps
        """
        return strings(self.claims.get("roles"))

    @property
    def groups(self) -> frozenset[str]:
        """``groups``: at Entra their object ids, nested ones too.

        Empty if the claim is no list of strings. Where an ID token does not list them
        (at Entra if there are over 200), Microsoft Graph is asked, once for each ID
        token; then only groups of the user of this request can be read.
        https://learn.microsoft.com/entra/identity-platform/optional-claims

        :raises InteractionRequired: there is no token for Graph (``User.Read``) without
            the user; ``login_required`` sends them.
        :raises AccessDenied: Graph refuses.
        :raises Throttled: Graph asks for a pause.
        :raises ServiceUnavailable: Graph does not answer.
        :raises ConfigurationError: the user is not the one of this request.
        """
        named = self.claims.get("_claim_names")
        is_elsewhere = isinstance(named, dict) and "groups" in named
        if is_elsewhere or self.claims.get("hasgroups"):
            host: Host = of_app()
            return host.groups_of(self)
        return strings(self.claims.get("groups"))

    def has_role(self, name: str) -> bool:
        """Return whether the user has a role, by its value."""
        return name in self.roles

    @property
    def subject(self) -> str:
        """``sub``: the user for this app. With ``iss`` it is the key of an account."""
        return str(self.claims["sub"])

    @property
    def account(self) -> tuple[str, str]:
        """Issuer and subject: what tells one account from another (OIDC Core §2)."""
        return str(self.claims["iss"]), str(self.claims["sub"])

    @property
    def digest(self) -> str:
        """A short name for the account that says nothing about it."""
        return hashlib.sha256(repr(self.account).encode()).hexdigest()[:16]

    @property
    def auth_time(self) -> int | None:
        """When they last authenticated (epoch seconds), if the provider says so.

        Milliseconds do not (OpenID Connect Core §2): they would never be long ago.
        """
        value = self.claims.get("auth_time")
        if isinstance(value, str) and re.fullmatch("[0-9]{1,10}", value):
            value = int(value)
        if isinstance(value, (int, float)) and 0 <= value < LATEST:
            return int(value)
        return None

    def authenticated_within(self, max_age: int | None, leeway: int) -> bool:
        """Return whether that was ``max_age`` seconds ago at most.

        :param max_age: ``None`` asks for nothing.
        :param leeway: seconds that clocks may differ by.
        """
        if max_age is None:
            return True
        at = self.auth_time
        return at is not None and -leeway <= time.time() - at <= max_age + leeway


def subject_of(claims: cabc.Mapping[str, t.Any]) -> str | None:
    """Return the subject as a string: some providers send a whole number.

    :return: ``None`` if it is neither.
    """
    subject = claims.get("sub")
    is_number = isinstance(subject, int) and not isinstance(subject, bool)
    return str(subject) if is_number or isinstance(subject, str) else None


def strings(claim: t.Any) -> frozenset[str]:
    """Return the strings of a list; none if it is another thing, or has others."""
    listed = claim if isinstance(claim, list) else []
    return frozenset(listed if all(isinstance(name, str) for name in listed) else ())


def _first(emails: t.Any) -> str:
    """Return the first of the addresses that B2C lists."""
    return str(emails[0]) if isinstance(emails, list) and emails else ""


class SignedIn(t.NamedTuple):
    """A user, where their record is, and when it wants its lifetime renewed.

    All times are epoch seconds.
    """

    user: User
    handle: str
    renew_at: float
    since: float
    """When they signed in, which no renewal changes."""
    vouched_at: float
    """When the provider said last that they are who they are."""
    doubted_at: float
    """When another session of theirs was refused, if that was later; else 0."""
    failing_at: float
    """When the provider was first asked in vain, if that was later; else 0."""
    asked_at: float
    """When the provider was asked last; 0 if they are doubted since then."""
    recheck_at: float
    """When it has to be asked again, by ``MSAL_RECHECK``."""


class Host(t.Protocol):
    """An app's word on its sessions: the state under :data:`EXTENSION`."""

    @property
    def registration(self) -> Registration:
        """The one whose sessions the app takes."""

    def keeps(self, handle: str) -> bool:
        """Return whether there is a record under this handle."""

    def groups_of(self, user: User) -> frozenset[str]:
        """Return the groups of a user whose ID token does not list them."""

    def doubt_others(self, person: SignedIn) -> None:
        """Have the provider asked about a user in each other session of theirs."""


@dataclasses.dataclass
class _Seen(FromStore):
    """The session's content when this request last read it."""

    kept: t.Any = None
    person: SignedIn | None = None


def is_due(app: Flask, current: dict[str, t.Any]) -> bool:
    """Return whether a session's record wants its lifetime renewed.

    One of before :setting:`MSAL_RECHECK` does, so that the index learns of it.
    """
    host: Host = app.extensions[EXTENSION]
    # Not by the session's own methods: they note an access, and Flask would answer
    # every page with "Vary: Cookie".
    kept = dict.get(current, host.registration.session_key)
    if not isinstance(kept, dict):
        return False
    at = kept.get("renew_at")
    if not isinstance(at, (int, float)):
        return False
    return time.time() > at or "vouched_at" not in kept


def signed_in() -> SignedIn | None:
    """Return whose session this request's is.

    ``None`` for anything malformed, and for a user that the app does not take any more.
    """
    app: Flask = current_app._get_current_object()  # type: ignore[attr-defined]
    host: Host | None = app.extensions.get(EXTENSION)
    if host is None:
        # From Flask 3.1.3 on a look at the session makes the answer vary by the cookie.
        return None
    current: t.Any = session._get_current_object()  # type: ignore[attr-defined]
    key = host.registration.session_key
    # Every guarded view asks several times.
    seen = of_request(_Seen)
    if seen.kept is None or seen.kept is not dict.get(current, key):
        # In this order: another thread of the request takes both as they are.
        kept = current.get(key)
        seen.person = _read(host, current, kept, seen.is_late)
        seen.kept = kept
    return seen.person


def account() -> tuple[str, str] | None:
    """Return the account of this request's user; ``None`` also outside a request."""
    person = signed_in() if has_request_context() else None
    return person.user.account if person else None


def last_seen() -> SignedIn | None:
    """Return who was found when this request was last asked; nothing is read."""
    return of_request(_Seen).person


def _read(
    host: Host, current: dict[str, t.Any], kept: t.Any, is_late: bool
) -> SignedIn | None:
    """Return the user of a session, if the app takes them now.

    The record must still exist where the session may be older than its end: Another
    app may write back an old copy of our key where apps share it. Flask-SocketIO gives
    the events of a socket a copy of its own, which has no id. And Flask reads a session
    once a request, however long that lasts.
    """
    ours = host.registration
    if not isinstance(kept, dict):
        return None
    handle, claims = kept.get("handle"), kept.get("claims")
    renew_at, since = kept.get("renew_at"), kept.get("since")
    if not isinstance(handle, str) or not isinstance(renew_at, (int, float)):
        return None
    if not isinstance(claims, dict) or "iss" not in claims or "sub" not in claims:
        return None
    if not isinstance(since, (int, float)):
        return None
    if ours.has_rules and ours.misfit(claims, since):
        return None
    is_old = is_late or not hasattr(current, "sid")
    for key in current:
        is_old = is_old or (key != ours.session_key and str(key).startswith(_KEYS))
    if is_old and not host.keeps(handle):
        return None
    vouched, tried, doubted, failing = (
        at if isinstance(at := kept.get(name), (int, float)) else 0 for name in _CHECKS
    )
    latest = time.time() + SKEW
    doubted = doubted if doubted > vouched else 0
    asked = 0 if doubted else max(vouched, tried if tried < latest else 0)
    failing = failing if vouched < failing < latest else 0
    times = renew_at, since, vouched, doubted, failing, asked, asked + ours.recheck
    return SignedIn(User(claims), handle, *times)


def kept_claims(claims: dict[str, t.Any]) -> dict[str, t.Any]:
    """Return claims without those of the protocol, which no app has a use for."""
    return {name: value for name, value in claims.items() if name not in _NOISE}


def remember(
    handle: str,
    claims: dict[str, t.Any],
    lifetime: float,
    since: float | None = None,
) -> None:
    """Make this request's session the user's.

    :param lifetime: of the record, in seconds; past half of it the record is renewed.
    :param since: when they signed in (epoch seconds); now by default.
    """
    now = time.time()
    host: Host = of_app()
    session[host.registration.session_key] = {
        "handle": handle,
        "claims": kept_claims(claims),
        "renew_at": int(now + lifetime / 2),
        "since": round(now if since is None else since, 3),
        "vouched_at": round(now, 3),
    }


def note(**facts: t.Any) -> None:
    """Change what this request's session says of its user, who stays signed in.

    :param facts: members of what :func:`remember` keeps.
    """
    host: Host = of_app()
    key = host.registration.session_key
    session[key] = {**(session.get(key) or {}), **facts}


def doubt(person: SignedIn, *, elsewhere: bool) -> None:
    """Have the provider asked about a user at the next guarded page of this session.

    :param elsewhere: in their other sessions, too, unless it is one of those that found
        it out.
    """
    host: Host = of_app()
    if elsewhere and not person.doubted_at:
        host.doubt_others(person)
    note(doubted_at=round(time.time(), 3))


def doubted(kept: t.Any, handle: str) -> dict[str, t.Any] | None:
    """Return what a session of the store holds of a user, who is doubted from now on.

    :param kept: what it holds under our key, or anything else.
    :param handle: of the session that is meant.
    :return: ``None`` if it is another user's by now, or nobody's.
    """
    if not isinstance(kept, dict) or kept.get("handle") != handle:
        return None
    return {**kept, "doubted_at": round(time.time(), 3)}


def record_handle() -> str | None:
    """Return the handle in this request's session, also of a user whom the app does not
    take any more.
    """
    host: Host = of_app()
    kept = session.get(host.registration.session_key)
    handle = kept.get("handle") if isinstance(kept, dict) else None
    return handle if isinstance(handle, str) else None


def forget() -> None:
    """Drop what this request's session holds, but for the keys of neighbours.

    Ours stays there, empty, so that the session still counts as shared.
    """
    host: Host = of_app()
    ours = host.registration.session_key
    left = neighbours(session, ours)
    session.clear()
    if left:
        session.update({**left, ours: None})


def leave() -> None:
    """Give this request's session a new id, with nothing of the user left in it."""
    host: Host = of_app()
    # Nobody's from here on: the index of sessions need not follow it.
    session[host.registration.session_key] = None
    renew_id()
    forget()
    _forget_remembered()


def vanish() -> None:
    """Drop the user of this request's session, which another request ended.

    Nothing is saved, and the browser keeps the cookie that it may have got since.
    """
    forget()
    session.modified = bool(session)


def admit(claims: dict[str, t.Any]) -> None:
    """Make the session of a visitor ready for the account that signs in.

    What an anonymous visitor put there stays, but for Flask-WTF's secret: whoever
    planted the session knows it. If another account was signed in, though it has ended
    or was a neighbour's, all goes.
    """
    host: Host = of_app()
    kept = session.get(host.registration.session_key)
    if kept and _is_of(kept, claims):
        return
    others = neighbours(session, host.registration.session_key).values()
    if kept or not all(_is_of(other, claims) for other in others):
        forget()
        _forget_remembered()
    session.pop(current_app.config.get("WTF_CSRF_FIELD_NAME", "csrf_token"), None)


def _forget_remembered() -> None:
    """Have Flask-Login delete its cookie, which would sign the person in again.

    ``logout_user()`` leaves the same mark, but loads the user first, by the app's code.
    """
    name = current_app.config.get("REMEMBER_COOKIE_NAME", "remember_token")
    if hasattr(current_app, "login_manager") and name in request.cookies:
        session["_remember"] = "clear"


def _is_of(kept: t.Any, claims: dict[str, t.Any]) -> bool:
    """Tell whether what a registration keeps is of the person who signs in.

    Entra names a person otherwise to each app (``sub``), and alike in a tenant
    (``oid``).
    """
    known = kept.get("claims") if isinstance(kept, dict) else None
    return isinstance(known, dict) and any(
        all(name in claims and known.get(name) == claims[name] for name in names)
        for names in (("iss", "sub"), ("tid", "oid"))
    )


def neighbours(current: cabc.Mapping[str, t.Any], ours: str) -> dict[str, t.Any]:
    """Return what other app registrations keep in a session, by their keys."""
    return {
        key: kept
        for key, kept in current.items()
        if key != ours and kept and str(key).startswith(_KEYS)
    }


def renew_id() -> None:
    """Give the session a new id, so that a planted one is worth nothing."""
    interface: t.Any = current_app.session_interface
    interface.regenerate(session)
