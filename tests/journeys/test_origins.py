"""Sign-ins whose page is open at another origin than the redirect URI's.

They work, or the browser goes to the right one first, or the log has both addresses.
"""

from __future__ import annotations

import collections.abc as cabc
import contextlib
import logging
import typing as t
import urllib.parse
from pathlib import Path

import pytest
import requests
from flask import request
from werkzeug.middleware.proxy_fix import ProxyFix

from flask_msal_errors.testing import Emulator
from flask_msal_errors.testing import Person
from support import hosts
from support.browsing import links_of
from support.live_app import LiveApp
from support.waiting import PATIENCE

pytestmark = pytest.mark.once

DEEP = "/me?x=1&y=%2F%25&z=a+b"
Front = cabc.Callable[[dict[str, t.Any]], None]


@contextlib.contextmanager
def fronted(
    entra: Emulator,
    folder: Path,
    front: Front = lambda _: None,
    *,
    https: bool = False,
    fixed: bool = False,
    uri: str = "{url}",
    **config: t.Any,
) -> cabc.Iterator[LiveApp]:
    """A running app behind a proxy that changes the environ of requests.

    :param fixed: the app uses ProxyFix.
    :param uri: beginning of the redirect URI; ``{url}`` and ``{port}`` are the proxy's.
    """
    apps: list[LiveApp] = []

    def proxied(environ: t.Any, start: t.Any) -> t.Any:
        front(environ)
        return apps[0].app.wsgi_app(environ, start)

    with entra.serve(proxied, https=https) as url:
        values = {"url": url, "port": urllib.parse.urlsplit(url).port}
        if uri:
            config["MSAL_REDIRECT_URI"] = f"{uri.format(**values)}/auth/callback"
        config = {
            k: v.format(**values) if isinstance(v, str) and k == "SERVER_NAME" else v
            for k, v in config.items()
        }
        live = LiveApp(entra, folder, **config)
        if fixed:
            inner = live.app.wsgi_app
            live.app.wsgi_app = ProxyFix(inner, x_host=1, x_prefix=1)  # type: ignore[method-assign]
        live.url = url
        apps.append(live)
        yield live


def named(url: str, host: str) -> str:
    """A URL with another name of this machine."""
    return url.replace("localhost", host, 1)


def anywhere(entra: Emulator) -> Person:
    """A person whose browser finds every host on this machine."""
    return Person(entra.tenant.pages_url, entra.ca_file, http=hosts.session())


def lines(caplog: pytest.LogCaptureFixture, words: str) -> list[str]:
    """The lines of the log that hold these words."""
    found = [r.getMessage() for r in caplog.records if r.levelno >= logging.INFO]
    return [line for line in found if words in line]


def steps(person: Person, live: LiveApp) -> list[str]:
    """The URLs of the app that a person's browser asked for."""
    port = f":{urllib.parse.urlsplit(live.url).port}"
    return [url for url in person.history if port in url]


@pytest.fixture(autouse=True)
def _all_levels(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO, "flask_msal_errors")


class TestLoopback:
    @pytest.mark.parametrize("mode", ["query", "form_post"])
    @pytest.mark.parametrize("path", [DEEP, "/profile", "/auth/login?next=%2Fme"])
    def test_moved(
        self,
        entra: Emulator,
        tmp_path: Path,
        caplog: pytest.LogCaptureFixture,
        mode: str,
        path: str,
    ) -> None:
        """A page that is opened at 127.0.0.1 is shown at localhost, signed in."""
        with fronted(entra, tmp_path, MSAL_RESPONSE_MODE=mode) as live:
            person = entra.person()
            page = person.visit(named(live.url, "127.0.0.1") + path)
            assert page.status_code == 200
            assert page.url == live.url + ("/me" if "next=" in path else path)
            assert steps(person, live)[1] == live.url + path
            (line,) = lines(caplog, "127.0.0.1")
            assert f"at {named(live.url, '127.0.0.1')} goes to {live.url} " in line
            assert person.visit(live.url + DEEP).status_code == 200

    def test_by_server_name(
        self, entra: Emulator, tmp_path: Path, caplog: pytest.LogCaptureFixture
    ) -> None:
        """Without a redirect URI, SERVER_NAME says where the callback is."""
        name = "localhost:{port}"
        with fronted(entra, tmp_path, uri="", SERVER_NAME=name) as live:
            if "TRUSTED_HOSTS" not in live.app.config:
                pytest.skip("Before 3.1, Flask has no pages at other hosts")
            person = entra.person()
            page = person.visit(named(live.url, "127.0.0.1") + DEEP)
            assert (page.status_code, page.url) == (200, live.url + DEEP)
            assert lines(caplog, "127.0.0.1")

    def test_signed_in(self, entra: Emulator, tmp_path: Path) -> None:
        """A user stays where they are signed in."""
        seen = {"host": ""}

        def front(environ: dict[str, t.Any]) -> None:
            environ["HTTP_HOST"] = seen["host"] or environ["HTTP_HOST"]

        with fronted(entra, tmp_path, front) as live:
            person = entra.person()
            assert person.visit(live.url + "/me").status_code == 200
            seen["host"] = "another.example"
            assert person.visit(live.url + "/vault").text == "the vault"

    def test_programs(
        self, entra: Emulator, tmp_path: Path, caplog: pytest.LogCaptureFixture
    ) -> None:
        """A script is not redirected; its login URL leads to a sign-in that works."""
        with fronted(entra, tmp_path) as live:
            there = named(live.url, "127.0.0.1")
            person = entra.person()
            headers = {"Sec-Fetch-Mode": "cors", "Accept": "application/json"}
            refused = person.get(there + "/me", headers=headers)
            assert refused.status_code == 401
            page = person.visit(
                urllib.parse.urljoin(there, refused.json()["login_url"])
            )
            assert page.status_code == 200
            assert page.url.startswith(live.url)
            assert lines(caplog, there) and lines(caplog, live.url)


class TestProxies:
    """A front that hides something, or says it; each ends signed in at the page."""

    FRONTS: t.ClassVar[dict[str, tuple[bool, dict[str, str], bool, str]]] = {
        "hides TLS": (True, {"wsgi.url_scheme": "http"}, False, "WARNING"),
        "forwards the scheme": (
            True,
            {"wsgi.url_scheme": "http", "HTTP_X_FORWARDED_PROTO": "https"},
            True,
            "",
        ),
        "forwards it in vain": (
            True,
            {"wsgi.url_scheme": "http", "HTTP_X_FORWARDED_PROTO": "https"},
            False,
            "WARNING",
        ),
        "rewrites Host": (False, {"HTTP_HOST": "app:8000"}, False, "WARNING"),
        "rewrites Host to its address": (
            False,
            {"HTTP_HOST": "127.0.0.1:8000"},
            False,
            "WARNING",
        ),
        "both": (
            True,
            {"HTTP_HOST": "app:8000", "wsgi.url_scheme": "http"},
            False,
            "WARNING",
        ),
    }

    @pytest.mark.parametrize("mode", ["query", "form_post"])
    @pytest.mark.parametrize(
        ("https", "changes", "fixed", "level"), FRONTS.values(), ids=FRONTS
    )
    def test_works(
        self,
        entra: Emulator,
        tmp_path: Path,
        caplog: pytest.LogCaptureFixture,
        https: bool,
        changes: dict[str, str],
        fixed: bool,
        level: str,
        mode: str,
    ) -> None:
        """At most one redirect more, and a line that has both addresses."""

        def front(environ: dict[str, t.Any]) -> None:
            environ.update(changes)

        options: dict[str, t.Any] = {"https": https, "fixed": fixed}
        options["MSAL_RESPONSE_MODE"] = mode
        with fronted(entra, tmp_path, front, **options) as live:
            person = entra.person()
            page = person.visit(live.url + DEEP)
            assert (page.status_code, page.url) == (200, live.url + DEEP)
            assert steps(person, live).count(live.url + DEEP) <= 3
            told = [r for r in caplog.records if "ProxyFix" in r.getMessage()]
            assert [r.levelname for r in told] == ([level] if level else [])
            for record in told:
                assert live.url in record.getMessage()
                came = changes.get("HTTP_HOST", live.url.partition("//")[2])
                assert f"//{came}" in record.getMessage()

    @pytest.mark.parametrize("chosen", ["", "/"])
    def test_signs_out(self, entra: Emulator, tmp_path: Path, chosen: str) -> None:
        """A sign-out leads back to the address that browsers see."""

        def front(environ: dict[str, t.Any]) -> None:
            environ["HTTP_HOST"] = "127.0.0.1:8000"

        with fronted(entra, tmp_path, front, MSAL_POST_LOGOUT=chosen) as live:
            person = entra.person()
            person.visit(live.url + "/me")
            out = person.submit(person.get(live.url + "/auth/logout"))
            assert out.url == live.url + (chosen or "/auth/signed-out")

    def test_without_cookies(self, entra: Emulator, tmp_path: Path) -> None:
        """A client that keeps no cookies comes to the sign-in after a few redirects."""

        def front(environ: dict[str, t.Any]) -> None:
            environ["HTTP_HOST"] = "another.localhost:8000"

        with fronted(entra, tmp_path, front) as live:
            places = [
                requests.get(
                    live.url + "/me",
                    headers={"Accept": "text/html"},
                    allow_redirects=False,
                    timeout=PATIENCE,
                ).headers["Location"]
                for _ in range(7)
            ]
            assert places[0] == live.url + "/me"
            assert not places[-1].startswith(live.url)

    def test_from_another_name(self, entra: Emulator, tmp_path: Path) -> None:
        """A rewritten Host, opened at www: two redirects at most."""

        def front(environ: dict[str, t.Any]) -> None:
            environ["HTTP_HOST"] = "app:8000"

        uri = "https://shop.example:{port}"
        with fronted(entra, tmp_path, front, https=True, uri=uri) as live:
            entra.redirect_uris = {named(live.url, "shop.example") + "/auth/callback"}
            person = anywhere(entra)
            page = person.visit(named(live.url, "www.shop.example") + "/me")
            there = named(live.url, "shop.example") + "/me"
            assert (page.status_code, page.url) == (200, there)
            assert steps(person, live)[:3] == [
                named(live.url, "www.shop.example") + "/me",
                there,
                there,
            ]


class TestPrefix:
    @pytest.mark.parametrize("mode", ["query", "form_post"])
    @pytest.mark.parametrize("host", ["localhost", "127.0.0.1"])
    def test_taken_away(
        self,
        entra: Emulator,
        tmp_path: Path,
        caplog: pytest.LogCaptureFixture,
        mode: str,
        host: str,
    ) -> None:
        """A proxy strips /portal and says nothing: the user is back below it."""
        outside: list[str] = []

        def front(environ: dict[str, t.Any]) -> None:
            path = environ["PATH_INFO"]
            outside.extend([] if path.startswith("/portal/") else [path])
            environ["PATH_INFO"] = path.removeprefix("/portal")

        options: dict[str, t.Any] = {"uri": "{url}/portal"}
        options["MSAL_RESPONSE_MODE"] = mode
        with fronted(entra, tmp_path, front, **options) as live:
            person = entra.person()
            page = person.visit(named(live.url, host) + f"/portal{DEEP}")
            assert (page.status_code, page.url) == (200, f"{live.url}/portal{DEEP}")
            assert outside == []
            assert lines(caplog, "x_prefix")

    def test_pages(self, entra: Emulator, tmp_path: Path) -> None:
        """Links, forms and style sheets of our pages are below the path, too."""
        outside: list[str] = []

        def front(environ: dict[str, t.Any]) -> None:
            path = environ["PATH_INFO"]
            outside.extend([] if path.startswith("/portal/") else [path])
            environ["PATH_INFO"] = path.removeprefix("/portal")

        with fronted(entra, tmp_path, front, uri="{url}/portal") as live:
            site = live.url + "/portal"

            @live.app.post("/order")
            @live.auth.login_required(acrs="c1")
            def order() -> str:
                return f"ordered {request.form['what']}"

            person = entra.person()
            scripted = {"Sec-Fetch-Mode": "cors", "Accept": "application/json"}
            refused = person.get(site + "/me", headers=scripted).json()
            assert refused["login_url"].startswith("/portal/auth/login?ticket=")
            assert person.visit(site + "/me").status_code == 200
            ordered = person.visit(site + "/order", {"what": "tea"})
            assert (ordered.url, ordered.text) == (site + "/order", "ordered tea")
            lost = person.get(site + "/auth/callback?code=x&state=y")
            assert 'href="/portal/auth/static/msal.css"' in lost.text
            assert all(link.startswith("/portal/") for link in links_of(lost))
            out = person.get(site + "/auth/logout")
            assert 'action="/portal/auth/logout"' in out.text
            assert person.submit(out).url == site + "/auth/signed-out"
            assert outside == []

    @pytest.mark.parametrize(
        ("page", "back"),
        [
            ("/portal/?tab=1", "/portal/?tab=1"),
            ("/portal?tab=1", "/portal/?tab=1"),
            ("/portal", "/portal/"),
            ("/portals/mail", "/portal/"),
            ("/portalhttps://evil.example/", "/portal/"),
            ("/portal//evil.example/", "/portal/"),
            ("/other/mail", "/portal/"),
        ],
    )
    def test_page_of_a_script(
        self, entra: Emulator, tmp_path: Path, page: str, back: str
    ) -> None:
        """A refused script leads back to its page, if that is below the path."""

        def front(environ: dict[str, t.Any]) -> None:
            path = environ["PATH_INFO"]
            environ["PATH_INFO"] = path.removeprefix("/portal") or "/"

        with fronted(entra, tmp_path, front, uri="{url}/portal") as live:
            person = entra.person()
            scripted = {"Sec-Fetch-Mode": "cors", "Referer": live.url + page}
            refused = person.get(f"{live.url}/portal/me", headers=scripted).json()
            assert person.visit(live.url + refused["login_url"]).url == live.url + back

    def test_forwarded(
        self, entra: Emulator, tmp_path: Path, caplog: pytest.LogCaptureFixture
    ) -> None:
        """A proxy that says so, and ProxyFix: nothing has to be told."""

        def front(environ: dict[str, t.Any]) -> None:
            environ["PATH_INFO"] = environ["PATH_INFO"].removeprefix("/portal")
            environ["HTTP_X_FORWARDED_PREFIX"] = "/portal"

        with fronted(entra, tmp_path, front, uri="{url}/portal", fixed=True) as live:
            person = entra.person()
            page = person.visit(f"{live.url}/portal{DEEP}")
            assert (page.status_code, page.url) == (200, f"{live.url}/portal{DEEP}")
            assert not lines(caplog, "ProxyFix")


class TestAttacks:
    @pytest.mark.parametrize(
        "host",
        ["evil.example", "evil.example:1", "user@evil.example", "evil/"],
    )
    def test_forged_host(self, entra: Emulator, tmp_path: Path, host: str) -> None:
        """A forged Host leads to the redirect URI's origin, which nobody caches."""
        with fronted(entra, tmp_path, uri="https://shop.example") as live:
            answer = requests.get(
                live.url + DEEP,
                headers={"Host": host, "Accept": "text/html"},
                allow_redirects=False,
                timeout=PATIENCE,
            )
            assert answer.headers["Location"] == f"https://shop.example{DEEP}"
            assert answer.headers["Cache-Control"] == "no-store"

    @pytest.mark.parametrize("uri", ["", "https://shop.example"])
    @pytest.mark.parametrize("host", ["x" * 900, "a b"])
    def test_impossible_host(
        self, entra: Emulator, tmp_path: Path, uri: str, host: str
    ) -> None:
        """A host that nobody can have is refused, also where all pages are guarded."""
        with fronted(entra, tmp_path, uri=uri) as live:
            live.app.before_request(live.auth.require_login)
            answer = requests.get(
                live.url + "/",
                headers={"Host": host, "Accept": "text/html"},
                allow_redirects=False,
                timeout=PATIENCE,
            )
            assert answer.status_code in (302, 400)
            place = answer.headers.get("Location", f"{uri}/")
            assert not uri or place == f"{uri}/"

    def test_no_host(self, entra: Emulator, tmp_path: Path) -> None:
        """An empty host is never a redirect URI's."""
        with fronted(entra, tmp_path, uri="") as live:
            answer = requests.get(
                live.url + DEEP,
                headers={"Host": "a b/", "Accept": "text/html"},
                allow_redirects=False,
                timeout=PATIENCE,
            )
            sent = urllib.parse.unquote(answer.headers.get("Location", ""))
            assert ":///" not in sent

    @pytest.mark.parametrize("path", ["//evil.example/me", "/%2F%2Fevil.example"])
    def test_paths(self, entra: Emulator, tmp_path: Path, path: str) -> None:
        """A path that browsers take for a host leads nowhere else."""
        with fronted(entra, tmp_path) as live:
            url = named(live.url, "127.0.0.1") + path
            answer = requests.get(url, allow_redirects=False, timeout=PATIENCE)
            assert not answer.headers.get("Location", "").startswith("//")

    def test_mark_is_worth_nothing(self, entra: Emulator, tmp_path: Path) -> None:
        """A planted mark brings back what is so without any redirect: a log line."""
        with fronted(entra, tmp_path) as live:
            there = named(live.url, "127.0.0.1")
            person = entra.person()
            moved = person.get(there + "/me")
            assert moved.headers["Location"] == live.url + "/me"
            begun = person.get(there + "/me")
            assert not begun.headers["Location"].startswith(live.url)
