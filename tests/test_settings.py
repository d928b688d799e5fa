"""Every ``MSAL_*`` key: what it takes, what it refuses, and what the refusal says."""

from __future__ import annotations

import collections.abc as cabc
import dataclasses
import pathlib
import types
import typing as t

import msal
import pytest
from flask import Flask
from hypothesis import given
from hypothesis import strategies as st

from flask_msal_errors.errors import ConfigurationError
from flask_msal_errors.settings import Settings
from flask_msal_errors.settings import key_of

SECRET = "s3cret-marker"
TENANT = "3F2504E0-4F89-41D3-9A0C-0305E82C3301"
AUTHORITY = f"https://login.microsoftonline.com/{TENANT}"
BASE: dict[str, t.Any] = {
    "MSAL_CLIENT_ID": "app",
    "MSAL_CLIENT_CREDENTIAL": SECRET,
    "MSAL_AUTHORITY": AUTHORITY,
}
FERNET = b"q83vEjRWeJCrze8SNFZ4kKvN7xI0VniQq83vEjRWeJA="
FERNET_2 = "EjRWeJCrze8SNFZ4kKvN7xI0VniQq83vEjRWeJCrze8="
FIELDS = {key_of(field.name): field for field in dataclasses.fields(Settings)}


def read(**config: t.Any) -> Settings:
    """Settings of a good configuration with some keys changed."""
    return Settings.from_mapping(BASE | config)


def refusal(**config: t.Any) -> str:
    """The text of the error that a changed configuration raises."""
    with pytest.raises(ConfigurationError) as caught:
        read(**config)
    return str(caught.value)


class Client:
    def get(self) -> None: ...

    def post(self) -> None: ...


CLIENT = Client()
PEM = {"private_key": SECRET, "thumbprint": "A1"}
LOGOUT_URLS = [
    "https://a.b/logout?client_id={client_id}&logout_uri={return_url}",
    "https://a.b/{client_id}/logout?a=b",
    "http://localhost:5000/v2/logout?returnTo={return_url}",
]

# One row per form of a value: (key, value, what the attribute becomes)
ACCEPTED: list[tuple[str, t.Any, t.Any]] = [
    ("CLIENT_ID", " app-2 ", "app-2"),
    ("CLIENT_ID", 12345, "12345"),
    ("CLIENT_CREDENTIAL", 12345, "12345"),
    ("CLIENT_CREDENTIAL", "a~B,c d", "a~B,c d"),
    ("CLIENT_CREDENTIAL", PEM, PEM),
    ("CLIENT_CREDENTIAL", '{"client_assertion": "jwt"}', {"client_assertion": "jwt"}),
    ("CLIENT_CREDENTIAL", {"client_assertion": len}, {"client_assertion": len}),
    ("CLIENT_CREDENTIAL", len, len),
    (
        "CLIENT_CREDENTIAL",
        '{"ManagedIdentityIdType": "SystemAssigned", "Id": null}',
        {"ManagedIdentityIdType": "SystemAssigned", "Id": None},
    ),
    (
        "CLIENT_CREDENTIAL",
        msal.UserAssignedManagedIdentity(client_id="x"),
        {"ManagedIdentityIdType": "ClientId", "Id": "x"},
    ),
    (
        "CLIENT_CREDENTIAL",
        {"private_key": "p", "public_certificate": "c", "passphrase": None},
        {"private_key": "p", "public_certificate": "c", "passphrase": None},
    ),
    (
        "CLIENT_CREDENTIAL",
        {"private_key_pfx_path": "/x.pfx", "public_certificate": True},
        {"private_key_pfx_path": "/x.pfx", "public_certificate": True},
    ),
    ("AUTHORITY", AUTHORITY + "/", AUTHORITY),
    ("AUTHORITY", AUTHORITY + "/v2.0", AUTHORITY),
    ("AUTHORITY", AUTHORITY + "/v2.0/", AUTHORITY),
    ("AUTHORITY", AUTHORITY + "/V2.0//", AUTHORITY),
    ("AUTHORITY", AUTHORITY.replace(".com/", ".com//"), AUTHORITY),
    ("AUTHORITY", AUTHORITY.replace(".com/", ".com:443/"), AUTHORITY),
    ("AUTHORITY", "https://x.ciamlogin.com/v2.0", "https://x.ciamlogin.com"),
    ("AUTHORITY", "https://x.ciamlogin.com/", "https://x.ciamlogin.com"),
    ("AUTHORITY", "https://x.ciamlogin.com", "https://x.ciamlogin.com"),
    (
        "AUTHORITY",
        "https://x.b2clogin.com/x.onmicrosoft.com/B2C_1_in",
        "https://x.b2clogin.com/x.onmicrosoft.com/B2C_1_in",
    ),
    ("AUTHORITY", "https://localhost:8443/tenant", "https://localhost:8443/tenant"),
    (
        "AUTHORITY",
        "https://login.microsoftonline.com/consumers",
        "https://login.microsoftonline.com/consumers",
    ),
    ("API_ID_URI", "https://api.example/", "https://api.example"),
    ("API_ID_URI", "api://app-1", "api://app-1"),
    ("API_CLIENTS", "app-1, APP-2 app-2", ("app-1", "app-2")),
    ("SCOPES", ["User.Read", "Mail.Read"], ("User.Read", "Mail.Read")),
    ("SCOPES", "User.Read Mail.Read", ("User.Read", "Mail.Read")),
    ("SCOPES", "User.Read,Mail.Read, User.Read", ("User.Read", "Mail.Read")),
    ("SCOPES", '["User.Read", "Mail.Read"]', ("User.Read", "Mail.Read")),
    ("SCOPES", ("a b", "c"), ("a", "b", "c")),
    ("SCOPES", {"a"}, ("a",)),
    ("SCOPES", "openid profile User.Read offline_access", ("User.Read",)),
    ("SCOPES", "", ()),
    ("BASE_SCOPES", "openid email,profile", ("openid", "email", "profile")),
    ("BASE_SCOPES", ["openid"], ("openid",)),
    ("BASE_SCOPES", " ", None),
    ("CLIENT_CAPABILITIES", "", ()),
    ("CLIENT_CAPABILITIES", [], ()),
    ("CLIENT_CAPABILITIES", "CP1 CP2", ("CP1", "CP2")),
    ("REDIRECT_URI", "https://a.b/auth/callback", "https://a.b/auth/callback"),
    ("REDIRECT_URI", "http://localhost:5000/cb", "http://localhost:5000/cb"),
    ("REDIRECT_URI", "http://127.0.0.1/cb", "http://127.0.0.1/cb"),
    ("REDIRECT_URI", "http://[::1]:5000/cb", "http://[::1]:5000/cb"),
    ("RESET_PASSWORD_AUTHORITY", "https://b/t/p/", "https://b/t/p"),
    ("EDIT_PROFILE_AUTHORITY", "https://b/t/p", "https://b/t/p"),
    ("RESPONSE_MODE", "form_post", "form_post"),
    ("RESPONSE_MODE", " QUERY ", "query"),
    ("RESPONSE_MODE", "Auto", "auto"),
    ("PROMPT", "login", "login"),
    ("PROMPT", "select_account", "select_account"),
    ("PROMPT", "consent", "consent"),
    ("PROMPT", "create", "create"),
    ("DOMAIN_HINT", "contoso.com", "contoso.com"),
    ("AUTHORIZATION_PARAMETERS", '{"audience": "a b"}', {"audience": "a b"}),
    ("AUTHORIZATION_PARAMETERS", {"kc_idp_hint": "x"}, {"kc_idp_hint": "x"}),
    ("AUTHORIZATION_PARAMETERS", {}, {}),
    ("AUTHORIZATION_PARAMETERS", "", None),
    ("CLIENT_AUTH", "Basic", "basic"),
    ("CLIENT_AUTH", "post", "post"),
    ("ALLOWED_TENANTS", TENANT, (TENANT.lower(),)),
    ("ALLOWED_TENANTS", [TENANT, TENANT.lower()], (TENANT.lower(),)),
    ("ALLOWED_TENANTS", "*", ("*",)),
    ("ACRS", '{"payroll": "c1"}', {"payroll": "c1"}),
    ("ACRS", {"payroll": "c99", "mail": "c1"}, {"payroll": "c99", "mail": "c1"}),
    ("ACRS", {}, {}),
    ("PUBLIC_ENDPOINTS", "index shop.*, a.b.*", ("index", "shop.*", "a.b.*")),
    ("PUBLIC_ENDPOINTS", ["index"], ("index",)),
    *(("LOGOUT_URL", url, url) for url in LOGOUT_URLS),
    ("POST_LOGOUT", "/bye?a=b", "/bye?a=b"),
    ("POST_LOGOUT", "/", "/"),
    ("POST_LOGOUT", "https://a.b/bye", "https://a.b/bye"),
    ("POST_LOGOUT", "http://localhost:5000/", "http://localhost:5000/"),
    ("HTTP_TIMEOUT", "2.5", 2.5),
    ("HTTP_TIMEOUT", 3, 3.0),
    ("HTTP_TIMEOUT", 0.1, 0.1),
    ("HTTP_RETRIES", "0", 0),
    ("HTTP_RETRIES", 2.0, 2),
    ("HTTP_CLIENT", CLIENT, CLIENT),
    ("VERIFY", "false", False),
    ("VERIFY", 1, True),
    ("VERIFY", True, True),
    ("VERIFY", __file__, __file__),
    ("VERIFY", pathlib.Path(__file__).parent, str(pathlib.Path(__file__).parent)),
    ("INSTANCE_DISCOVERY", "no", False),
    ("INSTANCE_DISCOVERY", "ON", True),
    ("INSTANCE_DISCOVERY", 0, False),
    ("FLOW_LIFETIME", "600", 600),
    ("REAUTH_LIMIT", "1", 1),
    ("REAUTH_WINDOW", 1, 1),
    ("SESSION_MAX_AGE", "28800", 28_800),
    ("RECHECK", "600", 600),
    ("RECHECK", 0, 0),
    ("REPLAY_LIMIT", "1e6", 1_000_000),
    ("ENCRYPTION_KEYS", FERNET, (FERNET.decode(),)),
    ("ENCRYPTION_KEYS", [FERNET, FERNET_2], (FERNET.decode(), FERNET_2)),
    ("ENCRYPTION_KEYS", f"{FERNET.decode()},{FERNET_2}", (FERNET.decode(), FERNET_2)),
    ("URL_PREFIX", "/sign-in/v2", "/sign-in/v2"),
]

URLS = [
    "login.microsoftonline.com/t",
    "http://login.microsoftonline.com/t",
    "https:///t",
    "https://user:pass@host/t",
    "https://host:99999/t",
    "https://host:0/t",
    "https://[::1/t",
    "https://host/t#f",
    "https://host/<tenant>",
    "https://host/{tenant}",
    "https://host/a b",
    "https://host\\t/t",
    "https://host/\x00",
    5,
    ["https://host/t"],
]
NO_LOGOUT_URLS = [
    *("/logout", "http://a.b/", "javascript:alert(1)", "https://a.b/?to={back}"),
    *("https://{client_id}.b/", "https://a.b/#{return_url}", "https://a.b/{", 5),
]
PATHS = ["//evil.example/x", "/\\evil.example", "/a\nb"]

NUMBERS: tuple[t.Any, ...] = (0, -1, "0", "ten", True, "nan", "inf", "1e999", 10**400)
COUNTS: tuple[t.Any, ...] = (-1, "-1", 1.5, "many", False, "nan", "inf", {})
NO_DICTS: tuple[t.Any, ...] = (f"audience={SECRET}", [SECRET], 5, '["a"]')

# One row per refused form: (key, value, part of the remedy)
REFUSED: list[tuple[str, t.Any, str]] = [
    *(
        ("API_ID_URI", value, "be a URI")
        for value in ("app", "//x", "api://", "api://a b", 'api://a"', "api://a,b")
    ),
    ("API_CLIENTS", 5, "list of strings"),
    ("CLIENT_ID", True, "be a string"),
    ("CLIENT_ID", 1.5, "be a string"),
    ("CLIENT_ID", ["a"], "be a string"),
    ("CLIENT_ID", {"a": 1}, "be a string"),
    ("CLIENT_CREDENTIAL", True, "be a string"),
    ("CLIENT_CREDENTIAL", 1.5, "put '\"' around"),
    ("CLIENT_CREDENTIAL", [SECRET], "be a string"),
    ("CLIENT_CREDENTIAL", {}, "private_key with thumbprint"),
    ("CLIENT_CREDENTIAL", {"private_key": SECRET}, "private_key with thumbprint"),
    ("CLIENT_CREDENTIAL", {"thumbprint": SECRET}, "or client_assertion"),
    ("CLIENT_CREDENTIAL", {"client_assertion": ""}, "or client_assertion"),
    ("CLIENT_CREDENTIAL", {"ManagedIdentityIdType": "Typo"}, "managed identity"),
    ("CLIENT_CREDENTIAL", {"ManagedIdentityIdType": "ClientId"}, "managed identity"),
    ("CLIENT_CREDENTIAL", {SECRET: SECRET}, "private_key_pfx_path"),
    ("CLIENT_CREDENTIAL", '{"private_key": "' + SECRET, "be valid JSON"),
    ("CLIENT_CREDENTIAL", '["' + SECRET + '"]', "be a string"),
    ("CLIENT_CREDENTIAL", "[" * 100_000, "be valid JSON"),
    *(("AUTHORITY", value, "be") for value in URLS),
    ("AUTHORITY", "https://login.microsoftonline.com", "/<tenant ID>"),
    ("AUTHORITY", "https://login.microsoftonline.com/", "/<tenant ID>"),
    ("AUTHORITY", "https://login.microsoftonline.com/t?x=1", "/<tenant ID>"),
    ("AUTHORITY", f"{AUTHORITY}/oauth2/v2.0/authorize", "end before /oauth2"),
    ("AUTHORITY", f"{AUTHORITY}/oauth2", "end before /oauth2"),
    ("AUTHORITY", f"{AUTHORITY}/OAuth2/V2.0/token", "end before /oauth2"),
    ("AUTHORITY", "https://login.microsoftonline.com/v2.0", "/<tenant ID>"),
    ("AUTHORITY", f"{AUTHORITY}/v2.0/.well-known/openid-configuration", "end before"),
    *(("RESET_PASSWORD_AUTHORITY", value, "be") for value in URLS),
    *(("EDIT_PROFILE_AUTHORITY", value, "be") for value in URLS),
    *(("OIDC_AUTHORITY", value, "be") for value in URLS),
    (
        "OIDC_AUTHORITY",
        "https://host/t/.well-known/openid-configuration",
        "without /.well-known",
    ),
    ("OIDC_AUTHORITY", "https://host/?p=1", "query"),
    *(("SCOPES", value, "be a list of strings") for value in (5, [5], True, {"a": 1})),
    ("SCOPES", '["User.Read"', "be valid JSON"),
    ("CLIENT_CAPABILITIES", [b"a", None], "be a list of strings"),
    *(("REDIRECT_URI", value, "be") for value in URLS),
    ("REDIRECT_URI", "/auth/callback", "absolute"),
    ("REDIRECT_URI", "ftp://localhost/cb", "https URL"),
    ("REDIRECT_URI", "http://localhost.evil.example/cb", "http only for localhost"),
    ("REDIRECT_URI", "https://a.b/cb#", "without a fragment"),
    ("RESPONSE_MODE", "fragment", "auto, form_post, query"),
    ("RESPONSE_MODE", 1, "auto, form_post, query"),
    ("PROMPT", "none", "none is for hidden frames"),
    ("PROMPT", "login consent", "login, select_account, consent, create"),
    ("DOMAIN_HINT", 1.5, "be a string"),
    ("BASE_SCOPES", "profile OpenID", "hold openid"),
    ("BASE_SCOPES", [], "hold openid"),
    ("BASE_SCOPES", {"openid": 1}, "be a list of strings"),
    *(("AUTHORIZATION_PARAMETERS", value, "be a dict") for value in NO_DICTS),
    ("AUTHORIZATION_PARAMETERS", '{"audience": "' + SECRET, "be valid JSON"),
    ("AUTHORIZATION_PARAMETERS", {SECRET: 5}, "strings as names and values"),
    ("AUTHORIZATION_PARAMETERS", {"audience": SECRET, "Prompt": ""}, "set MSAL_PROMPT"),
    ("CLIENT_AUTH", "private_key_jwt", "auto, basic, post"),
    ("ALLOWED_TENANTS", "contoso.onmicrosoft.com", "GUIDs"),
    ("ALLOWED_TENANTS", [TENANT, "contoso.com"], "look the ID up"),
    ("ALLOWED_TENANTS", TENANT + "0", "'*' for all"),
    ("ALLOWED_TENANTS", 5, "be a list of strings"),
    *(
        ("ACRS", value, "be a dict")
        for value in ("c1", ["c1"], 5, {"a": 1}, {"": "c1"})
    ),
    ("ACRS", '{"payroll": "c1"', "be valid JSON"),
    *(
        ("PUBLIC_ENDPOINTS", v, "nothing opens the whole")
        for v in ("*", ".*", "s*", "*.a")
    ),
    ("PUBLIC_ENDPOINTS", {"index": True}, "be a list of strings"),
    *(("POST_LOGOUT", value, "path on this site") for value in PATHS),
    ("POST_LOGOUT", "http://a.b/", "http only for localhost"),
    *(("LOGOUT_URL", url, "alone stand for values") for url in NO_LOGOUT_URLS),
    *(
        ("LOGOUT_URL", f"https://a.b/?{name}=x", "differ from user to user")
        for name in ("id_token_hint", "a&logout_hint")
    ),
    ("POST_LOGOUT", "bye", "absolute"),
    *(
        (key, value, "above 0")
        for key in ("HTTP_TIMEOUT", "FLOW_LIFETIME", "REAUTH_WINDOW", "SESSION_MAX_AGE")
        for value in NUMBERS
    ),
    ("HTTP_TIMEOUT", [5], "above 0"),
    ("FLOW_LIFETIME", 0.5, "whole number"),
    *(
        (key, value, "whole number, 0 or more")
        for key in ("HTTP_RETRIES", "REPLAY_LIMIT", "RECHECK")
        for value in COUNTS
    ),
    *(("REAUTH_LIMIT", value, "whole number, 1 or more") for value in (*COUNTS, 0)),
    ("HTTP_CLIENT", types.SimpleNamespace(), "get() and post()"),
    ("HTTP_CLIENT", types.SimpleNamespace(get=len), "get() and post()"),
    ("HTTP_CLIENT", types.SimpleNamespace(post=len), "get() and post()"),
    ("HTTP_CLIENT", "requests", "get() and post()"),
    ("HTTP_CLIENT", {"get": 1, "post": 2}, "get() and post()"),
    ("VERIFY", "/no/such/bundle.pem", "that exists"),
    ("VERIFY", b"/etc", "path of a CA bundle"),
    ("VERIFY", 5, "path of a CA bundle"),
    ("VERIFY", ["/etc"], "path of a CA bundle"),
    ("INSTANCE_DISCOVERY", "maybe", "true, false"),
    ("INSTANCE_DISCOVERY", 2, "true, false"),
    ("INSTANCE_DISCOVERY", [], "true, false"),
    ("ENCRYPTION_KEYS", SECRET, "generate_key"),
    ("ENCRYPTION_KEYS", [FERNET, "é"], "generate_key"),
    ("ENCRYPTION_KEYS", 5, "be a list of strings"),
    ("ENCRYPTION_KEYS", b"\xff", "generate_key"),
    *(
        ("URL_PREFIX", value, "starts with one /")
        for value in ("auth", "/", "/auth/", "//auth", "/a b", "/a?b", "/é", "/<x>")
    ),
]


class TestFromMapping:
    def test_defaults(self) -> None:
        """With only what is required, everything else has its documented default."""
        settings = read()
        assert dataclasses.asdict(settings) == {
            "client_id": "app",
            "client_credential": SECRET,
            "authority": AUTHORITY,
            "oidc_authority": None,
            "scopes": (),
            "base_scopes": None,
            "client_capabilities": ("CP1",),
            "redirect_uri": None,
            "reset_password_authority": None,
            "edit_profile_authority": None,
            "response_mode": "auto",
            "acrs": None,
            "public_endpoints": (),
            "prompt": None,
            "domain_hint": None,
            "api_clients": (),
            "api_id_uri": None,
            "authorization_parameters": None,
            "client_auth": "auto",
            "allowed_tenants": (),
            "post_logout": None,
            "logout_url": None,
            "http_timeout": 10.0,
            "http_retries": 1,
            "http_client": None,
            "verify": True,
            "instance_discovery": None,
            "flow_lifetime": 3600,
            "session_max_age": None,
            "recheck": 3600,
            "reauth_limit": 3,
            "reauth_window": 300,
            "replay_limit": 1_048_576,
            "encryption_keys": (),
            "url_prefix": "/auth",
        }

    def test_for_an_api(self) -> None:
        """An API needs no credential; the scopes' URI is that of the client id."""
        config = {"MSAL_CLIENT_ID": "app", "MSAL_AUTHORITY": AUTHORITY}
        settings = Settings.from_mapping(config, for_api=True)
        assert settings.client_credential is None
        assert settings.id_uri == "api://app"
        with pytest.raises(ConfigurationError, match="MSAL_CLIENT_CREDENTIAL"):
            Settings.from_mapping(config)

    @pytest.mark.parametrize(
        ("name", "value", "expected"),
        ACCEPTED,
        ids=[f"{name}-{value!r}"[:50] for name, value, _ in ACCEPTED],
    )
    def test_accepts(self, name: str, value: t.Any, expected: t.Any) -> None:
        """Python values and environment texts become one type."""
        found = getattr(read(**{f"MSAL_{name}": value}), name.lower())
        assert found == expected
        assert type(found) is type(expected)

    @pytest.mark.parametrize(
        ("name", "value", "remedy"),
        REFUSED,
        ids=[f"{n}-{ascii(v)[:30] if v != 10**400 else 'huge'}" for n, v, _ in REFUSED],
    )
    def test_refuses(self, name: str, value: t.Any, remedy: str) -> None:
        """A bad value's error names key and remedy, and never the value."""
        text = refusal(**{f"MSAL_{name}": value})
        assert text.startswith(f"MSAL_{name} is ")
        assert remedy in text
        assert SECRET not in text

    @pytest.mark.parametrize(
        ("value", "kind"),
        [
            (True, "a boolean"),
            (5, "a whole number"),
            (1.5, "a number"),
            ("maybe", "a string"),
            ([], "of type list"),
            (Client(), "of type Client"),
        ],
    )
    def test_says_the_kind(self, value: object, kind: str) -> None:
        """The error says what kind of value was found."""
        text = refusal(MSAL_RESPONSE_MODE=value)
        assert text.startswith(f"MSAL_RESPONSE_MODE is {kind}, but it must be one of ")

    @pytest.mark.parametrize("value", [None, "", "  "])
    def test_empty_is_not_set(self, value: str | None) -> None:
        """An empty environment variable means the default, not an error."""
        optional = [key for key in FIELDS if key not in BASE]
        lists = [key for key in optional if isinstance(FIELDS[key].default, tuple)]
        plain = [key for key in optional if key not in lists]
        assert read(**dict.fromkeys(plain, value)) == read()
        assert read(**dict.fromkeys(lists)) == read()

    @pytest.mark.parametrize("key", ["MSAL_CLIENT_ID", "MSAL_CLIENT_CREDENTIAL"])
    @pytest.mark.parametrize("value", [None, ""])
    def test_required(self, key: str, value: object) -> None:
        """A missing required key is named, with what it is for."""
        text = refusal(**{key: value})
        assert text.startswith(f"{key} is not set, but it must be. ")
        assert text.endswith(FIELDS[key].metadata["doc"])

    @pytest.mark.parametrize(
        ("name", "told"),
        [
            ("FLASK_MSAL_CLIENT_ID", "reads it, before init_app."),
            ("MSAL_CLIENT_ID", "reads FLASK_MSAL_CLIENT_ID only."),
        ],
    )
    def test_in_the_environment(
        self, monkeypatch: pytest.MonkeyPatch, name: str, told: str
    ) -> None:
        """The error says where the environment has the key that the app did not get."""
        monkeypatch.setenv(name, SECRET)
        text = refusal(MSAL_CLIENT_ID=None)
        assert f"The environment has {name}: " in text
        assert text.endswith(told)
        assert SECRET not in text
        monkeypatch.setenv(name, "")
        assert "environment" not in refusal(MSAL_CLIENT_ID=None)

    def test_empty_mapping(self) -> None:
        """An app without any configuration learns which key comes first."""
        with pytest.raises(ConfigurationError, match="^MSAL_CLIENT_ID is not set"):
            Settings.from_mapping({})

    @pytest.mark.parametrize(
        ("key", "near"),
        [
            ("MSAL_CLIENT_SECRET", "MSAL_CLIENT_CREDENTIAL"),
            ("MSAL_AUTHORTY", "MSAL_AUTHORITY"),
            ("MSAL_SCOPE", "MSAL_SCOPES"),
            ("MSAL_REDIRECT_URL", "MSAL_REDIRECT_URI"),
            ("MSAL_ENCRYPTION_KEY", "MSAL_ENCRYPTION_KEYS"),
        ],
    )
    def test_unknown_key(self, key: str, near: str) -> None:
        """A misspelt key is found and the right one offered, without its value."""
        text = refusal(**{key: SECRET})
        assert text.startswith(f"{key} is no key")
        assert f"did you mean {near}?" in text
        assert SECRET not in text

    def test_unknown_key_like_no_other(self) -> None:
        """All keys are listed if none is near."""
        text = refusal(MSAL_QQQQ=1)
        assert all(key in text for key in FIELDS)

    def test_other_keys_are_ignored(self) -> None:
        """Keys of Flask and of others are not ours to judge."""
        assert read(SECRET_KEY="x", SESSION_TYPE="redis", MSALX_Y=1) == read()

    @pytest.mark.parametrize("key", FIELDS)
    @given(
        value=st.none()
        | st.booleans()
        | st.integers()
        | st.floats()
        | st.text()
        | st.binary()
        | st.lists(st.text() | st.integers() | st.binary())
        | st.dictionaries(st.text(), st.text())
    )
    def test_any_value(self, key: str, value: object) -> None:
        """Any value of a key yields settings or a ConfigurationError."""
        try:
            read(**{key: value})
        except ConfigurationError as error:
            assert key in str(error)

    def test_flask_environment(self, monkeypatch: pytest.MonkeyPatch) -> None:
        """Values that Flask's from_prefixed_env decoded are understood: digits."""
        environment = {
            "CLIENT_ID": "00000000",
            "CLIENT_CREDENTIAL": "12345",
            "AUTHORITY": AUTHORITY,
            "SCOPES": '["User.Read"]',
            "VERIFY": "false",
            "PROMPT": "null",
            "HTTP_TIMEOUT": "3",
            "ALLOWED_TENANTS": TENANT,
        }
        for name, value in environment.items():
            monkeypatch.setenv(f"FLASK_MSAL_{name}", value)
        app = Flask(__name__)
        app.config.from_prefixed_env()
        settings = Settings.from_mapping(app.config)
        assert settings.client_id == "00000000"
        assert settings.client_credential == "12345"
        assert settings.scopes == ("User.Read",)
        assert settings.verify is False
        assert settings.prompt is None
        assert settings.http_timeout == 3.0
        assert settings.allowed_tenants == (TENANT.lower(),)

    def test_environment_secret_that_is_lossy(self) -> None:
        """A secret that JSON decoding changed is refused, with the way to write it."""
        text = refusal(MSAL_CLIENT_CREDENTIAL=1e5)
        assert "put '\"' around" in text
        assert "100000" not in text

    def test_credential_is_a_copy(self) -> None:
        """Changing the dict later does not change frozen settings."""
        credential = dict(PEM)
        settings = read(MSAL_CLIENT_CREDENTIAL=credential)
        credential.clear()
        assert settings.client_credential == PEM


OIDC = {"MSAL_AUTHORITY": None, "MSAL_OIDC_AUTHORITY": "https://idp.example/"}
HOST = "https://login.microsoftonline.com"
#: A host that begins with a name that paths have, too.
COMMON = "https://common.login.windows.net"


class TestTogether:
    @pytest.mark.parametrize(
        ("config", "found"),
        [
            ({"MSAL_AUTHORITY": None}, "neither is"),
            ({"MSAL_OIDC_AUTHORITY": "https://idp.example"}, "both are"),
        ],
    )
    def test_one_authority(self, config: dict[str, t.Any], found: str) -> None:
        """There is exactly one authority."""
        text = refusal(**config)
        assert f"MSAL_AUTHORITY and MSAL_OIDC_AUTHORITY {found} set" in text
        assert "set exactly one" in text

    def test_oidc_authority(self) -> None:
        """Another provider is not told of CP1 unless the app says so.

        Its name stays as it is written: an issuer may end with a slash.
        """
        settings = read(**OIDC)
        assert settings.oidc_authority == "https://idp.example/"
        assert settings.client_capabilities == ()
        said = read(**OIDC, MSAL_CLIENT_CAPABILITIES="CP1")
        assert said.client_capabilities == ("CP1",)

    @pytest.mark.parametrize("tenant", ["common", "organizations", "Common/v2.0"])
    @pytest.mark.parametrize("key", ["MSAL_AUTHORITY", "MSAL_OIDC_AUTHORITY"])
    def test_every_tenant(self, key: str, tenant: str) -> None:
        """An authority for all tenants needs a list of tenants, or * on purpose."""
        config = {"MSAL_AUTHORITY": None, key: f"{HOST}/{tenant}"}
        text = refusal(**config)
        assert "MSAL_ALLOWED_TENANTS is not set" in text
        assert "set it to * to allow all" in text
        assert "MSAL_ALLOWED_TENANTS" in refusal(**config, MSAL_ALLOWED_TENANTS=[])
        for tenants in ("*", TENANT):
            assert read(**config, MSAL_ALLOWED_TENANTS=tenants).allowed_tenants

    @pytest.mark.parametrize(
        "authority",
        [
            f"{HOST}/consumers",
            f"{HOST}/contoso.com/common",
            "https://common.ciamlogin.com",
        ],
    )
    def test_one_tenant(self, authority: str) -> None:
        """A single tenant, also that of personal accounts, needs no list."""
        settings = read(MSAL_AUTHORITY=authority)
        assert settings.allowed_tenants == () and not settings.is_multi_tenant
        assert settings.of_tenant(TENANT) is settings

    @pytest.mark.parametrize("name", ["common", "organizations", "consumers"])
    @pytest.mark.parametrize(
        "host", ["id.example", "login.microsoftonline.com.example", "localhost:8443"]
    )
    def test_another_provider(self, host: str, name: str) -> None:
        """Paths of another provider say nothing of tenants, those of Entra anywhere do.

        A private cloud of Entra has a host of its own.
        """
        issuer = f"https://{host}/{name}/"
        settings = read(MSAL_AUTHORITY=None, MSAL_OIDC_AUTHORITY=issuer)
        assert settings.allowed_tenants == () and not settings.is_multi_tenant
        assert settings.of_tenant(TENANT) is settings
        if name != "consumers":
            assert "MSAL_ALLOWED_TENANTS is not set" in refusal(MSAL_AUTHORITY=issuer)

    @pytest.mark.parametrize(
        "host",
        ["sts.windows.net", "LOGIN.microsoftonline.us", "eu.login.microsoft.com"],
    )
    def test_hosts_of_microsoft(self, host: str) -> None:
        """At a host of any of Microsoft's clouds the path says it, by either key."""
        for key in ("MSAL_AUTHORITY", "MSAL_OIDC_AUTHORITY"):
            place = {"MSAL_AUTHORITY": None, key: f"https://{host}:443/common"}
            assert "MSAL_ALLOWED_TENANTS is not set" in refusal(**place)

    @pytest.mark.parametrize(
        ("authority", "own"),
        [
            (f"{COMMON}/common", f"{COMMON}/{{}}"),
            (f"{HOST}/Organizations/", f"{HOST}/{{}}"),
            (f"{HOST}/organizations/v2.0", f"{HOST}/{{}}/v2.0"),
        ],
    )
    @pytest.mark.parametrize("key", ["MSAL_AUTHORITY", "MSAL_OIDC_AUTHORITY"])
    def test_of_tenant(self, key: str, authority: str, own: str) -> None:
        """A tenant has an authority of its own, and all else is the same."""
        config = {"MSAL_AUTHORITY": None, key: authority, "MSAL_ALLOWED_TENANTS": "*"}
        settings = read(**config)
        found = settings.of_tenant(TENANT)
        place = found.authority or found.oidc_authority or ""
        if key == "MSAL_AUTHORITY":
            own = own.removesuffix("/v2.0")
        assert place.rstrip("/") == own.format(TENANT)
        assert found.client_id == settings.client_id and not found.is_multi_tenant


class TestSettings:
    def test_repr_hides_secrets(self) -> None:
        """Neither credential nor encryption keys show in repr or str."""
        for credential in (SECRET, {"client_assertion": SECRET}, PEM):
            settings = read(
                MSAL_CLIENT_CREDENTIAL=credential, MSAL_ENCRYPTION_KEYS=FERNET
            )
            for text in (repr(settings), str(settings), f"{[settings]}"):
                assert SECRET not in text
                assert FERNET.decode() not in text
                assert "client_id='app'" in text

    def test_frozen(self) -> None:
        """Settings do not change after they were read."""
        with pytest.raises(dataclasses.FrozenInstanceError):
            read().client_id = "other"  # type: ignore[misc]

    def test_direct_construction_is_checked(self) -> None:
        """Settings that contradict each other cannot be made in code either."""
        with pytest.raises(ConfigurationError, match="neither is set"):
            Settings(client_id="a", client_credential="b")

    @pytest.mark.parametrize("key", FIELDS)
    def test_every_key_has_a_doc(self, key: str) -> None:
        """A reference of the configuration can be made from the fields."""
        doc = FIELDS[key].metadata["doc"]
        assert doc.endswith(".") and "\n" not in doc
        assert len(doc) < 160

    @pytest.mark.parametrize("key", FIELDS)
    def test_every_key_is_tested(self, key: str) -> None:
        """A key that is added comes with rows for what it takes and refuses."""
        name = key.removeprefix("MSAL_")
        tables: tuple[cabc.Iterable[t.Any], ...] = (ACCEPTED, REFUSED)
        for table in tables:
            assert name == "OIDC_AUTHORITY" or any(row[0] == name for row in table)
