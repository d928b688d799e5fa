"""Retry-After: seconds and dates, within bounds."""

from __future__ import annotations

import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from flask_msal_errors.protocol.retry_after import parse_retry_after
from flask_msal_errors.protocol.retry_after import retry_after_of

HEADERS = ("Retry-After", "x-ms-retry-after-ms", "retry-after-ms")
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
            ("1.5", 2),
            ("0.249", 1),
            ("0.0", 0),
            ("2.", 2),
            ("-0.5", 0),
            ("3599.001", 3600),
            ("1.5.5", None),
            ("1,5", 1),
            ("1e3", None),
            ("nan", None),
            ("inf", None),
            ("+5", None),
            ("١", None),
            ("soon", None),
            ("", None),
            (None, None),
            ("60, 60", 60),
            ("60,Wed, 21 Oct 2015 07:28:30 GMT", 60),
            ("soon, 60", None),
            (", 60", None),
            ("Wed, 21 Oct 2015 07:28:30 GMT, Wed, 21 Oct 2015 07:28:31 GMT", 30),
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

    @given(st.floats(0, 1e6))
    def test_any_number(self, seconds: float) -> None:
        """Nobody comes back too early, nor a whole second too late."""
        found = parse_retry_after(f"{seconds:.9f}")
        assert found is not None
        assert found == 3600 or -1e-6 <= found - seconds < 1 + 1e-6

    @given(st.text())
    def test_any_text(self, value: str) -> None:
        """No text raises, and every result is within bounds."""
        seconds = parse_retry_after(value)
        assert seconds is None or 0 <= seconds <= 3600


class TestRetryAfterOf:
    @pytest.mark.parametrize(
        ("headers", "expected"),
        [
            ({}, None),
            ({"Retry-After": "9", "retry-after-ms": "1"}, 9),
            ({"x-ms-retry-after-ms": "249"}, 1),
            ({"retry-after-ms": "1001"}, 2),
            ({"retry-after-ms": "1001, 5000"}, 2),
            ({"retry-after-ms": "0.5"}, 1),
            ({"Retry-After": "soon", "retry-after-ms": "2000"}, 2),
            ({"x-ms-retry-after-ms": "soon", "retry-after-ms": "2000"}, 2),
            ({"x-ms-retry-after-ms": "1000", "retry-after-ms": "2000"}, 1),
            ({"retry-after-ms": "-5"}, 0),
            ({"retry-after-ms": "9" * 18}, 3600),
            ({"retry-after-ms": "9" * 30}, None),
        ],
        ids=repr,
    )
    def test_table(self, headers: dict[str, str], expected: int | None) -> None:
        """``Retry-After`` wins; milliseconds of Azure's services count without it."""
        assert retry_after_of(headers.get) == expected

    @given(st.dictionaries(st.sampled_from(HEADERS), st.text()))
    def test_any_text(self, headers: dict[str, str]) -> None:
        """No header raises, and every result is within bounds."""
        seconds = retry_after_of(headers.get)
        assert seconds is None or 0 <= seconds <= 3600
