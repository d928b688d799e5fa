"""Fixtures of the documentation's tests."""

from __future__ import annotations

from support.callers import caller as caller
from support.doc_examples import examples as examples
