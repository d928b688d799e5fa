"""The errors as values: their tree, their attributes and text, and problem details."""

from __future__ import annotations

import copy
import pickle

import pytest
from flask import Flask

from flask_msal_errors import errors
from flask_msal_errors.entra.classify import from_result
from flask_msal_errors.errors import AccessDenied
from flask_msal_errors.errors import ConfigurationError
from flask_msal_errors.errors import FlowExpired
from flask_msal_errors.errors import InteractionRequired
from flask_msal_errors.errors import InvalidAccessToken
from flask_msal_errors.errors import InvalidIdToken
from flask_msal_errors.errors import MsalAuthError
from flask_msal_errors.errors import NotResumed
from flask_msal_errors.errors import OtherAccount
from flask_msal_errors.errors import ReauthenticationLoop
from flask_msal_errors.errors import RoleRequired
from flask_msal_errors.errors import ServiceUnavailable
from flask_msal_errors.errors import SignInError
from flask_msal_errors.errors import StateMismatch
from flask_msal_errors.errors import Throttled
from flask_msal_errors.errors import TokenError
from flask_msal_errors.errors import details_of
from flask_msal_errors.errors import problem
from support.answers import CAPOLIDS
from support.answers import CORRELATION
from support.answers import POLIDS
from support.answers import grant


class TestTokenError:
    @pytest.mark.parametrize(
        ("listed", "codes"),
        [
            ([50076], (50076,)),
            ((50076, 50079), (50076, 50079)),
            (["50076", 50079], (50079,)),
            ([True, 1.5, None, [1]], ()),
            ([0, -1, 10**9, 10**5000], ()),
            ("50076", ()),
            (50076, ()),
            ({"50076": 1}, ()),
            (None, ()),
        ],
        ids=["one", "two", "text", "kinds", "limits", "str", "int", "dict", "none"],
    )
    def test_codes(self, listed: object, codes: tuple[int, ...]) -> None:
        """Only plausible whole numbers of a list are codes."""
        assert TokenError(result={"error": "e", "error_codes": listed}).codes == codes

    @pytest.mark.parametrize(
        ("uri", "codes"),
        [
            ("https://login.microsoftonline.com/error?code=65004", (65004,)),
            ("https://login.microsoftonline.com/error?a=b&code=50105&c=d", (50105,)),
            ("https://x/error?code=1234567890", ()),
            ("https://x/error?decode=1", ()),
            ("https://x/error?code=abc", ()),
            ("https://[/error", ()),
            (65004, ()),
        ],
    )
    def test_code_of_a_redirect(self, uri: object, codes: tuple[int, ...]) -> None:
        """An error at the redirect URI has its code in error_uri alone."""
        assert TokenError(result={"error": "e", "error_uri": uri}).codes == codes

    @pytest.mark.parametrize("listed", [None, 50076, "50076", [], ["50076"], [[50076]]])
    def test_odd_codes(self, listed: object) -> None:
        """Codes of an odd type leave those of the address to be read."""
        uri = "https://login.microsoftonline.com/error?code=50105"
        result = {"error": "e", "error_codes": listed, "error_uri": uri}
        assert TokenError(result=result).codes == (50105,)

    @pytest.mark.parametrize(
        "claims",
        [
            None,
            "",
            "null",
            "[1]",
            '"x"',
            "{",
            "e30=",
            True,
            5,
            {"access_token": {}},
            '{"a": 1}\ud800',
            '{"a": "\ud800"}',
            '{"a":' * 100_000,
            '{"a": ' + "9" * 5000 + "}",
        ],
        ids=lambda value: ascii(value)[:20],
    )
    def test_bad_claims(self, claims: object) -> None:
        """Claims that are no text of a JSON object read as none."""
        assert TokenError(result={"error": "e", "claims": claims}).claims is None

    def test_claims_stay_as_sent(self) -> None:
        """Good claims are handed on character by character."""
        text = '{"access_token": {"acrs": {"essential": true,  "Values": ["c1"]}}}'
        assert TokenError(result={"claims": text}).claims == text

    def test_claims_of_the_access_token(self) -> None:
        """Of claims that speak of other tokens, too, those of the access token stay."""
        asked = '{"access_token":{"acrs":{"essential":true,"Values":["c1"]}}}'
        text = asked.replace(":", ": ")[:-1] + ', "id_token": {"email": null}}'
        assert TokenError(result={"claims": text}).claims == asked
        assert InteractionRequired(result={"claims": text}).claims == asked

    @pytest.mark.parametrize("kind", [TokenError, InteractionRequired, AccessDenied])
    def test_claims_in_the_result(self, kind: type[TokenError]) -> None:
        """The dict has the same claims, or none: an app may hand it on."""
        asked = '{"access_token":{"acrs":{"essential":true,"Values":["c1"]}}}'
        wide = asked[:-1] + ',"id_token":{"email":null},"userinfo":{"name":null}}'
        assert kind(result={"error": "e", "claims": wide}).result["claims"] == asked
        assert kind("No.", claims=wide).result["claims"] == asked
        for bad in ('{"id_token":{"email":null}}', "{", "5", None):
            assert kind(result={"error": "e", "claims": bad}).result == {"error": "e"}

    @pytest.mark.parametrize("name", sorted(errors._SECRETS))
    def test_no_secrets_in_the_result(self, name: str) -> None:
        """Tokens and secrets beside an error are dropped from every view of it."""
        error = from_result({"error": "invalid_grant", name: "secret-marker"})
        assert "secret-marker" not in f"{error}{error!r}{vars(error)}"

    def test_from_words(self) -> None:
        """Without a result, message, error and claims make the same attributes."""
        error = TokenError("It broke.", error="invalid_response", claims=POLIDS)
        assert error.description == "It broke."
        assert error.error == "invalid_response"
        assert error.claims == POLIDS
        assert str(error) == "invalid_response: It broke."

    def test_correlation_id_of_a_redirect(self) -> None:
        """An error at the redirect URI tells its correlation id in its text only."""
        text = f"AADSTS65004: User declined.\r\nCorrelation ID: {CORRELATION}\r\nTime"
        result = {"error": "access_denied", "error_description": text}
        assert TokenError(result=result).correlation_id == CORRELATION

    def test_half_a_surrogate_pair(self) -> None:
        """A character that JSON can name and no page can show is a question mark."""
        names = ("error", "error_description", "suberror", "trace_id", "timestamp")
        error = TokenError(result=dict.fromkeys((*names, "correlation_id"), "a\ud800"))
        shown = (error.error, error.description, error.suberror, error.trace_id)
        assert {*shown, error.timestamp, error.correlation_id} == {"a?"}
        assert str(error).isascii()

    def test_text_names_code_and_correlation_id(self) -> None:
        """The text has error, suberror, code and correlation id, each once."""
        text = str(from_result(grant(50076, "basic_action")))
        assert text.startswith("invalid_grant / basic_action: AADSTS50076: Some")
        assert text.count("50076") == text.count(CORRELATION) == 1

    def test_text_adds_what_the_description_lacks(self) -> None:
        """Codes and correlation id are shown although the description is silent."""
        result = {"error": "e", "error_codes": [1, 2], "correlation_id": "c-1"}
        assert (
            str(TokenError(result=result)) == "e (AADSTS1, AADSTS2, correlation id c-1)"
        )

    def test_text_is_one_line(self) -> None:
        """A description cannot forge a second log line or colour a terminal."""
        error = TokenError("a\r\nCRITICAL b\x1b[31m", error="x\ny")
        assert str(error) == "x y: a CRITICAL b [31m"

    def test_text_names_the_reason(self) -> None:
        """The text names what we ourselves found missing, though no server spoke."""
        assert "[step_up]" in str(InteractionRequired(reason="step_up"))
        assert "[" not in str(InteractionRequired(error="x", reason="x"))


class TestConfigurationError:
    def test_is_a_value_error(self) -> None:
        """Code that expects ValueError for a bad setting keeps working."""
        assert issubclass(ConfigurationError, ValueError)


TREE: dict[type[MsalAuthError], tuple[type[Exception], int]] = {
    MsalAuthError: (Exception, 500),
    ConfigurationError: (MsalAuthError, 500),
    TokenError: (MsalAuthError, 502),
    InteractionRequired: (TokenError, 401),
    AccessDenied: (TokenError, 403),
    RoleRequired: (AccessDenied, 403),
    Throttled: (TokenError, 429),
    ServiceUnavailable: (TokenError, 503),
    InvalidAccessToken: (MsalAuthError, 401),
    SignInError: (MsalAuthError, 400),
    StateMismatch: (SignInError, 400),
    FlowExpired: (SignInError, 400),
    InvalidIdToken: (SignInError, 400),
    OtherAccount: (SignInError, 400),
    NotResumed: (SignInError, 410),
    ReauthenticationLoop: (SignInError, 400),
}


class TestTree:
    @pytest.mark.parametrize("kind", TREE, ids=lambda kind: kind.__name__)
    def test_place(self, kind: type[MsalAuthError]) -> None:
        """Each class has its parent, its status and a title that ends its text."""
        parent, status = TREE[kind]
        assert kind.__bases__[0] is parent
        assert kind.status == status
        assert kind.title in str(kind())

    def test_docstring_draws_it(self) -> None:
        """The tree in the module's docstring shows every class with its status."""
        lines = (errors.__doc__ or "").splitlines()
        for kind, (parent, status) in TREE.items():
            line = next(line for line in lines if f" {kind.__name__}" in line)
            assert str(status) in line or parent in (Exception, SignInError)

    def test_titles_differ(self) -> None:
        """No two errors look the same to a user."""
        assert len({kind.title for kind in TREE}) == len(TREE)

    @pytest.mark.parametrize("protocol", range(pickle.HIGHEST_PROTOCOL + 1))
    @pytest.mark.parametrize("kind", TREE, ids=lambda kind: kind.__name__)
    def test_pickle_and_copy(self, kind: type[MsalAuthError], protocol: int) -> None:
        """An error crosses processes and copies with all its attributes."""
        error = kind("Said so.")
        error.codes, error.correlation_id = (50076,), "c-1"
        error.add_note("seen") if hasattr(error, "add_note") else None
        for twin in (pickle.loads(pickle.dumps(error, protocol)), copy.copy(error)):
            assert type(twin) is kind
            assert str(twin) == str(error)
            assert vars(twin) == vars(error)

    def test_pickle_of_a_decision(self) -> None:
        """An error of from_result survives pickle with scopes, claims and result."""
        error = from_result(grant(53003, "message_only", claims=CAPOLIDS), scopes=["a"])
        twin = pickle.loads(pickle.dumps(error))
        assert vars(twin) == vars(error)
        assert twin.scopes == ("a",)

    def test_sign_in_errors_carry_evidence(self) -> None:
        """Codes and correlation id of a refused sign-in are attributes and text."""
        error = InvalidIdToken("Wrong issuer.", codes=[7], correlation_id="c-1")
        assert (error.codes, error.correlation_id) == ((7,), "c-1")
        assert str(error) == "Wrong issuer. (AADSTS7, correlation id c-1)"

    def test_loop_says_who_refuses(self) -> None:
        """The end of a loop names the party that keeps refusing."""
        error = ReauthenticationLoop(party="API", codes=[50076], correlation_id="c-1")
        assert error.party == "API"
        assert "the API still refuses (AADSTS50076, correlation id c-1)" in str(error)
        assert "identity provider" in str(ReauthenticationLoop())
        assert str(ReauthenticationLoop("Own words.")) == "Own words."
        assert "still refuses" not in str(ReauthenticationLoop(party="session"))
        error = ReauthenticationLoop(party="API", api="api://orders")
        assert error.api == "api://orders"
        assert "the API api://orders still refuses" in str(error)


class TestProblem:
    @pytest.mark.parametrize("debug", [False, True])
    def test_configuration(self, debug: bool) -> None:
        """A fault of the settings is shown only while the app is debugged."""
        app = Flask("problem")
        app.debug = debug
        with app.app_context():
            details = details_of(ConfigurationError("Names no tenant."))
        assert details.get("detail") == ("Names no tenant." if debug else None)
        assert details["error"] == "configuration_error"

    def test_members(self) -> None:
        """A program gets type, title, status and what is known, and nothing empty."""
        with Flask("problem").app_context():
            answer = problem(details_of(Throttled("Wait.", retry_after=30)))
        assert answer.mimetype == "application/problem+json"
        assert answer.json == {
            "type": "about:blank",
            "title": "Too many requests",
            "status": 429,
            "detail": "Too many requests: Wait.",
            "error": "throttled",
            "retry_after": 30,
        }
