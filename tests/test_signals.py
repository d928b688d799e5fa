"""The signals: who sends them, and with what."""

from __future__ import annotations

import copy
import logging
import re
import typing as t
from pathlib import Path

import pytest
from blinker import NamedSignal
from flask import Flask
from flask import abort
from flask import redirect

from flask_msal_errors import AccessDenied
from flask_msal_errors import ConfigurationError
from flask_msal_errors import InteractionRequired
from flask_msal_errors import Throttled
from flask_msal_errors import signals
from flask_msal_errors.testing import Emulator
from flask_msal_errors.user import User
from support.live_app import LiveApp
from support.live_app import Start

NAMES = (
    *("signed_in", "reauthenticated", "signed_out"),
    *("challenge_received", "throttled", "sign_in_failed", "sign_in_begun"),
)


class TestEmit:
    @pytest.mark.parametrize("name", NAMES)
    def test_sender_is_the_app(self, name: str) -> None:
        """A signal is sent by the Flask app itself, not by a proxy for it."""
        signal = getattr(signals, name)
        one, other = Flask("one"), Flask("other")
        heard: list[tuple[t.Any, dict[str, t.Any]]] = []
        listen: t.Any = lambda app, **data: heard.append((app, data))  # noqa: E731
        with signal.connected_to(listen, one):
            with one.app_context():
                signals.emit(signal, who="ada", error=Throttled())
            with other.app_context():
                signals.emit(signal, who="grace", error=Throttled())
        assert [data["who"] for _, data in heard] == ["ada"]
        assert heard[0][0] is one

    def test_names(self) -> None:
        """Each signal goes by the name of its variable."""
        assert [getattr(signals, name).name for name in NAMES] == list(NAMES)


ID = "01234567-89ab-cdef-0123-456789abcdef"
FIELDS = ("event", "error", "codes", "correlation_id", "reason", "user")
DOCS = Path(__file__).parents[1] / "docs" / "guides" / "own-pages.rst"
ADA = User({"iss": "https://issuer.example", "sub": "ada", "name": "Ada Lovelace"})


def fields(record: logging.LogRecord) -> tuple[t.Any, ...]:
    return tuple(getattr(record, f"msal_{name}") for name in FIELDS)


class TestFields:
    def test_documented(self, caplog: pytest.LogCaptureFixture) -> None:
        """The guide and the module have every field of a line, and no other."""
        caplog.set_level(logging.INFO)
        signals.log("refused", error=Throttled(retry_after=5))
        found = {name for name in vars(caplog.records[0]) if name.startswith("msal_")}
        table = re.findall(r"\* - ``(msal_\w+)``", DOCS.read_text("utf-8"))
        module = re.findall(r"^\* (.+?):", signals.__doc__ or "", re.M)
        named = [name for line in module for name in re.findall(r"msal_\w+", line)]
        assert sorted(found) == sorted(table) == sorted(named)

    def test_signals(self) -> None:
        """The guide has every signal, and no other."""
        text = DOCS.read_text("utf-8").partition("-   Signals (")[2]
        listed = re.findall(r"``(\w+)``", text.partition("The sender is")[0])
        kinds = {n for n, s in vars(signals).items() if isinstance(s, NamedSignal)}
        assert sorted(listed) == sorted(kinds)

    def test_levels(self, caplog: pytest.LogCaptureFixture) -> None:
        """A setting to repair is an error in the log; a choice of a person is none."""
        caplog.set_level(logging.INFO)
        for error in (
            ConfigurationError("MSAL_X"),
            AccessDenied(result={"error": "access_denied", "suberror": "cancel"}),
            AccessDenied(),
        ):
            signals.log("sign_in_failed", error=error)
        assert [r.levelname for r in caplog.records] == ["ERROR", "INFO", "WARNING"]

    def test_no_address(self, caplog: pytest.LogCaptureFixture) -> None:
        """E-mail addresses in a provider's words are left out."""
        told = "AADSTS50105: The user 'ada@contoso.example' is not assigned."
        error = AccessDenied(told, error="access_denied")
        signals.log("refused", error=error)
        assert "contoso" not in repr(vars(caplog.records[0]))
        assert "is not assigned" in caplog.text

    def test_one_line(self, caplog: pytest.LogCaptureFixture) -> None:
        """An error of several lines has one in the log, and no terminal obeys it."""
        said = "a\r\nb\x1b[2J\u202e\u2028 ada@contoso.example"
        error = ConfigurationError(said, correlation_id=said)
        error.api_host = said.partition(" ")[0]
        signals.log("refused", error=error)
        (record,) = caplog.records
        fields = [str(v) for k, v in vars(record).items() if k.startswith("msal_")]
        shown = [record.getMessage(), *fields]
        assert [text for text in shown if not text.isprintable()] == []
        assert "contoso" not in repr(vars(record))

    def test_passed_over(self, caplog: pytest.LogCaptureFixture) -> None:
        """The traceback of code of the app has no address that a provider said."""
        app, error = Flask("x"), AccessDenied("ada@contoso.example may not.")
        error.__cause__ = ZeroDivisionError("the cause")
        with app.test_request_context():
            signals.pass_over(error, "A hook")
        assert "may not" in caplog.text and "the cause" in caplog.text
        assert "contoso" not in caplog.text and "contoso" in str(error)


class TestCopies:
    def test_told_anew(self) -> None:
        """A copy, which another request is answered with, is told of by itself."""
        error = Throttled()
        error.told = 1
        assert copy.copy(error).told == 0


class TestLog:
    def test_error(self, caplog: pytest.LogCaptureFixture) -> None:
        """A line that people can read, and all that it says as fields."""
        error = InteractionRequired(
            result={
                "error": "invalid_grant",
                "suberror": "basic_action",
                "error_description": "words of Entra",
                "error_codes": [50076],
                "correlation_id": ID,
            },
            reason="basic_action",
        )
        caplog.set_level(logging.INFO)
        signals.log("sign_in_begun", error=error)
        (record,) = caplog.records
        assert record.getMessage() == (
            "A sign-in begins (invalid_grant, basic_action, AADSTS50076,"
            f" correlation id {ID})."
        )
        assert fields(record) == (
            *("sign_in_begun", "invalid_grant", [50076], ID, "basic_action", ""),
        )

    def test_user(self, caplog: pytest.LogCaptureFixture) -> None:
        """A user is a digest, which names nobody."""
        caplog.set_level(logging.INFO)
        signals.log("signed_in", user=ADA, reason="not_signed_in")
        (record,) = caplog.records
        assert record.getMessage() == "A sign-in was completed (not_signed_in)."
        assert fields(record)[-1] == ADA.digest
        assert "Ada" not in repr(vars(record))

    def test_nothing_to_tell(self, caplog: pytest.LogCaptureFixture) -> None:
        """All fields are there, if empty: formatters may name them."""
        caplog.set_level(logging.INFO)
        signals.log("signed_out")
        assert fields(caplog.records[0]) == ("signed_out", "", [], "", "", "")


def busy(live: LiveApp) -> None:
    """Add a view that needs a new token each time, and one that signs out."""

    @live.app.get("/busy")
    @live.auth.login_required
    def view() -> str:
        scopes = [live.entra.scope("Profile.Read")]
        return str(live.auth.acquire_token(scopes, force_refresh=True)["token_type"])

    @live.app.get("/bye")
    def bye() -> t.Any:
        return redirect(live.auth.logout_url())

    @live.app.post("/safe")
    @live.auth.login_required(acrs="c1")
    def safe() -> str:
        return "kept safe"


class TestThrottled:
    @pytest.mark.parametrize("own", [False, True])
    @pytest.mark.parametrize("plain", [False, True])
    def test_once(self, start: Start, entra: Emulator, own: bool, plain: bool) -> None:
        """It is sent once a refusal, also if the app answers the error itself."""
        live = start(busy)
        heard: list[Throttled] = []
        if own:
            live.app.register_error_handler(Throttled, lambda error: ("wait", 429))

        def note(app: Flask, error: Throttled) -> None:
            heard.append(error)

        person = entra.person()
        person.visit(live.url + "/me")
        with signals.throttled.connected_to(note, live.app):
            entra.throttle(30, plain=plain)
            first = person.visit(live.url + "/busy")
            assert (first.status_code, first.text == "wait") == (429, own)
            assert len(heard) == 1 and 0 < heard[0].retry_after <= 30
            # A sign-in meanwhile is refused by us, without asking.
            again = person.visit(live.url + "/auth/login?next=/me")
            assert (again.status_code, len(heard)) == (429, 2)

    def test_checked(self, start: Start, entra: Emulator) -> None:
        """A result that an app checks counts, too; outside an app nobody is told."""
        live, heard = start(), []
        loop = {"error": "invalid_grant", "error_codes": [50196]}

        def note(app: Flask, error: Throttled) -> None:
            heard.append(error)

        with signals.throttled.connected_to(note):
            with live.app.app_context(), pytest.raises(Throttled) as caught:
                live.auth.check(loop)
            signals.tell(Throttled())
        assert heard == [caught.value]


class TestReceiver:
    @pytest.mark.parametrize("name", ["signed_in", "reauthenticated"])
    def test_keeps_out(self, name: str, live: LiveApp, entra: Emulator) -> None:
        """A receiver that raises keeps the person out, and of a step-up's page."""
        person, other = entra.person(), entra.person()
        assert other.visit(f"{live.url}/vault").ok
        person.visit(f"{live.url}/basket/tea")
        if name == "reauthenticated":
            assert person.visit(f"{live.url}/me").ok

        def refuse(app: Flask, **_: t.Any) -> None:
            abort(403)

        with getattr(signals, name).connected_to(refuse, live.app):
            assert person.visit(f"{live.url}/vault").status_code == 403
            for path in ("/me", "/vault"):
                assert person.get(f"{live.url}{path}").status_code == 302
        assert other.get(f"{live.url}/vault").ok
        assert person.visit(f"{live.url}/vault").ok


class TestStory:
    def test_each_event(
        self, start: Start, entra: Emulator, caplog: pytest.LogCaptureFixture
    ) -> None:
        """Each event of the main story has its signal, its line and its fields."""
        caplog.set_level(logging.DEBUG)
        heard: list[str] = []
        listeners = {
            name: lambda app, _name=name, **data: heard.append(_name)
            for name in (*NAMES, "request_resumed")
        }
        for name, listen in listeners.items():
            getattr(signals, name).connect(listen)
        live, person = start(busy), entra.person()
        assert person.visit(live.url + "/me").status_code == 200
        entra.require_mfa("Payroll.Read")
        assert person.visit(live.url + "/payroll").status_code == 200
        assert person.visit(live.url + "/safe", {"a": "b"}).text == "kept safe"
        entra.throttle(30)
        assert person.visit(live.url + "/busy").status_code == 429
        entra.clear_faults()
        person.visit(live.url + "/bye")
        other = entra.person("grace", cancel=True)
        assert other.visit(live.url + "/me").status_code == 403

        assert {*heard} == {*listeners}
        told = [r for r in caplog.records if hasattr(r, "msal_event")]
        assert {r.msal_event for r in told} == {*listeners}
        assert [r.msal_event for r in told if r.msal_event in heard] == heard
        assert all(record.name == "flask_msal_errors" for record in told)
        for record in told:
            event, _, codes, id_, _, user = fields(record)
            assert not id_ or id_ in record.getMessage()
            assert all(f"AADSTS{code}" in record.getMessage() for code in codes)
            signs = event in {"signed_in", "reauthenticated", "signed_out"}
            refused = event in {"challenge_received", "throttled"}
            assert bool(user) is (signs or refused)
        challenge = next(r for r in told if fields(r)[2] == [50076])
        assert len(fields(challenge)[3]) == 36
