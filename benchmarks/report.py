"""Figures as JSON, as a table in reStructuredText and as plots."""

from __future__ import annotations

import collections.abc as cabc
import dataclasses
import datetime
import importlib.metadata
import json
import os
import platform
import typing as t
from pathlib import Path

from .measure import Figure

_PACKAGES = (
    *("flask", "flask-session", "msal", "identity", "redis", "requests"),
    *("gunicorn", "cryptography"),
)
_HEAD = ("what", "value", "quartiles", "promised", "")


def machine() -> dict[str, str]:
    """Describe the machine that the figures were taken on."""
    found = {"python": platform.python_version(), "cores": str(os.cpu_count())}
    cpu = [
        line.partition(":")[2].strip()
        for line in Path("/proc/cpuinfo").read_text("utf-8").splitlines()
        if line.startswith("model name")
    ]
    found["cpu"] = cpu[0] if cpu else platform.processor()
    found["load"] = " ".join(f"{value:.1f}" for value in os.getloadavg())
    found["date"] = datetime.date.today().isoformat()
    for name in _PACKAGES:
        try:
            found[name] = importlib.metadata.version(name)
        except importlib.metadata.PackageNotFoundError:
            found[name] = "not installed"
    return found


#: Plot → its question, what its curves are named, and what its axes show.
_PLOTS = {
    "tokens": (
        *("views", ("memory", "Redis", "encrypted")),
        *("cached tokens", "time, times the floor's"),
    ),
    "bytes": (
        *("traffic", ("user view", "token view")),
        *("cached tokens", "bytes to and from Redis a request"),
    ),
    "workers": (
        *("load", ("user view", "token view", "identity")),
        *("workers", "throughput, of floor's"),
    ),
    "sessions": ("soak", ("p50", "p99"), "sessions in Redis", "ms a page"),
    "resident": ("soak", ("resident",), "users of a worker", "MB"),
}


def write(figures: cabc.Sequence[Figure], folder: Path, name: str = "results") -> None:
    """All reports, into a folder."""
    folder.mkdir(parents=True, exist_ok=True)
    about = machine()
    plain = [{**dataclasses.asdict(figure), "met": figure.met} for figure in figures]
    text = json.dumps({"machine": about, "figures": plain}, indent=1)
    (folder / f"{name}.json").write_text(text + "\n", "utf-8")
    (folder / f"{name}.txt").write_text(table(figures, about), "utf-8")
    for plot, (question, series, x, y) in _PLOTS.items():
        chosen = [
            f
            for f in figures
            if f.question == question and any(s in f.series for s in series)
        ]
        if chosen:
            _plot(chosen, folder / f"{plot}.svg", x, y)


def table(figures: cabc.Iterable[Figure], about: dict[str, str]) -> str:
    """A table a question, and the machine above them."""
    lines = [" · ".join(f"{name} {value}" for name, value in about.items()), ""]
    questions: dict[str, list[Figure]] = {}
    for figure in figures:
        questions.setdefault(figure.question, []).append(figure)
    for question, members in questions.items():
        lines += [f".. list-table:: {question}", "   :header-rows: 1", ""]
        for row in (_HEAD, *map(_row, members)):
            lines += [f"   {'*' if not n else ' '} - {c}" for n, c in enumerate(row)]
        lines.append("")
    return "\n".join(line.rstrip() for line in lines)


def _row(figure: Figure) -> tuple[str, ...]:
    spread = ""
    if figure.low is not None and figure.high is not None:
        spread = f"{_number(figure.low)} … {_number(figure.high)}"
    sign, promised = ("≥" if figure.least else "≤"), ""
    if figure.target is not None:
        promised = f"{sign} {_number(figure.target)}"
    verdict = {None: "", True: "kept", False: "missed"}[figure.met]
    value = f"{_number(figure.value)} {figure.unit}".strip()
    return figure.name, value, spread, promised, verdict


def _number(value: float) -> str:
    if value == int(value):
        return str(int(value))
    return f"{value:.0f}" if abs(value) >= 100 else f"{value:.3g}"


def line(figure: Figure) -> str:
    """A figure for the terminal."""
    name, value, spread, promised, verdict = _row(figure)
    told = f"{figure.question:9} {name:52} {value:>12} {spread:>17} {promised:>7}"
    return f"{told} {verdict}".rstrip()


def _plot(figures: cabc.Sequence[Figure], path: Path, x: str, y: str) -> None:
    import matplotlib

    matplotlib.use("svg")
    from matplotlib import pyplot

    curves: dict[str, list[Figure]] = {}
    for figure in figures:
        curves.setdefault(figure.series, []).append(figure)
    plot, axes = pyplot.subplots(figsize=(7, 4))
    for name, points in curves.items():
        places: list[t.Any] = [figure.x for figure in points]
        axes.plot(places, [f.value for f in points], marker="o", label=name)
    ticks = sorted({figure.x or 0 for figure in figures})
    if ticks[-1] > 50 * ticks[0] > 0:
        axes.set_xscale("log")
    axes.set(xlabel=x, ylabel=y, xticks=ticks)
    axes.set_ylim(bottom=0)
    axes.legend(fontsize="small")
    plot.savefig(path, metadata={"Date": None})
    pyplot.close(plot)
