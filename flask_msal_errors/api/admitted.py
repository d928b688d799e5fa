"""The caller of a request, once a guard let them in, for all that acts for them."""

from __future__ import annotations

import dataclasses

from flask import has_request_context
from werkzeug.wrappers import Response

from ..errors import ConfigurationError
from ..protocol.demand import NO_CLAIMS
from ..protocol.demand import Claims
from ..protocol.secret import Secret
from ..state import of_request
from .caller import Caller

#: The text of an error where there is no request.
OUTSIDE = (
    "api.caller, or a token on behalf of it, was asked for outside a request. Take it "
    "in the view and hand it to the background work. For an answer in pieces, "
    "flask.stream_with_context keeps the request."
)


@dataclasses.dataclass(repr=False)
class Admitted:
    """The caller of a request, and what guards demanded of them."""

    caller: Caller | None = None
    token: Secret = Secret()
    """The access token that they showed, kept for this request only."""
    claims: Claims = NO_CLAIMS
    """Demands that a next token has to meet, too."""
    answer: Response | None = None
    """The answer that was given in place of a view."""


def admitted() -> tuple[Caller, Secret]:
    """Return the caller of this request, and the access token that they showed.

    :raises ConfigurationError: no guard of the API let it in, or there is no request.
    """
    if not has_request_context():
        raise ConfigurationError(OUTSIDE)
    found = of_request(Admitted)
    if found.caller is None:
        raise ConfigurationError(
            "api.caller is known in a view below api.token_required, or after "
            "api.require_token."
        )
    return found.caller, found.token
