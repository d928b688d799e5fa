"""Plays the example's story in Chromium and takes the pictures of ``docs/images``.

``python docs/screenshots.py [FOLDER]``, with the package, playwright and Pillow
installed. Every picture is taken at the width of a desk and of a phone.
"""

from __future__ import annotations

import collections.abc as cabc
import contextlib
import io
import os
import shutil
import sys
import tempfile
import typing as t
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
sys.path.append(str(ROOT))

from PIL import Image  # noqa: E402
from playwright.sync_api import Browser  # noqa: E402
from playwright.sync_api import Page  # noqa: E402
from playwright.sync_api import sync_playwright  # noqa: E402

from example_app import on_emulator  # noqa: E402
from flask_msal_errors.testing import Emulator  # noqa: E402

IMAGES = Path(__file__).parent / "images"
SCREENS: dict[str, dict[str, t.Any]] = {
    "desktop": {"viewport": {"width": 1280, "height": 800}},
    "phone": {"viewport": {"width": 390, "height": 844}, "is_mobile": True},
}
COLOURS = 64
#: Milliseconds for any step.
PATIENCE = 120_000


class Story:
    """One person's way through the example, and the pictures of it."""

    def __init__(self, page: Page, url: str, entra: Emulator, keep: Keep) -> None:
        self.page = page
        self.url = url
        self.entra = entra
        self.keep = keep

    def play(self) -> None:
        self.open("/")
        self.take("home")
        self.sign_in()
        self.mail()
        self.payroll()
        self.expense()
        self.approvals()
        self.revoked()
        self.throttled()
        self.loop()

    def open(self, path: str) -> None:
        self.page.goto(self.url + path)

    def press(self, name: str) -> None:
        with self.page.expect_navigation():
            self.page.get_by_role("button", name=name).click()

    def take(self, name: str, heading: str = "") -> None:
        """Keep a picture of the page, which has this heading."""
        if heading:
            self.page.get_by_role("heading", name=heading, level=1).wait_for()
        self.page.wait_for_load_state()
        self.keep(name, self.page.screenshot(animations="disabled"))

    def sign_in(self) -> None:
        self.page.get_by_role("link", name="Sign in").click()
        self.take("sign-in", "Pick an account")
        self.press("Ada Lovelace")
        self.press("Accept")

    def mail(self) -> None:
        self.open("/mail")
        self.take("consent", "Permissions requested")
        self.press("Accept")
        self.take("mail", "Mail")

    def payroll(self) -> None:
        self.open("/payroll")
        self.take("step-up", "More proof needed")
        self.press("Approve")
        self.press("Accept")
        self.take("payroll", "Payroll")

    def expense(self) -> None:
        """A form that is interrupted, by a person whose proof is gone."""
        self.page.context.clear_cookies()
        self.open("/expense")
        self.press("Ada Lovelace")
        self.page.get_by_label("What for").fill("Train to the engine")
        receipt: t.Any = {"name": "ticket.png", "mimeType": "image/png"}
        receipt["buffer"] = bytes(5000)
        self.page.get_by_label("Receipt").set_input_files(receipt)
        self.press("Send")
        self.page.get_by_role("button", name="Approve").click()
        self.page.get_by_text("Received, once").wait_for()
        self.take("expense", "Expenses")

    def approvals(self) -> None:
        self.open("/approvals")
        self.take("forbidden", "You may not open this page")

    def revoked(self) -> None:
        self.entra.revoke("ada")
        self.open("/revoked")
        self.take("revoked-challenge", "Pick an account")
        self.press("Ada Lovelace")
        self.take("revoked", "Revoked session")

    def throttled(self) -> None:
        self.open("/busy")
        self.page.get_by_role("button", name="Accept").click()
        self.page.get_by_role("heading", name="Throttling", level=1).wait_for()
        self.entra.throttle(30)
        self.open("/busy")
        self.take("throttled", "Too many requests")
        self.entra.clear_faults()

    def loop(self) -> None:
        """A provider that never gives the proof, until the extension has had enough."""
        self.entra.reset()
        self.entra.forge(drop=["acrs"])
        self.page.context.clear_cookies()
        self.open("/expense")
        self.press("Ada Lovelace")
        self.press("Accept")
        self.press("Send")
        self.page.get_by_role("button", name="Approve").click()
        for _ in range(2):
            self.page.get_by_text("refused again").wait_for()
            with self.page.expect_navigation():
                self.page.get_by_role("link", name="Continue").click()
        self.take("loop", "Signing in again did not help")


Keep = cabc.Callable[[str, bytes], None]


@contextlib.contextmanager
def example() -> cabc.Iterator[tuple[str, Emulator]]:
    """The example on an emulator; its URL."""
    with tempfile.TemporaryDirectory() as folder, Emulator() as entra:
        with on_emulator(entra, folder) as app, entra.serve(app) as url:
            yield url, entra


def small(png: bytes) -> Image.Image:
    """The picture with few colours, which is enough for pages like these."""
    return Image.open(io.BytesIO(png)).convert("RGB").quantize(COLOURS)


def play(browser: Browser, folder: Path, screens: cabc.Iterable[str] = SCREENS) -> None:
    """Put the pictures into ``folder``, as ``NAME-SCREEN.png``."""
    for screen in screens:

        def keep(name: str, png: bytes, screen: str = screen) -> None:
            small(png).save(folder / f"{name}-{screen}.png", optimize=True)

        with example() as (url, entra):
            context = browser.new_context(**SCREENS[screen], color_scheme="light")
            context.set_default_timeout(PATIENCE)
            Story(context.new_page(), url, entra, keep).play()
            context.close()


def main(folder: Path) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    os.environ["no_proxy"] = "localhost"
    path = shutil.which("chromium") or shutil.which("google-chrome")
    with sync_playwright() as driver:
        browser = driver.chromium.launch(executable_path=path, timeout=PATIENCE)
        play(browser, folder)
        browser.close()


if __name__ == "__main__":
    main(Path(sys.argv[1]) if sys.argv[1:] else IMAGES)
