"""Attributes that a test may set: one that is misspelt is refused, not kept.

A test that sets a misspelt one would pass without testing anything. This module knows
nothing of tenants.
"""

from __future__ import annotations

import difflib
import functools
import inspect
import typing as t


class KnownAttributes:
    """An object on which only the attributes that its class declares can be set.

    Those are its annotations, properties and settings. Names that begin with an
    underscore are free, and a method can be replaced by another function.
    """

    # A type checker that sees __setattr__ takes every name.
    if not t.TYPE_CHECKING:

        def __setattr__(self, name: str, value: t.Any) -> None:
            kind = type(self)
            replaces = callable(value) and callable(getattr(kind, name, None))
            if not (name.startswith("_") or name in _declared(kind) or replaces):
                raise AttributeError(_refusal(kind, name))
            super().__setattr__(name, value)


@functools.cache
def _declared(kind: type) -> frozenset[str]:
    annotated = map(inspect.get_annotations, kind.__mro__)
    is_value = inspect.isdatadescriptor
    members = inspect.getmembers(kind, lambda one: is_value(one) or not callable(one))
    return frozenset().union(*annotated, [name for name, _ in members])


def _refusal(kind: type, name: str) -> str:
    """Return what is wrong with setting ``name``, and what to write instead."""
    if callable(getattr(kind, name, None)):
        return f"{name} of {kind.__name__} is a method: call it, {name}(…)."
    public = [each for each in dir(kind) if not each.startswith("_")]
    settable = sorted(filter(functools.partial(_can_be_set, kind), _declared(kind)))
    near = difflib.get_close_matches(name, {*public, *settable}, n=1)
    hint = f"Did you mean {near[0]}?" if near else f"It has {', '.join(settable)}."
    if not kind.__module__.startswith(f"{__package__}."):
        hint += f" If your class is to have it, declare it there ({name}: …)."
    return f"{kind.__name__} has no attribute {name}. {hint}"


def _can_be_set(kind: type, name: str) -> bool:
    found = getattr(kind, name, None)
    is_fixed = isinstance(found, property) and found.fset is None
    return not (is_fixed or name.startswith("_"))
