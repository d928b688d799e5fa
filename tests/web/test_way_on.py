"""Every error page says what happened and what to do, and has a way on that works."""

from __future__ import annotations

import re
import typing as t
import urllib.parse

import pytest
import requests
from cachelib import SimpleCache

from flask_msal_errors import errors
from flask_msal_errors.errors import AccessDenied
from flask_msal_errors.errors import ConfigurationError
from flask_msal_errors.errors import FlowExpired
from flask_msal_errors.errors import InteractionRequired
from flask_msal_errors.errors import InvalidAccessToken
from flask_msal_errors.errors import InvalidIdToken
from flask_msal_errors.errors import MsalAuthError
from flask_msal_errors.errors import NotResumed
from flask_msal_errors.errors import OtherAccount
from flask_msal_errors.errors import ReauthenticationLoop
from flask_msal_errors.errors import RoleRequired
from flask_msal_errors.errors import ServiceUnavailable
from flask_msal_errors.errors import SignInError
from flask_msal_errors.errors import StateMismatch
from flask_msal_errors.errors import Throttled
from flask_msal_errors.errors import TokenError
from flask_msal_errors.testing import Emulator
from flask_msal_errors.testing import Person
from support.browsing import links_of
from support.live_app import LiveApp
from support.live_app import Start

pytestmark = pytest.mark.once

ID = "01234567-89ab-cdef-0123-456789abcdef"
FOUND: dict[str, t.Any] = {"codes": [50076], "correlation_id": ID}
RESULT = {"error": "some_error", "error_codes": [50076], "correlation_id": ID}
#: The words of each page, some of which tell the next step; and its error.
PAGES: dict[str, tuple[MsalAuthError, str]] = {
    "root": (MsalAuthError(**FOUND), "Please try again"),
    "setting": (ConfigurationError("x", **FOUND), "The people who run"),
    "token": (TokenError(result=RESULT), "Trying again later"),
    "administrator": (
        TokenError(result={**RESULT, "error_codes": [650052]}),
        "send them the codes",
    ),
    "interaction": (InteractionRequired(result=RESULT), "Please confirm"),
    "stranger": (
        InteractionRequired(result=RESULT, reason="not_signed_in"),
        "only for people who are signed in",
    ),
    "denied": (AccessDenied(result=RESULT), "an administrator may be able to"),
    "role": (RoleRequired(roles=["Approver"]), "Ask an administrator"),
    "access token": (InvalidAccessToken(**FOUND), "Please try again"),
    "cancelled": (
        AccessDenied(result={**RESULT, "suberror": "cancel"}),
        "You can sign in again",
    ),
    "declined": (
        AccessDenied(result={**RESULT, "error_codes": [65004]}),
        "Sign in again if you want to agree",
    ),
    "throttled": (Throttled(result=RESULT, retry_after=9), "Please wait"),
    "unavailable": (ServiceUnavailable(result=RESULT), "try again in a moment"),
    "busy": (ServiceUnavailable(error="sign_in_busy", retry_after=1), "by itself"),
    "sign-in": (SignInError(**FOUND), "Please start again"),
    "mismatch": (StateMismatch(**FOUND), "start again from here"),
    "expired": (FlowExpired(**FOUND), "Please start it again"),
    "token of nobody": (InvalidIdToken(**FOUND), "Please start again"),
    "other account": (OtherAccount("ada@a.example", "grace@a.example"), "Choose which"),
    "loop": (ReauthenticationLoop(party="API", **FOUND), "If trying again"),
    "not resumed": (NotResumed(**FOUND), "fill it in again"),
}


def add_views(live: LiveApp) -> None:
    @live.app.route("/show/<what>", methods=["GET", "POST"])
    def show(what: str) -> t.NoReturn:
        raise PAGES[what][0]

    @live.app.post("/desk")
    @live.auth.login_required(acrs="c1")
    def desk() -> str:
        return "carried out"


def goes_on(person: Person, url: str) -> bool:
    """Whether a link leads to a page, to the provider, or to the same page again."""
    answer = person.get(url)
    return answer.status_code in (200, 302, 303)


def checked(person: Person, page: requests.Response, words: str) -> None:
    """See that a page has all that people need."""
    assert page.headers["Content-Type"].startswith("text/html")
    (heading,) = re.findall("<h1>([^<]+)</h1>", page.text)
    assert len(heading) > 10
    text = " ".join(page.text.split())
    assert words in text.replace("&#39;", "'")
    assert not re.search(r"\d{4,} bytes", text)
    links = [urllib.parse.urljoin(page.url, link) for link in links_of(page)]
    assert links
    ways = [link for link in links if link != page.url]
    assert ways and all(goes_on(person, link) for link in ways), ways


class TestPages:
    def test_all(self) -> None:
        """Each class of the tree has its page here."""
        kinds = {type(error) for error, _ in PAGES.values()}
        tree = {k for k in vars(errors).values() if isinstance(k, type)}
        assert {k for k in tree if issubclass(k, MsalAuthError)} == kinds

    @pytest.mark.parametrize("signs_in", [False, True])
    @pytest.mark.parametrize("what", PAGES)
    def test_each(
        self, start: Start, entra: Emulator, what: str, signs_in: bool
    ) -> None:
        """Heading, advice, evidence in sight, and links that lead on."""
        live, person = start(add_views), entra.person()
        if signs_in:
            person.visit(live.url + "/me")
        page = person.get(f"{live.url}/show/{what}")
        error, words = PAGES[what]
        is_back = signs_in and what == "mismatch"
        checked(person, page, "You are already signed in" if is_back else words)
        if error.correlation_id:
            shown = page.text.partition("<details open>")[2]
            assert error.correlation_id in shown


class TestForms:
    @pytest.mark.parametrize(
        ("limit", "words"),
        [
            (1_048_576, "larger than 1 MB."),
            (10_000_000, "larger than 9.5 MB."),
            (65_536, "larger than 64 KB."),
            (500, "larger than 500 bytes."),
            (0, "this site keeps no forms"),
        ],
    )
    def test_too_large(
        self, start: Start, entra: Emulator, limit: int, words: str
    ) -> None:
        """A form over the limit is told the limit as people say it."""
        live, person = start(add_views, MSAL_REPLAY_LIMIT=limit), entra.person()
        person.visit(live.url + "/me")
        page = person.visit(live.url + "/desk", {"a": "x" * limit})
        assert page.status_code == 401
        assert words in page.text


class Failing(SimpleCache):
    """A store that no longer writes, once it is told which keys, by how they begin."""

    def __init__(self) -> None:
        super().__init__(threshold=0)
        # The extension works on a copy of the cache.
        self.state: dict[str, str | None] = {"fails": None}

    def set(self, *args: t.Any, **kwargs: t.Any) -> t.Any:
        fails = self.state["fails"]
        if fails is not None and str(args[0]).startswith(fails):
            raise OSError("disk full")
        return super().set(*args, **kwargs)


class TestSaving:
    def test_page(self, start: Start, entra: Emulator) -> None:
        """A session that could not be saved is a page as others are."""
        store = Failing()
        live = start(SESSION_TYPE="cachelib", SESSION_CACHELIB=store)
        person = entra.person()
        person.visit(live.url + "/me")
        store.state["fails"] = ""
        page = person.get(live.url + "/basket/pear")
        asks = {"Accept": "application/json"}
        answer = person.get(live.url + "/basket/pear", headers=asks)
        store.state["fails"] = None
        for each in (page, answer):
            assert (each.status_code, each.headers["Retry-After"]) == (503, "5")
        checked(person, page, "try again in a moment")
        assert answer.json()["error"] == "session_store_unavailable"

    def test_sign_ins(self, start: Start, entra: Emulator) -> None:
        """Sign-ins whose session could not be saved are no rounds of a loop."""
        store = Failing()
        live = start(SESSION_TYPE="cachelib", SESSION_CACHELIB=store)
        person = entra.person()
        store.state["fails"] = "session:"
        for _ in range(5):
            asked = person.get(live.url + "/me").headers["Location"]
            answer = person.get(person.authorize(asked).url)
            assert (answer.status_code, "Location" in answer.headers) == (503, False)
        store.state["fails"] = None
        assert person.visit(live.url + "/me").text == "me ada@contoso.example"

    @pytest.mark.parametrize("mode", ["query", "form_post"])
    def test_callback(self, start: Start, entra: Emulator, mode: str) -> None:
        """A callback without a store goes on to the page, by a reload or its link."""
        store = Failing()
        options = {"SESSION_CACHELIB": store, "MSAL_RESPONSE_MODE": mode}
        live = start(SESSION_TYPE="cachelib", tls=True, **options)
        person = entra.person()
        asked = person.visit(live.url + "/me?a=b", stop_at="pick")
        store.state["fails"] = ""
        stopped = person.submit(asked, "ada")
        store.state["fails"] = None
        assert stopped.status_code == 503
        assert links_of(stopped)[0] == "/auth/login?next=/me?a%3Db"
        page = person.visit(str(stopped.url))
        assert (page.text, page.url) == ("me ada@contoso.example", f"{live.url}/me?a=b")
