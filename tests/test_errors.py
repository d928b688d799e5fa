"""What each answer of Entra means: the decision table, and the errors as values."""

from __future__ import annotations

import copy
import pickle
import time
import typing as t

import pytest
from hypothesis import given
from hypothesis import strategies as st

from flask_msal_errors import errors
from flask_msal_errors.entra.classify import from_result
from flask_msal_errors.entra.classify import is_error
from flask_msal_errors.errors import AccessDenied
from flask_msal_errors.errors import ConfigurationError
from flask_msal_errors.errors import FlowExpired
from flask_msal_errors.errors import InteractionRequired
from flask_msal_errors.errors import InvalidIdToken
from flask_msal_errors.errors import MsalAuthError
from flask_msal_errors.errors import NotResumed
from flask_msal_errors.errors import OtherAccount
from flask_msal_errors.errors import ReauthenticationLoop
from flask_msal_errors.errors import ServiceUnavailable
from flask_msal_errors.errors import SignInError
from flask_msal_errors.errors import StateMismatch
from flask_msal_errors.errors import Throttled
from flask_msal_errors.errors import TokenError
from flask_msal_errors.protocol.demand import printable
from flask_msal_errors.protocol.retry_after import parse_retry_after

CORRELATION = "9c7f2f5e-8a3d-4b6e-9d0a-1f2e3d4c5b6a"
POLIDS = '{"access_token":{"polids":{"essential":true,"values":["9ab03e19"]}}}'
CAPOLIDS = '{"access_token":{"capolids":{"essential":true,"values":["01234567"]}}}'
JSON: t.TypeAlias = dict[str, t.Any]


def answer(error: str, code: int | None = None, **more: t.Any) -> JSON:
    """An error of the token endpoint, as MSAL hands it on."""
    text = f"AADSTS{code}: Some text of the day. Correlation ID: {CORRELATION}"
    return {
        "error": error,
        "error_description": text,
        "error_codes": [code] if code else [],
        "timestamp": "2026-01-02 03:04:05Z",
        "trace_id": "0d9f5c0e-trace",
        "correlation_id": CORRELATION,
        **more,
    }


def redirect(error: str, code: int | None = None) -> JSON:
    """An error at the redirect URI: MSAL keeps three fields of it."""
    uri = f"https://login.microsoftonline.com/error?code={code}"
    found = {"error": error, "error_description": f"AADSTS{code}: Some text."}
    return found | ({"error_uri": uri} if code else {})


def grant(code: int, suberror: str = "", **more: t.Any) -> JSON:
    return answer("invalid_grant", code, **({"suberror": suberror} | more))


IR = InteractionRequired
# id: (result, class, reason)
DECISIONS: dict[str, tuple[object, type[MsalAuthError], str]] = {
    "50076-mfa": (grant(50076, "basic_action"), IR, "basic_action"),
    "50076-v1": (
        answer("interaction_required", 50076, claims=POLIDS),
        IR,
        "interaction_required",
    ),
    "50078-mfa-expired": (grant(50078, "basic_action"), IR, "basic_action"),
    "50079-enrol": (
        answer("interaction_required", 50079, claims=POLIDS, suberror=None),
        IR,
        "interaction_required",
    ),
    "50072-enrol": (grant(50072, "basic_action"), IR, "basic_action"),
    "50074-mfa": (grant(50074, "basic_action"), IR, "basic_action"),
    "50097-device": (
        grant(50097, "device_authentication_failed"),
        IR,
        "device_authentication_failed",
    ),
    "53000-not-compliant": (
        grant(53000, "additional_action"),
        IR,
        "additional_action",
    ),
    "53001-not-joined": (grant(53001, "message_only"), IR, "message_only"),
    "53003-blocked": (
        grant(53003, "message_only", claims=CAPOLIDS),
        IR,
        "message_only",
    ),
    "53003-v1": (
        answer("interaction_required", 53003, suberror="message_only"),
        IR,
        "message_only",
    ),
    "65001-consent": (grant(65001, "consent_required"), IR, "consent_required"),
    "65001-authorize": (redirect("consent_required", 65001), IR, "consent_required"),
    "65004-declined": (redirect("access_denied", 65004), AccessDenied, ""),
    "700082-inactive": (grant(700082, "bad_token"), IR, "bad_token"),
    "700082-old": (grant(700082), IR, "invalid_grant"),
    "50173-revoked": (grant(50173, "bad_token"), IR, "bad_token"),
    "70043-frequency": (grant(70043, "token_expired"), IR, "token_expired"),
    "70043-v1": (
        answer("interaction_required", 70043, suberror="token_expired"),
        IR,
        "token_expired",
    ),
    "70044-frequency": (
        redirect("interaction_required", 70044),
        IR,
        "interaction_required",
    ),
    "16000-account": (
        redirect("interaction_required", 16000),
        IR,
        "interaction_required",
    ),
    "50020-foreign-user": (redirect("access_denied", 50020), AccessDenied, ""),
    "50058-no-session": (redirect("login_required", 50058), IR, "login_required"),
    "50105-not-assigned": (redirect("interaction_required", 50105), AccessDenied, ""),
    "50105-token": (grant(50105), AccessDenied, ""),
    "50196-loop": (grant(50196), Throttled, ""),
    "50196-loop-other": (answer("interaction_required", 50196), Throttled, ""),
    "50055-password": (
        answer("user_password_expired", 50055, suberror="user_password_expired"),
        IR,
        "user_password_expired",
    ),
    "50055-suberror": (
        grant(50055, "user_password_expired"),
        IR,
        "user_password_expired",
    ),
    "54005-code-used": (grant(54005), IR, "invalid_grant"),
    "501481-pkce": (grant(501481), IR, "invalid_grant"),
    "70008-expired": (grant(70008), IR, "invalid_grant"),
    "new-suberror": (grant(99999, "invented_later"), IR, "invalid_grant"),
    "client-mismatch": (grant(70000, "client_mismatch"), TokenError, ""),
    "app-protection": (
        answer("unauthorized_client", 53005, suberror="protection_policy_required"),
        AccessDenied,
        "",
    ),
    "app-protection-grant": (
        grant(53005, "protection_policy_required"),
        AccessDenied,
        "",
    ),
    "cancel": ({"error": "access_denied"}, AccessDenied, ""),
    "busy": (answer("temporarily_unavailable", 90033), ServiceUnavailable, ""),
    "server-error": ({"error": "server_error"}, ServiceUnavailable, ""),
    "7000215-secret": (answer("invalid_client", 7000215), ConfigurationError, ""),
    "7000218-missing": (answer("invalid_request", 7000218), ConfigurationError, ""),
    "700016-app": (answer("unauthorized_client", 700016), ConfigurationError, ""),
    "50011-redirect": (answer("invalid_request", 50011), ConfigurationError, ""),
    "invalid-client": (answer("invalid_client"), ConfigurationError, ""),
    "unauthorized-client": ({"error": "unauthorized_client"}, ConfigurationError, ""),
    "b2c-redirect": (redirect("redirect_uri_mismatch"), ConfigurationError, ""),
    "b2c-no-session": (
        redirect("interaction_required"),
        IR,
        "interaction_required",
    ),
    "b2c-grant": (
        {"error": "invalid_grant", "error_description": "AADB2C90080: Expired."},
        IR,
        "invalid_grant",
    ),
    "b2c-cancel": (redirect("access_denied"), AccessDenied, ""),
    "scope": (answer("invalid_scope", 70011), TokenError, ""),
    "request": (answer("invalid_request", 90014), TokenError, ""),
    "unknown": ({"error": "brand_new", "suberror": "basic_action"}, TokenError, ""),
    "silent-none": (None, IR, "no_token"),
    "empty": ({}, TokenError, ""),
    "empty-error-no-token": ({"error": ""}, TokenError, ""),
    "text": ("<html>", TokenError, ""),
    "bytes": (b"\xff\xfe", TokenError, ""),
    "json-text": ('{"error": "invalid_grant"}', IR, "invalid_grant"),
    "json-bytes": (b'{"error": "invalid_grant"}', IR, "invalid_grant"),
    "json-list": ("[1]", TokenError, ""),
    "deep-json": ("[" * 100_000, TokenError, ""),
    "list": ([{"error": "invalid_grant"}], TokenError, ""),
    "description-only": (
        {"error": "x", "error_description": "invalid_grant AADSTS50196 AADSTS50105"},
        TokenError,
        "",
    ),
}


class TestFromResult:
    @pytest.mark.parametrize(
        ("result", "kind", "reason"), DECISIONS.values(), ids=DECISIONS
    )
    def test_decides(
        self, result: object, kind: type[MsalAuthError], reason: str
    ) -> None:
        """Each answer becomes exactly one class, and each interaction has a reason."""
        error = from_result(result, scopes=["Mail.Read"])
        assert type(error) is kind
        assert getattr(error, "reason", "") == reason
        if isinstance(error, InteractionRequired):
            assert error.scopes == ("Mail.Read",)
            assert error.reason in errors.REASONS

    @pytest.mark.parametrize(
        ("status", "kind"),
        [
            (400, TokenError),
            (404, TokenError),
            (429, Throttled),
            (500, ServiceUnavailable),
            (502, ServiceUnavailable),
            (503, ServiceUnavailable),
            (599, ServiceUnavailable),
        ],
    )
    @pytest.mark.parametrize(
        "body",
        ["Too Many Requests", b"<html>Busy</html>", "", {"error": "unheard_of"}, {}],
        ids=["text", "html", "nothing", "json", "empty-json"],
    )
    def test_status(self, body: object, status: int, kind: type[TokenError]) -> None:
        """A body that says nothing known is judged by the HTTP status."""
        assert type(from_result(body, status=status)) is kind

    @pytest.mark.parametrize("status", [429, 503])
    def test_status_goes_first(self, status: int) -> None:
        """A throttled or failing server is waited for, whatever the body says."""
        error = from_result(grant(50076, "basic_action"), status=status)
        assert isinstance(error, (Throttled, ServiceUnavailable))
        assert error.error == "invalid_grant"

    def test_body_text_is_not_kept(self) -> None:
        """A foreign body may hold anything, so none of it gets into the error."""
        error = from_result("proxy says secret-marker", status=502)
        assert isinstance(error, ServiceUnavailable)
        assert "secret-marker" not in f"{error}{error!r}{vars(error)}"
        assert error.description == "HTTP 502 that is no JSON object"
        assert "an answer that is no JSON" in str(from_result("secret-marker"))

    @pytest.mark.parametrize(
        ("given", "expected"), [(None, 5), (0, 0), (42, 42)], ids=str
    )
    def test_throttled_seconds(self, given: int | None, expected: int) -> None:
        """The server's seconds count; without any it is MSAL's five."""
        error = from_result("Too Many Requests", status=429, retry_after=given)
        assert isinstance(error, Throttled)
        assert error.retry_after == expected

    @pytest.mark.parametrize("given", [None, 7])
    def test_unavailable_seconds(self, given: int | None) -> None:
        """A 503 carries the seconds only if the server named them."""
        error = from_result("", status=503, retry_after=given)
        assert isinstance(error, ServiceUnavailable)
        assert error.retry_after == given

    @pytest.mark.parametrize(
        "result",
        [
            {"access_token": "t", "token_type": "Bearer", "expires_in": 3599},
            {"access_token": "t", "token_source": "cache", "expires_in": 10},
            {"id_token": "t", "id_token_claims": {"sub": "s"}},
            {"access_token": "t", "error": ""},
            {"access_token": "t", "error": None},
            '{"access_token": "t"}',
        ],
    )
    @pytest.mark.parametrize("status", [None, 200])
    def test_success(self, result: object, status: int | None) -> None:
        """A token without an error is no error."""
        assert from_result(result, status=status) is None

    @pytest.mark.parametrize(
        ("result", "status"),
        [({"access_token": "t"}, 400), ({"access_token": "t", "error": "e"}, None)],
    )
    def test_no_success(self, result: object, status: int | None) -> None:
        """A token beside an error or a failing status is not taken for a success."""
        assert isinstance(from_result(result, status=status), TokenError)

    def test_silent_none_of_a_failing_server(self) -> None:
        """No result together with a 503 blames the server, not the user."""
        assert type(from_result(None, status=503)) is ServiceUnavailable
        assert type(from_result(None, status=400)) is InteractionRequired

    def test_all_fields(self) -> None:
        """Every documented field of the token endpoint is an attribute."""
        result = grant(53003, "message_only", claims=CAPOLIDS)
        error = from_result(result)
        assert isinstance(error, InteractionRequired)
        assert error.error == "invalid_grant"
        assert error.description == result["error_description"]
        assert error.codes == (53003,)
        assert error.suberror == "message_only"
        assert error.claims == CAPOLIDS
        assert error.correlation_id == CORRELATION
        assert error.trace_id == "0d9f5c0e-trace"
        assert error.timestamp == "2026-01-02 03:04:05Z"
        assert error.result == result

    @given(
        st.dictionaries(
            st.sampled_from(
                "error error_description error_codes suberror claims error_uri"
                " correlation_id trace_id timestamp access_token".split()
            ),
            st.none()
            | st.booleans()
            | st.integers()
            | st.floats()
            | st.text()
            | st.binary()
            | st.lists(st.integers() | st.booleans() | st.text() | st.none())
            | st.dictionaries(st.text(), st.integers())
            | st.sampled_from(["invalid_grant", "invalid_client", "basic_action"]),
        ),
        st.none() | st.integers(0, 999),
    )
    def test_malformed_fields(self, result: JSON, status: int | None) -> None:
        """Whatever the fields hold, the outcome is a well-formed error or a success."""
        error = from_result(result, status=status)
        if error is None:
            assert "access_token" in result
            return
        assert isinstance(str(error), str)
        assert all(type(code) is int for code in error.codes)
        assert isinstance(error.correlation_id, str)
        if isinstance(error, TokenError):
            assert isinstance(error.error + error.description + error.suberror, str)
            assert error.claims is None or error.claims.startswith("{")
            assert "access_token" not in error.result

    @given(st.text() | st.binary(), st.none() | st.integers(100, 599))
    def test_any_body(self, body: str | bytes, status: int | None) -> None:
        """Any text in place of JSON gives an error that can be shown."""
        assert str(from_result(body, status=status))


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
        """What we found missing ourselves is said, even if no server spoke."""
        assert "[step_up]" in str(InteractionRequired(reason="step_up"))
        assert "[" not in str(InteractionRequired(error="x", reason="x"))


class TestConfigurationError:
    @pytest.mark.parametrize(
        ("error", "code", "key", "remedy"),
        [
            ("invalid_client", 7000215, "MSAL_CLIENT_CREDENTIAL", "value, not its ID"),
            ("invalid_client", 7000222, "MSAL_CLIENT_CREDENTIAL", "create a new"),
            ("invalid_client", 700027, "MSAL_CLIENT_CREDENTIAL", "upload"),
            ("invalid_client", 7000218, "MSAL_CLIENT_CREDENTIAL", "set it"),
            ("unauthorized_client", 700016, "MSAL_CLIENT_ID", "is unknown"),
            ("invalid_request", 50011, "MSAL_REDIRECT_URI", "add exactly"),
            ("invalid_client", 650053, "MSAL_SCOPES", "Expose an API"),
            ("redirect_uri_mismatch", None, "MSAL_REDIRECT_URI", "add exactly"),
            ("invalid_client", None, "MSAL_CLIENT_CREDENTIAL", "compare"),
            ("invalid_client", 123, "MSAL_CLIENT_CREDENTIAL", "compare"),
            ("unauthorized_client", None, "MSAL_CLIENT_ID", "compare"),
        ],
    )
    def test_names_key_and_remedy(
        self, error: str, code: int | None, key: str, remedy: str
    ) -> None:
        """Each refusal of the app itself names the setting and what to do."""
        found = from_result(answer(error, code))
        assert isinstance(found, ConfigurationError)
        text = str(found)
        assert text.startswith(key)
        assert remedy in text
        assert CORRELATION in text
        assert found.correlation_id == CORRELATION
        assert found.codes == ((code,) if code else ())
        assert code is None or f"AADSTS{code}" in text

    def test_is_a_value_error(self) -> None:
        """Code that expects ValueError for a bad setting keeps working."""
        assert issubclass(ConfigurationError, ValueError)


TREE: dict[type[MsalAuthError], tuple[type[Exception], int]] = {
    MsalAuthError: (Exception, 500),
    ConfigurationError: (MsalAuthError, 500),
    TokenError: (MsalAuthError, 502),
    InteractionRequired: (TokenError, 401),
    AccessDenied: (TokenError, 403),
    Throttled: (TokenError, 429),
    ServiceUnavailable: (TokenError, 503),
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
        """What from_result made survives pickle with scopes, claims and result."""
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


class TestIsError:
    @pytest.mark.parametrize(
        ("value", "expected"),
        [
            ({"error": "e", "error_description": "d"}, True),
            ({"error": "e", "error_codes": [1]}, True),
            ({"error": "e", "correlation_id": "c"}, True),
            (grant(50076, "basic_action"), True),
            ({"error": "e"}, False),
            ({"error": "e", "suberror": "basic_action", "claims": "{}"}, False),
            ({"error": "", "error_description": "d"}, False),
            ({"error": None, "correlation_id": "c"}, False),
            (
                {"error": {"code": "InvalidAuthenticationToken"}, "correlation_id": ""},
                False,
            ),
            ({"error_description": "d", "correlation_id": "c"}, False),
            ({"access_token": "t"}, False),
            ({}, False),
            (None, False),
            ("error error_description", False),
            (["error", "error_codes"], False),
        ],
        ids=lambda value: repr(value)[:40],
    )
    def test_table(self, value: object, expected: bool) -> None:
        """MSAL's error dicts count, an app's own error JSON does not."""
        assert is_error(value) is expected


NOW = 1_445_412_480.0  # Wed, 21 Oct 2015 07:28:00 GMT


class TestParseRetryAfter:
    @pytest.mark.parametrize(
        ("value", "expected"),
        [
            ("60", 60),
            (" 60 ", 60),
            ("0", 0),
            ("-5", 0),
            ("007", 7),
            ("3600", 3600),
            ("3601", 3600),
            ("999999999999999999", 3600),
            ("9" * 30, None),
            ("1.5", None),
            ("+5", None),
            ("١", None),
            ("soon", None),
            ("", None),
            (None, None),
            ("60, 60", None),
            ("Wed, 21 Oct 2015 07:28:30 GMT", 30),
            ("Wed, 21 Oct 2015 07:28:30 -0000", 30),
            ("Wed, 21 Oct 2015 08:28:30 +0100", 30),
            ("Wednesday, 21-Oct-15 07:29:00 GMT", 60),
            ("Wed Oct 21 07:28:10 2015", 10),
            ("Wed, 21 Oct 2015 07:27:00 GMT", 0),
            ("Fri, 31 Dec 9999 23:59:59 GMT", 3600),
            ("Mon, 01 Jan 0001 00:00:00 +2359", 0),
            ("Wed, 99 Oct 2015 07:28:30 GMT", None),
            ("Wed, 21 Oct 2015 07:28:30 +9999999", None),
        ],
        ids=repr,
    )
    def test_table(self, value: str | None, expected: int | None) -> None:
        """Seconds and all three date forms count, within 0 and an hour."""
        assert parse_retry_after(value, NOW) == expected

    def test_local_time_does_not_matter(self, monkeypatch: pytest.MonkeyPatch) -> None:
        """A date without a zone is UTC, wherever the server stands."""
        monkeypatch.setenv("TZ", "XYZ-5")
        time.tzset()
        try:
            assert parse_retry_after("Wed, 21 Oct 2015 07:28:30 -0000", NOW) == 30
        finally:
            monkeypatch.undo()
            time.tzset()

    def test_a_fraction_is_rounded_up(self) -> None:
        """Nobody comes back a moment too early."""
        assert parse_retry_after("Wed, 21 Oct 2015 07:28:30 GMT", NOW + 0.5) == 30

    def test_now_is_the_clock(self) -> None:
        """Without *now* a date is compared with the real time."""
        assert parse_retry_after("Fri, 31 Dec 9999 23:59:59 GMT") == 3600
        assert parse_retry_after("Wed, 21 Oct 2015 07:28:30 GMT") == 0

    @given(st.text())
    def test_any_text(self, value: str) -> None:
        """No text raises, and every result is within bounds."""
        seconds = parse_retry_after(value)
        assert seconds is None or 0 <= seconds <= 3600


class TestPrintable:
    @pytest.mark.parametrize(
        ("text", "limit", "expected"),
        [
            ("a\r\n\tb", 300, "a b"),
            ("a\x00\x1b[31mb\u2028c", 300, "a [31mb c"),
            ("  a  ", 300, "a"),
            ("Überprüft – ok", 300, "Überprüft – ok"),
            ("abcdef", 3, "abc"),
            ("\u202eabc", 300, "abc"),
            ("", 300, ""),
        ],
    )
    def test_table(self, text: str, limit: int, expected: str) -> None:
        """Controls and line breaks become blanks, and the length is bounded."""
        assert printable(text, limit) == expected

    @given(st.text(), st.integers(0, 50))
    def test_any_text(self, text: str, limit: int) -> None:
        """The result is always one printable line within the limit."""
        line = printable(text, limit)
        assert line.isprintable()
        assert len(line) <= limit
