"""Front-channel logout: found by ``sid``, without a cookie, wherever the session is."""

from __future__ import annotations

import logging
import threading
import time
import types
import typing as t
from datetime import timedelta

import pytest
import requests
from flask import current_app
from flask import session

from flask_msal_errors import signals
from flask_msal_errors.errors import ServiceUnavailable
from flask_msal_errors.session.sid_index import Place
from flask_msal_errors.session.sid_index import SidIndex
from flask_msal_errors.session.sid_index import _key
from flask_msal_errors.testing import Emulator
from flask_msal_errors.testing import Person
from flask_msal_errors.user import signed_in
from support import session_apps
from support.live_app import LiveApp
from support.live_app import Start
from support.waiting import PATIENCE


def add_views(live: LiveApp) -> None:
    @live.app.get("/sid")
    def sid() -> str:
        assert live.auth.user is not None
        return str(live.auth.user.claims["sid"])

    @live.app.get("/new-id")
    def new_id() -> str:
        interface: t.Any = current_app.session_interface
        interface.regenerate(session)
        return "new"

    @live.app.get("/slow")
    def slow() -> str:
        entered, go_on = live.app.config["EVENTS"]
        session["x"] = "written late"
        entered.set()
        assert go_on.wait(PATIENCE)
        return "slow"


@pytest.fixture
def live(start: Start, entra: Emulator) -> LiveApp:
    live = start(add_views)
    entra.frontchannel_logout_uri = live.url + "/auth/front-channel-logout"
    return live


@pytest.fixture
def ada(live: LiveApp, entra: Emulator) -> Person:
    person = entra.person()
    person.visit(live.url + "/mail")
    return person


def tell(live: LiveApp, **query: str) -> requests.Response:
    """The request of the frame in the provider's page: no cookie goes along."""
    url = live.url + "/auth/front-channel-logout"
    return requests.get(url, params=query, timeout=PATIENCE)


def handle(live: LiveApp, person: Person) -> str:
    """The handle of a person's record."""
    with live.app.test_request_context("/", headers={"Cookie": live.cookie(person)}):
        return str(session[session_apps.own_key()]["handle"])


class TestFrontChannel:
    def test_at_the_provider(self, live: LiveApp, entra: Emulator, ada: Person) -> None:
        """Signing out at the provider itself ends session and record here."""
        record = handle(live, ada)
        ada.visit(f"{entra.pages_url}/organizations/oauth2/v2.0/logout")
        assert entra.frontchannel_logout_uri
        assert ada.history[-1].startswith(entra.frontchannel_logout_uri)
        assert ada.get(live.url + "/").text == "hello nobody"
        records = live.app.extensions["flask_msal_errors"].tokens._records
        assert records.load(record).tokens == ""

    @pytest.mark.parametrize("step", ["/new-id", "/vault"])
    def test_after_the_id_changed(self, live: LiveApp, ada: Person, step: str) -> None:
        """The index follows a session to its new id: the app's doing, or a step-up."""
        before = live.session_id(ada)
        ada.visit(live.url + step)
        assert live.session_id(ada) != before
        tell(live, sid=ada.get(live.url + "/sid").text)
        assert ada.get(live.url + "/").text == "hello nobody"

    def test_only_that_session(
        self, live: LiveApp, entra: Emulator, ada: Person
    ) -> None:
        """Other users, and this one elsewhere, stay signed in."""
        others = [entra.person("ada"), entra.person("grace")]
        for other in others:
            other.visit(live.url + "/me")
        answer = tell(live, sid=ada.get(live.url + "/sid").text)
        assert (answer.status_code, answer.text) == (200, "Signed out.")
        assert answer.headers["Cache-Control"] == "no-store"
        assert "X-Frame-Options" not in answer.headers
        assert [other.get(live.url + "/me").status_code for other in others] == [
            200
        ] * 2
        assert ada.get(live.url + "/").text == "hello nobody"

    @pytest.mark.parametrize(
        ("issuer", "ends"), [("", True), ("right", True), ("https://evil/", False)]
    )
    def test_first_sign_in_on_its_way(
        self,
        live: LiveApp,
        entra: Emulator,
        monkeypatch: pytest.MonkeyPatch,
        issuer: str,
        ends: bool,
    ) -> None:
        """A sign-in that is not in the index yet ends, too, and nothing of it stays."""
        query = {"iss": entra.issuer if issuer == "right" else issuer} if issuer else {}
        note, told, handles = SidIndex.note, iter([True]), list[str]()

        def late(index: SidIndex) -> bool:
            for _ in told:
                person = signed_in()
                assert person is not None
                assert tell(live, sid=person.user.claims["sid"], **query).ok
                handles.append(person.handle)
            return note(index)

        monkeypatch.setattr(SidIndex, "note", late)
        person = entra.person()
        heard: list[t.Any] = []
        with signals.signed_in.connected_to(lambda _, user, **__: heard.append(user)):
            person.visit(live.url + "/auth/login")
        page = person.get(live.url + "/").text
        assert (page == "hello nobody") is ends
        assert bool(heard) is not ends
        records = live.app.extensions["flask_msal_errors"].records
        assert records.exists(handles[0]) is not ends
        if ends:
            person.cookies.clear(entra.pages_url)
            assert "me ada" in person.visit(live.url + "/me").text

    @pytest.mark.parametrize(
        ("issuer", "ends"), [("", True), ("right", True), ("https://evil/", False)]
    )
    def test_issuer(
        self, live: LiveApp, entra: Emulator, ada: Person, issuer: str, ends: bool
    ) -> None:
        """An issuer, if one is sent, has to be the session's."""
        query = {"iss": entra.issuer if issuer == "right" else issuer} if issuer else {}
        tell(live, sid=ada.get(live.url + "/sid").text, **query)
        assert (ada.get(live.url + "/").text == "hello nobody") is ends

    @pytest.mark.parametrize("sid", ["", "x", "*", "../x", "x" * 5000, "é\x00"])
    def test_unknown(self, live: LiveApp, ada: Person, sid: str) -> None:
        """Nobody is signed out by a guess, and the answer tells nothing."""
        answer = tell(live, sid=sid)
        assert (answer.status_code, answer.text) == (200, "Signed out.")
        assert tell(live).text == "Signed out."
        assert ada.get(live.url + "/me").status_code == 200

    def test_running_request(self, live: LiveApp, ada: Person) -> None:
        """A view that still runs cannot bring the session back, nor its cookie."""
        entered, go_on = threading.Event(), threading.Event()
        live.app.config["EVENTS"] = entered, go_on
        sid = ada.get(live.url + "/sid").text
        answers: list[requests.Response] = []
        cookie = {"Cookie": live.cookie(ada)}
        request = threading.Thread(
            target=lambda: answers.append(
                requests.get(live.url + "/slow", headers=cookie, timeout=PATIENCE)
            )
        )
        request.start()
        assert entered.wait(PATIENCE)
        tell(live, sid=sid)
        go_on.set()
        request.join(PATIENCE)
        assert "Set-Cookie" not in answers[0].headers
        assert ada.get(live.url + "/").text == "hello nobody"

    def test_with_the_cookie(self, live: LiveApp, ada: Person) -> None:
        """It also works in browsers that still send cookies to frames."""
        sid = ada.get(live.url + "/sid").text
        answer = ada.get(f"{live.url}/auth/front-channel-logout?sid={sid}")
        assert "session=" not in answer.headers.get("Set-Cookie", "")
        assert ada.get(live.url + "/").text == "hello nobody"

    def test_after_sign_out(self, live: LiveApp, ada: Person) -> None:
        """A user who signed out here is in the index no longer."""
        sid = ada.get(live.url + "/sid").text
        sids: SidIndex = live.app.extensions["flask_msal_errors"].sid_index
        assert len(sids.find(sid)) == 1
        ada.submit(ada.get(live.url + "/auth/logout"))
        assert sids.find(sid) == []

    def test_before_the_session_is_written(self, live: LiveApp, ada: Person) -> None:
        """A logout between a new id and its first writing holds, too."""
        sid = ada.get(live.url + "/sid").text

        def tell_at_once(sender: object, session: object) -> None:
            live.app.extensions["flask_msal_errors"].sid_index.note()
            tell(live, sid=sid)

        with signals.session_id_changed.connected_to(tell_at_once):
            ada.get(live.url + "/new-id")
        assert ada.get(live.url + "/").text == "hello nobody"

    def test_index_out_of_reach(
        self, live: LiveApp, entra: Emulator, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """Signing in and out works, whatever becomes of the index."""
        sids: SidIndex = live.app.extensions["flask_msal_errors"].sid_index

        def fail(*_: object) -> t.NoReturn:
            raise ServiceUnavailable("busy")

        monkeypatch.setattr(sids, "find", fail)
        person = entra.person()
        assert person.visit(live.url + "/me").text == "me ada@contoso.example"
        person.submit(person.get(live.url + "/auth/logout"))
        assert person.get(live.url + "/").text == "hello nobody"

    def test_signal(self, live: LiveApp, ada: Person) -> None:
        """The app is told that somebody signed out."""
        sid = ada.get(live.url + "/sid").text
        told: list[object] = []

        def note(sender: object, user: object) -> None:
            told.append(user)

        with signals.signed_out.connected_to(note):
            tell(live, sid=sid)
            tell(live, sid="unknown")
        assert told == [None]


class TestIndex:
    def test_without_sid(
        self,
        start: Start,
        entra: Emulator,
        caplog: pytest.LogCaptureFixture,
    ) -> None:
        """A sign-in without the claim works; the log says once what to switch on."""
        entra.id_token_hook = lambda claims, header: claims.pop("sid", None) and None
        caplog.set_level(logging.INFO, logger="flask_msal_errors")
        live = start()
        for _ in range(2):
            person = entra.person()
            assert person.visit(live.url + "/me").status_code == 200
        hints = [text for text in caplog.messages if "optional claims" in text]
        assert len(hints) == 1

    def test_lives_as_long_as_the_session(self, live: LiveApp, ada: Person) -> None:
        """A user who stays signed in for long stays in the index."""
        sid = ada.get(live.url + "/sid").text
        sids: SidIndex = live.app.extensions["flask_msal_errors"].sid_index
        places = sids.find(sid)
        sids._store.delete(_key(sid))
        ada.get(live.url + "/me")
        assert sids.find(sid) == []
        with pytest.MonkeyPatch.context() as patch:
            later = types.SimpleNamespace(time=lambda: time.time() + 20 * 86_400)
            patch.setattr("flask_msal_errors.user.time", later)
            ada.get(live.url + "/me")
        assert sids.find(sid) == places

    @pytest.mark.parametrize(
        "entry",
        [{}, {"places": 1}, {"places": [1]}, {"places": [["a"]]}, {"places": {"a": 1}}],
    )
    def test_broken_entries(self, live: LiveApp, entry: dict[str, t.Any]) -> None:
        """An unreadable entry is no session."""
        sids: SidIndex = live.app.extensions["flask_msal_errors"].sid_index
        store = sids._store
        keys = []
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(store, "read", lambda key: keys.append(key))
            sids.find("sid")
        store.write(keys[0], entry, timedelta(minutes=1))
        assert sids.find("sid") == []

    def test_ten_at_most(self, live: LiveApp) -> None:
        """Sessions that a browser lost do not pile up; the newest are kept."""
        sids: SidIndex = live.app.extensions["flask_msal_errors"].sid_index
        claims = {"iss": "i", "sub": "s", "sid": "sid"}
        for number in range(12):
            with live.app.test_request_context("/"):
                session[session_apps.own_key()] = {
                    "handle": f"handle{number}",
                    "claims": claims,
                    "renew_at": 1 << 40,
                    "since": 1,
                }
                sids.note()
                sids.note()
                last = Place(f"handle{number}", session.sid, "i")  # type: ignore[attr-defined]
        found = sids.find("sid")
        assert len(found) == 10
        assert found[-1] == last
