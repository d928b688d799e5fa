"""Access tokens while the provider is slow or down: who asks it, and who waits."""

from __future__ import annotations

import threading
import time
import typing as t
from concurrent.futures import ThreadPoolExecutor

import pytest

from flask_msal_errors.errors import ConfigurationError
from flask_msal_errors.errors import InvalidAccessToken
from flask_msal_errors.errors import MsalAuthError
from flask_msal_errors.errors import ServiceUnavailable
from flask_msal_errors.provider import access_token
from flask_msal_errors.provider.access_token import AccessTokens
from flask_msal_errors.provider.application import Provider
from flask_msal_errors.provider.application import ProviderConnection
from flask_msal_errors.settings import Settings
from flask_msal_errors.testing import Emulator
from support.waiting import PATIENCE
from support.waiting import until

#: Seconds, before the tests' own patience takes their place.
OF_STRANGERS = access_token._PATIENCE


class Discovery:
    """The first connection to a provider: how often it is made, and how it ends."""

    def __init__(self, real: t.Callable[[], ProviderConnection]) -> None:
        self._real = real
        self.made = 0
        self.error: MsalAuthError | None = None
        self.open = threading.Event()
        self.open.set()

    def __call__(self) -> ProviderConnection:
        self.made += 1
        assert self.open.wait(PATIENCE)
        if self.error is not None:
            raise self.error
        return self._real()


@pytest.fixture
def provider(entra: Emulator) -> t.Iterator[Provider]:
    made = Provider(Settings.from_mapping(entra.config(), for_api=True))
    yield made
    if made.built is not None:
        made.built.transport.close()


@pytest.fixture
def discovery(provider: Provider, monkeypatch: pytest.MonkeyPatch) -> Discovery:
    made = Discovery(provider._discovered)
    monkeypatch.setattr(provider, "_discovered", made)
    return made


@pytest.fixture
def tokens(entra: Emulator, provider: Provider) -> AccessTokens:
    settings = Settings.from_mapping(entra.config(), for_api=True)
    return AccessTokens(settings, provider)


def ends(tokens: AccessTokens, token: str) -> str:
    """The way that a validation ends: ``"good"``, or the name of an error."""
    try:
        tokens.validate(token)
    except MsalAuthError as error:
        return type(error).__name__
    return "good"


@pytest.mark.parametrize("strangers", [16, 50])
def test_slow(
    strangers: int,
    entra: Emulator,
    tokens: AccessTokens,
    discovery: Discovery,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Discovery that does not end holds nobody, is made once, and serves at its end."""
    monkeypatch.setattr(access_token, "_PATIENCE", 0.05)
    good = entra.access_token()
    discovery.open.clear()
    with ThreadPoolExecutor(strangers) as pool:
        found = set(pool.map(lambda _: ends(tokens, good), range(strangers)))
    assert found == {"ServiceUnavailable"}
    # What is no token at all needs no provider.
    assert ends(tokens, "garbage") == "InvalidAccessToken"
    discovery.open.set()
    until(lambda: ends(tokens, good) == "good")
    assert discovery.made == 1


def test_patience() -> None:
    """A stranger waits for about a second."""
    assert 0.5 <= OF_STRANGERS <= 1


@pytest.mark.parametrize("error", [ServiceUnavailable, ConfigurationError])
def test_down(
    error: type[MsalAuthError],
    entra: Emulator,
    tokens: AccessTokens,
    discovery: Discovery,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """A failure is shared by all strangers, and repeated in pauses that grow."""
    now, good = 1000.0, entra.access_token()
    monkeypatch.setattr(time, "monotonic", lambda: now)
    discovery.error = error("It is down.")
    made = []
    for _ in range(10):
        with ThreadPoolExecutor(16) as pool:
            found = set(pool.map(lambda _: ends(tokens, good), range(16)))
        assert found == {error.__name__}
        made.append(discovery.made)
        now += 10
    # At 0, 10, 30 and 70 seconds.
    assert made == [1, 2, 2, 3, 3, 3, 3, 4, 4, 4]
    discovery.error = None
    now += 61
    assert ends(tokens, good) == "good"


def test_sign_in_helps(
    entra: Emulator, tokens: AccessTokens, provider: Provider, discovery: Discovery
) -> None:
    """A connection that the web half made meanwhile is the API's, too."""
    discovery.error = ServiceUnavailable("It is down.")
    assert ends(tokens, entra.access_token()) == "ServiceUnavailable"
    discovery.error = None
    assert provider.connection()
    assert ends(tokens, entra.access_token()) == "good"


def test_errors_are_their_own(
    entra: Emulator, tokens: AccessTokens, discovery: Discovery
) -> None:
    """Callers get errors of their own, so that none is told of another's request."""
    discovery.error = ServiceUnavailable("It is down.")
    found = []
    for _ in range(2):
        with pytest.raises(ServiceUnavailable) as caught:
            tokens.validate(entra.access_token())
        found.append(caught.value)
    assert found[0] is not found[1] is not discovery.error


def test_too_long(tokens: AccessTokens, discovery: Discovery) -> None:
    """A string that is too long for a token asks nobody."""
    with pytest.raises(InvalidAccessToken, match="no access token"):
        tokens.validate("x." * 2**19)
    assert discovery.made == 0
