"""Attacks and accidents that a review came up with, over real sockets."""

from __future__ import annotations

import base64
import json
import os
import secrets
import threading
import time
import typing as t
import urllib.parse

import pytest
import requests
from flask import Response
from flask import request
from flask import session

from flask_msal_errors.testing import Emulator
from support import session_apps
from support.live_app import LiveApp
from support.live_app import Start
from support.waiting import PATIENCE

#: Seconds; a page that waits for a record would take as long.
MSAL_HTTP_TIMEOUT = 30


def challenge(claims: dict[str, t.Any]) -> Response:
    packed = base64.b64encode(json.dumps(claims).encode()).decode()
    header = f'Bearer error="insufficient_claims", claims="{packed}"'
    return Response("{}", 401, {"WWW-Authenticate": header})


class TestHostileApi:
    def test_changing_names(self, live: LiveApp, entra: Emulator) -> None:
        """An API that asks for another claim each time is stopped all the same."""

        def refuse(request: t.Any) -> Response:
            name = f"x{secrets.token_hex(4)}"
            return challenge({"access_token": {name: {"essential": True}}})

        person = entra.person()
        person.visit(live.url + "/profile")
        before = entra.counters["authorize"]
        entra.fail_next(refuse, "api", times=1000)
        page = person.visit(live.url + "/profile")
        assert page.status_code == 400
        assert "Signing in again did not help" in page.text
        assert entra.counters["authorize"] - before == 6

    def test_max_age(self, live: LiveApp, entra: Emulator) -> None:
        """RFC 9470's age of a sign-in is passed on to the identity provider."""
        header = 'Bearer error="insufficient_user_authentication", max_age="5"'
        answer = Response("{}", 401, {"WWW-Authenticate": header})
        person = entra.person()
        person.visit(live.url + "/profile")
        entra.fail_next(lambda request: answer, "api", times=1)
        assert person.visit(live.url + "/profile").status_code == 200
        asked = [call.query for call in entra.calls if call.kind == "authorize"][-1]
        assert asked["max_age"] == "5"

    def test_checked_response(self, start: Start, entra: Emulator) -> None:
        """A token that ``check`` finds refused is not handed out again."""
        used: list[str] = []

        def add(live: LiveApp) -> None:
            @live.app.get("/checked")
            @live.auth.login_required
            def checked() -> str:
                scopes = [entra.scope("Profile.Read")]
                token = live.auth.acquire_token(scopes)["access_token"]
                used.append(token)
                reply = requests.get(
                    f"{entra.api_url}/me",
                    headers={"Authorization": f"Bearer {token}"},
                    verify=entra.ca_file,
                    timeout=PATIENCE,
                )
                live.auth.check(reply, scopes=scopes)
                return reply.text

        live = start(add)
        person = entra.person()
        person.visit(live.url + "/checked")
        entra.revoke("ada")
        assert "ada@contoso.example" in person.visit(live.url + "/checked").text
        assert len(set(used)) == 2


class TestPause:
    def test_of_the_record(self, start: Start, entra: Emulator) -> None:
        """A pause that a refresh was asked for holds for signing in, too."""

        def add(live: LiveApp) -> None:
            @live.app.get("/force")
            @live.auth.login_required
            def force() -> str:
                scopes = [entra.scope("Profile.Read")]
                return str(live.auth.acquire_token(scopes, force_refresh=True))

        live = start(add)
        person = entra.person()
        person.visit(live.url + "/me")
        entra.throttle(60)
        assert person.visit(live.url + "/force").status_code == 429
        calls = entra.counters["token"]
        assert person.visit(live.url + "/auth/login?next=/me").status_code == 429
        assert entra.counters["token"] == calls


class TestSignedOutMeanwhile:
    def test_nothing_is_left(
        self, live: LiveApp, entra: Emulator, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """A sign-in that was on its way finds nothing of a session that ended."""
        person = entra.person()
        person.visit(live.url + "/me")
        person.get(live.url + "/basket/private")
        begun, ended = threading.Event(), threading.Event()
        client = live.app.extensions["flask_msal_errors"].client
        redeem = client.redeem

        def slow_redeem(*args: t.Any) -> t.Any:
            begun.set()
            assert ended.wait(PATIENCE)
            return redeem(*args)

        monkeypatch.setattr(client, "redeem", slow_redeem)
        again = person.get(live.url + "/auth/login?next=/basket/new")
        callback = person.authorize(again.headers["Location"]).url
        cookies = live.cookie(person)
        replies: list[requests.Response] = []

        def come_back() -> None:
            replies.append(
                requests.get(
                    callback,
                    headers={"Cookie": cookies},
                    allow_redirects=False,
                    timeout=PATIENCE,
                )
            )

        thread = threading.Thread(target=come_back)
        thread.start()
        assert begun.wait(PATIENCE)
        leave = f"{live.url}/auth/logout?token={self.token(live, cookies)}"
        assert person.get(leave).status_code == 303
        ended.set()
        thread.join()
        (reply,) = replies
        assert reply.status_code == 302
        fresh = reply.cookies.get("session")
        shown = requests.get(
            live.url + "/basket/new", cookies={"session": str(fresh)}, timeout=PATIENCE
        )
        assert shown.text == "new"

    def token(self, live: LiveApp, cookies: str) -> str:
        page = requests.get(
            live.url + "/auth/logout",
            headers={"Cookie": cookies, "Accept": "text/html"},
            timeout=PATIENCE,
        )
        return page.text.partition('name="token" value="')[2].partition('"')[0]


class TestLateAnswer:
    def test_does_not_replace_the_session(self, start: Start, entra: Emulator) -> None:
        """A request that came with the old id cannot give the browser another one."""
        live = start()
        person = entra.person()
        person.get(live.url + "/basket/apple")
        old = live.cookie(person)
        person.visit(live.url + "/me")
        late = requests.get(
            live.url + "/basket/late", headers={"Cookie": old}, timeout=PATIENCE
        )
        assert late.text == "late"
        assert "Set-Cookie" not in late.headers


class TestVisitor:
    def test_links_are_bound(self, live: LiveApp, entra: Emulator) -> None:
        """A link made for one visitor has no scopes in another's browser."""
        machine = {"Accept": "application/json"}
        mine, other = requests.Session(), requests.Session()
        link = mine.get(live.url + "/mail", headers=machine, timeout=PATIENCE).json()
        for browser, wanted in ((mine, True), (other, False)):
            reply = browser.get(
                urllib.parse.urljoin(live.url, link["login_url"]),
                allow_redirects=False,
                timeout=PATIENCE,
            )
            query = urllib.parse.urlsplit(reply.headers["Location"]).query
            scopes = urllib.parse.parse_qs(query)["scope"][0]
            assert ("Mail.Read" in scopes) is wanted
        mine.close()
        other.close()

    def test_sign_out_of_another_visitor(self, live: LiveApp, entra: Emulator) -> None:
        """A visitor's sign-out link does nothing in another visitor's session."""
        person = entra.person("grace")
        person.get(live.url + "/basket/kept")
        page = requests.get(
            live.url + "/auth/logout", headers={"Accept": "text/html"}, timeout=PATIENCE
        )
        token = page.text.partition('name="token" value="')[2].partition('"')[0]
        person.get(f"{live.url}/auth/logout?token={token}")
        assert person.get(live.url + "/basket/more").text == "kept more"


class TestLoopPage:
    def test_way_back(self, start: Start, entra: Emulator) -> None:
        """Trying again from the page of a loop starts a new count."""
        live = start(MSAL_REAUTH_LIMIT=1)
        person = entra.person()
        person.visit(live.url + "/profile")
        entra.fail_next(
            lambda request: challenge({"access_token": {"x": None}}), "api", times=1000
        )
        assert person.visit(live.url + "/profile").status_code == 400
        entra.clear_faults()
        back = person.visit(f"{live.url}/auth/login?next=/profile&again=1")
        assert back.status_code == 200
        assert back.url == live.url + "/profile"


class TestBusyRecord:
    def test_pages_do_not_wait(self, start: Start, entra: Emulator) -> None:
        """Renewal of a record waits for nobody: a refresh under way does not matter."""

        def add(live: LiveApp) -> None:
            @live.app.get("/old")
            def old() -> str:
                kept = session[session_apps.own_key()]
                session[session_apps.own_key()] = {**kept, "renew_at": 1}
                return "old"

            @live.app.get("/held")
            def held() -> str:
                state = live.app.extensions["flask_msal_errors"]
                handle = session[session_apps.own_key()]["handle"]
                with state.records.locked(handle):
                    url = live.url + "/"
                    cookies = {"Cookie": request.headers["Cookie"]}
                    began = time.monotonic()
                    answer = requests.get(url, headers=cookies, timeout=PATIENCE).text
                    waited = time.monotonic() - began
                    # Whoever waits for a record waits for longer than a token call.
                    return f"{answer} {waited < MSAL_HTTP_TIMEOUT}"

        live = start(add, MSAL_HTTP_TIMEOUT=MSAL_HTTP_TIMEOUT)
        person = entra.person()
        person.visit(live.url + "/me")
        person.get(live.url + "/old")
        shown = person.get(live.url + "/held")
        assert shown.text == "hello ada@contoso.example True"


class TestFork:
    def test_while_discovery_runs(self, start: Start, entra: Emulator) -> None:
        """A worker that is forked while the application is built can build its own."""
        live = start()
        client = live.app.extensions["flask_msal_errors"].client
        with client.provider._lock:
            child = os.fork()
            if not child:
                try:
                    client.provider.connection()
                finally:
                    os._exit(0 if client.provider.built else 1)
            assert os.waitpid(child, 0)[1] == 0
