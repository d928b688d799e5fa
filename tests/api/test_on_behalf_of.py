"""On-behalf-of: tokens for a further API, each for the caller who showed one."""

from __future__ import annotations

import base64
import json
import logging
import os
import subprocess
import threading
import time
import traceback
import typing as t
from pathlib import Path

import pytest
import redis
from flask import Flask
from flask import Response
from werkzeug.debug import DebuggedApplication
from werkzeug.test import Client

from flask_msal_errors import MsalAuth
from flask_msal_errors.api import ApiAuth
from flask_msal_errors.api.admission import api_state
from flask_msal_errors.api.admitted import Admitted
from flask_msal_errors.errors import ConfigurationError
from flask_msal_errors.errors import InteractionRequired
from flask_msal_errors.errors import MsalAuthError
from flask_msal_errors.protocol.demand import Claims
from flask_msal_errors.protocol.secret import Secret
from flask_msal_errors.session.msal_caches import Caches
from flask_msal_errors.signals import refused
from flask_msal_errors.state import of_request
from flask_msal_errors.storage import files
from flask_msal_errors.testing import Emulator
from support.apis import call
from support.apis import part
from support.on_behalf import PEOPLE
from support.on_behalf import Middle
from support.on_behalf import claims_asked
from support.on_behalf import claims_of
from support.on_behalf import demanded
from support.parallel import in_threads
from support.parallel import python
from support.waiting import PATIENCE

NBF = json.dumps({"access_token": {"nbf": {"essential": True, "value": "1"}}})


@pytest.fixture
def middle(entra: Emulator, redis_client: redis.Redis) -> Middle:
    return Middle(entra, redis_client)


def dump(client: redis.Redis) -> dict[t.Any, t.Any]:
    """All that is in a Redis."""
    return {key: client.get(key) for key in t.cast("list[bytes]", client.keys("*"))}


class TestCache:
    """One entry for each token that was shown, and each API that is called."""

    def test_hit(self, middle: Middle, entra: Emulator) -> None:
        """A second call with the same token costs no token request."""
        shown = entra.access_token("ada")
        first, second = middle.get(shown), middle.get(shown)
        assert claims_of(first) == claims_of(second)
        assert claims_of(first)["oid"] == entra.tenant.user("ada").object_id
        results = [t.cast("dict[str, t.Any]", each.json) for each in (first, second)]
        sources = [result["token_source"] for result in results]
        assert sources == ["identity_provider", "cache"] and middle.asked == 1
        kinds = {(result["token_type"], result["expires_in"] > 0) for result in results}
        assert kinds == {("Bearer", True)}
        for answer in (first, second):
            assert "Set-Cookie" not in answer.headers and "Vary" not in answer.headers

    def test_each_token_has_its_own(self, middle: Middle, entra: Emulator) -> None:
        """Another token of the same user is exchanged anew: it may prove more."""
        for _ in range(2):
            assert middle.get(entra.access_token("ada")).status_code == 200
        assert middle.asked == 2

    def test_never_mixed(self, middle: Middle, entra: Emulator) -> None:
        """Nine threads act for three users at once, each for its own."""
        shown = {name: entra.access_token(name) for name in PEOPLE}
        seen: list[tuple[str, str]] = []

        def act(number: int) -> None:
            for turn in range(6):
                name = PEOPLE[(number + turn) % 3]
                path = "/further?force=1" if turn % 3 == 1 else "/further"
                seen.append((name, claims_of(middle.get(shown[name], path))["oid"]))

        in_threads(9, act)
        expected = {(name, entra.tenant.user(name).object_id) for name in PEOPLE}
        assert len(seen) == 54 and set(seen) == expected

    def test_at_once(self, middle: Middle, entra: Emulator) -> None:
        """Of sixteen calls at once, one asks, and all have its token."""
        shown, seen = entra.access_token("ada"), []
        entra.slow(0.3)
        in_threads(16, lambda _: seen.append(claims_of(middle.get(shown))["uti"]))
        assert len(seen) == 16 and len(set(seen)) == 1 and middle.asked == 1

    def test_while_entra_is_down(self, middle: Middle, entra: Emulator) -> None:
        """A kept token serves while Entra does not answer."""
        shown = entra.access_token("ada")
        assert middle.get(shown).status_code == 200
        for target in ("token", "discovery", "jwks"):
            entra.unavailable(target=target)
        assert middle.get(shown).status_code == 200
        assert middle.get(entra.access_token("ada")).status_code == 503

    @pytest.mark.parametrize("more", ["force=1", f"claims={NBF}"])
    def test_forced(self, more: str, middle: Middle, entra: Emulator) -> None:
        """A forced call and one with claims ask, and what they get is kept."""
        shown = entra.access_token("ada")
        first = claims_of(middle.get(shown))["uti"]
        second = claims_of(middle.get(shown, f"/further?{more}"))["uti"]
        third = claims_of(middle.get(shown))["uti"]
        assert first != second == third and middle.asked == 2

    def test_scopes(self, middle: Middle, entra: Emulator) -> None:
        """A token serves the scopes that it was got for, and no others."""
        entra.give_consent("ada", "Profile.Read")
        shown, other = entra.access_token("ada"), entra.scope("Profile.Read")
        assert claims_of(middle.get(shown))["scp"] == "Mail.Read"
        path = f"/further?scopes={other}"
        assert claims_of(middle.get(shown, path))["scp"] == "Profile.Read"
        for each in ("/further", path):
            assert middle.get(shown, each).status_code == 200
        assert middle.asked == 2

    def test_ends_with_the_token_shown(
        self, middle: Middle, entra: Emulator, redis_client: redis.Redis
    ) -> None:
        """An entry is kept until the shown token ends, and no longer."""
        now = int(time.time())
        middle.get(entra.access_token("ada", exp=now + 600))
        (key,) = redis_client.keys("*exchanged-*")
        assert 590 < redis_client.ttl(key) <= 600
        redis_client.flushdb()
        # Clocks may differ by two minutes: it is taken, but nothing of it is kept.
        entra.tenant.settings.clock_skew = 100
        late = middle.get(entra.access_token("ada", exp=now - 60))
        assert late.status_code == 200
        assert not redis_client.keys("*exchanged-*")

    def test_due(self, middle: Middle, entra: Emulator) -> None:
        """A token that is due for renewal is renewed; it will do if Entra is down."""
        shown, entra.tenant.settings.refresh_in = entra.access_token("ada"), 0
        seen = [claims_of(middle.get(shown))["uti"]]
        seen.append(claims_of(middle.get(shown))["uti"])
        assert len(set(seen)) == 2
        entra.unavailable()
        assert claims_of(middle.get(shown))["uti"] == seen[1]

    def test_due_names_nobody(
        self, middle: Middle, entra: Emulator, caplog: pytest.LogCaptureFixture
    ) -> None:
        """The line about a token that is due has no address that Entra names."""
        shown, entra.tenant.settings.refresh_in = entra.access_token("ada"), 0
        assert middle.get(shown).status_code == 200
        said = {"error": "oops", "error_description": "ada@contoso.example:\nno."}
        entra.fail_next(said, "token", status=500)
        assert middle.get(shown).status_code == 200
        (line,) = (r.getMessage() for r in caplog.records if "due" in r.msg)
        assert "…@…: no." in line and "contoso" not in line

    def test_due_while_nothing_answers(
        self, middle: Middle, entra: Emulator, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """After one attempt in vain a token that is due serves without another one."""
        shown, entra.tenant.settings.refresh_in = entra.access_token("ada"), 0
        first, sent = claims_of(middle.get(shown))["uti"], list[str]()
        with middle.app.app_context():
            client = api_state().on_behalf_of._clients.of("")

        def lost(method: str, url: str, kwargs: dict[str, t.Any]) -> t.Any:
            sent.append(url)
            raise OSError("no route")

        monkeypatch.setattr(client.provider.connection().transport, "sender", lost)
        for _ in range(3):
            assert claims_of(middle.get(shown))["uti"] == first
        assert len(sent) == 1

    def test_expired(self, middle: Middle, entra: Emulator) -> None:
        """A token that is about to expire is exchanged anew."""
        entra.tenant.settings.token_lifetime = 200
        shown = entra.access_token("ada", exp=int(time.time()) + 600)
        for _ in range(2):
            assert middle.get(shown).status_code == 200
        assert middle.asked == 2

    @pytest.mark.parametrize("encrypted", [False, True])
    def test_secrets(
        self, encrypted: bool, entra: Emulator, redis_client: redis.Redis
    ) -> None:
        """Neither the shown token nor a refresh token is in the store."""
        keys = ["x" * 43 + "="] if encrypted else []
        middle = Middle(entra, redis_client, MSAL_ENCRYPTION_KEYS=keys)
        shown = entra.access_token("ada")
        token = t.cast("dict[str, str]", middle.get(shown).json)["access_token"]
        entra.throttle()
        assert middle.get(entra.access_token("ada")).status_code == 429
        entries = dump(redis_client)
        assert len(entries) == 2
        stored = repr(entries)
        refresh_tokens = list(entra.tenant.refresh_tokens)
        assert refresh_tokens
        for secret in (shown, shown.split(".")[2], *refresh_tokens):
            assert secret not in stored
        assert (token in stored) is not encrypted

    def test_copied_entry(self, entra: Emulator, redis_client: redis.Redis) -> None:
        """An encrypted entry that a neighbour copies to their own key gives nothing."""
        middle = Middle(entra, redis_client, MSAL_ENCRYPTION_KEYS=["x" * 43 + "="])
        people = {name: entra.access_token(name) for name in ("ada", "grace")}
        keys: dict[str, bytes] = {}
        for name, shown in people.items():
            assert middle.get(shown).status_code == 200
            (keys[name],) = dump(redis_client).keys() - set(keys.values())
        redis_client.set(keys["grace"], t.cast("bytes", redis_client.get(keys["ada"])))
        own = entra.tenant.user("grace").object_id
        for _ in range(2):
            assert claims_of(middle.get(people["grace"]))["oid"] == own
        assert middle.asked == 3

    @pytest.mark.parametrize("kept", [[], ["x"]])
    def test_rotated_keys(
        self, kept: list[str], entra: Emulator, redis_client: redis.Redis
    ) -> None:
        """An entry serves under a new key as long as the old one is listed."""
        keys = [letter * 43 + "=" for letter in ("x", "y")]
        shown = entra.access_token("ada")
        first = Middle(entra, redis_client, MSAL_ENCRYPTION_KEYS=keys[:1])
        assert first.get(shown).status_code == 200
        listed = [keys[1], *(letter * 43 + "=" for letter in kept)]
        renewed = Middle(entra, redis_client, MSAL_ENCRYPTION_KEYS=listed)
        for _ in range(2):
            assert renewed.get(shown).status_code == 200
        assert renewed.asked == (1 if kept else 2)


class TestPauses:
    """A pause that Entra asks for is one user's, by one app."""

    def test_of_another(self, middle: Middle, entra: Emulator) -> None:
        """A's 429 does not hold B, holds A for all tokens, and is not asked again."""
        entra.fail_next({}, status=429, headers={"Retry-After": "40"})
        answer = middle.get(entra.access_token("ada"))
        assert answer.status_code == 429
        assert 38 <= int(answer.headers["Retry-After"]) <= 40
        assert middle.get(entra.access_token("grace")).status_code == 200
        asked = middle.asked
        for path in ("/further", f"/further?scopes={entra.scope('Profile.Read')}"):
            again = middle.get(entra.access_token("ada"), path)
            assert again.status_code == 429 and int(again.headers["Retry-After"]) <= 40
        assert middle.asked == asked
        other = entra.access_token("ada", azp="22222222-2222-2222-2222-222222222222")
        assert middle.get(other).status_code == 200

    @pytest.mark.parametrize("last", [429, 400])
    def test_two_at_once(self, last: int, middle: Middle, entra: Emulator) -> None:
        """Of two refusals at once of one user, a pause is kept, whichever is last."""
        shown = [entra.access_token("ada") for _ in range(2)]
        both, is_first_told = threading.Barrier(2), threading.Event()
        consent = {"error": "invalid_grant", "error_codes": [65001]}

        def answer(request: t.Any) -> Response:
            """Answer both when both have asked, and one of them first."""
            both.wait(PATIENCE)
            status = 429 if request.form["assertion"] == shown[0] else 400
            if status == last:
                assert is_first_told.wait(PATIENCE)
            headers = {"Retry-After": "40"} if status == 429 else {}
            return Response(json.dumps(consent), status, headers)

        def ask(number: int) -> None:
            statuses[number] = middle.get(shown[number]).status_code
            is_first_told.set()

        statuses: dict[int, int] = {}
        entra.fail_next(answer, times=2)
        in_threads(2, ask)
        assert statuses == {0: 429, 1: 403} and middle.asked == 2
        assert middle.get(entra.access_token("ada")).status_code == 429
        assert middle.asked == 2

    def test_unavailable(self, middle: Middle, entra: Emulator) -> None:
        """An outage is told with a time to come back."""
        entra.unavailable(retry_after="seconds")
        answer = middle.get(entra.access_token("ada"))
        assert answer.status_code == 503 and int(answer.headers["Retry-After"]) > 0

    def test_consent_meanwhile(self, middle: Middle, entra: Emulator) -> None:
        """Consent that is given a moment later is seen with the next token."""
        entra.withdraw_consent("ada")
        shown = entra.access_token("ada")
        assert middle.get(shown).status_code == 403
        entra.give_consent("ada", "Mail.Read")
        assert middle.get(entra.access_token("ada")).status_code == 200


class TestRefusals:
    """Refusals of the token endpoint, as the caller is told them."""

    def test_consent(self, middle: Middle, entra: Emulator) -> None:
        """Missing consent asks for all scopes of this API."""
        entra.withdraw_consent("ada")
        answer = middle.get(entra.access_token("ada"))
        assert answer.status_code == 403
        found = demanded(answer)
        assert found["error"] == "insufficient_scope" and "claims" not in found
        assert found["scope"] == f"api://{entra.client_id}/.default"
        assert t.cast("dict[str, t.Any]", answer.json)["codes"] == [65001]

    def test_claims(self, middle: Middle, entra: Emulator) -> None:
        """Claims are handed on, beside what the view itself asks for."""
        entra.require_mfa("Mail.Read")
        answer = middle.get(entra.access_token("ada"))
        assert answer.status_code == 401 and "scope" not in demanded(answer)
        assert demanded(answer)["error"] == "insufficient_claims"
        asked = claims_asked(answer)
        assert asked.keys() == {"polids"}
        shown = entra.access_token("ada", acrs=["c1"])
        both = claims_asked(middle.get(shown, "/context"))
        context = {"essential": True, "value": "c1"}
        assert both == {**asked, "acrs": context}
        proven = entra.access_token("ada", amr=["pwd", "mfa"])
        assert middle.get(proven).status_code == 200

    def test_asked_claims(self, middle: Middle, entra: Emulator) -> None:
        """Claims that the view asked for are handed on if the refusal names none."""
        context = {"acrs": {"essential": True, "value": "c1"}}
        asked = json.dumps({"access_token": context})
        answer = middle.get(entra.access_token("ada"), f"/further?claims={asked}")
        assert answer.status_code == 401 and "max_age" not in demanded(answer)
        assert claims_asked(answer) == context

    @pytest.mark.parametrize("event", ["revoke", "expire_password", "expire_frequency"])
    def test_ended(self, event: str, middle: Middle, entra: Emulator) -> None:
        """A sign-in that ended asks for a new one, by claims that all clients take."""
        shown = entra.access_token("ada")
        getattr(entra, event)("ada")
        answer = middle.get(shown)
        assert answer.status_code == 401
        found = demanded(answer)
        assert (found["error"], found["max_age"]) == ("insufficient_claims", "0")
        assert abs(int(claims_asked(answer)["nbf"]["value"]) - time.time()) < 60

    def test_assertion_expired(self, middle: Middle, entra: Emulator) -> None:
        """A token that Entra's clock finds expired is refused as one, not its user."""
        answer = middle.get(entra.access_token("ada", exp=int(time.time()) - 90))
        assert answer.status_code == 401
        assert demanded(answer)["error"] == "invalid_token"

    def test_no_token(self, middle: Middle, entra: Emulator) -> None:
        """An answer with a token for signing in alone is the provider's fault."""
        parts = ({"alg": "none"}, {"iss": entra.issuer, "aud": entra.client_id})
        body = {"id_token": ".".join([*map(part, parts), "x"]), "expires_in": 3600}
        entra.fail_next(body, status=200)
        answer = middle.get(entra.access_token("ada"))
        assert answer.status_code == 502
        assert t.cast("dict[str, t.Any]", answer.json)["error"] == "invalid_response"

    def test_app(self, middle: Middle, entra: Emulator) -> None:
        """An app without a user has nobody on whose behalf anything could be called."""
        shown = entra.access_token(None, roles=["Reports"])
        answer = middle.get(shown, "/apps")
        assert answer.status_code == 403 and middle.asked == 0
        assert "WWW-Authenticate" not in answer.headers

    def test_no_credential(self, entra: Emulator) -> None:
        """Without a credential the app is told what to set; callers are not."""
        middle, seen = Middle(entra, MSAL_CLIENT_CREDENTIAL=None), []
        with refused.connected_to(lambda app, error: seen.append(error), middle.app):
            answer = middle.get(entra.access_token("ada"))
        assert answer.status_code == 500 and "MSAL_" not in answer.text
        assert "MSAL_CLIENT_CREDENTIAL is not set" in str(seen[0])

    def test_wrong_credential(self, entra: Emulator, redis_client: redis.Redis) -> None:
        """A credential that Entra refuses is the app's fault."""
        middle = Middle(entra, redis_client, MSAL_CLIENT_CREDENTIAL="wrong")
        assert middle.get(entra.access_token("ada")).status_code == 500

    def test_several_apis(self, middle: Middle, entra: Emulator) -> None:
        """Scopes of two APIs are refused before anything is asked."""
        path = f"/further?scopes={entra.scope('Mail.Read')}+User.Read"
        assert middle.get(entra.access_token("ada"), path).status_code == 500
        assert middle.asked == 0

    def test_outside(self, middle: Middle) -> None:
        """Without a request or a guard there is no caller."""
        with middle.app.app_context(), pytest.raises(ConfigurationError):
            middle.api.on_behalf_of([middle.scope])
        with middle.app.test_request_context(), pytest.raises(ConfigurationError):
            middle.api.on_behalf_of([middle.scope])


class TestCost:
    """Commands to the store, as Redis counts them."""

    def commands(self, client: redis.Redis, work: t.Callable[[], object]) -> list[str]:
        client.config_resetstat()
        work()
        stats = t.cast("dict[str, dict[str, int]]", client.info("commandstats"))
        names = {"cmdstat_info", "cmdstat_config|resetstat", "cmdstat_ping"}
        # Of a new connection, and those that a script of a lock's release runs.
        names |= {"cmdstat_client|setinfo", "cmdstat_hello", "cmdstat_select"}
        return sorted(
            name.removeprefix("cmdstat_")
            for name, stat in stats.items()
            for _ in range(stat["calls"])
            if name not in names
        )

    def test_commands(
        self, middle: Middle, entra: Emulator, redis_client: redis.Redis
    ) -> None:
        """A hit is one read; a miss is three, with a lock and a write."""
        # Its script is loaded by the first release.
        assert middle.get(entra.access_token("grace")).status_code == 200
        shown = entra.access_token("ada")
        miss = self.commands(redis_client, lambda: middle.get(shown))
        inside = ["del", "get"]
        for name in ("evalsha", *inside, "get", "get", "get", "set", "set"):
            miss.remove(name)
        assert miss == []
        hit = self.commands(redis_client, lambda: middle.get(shown))
        assert hit == ["get"]
        assert self.commands(redis_client, lambda: middle.get(None)) == []

    @pytest.mark.once
    @pytest.mark.parametrize("encrypted", [False, True])
    def test_memory(
        self, encrypted: bool, entra: Emulator, redis_client: redis.Redis
    ) -> None:
        """Ten thousand entries, with tokens of 2 KB, take 40 MB of Redis at most."""
        keys = ["x" * 43 + "="] if encrypted else []
        middle = Middle(entra, redis_client, MSAL_ENCRYPTION_KEYS=keys)
        count, shown = 500, entra.access_token("ada")

        def answer(request: t.Any) -> dict[str, t.Any]:
            token = base64.urlsafe_b64encode(os.urandom(1536)).decode()
            given = {"access_token": token, "token_type": "Bearer"}
            return {**given, "expires_in": 3600, "scope": middle.scope}

        entra.fail_next(answer, status=200, times=count)
        before = used(redis_client)

        @middle.app.get("/many")
        @middle.api.token_required
        def view() -> str:
            here = of_request(Admitted)
            for number in range(count):
                here.token = Secret(f"{shown}{number}")
                middle.api.on_behalf_of([middle.scope])
            return ""

        assert middle.get(shown, "/many").status_code == 200
        assert len(redis_client.keys("*")) == count
        assert (used(redis_client) - before) * 10_000 / count < 40_000_000


def used(client: redis.Redis) -> int:
    """Bytes that Redis uses."""
    return t.cast("dict[str, int]", client.info("memory"))["used_memory"]


class TestProcesses:
    """Several processes of one app."""

    CODE = """
import sys
from flask import Flask
from redis import Redis
from flask_msal_errors.api import ApiAuth
from flask_msal_errors.api.admission import api_state
from flask_msal_errors.api.admitted import Admitted

settings = eval(sys.argv[1])
app = Flask("middle")
client = Redis.from_url(sys.argv[2])
app.config.update(settings, SESSION_TYPE="redis", SESSION_REDIS=client)
api = ApiAuth(app)

@app.get("/further")
@api.token_required
def further():
    return api.on_behalf_of([sys.argv[3]])

for line in sys.stdin:
    headers = {"Authorization": "Bearer " + line.strip()}
    print(app.test_client().get("/further", headers=headers).text.strip(), flush=True)
"""

    def test_two(
        self, middle: Middle, entra: Emulator, redis_client: redis.Redis
    ) -> None:
        """Two processes share tokens, ask once, and keep a pause together."""
        place = redis_client.connection_pool.connection_kwargs["path"]
        given = (repr(entra.config()), f"unix://{place}", middle.scope)
        shown = entra.access_token("ada")
        with python(self.CODE, *given) as one, python(self.CODE, *given) as other:
            entra.slow(0.3)
            answers = [_answer(each, shown) for each in (one, other)]
            tokens = {json.loads(read())["access_token"] for read in answers}
            assert len(tokens) == 1 and middle.asked == 1
            assert claims_of(middle.get(shown))["oid"]
            entra.clear_faults()
            entra.throttle(40)
            for each in (one, other):
                read = _answer(each, entra.access_token("ada"))
                assert json.loads(read())["status"] == 429
            assert middle.asked == 2


def _answer(process: subprocess.Popen[str], shown: str) -> t.Callable[[], str]:
    """Have a process call, and return how its answer is read."""
    assert process.stdin and process.stdout
    process.stdin.write(shown + "\n")
    process.stdin.flush()
    return process.stdout.readline


class TestHidden:
    """The shown token is known to its request alone."""

    @pytest.mark.parametrize("fault", ["broken", "unavailable", "crash", "store"])
    def test_tracebacks(
        self,
        fault: str,
        middle: Middle,
        entra: Emulator,
        redis_client: redis.Redis,
        monkeypatch: pytest.MonkeyPatch,
        caplog: pytest.LogCaptureFixture,
    ) -> None:
        """No local of a traceback, no text of an error and no line shows a token."""
        shown, seen = entra.access_token("ada"), []
        signature = shown.split(".")[2]

        def fail(*args: t.Any, **kwargs: t.Any) -> t.Any:
            raise RuntimeError("a bug")

        if fault in ("broken", "unavailable"):
            getattr(entra, fault)()
        elif fault == "crash":
            monkeypatch.setattr(Caches, "access_tokens", fail)
        else:
            monkeypatch.setattr(type(redis_client), "set", _gone)
        caplog.set_level(logging.DEBUG)

        @middle.app.get("/seen")
        @middle.api.token_required
        def view() -> str:
            try:
                middle.api.on_behalf_of([middle.scope])
            except (MsalAuthError, RuntimeError) as error:
                seen.append(error)
            return repr([middle.api, middle.api.caller, of_request(Admitted)])

        answer = middle.get(shown, "/seen")
        assert answer.status_code == 200 and signature not in answer.text
        causes: list[BaseException] = list(seen)
        assert causes
        while more := causes[-1].__cause__ or causes[-1].__context__:
            causes.append(more)
        frames = [
            frame
            for each in causes
            for frame, _ in traceback.walk_tb(each.__traceback__)
        ]
        assert frames
        shown_locals = [repr(x) for f in frames for x in f.f_locals.values()]
        ours = [x for x in shown_locals if signature in x]
        # The test's own frame is above the request.
        assert not ours
        assert signature not in "".join(map(str, causes)) + caplog.text

    def test_debug_page(self, middle: Middle, entra: Emulator) -> None:
        """Werkzeug's debugger shows the source and no values; the answer has none."""
        shown = entra.access_token("ada")

        @middle.app.get("/bug")
        @middle.api.token_required
        def view() -> str:
            middle.api.on_behalf_of([middle.scope])
            raise ZeroDivisionError

        middle.app.debug = True
        page = DebuggedApplication(middle.app, evalex=False)
        headers = {"Authorization": f"Bearer {shown}"}
        answer = Client(page).get("/bug", headers=headers)
        assert answer.status_code == 500 and "ZeroDivisionError" in answer.text
        assert shown.split(".")[2] not in answer.text


def _gone(*args: t.Any, **kwargs: t.Any) -> t.Any:
    raise redis.ConnectionError("gone")


class TestTenants:
    """An API whose callers are of several tenants."""

    def test_endpoint(self, entra: Emulator, redis_client: redis.Redis) -> None:
        """Each caller's token is exchanged at the endpoint of their tenant."""
        common = f"{entra.tenant.base_url}/common"
        other = "33333333-3333-3333-3333-333333333333"
        settings = {"MSAL_AUTHORITY": common, "MSAL_ALLOWED_TENANTS": "*"}
        middle = Middle(entra, redis_client, **settings)
        assert middle.get(entra.access_token("ada")).status_code == 200
        of_other = entra.issuer.replace(entra.tenant_id, other)
        shown = entra.access_token("ada", tid=other, iss=of_other)
        # The emulator has one tenant: nobody is found at another's endpoint.
        assert middle.get(shown).status_code == 500
        paths = [c.path for c in entra.calls if c.kind in ("token", "discovery")]
        assert f"/{entra.tenant_id}/oauth2/v2.0/token" in paths
        assert any(path.startswith(f"/{other}/") for path in paths)
        assert not any("/common/oauth2" in path for path in paths)

    def test_not_allowed(self, entra: Emulator, redis_client: redis.Redis) -> None:
        """A caller of a tenant that may not call costs no call of its endpoint."""
        common = f"{entra.tenant.base_url}/common"
        other = "33333333-3333-3333-3333-333333333333"
        settings = {"MSAL_AUTHORITY": common, "MSAL_ALLOWED_TENANTS": entra.tenant_id}
        middle = Middle(entra, redis_client, **settings)
        of_other = entra.issuer.replace(entra.tenant_id, other)
        shown = entra.access_token("ada", tid=other, iss=of_other)
        assert middle.get(shown).status_code == 401
        assert not any(other in call.path for call in entra.calls)


class TestStores:
    """The store of an app with and without sessions."""

    @pytest.mark.parametrize("web_first", [True, False])
    def test_beside_a_web_app(
        self, web_first: bool, entra: Emulator, redis_client: redis.Redis
    ) -> None:
        """Web app and API share one backend, whichever is set up first."""
        sessions = {"SESSION_TYPE": "redis", "SESSION_REDIS": redis_client}
        app = Flask("both")
        app.config.update(entra.config(), SECRET_KEY="s", **sessions)
        if web_first:
            MsalAuth(app)
        api = ApiAuth(app)
        if not web_first:
            MsalAuth(app)
        entra.give_consent("ada", "Mail.Read")
        scopes = [entra.scope("Mail.Read")]
        view = api.token_required(lambda: api.on_behalf_of(scopes))
        app.add_url_rule("/payroll", "payroll", view)
        answer = call(app, entra.access_token("ada"))
        assert answer.status_code == 200 and "Set-Cookie" not in answer.headers
        assert len(dump(redis_client)) == 1

    def test_files(self, entra: Emulator, tmp_path: Path) -> None:
        """Without any key, tokens are in private files, and no session is made."""
        app = Flask("files", instance_path=str(tmp_path))
        app.config.update(entra.config())
        before = app.session_interface
        api = ApiAuth(app)
        assert app.session_interface is before
        entra.give_consent("ada", "Mail.Read")
        scopes = [entra.scope("Mail.Read")]
        view = api.token_required(lambda: api.on_behalf_of(scopes))
        app.add_url_rule("/payroll", "payroll", view)
        shown = entra.access_token("ada")
        assert call(app, shown).status_code == call(app, shown).status_code == 200
        (path,) = (tmp_path / "flask_session").iterdir()
        assert path.stat().st_mode & 0o077 == 0
        assert shown.split(".")[2].encode() not in path.read_bytes()

    def test_locks_of_files(
        self, entra: Emulator, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """A pause is kept under a lock of its kind, where all of a kind have one."""
        monkeypatch.setattr(files, "_STRIPES", 1)
        app = Flask("files", instance_path=str(tmp_path))
        app.config.update(entra.config())
        api = ApiAuth(app)
        scopes = [entra.scope("Mail.Read")]
        view = api.token_required(lambda: api.on_behalf_of(scopes))
        app.add_url_rule("/payroll", "payroll", view)
        entra.throttle(40)
        for _ in range(2):
            assert call(app, entra.access_token("ada")).status_code == 429

    def test_fails_early(self, entra: Emulator) -> None:
        """A store that cannot be is refused at the start; without a credential, none
        is made."""
        app = Flask("null")
        app.config.update(entra.config(), SESSION_TYPE="null")
        with pytest.raises(ConfigurationError, match="SESSION_TYPE"):
            ApiAuth(app)
        app = Flask("null")
        app.config.update(
            entra.config(), SESSION_TYPE="null", MSAL_CLIENT_CREDENTIAL=None
        )
        ApiAuth(app)

    def test_outage(self, middle: Middle, entra: Emulator, monkeypatch: t.Any) -> None:
        """A store that does not answer is told with a time to come back."""
        monkeypatch.setattr(redis.Redis, "get", _gone)
        answer = middle.get(entra.access_token("ada"))
        assert answer.status_code == 503 and answer.headers["Retry-After"]


class TestDrop:
    """Tokens that a further API refused."""

    def test_drop(self, middle: Middle, entra: Emulator) -> None:
        """A dropped token is not handed out again; another one of the entry stays."""
        shown, tokens = entra.access_token("ada"), []

        @middle.app.get("/drop")
        @middle.api.token_required
        def view() -> str:
            state = api_state().on_behalf_of
            first = state.acquire([middle.scope])["access_token"]
            tokens.append(str(first))
            state.drop("another")
            state.drop(first)
            state.drop(first)
            return ""

        for _ in range(2):
            assert middle.get(shown, "/drop").status_code == 200
        assert len(set(tokens)) == 2 and middle.asked == 2

    @pytest.mark.parametrize("claims", [None, NBF])
    def test_refused(self, claims: str | None, middle: Middle, entra: Emulator) -> None:
        """In place of a refused token comes a new one, and that serves the next."""
        shown, tokens = entra.access_token("ada"), []

        @middle.app.get("/refused")
        @middle.api.token_required
        def view() -> str:
            state = api_state().on_behalf_of
            first = state.acquire([middle.scope])["access_token"]
            asked = Claims.of_api(claims) if claims else None
            for _ in range(2):
                found = state.acquire([middle.scope], refused=first, claims=asked)
                tokens.append(str(found["access_token"]))
            tokens.append(str(first))
            return ""

        assert middle.get(shown, "/refused").status_code == 200
        assert tokens[0] == tokens[1] != tokens[2] and middle.asked == 2

    def test_not_without_the_user(self, middle: Middle, entra: Emulator) -> None:
        """A refused token is gone though no other could be had."""
        shown = entra.access_token("ada")
        kept: list[bytes] = []

        @middle.app.get("/refused")
        @middle.api.token_required
        def view() -> str:
            state = api_state().on_behalf_of
            first = state.acquire([middle.scope])["access_token"]
            entra.withdraw_consent("ada")
            with pytest.raises(InteractionRequired):
                state.acquire([middle.scope], refused=first)
            kept.extend(dump(middle.app.config["SESSION_REDIS"]))
            return ""

        assert middle.get(shown, "/refused").status_code == 200
        assert not [key for key in kept if b"exchanged" in key]
