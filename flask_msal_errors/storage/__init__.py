"""Entries on the server, in the app's own Flask-Session backend."""

from __future__ import annotations

from .base import AtomicBackend
from .base import Backend
from .base import Busy
from .base import Loaded
from .base import Reach
from .registry import register_backend

__all__ = ["AtomicBackend", "Backend", "Busy", "Loaded", "Reach", "register_backend"]
