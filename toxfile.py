"""Lets tox find every CPython that pyenv installed.

A pyenv shim runs the selected version only, so ``python3.12`` on PATH may fail although
a 3.12 is installed. The real interpreters go to the end of PATH.
"""

from __future__ import annotations

import collections.abc as cabc
import os
from pathlib import Path


def pyenv_roots() -> cabc.Iterator[Path]:
    if root := os.environ.get("PYENV_ROOT"):
        yield Path(root)
    for entry in map(Path, os.environ.get("PATH", "").split(os.pathsep)):
        if entry.name == "shims":
            yield entry.parent
    yield Path("~/.pyenv").expanduser()


for root in pyenv_roots():
    for folder in sorted(root.glob("versions/3.*/bin")):
        if str(folder) not in os.environ["PATH"].split(os.pathsep):
            os.environ["PATH"] += os.pathsep + str(folder)
