"""The decision which error an answer of Microsoft Entra or MSAL stands for.

Pure; the numbers and their remedies are rows of :mod:`.codes`.
"""

from __future__ import annotations

import collections.abc as cabc
import json
import re
import typing as t

from .. import errors
from ..errors import ENDED
from ..errors import REASONS
from ..errors import UNMET
from ..errors import USER_CANCELLED
from ..errors import AccessDenied
from ..errors import ConfigurationError
from ..errors import InteractionRequired
from ..errors import MsalAuthError
from ..errors import ServiceUnavailable
from ..errors import SignInError
from ..errors import Throttled
from ..errors import TokenError
from ..errors import codes_of
from ..errors import field
from ..protocol.demand import printable
from ..protocol.retry_after import DEFAULT_RETRY_AFTER
from ..protocol.retry_after import LOOP_RETRY_AFTER
from . import codes

_Kind: t.TypeAlias = type[MsalAuthError]

#: The rows of the table that say more than their ``error``.
BY_CODE: dict[int, _Kind] = {
    row.number: getattr(errors, row.decision)
    for group in codes.GROUPS
    for row in group.codes
    if row.decision
}

#: An invalid secret, an expired one, an unknown certificate.
_CREDENTIALS = frozenset({7000215, 7000222, 700027})

#: Refusals of the app, and of a user who is not assigned to it.
_OF_ANY_SCOPES = _CREDENTIALS | {50105}

_LOOP = 50196

# A browser can neither bring an Intune app protection policy nor redeem another
# client's token (MSAL.NET MsalServiceExceptionFactory, s_nonUiSubErrors).
_BY_SUBERROR: dict[str, _Kind] = {
    "protection_policy_required": AccessDenied,
    "client_mismatch": TokenError,
}

#: Words for a rate limit, which some providers have beside a status 400: the first is
#: the protocol's own (RFC 8628 §3.5).
_RATES = ("slow_down", "too_many_requests", "rate_limit_exceeded")

# server_error is a redirect's form of a 5xx (RFC 6749 §4.1.2.1).
_BY_ERROR: dict[str, _Kind] = {
    "interaction_required": InteractionRequired,
    "login_required": InteractionRequired,
    "consent_required": InteractionRequired,
    "user_password_expired": InteractionRequired,
    "invalid_grant": InteractionRequired,
    **dict.fromkeys(("access_denied", *USER_CANCELLED, UNMET), AccessDenied),
    "temporarily_unavailable": ServiceUnavailable,
    "server_error": ServiceUnavailable,
    **dict.fromkeys(_RATES, Throttled),
    **dict.fromkeys(codes.REMEDIES, ConfigurationError),
}


#: Errors of a token endpoint (RFC 6749 §5.2) that no user can help with, and our own.
_NOT_OF_USERS = frozenset({"", "invalid_response", "unsupported_grant_type"})


def from_result(
    result: object,
    *,
    scopes: cabc.Iterable[str] = (),
    status: int | None = None,
    retry_after: int | None = None,
    words_differ: bool = False,
) -> MsalAuthError | None:
    """Return the error that an answer of MSAL or a token endpoint means.

    Decides by HTTP status, ``error_codes``, ``suberror`` and ``error``, in this order,
    and never by ``error_description``.

    :param result: MSAL's dict; ``None``, as a silent call returns it; or the body of an
        answer that is not JSON, together with its ``status``.
    :param scopes: what the token was wanted for.
    :param retry_after: seconds, see :func:`.parse_retry_after`.
    :param words_differ: of a refresh at another provider. Each has a word of its own
        for a refresh token that is gone; what blames neither the client nor the server
        means that the user is needed.
    :return: ``None`` for a success.
    """
    body = result if isinstance(result, cabc.Mapping) else _parsed(result, status)
    has_token = "access_token" in body or "id_token" in body
    if has_token and not body.get("error") and (status is None or status < 400):
        return None
    kind = _kind(body, status)
    if words_differ and kind in (TokenError, AccessDenied):
        blamed = field(body, "error") in _NOT_OF_USERS
        kind = TokenError if blamed or result is None else InteractionRequired
    if result is None and kind is TokenError:
        return InteractionRequired(scopes=scopes, reason="no_token")
    if kind is InteractionRequired:
        # The suberror says more than the error, if we know it.
        name = "suberror" if field(body, "suberror") in REASONS else "error"
        reason = field(body, name)
        if words_differ and reason not in REASONS:
            reason = "invalid_grant"
        return InteractionRequired(result=body, scopes=scopes, reason=reason)
    if kind is Throttled:
        held = LOOP_RETRY_AFTER if _LOOP in codes_of(body) else DEFAULT_RETRY_AFTER
        wait = held if retry_after is None else retry_after
        return Throttled(result=body, retry_after=wait)
    if kind is ServiceUnavailable:
        return ServiceUnavailable(result=body, retry_after=retry_after)
    if kind is ConfigurationError:
        return _configuration_error(TokenError(result=body))
    if kind is AccessDenied:
        return AccessDenied(result=body)
    return TokenError(result=body)


def is_error(value: object) -> bool:
    """Tell an error dict of MSAL from an app's own ``{"error": …}``.

    It has ``error``, a string, and one of ``error_description``, ``error_codes`` and
    ``correlation_id``.
    """
    if not isinstance(value, cabc.Mapping):
        return False
    error = value.get("error")
    evidence = ("error_description", "error_codes", "correlation_id")
    return isinstance(error, str) and bool(error) and any(k in value for k in evidence)


def is_credential_refused(result: t.Any) -> bool:
    """Tell whether a token endpoint refused the credential, and nothing else."""
    if not isinstance(result, dict) or result.get("error") != "invalid_client":
        return False
    # Only Entra has codes.
    has_codes = isinstance(result.get("error_codes"), list)
    return not (has_codes and _CREDENTIALS.isdisjoint(codes_of(result)))


def is_about_scopes(error: MsalAuthError) -> bool:
    """Tell whether the same refresh may succeed for other scopes.

    It may not in an outage, if the user's sign-in has ended, if they may not use the
    app, or if the app's credential is refused.
    """
    if isinstance(error, InteractionRequired):
        return error.reason not in ENDED
    if isinstance(error, (Throttled, ServiceUnavailable, SignInError)):
        return False
    is_unreadable = getattr(error, "error", "") == "invalid_response"
    return not is_unreadable and _OF_ANY_SCOPES.isdisjoint(error.codes)


def _parsed(result: object, status: int | None) -> cabc.Mapping[str, t.Any]:
    if isinstance(result, (str, bytes)):
        try:
            parsed = json.loads(result)
        except (ValueError, RecursionError):
            parsed = None
        if isinstance(parsed, dict):
            return parsed
    answer = f"HTTP {status}" if status else "an answer"
    return {
        "error": "invalid_response",
        "error_description": f"{answer} that is no JSON object",
    }


def _kind(body: cabc.Mapping[str, t.Any], status: int | None) -> _Kind:
    if status == 429:
        return Throttled
    if status is not None and status >= 500:
        return ServiceUnavailable
    for code in codes_of(body):
        if code in BY_CODE:
            return BY_CODE[code]
    by_error = _BY_ERROR.get(field(body, "error"), TokenError)
    return _BY_SUBERROR.get(field(body, "suberror"), by_error)


def _configuration_error(error: TokenError) -> ConfigurationError:
    remedy = _remedy(error)
    return ConfigurationError(
        f"{remedy} ({printable(error.error)})" if error.error else remedy,
        codes=error.codes,
        correlation_id=error.correlation_id,
    )


def _remedy(error: TokenError) -> str:
    """Return what has to be done, without its full stop.

    The code's own, of whatever ``error`` it comes with; a developer's comes first.
    Errors at the redirect URI may have their code in the description only, which
    decides nothing but may explain.
    """
    told = re.match(r"AADSTS([0-9]{4,9}):", error.description)
    numbers = error.codes or ((int(told[1]),) if told else ())
    rows = [row for row in map(codes.find, numbers) if row]
    rows.sort(key=lambda row: row.who not in ("developer", "administrator"))
    own = [row.remedy for row in rows if not row.remedy.startswith(codes.NOTHING)]
    return (own or [codes.REMEDIES[error.error]])[0].rstrip(".")
