"""MSAL_RECHECK: a session follows what the provider says of its user."""

from __future__ import annotations

import collections.abc as cabc
import logging
import threading
import typing as t
from urllib.parse import parse_qs
from urllib.parse import urlencode
from urllib.parse import urlsplit

import pytest
import requests
from flask import request
from flask import session

from flask_msal_errors import signals
from flask_msal_errors import user
from flask_msal_errors.session.records import Records
from flask_msal_errors.session.session_index import names_of
from flask_msal_errors.testing import Emulator
from flask_msal_errors.testing import Person
from support import clock
from support import parallel
from support.live_app import LiveApp
from support.live_app import Start
from support.waiting import PATIENCE
from support.waiting import until

HOUR = 3600
FETCH = {"Sec-Fetch-Mode": "cors", "Accept": "application/json"}


class Desk:
    """A user who is signed in, in front of an app whose clock can be put forward."""

    def __init__(
        self, live: LiveApp, entra: Emulator, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        self.live, self.entra, self.monkeypatch = live, entra, monkeypatch
        self.person: Person = entra.person()
        self.grace: Person = entra.person("grace")
        self.roles: list[str] = ["Approver"]
        entra.id_token_hook = self._give_roles
        assert self.visit("/roles").text == "Ada Lovelace: Approver"
        self.passed = 0.0

    def _give_roles(self, claims: dict[str, t.Any], header: object) -> None:
        claims["roles"] = self.roles

    def visit(self, path: str, **options: t.Any) -> requests.Response:
        return self.person.visit(self.live.url + path, **options)

    def get(self, path: str, **headers: str) -> requests.Response:
        """Return the answer; no redirect is followed."""
        cookie = self.live.cookie(self.person)
        return requests.get(
            self.live.url + path,
            headers={"Accept": "text/html", **headers, "Cookie": cookie},
            allow_redirects=False,
            timeout=PATIENCE,
        )

    def later(self, seconds: float = HOUR + 1) -> None:
        """Let seconds pass."""
        self.passed += seconds
        clock.let_sessions_age(self.monkeypatch, self.passed)

    def meet(self, count: int) -> None:
        """Let the provider's next answer wait until so many requests want it."""
        wanting, plain = list[str](), Records.locked

        def locked(records: Records, handle: str, **options: t.Any) -> t.Any:
            wanting.append(handle)
            return plain(records, handle, **options)

        self.monkeypatch.setattr(Records, "locked", locked)
        self.entra.fail_next(lambda _: until(lambda: len(wanting) >= count))

    @property
    def refreshes(self) -> int:
        return self.entra.counters["token.refresh_token"]


def add_views(live: LiveApp) -> None:
    auth = live.auth

    def shown() -> str:
        assert auth.user is not None
        return f"{auth.user.name}: {' '.join(auth.user.claims.get('roles', ()))}"

    @live.app.get("/roles")
    @auth.login_required
    def roles() -> str:
        return shown()

    @live.app.get("/now")
    @auth.login_required(recheck=0)
    def now() -> str:
        return shown()

    @live.app.get("/twice")
    @auth.login_required(recheck=0)
    @auth.login_required(recheck=0)
    def twice() -> str:
        return shown()

    @live.app.get("/often")
    @auth.login_required(recheck=60)
    def often() -> str:
        return shown()

    @live.app.get("/all")
    @auth.login_required(acrs="c1", scopes=[live.entra.scope("Mail.Read")], recheck=60)
    def everything() -> str:
        return shown()

    @live.app.get("/marked")
    def marked() -> str:
        person = user.signed_in()
        assert person is not None
        user.doubt(person, elsewhere=False)
        return "marked"

    @live.app.get("/forgotten")
    def forgotten() -> str:
        key = next(key for key in session if key.startswith("_msal_"))
        kept = {n: v for n, v in session[key].items() if n != "vouched_at"}
        session[key] = {**kept, "since": kept["since"] - 15 * HOUR}
        return "forgotten"

    @live.app.post("/send")
    @auth.login_required
    def send() -> str:
        return f"sent {request.form['what']}"


Desks = cabc.Callable[..., Desk]


@pytest.fixture
def desks(start: Start, entra: Emulator, monkeypatch: pytest.MonkeyPatch) -> Desks:
    """A function that makes desks: ``desks(KEY=value)``."""
    return lambda **config: Desk(start(add_views, **config), entra, monkeypatch)


@pytest.fixture
def desk(desks: Desks) -> Desk:
    return desks()


class TestFollows:
    def test_role_removed(self, desk: Desk) -> None:
        """After an hour a page asks once, and shows what the user is by then."""
        desk.roles = []
        desk.entra.users["ada"].name = "Ada King"
        assert desk.visit("/roles").text == "Ada Lovelace: Approver"
        assert desk.refreshes == 0
        desk.later()
        for _ in range(3):
            assert desk.get("/roles").text == "Ada King: "
        assert desk.refreshes == 1
        assert desk.get("/").text == "hello ada@contoso.example"
        desk.later(HOUR - 10)
        assert desk.get("/roles").status_code == 200
        assert desk.refreshes == 1

    def test_what_stays(self, desk: Desk) -> None:
        """Claims about the sign-in itself stay; tokens go on."""
        claims: list[dict[str, t.Any]] = []
        heard: list[tuple[str, str]] = []

        def hear(_: object, user: t.Any, before: t.Any, **extra: t.Any) -> None:
            claims.extend((before.claims, user.claims))
            heard.append((user.name, " ".join(user.claims["roles"])))

        desk.roles = ["Reader"]
        desk.later()
        with signals.user_rechecked.connected_to(hear):
            assert desk.visit("/roles").text == "Ada Lovelace: Reader"
            assert desk.visit("/roles").text == "Ada Lovelace: Reader"
        assert heard == [("Ada Lovelace", "Reader")]
        for name in ("sid", "auth_time", "amr", "iss", "sub"):
            assert claims[0][name] == claims[1][name]
        assert "nonce" not in claims[1]
        assert desk.visit("/profile").status_code == 200
        assert desk.refreshes == 1

    def test_sid(self, desk: Desk) -> None:
        """A session whose ``sid`` appears at a refresh is found by it from then on."""
        desk.entra.id_token_hook = lambda claims, _: claims.pop("sid", None) and None
        desk.person = desk.entra.person()
        desk.visit("/roles")
        desk.entra.id_token_hook = lambda claims, _: claims.update(sid="new")
        desk.later()
        desk.visit("/roles")
        index = desk.live.app.extensions["flask_msal_errors"].session_index
        assert len(index.find(*names_of("new"))) == 1

    def test_own_routes_and_public_pages(self, desk: Desk) -> None:
        """Public pages and our own routes ask nothing."""
        desk.later()
        for path in ("/", "/auth/signed-out", "/auth/login"):
            desk.get(path)
        assert desk.refreshes == 0

    def test_off(self, desks: Desks) -> None:
        """MSAL_RECHECK=0 never asks; a page that wants it still does."""
        desk = desks(MSAL_RECHECK="0")
        desk.roles = []
        desk.later(1000 * HOUR)
        assert desk.get("/roles").text == "Ada Lovelace: Approver"
        assert desk.refreshes == 0
        assert desk.get("/now").text == "Ada Lovelace: "

    def test_of_a_page(self, desk: Desk) -> None:
        """recheck=0 asks each time, recheck=60 after a minute; others have it, too."""
        desk.roles = []
        assert desk.get("/often").text == "Ada Lovelace: Approver"
        for number in (1, 2):
            assert desk.get("/now").text == "Ada Lovelace: "
            assert desk.refreshes == number
        assert desk.get("/roles").text == "Ada Lovelace: "
        assert desk.get("/twice").status_code == 200
        assert desk.refreshes == 3
        desk.later(61)
        assert desk.get("/often").status_code == 200
        assert desk.refreshes == 4

    @pytest.mark.parametrize("path", ["/roles", "/now"])
    def test_parallel(self, desk: Desk, path: str) -> None:
        """Eight requests at once take one refresh, and all follow it."""
        desk.roles = []
        desk.entra.one_time_refresh_tokens = True
        desk.later()
        desk.meet(8)
        answers: list[str] = []
        parallel.in_threads(8, lambda _: answers.append(desk.get(path).text))
        assert answers == ["Ada Lovelace: "] * 8
        assert desk.refreshes == 1 if path == "/roles" else desk.refreshes <= 2

    def test_written_back(self, desk: Desk) -> None:
        """An old copy of the session costs no further refresh, and no claims."""
        desk.roles = []
        interface: t.Any = desk.live.app.session_interface
        key = interface._get_store_id(desk.live.session_id(desk.person))
        old = interface.msal_backend.read(key)
        desk.later()
        assert desk.get("/roles").text == "Ada Lovelace: "
        lifetime = desk.live.app.permanent_session_lifetime
        assert interface.msal_backend.replace(key, old, lifetime)
        assert desk.get("/roles").text == "Ada Lovelace: "
        assert desk.refreshes == 1


class TestRefused:
    def test_revoked(self, desk: Desk) -> None:
        """A page view goes to the sign-in, and comes back to the page."""
        desk.entra.revoke("ada")
        assert desk.get("/roles").status_code == 200
        desk.later()
        answer = desk.get("/roles")
        assert answer.status_code == 302 and "/authorize?" in answer.headers["Location"]
        assert desk.visit("/roles").text == "Ada Lovelace: Approver"
        assert desk.entra.counters["token.authorization_code"] == 2

    def test_everywhere_at_once(self, desk: Desk) -> None:
        """Once refused, no page of the session is open, due or not."""
        desk.entra.revoke("ada")
        assert desk.get("/now").status_code == 302
        assert desk.get("/roles").status_code == 302
        assert desk.refreshes == 1

    def test_fetch(self, desk: Desk) -> None:
        """A script gets problem details with a link, which leads back to its page."""
        desk.entra.revoke("ada")
        desk.later()
        answer = desk.get("/roles", **FETCH, Referer=f"{desk.live.url}/roles")
        assert answer.status_code == 401
        page = desk.visit(answer.json()["login_url"].removeprefix(desk.live.url))
        assert page.text == "Ada Lovelace: Approver"

    def test_form(self, desk: Desk) -> None:
        """A form is kept, and posted once its user is back."""
        desk.entra.revoke("ada")
        desk.later()
        page = desk.visit("/send", data={"what": "it"})
        assert page.text == "sent it"

    def test_one_sign_in(self, desk: Desk) -> None:
        """Other demands of the page are met by the same sign-in."""
        desk.entra.revoke("ada")
        desk.later()
        assert desk.visit("/all").text == "Ada Lovelace: Approver"
        assert desk.entra.counters["token.authorization_code"] == 2

    def test_disabled(self, desk: Desk) -> None:
        """A disabled person comes to Entra's page that says so, and no further."""
        desk.entra.disable("ada")
        desk.later()
        page = desk.visit("/roles")
        assert page.status_code == 200 and "AADSTS50057" in page.text
        assert desk.get("/roles", **FETCH).status_code == 401

    def test_claims(self, desk: Desk) -> None:
        """A policy that is new is met: its claims go along."""
        desk.entra.require_mfa()
        desk.later()
        assert desk.visit("/roles").text == "Ada Lovelace: Approver"
        (claims,) = [
            call.query["claims"]
            for call in desk.entra.calls
            if "polids" in call.query.get("claims", "")
        ]
        assert "access_token" in claims

    def test_unassigned(self, desk: Desk) -> None:
        """A person whose assignment ended gets the page that says so."""
        desk.entra.fail_next(
            {"error": "interaction_required", "error_codes": [50105]}, status=400
        )
        desk.later()
        assert desk.get("/roles").status_code == 403

    def test_forged(self, desk: Desk) -> None:
        """A token that is not acceptable opens no page."""
        desk.entra.id_token_hook = None
        desk.entra.forge(alg="HS256", name="evil")
        desk.later()
        answer = desk.get("/roles")
        assert answer.status_code == 400 and "evil" not in answer.text


class TestStrangeClaims:
    """Claims that no store can hold."""

    def be(self, desk: Desk, value: t.Any) -> None:
        desk.entra.id_token_hook = lambda claims, _: claims.update(strange=value)

    def test_half_a_character(self, desk: Desk) -> None:
        """Half a character costs neither the page nor the refresh token."""
        desk.entra.one_time_refresh_tokens = True
        self.be(desk, {"\ud83d": ["\ud83d!"]})
        for number in (1, 2):
            desk.later()
            assert desk.get("/roles").text == "Ada Lovelace: "
            assert desk.refreshes == number
        assert desk.grace.visit(desk.live.url + "/roles").status_code == 200

    def test_deep(self, desk: Desk) -> None:
        """A claim nested 600 deep is refused, and the refresh token is kept."""
        deep: t.Any = "end"
        for _ in range(600):
            deep = [deep]
        desk.entra.one_time_refresh_tokens = True
        self.be(desk, deep)
        desk.later()
        assert desk.get("/roles").status_code == 400
        desk.entra.id_token_hook = None
        assert desk.get("/roles").text == "Ada Lovelace: "
        self.be(desk, deep)
        assert desk.grace.visit(desk.live.url + "/roles").status_code == 400


class TestOneApi:
    """A refusal by one API closes no page that does not need it."""

    @pytest.fixture
    def desk(self, desks: Desks, entra: Emulator) -> Desk:
        return desks(MSAL_SCOPES=[entra.scope("Mail.Read")])

    @pytest.mark.parametrize("how", ["block", "withdraw", "policy", "gone"])
    def test_others_open(self, desk: Desk, how: str) -> None:
        """The refresh asks again, for no API; its answer counts, new roles too."""
        desk.roles = []
        {
            "block": lambda: desk.entra.block("Mail.Read"),
            "withdraw": lambda: desk.entra.withdraw_consent("ada", "Mail.Read"),
            "policy": lambda: desk.entra.require_mfa("Mail.Read"),
            "gone": lambda: desk.entra.fail_next(
                {"error": "invalid_resource", "error_codes": [500011]}, status=400
            ),
        }[how]()
        desk.later()
        for _ in range(2):
            assert desk.get("/roles").text == "Ada Lovelace: "
        assert desk.refreshes == 2

    @pytest.mark.parametrize("how", ["revoke", "disable"])
    def test_whole_sign_in(self, desk: Desk, how: str) -> None:
        """A sign-in that has ended is refused by one call."""
        getattr(desk.entra, how)("ada")
        desk.later()
        assert desk.get("/roles").status_code == 302
        assert desk.refreshes == 1

    def test_all_refused(self, desk: Desk) -> None:
        """A refusal of any token closes the session."""
        desk.entra.block()
        desk.later()
        assert desk.get("/roles").status_code == 302


class TestOutage:
    @pytest.mark.parametrize("fault", ["unavailable", "throttle", "broken"])
    def test_four_intervals(
        self, desk: Desk, fault: str, caplog: pytest.LogCaptureFixture
    ) -> None:
        """The session goes on for four intervals, with one try and line in each."""
        caplog.set_level(logging.INFO, "flask_msal_errors")
        getattr(desk.entra, fault)()
        for number in (1, 2, 3):
            desk.later(HOUR + 60)
            # The answers of the token endpoint that MSAL keeps go by the true clock.
            clock.let_pass(desk.monkeypatch, desk.passed)
            for _ in range(3):
                assert desk.get("/roles").text == "Ada Lovelace: Approver"
            assert told(caplog) == number
        desk.later(HOUR)
        answer = desk.get("/roles")
        codes = {"unavailable": 503, "throttle": 429, "broken": 502}
        assert answer.status_code == codes[fault]
        assert desk.get("/roles", **FETCH).status_code == codes[fault]
        assert desk.get("/").status_code == 200

    @pytest.mark.parametrize("fault", ["unavailable", "throttle"])
    def test_returning(self, desk: Desk, fault: str) -> None:
        """After a night away there are three intervals, too, and no more."""
        getattr(desk.entra, fault)()
        desk.later(15 * HOUR)
        assert desk.get("/roles").text == "Ada Lovelace: Approver"
        for _ in range(2):
            desk.later(HOUR + 60)
            clock.let_pass(desk.monkeypatch, desk.passed)
            assert desk.get("/roles").text == "Ada Lovelace: Approver"
        desk.later(HOUR)
        assert desk.get("/roles").status_code in (429, 503)
        desk.entra.clear_faults()
        clock.let_pass(desk.monkeypatch, desk.passed + HOUR)
        assert desk.get("/roles").status_code == 200
        # The next outage is another one.
        getattr(desk.entra, fault)()
        desk.later(15 * HOUR)
        clock.let_pass(desk.monkeypatch, desk.passed + HOUR)
        assert desk.get("/roles").status_code == 200

    def test_hangs(
        self, desks: Desks, entra: Emulator, caplog: pytest.LogCaptureFixture
    ) -> None:
        """One request waits for a provider that hangs; others go on or fail at once."""
        caplog.set_level(logging.INFO, "flask_msal_errors")
        desk = desks(MSAL_HTTP_TIMEOUT=2, MSAL_HTTP_RETRIES=0)
        assert desk.grace.visit(desk.live.url + "/roles").status_code == 200
        asked, over = list[object](), threading.Event()

        def hang(request: object) -> None:
            asked.append(request)
            over.wait(PATIENCE)

        entra.fail_next(hang, times=9)
        desk.later()
        assert desk.get("/roles").status_code == 200
        assert desk.grace.get(desk.live.url + "/roles").status_code == 200
        for _ in range(3):
            assert desk.get("/now").status_code == 503
        assert len(asked) <= 1 and told(caplog) == 1
        over.set()
        entra.clear_faults()
        desk.roles = []
        clock.let_provider_rest(desk.monkeypatch, 31)
        page = desk.grace.get(desk.live.url + "/roles")
        assert page.text.endswith(": ")

    @pytest.mark.parametrize("recheck", [3600, 0])
    def test_of_before(
        self,
        desks: Desks,
        entra: Emulator,
        monkeypatch: pytest.MonkeyPatch,
        recheck: int,
    ) -> None:
        """A session of before goes on in an outage, and once the index learns of it."""
        desk = desks(MSAL_RECHECK=recheck)
        assert desk.get("/forgotten").status_code == 200
        entra.unavailable()
        renewed: list[str] = []
        plain = Records.renew

        def renew(records: Records, handle: str) -> bool:
            renewed.append("")
            return plain(records, handle)

        monkeypatch.setattr(Records, "renew", renew)
        for _ in range(2):
            assert desk.get("/roles").status_code == 200
        assert renewed == [""]

    def test_over(self, desk: Desk) -> None:
        """Once the provider answers again, it is asked in the next interval."""
        desk.entra.unavailable()
        desk.later()
        assert desk.get("/roles").status_code == 200
        desk.entra.clear_faults()
        clock.let_pass(desk.monkeypatch, HOUR)
        desk.roles = []
        assert desk.get("/roles").text == "Ada Lovelace: Approver"
        desk.later()
        assert desk.get("/roles").text == "Ada Lovelace: "

    def test_parallel(self, desk: Desk, caplog: pytest.LogCaptureFixture) -> None:
        """Eight requests at once try once, and tell it once."""
        desk.entra.unavailable()
        desk.later()
        desk.meet(8)
        answers: list[int] = []
        parallel.in_threads(8, lambda _: answers.append(desk.get("/roles").status_code))
        assert answers == [200] * 8
        assert desk.refreshes == 1 and told(caplog) == 1

    def test_now(self, desk: Desk) -> None:
        """A page that wants it now waits for the provider."""
        desk.entra.unavailable()
        assert desk.get("/now").status_code == 503
        assert desk.get("/roles").status_code == 200

    def test_pause_shared(self, desk: Desk) -> None:
        """Eight requests that want it now all learn for how long the provider rests."""
        desk.entra.throttle(30)
        desk.meet(8)
        pauses: list[str | None] = []
        parallel.in_threads(
            8, lambda _: pauses.append(desk.get("/now").headers.get("Retry-After"))
        )
        assert desk.refreshes == 1
        assert all(pause and 25 <= int(pause) <= 30 for pause in pauses)

    def test_wrong_clock(self, desk: Desk) -> None:
        """A try while the clock was a day ahead keeps no later one back."""
        desk.entra.unavailable()
        desk.later(24 * HOUR)
        assert desk.get("/roles").text == "Ada Lovelace: Approver"
        desk.entra.clear_faults()
        clock.let_pass(desk.monkeypatch, HOUR)
        desk.later(-23 * HOUR)
        desk.roles = []
        assert desk.get("/roles").text == "Ada Lovelace: "
        assert desk.get("/now").status_code == 200

    def test_wrong_secret(self, desk: Desk, caplog: pytest.LogCaptureFixture) -> None:
        """A mistake of the app's owner is no fault of the user: an error in the log."""
        desk.entra.tenant.app.client_secret = "another"
        desk.later()
        assert desk.get("/roles").text == "Ada Lovelace: Approver"
        (line,) = [r for r in caplog.records if "without a recheck" in r.message]
        assert line.levelname == "ERROR" and "MSAL_CLIENT_CREDENTIAL" in line.message


def told(caplog: pytest.LogCaptureFixture) -> int:
    """Lines about sessions that go on."""
    events = [getattr(record, "msal_event", "") for record in caplog.records]
    return events.count("recheck_failed")


class TestOtherSessions:
    """One session that learns of a revocation has the person's others ask, too."""

    @pytest.fixture
    def other(self, desk: Desk) -> Person:
        """Ada in a second browser; Grace is there, too."""
        other = desk.entra.person()
        for person in (other, desk.grace):
            assert person.visit(desk.live.url + "/roles").status_code == 200
        return other

    def asked(self, desk: Desk, person: Person) -> bool:
        """Tell whether a page sends somebody to sign in."""
        return person.get(desk.live.url + "/roles").status_code == 302

    @pytest.mark.parametrize(
        ("path", "how"),
        [
            *(("/now", how) for how in ("revoke", "disable", "expire_frequency")),
            *(("/mail", how) for how in ("revoke", "disable", "expire_frequency")),
            *(("/profile", how) for how in ("revoke", "disable")),
        ],
    )
    def test_marked(self, desk: Desk, other: Person, how: str, path: str) -> None:
        """By a recheck, a token request, or an API's challenge with claims."""
        desk.entra.give_consent("ada", "Mail.Read")
        getattr(desk.entra, how)("ada")
        assert not self.asked(desk, other)
        assert desk.get(path).status_code == 302
        assert self.asked(desk, other)
        assert self.asked(desk, other) and desk.get("/roles").status_code == 302
        # Refused sessions, and those that were marked, mark nobody.
        refreshes = desk.refreshes
        assert not self.asked(desk, desk.grace)
        assert desk.refreshes == refreshes

    def test_not_for_less(self, desk: Desk, other: Person) -> None:
        """A scope that lacks consent, or a policy, says nothing of other sessions."""
        desk.entra.require_mfa("Mail.Read")
        assert desk.get("/mail").status_code == 302
        assert not self.asked(desk, other)
        assert desk.refreshes == 1

    def test_keeps_the_rest(self, desk: Desk, other: Person) -> None:
        """A mark leaves what the app has in the session, and ends with a sign-in."""
        url = desk.live.url
        assert other.visit(url + "/basket/apple").text == "apple"
        desk.entra.revoke("ada")
        assert desk.get("/now").status_code == 302
        assert other.visit(url + "/roles").text == "Ada Lovelace: Approver"
        assert other.visit(url + "/basket/pear").text == "apple pear"
        refreshes = desk.refreshes
        assert not self.asked(desk, other)
        assert desk.refreshes == refreshes

    def test_outage(self, desk: Desk, other: Person) -> None:
        """A marked session has no patience with a provider that does not answer."""
        desk.entra.revoke("ada")
        assert desk.get("/now").status_code == 302
        desk.entra.unavailable()
        assert other.get(desk.live.url + "/roles").status_code == 503


class TestNoRefreshToken:
    """Only the browser can ask: a silent sign-in, for pages."""

    @pytest.fixture
    def desk(self, desks: Desks) -> Desk:
        return desks(MSAL_BASE_SCOPES="openid profile")

    def prompts(self, desk: Desk) -> list[str | None]:
        calls = [c for c in desk.entra.calls if c.kind == "authorize"]
        return [call.query.get("prompt") for call in calls]

    def test_page(self, desk: Desk) -> None:
        """A page view goes to the provider and back, and nobody sees it."""
        desk.roles = []
        desk.later()
        assert desk.visit("/roles").text == "Ada Lovelace: "
        assert desk.get("/roles").status_code == 200
        assert self.prompts(desk) == [None, "none"]

    def test_now(self, desk: Desk) -> None:
        """A page that wants it now takes the word of a moment ago: no endless round."""
        assert desk.visit("/now").status_code == 200
        desk.later(200)
        assert desk.visit("/now").status_code == 200
        assert self.prompts(desk) == [None, "none"]

    def test_fetch(self, desk: Desk) -> None:
        """A script goes on until a page is viewed, for four intervals."""
        desk.later()
        assert desk.get("/roles", **FETCH).status_code == 200
        desk.later(3 * HOUR + 200)
        answer = desk.get("/roles", **FETCH, Referer=f"{desk.live.url}/roles")
        assert answer.status_code == 401
        page = desk.visit(answer.json()["login_url"].removeprefix(desk.live.url))
        assert page.text == "Ada Lovelace: Approver"
        assert self.prompts(desk) == [None, "none"]
        assert desk.get("/roles", **FETCH).status_code == 200

    def test_form(self, desk: Desk) -> None:
        """A form goes on, too; after four intervals it is kept for the silent round."""
        for seconds in (HOUR + 1, 3 * HOUR + 200):
            desk.later(seconds)
            page = desk.visit("/send", data={"what": "it"})
            assert page.text == "sent it"
        assert self.prompts(desk) == [None, "none"]

    def test_revoked(self, desk: Desk) -> None:
        """If the provider needs the person, they sign in and are back."""
        desk.entra.revoke("ada")
        desk.later()
        assert desk.visit("/roles").text == "Ada Lovelace: Approver"
        assert self.prompts(desk) == [None, "none", None]

    @pytest.mark.parametrize("word", ["account_selection_required", "invalid_request"])
    def test_other_words(self, desk: Desk, word: str) -> None:
        """So it is whatever its word for that is, or if it knows no silent sign-in."""
        desk.later()
        person = desk.person
        answer = person.get(desk.live.url + "/roles")
        sent = parse_qs(urlsplit(answer.headers["Location"]).query)
        said = {"state": sent["state"][0], "error": word}
        page = person.visit(f"{desk.live.url}/auth/callback?{urlencode(said)}")
        assert page.text == "Ada Lovelace: Approver"
        assert sent["prompt"] == ["none"] and self.prompts(desk) == [None, None]

    def test_marked(self, desk: Desk) -> None:
        """A marked session is not open for the time that the way back may take."""
        assert desk.get("/marked").status_code == 200
        assert desk.get("/roles").status_code == 302
        assert desk.get("/roles", **FETCH).status_code == 401
        assert desk.visit("/roles").text == "Ada Lovelace: Approver"

    def test_outage(self, desk: Desk) -> None:
        """If the provider fails then, the page says so, and the session goes on."""
        desk.entra.unavailable()
        desk.later()
        assert desk.visit("/roles").status_code == 503
        clock.let_pass(desk.monkeypatch, HOUR)
        assert desk.visit("/roles").text == "Ada Lovelace: Approver"


class TestOtherProviders:
    @pytest.fixture
    def desk(
        self, start: Start, entra: Emulator, monkeypatch: pytest.MonkeyPatch
    ) -> Desk:
        absent = {"MSAL_AUTHORITY": None, "MSAL_INSTANCE_DISCOVERY": None}
        config = {**entra.config("openid"), **absent, "MSAL_SCOPES": []}
        return Desk(start(add_views, **config), entra, monkeypatch)

    @pytest.mark.parametrize("has_id_token", [True, False])
    def test_name(self, desk: Desk, has_id_token: bool) -> None:
        """A refresh vouches with an ID token or without; names come as they came."""
        desk.entra.users["ada"].name = "Ada King"
        desk.roles = []
        desk.later()
        desk.entra.openid_refreshed_id_token = has_id_token
        roles = "" if has_id_token else "Approver"
        assert desk.get("/roles").text == f"Ada King: {roles}"
        assert desk.get("/roles").status_code == 200
        assert desk.refreshes == 1

    def test_gone(self, desk: Desk) -> None:
        """A refresh token that is gone sends the user to sign in."""
        desk.entra.fail_next({"error": "token_inactive"}, status=400)
        desk.later()
        assert desk.get("/roles").status_code == 302
        assert desk.visit("/roles").status_code == 200
