"""The pages themselves: for everybody, without scripts, on any screen."""

from __future__ import annotations

import html.parser
import re
from pathlib import Path

import pytest
from flask import Flask
from flask import redirect
from flask import session
from jinja2 import FileSystemLoader

import flask_msal_errors
from flask_msal_errors import InteractionRequired
from flask_msal_errors import MsalAuthError
from flask_msal_errors import ReauthenticationLoop
from flask_msal_errors import ServiceUnavailable
from flask_msal_errors import StateMismatch
from flask_msal_errors import Throttled
from flask_msal_errors import TokenError
from flask_msal_errors.errors import OtherAccount
from flask_msal_errors.navigation import Outside
from flask_msal_errors.state import of_request
from flask_msal_errors.testing import Emulator
from flask_msal_errors.web import pages
from support import session_apps
from support.live_app import LiveApp

PACKAGE = Path(flask_msal_errors.__file__).parent
SHEET = (PACKAGE / "web/static/msal.css").read_text("utf-8")
NASTY = '"><script>alert(1)</script>'


class Outline(html.parser.HTMLParser):
    """The parts of a page that matter to people who cannot see it."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))

    def all(self, tag: str) -> list[dict[str, str | None]]:
        return [attrs for name, attrs in self.tags if name == tag]


def sign_in(handle: str = "handle", name: str = "ada@contoso.example") -> None:
    claims = {"iss": "i", "sub": "s", "preferred_username": name}
    kept = {"handle": handle, "claims": claims, "renew_at": 1 << 40, "since": 1}
    session[session_apps.own_key()] = kept


def shown(app: Flask, what: str) -> str:
    """The text of each of our pages, by name."""
    error = {
        "other": OtherAccount(NASTY, "grace"),
        "loop": ReauthenticationLoop(party="API", codes=[50076]),
        "throttled": Throttled(retry_after=30),
        "mismatch": StateMismatch("x"),
        "interaction": InteractionRequired(NASTY, error=NASTY),
    }
    headers = {"Accept": "text/html", "Sec-Fetch-Mode": "navigate"}
    method = "POST" if what == "interaction" else "GET"
    with app.test_request_context("/mail", method=method, headers=headers):
        sign_in(name=NASTY)
        if what in error:
            response = pages.error(error[what])
        elif what == "logout":
            response = pages.ask_logout()
        else:
            if what == "signed out":
                session.clear()
            response = pages.signed_out()
        return response.get_data(as_text=True)


PAGES = (
    *("other", "loop", "throttled", "mismatch", "interaction", "logout"),
    *("signed out", "still signed in"),
)


class TestAdministrator:
    @pytest.mark.parametrize(
        ("error", "code", "told"),
        [
            ("invalid_resource", 500011, True),
            ("new_error", 650052, True),
            ("new_error", 99999, False),
            ("invalid_request", 90014, False),
        ],
    )
    def test_told(self, app: Flask, error: str, code: int, told: bool) -> None:
        """An error that an administrator resolves says so, and never that time may."""
        result = {"error": error, "error_codes": [code], "correlation_id": "c0de"}
        headers = {"Accept": "text/html", "Sec-Fetch-Mode": "navigate"}
        with app.test_request_context("/mail", headers=headers):
            page = pages.error(TokenError(result=result)).get_data(as_text=True)
        assert ("An administrator of your organisation" in page) is told
        assert ("again later may help" in page) is not told
        assert f"AADSTS{code}" in page
        assert "c0de" in page


class TestEveryPage:
    @pytest.mark.parametrize("what", PAGES)
    def test_outline(self, app: Flask, what: str) -> None:
        """A language, a title, one heading, and controls with words on them."""
        text = shown(app, what)
        outline = Outline(text)
        assert outline.all("html") == [{"lang": "en"}]
        assert len(outline.all("h1")) == len(outline.all("title")) == 1
        assert len(outline.all("main")) == 1
        assert "width=device-width" in text
        assert all(re.findall(r"<(?:a|button)\b[^>]*>\s*\S", text))
        controls = len(outline.all("a")) + len(outline.all("button"))
        assert controls == len(re.findall(r"<(?:a|button)\b[^>]*>\s*[^<\s]", text)) > 0
        assert not any("tabindex" in attrs for _, attrs in outline.tags)

    @pytest.mark.parametrize("what", PAGES)
    def test_nothing_inline(self, app: Flask, what: str) -> None:
        """No page has a script or a style in it, and only the pause has a script."""
        outline = Outline(shown(app, what))
        scripts = [{"src": "/auth/static/wait.js", "defer": None}]
        assert outline.all("script") == (scripts if what == "throttled" else [])
        assert not outline.all("style")
        for _, attrs in outline.tags:
            assert "style" not in attrs
            assert not any(name.startswith("on") for name in attrs)

    def test_contrast(self) -> None:
        """Words stand out from their ground by WCAG AA's 4.5, also in the dark."""
        light, dark = re.findall(r":root \{(.*?)\}", SHEET, re.DOTALL)
        for block in (light, dark):
            color = dict(re.findall(r"--([\w-]+): (#\w{6})", block))
            for ink, ground in (
                ("ink", "card"),
                ("quiet", "card"),
                ("on-accent", "accent"),
                ("accent", "card"),
            ):
                assert contrast(color[ink], color[ground]) >= 4.5, (ink, ground)
        assert "prefers-color-scheme: dark" in SHEET


def contrast(one: str, other: str) -> float:
    """The contrast ratio of two colours (WCAG 2.2)."""
    light, dark = sorted((luminance(one), luminance(other)), reverse=True)
    return (light + 0.05) / (dark + 0.05)


def luminance(color: str) -> float:
    parts = [int(color[at : at + 2], 16) / 255 for at in (1, 3, 5)]
    linear = [
        c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in parts
    ]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]


class TestPause:
    @pytest.mark.parametrize(
        ("error", "method", "path", "headers", "retried"),
        [
            (Throttled(retry_after=30), "GET", "/mail", {}, True),
            (Throttled(retry_after=30), "POST", "/mail", {}, False),
            (Throttled(retry_after=30), "GET", "/auth/callback", {}, False),
            (
                Throttled(retry_after=30),
                *("GET", "/mail"),
                {"Sec-Fetch-Mode": "cors"},
                False,
            ),
            (ServiceUnavailable(retry_after=30), "GET", "/mail", {}, False),
            (ServiceUnavailable(), "GET", "/mail", {}, False),
        ],
    )
    def test_script(
        self,
        app: Flask,
        error: MsalAuthError,
        method: str,
        path: str,
        headers: dict[str, str],
        retried: bool,
    ) -> None:
        """Only a page of the app that is opened by GET is opened again by a script."""
        headers = {"Accept": "text/html", **headers}
        with app.test_request_context(path, method=method, headers=headers):
            response = pages.error(error)
        text = response.get_data(as_text=True)
        assert ("wait.js" in text) is retried
        assert ("script-src" in response.headers["Content-Security-Policy"]) is retried
        assert "Refresh" not in response.headers
        assert "http-equiv" not in text


SHIPPED = PACKAGE / "web/templates/msal/shipped"
BLOCK = re.compile(r"{% block (\w+) %}")
BLOCKS = [
    (path.stem, block)
    for path in sorted(SHIPPED.glob("*.html"))
    for block in BLOCK.findall(path.read_text("utf-8").rpartition("-#}")[2])
    if (path.stem, block) not in {("base", "title"), ("base", "content")}
]
#: The name above of each template's page.
SHOWN = {
    "base": "logout",
    "error": "throttled",
    "logout": "logout",
    "signed_out": "signed out",
}


class TestOverriding:
    @pytest.fixture
    def own(self, app: Flask, tmp_path: Path) -> Path:
        """The folder of the app's own templates for these pages."""
        folder = tmp_path / "templates" / "msal"
        folder.mkdir(parents=True)
        app.jinja_loader = FileSystemLoader(folder.parent)
        return folder

    @pytest.mark.parametrize(("name", "block"), BLOCKS)
    def test_block(self, app: Flask, own: Path, name: str, block: str) -> None:
        """An app replaces a single block of a page, or of the frame of all pages."""
        (own / f"{name}.html").write_text(
            f'{{% extends "msal/shipped/{name}.html" %}}'
            f"{{% block {block} %}}data-own{{% endblock %}}"
        )
        with app.test_request_context("/"):
            plain = {
                "ahead": lambda: pages.ahead(),
                "kept": lambda: pages.onward("kept", redirect("/sign-in"), 401),
                "leaving": lambda: pages.onward("leaving", redirect("/sign-out"), 200),
                "onward": lambda: pages.shortened(redirect(f"/?q={'x' * 3000}")),
                "resume": lambda: pages.resume("/form", "ticket"),
            }
            text = plain[name]().get_data(as_text=True) if name in plain else ""
        text = text or shown(app, SHOWN[name])
        assert "data-own" in text

    def test_listed(self) -> None:
        """The frame names every block there is."""
        notes = (SHIPPED / "base.html").read_text("utf-8").partition("-#}")[0]
        listed = set(re.findall(r"^ {2,4}(\w+)  +\w", notes, re.MULTILINE))
        assert listed == {block for _, block in BLOCKS}

    def test_every_page_can_be(self) -> None:
        """Each shipped template stands below the name that an app replaces."""
        names = {path.name for path in SHIPPED.iterdir()}
        assert names == {path.name for path in SHIPPED.parent.glob("*.html")}


class TestShortened:
    @pytest.mark.parametrize(
        "url", ["/short?a=b", f"https://login.example/?claims={'x' * 3000}"]
    )
    def test_stays(self, app: Flask, url: str) -> None:
        """A redirect with a short URL, or to another origin, stays one."""
        with app.test_request_context("/"):
            way = pages.shortened(redirect(url))
        assert (way.status_code, way.location) == (302, url)

    def test_long(self, app: Flask) -> None:
        """A long one becomes a page with the whole URL, escaped, and a button."""
        url = f"/a?b={'x' * 3000}&c=d"
        with app.test_request_context("/"):
            way = pages.shortened(redirect(url))
        escaped = url.replace("&", "&amp;")
        assert way.status_code == 200 and "Location" not in way.headers
        assert f'content="0; url={escaped}"' in way.get_data(as_text=True)
        assert f'href="{escaped}"' in way.get_data(as_text=True)

    def test_other_letters(self, app: Flask) -> None:
        """A URL is as long as it is sent: each letter of another script is six."""
        with app.test_request_context("/"):
            way = pages.shortened(redirect(f"/a?b={'ä' * 900}"))
        assert f"url=/a?b={'%C3%A4' * 900}" in way.get_data(as_text=True)

    @pytest.mark.parametrize("path", ["/me", "/portal/me", "/portalx", "/portal"])
    def test_hidden_path(self, app: Flask, path: str) -> None:
        """The part of a path that a proxy takes away is there once."""
        seen = path if path.startswith("/portal") and path != "/portalx" else ""
        with app.test_request_context("/"):
            of_request(Outside).prefix = "/portal"
            way = pages.shortened(redirect(f"{path}?b={'x' * 3000}"))
        assert f"url={seen or '/portal' + path}?b=x" in way.get_data(as_text=True)


class TestLanguage:
    @pytest.mark.parametrize("what", PAGES)
    def test_translated(self, app: Flask, what: str) -> None:
        """With Flask-Babel's kind of gettext, no word of a page stays English."""
        tags = {"language:en": "language:de-AT"}
        app.jinja_env.add_extension("jinja2.ext.i18n")
        app.jinja_env.install_gettext_callables(  # type: ignore[attr-defined]
            lambda words: tags.get(words, f"«{words}»"), max, newstyle=True
        )
        text = shown(app, what)
        assert Outline(text).all("html") == [{"lang": "de-AT"}]
        evidence = re.sub(r"<dd.*?</dd>|<!doctype html>", "", text, flags=re.DOTALL)
        words = re.sub(r"<[^>]+>", " ", evidence)
        assert re.sub("«[^»]*»", "", words).split() == []


class TestWords:
    def test_signed_out_page_is_honest(self, live: LiveApp, entra: Emulator) -> None:
        """A signed-in user who opens the good-bye page is told so."""
        person = entra.person()
        assert "You are signed out" in person.get(live.url + "/auth/signed-out").text
        person.visit(live.url + "/me")
        page = person.get(live.url + "/auth/signed-out")
        assert "signed in here as <strong>ada@contoso.example" in page.text
        assert "You are signed out" not in page.text
        shown = person.submit(person.get(live.url + "/auth/logout"))
        assert "You are signed out" in shown.text
