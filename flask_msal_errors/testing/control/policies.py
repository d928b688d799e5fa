"""Switches for Conditional Access: MFA, authentication contexts, blocks."""

from __future__ import annotations

import uuid

from ..declaration import POLICIES
from ..declaration import switch
from ..entra.model import API_SCOPES
from ..entra.model import BlockPolicy
from ..entra.model import GrantPolicy
from ..entra.tenant import OfTenant
from ..entra.tenant import UserLike
from ..values import Flag
from ..values import Person
from ..values import Suggested

_ANY_SCOPE = Suggested(names=tuple(API_SCOPES), optional=True, none="every scope")


class Policies(OfTenant):
    """Switches for what the organisation demands before it hands out tokens."""

    @switch(
        POLICIES,
        "Require MFA",
        done="Tokens now need MFA: for {user}, of {scope}.",
        user=Person(optional=True, none="everyone"),
        scope=_ANY_SCOPE,
    )
    def require_mfa(
        self, scope: str | None = None, user: UserLike | None = None
    ) -> None:
        """Demand MFA for tokens: for everyone, or of one scope or user.

        A refresh without it is refused with 50076 and claims; sign-in shows the page
        ``mfa``.
        Tokens that were issued before stay good. Who has not set it up is refused with
        50079.

        :param scope: a short or full name, or the URI of an API for all its scopes.
        """
        self.tenant.mfa.append(self._policy(scope, user))

    def _policy(self, scope: str | None, user: UserLike | None) -> GrantPolicy:
        key = self.tenant.user(user).key if user else None
        return GrantPolicy(scope, key, str(uuid.uuid4()))

    @switch(
        POLICIES,
        "Require a compliant device",
        done="Tokens now need a compliant device: for {user}, of {scope}.",
        user=Person(optional=True, none="everyone"),
        scope=_ANY_SCOPE,
    )
    def require_device(
        self, scope: str | None = None, user: UserLike | None = None
    ) -> None:
        """Demand a compliant device for tokens: for everyone, or of one scope or user.

        A refresh without it is refused with 53000 and claims; sign-in shows the page
        ``device``, on which the person enrols theirs.
        """
        self.tenant.devices.append(self._policy(scope, user))

    @switch(
        POLICIES,
        "Step-up",
        "Set step-up",
        done="The API’s {place} demands this authentication context: {context}.",
        then="Open a page of your app that calls the API there. The API demands the"
        " proof, and a page of Entra asks for it once.",
        place=Suggested(names=("/payroll", "/mail", "/me", "/busy", "User.Read")),
        context=Suggested(names=("c1", "c2"), optional=True),
    )
    def require_context(self, place: str, context: str | None = None) -> None:
        """Have the API demand an authentication context; none takes the demand back.

        :param place: a path below ``/api``, such as ``/payroll``, or a scope.
        """
        with self.tenant.lock:
            self.tenant.contexts.pop(place, None)
            if context:
                self.tenant.contexts[place] = context

    @switch(
        POLICIES,
        "Block access",
        "Block",
        done="Tokens of {scope} are blocked.",
        then="It counts at the next token. Sign in in a private window: Entra, or the"
        " app, says that access is blocked.",
        scope=_ANY_SCOPE,
        redirect=Flag(label="send back to the app"),
    )
    def block(self, scope: str | None = None, *, redirect: bool = False) -> None:
        """Block tokens, of one scope or any: a refresh is refused with 53003.

        :param redirect: sign-in goes back to the app with the error; without it, it
            ends on the page ``blocked``.
        """
        policy = BlockPolicy(scope, redirect, str(uuid.uuid4()))
        self.tenant.blocks.append(policy)

    @switch(
        POLICIES,
        "Clear policies",
        done="No policy demands anything or blocks; step-up is as at the start.",
    )
    def clear_policies(self) -> None:
        """Drop every policy; contexts go back to the default."""
        with self.tenant.lock:
            self.tenant.mfa.clear()
            self.tenant.devices.clear()
            self.tenant.blocks.clear()
            self.tenant.contexts = {"/payroll": "c1"}
