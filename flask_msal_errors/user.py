"""Who is signed in: the little that the session itself holds.

Owns one key of the Flask session: the record's handle and validated claims, no token.
"""

from __future__ import annotations

import dataclasses
import hashlib
import time
import typing as t

from flask import current_app
from flask import session

#: The one key of the session that is ours.
KEY = "_msal"
_NOTHING = (None, None)

#: Claims of the protocol, of no use to an app and of new value at every sign-in.
_NOISE = frozenset({"nonce", "aio", "rh", "uti", "at_hash", "c_hash", "nbf", "xms_cc"})


@dataclasses.dataclass(frozen=True)
class User:
    """The signed-in user, by the validated claims of their ID token."""

    claims: dict[str, t.Any]

    @property
    def name(self) -> str:
        """What to call them: their name, else their user name, else ``sub``."""
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
    def subject(self) -> str:
        """``sub``: the user for this app. With ``iss`` it is the key of an account."""
        return str(self.claims["sub"])

    @property
    def account(self) -> tuple[str, str]:
        """Issuer and subject: what tells one account from another (OIDC Core §2)."""
        return str(self.claims["iss"]), self.subject

    @property
    def auth_time(self) -> int | None:
        """When they last authenticated (epoch seconds), if the provider says so."""
        value = self.claims.get("auth_time")
        return int(value) if isinstance(value, (int, float)) else None

    def authenticated_within(self, max_age: int | None, leeway: int) -> bool:
        """Whether that was ``max_age`` seconds ago at most; ``None`` asks for nothing.

        :param leeway: seconds that clocks may differ by.
        """
        if max_age is None:
            return True
        at = self.auth_time
        return at is not None and at + max_age + leeway >= time.time()


def _first(emails: t.Any) -> str:
    """Of the addresses that B2C lists."""
    return str(emails[0]) if isinstance(emails, list) and emails else ""


class SignedIn(t.NamedTuple):
    """A user, where their record is, and when it wants its lifetime renewed."""

    user: User
    handle: str
    renew_at: float


def is_due(current: dict[str, t.Any]) -> bool:
    """Whether a session's record wants its lifetime renewed."""
    # Not by the session's own methods: they note an access, and Flask would answer
    # every page with "Vary: Cookie".
    kept = dict.get(current, KEY)
    at = kept.get("renew_at") if isinstance(kept, dict) else None
    return isinstance(at, (int, float)) and time.time() > at


def signed_in() -> SignedIn | None:
    """Who this request's session belongs to; ``None`` for anything malformed."""
    current: t.Any = session._get_current_object()  # type: ignore[attr-defined]
    # Every guarded view asks several times.
    seen, person = getattr(current, "msal_seen", _NOTHING)
    if seen is None or seen is not dict.get(current, KEY):
        kept = current.get(KEY)
        person = _read(kept)
        current.msal_seen = kept, person
    return t.cast("SignedIn | None", person)


def _read(kept: t.Any) -> SignedIn | None:
    if not isinstance(kept, dict):
        return None
    handle, claims = kept.get("handle"), kept.get("claims")
    renew_at = kept.get("renew_at")
    if not isinstance(handle, str) or not isinstance(renew_at, (int, float)):
        return None
    if not isinstance(claims, dict) or "iss" not in claims or "sub" not in claims:
        return None
    return SignedIn(User(claims), handle, renew_at)


def remember(handle: str, claims: dict[str, t.Any], lifetime: float) -> None:
    """Make this request's session the user's.

    :param lifetime: of the record, in seconds; past half of it the record is renewed.
    """
    kept = {name: value for name, value in claims.items() if name not in _NOISE}
    renew_at = int(time.time() + lifetime / 2)
    session[KEY] = {"handle": handle, "claims": kept, "renew_at": renew_at}


def renew_id() -> None:
    """A new session id for a new privilege: a planted one is worth nothing."""
    interface: t.Any = current_app.session_interface
    interface.regenerate(session)


def digest(user: User) -> str:
    """A short name for an account that says nothing about it."""
    return hashlib.sha256(repr(user.account).encode()).hexdigest()[:16]
