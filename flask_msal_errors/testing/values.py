"""Kinds of values that a switch takes: checked, entered in a form, put in words."""

from __future__ import annotations

import collections.abc as cabc
import dataclasses
import json
import math
import typing as t

#: Seconds that can be entered on the panel.
_ENTERED = (0.0, 3600.0)
#: Stands for a field that a form left out.
ABSENT: t.Final = object()


@dataclasses.dataclass(frozen=True, kw_only=True)
class Values:
    """Strings; subclasses narrow or change that.

    :param optional: ``None`` is one of the values.
    :param none: the panel's word for ``None``.
    """

    widget: t.ClassVar[str] = "string"
    optional: bool = False
    none: str = "none"

    @property
    def words(self) -> str:
        """These values in words, such as ``one of seconds, date, or null``."""
        return self._words() + (", or null" if self.optional else "")

    def _words(self) -> str:
        return "a string"

    def check(self, name: str, value: t.Any) -> None:
        """Accept a value for ``name``.

        :raises ValueError: it is not one of these.
        """
        if not (value is None and self.optional) and not self._fits(value):
            raise ValueError(f"{name} is {self.words}")

    def _fits(self, value: t.Any) -> bool:
        return isinstance(value, str)

    def said(self, value: t.Any) -> t.Any:
        """Return a value as a sentence has it."""
        return value

    def kept(self, value: t.Any) -> t.Any:
        """Return an accepted value as a setting keeps it."""
        return value

    def entered(self, text: str | None) -> t.Any:
        """Return the value that was entered in a form, or ``ABSENT``."""
        if text:
            return self._entered(text)
        return None if self.optional and text is not None else ABSENT

    def _entered(self, text: str) -> t.Any:
        return text


@dataclasses.dataclass(frozen=True, kw_only=True)
class Number(Values):
    """Numbers of ``unit`` between two bounds; ``whole``: integers."""

    widget = "number"
    unit: str = "seconds"
    low: float = 0
    high: float = 86400
    whole: bool = False

    def _words(self) -> str:
        kind = "a whole number" if self.whole else "a number"
        unit = f" of {self.unit}" if self.unit else ""
        return f"{kind}{unit} from {self.low:g} to {self.high:g}"

    def _fits(self, value: t.Any) -> bool:
        if isinstance(value, bool) or not isinstance(value, (int, float)):
            return False
        return self.low <= value <= self.high and not (self.whole and value % 1)

    def _entered(self, text: str) -> float:
        """Return the nearest number; 30 if it is none."""
        try:
            number = float(text)
        except ValueError:
            number = math.nan
        if math.isnan(number):
            number = 30.0
        number = min(max(number, _ENTERED[0], self.low), _ENTERED[1], self.high)
        return int(number) if self.whole else number


@dataclasses.dataclass(frozen=True, kw_only=True)
class Flag(Values):
    """True or false; ``label`` stands beside its tick box."""

    widget = "flag"
    label: str = ""

    def _words(self) -> str:
        return "true or false"

    def _fits(self, value: t.Any) -> bool:
        return isinstance(value, bool)

    def entered(self, text: str | None) -> bool:
        """Return whether a box is ticked: a browser sends no other."""
        return bool(text)


@dataclasses.dataclass(frozen=True, kw_only=True)
class Choice(Values):
    """One of a few strings."""

    widget = "choice"
    names: tuple[str, ...] = ()

    def _words(self) -> str:
        return f"one of {', '.join(self.names)}"

    def _fits(self, value: t.Any) -> bool:
        return isinstance(value, str) and value in self.names


@dataclasses.dataclass(frozen=True, kw_only=True)
class Suggested(Choice):
    """Strings, of which the panel offers some."""

    widget = "suggested"

    def _words(self) -> str:
        return f"a string, such as {self.names[0]}"

    def _fits(self, value: t.Any) -> bool:
        return isinstance(value, str)


@dataclasses.dataclass(frozen=True, kw_only=True)
class Person(Values):
    """The short name of a user."""

    widget = "person"

    def _words(self) -> str:
        return "a string, the short name of a user"


@dataclasses.dataclass(frozen=True, kw_only=True)
class Lines(Values):
    """A string of several lines."""

    widget = "lines"


@dataclasses.dataclass(frozen=True, kw_only=True)
class Names(Values):
    """A list of strings."""

    widget = "lines"

    def _words(self) -> str:
        return "a list of strings"

    def _fits(self, value: t.Any) -> bool:
        listed = isinstance(value, cabc.Collection) and not isinstance(value, str)
        return listed and all(isinstance(name, str) for name in value)

    def kept(self, value: t.Any) -> set[str] | None:
        return None if value is None else set(value)

    def _entered(self, text: str) -> list[str]:
        return text.split()


@dataclasses.dataclass(frozen=True, kw_only=True)
class Object(Values):
    """A JSON object."""

    widget = "lines"

    def _words(self) -> str:
        return "a JSON object"

    def _fits(self, value: t.Any) -> bool:
        return isinstance(value, cabc.Mapping)

    def _entered(self, text: str) -> t.Any:
        try:
            return json.loads(text)
        except (ValueError, RecursionError):
            return text
