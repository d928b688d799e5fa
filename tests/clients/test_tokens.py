"""Access tokens for the user of a request: one refresh at a time, none lost."""

from __future__ import annotations

import threading
import typing as t
from datetime import timedelta
from pathlib import Path

import pytest
import requests
from flask import Flask

from flask_msal_errors.clients.tokens import Tokens
from flask_msal_errors.clients.tokens import checked
from flask_msal_errors.clients.tokens import checked_claims
from flask_msal_errors.errors import ConfigurationError
from flask_msal_errors.errors import InteractionRequired
from flask_msal_errors.errors import ServiceUnavailable
from flask_msal_errors.errors import Throttled
from flask_msal_errors.protocol.demand import Claims
from flask_msal_errors.provider.client import Client
from flask_msal_errors.session.msal_caches import Caches
from flask_msal_errors.session.record import Record
from flask_msal_errors.session.records import TOKENS
from flask_msal_errors.session.records import Known
from flask_msal_errors.session.records import Records
from flask_msal_errors.state import of_request
from flask_msal_errors.storage.codec import Codec
from flask_msal_errors.storage.files import stripe
from flask_msal_errors.storage.store import Store
from flask_msal_errors.testing import Emulator
from flask_msal_errors.user import remember
from support import parallel
from support import session_apps
from support import sign_ins
from support.waiting import PATIENCE
from support.waiting import until


class Stage:
    """An app, its client and tokens, and one user who is signed in."""

    def __init__(self, entra: Emulator, app: Flask) -> None:
        self.entra = entra
        self.app = app
        self.client = Client(sign_ins.settings(entra))
        self.records = Records(Store(app), Codec(), timedelta(hours=1), entra.client_id)
        self.tokens = Tokens(self.client, self.records)
        self.scopes = [entra.scope("Profile.Read")]
        _, self.claims, caches = sign_ins.sign_in(entra, self.client)
        self.handle = self.records.create(Record())
        with self.records.locked(self.handle) as record:
            caches.merge_into(record)

    def change(self, work: t.Callable[[Caches], object]) -> None:
        """Change the user's caches behind the app's back."""
        with self.records.locked(self.handle) as record:
            user = Caches.of(record)
            work(user)
            user.save(record)

    def acquire(self, **options: t.Any) -> str:
        """A token in a request of its own."""
        with self.request():
            return str(self.tokens.acquire(self.scopes, **options)["access_token"])

    def request(self) -> t.Any:
        context = self.app.test_request_context()
        context.push()
        remember(self.handle, self.claims, 3600)
        return _Popping(context)

    @property
    def calls(self) -> int:
        return self.entra.counters["token.refresh_token"]


class _Popping:
    def __init__(self, context: t.Any) -> None:
        self._context = context

    def __enter__(self) -> None:
        pass

    def __exit__(self, *_: object) -> None:
        self._context.pop()


@pytest.fixture(params=["files", "redis"])
def stage(
    request: pytest.FixtureRequest, entra: Emulator, tmp_path: Path
) -> t.Iterator[Stage]:
    redis = request.param == "redis"
    client = request.getfixturevalue("redis_client") if redis else None
    app = session_apps.session_app(tmp_path, request.param, client)
    made = Stage(entra, session_apps.registered(app))
    yield made
    made.client.provider.connection().transport.close()


@pytest.fixture
def files(entra: Emulator, tmp_path: Path) -> t.Iterator[Stage]:
    app = session_apps.session_app(tmp_path, "files")
    made = Stage(entra, session_apps.registered(app))
    yield made
    made.client.provider.connection().transport.close()


def expired(user: Caches) -> None:
    sign_ins.aged(user, expires_on=200)


class TestAcquire:
    """A token for the signed-in user."""

    def test_cached(self, files: Stage, monkeypatch: pytest.MonkeyPatch) -> None:
        """A living token costs one read of the record, no lock and no call."""
        reads: list[str] = []
        read = Store.read

        def note(self: Store, key: str) -> t.Any:
            reads.append(key)
            return read(self, key)

        monkeypatch.setattr(Store, "read", note)
        monkeypatch.setattr(Store, "lock", None)
        with files.request():
            first = files.tokens.acquire(files.scopes)
            assert files.tokens.acquire(files.scopes) == first
        assert len(reads) == 1 and files.calls == 0

    def test_lost_entry_is_written_again(self, stage: Stage) -> None:
        """An entry that the store lost costs one slower request."""
        old = stage.acquire()
        stage.records._store.delete(TOKENS + stage.handle)
        assert stage.acquire() == old
        assert [token.secret for token in stage.records.tokens(stage.handle)] == [old]

    def test_renewed(self, stage: Stage) -> None:
        """An expired one is renewed and kept for the next request."""
        stage.change(expired)
        new = stage.acquire()
        assert stage.acquire() == new and stage.calls == 1

    def test_forced(self, files: Stage) -> None:
        """Claims, and force_refresh, ask the token endpoint in any case."""
        old = files.acquire()
        assert files.acquire(force_refresh=True) != old
        claims = '{"access_token":{"nbf":{"essential":true,"value":"1"}}}'
        files.acquire(claims=Claims.parse(claims))
        assert files.calls == 2
        assert '"nbf"' in files.entra.calls[-1].form["claims"]

    @pytest.mark.parametrize("claims", ["eyJhIjoxfQ", "[]", "null", "{", 5, "[" * 9999])
    def test_trap_5_claims(self, files: Stage, claims: t.Any) -> None:
        """Claims that are no JSON object, base64 above all, are a mistake to name."""
        with pytest.raises(ConfigurationError, match="decode"):
            files.acquire(claims=checked_claims(claims))
        assert files.calls == 0

    def test_learnt_from_a_refusal(self, files: Stage) -> None:
        """A 429 is kept in the record though the call raised."""
        files.change(expired)
        files.entra.throttle(30)
        for _ in range(10):
            with pytest.raises(Throttled):
                files.acquire()
        assert files.calls == 1

    def test_refused_for_hours(
        self, files: Stage, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """A WebSocket keeps its latest refusals alone, however often it asks."""
        monkeypatch.setattr("flask_msal_errors.clients.source._MOST_RESULTS", 2)
        files.entra.revoke("ada")
        results = []
        with files.request():
            for _ in range(3):
                with pytest.raises(InteractionRequired) as caught:
                    files.tokens.acquire(files.scopes, force_refresh=True)
                results.append(caught.value.result)
            known = [files.tokens.refusal_of(result) for result in results]
        assert [each is not None for each in known] == [False, True, True]

    def test_nobody(self, files: Stage) -> None:
        """Without a user it is the user who is needed, for these scopes."""
        with files.app.test_request_context():
            with pytest.raises(InteractionRequired) as caught:
                files.tokens.acquire(files.scopes)
            files.tokens.drop("AT")
            assert files.tokens.proofs() == {}
        assert caught.value.reason == "not_signed_in"
        assert caught.value.scopes == tuple(files.scopes)

    def test_outside_a_request(self, files: Stage) -> None:
        """Background work is told where to acquire the token instead."""
        with pytest.raises(ConfigurationError, match="outside a request.*view"):
            files.tokens.acquire(files.scopes)

    def test_no_scopes(self, files: Stage) -> None:
        """No scopes would mean any API's token: a mistake to name."""
        with pytest.raises(ConfigurationError, match="scopes"), files.request():
            files.tokens.acquire([])

    def test_record_gone(self, files: Stage) -> None:
        """A user whose record is lost signs in again."""
        files.records.delete(files.handle)
        with pytest.raises(InteractionRequired) as caught:
            files.acquire()
        assert caught.value.reason == "no_token"

    @pytest.mark.parametrize("due", [True, False])
    def test_trap_4_worker_without_discovery(self, files: Stage, due: bool) -> None:
        """A fresh worker that finds no provider uses what is still alive."""
        times = {"refresh_on": -60} if due else {"expires_on": 200}
        files.change(lambda user: sign_ins.aged(user, **times))
        fresh = Client(sign_ins.settings(files.entra))
        files.tokens = Tokens(fresh, files.records)
        files.entra.unavailable(30, target="discovery")
        if due:
            assert files.acquire()
        else:
            with pytest.raises(ServiceUnavailable):
                files.acquire()
        with pytest.raises(ServiceUnavailable):
            files.acquire(force_refresh=True)
        files.entra.clear_faults()
        assert files.acquire(force_refresh=True)
        fresh.provider.connection().transport.close()


class TestDue:
    """A token that is due for renewal, but alive."""

    @staticmethod
    def due(user: Caches) -> None:
        sign_ins.aged(user, expires_on=2000, refresh_on=-10)

    @pytest.mark.parametrize(
        "fault",
        [
            lambda entra: entra.unavailable(60),
            lambda entra: entra.throttle(60),
            lambda entra: entra.throttle(60, plain=False),
            lambda entra: entra.broken(),
            lambda entra: entra.revoke("ada"),
            lambda entra: entra.secret_rotated(),
        ],
    )
    def test_outlasts(self, files: Stage, fault: t.Any) -> None:
        """A living token is used, no matter why it cannot be renewed."""
        old = files.acquire()
        files.change(self.due)
        fault(files.entra)
        assert files.acquire() == old

    def test_nobody_listens(self, files: Stage) -> None:
        """An endpoint that cannot be reached is asked once in half a minute."""
        old = files.acquire()
        files.change(self.due)
        transport = files.client.provider.connection().transport
        sent: list[str] = []

        def send(method: str, url: str, kwargs: dict[str, t.Any]) -> t.NoReturn:
            sent.append(method)
            raise requests.ConnectionError("no network")

        transport.sender = send
        assert [files.acquire() for _ in range(5)] == [old] * 5
        assert sent == ["POST"]

    def test_nobody_waits(self, stage: Stage) -> None:
        """While another request renews it, it is used as it is."""
        old = stage.acquire()
        stage.change(self.due)
        asked, go = threading.Event(), threading.Event()

        def hold(_: t.Any) -> None:
            asked.set()
            assert go.wait(PATIENCE)

        stage.entra.fail_next(hold)
        found: list[str] = []
        thread = threading.Thread(target=lambda: found.append(stage.acquire()))
        thread.start()
        assert asked.wait(PATIENCE)
        assert stage.acquire() == old
        go.set()
        thread.join(PATIENCE)
        assert found != [old] and stage.acquire() == found[0] and stage.calls == 1

    def test_forced(self, files: Stage) -> None:
        """A caller that asks for another token does not get the old one."""
        files.change(self.due)
        files.entra.unavailable(60)
        with pytest.raises(ServiceUnavailable):
            files.acquire(force_refresh=True)


class TestSingleFlight:
    """One refresh at a time in a session."""

    def test_one_time_refresh_tokens(self, stage: Stage) -> None:
        """Eight requests with an expired token: one call, no failure."""
        stage.entra.one_time_refresh_tokens = True
        stage.change(expired)
        found: list[str] = []
        parallel.in_threads(8, lambda _: found.append(stage.acquire()))
        assert stage.calls == 1 and len(found) == 8 and len(set(found)) == 1

    def test_no_answer(self, files: Stage, monkeypatch: pytest.MonkeyPatch) -> None:
        """Eight requests wait for one time limit, and not one after the other."""
        files.change(expired)
        wanting, plain = list[str](), Records.locked

        def locked(records: Records, handle: str, *options: t.Any) -> t.Any:
            wanting.append(handle)
            return plain(records, handle, *options)

        def hangs(*request: object) -> t.Any:
            asked.append(request)
            until(lambda: len(wanting) >= 8)
            raise requests.ReadTimeout

        asked, failed = list[object](), list[str]()

        def work(_: int) -> None:
            with pytest.raises(ServiceUnavailable) as caught:
                files.acquire()
            failed.append(caught.value.error)

        transport = files.client.provider.connection().transport
        with monkeypatch.context() as patch:
            patch.setattr(Records, "locked", locked)
            patch.setattr(transport, "sender", hangs)
            parallel.in_threads(8, work)
        assert failed == ["temporarily_unavailable"] * 8
        assert len(asked) == 1
        # Who asks later does not believe it.
        assert files.acquire()
        assert files.calls == 1

    def test_refused_token(self, stage: Stage) -> None:
        """Eight requests whose token an API refused: one call with the claims."""
        old = stage.acquire()
        text = '{"access_token":{"nbf":{"essential":true,"value":"1"}}}'
        claims = Claims.parse(text)
        found: list[str] = []
        parallel.in_threads(
            8, lambda _: found.append(stage.acquire(claims=claims, refused=old))
        )
        assert stage.calls == 1 and set(found) != {old} and len(set(found)) == 1

    def test_other_sessions_go_on(self, files: Stage) -> None:
        """A refresh of one session does not wait for another's."""
        record = files.records.load(files.handle)
        names = [files.handle, files.records.create(record)]
        while len({stripe(f"msal-entry:record-{name}") for name in names}) < 2:
            names[1] = files.records.create(record)
        with files.records.locked(names[1]):
            assert files.acquire(force_refresh=True)

    def test_trap_15_slow_reader(self, files: Stage) -> None:
        """A request that read the record before does not write its old tokens back."""
        files.change(expired)
        renewed, read = threading.Event(), threading.Event()
        seen: list[str] = []

        def slow_view() -> None:
            with files.request():
                files.tokens.proofs()
                assert of_request(Known).records[files.handle].tokens
                read.set()
                assert renewed.wait(PATIENCE)
                found = files.tokens.acquire(files.scopes)
                seen.append(found["access_token"])

        thread = threading.Thread(target=slow_view)
        thread.start()
        assert read.wait(PATIENCE)
        new = files.acquire()
        renewed.set()
        thread.join(PATIENCE)
        assert seen == [new] and files.acquire() == new and files.calls == 1


WORKER = """
import json, pathlib, sys, redis, datetime
from support import parallel
from support import session_apps
from flask_msal_errors.provider.client import Client
from flask_msal_errors.session.records import Records
from flask_msal_errors.storage.codec import Codec
from flask_msal_errors.settings import Settings
from flask_msal_errors.storage.store import Store
from flask_msal_errors.clients.tokens import Tokens
from flask_msal_errors.user import remember
folder, kind, url, handle, claims, config, scope = sys.argv[1:]
settings = Settings.from_mapping(json.loads(config))
connection = redis.Redis.from_url(url) if url else None
app = session_apps.session_app(pathlib.Path(folder), kind, connection)
session_apps.registered(app)
client = Client(settings)
hour = datetime.timedelta(hours=1)
records = Records(Store(app), Codec(), hour, settings.client_id)
tokens = Tokens(client, records)
client.provider.connection()
print("ready", flush=True)
sys.stdin.readline()
found = []
def work(_):
    with app.test_request_context():
        remember(handle, json.loads(claims), 3600)
        found.append(tokens.acquire([scope])["access_token"])
parallel.in_threads(2, work)
print(*set(found), flush=True)
"""


@pytest.mark.once
def test_single_flight_across_processes(stage: Stage) -> None:
    """Two processes of two threads, one-time refresh tokens: one call, no failure."""
    import json

    stage.entra.one_time_refresh_tokens = True
    stage.change(expired)
    redis = stage.app.config["SESSION_TYPE"] == "redis"
    url = ""
    if redis:
        pool = stage.app.config["SESSION_REDIS"].connection_pool
        url = f"unix://{pool.connection_kwargs['path']}"
    arguments = [
        stage.app.instance_path,
        "redis" if redis else "files",
        url,
        stage.handle,
        json.dumps(stage.claims),
        json.dumps(stage.entra.config()),
        stage.scopes[0],
    ]
    with (
        parallel.python(WORKER, *arguments) as one,
        parallel.python(WORKER, *arguments) as b,
    ):
        for process in (one, b):
            assert process.stdout and process.stdout.readline() == "ready\n"
        for process in (one, b):
            assert process.stdin
            print("go", file=process.stdin, flush=True)
        found = [
            process.communicate(timeout=PATIENCE)[0].split() for process in (one, b)
        ]
    assert [one.poll(), b.poll()] == [0, 0]
    assert found[0] == found[1] and len(found[0]) == 1
    assert stage.calls == 1


class TestDrop:
    """Forgetting what an API refused."""

    def test_trap_8_dropped(self, files: Stage) -> None:
        """The refused token is not handed out again, in this request or the next."""
        old = files.acquire()
        with files.request():
            files.tokens.acquire(files.scopes)
            files.tokens.drop(old)
            new = files.tokens.acquire(files.scopes)["access_token"]
        assert new != old and files.calls == 1

    def test_twins(self, files: Stage) -> None:
        """Its twins for that resource go with it; another resource's stay."""
        entra = files.entra
        names = [entra.scope("Profile.Read"), entra.scope("Mail.Read")]
        kept = ["User.Read"]
        for scope in (names[0], names[1]):
            entra.users["ada"].consents.add(scope)
        entra.users["ada"].consents.add("https://graph.microsoft.com/User.Read")
        with files.request():
            old = files.tokens.acquire([names[0]])["access_token"]
            twin = files.tokens.acquire([names[1]])["access_token"]
            other = files.tokens.acquire(kept)["access_token"]
            files.tokens.drop(old)
            assert files.tokens.acquire([names[1]])["access_token"] != twin
            assert files.tokens.acquire(kept)["access_token"] == other

    def test_record_is_lost(self, stage: Stage) -> None:
        """A store that dropped the record hands out no refused token either."""
        old = stage.acquire()
        stage.records._store.delete(f"record-{stage.handle}")
        with stage.request():
            assert stage.tokens.acquire(stage.scopes)["access_token"] == old
            stage.tokens.drop(old)
            with pytest.raises(InteractionRequired):
                stage.tokens.acquire(stage.scopes)

    def test_store_fails(self, stage: Stage, monkeypatch: pytest.MonkeyPatch) -> None:
        """A token that could not be dropped is dropped the next time."""
        old = stage.acquire()

        def fail(store: Store, key: str) -> t.NoReturn:
            monkeypatch.undo()
            raise ServiceUnavailable("blip")

        monkeypatch.setattr(Store, "remove", fail)
        with stage.request(), pytest.raises(ServiceUnavailable):
            stage.tokens.drop(old)
        with stage.request():
            stage.tokens.drop(old)
        assert stage.acquire() != old

    def test_worker_died_before_the_record_was_saved(
        self, stage: Stage, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """Neither the new token nor the one before it comes back from such a gap."""
        old = stage.acquire()
        monkeypatch.setattr(stage.records, "_save", lambda *_: None)
        new = stage.acquire(force_refresh=True)
        monkeypatch.undo()
        with stage.request():
            assert stage.tokens.acquire(stage.scopes)["access_token"] == new
            stage.tokens.drop(new)
        assert stage.acquire() not in (old, new)

    def test_lock_is_held(self, files: Stage) -> None:
        """A caller that drops a token without waiting does not wait."""
        old = files.acquire()
        with files.records.locked(files.handle):
            with files.request(), pytest.raises(ServiceUnavailable):
                files.tokens.drop(old, wait=0)

    def test_unknown(self, files: Stage) -> None:
        """A token that is not ours changes nothing."""
        old = files.acquire()
        with files.request():
            files.tokens.drop("unknown")
        assert files.acquire() == old


class TestProofs:
    """Authentication contexts that the record says were proved."""

    def test_expiry(self, files: Stage) -> None:
        """A proof counts until its ID token's expiry."""
        with files.records.locked(files.handle) as record:
            record.proofs = {"c1": 4102444800, "c2": 1}
        with files.request():
            assert files.tokens.proofs() == {"c1": 4102444800}


class TestChecked:
    """Scopes as MSAL takes them."""

    @pytest.mark.parametrize(
        "scopes", [["Mail.Read"], ("a", "b"), {"email"}, [], iter(["x"])]
    )
    def test_good(self, scopes: t.Any) -> None:
        """Any collection of texts."""
        assert isinstance(checked(scopes), list)

    @pytest.mark.parametrize("scopes", ["Mail.Read", b"x", [1], [None], None, 5])
    def test_no_list(self, scopes: t.Any) -> None:
        """A text in place of a list is a mistake that MSAL would misread."""
        with pytest.raises(ConfigurationError, match="list of strings"):
            checked(scopes)

    @pytest.mark.parametrize("scope", ["", " ", "Mail.Read User.Read", "Mail.Read\n"])
    def test_no_scope(self, scope: str) -> None:
        """One with blanks serves no token: each page would ask for a new one."""
        with pytest.raises(ConfigurationError, match="one scope a string"):
            checked(["Mail.Read", scope])

    def test_default_beside_others(self) -> None:
        """Entra refuses /.default beside other scopes, of whichever API."""
        with pytest.raises(ConfigurationError, match="AADSTS70011"):
            checked(["api://x/.default", "User.Read"])

    @pytest.mark.parametrize("scope", ["openid", "profile", "offline_access"])
    def test_reserved(self, scope: str) -> None:
        """A scope that MSAL adds itself, and refuses to be given, is named."""
        with pytest.raises(ConfigurationError, match=scope):
            checked(["Mail.Read", scope])


class TestLent:
    """Tokens that are known as the user's, wherever a call had them from."""

    def test_of_this_request(self, files: Stage) -> None:
        """A token that was got here is known, with its scopes, also once dropped."""
        with files.request():
            token = files.tokens.acquire(files.scopes)["access_token"]
            assert files.tokens.lent(token) == (token, tuple(files.scopes))
            files.tokens.drop(token)
            assert files.tokens.lent(token) == (token, tuple(files.scopes))

    @pytest.mark.parametrize("age", [0, 3400], ids=["young", "in its last minutes"])
    def test_of_another_request(self, files: Stage, age: int) -> None:
        """A token that the session keeps is known, without the reserved scopes."""
        token = files.acquire()
        files.change(lambda user: sign_ins.aged(user, expires_on=3600 - age))
        with files.request():
            found = files.tokens.lent(token)
        assert found is not None and found[0] == token
        assert set(files.scopes) <= set(found[1])
        assert not {"openid", "profile", "email", "offline_access"} & set(found[1])

    def test_of_nobody(self, files: Stage) -> None:
        """Another token, none and a stranger's request are not the user's."""
        with files.request():
            files.tokens.acquire(files.scopes)
            assert files.tokens.lent("another") is None
            assert files.tokens.lent("") is None
        with files.app.test_request_context():
            assert files.tokens.lent("another") is None

    def test_of_a_session_that_cannot_be_read(
        self, files: Stage, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """While the store is down a foreign token stays the app's own business."""

        def fail(*args: object) -> t.NoReturn:
            raise ServiceUnavailable

        with files.request():
            monkeypatch.setattr(Store, "read", fail)
            assert files.tokens.lent("another") is None

    def test_unknown_call(self, files: Stage) -> None:
        """A call that is not known is that of the one token handed out, if any."""
        with files.request():
            files.tokens.acquire(files.scopes)
            assert files.tokens.lent(None) is None
            handed = files.tokens.acquire(files.scopes, handed=True)["access_token"]
            assert files.tokens.lent(None) == (handed, tuple(files.scopes))
            assert files.tokens.lent(None, files.scopes) is not None
            assert files.tokens.lent(None, ["User.Read"]) is None
            fresh = files.tokens.acquire(files.scopes, force_refresh=True, handed=True)
            token = fresh["access_token"]
            assert token != handed
            assert files.tokens.lent(None) == (token, tuple(files.scopes))
            files.tokens.hand_out(handed, instead_of=None)
            assert files.tokens.lent(None) is None
            files.tokens.hand_out(token, instead_of=handed)
            assert files.tokens.lent(None) == (token, tuple(files.scopes))
