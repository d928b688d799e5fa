"""Endpoints of an API: those of an app that have a guard of it.

Owns how guards are found around views, in blueprints and in classes, before Flask comes
to any; knows no token.
"""

from __future__ import annotations

import functools
import typing as t
from urllib.parse import unquote
from urllib.parse import urlsplit

from flask import Flask
from werkzeug.exceptions import MethodNotAllowed
from werkzeug.routing import MapAdapter
from werkzeug.routing import RequestRedirect

from .metadata import ENDPOINT

#: An attribute of guarded views, and of guards of blueprints.
MARK = "_flask_msal_errors_api"


def endpoints_of(adapter: MapAdapter) -> list[str]:
    """Return the endpoints of a request's URL, though Flask may come to no view.

    They are those of other methods, or of the URL that it redirects to.
    """
    try:
        return [adapter.match()[0]]
    except MethodNotAllowed as error:
        methods = error.valid_methods or ()
        return [adapter.match(method=method)[0] for method in methods]
    except RequestRedirect as error:
        path = unquote(urlsplit(error.new_url).path)
        return [adapter.match(path.removeprefix(adapter.script_name.rstrip("/")))[0]]


def is_guarded(app: Flask, endpoint: str) -> bool:
    """Tell whether a view has a guard of the API, or one of those that it is in.

    Those are blueprints, each in the next one, and the app. Our metadata counts, too.
    """
    if endpoint == ENDPOINT:
        return True
    view = app.view_functions.get(endpoint)
    found: list[t.Any] = [view, *app.before_request_funcs.get(None, ())]
    name = endpoint.rpartition(".")[0]
    while name:
        found += app.before_request_funcs.get(name, ())
        name = name.rpartition(".")[0]
    return any(map(_is_guard, found)) or _guards_all_methods(view)


def _is_guard(function: t.Any) -> bool:
    """Tell whether a function has our mark, or one that it is wrapped around.

    From the first request on the web half has functions of the app in hooks.
    """
    while function is not None and getattr(function, MARK, False) is not True:
        is_partial = isinstance(function, functools.partial)
        inner = function.func if is_partial else getattr(function, "__wrapped__", None)
        function = None if inner is function else inner
    return function is not None


def _guards_all_methods(view: t.Any) -> bool:
    """Tell whether each method of a class-based view has a guard.

    A class with others is left to the web app: its guards are for those.
    """
    made = getattr(view, "view_class", None)
    names = getattr(made, "methods", None) or ()
    methods = [getattr(made, name.lower(), None) for name in names]
    around = method_decorators(view)
    of_all = [getattr(made, "dispatch_request", None)]
    of_all += around if isinstance(around, (list, tuple)) else ()
    return any(map(_is_guard, of_all)) or (
        bool(methods) and all(map(_is_guard, methods))
    )


def method_decorators(view: t.Any) -> t.Any:
    """Return the decorators of a resource of Flask-RESTX or Flask-RESTful.

    :return: ``None`` for a view of anything else, where nobody calls them.
    """
    made = getattr(view, "view_class", None)
    is_resource = hasattr(made, "representations")
    return getattr(made, "method_decorators", None) if is_resource else None
