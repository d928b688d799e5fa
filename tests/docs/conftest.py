"""Fixtures of the documentation's tests."""

from __future__ import annotations

from callers import caller as caller
from docexamples import examples as examples
