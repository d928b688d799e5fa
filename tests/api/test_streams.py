"""Answers in pieces of an API's views: a refusal after the guard is told once."""

from __future__ import annotations

import collections.abc as cabc
import functools
import typing as t
from importlib.metadata import version

import pytest
import requests
from flask import Flask
from flask import Response
from flask import g
from flask import stream_with_context
from werkzeug.test import TestResponse

from flask_msal_errors import ConfigurationError
from flask_msal_errors import MsalAuth
from flask_msal_errors import Throttled
from flask_msal_errors.api import ApiAuth
from flask_msal_errors.errors import AccessDenied
from flask_msal_errors.errors import InvalidAccessToken
from flask_msal_errors.errors import MsalAuthError
from flask_msal_errors.testing import Emulator
from support import told as listeners
from support.apis import call
from support.callers import CHALLENGE
from support.told import Told
from support.waiting import PATIENCE
from support.working_api import PATHS
from support.working_api import WorkingApi
from support.working_api import working as working

LATE = "has begun: nobody can be sent to sign in"
# pallets/flask#5774
OLD = tuple(map(int, version("flask").split(".")[:3])) < (3, 1, 2)
skip = pytest.mark.skipif(OLD, reason="Flask cannot keep the request of async views")
paths = pytest.mark.parametrize(
    "at", [pytest.param(at, marks=[skip] * at.endswith("async")) for at in PATHS]
)


@pytest.fixture
def told() -> cabc.Iterator[Told]:
    with listeners.listening() as told:
        yield told
        # The frames of an error that is kept lead here, and keep its connection open.
        told.clear()


def by_adapter(working: WorkingApi) -> str:
    with working.auth.requests_session(working.scopes) as session:
        session.verify = working.entra.ca_file
        answer = session.get(working.url("/me"))
    answer.raise_for_status()
    return answer.text


def by_hand(working: WorkingApi) -> str:
    result = working.auth.on_behalf_of(working.scopes)
    return called(working.entra, result["access_token"])


def called(entra: Emulator, token: str) -> str:
    """Call the further API, without an adapter."""
    options: t.Any = {"verify": entra.ca_file, "timeout": PATIENCE}
    sent = {"Authorization": f"Bearer {token}"}
    answer = requests.get(f"{entra.api_url}/me", headers=sent, **options)
    answer.raise_for_status()
    return answer.text


def refuse(entra: Emulator, status: int, **headers: str) -> None:
    """Have the further API refuse whatever comes."""
    answer = Response("", status, headers)
    entra.fail_next(lambda request: answer, "api", times=99)


def broken_off(run: cabc.Callable[[], TestResponse]) -> tuple[type, str]:
    """Return the error that the server gets in an answer, and its words.

    Not the error itself: with its frames it would keep an API's connection open.
    """
    try:
        run().get_data()
    except Exception as error:
        return type(error), str(error)
    raise AssertionError("It was served.")


class TestRefused:
    @paths
    @pytest.mark.parametrize(
        ("made", "first"),
        [(Response, "begun "), (lambda pieces: (pieces, 200), ""), (iter, "begun ")],
        ids=["response", "tuple", "generator"],
    )
    @pytest.mark.parametrize("way", [by_adapter, by_hand])
    def test_user_needed(
        self,
        way: t.Any,
        made: t.Any,
        first: str,
        at: str,
        working: WorkingApi,
        told: Told,
    ) -> None:
        """The further API asks for more than a new token can have."""
        refuse(working.entra, 401, **{"WWW-Authenticate": CHALLENGE})

        def pieces() -> cabc.Iterator[str]:
            if first:
                yield first
            yield way(working)

        kind, words = broken_off(
            lambda: working.run(lambda: made(stream_with_context(pieces())), at)
        )
        assert kind is ConfigurationError and LATE in words
        # An adapter tells before that it tries once more, with another token.
        said = [one for one in told.records if one.levelname == "ERROR"]
        sent = [name for name, data in told.signals if not data.get("silent")]
        assert (len(said), sent) == (1, ["refused"])
        fields = vars(said[0])
        assert fields["msal_path"] == at
        assert fields["msal_scopes"] == working.scopes
        assert fields["msal_api_host"] == "localhost"

    @paths
    def test_by_the_token_endpoint(
        self, at: str, working: WorkingApi, told: Told
    ) -> None:
        """A policy asks for MFA before there is a token at all."""
        working.entra.require_mfa("Profile.Read")

        def pieces() -> cabc.Iterator[str]:
            yield str(working.bearer())

        kind, words = broken_off(
            lambda: working.run(lambda: stream_with_context(pieces()), at)
        )
        assert kind is ConfigurationError and LATE in words
        assert told.once()[1:] == ("ERROR", "refused")

    @paths
    def test_pause(self, at: str, working: WorkingApi, told: Told) -> None:
        """A pause is told as one; the client's own error goes on to the server."""
        refuse(working.entra, 429, **{"Retry-After": "9"})

        def pieces() -> cabc.Iterator[str]:
            yield by_hand(working)

        kind, _ = broken_off(
            lambda: working.run(lambda: stream_with_context(pieces()), at)
        )
        assert kind is requests.HTTPError
        fields, level, sent = told.once()
        assert (level, sent) == ("WARNING", "throttled")
        assert fields["msal_retry_after"] == 9

    @paths
    @pytest.mark.parametrize(
        ("error", "signal"),
        [
            (AccessDenied("No.", error="access_denied"), "refused"),
            (InvalidAccessToken("It has expired."), "refused"),
            (Throttled(retry_after=9), "throttled"),
        ],
    )
    def test_own(
        self,
        error: MsalAuthError,
        signal: str,
        at: str,
        working: WorkingApi,
        told: Told,
    ) -> None:
        """An error of ours is told, and goes on as it is."""

        def pieces() -> cabc.Iterator[str]:
            yield "begun"
            raise error

        kind, _ = broken_off(lambda: working.run(lambda: Response(pieces()), at))
        assert kind is type(error)
        assert told.once()[1:] == ("WARNING", signal)

    @paths
    def test_without_the_request(
        self, at: str, working: WorkingApi, told: Told
    ) -> None:
        """A generator that lost its request is told how to keep it."""

        def pieces() -> cabc.Iterator[str]:
            yield str(working.bearer())

        kind, words = broken_off(lambda: working.run(lambda: Response(pieces()), at))
        assert kind is ConfigurationError and "stream_with_context" in words
        assert told.once()[1:] == ("ERROR", "refused")


@paths
def test_others(at: str, working: WorkingApi, told: Told) -> None:
    """Pieces, and errors that are no refusals, are as they were."""

    def pieces(end: Exception | None) -> cabc.Iterator[str]:
        yield from "abc"
        if end:
            raise end

    assert working.run(lambda: Response(pieces(None)), at).text == "abc"
    kind, _ = broken_off(
        lambda: working.run(lambda: pieces(KeyError("no refusal")), at)
    )
    assert kind is KeyError
    assert not told.records and not told.signals


@pytest.mark.parametrize("kept", [stream_with_context, iter])
def test_functions_of_the_app(kept: t.Any, working: WorkingApi, told: Told) -> None:
    """The app's functions run once a request, and hide no error of a piece."""
    ended: list[str] = []

    def begin() -> None:
        g.connection = "open"

    working.app.before_request_funcs.setdefault(None, []).insert(0, begin)
    working.app.teardown_request(lambda _: ended.append(g.connection))

    def pieces(error: Exception) -> cabc.Iterator[str]:
        yield ""
        raise error

    for error in (Throttled(retry_after=9), KeyError("the app's own")):
        view = functools.partial(pieces, error)
        run = functools.partial(working.run, lambda: kept(view()))  # noqa: B023
        kind, _ = broken_off(run)
        assert kind is type(error)
    assert set(ended) == {"open"}
    assert told.once()[2] == "throttled"


def test_without_a_guard(entra: Emulator, tmp_path: t.Any, told: Told) -> None:
    """In an app that is an API alone, a view that has no guard is watched, too."""
    app = Flask("api", instance_path=str(tmp_path))
    app.config.update(entra.config())
    ApiAuth(app)

    def pieces() -> cabc.Iterator[str]:
        yield ""
        raise AccessDenied("not you")

    app.add_url_rule("/open", "open", lambda: pieces())
    told.clear()
    kind, _ = broken_off(lambda: app.test_client().get("/open"))
    assert kind is AccessDenied and told.once()[2] == "refused"


@pytest.mark.parametrize("first", [MsalAuth, ApiAuth])
def test_both_halves(
    first: type[t.Any], entra: Emulator, tmp_path: t.Any, told: Told
) -> None:
    """In an app that has pages, too, an API's refusal is told by the API, once."""
    app = Flask("both", instance_path=str(tmp_path))
    app.config.update(entra.config(), SECRET_KEY="k" * 32)
    halves: dict[t.Any, t.Any] = {kind: kind() for kind in (MsalAuth, ApiAuth)}
    for kind in sorted(halves, key=lambda kind: kind is not first):
        halves[kind].init_app(app)
    api, scopes = halves[ApiAuth], [entra.scope("Profile.Read")]
    entra.give_consent("ada", "Profile.Read")
    refuse(entra, 429, **{"Retry-After": "9"})

    def pieces() -> cabc.Iterator[str]:
        yield called(entra, api.on_behalf_of(scopes)["access_token"])

    view = api.token_required(lambda: stream_with_context(pieces()))
    app.add_url_rule("/work", "work", view)
    told.clear()
    kind, _ = broken_off(lambda: call(app, entra.access_token("ada"), "/work"))
    assert (kind, told.once()[2]) == (requests.HTTPError, "throttled")
