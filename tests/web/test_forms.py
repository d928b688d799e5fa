"""Interrupted forms: kept for their user and URL, and carried out exactly once."""

from __future__ import annotations

import html
import json
import os
import re
import typing as t

import pytest
from cryptography.fernet import Fernet
from flask import Flask
from flask import abort
from flask import request
from flask import session
from flask_wtf import CSRFProtect
from flask_wtf.csrf import generate_csrf

from flask_msal_errors import signals
from flask_msal_errors.errors import NotResumed
from flask_msal_errors.errors import ServiceUnavailable
from flask_msal_errors.testing import Emulator
from flask_msal_errors.testing import Person
from flask_msal_errors.web import languages
from flask_msal_errors.web import pages
from flask_msal_errors.web.forms import FIELD
from flask_msal_errors.web.forms import MOST_FORMS
from flask_msal_errors.web.forms import REASONS
from support import parallel
from support import session_apps
from support.live_app import LiveApp
from support.live_app import Start
from support.waiting import PATIENCE

if t.TYPE_CHECKING:
    import requests

FIELDS = {"reason": "a & b = ü", "days": "3"}
BLOB = os.urandom(3000) + b"\r\n--x--\r\n"
PAGE = "/desk?trip=1&to=a%2Fb"


class Desk:
    """A form that needs an authentication context, and what it was sent."""

    def __init__(self) -> None:
        self.runs: list[dict[str, t.Any]] = []

    def add_views(self, live: LiveApp) -> None:
        @live.app.route("/desk", methods=["GET", "POST", "PUT", "PATCH", "DELETE"])
        @live.auth.login_required(acrs="c1")
        def desk() -> str:
            return self.carry_out()

        @live.app.post("/late")
        @live.auth.catch_challenges
        def late() -> str:
            asked = self.carry_out()
            live.call("/mail", "Mail.Read")
            return asked

        @live.app.post("/open")
        def open_to_all() -> str:
            return self.carry_out()

    def carry_out(self) -> str:
        files = {name: file.read() for name, file in request.files.items()}
        self.runs.append({**request.form.to_dict(), **files})
        return "carried out"


@pytest.fixture
def desk() -> Desk:
    return Desk()


@pytest.fixture
def live(start: Start, desk: Desk) -> LiveApp:
    return start(desk.add_views)


@pytest.fixture
def ada(live: LiveApp, entra: Emulator) -> Person:
    """Ada, signed in, without the proof that the form needs."""
    person = entra.person()
    person.visit(live.url + "/me")
    return person


def interrupted(live: LiveApp, person: Person, page: str = PAGE, **form: t.Any) -> str:
    """The ticket that a person's form waits under once they are back."""
    form = form or {"data": FIELDS}
    found = person.visit(live.url + page, stop_at="resume", **form)
    assert found.status_code == 200, found.text
    return ticket_of(found)


def ticket_of(page: requests.Response) -> str:
    found = re.search(f'name="{FIELD}" value="([^"]+)"', page.text)
    assert found
    return found[1]


def resumed(
    live: LiveApp, person: Person, ticket: str, page: str = PAGE, **how: t.Any
) -> requests.Response:
    return person.post(live.url + page, {FIELD: ticket}, **how)


def kept(live: LiveApp) -> int:
    """How many forms wait in the store."""
    store = live.app.extensions["flask_msal_errors"].store
    return len([key for key in written(live) if store.read(key) is not None])


def written(live: LiveApp) -> list[str]:
    return t.cast("list[str]", live.app.config["WRITTEN"])


@pytest.fixture(autouse=True)
def remembering(live: LiveApp, monkeypatch: pytest.MonkeyPatch) -> None:
    """Note the keys of all forms that are written."""
    store = live.app.extensions["flask_msal_errors"].store
    keys: list[str] = []
    write = store.write

    def noting(key: str, *rest: t.Any) -> None:
        if key.startswith("form-"):
            keys.append(key)
        write(key, *rest)

    monkeypatch.setattr(store, "write", noting)
    live.app.config["WRITTEN"] = keys


class TestWay:
    """From the refused form through the sign-in to the view, once."""

    @pytest.mark.parametrize("files", [None, {"receipt": ("ü.bin", BLOB)}])
    def test_whole(self, live: LiveApp, ada: Person, desk: Desk, files: t.Any) -> None:
        """Fields and files arrive as they were sent, at the very URL."""
        form = {"files": files} if files else {}
        page = ada.visit(live.url + PAGE, FIELDS, **form)
        assert (page.url, page.text) == (live.url + PAGE, "carried out")
        assert ada.pages[-1] == "context"
        expected = {**FIELDS, "receipt": BLOB} if files else FIELDS
        assert desk.runs == [expected]
        assert kept(live) == 0

    def test_refused_after_it_was_read(
        self, live: LiveApp, ada: Person, desk: Desk
    ) -> None:
        """A view that read everything before the API refused gets all of it again."""
        files = {"receipt": ("r.bin", BLOB)}
        page = ada.visit(live.url + "/late", FIELDS, files=files)
        assert page.text == "carried out"
        assert desk.runs == [{**FIELDS, "receipt": BLOB}] * 2

    def test_once(self, live: LiveApp, ada: Person, desk: Desk) -> None:
        """Reloading the answer, or going back to the page before, runs nothing."""
        ticket = interrupted(live, ada)
        assert resumed(live, ada, ticket).text == "carried out"
        again = resumed(live, ada, ticket)
        back = ada.get(f"{live.url}/auth/resume/{ticket}")
        for page in (again, back):
            assert page.status_code == 410
            assert "It was sent before, or is no longer kept." in page.text
            assert (
                f'href="{PAGE.replace("&", "&amp;")}">Open the form again<' in page.text
            )
            assert page.headers["Cache-Control"] == "no-store"
        assert desk.runs == [FIELDS]

    def test_in_parallel(self, live: LiveApp, entra: Emulator, desk: Desk) -> None:
        """Of eight that resume it at the same time, one does."""
        for trip in "12345":
            person = entra.person()
            person.visit(live.url + "/me")
            ticket = interrupted(live, person, data={"trip": trip})
            codes: list[int] = []

            def run(
                _: int,
                person: Person = person,
                ticket: str = ticket,
                codes: list[int] = codes,
            ) -> None:
                codes.append(resumed(live, person, ticket).status_code)

            parallel.in_threads(8, run)
            assert sorted(codes) == [200, *[410] * 7]
        assert [run["trip"] for run in desk.runs] == [*"12345"]

    def test_refused_again(
        self, live: LiveApp, entra: Emulator, ada: Person, desk: Desk
    ) -> None:
        """A form that is refused anew is kept anew."""
        ticket = interrupted(live, ada, "/late", data=FIELDS)
        entra.revoke("ada")
        page = resumed(live, ada, ticket, "/late")
        assert page.status_code == 401
        assert kept(live) == 1
        onward = re.findall(r'href="([^"]+)">Continue<', page.text)[0]
        page = ada.visit(onward.replace("&amp;", "&"))
        assert page.text == "carried out"
        assert desk.runs == [FIELDS] * 3

    @pytest.mark.parametrize("length", [5000, 0])
    def test_other_length(
        self, live: LiveApp, ada: Person, desk: Desk, length: int
    ) -> None:
        """The view sees the length of the form, be it long or empty."""
        seen: list[int | None] = []
        carry_out = desk.carry_out

        def note() -> t.Any:
            seen.append(request.content_length)
            return carry_out()

        desk.carry_out = note  # type: ignore[method-assign]
        form = {"a": "x" * (length - 2)} if length else {}
        headers = {"Content-Type": "application/x-www-form-urlencoded"}
        page = ada.visit(live.url + PAGE, form, headers=headers)
        assert page.text == "carried out"
        assert seen == [length]

    def test_long_address(self, live: LiveApp, ada: Person, desk: Desk) -> None:
        """A form is kept only where its ticket fits into a request line."""
        page = ada.post(f"{live.url}/desk?q={'x' * 2100}", FIELDS)
        assert "the address of its page is too long" in page.text
        ticket = interrupted(live, ada, f"/desk?q={'x' * 1900}")
        assert len(ticket) < 3500
        assert desk.runs == []

    def test_signal(self, live: LiveApp, ada: Person) -> None:
        """The app is told, with the path."""
        told: list[str] = []

        def note(sender: Flask, url: str) -> None:
            assert sender is live.app
            told.append(url)

        with signals.request_resumed.connected_to(note):
            ada.visit(live.url + PAGE, FIELDS)
        assert told == [PAGE]

    def test_read_by_the_app_first(self, start: Start, entra: Emulator) -> None:
        """The app's code before each request reads the form, not the ticket."""
        desk, seen = Desk(), []

        def add(live: LiveApp) -> None:
            desk.add_views(live)
            live.app.url_value_preprocessor(
                lambda *_: seen.append(request.form.to_dict())
            )

        live = start(add)
        person = entra.person()
        person.visit(live.url + "/me")
        assert person.visit(live.url + PAGE, FIELDS).text == "carried out"
        assert desk.runs == [FIELDS]
        assert [form for form in seen if form] == [FIELDS, FIELDS]

    def test_session_ended_meanwhile(
        self, live: LiveApp, entra: Emulator, ada: Person, desk: Desk
    ) -> None:
        """A user whose session ends before the page is shown signs in and finds it."""
        ticket = interrupted(live, ada)
        ada.cookies = type(ada.cookies)()
        entra.reset()
        page = ada.visit(f"{live.url}/auth/resume/{ticket}", stop_at="resume")
        assert ticket_of(page) == ticket
        assert desk.runs == []

    def test_loop(self, start: Start, entra: Emulator) -> None:
        """A form that is refused for ever ends on the page that says who refuses."""
        from flask_msal_errors import InteractionRequired

        runs = []

        def add(live: LiveApp) -> None:
            @live.app.post("/never")
            @live.auth.catch_challenges
            def never() -> str:
                runs.append(1)
                claims = json.dumps({"access_token": {f"n{len(runs)}": None}})
                raise InteractionRequired(claims=claims, reason="challenge")

        live = start(add)
        person = entra.person()
        person.visit(live.url + "/me")
        page = person.visit(live.url + "/never", FIELDS)
        assert len(runs) == 2
        while onward := re.search(r'href="([^"]+)">Continue<', page.text):
            page = person.visit(html.unescape(onward[1]))
        assert "The API behind this page still refuses." in page.text
        assert len(runs) == 7


class TestRefusals:
    """Forms that are not kept, or not posted again: each says so and runs nothing."""

    def refusal(self, page: requests.Response) -> str:
        assert page.status_code == 401
        assert "was not carried out" in page.text
        return page.text

    @pytest.mark.parametrize(("more", "fits"), [(0, True), (1, False)])
    def test_limit(
        self, start: Start, entra: Emulator, desk: Desk, more: int, fits: bool
    ) -> None:
        """A form of the limit is kept, a byte more is not."""
        live = start(desk.add_views, MSAL_REPLAY_LIMIT=1000)
        person = entra.person()
        person.visit(live.url + "/me")
        page = person.visit(live.url + "/desk", {"a": "x" * (998 + more)})
        if fits:
            assert page.text == "carried out"
        else:
            assert "larger than 1000 bytes" in self.refusal(page)
            assert desk.runs == []

    def test_off(self, start: Start, entra: Emulator, desk: Desk) -> None:
        """With a limit of nothing, nothing is kept."""
        live = start(desk.add_views, MSAL_REPLAY_LIMIT=0)
        person = entra.person()
        person.visit(live.url + "/me")
        self.refusal(person.visit(live.url + "/desk", {"a": "b"}))
        assert desk.runs == []

    def test_store_refuses(
        self, live: LiveApp, ada: Person, desk: Desk, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """A form that the backend does not take is not kept, and the page says so."""
        store = live.app.extensions["flask_msal_errors"].store

        def refuse(*_: object) -> None:
            raise ServiceUnavailable("too large for this store")

        monkeypatch.setattr(store, "write", refuse)
        text = self.refusal(ada.visit(live.url + PAGE, FIELDS))
        assert "session store refused" in text
        assert desk.runs == []

    @pytest.mark.parametrize("method", ["PUT", "PATCH", "DELETE"])
    def test_other_methods(
        self, live: LiveApp, ada: Person, desk: Desk, method: str
    ) -> None:
        """Only posts are kept."""
        answer = ada._http.request(
            method,
            live.url + PAGE,
            data=FIELDS,
            headers={
                "Accept": "text/html",
                "Sec-Fetch-Mode": "navigate",
                "Sec-Fetch-Site": "same-origin",
                "Cookie": live.cookie(ada),
            },
            timeout=PATIENCE,
        )
        self.refusal(answer)
        assert written(live) == []
        assert desk.runs == []

    @pytest.mark.parametrize(
        "headers",
        [
            {"Accept": "application/json"},
            {"Sec-Fetch-Mode": "cors"},
            {"Sec-Fetch-Mode": "", "X-Requested-With": "XMLHttpRequest"},
            {"Sec-Fetch-Mode": "", "HX-Request": "true"},
        ],
    )
    def test_scripts(
        self, live: LiveApp, ada: Person, desk: Desk, headers: dict[str, str]
    ) -> None:
        """A script's request is the script's to send again."""
        if "Accept" in headers:
            headers = {**headers, "Sec-Fetch-Mode": ""}
        answer = ada.post(live.url + PAGE, FIELDS, headers=headers)
        assert answer.status_code == 401
        assert answer.headers["Content-Type"] == "application/problem+json"
        assert written(live) == []
        assert desk.runs == []

    @pytest.mark.parametrize("kind", ["text/plain", "application/json", ""])
    def test_no_form(self, live: LiveApp, ada: Person, desk: Desk, kind: str) -> None:
        """Only the two kinds of a form that have names and values are kept."""
        page = ada.post(live.url + PAGE, b"a=b", headers={"Content-Type": kind})
        assert "it is not an ordinary form" in self.refusal(page)
        assert written(live) == []
        assert desk.runs == []

    def test_nobody(self, live: LiveApp, entra: Emulator, desk: Desk) -> None:
        """A stranger's form is not kept."""
        page = entra.person().visit(live.url + PAGE, FIELDS)
        assert "nobody was signed in" in self.refusal(page)
        assert written(live) == []
        assert desk.runs == []

    @pytest.mark.parametrize(
        "headers",
        [
            {"Sec-Fetch-Site": "cross-site"},
            {"Sec-Fetch-Site": "same-site"},
            {"Sec-Fetch-Site": "none"},
            {"Sec-Fetch-Site": "", "Origin": "https://evil.example"},
            {"Sec-Fetch-Site": "", "Origin": "null"},
            {"Sec-Fetch-Site": "", "Origin": ""},
        ],
    )
    def test_of_another_origin(
        self, live: LiveApp, ada: Person, desk: Desk, headers: dict[str, str]
    ) -> None:
        """A form not provably of this origin is neither kept nor resumed."""
        page = ada.post(live.url + PAGE, FIELDS, headers=headers)
        assert "did not show that it came" in self.refusal(page)
        assert written(live) == []
        ticket = interrupted(live, ada)
        page = resumed(live, ada, ticket, headers=headers)
        assert page.status_code == 410
        assert desk.runs == []
        assert resumed(live, ada, ticket).text == "carried out"

    def test_origin_alone_proves_it(
        self, live: LiveApp, ada: Person, desk: Desk
    ) -> None:
        """Browsers without Fetch Metadata send Origin, which is enough."""
        headers = {"Sec-Fetch-Site": ""}
        ada.post(live.url + PAGE, FIELDS, headers=headers)
        assert kept(live) == 1


class TestTickets:
    """A ticket is good for its user, its URL, once and not for long."""

    @pytest.mark.parametrize("page", ["/desk", PAGE + "&x=1", "/open", "/late"])
    def test_other_page(
        self, live: LiveApp, ada: Person, desk: Desk, page: str
    ) -> None:
        """Posted to another URL it is refused, and stays good for its own."""
        ticket = interrupted(live, ada)
        answer = resumed(live, ada, ticket, page)
        assert answer.status_code == 410
        assert "belongs to another page" in answer.text
        assert desk.runs == []
        assert resumed(live, ada, ticket).text == "carried out"

    def test_other_user(
        self, live: LiveApp, entra: Emulator, ada: Person, desk: Desk
    ) -> None:
        """Nobody can make another person's browser send a form of their own."""
        mallory = entra.person("grace")
        mallory.visit(live.url + "/me")
        ticket = interrupted(live, mallory, data={"pay": "mallory"})
        for answer in (
            resumed(live, ada, ticket),
            ada.get(f"{live.url}/auth/resume/{ticket}"),
        ):
            assert answer.status_code == 410
            assert "not a form of who is signed in" in answer.text
            assert "/desk" not in answer.text
        assert desk.runs == []

    def test_nobody(self, live: LiveApp, entra: Emulator, desk: Desk) -> None:
        """Without a session a ticket runs nothing, also on a page open to all."""
        person = entra.person()
        person.visit(live.url + "/me")
        ticket = interrupted(live, person)
        answer = resumed(live, entra.person(), ticket, "/open")
        assert answer.status_code == 410
        assert desk.runs == []

    @pytest.mark.parametrize("ticket", ["", "x", "a.b.c", "é", "x" * 9000, "\x00"])
    def test_made_up(self, live: LiveApp, ada: Person, desk: Desk, ticket: str) -> None:
        """A ticket that we did not sign runs nothing."""
        assert resumed(live, ada, ticket, "/open").status_code == 410
        assert desk.runs == []

    def test_tampered(self, live: LiveApp, ada: Person, desk: Desk) -> None:
        """A ticket that was changed is none."""
        ticket = interrupted(live, ada)
        assert resumed(live, ada, "x" + ticket).status_code == 410
        assert resumed(live, ada, ticket[:-2]).status_code == 410
        assert desk.runs == []

    def test_expired(self, live: LiveApp, ada: Person, desk: Desk) -> None:
        """After its time it says so, and leads to the form."""
        ticket = interrupted(live, ada)
        live.app.extensions["flask_msal_errors"].forms._lifetime = -1000
        for answer in (
            resumed(live, ada, ticket),
            ada.get(f"{live.url}/auth/resume/{ticket}"),
        ):
            assert answer.status_code == 410
            assert "kept for too long" in answer.text
            assert "Open the form again" in answer.text
        assert desk.runs == []

    def test_expired_words(self, live: LiveApp, ada: Person) -> None:
        """A form that was kept for too long is not told like one that was sent."""
        ticket = interrupted(live, ada)
        live.app.extensions["flask_msal_errors"].forms._lifetime = -1000
        assert "that time is over" in self.told(resumed(live, ada, ticket))

    def told(self, page: requests.Response) -> str:
        """The words of a page for a form that was never sent."""
        assert page.status_code == 410
        assert "<h1>This form was not sent</h1>" in page.text
        assert "Most likely it was sent before" not in page.text
        assert "fill it in again" in page.text
        return page.text

    @pytest.mark.parametrize("how", ["post", "get"])
    def test_sent_in_another_tab(self, live: LiveApp, ada: Person, how: str) -> None:
        """A form that one tab sent is told in the other as most likely sent."""
        ticket = interrupted(live, ada)
        assert resumed(live, ada, ticket).text == "carried out"
        if how == "post":
            page = resumed(live, ada, ticket)
        else:
            page = ada.get(f"{live.url}/auth/resume/{ticket}")
        assert "<h1>This form was not sent again</h1>" in page.text
        assert "Most likely it was sent before" in page.text
        assert "You are still signed in as" in page.text

    @pytest.mark.parametrize("how", ["post", "get"])
    def test_session_ended(
        self, live: LiveApp, ada: Person, desk: Desk, how: str
    ) -> None:
        """After a sign-out and a new sign-in it says that the form went with it."""
        ticket = interrupted(live, ada)
        ada.submit(ada.get(live.url + "/auth/logout"))
        ada.visit(live.url + "/me")
        if how == "post":
            page = resumed(live, ada, ticket)
        else:
            page = ada.get(f"{live.url}/auth/resume/{ticket}")
        assert "The session in which you filled it in has ended" in self.told(page)
        assert "You are still signed in" not in page.text
        assert "Open the form again" in page.text
        assert desk.runs == []

    @pytest.mark.parametrize("root", ["", "/portal"])
    @pytest.mark.parametrize(
        ("path", "is_page"),
        [
            ("/desk?trip=1", True),
            ("/%C3%BC%20x/1?a=b", True),
            ("/late", False),
            ("/", False),
        ],
    )
    def test_leads_to_no_405(
        self, live: LiveApp, root: str, path: str, is_page: bool
    ) -> None:
        """A form's URL that takes posts alone is not offered: it would be a 405."""
        live.app._got_first_request = False
        live.app.add_url_rule("/ü x/<int:number>", "odd", str)
        error = NotResumed("It was sent already.")
        error.target = root + path if path != "/" else path
        with live.app.test_request_context(
            "/late",
            method="POST",
            base_url=f"http://localhost{root}",
            headers={"Accept": "text/html"},
        ):
            page = pages.error(error).get_data(as_text=True)
        assert ("Open the form again" in page) == is_page
        assert "Start page" in page

    def test_same_session_with_more_proof(self, live: LiveApp, ada: Person) -> None:
        """Another sign-in of the same session does not end it."""
        ticket = interrupted(live, ada)
        assert resumed(live, ada, ticket).text == "carried out"
        ada.visit(f"{live.url}/auth/login")
        assert "Most likely it was sent before" in resumed(live, ada, ticket).text

    def test_another_account(
        self, live: LiveApp, entra: Emulator, ada: Person, desk: Desk
    ) -> None:
        """Somebody else reads with which account to fill it in."""
        ticket = interrupted(live, ada)
        grace = entra.person("grace")
        grace.visit(live.url + "/me")
        words = self.told(resumed(live, grace, ticket))
        assert "not a form of the account that you are signed in with now" in words
        assert desk.runs == []

    def test_signed_out(self, live: LiveApp, ada: Person, desk: Desk) -> None:
        """On a page that is open to all, it says that nobody is signed in."""
        ticket = interrupted(live, ada)
        ada.submit(ada.get(live.url + "/auth/logout"))
        words = self.told(resumed(live, ada, ticket, "/open"))
        assert "You are not signed in any more" in words
        assert desk.runs == []

    @pytest.mark.parametrize("language", ["de", "es", "fr", "ja"])
    def test_languages(self, live: LiveApp, ada: Person, language: str) -> None:
        """Each reason has words of its own in each language."""
        with live.app.test_request_context(headers={"Accept-Language": language}):
            said = [
                languages.translated(words.message) for _, words in REASONS.values()
            ]
            english = [words.message for _, words in REASONS.values()]
        assert len({*said, *english}) == 2 * len(REASONS)

    def test_without_a_record(self, live: LiveApp, ada: Person, desk: Desk) -> None:
        """No forms are kept where nothing would bound them."""
        state = live.app.extensions["flask_msal_errors"]
        with live.app.test_request_context("/", headers={"Cookie": live.cookie(ada)}):
            state.records.delete(session[session_apps.own_key()]["handle"])
        for _ in range(8):
            page = ada.post(live.url + PAGE, FIELDS)
            assert "your session is incomplete" in page.text
        assert written(live) == []

    def test_five_at_most(self, live: LiveApp, ada: Person, desk: Desk) -> None:
        """One form more than fits drops the oldest only."""
        for number in range(MOST_FORMS + 1):
            ada.post(live.url + PAGE, {"n": str(number)})
        assert len(written(live)) == MOST_FORMS + 1
        store = live.app.extensions["flask_msal_errors"].store
        assert [store.read(key) is None for key in written(live)] == [
            True,
            *[False] * MOST_FORMS,
        ]

    def test_gone_at_sign_out(self, live: LiveApp, ada: Person) -> None:
        """A user who signs out leaves no form behind."""
        ada.post(live.url + PAGE, FIELDS)
        assert kept(live) == 1
        ada.submit(ada.get(live.url + "/auth/logout"))
        assert kept(live) == 0

    def test_another_account_comes_back(
        self, live: LiveApp, entra: Emulator, ada: Person, desk: Desk
    ) -> None:
        """Somebody else who comes back never sends the first one's form."""
        answer = ada.post(live.url + PAGE, FIELDS)
        onward = re.findall(r'href="([^"]+)">Continue<', answer.text)[0]
        ada.name = "grace"
        hint = re.sub(r"login_hint=[^&]*", "prompt=select_account", onward)
        page = ada.visit(hint.replace("&amp;", "&"))
        assert "Another account came back" in page.text
        other = re.findall(r'href="([^"]+)">Continue as ', page.text)[0]
        page = ada.visit(live.url + other.replace("&amp;", "&"))
        assert page.text == "hello grace@contoso.example"
        assert desk.runs == []
        assert kept(live) == 0

    def test_encrypted(self, start: Start, entra: Emulator, desk: Desk) -> None:
        """With keys, nothing of a form can be read in the store, and it is resumed."""
        key = Fernet.generate_key().decode()
        live = start(desk.add_views, MSAL_ENCRYPTION_KEYS=key)
        person = entra.person()
        person.visit(live.url + "/me")
        ticket = interrupted(live, person, data={"a": "very-secret"})
        folder = live.app.instance_path
        for place, _, names in os.walk(folder):
            for name in names:
                with open(os.path.join(place, name), "rb") as file:
                    text = file.read()
                assert b"very-secret" not in text and b"dmVyeS1zZWNyZX" not in text
        assert resumed(live, person, ticket).text == "carried out"

    def test_unreadable(self, live: LiveApp, ada: Person, desk: Desk) -> None:
        """A broken entry is a page, not a failure."""
        from datetime import timedelta

        ticket = interrupted(live, ada)
        store = live.app.extensions["flask_msal_errors"].store
        texts = ["x", "5", "[1]", '["a",5]', '["x","a"]', '["a/b","%%%"]', "[" * 9999]
        texts += ['["form-1"]', '["form-1","a/b",5]', '["form-1","a/b","%%%"]']
        for broken in ({}, {"plain": 1}, *({"plain": text} for text in texts)):
            store.write(written(live)[0], broken, timedelta(hours=1))
            answer = resumed(live, ada, ticket)
            assert answer.status_code == 410
        assert desk.runs == []


class TestPage:
    def test_headers(self, live: LiveApp, ada: Person) -> None:
        """It is kept by nobody, framed by nobody, and runs our script only."""
        ticket = interrupted(live, ada)
        page = ada.get(f"{live.url}/auth/resume/{ticket}")
        policy = page.headers["Content-Security-Policy"]
        assert "script-src 'self'" in policy
        assert "default-src 'none'" in policy
        assert "frame-ancestors 'none'" in policy
        assert page.headers["X-Frame-Options"] == "DENY"
        assert page.headers["Cache-Control"] == "no-store"
        assert re.findall("<script[^>]*>", page.text) == [
            '<script src="/auth/static/resume.js" defer>'
        ]
        assert "You are signed in again" in page.text

    def test_way_there(self, live: LiveApp, ada: Person) -> None:
        """The answer to a kept form leads on by itself, and has a link."""
        page = ada.post(live.url + PAGE, FIELDS)
        link = re.findall(r'href="(http[^"]+)">Continue<', page.text)[0]
        assert page.headers["Refresh"] == f"0; url={html.unescape(link)}"
        assert page.status_code == 401
        assert "Location" not in page.headers
        assert page.headers["Cache-Control"] == "no-store"


class TestCsrf:
    """Beside Flask-WTF, whose token is in the form and in the session."""

    @pytest.mark.parametrize("tls", [False, True], ids=["http", "https"])
    @pytest.mark.parametrize("before", [False, True])
    def test_token_still_fits(
        self, start: Start, entra: Emulator, tls: bool, before: bool
    ) -> None:
        """The form's own token is checked, and passes, when it is carried out."""
        desk = Desk()
        checked: list[bool] = []

        def add(live: LiveApp) -> None:
            if not before:
                CSRFProtect(live.app)
            live.app.get("/token")(generate_csrf)
            desk.add_views(live)

            @live.app.before_request
            def note() -> None:
                if request.path == "/desk":
                    checked.append("csrf_token" in session)

        live = start(add, tls=tls)
        if before:
            CSRFProtect(live.app)
        person = entra.person()
        person.visit(live.url + "/me")
        token = person.get(live.url + "/token").text
        page = person.visit(live.url + PAGE, {**FIELDS, "csrf_token": token})
        assert page.text == "carried out"
        assert desk.runs == [{**FIELDS, "csrf_token": token}]
        wrong = person.visit(live.url + PAGE, {**FIELDS, "csrf_token": "wrong"})
        assert wrong.status_code == 400
        assert len(desk.runs) == 1
        assert all(checked)


class TestCapture:
    """Reading the body early changes nothing for the app."""

    def test_streams(self, start: Start, entra: Emulator) -> None:
        """A view may read the body as a stream, of whatever kind it is."""

        def add(live: LiveApp) -> None:
            @live.app.post("/echo")
            def echo() -> bytes:
                return request.stream.read()

        live = start(add)
        person = entra.person()
        for kind in ("application/x-www-form-urlencoded", "text/plain", "multipart/x"):
            answer = person.post(
                live.url + "/echo",
                b"a=b&c",
                headers={"Content-Type": kind},
            )
            assert answer.content == b"a=b&c"

    def test_the_apps_own_limit(self, start: Start, entra: Emulator) -> None:
        """MAX_CONTENT_LENGTH is still Flask's to check."""
        desk = Desk()
        live = start(desk.add_views, MAX_CONTENT_LENGTH=100)
        answer = entra.person().post(live.url + "/open", {"a": "x" * 200})
        assert answer.status_code == 413
        assert desk.runs == []

    def test_aborts_pass(self, start: Start, entra: Emulator) -> None:
        """A refusal of the app's own is its own affair."""

        def add(live: LiveApp) -> None:
            @live.app.post("/abort")
            @live.auth.login_required
            def aborting() -> t.NoReturn:
                abort(409)

        live = start(add)
        person = entra.person()
        person.visit(live.url + "/me")
        assert person.post(live.url + "/abort", FIELDS).status_code == 409
