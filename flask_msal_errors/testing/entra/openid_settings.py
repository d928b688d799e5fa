"""Settings of the plain OpenID provider: the ways in which real ones differ."""

from __future__ import annotations

from ..declaration import PLAIN
from ..declaration import Setting
from ..values import Choice
from ..values import Flag
from ..values import Suggested


class OpenidSettings:
    """Values that a test may set on the emulator, by name."""

    openid_at_root = Setting(
        False,
        Flag(),
        PLAIN,
        "Issuer without a path",
        "The plain provider’s issuer is a bare host name.",
        ("It has no path.", "It has a path."),
    )
    openid_offline = Setting(
        True,
        Flag(),
        PLAIN,
        "Refresh tokens",
        "The plain provider grants offline_access.",
        ("It grants refresh tokens.", "It grants none."),
    )
    openid_sign_out = Setting(
        True,
        Flag(),
        PLAIN,
        "End session endpoint",
        "The plain provider has an address for signing out.",
        ("It has one.", "It has none."),
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
        "free",
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
