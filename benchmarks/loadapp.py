"""The app that gunicorn runs: one of those that are compared, set up by a file."""

from __future__ import annotations

import json
import types
import typing as t
from pathlib import Path

import redis
from flask import Flask

from . import apps
from . import identity_baseline


def create_app(kind: str, options: str) -> Flask:
    """:param kind: ``floor``, ``ours`` or ``identity``."""
    told: dict[str, t.Any] = json.loads(Path(options).read_text("utf-8"))
    store = redis.Redis.from_url(told["store"])
    entra = types.SimpleNamespace(
        scope=lambda _: told["scope"],
        authority=told["authority"],
        api_url=told["api_url"],
    )
    harness = types.SimpleNamespace(
        config=lambda **changes: {**told["config"], **changes},
        entra=entra,
        bundle=told["bundle"],
    )
    if kind == "floor":
        return apps.floor(harness.config(), store)
    return {"ours": apps.ours, "identity": identity_baseline.app}[kind](harness, store)
