"""Switches for users: revoked, moved, too old, without consent."""

from __future__ import annotations

from ..declaration import PEOPLE
from ..declaration import switch
from ..entra.model import API_SCOPES
from ..entra.model import User
from ..entra.tenant import OfTenant
from ..entra.tenant import UserLike
from ..values import Person
from ..values import Suggested

_ANY_SCOPE = Suggested(names=tuple(API_SCOPES), optional=True, none="every one")


class People(OfTenant):
    """Switches for one user; each takes a short name, or a user."""

    @property
    def users(self) -> dict[str, User]:
        """The tenant's people by short name; ``mallory`` is not assigned to the app."""
        return self.tenant.users

    def scope(self, name: str) -> str:
        """Return the full name of one of the API's scopes."""
        return name if "/" in name else f"{self.tenant.api_resource}/{name}"

    @switch(
        PEOPLE,
        "Revoke sessions",
        "Revoke {name}’s sessions",
        for_one_user=True,
        user=Person(),
    )
    def revoke(self, user: UserLike) -> None:
        """Revoke the user's sessions: tokens and sign-ins from before are void.

        The API answers 401 with claims, a refresh is refused with 50173.
        """
        self.tenant.user(user).revoked_at = self.tenant.now()

    @switch(
        PEOPLE,
        "Change IP address",
        "Move to another IP address",
        for_one_user=True,
        user=Person(),
    )
    def change_ip(self, user: UserLike) -> None:
        """Move the user to another IP address: the API refuses the app's tokens.

        A refresh that repeats the API's claims succeeds without the user.
        """
        found = self.tenant.user(user)
        last = int(found.address.rpartition(".")[2])
        found.address = f"203.0.113.{last % 254 + 1}"

    @switch(
        PEOPLE,
        "Sign-in frequency",
        "Let the sign-in grow too old",
        for_one_user=True,
        user=Person(),
    )
    def expire_frequency(self, user: UserLike) -> None:
        """Let the sign-in frequency pass: 70043 at a refresh, until a new sign-in."""
        self.tenant.user(user).frequency_at = self.tenant.now()

    @switch(PEOPLE, "Expire the password", for_one_user=True, user=Person())
    def expire_password(self, user: UserLike) -> None:
        """Let the password expire: 50055 at a refresh, a new password at sign-in."""
        self.tenant.user(user).password_expired = True

    @switch(
        PEOPLE,
        "Give consent",
        user=Person(),
        scope=Suggested(names=tuple(API_SCOPES)),
    )
    def give_consent(self, user: UserLike, scope: str) -> None:
        """Give consent to one scope in advance, so that no page asks for it."""
        self.tenant.user(user).consents.add(self.scope(scope))

    @switch(
        PEOPLE,
        "Withdraw consent",
        "Withdraw all consent",
        for_one_user=True,
        user=Person(),
        scope=_ANY_SCOPE,
    )
    def withdraw_consent(self, user: UserLike, scope: str | None = None) -> None:
        """Take consent back, for one scope or all: 65001 at the next refresh."""
        consents = self.tenant.user(user).consents
        names = {scope, self.scope(scope)} if scope else set(consents)
        consents.difference_update(names)
