"""Parameters that an app adds to its authorization requests, and those it may not add.

They are in URLs, which browsers and logs keep, and the same for everybody. Sources: RFC
6749 §3.1 and §4.1.1, RFC 7636 (PKCE), RFC 9101 and 9126 (requests by reference), OpenID
Connect Core §3.1.2.1.
"""

from __future__ import annotations

import collections.abc as cabc
import re
import typing as t

_PERSONAL = "it is of one person or one sign-in, and these go with everybody's"
_BY_REFERENCE = "it would take the place of all other parameters"
_OF_TOKENS = "it is of token requests, and these go through the browser"
_SET = "it is set already, as the protocol has it"
_CREDENTIAL = "everybody could read it in the browser; set MSAL_CLIENT_CREDENTIAL"

#: Why an app may not add a parameter, or what it sets instead, by the plain name.
_OWNED = {
    "client_id": "set MSAL_CLIENT_ID",
    "redirect_uri": "set MSAL_REDIRECT_URI",
    "scope": "set MSAL_SCOPES or MSAL_BASE_SCOPES",
    "prompt": "set MSAL_PROMPT",
    "domain_hint": "set MSAL_DOMAIN_HINT",
    "response_mode": "set MSAL_RESPONSE_MODE",
    "post_logout_redirect_uri": "set MSAL_POST_LOGOUT",
    "acr_values": "use login_required(acrs=…)",
    "claims": "use login_required(acrs=…)",
    "max_age": "use login_required(max_age=…)",
    **dict.fromkeys(("response_type", "client_info"), _SET),
    **dict.fromkeys(("code_challenge", "code_challenge_method", "dpop_jkt"), _PERSONAL),
    **dict.fromkeys(("state", "nonce", "login_hint", "id_token_hint"), _PERSONAL),
    **dict.fromkeys(("X-AnchorMailbox", "client-request-id"), _PERSONAL),
    **dict.fromkeys(("request", "request_uri", "registration"), _BY_REFERENCE),
    **dict.fromkeys(("grant_type", "code", "code_verifier"), _OF_TOKENS),
    **dict.fromkeys(("username", "password"), _OF_TOKENS),
    **dict.fromkeys(("client_secret", "client_assertion"), _CREDENTIAL),
    "client_assertion_type": _CREDENTIAL,
}
_SECRET = re.compile(
    r"(secret|passwo?r?d|pwd|passphrase|token|assertion|credentials?|verifier|jwt|cookie"
    r"|(api|private|access|client|shared|subscription)key)$"
)


def problem_of(parameters: cabc.Mapping[t.Any, t.Any]) -> str:
    """Return what is wrong with them, which completes "it must …"; ``""`` if nothing.

    It repeats no value, and no name but those of the protocol.
    """
    for name, value in parameters.items():
        if not (isinstance(name, str) and isinstance(value, str)):
            return (
                'have strings as names and values: "1" and not 1, "true" and not true'
            )
        if not re.fullmatch(r"[A-Za-z0-9._-]+", name):
            return (
                "name parameters by letters, digits, '.', '_' and '-' (RFC 6749 §8.2)"
            )
        problem = _problem_of_name(name)
        if problem:
            return problem
        # A parameter without a value counts as left out (RFC 6749 §3.1).
        if not (value.strip() and value.isprintable()):
            return "have a value for each name, in printable characters"
    return ""


def _problem_of_name(name: str) -> str:
    """Return why a parameter is not for apps to add; ``""`` if it is.

    Case and separators do not count: some servers ignore the case.
    """
    plain = _plain(name)
    for owned, reason in _OWNED.items():
        if plain == _plain(owned):
            return f"leave out {owned}: {reason}"
    if _SECRET.search(plain):
        return "hold no secret or token, which everybody could read in the browser"
    return ""


def _plain(name: str) -> str:
    return re.sub(r"[._-]", "", name.lower())
