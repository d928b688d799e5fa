"""Refusals that count: of our user's own token only; of dicts, MSAL's own errors only.

Webhooks, link previews, vendors' JSON and stored documents look like an API's refusal
or like an error of Entra's. They are the app's business, through every door.
"""

from __future__ import annotations

import collections.abc as cabc
import json
import typing as t
import urllib.request

import httpx
import pytest
import requests
import urllib3
from flask import Response
from flask import request

from flask_msal_errors.errors import InteractionRequired
from flask_msal_errors.errors import MsalAuthError
from flask_msal_errors.testing import Emulator
from support.callers import CHALLENGE
from support.callers import STALE
from support.callers import Caller
from support.callers import caller as caller
from support.live_app import LiveApp
from support.live_app import Start
from support.strangers import DIALECTS
from support.strangers import Stranger
from support.strangers import packed
from support.strangers import refusing
from support.strangers import stranger as stranger
from support.waiting import PATIENCE

pytestmark = pytest.mark.once

Headers = dict[str, str]
#: A call of a URL, with these headers, by a client's own means.
Call = cabc.Callable[[str, Headers], t.Any]


class Group(Exception):
    """An exception group, on any version of Python."""

    def __init__(self, *members: BaseException) -> None:
        super().__init__("several")
        self.exceptions = members


def by_requests(url: str, headers: Headers) -> t.Any:
    return requests.post(url, headers=headers, data=b"event=order", timeout=PATIENCE)


def by_requests_session(url: str, headers: Headers) -> t.Any:
    with requests.Session() as session:
        session.headers.update(headers)
        return session.post(url, timeout=PATIENCE)


def by_httpx(url: str, headers: Headers) -> t.Any:
    return httpx.post(url, headers=headers)


async def by_httpx_async(url: str, headers: Headers) -> t.Any:
    async with httpx.AsyncClient() as client:
        return await client.post(url, headers=headers)


def by_urllib3(url: str, headers: Headers) -> t.Any:
    with urllib3.PoolManager() as pool:
        return pool.request("POST", url, headers=headers, retries=False)


def raising(call: Call) -> Call:
    return lambda url, headers: call(url, headers).raise_for_status()


async def raising_async(url: str, headers: Headers) -> t.Any:
    (await by_httpx_async(url, headers)).raise_for_status()


def wrapping(url: str, headers: Headers) -> t.Any:
    try:
        by_requests(url, headers).raise_for_status()
    except requests.HTTPError as error:
        raise RuntimeError("the customer was not told") from error


def grouping(url: str, headers: Headers) -> t.Any:
    failures: list[BaseException] = [ValueError("other")]
    for call in (by_requests, by_httpx):
        try:
            call(url, headers).raise_for_status()
        except (requests.HTTPError, httpx.HTTPError) as error:
            failures.append(error)
    raise Group(*failures)


#: Doors by which an answer comes to us whose request is known.
KNOWN: dict[str, Call] = {
    "requests-raised": raising(by_requests),
    "requests-session-raised": raising(by_requests_session),
    "requests-returned": by_requests,
    "requests-wrapped": wrapping,
    "group": grouping,
    "httpx-raised": raising(by_httpx),
    "httpx-returned": by_httpx,
    "httpx-async-raised": raising_async,
    "httpx-async-returned": by_httpx_async,
}
#: Headers of calls to others, in place of our user's token.
FOREIGN: dict[str, Headers] = {
    "nothing": {},
    "another token": {"Authorization": "Bearer the-customer's-own"},
    "a password": {"Authorization": "Basic YTpi"},
    "an API key": {"Authorization": "ApiKey 1234", "X-Api-Key": "1234"},
    "an empty token": {"Authorization": "Bearer"},
}


def passed(answer: requests.Response) -> bool:
    """Whether a view's end was the view's own: its answer, or Flask's 500 for it."""
    sent = "Location" in answer.headers or "Refresh" in answer.headers
    return not sent and answer.status_code in (200, 500)


class TestStrangers:
    """T1, T2: answers to calls that did not carry the user's token."""

    @pytest.mark.parametrize("dialect", DIALECTS)
    @pytest.mark.parametrize("door", KNOWN.values(), ids=KNOWN)
    def test_call_without_a_token(
        self, caller: Caller, stranger: Stranger, door: Call, dialect: str
    ) -> None:
        """A webhook's refusal of a call without a token is the app's own business."""
        stranger.answer = refusing(dialect)
        answer = caller.run(lambda: door(stranger.url, {}))
        assert stranger.asked
        assert passed(answer), answer.headers

    @pytest.mark.parametrize("carried", FOREIGN)
    @pytest.mark.parametrize("door", KNOWN.values(), ids=KNOWN)
    def test_call_with_something_else(
        self, caller: Caller, stranger: Stranger, door: Call, carried: str
    ) -> None:
        """So is the refusal of whatever is not a token of this user's."""
        answer = caller.run(lambda: door(stranger.url, FOREIGN[carried]))
        assert stranger.asked
        assert passed(answer), answer.headers

    @pytest.mark.parametrize("dialect", DIALECTS)
    def test_check(self, caller: Caller, stranger: Stranger, dialect: str) -> None:
        """``check`` returns it too, and also where the app names scopes."""
        stranger.answer = refusing(dialect)

        def work() -> str:
            for call in (by_requests, by_httpx):
                reply = call(stranger.url, {})
                assert caller.auth.check(reply) is reply
                assert caller.auth.check(reply, scopes=caller.scopes) is reply
            return "passed"

        assert caller.run(work).text == "passed"

    def test_check_of_a_foreign_token(self, caller: Caller, stranger: Stranger) -> None:
        """``check`` returns what refused a foreign token, unless scopes are named."""

        def work() -> str:
            headers = {"Authorization": "Bearer theirs"}
            reply = by_requests(stranger.url, headers)
            assert caller.auth.check(reply) is reply
            try:
                caller.auth.check(reply, scopes=caller.scopes)
            except InteractionRequired as error:
                return " ".join(error.scopes)
            return "nobody is asked"

        assert caller.run(work).text == " ".join(caller.scopes)

    def test_token_of_another_user(
        self, caller: Caller, entra: Emulator, stranger: Stranger
    ) -> None:
        """A refused token of Grace's asks nothing of Ada."""
        tokens: list[str] = []

        def note() -> str:
            tokens.append(caller.token())
            return "noted"

        caller.work = note
        entra.person("grace").visit(caller.live.url + "/work")
        header = {"Authorization": f"Bearer {tokens[0]}"}
        door = raising(by_requests)
        assert passed(caller.run(lambda: door(stranger.url, header)))

    def test_runs_once(self, start: Start, entra: Emulator, stranger: Stranger) -> None:
        """One click stores one order, whatever the customer's webhook answers."""
        orders: list[str] = []
        stranger.answer = refusing("age")

        def add(live: LiveApp) -> None:
            @live.app.get("/order")
            @live.auth.login_required(scopes=[entra.scope("Profile.Read")])
            def order() -> str:
                orders.append("order")
                requests.post(stranger.url, timeout=PATIENCE).raise_for_status()
                return "told"

        live = start(add)
        person = entra.person()
        person.visit(live.url + "/me")
        before = entra.counters["authorize"]
        assert person.visit(live.url + "/order").status_code == 500
        assert orders == ["order"]
        assert entra.counters["authorize"] == before

    @pytest.mark.parametrize("status", [429, 503])
    def test_pause(self, caller: Caller, stranger: Stranger, status: int) -> None:
        """A stranger's "too many requests" is not passed on as ours."""
        headers = {"Retry-After": "3000"}
        stranger.answer = lambda request: Response("", status, headers)
        door = raising(by_requests)
        answer = caller.run(lambda: door(stranger.url, {}))
        assert answer.status_code == 500
        assert "Retry-After" not in answer.headers

    def test_beside_the_users_refusal(
        self, caller: Caller, entra: Emulator, stranger: Stranger
    ) -> None:
        """In a group with strangers' answers, the refusal of the user's token counts.

        It alone: nothing of what the stranger demands is asked.
        """
        stranger.answer = refusing("age")
        refusal = Response("", 401, {"WWW-Authenticate": CHALLENGE})
        entra.fail_next(lambda request: refusal, "api")

        def failure(call: cabc.Callable[[], t.Any]) -> BaseException:
            with pytest.raises(requests.HTTPError) as caught:
                call().raise_for_status()
            return caught.value

        def work() -> None:
            url, bearer = caller.url("/me"), caller.bearer()
            options: t.Any = {"verify": entra.ca_file, "timeout": 20}
            theirs = failure(lambda: by_requests(stranger.url, {}))
            ours = failure(lambda: requests.get(url, headers=bearer, **options))
            raise Group(theirs, ours)

        answer = caller.run(work)
        assert answer.status_code == 302
        asked = httpx.URL(answer.headers["Location"]).params
        assert "nbf" in asked["claims"]
        assert "max_age" not in asked


class TestRedirected:
    """T1: the user's token goes to our API, which sends the call on to a stranger."""

    @pytest.mark.parametrize("dialect", DIALECTS)
    def test_adapters(
        self, caller: Caller, entra: Emulator, stranger: Stranger, dialect: str
    ) -> None:
        """A stranger whom the API redirects to got no token, and has no say."""
        stranger.answer = refusing(dialect)
        away = Response("", 302, {"Location": stranger.url})

        def by_session() -> None:
            with caller.auth.requests_session(caller.scopes) as api:
                api.verify = entra.ca_file
                api.get(caller.url("/me")).raise_for_status()

        def by_client() -> None:
            auth = caller.auth.httpx_auth(caller.scopes)
            options: t.Any = {"verify": caller.tls, "follow_redirects": True}
            with httpx.Client(auth=auth, **options) as api:
                api.get(caller.url("/me")).raise_for_status()

        def by_hand() -> None:
            options: t.Any = {"verify": entra.ca_file, "timeout": 20}
            url = caller.url("/me")
            requests.get(url, headers=caller.bearer(), **options).raise_for_status()

        for work in (by_session, by_client, by_hand):
            entra.fail_next(lambda request: away, "api")
            stranger.asked.clear()
            assert passed(caller.run(work)), work
            assert len(stranger.asked) == 1
            assert "Authorization" not in stranger.asked[0].headers

    @pytest.mark.parametrize("absolute", [False, True])
    def test_urllib3_on_one_host(
        self, caller: Caller, entra: Emulator, absolute: bool
    ) -> None:
        """On the host of the API the token goes along, and the refusal counts."""
        here = caller.url("/echo") if absolute else "/api/echo"
        way = Response("", 302, {"Location": here})
        refusal = Response("", 401, {"WWW-Authenticate": CHALLENGE})
        entra.fail_next(lambda request: way, "api")
        entra.fail_next(lambda request: refusal, "api")

        def work() -> t.Any:
            with urllib3.PoolManager(ca_certs=entra.ca_file) as pool:
                return pool.request("GET", caller.url("/me"), headers=caller.bearer())

        assert caller.run(work).status_code == 302

    def test_urllib3(self, caller: Caller, entra: Emulator, stranger: Stranger) -> None:
        """urllib3 shows no request, but that it was sent on."""
        away = Response("", 302, {"Location": stranger.url})
        entra.fail_next(lambda request: away, "api")

        def work() -> t.Any:
            with urllib3.PoolManager(ca_certs=entra.ca_file) as pool:
                return pool.request("GET", caller.url("/me"), headers=caller.bearer())

        assert passed(caller.run(work, at="/caught"))
        assert "Authorization" not in stranger.asked[0].headers


class TestUnknownRequests:
    """T1: responses that do not know the request that they answer."""

    def test_no_token_was_lent(self, caller: Caller, stranger: Stranger) -> None:
        """If the view was given no token, nobody can have refused one."""
        for dialect in DIALECTS:
            stranger.answer = refusing(dialect)
            for at in ("/caught", "/work"):
                answer = caller.run(lambda: by_urllib3(stranger.url, {}), at=at)
                assert passed(answer), (dialect, at)

    def test_two_tokens_were_lent(
        self, caller: Caller, entra: Emulator, stranger: Stranger
    ) -> None:
        """With two tokens lent it is not known whose refusal it is: it passes.

        Neither of them is forgotten.
        """
        mail = entra.scope("Mail.Read")
        entra.users["ada"].consents.add(mail)
        seen: list[tuple[str, str]] = []

        def look() -> str:
            seen.append((caller.token(), caller.token("User.Read")))
            return "looked"

        def work() -> t.Any:
            look()
            return by_urllib3(stranger.url, {})

        graph = "https://graph.microsoft.com/User.Read"
        entra.users["ada"].consents.add(graph)
        stale = Response("", 401, {"WWW-Authenticate": STALE})
        for answer in (stranger.answer, lambda request: stale):
            stranger.answer = answer
            assert passed(caller.run(work, at="/caught"))
        assert caller.run(look, at="/caught").text == "looked"
        assert len(set(seen)) == 1

    def test_cannot_widen(self, caller: Caller, stranger: Stranger) -> None:
        """An answer to an unknown request never asks for further scopes."""
        stranger.answer = refusing("scopes")

        def by_pool() -> t.Any:
            return by_urllib3(stranger.url, caller.bearer())

        def by_urllib() -> t.Any:
            asked = urllib.request.Request(stranger.url, headers=caller.bearer())
            try:
                urllib.request.urlopen(asked, timeout=PATIENCE)
            except urllib.request.HTTPError as error:
                error.close()
                raise

        for work in (by_pool, by_urllib):
            assert passed(caller.run(work, at="/caught")), work

    def test_the_apps_word(self, caller: Caller, stranger: Stranger) -> None:
        """``check`` with scopes is the app's word that the refused token was theirs."""
        stranger.answer = refusing("claims")

        def work() -> t.Any:
            reply = by_urllib3(stranger.url, {})
            caller.auth.check(reply, scopes=caller.scopes)
            return "nobody is asked"

        answer = caller.run(work, at="/caught")
        assert answer.status_code == 302
        assert caller.scopes[0] in httpx.URL(answer.headers["Location"]).params["scope"]


class TestOwnToken:
    """Refusals of the user's own token, on any client, without an adapter."""

    @pytest.mark.parametrize("dialect", DIALECTS)
    @pytest.mark.parametrize("door", KNOWN.values(), ids=KNOWN)
    def test_is_caught(
        self, caller: Caller, stranger: Stranger, door: Call, dialect: str
    ) -> None:
        """A refusal of the user's own token sends them, wherever it was lent."""
        stranger.answer = refusing(dialect)
        answer = caller.run(lambda: door(stranger.url, caller.bearer()))
        assert answer.status_code == 302

    def test_of_an_earlier_request(self, caller: Caller, stranger: Stranger) -> None:
        """A living token counts that the app kept since an earlier request."""
        kept: list[Headers] = []

        def keep() -> str:
            kept.append(caller.bearer())
            return "kept"

        caller.run(keep)
        door = raising(by_requests)
        answer = caller.run(lambda: door(stranger.url, kept[0]), at="/caught")
        assert answer.status_code == 302

    def test_after_an_own_renewal(self, caller: Caller, stranger: Stranger) -> None:
        """A token that the view forced takes the place of the one before it."""
        stranger.answer = refusing("claims")

        def work() -> t.Any:
            caller.token()
            renewed = caller.auth.acquire_token(caller.scopes, force_refresh=True)
            bearer = {"Authorization": f"Bearer {renewed['access_token']}"}
            return by_urllib3(stranger.url, bearer)

        assert caller.run(work).status_code == 302

    def test_in_any_spelling(self, caller: Caller, stranger: Stranger) -> None:
        """The scheme's name has no case (RFC 9110 §11.1), and blanks do not matter."""
        for scheme in ("bearer ", "BEARER ", "Bearer  "):

            def work(scheme: str = scheme) -> None:
                header = {"Authorization": scheme + caller.token()}
                raising(by_requests)(stranger.url, header)

            assert caller.run(work).status_code == 302


#: Answers of vendors, and content of databases (RFC 6749 §5.2 is everybody's).
DOCUMENTS: dict[str, dict[str, t.Any]] = {
    "grant": {"error": "invalid_grant", "error_description": "Bad code."},
    "interaction": {"error": "interaction_required", "error_description": "Sign in."},
    "login": {"error": "login_required", "error_description": "Nobody is here."},
    "consent": {"error": "consent_required", "error_description": "Ask an admin."},
    "codes": {
        "error": "invalid_grant",
        "error_description": "AADSTS50076: …",
        "error_codes": [50076],
        "suberror": "basic_action",
        "correlation_id": "c",
        "trace_id": "t",
        "timestamp": "2026-11-28 10:00:00Z",
        "claims": '{"access_token":{"capolids":{"essential":true,"values":["x"]}}}',
    },
    "stored": {
        "error": "interaction_required",
        "error_description": "More is needed.",
        "claims": '{"id_token":{"acrs":{"essential":true,"value":"c9"}},'
        '"userinfo":{"email":null},"access_token":{"nbf":{"value":"1"}}}',
    },
}


class TestDocuments:
    """T3, T4: a dict counts only if MSAL made it for us, or the app hands it over."""

    @pytest.mark.parametrize("at", ["/work", "/caught"])
    @pytest.mark.parametrize("document", DOCUMENTS.values(), ids=DOCUMENTS)
    def test_is_the_apps_json(
        self, caller: Caller, document: dict[str, t.Any], at: str
    ) -> None:
        """A document that a view returns is its answer, whatever it says."""
        runs: list[str] = []
        copy = dict(document)

        def work() -> dict[str, t.Any]:
            runs.append("run")
            return copy

        answer = caller.run(work, follow=True, at=at)
        assert runs == ["run"]
        assert answer.status_code == 200
        assert answer.json() == document

    def test_from_grace(self, start: Start, entra: Emulator) -> None:
        """A note that Grace stores and Ada reads asks nothing of Ada."""
        stored: list[t.Any] = []

        def add(live: LiveApp) -> None:
            @live.app.route("/note", methods=["GET", "POST"])
            @live.auth.login_required
            def note() -> t.Any:
                if request.method == "POST":
                    stored.append(json.loads(request.form["note"]))
                    return "stored"
                return stored[-1]

        live = start(add)
        ada, grace = entra.person(), entra.person("grace")
        for person in (ada, grace):
            person.visit(live.url + "/me")
        text = json.dumps(DOCUMENTS["stored"])
        assert grace.post(live.url + "/note", {"note": text}).status_code == 200
        answer = ada.get(live.url + "/note")
        assert answer.status_code == 200
        assert answer.json() == DOCUMENTS["stored"]

    def test_of_our_own_client(self, caller: Caller, entra: Emulator) -> None:
        """A result that MSAL made in this request counts where a view returns it."""

        def work() -> t.Any:
            refused = {"error": "interaction_required", "error_codes": [50076]}
            entra.fail_next(refused, "token", status=400)
            try:
                caller.auth.acquire_token(caller.scopes, force_refresh=True)
            except MsalAuthError as error:
                return t.cast(t.Any, error).result
            return "no error"

        assert caller.run(work, at="/caught").status_code == 302

    def test_handed_to_check(self, caller: Caller) -> None:
        """A dict that the app hands to ``check`` counts: it says that MSAL made it."""
        for name in ("grant", "interaction", "codes"):

            def work(name: str = name) -> t.Any:
                return caller.auth.check(dict(DOCUMENTS[name]), scopes=caller.scopes)

            assert caller.run(work).status_code == 302, name


WIDE: dict[str, t.Any] = {
    "access_token": {"capolids": {"essential": True, "values": ["x"]}},
    "id_token": {"acrs": {"essential": True, "value": "c9"}, "email": None},
    "userinfo": {"address": {"essential": True}},
}


class TestClaims:
    """T4: claims from outside are reduced to what speaks for an access token."""

    def asked(self, answer: requests.Response) -> set[str]:
        found = httpx.URL(answer.headers["Location"]).params["claims"]
        members = json.loads(found)
        assert members["access_token"]["capolids"]["values"] == ["x"]
        names = set(members["access_token"]) - {"xms_cc"}
        assert names == {"capolids"}
        return set(members)

    def test_of_a_dict(self, caller: Caller) -> None:
        """Of the claims of a dict that ``check`` gets, the token's part goes out."""
        text = json.dumps(WIDE)
        result = {**DOCUMENTS["interaction"], "claims": text}
        answer = caller.run(lambda: caller.auth.check(result, scopes=caller.scopes))
        assert self.asked(answer) == {"access_token"}

    def test_of_the_token_endpoint(self, caller: Caller, entra: Emulator) -> None:
        """So it is with claims that the token endpoint sends."""
        refused = {"error": "interaction_required", "claims": json.dumps(WIDE)}

        def work() -> t.Any:
            entra.fail_next(refused, "token", status=400)
            return caller.auth.acquire_token(caller.scopes, force_refresh=True)

        answer = caller.run(work, at="/caught")
        assert self.asked(answer) == {"access_token"}

    def test_of_an_api(self, caller: Caller, stranger: Stranger) -> None:
        """And with those of an API, of which it always was so."""
        header = f'Bearer error="insufficient_claims", claims="{packed(WIDE)}"'
        stranger.answer = lambda _: Response("", 401, {"WWW-Authenticate": header})
        door = raising(by_requests)
        answer = caller.run(lambda: door(stranger.url, caller.bearer()))
        assert self.asked(answer) == {"access_token"}
