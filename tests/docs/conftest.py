"""Fixtures of the documentation's tests."""

from __future__ import annotations

from support.callers import caller as caller
from support.docexamples import examples as examples
