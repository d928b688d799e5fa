"""aiohttp, for which there is no adapter: its exceptions and responses are known."""

from __future__ import annotations

import collections.abc as cabc
import typing as t

import pytest

from flask_msal_errors.testing import Emulator
from support.callers import CHALLENGE
from support.callers import Caller
from support.callers import others as others


@pytest.fixture
def api(others: cabc.Callable[[t.Any], str]) -> str:
    """The URL of an API that refuses everything, in plain http."""

    def refuse(environ: t.Any, answer: t.Any) -> list[bytes]:
        answer(
            "401 No", [("WWW-Authenticate", "Basic"), ("WWW-Authenticate", CHALLENGE)]
        )
        return [b"no"]

    return others(refuse)


class TestAiohttp:
    @pytest.mark.parametrize("way", ["raised", "checked", "returned"])
    def test_user_is_sent(
        self, caller: Caller, entra: Emulator, api: str, way: str
    ) -> None:
        """A refusal sends the user to sign in for the scopes of the call's token."""

        async def work() -> t.Any:
            import aiohttp

            caller.token(entra.scope("Mail.Read"))
            headers = caller.bearer(entra.scope("Profile.Read"))
            caller.token(entra.scope("Mail.Read"))
            async with aiohttp.ClientSession() as session:
                async with session.get(api, headers=headers) as reply:
                    if way == "raised":
                        reply.raise_for_status()
                    return caller.auth.check(reply) if way == "checked" else reply

        entra.users["ada"].consents.add(entra.scope("Mail.Read"))
        answer = caller.run(work, at="/caught")
        assert answer.status_code == 302
        asked = answer.headers["Location"]
        assert "Profile.Read" in asked
        assert "Mail.Read" not in asked
        assert "nbf" in asked

    @pytest.mark.parametrize("way", ["raised", "checked", "returned"])
    @pytest.mark.parametrize("carried", ["", "Bearer of-somebody", "Basic YTpi"])
    def test_strangers(self, caller: Caller, api: str, way: str, carried: str) -> None:
        """A refusal of a call without the user's token is the app's own business."""

        async def work() -> t.Any:
            import aiohttp

            caller.token()
            headers = {"Authorization": carried} if carried else {}
            async with aiohttp.ClientSession() as session:
                async with session.get(api, headers=headers) as reply:
                    if way == "raised":
                        reply.raise_for_status()
                    if way == "checked":
                        assert caller.auth.check(reply) is reply
                        return "passed"
                    return reply

        answer = caller.run(work, at="/caught")
        assert answer.status_code == (200 if way == "checked" else 500)
        assert "Location" not in answer.headers
