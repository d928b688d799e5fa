"""Functions of the app around a request, and how each of them is called."""

from __future__ import annotations

import asyncio
import functools
import typing as t
from pathlib import Path

from flask import Flask

from flask_msal_errors import MsalAuth
from flask_msal_errors.testing import Emulator


class LikeAFunction:
    """A callable that inspect takes for a function, by what is in its ``__dict__``."""

    def __init__(self, function: t.Any) -> None:
        functools.update_wrapper(self, function)
        vars(self)["__code__"] = function.__code__
        vars(self).update(__defaults__=None, __kwdefaults__=None)
        self._function = function

    def __call__(self) -> t.Any:
        return self._function()


def test_coroutine_functions(entra: Emulator, tmp_path: Path) -> None:
    """Each is awaited once: those of our decorators, and others by any mark."""
    app, ran = Flask("app", instance_path=str(tmp_path)), list[str]()
    app.config.update(SECRET_KEY="x" * 20, TESTING=True, **entra.config())
    auth = MsalAuth(app)

    async def load() -> None:
        await asyncio.sleep(0)
        ran.append("loaded")

    for function in (load, auth.catch_challenges(load), LikeAFunction(load)):
        app.before_request(function)
    app.add_url_rule("/", "home", lambda: "home")
    assert app.test_client().get("/").text == "home"
    assert ran == ["loaded"] * 3
