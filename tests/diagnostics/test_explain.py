"""Errors and challenges in words, which are those of the real decisions."""

from __future__ import annotations

import base64
import json
import typing as t

import pytest

from flask_msal_errors import AccessDenied
from flask_msal_errors.diagnostics import explain
from flask_msal_errors.diagnostics.explain import Section
from flask_msal_errors.entra import classify
from flask_msal_errors.entra import codes

CLAIMS = '{"access_token":{"acrs":{"essential":true,"value":"c1"}}}'
PACKED = base64.b64encode(CLAIMS.encode()).decode()
#: What MSAL returns, and the token endpoint answers.
RESULT: dict[str, t.Any] = {
    "error": "invalid_grant",
    "suberror": "basic_action",
    "error_description": "AADSTS50076: you must use multi-factor authentication.",
    "error_codes": [50076],
    "correlation_id": "01234567-89ab-cdef-0123-456789abcdef",
    "claims": CLAIMS,
}


def row(sections: list[Section], label: str) -> str:
    """The text of a label in the last section."""
    return dict(sections[-1].rows).get(label, "")


class TestRead:
    @pytest.mark.parametrize(
        ("text", "codes"),
        [
            ("50076", [50076]),
            (" 50076\n", [50076]),
            ("AADSTS50076", [50076]),
            ("aadsts7000215", [7000215]),
            ("WARNING AADSTS50076: … and AADSTS65001, AADSTS50076", [50076, 65001]),
        ],
    )
    def test_codes(self, text: str, codes: list[int]) -> None:
        """Codes, alone or in a line of a log, each once."""
        assert [found["error_codes"] for found in explain.read(text)] == [
            [code] for code in codes
        ]

    @pytest.mark.parametrize("text", [json.dumps(RESULT), repr(RESULT)])
    def test_dicts(self, text: str) -> None:
        """JSON, and MSAL's dict as Python prints it."""
        assert explain.read(f"\n{text}\n") == [RESULT]

    @pytest.mark.parametrize(
        "text",
        [
            "",
            "nothing",
            "{",
            "[]",
            "{1}",
            "123",
            "AADSTS",
            "{" * 100_000,
            "AADB2C90118",
        ],
    )
    def test_nothing(self, text: str) -> None:
        """Text of any other kind has no code, and nothing of it is run."""
        with pytest.raises(ValueError, match="no AADSTS code"):
            explain.read(text)


class TestError:
    def test_code(self) -> None:
        """A code of the table, with cause, who resolves it, and the decision."""
        first, last = explain.error(explain.read("50076")[0])
        assert first.heading == "AADSTS50076 UserStrongAuthClientAuthNRequired"
        assert [label for label, _ in first.rows] == [
            *("Cause", "Resolved by", "To do", "More")
        ]
        assert row([last], "Error") == "invalid_grant / basic_action"
        assert row([last], "Extension").startswith("InteractionRequired, HTTP 401.")

    def test_result(self) -> None:
        """An answer tells its claims by name, and what to look up."""
        sections = explain.error(RESULT)
        assert row(sections, "Claims") == "access_token.acrs"
        assert RESULT["correlation_id"] in row(sections, "Look up")

    def test_unknown(self) -> None:
        """A code that is not in the table is said to be so, with Microsoft's page."""
        first, last = explain.error(explain.read("99999")[0])
        assert dict(first.rows)["More"].endswith("/error?code=99999")
        assert "not in the table" in dict(first.rows)["Cause"]
        assert "depends on the error" in row([last], "Extension")

    def test_unknown_with_error(self) -> None:
        """It is decided by its error, as the extension does."""
        sections = explain.error({"error": "invalid_grant", "error_codes": [99999]})
        assert row(sections, "Extension").startswith("InteractionRequired")

    def test_no_error(self) -> None:
        """A token's answer is no error, and no token is printed."""
        sections = explain.error({"access_token": "secret-token"})
        assert row(sections, "Extension").startswith("Nothing:")
        assert "secret-token" not in repr(sections)


class TestDecision:
    @pytest.mark.parametrize(
        "code",
        [c for g in codes.GROUPS for c in g.codes if c.error],
        ids=lambda code: str(code.number),
    )
    def test_is_the_real_one(self, code: codes.Code) -> None:
        """The class that is named is the one that is raised."""
        (result,) = explain.read(str(code.number))
        kind = type(classify.from_result(result))
        assert explain.decision(result).startswith(f"{kind.__name__}, HTTP ")

    def test_follows_the_code(self, monkeypatch: pytest.MonkeyPatch) -> None:
        """Were the decision another, so were the words."""
        before = explain.decision(RESULT)
        monkeypatch.setitem(classify.BY_CODE, 50076, AccessDenied)
        assert "InteractionRequired" in before
        assert explain.decision(RESULT).startswith("AccessDenied, HTTP 403.")

    def test_message_only(self) -> None:
        """An error that only shows a message is followed once."""
        message = {**RESULT, "suberror": "message_only"}
        assert "Once for each demand" in explain.decision(message)
        assert "Once" not in explain.decision(RESULT)

    def test_remedy(self) -> None:
        """A wrong setting is told with its key."""
        (result,) = explain.read("7000222")
        assert "MSAL_CLIENT_CREDENTIAL has expired" in explain.decision(result)


class TestChallenges:
    def test_claims(self) -> None:
        """Claims are decoded and laid out; what is taken of them stands below."""
        values = [f'Bearer realm="", error="insufficient_claims", claims="{PACKED}"']
        first, last = explain.challenges(values)
        assert first.heading == "Challenge: bearer"
        assert json.loads(dict(first.rows)["claims"]) == json.loads(CLAIMS)
        assert '\n  "access_token": {\n' in dict(first.rows)["claims"]
        assert row([last], "Claims") == CLAIMS
        assert row([last], "Extension").startswith("First a new token")

    @pytest.mark.parametrize(
        ("value", "status", "words"),
        [
            ('Bearer error="invalid_token"', 401, "The token is renewed"),
            ('Bearer error="invalid_token"', 403, "Nothing:"),
            (f'Bearer error="invalid_token", claims="{PACKED}"', 401, "First a new"),
            ('Bearer error="insufficient_scope", scope="B"', 403, "First a new token"),
            (
                'Bearer error="insufficient_user_authentication", max_age="60"',
                401,
                "At once: The user",
            ),
            (
                'Bearer error="insufficient_user_authentication", acr_values="c1"',
                401,
                "At once: The user",
            ),
            ("Basic realm=x", 401, "Nothing:"),
            ('Bearer error="insufficient_claims", claims="%%%"', 401, "Nothing:"),
            ("", 401, "Nothing:"),
        ],
    )
    def test_decision(self, value: str, status: int, words: str) -> None:
        """The decision for each dialect comes from the real parser and predicates."""
        sections = explain.challenges([value], status, ["A"])
        assert row(sections, "Extension").startswith(words)

    def test_scopes_of_an_unknown_call(self) -> None:
        """Without the call's scopes, named ones count for nothing, and that is said."""
        value = 'Bearer error="insufficient_scope", scope="Mail.Send"'
        assert "--scope" in row(explain.challenges([value]), "Extension")
        found = explain.challenges([value], scopes=["Mail.Read"])
        assert row(found, "Scopes") == "Mail.Send"

    @pytest.mark.parametrize(
        "claims", ["%%%", "e30", base64.b64encode(b"[" * 9000).decode(), "x" * 60_000]
    )
    def test_hostile_claims(self, claims: str) -> None:
        """Any claims are printed or left out, and never make it fail."""
        value = f'Bearer error="insufficient_claims", claims="{claims}"'
        first: t.Any = explain.challenges([value])[0]
        assert "claims" in dict(first.rows)

    def test_control_characters(self) -> None:
        """A header cannot write to the terminal."""
        value = 'Bearer error="\x1b[31minsufficient_claims", x="\x07"'
        assert "\x1b" not in repr(explain.challenges([value])).replace("\\x1b", "\x1b")
