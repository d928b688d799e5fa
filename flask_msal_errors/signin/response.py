"""Checks of the identity provider's answer: it must be what was asked for.

Pure of everything but who is signed in: it changes neither session nor record.
"""

from __future__ import annotations

import collections.abc as cabc
import dataclasses
import typing as t

from ..entra.classify import from_result
from ..errors import UNMET
from ..errors import AccessDenied
from ..errors import ConfigurationError
from ..errors import InteractionRequired
from ..errors import MsalAuthError
from ..errors import OtherAccount
from ..errors import TokenError
from ..protocol.demand import LIMIT
from ..protocol.demand import Demand
from ..provider.clocks import LEEWAY
from ..provider.clocks import note
from ..settings import key_of
from ..user import User
from ..user import signed_in
from .flow_cookies import Flow

#: Error and description of Keycloak, if its page was open for so long that another tab
#: signed in meanwhile: to ask again at once brings that session
#: (https://www.keycloak.org/securing-apps/oidc-layers#_oidc-errors).
_TOO_LATE = ("temporarily_unavailable", "authentication_expired")

_CREDENTIAL = key_of("client_credential")


def refusal(answer: dict[str, str], flow: Flow) -> MsalAuthError:
    """The error at the redirect URI, with the fields that MSAL leaves out.

    A browser brought it, and whoever uses that may have written it: such an error
    proves nothing about the app's settings.
    """
    names = ("error", "error_description", "error_uri", "suberror", "claims")
    result: dict[str, t.Any] = {k: answer[k] for k in names if k in answer}
    result.setdefault("suberror", answer.get("error_subcode", ""))
    error = from_result(result, scopes=flow.scopes) or TokenError(result=result)
    # The authorization endpoint is shown no credential, so it refuses none.
    if isinstance(error, ConfigurationError) and str(error).startswith(_CREDENTIAL):
        error = TokenError(result=result)
    error.by_browser = True
    return error


def after_error(flow: Flow, answer: cabc.Mapping[str, str]) -> Demand | None:
    """Return the flow's own demand if the provider wants to be asked again at once."""
    said = answer.get("error"), answer.get("error_description")
    return flow.demand if said == _TOO_LATE else None


class Refused(Exception):
    """A code was refused for claims; a sign-in that asks for them may succeed.

    :param demand: of that sign-in.
    """

    def __init__(self, demand: Demand, error: InteractionRequired) -> None:
        super().__init__("refused for claims")
        self.demand = demand
        self.error = error


def refused_for_claims(
    flow: Flow, answer: cabc.Mapping[str, str], error: MsalAuthError
) -> Refused | None:
    """Return the way on from a refused code, if claims can help that are new.

    Entra may judge a policy only at the redemption. What the user consented to on the
    way there is not asked again.

    :return: ``None`` if the flow asked for these claims, or the answer has no code.
    """
    if "error" in answer or not isinstance(error, InteractionRequired):
        return None
    asked = flow.demand.claims
    claims = asked.merge(error.demand.claims)
    if claims == asked.merge() or len(claims.to_json() or "") > LIMIT:
        return None
    changes: dict[str, t.Any] = {"claims": claims, "reason": error.reason}
    return Refused(dataclasses.replace(flow.demand, consent=False, **changes), error)


def check_account(flow: Flow, came: User) -> None:
    """See that whoever came back is who was expected.

    :raises OtherAccount: another account is signed in, or was to come back.
    """
    person = signed_in()
    expected = person.user.digest if person else flow.account
    if expected is not None and expected != came.digest:
        name = _shown(person.user) if person else ""
        raise OtherAccount(name, _shown(came))


def check_demands(flow: Flow, claims: dict[str, t.Any], name: str) -> None:
    """See that the user authenticated as was demanded (RFC 9470 §5).

    :param name: of the claim that proves an authentication context.
    :raises AccessDenied: the provider let them in with less.
    :raises ConfigurationError: the ID token does not say when they authenticated.
    """
    acrs = flow.demand.request(name).essential_acrs()
    unmet = acrs and claims.get("acr") not in acrs
    if flow.demand.max_age is not None and User(claims).auth_time is None:
        raise ConfigurationError(
            "login_required(max_age=…) needs the claim auth_time, which the ID "
            "token lacks, or has in another form than seconds. Add it to the optional "
            "claims of the ID token in the app registration ('Token configuration')."
        )
    if unmet or not User(claims).authenticated_within(flow.demand.max_age, LEEWAY):
        raise AccessDenied(
            "The identity provider let the user in without the authentication that "
            f"was demanded.{note(claims)}",
            error=UNMET,
        )


def proofs_of(flow: Flow, claims: dict[str, t.Any], name: str) -> dict[str, int]:
    """The authentication context that was demanded and is proved, with its expiry.

    :param name: of the claim that says so: Entra's ``acrs`` or OpenID's ``acr``.
    """
    wanted = flow.demand.acrs
    if wanted is None or wanted not in _listed(claims.get(name)):
        return {}
    return {wanted: int(claims["exp"])}


def _shown(user: User) -> str:
    """Return the name that tells two accounts apart on a page."""
    return user.username or user.name


def _listed(acrs: t.Any) -> list[str]:
    if isinstance(acrs, str):
        return [acrs]
    return [str(acr) for acr in acrs] if isinstance(acrs, list) else []
