"""Roles and groups that a page demands: rules, the page with 403, and who is told."""

from __future__ import annotations

import functools
import math
import re
import typing as t
from datetime import timedelta

import pytest
from flask import Blueprint
from flask import Flask
from flask import render_template_string
from flask.views import MethodView

from flask_msal_errors import AccessDenied
from flask_msal_errors import ConfigurationError
from flask_msal_errors import MsalAuth
from flask_msal_errors import RoleRequired
from flask_msal_errors import User
from flask_msal_errors import signals
from flask_msal_errors.testing import Emulator
from flask_msal_errors.web.requirements import Contexts
from flask_msal_errors.web.requirements import Requirements
from support import sign_ins
from support.live_app import LiveApp
from support.live_app import Start

SCRIPT = {"Accept": "application/json", "Sec-Fetch-Mode": "cors"}


def claimed(**claims: t.Any) -> User:
    """A user with these claims."""
    return User({"iss": "https://login.example", "sub": "s", **claims})


class TestRequirements:
    @pytest.mark.parametrize(
        ("demanded", "claims", "is_let_in"),
        [
            ({"roles": "Approver"}, {"roles": ["Approver"]}, True),
            ({"roles": ["Approver"]}, {"roles": ["Reader", "Approver"]}, True),
            ({"roles": ("A", "B")}, {"roles": ["B"]}, True),
            ({"roles": {"A", "B"}}, {"roles": ["C"]}, False),
            # Letters count, and a name is a whole one.
            ({"roles": "Approver"}, {"roles": ["approver"]}, False),
            ({"roles": "Approver"}, {"roles": ["Approvers", "App"]}, False),
            ({"roles": "Approver"}, {"roles": "Approver"}, False),
            ({"roles": "A"}, {}, False),
            ({"roles": "A"}, {"roles": []}, False),
            ({"groups": "g1"}, {"groups": ["g1"]}, True),
            ({"groups": "g1"}, {"roles": ["g1"]}, False),
            # With both, one of each.
            ({"roles": "A", "groups": "g"}, {"roles": ["A"], "groups": ["g"]}, True),
            ({"roles": "A", "groups": "g"}, {"roles": ["A"]}, False),
            ({"roles": "A", "groups": "g"}, {"groups": ["g"]}, False),
            ({}, {}, True),
        ],
    )
    def test_admits(
        self, demanded: t.Any, claims: dict[str, t.Any], is_let_in: bool
    ) -> None:
        """One of the names is enough, of roles and of groups."""
        admit = functools.partial(Requirements.of(**demanded).admit, claimed(**claims))
        if is_let_in:
            admit()
        else:
            with pytest.raises(RoleRequired):
                admit()

    @pytest.mark.parametrize("name", ["roles", "groups"])
    @pytest.mark.parametrize(
        "wrong", [42, True, [], (), "", [""], ["A", 1], [None], {"A": 1}, b"A", object]
    )
    def test_wrong_types(self, name: str, wrong: t.Any) -> None:
        """Another type is an error where the view is decorated."""
        auth, demand = MsalAuth(), {name: wrong}
        for make in (auth.login_required, auth.require_login):
            with pytest.raises(ConfigurationError, match=f"^{name} must be a string"):
                t.cast("t.Any", make)(**demand)

    @pytest.mark.parametrize("name", ["max_age", "recheck"])
    @pytest.mark.parametrize(
        "wrong", ["600", -1, True, 1.5, math.nan, [600], timedelta(minutes=10)]
    )
    def test_no_seconds(self, name: str, wrong: t.Any) -> None:
        """Nor is anything but whole seconds taken."""
        auth, demand = MsalAuth(), {name: wrong}
        for make in (auth.login_required, auth.require_login):
            with pytest.raises(ConfigurationError, match=f"^{name} must be a whole"):
                t.cast("t.Any", make)(**demand)

    def test_says_what_is_missing(self) -> None:
        """The error names the roles or the groups, and is an AccessDenied."""
        error: RoleRequired
        for claims, name in (({}, "role"), ({"roles": ["A"]}, "group")):
            with pytest.raises(RoleRequired) as caught:
                Requirements.of(roles="A", groups=["g", "h"]).admit(claimed(**claims))
            error = caught.value
            assert error.error == f"missing_{name}"
        assert (error.roles, error.groups, error.status) == ((), ("g", "h"), 403)
        assert isinstance(error, AccessDenied)
        assert not error.is_choice


class TestUser:
    @pytest.mark.parametrize(
        "absurd",
        [None, 1, True, "Approver", {"Approver": 1}, ["Approver", 1], [["Approver"]]]
        + [[None], [b"Approver"], ["Approver", {}]],
    )
    def test_absurd_claims(self, absurd: t.Any) -> None:
        """A claim that is no list of strings gives no role and no group."""
        user = claimed(roles=absurd, groups=absurd)
        assert (user.roles, user.groups) == (frozenset(), frozenset())
        assert not user.has_role("Approver")

    def test_has_role(self) -> None:
        """Roles are those of the claim, each once."""
        user = claimed(roles=["A", "B", "A"], groups=["g"])
        assert user.roles == {"A", "B"}
        assert user.groups == {"g"}
        assert user.has_role("A")
        assert not user.has_role("a")


@pytest.fixture
def approvals(start: Start) -> LiveApp:
    """A running app with pages for people with a role, or in a group."""

    def add(live: LiveApp) -> None:
        auth, template = live.auth, "{{ auth.user.has_role('Approver') }}"

        @live.app.route("/approvals", methods=["GET", "POST"])
        @auth.login_required(roles=["Approver", "<Boss>"])
        def approve() -> str:
            return render_template_string(template)

        @live.app.get("/ledger")
        @auth.login_required(groups=live.entra.group_id("Finance"))
        async def ledger() -> str:
            return "the ledger"

    return start(add)


class TestPage:
    def test_lets_in(self, approvals: LiveApp, entra: Emulator) -> None:
        """People with the role, and those in the group, see the page at once."""
        entra.give_role("ada", "Approver")
        entra.add_to_group("ada", "Finance")
        person = entra.person()
        assert person.visit(f"{approvals.url}/approvals").text == "True"
        assert person.visit(f"{approvals.url}/ledger").text == "the ledger"
        assert entra.counters["authorize"] == 1
        assert entra.counters["api"] == 0

    def test_keeps_out(self, approvals: LiveApp, entra: Emulator) -> None:
        """Others get a page that says what to ask for, and never a sign-in again."""
        entra.give_role("ada", "Reader")
        person = entra.person()
        page = person.visit(f"{approvals.url}/approvals")
        assert page.status_code == 403
        for said in ("Approver, &lt;Boss&gt;", entra.client_id, "ada@contoso.example"):
            assert said in page.text
        assert "One of these roles" in page.text
        assert person.visit(f"{approvals.url}/approvals").status_code == 403
        assert person.visit(f"{approvals.url}/ledger").status_code == 403
        assert entra.group_id("Finance") in person.get(f"{approvals.url}/ledger").text
        assert entra.counters["authorize"] == 1

    def test_form(self, approvals: LiveApp, entra: Emulator) -> None:
        """A form of somebody without the role is neither carried out nor kept."""
        person = entra.person()
        person.visit(f"{approvals.url}/me")
        origin = {"Origin": approvals.url, "Sec-Fetch-Mode": "navigate"}
        page = person.post(f"{approvals.url}/approvals", {"a": "b"}, headers=origin)
        assert page.status_code == 403
        assert entra.counters["authorize"] == 1

    def test_given_since(self, approvals: LiveApp, entra: Emulator) -> None:
        """Its link signs in again, which brings a role that was given since."""
        person = entra.person()
        page = person.visit(f"{approvals.url}/approvals")
        found = re.search(r'href="(/auth/login\?next=[^"]*)"', page.text)
        assert found is not None
        entra.give_role("ada", "Approver")
        assert person.visit(approvals.url + found[1]).text == "True"

    def test_program(self, approvals: LiveApp, entra: Emulator) -> None:
        """A program gets problem details with the names, and no login_url."""
        person = entra.person()
        person.visit(f"{approvals.url}/me")
        answer = person.get(f"{approvals.url}/approvals", headers=SCRIPT)
        assert answer.status_code == 403
        assert answer.headers["Content-Type"] == "application/problem+json"
        details = answer.json()
        assert details["error"] == "missing_role"
        assert details["roles"] == ["Approver", "<Boss>"]
        assert details["title"] == RoleRequired.title
        assert not {"login_url", "groups"} & details.keys()

    def test_is_told_once(
        self, approvals: LiveApp, entra: Emulator, caplog: pytest.LogCaptureFixture
    ) -> None:
        """A refusal is one line, without a name of anybody, and one signal."""
        told: list[t.Any] = []
        with signals.refused.connected_to(
            lambda _, error, **extra: told.append(error), approvals.app
        ):
            entra.person().visit(f"{approvals.url}/approvals")
        lines = [r for r in caplog.records if r.levelname == "WARNING"]
        assert [type(error) for error in told] == [RoleRequired]
        assert [line.__dict__["msal_error"] for line in lines] == ["missing_role"]
        assert lines[0].__dict__["msal_path"] == "/approvals"
        assert "@" not in lines[0].getMessage()

    def test_handler_of_the_app(self, approvals: LiveApp, entra: Emulator) -> None:
        """A handler for AccessDenied answers it, too."""
        approvals.app.register_error_handler(
            AccessDenied, lambda error: (f"ask for {error.roles[0]}", 403)
        )
        page = entra.person().visit(f"{approvals.url}/approvals")
        assert (page.status_code, page.text) == (403, "ask for Approver")

    def test_whole_app(self, start: Start, entra: Emulator) -> None:
        """A guard of the whole app may demand a role."""
        live = start(
            lambda it: it.app.before_request(it.auth.require_login(roles="Approver"))
        )
        person = entra.person()
        assert person.visit(f"{live.url}/").status_code == 403
        entra.give_role("ada", "Approver")
        page = person.visit(f"{live.url}/auth/login?next=/")
        assert page.text == "hello ada@contoso.example"

    def test_other_provider(self, start: Start, entra: Emulator) -> None:
        """Roles and groups of another OpenID provider count if they are lists."""
        entra.give_role("ada", "Approver")
        live = start(
            lambda it: it.app.add_url_rule(
                "/roles",
                view_func=it.auth.login_required(roles="Approver")(lambda: "in"),
            ),
            MSAL_AUTHORITY=None,
            **entra.config("openid"),
        )
        assert entra.person("grace").visit(f"{live.url}/roles").status_code == 403
        assert entra.person("ada").visit(f"{live.url}/roles").text == "in"


class TestAcrs:
    @pytest.mark.parametrize(
        "wrong",
        [42, True, [], "", [""], ["c1", 1], {"c1": 1}, b"c1", object, (None,)],
    )
    def test_wrong_types(self, wrong: t.Any) -> None:
        """Another type is an error when the view is decorated."""
        with pytest.raises(ConfigurationError, match="^acrs must be"):
            MsalAuth().login_required(acrs=wrong)

    def test_async_function(self) -> None:
        """An async function cannot say which, and is an error at once."""

        async def which() -> str:
            return "c1"

        with pytest.raises(ConfigurationError, match="async"):
            MsalAuth().login_required(acrs=t.cast("t.Any", which))

    def test_names(self, entra: Emulator) -> None:
        """A name of the app stands for an id; at Entra, no other word does."""
        settings = sign_ins.settings(entra, MSAL_ACRS={"payroll": "c7"})
        known = Contexts(settings)
        assert [known[name] for name in ("c1", "c99", "payroll")] == ["c1", "c99", "c7"]
        for name in ("c0", "c100", "C1", "pay", "urn:a", ""):
            with pytest.raises(ConfigurationError, match=r"MSAL_ACRS \(payroll\)"):
                assert known[name]

    def test_other_provider(self, entra: Emulator) -> None:
        """Levels of another provider are any strings."""
        config = {"MSAL_AUTHORITY": None, **entra.config("openid")}
        known = Contexts(
            sign_ins.settings(entra, **config, MSAL_ACRS={"gold": "urn:g"})
        )
        assert (known["gold"], known["urn:x"], known["c1"]) == ("urn:g", "urn:x", "c1")

    def test_ids_of_entra(self, entra: Emulator) -> None:
        """MSAL_ACRS with an id that Entra does not have is an error at the start."""
        with pytest.raises(ConfigurationError, match="MSAL_ACRS names contexts"):
            sign_ins.settings(entra, MSAL_ACRS={"payroll": "high"})

    def test_any_of_a_list(self, start: Start, entra: Emulator) -> None:
        """One context of a list is enough; the first is asked for."""

        def add(live: LiveApp) -> None:
            rule(live, "/both", acrs=["payroll", "c1"])
            rule(live, "/two", acrs="c2")

        live = start(add, MSAL_ACRS={"payroll": "c2"})
        person = entra.person()
        assert person.visit(f"{live.url}/both").text == "in"
        assert person.get(f"{live.url}/two").text == "in"
        assert person.get(f"{live.url}/vault").status_code == 302
        other = entra.person("grace")
        other.visit(f"{live.url}/vault")
        assert other.get(f"{live.url}/both").text == "in"

    def test_function(self, start: Start, entra: Emulator) -> None:
        """A function says for each request which is demanded, if any is."""
        asked: list[t.Any] = [None]
        live = start(lambda it: rule(it, "/some", acrs=lambda: asked[0]))
        person = entra.person()
        person.visit(f"{live.url}/me")
        assert person.get(f"{live.url}/some").text == "in"
        for wanted in ("c1", ["c1", "c2"]):
            asked[0] = wanted
            assert person.visit(f"{live.url}/some").text == "in"
        assert person.get(f"{live.url}/vault").text == "the vault"
        for wrong in (42, "c0"):
            asked[0] = wrong
            assert person.get(f"{live.url}/some").status_code == 500


def rule(live: LiveApp, path: str, **demands: t.Any) -> None:
    """Add a guarded page."""
    view = live.auth.login_required(**demands)(lambda: "in")
    live.app.add_url_rule(path, path.strip("/"), view)


class TestPublic:
    LISTED: t.ClassVar = {
        "/listed": 200,
        "/shop/one": 200,
        "/shop/inner/two": 200,
        "/shopping/three": 302,
        "/marked": 200,
        "/marked-async": 200,
        "/class": 200,
        "/child": 302,
        "/wrapped": 302,
        "/plain": 302,
        "/none": 302,
        # Of a guard above the route.
        "/shop/past": 500,
    }

    def test_rules(self, start: Start, entra: Emulator) -> None:
        """Views that are marked, or listed by their endpoints, need nobody."""
        listed = ["listed", "shop.*", "gone"]
        live = start(self._add, MSAL_PUBLIC_ENDPOINTS=listed)
        person = entra.person()
        found = {p: person.get(live.url + p).status_code for p in self.LISTED}
        assert found == self.LISTED
        assert person.visit(f"{live.url}/plain").status_code == 200

    def _add(self, live: LiveApp) -> None:
        app, auth = live.app, live.auth
        app.before_request(auth.require_login)
        for name in ("listed", "plain"):
            app.add_url_rule(f"/{name}", name, lambda: "seen")
        shop, inner = Blueprint("shop", __name__), Blueprint("inner", __name__)
        near = Blueprint("shopping", __name__)
        shop.add_url_rule("/shop/one", "one", lambda: "one")
        inner.add_url_rule("/shop/inner/two", "two", lambda: "two")
        auth.login_required(shop.get("/shop/past", endpoint="past")(lambda: "past"))
        near.add_url_rule("/shopping/three", "three", lambda: "three")
        shop.register_blueprint(inner)
        app.register_blueprint(shop)
        app.register_blueprint(near)
        self._mark(app, auth)

    def _mark(self, app: Flask, auth: MsalAuth) -> None:
        @app.get("/marked")
        @auth.public
        def marked() -> str:
            return "marked"

        @app.get("/marked-async")
        @auth.public
        async def marked_async() -> str:
            return "marked"

        @auth.public
        class Open(MethodView):
            def get(self) -> str:
                return "open"

        class Child(Open):
            pass

        app.add_url_rule("/class", view_func=Open.as_view("class"))
        app.add_url_rule("/child", view_func=Child.as_view("child"))
        # Its own guard still counts.
        view = auth.login_required(auth.public(lambda: "guarded"))
        app.add_url_rule("/wrapped", "wrapped", view)

    def test_no_view(self) -> None:
        """Only a view, or its class, can be marked."""
        with pytest.raises(ConfigurationError, match="auth.public"):
            MsalAuth().public(t.cast("t.Any", "index"))
