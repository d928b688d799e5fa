"""Groups that do not fit in an ID token: asked for once, and never taken for none."""

from __future__ import annotations

import json
import time
import typing as t
import uuid
from pathlib import Path
from types import SimpleNamespace

import pytest
from flask import redirect
from flask import session

from flask_msal_errors import AccessDenied
from flask_msal_errors import ConfigurationError
from flask_msal_errors import User
from flask_msal_errors import signals
from flask_msal_errors.clients import groups
from flask_msal_errors.testing import Emulator
from flask_msal_errors.testing import Person
from support import parallel
from support.live_app import LiveApp
from support.live_app import Start

PATH = "/v1.0/me/transitiveMemberOf/microsoft.graph.group"
READ = "https://graph.microsoft.com/User.Read"


def asked(entra: Emulator) -> list[t.Any]:
    """The calls of Graph for groups."""
    return [call for call in entra.calls if call.path == PATH]


@pytest.fixture
def ledger(start: Start, entra: Emulator) -> LiveApp:
    """A running app with a page for a group; Ada is in it, and in 250 more."""
    entra.users["ada"].groups = {str(uuid.UUID(int=number)) for number in range(250)}
    entra.add_to_group("ada", "Finance")
    entra.give_consent("ada", READ)

    def add(live: LiveApp) -> None:
        guard = live.auth.login_required(groups=live.entra.group_id("Finance"))

        @live.app.route("/ledger", methods=["GET", "POST"])
        @guard
        def ledger() -> str:
            assert live.auth.user is not None
            return f"{len(live.auth.user.groups)} groups"

        live.app.get("/bye")(lambda: redirect(live.auth.logout_url()))

    return start(add)


@pytest.fixture
def ada(ledger: LiveApp, entra: Emulator) -> Person:
    """Ada, who is signed in and has opened no page for groups yet."""
    person = entra.person()
    person.visit(f"{ledger.url}/me")
    assert asked(entra) == []
    return person


class TestGroups:
    def test_asked_once(self, ledger: LiveApp, ada: Person, entra: Emulator) -> None:
        """Graph is asked at the first need, and once; all pages are read."""
        entra.graph_page = 100
        for _ in range(3):
            assert ada.get(f"{ledger.url}/ledger").text == "251 groups"
        calls = asked(entra)
        assert [call.status for call in calls] == [200, 200, 200]
        assert calls[0].query == {"$select": "id", "$top": "999", "$count": "true"}
        assert {call.headers["Consistencylevel"] for call in calls} == {"eventual"}
        assert entra.counters["token.refresh_token"] == 1

    def test_anew_with_an_id_token(
        self, ledger: LiveApp, ada: Person, entra: Emulator
    ) -> None:
        """A new ID token ends what was kept: groups are as old as what names them."""
        assert ada.get(f"{ledger.url}/ledger").status_code == 200
        entra.remove_from_group("ada", "Finance")
        assert ada.get(f"{ledger.url}/ledger").status_code == 200
        entra.clock_skew = 60
        ada.visit(f"{ledger.url}/auth/login?next=/me")
        assert ada.get(f"{ledger.url}/ledger").status_code == 403
        assert len(asked(entra)) == 2

    def test_kept_apart_and_deleted(
        self, ledger: LiveApp, ada: Person, entra: Emulator
    ) -> None:
        """They are no part of the session, and end with it."""
        before = {*ledger.records()}
        ada.get(f"{ledger.url}/ledger")
        kept = {*ledger.records()} - before
        assert len(kept) == 1
        with ledger.app.test_request_context(headers={"Cookie": ledger.cookie(ada)}):
            assert str(uuid.UUID(int=7)) not in json.dumps(dict(session))
            assert ledger.auth.user is not None
        ada.visit(f"{ledger.url}/bye")
        assert kept.isdisjoint(ledger.records())

    def test_one_request_asks(
        self, ledger: LiveApp, ada: Person, entra: Emulator
    ) -> None:
        """Pages that are opened at the same time wait for one call of Graph."""
        headers = {"Cookie": ledger.cookie(ada), "Sec-Fetch-Mode": "navigate"}
        pages: list[str] = []

        def opened(_: int) -> None:
            with ledger.app.test_client(use_cookies=False) as client:
                pages.append(client.get("/ledger", headers=headers).text)

        entra.slow(0.3, "api")
        parallel.in_threads(4, opened)
        assert pages == ["251 groups"] * 4
        assert len(asked(entra)) == 1

    def test_needs_consent(self, ledger: LiveApp, ada: Person, entra: Emulator) -> None:
        """Without consent to User.Read the user is asked for it, and comes back."""
        entra.withdraw_consent("ada")
        assert ada.visit(f"{ledger.url}/ledger").text == "251 groups"
        assert "consent" in ada.pages

    def test_sovereign_cloud(
        self,
        ledger: LiveApp,
        ada: Person,
        entra: Emulator,
        monkeypatch: pytest.MonkeyPatch,
    ) -> None:
        """Graph of another cloud has scopes by its own name."""
        connection = client_of(ledger).provider.connection()
        monkeypatch.setitem(connection.metadata, "msgraph_host", "graph.microsoft.us")
        ada.get(f"{ledger.url}/ledger")
        (call,) = [
            c for c in entra.calls if c.form.get("grant_type") == "refresh_token"
        ]
        assert "https://graph.microsoft.us/User.Read" in call.form["scope"].split()

    def test_challenge(self, ledger: LiveApp, ada: Person, entra: Emulator) -> None:
        """Graph's challenge is met as one of any API, without the user if it can be."""
        ada.get(f"{ledger.url}/ledger")
        entra.clock_skew = 60
        ada.visit(f"{ledger.url}/auth/login?next=/me")
        entra.change_ip("ada")
        assert ada.get(f"{ledger.url}/ledger").text == "251 groups"
        assert [call.status for call in asked(entra)][-2:] == [401, 200]

    def test_setting(self, ledger: LiveApp, entra: Emulator) -> None:
        """The emulator's switch makes an overage of any number of groups."""
        entra.users["ada"].groups = {entra.group_id("Finance")}
        person = entra.person()
        assert person.visit(f"{ledger.url}/ledger").text == "1 groups"
        assert asked(entra) == []
        entra.group_overage = True
        assert entra.person().visit(f"{ledger.url}/ledger").text == "1 groups"
        assert len(asked(entra)) == 1


class TestWorkers:
    def test_share(
        self, start: Start, entra: Emulator, redis_client: t.Any, tmp_path: Path
    ) -> None:
        """Workers on one Redis ask Graph once; a role that is taken away is for all."""
        entra.users["ada"].groups = {str(uuid.UUID(int=n)) for n in range(300)}
        entra.give_role("ada", "Approver")
        entra.give_consent("ada", READ)

        def add(live: LiveApp) -> None:
            guard = live.auth.login_required(groups=str(uuid.UUID(int=7)))
            live.app.add_url_rule("/in", "in", guard(lambda: "in"))
            guard = live.auth.login_required(roles="Approver", recheck=0)
            live.app.add_url_rule("/now", "now", guard(lambda: "now"))
            guard = live.auth.login_required(roles="Approver")
            live.app.add_url_rule("/role", "role", guard(lambda: "role"))

        shared = {"SESSION_TYPE": "redis", "SESSION_REDIS": redis_client}
        one, other = (start(add, **shared) for _ in range(2))
        person = entra.person()
        assert person.visit(f"{one.url}/in").text == "in"
        headers = {"Cookie": one.cookie(person), "Sec-Fetch-Mode": "navigate"}

        def at_other(path: str) -> int:
            with other.app.test_client(use_cookies=False) as client:
                return client.get(path, headers=headers).status_code

        assert [at_other(path) for path in ("/in", "/role")] == [200, 200]
        assert len(asked(entra)) == 1
        entra.take_role("ada", "Approver")
        assert person.get(f"{one.url}/now").status_code == 403
        assert at_other("/role") == 403


class TestNeighbours:
    def test_claims_of_another(self, ledger: LiveApp, ada: Person) -> None:
        """Claims of another registration in the session give no role here."""
        kept = {"roles": ["Approver"], "groups": ["g"], "iss": "i", "sub": "s"}
        with ledger.app.test_request_context(headers={"Cookie": ledger.cookie(ada)}):
            session["_msal_0123456789ab"] = {"handle": "h", "claims": kept}
            session["roles"] = session["groups"] = ["Approver"]
            user = ledger.auth.user
            assert user is not None
            assert not user.roles
            assert len(user.groups) == 251


ELSEWHERE = "https://graph.evil.example/v1.0/me"


class TestFailures:
    @pytest.mark.parametrize(
        ("answer", "status", "shown", "said"),
        [
            ({}, 500, 503, "groups_unavailable"),
            ({}, 503, 503, "groups_unavailable"),
            ({}, 404, 503, "groups_unavailable"),
            ({}, 403, 403, "groups_denied"),
            ({}, 401, 403, "groups_denied"),
            ({"value": None}, 200, 503, "groups_unavailable"),
            ({"value": {}}, 200, 503, "groups_unavailable"),
            ({"value": ["g"]}, 200, 503, "groups_unavailable"),
            ({"value": [{"id": 1}]}, 200, 503, "groups_unavailable"),
            ({"value": [{}]}, 200, 503, "groups_unavailable"),
            ({"value": [], "@odata.nextLink": 7}, 200, 503, "groups_unavailable"),
            ({"value": [], "@odata.nextLink": ""}, 200, 503, "groups_unavailable"),
            ({"value": [], "@odata.nextLink": ELSEWHERE}, 200, 503, "is elsewhere"),
        ],
    )
    def test_is_never_none(
        self,
        ledger: LiveApp,
        ada: Person,
        entra: Emulator,
        answer: dict[str, t.Any],
        status: int,
        shown: int,
        said: str,
    ) -> None:
        """An answer without a list of groups keeps out, and says so."""
        entra.fail_next(answer, "api", status=status, times=2)
        page = ada.get(f"{ledger.url}/ledger")
        assert page.status_code == shown
        assert said in page.text
        assert "Your groups are not known" in page.text
        entra.clear_faults()
        assert ada.get(f"{ledger.url}/ledger").text == "251 groups"

    def test_pause(self, ledger: LiveApp, ada: Person, entra: Emulator) -> None:
        """A user whom Graph throttles gets a page that says for how long."""
        entra.throttle(17, target="api")
        page = ada.get(f"{ledger.url}/ledger")
        assert (page.status_code, page.headers["Retry-After"]) == (429, "17")

    @pytest.mark.parametrize("fault", ["throttle", "unavailable"])
    def test_pause_is_kept(
        self,
        ledger: LiveApp,
        ada: Person,
        entra: Emulator,
        monkeypatch: pytest.MonkeyPatch,
        fault: str,
    ) -> None:
        """Graph is left alone for as long as it asks: pages tell what is left of it."""
        getattr(entra, fault)(17, retry_after="seconds", target="api")
        first, *others = (ada.get(f"{ledger.url}/ledger") for _ in range(3))
        for page in others:
            assert page.status_code == first.status_code
            assert 10 <= int(page.headers["Retry-After"]) <= 17
        assert len(asked(entra)) == 1
        entra.clear_faults()
        later = SimpleNamespace(time=lambda: time.time() + 17)
        monkeypatch.setattr(groups, "time", later)
        assert ada.get(f"{ledger.url}/ledger").text == "251 groups"

    def test_unreachable(
        self,
        ledger: LiveApp,
        ada: Person,
        entra: Emulator,
        monkeypatch: pytest.MonkeyPatch,
        caplog: pytest.LogCaptureFixture,
    ) -> None:
        """An outage of Graph is a page with 503, one line, and no token in it."""
        connection = client_of(ledger).provider.connection()
        monkeypatch.setitem(connection.metadata, "msgraph_host", "localhost:1")
        page = ada.get(f"{ledger.url}/ledger")
        assert page.status_code == 503
        assert "does not answer" in page.text
        lines = [r for r in caplog.records if "msal_error" in r.__dict__]
        assert [r.__dict__["msal_error"] for r in lines] == ["groups_unavailable"]
        assert lines[0].__dict__["msal_api_host"] == "localhost:1"
        assert "eyJ" not in caplog.text

    @pytest.mark.parametrize("host", [None, 7, "", "a b", "evil.example/x?", "u@e"])
    def test_no_graph(
        self,
        ledger: LiveApp,
        ada: Person,
        monkeypatch: pytest.MonkeyPatch,
        host: t.Any,
    ) -> None:
        """A provider that names no host of Microsoft Graph has no groups to read."""
        connection = client_of(ledger).provider.connection()
        monkeypatch.setitem(connection.metadata, "msgraph_host", host)
        page = ada.get(f"{ledger.url}/ledger")
        assert page.status_code == 403
        assert "groups_denied" in page.text

    def test_endless(
        self,
        ledger: LiveApp,
        ada: Person,
        entra: Emulator,
        monkeypatch: pytest.MonkeyPatch,
    ) -> None:
        """Pages have an end, whatever Graph says."""
        monkeypatch.setattr(groups, "_MOST_PAGES", 3)
        entra.graph_page = 50
        page = ada.get(f"{ledger.url}/ledger")
        assert page.status_code == 503
        assert len(asked(entra)) == 3

    def test_denied_is_told(
        self, ledger: LiveApp, ada: Person, entra: Emulator
    ) -> None:
        """A refusal is an AccessDenied that names the permission, told once."""
        told: list[t.Any] = []
        entra.fail_next({}, "api", status=403)
        with signals.refused.connected_to(
            lambda _, error, **extra: told.append(error), ledger.app
        ):
            ada.get(f"{ledger.url}/ledger")
        assert [type(error) for error in told] == [AccessDenied]
        assert "User.Read" in str(told[0])


class TestClaims:
    @pytest.mark.parametrize(
        ("claims", "is_asked"),
        [
            ({"hasgroups": True}, True),
            ({"hasgroups": "true"}, True),
            ({"_claim_names": {"groups": "src1"}}, True),
            # It wins: the list is not known to be whole.
            ({"_claim_names": {"groups": None}, "groups": ["g"]}, True),
            # The place that a token names is never called.
            (
                {
                    "_claim_names": {"groups": "s"},
                    "_claim_sources": {"s": {"endpoint": ELSEWHERE}},
                },
                True,
            ),
            ({"hasgroups": False}, False),
            ({"_claim_names": {"address": "src1"}}, False),
            ({"_claim_names": ["groups"]}, False),
            ({"_claim_names": "groups"}, False),
            ({"_claim_names": None}, False),
        ],
    )
    def test_overage(
        self,
        ledger: LiveApp,
        entra: Emulator,
        claims: dict[str, t.Any],
        is_asked: bool,
    ) -> None:
        """An ID token says that its groups are elsewhere in two ways, no others."""
        entra.id_token_hook = lambda all_, header: {
            **{k: v for k, v in all_.items() if not k.startswith("_claim")},
            **claims,
        }
        page = entra.person().visit(f"{ledger.url}/ledger")
        assert bool(asked(entra)) is is_asked
        assert page.status_code == (200 if is_asked else 403)

    def test_other_provider(self, start: Start, entra: Emulator) -> None:
        """Distributed claims of another provider are no groups, and keep out."""
        entra.id_token_hook = lambda claims, header: {
            **claims,
            "_claim_names": {"groups": "src1"},
        }
        live = start(
            lambda it: it.app.add_url_rule(
                "/in", view_func=it.auth.login_required(groups="g")(lambda: "in")
            ),
            MSAL_AUTHORITY=None,
            **entra.config("openid"),
        )
        page = entra.person().visit(f"{live.url}/in")
        assert page.status_code == 403
        assert "groups_denied" in page.text

    def test_of_somebody_else(
        self, ledger: LiveApp, ada: Person, entra: Emulator
    ) -> None:
        """Only groups of who is signed in here can be read, and only in a request."""
        other = User({"iss": "https://login.example", "sub": "s", "hasgroups": True})
        with ledger.app.app_context():
            with pytest.raises(ConfigurationError):
                assert other.groups
        with ledger.app.test_request_context(headers={"Cookie": ledger.cookie(ada)}):
            with pytest.raises(ConfigurationError):
                assert other.groups
            assert ledger.auth.user is not None
            assert len(ledger.auth.user.groups) == 251


def client_of(live: LiveApp) -> t.Any:
    """The app's client of the identity provider."""
    return live.app.extensions["flask_msal_errors"].client
