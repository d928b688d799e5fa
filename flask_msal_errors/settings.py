"""The ``MSAL_*`` keys: meaning, default and check, read once into frozen settings.

Knows what a valid value looks like; knows nothing of Flask or of the value's users.
"""

from __future__ import annotations

import collections.abc as cabc
import dataclasses
import difflib
import os
import re
import typing as t
import urllib.parse

from . import parsers
from .errors import ConfigurationError
from .protocol.registration import Registration
from .protocol.secret import forget_locals

PREFIX = "MSAL_"
#: The capability to handle claims challenges, which Entra alone knows.
CP1 = ("CP1",)
#: Values of ``MSAL_RESPONSE_MODE``: OAuth 2.0 Form Post Response Mode, and the default
#: of OAuth 2.0 Multiple Response Type Encoding Practices §2.1.
FORM_POST, QUERY, AUTO = "form_post", "query", "auto"
#: Hosts of Microsoft's clouds (msal 1.39, ``authority.py``).
MICROSOFT = re.compile(
    r"([\w-]+\.)?(login\.microsoftonline\.(com|us|de)|login\.microsoft\.com"
    r"|login\.(windows\.net|usgovcloudapi\.net|chinacloudapi\.cn)"
    r"|login\.partner\.microsoftonline\.cn|login\.sovcloud-identity\.(fr|de|sg))"
    r"|login-us\.microsoftonline\.com|sts\.(windows\.net|chinacloudapi\.cn)"
    r"|[\w-]+\.(b2clogin\.(com|cn|us|de)|ciamlogin\.com)",
    re.ASCII,
)


def _key(
    read: parsers.Parser,
    doc: str,
    default: t.Any = dataclasses.MISSING,
    *,
    secret: bool = False,
) -> t.Any:
    metadata = {"read": read, "doc": doc}
    return dataclasses.field(default=default, repr=not secret, metadata=metadata)


@dataclasses.dataclass(frozen=True, kw_only=True, slots=True)
class Settings:
    """All ``MSAL_*`` keys as attributes: ``MSAL_CLIENT_ID`` is ``client_id``.

    Each field's ``metadata["doc"]`` describes it. The ``repr`` leaves secrets out.

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

    A PFX file and the result of a function may change while the app runs: when the
    provider refuses the credential, it is read again and the request is repeated once.

    :raises ConfigurationError: settings contradict each other.
    """

    client_id: str = _key(
        parsers.as_string, "Application (client) ID of the app registration."
    )
    client_credential: str | dict[str, t.Any] | cabc.Callable[[], t.Any] | None = _key(
        parsers.as_credential,
        "Client secret; MSAL's dict (in the environment: JSON) of a certificate, an"
        " assertion or a managed identity; or a function. An API may do without.",
        secret=True,
    )
    client_auth: str = _key(
        parsers.one_of("auto", "basic", "post"),
        "How a secret is sent: basic (HTTP Basic), post (in the body), or auto: as the"
        " provider's metadata say, to Entra in the body.",
        "auto",
    )
    authority: str | None = _key(
        parsers.as_authority,
        "Entra authority, e.g. https://login.microsoftonline.com/<tenant ID>. Set"
        " either this or MSAL_OIDC_AUTHORITY.",
        None,
    )
    oidc_authority: str | None = _key(
        parsers.as_oidc_authority,
        "Issuer of another OpenID Connect provider, exactly as it publishes it, or of a"
        " custom domain.",
        None,
    )
    scopes: tuple[str, ...] = _key(
        parsers.as_scopes,
        "Scopes to ask for when a page names none.",
        (),
    )
    base_scopes: tuple[str, ...] | None = _key(
        parsers.as_base_scopes,
        "Scopes of every sign-in beside the page's. Default: openid, and profile and"
        " offline_access unless the provider lists other scopes only.",
        None,
    )
    client_capabilities: tuple[str, ...] = _key(
        parsers.as_words,
        "Client capabilities sent to Entra; CP1 says that claims challenges are"
        " handled. Default: CP1 at Entra, none at another provider.",
        CP1,
    )
    redirect_uri: str | None = _key(
        parsers.as_browser_url,
        "Redirect URI as registered; by default the callback's URL as Flask sees it. "
        "Sign-ins begin at its origin; if it is https, so are all cookies.",
        None,
    )
    reset_password_authority: str | None = _key(
        parsers.as_authority,
        "B2C: authority of the password reset policy.",
        None,
    )
    edit_profile_authority: str | None = _key(
        parsers.as_authority,
        "B2C: authority of the profile editing policy, which"
        " login_url(policy='edit_profile') opens.",
        None,
    )
    response_mode: str = _key(
        parsers.one_of(AUTO, FORM_POST, QUERY),
        "How the code comes back: form_post keeps it out of URLs and logs. auto is"
        " form_post where the redirect URI is https and the provider can, else query.",
        AUTO,
    )
    prompt: str | None = _key(
        parsers.one_of(
            "login",
            "select_account",
            "consent",
            "create",
            because=" (none is for hidden frames: a sign-in page could never be shown)",
        ),
        "Prompt at the first sign-in: login, select_account, consent or create. Other"
        " providers than Entra get consent with every sign-in.",
        None,
    )
    domain_hint: str | None = _key(
        parsers.as_string,
        "Domain of the users: Entra shows its sign-in page directly.",
        None,
    )
    authorization_parameters: dict[str, str] | None = _key(
        parsers.as_parameters,
        "More parameters of every authorization request, such as Auth0's audience or"
        " Google's access_type (in the environment: JSON).",
        None,
    )
    allowed_tenants: tuple[str, ...] = _key(
        parsers.as_tenants,
        "IDs of the tenants that may sign in; * allows all. Required if the authority"
        " is common or organizations.",
        (),
    )
    acrs: dict[str, str] | None = _key(
        parsers.as_contexts,
        "Names for authentication contexts, which login_required(acrs=…) then takes (in"
        ' the environment: JSON, such as {"payroll": "c1"}).',
        None,
    )
    public_endpoints: tuple[str, ...] = _key(
        parsers.as_endpoints,
        "Endpoints that a guard of the whole app lets everybody see, like auth.public;"
        " shop.* is a blueprint.",
        (),
    )
    post_logout: str | None = _key(
        parsers.as_path_or_url,
        "Path or URL to go to after sign-out.",
        None,
    )
    logout_url: str | None = _key(
        parsers.as_logout_url,
        "URL of the provider's sign-out, if not as its metadata say. {client_id} and"
        " {return_url}, to come back to, are filled in; no ID token is sent.",
        None,
    )
    http_timeout: float = _key(
        parsers.as_seconds,
        "Time limit of a call to the identity provider, and of all calls of a refresh"
        " together, in seconds.",
        10.0,
    )
    http_retries: int = _key(
        parsers.as_count, "How often to retry a connection that fails.", 1
    )
    http_client: object | None = _key(
        parsers.as_http_client,
        "Your own HTTP client, with its own CAs (MSAL_VERIFY is not for it). Unless it"
        " is a requests.Session, set its timeouts.",
        None,
    )
    verify: bool | str = _key(
        parsers.as_verify,
        "Whether to check TLS certificates: true, false, or the path of a CA bundle.",
        True,
    )
    instance_discovery: bool | None = _key(
        parsers.as_flag,
        "Whether Microsoft has to confirm the authority; false for private clouds.",
        None,
    )
    flow_lifetime: int = _key(
        parsers.as_whole_seconds, "Seconds that a user has to finish a sign-in.", 3600
    )
    session_max_age: int | None = _key(
        parsers.as_whole_seconds,
        "Seconds from the sign-in to the end of the session, used or not (OWASP ASVS"
        " 5.0, 7.3.2). By default, it lives as long as it is used.",
        None,
    )
    recheck: int = _key(
        parsers.as_count,
        "Seconds after which a guarded page asks the provider whether the user still"
        " has their account and roles; 0 never asks.",
        3600,
    )
    reauth_limit: int = _key(
        parsers.as_limit,
        "How often the same demand may come back before it counts as a loop.",
        3,
    )
    reauth_window: int = _key(
        parsers.as_whole_seconds,
        "Period in which MSAL_REAUTH_LIMIT counts, in seconds.",
        300,
    )
    replay_limit: int = _key(
        parsers.as_count,
        "Largest form to keep during a sign-in, in bytes; 0 keeps none.",
        1_048_576,
    )
    encryption_keys: tuple[str, ...] = _key(
        parsers.as_encryption_keys,
        "Fernet keys that encrypt tokens and forms in the session store, newest first."
        " Without any, nothing is encrypted.",
        (),
        secret=True,
    )
    api_id_uri: str | None = _key(
        parsers.as_id_uri,
        "Application ID URI of the API, before the names of its scopes. Default:"
        " api://<client ID>.",
        None,
    )
    api_clients: tuple[str, ...] = _key(
        parsers.as_small_words,
        "Client IDs of the apps that may call the API. By default, whatever app got a"
        " token for it.",
        (),
    )
    url_prefix: str = _key(
        parsers.as_url_prefix, "Path under which the sign-in routes are.", "/auth"
    )

    def __post_init__(self) -> None:
        """Refuse settings that are valid alone but not together."""
        if bool(self.authority) is bool(self.oidc_authority):
            found = "both are" if self.authority else "neither is"
            raise ConfigurationError(
                f"Of MSAL_AUTHORITY and MSAL_OIDC_AUTHORITY {found} set; set exactly"
                " one: MSAL_AUTHORITY for Entra, the other for any other provider."
            )
        if self.is_multi_tenant and not self.allowed_tenants:
            raise ConfigurationError(
                f"The authority lets every tenant in ({self.tenant}), but"
                " MSAL_ALLOWED_TENANTS is not set: list the tenant IDs that may sign"
                " in, or set it to * to allow all."
            )

        ids = (self.acrs or {}).values() if self.authority else ()
        if not parsers.CONTEXTS.issuperset(ids):
            raise ConfigurationError(
                "MSAL_ACRS names contexts that Entra does not have: their ids are c1 to"
                " c99, see 'Authentication contexts' of Conditional Access."
            )

    @property
    def _place(self) -> urllib.parse.SplitResult:
        return urllib.parse.urlsplit(self.authority or self.oidc_authority or "")

    @property
    def tenant(self) -> str:
        """The first segment of the authority's path."""
        return self._place.path.strip("/").split("/")[0]

    @property
    def is_multi_tenant(self) -> bool:
        """The authority takes the accounts of any tenant.

        Its path says so, which means nothing at a provider that is not Microsoft.
        """
        is_entra = self.authority or MICROSOFT.fullmatch(str(self._place.hostname))
        # "consumers" is a single tenant, the one of all personal accounts.
        return bool(is_entra) and self.tenant.lower() in {"common", "organizations"}

    def of_tenant(self, tenant: str) -> Settings:
        """Return the same settings at the authority of one tenant.

        They stay as they are if they are of a single one.
        """
        if not self.is_multi_tenant:
            return self
        path = self._place.path.replace(self.tenant, tenant, 1)
        own = self._place._replace(path=path).geturl()
        if self.authority:
            return dataclasses.replace(self, authority=own)
        return dataclasses.replace(self, oidc_authority=own)

    @property
    def is_https(self) -> bool:
        """The redirect URI says that browsers come by https."""
        return (self.redirect_uri or "").startswith("https:")

    @property
    def id_uri(self) -> str:
        """The Application ID URI of the API."""
        return self.api_id_uri or f"api://{self.client_id}"

    @property
    def registration(self) -> Registration:
        """The app registration, and whose sign-ins it accepts."""
        return Registration(
            self.client_id,
            self.authority,
            self.oidc_authority,
            self.allowed_tenants,
            self.session_max_age,
            self.recheck,
        )

    @classmethod
    def from_mapping(
        cls, config: cabc.Mapping[str, t.Any], *, for_api: bool = False
    ) -> Settings:
        """Return the settings in a Flask config or an environment.

        Other keys are ignored. A value may have its Python type or be a string, as in
        an environment. ``None`` and, except for lists, ``""`` mean "not set".

        :param for_api: no ``MSAL_CLIENT_CREDENTIAL`` is needed: an API checks tokens
            without it.
        :raises ConfigurationError: a key is wrong or missing. The message names the
            key, the type of its value (never the value, which may be a secret) and
            the remedy.
        """
        try:
            return cls(**_values(config, for_api=for_api))
        except ConfigurationError as error:
            # Their locals are the whole configuration, and this frame's go on.
            forget_locals(error)
            del config
            raise


def key_of(name: str) -> str:
    """Return the configuration key of a field: ``MSAL_CLIENT_ID`` of ``client_id``."""
    return PREFIX + name.upper()


def _values(config: cabc.Mapping[str, t.Any], *, for_api: bool) -> dict[str, t.Any]:
    """Return the values of the keys that are set, by the names of their fields."""
    fields = {key_of(field.name): field for field in dataclasses.fields(Settings)}
    _refuse_unknown(config, fields)
    values = {
        field.name: _read(key, config[key], field)
        for key, field in fields.items()
        if _is_set(config.get(key), field)
    }
    if for_api:
        values.setdefault("client_credential", None)
    for key, field in fields.items():
        if field.default is dataclasses.MISSING and field.name not in values:
            raise ConfigurationError(_absent(key, field.metadata["doc"]))
    if "authority" in values:
        # Entra takes its GUIDs in any case, and writes them small into tokens.
        values["client_id"] = values["client_id"].lower()
    if "oidc_authority" in values:
        # Where that is Entra at a domain of its own, it gets CP1 all the same.
        values.setdefault("client_capabilities", ())
    return values


def _absent(key: str, doc: str) -> str:
    """Say that a key is missing, and why if the environment has it all the same."""
    text = f"{key} is not set, but it must be. {doc}"
    reads = "app.config.from_prefixed_env() reads"
    if os.environ.get(f"FLASK_{key}"):
        return f"{text} The environment has FLASK_{key}: {reads} it, before init_app."
    if os.environ.get(key):
        return f"{text} The environment has {key}: {reads} FLASK_{key} only."
    return text


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
    kinds = {
        bool: "a boolean",
        int: "a whole number",
        float: "a number",
        str: "a string",
    }
    article = f"of type {type(value).__name__}"
    return kinds.get(type(value), article)
