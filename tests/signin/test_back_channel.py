"""Back-channel logout: the provider's own request, and all that strangers may send."""

from __future__ import annotations

import base64
import json
import time
import typing as t

import jwt
import pytest
import requests

from flask_msal_errors import signals
from flask_msal_errors.provider.clocks import LOGOUT_TOKEN_AGE as AGE
from flask_msal_errors.provider.logout_token import EVENT
from flask_msal_errors.testing import Emulator
from flask_msal_errors.testing import Person
from support.identity import Identity
from support.live_app import LiveApp
from support.live_app import Start
from support.on_its_way import check_on_its_way
from support.waiting import PATIENCE

NOBODY = "hello nobody"
PATH = "/auth/back-channel-logout"


def add_views(live: LiveApp) -> None:
    @live.app.get("/sid")
    def sid() -> str:
        assert live.auth.user is not None
        return str(live.auth.user.claims["sid"])


@pytest.fixture
def live(start: Start, entra: Emulator) -> LiveApp:
    absent = {"MSAL_AUTHORITY": None, "MSAL_INSTANCE_DISCOVERY": None}
    entra.openid_backchannel_logout_uri = "http://localhost:1/"
    live = start(add_views, **{**entra.config("openid"), **absent})
    entra.openid_backchannel_logout_uri = live.url + PATH
    return live


@pytest.fixture
def ada(live: LiveApp) -> Person:
    return signed_in(live)


def signed_in(live: LiveApp, name: str = "ada") -> Person:
    person = live.entra.person(name)
    assert person.visit(live.url + "/mail").status_code == 200
    return person


def tell(live: LiveApp, *tokens: str, **kwargs: t.Any) -> requests.Response:
    """Send what a provider sends: no cookie, and one form field."""
    form = [("logout_token", token) for token in tokens]
    return requests.post(live.url + PATH, data=form, timeout=PATIENCE, **kwargs)


def sid_of(live: LiveApp, person: Person) -> str:
    return person.get(live.url + "/sid").text


class TestProvider:
    def test_at_the_provider(self, live: LiveApp, ada: Person) -> None:
        """A sign-out at the provider itself ends the session here, and its record."""
        live.entra.openid_logout = "plain"
        other, before = signed_in(live), set(live.records())
        ada.visit(f"{live.entra.pages_url}/openid/logout")
        assert live.entra.counters["backchannel.200"] == 1
        assert ada.get(live.url + "/").text == NOBODY
        assert other.get(live.url + "/").text == "hello ada@contoso.example"
        assert before - set(live.records())
        # Those for offline access are not ended by a logout (§2.7).
        assert live.entra.counters["revocation.200"] == 0
        assert "me ada" in ada.visit(live.url + "/me").text

    def test_own_sign_out(self, live: LiveApp, ada: Person) -> None:
        """A sign-out that began here is told of as well, and finds nothing to do."""
        ada.submit(ada.get(live.url + "/auth/logout"))
        assert ada.get(live.url + "/").text == NOBODY
        assert live.entra.counters["backchannel.200"] == 1

    @pytest.mark.parametrize("names", ["sid", "sub", "both"])
    def test_which(self, live: LiveApp, ada: Person, names: str) -> None:
        """A ``sid`` ends one session, a ``sub`` alone all of the person; no others."""
        other, grace = signed_in(live), signed_in(live, "grace")
        told = list[t.Any]()
        sid = None if names == "sub" else sid_of(live, ada)
        more = {"sub": None} if names == "sid" else {}
        token = live.entra.logout_token("ada", sid=sid, **more)
        with signals.signed_out.connected_to(lambda _, user: told.append(user)):
            answer = tell(live, token)
        assert (answer.status_code, answer.content) == (200, b"")
        assert answer.headers["Cache-Control"] == "no-store"
        assert "Set-Cookie" not in answer.headers
        assert ada.get(live.url + "/").text == NOBODY
        stays = other.get(live.url + "/").text != NOBODY
        assert stays is (names != "sub") and len(told) == 2 - stays
        assert grace.get(live.url + "/").text == "hello grace@contoso.example"

    def test_unknown(self, live: LiveApp, ada: Person) -> None:
        """A session or person that is not here has signed out already."""
        for token in (
            live.entra.logout_token("ada", sid="another"),
            live.entra.logout_token("linus", sid=None),
            live.entra.logout_token("ada", sub="nobody", sid=None),
        ):
            assert tell(live, token).status_code == 200
        assert ada.get(live.url + "/").text == "hello ada@contoso.example"

    def test_sign_in_on_its_way(
        self, live: LiveApp, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """One whose code was redeemed before ends, too; the next one does not."""

        def end() -> None:
            token = live.entra.logout_token("ada")
            assert tell(live, token).status_code == 200

        check_on_its_way(live, monkeypatch, end)

    def test_sid_in_no_id_token(self, live: LiveApp) -> None:
        """A ``sid`` that ID tokens lack ends the sessions of its person without one."""
        other = signed_in(live)
        live.entra.id_token_hook = lambda claims, _: claims.pop("sid", None) and None
        people, grace = [signed_in(live) for _ in range(2)], signed_in(live, "grace")
        assert tell(live, live.entra.logout_token("ada", sid="x")).status_code == 200
        assert [person.get(live.url + "/").text for person in people] == [NOBODY] * 2
        assert other.get(live.url + "/").text == "hello ada@contoso.example"
        assert grace.get(live.url + "/").text == "hello grace@contoso.example"
        again = signed_in(live)
        sid = sid_of(live, other)
        assert tell(live, live.entra.logout_token("ada", sid=sid)).status_code == 200
        assert other.get(live.url + "/").text == NOBODY
        assert again.get(live.url + "/").text == "hello ada@contoso.example"

    def test_once(self, live: LiveApp, ada: Person) -> None:
        """A token that somebody recorded ends no later session."""
        token = live.entra.logout_token("ada")
        assert tell(live, token).status_code == 200
        again = signed_in(live)
        answer = tell(live, token)
        assert (answer.status_code, answer.json()["error"]) == (400, "invalid_request")
        assert "jti" in answer.json()["error_description"]
        assert again.get(live.url + "/").text == "hello ada@contoso.example"

    def test_store_fails(
        self, live: LiveApp, ada: Person, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """The provider is told to try again, and its token is good then as before."""
        backend = t.cast(t.Any, live.app.session_interface).msal_backend
        token = live.entra.logout_token("ada", sid=sid_of(live, ada))

        def fail(*_: object) -> t.NoReturn:
            raise OSError("no disk")

        for step in ("read", "lock", "bury"):
            with monkeypatch.context() as patch:
                patch.setattr(backend, step, fail)
                answer = tell(live, token)
            assert answer.status_code == 503 and "Retry-After" in answer.headers
        assert tell(live, token).status_code == 200
        assert ada.get(live.url + "/").text == NOBODY

    def test_provider_is_down(self, live: LiveApp, ada: Person) -> None:
        """Without the provider's keys nothing is decided; it may try again."""
        token = live.entra.logout_token("ada", sid=sid_of(live, ada))
        client = live.app.extensions["flask_msal_errors"].client
        live.entra.unavailable(target="discovery")
        client.provider.by_process = {}
        assert tell(live, token).status_code == 503
        assert ada.get(live.url + "/").text == "hello ada@contoso.example"


#: Faults of a token, and the claims that make them; each of them ends nothing.
WRONG: dict[str, dict[str, t.Any]] = {
    "another issuer": {"iss": "https://evil.example/"},
    "no issuer": {"iss": None},
    "another app": {"aud": "another"},
    "no app": {"aud": None},
    "an audience of nothing": {"aud": []},
    "an audience of objects": {"aud": [{}, 7, None]},
    "another party": {"azp": "another"},
    "expired": {"exp": 1},
    "expired at a word": {"exp": "soon"},
    "no expiry": {"exp": None},
    "issued long ago": {"iat": int(time.time()) - AGE - 300},
    "issued later": {"iat": int(time.time()) + 3600},
    "issued at a word": {"iat": "now"},
    "issued at a numeral": {"iat": str(int(time.time()))},
    "issued in a list": {"iat": [int(time.time())]},
    "issued never": {"iat": float("inf")},
    "issued at no number": {"iat": float("nan")},
    "not issued": {"iat": None},
    "no id": {"jti": None},
    "an empty id": {"jti": ""},
    "an id of a list": {"jti": ["x"]},
    "no events": {"events": None},
    "another event": {"events": {"http://schemas.openid.net/event/other": {}}},
    "an event of a string": {"events": {EVENT: ""}},
    "an event of a list": {"events": {EVENT: []}},
    "events in a list": {"events": [EVENT]},
    "events of a string": {"events": EVENT},
    "a nonce": {"nonce": "n"},
    "an empty nonce": {"nonce": ""},
    "neither sid nor sub": {"sid": None, "sub": None},
    "an empty sid": {"sid": ""},
    "a sid of a number": {"sid": 7},
    "a sid of a list": {"sid": ["x"]},
    "a sub of an object": {"sub": {}, "sid": None},
    "a sub of a truth": {"sub": True},
}


class TestHostile:
    @pytest.mark.parametrize("name", WRONG)
    def test_claims(self, live: LiveApp, name: str) -> None:
        """A token of the provider that breaks one rule is refused, and does nothing."""
        live.app.config["PROPAGATE_EXCEPTIONS"] = True
        answer = tell(live, live.entra.logout_token(**{"sid": "a-sid", **WRONG[name]}))
        assert answer.status_code == 400, answer.text
        assert answer.headers["Cache-Control"] == "no-store"
        assert answer.json()["error"] == "invalid_request"

    def test_accepted(self, live: LiveApp) -> None:
        """Unusual tokens that break no rule are taken."""
        unusual: list[dict[str, t.Any]] = [
            {"aud": [live.entra.client_id]},
            {"aud": ["another", live.entra.client_id]},
            {"azp": live.entra.client_id},
            {"events": {EVENT: {"more": 1}, "another": 7}},
            {"iat": time.time()},
            {"exp": int(time.time()) + 10**6},
            {"sub": 12345},
            {"unknown": {"claim": [None]}},
        ]
        for claims in unusual:
            token = live.entra.logout_token("ada", sid="a-sid", **claims)
            assert tell(live, token).status_code == 200, claims

    @pytest.mark.parametrize(
        ("typ", "status"),
        [
            *(("logout+jwt", 200), ("LOGOUT+JWT", 200), ("JWT", 200)),
            *(("application/logout+jwt", 200), (None, 200)),
            *(("at+jwt", 400), ("dpop+jwt", 400)),
        ],
    )
    def test_type(self, live: LiveApp, typ: str | None, status: int) -> None:
        """A token may say that it is a logout token, and not that it is another."""
        claims = unsigned(live.entra.logout_token("ada", sid="a-sid"))
        key = live.entra.tenant.keys.current
        header: dict[str, t.Any] = {"kid": key.kid, "typ": typ}
        token = jwt.encode(claims, key.private, "RS256", headers=header)
        assert tell(live, token).status_code == status

    @pytest.mark.parametrize("name", ["sid", "sub", "azp"])
    def test_null(self, live: LiveApp, name: str) -> None:
        """A claim that is null counts as left out."""
        claims = unsigned(live.entra.logout_token("ada", sid="a-sid"))
        key = live.entra.tenant.keys.current
        token = jwt.encode(
            {**claims, name: None}, key.private, "RS256", headers={"kid": key.kid}
        )
        assert tell(live, token).status_code == 200

    def test_null_alone(self, live: LiveApp) -> None:
        """A token that names neither a session nor a person ends nothing."""
        claims = unsigned(live.entra.logout_token("ada", sid="a-sid"))
        key = live.entra.tenant.keys.current
        nobody = {**claims, "sid": None, "sub": None}
        token = jwt.encode(nobody, key.private, "RS256", headers={"kid": key.kid})
        assert tell(live, token).status_code == 400

    def test_signatures(self, live: LiveApp, ada: Person) -> None:
        """Nobody but the provider makes one: no key, the secret, a key of their own."""
        entra = live.entra
        good = entra.logout_token("ada", sid=sid_of(live, ada))
        claims, (head, body, signature) = unsigned(good), good.split(".")
        own, kid = Identity(), entra.tenant.keys.current.kid
        public = entra.tenant.keys.current.public_pem()
        none = base64.urlsafe_b64encode(b'{"alg":"none"}').decode().rstrip("=")
        forged = [
            f"{none}.{body}.",
            f"{none}.{body}.{signature}",
            f"{head}.{body}.",
            f"{head}.{body}.{signature[::-1]}",
            jwt.encode(claims, entra.client_secret * 4, "HS256", headers={"kid": kid}),
            jwt.encode(claims, own.private_pem(), "RS256", headers={"kid": kid}),
            jwt.encode(claims, own.private_pem(), "RS256", headers={"kid": "own"}),
            jwt.encode(claims, public.hex(), "HS256"),
        ]
        for token in forged:
            answer = tell(live, token)
            assert answer.status_code == 400, token
            assert token not in answer.text
        assert ada.get(live.url + "/").text == "hello ada@contoso.example"
        assert tell(live, good).status_code == 200

    def test_id_token(self, live: LiveApp, ada: Person) -> None:
        """An ID token is no logout token, though the provider signed it."""
        person = ada.get(live.url + "/sid")
        assert person.ok
        gone: dict[str, t.Any] = dict.fromkeys(("events", "jti"))
        claims = {**gone, "nonce": "n", "auth_time": 1}
        token = live.entra.logout_token("ada", sid=person.text, **claims)
        assert tell(live, token).status_code == 400
        assert ada.get(live.url + "/").text == "hello ada@contoso.example"

    @pytest.mark.parametrize(
        "token",
        [
            *("", "x", "a.b.c", "é.é.é", "....", "\x00", "e30.e30.e30", "eyJ" * 4000),
            f"{'A' * 20000}.e30.e30",
            "W10.e30.x",
            base64.urlsafe_b64encode(b"[" * 9000).decode().rstrip("=") + ".e30.x",
        ],
    )
    def test_no_token(self, live: LiveApp, token: str) -> None:
        """Anything else that is sent is refused with the same words, and no error."""
        answer = tell(live, token)
        assert answer.status_code == 400
        assert set(answer.json()) == {"error", "error_description"}
        assert len(answer.text) < 300

    def test_requests(self, live: LiveApp, ada: Person) -> None:
        """A token counts once, in a form of a POST, and in none that is too long."""
        good = live.entra.logout_token("ada", sid=sid_of(live, ada))
        url = live.url + PATH
        assert tell(live).status_code == 400
        assert tell(live, good, good).status_code == 400
        assert tell(live, good + "x" * 200_000).status_code == 413
        query = f"{url}?logout_token={good}"
        assert requests.post(query, timeout=PATIENCE).status_code == 400
        assert requests.get(query, timeout=PATIENCE).status_code == 405
        as_json = requests.post(url, json={"logout_token": good}, timeout=PATIENCE)
        assert as_json.status_code == 400
        assert ada.get(live.url + "/").text == "hello ada@contoso.example"

    def test_browser(self, live: LiveApp, ada: Person) -> None:
        """A browser that posts to it gets no other cookie, and stays signed in."""
        before = live.cookie(ada)
        answer = ada.post(live.url + PATH, {"logout_token": "x"})
        assert answer.status_code == 400 and "Set-Cookie" not in answer.headers
        assert live.cookie(ada) == before
        assert ada.get(live.url + "/").text == "hello ada@contoso.example"

    def test_told(
        self, live: LiveApp, ada: Person, caplog: pytest.LogCaptureFixture
    ) -> None:
        """One line and one signal tell of a refused token, and nothing of the token."""
        token = live.entra.logout_token("ada", sid=sid_of(live, ada), nonce="n")
        told = list[t.Any]()
        with signals.refused.connected_to(lambda _, error: told.append(error)):
            tell(live, token)
        (line,) = [text for text in caplog.messages if "logout token" in text]
        assert line.startswith("A request was refused: A logout token was refused")
        assert len(told) == 1
        for secret in (token, *token.split("."), sid_of(live, ada)):
            assert secret not in caplog.text + str(told[0])


def unsigned(token: str) -> dict[str, t.Any]:
    body = token.split(".")[1]
    return t.cast(
        "dict[str, t.Any]", json.loads(base64.urlsafe_b64decode(body + "==="))
    )
