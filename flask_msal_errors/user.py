"""The signed-in user, as the Flask session holds them.

Owns one key of the Flask session: the record's handle and validated claims, no token.
"""

from __future__ import annotations

import dataclasses
import hashlib
import time
import typing as t

from flask import current_app
from flask import session

from .request_state import of_request

#: The one key of the session that is ours.
KEY = "_msal"

#: Claims of the protocol, of no use to an app and of new value at every sign-in.
_NOISE = frozenset({"nonce", "aio", "rh", "uti", "at_hash", "c_hash", "nbf", "xms_cc"})


@dataclasses.dataclass(frozen=True)
class User:
    """The signed-in user, by the validated claims of their ID token."""

    claims: dict[str, t.Any]

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
        """When they last authenticated (epoch seconds), if the provider says so."""
        value = self.claims.get("auth_time")
        return int(value) if isinstance(value, (int, float)) else None

    def authenticated_within(self, max_age: int | None, leeway: int) -> bool:
        """Return whether that was ``max_age`` seconds ago at most.

        :param max_age: ``None`` asks for nothing.
        :param leeway: seconds that clocks may differ by.
        """
        if max_age is None:
            return True
        at = self.auth_time
        return at is not None and at + max_age + leeway >= time.time()


def _first(emails: t.Any) -> str:
    """Return the first of the addresses that B2C lists."""
    return str(emails[0]) if isinstance(emails, list) and emails else ""


class SignedIn(t.NamedTuple):
    """A user, where their record is, and when it wants its lifetime renewed."""

    user: User
    handle: str
    renew_at: float


@dataclasses.dataclass
class _Seen:
    """The session's content when this request last read it."""

    kept: t.Any = None
    person: SignedIn | None = None


def is_due(current: dict[str, t.Any]) -> bool:
    """Return whether a session's record wants its lifetime renewed."""
    # Not by the session's own methods: they note an access, and Flask would answer
    # every page with "Vary: Cookie".
    kept = dict.get(current, KEY)
    at = kept.get("renew_at") if isinstance(kept, dict) else None
    return isinstance(at, (int, float)) and time.time() > at


def signed_in() -> SignedIn | None:
    """Return whose session this request's is; ``None`` for anything malformed."""
    current: t.Any = session._get_current_object()  # type: ignore[attr-defined]
    # Every guarded view asks several times.
    seen = of_request(_Seen)
    if seen.kept is None or seen.kept is not dict.get(current, KEY):
        seen.kept = current.get(KEY)
        seen.person = _read(seen.kept)
    return seen.person


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
    """Give the session a new id, so that a planted one is worth nothing."""
    interface: t.Any = current_app.session_interface
    interface.regenerate(session)
