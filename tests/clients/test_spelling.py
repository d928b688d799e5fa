"""Scopes in any spelling: where a living token serves, no token is asked for."""

from __future__ import annotations

import logging
import typing as t

import pytest

from flask_msal_errors.session import msal_caches
from flask_msal_errors.testing import Emulator
from support.callers import Caller
from support.callers import by_httpx
from support.callers import by_requests
from support.callers import caller as caller

pytestmark = pytest.mark.once

GRAPH = "https://graph.microsoft.com"


def graph(entra: Emulator, *names: str) -> None:
    """Let the user have consented to scopes of Graph."""
    entra.users["ada"].consents |= {f"{GRAPH}/{name}" for name in names}


def cost(caller: Caller, entra: Emulator, *scopes: str, views: int = 3) -> list[int]:
    """Return the token calls of each view that asks for the scopes twice."""
    found = []
    for _ in range(views):
        before = entra.counters.copy()

        def work() -> str:
            first = caller.token(*scopes)
            assert caller.token(*scopes) == first
            return first

        assert caller.run(work).status_code == 200
        found.append((entra.counters - before)["token"])
    return found


SPELLINGS = [
    ["user.read"],
    ["User.Read"],
    ["USER.READ", "mail.read"],
    [f"{GRAPH}/User.Read"],
    [f"{GRAPH}//User.Read"],
    [f"{GRAPH.upper()}/user.read"],
    [f"{GRAPH}/.default"],
    [f"{GRAPH}//.default"],
    ["Files.ReadWrite"],
    ["files.readwrite", "User.Read"],
]


class TestEntrasSpelling:
    @pytest.mark.parametrize("registered", [True, False])
    @pytest.mark.parametrize("scopes", SPELLINGS, ids=" ".join)
    def test_one_call(
        self, caller: Caller, entra: Emulator, scopes: list[str], registered: bool
    ) -> None:
        """However a scope is written, its token is asked for once."""
        entra.registered_spelling = registered
        graph(entra, "User.Read", "Mail.Read", "Files.ReadWrite.All")
        assert cost(caller, entra, *scopes) == [1, 0, 0]

    def test_own_api(self, caller: Caller, entra: Emulator) -> None:
        """An API of the company's own is known in other letters and slashes, too."""
        name = f"{entra.api_resource}//profile.read".upper()
        assert cost(caller, entra, name) == [0, 0, 0]
        assert cost(caller, entra, f"{entra.api_resource}//.default") == [1, 0, 0]

    def test_several_spellings(self, caller: Caller, entra: Emulator) -> None:
        """One token serves all spellings, and what a wider scope includes."""
        graph(entra, "User.Read", "Files.ReadWrite.All")
        assert cost(caller, entra, "files.readwrite") == [1, 0, 0]
        for scope in (
            "Files.ReadWrite",
            "Files.ReadWrite.All",
            f"{GRAPH}//files.READWRITE",
        ):
            assert cost(caller, entra, scope) == [0, 0, 0]

    def test_what_entra_answers(self, caller: Caller, entra: Emulator) -> None:
        """MSAL's result shows what was granted, not what was asked for."""
        graph(entra, "Files.ReadWrite.All")
        result = caller.run(lambda: caller.auth.acquire_token(["files.readwrite"]))
        assert result.json()["scope"] == "Files.ReadWrite.All"

    def test_other_resource(self, caller: Caller, entra: Emulator) -> None:
        """The token of an API serves no other one that has a scope of that name."""
        graph(entra, "Mail.Read")
        entra.users["ada"].consents.add(entra.scope("Mail.Read"))
        one = caller.run(lambda: caller.token("mail.read")).text
        other = caller.run(lambda: caller.token(entra.scope("Mail.Read"))).text
        assert one != other
        assert cost(caller, entra, "MAIL.READ", views=1) == [0]

    def test_renewed_by_both_adapters(self, caller: Caller, entra: Emulator) -> None:
        """A page of ten calls with another spelling makes no token call."""
        caller.scopes = [f"{entra.api_resource}//profile.READ"]
        for client in (by_requests, by_httpx):
            before = entra.counters["token"]
            work: t.Any = lambda client=client: str(  # noqa: E731
                [client(caller, "GET", "/me") for _ in range(10)]
            )
            assert "ada@contoso.example" in caller.run(work).text
            assert entra.counters["token"] == before


class TestRefusals:
    @pytest.mark.parametrize("narrow", [True, False])
    def test_narrower_than_asked(
        self, caller: Caller, entra: Emulator, narrow: bool
    ) -> None:
        """A token that lacks a scope that it was asked for does not hide a refusal."""
        both = [entra.scope("Profile.Read"), entra.scope("Mail.Read")]
        entra.users["ada"].consents |= set(both)

        def narrower(request: t.Any) -> None:
            if narrow:
                request.form = request.form.copy()
                words = request.form["scope"].replace(both[1], "")
                request.form["scope"] = words

        entra.fail_next(narrower, "token", times=99)
        assert caller.run(lambda: caller.token(*both)).status_code == 200
        caller.scopes = both
        answer = caller.run(lambda: by_requests(caller, "GET", "/mail"))
        if narrow:
            assert answer.status_code == 302
            assert "Mail.Read" in answer.headers["Location"]
        else:
            assert answer.status_code == 200


def test_log(
    caller: Caller,
    entra: Emulator,
    caplog: pytest.LogCaptureFixture,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """One line tells an app how its scope is written; a right one costs none."""
    monkeypatch.setattr(msal_caches, "_logged", set())
    graph(entra, "User.Read", "Mail.Read")
    with caplog.at_level(logging.WARNING, "flask_msal_errors"):
        for scope in ("user.read", "user.read", "Mail.Read"):
            work: t.Any = lambda scope=scope: caller.auth.acquire_token(  # noqa: E731
                [scope], force_refresh=True
            )
            assert caller.run(work).status_code == 200
    lines = [
        r.getMessage() for r in caplog.records if "registered as" in r.getMessage()
    ]
    assert len(lines) == 1
    assert "user.read" in lines[0] and "User.Read" in lines[0]
