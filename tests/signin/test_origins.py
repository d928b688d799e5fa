"""Sign-ins that begin at another origin than the redirect URI's."""

from __future__ import annotations

import logging
import time
import typing as t

import pytest
from flask import Flask
from flask import request
from werkzeug.wrappers import Response

from flask_msal_errors.signin.origins import MARK
from flask_msal_errors.signin.origins import Origins

PAGE = "/deep/page?x=1&y=%2F%25&z=a+b"
FETCHED = {"Sec-Fetch-Mode": "navigate", "Sec-Fetch-Dest": "document"}
WORKS, MOVED, HIDDEN, WARNED = "works", "moved", "hidden", "warned"
#: Words of the log line of each.
WORDS = {
    WORKS: "",
    MOVED: "goes to",
    HIDDEN: "a proxy keeps scheme or host to itself",
    WARNED: "its redirect URI is at",
}

#: Origin of the request, origin of the redirect URI, and the result.
ROWS: list[tuple[str, str, str]] = [
    ("https://a.example", "https://a.example", WORKS),
    ("https://a.example", "https://a.example:443", WORKS),
    ("https://a.example:443", "https://a.example", WORKS),
    ("http://localhost:80", "http://localhost", WORKS),
    ("https://A.Example", "https://a.example", WORKS),
    ("https://a.example", "https://A.EXAMPLE", WORKS),
    ("https://xn--bcher-kva.example", "https://b\u00fccher.example", WORKS),
    ("http://[::1]:5000", "http://[::1]:5000", WORKS),
    # Scheme.
    ("http://a.example", "https://a.example", MOVED),
    ("https://localhost:5001", "http://localhost:5000", WARNED),
    # A port with one scheme.
    ("http://localhost:5000", "https://localhost:5000", HIDDEN),
    ("http://a.example:8443", "https://a.example:8443", HIDDEN),
    ("http://a.example:8080", "https://a.example:8443", MOVED),
    ("http://a.example:8080", "https://a.example", MOVED),
    # Names.
    ("https://www.a.example", "https://a.example", MOVED),
    ("https://a.example", "https://www.a.example", MOVED),
    ("https://a.azurewebsites.net", "https://a.example", MOVED),
    ("http://intranet", "https://a.example", MOVED),
    ("https://a.example.", "https://a.example", MOVED),
    ("http://192.168.1.5:5000", "https://a.example", MOVED),
    ("https://a.example", "https://b\u00fccher.example", MOVED),
    # This machine, by any name.
    ("http://127.0.0.1:5000", "http://localhost:5000", MOVED),
    ("http://localhost:5000", "http://127.0.0.1:5000", MOVED),
    ("http://[::1]:5000", "http://localhost:5000", MOVED),
    ("http://localhost:5000", "http://[::1]:5000", MOVED),
    ("http://0.0.0.0:5000", "http://localhost:5000", MOVED),
    ("http://a.localhost:5000", "http://localhost:5000", MOVED),
    ("http://127.0.0.1:5000", "https://localhost:5000", MOVED),
    # Mostly a proxy that names the app by its own address.
    ("http://127.0.0.1:5000", "https://a.example", WARNED),
    ("http://localhost:8000", "https://a.example", WARNED),
    # Of another machine's browser.
    ("http://a.example", "http://localhost:5000", WARNED),
    ("http://192.168.1.5:5000", "http://localhost:5000", WARNED),
    ("https://a.example", "http://127.0.0.1", WARNED),
]
AT_A = {"X-Forwarded-Proto": "https", "X-Forwarded-Host": "a.example"}
#: Headers of browsers and proxies.
TOLD: list[tuple[str, str, dict[str, str], str]] = [
    ("http://a.example", "https://a.example", FETCHED, HIDDEN),
    ("http://a.example", "https://b.example", FETCHED, MOVED),
    ("http://127.0.0.1:80", "https://localhost", FETCHED, MOVED),
    ("http://a.example", "https://a.example", {"X-Forwarded-Proto": "https"}, HIDDEN),
    (
        "http://a.example",
        "https://a.example",
        {"X-Forwarded-Proto": "https, http"},
        HIDDEN,
    ),
    (
        "http://app:8000",
        "https://a.example",
        {"X-Forwarded-Proto": "https", "X-Forwarded-Host": "a.example"},
        HIDDEN,
    ),
    (
        "http://app:8000",
        "https://a.example",
        {**FETCHED, "X-Forwarded-Host": "A.example:443"},
        HIDDEN,
    ),
    (
        "http://app:8000",
        "https://a.example",
        {"X-Forwarded-Proto": "https", "X-Forwarded-Host": "www.a.example"},
        MOVED,
    ),
    ("http://a.example", "https://b.example", {"X-Forwarded-Host": "::[/:x"}, MOVED),
    # The redirect URI is the request's own, which the app has wrong.
    ("http://a.example", "http://a.example", FETCHED, HIDDEN),
    ("http://a.example", "http://a.example", {"X-Forwarded-Proto": "https"}, HIDDEN),
    ("http://app:80", "http://app:80", {"X-Forwarded-Host": "a.example"}, HIDDEN),
    ("http://localhost:5000", "http://localhost:5000", FETCHED, WORKS),
    ("https://a.example", "https://a.example", {"X-Forwarded-Proto": "http"}, WORKS),
    ("https://a.example:8443", "https://a.example:8443", AT_A, WORKS),
    (
        "https://a.example",
        "https://a.example",
        {"X-Forwarded-Host": ", evil.example, A.example"},
        WORKS,
    ),
    # No page of a top window.
    ("https://a.example", "https://b.example", {"Accept": "*/*"}, WARNED),
    ("https://a.example", "https://b.example", {"HX-Request": "true"}, WARNED),
    (
        "https://a.example",
        "https://b.example",
        {"X-Requested-With": "XMLHttpRequest"},
        WARNED,
    ),
    ("https://a.example", "https://b.example", {"Sec-Fetch-Mode": "cors"}, WARNED),
    (
        "https://a.example",
        "https://b.example",
        {**FETCHED, "Sec-Fetch-Dest": "iframe"},
        WARNED,
    ),
]


def nothing(**_: str) -> str:
    """Serve an empty page."""
    return ""


@pytest.fixture
def app() -> Flask:
    made = Flask("origins")
    made.add_url_rule("/deep/page", "deep", lambda: "", methods=["GET", "POST"])
    return with_callback(made)


def with_callback(app: Flask, **where: t.Any) -> Flask:
    """Add the callback of the extension to an app."""
    app.add_url_rule("/auth/callback", "msal.callback", nothing, **where)
    return app


def asked(
    app: Flask, came: str, uri: str, origins: Origins | None = None, **options: t.Any
) -> Response | None:
    """Ask for the page at an origin, and return what comes of it."""
    headers = {"Accept": "text/html", **options.pop("headers", {})}
    path = options.pop("path", PAGE)
    with app.test_request_context(path, base_url=came, headers=headers, **options):
        return (origins or Origins()).check(request, f"{uri}/auth/callback")


def happened(found: Response | None, caplog: pytest.LogCaptureFixture) -> str:
    """Return the kind of result, as the only line of the log tells."""
    (line,) = [r.getMessage() for r in caplog.records] or [""]
    (kind,) = [kind for kind, text in WORDS.items() if text and text in line] or [WORKS]
    assert (found is not None) is (kind == MOVED)
    return kind


@pytest.fixture(autouse=True)
def _all_levels(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO, "flask_msal_errors")


class TestCheck:
    @pytest.mark.parametrize(("came", "uri", "kind"), ROWS)
    def test_origins(
        self,
        app: Flask,
        caplog: pytest.LogCaptureFixture,
        came: str,
        uri: str,
        kind: str,
    ) -> None:
        """A person goes to the redirect URI's origin, or the log has both."""
        found = asked(app, came, uri)
        assert happened(found, caplog) == kind
        if found is not None:
            host = uri.replace("b\u00fccher", "xn--bcher-kva")
            assert found.headers["Location"] == host + PAGE
        for record in caplog.records:
            assert came in record.getMessage()
            assert record.levelno == (
                logging.INFO if kind == MOVED else logging.WARNING
            )

    @pytest.mark.parametrize(("came", "uri", "headers", "kind"), TOLD)
    def test_headers(
        self,
        app: Flask,
        caplog: pytest.LogCaptureFixture,
        came: str,
        uri: str,
        headers: dict[str, str],
        kind: str,
    ) -> None:
        """A browser that is there already, as headers say, stays; a program, too."""
        assert happened(asked(app, came, uri, headers=headers), caplog) == kind

    def test_setting(self, app: Flask, caplog: pytest.LogCaptureFixture) -> None:
        """Requests at the redirect URI of a setting are right, whatever headers say."""
        headers = {"Accept": "text/html", "X-Forwarded-Host": "edge.example"}
        a = "https://a.example"
        with app.test_request_context(PAGE, base_url=a, headers=headers):
            found = Origins().check(request, f"{a}/auth/callback", is_set=True)
        assert happened(found, caplog) == WORKS

    def test_answer(self, app: Flask) -> None:
        """The redirect is kept by nobody, and brings nothing but a short mark."""
        found = asked(app, "http://a.example", "https://a.example")
        assert found is not None and found.status_code == 302
        assert found.headers["Cache-Control"] == "no-store"
        (cookie,) = found.headers.getlist("Set-Cookie")
        assert cookie.startswith(f"{MARK}=")
        assert "Max-Age=5;" in cookie and "HttpOnly" in cookie
        assert "Domain" not in cookie and "Secure" not in cookie

    def test_methods(self, app: Flask) -> None:
        """HEAD goes as GET does; a form stays."""
        for method, moved in (("HEAD", True), ("POST", False)):
            found = asked(app, "https://a.example", "https://b.example", method=method)
            assert (found is not None) is moved

    def test_below_a_path(self, app: Flask) -> None:
        """The path that the app is mounted at stays."""
        found = asked(app, "https://a.example/shop", "https://b.example/shop")
        assert found is not None
        assert found.headers["Location"] == f"https://b.example/shop{PAGE}"


class TestOnce:
    def test_marked(self, app: Flask, caplog: pytest.LogCaptureFixture) -> None:
        """A browser that comes back with the mark is not sent again."""
        found = asked(app, "http://a.example", "https://a.example")
        assert found is not None
        mark = found.headers["Set-Cookie"].partition(";")[0]
        caplog.clear()
        again = asked(
            app, "http://a.example", "https://a.example", headers={"Cookie": mark}
        )
        assert happened(again, caplog) == WARNED

    def test_mark_of_another_page(self, app: Flask) -> None:
        """A mark is of one page."""
        headers = {"Cookie": f"{MARK}=00000000"}
        assert asked(app, "http://a.example", "https://a.example", headers=headers)

    def test_mark_is_removed(self, app: Flask) -> None:
        """The browser forgets the mark where it arrives."""
        origins = Origins()

        @app.get("/in")
        def enter() -> str:
            origins.check(request, "https://a.example/auth/callback")
            return ""

        client = app.test_client()
        client.set_cookie(MARK, "1", domain="a.example")
        client.get("/in", base_url="https://a.example")
        assert client.get_cookie(MARK, domain="a.example") is None


class TestWithoutCookies:
    def test_ends(self, app: Flask, monkeypatch: pytest.MonkeyPatch) -> None:
        """A client that keeps no mark is sent a few times; later it may try again."""
        now = [1000.0]
        monkeypatch.setattr(time, "monotonic", lambda: now[0])
        origins, two = Origins(), ("http://a.example", "https://a.example")
        moved = [asked(app, *two, origins) is not None for _ in range(8)]
        assert moved == [True] * 5 + [False] * 3
        other = {"User-Agent": "another"}
        assert asked(app, *two, origins, headers=other) is not None
        assert asked(app, *two, origins, path="/other") is not None
        now[0] += 6
        assert asked(app, *two, origins) is not None

    def test_memory(self, app: Flask) -> None:
        """Any number of clients takes the memory of some."""
        origins = Origins()
        for number in range(1100):
            headers = {"User-Agent": f"{number}" * 1000}
            asked(
                app, "http://a.example", "https://a.example", origins, headers=headers
            )
        kept = origins._sent
        assert len(kept) == 1000
        assert max(len(part) for key in kept for part in key) <= 500


class TestLog:
    def test_once(self, app: Flask, caplog: pytest.LogCaptureFixture) -> None:
        """Two origins are logged once."""
        origins = Origins()
        for _ in range(3):
            asked(app, "http://localhost", "https://a.example", origins)
            asked(app, "https://b.example", "https://a.example", origins)
        assert len(caplog.records) == 2

    def test_flood(self, app: Flask, caplog: pytest.LogCaptureFixture) -> None:
        """Invented hosts do not fill the log, nor the memory."""
        origins = Origins()
        for number in range(80):
            asked(app, f"https://h{number}.example", "https://a.example", origins)
        assert len(caplog.records) == 50

    def test_injection(self, app: Flask, caplog: pytest.LogCaptureFixture) -> None:
        """A forged host begins no line of its own, and leads nowhere."""
        if "TRUSTED_HOSTS" not in app.config:
            pytest.skip("Flask before 3.1 refuses it")
        forged = {"HTTP_HOST": "evil.example/\x1b[0m\x85\nfake:x"}
        found = asked(
            app, "http://x.example", "https://a.example", environ_overrides=forged
        )
        assert found is not None
        assert found.headers["Location"] == f"https://a.example{PAGE}"
        (record,) = caplog.records
        assert record.getMessage().isprintable()


class TestOtherHosts:
    """Apps with other pages at other hosts."""

    def test_host_matching(self) -> None:
        """A browser is sent only where the same page is."""
        app = Flask("hosts", host_matching=True, static_host="a.example")
        for host in ("a.example", "b.example", "<name>.c.example"):
            app.add_url_rule("/deep/page", "deep", nothing, host=host)
        app.add_url_rule("/only", "only", lambda: "", host="b.example")
        with_callback(app, host="a.example")
        uri = "https://a.example"
        assert asked(app, "https://b.example", uri) is not None
        assert asked(app, "https://b.example", uri, path="/only") is None
        assert asked(app, "https://x.c.example", "https://y.c.example") is None

    def test_subdomain_matching(self) -> None:
        """A page of a subdomain is not taken for the domain's."""
        app = Flask("subdomains", subdomain_matching=True)
        app.config["SERVER_NAME"] = "a.example"
        app.add_url_rule("/deep/page", "deep", lambda: "", subdomain="<name>")
        app.add_url_rule("/deep/page", "home", lambda: "")
        for subdomain in ("", "www"):
            app.add_url_rule("/both", "both", nothing, subdomain=subdomain)
        with_callback(app)
        uri = "https://a.example"
        assert asked(app, "https://x.a.example", uri) is None
        assert asked(app, "https://www.a.example", uri, path="/both") is not None

    def test_popped_values(self) -> None:
        """Apps often take a value out of the matched ones before the view."""
        app = with_callback(Flask("languages"))
        app.add_url_rule("/<lang>/page", "page", lambda: "")
        app.url_value_preprocessor(lambda _, values: values and values.pop("lang"))
        with app.test_request_context(
            "/en/page", base_url="https://a.example", headers={"Accept": "text/html"}
        ):
            app.preprocess_request()
            assert Origins().check(request, "https://b.example/auth/callback")

    @pytest.mark.filterwarnings("ignore:.*TRUSTED_HOSTS")
    def test_trusted_hosts(self, app: Flask) -> None:
        """Nobody is sent to a host that the app would refuse."""
        if "TRUSTED_HOSTS" not in app.config:
            pytest.skip("Flask 3.1 knows it")
        app.config["TRUSTED_HOSTS"] = ["b.example"]
        assert asked(app, "https://b.example", "https://a.example") is None


PATHS: list[tuple[str, str, dict[str, str], bool]] = [
    ("https://a.example", "https://a.example", {}, False),
    ("https://a.example/portal", "https://a.example/portal", {}, False),
    ("https://a.example", "https://a.example/portal", {}, True),
    ("https://a.example/shop", "https://a.example/portal/shop", {}, True),
    ("https://a.example/portal", "https://a.example", {}, True),
    ("https://a.example", "https://a.example", {"X-Forwarded-Prefix": "/portal"}, True),
    ("https://a.example", "https://a.example", {"X-Forwarded-Prefix": "/"}, False),
    (
        "https://a.example/portal",
        "https://a.example/portal",
        {"X-Forwarded-Prefix": "/portal"},
        False,
    ),
]


class TestPaths:
    @pytest.mark.parametrize(("came", "uri", "headers", "told"), PATHS)
    def test_told(
        self,
        app: Flask,
        caplog: pytest.LogCaptureFixture,
        came: str,
        uri: str,
        headers: dict[str, str],
        told: bool,
    ) -> None:
        """A path that a proxy takes away is told, with both addresses."""
        assert asked(app, came, uri, headers=headers) is None
        found = [r.getMessage() for r in caplog.records]
        assert len(found) == told
        for line in found:
            assert "/portal" in line and "x_prefix=1" in line
            assert came.partition("a.example")[2] + "/auth/callback" in line

    @pytest.mark.parametrize(
        "path", ["", "/", "/getAToken", "/auth/callback/", "/auth"]
    )
    def test_no_callback(
        self, app: Flask, caplog: pytest.LogCaptureFixture, path: str
    ) -> None:
        """A redirect URI where no callback is is not blamed on a proxy."""
        uri = f"https://a.example{path}"
        with app.test_request_context(PAGE, base_url="https://a.example"):
            app.preprocess_request()
            Origins().check(request, uri)
        (line,) = [record.getMessage() for record in caplog.records]
        assert (
            f"is {uri}, but the callback is at https://a.example/auth/callback" in line
        )
        assert "MSAL_URL_PREFIX" in line and "x_prefix" not in line

    def test_moved(self, app: Flask) -> None:
        """A browser is sent below the path that its proxy takes away."""
        found = asked(app, "https://www.a.example", "https://a.example/portal")
        assert found is not None
        assert found.headers["Location"] == f"https://a.example/portal{PAGE}"
