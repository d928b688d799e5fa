"""A small web app that shows every "no, not without the user" and how it is resolved.

``python -m example_app`` runs it on an emulated Entra tenant; with ``MSAL_CLIENT_ID``,
``MSAL_CLIENT_CREDENTIAL`` and ``MSAL_AUTHORITY`` in the environment on a real one.
"""

from __future__ import annotations

import collections.abc as cabc
import typing as t

from flask import Flask

from . import pages
from . import trace
from .apis import emulated
from .apis import real
from .environment import from_environment
from .environment import secret_key

__all__ = ["create_app"]


def create_app(config: cabc.Mapping[str, t.Any] | None = None) -> Flask:
    """The app, configured by the environment and then by ``config``.

    ``EXAMPLE_EMULATOR`` (a running emulator) brings its own ``MSAL_*`` settings;
    ``EXAMPLE_INSTANCE`` is a folder for sessions, in place of Flask's instance folder.
    """
    given = {**from_environment(), **(config or {})}
    entra = given.get("EXAMPLE_EMULATOR")
    app = Flask(__name__, instance_path=given.get("EXAMPLE_INSTANCE"))
    # Cookies know no ports: other apps on localhost must not share this name.
    app.config["SESSION_COOKIE_NAME"] = "example_session"
    if entra is not None:
        app.config.update(entra.config())
    app.config.update(given)
    if not app.config["SECRET_KEY"]:
        app.config["SECRET_KEY"] = secret_key(app.instance_path)
    pages.auth.init_app(app)
    pages.install(app, real() if entra is None else emulated(entra))
    trace.watch(app)
    return app
