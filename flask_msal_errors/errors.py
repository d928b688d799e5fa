"""The errors that this package raises, as a tree.

They carry values and decide nothing: :mod:`flask_msal_errors.entra.classify` chooses
between them.

::

    MsalAuthError
    ├── ConfigurationError (also a ValueError)   500  the developer must fix a setting
    ├── TokenError                               502  an MSAL error value
    │   ├── InteractionRequired                  401  the user can resolve it
    │   ├── AccessDenied                         403  the user may not
    │   │   └── RoleRequired                     403  a role or a group is missing
    │   ├── Throttled                            429  wait, then try again
    │   └── ServiceUnavailable                   503  network, timeout, 5xx
    ├── InvalidAccessToken                       401  a caller's token is refused
    └── SignInError                              400  a sign-in response is refused
        ├── StateMismatch
        ├── FlowExpired
        ├── InvalidIdToken
        ├── OtherAccount
        ├── ReauthenticationLoop
        └── NotResumed                       410  a kept form is not sent again
"""

from __future__ import annotations

import collections.abc as cabc
import copyreg
import json
import re
import typing as t

from flask import current_app
from werkzeug.wrappers import Response

from .protocol.demand import Claims
from .protocol.demand import Demand
from .protocol.demand import printable
from .protocol.demand import reduced
from .protocol.retry_after import DEFAULT_RETRY_AFTER

REASONS = frozenset(
    {
        "additional_action",
        "bad_token",
        "basic_action",
        "challenge",
        "consent_required",
        "device_authentication_failed",
        "interaction_required",
        "invalid_grant",
        "login_required",
        "max_age",
        "message_only",
        "no_token",
        "not_signed_in",
        "recheck",
        "step_up",
        "token_expired",
        "user_password_expired",
    }
)
"""Every value of :attr:`InteractionRequired.reason`: Entra's ``suberror`` or ``error``,
or what this package itself found missing."""

ENDED = frozenset(
    {"bad_token", "invalid_grant", "token_expired", "user_password_expired"}
)
"""Reasons that are about the user's sign-in as a whole: it was revoked or is too old,
or the account was disabled. Other sessions of theirs may have ended with it."""

_SECRETS = frozenset(
    {
        "access_token",
        "client_assertion",
        "client_info",
        "client_secret",
        "code",
        "code_verifier",
        "id_token",
        "id_token_claims",
        "refresh_token",
    }
)


class MsalAuthError(Exception):
    """Root of all errors of this package; its text never holds a secret.

    :param codes: Entra's ``error_codes``, e.g. ``(50076,)``.
    :param correlation_id: what Microsoft's support and the sign-in log ask for.
    """

    status: t.ClassVar[int] = 500
    """HTTP status of the default response."""
    title: t.ClassVar[str] = "Something went wrong while signing in"
    """A short sentence for the user."""
    target: str = "/"
    """Path of the app that the user was at, if a sign-in failed on the way back."""
    api_host: str = ""
    """Host of the API that refused, if it was an API."""
    wanted: tuple[str, ...] = ()
    """Scopes that a token was wanted for."""
    # Number of the request in which its signal was sent; whether its line was written
    # before; and whether a browser brought it, whose user may have made it up.
    told: int = 0
    logged: bool = False
    by_browser: bool = False

    def __init__(
        self,
        message: str = "",
        *,
        codes: cabc.Iterable[int] = (),
        correlation_id: str = "",
    ) -> None:
        self.codes = tuple(codes)
        self.correlation_id = correlation_id
        text = message or self.title
        found = [f"AADSTS{code}" for code in self.codes if str(code) not in text]
        if correlation_id not in text:
            found.append(f"correlation id {printable(correlation_id)}")
        super().__init__(f"{text} ({', '.join(found)})" if found else text)

    def __reduce__(self) -> tuple[t.Any, ...]:
        """Pickle and copy by state, so subclasses are free in their signatures."""
        # Another request may be answered with a copy.
        state = {k: v for k, v in self.__dict__.items() if k != "told"}
        return copyreg.__newobj__, (type(self), *self.args), state  # type: ignore[attr-defined]


class ConfigurationError(MsalAuthError, ValueError):
    """A setting or the app registration is wrong: the text names key and remedy."""

    title = "This application is not set up correctly"


class TokenError(MsalAuthError):
    """No token: the error value that MSAL returned, as attributes.

    Fields that are missing or malformed read as ``""``, ``()`` or ``None``
    (https://learn.microsoft.com/entra/identity-platform/reference-error-codes).

    :param message: the description; it, *error* and *claims* serve without a *result*.
    :param result: the dict that MSAL returned.

    ``error``, ``suberror``: what to branch on, e.g. ``"invalid_grant"`` and
    ``"basic_action"``. ``description``: for developers; it changes without notice.
    ``claims``: JSON text of an object, as MSAL's ``claims_challenge`` takes it, or
    ``None``. ``trace_id``, ``correlation_id``, ``timestamp``: for the sign-in log.
    ``codes``: from ``error_codes``, or else from ``error_uri``, which is what an error
    at the redirect URI has. ``result``: MSAL's dict without its tokens and secrets,
    its claims as ``claims``.
    """

    status = 502
    title = "The sign-in service reported an error"

    def __init__(
        self,
        message: str = "",
        *,
        error: str = "",
        claims: str | None = None,
        result: cabc.Mapping[str, t.Any] | None = None,
    ) -> None:
        given = {"error": error, "error_description": message, "claims": claims}
        fields = {k: v for k, v in given.items() if v} | dict(result or {})
        asked = reduced(fields.pop("claims")) if "claims" in fields else None
        fields |= {"claims": asked} if asked else {}
        self.result = {k: v for k, v in fields.items() if k not in _SECRETS}
        self.error = field(self.result, "error")
        self.description = field(self.result, "error_description")
        self.suberror = field(self.result, "suberror")
        self.trace_id = field(self.result, "trace_id")
        self.timestamp = field(self.result, "timestamp")
        super().__init__(
            self._summary(),
            codes=codes_of(self.result),
            correlation_id=field(self.result, "correlation_id")
            or _told(self.description),
        )

    @property
    def claims(self) -> str | None:
        """JSON text of an object, as MSAL's ``claims_challenge`` takes it.

        Only its member ``access_token``; the rest is dropped.
        """
        return self.result.get("claims")

    def _summary(self) -> str:
        names = [printable(name) for name in (self.error, self.suberror) if name]
        parts = (" / ".join(names) or self.title, printable(self.description, 600))
        return ": ".join(part for part in parts if part)


class InteractionRequired(TokenError):
    """The user can resolve this by signing in again, with ``claims`` and ``scopes``.

    :param scopes: the scopes that no token could be had for.
    :param reason: one of :data:`REASONS`.
    :param max_age: seconds since which the user must have authenticated (RFC 9470).
    :param demand: what is missing, in place of *claims* and the three before it.
    """

    status = 401
    title = "You need to sign in again"

    def __init__(
        self,
        message: str = "",
        *,
        error: str = "",
        claims: str | None = None,
        result: cabc.Mapping[str, t.Any] | None = None,
        scopes: cabc.Iterable[str] = (),
        reason: str = "interaction_required",
        max_age: int | None = None,
        demand: Demand | None = None,
    ) -> None:
        self.demand = demand or Demand(
            scopes=tuple(scopes),
            claims=Claims.of_error((result or {}).get("claims", claims)),
            reason=reason,
            max_age=max_age,
        )
        self.api_host = self.demand.host
        super().__init__(message, error=error, claims=claims, result=result)

    @property
    def scopes(self) -> tuple[str, ...]:
        """The scopes that no token could be had for."""
        return self.demand.scopes

    @property
    def claims(self) -> str | None:
        """JSON text of all claims to ask the identity provider for, or ``None``."""
        return self.demand.request().to_json()

    @property
    def reason(self) -> str:
        """Entra's ``suberror`` or ``error``, or what this package found missing."""
        return self.demand.reason

    @property
    def max_age(self) -> int | None:
        """Seconds since which the user must have authenticated."""
        return self.demand.max_age

    def _summary(self) -> str:
        text = super()._summary()
        reason = self.demand.reason
        return text if reason in text else f"{text} [{reason}]"


#: Apple's, LinkedIn's and Okta's words for it
#: (https://learn.microsoft.com/linkedin/shared/authentication/authorization-code-flow,
#: https://developer.okta.com/docs/reference/error-codes).
USER_CANCELLED = (
    "user_cancelled_authorize",
    "user_cancelled_login",
    "user_canceled_request",
)
#: The error of a provider that could not authenticate the user as demanded
#: (OpenID Connect Core Error Code unmet_authentication_requirements 1.0).
UNMET = "unmet_authentication_requirements"


class AccessDenied(TokenError):
    """The user may not, or cancelled or declined (``is_choice``)."""

    status = 403
    title = "Access denied"

    @property
    def is_choice(self) -> bool:
        """Whether the user cancelled, or did not consent (65004)."""
        is_cancelled = self.suberror == "cancel" or self.error in USER_CANCELLED
        return is_cancelled or 65004 in self.codes


class RoleRequired(AccessDenied):
    """The user is signed in, and lacks a role or a group that a page demands.

    :param roles: of which one is needed.
    :param groups: of which one is needed.
    """

    title = "You may not open this page"

    def __init__(
        self,
        message: str = "",
        *,
        roles: cabc.Iterable[str] = (),
        groups: cabc.Iterable[str] = (),
    ) -> None:
        self.roles = tuple(roles)
        self.groups = tuple(groups)
        kind, names = ("role", self.roles) if self.roles else ("group", self.groups)
        text = f"The user has none of the {kind}s {', '.join(names)}." if names else ""
        super().__init__(message or text, error=f"missing_{kind}" if names else "")


class Throttled(TokenError):
    """Entra, or an API, answers no more for now; a redirect would make it worse.

    :param retry_after: seconds to wait.
    """

    status = 429
    title = "Too many requests"

    def __init__(
        self,
        message: str = "",
        *,
        error: str = "",
        claims: str | None = None,
        result: cabc.Mapping[str, t.Any] | None = None,
        retry_after: int = DEFAULT_RETRY_AFTER,
    ) -> None:
        self.retry_after = retry_after
        super().__init__(message, error=error, claims=claims, result=result)


class ServiceUnavailable(TokenError):
    """Network failure, timeout or a 5xx of the identity provider, or an API that named
    a time to come back.

    :param retry_after: seconds to wait, if anybody said so.
    """

    status = 503
    title = "A service does not answer"

    def __init__(
        self,
        message: str = "",
        *,
        error: str = "",
        claims: str | None = None,
        result: cabc.Mapping[str, t.Any] | None = None,
        retry_after: int | None = None,
    ) -> None:
        self.retry_after = retry_after
        super().__init__(message, error=error, claims=claims, result=result)


class InvalidAccessToken(MsalAuthError):
    """A caller of this API showed no access token, or one that fails a check.

    ``error``: ``"invalid_token"``, or ``"no_token"`` where none came.
    """

    status = 401
    title = "An access token is needed"
    error: str = "invalid_token"


class SignInError(MsalAuthError):
    """The response to a sign-in is not acceptable."""

    status = 400
    title = "Sign-in failed"


class StateMismatch(SignInError):
    """The answer is not the one that a sign-in of this browser waits for.

    Its ``state`` (RFC 6749 §10.12) or ``iss`` (RFC 9207) is another, or a parameter
    came twice.

    ``reason``: as far as the state tells, ``"other_key"``, ``"other_origin"``,
    ``"expired"`` or ``"unknown"``; else ``""``. ``target`` is the page that this state
    was made for, by whomever: do not show it to somebody who is not signed in.
    ``is_cut``: whether the target is only the beginning of a long URL.
    """

    reason: str = ""
    is_cut: bool = False
    title = "This sign-in was not started in this browser"


class FlowExpired(SignInError):
    """The sign-in was started too long ago, or its answer was used up already."""

    title = "This sign-in has ended"


class InvalidIdToken(SignInError):
    """The ID token fails a check of OpenID Connect Core §3.1.3.7."""

    title = "The answer of the sign-in service is not valid"


class OtherAccount(SignInError):
    """A re-authentication came back with another account than the one signed in.

    :param expected: user name of who is signed in.
    :param came: user name of who came back.
    """

    title = "Another account came back"

    def __init__(self, expected: str = "", came: str = "") -> None:
        super().__init__(f"{self.title} from a re-authentication.")
        self.expected = expected
        self.came = came


class ReauthenticationLoop(SignInError):
    """A demand came back again and again, so it is no longer followed.

    :param party: who refuses, ``"identity provider"`` or ``"API"``; ``"session"`` if
        nobody does, but who signed in is a stranger again; ``"application"`` if it
        sends who is signed in to the sign-in again and again.
    :param api: the resource of the API that refuses.
    """

    title = "Signing in again did not help"

    def __init__(
        self,
        message: str = "",
        *,
        party: str = "identity provider",
        api: str = "",
        codes: cabc.Iterable[int] = (),
        correlation_id: str = "",
    ) -> None:
        self.party, self.api = party, api
        cause = f"the {party} {api}".rstrip() + " still refuses"
        if party == "session":
            cause = (
                "the session was lost each time; see SESSION_COOKIE_SECURE (needs"
                " https), SESSION_COOKIE_DOMAIN and SESSION_TYPE (shared by all hosts)"
            )
        super().__init__(
            message or f"{self.title}: {cause}",
            codes=codes,
            correlation_id=correlation_id,
        )


class NotResumed(SignInError):
    """A kept form is not posted again: nothing was carried out."""

    status = 410
    title = "This form was not sent again"


def details_of(error: MsalAuthError) -> dict[str, t.Any]:
    """Return members of a problem details object, RFC 9457 §3: for programs.

    In English, and nothing secret is in them. How the app is misconfigured is told in
    debug mode only.
    """
    internal = isinstance(error, ConfigurationError) and not current_app.debug
    details = {
        "type": "about:blank",
        "title": error.title,
        "status": error.status,
        "detail": None if internal else str(error),
        "error": getattr(error, "error", "") or _snake(type(error).__name__),
        "codes": list(error.codes),
        "correlation_id": error.correlation_id,
        "roles": list(getattr(error, "roles", ())),
        "groups": list(getattr(error, "groups", ())),
        "retry_after": getattr(error, "retry_after", None),
    }
    return {
        name: value for name, value in details.items() if value not in (None, "", [])
    }


def problem(details: dict[str, t.Any]) -> Response:
    """Return the answer to a program, of the app's class of responses.

    :param details: of :func:`details_of`, perhaps with other members.
    """
    return current_app.response_class(
        json.dumps(details), details["status"], mimetype="application/problem+json"
    )


def _snake(name: str) -> str:
    return "".join(f"_{c.lower()}" if c.isupper() else c for c in name).lstrip("_")


def field(result: cabc.Mapping[str, t.Any], name: str) -> str:
    """Return a string of MSAL's error value; ``""`` if it is missing or malformed.

    JSON may name half a surrogate pair, which no page or log can show: it is ``?``.
    """
    value = result.get(name)
    return value.encode(errors="replace").decode() if isinstance(value, str) else ""


def codes_of(result: cabc.Mapping[str, t.Any]) -> tuple[int, ...]:
    """Return the AADSTS codes of MSAL's error value."""
    listed = result.get("error_codes")
    several = listed if isinstance(listed, (list, tuple)) else ()
    codes = tuple(c for c in several if type(c) is int and 0 < c < 10**9)
    if codes:
        return codes
    uri = result.get("error_uri")
    pattern = r"[?&]code=([0-9]{1,9})(?![0-9])"
    named = re.search(pattern, uri) if isinstance(uri, str) else None
    return (int(named[1]),) if named else ()


def _told(description: str) -> str:
    """The correlation id, which an error at the redirect URI has in its text only."""
    found = re.search(r"Correlation ID: ([0-9a-fA-F-]{36})", description)
    return found[1] if found else ""
