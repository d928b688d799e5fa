"""The cookie of a session that is renewed and not written."""

from __future__ import annotations

import re
import typing as t
from datetime import timedelta
from pathlib import Path

import pytest
import redis
from flask import Flask
from flask import g
from flask import make_response
from flask import session
from flask_session import Session

from flask_msal_errors.storage.setup import prepare
from support import session_apps

#: Settings of an app, each of which shows in the cookie.
SETTINGS: list[t.Any] = [
    {},
    {"SESSION_COOKIE_NAME": "other"},
    {"SESSION_COOKIE_SAMESITE": "none", "SESSION_COOKIE_SECURE": True},
    {"SESSION_COOKIE_SAMESITE": "Lax", "SESSION_COOKIE_HTTPONLY": False},
    {"SESSION_COOKIE_DOMAIN": ".app.example", "SESSION_COOKIE_PATH": "/päth;x"},
    {"APPLICATION_ROOT": "/mounted"},
    {"PERMANENT_SESSION_LIFETIME": 60},
    {"PERMANENT_SESSION_LIFETIME": timedelta(days=9, milliseconds=1)},
    {"SESSION_PERMANENT": False},
    {"SESSION_REFRESH_EACH_REQUEST": False},
    {"SESSION_ID_LENGTH": 64},
    pytest.param(
        {"SESSION_USE_SIGNER": True},
        marks=pytest.mark.filterwarnings("ignore::DeprecationWarning"),
    ),
]
#: Pages that do more or less with their session, whose content stays.
PAGES = ["nothing", "read", "touched", "varied", "varied by all", "cookie"]


@pytest.fixture(params=SETTINGS, ids=str)
def apps(
    request: pytest.FixtureRequest, redis_client: redis.Redis, tmp_path: Path
) -> tuple[Flask, Flask]:
    """An app with Flask-Session alone, and one with the guard, on one store."""
    more = {"SESSION_TYPE": "redis", "SESSION_REDIS": redis_client, **request.param}
    both = [session_apps.bare_app(tmp_path, **more) for _ in range(2)]
    Session(both[0])
    prepare(both[1])
    for app in both:
        add_pages(app)
    return both[0], both[1]


def add_pages(app: Flask) -> None:
    @app.get("/fill")
    def fill() -> str:
        session["value"] = {"name": "Ada"}
        return "filled"

    @app.get("/<page>")
    def show(page: str) -> t.Any:
        response = make_response(page)
        if page == "read":
            g.name = session["value"]["name"]
        if page == "touched":
            session.modified = True
        if page.startswith("varied"):
            response.headers["Vary"] = "*" if "all" in page else "Accept, cookie"
        if page == "cookie":
            response.set_cookie("mine", "1")
        return response


def headers_of(app: Flask, cookie: str, page: str) -> list[tuple[str, str]]:
    """The headers of a page, without the seconds of its dates."""
    base = f"http://{(app.config['SESSION_COOKIE_DOMAIN'] or 'localhost').lstrip('.')}"
    with app.test_client(use_cookies=False) as browser:
        answer = browser.get(f"/{page}", base_url=base, headers={"Cookie": cookie})
    found = answer.headers
    return sorted((name, re.sub(r":\d\d GMT", "", text)) for name, text in found)


@pytest.mark.parametrize("page", PAGES)
def test_as_of_flask_session(apps: tuple[Flask, Flask], page: str) -> None:
    """A page has the very headers that it has with Flask-Session alone."""
    alone, guarded = apps
    with alone.test_client(use_cookies=False) as browser:
        cookie = browser.get("/fill").headers["Set-Cookie"].partition(";")[0]
    found = headers_of(guarded, cookie, page)
    if found != headers_of(alone, cookie, page):
        # The minute may have ended between the two.
        assert headers_of(guarded, cookie, page) == headers_of(alone, cookie, page)
