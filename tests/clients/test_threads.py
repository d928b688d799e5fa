"""Clients that call from threads of their own act for the request they were made in."""

from __future__ import annotations

import collections.abc as cabc
import gc
import threading
import typing as t
import weakref
from concurrent.futures import ThreadPoolExecutor

import pytest
from flask import Response
from flask import copy_current_request_context
from flask import request
from flask import stream_with_context

from flask_msal_errors import ConfigurationError
from flask_msal_errors import InteractionRequired
from flask_msal_errors.clients.flow import Owner
from flask_msal_errors.testing import Emulator
from flask_msal_errors.web.state import app_state
from support.callers import CHALLENGE
from support.callers import Caller
from support.callers import caller as caller
from support.made_clients import Call
from support.made_clients import by_azure
from support.made_clients import by_httpx
from support.made_clients import by_httpx_async
from support.made_clients import by_requests
from support.made_clients import by_token
from support.waiting import PATIENCE

CLIENTS = (by_requests, by_httpx, by_httpx_async, by_azure, by_token)


def in_threads(number: int, call: Call, path: str = "/me") -> list[str]:
    """Return what so many threads got, which meet before the first of them calls."""
    meeting = threading.Barrier(number)

    def work(_: int) -> str:
        meeting.wait(PATIENCE)
        return call(path)

    with ThreadPoolExecutor(number) as pool:
        return list(pool.map(work, range(number)))


class TestThreads:
    def test_act_for_the_request(self, caller: Caller) -> None:
        """The user of the view is the one of its threads, whichever client calls."""

        def work() -> t.Any:
            return {
                make.__name__: sorted(set(in_threads(2, make(caller))))
                for make in CLIENTS
            }

        answers = caller.run(work).json()
        assert len(answers) == len(CLIENTS)
        for found in answers.values():
            assert len(found) == 1 and "ada@contoso.example" in found[0]

    @pytest.mark.parametrize("make", [by_requests, by_azure])
    def test_one_refresh(
        self, caller: Caller, entra: Emulator, make: cabc.Callable[[Caller], Call]
    ) -> None:
        """Four threads whose token is refused side by side renew it once."""
        arrived, refused = threading.Barrier(4), set[str]()

        def refuse(received: t.Any) -> Response | None:
            if received.headers["Authorization"] not in refused:
                return None
            arrived.wait(PATIENCE)
            return Response("", 401, {"WWW-Authenticate": CHALLENGE})

        entra.fail_next(refuse, "api", times=99)
        before = entra.counters["token"]

        def work() -> t.Any:
            refused.add(f"Bearer {caller.token()}")
            return sorted(set(in_threads(4, make(caller))))

        assert "ada@contoso.example" in caller.run(work).json()[0]
        assert entra.counters["token"] - before == 1

    @pytest.mark.parametrize("make", [by_httpx_async, by_azure, by_token])
    def test_one_sign_in(
        self, caller: Caller, entra: Emulator, make: cabc.Callable[[Caller], Call]
    ) -> None:
        """A refusal comes out of the threads, and the user is asked once."""
        entra.revoke("ada")
        before = entra.counters["authorize"]
        answer = caller.run(lambda: in_threads(2, make(caller))[0], follow=True)
        assert "ada@contoso.example" in answer.text
        assert entra.counters["authorize"] - before == 1

    def test_do_not_end_the_request(self, caller: Caller) -> None:
        """Nothing is torn down, and so no uploaded file closed, when a thread is done.

        Nor does a copy of the context that the app gives to another thread end it.
        """
        ended: list[str] = []
        functions = caller.live.app.teardown_request_funcs.setdefault(None, [])
        functions.append(lambda _: ended.append(request.path))

        def work() -> t.Any:
            call = by_requests(caller)
            in_threads(2, call)
            before = len(ended)
            with ThreadPoolExecutor() as pool:
                pool.submit(copy_current_request_context(call), "/me").result()
            return [before, len(ended), "ada" in in_threads(1, call)[0]]

        assert caller.run(work).json() == [0, 1, True]

    def test_of_a_copied_context(self, caller: Caller) -> None:
        """A client of a thread that has a copy of the context has threads, too."""

        def work() -> t.Any:
            @copy_current_request_context
            def background() -> str:
                return in_threads(1, by_httpx(caller))[0]

            with ThreadPoolExecutor() as pool:
                return pool.submit(background).result()

        assert "ada@contoso.example" in caller.run(work).text

    def test_of_a_streamed_answer(self, caller: Caller) -> None:
        """A generator with the request's context goes on, and so do its threads."""

        def work() -> t.Any:
            call = by_requests(caller)

            def parts() -> cabc.Iterator[str]:
                yield call("/me")
                yield from in_threads(2, call)

            return Response(stream_with_context(parts()))

        answer = caller.run(work).text
        assert answer.count("ada@contoso.example") == 6


class TestAfterTheRequest:
    def test_raises(self, caller: Caller, entra: Emulator) -> None:
        """A thread that goes on gets an error that says what to do; nothing is sent."""
        kept: list[Call] = []

        def work() -> str:
            kept.extend(make(caller) for make in CLIENTS)
            return "made"

        assert caller.run(work).text == "made"
        before = entra.counters.copy()
        for call in kept:
            with pytest.raises(ConfigurationError, match="in the view.*azure-identity"):
                in_threads(1, call)
        assert entra.counters == before

    def test_refused_late(self, caller: Caller, entra: Emulator) -> None:
        """A call that the request does not wait for is answered, if it is not refused.

        Otherwise it needs the user, who is gone.
        """
        sent, ended = threading.Barrier(2), threading.Event()
        outcomes: list[t.Any] = []

        def hold(_: t.Any) -> None:
            sent.wait(PATIENCE)
            assert ended.wait(PATIENCE)

        def refuse(_: t.Any) -> Response:
            hold(_)
            return Response("", 401, {"WWW-Authenticate": CHALLENGE})

        for answer in (hold, refuse):
            ended.clear()
            entra.fail_next(answer, "api")
            with ThreadPoolExecutor() as pool:

                def work() -> str:
                    outcomes.append(pool.submit(by_httpx(caller), "/me"))
                    sent.wait(PATIENCE)
                    return "returned"

                assert caller.run(work).text == "returned"
                ended.set()
        assert "ada@contoso.example" in outcomes[0].result()
        with pytest.raises(ConfigurationError, match="after its request"):
            outcomes[1].result()

    def test_keeps_nothing(self, caller: Caller) -> None:
        """A client that outlives its request keeps neither tokens nor context."""
        app = caller.live.app
        with app.test_request_context() as context:
            owner = Owner("A client", app_state().tokens)
            gone = weakref.ref(context)
        del context
        gc.collect()
        assert owner._context is None and gone() is None

    def test_nobody(self, caller: Caller) -> None:
        """A visitor's thread is told that nobody is signed in, as the view is."""
        with caller.live.app.test_request_context():
            credential = caller.auth.credential()
            with ThreadPoolExecutor() as pool, pytest.raises(InteractionRequired):
                pool.submit(credential.get_token, "User.Read").result()
