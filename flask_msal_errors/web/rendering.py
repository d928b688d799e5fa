"""Our templates, which do not depend on code of the app.

Owns that a page is shown though the app's context processors, templates, filters or
languages fail, and that nothing of the app is answered in place of what we make.
"""

from __future__ import annotations

import dataclasses
import functools
import typing as t
from pathlib import Path

from flask import render_template
from flask import request
from flask import url_for
from jinja2 import Environment
from jinja2 import FileSystemLoader
from markupsafe import Markup

from .. import signals
from ..navigation import Kind
from ..navigation import Outside
from ..navigation import kind_of
from ..state import of_request
from ..user import signed_in
from .texts import say

#: Not by <base>, which a page's policy may forbid (base-uri).
_TOP = Markup(' target="_top"')


@dataclasses.dataclass
class Stage:
    """The place at which code of the app runs now."""

    is_view: bool = False
    """Flask calls the view of this request, and takes an answer in its place."""
    is_ours: bool = False
    """It is one of our routes, or makes one of our pages: no refusal is answered."""
    is_left: bool = False
    """It was left to a guard of the app's API."""


def is_own_route() -> bool:
    """Return whether this is a request of one of our own routes."""
    return request.blueprint == "msal"


def rendered(name: str, **values: t.Any) -> str:
    """Return a page: in the app's context if that works, or else without it.

    What is wrong with the shipped template alone is wrong with this package, and
    raised.

    :param values: of this page, beside those of every page.
    """
    top = _TOP if kind_of(request) is Kind.FRAME else ""
    values = {"say": say, "top": top, "prefix": of_request(Outside).prefix, **values}
    template, stage = f"msal/{name}.html", of_request(Stage)
    before = stage.is_view, stage.is_ours
    stage.is_view, stage.is_ours = False, True
    try:
        return render_template(template, **values)
    except Exception as error:
        # Any: context processors, templates, filters and languages are the app's.
        signals.pass_over(error, "The context or a template of the app")
    finally:
        stage.is_view, stage.is_ours = before
    person = signed_in()
    values["auth"] = {"user": person.user if person else None}
    return _shipped().get_template(template).render(request=request, **values)


@functools.cache
def _shipped() -> Environment:
    folder = Path(__file__).with_name("templates")
    environment = Environment(loader=FileSystemLoader(folder), autoescape=True)
    environment.globals["url_for"] = url_for
    return environment
