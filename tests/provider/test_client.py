"""The one MSAL application, with the real MSAL and the emulator."""

from __future__ import annotations

import inspect
import json
import logging
import typing as t
from datetime import timedelta
from pathlib import Path

import msal
import pytest

from flask_msal_errors.entra import codes
from flask_msal_errors.errors import ConfigurationError
from flask_msal_errors.errors import InteractionRequired
from flask_msal_errors.errors import InvalidIdToken
from flask_msal_errors.errors import MsalAuthError
from flask_msal_errors.errors import ServiceUnavailable
from flask_msal_errors.errors import Throttled
from flask_msal_errors.errors import TokenError
from flask_msal_errors.protocol.demand import Claims
from flask_msal_errors.protocol.secret import Secret
from flask_msal_errors.provider.client import Client
from flask_msal_errors.provider.replies import Reply
from flask_msal_errors.provider.transport import within
from flask_msal_errors.session.msal_caches import Caches
from flask_msal_errors.session.record import Record
from flask_msal_errors.session.records import Records
from flask_msal_errors.settings import Settings
from flask_msal_errors.storage.codec import Codec
from flask_msal_errors.storage.store import Store
from flask_msal_errors.testing import Emulator
from support import parallel
from support import session_apps
from support import sign_ins
from support import waiting
from support.sign_ins import client as client
from support.waiting import PATIENCE

PROFILE = ("Profile.Read",)


def scopes(entra: Emulator, *names: str) -> list[str]:
    return [entra.scope(name) for name in names or PROFILE]


def refreshed(entra: Emulator, client: Client, user: Caches) -> dict[str, t.Any]:
    return client.silent(user, scopes(entra), force_refresh=True)


class TestSignIn:
    """Beginning a flow, and redeeming its code."""

    def test_redeemed(self, entra: Emulator, client: Client) -> None:
        """A code gives MSAL's result, validated claims and caches of their own."""
        result, claims, caches = sign_ins.sign_in(entra, client)
        assert result["access_token"] and claims["name"] == "Ada Lovelace"
        found = client.cached(caches, scopes(entra))
        assert found is not None and found["access_token"] == result["access_token"]

    def test_trap_5_and_6_flow_is_left_alone(
        self, entra: Emulator, client: Client
    ) -> None:
        """The stored flow is not changed; its claims reach the code redemption."""
        claims = '{"access_token":{"nbf":{"essential":true,"value":"1"}}}'
        flow = client.begin(
            scopes(entra), Claims.parse(claims), redirect_uri=sign_ins.REDIRECT_URI
        )
        before = dict(flow)
        client.redeem(flow, entra.person().authorize(flow["auth_uri"]).params)
        assert flow == before
        sent = [call.form for call in entra.calls if call.kind == "token"]
        assert '"nbf"' in sent[-1]["claims"] and "cp1" in sent[-1]["claims"].lower()

    def test_trap_7_nonce(self, entra: Emulator, client: Client) -> None:
        """Another sign-in's ID token is refused by us, without any value in the text.

        MSAL raises a RuntimeError with both nonces after it has cached the tokens.
        """
        for forgery in ({"nonce": "strange"}, {"drop": ["nonce"]}):
            entra.forge(**forgery)
            with pytest.raises(InvalidIdToken, match="no nonce, or that of") as caught:
                sign_ins.sign_in(entra, client)
            error = caught.value
            assert "strange" not in str(error)
            assert error.__cause__ is None and error.__suppress_context__

    @pytest.mark.parametrize("change", ["state", "code", "flow"])
    def test_wrong_answer(self, entra: Emulator, client: Client, change: str) -> None:
        """An answer that does not fit its flow is an error without its values."""
        flow = client.begin(scopes(entra), redirect_uri=sign_ins.REDIRECT_URI)
        answer = entra.person().authorize(flow["auth_uri"]).params
        if change == "flow":
            flow["code_verifier"] = "another-verifier-that-is-long-enough-for-pkce"
        else:
            answer[change] = "changed"
        with pytest.raises(MsalAuthError) as caught:
            client.redeem(flow, answer)
        for value in (flow["state"], answer["code"], flow["code_verifier"]):
            assert value not in str(caught.value)

    @pytest.mark.parametrize("token", ["x", "a.b.c", "", 5, {"a": 1}])
    def test_garbage_id_token(
        self, entra: Emulator, client: Client, token: t.Any
    ) -> None:
        """Something else in the place of an ID token is one of our errors."""
        entra.fail_next(
            {"access_token": "AT", "id_token": token, "expires_in": 60}, status=200
        )
        with pytest.raises((TokenError, InvalidIdToken)):
            sign_ins.sign_in(entra, client)

    def test_no_warning(self, entra: Emulator, client: Client) -> None:
        """MSAL's advice about form_post is not printed at every sign-in."""
        client.begin(scopes(entra), redirect_uri=sign_ins.REDIRECT_URI)

    def test_keys_unreachable(self, entra: Emulator, client: Client) -> None:
        """Without keys an ID token is not accepted: 503, and the next one works."""
        entra.unavailable(30, target="jwks", retry_after="seconds")
        with pytest.raises(ServiceUnavailable) as caught:
            sign_ins.sign_in(entra, client)
        assert caught.value.retry_after == pytest.approx(30, abs=2)
        entra.clear_faults()
        sign_ins.sign_in(entra, client)

    def test_end_session(self, entra: Emulator, client: Client) -> None:
        """The URL of the sign-out comes from discovery."""
        found = client.end_session_endpoint()
        assert found is not None and found.startswith(entra.pages_url)


def test_tokens_for(entra: Emulator) -> None:
    """A token of Entra's serves one resource, one of another provider's any scopes."""
    two = "https://mail.example/", "https://calendar.example/read"
    assert Client(sign_ins.settings(entra)).tokens_for(two) == (two[:1], two[1:])
    other = {**entra.config("openid"), "MSAL_AUTHORITY": None}
    client = Client(
        Settings.from_mapping(
            {**entra.config(), **other, "MSAL_INSTANCE_DISCOVERY": None}
        )
    )
    assert (client.tokens_for(two), client.tokens_for(())) == ((two,), ())


class TestCached:
    """Tokens out of the caches, without any network."""

    @pytest.mark.parametrize(
        ("times", "fresh", "due"),
        [
            ({}, True, True),
            ({"expires_on": 310}, True, True),
            ({"expires_on": 290}, False, False),
            ({"expires_on": -5}, False, False),
            ({"refresh_on": 60}, True, True),
            ({"refresh_on": -60}, False, True),
            ({"refresh_on": -60, "expires_on": 290}, False, False),
        ],
    )
    def test_times(
        self,
        entra: Emulator,
        client: Client,
        times: dict[str, int],
        fresh: bool,
        due: bool,
    ) -> None:
        """A living token is taken; one that is due for renewal only if that is said."""
        user = sign_ins.aged(sign_ins.signed_in(entra, client), **times)
        before = entra.counters.total()
        assert (client.cached(user, scopes(entra)) is not None) is fresh
        assert (client.cached(user, scopes(entra), due=True) is not None) is due
        assert entra.counters.total() == before

    def test_result(self, entra: Emulator, client: Client) -> None:
        """It has the shape of MSAL's own."""
        user = sign_ins.signed_in(entra, client)
        found = client.cached(user, scopes(entra))
        theirs = client.silent(user, scopes(entra))
        assert found is not None
        assert found.keys() == theirs.keys()
        assert found["access_token"] == theirs["access_token"]
        assert found["token_source"] == theirs["token_source"] == "cache"

    def test_other_scope(self, entra: Emulator, client: Client) -> None:
        """A token of other scopes is none."""
        user = sign_ins.signed_in(entra, client)
        assert client.cached(user, scopes(entra, "Mail.Read")) is None


class TestSilent:
    """Tokens of the token endpoint, and its refusals."""

    def test_refreshed(self, entra: Emulator, client: Client) -> None:
        """A refresh gives a new token and keeps it."""
        user = sign_ins.signed_in(entra, client)
        old = client.silent(user, scopes(entra))["access_token"]
        new = refreshed(entra, client, user)["access_token"]
        assert new != old
        assert client.silent(user, scopes(entra))["access_token"] == new

    def test_claims(self, entra: Emulator, client: Client) -> None:
        """Claims reach the token endpoint together with CP1."""
        user = sign_ins.signed_in(entra, client)
        claims = '{"access_token":{"nbf":{"essential":true,"value":"1"}}}'
        client.silent(user, scopes(entra), claims=Claims.parse(claims))
        sent = entra.calls[-1].form["claims"]
        assert '"nbf"' in sent and "cp1" in sent.lower()

    @pytest.mark.parametrize("claims", ['{"access_token":null}', '{"id_token":[]}'])
    def test_trap_5_null_claims(
        self, entra: Emulator, client: Client, claims: str
    ) -> None:
        """Claims that crash MSAL are left out, and a new token is had all the same."""
        user = sign_ins.signed_in(entra, client)
        old = client.silent(user, scopes(entra))["access_token"]
        result = client.silent(
            user, scopes(entra), claims=Claims.parse(claims), force_refresh=True
        )
        assert result["access_token"] != old

    def test_refused(self, entra: Emulator, client: Client) -> None:
        """A refusal that the user can resolve says for which scopes."""
        user = sign_ins.signed_in(entra, client)
        entra.revoke("ada")
        with pytest.raises(InteractionRequired) as caught:
            refreshed(entra, client, user)
        assert caught.value.scopes == tuple(scopes(entra))
        assert 50173 in caught.value.codes

    @pytest.mark.parametrize("own", [None, "polids"])
    def test_claims_of_both(
        self, entra: Emulator, client: Client, own: str | None
    ) -> None:
        """A refusal demands the claims that were asked for, beside its own."""
        user = sign_ins.signed_in(entra, client)
        asked = Claims.parse('{"access_token":{"nbf":{"essential":true}}}')
        refusal = {"error": "interaction_required", "error_codes": [50076]}
        if own:
            refusal["claims"] = json.dumps({"access_token": {own: {"essential": True}}})
        entra.fail_next(refusal, "token", 400)
        with pytest.raises(InteractionRequired) as caught:
            client.silent(user, scopes(entra), claims=asked)
        names = [name for name in ("nbf", own) if name]
        assert caught.value.demand.claims.names() == tuple(
            f"access_token.{name}" for name in names
        )

    def test_nothing_cached(self, entra: Emulator, client: Client) -> None:
        """Empty caches mean that the user is needed."""
        with pytest.raises(InteractionRequired) as caught:
            client.silent(Caches(), scopes(entra))
        assert caught.value.reason == "no_token"

    def test_network(self, entra: Emulator, client: Client) -> None:
        """A timeout is a 503 that names the host and the setting."""
        user = sign_ins.signed_in(entra, client)
        entra.slow(2)
        expected = pytest.raises(ServiceUnavailable, match="localhost.*MSAL_AUTHORITY")
        with expected, within(0.5):
            refreshed(entra, client, user)
        entra.clear_faults()
        assert refreshed(entra, client, user)
        waiting.until(lambda: entra.counters["token.refresh_token"] == 2)

    def test_no_secret_behind_an_error(self, entra: Emulator, client: Client) -> None:
        """The causes of an error do not carry the token request's body along."""
        user = sign_ins.signed_in(entra, client)
        entra.slow(2)
        with pytest.raises(ServiceUnavailable) as caught, within(0.5):
            refreshed(entra, client, user)
        cause: t.Any = caught.value.__cause__
        assert cause.request is None and cause.response is None
        waiting.until(lambda: entra.counters["token.refresh_token"] == 1)

    def test_broken_json(self, entra: Emulator, client: Client) -> None:
        """A broken answer is an error of its own, and is not remembered."""
        user = sign_ins.signed_in(entra, client)
        entra.broken()
        with pytest.raises(TokenError, match="no JSON object") as caught:
            refreshed(entra, client, user)
        assert caught.value.error == "invalid_response"
        entra.clear_faults()
        assert refreshed(entra, client, user)

    @pytest.mark.parametrize("word", ["\u5931", "a\r\nX: y", {"code": 1}, 5])
    def test_odd_error(self, entra: Emulator, client: Client, word: t.Any) -> None:
        """An error of odd characters, or none, harms no later request of anybody."""
        user = sign_ins.signed_in(entra, client)
        entra.fail_next({"error": word}, "token", 400)
        with pytest.raises(TokenError):
            refreshed(entra, client, user)
        assert refreshed(entra, client, sign_ins.signed_in(entra, client))

    @pytest.mark.parametrize("fault", ["503", "429", "slow", "broken"])
    def test_trap_4_outlasts(self, entra: Emulator, client: Client, fault: str) -> None:
        """A living token that is due for renewal outlasts a failing server."""
        user = sign_ins.aged(sign_ins.signed_in(entra, client), refresh_on=-60)
        before = client.cached(user, scopes(entra), due=True)
        {
            "503": entra.unavailable,
            "429": entra.throttle,
            "slow": lambda: entra.slow(2),
            "broken": entra.broken,
        }[fault]()
        with within(0.5 if fault == "slow" else PATIENCE):
            found = client.silent(user, scopes(entra))
        assert before and found["access_token"] == before["access_token"]
        waiting.until(lambda: entra.counters["token.refresh_token"] == 1)


class TestThrottled:
    """A live 429 or 5xx blocks every token call of the session until then."""

    @pytest.mark.parametrize("plain", [True, False], ids=["text", "json"])
    @pytest.mark.parametrize("form", ["seconds", "date"])
    def test_trap_3_seconds(
        self, entra: Emulator, client: Client, plain: bool, form: t.Any
    ) -> None:
        """It is Throttled with the seconds left, however the 429 says them."""
        user = sign_ins.signed_in(entra, client)
        entra.throttle(30, plain=plain, retry_after=form)
        for _ in range(3):
            with pytest.raises(Throttled) as caught:
                refreshed(entra, client, user)
            assert 27 <= caught.value.retry_after <= 31
        assert entra.counters["token.429"] == 1

    def test_without_seconds(self, entra: Emulator, client: Client) -> None:
        """Without Retry-After it is for MSAL's five seconds."""
        user = sign_ins.signed_in(entra, client)
        entra.throttle(30, retry_after=None)
        with pytest.raises(Throttled) as caught:
            refreshed(entra, client, user)
        assert 3 <= caught.value.retry_after <= 5

    @pytest.mark.parametrize("form", ["seconds", "date"])
    def test_unavailable(self, entra: Emulator, client: Client, form: t.Any) -> None:
        """A 503 with its pause is respected just so, and stays a 503."""
        user = sign_ins.signed_in(entra, client)
        entra.unavailable(30, retry_after=form)
        for _ in range(3):
            with pytest.raises(ServiceUnavailable) as caught:
                refreshed(entra, client, user)
            assert caught.value.retry_after == pytest.approx(29, abs=2)
        assert entra.counters["token.503"] == 1

    def test_other_scopes(self, entra: Emulator, client: Client) -> None:
        """It holds for scopes that were never asked for, and for claims."""
        user = sign_ins.signed_in(entra, client)
        entra.throttle(30)
        claims = Claims({"access_token": {"nbf": None}})
        for attempt in (
            {"scopes": scopes(entra), "force_refresh": True},
            {"scopes": scopes(entra, "Mail.Read")},
            {"scopes": ["User.Read"]},
            {"scopes": scopes(entra), "claims": claims},
        ):
            with pytest.raises(Throttled):
                client.silent(user, **attempt)
        assert entra.counters["token.refresh_token"] == 1
        assert client.silent(user, scopes(entra))["access_token"]

    def test_after_it(self, entra: Emulator, client: Client) -> None:
        """When the seconds are over the token endpoint is asked again."""
        user = sign_ins.signed_in(entra, client)
        entra.throttle(30)
        with pytest.raises(Throttled):
            refreshed(entra, client, user)
        entra.clear_faults()
        for key, (status, text, headers, expires, created) in user.http.items():
            user.http[key] = (status, text, headers, expires - 31, created - 31)
        assert refreshed(entra, client, user)

    def test_trap_12_one_user_only(self, entra: Emulator, client: Client) -> None:
        """One user's 429 at sign-in or refresh keeps nobody else out."""
        ada = sign_ins.signed_in(entra, client)
        grace = sign_ins.signed_in(entra, client, name="grace")
        entra.throttle(30)
        with pytest.raises(Throttled):
            sign_ins.sign_in(entra, client, name="linus")
        with pytest.raises(Throttled):
            refreshed(entra, client, ada)
        entra.clear_faults()
        assert refreshed(entra, client, grace)
        assert sign_ins.sign_in(entra, client, name="linus")
        with pytest.raises(Throttled):
            refreshed(entra, client, ada)

    def test_trap_1_bogus_codes(self, entra: Emulator, client: Client) -> None:
        """Bogus codes of an anonymous attacker leave nothing behind."""
        flow = client.begin(scopes(entra), redirect_uri=sign_ins.REDIRECT_URI)
        for number in range(40):
            answer = {"state": flow["state"], "code": f"bogus-{number}"}
            with pytest.raises(MsalAuthError):
                client.redeem(flow, answer)
        mapping = client.provider.connection().app.http_client._expiring_mapping
        assert len(mapping) == 0
        assert sign_ins.sign_in(entra, client)


WORKER = """
import datetime, pathlib, sys, redis
from flask_msal_errors.settings import Settings
from support import session_apps
from flask_msal_errors.session.msal_caches import Caches
from flask_msal_errors.protocol.demand import Claims
from flask_msal_errors.protocol.secret import Secret
from flask_msal_errors.provider.client import Client
from flask_msal_errors.errors import Throttled
from flask_msal_errors.session.records import Records
from flask_msal_errors.storage.codec import Codec
from flask_msal_errors.settings import Settings
from flask_msal_errors.storage.store import Store
folder, kind, url, handle, authority, ca, client_id, *scopes = sys.argv[1:]
client = Client(Settings.from_mapping({
    "MSAL_CLIENT_ID": client_id, "MSAL_CLIENT_CREDENTIAL": "secret",
    "MSAL_AUTHORITY": authority, "MSAL_VERIFY": ca, "MSAL_INSTANCE_DISCOVERY": False,
}))
connection = redis.Redis.from_url(url) if url else None
store = Store(session_apps.session_app(pathlib.Path(folder), kind, connection))
records = Records(store, Codec(), datetime.timedelta(hours=1))
for scope in scopes:
    with records.locked(handle) as record:
        try:
            client.silent(Caches.of(record), [scope], force_refresh=True)
        except Throttled as error:
            print("throttled", error.retry_after, flush=True)
"""


@pytest.mark.parametrize("kind", ["redis", "files"])
@pytest.mark.once
def test_throttled_in_another_worker(
    request: pytest.FixtureRequest,
    entra: Emulator,
    client: Client,
    tmp_path: Path,
    kind: str,
) -> None:
    """After a restart, and in another worker, a 429 still holds for every scope."""
    redis = kind == "redis"
    connection = request.getfixturevalue("redis_client") if redis else None
    url = request.getfixturevalue("redis_server") if redis else ""
    app = session_apps.session_app(tmp_path, kind, connection)
    records = Records(Store(app), Codec(), timedelta(hours=1))
    handle = records.create(Record())
    with records.locked(handle) as record:
        sign_ins.signed_in(entra, client).merge_into(record)
    entra.throttle(600)
    with pytest.raises(Throttled), records.locked(handle) as record:
        refreshed(entra, client, Caches.of(record))
    arguments = (str(tmp_path), kind, url, handle)
    names = scopes(entra, "Profile.Read", "Mail.Read")
    place = (entra.authority, entra.ca_file, entra.client_id)
    with parallel.python(WORKER, *arguments, *place, *names) as process:
        output, _ = process.communicate(timeout=PATIENCE)
    lines = [line.split() for line in output.splitlines()]
    assert [word for word, _ in lines] == ["throttled", "throttled"]
    assert all(300 <= int(seconds) <= 600 for _, seconds in lines)
    assert entra.counters["token.refresh_token"] == 1


class TestConfiguration:
    """Faults that only the developer can mend."""

    def test_wrong_secret(self, entra: Emulator) -> None:
        """A refused secret names the key; the secret is in no text."""
        made = Client(sign_ins.settings(entra, MSAL_CLIENT_CREDENTIAL="very-wrong"))
        with pytest.raises(
            ConfigurationError, match="MSAL_CLIENT_CREDENTIAL"
        ) as caught:
            sign_ins.sign_in(entra, made)
        assert "very-wrong" not in str(caught.value) + repr(caught.value.__dict__)

    def test_secret_rotated(self, entra: Emulator, client: Client) -> None:
        """So does one that stops working while the app runs."""
        user = sign_ins.signed_in(entra, client)
        entra.secret_rotated()
        with pytest.raises(ConfigurationError, match="MSAL_CLIENT_CREDENTIAL"):
            refreshed(entra, client, user)


class TestLogs:
    """Never in a log: tokens, codes, secrets, verifiers, assertions."""

    def test_root_at_debug(
        self, entra: Emulator, client: Client, caplog: pytest.LogCaptureFixture
    ) -> None:
        """With everything logged, sign-in, refresh and refusals show no secret."""
        with caplog.at_level(logging.DEBUG):
            flow = client.begin(scopes(entra), redirect_uri=sign_ins.REDIRECT_URI)
            answer = entra.person().authorize(flow["auth_uri"]).params
            result, _, user = client.redeem(flow, answer)
            known = {*self.values(user), result["id_token"], result["access_token"]}
            refreshed(entra, client, user)
            known |= {*self.values(user), entra.client_secret, answer["code"]}
            known |= {flow["code_verifier"], flow["nonce"]}
            for fault in (entra.broken, entra.throttle):
                fault()
                with pytest.raises(TokenError):
                    refreshed(entra, client, user)
                user.http.clear()
                entra.clear_faults()
            entra.revoke("ada")
            with pytest.raises(InteractionRequired):
                refreshed(entra, client, user)
            with pytest.raises(MsalAuthError):
                client.redeem(flow, answer)
            entra.forge(nonce="x")
            with pytest.raises(InvalidIdToken):
                sign_ins.sign_in(entra, client)
        logged = "\n".join(self.text(record) for record in caplog.records)
        assert "event=" in logged and "Cache attempts an RT" in logged
        assert len(known) >= 8
        assert [value for value in known if value in logged] == []

    @staticmethod
    def values(user: Caches) -> list[str]:
        kinds = msal.TokenCache.CredentialType
        return [
            entry["secret"]
            for kind in (kinds.ACCESS_TOKEN, kinds.REFRESH_TOKEN, kinds.ID_TOKEN)
            for entry in user.tokens.search(kind)
        ]

    @staticmethod
    def text(record: logging.LogRecord) -> str:
        formatted = logging.Formatter().format(record)
        return f"{formatted} {record.args!r}"


class TestMsal:
    """The names of MSAL that the client relies on beyond its documentation."""

    def test_http_exceptions(self) -> None:
        """A silent call takes the exceptions that a living token outlasts."""
        name = "_acquire_token_silent_from_cache_and_possibly_refresh_it"
        parameters = inspect.signature(getattr(msal.ClientApplication, name)).parameters
        assert "http_exceptions" in parameters

    def test_authority(self, client: Client) -> None:
        """The application tells the token endpoint that it found."""
        connection = client.provider.connection()
        found = connection.metadata["token_endpoint"]
        assert connection.app.authority.token_endpoint == found

    def test_exceptions(self) -> None:
        """MSAL's exception for a failing server is where it was."""
        assert issubclass(msal.exceptions.MsalServiceError, Exception)


class Odd:
    """An HTTP client whose token endpoint answers in ways MSAL raises on."""

    def __init__(self, client: Client, reply: Reply) -> None:
        self._documents = client.provider.connection().documents
        self._reply = reply

    def get(self, url: str, **kwargs: t.Any) -> Reply:
        return self._documents.get(url, **kwargs)

    def post(self, url: str, **kwargs: t.Any) -> Reply:
        return self._reply


def test_no_access_token(entra: Emulator, client: Client) -> None:
    """A refresh that brings an ID token alone gives no view an empty token."""
    user = sign_ins.signed_in(entra, client)
    body = json.dumps({"id_token": user.id_token(), "refresh_token": "RT"})
    made = Client(
        sign_ins.settings(entra, MSAL_HTTP_CLIENT=Odd(client, Reply(200, body, {})))
    )
    with pytest.raises(TokenError, match="gave no access token") as caught:
        refreshed(entra, made, user)
    assert caught.value.error == "invalid_response"


@pytest.mark.parametrize(
    "text",
    [
        '{"access_token": "AT", "expires_in": "soon"}',
        '{"access_token": "AT", "expires_in": []}',
        '{"access_token": "AT", "client_info": "x"}',
        '{"access_token": "AT", "client_info": 5}',
        '{"access_token": "AT", "scope": 5}',
        '{"error": {}}',
        '{"error": "x", "suberror": {}}',
    ],
)
def test_odd_answers(entra: Emulator, client: Client, text: str) -> None:
    """JSON of the wrong shape from the token endpoint is an error of ours."""
    odd = Odd(client, Reply(200, text, {}))
    made = Client(sign_ins.settings(entra, MSAL_HTTP_CLIENT=odd))
    user = sign_ins.signed_in(entra, client)
    with pytest.raises(TokenError):
        refreshed(entra, made, user)


#: An answer of Entra's that says the same in several ways, and odd values in JSON.
TOLD = {
    "error": "invalid_grant",
    "error_description": "AADSTS50076: words",
    "error_codes": [50076],
    "timestamp": "2026-01-01 00:00:00Z",
    "trace_id": "t",
    "correlation_id": "c",
    "error_uri": f"{codes.LOOKUP}50076",
    "suberror": "basic_action",
    "claims": '{"access_token":{"acrs":{"essential":true}}}',
}
ODD = ("null", "true", "5", "1e99", "[]", '["x"]', "[[1]]", "{}", '{"a": [1]}', '""')


@pytest.mark.parametrize("status", [200, 400, 401])
@pytest.mark.parametrize("name", sorted(TOLD.keys() - {"error"}))
def test_odd_members(entra: Emulator, client: Client, name: str, status: int) -> None:
    """A member of an odd type hides neither an error nor what else is told of it."""
    user = sign_ins.signed_in(entra, client)
    for value in ODD:
        text = json.dumps({**TOLD, name: "…"}).replace(json.dumps("…"), value)
        odd = Odd(client, Reply(status, text, {}))
        made = Client(sign_ins.settings(entra, MSAL_HTTP_CLIENT=odd))
        asked: list[t.Any] = [
            lambda made=made: refreshed(entra, made, user),
            lambda made=made: made.on_behalf_of(Caches(), Secret("at"), scopes(entra)),
        ]
        for ask in asked:
            with pytest.raises(InteractionRequired) as caught:
                ask()
            found = caught.value
            assert (found.error, found.codes) == ("invalid_grant", (50076,)), value
            wanted = "invalid_grant" if name == "suberror" else "basic_action"
            assert found.reason == wanted
            assert found.correlation_id == ("" if name == "correlation_id" else "c")
            assert bool(found.claims) == (name != "claims")


@pytest.mark.parametrize("value", ODD)
def test_odd_codes_of_a_credential(entra: Emulator, client: Client, value: str) -> None:
    """A refused credential is told, though the codes beside it are of an odd type."""
    user = sign_ins.signed_in(entra, client)
    text = f'{{"error": "invalid_client", "error_codes": {value}}}'
    odd = Odd(client, Reply(401, text, {}))
    made = Client(sign_ins.settings(entra, MSAL_HTTP_CLIENT=odd))
    with pytest.raises(ConfigurationError, match="MSAL_CLIENT_CREDENTIAL"):
        refreshed(entra, made, user)
