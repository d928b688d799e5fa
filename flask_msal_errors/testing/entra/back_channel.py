"""Logout tokens, which the plain provider posts to the app at a sign-out.

Source: OpenID Connect Back-Channel Logout 1.0.
"""

from __future__ import annotations

import collections.abc as cabc

import requests

from . import tokens
from .model import SignIn
from .tenant import Tenant

#: Seconds that the app may take.
_PATIENCE = 10


def supported(tenant: Tenant) -> dict[str, bool]:
    """Return the members of metadata that promise it, where it is done (§2.1)."""
    names = ("backchannel_logout_supported", "backchannel_logout_session_supported")
    is_done = tenant.settings.openid_backchannel_logout_uri is not None
    return dict.fromkeys(names, True) if is_done else {}


def tell(tenant: Tenant, ended: cabc.Iterable[SignIn]) -> None:
    """Post a token for each sign-in that ended; what the app answers is counted.

    Counted as ``backchannel.200``, or ``backchannel.0`` without an answer.
    """
    uri = tenant.settings.openid_backchannel_logout_uri
    with requests.Session() as http:
        http.trust_env = False
        for sign_in in ended if uri else ():
            form = {"logout_token": tokens.logout_token(tenant, sign_in, {})}
            try:
                status = http.post(str(uri), form, timeout=_PATIENCE).status_code
            except requests.RequestException:
                status = 0
            tenant.count("backchannel", f"backchannel.{status}")
