"""The call flow of all clients, without a socket: what is sent, and how it ends."""

from __future__ import annotations

import collections.abc as cabc
import types
import typing as t

import pytest
from flask import Flask

from flask_msal_errors import InteractionRequired
from flask_msal_errors import ServiceUnavailable
from flask_msal_errors import Throttled
from flask_msal_errors import signals
from flask_msal_errors.clients.flow import Owner
from flask_msal_errors.clients.flow import Refresher
from flask_msal_errors.clients.flow import following
from flask_msal_errors.clients.source import TokenSource
from flask_msal_errors.protocol.demand import Claims
from flask_msal_errors.protocol.demand import Demand
from support.callers import CHALLENGE
from support.callers import CLAIMS
from support.callers import STALE

SCOPES = ("api://a/Read",)
SCOPE = 'Bearer error="insufficient_scope", scope="api://a/Write"'
STEP_UP = 'Bearer error="insufficient_user_authentication", acr_values="c1"'
OTHER = "Basic realm=x"


class FakeTokens:
    """Tokens as a test sets them, in order; what the flow asked for is kept."""

    def __init__(self, *outcomes: str | Exception) -> None:
        self.outcomes = list(outcomes)
        self.asked: list[dict[str, t.Any]] = []
        self.dropped: list[str] = []

    def acquire(self, scopes: cabc.Sequence[str], **how: t.Any) -> dict[str, t.Any]:
        self.asked.append({"scopes": tuple(scopes), **how})
        outcome = self.outcomes.pop(0)
        if isinstance(outcome, Exception):
            raise outcome
        return {"access_token": outcome}

    def drop(self, refused: str) -> None:
        self.dropped.append(refused)

    def refresher(self) -> Refresher:
        source = t.cast(TokenSource, self)
        return Refresher(source, SCOPES, Owner("A client", source))


def answer(status: int, header: str = "", token: str | None = None) -> t.Any:
    """A response to a request with the token, or with the one that was yielded."""
    return status, header, token


GOOD = answer(200)
#: How a driver says that the body of the request is gone.
GONE = None


def drive(fake: FakeTokens, *replies: t.Any) -> list[str]:
    """The tokens that an adapter sends if an API answers so."""
    refresher = fake.refresher()
    flow = refresher.call(refresher.token("https", "api.example"))
    sent, left = [], list(replies)
    token: str | None = next(flow)
    while token is not None:
        sent.append(token)
        reply = left.pop(0)
        token = following(flow, reply and response(reply, token))
    assert not left, "the flow ended too early"
    return sent


def response(reply: tuple[int, str, str | None], sent: str) -> t.Any:
    status, header, token = reply
    value = f"Bearer {sent}" if token is None else token
    request = types.SimpleNamespace(headers={"Authorization": value})
    headers = {"WWW-Authenticate": header}
    return types.SimpleNamespace(status_code=status, headers=headers, request=request)


@pytest.fixture(autouse=True)
def app() -> cabc.Iterator[Flask]:
    app = Flask(__name__)
    with app.app_context():
        yield app


class TestCall:
    @pytest.mark.parametrize(
        ("reply", "tokens"),
        [
            (GOOD, ["old"]),
            (answer(302), ["old"]),
            (answer(404, CHALLENGE), ["old"]),
            (answer(429, CHALLENGE), ["old"]),
            (answer(500, CHALLENGE), ["old"]),
            (answer(401), ["old"]),
            (answer(401, OTHER), ["old"]),
            (answer(403, STALE), ["old"]),
            (answer(401, CHALLENGE, token=""), ["old"]),
            (answer(401, CHALLENGE, token="Bearer another"), ["old"]),
        ],
    )
    def test_stands(self, reply: t.Any, tokens: list[str]) -> None:
        """An answer that refuses another token, or asks for nothing, is the view's."""
        fake = FakeTokens("old")
        assert drive(fake, reply) == tokens
        assert fake.asked == [{"scopes": SCOPES}]
        assert not fake.dropped

    @pytest.mark.parametrize(
        ("header", "status", "asked"),
        [
            (
                CHALLENGE,
                401,
                {"scopes": SCOPES, "claims": Claims.parse(CLAIMS)}
                | {"force_refresh": True},
            ),
            (STALE, 401, {"scopes": SCOPES, "claims": Claims(), "force_refresh": True}),
            (
                SCOPE,
                403,
                {
                    "scopes": ("api://a/Write",),
                    "claims": Claims(),
                    "force_refresh": False,
                },
            ),
        ],
        ids=["claims", "stale", "scope"],
    )
    def test_second_try(
        self, header: str, status: int, asked: dict[str, t.Any]
    ) -> None:
        """A refusal that a token can meet costs one token, and one repetition."""
        fake = FakeTokens("old", "new")
        assert drive(fake, answer(status, header), GOOD) == ["old", "new"]
        assert fake.asked[1] == {**asked, "refused": "old"}
        assert not fake.dropped

    @pytest.mark.parametrize("header", [CHALLENGE, STALE, SCOPE])
    def test_same_token(self, header: str) -> None:
        """Nothing is repeated with the token that was refused."""
        assert drive(FakeTokens("old", "old"), answer(401, header)) == ["old"]

    @pytest.mark.parametrize(
        ("first", "second", "dropped", "claims", "scopes"),
        [
            (CHALLENGE, GONE, "old", CLAIMS, SCOPES),
            (SCOPE, GONE, "old", None, ("api://a/Write",)),
            (CHALLENGE, answer(401, CHALLENGE), "new", CLAIMS, SCOPES),
            (STALE, answer(401, CHALLENGE), "new", CLAIMS, SCOPES),
            (CHALLENGE, answer(403, SCOPE), "new", None, ("api://a/Write",)),
        ],
        ids=["gone", "gone, scope", "again", "stale, then claims", "then scope"],
    )
    def test_user_is_needed(
        self,
        first: str,
        second: t.Any,
        dropped: str,
        claims: str | None,
        scopes: tuple[str, ...],
    ) -> None:
        """The last refusal goes to the user, if the repetition cannot be had."""
        fake = FakeTokens("old", "new")
        with pytest.raises(InteractionRequired) as caught:
            drive(fake, answer(401, first), second)
        assert fake.dropped == [dropped]
        assert (caught.value.claims, caught.value.scopes) == (claims, scopes)

    @pytest.mark.parametrize(
        ("first", "second"),
        [
            (STALE, GONE),
            (STALE, answer(401, STALE)),
            (CHALLENGE, answer(401, STALE)),
            (CHALLENGE, answer(401)),
            (CHALLENGE, answer(404)),
            (CHALLENGE, answer(401, CHALLENGE, token="")),
        ],
    )
    def test_ends_without_the_user(self, first: str, second: t.Any) -> None:
        """A second answer that no user can change stands, like that to a lost body."""
        fake = FakeTokens("old", "new")
        assert drive(fake, answer(401, first), second) == ["old", "new"]
        assert not fake.dropped

    def test_user_at_once(self) -> None:
        """A step-up needs a person: no token is asked for."""
        fake = FakeTokens("old")
        with pytest.raises(InteractionRequired) as caught:
            drive(fake, answer(401, STEP_UP))
        assert caught.value.demand.acr_values == ("c1",)
        assert (len(fake.asked), fake.dropped) == (1, ["old"])

    def test_sent_before(self) -> None:
        """A client that follows redirects itself goes on with the token it sent."""
        fake = FakeTokens("new")
        flow = fake.refresher().call("sent")
        assert next(flow) == "sent"
        assert following(flow, response(answer(401, CHALLENGE), "sent")) == "new"
        assert fake.asked[0]["refused"] == "sent"

    @pytest.mark.parametrize("error", [Throttled(), ServiceUnavailable()])
    @pytest.mark.parametrize("when", ["first", "second"])
    def test_no_token(self, error: Exception, when: str) -> None:
        """Other errors of the token endpoint pass, and nothing is forgotten."""
        fake = FakeTokens(error) if when == "first" else FakeTokens("old", error)
        with pytest.raises(type(error)):
            drive(fake, answer(401, CHALLENGE))
        assert not fake.dropped


class TestRenewed:
    DEMAND = Demand(claims=Claims.parse(CLAIMS), error="insufficient_claims")

    def test_signal(self, app: Flask) -> None:
        """A receiver of the signal learns that a demand was met without the user."""
        met: list[tuple[t.Any, bool]] = []
        note: t.Any = lambda app, error, silent: met.append((error, silent))  # noqa: E731
        with signals.challenge_received.connected_to(note, app):
            result = FakeTokens("new").refresher().renewed(self.DEMAND, "old")
        assert result == {"access_token": "new"}
        [(error, silent)] = met
        assert silent and error.claims == CLAIMS and error.scopes == SCOPES


class TestFollowing:
    def test_end(self) -> None:
        """The end of a generator is ``None``, and no StopIteration."""

        def one() -> cabc.Generator[str, str, None]:
            assert (yield "first") == "answer"

        flow = one()
        assert next(flow) == "first"
        assert following(flow, "answer") is None
