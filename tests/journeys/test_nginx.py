"""An app behind nginx, as people configure it: TLS, Host, forwarded headers, a path."""

from __future__ import annotations

import collections.abc as cabc
import contextlib
import dataclasses
import secrets
import typing as t
import urllib.parse
from pathlib import Path

import pytest
from werkzeug.middleware.proxy_fix import ProxyFix

from flask_msal_errors.testing import Emulator
from flask_msal_errors.testing import Person
from support import hosts
from support.browsing import links_of
from support.cluster import LINUX
from support.live_app import LiveApp
from support.nginx import Nginx

pytestmark = [pytest.mark.once, LINUX]
DEEP = "/me?x=1&y=%2F%25"
#: Headers that nginx adds only if it is told.
FORWARDED = """
    proxy_set_header X-Forwarded-Proto $scheme;
    proxy_set_header X-Forwarded-Host $http_host;"""
HOST = "proxy_set_header Host $http_host;"
PREFIX = "proxy_set_header X-Forwarded-Prefix /portal;"
#: Its default, where a page of memory has 4 KB.
SMALL = """
    proxy_buffer_size 4k; proxy_buffers 8 4k; proxy_busy_buffers_size 8k;"""


@dataclasses.dataclass(frozen=True)
class Case:
    """A configuration of nginx and of the app.

    ``fixed``: arguments of ProxyFix. ``uri``: ``MSAL_REDIRECT_URI`` is set. ``told``:
    words of the only warning.
    """

    directives: str = ""
    fixed: dict[str, int] | None = None
    uri: bool = True
    path: str = ""
    told: str = ""


CASES = {
    "nothing is forwarded": Case(told="ProxyFix"),
    "Host": Case(HOST, told="ProxyFix"),
    "all, and ProxyFix": Case(HOST + FORWARDED, {"x_host": 1}, uri=False),
    "all but Host, and ProxyFix": Case(FORWARDED, {"x_host": 1}, uri=False),
    "all, and ProxyFix and a redirect URI": Case(HOST + FORWARDED, {"x_host": 1}),
    "all, but no ProxyFix": Case(HOST + FORWARDED, told="ProxyFix"),
    "the path, and ProxyFix": Case(
        HOST + FORWARDED + PREFIX, {"x_host": 1, "x_prefix": 1}, False, "/portal"
    ),
    "the path, and ProxyFix and a redirect URI": Case(
        HOST + FORWARDED + PREFIX, {"x_host": 1, "x_prefix": 1}, path="/portal"
    ),
    "not the path": Case(
        HOST + FORWARDED, {"x_host": 1}, path="/portal", told="x_prefix=1"
    ),
    "not the path, but nginx puts it back": Case(
        HOST + FORWARDED + "proxy_redirect / /portal/;",
        {"x_host": 1},
        path="/portal",
        told="x_prefix=1",
    ),
    "the path, but no ProxyFix for it": Case(
        HOST + FORWARDED + PREFIX, {"x_host": 1}, path="/portal", told="x_prefix=1"
    ),
}


class Site:
    """An app behind nginx, at the names ``shop.example`` and ``www.shop.example``."""

    def __init__(self, live: LiveApp, port: int, path: str) -> None:
        self.live = live
        self.url = f"https://shop.example:{port}{path}"
        self.www = self.url.replace("shop", "www.shop", 1)

    def person(self) -> Person:
        entra = self.live.entra
        entra.redirect_uris = {f"{self.url}/auth/callback"}
        return Person(entra.tenant.pages_url, entra.ca_file, http=hosts.session())


Run = cabc.Callable[..., Site]


@pytest.fixture
def run(entra: Emulator, tmp_path: Path, nginx_executable: str) -> cabc.Iterator[Run]:
    """A function that starts nginx and the app of a case."""
    with contextlib.ExitStack() as stack:

        def start(case: Case, **config: t.Any) -> Site:
            locations = (
                f"location {case.path}/ {{ proxy_pass {{app}}/; {case.directives} }}"
                if case.path
                else f"location / {{ proxy_pass {{app}}; {case.directives} }}"
            )
            nginx = Nginx(tmp_path, nginx_executable, entra, locations)
            stack.callback(nginx.close)
            place = f"https://shop.example:{nginx.port}{case.path}"
            if case.uri:
                config["MSAL_REDIRECT_URI"] = f"{place}/auth/callback"
            folder = tmp_path / "app"
            folder.mkdir()
            live = LiveApp(entra, folder, **config)
            if case.fixed is not None:
                fixed = ProxyFix(live.app.wsgi_app, **case.fixed)
                live.app.wsgi_app = fixed  # type: ignore[method-assign]
            stack.enter_context(live)
            port = urllib.parse.urlsplit(live.url).port
            nginx.serve(f"http://127.0.0.1:{port}")
            return Site(live, nginx.port, case.path)

        yield start


def warnings(caplog: pytest.LogCaptureFixture) -> list[str]:
    """The lines that tell an operator of addresses."""
    found = [r.getMessage() for r in caplog.records if r.levelname == "WARNING"]
    return [line for line in found if "https://shop.example" in line]


@pytest.mark.parametrize("mode", ["query", "form_post"])
@pytest.mark.parametrize("case", CASES.values(), ids=CASES)
def test_signs_in(
    run: Run, caplog: pytest.LogCaptureFixture, case: Case, mode: str
) -> None:
    """A sign-in ends at the very page; what is not right is told once, with both."""
    site = run(case, MSAL_RESPONSE_MODE=mode)
    for name in ("ada", "grace"):
        person = site.person()
        person.name = name
        page = person.visit(site.url + DEEP)
        assert (page.status_code, page.url) == (200, site.url + DEEP)
        assert page.text == f"me {name}@contoso.example"
        # One more redirect at most, where the proxy hides where the browser is.
        assert person.history.count(site.url + DEEP) <= 3
    told = warnings(caplog)
    assert len(told) == bool(case.told), told
    assert all(case.told in line for line in told)


@pytest.mark.parametrize("mode", ["query", "form_post"])
@pytest.mark.parametrize("length", [249, 2000])
@pytest.mark.parametrize("buffers", ["", SMALL], ids=["16k", "default"])
def test_long_link(run: Run, mode: str, length: int, buffers: str) -> None:
    """A visitor's link of 2 KB fits, with nginx's default buffers, too."""
    site = run(Case(HOST + FORWARDED + buffers, {"x_host": 1}), MSAL_RESPONSE_MODE=mode)
    page = f"{site.url}/me?invited={secrets.token_urlsafe(length)[:length]}"
    shown = site.person().visit(page)
    assert (shown.status_code, shown.url) == (200, page)


@pytest.mark.parametrize("mode", ["query", "form_post"])
@pytest.mark.parametrize("length", [2700, 3300, 3900])
def test_longer_link(run: Run, mode: str, length: int) -> None:
    """Of a longer one that does not fit, a page says so, and how to come back.

    Nothing else than its letters were in the cookie: others can be compressed.
    """
    site = run(Case(HOST + FORWARDED + SMALL, {"x_host": 1}), MSAL_RESPONSE_MODE=mode)
    person, token = site.person(), secrets.token_urlsafe(length)[:length]
    page = f"{site.url}/me?invited={token}"
    told = person.visit(page)
    assert (told.status_code, told.url) == (401, page)
    assert "address of this page is too long" in told.text
    way_on = urllib.parse.urljoin(page, links_of(told)[0])
    assert person.visit(way_on).url == f"{site.url}/"
    assert person.visit(page).text == "me ada@contoso.example"


@pytest.mark.parametrize("mode", ["query", "form_post"])
@pytest.mark.parametrize("length", [2700, 3500, 6000])
@pytest.mark.parametrize(
    ("path", "prefix"), [("", ""), ("/portal", PREFIX), ("/portal", "")]
)
def test_user_on_a_longer_page(
    run: Run, mode: str, length: int, path: str, prefix: str
) -> None:
    """A signed-in user comes back to a page of any length that the servers take.

    Also where the proxy takes the beginning of the path away, and tells it or not.
    """
    fixed = {"x_host": 1, "x_prefix": 1} if prefix else {"x_host": 1}
    case = Case(HOST + FORWARDED + SMALL + prefix, fixed, path=path)
    site = run(case, MSAL_RESPONSE_MODE=mode)
    person = site.person()
    person.visit(f"{site.url}/me")
    page = f"{site.url}/vault?a=1&b={secrets.token_urlsafe(length)[:length]}"
    shown = person.visit(page)
    assert (shown.text, shown.url) == ("the vault", page)


@pytest.mark.parametrize("length", [2700, 3300, 3900])
def test_script_on_a_longer_page(run: Run, length: int) -> None:
    """A script gets a link to the sign-in that nginx lets through, to the page's path.

    The whole page is in it if that fits.
    """
    site = run(Case(HOST + FORWARDED + SMALL, {"x_host": 1}))
    person = site.person()
    person.visit(f"{site.url}/me")
    page = f"{site.url}/me?invited={secrets.token_urlsafe(length)[:length]}"
    headers = {"Referer": page, "Sec-Fetch-Mode": "cors", "Sec-Fetch-Dest": "empty"}
    answer = person.get(f"{site.url}/vault", headers=headers)
    assert answer.status_code == 401
    assert answer.headers["HX-Redirect"] == answer.json()["login_url"]
    shown = person.visit(urllib.parse.urljoin(page, answer.json()["login_url"]))
    assert shown.url == (page if length < 3000 else f"{site.url}/me")
    assert person.visit(f"{site.url}/vault").text == "the vault"


@pytest.mark.parametrize("directives", ["", HOST, HOST + FORWARDED])
@pytest.mark.parametrize("path", ["", "/portal"])
def test_another_name(run: Run, directives: str, path: str) -> None:
    """A page that is opened at www is shown at the redirect URI's host.

    But if nginx sends its own name for the app's address: then nobody can tell.
    """
    site = run(Case(directives, path=path))
    person = site.person()
    page = person.visit(site.www + DEEP)
    if directives:
        assert (page.status_code, page.url) == (200, site.url + DEEP)
        assert person.history[1] == site.url + DEEP
    else:
        assert page.status_code == 400
        assert person.visit(site.url + DEEP).status_code == 200
