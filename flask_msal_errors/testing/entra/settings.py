"""Settings of the tenant: switches that keep a value until ``reset``."""

from __future__ import annotations

import collections.abc as cabc
import typing as t

from ..declaration import MEMBERSHIP
from ..declaration import PROVIDERS
from ..declaration import REGISTRATION
from ..declaration import TOKENS
from ..declaration import VARIANTS
from ..declaration import Setting
from ..values import Choice
from ..values import Flag
from ..values import Names
from ..values import Number
from ..values import Values
from .openid_settings import OpenidSettings

HEADER_FORMS = ("graph_live", "graph_pop_bearer", "graph_doc", "arm")
CONTEXT_FORMS = ("microsoft", "rfc9470", "middle_tier")
CONSENT_FORMS = ("identity_web", "rfc6750")
ISS_FORMS = ("absent", "right", "wrong")
_DAY = 86400
Hook = cabc.Callable[[dict[str, t.Any], dict[str, t.Any]], t.Any]


class Settings(OpenidSettings):
    """Values that a test may set on the emulator, by name.

    :param values: those that are set now; the others have their defaults.
    """

    def __init__(self, values: dict[str, t.Any]) -> None:
        self.setting_values = values

    @property
    def id_token_hook(self) -> Hook | None:
        """A function ``hook(claims, header)`` that changes every ID token.

        It changes the claims in place, or returns other claims or a finished token.
        """
        return t.cast("Hook | None", self.setting_values.get("id_token_hook"))

    @id_token_hook.setter
    def id_token_hook(self, hook: Hook | None) -> None:
        self.setting_values["id_token_hook"] = hook

    group_overage = Setting(
        False,
        Flag(),
        MEMBERSHIP,
        "Group overage",
        "ID tokens name no groups but where to ask for them, as for over 200 groups.",
        ("Groups have to be asked for.", "Up to 200 groups are in ID tokens."),
    )
    graph_page = Setting(
        999,
        Number(unit="groups", low=1, high=999, whole=True),
        MEMBERSHIP,
        "Page of groups",
        "The most groups in one answer of Graph, which names the next page.",
        "Now {}.",
    )
    token_lifetime = Setting(
        3600,
        Number(whole=True),
        TOKENS,
        "Token lifetime",
        "Seconds that tokens live. MSAL refreshes five minutes before the end.",
        "Now {} s.",
    )
    refresh_in = Setting[int | None](
        None,
        Number(whole=True, optional=True),
        VARIANTS,
        "Early refresh",
        "The refresh_in member of token responses: MSAL refreshes from then on.",
        "Now {}.",
    )
    clock_skew = Setting(
        0,
        Number(low=-_DAY, whole=True),
        TOKENS,
        "Clock",
        "Seconds that Entra’s clock is ahead, also in the Date header.",
        "Entra’s clock is {} s fast.",
    )
    one_time_refresh_tokens = Setting(
        False,
        Flag(),
        TOKENS,
        "One-time refresh tokens",
        "A refresh token that is used again is refused.",
        ("Each works once.", "Each works again and again."),
    )
    header_form = Setting(
        "graph_live",
        Choice(names=HEADER_FORMS),
        VARIANTS,
        "Challenge header",
        "The form of the API’s challenge after a session is revoked.",
        "Now {}.",
    )
    context_form = Setting(
        "microsoft",
        Choice(names=CONTEXT_FORMS),
        VARIANTS,
        "Step-up header",
        "The form in which the API demands an authentication context.",
        "Now {}.",
    )
    consent_form = Setting(
        "identity_web",
        Choice(names=CONSENT_FORMS),
        VARIANTS,
        "Middle tier’s header",
        "The form in which /api/team says that it may not call another API.",
        "Now {}.",
    )
    policies_at_redemption = Setting(
        False,
        Flag(),
        VARIANTS,
        "Policies at the redemption",
        "When a code is redeemed, MFA and blocks are demanded by claims, not before.",
        ("The token endpoint demands them.", "The sign-in pages demand them."),
    )
    registered_spelling = Setting(
        True,
        Flag(),
        VARIANTS,
        "Spelling of scopes",
        "Answers name scopes as they are registered, however the app wrote them.",
        ("As registered.", "As the app wrote them."),
    )
    redirect_uris = Setting[set[str] | None](
        None,
        Names(optional=True, none="any URL of this machine"),
        REGISTRATION,
        "Redirect URIs",
        "The registered redirect URIs, to which a sign-out comes back, too; without a"
        " list, any URL of this machine.",
        "Now: {}.",
    )
    secret_expired = Setting(
        False,
        Flag(),
        REGISTRATION,
        "Expired secret",
        "The app’s client secret is right, but has expired.",
        ("It has expired.", "It is valid."),
    )
    frontchannel_logout_uri = Setting[str | None](
        None,
        Values(optional=True),
        REGISTRATION,
        "Front-channel logout",
        "The page of the app that Entra loads when a user signs out.",
        "Now: {}.",
    )
    host = Setting[str | None](
        None,
        Values(optional=True),
        REGISTRATION,
        "Host name",
        "Another host’s name for Entra, such as login.microsoftonline.com.",
        "Now: {}.",
    )
    managed_identity = Setting(
        True,
        Flag(),
        REGISTRATION,
        "Managed identity",
        "This machine has a managed identity that the app’s registration trusts.",
        ("It has one.", "It has none."),
    )
    policy_claim = Setting(
        "tfp",
        Choice(names=("tfp", "acr")),
        PROVIDERS,
        "Policy claim",
        "The claim of ID tokens that names the B2C policy.",
        "Now {}.",
    )
    answer_iss = Setting(
        "absent",
        Choice(names=ISS_FORMS),
        PROVIDERS,
        "Issuer in answers",
        "The parameter iss of answers to the app (RFC 9207); discovery promises it.",
        "Now {}.",
    )
