"""Apps side by side, and an app after a deploy: what a sign-in decided is bound to it.

Two registrations share a host, a folder or a store, a SECRET_KEY and a browser. Neither
sees, disturbs, throttles or evicts the other.
"""

from __future__ import annotations

import collections.abc as cabc
import contextlib
import re
import secrets
import time
import types
import typing as t
import urllib.parse
from pathlib import Path

import httpx
import pytest
import requests
from cachelib import SimpleCache
from flask import Flask
from flask import Response
from flask import request
from werkzeug.middleware.dispatcher import DispatcherMiddleware

from flask_msal_errors.errors import ConfigurationError
from flask_msal_errors.protocol import registration
from flask_msal_errors.testing import Emulator
from flask_msal_errors.testing import Person
from support import session_apps
from support.live_app import LiveApp
from support.strangers import packed
from support.waiting import PATIENCE
from support.waiting import until

pytestmark = pytest.mark.once

FOREIGN = "11111111-2222-3333-4444-555555555555"
#: The second app registration.
OTHER = "99999999-8888-7777-6666-555555555555"
JSON = {"Accept": "application/json", "Sec-Fetch-Mode": "cors"}


def add_views(live: LiveApp) -> None:
    """More of what an app may have beside its guarded pages."""

    @live.app.get("/sid")
    @live.auth.login_required
    def sid() -> str:
        assert live.auth.user is not None
        return str(live.auth.user.claims["sid"])

    @live.app.get("/leave")
    @live.auth.login_required
    def leave() -> str:
        return live.auth.logout_url()

    @live.app.post("/desk")
    @live.auth.login_required(acrs="c1")
    def desk() -> str:
        live.app.config["RUNS"].append(request.form.to_dict())
        return "carried out"

    live.app.config["RUNS"] = []


class Places:
    """Places that apps run at: their folder and store, which they all share."""

    def __init__(self, entra: Emulator, folder: Path, **store: t.Any) -> None:
        self.entra = entra
        self.folder = folder
        self.store = store
        self._stack = contextlib.ExitStack()

    def built(self, **config: t.Any) -> LiveApp:
        live = LiveApp(self.entra, self.folder, **{**self.store, **config})
        add_views(live)
        return live

    def running(self, **config: t.Any) -> LiveApp:
        """An app on a port of its own."""
        return self.run(self.built(**config))

    def run(self, live: LiveApp) -> LiveApp:
        """Serve an app on a port of its own."""
        return self._stack.enter_context(live)

    def mounted(self, **apps: LiveApp) -> None:
        """Serve apps below paths of one port."""
        below: t.Any = {f"/{name}": live.app for name, live in apps.items()}
        served = DispatcherMiddleware(Flask("nothing"), below)
        url = self._stack.enter_context(self.entra.serve(served))
        for name, live in apps.items():
            live.url = f"{url}/{name}"

    def close(self) -> None:
        self._stack.close()


@pytest.fixture(params=["files", "redis"])
def places(
    request: pytest.FixtureRequest, entra: Emulator, tmp_path: Path
) -> cabc.Iterator[Places]:
    """One folder, one store, for all apps."""
    kind, store = request.param, dict[str, t.Any]()
    if kind in ("redis", "memcached"):
        client = request.getfixturevalue(session_apps.SERVERS[kind])
        store = {"SESSION_TYPE": kind, f"SESSION_{kind.upper()}": client}
    elif kind == "memory":
        cache = SimpleCache(threshold=100_000)
        store = {"SESSION_TYPE": "cachelib", "SESSION_CACHELIB": cache}
    made = Places(entra, tmp_path, **store)
    yield made
    made.close()


def named(entra: Emulator, name: str) -> dict[str, t.Any]:
    """Settings in which an app, or its next version, differs; by what differs."""
    own = entra.config()["MSAL_AUTHORITY"]
    changes: dict[str, dict[str, t.Any]] = {
        "client": {"MSAL_CLIENT_ID": OTHER},
        "client and secret": {"MSAL_CLIENT_ID": OTHER, "SECRET_KEY": "other " * 8},
        "tenant": {"MSAL_AUTHORITY": own.replace(entra.tenant_id, FOREIGN)},
        "shared authority": {
            "MSAL_AUTHORITY": own.replace(entra.tenant_id, "organizations"),
            "MSAL_ALLOWED_TENANTS": FOREIGN,
        },
        "host": {"MSAL_AUTHORITY": f"https://login.example/{entra.tenant_id}"},
        "kind": {"MSAL_AUTHORITY": None, **entra.config("openid")},
        "policy": entra.config("b2c"),
        "allowed tenants": {"MSAL_ALLOWED_TENANTS": FOREIGN},
    }
    return changes[name]


MISFITS = (
    *("client", "client and secret", "tenant", "shared authority", "host", "kind"),
    *("policy", "allowed tenants"),
)


class TestSessions:
    """A session is only for the registration, authority and rules that decided it."""

    @pytest.mark.parametrize("misfit", MISFITS)
    def test_is_nobody_elsewhere(
        self, places: Places, entra: Emulator, misfit: str
    ) -> None:
        """The session of one app opens no other, which gets none of its tokens."""
        one = places.running()
        other = places.running(**named(entra, misfit))
        ada = entra.person()
        assert ada.visit(one.url + "/profile").status_code == 200
        assert ada.get(other.url + "/").text == "hello nobody"
        calls = entra.counters["api"]
        refused = ada.get(other.url + "/profile", headers=JSON)
        assert refused.status_code == 401 or refused.status_code >= 500
        assert entra.counters["api"] == calls

    @pytest.mark.parametrize("misfit", MISFITS)
    def test_stays_where_it_is(
        self, places: Places, entra: Emulator, misfit: str
    ) -> None:
        """A visit to the other app, where nobody is signed in, ends nothing here."""
        one = places.running()
        other = places.running(**named(entra, misfit))
        ada = entra.person()
        ada.visit(one.url + "/profile")
        assert ada.get(other.url + "/basket/apple").text == "apple"
        assert ada.get(other.url + "/").text == "hello nobody"
        assert ada.get(one.url + "/").text == "hello ada@contoso.example"
        assert ada.get(one.url + "/profile").status_code == 200

    @pytest.mark.parametrize(
        "change",
        [
            {"MSAL_SCOPES": []},
            {"MSAL_REAUTH_LIMIT": 5, "MSAL_FLOW_LIFETIME": 60},
            {"MSAL_ALLOWED_TENANTS": "*"},
            {"MSAL_ALLOWED_TENANTS": f"{FOREIGN} {{tenant}}"},
            {"MSAL_AUTHORITY": "{authority}/"},
            {"MSAL_REDIRECT_URI": "http://localhost:5000/auth/callback"},
            {"SECRET_KEY": "next " * 8, "SECRET_KEY_FALLBACKS": ["live " * 8]},
        ],
        ids=lambda change: " ".join(change),
    )
    def test_fitting_deploy(
        self, places: Places, entra: Emulator, change: dict[str, t.Any]
    ) -> None:
        """A deploy that changes nothing of what decided keeps everybody signed in."""
        known = {"tenant": entra.tenant_id}
        known["authority"] = entra.config()["MSAL_AUTHORITY"]
        config = {
            key: value.format(**known) if isinstance(value, str) else value
            for key, value in change.items()
        }
        ada = entra.person()
        ada.visit(places.running().url + "/profile")
        page = ada.get(places.running(**config).url + "/profile")
        assert page.status_code == 200

    def test_tightened_and_back(self, places: Places, entra: Emulator) -> None:
        """Tenants that were taken off the list are out while they are off it."""
        ada = entra.person()
        ada.visit(places.running(MSAL_ALLOWED_TENANTS="*").url + "/me")
        tight = places.running(MSAL_ALLOWED_TENANTS=FOREIGN)
        assert ada.get(tight.url + "/").text == "hello nobody"
        assert ada.get(tight.url + "/me", headers=JSON).status_code == 401


class Pair:
    """Two registrations, one of which the emulator knows at a time."""

    def __init__(self, entra: Emulator, one: LiveApp, other: LiveApp) -> None:
        self.entra = entra
        self.one = one
        self.other = other
        self.both = (one, other)
        self._own = entra.client_id

    @contextlib.contextmanager
    def at(self, live: LiveApp) -> cabc.Iterator[str]:
        """While the emulator knows this app; gives the app's URL."""
        self.entra.tenant.app.client_id = live.app.config["MSAL_CLIENT_ID"]
        try:
            yield live.url
        finally:
            self.entra.tenant.app.client_id = self._own

    def visit(
        self, person: Person, live: LiveApp, path: str, **how: t.Any
    ) -> requests.Response:
        with self.at(live) as url:
            return person.visit(url + path, **how)

    def waiting(self, person: Person, live: LiveApp, path: str) -> str:
        """Begin a sign-in and go as far as the provider's answer."""
        with self.at(live) as url:
            return person.authorize(person.get(url + path).headers["Location"]).url

    def come_back(self, person: Person, live: LiveApp, url: str) -> requests.Response:
        with self.at(live):
            return person.visit(url)


@pytest.fixture(params=["ports", "paths"])
def make(
    request: pytest.FixtureRequest, places: Places, entra: Emulator
) -> cabc.Callable[..., Pair]:
    """A function that makes two apps, which differ by their client id alone."""

    def made(**config: t.Any) -> Pair:
        one, other = (
            places.built(**config),
            places.built(**config, MSAL_CLIENT_ID=OTHER),
        )
        if request.param == "paths":
            places.mounted(one=one, other=other)
        else:
            for live in (one, other):
                places.run(live)
        return Pair(entra, one, other)

    return made


class TestSideBySide:
    """One browser, one store, one SECRET_KEY; on two ports, or below two paths."""

    @pytest.fixture
    def pair(self, make: cabc.Callable[..., Pair]) -> Pair:
        return make()

    def test_both(self, pair: Pair, entra: Emulator) -> None:
        """Signing in to one leaves the other as it is, tokens included."""
        ada = entra.person()
        for live in pair.both:
            assert pair.visit(ada, live, "/profile").status_code == 200
        tokens = entra.counters["token"]
        for live in pair.both:
            assert ada.get(live.url + "/profile").status_code == 200
            assert ada.get(live.url + "/me").text == "me ada@contoso.example"
        assert entra.counters["token"] == tokens

    def test_sign_out(self, pair: Pair, entra: Emulator) -> None:
        """Signing out of one leaves the other signed in."""
        ada = entra.person()
        for live in pair.both:
            pair.visit(ada, live, "/profile")
        for live, left in (pair.both, pair.both[::-1]):
            origin = "{0.scheme}://{0.netloc}".format(urllib.parse.urlsplit(live.url))
            assert ada.get(left.url + "/").text == "hello ada@contoso.example"
            out = urllib.parse.urljoin(origin, ada.get(live.url + "/leave").text)
            assert ada.get(out).status_code == 303
            assert ada.get(live.url + "/").text == "hello nobody"
            assert ada.get(left.url + "/").text == "hello ada@contoso.example"
            assert ada.get(left.url + "/profile").status_code == 200
            pair.visit(ada, live, "/profile")

    @pytest.mark.parametrize("order", [1, -1], ids=["first", "last"])
    def test_front_channel(self, pair: Pair, entra: Emulator, order: int) -> None:
        """The provider's sign-out of one finds its session, and no other's.

        Whether it was signed in to first or last, which gave the session its id.
        """
        ada = entra.person()
        for live in pair.both[::order]:
            pair.visit(ada, live, "/profile")
        sids = {ada.get(live.url + "/sid").text for live in pair.both}
        assert len(sids) == 1
        requests.get(
            f"{pair.one.url}/auth/front-channel-logout",
            params={"sid": sids.pop()},
            timeout=PATIENCE,
        )
        assert ada.get(pair.one.url + "/").text == "hello nobody"
        assert ada.get(pair.other.url + "/").text == "hello ada@contoso.example"

    def test_five_flows_each(self, pair: Pair, entra: Emulator) -> None:
        """Each app has five sign-ins under way in a browser; none evicts another."""
        ada = entra.person()
        waiting = [
            (live, pair.waiting(ada, live, f"/me?tab={tab}"), f"/me?tab={tab}")
            for tab in range(5)
            for live in pair.both
        ]
        for live, answer, page in waiting:
            assert pair.come_back(ada, live, answer).url == live.url + page

    def test_posted_answers(
        self, make: cabc.Callable[..., Pair], entra: Emulator
    ) -> None:
        """With ``form_post`` an answer on its way to one app stays beside the other's.

        Both posts come before the browser follows either of them.
        """
        pair = make(MSAL_RESPONSE_MODE="form_post")
        ada = entra.person()
        followed: list[tuple[LiveApp, str]] = []
        for live in pair.both:
            with pair.at(live) as url:
                away = ada.get(url + "/me").headers["Location"]
                answer = ada.authorize(away)
                page = ada.post(
                    answer.url, dict(answer.params), chain=("https://entra.example/",)
                )
            assert page.status_code == 303
            target = urllib.parse.urljoin(answer.url, page.headers["Location"])
            followed.append((live, target))
        for live, target in followed:
            page = pair.come_back(ada, live, target)
            assert page.text == "me ada@contoso.example"

    def test_pause(self, pair: Pair, entra: Emulator) -> None:
        """A pause that the provider asks of one app holds up no other."""
        ada = entra.person()
        entra.throttle(60)
        assert pair.visit(ada, pair.one, "/me").status_code == 429
        entra.clear_faults()
        assert pair.visit(ada, pair.one, "/me").status_code == 429
        page = pair.visit(ada, pair.other, "/me")
        assert page.text == "me ada@contoso.example"

    def test_loop(self, pair: Pair, entra: Emulator) -> None:
        """One app's loop is neither counted nor ended by the other's page of that name.

        The API asks for something new each time, so that the page's own limit acts.
        """
        ada = entra.person()
        for live in pair.both:
            pair.visit(ada, live, "/profile")

        def refuse(request: t.Any) -> Response:
            claims = packed({"access_token": {f"x{secrets.token_hex(4)}": None}})
            header = f'Bearer error="insufficient_claims", claims="{claims}"'
            return Response("{}", 401, {"WWW-Authenticate": header})

        entra.fail_next(refuse, "api", times=1000)
        looped = pair.visit(ada, pair.one, "/profile")
        assert looped.status_code == 400
        assert "Signing in again did not help" in looped.text
        with pair.at(pair.other) as url:
            assert ada.get(url + "/profile").status_code == 302
        entra.clear_faults()
        assert pair.visit(ada, pair.other, "/profile").status_code == 200
        entra.fail_next(refuse, "api", times=1000)
        assert ada.get(pair.one.url + "/profile").status_code == 400

    def test_links(self, pair: Pair, entra: Emulator) -> None:
        """A link of one app tells another nothing but where to."""
        ada = entra.person()
        link = ada.get(pair.one.url + "/mail", headers=JSON).json()["login_url"]
        query = urllib.parse.urlsplit(link).query
        for live, known in ((pair.one, True), (pair.other, False)):
            answer = ada.get(f"{live.url}/auth/login?{query}")
            scopes = httpx.URL(answer.headers["Location"]).params["scope"]
            assert ("Mail.Read" in scopes) is known

    def test_sign_out_link(self, pair: Pair, entra: Emulator) -> None:
        """One app's sign-out link is no proof for another."""
        ada = entra.person()
        for live in pair.both:
            pair.visit(ada, live, "/me")
        query = urllib.parse.urlsplit(ada.get(pair.one.url + "/leave").text).query
        answer = ada.get(f"{pair.other.url}/auth/logout?{query}")
        assert answer.status_code == 200
        assert ada.get(pair.other.url + "/").text == "hello ada@contoso.example"


@pytest.mark.parametrize(
    "places", ["memcached", "memory", "redis", "files"], indirect=True
)
def test_every_backend(places: Places, entra: Emulator) -> None:
    """Apps share any backend: each has its own user, tokens and sign-out."""
    one, other = places.running(), places.running(MSAL_CLIENT_ID=OTHER)
    pair, ada = Pair(entra, one, other), entra.person()
    pair.visit(ada, one, "/profile")
    assert ada.get(other.url + "/").text == "hello nobody"
    pair.visit(ada, other, "/profile")
    tokens = entra.counters["token"]
    for live in pair.both:
        assert ada.get(live.url + "/profile").status_code == 200
    assert entra.counters["token"] == tokens
    sid = ada.get(one.url + "/sid").text
    requests.get(f"{one.url}/auth/front-channel-logout?sid={sid}", timeout=PATIENCE)
    assert ada.get(one.url + "/").text == "hello nobody"
    assert ada.get(other.url + "/profile").status_code == 200
    assert entra.counters["token"] == tokens


class TestForms:
    """A kept form is carried out where it was sent."""

    def test_ticket_elsewhere(self, places: Places, entra: Emulator) -> None:
        """One app's ticket runs nothing in another, and stays good for its own."""
        one, other = places.running(), places.running(MSAL_CLIENT_ID=OTHER)
        pair, ada = Pair(entra, one, other), entra.person()
        for live in (one, other):
            pair.visit(ada, live, "/me")
        form = {"data": {"reason": "trip"}}
        page = pair.visit(ada, one, "/desk", stop_at="resume", **form)
        ticket = re.findall('name="_msal_resume" value="([^"]+)"', page.text)[0]
        answer = ada.post(other.url + "/desk", {"_msal_resume": ticket})
        assert answer.status_code == 410
        assert other.app.config["RUNS"] == []
        answer = ada.post(one.url + "/desk", {"_msal_resume": ticket})
        assert answer.text == "carried out"
        assert one.app.config["RUNS"] == [form["data"]]


class TestTokens:
    """Beside a session, all that it has in the store is its app's."""

    def test_same_handle(self, places: Places, entra: Emulator) -> None:
        """A copied session entry opens nothing in another app.

        A developer who moves sessions from one store to another, or a store that two
        apps share, brings whole sessions along.
        """
        kept: list[dict[str, t.Any]] = []

        def moving(live: LiveApp) -> LiveApp:
            from flask import session

            @live.app.get("/copy")
            def copy() -> str:
                kept.append(dict(session))
                return "copied"

            @live.app.get("/paste")
            def paste() -> str:
                session.update(kept[-1])
                return "pasted"

            return places.run(live)

        one = moving(places.built())
        other = moving(places.built(MSAL_CLIENT_ID=OTHER))
        ada, grace = entra.person(), entra.person("grace")
        ada.visit(one.url + "/profile")
        ada.get(one.url + "/copy")
        grace.get(other.url + "/paste")
        calls = entra.counters["api"]
        assert grace.get(other.url + "/").text == "hello nobody"
        assert grace.get(other.url + "/profile", headers=JSON).status_code == 401
        assert entra.counters["api"] == calls


class TestLongestLife:
    """MSAL_SESSION_MAX_AGE: a session ends so long after its sign-in, used or not."""

    def test_ends(self, places: Places, entra: Emulator) -> None:
        """A session that is used all the time ends all the same."""
        live = places.running(MSAL_SESSION_MAX_AGE=2)
        ada = entra.person()
        assert ada.visit(live.url + "/me").text == "me ada@contoso.example"
        assert ada.get(live.url + "/").text == "hello ada@contoso.example"
        until(lambda: ada.get(live.url + "/").text == "hello nobody")
        assert ada.get(live.url + "/profile", headers=JSON).status_code == 401
        assert ada.visit(live.url + "/me").text == "me ada@contoso.example"

    def test_is_off(self, places: Places, entra: Emulator) -> None:
        """Without the key, or with one that is far off, nobody is put out."""
        ada = entra.person()
        ada.visit(places.running().url + "/me")
        live = places.running(MSAL_SESSION_MAX_AGE=3600)
        assert ada.get(live.url + "/").text == "hello ada@contoso.example"

    @pytest.mark.parametrize("value", ["0", -1, "soon", True, 0.5])
    def test_wrong(self, places: Places, value: t.Any) -> None:
        """It is a whole number of seconds above 0, or the key's name is told."""
        with pytest.raises(ConfigurationError, match="MSAL_SESSION_MAX_AGE is .* must"):
            places.built(MSAL_SESSION_MAX_AGE=value)

    def test_next_person(self, places: Places, entra: Emulator) -> None:
        """The next person to sign in finds nothing of the one before."""
        live = places.running(MSAL_SESSION_MAX_AGE=2)
        ada = entra.person()
        ada.visit(live.url + "/me")
        assert ada.get(live.url + "/basket/private").text == "private"
        until(lambda: ada.get(live.url + "/").text == "hello nobody")
        grace = entra.person("grace")
        grace.cookies = ada.cookies
        for name in grace.cookies.names(live.url):
            if "session" not in name and "msal" not in name:
                grace.cookies.clear(live.url, name)
        answer = grace.visit(f"{live.url}/auth/login?next=/basket/mine")
        assert answer.text == "mine"


@pytest.mark.parametrize("way", ["/auth/logout", "/me"])
def test_ended(
    places: Places, entra: Emulator, monkeypatch: pytest.MonkeyPatch, way: str
) -> None:
    """A sign-out, or a new sign-in, ends the record of a session that is too old."""
    live = places.running(MSAL_SESSION_MAX_AGE=3600)
    records, handles = live.app.extensions["flask_msal_errors"].records, list[str]()
    create = records.create

    def noted(*given: t.Any) -> str:
        handles.append(create(*given))
        return handles[-1]

    monkeypatch.setattr(records, "create", noted)
    ada = entra.person()
    ada.visit(live.url + "/me")
    later = types.SimpleNamespace(time=lambda: time.time() + 3601)
    monkeypatch.setattr(registration, "time", later)
    assert ada.get(live.url + "/").text == "hello nobody"
    if way == "/me":
        away = ada.get(live.url + way).headers["Location"]
        assert ada.get(ada.authorize(away).url).headers["Location"] == way
    else:
        assert ada.post(live.url + way).status_code == 200
    assert not records.exists(handles[0])
    assert all(records.exists(handle) for handle in handles[1:])


def test_refusal_is_the_apps(places: Places, entra: Emulator) -> None:
    """An API's refusal in one app drops none of the other's tokens."""
    one, other = places.running(), places.running(MSAL_CLIENT_ID=OTHER)
    pair, ada = Pair(entra, one, other), entra.person()
    for live in (one, other):
        pair.visit(ada, live, "/profile")
    entra.fail_next(
        lambda request: Response("", 401, {"WWW-Authenticate": 'Bearer error="x"'}),
        "api",
    )
    assert ada.get(one.url + "/profile").status_code == 500
    tokens = entra.counters["token"]
    assert ada.get(other.url + "/profile").status_code == 200
    assert entra.counters["token"] == tokens
