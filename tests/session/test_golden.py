"""Stores of earlier code: read as before, or as signed out; never an error.

``tests/support/golden.py`` wrote the files, one for each version.
"""

from __future__ import annotations

import base64
import collections.abc as cabc
import contextlib
import copy
import json
import random
import typing as t
import zlib
from pathlib import Path

import msgspec
import pytest
from cryptography.fernet import Fernet
from cryptography.fernet import InvalidToken
from flask import Flask
from hypothesis import given
from hypothesis import strategies as st

from flask_msal_errors.signin import cookies
from flask_msal_errors.signin.cookies import Signer
from flask_msal_errors.state import EXTENSION
from flask_msal_errors.storage.codec import Codec
from flask_msal_errors.storage.codec import Stored
from flask_msal_errors.web.forms import FIELD
from support import golden
from support import strategies
from support.golden import FORM
from support.golden import Golden

STORIES = {
    f"{file.stem}-{kind}": story
    for file in sorted(golden.FOLDER.glob("*.json"))
    for kind, story in golden.kept(file.stem).items()
}
#: Pages, with the browser that opens them and the status that it gets.
VISITS = {
    "/": ("ada", 200),
    "/token": ("ada", 200),
    "/groups": ("ada", 200),
    "/sessions": ("ada", 200),
    "completed": ("ada", 303),
    "long": ("ada", 403),
    "short": ("stranger", 403),
}
#: Kinds of no session: of the diagnosis; answers too long for a cookie, which live for
#: a minute; an API's. And one that only a Graph that is too busy makes.
_OTHERS = {"probe", "answer", "exchanged", "pauses", "graphpause"}


@pytest.fixture(params=STORIES)
def story(request: pytest.FixtureRequest) -> cabc.Iterator[Golden]:
    found = STORIES[request.param]
    with found.just_then():
        yield copy.deepcopy(found)


def opened(story: Golden, app: Flask, name: str) -> t.Any:
    """Return the answer to one of the visits."""
    return story.open(app, VISITS[name][0], story.urls.get(name, name))


def sent(story: Golden, app: Flask) -> t.Any:
    """Return the answer to the form that was kept, which its page sends again."""
    ticket = {FIELD: story.urls["ticket"]}
    return story.open(app, "ada", "/desk", method="POST", data=ticket)


def kinds() -> dict[str, type[Stored]]:
    """Return the kinds of what the package stores, by their names."""
    return {
        str(kind.__struct_config__.tag).rpartition("-")[0]: kind
        for kind in Stored.__subclasses__()
        if kind.__module__.startswith("flask_msal_errors")
    }


def told(caplog: pytest.LogCaptureFixture) -> list[str]:
    """Return the lines of entries that could not be read."""
    lines = [record.getMessage() for record in caplog.records]
    return [line for line in lines if "unreadable" in line]


class Opened:
    """An entry's JSON, which is put back as it was wrapped."""

    def __init__(self, story: Golden, app: Flask, key: str) -> None:
        self._story, self._key = story, key
        name = app.extensions[EXTENSION].registration.name
        keys = [*story.config["MSAL_ENCRYPTION_KEYS"]]
        self._ciphers = [Fernet(k) for k in [*keys, *Signer(app, name).encryption_keys]]
        entry = msgspec.msgpack.decode(base64.b64decode(story.entries[key]))
        self._cipher, text = self._decrypted(entry)
        self._is_compressed = not text.startswith("[")
        if self._is_compressed:
            text = zlib.decompress(base64.b64decode(text)).decode()
        head, self._line, self._rest = text.partition("\n")
        self.members: list[t.Any] = json.loads(head)

    def _decrypted(self, entry: dict[str, str]) -> tuple[Fernet | None, str]:
        for cipher in self._ciphers if "encrypted" in entry else ():
            with contextlib.suppress(InvalidToken):
                return cipher, cipher.decrypt(entry["encrypted"]).decode()
        return None, entry["plain"]

    def put_back(self) -> None:
        text = json.dumps(self.members) + self._line + self._rest
        if self._is_compressed:
            text = base64.b64encode(zlib.compress(text.encode())).decode()
        if self._cipher:
            entry = {"encrypted": self._cipher.encrypt(text.encode()).decode()}
        else:
            entry = {"plain": text}
        data = msgspec.msgpack.encode(entry)
        self._story.entries[self._key] = base64.b64encode(data).decode()


def stored(story: Golden, app: Flask) -> cabc.Iterator[Opened]:
    """Return the entries that are of the package's codec."""
    for key in story.entries:
        if key.startswith("msal-entry:"):
            yield Opened(story, app, key)


class TestAsBefore:
    def test_pages(
        self, story: Golden, tmp_path: Path, caplog: pytest.LogCaptureFixture
    ) -> None:
        """A signed-in user stays so, with tokens and groups, and finishes sign-ins."""
        app = story.app(tmp_path)
        answers = {name: opened(story, app, name) for name in VISITS}
        found = {name: answer.status_code for name, answer in answers.items()}
        assert found == statuses_of(VISITS)
        assert answers["/"].text == "hello ada@contoso.example"
        assert answers["/token"].json["access_token"]
        assert [answers[name].text for name in ("/groups", "/sessions")] == ["1", "1"]
        assert answers["completed"].location.endswith("/token")
        assert "/auth/login?next=/far" in answers["long"].text
        assert "/auth/login?next=/sessions" in answers["short"].text
        assert told(caplog) == []

    def test_form(self, story: Golden, tmp_path: Path) -> None:
        """A kept form is carried out once, with the proof that it waited for."""
        app = story.app(tmp_path)
        assert sent(story, app).text == f"sent {FORM['reason']}"
        assert sent(story, app).status_code >= 400

    def test_signed_out(self, story: Golden, tmp_path: Path) -> None:
        """Nobody who signed out comes back."""
        app = story.app(tmp_path)
        for browser in ("out", "one", "other"):
            assert story.open(app, browser, "/").text == "hello nobody"

    def test_all_kinds(self, story: Golden, tmp_path: Path) -> None:
        """The files have each kind of entry that a session may have."""
        entries = list(stored(story, story.app(tmp_path)))
        found = {str(entry.members[0]).rpartition("-")[0] for entry in entries}
        assert found == kinds().keys() - _OTHERS - {"token"}

    def test_others(self, story: Golden) -> None:
        """Entries of no session are read whole, or as nothing by a later version."""
        codec = Codec(story.config["MSAL_ENCRYPTION_KEYS"])
        names = [members[0].rpartition("-")[0] for _, members in story.others]
        assert {*names} == _OTHERS
        for name, (entry, members) in zip(names, story.others, strict=True):
            kind = kinds()[name]
            found = codec.decode(kind, entry)
            if kind.__struct_config__.tag == members[0]:
                assert json.loads(msgspec.json.encode(found))[: len(members)] == members
            else:
                assert found is None


class TestOtherVersion:
    """A worker of before meets what one of a later version wrote."""

    @pytest.fixture
    def app(self, story: Golden, tmp_path: Path) -> Flask:
        for entry in stored(story, story.app(tmp_path)):
            name = str(entry.members[0]).rpartition("-")[0]
            entry.members = [f"{name}-999", *entry.members[1:], {"new": 1}]
            entry.put_back()
        return story.app(tmp_path)

    def test_pages(
        self, story: Golden, app: Flask, caplog: pytest.LogCaptureFixture
    ) -> None:
        """Entries that it cannot read are not there, and nobody gets a 500."""
        found = {name: opened(story, app, name).status_code for name in VISITS}
        asked = {"/token": 302, "/groups": 302, "completed": 400, "long": 400}
        assert found == {**statuses_of(VISITS), **asked}
        assert opened(story, app, "/").text == "hello ada@contoso.example"
        names = [line.partition(": ")[2].partition(" ")[0] for line in told(caplog)]
        seen = {"record", "tokens", "groups", "places", "completed", "flow"}
        assert {name.rpartition("-")[0] for name in names} == seen

    def test_form(self, story: Golden, app: Flask) -> None:
        """A form that it cannot read is not sent; the page says so."""
        assert sent(story, app).status_code == 410

    def test_signed_out(self, story: Golden, app: Flask) -> None:
        """Nobody comes back by it."""
        for browser in ("out", "one", "other"):
            assert story.open(app, browser, "/").text == "hello nobody"

    def test_cookies(
        self, story: Golden, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """A sign-in that the other version began is begun anew, from the same page."""
        monkeypatch.setattr(cookies, "_SALT", "flask_msal_errors.999.")
        app = story.app(tmp_path)
        found = {name: opened(story, app, name) for name in VISITS}
        asked = {"long": 400, "short": 400}
        statuses = {name: answer.status_code for name, answer in found.items()}
        assert statuses == {**statuses_of(VISITS), **asked}
        assert "/auth/login?page=" in found["short"].text
        assert sent(story, app).status_code == 410


def statuses_of(visits: dict[str, tuple[str, int]]) -> dict[str, int]:
    return {name: status for name, (_, status) in visits.items()}


NEW = Fernet.generate_key().decode()


class TestRotation:
    """Workers whose keys are at different steps of a rotation."""

    @pytest.mark.parametrize("step", ["new key second", "new key first", "secret"])
    def test_as_before(self, story: Golden, tmp_path: Path, step: str) -> None:
        """Each step of the guide's reads what those before it wrote."""
        old = story.config["MSAL_ENCRYPTION_KEYS"]
        steps: dict[str, dict[str, t.Any]] = {
            "new key second": {"MSAL_ENCRYPTION_KEYS": old and [*old, NEW]},
            "new key first": {"MSAL_ENCRYPTION_KEYS": old and [NEW, *old]},
            "secret": {
                "SECRET_KEY": "another " * 8,
                "SECRET_KEY_FALLBACKS": [story.config["SECRET_KEY"]],
            },
        }
        story.config.update(steps[step])
        app = story.app(tmp_path)
        found = {name: opened(story, app, name).status_code for name in VISITS}
        assert found == statuses_of(VISITS)
        assert sent(story, app).text == f"sent {FORM['reason']}"

    def test_other_key(self, story: Golden, tmp_path: Path) -> None:
        """A worker with the new key alone asks for tokens again; nobody gets a 500."""
        story.config["MSAL_ENCRYPTION_KEYS"] = [NEW]
        app = story.app(tmp_path)
        found = {name: opened(story, app, name).status_code for name in VISITS}
        asked = {"/token": 302, "/groups": 302}
        assert found == {**statuses_of(VISITS), **asked}
        assert sent(story, app).status_code == 410

    def test_other_secret(self, story: Golden, tmp_path: Path) -> None:
        """One with another SECRET_KEY has sign-ins begun anew; sessions go on."""
        story.config["SECRET_KEY"] = "another " * 8
        app = story.app(tmp_path)
        found = {name: opened(story, app, name).status_code for name in VISITS}
        asked = {"completed": 400, "long": 400, "short": 400}
        assert found == {**statuses_of(VISITS), **asked}


@pytest.fixture(scope="module")
def apps(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Flask]:
    """The apps of all stories."""
    return {
        name: story.app(tmp_path_factory.mktemp("golden"))
        for name, story in STORIES.items()
    }


def fits(value: t.Any) -> bool:
    """Return whether a store can keep a value."""
    try:
        return bool(msgspec.msgpack.encode(value))
    except OverflowError:
        return False


SEEDS, VALUES = st.integers(0, 2**32), strategies.JSON.filter(fits)
PATHS = st.sampled_from([*VISITS])


@pytest.mark.parametrize("name", STORIES)
class TestMutated:
    """One member is anything; no page is a 500."""

    @given(SEEDS, VALUES, PATHS)
    def test_entries(
        self, name: str, apps: dict[str, Flask], seed: int, value: t.Any, path: str
    ) -> None:
        """An entry of the package's codec, encrypted or not."""
        story, app = copy.deepcopy(STORIES[name]), apps[name]
        with story.just_then():
            entry = random.Random(seed).choice(list(stored(story, app)))
            planted(entry.members, seed, value)
            entry.put_back()
            assert statuses(story, app, path).isdisjoint({500})

    @given(SEEDS, VALUES, PATHS)
    def test_sessions(
        self, name: str, apps: dict[str, Flask], seed: int, value: t.Any, path: str
    ) -> None:
        """The content of the Flask session, and the marks of those that ended."""
        story, app = copy.deepcopy(STORIES[name]), apps[name]
        keys = [key for key in story.entries if not key.startswith("msal-entry:")]
        key = random.Random(seed).choice(keys)
        kept = msgspec.msgpack.decode(base64.b64decode(story.entries[key]))
        planted(kept, seed, value)
        data = msgspec.msgpack.encode(kept)
        story.entries[key] = base64.b64encode(data).decode()
        with story.just_then():
            assert statuses(story, app, path).isdisjoint({500})


def statuses(story: Golden, app: Flask, path: str) -> set[int]:
    """Return the statuses of a page, and of a form, with what is stored now."""
    story.plant(app)
    return {opened(story, app, path).status_code, sent(story, app).status_code}


def planted(into: t.Any, seed: int, value: t.Any) -> None:
    """Put a value in the place of any member, at any depth."""
    chosen = random.Random(seed)
    key = chosen.choice([*(into if isinstance(into, dict) else range(len(into)))])
    inner = into[key]
    if isinstance(inner, (dict, list)) and inner and chosen.random() < 0.7:
        planted(inner, seed + 1, value)
    else:
        into[key] = value
