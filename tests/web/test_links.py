"""Signed links: what they say, to whom, and for how long."""

from __future__ import annotations

from datetime import timedelta

import pytest
from flask import Flask
from flask import session

from flask_msal_errors.protocol.demand import Claims
from flask_msal_errors.protocol.demand import Demand
from flask_msal_errors.user import remember
from flask_msal_errors.web.links import Links
from flask_msal_errors.web.links import Ticket
from support import session_apps


@pytest.fixture
def links(app: Flask) -> Links:
    found: Links = app.extensions["flask_msal_errors"].links
    return found


def sign_in(handle: str = "handle") -> None:
    claims = {"iss": "i", "sub": "s", "preferred_username": "ada@contoso.example"}
    kept = {"handle": handle, "claims": claims, "renew_at": 1 << 40, "since": 1}
    session[session_apps.own_key()] = kept


class TestLinks:
    WANTED = Demand(
        scopes=("Mail.Read",),
        claims=Claims({"a": {}}),
        acrs="c1",
        max_age=60,
        reason="step_up",
    )

    def text_of(self, link: str) -> str:
        return link.partition("ticket=")[2]

    def test_says_all(self, app: Flask, links: Links) -> None:
        """A link's ticket comes back as what it was made of."""
        with app.test_request_context("/"):
            sign_in()
            text = self.text_of(links.login(self.WANTED, "/mail?a=b"))
            assert links.ticket(text) == Ticket(self.WANTED, "/mail?a=b")
            text = self.text_of(links.switch("grace"))
            assert links.ticket(text) == Ticket(switch="grace")

    @pytest.mark.parametrize("switch", [True, False])
    def test_of_another_session(self, app: Flask, links: Links, switch: bool) -> None:
        """In another session a ticket only says where to."""
        with app.test_request_context("/"):
            sign_in("one")
            link = links.login(self.WANTED, "/mail")
            text = self.text_of(links.switch("grace") if switch else link)
            sign_in("other")
            assert links.ticket(text) == Ticket(target=None if switch else "/mail")
            session.clear()
            assert links.ticket(text) == Ticket(target=None if switch else "/mail")

    @pytest.mark.parametrize("text", ["", "x", "a.b.c", "\x00", "é", "x" * 100_000])
    def test_made_up(self, app: Flask, links: Links, text: str) -> None:
        """A link that we did not sign says nothing."""
        with app.test_request_context("/"):
            assert links.ticket(text) == Ticket()

    def test_of_another_version(self, app: Flask, links: Links) -> None:
        """A ticket with fields that this version does not know says only where to."""
        with app.test_request_context("/"):
            sign_in()
            for said in ({"demand": {"new": 1}}, {"new": 1}):
                link = links._link(target="/mail", **said)
                assert links.ticket(self.text_of(link)) == Ticket(target="/mail")

    def test_is_no_logout_token(self, app: Flask, links: Links) -> None:
        """A signed value of one kind is worthless as another."""
        with app.test_request_context("/"):
            assert links.ticket(links.logout_token()) == Ticket()
            link = links.login(self.WANTED, "/")
            assert not links.is_logout_token(self.text_of(link))

    def test_logout_token_expires(self, app: Flask, links: Links) -> None:
        """A sign-out link is good as long as the session may be."""
        with app.test_request_context("/"):
            assert not links.is_logout_token(links.logout_token())
            remember("handle", {"iss": "i", "sub": "s"}, 60)
            token = links.logout_token()
            assert links.is_logout_token(token)
            app.permanent_session_lifetime = timedelta(seconds=-1000)
            assert not links.is_logout_token(token)
