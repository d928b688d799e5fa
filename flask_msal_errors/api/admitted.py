"""The caller of a request, once a guard let them in, for all that acts for them."""

from __future__ import annotations

import dataclasses

from flask import has_request_context

from ..errors import ConfigurationError
from ..protocol.demand import NO_CLAIMS
from ..protocol.demand import Claims
from ..protocol.secret import Secret
from ..state import of_request
from .caller import Caller


@dataclasses.dataclass(repr=False)
class Admitted:
    """The caller of a request, and what guards demanded of them."""

    caller: Caller | None = None
    token: Secret = Secret()
    """The access token that they showed, kept for this request only."""
    claims: Claims = NO_CLAIMS
    """Demands that a next token has to meet, too."""


def admitted() -> tuple[Caller, Secret]:
    """Return the caller of this request, and the access token that they showed.

    :raises ConfigurationError: no guard of the API let it in.
    """
    found = of_request(Admitted) if has_request_context() else Admitted()
    if found.caller is None:
        raise ConfigurationError(
            "api.caller is known in a view below api.token_required, or after "
            "api.require_token."
        )
    return found.caller, found.token
