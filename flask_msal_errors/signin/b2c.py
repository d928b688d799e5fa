"""User flows of Azure AD B2C beside sign-in: password reset and profile editing.

Owns what their answers mean. Each is an authority of its own, whose tokens prove that a
person went through it and never sign anybody in.
"""

from __future__ import annotations

import collections.abc as cabc
import dataclasses
import re
import typing as t

from ..protocol.demand import Demand
from ..provider.client import Client
from ..settings import Settings
from .flow_cookies import Flow
from .silent import PROFILE_EDITED

#: Names of the flows, which are also the reasons of the sign-ins that begin them.
RESET_PASSWORD = "reset_password"
EDIT_PROFILE = "edit_profile"
#: Reasons of sign-ins that no page demanded.
VOLUNTARY = ("not_signed_in", PROFILE_EDITED)

#: https://learn.microsoft.com/azure/active-directory-b2c/error-codes
_CANCELLED, _FORGOTTEN = 90091, 90118

UserFlows: t.TypeAlias = cabc.Mapping[str, Client]


def clients(settings: Settings) -> UserFlows:
    """Return a client for each user flow that the settings name."""
    return {name: Client(own) for name, own in settings_of_flows(settings).items()}


def settings_of_flows(settings: Settings) -> dict[str, Settings]:
    """Return the settings of each user flow that is named, at its own authority."""
    authorities = {
        RESET_PASSWORD: settings.reset_password_authority,
        EDIT_PROFILE: settings.edit_profile_authority,
    }
    return {
        name: dataclasses.replace(settings, authority=authority, oidc_authority=None)
        for name, authority in authorities.items()
        if authority
    }


def after_error(
    flow: Flow,
    answer: cabc.Mapping[str, str],
    user_flows: UserFlows,
    is_signed_in: bool,
) -> Demand | str | None:
    """Return the way on from an answer that only looks like a failure.

    :return: a demand to begin a sign-in for; a path, where ``""`` is the start page; or
        ``None`` for a real failure.
    """
    code = _code(answer)
    is_beside = flow.demand.reason in user_flows
    if code == _FORGOTTEN and not is_beside and RESET_PASSWORD in user_flows:
        return Demand(scopes=flow.scopes, reason=RESET_PASSWORD)
    if code == _CANCELLED:
        # The page may have demanded the sign-in, and would do so again.
        is_free = is_beside or flow.demand.reason in VOLUNTARY
        return flow.target if is_signed_in and is_free else ""
    return flow.target if flow.demand.reason == PROFILE_EDITED else None


def after_success(flow: Flow, *, is_signed_in: bool) -> Demand | str:
    """Return the way on from a completed user flow, which signed nobody in.

    :return: a demand to begin a sign-in for, or a path.
    """
    if flow.demand.reason == RESET_PASSWORD and not is_signed_in:
        return Demand(scopes=flow.scopes)
    if flow.demand.reason == EDIT_PROFILE and is_signed_in:
        return Demand(reason=PROFILE_EDITED)
    return flow.target


def _code(answer: cabc.Mapping[str, str]) -> int:
    # B2C has its codes nowhere else than at the start of the description.
    if answer.get("error") != "access_denied":
        return 0
    found = re.match(r"AADB2C([0-9]{5}):", answer.get("error_description", ""))
    return int(found[1]) if found else 0
