"""Silent sign-ins: the provider answers at once, without a page (``prompt=none``).

Owns which sign-ins these are, and what a refused one means for the user, who is signed
in. Source: OpenID Connect Core 1.0 §3.1.2.1 and §3.1.2.6.
"""

from __future__ import annotations

import collections.abc as cabc

from ..protocol.demand import Demand
from .flow_cookies import Flow

#: The reason of the one that fetches an edited name, from B2C.
PROFILE_EDITED = "profile_edited"
#: The reason of the one that asks whether the user still has their account and roles.
RECHECK = "recheck"
#: Parameters of their authorization requests.
PARAMETERS: dict[str, dict[str, str]] = {
    reason: {"prompt": "none"} for reason in (PROFILE_EDITED, RECHECK)
}
#: Errors that pages would not change (RFC 6749 §4.1.2.1). Others mean that the provider
#: needs the person, whatever its word for that is, or that it has to show pages.
_FINAL = frozenset(
    {"access_denied", "server_error", "temporarily_unavailable", "unauthorized_client"}
)


def after_error(flow: Flow, answer: cabc.Mapping[str, str]) -> Demand | None:
    """Return the sign-in that goes on where the provider needs the person.

    :return: ``None`` if it does not, or the sign-in was not a silent recheck.
    """
    if flow.demand.reason != RECHECK or answer["error"] in _FINAL:
        return None
    return Demand(scopes=flow.scopes, reason="login_required")
