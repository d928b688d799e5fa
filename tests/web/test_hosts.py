"""Our routes in apps whose pages differ by host or subdomain."""

from __future__ import annotations

import contextlib
import typing as t
import urllib.parse
from pathlib import Path

import pytest
from flask import Flask
from flask import url_for

from flask_msal_errors import MsalAuth
from flask_msal_errors.testing import Emulator
from flask_msal_errors.testing import Person
from support import hosts
from support.browsing import authorize_query
from support.browsing import query


class Site:
    """A running app with a guarded page for each of several hosts.

    :param options: of :class:`flask.Flask`.
    """

    def __init__(self, entra: Emulator, folder: Path, **options: t.Any) -> None:
        self.entra = entra
        self.app = Flask("site", instance_path=str(folder), **options)
        self.app.config.update({"SECRET_KEY": "site " * 8, **entra.config()})
        self.port = 0

    def ready(self, **config: t.Any) -> None:
        """Set the app up, once its port is known."""
        self.app.config.update(config)
        self.auth = MsalAuth(self.app)

    def add(self, path: str, **where: t.Any) -> None:
        """Add a guarded page that says who asks, and for what."""

        def page(**values: str) -> str:
            assert self.auth.user is not None
            return f"{self.auth.user.username} {values} {self.auth.logout_url()}"

        view = self.auth.login_required(page)
        self.app.add_url_rule(path, f"{path}{where}", view, **where)

    def url(self, host: str) -> str:
        return f"http://{host}:{self.port}"

    def person(self) -> Person:
        """A person whose browser finds every host on this machine."""
        entra = self.entra
        found = Person(entra.tenant.pages_url, entra.ca_file, http=hosts.session())
        names = ("a.localhost", "b.localhost", "shop.localhost", "x.shop.localhost")
        entra.redirect_uris = {f"{self.url(n)}/auth/callback" for n in names}
        return found


@contextlib.contextmanager
def running(entra: Emulator, folder: Path, **options: t.Any) -> t.Iterator[Site]:
    site = Site(entra, folder, **options)
    with entra.serve(site.app) as url:
        site.port = urllib.parse.urlsplit(url).port or 0
        yield site


def check_sign_in(site: Site, entra: Emulator, host: str) -> None:
    """See that a sign-in and a sign-out come back to a host."""
    person, url = site.person(), site.url(host)
    page = person.visit(f"{url}/page?x=1")
    assert (page.status_code, page.url) == (200, f"{url}/page?x=1")
    assert "msal_host" not in page.text
    assert authorize_query(entra)["redirect_uri"] == f"{url}/auth/callback"
    out = person.submit(person.get(f"{url}/auth/logout"))
    assert query(out.url)["post_logout_redirect_uri"] == f"{url}/auth/signed-out"


class TestHostMatching:
    @pytest.fixture
    def site(self, entra: Emulator, tmp_path: Path) -> t.Iterator[Site]:
        options = {"host_matching": True, "static_host": "a.localhost"}
        with running(entra, tmp_path, **options) as site:
            site.ready()
            site.add("/page", host=f"a.localhost:{site.port}")
            site.add("/page", host=f"<name>.localhost:{site.port}")
            yield site

    @pytest.mark.parametrize("host", ["a.localhost", "b.localhost"])
    def test_signs_in(self, site: Site, entra: Emulator, host: str) -> None:
        """A sign-in comes back to the host of its page, and a sign-out too."""
        check_sign_in(site, entra, host)

    def test_own_pages(self, site: Site) -> None:
        """Their style sheet is at the same host; links are paths."""
        person, url = site.person(), site.url("b.localhost")
        page = person.get(f"{url}/auth/signed-out")
        assert 'href="/auth/static/msal.css"' in page.text
        assert person.get(f"{url}/auth/static/msal.css").status_code == 200
        refused = person.get(f"{url}/page", headers={"Sec-Fetch-Mode": "cors"})
        assert refused.json()["login_url"].startswith("/auth/login?ticket=")

    def test_outside_of_requests(self, site: Site) -> None:
        """URLs can be built by commands, too."""
        site.app.config["SERVER_NAME"] = "a.localhost"
        with site.app.app_context():
            assert url_for("msal.login") == "http://a.localhost/auth/login"


class TestSubdomainMatching:
    @pytest.fixture
    def site(self, entra: Emulator, tmp_path: Path) -> t.Iterator[Site]:
        with running(entra, tmp_path, subdomain_matching=True) as site:
            site.ready(SERVER_NAME=f"shop.localhost:{site.port}")
            site.add("/page")
            site.add("/page", subdomain="<name>")
            yield site

    @pytest.mark.parametrize("host", ["shop.localhost", "x.shop.localhost"])
    def test_signs_in(self, site: Site, entra: Emulator, host: str) -> None:
        """A sign-in comes back to the subdomain of its page, and a sign-out too."""
        check_sign_in(site, entra, host)
        style = site.person().get(f"{site.url(host)}/auth/static/msal.css")
        assert style.status_code == 200

    @pytest.mark.filterwarnings("ignore:Current server name")
    def test_foreign_host(self, site: Site) -> None:
        """A foreign host has no routes of ours, and is nobody's redirect URI."""
        person = site.person()
        foreign = site.url("evil.example")
        assert person.get(f"{foreign}/auth/login").status_code == 404
        refused = person.get(f"{foreign}/page")
        assert "invalid" not in refused.headers.get("Location", "")
        assert "evil" not in refused.headers.get("Location", "")
