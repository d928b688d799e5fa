"""Checks of an app's settings: redirect URI, cookies, credential."""

from __future__ import annotations

import datetime
import typing as t
from datetime import timedelta
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.hazmat.primitives.serialization import pkcs12
from cryptography.x509.oid import NameOID
from flask import Blueprint
from flask import Flask
from werkzeug.exceptions import NotFound
from werkzeug.middleware.dispatcher import DispatcherMiddleware
from werkzeug.middleware.proxy_fix import ProxyFix

from flask_msal_errors import MsalAuth
from flask_msal_errors.diagnostics import checks
from flask_msal_errors.diagnostics.checks import FIX
from flask_msal_errors.diagnostics.checks import OK
from flask_msal_errors.diagnostics.checks import WARNING
from flask_msal_errors.settings import Settings

KEY = rsa.generate_private_key(65537, 2048)
#: Cookies as they should be.
GOOD = {
    "SECRET_KEY": "k" * 32,
    "SESSION_COOKIE_SECURE": True,
    "SESSION_COOKIE_SAMESITE": "Lax",
}


def settings(**changes: t.Any) -> Settings:
    return Settings.from_mapping(
        {
            "MSAL_CLIENT_ID": "app",
            "MSAL_CLIENT_CREDENTIAL": "a-client-secret",
            "MSAL_AUTHORITY": "https://login.microsoftonline.com/contoso.example",
            **changes,
        }
    )


def app(**config: t.Any) -> Flask:
    made = Flask("checked")
    made.config.update({**GOOD, **config})
    return made


def certificate(start: float = -1, end: float = 90, key: t.Any = KEY) -> t.Any:
    """A certificate that is good between two days from now."""
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "app")])
    now = datetime.datetime.now(datetime.timezone.utc)
    return (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(1)
        .not_valid_before(now + timedelta(days=start))
        .not_valid_after(now + timedelta(days=end))
        .sign(key, hashes.SHA256())
    )


def credential(found: t.Any = None, **more: t.Any) -> dict[str, t.Any]:
    """MSAL's dict of a certificate."""
    pem = KEY.private_bytes(
        serialization.Encoding.PEM,
        serialization.PrivateFormat.PKCS8,
        serialization.NoEncryption(),
    ).decode()
    if found is not None:
        public = found.public_bytes(serialization.Encoding.PEM).decode()
        more["public_certificate"] = public
    return {"private_key": pem, **more}


def levels(results: t.Iterable[checks.Result]) -> list[str]:
    return [result.level for result in results]


class TestPublicEndpoints:
    def test_rules(self) -> None:
        """Endpoints that the app does not have are named, with the likely ones."""
        shop_app, shop = Flask("app"), Blueprint("shop", __name__)
        shop_app.add_url_rule("/", "index", str)
        shop.add_url_rule("/shop", "list", str)
        shop_app.register_blueprint(shop)
        listed = "index shop.list shop.* indx store.* shop.lost static"
        wanted = settings(MSAL_PUBLIC_ENDPOINTS=listed)
        found = [*checks.public_endpoints(shop_app, wanted)]
        assert [r.text.split()[2] for r in found] == ["indx,", "store.*,", "shop.lost,"]
        assert {r.level for r in found} == {checks.FIX}
        assert "Did you mean index?" in found[0].text


class TestTenants:
    A, B = "0a1b2c3d-89ab-cdef-0123-456789abcdef", f"{0:08}-0000-0000-0000-{1:012}"
    MSA = "9188040d-6c67-4c5b-b112-36a304b66dad"
    WORLD = "https://login.microsoftonline.com"

    @pytest.mark.parametrize(
        ("authority", "allowed", "level"),
        [
            (f"{WORLD}/{A}", f"{B}", [FIX]),
            (f"{WORLD}/{A.upper()}/", f"{B}", [FIX]),
            (f"{WORLD}/consumers", f"{A} {B}", [FIX]),
            (f"{WORLD}/consumers", f"{A} {MSA}", []),
            (f"{WORLD}/{A}", f"{B} {A.upper()}", []),
            (f"{WORLD}/{A}", f"* {B}", []),
            (f"{WORLD}/{A}", "", []),
            (f"{WORLD}/contoso.com", f"{B}", []),
            (f"{WORLD}/organizations", f"{B}", []),
            ("https://contoso.ciamlogin.com", f"{B}", []),
        ],
    )
    def test(self, authority: str, allowed: str, level: list[str]) -> None:
        """A list without the authority's own tenant lets nobody in, which is told."""
        own = settings(MSAL_AUTHORITY=authority, MSAL_ALLOWED_TENANTS=allowed)
        found = list(checks.tenants(own))
        assert levels(found) == level
        assert not level or "MSAL_ALLOWED_TENANTS leaves out" in found[0].text

    def test_other_key(self) -> None:
        """External ID at a domain of its own has the tenant in the other key."""
        place = f"https://login.example.com/{self.A}/v2.0"
        own = settings(
            MSAL_AUTHORITY=None, MSAL_OIDC_AUTHORITY=place, MSAL_ALLOWED_TENANTS=self.B
        )
        (found,) = checks.tenants(own)
        assert found.text.startswith("MSAL_OIDC_AUTHORITY is of the tenant")


class TestScopes:
    GRAPH = "https://graph.microsoft.com"
    CHINA = "https://microsoftgraph.chinacloudapi.cn"

    @pytest.mark.parametrize(
        ("scope", "written"),
        [
            ("user.read", "User.Read"),
            (f"{GRAPH}/files.readwrite.all", "Files.ReadWrite.All"),
            (f"{GRAPH}//.default", f"{GRAPH}/.default"),
            ("https://vault.azure.net//.default", "https://vault.azure.net/.default"),
            (f"{CHINA}//mail.read", f"{CHINA}/Mail.Read"),
            (f"{CHINA}/Mail.Read", None),
            ("https://graph.microsoft.us/User.Read", None),
            ("https://dod-graph.microsoft.us/.default", None),
            ("api://a//Read", "api://a/Read"),
            ("User.Read", None),
            ("Some.Thing", None),
            ("email", None),
            ("api://a/Read", None),
            ("api://a/.default", None),
        ],
    )
    def test(self, scope: str, written: str | None) -> None:
        """A scope that Entra writes in another way is named, with its spelling."""
        found = list(checks.scopes(settings(MSAL_SCOPES=[scope])))
        assert levels(found) == ([WARNING] if written else [])
        assert not written or f"registered as {written}." in found[0].text

    def test_other_provider(self) -> None:
        """Other providers compare scopes letter by letter (RFC 6749 §3.3)."""
        made = settings(
            MSAL_SCOPES=["user.read"],
            MSAL_AUTHORITY=None,
            MSAL_OIDC_AUTHORITY="https://a.example/",
        )
        assert not list(checks.scopes(made))


class TestRedirectUri:
    @pytest.mark.parametrize(
        ("uri", "prefix", "level", "words"),
        [
            (None, "/auth", WARNING, "https://<host>/auth/callback"),
            (None, "/sso", WARNING, "https://<host>/sso/callback"),
            ("https://a.example/auth/callback", "/auth", OK, "Exactly https://a."),
            ("https://a.example/app/auth/callback", "/auth", OK, "/app/auth/callback"),
            ("http://localhost:5000/auth/callback", "/auth", OK, "http://localhost:"),
            ("https://a.example/auth/callback", "/sso", FIX, "is at /sso/callback"),
            ("https://a.example/auth/callback/", "/auth", FIX, "nobody would come"),
            ("https://a.example/getAToken", "/auth", FIX, "MSAL_URL_PREFIX"),
        ],
    )
    def test(self, uri: str | None, prefix: str, level: str, words: str) -> None:
        """It must lead to the callback, and be registered exactly like that."""
        made = settings(MSAL_REDIRECT_URI=uri, MSAL_URL_PREFIX=prefix)
        found = checks.redirect_uri(app(), made)
        assert (found.level, words in found.text) == (level, True), found

    def test_mounted(self) -> None:
        """The path that the app is mounted at belongs to what is registered."""
        found = checks.redirect_uri(app(APPLICATION_ROOT="/shop"), settings())
        assert "https://<host>/shop/auth/callback" in found.text

    @pytest.mark.parametrize(
        ("uri", "level", "words"),
        [
            ("https://a.example/shop/auth/callback", OK, "Exactly https://a."),
            ("https://a.example/x/shop/auth/callback", OK, "Exactly https://a."),
            ("https://a.example/auth/callback", WARNING, "at /shop/auth/callback"),
            ("https://a.example/shop/callback", FIX, "is at /shop/auth/callback"),
        ],
    )
    def test_mounted_with_uri(self, uri: str, level: str, words: str) -> None:
        """A redirect URI that is set has the path of the app, too."""
        made = settings(MSAL_REDIRECT_URI=uri)
        found = checks.redirect_uri(app(APPLICATION_ROOT="/shop"), made)
        assert (found.level, words in found.text) == (level, True), found


def behind(wrap: t.Callable[[t.Any], t.Any], **config: t.Any) -> Flask:
    """An app in a middleware."""
    made = app(**config)
    made.wsgi_app = wrap(made.wsgi_app)  # type: ignore[method-assign]
    return made


class Below:
    """A middleware as people write it: the app is below a path, and nothing else is."""

    def __init__(self, inner: t.Any, prefix: str) -> None:
        self.inner, self.prefix = inner, prefix

    def __call__(self, environ: dict[str, t.Any], start_response: t.Any) -> t.Any:
        path = environ["PATH_INFO"]
        if not path.startswith(self.prefix):
            return NotFound()(environ, start_response)
        environ["SCRIPT_NAME"] = self.prefix
        environ["PATH_INFO"] = path.removeprefix(self.prefix)
        return self.inner(environ, start_response)


def renamed(inner: t.Any, scheme: str) -> t.Any:
    """A middleware that is a function, for a proxy that says nothing."""

    def middleware(environ: dict[str, t.Any], start_response: t.Any) -> t.Any:
        return inner({**environ, "wsgi.url_scheme": scheme}, start_response)

    return middleware


def broken(environ: t.Any, start_response: t.Any) -> t.Any:
    raise KeyError("of a middleware")


#: Middlewares, the level, and the address to register.
MIDDLEWARES: dict[str, tuple[t.Callable[[t.Any], t.Any], str, str]] = {
    "none": (lambda inner: inner, WARNING, ""),
    "proto": (lambda inner: ProxyFix(inner, x_host=1), OK, ""),
    "two": (lambda inner: ProxyFix(inner, x_for=2, x_proto=2, x_host=2), OK, ""),
    "inside": (lambda inner: renamed(ProxyFix(inner), "http"), OK, ""),
    "no-proto": (lambda inner: ProxyFix(inner, x_proto=0, x_host=1), WARNING, ""),
    "own": (lambda inner: renamed(inner, "https"), OK, ""),
    "prefix": (lambda inner: ProxyFix(inner, x_prefix=1), OK, "<prefix>"),
    "below": (lambda inner: Below(inner, "/portal"), WARNING, "/portal"),
    "below-proxy": (lambda inner: ProxyFix(Below(inner, "/portal")), OK, "/portal"),
    "mounted": (
        lambda inner: DispatcherMiddleware(NotFound(), {"/portal": inner}),
        WARNING,
        "/portal",
    ),
    "mounted-proxy": (
        lambda inner: DispatcherMiddleware(
            NotFound(), {"/other": NotFound(), "/a/b": ProxyFix(inner)}
        ),
        OK,
        "/a/b",
    ),
    "prefix-mounted": (
        lambda inner: ProxyFix(
            DispatcherMiddleware(NotFound(), {"/portal": inner}), x_prefix=1
        ),
        OK,
        "<prefix>/portal",
    ),
    "broken": (lambda _: broken, WARNING, ""),
}


class TestMiddlewares:
    """Requests are seen as they reach the app, through all that it is wrapped in."""

    @pytest.mark.parametrize(
        ("wrap", "level", "prefix"), MIDDLEWARES.values(), ids=MIDDLEWARES
    )
    def test_seen(
        self, wrap: t.Callable[[t.Any], t.Any], level: str, prefix: str
    ) -> None:
        """ProxyFix is asked for only where nobody does its work."""
        found = checks.redirect_uri(behind(wrap), settings())
        assert found.level == level, found
        assert ("ProxyFix" in found.text) is (level == WARNING)
        assert f" https://<host>{prefix}/auth/callback" in found.text

    def test_prefix_of_a_proxy(self) -> None:
        """A prefix that a proxy sends is known if the app is told it, too."""
        made = behind(lambda i: ProxyFix(i, x_prefix=1), APPLICATION_ROOT="/shop")
        text = checks.redirect_uri(made, settings()).text
        assert " https://<host>/shop/auth/callback" in text

    def test_server(self, monkeypatch: pytest.MonkeyPatch) -> None:
        """A prefix that gunicorn is told stands in the environment."""
        monkeypatch.setenv("SCRIPT_NAME", "/shop/")
        text = checks.redirect_uri(app(), settings()).text
        assert " https://<host>/shop/auth/callback" in text

    def test_uri_of_a_mounted_app(self) -> None:
        """A redirect URI that leaves the mount out is warned of."""
        made = behind(lambda inner: Below(inner, "/portal"))
        uri = "https://a.example/auth/callback"
        found = checks.redirect_uri(made, settings(MSAL_REDIRECT_URI=uri))
        assert (found.level, "mounted at /portal" in found.text) == (WARNING, True)

    def test_nothing_of_the_app_runs(self) -> None:
        """Neither hooks nor views see the request, and the app is as before."""
        made = behind(ProxyFix)
        ran: list[str] = []
        made.before_request(lambda: ran.append("hook"))
        made.add_url_rule("/auth/callback", view_func=lambda: "view")
        checks.redirect_uri(made, settings())
        assert ran == []
        assert made.test_client().get("/auth/callback").text == "view"
        assert ran == ["hook"]


class TestOrigins:
    @pytest.mark.parametrize(
        ("config", "uri", "found"),
        [
            ({}, "https://a.example/auth/callback", []),
            ({"SERVER_NAME": "a.example"}, None, []),
            ({"SERVER_NAME": "a.example"}, "https://a.example/auth/callback", []),
            ({"SERVER_NAME": "a.example:443"}, "https://a.example/auth/callback", []),
            ({"SERVER_NAME": "A.Example"}, "https://a.example/auth/callback", []),
            (
                {"SERVER_NAME": "localhost:5000"},
                "http://localhost:5000/auth/callback",
                [],
            ),
            (
                {"SERVER_NAME": "www.a.example"},
                "https://a.example/auth/callback",
                [WARNING],
            ),
            (
                {"SERVER_NAME": "127.0.0.1:5000"},
                "http://localhost:5000/auth/callback",
                [WARNING],
            ),
            ({"TRUSTED_HOSTS": ["a.example"]}, "https://a.example/auth/callback", []),
            ({"TRUSTED_HOSTS": [".example"]}, "https://a.example/auth/callback", []),
            (
                {"TRUSTED_HOSTS": ["b.example"], "SERVER_NAME": "b.example"},
                "https://a.example/auth/callback",
                [FIX, WARNING],
            ),
        ],
    )
    def test(self, config: dict[str, t.Any], uri: str | None, found: list[str]) -> None:
        """A sign-in comes back to where it began; the line has both addresses."""
        made = settings(MSAL_REDIRECT_URI=uri)
        results = list(checks.origins(app(**config), made))
        assert levels(results) == found
        for result in results:
            host = (uri or "").split("/")[2]
            assert host in result.text
            warned = result.level == WARNING
            assert (str(config.get("SERVER_NAME")) in result.text) is warned

    @pytest.mark.parametrize(
        ("wrap", "uri", "warned"),
        [
            (lambda inner: inner, "https://a.example/auth/callback", False),
            (lambda inner: inner, "https://a.example/portal/auth/callback", True),
            (ProxyFix, "https://a.example/portal/auth/callback", True),
            (
                lambda inner: ProxyFix(inner, x_prefix=1),
                "https://a.example/portal/auth/callback",
                False,
            ),
            (
                lambda inner: Below(inner, "/portal"),
                "https://a.example/portal/auth/callback",
                False,
            ),
        ],
    )
    def test_path(
        self, wrap: t.Callable[[t.Any], t.Any], uri: str, warned: bool
    ) -> None:
        """A path of the redirect URI's that nobody tells the app is warned of."""
        results = list(checks.origins(behind(wrap), settings(MSAL_REDIRECT_URI=uri)))
        assert levels(results) == [WARNING] * warned
        for result in results:
            assert uri in result.text and "callback at /auth/callback" in result.text

    def test_hosts(self) -> None:
        """Pages of other hosts or subdomains are named."""
        uri = "https://a.example/auth/callback"
        made = Flask("hosts", host_matching=True, static_host="a.example")
        for host in ("a.example", "b.example"):
            made.add_url_rule("/", host, host=host)
        (found,) = checks.origins(made, settings(MSAL_REDIRECT_URI=uri))
        assert found.level == WARNING
        assert "at b.example, but" in found.text and "to a.example." in found.text
        made = Flask("subdomains", subdomain_matching=True)
        made.config["SERVER_NAME"] = "a.example"
        made.add_url_rule("/", "x", subdomain="<name>")
        (found,) = checks.origins(made, settings(MSAL_REDIRECT_URI=uri))
        assert "at <name>.a.example, but" in found.text
        assert not list(checks.origins(made, settings()))

    def test_registered_host(self) -> None:
        """Without a redirect URI, SERVER_NAME is the host to register."""
        text = checks.redirect_uri(app(SERVER_NAME="a.example"), settings()).text
        assert " https://a.example/auth/callback" in text

    def test_at_the_start(
        self, tmp_path: Path, caplog: pytest.LogCaptureFixture
    ) -> None:
        """The log has both addresses as soon as the app starts."""
        made = Flask("start", instance_path=str(tmp_path))
        made.config.update(
            GOOD,
            SERVER_NAME="www.a.example",
            MSAL_CLIENT_ID="app",
            MSAL_CLIENT_CREDENTIAL="secret",
            MSAL_AUTHORITY="https://login.microsoftonline.com/contoso.example",
            MSAL_REDIRECT_URI="https://a.example/auth/callback",
        )
        MsalAuth(made)
        (line,) = [r for r in caplog.records if "SERVER_NAME" in r.getMessage()]
        assert line.levelname == "WARNING"
        assert "www.a.example" in line.getMessage()
        assert "leads to a.example" in line.getMessage()


class TestCookies:
    @pytest.mark.parametrize(
        ("config", "found"),
        [
            ({}, [OK]),
            ({"SESSION_COOKIE_SECURE": False}, [WARNING, OK]),
            ({"SESSION_COOKIE_HTTPONLY": False}, [FIX, OK]),
            ({"SESSION_COOKIE_SAMESITE": None}, [WARNING, OK]),
            ({"SESSION_COOKIE_SAMESITE": "None"}, [WARNING, OK]),
            ({"SESSION_COOKIE_SAMESITE": "lax"}, [OK]),
            ({"SECRET_KEY": "k" * 31}, [WARNING]),
            ({"SECRET_KEY": "k" * 16}, [WARNING]),
            ({"SECRET_KEY": b"k" * 15}, [FIX]),
            ({"SECRET_KEY_FALLBACKS": ["dev"]}, [FIX]),
        ],
    )
    def test_levels(self, config: dict[str, t.Any], found: list[str]) -> None:
        """Each attribute has its line; a key that signs is as good as the worst."""
        assert levels(checks.cookies(app(**config), settings())) == found

    @pytest.mark.parametrize(
        ("config", "found"),
        [
            ({"SESSION_COOKIE_SECURE": False, "SESSION_COOKIE_SAMESITE": None}, [OK]),
            ({"SESSION_COOKIE_NAME": "sid"}, [WARNING, OK]),
            ({"SESSION_COOKIE_NAME": "__Host-sid"}, [OK]),
            ({"SESSION_COOKIE_DOMAIN": "a.example"}, [WARNING, OK]),
            ({"APPLICATION_ROOT": "/shop"}, [WARNING, OK]),
            (
                {
                    "SESSION_COOKIE_NAME": "__Host-sid",
                    "SESSION_COOKIE_DOMAIN": "a.example",
                },
                [FIX, OK],
            ),
            (
                {
                    "SESSION_COOKIE_NAME": "__Host-sid",
                    "SESSION_COOKIE_PATH": "/shop",
                },
                [FIX, WARNING, OK],
            ),
        ],
    )
    def test_https(self, config: dict[str, t.Any], found: list[str]) -> None:
        """On https what the app left is set; its own name is looked at."""
        made = settings(MSAL_REDIRECT_URI="https://a.example/auth/callback")
        assert levels(checks.cookies(app(**config), made)) == found
        behind = app(**config)
        # https is what the proxy says, too, as it is for the cookies themselves.
        behind.wsgi_app = ProxyFix(behind.wsgi_app)  # type: ignore[method-assign]
        assert levels(checks.cookies(behind, settings())) == found

    @pytest.mark.parametrize(
        ("path", "mounted", "found"),
        [
            ("/", "", [OK]),
            ("/auth", "", [OK]),
            ("/auth/c", "", [WARNING, OK]),
            ("/shop", "", [WARNING, OK]),
            ("/shop", "/shop", [OK]),
            ("/shop", "/shops", [WARNING, OK]),
        ],
    )
    def test_path(self, path: str, mounted: str, found: list[str]) -> None:
        """A path that the sign-in routes are not below is told."""
        made = app(SESSION_COOKIE_PATH=path, APPLICATION_ROOT=mounted or "/")
        assert levels(checks.cookies(made, settings())) == found
        behind = app(SESSION_COOKIE_PATH=path)
        # A proxy has the app wherever it says.
        behind.wsgi_app = ProxyFix(behind.wsgi_app, x_prefix=1)  # type: ignore[method-assign]
        assert checks.WARNING not in levels(checks._path(behind, settings()))

    def test_none_without_secure(self) -> None:
        """Browsers drop such a cookie, so nobody stays signed in."""
        made = app(SESSION_COOKIE_SECURE=False, SESSION_COOKIE_SAMESITE="None")
        found = list(checks.cookies(made, settings()))
        assert levels(found) == [WARNING, FIX, OK]
        assert "drop the cookie" in found[1].text

    def test_no_key_is_shown(self) -> None:
        """A key that is too short is not shown for that."""
        found = list(checks.cookies(app(SECRET_KEY="hunter2"), settings()))
        assert "hunter2" not in repr(found)
        assert "7 bytes" in found[0].text


class TestCredential:
    def check(self, value: t.Any) -> list[checks.Result]:
        return list(checks.credential(settings(MSAL_CLIENT_CREDENTIAL=value)))

    def test_secret(self) -> None:
        """A secret's end cannot be seen, so it is said where to look."""
        (found,) = self.check("a-client-secret")
        assert found.level == OK
        assert "Certificates & secrets" in found.text
        assert "a-client-secret" not in found.text

    def test_id_of_a_secret(self) -> None:
        """The ID of a secret, which the portal shows beside it, is no secret."""
        (found,) = self.check("0a1b2c3d-89ab-cdef-0123-456789abcdef")
        assert (found.level, "0a1b2c3d" in found.text) == (FIX, False)

    def test_secret_elsewhere(self) -> None:
        """At another provider a secret may look so, and the portal is not Azure's."""
        secret = "0a1b2c3d-89ab-cdef-0123-456789abcdef"
        other = {"MSAL_AUTHORITY": None, "MSAL_OIDC_AUTHORITY": "https://id.example"}
        made = settings(MSAL_CLIENT_CREDENTIAL=secret, **other)
        (found,) = checks.credential(made)
        assert (found.level, "Certificates" in found.text) == (OK, False)

    @pytest.mark.parametrize(
        ("start", "end", "level"),
        [
            (-1, 90, OK),
            (-1, 31, OK),
            (-1, 29, WARNING),
            (-1, 0.5, WARNING),
            (-2, -1, FIX),
            (1, 90, FIX),
        ],
    )
    def test_certificate_dates(self, start: float, end: float, level: str) -> None:
        """Good now and for a month, or there is something to do."""
        (found,) = self.check(credential(certificate(start, end)))
        assert found.level == level
        date = datetime.datetime.now(datetime.timezone.utc) + timedelta(days=end)
        assert f"{date:%Y-%m-%d}" in found.text

    def test_other_key(self) -> None:
        """A key and a certificate that do not belong together are told."""
        other = certificate(key=rsa.generate_private_key(65537, 2048))
        first, second = self.check(credential(other))
        assert (first.level, second.level) == (FIX, OK)
        assert "not the certificate's" in first.text

    def test_thumbprint(self) -> None:
        """Another certificate's is told; a right one may be spelled freely."""
        own = certificate()
        right = own.fingerprint(hashes.SHA1()).hex()
        spelled = ":".join(right[i : i + 2] for i in range(0, 40, 2)).upper()
        assert levels(self.check(credential(own, thumbprint=right))) == [OK]
        assert levels(self.check(credential(own, thumbprint=spelled))) == [OK]
        wrong = self.check(credential(own, thumbprint="ab" * 20))
        assert levels(wrong) == [FIX, OK]
        assert right in wrong[0].text

    def test_thumbprint_alone(self) -> None:
        """Without the certificate its end is not known."""
        assert levels(self.check(credential(thumbprint="ab" * 20))) == [WARNING]

    def test_pfx(self, tmp_path: Path) -> None:
        """A PFX file is read, and so is its certificate's end."""
        path = tmp_path / "app.pfx"
        path.write_bytes(
            pkcs12.serialize_key_and_certificates(
                b"app",
                KEY,
                certificate(-2, -1),
                None,
                serialization.BestAvailableEncryption(b"pass"),
            )
        )
        value = {"private_key_pfx_path": str(path), "passphrase": "pass"}
        assert levels(self.check(value)) == [FIX]
        (found,) = self.check({**value, "passphrase": "wrong-passphrase"})
        assert (found.level, "cannot be read" in found.text) == (FIX, True)
        assert "wrong-passphrase" not in found.text

    @pytest.mark.parametrize(
        "value",
        [
            {"client_assertion": "text"},
            {"client_assertion": lambda: "text"},
            {"ManagedIdentityIdType": "SystemAssigned", "Id": None},
            lambda: "a-client-secret",
        ],
    )
    def test_others(self, value: t.Any) -> None:
        """Credentials without an end, and functions that return any kind."""
        assert levels(self.check(value)) == [OK]

    def test_function_that_fails(self) -> None:
        """A function that fails is told by its error's kind, never by its words."""

        def failing() -> str:
            raise OSError("vault token secret-marker")

        (found,) = self.check(failing)
        assert (found.level, "OSError" in found.text) == (FIX, True)
        assert "secret-marker" not in found.text


class TestOfApp:
    def test_all(self) -> None:
        """Each part is looked at."""
        found = list(checks.of_app(app(), settings()))
        assert [r.about for r in found] == ["redirect URI", "cookies", "credential"]
