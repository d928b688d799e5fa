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
from flask_msal_errors.session.session_index import SessionIndex
from flask_msal_errors.session.session_index import names_of
from flask_msal_errors.testing import Emulator
from flask_msal_errors.testing import Person
from flask_msal_errors.user import signed_in
from support import session_apps
from support.live_app import LiveApp
from support.live_app import Start
from support.parallel import in_threads
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


def person_of(live: LiveApp, person: Person) -> str:
    """The name of a person's sessions in the index."""
    with live.app.test_request_context("/", headers={"Cookie": live.cookie(person)}):
        user = signed_in()
        assert user is not None
        (name,) = names_of(account=user.user.account)
        return name


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
        note, told, handles = SessionIndex.note, iter([True]), list[str]()

        def late(index: SessionIndex) -> bool:
            for _ in told:
                person = signed_in()
                assert person is not None
                assert tell(live, sid=person.user.claims["sid"], **query).ok
                handles.append(person.handle)
            return note(index)

        monkeypatch.setattr(SessionIndex, "note", late)
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

    @pytest.mark.parametrize("sid", ["another", "third"])
    def test_new_sid_on_its_way(
        self,
        live: LiveApp,
        entra: Emulator,
        ada: Person,
        monkeypatch: pytest.MonkeyPatch,
        sid: str,
    ) -> None:
        """A step-up that brings another ``sid`` ends with it, and nothing stays."""
        move, record = SessionIndex.move, handle(live, ada)
        index = live.app.extensions["flask_msal_errors"].session_index
        person = person_of(live, ada)

        def late(index: SessionIndex, *args: t.Any) -> bool:
            tell(live, sid="another")
            return move(index, *args)

        monkeypatch.setattr(SessionIndex, "move", late)
        entra.id_token_hook = lambda claims, _: claims.update(sid=sid)
        # It ended before: not this one.
        tell(live, sid="third")
        with signals.reauthenticated.connected_to(lambda *_, **__: heard.append(1)):
            heard: list[int] = []
            ada.visit(live.url + "/vault")
        is_in = sid == "third"
        assert bool(heard) is is_in
        assert index._records.exists(record) is is_in
        assert (record in {at.handle for at in index.find(*names_of(sid))}) is is_in
        assert (record in {at.handle for at in index.find(person)}) is is_in

    def test_ended_unseen(self, live: LiveApp, ada: Person) -> None:
        """A logout that did not find a session is made up for at its next writing."""
        index: SessionIndex = live.app.extensions["flask_msal_errors"].session_index
        name, record = person_of(live, ada), handle(live, ada)
        index._store.remove(name)
        assert not list(index.end(name))
        assert ada.get(live.url + "/").text == "hello ada@contoso.example"
        with pytest.MonkeyPatch.context() as patch:
            later = types.SimpleNamespace(time=lambda: time.time() + 20 * 86_400)
            patch.setattr("flask_msal_errors.user.time", later)
            ada.get(live.url + "/")
        assert ada.get(live.url + "/").text == "hello nobody"
        assert not index._records.exists(record)

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
        sids: SessionIndex = live.app.extensions["flask_msal_errors"].session_index
        assert len(sids.find(*names_of(sid))) == 1
        ada.submit(ada.get(live.url + "/auth/logout"))
        assert sids.find(*names_of(sid)) == []

    def test_before_the_session_is_written(self, live: LiveApp, ada: Person) -> None:
        """A logout between a new id and its first writing holds, too."""
        sid = ada.get(live.url + "/sid").text

        def tell_at_once(sender: object, session: object) -> None:
            live.app.extensions["flask_msal_errors"].session_index.note()
            tell(live, sid=sid)

        with signals.session_id_changed.connected_to(tell_at_once):
            ada.get(live.url + "/new-id")
        assert ada.get(live.url + "/").text == "hello nobody"

    def test_index_out_of_reach(
        self,
        live: LiveApp,
        entra: Emulator,
        monkeypatch: pytest.MonkeyPatch,
        caplog: pytest.LogCaptureFixture,
    ) -> None:
        """Signing in and out works, whatever becomes of the index; the log says so."""
        sids: SessionIndex = live.app.extensions["flask_msal_errors"].session_index

        def fail(*_: object) -> t.NoReturn:
            raise ServiceUnavailable("busy")

        monkeypatch.setattr(sids, "_store", types.SimpleNamespace(lock=fail))
        person = entra.person()
        assert person.visit(live.url + "/me").text == "me ada@contoso.example"
        person.submit(person.get(live.url + "/auth/logout"))
        assert person.get(live.url + "/").text == "hello nobody"
        missed = "A sign-out elsewhere may miss a session: "
        assert sum(text.startswith(missed) for text in caplog.messages) == 4

    def test_signs_in_again(self, live: LiveApp, ada: Person) -> None:
        """A user whose session was ended can sign in again at once."""
        tell(live, sid=ada.get(live.url + "/sid").text)
        assert ada.visit(live.url + "/me").text == "me ada@contoso.example"

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
        sids: SessionIndex = live.app.extensions["flask_msal_errors"].session_index
        places = sids.find(*names_of(sid))
        sids._store.delete(*names_of(sid))
        ada.get(live.url + "/me")
        assert sids.find(*names_of(sid)) == []
        with pytest.MonkeyPatch.context() as patch:
            later = types.SimpleNamespace(time=lambda: time.time() + 20 * 86_400)
            patch.setattr("flask_msal_errors.user.time", later)
            ada.get(live.url + "/me")
        assert sids.find(*names_of(sid)) == places

    @pytest.mark.parametrize(
        "entry",
        [{}, {"places": 1}, {"places": [1]}, {"places": [["a"]]}, {"places": {"a": 1}}],
    )
    def test_broken_entries(self, live: LiveApp, entry: dict[str, t.Any]) -> None:
        """An unreadable entry is no session."""
        sids: SessionIndex = live.app.extensions["flask_msal_errors"].session_index
        (name,) = names_of("sid")
        sids._store.write(name, entry, timedelta(minutes=1))
        assert sids.find(name) == []

    def test_person(self, live: LiveApp, entra: Emulator, ada: Person) -> None:
        """All sessions of a person are found, and nobody else's; each has its place."""
        other, grace = entra.person("ada"), entra.person("grace")
        other.visit(live.url + "/me")
        grace.visit(live.url + "/me")
        name = person_of(live, ada)
        assert name == person_of(live, other) != person_of(live, grace)
        sids: SessionIndex = live.app.extensions["flask_msal_errors"].session_index
        ids = [place.session_id for place in sids.find(name)]
        assert ids == [live.session_id(ada), live.session_id(other)]
        ada.submit(ada.get(live.url + "/auth/logout"))
        assert [place.session_id for place in sids.find(name)] == ids[1:]
        other.get(live.url + "/new-id")
        (place,) = sids.find(name)
        assert place.session_id == live.session_id(other) != ids[1]
        assert live.session_id(other) not in repr(place)

    def test_parallel_sign_ins(
        self, live: LiveApp, entra: Emulator, ada: Person
    ) -> None:
        """Of sign-ins at the same time, none is lost."""
        others = [entra.person("ada") for _ in range(8)]
        in_threads(8, lambda number: others[number].visit(live.url + "/me"))
        sids: SessionIndex = live.app.extensions["flask_msal_errors"].session_index
        found = {place.session_id for place in sids.find(person_of(live, ada))}
        assert found == {live.session_id(each) for each in (ada, *others)}

    def test_most(self, live: LiveApp, monkeypatch: pytest.MonkeyPatch) -> None:
        """One session more than there may be ends the one that was renewed first."""
        monkeypatch.setattr("flask_msal_errors.session.session_index.MOST", 3)
        people = [live.entra.person("ada") for _ in range(3)]
        for person in people:
            person.visit(live.url + "/me")
        people[0].get(live.url + "/new-id")
        live.entra.person("ada").visit(live.url + "/me")
        shown = [person.get(live.url + "/").text for person in people]
        assert shown == [*("hello ada@contoso.example", "hello nobody"), shown[0]]

    def test_both_names(self, live: LiveApp, ada: Person) -> None:
        """A session that ends, by either name, leaves the index under both."""
        sids: SessionIndex = live.app.extensions["flask_msal_errors"].session_index
        other = live.entra.person("ada")
        other.visit(live.url + "/me")
        names = [*names_of(ada.get(live.url + "/sid").text), person_of(live, ada)]
        tell(live, sid=ada.get(live.url + "/sid").text)
        assert [len(sids.find(name)) for name in names] == [0, 1]
        names = [*names_of(other.get(live.url + "/sid").text), names[1]]
        assert len(list(sids.end(names[1]))) == 1
        assert [len(sids.find(name)) for name in names] == [0, 0]

    def test_dead_ones_first(
        self, live: LiveApp, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """A session without a record leaves before one that lives."""
        monkeypatch.setattr("flask_msal_errors.session.session_index.MOST", 3)
        people = [live.entra.person("ada") for _ in range(3)]
        for person in people:
            person.visit(live.url + "/me")
        state = live.app.extensions["flask_msal_errors"]
        name, dead = person_of(live, people[0]), people[1]
        sid = dead.get(live.url + "/sid").text
        state.records.delete(handle(live, dead))
        state.store.end_session(live.session_id(dead))
        live.entra.person("ada").visit(live.url + "/me")
        for person in (people[0], people[2]):
            assert person.get(live.url + "/").text == "hello ada@contoso.example"
        assert len(state.session_index.find(name)) == 3
        assert state.session_index.find(*names_of(sid)) == []


class TestNames:
    def test_apart(self) -> None:
        """No two persons have one name, and no name shows whose it is."""
        pairs = [("i", "s"), ("i s", ""), ("", "i s"), ("i', 's", ""), ("s", "i")]
        names = {name for pair in pairs for name in names_of(account=pair)}
        assert len(names) == len(pairs)
        assert names.isdisjoint(names_of(pairs[0][0]))
        assert names_of("") == names_of(None) == names_of(7) == names_of(["s"]) == []
        assert all(len(name) == len("person-") + 64 for name in names)
