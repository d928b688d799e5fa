"""The example app, over real sockets: what its visitors meet on each page."""

from __future__ import annotations

import ast
import collections.abc as cabc
import contextlib
import dataclasses
import html
import inspect
import os
import re
import signal
import socket
import stat
import subprocess
import sys
import typing as t
from pathlib import Path

import pytest
import requests

import example_app
from example_app import create_app
from example_app import on_emulator
from example_app import pages
from example_app import trace
from example_app.apis import Api
from example_app.apis import Apis
from example_app.apis import emulated
from example_app.apis import real
from flask_msal_errors import ConfigurationError
from flask_msal_errors.testing import Emulator
from flask_msal_errors.testing import Person
from flask_msal_errors.testing.kit.server import Server
from support.waiting import PATIENCE
from support.waiting import until

pytestmark = pytest.mark.once
ROOT = Path(__file__).parents[2]
PAGES = (
    *("/profile", "/mail", "/payroll", "/expense", "/approvals"),
    *("/revoked", "/busy", "/sessions"),
)
TENANT = {
    "MSAL_CLIENT_ID": "11111111-2222-3333-4444-555555555555",
    "MSAL_CLIENT_CREDENTIAL": "from the environment",
    "MSAL_AUTHORITY": "https://login.microsoftonline.com/contoso.example",
}


def text_of(markup: str) -> str:
    return " ".join(html.unescape(re.sub(r"<[^>]+>", " ", markup)).split())


def stories(reply: t.Any) -> list[list[str]]:
    """The steps of each story that a page tells, latest first."""
    return stories_of(reply, "story")


def stories_of(reply: t.Any, kind: str) -> list[list[str]]:
    """The lines of all sections of a kind."""
    section = rf'<section class="{kind}">(.*?)</section>'
    found = re.findall(section, reply.text, re.DOTALL)
    step = re.compile(r"<li[^>]*>(.*?)</li>", re.DOTALL)
    return [[text_of(words) for words in step.findall(story)] for story in found]


def lines_of_api(reply: t.Any) -> list[str]:
    """The lines of the payroll API on a page, oldest first."""
    return stories_of(reply, "story api")[0] if "story api" in reply.text else []


def link(reply: t.Any, label: str) -> str:
    """Return where a page's link leads to."""
    found = re.search(rf'<a [^>]*href="([^"]*)"[^>]*>{label}', reply.text)
    assert found is not None
    return html.unescape(found[1])


def press(person: Person, entra: Emulator, button: str, **fields: str) -> None:
    """Flip a switch on the control panel."""
    answer = person.post(entra.panel_url, {"do": button, **fields})
    assert answer.status_code == 303


@pytest.fixture(autouse=True)
def bare_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in list(os.environ):
        if name.startswith(("MSAL_", "SESSION_")) or name in ("SECRET_KEY", "PORT"):
            monkeypatch.delenv(name)


@pytest.fixture
def serve(tmp_path: Path) -> cabc.Iterator[cabc.Callable[..., str]]:
    """A function that runs an app with a config and returns its address."""
    with contextlib.ExitStack() as running:

        def start(entra: Emulator | None = None, **config: t.Any) -> str:
            folder = str(tmp_path)
            if entra is not None:
                app = running.enter_context(on_emulator(entra, folder))
            else:
                app = create_app({"EXAMPLE_INSTANCE": folder, **config})
            server = Server(app, 0)
            server.start()
            running.callback(server.stop)
            return f"http://localhost:{server.port}"

        yield start


@pytest.fixture
def example(serve: cabc.Callable[..., str], entra: Emulator) -> str:
    """The address of the example on the emulator."""
    return serve(entra)


@pytest.fixture
def ada(example: str, entra: Emulator) -> Person:
    """Ada, signed in at the example, who may approve."""
    entra.give_role("ada", "Approver")
    person = entra.person("ada")
    assert person.visit(f"{example}/profile").status_code == 200
    return person


class TestHome:
    def test_stranger(self, example: str, entra: Emulator) -> None:
        """A stranger sees every page, the control panel, and where to sign in."""
        reply = entra.person().visit(example)
        assert all(f'href="{page}"' in reply.text for page in PAGES)
        assert f'href="{entra.panel_url}"' in reply.text
        assert "Nobody is signed in" in reply.text
        assert stories(reply) == []

    def test_sign_in(self, example: str, entra: Emulator) -> None:
        """The button signs in, and the page greets by name."""
        person = entra.person("grace")
        reply = person.visit(example + link(person.visit(example), "Sign in"))
        assert reply.url == f"{example}/"
        assert "Hello, Grace" in reply.text
        assert stories(reply) == [["You signed in."]]

    def test_sign_out(self, ada: Person, example: str) -> None:
        """The button signs out; the next page needs a sign-in again."""
        reply = ada.submit(ada.visit(example))
        assert stories(reply) == [["You signed out."]]
        assert "Ada" not in ada.visit(example).text
        ada.pages.clear()
        ada.visit(f"{example}/profile")
        assert "pick" in ada.pages


class TestStories:
    def test_try_it(self, ada: Person, example: str, entra: Emulator) -> None:
        """Each hint names buttons of the control panel, or of its own page."""
        panel = text_of(entra.person().get(entra.panel_url).text)
        told = 0
        for url in PAGES:
            story, rest = ada.visit(example + url).text.split("<h2>Try it</h2>")
            hints, _, rest = rest.partition("</section>")
            page = text_of(story + rest)
            for name in map(text_of, re.findall(r"<b>(.*?)</b>", hints)):
                assert name in panel or name in page, f"{url}: {name}"
                told += 1
        assert told > len(PAGES)

    def test_profile(self, ada: Person, example: str, entra: Emulator) -> None:
        """The profile is shown with the token of the sign-in, and no other call."""
        calls = entra.counters["token"]
        reply = ada.visit(f"{example}/profile")
        assert "ada@contoso.example" in text_of(reply.text)
        assert entra.counters["token"] == calls

    def test_mail(self, ada: Person, example: str) -> None:
        """Mail asks for consent to one more scope, and is shown then."""
        ada.pages.clear()
        reply = ada.visit(f"{example}/mail")
        assert ada.pages == ["consent"]
        assert reply.url == f"{example}/mail"
        assert "The engine is nearly done" in reply.text
        assert stories(reply)[0] == [
            "The app asked for a token for Mail.Read. Entra refused: you have not"
            " agreed to it yet (AADSTS65001).",
            "You gave your consent and came back.",
            "The page was opened again, and the API answered.",
        ]

    def test_mail_declined(self, ada: Person, example: str) -> None:
        """A user who declines is told so in the app's own look, and stays signed in."""
        ada.decline_consent = True
        reply = ada.visit(f"{example}/mail")
        assert reply.status_code == 403
        assert "Contoso Staff" in reply.text
        words = "You said no at Entra, so the app got no token. You can try again."
        assert stories(reply)[0][-1] == words
        assert "You are still signed in" in reply.text
        assert link(reply, "The page that you") == "/mail"
        assert "Hello, Ada" in ada.visit(example).text
        ada.decline_consent = False
        assert ada.visit(f"{example}/mail").url == f"{example}/mail"

    def test_payroll(self, ada: Person, example: str) -> None:
        """Payroll is shown after a step-up and a consent that the API demanded."""
        ada.pages.clear()
        reply = ada.visit(f"{example}/payroll")
        assert ada.pages == ["context", "consent"]
        assert reply.url == f"{example}/payroll"
        assert "4,200 EUR" in reply.text
        assert stories(reply)[0] == [
            "The API refused the token: it does not prove the authentication context c1"
            " (claims challenge: acrs).",
            "The app asked for a new token without you. Entra refused: more proof of"
            " who you are is needed (AADSTS50076).",
            "You gave the proof and came back.",
            "The API lacks your consent (403, insufficient_scope).",
            "You gave what was missing and came back.",
            "The page was opened again, and the API answered.",
        ]
        assert lines_of_api(reply) == [
            "Your token does not prove the context c1.",
            "Answered the web app: 401, insufficient_claims.",
            "No token for Graph: you have not agreed to it yet (AADSTS65001).",
            "Answered the web app: 403, insufficient_scope.",
            "Called Graph on your behalf, and answered.",
        ]

    def test_payroll_of_others(
        self, ada: Person, example: str, entra: Emulator
    ) -> None:
        """Lines of the API are shown to whose call it was, and to nobody else."""
        assert lines_of_api(ada.visit(f"{example}/payroll"))
        grace = entra.person("grace")
        assert lines_of_api(grace.visit(f"{example}/profile")) == []

    def test_bonus(self, ada: Person, example: str, entra: Emulator) -> None:
        """Graph demands a proof in the middle of a form; the bonus is paid once."""
        assert "Bonuses paid: 0" in ada.visit(f"{example}/payroll").text
        entra.require_context("User.Read", "c2")
        ada.pages.clear()
        reply = ada.visit(f"{example}/payroll", {"amount": "250"})
        assert ada.pages == ["context"]
        assert "250 EUR bonus, paid once to Ada Lovelace" in text_of(reply.text)
        assert stories(reply)[0][-1] == "Your form was sent, once."
        assert "Bonuses paid: 1" in ada.visit(f"{example}/payroll").text

    def test_claim_after_bonus(
        self, ada: Person, example: str, entra: Emulator
    ) -> None:
        """A claim asks for a proof of its own, whatever payroll asked for before."""
        entra.require_context("User.Read", "c2")
        ada.visit(f"{example}/payroll", {"amount": "250"})
        ada.pages.clear()
        ada.visit(f"{example}/expense", {"what": "Taxi", "amount": "9"})
        assert ada.pages == ["context"]

    def test_payroll_moved(self, ada: Person, example: str, entra: Emulator) -> None:
        """The API settles another IP address with Graph by itself."""
        ada.visit(f"{example}/payroll")
        entra.change_ip("ada")
        ada.pages.clear()
        reply = ada.visit(f"{example}/payroll")
        assert ada.pages == [] and "4,200 EUR" in reply.text
        assert lines_of_api(reply)[-2:] == [
            "Graph refused the token. Entra gave a new one without you.",
            "Called Graph on your behalf, and answered.",
        ]

    def test_payroll_revoked(self, ada: Person, example: str, entra: Emulator) -> None:
        """Revoked, Ada signs in and gives the proof again, for an API behind an API."""
        ada.visit(f"{example}/payroll")
        entra.revoke("ada")
        ada.pages.clear()
        reply = ada.visit(f"{example}/payroll")
        assert ada.pages == ["pick", "context"] and "4,200 EUR" in reply.text
        told = "No token for Graph: your sign-in was revoked (AADSTS50173)."
        assert told in lines_of_api(reply)

    def test_revoked(self, ada: Person, example: str, entra: Emulator) -> None:
        """Revoked in the panel, she signs in again and is back on the page."""
        press(ada, entra, "revoke", user="ada")
        ada.pages.clear()
        reply = ada.visit(f"{example}/revoked")
        assert ada.pages == ["pick"]
        assert reply.url == f"{example}/revoked"
        assert "Not revoked" in reply.text
        assert stories(reply)[0] == [
            "The API refused the token: it was issued before your session was revoked"
            " (claims challenge: nbf).",
            "The app asked for a new token without you. Entra refused: your sign-in was"
            " revoked (AADSTS50173).",
            "You signed in again and came back.",
            "The page was opened again, and the API answered.",
        ]

    def test_revoked_after_all(
        self, ada: Person, example: str, entra: Emulator
    ) -> None:
        """Consents and a step-up minutes ago do not make a revocation look a loop."""
        for page in PAGES:
            assert ada.visit(example + page).status_code == 200
        press(ada, entra, "revoke", user="ada")
        assert ada.visit(f"{example}/revoked").url == f"{example}/revoked"

    def test_role_taken_away(self, ada: Person, example: str, entra: Emulator) -> None:
        """Approvals are for people with the role, and only as long as they have it."""
        assert "you may approve" in ada.visit(f"{example}/approvals").text
        asked = entra.counters["authorize"]
        press(ada, entra, "take_role", user="ada", role="Approver")
        reply = ada.visit(f"{example}/approvals")
        assert reply.status_code == 403
        assert "give Ada the role Approver" in text_of(reply.text)
        words = "This page needs the role Approver, and you lack it."
        assert stories(reply)[0][-1] == words
        assert ada.visit(f"{example}/profile").status_code == 200
        entra.give_role("ada", "Approver")
        assert ada.visit(f"{example}/approvals").status_code == 200
        assert entra.counters["authorize"] == asked

    def test_sessions(self, ada: Person, example: str, entra: Emulator) -> None:
        """All sessions are listed, and end by a button whose token is checked."""
        other = entra.person("ada")
        other.visit(f"{example}/mail")
        page = ada.visit(f"{example}/sessions")
        assert page.text.count("<time") == 2 and page.text.count("this browser") == 1
        assert ada.post(f"{example}/sessions", {"token": "x"}).status_code == 400
        other.visit(f"{example}/sessions")
        ada.submit(page, "everywhere")
        for person in (ada, other):
            assert "Nobody is signed in" in person.get(example).text

    def test_expense(self, ada: Person, example: str) -> None:
        """A form is interrupted for more proof, and received once with its file."""
        form = {"what": "Taxi", "amount": "9.50"}
        ada.pages.clear()
        files = {"receipt": ("taxi.png", b"x" * 5000)}
        reply = ada.visit(f"{example}/expense", form, files=files)
        assert ada.pages == ["context"]
        assert "Taxi Amount 9.50 EUR Receipt taxi.png (5000 bytes)" in text_of(
            reply.text
        )
        assert stories(reply)[0] == [
            "This page needs more proof, so the app sent you to Entra. It kept your"
            " form.",
            "You gave the proof and came back.",
            "Your form was sent, once.",
        ]

    def test_expense_after_all(self, ada: Person, example: str) -> None:
        """Each claim is interrupted, whatever was proved before."""
        for page in PAGES:
            assert ada.visit(example + page).status_code == 200
        for _ in range(2):
            ada.pages.clear()
            reply = ada.visit(f"{example}/expense", {"what": "Taxi"})
            assert ada.pages == ["context"]
            assert stories(reply)[0][-1] == "Your form was sent, once."
        assert "Received, once" in reply.text

    def test_moved(self, ada: Person, example: str, entra: Emulator) -> None:
        """Another IP address is settled without her; only the trace tells."""
        press(ada, entra, "change_ip", user="ada")
        ada.pages.clear()
        reply = ada.visit(f"{example}/profile")
        assert ada.pages == []
        assert stories(reply)[0] == [
            "The API refused the token: it was issued to another IP address"
            " (claims challenge: xms_rp_ipaddr).",
            "The app asked for a new token without you, and got it.",
            "The call was repeated, and the API answered.",
        ]

    def test_busy(self, ada: Person, example: str, entra: Emulator) -> None:
        """Ten reloads during a 429 cause one token call, and the page counts it."""
        assert "09:00" in ada.visit(f"{example}/busy").text
        calls = entra.counters["token"]
        press(ada, entra, "throttle", seconds="60", retry_after="seconds")
        replies = [ada.visit(f"{example}/busy") for _ in range(10)]
        assert {reply.status_code for reply in replies} == {429}
        assert entra.counters["token"] == calls + 1
        page = text_of(replies[-1].text)
        assert f"answered {calls + 1} token calls, 1 of them with a 429" in page
        assert stories(replies[-1])[0] == [
            "Entra asked the app to wait (429). It makes no call until then. × 10"
        ]

    def test_after_busy(self, ada: Person, example: str, entra: Emulator) -> None:
        """Once the pause is over, the page works again."""
        ada.visit(f"{example}/busy")
        entra.fail_next({}, status=429, headers={"Retry-After": "1"})
        assert ada.visit(f"{example}/busy").status_code == 429
        replies: list[requests.Response] = []

        def answered() -> bool:
            replies.append(ada.visit(f"{example}/busy"))
            return bool(replies[-1].status_code != 429)

        until(answered)
        assert stories(replies[-1])[0][-1] == (
            "The page was opened again, and the API answered."
        )

    def test_another_page(self, ada: Person, example: str, entra: Emulator) -> None:
        """A page's story does not end well because another page works."""
        entra.throttle(60)
        ada.visit(f"{example}/busy")
        reply = ada.visit(f"{example}/profile")
        assert [len(story) for story in stories(reply)] == [1, 1]

    def test_bounded(self, ada: Person, example: str, entra: Emulator) -> None:
        """However much happens, the session keeps a few short stories."""
        for page in ("/profile", "/revoked", "/mail", "/payroll", "/busy") * 2:
            entra.change_ip("ada")
            reply = ada.visit(example + page)
        found = stories(reply)
        assert len(found) == trace.MOST_STORIES
        assert all(len(story) <= trace.MOST_STEPS for story in found)
        assert all(len(s) < trace.LONGEST_TEXT + 10 for story in found for s in story)


class TestOtherAnswers:
    @pytest.mark.parametrize("switch", ["throttle", "unavailable"])
    def test_api_fails(
        self, ada: Person, example: str, entra: Emulator, switch: str
    ) -> None:
        """An API that fails is named as the cause, and nobody has to sign in."""
        getattr(entra, switch)(target="api")
        ada.pages.clear()
        reply = ada.visit(f"{example}/profile")
        assert reply.status_code == 502
        assert "The API failed" in reply.text
        assert ada.pages == []
        status = 429 if switch == "throttle" else 503
        assert stories(reply)[0] == [
            f"The API answered with the status {status}. No sign-in helps, so you are"
            " not asked."
        ]

    def test_api_is_gone(
        self,
        serve: cabc.Callable[..., str],
        entra: Emulator,
        monkeypatch: pytest.MonkeyPatch,
    ) -> None:
        """An API that cannot be reached is told of, without a status."""
        gone = Api("https://localhost:1/me", entra.scope("Profile.Read"))
        monkeypatch.setattr(
            example_app,
            "emulated",
            lambda *given: dataclasses.replace(emulated(*given), profile=gone),
        )
        url = serve(entra)
        reply = entra.person("ada").visit(f"{url}/profile")
        assert reply.status_code == 502
        assert stories(reply)[0] == [
            "The API did not answer. No sign-in helps, so you are not asked."
        ]

    def test_entra_fails(self, ada: Person, example: str, entra: Emulator) -> None:
        """An outage of Entra is told by its cause."""
        entra.unavailable()
        reply = ada.visit(f"{example}/busy")
        assert reply.status_code == 503
        assert stories(reply)[0] == [
            "Entra gave no token: it has a fault of its own at the moment"
            " (AADSTS90033)."
        ]

    @pytest.mark.parametrize("page", ["busy", "mail"])
    def test_wrong_secret(
        self, ada: Person, example: str, entra: Emulator, page: str
    ) -> None:
        """A secret that Entra refuses is told of, wherever it is refused."""
        entra.secret_rotated()
        reply = ada.visit(f"{example}/{page}")
        assert reply.status_code == 500
        words = "the secret of this app is wrong (AADSTS7000215)"
        assert words in stories(reply)[0][-1]

    def test_not_found(self, ada: Person, example: str) -> None:
        """An address without a page leads back to the start."""
        reply = ada.visit(f"{example}/nothing")
        assert reply.status_code == 404
        assert link(reply, "Start page") == "/"

    def test_bug(self, entra: Emulator, tmp_path: Path) -> None:
        """A failure of the app itself has a page in its look, without details."""
        with on_emulator(entra, str(tmp_path)) as app:
            app.add_url_rule("/bug", view_func=lambda: [].pop())
            reply = app.test_client().get("/bug")
        assert reply.status_code == 500
        assert "Contoso Staff" in reply.text
        assert "IndexError" not in reply.text


class TestPages:
    @pytest.mark.parametrize("path", PAGES)
    def test_code(self, ada: Person, example: str, path: str) -> None:
        """The code that a page shows is its view's, as it runs."""
        found = re.search(
            r'<pre class="code"[^>]*>(.*?)</pre>',
            ada.visit(example + path).text,
            re.DOTALL,
        )
        assert found is not None
        shown = html.unescape(found[1])
        tree = ast.parse(inspect.getsource(pages))
        running = {
            node.name: node for node in tree.body if isinstance(node, ast.FunctionDef)
        }
        names = {node.name for node in ast.parse(shown).body if hasattr(node, "name")}
        assert {ast.dump(node) for node in ast.parse(shown).body} == {
            ast.dump(running[name]) for name in names
        }
        assert f'("{path}")' in shown

    @pytest.mark.parametrize("path", PAGES)
    def test_mark(self, ada: Person, example: str, path: str) -> None:
        """The navigation marks the page, also in the answer to a form."""
        form = {"what": "Taxi"} if path == "/expense" else None
        for sent in (None, form):
            page = ada.visit(example + path, sent).text
            marked = re.findall(r'<a href="([^"]*)" aria-current="page"', page)
            assert marked == [path]

    @pytest.mark.parametrize("path", ["/", *PAGES])
    def test_needs_nothing_from_outside(
        self, ada: Person, example: str, path: str
    ) -> None:
        """A page loads its own style sheet, no script, and is never cached."""
        reply = ada.visit(example + path)
        assert "default-src 'self'" in reply.headers["Content-Security-Policy"]
        assert reply.headers["Cache-Control"] == "no-store"
        assert "<script" not in reply.text
        assert " style=" not in reply.text
        sources = re.findall(r'<link [^>]*href="([^"]*)"', reply.text)
        assert len(sources) == 2
        assert all(ada.get(example + source).ok for source in sources)

    def test_holds_no_token(self, ada: Person, example: str, entra: Emulator) -> None:
        """No page shows a token, a code or the client secret."""
        for path in ("/", *PAGES):
            page = ada.visit(example + path).text
            assert "eyJ" not in re.sub(r'href="[^"]*"', "", page)
            assert entra.client_secret not in page


@pytest.fixture
def tenant(monkeypatch: pytest.MonkeyPatch) -> None:
    """The environment of an app that has a tenant."""
    for name, value in TENANT.items():
        monkeypatch.setenv(name, value)


def graph(entra: Emulator) -> Apis:
    """Microsoft Graph, at the address of the emulator."""
    apis = real()

    def moved(api: Api) -> Api:
        graph = "https://graph.microsoft.com/v1.0"
        return Api(api.url.replace(graph, entra.graph_url), api.scope)

    return dataclasses.replace(
        apis,
        profile=moved(apis.profile),
        mail=moved(apis.mail),
        payroll=moved(apis.payroll),
        busy=moved(apis.busy),
        verify=entra.ca_file,
    )


class TestRealTenant:
    @pytest.mark.usefixtures("tenant")
    def test_needs_no_network(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """With a tenant in the environment, the app is built without asking it."""

        def refuse(*_: object, **__: object) -> t.NoReturn:
            raise AssertionError("a connection was made")

        monkeypatch.setattr(socket.socket, "connect", refuse)
        app = create_app({"EXAMPLE_INSTANCE": str(tmp_path)})
        page = app.test_client().get("/").text
        assert "Payroll" in page
        assert "Control panel" not in page
        assert "emulat" not in page

    @pytest.mark.usefixtures("tenant")
    def test_incomplete(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        """A variable that is missing is named."""
        monkeypatch.delenv("MSAL_CLIENT_CREDENTIAL")
        with pytest.raises(ConfigurationError, match="MSAL_CLIENT_CREDENTIAL"):
            create_app({"EXAMPLE_INSTANCE": str(tmp_path)})

    def test_pages(
        self,
        serve: cabc.Callable[..., str],
        entra: Emulator,
        monkeypatch: pytest.MonkeyPatch,
    ) -> None:
        """Every page works on Graph; payroll demands its step-up by itself."""
        monkeypatch.setattr(example_app, "real", lambda: graph(entra))
        url = serve(**entra.config(MSAL_SCOPES=[]))
        person = entra.person("ada")
        assert "Ada Lovelace" in person.visit(f"{url}/profile").text
        assert "Lecture on Thursday" in person.visit(f"{url}/mail").text
        assert "Entra issued a new token" in person.visit(f"{url}/busy").text
        assert "context" not in person.pages
        reply = person.visit(f"{url}/payroll")
        assert person.pages[-1] == "context"
        assert reply.url == f"{url}/payroll"
        assert stories(reply)[0] == [
            "This page needs more proof, so the app sent you to Entra.",
            "You gave the proof and came back.",
            "The page was opened again, and the API answered.",
        ]


class TestEnvironment:
    @pytest.mark.usefixtures("tenant")
    def test_secret_key(self, tmp_path: Path) -> None:
        """A secret is made once, kept, and readable by its owner only."""
        config = {"EXAMPLE_INSTANCE": str(tmp_path / "new")}
        keys = {create_app(config).config["SECRET_KEY"] for _ in range(2)}
        assert len(keys.pop()) >= 32
        assert not keys
        mode = (tmp_path / "new" / "secret_key").stat().st_mode
        assert stat.S_IMODE(mode) == 0o600

    @pytest.mark.usefixtures("tenant")
    def test_variables(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        """SECRET_KEY and SESSION_* are taken from the environment as what they mean."""
        monkeypatch.setenv("SECRET_KEY", "given")
        monkeypatch.setenv("SESSION_PERMANENT", "false")
        monkeypatch.setenv("SESSION_COOKIE_NAME", "mine")
        app = create_app({"EXAMPLE_INSTANCE": str(tmp_path)})
        assert app.config["SECRET_KEY"] == "given"
        assert app.config["SESSION_PERMANENT"] is False
        assert app.config["SESSION_COOKIE_NAME"] == "mine"
        assert not (tmp_path / "secret_key").exists()

    def test_cookie_of_its_own(self, ada: Person, example: str) -> None:
        """Its session cookie is no other local app's: cookies know no ports."""
        assert ada.cookies.get(example, "example_session")
        assert not ada.cookies.get(example, "session")


@pytest.fixture
def command(tmp_path: Path) -> cabc.Iterator[cabc.Callable[..., t.Any]]:
    """A function that runs ``python -m example_app`` and waits for what it prints."""
    running = []

    def start(*arguments: str) -> tuple[subprocess.Popen[str], str]:
        # At the end of the path, so that the installed package is tested.
        code = (
            f"import runpy, sys; sys.path.append({str(ROOT)!r});"
            " runpy.run_module('example_app', run_name='__main__')"
        )
        process = subprocess.Popen(
            [sys.executable, "-c", code, *arguments],
            cwd=tmp_path,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        running.append(process)
        printed = ""
        assert process.stdout is not None
        for line in process.stdout:
            printed += line
            if "Ctrl-C" in line:
                break
        return process, printed

    yield start
    for process in running:
        process.kill()
        process.communicate()


def listening(host: str) -> socket.socket:
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    try:
        return socket.create_server((host, 0), family=family)
    except OSError:
        pytest.skip(f"this machine has no {host}")


def address(printed: str, name: str) -> str:
    found = re.search(rf"{name} +(http://localhost:\d+)", printed)
    assert found is not None, printed
    return found[1]


class TestCommand:
    def test_story(self, command: cabc.Callable[..., t.Any]) -> None:
        """It prints its URLs, works, stops on SIGTERM, and its log keeps secrets."""
        process, printed = command("--port", "0", "--verbose")
        app = address(printed, "The app")
        assert "WARNING" not in printed
        person = Person(address(printed, "The control panel"), "")
        assert "4,200 EUR" in person.visit(f"{app}/payroll").text
        payroll = f"{address(printed, 'Its payroll API')}/payroll"
        assert f"{payroll}\n" in printed
        assert requests.get(payroll, timeout=PATIENCE).status_code == 401
        process.send_signal(signal.SIGTERM)
        log = process.communicate(timeout=PATIENCE)[0]
        assert process.returncode == 0
        assert "/auth/callback" in log
        assert not re.search(r"code=|state=|token=|ticket=|eyJ|Bearer", log)
        assert "Traceback" not in log

    @pytest.mark.parametrize("host", ["127.0.0.1", "::1"])
    def test_port_taken(self, command: cabc.Callable[..., t.Any], host: str) -> None:
        """A port that is taken is passed over; Ctrl-C ends it without a traceback."""
        with listening(host) as taken:
            port = taken.getsockname()[1]
            process, printed = command("--port", str(port))
            app = address(printed, "The app")
        assert int(app.rpartition(":")[2]) > port
        assert "Contoso Staff" in Person("http://localhost:1", "").get(app).text
        process.send_signal(signal.SIGINT)
        assert "Traceback" not in process.communicate(timeout=PATIENCE)[0]
        assert process.returncode == 0

    @pytest.mark.parametrize(
        ("changed", "told"),
        [
            ({"PORT": "five"}, "argument --port: invalid int value: 'five'"),
            ({"MSAL_AUTHORITY": "login"}, "MSAL_AUTHORITY is a string, but it must be"),
        ],
    )
    def test_wrong_settings(
        self,
        command: cabc.Callable[..., t.Any],
        monkeypatch: pytest.MonkeyPatch,
        changed: dict[str, str],
        told: str,
    ) -> None:
        """A setting that is wrong ends it with the remedy, and no traceback."""
        for name, value in {**TENANT, **changed}.items():
            monkeypatch.setenv(name, value)
        process, printed = command()
        assert process.wait(PATIENCE) != 0
        assert told in printed and "Traceback" not in printed

    def test_behind_a_proxy(
        self, command: cabc.Callable[..., t.Any], monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """Proxy and CA settings of the machine do not keep it from its own emulator."""
        for name in ("no_proxy", "NO_PROXY", "https_proxy"):
            monkeypatch.delenv(name, raising=False)
        monkeypatch.setenv("HTTPS_PROXY", "http://127.0.0.1:9")
        monkeypatch.setenv("REQUESTS_CA_BUNDLE", __file__)
        _, printed = command("--port", "0")
        person = Person(address(printed, "The control panel"), "")
        reply = person.visit(f"{address(printed, 'The app')}/profile")
        assert "ada@contoso.example" in text_of(reply.text)

    def test_tenant(
        self, command: cabc.Callable[..., t.Any], monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """With a tenant in the environment it starts no emulator."""
        for name, value in {**TENANT, "SECRET_KEY": "given"}.items():
            monkeypatch.setenv(name, value)
        monkeypatch.setenv("SESSION_TYPE", "cachelib")
        process, printed = command("--port", "0")
        assert "control panel" not in printed
        assert f"{address(printed, 'The app')}/auth/callback" in printed
        process.send_signal(signal.SIGTERM)
        process.communicate(timeout=PATIENCE)
        assert process.returncode == 0
