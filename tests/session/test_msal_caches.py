"""MSAL's caches as views on one user's record."""

from __future__ import annotations

import hashlib
import json
import logging
import threading
import time
import typing as t

import msal
import pytest
from hypothesis import given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st
from msal.individual_cache import _ExpiringMapping
from msal.throttled_http_client import NormalizedResponse

from flask_msal_errors.errors import InteractionRequired
from flask_msal_errors.provider.client import Client
from flask_msal_errors.session.msal_caches import MOST_ENTRIES
from flask_msal_errors.session.msal_caches import BoundHttpCache
from flask_msal_errors.session.msal_caches import BoundTokenCache
from flask_msal_errors.session.msal_caches import Caches
from flask_msal_errors.session.msal_caches import bound
from flask_msal_errors.session.record import Record
from flask_msal_errors.storage.codec import Codec
from flask_msal_errors.testing import Emulator
from support import parallel
from support import sign_ins
from support import strategies
from support.waiting import PATIENCE


class Answer:
    """An HTTP client's answer, for MSAL's wrapper."""

    def __init__(self, status: int, text: str = "", **headers: str) -> None:
        self.status_code = status
        self.text = text
        self.headers = {k.replace("_", "-"): v for k, v in headers.items()}


def event(**changes: t.Any) -> dict[str, t.Any]:
    """Return the event that MSAL gives its token cache after a token request."""
    response = {"access_token": "AT", "refresh_token": "RT", "expires_in": 3600}
    return {
        "client_id": "client",
        "environment": "host",
        "token_endpoint": "https://host/tenant/token",
        "scope": ["api://a/Mail.Read"],
        "response": response,
        **changes,
    }


def filled(*additions: dict[str, t.Any]) -> Caches:
    caches = Caches()
    for changes in additions or ({},):
        caches.tokens.add(event(**changes))
    return caches


def secrets(caches: Caches, kind: str = "ACCESS_TOKEN") -> set[str]:
    found = caches.tokens.search(getattr(msal.TokenCache.CredentialType, kind))
    return {entry["secret"] for entry in found}


class TestTokens:
    """The token cache between record and MSAL."""

    def test_round_trip(self) -> None:
        """Tokens go into the record as text and come back."""
        record = Record()
        filled().save(record)
        assert secrets(Caches.of(record)) == {"AT"}
        assert secrets(Caches.of(record), "REFRESH_TOKEN") == {"RT"}

    def test_unchanged(self) -> None:
        """Caches that did not change are not serialised again."""
        record = Record()
        filled().save(record)
        text = record.tokens
        Caches.of(record).save(record)
        assert record.tokens is text

    def test_merge(self) -> None:
        """A sign-in's tokens join the kept ones; its refresh token replaces theirs."""
        record = Record()
        filled().save(record)
        scope = ["api://b/Other.Read"]
        answer = {"access_token": "AT2", "refresh_token": "RT2", "expires_in": 3600}
        filled({"scope": scope, "response": answer}).merge_into(record)
        merged = Caches.of(record)
        assert secrets(merged) == {"AT", "AT2"}
        assert secrets(merged, "REFRESH_TOKEN") == {"RT2"}

    def test_merge_without_refresh_token(self) -> None:
        """A sign-in that brought none leaves the one that is kept."""
        record = Record()
        filled().save(record)
        answer = {"access_token": "AT2", "expires_in": 3600}
        filled({"response": answer}).merge_into(record)
        assert secrets(Caches.of(record)) == {"AT2"}
        assert secrets(Caches.of(record), "REFRESH_TOKEN") == {"RT"}

    def test_merge_into_broken(self) -> None:
        """An unreadable record keeps nobody out."""
        record = Record(tokens="broken")
        filled().merge_into(record)
        assert secrets(Caches.of(record)) == {"AT"}

    def test_trap_8_drop(self) -> None:
        """With a refused token go its twins for that resource, and no other's."""
        several = {
            "AT1": ["api://a/Mail.Read"],
            "AT2": ["api://a/Mail.Send", "openid"],
            "AT3": ["api://b/Mail.Read", "openid"],
            "AT4": ["User.Read"],
        }
        caches = filled(
            *(
                {"scope": scope, "response": {"access_token": at, "expires_in": 3600}}
                for at, scope in several.items()
            )
        )
        caches.drop("unknown")
        assert secrets(caches) == set(several)
        caches.drop("AT1")
        assert secrets(caches) == {"AT3", "AT4"}
        caches.drop("unknown", ["https://graph.microsoft.com/Mail.Read"])
        assert secrets(caches) == {"AT3"}


class TestBroken:
    """Records that were written by something else, or are damaged."""

    @pytest.mark.parametrize(
        "text",
        [
            *("x", "[]", "1", "null", '{"AccessToken": []}', "[" * 100_000),
            '{"AccessToken": {"k": 1}}',
            '{"AccessToken": {"k": {}}}',
            '{"RefreshToken": {"k": {"credential_type": "RefreshToken"}}}',
            '{"Account": {"k": {"home_account_id": null, "environment": "e"}}}',
            '{"AppMetadata": {"k": {"family_id": {}}}}',
        ],
    )
    def test_shapes(self, text: str, caplog: pytest.LogCaptureFixture) -> None:
        """A text that is no token cache is empty, and the log says so."""
        caches = Caches.of(Record(tokens=text))
        assert caches.tokens.serialize() == "{}"
        assert "unreadable" in caplog.text

    @pytest.mark.parametrize("name", ["expires_on", "cached_at", "refresh_on"])
    @pytest.mark.parametrize("value", ["²", "-1", "1e3", "9" * 5000, "", None, 5, []])
    def test_times(self, name: str, value: t.Any) -> None:
        """A time that is no epoch in digits makes the cache unreadable."""
        data = json.loads(filled().tokens.serialize())
        (entry,) = data["AccessToken"].values()
        entry[name] = value
        caches = Caches.of(Record(tokens=json.dumps(data)))
        assert secrets(caches) == set()

    @pytest.mark.parametrize("name", ["credential_type", "secret", "target"])
    @pytest.mark.parametrize("value", [None, 5, "delete", "RefreshToken"])
    def test_members(self, name: str, value: t.Any, entra: Emulator) -> None:
        """A missing or wrong member never gets as far as an exception."""
        data = json.loads(filled().tokens.serialize())
        (entry,) = data["AccessToken"].values()
        entry[name] = value
        if value == "delete":
            del entry[name]
        caches = Caches.of(Record(tokens=json.dumps(data)))
        Client(sign_ins.settings(entra)).cached(caches, ["api://a/Mail.Read"])
        caches.drop("AT")


#: MSAL's cache with members of any type in any place.
_NAMES = st.sampled_from(
    [
        *("AccessToken", "RefreshToken", "Account", "IdToken", "AppMetadata", "x"),
        *("credential_type", "secret", "target", "expires_on", "refresh_on"),
        *("home_account_id", "environment", "realm", "client_id", "family_id"),
        "last_modification_time",
    ]
)
_VALUES = strategies.JSON | st.sampled_from(
    ["AccessToken", "RefreshToken", "1", "99999999999"]
)
_ENTRIES = st.dictionaries(_NAMES, _VALUES, max_size=9)
_TOKEN_CACHES = st.dictionaries(
    _NAMES, st.dictionaries(st.text(), _ENTRIES) | strategies.JSON
)


@given(
    tokens=_TOKEN_CACHES.map(json.dumps),
    http=strategies.JSON
    | st.dictionaries(st.text(), st.tuples(*[_VALUES] * 5).map(list), max_size=3),
)
@hypothesis_settings(max_examples=40)
def test_any_record_reads_as_some_caches(
    entra_server: Emulator, tokens: str, http: t.Any
) -> None:
    """With anything in the store, a look-up finds nothing and asks the user, no 500."""
    client = _client(entra_server)
    entry = sign_ins.packed(json.dumps(["record-2", tokens, http]))
    record = Codec().decode(Record, entry) or Record(tokens=tokens)
    caches = Caches.of(record)
    assert client.cached(caches, ["api://a/Mail.Read"]) is None
    caches.drop("secret")
    caches.pause()
    with pytest.raises(InteractionRequired):
        client.silent(caches, ["api://a/Mail.Read"])
    caches.save(record)
    Caches().merge_into(record)


_clients: list[Client] = []


def _client(entra: Emulator) -> Client:
    if not _clients:
        _clients.append(Client(sign_ins.settings(entra)))
    return _clients[0]


class TestPause:
    """For how long the token endpoint is to be left alone."""

    NOW: t.ClassVar = int(time.time())

    @pytest.mark.parametrize(
        ("entries", "pause"),
        [
            ([], (0, 0)),
            ([(429, 30)], (30, 429)),
            ([(503, 30)], (30, 503)),
            ([(400, 30)], (0, 0)),
            ([(429, 30), (503, 9)], (30, 429)),
            ([(429, 9), (503, 30)], (30, 503)),
            ([(503, -5), (429, 30)], (30, 429)),
            ([(429, -5)], (0, 0)),
            ([(429, 0)], (0, 0)),
            ([(429, 3600)], (3600, 429)),
            ([(429, 3601)], (0, 0)),
            ([(429, 10**30)], (0, 0)),
        ],
    )
    def test_rules(
        self,
        entries: list[tuple[int, int]],
        pause: tuple[int, int],
        monkeypatch: pytest.MonkeyPatch,
    ) -> None:
        """The longest living 429 or 5xx counts, if it is believable."""
        monkeypatch.setattr(time, "time", lambda: float(self.NOW))
        caches = Caches()
        for number, (status, left) in enumerate(entries):
            expires = self.NOW + left
            caches.http[str(number)] = (status, "", {}, expires, self.NOW)
        assert caches.pause() == pause

    def test_broken_time(self) -> None:
        """An entry made long ago for a time far ahead blocks nobody."""
        caches = Caches(http={"k": (429, "", {}, int(time.time()) + 30, 0)})
        assert caches.pause() == (0, 0)


class TestHttpCache:
    """MSAL's http cache on the bound record."""

    KEYS: t.ClassVar = [
        f"POST {hashlib.sha256(bytes([n // 256, n % 256])).hexdigest()}"
        for n in range(5_000)
    ]

    def test_trap_1_bogus_entries(self) -> None:
        """5,000 entries never corrupt MSAL's index, and at most 64 are kept."""
        caches = Caches()
        mapping = _ExpiringMapping(BoundHttpCache(), capacity=1024)
        with bound(caches):
            for key in self.KEYS:
                mapping.set(key, NormalizedResponse(Answer(400)), 60)
                assert len(caches.http) <= MOST_ENTRIES
            assert len(mapping) == MOST_ENTRIES == 64

    def test_trap_1_without_us(self) -> None:
        """The trap is still there: MSAL's own mapping corrupts itself."""
        mapping = _ExpiringMapping({}, capacity=1024)
        with pytest.raises(IndexError):
            for key in self.KEYS:
                mapping.set(key, NormalizedResponse(Answer(400)), 60)

    def test_trap_2_plain_data(self) -> None:
        """An entry is plain data that comes back equal, and has no cookie in it."""
        caches = Caches()
        mapping = _ExpiringMapping(BoundHttpCache(), capacity=1024)
        answer = Answer(429, "{}", Retry_After="30", Set_Cookie="fpc=secret", X_Id="1")
        with bound(caches):
            mapping.set("POST a", NormalizedResponse(answer), 30)
        assert "fpc" not in str(caches.http)
        record = Record(http=caches.http)
        entry = json.loads(json.dumps(Codec().encode(record)))
        again = Codec().decode(Record, entry)
        assert again is not None
        assert again == record
        with bound(Caches.of(again)):
            found = mapping["POST a"]
        assert (found.status_code, found.text) == (429, "{}")
        assert found.headers == {"retry-after": "30"}

    def test_expiry(self, monkeypatch: pytest.MonkeyPatch) -> None:
        """An expired entry is gone for MSAL, and leaves the record at the next set."""
        caches, now = Caches(), time.time()
        mapping = _ExpiringMapping(BoundHttpCache(), capacity=1024)
        with bound(caches):
            mapping.set("POST a", NormalizedResponse(Answer(400)), 60)
            monkeypatch.setattr(time, "time", lambda: now + 61)
            with pytest.raises(KeyError):
                mapping["POST a"]
            mapping.set("POST b", NormalizedResponse(Answer(400)), 60)
            assert set(caches.http) == {"POST b"}
            assert mapping["POST b"].status_code == 400

    def test_mapping(self) -> None:
        """The methods that MSAL asks of an http cache, one by one."""
        cache = BoundHttpCache()
        with bound(Caches()):
            cache["POST a"] = NormalizedResponse(Answer(400, "text"))
            assert cache.get("POST a").text == "text" == cache["POST a"].text
            del cache["POST a"]
            assert cache.get("POST a", 5) == 5 == cache.pop("POST a", 5)
            with pytest.raises(KeyError):
                cache["POST a"]

    def test_documents(self) -> None:
        """A discovery document is the transport's to keep, not a user's."""
        caches = Caches()
        mapping = _ExpiringMapping(BoundHttpCache(), capacity=1024)
        with bound(caches):
            mapping.set("GET https://x", NormalizedResponse(Answer(200)), 60)
            assert "GET https://x" not in mapping
        assert caches.http == {}


class TestBound:
    """The caches that MSAL works on."""

    def test_trap_13_really_used(self, entra: Emulator) -> None:
        """MSAL's application keeps our stand-ins, though they are empty."""
        app = Client(sign_ins.settings(entra)).provider.connection().app
        assert type(app.token_cache) is BoundTokenCache
        mapping = app.http_client._expiring_mapping._mapping
        assert type(mapping) is BoundHttpCache

    def test_each_thread_its_own(self) -> None:
        """Threads that work at the same time see their own caches only."""
        stand_in = BoundTokenCache()
        together = threading.Barrier(4)
        kind = msal.TokenCache.CredentialType.ACCESS_TOKEN
        found: dict[int, list[str]] = {}

        def work(number: int) -> None:
            answer = {"access_token": f"AT{number}", "expires_in": 3600}
            with bound(Caches()):
                stand_in.add(event(response=answer))
                together.wait(PATIENCE)
                found[number] = [e["secret"] for e in stand_in.search(kind)]

        parallel.in_threads(4, work)
        assert found == {number: [f"AT{number}"] for number in range(4)}

    def test_unbound(self) -> None:
        """Without a user nothing is kept anywhere."""
        stand_in, kind = BoundTokenCache(), msal.TokenCache.CredentialType.ACCESS_TOKEN
        stand_in.add(event())
        assert list(stand_in.search(kind)) == [] == list(stand_in._cache)

    def test_delegates(self) -> None:
        """Changing and removing reach the bound cache."""
        stand_in, caches = BoundTokenCache(), filled()
        kinds = msal.TokenCache.CredentialType
        with bound(caches):
            (refresh_token,) = stand_in.search(kinds.REFRESH_TOKEN)
            stand_in.update_rt(refresh_token, "RT2")
            (access_token,) = stand_in.search(kinds.ACCESS_TOKEN)
            stand_in.remove_at(access_token)
        assert secrets(caches, "REFRESH_TOKEN") == {"RT2"} and not secrets(caches)

    def test_log(self, caplog: pytest.LogCaptureFixture) -> None:
        """MSAL's own debug line about new tokens holds none of our secrets."""
        names = ("code", "code_verifier", "client_assertion", "client_secret")
        data = {name: f"secret-{name}" for name in names}
        with caplog.at_level(logging.DEBUG), bound(Caches()):
            BoundTokenCache().add(event(data=data))
        assert "event=" in caplog.text and "secret-" not in caplog.text
        assert '"AT"' not in caplog.text and '"RT"' not in caplog.text


class TestMsal:
    """The private names of MSAL that the caches rely on."""

    def test_index(self) -> None:
        """The expiring mapping keeps sequence and timestamps under one key."""
        plain: dict[str, t.Any] = {}
        _ExpiringMapping(plain, capacity=9).set("k", "v", 60)
        sequence, times = plain[BoundHttpCache._INDEX]
        expires, created = times["k"]
        assert sequence == [[expires, created, "k"]] and expires == created + 60

    def test_response(self) -> None:
        """A normalised response is made of status, text and lower-cased headers."""
        made = NormalizedResponse(Answer(418, "text", A="b"))
        assert (made.status_code, made.text, made.headers) == (418, "text", {"a": "b"})

    @pytest.mark.parametrize("name", ["search", "add", "modify", "remove_at"])
    def test_token_cache(self, name: str) -> None:
        """The methods that the stand-in passes on are MSAL's."""
        assert callable(getattr(msal.TokenCache, name))

    def test_stand_in_is_complete(self) -> None:
        """The stand-in passes on each method that touches a token cache's contents."""
        own = set(vars(BoundTokenCache))
        touching = {
            name
            for name, member in vars(msal.TokenCache).items()
            if "_cache" in getattr(getattr(member, "__code__", None), "co_names", ())
        }
        inner = {"_get", "__init__"}
        assert touching - inner <= own
