"""Writes the reference of configuration keys from ``Settings`` itself.

Name, type, default, meaning and what is accepted all come from the package; the example
of each key is here, and the build fails on one that the package does not accept.
"""

from __future__ import annotations

import collections.abc as cabc
import dataclasses
import typing as t

from docutils import nodes
from sphinx.application import Sphinx
from sphinx.util.docutils import SphinxDirective

from flask_msal_errors import Settings
from flask_msal_errors.settings import key_of

Field: t.TypeAlias = "dataclasses.Field[t.Any]"

_GUID = "11111111-2222-3333-4444-555555555555"
#: Values in the environment, by field; ``None`` for those without such a form.
EXAMPLES: dict[str, str | None] = {
    "api_clients": _GUID,
    "api_id_uri": "https://api.example.com",
    "client_id": _GUID,
    "client_credential": '{"private_key_pfx_path": "app.pfx", "passphrase": "…"}',
    "client_auth": "basic",
    "authority": f"https://login.microsoftonline.com/{_GUID}",
    "oidc_authority": "https://login.example.com",
    "scopes": "User.Read Mail.Read",
    "base_scopes": "openid email",
    "client_capabilities": "CP1",
    "redirect_uri": "https://app.example.com/auth/callback",
    "reset_password_authority": (
        "https://contoso.b2clogin.com/contoso.onmicrosoft.com/B2C_1_reset"
    ),
    "edit_profile_authority": (
        "https://contoso.b2clogin.com/contoso.onmicrosoft.com/B2C_1_edit"
    ),
    "acrs": '{"payroll": "c1"}',
    "public_endpoints": "index shop.*",
    "response_mode": "query",
    "prompt": "select_account",
    "domain_hint": "contoso.com",
    "authorization_parameters": '{"audience": "https://api.example.com"}',
    "allowed_tenants": f"{_GUID} 66666666-7777-8888-9999-000000000000",
    "post_logout": "/goodbye",
    "logout_url": (
        "https://contoso.auth.eu-west-1.amazoncognito.com/logout"
        "?client_id={client_id}&logout_uri={return_url}"
    ),
    "http_timeout": "10",
    "http_retries": "1",
    "http_client": None,
    "verify": "false",
    "instance_discovery": "false",
    "flow_lifetime": "3600",
    "session_max_age": "43200",
    "recheck": "3600",
    "reauth_limit": "3",
    "reauth_window": "300",
    "replay_limit": "1048576",
    # 32 bytes, as Fernet wants them: "replace me with a generated key!"
    "encryption_keys": "cmVwbGFjZSBtZSB3aXRoIGEgZ2VuZXJhdGVkIGtleSE=",
    "url_prefix": "/auth",
}
#: Values of which every reader refuses at least one, most telling first.
_BAD: tuple[t.Any, ...] = ("//x", {"?": 1}, object())


def fields() -> tuple[Field, ...]:
    return dataclasses.fields(Settings)


def rule_of(field: Field) -> str:
    """Return what a value must be, as the key's own error says it.

    :raises LookupError: its reader takes anything.
    """
    for value in _BAD:
        try:
            field.metadata["read"](value)
        except ValueError as error:
            return str(error)
    raise LookupError(f"{key_of(field.name)} accepts every value")


def example_of(field: Field) -> str | None:
    """The example of a key in the environment, after its reader has accepted it.

    :raises KeyError: there is none.
    :raises ValueError: it is not accepted.
    """
    example = EXAMPLES[field.name]
    if example is not None:
        field.metadata["read"](example)
    return example


def default_of(field: Field) -> str:
    """The default, as the environment would have it."""
    if field.default is dataclasses.MISSING:
        return "none: the key is required"
    if field.default is None or field.default == ():
        return "not set"
    value = field.default
    return f"``{' '.join(value) if isinstance(value, tuple) else value}``"


def entry_of(field: Field) -> cabc.Iterator[str]:
    """The lines of one key."""
    key, example = key_of(field.name), example_of(field)
    doc = str(field.metadata["doc"]).replace("*", r"\*")
    kind = str(field.type).replace("t.Any", "Any").replace("cabc.", "")
    yield from (f".. setting:: {key}", "", f"   {doc}", "")
    yield f"   :Type: ``{kind}``"
    yield f"   :Default: {default_of(field)}"
    yield f"   :Must: {rule_of(field).replace('*', chr(92) + '*')}"
    if example is None:
        yield "   :Environment: has no form for it; set it in Python"
    else:
        yield f"   :Environment: ``FLASK_{key}={_quoted(example)}``"
    yield ""


def _quoted(text: str) -> str:
    return text if text.isascii() and not set(text) & set(' "{}') else f"'{text}'"


class Keys(SphinxDirective):
    """``.. msal-keys::``, every key of the extension."""

    def run(self) -> list[nodes.Node]:
        lines = [line for field in fields() for line in entry_of(field)]
        return self.parse_text_to_nodes("\n".join(lines))


def setup(app: Sphinx) -> dict[str, t.Any]:
    app.add_object_type("setting", "setting", objname="configuration key")
    app.add_directive("msal-keys", Keys)
    return {"parallel_read_safe": True}
