"""The guide's htmx page in a real Chromium, with the script of both versions."""

from __future__ import annotations

import subprocess
import typing as t
from pathlib import Path

import pytest
from flask import Flask

from flask_msal_errors import MsalAuth
from flask_msal_errors.testing import Emulator
from support import needs
from support import provision
from support.doc_examples import Examples
from support.doc_examples import examples as examples
from support.expecting import expect

if t.TYPE_CHECKING:
    from playwright.sync_api import Page

VERSIONS = ("2", "4")


@pytest.fixture(scope="module")
def scripts(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder in which npm installed both versions."""
    folder = tmp_path_factory.mktemp("htmx")
    try:
        packages = [f"htmx{version}@npm:htmx.org@{version}" for version in VERSIONS]
        provision.npm_install(folder, *packages)
    except (provision.Missing, subprocess.CalledProcessError) as error:
        reason = f"npm cannot install htmx.org: {getattr(error, 'stderr', error)}"
        needs.missing(reason)
    return folder / "node_modules"


class Mail:
    """The page of the guide, which one person has open."""

    def __init__(self, page: Page, url: str) -> None:
        self.page, self.url = page, url
        page.goto(url + "/")

    def click(self, text: str) -> None:
        self.page.get_by_text(text, exact=True).click()

    def sign_in(self, *buttons: str) -> None:
        """Press these buttons of the provider's pages, and come back."""
        for button in buttons:
            self.page.click(f"button[value={button}]")
        # Until all of the page is there, htmx does not see what is clicked.
        self.page.wait_for_url(self.url + "/**")

    def shows(self, text: str, path: str = "/") -> None:
        # Pages on the way there may say the same.
        self.page.wait_for_url(self.url + path)
        expect(self.page.locator("body")).to_contain_text(text)


@pytest.fixture(params=VERSIONS)
def mail(
    request: pytest.FixtureRequest,
    scripts: Path,
    examples: Examples,
    entra: Emulator,
    page: Page,
) -> Mail:
    module = examples.load("beside_htmx", GRAPH=entra.graph_url)
    auth: MsalAuth = module.auth
    app: Flask = module.create_app()
    app.static_folder = str(scripts / f"htmx{request.param}" / "dist")

    @app.get("/approvals")
    @auth.login_required(roles="Approver")
    def approvals() -> str:
        return "approvals"

    @app.get("/links")
    def links() -> str:
        script = '<script src="/static/htmx.min.js"></script>'
        ways = {"Approvals": "/approvals", "Leave": auth.logout_url()}
        return script + " ".join(
            f'<a hx-boost="true" href="{way}">{name}</a>' for name, way in ways.items()
        )

    return Mail(page, examples.serve(app))


def test_fragment(mail: Mail, entra: Emulator) -> None:
    """A refused fragment sends the page to sign in, then it is what it should be."""
    mail.click("Count my mail")
    mail.sign_in("ada", "accept")
    mail.shows("Count my mail")
    mail.click("Count my mail")
    mail.shows("3 mails for Ada")
    entra.revoke("ada")
    mail.click("Count my mail")
    mail.sign_in("ada")
    mail.shows("Count my mail")
    mail.click("Count my mail")
    mail.shows("3 mails for Ada")


def test_refused_fragment(mail: Mail, entra: Emulator) -> None:
    """A fragment that no sign-in helps says so in its own place, and keeps the rest."""
    mail.click("Count my mail")
    mail.sign_in("ada", "accept")
    mail.click("Count my mail")
    mail.shows("3 mails for Ada")
    entra.throttle(600)
    entra.change_ip("ada")
    mail.click("Count my mail")
    mail.page.get_by_role("alert").get_by_text("Too many requests").wait_for()
    mail.shows("3 mails for Ada")
    expect(mail.page.get_by_role("alert").locator("main")).to_have_count(1)
    expect(mail.page).to_have_title("Mail")


def test_boosted(mail: Mail) -> None:
    """A boosted link that needs more comes back to where it leads."""
    mail.click("Reports")
    mail.sign_in("ada", "context", "accept")
    mail.shows("Reports for Ada", "/reports")


def test_own_links(mail: Mail) -> None:
    """Boosted links to our own routes work, although they lead to another origin."""
    mail.click("Sign in")
    mail.sign_in("ada", "accept")
    mail.shows("Count my mail")
    mail.page.goto(mail.url + "/links")
    mail.click("Leave")
    mail.shows("You are signed out", "/auth/signed-out")


def test_sign_out(mail: Mail) -> None:
    """The guide's form signs out by a press."""
    mail.click("Sign in")
    mail.sign_in("ada", "accept")
    mail.click("Sign out")
    mail.shows("You are signed out", "/auth/signed-out")


def test_forbidden(mail: Mail) -> None:
    """A page that is refused for good is seen whole."""
    mail.page.goto(mail.url + "/links")
    mail.click("Approvals")
    mail.sign_in("ada", "accept")
    mail.shows("Approver", "/approvals")
    mail.page.goto(mail.url + "/links")
    mail.click("Approvals")
    mail.shows("Approver", "/approvals")
