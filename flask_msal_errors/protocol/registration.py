"""An app registration, and whose sign-ins its owner accepts.

Owns what sessions, cookies, links and entries are bound to. Knows no setting by its
key, and nothing of how a sign-in is proved.
"""

from __future__ import annotations

import collections.abc as cabc
import hashlib
import math
import time
import typing as t
from urllib.parse import urlsplit


class Registration:
    """One client id at one authority.

    :param client_id: of the app registration.
    :param authority: the URL of an Entra or B2C authority.
    :param issuer: of another OpenID Connect provider, in place of an authority.
    :param tenants: that may sign in; none given, or ``*``, for any.
    :param max_age: seconds that a sign-in lasts at most.
    :param recheck: seconds after which the provider is asked again; 0 for never.
    """

    def __init__(
        self,
        client_id: str,
        authority: str | None,
        issuer: str | None = None,
        tenants: cabc.Collection[str] = (),
        max_age: int | None = None,
        recheck: int = 0,
    ) -> None:
        # Entra and B2C take any case in a path; other providers may tell them apart.
        place = _normalised((authority or "").lower()), _normalised(issuer or "")
        about = repr((client_id.lower(), *place))
        self.name = hashlib.sha256(about.encode()).hexdigest()[:12]
        """A short name, which says nothing about it and is the same for all workers."""
        self.session_key = f"_msal_{self.name}"
        """The one key of a Flask session that is this registration's."""
        self._tenants = () if "*" in tenants else tenants
        self._max_age = max_age
        self._policy = _policy(authority or "")
        self.recheck = recheck or math.inf
        """Seconds for which the provider's word on a user is good."""

        self.has_rules = bool(self._tenants or self._policy or max_age)
        """Whether :meth:`misfit` may ever say anything."""

    def misfit(
        self, claims: cabc.Mapping[str, t.Any], since: float | None = None
    ) -> str:
        """Return why an account may not use the app, or ``""``.

        :param claims: of a validated ID token, at the sign-in or later. B2C signs the
            tokens of all its policies with the same keys.
        :param since: when the account signed in (epoch seconds); now by default.
        """
        if self._max_age and since is not None and time.time() > since + self._max_age:
            return "The sign-in was MSAL_SESSION_MAX_AGE seconds ago."
        if self._policy:
            found = {str(claims.get(name, "")).lower() for name in ("tfp", "acr")}
            if self._policy not in found:
                return "The token is of another B2C policy (tfp)."
        if self._tenants and claims.get("tid") not in self._tenants:
            return "The account's tenant is none of MSAL_ALLOWED_TENANTS."
        return ""


def _normalised(url: str) -> str:
    parts = urlsplit(url)
    host = parts.netloc.lower().removesuffix(":443")
    return f"{host}{parts.path.rstrip('/')}"


def _policy(authority: str) -> str:
    """Return the policy of a B2C authority, ``https://host/[tfp/]tenant/b2c_1_name``."""
    parts = urlsplit(authority).path.strip("/").lower().removeprefix("tfp/").split("/")
    return parts[1] if len(parts) == 2 and parts[1].startswith("b2c_1") else ""
