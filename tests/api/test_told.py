"""Lines and signals of an app that is an API and nothing else: one of each."""

from __future__ import annotations

import builtins
import collections.abc as cabc
import sys
import typing as t

import pytest
from flask import Flask
from flask import request

from flask_msal_errors.api import ApiAuth
from flask_msal_errors.errors import AccessDenied
from flask_msal_errors.errors import ConfigurationError
from flask_msal_errors.errors import InteractionRequired
from flask_msal_errors.errors import MsalAuthError
from flask_msal_errors.errors import Throttled
from flask_msal_errors.testing import Emulator
from support import told as listeners
from support.apis import api_app
from support.apis import call
from support.told import Told

KINDS: dict[str, tuple[cabc.Callable[[], Exception], str]] = {
    "denied": (lambda: AccessDenied("No.", error="access_denied"), "refused"),
    "wrong": (lambda: ConfigurationError("MSAL_X: no."), "refused"),
    "pause": (lambda: Throttled(retry_after=9), "throttled"),
    "needed": (lambda: InteractionRequired(reason="step_up"), "challenge_received"),
}
#: Views without a guard, behind a guard, and behind a function before it.
PLACES = ("/open", "/guarded", "/before")


@pytest.fixture
def told() -> cabc.Iterator[Told]:
    with listeners.listening() as told:
        yield told
        told.clear()


@pytest.fixture
def api(entra: Emulator) -> tuple[Flask, ApiAuth]:
    return api_app(entra)


def raising(app: Flask, api: ApiAuth, make: cabc.Callable[[], Exception]) -> None:
    """Have an error raised in each of the places."""

    def fail() -> t.NoReturn:
        raise make()

    @app.before_request
    def before() -> None:
        if request.path == "/before":
            fail()

    app.add_url_rule("/open", "open", fail)
    app.add_url_rule("/guarded", "guarded", api.token_required(lambda: fail()))
    app.add_url_rule("/before", "before", api.token_required(lambda: ""))


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("own", [None, MsalAuthError, Exception])
@pytest.mark.parametrize("place", PLACES)
def test_each_error(
    place: str,
    own: t.Any,
    kind: str,
    api: tuple[Flask, ApiAuth],
    entra: Emulator,
    told: Told,
) -> None:
    """An error of ours, wherever it is raised and whoever answers it."""
    make, signal = KINDS[kind]
    raising(*api, make)
    if own is not None:
        api[0].register_error_handler(own, lambda error: ("own", 418))
    for _ in range(2):
        told.clear()
        answer = call(api[0], entra.access_token("ada"), place)
        assert answer.status_code >= 400
        fields, _, sent = told.once()
        assert (sent, fields["msal_path"]) == (signal, place)


@pytest.mark.skipif(sys.version_info < (3, 11), reason="has no ExceptionGroup")
@pytest.mark.parametrize("place", PLACES)
def test_group(
    place: str, api: tuple[Flask, ApiAuth], entra: Emulator, told: Told
) -> None:
    """An error of ours in a group, as of tasks, is told as by itself."""
    group: t.Any = vars(builtins)["ExceptionGroup"]
    raising(*api, lambda: group("tasks", [KeyError(), Throttled(retry_after=9)]))
    call(api[0], entra.access_token("ada"), place)
    assert told.once()[2] == "throttled"


@pytest.mark.parametrize("place", PLACES)
def test_others(
    place: str, api: tuple[Flask, ApiAuth], entra: Emulator, told: Told
) -> None:
    """Errors of the app are none of ours."""
    raising(*api, lambda: KeyError("no refusal"))
    assert call(api[0], entra.access_token("ada"), place).status_code == 500
    assert not told.records and not told.signals


def test_guard_above_its_route(
    api: tuple[Flask, ApiAuth], entra: Emulator, told: Told
) -> None:
    """A view that its guard does not protect is told of, as it is shown to nobody."""
    app, auth = api
    auth.token_required(app.get("/past")(lambda: "SECRET"))
    assert call(app, None, "/past").status_code == 500
    assert told.once()[1:] == ("ERROR", "refused")
