"""Errors and challenges in words, which are those of the real decisions."""

from __future__ import annotations

import ast
import base64
import dataclasses
import json
import logging
import re
import typing as t
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

import flask_msal_errors
from flask_msal_errors import AccessDenied
from flask_msal_errors import Settings
from flask_msal_errors import errors
from flask_msal_errors import signals
from flask_msal_errors.diagnostics import explain
from flask_msal_errors.diagnostics import words
from flask_msal_errors.diagnostics.explain import Section
from flask_msal_errors.entra import classify
from flask_msal_errors.entra import codes
from flask_msal_errors.settings import key_of
from flask_msal_errors.signin import b2c
from flask_msal_errors.signin import silent

CLAIMS = '{"access_token":{"acrs":{"essential":true,"value":"c1"}}}'
PACKED = base64.b64encode(CLAIMS.encode()).decode()
#: An answer of the token endpoint, as MSAL returns it.
RESULT: dict[str, t.Any] = {
    "error": "invalid_grant",
    "suberror": "basic_action",
    "error_description": "AADSTS50076: you must use multi-factor authentication.",
    "error_codes": [50076],
    "correlation_id": "01234567-89ab-cdef-0123-456789abcdef",
    "claims": CLAIMS,
}
#: Members of answers and of log records, with values of any kind.
MEMBERS = (*RESULT, "error_uri", "access_token", "msal_event", "msal_codes", "message")
ANYTHING = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
    max_leaves=5,
)


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
            ("AADSTS 50076", [50076]),
            ("(50076,)", [50076]),
            ("msal_codes=[50076, 65001]", [50076, 65001]),
            ("'error_codes': [\n  65001\n]", [65001]),
            ('{\\"msal_codes\\": [50076', [50076]),
            ("https://login.microsoftonline.com/error?code=50076", [50076]),
            ("/cb?error_description=AADSTS65004%3a+declined", [65004]),
            ("exit code 12345, codes of 67890 and 2024-11-29", None),
        ],
    )
    def test_codes(self, text: str, codes: list[int] | None) -> None:
        """Codes, alone or in a line of a log, each once; other numbers are none."""
        if codes is None:
            with pytest.raises(ValueError, match="no AADSTS code"):
                explain.read(text)
            return
        assert [found["error_codes"] for found in explain.read(text)] == [
            [code] for code in codes
        ]

    @pytest.mark.parametrize(
        "text", [json.dumps(RESULT), json.dumps(RESULT, indent=2), repr(RESULT)]
    )
    @pytest.mark.parametrize(
        "around",
        [
            "\n{}\n",
            "ERROR:app:it's {}",
            "HTTP/1.1 400 Bad Request\r\nDate: x\r\n\r\n{}",
            "Traceback (most recent call last):\n  f({{}})\nKeyError: {}",
            "[{}]",
        ],
    )
    def test_dicts(self, text: str, around: str) -> None:
        """JSON, and MSAL's dict as Python prints it, wherever it stands."""
        assert explain.read(around.format(text)) == [RESULT]

    def test_beside_a_dict(self) -> None:
        """A code beside a dict counts if the dict does not have it."""
        found = explain.read(f"AADSTS50076 AADSTS65001 {RESULT}")
        assert [one["error_codes"] for one in found] == [[50076], [65001]]

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

    def test_printable(self) -> None:
        """Nothing of an answer steers a terminal, or begins a line of its own."""
        evil = "x\x1b[31m\x07\r\n\u202eOK:"
        claims = json.dumps({"access_token": {evil: {"value": evil}}})
        names = ("error", "suberror", "correlation_id", "error_description")
        answer = {**dict.fromkeys(names, evil), "claims": claims}
        sections = explain.explained(json.dumps({**answer, "error_codes": [50076]}))
        told = [text for section in sections for _, text in section.rows]
        assert all(text.isprintable() for text in told)

    def test_no_error(self) -> None:
        """A token's answer is no error, and no token is printed."""
        sections = explain.error({"access_token": "secret-token"})
        assert row(sections, "Extension").startswith("Nothing:")
        assert "secret-token" not in repr(sections)


def row_of(number: int) -> codes.Code:
    found = codes.find(number)
    assert found is not None
    return found


class TestCodes:
    """All codes of the table, as ``flask msal explain`` prints them."""

    @pytest.mark.parametrize(
        "number", [c.number for g in codes.GROUPS for c in g.codes]
    )
    def test_printed(self, number: int) -> None:
        """Nothing is empty, and class and status are those of the real error."""
        known = row_of(number)
        sections = explain.explained(f"AADSTS{number}")
        assert all(text for section in sections for _, text in section.rows)
        assert "()" not in repr(sections)
        (result,) = explain.read(str(number))
        error = classify.from_result(result)
        assert error is not None
        told = row(sections, "Extension")
        if known.stays:
            assert "HTTP" not in told
            assert "sends nobody back" in told
        elif known.error or known.decision:
            assert told.startswith(f"{type(error).__name__}, HTTP {error.status}. ")
        else:
            assert told.startswith("It depends on")

    def test_came_back(self) -> None:
        """A code that mostly stays at Entra is decided if it comes."""
        sections = explain.error({"error": "invalid_request", "error_codes": [50011]})
        assert row(sections, "Extension").startswith("ConfigurationError, HTTP 500.")


def literals() -> set[str]:
    """The values of ``error=`` and ``reason=`` in the package, and of "error" keys."""
    found = set()
    for path in Path(flask_msal_errors.__file__).parent.rglob("*.py"):
        if "testing" in path.parts:
            continue
        for node in ast.walk(ast.parse(path.read_text("utf-8"))):
            values = []
            if isinstance(node, ast.keyword) and node.arg in ("error", "reason"):
                values = [node.value]
            elif isinstance(node, ast.Dict):
                pairs = zip(node.keys, node.values, strict=True)
                values = [
                    value
                    for key, value in pairs
                    if isinstance(key, ast.Constant) and key.value == "error"
                ]
            found |= {
                v.value
                for v in values
                if isinstance(v, ast.Constant) and isinstance(v.value, str)
            }
    return found - {""}


ROWS = [code for group in codes.GROUPS for code in group.codes]
#: Sources of the words in log lines.
SOURCES: dict[str, set[str]] = {
    "errors": {row.error for row in ROWS} | {row.suberror for row in ROWS},
    "reasons": set(errors.REASONS) | {b2c.RESET_PASSWORD, b2c.EDIT_PROFILE},
    "decided": set(classify._BY_ERROR) | set(classify._BY_SUBERROR),
    "literals": literals() | {errors.UNMET, silent.PROFILE_EDITED, silent.RECHECK},
    "events": set(signals.LINES),
    "classes": set(re.findall(r"[A-Z]\w+", errors.__doc__ or "")) & set(dir(errors)),
    "keys": {key_of(field.name) for field in dataclasses.fields(Settings)},
}


class TestWords:
    @pytest.mark.parametrize("source", SOURCES)
    def test_each(self, source: str) -> None:
        """Each word that a line may hold has its meaning and what to do."""
        names = SOURCES[source] - {""}
        assert len(names) > 5
        for name in names:
            first = explain.explained(name)[0]
            assert first.heading == name
            assert [label for label, _ in first.rows] == ["Meaning", "To do"]
            assert all(len(text) > 20 for _, text in first.rows), first

    def test_decided(self) -> None:
        """An error of a provider is decided as the extension does it."""
        for name, told in {
            "invalid_grant": "InteractionRequired, HTTP 401.",
            "access_denied": "AccessDenied, HTTP 403.",
            "message_only": "InteractionRequired, HTTP 401.",
            "protection_policy_required": "AccessDenied, HTTP 403.",
            "temporarily_unavailable": "ServiceUnavailable, HTTP 503.",
            "invalid_client": "ConfigurationError, HTTP 500.",
            "invalid_scope": "TokenError, HTTP 502.",
        }.items():
            assert row(explain.explained(name), "Extension").startswith(told), name

    def test_ours(self) -> None:
        """No provider says ours, so nothing is decided of them."""
        for name in ("api_throttled", "StateMismatch", "sign_in_failed", "max_age"):
            assert [section.heading for section in explain.explained(name)] == [name]

    @pytest.mark.parametrize("text", ["INVALID_GRANT", "statemismatch", " throttled\n"])
    def test_any_case(self, text: str) -> None:
        """One word alone may be written in any case."""
        assert explain.explained(text)[0].heading.casefold() == text.strip().casefold()

    @pytest.mark.parametrize("event", signals.LINES)
    @pytest.mark.parametrize(
        "error",
        [
            errors.StateMismatch(),
            errors.FlowExpired(),
            errors.TokenError(result=RESULT),
            errors.ServiceUnavailable(error="session_store_unavailable"),
        ],
        ids=lambda error: type(error).__name__,
    )
    def test_lines(
        self,
        event: str,
        error: errors.MsalAuthError,
        caplog: pytest.LogCaptureFixture,
    ) -> None:
        """A whole line tells its event and its error, as text and as JSON."""
        caplog.set_level(logging.INFO)
        signals.log(event, error=error)
        (record,) = caplog.records
        fields = {k: v for k, v in vars(record).items() if k.startswith("msal_")}
        for line in (f"WARNING:x:{record.getMessage()}", json.dumps(fields)):
            told = [section.heading for section in explain.explained(line)]
            assert event in told
            expected = {
                "StateMismatch": "StateMismatch",
                "FlowExpired": "FlowExpired",
                "TokenError": "AADSTS50076 UserStrongAuthClientAuthNRequired",
                "ServiceUnavailable": "session_store_unavailable",
            }
            assert expected[type(error).__name__] in told

    @pytest.mark.parametrize(
        "line",
        [
            "2026-11-29 app[1]: {}",
            '{{"severity": "WARNING", "extra": {}}}',
            "{}\n{}",
        ],
    )
    def test_collected(self, line: str) -> None:
        """Our fields are found in whatever a collector made of them, once each."""
        fields = {"msal_event": "refused", "msal_error": "Throttled", "msal_codes": []}
        wrapped = json.dumps({"log": json.dumps(fields)})
        for text in (json.dumps(fields), wrapped):
            told = explain.explained(line.format(text, text))
            assert [section.heading for section in told] == ["refused", "Throttled"]

    def test_pairs(self) -> None:
        """So are fields that are written as pairs."""
        line = 'level=warning msal_event=refused msal_error="Throttled" msal_codes=[]'
        told = explain.explained(line)
        assert [section.heading for section in told] == ["refused", "Throttled"]

    def test_traceback(self) -> None:
        """The class at the end of a traceback is explained, and its key."""
        text = 'Traceback (most recent call last):\n  File "a.py", line 3, in home\n'
        text += "flask_msal_errors.errors.ConfigurationError: MSAL_CLIENT_ID is missing"
        told = [section.heading for section in explain.explained(text)]
        assert told == ["ConfigurationError", "MSAL_CLIENT_ID"]

    def test_graph(self) -> None:
        """An error of Graph is told by its code, and nothing is decided of it."""
        body = {"error": {"code": "InvalidAuthenticationToken", "message": "Expired."}}
        (section,) = explain.explained(json.dumps(body))
        assert section.heading == "InvalidAuthenticationToken"

    @given(
        st.text()
        | st.text("{}[]'\":,\\AADSTS0123456789codesmsal_event= \n")
        | st.dictionaries(st.sampled_from(MEMBERS), ANYTHING).map(json.dumps)
        | st.dictionaries(st.sampled_from(MEMBERS), ANYTHING).map(repr)
    )
    def test_any_input(self, text: str) -> None:
        """Any input is explained, or said to hold nothing."""
        try:
            sections = explain.explained(text)
        except ValueError as error:
            assert str(error).startswith("no AADSTS code")
        else:
            assert sections

    def test_other_lines(self) -> None:
        """Lines that are no event are explained as they stand in the package."""
        folder = Path(flask_msal_errors.__file__).parent
        sources = [path.read_text("utf-8") for path in folder.rglob("*.py")]
        begins = re.findall(r"^(?=[A-Z])[^\n]+$", words._OTHER_LINES, re.MULTILINE)
        assert len(begins) > 10
        for text in begins:
            told = [source for source in sources if f'"{text}' in source]
            assert told, text
            (section,) = explain.explained(f"WARNING in x: {text} … and so on.")
            assert section.heading == text

    def test_error_of_the_line(self) -> None:
        """The error in a line decides where the table does not know it."""
        line = "A token was refused (invalid_grant, AADSTS50034)."
        assert row(explain.explained(line), "Error") == "invalid_grant"

    def test_plain_english(self) -> None:
        """In a sentence, a word that is English is not taken for a name."""
        with pytest.raises(ValueError, match="no AADSTS code"):
            explain.explained("we cancel the challenge of a throttled host")


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
