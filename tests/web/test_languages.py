"""The languages of the pages: chosen by the browser, unless the app chooses."""

from __future__ import annotations

import typing as t

import pytest
from flask import Flask
from hypothesis import given
from hypothesis import strategies as st

from flask_msal_errors.testing import Emulator
from flask_msal_errors.web.languages import LANGUAGES
from flask_msal_errors.web.languages import translated
from support.live_app import Start

app = Flask(__name__)
WORDS = "You need to sign in"
GERMAN = "Sie müssen sich anmelden"


def said(header: str | None) -> str:
    headers = {} if header is None else {"Accept-Language": header}
    with app.test_request_context(headers=headers):
        return translated(WORDS)


class TestTranslated:
    @pytest.mark.parametrize(
        ("header", "words"),
        [
            (None, WORDS),
            ("", WORDS),
            ("*", WORDS),
            ("pt-BR,pt;q=0.9", WORDS),
            ("en-GB,de;q=0.9", WORDS),
            ("de", GERMAN),
            ("DE-at", GERMAN),
            ("de-AT,en;q=0.5", GERMAN),
            ("pt, de;q=0.7, en;q=0.3", GERMAN),
            ("fr-CA", "Vous devez vous connecter"),
            ("es-419,es;q=0.9", "Debe iniciar sesión"),
            ("ja-JP", "サインインする必要があります"),
            ("de;q=0", WORDS),
            ("../../etc", WORDS),
        ],
    )
    def test_choice(self, header: str | None, words: str) -> None:
        """The best of ours that the browser wants; English for all others."""
        assert said(header) == words

    @given(st.text(st.characters(codec="latin-1", exclude_characters="\r\n")))
    def test_hostile(self, header: str) -> None:
        """No header breaks a page."""
        assert said(header)

    def test_without_request(self) -> None:
        """Outside a request the words stay as they are."""
        assert translated(WORDS) == WORDS

    def test_unknown_words(self) -> None:
        """Words of no catalogue, such as an app's own error, stay as they are."""
        with app.test_request_context(headers={"Accept-Language": "de"}):
            assert translated("Sold out") == "Sold out"


class TestPages:
    @pytest.mark.parametrize("language", LANGUAGES)
    def test_whole_page(self, start: Start, entra: Emulator, language: str) -> None:
        """A page says which language it is in; caches are told what it varies by."""
        live = start()
        headers = {"Accept-Language": language}
        page = entra.person().get(f"{live.url}/auth/callback", headers=headers)
        assert f'<html lang="{language}"' in page.text
        assert ("This sign-in" in page.text) is (language == "en")
        assert "accept-language" in page.headers["Vary"].lower()

    def test_program(self, start: Start, entra: Emulator) -> None:
        """Problem details are for developers, and stay English."""
        live = start()
        headers = {"Accept-Language": "de", "Accept": "application/json"}
        told = entra.person().get(f"{live.url}/auth/callback", headers=headers).json()
        assert told["title"] == "This sign-in was not started in this browser"

    def test_app_has_gettext(self, start: Start, entra: Emulator) -> None:
        """An app that chooses the language of its templates has the last word."""
        live = start()
        env: t.Any = live.app.jinja_env
        env.add_extension("jinja2.ext.i18n")
        env.install_gettext_callables(str.upper, max, newstyle=True)
        headers = {"Accept-Language": "de"}
        page = entra.person().get(f"{live.url}/auth/callback", headers=headers)
        assert "THIS SIGN-IN WAS NOT STARTED IN THIS BROWSER" in page.text
