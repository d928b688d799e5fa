"""One key ring for ID tokens and for what strangers send: who fetches, who waits."""

from __future__ import annotations

import threading
import time
import typing as t
from concurrent.futures import ThreadPoolExecutor

import jwt
import pytest
import requests
from cryptography.hazmat.primitives.asymmetric import rsa

from flask_msal_errors.provider import keys
from flask_msal_errors.provider.keys import SigningKeys
from flask_msal_errors.provider.keys import UnknownKey
from support.waiting import PATIENCE
from support.waiting import until

#: Seconds, before the tests' own patience takes their place.
OF_STRANGERS = keys._PATIENCE

OURS, THEIRS = (rsa.generate_private_key(65537, 2048) for _ in range(2))
URI = "https://login.example/keys"
HOURS = 3600


def jwk(key: t.Any, kid: str) -> dict[str, t.Any]:
    return {**jwt.algorithms.RSAAlgorithm.to_jwk(key.public_key(), True), "kid": kid}


def signed(kid: str = "one", key: t.Any = OURS) -> str:
    claims = {"aud": "api", "exp": time.time() + 600}
    return jwt.encode(claims, key, "RS256", headers={"kid": kid})


class Provider:
    """A key document, how often it was fetched, and how long that takes."""

    def __init__(self) -> None:
        self.keys = {"one": OURS}
        self.fetched = 0
        self.error: OSError | None = None
        self.instead: dict[str, t.Any] | None = None
        self.open = threading.Event()
        self.open.set()
        self.asked = threading.Event()

    def __call__(self, url: str) -> dict[str, t.Any]:
        self.fetched += 1
        self.asked.set()
        assert self.open.wait(PATIENCE)
        if self.error is not None:
            raise self.error
        if self.instead is not None:
            return self.instead
        return {"keys": [jwk(key, kid) for kid, key in self.keys.items()]}


@pytest.fixture
def provider() -> Provider:
    return Provider()


@pytest.fixture
def ring(provider: Provider) -> SigningKeys:
    return SigningKeys(provider)


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> t.Any:
    """A clock that only the test moves."""

    class Clock:
        now = 1_000_000.0

    monkeypatch.setattr(time, "monotonic", lambda: Clock.now)
    return Clock


def accepts(ring: SigningKeys, token: str, *, by_stranger: bool = True) -> bool:
    try:
        ring.verified(token, URI, audience="api", options={}, by_stranger=by_stranger)
    except (UnknownKey, jwt.InvalidSignatureError):
        return False
    return True


def rest(ring: SigningKeys) -> None:
    """Wait until no keys are being fetched."""
    until(lambda: ring._attempts._running is None)


def test_frozen_time(ring: SigningKeys, monkeypatch: pytest.MonkeyPatch) -> None:
    """A clock that a test froze for the caller, and not for a thread, does no harm."""
    real, caller = time.monotonic, threading.current_thread()

    def frozen() -> float:
        return real() + 1e9 * (threading.current_thread() is caller)

    monkeypatch.setattr(time, "monotonic", frozen)
    assert accepts(ring, signed(), by_stranger=False)
    assert accepts(ring, signed())


def test_fifty_unknown(ring: SigningKeys, provider: Provider, clock: t.Any) -> None:
    """Fifty keys that nobody knows are asked for once a minute at most."""
    assert accepts(ring, signed())
    tokens = [signed(f"unknown {number}", THEIRS) for number in range(50)]
    with ThreadPoolExecutor(16) as pool:
        assert not any(pool.map(lambda token: accepts(ring, token), tokens))
    assert provider.fetched == 2
    clock.now += 61
    assert not any(accepts(ring, token) for token in tokens)
    assert provider.fetched == 3


def test_bad_signatures(ring: SigningKeys, provider: Provider, clock: t.Any) -> None:
    """Neither do bad signatures of a known key make more fetches."""
    assert not any(accepts(ring, signed(key=THEIRS)) for _ in range(50))
    assert provider.fetched <= 2


def test_first_use(ring: SigningKeys, provider: Provider) -> None:
    """Sixteen callers at the start fetch once, and all get in."""
    provider.open.clear()
    with ThreadPoolExecutor(16) as pool:
        calls = [pool.submit(accepts, ring, signed()) for _ in range(16)]
        assert provider.asked.wait(PATIENCE)
        provider.open.set()
        assert all(call.result(30) for call in calls)
    assert provider.fetched == 1


def test_known_key_never_waits(ring: SigningKeys, provider: Provider) -> None:
    """While new keys are fetched for a stranger, callers with a known one get in."""
    assert accepts(ring, signed())
    provider.open.clear()
    provider.asked.clear()
    with ThreadPoolExecutor(1) as pool:
        stranger = pool.submit(accepts, ring, signed("new", THEIRS))
        assert provider.asked.wait(PATIENCE)
        assert all(accepts(ring, signed()) for _ in range(16))
        provider.keys["new"] = THEIRS
        provider.open.set()
        assert stranger.result(30)
    assert provider.fetched == 2


def test_renewed_in_the_background(
    ring: SigningKeys, provider: Provider, clock: t.Any
) -> None:
    """After a day nobody with a known key waits for the new ones, which come once."""
    assert accepts(ring, signed())
    provider.open.clear()
    provider.keys = {"two": THEIRS}
    clock.now += 25 * HOURS
    assert all(accepts(ring, signed()) for _ in range(16))
    provider.open.set()
    rest(ring)
    assert provider.fetched == 2
    until(lambda: accepts(ring, signed("two", THEIRS)))
    assert not accepts(ring, signed())


@pytest.mark.parametrize("by_stranger", [True, False])
def test_old_keys_end(
    by_stranger: bool, ring: SigningKeys, provider: Provider, clock: t.Any
) -> None:
    """While the provider is down, known keys are good for three days and no longer."""
    assert accepts(ring, signed(), by_stranger=by_stranger)
    provider.error = requests.ConnectionError("down")
    for hours in (25, 46):
        clock.now += hours * HOURS
        assert accepts(ring, signed(), by_stranger=by_stranger)
        rest(ring)
    clock.now += 2 * HOURS
    with pytest.raises(requests.ConnectionError):
        accepts(ring, signed(), by_stranger=by_stranger)
    provider.error = None
    clock.now += 61
    assert accepts(ring, signed(), by_stranger=by_stranger)


def test_down_from_the_start(
    ring: SigningKeys, provider: Provider, clock: t.Any
) -> None:
    """Before the first keys came, a failure is repeated in pauses that grow."""
    provider.error = requests.ConnectionError("down")
    tokens = [signed(f"unknown {number}", THEIRS) for number in range(50)]

    def unavailable(number: int) -> bool:
        with pytest.raises(requests.ConnectionError):
            accepts(ring, tokens[number])
        return True

    made = []
    # Ten minutes, and callers in each second of them.
    for _ in range(600):
        assert all(unavailable(number) for number in range(3))
        made.append(provider.fetched)
        clock.now += 1
    assert made[:10] == [1] * 10 and made[10:30] == [2] * 20
    late = made[70:]
    assert all(late[at + 60] - late[at] == 1 for at in range(len(late) - 60))
    assert 9 <= made[-1] <= 13
    with ThreadPoolExecutor(50) as pool:
        assert all(pool.map(unavailable, range(50)))
    assert provider.fetched <= made[-1] + 1
    provider.error = None
    clock.now += 61
    assert accepts(ring, signed())


@pytest.mark.parametrize("strangers", [16, 50])
def test_nobody_is_held(
    strangers: int,
    ring: SigningKeys,
    provider: Provider,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """A fetch that does not end holds no stranger for longer than their patience."""
    monkeypatch.setattr(keys, "_PATIENCE", 0.05)
    provider.open.clear()
    try:
        with ThreadPoolExecutor(strangers) as pool:
            first = [pool.submit(accepts, ring, signed()) for _ in range(strangers)]
            for call in first:
                with pytest.raises(requests.ConnectionError):
                    call.result(30)
        assert provider.fetched == 1
        provider.open.set()
        rest(ring)
        assert accepts(ring, signed())
        provider.open.clear()
        with ThreadPoolExecutor(strangers) as pool:
            tokens = [signed(f"unknown {number}", THEIRS) for number in range(50)]
            assert not any(pool.map(lambda token: accepts(ring, token), tokens))
            # Meanwhile nobody with the known key waits.
            assert all(pool.map(lambda _: accepts(ring, signed()), range(strangers)))
        assert ring._attempts._running is not None and provider.fetched == 2
    finally:
        provider.open.set()


def test_patience() -> None:
    """A stranger waits for about a second."""
    assert 0.5 <= OF_STRANGERS <= 1


def test_unknown_while_down(
    ring: SigningKeys, provider: Provider, clock: t.Any
) -> None:
    """A stranger's unknown key is refused while none can be had, if others are known.

    A sign-in is told that the provider is down.
    """
    assert accepts(ring, signed())
    provider.error = requests.ConnectionError("down")
    with ThreadPoolExecutor(16) as pool:
        tokens = [signed(f"unknown {number}", THEIRS) for number in range(50)]
        assert not any(pool.map(lambda token: accepts(ring, token), tokens))
    assert provider.fetched == 2
    with pytest.raises(requests.ConnectionError, match="down"):
        accepts(ring, signed("new", THEIRS), by_stranger=False)


@pytest.mark.parametrize("found", [{}, {"keys": []}, {"keys": None}, {"keys": {}}])
def test_no_keys(
    found: dict[str, t.Any], ring: SigningKeys, provider: Provider, clock: t.Any
) -> None:
    """Known keys stay while a document lists none, which is nobody's revocation."""
    assert accepts(ring, signed())
    provider.instead = found
    assert not accepts(ring, signed("unknown", THEIRS))
    for _ in range(2):
        assert accepts(ring, signed())
        clock.now += 25 * 3600
        rest(ring)
    assert provider.fetched > 2
    provider.instead, provider.keys = None, {"new": THEIRS}
    assert accepts(ring, signed("new", THEIRS)) and not accepts(ring, signed())


@pytest.mark.parametrize("found", [{}, {"keys": []}, {"keys": None}])
def test_no_keys_at_first(
    found: dict[str, t.Any], ring: SigningKeys, provider: Provider, clock: t.Any
) -> None:
    """Before any key is known, a document without one says nothing of a token."""
    provider.instead = found
    for _ in range(9):
        with pytest.raises(OSError, match="not there yet|lists no keys"):
            accepts(ring, signed())
    assert provider.fetched == 1
    provider.instead = None
    clock.now += 11
    assert accepts(ring, signed()) and provider.fetched == 2


def test_sign_in_takes_a_running_attempt(ring: SigningKeys, provider: Provider) -> None:
    """A sign-in waits for the attempt that a stranger began, and makes none."""
    provider.open.clear()
    with ThreadPoolExecutor(2) as pool:
        stranger = pool.submit(accepts, ring, signed())
        assert provider.asked.wait(PATIENCE)
        ours = pool.submit(accepts, ring, signed(), by_stranger=False)
        provider.open.set()
        assert stranger.result(30) and ours.result(30)
    assert provider.fetched == 1


def test_sign_in_beside_strangers(
    ring: SigningKeys, provider: Provider, clock: t.Any
) -> None:
    """Strangers who asked in vain do not keep a sign-in from the provider's new key."""
    assert accepts(ring, signed())
    assert not accepts(ring, signed("unknown", THEIRS))
    provider.keys["new"] = THEIRS
    assert not accepts(ring, signed("new", THEIRS))
    assert accepts(ring, signed("new", THEIRS), by_stranger=False)
    assert accepts(ring, signed("new", THEIRS))
