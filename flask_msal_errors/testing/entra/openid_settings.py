"""Settings of the plain OpenID provider: the ways in which real ones differ."""

from __future__ import annotations

import typing as t

from ..attributes import KnownAttributes
from ..declaration import PLAIN
from ..declaration import Setting
from ..values import Choice
from ..values import Flag
from ..values import Names
from ..values import Number
from ..values import Object
from ..values import Suggested
from ..values import Values
from .keys import PLAIN_KEYS

OFFLINE_FORMS = (
    *("yes", "no", "unlisted"),
    *("dropped_without_consent", "refused_without_consent", "always"),
)


class OpenidSettings(KnownAttributes):
    """Values that a test may set on the emulator, by name."""

    setting_values: dict[str, t.Any]

    openid_at_root = Setting(
        False,
        Flag(),
        PLAIN,
        "Issuer without a path",
        "The plain provider’s issuer is a bare host name.",
        ("It has no path.", "It has a path."),
    )
    openid_backchannel_logout_uri = Setting[str | None](
        None,
        Values(optional=True),
        PLAIN,
        "Back-channel logout",
        "The address of the app to which the plain provider posts logout tokens.",
        "Now: {}.",
    )
    openid_offline = Setting(
        "yes",
        Choice(names=OFFLINE_FORMS),
        PLAIN,
        "Refresh tokens",
        "The scope offline_access is granted (yes), refused (no), granted though"
        " scopes_supported lacks it (unlisted), dropped or refused without"
        " prompt=consent (OpenID Connect Core §11), or unknown: every sign-in brings a"
        " refresh token (always).",
        "Now {}.",
    )
    openid_client_scopes = Setting[set[str] | None](
        None,
        Names(optional=True, none="all"),
        PLAIN,
        "Scopes of the app",
        "The scopes that the app’s registration allows, by full or short names.",
        "Now: {}.",
    )
    openid_other_scopes = Setting(
        "refuse",
        Choice(names=("refuse", "narrow")),
        PLAIN,
        "Other scopes",
        "A sign-in that asks for scopes that the app may not have is refused, or is"
        " granted the rest.",
        "Now {}.",
    )
    openid_scope_aliases = Setting[dict[str, str]](
        {},
        Object(),
        PLAIN,
        "Names of granted scopes",
        "Scopes that answers call by another name, as Google does with email.",
        "Now: {}.",
    )
    openid_unlisted_scopes = Setting[set[str] | None](
        None,
        Names(optional=True),
        PLAIN,
        "Unlisted scopes",
        "Scopes of OpenID Connect that metadata do not list, such as profile at Apple.",
        "Now: {}.",
    )
    openid_required_parameters = Setting[set[str] | None](
        {"audience"},
        Names(optional=True),
        PLAIN,
        "Required parameters",
        "Parameters without which a sign-in that asks for scopes of an API is refused,"
        ' such as Auth0’s audience. The settings of config("openid") have them.',
        "Now: {}.",
    )
    openid_lifetime = Setting(
        300,
        Number(whole=True),
        PLAIN,
        "Lifetime of access tokens",
        "Seconds that access tokens live at most. Keycloak’s live for 300.",
        "Now {} s.",
    )
    openid_expires_in = Setting(
        "number",
        Choice(names=("number", "string", "float", "null", "absent")),
        PLAIN,
        "Form of the lifetime",
        "The form of expires_in, which RFC 6749 §5.1 only recommends.",
        "Now {}.",
    )
    openid_sub = Setting(
        "string",
        Choice(names=("string", "number")),
        PLAIN,
        "Form of the subject",
        "The form of the claim sub, which OpenID Connect Core §2 has as a string.",
        "Now {}.",
    )
    openid_sign_out = Setting(
        True,
        Flag(),
        PLAIN,
        "End session endpoint",
        "The plain provider has an address for signing out.",
        ("It has one.", "It has none."),
    )
    openid_logout = Setting(
        "hint_required",
        Choice(names=("plain", "hint_required", "asks_without_hint", "logout_uri")),
        PLAIN,
        "Sign-out",
        "Takes post_logout_redirect_uri alone (plain), refuses it without an"
        " id_token_hint, asks the person without it, or wants logout_uri, as AWS"
        " Cognito does. A hint is an ID token of the app, expired or not.",
        "Now {}.",
    )
    openid_logout_uris = Setting[set[str] | None](
        None,
        Names(optional=True, none="any URL of this machine"),
        PLAIN,
        "Ways back from the sign-out",
        "The registered post_logout_redirect_uris (or logout_uris), of which one has to"
        " be asked for, to the letter; without a list, any URL of this machine.",
        "Now: {}.",
    )
    openid_alg = Setting(
        "RS512",
        Choice(names=tuple(PLAIN_KEYS)),
        PLAIN,
        "Algorithm of ID tokens",
        "The algorithm that signs the plain provider’s ID tokens.",
        "Now {}.",
    )
    openid_key_alg = Setting(
        False,
        Flag(),
        PLAIN,
        "Algorithm of keys",
        "Published keys name their algorithm (RFC 7517 §4.4).",
        ("They name it.", "They do not name it."),
    )
    openid_kid = Setting(
        False,
        Flag(),
        PLAIN,
        "Ids of keys",
        "Keys and ID tokens have an id (kid), which is optional with a single key.",
        ("They have one.", "They have none."),
    )
    openid_claims = Setting(
        "userinfo",
        Choice(names=("userinfo", "id_token")),
        PLAIN,
        "Names and addresses",
        "The place of name and email: the userinfo endpoint alone, or ID tokens, too.",
        "Now {}.",
    )
    openid_refreshed_id_token = Setting(
        False,
        Flag(),
        PLAIN,
        "ID token at a refresh",
        "A refresh brings an ID token, too (OpenID Connect Core §12.2 allows both).",
        ("It brings one.", "It brings none."),
    )
    openid_client_auth = Setting(
        "basic",
        Choice(names=("basic", "post", "both")),
        PLAIN,
        "Client authentication",
        "Where the app’s secret belongs: in a header (HTTP Basic), in the body, or in"
        " either. Metadata say so; of basic, which is the default, they are silent.",
        "Now {}.",
    )
    openid_lists_all_auth = Setting(
        False,
        Flag(),
        PLAIN,
        "Listed client authentication",
        "Metadata list every method, though the app is registered for one.",
        ("They list every one.", "They list the app’s own."),
    )
    openid_refresh_scope = Setting(
        "bound",
        Choice(names=("bound", "ignored", "silently_ignored", "free")),
        PLAIN,
        "Scopes of a refresh",
        "What becomes of a refresh that asks for more than was granted (RFC 6749 §6):"
        " it is refused; it brings a narrower token, and says so or not; or all of it.",
        "Now {}.",
    )
    openid_refresh_error = Setting[str | None](
        None,
        Suggested(
            names=("invalid_grant", "invalid_request", "invalid_scope", "not_allowed"),
            optional=True,
            none="as RFC 6749 has it",
        ),
        PLAIN,
        "Error word of a refresh",
        "The error of every refused refresh. RFC 6749 has invalid_grant for a token"
        " that is gone, and invalid_scope for scopes that were not granted.",
        "Now {}.",
    )
