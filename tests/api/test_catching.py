"""Refusals of further APIs in an API's views: whose they are, and the answer."""

from __future__ import annotations

import base64
import builtins
import collections.abc as cabc
import contextlib
import functools
import json
import typing as t

import httpx
import pytest
import requests
from flask import Flask
from flask import Response
from flask import abort
from flask import request

from flask_msal_errors import MsalAuth
from flask_msal_errors.api import ApiAuth
from flask_msal_errors.errors import ConfigurationError
from flask_msal_errors.errors import InteractionRequired
from flask_msal_errors.errors import Throttled
from flask_msal_errors.protocol import challenge
from flask_msal_errors.testing import Emulator
from support.apis import call
from support.callers import CHALLENGE
from support.callers import CLAIMS
from support.callers import STALE
from support.on_behalf import demanded
from support.working_api import PATHS
from support.working_api import WorkingApi
from support.working_api import asked_of
from support.working_api import scope_of
from support.working_api import working as working

ASKED = json.loads(CLAIMS)["access_token"]
Way = cabc.Callable[[WorkingApi, dict[str, str]], t.Any]


def by_requests(working: WorkingApi, headers: dict[str, str]) -> requests.Response:
    options: t.Any = {"verify": working.entra.ca_file, "timeout": 20}
    return requests.get(working.url("/me"), headers=headers, **options)


def by_httpx(working: WorkingApi, headers: dict[str, str]) -> httpx.Response:
    return httpx.get(working.url("/me"), headers=headers, verify=working.tls)


def raising(client: Way) -> Way:
    return lambda working, headers: client(working, headers).raise_for_status()


def checking(client: Way) -> Way:
    return lambda working, headers: working.auth.check(client(working, headers))


def wrapped(working: WorkingApi, headers: dict[str, str]) -> t.Any:
    try:
        raising(by_requests)(working, headers)
    except requests.HTTPError as error:
        raise LookupError("no profile") from error


def grouped(working: WorkingApi, headers: dict[str, str]) -> t.Any:
    # Python 3.10 has none.
    group = getattr(builtins, "ExceptionGroup", None)
    try:
        raising(by_httpx)(working, headers)
    except httpx.HTTPStatusError as error:
        raise (group("tasks", [ValueError("no"), error]) if group else error) from None


WAYS: dict[str, Way] = {
    "requests-raised": raising(by_requests),
    "requests-returned": by_requests,
    "requests-checked": checking(by_requests),
    "httpx-raised": raising(by_httpx),
    "httpx-returned": by_httpx,
    "httpx-checked": checking(by_httpx),
    "wrapped": wrapped,
    "grouped": grouped,
}
ways = pytest.mark.parametrize("way", WAYS.values(), ids=WAYS)
paths = pytest.mark.parametrize("at", PATHS)


def refuse(entra: Emulator, header: str, status: int = 401, **more: str) -> None:
    """Have the further API refuse whatever comes."""
    headers = {"WWW-Authenticate": header, **more} if header else more
    entra.fail_next(lambda request: Response("", status, headers), "api", times=99)


class TestChallenges:
    """A refusal of a token that was got on behalf of the caller."""

    @paths
    @ways
    def test_claims(
        self, way: Way, at: str, working: WorkingApi, entra: Emulator
    ) -> None:
        """Claims become our challenge; the refused token is not used again."""
        refuse(entra, CHALLENGE)
        shown, used = entra.access_token("ada"), []

        def work() -> t.Any:
            used.append(working.bearer())
            return way(working, used[-1])

        for _ in range(2):
            assert asked_of(working.run(work, at, shown)) == ASKED
        assert used[0] != used[1]

    @paths
    @ways
    def test_scope(
        self, way: Way, at: str, working: WorkingApi, entra: Emulator
    ) -> None:
        """A scope that is missing there is part of the consent to this API."""
        refuse(entra, 'Bearer error="insufficient_scope", scope="Mail.Read"', 403)
        answer = working.run(lambda: way(working, working.bearer()), at)
        assert scope_of(answer) == f"api://{entra.client_id}/.default"

    @paths
    @ways
    def test_stale(
        self, way: Way, at: str, working: WorkingApi, entra: Emulator
    ) -> None:
        """A token that is only stale is the app's matter; it is not used again."""
        refuse(entra, STALE)
        shown, used = entra.access_token("ada"), []

        def work() -> t.Any:
            used.append(working.bearer())
            return f"not seen: {way(working, used[-1])}"

        for _ in range(2):
            answer = working.run(work, at, shown)
            assert "WWW-Authenticate" not in answer.headers
        is_seen = way not in (by_requests, by_httpx)
        assert (used[0] != used[1]) is is_seen

    @pytest.mark.parametrize(
        "header",
        [
            'Bearer error="insufficient_user_authentication", acr_values="c1 c2"',
            'Bearer error="insufficient_user_authentication", max_age="600"',
        ],
    )
    def test_step_up(self, header: str, working: WorkingApi, entra: Emulator) -> None:
        """Demands of RFC 9470 are handed on, beside claims that all clients know."""
        refuse(entra, header)
        answer = working.run(lambda: by_requests(working, working.bearer()))
        assert "nbf" in asked_of(answer)
        for part in header.split(", ")[1:]:
            name, _, value = part.partition("=")
            assert demanded(answer)[name] == value.strip('"')


class TestStrangers:
    """An answer to a call without the caller's token counts for nothing."""

    @paths
    @pytest.mark.parametrize("header", [CHALLENGE, STALE])
    @pytest.mark.parametrize("sent", [{}, {"Authorization": "Bearer vendor"}])
    def test_another_token(
        self,
        sent: dict[str, str],
        header: str,
        at: str,
        working: WorkingApi,
        entra: Emulator,
    ) -> None:
        """A call without a token, or with another, is the app's own matter."""
        refuse(entra, header, 401, **{"Retry-After": "17"})
        answer = working.run(lambda: raising(by_requests)(working, sent), at)
        assert answer.status_code == 500
        assert "WWW-Authenticate" not in answer.headers

    @paths
    def test_of_another_caller(
        self, at: str, working: WorkingApi, entra: Emulator
    ) -> None:
        """A token of another caller is a stranger's in this request."""
        refuse(entra, CHALLENGE)
        kept: list[dict[str, str]] = []

        def keep() -> str:
            kept.append(working.bearer())
            return ""

        assert working.run(keep).status_code == 200
        answer = working.run(
            lambda: raising(by_requests)(working, kept[0]),
            at,
            entra.access_token("grace"),
        )
        assert answer.status_code == 500

    @paths
    def test_shown_token(self, at: str, working: WorkingApi, entra: Emulator) -> None:
        """The caller's own token, sent on as it is, is none that was got for them."""
        refuse(entra, CHALLENGE)
        shown = entra.access_token("ada")
        sent = {"Authorization": f"Bearer {shown}"}
        work = functools.partial(raising(by_requests), working, sent)
        assert working.run(work, at, shown).status_code == 500

    @paths
    def test_values(self, at: str, working: WorkingApi) -> None:
        """Values that are no refusals pass through."""
        values: list[t.Any] = [
            {"error": "invalid_grant", "error_codes": [65001]},
            {"claims": CLAIMS},
            ({"error": "mine"}, 418),
            Response("", 401, {"WWW-Authenticate": CHALLENGE}),
        ]
        answers = [working.run(lambda: value, at) for value in values]  # noqa: B023
        assert [each.status_code for each in answers] == [200, 200, 418, 401]
        assert answers[3].headers["WWW-Authenticate"] == CHALLENGE

    @paths
    def test_aborted(self, at: str, working: WorkingApi, entra: Emulator) -> None:
        """The app's own aborts and errors are its own answers."""
        assert working.run(lambda: abort(404), at).status_code == 404
        assert working.run(lambda: int("no"), at).status_code == 500


class TestPauses:
    """A further API that asks for a pause."""

    @paths
    @pytest.mark.parametrize("status", [429, 503])
    @pytest.mark.parametrize("way", ["raised", "returned"])
    def test_is_told(
        self, way: str, status: int, at: str, working: WorkingApi, entra: Emulator
    ) -> None:
        """The pause is the caller's, however the view lets it out."""
        refuse(entra, "", status, **{"Retry-After": "17"})
        run = WAYS[f"requests-{way}"]
        answer = working.run(lambda: run(working, working.bearer()), at)
        assert answer.status_code == status
        assert answer.headers["Retry-After"] == "17"
        assert answer.mimetype == "application/problem+json"
        assert "Retry-After" in answer.headers["Access-Control-Expose-Headers"]

    @paths
    def test_handler_of_the_app(
        self, at: str, working: WorkingApi, entra: Emulator
    ) -> None:
        """The app's own handler comes before a pause, and after a challenge."""
        working.app.register_error_handler(requests.HTTPError, lambda error: "handled")
        working.app.register_error_handler(Exception, lambda error: ("any", 500))

        def work() -> t.Any:
            return raising(by_requests)(working, working.bearer())

        refuse(entra, "", 429, **{"Retry-After": "17"})
        assert working.run(work, at).text == "handled"
        entra.clear_faults()
        refuse(entra, CHALLENGE)
        assert asked_of(working.run(work, at)) == ASKED

    def test_batch(self, working: WorkingApi) -> None:
        """An answer in a JSON batch is checked, with the scopes of the call."""
        inner = {"id": "1", "status": 429, "headers": {"Retry-After": "17"}}

        def work() -> t.Any:
            return working.auth.check({"responses": [inner]}, scopes=working.scopes)

        answer = working.run(work)
        assert answer.status_code == 429 and answer.headers["Retry-After"] == "17"
        claims = {"WWW-Authenticate": CHALLENGE}
        inner.update(status=401, headers=claims)
        assert asked_of(working.run(work)) == ASKED

    def test_check_outside(self, working: WorkingApi) -> None:
        """Outside a request, what is checked is what the app says."""
        assert working.auth.check("value") == "value"
        with pytest.raises(Throttled):
            working.auth.check(
                {"id": "1", "status": 429, "headers": {"Retry-After": "17"}}
            )


class TestOfMsal:
    """Errors of the token endpoint, in whatever form the view lets them out."""

    @paths
    @pytest.mark.parametrize("way", ["raised", "returned", "checked", "wrapped"])
    def test_claims(
        self, way: str, at: str, working: WorkingApi, entra: Emulator
    ) -> None:
        """MFA at on-behalf-of is our challenge."""
        entra.require_mfa("Profile.Read")

        def work() -> t.Any:
            try:
                return working.bearer()
            except InteractionRequired as error:
                if way == "wrapped":
                    raise LookupError("no profile") from error
                if way == "returned":
                    return error.result
                if way == "checked":
                    return working.auth.check(error.result)
                raise

        assert asked_of(working.run(work, at)).keys() == {"polids"}

    def test_copy(self, working: WorkingApi, entra: Emulator) -> None:
        """A dict with the content of an error is a value like any other."""
        entra.require_mfa("Profile.Read")

        def work() -> t.Any:
            with pytest.raises(InteractionRequired) as caught:
                working.bearer()
            return dict(caught.value.result)

        assert working.run(work).status_code == 200


@pytest.fixture
def both(entra: Emulator, tmp_path: t.Any) -> Flask:
    """An app with both halves; each view calls by the other's clients."""
    app = Flask("both", instance_path=str(tmp_path))
    app.config.update(entra.config(), SECRET_KEY="k" * 32)
    auth, api, scopes = MsalAuth(app), ApiAuth(app), [entra.scope("Profile.Read")]

    def view() -> dict[str, str]:
        halves: tuple[t.Any, ...] = (auth, api)
        return {type(half).__name__: called(half, scopes, entra) for half in halves}

    app.add_url_rule("/api/view", "api", api.token_required(view))
    app.add_url_rule("/view", "web", auth.login_required(view))
    app.add_url_rule("/either", "either", view)

    @app.before_request
    def either() -> t.Any:
        if request.path == "/either":
            return api.require_token() or auth.require_login()
        return None

    for person in ("ada", "grace"):
        entra.give_consent(person, "Profile.Read")
    return app


def called(half: t.Any, scopes: list[str], entra: Emulator) -> str:
    """The person that the further API sees, or the error of a half that has nobody."""
    with contextlib.ExitStack() as stack:
        try:
            session = stack.enter_context(half.requests_session(scopes))
            session.verify = entra.ca_file
            return str(session.get(f"{entra.api_url}/me").json()["displayName"])
        except ConfigurationError as error:
            return str(error)


class TestBothHalves:
    """Clients of the API never use the session user's token, and vice versa."""

    def test_each_its_own(self, both: Flask, entra: Emulator) -> None:
        """In a request of one half, the other half's clients have nobody."""
        client = both.test_client()
        entra.sign_in(client, "grace")
        shown = {"Authorization": f"Bearer {entra.access_token('ada')}"}
        answer = client.get("/api/view", headers=shown).get_json()
        assert answer["ApiAuth"].startswith("Ada")
        assert "methods of ApiAuth" in answer["MsalAuth"]
        assert "Set-Cookie" not in client.get("/api/view", headers=shown).headers
        answer = client.get("/view", headers=shown).get_json()
        assert answer["MsalAuth"].startswith("Grace")
        assert "token_required" in answer["ApiAuth"]

    def test_in_one_request(self, both: Flask, entra: Emulator) -> None:
        """A request with a token and a session has both, and mixes them never."""
        client = both.test_client()
        entra.sign_in(client, "grace")
        shown = {"Authorization": f"Bearer {entra.access_token('ada')}"}
        answer = client.get("/either", headers=shown).get_json()
        assert answer["ApiAuth"].startswith("Ada")
        assert answer["MsalAuth"].startswith("Grace")


def test_foreign_decorators(working: WorkingApi, entra: Emulator) -> None:
    """A coroutine stays one for decorators around it; one inside may return one."""
    api, app = working.auth, working.app
    seen: list[str] = []

    def outer(view: t.Any) -> t.Any:
        @functools.wraps(view)
        async def awaiting() -> t.Any:
            value = await view()
            seen.append(type(value).__name__)
            return value

        return awaiting

    def inner(view: t.Any) -> t.Any:
        return functools.wraps(view)(lambda: view())

    async def view() -> str:
        working.bearer()
        return "awaited"

    app.add_url_rule("/outer", "outer", outer(api.token_required(view)))
    plain = inner(view)
    del plain.__wrapped__
    app.add_url_rule("/inner", "inner", api.token_required(plain))
    for path in ("/outer", "/inner"):
        assert working.run(lambda: "", path).text == "awaited"
    assert seen == ["str"]
    entra.require_mfa("Profile.Read")
    for path in ("/outer", "/inner"):
        assert "polids" in asked_of(working.run(lambda: "", path))


class TestHugeDemands:
    """A further API may ask for anything; the answer stays one that is read."""

    @pytest.mark.parametrize(
        ("value", "is_handed_on"),
        [
            ("x" * 4030, True),
            ("x" * 3900, True),
            (">" * 600, True),
            (">" * 4000, False),
            ("~?" * 2000, False),
            ("\x7f" * 1000, False),
            ("\u00e9" * 1000, False),
            ("x" * 4096, False),
        ],
    )
    def test_claims(self, value: str, is_handed_on: bool, working: WorkingApi) -> None:
        """Claims that our own parser would not read are nobody's demand.

        With those of the view they may be too long together: the API's come first.
        """
        wanted = {"x": {"essential": True, "value": value}}
        packed = base64.b64encode(json.dumps({"access_token": wanted}).encode())
        header = f'Bearer error="insufficient_claims", claims="{packed.decode()}"'
        guarded = working.auth.token_required(acrs="c1")
        view = guarded(lambda: refusing(working, header))
        working.app.add_url_rule("/huge", "huge", view)
        shown = working.entra.access_token("ada", acrs=["c1"])
        answer = call(working.app, shown, "/huge")
        if not is_handed_on:
            assert answer.status_code == 500
            return
        own = {} if len(value) > 4000 else {"acrs": {"essential": True, "value": "c1"}}
        assert asked_of(answer) == {**own, **wanted}
        assert len(answer.headers["WWW-Authenticate"]) < 6000
        found = challenge.demand(401, answer.headers["WWW-Authenticate"])
        assert found and found.claims.members["access_token"] == {**own, **wanted}

    def test_levels(self, working: WorkingApi) -> None:
        """Of many long levels, of which one will do, the first are handed on."""
        names = [f"{number}{'x' * 240}" for number in range(40)]
        error = "insufficient_user_authentication"
        header = f'Bearer error="{error}", acr_values="{" ".join(names)}"'
        answer = working.run(lambda: refusing(working, header))
        assert answer.status_code == 401
        assert demanded(answer)["acr_values"].split() == names[:8]


def refusing(working: WorkingApi, header: str) -> t.Any:
    """Raise the further API's refusal of a call on behalf of the caller."""
    response = requests.Response()
    response.status_code, response.headers["WWW-Authenticate"] = 401, header
    sent = requests.Request("GET", working.url("/"), headers=working.bearer())
    raise requests.HTTPError(response=response, request=sent.prepare())
