"""Sign-ins under way, and their cookies."""

from __future__ import annotations

import dataclasses
import json
import secrets
import typing as t
import uuid
from datetime import timedelta

import pytest
from flask import Flask

from flask_msal_errors.errors import FlowExpired
from flask_msal_errors.errors import StateMismatch
from flask_msal_errors.protocol.demand import Claims
from flask_msal_errors.protocol.demand import Demand
from flask_msal_errors.signin.begin import new_state
from flask_msal_errors.signin.cookies import Signer
from flask_msal_errors.signin.flow_cookies import MOST_FLOWS
from flask_msal_errors.signin.flow_cookies import Flow
from flask_msal_errors.signin.flow_cookies import TooLong
from flask_msal_errors.signin.flow_cookies import cookie_name
from flask_msal_errors.signin.limits import page_name
from support.jar import Browser
from support.jar import clock as clock

HANDLE = "handle-of-a-record"
CLAIMS = '{"access_token":{"nbf":{"essential":true,"value":"1"}}}'
WANTED = Demand(claims=Claims.parse(CLAIMS), reason="challenge")
API = f"api://{uuid.uuid4()}"


def flow(target: str = "/mail?a=b", *, scopes: int = 4, **changes: t.Any) -> Flow:
    """A flow as large as MSAL makes them."""
    msal = {
        "state": new_state(Browser().signer, "https://app.example", target),
        "redirect_uri": "https://app.example/auth/callback",
        "scope": [f"{API}/Mail.Read.{number}" for number in range(scopes)],
        "code_verifier": secrets.token_urlsafe(32),
        "nonce": secrets.token_urlsafe(16),
        "claims_challenge": CLAIMS,
    }
    made = Flow(
        msal,
        target,
        page_name(target),
        "0123456789ab",
        WANTED,
        account="0123456789abcdef",
    )
    return dataclasses.replace(made, **changes)


class TestCookies:
    def test_attributes_on_https(self) -> None:
        """On https no subdomain can plant a flow, and no script can read it."""
        browser = Browser()
        browser.keep(flow())
        (line,) = browser.lines
        parts = {part.strip() for part in line.split(";")[1:]}
        assert line.startswith("__Host-msal_flow_")
        assert {"Secure", "HttpOnly", "Path=/", "SameSite=Lax"} <= parts
        assert "Domain" not in line
        assert "Max-Age=7200" in parts

    def test_attributes_on_http(self) -> None:
        """On plain http (localhost) the cookie has no prefix that browsers refuse."""
        browser = Browser("http://localhost:5000")
        browser.keep(flow())
        (line,) = browser.lines
        assert line.startswith("msal_flow_")
        assert "Secure" not in line
        assert "HttpOnly; Path=/; SameSite=Lax" in line

    @pytest.mark.parametrize("base", ["https://app.example", "http://localhost:5000"])
    def test_attributes_with_form_post(self, base: str) -> None:
        """The identity provider's cross-site post carries the flow, and only that."""
        browser = Browser(base, MSAL_RESPONSE_MODE="form_post")
        browser.keep(flow())
        (line,) = browser.lines
        assert "Secure; HttpOnly; Path=/; SameSite=None" in line

    def test_says_nothing_of_the_state(self) -> None:
        """The cookie's name does not give the state away."""
        browser = Browser()
        kept = flow()
        browser.keep(kept)
        assert kept.msal["state"] not in browser.names()[0]


class TestFind:
    def test_comes_back_whole(self) -> None:
        """A flow that was kept is found by its state."""
        browser = Browser()
        kept = flow(demand=dataclasses.replace(WANTED, max_age=60, reason="step_up"))
        browser.keep(kept)
        assert browser.find(kept) == kept

    def test_tabs_do_not_disturb_each_other(self) -> None:
        """Two sign-ins of one browser are found, each by its own state."""
        browser = Browser()
        one, other = flow("/one"), flow("/other")
        browser.keep(one)
        browser.keep(other)
        assert browser.find(one) == one
        assert browser.find(other) == other

    @pytest.mark.parametrize("state", ["", "unknown", "x" * 100_000, "\x00;=,\n"])
    def test_unknown_state(self, state: str) -> None:
        """A state of no flow is a StateMismatch, however it looks."""
        browser = Browser()
        browser.keep(flow())
        with pytest.raises(StateMismatch) as caught:
            browser.flows.find(browser.request(), state)
        assert not state or state not in str(caught.value)

    def test_forgotten(self) -> None:
        """A flow that was dropped is not found again."""
        browser = Browser()
        kept = flow()
        browser.keep(kept)
        browser.do(
            lambda q, r: browser.flows.forget(q, r, cookie_name(kept.msal["state"]))
        )
        assert browser.kept == {}
        with pytest.raises(StateMismatch):
            browser.find(kept)

    def test_tampered(self) -> None:
        """A cookie with one other character is no flow."""
        browser = Browser()
        kept = flow()
        browser.keep(kept)
        (name,) = browser.names()
        value = browser.kept[name]
        changed = "A" if value[10] != "A" else "B"
        browser.kept[name] = value[:10] + changed + value[11:]
        with pytest.raises(StateMismatch):
            browser.find(kept)

    def test_foreign(self) -> None:
        """A cookie signed with another secret is no flow."""
        browser = Browser()
        kept = flow()
        browser.keep(kept)
        (name,) = browser.names()
        app = Flask("other")
        app.secret_key = "another secret"
        value = {"at": 1, "flow": kept.pack()}
        browser.kept[name] = Signer(app).dumps(name.partition("msal_")[2], value)
        with pytest.raises(StateMismatch):
            browser.find(kept)

    def test_renamed(self) -> None:
        """A genuine cookie under the name of another flow is not that flow."""
        browser = Browser()
        one, other = flow(), flow()
        browser.keep(one)
        browser.keep(other)
        first, second = browser.names()
        browser.kept[second] = browser.kept[first]
        with pytest.raises(StateMismatch):
            browser.find(other)

    def test_without_the_prefix(self) -> None:
        """On https a flow without ``__Host-``, which a sibling can plant, is none."""
        browser = Browser()
        kept = flow()
        browser.keep(kept)
        (name,) = browser.names()
        browser.kept[name.removeprefix("__Host-")] = browser.kept.pop(name)
        with pytest.raises(StateMismatch):
            browser.find(kept)

    @pytest.mark.parametrize("value", [None, 1, "text", {}, {"flow": {"a": 1}}])
    def test_of_another_version(self, value: t.Any) -> None:
        """A genuine cookie of another shape is no flow, and no crash."""
        browser = Browser()
        kept = flow()
        browser.keep(kept)
        (name,) = browser.names()
        signed = browser.signer.dumps(name.partition("msal_")[2], value)
        browser.kept[name] = signed
        with pytest.raises(StateMismatch):
            browser.find(kept)

    def test_expired(self, clock: t.Callable[[float], None]) -> None:
        """After its lifetime the flow is over, but it says where the user was."""
        browser = Browser(MSAL_FLOW_LIFETIME=600)
        kept = flow("/mail?a=b")
        browser.keep(kept)
        clock(590)
        assert browser.find(kept) == kept
        clock(200)
        with pytest.raises(FlowExpired) as caught:
            browser.find(kept)
        assert caught.value.target == "/mail?a=b"

    def test_from_the_future(self, clock: t.Callable[[float], None]) -> None:
        """A host whose clock is behind says by how much."""
        browser = Browser()
        kept = flow()
        clock(1000)
        browser.keep(kept)
        clock(-1000)
        with pytest.raises(FlowExpired, match=r"began (999|1000) seconds in the fut"):
            browser.find(kept)

    def test_expired_and_lost(self, clock: t.Callable[[float], None]) -> None:
        """Of an expired flow that the store lost, the state knows the path."""
        browser = Browser(MSAL_FLOW_LIFETIME=600)
        kept = flow(f"/mail?q={secrets.token_hex(2000)}")
        browser.keep(kept, HANDLE)
        browser.store.entries.clear()
        clock(1000)
        with pytest.raises(StateMismatch) as caught:
            browser.find(kept)
        assert (caught.value.target, caught.value.is_cut) == ("/mail", True)


class TestSize:
    def test_five_at_most(self, clock: t.Callable[[float], None]) -> None:
        """Fifty abandoned attempts leave the last five, below 4 KB together."""
        browser = Browser()
        attempts = [flow() for _ in range(50)]
        for attempt in attempts:
            browser.keep(attempt)
            clock(1)
            assert len(browser.names()) <= MOST_FLOWS
            assert browser.size() < 4096
        assert [browser.find(each) for each in attempts[-5:]] == attempts[-5:]
        with pytest.raises(StateMismatch):
            browser.find(attempts[-6])

    def test_oldest_goes(self, clock: t.Callable[[float], None]) -> None:
        """The oldest flow is dropped, in whatever order the cookies come."""
        browser = Browser()
        attempts = [flow() for _ in range(5)]
        for attempt in attempts:
            browser.keep(attempt)
            clock(1)
        browser.kept = dict(reversed(browser.kept.items()))
        browser.keep(flow())
        with pytest.raises(StateMismatch):
            browser.find(attempts[0])
        assert browser.find(attempts[1]) == attempts[1]

    def test_expired_and_broken_go_first(
        self, clock: t.Callable[[float], None]
    ) -> None:
        """A flow of no more use is dropped before one that is."""
        browser = Browser(MSAL_FLOW_LIFETIME=600)
        browser.keep(flow())
        clock(2000)
        browser.kept["__Host-msal_flow_broken"] = "broken"
        attempts = [flow() for _ in range(4)]
        for attempt in attempts:
            browser.keep(attempt)
        assert [browser.find(each) for each in attempts] == attempts
        browser.keep(flow())
        assert len(browser.names()) == MOST_FLOWS
        assert browser.find(attempts[0]) == attempts[0]

    def test_long_one_of_a_user(self) -> None:
        """Long claims and a long URL of a signed-in user wait in the store."""
        browser = Browser()
        claims = json.dumps({"access_token": {"x": secrets.token_hex(1000)}})
        for _ in range(7):
            wanted = Demand(claims=Claims.parse(claims), reason="challenge")
            kept = flow(f"/mail?q={secrets.token_hex(2000)}", demand=wanted)
            kept.msal["claims_challenge"] = wanted.request().to_json()
            browser.keep(kept, HANDLE)
            assert browser.find(kept) == kept
        assert browser.size() < 4096
        assert set(browser.store.lifetimes.values()) == {timedelta(seconds=7200)}
        assert HANDLE not in "".join(browser.store.entries)

    def test_long_one_that_was_lost(self) -> None:
        """A flow that the store no longer has is none."""
        browser = Browser()
        kept = flow(f"/{secrets.token_hex(2000)}")
        browser.keep(kept, HANDLE)
        browser.store.entries.clear()
        with pytest.raises(StateMismatch):
            browser.find(kept)

    @pytest.mark.parametrize("query", [100, 249, 400, 1000, 2048])
    def test_link_of_a_visitor(self, query: int) -> None:
        """A visitor's link of 2 KB comes back whole, and costs no entry."""
        browser = Browser("https://app.example", MSAL_RESPONSE_MODE="form_post")
        wanted = dataclasses.replace(WANTED, acrs="c1", max_age=60)
        kept = flow(f"/mail?invited={secrets.token_urlsafe(query)[:query]}")
        kept = dataclasses.replace(kept, demand=wanted)
        kept.msal["claims_challenge"] = wanted.request().to_json()
        browser.keep(kept)
        assert browser.find(kept) == kept
        assert not browser.store.entries
        (line,) = browser.lines
        assert len(line) < 4096

    def test_link_with_many_scopes(self) -> None:
        """So does that of a page which asks for many scopes, and the way is long."""
        browser = Browser("https://app.example")
        kept = flow(f"/mail?invited={secrets.token_urlsafe(1500)[:1500]}", scopes=16)
        browser.keep(kept)
        assert browser.find(kept) == kept

    @pytest.mark.parametrize("target", ["/{}", "/mail?q={}"])
    def test_too_long_for_a_visitor(self, target: str) -> None:
        """A flow that does not fit is refused, and leaves the others alone."""
        browser = Browser()
        other = flow()
        browser.keep(other)
        for text in (secrets.token_hex(3000), "x" * 4000):
            with pytest.raises(TooLong):
                browser.keep(flow(target.format(text)))
        assert browser.find(other) == other
        assert not browser.store.entries

    def test_five_links(self) -> None:
        """Five sign-ins of long links fit, each with its scopes, claims and age."""
        browser = Browser("https://app.example", MSAL_RESPONSE_MODE="form_post")
        wanted = dataclasses.replace(WANTED, acrs="c1", max_age=60)
        links = [f"/mail?invited={secrets.token_urlsafe(300)}" for _ in range(5)]
        attempts = [flow(link, demand=wanted) for link in links]
        for attempt in attempts:
            browser.keep(attempt)
        assert [browser.find(each).target for each in attempts] == links
        assert browser.size() < 4096

    def test_room_for_a_long_one(self, clock: t.Callable[[float], None]) -> None:
        """A long one takes the space of older ones, whose pages their states know."""
        browser = Browser()
        older = [flow(f"/mail?tab={number}") for number in range(5)]
        for each in older:
            browser.keep(each)
            clock(1)
        longer = flow(f"/mail?invited={secrets.token_urlsafe(1500)}")
        browser.keep(longer)
        assert browser.size() < 4096
        assert browser.find(longer).target == longer.target
        assert browser.find(older[-1]).target == "/mail?tab=4"
        for number in range(3):
            with pytest.raises(StateMismatch) as caught:
                browser.find(older[number])
            assert caught.value.target == f"/mail?tab={number}"
            assert not caught.value.is_cut

    def test_many_scopes_of_a_visitor(self) -> None:
        """Flows that cannot be shortened are fewer, so that all fit in 4 KB."""
        browser = Browser()
        attempts = [flow() for _ in range(6)]
        for attempt in attempts:
            attempt.msal["scope"] = [secrets.token_hex(24) for _ in range(20)]
        for attempt in attempts:
            browser.keep(attempt)
            assert browser.size() < 4096
        assert browser.find(attempts[-1]).msal == attempts[-1].msal
