"""Words of log lines other than AADSTS codes: errors, reasons, events, classes, keys.

Knows a sentence for each word of a protocol; what this package's own modules describe
(events, classes, settings) is read from them.
"""

from __future__ import annotations

import collections.abc as cabc
import dataclasses
import inspect
import logging
import re
import typing as t

from .. import errors
from .. import signals
from ..errors import MsalAuthError
from ..settings import Settings
from ..settings import key_of
from .embedded import mappings

#: The developer's task, by class of :mod:`flask_msal_errors.errors`.
TO_DO = {
    "MsalAuthError": "Look at the name of the class that was raised.",
    "ConfigurationError": "Correct what the text names; flask msal check looks at all.",
    "TokenError": "Look up its codes, and the correlation id in the sign-in log.",
    "InteractionRequired": "Nothing, inside login_required and catch_challenges.",
    "AccessDenied": "Nothing if the user cancelled; else assign them to the app.",
    "RoleRequired": "Nothing, or give the user the role or the group, if they need it.",
    "Throttled": "Nothing: wait. Look for code that asks for tokens in a loop.",
    "ServiceUnavailable": "Nothing if it passes; else check network, proxy and store.",
    "InvalidAccessToken": "The text names the check: look at what the caller asks for"
    " (MSAL_API_ID_URI), the clock, MSAL_AUTHORITY and MSAL_ALLOWED_TENANTS.",
    "SignInError": "Look at the name of the class that was raised.",
    "StateMismatch": "Seldom: Back, or another browser. Often: look at cookies, at"
    " SECRET_KEY of all workers, and at the address that the sign-in starts at.",
    "FlowExpired": "Nothing. MSAL_FLOW_LIFETIME says how long a sign-in may take.",
    "InvalidIdToken": "The text names the check: look at the clock, MSAL_CLIENT_ID,"
    " MSAL_AUTHORITY and MSAL_ALLOWED_TENANTS.",
    "OtherAccount": "Nothing: the user chooses which account goes on.",
    "ReauthenticationLoop": "The text says who still refuses; see MSAL_REAUTH_LIMIT.",
    "NotResumed": "Nothing: the user fills in the form again.",
}

_PROTOCOL = """
access_denied
- The user cancelled or declined, or may not use the app.
= Look at the code beside it; without any, the user cancelled.
InvalidAuthenticationToken
- Microsoft Graph refused the token: expired, revoked, or meant for another API.
= Nothing, inside catch_challenges. flask msal decode explains the header beside it.
Authorization_RequestDenied
- Microsoft Graph took the token, and refused what was asked: a permission is missing.
= Give the app that permission of Graph, or the user the role that it takes.
account_mismatch
- A refresh brought the ID token of another account than the one that signed in.
= Ask the provider: the issuer, subject or audience of its ID tokens changes.
account_selection_required
- The provider has to ask which account is meant.
additional_action
- The user has to do something outside of the sign-in, such as enrol a device.
= Nothing in the code: the sign-in page says what it is.
api_throttled
- An API answered 429 and said when to come back.
= Ask less often, or for more at a time.
api_unavailable
- An API answered 503 and said when to come back.
= Nothing, if it passes; else ask who runs the API.
bad_token
- The refresh token has expired or was revoked.
basic_action
- The user has to do something simple, such as multifactor authentication.
cancel
- The user left the sign-in page by its own button.
challenge
- An API refused the token, and said what it lacks.
= Nothing. flask msal decode explains the header of the API.
client_mismatch
- The token belongs to another app, so that this one may not redeem it.
= Keep the store of one app out of another's reach.
consent_required
- Nobody has consented to these scopes yet.
= Nothing, if users may consent; else an administrator consents for the tenant.
device_authentication_failed
- The device could not prove which one it is.
insufficient_claims
- An API demands claims that the token lacks, by Conditional Access mostly.
insufficient_scope
- An API demands scopes that the token lacks.
= Let login_required(scopes=…) name them, so that users are asked once.
insufficient_user_authentication
- An API demands another or a fresher authentication (RFC 9470).
interaction_required
- The provider needs the user, for a reason that the code beside it tells.
invalid_client
- The provider does not accept who the app says it is, or how it proves it.
= Compare MSAL_CLIENT_ID and MSAL_CLIENT_CREDENTIAL with the app registration.
invalid_grant
- A code or refresh token is expired, revoked, used or refused by a policy.
= Nothing, mostly: the user signs in again. The code beside it tells the reason.
invalid_instance
- Microsoft does not know the host of the authority.
= Correct MSAL_AUTHORITY; for a private cloud set MSAL_INSTANCE_DISCOVERY to false.
invalid_request
- The request lacks something, or is malformed.
= Look at the code beside it, and at what sits between app and provider.
invalid_resource
- The API does not exist, or is not known in the tenant.
= Compare the scopes with 'Expose an API' of that API.
invalid_response
- The answer was no JSON object, had no token and no error, or fields of a wrong kind.
= Look at what sits in between: a proxy, or another server at this address.
invalid_scope
- A scope is misspelt, unknown, or of another API than the others.
= Ask for the scopes of one API at a time, by their full names.
invalid_tenant
- There is no such tenant in this cloud.
= Correct the tenant ID in MSAL_AUTHORITY, or the cloud's host.
invalid_token
- An API refused the token as expired, revoked or malformed.
login_required
- The provider has no session of the user in this browser.
max_age
- A page or API demands that the user authenticated more recently.
message_only
- The sign-in page can only show a message, such as that a policy blocks.
= Look the correlation id up in the sign-in log: it names the policy.
groups_denied
- An ID token does not list the user's groups, and they may not be read elsewhere.
= Give the app User.Read of Microsoft Graph, or list assigned groups only in ID tokens.
groups_unavailable
- An ID token does not list the user's groups, and Microsoft Graph did not tell them.
= Nothing, if it passes; else look at the network between the app and Microsoft Graph.
missing_group
- A page is for members of certain groups, and the user is in none of them.
= Nothing, or add the user to one of the groups in the tenant.
missing_role
- A page is for people with certain roles, and the user has none of them.
= Nothing, or assign the role to the user: Enterprise applications, Users and groups.
no_token
- No token is kept that could be used or refreshed for these scopes.
not_signed_in
- A page needs a user, and nobody is signed in.
expired
- A sign-in was begun too long ago; its flow cookie is gone.
= Nothing. MSAL_FLOW_LIFETIME says how long a sign-in may take.
other_key
- A sign-in was begun with another SECRET_KEY, or for another registration.
= Give all workers the same key; put older ones into SECRET_KEY_FALLBACKS.
other_origin
- A sign-in was begun at another origin than its answer came back to.
= Let people use the origin of the redirect URI; see MSAL_REDIRECT_URI.
unknown
- An answer came back whose sign-in this browser does not know.
= Seldom: another browser, or Back. Often: look at what blocks cookies.
profile_edited
- The user changed their profile, and the new name is fetched.
protection_policy_required
- An app protection policy of Intune is demanded, which a browser cannot have.
= An administrator exempts this app from the policy.
rate_limit_exceeded
- The provider limits how often it is asked.
= Nothing: wait, and try again.
recheck
- The provider is to say again who the user is, and only their browser can ask.
= Nothing: a page does it by itself. With offline_access, it takes no browser.
redirect_uri_mismatch
- The redirect URI is not registered for this app.
= MSAL_REDIRECT_URI: add exactly the address in use under 'Authentication', 'Web'.
reset_password
- The user forgot the password, and goes to the user flow that resets it.
edit_profile
- The user goes to the user flow that edits the profile.
server_error
- The provider failed while it answered.
= Nothing: wait, and try again.
session_busy
- Other requests of the same session kept its lock for too long.
= Look at how long token requests take; see MSAL_HTTP_TIMEOUT.
session_entry_too_large
- The session store refused an entry for its size.
= Raise the store's limit; SESSION_TYPE says which store it is.
session_store_unavailable
- The session store did not answer, or lost an entry.
= Look at the server that SESSION_TYPE names, and at its limits.
sign_in_busy
- Another request of this browser completes the same sign-in.
= Nothing: the page goes on by itself.
slow_down
- The provider limits how often it is asked.
= Nothing: wait, and try again.
step_up
- A page demands an authentication context that the session has not proved.
temporarily_unavailable
- The provider, or the way to it, does not answer.
= Nothing if it passes; else check network and proxy of this host.
token_expired
- A policy limits how long a sign-in lasts, and this one is older.
too_many_requests
- The provider limits how often it is asked.
= Nothing: wait, and try again.
unauthorized_client
- The app may not use this kind of sign-in, or is unknown in the tenant.
= Compare MSAL_CLIENT_ID, MSAL_AUTHORITY and the account types with the registration.
unmet_authentication_requirements
- The user signed in, but not in the way that was demanded.
= Look at what the page or API demands, and whether the user can meet it.
unsupported_grant_type
- The token endpoint does not know this kind of request.
= MSAL_AUTHORITY: take one whose token endpoint redeems codes and refresh tokens.
unsupported_response_type
- The app is not enabled for what the authorize endpoint was asked for.
= Let nothing change response_type: this extension asks for a code only.
user_canceled_request
- The user cancelled, at Okta.
user_cancelled_authorize
- The user cancelled, at Apple or LinkedIn.
user_cancelled_login
- The user cancelled, at LinkedIn.
user_password_expired
- The password has expired; the sign-in page lets the user choose a new one.
"""
#: Lines that are no event: what they begin with.
_OTHER_LINES = """
A claims challenge was ignored
- An API sent claims that cannot be asked for, so its answer goes on to the view.
= flask msal decode explains the header; ask who runs the API.
A form was not kept
- The session store refused an interrupted form, and its page says so.
= Look at the limits of the store, and at MSAL_REPLAY_LIMIT.
A token that is due for renewal is used
- The identity provider gave no newer one, so the user goes on with this one.
= Nothing if it passes; the text tells what failed.
A token cache was unreadable
- A record of the session store is no token cache, so its user signs in again.
= Often: nobody but this app should write there. See MSAL_ENCRYPTION_KEYS.
An entry of the session store was unreadable
- It was written by another version, with another key, or by somebody else.
= Once after a deployment: nothing. Often: see MSAL_ENCRYPTION_KEYS and who writes.
A sign-out elsewhere may miss a session
- The session store refused to note the session for its account and sid.
= Look at the store; the session ends by its lifetime or here.
Old signing keys are used
- The provider's keys cannot be fetched, so those of before go on.
= Nothing if it passes; else check network and proxy of this host.
Others on this host can look into
- The folder of the sessions is open to other accounts of this host.
= Choose a folder of the app's own account, with mode 0700.
The session store is files
- No SESSION_TYPE is set: other hosts do not know the sessions and tokens of this one.
= Set SESSION_TYPE to a shared store, such as redis.
Signed out here only
- The provider cannot be asked to sign the user out; the session here has ended.
= The text tells why; see the kind of error in it.
The ID token has no claim sid
- A sign-out elsewhere cannot end sessions here.
= Add sid to the optional claims of the ID token, under 'Token configuration'.
The cache of the sessions deletes
- A cache with a threshold drops sessions that are in use.
= Raise its threshold, or set it to 0.
The column data of the table
- Flask-Session's table in MySQL takes no large sessions and kept forms.
= Run the statement of the line once, and start the app again.
The credential was renewed
- The provider refused the credential, and a newer one of its source was taken.
= Nothing: it says that a rotation worked.
The session cookie
- It came twice: another app on this domain sets a cookie of the same name.
= Set SESSION_COOKIE_NAME as the line says.
"""
_NOTHING = "Nothing: login_required and catch_challenges send the user to sign in."


@dataclasses.dataclass(frozen=True, slots=True)
class Word:
    """A word of a log line, its meaning and what to do.

    ``error``: what comes with it at the provider, for the extension's decision; empty
    where the word is no error of a provider.
    """

    name: str
    meaning: str
    to_do: str
    error: t.Mapping[str, str] = dataclasses.field(default_factory=dict)


def found_in(text: str) -> list[Word]:
    """Return the words that a text holds: one alone, a line of a log, or its JSON.

    In a line, words that may be plain English do not count.
    """
    fields = _fields_of(text)
    line = fields or text
    names = re.findall(r"\w+", line)
    words = [word for sentence, word in _SENTENCES if sentence in line]
    alone = bool(fields) or len(names) == 1
    for name in names:
        word = _WORDS.get(name) or (_FOLDED.get(name.casefold()) if alone else None)
        if word is not None and (alone or "_" in name or name != name.lower()):
            words.append(word)
    return list({word.name: word for word in words}.values())


def _fields_of(text: str) -> str:
    """Return what loggers wrote of our fields, as JSON or as ``name=value``, in a row.

    The whole line may hold more, before the JSON and inside of it.
    """
    records = (value for value in mappings(text) if "msal_event" in value)
    told = [str(r.get(f"msal_{name}", "")) for r in records for name in _FIELDS]
    return " ".join(told or _PAIR.findall(text))


#: Fields of a log record that hold our words.
_FIELDS = ("event", "error", "reason")
_PAIR = re.compile(rf"\bmsal_(?:{'|'.join(_FIELDS)})=[\"']?(\w+)")
#: Words that a provider says beside another error.
_SUBERRORS = {
    **dict.fromkeys(
        "additional_action bad_token basic_action client_mismatch message_only"
        " device_authentication_failed token_expired".split(),
        "invalid_grant",
    ),
    "cancel": "access_denied",
    "protection_policy_required": "unauthorized_client",
}
#: Words of ours, or of an API: no token endpoint says them.
_NO_ERRORS = frozenset(
    "account_mismatch InvalidAuthenticationToken Authorization_RequestDenied"
    " api_throttled api_unavailable challenge edit_profile"
    " insufficient_claims insufficient_scope insufficient_user_authentication"
    " invalid_token max_age no_token not_signed_in other_key other_origin expired"
    " unknown profile_edited recheck reset_password session_busy"
    " session_entry_too_large session_store_unavailable sign_in_busy step_up".split()
)


def _told(table: str) -> cabc.Iterator[Word]:
    """Yield words with meaning and remedy, from lines ``name``, ``- …``, ``= …``."""
    for block in re.split(r"\n(?=\w)", table.strip()):
        name, meaning, *rest = block.splitlines()
        yield Word(name, meaning[2:], rest[0][2:] if rest else _NOTHING)


def _protocol() -> cabc.Iterator[Word]:
    for word in _told(_PROTOCOL):
        name = word.name
        error = {"error": name}
        if name in _SUBERRORS:
            error = {"error": _SUBERRORS[name], "suberror": name}
        if name in _NO_ERRORS:
            error = {}
        yield dataclasses.replace(word, error=error)


def _events() -> cabc.Iterator[tuple[str, Word]]:
    for name, (level, line) in signals.LINES.items():
        text = f"The line begins with “{line}”, at level {logging.getLevelName(level)}."
        yield line, Word(name, f"An event of the log. {text}", _EVENTS.get(name, _LOOK))


_LOOK = "Look at the error and the reason in the line."
_EVENTS = dict.fromkeys(
    ("sign_in_begun", "signed_in", "reauthenticated", "signed_out", "request_resumed"),
    "Nothing: it says what a user did, and why they were asked.",
)
_EVENTS["user_rechecked"] = "Nothing: MSAL_RECHECK says how often it happens."
_EVENTS["recheck_failed"] = (
    "Look at the error. The session ends with a page of this error if the provider says"
    " nothing for four times MSAL_RECHECK."
)


def _classes() -> cabc.Iterator[type[MsalAuthError]]:
    for value in vars(errors).values():
        if inspect.isclass(value) and issubclass(value, MsalAuthError):
            yield value


def _of_class(kind: type[MsalAuthError]) -> Word:
    meaning = " ".join((inspect.getdoc(kind) or "").partition("\n\n")[0].split())
    answer = f"{meaning} Users see “{kind.title}”, HTTP {kind.status}."
    return Word(kind.__name__, answer, TO_DO.get(kind.__name__, _LOOK))


def _keys() -> cabc.Iterator[Word]:
    for field in dataclasses.fields(Settings):
        name = key_of(field.name)
        meaning = f"A key of the configuration. {field.metadata['doc']}"
        yield Word(name, meaning, f"Correct {name}; flask msal check looks at it.")


#: Beginnings and ends of log lines, each with its event or class.
_SENTENCES = [
    *_events(),
    *((kind.title, _of_class(kind)) for kind in _classes()),
    *((word.name, word) for word in _told(_OTHER_LINES)),
]
_WORDS = {
    word.name: word
    for words in (
        (word for _, word in _events()),
        map(_of_class, _classes()),
        _keys(),
        _protocol(),
    )
    for word in words
}
_FOLDED = {name.casefold(): word for name, word in reversed(_WORDS.items())}
