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
from . import on_behalf
from . import refresh
from . import report
from . import signin
from . import soak
from . import traffic
from . import validate
from . import views
from .harness import running
from .measure import Figure

QUESTIONS = {
    "views": views.measure,
    "refresh": refresh.measure,
    "signin": signin.measure,
    "challenge": challenge.measure,
    "validate": validate.measure,
    "on_behalf": on_behalf.measure,
    "traffic": traffic.measure,
    "memory": memory.measure,
    "imports": imports.measure,
    "load": load.measure,
}
#: Asked only by name: it takes more than an hour.
LONG = {"soak": soak.measure}


def main(arguments: cabc.Sequence[str] | None = None) -> list[Figure]:
    """Print each figure as it comes; returns them all."""
    parser = argparse.ArgumentParser("python -m benchmarks")
    parser.add_argument("questions", nargs="*", help="all but soak by default")
    parser.add_argument("--quick", action="store_true", help="see that they run")
    parser.add_argument("--sessions", type=int, default=0, help="of memory or soak")
    parser.add_argument("--minutes", type=float, default=60, help="of soak's traffic")
    parser.add_argument("--out", type=Path, help="folder of the reports")
    options = parser.parse_args(arguments)
    known = {**QUESTIONS, **LONG}
    chosen = options.questions or list(QUESTIONS)
    if unknown := set(chosen) - known.keys():
        parser.error(f"no question {', '.join(sorted(unknown))}")
    # MSAL's advice, once a sign-in of identity's.
    warnings.filterwarnings("ignore", message="response_mode='form_post'")
    how = {name: getattr(options, name) for name in ("quick", "sessions", "minutes")}
    figures = []
    for question in chosen:
        # Each in its own: what one keeps is not the next one's.
        with running(**how) as harness:
            for figure in known[question](harness):
                print(report.line(figure), flush=True)
                figures.append(figure)
    if options.out:
        name = "soak" if chosen == ["soak"] else "results"
        report.write(figures, options.out, name)
    return figures


if __name__ == "__main__":
    main()
