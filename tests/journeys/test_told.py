"""Every refusal that a person sees is told once: one line of the log, one signal."""

from __future__ import annotations

import collections.abc as cabc
import logging
import typing as t
from urllib.parse import parse_qs
from urllib.parse import urlencode
from urllib.parse import urlsplit

import pytest
import requests

from flask_msal_errors import errors
from flask_msal_errors import signals
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
from support.browsing import paused_at_callback
from support.caches import NotingCache
from support.live_app import LiveApp
from support.live_app import Start
from support.told import Told
from support.told import listening
from support.waiting import PATIENCE

pytestmark = pytest.mark.once

ID = "01234567-89ab-cdef-0123-456789abcdef"
RESULT = {
    "error": "some_error",
    "error_description": "AADSTS50105: ada@contoso.example may not.",
    "error_codes": [50105],
    "correlation_id": ID,
}
#: One error of each class, and its signal where no sign-in failed by it.
KINDS: dict[str, tuple[cabc.Callable[[], MsalAuthError], str]] = {
    "MsalAuthError": (MsalAuthError, "refused"),
    "ConfigurationError": (lambda: ConfigurationError("MSAL_X: no."), "refused"),
    "TokenError": (lambda: TokenError(result=RESULT), "refused"),
    "InteractionRequired": (
        lambda: InteractionRequired(result=RESULT, scopes=["Mail.Read"]),
        "challenge_received",
    ),
    "AccessDenied": (lambda: AccessDenied(result=RESULT), "refused"),
    "RoleRequired": (lambda: RoleRequired(roles=["Approver"]), "refused"),
    "InvalidAccessToken": (InvalidAccessToken, "refused"),
    "Throttled": (lambda: Throttled(result=RESULT, retry_after=9), "throttled"),
    "ServiceUnavailable": (lambda: ServiceUnavailable(result=RESULT), "refused"),
    "SignInError": (SignInError, "refused"),
    "StateMismatch": (StateMismatch, "refused"),
    "FlowExpired": (FlowExpired, "refused"),
    "InvalidIdToken": (InvalidIdToken, "refused"),
    "OtherAccount": (lambda: OtherAccount("ada", "grace"), "refused"),
    "ReauthenticationLoop": (ReauthenticationLoop, "refused"),
    "NotResumed": (NotResumed, "refused"),
}
#: Requests of a person, of a script of theirs, and of HTMX.
ASKS = {
    "page": {"Accept": "text/html", "Sec-Fetch-Mode": "navigate"},
    "script": {"Accept": "application/json", "Sec-Fetch-Mode": "cors"},
    "htmx": {"Accept": "*/*", "HX-Request": "true"},
}


@pytest.fixture
def told() -> cabc.Iterator[Told]:
    with listening() as heard:
        yield heard


def raising(live: LiveApp) -> None:
    """Add views that raise what a person is refused by."""
    app, auth = live.app, live.auth

    def fail(kind: str) -> t.NoReturn:
        raise KINDS[kind][0]()

    def plain(kind: str) -> t.NoReturn:
        fail(kind)

    app.add_url_rule("/plain/<kind>", "plain", plain, methods=["GET", "POST"])
    app.add_url_rule("/guarded/<kind>", "guarded", auth.login_required(fail))
    caught = auth.catch_challenges(auth.catch_challenges(fail))
    app.add_url_rule("/nested/<kind>", "nested", caught)

    @app.get("/checked")
    @auth.login_required
    def checked() -> t.Any:
        return auth.check(dict(RESULT))

    @app.get("/gate/<kind>")
    def gate(kind: str) -> str:
        return kind

    @app.before_request
    def before() -> None:
        from flask import request

        if request.endpoint == "gate":
            fail((request.view_args or {})["kind"])


def test_every_class() -> None:
    """The table has all classes of the tree."""
    tree = {name for name, kind in vars(errors).items() if isinstance(kind, type)}
    assert {name for name in tree if issubclass(vars(errors)[name], Exception)} == set(
        KINDS
    )


class TestViews:
    @pytest.mark.parametrize("own", [None, "class", "root", "any"])
    @pytest.mark.parametrize("place", ["plain", "guarded", "nested", "gate"])
    def test_each_error(
        self, start: Start, entra: Emulator, told: Told, place: str, own: str | None
    ) -> None:
        """An error of any class, wherever it is raised and whoever answers it."""
        live = start(raising)
        kinds: list[t.Any] = [MsalAuthError] if own == "root" else []
        kinds += [Exception] if own == "any" else []
        if own == "class":
            kinds = [type(make()) for make, _ in KINDS.values()]
        for kind in kinds:
            live.app.register_error_handler(kind, lambda error: ("own page", 418))
        person = entra.person()
        person.visit(live.url + "/me")
        for name, (_, signal) in KINDS.items():
            for headers in ASKS.values():
                told.clear()
                person.get(f"{live.url}/{place}/{name}", headers=headers)
                fields, level, sent = told.once()
                assert sent == signal, name
                assert fields["msal_path"] == f"/{place}/{name}"
                assert len(fields["msal_user"]) == 16
                assert level == {
                    "ConfigurationError": "ERROR",
                    "InteractionRequired": "INFO",
                }.get(name, "WARNING")
                assert "contoso" not in repr(fields)

    def test_fields(self, live: LiveApp, entra: Emulator, told: Told) -> None:
        """A line has all that an operator looks for."""
        raising(live)
        person = entra.person()
        person.visit(live.url + "/me")
        told.clear()
        page = person.get(live.url + "/checked?secret=1")
        fields, _, sent = told.once()
        assert (page.status_code, sent) == (403, "refused")
        assert fields["msal_error"] == "some_error"
        assert fields["msal_codes"] == [50105]
        assert fields["msal_correlation_id"] == ID
        assert fields["msal_path"] == "/checked"
        (line,) = told.lines
        assert "AADSTS50105" in line and ID in line and "at /checked" in line

    def test_stranger(self, live: LiveApp, entra: Emulator, told: Told) -> None:
        """A program of somebody who is not signed in is refused, too."""
        for name in ("script", "htmx"):
            told.clear()
            page = requests.get(live.url + "/me", headers=ASKS[name], timeout=PATIENCE)
            fields, level, sent = told.once()
            assert (page.status_code, sent) == (401, "challenge_received")
            assert (fields["msal_reason"], level) == ("not_signed_in", "INFO")
            assert (fields["msal_user"], fields["msal_path"]) == ("", "/me")


Fault = cabc.Callable[[Emulator], object]

#: Faults of the token endpoint, with the status of the page and the error's name.
FAULTS: dict[str, tuple[Fault, int, str]] = {
    "503": (lambda e: e.unavailable(30), 503, "temporarily_unavailable"),
    "500": (
        lambda e: e.fail_next({"error": "oops"}, "token", status=500),
        503,
        "oops",
    ),
    "broken": (lambda e: e.broken("token"), 502, "invalid_response"),
    "unknown code": (
        lambda e: e.fail_next(
            {"error": "new_error", "error_codes": [99999999]}, "token", status=400
        ),
        502,
        "new_error",
    ),
    "429": (lambda e: e.throttle(30), 429, "temporarily_unavailable"),
    "429 plain": (lambda e: e.throttle(30, plain=True), 429, "temporarily_unavailable"),
    "secret": (
        lambda e: e.fail_next(
            {"error": "invalid_client", "error_codes": [7000215]}, "token", status=401
        ),
        500,
        "ConfigurationError",
    ),
    "loop": (
        lambda e: e.fail_next(
            {"error": "invalid_grant", "error_codes": [50196]}, "token", status=400
        ),
        429,
        "invalid_grant",
    ),
    "denied": (
        lambda e: e.fail_next(
            {"error": "access_denied", "error_codes": [50105]}, "token", status=400
        ),
        403,
        "access_denied",
    ),
}


def refreshing(live: LiveApp) -> None:
    scopes = [live.entra.scope("Profile.Read")]

    @live.app.get("/force")
    @live.auth.login_required
    def force() -> str:
        live.auth.acquire_token(scopes, force_refresh=True)
        return "got"

    @live.app.get("/bare")
    def bare() -> str:
        live.auth.acquire_token(scopes, force_refresh=True)
        return "got"


class TestTokenEndpoint:
    @pytest.mark.parametrize("fault", FAULTS)
    def test_in_a_view(
        self, start: Start, entra: Emulator, told: Told, fault: str
    ) -> None:
        """Any fault is told once in a view, and again while MSAL repeats it."""
        live, (make, status, error) = start(refreshing), FAULTS[fault]
        person = entra.person()
        person.visit(live.url + "/me")
        make(entra)
        for path in ("/force", "/bare", "/force"):
            told.clear()
            page = person.get(live.url + path)
            if page.status_code == 200:
                # The fault was for one call.
                assert told.lines in ([], ["The credential was renewed."])
                continue
            fields, _, sent = told.once()
            assert page.status_code == status, fault
            assert sent == ("throttled" if page.status_code == 429 else "refused")
            assert fields["msal_scopes"] == [entra.scope("Profile.Read")]
            assert fields["msal_error"] == error
            assert fields["msal_path"] == path and fields["msal_user"]
            wait = page.headers.get("Retry-After")
            assert fields["msal_retry_after"] == (int(wait) if wait else None)

    @pytest.mark.parametrize("fault", FAULTS)
    def test_at_the_callback(
        self, live: LiveApp, entra: Emulator, told: Told, fault: str
    ) -> None:
        """Any fault is told once when the code is redeemed."""
        make, status, error = FAULTS[fault]
        person = entra.person()
        url = paused_at_callback(person, live.url + "/me")
        make(entra)
        told.clear()
        page = person.get(url)
        fields, level, sent = told.once()
        assert page.status_code == status
        assert sent == ("throttled" if status == 429 else "sign_in_failed")
        assert (fields["msal_error"], fields["msal_path"]) == (error, "/auth/callback")
        assert fields["msal_scopes"]
        assert level == ("ERROR" if status == 500 else "WARNING")


class TestOwnRoutes:
    def test_login(self, start: Start, entra: Emulator, told: Told) -> None:
        """A sign-in that cannot begin, by a link or by a guard."""
        live, person = start(), entra.person()
        entra.unavailable(30, target="discovery")
        for path in ("/auth/login?next=/me", "/me"):
            told.clear()
            page = person.get(live.url + path)
            fields, level, sent = told.once()
            assert (page.status_code, sent, level) == (503, "sign_in_failed", "WARNING")
            assert fields["msal_path"] == path.partition("?")[0]

    @pytest.mark.parametrize("mode", ["query", "form_post"])
    @pytest.mark.parametrize(
        ("switch", "error"),
        [("cancel", "access_denied"), ("decline_consent", "access_denied")],
    )
    def test_choices(
        self,
        start: Start,
        entra: Emulator,
        told: Told,
        mode: str,
        switch: str,
        error: str,
    ) -> None:
        """A choice of the person is logged at INFO."""
        live = start(MSAL_RESPONSE_MODE=mode, tls=True)
        told.clear()
        options: dict[str, t.Any] = {switch: True}
        person = entra.person(**options)
        page = person.visit(live.url + "/me")
        assert page.status_code == 403
        assert told.records.pop(0).levelno == logging.INFO
        assert told.signals.pop(0)[0] == "sign_in_begun"
        fields, level, sent = told.once()
        assert (sent, level, fields["msal_error"]) == ("sign_in_failed", "INFO", error)

    @pytest.mark.parametrize(
        "path",
        [
            "/auth/callback",
            "/auth/callback?state=x&code=y",
            "/auth/callback?state=x&state=y",
            "/auth/callback?error=access_denied&state=x",
        ],
    )
    @pytest.mark.parametrize("asks", ASKS)
    def test_no_flow(
        self, live: LiveApp, entra: Emulator, told: Told, path: str, asks: str
    ) -> None:
        """A callback that fits no sign-in says which."""
        page = entra.person().get(live.url + path, headers=ASKS[asks])
        fields, _, sent = told.once()
        assert (page.status_code, sent) == (400, "sign_in_failed")
        assert fields["msal_error"] == "StateMismatch"
        assert fields["msal_path"] == "/auth/callback"

    def test_forged_line(self, live: LiveApp, entra: Emulator, told: Told) -> None:
        """A visitor who comes back with words of their own writes no second line."""
        person = entra.person()
        way = urlsplit(person.get(live.url + "/me").headers["Location"]).query
        (state,) = parse_qs(way)["state"]
        said = "invalid_client\r\nCRITICAL forged \x1b[2J\u202e ada@contoso.example"
        uri = "https://login.example/error?code=7000215"
        answer = {"state": state, "error": said, "error_uri": uri}
        told.clear()
        page = person.get(f"{live.url}/auth/callback?{urlencode(answer)}")
        fields, level, _ = told.once()
        assert (page.status_code, level) == (502, "WARNING")
        assert told.lines[0].isprintable() and "forged" in told.lines[0]
        assert "MSAL_" not in told.lines[0]
        assert str(told.signals[0][1]["error"]).isprintable()
        assert "contoso" not in repr(fields)

    @pytest.mark.parametrize("number", [7000215, 700016, 50194])
    @pytest.mark.parametrize("error", ["invalid_client", "unauthorized_client", "x"])
    def test_forged_fault(
        self, live: LiveApp, entra: Emulator, told: Told, number: int, error: str
    ) -> None:
        """A visitor cannot blame the app, by whatever error or code."""
        person = entra.person()
        way = urlsplit(person.get(live.url + "/me").headers["Location"]).query
        (state,) = parse_qs(way)["state"]
        uri = f"https://login.example/error?code={number}"
        said = {"error_description": f"AADSTS{number}: wrong", "error_uri": uri}
        for own in (state, "another"):
            told.clear()
            answer = {"state": own, "error": error, **said}
            person.get(f"{live.url}/auth/callback?{urlencode(answer)}")
            _, level, sent = told.once()
            assert (level, sent) == ("WARNING", "sign_in_failed")
            assert "MSAL_CLIENT_CREDENTIAL" not in told.lines[0]
            is_blamed = isinstance(told.signals[0][1]["error"], ConfigurationError)
            assert is_blamed == ("as the browser says" in told.lines[0])

    def test_failing_receivers(
        self, live: LiveApp, entra: Emulator, told: Told
    ) -> None:
        """A refusal has its line where code of the app fails at its signal."""

        def fail(*_: object, **__: object) -> t.NoReturn:
            raise RuntimeError("no metrics")

        paths = {"/me": "script", "/auth/callback": "page"}
        with (
            signals.challenge_received.connected_to(fail),
            signals.sign_in_failed.connected_to(fail),
        ):
            for path, asks in paths.items():
                told.clear()
                page = entra.person().get(live.url + path, headers=ASKS[asks])
                assert page.status_code == 500
                # Not the signals: receivers are called in any order.
                (record,) = told.records
                assert vars(record)["msal_path"] == path

    def test_posted(self, start: Start, entra: Emulator, told: Told) -> None:
        """So does a posted one."""
        live = start(MSAL_RESPONSE_MODE="form_post", tls=True)
        told.clear()
        page = entra.person().visit(live.url + "/auth/callback", {"state": "x"})
        assert page.status_code == 400
        assert told.once()[2] == "sign_in_failed"

    def test_forged(self, live: LiveApp, entra: Emulator, told: Told) -> None:
        """An ID token that is not ours, and then the same answer once more."""
        person = entra.person()
        url = paused_at_callback(person, live.url + "/me")
        cookies = person.cookies.header(live.url, "GET", None, False)
        entra.forge(aud="somebody else")
        for error in ("InvalidIdToken", "FlowExpired"):
            told.clear()
            page = requests.get(
                url,
                headers={"Cookie": cookies, "Accept": "text/html"},
                timeout=PATIENCE,
            )
            fields, _, sent = told.once()
            assert (page.status_code, sent) == (400, "sign_in_failed")
            assert fields["msal_error"] == error

    def test_other_account(self, live: LiveApp, entra: Emulator, told: Told) -> None:
        """Another account that comes back; its names are on the page only."""
        person = entra.person()
        person.visit(live.url + "/me")
        port = live.entra.pages_url.rpartition(":")[2]
        person.cookies.clear(entra.pages_url, f"ESTSAUTH{port}")
        person.name = "grace"
        url = paused_at_callback(person, live.url + "/mail")
        told.clear()
        page = person.get(url)
        fields, level, sent = told.once()
        assert (page.status_code, sent, level) == (400, "sign_in_failed", "WARNING")
        assert fields["msal_error"] == "OtherAccount"
        assert not {"ada@contoso", "grace@contoso"} & {*told.lines[0].split()}

    def test_resume(self, live: LiveApp, entra: Emulator, told: Told) -> None:
        """A ticket that is not good shows in no line."""
        person = entra.person()
        person.visit(live.url + "/me")
        told.clear()
        page = person.get(live.url + "/auth/resume/very-secret")
        fields, _, sent = told.once()
        assert (page.status_code, sent) == (410, "refused")
        assert fields["msal_path"] == "/auth/resume/…"
        assert "very-secret" not in repr(fields)

    def test_front_channel(self, live: LiveApp, entra: Emulator, told: Told) -> None:
        """A sign-out elsewhere is one event, too."""
        person = entra.person()
        person.visit(live.url + "/me")
        with live.app.test_request_context(
            "/", headers={"Cookie": live.cookie(person)}
        ):
            user = live.auth.user
            assert user is not None
            sid = user.claims["sid"]
        told.clear()
        requests.get(
            f"{live.url}/auth/front-channel-logout?sid={sid}", timeout=PATIENCE
        )
        _, level, sent = told.once()
        assert (sent, level) == ("signed_out", "INFO")


class Failing(NotingCache):
    """A store that fails while it is told to."""

    def __init__(self) -> None:
        super().__init__()
        # The extension works on a copy of the cache.
        self.state = {"left": -1}

    def note(self) -> None:
        if self.state["left"] == 0:
            raise OSError("down")
        self.state["left"] -= 1


class TestStore:
    @pytest.mark.parametrize("left", range(4))
    @pytest.mark.parametrize(
        "path", ["/me", "/force", "/auth/login", "/auth/logout", "/auth/resume/secret"]
    )
    def test_outage(
        self, start: Start, entra: Emulator, told: Told, path: str, left: int
    ) -> None:
        """A store that fails at any use of a request is one line and one signal."""
        store = Failing()
        live = start(refreshing, SESSION_TYPE="cachelib", SESSION_CACHELIB=store)
        person = entra.person()
        person.visit(live.url + "/me")
        told.clear()
        store.state["left"] = left
        page = person.get(live.url + path)
        store.state["left"] = -1
        before = {"sign_in_begun", "signed_out"}
        told.signals = [one for one in told.signals if one[0] not in before]
        told.records = [r for r in told.records if r.levelname != "INFO"]
        if page.status_code == 503 and "It is not a form" not in str(told.lines):
            fields, level, sent = told.once()
            assert (sent, level) in {("refused", "ERROR"), ("sign_in_failed", "ERROR")}
            assert fields["msal_event"] == "session_store_failed"
            assert fields["msal_retry_after"] == int(page.headers["Retry-After"])
            assert "secret" not in repr(fields)
        else:
            lost = [r for r in told.records if "store" in r.getMessage()]
            assert len(lost) <= 1
