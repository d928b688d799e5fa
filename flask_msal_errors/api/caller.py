"""The caller of an API, and what a view demands of one.

Pure: knows claims of validated access tokens, and nothing of requests.
"""

from __future__ import annotations

import collections.abc as cabc
import dataclasses
import typing as t

from ..errors import AccessDenied
from ..errors import InteractionRequired
from ..protocol.demand import NO_CLAIMS
from ..protocol.demand import Claims
from ..protocol.demand import Demand
from ..provider.access_token import client_of
from ..user import strings


@dataclasses.dataclass(frozen=True)
class Caller:
    """The sender of a request, by the validated claims of its access token.

    A person by way of an app; or an app alone (``is_app``).
    https://learn.microsoft.com/entra/identity-platform/access-token-claims-reference
    """

    claims: dict[str, t.Any] = dataclasses.field(repr=False)

    def __hash__(self) -> int:
        return hash((self.tenant_id, self.object_id, self.client_id))

    @property
    def is_app(self) -> bool:
        """Whether an app called for itself, with no user.

        ``idtyp`` says so, which the registration of an API may ask for. Without it, an
        app's token has no ``scp``, and ``sub`` is its ``oid``; a user's ``sub`` is
        another for each API. A token that proves neither counts as a user's.
        https://learn.microsoft.com/entra/identity-platform/scenario-protected-web-api-verification-scope-app-roles
        """
        kind = self.claims.get("idtyp")
        if kind is not None or "scp" in self.claims:
            return kind == "app"
        return self.object_id is not None and self.object_id == self.claims.get("sub")

    @property
    def client_id(self) -> str:
        """The app that called: ``azp``, or ``appid`` in tokens of version 1.0."""
        return client_of(self.claims)

    @property
    def tenant_id(self) -> str | None:
        """``tid``: the tenant of the caller."""
        return _string(self.claims.get("tid"))

    @property
    def object_id(self) -> str | None:
        """``oid``: the user in their tenant; of an app, its service principal."""
        return _string(self.claims.get("oid"))

    @property
    def scopes(self) -> tuple[str, ...]:
        """Short names of what the user let the app do (``scp``)."""
        return tuple((_string(self.claims.get("scp")) or "").split())

    @property
    def roles(self) -> frozenset[str]:
        """App roles: the user's, or the app's own.

        Empty if the claim is no list of strings.
        """
        return strings(self.claims.get("roles"))

    @property
    def acrs(self) -> frozenset[str]:
        """Authentication contexts that the token proves.

        Empty if the claim is no list of strings.
        """
        return strings(self.claims.get("acrs"))


@dataclasses.dataclass(frozen=True)
class Rule:
    """A view's rule for its callers.

    :param scopes: all of which a user's token must hold, by their short names.
    :param roles: one of which a user must have; none given: no role is needed.
    :param app_roles: one of which an app must have; none given: no app may call.
    :param acrs: an authentication context that a user's token must prove.
    """

    scopes: tuple[str, ...] = ()
    roles: tuple[str, ...] = ()
    app_roles: tuple[str, ...] = ()
    acrs: str | None = None

    @property
    def claims(self) -> Claims:
        """Claims that a user's token has to have."""
        if not self.acrs:
            return NO_CLAIMS
        wanted = {"acrs": {"essential": True, "value": self.acrs}}
        return Claims({"access_token": wanted})

    def check(self, caller: Caller) -> None:
        """See that a caller may use the view.

        :raises AccessDenied: they may not, or the token lacks scopes.
        :raises InteractionRequired: the user has to prove more.
        """
        if caller.is_app:
            _need_one(self.app_roles, caller, "an app without a user")
            return
        missing = set(self.scopes).difference(caller.scopes)
        if missing or not caller.scopes:
            raise _insufficient(self.scopes, caller)
        if self.roles:
            _need_one(self.roles, caller, "a user")
        if self.acrs and self.acrs not in caller.acrs:
            raise _step_up(self.acrs, self.claims)


def _need_one(roles: cabc.Collection[str], caller: Caller, who: str) -> None:
    if caller.roles.isdisjoint(roles):
        listed = f"one of the app roles {', '.join(roles)}" if roles else "more"
        raise AccessDenied(f"For this, {who} needs {listed}.", error="access_denied")


def _insufficient(scopes: tuple[str, ...], caller: Caller) -> AccessDenied:
    listed = ", ".join(scopes) or "any"
    text = f"The access token lacks scopes of this API (scp): {listed} needed."
    if not caller.scopes:
        text += " Nor is it an app's, by its idtyp, or by an oid that is its sub."
    error = AccessDenied(text, error="insufficient_scope")
    error.wanted = scopes
    return error


def _step_up(context: str, claims: Claims) -> InteractionRequired:
    demand = Demand(claims=claims, reason="step_up")
    return InteractionRequired(
        f"The access token does not prove the authentication context {context}.",
        error="insufficient_claims",
        demand=demand,
    )


def _string(value: t.Any) -> str | None:
    return value if isinstance(value, str) else None
