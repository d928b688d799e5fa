"""The whole path over real sockets: sign in, call, be refused, come back."""

from __future__ import annotations

import typing as t

import pytest
from cryptography.fernet import Fernet

from flask_msal_errors.testing import Emulator
from support.expecting import expect
from support.live_app import LiveApp
from support.live_app import Start
from support.waiting import PATIENCE

if t.TYPE_CHECKING:
    import playwright.sync_api
    import redis


def walk(live: LiveApp, entra: Emulator) -> None:
    """A user's day."""
    person = entra.person("ada")
    assert person.get(live.url + "/basket/apple").text == "apple"
    assert person.visit(live.url + "/me?a=b%26c").url == live.url + "/me?a=b%26c"

    profile = person.visit(live.url + "/profile")
    assert profile.json()["userPrincipalName"] == "ada@contoso.example"

    mail = person.visit(live.url + "/mail")
    assert mail.url == live.url + "/mail"
    assert len(mail.json()["value"]) == 3
    assert person.pages.count("consent") == 2

    payroll = person.visit(live.url + "/payroll?year=2026")
    assert payroll.url == live.url + "/payroll?year=2026"
    assert payroll.json()["salary"] == 4200
    assert "context" in person.pages

    entra.revoke("ada")
    again = person.visit(live.url + "/mail")
    assert again.status_code == 200

    entra.change_ip("ada")
    sign_ins = entra.counters["authorize"]
    assert person.visit(live.url + "/mail").status_code == 200
    assert entra.counters["authorize"] == sign_ins

    entra.expire_password("ada")
    entra.change_ip("ada")
    assert person.visit(live.url + "/mail").status_code == 200
    assert "password" in person.pages

    assert person.get(live.url + "/basket/pear").text == "apple pear"
    shown = person.submit(person.get(live.url + "/auth/logout"))
    assert shown.url == live.url + "/auth/signed-out"
    assert person.get(live.url + "/").text == "hello nobody"
    assert person.get(live.url + "/basket/plum").text == "plum"


class TestWholePath:
    @pytest.mark.parametrize("mode", ["query", "form_post"])
    @pytest.mark.parametrize("tls", [False, True], ids=["http", "https"])
    def test_on_files(
        self, start: Start, entra: Emulator, mode: str, tls: bool
    ) -> None:
        """A user's day with the embedded default sessions, on http and https."""
        walk(start(tls=tls, MSAL_RESPONSE_MODE=mode), entra)

    def test_on_redis(
        self, start: Start, entra: Emulator, redis_client: redis.Redis
    ) -> None:
        """A day with sessions in Redis, which leaves no token or user behind."""
        live = start(SESSION_TYPE="redis", SESSION_REDIS=redis_client)
        walk(live, entra)
        left = [key.decode() for key in redis_client.scan_iter()]
        graves = [key for key in left if key.startswith("msal-gone:")]
        done = [key for key in left if ":done-" in key]
        assert {key for key in left if "msal" in key} == {*graves, *done}
        assert all(redis_client.ttl(key) <= 120 for key in graves)

    def test_keys_rotate(
        self, start: Start, entra: Emulator, redis_client: redis.Redis
    ) -> None:
        """New keys sign nobody out; without the old one the user signs in again."""
        old, new, other = (Fernet.generate_key().decode() for _ in range(3))
        person = entra.person()
        url = ""
        for keys, sign_ins in (
            ([old], 1),
            ([new, old], 1),
            ([new], 1),
            ([other], 2),
            ([], 3),
        ):
            live = start(
                SESSION_TYPE="redis",
                SESSION_REDIS=redis_client,
                MSAL_ENCRYPTION_KEYS=keys,
            )
            if url:
                assert person.get(live.url + "/me").text == "me ada@contoso.example"
            url = live.url
            mail = person.visit(url + "/mail")
            assert (mail.url, mail.status_code) == (url + "/mail", 200)
            assert entra.counters["token.authorization_code"] == sign_ins
            # What changes the record writes it with the newest key.
            entra.change_ip("ada")
            assert person.visit(url + "/mail").status_code == 200
            assert entra.counters["token.authorization_code"] == sign_ins

    def test_encrypted(self, start: Start, entra: Emulator) -> None:
        """A day with encrypted records."""
        walk(start(MSAL_ENCRYPTION_KEYS=[Fernet.generate_key().decode()]), entra)


class TestBusy:
    @pytest.mark.parametrize("plain", [True, False], ids=["plain text", "JSON"])
    def test_ten_reloads_cost_one_call(
        self, live: LiveApp, entra: Emulator, plain: bool
    ) -> None:
        """During a 429 reloads show the page with the seconds and ask nobody."""
        person = entra.person()
        person.visit(live.url + "/me")
        entra.users["ada"].consents.add(entra.scope("Mail.Read"))
        entra.throttle(30, plain=plain)
        calls = entra.counters["token"]
        for _ in range(10):
            page = person.visit(live.url + "/mail?a=b")
            assert page.status_code == 429
            assert 1 <= int(page.headers["Retry-After"]) <= 30
            assert "Try again" in page.text
        assert entra.counters["token"] == calls + 1
        assert person.visit(live.url + "/profile").status_code == 200

    def test_another_worker(self, start: Start, entra: Emulator) -> None:
        """A restarted app, or another worker on the same store, asks nobody either."""
        live = start()
        person = entra.person()
        person.visit(live.url + "/me")
        entra.users["ada"].consents.add(entra.scope("Mail.Read"))
        entra.throttle(30)
        assert person.visit(live.url + "/mail").status_code == 429
        calls = entra.counters["token"]
        with LiveApp(entra, live.app.instance_path) as other:  # type: ignore[arg-type]
            assert person.visit(other.url + "/mail").status_code == 429
        assert entra.counters["token"] == calls


class TestRecovery:
    def test_authority_is_down_and_comes_back(
        self, live: LiveApp, entra: Emulator
    ) -> None:
        """Discovery that fails is a 503 page; the next request asks anew."""
        entra.unavailable(30, target="discovery")
        person = entra.person()
        page = person.visit(live.url + "/me")
        assert page.status_code == 503
        assert "Try again" in page.text
        entra.clear_faults()
        assert person.visit(live.url + "/me").status_code == 200

    def test_keys_rotate(self, live: LiveApp, entra: Emulator) -> None:
        """New signing keys of the provider are taken without a restart."""
        entra.person("ada").visit(live.url + "/me")
        entra.rotate_keys(keep_old=False)
        assert entra.person("grace").visit(live.url + "/me").status_code == 200

    def test_store_is_down_and_comes_back(
        self, start: Start, entra: Emulator, redis_client: redis.Redis
    ) -> None:
        """A Redis that refuses is a 503 page; when it is back, so is the user."""
        live = start(SESSION_TYPE="redis", SESSION_REDIS=redis_client)
        person = entra.person()
        person.visit(live.url + "/me")
        pool = redis_client.connection_pool
        (where,) = {"path", "port"} & pool.connection_kwargs.keys()
        there = pool.connection_kwargs[where]
        pool.connection_kwargs[where] = {"path": "/nowhere", "port": 1}[where]
        pool.disconnect()
        pool.reset()
        page = person.visit(live.url + "/me")
        assert page.status_code == 503
        assert page.headers["Retry-After"] == "5"
        pool.connection_kwargs[where] = there
        pool.reset()
        assert person.visit(live.url + "/me").text == "me ada@contoso.example"


class TestInChromium:
    """A real browser's own part: its cookies, its Back button, its CSP."""

    @pytest.mark.parametrize("mode", ["query", "form_post"])
    @pytest.mark.parametrize("tls", [False, True], ids=["http", "https"])
    def test_sign_in_back_and_out(
        self,
        start: Start,
        entra: Emulator,
        chromium: playwright.sync_api.Browser,
        mode: str,
        tls: bool,
    ) -> None:
        """Signing in keeps the session, Back does no harm, signing out works."""
        # Or the request for the icon would write the session without what is new in it.
        read_only = {"SESSION_REFRESH_EACH_REQUEST": False}
        live = start(tls=tls, MSAL_RESPONSE_MODE=mode, **read_only)
        page = chromium.new_context(ignore_https_errors=True).new_page()
        page.set_default_timeout(1000 * PATIENCE)
        page.goto(live.url + "/basket/apple")
        page.goto(live.url + "/me?a=b")
        page.click("button[value=ada]")
        page.click("button[value=accept]")
        page.wait_for_url(live.url + "/me?a=b")
        expect(page.locator("body")).to_have_text("me ada@contoso.example")
        page.goto(live.url + "/basket/pear")
        expect(page.locator("body")).to_have_text("apple pear")

        page.goto(live.url + "/auth/callback")
        expect(page).to_have_url(live.url + "/")
        expect(page.locator("body")).to_have_text("hello ada@contoso.example")

        page.goto(live.url + "/auth/logout")
        page.click("button")
        page.wait_for_url(live.url + "/auth/signed-out")
        page.go_back()
        page.goto(live.url + "/")
        expect(page.locator("body")).to_have_text("hello nobody")
        page.context.close()

    @pytest.mark.parametrize("scheme", ["light", "dark"])
    def test_narrow_screen(
        self,
        live: LiveApp,
        chromium: playwright.sync_api.Browser,
        scheme: t.Literal["light", "dark"],
    ) -> None:
        """At 375 pixels a page fits, in light and in dark, with its style sheet."""
        context = chromium.new_context(
            viewport={"width": 375, "height": 700}, color_scheme=scheme
        )
        context.set_default_timeout(1000 * PATIENCE)
        page = context.new_page()
        errors: list[str] = []
        page.on("console", lambda m: errors.append(f"{m.text} {m.location['url']}"))
        page.goto(live.url + "/auth/callback?state=" + "x" * 300)
        assert page.evaluate("document.documentElement.scrollWidth") <= 375
        paper = page.evaluate("getComputedStyle(document.body).backgroundColor")
        assert (
            paper == {"light": "rgb(244, 246, 248)", "dark": "rgb(13, 17, 23)"}[scheme]
        )
        page.keyboard.press("Tab")
        assert page.evaluate("document.activeElement.textContent") == "Sign in again"
        page.keyboard.press("Tab")
        assert page.evaluate("document.activeElement.textContent") == "Start page"
        assert not [text for text in errors if "400" not in text and "icon" not in text]
        context.close()
