"""Cookies that browsers guard wherever the outside is https; planted ones are none."""

from __future__ import annotations

import collections.abc as cabc
import contextlib
import re
import typing as t
from pathlib import Path

import pytest
import requests
from flask import request

from flask_msal_errors.testing import Emulator
from flask_msal_errors.testing import Person
from support.browsing import sent
from support.live_app import LiveApp
from support.live_app import Start
from support.waiting import PATIENCE

pytestmark = pytest.mark.once


def set_cookies(answer: requests.Response) -> dict[str, str]:
    """The ``Set-Cookie`` lines of an answer, by the cookie's name."""
    raw: t.Any = answer.raw
    lines = raw.headers.getlist("Set-Cookie")
    return {line.partition("=")[0]: line for line in lines}


@contextlib.contextmanager
def behind_tls(
    entra: Emulator, folder: Path, **config: t.Any
) -> cabc.Iterator[LiveApp]:
    """An app behind a proxy that speaks TLS and says nothing of it.

    Only ``MSAL_REDIRECT_URI`` tells the app that it is on https.
    """
    apps: list[LiveApp] = []

    def proxied(environ: t.Any, start: t.Any) -> t.Any:
        environ["wsgi.url_scheme"] = "http"
        return apps[0].app.wsgi_app(environ, start)

    with entra.serve(proxied, https=True) as url:
        uri = f"{url}/auth/callback"
        apps.append(LiveApp(entra, folder, MSAL_REDIRECT_URI=uri, **config))
        apps[0].url = url
        yield apps[0]


def is_prefixed(line: str) -> bool:
    """Whether a cookie can neither be planted nor be read on plain http."""
    name, _, rest = line.partition("=")
    attributes = [part.strip().lower() for part in rest.split(";")[1:]]
    bound = "path=/" in attributes and not re.search("; *domain=", rest, re.I)
    return name.startswith("__Host-") and "secure" in attributes and bound


class TestHttpsOutside:
    """T11: where the outside is https, all cookies are as https has them."""

    @pytest.mark.parametrize("mode", ["query", "form_post"])
    def test_flow(self, entra: Emulator, tmp_path: Path, mode: str) -> None:
        """The redirect URI says that it is https: sign-in cookies are ``__Host-``."""
        with behind_tls(entra, tmp_path, MSAL_RESPONSE_MODE=mode) as live:
            person = entra.person()
            lines = set_cookies(person.get(live.url + "/me"))
            ours = [line for name, line in lines.items() if "msal_" in name]
            assert ours
            assert [line for line in ours if not is_prefixed(line)] == []
            assert person.visit(live.url + "/me").text == "me ada@contoso.example"

    def test_others(self, entra: Emulator, tmp_path: Path) -> None:
        """So are those of links, pauses and loops, and they are found again."""
        with behind_tls(entra, tmp_path) as live:
            person = entra.person()
            json = {"Accept": "application/json", "Sec-Fetch-Mode": "cors"}
            visitor = person.get(live.url + "/mail", headers=json)
            link = live.url + visitor.json()["login_url"]
            location = person.get(link).headers["Location"]
            assert "Mail.Read" in location
            entra.throttle(60)
            busy = person.visit(live.url + "/me")
            assert busy.status_code == 429
            entra.clear_faults()
            assert person.visit(live.url + "/me").status_code == 429
            names = [*set_cookies(visitor).values(), *set_cookies(busy).values()]
            ours = [line for line in names if "msal_" in line]
            assert len(ours) >= 2
            assert [line for line in ours if not is_prefixed(line)] == []

    def test_planted_flow(self, entra: Emulator, tmp_path: Path) -> None:
        """A flow cookie without the prefix, from a sibling domain, signs nobody in."""
        with behind_tls(entra, tmp_path) as live:
            mallory = entra.person("grace")
            begun = mallory.get(live.url + "/me")
            answer = mallory.authorize(begun.headers["Location"])
            planted = live.cookie(mallory).replace("__Host-", "")
            victim = requests.get(
                answer.url,
                headers={"Cookie": planted},
                allow_redirects=False,
                verify=entra.ca_file,
                timeout=PATIENCE,
            )
            assert victim.status_code == 400
            assert "session" not in " ".join(set_cookies(victim))

    def test_forms(self, entra: Emulator, tmp_path: Path) -> None:
        """A form that a page of the https origin sends counts as of this origin."""
        with behind_tls(entra, tmp_path) as live:

            @live.app.post("/desk")
            @live.auth.login_required(acrs="c1")
            def desk() -> str:
                return "carried out " + request.form["a"]

            person = entra.person()
            person.visit(live.url + "/me")
            older = {"Sec-Fetch-Site": ""}
            page = person.visit(live.url + "/desk", {"a": "b"}, headers=older)
            assert page.text == "carried out b"


class TestSessionCookie:
    """T11, T12: the session's own cookie."""

    def names(self, live: LiveApp) -> dict[str, str]:
        answer = live.entra.person().get(live.url + "/basket/apple")
        return {k: v for k, v in set_cookies(answer).items() if "msal_" not in k}

    def test_on_https(self, start: Start) -> None:
        """By default it is ``__Host-session``, Secure and Lax."""
        (line,) = self.names(start(tls=True)).values()
        assert line.startswith("__Host-session=")
        assert is_prefixed(line)
        assert "samesite=lax" in line.lower()

    def test_behind_tls(self, entra: Emulator, tmp_path: Path) -> None:
        """So it is where only the redirect URI says that the outside is https."""
        with behind_tls(entra, tmp_path) as live:
            (line,) = self.names(live).values()
            assert line.startswith("__Host-session=")
            assert is_prefixed(line)
            assert "samesite=lax" in line.lower()

    def test_on_http(self, start: Start) -> None:
        """On plain http, as in development, it keeps Flask's name."""
        assert list(self.names(start())) == ["session"]

    @pytest.mark.parametrize(
        ("config", "found"),
        [
            ({"SESSION_COOKIE_NAME": "sid"}, "sid="),
            ({"SESSION_COOKIE_NAME": "session_of_shop"}, "session_of_shop="),
            ({"SESSION_COOKIE_PATH": "/basket"}, "session="),
            ({"SESSION_COOKIE_DOMAIN": "localhost"}, "session="),
            ({"APPLICATION_ROOT": "/shop"}, "session="),
        ],
    )
    def test_own_settings(
        self, start: Start, config: dict[str, t.Any], found: str
    ) -> None:
        """The app's own settings win, also those that the prefix does not allow."""
        (line,) = self.names(start(tls=True, **config)).values()
        assert line.startswith(found)

    def test_own_same_site(self, start: Start) -> None:
        """So does its own SameSite."""
        config = {"SESSION_COOKIE_SAMESITE": "None", "SESSION_COOKIE_SECURE": True}
        (line,) = self.names(start(tls=True, **config)).values()
        assert "samesite=none" in line.lower()

    def test_whole_day(self, start: Start, entra: Emulator) -> None:
        """Signing in, a form and signing out work with it, and leave no cookie."""
        live = start(tls=True)
        person = entra.person()
        assert person.visit(live.url + "/profile").status_code == 200
        assert "__Host-session" in person.cookies.names(live.url)
        person.submit(person.get(live.url + "/auth/logout"))
        assert person.get(live.url + "/").text == "hello nobody"

    @pytest.mark.parametrize("name", ["session", "sid", "__Host-session"])
    def test_checked(self, entra: Emulator, tmp_path: Path, name: str) -> None:
        """``flask msal check`` names the prefix to an app that chose another name."""
        uri = "https://shop.example/auth/callback"
        live = LiveApp(
            entra,
            tmp_path,
            SESSION_COOKIE_NAME=name,
            SESSION_COOKIE_SECURE=True,
            SESSION_COOKIE_SAMESITE="Lax",
            MSAL_REDIRECT_URI=uri,
        )
        said = live.app.test_cli_runner().invoke(args=["msal", "check"]).output
        found = [line for line in said.splitlines() if "SESSION_COOKIE_NAME" in line]
        # "session" is what Flask sets itself: there ours is taken.
        assert bool(found) is (name == "sid")
        assert all("__Host-" in line for line in found)


def session_pair(live: LiveApp, person: Person) -> tuple[str, str]:
    """Name and value of the session's cookie."""
    pairs = [pair.split("=", 1) for pair in live.cookie(person).split("; ")]
    name, value = next(p for p in pairs if p[0].endswith("session"))
    return name, value


class TestPlanted:
    """T12: a cookie that a sibling subdomain plants opens nothing."""

    @pytest.fixture(params=[False, True], ids=["http", "https"])
    def live(self, request: pytest.FixtureRequest, start: Start) -> LiveApp:
        return start(tls=request.param)

    @pytest.fixture
    def people(self, live: LiveApp, entra: Emulator) -> tuple[str, str, str]:
        """The name of the session's cookie, Mallory's value, and the victim's."""
        mallory, ada = entra.person("grace"), entra.person()
        for person in (mallory, ada):
            person.visit(live.url + "/profile")
        name, theirs = session_pair(live, mallory)
        return name, theirs, session_pair(live, ada)[1]

    @pytest.mark.parametrize(
        "header",
        [
            "{name}={theirs}; {name}={own}",
            "{name}={own}; {name}={theirs}",
            "{name}={own};{name}={theirs}",
            "a=b; {name}={theirs}; c=d; {name}={own}",
            '{name}="{theirs}"; {name}={own}',
            "{name}={theirs}; {name}=",
            "{name}=; {name}={theirs}",
            "{name} ={theirs}; {name}={own}",
        ],
    )
    def test_twice(
        self, live: LiveApp, people: tuple[str, str, str], header: str
    ) -> None:
        """A session cookie that comes twice is none: the browser cannot say whose."""
        name, theirs, own = people
        cookie = header.format(name=name, theirs=theirs, own=own)
        assert sent(live, "/", cookie).text == "hello nobody"
        assert sent(live, "/profile", cookie).status_code == 302

    @pytest.mark.parametrize(
        ("config", "remedy"),
        [
            ({"APPLICATION_ROOT": "/shop"}, "a name that no other app has."),
            ({"SESSION_COOKIE_NAME": "own"}, "'__Host-session'."),
        ],
    )
    def test_remedy(
        self,
        start: Start,
        caplog: pytest.LogCaptureFixture,
        config: dict[str, str],
        remedy: str,
    ) -> None:
        """The log names a cookie that browsers take: the prefix needs the path /."""
        live = start(tls=True, **config)
        name = config.get("SESSION_COOKIE_NAME", "session")
        sent(live, "/", f"{name}=a; {name}=b")
        told = [m for m in caplog.messages if "came 2 times" in m]
        assert [message.endswith(remedy) for message in told] == [True]

    def test_once(self, live: LiveApp, people: tuple[str, str, str]) -> None:
        """Once it is a session, whatever else comes."""
        name, _, own = people
        for cookie in (f"{name}={own}", f"x{name}=1; {name}={own}; {name}2=3"):
            assert sent(live, "/", cookie).text == "hello ada@contoso.example"

    @pytest.mark.parametrize(
        "blank", [b"\xa0", b"\x85", b"\x1c", b"\x1f", b"\xe2\x80\x89"]
    )
    def test_name_with_blanks(
        self, start: Start, entra: Emulator, blank: bytes
    ) -> None:
        """A name that only looks prefixed once blanks are cut off is another name.

        Browsers keep these bytes, so that they do not guard such a name.
        """
        live = start(tls=True, MSAL_RESPONSE_MODE="query")
        mallory = entra.person("grace")
        begun = mallory.get(live.url + "/me")
        answer = mallory.authorize(begun.headers["Location"]).url
        flow = live.cookie(mallory).encode()
        assert flow.startswith(b"__Host-")
        victim = sent(live, answer.removeprefix(live.url), blank + flow)
        assert victim.status_code == 400
        mallory.visit(answer)
        name, value = session_pair(live, mallory)
        cookie = blank + f"{name}={value}".encode()
        assert sent(live, "/", cookie).text == "hello nobody"
