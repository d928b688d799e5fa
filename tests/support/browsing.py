"""Parts of a sign-in: URLs and pages that a browser sees, and calls of the provider."""

from __future__ import annotations

import re
import typing as t
import urllib.parse

import requests
from werkzeug.test import TestResponse

from flask_msal_errors.testing import Emulator
from flask_msal_errors.testing import Person
from support.live_app import LiveApp
from support.waiting import PATIENCE


def query(url: str) -> dict[str, str]:
    """The parameters of a URL."""
    return dict(urllib.parse.parse_qsl(urllib.parse.urlsplit(url).query))


def sent(live: LiveApp, path: str, cookie: bytes | str, **headers: str) -> t.Any:
    """One request with this very ``Cookie`` header."""
    value: t.Any = cookie
    return requests.get(
        live.url + path,
        headers={"Cookie": value, "Accept": "text/html", **headers},
        allow_redirects=False,
        verify=live.entra.ca_file,
        timeout=PATIENCE,
    )


def paused_at_callback(person: Person, url: str) -> str:
    """Go as far as the identity provider's answer; return its URL."""
    return person.authorize(person.get(url).headers["Location"]).url


def authorize_query(entra: Emulator) -> dict[str, str]:
    """Parameters of the latest authorization request."""
    return next(c.query for c in reversed(entra.calls) if c.kind == "authorize")


def token_form(entra: Emulator) -> dict[str, str]:
    """Fields of the latest call of the token endpoint."""
    return next(c.form for c in reversed(entra.calls) if c.kind == "token")


def links_of(page: requests.Response) -> list[str]:
    """The links of a page's buttons, the best first."""
    actions = page.text.partition('class="actions"')[2]
    return [
        link.replace("&amp;", "&") for link in re.findall('href="([^"]+)"', actions)
    ]


def logout_token(page: requests.Response | TestResponse) -> str:
    """The token of the form that signs out."""
    found = re.search('name="token" value="([^"]+)"', page.text)
    assert found is not None
    return found[1]


def heir(entra: Emulator, before: Person) -> Person:
    """Somebody else at the same browser, whom the provider does not know yet."""
    person = entra.person("grace")
    person.cookies = before.cookies
    # Cookies of localhost are those of the app, too.
    for name in person.cookies.names(entra.authority):
        if name.startswith("ESTSAUTH"):
            person.cookies.clear(entra.authority, name)
    return person
