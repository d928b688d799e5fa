"""``python -m benchmarks``: asks the questions and writes the reports."""

from __future__ import annotations

import argparse
import collections.abc as cabc
import warnings
from pathlib import Path

from . import challenge
from . import imports
from . import load
from . import memory
from . import refresh
from . import report
from . import signin
from . import traffic
from . import views
from .harness import running
from .measure import Figure

QUESTIONS = {
    "views": views.measure,
    "refresh": refresh.measure,
    "signin": signin.measure,
    "challenge": challenge.measure,
    "traffic": traffic.measure,
    "memory": memory.measure,
    "imports": imports.measure,
    "load": load.measure,
}


def main(arguments: cabc.Sequence[str] | None = None) -> list[Figure]:
    """Print each figure as it comes; returns them all."""
    parser = argparse.ArgumentParser("python -m benchmarks")
    parser.add_argument("--only", help="questions, separated by commas")
    parser.add_argument("--quick", action="store_true", help="see that they run")
    parser.add_argument("--sessions", type=int, default=300, help="of memory")
    parser.add_argument("--out", type=Path, help="folder of the reports")
    options = parser.parse_args(arguments)
    chosen = options.only.split(",") if options.only else list(QUESTIONS)
    if unknown := set(chosen) - QUESTIONS.keys():
        parser.error(f"--only: no question {', '.join(sorted(unknown))}")
    # MSAL's advice, once a sign-in of identity's.
    warnings.filterwarnings("ignore", message="response_mode='form_post'")
    figures = []
    for question in chosen:
        # Each in its own: what one keeps is not the next one's.
        with running(quick=options.quick, sessions=options.sessions) as harness:
            for figure in QUESTIONS[question](harness):
                print(report.line(figure), flush=True)
                figures.append(figure)
    if options.out:
        report.write(figures, options.out)
    return figures


if __name__ == "__main__":
    main()
