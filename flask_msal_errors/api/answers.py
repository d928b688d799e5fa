"""Answers to refused callers: challenges that clients understand, and problem details.

Owns which error is answered how; every header is one that our own parser reads back.
"""

from __future__ import annotations

import collections.abc as cabc
import math
import time
from urllib.parse import urlsplit

from werkzeug.wrappers import Response

from .. import signals
from ..errors import AccessDenied
from ..errors import InteractionRequired
from ..errors import InvalidAccessToken
from ..errors import MsalAuthError
from ..errors import details_of
from ..errors import problem
from ..protocol import challenge
from ..protocol.demand import LIMIT
from ..protocol.demand import Claims
from ..protocol.retry_after import DEFAULT_RETRY_AFTER
from ..settings import Settings
from ..state import of_request
from .admitted import Admitted
from .metadata import Metadata

_EXPOSED = "Access-Control-Expose-Headers"


class Answers:
    """Answers in the name of one API."""

    def __init__(self, settings: Settings) -> None:
        authority = _with_tenant(settings.authority or settings.oidc_authority or "")
        place = authority.removesuffix("/v2.0")
        self._id_uri = settings.id_uri
        self.metadata = Metadata(settings.id_uri, f"{place}/v2.0")
        path = urlsplit(authority).path.strip("/").removeprefix("tfp/")
        self._realm = path.partition("/")[0]
        self._sign_in = f"{place}/oauth2/v2.0/authorize"

    def to(self, error: MsalAuthError) -> Response:
        """Return the answer to a request that an error ended."""
        signals.tell(error)
        error = _as_told(error)
        details = details_of(error)
        if error.status in (429, 503):
            wait = details.get("retry_after") or DEFAULT_RETRY_AFTER
            details["retry_after"] = math.ceil(wait)
        response = problem(details)
        headers = response.headers
        headers["Cache-Control"] = "no-store"
        header = self.challenge(error)
        if header is not None:
            headers["WWW-Authenticate"] = header
        if "retry_after" in details:
            headers["Retry-After"] = str(details["retry_after"])
        expose(response)
        return response

    def challenge(self, error: MsalAuthError) -> str | None:
        """Return the ``WWW-Authenticate`` of an error, ``None`` if it has none.

        RFC 6750 §3, RFC 9728 §5.1, and Microsoft's claims challenges:
        https://learn.microsoft.com/entra/identity-platform/claims-challenge
        """
        asked = self._params(error)
        if asked is None:
            return None
        place = {
            "realm": self._realm,
            "authorization_uri": self._sign_in,
            "resource_metadata": self.metadata.url,
        }
        return challenge.written({**place, **asked})

    def _params(self, error: MsalAuthError) -> dict[str, str] | None:
        if isinstance(error, InvalidAccessToken):
            if error.error == "no_token":
                # A client that showed none is told no error (RFC 6750 §3.1).
                return {"scope": self._full(error.wanted)}
            return {"error": error.error}
        if isinstance(error, AccessDenied) and error.error == "insufficient_scope":
            names = self._full(error.wanted or (".default",))
            return {"error": error.error, "scope": names}
        if isinstance(error, InteractionRequired):
            return self._of_interaction(error)
        return None

    def _of_interaction(self, error: InteractionRequired) -> dict[str, str]:
        demand = error.demand
        claims, more = demand.claims, {"acr_values": " ".join(demand.acr_values)}
        if demand.max_age is not None:
            more["max_age"] = str(demand.max_age)
        if demand.reason == "step_up":
            more["cc_type"] = "authcontext"
        if not claims.members:
            # What no claims were named for, a fresh sign-in meets.
            now = {"essential": True, "value": str(int(time.time()))}
            claims = Claims({"access_token": {"nbf": now}})
            more.setdefault("max_age", "0")
        # The token that meets this has to satisfy the view again, which asks for that
        # itself if both are too long for one challenge.
        both = of_request(Admitted).claims.merge(claims)
        claims = both if len(both.to_json() or "") <= LIMIT else claims
        return {
            "error": "insufficient_claims",
            "claims": challenge.packed(claims),
            **more,
        }

    def _full(self, scopes: cabc.Iterable[str]) -> str:
        """Return scopes by their full names, as a client has to ask for them."""
        return " ".join(f"{self._id_uri}/{scope}" for scope in scopes)


def _with_tenant(authority: str) -> str:
    """Return an authority with its tenant, which External ID's host alone stands for.

    The name is the one that MSAL asks for (``authority.py``).
    """
    place = authority.rstrip("/")
    parts = urlsplit(place)
    name, is_external, _ = str(parts.hostname).partition(".ciamlogin.com")
    return (
        f"{place}/{name}.onmicrosoft.com" if is_external and not parts.path else place
    )


def _as_told(error: MsalAuthError) -> MsalAuthError:
    """Return an error as the caller is told it.

    A user who did not consent to what this API needs for itself, consents by consenting
    to all of this API's scopes (``/.default``, combined consent).
    https://learn.microsoft.com/entra/identity-platform/v2-oauth2-on-behalf-of-flow#default-and-combined-consent
    """
    if not isinstance(error, InteractionRequired) or not _is_consent(error):
        return error
    told = AccessDenied(
        result={**error.result, "error": "insufficient_scope", "suberror": ""}
    )
    told.wanted = (".default",)
    return told


def _is_consent(error: InteractionRequired) -> bool:
    """Tell whether consent is missing: to a token, or to what a further API wants."""
    is_refused = error.reason == "consent_required" or 65001 in error.codes
    return is_refused or error.demand.error == "insufficient_scope"


def expose(response: Response) -> None:
    """Let scripts of other origins read the challenge, and when to come back.

    https://fetch.spec.whatwg.org/#http-access-control-expose-headers
    """
    names = response.headers.get(_EXPOSED, "")
    listed = [name.strip() for name in names.split(",") if name.strip()]
    known = {name.lower() for name in listed}
    wanted = [n for n in ("WWW-Authenticate", "Retry-After") if n in response.headers]
    listed += [name for name in wanted if name.lower() not in known]
    if listed:
        response.headers[_EXPOSED] = ", ".join(listed)
