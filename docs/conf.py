"""How Sphinx builds these pages: without the network, every warning an error."""

from __future__ import annotations

import importlib.metadata
import os
import sys
from pathlib import Path

DOCS = Path(__file__).parent
# Directives of this folder that write pages from the package itself.
sys.path.insert(0, str(DOCS / "_ext"))
# requests reads it for every call; what doctests call is on this machine.
os.environ["no_proxy"] = "localhost"

project = "flask_msal_errors"
author = "the flask_msal_errors developers"
copyright = author
release = importlib.metadata.version("flask-msal-errors")

extensions = ["sphinx.ext.autodoc", "sphinx.ext.doctest"]
extensions += ["codes", "commands", "explained", "keys", "packages", "sequence"]
extensions += ["llms", "switches", "tables"]
exclude_patterns = ["_build", "_ext", "benchmarks", "examples"]
highlight_language = "python"
# Quotes are part of what is to be typed.
smartquotes = False
pygments_style = "friendly"
pygments_dark_style = "monokai"

autodoc_member_order = "bysource"
autodoc_typehints = "signature"
# Written as in the source: cabc.Sequence[str], not collections.abc.Sequence.
python_use_unqualified_type_names = True
autodoc_preserve_defaults = True
autodoc_inherit_docstrings = False

html_theme = "furo"
html_title = f"flask_msal_errors {release}"
html_static_path = ["_static"]
html_css_files = ["docs.css"]
html_copy_source = False
html_show_sphinx = False

nitpicky = True
# Nothing is fetched while the pages are built, so these names have no page to link to.
nitpick_ignore_regex = [
    # Classes of other packages in signatures.
    (
        "py:.*",
        r"(azure|cabc|collections|contextlib|datetime|flask|httpx|os|requests|ssl|werkzeug)\..+",
    ),
    ("py:class", r"Credential|HttpxAuth|WSGIApplication|(dict|tuple)\[str"),
    # Internal classes in signatures.
    (
        "py:.*",
        r"flask_msal_errors\.((api|clients|protocol|storage|testing|web)\.\w+|state)\..+",
    ),
    # Errors that a docstring of another module names without their module.
    ("py:exc", r"InteractionRequired|Throttled"),
]

doctest_global_setup = """
import flask
from flask_msal_errors.testing import Emulator, Registration
"""
doctest_test_doctest_blocks = "default"
