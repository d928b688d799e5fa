"""A small web app, and an API behind it: every "no, not without the user", resolved.

``python -m example_app`` runs it on an emulated Entra tenant; with ``MSAL_CLIENT_ID``,
``MSAL_CLIENT_CREDENTIAL`` and ``MSAL_AUTHORITY`` in the environment on a real one.
"""

from __future__ import annotations

import collections.abc as cabc
import contextlib
import typing as t
from pathlib import Path

from flask import Flask

from flask_msal_errors.testing import Emulator

from . import api
from . import pages
from . import trace
from .apis import emulated
from .apis import real
from .environment import from_environment
from .environment import secret_key

__all__ = ["create_app", "on_emulator"]


def create_app(config: cabc.Mapping[str, t.Any] | None = None) -> Flask:
    """The app, configured by the environment and then by ``config``.

    ``EXAMPLE_EMULATOR`` (a running emulator) brings its own ``MSAL_*`` settings, and
    needs ``EXAMPLE_PAYROLL`` (the payroll API on it): see :func:`on_emulator`;
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
    apis = real() if entra is None else emulated(entra, given["EXAMPLE_PAYROLL"])
    pages.install(app, apis)
    trace.watch(app)
    return app


@contextlib.contextmanager
def on_emulator(entra: Emulator, folder: str) -> cabc.Iterator[Flask]:
    """The app on a running emulator, and the payroll API, which runs meanwhile.

    :param folder: for what both keep.
    """
    with api.run(entra, str(Path(folder, "api"))) as payroll:
        yield create_app(
            {
                "EXAMPLE_EMULATOR": entra,
                "EXAMPLE_PAYROLL": payroll,
                "EXAMPLE_INSTANCE": folder,
            }
        )
