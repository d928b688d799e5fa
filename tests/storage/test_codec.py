"""Values to and from entries: encryption, versions, and whatever others put there."""

from __future__ import annotations

import base64
import itertools
import json
import re
import typing as t

import msgspec
import pytest
from cryptography.fernet import Fernet
from hypothesis import example
from hypothesis import given
from hypothesis import strategies as st

from flask_msal_errors.api.on_behalf_of import _Exchanged
from flask_msal_errors.api.on_behalf_of import _Pauses
from flask_msal_errors.clients.groups import _Groups
from flask_msal_errors.clients.groups import _Pause
from flask_msal_errors.diagnostics.probes import _Probe
from flask_msal_errors.session.record import Record
from flask_msal_errors.session.records import Token
from flask_msal_errors.session.records import _Tokens
from flask_msal_errors.session.session_index import _Places
from flask_msal_errors.signin.completed import _Completed
from flask_msal_errors.signin.flow_cookies import _LongFlow
from flask_msal_errors.signin.form_post import _LongAnswer
from flask_msal_errors.storage.codec import Codec
from flask_msal_errors.storage.codec import Stored
from flask_msal_errors.web.forms import _Body
from support import parallel
from support import sign_ins
from support import strategies
from support.waiting import PATIENCE

FULL = Record(
    tokens='{"AccessToken": {}}',
    http={"POST x": (429, "Too Many Requests", {"retry-after": "3"}, 13, 10)},
    proofs={"c1": 99},
)
#: Everything that the package keeps in a store.
KINDS: list[t.Any] = [
    *(Record, Token, _Tokens, _Places, _LongFlow),
    *(_Completed, _LongAnswer, _Body, _Probe, _Groups),
    *(_Exchanged, _Pauses, _Pause),
]
NAMES = st.sampled_from(["plain", "encrypted", "sealed", "x"])
#: Members of any type, or nearly right.
MEMBERS = (
    strategies.JSON
    | st.dictionaries(st.text(max_size=4), strategies.JSON, min_size=1)
    | st.dictionaries(
        st.text(max_size=4), st.lists(strategies.JSON, min_size=5, max_size=5)
    )
    | st.lists(st.lists(st.text(max_size=4) | st.integers(), min_size=3, max_size=5))
)


class TestCodec:
    """A record to and from a plain entry."""

    KEYS: t.ClassVar = [Fernet.generate_key().decode() for _ in range(2)]

    @pytest.mark.parametrize("keys", [(), KEYS[:1], KEYS])
    @pytest.mark.parametrize("record", [Record(), FULL])
    def test_round_trip(self, keys: list[str], record: Record) -> None:
        """A value becomes a string that any backend can keep, and comes back."""
        entry = Codec(keys).encode(record)
        assert [type(value) for value in entry.values()] == [str]
        assert Codec(keys).decode(Record, json.loads(json.dumps(entry))) == record

    def test_encrypted(self) -> None:
        """With a key, nothing of the record can be read in the store."""
        entry = Codec(self.KEYS[:1]).encode(Record(tokens="very-secret"))
        assert "very-secret" not in str(entry) and "tokens" not in str(entry)

    def test_rotation(self) -> None:
        """The newest key writes; a record of an older one is still read."""
        old, new = self.KEYS
        sealed = Codec([old]).encode(FULL)
        both = Codec([new, old])
        assert both.decode(Record, sealed) == FULL
        assert Codec([new]).decode(Record, both.encode(FULL)) == FULL

    @pytest.mark.parametrize(
        ("writes", "reads"),
        [(KEYS[:1], KEYS[1:]), (KEYS[:1], ()), ((), KEYS[:1])],
        ids=["another key", "no key any more", "not encrypted yet"],
    )
    def test_another_key(
        self,
        writes: list[str],
        reads: list[str],
        caplog: pytest.LogCaptureFixture,
    ) -> None:
        """A record that the keys do not open is none, and the log says so."""
        entry = Codec(writes).encode(Record(tokens="very-secret"))
        assert Codec(reads).decode(Record, entry) is None
        assert "unreadable: record-1 (" in caplog.text
        assert "very-secret" not in caplog.text

    def test_missing(self, caplog: pytest.LogCaptureFixture) -> None:
        """No entry is no record, and nothing needs to be said of it."""
        assert Codec().decode(Record, None) is None
        assert not caplog.records

    @pytest.mark.parametrize("kind", KINDS)
    @given(entry=st.dictionaries(NAMES, strategies.JSON))
    def test_any_entry(self, kind: type[Stored], entry: dict[str, t.Any]) -> None:
        """No JSON in the store makes it raise."""
        assert isinstance(Codec().decode(kind, entry), (kind, type(None)))
        assert Codec(self.KEYS).decode(kind, entry) is None

    @pytest.mark.parametrize("kind", KINDS)
    @given(value=st.lists(MEMBERS, max_size=4) | strategies.JSON)
    @example(value=[[[None, None, [None], 1, 1.5]]])
    def test_any_text(self, kind: type[Stored], value: t.Any) -> None:
        """A value of any JSON, at any depth, has the types of its kind."""
        if isinstance(value, list):
            value = [kind.__struct_config__.tag, *value]
        text = json.dumps(value)
        packed = sign_ins.packed(text) if kind.compressed else {"plain": text}
        found = Codec().decode(kind, packed)
        if found is not None:
            assert msgspec.convert(msgspec.to_builtins(found), kind) == found
            assert Codec().decode(kind, Codec().encode(found)) == found

    @pytest.mark.parametrize("kind", KINDS)
    @given(data=st.binary(max_size=60))
    def test_any_bytes(self, kind: type[Stored], data: bytes) -> None:
        """An entry made of any bytes is nothing of ours."""
        packed = base64.b64encode(data)
        sealed = Fernet(self.KEYS[0]).encrypt(packed).decode()
        assert Codec().decode(kind, {"plain": packed.decode()}) is None
        assert Codec(self.KEYS).decode(kind, {"encrypted": sealed}) is None

    @pytest.mark.parametrize(
        "text",
        [
            "[" * 100_000,
            '["record-2", "", {}, {}, [], ' + "[" * 100_000,
            '["record-2", "", {}, {"c1": Infinity}]',
            '["record-2", "", {"k": [429, "", {}, 1e999, 0]}]',
            '["record-2", "", {"k": [429, "", [], 1, 0]}]',
            '["record-2", {}]',
            '["without a version"]',
            '["record-0", "of an older version"]',
            '["record-3", "of a newer version"]',
            '{"tokens": "of the first format"}',
            "[]",
            "",
        ],
        ids=lambda text: text[:60],
    )
    def test_broken_text(self, text: str) -> None:
        """Texts that broke a decoder before, and other versions, read as nothing."""
        assert Codec().decode(Record, sign_ins.packed(text)) is None

    def test_another_kind(self) -> None:
        """An entry that was moved under another kind's key is nothing there."""
        for kind, other in itertools.permutations(KINDS, 2):
            values: dict[str, t.Any] = {name: [] for name in kind.__struct_fields__}
            if kind.apart:
                values[kind.apart] = ""
            entry = Codec().encode(kind(**values))
            assert Codec().decode(other, entry) is None

    @pytest.mark.parametrize(
        "entry",
        [
            {"plain": json.dumps(["record-2", "not packed"])},
            {"plain": "bm8gemxpYg=="},
            {"plain": sign_ins.packed('["record-2"]')["plain"][:-8]},
            sign_ins.packed(b"\xff"),
            sign_ins.packed(b"[" * 64 * 2**20),
        ],
        ids=["no base64", "no zlib", "cut off", "no text", "bomb"],
    )
    def test_broken_packing(self, entry: dict[str, str]) -> None:
        """An entry not packed as ours reads as nothing, and never takes much memory."""
        assert Codec().decode(Record, entry) is None

    def test_kinds(self) -> None:
        """Every kind in the package is tested here, and has a version of its own."""
        kinds = {k for k in Stored.__subclasses__() if k.__module__[:5] != "tests"}
        assert kinds == set(KINDS)
        tags = [str(kind.__struct_config__.tag) for kind in KINDS]
        assert len(set(tags)) == len(tags)
        assert all(re.fullmatch(r"[a-z]+-[1-9][0-9]*", tag) for tag in tags)

    def test_shows_nothing(self) -> None:
        """A value in a traceback or log does not show what is in it."""
        for kind in KINDS:
            values = dict.fromkeys(kind.__struct_fields__, "very-secret")
            assert "very-secret" not in repr(kind(**values))


#: Kinds that are new to the process, each read first by four threads at once.
FIRST_READS = """
from __future__ import annotations
import msgspec, sys, threading
from flask_msal_errors.storage.codec import Codec, Stored
sys.setswitchinterval(1e-6)
codec = Codec()
def read(kind, entry, start):
    start.wait()
    assert codec.decode(kind, entry).places
for number in range(300):
    class Place(msgspec.Struct, array_like=True, frozen=True):
        handle: str
        session_id: str
        issuer: str | None
    class Places(Stored, tag="places-1"):
        places: list[Place]
    entry = codec.encode(Places([Place("handle", "id", "issuer")]))
    given = Places, entry, threading.Barrier(4)
    threads = [threading.Thread(target=read, args=given) for _ in range(4)]
    [thread.start() for thread in threads]
    [thread.join() for thread in threads]
print("read")
"""


@pytest.mark.once
def test_first_reads() -> None:
    """Threads that read values of a new kind at once do not crash the process."""
    with parallel.python(FIRST_READS) as process:
        said, _ = process.communicate(timeout=PATIENCE)
    assert (said, process.returncode) == ("read\n", 0)
