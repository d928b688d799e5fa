"""Answers of ``form_post`` on their way from the post to a page."""

from __future__ import annotations

import secrets
import typing as t

import pytest

from flask_msal_errors.errors import StateMismatch
from flask_msal_errors.signin.begin import new_state
from flask_msal_errors.signin.flow_cookies import Flow
from support.jar import Browser
from support.jar import clock as clock

ANSWER = {"code": "the-secret-code", "state": "the-state"}


def hand_over(browser: Browser, answer: dict[str, str] = ANSWER) -> None:
    """Post the answer to a sign-in that this browser has begun."""
    browser.keep(Flow({"state": answer["state"]}, "/mail", "page", "demand"))
    way = browser.form_post.hand_over(browser.request(), answer, "/auth/callback")
    assert (way.status_code, way.location) == (303, "/auth/callback")
    browser.take(way)


class TestHandOver:
    def test_is_sealed(self) -> None:
        """A posted answer comes back once, and cannot be read on its way."""
        browser = Browser()
        hand_over(browser)
        signed = browser.signer.loads("answer", browser.kept["__Host-msal_answer"], 60)
        assert "code" not in str(signed)
        assert browser.form_post.handed_over(browser.request()) == ANSWER
        browser.do(browser.form_post.forget)
        assert browser.form_post.handed_over(browser.request()) == {}

    def test_is_for_this_site_only(self) -> None:
        """The answer's cookie is not one that another site's post can carry."""
        browser = Browser(MSAL_RESPONSE_MODE="form_post")
        hand_over(browser)
        assert "SameSite=Lax" in browser.lines[0]
        assert "Max-Age=60" in browser.lines[0]

    def test_is_short_lived(self, clock: t.Callable[[float], None]) -> None:
        """An answer that was left lying is worth nothing."""
        browser = Browser()
        hand_over(browser)
        clock(300)
        assert browser.form_post.handed_over(browser.request()) == {}

    def test_a_long_code_fits(self) -> None:
        """A code as long as Entra's longest fits what a browser keeps."""
        browser = Browser()
        answer = {"code": secrets.token_urlsafe(1500), "state": "s" * 22}
        hand_over(browser, answer)
        assert len(browser.kept["__Host-msal_answer"]) < 4096
        assert browser.form_post.handed_over(browser.request()) == answer

    def test_a_long_state_fits(self) -> None:
        """So does one with a state that holds a long link."""
        browser = Browser()
        target = f"/mail?invited={secrets.token_urlsafe(290)}"
        state = new_state(browser.signer, "https://app.example", target)
        answer = {"code": secrets.token_urlsafe(1000), "state": state}
        hand_over(browser, answer)
        assert len(browser.kept["__Host-msal_answer"]) < 4096
        assert browser.form_post.handed_over(browser.request()) == answer

    def test_is_of_this_browser(self) -> None:
        """An answer with a state that nobody here made is not taken."""
        browser = Browser()
        with pytest.raises(StateMismatch):
            browser.form_post.hand_over(browser.request(), ANSWER, "/auth/callback")

    def test_is_of_another_browser(self) -> None:
        """One of another browser's sign-in gets its page at a GET, without a code."""
        browser = Browser()
        state = new_state(browser.signer, "https://app.example", "/mail")
        answer = {"code": "the-secret-code", "state": state}
        way = browser.form_post.hand_over(browser.request(), answer, "/auth/callback")
        assert (way.status_code, way.location) == (303, f"/auth/callback?state={state}")
        browser.take(way)
        assert not browser.kept
