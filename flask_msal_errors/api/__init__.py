"""A Flask API: access tokens are checked, and refusals told as challenges."""

from .auth import ApiAuth
from .caller import Caller

__all__ = ["ApiAuth", "Caller"]
