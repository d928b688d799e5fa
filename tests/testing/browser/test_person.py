"""The emulated person: cookies and headers as a browser's, pages, forms."""

from __future__ import annotations

import time

import flask
import pytest
from werkzeug.wrappers import Response as BaseResponse

from flask_msal_errors.testing import Emulator
from flask_msal_errors.testing.browser.cookies import CookieJar
from flask_msal_errors.testing.browser.fetch import fetch_site
from flask_msal_errors.testing.browser.forms import Page
from flask_msal_errors.testing.browser.forms import refresh_target
from support.msal_client import MsalClient

PLAIN, TLS = "http://localhost:1/", "https://localhost:2/"
ELSEWHERE = "http://127.0.0.1:1/"


def make_app() -> flask.Flask:
    app = flask.Flask("partner")

    @app.route("/see", methods=["GET", "POST"])
    def see() -> dict[str, object]:
        wanted = ("Sec-Fetch-Site", "Origin", "Referer", "Cookie", "Content-Type")
        return {name: flask.request.headers.get(name) for name in wanted} | {
            "form": flask.request.form.to_dict(),
            "query": flask.request.args.to_dict(),
        }

    @app.get("/away")
    def away() -> BaseResponse:
        return flask.redirect(flask.request.args["to"], 302)

    @app.post("/again")
    def again() -> BaseResponse:
        return flask.redirect("/see", 307)

    @app.get("/round")
    def go_round() -> BaseResponse:
        return flask.redirect("/round")

    @app.get("/set")
    def set_cookies() -> flask.Response:
        answer = flask.make_response("<form method='post' action='/see'></form>")
        answer.set_cookie("plain", "1")
        answer.set_cookie("__Host-strong", "2", secure=True, samesite="Lax")
        return answer

    @app.get("/form")
    def form() -> str:
        return """<form action="/see" method="post"><input name="a" value="1">
            <input type="checkbox" name="c" checked><input type="radio" name="r">
            <textarea name="t">text</textarea><button name="b" value="go">Go</button>
            </form><form action="/see"><input name="q" value="2">
            <input type="submit" value="Find"></form>"""

    return app


class TestCookieJar:
    @pytest.mark.parametrize(
        ("url", "line", "kept"),
        [
            (PLAIN, "a=1", True),
            (PLAIN, "a=1; Secure", True),
            ("http://other.example/", "a=1; Secure", False),
            (TLS, "__Host-a=1; Secure; Path=/", True),
            (TLS, "__Host-a=1; Secure; Path=/x", False),
            (TLS, "__Host-a=1; Path=/", False),
            (PLAIN, "__Host-a=1; Secure; Path=/", False),
            (PLAIN, "__Secure-a=1; Secure", False),
            (PLAIN, "a=1; SameSite=None", False),
            (PLAIN, "a=1; SameSite=None; Secure", True),
            (PLAIN, "a=1; Max-Age=0", False),
            (PLAIN, "a=1; Expires=Thu, 01 Jan 1970 00:00:00 GMT", False),
            (PLAIN, "a=1; Expires=Thu, 01 Jan 2970 00:00:00 GMT", True),
            (PLAIN, "a=1; Max-Age=60", True),
        ],
    )
    def test_keeps(self, url: str, line: str, kept: bool) -> None:
        """Cookies that a browser keeps on localhost, by attributes and prefix."""
        jar = CookieJar()
        jar.store(url, [line])
        assert bool(jar.names(url)) is kept

    @pytest.mark.parametrize(
        ("host", "domain", "kept"),
        [
            ("localhost", "localhost", True),
            ("localhost", "evil.example", False),
            ("app.contoso.example", ".Contoso.example", True),
            ("app.contoso.example", "other.contoso.example", False),
            ("contoso.example", "app.contoso.example", False),
            ("evilcontoso.example", "contoso.example", False),
        ],
    )
    def test_domain(self, host: str, domain: str, kept: bool) -> None:
        """A cookie for a domain that the host does not belong to is refused."""
        jar = CookieJar()
        jar.store(f"https://{host}/", [f"a=1; Domain={domain}"])
        assert jar.names(f"https://{host}/") == ["a"] * kept
        assert jar.names(f"https://{domain}/") in ([], ["a"] * (host == domain))

    @pytest.mark.parametrize(
        ("attributes", "method", "initiator", "frame", "sent"),
        [
            ("SameSite=Lax", "GET", None, False, True),
            ("SameSite=Lax", "GET", ELSEWHERE, False, True),
            ("SameSite=Lax", "POST", ELSEWHERE, False, False),
            ("SameSite=Lax", "POST", "http://localhost:9/", False, True),
            ("SameSite=Lax", "GET", ELSEWHERE, True, False),
            ("SameSite=Strict", "GET", ELSEWHERE, False, False),
            ("SameSite=Strict", "GET", PLAIN, False, True),
            ("SameSite=None; Secure", "POST", ELSEWHERE, True, True),
            ("", "POST", ELSEWHERE, False, True),
            ("Path=/deep", "GET", None, False, False),
        ],
    )
    def test_sends(
        self,
        attributes: str,
        method: str,
        initiator: str | None,
        frame: bool,
        sent: bool,
    ) -> None:
        """Cookies that a browser sends, by SameSite, path and cause of the request."""
        jar = CookieJar()
        jar.store(PLAIN, [f"a=1; {attributes}"])
        assert jar.header(PLAIN, method, initiator, frame) == ("a=1" if sent else "")

    def test_lax_by_default_after_two_minutes(
        self, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """Chromium's exception for young cookies without SameSite ends."""
        jar = CookieJar()
        jar.store(PLAIN, ["a=1"])
        later = time.time() + 121
        monkeypatch.setattr(time, "time", lambda: later)
        assert jar.header(PLAIN, "POST", ELSEWHERE, False) == ""

    def test_longer_paths_first_and_values_as_they_are(self) -> None:
        """The order is RFC 6265's; quotes stay, and an expired cookie goes."""
        jar = CookieJar()
        jar.store(PLAIN, ['a="x y"; Path=/', "b=2; Path=/deep", "gone=1; Max-Age=60"])
        jar.store(PLAIN, ["gone=; Max-Age=0"])
        assert jar.header(f"{PLAIN}deep/er", "GET", None, False) == 'b=2; a="x y"'
        assert jar.get(PLAIN, "b") == "2"
        jar.clear(PLAIN, "b")
        assert jar.names(PLAIN) == ["a"]
        jar.clear()
        assert jar.names(PLAIN) == []


@pytest.mark.parametrize(
    ("chain", "site"),
    [
        ((), "none"),
        ((PLAIN,), "same-origin"),
        (("http://localhost:9/",), "same-site"),
        ((PLAIN, ELSEWHERE), "cross-site"),
        ((TLS,), "cross-site"),
    ],
)
def test_fetch_site(chain: tuple[str, ...], site: str) -> None:
    """Sec-Fetch-Site is the farthest of all that led to the request."""
    assert fetch_site(chain, PLAIN) == site


class TestRequests:
    def test_address_bar_and_forms(self, entra: Emulator) -> None:
        """A typed address has no initiator; a form names its origin."""
        person = entra.person()
        with entra.serve(make_app()) as base:
            typed = person.get(f"{base}/see").json()
            posted = person.post(f"{base}/see", {"a": "1"}).json()
            foreign = person.post(f"{base}/see", chain=("https://evil.example/x",))
        assert (typed["Sec-Fetch-Site"], typed["Referer"]) == ("none", None)
        assert (posted["Sec-Fetch-Site"], posted["Origin"]) == ("same-origin", base)
        assert posted["form"] == {"a": "1"}
        assert foreign.json()["Sec-Fetch-Site"] == "cross-site"
        assert foreign.json()["Referer"] == "https://evil.example/"

    @pytest.mark.parametrize("data", [{}, {"a": "1"}])
    def test_type_of_a_form(self, entra: Emulator, data: dict[str, str]) -> None:
        """A form has its type, also one that is a button alone."""
        with entra.serve(make_app()) as base:
            posted = entra.person().post(f"{base}/see", data).json()
        assert posted["Content-Type"] == "application/x-www-form-urlencoded"

    def test_visit_follows_redirects(self, entra: Emulator) -> None:
        """302 becomes a GET, 307 keeps the form, and a circle ends in an error."""
        person = entra.person()
        with entra.serve(make_app()) as base:
            assert person.visit(f"{base}/away?to=/see").json()["form"] == {}
            assert person.visit(f"{base}/again", {"a": "1"}).json()["form"] == {
                "a": "1"
            }
            with pytest.raises(RuntimeError, match="redirect loop"):
                person.visit(f"{base}/round")
        assert person.history[:2] == [f"{base}/away?to=/see", f"{base}/see"]

    def test_https_and_host_cookies(self, entra: Emulator) -> None:
        """An app on https, with the emulator's certificate, gets its __Host- cookie."""
        person = entra.person()
        with entra.serve(make_app(), https=True) as base:
            person.get(f"{base}/set")
            cookies = person.get(f"{base}/see").json()["Cookie"]
        assert cookies == "plain=1; __Host-strong=2"

    def test_submit(self, entra: Emulator) -> None:
        """Forms go with what they hold, the pressed button and what is entered."""
        person = entra.person()
        with entra.serve(make_app()) as base:
            page = person.get(f"{base}/form")
            posted = person.submit(page, a="9").json()["form"]
            searched = person.submit(page, "Find").json()["query"]
            with pytest.raises(LookupError, match="no button nothing"):
                person.submit(page, "nothing")
        assert posted == {"a": "9", "c": "on", "t": "text", "b": "go"}
        assert searched == {"q": "2"}

    def test_sign_in_to_a_listening_app(self, client: MsalClient) -> None:
        """``visit`` goes through the pages and ends at the app."""
        with client.entra.serve(make_app()) as base:
            url = client.authorize_url(
                redirect_uri=f"{base}/see", response_mode="form_post"
            )
            page = client.person.visit(url)
        assert page.json()["form"]["state"] == "the-state"
        assert client.person.pages == ["pick", "consent", "form_post"]

    def test_answers_print_no_code(self, client: MsalClient) -> None:
        """An answer's repr leaves its fields out."""
        answer = client.authorize(response_mode="form_post")
        assert answer.params["code"] not in repr(answer)


def test_page_reads_frames_and_refresh() -> None:
    """Frames and a refresh are found, relative to the page."""
    text = """<meta http-equiv="refresh" content="2;url=/next"><iframe src="/f">"""
    page = Page("http://localhost/a/b", text)
    assert (page.frames, page.refresh) == (
        ["http://localhost/f"],
        "http://localhost/next",
    )


@pytest.mark.parametrize(
    "content",
    ["0;URL=/next", "0; Url = '/next'", '1,url="/next"', "0 ; /next", " 2;url=/next "],
)
def test_refresh_in_any_spelling(content: str) -> None:
    """Case, quotes and spaces of a refresh are as free as in a browser."""
    assert refresh_target("http://localhost/a", content) == "http://localhost/next"


def test_quotes_in_a_refresh() -> None:
    """A quote counts at the beginning only; all else is of the URL."""
    for content, url in {
        "0; url=/a?b='c'&d=\"e\"": "/a?b='c'&d=\"e\"",
        "0; url='/a'b": "/a",
        "0; url='/a?b=\"c\"'": '/a?b="c"',
    }.items():
        assert refresh_target("http://localhost/", content) == f"http://localhost{url}"


@pytest.mark.parametrize(
    "content", ["", "0", "0;", "0;url=", "30;url=/next", "x;url=/"]
)
def test_no_refresh(content: str) -> None:
    """A refresh that leads nowhere, or later, is not followed."""
    assert refresh_target("http://localhost/a", content) is None
