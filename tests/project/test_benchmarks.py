"""The benchmarks: that they run, what they count, and how they judge."""

from __future__ import annotations

import json
import subprocess
import sys
import typing as t
from pathlib import Path

import pytest

from benchmarks.measure import Call
from benchmarks.measure import Figure
from benchmarks.measure import alternate
from benchmarks.measure import ratio
from benchmarks.report import table
from support.waiting import PATIENCE

ROOT = Path(__file__).parents[2]
#: Questions that need neither identity nor a load generator.
QUESTIONS = (
    *("views", "refresh", "signin", "challenge", "validate", "on_behalf"),
    "traffic",
)
#: Times mean nothing here; counts and sizes are the same on any machine.
COUNTED = {"", "bytes"}
RUN = """
import dataclasses, json, sys
sys.path.append(sys.argv[1])
from benchmarks.__main__ import main
figures = main(sys.argv[2:])
print(json.dumps([{**dataclasses.asdict(f), "met": f.met} for f in figures]))
"""


@pytest.mark.once
class TestRun:
    def test_promised_counts(self, redis_server: str, tmp_path: Path) -> None:
        """All runs, and every promise about calls, commands and bytes is kept."""
        figures = run(tmp_path, *QUESTIONS)
        assert {f["question"] for f in figures} == set(QUESTIONS)
        promised = [f for f in figures if f["target"] is not None]
        counted = [f for f in promised if f["unit"] in COUNTED]
        assert len(counted) >= 20
        assert [f for f in counted if not f["met"]] == []

    def test_soak(self, redis_server: str, tmp_path: Path) -> None:
        """Some seconds of traffic and trouble at four workers: no error."""
        found = {f["name"]: f["value"] for f in run(tmp_path, "soak")}
        assert found["traffic, errors"] == found["traffic, entries without an end"] == 0
        assert found["traffic, pages"] > 0 and found["traffic, revocations"] > 0


def run(folder: Path, *questions: str) -> list[dict[str, t.Any]]:
    done = subprocess.run(
        [sys.executable, "-c", RUN, str(ROOT), "--quick", *questions],
        cwd=folder,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        check=True,
        text=True,
        timeout=5 * PATIENCE,
    )
    figures: list[dict[str, t.Any]] = json.loads(done.stdout.splitlines()[-1])
    return figures


class TestFigure:
    @pytest.mark.parametrize(
        ("value", "target", "least", "met"),
        [
            (1.0, None, False, None),
            (1.0, 1.0, False, True),
            (1.1, 1.0, False, False),
            (0.0, 0.0, False, True),
            (1.0, 0.97, True, True),
            (0.9, 0.97, True, False),
        ],
    )
    def test_met(
        self, value: float, target: float | None, least: bool, met: bool | None
    ) -> None:
        """A promise is a most or a least; without one nothing is judged."""
        assert Figure("q", "n", value, "", target=target, least=least).met is met


class TestAlternate:
    def test_each_case_in_each_round(self) -> None:
        """Every round takes every case once, however often it calls it."""
        called: list[str] = []
        cases = {name: lambda name=name: called.append(name) for name in "ab"}
        taken = alternate(cases, rounds=3, calls=2)
        assert {name: len(seconds) for name, seconds in taken.items()} == {
            "a": 3,
            "b": 3,
        }
        assert called.count("a") == called.count("b") == 2 + 3 * 2

    def test_ratio(self) -> None:
        """A ratio is of two turns of one round, not of two medians."""
        taken = {"a": [2.0, 20.0, 6.0], "b": [1.0, 10.0, 3.0]}
        assert ratio(taken, "a", "b") == (2.0, 2.0, 2.0)


class TestCall:
    def test_refuses_another_answer(self) -> None:
        """An error, or a sign-in page in place of the view, is not measured."""

        def app(environ: object, start: object) -> list[bytes]:
            start("200 OK", [])  # type: ignore[operator]
            return [b"please sign in"]

        assert Call(app, "/")() == b"please sign in"
        with pytest.raises(RuntimeError, match="not 302"):
            Call(app, "/", status=302)()
        with pytest.raises(RuntimeError, match="please sign in"):
            Call(app, "/", says="Ada")()


class TestTable:
    def test_verdicts(self) -> None:
        """A row says the value, its spread, the promise and whether it is kept."""
        figure = Figure("views", "user view", 1.5, "x F1", 1.4, 1.6, target=1.05)
        text = table([figure], {"python": "3.11"})
        assert "python 3.11" in text
        for cell in ("user view", "1.5 x F1", "1.4 … 1.6", "≤ 1.05", "missed"):
            assert f"- {cell}\n" in text
