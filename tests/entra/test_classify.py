"""Each answer of Entra becomes one error: the decision table."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from flask_msal_errors import errors
from flask_msal_errors.entra.classify import from_result
from flask_msal_errors.entra.classify import is_error
from flask_msal_errors.errors import AccessDenied
from flask_msal_errors.errors import ConfigurationError
from flask_msal_errors.errors import InteractionRequired
from flask_msal_errors.errors import MsalAuthError
from flask_msal_errors.errors import ServiceUnavailable
from flask_msal_errors.errors import Throttled
from flask_msal_errors.errors import TokenError
from support.answers import CAPOLIDS
from support.answers import CORRELATION
from support.answers import JSON
from support.answers import POLIDS
from support.answers import answer
from support.answers import grant
from support.answers import redirect

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
    "cancel-okta": ({"error": "user_canceled_request"}, AccessDenied, ""),
    "unmet": (redirect("unmet_authentication_requirements"), AccessDenied, ""),
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
    "70011-scope": (answer("invalid_scope", 70011), ConfigurationError, ""),
    "9002327-platform": (answer("invalid_request", 9002327), ConfigurationError, ""),
    "50194-redirect": (redirect("invalid_request", 50194), ConfigurationError, ""),
    "700005-tenant": (grant(700005), ConfigurationError, ""),
    "9002313-cut-off": (grant(9002313), IR, "invalid_grant"),
    "scope": (answer("invalid_scope"), TokenError, ""),
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
        """Any fields yield a well-formed error or a success."""
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


class TestRemedies:
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
            ("invalid_client", 70002, "MSAL_CLIENT_CREDENTIAL", "value, not its ID"),
            ("unauthorized_client", 7000112, "An administrator", "enables it"),
            ("invalid_client", 7000229, "Create it", "az ad sp create"),
            ("", 50011, "MSAL_REDIRECT_URI", "add exactly"),
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
        assert "()" not in text

    def test_code_in_the_description(self) -> None:
        """A code that stands in the text only explains, and decides nothing."""
        text = "AADSTS650053: The application asked for a scope that does not exist."
        for error, kind in {
            "invalid_client": ConfigurationError,
            "invalid_request": TokenError,
        }.items():
            found = from_result({"error": error, "error_description": text})
            assert type(found) is kind
            assert ("MSAL_SCOPES" in str(found)) is (kind is ConfigurationError)


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
