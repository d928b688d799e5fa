"""Types that a user's type checker finds: mypy reads this file with the other tests."""

from __future__ import annotations

import collections.abc as cabc
import typing as t

import pytest
import requests
from flask import Blueprint
from flask import Response
from flask.typing import ResponseReturnValue

from flask_msal_errors import MsalAuth
from flask_msal_errors.api import ApiAuth

if t.TYPE_CHECKING:
    from typing_extensions import assert_type
else:

    def assert_type(value: t.Any, kind: t.Any) -> t.Any:
        return value


auth, api = MsalAuth(), ApiAuth()


class TestGuards:
    def test_before_request(self) -> None:
        """Flask's ``before_request`` takes a guard as it is, and with arguments."""
        views = Blueprint("views", __name__)
        views.before_request(auth.require_login)
        views.before_request(auth.require_login(max_age=600))
        views.before_request(api.require_token)
        views.before_request(api.require_token(scopes=["access_as_user"]))
        assert len(views.before_request_funcs[None]) == 4

    def test_own_function(self) -> None:
        """A function that ends with a guard may name any of the usual types."""

        def usual() -> ResponseReturnValue | None:
            return auth.require_login(max_age=600)

        def plain() -> Response | None:
            return api.require_token()

        assert callable(usual()) and callable(plain())

    def test_wrong(self) -> None:
        """A type checker finds what a guard does not have: mypy needs each ignore."""
        with pytest.raises(AttributeError):
            assert auth.require_login().nothing  # type: ignore[attr-defined]
        with pytest.raises(AttributeError):
            assert api.require_token().nothing  # type: ignore[attr-defined]


class TestDecorators:
    def test_views(self) -> None:
        """A decorated view has the parameters and the result that it had."""

        def view(number: int, *, name: str = "") -> str:
            return name * number

        async def later(number: int) -> str:
            return str(number)

        # Not called: there is no request.
        read: list[cabc.Callable[[], object]] = [
            lambda: assert_type(auth.login_required(view)(1), str),
            lambda: assert_type(auth.login_required(max_age=9)(view)(1, name=""), str),
            lambda: assert_type(auth.catch_challenges(view)(1), str),
            lambda: assert_type(auth.public(view)(1), str),
            lambda: assert_type(api.token_required(view)(1), str),
            lambda: assert_type(api.token_required(acrs="c1")(view)(1), str),
        ]
        made = auth.login_required(roles="Approver")(later)
        read.append(lambda: assert_type(made(1), t.Coroutine[t.Any, t.Any, str]))
        assert all(map(callable, read))


class TestValues:
    def test_checked(self) -> None:
        """A checked value is of the type that it had."""
        reply = requests.Response()
        reply.status_code = 200
        assert_type(auth.check(reply), requests.Response)
        assert_type(api.check(reply), requests.Response)
        result: dict[str, str] = {"access_token": "x"}
        assert_type(auth.check(result, scopes=["Mail.Read"]), dict[str, str])
        assert auth.check(reply) is reply and api.check(result) is result
