"""User flows of Azure AD B2C beside sign-in: password reset and profile editing.

Owns what their answers mean. Each is an authority of its own, whose tokens prove that a
person went through it and never sign anybody in.
"""

from __future__ import annotations

import collections.abc as cabc
import dataclasses
import re

from ..provider.client import Client
from ..settings import Settings

#: Names of the flows, which are also the reasons of the sign-ins that begin them.
RESET_PASSWORD = "reset_password"
EDIT_PROFILE = "edit_profile"
#: The silent sign-in that fetches an edited name.
PROFILE_EDITED = "profile_edited"

#: https://learn.microsoft.com/azure/active-directory-b2c/error-codes
_CANCELLED, _FORGOTTEN = 90091, 90118


def clients(settings: Settings) -> dict[str, Client]:
    """A client for each user flow that the settings name."""
    authorities = {
        RESET_PASSWORD: settings.reset_password_authority,
        EDIT_PROFILE: settings.edit_profile_authority,
    }
    return {
        name: Client(
            dataclasses.replace(settings, authority=authority, oidc_authority=None)
        )
        for name, authority in authorities.items()
        if authority
    }


def is_cancelled(answer: cabc.Mapping[str, str]) -> bool:
    """Whether the person gave up."""
    return _code(answer) == _CANCELLED


def is_forgotten(answer: cabc.Mapping[str, str]) -> bool:
    """Whether the person asks for a new password."""
    return _code(answer) == _FORGOTTEN


def _code(answer: cabc.Mapping[str, str]) -> int:
    # B2C has its codes nowhere else than at the start of the description.
    if answer.get("error") != "access_denied":
        return 0
    found = re.match(r"AADB2C([0-9]{5}):", answer.get("error_description", ""))
    return int(found[1]) if found else 0
