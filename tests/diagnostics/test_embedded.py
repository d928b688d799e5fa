"""Dicts in strings of every kind: whole, in a line, in one another, or broken."""

from __future__ import annotations

import json
import time
import typing as t

import pytest
from hypothesis import given
from hypothesis import strategies as st

from flask_msal_errors.diagnostics.embedded import mappings
from support.waiting import PATIENCE

RESULT = {"error": "invalid_grant", "claims": '{"a": {"b": "it\'s"}}', "codes": [1]}
INNER = [{"a": {"b": "it's"}}, {"b": "it's"}]
JSON_VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
    max_leaves=8,
)


class TestMappings:
    @pytest.mark.parametrize("write", [json.dumps, repr])
    @pytest.mark.parametrize(
        "line",
        ["{}", "don't {}, or do", "{{ {{'a' }} {}", "['x'] {}\n{{", "a\n{}\n\nb }}"],
    )
    def test_among_words(self, write: t.Any, line: str) -> None:
        """It is found as JSON and as Python prints it, with what its strings hold."""
        assert mappings(line.format(write(RESULT))) == [RESULT, *INNER]

    def test_over_lines(self) -> None:
        """Several dicts are found, laid out over lines, the first one first."""
        text = f"{json.dumps(RESULT, indent=2)}\n{json.dumps({'second': 1})}"
        assert mappings(text)[:2] == [RESULT, {"second": 1}]

    def test_in_strings(self) -> None:
        """A dict that a collector wrapped is read, and so is a piece of it."""
        line = json.dumps({"log": f"app: {json.dumps(RESULT)}\n"})
        assert mappings(line)[1:] == [RESULT, *INNER]
        piece = line[line.index("app") : -1]
        assert RESULT["error"] in [value.get("error") for value in mappings(piece)]

    def test_nothing_is_run(self) -> None:
        """An expression is no dict."""
        assert mappings("{'a': __import__('os').getcwd()} {print(1)} {**{}}") == []

    @pytest.mark.parametrize(
        "text",
        ["{" * 100_000, "{'" * 50_000, '{"a":' * 50_000, "{1" + "-" * 90_000 + "1}"],
    )
    def test_hostile(self, text: str) -> None:
        """A long string of braces takes no long time."""
        begun = time.process_time()
        assert mappings(text) == []
        assert time.process_time() - begun < PATIENCE / 2

    @given(st.dictionaries(st.text(), JSON_VALUES, min_size=1), st.text("ab'\" \n"))
    def test_any(self, value: dict[str, t.Any], around: str) -> None:
        """Any dict is found in JSON, whatever stands around it."""
        assert mappings(f"{around}{json.dumps(value)}{around}")[0] == value
