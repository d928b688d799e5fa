"""Switches for users: revoked, moved, too old, without consent."""

from __future__ import annotations

from ..declaration import CONSENT
from ..declaration import MEMBERSHIP
from ..declaration import PEOPLE
from ..declaration import POLICIES
from ..declaration import switch
from ..entra.model import API_SCOPES
from ..entra.model import User
from ..entra.registrations import API
from ..entra.registrations import APP
from ..entra.tenant import OfTenant
from ..entra.tenant import UserLike
from ..entra.tenant import group_id
from ..values import Person
from ..values import Suggested

#: The next thing to try, where the app's present tokens stay good.
_AT_NEXT = (
    "It counts at the next token. Move the user to another address, too, and reload a"
    " page of your app that calls an API: {}"
)
_A_ROLE = Suggested(names=("Approver", "Reader"))
_A_GROUP = Suggested(names=("Finance", "Engineers"))
#: The registration that it is about.
_APP = Suggested(names=(APP,))
_ANY_APP = Suggested(names=(APP,), optional=True, none="every app")
_ANY_SCOPE = Suggested(names=tuple(API_SCOPES), optional=True, none="every scope")


class People(OfTenant):
    """Switches for one user; each takes a short name, or a user."""

    @property
    def users(self) -> dict[str, User]:
        """The tenant's people by short name; ``mallory`` is not assigned to the app."""
        return self.tenant.users

    def scope(self, name: str) -> str:
        """Return the full name of one of the API's scopes.

        Or of another registration's: ``payroll/access_as_user``.
        """
        known = self.tenant.registrations
        prefix, _, short = name.rpartition("/")
        if prefix in known:
            return known[prefix].scope(short)
        return name if prefix else known[API].scope(name)

    def group_id(self, name: str) -> str:
        """Return the object id of a group, the same in every emulator."""
        return group_id(name)

    @switch(
        PEOPLE,
        "Revoke sessions",
        "Revoke {name}’s sessions",
        done="The sessions of {user} are revoked: tokens from before are refused.",
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
        "Move {name} to another address",
        done="{user} has another IP address: the API refuses tokens from before.",
        then="Reload a page of your app that calls an API: the app gets another token"
        " without the user.",
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
        "Let {name}’s sign-in grow too old",
        done="The sign-in of {user} is too old: the next refresh is refused.",
        then=_AT_NEXT.format("they sign in once more."),
        for_one_user=True,
        user=Person(),
    )
    def expire_frequency(self, user: UserLike) -> None:
        """Let the sign-in frequency pass: 70043 at a refresh, until a new sign-in."""
        self.tenant.user(user).frequency_at = self.tenant.now()

    @switch(
        PEOPLE,
        "Disable the account",
        "Disable {name}’s account",
        done="The account of {user} is disabled: no refresh, and no way to sign in.",
        then="Reload a page of your app that calls an API: the user is sent to sign in,"
        " and a page of Entra says why they cannot.",
        for_one_user=True,
        user=Person(),
    )
    def disable(self, user: UserLike) -> None:
        """Disable the account: 50057 at a refresh, a page with no way back at sign-in.

        The API answers 401 with claims, as after ``revoke``.
        """
        self.tenant.user(user).disabled = True

    @switch(
        PEOPLE,
        "Expire the password",
        "Expire {name}’s password",
        done="The password of {user} has expired: a sign-in asks for a new one.",
        then=_AT_NEXT.format("they choose a new password."),
        for_one_user=True,
        user=Person(),
    )
    def expire_password(self, user: UserLike) -> None:
        """Let the password expire: 50055 at a refresh, a new password at sign-in."""
        self.tenant.user(user).password_expired = True

    @switch(
        POLICIES,
        "Second factor",
        "Remove the second factor",
        done="{user} has no second factor: where a policy asks, it is set up first.",
        user=Person(),
    )
    def remove_second_factor(self, user: UserLike) -> None:
        """Have no second factor set up: 50079 where a policy asks for MFA.

        The person sets it up when a sign-in asks for it.
        """
        self.tenant.user(user).has_second_factor = False

    @switch(
        MEMBERSHIP,
        "Give a role",
        done="{user} has the role {role} of the app “{app}”.",
        user=Person(),
        role=_A_ROLE,
        app=_APP,
    )
    def give_role(self, user: UserLike, role: str, app: str = APP) -> None:
        """Give the user a role of the app: tokens from now on have it.

        :param app: the name of its registration.
        """
        registration = self.tenant.registrations.find(app)
        self.tenant.user(user).roles_at(registration).add(role)

    @switch(
        MEMBERSHIP,
        "Take a role away",
        done="{user} does not have the role {role} of the app “{app}”.",
        user=Person(),
        role=_A_ROLE,
        app=_APP,
    )
    def take_role(self, user: UserLike, role: str, app: str = APP) -> None:
        """Take a role of the app away: tokens from now on lack it.

        :param app: the name of its registration.
        """
        registration = self.tenant.registrations.find(app)
        self.tenant.user(user).roles_at(registration).discard(role)

    @switch(
        MEMBERSHIP,
        "Add to a group",
        done="{user} is in the group {group}.",
        user=Person(),
        group=_A_GROUP,
    )
    def add_to_group(self, user: UserLike, group: str) -> None:
        """Add the user to a group, by its name or object id."""
        self.tenant.user(user).groups.add(group_id(group))

    @switch(
        MEMBERSHIP,
        "Remove from a group",
        done="{user} is not in the group {group}.",
        user=Person(),
        group=_A_GROUP,
    )
    def remove_from_group(self, user: UserLike, group: str) -> None:
        """Remove the user from a group, by its name or object id."""
        self.tenant.user(user).groups.discard(group_id(group))

    @switch(
        CONSENT,
        "Give consent",
        done="{user} has consented that “{app}” gets {scope}: no page asks for it.",
        user=Person(),
        scope=Suggested(names=tuple(API_SCOPES)),
        app=_APP,
    )
    def give_consent(self, user: UserLike, scope: str, app: str = APP) -> None:
        """Give consent to one scope in advance, so that no page asks for it.

        :param scope: a scope of the emulator's API; or one of another, such as
            ``payroll/access_as_user``.
        :param app: the name of the registration that gets it.
        """
        client = self.tenant.registrations.find(app)
        self.tenant.user(user).consents_for(client).add(self.scope(scope))

    @switch(
        CONSENT,
        "Withdraw consent",
        "Withdraw {name}’s consent",
        done="The consent of {user} is withdrawn: {scope} of {app}.",
        then=_AT_NEXT.format("they are asked for their consent."),
        for_one_user=True,
        user=Person(),
        scope=_ANY_SCOPE,
        app=_ANY_APP,
    )
    def withdraw_consent(
        self, user: UserLike, scope: str | None = None, app: str | None = None
    ) -> None:
        """Take consent back, for one scope or all: 65001 at the next refresh.

        :param app: the name of the registration that loses it; without it, every one.
        """
        person, known = self.tenant.user(user), self.tenant.registrations
        for client in [known.find(app)] if app else list(known.values()):
            consents = person.consents_for(client)
            names = {scope, self.scope(scope)} if scope else set(consents)
            consents.difference_update(names)
