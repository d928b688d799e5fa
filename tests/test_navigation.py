"""Kinds of requests, and the places that a browser may be sent to."""

from __future__ import annotations

import pytest
from werkzeug.datastructures import Headers
from werkzeug.test import EnvironBuilder
from werkzeug.wrappers import Request

from flask_msal_errors.navigation import Outside
from flask_msal_errors.navigation import current_target
from flask_msal_errors.navigation import home
from flask_msal_errors.navigation import is_navigation
from flask_msal_errors.navigation import is_same_origin
from flask_msal_errors.navigation import own_path
from flask_msal_errors.navigation import path_below
from flask_msal_errors.navigation import safe_path
from flask_msal_errors.navigation import same_origin_path
from flask_msal_errors.navigation import wants_html
from flask_msal_errors.state import of_request

CHROMIUM = "text/html,application/xhtml+xml,application/xml;q=0.9,image/avif,*/*;q=0.8"


def request(
    path: str = "/", base: str = "https://app.example", **headers: str
) -> Request:
    """A request with these headers; ``Sec_Fetch_Mode`` names ``Sec-Fetch-Mode``."""
    named = Headers({name.replace("_", "-"): v for name, v in headers.items()})
    return Request(EnvironBuilder(path, base_url=base, headers=named).get_environ())


class TestSafePath:
    @pytest.mark.parametrize(
        "target",
        [
            "/",
            "/mail",
            "/mail/42",
            "/mail?a=b%26c&d=%2F",
            "/mail?next=https://evil.example/",
            "/mail?q=//evil.example",
            "/%2Fevil.example",
            "/%5Cevil.example",
            "/%09/evil.example",
            "/..//evil.example",
            "/.//evil.example",
            "/@evil.example",
            "/:80/evil",
            "/javascript:alert(1)",
            "/caf\u00e9",
            "/\uff0fevil.example",
            "/[::1]",
            "/a#part",
            "/" + "x" * 100_000,
        ],
    )
    def test_keeps(self, target: str) -> None:
        """A target that every browser resolves to this origin is returned untouched."""
        assert safe_path(target) == target

    @pytest.mark.parametrize(
        "target",
        [
            None,
            "",
            " ",
            "mail",
            "./mail",
            "?a=b",
            "#part",
            "//evil.example",
            "///evil.example",
            "////evil.example",
            "//evil.example@app.example",
            "//app.example/",
            "/\\evil.example",
            "\\/evil.example",
            "\\\\evil.example",
            "/mail\\..\\evil",
            "/\t/evil.example",
            "/\n/evil.example",
            "/\r/evil.example",
            "\t//evil.example",
            " //evil.example",
            "/mail evil",
            "/mail\x00",
            "/mail\x7f",
            "/mail\x1b[31m",
            "/mail\r\nSet-Cookie: a=b",
            "http://evil.example/",
            "https://app.example/",
            "HTTPS://evil.example",
            "http:evil.example",
            "http:/evil.example",
            "https:///evil.example",
            "javascript:alert(1)",
            "JaVaScRiPt:alert(1)",
            "data:text/html,x",
            "vbscript:x",
            "file:///etc/passwd",
            "mailto:a@evil.example",
            "blob:https://app.example/1",
            "evil.example",
            "@evil.example",
            "%2F%2Fevil.example",
            "\u2215/evil.example",
            "\ufeff//evil.example",
        ],
    )
    def test_refuses(self, target: str | None) -> None:
        """A target that a browser could resolve elsewhere or repair is nothing."""
        assert safe_path(target) is None


class TestSameOriginPath:
    @pytest.mark.parametrize(
        ("url", "path"),
        [
            ("https://app.example/mail?a=b", "/mail?a=b"),
            ("https://app.example/", "/"),
            ("https://app.example", None),
            ("https://app.example//evil.example", None),
            ("https://app.example/a\\b", None),
            ("http://app.example/mail", None),
            ("https://app.example:444/mail", None),
            ("https://app.example.evil.example/", None),
            ("https://user@app.example/", None),
            ("https://evil.example/mail", None),
            ("//app.example/mail", None),
            ("/mail", None),
            ("https://[::1/mail", None),
            ("https://app.example\u2100/", None),
            ("", None),
            (None, None),
        ],
    )
    def test_table(self, url: str | None, path: str | None) -> None:
        """Only the very scheme, host and port of the request is its origin."""
        assert same_origin_path(url, request()) == path

    def test_other_port(self) -> None:
        """A port that is not the scheme's own belongs to the origin."""
        here = request(base="http://localhost:5000")
        assert same_origin_path("http://localhost:5000/a", here) == "/a"
        assert same_origin_path("http://localhost:5001/a", here) is None


class TestPathBelow:
    @pytest.mark.parametrize(
        ("path", "below"),
        [
            ("/portal/mail?a=b", "/mail?a=b"),
            ("/portal/portal/mail", "/portal/mail"),
            ("/portal/", "/"),
            ("/portal", "/"),
            ("/portal?a=/portal/b", "/?a=/portal/b"),
            ("/portalhttps://evil.example/", None),
            ("/portaljavascript:alert(1)", None),
            ("/portal.evil.example", None),
            ("/portal@evil.example/", None),
            ("/portal//evil.example/", None),
            ("/portals/mail", None),
            ("/Portal/mail", None),
            ("/other/portal/mail", None),
            ("/mail", None),
            ("/", None),
        ],
    )
    def test_table(self, path: str, below: str | None) -> None:
        """A prefix ends where a part of the path does."""
        assert path_below("/portal", path) == below

    @pytest.mark.parametrize("path", ["/", "/mail?a=b", "/portal/mail"])
    def test_nothing_hidden(self, path: str) -> None:
        """Below no prefix every path stays as it is."""
        assert path_below("", path) == path


class TestOwnPath:
    @pytest.mark.parametrize(
        ("url", "path"),
        [
            ("/mail?a=b", "/mail?a=b"),
            ("https://app.example/mail?a=b%26c", "/mail?a=b%26c"),
            ("https://app.example/mail#part", "/mail"),
            ("https://app.example", "/"),
            ("https://app.example?a=b", "/?a=b"),
            ("https://app.example:443/mail", "/mail"),
            ("HTTPS://App.Example/mail", "/mail"),
            ("https://app.example/caf\u00e9", "/caf%C3%A9"),
            ("https://app.example//evil.example", None),
            ("https://app.example/a\\b", None),
            ("https://app.example\\@evil.example/", None),
            ("https://app.example@evil.example/", None),
            ("https://app.example:444/mail", None),
            ("https://app.example:x/mail", None),
            ("https://app.example.evil.example/", None),
            ("https://user@app.example/", None),
            ("https://:x@app.example/", None),
            ("https://evil.example/mail", None),
            ("http://app.example/mail", None),
            ("//app.example/mail", None),
            ("//evil.example/", None),
            ("https:app.example/mail", None),
            ("https:///mail", None),
            ("javascript://app.example/%0aalert(1)", None),
            ("https://[::1/mail", None),
            ("https://app.example\u2100/", None),
            ("ht\ntps://app.example/\t/evil.example", None),
            ("mail", None),
            ("", None),
            (None, None),
        ],
    )
    def test_table(self, url: str | None, path: str | None) -> None:
        """A path, or an absolute URL of the request's own origin, and nothing else."""
        assert own_path(url, request("/elsewhere")) == path

    @pytest.mark.parametrize(
        "path", ["/a?b=c", "/a%25b?c=%2F", "/caf%C3%A9", "/a%2Fb", "/", "/?next=//evil"]
    )
    def test_this_very_url(self, path: str) -> None:
        """``request.url``, though an IRI, leads to the very URL."""
        for host in ("app.example", "xn--bcher-kva.example", "app.example:8443"):
            here = request(path, base=f"https://{host}")
            assert own_path(here.url, here) == current_target(here)

    def test_host_in_letters(self) -> None:
        """A host that is not ASCII may be written as people do."""
        here = request(base="https://xn--bcher-kva.example")
        assert own_path("https://b\u00fccher.example/a", here) == "/a"

    @pytest.mark.parametrize("url", [None, "/a", "https://app.example/a"])
    @pytest.mark.parametrize("host", ["xn--", "xn--" + "a" * 80, "a..b"])
    def test_host_that_is_no_name(self, url: str | None, host: str) -> None:
        """A request for a host that nobody can have has no other page than its own."""
        here = request("/")
        here.environ["HTTP_HOST"] = host
        assert own_path(url, Request(here.environ)) in (None, "/a")

    def test_hidden_https(self) -> None:
        """Both schemes are the app's own behind a proxy that keeps https to itself."""
        here = request(base="http://app.example")
        of_request(Outside, here).is_https = True
        for scheme in ("http", "https"):
            assert own_path(f"{scheme}://app.example/a", here) == "/a"
        assert own_path("https://app.example:8443/a", here) is None


class TestCurrentTarget:
    @pytest.mark.parametrize(
        "path",
        [
            "/",
            "/mail",
            "/mail?a=b%26c&d=%2F&e=a+b&f=%E2%82%AC",
            "/mail?a=1&a=2&=&b",
            "/mail?q=%00%0d%0a",
            "/mail?next=//evil.example",
            "/caf%C3%A9?n=%C3%A9",
            "/100%25?p=100%25",
            "/a%5Cb",
            "/a;b=c,d:e@f!$&'()*+",
        ],
    )
    def test_is_the_very_url(self, path: str) -> None:
        """Path and query come back as they were sent."""
        assert current_target(request(path)) == path

    def test_quotes_what_browsers_leave(self) -> None:
        """Raw characters of a query that are not safe in a header are quoted."""
        environ = request("/s").environ
        environ["QUERY_STRING"] = 'q=a\\b"<\xe9>|\t'
        assert current_target(Request(environ)) == "/s?q=a%5Cb%22%3C%E9%3E%7C%09"

    @pytest.mark.parametrize("path", ["//evil.example", "///evil.example", "/\\evil"])
    def test_no_other_host(self, path: str) -> None:
        """A path that reads like another host is gone back to on this one."""
        environ = request("/").environ
        environ["PATH_INFO"] = path
        target = current_target(Request(environ))
        assert safe_path(target) == target
        assert target in ("/evil.example", "/%5Cevil")

    def test_mounted_app(self) -> None:
        """A mounted app's targets and start page keep the path it is mounted at."""
        here = request("/mail?a=b", base="https://app.example/intranet")
        assert current_target(here) == "/intranet/mail?a=b"
        assert home(here) == "/intranet/"
        assert home(request("/mail")) == "/"


class TestKind:
    @pytest.mark.parametrize(
        ("who", "headers", "navigation"),
        [
            (
                "Chromium, address bar",
                {"Accept": CHROMIUM, "Sec-Fetch-Mode": "navigate"},
                True,
            ),
            (
                "Chromium, plain http: no fetch metadata",
                {"Accept": CHROMIUM},
                True,
            ),
            (
                "Android WebView, plain http",
                {"Accept": CHROMIUM, "X-Requested-With": "com.example.app"},
                True,
            ),
            (
                "Android WebView, https",
                {
                    "Accept": CHROMIUM,
                    "X-Requested-With": "com.example.app",
                    "Sec-Fetch-Mode": "navigate",
                },
                True,
            ),
            ("fetch()", {"Accept": "*/*", "Sec-Fetch-Mode": "cors"}, False),
            ("fetch() of a page", {"Accept": CHROMIUM, "Sec-Fetch-Mode": "cors"}, 0),
            ("same-origin mode", {"Accept": "*/*", "Sec-Fetch-Mode": "same-origin"}, 0),
            ("an image", {"Accept": "image/*", "Sec-Fetch-Mode": "no-cors"}, False),
            (
                "jQuery",
                {"Accept": CHROMIUM, "X-Requested-With": "XMLHttpRequest"},
                False,
            ),
            ("HTMX", {"Accept": "*/*", "HX-Request": "true"}, False),
            ("HTMX wanting html", {"Accept": CHROMIUM, "HX-Request": "true"}, False),
            ("curl", {"Accept": "*/*"}, False),
            ("a script without Accept", {}, False),
            ("an API client", {"Accept": "application/json"}, False),
            ("axios", {"Accept": "application/json, text/plain, */*"}, False),
            ("JSON preferred", {"Accept": "application/json,text/html;q=0.9"}, False),
            ("HTML preferred", {"Accept": "text/html,application/json;q=0.9"}, True),
            ("HTML only", {"Accept": "text/html"}, True),
            ("text", {"Accept": "text/*"}, True),
        ],
        ids=lambda value: value if isinstance(value, str) else "",
    )
    def test_is_navigation(
        self, who: str, headers: dict[str, str], navigation: bool
    ) -> None:
        """A redirect helps a browser that shows the answer, and nobody else."""
        assert is_navigation(request("/", **headers)) == navigation

    @pytest.mark.parametrize(
        ("accept", "html"),
        [
            (CHROMIUM, True),
            ("text/html", True),
            ("text/html;q=0.5, application/json;q=0.4", True),
            ("*/*", False),
            ("application/json", False),
            ("application/problem+json", False),
            ("text/html;q=0.4, application/json;q=0.5", False),
            ("image/png", False),
            ("", False),
            ("\xff;q=nonsense,,", False),
        ],
    )
    def test_wants_html(self, accept: str, html: bool) -> None:
        """A page is for who prefers one to JSON."""
        assert wants_html(request("/", Accept=accept)) is html

    @pytest.mark.parametrize(
        ("headers", "same"),
        [
            ({"Sec-Fetch-Site": "same-origin"}, True),
            ({"Sec-Fetch-Site": "same-origin", "Origin": "null"}, True),
            ({"Sec-Fetch-Site": "same-site"}, False),
            ({"Sec-Fetch-Site": "cross-site"}, False),
            ({"Sec-Fetch-Site": "none"}, False),
            ({"Sec-Fetch-Site": "none", "Origin": "https://app.example"}, False),
            ({"Origin": "https://app.example"}, True),
            ({"Origin": "http://app.example"}, False),
            ({"Origin": "https://app.example:8443"}, False),
            ({"Origin": "https://evil.example"}, False),
            ({"Origin": "null"}, False),
            ({"Origin": ""}, False),
            ({"Referer": "https://app.example/form"}, False),
            ({}, False),
        ],
    )
    def test_is_same_origin(self, headers: dict[str, str], same: bool) -> None:
        """A post counts as ours only if the browser says so."""
        assert is_same_origin(request("/", **headers)) is same


@pytest.mark.parametrize("host", ["xn--bcher-kva.example", "app.example:8443"])
def test_hosts_as_browsers_write_them(host: str) -> None:
    """A host that is not ASCII is compared in the form that browsers send."""
    headers = Headers({"Origin": f"https://{host}"})
    builder = EnvironBuilder("/", base_url=f"https://{host}/", headers=headers)
    here = Request(builder.get_environ())
    assert is_same_origin(here)
    assert same_origin_path(f"https://{host}/a?b", here) == "/a?b"
    assert same_origin_path("https://other.example/a", here) is None


def test_kind_of_own_attribute() -> None:
    """An app may keep an event of its own on the request: no one of Socket.IO."""
    page = request(Accept=CHROMIUM)
    vars(page)["event"] = {"message": "Lunch"}
    assert is_navigation(page)
