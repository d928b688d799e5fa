"""The user's token on HTTP clients, and what their refusals mean.

Owns the silent second try: a challenge that needs no user never reaches one. Clients
are known by duck typing; only requests, which MSAL brings, is imported.
"""

from __future__ import annotations

import collections.abc as cabc
import json
import typing as t

import requests
import requests.auth

from . import challenge
from . import signals
from .claims import merge_claims
from .errors import InteractionRequired
from .errors import from_result
from .errors import is_error
from .tokens import Tokens

_NAME = "WWW-Authenticate"
_BEARER = "bearer "
#: Seconds to wait for an API to connect, and for each read.
_TIMEOUT = (10.0, 60.0)


def challenge_of(
    response: t.Any, scopes: cabc.Sequence[str] = ()
) -> challenge.Demand | None:
    """What an HTTP client's response asks for, if a token or the user can give it.

    Any object with ``status_code`` (or ``status``) and ``headers`` is understood.
    """
    status = getattr(response, "status_code", getattr(response, "status", None))
    headers = getattr(response, "headers", None)
    if status not in (401, 403) or headers is None:
        return None
    return challenge.demand(status, _authenticate_headers(headers), scopes=scopes)


def _authenticate_headers(headers: t.Any) -> list[str]:
    for method in ("get_list", "getlist"):
        if callable(getattr(headers, method, None)):
            return [str(value) for value in getattr(headers, method)(_NAME)]
    for method in ("getall", "get_all"):
        if callable(getattr(headers, method, None)):
            return [str(value) for value in getattr(headers, method)(_NAME, ())]
    if not isinstance(headers, cabc.Mapping):
        return []
    # A plain dict, as Kiota's, knows names in one spelling only.
    found = [value for name, value in headers.items() if name.lower() == _NAME.lower()]
    return [text for value in found for text in _texts(value)]


def _texts(value: t.Any) -> list[str]:
    several = isinstance(value, (list, tuple, set))
    return [str(each) for each in (value if several else [value])]


def refused_token(response: t.Any) -> str | None:
    """The access token that a response refuses, out of the request it answers."""
    request = getattr(response, "request", None)
    headers = getattr(request, "headers", None)
    value = headers.get("Authorization") if headers is not None else None
    if isinstance(value, bytes):
        value = value.decode("latin-1")
    if isinstance(value, str) and value.lower().startswith(_BEARER):
        return value[len(_BEARER) :]
    return None


def required(
    demand: challenge.Demand, scopes: cabc.Sequence[str] = ()
) -> InteractionRequired:
    """The error that sends a user to meet an API's demand."""
    acr: dict[str, t.Any] = {"essential": True, "values": list(demand.acr_values)}
    asked = json.dumps({"id_token": {"acr": acr}}) if demand.acr_values else None
    return InteractionRequired(
        demand.description,
        error=demand.error,
        claims=merge_claims(demand.claims, asked),
        scopes=demand.scopes or tuple(scopes),
        reason="challenge",
        max_age=demand.max_age,
    )


def check(value: t.Any, scopes: cabc.Sequence[str] = ()) -> t.Any:
    """``value``, unless it is an MSAL error or a response with a challenge.

    :raises MsalAuthError: what it stands for.
    """
    error = from_result(value, scopes=scopes) if is_error(value) else None
    if error is not None:
        raise error
    demand = challenge_of(value, scopes)
    if demand is not None and not is_only_stale(demand):
        raise required(demand, scopes)
    return value


def is_only_stale(demand: challenge.Demand) -> bool:
    """``invalid_token`` without claims: a fresh token may help, a user cannot."""
    return demand.error == "invalid_token" and demand.claims is None


class Refresher:
    """Answers an API's refusal: a new token without the user, or an error for them."""

    def __init__(self, tokens: Tokens, scopes: cabc.Sequence[str]) -> None:
        self._tokens = tokens
        self.scopes = tuple(scopes)

    def token(self) -> str:
        """The user's access token for the scopes."""
        return t.cast(str, self._tokens.acquire(self.scopes)["access_token"])

    def retry_token(self, response: t.Any, refused: str) -> str | None:
        """A token to repeat the call with, or ``None`` if the answer stands.

        :raises InteractionRequired: the user must meet the challenge, with its claims.
        """
        demand = challenge_of(response, self.scopes)
        if demand is None:
            return None
        if demand.acr_values or demand.max_age is not None:
            self._tokens.drop(refused)
            raise required(demand, self.scopes)
        wanted = demand.scopes or self.scopes
        try:
            result = self._tokens.acquire(
                wanted,
                claims=demand.claims,
                force_refresh=wanted is self.scopes,
                refused=refused,
            )
        except InteractionRequired as error:
            self._tokens.drop(refused)
            raise _merged(error, demand) from error
        token = t.cast(str, result["access_token"])
        met = required(demand, wanted)
        signals.emit(signals.challenge_received, error=met, silent=True)
        return token if token != refused else None

    def give_up(self, response: t.Any, refused: str) -> None:
        """The repeated call was refused too.

        :raises InteractionRequired: unless the answer asks nothing of the user.
        """
        demand = challenge_of(response, self.scopes)
        if demand is not None and not is_only_stale(demand):
            self._tokens.drop(refused)
            raise required(demand, self.scopes)


def _merged(
    error: InteractionRequired, demand: challenge.Demand
) -> InteractionRequired:
    """What the token endpoint and the API ask, in one sign-in."""
    claims = merge_claims(error.claims, demand.claims)
    return InteractionRequired(
        result={**error.result, "claims": claims} if claims else error.result,
        scopes=error.scopes,
        reason=error.reason,
    )


class RequestsAuth(requests.auth.AuthBase):
    """The user's token on a requests call, with one silent second try.

    A redirect to another host does not get the token: requests strips it.
    """

    def __init__(self, refresher: Refresher) -> None:
        self._refresher = refresher

    def __call__(self, request: requests.PreparedRequest) -> requests.PreparedRequest:
        token = self._refresher.token()
        request.headers["Authorization"] = f"Bearer {token}"
        place = _place(request)

        def answer(response: requests.Response, **kwargs: t.Any) -> requests.Response:
            # A redirect's answer belongs to a request without our token.
            if refused_token(response) != token:
                return response
            if response.status_code in (401, 403):
                response.content  # noqa: B018 (the connection goes back to its pool)
            return self._answer(response, token, place, kwargs)

        request.hooks["response"].append(answer)
        return request

    def _answer(
        self,
        response: requests.Response,
        token: str,
        place: int | None,
        kwargs: dict[str, t.Any],
    ) -> requests.Response:
        fresh = self._refresher.retry_token(response, token)
        if fresh is None:
            return response
        again = response.request.copy()
        if not _rewound(again, place):
            self._refresher.give_up(response, token)
            return response
        # The copy shares its hooks with the original, which a redirect goes on with.
        again.hooks = requests.hooks.default_hooks()
        again.headers["Authorization"] = f"Bearer {fresh}"
        repeated = response.connection.send(again, **kwargs)
        repeated.history.append(response)
        repeated.request = again
        self._refresher.give_up(repeated, fresh)
        return repeated


def _place(request: requests.PreparedRequest) -> int | None:
    """Where in a file the body starts, or ``None`` for what is no file."""
    body: t.Any = request.body
    try:
        return int(body.tell())
    except (AttributeError, OSError):
        return None


def _rewound(request: requests.PreparedRequest, place: int | None) -> bool:
    """Whether the body can be sent once more."""
    body: t.Any = request.body
    if body is None or isinstance(body, (str, bytes)):
        return True
    if place is None:
        return False
    try:
        body.seek(place)
    except (AttributeError, OSError):
        return False
    return True


class RequestsSession(requests.Session):
    """A session that acts for the signed-in user, with timeouts by default."""

    def __init__(self, auth: RequestsAuth) -> None:
        super().__init__()
        self.auth = auth

    def request(self, *args: t.Any, **kwargs: t.Any) -> requests.Response:
        kwargs.setdefault("timeout", _TIMEOUT)
        if self.verify is not True:
            # REQUESTS_CA_BUNDLE wins over a session's verify, but not over a call's.
            kwargs.setdefault("verify", self.verify)
        return super().request(*args, **kwargs)
