"""Every ``MSAL_*`` key: its meaning, default and check, read once into frozen settings.

Knows what a valid value looks like; knows nothing of Flask or of who uses the value.
"""

from __future__ import annotations

import collections.abc as cabc
import dataclasses
import difflib
import typing as t
import urllib.parse

from . import parsers
from .errors import ConfigurationError

PREFIX = "MSAL_"


def _key(
    read: parsers.Reader,
    doc: str,
    default: t.Any = dataclasses.MISSING,
    *,
    secret: bool = False,
) -> t.Any:
    metadata = {"read": read, "doc": doc}
    return dataclasses.field(default=default, repr=not secret, metadata=metadata)


@dataclasses.dataclass(frozen=True, kw_only=True, slots=True)
class Settings:
    """Every ``MSAL_*`` key as an attribute: ``MSAL_CLIENT_ID`` is ``client_id``.

    Each field's ``metadata["doc"]`` says what it is for. The ``repr`` leaves the
    secrets out.

    ``MSAL_CLIENT_CREDENTIAL`` may be, besides a secret:

    * MSAL's dict of a certificate: ``private_key`` (PEM) with ``thumbprint``, with
      ``public_certificate`` (PEM, also sent along) or with both; or
      ``private_key_pfx_path`` with ``passphrase``;
    * ``{"client_assertion": …}``, an assertion or a function that returns one, such as
      one that reads the token file of a Kubernetes workload;
    * MSAL's dict of a managed identity that the app registration trusts:
      ``{"ManagedIdentityIdType": "SystemAssigned", "Id": None}``, or ``"ClientId"``,
      ``"ResourceId"`` or ``"ObjectId"`` with its ``Id``;
    * a function that returns a secret or one of these dicts.

    A PFX file and a function's answer may change while the app runs: when the provider
    refuses the credential, it is read once more, and the request repeated once.

    :raises ConfigurationError: if settings contradict each other.
    """

    client_id: str = _key(
        parsers.as_text, "Application (client) ID of the app registration."
    )
    client_credential: str | dict[str, t.Any] | cabc.Callable[[], t.Any] = _key(
        parsers.as_credential,
        "Client secret; MSAL's dict (in the environment: JSON) for a certificate, an"
        " assertion or a managed identity; or a function that returns one of them.",
        secret=True,
    )
    authority: str | None = _key(
        parsers.as_authority,
        "Entra authority, e.g. https://login.microsoftonline.com/<tenant ID>; this or"
        " MSAL_OIDC_AUTHORITY.",
        None,
    )
    oidc_authority: str | None = _key(
        parsers.as_oidc_authority,
        "Issuer of another OpenID Connect provider, or of a custom domain.",
        None,
    )
    scopes: tuple[str, ...] = _key(
        parsers.as_scopes,
        "Scopes of a sign-in that no page asks other scopes for.",
        (),
    )
    client_capabilities: tuple[str, ...] = _key(
        parsers.as_words,
        "Capabilities told to Entra; CP1 says that claims challenges are handled."
        " Default CP1, with MSAL_OIDC_AUTHORITY none.",
        ("CP1",),
    )
    redirect_uri: str | None = _key(
        parsers.as_browser_url,
        "Redirect URI as registered; by default the callback's URL as Flask sees it.",
        None,
    )
    reset_password_authority: str | None = _key(
        parsers.as_authority,
        "B2C: authority of the password reset policy, for who forgot theirs.",
        None,
    )
    edit_profile_authority: str | None = _key(
        parsers.as_authority,
        "B2C: authority of the profile editing policy, for"
        " login_url(policy='edit_profile').",
        None,
    )
    response_mode: str = _key(
        parsers.one_of("query", "form_post"),
        "How the code comes back: query or form_post (never in a URL or log).",
        "query",
    )
    prompt: str | None = _key(
        parsers.one_of(
            "login",
            "select_account",
            "consent",
            "create",
            because=" (none is for hidden frames: a sign-in page could never be shown)",
        ),
        "Prompt of a first sign-in: login, select_account, consent or create.",
        None,
    )
    domain_hint: str | None = _key(
        parsers.as_text, "Domain whose sign-in page is shown at once.", None
    )
    allowed_tenants: tuple[str, ...] = _key(
        parsers.as_tenants,
        "Tenant IDs that may sign in; * for all. Needed with an authority of common or"
        " organizations.",
        (),
    )
    post_logout: str | None = _key(
        parsers.as_path_or_url,
        "Path or URL that a browser ends on after sign-out.",
        None,
    )
    http_timeout: float = _key(
        parsers.as_seconds,
        "Seconds that a call of the identity provider may take.",
        10.0,
    )
    http_retries: int = _key(
        parsers.as_count, "How often a failed connect is repeated.", 1
    )
    http_client: object | None = _key(
        parsers.as_http_client,
        "Own HTTP client; any but a requests.Session needs timeouts of its own.",
        None,
    )
    verify: bool | str = _key(
        parsers.as_verify,
        "Check TLS certificates: true, false or the path of a CA bundle.",
        True,
    )
    instance_discovery: bool | None = _key(
        parsers.as_flag,
        "Let Microsoft vouch for the authority; false for private clouds.",
        None,
    )
    flow_lifetime: int = _key(
        parsers.as_whole_seconds, "Seconds that a person has for signing in.", 3600
    )
    reauth_limit: int = _key(
        parsers.as_limit,
        "How often the same demand may come back before it counts as a loop.",
        3,
    )
    reauth_window: int = _key(
        parsers.as_whole_seconds, "Seconds within which MSAL_REAUTH_LIMIT counts.", 300
    )
    replay_limit: int = _key(
        parsers.as_count,
        "Largest interrupted form that is kept, in bytes; 0 keeps none.",
        1_048_576,
    )
    encryption_keys: tuple[str, ...] = _key(
        parsers.as_encryption_keys,
        "Fernet keys for records in the session store, newest first; none, no"
        " encryption.",
        (),
        secret=True,
    )
    url_prefix: str = _key(
        parsers.as_url_prefix, "Path of the sign-in routes.", "/auth"
    )

    def __post_init__(self) -> None:
        """Refuse settings that are fine one by one, but not together."""
        if bool(self.authority) is bool(self.oidc_authority):
            found = "both are" if self.authority else "neither is"
            raise ConfigurationError(
                f"Of MSAL_AUTHORITY and MSAL_OIDC_AUTHORITY {found} set; set exactly"
                " one: MSAL_AUTHORITY for Entra, the other for any other provider."
            )
        path = urllib.parse.urlsplit(self.authority or self.oidc_authority or "").path
        tenant = path.strip("/").split("/")[0].lower()
        # "consumers" is a single tenant, the one of all personal accounts.
        if tenant in {"common", "organizations"} and not self.allowed_tenants:
            raise ConfigurationError(
                f"The authority lets every tenant in ({tenant}), but"
                " MSAL_ALLOWED_TENANTS is not set: list the tenant IDs that may sign"
                " in, or set it to * to allow all."
            )

    @classmethod
    def from_mapping(cls, config: cabc.Mapping[str, t.Any]) -> Settings:
        """Settings of a Flask config or an environment; other keys are ignored.

        A value may be of its Python type or a text as an environment has it. ``None``
        and, except for lists, ``""`` mean that a key is not set.

        :raises ConfigurationError: names the key, the kind of its value (never the
            value, which may be a secret) and the remedy.
        """
        fields = {key_of(field.name): field for field in dataclasses.fields(cls)}
        _refuse_unknown(config, fields)
        values = {
            field.name: _read(key, config[key], field)
            for key, field in fields.items()
            if _is_set(config.get(key), field)
        }
        for key, field in fields.items():
            if field.default is dataclasses.MISSING and field.name not in values:
                doc = field.metadata["doc"]
                raise ConfigurationError(f"{key} is not set, but it must be. {doc}")
        if "oidc_authority" in values:
            values.setdefault("client_capabilities", ())
        return cls(**values)


def key_of(name: str) -> str:
    """The configuration key of a field: ``key_of("client_id") == "MSAL_CLIENT_ID"``."""
    return PREFIX + name.upper()


def _is_set(value: object, field: dataclasses.Field[t.Any]) -> bool:
    if isinstance(value, str) and not value.strip():
        return isinstance(field.default, tuple)
    return value is not None


def _read(key: str, value: object, field: dataclasses.Field[t.Any]) -> t.Any:
    try:
        return field.metadata["read"](value)
    except ValueError as error:
        message = f"{key} is {_kind(value)}, but it must {error}."
        raise ConfigurationError(message) from None


def _refuse_unknown(
    config: cabc.Mapping[str, t.Any], known: cabc.Iterable[str]
) -> None:
    known = list(known)
    for key in sorted(key for key in config if key.startswith(PREFIX)):
        if key not in known:
            near = difflib.get_close_matches(key, known, n=1)
            remedy = f"did you mean {near[0]}?" if near else f"keys: {', '.join(known)}"
            raise ConfigurationError(f"{key} is no key of this extension; {remedy}")


def _kind(value: object) -> str:
    kinds = {bool: "a boolean", int: "a whole number", float: "a number", str: "a text"}
    article = f"of type {type(value).__name__}"
    return kinds.get(type(value), article)
