"""Signed links: what they say, to whom, and for how long."""

from __future__ import annotations

import secrets
import urllib.parse
from datetime import timedelta

import pytest
from flask import Flask
from flask import session
from flask import url_for

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


def text_of(link: str) -> str:
    return link.partition("ticket=")[2]


class TestLinks:
    WANTED = Demand(
        scopes=("Mail.Read",),
        claims=Claims({"a": {}}),
        acrs="c1",
        max_age=60,
        reason="step_up",
    )

    def test_says_all(self, app: Flask, links: Links) -> None:
        """A link's ticket comes back as what it was made of."""
        with app.test_request_context("/"):
            sign_in()
            text = text_of(links.login(self.WANTED, "/mail?a=b"))
            assert links.ticket(text) == Ticket(self.WANTED, "/mail?a=b")
            text = text_of(links.switch("grace"))
            assert links.ticket(text) == Ticket(switch="grace")

    @pytest.mark.parametrize("switch", [True, False])
    def test_of_another_session(self, app: Flask, links: Links, switch: bool) -> None:
        """In another session a ticket only says where to."""
        with app.test_request_context("/"):
            sign_in("one")
            link = links.login(self.WANTED, "/mail")
            text = text_of(links.switch("grace") if switch else link)
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
                assert links.ticket(text_of(link)) == Ticket(target="/mail")

    def test_is_no_logout_token(self, app: Flask, links: Links) -> None:
        """A signed value of one kind is worthless as another."""
        with app.test_request_context("/"):
            assert links.ticket(links.logout_token()) == Ticket()
            link = links.login(self.WANTED, "/")
            assert not links.is_logout_token(text_of(link))

    def test_logout_token_expires(self, app: Flask, links: Links) -> None:
        """A sign-out link is good as long as the session may be."""
        with app.test_request_context("/"):
            assert not links.is_logout_token(links.logout_token())
            remember("handle", {"iss": "i", "sub": "s"}, 60)
            token = links.logout_token()
            assert links.is_logout_token(token)
            app.permanent_session_lifetime = timedelta(seconds=-1000)
            assert not links.is_logout_token(token)


class TestLong:
    """Links are no longer than servers take, however long the page's URL is."""

    MOST = 3400

    @pytest.mark.parametrize("length", [0, 1000, 2500, 3100])
    def test_fits(self, app: Flask, links: Links, length: int) -> None:
        """A link that fits leads to the very page."""
        target = f"/mail?q={secrets.token_urlsafe(length)[:length]}"
        with app.test_request_context("/"):
            sign_in()
            link = links.login(Demand(acrs="c1"), target)
            assert len(link) <= self.MOST
            assert links.ticket(text_of(link)) == Ticket(Demand(acrs="c1"), target)

    @pytest.mark.parametrize("path", ["/mail", "/"])
    def test_without_the_query(self, app: Flask, links: Links, path: str) -> None:
        """One that does not fit leads to the page without its query."""
        target = f"{path}?q={secrets.token_urlsafe(6000)}"
        with app.test_request_context("/"):
            link = links.login(Demand(acrs="c1"), target)
            assert len(link) <= self.MOST
            assert links.ticket(text_of(link)) == Ticket(Demand(acrs="c1"), path)

    def test_start_page(self, app: Flask, links: Links) -> None:
        """If the path alone is too long, it leads to the start page."""
        with app.test_request_context("/"):
            link = links.login(Demand(), f"/mail/{secrets.token_urlsafe(6000)}")
            assert links.ticket(text_of(link)) == Ticket(target="/")

    def test_escapes(self, app: Flask, links: Links) -> None:
        """A link that anybody may follow keeps a query that grows by quoting it."""
        query = urllib.parse.urlencode([("filter[name]", "März & Co")] * 90)
        with app.test_request_context(f"/mail?{query}"):
            link = links.login_page(None, None)
            assert len(query) > 3000 and len(link) <= self.MOST
            assert links.ticket(text_of(link)) == Ticket(target=f"/mail?{query}")

    def test_short_as_ever(self, app: Flask, links: Links) -> None:
        """A short one says where it leads, so that pages with it can be cached."""
        with app.test_request_context("/mail?a=b"):
            assert links.login_page(None, None) == "/auth/login?next=/mail?a%3Db"

    @pytest.mark.parametrize(
        "start", ["https://evil.example/", "//evil.example/", "/\\evil.example/"]
    )
    def test_hostile(self, app: Flask, links: Links, start: str) -> None:
        """An address elsewhere is not signed, however long it is."""
        with app.test_request_context("/"):
            link = links.login_page(start + "x" * 5000, None)
            assert link == url_for("msal.login", next=start + "x" * 5000)

    def test_user_flow(self, app: Flask, links: Links) -> None:
        """A link keeps all that it asks for beside the page."""
        target = f"/mail?q={'%C3%A4' * 800}"
        with app.test_request_context("/"):
            link = links.to_page(target, again=1)
            assert link.endswith("&again=1") and len(link) <= self.MOST
            signed = text_of(link).partition("&")[0]
            assert links.ticket(signed) == Ticket(target=target)
