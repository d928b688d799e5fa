"""Responses and exceptions of any HTTP client."""

from __future__ import annotations

import types
import typing as t

import httpx
import pytest
import urllib3
from urllib3.util.retry import RequestHistory
from urllib3.util.retry import Retry

from flask_msal_errors.clients.responses import causes_of
from flask_msal_errors.clients.responses import responses_in
from flask_msal_errors.clients.responses import sent_with
from flask_msal_errors.clients.responses import status_of
from flask_msal_errors.clients.responses import values_of


class Multi(dict[str, t.Any]):
    """Headers of a request as aiohttp's, with several values of each name."""

    def __init__(self, *values: t.Any) -> None:
        super().__init__()
        self._values = values

    def getall(self, name: str) -> t.Any:
        return {"Authorization": self._values}[name]


class TestRefusedToken:
    @pytest.mark.parametrize(
        ("value", "token"),
        [
            ("Bearer abc", "abc"),
            ("bearer abc", "abc"),
            (b"Bearer abc", "abc"),
            ("Basic abc", ""),
            (None, ""),
            (42, ""),
            ("BEARER  abc ", "abc"),
            ("Bearer", ""),
            ("Bearer ", ""),
            ("Bearer a, Bearer b", "a, Bearer b"),
            ("PoP abc", ""),
        ],
    )
    def test_table(self, value: t.Any, token: str | None) -> None:
        """The token is read out of the request that was refused."""
        request = types.SimpleNamespace(headers={"Authorization": value})
        assert sent_with(types.SimpleNamespace(request=request))[0] == token

    @pytest.mark.parametrize(
        "response",
        [
            types.SimpleNamespace(),
            types.SimpleNamespace(request=None),
            types.SimpleNamespace(request=types.SimpleNamespace(headers=42)),
            httpx.Response(401),
            urllib3.HTTPResponse(status=401),
            42,
        ],
    )
    def test_unknown_request(self, response: t.Any) -> None:
        """Of a response that does not know its request, no token is known."""
        assert sent_with(response)[0] is None

    @pytest.mark.parametrize(
        ("headers", "token"),
        [
            ({"authorization": "Bearer abc"}, "abc"),
            (Multi("Basic abc", "Bearer abc"), "abc"),
            (Multi("Bearer abc", "Bearer other"), ""),
            (Multi(b"Bearer abc"), "abc"),
            (httpx.Headers([("Authorization", "Bearer abc"), ("X-Y", "z")]), "abc"),
            (
                httpx.Headers([("authorization", "a"), ("Authorization", "Bearer b")]),
                "b",
            ),
        ],
    )
    def test_headers(self, headers: t.Any, token: str) -> None:
        """Headers of any kind are read; of two tokens neither is believed."""
        request = types.SimpleNamespace(headers=headers)
        assert sent_with(types.SimpleNamespace(request=request))[0] == token

    @pytest.mark.parametrize(
        ("url", "place", "token"),
        [
            ("https://a/", None, None),
            ("https://a/", "https://b/", ""),
            ("https://a/", "//b/x", ""),
            ("https://a/", "http://a/", ""),
            ("https://a/", "https://a:8443/", ""),
            ("https://a/", "https://[", ""),
            ("https://a/", "/b", None),
            ("https://a/", "https://A:443/b", None),
            ("/a", "/b", None),
        ],
    )
    def test_redirects(self, url: str, place: str | None, token: str | None) -> None:
        """urllib3 follows redirects, and takes no token to another host."""
        step = RequestHistory("GET", url, None, 302, place)
        response = urllib3.HTTPResponse(status=401, retries=Retry(history=(step,)))
        assert sent_with(response)[0] == token

    def test_aiohttps_name(self) -> None:
        """``request_info`` is a request, too."""
        info = types.SimpleNamespace(headers={"Authorization": "Bearer abc"})
        assert sent_with(types.SimpleNamespace(request_info=info))[0] == "abc"


class Kiota(Exception):
    """Shaped like Kiota's APIError, which is given httpx's headers."""

    def __init__(self, headers: t.Any) -> None:
        super().__init__("refused")
        self.response_status_code = 401
        self.response_headers = headers


class TestResponsesIn:
    @pytest.mark.parametrize(
        "headers",
        [{"www-authenticate": "Bearer"}, httpx.Headers({"WWW-Authenticate": "Bearer"})],
    )
    def test_kiota(self, headers: t.Any) -> None:
        """Kiota's exception has status and headers under its own names."""
        found = [each for each in responses_in(Kiota(headers)) if status_of(each)]
        assert [status_of(each) for each in found] == [401]
        assert values_of(found[0], "WWW-Authenticate") == ["Bearer"]

    def test_copied(self) -> None:
        """An exception's own status says nothing beside its response, which knows."""
        error = Kiota({"WWW-Authenticate": "Bearer"})
        vars(error).update(status_code=401, headers={})
        assert responses_in(error) == (error,)
        vars(error)["response"] = httpx.Response(404)
        assert [status_of(each) for each in responses_in(error)] == [404]

    def test_nothing(self) -> None:
        """No other exception has a response."""
        assert not any(map(status_of, responses_in(ValueError("x"))))


class TestCausesOf:
    def test_order_and_end(self) -> None:
        """Causes come from the outside in, members of groups too, each once."""
        inner, outer = ValueError("inner"), KeyError("outer")
        outer.__cause__, inner.__cause__ = inner, outer
        assert list(causes_of(outer)) == [outer, inner]
        group = Exception("group")
        group.exceptions = (inner, outer)  # type: ignore[attr-defined]
        assert list(causes_of(group)) == [group, inner, outer]
