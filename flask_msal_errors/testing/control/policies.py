"""Switches for Conditional Access: MFA, authentication contexts, blocks."""

from __future__ import annotations

import uuid

from ..declaration import POLICIES
from ..declaration import switch
from ..entra.model import API_SCOPES
from ..entra.model import BlockPolicy
from ..entra.model import MfaPolicy
from ..entra.tenant import OfTenant
from ..entra.tenant import UserLike
from ..values import Flag
from ..values import Person
from ..values import Suggested

_ANY_SCOPE = Suggested(names=tuple(API_SCOPES), optional=True, none="every one")


class Policies(OfTenant):
    """Switches for what the organisation demands before it hands out tokens."""

    @switch(
        POLICIES,
        "Require MFA",
        user=Person(optional=True, none="everyone"),
        scope=_ANY_SCOPE,
    )
    def require_mfa(
        self, scope: str | None = None, user: UserLike | None = None
    ) -> None:
        """Demand MFA for tokens: for every one, or of one scope or user.

        A refresh without it is refused with 50076 and claims; sign-in shows the page
        ``mfa``.
        Tokens that were issued before stay good.
        """
        key = self.tenant.user(user).key if user else None
        self.tenant.mfa.append(MfaPolicy(scope, key, str(uuid.uuid4())))

    @switch(
        POLICIES,
        "Step-up",
        "Set step-up",
        place=Suggested(names=("/payroll", "/mail", "/me", "/busy")),
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

    @switch(POLICIES, "Clear policies")
    def clear_policies(self) -> None:
        """Drop every MFA and block policy; contexts go back to the default."""
        with self.tenant.lock:
            self.tenant.mfa.clear()
            self.tenant.blocks.clear()
            self.tenant.contexts = {"/payroll": "c1"}
