"""The page for coding assistants, and ``llms.txt``, which is written from the pages."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest

from support.doc_examples import EXAMPLES
from support.waiting import PATIENCE

DOCS = EXAMPLES.parent
PAGE = (DOCS / "assistants.rst").read_text("utf-8")
CONF = f"""
import sys
sys.path.insert(0, {str(DOCS / "_ext")!r})
project, extensions, html_theme = "shop", ["llms"], "basic"
html_baseurl = "https://docs.example/"
"""
FILES = {
    "index.rst": """
Shop
====

It sells *things*. It is small.

.. toctree::
   :caption: Start

   assistants
   deep/index
""",
    "assistants.rst": """
Helpers
=======

#.  Write ``one`` of
    *these*.
#.  Test.

.. code-block:: python

   print("# 1 | 2")
""",
    "deep/index.rst": """
Deep
====

.. toctree::

   page
""",
    "deep/page.rst": """
.. meta::
   :description: All of it: now.

A ``name``
==========

Never told.
""",
}
WRITTEN = """\
# shop

> It sells things. It is small.

1. Write `one` of these.
2. Test.

```python
print("# 1 | 2")
```

## Start

- [Helpers](https://docs.example/assistants.html): Write `one` of these.
- [Deep](https://docs.example/deep/index.html)
- [A name](https://docs.example/deep/page.html): All of it: now.
"""


@pytest.mark.once
def test_written(tmp_path: Path) -> None:
    """Rules, program and pages are read from the pages, those below others, too."""
    (tmp_path / "deep").mkdir()
    for name, text in {"conf.py": CONF, **FILES}.items():
        (tmp_path / name).write_text(text.lstrip(), "utf-8")
    command = [sys.executable, "-m", "sphinx", "-q", "-W", ".", "built"]
    done = subprocess.run(
        command, cwd=tmp_path, capture_output=True, text=True, timeout=PATIENCE
    )
    assert done.returncode == 0, done.stderr
    assert (tmp_path / "built" / "llms.txt").read_text("utf-8") == WRITTEN


def test_rules() -> None:
    """There are ten, and the program is the quickstart's, which a test runs."""
    assert len(re.findall(r"^#\.  ", PAGE, re.M)) == 10
    (program,) = re.findall(r"literalinclude:: (\S+)", PAGE)
    assert f".. literalinclude:: {program}\n" in (DOCS / "quickstart.rst").read_text()
    assert re.search(r"^   assistants$", (DOCS / "index.rst").read_text(), re.M)


def test_install() -> None:
    """They install from the place that the page *Install* names, and nowhere else."""
    (place,) = re.findall(r"``(flask-msal-errors @ \S+)``", PAGE)
    assert f'pip install "{place}"\n' in (DOCS / "install.rst").read_text()
    said = "".join(path.read_text("utf-8") for path in DOCS.rglob("*.rst"))
    commands = re.findall(r'pip install .*"flask-msal-errors.*"', said)
    assert len(commands) > 3
    for command in commands:
        assert " @ git+" in command or "--no-index" in command


@pytest.mark.parametrize(
    "path", sorted(DOCS.rglob("*.rst")), ids=lambda path: path.stem
)
def test_description(path: Path) -> None:
    """A description of a page fits the list of a search engine."""
    found = re.match(r"\.\. meta::\n   :description: (.+)\n", path.read_text("utf-8"))
    assert found is None or len(found[1]) <= 165
