"""Parsers of configuration values: Python values or strings of the environment.

Each returns a checked value of one type, or raises a ``ValueError`` whose message
completes the sentence "it must …". Knows no key.
"""

from __future__ import annotations

import collections.abc as cabc
import json
import math
import os
import re
import typing as t
import urllib.parse

from msal import SystemAssignedManagedIdentity

from .protocol.loopback import is_loopback
from .protocol.parameters import problem_of
from .protocol.scopes import ADDED

#: How Entra writes the id of a tenant.
GUID = r"[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}"
_BOOLEANS = {
    **dict.fromkeys(("true", "1", "yes", "on"), True),
    **dict.fromkeys(("false", "0", "no", "off"), False),
}

#: Ids of Entra's authentication contexts
#: (https://learn.microsoft.com/graph/api/resources/authenticationcontextclassreference).
CONTEXTS = frozenset(f"c{number}" for number in range(1, 100))

Parser: t.TypeAlias = cabc.Callable[[t.Any], t.Any]


def _require(condition: object, must: str) -> None:
    """Refuse a value; *must* completes the sentence "it must …"."""
    if not condition:
        raise ValueError(must)


def as_string(value: t.Any) -> str:
    """Return a string; a whole number, which JSON decoding made of one, becomes one."""
    # Flask's from_prefixed_env decodes 12345 to an int; a float or a boolean does not
    # say any more how it was written (1e3, 1000.0).
    if type(value) is int:
        value = str(value)
    must = "be a string; in the environment, put '\"' around what reads as JSON"
    _require(isinstance(value, str), must)
    return str(value).strip()


def _decoded(value: t.Any) -> t.Any:
    """Decode a JSON list or object of the environment; keep other values."""
    if isinstance(value, str) and value.lstrip().startswith(("[", "{")):
        try:
            return json.loads(value)
        except (ValueError, RecursionError):
            raise ValueError("be valid JSON, since it starts like JSON") from None
    return value


def as_words(value: t.Any) -> tuple[str, ...]:
    """Return words, each once: of a list, or a string split at blanks and commas."""
    value = _decoded(value)
    items = value if isinstance(value, (list, tuple, set, frozenset)) else [value]
    items = [i.decode(errors="replace") if isinstance(i, bytes) else i for i in items]
    must = "be a list of strings, or one string with blanks or commas between them"
    _require(all(isinstance(item, str) for item in items), must)
    return tuple(dict.fromkeys(" ".join(items).replace(",", " ").split()))


def as_small_words(value: t.Any) -> tuple[str, ...]:
    """Return words in small letters, each once: GUIDs, as Entra's tokens have them."""
    return tuple(dict.fromkeys(word.lower() for word in as_words(value)))


def as_scopes(value: t.Any) -> tuple[str, ...]:
    """Return scopes without those that MSAL adds itself (and refuses to be given)."""
    return tuple(word for word in as_words(value) if word not in ADDED)


def as_id_uri(value: t.Any) -> str:
    """Return an Application ID URI, without a slash at its end."""
    uri = as_string(value).rstrip("/")
    is_uri = re.fullmatch(r"[a-z][a-z0-9+.-]*://[^\s\"\\,]+", uri, re.IGNORECASE)
    _require(is_uri, "be a URI, such as api://<client ID>")
    return uri


def as_base_scopes(value: t.Any) -> tuple[str, ...]:
    """Return the scopes of every sign-in, without which there is no ID token."""
    words = as_words(value)
    must = "hold openid, without which no provider says who signs in (OpenID Connect)"
    _require("openid" in words, must)
    return words


def as_parameters(value: t.Any) -> dict[str, str]:
    """Return parameters that may be added to an authorization request."""
    value = _decoded(value)
    must = 'be a dict (in the environment: a JSON object) such as {"audience": "…"}'
    _require(isinstance(value, cabc.Mapping), must)
    problem = problem_of(value)
    _require(not problem, problem)
    return dict(value)


def as_contexts(value: t.Any) -> dict[str, str]:
    """Return authentication contexts by the names that an app gives them."""
    value = _decoded(value)
    must = 'be a dict (in the environment: a JSON object) such as {"payroll": "c1"}'
    _require(isinstance(value, cabc.Mapping), must)
    words = [*value, *value.values()]
    _require(all(isinstance(word, str) and word.strip() for word in words), must)
    return dict(value)


def as_endpoints(value: t.Any) -> tuple[str, ...]:
    """Return names of endpoints; that of a blueprint ends with ``.*`` for all of it."""
    words = as_words(value)
    must = (
        "hold names of endpoints, such as shop.index, or shop.* for a whole blueprint;"
        " nothing opens the whole app"
    )
    _require(not any("*" in word.removesuffix(".*") for word in words), must)
    _require(".*" not in words, must)
    return words


def as_tenants(value: t.Any) -> tuple[str, ...]:
    words = as_small_words(value)
    must = (
        "hold tenant IDs (GUIDs; Entra's tokens name no domains), or '*' for all:"
        " look the ID up under 'Overview' of the tenant"
    )
    _require(all(word == "*" or re.fullmatch(GUID, word) for word in words), must)
    return words


def as_encryption_keys(value: t.Any) -> tuple[str, ...]:
    from cryptography.fernet import Fernet

    keys = as_words(value)
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


def as_flag(value: t.Any) -> bool:
    must = "be one of true, false, 1, 0, yes, no, on, off"
    _require(isinstance(value, (bool, int, str)), must)
    word = str(value).strip().lower()
    _require(word in _BOOLEANS, must)
    return _BOOLEANS[word]


def as_verify(value: t.Any) -> bool | str:
    """Return a boolean, or the path of a CA bundle as ``requests`` takes it."""
    try:
        return as_flag(value)
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


def as_seconds(value: t.Any) -> float:
    must = "be a number of seconds above 0"
    number = _number(value, must)
    _require(number > 0, must)
    return number


def as_whole_seconds(value: t.Any) -> int:
    must = "be a whole number of seconds above 0"
    number = _number(value, must)
    _require(number > 0 and number == int(number), must)
    return int(number)


def as_limit(value: t.Any) -> int:
    must = "be a whole number, 1 or more"
    number = _number(value, must)
    _require(number >= 1 and number == int(number), must)
    return int(number)


def as_count(value: t.Any) -> int:
    must = "be a whole number, 0 or more"
    number = _number(value, must)
    _require(number >= 0 and number == int(number), must)
    return int(number)


def one_of(*choices: str, because: str = "") -> Parser:
    def read(value: t.Any) -> str:
        must = f"be one of {', '.join(choices)}{because}"
        _require(isinstance(value, str) and value.strip().lower() in choices, must)
        return str(value).strip().lower()

    return read


def _split(value: t.Any, must: str) -> urllib.parse.SplitResult:
    """Split an absolute URL that has no blanks, user or control characters."""
    text = as_string(value)
    _require(text.isprintable() and not re.search(r"[\s<>{}\\]", text), must)
    try:
        parts = urllib.parse.urlsplit(text)
        _require(parts.port is None or parts.port, must)
    except ValueError:
        raise ValueError(must) from None
    _require(parts.hostname and "@" not in parts.netloc, must)
    return parts


def as_authority(value: t.Any) -> str:
    must = (
        "be an https URL such as https://login.microsoftonline.com/<tenant ID>,"
        " https://<name>.ciamlogin.com"
        " or https://<name>.b2clogin.com/<name>.onmicrosoft.com/<policy>"
    )
    parts = _split(value, must)
    # People copy addresses under "Endpoints" in the portal, and issuers.
    is_endpoint = re.search(r"/(oauth2|\.well-known)(/|$)", parts.path, re.IGNORECASE)
    _require(not is_endpoint, "end before /oauth2 and /v2.0, which MSAL adds")
    path = re.sub(r"/v2\.0$", "", parts.path.rstrip("/"), flags=re.IGNORECASE)
    is_ciam = str(parts.hostname).endswith(".ciamlogin.com")
    _require(path.strip("/") or is_ciam, must)
    _require(parts.scheme == "https" and not parts.query and not parts.fragment, must)
    # MSAL takes what is between the first two slashes for the tenant.
    path = re.sub("^/+", "/", path.rstrip("/"))
    return parts._replace(netloc=parts.netloc.removesuffix(":443"), path=path).geturl()


def as_oidc_authority(value: t.Any) -> str:
    """Return an issuer as it is written: with a slash at the end it is another."""
    must = (
        "be the https URL of an OpenID Connect issuer, without"
        " /.well-known/openid-configuration, query or fragment"
    )
    parts = _split(value, must)
    _require(parts.scheme == "https" and not parts.query and not parts.fragment, must)
    _require("/.well-known/" not in parts.path, must)
    return parts.geturl()


def as_browser_url(value: t.Any) -> str:
    """Return a URL for browsers: https, or http on this machine (RFC 8252 §8.3)."""
    must = (
        "be an absolute https URL without a fragment (http only for localhost and"
        " 127.0.0.1)"
    )
    parts = _split(value, must)
    local = parts.scheme == "http" and is_loopback(parts.hostname)
    _require((parts.scheme == "https" or local) and "#" not in as_string(value), must)
    return parts.geturl()


def as_path_or_url(value: t.Any) -> str:
    text = as_string(value)
    if not text.startswith("/"):
        return as_browser_url(text)
    # Browsers read "//host" and "/\host" as another host.
    foreign = text.startswith("//") or "\\" in text or not text.isprintable()
    _require(not foreign, "be a path on this site such as /bye, or an absolute URL")
    return text


def as_logout_url(value: t.Any) -> str:
    """Return a URL with ``{client_id}`` and ``{return_url}`` in its path or query."""
    text = as_string(value)
    must = (
        "be an absolute https URL without a fragment (http only for localhost), in"
        " whose path and query {client_id} and {return_url} alone stand for values:"
        " https://id.example.com/logout?client_id={client_id}&logout_uri={return_url}"
    )
    filled = re.sub(r"\{(client_id|return_url)\}", "_", text)
    try:
        parts = urllib.parse.urlsplit(as_browser_url(filled))
        _require(parts.netloc == urllib.parse.urlsplit(text).netloc, must)
    except ValueError:
        raise ValueError(must) from None
    of_a_person = {"id_token_hint", "logout_hint"} & urllib.parse.parse_qs(
        parts.query, keep_blank_values=True
    ).keys()
    must = (
        "not have id_token_hint or logout_hint, which differ from user to user: without"
        " this setting, one of them goes to the provider's end_session_endpoint"
    )
    _require(not of_a_person, must)
    return text


def as_url_prefix(value: t.Any) -> str:
    must = "be a path such as /auth: it starts with one / and does not end with one"
    text = as_string(value)
    _require(re.fullmatch(r"(/[\w.~-]+)+", text, re.ASCII), must)
    return text


def as_credential(
    value: t.Any,
) -> str | dict[str, t.Any] | cabc.Callable[[], t.Any]:
    """Return a client secret; MSAL's dict of a certificate, an assertion or a managed
    identity; or a function that returns one of these.
    """
    if callable(value):
        return t.cast("cabc.Callable[[], t.Any]", value)
    value = _decoded(value)
    if not isinstance(value, cabc.Mapping):
        return as_string(value)
    shapes = (
        {"private_key", "thumbprint"},
        {"private_key", "public_certificate"},
        {"private_key_pfx_path"},
        {"client_assertion"},
    )
    present = {key for key, part in value.items() if part}
    must = (
        "have private_key with thumbprint or public_certificate, or"
        " private_key_pfx_path, or client_assertion, or be MSAL's dict of a managed"
        " identity"
    )
    managed = SystemAssignedManagedIdentity.is_managed_identity(dict(value))
    _require(managed or any(shape <= present for shape in shapes), must)
    return dict(value)


def as_http_client(value: t.Any) -> object:
    has_verbs = callable(getattr(value, "get", None)) and callable(
        getattr(value, "post", None)
    )
    _require(has_verbs, "be an object with get() and post(), like requests.Session")
    return value
