"""Tests of session backends; one needs what only the environment ``once`` installs."""

from __future__ import annotations

import importlib.util

collect_ignore = (
    [] if importlib.util.find_spec("redis_entraid") else ["test_azure_redis.py"]
)
