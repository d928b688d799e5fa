"""The routes: what arrives at the redirect URI, and the pages that answer it."""

from __future__ import annotations

import re
import secrets
import typing as t
import urllib.parse

import pytest
import requests
from werkzeug.wrappers import Response as BaseResponse

from flask_msal_errors.testing import Emulator
from flask_msal_errors.testing import Person
from support import parallel
from support.live_app import LiveApp
from support.live_app import Start
from support.waiting import PATIENCE

GUID = "[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}"
SCRIPT = "<script>alert(1)</script>"


def begun(person: Person, live: LiveApp, path: str = "/me?a=b") -> str:
    """Begin a sign-in; returns its state."""
    answer = person.get(live.url + path)
    parts = urllib.parse.urlsplit(answer.headers["Location"])
    return dict(urllib.parse.parse_qsl(parts.query))["state"]


def answered(person: Person, live: LiveApp, **fields: str) -> requests.Response:
    """Open the redirect URI with these parameters."""
    return person.get(f"{live.url}/auth/callback?{urllib.parse.urlencode(fields)}")


def actions(page: requests.Response) -> dict[str, str]:
    """The links on a page, by their words."""
    links = re.findall(r'<a href="([^"]+)"[^>]*>([^<]+)</a>', page.text)
    return {words: link.replace("&amp;", "&") for link, words in links}


def words(page: requests.Response) -> str:
    return " ".join(re.sub("<[^>]+>", " ", page.text).split())


class TestErrorAtTheRedirectUri:
    def test_declined(self, live: LiveApp, entra: Emulator) -> None:
        """Declining consent ends on a page that says so, with code and id."""
        page = entra.person(decline_consent=True).visit(live.url + "/me?a=b")
        assert page.status_code == 403
        assert "You did not agree to the access" in page.text
        assert "does not change that" not in page.text
        assert "AADSTS65004" in page.text
        assert re.search(f"Correlation id</dt><dd>{GUID}<", page.text)
        assert actions(page) == {
            "Sign in again": "/auth/login?next=/me?a%3Db",
            "Start page": "/",
        }
        assert entra.counters["token"] == 0

    def test_declined_may_try_again(self, live: LiveApp, entra: Emulator) -> None:
        """The page's first link signs in again, to where the person was going."""
        person = entra.person(decline_consent=True)
        page = person.visit(live.url + "/me?a=b")
        person.decline_consent = False
        link = actions(page)["Sign in again"]
        shown = person.visit(urllib.parse.urljoin(page.url, link))
        assert shown.url == live.url + "/me?a=b"
        assert shown.text == "me ada@contoso.example"

    def test_cancelled(self, live: LiveApp, entra: Emulator) -> None:
        """Pressing Cancel ends on a page that says so, with a way on that works."""
        person = entra.person(cancel=True)
        page = person.visit(live.url + "/me")
        assert page.status_code == 403
        assert "You cancelled the sign-in" in page.text
        assert "does not change that" not in page.text
        person.cancel = False
        link = urllib.parse.urljoin(page.url, actions(page)["Sign in again"])
        assert person.visit(link).url == live.url + "/me"
        assert "access_denied" in page.text
        assert "Sign in again" in page.text

    def test_blocked_by_policy(self, live: LiveApp, entra: Emulator) -> None:
        """A policy that sends people back with an error ends after one try."""
        entra.block(redirect=True)
        page = entra.person().visit(live.url + "/me")
        assert page.status_code == 403
        assert "AADSTS53003" in page.text
        assert entra.counters["authorize"] == 1

    @pytest.mark.parametrize(
        ("fields", "status", "says"),
        [
            ({"error": "temporarily_unavailable"}, 503, "does not answer"),
            ({"error": "server_error"}, 503, "does not answer"),
            ({"error": "access_denied", "error_subcode": "cancel"}, 403, "cancelled"),
            ({"error": "user_cancelled_authorize"}, 403, "cancelled"),
            ({"error": "interaction_required"}, 401, "confirm that it is you"),
            ({"error": "login_required"}, 401, "confirm that it is you"),
            ({"error": "invalid_request"}, 502, "reported an error"),
            ({"error": "unauthorized_client"}, 500, "not set up correctly"),
            ({"error": ""}, 502, "reported an error"),
            ({"error": "x" * 5000}, 502, "reported an error"),
            ({"code": ""}, 400, "This sign-in has ended"),
            ({}, 400, "This sign-in has ended"),
        ],
        ids=lambda value: str(value)[:40],
    )
    def test_each_has_its_page(
        self,
        live: LiveApp,
        entra: Emulator,
        fields: dict[str, str],
        status: int,
        says: str,
    ) -> None:
        """The page says what happened, whatever the provider answers; no redirect."""
        person = entra.person()
        page = answered(person, live, state=begun(person, live), **fields)
        assert page.status_code == status
        assert says in page.text
        assert page.headers["Cache-Control"] == "no-store"
        assert "Location" not in page.headers
        assert person.get(live.url + "/").text == "hello nobody"

    def test_details_for_support(self, live: LiveApp, entra: Emulator) -> None:
        """Code and correlation id of the provider are on the page."""
        person = entra.person()
        identity = "01234567-89ab-cdef-0123-456789abcdef"
        page = answered(
            person,
            live,
            state=begun(person, live),
            error="server_error",
            error_description=f"AADSTS90033: Busy. Correlation ID: {identity}",
            error_uri="https://login.microsoftonline.com/error?code=90033",
        )
        assert "AADSTS90033" in page.text
        assert f"<dd>{identity}</dd>" in page.text

    def test_claims_go_along(self, live: LiveApp, entra: Emulator) -> None:
        """An error's demand is in the link that signs in again."""
        person = entra.person()
        page = answered(
            person,
            live,
            state=begun(person, live),
            error="interaction_required",
            claims='{"access_token":{"polids":{"values":["1"]}}}',
        )
        again = urllib.parse.urljoin(page.url, actions(page)["Sign in again"])
        shown = person.visit(again)
        assert shown.url == live.url + "/me?a=b"
        asked = [c.query for c in entra.calls if c.kind == "authorize"][-1]
        assert "polids" in asked["claims"]

    def test_hostile_parameters_are_quoted(
        self, live: LiveApp, entra: Emulator
    ) -> None:
        """Markup in an answer is text on the page, and only so much of it."""
        person = entra.person()
        page = answered(
            person,
            live,
            state=begun(person, live),
            error=SCRIPT,
            error_description=f'"><img src=x onerror=alert(1)>{SCRIPT}' + "y" * 30_000,
            suberror=SCRIPT,
            error_uri="javascript:alert(1)",
            claims=SCRIPT,
        )
        assert page.status_code == 502
        assert "<script" not in page.text
        assert "<img" not in page.text
        assert "&lt;script&gt;" in page.text
        assert "javascript:" not in page.text
        assert len(page.text) < 6000
        assert "default-src 'none'" in page.headers["Content-Security-Policy"]


class TestWithoutItsFlow:
    @pytest.mark.parametrize(
        "fields",
        [
            {},
            {"code": "marker-code"},
            {"state": "marker-state"},
            {"code": "marker-code", "state": "marker-state"},
            {"error": "marker-error", "error_description": "marker-text"},
            {"error": SCRIPT, "error_description": SCRIPT, "state": "marker-state"},
            {"state": "marker" * 1000, "code": "marker" * 1000},
            {"state": "", "error": "access_denied"},
            {"marker": "marker"},
        ],
        ids=lambda value: str(value)[:50],
    )
    def test_nothing_of_the_url_is_shown(
        self, live: LiveApp, entra: Emulator, fields: dict[str, str]
    ) -> None:
        """Without a sign-in of this browser nobody can put words on our page."""
        person = entra.person()
        page = answered(person, live, **fields)
        assert page.status_code == 400
        assert "marker" not in page.text
        assert "<script" not in page.text
        assert "start again from here" in page.text
        assert list(actions(page)) == ["Sign in again", "Start page"]
        assert entra.counters["token"] == 0

    def test_twice_the_same_state(self, live: LiveApp, entra: Emulator) -> None:
        """Parameters that come twice are no answer, and leave the sign-in as it was."""
        person = entra.person()
        url = f"{live.url}/auth/callback?state={begun(person, live)}&error=a"
        for more in ("&state=x", "&error=b", "&error="):
            assert person.get(url + more).status_code == 400
        assert person.get(url).status_code == 502


class TestUsedAlready:
    def paused(self, live: LiveApp, entra: Emulator) -> tuple[Person, str]:
        person = entra.person()
        begin = person.get(live.url + "/me?a=b").headers["Location"]
        return person, person.authorize(begin).url

    @pytest.mark.parametrize("mode", ["query", "form_post"])
    def test_callback_opened_twice(
        self, start: Start, entra: Emulator, mode: str
    ) -> None:
        """Back or reload at the callback leads to the page; the code is spent once."""
        live = start(MSAL_RESPONSE_MODE=mode)
        person = entra.person()
        begin = person.get(live.url + "/me?a=b").headers["Location"]
        answer = person.authorize(begin)
        posted = answer.params if answer.method == "POST" else None
        chain = (entra.pages_url + "/x",) if posted else ()
        for _ in range(3):
            page = person.visit(answer.url, posted, chain=chain)
            assert (page.url, page.text) == (
                live.url + "/me?a=b",
                "me ada@contoso.example",
            )
        assert person.visit(live.url + "/auth/callback").url == live.url + "/"
        assert entra.counters["token"] == 1

    @pytest.mark.parametrize("basket", [True, False])
    def test_callback_in_parallel(
        self, live: LiveApp, entra: Emulator, basket: bool
    ) -> None:
        """Eight at once: one redemption; the others are told to come back at once."""
        person = entra.person()
        if basket:
            person.get(live.url + "/basket/apple")
        answer = person.authorize(person.get(live.url + "/me").headers["Location"])
        entra.slow(0.2, "token")
        headers = {"Cookie": live.cookie(person), "Accept": "text/html"}
        replies: list[requests.Response] = []

        def open_callback(_: int) -> None:
            replies.append(
                requests.get(
                    answer.url, headers=headers, allow_redirects=False, timeout=PATIENCE
                )
            )

        parallel.in_threads(8, open_callback)
        busy = [reply for reply in replies if reply.status_code == 503]
        assert {"You are being signed in" in reply.text for reply in busy} <= {True}
        assert {reply.headers["Refresh"].split(";")[0] for reply in busy} <= {"1"}
        done = [reply for reply in replies if reply not in busy]
        assert {reply.headers["Location"] for reply in done} == {"/me"}
        open_callback(8)
        assert replies[-1].headers["Location"] == "/me"
        assert entra.counters["token"] == 1
        cookies = [reply.cookies.get("session") for reply in replies]
        assert len([cookie for cookie in cookies if cookie]) == 1

    def test_done_elsewhere(self, live: LiveApp, entra: Emulator) -> None:
        """In another browser, a spent callback signs nobody in, nor says where."""
        person, answer = self.paused(live, entra)
        person.visit(answer)
        stranger = entra.person("grace")
        page = stranger.get(answer)
        assert page.status_code == 400 and "a=b" not in page.text
        assert stranger.get(live.url + "/").text == "hello nobody"

    def test_unknown_answer(self, live: LiveApp, entra: Emulator) -> None:
        """A signed-in user is told so, and to go on."""
        person, answer = self.paused(live, entra)
        person.visit(answer)
        page = person.visit(answer.replace("state=", "state=x"))
        assert page.status_code == 400
        assert "You are still signed in as ada@contoso.example" in words(page)
        assert "There is nothing to do" in words(page)
        assert list(actions(page)) == ["Start page", "Sign in again"]
        assert person.get(live.url + "/").text == "hello ada@contoso.example"

    def test_code_replayed(self, live: LiveApp, entra: Emulator) -> None:
        """A code that somebody spent first ends on a page, and not in a circle."""
        person, answer = self.paused(live, entra)
        code = dict(urllib.parse.parse_qsl(urllib.parse.urlsplit(answer).query))["code"]
        entra.tenant.codes[code].used = True
        page = person.visit(answer)
        assert page.status_code == 401
        assert "AADSTS54005" in page.text
        assert re.search(f"Correlation id</dt><dd>{GUID}<", page.text)
        assert entra.counters["authorize"] == 1
        again = urllib.parse.urljoin(page.url, actions(page)["Sign in again"])
        assert person.visit(again).url == live.url + "/me?a=b"

    def test_too_late(
        self, live: LiveApp, entra: Emulator, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """A sign-in left open for too long starts again with one click."""
        person, answer = self.paused(live, entra)
        flows = live.app.extensions["flask_msal_errors"].signin.flows
        with monkeypatch.context() as patch:
            patch.setattr(flows, "_lifetime", -1000)
            page = person.visit(answer)
        assert page.status_code == 400
        assert "The sign-in was open for too long" in page.text
        again = urllib.parse.urljoin(page.url, actions(page)["Sign in again"])
        assert person.visit(again).url == live.url + "/me?a=b"

    def test_refused_redemption_does_not_redirect(
        self, live: LiveApp, entra: Emulator
    ) -> None:
        """Even an error that signing in again would resolve waits for a click."""
        person, answer = self.paused(live, entra)
        entra.fail_next(
            {"error": "interaction_required", "suberror": "basic_action"}, status=400
        )
        page = person.visit(answer)
        assert page.status_code == 401
        assert page.url == answer
        assert entra.counters["authorize"] == 1

    def test_broken_token_endpoint(self, live: LiveApp, entra: Emulator) -> None:
        """An answer that is no JSON is a page, and the next try works."""
        person, answer = self.paused(live, entra)
        entra.broken()
        assert person.visit(answer).status_code == 502
        entra.clear_faults()
        assert person.visit(live.url + "/me").status_code == 200


class TestMethods:
    @pytest.mark.parametrize(
        ("method", "path", "status"),
        [
            ("POST", "/auth/callback", 405),
            ("POST", "/auth/login", 405),
            ("POST", "/auth/signed-out", 405),
            ("PUT", "/auth/logout", 405),
            ("GET", "/auth/nothing", 404),
        ],
    )
    def test_refused(self, live: LiveApp, method: str, path: str, status: int) -> None:
        """A route takes the methods it is for; ``form_post`` must be switched on."""
        client = live.app.test_client()
        assert client.open(path, method=method).status_code == status

    def test_prefix(self, start: Start, entra: Emulator) -> None:
        """MSAL_URL_PREFIX moves all routes."""
        live = start(MSAL_URL_PREFIX="/sso/entra")
        person = entra.person()
        assert person.visit(live.url + "/me").status_code == 200
        assert any("/sso/entra/callback?" in url for url in person.history)
        assert person.get(live.url + "/auth/login").status_code == 404

    def test_redirect_uri(self, start: Start, entra: Emulator) -> None:
        """MSAL_REDIRECT_URI is sent instead of the callback's own URL."""
        live = start(MSAL_REDIRECT_URI="https://app.example/auth/callback")
        answer = entra.person().get(live.url + "/me")
        query = urllib.parse.urlsplit(answer.headers["Location"]).query
        sent = dict(urllib.parse.parse_qsl(query))
        assert sent["redirect_uri"] == "https://app.example/auth/callback"

    def test_style_sheet(self, live: LiveApp, entra: Emulator) -> None:
        """The pages' style sheet is served."""
        page = entra.person().get(live.url + "/auth/signed-out")
        (link,) = re.findall('rel="stylesheet" href="([^"]+)"', page.text)
        sheet = entra.person().get(live.url + link)
        assert sheet.headers["Content-Type"].startswith("text/css")


class TestMounted:
    def test_below_a_path(self, start: Start, entra: Emulator) -> None:
        """An app that is mounted below a path sends and links people below it."""
        from werkzeug.middleware.dispatcher import DispatcherMiddleware

        def mount(live: LiveApp) -> None:
            mounted = DispatcherMiddleware(
                BaseResponse("outside", 404),
                {"/intranet": live.app.wsgi_app},
            )
            live.app.wsgi_app = mounted  # type: ignore[method-assign]

        live = start(mount)
        person = entra.person()
        shown = person.visit(live.url + "/intranet/me?a=b%26c")
        assert shown.url == live.url + "/intranet/me?a=b%26c"
        callback = live.url + "/intranet/auth/callback"
        assert person.get(callback).headers["Location"] == "/intranet/"
        bye = person.get(live.url + "/intranet/auth/signed-out")
        assert actions(bye)["Start page"] == "/intranet/"


class TestFormPost:
    @pytest.fixture(params=[False, True], ids=["http", "https"])
    def live(self, start: Start, request: pytest.FixtureRequest) -> LiveApp:
        if request.param:
            return start(tls=True)
        return start(MSAL_RESPONSE_MODE="form_post")

    def test_end_to_end(
        self, live: LiveApp, entra: Emulator, caplog: pytest.LogCaptureFixture
    ) -> None:
        """The code is posted, is in no URL and no log, and the session is kept."""
        caplog.set_level("DEBUG")
        person = entra.person()
        person.get(live.url + "/basket/apple")
        shown = person.visit(live.url + "/me?a=b")
        assert shown.text == "me ada@contoso.example"
        assert shown.url == live.url + "/me?a=b"
        assert person.pages[-1] == "form_post"
        assert live.url + "/auth/callback" in person.history
        assert person.get(live.url + "/basket/pear").text == "apple pear"
        codes = list(entra.tenant.codes)
        urls = "\n".join(person.history)
        assert "POST /auth/callback" in caplog.text
        for code in codes:
            assert code not in urls
            assert code not in caplog.text

    def test_cookies(self, live: LiveApp, entra: Emulator) -> None:
        """Only the flow's own cookie goes with another site's post."""
        person = entra.person()
        answer = person.get(live.url + "/me")
        line = answer.headers["Set-Cookie"]
        assert "SameSite=None" in line
        assert "Secure" in line
        assert line.startswith("__Host-") is live.url.startswith("https")

    def test_post_touches_no_session(self, live: LiveApp, entra: Emulator) -> None:
        """The cross-site post comes without a session, and gives out none."""
        person = entra.person()
        answer = person.authorize(person.get(live.url + "/me").headers["Location"])
        post = person.post(answer.url, answer.params, chain=(entra.pages_url + "/x",))
        assert post.status_code == 303
        assert post.headers["Location"] == "/auth/callback"
        assert "session=" not in post.headers["Set-Cookie"]
        assert answer.params["code"] not in post.text
        assert answer.params["code"] not in post.headers["Set-Cookie"]
        assert person.visit(live.url + "/auth/callback").url == live.url + "/me"
        again = person.visit(live.url + "/auth/callback")
        assert again.url == live.url + "/"

    def test_step_up_keeps_the_user(self, live: LiveApp, entra: Emulator) -> None:
        """A re-authentication by post finds the session of who is signed in."""
        person = entra.person()
        person.visit(live.url + "/me")
        assert person.visit(live.url + "/vault").text == "the vault"
        assert person.get(live.url + "/me").text == "me ada@contoso.example"

    def test_error(self, live: LiveApp, entra: Emulator) -> None:
        """An error that is posted ends on its page, too."""
        page = entra.person(decline_consent=True).visit(live.url + "/me")
        assert page.status_code == 403
        assert "AADSTS65004" in page.text
        assert page.url == live.url + "/auth/callback"

    @pytest.mark.parametrize(
        "fields",
        [
            {},
            {"code": "marker", "state": "marker"},
            {"error": "marker", "error_description": SCRIPT, "state": "marker"},
        ],
    )
    def test_without_its_flow(
        self, live: LiveApp, entra: Emulator, fields: dict[str, str]
    ) -> None:
        """Another site's post without a sign-in of this browser changes nothing."""
        person = entra.person()
        person.visit(live.url + "/me")
        session_id = live.session_id(person)
        page = person.post(
            live.url + "/auth/callback", fields, chain=("https://evil.example/",)
        )
        assert page.status_code == 400
        assert "marker" not in page.text
        assert "<script" not in page.text
        assert live.session_id(person) == session_id
        assert person.get(live.url + "/").text == "hello ada@contoso.example"

    def test_huge_description(self, live: LiveApp, entra: Emulator) -> None:
        """However long the provider's words are, the hand-over fits a cookie."""
        person = entra.person()
        state = begun(person, live)
        fields: dict[str, t.Any] = {
            "state": state,
            "error": "server_error",
            "error_description": secrets.token_hex(20_000),
            "claims": secrets.token_hex(20_000),
        }
        post = person.post(
            live.url + "/auth/callback", fields, chain=(entra.pages_url + "/x",)
        )
        assert post.status_code == 303
        assert len(post.headers["Set-Cookie"]) < 6000
        assert all(len(line) < 4096 for line in post.raw.headers.getlist("Set-Cookie"))
        assert person.visit(live.url + "/auth/callback").status_code == 503

    @pytest.mark.parametrize("length", [500, 2_500, 8_000])
    def test_long_code(self, live: LiveApp, entra: Emulator, length: int) -> None:
        """However long a code is, it is handed over once, by a cookie that fits."""
        person = entra.person()
        code = secrets.token_urlsafe(length)[:length]
        fields = {"state": begun(person, live), "code": code}
        post = person.post(
            live.url + "/auth/callback", fields, chain=(entra.pages_url + "/x",)
        )
        lines = post.raw.headers.getlist("Set-Cookie")
        assert all(len(line) < 4096 for line in lines)
        assert code[:100] not in str(lines)
        page = person.visit(live.url + "/auth/callback")
        assert "AADSTS" in page.text
        call = [call for call in entra.calls if call.kind == "token"][-1]
        assert call.form["code"] == code
        again = person.visit(live.url + "/auth/callback")
        assert "opened without an answer" in again.text

    @pytest.mark.parametrize("fields", [{}, {"code": ""}])
    def test_nothing_said(
        self,
        live: LiveApp,
        entra: Emulator,
        caplog: pytest.LogCaptureFixture,
        fields: dict[str, str],
    ) -> None:
        """An empty answer ends the sign-in; the log says so, and blames no endpoint."""
        person = entra.person()
        fields = {"state": begun(person, live), **fields}
        chain = (entra.pages_url + "/x",)
        person.post(live.url + "/auth/callback", fields, chain=chain)
        page = person.visit(live.url + "/auth/callback")
        assert (page.status_code, "start it again" in page.text) == (400, True)
        assert "neither a code nor an error" in caplog.text
        assert entra.counters["token"] == 0

    def test_posts_without_end(self, live: LiveApp, entra: Emulator) -> None:
        """However often a stranger posts a long code, one entry is kept of a flow."""
        person = entra.person()
        fields = {"state": begun(person, live), "code": "x" * 8000}
        chain = (entra.pages_url + "/x",)
        person.post(live.url + "/auth/callback", fields, chain=chain)
        before = live.records()
        for _ in range(5):
            person.post(live.url + "/auth/callback", fields, chain=chain)
        assert live.records() == before

    def test_large_body(self, live: LiveApp, entra: Emulator) -> None:
        """A post as large as an attacker likes is refused, not a crash."""
        answer = entra.person().post(
            live.url + "/auth/callback", {"state": "x" * 2_000_000}
        )
        assert answer.status_code in (400, 413)
