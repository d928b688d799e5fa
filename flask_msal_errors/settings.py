"""Every ``MSAL_*`` key: its meaning, default and check, read once into frozen settings.

Knows what a valid value looks like; knows nothing of Flask or of who uses the value.
"""

from __future__ import annotations

import collections.abc as cabc
import dataclasses
import difflib
import json
import math
import os
import re
import typing as t
import urllib.parse

from .errors import ConfigurationError

PREFIX = "MSAL_"

_GUID = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}")
_RESERVED_SCOPES = frozenset({"openid", "profile", "offline_access"})
_LOOPBACK = frozenset({"localhost", "127.0.0.1", "::1"})
_BOOLEANS = {
    **dict.fromkeys(("true", "1", "yes", "on"), True),
    **dict.fromkeys(("false", "0", "no", "off"), False),
}

_Reader: t.TypeAlias = cabc.Callable[[t.Any], t.Any]


def _require(condition: object, must: str) -> None:
    """Refuse a value; *must* completes the sentence "it must …"."""
    if not condition:
        raise ValueError(must)


def _text(value: t.Any) -> str:
    """A text; a whole number, which JSON decoding made of one, is turned back."""
    # Flask's from_prefixed_env decodes 12345 to an int; a float or a boolean does not
    # say any more how it was written (1e3, 1000.0).
    if type(value) is int:
        value = str(value)
    must = "be a text; in the environment, put '\"' around what reads as JSON"
    _require(isinstance(value, str), must)
    return str(value).strip()


def _decoded(value: t.Any) -> t.Any:
    """A value with JSON lists and objects of the environment decoded."""
    if isinstance(value, str) and value.lstrip().startswith(("[", "{")):
        try:
            return json.loads(value)
        except (ValueError, RecursionError):
            raise ValueError("be valid JSON, since it starts like JSON") from None
    return value


def _words(value: t.Any) -> tuple[str, ...]:
    """Words without duplicates: a list, or a text split on blanks and commas."""
    value = _decoded(value)
    items = value if isinstance(value, (list, tuple, set, frozenset)) else [value]
    items = [i.decode(errors="replace") if isinstance(i, bytes) else i for i in items]
    must = "be a list of texts, or one text with blanks or commas between them"
    _require(all(isinstance(item, str) for item in items), must)
    return tuple(dict.fromkeys(" ".join(items).replace(",", " ").split()))


def _scopes(value: t.Any) -> tuple[str, ...]:
    """Scopes without those that MSAL adds itself (and refuses to be given)."""
    return tuple(word for word in _words(value) if word not in _RESERVED_SCOPES)


def _tenants(value: t.Any) -> tuple[str, ...]:
    words = tuple(dict.fromkeys(word.lower() for word in _words(value)))
    must = (
        "hold tenant IDs (GUIDs; Entra's tokens name no domains), or '*' for all:"
        " look the ID up under 'Overview' of the tenant"
    )
    _require(all(word == "*" or _GUID.fullmatch(word) for word in words), must)
    return words


def _encryption_keys(value: t.Any) -> tuple[str, ...]:
    from cryptography.fernet import Fernet

    keys = _words(value)
    try:
        for key in keys:
            Fernet(key)
    except ValueError:
        must = (
            "hold Fernet keys (32 bytes in base64url, newest first): make one with"
            " cryptography.fernet.Fernet.generate_key()"
        )
        raise ValueError(must) from None
    return keys


def _flag(value: t.Any) -> bool:
    must = "be one of true, false, 1, 0, yes, no, on, off"
    _require(isinstance(value, (bool, int, str)), must)
    word = str(value).strip().lower()
    _require(word in _BOOLEANS, must)
    return _BOOLEANS[word]


def _verify(value: t.Any) -> bool | str:
    """A boolean, or the path of a CA bundle as ``requests`` takes it."""
    try:
        return _flag(value)
    except ValueError:
        must = "be true, false, or the path of a CA bundle (file or directory)"
        _require(isinstance(value, (str, os.PathLike)), must)
        path = os.fsdecode(value)
        _require(os.path.exists(path), f"{must} that exists")
        return path


def _number(value: t.Any, must: str) -> float:
    _require(isinstance(value, (int, float, str)) and type(value) is not bool, must)
    try:
        number = float(value)
    except (ValueError, OverflowError):
        raise ValueError(must) from None
    _require(math.isfinite(number), must)
    return number


def _seconds(value: t.Any) -> float:
    must = "be a number of seconds above 0"
    number = _number(value, must)
    _require(number > 0, must)
    return number


def _whole_seconds(value: t.Any) -> int:
    must = "be a whole number of seconds above 0"
    number = _number(value, must)
    _require(number > 0 and number == int(number), must)
    return int(number)


def _count(value: t.Any) -> int:
    must = "be a whole number, 0 or more"
    number = _number(value, must)
    _require(number >= 0 and number == int(number), must)
    return int(number)


def _one_of(*choices: str, because: str = "") -> _Reader:
    def read(value: t.Any) -> str:
        must = f"be one of {', '.join(choices)}{because}"
        _require(isinstance(value, str) and value.strip().lower() in choices, must)
        return str(value).strip().lower()

    return read


def _split(value: t.Any, must: str) -> urllib.parse.SplitResult:
    """The parts of an absolute URL that has no blanks, user, or control characters."""
    text = _text(value)
    _require(text.isprintable() and not re.search(r"[\s<>{}\\]", text), must)
    try:
        parts = urllib.parse.urlsplit(text)
        _require(parts.port is None or parts.port, must)
    except ValueError:
        raise ValueError(must) from None
    _require(parts.hostname and "@" not in parts.netloc, must)
    return parts


def _authority(value: t.Any) -> str:
    must = (
        "be an https URL such as https://login.microsoftonline.com/<tenant ID>,"
        " https://<name>.ciamlogin.com"
        " or https://<name>.b2clogin.com/<name>.onmicrosoft.com/<policy>"
    )
    parts = _split(value, must)
    is_ciam = str(parts.hostname).endswith(".ciamlogin.com")
    _require(parts.path.strip("/") or is_ciam, must)
    _require(parts.scheme == "https" and not parts.query and not parts.fragment, must)
    return parts.geturl().rstrip("/")


def _oidc_authority(value: t.Any) -> str:
    must = (
        "be the https URL of an OpenID Connect issuer, without"
        " /.well-known/openid-configuration, query or fragment"
    )
    parts = _split(value, must)
    _require(parts.scheme == "https" and not parts.query and not parts.fragment, must)
    _require("/.well-known/" not in parts.path, must)
    return parts.geturl().rstrip("/")


def _browser_url(value: t.Any) -> str:
    """Where a browser is sent: https, or http on this machine (RFC 8252 §8.3)."""
    must = (
        "be an absolute https URL without a fragment (http only for localhost and"
        " 127.0.0.1)"
    )
    parts = _split(value, must)
    local = parts.scheme == "http" and parts.hostname in _LOOPBACK
    _require((parts.scheme == "https" or local) and "#" not in _text(value), must)
    return parts.geturl()


def _path_or_url(value: t.Any) -> str:
    text = _text(value)
    if not text.startswith("/"):
        return _browser_url(text)
    # Browsers read "//host" and "/\host" as another host.
    foreign = text.startswith("//") or "\\" in text or not text.isprintable()
    _require(not foreign, "be a path on this site such as /bye, or an absolute URL")
    return text


def _url_prefix(value: t.Any) -> str:
    must = "be a path such as /auth: it starts with one / and does not end with one"
    text = _text(value)
    _require(re.fullmatch(r"(/[\w.~-]+)+", text, re.ASCII), must)
    return text


def _credential(value: t.Any) -> str | dict[str, t.Any]:
    """A client secret, or MSAL's dict of a certificate or an assertion."""
    value = _decoded(value)
    if not isinstance(value, cabc.Mapping):
        return _text(value)
    shapes = (
        {"private_key", "thumbprint"},
        {"private_key", "public_certificate"},
        {"private_key_pfx_path"},
        {"client_assertion"},
    )
    present = {key for key, part in value.items() if part}
    must = (
        "have private_key with thumbprint or public_certificate, or"
        " private_key_pfx_path, or client_assertion"
    )
    _require(any(shape <= present for shape in shapes), must)
    return dict(value)


def _http_client(value: t.Any) -> object:
    has_verbs = callable(getattr(value, "get", None)) and callable(
        getattr(value, "post", None)
    )
    _require(has_verbs, "be an object with get() and post(), like requests.Session")
    return value


def _key(
    read: _Reader,
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

    :raises ConfigurationError: if settings contradict each other.
    """

    client_id: str = _key(_text, "Application (client) ID of the app registration.")
    client_credential: str | dict[str, t.Any] = _key(
        _credential,
        "Client secret, or MSAL's dict (in the environment: JSON) for a certificate or"
        " an assertion.",
        secret=True,
    )
    authority: str | None = _key(
        _authority,
        "Entra authority, e.g. https://login.microsoftonline.com/<tenant ID>; this or"
        " MSAL_OIDC_AUTHORITY.",
        None,
    )
    oidc_authority: str | None = _key(
        _oidc_authority,
        "Issuer of another OpenID Connect provider, or of a custom domain.",
        None,
    )
    scopes: tuple[str, ...] = _key(
        _scopes, "Scopes asked for, and consented to, at every sign-in.", ()
    )
    client_capabilities: tuple[str, ...] = _key(
        _words,
        "Capabilities told to Entra; CP1 says that claims challenges are handled."
        " Default CP1, with MSAL_OIDC_AUTHORITY none.",
        ("CP1",),
    )
    redirect_uri: str | None = _key(
        _browser_url,
        "Redirect URI as registered; by default the callback's URL as Flask sees it.",
        None,
    )
    reset_password_authority: str | None = _key(
        _authority, "B2C: authority of the password reset policy.", None
    )
    edit_profile_authority: str | None = _key(
        _authority, "B2C: authority of the profile editing policy.", None
    )
    response_mode: str = _key(
        _one_of("query", "form_post"),
        "How the code comes back: query or form_post (never in a URL or log).",
        "query",
    )
    prompt: str | None = _key(
        _one_of(
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
        _text, "Domain whose sign-in page is shown at once.", None
    )
    allowed_tenants: tuple[str, ...] = _key(
        _tenants,
        "Tenant IDs that may sign in; * for all. Needed with an authority of common or"
        " organizations.",
        (),
    )
    post_logout: str | None = _key(
        _path_or_url, "Path or URL that a browser ends on after sign-out.", None
    )
    http_timeout: float = _key(
        _seconds, "Seconds that a call of the identity provider may take.", 10.0
    )
    http_retries: int = _key(_count, "How often a failed connect is repeated.", 1)
    http_client: object | None = _key(
        _http_client, "Own HTTP client, like requests.Session.", None
    )
    verify: bool | str = _key(
        _verify, "Check TLS certificates: true, false or the path of a CA bundle.", True
    )
    instance_discovery: bool | None = _key(
        _flag, "Let Microsoft vouch for the authority; false for private clouds.", None
    )
    flow_lifetime: int = _key(
        _whole_seconds, "Seconds that a person has for signing in.", 3600
    )
    reauth_limit: int = _key(
        _count, "How often the same demand may come back before it counts as a loop.", 3
    )
    reauth_window: int = _key(
        _whole_seconds, "Seconds within which MSAL_REAUTH_LIMIT counts.", 300
    )
    replay_limit: int = _key(
        _count, "Largest interrupted form that is kept, in bytes.", 1_048_576
    )
    encryption_keys: tuple[str, ...] = _key(
        _encryption_keys,
        "Fernet keys for records in the session store, newest first; none, no"
        " encryption.",
        (),
        secret=True,
    )
    url_prefix: str = _key(_url_prefix, "Path of the sign-in routes.", "/auth")

    def __post_init__(self) -> None:
        """Refuse settings that are fine one by one, but not together."""
        if bool(self.authority) is bool(self.oidc_authority):
            found = "both" if self.authority else "neither"
            raise ConfigurationError(
                f"Of MSAL_AUTHORITY and MSAL_OIDC_AUTHORITY {found} is set; set exactly"
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
