"""Our own cookies: what is signed, what is sealed, and for whom."""

from __future__ import annotations

import time
import typing as t

import pytest
from flask import Flask
from werkzeug.datastructures import Headers
from werkzeug.test import EnvironBuilder
from werkzeug.wrappers import Request
from werkzeug.wrappers import Response

from flask_msal_errors.errors import ConfigurationError
from flask_msal_errors.signin.cookies import Cookies
from flask_msal_errors.signin.cookies import Expired
from flask_msal_errors.signin.cookies import Signer


def signer(secret: str | bytes = "one", **config: t.Any) -> Signer:
    app = Flask("cookies")
    app.config.update(SECRET_KEY=secret, **config)
    return Signer(app)


def asked(cookie: str = "", scheme: str = "https") -> Request:
    headers = Headers({"Cookie": cookie})
    builder = EnvironBuilder(base_url=f"{scheme}://app.example/", headers=headers)
    return Request(builder.get_environ())


class TestSigner:
    """Signed and timed values, and sealed ones."""

    def test_round_trip(self) -> None:
        """A signed value comes back, under its kind only."""
        text = signer().dumps("kind", {"a": [1, "ä"]})
        assert signer().loads("kind", text, 60) == {"a": [1, "ä"]}
        assert signer().loads("other", text, 60) is None

    @pytest.mark.parametrize("text", ["", ".", "a.b.c", "é", "a" * 9000, "\udcff"])
    def test_garbage(self, text: str) -> None:
        """A value that we did not make reads as nothing, signed or sealed."""
        assert signer().loads("kind", text, 60) is None
        assert signer().unseal(text, 60) is None

    def test_changed(self) -> None:
        """A changed byte anywhere makes it foreign."""
        text = signer().dumps("kind", "value")
        for place in range(0, len(text), 7):
            other = "A" if text[place] != "A" else "B"
            forged = text[:place] + other + text[place + 1 :]
            assert signer().loads("kind", forged, 60) is None

    def test_expired(self, monkeypatch: pytest.MonkeyPatch) -> None:
        """A value too old, or from the future, says what it was; two minutes pass."""
        text, now = signer().dumps("kind", "value"), time.time()
        for later, good in [(179, True), (183, False), (-119, True), (-123, False)]:
            monkeypatch.setattr(time, "time", lambda later=later: now + later)
            if good:
                assert signer().loads("kind", text, 60) == "value"
                continue
            with pytest.raises(Expired) as caught:
                signer().loads("kind", text, 60)
            assert caught.value.value == "value"
            assert "value" not in str(caught.value)

    def test_sealed(self, monkeypatch: pytest.MonkeyPatch) -> None:
        """A sealed value cannot be read, and ends with its lifetime."""
        text, now = signer().seal({"code": "very-secret"}), time.time()
        assert "very-secret" not in text
        assert signer().unseal(text, 60) == {"code": "very-secret"}
        assert signer("two").unseal(text, 60) is None
        monkeypatch.setattr(time, "time", lambda: now + 200)
        assert signer().unseal(text, 60) is None

    @pytest.mark.parametrize(
        ("age", "good"),
        [(-200, False), (-118, True), (0, True), (178, True), (200, False)],
    )
    def test_clocks(
        self, monkeypatch: pytest.MonkeyPatch, age: int, good: bool
    ) -> None:
        """Workers' clocks may differ by two minutes, either way."""
        now = time.time()
        monkeypatch.setattr(time, "time", lambda: now - age)
        signed, sealed = signer().dumps("kind", 1), signer().seal(1)
        monkeypatch.setattr(time, "time", lambda: now)
        assert (signer().unseal(sealed, 60) == 1) is good
        if good:
            assert signer().loads("kind", signed, 60) == 1
        else:
            with pytest.raises(Expired):
                signer().loads("kind", signed, 60)

    @pytest.mark.parametrize("old", ["one", b"one"])
    def test_rotated_secret(self, old: str | bytes) -> None:
        """The fallbacks' values are still taken; new ones are of the new secret."""
        signed, sealed = signer(old).dumps("kind", 1), signer(old).seal(1)
        now = signer("two", SECRET_KEY_FALLBACKS=[old])
        assert (now.loads("kind", signed, 60), now.unseal(sealed, 60)) == (1, 1)
        assert signer("two").loads("kind", now.dumps("kind", 2), 60) == 2
        assert signer("two").unseal(now.seal(2), 60) == 2

    def test_next_secret(self) -> None:
        """A worker that has the next secret as a fallback takes what it signed."""
        ahead = signer("two", SECRET_KEY_FALLBACKS=["one"])
        worker = signer("one", SECRET_KEY_FALLBACKS=["two"])
        assert worker.loads("kind", ahead.dumps("kind", 1), 60) == 1
        assert worker.unseal(ahead.seal(2), 60) == 2
        assert signer("one").loads("kind", worker.dumps("kind", 3), 60) == 3

    @pytest.mark.parametrize(
        "older",
        ["the older key", b"the older key", [""], ["one", None], [7], 7, {"a": 1}],
    )
    def test_no_list_of_secrets(self, older: t.Any) -> None:
        """Fallbacks that would be guessed, or are no keys, are refused by name."""
        with pytest.raises(ConfigurationError, match="SECRET_KEY_FALLBACKS.*list"):
            signer("two", SECRET_KEY_FALLBACKS=older)

    @pytest.mark.parametrize("older", [None, [], (), ("one",)])
    def test_list_of_secrets(self, older: t.Any) -> None:
        """No fallbacks, and a tuple of them, are as good as a list."""
        made = signer("two", SECRET_KEY_FALLBACKS=older)
        assert made.loads("kind", made.dumps("kind", 1), 60) == 1

    @pytest.mark.parametrize("secret", ["", None])
    def test_no_secret(self, secret: t.Any) -> None:
        """Without a secret the error says how to make one."""
        with pytest.raises(ConfigurationError, match="SECRET_KEY.*token_hex"):
            signer(secret)

    def test_bytearray(self) -> None:
        """A secret that Flask signs with is no less one here."""
        secret: t.Any = bytearray(b"one")
        sealed = signer(secret).seal(signer(secret).dumps("kind", 1))
        assert signer().loads("kind", signer().unseal(sealed, 60), 60) == 1

    @pytest.mark.parametrize("secret", [12345678, 1e50, True, ["one"]])
    def test_no_string(self, secret: t.Any) -> None:
        """A number that JSON made of digits is refused by its type, and not shown."""
        with pytest.raises(ConfigurationError, match="SECRET_KEY is of the") as caught:
            signer(secret)
        assert "put '\"' around" in str(caught.value)
        assert str(secret) not in str(caught.value)


class TestCookies:
    """The cookies' names and attributes."""

    @staticmethod
    def sent(scheme: str, **options: t.Any) -> str:
        response = Response()
        Cookies(signer()).set(
            asked(scheme=scheme), response, "flow_1", "value", lifetime=60, **options
        )
        return response.headers["Set-Cookie"]

    def test_https(self) -> None:
        """On https no sibling host can plant one, and no script reads it."""
        header = self.sent("https")
        assert header.startswith("__Host-msal_flow_1=")
        parts = {part.strip() for part in header.split(";")[1:]}
        assert {"Secure", "HttpOnly", "Path=/", "SameSite=Lax", "Max-Age=60"} <= parts
        assert "Domain" not in header

    def test_http(self) -> None:
        """On http (a developer's machine) it works without the prefix."""
        header = self.sent("http")
        assert header.startswith("msal_flow_1=")
        assert "Secure" not in header and "SameSite=Lax" in header

    @pytest.mark.parametrize("scheme", ["http", "https"])
    def test_cross_site(self, scheme: str) -> None:
        """One that another site's post must carry is None and Secure."""
        header = self.sent(scheme, cross_site=True)
        assert "SameSite=None" in header and "Secure" in header

    def test_get(self) -> None:
        """A request's cookie is read under its name; a planted one is nothing."""
        cookies = Cookies(signer())
        pair = self.sent("https").partition(";")[0]
        assert cookies.get(asked(pair), "flow_1", 60) == "value"
        assert cookies.get(asked(pair), "flow_2", 60) is None
        assert cookies.get(asked(), "flow_1", 60) is None
        planted = pair.removeprefix("__Host-")
        assert cookies.get(asked(planted), "flow_1", 60) is None
        assert cookies.get(asked("__Host-msal_flow_1=x"), "flow_1", 60) is None

    def test_sizes(self) -> None:
        """Only our own cookies of this scheme and beginning are named, with bytes."""
        header = "__Host-msal_flow_1=a; __Host-msal_loops=b; msal_flow_2=c; flow_3=d"
        cookies = Cookies(signer())
        assert cookies.sizes(asked(header), "flow_") == {"flow_1": 22}
        assert cookies.sizes(asked(header, "http"), "flow_") == {"flow_2": 15}

    @pytest.mark.parametrize(
        ("scheme", "cross_site", "secure"),
        [("https", False, True), ("http", False, False), ("http", True, True)],
    )
    def test_delete(self, scheme: str, cross_site: bool, secure: bool) -> None:
        """Forgetting takes the attributes that the browser wants repeated."""
        response = Response()
        Cookies(signer()).delete(
            asked(scheme=scheme), response, "flow_1", cross_site=cross_site
        )
        header = response.headers["Set-Cookie"]
        assert "Max-Age=0" in header and "Path=/" in header
        assert ("Secure" in header) is secure
